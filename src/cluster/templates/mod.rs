//! The templates of the cluster: every labelled ConfigMap, watched, compiled once per content, published whole.
//!
//! A verdict takes one snapshot and judges by it. A ConfigMap that is deleted, or loses the label, is gone from the
//! next snapshot, milliseconds later; one that cannot be compiled is unusable alone, and so is one that is still being
//! compiled: neither the watch nor the first list nor any other ConfigMap waits for a compile that takes long.
//!
//! The rooms: [`known`] says what may be said of each ConfigMap now, [`compile_queue`] which one is compiled next, in
//! [`turns`]; [`compiler`] compiles, on [`threads`].

mod compile_queue;
mod compiler;
mod known;
mod threads;
mod turns;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use kube::Client;
use policies::keys;
use policies::library::{Library, TemplateSet};
use policies::lint::Linted;
use policies::object::{Gvk, NamespacedName};
use serde_json::Value;
use tokio::sync::{mpsc, watch};

use super::client::{self, Detail, path};
use super::watch::{Change, News, Pulse, Stale, Watched, follow};
use compiler::{Compiler, Source, log_problems};
use known::{Known, PATIENCE, PATIENCE_IN_ALL};

/// Changes that may wait to be taken in; the watch waits beyond that. Each may be a ConfigMap of more than a megabyte.
const WAITING: usize = 4;
/// ConfigMaps per page of a list: the API server, too, has a page in memory.
const PAGE: u32 = 50;
/// Bytes that are kept of all template ConfigMaps, where nothing else is said ([`crate::memory`]).
pub const KEPT: u64 = 192 << 20;

/// The compiled templates at one instant, with what others need to know of them.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The templates.
    pub library: Arc<Library>,
    /// The kinds that they make.
    pub kinds: BTreeSet<Gvk>,
    /// Where they make them.
    pub namespaces: BTreeSet<String>,
    /// Bytes that what is kept takes in use, by the estimate.
    pub memory: u64,
}

impl Snapshot {
    /// `loaded`: the sets whose kinds and namespaces count, also those of ConfigMaps whose next version is compiled: what
    /// is watched for them stays watched.
    fn of(library: Library, loaded: &[&Arc<TemplateSet>]) -> Self {
        let kinds = loaded.iter().flat_map(|set| set.templates.kinds().cloned()).collect();
        let namespaces = loaded.iter().flat_map(|set| set.namespaces.iter().cloned()).collect();
        Self { library: Arc::new(library), kinds, namespaces, memory: 0 }
    }
}

/// Every template of the cluster.
#[derive(Debug)]
pub struct Templates {
    current: ArcSwap<Snapshot>,
    pulse: Arc<Pulse>,
    changed: watch::Sender<u64>,
    /// Bytes that are kept of all together.
    kept: u64,
}

impl Default for Templates {
    fn default() -> Self {
        Self { current: ArcSwap::default(), pulse: Arc::default(), changed: watch::Sender::new(0), kept: KEPT }
    }
}

impl Templates {
    /// So many bytes are kept of all together.
    #[must_use]
    pub(crate) fn keeping(mut self, bytes: u64) -> Self {
        self.kept = bytes;
        self
    }

    /// Warns where there may be no room for this ConfigMap, whose older version goes.
    pub(crate) fn warn_of_room(&self, config_map: &Value, linted: &mut Linted) {
        let text = |key: &str| config_map["metadata"][key].as_str().unwrap_or_default();
        let known = self.last();
        let older = known.library.sets.get(&NamespacedName::new(text("namespace"), text("name")));
        let others = known.memory.saturating_sub(older.map_or(0, |set| set.weight.total()));
        linted.warn_of_room(others, self.kept);
    }

    /// Bytes that are kept of all together, at most.
    pub(crate) fn bound(&self) -> u64 {
        self.kept
    }

    /// For whom no verdict goes by them ([`Pulse::unhurried`]).
    pub(crate) fn unhurried() -> Self {
        Self { pulse: Arc::new(Pulse::unhurried()), ..Self::default() }
    }

    /// The templates as they are now.
    ///
    /// # Errors
    /// When they were never read, or without proof of life for too long: a revoked template might still be in them.
    pub fn snapshot(&self) -> Result<Arc<Snapshot>, Stale> {
        self.pulse.fresh("template ConfigMaps")?;
        Ok(self.current.load_full())
    }

    /// These templates, known to be true until a minute after `fresh`.
    pub(crate) fn still(library: Library, fresh: Instant) -> Self {
        let templates = Self::default();
        let loaded: Vec<_> = library.sets.values().cloned().collect();
        let loaded: Vec<_> = loaded.iter().collect();
        templates.current.store(Arc::new(Snapshot::of(library, &loaded)));
        templates.pulse.beat(fresh);
        templates
    }

    /// Tells whenever there is another snapshot.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// How old the snapshot may be; none before it was read.
    pub(crate) fn age(&self) -> Option<Duration> {
        self.pulse.age()
    }

    /// The last snapshot, however old.
    pub(crate) fn last(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Watches, for ever.
    pub(crate) async fn run(self: Arc<Self>, client: Client) {
        let watched = Watched::new("v1", "ConfigMap", "configmaps").labelled(&format!("{}=true", keys::TEMPLATES));
        let watched = watched.in_pages_of(PAGE);
        let (out, changes) = mpsc::channel(WAITING);
        let compiler = Compiler::default();
        let compile = |source| compiler.compile(source);
        let reads = client.clone();
        let read = move |name| read_one(reads.clone(), name);
        tokio::join!(
            follow::<Value>(client, watched, Arc::clone(&self.pulse), out),
            self.take_in(changes, compile, read)
        );
    }

    /// Takes in changes until there are no more. Waits for no compile.
    async fn take_in<C, R>(
        &self,
        mut changes: mpsc::Receiver<News<Value>>,
        compile: impl Fn(Source) -> C,
        read: impl Fn(Arc<NamespacedName>) -> R,
    ) where
        C: Future<Output = Option<TemplateSet>> + Send + 'static,
        R: Future<Output = Option<Value>> + Send + 'static,
    {
        let mut known = Known::bounded(self.kept);
        let (mut compiling, mut reading) = (FuturesUnordered::new(), FuturesUnordered::new());
        // When the API server is known to have said what is known; none if that is told.
        let mut as_of = None;
        loop {
            let now = tokio::time::Instant::now();
            for name in known.tick(now) {
                tracing::warn!(
                    config_map = %name,
                    "a template ConfigMap takes longer than {} s to compile: its masters are refused until it is done, no \
                     others; its author should simplify it",
                    PATIENCE.as_secs()
                );
            }
            while let Some((name, source)) = known.next(now) {
                let content = source.content;
                let made = compile(source);
                compiling.push(async move { (name, content, made.await) });
            }
            while let Some(name) = known.next_read(now) {
                let found = read(Arc::clone(&name));
                reading.push(async move { (name, found.await) });
            }
            if known.is_due(now, changes.is_empty()) {
                self.publish(&mut known, now, &mut as_of);
            }
            self.beat(&known, &mut as_of);
            let full_until = known.is_full_until(now);
            let wake_at = known.wake_at().into_iter().chain(full_until).min();
            tokio::select! {
                Some((name, content, made)) = compiling.next() => {
                    let made = known.compiled(&name, content, made, tokio::time::Instant::now());
                    if let Some((set, slow)) = made {
                        log_problems(&set);
                        if let Some(took) = slow {
                            tracing::info!(config_map = %name, ?took, "a template ConfigMap is compiled that took long");
                        }
                    }
                }
                Some((name, found)) = reading.next() => known.was_read(&name, found, tokio::time::Instant::now()),
                change = changes.recv(), if full_until.is_none() => {
                    let Some(News { at, change }) = change else { return };
                    as_of = as_of.max(Some(at));
                    let now = tokio::time::Instant::now();
                    match change {
                        Change::Begin => known.begin(now),
                        Change::Listed(config_map) | Change::Applied(config_map) => known.see(config_map, now),
                        Change::Complete => known.complete(now),
                        Change::Removed(config_map) => known.remove(&config_map, now),
                        Change::Alive => {}
                    }
                }
                () = wake(wake_at) => {}
            }
        }
    }

    fn publish(&self, known: &mut Known, now: tokio::time::Instant, as_of: &mut Option<Instant>) {
        self.current.store(Arc::new(known.publish(now, Timestamp::now())));
        // Whoever is told of a change asks at once whether it may be judged by, and not again until the next one.
        self.beat(known, as_of);
        self.changed.send_modify(|count| *count += 1);
        if let Some(count) = known.first_list_waits_for() {
            self.pulse.ail(format!(
                "{count} of them are still being compiled, for which it waits {} s at most",
                PATIENCE_IN_ALL.as_secs()
            ));
        }
    }

    /// What is known is as the API server had it, if all of it is published.
    fn beat(&self, known: &Known, as_of: &mut Option<Instant>) {
        if known.is_fresh()
            && let Some(at) = as_of.take()
        {
            self.pulse.beat(at);
        }
    }
}

/// Reads one ConfigMap; none if it is not there, or did not come.
async fn read_one(client: Client, name: Arc<NamespacedName>) -> Option<Value> {
    let path = path("v1", "configmaps", Some(&name.namespace), &name.name).ok()?;
    match client::read(&client, &format!("ConfigMap {name}"), &path, Detail::Whole).await {
        Ok(found) => found,
        Err(error) => {
            tracing::debug!(%error, config_map = %name, "a template ConfigMap could not be read; it is tried again");
            None
        }
    }
}

async fn wake(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
