//! Holes that are absent, or empty, where the object shows something all the same, since the API server filled it in.
//!
//! A field of the object may be what a hole stands for, or what the server put there because the hole was absent
//! (`restartPolicy: Always`; `completions: 1` where `parallelism` is absent too), or because it stood for `""` or `0`,
//! which the server does not tell from nothing there. Which of these it is cannot be seen at the place itself. So where an
//! object is not what its template renders with every hole that it shows, it is held against the template without some of
//! its holes as well: that is another template, and everything is proven against it as always.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde_json::Value;

use super::bind::Misfit;
use super::known::Known;
use super::update::Since;
use super::{Context, Recognition, TOO_MUCH, uses};
use crate::budget::Budget;
use crate::parameter::{Bindings, Parameters, text_of_value};
use crate::tables::{Shape, built_in_shape, is_anybodys};
use crate::template::{Element, Hole, Pattern, Template};
use crate::text::{Part, TextPattern};

/// How many times an object is held against a template without some of its holes, at most: enough for ten absent holes of
/// which nothing but trying tells.
const TRIES: usize = 64;

/// What a hole is taken for, although the object shows something at its place.
#[derive(Clone, Debug, PartialEq)]
enum Guess {
    /// It is absent.
    Absent,
    /// It stands for this, which the server replaced.
    Empty(Value),
}

/// Guesses about holes, by their parameters.
type Guesses = BTreeMap<usize, Guess>;

/// What came of holding an object against a template.
pub(super) struct Held {
    pub(super) recognition: Recognition,
    /// Optional holes that the object shows something in the place of that they cannot be.
    pub(super) impossible: BTreeSet<usize>,
    /// Parameters of which the object shows nothing.
    pub(super) unseen: BTreeSet<usize>,
}

impl From<Recognition> for Held {
    fn from(recognition: Recognition) -> Self {
        Self { recognition, impossible: BTreeSet::new(), unseen: BTreeSet::new() }
    }
}

/// Holds an object against `template`, with every hole that the object shows; then without those that it cannot be, then
/// without one more and one more, as long as that leaves fewer differences. Says what proved it, or the fewest
/// differences. Holding it against the template once takes about `cost` steps.
pub(super) fn search(
    template: &Template,
    since: Option<&Since<'_>>,
    context: &Context<'_>,
    cost: u64,
    held_against: impl Fn(&Template, Option<&Since<'_>>) -> Held,
) -> Recognition {
    let Held { recognition, mut impossible, unseen } = held_against(template, since);
    let Recognition::Differ(mut fewest) = recognition else { return recognition };
    let (mut guessed, mut left) = (Guesses::new(), candidates(template, context.budget));
    // What is absent already need not be tried; an update may know it from before.
    left.retain(|(index, guess)| *guess != Guess::Absent || since.is_some() || !unseen.contains(index));
    // Where not all can be tried and none of them would do, nothing is.
    if fewest.iter().any(is_anybodys) && !context.has(cost.saturating_mul(1 + left.len().min(TRIES) as u64)) {
        return Recognition::Differ(fewest);
    }
    let (mut differences, mut untold, mut tries) = (fewest.len(), None, TRIES);
    loop {
        // Where a hole may be empty as well, that it is not what the object shows does not tell that it is absent.
        let mut may_be_empty = BTreeSet::new();
        let mut may_be_absent = BTreeSet::new();
        for (index, guess) in &left {
            if *guess == Guess::Absent {
                may_be_absent.insert(*index)
            } else {
                may_be_empty.insert(*index)
            };
        }
        impossible.retain(|index| may_be_absent.contains(index) && !may_be_empty.contains(index));
        let sure = !impossible.is_empty();
        let steps: Vec<Guesses> = match sure {
            true => vec![std::mem::take(&mut impossible).into_iter().map(|index| (index, Guess::Absent)).collect()],
            false => left.iter().take(tries).cloned().map(|guess| Guesses::from([guess])).collect(),
        };
        let mut nearer = false;
        for step in steps {
            if context.is_exhausted() {
                return Recognition::CouldNotTell(TOO_MUCH.into());
            }
            if tries == 0 {
                break;
            }
            tries -= 1;
            let mut more = guessed.clone();
            more.extend(step);
            let recorded = since.map(|since| unbound(since.recorded, &more));
            let since = since.zip(recorded.as_ref()).map(|(since, recorded)| Since { recorded, ..*since });
            let held = held_against(&without(template, &more), since.as_ref());
            match held.recognition {
                // Bound elsewhere (the namespace), it is neither.
                Recognition::Match(bindings) if bindings != unbound(&bindings, &more) => {}
                Recognition::Match(bindings) => return Recognition::Match(emptied(bindings, &more)),
                Recognition::CouldNotTell(reason) => untold = untold.or(Some(reason)),
                Recognition::Differ(found) => {
                    if sure || found.len() < differences {
                        (guessed, differences, nearer) = (more, found.len(), true);
                        left.retain(|(index, _)| !guessed.contains_key(index));
                        impossible = held.impossible;
                    }
                    if found.len() < fewest.len() {
                        fewest = found;
                    }
                    if nearer {
                        break;
                    }
                }
            }
        }
        if !nearer {
            return untold.map_or(Recognition::Differ(fewest), Recognition::CouldNotTell);
        }
    }
}

/// What the holes of `template` may be where the object shows something else; nothing where each is seen at its place.
fn candidates(template: &Template, budget: Option<&Budget>) -> Vec<(usize, Guess)> {
    if super::shortcut::stand_apart(template, budget) {
        return Vec::new();
    }
    let used = uses(&template.pattern).into_iter();
    let mut found: Vec<(usize, Guess)> =
        used.filter(|index| is_optional(&template.parameters, *index)).map(|index| (index, Guess::Absent)).collect();
    if let Some(shape) = built_in_shape(&template.kind) {
        let asked = Known::default();
        let accepts = |index: usize, empty: &Value| asked.accepts_empty(&template.parameters, index, empty, budget);
        empties(&template.pattern, shape, &accepts, &mut HashSet::new(), &mut found);
    }
    found
}

/// Adds what the holes of `pattern` stand for where the server replaces just that.
fn empties(
    pattern: &Pattern,
    shape: Shape<'_>,
    accepts: &impl Fn(usize, &Value) -> bool,
    known: &mut HashSet<(usize, Value)>,
    found: &mut Vec<(usize, Guess)>,
) {
    match pattern {
        Pattern::Map(entries) => {
            for (name, pattern) in entries.iter() {
                for (index, value) in filled(pattern, name, shape, accepts) {
                    if known.insert((index, value.clone())) {
                        found.push((index, Guess::Empty(value)));
                    }
                }
                empties(pattern, shape.field(name), accepts, known, found);
            }
        }
        Pattern::List(elements) => {
            for element in elements.iter() {
                if let Element::One(pattern) = element {
                    empties(pattern, shape.element(), accepts, known, found);
                }
            }
        }
        Pattern::Literal(_) | Pattern::Text(_) | Pattern::Hole(_) => {}
    }
}

/// The hole that all of a field is, with each value that it may stand for and that the API server replaces there.
/// `shape` is that of the struct that the field is in.
/// `accepts` tells whether a parameter may be one of these.
pub(super) fn filled(
    pattern: &Pattern,
    name: &str,
    shape: Shape<'_>,
    accepts: impl Fn(usize, &Value) -> bool,
) -> Vec<(usize, Value)> {
    let (hole, quoted) = match pattern {
        Pattern::Hole(hole) => (Some(*hole), false),
        Pattern::Text(text) => (text.sole_hole(), true),
        Pattern::Literal(_) | Pattern::Map(_) | Pattern::List(_) => (None, false),
    };
    let Some(Hole::Declared(index)) = hole else { return Vec::new() };
    let mut values = shape.replaced(name);
    values.retain(|value| (value.is_string() || !quoted) && accepts(index, value));
    values.into_iter().map(|value| (index, value)).collect()
}

fn is_optional(parameters: &Parameters, index: usize) -> bool {
    parameters.all.get(index).is_some_and(|parameter| parameter.optional)
}

/// The optional holes in places where the object shows what fits none: of each place one.
pub(super) fn impossible(misfits: &[Misfit<'_>], parameters: &Parameters) -> BTreeSet<usize> {
    let holes = misfits.iter().filter_map(|misfit| match misfit.pattern {
        Pattern::Hole(Hole::Declared(index)) => Some(*index).filter(|index| is_optional(parameters, *index)),
        Pattern::Text(text) => text.declared().into_iter().find(|index| is_optional(parameters, *index)),
        _ => None,
    });
    holes.collect()
}

/// `template` without the keys, elements and texts that absent holes are part of, as rendering leaves them out, and with
/// the values of the others in their places.
fn without(template: &Template, guesses: &Guesses) -> Template {
    Template { pattern: pruned(&template.pattern, guesses), ..template.clone() }
}

/// `bindings` without these.
fn unbound(bindings: &Bindings, guesses: &Guesses) -> Bindings {
    let mut less = bindings.clone();
    for index in guesses.keys() {
        if let Some(slot) = less.declared.get_mut(*index) {
            *slot = None;
        }
    }
    less
}

/// `bindings` with the values that were guessed.
fn emptied(mut bindings: Bindings, guesses: &Guesses) -> Bindings {
    for (index, guess) in guesses {
        if let (Guess::Empty(value), Some(slot)) = (guess, bindings.declared.get_mut(*index)) {
            *slot = Some(value.clone());
        }
    }
    bindings
}

fn pruned(pattern: &Pattern, guesses: &Guesses) -> Pattern {
    changed(pattern, guesses).unwrap_or_else(|| pattern.clone())
}

/// `pattern` without them; none where it has none of them, and stays as it is.
fn changed(pattern: &Pattern, guesses: &Guesses) -> Option<Pattern> {
    match pattern {
        Pattern::Map(entries) => {
            let mut differs = false;
            let mut kept = Vec::with_capacity(entries.len());
            for (key, pattern) in entries.iter() {
                if is_absent(pattern, guesses) {
                    differs = true;
                    continue;
                }
                let less = changed(pattern, guesses);
                differs |= less.is_some();
                kept.push((key.clone(), less.unwrap_or_else(|| pattern.clone())));
            }
            differs.then(|| Pattern::map(kept))
        }
        Pattern::List(elements) => {
            let mut differs = false;
            let mut kept = Vec::with_capacity(elements.len());
            for element in elements.iter() {
                match element {
                    Element::One(pattern) if is_absent(pattern, guesses) => differs = true,
                    Element::Many(index) if guesses.contains_key(index) => differs = true,
                    Element::One(pattern) => {
                        let less = changed(pattern, guesses);
                        differs |= less.is_some();
                        kept.push(Element::One(less.unwrap_or_else(|| pattern.clone())));
                    }
                    Element::Many(index) => kept.push(Element::Many(*index)),
                }
            }
            differs.then(|| Pattern::list(kept))
        }
        Pattern::Hole(Hole::Declared(index)) => match guesses.get(index) {
            Some(Guess::Empty(value)) => Some(Pattern::Literal(value.clone())),
            _ => None,
        },
        Pattern::Text(text) => {
            let has = |index: &usize| matches!(guesses.get(index), Some(Guess::Empty(_)));
            text.declared().iter().any(has).then(|| spelled_out(text, guesses))
        }
        Pattern::Literal(_) | Pattern::Hole(Hole::Given(_)) => None,
    }
}

/// A text with the values that were guessed in the places of their holes.
fn spelled_out(text: &TextPattern, guesses: &Guesses) -> Pattern {
    let mut parts: Vec<Part> = Vec::new();
    for part in text.parts.iter() {
        let known = match part {
            Part::Hole(Hole::Declared(index)) => match guesses.get(index) {
                Some(Guess::Empty(value)) => text_of_value(value),
                _ => None,
            },
            Part::Literal(literal) => Some(literal.clone()),
            Part::Hole(Hole::Given(_)) => None,
        };
        match (known, parts.last_mut()) {
            (Some(known), Some(Part::Literal(before))) => before.push_str(&known),
            (Some(known), _) if known.is_empty() => {}
            (Some(known), _) => parts.push(Part::Literal(known)),
            (None, _) => parts.push(part.clone()),
        }
    }
    match parts.as_slice() {
        [] => Pattern::Literal("".into()),
        [Part::Literal(whole)] => Pattern::Literal(whole.as_str().into()),
        _ => Pattern::Text(TextPattern::new(parts)),
    }
}

fn is_absent(pattern: &Pattern, guesses: &Guesses) -> bool {
    let absent = |index: &usize| guesses.get(index) == Some(&Guess::Absent);
    match pattern {
        Pattern::Hole(Hole::Declared(index)) => absent(index),
        Pattern::Text(text) => text.declared().iter().any(absent),
        _ => false,
    }
}
