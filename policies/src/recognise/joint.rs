//! Elements that share holes, held against the values of a list together: which way of pairing them lets every hole
//! stand for one thing.

use std::collections::BTreeMap;

use serde_json::Value;

use super::bind::{Binder, exactly};
use crate::tables::Shape;
use crate::template::{Element, Pattern};

/// Steps of one search; beyond, the elements are paired as if they shared nothing.
const STEPS: usize = 1 << 12;
/// And so often an element is taken for absent.
const PASSES: usize = 1 << 16;

/// What a hole is, were an element a certain value.
type Implied = Vec<(usize, Value)>;

/// The holes that more than one of the elements uses, each element being one value.
pub(super) fn shared(elements: &[Element]) -> Vec<usize> {
    let mut used: Vec<usize> = Vec::new();
    for element in elements {
        if let Element::One(pattern) = element {
            used.extend(super::uses(pattern));
        }
    }
    used.sort_unstable();
    let mut shared: Vec<usize> = used.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    shared.dedup();
    shared
}

/// An element that wants a value.
pub(super) struct Row<'a> {
    /// What it says.
    pub(super) pattern: &'a Pattern,
    /// The values that it may be, the likeliest first.
    pub(super) candidates: Vec<usize>,
    /// Whether it may be none of them.
    pub(super) may_be_none: bool,
}

/// For each row its value, so that no value is taken twice and each of the `shared` holes is the same everywhere.
/// None if there is no such way, or none was found in [`STEPS`].
pub(super) fn together(
    binder: &Binder<'_>,
    rows: &[Row<'_>],
    values: &[Value],
    shared: &[usize],
    shape: Shape<'_>,
) -> Option<Vec<Option<usize>>> {
    let imply = |row: &Row<'_>| -> Vec<(usize, Implied)> {
        let candidates = row.candidates.iter().filter_map(|at| Some((*at, values.get(*at)?)));
        candidates.map(|(at, value)| (at, implied(binder, row.pattern, value, shared, shape))).collect()
    };
    let choices: Vec<_> = rows.iter().map(imply).collect();
    // Who has the least choice goes first: what it says of the holes rules most of the others' choices out.
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|row| (rows[*row].may_be_none, choices[*row].len()));
    let mut search = Search {
        rows,
        choices: &choices,
        order: &order,
        taken: vec![false; values.len()],
        chosen: vec![None; rows.len()],
        known: Known::default(),
        steps: STEPS,
        passes: PASSES,
    };
    search.run().then_some(search.chosen)
}

/// Whether each of the `shared` holes is the same in all of these pairs.
pub(super) fn agree<'p>(
    binder: &Binder<'_>,
    pairs: impl Iterator<Item = (&'p Pattern, &'p Value)>,
    shared: &[usize],
    shape: Shape<'_>,
) -> bool {
    let mut known = Known::default();
    for (pattern, value) in pairs {
        let implied = implied(binder, pattern, value, shared, shape);
        if known.contradicts(&implied) {
            return false;
        }
        known.add(&implied);
    }
    true
}

fn implied(binder: &Binder<'_>, pattern: &Pattern, value: &Value, shared: &[usize], shape: Shape<'_>) -> Implied {
    let mut implied = Vec::new();
    exactly(binder, pattern, value, shape, &mut implied);
    implied.retain(|(hole, _)| shared.binary_search(hole).is_ok());
    implied
}

/// What the shared holes are by the pairs that were chosen, in the order in which these said so.
#[derive(Default)]
struct Known(BTreeMap<usize, Vec<Value>>);

impl Known {
    /// Whether a hole would be another thing than it is. One that a single element says to be two things is neither.
    fn contradicts(&self, implied: &Implied) -> bool {
        let other = |(hole, value): &(usize, Value)| {
            self.0.get(hole).is_some_and(|is| is.first().is_some_and(|one| one != value) || is.last() != is.first())
        };
        implied.iter().any(other)
    }

    fn add(&mut self, implied: &Implied) {
        for (hole, value) in implied {
            self.0.entry(*hole).or_default().push(value.clone());
        }
    }

    fn take_back(&mut self, implied: &Implied) {
        for (hole, _) in implied {
            if let Some(values) = self.0.get_mut(hole) {
                values.pop();
            }
        }
    }
}

struct Search<'a> {
    rows: &'a [Row<'a>],
    choices: &'a [Vec<(usize, Implied)>],
    order: &'a [usize],
    taken: Vec<bool>,
    chosen: Vec<Option<usize>>,
    known: Known,
    steps: usize,
    passes: usize,
}

impl Search<'_> {
    /// Chooses for one row after the other, and goes back to the last one that has another choice.
    fn run(&mut self) -> bool {
        // For each row on the way, which of its choices comes next; after the last one, that it is none of them.
        let mut next = vec![0];
        while let Some(position) = next.len().checked_sub(1) {
            let Some(row) = self.order.get(position).copied() else { return true };
            self.release(row, next[position]);
            if self.steps == 0 || self.passes == 0 {
                return false;
            }
            if self.choose(row, &mut next[position]) {
                next.push(0);
            } else {
                next.pop();
            }
        }
        false
    }

    /// Takes back what a row chose last, if anything.
    fn release(&mut self, row: usize, next: usize) {
        if let Some(at) = self.chosen[row].take() {
            self.taken[at] = false;
            if let Some((_, implied)) = next.checked_sub(1).and_then(|last| self.choices[row].get(last)) {
                self.known.take_back(implied);
            }
        }
    }

    /// Makes the next choice of a row that is still free; false where there is none.
    fn choose(&mut self, row: usize, next: &mut usize) -> bool {
        let choices = &self.choices[row];
        while let Some((at, implied)) = choices.get(*next) {
            *next += 1;
            if self.taken[*at] || self.known.contradicts(implied) {
                continue;
            }
            self.steps -= 1;
            self.known.add(implied);
            self.taken[*at] = true;
            self.chosen[row] = Some(*at);
            return true;
        }
        let none = *next == choices.len() && self.rows[row].may_be_none;
        *next += 1;
        self.passes -= usize::from(none);
        none
    }
}
