//! Deadlines in order: a binary heap with lazy removal. Pure; time is an argument.
//!
//! A heap cannot change an element in its middle, so a change adds a new element, and every element carries the
//! generation of the entry that it was made for: one whose generation is no longer the entry's is skipped.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use policies::garbage::Why;

use super::discover::Kind;

/// A dependent with a deadline: what a DELETE needs, and no more.
#[derive(Clone, Debug, PartialEq)]
pub struct Tracked {
    /// Its uid.
    pub uid: Arc<str>,
    /// Its kind.
    pub kind: Arc<Kind>,
    /// Its namespace.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// Its resourceVersion, as last seen.
    pub version: Box<str>,
    /// When it becomes garbage; [`NEVER`]: not by its own doing.
    pub deadline: Timestamp,
    /// What makes it garbage then.
    pub why: Why,
}

/// Later than any deadline.
pub const NEVER: Timestamp = Timestamp::MAX;

#[derive(Debug)]
struct Entry {
    tracked: Tracked,
    /// Failed attempts to delete this version.
    attempts: u32,
    generation: u64,
    /// When the list or event that last showed it came; see [`Queue::sweep`].
    epoch: u64,
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

/// Deadlines in order.
#[derive(Debug, Default)]
pub struct Queue {
    entries: HashMap<Arc<str>, Entry>,
    heap: BinaryHeap<Reverse<(Timestamp, u64, Arc<str>)>>,
    generation: u64,
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
            && entry.tracked == tracked
        {
            entry.epoch = epoch;
            return;
        }
        let at = tracked.deadline;
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
        self.generation += 1;
        let uid = Arc::clone(&tracked.uid);
        self.entries.insert(Arc::clone(&uid), Entry { tracked, attempts, generation: self.generation, epoch });
        self.heap.push(Reverse((at, self.generation, uid)));
        self.compact();
    }

    /// Forgets an object: it is gone, or it is no dependent with a deadline any more.
    pub fn remove(&mut self, uid: &str) {
        self.entries.remove(uid);
        self.compact();
    }

    /// Forgets what a completed list of `kind` did not show: entries seen before `epoch`.
    pub fn sweep(&mut self, kind: &Kind, epoch: u64) {
        self.entries.retain(|_, entry| *entry.tracked.kind != *kind || entry.epoch >= epoch);
        self.compact();
    }

    /// Forgets all of a kind that is followed no longer.
    pub fn forget(&mut self, kind: &Kind) {
        self.sweep(kind, u64::MAX);
    }

    /// The next instant at which something is due.
    pub fn next_due(&mut self) -> Option<Timestamp> {
        self.skip_stale();
        self.heap.peek().map(|Reverse((at, _, _))| *at)
    }

    /// One object that is due at `now`, taken out of the queue.
    pub fn take_due(&mut self, now: Timestamp) -> Option<Due> {
        self.skip_stale();
        let Reverse((at, _, _)) = self.heap.peek()?;
        if !policies::garbage::past(*at, now) {
            return None;
        }
        let Reverse((_, _, uid)) = self.heap.pop()?;
        let entry = self.entries.remove(&uid)?;
        Some(Due { tracked: entry.tracked, attempts: entry.attempts, epoch: entry.epoch })
    }

    fn skip_stale(&mut self) {
        while let Some(Reverse((_, generation, uid))) = self.heap.peek() {
            if self.entries.get(uid).is_some_and(|entry| entry.generation == *generation) {
                return;
            }
            self.heap.pop();
        }
    }

    /// Rebuilds the heap once most of it is stale, so that endless renewals do not let it grow.
    fn compact(&mut self) {
        const SLACK: usize = 64;
        if self.heap.len() > 2 * self.entries.len() + SLACK {
            let entries = &self.entries;
            self.heap.retain(|Reverse((_, generation, uid))| {
                entries.get(uid).is_some_and(|entry| entry.generation == *generation)
            });
        }
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
