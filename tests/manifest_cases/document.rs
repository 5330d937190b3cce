//! Files of manifests, and the documents in them as they are written.

use std::fs;
use std::path::Path;

use policies::object::Gvk;
use policies::{tables, yaml};
use serde_json::Value;

/// The master's own namespace.
pub(crate) const NAMESPACE: &str = "trading";

/// One file.
#[derive(Clone, Debug)]
pub(crate) struct File {
    /// Its name without ending; its template ConfigMap's too.
    pub(crate) name: String,
    pub(crate) text: String,
}

/// One document of a file.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    /// Whose template it is: the ConfigMap.
    pub(crate) config_map: String,
    /// For people: where it is from, and what it is.
    pub(crate) name: String,
    /// As it is written.
    pub(crate) text: String,
    /// As kubectl reads it.
    pub(crate) object: Value,
}

/// The files of a folder, by name.
pub(crate) fn files(folder: &Path) -> Vec<File> {
    let mut files: Vec<File> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| File {
            name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
            text: fs::read_to_string(&path).unwrap(),
        })
        .collect();
    files.sort_by(|a, b| a.name.cmp(&b.name));
    files
}

/// The documents of a text as kubectl cuts it: at lines of three hyphens and nothing more.
pub(crate) fn cut(text: &str) -> Vec<String> {
    let mut documents = vec![String::new()];
    for line in text.lines() {
        if line.trim_end() == "---" {
            documents.push(String::new());
        } else if let Some(last) = documents.last_mut() {
            last.push_str(line);
            last.push('\n');
        }
    }
    documents
}

impl File {
    /// The key of its template.
    pub(crate) fn key(&self) -> String {
        format!("{}.yaml", self.name)
    }

    /// Its documents; empty ones are none.
    pub(crate) fn documents(&self) -> Vec<Document> {
        let read = |text: String| {
            let object = yaml::value(&text).unwrap_or_else(|error| panic!("{}: {error}\n{text}", self.name));
            (!object.is_null()).then(|| Document::new(&self.name, &self.name, text, object))
        };
        let documents: Vec<Document> = cut(&self.text).into_iter().filter_map(read).collect();
        // What retinue reads of the whole file is what is sent of it.
        let whole = yaml::documents(&self.text).unwrap_or_else(|error| panic!("{}: {error}", self.name));
        let whole: Vec<Value> = whole.iter().map(yaml::Node::to_value).filter(|value| !value.is_null()).collect();
        assert_eq!(whole, documents.iter().map(|one| one.object.clone()).collect::<Vec<_>>(), "{}", self.name);
        documents
    }
}

impl Document {
    pub(crate) fn new(config_map: &str, from: &str, text: String, object: Value) -> Self {
        let metadata = &object["metadata"];
        let called = metadata["name"].as_str().or(metadata["generateName"].as_str()).unwrap_or_default();
        let name = format!("{from}: {} {called}", object["kind"].as_str().unwrap_or("no kind"));
        Self { config_map: config_map.to_owned(), name, text, object }
    }

    pub(crate) fn kind(&self) -> Gvk {
        let text = |field: &str| self.object[field].as_str().unwrap_or_default();
        Gvk::from_api_version(text("apiVersion"), text("kind"))
    }

    pub(crate) fn namespace(&self) -> &str {
        self.object["metadata"]["namespace"].as_str().unwrap_or(NAMESPACE)
    }

    /// Its name; none where the API server gives it one.
    pub(crate) fn called(&self) -> Option<&str> {
        self.object["metadata"]["name"].as_str()
    }

    /// The path of its collection.
    pub(crate) fn collection(&self) -> String {
        let kind = self.kind();
        let api_version = self.object["apiVersion"].as_str().unwrap_or_default();
        let group =
            if api_version.contains('/') { format!("apis/{api_version}") } else { format!("api/{api_version}") };
        let plural = tables::plural(&kind).map_or_else(|| format!("{}s", kind.kind.to_lowercase()), str::to_owned);
        format!("/{group}/namespaces/{}/{plural}", self.namespace())
    }

    /// What two documents have in common that cannot be at the same time.
    pub(crate) fn identity(&self) -> String {
        let kind = self.kind();
        format!("{}/{} {} {:?}", kind.group, kind.kind, self.namespace(), self.called())
    }
}
