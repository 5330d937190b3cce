//! The dependents of the cluster, by metadata alone: one watch per kind that a loaded template names.
//!
//! Per dependent one entry of a few hundred bytes is kept ([`ledger`]), and per create under way a reservation
//! ([`reservations`]); objects are not. [`quota`] decides whether there may be one more, by a live count ([`live_count`])
//! where need be. What was admitted is told once its object is shown, and never before: whoever reaches the webhook can
//! have a create admitted that never was.

mod given;
pub mod ledger;
pub(crate) mod live_count;
pub(crate) mod quota;
mod reservations;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kube::Client;
use policies::keys;
use policies::lifetime;
use policies::object::{Gvk, Gvr};
use policies::stamp::{self, Marks, Stamp};
use policies::verdict::template_text;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::client::served;
use super::events::{Events, told};
use super::templates::Templates;
use super::watch::{Change, News, Pulse, Stale, Watchable, Watched, follow};
use given::Given;
use ledger::{Key, Ledger, Shown};
use live_count::LiveCounts;

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
    live_counts: LiveCounts,
    /// What was given a moment ago.
    pub(crate) given: Given,
    admitted: AtomicU64,
}

impl Dependents {
    /// How many creates that were admitted here the watches have shown.
    pub fn admitted(&self) -> u64 {
        self.admitted.load(Ordering::Relaxed)
    }

    /// Whether the dependents of these kinds can be counted now.
    ///
    /// # Errors
    /// When one of the watches is not there, or not fresh.
    pub fn countable<'a>(&self, kinds: impl IntoIterator<Item = &'a Gvk>) -> Result<(), Stale> {
        let known = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        for gvk in kinds.into_iter().filter(|gvk| watched(gvk)) {
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
        kinds.into_iter().filter(|gvk| watched(gvk)).find_map(|gvk| match known.get(&group_kind(gvk)) {
            None => Some(gvk.kind.clone()),
            Some(kind) if kind.pulse.age().is_none() && kind.pulse.trouble().is_none() => Some(gvk.kind.clone()),
            Some(_) => None,
        })
    }

    /// Watches the kinds of the loaded templates, for ever, and tells `events` of what was admitted.
    pub(crate) async fn run(self: Arc<Self>, client: Client, templates: Arc<Templates>, events: Arc<Events>) {
        let mut library = templates.changes();
        let mut watches: JoinSet<()> = JoinSet::new();
        let mut handles: BTreeMap<GroupKind, tokio::task::AbortHandle> = BTreeMap::new();
        loop {
            library.mark_unchanged();
            let loaded = templates.last();
            let kinds = loaded.kinds.iter().filter(|gvk| watched(gvk));
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
                let watch = |gvk| Arc::clone(&self).watch(client.clone(), gvk, Arc::clone(&events));
                handles.entry(kind).or_insert_with(|| watches.spawn(watch(gvk)));
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

    async fn watch(self: Arc<Self>, client: Client, gvk: Gvk, events: Arc<Events>) {
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
        let dependents = Watched::new(&gvk.api_version(), &gvk.kind, &resource).labelled(keys::MASTER).metadata_only();
        let (out, changes) = mpsc::channel(WAITING);
        let of = Of { resource: Gvr { group: gvk.group.clone(), version: gvk.version.clone(), resource }, gvk };
        let taking_in = self.take_in(&of, changes, &pulse, &events);
        tokio::join!(follow::<Partial>(client, dependents, Arc::clone(&pulse), out), taking_in);
    }

    async fn take_in(&self, of: &Of, mut changes: mpsc::Receiver<News<Partial>>, pulse: &Pulse, events: &Events) {
        let gvk = &of.gvk;
        let mut listed = BTreeSet::new();
        while let Some(News { at, change }) = changes.recv().await {
            match change {
                Change::Begin => {
                    listed.clear();
                    continue;
                }
                Change::Listed(partial) => {
                    listed.insert(self.show(of, &partial.metadata, events));
                    continue;
                }
                Change::Complete => self.ledger.retain(&gvk.group, &gvk.kind, |key| listed.contains(key)),
                Change::Applied(partial) => {
                    self.show(of, &partial.metadata, events);
                }
                Change::Removed(partial) => self.ledger.hide(&partial.metadata.key(gvk)),
                Change::Alive => {}
            }
            pulse.beat(at);
        }
    }

    fn show(&self, of: &Of, metadata: &PartialMetadata, events: &Events) -> Key {
        let key = metadata.key(&of.gvk);
        match metadata.stamp(&of.gvk) {
            Some(stamp) => {
                if self.ledger.show(key.clone(), &metadata.uid, &stamp.record) == Shown::Admitted {
                    self.tell(of, &key, &stamp, events);
                }
            }
            None => self.ledger.hide(&key),
        }
        key
    }

    /// Tells of a create that was admitted here, now that its object is there with its stamp.
    fn tell(&self, of: &Of, key: &Key, stamp: &Stamp, events: &Events) {
        self.admitted.fetch_add(1, Ordering::Relaxed);
        let record = &stamp.record;
        tracing::info!(
            kind = %of.gvk,
            namespace = key.namespace,
            object = key.name,
            account = %record.account,
            workload = %record.workload,
            template = template_text(&record.template.config_map, Some(&record.template.key)),
            "dependent admitted"
        );
        events.tell(told::admitted(&of.resource, &of.gvk.kind, key, stamp));
    }
}

/// What one watch is of.
#[derive(Clone, Debug)]
struct Of {
    gvk: Gvk,
    resource: Gvr,
}

/// Whether dependents of a kind are watched and counted. Secrets are not: the right to list their metadata is the right
/// to read their content, which the webhook must not have (threat 15); a ResourceQuota bounds them.
pub(crate) fn watched(gvk: &Gvk) -> bool {
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
    #[serde(default)]
    labels: Labels,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Annotations {
    #[serde(rename = "fledged.io/admission")]
    admission: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Labels {
    #[serde(rename = "fledged.io/expires-at")]
    expires_at: Option<String>,
}

impl PartialMetadata {
    fn key(&self, gvk: &Gvk) -> Key {
        Key::new(gvk, &self.namespace, &self.name)
    }

    /// The stamp, if it is one and this object's own, whatever its deadline.
    fn stamp(&self, gvk: &Gvk) -> Option<Stamp> {
        let marks =
            Marks { admission: self.annotations.admission.as_deref(), expires_at: None, master: true, template: true };
        let mut stamp = stamp::read(marks, gvk, &self.namespace, &self.name).ok().flatten()?;
        stamp.deadline = self.labels.expires_at.as_deref().and_then(|label| lifetime::read_label(label).ok());
        Some(stamp)
    }
}

impl Watchable for Partial {
    fn version(&self) -> Option<&str> {
        self.metadata.resource_version.as_deref()
    }
    fn complete(&mut self, _: &Watched) {}
}
