#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// A ConfigMap: namespace and name, when it was created, its own bytes, those of its data, and which data that is.
#[derive(Clone, Debug)]
struct Made {
    name: NamespacedName,
    created: String,
    weight: Weight,
    data: Vec<u8>,
}

fn made(name: &str, created: u32, own: u64, data: u64, which: u64) -> Made {
    let (namespace, name) = name.split_once('/').unwrap();
    let created = format!("2026-11-20T10:{:02}:{:02}Z", created / 60, created % 60);
    let data_of = which.to_le_bytes().to_vec();
    Made { name: NamespacedName::new(namespace, name), created, weight: Weight { own, data }, data: data_of }
}

fn wanted(all: &[Made]) -> Vec<Wanted<'_>> {
    all.iter()
        .map(|each| Wanted { name: &each.name, created: &each.created, weight: each.weight, data: &each.data })
        .collect()
}

fn names(all: &[Made], bound: u64) -> BTreeSet<String> {
    not_kept(&wanted(all), bound).into_keys().map(|position| all[position].name.to_string()).collect()
}

/// `namespace/name size`, each created after the one before it, none of the same data as another.
fn given(all: &[(&str, u64)]) -> Vec<Made> {
    let each = |(at, (name, size)): (usize, &(&str, u64))| made(name, u32::try_from(at).unwrap(), 0, *size, at as u64);
    all.iter().enumerate().map(each).collect()
}

#[test]
fn threat_54_the_namespace_that_wants_the_most_keeps_its_oldest_and_gives_way_with_the_rest() {
    for (all, expected) in [
        // All fit.
        (vec![("a/x", 50), ("b/x", 50)], vec![]),
        (vec![], vec![]),
        // One wants more than there is: the others keep all, and it keeps what they leave.
        (vec![("a/x", 40), ("b/x", 20), ("a/y", 40), ("a/z", 40)], vec!["a/z"]),
        (vec![("a/z", 40), ("b/x", 20), ("a/y", 40), ("a/x", 40)], vec!["a/x"]),
        // Two want more: they share alike what the third leaves.
        (vec![("a/x", 30), ("a/y", 30), ("b/x", 30), ("b/y", 30), ("c/x", 20)], vec!["a/y", "b/y"]),
        // What is too large alone gives way alone: younger ones that fit are kept.
        (vec![("a/x", 200), ("a/y", 60), ("a/z", 60), ("b/x", 10)], vec!["a/x", "a/z"]),
    ] {
        let all = given(&all);
        assert_eq!(names(&all, 100), expected.into_iter().map(str::to_owned).collect(), "{all:?}");
    }
}

#[test]
fn threat_54_after_some_that_do_not_fit_nothing_younger_is_tried() {
    let names: Vec<String> = (0..12).map(|number| format!("a/x{number:02}")).collect();
    let large = names.iter().map(|name| (name.as_str(), 60));
    let all: Vec<_> = large.chain([("a/young", 1), ("b/x", 1)]).collect();
    let few: Vec<_> = all[..8].iter().chain(&all[12..]).copied().collect();
    // One is kept, and seven do not fit: the small one does.
    assert_eq!(names_of(&few), names[1..8].iter().cloned().collect());
    assert_eq!(names_of(&all), names[1..].iter().cloned().chain(["a/young".to_owned()]).collect());
}

fn names_of(all: &[(&str, u64)]) -> BTreeSet<String> {
    names(&given(all), 100)
}

#[test]
fn of_the_same_instant_the_first_by_name_is_the_oldest() {
    let all: Vec<_> = ["a/c", "a/a", "a/b"].iter().zip(0..).map(|(name, data)| made(name, 0, 0, 40, data)).collect();
    assert_eq!(names(&all, 100), ["a/c".to_owned()].into());
}

#[test]
fn what_config_maps_say_alike_is_kept_once_and_counted_once() {
    // A chart that is installed in a hundred namespaces.
    let chart: Vec<_> = (0..100).map(|number| made(&format!("n{number}/x"), number, 1, 500, 7)).collect();
    assert_eq!(names(&chart, 700), [].into());
    let large = [chart.as_slice(), &[made("z/x", 200, 0, 300, 8)]].concat();
    assert_eq!(names(&large, 700), ["z/x".to_owned()].into());
}

#[test]
fn threat_54_what_is_shared_with_those_that_are_not_kept_is_paid_in_full() {
    // Ten namespaces have the same twenty, each in another order of age: each would keep two others.
    let all: Vec<_> = (0..10u32)
        .flat_map(|namespace| {
            (0..20u32).map(move |data| {
                let age = (data + 20 - namespace * 2) % 20;
                made(&format!("n{namespace}/x{data}"), age, 0, 100, data.into())
            })
        })
        .collect();
    let wanted = wanted(&all);
    let found = not_kept(&wanted, 400);
    assert!(held(&wanted, &found) <= 400, "{}", held(&wanted, &found));
    assert!(decide(&wanted, 400, |each| each.weight.data / 10).len() < found.len());
}

#[test]
fn what_is_not_kept_says_by_how_much_and_what_to_do() {
    let mi = 1 << 20;
    let all = given(&[("a/x", 90 * mi), ("a/y", 51 * mi + 1), ("b/x", mi)]);
    let found = not_kept(&wanted(&all), 100 * mi);
    let reason = found[&1].reason(&all[1].name);
    for words in [
        "ConfigMap a/y",
        "it needs at least 51Mi; namespace a needs 141Mi and may have 99Mi (all namespaces together: 100Mi), which its older \
         ConfigMaps use; delete",
        "many manifests",
        "--template-memory",
    ] {
        assert!(reason.contains(words), "{words:?} is not in {reason}");
    }
    // Too large alone: no older one is why.
    let alone = NotKept { takes: 2 * mi, namespace: 2 * mi, share: mi, bound: mi }.reason(&all[1].name);
    assert!(alone.contains("may have 1.0Mi (all namespaces together: 1.0Mi); delete"), "{alone}");
    for (bytes, text) in [(0, "0.0Mi"), (1, "0.1Mi"), (mi * 3 / 2, "1.5Mi"), (10 * mi, "10Mi")] {
        assert_eq!(size(bytes), text);
    }
}

fn config_maps() -> impl Strategy<Value = Vec<Made>> {
    let one = (0..5u8, 0..20u8, 0..4u32, 0..5u64, 0..60u64, 0..15u64);
    proptest::collection::vec(one, 0..60).prop_map(|all| {
        let mut by_name = BTreeMap::new();
        for (namespace, name, created, own, size, data) in all {
            let name = format!("n{namespace}/x{name}");
            // The same data has the same size.
            let size = size / 15 * 15 + data;
            by_name.insert(name.clone(), made(&name, created, own, size, size));
        }
        by_name.into_values().collect()
    })
}

proptest! {
    /// What is kept fits, however it is listed; a namespace that wants less than its part keeps all; and nothing that is
    /// kept gives way to a younger one of its namespace.
    #[test]
    fn threat_54_what_is_kept_fits_and_gives_way_to_no_younger_one(
        all in config_maps(), bound in 1..400u64, turn in 0..60usize,
    ) {
        let found = names(&all, bound);
        let positions = not_kept(&wanted(&all), bound);
        prop_assert!(held(&wanted(&all), &positions) <= bound);

        let mut turned = all.clone();
        turned.rotate_left(turn % all.len().max(1));
        prop_assert_eq!(&names(&turned, bound), &found, "the order in which they are told decides nothing");

        let namespaces: BTreeSet<_> = all.iter().map(|each| each.name.namespace.clone()).collect();
        for namespace in &namespaces {
            let sum: u64 = all.iter().filter(|each| each.name.namespace == *namespace).map(|each| each.weight.total()).sum();
            if sum <= bound / namespaces.len() as u64 {
                prop_assert!(!found.iter().any(|name| name.starts_with(&format!("{namespace}/"))), "{namespace} is small");
            }
        }
    }

    /// Where one namespace is over, a younger ConfigMap in it changes nothing for the others, nor for its own older ones.
    #[test]
    fn threat_54_a_younger_one_of_the_largest_namespace_takes_nothing_from_anybody(
        sizes in proptest::collection::vec(1..50u64, 1..20), others in 0..50u64, younger in 1..1_000u64,
    ) {
        let mut all: Vec<_> = sizes.iter().zip(0..).map(|(size, at)| made(&format!("a/x{at}"), at, 0, *size, at.into())).collect();
        all.push(made("b/x", 0, 0, others, 1_000));
        let before = names(&all, 100);
        all.push(made("a/younger", 3_000, 0, younger, 1_001));
        let after = names(&all, 100);
        let lost: Vec<_> = after.difference(&before).filter(|name| *name != "a/younger").collect();
        prop_assert!(lost.is_empty(), "{:?}", lost);
    }
}
