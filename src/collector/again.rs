//! When to look again at something that has changed: soon, a few times more while that may not be enough, and then
//! not at all; and how often one and the same refusal is looked into. Pure: instants are arguments.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

/// What came of a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Everything is as was expected.
    Settled,
    /// What was expected may still come.
    Open,
    /// Something was found: more of it may be on the way.
    Moved,
    /// There was no answer.
    Failed,
}

/// A series of looks, each after a longer pause, which every change begins anew.
#[derive(Debug)]
pub(crate) struct Again {
    /// The pauses before the first look, the second, and so on. Never empty.
    pauses: &'static [Duration],
    /// However much changes, the average time between two looks is at least this,
    spacing: Duration,
    /// but so many may come in a row.
    burst: u32,
    /// How many looks there were since the last change.
    looks: usize,
    due: Option<Instant>,
    /// Up to when the looks so far have used up the time, at `spacing` each.
    spent: Option<Instant>,
}

impl Again {
    pub(crate) fn new(pauses: &'static [Duration], spacing: Duration, burst: u32) -> Self {
        Self { pauses, spacing, burst, looks: 0, due: None, spent: None }
    }

    /// Something changed: a burst of changes counts once.
    pub(crate) fn changed(&mut self, now: Instant) {
        let soon = now + self.pause(0);
        self.looks = 0;
        self.due = Some(self.due.map_or(soon, |due| due.min(soon)));
    }

    /// One look now; nothing is known to have changed.
    pub(crate) fn once(&mut self, now: Instant) {
        if self.due.is_none() {
            self.looks = self.pauses.len() - 1;
            self.due = Some(now);
        }
    }

    /// When to look; none: not before something changes.
    pub(crate) fn due(&self) -> Option<Instant> {
        let may = self.spent.and_then(|spent| spent.checked_sub(self.spacing * self.burst));
        self.due.map(|due| may.map_or(due, |may| due.max(may)))
    }

    /// A look begins.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.spent = Some(self.spent.map_or(now, |spent| spent.max(now)) + self.spacing);
        self.looks += 1;
        self.due = None;
    }

    /// It has ended. What changed while it was under way is looked at whatever it found.
    pub(crate) fn end(&mut self, now: Instant, look: Look) {
        if self.due.is_some() {
            return;
        }
        let pause = match look {
            Look::Settled => None,
            Look::Moved => {
                self.looks = 1;
                self.pauses.get(1).copied()
            }
            Look::Open => self.pauses.get(self.looks).copied(),
            Look::Failed => Some(self.pause(self.looks)),
        };
        self.due = pause.map(|pause| now + pause);
    }

    fn pause(&self, index: usize) -> Duration {
        self.pauses.get(index).or(self.pauses.last()).copied().unwrap_or_default()
    }
}

/// How long a second refusal is not looked into, doubled each time,
const FIRST_DOUBT: Duration = Duration::from_secs(30);
/// up to this; a refusal after as long a time without one is another matter.
const LONGEST_DOUBT: Duration = Duration::from_secs(600);

/// What refused us, and until when that is not looked into again: a refusal for good must not become asking by the
/// clock.
#[derive(Debug)]
pub(super) struct Doubts<K>(HashMap<K, Doubt>);

#[derive(Debug)]
struct Doubt {
    until: Instant,
    pause: Duration,
}

impl<K> Default for Doubts<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Hash + Eq> Doubts<K> {
    /// Whether a refusal is to be looked into.
    pub(super) fn counts(&mut self, what: K, now: Instant) -> bool {
        let last = self.0.get(&what);
        let pause = match last {
            Some(doubt) if now < doubt.until => return false,
            Some(doubt) if now < doubt.until + LONGEST_DOUBT => (doubt.pause * 2).min(LONGEST_DOUBT),
            _ => FIRST_DOUBT,
        };
        self.0.insert(what, Doubt { until: now + pause, pause });
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const PAUSES: [Duration; 3] = [SECOND, Duration::from_secs(2), Duration::from_secs(4)];

    fn again() -> Again {
        Again::new(&PAUSES, SECOND, 100)
    }

    /// Looks when it is due, and gives the seconds since `start` at which that was.
    fn looks(again: &mut Again, start: Instant, each: Look, at_most: usize) -> Vec<u64> {
        let mut seconds = Vec::new();
        while let Some(due) = again.due().filter(|_| seconds.len() < at_most) {
            again.begin(due);
            again.end(due, each);
            seconds.push(due.duration_since(start).as_secs());
        }
        seconds
    }

    #[test]
    fn a_change_is_looked_at_until_it_is_settled_and_no_longer_than_the_pauses_say() {
        let start = Instant::now();
        let mut unchanged = again();
        assert_eq!(looks(&mut unchanged, start, Look::Open, 9), [0; 0], "nothing changed, nothing is due");
        for (each, expected) in [(Look::Settled, vec![1]), (Look::Open, vec![1, 3, 7])] {
            let mut again = again();
            again.changed(start);
            assert_eq!(looks(&mut again, start, each, 9), expected, "{each:?}");
            assert_eq!(again.due(), None, "{each:?}");
        }
    }

    #[test]
    fn a_burst_counts_once_and_one_that_goes_on_does_not_put_the_look_off() {
        let start = Instant::now();
        let mut again = again();
        for tenth in 0..100 {
            again.changed(start + SECOND / 10 * tenth);
        }
        assert_eq!(looks(&mut again, start, Look::Settled, 9), [1]);
    }

    #[test]
    fn what_changes_while_it_is_looked_at_is_looked_at_again() {
        let start = Instant::now();
        let mut again = again();
        again.changed(start);
        again.begin(start + SECOND);
        again.changed(start + SECOND);
        again.end(start + SECOND, Look::Settled);
        assert_eq!(looks(&mut again, start, Look::Settled, 9), [2]);
    }

    #[test]
    fn a_look_that_fails_is_repeated_until_one_does_not() {
        let start = Instant::now();
        let mut again = again();
        again.changed(start);
        assert_eq!(looks(&mut again, start, Look::Failed, 5), [1, 3, 7, 11, 15]);
        assert_eq!(looks(&mut again, start, Look::Settled, 5), [19]);
        assert_eq!(again.due(), None);
    }

    #[test]
    fn what_was_found_begins_the_series_anew() {
        let start = Instant::now();
        let mut again = again();
        again.changed(start);
        assert_eq!(looks(&mut again, start, Look::Open, 2), [1, 3]);
        assert_eq!(looks(&mut again, start, Look::Moved, 1), [7]);
        assert_eq!(looks(&mut again, start, Look::Open, 9), [9, 13]);
    }

    #[test]
    fn a_single_look_is_one_and_takes_nothing_from_a_series_under_way() {
        let start = Instant::now();
        let mut again = again();
        again.once(start);
        assert_eq!(looks(&mut again, start, Look::Open, 9), [0]);
        again.changed(start);
        again.once(start);
        assert_eq!(looks(&mut again, start, Look::Open, 9), [1, 3, 7]);
    }

    #[test]
    fn changes_without_end_are_looked_at_no_more_often_than_the_spacing_says() {
        let start = Instant::now();
        let mut again = Again::new(&PAUSES, Duration::from_secs(10), 3);
        let mut seen = Vec::new();
        let mut now = start;
        while seen.len() < 6 {
            again.changed(now);
            now = again.due().unwrap();
            again.begin(now);
            again.end(now, Look::Settled);
            seen.push(now.duration_since(start).as_secs());
        }
        assert_eq!(seen, [1, 2, 3, 4, 11, 21]);
    }

    #[test]
    fn a_refusal_for_good_is_looked_into_ever_more_seldom() {
        let start = Instant::now();
        let mut doubts = Doubts::default();
        // Refused every ten seconds for an hour.
        let counted = (0..360).map(|tens| tens * 10).filter(|at| doubts.counts("jobs", start + SECOND * *at));
        assert_eq!(counted.collect::<Vec<u32>>(), [0, 30, 90, 210, 450, 930, 1_530, 2_130, 2_730, 3_330]);
        assert!(doubts.counts("pods", start), "another kind is another matter");
        let later = start + SECOND * 10_000;
        assert!(doubts.counts("jobs", later), "and so is one after a long time");
        assert!(doubts.counts("jobs", later + FIRST_DOUBT));
    }
}
