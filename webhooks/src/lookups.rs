//! Whose turn it is to look something up at the API server.
//!
//! Each lookup is a request of the webhook's own account. The API server gives each account a share of its time, and refuses
//! what is beyond that (429), whoever caused it. Whoever reaches the port can send reviews, and each may need a lookup until it
//! is known that nobody asked for it. So few lookups are under way at once, in fair turns between senders, and those about
//! callers that were never verified before are fewer still: one that finds nobody keeps its place a while longer.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::metrics::QueueMetrics;
use crate::sender::Path;
use crate::turns::{Number, Turns};

/// What a lookup is expected to take, nanoseconds. What it took is charged afterwards.
const EXPECTED: u64 = 3_000_000;
/// How many wait at most, of each kind.
const WAITING: usize = 2_048;
/// How long a lookup that found nobody keeps its place: so nobody finds out more than 160 times a second that there is no
/// such caller.
const NOBODY: Duration = Duration::from_millis(50);

/// What is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// A caller that was verified before, or what it asks for.
    Verified,
    /// A caller of whom nothing is known yet.
    Unknown,
    /// What a ConfigMap needs that is linted.
    Linted,
}

impl About {
    const ALL: [Self; 3] = [Self::Verified, Self::Unknown, Self::Linted];

    /// How many are under way at once. Together with the reads that one of them makes it is far below what the API server
    /// lets one account have waiting (three hundred).
    fn at_once(self) -> usize {
        match self {
            Self::Verified => 16,
            Self::Unknown => 8,
            Self::Linted => 2,
        }
    }
}

/// Lookups of one review. Cloning shares the turns.
#[derive(Clone)]
pub struct Lookups {
    shared: Arc<Shared>,
    path: Path,
}

/// More lookups of a sender wait than may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("retinue is busy: more lookups for this sender wait for their turn than may")]
pub struct Crowded;

/// A turn, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    lookups: Lookups,
    about: About,
    since: Instant,
}

struct Shared {
    pools: Mutex<[Pool; About::ALL.len()]>,
    metrics: Option<QueueMetrics>,
}

struct Pool {
    turns: Turns<u64, oneshot::Sender<()>>,
    running: usize,
    most: usize,
}

impl fmt::Debug for Lookups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookups").finish_non_exhaustive()
    }
}

impl Lookups {
    pub(crate) fn new(metrics: Option<QueueMetrics>) -> Self {
        let pools = About::ALL.map(|about| Pool { turns: Turns::new(WAITING), running: 0, most: about.at_once() });
        Self { shared: Arc::new(Shared { pools: Mutex::new(pools), metrics }), path: Path::default() }
    }

    /// Lookups of nobody else: outside a server.
    pub fn alone() -> Self {
        Self::new(None)
    }

    /// Which address sends the review, as a number.
    pub fn address(&self) -> u64 {
        self.path[0]
    }

    /// Those of a review that came so.
    pub(crate) fn of(&self, path: Path) -> Self {
        Self { shared: Arc::clone(&self.shared), path }
    }

    /// Waits for a turn. What is looked up once before the turn is dropped may take several reads.
    ///
    /// # Errors
    /// When its sender has more waiting than may.
    pub async fn turn(&self, about: About) -> Result<Turn, Crowded> {
        let (grant, granted) = oneshot::channel();
        let number = {
            let mut pools = self.shared.lock();
            let pool = &mut pools[about as usize];
            // Work that is given back is dropped, which tells whoever waits for it.
            let (number, crowded_out) = pool.turns.push(&self.path, EXPECTED, grant);
            pool.grant();
            self.shared.tell(&*pools, crowded_out.is_some());
            number
        };
        let mut waiting = Waiting { lookups: self, about, number, granted };
        (&mut waiting.granted).await.map_err(|_| Crowded)?;
        Ok(Turn { lookups: self.clone(), about, since: Instant::now() })
    }

    /// A turn is over that took so long, nanoseconds.
    fn give_back(&self, about: About, took: u64) {
        let mut pools = self.shared.lock();
        let pool = &mut pools[about as usize];
        pool.running -= 1;
        pool.turns.finish(&self.path, EXPECTED, took);
        pool.grant();
        self.shared.tell(&*pools, false);
    }
}

impl Turn {
    /// There is nobody of whom this was looked up.
    pub fn found_nobody(self) {
        tokio::spawn(async move {
            tokio::time::sleep(NOBODY).await;
            drop(self);
        });
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let took = u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.lookups.give_back(self.about, took);
    }
}

/// Whoever waits for a turn.
struct Waiting<'a> {
    lookups: &'a Lookups,
    about: About,
    number: Number,
    granted: oneshot::Receiver<()>,
}

impl Drop for Waiting<'_> {
    /// Nobody waits any more, or the turn was taken.
    fn drop(&mut self) {
        match self.granted.try_recv() {
            // It was granted, and nobody took it.
            Ok(()) => self.lookups.give_back(self.about, 0),
            Err(oneshot::error::TryRecvError::Empty) => {
                let shared = &self.lookups.shared;
                let mut pools = shared.lock();
                let removed = pools[self.about as usize].turns.remove(&self.lookups.path, self.number);
                shared.tell(&*pools, false);
                drop(pools);
                // It was granted just now.
                if removed.is_none() && self.granted.try_recv().is_ok() {
                    self.lookups.give_back(self.about, 0);
                }
            }
            // It was crowded out, or taken.
            Err(oneshot::error::TryRecvError::Closed) => {}
        }
    }
}

impl Shared {
    /// What is held here is whole at each moment, also where a thread panicked.
    fn lock(&self) -> MutexGuard<'_, [Pool; About::ALL.len()]> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, pools: &[Pool], crowded_out: bool) {
        let Some(metrics) = &self.metrics else { return };
        metrics.set_waiting(pools.iter().map(|pool| pool.turns.len()).sum());
        if crowded_out {
            metrics.crowded_out();
        }
    }
}

impl Pool {
    /// Lets those go whose turn it is.
    fn grant(&mut self) {
        while self.running < self.most
            && let Some(turn) = self.turns.pop()
        {
            match turn.work.send(()) {
                Ok(()) => self.running += 1,
                Err(()) => self.turns.finish(&turn.path, turn.cost, 0),
            }
        }
    }
}

#[cfg(test)]
#[path = "lookups_tests.rs"]
mod tests;
