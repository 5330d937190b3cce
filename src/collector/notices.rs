//! Notices of deadlines that are near: one Event for each deadline of an object whose template asks for it
//! (`fledged.io/notify-before`). Kept apart from [`super::queue`], so that what asks for none pays for none, and written
//! by a task of their own, so that nothing else waits for one that is tried again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use kube::runtime::events::{Event, EventType, Reporter};
use policies::garbage;
use policies::keys::EXPIRES_AT;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::task::JoinSet;

use crate::cluster::client::passes;
use crate::cluster::clock::Clock;

use super::discover::Kind;
use super::identity::Uid;
use super::queue::{Queue, Tracked};
use super::report::{Metrics, publish_once, reference, reporter};

/// Notices that wait to be written; more wait in the queue.
const WRITING: usize = 100;
/// The first pause before one is tried again, doubled with each up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Notices to come, and those that were told.
#[derive(Debug)]
pub(super) struct Notices {
    queue: Queue,
    told: BTreeMap<Uid, Told>,
    out: mpsc::Sender<Tracked>,
    _writer: JoinSet<()>,
}

/// What was told of an object: it is not told again when the object changes otherwise. Whoever starts anew tells it
/// again under the same name, which the API server knows.
#[derive(Debug)]
struct Told {
    kind: Arc<Kind>,
    deadline: Timestamp,
    epoch: u64,
}

impl Notices {
    /// None yet, and a writer. `instance` is this pod's name.
    pub(super) fn new(client: Client, clock: Arc<Clock>, instance: &str, metrics: Metrics) -> Self {
        let (out, notices) = mpsc::channel(WRITING);
        let mut writer = JoinSet::new();
        writer.spawn(Writer { client, clock, reporter: reporter(instance), metrics }.run(notices));
        Self { queue: Queue::default(), told: BTreeMap::new(), out, _writer: writer }
    }

    /// Takes in a dependent as just seen: its deadline is told of from `notice` on.
    pub(super) fn put(&mut self, tracked: &Tracked, notice: Option<Timestamp>, epoch: u64) {
        let Some(at) = notice else { return self.remove(&tracked.uid) };
        match self.told.get_mut(&tracked.uid) {
            Some(told) if told.deadline == tracked.deadline => told.epoch = epoch,
            _ => {
                self.told.remove(&tracked.uid);
                self.queue.put_at(at, tracked.clone(), epoch);
            }
        }
    }

    /// Forgets an object.
    pub(super) fn remove(&mut self, uid: &Uid) {
        self.queue.remove(uid);
        self.told.remove(uid);
    }

    /// Forgets what a completed list of `kind` did not show: objects seen before `epoch`.
    pub(super) fn sweep(&mut self, kind: &Kind, epoch: u64) {
        self.queue.sweep(kind, epoch);
        self.told.retain(|_, told| *told.kind != *kind || told.epoch >= epoch);
    }

    /// When the next is to be told.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.queue.next_due()
    }

    /// Tells what is due at `now`; false where the writer has no room for more, and the rest waits.
    pub(super) fn tell_due(&mut self, now: Timestamp) -> bool {
        while let Some(due) = self.queue.take_due(now) {
            if !garbage::worth_telling(due.tracked.deadline, now) {
                continue;
            }
            let (epoch, tracked) = (due.epoch(), due.tracked);
            if let Err(TrySendError::Full(tracked)) = self.out.try_send(tracked.clone()) {
                self.queue.put_at(now, tracked, epoch);
                return false;
            }
            self.told.insert(tracked.uid, Told { kind: tracked.kind, deadline: tracked.deadline, epoch });
        }
        true
    }
}

/// Writes notices, one after the other.
struct Writer {
    client: Client,
    clock: Arc<Clock>,
    reporter: Reporter,
    metrics: Metrics,
}

impl Writer {
    async fn run(self, mut notices: mpsc::Receiver<Tracked>) {
        while let Some(tracked) = notices.recv().await {
            let object = format!("{} {}/{}", tracked.kind.gvk.kind, tracked.namespace, tracked.name);
            match self.write(&tracked).await {
                Ok(true) => {
                    self.metrics.notices.inc();
                    tracing::info!(object, deadline = %tracked.deadline, "its deadline is near");
                }
                Ok(false) => {}
                Err(error) => {
                    self.metrics.events_lost.inc();
                    tracing::warn!(object, %error, "a notice of its deadline could not be written");
                }
            }
        }
    }

    /// Writes one, again and again until the deadline has passed; then (false) its deletion is told of. The Event is made of
    /// nothing but the object and its deadline, so that it is one whoever writes it, and another for another deadline.
    async fn write(&self, tracked: &Tracked) -> Result<bool, kube::Error> {
        let note = format!(
            "will be deleted at {}, its deadline. A master moves it by the label {EXPIRES_AT}, as far as its creation plus what \
             its template grants",
            tracked.deadline
        );
        let (reason, action) = ("DeadlineNear".into(), "Delete".into());
        let event = Event { type_: EventType::Normal, reason, note: Some(note), action, secondary: None };
        let mut pause = FIRST_PAUSE;
        while self.clock.now().is_none_or(|now| garbage::worth_telling(tracked.deadline, now)) {
            match publish_once(&self.client, &self.reporter, &event, &reference(tracked)).await {
                Ok(()) => return Ok(true),
                // A right that is missing, a namespace that is being terminated.
                Err(kube::Error::Api(status)) if !passes(status.code) => {
                    return Err(kube::Error::Api(status));
                }
                Err(error) => tracing::debug!(%error, "a notice is tried again"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        Ok(false)
    }
}
