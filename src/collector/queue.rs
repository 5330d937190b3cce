//! Deadlines in order, a hundred thousand of them in few bytes. Pure; time is an argument.
//!
//! Two ordered trees, one by uid and one by instant: neither doubles when it grows, as a table or a heap would, and a
//! change leaves nothing stale behind.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use kube::core::metadata::ObjectMeta;
use policies::garbage::Why;

use super::discover::Kind;
use super::identity::{Uid, Version};

/// A dependent with a deadline: what a DELETE needs, and no more.
#[derive(Clone, Debug, PartialEq)]
pub struct Tracked {
    /// Its uid.
    pub uid: Uid,
    /// Its kind.
    pub kind: Arc<Kind>,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Box<str>,
    /// Its resourceVersion, as last seen.
    pub version: Version,
    /// When it becomes garbage; [`NEVER`]: not by its own doing.
    pub deadline: Timestamp,
    /// What makes it garbage then.
    pub why: Why,
}

impl Tracked {
    /// An object as its metadata name it.
    pub(super) fn of(kind: &Arc<Kind>, metadata: &ObjectMeta, deadline: Timestamp, why: Why) -> Self {
        let text = |of: &Option<String>| of.clone().unwrap_or_default();
        Self {
            uid: text(&metadata.uid).as_str().into(),
            kind: Arc::clone(kind),
            namespace: text(&metadata.namespace).into(),
            name: text(&metadata.name).into(),
            version: text(&metadata.resource_version).as_str().into(),
            deadline,
            why,
        }
    }
}

/// Later than any deadline.
pub const NEVER: Timestamp = Timestamp::MAX;

/// What is kept of one, beside its uid.
#[derive(Debug)]
struct Entry {
    kind: Arc<Kind>,
    namespace: Arc<str>,
    name: Box<str>,
    version: Version,
    deadline: Timestamp,
    /// When it is due: at its deadline, or after the pause that a failure took.
    at: Timestamp,
    /// When the list or event that last showed it came; see [`Queue::sweep`].
    epoch: u64,
    /// Failed attempts to delete this version.
    attempts: u32,
    why: Why,
}

/// What is due, handed out by [`Queue::take_due`].
#[derive(Clone, Debug, PartialEq)]
pub struct Due {
    /// The object.
    pub tracked: Tracked,
    /// Failed attempts before this one.
    pub attempts: u32,
    epoch: u64,
}

impl Due {
    /// When the list or event that last showed it came.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }
}

/// Deadlines in order.
#[derive(Debug, Default)]
pub struct Queue {
    entries: BTreeMap<Uid, Entry>,
    order: BTreeSet<(Timestamp, Uid)>,
    namespaces: Namespaces,
}

impl Queue {
    /// Objects that wait.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes in an object as just seen; whatever was known of its uid is forgotten. `epoch` counts the lists of its
    /// watch.
    pub fn put(&mut self, tracked: Tracked, epoch: u64) {
        // A list repeats what is known: an entry that is backing off after a failure keeps its pause.
        if let Some(entry) = self.entries.get_mut(&tracked.uid)
            && entry.is(&tracked)
        {
            entry.epoch = epoch;
            return;
        }
        let at = tracked.deadline;
        self.insert(at, tracked, 0, epoch);
    }

    /// The same for what is to be done at another instant than the deadline.
    pub fn put_at(&mut self, at: Timestamp, tracked: Tracked, epoch: u64) {
        self.insert(at, tracked, 0, epoch);
    }

    /// Takes back what [`Queue::take_due`] gave, to be tried again not before `at`; not if news of it came meanwhile.
    pub fn put_back(&mut self, due: Due, at: Timestamp) {
        if self.entries.contains_key(&due.tracked.uid) {
            return;
        }
        let at = at.max(due.tracked.deadline);
        self.insert(at, due.tracked, due.attempts.saturating_add(1), due.epoch);
    }

    fn insert(&mut self, at: Timestamp, tracked: Tracked, attempts: u32, epoch: u64) {
        let Tracked { uid, kind, namespace, name, version, deadline, why } = tracked;
        let namespace = self.namespaces.one(namespace);
        let entry = Entry { kind, namespace, name, version, deadline, at, epoch, attempts, why };
        self.order.insert((at, uid.clone()));
        if let Some(before) = self.entries.insert(uid.clone(), entry)
            && before.at != at
        {
            self.order.remove(&(before.at, uid));
        }
    }

    /// Forgets an object: it is gone, or it is no dependent with a deadline any more.
    pub fn remove(&mut self, uid: &Uid) {
        if let Some((uid, entry)) = self.entries.remove_entry(uid) {
            self.order.remove(&(entry.at, uid));
        }
    }

    /// The same, where it was put as one of `kind`: it may be another one's by now.
    pub fn remove_of(&mut self, kind: &Kind, uid: &Uid) {
        if self.entries.get(uid).is_some_and(|entry| *entry.kind == *kind) {
            self.remove(uid);
        }
    }

    /// Forgets what a completed list of `kind` did not show: entries seen before `epoch`.
    pub fn sweep(&mut self, kind: &Kind, epoch: u64) {
        let order = &mut self.order;
        self.entries.retain(|uid, entry| {
            let keep = entry.epoch >= epoch || *entry.kind != *kind;
            if !keep {
                order.remove(&(entry.at, uid.clone()));
            }
            keep
        });
    }

    /// Forgets all of a kind that is followed no longer.
    pub fn forget(&mut self, kind: &Kind) {
        self.sweep(kind, u64::MAX);
    }

    /// The next instant at which something is due.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.order.first().map(|(at, _)| *at)
    }

    /// One object that is due at `now`, taken out of the queue.
    pub fn take_due(&mut self, now: Timestamp) -> Option<Due> {
        if !policies::garbage::past(self.next_due()?, now) {
            return None;
        }
        let (_, uid) = self.order.pop_first()?;
        let Entry { kind, namespace, name, version, deadline, epoch, attempts, why, .. } = self.entries.remove(&uid)?;
        Some(Due { tracked: Tracked { uid, kind, namespace, name, version, deadline, why }, attempts, epoch })
    }
}

impl Entry {
    /// Whether this is what is known already.
    fn is(&self, tracked: &Tracked) -> bool {
        let Tracked { uid: _, kind, namespace, name, version, deadline, why } = tracked;
        self.kind == *kind
            && self.namespace == *namespace
            && self.name == *name
            && self.version == *version
            && self.deadline == *deadline
            && self.why == *why
    }
}

/// The names of namespaces, each kept once: there are few of them for many objects.
#[derive(Debug, Default)]
struct Namespaces {
    names: HashSet<Arc<str>>,
    /// At so many they are looked through for those that nobody names any more.
    full: usize,
}

impl Namespaces {
    fn one(&mut self, name: Arc<str>) -> Arc<str> {
        const FEW: usize = 64;
        if let Some(known) = self.names.get(&name) {
            return Arc::clone(known);
        }
        if self.names.len() >= self.full {
            self.names.retain(|name| Arc::strong_count(name) > 1);
            self.full = self.names.len() * 2 + FEW;
        }
        self.names.insert(Arc::clone(&name));
        name
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
