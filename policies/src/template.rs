//! A manifest with holes as a pattern tree, and how it is read.

use serde_json::Value;

use crate::object::Gvk;
use crate::parameter::Parameters;
use crate::text::TextPattern;

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

/// A manifest's tree, literal but for its holes.
#[derive(Clone, Debug, PartialEq)]
pub enum Pattern {
    /// A literal scalar: null, boolean, number or text.
    Literal(Value),
    /// Text with at least one hole inside, or one quoted hole: always a string.
    Text(TextPattern),
    /// A plain `${name}` as the whole value: takes the parameter's type.
    Hole(Hole),
    /// A map; keys are literal and unique, in the order written.
    Map(Vec<(String, Pattern)>),
    /// A list.
    List(Vec<Element>),
}

/// An element of a list pattern.
#[derive(Clone, Debug, PartialEq)]
pub enum Element {
    /// One element (or none, where it is an optional hole).
    One(Pattern),
    /// A list-typed hole written as an element: any number of elements, each valid against its `items`.
    Many(usize),
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
    pub kind: Gvk,
    /// The whole manifest (with apiVersion, kind, metadata.name), without retinue's instructions and without
    /// `metadata.namespace`, which is [`Template::placement`].
    pub pattern: Pattern,
    /// Where its objects may live.
    pub placement: Placement,
    /// The parameters declared in the ConfigMap; bound per object.
    pub parameters: std::sync::Arc<Parameters>,
    /// `fledged.io/owner`.
    pub owner: Owner,
    /// `fledged.io/duration` of the manifest: a literal duration (`none` included) or a hole.
    pub duration: Option<Pattern>,
    /// `fledged.io/keep-finished` of the manifest.
    pub keep_finished: Option<Pattern>,
}
