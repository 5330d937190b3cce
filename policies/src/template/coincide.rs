//! Whether two elements of a keyed list could be one and the same value: then nothing says which is which.
//!
//! Errs on the side of "could": free text could be anything.

mod compare;
mod index;

use std::collections::{BTreeSet, HashMap};

use super::{Element, Pattern};
use crate::budget::{Budget, Exhausted};
use crate::parameter::Parameters;
use crate::tables::{ListKind, Shape};
use compare::Compare;
use index::Index;

/// The most steps that one list may take.
const MOST_STEPS: u64 = 40_000_000;

/// Where a keyed list holds two elements that could be the same value, and why.
pub(super) fn of_list(
    elements: &[Element],
    shape: Shape<'_>,
    parameters: &Parameters,
    budget: &Budget,
) -> Option<(usize, String)> {
    let ListKind::Keyed(keys) = shape.list() else { return None };
    budget.part(MOST_STEPS, |budget| {
        let list = List { elements, keys, compare: Compare { parameters, budget } };
        list.coincide().unwrap_or_else(|Exhausted| {
            let keys = keys.join(" and ");
            let message = format!(
                "telling the elements of this list apart takes more work than is allowed, since their {keys} have holes: \
                 give these elements a literal {keys}, fewer values to their enums, or split the list"
            );
            Some((0, message))
        })
    })
}

struct List<'a> {
    elements: &'a [Element],
    keys: &'a [String],
    compare: Compare<'a>,
}

impl List<'_> {
    fn open(&self, pattern: &Pattern) -> bool {
        match pattern {
            Pattern::Map(_) => self.keys.iter().any(|key| pattern.get(key).is_some_and(Pattern::has_holes)),
            _ => pattern.has_holes(),
        }
    }

    fn coincide(&self) -> Result<Option<(usize, String)>, Exhausted> {
        let Compare { parameters, budget } = self.compare;
        let one = |element: &'_ Element| match element {
            Element::One(pattern) => pattern.has_holes(),
            Element::Many(_) => false,
        };
        let with_holes: Vec<(usize, &Pattern)> = self
            .elements
            .iter()
            .enumerate()
            .filter(|(_, element)| one(element))
            .filter_map(|(index, element)| match element {
                Element::One(pattern) => Some((index, pattern)),
                Element::Many(_) => None,
            })
            .collect();
        let many: BTreeSet<usize> = self
            .elements
            .iter()
            .filter_map(|element| match element {
                Element::Many(position) => Some(*position),
                Element::One(_) => None,
            })
            .collect();
        if !with_holes.iter().any(|(_, pattern)| self.open(pattern)) {
            return Ok(None);
        }
        let mut index = Index::of(with_holes.iter().map(|(_, pattern)| *pattern), self.keys, parameters);
        // Equal ones are one: by pattern its number, by number the pattern.
        let (mut numbers, mut patterns) = (HashMap::new(), Vec::new());
        for (position, one) in &with_holes {
            budget.spend(one.size())?;
            let number = *numbers.entry(*one).or_insert(patterns.len());
            if self.open(one)
                && let Some(message) =
                    self.against_others(one, number, &patterns, &mut index)?.or(self.against_holes(one, &many)?)
            {
                return Ok(Some((*position, message)));
            }
            if number == patterns.len() {
                patterns.push(*one);
                index.add(number, one, budget)?;
            }
        }
        Ok(None)
    }

    fn against_others(
        &self,
        one: &Pattern,
        number: usize,
        patterns: &[&Pattern],
        index: &mut Index<'_>,
    ) -> Result<Option<String>, Exhausted> {
        for other in index.like(one, self.compare.budget)? {
            if let Some(pattern) = patterns.get(other).filter(|_| other != number)
                && self.compare.patterns(one, pattern)?
            {
                return Ok(Some(format!(
                    "this element and an earlier one could be the same (holes in their {}), so nothing says which is \
                     which: give one of them a literal field that the other has not, or holes with disjoint enums",
                    self.keys.join(" and ")
                )));
            }
        }
        Ok(None)
    }

    fn against_holes(&self, one: &Pattern, many: &BTreeSet<usize>) -> Result<Option<String>, Exhausted> {
        let Compare { parameters, .. } = self.compare;
        for position in many {
            if let Some(parameter) = parameters.all.get(*position)
                && let Some(items) = parameter.schema.items()
                && self.compare.of_schema(one, items)?
            {
                return Ok(Some(format!(
                    "this element could also be one of the list hole {}, so nothing says which it is: write its {} out, \
                     or give the items a pattern that excludes it",
                    parameter.name,
                    self.keys.join(" and ")
                )));
            }
        }
        Ok(None)
    }
}
