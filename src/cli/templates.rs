//! Template ConfigMaps from files.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use policies::keys;
use policies::library::{Library, TemplateSet};
use policies::object::NamespacedName;

use super::input::{self, InputError};

/// Why files hold no templates.
#[derive(Debug, thiserror::Error)]
pub enum TemplatesError {
    /// A file.
    #[error("{0}")]
    Input(#[from] InputError),
    /// No ConfigMap is in them.
    #[error("{0}: no ConfigMap in it; templates stand under data of a ConfigMap with the label {label}=\"true\"", label = keys::TEMPLATES)]
    NoConfigMap(String),
    /// Two of one name.
    #[error("{place}: ConfigMap {name} is given twice")]
    Twice {
        /// The second.
        place: String,
        /// The name.
        name: NamespacedName,
    },
    /// One that cannot be used.
    #[error("{place}: ConfigMap {name} cannot be used:\n{problems}\nretinue lint shows the lines")]
    Unusable {
        /// Where.
        place: String,
        /// The name.
        name: NamespacedName,
        /// A line each.
        problems: String,
    },
}

/// The template ConfigMaps of files, in order. Other kinds beside them are passed over, since people keep a ConfigMap
/// and its Role in one file. One without namespace counts as of `namespace`.
///
/// # Errors
/// When a file cannot be read, holds none, or holds one that is unusable as a whole.
pub fn load(paths: &[PathBuf], namespace: &str) -> Result<Vec<Arc<TemplateSet>>, TemplatesError> {
    let mut sets: Vec<Arc<TemplateSet>> = Vec::new();
    for path in paths {
        let before = sets.len();
        for mut object in input::objects(std::slice::from_ref(path))? {
            if object.kind.kind != "ConfigMap" || !object.kind.group.is_empty() {
                continue;
            }
            if object.namespace().is_none() {
                object.value["metadata"]["namespace"] = namespace.into();
            }
            let set = TemplateSet::load(&object.value);
            if sets.iter().any(|other| other.name == set.name) {
                return Err(TemplatesError::Twice { place: object.place, name: set.name });
            }
            if !set.usable() {
                let problems: Vec<String> = set.errors().map(|problem| format!("  {}", line(problem))).collect();
                return Err(TemplatesError::Unusable {
                    place: object.place,
                    name: set.name.clone(),
                    problems: problems.join("\n"),
                });
            }
            sets.push(Arc::new(set));
        }
        if sets.len() == before {
            return Err(TemplatesError::NoConfigMap(path.display().to_string()));
        }
    }
    Ok(sets)
}

/// `job.yaml:3: what is wrong`.
fn line(problem: &policies::library::Problem) -> String {
    match (&problem.key, problem.line) {
        (Some(key), Some(line)) => format!("{key}:{line}: {}", problem.message),
        (Some(key), None) => format!("{key}: {}", problem.message),
        (None, _) => problem.message.clone(),
    }
}

/// As a library.
pub fn library(sets: &[Arc<TemplateSet>]) -> Library {
    let sets: HashMap<_, _> = sets.iter().map(|set| (set.name.clone(), Arc::clone(set))).collect();
    Library { sets }
}
