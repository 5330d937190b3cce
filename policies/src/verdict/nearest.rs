//! The refusal of a new object: by the template that is nearest to it.

use std::rc::Rc;

use crate::accept::{self, Row};
use crate::budget::Budget;
use crate::difference::{Difference, Expected, Path};
use crate::keys;
use crate::recognise::Context;
use crate::template::Template;

use super::attempt::{Attempt, Attempts, Form};
use super::grant::Candidate;
use super::{Cause, Refusal};

/// How many templates an object is compared with in full to tell which is nearest.
const COMPARED: usize = 100;
/// Steps that telling may take, beside those of finding out that no template admits the object; not more than those.
const TELLING: u64 = 60_000_000;
/// How long a row may be that a refusal spells out, in bytes.
const LONGEST_ROW: usize = 400;

/// The template that differs least so far, the first of several.
#[derive(Default)]
pub(super) struct Nearest<'a> {
    best: Option<Near<'a>>,
    compared: usize,
    /// Candidates that were seen to differ at once, and their position.
    aside: Vec<(usize, Candidate<'a>)>,
}

/// What else the pod asks for, and the object was not compared with.
pub(super) struct Others {
    /// What is still being compiled ([`grant::undecided`](super::grant::undecided)).
    pub(super) undecided: Option<String>,
    /// What can't be used ([`grant::unusable`](super::grant::unusable)).
    pub(super) unusable: Option<String>,
}

impl Others {
    /// A refusal for which they were left out, with them first.
    pub(super) fn before(&self, refusal: Refusal) -> Refusal {
        let refusal = match &self.unusable {
            Some(unusable) => refusal.unusable(unusable),
            None => refusal,
        };
        match &self.undecided {
            Some(undecided) => refusal.undecided(undecided),
            None => refusal,
        }
    }
}

/// How an object differs from a template that does not admit it.
struct Near<'a> {
    /// How much, and the template's position.
    rank: (usize, usize),
    candidate: Candidate<'a>,
    differences: Vec<Difference>,
    /// The form of the object that was held against it.
    form: Rc<Form<'a>>,
}

impl<'a> Nearest<'a> {
    /// One more that was compared in full.
    pub(super) fn consider(
        &mut self,
        position: usize,
        candidate: Candidate<'a>,
        differences: Vec<Difference>,
        form: Rc<Form<'a>>,
    ) {
        self.compared += 1;
        let rank = (distance(&differences), position);
        if self.best.as_ref().is_none_or(|best| rank < best.rank) {
            self.best = Some(Near { rank, candidate, differences, form });
        }
    }

    /// One that differs for sure, and may be compared when that is all there is to do.
    pub(super) fn set_aside(&mut self, position: usize, candidate: Candidate<'a>) {
        self.aside.push((position, candidate));
    }

    /// Compares those that seem nearest, as many as may be, and words the refusal, with what else the pod asks for.
    pub(super) fn refuse(mut self, attempts: &Attempts<'a>, context: &Context<'_>, others: &Others) -> Refusal {
        let mut aside = std::mem::take(&mut self.aside);
        let attempts_context = context;
        let most = context.budget.map_or(TELLING, |budget| TELLING.min(budget.given()));
        let telling = Budget::of(most);
        let context = Context { budget: Some(&telling), ..*context };
        let mut left = aside.len();
        // Those for its name are nearer.
        if aside.len() > 1 {
            aside.sort_by_cached_key(|(position, candidate)| {
                (attempts.is_named_otherwise(candidate, &context), *position)
            });
        }
        for (position, candidate) in &aside {
            if self.compared >= COMPARED || context.is_exhausted() {
                break;
            }
            // That it differs is known: what could not be told is where.
            if let Ok(Attempt::Differs(differences, form)) = attempts.by(candidate, None, &context)
                && !context.is_exhausted()
            {
                self.consider(*position, *candidate, differences, form);
                left -= 1;
            }
        }
        // It counts as the review's all the same.
        if let Some(budget) = attempts_context.budget {
            budget.charge(&telling);
        }
        let first = aside.first().map(|(_, candidate)| *candidate);
        let unusable = others.unusable.as_deref();
        match (self.best, first, others.undecided.as_deref()) {
            (Some(near), _, None) => match unusable {
                None => refused_by(near, left),
                Some(unusable) => unusable_beside(unusable, near, left),
            },
            (Some(near), _, Some(undecided)) => undecided_beside(undecided, unusable, near, left),
            (None, Some(candidate), None) => others.before(untold(&candidate, left)),
            (None, _, Some(undecided)) => Refusal::new(Cause::Compiling, undecided),
            (None, None, None) => Refusal::new(
                Cause::Stamp,
                "its stamp names a template that this pod may not use; only the mutating webhook writes stamps",
            ),
        }
    }
}

/// The refusal by the nearest template.
fn refused_by(near: Near<'_>, left: usize) -> Refusal {
    let (name, row) = (&near.candidate.set.name, added(near.candidate.template, &near.differences));
    let reason = "no template admits it. The nearest is";
    let refusal = differing(Cause::Template, reason, &near, left)
        .advise(&format!("Send what the template describes, or ask the admin of {name} to describe this."));
    match row {
        None => refusal,
        Some(row) => refusal.advise(&format!(
            "If the cluster adds {} and the sender does not, the admin can accept exactly that, as a row of the \
             annotation {}:\n  {}",
            row.path,
            keys::ACCEPT,
            row.line()
        )),
    }
}

/// The refusal of what no compiled template admits, and one that is still being compiled may admit. What differs may be
/// right by that one, so it advises no change.
fn undecided_beside(undecided: &str, unusable: Option<&str>, near: Near<'_>, left: usize) -> Refusal {
    let unusable = unusable.map(|unusable| format!("\n{unusable}")).unwrap_or_default();
    let reason = format!("{undecided}{unusable}\nOf what is compiled, the nearest is");
    differing(Cause::Compiling, &reason, &near, left)
}

/// The refusal of what no template admits that can be used, where the pod asks for others too: what differs may be right by
/// one of those.
fn unusable_beside(unusable: &str, near: Near<'_>, left: usize) -> Refusal {
    let name = near.candidate.set.name.clone();
    let reason = format!("{unusable}\nOf what can be used, the nearest is");
    differing(Cause::Template, &reason, &near, left).advise(&format!(
        "If it is meant for what cannot be used, have that mended first. Else send what the template describes, or ask the \
         admin of {name} to describe this."
    ))
}

/// A reason that ends in the nearest template's name, and its differences.
fn differing(cause: Cause, reason: &str, near: &Near<'_>, left: usize) -> Refusal {
    let (name, key) = (&near.candidate.set.name, near.candidate.template.key.as_str());
    let differences = as_sent(near.candidate.template, near.form.moved(), near.differences.clone());
    let reason = format!("{reason} {key} of ConfigMap {name}:");
    let refusal = Refusal::new(cause, reason).by_template(name.clone(), key, differences);
    match left {
        0 => refusal,
        _ => refusal.advise(&format!("… and {} of this kind, not compared in full.", more(left))),
    }
}

/// The refusal of an object that differs from every template, and is too large to say where.
fn untold(candidate: &Candidate<'_>, left: usize) -> Refusal {
    let (name, key) = (&candidate.set.name, &candidate.template.key);
    let others = match left {
        0 | 1 => String::new(),
        _ => format!(" and {} of this kind", more(left - 1)),
    };
    let reason = format!(
        "no template admits it. It differs from {key} of ConfigMap {name}{others}, and takes more work to compare in full \
         than one review may"
    );
    Refusal::new(Cause::Template, reason)
        .advise("Send what a template describes; `retinue check` shows the differences of a smaller object.")
}

fn more(count: usize) -> String {
    if count == 1 { "1 more template".into() } else { format!("{count} more templates") }
}

/// The differences of an object that was perhaps moved, where its sender wrote what differs.
pub(crate) fn as_sent(
    template: &Template,
    moved: Option<&serde_json::Value>,
    differences: Vec<Difference>,
) -> Vec<Difference> {
    match (&template.sidecars, moved) {
        (Some(sidecars), Some(moved)) => sidecars.as_sent(moved, differences),
        _ => differences,
    }
}

/// The first row that would be accepted, where there is nothing else: too much, and nothing that is wrong or missing.
fn added(template: &Template, differences: &[Difference]) -> Option<Row> {
    let mut rows = Vec::new();
    for difference in differences {
        if difference.expected != Expected::Nothing {
            return None;
        }
        for difference in accept::apart(difference.clone()) {
            rows.push(Row::of(template, &difference)?);
            // No ConfigMap has so many.
            if rows.len() > accept::MOST {
                return None;
            }
        }
    }
    rows.into_iter().next().filter(|row| row.line().len() <= LONGEST_ROW)
}

/// How telling a set of differences is: a template for another name is further away than one with another field.
fn distance(differences: &[Difference]) -> usize {
    let name = Path::root().key("metadata").key("name");
    differences.iter().map(|difference| if difference.path == name { 10 } else { 1 }).sum()
}
