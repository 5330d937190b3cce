//! The watches of pods with essential containers, and what is read of each pod. There is no or between keys of a label
//! selector, so there are two watches, which show no pod twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;
use jiff::Timestamp;
use kube::core::discovery::ApiResource;
use kube::core::metadata::ObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use policies::essential::{End, Judgement, Mistake, Pod, Spec, Status, judge};
use policies::garbage::Why;
use policies::keys::ESSENTIAL_COMPLETED;
use policies::object::Gvk;
use tokio::sync::mpsc;

use super::areas::{Area, place};
use crate::collector::discover::{Kind, Objects};
use crate::collector::gather::{Interruption, WATCH_SECONDS};
use crate::collector::queue::Tracked;

/// The label selectors: pods with the first label, and those with the second alone.
pub(super) const SELECTORS: [&str; 2] = ["essential-containers", "essential-container,!essential-containers"];

/// What one watch shows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::collector) struct Selection {
    pub(super) area: Area,
    /// One of [`SELECTORS`].
    pub(super) labels: &'static str,
}

impl std::fmt::Display for Selection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "pods in {} labelled {}", place(&self.area), self.labels)
    }
}

/// What a watch says.
#[derive(Debug)]
pub(super) enum News {
    /// A list begins.
    Listing,
    /// The list is complete.
    Listed,
    /// A pod with nothing to be done about it.
    Left(String),
    /// A pod that is done.
    Done(Tracked),
    /// A pod whose labels cannot be followed.
    Mistaken(Box<ObjectMeta>, Vec<Mistake>),
    /// A pod is gone, or its label is.
    Gone(String),
    /// The watch failed and is tried again.
    Interrupted(Interruption),
}

/// A pod, as little of it as decides.
type Slim = kube::core::Object<Spec, Status>;

/// Pods, as discovery names them.
pub(super) fn kind() -> Kind {
    Kind { gvk: Gvk::new("", "v1", "Pod"), resource: "pods".into(), objects: Objects::Dependents }
}

/// Follows one selection until nobody listens. Only what is to be done about a pod leaves this room.
pub(super) async fn follow(client: Client, selection: Arc<Selection>, out: mpsc::Sender<(Arc<Selection>, News)>) {
    let kind = Arc::new(kind());
    let resource: ApiResource = kind.api_resource();
    let pods: Api<Slim> = match selection.area.as_deref() {
        Some(namespace) => Api::namespaced_with(client, namespace, &resource),
        None => Api::all_with(client, &resource),
    };
    let config = watcher::Config::default().timeout(WATCH_SECONDS).labels(selection.labels);
    let mut events = std::pin::pin!(watcher(pods, config).default_backoff());
    while let Some(event) = events.next().await {
        let news = match event {
            Ok(Event::Init) => News::Listing,
            Ok(Event::InitDone) => News::Listed,
            Ok(Event::InitApply(pod) | Event::Apply(pod)) => read(&kind, pod),
            Ok(Event::Delete(pod)) => News::Gone(pod.metadata.uid.unwrap_or_default()),
            Err(error) => News::Interrupted((&error).into()),
        };
        if out.send((Arc::clone(&selection), news)).await.is_err() {
            return;
        }
    }
}

fn read(kind: &Arc<Kind>, pod: Slim) -> News {
    let Slim { metadata, spec, status, .. } = pod;
    let none = BTreeMap::new();
    let owner = metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
    let judged = judge(&Pod {
        labels: metadata.labels.as_ref().unwrap_or(&none),
        of_job: owner.is_some_and(|owner| owner.kind == "Job" && owner.api_version.starts_with("batch/")),
        told: metadata.annotations.as_ref().is_some_and(|all| all.contains_key(ESSENTIAL_COMPLETED)),
        finalizers: metadata.finalizers.as_deref().unwrap_or_default(),
        terminating: metadata.deletion_timestamp.is_some(),
        spec: &spec,
        status: status.as_ref(),
    });
    let (end, since) = match judged {
        Judgement::Leave => return News::Left(metadata.uid.unwrap_or_default()),
        Judgement::Mistaken(mistakes) => return News::Mistaken(Box::new(metadata), mistakes),
        Judgement::Done { end, since } => (end, since),
    };
    let why = match end {
        End::Delete => Why::Essential,
        End::Succeed => Why::EssentialOfJob,
        End::Stop => Why::EssentialCounted,
    };
    News::Done(Tracked::of(kind, &metadata, since.unwrap_or(Timestamp::MAX), why))
}
