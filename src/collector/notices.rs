//! Notices of deadlines that are near: one Event for each deadline of an object whose template asks for it
//! (`fledged.io/notify-before`). Kept apart from [`super::queue`], so that what asks for none pays for none.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use policies::garbage;

use super::discover::Kind;
use super::identity::Uid;
use super::queue::{Queue, Tracked};
use super::report::{Metrics, Teller};

/// Notices to come, and those that were told.
#[derive(Debug, Default)]
pub(super) struct Notices {
    queue: Queue,
    told: BTreeMap<Uid, Told>,
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

    /// Tells one that is due at `now`; false where the writer of Events has no room for it, and it waits.
    pub(super) fn tell_due(&mut self, now: Timestamp, teller: &Teller, metrics: &Metrics) -> bool {
        let Some(due) = self.queue.take_due(now) else { return true };
        if !garbage::worth_telling(due.tracked.deadline, now) {
            return true;
        }
        let (epoch, tracked) = (due.epoch(), due.tracked);
        if !teller.tell_notice(&tracked) {
            self.queue.put_at(now, tracked, epoch);
            return false;
        }
        metrics.notices.inc();
        tracing::info!(
            kind = tracked.kind.name(),
            namespace = %tracked.namespace,
            name = %tracked.name,
            deadline = %tracked.deadline,
            "its deadline is near"
        );
        self.told.insert(tracked.uid, Told { kind: tracked.kind, deadline: tracked.deadline, epoch });
        true
    }
}
