//! Decides which ConfigMap is compiled next. Pure: time is an argument, and nothing runs here.
//!
//! - Of one ConfigMap one compile runs at a time. A newer version replaces the one that waits.
//! - [`QUICK`] compiles run at once, in turns between namespaces ([`super::turns`]), the cheapest first: by how long the
//!   ConfigMap took the last time, else by the size of its text.
//! - A compile that lasts longer than [`SLICE`] goes on, but no longer counts among those: the next one begins. At most
//!   [`LATE`] run on like that.
//! - What took longer than that the last time waits in a lane of its own, of which [`SLOW`] run at once.
//! - A compile takes up to a hundred times its text in memory while it runs: of texts above [`SMALL`] one at a time is
//!   compiled of one namespace, and [`LARGE`] bytes of all together (or one alone).
//! - A namespace with a late compile runs at most one other beside it, and none beside two late ones: it leaves room for
//!   the others.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use policies::object::NamespacedName;
use tokio::time::Instant;

use super::turns::Turns;

/// How many compiles run at once: each thread that compiles leaves its own scraps in the heap.
const QUICK: usize = 2;
/// How long a compile may keep others from being begun. Nearly all take less than a millisecond.
const SLICE: Duration = Duration::from_millis(400);
/// How many compiles may run on beyond [`SLICE`] while others are begun.
const LATE: usize = 4;
/// How many of those that were slow the last time run at once, late ones included.
const SLOW: usize = 2;
/// How many late compiles of one namespace keep it from beginning others.
const LATE_OF_NAMESPACE: usize = 2;
/// What compiling a text takes that was never compiled, by its size: a release build was seen to take 100 to 300 ns.
const PER_BYTE: Duration = Duration::from_nanos(200);

/// Bytes of a text that is compiled whatever else is.
const SMALL: usize = 64 << 10;
/// Bytes of larger texts that are compiled at once.
const LARGE: usize = 1 << 20;

/// ConfigMaps that wait to be compiled, each with its `W`, and those that are being compiled.
#[derive(Debug)]
pub(super) struct CompileQueue<W> {
    waiting: HashMap<Arc<NamespacedName>, Waiting<W>>,
    running: HashMap<Arc<NamespacedName>, Running>,
    quick: Turns,
    slow: Turns,
    /// Of all texts that wait.
    bytes: usize,
}

#[derive(Debug)]
struct Waiting<W> {
    work: W,
    bytes: usize,
    cost: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Running {
    since: Instant,
    /// Of its text.
    bytes: usize,
    /// It no longer counts among the quick ones.
    late: bool,
}

impl<W> Default for CompileQueue<W> {
    fn default() -> Self {
        let (quick, slow) = (Turns::default(), Turns::default());
        Self { waiting: HashMap::new(), running: HashMap::new(), quick, slow, bytes: 0 }
    }
}

impl<W> CompileQueue<W> {
    /// Has a ConfigMap compiled, in place of what waits of it. `took`: how long it took the last time.
    pub(super) fn put(&mut self, name: &Arc<NamespacedName>, work: W, bytes: usize, took: Option<Duration>) {
        self.cancel(name);
        let by_size = PER_BYTE.saturating_mul(u32::try_from(bytes).unwrap_or(u32::MAX));
        let cost = took.unwrap_or(by_size);
        self.waiting.insert(Arc::clone(name), Waiting { work, bytes, cost });
        self.bytes += bytes;
        // Else it has its turn once the other version is done.
        if !self.running.contains_key(name) {
            self.lane(cost).add(Arc::clone(name), cost);
        }
    }

    /// Forgets what waits of a ConfigMap. What runs of it runs on.
    pub(super) fn cancel(&mut self, name: &Arc<NamespacedName>) {
        if let Some(Waiting { cost, bytes, .. }) = self.waiting.remove(name) {
            self.bytes -= bytes;
            self.lane(cost).remove(name, cost);
        }
    }

    /// The next compile to begin, if one may begin now. It runs until [`Self::ended`].
    pub(super) fn next(&mut self, now: Instant) -> Option<(Arc<NamespacedName>, W)> {
        self.make_room(now);
        let name = self.next_quick(now);
        let late = name.is_none();
        let name = name.or_else(|| self.next_slow())?;
        let Waiting { work, bytes, .. } = self.waiting.remove(&name)?;
        self.bytes -= bytes;
        self.running.insert(Arc::clone(&name), Running { since: now, bytes, late });
        Some((name, work))
    }

    /// A compile has ended. Returns how long it took.
    pub(super) fn ended(&mut self, name: &Arc<NamespacedName>, now: Instant) -> Option<Duration> {
        let Running { since, .. } = self.running.remove(name)?;
        let took = now.saturating_duration_since(since);
        if let Some(waiting) = self.waiting.get_mut(name) {
            waiting.cost = waiting.cost.max(took);
            let cost = waiting.cost;
            self.lane(cost).add(Arc::clone(name), cost);
        }
        Some(took)
    }

    /// Those that are being compiled, and since when.
    pub(super) fn running(&self) -> impl Iterator<Item = (&Arc<NamespacedName>, Instant)> {
        self.running.iter().map(|(name, running)| (name, running.since))
    }

    /// The bytes of all texts that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nothing runs or waits but what is slow.
    pub(super) fn is_calm(&self) -> bool {
        self.quick.is_empty() && self.running.values().all(|running| running.late)
    }

    /// When a compile becomes late, so that another may begin.
    pub(super) fn due(&self) -> Option<Instant> {
        let punctual = self.running.values().filter(|running| !running.late);
        if self.late() < LATE { punctual.map(|running| running.since + SLICE).min() } else { None }
    }

    fn lane(&mut self, cost: Duration) -> &mut Turns {
        if cost > SLICE { &mut self.slow } else { &mut self.quick }
    }

    fn late(&self) -> usize {
        self.running.values().filter(|running| running.late).count()
    }

    /// Those that have lasted longer than [`SLICE`] become late, the oldest first.
    fn make_room(&mut self, now: Instant) {
        let room = LATE.saturating_sub(self.late());
        let mut over: Vec<_> = self.running.values_mut().filter(|running| !running.late).collect();
        over.retain(|running| now.saturating_duration_since(running.since) >= SLICE);
        over.sort_by_key(|running| running.since);
        over.into_iter().take(room).for_each(|running| running.late = true);
    }

    fn next_quick(&mut self, now: Instant) -> Option<Arc<NamespacedName>> {
        let Self { waiting, running, quick, .. } = self;
        if running.values().filter(|running| !running.late).count() >= QUICK {
            return None;
        }
        quick.take(|name| {
            let namespace = &name.namespace;
            if !has_memory(running, name, waiting.get(name).map_or(0, |waiting| waiting.bytes)) {
                return false;
            }
            let here = || running.iter().filter(|(name, _)| name.namespace == *namespace).map(|(_, running)| running);
            let late = here().filter(|running| is_late(running, now)).count();
            let quick = here().filter(|running| !running.late).count();
            late == 0 || (late < LATE_OF_NAMESPACE && quick == 0)
        })
    }

    fn next_slow(&mut self) -> Option<Arc<NamespacedName>> {
        if self.late() >= SLOW {
            return None;
        }
        let Self { waiting, running, slow, .. } = self;
        slow.take(|name| {
            let late = running.iter().any(|(other, running)| running.late && other.namespace == name.namespace);
            !late && has_memory(running, name, waiting.get(name).map_or(0, |waiting| waiting.bytes))
        })
    }
}

/// Whether there is memory for a compile of so many bytes beside those that run.
fn has_memory(running: &HashMap<Arc<NamespacedName>, Running>, name: &NamespacedName, bytes: usize) -> bool {
    let large = running.iter().filter(|(_, running)| running.bytes > SMALL);
    let here = large.clone().any(|(other, _)| other.namespace == name.namespace);
    let sum: usize = large.map(|(_, running)| running.bytes).sum();
    bytes <= SMALL || sum == 0 || (!here && sum + bytes <= LARGE)
}

/// Late, or as good as: there was no room among the late ones.
fn is_late(running: &Running, now: Instant) -> bool {
    running.late || now.saturating_duration_since(running.since) >= SLICE
}

#[cfg(test)]
#[path = "compile_queue_tests.rs"]
mod tests;
