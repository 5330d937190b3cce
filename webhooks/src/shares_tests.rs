use std::net::Ipv4Addr;

use futures::FutureExt;
use proptest::prelude::*;

use super::*;

fn sender(address: u8, port: u16) -> Sender {
    Sender { address: Ipv4Addr::new(10, 0, 0, address).into(), port }
}

/// As much as it gets, one at a time.
fn fill(shares: &mut Shares, sender: Sender) -> Vec<Holding> {
    std::iter::from_fn(|| shares.take(sender, 1)).collect()
}

fn give(shares: &mut Shares, all: Vec<Holding>) {
    for mut holding in all {
        let size = holding.size();
        shares.give(&mut holding, size);
    }
}

fn gave_way(holding: &Holding) -> bool {
    holding.gives_way().told().now_or_never().is_some()
}

#[test]
fn one_alone_gets_most_and_a_part_is_always_left() {
    let mut shares = Shares::new(1300);
    let first = fill(&mut shares, sender(1, 1));
    assert_eq!(first.len(), 900, "one connection alone");
    assert_eq!(
        fill(&mut shares, sender(1, 2)).len(),
        69,
        "another of the same address, once the first holds all it may"
    );
    let other = fill(&mut shares, sender(2, 1)).len();
    assert!(other > 200, "another address: {other}");
    give(&mut shares, first);
    assert!(fill(&mut shares, sender(2, 1)).len() > 300);
}

#[test]
fn two_who_want_all_of_it_get_the_same() {
    let mut shares = Shares::new(10_000);
    let (mut had, mut taken) = ([0, 0], Vec::new());
    loop {
        let more: Vec<_> = [1, 2].into_iter().filter_map(|address| shares.take(sender(address, 1), 1)).collect();
        if more.is_empty() {
            break;
        }
        taken.extend(more);
        had = [1, 2].map(|address| shares.held[&sender(address, 1).address].all);
    }
    assert!(had[0].abs_diff(had[1]) <= 1 && had[0] > 3_000, "{had:?}");
    assert!(!taken.iter().any(gave_way), "nobody takes from another who has as much");
}

/// As much as it gets, where what is told to give way is given back at once.
fn fill_and_give_way(shares: &mut Shares, all: &mut Vec<Holding>, sender: Sender) {
    while let Some(holding) = shares.take(sender, 1) {
        all.push(holding);
        let (gone, kept) = std::mem::take(all).into_iter().partition(gave_way);
        give(shares, gone);
        *all = kept;
    }
}

#[test]
fn threat_59_who_holds_little_gets_in_however_many_addresses_hold_all_they_can() {
    let (mut shares, mut all) = (Shares::new(1_024), Vec::new());
    for address in 1..=100 {
        fill_and_give_way(&mut shares, &mut all, sender(address, 1));
    }
    let oldest = all[0].number;
    fill_and_give_way(&mut shares, &mut all, sender(101, 1));
    let held: Vec<_> = shares.held.values().map(|held| held.all).collect();
    let new = shares.held[&sender(101, 1).address].all;
    assert!(new >= 1_024 / 101 - 1, "{new} of {held:?}");
    assert!(held.iter().all(|held| *held <= new + 2), "{held:?}");
    assert_eq!(all[0].number, oldest, "the newest go");
    give(&mut shares, all);
    assert_eq!((shares.free, shares.leaving, shares.held.len(), shares.by_amount.len()), (1_024, 0, 0, 0));
}

#[test]
fn what_is_told_to_give_way_and_is_held_is_bounded() {
    let mut shares = Shares::new(800);
    let first = fill(&mut shares, sender(1, 1));
    let second = fill(&mut shares, sender(2, 1));
    let (_, third) = (fill(&mut shares, sender(3, 1)), fill(&mut shares, sender(4, 1)));
    assert_eq!(shares.leaving, 100);
    assert!(shares.take(sender(5, 1), 1).is_none(), "until some of it is given back");
    [first, second].into_iter().for_each(|all| give(&mut shares, all));
    assert!(shares.take(sender(5, 1), 1).is_some());
    drop(third);
}

proptest! {
    /// Whoever holds what, and however much: who holds nothing gets a part of what is left, and nothing is lost.
    #[test]
    fn who_comes_new_gets_something(
        asked in prop::collection::vec((1..9_u8, 1..4_u16, 1..3_000_usize, 0..500_usize), 0..200),
    ) {
        let mut shares = Shares::new(100_000);
        let mut taken = Vec::new();
        for (address, port, size, more) in asked {
            if let Some(mut holding) = shares.take(sender(address, port), size) {
                shares.grow(&mut holding, more);
                taken.push(holding);
            }
        }
        let left = shares.free / 3;
        let new = shares.take(sender(99, 1), left);
        prop_assert!(new.is_some(), "{} are free", shares.free);
        let amounts: Vec<_> = shares.held.iter().map(|(address, held)| (held.all, *address)).filter(|(all, _)| *all > 0).collect();
        prop_assert_eq!(amounts.into_iter().collect::<BTreeSet<_>>(), shares.by_amount.clone());
        taken.extend(new);
        give(&mut shares, taken);
        prop_assert_eq!((shares.free, shares.leaving, shares.held.len()), (100_000, 0, 0));
    }
}
