//! Of an update only what it changes is held against a template: others may have changed the object meanwhile.

use serde_json::Value;

use super::verify::{judge, prepare};
use super::{Context, Form, Recognition};
use crate::difference::Path;
use crate::parameter::Bindings;
use crate::tables::compare;
use crate::template::Template;

/// What an update starts from.
pub(super) struct Since<'a> {
    /// The paths that it changes: the leaves, or the topmost of what it adds or removes.
    pub(super) changed: Vec<Path>,
    /// The parameters that were recognised when the object was admitted.
    pub(super) recorded: &'a Bindings,
}

impl Since<'_> {
    /// Whether the update changes this path, something below it, or something that it is part of.
    pub(super) fn touches(&self, path: &Path) -> bool {
        self.changed.iter().any(|changed| changed.contains(path) || path.contains(changed))
    }
}

/// Whether every leaf that an update changes is what `template` would render there. A leaf that already differed may
/// stay as it is; changed, it must be right. Parameters may change where every place that shows one follows.
///
/// `old` and `new` are without stamp and instructions. The form of what is stored is [`Form::Validating`], whatever
/// the phase: strategies have run on it.
pub fn update(
    template: &Template,
    old: &Value,
    new: &Value,
    recorded: &Bindings,
    context: &Context<'_>,
) -> Recognition {
    let context = &Context { form: Form::Validating, ..*context };
    let (before, was_applied) = prepare(template, old, context.facts);
    let (after, applied) = prepare(template, new, context.facts);
    let changes = compare(&template.kind, &before, &after, context.facts);
    let changed: Vec<_> = changes.into_iter().map(|difference| difference.path).collect();
    let applied = applied.filter(|text| was_applied.as_ref() != Some(text));
    if changed.is_empty() && applied.is_none() {
        return Recognition::Match(recorded.clone());
    }
    judge(template, &after, applied.as_deref(), context, Some(&Since { changed, recorded }))
}
