//! The same proof, prepared: a template is rendered and completed once, with marks where its holes are, and what comes
//! of it is walked beside an object without building anything.
//!
//! The long way (`super::verify`) renders the bindings, completes, injects and compares. Completing copies the value
//! of a hole from place to place but does not look at it, save where [`plan`] says so and gives up; so completing the
//! rendered template is filling in the completed marks. What injectors add is asked of the injectors themselves, on
//! the part of the tree that they read ([`additions`]). An object that equals what comes out of that, entry for entry
//! and in the same order, equals what the long way would compare it with, and is complete since that is.
//!
//! So this admits only what the long way admits (a property test holds that it does, with the same bindings); whatever
//! it does not admit goes the long way, which knows other spellings and orders, and words the differences.

mod additions;
mod contrast;
mod plan;
mod remembered;
#[cfg(test)]
mod tests;
mod walk;

use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::{Context, work};
use crate::budget::Budget;
use crate::difference::Difference;
use crate::parameter::Bindings;
use crate::template::Template;

/// Of a budget one such part is not used for preparing templates.
const RESERVED: u64 = 2;

/// A template's prepared form, made at first use. A copy of a template has one of its own, since its pattern may be
/// changed.
#[derive(Debug, Default)]
pub struct Shortcut {
    plan: OnceLock<Option<Arc<plan::Plan>>>,
    /// Steps of making it.
    planning: OnceLock<u64>,
}

impl Shortcut {
    /// None where the template has none, or making it would leave too little of the budget for holding the object against
    /// it the long way, which needs none. The next review makes it.
    fn plan(&self, template: &Template, budget: Option<&Budget>) -> Option<&Arc<plan::Plan>> {
        let affords = |budget: &Budget| {
            let work = *self.planning.get_or_init(|| work::planning(&template.pattern));
            budget.affords(work + budget.given() / RESERVED) && budget.spend(work).is_ok()
        };
        if self.plan.get().is_none() && !budget.is_none_or(affords) {
            return None;
        }
        self.plan.get_or_init(|| plan::Plan::of(template).map(Arc::new)).as_ref()
    }
}

impl Clone for Shortcut {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// Whether an object carries what is not part of it for recognition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marked {
    /// It is bare.
    No,
    /// It may carry stamp, instructions and owners, which are judged elsewhere.
    Maybe,
}

/// Why an object is not what a plan says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    /// It differs, whatever its holes stand for: what the template itself says there is another thing.
    Sure,
    /// The long way tells.
    Unsure,
}

/// The bindings with which `template` renders `object`.
///
/// # Errors
/// [`Miss`] where this does not find them.
pub fn shortcut(template: &Template, object: &Value, context: &Context<'_>, marked: Marked) -> Result<Bindings, Miss> {
    walk::walk(template.shortcut.plan(template, context.budget).ok_or(Miss::Unsure)?, template, object, context, marked)
}

/// Whether no hole of `template` that may be absent stands where the API server fills something in, or where something else
/// depends on it: then an absent one is seen at its place. False where that is not known.
pub(super) fn stand_apart(template: &Template, budget: Option<&Budget>) -> bool {
    template.shortcut.plan(template, budget).is_some_and(|plan| !plan.defaulted)
}

/// The differences between `object` and what `template` renders, as the long way words them. None says nothing: the
/// long way tells.
pub fn contrast(template: &Template, object: &Value, context: &Context<'_>, marked: Marked) -> Option<Vec<Difference>> {
    let plan = template.shortcut.plan(template, context.budget)?;
    contrast::contrast(plan, template, object, context, marked)
}
