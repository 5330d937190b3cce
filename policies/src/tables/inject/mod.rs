//! The injectors: what admission plugins and strategies of the API server would add to one very object.
//!
//! Guided by what the object shows: something is added to what is expected only where the object has it and where the
//! server would have put it there. What the object shows beyond that, a comparison finds. Pods only get what is a pod's;
//! pod templates never.

mod claim;
mod ingress;
mod job;
mod limits;
mod pod;
mod pod_resources;
mod service;
mod stateful_set;
mod token;

pub(crate) use token::{DEFAULT_ACCOUNT, VOLUME_PREFIX};

use std::collections::HashMap;

use crate::tables::At;
use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::difference::Expected;
use crate::object::Gvk;
use crate::recognise::work;

use super::facts::{Completeness, Facts};
use super::{Form, compare, complete, settled, shape, shape_of};

/// A live object is needed and was not told.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct CouldNotTell(pub String);

impl CouldNotTell {
    fn missing(what: &str, why: &str) -> Self {
        Self(format!("{why} depends on {what}, which is not given"))
    }
}

/// What every injector is given.
struct Situation<'a> {
    object: &'a Value,
    form: Form,
    namespace: &'a str,
    facts: &'a Facts,
}

impl Situation<'_> {
    /// Whether an absent fact is unknown, rather than not there.
    fn told(&self) -> bool {
        self.facts.completeness() == Completeness::Told
    }

    /// Whether the object shows something.
    fn shown(&self, pointer: &str) -> Option<&Value> {
        self.object.at(pointer).filter(|value| !value.is_null())
    }
}

/// Adds to `expected`, which is completed, exactly what the API server would have added to `object`.
///
/// `namespace` is the namespace of the request; empty for objects of the whole cluster.
///
/// # Errors
/// When that depends on a live object that is not among facts that were told.
pub fn inject(
    kind: &Gvk,
    expected: &mut Value,
    object: &Value,
    form: Form,
    namespace: &str,
    facts: &Facts,
) -> Result<(), CouldNotTell> {
    inject_into(kind, expected, object, form, namespace, facts)?;
    // What was added may imply defaults, as it does on the server.
    if !settled(shape_of(kind, facts), expected) {
        complete(kind, expected, facts);
    }
    let situation = Situation { object, form, namespace, facts };
    if situation.told() && shape::kind(kind).is_none() && facts.custom(kind).is_none() {
        custom(kind, expected, &situation)?;
    }
    Ok(())
}

/// Steps of [`inject`] that are more than going along the object: tolerations that a RuntimeClass's are merged with, and the
/// orders in which LimitRanges may have been applied.
pub(crate) fn injecting(expected: &Value, object: &Value, namespace: &str, facts: &Facts) -> u64 {
    let mut steps = 0_u64;
    if has(expected, "/spec/runtimeClassName") {
        let tolerations = list(expected, "/spec/tolerations").len() as u64;
        steps += 64 * tolerations * tolerations;
    }
    if text(object, limits::ANNOTATION_PLACE).is_some() {
        let containers = ["/spec/containers", "/spec/initContainers"].map(|place| list(expected, place));
        let size: u64 = containers.iter().flat_map(|all| all.iter()).map(|one| 256 + work::size(one)).sum();
        steps += size * limits::orders_of(facts, namespace) * 8;
    }
    steps
}

/// As [`inject`], without completing what was added.
///
/// # Errors
/// As [`inject`].
pub(crate) fn inject_into(
    kind: &Gvk,
    expected: &mut Value,
    object: &Value,
    form: Form,
    namespace: &str,
    facts: &Facts,
) -> Result<(), CouldNotTell> {
    let situation = Situation { object, form, namespace, facts };
    metadata(expected, &situation);
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "Pod") => pod::inject(expected, &situation),
        ("", "PersistentVolumeClaim") => claim::inject(expected, &situation),
        ("", "Service") => {
            service::inject(expected, &situation);
            Ok(())
        }
        ("batch", "Job") => {
            job::inject(expected, &situation);
            Ok(())
        }
        ("apps", "DaemonSet") => {
            daemon_set(expected, &situation);
            Ok(())
        }
        ("apps", "StatefulSet") => {
            stateful_set::inject(expected, &situation);
            Ok(())
        }
        ("networking.k8s.io", "Ingress") => ingress::inject(expected, &situation),
        _ => Ok(()),
    }
}

/// The namespace of the request, and the name that `generateName` became.
fn metadata(expected: &mut Value, situation: &Situation<'_>) {
    let shown = |field: &str| situation.object.get("metadata").and_then(|all| all.get(field)).and_then(Value::as_str);
    if shown("namespace") == Some(situation.namespace) {
        add(expected, &["metadata"], "namespace", situation.namespace.into());
    }
    if situation.form == Form::Validating && !has(expected, "/metadata/name") {
        let prefix = text(expected, "/metadata/generateName").unwrap_or_default();
        if let Some(name) = shown("name").filter(|name| is_generated(prefix, name)) {
            add(expected, &["metadata"], "name", name.into());
        }
    }
}

/// The letters of generated names: no vowels, nothing that looks like another.
const GENERATED: &str = "bcdfghjklmnpqrstvwxz2456789";
/// How long a prefix of a generated name may be before it is cut.
const LONGEST_PREFIX: usize = 58;

/// Whether a name is what the server makes of a prefix: five random letters more.
pub(crate) fn is_generated(prefix: &str, name: &str) -> bool {
    let prefix = prefix.get(..LONGEST_PREFIX).unwrap_or(prefix);
    let rest = name.strip_prefix(prefix).filter(|_| !prefix.is_empty());
    rest.is_some_and(|rest| rest.len() == 5 && rest.chars().all(|c| GENERATED.contains(c)))
}

/// A number that the server keeps as an annotation, for versions of the kind that are long gone.
fn daemon_set(expected: &mut Value, situation: &Situation<'_>) {
    const GENERATION: &str = "deprecated.daemonset.template.generation";
    let annotations = situation.shown("/metadata/annotations");
    let Some(shown) = annotations.and_then(|all| all.get(GENERATION)).and_then(Value::as_str) else { return };
    if !shown.is_empty() && shown.len() < 20 && shown.bytes().all(|byte| byte.is_ascii_digit()) {
        add(expected, &["metadata", "annotations"], GENERATION, shown.into());
    }
}

/// Of a kind that nobody described, any extra field may be a default.
fn custom(kind: &Gvk, expected: &Value, situation: &Situation<'_>) -> Result<(), CouldNotTell> {
    let differences = compare(kind, expected, situation.object, situation.facts);
    match differences.iter().find(|difference| difference.expected == Expected::Nothing) {
        None => Ok(()),
        Some(difference) => Err(CouldNotTell::missing(
            &format!("the CustomResourceDefinition of {kind}"),
            &format!("whether {} is a default", difference.path),
        )),
    }
}

/// The object at a path, made where it is absent; none where something else is there.
fn entry<'a>(value: &'a mut Value, path: &[&str]) -> Option<&'a mut Map<String, Value>> {
    let mut at = value.as_object_mut()?;
    for name in path {
        let next = at.entry(*name).or_insert_with(|| json!({}));
        if next.is_null() {
            *next = json!({});
        }
        at = next.as_object_mut()?;
    }
    Some(at)
}

/// Adds a field where it is absent.
fn add(value: &mut Value, path: &[&str], field: &str, new: Value) {
    if let Some(object) = entry(value, path)
        && object.get(field).is_none_or(Value::is_null)
    {
        object.insert(field.into(), new);
    }
}

/// Whether something is said at a path.
fn has(value: &Value, pointer: &str) -> bool {
    value.at(pointer).is_some_and(|value| !value.is_null())
}

fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.at(pointer).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// The first element of each name; those without one, or with an empty one, are alike.
fn by_name(list: &[Value]) -> HashMap<Option<&str>, &Value> {
    let mut first = HashMap::with_capacity(list.len());
    for element in list {
        first.entry(text(element, "/name")).or_insert(element);
    }
    first
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.at(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests;
