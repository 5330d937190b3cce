//! Places that were given a moment ago, so that a live count may not show what became of them.
//!
//! They are told apart by the address that sends the reviews: an API server sends none but real ones, so what others forge
//! takes none of its places.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use policies::object::NamespacedName;
use tokio::time::Instant;

use super::ledger::Master;
use super::live_count::{Counted, EACH};

/// How long before a count a place may have been given of which it says nothing: its object is stored by then.
const UNTOLD: Duration = Duration::from_millis(250);
/// No count that stands is older.
const KEPT: Duration = EACH.saturating_add(UNTOLD);
/// How many masters are remembered before those are forgotten who were given nothing for a while.
const REMEMBERED: usize = 1_024;

/// To which address a place is given, and by which template ConfigMap.
pub(crate) type To = (u64, NamespacedName);

/// What was given to each master, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Given(Mutex<HashMap<Master, BTreeMap<To, VecDeque<Instant>>>>);

impl Given {
    /// Notes a place that is given whatever was counted.
    pub(super) fn note(&self, master: &Master, to: &To) {
        self.with(master, to, |given, now| given.push_back(now));
    }

    /// Gives a place of `most`, if there is one by this count. Says whether there is.
    pub(super) fn give(&self, master: &Master, to: &To, counted: &Counted, most: u32) -> bool {
        let free = usize::try_from(most.saturating_sub(counted.of(&to.1))).unwrap_or(usize::MAX);
        self.with(master, to, |given, now| {
            let untold = given.iter().rev().take_while(|at| **at + UNTOLD > counted.began).count();
            let gets = untold < free;
            if gets {
                given.push_back(now);
            }
            gets
        })
    }

    fn with<T>(&self, master: &Master, to: &To, change: impl FnOnce(&mut VecDeque<Instant>, Instant) -> T) -> T {
        let now = Instant::now();
        // What is held here is whole at each moment, also where a thread panicked.
        let mut masters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if masters.len() >= REMEMBERED && !masters.contains_key(master) {
            masters.retain(|_, given| {
                given.retain(|_, times| times.back().is_some_and(|at| *at + KEPT > now));
                !given.is_empty()
            });
        }
        let given = masters.entry(master.clone()).or_default();
        given.retain(|known, times| known == to || times.back().is_some_and(|at| *at + KEPT > now));
        let times = given.entry(to.clone()).or_default();
        while times.front().is_some_and(|at| *at + KEPT <= now) {
            times.pop_front();
        }
        change(times, now)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
    use tokio::time::sleep;

    use super::super::ledger::tests::create;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn threat_40_what_is_remembered_of_places_is_bounded_and_ends() {
        let given = Given::default();
        let to = |address: u64| (address, create("eod", "a").config_map);
        let note = |master: &str, address: u64| given.note(&create(master, "a").master, &to(address));
        let count = |given: &Given| given.0.lock().unwrap().len();
        (0..REMEMBERED).for_each(|number| note(&format!("eod-{number}"), 1));
        (0..100).for_each(|address| note("eod", address));
        assert_eq!(count(&given), REMEMBERED + 1);
        sleep(KEPT).await;
        note("another", 1);
        assert_eq!(count(&given), 1, "whoever was given nothing for a while is forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn threat_40_an_address_gets_what_was_free_and_takes_nothing_from_another() {
        let (given, create) = (Given::default(), create("eod", "a"));
        let counted =
            |of: u32| Counted { began: Instant::now(), by_config_map: [(create.config_map.clone(), of)].into() };
        let first = counted(1);
        let gets = |address: u64, counted: &Counted| {
            given.give(&create.master, &(address, create.config_map.clone()), counted, 3)
        };
        assert_eq!([gets(1, &first), gets(1, &first), gets(1, &first)], [true, true, false]);
        assert!(gets(2, &first));
        sleep(UNTOLD / 2).await;
        assert!(!gets(1, &counted(1)), "what was given just before a count may not be in it");
        sleep(UNTOLD).await;
        assert_eq!([gets(1, &counted(2)), gets(1, &counted(2))], [true, false]);
        assert!(!gets(1, &counted(3)));
    }
}
