//! Backwards: manifest in, parameters out, or the differences.
//!
//! Recognition binds, then proves. The walk ([`bind`]) goes along the pattern and the object and proposes what each
//! hole stands for; it is lenient and may be wrong. Then the template is rendered with these values, completed as the
//! API server would complete it, given what named injectors would add to this very object, and compared with the
//! object, closed world. Only if nothing differs it is a match. So that nothing is admitted never depends on the walk.

mod absent;
mod applied;
mod bind;
mod fill;
mod index;
mod joint;
mod known;
mod lists;
mod literals;
mod named;
mod report;
mod reshape;
mod settle;
mod shortcut;
mod spelling;
mod trail;
mod update;
mod verify;
pub(crate) mod work;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::budget::Budget;
use crate::difference::Difference;
use crate::object::Gvk;
use crate::parameter::Bindings;
use crate::tables::Facts;
use crate::template::{Element, Given, Hole, Pattern, Template};

pub use crate::tables::Form;
pub use fill::{fill, missing};
pub use literals::differ_in_literals;
pub(crate) use named::is_named_otherwise;
pub use shortcut::{Marked, Miss, Shortcut, contrast, shortcut};
pub use update::update;

/// The outcome of recognising one object against one template.
#[derive(Clone, Debug, PartialEq)]
pub enum Recognition {
    /// It is what the template renders with these bindings. Generated parameters that the object lacks are unbound:
    /// [`missing`] lists them, [`fill`] puts them in place.
    Match(Bindings),
    /// It is not, and here is where (never empty), the most telling first.
    Differ(Vec<Difference>),
    /// It needs a live fact or a CRD that is not at hand (`check` without `--with`); the text names it.
    CouldNotTell(String),
}

/// What is known about an object beside itself.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// How the object reached us.
    pub form: Form,
    /// The namespace that the request is for.
    pub namespace: &'a str,
    /// What the caller's verified identity gives.
    pub given: &'a BTreeMap<Given, String>,
    /// Live facts.
    pub facts: &'a Facts,
    /// What the work may come to; none: as much as it takes.
    pub budget: Option<&'a Budget>,
}

impl Context<'_> {
    /// Takes steps; false where there are not so many left.
    pub(crate) fn spend(&self, steps: u64) -> bool {
        self.budget.is_none_or(|budget| budget.spend(steps).is_ok())
    }

    /// Whether so many are left.
    fn has(&self, steps: u64) -> bool {
        self.budget.is_none_or(|budget| budget.affords(steps))
    }

    /// Whether no step is left: what was found out since may be wrong.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.budget.is_some_and(|budget| budget.left() == 0)
    }
}

/// Why nothing is told of an object that takes too much work.
pub(crate) const TOO_MUCH: &str = "it takes more work to compare than one review may";

/// Whether `object` is what `template` renders, and with which parameters.
///
/// `object` is without stamp and without instructions to retinue; the caller takes them off.
pub fn recognise(template: &Template, object: &Value, context: &Context<'_>) -> Recognition {
    if let Ok(bindings) = shortcut(template, object, context, Marked::No) {
        return Recognition::Match(bindings);
    }
    the_long_way(template, object, context)
}

/// As [`recognise`], by rendering and comparing in any case.
pub fn the_long_way(template: &Template, object: &Value, context: &Context<'_>) -> Recognition {
    Prepared::new(&template.kind, object.clone(), context.facts).prove(template, context)
}

/// An object that is held against several templates of its kind, the long way.
#[derive(Debug)]
pub(crate) struct Prepared {
    seen: Value,
    applied: Option<String>,
}

impl Prepared {
    /// Of a bare object.
    pub(crate) fn new(kind: &Gvk, object: Value, facts: &Facts) -> Self {
        let (seen, applied) = verify::prepare(kind, object, facts);
        Self { seen, applied }
    }

    /// As [`the_long_way`].
    pub(crate) fn prove(&self, template: &Template, context: &Context<'_>) -> Recognition {
        verify::judge(template, &self.seen, not_its_own(template, self.applied.as_deref()), context, None)
    }
}

/// The annotation of `kubectl apply`, unless it is the one that the template's own manifest carries.
fn not_its_own<'t>(template: &Template, applied: Option<&'t str>) -> Option<&'t str> {
    applied.filter(|text| template.applied.as_deref() != Some(text))
}

/// The declared parameters that a pattern uses.
pub fn uses(pattern: &Pattern) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    collect(pattern, &mut found);
    found
}

fn collect(pattern: &Pattern, found: &mut BTreeSet<usize>) {
    match pattern {
        Pattern::Literal(_) | Pattern::Hole(Hole::Given(_)) => {}
        Pattern::Hole(Hole::Declared(index)) => {
            found.insert(*index);
        }
        Pattern::Text(text) => found.extend(text.declared()),
        Pattern::Map(entries) => entries.iter().for_each(|(_, pattern)| collect(pattern, found)),
        Pattern::List(elements) => {
            for element in elements.iter() {
                match element {
                    Element::One(pattern) => collect(pattern, found),
                    Element::Many(index) => {
                        found.insert(*index);
                    }
                }
            }
        }
    }
}

/// What an instruction may come to, in bytes, beside the text that is sent for it.
pub(crate) const MOST_INSTRUCTED: u64 = 64 << 10;

/// Binds an instruction (a template's duration) that an object carries: `text` is what it says there. The bindings
/// are completed with what the instruction's holes stand for.
///
/// # Errors
/// What the template describes, for people.
pub fn bind_instruction(
    template: &Template,
    pattern: &Pattern,
    text: &str,
    bindings: &mut Bindings,
) -> Result<(), String> {
    let value = Value::String(text.to_owned());
    let given = std::mem::take(&mut bindings.given);
    let known = known::Known::default();
    let mut binder = bind::Binder::new(&template.parameters, &given, &known, None);
    binder.aside("annotations", pattern, &value, crate::tables::Shape::UNKNOWN);
    let found = binder.finish();
    let mut fits = found.misfits.is_empty() && found.unknown.is_none();
    bindings.declared.resize(template.parameters.all.len(), None);
    let in_object = uses(&template.pattern);
    for proposal in found.proposals {
        // Absent in the object, it is absent here too: rendered with a value, the object would be another.
        let absent = bindings.declared.get(proposal.parameter).is_some_and(Option::is_none);
        fits &= !(absent && in_object.contains(&proposal.parameter));
        if let Some(slot) = bindings.declared.get_mut(proposal.parameter) {
            fits &= slot.as_ref().is_none_or(|bound| *bound == proposal.value);
            slot.get_or_insert(proposal.value);
        }
    }
    bindings.given = given;
    // As everywhere: what was bound is proven by rendering it.
    // A hole that is written often makes much of little.
    fits &= work::rendered(pattern, bindings) <= MOST_INSTRUCTED + 16 * text.len() as u64;
    let rendered = if fits { crate::render::render_pattern(template, pattern, bindings).ok().flatten() } else { None };
    fits &= rendered.is_some_and(|rendered| crate::parameter::text_of_value(&rendered).as_deref() == Some(text));
    if fits { Ok(()) } else { Err(report::describe(pattern, None, &text.into(), &template.parameters)) }
}
