//! The proof: what was bound is rendered, completed, and compared with the object.

use std::collections::{BTreeSet, HashSet};

use crate::tables::At;
use serde_json::Value;

use super::absent::Held;
use super::bind::{Binder, Found};
use super::known::Known;
use super::report;
use super::settle::{Settled, settle};
use super::update::Since;
use super::{Context, Recognition, TOO_MUCH, absent, applied, uses, work};
use crate::difference::{Difference, Expected, Got, Path, Step};
use crate::keys;
use crate::object::Gvk;
use crate::parameter::Bindings;
use crate::render::Renderer;
use crate::tables::{Facts, Shape, compare, complete, inject, injecting, shape_of};
use crate::template::{Given, Placement, Template};

/// The object as it is compared: completed, without `kubectl apply`'s annotation, which is returned beside it.
pub(super) fn prepare(kind: &Gvk, mut seen: Value, facts: &Facts) -> (Value, Option<String>) {
    let mut applied = None;
    if let Some(Value::Object(metadata)) = seen.get_mut("metadata")
        && let Some(Value::Object(annotations)) = metadata.get_mut("annotations")
        && let Some(Value::String(text)) = annotations.get(keys::LAST_APPLIED)
    {
        applied = Some(text.clone());
        annotations.remove(keys::LAST_APPLIED);
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
    complete(kind, &mut seen, facts);
    (seen, applied)
}

/// The verdict on a prepared object; of an update only what it changed.
pub(super) fn judge(
    template: &Template,
    seen: &Value,
    applied: Option<&str>,
    context: &Context<'_>,
    since: Option<&Since<'_>>,
) -> Recognition {
    let size = work::size(seen) + work::weight(&template.pattern) + applied.map_or(0, |text| 2 * text.len() as u64);
    let asked = Known::default();
    let recognition = absent::search(template, since, context, 2 * work::HOLDING * size, |template, since| {
        if context.spend(work::HOLDING * size) {
            held_against(template, seen, applied, &asked, context, since)
        } else {
            Recognition::CouldNotTell(TOO_MUCH.into()).into()
        }
    });
    // What was found once no step was left may be wrong.
    if context.is_exhausted() { Recognition::CouldNotTell(TOO_MUCH.into()) } else { recognition }
}

/// The verdict where every hole stands for what the object shows.
fn held_against(
    template: &Template,
    seen: &Value,
    applied: Option<&str>,
    asked: &Known,
    context: &Context<'_>,
    since: Option<&Since<'_>>,
) -> Held {
    let kind = kind_differences(template, seen);
    if !kind.is_empty() {
        return Recognition::Differ(kind).into();
    }
    let namespace = Value::String(context.namespace.to_owned());
    let shape = shape_of(&template.kind, context.facts);
    let mut binder = Binder::new(&template.parameters, context.given, asked, context.budget);
    if let Placement::Named(pattern) = &template.placement {
        binder.aside("namespace", pattern, &namespace, Shape::UNKNOWN);
    }
    let found = binder.walk(template, seen, shape);
    // What was found is not worth being told, nor what that would take.
    if context.is_exhausted() {
        return Recognition::CouldNotTell(TOO_MUCH.into()).into();
    }
    if let (Some(given), None) = (found.unknown, since) {
        return Recognition::CouldNotTell(format!(
            "the template uses ${{{}}}, which only the identity of the master's pod tells",
            given.name()
        ))
        .into();
    }
    let settled = settle(&found, &template.parameters, context.given, context.form, since);
    // A hole that is used often makes much of little.
    if !context.spend(work::HOLDING / 2 * work::rendered(&template.pattern, &settled.bindings)) {
        return Recognition::CouldNotTell(TOO_MUCH.into()).into();
    }
    let mut differences = settled.failures.clone();
    if since.is_none() {
        let Some(unaccepted) = unaccepted(template, &settled.bindings, asked, context) else {
            return Recognition::CouldNotTell(TOO_MUCH.into()).into();
        };
        differences.extend(unaccepted);
    }
    differences.extend(place_differences(template, seen, &settled.bindings, context));
    let shown = Context { form: since.map_or(context.form, |since| since.form), ..*context };
    let sent = if applied.is_some() { applied::Sent::ByKubectl } else { applied::Sent::AsWritten };
    let expected = match expected(template, seen, &settled, sent, &shown) {
        Ok(expected) => expected,
        // What differs for sure differs whatever could not be told.
        Err((_, reason)) if differences.is_empty() && since.is_none() => {
            return Recognition::CouldNotTell(reason).into();
        }
        Err((expected, reason)) => {
            if let Some(since) = since {
                let changed = compare(&template.kind, &expected, seen, context.facts);
                if changed.iter().any(|difference| since.touches(&difference.path)) {
                    return Recognition::CouldNotTell(reason).into();
                }
            }
            seen.clone()
        }
    };
    let failed: HashSet<&[Step]> = settled.failures.iter().map(|failure| failure.path.steps()).collect();
    // Told already, here or above.
    let covered = |difference: &Difference| {
        let steps = difference.path.steps();
        !failed.is_empty() && (0..=steps.len()).any(|depth| failed.contains(&steps[..depth]))
    };
    let compared = compare(&template.kind, &expected, seen, context.facts);
    differences.extend(compared.into_iter().filter(|difference| !covered(difference)));
    if let Some(since) = since {
        differences.retain(|difference| since.touches(&difference.path));
    }
    if differences.is_empty()
        && let Some(text) = applied
    {
        match applied::check(template, text, &settled.bindings, context) {
            Ok(None) => {}
            Ok(Some(difference)) => differences.push(difference),
            Err(reason) => return Recognition::CouldNotTell(reason).into(),
        }
    }
    if differences.is_empty() {
        return Recognition::Match(settled.bindings).into();
    }
    let impossible = absent::impossible(&found.misfits, &template.parameters);
    let unseen = unseen(&found, &settled);
    let differences = report::finish(differences, &found, template, &settled.bindings);
    Held { recognition: Recognition::Differ(differences), impossible, unseen }
}

/// The parameters of which the object shows nothing: without their holes the template would render the same.
fn unseen(found: &Found<'_>, settled: &Settled) -> BTreeSet<usize> {
    let unbound = settled.bindings.declared.iter().enumerate().filter(|(_, value)| value.is_none());
    let mut unseen: BTreeSet<usize> = unbound.map(|(index, _)| index).collect();
    for misfit in &found.misfits {
        for index in uses(misfit.pattern) {
            unseen.remove(&index);
        }
    }
    unseen
}

/// What the template makes of the bindings, as the API server would show it.
fn expected(
    template: &Template,
    seen: &Value,
    settled: &Settled,
    sent: applied::Sent,
    context: &Context<'_>,
) -> Result<Value, (Value, String)> {
    let rendered =
        Renderer::new(&template.parameters, &settled.bindings).with(&settled.instead).value(&template.pattern);
    let mut expected = rendered.unwrap_or_default();
    applied::leave_out_nulls(&mut expected, seen, sent);
    settle_namespace(&mut expected, seen);
    complete(&template.kind, &mut expected, context.facts);
    if !context.spend(injecting(&expected, seen, context.namespace, context.facts)) {
        return Err((expected, TOO_MUCH.into()));
    }
    let added = inject(&template.kind, &mut expected, seen, context.form, context.namespace, context.facts);
    match added {
        Ok(()) => Ok(expected),
        Err(reason) => Err((expected, reason.to_string())),
    }
}

/// The namespace was judged apart ([`place_differences`]).
fn settle_namespace(expected: &mut Value, seen: &Value) {
    let Some(namespace) = seen.at("/metadata/namespace") else { return };
    if let Some(Value::Object(metadata)) = expected.get_mut("metadata") {
        metadata.insert("namespace".into(), namespace.clone());
    }
}

fn kind_differences(template: &Template, seen: &Value) -> Vec<Difference> {
    let wanted = [("apiVersion", template.kind.api_version()), ("kind", template.kind.kind.clone())];
    let differing = wanted.into_iter().filter(|(key, wanted)| seen.get(*key).and_then(Value::as_str) != Some(wanted));
    differing
        .map(|(key, wanted)| Difference {
            path: Path::root().key(key),
            expected: Expected::Value(Value::String(wanted)),
            got: seen.get(key).map_or(Got::Nothing, |value| Got::Value(value.clone())),
        })
        .collect()
}

/// The object lives where the template says, and the request says the same.
fn place_differences(template: &Template, seen: &Value, bindings: &Bindings, context: &Context<'_>) -> Vec<Difference> {
    let wanted = match &template.placement {
        Placement::MasterNamespace => context.given.get(&Given::MasterNamespace).cloned(),
        Placement::Named(pattern) => {
            let rendered = Renderer::new(&template.parameters, bindings).value(pattern);
            Some(rendered.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned())
        }
    };
    // Whose namespace it is may be unknown offline; then it is the request's.
    let wanted = Value::String(wanted.unwrap_or_else(|| context.namespace.to_owned()));
    let asked = Value::String(context.namespace.to_owned());
    // One left out is the request's. Whatever else is no text is no namespace.
    let said = seen.at("/metadata/namespace").filter(|said| !said.is_null()).unwrap_or(&asked);
    let wrong = [said, &asked].into_iter().find(|got| **got != wanted);
    let difference = wrong.map(|got| Difference {
        path: Path::root().key("metadata").key("namespace"),
        expected: Expected::Value(wanted.clone()),
        got: Got::Value(got.clone()),
    });
    difference.into_iter().collect()
}

/// Values that their schema refuses, and holes that must have a value and have none; none where no step is left to tell. The
/// walk proposes neither; this is what makes its being right unnecessary.
fn unaccepted(
    template: &Template,
    bindings: &Bindings,
    asked: &Known,
    context: &Context<'_>,
) -> Option<Vec<Difference>> {
    let mut wrong = Vec::new();
    for (index, (parameter, value)) in template.parameters.all.iter().zip(&bindings.declared).enumerate() {
        let Some(value) = value else { continue };
        if !asked.accepts(index, &parameter.schema, value, context.budget)? {
            let described = parameter.schema.describe_for(value);
            wrong.push(Difference {
                path: Path::root(),
                expected: Expected::Described(format!("${{{}}} to be {described}", parameter.name)),
                got: Got::Hidden,
            });
        }
    }
    Some(wrong)
}
