//! How the room is filled: credit that rises alike for all namespaces buys their ConfigMaps, the oldest first.
//!
//! Three steps, each in the order of age:
//! 1. Every namespace that still waits for a ConfigMap is given credit at the same rate, until the credit of all comes to
//!    the bound. Those that wait for the same data buy it together, as soon as their credit suffices. Whoever comes
//!    later has it for nothing. A namespace that has all it wants is given no more, which leaves more for the others.
//! 2. Where the credit ends (the level), the others go on with what they have: what is too large for it is passed over.
//! 3. What then remains of the bound goes to the oldest of all.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// After so many of a namespace that do not fit, the younger ones are not kept either, whatever they take.
const MISFITS: u32 = 8;

/// A ConfigMap. Its position among all is its age: the oldest is the first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    /// Number of its namespace.
    pub namespace: usize,
    /// Number of its data.
    pub data: usize,
    /// Bytes of its own, beside its data.
    pub own: u64,
}

/// What is kept.
#[derive(Debug)]
pub(super) struct Filled {
    /// Of each ConfigMap, whether it is kept.
    pub kept: Vec<bool>,
    /// Bytes of credit that a namespace has at most.
    pub level: u64,
}

#[derive(Debug, Default)]
struct Namespace {
    /// Positions of its ConfigMaps, the youngest first.
    waiting: Vec<usize>,
    /// Credit that it spent.
    paid: u64,
}

/// Those that buy data together.
#[derive(Debug, Default)]
struct Buyers {
    /// Each ConfigMap, with the credit that its namespace needs for anything but the data.
    all: Vec<(usize, u64)>,
    /// The sum of these credits.
    starts: u128,
}

/// What happens once the credit is high enough. Of what happens at once, the first here is the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A namespace can pay what is a ConfigMap's own.
    Reached { item: usize },
    /// So many buyers can pay for data.
    Bought { data: usize, buyers: usize },
}

struct Filling<'a> {
    items: &'a [Item],
    /// Bytes of each data.
    data: &'a [u64],
    namespaces: Vec<Namespace>,
    /// Of each data, whether it is kept.
    held: Vec<bool>,
    kept: Vec<bool>,
    /// Bytes that are kept.
    total: u64,
}

/// What is kept of these ConfigMaps, where at most `bound` bytes are. `data` says what each data takes.
pub(super) fn fill(items: &[Item], data: &[u64], namespaces: usize, bound: u64) -> Filled {
    let mut waiting: Vec<Namespace> = std::iter::repeat_with(Namespace::default).take(namespaces).collect();
    for (position, item) in items.iter().enumerate().rev() {
        waiting[item.namespace].waiting.push(position);
    }
    let (held, kept) = (vec![false; data.len()], vec![false; items.len()]);
    let mut filling = Filling { items, data, namespaces: waiting, held, kept, total: 0 };
    let level = filling.rise(bound);
    filling.offer(|filling, namespace, takes| filling.namespaces[namespace].paid.saturating_add(takes) <= level);
    filling.offer(|filling, _, takes| filling.total.saturating_add(takes) <= bound);
    Filled { kept: filling.kept, level }
}

impl Filling<'_> {
    /// Gives credit to all until it comes to the bound; returns what a namespace has then.
    fn rise(&mut self, bound: u64) -> u64 {
        let mut events: BinaryHeap<_> =
            (0..self.namespaces.len()).filter_map(|namespace| self.next(namespace)).collect();
        let mut buyers: Vec<Buyers> = std::iter::repeat_with(Buyers::default).take(self.data.len()).collect();
        // Namespaces that wait, and what the others spent.
        let (mut waiting, mut spent) = (events.len() as u64, 0u64);
        let mut now = 0;
        while let Some(Reverse((at, event))) = events.pop() {
            if let Event::Bought { data, buyers: count } = event
                && (self.held[data] || buyers[data].all.len() != count)
            {
                continue;
            }
            now = at.max(now);
            if u128::from(waiting) * u128::from(now) + u128::from(spent) > u128::from(bound) {
                return bound.saturating_sub(spent) / waiting.max(1);
            }
            let paid: Vec<(usize, u64)> = match event {
                Event::Reached { item } if self.held[self.items[item].data] => vec![(item, 0)],
                Event::Reached { item } => {
                    let Item { namespace, data, own } = self.items[item];
                    let together = &mut buyers[data];
                    together.join(item, self.namespaces[namespace].paid.saturating_add(own));
                    let event = Event::Bought { data, buyers: together.all.len() };
                    events.push(Reverse((together.suffices(self.data[data]), event)));
                    continue;
                }
                Event::Bought { data, .. } => {
                    self.held[data] = true;
                    self.total = self.total.saturating_add(self.data[data]);
                    std::mem::take(&mut buyers[data]).divide(self.data[data])
                }
            };
            for (item, part) in paid {
                let Item { namespace, own, .. } = self.items[item];
                self.kept[item] = true;
                self.total = self.total.saturating_add(own);
                let of = &mut self.namespaces[namespace];
                of.paid = of.paid.saturating_add(own).saturating_add(part);
                of.waiting.pop();
                if let Some(next) = self.next(namespace) {
                    events.push(next);
                } else {
                    waiting -= 1;
                    spent = spent.saturating_add(self.namespaces[namespace].paid);
                }
            }
        }
        bound
    }

    /// When a namespace can pay for what is its next ConfigMap's own.
    fn next(&self, namespace: usize) -> Option<Reverse<(u64, Event)>> {
        let Namespace { waiting, paid } = &self.namespaces[namespace];
        let item = *waiting.last()?;
        Some(Reverse((paid.saturating_add(self.items[item].own), Event::Reached { item })))
    }

    /// Keeps what fits of what is not kept yet, the oldest first.
    fn offer(&mut self, fits: impl Fn(&Self, usize, u64) -> bool) {
        let mut misfits = vec![0; self.namespaces.len()];
        for position in 0..self.items.len() {
            let Item { namespace, data, own } = self.items[position];
            if self.kept[position] || misfits[namespace] >= MISFITS {
                continue;
            }
            let takes = if self.held[data] { own } else { own.saturating_add(self.data[data]) };
            if !fits(self, namespace, takes) {
                misfits[namespace] += 1;
                continue;
            }
            (self.kept[position], self.held[data]) = (true, true);
            self.total = self.total.saturating_add(takes);
            let paid = &mut self.namespaces[namespace].paid;
            *paid = paid.saturating_add(takes);
        }
    }
}

impl Buyers {
    fn join(&mut self, item: usize, start: u64) {
        self.all.push((item, start));
        self.starts += u128::from(start);
    }

    /// The credit with which all together can pay so much: what each has beyond its start.
    fn suffices(&self, bytes: u64) -> u64 {
        let credit = (u128::from(bytes) + self.starts).div_ceil(self.all.len().max(1) as u128);
        u64::try_from(credit).unwrap_or(u64::MAX)
    }

    /// What each pays, at most all of it.
    fn divide(self, bytes: u64) -> Vec<(usize, u64)> {
        let credit = self.suffices(bytes);
        self.all.into_iter().map(|(item, start)| (item, credit.saturating_sub(start).min(bytes))).collect()
    }
}
