//! How many dependents each master has, by template: those that the watches show, and those admitted a moment ago.
//!
//! A request that is about to be admitted is reserved before it is judged, since two requests at once must not take
//! the same last place. A reservation counts for those that came later, is the same however often its object is
//! reviewed, and ends when the watch shows the object, when the verdict is a refusal, or by itself.
//! With several replicas each knows its own reservations only: the limit may be overshot by what the others admit
//! within a watch's lag.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use policies::object::{Gvk, NamespacedName, ObjectRef};
use policies::stamp::Record;

/// How long a reservation stands without its object: the API server stores an object, or fails to, within the
/// deadline of its own storage, far below this.
pub const RESERVED: Duration = Duration::from_secs(15);
/// How many reservations are held at most, some hundred bytes each, and how many of one master: what is under way at
/// once is bounded by the API server's own limit (600 requests in flight by default) times [`RESERVED`]. Beyond
/// it requests are refused.
const MOST_RESERVATIONS: usize = 20_000;
const MOST_OF_ONE: usize = 2_000;

/// A master's workload, as [`Record::belongs_to`] compares it: kind and name, whatever its uid.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Master {
    account: NamespacedName,
    group: String,
    kind: String,
    name: String,
}

impl Master {
    /// The master of this account and workload.
    pub fn new(account: &NamespacedName, workload: &ObjectRef) -> Self {
        Self {
            account: account.clone(),
            group: Gvk::from_api_version(&workload.api_version, "").group,
            kind: workload.kind.clone(),
            name: workload.name.clone(),
        }
    }

    /// The master that a stamp names.
    pub fn of(record: &Record) -> Self {
        Self::new(&record.account, &record.workload)
    }
}

/// An object by what names it, whatever its version.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// API group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl Key {
    /// The object of this kind, namespace and name.
    pub fn new(kind: &Gvk, namespace: &str, name: &str) -> Self {
        Self { group: kind.group.clone(), kind: kind.kind.clone(), namespace: namespace.into(), name: name.into() }
    }
}

#[derive(Clone, Debug)]
struct Entry {
    master: Arc<Master>,
    config_map: NamespacedName,
    uid: String,
}

#[derive(Debug)]
struct Reservation {
    config_map: NamespacedName,
    until: Instant,
    /// Reservations count for those with a higher number.
    number: u64,
}

#[derive(Debug, Default)]
struct State {
    live: HashMap<Key, Entry>,
    counts: HashMap<Arc<Master>, BTreeMap<NamespacedName, u32>>,
    reserved: HashMap<Arc<Master>, HashMap<Key, Reservation>>,
    /// When reservations end, the first to end in front; renewed ones are in it again.
    ends: VecDeque<(Instant, Arc<Master>, Key)>,
    next: u64,
}

/// The dependents of every master.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<State>);

/// More reservations than are held: a flood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many creates are under way at once")]
pub struct Flooded;

impl Ledger {
    /// The watch shows this dependent.
    pub fn show(&self, key: Key, uid: &str, record: &Record) {
        let mut state = self.state();
        let master = Arc::new(Master::of(record));
        state.release(&master, &key);
        state.forget(&key);
        let config_map = record.template.config_map.clone();
        *state.counts.entry(Arc::clone(&master)).or_default().entry(config_map.clone()).or_default() += 1;
        state.live.insert(key, Entry { master, config_map, uid: uid.into() });
    }

    /// The watch shows that it is gone, or carries no stamp any more.
    pub fn hide(&self, key: &Key) {
        self.state().forget(key);
    }

    /// Hides every object of a kind that `there` does not hold.
    pub fn retain(&self, group: &str, kind: &str, there: impl Fn(&Key) -> bool) {
        let mut state = self.state();
        let of_kind = state.live.keys().filter(|key| key.group == group && key.kind == kind);
        let gone: Vec<Key> = of_kind.filter(|key| !there(key)).cloned().collect();
        for key in gone {
            state.forget(&key);
        }
    }

    /// Reserves a place for the object `key`, or renews it, and says how many others the master has or has reserved
    /// before, by template.
    ///
    /// # Errors
    /// When there are too many reservations.
    pub fn reserve(
        &self,
        key: Key,
        master: Master,
        config_map: NamespacedName,
        now: Instant,
    ) -> Result<BTreeMap<NamespacedName, u32>, Flooded> {
        let mut state = self.state();
        state.expire(now);
        let of_one = state.reserved.get(&master);
        let earlier = of_one.and_then(|of_one| of_one.get(&key)).map(|earlier| earlier.number);
        if earlier.is_none() && (of_one.map_or(0, HashMap::len) >= MOST_OF_ONE || state.ends.len() >= MOST_RESERVATIONS)
        {
            return Err(Flooded);
        }
        let number = earlier.unwrap_or(state.next);
        state.next += 1;
        let counts = state.count(&master, Some(&key), number);
        let (master, until) = (Arc::new(master), now + RESERVED);
        state.ends.push_back((until, Arc::clone(&master), key.clone()));
        state.reserved.entry(master).or_default().insert(key, Reservation { config_map, until, number });
        Ok(counts)
    }

    /// Takes back the reservation of `key`.
    pub fn release(&self, key: &Key, master: &Master) {
        self.state().release(master, key);
    }

    /// How many dependents the master has or has reserved, by template, without the object `except`.
    pub fn count(&self, master: &Master, except: Option<&Key>, now: Instant) -> BTreeMap<NamespacedName, u32> {
        let mut state = self.state();
        state.expire(now);
        state.count(master, except, u64::MAX)
    }

    /// Whether the watch shows the object `key` with this uid as a dependent of this master.
    pub fn is_own(&self, key: &Key, uid: &str, master: &Master) -> bool {
        self.state().live.get(key).is_some_and(|entry| entry.uid == uid && *entry.master == *master)
    }

    /// How many dependents are known.
    pub fn len(&self) -> usize {
        self.state().live.len()
    }

    /// Whether no dependent is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget(&mut self, key: &Key) {
        let Some(entry) = self.live.remove(key) else { return };
        let Some(counts) = self.counts.get_mut(&entry.master) else { return };
        if let Some(count) = counts.get_mut(&entry.config_map) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&entry.config_map);
            }
        }
        if counts.is_empty() {
            self.counts.remove(&entry.master);
        }
    }

    fn release(&mut self, master: &Master, key: &Key) {
        let Some(of_one) = self.reserved.get_mut(master) else { return };
        of_one.remove(key);
        if of_one.is_empty() {
            self.reserved.remove(master);
        }
    }

    fn expire(&mut self, now: Instant) {
        while let Some((_, master, key)) = self.ends.pop_front_if(|(until, ..)| *until <= now) {
            let standing = self.reserved.get(&master).and_then(|of_one| of_one.get(&key));
            if standing.is_some_and(|reservation| reservation.until <= now) {
                self.release(&master, &key);
            }
        }
    }

    fn count(&self, master: &Master, except: Option<&Key>, before: u64) -> BTreeMap<NamespacedName, u32> {
        let mut counts = self.counts.get(master).cloned().unwrap_or_default();
        if let Some(entry) = except.and_then(|key| self.live.get(key)).filter(|entry| *entry.master == *master)
            && let Some(count) = counts.get_mut(&entry.config_map)
        {
            *count = count.saturating_sub(1);
        }
        for (key, reservation) in self.reserved.get(master).into_iter().flatten() {
            if reservation.number < before && Some(key) != except {
                *counts.entry(reservation.config_map.clone()).or_default() += 1;
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
    use policies::stamp::{StampedObject, StampedPod, StampedTemplate};

    use super::*;

    fn post_trade() -> NamespacedName {
        NamespacedName::new("trading", "post-trade")
    }

    fn record(workload_uid: &str) -> Record {
        Record {
            object: StampedObject {
                api_version: "batch/v1".into(),
                kind: "Job".into(),
                namespace: "trading".into(),
                name: Some("a".into()),
                generate_name: None,
            },
            account: NamespacedName::new("trading", "eod"),
            pod: StampedPod { name: "eod-1".into(), uid: "p".into() },
            workload: ObjectRef {
                api_version: "apps/v1".into(),
                kind: "Deployment".into(),
                name: "eod".into(),
                uid: workload_uid.into(),
            },
            template: StampedTemplate {
                config_map: post_trade(),
                key: "job.yaml".into(),
                uid: "c".into(),
                version: "1".into(),
                hash: "h".into(),
            },
            parameters: BTreeMap::new(),
            parameters_omitted: false,
            duration: None,
            keep_finished: None,
            notify_before: None,
            ends_with_master: true,
        }
    }

    fn job(name: &str) -> Key {
        Key::new(&Gvk::new("batch", "v1", "Job"), "trading", name)
    }

    fn eod() -> Master {
        Master::of(&record("d"))
    }

    fn count(ledger: &Ledger) -> u32 {
        ledger.count(&eod(), None, Instant::now()).get(&post_trade()).copied().unwrap_or(0)
    }

    fn reserve(ledger: &Ledger, name: &str) -> u32 {
        let counts = ledger.reserve(job(name), eod(), post_trade(), Instant::now()).unwrap();
        counts.get(&post_trade()).copied().unwrap_or(0)
    }

    #[test]
    fn dependents_are_counted_by_workload_name_whatever_its_uid() {
        let ledger = Ledger::default();
        ledger.show(job("a"), "1", &record("d"));
        ledger.show(job("b"), "2", &record("an earlier uid"));
        ledger.show(job("b"), "2", &record("an earlier uid"));
        assert_eq!(count(&ledger), 2, "an event that repeats is not another object");
        ledger.hide(&job("a"));
        ledger.hide(&job("a"));
        assert_eq!(count(&ledger), 1);
        ledger.retain("batch", "Job", |_| false);
        assert_eq!(count(&ledger), 0);
        assert!(ledger.is_empty() && ledger.state().counts.is_empty(), "nothing is kept of what is gone");
    }

    #[test]
    fn threat_40_each_of_many_requests_at_once_sees_those_before_it() {
        let ledger = Ledger::default();
        assert_eq!(["a", "b", "c"].map(|name| reserve(&ledger, name)), [0, 1, 2]);
        assert_eq!(reserve(&ledger, "a"), 0, "the same object in its next review takes no second place");
        assert_eq!(count(&ledger), 3);
        ledger.release(&job("b"), &eod());
        assert_eq!(count(&ledger), 2);
        ledger.show(job("c"), "3", &record("d"));
        assert_eq!(count(&ledger), 2, "what the watch shows is reserved no longer");
    }

    #[test]
    fn a_reservation_ends_by_itself() {
        let ledger = Ledger::default();
        let now = Instant::now();
        ledger.reserve(job("a"), eod(), post_trade(), now).unwrap();
        let counted = |at| ledger.count(&eod(), None, at).get(&post_trade()).copied();
        assert_eq!(counted(now + RESERVED - Duration::from_millis(1)), Some(1));
        assert_eq!(counted(now + RESERVED), None);
    }

    #[test]
    fn the_object_asked_for_does_not_count_against_itself() {
        let ledger = Ledger::default();
        ledger.show(job("a"), "1", &record("d"));
        assert_eq!(ledger.count(&eod(), Some(&job("a")), Instant::now()).get(&post_trade()), Some(&0));
        assert!(ledger.is_own(&job("a"), "1", &eod()));
        assert!(!ledger.is_own(&job("a"), "2", &eod()), "a namesake is another object");
    }

    #[test]
    fn threat_40_a_flood_of_reservations_is_refused_not_remembered() {
        let ledger = Ledger::default();
        let now = Instant::now();
        for number in 0..MOST_OF_ONE {
            ledger.reserve(job(&number.to_string()), eod(), post_trade(), now).unwrap();
        }
        assert_eq!(ledger.reserve(job("one more"), eod(), post_trade(), now), Err(Flooded));
        assert!(ledger.reserve(job("7"), eod(), post_trade(), now).is_ok(), "a renewal is no more");
    }
}
