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
    // As many are kept as there is room for; counting a tenth of each, ten namespaces would keep forty.
    assert_eq!(held(&wanted, &found), 400);
    assert!(found.len() > 200 - 40);
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

/// `count` namespaces `inn-N`, each with the same ConfigMap.
fn chart(count: u32, takes: u64) -> impl Iterator<Item = Made> {
    (0..count).map(move |number| made(&format!("inn-{number}/chart"), number, KI, takes - KI, 0))
}

const KI: u64 = 1 << 10;
const MI: u64 = 1 << 20;

#[test]
fn threat_54_copies_of_one_large_config_map_push_out_nothing_that_other_namespaces_share() {
    // 40 namespaces with the same chart of 2.6Mi, where 50Mi are kept.
    let mut all: Vec<_> = chart(40, 26 * MI / 10).collect();
    assert_eq!(names(&all, 50 * MI), [].into());
    // One of 26Mi in another namespace, and 60 different ones of 2.6Mi: its own are too many.
    all.push(made("atk/a-d0", 100, KI, 26 * MI, 1));
    all.extend((0..60).map(|at| made(&format!("atk/b{at:02}"), 101 + at, KI, 26 * MI / 10, 2 + u64::from(at))));
    let before = names(&all, 50 * MI);
    assert!(before.len() > 50 && before.iter().all(|name| name.starts_with("atk/b")), "{before:?}");
    // 30 copies of the large one, younger or older than all others.
    for created in [200, 0] {
        let copies = (0..30).map(|at| made(&format!("atk/a-c{at:02}"), created, KI, 26 * MI, 1));
        let with: Vec<_> = all.iter().cloned().chain(copies).collect();
        let after = names(&with, 50 * MI);
        assert!(after.iter().all(|name| name.starts_with("atk/")), "{created}: {after:?}");
        assert!(held(&wanted(&with), &not_kept(&wanted(&with), 50 * MI)) <= 50 * MI);
    }
    // Copies of what the others share, which wait in vain for what is older.
    let copies = (0..100).map(|at| made(&format!("atk/c{at:02}"), 0, KI, 26 * MI / 10, 0));
    let with: Vec<_> = all.iter().cloned().chain(copies).collect();
    assert!(names(&with, 50 * MI).iter().all(|name| name.starts_with("atk/b")));
}

#[test]
fn threat_54_one_config_map_more_is_no_cliff_for_those_that_share_theirs() {
    // With the default: every count of namespaces, and of another's ConfigMaps.
    for (count, others) in [(73, 0), (74, 0), (75, 0), (74, 73), (74, 74), (200, 1_000)] {
        let mut all: Vec<_> = chart(count, 26 * MI / 10).collect();
        all.extend((0..others).map(|at| made(&format!("z/x{at:04}"), 300 + at, KI, 26 * MI / 10, 1 + u64::from(at))));
        let found = names(&all, 192 * MI);
        assert!(found.iter().all(|name| name.starts_with("z/")), "{count} {others}: {found:?}");
        let kept = all.len() - found.len();
        assert_eq!(kept - count as usize, (others as usize).min(72), "{count} {others}");
    }
}

#[test]
fn what_the_shares_leave_is_kept_by_the_oldest_of_all() {
    for (all, expected) in [
        // None has its place within a third of the bound, yet two have the room.
        (vec![("a/x", 45), ("b/x", 45), ("c/x", 45)], vec!["c/x"]),
        // A namespace that has less than its share takes back what was left to another.
        (vec![("a/x", 45), ("b/x", 45), ("c/x", 33)], vec!["b/x"]),
        // What is too large for a share costs its namespace nothing else.
        (vec![("a/x", 100), ("a/y", 1), ("b/x", 30), ("b/y", 30), ("c/x", 30), ("c/y", 30)], vec!["a/x", "c/y"]),
    ] {
        let all = given(&all);
        assert_eq!(names(&all, 100), expected.into_iter().map(str::to_owned).collect(), "{all:?}");
    }
}

#[test]
fn data_of_which_one_copy_is_not_compiled_yet_takes_what_the_others_say() {
    let all = [made("a/x", 0, 0, 60, 7), made("b/x", 1, 0, 1, 7), made("b/y", 2, 0, 50, 8)];
    assert_eq!(names(&all, 100), ["b/y".to_owned()].into());
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

    /// An adversary who copies what others have and what he has, of any age, and adds what he likes, changes nothing for
    /// a namespace that is within its share; what is kept fits.
    #[test]
    fn threat_54_nothing_that_one_namespace_adds_is_felt_by_those_within_their_share(
        all in config_maps(), bound in 1..2_000u64,
        added in proptest::collection::vec((any::<prop::sample::Index>(), 0..4u32, 0..5u64, 0..500u64, any::<bool>()), 1..60),
    ) {
        let mut all = all;
        all.push(made("atk/first", 0, 1, 70, 999));
        let before = names(&all, bound);
        let mut with = all;
        for (at, (which, created, own, size, is_copy)) in added.into_iter().enumerate() {
            let of = &with[which.index(with.len())];
            let (size, data) = (if is_copy { of.weight.data } else { size }, of.data.clone());
            let mut new = made(&format!("atk/{at}"), created, own, size, 1_000 + at as u64);
            if is_copy {
                new.data = data;
            }
            with.push(new);
            let found = not_kept(&wanted(&with), bound);
            prop_assert!(held(&wanted(&with), &found) <= bound);
            let after = names(&with, bound);
            let namespaces: BTreeSet<_> = with.iter().map(|each| &each.name.namespace).collect();
            for namespace in namespaces.iter().filter(|namespace| **namespace != "atk") {
                let of_it = with.iter().filter(|each| each.name.namespace == **namespace);
                let sum: u64 = of_it.map(|each| each.weight.total()).sum();
                if sum <= bound / namespaces.len() as u64 {
                    let prefix = format!("{namespace}/");
                    prop_assert!(!before.iter().chain(&after).any(|name| name.starts_with(&prefix)), "{} is small", namespace);
                }
            }
        }
    }

    /// Namespaces that have the same pay for it together: they keep it where each has but its part of it within its
    /// share, whatever another namespace has, copies of it among that.
    #[test]
    fn threat_54_those_that_share_what_they_have_keep_it_whatever_another_namespace_has(
        count in 1..20u32, takes in 1..100u64, mine in proptest::collection::vec((0..4u32, 0..5u64, 0..500u64, any::<bool>()), 0..60),
    ) {
        let mut all: Vec<_> = (0..count).map(|number| made(&format!("inn-{number}/x"), 2, 0, takes, 0)).collect();
        for (at, (created, own, size, is_copy)) in mine.into_iter().enumerate() {
            let (size, data) = if is_copy { (takes, 0) } else { (size, 1 + at as u64) };
            all.push(made(&format!("atk/{at}"), created, own, size, data));
        }
        // Each pays its part, rounded up, and the other namespace has as much.
        let bound = takes.div_ceil(count.into()) * u64::from(count + 1);
        let found = names(&all, bound);
        prop_assert!(!found.iter().any(|name| name.starts_with("inn-")), "{:?}", found);
        prop_assert!(held(&wanted(&all), &not_kept(&wanted(&all), bound)) <= bound);
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
