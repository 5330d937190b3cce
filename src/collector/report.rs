//! What the collector tells: metrics with closed labels, and Events on the objects it deletes or cannot delete.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event as ApiEvent;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::PostParams;
use kube::core::metadata::ObjectMeta;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Api, Client};
use policies::foreign::Unreadable;
use policies::garbage::Why;
use policies::stamp::hex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use sha2::{Digest, Sha256};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use crate::cluster::events::note::{self, shortened};
use crate::deploy::COLLECTOR_KINDS;

use super::allowance::Allowance;
use super::discover::Kind;
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
            Self::Succeeded => "succeeded",
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
    /// Objects that wait for their deadline.
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
    /// Where rights are missing to follow essential containers.
    pub essential_lacking: Gauge,
    /// Pods whose essential labels cannot be followed, each time one is seen with other mistakes.
    pub essential_mistaken: Counter,
    /// Objects with the label of a stamp and no valid stamp, each time one is seen.
    pub ignored: Counter,
    /// Objects that are kept, since a key of another collector on them cannot be read.
    pub unreadable: Gauge,
    /// Notices of deadlines that are near, written now or, under the same name, before.
    pub notices: Counter,
    /// Webhook configurations and policies of retinue that are missing.
    pub guard_missing: Gauge,
    /// Interruptions of watches.
    pub interruptions: Counter,
    /// Seconds from deadline to the answer of the DELETE that worked.
    pub lateness: Histogram,
    /// Events that could not be written.
    pub events_lost: Counter,
    /// Events that were not written, since many came at once.
    pub events_withheld: Counter,
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
            essential_lacking: Gauge::default(),
            essential_mistaken: Counter::default(),
            ignored: Counter::default(),
            unreadable: Gauge::default(),
            notices: Counter::default(),
            guard_missing: Gauge::default(),
            interruptions: Counter::default(),
            // The promise is one second; beyond it the scale of restarts (a minute) and of outages (an hour).
            lateness: Histogram::new([0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 3600.0]),
            events_lost: Counter::default(),
            events_withheld: Counter::default(),
            following: Arc::default(),
        }
    }
}

impl Metrics {
    /// Makes them known.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("retinue_collector");
        registry.register("deletions", "DELETEs sent, by what came of them", self.deletions.clone());
        registry.register("waiting", "Objects that wait for their deadline", self.waiting.clone());
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
        let help = "Namespaces (or all of them) where rights are missing to follow essential containers";
        registry.register("essential_lacking", help, self.essential_lacking.clone());
        let help = "Pods whose essential labels name what is no regular container";
        registry.register("essential_mistaken", help, self.essential_mistaken.clone());
        registry.register("ignored", "Labels of a stamp seen without a valid stamp", self.ignored.clone());
        let help = "Objects kept since another collector's key on them cannot be read";
        registry.register("unreadable", help, self.unreadable.clone());
        let help =
            "Webhook configurations and policies of retinue that are missing: masters are not, or not wholly, judged";
        registry.register(
            "notices",
            "Notices of deadlines that are near, written now or by another before",
            self.notices.clone(),
        );
        registry.register("guard_missing", help, self.guard_missing.clone());
        registry.register("watch_interruptions", "Interruptions of watches", self.interruptions.clone());
        registry.register("lateness_seconds", "From deadline to deletion", self.lateness.clone());
        registry.register("events_lost", "Events that could not be written", self.events_lost.clone());
        let help = "Events that were not written, since many came at once";
        registry.register("events_withheld", help, self.events_withheld.clone());
    }

    /// Counts one outcome.
    pub fn count(&self, outcome: &Outcome) {
        self.deletions.get_or_create(&OutcomeLabel { outcome: outcome.as_str() }).inc();
    }
}

/// Events that wait to be written; beyond that they are dropped and counted, for deleting comes first.
const EVENTS_WAITING: usize = 1_000;

/// How much of an Event may name kinds, in bytes: the rest of it says what to do.
const LACKS_LIMIT: usize = 700;

/// An Event to be.
struct Note {
    event: Event,
    about: ObjectReference,
    times: Times,
}

/// How often an Event is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Times {
    /// Whenever it happens; what repeats is counted.
    Each,
    /// Once per object and note, whichever collector tells it, and whether or not it has been started again: its name
    /// is made of them, so the API server knows whether it was told.
    Once,
}

/// When an essential container has completed.
const ESSENTIAL_COMPLETED: &str = "EssentialContainerCompleted";

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
    client: Client,
    reporter: Reporter,
    deletions: Allowance,
    warnings: Allowance,
    metrics: Metrics,
}

/// Under which name the collector writes Events. `instance` is this pod's.
pub(super) fn reporter(instance: &str) -> Reporter {
    Reporter { controller: "fledged.io/collector".into(), instance: Some(instance.to_owned()) }
}

/// A teller and its writer. `instance` is this pod's name, `pod` the pod itself where it is known.
pub fn events(client: Client, instance: &str, pod: Option<ObjectReference>, metrics: &Metrics) -> (Teller, Writer) {
    let (sender, receiver) = mpsc::channel(EVENTS_WAITING);
    let reporter = reporter(instance);
    let (deletions, warnings) = (Allowance::default(), Allowance::default());
    (
        Teller { notes: sender, pod, metrics: metrics.clone() },
        Writer { notes: receiver, client, reporter, deletions, warnings, metrics: metrics.clone() },
    )
}

/// An object, for Events about it.
pub(super) fn reference(tracked: &Tracked) -> ObjectReference {
    ObjectReference {
        api_version: Some(tracked.kind.gvk.api_version()),
        kind: Some(tracked.kind.gvk.kind.clone()),
        namespace: Some(tracked.namespace.to_string()),
        name: Some(tracked.name.to_string()),
        uid: Some(tracked.uid.to_string()),
        ..ObjectReference::default()
    }
}

/// Why it is deleted, for people.
pub(super) fn reason(tracked: &Tracked) -> String {
    let at = tracked.deadline;
    match tracked.why {
        Why::Deadline => format!("its deadline was {at}"),
        Why::Finished => format!("it has finished, and the time to keep it was over at {at}"),
        Why::MasterGone => format!("its master is gone, as was found at {at}"),
        Why::Key(key) => format!("its time was over at {at}, by {}", key.name()),
        Why::Essential => format!("an essential container completed at {at}"),
        Why::EssentialOfJob => format!("an essential container completed at {at}, and its Job counts it"),
        Why::EssentialCounted => {
            format!("an essential container completed at {at}, its Job has counted it, and what still runs is stopped")
        }
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
                    Why::Key(_) => "ObjectExpired",
                    Why::Essential | Why::EssentialOfJob | Why::EssentialCounted => ESSENTIAL_COMPLETED,
                };
                (EventType::Normal, event, format!("deleted: {}", reason(tracked)))
            }
            Outcome::Succeeded => {
                (EventType::Normal, ESSENTIAL_COMPLETED, format!("its phase is Succeeded: {}", reason(tracked)))
            }
            Outcome::Forbidden(why) | Outcome::Refused(why) | Outcome::Failed(why)
                if matches!(tracked.why, Why::Essential | Why::EssentialOfJob | Why::EssentialCounted) =>
            {
                (EventType::Warning, "PodNotEnded", format!("{}, but it could not be ended: {why}", reason(tracked)))
            }
            Outcome::Forbidden(why) | Outcome::Refused(why) | Outcome::Failed(why) => (
                EventType::Warning,
                if matches!(tracked.why, Why::Key(_)) { "ObjectNotDeleted" } else { "DependentNotDeleted" },
                format!("{}, but it could not be deleted: {why}", reason(tracked)),
            ),
            Outcome::AlreadyGone | Outcome::Changed | Outcome::Throttled(_) => return,
        };
        self.send(reference(tracked), type_, reason, "Delete", &note, Times::Each);
    }

    /// Says of an object that it is kept, since keys of other collectors on it cannot be read.
    pub fn tell_kept(&self, kind: &Kind, metadata: &ObjectMeta, unreadable: &[Unreadable]) {
        let named: Vec<String> = unreadable.iter().map(ToString::to_string).collect();
        let named = named.join("; ");
        let (namespace, name) = (metadata.namespace.clone(), metadata.name.clone());
        tracing::warn!(kind = kind.name(), namespace, name, unreadable = named, "kept: a key on it cannot be read");
        let about = ObjectReference {
            api_version: Some(kind.gvk.api_version()),
            kind: Some(kind.gvk.kind.clone()),
            namespace,
            name,
            uid: metadata.uid.clone(),
            ..ObjectReference::default()
        };
        let note = format!("retinue does not delete it: {named}");
        self.send(about, EventType::Warning, "KeyUnreadable", "Read", &note, Times::Once);
    }

    /// Says on the collector's own pod which kinds lack which right, all of them in one Event, and what to do.
    pub fn tell_lacks(&self, lacks: &[String]) {
        let Some(pod) = self.pod.clone() else { return };
        let mut named = lacks.join("; ");
        if named.len() > LACKS_LIMIT {
            named = format!("{} and more, see the log", shortened(&named, LACKS_LIMIT));
        }
        let note = format!(
            "what is of these kinds is not deleted at its deadline: {named}. Give the collector list, watch and delete: \
             label a ClusterRole with these rules {COLLECTOR_KINDS}=true, or apply retinue install again"
        );
        self.send(pod, EventType::Warning, "RightsMissing", "Follow", &note, Times::Each);
    }

    /// Says in the log and on the collector's own pod what is missing of what judges masters, or that nothing is any more.
    pub fn tell_guard(&self, missing: &BTreeSet<String>) {
        if missing.is_empty() {
            tracing::info!("retinue's webhook configurations and policies are there");
        } else {
            let named: Vec<&str> = missing.iter().map(String::as_str).collect();
            let named = named.join(", ");
            tracing::error!(missing = named, "retinue's guard is missing: apply retinue install again");
            let Some(pod) = self.pod.clone() else { return };
            let note = format!(
                "masters are not, or not wholly, judged: missing is {}. Apply retinue install again; retinue doctor says \
                 what else is wrong. What was validly stamped is deleted at its deadline all the same",
                shortened(&named, LACKS_LIMIT)
            );
            self.send(pod, EventType::Warning, "GuardMissing", "Follow", &note, Times::Each);
        }
    }

    /// Says the same as [`Teller::tell_lacks`] of essential containers.
    pub fn tell_essential_lacks(&self, lacks: &[String]) {
        let Some(pod) = self.pod.clone() else { return };
        let named = shortened(&lacks.join("; "), LACKS_LIMIT);
        let note = format!(
            "pods are not ended when their essential containers have completed, in {named}. Apply retinue install again, \
             or say in which namespaces with --essential-namespace, or that it is not wanted with \
             --no-essential-containers"
        );
        self.send(pod, EventType::Warning, "RightsMissing", "Follow", &note, Times::Each);
    }

    /// Says on a pod why its essential containers are not followed.
    pub fn tell_mistakes(&self, pod: ObjectReference, mistakes: &str) {
        let note = format!(
            "essential containers that cannot be followed: {mistakes}. Nothing is ended by these labels until they name \
             regular containers of the pod, several joined by dots"
        );
        self.send(pod, EventType::Warning, "EssentialContainerUnknown", "Follow", &note, Times::Once);
    }

    fn send(&self, about: ObjectReference, type_: EventType, reason: &str, action: &str, note: &str, times: Times) {
        let note = Some(shortened(note, note::LIMIT));
        let event = Event { type_, reason: reason.into(), note, action: action.into(), secondary: None };
        if self.notes.try_send(Note { event, about, times }).is_err() {
            self.metrics.events_lost.inc();
        }
    }
}

impl Writer {
    /// Writes until every [`Teller`] is gone.
    pub async fn run(mut self) {
        while let Some(Note { event, about, times }) = self.notes.recv().await {
            let allowance = if event.type_ == EventType::Normal { &mut self.deletions } else { &mut self.warnings };
            // What is told once would else never be told.
            if times == Times::Each && !allowance.take(Instant::now()) {
                self.metrics.events_withheld.inc();
                continue;
            }
            let written = match times {
                // A recorder of its own: one keeps all that it has written for minutes, and looks through them each time.
                Times::Each => Recorder::new(self.client.clone(), self.reporter.clone()).publish(&event, &about).await,
                Times::Once => publish_once(&self.client, &self.reporter, &event, &about).await,
            };
            if let Err(error) = written {
                self.metrics.events_lost.inc();
                tracing::debug!(%error, reason = event.reason, "an Event could not be written");
            }
        }
    }
}

/// Writes an Event whose name says what it is: one that is there already has been told.
pub(super) async fn publish_once(
    client: &Client,
    reporter: &Reporter,
    event: &Event,
    about: &ObjectReference,
) -> Result<(), kube::Error> {
    let reason = event.reason.as_str();
    let note = event.note.clone().unwrap_or_default();
    let uid = about.uid.as_deref().unwrap_or_default();
    let hash = hex(&Sha256::digest(format!("{uid}\n{reason}\n{note}")), 16);
    let (namespace, name) = (about.namespace.clone().unwrap_or_default(), about.name.clone().unwrap_or_default());
    // The name of an Event has 253 characters, and so may that of the object have.
    let name = name.get(..200).unwrap_or(&name).trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
    let told = ApiEvent {
        metadata: ObjectMeta {
            namespace: Some(namespace.clone()),
            name: Some(format!("{name}.{hash}")),
            ..ObjectMeta::default()
        },
        action: Some(event.action.clone()),
        event_time: Some(MicroTime(Timestamp::now())),
        note: Some(note),
        reason: Some(event.reason.clone()),
        regarding: Some(about.clone()),
        reporting_controller: Some(reporter.controller.clone()),
        reporting_instance: reporter.instance.clone(),
        type_: Some(if event.type_ == EventType::Normal { "Normal" } else { "Warning" }.into()),
        ..ApiEvent::default()
    };
    let api: Api<ApiEvent> = Api::namespaced(client.clone(), &namespace);
    match api.create(&PostParams::default(), &told).await {
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        written => written.map(drop),
    }
}
