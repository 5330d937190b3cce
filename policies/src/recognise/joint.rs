//! Elements that share holes, held against the values of a list together: which way of pairing them lets every hole
//! stand for one thing.

use serde_json::Value;

use super::bind::{Binder, exactly};
use crate::tables::Shape;
use crate::template::{Element, Pattern};

/// Steps of one search; beyond, the elements are paired as if they shared nothing.
const STEPS: usize = 1 << 12;

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
        known: Vec::new(),
        steps: STEPS,
    };
    search.from(0).then_some(search.chosen)
}

/// Whether each of the `shared` holes is the same in all of these pairs.
pub(super) fn agree<'p>(
    binder: &Binder<'_>,
    pairs: impl Iterator<Item = (&'p Pattern, &'p Value)>,
    shared: &[usize],
    shape: Shape<'_>,
) -> bool {
    let mut known: Implied = Vec::new();
    for (pattern, value) in pairs {
        let implied = implied(binder, pattern, value, shared, shape);
        if contradicts(&known, &implied) {
            return false;
        }
        known.extend(implied);
    }
    true
}

fn implied(binder: &Binder<'_>, pattern: &Pattern, value: &Value, shared: &[usize], shape: Shape<'_>) -> Implied {
    let mut implied = Vec::new();
    exactly(binder, pattern, value, shape, &mut implied);
    implied.retain(|(hole, _)| shared.contains(hole));
    implied
}

fn contradicts(known: &Implied, implied: &Implied) -> bool {
    implied.iter().any(|(hole, value)| known.iter().any(|(other, is)| other == hole && is != value))
}

struct Search<'a> {
    rows: &'a [Row<'a>],
    choices: &'a [Vec<(usize, Implied)>],
    order: &'a [usize],
    taken: Vec<bool>,
    chosen: Vec<Option<usize>>,
    known: Implied,
    steps: usize,
}

impl Search<'_> {
    fn from(&mut self, position: usize) -> bool {
        let Some(row) = self.order.get(position).copied() else { return true };
        let choices = self.choices;
        for (at, implied) in &choices[row] {
            if self.taken[*at] || contradicts(&self.known, implied) {
                continue;
            }
            if self.steps == 0 {
                return false;
            }
            self.steps -= 1;
            let before = self.known.len();
            self.known.extend(implied.iter().cloned());
            self.taken[*at] = true;
            self.chosen[row] = Some(*at);
            if self.from(position + 1) {
                return true;
            }
            self.known.truncate(before);
            self.taken[*at] = false;
            self.chosen[row] = None;
        }
        self.rows[row].may_be_none && self.from(position + 1)
    }
}
