//! Threads for work that may take long: as many as there is work at once, kept for a while. What lasts longer than it
//! should gets a lower priority, so that the threads which serve reviews come first; since no thread may raise its
//! priority again, such a thread ends with its work. (A runtime's own blocking threads can't do that, and one that never
//! ended would be missed by all who need them.)

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

/// How long a thread waits for work before it ends, with what is left of its heap.
const IDLE: Duration = Duration::from_secs(10);
/// How far the priority of a thread is lowered: it then gets about a tenth of what another one gets that is busy too.
#[cfg(target_os = "linux")]
const LOWERED_BY: i32 = 10;

/// The threads. They end when this is dropped, each after its work.
#[derive(Debug, Default)]
pub(super) struct Threads(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    idle: usize,
    ended: bool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} waiting, {} idle", self.waiting.len(), self.idle)
    }
}

struct Job {
    work: Box<dyn FnOnce() + Send>,
    place: Arc<Place>,
}

/// Where a piece of work runs.
#[derive(Debug, Default)]
struct Place(Mutex<Running>);

#[derive(Debug, Default)]
struct Running {
    #[cfg(target_os = "linux")]
    thread: Option<rustix::thread::Pid>,
    /// Whether its patience is over.
    #[cfg(target_os = "linux")]
    is_late: bool,
    lowered: bool,
}

impl Threads {
    /// Runs `work`, from `patience` on with a lower priority. None if it panics, or there is no thread to be had.
    pub(super) fn run<T, W>(&self, patience: Duration, work: W) -> impl Future<Output = Option<T>> + Send + use<T, W>
    where
        T: Send + 'static,
        W: FnOnce() -> T + Send + 'static,
    {
        let (out, done) = oneshot::channel();
        let place = Arc::new(Place::default());
        let work = Box::new(move || {
            if let Ok(made) = catch_unwind(AssertUnwindSafe(work)) {
                // Nobody waits for it any more where all of this ends.
                let _sent = out.send(made);
            }
        });
        self.0.add(Job { work, place: Arc::clone(&place) });
        async move {
            let mut done = std::pin::pin!(done);
            match tokio::time::timeout(patience, &mut done).await {
                Ok(made) => made.ok(),
                Err(_) => {
                    place.lower();
                    done.await.ok()
                }
            }
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(self: &Arc<Self>, job: Job) {
        let mut state = self.lock();
        state.waiting.push_back(job);
        if state.waiting.len() <= state.idle {
            return self.changed.notify_one();
        }
        let shared = Arc::clone(self);
        let started = std::thread::Builder::new().name("compile".into()).spawn(move || shared.work());
        if let Err(error) = started {
            tracing::error!(%error, "no thread to compile templates on");
            // Whoever waits for it is told so by its end.
            state.waiting.pop_back();
        }
    }

    /// What each thread does.
    fn work(&self) {
        while let Some(Job { work, place }) = self.next() {
            place.begin();
            work();
            if place.end() {
                return;
            }
        }
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        state.idle += 1;
        let is_idle = |state: &mut State| state.waiting.is_empty() && !state.ended;
        let waited = self.changed.wait_timeout_while(state, IDLE, is_idle);
        state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.idle -= 1;
        if state.ended { None } else { state.waiting.pop_front() }
    }
}

impl Place {
    fn lock(&self) -> MutexGuard<'_, Running> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self) {
        #[cfg(target_os = "linux")]
        {
            let mut running = self.lock();
            running.thread = Some(rustix::thread::gettid());
            // On a busy machine its patience may be over before it has begun.
            if running.is_late {
                running.lower();
            }
        }
    }

    /// The work is done. Says whether the thread's priority was lowered.
    fn end(&self) -> bool {
        let mut running = self.lock();
        #[cfg(target_os = "linux")]
        {
            running.thread = None;
        }
        running.lowered
    }

    /// Lowers the priority of the thread that runs it, now or once it begins. Held while it does: the thread can't end before.
    fn lower(&self) {
        #[cfg(target_os = "linux")]
        {
            let mut running = self.lock();
            running.is_late = true;
            running.lower();
        }
    }
}

#[cfg(target_os = "linux")]
impl Running {
    fn lower(&mut self) {
        let Some(thread) = self.thread else { return };
        let lowered = rustix::process::getpriority_process(Some(thread))
            .and_then(|now| rustix::process::setpriority_process(Some(thread), (now + LOWERED_BY).min(19)));
        match lowered {
            Ok(()) => self.lowered = true,
            // It goes on as it is.
            Err(error) => tracing::debug!(%error, "a thread's priority could not be lowered"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]
    use std::sync::mpsc;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn work_runs_on_threads_that_are_used_again() {
        let threads = Threads::default();
        let this = || std::thread::current().id();
        let first = threads.run(PATIENCE, this).await.unwrap();
        assert_ne!(first, this());
        for _ in 0..10 {
            // It may be about to wait.
            while threads.0.lock().idle == 0 {
                tokio::task::yield_now().await;
            }
            assert_eq!(threads.run(PATIENCE, this).await, Some(first));
        }
    }

    #[tokio::test]
    async fn work_that_never_ends_keeps_no_other_and_a_panic_is_its_own() {
        let threads = Threads::default();
        let (end, ended) = mpsc::channel::<()>();
        let endless = threads.run(PATIENCE, move || ended.recv());
        assert_eq!(threads.run(PATIENCE, || 1).await, Some(1));
        assert_eq!(threads.run(PATIENCE, || -> u8 { panic!("for a test") }).await, None);
        assert_eq!(threads.run(PATIENCE, || 2).await, Some(2));
        drop(end);
        assert!(endless.await.unwrap().is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn threat_54_what_is_late_before_it_begins_begins_with_a_lower_priority() {
        let priority = || rustix::process::getpriority_process(None).unwrap();
        let late = std::thread::spawn(move || {
            let (place, usual) = (Place::default(), priority());
            place.lower();
            assert_eq!(priority(), usual, "nobody runs it yet");
            place.begin();
            assert!(place.end(), "its thread is not used again");
            assert_eq!(priority(), (usual + LOWERED_BY).min(19));
        });
        late.join().unwrap();
    }

    #[tokio::test]
    async fn threat_54_what_lasts_too_long_goes_on_with_a_lower_priority_and_its_thread_ends_with_it() {
        let priority = || rustix::process::getpriority_process(None).unwrap();
        let thread = || std::thread::current().id();
        let threads = Threads::default();
        let usual = threads.run(PATIENCE * 60, priority).await.unwrap();
        let expected = (usual + LOWERED_BY).min(19);
        let slow = threads.run(Duration::ZERO, move || {
            let since = std::time::Instant::now();
            while priority() != expected && since.elapsed() < PATIENCE * 60 {
                std::thread::yield_now();
            }
            (priority(), thread())
        });
        let (lowered, slow) = slow.await.unwrap();
        assert_eq!(lowered, expected);
        for _ in 0..10 {
            let next = threads.run(PATIENCE * 60, move || (priority(), thread())).await.unwrap();
            assert_eq!(next.0, usual);
            assert_ne!(next.1, slow);
        }
    }
}
