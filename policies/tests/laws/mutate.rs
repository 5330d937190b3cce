//! One thing changed, added or removed where a template has no hole.

use std::collections::BTreeSet;

use policies::object::Gvk;
use policies::recognise::uses;
use policies::tables::{Facts, ListKind, Shape, shape_of};
use policies::template::{Element, Field, Pattern, Template};
use serde_json::{Value, json};

/// A template of which one literal thing is another.
pub(crate) struct Mutated {
    pub(crate) template: Template,
    pub(crate) what: String,
    /// A hole beside what changed might stand for it: a list hole in the same list, an element that a hole names.
    pub(crate) near_a_hole: bool,
}

/// The `at`-th place, counted round, mutated.
pub(crate) fn mutated(template: &Template, at: usize, how: u8) -> Option<Mutated> {
    let mut count = Mutation { left: usize::MAX, seen: 0, how, what: None, near_a_hole: false };
    count.walk(&mut template.pattern.clone(), "", false);
    let mut mutation = Mutation { left: at % count.seen.max(1), seen: 0, how, what: None, near_a_hole: false };
    let mut pattern = template.pattern.clone();
    mutation.walk(&mut pattern, "", false);
    let what = mutation.what?;
    Some(Mutated { template: Template { pattern, ..template.clone() }, what, near_a_hole: mutation.near_a_hole })
}

struct Mutation {
    left: usize,
    seen: usize,
    how: u8,
    what: Option<String>,
    near_a_hole: bool,
}

impl Mutation {
    /// Whether this is the place.
    fn here(&mut self) -> bool {
        self.seen += 1;
        self.seen == self.left.wrapping_add(1)
    }

    fn did(&mut self, what: String, near_a_hole: bool) {
        self.what = Some(what);
        self.near_a_hole = near_a_hole;
    }

    /// `loose`: inside an element that is found by a key with a hole, or beside a list hole.
    fn walk(&mut self, pattern: &mut Pattern, path: &str, loose: bool) {
        match pattern {
            Pattern::Literal(value) => {
                if self.here() {
                    let other = other(value, self.how);
                    self.did(format!("{path}: {value} is {other}"), loose);
                    *value = other;
                }
            }
            Pattern::Text(_) | Pattern::Hole(_) => {}
            Pattern::Map(entries) => {
                let mut entries = entries.to_vec();
                self.map(&mut entries, path, loose);
                *pattern = Pattern::map(entries);
            }
            Pattern::List(elements) => {
                let mut elements = elements.to_vec();
                self.list(&mut elements, path, loose);
                *pattern = Pattern::list(elements);
            }
        }
    }

    fn map(&mut self, entries: &mut Vec<(Field, Pattern)>, path: &str, loose: bool) {
        if self.here() {
            let key = ["unheardOf", "hostNetwork", "securityContext", "finalizers", "value"][usize::from(self.how) % 5];
            if !entries.iter().any(|(name, _)| name == key) {
                let value = [json!(true), json!("x"), json!({"privileged": true}), json!(["x"]), json!(7)];
                let value = value[usize::from(self.how / 5) % 5].clone();
                self.did(format!("{path}.{key} is added"), loose);
                entries.push((key.into(), super::holes::pattern_of(&value)));
                return;
            }
        }
        for index in 0..entries.len() {
            let path = format!("{path}.{}", entries[index].0);
            if self.here() {
                let (_, removed) = entries.remove(index);
                // A key with a hole may be one that the server drops, or that may be absent.
                let near = loose || has_hole(&removed);
                self.did(format!("{path} is removed"), near);
                return;
            }
            self.walk(&mut entries[index].1, &path, loose);
            if self.what.is_some() {
                return;
            }
        }
    }

    fn list(&mut self, elements: &mut Vec<Element>, path: &str, loose: bool) {
        let loose = loose
            || elements.iter().any(|element| match element {
                Element::Many(_) => true,
                Element::One(pattern) => has_hole(pattern),
            });
        if self.here() {
            let added = match elements.first() {
                Some(Element::One(Pattern::Map(_))) | None => json!({"name": "added", "value": "x"}),
                _ => json!("added"),
            };
            self.did(format!("{path} has one more"), loose);
            elements.push(Element::One(super::holes::pattern_of(&added)));
            return;
        }
        for index in 0..elements.len() {
            let path = format!("{path}[{index}]");
            if self.here() {
                elements.remove(index);
                self.did(format!("{path} is removed"), loose);
                return;
            }
            if let Element::One(pattern) = &mut elements[index] {
                self.walk(pattern, &path, loose);
            }
            if self.what.is_some() {
                return;
            }
        }
    }
}

fn has_hole(pattern: &Pattern) -> bool {
    match pattern {
        Pattern::Literal(_) => false,
        Pattern::Text(_) | Pattern::Hole(_) => true,
        Pattern::Map(entries) => entries.iter().any(|(_, pattern)| has_hole(pattern)),
        Pattern::List(elements) => elements.iter().any(|element| match element {
            Element::One(pattern) => has_hole(pattern),
            Element::Many(_) => true,
        }),
    }
}

/// The holes of lists that have an element that is a hole as a whole beside another with holes: which element is which,
/// nothing but their order tells.
pub(crate) fn among_nameless_elements(pattern: &Pattern) -> BTreeSet<usize> {
    match pattern {
        Pattern::Literal(_) | Pattern::Text(_) | Pattern::Hole(_) => BTreeSet::new(),
        Pattern::Map(entries) => entries.iter().flat_map(|(_, pattern)| among_nameless_elements(pattern)).collect(),
        Pattern::List(elements) => {
            let holes = elements.iter().filter(|element| match element {
                Element::One(pattern) => has_hole(pattern),
                Element::Many(_) => true,
            });
            let nameless = elements.iter().any(|element| matches!(element, Element::One(Pattern::Hole(_))));
            if nameless && holes.count() > 1 {
                return uses(pattern);
            }
            let inner = elements.iter().filter_map(|element| match element {
                Element::One(pattern) => Some(among_nameless_elements(pattern)),
                Element::Many(_) => None,
            });
            inner.flatten().collect()
        }
    }
}

fn other(value: &Value, how: u8) -> Value {
    match value {
        Value::Bool(known) => json!(!known),
        Value::Number(number) => match how % 3 {
            0 => json!(number.as_f64().unwrap_or_default() + 1.0),
            1 => json!(number.as_i64().unwrap_or_default() + 1),
            _ => json!(format!("{number}")),
        },
        Value::String(text) => match how % 5 {
            0 => json!(format!("{text}x")),
            1 => json!(format!("x{text}")),
            2 => json!(text.get(..text.len().saturating_sub(1)).unwrap_or("y")),
            3 => json!(7),
            _ => json!(""),
        },
        _ => json!("another"),
    }
}

/// Turns every list whose order does not matter.
pub(crate) fn reorder(kind: &Gvk, object: &mut Value, turn: usize, facts: &Facts) {
    turned(object, shape_of(kind, facts), turn);
}

fn turned(value: &mut Value, shape: Shape<'_>, turn: usize) {
    match value {
        Value::Array(values) => {
            if !matches!(shape.list(), ListKind::Positional) && !values.is_empty() {
                let middle = turn % values.len();
                values.rotate_left(middle);
            }
            values.iter_mut().for_each(|value| turned(value, shape.element(), turn));
        }
        Value::Object(map) => map.iter_mut().for_each(|(key, value)| turned(value, shape.field(key), turn)),
        _ => {}
    }
}
