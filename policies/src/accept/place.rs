//! Paths as text, and the places that they name in an object.

use serde_json::Value;

use crate::difference::{Path, Step};
use crate::tables::{Shape, position};

/// Reads a path as differences show it: `spec.template.spec.containers[name=main].env[0]["a.b/c"]`.
///
/// # Errors
/// What is wrong with it, and how one looks.
pub fn read_path(text: &str) -> Result<Path, String> {
    let wrong = || format!("{text:?} is no path: it looks like metadata.labels.team or spec.containers[name=main].tty");
    let mut steps = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (step, after) = match rest.strip_prefix('[') {
            Some(inner) => bracketed(inner).ok_or_else(wrong)?,
            None => {
                let name = if steps.is_empty() { rest } else { rest.strip_prefix('.').ok_or_else(wrong)? };
                let end = name.find(['.', '[']).unwrap_or(name.len());
                let (name, after) = name.split_at(end);
                if name.is_empty() || name.contains(']') {
                    return Err(wrong());
                }
                (Step::Key(name.to_owned()), after)
            }
        };
        steps.push(step);
        rest = after;
    }
    let path = Path::from_steps(steps);
    // One spelling for each path: what is read is what is shown.
    if path.steps().is_empty() || path.to_string() != text { Err(wrong()) } else { Ok(path) }
}

/// What stands in brackets, and what follows them.
fn bracketed(text: &str) -> Option<(Step, &str)> {
    if text.starts_with('"') {
        let mut read = serde_json::Deserializer::from_str(text).into_iter::<String>();
        let key = read.next()?.ok()?;
        let after = text.get(read.byte_offset()..)?.strip_prefix(']')?;
        return Some((Step::Key(key), after));
    }
    let (inner, after) = text.split_once(']')?;
    let step = match inner.parse() {
        Ok(index) => Step::Index(index),
        Err(_) if inner.is_empty() => return None,
        Err(_) => Step::Element(inner.to_owned()),
    };
    Some((step, after))
}

/// What is at a place; none where nothing is, or where an element is there twice.
pub(super) fn find<'v>(shape: Shape<'_>, value: &'v Value, steps: &[Step]) -> Option<&'v Value> {
    let Some((step, rest)) = steps.split_first() else { return Some(value) };
    match (step, value) {
        (Step::Key(key), Value::Object(map)) => find(shape.field(key), map.get(key)?, rest),
        (step, Value::Array(list)) => find(shape.element(), list.get(position(shape, list, step)?)?, rest),
        _ => None,
    }
}

/// As [`find`], to be changed.
pub(super) fn find_mut<'v>(shape: Shape<'_>, value: &'v mut Value, steps: &[Step]) -> Option<&'v mut Value> {
    let Some((step, rest)) = steps.split_first() else { return Some(value) };
    match (step, value) {
        (Step::Key(key), Value::Object(map)) => find_mut(shape.field(key), map.get_mut(key)?, rest),
        (step, Value::Array(list)) => {
            let index = position(shape, list, step)?;
            find_mut(shape.element(), list.get_mut(index)?, rest)
        }
        _ => None,
    }
}

/// Takes away what is at a place. Says whether something was.
pub(super) fn remove(shape: Shape<'_>, value: &mut Value, steps: &[Step]) -> bool {
    let Some((last, above)) = steps.split_last() else { return false };
    let above_shape = above.iter().fold(shape, |shape, step| match step {
        Step::Key(key) => shape.field(key),
        Step::Index(_) | Step::Element(_) => shape.element(),
    });
    match (last, find_mut(shape, value, above)) {
        (Step::Key(key), Some(Value::Object(map))) => map.remove(key).is_some(),
        (step, Some(Value::Array(list))) => match position(above_shape, list, step) {
            Some(index) => {
                list.remove(index);
                true
            }
            None => false,
        },
        _ => false,
    }
}
