#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// A queue, and its time.
struct Bench {
    queue: CompileQueue<u32>,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        Self { queue: CompileQueue::default(), now: Instant::now() }
    }

    /// Adds `namespace/name` with a text of so many bytes.
    fn put(&mut self, name: &str, bytes: usize) -> &mut Self {
        self.put_again(name, bytes, None)
    }

    fn put_again(&mut self, name: &str, bytes: usize, took: Option<Duration>) -> &mut Self {
        self.queue.put(&named(name), 0, bytes, took);
        self
    }

    fn all(&mut self, names: &[&str]) -> &mut Self {
        for name in names {
            self.put(name, 1_000);
        }
        self
    }

    /// Begins all that may be begun.
    fn begun(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.queue.next(self.now)).map(|(name, _)| name.to_string()).collect()
    }

    fn after(&mut self, time: Duration) -> &mut Self {
        self.now += time;
        self
    }

    fn end(&mut self, name: &str) -> &mut Self {
        assert!(self.queue.ended(&named(name), self.now).is_some(), "{name} did not run");
        self
    }

    /// Begins and ends one after the other, each in no time, until nothing is left.
    fn order(&mut self) -> Vec<String> {
        let mut order = Vec::new();
        loop {
            let begun = self.begun();
            if begun.is_empty() {
                return order;
            }
            for name in &begun {
                self.end(name);
            }
            order.extend(begun);
        }
    }
}

fn named(name: &str) -> Arc<NamespacedName> {
    let (namespace, name) = name.split_once('/').unwrap();
    Arc::new(NamespacedName::new(namespace, name))
}

#[test]
fn namespaces_take_turns_and_in_one_the_cheapest_goes_first() {
    let mut bench = Bench::new();
    bench.put("a/large", 9_000).put("a/small", 10).put("a/middle", 500).put("b/large", 9_000).put("c/small", 5);
    bench.put_again("a/known", 9_000, Some(Duration::from_nanos(1)));
    assert_eq!(bench.order(), ["a/known", "c/small", "b/large", "a/small", "a/middle", "a/large"]);
}

#[test]
fn a_newer_version_replaces_what_waits_and_waits_for_what_runs() {
    let mut bench = Bench::new();
    bench.put("a/x", 10).put("a/x", 20);
    assert_eq!(bench.begun(), ["a/x"]);
    for _ in 0..100 {
        bench.put("a/x", 10);
    }
    assert_eq!(bench.begun(), [""; 0], "one at a time");
    assert_eq!(bench.end("a/x").begun(), ["a/x"]);
    assert_eq!(bench.end("a/x").begun(), [""; 0], "a hundred changes cost one compile");
    bench.put("a/x", 10).queue.cancel(&named("a/x"));
    assert_eq!(bench.begun(), [""; 0]);
}

#[test]
fn threat_54_a_compile_that_never_ends_leaves_room_for_all_others() {
    let mut bench = Bench::new();
    bench.all(&["a/endless", "a/endless-2"]);
    assert_eq!(bench.begun(), ["a/endless", "a/endless-2"]);
    bench.all(&["a/x", "a/y", "b/x", "b/y", "c/x"]);
    assert_eq!(bench.begun(), [""; 0]);
    assert_eq!(bench.queue.due(), Some(bench.now + SLICE));
    // Both are late: their namespace begins no more, the others go on.
    assert_eq!(bench.after(SLICE).begun(), ["b/x", "c/x"]);
    assert_eq!(bench.end("b/x").begun(), ["b/y"]);
    bench.end("b/y").end("c/x");
    assert_eq!(bench.begun(), [""; 0]);
    // Beside one late compile, one other of that namespace.
    assert_eq!(bench.end("a/endless").begun(), ["a/x"]);
    assert_eq!(bench.end("a/x").begun(), ["a/y"]);
    assert!(!bench.queue.is_calm());
    assert!(bench.end("a/y").queue.is_calm(), "what is late disturbs nobody");
}

#[test]
fn threat_54_many_endless_compiles_of_one_namespace_take_no_slot_from_another() {
    let mut bench = Bench::new();
    let endless: Vec<_> = (0..50).map(|number| format!("a/endless-{number}")).collect();
    bench.all(&endless.iter().map(String::as_str).collect::<Vec<_>>());
    for _ in 0..20 {
        bench.begun();
        bench.after(SLICE);
    }
    assert_eq!(bench.queue.running().count(), LATE_OF_NAMESPACE);
    bench.all(&["b/x", "c/x"]);
    assert_eq!(bench.begun(), ["b/x", "c/x"]);
}

#[test]
fn what_was_slow_the_last_time_waits_in_a_lane_of_its_own() {
    let mut bench = Bench::new();
    let slow = Some(SLICE * 2);
    bench.put_again("a/slow", 10, slow).put_again("a/slow-2", 10, slow).put_again("b/slow", 10, slow);
    bench.put_again("c/slow", 10, slow).all(&["d/x", "d/y", "d/z"]);
    // Two quick ones, and two slow ones of two namespaces.
    assert_eq!(bench.begun(), ["d/x", "d/y", "a/slow", "b/slow"]);
    assert_eq!(bench.end("d/x").begun(), ["d/z"]);
    assert_eq!(bench.end("b/slow").begun(), ["c/slow"]);
    // What became slow while a newer version waited is known to be slow.
    bench.end("d/y").end("d/z").end("a/slow").end("c/slow");
    assert_eq!(bench.begun(), ["a/slow-2"]);
    bench.put("a/slow-2", 10).after(SLICE * 3).end("a/slow-2").put_again("b/slow", 10, slow).all(&["d/x"]);
    assert_eq!(bench.begun(), ["d/x", "b/slow", "a/slow-2"]);
}

#[test]
fn threat_54_of_large_texts_few_are_compiled_at_once_and_small_ones_go_on_beside_them() {
    let mut bench = Bench::new();
    let half = LARGE / 2;
    bench.put("a/x", half).put("a/y", half).put("b/x", half).put("c/x", half);
    // One of a namespace, and as many bytes as there may be.
    assert_eq!(bench.begun(), ["a/x", "b/x"]);
    bench.after(SLICE);
    assert_eq!(bench.begun(), [""; 0], "they take their memory although they are late");
    bench.put("a/small", SMALL).put("d/small", 10);
    assert_eq!(bench.begun(), ["d/small", "a/small"]);
    assert_eq!(bench.end("d/small").end("a/small").end("b/x").begun(), ["c/x"]);
    bench.end("c/x");
    assert_eq!(bench.end("a/x").begun(), ["a/y"]);
    // What is larger than all that may be is compiled alone.
    bench.end("a/y").put("b/huge", LARGE * 2).put("c/huge", LARGE * 2);
    assert_eq!(bench.begun(), ["b/huge"]);
    assert_eq!(bench.end("b/huge").begun(), ["c/huge"]);
}

/// What happens to the queue.
#[derive(Clone, Debug)]
enum Step {
    Put {
        namespace: u8,
        name: u8,
        bytes: usize,
    },
    Cancel {
        namespace: u8,
        name: u8,
    },
    Wait(u64),
    /// The compile that runs at this position ends.
    End(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..5u8, 0..6u8, 0..900_000usize).prop_map(|(namespace, name, bytes)| Step::Put { namespace, name, bytes }),
        1 => (0..5u8, 0..6u8).prop_map(|(namespace, name)| Step::Cancel { namespace, name }),
        2 => (0..1_000u64).prop_map(Step::Wait),
        3 => (0..8usize).prop_map(Step::End),
    ];
    proptest::collection::vec(step, 0..200)
}

proptest! {
    /// Whatever happens: no ConfigMap is compiled twice at once, no more run than may, nothing that waits is lost, and
    /// none is compiled that nobody asked for.
    #[test]
    fn nothing_is_lost_and_no_more_run_than_may(steps in steps()) {
        let mut bench = Bench::new();
        let mut waiting = BTreeSet::new();
        let mut running = Vec::new();
        for step in steps {
            match step {
                Step::Put { namespace, name, bytes } => {
                    let name = format!("{namespace}/{name}");
                    bench.put(&name, bytes);
                    waiting.insert(name);
                }
                Step::Cancel { namespace, name } => {
                    let name = format!("{namespace}/{name}");
                    bench.queue.cancel(&named(&name));
                    waiting.remove(&name);
                }
                Step::Wait(time) => drop(bench.after(Duration::from_millis(time))),
                Step::End(position) if position < running.len() => {
                    let name: String = running.remove(position);
                    bench.end(&name);
                }
                Step::End(_) => {}
            }
            for name in bench.begun() {
                prop_assert!(waiting.remove(&name), "{name} was not asked for");
                prop_assert!(!running.contains(&name), "{name} runs twice");
                running.push(name);
            }
            prop_assert!(running.len() <= QUICK + LATE);
        }
        while let Some(name) = running.pop() {
            bench.end(&name);
            for name in bench.begun() {
                prop_assert!(waiting.remove(&name));
                running.push(name);
            }
        }
        prop_assert!(waiting.is_empty(), "{waiting:?} never ran");
    }

    /// However much others have, and however often they add to it, a newcomer waits for two compiles of each other
    /// namespace, and the one that runs.
    #[test]
    fn a_newcomer_s_wait_is_bounded(flood in 1..40usize, namespaces in 1..6usize, before in 0..30usize, bytes in 0..1_000usize) {
        let mut bench = Bench::new();
        let fill = |bench: &mut Bench| for namespace in 0..namespaces {
            for number in 0..flood {
                bench.put(&format!("n{namespace}/{number}"), 1);
            }
        };
        fill(&mut bench);
        let run = |bench: &mut Bench| {
            let begun = bench.begun();
            for name in &begun {
                bench.end(name);
            }
            fill(bench);
            begun
        };
        for _ in 0..before {
            run(&mut bench);
        }
        bench.put("newcomer/x", bytes);
        let mut waited: BTreeMap<String, usize> = BTreeMap::new();
        for _ in 0..1_000 {
            for name in run(&mut bench) {
                let namespace = name.split('/').next().unwrap().to_owned();
                if namespace == "newcomer" {
                    prop_assert!(waited.values().all(|compiles| *compiles <= 2 + QUICK), "{waited:?}");
                    return Ok(());
                }
                *waited.entry(namespace).or_default() += 1;
            }
        }
        prop_assert!(false, "it never has its turn");
    }
}
