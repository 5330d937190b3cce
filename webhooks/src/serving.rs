//! Whose review is next on a thread that serves, once more of them are ready than it answers at once.
//!
//! Tasks of a thread run in the order in which they became ready, so what one sender has ready delays all others. A thread that
//! was busy for [`STREAK`] without a pause therefore takes the next reviews and handshakes, and what is read of connections, in
//! fair turns ([`Turns`]), a few at a time, and looks for what else arrives after these. As long as the thread gets ahead of what arrives, nobody waits.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::task::{spawn_local, yield_now};
use tokio::time::{Instant, timeout_at};

use crate::court::Deadline;
use crate::fault::Fault;
use crate::sender::Path;
use crate::turns::Turns;

/// How long a thread serves in the order of arrival: some forty reviews, more than an API server has under way.
const STREAK: Duration = Duration::from_millis(2);
/// How many have their turn before it is asked what else arrived, which costs a tenth of a review.
const AT_ONCE: usize = 4;

thread_local! {
    static SERVING: RefCell<Serving> = RefCell::default();
}

/// What waits on this thread.
struct Serving {
    /// Bounded by what who waits holds: room for a body, or a connection.
    turns: Turns<u64, oneshot::Sender<()>>,
    /// Since when there was no pause; none while there is one.
    busy_since: Option<Instant>,
    /// Wakes the task that gives turns, once there is one.
    begun: Option<Rc<Notify>>,
}

impl Default for Serving {
    fn default() -> Self {
        Self { turns: Turns::new(usize::MAX), busy_since: None, begun: None }
    }
}

/// Waits until it is this sender's turn on this thread, by the deadline at most. What takes the turn does its work before it
/// waits for anything else. `cost` is what that is expected to take, nanoseconds.
///
/// # Errors
/// When the deadline passes before.
pub(crate) async fn turn(path: impl FnOnce() -> Path, cost: u64, deadline: Deadline) -> Result<(), Fault> {
    match enter(path, cost) {
        None => Ok(()),
        Some(granted) => timeout_at(deadline.at, granted).await.map(drop).map_err(|_| Fault::Deadline(deadline.time)),
    }
}

/// As [`turn`], for what polls: tells when it is this sender's turn; none if nobody is to wait.
pub(crate) fn enter(path: impl FnOnce() -> Path, cost: u64) -> Option<oneshot::Receiver<()>> {
    SERVING.with_borrow_mut(|serving| serving.enter(path, cost))
}

/// Whether anything waits on this thread that comes over another connection than this sender's.
pub(crate) fn others_wait(path: Path) -> bool {
    let [address, connection, ..] = path;
    SERVING.with_borrow(|serving| serving.turns.len() > serving.turns.below(&[address, connection]))
}

/// Somebody waits on this thread, until the next pause.
#[cfg(test)]
pub(crate) fn wait(path: Path) -> oneshot::Receiver<()> {
    let (grant, granted) = oneshot::channel();
    SERVING.with_borrow_mut(|serving| serving.turns.push(&path, 1, grant));
    granted
}

impl Serving {
    /// None if nobody is to wait.
    fn enter(&mut self, path: impl FnOnce() -> Path, cost: u64) -> Option<oneshot::Receiver<()>> {
        let now = Instant::now();
        match self.busy_since {
            None => {
                self.busy_since = Some(now);
                self.begun.get_or_insert_with(give_turns).notify_one();
                None
            }
            Some(since) if self.turns.len() == 0 && now.duration_since(since) < STREAK => None,
            Some(_) => {
                let (grant, granted) = oneshot::channel();
                self.turns.push(&path(), cost, grant);
                Some(granted)
            }
        }
    }

    /// Lets the next ones go that still wait; false if there are none.
    fn next(&mut self) -> bool {
        let mut granted = 0;
        while granted < AT_ONCE
            && let Some(turn) = self.turns.pop()
        {
            self.turns.finish(&turn.path, turn.cost, turn.cost);
            granted += usize::from(turn.work.send(()).is_ok());
        }
        granted > 0
    }

    /// Whether this is a pause: nothing waits, and after long work what arrived meanwhile was looked for.
    fn pause(&mut self, looked: bool) -> bool {
        let pause = looked || self.busy_since.is_none_or(|since| since.elapsed() < STREAK);
        if pause {
            self.busy_since = None;
        }
        pause
    }
}

/// Starts what gives turns. It runs behind all tasks that were ready when it was woken: each of them has entered then.
fn give_turns() -> Rc<Notify> {
    let begun = Rc::new(Notify::new());
    let woken = Rc::clone(&begun);
    spawn_local(async move {
        loop {
            woken.notified().await;
            let mut looked = false;
            loop {
                if SERVING.with_borrow_mut(Serving::next) {
                    looked = false;
                } else if SERVING.with_borrow_mut(|serving| serving.pause(looked)) {
                    break;
                } else {
                    looked = true;
                }
                // Behind those whose turn it is, and what arrived meanwhile.
                yield_now().await;
            }
        }
    });
    begun
}
