//! Whether a text could be read in two ways, told to its author.

use std::cell::RefCell;
use std::collections::HashMap;

use super::automaton::Unfit;
use super::cut::UnfitPart;
use super::search::Ambiguity;
use super::{Part, TextPattern, cut, hole_name, part_source};
use crate::budget::{Budget, Exhausted};
use crate::parameter::Parameters;
use crate::template::Hole;

/// The most steps of the search for a text that could be read in two ways: what people write takes some thousands.
const MOST_STEPS: u64 = 20_000_000;
/// What to do about a text whose search takes more.
const TOO_MUCH: &str = "telling its parameters apart takes more work than is allowed; put a separator between them that \
                        their patterns exclude, write shorter patterns (a counted repetition multiplies what it repeats), \
                        or split the text";
/// How much of a text a message repeats, in characters.
const SHOWN: usize = 200;

/// What was found of texts before, by their parts: many templates of a ConfigMap say `${run}-${shard}`.
#[derive(Debug, Default)]
pub(crate) struct Searched(RefCell<HashMap<Box<[Part]>, Found>>);

/// The shortest ambiguous text, if there is one, or why it is not known.
type Found = Result<Option<Ambiguity>, String>;

impl TextPattern {
    /// Whether two different sets of values could render one text; the answer says which holes, shows such a text,
    /// and how to mend the template.
    ///
    /// The test is exact for parameters' languages as [`crate::parameter::Schema::language`] gives them. Values of
    /// the caller's identity that stand between parameters count as any text of their kind, and a parameter used
    /// twice in one text beside another counts as two: both only ever refuse more. What takes more steps than a text may
    /// take is refused too.
    pub fn ambiguity(&self, parameters: &Parameters) -> Option<String> {
        self.ambiguity_within(parameters, &Searched::default(), &Budget::of(u64::MAX))
    }

    /// As [`TextPattern::ambiguity`], by steps of `budget`.
    pub(crate) fn ambiguity_within(
        &self,
        parameters: &Parameters,
        searched: &Searched,
        budget: &Budget,
    ) -> Option<String> {
        let declared = self.declared();
        let source = || shortened(&self.source(parameters));
        for index in &declared {
            if !parameters.pieces.is_textual(*index) {
                return Some(format!(
                    "${{{}}} is a list or a map and cannot stand inside text, as in `{}`; write it as a whole value, without quotes",
                    parameters.all.get(*index)?.name,
                    source()
                ));
            }
        }
        let optional = declared.iter().filter(|index| parameters.all.get(**index).is_some_and(|p| p.optional)).count();
        if optional > 1 {
            return Some(format!(
                "`{}` holds {optional} optional parameters, so its absence would not say which of them is absent; make at most one optional",
                source()
            ));
        }
        if declared.len() < 2 {
            return None;
        }
        let core = self.core();
        let found = searched.search(core, parameters, budget);
        match found {
            Err(reason) => Some(format!("`{}` cannot be shown to be unambiguous: {reason}", source())),
            Ok(found) => found.map(|Ambiguity { first, second, example }| {
                let is_hole = |part: &&Part| matches!(part, Part::Hole(_));
                let upto = core.get(..=first).unwrap_or_default().iter().rfind(is_hole);
                let after = core.get(second..).unwrap_or_default().iter().find(is_hole);
                let name = |part: Option<&Part>| part.map_or_else(String::new, |p| part_source(p, parameters));
                format!(
                    "`{}` is ambiguous: {} and {} cannot be told apart, for instance {:?} can be read in two ways; put a separator between the holes that a value cannot contain, or give a parameter a pattern that excludes it",
                    source(),
                    name(upto),
                    name(after),
                    shortened(&example)
                )
            }),
        }
    }
}

impl Searched {
    fn search(&self, core: &[Part], parameters: &Parameters, budget: &Budget) -> Found {
        if let Some(found) = self.0.borrow().get(core) {
            return found.clone();
        }
        let found = budget.part(MOST_STEPS, |budget| {
            let machines = cut::Machines::compile(core, parameters, &parameters.pieces, budget);
            let machines = machines.map_err(|unfit| unfit_part(unfit, parameters))?;
            machines.ambiguity(budget).map_err(|Exhausted| TOO_MUCH.to_owned())
        });
        self.0.borrow_mut().insert(core.into(), found.clone());
        found
    }
}

/// Which parameter has no automaton, why, and what to do.
fn unfit_part(UnfitPart { hole, reason }: UnfitPart, parameters: &Parameters) -> String {
    let Some(hole) = hole else { return TOO_MUCH.to_owned() };
    let name = hole_name(hole, parameters);
    let schema = match hole {
        Hole::Declared(position) => parameters.all.get(position).map(|parameter| &parameter.schema),
        Hole::Given(_) => None,
    };
    let values = schema.map_or(0, |schema| schema.allowed.len());
    match (reason, values) {
        (Unfit::Large, 0) => format!(
            "the pattern of parameter {name} is too large inside text; simplify it: repeat less, in smaller counted \
             repetitions"
        ),
        (Unfit::Large, values) => {
            format!("the enum of {values} values of parameter {name} is too large inside text; list fewer values")
        }
        (Unfit::Unsupported, _) => format!("the pattern of parameter {name} is not supported inside text; simplify it"),
        (Unfit::NoText, _) => format!("parameter {name} is a list or a map, which has no text"),
    }
}

/// As much of a text as a message repeats.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
