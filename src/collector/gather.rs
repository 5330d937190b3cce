//! One watch per kind, of the metadata of objects that carry a deadline label; and how any kind's metadata are watched.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use kube::core::PartialObjectMeta;
use kube::core::discovery::ApiResource;
use kube::core::metadata::ObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client, core::DynamicObject};
use policies::garbage::{self, Judgement};
use policies::keys;
use policies::stamp::{Marks, StampError};
use tokio::sync::mpsc;

use super::discover::Kind;
use super::queue::Tracked;

/// How long one watch lasts, in seconds. kube gives a silent connection up five seconds later, so this bounds how
/// late a new dependent is noticed when a connection dies without a word.
pub(super) const WATCH_SECONDS: u32 = 60;

/// What a watch of one kind says.
#[derive(Debug)]
pub enum News {
    /// A list begins.
    Listing,
    /// An object is there, with these metadata.
    Seen(Box<ObjectMeta>),
    /// An object is gone, or its deadline label is.
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
    /// A dependent with a deadline.
    Track(Tracked),
    /// A dependent without deadline, something that is being deleted already, or nothing of ours.
    Leave,
    /// It carries the label, but no valid stamp: never touched.
    Refuse(StampError),
}

/// Reads one object's metadata.
pub fn read(kind: &Arc<Kind>, metadata: &ObjectMeta) -> Reading {
    let (Some(uid), Some(name), Some(namespace), Some(version)) =
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
    match garbage::judge(marks, &kind.gvk, namespace, name) {
        Judgement::Due { at, .. } => Reading::Track(Tracked {
            uid: uid.as_str().into(),
            kind: Arc::clone(kind),
            namespace: namespace.as_str().into(),
            name: name.as_str().into(),
            version: version.as_str().into(),
            deadline: at,
        }),
        Judgement::Lives(_) | Judgement::Unmarked => Reading::Leave,
        Judgement::NotOurs(error) => Reading::Refuse(error),
    }
}

/// An object of which only the metadata are read.
pub(super) type Bare = PartialObjectMeta<DynamicObject>;

/// Lists and watches the metadata of one kind, in one namespace or (none) everywhere, for ever.
pub(super) fn watch(
    client: Client,
    namespace: Option<&str>,
    resource: &ApiResource,
    labels: Option<&str>,
) -> impl Stream<Item = watcher::Result<watcher::Event<Bare>>> + Send + use<> {
    let api: Api<Bare> = match namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, resource),
        None => Api::all_with(client, resource),
    };
    let mut config = watcher::Config::default().timeout(WATCH_SECONDS);
    config.label_selector = labels.map(str::to_owned);
    watcher(api, config).default_backoff()
}

/// Follows one kind until nobody listens.
pub async fn follow(client: Client, namespace: Option<String>, kind: Arc<Kind>, out: mpsc::Sender<(Arc<Kind>, News)>) {
    let events = watch(client, namespace.as_deref(), &kind.api_resource(), Some(keys::EXPIRES_AT));
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

fn seen(object: Bare) -> News {
    News::Seen(Box::new(object.metadata))
}
