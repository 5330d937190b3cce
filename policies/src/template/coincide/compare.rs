//! Whether two patterns, or a pattern and a schema, could be one value.

use std::collections::HashMap;

use super::super::{Field, Hole, Pattern};
use crate::budget::{Budget, Exhausted};
use crate::parameter::{MapSchema, Parameters, Schema, SchemaNode, text_of_value};
use crate::text::Part;

/// Maps with more fields than this are searched by hash.
const FEW_FIELDS: usize = 16;

/// The values of a scalar pattern, where they are few and known.
enum Values<'v> {
    One(&'v serde_json::Value),
    /// Of a parameter's enum.
    Any(&'v [serde_json::Value]),
    /// Of a parameter's enum, as text.
    Texts(&'v [serde_json::Value]),
}

/// Compares patterns by what they could render.
#[derive(Clone, Copy)]
pub(super) struct Compare<'a> {
    pub(super) parameters: &'a Parameters,
    pub(super) budget: &'a Budget,
}

impl<'a> Compare<'a> {
    /// Whether two patterns could render one value.
    pub(super) fn patterns(&self, one: &Pattern, other: &Pattern) -> Result<bool, Exhausted> {
        self.budget.spend(4)?;
        match (one, other) {
            (Pattern::Literal(one), Pattern::Literal(other)) => Ok(one == other),
            (Pattern::Map(entries), Pattern::Map(others)) => self.maps(entries, others),
            (Pattern::List(_), Pattern::List(_)) => Ok(true),
            (Pattern::Hole(hole), _) if structured(other) => self.of_hole(other, *hole),
            (_, Pattern::Hole(hole)) if structured(one) => self.of_hole(one, *hole),
            _ if structured(one) || structured(other) => Ok(false),
            _ => match (self.values(one), self.values(other)) {
                (Some(values), _) => self.renders_any(other, &values),
                (_, Some(values)) => self.renders_any(one, &values),
                (None, None) => Ok(affixes(one, other)),
            },
        }
    }

    fn maps(&self, entries: &[(Field, Pattern)], others: &[(Field, Pattern)]) -> Result<bool, Exhausted> {
        let (by_name, others_by_name) = (ByName::of(entries), ByName::of(others));
        self.budget.spend((entries.len() + others.len()) as u64)?;
        for (key, pattern) in entries {
            let fits = match others_by_name.get(key) {
                Some(other) => self.patterns(pattern, other)?,
                None => self.optional(pattern)?,
            };
            if !fits {
                return Ok(false);
            }
        }
        for (key, pattern) in others {
            if by_name.get(key).is_none() && !self.optional(pattern)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether a pattern stands for nothing at all where one of its parameters is absent.
    fn optional(&self, pattern: &Pattern) -> Result<bool, Exhausted> {
        self.budget.spend(pattern.size())?;
        Ok(pattern.holes().iter().any(|hole| match hole {
            Hole::Declared(position) => self.parameters.all.get(*position).is_some_and(|parameter| parameter.optional),
            Hole::Given(_) => false,
        }))
    }

    fn of_hole(&self, pattern: &Pattern, hole: Hole) -> Result<bool, Exhausted> {
        match (hole, hole_schema(hole, self.parameters)) {
            (Hole::Declared(_), Some(schema)) => self.of_schema(pattern, schema),
            _ => Ok(false),
        }
    }

    /// Every value that a scalar pattern can be, where they are few.
    fn values<'v>(&self, pattern: &'v Pattern) -> Option<Values<'v>>
    where
        'a: 'v,
    {
        let allowed = |hole: Hole| Some(&*hole_schema(hole, self.parameters)?.allowed).filter(|all| !all.is_empty());
        match pattern {
            Pattern::Literal(value) => Some(Values::One(value)),
            Pattern::Hole(hole) => allowed(*hole).map(Values::Any),
            Pattern::Text(text) => match text.sole_hole()? {
                hole @ Hole::Declared(position) if self.parameters.pieces.is_textual(position) => {
                    allowed(hole).map(Values::Texts)
                }
                _ => None,
            },
            _ => None,
        }
    }

    fn renders_any(&self, pattern: &Pattern, values: &Values<'_>) -> Result<bool, Exhausted> {
        self.any(values, |value| self.renders(pattern, value))
    }

    fn any(
        &self,
        values: &Values<'_>,
        holds: impl Fn(&serde_json::Value) -> Result<bool, Exhausted>,
    ) -> Result<bool, Exhausted> {
        match values {
            Values::One(value) => holds(value),
            Values::Any(values) => first(values.iter(), holds),
            Values::Texts(values) => first(values.iter(), |value| match value {
                serde_json::Value::String(_) => holds(value),
                value => text_of_value(value).map_or(Ok(false), |text| holds(&text.into())),
            }),
        }
    }

    /// Whether a scalar pattern could render this value.
    fn renders(&self, pattern: &Pattern, value: &serde_json::Value) -> Result<bool, Exhausted> {
        self.budget.spend(4)?;
        match pattern {
            Pattern::Literal(literal) => Ok(literal == value),
            Pattern::Hole(hole @ Hole::Declared(_)) => match hole_schema(*hole, self.parameters) {
                Some(schema) => schema.accepts_within(value, self.budget),
                None => Ok(false),
            },
            Pattern::Hole(Hole::Given(_)) => Ok(value.is_string()),
            Pattern::Text(text) => match value.as_str() {
                Some(value) => text.could_be(value, self.parameters, self.budget),
                None => Ok(false),
            },
            Pattern::Map(_) | Pattern::List(_) => Ok(false),
        }
    }

    /// Whether a pattern could render a value of a schema.
    pub(super) fn of_schema(&self, pattern: &Pattern, schema: &Schema) -> Result<bool, Exhausted> {
        self.budget.spend(4)?;
        if let Some(values) = self.values(pattern) {
            return self.any(&values, |value| schema.accepts_within(value, self.budget));
        }
        if !schema.allowed.is_empty() && !structured(pattern) {
            return self.renders_any(pattern, &Values::Any(&schema.allowed));
        }
        match (&schema.node, pattern) {
            (SchemaNode::OneOf(schemas), _) => first(schemas.iter(), |schema| self.of_schema(pattern, schema)),
            (SchemaNode::Map(map), Pattern::Map(entries)) => self.of_map(entries, map),
            (SchemaNode::Map(_) | SchemaNode::List(_), Pattern::Text(_)) | (_, Pattern::Map(_)) => Ok(false),
            _ => Ok(true),
        }
    }

    fn of_map(&self, entries: &[(Field, Pattern)], map: &MapSchema) -> Result<bool, Exhausted> {
        for (key, pattern) in entries {
            let schema = map.properties.get(key).map(|property| &property.schema).or(map.additional.as_deref());
            let fits = match schema {
                Some(schema) => self.of_schema(pattern, schema)?,
                None => self.optional(pattern)?,
            };
            if !fits {
                return Ok(false);
            }
        }
        let by_name = ByName::of(entries);
        self.budget.spend((entries.len() + map.properties.len()) as u64)?;
        Ok(map.properties.iter().all(|(key, property)| property.optional || by_name.get(key).is_some()))
    }
}

/// Whether it holds of any.
fn first<T>(mut all: impl Iterator<Item = T>, holds: impl Fn(T) -> Result<bool, Exhausted>) -> Result<bool, Exhausted> {
    all.find_map(|one| match holds(one) {
        Ok(false) => None,
        told => Some(told),
    })
    .unwrap_or(Ok(false))
}

/// The fields of a map, found without going through all of them where they are many.
enum ByName<'f> {
    Few(&'f [(Field, Pattern)]),
    Many(HashMap<&'f str, &'f Pattern>),
}

impl<'f> ByName<'f> {
    fn of(fields: &'f [(Field, Pattern)]) -> Self {
        if fields.len() <= FEW_FIELDS {
            return Self::Few(fields);
        }
        Self::Many(fields.iter().map(|(name, pattern)| (&**name, pattern)).collect())
    }

    fn get(&self, name: &str) -> Option<&'f Pattern> {
        match self {
            Self::Few(fields) => fields.iter().find(|(other, _)| other == name).map(|(_, pattern)| pattern),
            Self::Many(fields) => fields.get(name).copied(),
        }
    }
}

fn hole_schema(hole: Hole, parameters: &Parameters) -> Option<&Schema> {
    match hole {
        Hole::Declared(position) => parameters.all.get(position).map(|parameter| &parameter.schema),
        Hole::Given(_) => None,
    }
}

fn structured(pattern: &Pattern) -> bool {
    matches!(pattern, Pattern::Map(_) | Pattern::List(_))
}

/// Texts whose literal beginnings or ends differ are never the same.
fn affixes(one: &Pattern, other: &Pattern) -> bool {
    let (Pattern::Text(one), Pattern::Text(other)) = (one, other) else { return true };
    let (start, other_start) = (literal(one.parts.first()), literal(other.parts.first()));
    let (end, other_end) = (literal(one.parts.last()), literal(other.parts.last()));
    (start.starts_with(other_start) || other_start.starts_with(start))
        && (end.ends_with(other_end) || other_end.ends_with(end))
}

fn literal(part: Option<&Part>) -> &str {
    match part {
        Some(Part::Literal(text)) => text,
        _ => "",
    }
}
