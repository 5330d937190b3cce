//! The dependents of the cluster, by metadata alone: one watch per kind that a loaded template names.
//!
//! Per dependent one entry of a few hundred bytes is kept ([`ledger`]); objects are not.

pub mod ledger;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kube::Client;
use policies::keys;
use policies::object::Gvk;
use policies::stamp::{self, Marks, Stamp};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::client::served;
use super::templates::Templates;
use super::watch::{Change, News, Pulse, Stale, Watchable, Watched, follow};
use ledger::{Key, Ledger};

/// Changes that may wait to be taken in.
const WAITING: usize = 256;
/// How long until a kind that the API server does not serve is asked for again.
const RETRY: Duration = Duration::from_secs(5);

/// A kind whatever its version: its objects are the same through each.
type GroupKind = (String, String);

/// A kind that is watched.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    /// Group, version and kind.
    pub gvk: Gvk,
    /// Plural, lower case; none while it is not known.
    pub resource: Option<String>,
    pulse: Arc<Pulse>,
}

/// The dependents of the cluster.
#[derive(Debug, Default)]
pub struct Dependents {
    /// Who has how many.
    pub ledger: Ledger,
    kinds: Mutex<BTreeMap<GroupKind, Kind>>,
}

impl Dependents {
    /// Whether the dependents of these kinds can be counted now.
    ///
    /// # Errors
    /// When one of the watches is not there, or not fresh.
    pub fn countable<'a>(&self, kinds: impl IntoIterator<Item = &'a Gvk>) -> Result<(), Stale> {
        let known = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        for gvk in kinds.into_iter().filter(|gvk| counted(gvk)) {
            match known.get(&group_kind(gvk)) {
                Some(kind) => kind.pulse.fresh(&format!("dependents of kind {}", gvk.kind))?,
                None => return Err(Stale(format!("the dependents of kind {} are not watched yet", gvk.kind))),
            }
        }
        Ok(())
    }

    /// The kinds that are watched.
    pub(crate) fn kinds(&self) -> Vec<Kind> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// What keeps these kinds from being counted for now; one that failed for good reason (no right to, not served)
    /// is no reason to wait.
    pub(crate) fn settling<'a>(&self, kinds: impl IntoIterator<Item = &'a Gvk>) -> Option<String> {
        let known = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        kinds.into_iter().filter(|gvk| counted(gvk)).find_map(|gvk| match known.get(&group_kind(gvk)) {
            None => Some(gvk.kind.clone()),
            Some(kind) if kind.pulse.age().is_none() && kind.pulse.trouble().is_none() => Some(gvk.kind.clone()),
            Some(_) => None,
        })
    }

    /// Watches the kinds of the loaded templates, for ever.
    pub(crate) async fn run(self: Arc<Self>, client: Client, templates: Arc<Templates>) {
        let mut library = templates.changes();
        let mut watches: JoinSet<()> = JoinSet::new();
        let mut handles: BTreeMap<GroupKind, tokio::task::AbortHandle> = BTreeMap::new();
        loop {
            library.mark_unchanged();
            let loaded = templates.last();
            let kinds = loaded.kinds.iter().filter(|gvk| counted(gvk));
            let wanted: BTreeMap<GroupKind, Gvk> = kinds.map(|gvk| (group_kind(gvk), gvk.clone())).collect();
            handles.retain(|kind, handle| {
                let keep = wanted.contains_key(kind);
                if !keep {
                    handle.abort();
                    self.forget(kind);
                }
                keep
            });
            for (kind, gvk) in wanted {
                handles.entry(kind).or_insert_with(|| watches.spawn(Arc::clone(&self).watch(client.clone(), gvk)));
            }
            tokio::select! {
                changed = library.changed() => if changed.is_err() { return },
                Some(ended) = watches.join_next() => {
                    // A watch ends only when it is told to; one that panicked takes the process down with a reason.
                    if let Err(error) = ended
                        && error.is_panic()
                    {
                        std::panic::resume_unwind(error.into_panic());
                    }
                }
            }
        }
    }

    fn forget(&self, kind: &GroupKind) {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner).remove(kind);
        self.ledger.retain(&kind.0, &kind.1, |_| false);
    }

    async fn watch(self: Arc<Self>, client: Client, gvk: Gvk) {
        let pulse = Arc::new(Pulse::default());
        let note = |resource: Option<String>| {
            let kind = Kind { gvk: gvk.clone(), resource, pulse: Arc::clone(&pulse) };
            self.kinds.lock().unwrap_or_else(PoisonError::into_inner).insert(group_kind(&gvk), kind);
        };
        note(None);
        let resource = loop {
            let reason = match served(&client, &gvk).await {
                Ok(Some(served)) => break served.resource,
                Ok(None) => format!("the API server serves no {gvk}"),
                Err(reason) => reason,
            };
            tracing::warn!(kind = %gvk, reason, "the dependents of a kind cannot be watched");
            pulse.ail(reason);
            tokio::time::sleep(RETRY).await;
        };
        note(Some(resource.clone()));
        let watched = Watched::new(&gvk.api_version(), &gvk.kind, &resource).labelled(keys::MASTER).metadata_only();
        let (out, changes) = mpsc::channel(WAITING);
        tokio::join!(follow::<Partial>(client, watched, Arc::clone(&pulse), out), self.take_in(&gvk, changes, &pulse));
    }

    async fn take_in(&self, gvk: &Gvk, mut changes: mpsc::Receiver<News<Partial>>, pulse: &Pulse) {
        let mut listed = BTreeSet::new();
        while let Some(News { at, change }) = changes.recv().await {
            match change {
                Change::Begin => {
                    listed.clear();
                    continue;
                }
                Change::Listed(partial) => {
                    listed.insert(self.show(gvk, &partial.metadata));
                    continue;
                }
                Change::Complete => self.ledger.retain(&gvk.group, &gvk.kind, |key| listed.contains(key)),
                Change::Applied(partial) => {
                    self.show(gvk, &partial.metadata);
                }
                Change::Removed(partial) => self.ledger.hide(&partial.metadata.key(gvk)),
                Change::Alive => {}
            }
            pulse.beat(at);
        }
    }

    fn show(&self, gvk: &Gvk, metadata: &PartialMetadata) -> Key {
        let key = metadata.key(gvk);
        match metadata.stamp(gvk) {
            Some(stamp) => self.ledger.show(key.clone(), &metadata.uid, &stamp.record),
            None => self.ledger.hide(&key),
        }
        key
    }
}

/// Whether dependents of a kind are watched and counted. Secrets are not: the right to list their metadata is the right
/// to read their content, which the webhook must not have (threat 15); a ResourceQuota bounds them.
fn counted(gvk: &Gvk) -> bool {
    !(gvk.group.is_empty() && gvk.kind == "Secret")
}

fn group_kind(gvk: &Gvk) -> GroupKind {
    (gvk.group.clone(), gvk.kind.clone())
}

/// Of an object's metadata, what a dependent is counted by.
#[derive(Clone, Debug, Deserialize)]
struct Partial {
    metadata: PartialMetadata,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PartialMetadata {
    name: String,
    #[serde(default)]
    namespace: String,
    uid: String,
    resource_version: Option<String>,
    #[serde(default)]
    annotations: Annotations,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Annotations {
    #[serde(rename = "fledged.io/admission")]
    admission: Option<String>,
}

impl PartialMetadata {
    fn key(&self, gvk: &Gvk) -> Key {
        Key::new(gvk, &self.namespace, &self.name)
    }

    /// The stamp, if it is one and this object's own; the deadline is not looked at.
    fn stamp(&self, gvk: &Gvk) -> Option<Stamp> {
        let marks =
            Marks { admission: self.annotations.admission.as_deref(), expires_at: None, master: true, template: true };
        stamp::read(marks, gvk, &self.namespace, &self.name).ok().flatten()
    }
}

impl Watchable for Partial {
    fn version(&self) -> Option<&str> {
        self.metadata.resource_version.as_deref()
    }
    fn complete(&mut self, _: &Watched) {}
}
