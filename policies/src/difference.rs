//! Differences between what a template says and what an object is, for people and for machines.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::stamp::hex;

/// A path into an object: `spec.template.spec.containers[name=main].env[0].value`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path(Vec<Step>);

/// One step of a [`Path`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// A key of a map.
    Key(String),
    /// A position in a list.
    Index(usize),
    /// An element of a keyed list, by the value of its merge keys: `name=main`, `containerPort=80,protocol=TCP`.
    Element(String),
}

/// The longest name in a step that is written out, in bytes: a name is said again with each difference below it.
const LONGEST_NAME: usize = 512;
/// How much of a longer one is shown.
const NAME_SHOWN: usize = 128;

impl Step {
    /// A key of a map, as differences name it: one that is too long by its beginning and a hash.
    pub(crate) fn key(name: &str) -> Self {
        Self::Key(short_name(name).unwrap_or_else(|| name.to_owned()))
    }

    /// An element, as differences name it.
    pub(crate) fn element(label: String) -> Self {
        Self::Element(short_name(&label).unwrap_or(label))
    }
}

fn short_name(name: &str) -> Option<String> {
    if name.len() <= LONGEST_NAME {
        return None;
    }
    let head = &name[..name.floor_char_boundary(NAME_SHOWN)];
    Some(format!("{head}…{}", hex(&Sha256::digest(name), 32)))
}

impl Path {
    /// The object itself.
    pub fn root() -> Self {
        Self::default()
    }
    /// From its steps.
    pub fn from_steps(steps: Vec<Step>) -> Self {
        Self(steps)
    }
    /// One step down.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.then(Step::Key(key.into()))
    }
    /// One element down, by position.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.then(Step::Index(index))
    }
    /// One element down, by merge key.
    #[must_use]
    pub fn element(&self, key: impl Into<String>) -> Self {
        self.then(Step::Element(key.into()))
    }
    /// One step down.
    #[must_use]
    pub fn then(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
    /// The steps.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }
    /// Whether `self` is `other` or lies above it.
    pub fn contains(&self, other: &Path) -> bool {
        other.0.starts_with(&self.0)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("(the object)");
        }
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if key.contains(['.', '/', '[', ']']) || key.is_empty() => write!(f, "[{key:?}]")?,
                Step::Key(key) if position == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Element(key) => write!(f, "[{key}]")?,
            }
        }
        Ok(())
    }
}

impl Serialize for Path {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What a template wants at a path.
#[derive(Clone, Debug, PartialEq)]
pub enum Expected {
    /// Exactly this value.
    Value(Value),
    /// Nothing: the template does not name this field.
    Nothing,
    /// Something that a parameter's schema describes; the text says what, for people.
    Described(String),
}

/// What an object has at a path.
#[derive(Clone, Debug, PartialEq)]
pub enum Got {
    /// This value.
    Value(Value),
    /// Nothing.
    Nothing,
    /// Something that must not be shown (a sensitive or generated parameter, a Secret's data).
    Hidden,
}

/// One difference. Values of Secrets and of sensitive parameters are never in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Where.
    pub path: Path,
    /// What the template wants there.
    pub expected: Expected,
    /// What the object has there.
    pub got: Got,
}

/// How many characters of a value a message shows.
const SHOWN: usize = 120;
/// And of a description.
const DESCRIBED: usize = 2000;

fn shown(value: &Value) -> String {
    cut(&value.to_string(), SHOWN).into_owned()
}

/// The beginning of what is too long.
fn cut(text: &str, most: usize) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        None => text.into(),
        Some((end, _)) => format!("{}…", &text[..end]).into(),
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => f.write_str(&shown(value)),
            Self::Nothing => f.write_str("nothing"),
            Self::Described(text) => f.write_str(&cut(text, DESCRIBED)),
        }
    }
}

impl fmt::Display for Got {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => f.write_str(&shown(value)),
            Self::Nothing => f.write_str("nothing"),
            Self::Hidden => f.write_str("a value that is not shown"),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}, got {}", self.path, self.expected, self.got)
    }
}

impl Serialize for Difference {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut out = serializer.serialize_struct("Difference", 3)?;
        out.serialize_field("path", &self.path)?;
        match &self.expected {
            Expected::Value(value) => out.serialize_field("expected", value)?,
            other => out.serialize_field("expected", &other.to_string())?,
        }
        match &self.got {
            Got::Value(value) => out.serialize_field("got", value)?,
            other => out.serialize_field("got", &other.to_string())?,
        }
        out.end()
    }
}
