//! What is kept of CustomResourceDefinitions: the shape of their kinds, by version.

mod read;

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::shape::{Scope, TypeRef};

/// One version of a custom resource.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct CustomVersion {
    /// Whether `status` is a subresource, so that the server drops it on create.
    pub(super) status: bool,
    pub(super) root: TypeRef,
}

/// Why a version of a CustomResourceDefinition cannot be judged by: its schema is beyond what retinue keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Too large.
    #[error(
        "its schema takes more than {} MiB of memory; describe fewer fields in it (x-kubernetes-preserve-unknown-fields), or give it shorter defaults",
        read::LARGEST >> 20
    )]
    Large,
    /// A default that is too deep.
    #[error("a default in its schema is more than {} levels deep; write a flatter one", read::DEEPEST_DEFAULT)]
    Deep,
}

/// What is kept of a CustomResourceDefinition: its names, and of its versions which fields there are, their defaults,
/// and how their lists are compared. Descriptions and validations are skipped while it is read.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    pub(super) group: String,
    pub(super) kind: String,
    pub(super) plural: String,
    pub(super) scope: Scope,
    pub(super) versions: BTreeMap<String, CustomVersion>,
    unreadable: BTreeMap<String, Unreadable>,
}

impl Definition {
    /// From a CustomResourceDefinition of `apiextensions.k8s.io/v1`; none where it has no group, kind or plural name.
    pub(super) fn of(crd: &Value) -> Option<Self> {
        Self::deserialize(crd.get("spec")?).ok()
    }

    /// Whether it defines this kind of this group.
    pub fn defines(&self, group: &str, kind: &str) -> bool {
        self.group == group && self.kind == kind
    }

    /// Forgets the versions that are not wanted.
    pub fn keep(&mut self, wanted: impl Fn(&str) -> bool) {
        self.versions.retain(|version, _| wanted(version));
        self.unreadable.retain(|version, _| wanted(version));
    }

    /// Why a version cannot be judged by; none where it can, and where there is no such version.
    pub fn unreadable(&self, version: &str) -> Option<Unreadable> {
        self.unreadable.get(version).copied()
    }
}

/// From the `spec` of a CustomResourceDefinition.
impl<'de> Deserialize<'de> for Definition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spec = read::Spec::deserialize(deserializer)?;
        let scope = if spec.scope == "Namespaced" { Scope::Namespaced } else { Scope::Cluster };
        let (mut versions, mut unreadable) = (BTreeMap::new(), BTreeMap::new());
        for mut version in spec.versions {
            let status = version.has_status();
            match version.root() {
                Ok(root) => drop(versions.insert(version.name, CustomVersion { status, root })),
                Err(why) => drop(unreadable.insert(version.name, why)),
            }
        }
        let read::Names { kind, plural } = spec.names;
        Ok(Self { group: spec.group, kind, plural, scope, versions, unreadable })
    }
}

#[cfg(test)]
#[path = "custom_tests.rs"]
mod tests;
