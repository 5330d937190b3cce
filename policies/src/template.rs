//! A manifest with holes as a pattern tree, and how it is read.

mod ambiguity;
mod coincide;
mod compile;
mod holes;
mod metadata;
mod rules;

#[cfg(test)]
mod tests;

use serde_json::Value;

pub(crate) use compile::{Before, read};
pub use compile::{Compiled, TemplateError, compile};
pub(crate) use holes::split;
pub use holes::{Mention, mentions};

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

impl Pattern {
    /// The value, where there is no hole in it.
    pub fn literal(&self) -> Option<Value> {
        match self {
            Self::Literal(value) => Some(value.clone()),
            Self::Text(_) | Self::Hole(_) => None,
            Self::Map(entries) => entries
                .iter()
                .map(|(key, value)| Some((key.clone(), value.literal()?)))
                .collect::<Option<serde_json::Map<_, _>>>()
                .map(Value::Object),
            Self::List(elements) => elements
                .iter()
                .map(|element| match element {
                    Element::One(pattern) => pattern.literal(),
                    Element::Many(_) => None,
                })
                .collect::<Option<Vec<_>>>()
                .map(Value::Array),
        }
    }

    /// The pattern of a key, where this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Pattern> {
        match self {
            Self::Map(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, pattern)| pattern),
            _ => None,
        }
    }

    /// The text, where this is literal text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Literal(value) => value.as_str(),
            _ => None,
        }
    }

    /// Every hole in it, in order, with repetitions.
    pub fn holes(&self) -> Vec<Hole> {
        let mut found = Vec::new();
        self.gather(&mut found);
        found
    }

    /// Whether there is any hole in it.
    pub fn has_holes(&self) -> bool {
        match self {
            Self::Literal(_) => false,
            Self::Hole(_) | Self::Text(_) => true,
            Self::Map(entries) => entries.iter().any(|(_, pattern)| pattern.has_holes()),
            Self::List(elements) => elements.iter().any(|element| match element {
                Element::One(pattern) => pattern.has_holes(),
                Element::Many(_) => true,
            }),
        }
    }

    fn gather(&self, found: &mut Vec<Hole>) {
        match self {
            Self::Literal(_) => {}
            Self::Hole(hole) => found.push(*hole),
            Self::Text(text) => found.extend(text.parts.iter().filter_map(|part| match part {
                crate::text::Part::Hole(hole) => Some(*hole),
                crate::text::Part::Literal(_) => None,
            })),
            Self::Map(entries) => entries.iter().for_each(|(_, pattern)| pattern.gather(found)),
            Self::List(elements) => elements.iter().for_each(|element| match element {
                Element::One(pattern) => pattern.gather(found),
                Element::Many(position) => found.push(Hole::Declared(*position)),
            }),
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
    /// `fledged.io/notify-before` of the manifest.
    pub notify_before: Option<Pattern>,
    /// The annotation of `kubectl apply` that the manifest itself carries, as one that was exported does. It is not part
    /// of the pattern; an object may carry this very text, or what `kubectl apply` writes.
    pub applied: Option<String>,
    /// Prepared at first use.
    pub shortcut: crate::recognise::Shortcut,
}
