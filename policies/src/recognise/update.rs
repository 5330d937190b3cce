//! Of an update only what it changes is held against a template: others may have changed the object meanwhile.

use serde_json::Value;

use super::verify::{judge, prepare};
use super::{Context, Form, Recognition, TOO_MUCH, work};
use crate::difference::{Path, Step};
use crate::parameter::Bindings;
use crate::tables::compare;
use crate::template::Template;

/// What an update starts from.
pub(super) struct Since<'a> {
    /// The paths that it changes: the leaves, or the topmost of what it adds or removes.
    pub(super) changed: &'a [Path],
    /// The parameters that were recognised when the object was admitted.
    pub(super) recorded: &'a Bindings,
    /// How the changed object reached us: what the server allots (a node port) is not there before it did, or it is
    /// the caller's choice.
    pub(super) form: Form,
}

impl Since<'_> {
    /// Steps of asking [`Since::touches`] about so many paths.
    pub(super) fn work(&self, paths: usize) -> u64 {
        16 * (self.changed.len() as u64).saturating_mul(paths as u64)
    }

    /// Whether the update changes this path, something below it, or something that it is part of.
    pub(super) fn touches(&self, path: &Path) -> bool {
        self.changed.iter().any(|changed| {
            let mut steps = changed.steps().iter().zip(path.steps());
            steps.all(|(one, other)| may_be_one(one, other))
        })
    }
}

/// Whether two steps may lead to the same place. A list whose keys are not unique is compared by position, the same
/// list after the change perhaps by its keys: then every element may be the one.
fn may_be_one(one: &Step, other: &Step) -> bool {
    match (one, other) {
        (Step::Element(one), Step::Element(other)) => one == other || keys_of(one).ne(keys_of(other)),
        (Step::Index(_), Step::Element(_)) | (Step::Element(_), Step::Index(_)) => true,
        _ => one == other,
    }
}

/// The names of the merge keys in the name of an element: `containerPort` and `protocol` of
/// `containerPort=80,protocol=TCP`.
fn keys_of(element: &str) -> impl Iterator<Item = &str> {
    element.split(',').map(|part| part.split_once('=').map_or("", |(key, _)| key))
}

/// Whether every leaf that an update changes is what `template` would render there. A leaf that already differed may
/// stay as it is; changed, it must be right. Parameters may change where every place that shows one follows.
///
/// `old` and `new` are without stamp and instructions. The form of what is stored is [`Form::Validating`], whatever
/// the phase: strategies have run on it. What the update itself brings has the form of the phase.
pub fn update(
    template: &Template,
    old: &Value,
    new: &Value,
    recorded: &Bindings,
    context: &Context<'_>,
) -> Recognition {
    let form = context.form;
    if !context.spend(work::HOLDING / 2 * (work::size(old) + work::size(new))) {
        return Recognition::CouldNotTell(TOO_MUCH.into());
    }
    let context = &Context { form: Form::Validating, ..*context };
    let (before, was_applied) = prepare(&template.kind, old.clone(), context.facts);
    let (after, applied) = prepare(&template.kind, new.clone(), context.facts);
    let own = |applied: Option<String>| applied.filter(|text| super::not_its_own(template, Some(text)).is_some());
    let (was_applied, applied) = (own(was_applied), own(applied));
    let changes = compare(&template.kind, &before, &after, context.facts);
    let changed: Vec<_> = changes.into_iter().map(|difference| difference.path).collect();
    let applied = applied.filter(|text| was_applied.as_ref() != Some(text));
    if changed.is_empty() && applied.is_none() {
        return Recognition::Match(recorded.clone());
    }
    judge(template, &after, applied.as_deref(), context, Some(&Since { changed: &changed, recorded, form }))
}
