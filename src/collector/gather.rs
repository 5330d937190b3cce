//! One watch per kind, of the metadata of objects that carry the label of a stamp, `fledged.io/master`; of Jobs the whole,
//! of which only the time of their end is kept; and how any kind's metadata are watched.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use jiff::Timestamp;
use kube::core::discovery::ApiResource;
use kube::core::metadata::ObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client};
use policies::foreign::Unreadable;
use policies::garbage::{self, Circumstances, Judgement, Master, Why};
use policies::keys;
use policies::stamp::{Marks, StampError};
use tokio::sync::mpsc;

use crate::cluster::revision::FEW;

use super::bare::{Bare, metadata_only};
use super::discover::{Kind, Objects};
use super::foreign;
use super::queue::{NEVER, Tracked};

/// How long one watch lasts, in seconds. kube gives a silent connection up five seconds later, so this bounds how
/// late a new dependent is noticed when a connection dies without a word.
pub(super) const WATCH_SECONDS: u32 = 60;

/// What a watch of one kind says.
#[derive(Debug)]
pub enum News {
    /// A list begins.
    Listing,
    /// An object is there, with these metadata; of a Job when it finished.
    Seen(Box<ObjectMeta>, Option<Timestamp>),
    /// An object is gone, or its label is.
    Gone(String),
    /// The list is complete.
    Listed,
    /// The watch failed and is tried again.
    Interrupted(Interruption),
}

/// Why a watch failed.
#[derive(Debug)]
pub struct Interruption {
    /// What it may mean for what can be followed.
    pub cause: Cause,
    /// For people.
    pub error: String,
}

/// What an interruption may mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// 403: a right is gone.
    Forbidden,
    /// 404: the kind is gone, or this version of it.
    Unserved,
    /// Anything else passes, and says nothing of kinds and rights.
    Passing,
}

impl From<&watcher::Error> for Interruption {
    fn from(error: &watcher::Error) -> Self {
        let code = match error {
            watcher::Error::InitialListFailed(kube::Error::Api(status))
            | watcher::Error::WatchStartFailed(kube::Error::Api(status))
            | watcher::Error::WatchFailed(kube::Error::Api(status)) => status.code,
            watcher::Error::WatchError(status) => status.code,
            _ => 0,
        };
        let cause = match code {
            403 => Cause::Forbidden,
            404 => Cause::Unserved,
            _ => Cause::Passing,
        };
        Self { cause, error: error.to_string() }
    }
}

/// What is to be made of one object.
#[derive(Debug, PartialEq)]
pub enum Reading {
    /// A dependent that ends by its own doing, or with its master where no ownerReference sees to that.
    Track {
        /// It.
        tracked: Tracked,
        /// From when on its deadline is told of.
        notice: Option<Timestamp>,
        /// Its master.
        master: Option<Master>,
    },
    /// A dependent that does neither, something that is being deleted already, or nothing of ours.
    Leave,
    /// It carries the label, but no valid stamp: never touched.
    Refuse(StampError),
    /// It carries keys of other collectors that cannot be read: never touched.
    Keep(Vec<Unreadable>),
}

/// Reads one object's metadata, and of a Job when it finished.
pub fn read(kind: &Arc<Kind>, metadata: &ObjectMeta, finished: Option<Timestamp>) -> Reading {
    if kind.objects != Objects::Dependents {
        return foreign::read(kind, metadata);
    }
    let (Some(_), Some(name), Some(namespace), Some(_)) =
        (&metadata.uid, &metadata.name, &metadata.namespace, &metadata.resource_version)
    else {
        return Reading::Leave;
    };
    if metadata.deletion_timestamp.is_some() {
        return Reading::Leave;
    }
    let none = BTreeMap::new();
    let marks =
        Marks::from_maps(metadata.labels.as_ref().unwrap_or(&none), metadata.annotations.as_ref().unwrap_or(&none));
    let owners = metadata.owner_references.iter().flatten().map(|owner| owner.uid.as_str());
    let owners: Vec<&str> = owners.collect();
    let (due, notice, master) =
        match garbage::judge(marks, &kind.gvk, namespace, name, Circumstances { finished, owners: &owners }) {
            Judgement::Dependent { due: None, master: None, .. } | Judgement::Unmarked => return Reading::Leave,
            Judgement::Dependent { due, notice, master } => (due, notice, master),
            Judgement::NotOurs(error) => return Reading::Refuse(error),
        };
    let (deadline, why) = due.unwrap_or((NEVER, Why::Deadline));
    Reading::Track { tracked: Tracked::of(kind, metadata, deadline, why), notice, master }
}

/// Lists and watches the metadata of one kind, in one namespace or (none) everywhere, for ever.
pub(super) fn watch(
    client: Client,
    namespace: Option<&str>,
    resource: &ApiResource,
    labels: Option<&str>,
) -> impl Stream<Item = watcher::Result<watcher::Event<Bare>>> + Send + use<> {
    watcher(api(metadata_only(client), namespace, resource), selecting(labels)).default_backoff()
}

/// The same, of a kind whose annotations may be large: few are listed at once.
pub(super) fn watch_large(
    client: Client,
    namespace: Option<&str>,
    resource: &ApiResource,
) -> impl Stream<Item = watcher::Result<watcher::Event<Bare>>> + Send + use<> {
    let config = selecting(None).page_size(FEW);
    watcher(api(metadata_only(client), namespace, resource), config).default_backoff()
}

/// The same for the object of this name in a namespace.
pub(super) fn watch_one(
    client: Client,
    namespace: &str,
    resource: &ApiResource,
    name: &str,
) -> impl Stream<Item = watcher::Result<watcher::Event<Bare>>> + Send + use<> {
    let config = selecting(None).fields(&format!("metadata.name={name}"));
    watcher(api(metadata_only(client), Some(namespace), resource), config).default_backoff()
}

fn api(client: Client, namespace: Option<&str>, resource: &ApiResource) -> Api<Bare> {
    match namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, resource),
        None => Api::all_with(client, resource),
    }
}

fn selecting(labels: Option<&str>) -> watcher::Config {
    let mut config = watcher::Config::default().timeout(WATCH_SECONDS);
    config.label_selector = labels.map(str::to_owned);
    config
}

/// Follows one kind until nobody listens.
pub async fn follow(client: Client, namespace: Option<String>, kind: Arc<Kind>, out: mpsc::Sender<(Arc<Kind>, News)>) {
    let (resource, namespace) = (kind.api_resource(), namespace.as_deref());
    if let Objects::Foreign { namespace: only, annotated } = &kind.objects {
        let labels = (!annotated).then_some(keys::KYVERNO_TTL);
        let events = watch(client, only.as_deref().or(namespace), &resource, labels);
        tell(events, kind, out, |object| foreign::news(object.metadata)).await;
    } else if is_job(&kind) {
        let jobs = watcher(api(client, namespace, &resource), selecting(Some(keys::MASTER))).default_backoff();
        tell(jobs, kind, out, |job| News::Seen(Box::new(job.metadata), finished(&job.status))).await;
    } else {
        let events = watch(client, namespace, &resource, Some(keys::MASTER));
        tell(events, kind, out, |object| News::Seen(Box::new(object.metadata), None)).await;
    }
}

async fn tell(
    events: impl Stream<Item = watcher::Result<watcher::Event<Bare>>>,
    kind: Arc<Kind>,
    out: mpsc::Sender<(Arc<Kind>, News)>,
    seen: impl Fn(Bare) -> News,
) {
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        let news = match event {
            Ok(watcher::Event::Init) => News::Listing,
            Ok(watcher::Event::InitApply(object) | watcher::Event::Apply(object)) => seen(object),
            Ok(watcher::Event::Delete(object)) => News::Gone(object.metadata.uid.unwrap_or_default()),
            Ok(watcher::Event::InitDone) => News::Listed,
            Err(error) => News::Interrupted((&error).into()),
        };
        if out.send((Arc::clone(&kind), news)).await.is_err() {
            return;
        }
    }
}

fn is_job(kind: &Kind) -> bool {
    kind.gvk.group == "batch" && kind.gvk.kind == "Job"
}

/// When a Job ended, whichever way: the transition of its condition Complete or Failed, as Kubernetes' own collector of
/// finished Jobs takes it (controller/ttlafterfinished).
fn finished(status: &serde_json::Value) -> Option<Timestamp> {
    let conditions = status["conditions"].as_array()?;
    let ended = conditions.iter().find(|condition| {
        matches!(condition["type"].as_str(), Some("Complete" | "Failed")) && condition["status"] == "True"
    })?;
    ended["lastTransitionTime"].as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
    use super::*;
    use serde_json::json;

    #[test]
    fn a_job_has_finished_when_a_condition_says_that_it_ended() {
        let time = "2026-11-20T15:00:00Z";
        for (kind, status, at, expected) in [
            ("Complete", "True", json!(time), Some(time)),
            ("Failed", "True", json!(time), Some(time)),
            ("Complete", "False", json!(time), None),
            ("Suspended", "True", json!(time), None),
            ("SuccessCriteriaMet", "True", json!(time), None),
            ("Complete", "True", json!("yesterday"), None),
            ("Complete", "True", json!(null), None),
        ] {
            let status = json!({"conditions": [{"type": kind, "status": status, "lastTransitionTime": at}]});
            assert_eq!(finished(&status), expected.map(|time| time.parse().unwrap()), "{status}");
        }
        assert_eq!(finished(&json!({})), None);
        assert_eq!(finished(&json!(null)), None);
    }
}
