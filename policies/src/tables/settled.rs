//! Whether completing a value would change nothing: what webhooks are shown was completed by the server, and asking is
//! cheaper than copying the object to complete it.

use serde_json::{Map, Value};

use super::canonical::is_canonical;
use super::defaults::{DEFAULTS, Row, Source, nothing};
use super::shape::{CustomStruct, Node, Shape, TypeRef, built_in};

/// Whether [`super::complete`] would leave a value of this shape as it is. `false` says nothing: it may.
pub fn settled(shape: Shape<'_>, value: &Value) -> bool {
    shape.of.is_none_or(|of| settled_value(of, value))
}

/// As [`settled`], of a field or an element: it says something, too, so the server would not drop it.
pub(crate) fn stays(shape: Shape<'_>, value: &Value) -> bool {
    !value.is_null() && shape.of.is_none_or(|of| settled_value(of, value) && (shape.entry() || !nothing(of, value)))
}

fn settled_value(shape: &TypeRef, value: &Value) -> bool {
    match (&shape.node, value) {
        (Node::Scalar(scalar), value) => is_canonical(*scalar, value),
        (Node::List { element, .. }, Value::Array(elements)) => {
            elements.iter().all(|value| settled_element(element, value))
        }
        (Node::Map(values), Value::Object(object)) => object.values().all(|value| settled_element(values, value)),
        (Node::Struct(id), Value::Object(object)) => settled_struct(*id, object),
        (Node::Custom(custom), Value::Object(object)) => settled_custom(custom, object),
        _ => true,
    }
}

fn settled_element(shape: &TypeRef, value: &Value) -> bool {
    !value.is_null() && settled_value(shape, value)
}

fn settled_struct(id: usize, object: &Map<String, Value>) -> bool {
    let fields = &built_in().types[id].fields;
    let field = |(name, value): (&String, &Value)| match fields.get(name.as_str()) {
        Some(shape) => !value.is_null() && !nothing(shape, value) && settled_value(shape, value),
        None => true,
    };
    object.iter().all(field)
        && DEFAULTS.waking[id].iter().all(|(name, _)| object.contains_key(*name))
        && DEFAULTS.rows.get(&id).is_none_or(|rows| rows.iter().all(|row| settled_row(row, object)))
}

fn settled_row(row: &Row, object: &Map<String, Value>) -> bool {
    match row {
        Row::Rule(rule) => rule.settled(object),
        Row::Within { field, row, .. } => match object.get(*field) {
            Some(Value::Object(inner)) => settled_row(row, inner),
            Some(_) => true,
            None => false,
        },
        Row::Field { field, value, when } => {
            object.contains_key(*field)
                || !when.holds(object)
                || matches!(value, Source::Field(other) if !object.contains_key(*other))
        }
    }
}

fn settled_custom(custom: &CustomStruct, object: &Map<String, Value>) -> bool {
    let named = |(name, field): (&String, &super::shape::CustomField)| match object.get(name) {
        Some(value) => {
            (field.default.is_none() || field.nullable || !value.is_null()) && settled_value(&field.shape, value)
        }
        None => field.default.is_none(),
    };
    let other = |(name, value): (&String, &Value)| {
        custom.fields.contains_key(name)
            || custom.additional.as_ref().is_none_or(|additional| settled_value(additional, value))
    };
    custom.fields.iter().all(named) && object.iter().all(other)
}
