//! Whether what judges masters is there: the webhook configurations and the floor, followed by name as metadata alone.
//!
//! The collector goes on without them, and deletes only what was validly stamped. But it says so, loudly: in the log, by a
//! metric, and in an Event on its own pod. What is there and bent, `retinue doctor` finds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt as _;
use kube::Client;
use kube::core::GroupVersionKind;
use kube::core::discovery::ApiResource;
use kube::runtime::watcher::Event;
use policies::doctor::guard::ADMISSION;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::deploy;

use super::gather::{self, Cause, Interruption};
use super::occasions::{FIRST_PAUSE, SLOW};

/// So long something must be gone before it is told: who installs anew deletes and makes in one breath, and who deletes
/// all of it is told of once.
const SETTLE: Duration = Duration::from_millis(500);

/// What ought to be there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    /// Names by kind, of `admissionregistration.k8s.io`.
    pub expected: BTreeMap<String, BTreeSet<String>>,
}

/// What is heard of one kind.
#[derive(Debug)]
enum Heard {
    /// These are all that there are.
    Listed(BTreeSet<String>),
    There(String),
    Gone(String),
    /// This account may not watch them.
    Forbidden(String),
}

/// Follows them.
#[derive(Debug)]
pub(super) struct Sentry {
    expected: BTreeMap<String, BTreeSet<String>>,
    /// What is there, of the kinds that have been listed.
    there: BTreeMap<String, BTreeSet<String>>,
    /// None: nothing yet.
    told: Option<BTreeSet<String>>,
    settled: Option<Instant>,
    heard: mpsc::Receiver<(String, Heard)>,
    _watches: JoinSet<()>,
}

impl Sentry {
    /// Begins to follow what ought to be there; nothing, where nothing ought.
    pub(super) fn new(client: &Client, guard: Guard) -> Self {
        let (out, heard) = mpsc::channel(64);
        let mut watches = JoinSet::new();
        for kind in guard.expected.keys() {
            watches.spawn(attend(client.clone(), kind.clone(), out.clone()));
        }
        Self { expected: guard.expected, there: BTreeMap::new(), told: None, settled: None, heard, _watches: watches }
    }

    /// What is missing now: first, and whenever it is something else than was told last.
    pub(super) async fn next(&mut self) -> BTreeSet<String> {
        loop {
            let at = self.settled;
            let settled = async move {
                match at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                heard = self.heard.recv() => match heard {
                    Some((kind, heard)) => self.learn(kind, heard),
                    // Nothing is followed.
                    None => std::future::pending().await,
                },
                () = settled => {
                    self.settled = None;
                    let missing = self.missing();
                    if self.told.as_ref() != Some(&missing) {
                        self.told = Some(missing.clone());
                        return missing;
                    }
                }
            }
        }
    }

    fn learn(&mut self, kind: String, heard: Heard) {
        match heard {
            Heard::Listed(names) => drop(self.there.insert(kind, names)),
            Heard::There(name) => drop(self.there.entry(kind).or_default().insert(name)),
            Heard::Gone(name) => drop(self.there.entry(kind).or_default().remove(&name)),
            Heard::Forbidden(error) => {
                // Not known, and so not missing.
                self.there.remove(&kind);
                tracing::warn!(
                    kind,
                    error,
                    "it cannot be seen whether retinue's guard is there: apply retinue install again"
                );
            }
        }
        if self.told.as_ref() != Some(&self.missing()) {
            self.settled.get_or_insert_with(|| Instant::now() + SETTLE);
        }
    }

    fn missing(&self) -> BTreeSet<String> {
        let mut missing = BTreeSet::new();
        for (kind, names) in &self.expected {
            let Some(there) = self.there.get(kind) else { continue };
            missing.extend(names.difference(there).map(|name| format!("{kind} {name}")));
        }
        missing
    }
}

/// Lists and watches one kind until nobody listens.
async fn attend(client: Client, kind: String, out: mpsc::Sender<(String, Heard)>) {
    let version = GroupVersionKind::gvk(ADMISSION, "v1", &kind);
    let resource = ApiResource::from_gvk_with_plural(&version, &deploy::resource(&kind));
    let mut pause = FIRST_PAUSE;
    loop {
        let events = gather::watch(client.clone(), None, &resource, None);
        let mut events = std::pin::pin!(events);
        let mut listed = BTreeSet::new();
        while let Some(event) = events.next().await {
            let name = |object: super::bare::Bare| object.metadata.name.unwrap_or_default();
            let heard = match event {
                Ok(Event::Init) => {
                    listed.clear();
                    continue;
                }
                Ok(Event::InitApply(object)) => {
                    listed.insert(name(object));
                    continue;
                }
                Ok(Event::InitDone) => {
                    pause = FIRST_PAUSE;
                    Heard::Listed(std::mem::take(&mut listed))
                }
                Ok(Event::Apply(object)) => Heard::There(name(object)),
                Ok(Event::Delete(object)) => Heard::Gone(name(object)),
                Err(error) => match Interruption::from(&error) {
                    Interruption { cause: Cause::Forbidden, error } => Heard::Forbidden(error),
                    // A server that does not know the kind has none of it.
                    Interruption { cause: Cause::Unserved, .. } => Heard::Listed(BTreeSet::new()),
                    // It is tried again by itself; what was known is known still.
                    Interruption { cause: Cause::Passing, error } => {
                        tracing::debug!(kind, error, "a watch was interrupted");
                        continue;
                    }
                },
            };
            let forbidden = matches!(heard, Heard::Forbidden(_));
            if out.send((kind.clone(), heard)).await.is_err() {
                return;
            }
            if forbidden {
                break;
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(SLOW);
    }
}
