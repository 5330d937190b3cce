//! `kubectl apply`'s annotation: the manifest as it was submitted, hidden in a text.

use serde_json::Value;

use super::spelling;
use super::{Context, Form, Recognition, recognise};
use crate::difference::{Difference, Expected, Got, Path};
use crate::keys;
use crate::lifetime::Lifetime;
use crate::parameter::Bindings;
use crate::template::Template;

/// How an object was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// As its manifest is written.
    AsWritten,
    /// With the annotation of `kubectl apply`.
    ByKubectl,
}

/// `kubectl apply` sends a manifest without its nulls, and keeps them in its annotation. Only a kind that keeps nulls (a
/// custom resource) shows the difference.
pub(super) fn leave_out_nulls(expected: &mut Value, seen: &Value, sent: Sent) {
    if sent == Sent::ByKubectl && !says_null(seen) {
        without_nulls(expected);
    }
}

fn says_null(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.values().any(|value| value.is_null() || says_null(value)),
        Value::Array(elements) => elements.iter().any(says_null),
        _ => false,
    }
}

/// Of maps; an element of a list stays where it is.
fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(without_nulls);
        }
        Value::Array(elements) => elements.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

/// Nothing if the text is the manifest of this same object: recognised by the same template with the same parameters.
pub(super) fn check(
    template: &Template,
    text: &str,
    bindings: &Bindings,
    context: &Context<'_>,
) -> Result<Option<Difference>, String> {
    let difference = || Difference {
        path: Path::root().key("metadata").key("annotations").key(keys::LAST_APPLIED),
        expected: Expected::Described(
            "the manifest that `kubectl apply` submitted: what the same template makes of the same parameters".into(),
        ),
        got: Got::Hidden,
    };
    let Some(manifest) = manifest(text) else { return Ok(Some(difference())) };
    // It is the manifest as it was written, whose sidecars were moved since.
    let moved = template.sidecars.as_ref().and_then(|sidecars| sidecars.moved(&manifest));
    let manifest = moved.unwrap_or(manifest);
    let context = Context { form: Form::Submitted, ..*context };
    match recognise(template, &manifest, &context) {
        Recognition::Match(applied) if same(template, &applied, bindings) => Ok(None),
        Recognition::Match(_) | Recognition::Differ(_) => Ok(Some(difference())),
        Recognition::CouldNotTell(reason) => Err(reason),
    }
}

/// The manifest without its instructions to retinue; none if it is no manifest, or itself hides another.
fn manifest(text: &str) -> Option<Value> {
    let mut manifest: Value = serde_json::from_str(text).ok()?;
    if let Some(annotations) = manifest.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        if annotations.contains_key(keys::LAST_APPLIED) {
            return None;
        }
        for (key, is_instruction) in [
            (keys::DURATION, is_duration as fn(&str) -> bool),
            (keys::KEEP_FINISHED, is_duration),
            (keys::NOTIFY_BEFORE, is_duration),
            (keys::OWNER, |text| matches!(text, "workload" | "pod" | "none")),
            (keys::NATIVE_SIDECARS, |text| matches!(text, "true" | "false")),
        ] {
            if let Some(value) = annotations.get(key) {
                if !value.as_str().is_some_and(is_instruction) {
                    return None;
                }
                annotations.remove(key);
            }
        }
    }
    // kubectl writes an empty map where there is none.
    let metadata = manifest.get_mut("metadata").and_then(Value::as_object_mut)?;
    if metadata.get("annotations").and_then(Value::as_object).is_some_and(serde_json::Map::is_empty) {
        metadata.remove("annotations");
    }
    Some(manifest)
}

fn is_duration(text: &str) -> bool {
    Lifetime::parse(text).is_ok()
}

/// Generated parameters are filled after the annotation was written.
fn same(template: &Template, applied: &Bindings, bindings: &Bindings) -> bool {
    let values = applied.declared.iter().zip(&bindings.declared);
    template.parameters.all.iter().zip(values).all(|(parameter, (applied, bound))| match (applied, bound) {
        _ if parameter.generated.is_some() => applied.is_none() || applied == bound,
        (Some(applied), Some(bound)) => applied == bound || spelling::same_quantities(applied, bound),
        (applied, bound) => applied == bound,
    })
}
