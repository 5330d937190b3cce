//! How many dependents each master has, by template: those that the watches show, and beside them the creates that are
//! under way ([`super::reservations`]).
//!
//! A request that is about to be admitted is reserved before it is judged, since two requests at once must not take the
//! same last place. Reservations count for those that came later, but they alone refuse nobody: [`super::quota`] says
//! what decides. Each replica knows its own reservations only.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use policies::object::{Gvk, NamespacedName, ObjectRef};
use policies::stamp::Record;
use tokio::sync::Notify;

use super::reservations::Reservations;
pub use super::reservations::{Create, RESERVED};

/// The longest namespace and the longest name that an API server stores (RFC 1123 label and subdomain).
const LONGEST_NAMESPACE: usize = 63;
const LONGEST_NAME: usize = 253;

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

    /// Its account.
    pub(crate) fn account(&self) -> &NamespacedName {
        &self.account
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

    /// Whether an API server can store an object so named; what it cannot is never under way.
    pub(crate) fn can_be_stored(&self) -> bool {
        let Self { namespace, name, .. } = self;
        !name.is_empty() && name.len() <= LONGEST_NAME && namespace.len() <= LONGEST_NAMESPACE
    }
}

#[derive(Clone, Debug)]
struct Entry {
    master: Arc<Master>,
    config_map: NamespacedName,
    uid: String,
}

/// What the watch says of an object that it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// It was known, or is new and nobody here admitted it.
    Known,
    /// It is new, and its create was admitted here a moment ago.
    Admitted,
}

/// How many places of a template ConfigMap's limit are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// By dependents that the watch shows.
    pub shown: u32,
    /// By reservations.
    pub reserved: u32,
}

impl Places {
    /// All that are taken.
    pub fn total(self) -> u32 {
        self.shown.saturating_add(self.reserved)
    }
}

#[derive(Debug, Default)]
struct State {
    live: HashMap<Key, Entry>,
    counts: HashMap<Arc<Master>, BTreeMap<NamespacedName, u32>>,
    reservations: Reservations,
}

/// The dependents of every master.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<State>);

impl Ledger {
    /// The watch shows this dependent.
    pub fn show(&self, key: Key, uid: &str, record: &Record) -> Shown {
        let mut state = self.state();
        let master = Arc::new(Master::of(record));
        let admitted = state.reservations.confirm(&master, &key);
        let known = state.live.get(&key).is_some_and(|entry| entry.uid == uid);
        state.forget(&key);
        let config_map = record.template.config_map.clone();
        *state.counts.entry(Arc::clone(&master)).or_default().entry(config_map.clone()).or_default() += 1;
        state.live.insert(key, Entry { master, config_map, uid: uid.into() });
        if admitted && !known { Shown::Admitted } else { Shown::Known }
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

    /// Reserves a place for one review of a create, or joins the reservation that there is; those with a lower number
    /// than the returned one were made before. Each is to be followed by one [`Self::admit`] or [`Self::withdraw`].
    pub fn reserve(&self, create: Create, now: Instant) -> u64 {
        self.state().reservations.reserve(create, now)
    }

    /// A review of this create was answered with its admission: its object is expected.
    pub fn admit(&self, create: Create, now: Instant) {
        self.state().reservations.admit(create, now);
    }

    /// A review of this create ended without an admission.
    pub fn withdraw(&self, master: &Master, key: &Key) {
        self.state().reservations.withdraw(master, key);
    }

    /// A count of the master's dependents that began at `began` did not see these: see [`Reservations::refute`].
    pub fn refute(&self, master: &Master, began: Instant, settled: Duration, unseen: impl Fn(&Key) -> bool) -> usize {
        self.state().reservations.refute(master, began, settled, unseen)
    }

    /// Whether reservations of the master were refuted not long ago.
    pub fn doubts(&self, master: &Master, now: Instant) -> bool {
        self.state().reservations.doubts(master, now)
    }

    /// Told whenever a reservation of the master ends; none while it has none.
    pub fn changed(&self, master: &Master) -> Option<Arc<Notify>> {
        self.state().reservations.changed(master)
    }

    /// The number that the next reservation gets: all that there are were made before.
    pub fn next(&self) -> u64 {
        self.state().reservations.next()
    }

    /// The places that the master has taken or reserved before the number `before`, by template, without the object
    /// `except`.
    pub fn places(
        &self,
        master: &Master,
        except: Option<&Key>,
        before: u64,
        now: Instant,
    ) -> BTreeMap<NamespacedName, Places> {
        let mut state = self.state();
        state.reservations.expire(now);
        let mut places: BTreeMap<NamespacedName, Places> = BTreeMap::new();
        for (config_map, count) in state.counts.get(master).into_iter().flatten() {
            places.insert(config_map.clone(), Places { shown: *count, reserved: 0 });
        }
        if let Some(entry) = except.and_then(|key| state.live.get(key)).filter(|entry| *entry.master == *master)
            && let Some(places) = places.get_mut(&entry.config_map)
        {
            places.shown = places.shown.saturating_sub(1);
        }
        for (config_map, count) in state.reservations.count(master, except, before) {
            places.entry(config_map.clone()).or_default().reserved = count;
        }
        places
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
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
pub(super) mod tests;
