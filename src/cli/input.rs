//! Files as people give them: YAML or JSON, several documents, `-` for standard input.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use policies::object::{Gvk, NamespacedName};
use policies::yaml::{self, YamlError};
use serde_json::Value;

/// The largest file that is read, bytes: twenty times what etcd takes of one object.
const LARGEST: u64 = 32 << 20;

/// Why a file is no input.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// It cannot be read.
    #[error("{file}: {source}")]
    Unreadable {
        /// As given.
        file: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is too large.
    #[error("{file}: larger than {} MiB; an object in Kubernetes is at most 1.5 MiB", LARGEST >> 20)]
    TooLarge {
        /// As given.
        file: String,
    },
    /// It is no text.
    #[error("{file}: not UTF-8 from byte {at} on; expected YAML or JSON")]
    NoText {
        /// As given.
        file: String,
        /// The first byte that is none.
        at: usize,
    },
    /// It is no YAML.
    #[error("{file}:{}:{}: {}", .source.line, .source.column, .source.message)]
    NoYaml {
        /// As given.
        file: String,
        /// Where and what.
        source: YamlError,
    },
    /// It holds no object.
    #[error("{file}: no object in it; expected a manifest with apiVersion, kind and metadata")]
    Empty {
        /// As given.
        file: String,
    },
    /// A document is no object of Kubernetes.
    #[error(
        "{place}: not an object of Kubernetes: {lacks} is missing; expected a manifest with apiVersion, kind and metadata"
    )]
    NoObject {
        /// File and line.
        place: String,
        /// What is missing.
        lacks: &'static str,
    },
}

/// A file's text.
#[derive(Clone, Debug)]
pub struct Text {
    /// Its name, for people.
    pub file: String,
    /// What it holds.
    pub text: String,
}

/// One object of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// File and line, for people.
    pub place: String,
    /// It.
    pub value: Value,
    /// Its kind.
    pub kind: Gvk,
}

impl Object {
    /// `metadata.name`, or `metadata.generateName` with a star.
    pub fn name(&self) -> String {
        let metadata = &self.value["metadata"];
        match (metadata["name"].as_str(), metadata["generateName"].as_str()) {
            (Some(name), _) => name.to_owned(),
            (None, Some(prefix)) => format!("{prefix}*"),
            (None, None) => "(unnamed)".to_owned(),
        }
    }

    /// `metadata.namespace`.
    pub fn namespace(&self) -> Option<&str> {
        self.value["metadata"]["namespace"].as_str().filter(|namespace| !namespace.is_empty())
    }
}

/// Reads a file, or standard input for `-`.
///
/// # Errors
/// When it cannot be read, is too large, or is no text.
pub fn text(path: &Path) -> Result<Text, InputError> {
    let file = if is_stdin(path) { "(standard input)".to_owned() } else { path.display().to_string() };
    let unreadable = |source| InputError::Unreadable { file: file.clone(), source };
    let mut bytes = Vec::new();
    let read = if is_stdin(path) {
        io::stdin().lock().take(LARGEST + 1).read_to_end(&mut bytes)
    } else {
        File::open(path).map_err(unreadable)?.take(LARGEST + 1).read_to_end(&mut bytes)
    };
    read.map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST {
        return Err(InputError::TooLarge { file });
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Text { file, text }),
        Err(error) => Err(InputError::NoText { file, at: error.utf8_error().valid_up_to() }),
    }
}

/// Whether this is `-`.
pub fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// The objects of files, in order; a List counts as its items.
///
/// # Errors
/// For the first file that cannot be read, is no YAML, or holds something else than objects.
pub fn objects(paths: &[PathBuf]) -> Result<Vec<Object>, InputError> {
    let mut found = Vec::new();
    for path in paths {
        found.extend(objects_of(&text(path)?)?);
    }
    Ok(found)
}

fn objects_of(text: &Text) -> Result<Vec<Object>, InputError> {
    let Text { file, text } = text;
    let documents = yaml::documents(text).map_err(|source| InputError::NoYaml { file: file.clone(), source })?;
    let mut found = Vec::new();
    for document in documents {
        let place = format!("{file}:{}", document.line);
        expand(document.to_value(), &place, &mut found)?;
    }
    if found.is_empty() { Err(InputError::Empty { file: file.clone() }) } else { Ok(found) }
}

fn expand(mut value: Value, place: &str, found: &mut Vec<Object>) -> Result<(), InputError> {
    let lacks = |lacks| InputError::NoObject { place: place.to_owned(), lacks };
    let kind = value["kind"].as_str().filter(|kind| !kind.is_empty()).ok_or_else(|| lacks("kind"))?.to_owned();
    let api_version = value["apiVersion"].as_str().filter(|version| !version.is_empty());
    let api_version = api_version.ok_or_else(|| lacks("apiVersion"))?.to_owned();
    if kind.ends_with("List")
        && let Some(items) = value["items"].as_array_mut()
    {
        for (index, item) in std::mem::take(items).into_iter().enumerate() {
            expand(item, &format!("{place}, item {}", index + 1), found)?;
        }
        return Ok(());
    }
    if !value["metadata"].is_object() {
        return Err(lacks("metadata"));
    }
    found.push(Object { place: place.to_owned(), kind: Gvk::from_api_version(&api_version, &kind), value });
    Ok(())
}

/// Reads `ns/name`, for clap.
///
/// # Errors
/// What is expected, for anything else.
pub fn namespaced_name(text: &str) -> Result<NamespacedName, String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok(NamespacedName::new(namespace, name))
        }
        _ => Err("expected NAMESPACE/NAME, such as trading/eod".into()),
    }
}

/// A namespace's name, which goes into the paths of requests.
///
/// # Errors
/// For what cannot be one.
pub fn namespace(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if text.is_empty() || text.len() > 63 || !text.bytes().all(fits) || text.starts_with('-') || text.ends_with('-') {
        return Err(
            "expected the name of a namespace: 1 to 63 of a-z, 0-9 and -, beginning and ending with a letter or \
                    digit"
                .into(),
        );
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
    use super::*;

    fn read(text: &str) -> Result<Vec<Object>, InputError> {
        objects_of(&Text { file: "f.yaml".into(), text: text.into() })
    }

    #[test]
    fn several_documents_lists_and_json_are_objects() {
        let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n---\n---\n\
                    {\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [{\"apiVersion\": \"batch/v1\", \
                    \"kind\": \"Job\", \"metadata\": {\"generateName\": \"b-\", \"namespace\": \"n\"}}]}\n";
        let objects = read(text).unwrap();
        assert_eq!(objects.iter().map(Object::name).collect::<Vec<_>>(), ["a", "b-*"]);
        assert_eq!(objects[1].kind, Gvk::new("batch", "v1", "Job"));
        assert_eq!(objects[1].namespace(), Some("n"));
        assert_eq!(objects[1].place, "f.yaml:6, item 1");
    }

    #[test]
    fn what_is_no_object_is_named_with_its_place() {
        for (text, expected) in [
            ("", "f.yaml: no object"),
            ("# nothing\n---\n", "f.yaml: no object"),
            ("kind: Job\n", "f.yaml:1: not an object of Kubernetes: apiVersion is missing"),
            ("- 1\n", "f.yaml:1: not an object of Kubernetes: kind is missing"),
            ("apiVersion: v1\nkind: Pod\n", "metadata is missing"),
            ("a: 1\na: 2\n", "f.yaml:2:1: "),
            ("a: [\n", "f.yaml:"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }

    #[test]
    fn an_account_is_a_namespace_and_a_name() {
        assert_eq!(namespaced_name("a/b"), Ok(NamespacedName::new("a", "b")));
        for text in ["a", "/b", "a/", "a/b/c", ""] {
            assert!(namespaced_name(text).is_err(), "{text:?}");
        }
    }
}
