#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
use policies::stamp::{StampedObject, StampedPod, StampedTemplate};

use super::*;

fn post_trade() -> NamespacedName {
    NamespacedName::new("trading", "post-trade")
}

/// The stamp of a dependent of this workload of `trading/eod`.
pub(crate) fn record(workload: &str, uid: &str) -> Record {
    Record {
        object: StampedObject {
            api_version: "batch/v1".into(),
            kind: "Job".into(),
            namespace: "trading".into(),
            name: Some("a".into()),
            generate_name: None,
        },
        account: NamespacedName::new("trading", "eod"),
        pod: StampedPod { name: "eod-1".into(), uid: "p".into() },
        workload: ObjectRef {
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            name: workload.into(),
            uid: uid.into(),
        },
        template: StampedTemplate {
            config_map: post_trade(),
            key: "job.yaml".into(),
            uid: "c".into(),
            version: "1".into(),
            hash: "h".into(),
        },
        parameters: BTreeMap::new(),
        parameters_omitted: false,
        duration: None,
        keep_finished: None,
        notify_before: None,
        ends_with_master: true,
    }
}

fn job(name: &str) -> Key {
    Key::new(&Gvk::new("batch", "v1", "Job"), "trading", name)
}

/// The create of the Job `name` by this workload's only pod.
pub(crate) fn create(workload: &str, name: &str) -> Create {
    Create {
        key: job(name),
        master: Master::of(&record(workload, "d")),
        pod: format!("pod of {workload}").as_str().into(),
        config_map: post_trade(),
    }
}

fn eod() -> Master {
    Master::of(&record("eod", "d"))
}

fn show(ledger: &Ledger, name: &str, uid: &str) -> Shown {
    ledger.show(job(name), uid, &record("eod", "d"))
}

fn before(ledger: &Ledger, number: u64, now: Instant) -> Places {
    ledger.places(&eod(), None, number, now).get(&post_trade()).copied().unwrap_or_default()
}

fn all(ledger: &Ledger, now: Instant) -> Places {
    before(ledger, u64::MAX, now)
}

fn places(shown: u32, reserved: u32) -> Places {
    Places { shown, reserved }
}

#[test]
fn dependents_are_counted_by_workload_name_whatever_its_uid() {
    let (ledger, now) = (Ledger::default(), Instant::now());
    ledger.show(job("a"), "1", &record("eod", "d"));
    ledger.show(job("b"), "2", &record("eod", "an earlier uid"));
    ledger.show(job("b"), "2", &record("eod", "an earlier uid"));
    assert_eq!(all(&ledger, now), places(2, 0), "an event that repeats is not another object");
    ledger.hide(&job("a"));
    ledger.hide(&job("a"));
    assert_eq!(all(&ledger, now), places(1, 0));
    ledger.retain("batch", "Job", |_| false);
    assert_eq!(all(&ledger, now), places(0, 0));
    assert!(ledger.is_empty() && ledger.state().counts.is_empty(), "nothing is kept of what is gone");
}

#[test]
fn threat_40_each_of_many_requests_at_once_sees_those_before_it() {
    let (ledger, now) = (Ledger::default(), Instant::now());
    let seen = |name: &str| before(&ledger, ledger.reserve(create("eod", name), now), now).total();
    assert_eq!(["a", "b", "c"].map(seen), [0, 1, 2]);
    assert_eq!(seen("a"), 0, "the same object in its next review takes no second place");
    assert_eq!(all(&ledger, now), places(0, 3));
    ledger.withdraw(&eod(), &job("b"));
    assert_eq!(all(&ledger, now), places(0, 2));
    show(&ledger, "c", "3");
    assert_eq!(all(&ledger, now), places(1, 1), "what the watch shows is reserved no longer");
}

#[test]
fn threat_58_a_reservation_ends_after_three_seconds_or_with_its_last_review() {
    let (ledger, now) = (Ledger::default(), Instant::now());
    ledger.reserve(create("eod", "a"), now);
    ledger.reserve(create("eod", "a"), now);
    ledger.withdraw(&eod(), &job("a"));
    assert_eq!(all(&ledger, now).reserved, 1, "another review of it is under way");
    ledger.withdraw(&eod(), &job("a"));
    assert_eq!(all(&ledger, now).reserved, 0, "no verdict was given");

    ledger.reserve(create("eod", "a"), now);
    ledger.admit(create("eod", "a"), now);
    ledger.reserve(create("eod", "a"), now);
    ledger.withdraw(&eod(), &job("a"));
    assert_eq!(all(&ledger, now).reserved, 1, "what one review admitted another one does not take back");
    assert_eq!(all(&ledger, now + RESERVED - Duration::from_millis(1)).reserved, 1);
    assert_eq!(all(&ledger, now + RESERVED).reserved, 0);
    assert_eq!(RESERVED, Duration::from_secs(3));
}

#[test]
fn the_object_asked_for_does_not_count_against_itself() {
    let (ledger, now) = (Ledger::default(), Instant::now());
    show(&ledger, "a", "1");
    ledger.reserve(create("eod", "b"), now);
    let except = |name: &str| ledger.places(&eod(), Some(&job(name)), u64::MAX, now)[&post_trade()];
    assert_eq!((except("a"), except("b")), (places(0, 1), places(1, 0)));
    assert!(ledger.is_own(&job("a"), "1", &eod()));
    assert!(!ledger.is_own(&job("a"), "2", &eod()), "a namesake is another object");
}

#[test]
fn threat_58_only_what_was_admitted_here_and_is_new_is_told_and_once() {
    let (ledger, now) = (Ledger::default(), Instant::now());
    let admit = |name: &str| {
        ledger.reserve(create("eod", name), now);
        ledger.admit(create("eod", name), now);
    };
    assert_eq!(show(&ledger, "listed", "1"), Shown::Known, "nobody here admitted it");
    admit("a");
    assert_eq!(show(&ledger, "a", "2"), Shown::Admitted);
    assert_eq!(show(&ledger, "a", "2"), Shown::Known, "a change of it is not another create");
    admit("a");
    assert_eq!(show(&ledger, "a", "2"), Shown::Known, "a forged create of what is there already");
    ledger.hide(&job("a"));
    admit("a");
    assert_eq!(show(&ledger, "a", "3"), Shown::Admitted, "its successor");
    ledger.reserve(create("eod", "b"), now);
    assert_eq!(show(&ledger, "b", "4"), Shown::Known, "no verdict was given on it here");
    admit("c");
    assert_eq!(ledger.show(job("c"), "5", &record("other", "o")), Shown::Known, "the stamp names another master");
    admit("late");
    all(&ledger, now + RESERVED);
    assert_eq!(show(&ledger, "late", "6"), Shown::Known, "its reservation had ended");
    admit("unlimited");
    assert_eq!(show(&ledger, "unlimited", "7"), Shown::Admitted);
}

#[test]
fn threat_58_one_review_repeated_costs_one_entry_and_refuses_nobody() {
    let (ledger, now) = (Ledger::default(), Instant::now());
    for repetition in 0..25_000 {
        let at = now + Duration::from_micros(repetition * 108);
        ledger.reserve(create("eod", "a"), at);
        ledger.admit(create("eod", "a"), at);
    }
    let state = ledger.state();
    assert_eq!((state.reservations.len(), state.reservations.ends()), (1, 1));
    drop(state);
    let late = now + Duration::from_secs(2);
    assert_eq!(before(&ledger, ledger.reserve(create("eod", "b"), late), late), places(0, 1));
    let other = ledger.reserve(create("other", "c"), late);
    assert!(
        ledger
            .places(&create("other", "c").master, None, other, late)
            .get(&post_trade())
            .is_none_or(|p| p.total() == 0)
    );
}

#[test]
fn threats_40_and_58_a_flood_of_reservations_is_bounded_by_its_own_pod() {
    let (ledger, now) = (Ledger::default(), Instant::now());
    ledger.admit(create("quiet", "mine"), now);
    for number in 0..100_000 {
        ledger.reserve(create("eod", &number.to_string()), now);
    }
    assert_eq!(ledger.state().reservations.len(), 2_048 + 1);
    assert_eq!(all(&ledger, now).reserved, 2_048);
    assert_eq!(ledger.show(job("mine"), "1", &record("quiet", "q")), Shown::Admitted, "another master notices nothing");
    ledger.admit(create("eod", "latest"), now);
    assert_eq!(show(&ledger, "latest", "2"), Shown::Admitted, "the oldest give way, not the newest");
}

#[test]
fn threats_40_and_58_all_reservations_together_are_bounded_by_memory_and_the_largest_gives_way() {
    let (ledger, now) = (Ledger::default(), Instant::now());
    ledger.admit(create("quiet", "mine"), now);
    for pod in 0..40 {
        for number in 0..2_048 {
            ledger.admit(create(&format!("forged-{pod}"), &format!("{number}-{}", "x".repeat(240))), now);
        }
    }
    assert!(ledger.state().reservations.bytes() <= 8 << 20);
    assert!(ledger.state().reservations.len() > 8_000, "memory is used, not refused");
    assert_eq!(ledger.show(job("mine"), "1", &record("quiet", "q")), Shown::Admitted);
    assert_eq!(all(&ledger, now + RESERVED), places(0, 0));
    let state = ledger.state();
    assert_eq!((state.reservations.len(), state.reservations.bytes()), (0, 0));
    assert!(state.reservations.is_empty(), "nothing is kept of what has ended");
}

#[test]
fn threat_40_five_thousand_honest_creates_a_second_of_ten_masters_are_each_expected_and_told() {
    let (ledger, begun) = (Ledger::default(), Instant::now());
    let mut told = 0;
    // Two seconds, and a watch that shows each object a whole second later.
    let (each, lag) = (Duration::from_micros(200), 5_000);
    let name = |number: u32| (format!("m{}", number % 10), format!("job-{number}"));
    for number in 0..10_000 + lag {
        let now = begun + each * number;
        if number < 10_000 {
            let (master, job) = name(number);
            let mine = ledger.reserve(create(&master, &job), now);
            let places = ledger.places(&create(&master, &job).master, None, mine, now);
            let total = places.get(&post_trade()).map_or(0, |places| places.total());
            assert_eq!(total, number / 10, "each of those before it counts once, as reserved or as shown");
            ledger.admit(create(&master, &job), now);
        }
        if let Some(shown) = number.checked_sub(lag) {
            let (master, object) = name(shown);
            let shown = ledger.show(job(&object), &shown.to_string(), &record(&master, "d"));
            told += u32::from(shown == Shown::Admitted);
        }
    }
    assert_eq!(told, 10_000);
}

#[test]
fn names_that_no_api_server_stores_are_never_under_way() {
    let named = |namespace: &str, name: &str| Key::new(&Gvk::new("", "v1", "Pod"), namespace, name).can_be_stored();
    assert!(named("trading", "a") && named(&"n".repeat(63), &"x".repeat(253)));
    assert!(!named("trading", "") && !named("trading", &"x".repeat(254)) && !named(&"n".repeat(64), "a"));
}
