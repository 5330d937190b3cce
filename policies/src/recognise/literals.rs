//! Whether an object differs from a template in what the template says without holes: seen in one walk that binds nothing,
//! builds nothing, and ends at the first such difference. Among many variants of one template nearly all are told apart so.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use serde_json::{Map, Value};

use super::bind::{droppable, is_secret};
use super::{Context, work};
use crate::keys;
use crate::parameter::Parameters;
use crate::tables::{ListKind, SERVER_OWNED, Scalar, Shape, shape_of};
use crate::template::{Element, Field, Pattern, Template};

/// Fields that completing or an injector may overwrite, whatever stands there (`src/tables/rules.rs`, `src/tables/inject`).
const OVERWRITTEN: [&str; 6] =
    ["serviceAccount", "apiVersion", "kind", "status", "tolerations", "kubernetes.io/limit-ranger"];

/// Whether `object` differs from `template` for sure, whatever the holes stand for and whatever the API server completes:
/// a scalar that the template says is another one, or an element of a list that the template names is not there. `false`
/// says nothing.
pub fn differ_in_literals<'a>(template: &'a Template, object: &'a Value, context: &'a Context<'_>) -> bool {
    let (Pattern::Map(entries), Value::Object(fields)) = (&template.pattern, object) else { return false };
    let shape = shape_of(&template.kind, context.facts);
    let walk = Walk { parameters: &template.parameters, context, visited: Cell::new(0), later: RefCell::default() };
    // `stringData` is written into `data`, and wins.
    let secret = is_secret(template);
    let differs = entries.iter().any(|(name, pattern)| match (&**name, pattern, fields.get(&**name)) {
        ("data" | "stringData", ..) if secret => false,
        ("metadata", Pattern::Map(entries), Some(Value::Object(shown))) => {
            walk.metadata(entries, shown, shape.field(name))
        }
        (_, pattern, Some(value)) => walk.field(name, pattern, value, shape),
        (_, _, None) => false,
    });
    let differs = differs || walk.long_lists();
    walk.settle_account() && differs
}

struct Walk<'a> {
    parameters: &'a Parameters,
    context: &'a Context<'a>,
    /// What was looked at and is not paid for yet.
    visited: Cell<usize>,
    /// Long lists, left until all else is the same.
    later: RefCell<Vec<Pair<'a>>>,
}

/// A list of a template, that of an object, and their shape.
type Pair<'a> = (&'a [Element], &'a [Value], Shape<'a>);

/// From how many elements on a list is long.
const LONG_LIST: usize = 64;
/// Up to how many names are sought by comparing each.
const FEW: usize = 4;

impl<'a> Walk<'a> {
    fn look(&self, count: usize) {
        self.visited.set(self.visited.get() + count);
    }

    /// Takes the steps of what was looked at; false where there were not so many left.
    fn settle_account(&self) -> bool {
        self.context.spend((self.visited.take() * work::LOOK) as u64)
    }

    fn long_lists(&self) -> bool {
        loop {
            let next = self.later.borrow_mut().pop();
            match next {
                Some((elements, values, shape)) if self.list(elements, values, shape) => return true,
                Some(_) => {}
                None => return false,
            }
        }
    }

    fn list(&self, elements: &'a [Element], values: &'a [Value], shape: Shape<'a>) -> bool {
        match shape.list() {
            ListKind::Keyed([key]) => self.keyed(key, elements, values, shape),
            ListKind::Keyed(_) | ListKind::Set => false,
            ListKind::Positional => self.positions(elements, values, shape),
        }
    }

    /// Without what is judged elsewhere: names, namespace, marks.
    fn metadata(&self, entries: &'a [(Field, Pattern)], shown: &'a Map<String, Value>, shape: Shape<'a>) -> bool {
        entries.iter().any(|(name, pattern)| match (pattern, shown.get(&**name)) {
            _ if SERVER_OWNED.contains(&&**name) => false,
            (Pattern::Map(entries), Some(Value::Object(shown))) => {
                let shape = shape.field(name);
                entries.iter().any(|(key, pattern)| {
                    let judged = !keys::is_aside(name, key) && **key != *keys::LAST_APPLIED;
                    judged && shown.get(&**key).is_some_and(|value| self.field(key, pattern, value, shape))
                })
            }
            _ => false,
        })
    }

    /// A field of what has this shape.
    fn field(&self, name: &str, pattern: &'a Pattern, value: &'a Value, shape: Shape<'a>) -> bool {
        !OVERWRITTEN.contains(&name) && self.value(pattern, value, shape.field(name))
    }

    fn value(&self, pattern: &'a Pattern, value: &'a Value, shape: Shape<'a>) -> bool {
        self.look(1);
        match (pattern, value) {
            (Pattern::Literal(literal), value) => are_others(literal, value, shape.scalar()),
            (Pattern::Text(text), Value::String(shown)) => {
                let starts = text.may_begin(shown);
                // One with an absent hole is left out, and the API server may fill something in.
                !starts && !shown.is_empty() && is_plain(shape.scalar()) && !droppable(self.parameters, pattern)
            }
            (Pattern::Map(entries), Value::Object(fields)) => entries.iter().any(|(name, pattern)| {
                fields.get(&**name).is_some_and(|value| self.field(name, pattern, value, shape))
            }),
            (Pattern::List(elements), Value::Array(values)) if elements.len().max(values.len()) > LONG_LIST => {
                self.later.borrow_mut().push((elements, values, shape));
                false
            }
            (Pattern::List(elements), Value::Array(values)) => self.list(elements, values, shape),
            _ => false,
        }
    }

    /// Elements before the first that may be absent, or several, are where the template says.
    fn positions(&self, elements: &'a [Element], values: &'a [Value], shape: Shape<'a>) -> bool {
        let fixed = elements.iter().map_while(|element| match element {
            Element::One(pattern) if !droppable(self.parameters, pattern) => Some(pattern),
            _ => None,
        });
        fixed.zip(values).any(|(pattern, value)| self.value(pattern, value, shape.element()))
    }

    /// An element with a literal key is compared with the only value of that key, wherever both stand.
    fn keyed(&self, key: &str, elements: &'a [Element], values: &'a [Value], shape: Shape<'a>) -> bool {
        let named: Vec<_> = elements.iter().filter_map(|element| says(element, key)).collect();
        self.look(elements.len());
        let steps = (2 * values.len() + named.len()) * work::LOOK;
        if named.is_empty() || !self.settle_account() || !self.context.spend(steps as u64) {
            return false;
        }
        let places: HashMap<&str, usize> = named.iter().enumerate().map(|(at, (name, _))| (*name, at)).collect();
        // Two elements of one name stand by their positions.
        if places.len() < named.len() {
            return false;
        }
        let mut shown: Vec<(usize, Option<&Value>)> = vec![(0, None); named.len()];
        for value in values {
            // One without its key may get it.
            let Some(name) = value.get(key).and_then(Value::as_str) else { return false };
            let at = if named.len() > FEW {
                places.get(name).copied()
            } else {
                named.iter().position(|(other, _)| *other == name)
            };
            if let Some((count, only)) = at.and_then(|at| shown.get_mut(at)) {
                *count += 1;
                *only = Some(value);
            }
        }
        named.iter().zip(shown).any(|((_, pattern), shown)| match shown {
            (1, Some(value)) => self.value(pattern, value, shape.element()),
            (count, _) => count == 0,
        })
    }
}

/// The literal text that an element says under a key.
fn says<'p>(element: &'p Element, key: &str) -> Option<(&'p str, &'p Pattern)> {
    let Element::One(pattern @ Pattern::Map(entries)) = element else { return None };
    entries.iter().find_map(|(name, said)| match said {
        Pattern::Literal(Value::String(text)) if **name == *key && !text.is_empty() => Some((text.as_str(), pattern)),
        _ => None,
    })
}

/// Whether two scalars stay two, whatever the API server makes of each. It replaces what is empty, zero or negative.
fn are_others(literal: &Value, value: &Value, scalar: Scalar) -> bool {
    match (scalar, literal, value) {
        (scalar, Value::String(one), Value::String(other)) => {
            is_plain(scalar) && one != other && !one.is_empty() && !other.is_empty()
        }
        (Scalar::Boolean, Value::Bool(one), Value::Bool(other)) => one != other,
        (Scalar::Integer, Value::Number(one), Value::Number(other)) => match (one.as_u64(), other.as_u64()) {
            (Some(one), Some(other)) => one != other && one > 0 && other > 0,
            _ => false,
        },
        _ => false,
    }
}

/// Whether a text of this kind is compared letter by letter.
fn is_plain(scalar: Scalar) -> bool {
    matches!(scalar, Scalar::Text | Scalar::Plain)
}
