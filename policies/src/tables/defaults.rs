//! The defaults: what the API server adds to an object while it reads it, and the canonical form of what it keeps.
//!
//! The rows are data (`tables/defaults.txt`), the few that need logic are named rules ([`super::rules`]).

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use crate::object::Gvk;

use super::canonical::canonicalise;
use super::facts::Facts;
use super::names::NameHasher;
use super::rules::{self, Rule};
use super::shape::{CustomStruct, Node, Scalar, Shape, Struct, TypeRef, built_in, header, shape_of};

/// One row: what to do with one struct.
pub(super) enum Row {
    /// Give a field a value where it has none.
    Field { field: &'static str, value: Source, when: When },
    /// What takes more than a row to say.
    Rule(Rule),
    /// A row about the struct in a field, only where it is in this one.
    Within { field: &'static str, id: usize, row: Box<Row> },
}

/// Where a default value comes from.
pub(super) enum Source {
    Literal(Value),
    Field(&'static str),
}

/// When a row holds.
pub(super) enum When {
    Always,
    Present(&'static str),
    Absent(&'static str),
    Is(&'static str, &'static str),
}

impl When {
    pub(super) fn holds(&self, object: &Map<String, Value>) -> bool {
        match self {
            Self::Always => true,
            Self::Present(field) => object.contains_key(*field),
            Self::Absent(field) => !object.contains_key(*field),
            Self::Is(field, text) => object.get(*field).and_then(Value::as_str) == Some(text),
        }
    }
}

/// The rows by type, and by type those fields that get something even where they are absent: structs by value.
pub(super) struct Defaults {
    pub(super) rows: HashMap<usize, Vec<Row>, BuildHasherDefault<NameHasher>>,
    pub(super) waking: Vec<Vec<(&'static str, usize)>>,
    /// Whether any row is about a type, wherever it is.
    pub(super) ruled: Vec<bool>,
    /// By type, the fields that a row gives a value, wherever it is; those of rules are not among them.
    pub(super) filled: Vec<Vec<&'static str>>,
}

static DEFAULTS_TEXT: &str = include_str!("../../tables/defaults.txt");
pub(super) static DEFAULTS: LazyLock<Defaults> = LazyLock::new(|| {
    let rows = parse(DEFAULTS_TEXT).0;
    let mut wakes = vec![false; built_in().types.len()];
    for id in rows.keys() {
        wakes[*id] = true;
    }
    // A struct that holds such a struct by value gets something too; types nest a dozen deep at most.
    for _ in 0..16 {
        for id in 0..wakes.len() {
            wakes[id] = wakes[id]
                || built_in().types[id].fields.values().any(|field| match field {
                    TypeRef { pointer: false, node: Node::Struct(inner) } => wakes[*inner],
                    _ => false,
                });
        }
    }
    let waking = |found: &Struct| {
        let fields = found.fields.iter().filter_map(|(name, field)| match field {
            TypeRef { pointer: false, node: Node::Struct(inner) } if wakes[*inner] => Some((*name, *inner)),
            _ => None,
        });
        fields.collect()
    };
    let waking = built_in().types.iter().map(waking).collect();
    let mut ruled = vec![false; built_in().types.len()];
    let mut filled = vec![Vec::new(); built_in().types.len()];
    for (id, rows) in &rows {
        for row in rows {
            let (id, row) = if let Row::Within { id, row, .. } = row { (*id, &**row) } else { (*id, row) };
            ruled[id] = true;
            if let Row::Field { field, .. } = row {
                filled[id].push(*field);
            }
        }
    }
    Defaults { rows: rows.into_iter().collect(), waking, ruled, filled }
});

/// Reads the rows; the second list holds the lines that it does not understand, of which a test holds that there are
/// none.
fn parse(text: &'static str) -> (HashMap<usize, Vec<Row>>, Vec<&'static str>) {
    let mut rows: HashMap<usize, Vec<Row>> = HashMap::new();
    let mut unknown = Vec::new();
    let mut current = None;
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = header(line) {
            current = place(name);
            if current.is_none() {
                unknown.push(line);
            }
            continue;
        }
        let Some((id, within)) = current else { continue };
        let about = within.map_or(id, |(_, inner)| inner);
        let known = |row: &Row| match row {
            Row::Field { field, .. } => built_in().types[about].fields.contains_key(field),
            Row::Rule(_) | Row::Within { .. } => true,
        };
        match (row(line).filter(known), within) {
            (Some(row), None) => rows.entry(id).or_default().push(row),
            (Some(row), Some((field, inner))) => {
                let row = Row::Within { field, id: inner, row: Box::new(row) };
                rows.entry(id).or_default().push(row);
            }
            (None, _) => unknown.push(line),
        }
    }
    (rows, unknown)
}

/// A type, or the struct in a field of one: `batch/v1.Job`, `batch/v1.Job spec`.
fn place(header: &'static str) -> Option<(usize, Option<(&'static str, usize)>)> {
    let Some((name, field)) = header.split_once(' ') else { return Some((*built_in().ids.get(header)?, None)) };
    let id = *built_in().ids.get(name)?;
    match built_in().types[id].fields.get(field)?.node {
        Node::Struct(inner) => Some((id, Some((field, inner)))),
        _ => None,
    }
}

fn row(line: &'static str) -> Option<Row> {
    if let Some(name) = line.strip_prefix("rule ") {
        return rules::named(name).map(Row::Rule);
    }
    let (field, rest) = line.split_once(" = ")?;
    if let Some(other) = rest.strip_prefix("the ") {
        return Some(Row::Field { field, value: Source::Field(other), when: When::Always });
    }
    let (literal, when) = if let Some((literal, other)) = rest.split_once(" unless ") {
        (literal, When::Absent(other))
    } else if let Some((literal, condition)) = rest.split_once(" if ") {
        let when = match condition.split_once(" is ") {
            Some((other, text)) => When::Is(other, text),
            None => When::Present(condition),
        };
        (literal, when)
    } else {
        (rest, When::Always)
    };
    Some(Row::Field { field, value: Source::Literal(serde_json::from_str(literal).ok()?), when })
}

/// Completes an object as the API server would on reading it: defaults, canonical scalars, and nothing where the
/// server does not tell nothing from empty. Doing it twice changes nothing more.
pub fn complete(kind: &Gvk, value: &mut Value, facts: &Facts) {
    let shape = shape_of(kind, facts);
    let Some(root) = shape.of else { return };
    complete_value(root, value);
    if let Value::Object(object) = value {
        // On create a strategy drops what was sent; on update of the object it keeps the old one.
        if super::has_status(kind, facts) == Some(true) {
            object.remove("status");
        }
    }
}

fn complete_value(shape: &TypeRef, value: &mut Value) {
    match (&shape.node, value) {
        (Node::Scalar(scalar), value) => canonicalise(*scalar, value),
        (Node::List { element, .. }, Value::Array(elements)) => {
            for value in elements {
                complete_element(element, value);
            }
        }
        (Node::Map(values), Value::Object(object)) => {
            for value in object.values_mut() {
                complete_element(values, value);
            }
        }
        (Node::Struct(id), Value::Object(object)) => complete_struct(*id, object),
        (Node::Custom(custom), Value::Object(object)) => complete_custom(custom, object),
        _ => {}
    }
}

/// An element of a list or a value of a map: there Go reads null as the zero of its type.
fn complete_element(shape: &TypeRef, value: &mut Value) {
    if value.is_null()
        && let Some(zero) = Shape::of(shape).zero()
    {
        *value = zero;
    }
    complete_value(shape, value);
}

fn complete_struct(id: usize, object: &mut Map<String, Value>) {
    let fields = &built_in().types[id].fields;
    complete_scalars(id, object);
    if let Some(rows) = DEFAULTS.rows.get(&id) {
        for row in rows {
            apply(row, object);
        }
    }
    let mut drops = false;
    for (name, value) in object.iter_mut() {
        if let Some(shape) = fields.get(name.as_str()) {
            if !matches!(shape.node, Node::Scalar(_)) {
                complete_value(shape, value);
            }
            drops |= nothing(shape, value);
        }
    }
    for (name, inner) in &DEFAULTS.waking[id] {
        if !object.contains_key(*name) {
            let mut empty = Map::new();
            complete_struct(*inner, &mut empty);
            drops |= empty.is_empty();
            object.insert((*name).to_owned(), Value::Object(empty));
        }
    }
    // Seldom: taking something out of a map is dear, even where there is nothing to take.
    if drops {
        object.retain(|name, value| !fields.get(name.as_str()).is_some_and(|shape| nothing(shape, value)));
    }
}

/// Scalars come first: rows ask whether a field is there, and zero counts as absent where it is no pointer.
fn complete_scalars(id: usize, object: &mut Map<String, Value>) {
    let fields = &built_in().types[id].fields;
    let dropped = |shape: &TypeRef, value: &Value| value.is_null() || nothing(shape, value);
    let mut drops = false;
    for (name, value) in object.iter_mut() {
        let Some(shape) = fields.get(name.as_str()) else { continue };
        if let Node::Scalar(scalar) = shape.node {
            canonicalise(scalar, value);
        }
        drops |= dropped(shape, value);
    }
    if drops {
        object.retain(|name, value| !fields.get(name.as_str()).is_some_and(|shape| dropped(shape, value)));
    }
}

/// Whether the API server does not tell this value from an absent one. A value of another type than the field's is no
/// such: the server cannot read it, and says so.
pub(super) fn nothing(shape: &TypeRef, value: &Value) -> bool {
    if shape.pointer {
        return false;
    }
    match (&shape.node, value) {
        (Node::Scalar(Scalar::Plain), _) => false,
        (_, Value::Null) => true,
        (Node::Scalar(Scalar::Quantity | Scalar::MilliQuantity), Value::String(text)) => text == "0",
        (Node::Scalar(Scalar::Text | Scalar::Bytes), Value::String(text)) => text.is_empty(),
        // An empty int-or-string is no zero: it says "" and not 0.
        (Node::Scalar(Scalar::Integer | Scalar::Number | Scalar::IntOrString), Value::Number(number)) => {
            number.as_f64() == Some(0.0)
        }
        (Node::Scalar(Scalar::Boolean), Value::Bool(truth)) => !truth,
        (Node::List { .. }, Value::Array(elements)) => elements.is_empty(),
        (Node::Map(_) | Node::Struct(_) | Node::Custom(_), Value::Object(object)) => object.is_empty(),
        _ => false,
    }
}

fn apply(row: &Row, object: &mut Map<String, Value>) {
    match row {
        Row::Rule(rule) => (rule.apply)(object),
        Row::Within { field, id, row } => {
            let inner = object.entry(*field).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                complete_scalars(*id, inner);
                apply(row, inner);
            }
        }
        Row::Field { field, value, when } => {
            if object.contains_key(*field) || !when.holds(object) {
                return;
            }
            let value = match value {
                Source::Literal(value) => Some(value.clone()),
                Source::Field(other) => object.get(*other).cloned(),
            };
            if let Some(value) = value {
                object.insert((*field).to_owned(), value);
            }
        }
    }
}

fn complete_custom(custom: &CustomStruct, object: &mut Map<String, Value>) {
    for (name, field) in &custom.fields {
        let absent = object.get(name).is_none_or(|value| value.is_null() && !field.nullable);
        match &field.default {
            Some(default) if absent => {
                object.insert(name.clone(), default.clone());
            }
            _ => {}
        }
        if let Some(value) = object.get_mut(name) {
            complete_value(&field.shape, value);
        }
    }
    if let Some(additional) = &custom.additional {
        for (name, value) in object.iter_mut() {
            if !custom.fields.contains_key(name) {
                complete_value(additional, value);
            }
        }
    }
}

#[cfg(test)]
#[path = "defaults_tests.rs"]
mod tests;
