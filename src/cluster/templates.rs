//! The templates of the cluster: every labelled ConfigMap, watched, compiled once per content, published whole.
//!
//! A verdict takes one snapshot and judges by it. A ConfigMap that is deleted, or loses the label, is gone from the
//! next snapshot, milliseconds later; one that cannot be compiled is unusable alone.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use kube::Client;
use policies::accept::Accepted;
use policies::keys;
use policies::library::{Library, Masters, Problem, Severity, TemplateSet, Templates as LoadedTemplates};
use policies::object::{Gvk, NamespacedName};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::watch::{Change, News, Pulse, Stale, Watched, follow};

/// How long the old version of a ConfigMap stands while its new one is compiled; a withdrawal takes effect within a
/// second even if somebody else's ConfigMap takes long.
const COMPILE_PATIENCE: Duration = Duration::from_millis(400);
/// Changes that may wait to be taken in; the watch waits beyond that.
const WAITING: usize = 64;
/// How many ConfigMaps of a list are compiled at once: each thread that compiles leaves its own scraps in the heap.
const AT_ONCE: usize = 2;
/// How long changes may come in one after the other before what is known so far is published: that takes some
/// milliseconds with ten thousand ConfigMaps, and a withdrawal must not wait for the end of a flood.
const FLOOD: Duration = Duration::from_millis(100);

/// The compiled templates at one instant, with what others need to know of them.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The templates.
    pub library: Arc<Library>,
    /// The kinds that they make.
    pub kinds: BTreeSet<Gvk>,
    /// Where they make them.
    pub namespaces: BTreeSet<String>,
}

impl Snapshot {
    fn of(library: Library) -> Self {
        let kinds = library.sets.values().flat_map(|set| set.templates.kinds().cloned()).collect();
        let namespaces = library.sets.values().flat_map(|set| set.namespaces.iter().cloned()).collect();
        Self { library: Arc::new(library), kinds, namespaces }
    }
}

/// Every template of the cluster.
#[derive(Debug)]
pub struct Templates {
    current: ArcSwap<Snapshot>,
    pulse: Arc<Pulse>,
    changed: watch::Sender<u64>,
}

impl Default for Templates {
    fn default() -> Self {
        Self { current: ArcSwap::default(), pulse: Arc::default(), changed: watch::Sender::new(0) }
    }
}

impl Templates {
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
        templates.current.store(Arc::new(Snapshot::of(library)));
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
        let (out, changes) = mpsc::channel(WAITING);
        tokio::join!(follow::<Value>(client, watched, Arc::clone(&self.pulse), out), self.take_in(changes));
    }

    async fn take_in(&self, mut changes: mpsc::Receiver<News<Value>>) {
        let mut known: HashMap<Arc<NamespacedName>, Compiled> = HashMap::new();
        let mut listing = Listing::default();
        // Since when something is known that is not published.
        let mut held: Option<Instant> = None;
        while let Some(News { at, change }) = changes.recv().await {
            match change {
                Change::Begin => listing = Listing::default(),
                Change::Listed(object) => listing.add(object, &known).await,
                Change::Complete => {
                    known = std::mem::take(&mut listing).complete().await;
                    held = None;
                    self.publish(&known, None, Some(at));
                    continue;
                }
                Change::Applied(object) => {
                    let name = name_of(&object);
                    let before = known.get(&name).cloned();
                    let compiling = compile(object, before.as_ref());
                    let mut compiling = std::pin::pin!(compiling);
                    let compiled = match tokio::time::timeout(COMPILE_PATIENCE, &mut compiling).await {
                        Ok(compiled) => compiled,
                        Err(_) => {
                            self.publish(&known, Some(&name), None);
                            compiling.await
                        }
                    };
                    known.insert(name.into(), compiled);
                    held.get_or_insert_with(Instant::now);
                }
                Change::Removed(object) => {
                    known.remove(&name_of(&object));
                    held.get_or_insert_with(Instant::now);
                }
                Change::Alive if held.is_none() => self.pulse.beat(at),
                Change::Alive => {}
            }
            if held.is_some_and(|since| changes.is_empty() || since.elapsed() > FLOOD) {
                held = None;
                self.publish(&known, None, Some(at));
            }
        }
    }

    /// Publishes `known`, but for `without`, as what the server is known to have said at `at`.
    fn publish(
        &self,
        known: &HashMap<Arc<NamespacedName>, Compiled>,
        without: Option<&NamespacedName>,
        at: Option<Instant>,
    ) {
        let stand = known.iter().filter(|(name, _)| Some(&***name) != without);
        let sets = stand.map(|(name, compiled)| (Arc::clone(name), Arc::clone(&compiled.set))).collect();
        self.current.store(Arc::new(Snapshot::of(Library { sets })));
        if let Some(at) = at {
            self.pulse.beat(at);
        }
        self.changed.send_modify(|count| *count += 1);
    }
}

/// A list that is being read, its ConfigMaps compiled several at once.
#[derive(Default)]
struct Listing {
    done: HashMap<Arc<NamespacedName>, Compiled>,
    under_way: JoinSet<(NamespacedName, Compiled)>,
}

impl Listing {
    async fn add(&mut self, object: Value, known: &HashMap<Arc<NamespacedName>, Compiled>) {
        while self.under_way.len() >= AT_ONCE {
            self.one().await;
        }
        let name = name_of(&object);
        let before = known.get(&name).cloned();
        self.under_way.spawn(async move {
            let compiled = compile(object, before.as_ref()).await;
            (name, compiled)
        });
    }

    async fn one(&mut self) {
        match self.under_way.join_next().await {
            Some(Ok((name, compiled))) => {
                self.done.insert(name.into(), compiled);
            }
            // Compiling catches its own panics; this one is of the code around it.
            Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Some(Err(_)) | None => {}
        }
    }

    async fn complete(mut self) -> HashMap<Arc<NamespacedName>, Compiled> {
        while !self.under_way.is_empty() {
            self.one().await;
        }
        self.done
    }
}

/// A ConfigMap as compiled, and of which content.
#[derive(Clone, Debug)]
struct Compiled {
    content: [u8; 32],
    set: Arc<TemplateSet>,
}

/// Compiles `config_map`, unless `before` is of the same content.
async fn compile(config_map: Value, before: Option<&Compiled>) -> Compiled {
    let content = content(&config_map);
    if let Some(before) = before.filter(|before| before.content == content) {
        let text = |pointer: &str| config_map.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let mut set = TemplateSet::clone(&before.set);
        set.uid = text("/metadata/uid").into();
        set.version = text("/metadata/resourceVersion").into();
        return Compiled { content, set: Arc::new(set) };
    }
    let (name, identity) = (name_of(&config_map), config_map["metadata"].clone());
    // On a thread of its own: compiling is work, and a template that makes us panic is out alone.
    let set = match tokio::task::spawn_blocking(move || TemplateSet::load(&config_map)).await {
        Ok(set) => set,
        Err(_) => broken(name.clone(), &identity),
    };
    for problem in &set.problems {
        match problem.severity {
            Severity::Error => {
                tracing::warn!(config_map = %name, key = ?problem.key, line = ?problem.line, problem = problem.message, "a template cannot be used")
            }
            Severity::Warning => {
                tracing::debug!(config_map = %name, key = ?problem.key, line = ?problem.line, problem = problem.message, "a template gives cause for concern")
            }
        }
    }
    Compiled { content, set: Arc::new(set) }
}

/// A ConfigMap of which nothing can be used.
fn broken(name: NamespacedName, metadata: &Value) -> TemplateSet {
    let text = |key: &str| metadata[key].as_str().unwrap_or_default().to_owned();
    TemplateSet {
        name,
        uid: text("uid"),
        version: text("resourceVersion"),
        hash: String::new(),
        masters: Masters::Named(Arc::default()),
        duration: None,
        max_dependents: None,
        allow: BTreeSet::new(),
        allow_masters: false,
        accepted: Accepted::default(),
        templates: LoadedTemplates::default(),
        namespaces: Arc::default(),
        needs: Vec::new(),
        problems: vec![Problem {
            severity: Severity::Error,
            key: None,
            line: None,
            message: "reading it made retinue panic, which is a fault of retinue; the other ConfigMaps keep working"
                .into(),
        }],
    }
}

/// A hash of all that compiling looks at.
fn content(config_map: &Value) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [
        &config_map["data"],
        &config_map["binaryData"],
        &config_map["metadata"]["annotations"],
        &config_map["metadata"]["labels"],
    ] {
        hash.update(part.to_string());
        hash.update([0]);
    }
    hash.finalize().into()
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

    fn config_map(name: &str, version: &str, text: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {
                "namespace": "trading", "name": name, "uid": format!("uid-{name}"), "resourceVersion": version,
                "labels": {"fledged.io/templates": "true"},
            },
            "data": {"job.yaml": text},
        })
    }

    async fn after(changes: Vec<Change<Value>>) -> Templates {
        let templates = Templates::default();
        let (out, taken) = mpsc::channel(WAITING);
        for change in changes {
            out.send(News { at: Instant::now(), change }).await.unwrap();
        }
        drop(out);
        templates.take_in(taken).await;
        templates
    }

    fn names(templates: &Templates) -> BTreeSet<String> {
        templates.snapshot().unwrap().library.sets.keys().map(ToString::to_string).collect()
    }

    fn base() -> Vec<Change<Value>> {
        vec![
            Change::Begin,
            Change::Listed(config_map("a", "1", "x")),
            Change::Listed(config_map("b", "1", "x")),
            Change::Complete,
        ]
    }

    #[tokio::test]
    async fn nothing_is_judged_by_before_the_first_list_is_complete() {
        let mut half = base();
        half.pop();
        assert!(after(half).await.snapshot().is_err());
        assert_eq!(names(&after(base()).await), ["trading/a", "trading/b"].map(String::from).into());
    }

    #[tokio::test]
    async fn threat_32_what_is_removed_or_missing_from_a_new_list_is_gone() {
        let removed = after([base(), vec![Change::Removed(config_map("a", "2", "x"))]].concat()).await;
        assert_eq!(names(&removed), ["trading/b".to_owned()].into());
        let list = vec![Change::Begin, Change::Listed(config_map("b", "1", "x")), Change::Complete];
        assert_eq!(names(&after([base(), list].concat()).await), ["trading/b".to_owned()].into());
    }

    #[tokio::test]
    async fn a_content_is_compiled_once_and_its_version_follows() {
        let before = Compiled {
            content: content(&config_map("a", "1", "x")),
            set: Arc::new(TemplateSet {
                hash: "compiled before".into(),
                ..broken(NamespacedName::new("trading", "a"), &Value::Null)
            }),
        };
        let same = compile(config_map("a", "2", "x"), Some(&before)).await;
        assert_eq!((same.set.hash.as_str(), same.set.version.as_str()), ("compiled before", "2"));
        let other = compile(config_map("a", "3", "y"), Some(&before)).await;
        assert_ne!(other.set.hash, "compiled before");
    }
}
