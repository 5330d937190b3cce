//! Work that waits, in turns between namespaces. Pure.
//!
//! A namespace in which something waits has the number of its next turn. The lowest number goes first and, among equals,
//! the cheapest work. A namespace that begins to wait, or had a turn, is next in the turn after the present one: so a
//! newcomer waits for two pieces of work of each other namespace at most, however much each has.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use policies::object::NamespacedName;

/// What waits, by namespace.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Turn, cost of the cheapest work, namespace: each namespace in which something waits, once.
    order: BTreeSet<(u64, Duration, Arc<str>)>,
    namespaces: HashMap<Arc<str>, Waiting>,
    /// The turn of what was taken last.
    present: u64,
}

/// What waits in one namespace.
#[derive(Debug)]
struct Waiting {
    turn: u64,
    work: BTreeSet<(Duration, Arc<NamespacedName>)>,
}

impl Turns {
    /// Adds work that does not wait yet.
    pub(super) fn add(&mut self, name: Arc<NamespacedName>, cost: Duration) {
        let (namespace, mut waiting) = self.leave(&name.namespace).unwrap_or_else(|| {
            (name.namespace.as_str().into(), Waiting { turn: self.present + 1, work: BTreeSet::new() })
        });
        waiting.work.insert((cost, name));
        self.join(namespace, waiting);
    }

    /// Removes work that was added with this cost.
    pub(super) fn remove(&mut self, name: &Arc<NamespacedName>, cost: Duration) {
        if let Some((namespace, mut waiting)) = self.leave(&name.namespace) {
            waiting.work.remove(&(cost, Arc::clone(name)));
            self.join(namespace, waiting);
        }
    }

    /// Takes the next work of a namespace that has work which `may` begin now: its cheapest.
    pub(super) fn take(&mut self, may: impl Fn(&Arc<NamespacedName>) -> bool) -> Option<Arc<NamespacedName>> {
        let next = |namespace: &Arc<str>| self.namespaces.get(namespace)?.work.first().map(|(_, name)| name);
        let found = self.order.iter().find(|(_, _, namespace)| next(namespace).is_some_and(&may));
        let (_, _, namespace) = found?.clone();
        let (namespace, mut waiting) = self.leave(&namespace)?;
        self.present = self.present.max(waiting.turn);
        let taken = waiting.work.pop_first();
        // Not one more than it was: who could not have turns for a while does not have them all at once.
        waiting.turn = self.present + 1;
        self.join(namespace, waiting);
        taken.map(|(_, name)| name)
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    fn leave(&mut self, namespace: &str) -> Option<(Arc<str>, Waiting)> {
        let (namespace, waiting) = self.namespaces.remove_entry(namespace)?;
        if let Some((cost, _)) = waiting.work.first() {
            self.order.remove(&(waiting.turn, *cost, Arc::clone(&namespace)));
        }
        Some((namespace, waiting))
    }

    fn join(&mut self, namespace: Arc<str>, waiting: Waiting) {
        if let Some((cost, _)) = waiting.work.first() {
            self.order.insert((waiting.turn, *cost, Arc::clone(&namespace)));
            self.namespaces.insert(namespace, waiting);
        }
    }
}
