//! A manifest's tree, and how much of it is kept once for all templates that say the same.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde_json::Value;

use super::Hole;
use crate::lifetime::Lifetime;
use crate::parameter::text_of_value;
use crate::shared::Pool;
use crate::text::{Part, TextPattern};

static FIELDS: Pool<str> = Pool::new();
static MAPS: Pool<[(Field, Pattern)]> = Pool::new();
static LISTS: Pool<[Element]> = Pool::new();

/// A manifest's tree, literal but for its holes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// A literal scalar: null, boolean, number or text.
    Literal(Value),
    /// Text with at least one hole inside, or one quoted hole: always a string.
    Text(TextPattern),
    /// A plain `${name}` as the whole value: takes the parameter's type.
    Hole(Hole),
    /// A map; keys are literal and unique, in the order written.
    Map(Arc<[(Field, Pattern)]>),
    /// A list.
    List(Arc<[Element]>),
}

/// An element of a list pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// One element (or none, where it is an optional hole).
    One(Pattern),
    /// A list-typed hole written as an element: any number of elements, each valid against its `items`.
    Many(usize),
}

/// The name of a field. Equal names are kept once.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Field(Arc<str>);

impl From<&str> for Field {
    fn from(name: &str) -> Self {
        Self(FIELDS.share(name))
    }
}

impl Deref for Field {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for Field {
    fn eq(&self, other: &str) -> bool {
        *self.0 == *other
    }
}

impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl Pattern {
    /// A map of these, in this order; keys are unique. One without holes is kept once.
    ///
    /// One with holes is its template's own: what its texts are cut with depends on the template's parameters.
    pub fn map(entries: Vec<(Field, Pattern)>) -> Self {
        let holes = entries.iter().any(|(_, pattern)| pattern.has_holes());
        Self::Map(if holes { entries.into() } else { MAPS.share(entries) })
    }

    /// A list of these. One without holes is kept once.
    pub fn list(elements: Vec<Element>) -> Self {
        let holes = elements.iter().any(Element::has_holes);
        Self::List(if holes { elements.into() } else { LISTS.share(elements) })
    }

    /// The value, where there is no hole in it.
    pub fn literal(&self) -> Option<Value> {
        match self {
            Self::Literal(value) => Some(value.clone()),
            Self::Text(_) | Self::Hole(_) => None,
            Self::Map(entries) => entries
                .iter()
                .map(|(key, value)| Some((key.to_string(), value.literal()?)))
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

    /// The lifetime, where this is literally one: `90s`, `none`, a number of seconds.
    pub(crate) fn lifetime(&self) -> Option<Lifetime> {
        match self {
            Self::Literal(value) => Lifetime::parse(&text_of_value(value)?).ok(),
            _ => None,
        }
    }

    /// Every hole in it, in order, with repetitions.
    pub fn holes(&self) -> Vec<Hole> {
        let mut found = Vec::new();
        self.gather(&mut found);
        found
    }

    /// Steps of going through it: so many nodes it has, and parts of texts.
    pub(crate) fn size(&self) -> u64 {
        let below: u64 = match self {
            Self::Map(entries) => entries.iter().map(|(_, pattern)| 1 + pattern.size()).sum(),
            Self::List(elements) => elements
                .iter()
                .map(|element| match element {
                    Element::One(pattern) => pattern.size(),
                    Element::Many(_) => 1,
                })
                .sum(),
            Self::Text(text) => text.parts.len() as u64,
            Self::Literal(_) | Self::Hole(_) => 0,
        };
        4 + below
    }

    /// Whether there is any hole in it.
    pub fn has_holes(&self) -> bool {
        match self {
            Self::Literal(_) => false,
            Self::Hole(_) | Self::Text(_) => true,
            Self::Map(entries) => entries.iter().any(|(_, pattern)| pattern.has_holes()),
            Self::List(elements) => elements.iter().any(Element::has_holes),
        }
    }

    fn gather(&self, found: &mut Vec<Hole>) {
        match self {
            Self::Literal(_) => {}
            Self::Hole(hole) => found.push(*hole),
            Self::Text(text) => found.extend(text.parts.iter().filter_map(|part| match part {
                Part::Hole(hole) => Some(*hole),
                Part::Literal(_) => None,
            })),
            Self::Map(entries) => entries.iter().for_each(|(_, pattern)| pattern.gather(found)),
            Self::List(elements) => elements.iter().for_each(|element| match element {
                Element::One(pattern) => pattern.gather(found),
                Element::Many(position) => found.push(Hole::Declared(*position)),
            }),
        }
    }
}

impl Element {
    fn has_holes(&self) -> bool {
        match self {
            Self::One(pattern) => pattern.has_holes(),
            Self::Many(_) => true,
        }
    }
}
