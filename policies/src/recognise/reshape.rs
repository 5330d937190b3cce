//! What stood in a manifest, of what the server made of it.
//!
//! The server adds fields, which a closed schema does not name, drops empty ones, which a schema may require, and
//! rewrites quantities.

use serde_json::{Map, Value};

use super::spelling;
use crate::parameter::{Schema, SchemaNode};
use crate::tables::Shape;

/// `value` without the properties that `schema` does not admit, and with those that it requires where the server does
/// not tell an absent one from an empty one; none where that changes nothing.
pub(super) fn reshape(schema: &Schema, value: &Value, shape: Shape<'_>) -> Option<Value> {
    let reshaped = reshaped(schema, value, shape);
    (reshaped != *value).then_some(reshaped)
}

fn reshaped(schema: &Schema, value: &Value, shape: Shape<'_>) -> Value {
    match (&schema.node, value) {
        (SchemaNode::List(list), Value::Array(values)) => {
            Value::Array(values.iter().map(|value| reshaped(&list.items, value, shape.element())).collect())
        }
        (SchemaNode::Map(map), Value::Object(entries)) => {
            let mut out = Map::new();
            for (key, value) in entries {
                let named = map.properties.get(key);
                let Some(schema) = named.map(|property| &property.schema).or(map.additional.as_deref()) else {
                    continue;
                };
                let mut value = reshaped(schema, value, shape.field(key));
                // Or it was empty, and the server filled it in.
                if named.is_some_and(|property| !property.optional) && !schema.admits(&value) {
                    let mut empty = shape.replaced(key).into_iter();
                    value = empty.find(|empty| schema.admits(empty)).unwrap_or(value);
                }
                // One that may be absent may be the server's default, which the schema need not admit.
                if named.is_some_and(|property| !property.optional) || schema.admits(&value) {
                    out.insert(key.clone(), value);
                }
            }
            let missing = map.properties.iter().filter(|(key, property)| !property.optional && !out.contains_key(*key));
            let missing: Vec<_> = missing
                .filter_map(|(key, property)| {
                    let shape = shape.field(key);
                    Some((key.clone(), reshaped(&property.schema, &shape.zero()?, shape)))
                })
                .collect();
            out.extend(missing);
            Value::Object(out)
        }
        (SchemaNode::OneOf(schemas), _) => {
            let mut tried = schemas.iter().map(|schema| (schema, reshaped(schema, value, shape)));
            let fitting = tried.find(|(schema, value)| schema.admits(value));
            fitting.map_or_else(|| value.clone(), |(_, value)| value)
        }
        _ if spelling::is_quantity(shape.scalar()) && !schema.admits(value) => {
            spelling::values(value).find(|value| schema.admits(value)).unwrap_or_else(|| value.clone())
        }
        _ => value.clone(),
    }
}
