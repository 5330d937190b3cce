//! How much work a verdict will be, before it is begun.

use serde_json::Value;

use crate::budget::Budget;
use crate::keys;
use crate::library::templates::Waiting;
use crate::object::Gvk;
use crate::recognise::work;
use crate::request::{Operation, Request};

use super::{Asked, REVIEW, Situation, own};

/// A step of compiling, in steps of a verdict: these are counted in nanoseconds.
const COMPILING: u64 = 5;
/// Preparing a template that is not compiled yet, for each byte of its text.
const PREPARING: u64 = 100;

/// An estimate of the steps that [`super::decide`] will take ([`crate::budget`]): from above, and quick to make. Where it
/// is decided whether a review may be judged on a thread that serves others, this says.
///
/// A step is about a nanosecond of one core in a release build: a million are a millisecond. The estimate counts each
/// template of the object's kind, and what its holes may make of it where the object is none of its own; so it is often
/// far above what is taken, and ends at twice [`REVIEW`], as the work does.
pub fn effort(request: &Request, situation: &Situation) -> u64 {
    let bound = Budget::of(MOST);
    let sizes = [&request.object, &request.old_object].map(|object| object.as_ref().map_or(0, |it| size(it, &bound)));
    let object = sizes.iter().fold(0, |sum: u64, size| sum.saturating_add(*size));
    if bound.left() == 0 {
        return MOST;
    }
    let scaled = request.subresource.as_deref() == Some("scale");
    let judged = matches!(request.operation, Operation::Create | Operation::Update) && request.subresource.is_none();
    let Ok(caller) = situation.caller.as_ref().map_err(drop) else { return object };
    if !judged && !scaled {
        return object;
    }
    let scale = scaled.then(|| match &situation.asked {
        Asked::Found(stored) => 2 * size(stored, &bound),
        _ => 0,
    });
    let object = object.saturating_add(scale.unwrap_or(0));
    let kind = kind_of(request, situation);
    let changed = match (&request.old_object, &request.object) {
        (Some(old), Some(new)) => changes(old, new),
        _ => 1,
    };
    let applied = [&request.object, &request.old_object].into_iter().flatten().any(is_applied);
    let mut steps = object;
    for name in &caller.wish.manifests {
        let Some(set) = situation.library.sets.get(name) else { continue };
        let rows = set.accepted.rows().len() as u64;
        for template in set.templates.ready(&kind) {
            let ready = template.map(|template| template.shortcut.work(template, object).ok_or(template));
            let once = match ready {
                Ok(Ok(work)) => work,
                Ok(Err(template)) => UNPREPARED.saturating_mul(object.saturating_add(work::weight(&template.pattern))),
                Err(Waiting { length, steps }) => {
                    let compiling = COMPILING.saturating_mul(steps).saturating_add(PREPARING.saturating_mul(length));
                    let template = length.saturating_mul(16);
                    compiling.saturating_add(UNPREPARED.saturating_mul(object.saturating_add(template)))
                }
            };
            // Once more without what the ConfigMap accepts, and with the manifest in kubectl's annotation.
            let times = 1 + u64::from(rows > 0) + if applied { 64 } else { 0 };
            let of_rows = rows.saturating_mul(16).saturating_mul(object);
            let of_changes = 4 * changed.saturating_mul(object);
            steps = steps.saturating_add(once.saturating_mul(times)).saturating_add(of_rows).saturating_add(of_changes);
            if steps >= MOST {
                return MOST;
            }
        }
    }
    steps
}

/// Whether a template that the request may be held against is to be compiled, or prepared, first.
pub(super) fn compiles(request: &Request, situation: &Situation) -> bool {
    let kind = kind_of(request, situation);
    let wished = situation.caller.iter().flat_map(|caller| &caller.wish.manifests);
    let mut sets = wished.filter_map(|name| situation.library.sets.get(name));
    sets.any(|set| set.templates.ready(&kind).any(|template| template.is_err()))
}

/// The kind of whose templates it is judged by: of a `scale`, that of what is scaled.
fn kind_of(request: &Request, situation: &Situation) -> Gvk {
    match &situation.asked {
        Asked::Found(stored) if request.subresource.as_deref() == Some("scale") => own::kind_of(stored),
        _ => request.kind.clone(),
    }
}

/// The steps of a review, and of telling where its object differs, which is counted apart.
const MOST: u64 = 2 * REVIEW;

/// Holding an object against a template of which nothing is known yet, for each of both: in all ways in which it may be.
const UNPREPARED: u64 = 2000;

/// How many values differ, at most.
fn changes(old: &Value, new: &Value) -> u64 {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let here = old.iter().map(|(name, value)| new.get(name).map_or(1, |new| changes(value, new))).sum::<u64>();
            here + new.keys().filter(|name| !old.contains_key(*name)).count() as u64
        }
        (Value::Array(one), Value::Array(other)) => {
            let here = one.iter().zip(other).map(|(one, other)| changes(one, other)).sum::<u64>();
            here + one.len().abs_diff(other.len()) as u64
        }
        _ => u64::from(old != new),
    }
}

/// Whether `kubectl apply` sent it.
fn is_applied(object: &Value) -> bool {
    object["metadata"]["annotations"].get(keys::LAST_APPLIED).is_some()
}

/// As [`work::size`], until the budget ends.
fn size(value: &Value, bound: &Budget) -> u64 {
    let own = match value {
        Value::String(text) => 16 + text.len() as u64,
        _ => 16,
    };
    if bound.spend(own).is_err() {
        return own;
    }
    own + match value {
        Value::Array(elements) => elements.iter().map(|value| size(value, bound)).sum(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| 16 + name.len() as u64 + size(value, bound)).sum::<u64>()
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}
