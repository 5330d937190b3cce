//! Parameters: the declared holes of a template ConfigMap, their schemas, and the values they take.

use std::collections::BTreeMap;

use serde_json::Value;

/// The parameters of one ConfigMap, sorted by name; [`crate::template::Hole::Declared`] points into it.
#[derive(Clone, Debug, Default)]
pub struct Parameters {
    /// In order of name.
    pub all: Vec<Parameter>,
}

/// One declared parameter.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// The name, as in `${name}`.
    pub name: String,
    /// What it may be.
    pub schema: Schema,
    /// For people.
    pub description: Option<String>,
    /// The value when nothing binds it, forwards.
    pub default: Option<Value>,
    /// The key or element whose value is this hole may be absent.
    pub optional: bool,
    /// Never written anywhere by retinue.
    pub sensitive: bool,
    /// A credential that the webhook fills.
    pub generated: Option<Generated>,
}

/// A credential that the webhook fills when it is absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// Characters.
    pub length: usize,
    /// The characters to draw from.
    pub alphabet: String,
}

/// A schema: the OpenAPI v3 subset of CRDs, closed.
#[derive(Clone, Debug)]
pub struct Schema {
    /// The compiled form; the fields are the parser's business.
    pub node: SchemaNode,
}

/// The kinds of schema.
#[derive(Clone, Debug)]
pub enum SchemaNode {
    /// Replaced by the parser's own types.
    Any(BTreeMap<String, Value>),
}

/// What was bound: a value per declared parameter (by position), and the given values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bindings {
    /// By position in [`Parameters`]; none where nothing bound it.
    pub declared: Vec<Option<Value>>,
    /// The given values that are known.
    pub given: BTreeMap<crate::template::Given, String>,
}
