//! Reads the schema of a CustomResourceDefinition straight into the shape that is kept of it.
//!
//! Whoever writes a CustomResourceDefinition decides how large and how deep it is. What is kept is counted while it is
//! read, and what is not kept is skipped, not built first: reading a schema takes time and memory in proportion to its
//! text, and ends with [`Unreadable`] beyond [`LARGEST`].

use std::cell::Cell;
use std::fmt;
use std::mem::size_of;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::super::shape::{CustomField, CustomStruct, List, Node, Scalar, TypeRef};
use super::Unreadable;
use crate::budget::Budget;

/// How deep a schema is read; deeper it is plain. A parser of JSON ends at 128 levels, of which a level of the schema
/// takes two, what is around the schema eight, and a default [`DEEPEST_DEFAULT`].
const DEEPEST: usize = 44;
/// How deep a default may be.
pub(super) const DEEPEST_DEFAULT: usize = 24;
/// The most memory that the schema of one version takes, in bytes as [`FIELD`] and [`VALUE`] estimate them: some forty
/// thousand fields, several times what the largest definitions in use have.
pub(super) const LARGEST: u64 = 8 << 20;
/// What a field takes, beside its name: a tree of fields is filled to two thirds.
const FIELD: usize = size_of::<(String, CustomField)>() * 3 / 2;
/// What a value in a default takes, beside its text.
const VALUE: usize = size_of::<(String, Value)>() * 3 / 2;

/// `spec` of a CustomResourceDefinition.
#[derive(serde::Deserialize)]
pub(super) struct Spec {
    pub(super) group: String,
    pub(super) names: Names,
    pub(super) scope: String,
    #[serde(default)]
    pub(super) versions: Vec<Version>,
}

#[derive(serde::Deserialize)]
pub(super) struct Names {
    pub(super) kind: String,
    pub(super) plural: String,
}

#[derive(serde::Deserialize)]
pub(super) struct Version {
    pub(super) name: String,
    subresources: Option<Subresources>,
    schema: Option<Validation>,
}

#[derive(serde::Deserialize)]
struct Subresources {
    status: Option<IgnoredAny>,
}

#[derive(serde::Deserialize)]
struct Validation {
    #[serde(rename = "openAPIV3Schema")]
    root: Option<Root>,
}

/// The schema of a whole object.
struct Root(Result<TypeRef, Unreadable>);

impl<'de> Deserialize<'de> for Root {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let limits = Limits::new();
        let root = Schema { depth: 0, limits: &limits }.deserialize(deserializer)?;
        Ok(Self(limits.exceeded.get().map_or(Ok(root.shape), Err)))
    }
}

impl Version {
    pub(super) fn has_status(&self) -> bool {
        self.subresources.as_ref().is_some_and(|subresources| subresources.status.is_some())
    }

    /// The shape of an object of this version. Its metadata are those of every object.
    pub(super) fn root(&mut self) -> Result<TypeRef, Unreadable> {
        let schema = self.schema.take().and_then(|schema| schema.root);
        let mut root = schema.map_or_else(|| Ok(plain()), |root| root.0)?;
        let mut fields = match root.node {
            Node::Custom(fields) => fields,
            _ => Box::default(),
        };
        fields.fields.remove("apiVersion");
        fields.fields.remove("kind");
        if let Some(shape) = TypeRef::metadata() {
            fields.fields.insert("metadata".into(), CustomField { shape, default: None, nullable: false });
        }
        root.node = Node::Custom(fields);
        Ok(root)
    }
}

/// What may still be kept, and what went beyond it.
struct Limits {
    memory: Budget,
    exceeded: Cell<Option<Unreadable>>,
}

impl Limits {
    fn new() -> Self {
        Self { memory: Budget::of(LARGEST), exceeded: Cell::new(None) }
    }

    /// Takes so much memory; false where there is not so much left.
    fn take(&self, bytes: usize) -> bool {
        let taken = self.memory.spend(bytes as u64).is_ok();
        if !taken {
            self.exceed(Unreadable::Large);
        }
        taken
    }

    fn exceed(&self, why: Unreadable) {
        self.exceeded.set(self.exceeded.get().or(Some(why)));
    }
}

fn plain() -> TypeRef {
    scalar(Scalar::Plain)
}

fn scalar(scalar: Scalar) -> TypeRef {
    TypeRef { pointer: true, node: Node::Scalar(scalar) }
}

fn field(shape: TypeRef) -> CustomField {
    CustomField { shape, default: None, nullable: false }
}

/// The keys of a schema that say something about the shape.
#[derive(serde::Deserialize)]
#[serde(field_identifier)]
enum Key {
    #[serde(rename = "type")]
    Type,
    #[serde(rename = "properties")]
    Properties,
    #[serde(rename = "additionalProperties")]
    Additional,
    #[serde(rename = "items")]
    Items,
    #[serde(rename = "default")]
    Default,
    #[serde(rename = "nullable")]
    Nullable,
    #[serde(rename = "x-kubernetes-int-or-string")]
    IntOrString,
    #[serde(rename = "x-kubernetes-list-type")]
    ListType,
    #[serde(rename = "x-kubernetes-list-map-keys")]
    ListKeys,
    #[serde(other)]
    Other,
}

/// What a schema says, in whatever order.
#[derive(Default)]
struct Said {
    kind: Option<String>,
    fields: CustomStruct,
    items: Option<TypeRef>,
    default: Option<Value>,
    nullable: bool,
    int_or_string: bool,
    list: Option<String>,
    keys: Vec<String>,
}

impl Said {
    fn field(mut self) -> CustomField {
        let (default, nullable) = (self.default.take(), self.nullable);
        CustomField { shape: self.shape(), default, nullable }
    }

    fn shape(self) -> TypeRef {
        if self.int_or_string {
            return scalar(Scalar::IntOrString);
        }
        match self.kind.as_deref() {
            Some("object") => TypeRef { pointer: true, node: Node::Custom(Box::new(self.fields)) },
            Some("array") => {
                let list = match self.list.as_deref() {
                    Some("map") => List::Keyed(self.keys),
                    Some("set") => List::Set,
                    _ => List::Positional,
                };
                let element = Box::new(self.items.unwrap_or_else(plain));
                TypeRef { pointer: true, node: Node::List { element, list } }
            }
            Some("integer") => scalar(Scalar::Integer),
            Some("number") => scalar(Scalar::Number),
            Some("boolean") => scalar(Scalar::Boolean),
            Some("string") => scalar(Scalar::Text),
            _ => plain(),
        }
    }
}

/// Reads one schema. What is no schema (`additionalProperties: true`) is plain.
#[derive(Clone, Copy)]
struct Schema<'a> {
    depth: usize,
    limits: &'a Limits,
}

impl Schema<'_> {
    fn inner(self) -> Self {
        Self { depth: self.depth + 1, ..self }
    }
}

impl<'de> DeserializeSeed<'de> for Schema<'_> {
    type Value = CustomField;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<CustomField, D::Error> {
        if self.depth > DEEPEST || !self.limits.take(FIELD) {
            IgnoredAny::deserialize(deserializer)?;
            return Ok(field(plain()));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Schema<'_> {
    type Value = CustomField;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a schema")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<CustomField, A::Error> {
        let mut said = Said::default();
        while let Some(key) = map.next_key::<Key>()? {
            match key {
                Key::Type => said.kind = text(map.next_value()?),
                Key::Properties => map.next_value_seed(Properties { of: self, into: &mut said.fields })?,
                Key::Additional => {
                    said.fields.additional = map.next_value_seed(Additional(self.inner()))?.map(|field| field.shape);
                }
                Key::Items => said.items = Some(map.next_value_seed(self.inner())?.shape),
                Key::Default => {
                    let default = map.next_value_seed(DefaultValue { depth: 0, limits: self.limits })?;
                    // The server takes null for no default.
                    said.default = Some(default).filter(|default| !default.is_null());
                }
                Key::Nullable => said.nullable = map.next_value::<Value>()? == Value::Bool(true),
                Key::IntOrString => said.int_or_string = map.next_value::<Value>()? == Value::Bool(true),
                Key::ListType => said.list = text(map.next_value()?),
                Key::ListKeys => said.keys = texts(map.next_value()?),
                Key::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(said.field())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<CustomField, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(field(plain()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<CustomField, E> {
        Ok(field(plain()))
    }

    fn visit_unit<E>(self) -> Result<CustomField, E> {
        Ok(field(plain()))
    }
}

/// Reads the named fields of an object.
struct Properties<'a> {
    of: Schema<'a>,
    into: &'a mut CustomStruct,
}

impl<'de> DeserializeSeed<'de> for Properties<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Properties<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("schemas by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            let taken = self.of.limits.take(name.len());
            let field = map.next_value_seed(self.of.inner())?;
            if taken && self.of.limits.exceeded.get().is_none() {
                self.into.fields.insert(name, field);
            }
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Reads the schema of values whose keys are not named; none where there is only said whether there are such.
struct Additional<'a>(Schema<'a>);

impl<'de> DeserializeSeed<'de> for Additional<'_> {
    type Value = Option<CustomField>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Additional<'_> {
    type Value = Option<CustomField>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a schema, true or false")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        self.0.deserialize(MapAccessDeserializer::new(map)).map(Some)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// Reads a default, as large and as deep as may be.
#[derive(Clone, Copy)]
struct DefaultValue<'a> {
    depth: usize,
    limits: &'a Limits,
}

impl DefaultValue<'_> {
    fn inner(self) -> Self {
        Self { depth: self.depth + 1, ..self }
    }
}

impl<'de> DeserializeSeed<'de> for DefaultValue<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.depth > DEEPEST_DEFAULT {
            self.limits.exceed(Unreadable::Deep);
        }
        if self.limits.exceeded.get().is_some() || !self.limits.take(VALUE) {
            IgnoredAny::deserialize(deserializer)?;
            return Ok(Value::Null);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for DefaultValue<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let taken = self.limits.take(key.len());
            let value = map.next_value_seed(self.inner())?;
            if taken && self.limits.exceeded.get().is_none() {
                object.insert(key, value);
            }
        }
        Ok(Value::Object(object))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(self.inner())? {
            if self.limits.exceeded.get().is_none() {
                values.push(value);
            }
        }
        Ok(Value::Array(values))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(if self.limits.take(text.len()) { text.into() } else { Value::Null })
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(truth.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

fn texts(value: Value) -> Vec<String> {
    match value {
        Value::Array(values) => values.into_iter().filter_map(text).collect(),
        _ => Vec::new(),
    }
}
