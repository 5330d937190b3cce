//! Whose work is next: fair queueing by who sends it (start-time fair queueing, in levels).
//!
//! A sender is a path: the client's address, its connection, then whom the review is about. At each level every child gets
//! the same share of the work that is done, whatever it asks for: a child that used much waits until the others used as
//! much, and who comes new begins at the share that is served now, before whatever waits there. So the queue of one
//! sender delays another by the work that runs already, and by nothing that waits.
//!
//! The whole is bounded. Beyond the bound the sender with the most waiting loses its latest.

use std::collections::{BTreeMap, VecDeque};

/// Work that waits, by sender. `K` is one step of a sender's path; all paths are of the same length.
#[derive(Debug)]
pub(crate) struct Turns<K, T> {
    root: Node<K, T>,
    limit: usize,
    next: u64,
}

/// Names work that was put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Number(u64);

/// Work whose turn it is.
#[derive(Debug)]
pub(crate) struct Turn<K, T> {
    /// Who sent it.
    pub(crate) path: Vec<K>,
    /// What its sender was charged.
    pub(crate) cost: u64,
    /// What is to be done.
    pub(crate) work: T,
}

#[derive(Debug)]
struct Node<K, T> {
    /// How much of its parent's share this node had before its next turn.
    begins: u64,
    /// How much of its share a child had by now that always wanted more: where a child begins that comes new.
    clock: u64,
    /// Work that waits below, and work that has had its turn and is not finished.
    waiting: usize,
    running: usize,
    children: BTreeMap<K, Node<K, T>>,
    /// At a leaf, in the order in which it came.
    queue: VecDeque<Waiting<T>>,
}

#[derive(Debug)]
struct Waiting<T> {
    number: Number,
    cost: u64,
    work: T,
}

impl<K: Ord + Clone, T> Turns<K, T> {
    /// At most `limit` wait at once.
    pub(crate) fn new(limit: usize) -> Self {
        Self { root: Node::new(0), limit, next: 0 }
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.root.waiting
    }

    /// How many of these wait whose path begins so.
    pub(crate) fn below(&self, path: &[K]) -> usize {
        self.root.below(path)
    }

    /// Puts work at the end of its sender's queue. `cost` is what it is expected to take, in any unit. If there is no more
    /// room, the latest work of whoever has most waiting is given back, which may be this.
    pub(crate) fn push(&mut self, path: &[K], cost: u64, work: T) -> (Number, Option<T>) {
        let number = Number(self.next);
        self.next += 1;
        self.root.push(path, Waiting { number, cost: cost.max(1), work });
        let crowded_out = if self.root.waiting > self.limit { self.root.crowd_out() } else { None };
        (number, crowded_out)
    }

    /// The next work. Its sender has its turn until [`Self::finish`].
    pub(crate) fn pop(&mut self) -> Option<Turn<K, T>> {
        let mut path = Vec::new();
        let Waiting { cost, work, .. } = self.root.pop(&mut path)?;
        Some(Turn { path, cost, work })
    }

    /// A turn is over; it took `took` where its sender was charged `charged`.
    pub(crate) fn finish(&mut self, path: &[K], charged: u64, took: u64) {
        self.root.finish(path, charged, took);
    }

    /// Takes work out that nobody waits for any more; none if it had its turn.
    pub(crate) fn remove(&mut self, path: &[K], number: Number) -> Option<T> {
        self.root.remove(path, number)
    }
}

impl<K: Ord + Clone, T> Node<K, T> {
    fn new(begins: u64) -> Self {
        Self { begins, clock: 0, waiting: 0, running: 0, children: BTreeMap::new(), queue: VecDeque::new() }
    }

    fn below(&self, path: &[K]) -> usize {
        match path.split_first() {
            None => self.waiting,
            Some((key, below)) => self.children.get(key).map_or(0, |child| child.below(below)),
        }
    }

    fn push(&mut self, path: &[K], waiting: Waiting<T>) {
        self.waiting += 1;
        match path.split_first() {
            None => self.queue.push_back(waiting),
            Some((key, below)) => {
                let clock = self.clock;
                let child = self.children.entry(key.clone()).or_insert_with(|| Self::new(clock));
                if child.waiting == 0 {
                    // Whoever had nothing waiting saved nothing up.
                    child.begins = child.begins.max(clock);
                }
                child.push(below, waiting);
            }
        }
    }

    fn pop(&mut self, path: &mut Vec<K>) -> Option<Waiting<T>> {
        let alone = self.sharing() == 1;
        let next = self.children.iter_mut().filter(|(_, child)| child.waiting > 0);
        let popped = match next.min_by_key(|(_, child)| child.begins) {
            None => self.queue.pop_front()?,
            Some((key, child)) => {
                path.push(key.clone());
                self.clock = if alone { child.begins } else { self.clock.max(child.begins) };
                let popped = child.pop(path)?;
                child.begins = child.begins.saturating_add(popped.cost);
                popped
            }
        };
        self.waiting -= 1;
        self.running += 1;
        Some(popped)
    }

    fn finish(&mut self, path: &[K], charged: u64, took: u64) {
        self.running = self.running.saturating_sub(1);
        // Among so many it was shared. A clock that stood still would let those who always come new go before all others.
        self.clock = self.clock.saturating_add(took.div_ceil(self.sharing().max(1)));
        if let Some((key, below)) = path.split_first()
            && let Some(child) = self.children.get_mut(key)
        {
            child.begins = child.begins.saturating_sub(charged).saturating_add(took);
            child.finish(below, charged, took);
        }
        self.forget();
    }

    /// Among how many children work is shared now.
    fn sharing(&self) -> u64 {
        self.children.values().map(|child| u64::from(child.waiting > 0 || child.running > 0)).sum()
    }

    /// Forgets children that are idle and owe nothing, and all of them once nobody is waiting for what they owe: so there
    /// are never more children than work that waits, that runs, or that ran since somebody waited.
    fn forget(&mut self) {
        let (clock, nobody_waits) = (self.clock, self.waiting == 0);
        self.children.retain(|_, child| {
            let idle = child.waiting == 0 && child.running == 0;
            !(idle && (nobody_waits || child.begins <= clock))
        });
    }

    fn remove(&mut self, path: &[K], number: Number) -> Option<T> {
        let removed = match path.split_first() {
            None => {
                let at = self.queue.iter().position(|waiting| waiting.number == number)?;
                self.queue.remove(at)?.work
            }
            Some((key, below)) => self.children.get_mut(key)?.remove(below, number)?,
        };
        self.waiting -= 1;
        self.forget();
        Some(removed)
    }

    fn crowd_out(&mut self) -> Option<T> {
        let crowded_out = match self.children.values_mut().max_by_key(|child| child.waiting) {
            None => self.queue.pop_back()?.work,
            Some(child) => child.crowd_out()?,
        };
        self.waiting -= 1;
        self.forget();
        Some(crowded_out)
    }
}

#[cfg(test)]
#[path = "turns_tests.rs"]
#[allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
mod tests;
