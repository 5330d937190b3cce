//! A manifest with holes as a pattern tree, and how it is read.

mod ambiguity;
mod coincide;
mod compile;
mod costs;
mod errors;
mod holes;
mod metadata;
mod pattern;
mod rules;
mod sidecars;
mod way;

#[cfg(test)]
mod tests;

pub(crate) use compile::{Before, Shared, again, documents, read};
pub use compile::{Compiled, compile};
pub(crate) use costs::Dear;
pub use errors::TemplateError;
pub(crate) use holes::split;
pub use holes::{Mention, mentions};
pub use pattern::{Element, Field, Pattern};

use std::sync::Arc;

use crate::object::Gvk;
use crate::parameter::Parameters;
use crate::sidecars::Sidecars;

/// A hole: a declared parameter by its position in [`Parameters`], or a value given by the caller's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hole {
    /// A declared parameter.
    Declared(usize),
    /// A value that the caller's verified identity gives.
    Given(Given),
}

/// The values that the caller's verified identity gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Given {
    /// `${master.name}`: the ServiceAccount's name.
    MasterName,
    /// `${master.namespace}`.
    MasterNamespace,
    /// `${master.uid}`: the uid of the master's workload.
    MasterUid,
    /// `${pod.name}`.
    PodName,
    /// `${pod.uid}`.
    PodUid,
    /// `${pod.ip}`.
    PodIp,
}

impl Given {
    /// Every given value.
    pub const ALL: [Given; 6] =
        [Self::MasterName, Self::MasterNamespace, Self::MasterUid, Self::PodName, Self::PodUid, Self::PodIp];

    /// The name as a template writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::MasterName => "master.name",
            Self::MasterNamespace => "master.namespace",
            Self::MasterUid => "master.uid",
            Self::PodName => "pod.name",
            Self::PodUid => "pod.uid",
            Self::PodIp => "pod.ip",
        }
    }
}

/// Who owns what this template makes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Owner {
    /// The master's top workload.
    #[default]
    Workload,
    /// The master's pod.
    Pod,
    /// Nobody.
    None,
}

/// Where an object of this template may live.
#[derive(Clone, Debug, PartialEq)]
pub enum Placement {
    /// The manifest names no namespace: the master's own.
    MasterNamespace,
    /// The manifest names it; text that may have (given) holes.
    Named(Pattern),
}

/// One compiled template: one manifest of one `data` key of one ConfigMap.
#[derive(Clone, Debug)]
pub struct Template {
    /// The `data` key, with `#2`, `#3` after it for the later documents of a key.
    pub key: String,
    /// Line of the manifest's first line inside the key's text, from 1.
    pub line: usize,
    /// Kind of the objects.
    pub kind: Arc<Gvk>,
    /// The whole manifest (with apiVersion, kind, metadata.name), without retinue's instructions and without
    /// `metadata.namespace`, which is [`Template::placement`]; its sidecars where they are stored.
    pub pattern: Pattern,
    /// Where its objects may live.
    pub placement: Placement,
    /// The parameters declared in the ConfigMap; bound per object.
    pub parameters: Arc<Parameters>,
    /// `fledged.io/owner`.
    pub owner: Owner,
    /// `fledged.io/duration` of the manifest: a literal duration (`none` included) or a hole.
    pub duration: Option<Pattern>,
    /// `fledged.io/keep-finished` of the manifest.
    pub keep_finished: Option<Pattern>,
    /// `fledged.io/notify-before` of the manifest.
    pub notify_before: Option<Pattern>,
    /// `fledged.io/native-sidecars` of the manifest: what was moved in [`Template::pattern`], which is what is stored.
    pub sidecars: Option<Box<Sidecars>>,
    /// The annotation of `kubectl apply` that the manifest itself carries, as one that was exported does. It is not part
    /// of the pattern; an object may carry this very text, or what `kubectl apply` writes.
    pub applied: Option<String>,
    /// Prepared at first use.
    pub shortcut: crate::recognise::Shortcut,
}
