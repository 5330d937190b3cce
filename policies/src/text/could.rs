//! Whether a text with holes could be a literal text, whatever its holes are.

use std::collections::HashSet;

use super::automaton::{DEAD, START};
use super::{Part, TextPattern};
use crate::budget::{Budget, Exhausted};
use crate::parameter::Parameters;
use crate::template::Hole;

/// Steps for a place that is hashed.
const STEPS_PER_PLACE: u64 = 12;

/// The part that the last byte belongs to, or whose turn it is, and how far it is.
type Place = (usize, u32);

impl TextPattern {
    /// Whether these parts could render `text`. A value of the caller's identity could be any text, and so could a parameter
    /// whose pattern is too large to be looked through.
    ///
    /// # Errors
    /// When that takes more steps than the budget has.
    pub(crate) fn could_be(&self, text: &str, parameters: &Parameters, budget: &Budget) -> Result<bool, Exhausted> {
        let (mut core, mut rest) = (&*self.parts, text);
        budget.spend(1 + text.len() as u64 / 16)?;
        while let [Part::Literal(first), after @ ..] = core {
            let Some(after_first) = rest.strip_prefix(first.as_str()) else { return Ok(false) };
            (core, rest) = (after, after_first);
        }
        while let [before @ .., Part::Literal(last)] = core {
            let Some(before_last) = rest.strip_suffix(last.as_str()) else { return Ok(false) };
            (core, rest) = (before, before_last);
        }
        let mut places = HashSet::new();
        enter(core, (0, START), parameters, budget, &mut places)?;
        for byte in rest.bytes() {
            let mut after = HashSet::new();
            for (part, state) in places {
                let state = match core.get(part) {
                    Some(Part::Literal(literal)) if literal.as_bytes().get(state as usize - 1) == Some(&byte) => {
                        state + 1
                    }
                    Some(Part::Hole(Hole::Given(_))) => state,
                    Some(Part::Hole(hole)) => match parameters.pieces.automaton(*hole, parameters, budget) {
                        Ok(automaton) => automaton.next(state, byte),
                        Err(_) => state,
                    },
                    Some(Part::Literal(_)) | None => DEAD,
                };
                if state != DEAD {
                    enter(core, (part, state), parameters, budget, &mut after)?;
                }
            }
            places = after;
            if places.is_empty() {
                return Ok(false);
            }
        }
        Ok(places.contains(&(core.len(), START)))
    }
}

/// Adds a place, and the beginning of each part that may be entered from it.
fn enter(
    parts: &[Part],
    (mut part, mut state): Place,
    parameters: &Parameters,
    budget: &Budget,
    places: &mut HashSet<Place>,
) -> Result<(), Exhausted> {
    loop {
        budget.spend(STEPS_PER_PLACE)?;
        if !places.insert((part, state)) {
            return Ok(());
        }
        let may_leave = match parts.get(part) {
            None => false,
            Some(Part::Literal(literal)) => state as usize > literal.len(),
            Some(Part::Hole(Hole::Given(_))) => true,
            Some(Part::Hole(hole)) => parameters
                .pieces
                .automaton(*hole, parameters, budget)
                .map_or(true, |automaton| automaton.accepts(state)),
        };
        if !may_leave {
            return Ok(());
        }
        (part, state) = (part + 1, START);
    }
}
