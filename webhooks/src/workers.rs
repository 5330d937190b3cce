//! Threads beside those that serve, for work that takes long: a bounded number, in turns between senders ([`Turns`]).
//!
//! Whoever waits is answered by its deadline, whatever became of the work. Work that waits is taken back then; work that
//! runs goes on to its end, which is bounded by what it may cost, and keeps its thread so long.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};

use tokio::sync::{Notify, oneshot};
use tokio::time::sleep_until;

use crate::court::Deadline;
use crate::fault::Fault;
use crate::metrics::QueueMetrics;
use crate::sender::Path;
use crate::turns::{Number, Turn, Turns};

/// Tells the time by which senders are charged for what their work took, since any moment. Tests count in its place, so that
/// whose turn it is does not depend on the machine.
pub type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// The time since now.
pub(crate) fn since_now() -> Clock {
    let now = Instant::now();
    Arc::new(move || now.elapsed())
}

/// The threads, and what waits for them.
#[derive(Debug)]
pub(crate) struct Workers {
    shared: Arc<Shared>,
}

/// Work, and who may answer for it.
struct Job {
    work: Box<dyn FnOnce() + Send>,
    claim: Claim,
}

struct Shared {
    state: Mutex<State>,
    /// Something waits, or all ends.
    wake: Condvar,
    clock: Clock,
    metrics: QueueMetrics,
}

struct State {
    turns: Turns<u64, Job>,
    /// Taken out of the queue and not yet dropped: dropping a large object takes as long as other work.
    discarded: Vec<Job>,
    closed: bool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// Who answers: the work that is done, or the deadline that passed before. The first counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claim(Arc<Claimed>);

#[derive(Debug, Default)]
struct Claimed {
    taken: AtomicBool,
    crowded_out: Notify,
}

impl Claim {
    /// Whether the answer is yours.
    pub(crate) fn take(&self) -> bool {
        !self.0.taken.swap(true, Ordering::AcqRel)
    }

    fn is_taken(&self) -> bool {
        self.0.taken.load(Ordering::Acquire)
    }
}

impl Workers {
    /// Starts `threads` threads called `name`, which stand back by `nice` where there are not enough processors. At most `limit`
    /// jobs wait.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub(crate) fn start(
        name: &str,
        threads: usize,
        nice: i32,
        limit: usize,
        clock: &Clock,
        metrics: QueueMetrics,
    ) -> io::Result<Self> {
        let state = State { turns: Turns::new(limit), discarded: Vec::new(), closed: false };
        let clock = Arc::clone(clock);
        let shared = Arc::new(Shared { state: Mutex::new(state), wake: Condvar::new(), clock, metrics });
        // Dropped at an error, it ends those that run.
        let workers = Self { shared };
        for _ in 0..threads.max(1) {
            let shared = Arc::clone(&workers.shared);
            thread::Builder::new().name(name.into()).spawn(move || {
                stand_back(nice);
                shared.work();
            })?;
        }
        Ok(workers)
    }

    /// Does `work` on one of the threads, in turns, and answers by the deadline. `cost` is what it is expected to take,
    /// nanoseconds.
    ///
    /// # Errors
    /// When the deadline passes, when the sender has too much waiting, or at a panic.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        path: Path,
        cost: u64,
        deadline: Deadline,
        work: impl FnOnce(&Claim) -> T + Send + 'static,
    ) -> Result<T, Fault> {
        let (answer, mut answered) = oneshot::channel();
        let claim = Claim::default();
        let theirs = claim.clone();
        let job = move || {
            if !theirs.is_taken() {
                let _ = answer.send(catch_unwind(AssertUnwindSafe(|| work(&theirs))).map_err(|_| Fault::Panicked));
            }
        };
        let mut queued = self.queue(path, cost, Box::new(job), &claim);
        let waited = tokio::select! {
            done = &mut answered => Ok(done),
            () = claim.0.crowded_out.notified() => Err(Fault::Crowded),
            () = sleep_until(deadline.at) => Err(Fault::Deadline(deadline.time)),
        };
        let done = match waited {
            Ok(done) => done,
            Err(fault) if claim.take() => return Err(fault),
            // It claimed the answer, which is but a moment away.
            Err(_) => answered.await,
        };
        queued.ended = true;
        // Work that is dropped undone was crowded out.
        done.unwrap_or(Err(Fault::Crowded))
    }

    fn queue(&self, path: Path, cost: u64, work: Box<dyn FnOnce() + Send>, claim: &Claim) -> Queued<'_> {
        let mut state = self.shared.lock();
        let (number, crowded_out) = state.turns.push(&path, cost, Job { work, claim: claim.clone() });
        if let Some(job) = crowded_out {
            job.claim.0.crowded_out.notify_one();
            state.discarded.push(job);
            self.shared.metrics.crowded_out();
        }
        self.shared.metrics.set_waiting(state.turns.len());
        drop(state);
        self.shared.wake.notify_one();
        Queued { workers: self, path, number, claim: claim.clone(), ended: false }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.wake.notify_all();
    }
}

/// A job for whose answer somebody waits.
struct Queued<'a> {
    workers: &'a Workers,
    path: Path,
    number: Number,
    claim: Claim,
    ended: bool,
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        // Nobody listens any more.
        self.claim.take();
        let shared = &self.workers.shared;
        let mut state = shared.lock();
        if let Some(job) = state.turns.remove(&self.path, self.number) {
            state.discarded.push(job);
            shared.metrics.set_waiting(state.turns.len());
            drop(state);
            shared.wake.notify_one();
        }
    }
}

impl Shared {
    /// What is held here is whole at each moment, also where a thread panicked.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut state = self.lock();
        loop {
            if !state.discarded.is_empty() {
                let discarded = std::mem::take(&mut state.discarded);
                drop(state);
                let _ = catch_unwind(AssertUnwindSafe(|| drop(discarded)));
                state = self.lock();
            } else if let Some(Turn { path, cost, work }) = state.turns.pop() {
                self.metrics.set_waiting(state.turns.len());
                drop(state);
                let started = (self.clock)();
                let _ = catch_unwind(AssertUnwindSafe(work.work));
                let took = (self.clock)().saturating_sub(started);
                let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
                self.metrics.done();
                state = self.lock();
                state.turns.finish(&path, cost, took);
            } else if state.closed {
                return;
            } else {
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

/// Threads that serve come first.
fn stand_back(nice: i32) {
    // The process keeps its priority, this thread alone loses some; where it may not, the kernel divides evenly.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), nice);
    #[cfg(not(target_os = "linux"))]
    let _ = nice;
}
