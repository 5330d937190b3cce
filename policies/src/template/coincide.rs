//! Whether two elements of a keyed list could be one and the same value: then nothing says which is which.
//!
//! Errs on the side of "could": free text could be anything.

use super::{Element, Field, Hole, Pattern};
use crate::parameter::{self, MapSchema, Parameters, Schema, SchemaNode, text_of_value};
use crate::tables::{ListKind, Shape};
use crate::text::{Part, TextPattern};

/// Where a keyed list holds two elements that could be the same value, and why.
pub(super) fn of_list(elements: &[Element], shape: Shape<'_>, parameters: &Parameters) -> Option<(usize, String)> {
    let ListKind::Keyed(keys) = shape.list() else { return None };
    let open = |element: &&Element| match element {
        Element::One(pattern @ Pattern::Map(_)) => {
            keys.iter().any(|key| pattern.get(key).is_some_and(|pattern| !pattern.holes().is_empty()))
        }
        Element::One(pattern) => !pattern.holes().is_empty(),
        Element::Many(_) => false,
    };
    for (index, one) in elements.iter().enumerate().filter(|(_, element)| open(element)) {
        let Element::One(one) = one else { continue };
        for other in &elements[..index] {
            if let Element::One(other) = other
                && !other.holes().is_empty()
                && other != one
                && patterns(one, other, parameters)
            {
                let message = format!(
                    "this element and one before it could be the same (their {} have holes), so nothing says which is \
                     which: give one of them a literal field that the other has not, or holes with disjoint enums",
                    keys.join(" and ")
                );
                return Some((index, message));
            }
        }
        for other in elements {
            if let Element::Many(position) = other
                && let Some(items) = parameters.all[*position].schema.items()
                && of_schema(one, items, parameters)
            {
                let message = format!(
                    "this element could also be one of the list hole {}, so nothing says which it is: write its {} out, \
                     or give the items a pattern that excludes it",
                    parameters.all[*position].name,
                    keys.join(" and ")
                );
                return Some((index, message));
            }
        }
    }
    None
}

/// Whether two patterns could render one value.
fn patterns(one: &Pattern, other: &Pattern, parameters: &Parameters) -> bool {
    match (one, other) {
        (Pattern::Literal(one), Pattern::Literal(other)) => one == other,
        (Pattern::Map(entries), Pattern::Map(others)) => {
            let has = |entries: &[(Field, Pattern)], key: &str| entries.iter().any(|(name, _)| name == key);
            let droppable = |pattern: &Pattern| optional(pattern, parameters);
            entries.iter().all(|(key, pattern)| match other.get(key) {
                Some(other) => patterns(pattern, other, parameters),
                None => droppable(pattern),
            }) && others.iter().all(|(key, pattern)| has(entries, key) || droppable(pattern))
        }
        (Pattern::List(_), Pattern::List(_)) => true,
        (Pattern::Hole(hole), _) if structured(other) => of_hole(other, *hole, parameters),
        (_, Pattern::Hole(hole)) if structured(one) => of_hole(one, *hole, parameters),
        _ if structured(one) || structured(other) => false,
        _ => match (values(one, parameters), values(other, parameters)) {
            (Some(values), _) => values.iter().any(|value| renders(other, value, parameters)),
            (_, Some(values)) => values.iter().any(|value| renders(one, value, parameters)),
            (None, None) => affixes(one, other),
        },
    }
}

fn structured(pattern: &Pattern) -> bool {
    matches!(pattern, Pattern::Map(_) | Pattern::List(_))
}

fn optional(pattern: &Pattern, parameters: &Parameters) -> bool {
    pattern.holes().iter().any(|hole| match hole {
        Hole::Declared(position) => parameters.all[*position].optional,
        Hole::Given(_) => false,
    })
}

fn of_hole(pattern: &Pattern, hole: Hole, parameters: &Parameters) -> bool {
    match hole {
        Hole::Declared(position) => of_schema(pattern, &parameters.all[position].schema, parameters),
        Hole::Given(_) => false,
    }
}

/// Every value that a scalar pattern can be, where they are few.
fn values(pattern: &Pattern, parameters: &Parameters) -> Option<Vec<serde_json::Value>> {
    match pattern {
        Pattern::Literal(value) => Some(vec![value.clone()]),
        Pattern::Hole(Hole::Declared(position)) => {
            Some(parameters.all[*position].schema.allowed.clone()).filter(|allowed| !allowed.is_empty())
        }
        Pattern::Text(text) => match &*text.parts {
            [Part::Hole(Hole::Declared(position))] => {
                let allowed = &parameters.all[*position].schema.allowed;
                let texts: Option<Vec<_>> = allowed.iter().map(|value| text_of_value(value).map(Into::into)).collect();
                texts.filter(|texts| !texts.is_empty())
            }
            _ => None,
        },
        _ => None,
    }
}

/// Whether a scalar pattern could render this value.
fn renders(pattern: &Pattern, value: &serde_json::Value, parameters: &Parameters) -> bool {
    match pattern {
        Pattern::Literal(literal) => literal == value,
        Pattern::Hole(Hole::Declared(position)) => parameters.all[*position].schema.accepts(value).is_ok(),
        Pattern::Hole(Hole::Given(_)) => value.is_string(),
        Pattern::Text(text) => value.as_str().is_some_and(|value| {
            language(text, parameters)
                .and_then(|language| parameter::Pattern::unbounded(&language).ok())
                .is_none_or(|pattern| pattern.matches(value))
        }),
        Pattern::Map(_) | Pattern::List(_) => false,
    }
}

fn language(text: &TextPattern, parameters: &Parameters) -> Option<String> {
    text.parts
        .iter()
        .map(|part| match part {
            Part::Literal(text) => Some(regex_syntax::escape(text)),
            Part::Hole(Hole::Given(_)) => Some("(?s:.*)".into()),
            Part::Hole(Hole::Declared(position)) => parameters.all[*position].schema.language(),
        })
        .collect()
}

/// Texts whose literal beginnings or ends differ are never the same.
fn affixes(one: &Pattern, other: &Pattern) -> bool {
    let (Pattern::Text(one), Pattern::Text(other)) = (one, other) else { return true };
    let literal = |part: Option<&Part>| match part {
        Some(Part::Literal(text)) => text.clone(),
        _ => String::new(),
    };
    let (start, other_start) = (literal(one.parts.first()), literal(other.parts.first()));
    let (end, other_end) = (literal(one.parts.last()), literal(other.parts.last()));
    (start.starts_with(&other_start) || other_start.starts_with(&start))
        && (end.ends_with(&other_end) || other_end.ends_with(&end))
}

/// Whether a pattern could render a value of a schema.
fn of_schema(pattern: &Pattern, schema: &Schema, parameters: &Parameters) -> bool {
    if let Some(values) = values(pattern, parameters) {
        return values.iter().any(|value| schema.accepts(value).is_ok());
    }
    if !schema.allowed.is_empty() && !structured(pattern) {
        return schema.allowed.iter().any(|value| renders(pattern, value, parameters));
    }
    match (&schema.node, pattern) {
        (SchemaNode::OneOf(schemas), _) => schemas.iter().any(|schema| of_schema(pattern, schema, parameters)),
        (SchemaNode::Map(map), Pattern::Map(entries)) => of_map(entries, map, parameters),
        (SchemaNode::Map(_) | SchemaNode::List(_), Pattern::Text(_)) | (_, Pattern::Map(_)) => false,
        _ => true,
    }
}

fn of_map(entries: &[(Field, Pattern)], map: &MapSchema, parameters: &Parameters) -> bool {
    let named = entries.iter().all(|(key, pattern)| {
        let schema = map.properties.get(&**key).map(|property| &property.schema).or(map.additional.as_deref());
        match schema {
            Some(schema) => of_schema(pattern, schema, parameters),
            None => optional(pattern, parameters),
        }
    });
    named
        && map
            .properties
            .iter()
            .all(|(key, property)| property.optional || entries.iter().any(|(name, _)| **name == **key))
}
