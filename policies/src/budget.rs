//! A bound on work. Whatever a caller or an author can make large is counted in steps while it is looked at, and ends
//! with a clear error once the steps are used up.

use std::cell::Cell;

/// The steps that are left.
///
/// A step is what takes some nanoseconds of one core in a release build: a byte of an object compared, a state of an
/// automaton entered, an element hashed. One piece of work has one budget, which all that it calls shares.
#[derive(Debug)]
pub struct Budget {
    left: Cell<u64>,
}

/// More work than the budget allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this takes more work than is allowed")]
pub struct Exhausted;

impl Budget {
    /// So many steps.
    pub const fn of(steps: u64) -> Self {
        Self { left: Cell::new(steps) }
    }

    /// Takes `steps`.
    ///
    /// # Errors
    /// When fewer are left; then none is left any more, so that everything which shares the budget ends too.
    pub fn spend(&self, steps: u64) -> Result<(), Exhausted> {
        let left = self.left.get().checked_sub(steps);
        self.left.set(left.unwrap_or(0));
        left.map(drop).ok_or(Exhausted)
    }

    /// Does a piece of work by a budget of its own: at most `most` steps of what is left. What it takes is taken from here,
    /// so that one piece's trouble is its own until the whole is used up.
    pub fn part<T>(&self, most: u64, work: impl FnOnce(&Self) -> T) -> T {
        let given = most.min(self.left());
        let part = Self::of(given);
        let done = work(&part);
        self.left.set(self.left().saturating_sub(given - part.left()));
        done
    }

    /// Whether nothing is left.
    pub fn is_used_up(&self) -> bool {
        self.left() == 0
    }

    /// How many are left.
    pub fn left(&self) -> u64 {
        self.left.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_takes_from_the_whole_and_ends_alone() {
        let budget = Budget::of(100);
        assert_eq!(budget.part(30, |part| (part.spend(10), part.left())), (Ok(()), 20));
        assert_eq!((budget.part(30, |part| part.spend(31)), budget.left()), (Err(Exhausted), 60));
        assert_eq!((budget.part(500, |part| part.spend(61)), budget.is_used_up()), (Err(Exhausted), true));
    }

    #[test]
    fn a_budget_ends_once_and_stays_at_its_end() {
        let budget = Budget::of(10);
        assert_eq!((budget.spend(4), budget.left()), (Ok(()), 6));
        assert_eq!((budget.spend(6), budget.left()), (Ok(()), 0));
        assert_eq!(budget.spend(1), Err(Exhausted));
        let budget = Budget::of(10);
        assert_eq!((budget.spend(11), budget.left()), (Err(Exhausted), 0));
        assert_eq!(budget.spend(1), Err(Exhausted));
    }
}
