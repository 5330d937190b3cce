//! Generated credentials: which of them an object lacks, and the object with them in place.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::bind::{Absence, Binder};
use super::known::Known;
use super::trail::Spot;
use super::uses;
use crate::parameter::Bindings;
use crate::render::Renderer;
use crate::tables::{Facts, shape_of};
use crate::template::{Hole, Pattern, Template};

/// The generated parameters that `template` uses and that a match left unbound: the webhook fills them.
pub fn missing(template: &Template, bindings: &Bindings) -> Vec<usize> {
    if template.parameters.all.iter().all(|parameter| parameter.generated.is_none()) {
        return Vec::new();
    }
    let used = uses(&template.pattern).into_iter();
    let is_missing = |index: &usize| {
        let parameter = template.parameters.all.get(*index);
        parameter.is_some_and(|parameter| parameter.generated.is_some() && !parameter.optional)
            && bindings.declared.get(*index).is_none_or(Option::is_none)
    };
    used.filter(is_missing).collect()
}

/// `object`, recognised by `template`, with the generated parameters of `bindings` put where it lacks them.
pub fn fill(template: &Template, object: &Value, bindings: &Bindings, facts: &Facts) -> Value {
    let known = Known::default();
    let binder = Binder::new(&template.parameters, &bindings.given, &known, None);
    let found = binder.walk(template, object, shape_of(&template.kind, facts));
    let mut filled = object.clone();
    for absence in found.absences.iter().filter(|absence| is_generated(template, absence)) {
        let Some(value) = Renderer::new(&template.parameters, bindings).value(absence.pattern) else { continue };
        let value = match value {
            Value::String(text) if absence.encoded => Value::String(STANDARD.encode(text)),
            other => other,
        };
        put(&mut filled, &absence.spots, value);
    }
    filled
}

fn is_generated(template: &Template, absence: &Absence<'_>) -> bool {
    let generated =
        |index: usize| template.parameters.all.get(index).is_some_and(|parameter| parameter.generated.is_some());
    match absence.pattern {
        Pattern::Hole(Hole::Declared(index)) => generated(*index),
        Pattern::Text(text) => text.declared().into_iter().any(generated),
        _ => false,
    }
}

/// Puts a value somewhere, making the maps on the way; an element beyond the end of a list is appended.
fn put(root: &mut Value, spots: &[Spot], leaf: Value) {
    let Some((spot, rest)) = spots.split_first() else {
        *root = leaf;
        return;
    };
    if root.is_null() {
        *root = match spot {
            Spot::Key(_) => Value::Object(Map::new()),
            Spot::Index(_) => Value::Array(Vec::new()),
        };
    }
    match (spot, root) {
        (Spot::Key(key), Value::Object(map)) => put(map.entry(key.clone()).or_insert(Value::Null), rest, leaf),
        (Spot::Index(index), Value::Array(list)) => {
            if *index >= list.len() {
                list.push(Value::Null);
            }
            let index = (*index).min(list.len() - 1);
            put(&mut list[index], rest, leaf);
        }
        _ => {}
    }
}
