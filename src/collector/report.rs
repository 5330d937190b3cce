//! What the collector tells: metrics with closed labels, and Events on the objects it deletes or cannot delete.

use std::sync::Arc;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use policies::garbage::Why;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tokio::sync::{Notify, mpsc};

use crate::deploy::COLLECTOR_KINDS;

use super::queue::Tracked;
use super::reap::Outcome;

/// The label of [`Metrics::deletions`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OutcomeLabel {
    outcome: &'static str,
}

impl Outcome {
    /// For metrics: a closed set.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::AlreadyGone => "already_gone",
            Self::Changed => "changed",
            Self::Throttled(_) => "throttled",
            Self::Forbidden(_) => "forbidden",
            Self::Refused(_) => "refused",
            Self::Failed(_) => "failed",
        }
    }
}

/// The collector's numbers. Cheap to clone; all clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// DELETEs sent, by what came of them.
    pub deletions: Family<OutcomeLabel, Counter>,
    /// Dependents that wait for their deadline.
    pub waiting: Gauge,
    /// Kinds that are followed.
    pub kinds: Gauge,
    /// Kinds that could hold dependents, but that a right is missing for.
    pub kinds_lacking: Gauge,
    /// Times that kinds or rights were looked at, the start included.
    pub looks: Counter,
    /// 1 while kinds or rights are to be looked at again, 0 while nothing says so.
    pub unsettled: Gauge,
    /// 1 while this collector deletes: it holds the Lease, or does without.
    pub leader: Gauge,
    /// Masters that are followed, since no ownerReference would tell of their end.
    pub masters: Gauge,
    /// Times that such a master could not be read.
    pub masters_unreadable: Counter,
    /// Kinds of objects whose changes would tell of kinds and rights, but which this account may not watch.
    pub unwatched: Gauge,
    /// Objects with the label of a stamp and no valid stamp, each time one is seen.
    pub ignored: Counter,
    /// Interruptions of watches.
    pub interruptions: Counter,
    /// Seconds from deadline to the answer of the DELETE that worked.
    pub lateness: Histogram,
    /// Events that could not be written.
    pub events_lost: Counter,
    /// Told once, when every kind's first list has been read.
    pub following: Arc<Notify>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            deletions: Family::default(),
            waiting: Gauge::default(),
            kinds: Gauge::default(),
            kinds_lacking: Gauge::default(),
            looks: Counter::default(),
            unsettled: Gauge::default(),
            leader: Gauge::default(),
            masters: Gauge::default(),
            masters_unreadable: Counter::default(),
            unwatched: Gauge::default(),
            ignored: Counter::default(),
            interruptions: Counter::default(),
            // The promise is one second; beyond it the scale of restarts (a minute) and of outages (an hour).
            lateness: Histogram::new([0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 3600.0]),
            events_lost: Counter::default(),
            following: Arc::default(),
        }
    }
}

impl Metrics {
    /// Makes them known.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("retinue_collector");
        registry.register("deletions", "DELETEs sent, by what came of them", self.deletions.clone());
        registry.register("waiting", "Dependents that wait for their deadline", self.waiting.clone());
        registry.register("kinds", "Kinds that are followed", self.kinds.clone());
        registry.register("kinds_lacking", "Kinds that a right is missing for", self.kinds_lacking.clone());
        registry.register("looks", "Times that kinds or rights were looked at", self.looks.clone());
        registry.register("unsettled", "1 while kinds or rights are to be looked at again", self.unsettled.clone());
        registry.register("leader", "1 while this collector is the one that deletes", self.leader.clone());
        registry.register("masters", "Masters whose end no ownerReference would tell", self.masters.clone());
        let help = "Times that such a master could not be read";
        registry.register("masters_unreadable", help, self.masters_unreadable.clone());
        let help = "Kinds of objects that tell of kinds and rights, but may not be watched";
        registry.register("unwatched", help, self.unwatched.clone());
        registry.register("ignored", "Labels of a stamp seen without a valid stamp", self.ignored.clone());
        registry.register("watch_interruptions", "Interruptions of watches", self.interruptions.clone());
        registry.register("lateness_seconds", "From deadline to deletion", self.lateness.clone());
        registry.register("events_lost", "Events that could not be written", self.events_lost.clone());
    }

    /// Counts one outcome.
    pub fn count(&self, outcome: &Outcome) {
        self.deletions.get_or_create(&OutcomeLabel { outcome: outcome.as_str() }).inc();
    }
}

/// Events that wait to be written; beyond that they are dropped and counted, for deleting comes first.
const EVENTS_WAITING: usize = 1_000;

/// How much of an Event may name kinds, in characters: the rest of it says what to do.
const LACKS_LIMIT: usize = 700;

/// An Event to be.
struct Note {
    event: Event,
    about: ObjectReference,
}

/// Where the collector leaves its Events; [`Teller::run`] writes them.
#[derive(Clone, Debug)]
pub struct Teller {
    notes: mpsc::Sender<Note>,
    pod: Option<ObjectReference>,
    metrics: Metrics,
}

/// Writes Events, one after the other.
pub struct Writer {
    notes: mpsc::Receiver<Note>,
    recorder: Recorder,
    metrics: Metrics,
}

/// A teller and its writer. `instance` is this pod's name, `pod` the pod itself where it is known.
pub fn events(client: Client, instance: &str, pod: Option<ObjectReference>, metrics: &Metrics) -> (Teller, Writer) {
    let (sender, receiver) = mpsc::channel(EVENTS_WAITING);
    let reporter = Reporter { controller: "fledged.io/collector".into(), instance: Some(instance.to_owned()) };
    let recorder = Recorder::new(client, reporter);
    (
        Teller { notes: sender, pod, metrics: metrics.clone() },
        Writer { notes: receiver, recorder, metrics: metrics.clone() },
    )
}

/// Why it is deleted, for people.
pub(super) fn reason(tracked: &Tracked) -> String {
    let at = tracked.deadline;
    match tracked.why {
        Why::Deadline => format!("its deadline was {at}"),
        Why::Finished => format!("it has finished, and the time to keep it was over at {at}"),
        Why::MasterGone => format!("its master is gone, as was found at {at}"),
    }
}

impl Teller {
    /// Says what came of a DELETE, where that is worth an Event on the object.
    pub fn tell(&self, tracked: &Tracked, outcome: &Outcome) {
        let (type_, reason, note) = match outcome {
            Outcome::Deleted => {
                let event = match tracked.why {
                    Why::Deadline => "DependentExpired",
                    Why::Finished => "DependentFinished",
                    Why::MasterGone => "MasterGone",
                };
                (EventType::Normal, event, format!("deleted: {}", reason(tracked)))
            }
            Outcome::Forbidden(why) | Outcome::Refused(why) | Outcome::Failed(why) => (
                EventType::Warning,
                "DependentNotDeleted",
                format!("{}, but it could not be deleted: {why}", reason(tracked)),
            ),
            Outcome::AlreadyGone | Outcome::Changed | Outcome::Throttled(_) => return,
        };
        let about = ObjectReference {
            api_version: Some(tracked.kind.gvk.api_version()),
            kind: Some(tracked.kind.gvk.kind.clone()),
            namespace: Some(tracked.namespace.to_string()),
            name: Some(tracked.name.to_string()),
            uid: Some(tracked.uid.to_string()),
            ..ObjectReference::default()
        };
        self.send(about, type_, reason, "Delete", &note);
    }

    /// Says on the collector's own pod which kinds lack which right, all of them in one Event, and what to do.
    pub fn tell_lacks(&self, lacks: &[String]) {
        let Some(pod) = self.pod.clone() else { return };
        let mut named = lacks.join("; ");
        if named.len() > LACKS_LIMIT {
            named = format!("{} and more, see the log", named.chars().take(LACKS_LIMIT).collect::<String>());
        }
        let note = format!(
            "their dependents are not deleted at their deadline: {named}. Give the collector list, watch and delete: \
             label a ClusterRole with these rules {COLLECTOR_KINDS}=true, or apply retinue install again"
        );
        self.send(pod, EventType::Warning, "RightsMissing", "Follow", &note);
    }

    fn send(&self, about: ObjectReference, type_: EventType, reason: &str, action: &str, note: &str) {
        // The API server's limit for an Event's note is 1 kB.
        let note = note.chars().take(1_000).collect();
        let event = Event { type_, reason: reason.into(), note: Some(note), action: action.into(), secondary: None };
        if self.notes.try_send(Note { event, about }).is_err() {
            self.metrics.events_lost.inc();
        }
    }
}

impl Writer {
    /// Writes until every [`Teller`] is gone.
    pub async fn run(mut self) {
        while let Some(Note { event, about }) = self.notes.recv().await {
            if let Err(error) = self.recorder.publish(&event, &about).await {
                self.metrics.events_lost.inc();
                tracing::debug!(%error, reason = event.reason, "an Event could not be written");
            }
        }
    }
}
