#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]
use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn kind(name: &str) -> Arc<Kind> {
    Arc::new(Kind::for_tests("", "v1", name))
}

fn object(uid: &str, version: u64, second: i64) -> Tracked {
    Tracked {
        uid: uid.into(),
        kind: kind("ConfigMap"),
        namespace: "trading".into(),
        name: uid.into(),
        version: version.to_string().as_str().into(),
        deadline: at(second),
        why: Why::Deadline,
    }
}

#[test]
fn one_watch_forgets_nothing_that_another_has_put() {
    let mut queue = Queue::default();
    queue.put(object("a", 1, 10), 1);
    queue.remove_of(&Kind::for_tests("", "v1", "Secret"), &"a".into());
    assert_eq!(queue.len(), 1);
    queue.remove_of(&Kind::for_tests("", "v1", "ConfigMap"), &"a".into());
    assert!(queue.is_empty());
}

#[test]
fn the_earliest_deadline_comes_first_and_none_before_its_time() {
    let mut queue = Queue::default();
    queue.put(object("b", 1, 20), 1);
    queue.put(object("a", 1, 10), 1);
    assert_eq!(queue.next_due(), Some(at(10)));
    assert_eq!(queue.take_due(at(9)), None);
    assert_eq!(queue.take_due(at(10)).unwrap().tracked.uid, "a".into());
    assert_eq!(queue.take_due(at(10)), None);
    assert_eq!(queue.next_due(), Some(at(20)));
}

#[test]
fn a_renewal_replaces_the_deadline_both_ways() {
    let mut queue = Queue::default();
    queue.put(object("a", 1, 10), 1);
    queue.put(object("a", 2, 30), 1);
    assert_eq!(queue.take_due(at(29)), None);
    queue.put(object("a", 3, 5), 1);
    assert_eq!(queue.take_due(at(5)).unwrap().tracked.version, "3".into());
    assert!(queue.is_empty());
}

#[test]
fn news_wins_over_a_retry() {
    let mut queue = Queue::default();
    queue.put(object("a", 1, 10), 1);
    let due = queue.take_due(at(10)).unwrap();
    queue.put(object("a", 2, 60), 1);
    queue.put_back(due, at(11));
    assert_eq!(queue.next_due(), Some(at(60)));
}

#[test]
fn a_retry_counts_its_attempts_and_a_repeated_list_does_not_shorten_its_pause() {
    let mut queue = Queue::default();
    queue.put(object("a", 1, 10), 1);
    let due = queue.take_due(at(10)).unwrap();
    assert_eq!(due.attempts, 0);
    queue.put_back(due, at(15));
    queue.put(object("a", 1, 10), 2);
    assert_eq!(queue.take_due(at(14)), None);
    assert_eq!(queue.take_due(at(15)).unwrap().attempts, 1);
}

#[test]
fn what_a_completed_list_did_not_show_is_forgotten_of_its_own_kind_only() {
    let mut queue = Queue::default();
    queue.put(object("gone", 1, 10), 1);
    queue.put(object("here", 1, 11), 1);
    queue.put(Tracked { kind: kind("Secret"), ..object("other", 1, 12) }, 1);
    queue.put(object("here", 1, 11), 2);
    queue.sweep(&kind("ConfigMap"), 2);
    assert_eq!(queue.len(), 2);
    assert_eq!(queue.next_due(), Some(at(11)));
    queue.forget(&kind("Secret"));
    assert_eq!(queue.len(), 1);
}

#[test]
fn endless_renewals_do_not_let_it_grow() {
    let mut queue = Queue::default();
    for version in 0..10_000 {
        queue.put(object("a", version, 10 + i64::try_from(version).unwrap()), 1);
    }
    assert_eq!((queue.entries.len(), queue.order.len()), (1, 1));
}

#[test]
fn one_takes_few_bytes_and_a_namespace_is_named_once() {
    assert!(size_of::<(Uid, Entry)>() <= 150, "{}", size_of::<(Uid, Entry)>());
    assert!(size_of::<(Timestamp, Uid)>() <= 40, "{}", size_of::<(Timestamp, Uid)>());
    let mut queue = Queue::default();
    for number in 0..1_000 {
        let uid = format!("{number}");
        queue.put(Tracked { namespace: format!("team-{}", number % 10).into(), ..object(&uid, 1, 10) }, 1);
    }
    assert_eq!(queue.namespaces.names.len(), 10);
    for number in 0..1_000 {
        queue.remove(&number.to_string().as_str().into());
        queue.put(Tracked { namespace: format!("other-{number}").into(), ..object("a", number, 10) }, 1);
    }
    assert!(queue.namespaces.names.len() < 200, "{}", queue.namespaces.names.len());
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8, i64),
    Remove(u8),
    Take(i64),
    PutBack(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..12_u8, 0..50_i64).prop_map(|(uid, second)| Step::Put(uid, second)),
        (0..12_u8).prop_map(Step::Remove),
        (0..60_i64).prop_map(Step::Take),
        (0..60_i64).prop_map(Step::PutBack),
    ];
    proptest::collection::vec(step, 0..200)
}

proptest! {
    /// Against the plainest model there is: a map from uid to the instant at which it is due.
    #[test]
    fn it_does_what_a_sorted_map_does(steps in steps()) {
        let mut queue = Queue::default();
        let mut model: BTreeMap<String, Timestamp> = BTreeMap::new();
        let mut taken: Vec<Due> = Vec::new();
        for (version, step) in steps.into_iter().enumerate() {
            match step {
                Step::Put(uid, second) => {
                    queue.put(object(&uid.to_string(), version as u64, second), 1);
                    model.insert(uid.to_string(), at(second));
                }
                Step::Remove(uid) => {
                    queue.remove(&uid.to_string().as_str().into());
                    model.remove(&uid.to_string());
                }
                Step::Take(now) => {
                    let due = queue.take_due(at(now));
                    let earliest = model.values().min().copied();
                    match due {
                        Some(due) => {
                            let expected = model.remove(&due.tracked.uid.to_string());
                            prop_assert_eq!(expected, earliest);
                            prop_assert!(expected.is_some_and(|instant| instant <= at(now)));
                            prop_assert!(due.tracked.deadline <= at(now));
                            taken.push(due);
                        }
                        None => prop_assert!(earliest.is_none_or(|instant| instant > at(now))),
                    }
                }
                Step::PutBack(second) => {
                    if let Some(due) = taken.pop() {
                        let instant = at(second).max(due.tracked.deadline);
                        model.entry(due.tracked.uid.to_string()).or_insert(instant);
                        queue.put_back(due, at(second));
                    }
                }
            }
            prop_assert_eq!(queue.len(), model.len());
            prop_assert_eq!(queue.next_due(), model.values().min().copied());
            prop_assert_eq!(queue.order.len(), queue.entries.len());
        }
    }
}
