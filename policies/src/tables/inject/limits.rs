//! What LimitRanger adds to the containers of a pod, and the annotation in which it says so.

use std::collections::BTreeMap;

use crate::tables::At;
use serde_json::{Map, Value, json};

use super::super::facts::{Facts, LimitRange};
use super::{CouldNotTell, Situation, entry, text};

/// Where LimitRanger says what it did.
const ANNOTATION: &str = "kubernetes.io~1limit-ranger";
const ANNOTATION_KEY: &str = "kubernetes.io/limit-ranger";
/// The same, as a place.
pub(super) const ANNOTATION_PLACE: &str = "/metadata/annotations/kubernetes.io~1limit-ranger";
/// Ranges of a namespace are applied in no order that anyone promises; up to this many, every order is tried.
const MOST_ORDERED: usize = 4;

pub(super) fn inject(expected: &mut Value, situation: &Situation<'_>) -> Result<(), CouldNotTell> {
    let at = format!("/metadata/annotations/{ANNOTATION}");
    let Some(shown) = text(situation.object, &at) else { return Ok(()) };
    if text(expected, &at) == Some(shown) {
        return Ok(());
    }
    let ranges = situation.facts.limit_ranges(situation.namespace);
    if ranges.is_empty() && situation.told() {
        let what = format!("the LimitRanges of namespace {}", situation.namespace);
        return Err(CouldNotTell::missing(&what, "what LimitRanger added to the pod"));
    }
    for order in orders(ranges) {
        let mut candidate = concerned(expected);
        order.iter().for_each(|range| apply(&mut candidate, range));
        if text(&candidate, &at) == Some(shown) {
            order.iter().for_each(|range| apply(expected, range));
            return Ok(());
        }
    }
    Ok(())
}

/// What LimitRanger looks at, and writes.
fn concerned(pod: &Value) -> Value {
    let part = |place: &str| pod.at(place).cloned().unwrap_or_default();
    json!({
        "metadata": {"annotations": part("/metadata/annotations")},
        "spec": {"containers": part("/spec/containers"), "initContainers": part("/spec/initContainers")},
    })
}

/// In how many orders they may have been applied.
pub(super) fn orders_of(facts: &Facts, namespace: &str) -> u64 {
    match facts.limit_ranges(namespace).len() {
        few @ 1..=MOST_ORDERED => (1..=few as u64).product(),
        _ => 1,
    }
}

/// Every order of a few ranges; of many only the one by name.
fn orders(ranges: Vec<&LimitRange>) -> Vec<Vec<&LimitRange>> {
    if ranges.len() > MOST_ORDERED {
        return vec![ranges];
    }
    let mut orders = vec![Vec::new()];
    for range in ranges {
        orders = orders
            .into_iter()
            .flat_map(|order: Vec<&LimitRange>| {
                (0..=order.len()).map(move |at| {
                    let mut longer = order.clone();
                    longer.insert(at, range);
                    longer
                })
            })
            .collect();
    }
    orders
}

fn apply(pod: &mut Value, range: &LimitRange) {
    let mut said = Vec::new();
    for (containers, word) in [("containers", "container"), ("initContainers", "init container")] {
        let found = pod.at_mut(&format!("/spec/{containers}")).and_then(Value::as_array_mut);
        for container in found.into_iter().flatten() {
            let name = text(container, "/name").unwrap_or_default().to_owned();
            let limits = fill(container, "limits", &range.limits);
            let requests = fill(container, "requests", &range.requests);
            for (set, what) in [(requests, "request"), (limits, "limit")] {
                if !set.is_empty() {
                    said.push(format!("{} {what} for {word} {name}", set.join(", ")));
                }
            }
        }
    }
    if !said.is_empty()
        && let Some(annotations) = entry(pod, &["metadata", "annotations"])
    {
        annotations.insert(ANNOTATION_KEY.into(), format!("LimitRanger plugin set: {}", said.join("; ")).into());
    }
}

/// Fills in one list of amounts; returns what was absent, by name.
fn fill(container: &mut Value, list: &str, amounts: &BTreeMap<String, Value>) -> Vec<String> {
    let mut set = Vec::new();
    if amounts.is_empty() {
        return set;
    }
    let Some(resources) = entry(container, &["resources"]) else { return set };
    let Some(given) = resources.entry(list).or_insert_with(|| json!({})).as_object_mut() else { return set };
    for (resource, amount) in amounts {
        if insert(given, resource, amount) {
            set.push(resource.clone());
        }
    }
    set
}

fn insert(given: &mut Map<String, Value>, resource: &str, amount: &Value) -> bool {
    let absent = !given.contains_key(resource);
    if absent {
        given.insert(resource.to_owned(), amount.clone());
    }
    absent
}
