//! How much memory a template ConfigMap takes, in bytes: an estimate, from what it is made of. The same for the same
//! ConfigMap, whoever makes it and whenever.
//!
//! Templates are kept as text, and compiled when somebody first asks for their kind. What is compiled then counts from
//! the start: who counts must not find out afterwards that it is too much. What is made lazily of a pattern (a table of
//! states) counts with the pattern, and what is prepared of a manifest with the manifest.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::mem::size_of;

use serde_json::Value;

use super::{Masters, TemplateSet};
use crate::object::NamespacedName;
use crate::parameter::{Format, Parameter, Parameters, Property, Schema, SchemaNode};
use crate::template::{Element, Field, Pattern, Placement, Template};
use crate::text::Part;

/// What an allocation takes beside its content, and what a map has free, on average.
const BLOCK: u64 = 24;
/// What a ConfigMap takes beside its content: its entries in indexes, its hash, uid and version.
const SET: u64 = 1 << 10;
/// What a template takes beside its manifest: what completing adds to it, once it is prepared.
const TEMPLATE: u64 = 2 << 10;
/// What a value that is kept once takes beside its content: its counts, and its entry among those of its kind.
const SHARED: u64 = 72;
/// What a part of a prepared manifest takes: where it stands, a field of a map, a scalar, a list, a hole.
const NODE: u64 = 16;
const FIELD: u64 = 32;
const SCALAR: u64 = 64;
const LIST: u64 = 96;
const HOLE: u64 = 160;
/// What a pattern takes beside its states: its source, what it is known by, and half of the largest table there is, which
/// only use would tell.
const PATTERN: u64 = 9 << 9;
/// What its states may take, as they were made one after the other: a list has as much room again.
const STATES: u64 = 2;
/// Entries that a leaf of a map has room for.
const LEAF: u64 = 11;

/// Bytes of a template ConfigMap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weight {
    /// Of what is its own: names, masters, problems.
    pub own: u64,
    /// Of what follows from its data, text and compiled. ConfigMaps of the same data have it together.
    pub data: u64,
}

impl Weight {
    /// At least so much, of so many bytes of data that were not compiled yet.
    pub fn at_least(bytes: usize) -> Self {
        Self { own: SET, data: bytes as u64 }
    }

    /// All of it.
    pub fn total(self) -> u64 {
        self.own.saturating_add(self.data)
    }

    /// Of a ConfigMap that was loaded, with its texts, its parameters and its templates, compiled.
    pub(super) fn of<'t>(
        set: &TemplateSet,
        texts: impl Iterator<Item = &'t str>,
        parameters: &Parameters,
        templates: &[Template],
    ) -> Self {
        let mut seen = Seen::default();
        let of_parameters: u64 = parameters.all.iter().map(|parameter| seen.parameter(parameter)).sum();
        let texts: u64 = texts.map(text).sum();
        let templates: u64 = templates.iter().map(|template| seen.template(template)).sum();
        // Without a template that can be used nothing is compiled.
        let parameters = if set.usable() { of_parameters + seen.automata(parameters) } else { 0 };
        Self { own: own(set), data: [texts, parameters, templates].into_iter().fold(0, u64::saturating_add) }
    }
}

fn text(text: &str) -> u64 {
    // What is allocated is of the next larger size that the allocator has: an eighth more at most.
    text.len() as u64 + text.len() as u64 / 8 + BLOCK
}

fn name(name: &NamespacedName) -> u64 {
    size_of::<NamespacedName>() as u64 + text(&name.namespace) + text(&name.name)
}

/// An element of a vector or a map, without what it points to.
fn place<T>() -> u64 {
    size_of::<T>() as u64
}

fn own(set: &TemplateSet) -> u64 {
    let masters: u64 = match &set.masters {
        Masters::OwnNamespace => 0,
        Masters::Named(names) => names.iter().map(name).sum(),
    };
    // Whoever watches for these templates keeps the namespaces too.
    let namespaces = |names: &std::collections::BTreeSet<String>| -> u64 {
        names.iter().map(|name| 2 * (place::<String>() + text(name))).sum()
    };
    let needs: u64 = set
        .needs
        .iter()
        .map(|need| {
            let templates: u64 = need.templates.iter().map(|(key, _)| place::<(String, usize)>() + text(key)).sum();
            BLOCK + templates + namespaces(&need.namespaces)
        })
        .sum();
    let allow: u64 = set.allow.iter().map(|(resource, sub)| 2 * BLOCK + text(resource) + text(sub)).sum();
    let rows: u64 = set
        .accepted
        .rows()
        .iter()
        .map(|row| 8 * BLOCK + value(&row.value) + row.path.to_string().len() as u64 * 4)
        .sum();
    let problems: u64 = set.problems.iter().map(|problem| 4 * BLOCK + text(&problem.message)).sum();
    [SET, name(&set.name), masters, namespaces(&set.namespaces), needs, allow, rows, problems]
        .into_iter()
        .fold(0, u64::saturating_add)
}

/// What a value points to.
fn value(of: &Value) -> u64 {
    match of {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(string) => text(string),
        Value::Array(values) => BLOCK + values.iter().map(|each| place::<Value>() + value(each)).sum::<u64>(),
        Value::Object(fields) => {
            // A leaf is half full on average, and the only one has the room of one.
            let slots = if fields.is_empty() { 0 } else { LEAF.max(2 * fields.len() as u64) };
            let field = |(key, each): (&String, &Value)| text(key) + value(each);
            BLOCK + slots * place::<(String, Value)>() + fields.iter().map(field).sum::<u64>()
        }
    }
}

/// What was counted: equal patterns are compiled once, and equal texts cut with one machine.
#[derive(Debug, Default)]
struct Seen {
    patterns: HashSet<usize>,
    machines: HashSet<u64>,
    prepared: HashSet<u64>,
}

impl Seen {
    fn template(&mut self, template: &Template) -> u64 {
        let placement = match &template.placement {
            Placement::MasterNamespace => None,
            Placement::Named(pattern) => Some(pattern),
        };
        let instructions = [&template.duration, &template.keep_finished, &template.notify_before];
        let small = instructions.into_iter().flatten().chain(placement).map(|pattern| self.tree(pattern)).sum::<u64>();
        let applied = template.applied.as_deref().map_or(0, text);
        TEMPLATE
            + text(&template.key)
            + applied
            + small
            + self.tree(&template.pattern)
            + self.prepared(&template.pattern).0
    }

    /// What a manifest, or part of it, points to as it is read.
    fn tree(&mut self, of: &Pattern) -> u64 {
        match of {
            Pattern::Literal(literal) => value(literal),
            Pattern::Hole(_) => 0,
            Pattern::Text(pattern) => {
                let machines = pattern.cut_with().filter(|(which, _)| self.machines.insert(*which));
                let part = |part: &Part| match part {
                    Part::Literal(literal) => place::<Part>() + text(literal),
                    Part::Hole(_) => place::<Part>(),
                };
                SHARED + machines.map_or(0, |(_, bytes)| bytes) + pattern.parts.iter().map(part).sum::<u64>()
            }
            Pattern::Map(entries) => {
                let entry = |(_, pattern): &(Field, Pattern)| place::<(Field, Pattern)>() + self.tree(pattern);
                BLOCK + entries.iter().map(entry).sum::<u64>()
            }
            Pattern::List(elements) => {
                let element = |element: &Element| match element {
                    Element::One(pattern) => place::<Element>() + self.tree(pattern),
                    Element::Many(_) => place::<Element>(),
                };
                BLOCK + elements.iter().map(element).sum::<u64>()
            }
        }
    }

    /// What a manifest, or part of it, takes once it is prepared, and what tells that from others: what is in it without a hole
    /// is kept once, each part alone; none of what has a hole.
    fn prepared(&mut self, of: &Pattern) -> (u64, Option<u64>) {
        let mut hasher = DefaultHasher::new();
        std::mem::discriminant(of).hash(&mut hasher);
        let mut has_hole = false;
        let mut below = 0_u64;
        let mut add = |(bytes, which): (u64, Option<u64>), hasher: &mut DefaultHasher| {
            below += bytes;
            has_hole |= which.is_none();
            which.hash(hasher);
        };
        let own = match of {
            Pattern::Literal(literal) => {
                literal.hash(&mut hasher);
                SHARED + SCALAR + value(literal)
            }
            Pattern::Hole(_) | Pattern::Text(_) => {
                add((0, None), &mut hasher);
                HOLE
            }
            Pattern::Map(entries) => {
                for (name, pattern) in entries.iter() {
                    name.hash(&mut hasher);
                    add(self.prepared(pattern), &mut hasher);
                }
                SHARED + entries.len() as u64 * FIELD
            }
            Pattern::List(elements) => {
                for element in elements.iter() {
                    match element {
                        Element::One(pattern) => add(self.prepared(pattern), &mut hasher),
                        Element::Many(_) => add((0, None), &mut hasher),
                    }
                }
                SHARED + LIST
            }
        };
        let which = (!has_hole).then(|| hasher.finish());
        let is_counted = which.is_some_and(|which| !self.prepared.insert(which));
        (NODE + below + if is_counted { 0 } else { own }, which)
    }

    /// What texts of several holes are cut with: each was made while the templates were checked, and is made again in use.
    fn automata(&mut self, parameters: &Parameters) -> u64 {
        parameters
            .pieces
            .made()
            .filter(|(which, _)| self.patterns.insert(*which))
            .map(|(_, bytes)| SHARED + bytes)
            .sum()
    }

    fn parameter(&mut self, parameter: &Parameter) -> u64 {
        let description = parameter.description.as_deref().map_or(0, text);
        let default = parameter.default.as_ref().map_or(0, value);
        let alphabet = parameter.generated.as_ref().map_or(0, |generated| text(&generated.alphabet));
        place::<Parameter>() + text(&parameter.name) + description + default + alphabet + self.schema(&parameter.schema)
    }

    /// What a schema points to.
    fn schema(&mut self, schema: &Schema) -> u64 {
        let allowed: u64 = schema.allowed.iter().map(|each| 2 * place::<Value>() + value(each)).sum();
        let node = match &schema.node {
            SchemaNode::Text(of) => {
                let pattern = of.pattern.as_ref().map_or(0, |pattern| {
                    let counted = !self.patterns.insert(pattern.identity());
                    if counted { 0 } else { pattern.bytes().saturating_mul(STATES) + PATTERN }
                });
                let image = if let Some(Format::Image(says)) = &of.format { text(says) } else { 0 };
                pattern + image
            }
            SchemaNode::Number(_) | SchemaNode::Boolean => 0,
            SchemaNode::List(list) => BLOCK + place::<Schema>() + self.schema(&list.items),
            SchemaNode::Map(map) => {
                let additional = map.additional.as_ref().map_or(0, |schema| place::<Schema>() + self.schema(schema));
                let properties = map.properties.iter();
                additional + properties.map(|(key, property)| self.property(key, property)).sum::<u64>()
            }
            SchemaNode::OneOf(schemas) => {
                BLOCK + schemas.iter().map(|each| place::<Schema>() + self.schema(each)).sum::<u64>()
            }
        };
        allowed + node
    }

    fn property(&mut self, key: &str, property: &Property) -> u64 {
        place::<(String, Property)>()
            + text(key)
            + property.default.as_ref().map_or(0, value)
            + self.schema(&property.schema)
    }
}
