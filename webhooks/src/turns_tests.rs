use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Two levels: a connection and an account.
type Two = Turns<u8, &'static str>;

fn take<K: Ord + Clone, T>(turns: &mut Turns<K, T>) -> Option<T> {
    let turn = turns.pop()?;
    turns.finish(&turn.path, turn.cost, turn.cost);
    Some(turn.work)
}

#[test]
fn whose_turn_it_is() {
    // What waits, in the order in which it came (connection, account, cost, name), and the order in which it is done.
    type Row = (&'static str, &'static [(u8, u8, u64, &'static str)], &'static [&'static str]);
    let rows: [Row; 6] = [
        ("one sender: as it came", &[(1, 1, 5, "a"), (1, 1, 1, "b"), (1, 1, 9, "c")], &["a", "b", "c"]),
        (
            "two connections with equal work: in turns",
            &[(1, 1, 5, "a1"), (1, 1, 5, "a2"), (1, 1, 5, "a3"), (2, 1, 5, "b1"), (2, 1, 5, "b2")],
            &["a1", "b1", "a2", "b2", "a3"],
        ),
        (
            "two accounts on one connection: in turns",
            &[(1, 1, 5, "a1"), (1, 1, 5, "a2"), (1, 2, 5, "b1"), (1, 2, 5, "b2")],
            &["a1", "b1", "a2", "b2"],
        ),
        (
            "by work, not by number: five cheap for one dear",
            &[
                (1, 1, 50, "dear"),
                (1, 1, 50, "dear too"),
                (2, 1, 10, "b1"),
                (2, 1, 10, "b2"),
                (2, 1, 10, "b3"),
                (2, 1, 10, "b4"),
                (2, 1, 10, "b5"),
                (2, 1, 10, "b6"),
            ],
            &["dear", "b1", "b2", "b3", "b4", "b5", "dear too", "b6"],
        ),
        (
            "many accounts of one connection have the share of one connection",
            &[(1, 1, 5, "a1"), (1, 2, 5, "a2"), (1, 3, 5, "a3"), (2, 1, 5, "b1"), (2, 1, 5, "b2")],
            &["a1", "b1", "a2", "b2", "a3"],
        ),
        (
            "the same account on another connection is another sender",
            &[(1, 7, 5, "forged 1"), (1, 7, 5, "forged 2"), (2, 7, 5, "real 1"), (2, 7, 5, "real 2")],
            &["forged 1", "real 1", "forged 2", "real 2"],
        ),
    ];
    for (name, waiting, expected) in rows {
        let mut turns = Two::new(100);
        for (connection, account, cost, work) in waiting {
            assert_eq!(turns.push(&[*connection, *account], *cost, work).1, None, "{name}");
        }
        let done: Vec<_> = std::iter::from_fn(|| take(&mut turns)).collect();
        assert_eq!(done, expected, "{name}");
        assert!(turns.root.children.is_empty(), "{name}: nobody is remembered once all is done");
    }
}

#[test]
fn beyond_the_bound_whoever_has_most_waiting_loses_the_latest() {
    let mut turns = Two::new(4);
    for work in ["a1", "a2", "a3"] {
        assert_eq!(turns.push(&[1, 1], 1, work).1, None);
    }
    assert_eq!(turns.push(&[2, 1], 1, "b1").1, None);
    assert_eq!(turns.push(&[2, 1], 1, "b2").1, Some("a3"), "the newcomer stays");
    assert_eq!(turns.push(&[1, 1], 1, "a4").1, Some("a4"), "not even in exchange for its own");
    assert_eq!(turns.push(&[3, 1], 1, "c1").1.map(|work| work.len()), Some(2));
    assert_eq!(turns.len(), 4);
}

#[test]
fn work_that_took_longer_than_expected_is_charged_afterwards() {
    let mut turns = Two::new(100);
    for work in ["a1", "a2"] {
        turns.push(&[1, 1], 1, work);
    }
    let turn = turns.pop().unwrap();
    for work in ["b1", "b2", "b3"] {
        turns.push(&[2, 1], 1, work);
    }
    turns.finish(&turn.path, turn.cost, 1_000);
    let done: Vec<_> = std::iter::from_fn(|| take(&mut turns)).collect();
    assert_eq!(done, ["b1", "b2", "b3", "a2"]);
}

#[test]
fn those_who_always_come_new_starve_nobody() {
    let mut turns = Turns::<u32, u32>::new(100);
    for _ in 0..10 {
        turns.push(&[0], 5_000, 0);
    }
    let mut of_the_old = 0;
    for newcomer in 1..100 {
        turns.push(&[newcomer], 5_000, newcomer);
        of_the_old += u32::from(take(&mut turns) == Some(0));
        assert!(turns.root.children.len() < 100, "{} are remembered", turns.root.children.len());
    }
    assert_eq!(of_the_old, 10, "who waits gets a share beside them");
}

#[test]
fn what_nobody_waits_for_is_taken_out() {
    let mut turns = Two::new(100);
    let (first, _) = turns.push(&[1, 1], 1, "a");
    let (second, _) = turns.push(&[1, 1], 1, "b");
    assert_eq!(turns.remove(&[1, 1], second), Some("b"));
    assert_eq!((turns.remove(&[1, 1], second), turns.remove(&[9, 9], first)), (None, None));
    let turn = turns.pop().unwrap();
    assert_eq!((turn.work, turns.remove(&[1, 1], first), turns.len()), ("a", None, 0));
}

proptest! {
    #[test]
    fn nothing_is_lost_and_nothing_is_done_twice(
        steps in prop::collection::vec((0..4_u8, 0..4_u8, 1..100_u64, 0..4_u8), 1..200),
        limit in 1..20_usize,
    ) {
        let mut turns = Turns::<u8, usize>::new(limit);
        let mut open: BTreeMap<usize, (Vec<u8>, Number)> = BTreeMap::new();
        for (index, (connection, account, cost, step)) in steps.into_iter().enumerate() {
            let path = vec![connection, account];
            let gone = match step {
                0 => turns.pop().map(|turn| {
                    turns.finish(&turn.path, turn.cost, cost);
                    turn.work
                }),
                1 => open.first_key_value().map(|(work, (path, number))| (*work, path.clone(), *number)).map(|(work, path, number)| {
                    assert_eq!(turns.remove(&path, number), Some(work));
                    work
                }),
                _ => {
                    let (number, crowded_out) = turns.push(&path, cost, index);
                    open.insert(index, (path, number));
                    crowded_out
                }
            };
            if let Some(work) = gone {
                prop_assert!(open.remove(&work).is_some(), "{work} came out twice");
            }
            prop_assert_eq!(turns.len(), open.len());
            prop_assert!(turns.len() <= limit);
        }
        while let Some(work) = take(&mut turns) {
            prop_assert!(open.remove(&work).is_some());
        }
        prop_assert!(open.is_empty() && turns.root.children.is_empty());
    }

    /// However much one sender has waiting, under however many accounts, and whatever was done before: work of somebody
    /// new is next.
    #[test]
    fn a_newcomer_waits_for_nothing_that_waits(
        waiting in prop::collection::vec((0..5_u8, 1..1_000_u64), 1..100),
        done in 1..50_usize,
        newcomer in 1..1_000_u64,
    ) {
        let mut turns = Turns::<u8, bool>::new(1_000);
        for (account, cost) in waiting {
            turns.push(&[1, account], cost, false);
        }
        for _ in 0..done {
            take(&mut turns);
        }
        let running = turns.pop();
        turns.push(&[2, 0], newcomer, true);
        if let Some(turn) = running {
            turns.finish(&turn.path, turn.cost, turn.cost);
        }
        prop_assert_eq!(take(&mut turns), Some(true));
    }

    /// Two who always want more get the same, whatever their work costs.
    #[test]
    fn who_always_wants_more_gets_as_much_as_others(
        costs in prop::collection::vec((1..100_u64, 1..100_u64), 300..400),
    ) {
        let mut turns = Turns::<u8, (u8, u64)>::new(1_000);
        for (one, other) in &costs {
            turns.push(&[1], *one, (1, *one));
            turns.push(&[2], *other, (2, *other));
        }
        let mut had = [0_u64; 3];
        for _ in 0..200 {
            let (who, cost) = take(&mut turns).unwrap();
            had[usize::from(who)] += cost;
            prop_assert!(had[1].abs_diff(had[2]) <= 100, "{had:?}");
        }
    }
}
