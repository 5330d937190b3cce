//! Compiles ConfigMaps, on threads of their own: compiling is work, and what panics or does not end is out alone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use policies::accept::Accepted;
use policies::keys;
use policies::library::{Masters, Problem, Severity, TemplateSet, Templates as LoadedTemplates, Weight};
use policies::object::NamespacedName;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::threads::Threads;

/// How long a compile has the priority of the threads that serve reviews. Nearly all take less than a millisecond.
const PRIORITY_FOR: Duration = Duration::from_millis(100);

/// A hash of all that compiling looks at.
pub(super) type Content = [u8; 32];

/// What a ConfigMap is compiled from, as JSON: what waits to be compiled takes no more memory than its text.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) content: Content,
    /// A hash of its data alone: ConfigMaps of the same data have what follows from it together.
    pub(super) data: Content,
    pub(super) text: Box<str>,
}

impl Source {
    /// Leaves out what compiling never looks at.
    pub(super) fn of(mut config_map: Value) -> Self {
        if let Some(metadata) = config_map.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
            if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
                annotations.retain(|key, _| key.starts_with(keys::PREFIX) || key == keys::ALL_IN_ONE);
            }
        }
        let of = |part: &str| {
            let text = config_map.pointer(part).unwrap_or(&Value::Null).to_string();
            Sha256::digest(text)
        };
        let data = of("/data");
        let mut hash = Sha256::new();
        hash.update(data);
        for part in ["/binaryData", "/metadata/annotations", "/metadata/labels"] {
            hash.update(of(part));
        }
        Self { content: hash.finalize().into(), data: data.into(), text: config_map.to_string().into() }
    }
}

/// Compiles, on threads of its own.
#[derive(Debug, Default)]
pub(super) struct Compiler(Threads);

impl Compiler {
    /// Compiles. None if that panics.
    pub(super) fn compile(&self, source: Source) -> impl Future<Output = Option<TemplateSet>> + Send + use<> {
        let compiling = self.0.run(PRIORITY_FOR, move || load(&source));
        async move { compiling.await.flatten() }
    }
}

/// None never comes of it: the text was written by us, from JSON that was read.
fn load(source: &Source) -> Option<TemplateSet> {
    let config_map = serde_json::from_str(&source.text).ok()?;
    Some(TemplateSet::load(&config_map))
}

/// A compiled ConfigMap, as a version of it is whose content is the same.
pub(super) fn at_version(set: &Arc<TemplateSet>, uid: &str, version: &str) -> Arc<TemplateSet> {
    if set.uid == uid && set.version == version {
        return Arc::clone(set);
    }
    Arc::new(TemplateSet { uid: uid.to_owned(), version: version.to_owned(), ..TemplateSet::clone(set) })
}

/// A ConfigMap of which nothing can be used, since compiling it panicked.
pub(super) fn broken(name: &NamespacedName) -> TemplateSet {
    TemplateSet {
        name: name.clone(),
        uid: String::new(),
        version: String::new(),
        hash: String::new(),
        masters: Masters::Named(Arc::default()),
        duration: None,
        max_dependents: None,
        allow: BTreeSet::new(),
        allow_masters: false,
        accepted: Accepted::default(),
        templates: LoadedTemplates::default(),
        namespaces: Arc::default(),
        needs: Vec::new(),
        problems: vec![Problem {
            severity: Severity::Error,
            key: None,
            line: None,
            message: "reading it made retinue panic, which is a fault of retinue; the other ConfigMaps keep working"
                .into(),
        }],
        weight: Weight::default(),
    }
}

/// Writes the problems of a ConfigMap to the log.
pub(super) fn log_problems(set: &TemplateSet) {
    let name = &set.name;
    for Problem { severity, key, line, message } in &set.problems {
        let (key, line) = (key.as_deref(), *line);
        match severity {
            Severity::Error => {
                tracing::warn!(config_map = %name, key, line, problem = message, "a template cannot be used")
            }
            Severity::Warning => {
                tracing::debug!(config_map = %name, key, line, problem = message, "a template gives cause for concern")
            }
        }
    }
}
