//! How the elements of two lists, and the entries of two maps, find each other.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use serde_json::Value;

use crate::difference::Step;

use super::shape::{ListKind, Shape};

/// What two maps have under one name.
pub(crate) type Both<'v, L, R> = (&'v str, Option<&'v L>, Option<&'v R>);

/// The entries of two maps side by side, in the order of their names, in which both of them come.
pub(crate) fn side_by_side<'v, L: 'v, R: 'v>(
    left: impl Iterator<Item = (&'v str, &'v L)>,
    right: impl Iterator<Item = (&'v str, &'v R)>,
) -> impl Iterator<Item = Both<'v, L, R>> {
    let (mut left, mut right) = (left.peekable(), right.peekable());
    std::iter::from_fn(move || {
        let order = match (left.peek(), right.peek()) {
            (Some((one, _)), Some((other, _))) => one.cmp(other),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return None,
        };
        let one = if order.is_le() { left.next() } else { None };
        let other = if order.is_ge() { right.next() } else { None };
        let name = one.map(|(name, _)| name).or(other.map(|(name, _)| name))?;
        Some((name, one.map(|(_, value)| value), other.map(|(_, value)| value)))
    })
}

/// The merge keys of an element, `name=main`; none where it has none.
pub(super) fn label(keys: &[String], element: &Value) -> Option<String> {
    let element = element.as_object()?;
    let mut parts = Vec::with_capacity(keys.len());
    for key in keys {
        match element.get(key) {
            Some(Value::String(text)) => parts.push(format!("{key}={text}")),
            Some(scalar @ (Value::Number(_) | Value::Bool(_))) => parts.push(format!("{key}={scalar}")),
            Some(_) => return None,
            None => {}
        }
    }
    (!parts.is_empty()).then(|| parts.join(","))
}

/// The merge keys of every element; none where one has none.
pub(super) fn labels(keys: &[String], list: &[Value]) -> Option<Vec<String>> {
    list.iter().map(|element| label(keys, element)).collect()
}

/// The elements themselves, of a list that is a set.
pub(super) fn texts(list: &[Value]) -> Vec<String> {
    list.iter()
        .map(|value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
        .collect()
}

pub(super) fn unique(labels: &[String]) -> bool {
    labels.iter().collect::<BTreeSet<_>>().len() == labels.len()
}

/// Whether the elements of two lists pair by position, since their keys are unique and the same in the same order:
/// nearly always, and then no labels need be written. `false` says nothing.
///
/// Told only of lists with one key whose values are all texts: texts are as different as the labels made of them.
pub(super) fn in_step(keys: &[String], left: &[Value], right: &[Value]) -> bool {
    let [key] = keys else { return false };
    if left.len() != right.len() {
        return false;
    }
    let mut names = Vec::with_capacity(left.len());
    for (left, right) in left.iter().zip(right) {
        match (left.get(key), right.get(key)) {
            (Some(Value::String(left)), Some(Value::String(right))) if left == right => names.push(left.as_str()),
            _ => return false,
        }
    }
    names.sort_unstable();
    names.windows(2).all(|pair| pair[0] != pair[1])
}

/// The position of the element that a step of a difference names; none where there is none, or more than one.
pub(crate) fn position(shape: Shape<'_>, list: &[Value], step: &Step) -> Option<usize> {
    let named = match step {
        Step::Key(_) => return None,
        Step::Index(index) => return (*index < list.len()).then_some(*index),
        Step::Element(named) => named,
    };
    let is_it = |element: &Value| match shape.list() {
        ListKind::Keyed(keys) => label(keys, element).as_ref() == Some(named),
        ListKind::Set => texts(std::slice::from_ref(element)).first() == Some(named),
        // An element that says its name is shown by it.
        ListKind::Positional => element.get("name").and_then(Value::as_str) == named.strip_prefix("name="),
    };
    let mut found = list.iter().enumerate().filter(|(_, element)| is_it(element)).map(|(index, _)| index);
    found.next().filter(|_| found.next().is_none())
}
