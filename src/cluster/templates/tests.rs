#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use policies::library::Severity;
use policies::object::NamespacedName;
use serde_json::json;
use tokio::sync::oneshot;

use super::*;
use crate::cluster::templates::compiler::broken;

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

/// Compiles that the test ends: those of a ConfigMap whose text is `slow` wait until it says so, `panic` panics, and all
/// others are done at once.
#[derive(Clone, Debug, Default)]
struct Compiles(Arc<Mutex<BTreeMap<String, Vec<oneshot::Sender<()>>>>>);

impl Compiles {
    fn begin(&self, source: &Source) -> impl Future<Output = Option<TemplateSet>> + Send + 'static + use<> {
        let config_map: Value = serde_json::from_str(&source.text).unwrap();
        let text = config_map["data"]["job.yaml"].as_str().unwrap().to_owned();
        let name = config_map["metadata"]["name"].as_str().unwrap().to_owned();
        let (end, ended) = oneshot::channel();
        if text.starts_with("slow") {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default().push(end);
        }
        async move {
            match text.as_str() {
                "panic" => return None,
                text if text.starts_with("slow") => ended.await.unwrap(),
                _ => {}
            }
            Some(TemplateSet { hash: text, ..TemplateSet::load(&config_map) })
        }
    }

    /// How many compiles of a ConfigMap were begun and not ended.
    fn under_way(&self, name: &str) -> usize {
        self.0.lock().unwrap().get(name).map_or(0, Vec::len)
    }

    fn end(&self, name: &str) {
        self.0.lock().unwrap().get_mut(name).unwrap().remove(0).send(()).unwrap();
    }
}

/// Templates that take in what a test sends. Time is paused: it passes when nobody has anything to do.
struct World {
    templates: Arc<Templates>,
    compiles: Compiles,
    watch: mpsc::Sender<News<Value>>,
    changes: watch::Receiver<u64>,
    /// What is read by name.
    there: Stored,
}

type Stored = Arc<Mutex<BTreeMap<String, Value>>>;

impl World {
    fn new() -> Self {
        Self::keeping(KEPT)
    }

    fn keeping(bytes: u64) -> Self {
        let (templates, compiles) = (Arc::new(Templates::default().keeping(bytes)), Compiles::default());
        let (watch, taken) = mpsc::channel(WAITING);
        let changes = templates.changes();
        let (taking, begun) = (Arc::clone(&templates), compiles.clone());
        let there: Stored = Arc::default();
        let stored = Arc::clone(&there);
        let read = move |name: Arc<NamespacedName>| {
            let found = stored.lock().unwrap_or_else(PoisonError::into_inner).get(&name.name).cloned();
            async move { found }
        };
        tokio::spawn(async move { taking.take_in(taken, |source| begun.begin(&source), read).await });
        Self { templates, compiles, watch, changes, there }
    }

    async fn listed(config_maps: &[(&str, &str)]) -> Self {
        let world = Self::new();
        world.list(config_maps).await;
        world
    }

    async fn tell(&self, change: Change<Value>) {
        self.watch.send(News { at: Instant::now(), change }).await.unwrap();
    }

    async fn list(&self, config_maps: &[(&str, &str)]) {
        self.tell(Change::Begin).await;
        for (name, text) in config_maps {
            self.tell(Change::Listed(config_map(name, "1", text))).await;
        }
        self.tell(Change::Complete).await;
    }

    async fn apply(&self, name: &str, version: &str, text: &str) {
        self.tell(Change::Applied(config_map(name, version, text))).await;
    }

    /// What stands once `holds` of it, and how long that took.
    async fn until(&mut self, holds: impl Fn(&Stand) -> bool) -> (Stand, Duration) {
        let since = tokio::time::Instant::now();
        loop {
            let stand = self.stand();
            if holds(&stand) {
                return (stand, since.elapsed());
            }
            let changed = tokio::time::timeout(Duration::from_secs(120), self.changes.changed()).await;
            assert!(changed.is_ok(), "it never comes: {stand:?}");
        }
    }

    /// Until all that was sent is taken in, and a moment more.
    async fn settle(&self) -> Stand {
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.stand()
    }

    fn stand(&self) -> Stand {
        let ready = self.templates.snapshot().map(drop).map_err(|stale| stale.to_string());
        let Snapshot { library, .. } = &*self.templates.last();
        let name = |name: &NamespacedName| name.name.clone();
        Stand {
            ready,
            sets: library.sets.iter().map(|(at, set)| (name(at), set.hash.clone())).collect(),
            compiling: library.compiling.iter().map(|(at, compiling)| (name(at), compiling.slow)).collect(),
        }
    }
}

/// What verdicts go by.
#[derive(Debug, PartialEq)]
struct Stand {
    ready: Result<(), String>,
    /// The texts of those that can be used.
    sets: BTreeMap<String, String>,
    /// Those that are being compiled, and whether that is slow.
    compiling: BTreeMap<String, bool>,
}

fn stand(sets: &[(&str, &str)], compiling: &[(&str, bool)]) -> Stand {
    let sets = sets.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    Stand { ready: Ok(()), sets, compiling: compiling.iter().map(|(name, slow)| ((*name).to_owned(), *slow)).collect() }
}

fn is_ready(stand: &Stand) -> bool {
    stand.ready.is_ok()
}

#[tokio::test(start_paused = true)]
async fn nothing_is_judged_by_before_the_first_list_is_complete() {
    let mut world = World::new();
    world.tell(Change::Begin).await;
    world.tell(Change::Listed(config_map("a", "1", "x"))).await;
    world.tell(Change::Listed(config_map("b", "1", "x"))).await;
    assert!(world.settle().await.ready.is_err());
    world.tell(Change::Complete).await;
    let (there, waited) = world.until(is_ready).await;
    assert_eq!(there, stand(&[("a", "x"), ("b", "x")], &[]));
    assert_eq!(waited, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn threat_32_what_is_removed_or_missing_from_a_new_list_is_gone() {
    let mut world = World::listed(&[("a", "x"), ("b", "x"), ("c", "x")]).await;
    world.until(is_ready).await;
    world.tell(Change::Removed(config_map("a", "2", "x"))).await;
    assert_eq!(world.settle().await, stand(&[("b", "x"), ("c", "x")], &[]));
    world.list(&[("b", "x")]).await;
    assert_eq!(world.settle().await, stand(&[("b", "x")], &[]));
}

#[tokio::test(start_paused = true)]
async fn a_content_is_compiled_once_and_its_version_follows() {
    let mut world = World::listed(&[("a", "slow")]).await;
    world.settle().await;
    world.compiles.end("a");
    world.until(is_ready).await;
    let mut same = config_map("a", "2", "slow");
    same["metadata"]["managedFields"] = json!([{"manager": "somebody"}]);
    same["metadata"]["annotations"] = json!({});
    let mut other = same.clone();
    other["metadata"]["annotations"] = json!({"fledged.io/duration": "1h"});
    let version = |world: &World| world.templates.last().library.sets.values().next().unwrap().version.clone();
    same["metadata"].as_object_mut().unwrap().remove("annotations");
    world.tell(Change::Applied(same)).await;
    world.settle().await;
    assert_eq!((version(&world).as_str(), world.compiles.under_way("a")), ("2", 0));
    world.tell(Change::Applied(other)).await;
    world.settle().await;
    assert_eq!((version(&world).as_str(), world.compiles.under_way("a")), ("2", 1));
}

#[tokio::test(start_paused = true)]
async fn threat_54_the_first_list_waits_two_seconds_for_a_compile_that_never_ends_and_no_longer() {
    let mut world = World::listed(&[("a", "x"), ("b", "slow"), ("c", "x")]).await;
    let unready = world.settle().await.ready.unwrap_err();
    assert!(unready.contains("list of template ConfigMaps"), "{unready}");
    let (there, waited) = world.until(is_ready).await;
    assert_eq!(there, stand(&[("a", "x"), ("c", "x")], &[("b", true)]));
    assert!(waited <= PATIENCE + Duration::from_millis(10), "{waited:?}");
    // The rest goes on: a change, a new one, a withdrawal, a later list.
    world.apply("a", "2", "y").await;
    world.apply("d", "2", "x").await;
    world.tell(Change::Removed(config_map("c", "2", "x"))).await;
    assert_eq!(world.settle().await, stand(&[("a", "y"), ("d", "x")], &[("b", true)]));
    world.list(&[("b", "slow"), ("d", "z"), ("e", "x")]).await;
    assert_eq!(world.settle().await, stand(&[("d", "z"), ("e", "x")], &[("b", true)]));
    assert_eq!(world.compiles.under_way("b"), 1, "the list has it begun no second time");
    // It is used once it is done.
    world.compiles.end("b");
    assert_eq!(world.settle().await, stand(&[("b", "slow"), ("d", "z"), ("e", "x")], &[]));
}

#[tokio::test(start_paused = true)]
async fn threat_54_the_first_list_is_read_no_faster_than_it_is_compiled_and_is_held_up_by_no_slow_one() {
    let world = World::new();
    world.tell(Change::Begin).await;
    world.tell(Change::Listed(config_map("first", "1", "x"))).await;
    // Four times what may wait, all slow: one that was quick has just ended.
    let text = format!("slow {}", "x".repeat(100_000));
    let since = tokio::time::Instant::now();
    for number in 0..40 {
        world.tell(Change::Listed(config_map(&format!("slow-{number}"), "1", &text))).await;
    }
    world.tell(Change::Complete).await;
    // More than fits between the watch and who takes in.
    for _ in 0..WAITING {
        world.tell(Change::Alive).await;
    }
    let held_up = since.elapsed();
    assert!(held_up > Duration::ZERO && held_up < Duration::from_millis(150), "{held_up:?}");
}

#[tokio::test(start_paused = true)]
async fn threat_54_however_many_never_end_the_first_list_waits_twenty_seconds_in_all() {
    let slow: Vec<_> = (0..100).map(|number| (format!("slow-{number}"), "slow")).collect();
    let all: Vec<_> = slow.iter().map(|(name, text)| (name.as_str(), *text)).chain([("a", "x")]).collect();
    let mut world = World::listed(&all).await;
    let (there, waited) = world.until(is_ready).await;
    assert!(waited > PATIENCE && waited <= PATIENCE_IN_ALL + Duration::from_millis(10), "{waited:?}");
    assert_eq!(there.compiling.len() + there.sets.len(), 101);
}

#[tokio::test(start_paused = true)]
async fn threat_54_proof_of_life_goes_on_while_a_compile_never_ends() {
    let mut world = World::listed(&[("a", "x")]).await;
    world.until(is_ready).await;
    world.apply("b", "2", "slow").await;
    world.settle().await;
    // Of a compile that has just begun, and of one that is slow.
    for _ in 0..2 {
        let told = Instant::now();
        world.tell(Change::Alive).await;
        world.settle().await;
        assert!(world.templates.age().unwrap() <= told.elapsed());
        tokio::time::sleep(PATIENCE * 2).await;
    }
    assert_eq!(world.stand(), stand(&[("a", "x")], &[("b", true)]));
}

#[tokio::test(start_paused = true)]
async fn a_new_config_map_whose_compile_takes_long_is_soon_said_to_be_compiled() {
    let mut world = World::listed(&[("a", "x")]).await;
    world.until(is_ready).await;
    let snapshots = || *world.changes.borrow();
    let before = snapshots();
    world.apply("c", "1", "x").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((world.stand(), snapshots()), (stand(&[("a", "x"), ("c", "x")], &[]), before + 1), "one snapshot");
    world.apply("b", "1", "slow").await;
    let (there, took) = world.until(|stand| !stand.compiling.is_empty()).await;
    assert_eq!(there, stand(&[("a", "x"), ("c", "x")], &[("b", false)]));
    assert!(took <= Duration::from_millis(101), "it was said to be absent for {took:?}");
}

#[tokio::test(start_paused = true)]
async fn the_old_version_stands_for_a_moment_while_the_new_one_is_compiled() {
    let mut world = World::listed(&[("a", "x"), ("b", "x")]).await;
    world.until(is_ready).await;
    world.apply("a", "2", "slow").await;
    assert_eq!(world.settle().await, stand(&[("a", "x"), ("b", "x")], &[]));
    // Changes that follow give it no more time.
    for version in 0..10 {
        tokio::time::sleep(Duration::from_millis(39)).await;
        world.apply("a", &version.to_string(), &format!("slow {version}")).await;
        assert_eq!(world.stand().sets.len(), 2);
    }
    let (there, waited) = world.until(|stand| stand.sets.len() == 1).await;
    assert_eq!(there, stand(&[("b", "x")], &[("a", false)]));
    assert!(waited < Duration::from_millis(150), "{waited:?}");
    // One compile at a time, and what the first makes is of an old version.
    assert_eq!(world.compiles.under_way("a"), 1);
    world.compiles.end("a");
    assert_eq!(world.settle().await, stand(&[("b", "x")], &[("a", false)]));
    assert_eq!(world.compiles.under_way("a"), 1);
    world.compiles.end("a");
    assert_eq!(world.settle().await, stand(&[("a", "slow 9"), ("b", "x")], &[]));
}

#[tokio::test(start_paused = true)]
async fn what_is_watched_for_the_old_version_stays_watched_while_the_new_one_is_compiled() {
    let job = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: x}\n";
    let mut world = World::listed(&[("a", job)]).await;
    world.until(is_ready).await;
    world.apply("a", "2", "slow").await;
    world.until(|stand| stand.compiling.contains_key("a")).await;
    let last = world.templates.last();
    assert_eq!(last.kinds, [Gvk::new("batch", "v1", "Job")].into());
    assert_eq!(last.namespaces, ["trading".to_owned()].into());
    world.tell(Change::Removed(config_map("a", "3", "slow"))).await;
    world.settle().await;
    assert!(world.templates.last().kinds.is_empty());
}

#[tokio::test(start_paused = true)]
async fn threat_54_a_removal_while_it_is_compiled_takes_effect_at_once() {
    let mut world = World::listed(&[("a", "slow"), ("b", "x")]).await;
    world.until(is_ready).await;
    world.tell(Change::Removed(config_map("a", "2", "slow"))).await;
    assert_eq!(world.settle().await, stand(&[("b", "x")], &[]));
    // Made anew with another content, it waits for the compile that runs; what that makes counts for nothing.
    world.apply("a", "3", "y").await;
    world.until(|stand| stand.compiling.contains_key("a")).await;
    world.compiles.end("a");
    assert_eq!(world.settle().await, stand(&[("a", "y"), ("b", "x")], &[]));
}

#[tokio::test(start_paused = true)]
async fn a_compile_that_panics_leaves_its_config_map_broken_and_no_other() {
    let mut world = World::listed(&[("a", "panic"), ("b", "x")]).await;
    let (there, _) = world.until(is_ready).await;
    assert_eq!(there, stand(&[("a", ""), ("b", "x")], &[]));
    let last = world.templates.last();
    let set = &last.library.sets[&NamespacedName::new("trading", "a")];
    assert_eq!((set.uid.as_str(), set.version.as_str(), set.usable()), ("uid-a", "1", false));
    assert_eq!(set.problems[0].severity, Severity::Error);
}

/// A text of some hundred thousand bytes, none like another.
fn large(name: &str) -> String {
    format!("{name}{}", "x".repeat(100_000))
}

impl World {
    fn not_kept(&self) -> Vec<String> {
        self.templates.last().library.not_kept.keys().map(|name| name.name.clone()).collect()
    }

    fn usable(&self) -> Vec<String> {
        self.stand().sets.into_keys().collect()
    }

    /// What the API server has, for whoever reads it by name.
    fn store(&self, name: &str, version: &str, text: &str) {
        let stored = config_map(name, version, text);
        self.there.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), stored);
    }
}

#[tokio::test(start_paused = true)]
async fn threat_54_what_is_beyond_the_bound_is_not_kept_and_is_read_again_once_there_is_room() {
    let mut world = World::keeping(350_000);
    let texts = ["a", "b", "c", "d"].map(|name| (name, large(name)));
    let all: Vec<_> = texts.iter().map(|(name, text)| (*name, text.as_str())).collect();
    world.list(&all).await;
    world.until(is_ready).await;
    assert_eq!((world.usable(), world.not_kept()), (["a", "b", "c"].map(str::to_owned).to_vec(), vec!["d".to_owned()]));
    let memory = world.templates.last().memory;
    assert!(0 < memory && memory <= world.templates.bound(), "{memory}");
    // A younger one changes nothing for those that are kept, and a list that says the same nothing at all.
    world.apply("e", "2", &large("e")).await;
    world.settle().await;
    assert_eq!(world.usable(), ["a", "b", "c"]);
    let youngest = large("e");
    let listed: Vec<_> = all.iter().copied().chain([("e", youngest.as_str())]).collect();
    world.list(&listed).await;
    world.settle().await;
    assert_eq!(world.usable(), ["a", "b", "c"]);
    // There is room: it could not be read at first, then it is there.
    world.tell(Change::Removed(config_map("a", "3", ""))).await;
    world.settle().await;
    assert_eq!(world.usable(), ["b", "c"]);
    world.store("d", "1", &texts[3].1);
    let (_, waited) = world.until(|stand| stand.sets.contains_key("d")).await;
    assert!(waited <= Duration::from_secs(2), "{waited:?}");
    assert_eq!(world.usable(), ["b", "c", "d"]);
    assert_eq!(world.not_kept(), ["e"]);
    // It is not kept either once it is no template ConfigMap any more.
    world.tell(Change::Removed(config_map("e", "4", ""))).await;
    world.settle().await;
    assert_eq!(world.not_kept(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn threat_54_a_config_map_that_shrinks_is_kept_and_one_that_is_read_in_another_version_waits_for_the_watch() {
    let mut world = World::keeping(150_000);
    world.list(&[("a", &large("a")), ("b", &large("b"))]).await;
    world.until(is_ready).await;
    assert_eq!(world.not_kept(), ["b"]);
    world.apply("b", "2", "x").await;
    world.settle().await;
    assert_eq!(world.usable(), ["a", "b"]);
    world.apply("b", "3", &large("b")).await;
    world.until(|stand| !stand.sets.contains_key("b")).await;
    assert_eq!(world.not_kept(), ["b"]);
    // What is read is newer than what the watch has told of.
    world.store("b", "5", "y");
    world.tell(Change::Removed(config_map("a", "4", ""))).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!((world.usable(), world.not_kept()), (vec![], vec![]));
    world.apply("b", "5", "y").await;
    world.settle().await;
    assert_eq!(world.stand(), stand(&[("b", "y")], &[]));
}

#[tokio::test(start_paused = true)]
async fn threat_54_old_versions_are_kept_no_longer_than_they_stand_where_there_is_little_room() {
    let mut world = World::keeping(250_000);
    world.list(&[("a", &large("a")), ("b", &large("b"))]).await;
    world.until(is_ready).await;
    let weak = std::sync::Arc::downgrade(world.templates.last().library.sets.values().next().unwrap());
    for name in ["a", "b"] {
        world.apply(name, "2", &format!("slow {}", large(name))).await;
    }
    world.until(|stand| stand.compiling.len() == 2).await;
    assert_eq!(weak.strong_count(), 0);
    // Large ones of one namespace are compiled one after the other.
    for name in ["a", "b"] {
        world.compiles.end(name);
        world.settle().await;
    }
    assert_eq!(world.usable(), ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_told_of_the_first_list_may_judge_by_it() {
    for _ in 0..200 {
        let world = World::new();
        let (templates, mut changes) = (Arc::clone(&world.templates), world.templates.changes());
        // It asks when it is told, and never otherwise.
        let told = tokio::spawn(async move {
            while templates.snapshot().is_err() {
                changes.changed().await.unwrap();
            }
        });
        world.list(&[("a", "x")]).await;
        tokio::time::timeout(Duration::from_secs(60), told).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_real_compile_runs_beside_the_runtime_and_a_panic_of_one_is_none_of_the_others() {
    let compiler = Compiler::default();
    let of = config_map("a", "7", "apiVersion: batch/v1\nkind: Job\nmetadata: {name: x}\n");
    let compiled = compiler.compile(Source::of(of.clone())).await.unwrap();
    let directly = TemplateSet::load(&of);
    assert_eq!(
        (compiled.hash, compiled.problems, compiled.version),
        (directly.hash, directly.problems, "7".to_owned())
    );
    let unreadable = Source { content: [0; 32], data: [0; 32], text: "no JSON".into() };
    assert!(compiler.compile(unreadable).await.is_none());
    assert!(!broken(&NamespacedName::new("trading", "a")).usable());
}

#[test]
fn what_compiling_never_looks_at_makes_no_other_content() {
    let plain = Source::of(config_map("a", "1", "x"));
    let mut same = config_map("a", "2", "x");
    same["metadata"]["managedFields"] = json!([{"manager": "somebody"}]);
    same["metadata"]["annotations"] = json!({"kubectl.kubernetes.io/last-applied-configuration": "x"});
    let with = |annotation: &str| {
        let mut other = config_map("a", "1", "x");
        other["metadata"]["annotations"] = json!({annotation: "x"});
        Source::of(other).content
    };
    assert_eq!(Source::of(same).content, with("nobody.example/x"));
    assert_eq!(Source::of(config_map("b", "7", "x")).content, plain.content);
    for annotation in ["fledged.io/duration", "fledged.io"] {
        assert_ne!(with(annotation), with("nobody.example/x"));
    }
    assert_ne!(Source::of(config_map("a", "1", "y")).content, plain.content);
}
