//! Whether two elements of a keyed list could be one and the same value: then nothing says which is which.
//!
//! Errs on the side of "could": free text could be anything.

mod index;

use std::collections::{BTreeSet, HashMap};

use super::{Element, Field, Hole, Pattern};
use crate::budget::{Budget, Exhausted};
use crate::parameter::{MapSchema, Parameters, Schema, SchemaNode, text_of_value};
use crate::tables::{ListKind, Shape};
use crate::text::Part;
use index::Index;

/// The most steps that one list may take.
const MOST_STEPS: u64 = 40_000_000;
/// Maps with more fields than this are searched by hash.
const FEW_FIELDS: usize = 16;

/// Where a keyed list holds two elements that could be the same value, and why.
pub(super) fn of_list(
    elements: &[Element],
    shape: Shape<'_>,
    parameters: &Parameters,
    budget: &Budget,
) -> Option<(usize, String)> {
    let ListKind::Keyed(keys) = shape.list() else { return None };
    budget.part(MOST_STEPS, |budget| {
        let list = List { elements, keys, compare: Compare { parameters, budget } };
        list.coincide().unwrap_or_else(|Exhausted| {
            let keys = keys.join(" and ");
            let message = format!(
                "telling the elements of this list apart takes more work than is allowed, since their {keys} have holes: \
                 give these elements a literal {keys}, fewer values to their enums, or split the list"
            );
            Some((0, message))
        })
    })
}

struct List<'a> {
    elements: &'a [Element],
    keys: &'a [String],
    compare: Compare<'a>,
}

impl List<'_> {
    fn open(&self, pattern: &Pattern) -> bool {
        match pattern {
            Pattern::Map(_) => self.keys.iter().any(|key| pattern.get(key).is_some_and(Pattern::has_holes)),
            _ => pattern.has_holes(),
        }
    }

    fn coincide(&self) -> Result<Option<(usize, String)>, Exhausted> {
        let Compare { parameters, budget } = self.compare;
        let one = |element: &'_ Element| match element {
            Element::One(pattern) => pattern.has_holes(),
            Element::Many(_) => false,
        };
        let with_holes: Vec<(usize, &Pattern)> = self
            .elements
            .iter()
            .enumerate()
            .filter(|(_, element)| one(element))
            .filter_map(|(index, element)| match element {
                Element::One(pattern) => Some((index, pattern)),
                Element::Many(_) => None,
            })
            .collect();
        let many: BTreeSet<usize> = self
            .elements
            .iter()
            .filter_map(|element| match element {
                Element::Many(position) => Some(*position),
                Element::One(_) => None,
            })
            .collect();
        if !with_holes.iter().any(|(_, pattern)| self.open(pattern)) {
            return Ok(None);
        }
        let mut index = Index::of(with_holes.iter().map(|(_, pattern)| *pattern), self.keys, parameters);
        // Equal ones are one: by pattern its number, by number the pattern.
        let (mut numbers, mut patterns) = (HashMap::new(), Vec::new());
        for (position, one) in &with_holes {
            budget.spend(one.size())?;
            let number = *numbers.entry(*one).or_insert(patterns.len());
            if self.open(one)
                && let Some(message) = self.against_others(one, number, &patterns, &mut index)?.or(self.against_holes(one, &many)?)
            {
                return Ok(Some((*position, message)));
            }
            if number == patterns.len() {
                patterns.push(*one);
                index.add(number, one, budget)?;
            }
        }
        Ok(None)
    }

    fn against_others(
        &self,
        one: &Pattern,
        number: usize,
        patterns: &[&Pattern],
        index: &mut Index<'_>,
    ) -> Result<Option<String>, Exhausted> {
        for other in index.like(one, self.compare.budget)? {
            if let Some(pattern) = patterns.get(other).filter(|_| other != number)
                && self.compare.patterns(one, pattern)?
            {
                return Ok(Some(format!(
                    "this element and one before it could be the same (their {} have holes), so nothing says which is \
                     which: give one of them a literal field that the other has not, or holes with disjoint enums",
                    self.keys.join(" and ")
                )));
            }
        }
        Ok(None)
    }

    fn against_holes(&self, one: &Pattern, many: &BTreeSet<usize>) -> Result<Option<String>, Exhausted> {
        let Compare { parameters, .. } = self.compare;
        for position in many {
            if let Some(parameter) = parameters.all.get(*position)
                && let Some(items) = parameter.schema.items()
                && self.compare.of_schema(one, items)?
            {
                return Ok(Some(format!(
                    "this element could also be one of the list hole {}, so nothing says which it is: write its {} out, \
                     or give the items a pattern that excludes it",
                    parameter.name,
                    self.keys.join(" and ")
                )));
            }
        }
        Ok(None)
    }
}

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
struct Compare<'a> {
    parameters: &'a Parameters,
    budget: &'a Budget,
}

impl<'a> Compare<'a> {
    /// Whether two patterns could render one value.
    fn patterns(&self, one: &Pattern, other: &Pattern) -> Result<bool, Exhausted> {
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
    fn of_schema(&self, pattern: &Pattern, schema: &Schema) -> Result<bool, Exhausted> {
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
            let schema = map.properties.get(&**key).map(|property| &property.schema).or(map.additional.as_deref());
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
fn first<T>(
    mut all: impl Iterator<Item = T>,
    holds: impl Fn(T) -> Result<bool, Exhausted>,
) -> Result<bool, Exhausted> {
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
