//! Parameters: the declared holes of a template ConfigMap, their schemas, and the values they take.
//!
//! A schema is the OpenAPI v3 subset of CRDs, closed: an unnamed property is refused, a named one required unless it
//! is optional or has a default. `oneOf` means exactly one.

mod accept;
mod enumeration;
mod format;
mod pattern;
mod properties;
mod read;
mod text_form;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::OnceLock;

use serde_json::{Number, Value};

use crate::budget::Budget;
use crate::quantity::Quantity;
use crate::text::Pieces;

pub use accept::Mismatch;
pub use enumeration::Enumeration;
pub use pattern::{Pattern, PatternError};
pub use properties::Properties;
pub use read::ParameterError;
pub use text_form::text_of_value;

/// The parameters of one ConfigMap, sorted by name; [`crate::template::Hole::Declared`] points into it.
#[derive(Clone, Debug, Default)]
pub struct Parameters {
    /// In order of name.
    pub all: Vec<Parameter>,
    /// What texts are made of.
    pub(crate) pieces: Pieces,
}

impl Parameters {
    /// These, in order of name.
    fn of(all: Vec<Parameter>) -> Self {
        let pieces = Pieces::of(&all);
        Self { all, pieces }
    }

    /// Reads the text of the `parameters` key.
    ///
    /// # Errors
    /// Everything that is wrong with it, by line.
    pub fn parse(text: &str) -> Result<Self, Vec<ParameterError>> {
        Self::parse_within(text, &Budget::of(u64::MAX))
    }

    /// As [`Parameters::parse`], by steps of `budget`.
    pub(crate) fn parse_within(text: &str, budget: &Budget) -> Result<Self, Vec<ParameterError>> {
        read::parameters(text, budget)
    }

    /// The position of a parameter by name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.all.binary_search_by(|parameter| parameter.name.as_str().cmp(name)).ok()
    }

    /// A parameter by name.
    pub fn get(&self, name: &str) -> Option<&Parameter> {
        self.position(name).map(|position| &self.all[position])
    }
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
    /// Line of its name within the `parameters` text, from 1.
    pub line: usize,
}

/// A credential that the webhook fills when it is absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// Characters.
    pub length: usize,
    /// The characters to draw from.
    pub alphabet: String,
}

/// A schema: what a value may be.
#[derive(Clone, Debug)]
pub struct Schema {
    /// What kind of value.
    pub node: SchemaNode,
    /// `enum`: the only values; empty where there is none.
    pub allowed: Enumeration,
}

/// The kinds of schema.
#[derive(Clone, Debug)]
pub enum SchemaNode {
    /// `type: string`.
    Text(TextSchema),
    /// `type: integer` or `type: number`.
    Number(NumberSchema),
    /// `type: boolean`.
    Boolean,
    /// `type: array`.
    List(ListSchema),
    /// `type: object`.
    Map(MapSchema),
    /// `oneOf`: exactly one of them accepts the value.
    OneOf(Branches),
}

/// The schemas of a `oneOf`.
#[derive(Clone, Debug, Default)]
pub struct Branches {
    all: Vec<Schema>,
    /// Whether some values are lists, and whether some are maps: each use of a parameter asks.
    are_lists: bool,
    are_maps: bool,
    /// What a byte costs that is held against all of them, once somebody counted.
    price: OnceLock<u64>,
}

impl From<Vec<Schema>> for Branches {
    fn from(all: Vec<Schema>) -> Self {
        let (are_lists, are_maps) = (all.iter().any(Schema::is_list), all.iter().any(Schema::is_map));
        Self { all, are_lists, are_maps, price: OnceLock::new() }
    }
}

impl Deref for Branches {
    type Target = [Schema];

    fn deref(&self) -> &[Schema] {
        &self.all
    }
}

impl Branches {
    /// What was counted, if it was.
    pub(crate) fn price(&self) -> &OnceLock<u64> {
        &self.price
    }
}

/// `type: string`.
#[derive(Clone, Debug, Default)]
pub struct TextSchema {
    /// `pattern`, against the whole value; that of an image format too.
    pub pattern: Option<Pattern>,
    /// `minLength`, in characters.
    pub min_length: Option<usize>,
    /// `maxLength`, in characters.
    pub max_length: Option<usize>,
    /// `format`.
    pub format: Option<Format>,
}

/// Formats of text.
#[derive(Clone, Debug)]
pub enum Format {
    /// `quantity`: `500m`, `2Gi`, a plain number too; with inclusive bounds.
    Quantity {
        /// `minimum`.
        minimum: Option<Quantity>,
        /// `maximum`.
        maximum: Option<Quantity>,
    },
    /// `duration`: `90s`, `1h30m`, seconds; with inclusive bounds in seconds.
    Duration {
        /// `minimum`.
        minimum: Option<u64>,
        /// `maximum`.
        maximum: Option<u64>,
    },
    /// `image`: the pattern holds what it may be, the text says it for people.
    Image(String),
}

/// `type: integer` or `type: number`.
#[derive(Clone, Debug, Default)]
pub struct NumberSchema {
    /// Whole numbers only.
    pub integer: bool,
    /// `minimum`.
    pub minimum: Option<Bound>,
    /// `maximum`.
    pub maximum: Option<Bound>,
}

/// A bound of a number.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// The number.
    pub number: Number,
    /// Whether the number itself is outside (`exclusiveMinimum`, `exclusiveMaximum`).
    pub exclusive: bool,
}

/// `type: array`.
#[derive(Clone, Debug)]
pub struct ListSchema {
    /// `items`.
    pub items: Box<Schema>,
    /// `minItems`.
    pub min_items: Option<usize>,
    /// `maxItems`.
    pub max_items: Option<usize>,
}

/// `type: object`.
#[derive(Clone, Debug, Default)]
pub struct MapSchema {
    /// `properties`.
    pub properties: Properties,
    /// `additionalProperties`, a schema; none: no other key.
    pub additional: Option<Box<Schema>>,
}

/// A property of an object.
#[derive(Clone, Debug)]
pub struct Property {
    /// What it may be.
    pub schema: Schema,
    /// May be absent: it is `optional` or has a default.
    pub optional: bool,
    /// The default.
    pub default: Option<Value>,
}

impl Schema {
    /// Of a node, with any value of it.
    pub fn of(node: SchemaNode) -> Self {
        Self { node, allowed: Enumeration::default() }
    }

    /// Any text.
    pub fn text() -> Self {
        Self::of(SchemaNode::Text(TextSchema::default()))
    }

    /// Whether its values are lists (with `oneOf`: some of them).
    pub fn is_list(&self) -> bool {
        match &self.node {
            SchemaNode::List(_) => true,
            SchemaNode::OneOf(schemas) => schemas.are_lists,
            _ => false,
        }
    }

    /// Whether its values are those of one of several schemas.
    pub(crate) fn is_one_of(&self) -> bool {
        matches!(self.node, SchemaNode::OneOf(_))
    }

    /// Whether its values are maps (with `oneOf`: some of them).
    pub fn is_map(&self) -> bool {
        match &self.node {
            SchemaNode::Map(_) => true,
            SchemaNode::OneOf(schemas) => schemas.are_maps,
            _ => false,
        }
    }

    /// `items`, of a list.
    pub fn items(&self) -> Option<&Schema> {
        match &self.node {
            SchemaNode::List(list) => Some(&list.items),
            _ => None,
        }
    }

    /// Whether any text at all is accepted, save for its length: what an admin will regret in a command.
    pub fn is_free_text(&self) -> bool {
        match &self.node {
            _ if !self.allowed.is_empty() => false,
            SchemaNode::Text(text) => text.format.is_none() && text.pattern.as_ref().is_none_or(Pattern::is_anything),
            SchemaNode::List(list) => list.items.is_free_text(),
            SchemaNode::OneOf(schemas) => schemas.iter().any(Schema::is_free_text),
            _ => false,
        }
    }
}

/// What was bound: a value per declared parameter (by position), and the given values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bindings {
    /// By position in [`Parameters`]; none where nothing bound it.
    pub declared: Vec<Option<Value>>,
    /// The given values that are known.
    pub given: BTreeMap<crate::template::Given, String>,
}
