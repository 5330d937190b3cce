//! YAML as kubectl reads it (`sigs.k8s.io/yaml`, that is YAML 1.1 scalars over a YAML parser), with what that reading
//! loses and a template needs: the style of each scalar, its line and its column.
//!
//! Stricter than kubectl in one thing: a duplicate key is an error, also where two spellings meet (`1` and `"1"`).
//! Bounded: bytes, depth, and what aliases may expand to.

mod build;
mod flow;
mod scalar;

#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use crate::budget::Budget;

pub use scalar::is_short_boolean;

/// The most bytes that are read: twice what etcd stores of one object by default.
pub const MOST_BYTES: usize = 3 << 20;
/// The deepest nesting that is read; no kind of Kubernetes comes near it, and recursion over it is safe on any stack.
pub const MOST_DEPTH: usize = 400;

/// Why a text is no YAML, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct YamlError {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// What is wrong and what to do.
    pub message: String,
}

/// How a scalar is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Plain: `workers`.
    Plain,
    /// In single or double quotes.
    Quoted,
    /// A block: `|` or `>`.
    Block,
}

/// A value, and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// What it is.
    pub content: Content,
}

/// What a [`Node`] is.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Null, boolean, number or text.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order written; keys are unique.
    Map(Vec<Entry>),
}

/// A scalar.
#[derive(Clone, Debug, PartialEq)]
pub struct Scalar {
    /// As written, escapes and folding undone.
    pub text: String,
    /// How it is written.
    pub style: Style,
    /// What kubectl makes of it.
    pub value: Value,
}

/// A key of a map and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key, as kubectl makes text of it: `on` is `true`.
    pub key: String,
    /// The key's line, from 1.
    pub line: usize,
    /// The key's column, from 1.
    pub column: usize,
    /// The value.
    pub value: Node,
}

impl Node {
    /// As JSON.
    pub fn to_value(&self) -> Value {
        match &self.content {
            Content::Scalar(scalar) => scalar.value.clone(),
            Content::List(items) => Value::Array(items.iter().map(Node::to_value).collect()),
            Content::Map(entries) => Value::Object(
                entries.iter().map(|entry| (entry.key.clone(), entry.value.to_value())).collect::<Map<_, _>>(),
            ),
        }
    }

    /// The value of a key, where this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries()?.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// The entries, where this is a map.
    pub fn entries(&self) -> Option<&[Entry]> {
        match &self.content {
            Content::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The items, where this is a list.
    pub fn items(&self) -> Option<&[Node]> {
        match &self.content {
            Content::List(items) => Some(items),
            _ => None,
        }
    }

    /// The text, where this is a scalar that kubectl reads as text.
    pub fn as_str(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(scalar) => scalar.value.as_str(),
            _ => None,
        }
    }

    /// Whether this is null.
    pub fn is_null(&self) -> bool {
        matches!(&self.content, Content::Scalar(scalar) if scalar.value.is_null())
    }

    /// "a map", "a list", "text", "a number", …: for messages.
    pub fn describe(&self) -> &'static str {
        match &self.content {
            Content::List(_) => "a list",
            Content::Map(_) => "a map",
            Content::Scalar(scalar) => match &scalar.value {
                Value::Null => "null",
                Value::Bool(_) => "a boolean",
                Value::Number(_) => "a number",
                _ => "text",
            },
        }
    }
}

/// Every document of a text; empty ones are dropped.
///
/// # Errors
/// [`YamlError`] for the first thing that is no YAML, that kubectl would not read, or that passes a bound.
pub fn documents(text: &str) -> Result<Vec<Node>, YamlError> {
    documents_within(text, &Budget::of(u64::MAX))
}

/// As [`documents`], by steps of `budget`.
pub(crate) fn documents_within(text: &str, budget: &Budget) -> Result<Vec<Node>, YamlError> {
    build::documents(text, budget)
}

/// The one document of a text as JSON; null for an empty text.
///
/// # Errors
/// As [`documents`], and for a second document.
pub fn value(text: &str) -> Result<Value, YamlError> {
    value_within(text, &Budget::of(u64::MAX))
}

/// As [`value`], by steps of `budget`.
pub(crate) fn value_within(text: &str, budget: &Budget) -> Result<Value, YamlError> {
    let documents = documents_within(text, budget)?;
    match documents.get(1) {
        Some(second) => Err(YamlError {
            line: second.line,
            column: second.column,
            message: "expected one document, got a second one: remove it, or the --- before it".into(),
        }),
        None => Ok(documents.first().map_or(Value::Null, Node::to_value)),
    }
}
