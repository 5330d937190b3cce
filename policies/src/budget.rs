//! A bound on work. Whatever a caller or an author can make large is counted in steps while it is looked at, and ends
//! with a clear error once the steps are used up.

use std::cell::Cell;

/// The steps that are left.
///
/// A step is what takes some nanoseconds of one core in a release build: a byte of an object compared, a state of an
/// automaton entered, an element hashed. One piece of work has one budget, which all that it calls shares.
#[derive(Debug)]
pub struct Budget {
    given: u64,
    left: Cell<u64>,
    /// Whether somebody wanted more than was left.
    fell_short: Cell<bool>,
    /// Whether some were taken for what is made once and kept.
    kept_some: Cell<bool>,
}

/// More work than the budget allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this takes more work than is allowed")]
pub struct Exhausted;

impl Budget {
    /// So many steps.
    pub const fn of(steps: u64) -> Self {
        Self { given: steps, left: Cell::new(steps), fell_short: Cell::new(false), kept_some: Cell::new(false) }
    }

    /// Takes `steps`.
    ///
    /// # Errors
    /// When fewer are left; then none is left any more, so that everything which shares the budget ends too.
    pub fn spend(&self, steps: u64) -> Result<(), Exhausted> {
        let left = self.left.get().checked_sub(steps);
        self.left.set(left.unwrap_or(0));
        self.fell_short.set(self.fell_short.get() || left.is_none());
        left.map(drop).ok_or(Exhausted)
    }

    /// Whether more than so many are left, asked by who does without where they are not.
    pub fn affords(&self, steps: u64) -> bool {
        let affords = self.left() > steps;
        self.fell_short.set(self.fell_short.get() || !affords);
        affords
    }

    /// Whether somebody wanted more than was left: with more steps, the answer may be another.
    pub fn fell_short(&self) -> bool {
        self.fell_short.get()
    }

    /// As [`Self::spend`], for what is made once and kept: who does the same work again does not pay for it.
    ///
    /// # Errors
    /// As there; then it is not to be made.
    pub fn invest(&self, steps: u64) -> Result<(), Exhausted> {
        let spent = self.spend(steps);
        self.kept_some.set(self.kept_some.get() || spent.is_ok());
        spent
    }

    /// Whether the same work gets further with another budget: this one fell short, and something was made that is kept.
    pub fn gets_further(&self) -> bool {
        self.fell_short.get() && self.kept_some.get()
    }

    /// How many there were at first.
    pub fn given(&self) -> u64 {
        self.given
    }

    /// Does a piece of work by a budget of its own: at most `most` steps of what is left. What it takes is taken from here,
    /// so that one piece's trouble is its own until the whole is used up.
    pub fn part<T>(&self, most: u64, work: impl FnOnce(&Self) -> T) -> T {
        let part = Self::of(most.min(self.left()));
        let done = work(&part);
        self.charge(&part);
        done
    }

    /// Takes from here what was taken from `part`, and remembers whether that fell short.
    pub fn charge(&self, part: &Self) {
        self.left.set(self.left().saturating_sub(part.given - part.left()));
        self.fell_short.set(self.fell_short.get() || part.fell_short());
        self.kept_some.set(self.kept_some.get() || part.kept_some.get());
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
    fn who_wanted_more_than_was_left_is_remembered() {
        let budget = Budget::of(10);
        assert_eq!((budget.spend(10), budget.fell_short()), (Ok(()), false));
        assert_eq!((budget.spend(1), budget.fell_short()), (Err(Exhausted), true));
        let budget = Budget::of(10);
        assert_eq!((budget.affords(9), budget.fell_short()), (true, false));
        assert_eq!((budget.affords(10), budget.fell_short(), budget.left()), (false, true, 10));
        let budget = Budget::of(10);
        assert_eq!((budget.part(5, |part| part.spend(6)), budget.fell_short()), (Err(Exhausted), true));
    }

    #[test]
    fn work_gets_further_where_it_made_something_that_is_kept() {
        let budget = Budget::of(10);
        assert_eq!((budget.invest(5), budget.gets_further()), (Ok(()), false));
        assert_eq!((budget.spend(6), budget.gets_further()), (Err(Exhausted), true));
        let budget = Budget::of(10);
        assert_eq!((budget.invest(11), budget.gets_further()), (Err(Exhausted), false), "it was not made");
        let budget = Budget::of(10);
        assert_eq!(
            (budget.part(9, |part| part.invest(5)), budget.spend(6), budget.gets_further()),
            (Ok(()), Err(Exhausted), true)
        );
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
