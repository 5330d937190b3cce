//! A value without what a schema, being closed, does not name.

use serde_json::{Map, Value};

use crate::parameter::{Schema, SchemaNode};

/// `value` without the properties that `schema` does not admit; none where that changes nothing.
pub(super) fn prune(schema: &Schema, value: &Value) -> Option<Value> {
    let pruned = pruned(schema, value);
    (pruned != *value).then_some(pruned)
}

fn pruned(schema: &Schema, value: &Value) -> Value {
    match (&schema.node, value) {
        (SchemaNode::List(list), Value::Array(values)) => {
            Value::Array(values.iter().map(|value| pruned(&list.items, value)).collect())
        }
        (SchemaNode::Map(map), Value::Object(entries)) => {
            let admitted = entries.iter().filter_map(|(key, value)| {
                let schema = map.properties.get(key).map(|property| &property.schema).or(map.additional.as_deref())?;
                Some((key.clone(), pruned(schema, value)))
            });
            Value::Object(admitted.collect::<Map<_, _>>())
        }
        (SchemaNode::OneOf(schemas), _) => {
            let mut tried = schemas.iter().map(|schema| (schema, pruned(schema, value)));
            let fitting = tried.find(|(schema, value)| schema.accepts(value).is_ok());
            fitting.map_or_else(|| value.clone(), |(_, value)| value)
        }
        _ => value.clone(),
    }
}
