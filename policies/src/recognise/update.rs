//! Of an update only what it changes is held against a template: others may have changed the object meanwhile.

use std::collections::HashMap;

use serde_json::Value;

use super::verify::{judge, prepare};
use super::{Context, Form, Recognition, TOO_MUCH, work};
use crate::budget::Budget;
use crate::difference::{Path, Step};
use crate::parameter::Bindings;
use crate::tables::compare;
use crate::template::Template;

/// What an update starts from.
pub(super) struct Since<'a> {
    /// The paths that it changes: the leaves, or the topmost of what it adds or removes.
    pub(super) changed: &'a Changed<'a>,
    /// The parameters that were recognised when the object was admitted.
    pub(super) recorded: &'a Bindings,
    /// How the changed object reached us: what the server allots (a node port) is not there before it did, or it is
    /// the caller's choice.
    pub(super) form: Form,
    /// What the work may come to.
    pub(super) budget: Option<&'a Budget>,
}

impl Since<'_> {
    /// Whether the update changes this path, something below it, or something that it is part of. Where no step is left
    /// to tell, it does.
    pub(super) fn touches(&self, path: &Path) -> bool {
        self.changed.touch(path.steps(), self.budget)
    }
}

/// Paths, by their steps.
#[derive(Debug, Default)]
pub(super) struct Changed<'a> {
    /// Whether one of them ends here.
    ends: bool,
    /// By keys of maps.
    keys: HashMap<&'a str, Self>,
    /// By positions.
    positions: HashMap<usize, Self>,
    /// By the names of elements, for each row of merge keys that is in them.
    elements: HashMap<Vec<&'a str>, HashMap<&'a str, Self>>,
}

impl<'a> Changed<'a> {
    pub(super) fn of(paths: impl IntoIterator<Item = &'a Path>) -> Self {
        let mut all = Self::default();
        for path in paths {
            let below = path.steps().iter().fold(&mut all, |node, step| match step {
                Step::Key(key) => node.keys.entry(key).or_default(),
                Step::Index(index) => node.positions.entry(*index).or_default(),
                Step::Element(name) => {
                    let named = node.elements.entry(keys_of(name).collect()).or_default();
                    named.entry(name).or_default()
                }
            });
            below.ends = true;
        }
        all
    }

    fn is_empty(&self) -> bool {
        !self.ends && self.keys.is_empty() && self.positions.is_empty() && self.elements.is_empty()
    }

    /// Whether one of the paths leads to where these steps lead, above it or below it.
    ///
    /// A list whose keys are not unique is compared by position, the same list after the change perhaps by its keys: then
    /// every element may be the one.
    fn touch(&self, steps: &[Step], budget: Option<&Budget>) -> bool {
        let Some((step, rest)) = steps.split_first() else { return !self.is_empty() };
        if self.ends || budget.is_some_and(|budget| budget.spend(work::LOOK as u64).is_err()) {
            return true;
        }
        let below = |node: &Self| node.touch(rest, budget);
        let of_elements = || self.elements.values().flat_map(HashMap::values);
        match step {
            Step::Key(key) => self.keys.get(key.as_str()).is_some_and(below),
            Step::Index(index) => self.positions.get(index).is_some_and(below) || of_elements().any(below),
            Step::Element(name) => {
                let own: Vec<_> = keys_of(name).collect();
                let alike = self.elements.get(&own).and_then(|named| named.get(name.as_str()));
                let others =
                    || self.elements.iter().filter(|(keys, _)| **keys != own).flat_map(|(_, named)| named.values());
                alike.is_some_and(below) || self.positions.values().any(below) || others().any(below)
            }
        }
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
    let changed = Changed::of(changes.iter().map(|difference| &difference.path));
    let applied = applied.filter(|text| was_applied.as_ref() != Some(text));
    if changed.is_empty() && applied.is_none() {
        return Recognition::Match(recorded.clone());
    }
    judge(
        template,
        &after,
        applied.as_deref(),
        context,
        Some(&Since { changed: &changed, recorded, form, budget: context.budget }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Path {
        crate::accept::read_path(text).unwrap_or_default()
    }

    #[test]
    fn a_change_touches_what_is_above_and_below_it_and_elements_that_may_be_the_same() {
        let changed = [
            "spec.replicas",
            "spec.containers[name=a].image",
            "spec.args[2].x",
            "spec.ports[containerPort=80,protocol=TCP]",
        ];
        let paths: Vec<Path> = changed.iter().map(|text| path(text)).collect();
        let changed = Changed::of(&paths);
        for (text, is_touched) in [
            ("spec", true),
            ("spec.replicas", true),
            ("spec.replicas.below", true),
            ("spec.other", false),
            ("metadata", false),
            ("spec.containers", true),
            ("spec.containers[name=a]", true),
            ("spec.containers[name=a].args", false),
            ("spec.containers[name=b].image", false),
            ("spec.containers[0].image", true),
            ("spec.containers[0].args", false),
            ("spec.args[2]", true),
            ("spec.args[3]", false),
            ("spec.args[name=x].x", true),
            ("spec.args[name=x].y", false),
            ("spec.ports[containerPort=80,protocol=UDP]", false),
            ("spec.ports[containerPort=80]", true),
        ] {
            assert_eq!(changed.touch(path(text).steps(), None), is_touched, "{text}");
        }
        assert!(!Changed::default().touch(path("spec").steps(), None));
    }

    #[test]
    fn without_a_step_left_a_change_touches_everything() {
        let paths = [path("spec.replicas")];
        assert!(Changed::of(&paths).touch(path("metadata.name").steps(), Some(&Budget::of(0))));
    }
}
