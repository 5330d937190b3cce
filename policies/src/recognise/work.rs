//! What recognising costs, in steps ([`crate::budget`]): about a nanosecond of one core each in a release build.
//!
//! What goes along an object or a template once is counted beforehand, by how long these are ([`size`], [`sizes`]); what
//! holds parts of the one against many parts of the other counts on its way.

use serde_json::Value;

use crate::budget::Budget;
use crate::parameter::{self, Bindings, Branches, Parameters, Schema, SchemaNode, TextSchema, text_of_value};
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

/// Telling whether a text of so many bytes is what known values render.
pub(super) fn of_rendering(text: &TextPattern, length: usize) -> u64 {
    (LOOK * text.parts.len() + length) as u64
}

/// Reading a text of so many bytes backwards.
pub(super) fn of_text(text: &TextPattern, length: usize, parameters: &Parameters, budget: Option<&Budget>) -> u64 {
    of_text_of(text, length, parameters, |_| true, budget)
}

/// As [`of_text`], without what holes stand for of which it is remembered ([`super::known`]).
pub(super) fn of_unknown(text: &TextPattern, length: usize, parameters: &Parameters, budget: Option<&Budget>) -> u64 {
    of_text_of(text, length, parameters, |schema| !schema.is_one_of(), budget)
}

fn of_text_of(
    text: &TextPattern,
    length: usize,
    parameters: &Parameters,
    counts: impl Fn(&Schema) -> bool,
    budget: Option<&Budget>,
) -> u64 {
    let declared = |part: &Part| match part {
        Part::Hole(Hole::Declared(index)) => parameters.all.get(*index),
        _ => None,
    };
    let holes = text.parts.iter().filter_map(declared).map(|parameter| &parameter.schema);
    let dearest = holes.filter(|schema| counts(schema)).map(|schema| price_of_reading(schema, budget));
    let each = dearest.fold(LEAST, u64::max);
    // With several holes each byte may belong to any part. What one hole alone stands for is the rest, copied.
    let parts = if text.parts.len() < 3 { 1 } else { text.parts.len() as u64 };
    let cutting = if text.declared().len() < 2 && parts == 1 { 0 } else { 4 * parts };
    let reading = (length as u64).saturating_mul(each.saturating_add(cutting));
    reading.saturating_add(LOOK as u64 * parts + KEEPING)
}

/// Telling what a hole of `schema` stands for, by a piece of a text of so many bytes.
pub(super) fn of_reading(schema: &Schema, length: usize, budget: Option<&Budget>) -> u64 {
    price_of_reading(schema, budget).saturating_mul((LOOK + length) as u64)
}

/// Finding what is known of a piece of a text, and copying it.
pub(super) fn of_known_text(piece: &str) -> u64 {
    (2 * LOOK + piece.len()) as u64
}

/// Finding what is known of a value, and copying it.
pub(super) fn of_known(value: &Value) -> u64 {
    2 * LOOK as u64 + size(value)
}

/// Telling whether a schema accepts a value.
pub(crate) fn of_accepting(schema: &Schema, value: &Value, budget: Option<&Budget>) -> u64 {
    size(value).saturating_mul(price(schema, budget)).saturating_add(LOOK as u64)
}

/// Bringing a value nearer to a schema, and telling whether that accepts it.
pub(super) fn of_reshaping(schema: &Schema, value: &Value, budget: Option<&Budget>) -> u64 {
    of_accepting(schema, value, budget).saturating_mul(RESHAPING)
}

/// The least that it costs to hold a byte against a schema.
const LEAST: u64 = 1;

/// What it costs to hold a value against a schema, for each byte of it and each value in it. What asks pays for the tables
/// of patterns as they are made, at their first use: more than anybody has where no step is left to make one.
pub(super) fn price(schema: &Schema, budget: Option<&Budget>) -> u64 {
    let dearest = |prices: &mut dyn Iterator<Item = u64>| prices.fold(LEAST, u64::max);
    let node = match &schema.node {
        SchemaNode::Text(TextSchema { pattern: Some(pattern), .. }) => of_pattern(pattern, budget),
        SchemaNode::Text(_) | SchemaNode::Number(_) | SchemaNode::Boolean => LEAST,
        SchemaNode::List(list) => price(&list.items, budget),
        SchemaNode::Map(map) => {
            let named = map.properties.iter().map(|(_, property)| &property.schema).chain(map.additional.as_deref());
            // Each that is required is sought.
            dearest(&mut named.map(|schema| price(schema, budget))).saturating_add(map.properties.len() as u64 / 4)
        }
        SchemaNode::OneOf(schemas) => of_branches(schemas, budget),
    };
    node.saturating_add(schema.allowed.len() as u64 / 4)
}

fn of_pattern(pattern: &parameter::Pattern, budget: Option<&Budget>) -> u64 {
    let making = pattern.unmade_states();
    if making > 0 && budget.is_some_and(|budget| budget.invest(making.saturating_mul(TABLED)).is_err()) {
        return u64::MAX;
    }
    match pattern.states() {
        1 => LEAST,
        states => states.saturating_mul(STATE),
    }
}

fn of_branches(schemas: &Branches, budget: Option<&Budget>) -> u64 {
    if let Some(counted) = schemas.price().get() {
        return *counted;
    }
    let mut counted = LEAST;
    for schema in schemas.iter() {
        counted = counted.saturating_add(price(schema, budget));
        if counted == u64::MAX {
            return counted;
        }
    }
    *schemas.price().get_or_init(|| counted)
}

/// Alternatives are asked for the one that the text is, and whether it is that of one alone.
fn price_of_reading(schema: &Schema, budget: Option<&Budget>) -> u64 {
    let price = price(schema, budget);
    if schema.is_one_of() { price.saturating_mul(2) } else { price }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]
    use super::*;

    #[test]
    fn threat_59_tables_of_patterns_are_paid_before_they_are_made() {
        let patterns: Vec<_> = (0..1_000).map(|at| format!("{{type: string, pattern: \"t{at}of59*\"}}")).collect();
        let parameters = Parameters::parse(&format!("a: {{oneOf: [{}]}}", patterns.join(", "))).unwrap();
        let schema = &parameters.all[0].schema;
        let SchemaNode::OneOf(branches) = &schema.node else { panic!("alternatives") };
        let unmade = || {
            let of = |branch: &Schema| match &branch.node {
                SchemaNode::Text(TextSchema { pattern: Some(pattern), .. }) => pattern.unmade_states(),
                _ => 0,
            };
            branches.iter().map(of).sum::<u64>()
        };
        let states = unmade();
        let budget = Budget::of(states * TABLED / 4);
        assert!(budget.spend(of_accepting(schema, &"t7of5".into(), Some(&budget))).is_err());
        assert!(unmade() > states / 2, "{} of {states}", unmade());
        // The next one goes on where this one ended.
        let budget = Budget::of(states * TABLED);
        let wanted = of_accepting(schema, &"t7of5".into(), Some(&budget));
        assert!(unmade() == 0 && budget.spend(wanted).is_ok(), "{wanted} of {}", budget.left());
        let (budget, left) = (Budget::of(1), 1);
        assert_eq!((of_accepting(schema, &"t7of5".into(), Some(&budget)), budget.left()), (wanted, left));
    }

    #[test]
    fn threat_59_where_no_step_is_left_a_text_costs_more_than_anybody_has() {
        let parameters = Parameters::parse("a: {oneOf: [{type: string, pattern: \"none59left*\"}]}").unwrap();
        let hole = || Part::Hole(Hole::Declared(0));
        for parts in [vec![hole()], vec![hole(), Part::Literal("-".into()), hole()]] {
            let (text, none) = (TextPattern::new(parts), Budget::of(0));
            assert_eq!(of_text(&text, 9, &parameters, Some(&none)), u64::MAX);
            assert!(of_unknown(&text, 9, &parameters, Some(&none)) < 1_000);
        }
        let (schema, none) = (&parameters.all[0].schema, Budget::of(0));
        assert_eq!(of_reading(schema, 9, Some(&none)), u64::MAX);
        assert_eq!(of_accepting(schema, &"none59left".into(), Some(&none)), u64::MAX);
        assert_eq!(of_reshaping(schema, &"none59left".into(), Some(&none)), u64::MAX);
    }
}
