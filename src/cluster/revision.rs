//! Which revision of which object: all that is read of one whose change is only an occasion to look elsewhere.
//!
//! Such objects are asked for as metadata alone. Even that may be large: annotations may take 256 KiB of each
//! CustomResourceDefinition (kubectl keeps there what was applied), so they are skipped while they are read, and few are
//! listed at once.

use serde::Deserialize;

use super::watch::{Watchable, Watched};

/// How many objects are listed at once where annotations may be large.
pub(crate) const FEW: u32 = 4;

/// A revision of an object.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Revision {
    metadata: Metadata,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    #[serde(default)]
    uid: String,
    generation: Option<u64>,
    resource_version: Option<String>,
}

impl Revision {
    /// The object's name.
    pub(crate) fn name(&self) -> &str {
        &self.metadata.name
    }

    /// The object's uid and generation, which counts what is written in `spec`: it stays where only `status` changes.
    /// Where there is no generation, its resource version.
    pub(crate) fn state(&self) -> String {
        let Metadata { uid, generation, resource_version, .. } = &self.metadata;
        match generation {
            Some(generation) => format!("{uid} {generation}"),
            None => format!("{uid} {}", resource_version.as_deref().unwrap_or_default()),
        }
    }
}

impl Watchable for Revision {
    fn version(&self) -> Option<&str> {
        self.metadata.resource_version.as_deref()
    }
    fn complete(&mut self, _: &Watched) {}
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
    use serde_json::json;

    use super::*;

    #[test]
    fn a_revision_is_told_by_uid_and_by_generation_where_there_is_one() {
        let revision = |metadata| serde_json::from_value::<Revision>(json!({ "metadata": metadata })).unwrap();
        let definition = revision(json!({
            "name": "widgets.example.com", "uid": "u", "generation": 2, "resourceVersion": "7",
            "annotations": {"a": "b"}, "managedFields": [{}],
        }));
        assert_eq!((definition.name(), definition.state().as_str()), ("widgets.example.com", "u 2"));
        assert_eq!(definition.version(), Some("7"));
        assert_eq!(revision(json!({"name": "a", "uid": "u", "resourceVersion": "7"})).state(), "u 7");
    }
}
