//! The live objects that the API server's own plugins put into others: accounts, limits, classes, custom kinds.
//!
//! What is kept of them is [`Facts`]' business; here they are watched, applied one by one, and published whole. A
//! watch that fails, for whatever reason, makes the snapshot too old to judge by, never emptier. Definitions of custom
//! kinds are large, and most are nobody's concern: [`definitions`] watches those whose kinds templates name.

mod definitions;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use kube::Client;
use policies::object::{Gvk, NamespacedName};
use policies::tables::{Completeness, Facts};
use serde_json::Value;
use tokio::sync::{mpsc, watch};

use self::definitions::{Defined, Definitions};
use super::templates::Templates;
use super::watch::{Change, News, Pulse, Stale, Watched, follow};

/// What is watched: `apiVersion`, kind, resource.
const KINDS: [(&str, &str, &str); 6] = [
    ("v1", "ServiceAccount", "serviceaccounts"),
    ("v1", "LimitRange", "limitranges"),
    ("scheduling.k8s.io/v1", "PriorityClass", "priorityclasses"),
    ("node.k8s.io/v1", "RuntimeClass", "runtimeclasses"),
    ("storage.k8s.io/v1", "StorageClass", "storageclasses"),
    ("networking.k8s.io/v1", "IngressClass", "ingressclasses"),
];
/// The kind whose names are kept too.
const ACCOUNTS: &str = "ServiceAccount";
/// Changes that may wait to be taken in.
const WAITING: usize = 64;

/// The live facts.
#[derive(Debug)]
pub struct LiveFacts {
    /// The facts being changed; [`Self::published`] is what verdicts see.
    latest: Mutex<Facts>,
    published: ArcSwap<Facts>,
    accounts: watch::Sender<Arc<BTreeSet<NamespacedName>>>,
    pulses: [Arc<Pulse>; KINDS.len()],
    definitions: Arc<Definitions>,
}

impl Default for LiveFacts {
    fn default() -> Self {
        Self {
            latest: Mutex::new(Facts::new(Completeness::Cluster)),
            published: ArcSwap::from_pointee(Facts::new(Completeness::Cluster)),
            accounts: watch::Sender::new(Arc::default()),
            pulses: std::array::from_fn(|_| Arc::default()),
            definitions: Arc::new(Definitions::new(false)),
        }
    }
}

impl LiveFacts {
    /// For whom no verdict goes by them ([`Pulse::unhurried`]).
    pub(crate) fn unhurried() -> Self {
        let pulses = std::array::from_fn(|_| Arc::new(Pulse::unhurried()));
        Self { pulses, definitions: Arc::new(Definitions::new(true)), ..Self::default() }
    }

    /// The facts as they are now; of custom kinds those that templates name, as far as their definitions were read.
    ///
    /// # Errors
    /// When one of the watches was never complete, or is without proof of life for too long.
    pub fn snapshot(&self) -> Result<Arc<Facts>, Stale> {
        for (pulse, (_, _, resource)) in self.pulses.iter().zip(KINDS) {
            pulse.fresh(resource)?;
        }
        Ok(self.published.load_full())
    }

    /// The facts as they are now, with the definition of `kind`, which a template names.
    ///
    /// # Errors
    /// As [`Self::snapshot`]; and when the definition was not read, or is without proof of life for too long, or is
    /// beyond what is kept of one.
    pub async fn of(&self, kind: &Gvk) -> Result<Arc<Facts>, Stale> {
        self.definitions.wait(kind).await?;
        self.snapshot()
    }

    /// A kind of these whose definition is still being read, for readiness, which waits for that a moment.
    pub(crate) fn settling<'a>(&self, kinds: impl IntoIterator<Item = &'a Gvk>) -> Option<Gvk> {
        self.definitions.settling(kinds)
    }

    /// These facts, known to be true until a minute after `fresh`.
    pub(crate) fn still(facts: Facts, fresh: Instant) -> Self {
        let definitions = Arc::new(Definitions::given());
        let still = Self { published: ArcSwap::from_pointee(facts), definitions, ..Self::default() };
        still.pulses.iter().for_each(|pulse| pulse.beat(fresh));
        still
    }

    /// How old the oldest part may be; none before all were read.
    pub(crate) fn age(&self) -> Option<Duration> {
        self.pulses.iter().map(|pulse| pulse.age()).try_fold(Duration::ZERO, |oldest, age| Some(oldest.max(age?)))
    }

    /// Whether the accounts are known, whatever else is.
    pub(crate) fn knows_accounts(&self) -> bool {
        self.pulses
            .iter()
            .zip(KINDS)
            .all(|(pulse, (_, kind, resource))| kind != ACCOUNTS || pulse.fresh(resource).is_ok())
    }

    /// Every ServiceAccount, by name.
    pub fn accounts(&self) -> watch::Receiver<Arc<BTreeSet<NamespacedName>>> {
        self.accounts.subscribe()
    }

    /// Watches, for ever; of custom kinds those that `templates` name.
    pub(crate) async fn run(self: Arc<Self>, client: Client, templates: Arc<Templates>) {
        let facts = Arc::clone(&self);
        let heard = Arc::new(move |defined| facts.define(defined));
        let defining = Arc::clone(&self.definitions).run(client.clone(), templates, heard);
        let watches = KINDS.iter().zip(&self.pulses).map(|((api_version, kind, resource), pulse)| {
            let (out, changes) = mpsc::channel(WAITING);
            let watched = Watched::new(api_version, kind, resource);
            let following = follow::<Value>(client.clone(), watched, Arc::clone(pulse), out);
            futures::future::join(following, self.take_in(kind, changes, pulse))
        });
        tokio::join!(futures::future::join_all(watches), defining);
    }

    fn define(&self, defined: Defined) {
        let mut facts = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        match defined {
            Defined::As(name, definition) => facts.define(&name, Arc::new(definition)),
            Defined::Gone(name) => facts.remove("CustomResourceDefinition", "", &name),
        }
        self.published.store(Arc::new(facts.clone()));
    }

    async fn take_in(&self, kind: &str, mut changes: mpsc::Receiver<News<Value>>, pulse: &Pulse) {
        let mut names: Arc<BTreeSet<NamespacedName>> = Arc::default();
        let mut listed = BTreeSet::new();
        while let Some(News { at, change }) = changes.recv().await {
            let beats = !matches!(change, Change::Begin | Change::Listed(_));
            // A list is published when it is complete.
            let changed = !matches!(change, Change::Begin | Change::Listed(_) | Change::Alive);
            {
                let mut facts = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
                match change {
                    Change::Begin => listed.clear(),
                    Change::Listed(object) => {
                        facts.apply(&object);
                        listed.insert(name_of(&object));
                    }
                    Change::Complete => {
                        for gone in names.difference(&listed) {
                            facts.remove(kind, &gone.namespace, &gone.name);
                        }
                        names = Arc::new(std::mem::take(&mut listed));
                    }
                    Change::Applied(object) => {
                        facts.apply(&object);
                        Arc::make_mut(&mut names).insert(name_of(&object));
                    }
                    Change::Removed(object) => {
                        let gone = name_of(&object);
                        facts.remove(kind, &gone.namespace, &gone.name);
                        Arc::make_mut(&mut names).remove(&gone);
                    }
                    Change::Alive => {}
                }
                // Many changes at once are published once.
                if changed && changes.is_empty() {
                    self.published.store(Arc::new(facts.clone()));
                }
            }
            if beats {
                pulse.beat(at);
            }
            if beats && changed && kind == ACCOUNTS {
                self.accounts.send_replace(Arc::clone(&names));
            }
        }
    }
}

fn name_of(object: &Value) -> NamespacedName {
    let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default();
    NamespacedName::new(text("namespace"), text("name"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
    use serde_json::json;

    use super::*;

    fn account(name: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"namespace": "trading", "name": name}})
    }

    async fn after(changes: Vec<Change<Value>>) -> LiveFacts {
        let facts = LiveFacts::default();
        let (out, taken) = mpsc::channel(WAITING);
        for change in changes {
            out.send(News { at: Instant::now(), change }).await.unwrap();
        }
        drop(out);
        facts.take_in(ACCOUNTS, taken, &facts.pulses[0]).await;
        facts
    }

    fn names(facts: &LiveFacts) -> Vec<String> {
        facts.accounts().borrow().iter().map(|name| name.name.clone()).collect()
    }

    #[tokio::test]
    async fn accounts_follow_lists_and_events() {
        let list = |names: &[&str]| {
            let listed = names.iter().map(|name| Change::Listed(account(name)));
            [vec![Change::Begin], listed.collect(), vec![Change::Complete]].concat()
        };
        let facts = after(list(&["a", "b"])).await;
        assert_eq!(names(&facts), ["a", "b"]);
        let facts =
            after([list(&["a", "b"]), vec![Change::Applied(account("c")), Change::Removed(account("a"))]].concat());
        assert_eq!(names(&facts.await), ["b", "c"]);
        let facts = after([list(&["a", "b"]), list(&["b"])].concat()).await;
        assert_eq!(names(&facts), ["b"]);
    }

    #[tokio::test]
    async fn one_watch_that_never_synced_keeps_all_facts_from_being_judged_by() {
        let facts = after(vec![Change::Begin, Change::Complete]).await;
        assert!(facts.snapshot().unwrap_err().to_string().contains("limitranges"));
        facts.pulses.iter().for_each(|pulse| pulse.beat(Instant::now()));
        assert!(facts.snapshot().is_ok());
    }
}
