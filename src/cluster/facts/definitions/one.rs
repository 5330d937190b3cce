//! The definition of one kind: discovery says what it is called, and it is watched by that name until it is another.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::Client;
use policies::object::Gvk;
use policies::tables::Definition;
use serde::Deserialize;
use tokio::sync::{Notify, mpsc, watch};

use super::{Defined, Definitions, Found, GroupKind, Heard, Kind, Versions};
use crate::cluster::client::served;
use crate::cluster::watch::{Change, News, Pulse, Watchable, Watched, follow};

/// How long until a kind that the API server does not serve is looked up again, doubled up to the longest. A request for
/// a kind that has no definition has it looked up at once.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// The shortest time between two lookups of one kind, whoever asks for it.
const SPACING: Duration = Duration::from_millis(200);
/// Changes of one definition that may wait.
const WAITING: usize = 4;

/// A definition, as the API server sends it.
#[derive(Clone, Debug, Deserialize)]
struct Sent {
    metadata: Metadata,
    spec: Definition,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    resource_version: Option<String>,
}

impl Watchable for Sent {
    fn version(&self) -> Option<&str> {
        self.metadata.resource_version.as_deref()
    }
    fn complete(&mut self, _: &Watched) {}
}

/// The definition of one kind, looked up and watched.
pub(super) struct One {
    all: Arc<Definitions>,
    client: Client,
    kind: GroupKind,
    heard: Heard,
    pulse: Arc<Pulse>,
    /// Wakes it to look the kind up.
    wake: Arc<Notify>,
    /// The versions that templates name.
    versions: watch::Receiver<Versions>,
}

impl One {
    pub(super) fn new(
        all: &Arc<Definitions>,
        client: Client,
        kind: GroupKind,
        heard: Heard,
        versions: watch::Receiver<Versions>,
    ) -> Self {
        let pulse = Arc::new(if all.unhurried { Pulse::unhurried() } else { Pulse::default() });
        let wake = Arc::new(Notify::new());
        let known = Kind { found: None, pulse: Arc::clone(&pulse), wake: Arc::clone(&wake) };
        all.kinds.send_modify(|kinds| drop(kinds.insert(kind.clone(), known)));
        Self { all: Arc::clone(all), client, kind, heard, pulse, wake, versions }
    }

    /// Looks it up and watches it, until nobody wants it.
    pub(super) async fn attend(mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let asked = Instant::now();
            match self.resource().await {
                Ok(Some(resource)) => {
                    pause = FIRST_PAUSE;
                    self.watch(&resource).await;
                    tokio::time::sleep_until((asked + SPACING).into()).await;
                    continue;
                }
                Ok(None) => {
                    self.gone();
                    self.pulse.beat(asked);
                    self.found(Found::Undefined);
                }
                Err(reason) => {
                    tracing::warn!(kind = %self.name(), reason, "the definition of a kind cannot be looked up");
                    self.pulse.ail(reason);
                    self.all.kinds.send_modify(|_| ());
                }
            }
            tokio::time::sleep_until((asked + SPACING).into()).await;
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.wake.notified() => {}
                // The kind is no longer wanted; whoever says so ends this.
                changed = self.versions.changed() => if changed.is_err() { return },
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// The resource under which one of the wanted versions is served.
    async fn resource(&mut self) -> Result<Option<String>, String> {
        let versions = Arc::clone(&self.versions.borrow_and_update());
        let _permit = self.all.lookups.acquire().await.map_err(|error| error.to_string())?;
        for version in versions.iter() {
            if let Some(served) = served(&self.client, &Gvk::new(&self.kind.0, version, &self.kind.1)).await? {
                return Ok(Some(served.resource));
            }
        }
        Ok(None)
    }

    /// Watches the definition of `resource` until it is to be looked up again: it is gone, other versions are wanted, or
    /// there is none and somebody waits for it.
    async fn watch(&mut self, resource: &str) {
        let name = format!("{resource}.{}", self.kind.0);
        let watched = Watched::new("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions");
        let (out, changes) = mpsc::channel(WAITING);
        let following = follow::<Sent>(self.client.clone(), watched.named(&name), Arc::clone(&self.pulse), out);
        tokio::select! {
            () = following => {}
            () = self.take_in(&name, changes) => {}
        }
    }

    async fn take_in(&mut self, name: &str, mut changes: mpsc::Receiver<News<Sent>>) {
        let mut listed = None;
        let mut there = true;
        loop {
            let News { at, change } = tokio::select! {
                news = changes.recv() => match news {
                    Some(news) => news,
                    None => return,
                },
                _ = self.versions.changed() => return,
                () = self.wake.notified(), if !there => return,
            };
            let definition = match change {
                Change::Begin => {
                    listed = None;
                    continue;
                }
                Change::Listed(sent) => {
                    listed = Some(sent.spec);
                    continue;
                }
                Change::Alive => {
                    self.pulse.beat(at);
                    continue;
                }
                Change::Complete => listed.take(),
                Change::Applied(sent) => Some(sent.spec),
                Change::Removed(_) => None,
            };
            let was = self.defined().is_some();
            there = self.define(name, definition, at);
            if was && !there {
                // Its kind may be another resource's now.
                return;
            }
        }
    }

    /// Tells of the definition of this name, as it was at `at`, and says whether it is there and of our kind.
    fn define(&self, name: &str, definition: Option<Definition>, at: Instant) -> bool {
        let ours = definition.filter(|definition| definition.defines(&self.kind.0, &self.kind.1));
        let Some(mut definition) = ours else {
            self.gone();
            self.pulse.beat(at);
            self.found(Found::Undefined);
            return false;
        };
        let versions = Arc::clone(&self.versions.borrow());
        definition.keep(|version| versions.contains(version));
        let unreadable = |version: &String| {
            let why = definition.unreadable(version)?;
            let why = format!("the CustomResourceDefinition {name} cannot be used in its version {version}: {why}");
            tracing::warn!(why, "templates of a kind cannot be used");
            Some((version.clone(), why))
        };
        let unreadable = versions.iter().filter_map(unreadable).collect();
        if self.defined().as_deref() != Some(name) {
            self.gone();
        }
        (self.heard)(Defined::As(name.to_owned(), definition));
        self.pulse.beat(at);
        self.found(Found::Defined { name: name.to_owned(), versions, unreadable });
        true
    }

    /// The definition that was told of last.
    fn defined(&self) -> Option<String> {
        self.all.kinds.borrow().get(&self.kind)?.defined().map(str::to_owned)
    }

    /// There is no definition any more.
    fn gone(&self) {
        if let Some(name) = self.defined() {
            (self.heard)(Defined::Gone(name));
        }
    }

    /// Tells whoever waits what was found out.
    fn found(&self, found: Found) {
        self.all.kinds.send_modify(|kinds| {
            if let Some(kind) = kinds.get_mut(&self.kind) {
                kind.found = Some(found);
            }
        });
    }

    fn name(&self) -> String {
        format!("{}.{}", self.kind.1, self.kind.0)
    }
}
