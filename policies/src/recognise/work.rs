//! What recognising costs, in steps ([`crate::budget`]): about a nanosecond of one core each in a release build.
//!
//! What goes along an object or a template once is counted beforehand, by how long these are ([`size`], [`sizes`]); what
//! holds parts of the one against many parts of the other counts on its way.

use serde_json::Value;

use crate::parameter::{Bindings, Parameters, Schema, SchemaNode, TextSchema, text_of_value};
use crate::template::{Element, Hole, Pattern};
use crate::text::{Part, TextPattern};

/// Looking at one thing.
pub(crate) const LOOK: usize = 16;
/// Bringing a value nearer to its schema, in times that it is held against it.
const RESHAPING: u64 = 8;
/// Holding an object against a template, all of it: to bind, render, complete and compare, for each of [`size`].
pub(super) const HOLDING: u64 = 12;
/// Copying an object and completing the copy, for each of [`size`].
pub(crate) const COPYING: u64 = 4;
/// Keeping what the holes of a text stand for.
const KEEPING: u64 = 48;
/// A state of an automaton, entered with a byte.
const STATE: u64 = 4;
/// A state, made part of a table.
const TABLED: u64 = 256;

/// A value, for what goes along it once: 16 for each, one for each byte of its texts.
pub(crate) fn size(value: &Value) -> u64 {
    match value {
        Value::String(text) => 16 + text.len() as u64,
        Value::Array(values) => 16 + sizes(values),
        Value::Object(fields) => {
            16 + fields.iter().map(|(name, value)| 16 + name.len() as u64 + size(value)).sum::<u64>()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => 16,
    }
}

/// Several.
pub(crate) fn sizes(values: &[Value]) -> u64 {
    values.iter().map(size).sum()
}

/// What `pattern` renders with these bindings, once it is a value. A hole that is used often makes much of little.
pub(crate) fn rendered(pattern: &Pattern, bindings: &Bindings) -> u64 {
    let bound = |index: usize| bindings.declared.get(index).and_then(Option::as_ref);
    match pattern {
        Pattern::Literal(value) => size(value),
        Pattern::Text(text) => text_rendered(text, bindings),
        Pattern::Hole(Hole::Declared(index)) => bound(*index).map_or(16, size),
        Pattern::Hole(Hole::Given(_)) => 64,
        Pattern::Map(entries) => {
            let fields = entries.iter().map(|(name, pattern)| 16 + name.len() as u64 + rendered(pattern, bindings));
            fields.fold(16, u64::saturating_add)
        }
        Pattern::List(elements) => {
            let all = elements.iter().map(|element| match element {
                Element::One(pattern) => rendered(pattern, bindings),
                Element::Many(index) => bound(*index).map_or(16, size),
            });
            all.fold(16, u64::saturating_add)
        }
    }
}

fn text_rendered(text: &TextPattern, bindings: &Bindings) -> u64 {
    let parts = text.parts.iter().map(|part| match part {
        Part::Literal(literal) => literal.len(),
        Part::Hole(Hole::Given(_)) => 64,
        Part::Hole(Hole::Declared(index)) => match bindings.declared.get(*index).and_then(Option::as_ref) {
            Some(Value::String(value)) => value.len(),
            Some(value) => text_of_value(value).map_or(0, |text| text.len()),
            None => 0,
        },
    });
    parts.fold(16, |sum, length| sum.saturating_add(length as u64 + 8))
}

/// Reading a text of so many bytes backwards.
pub(super) fn of_text(text: &TextPattern, length: usize, parameters: &Parameters) -> u64 {
    let declared = |part: &Part| match part {
        Part::Hole(Hole::Declared(index)) => parameters.all.get(*index),
        _ => None,
    };
    let dearest = text.parts.iter().filter_map(declared).map(|parameter| price(&parameter.schema));
    let Price { each, once } = dearest.fold(Price::LEAST, Price::or);
    // With several holes each byte may belong to any part. What one hole alone stands for is the rest, copied.
    let parts = if text.parts.len() < 3 { 1 } else { text.parts.len() as u64 };
    let cutting = if text.declared().len() < 2 && parts == 1 { 0 } else { 4 * parts };
    LOOK as u64 * parts + KEEPING + once + (length as u64).saturating_mul(each.saturating_add(cutting))
}

/// Finding what is known of a value, and copying it.
pub(super) fn of_known(value: &Value) -> u64 {
    2 * LOOK as u64 + size(value)
}

/// Telling whether a schema accepts a value.
pub(crate) fn of_accepting(schema: &Schema, value: &Value) -> u64 {
    let Price { each, once } = price(schema);
    size(value).saturating_mul(each).saturating_add(once).saturating_add(LOOK as u64)
}

/// Bringing a value nearer to a schema, and telling whether that accepts it.
pub(super) fn of_reshaping(schema: &Schema, value: &Value) -> u64 {
    of_accepting(schema, value).saturating_mul(RESHAPING)
}

/// What it costs to hold a value against a schema.
#[derive(Clone, Copy)]
pub(super) struct Price {
    /// For each byte of it, and each value in it.
    pub(super) each: u64,
    /// This time, for tables that are made at first use.
    once: u64,
}

impl Price {
    const LEAST: Self = Self { each: 1, once: 0 };

    fn and(self, other: Self) -> Self {
        Self { each: self.each.saturating_add(other.each), once: self.once.saturating_add(other.once) }
    }

    fn or(self, other: Self) -> Self {
        Self { each: self.each.max(other.each), once: self.once.saturating_add(other.once) }
    }
}

pub(super) fn price(schema: &Schema) -> Price {
    let node = match &schema.node {
        SchemaNode::Text(TextSchema { pattern: Some(pattern), .. }) => {
            let (states, making) = pattern.states();
            Price { each: if states > 1 { states.saturating_mul(STATE) } else { 1 }, once: making * TABLED }
        }
        SchemaNode::Text(_) | SchemaNode::Number(_) | SchemaNode::Boolean => Price::LEAST,
        SchemaNode::List(list) => price(&list.items),
        SchemaNode::Map(map) => {
            let named = map.properties.iter().map(|(_, property)| price(&property.schema));
            let dearest = named.chain(map.additional.as_deref().map(price)).fold(Price::LEAST, Price::or);
            // Each that is required is sought.
            dearest.and(Price { each: map.properties.len() as u64 / 4, once: 0 })
        }
        SchemaNode::OneOf(schemas) => schemas.iter().map(price).fold(Price::LEAST, Price::and),
    };
    node.and(Price { each: schema.allowed.len() as u64 / 4, once: 0 })
}

/// A template, for what goes along it once. What asks again at each depth whether there are holes counts as often.
pub(crate) fn weight(pattern: &Pattern) -> u64 {
    fn weigh(pattern: &Pattern, depth: u64) -> u64 {
        let own = 16 + 2 * depth;
        match pattern {
            Pattern::Literal(value) => own + size(value),
            Pattern::Text(text) => own + text_rendered(text, &Bindings::default()),
            Pattern::Hole(_) => own,
            Pattern::Map(entries) => {
                own + entries.iter().map(|(name, one)| 16 + name.len() as u64 + weigh(one, depth + 1)).sum::<u64>()
            }
            Pattern::List(elements) => {
                let one = |element: &Element| match element {
                    Element::One(pattern) => weigh(pattern, depth + 1),
                    Element::Many(_) => 16,
                };
                own + elements.iter().map(one).sum::<u64>()
            }
        }
    }
    weigh(pattern, 0)
}

/// Preparing a template, once: rendering it with marks, completing it, and finding them again.
pub(crate) fn planning(pattern: &Pattern) -> u64 {
    10 * weight(pattern) + 400 * pattern.holes().len() as u64
}
