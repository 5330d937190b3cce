//! The quota against an API server of the mind: objects are stored some time after their admission, the watch shows them
//! some time later, and a live count sees what is stored. Time is tokio's own, which passes only while all wait.
#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;
use tokio::time::sleep;

use super::super::ledger::Shown;
use super::super::ledger::tests::{create, record};
use super::super::live_count::LiveCounts;
use super::*;

/// How long a live count takes.
const COUNT: Duration = Duration::from_millis(30);

/// Addresses: of the API server, and of a forger.
const SERVER: u64 = 1;
const STRANGER: u64 = 2;

/// How fast things are done, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// From admission until the object is stored.
    store: u64,
    /// From then until the watch shows it.
    watch: u64,
}

#[derive(Debug, Default)]
struct World {
    ledger: Ledger,
    live_counts: LiveCounts,
    given: Given,
    stored: Mutex<BTreeSet<String>>,
    counts: AtomicU32,
    /// Honest creates that were admitted and are not shown yet, now and at most.
    under_way: Mutex<(usize, usize)>,
    told: AtomicU32,
    /// Honest creates.
    admitted: AtomicU32,
}

/// What became of one honest create.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Outcome {
    admitted: bool,
    took: Duration,
    /// How many honest creates had come before when it was decided: stored, or admitted and on their way.
    before: usize,
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

impl World {
    fn stored(&self) -> usize {
        self.stored.lock().unwrap().len()
    }

    /// Asks for a place from an address, and returns the create if it is admitted.
    async fn ask(self: &Arc<Self>, address: u64, name: &str, most: u32) -> Option<Create> {
        let create = create("eod", name);
        let before = self.ledger.reserve(create.clone(), now());
        let limits = [(create.config_map.clone(), most)];
        let to = (address, create.config_map.clone());
        let ask = Ask { master: &create.master, object: Some(&create.key), before, limits: &limits, to: Some(&to) };
        let taken = taken(&self.ledger, &self.given, ask, || self.count(&create)).await.unwrap();
        if taken[&create.config_map] < most {
            self.ledger.admit(create.clone(), now());
            return Some(create);
        }
        self.ledger.withdraw(&create.master, &create.key);
        None
    }

    async fn count(self: &Arc<Self>, create: &Create) -> Result<Arc<Counted>, LookupError> {
        let read = || {
            let (world, create) = (Arc::clone(self), create.clone());
            async move {
                let began = Instant::now();
                let there = world.stored.lock().unwrap().clone();
                world.counts.fetch_add(1, Ordering::Relaxed);
                sleep(COUNT).await;
                world.ledger.refute(&create.master, began.into_std(), SETTLE, |key| !there.contains(&key.name));
                let count = u32::try_from(there.len()).unwrap();
                Ok(Arc::new(Counted { began, by_config_map: [(create.config_map, count)].into() }))
            }
        };
        self.live_counts.get(&create.master, read).await
    }

    /// A create of the master itself, which is stored if it is admitted.
    async fn honest(self: Arc<Self>, name: String, most: u32, pace: Pace) -> Outcome {
        let begun = Instant::now();
        let create = self.ask(SERVER, &name, most).await;
        let outcome = Outcome {
            admitted: create.is_some(),
            took: begun.elapsed(),
            before: self.admitted.load(Ordering::Relaxed) as usize,
        };
        let Some(create) = create else { return outcome };
        self.admitted.fetch_add(1, Ordering::Relaxed);
        {
            let mut under_way = self.under_way.lock().unwrap();
            under_way.0 += 1;
            under_way.1 = under_way.1.max(under_way.0);
        }
        sleep(Duration::from_millis(pace.store)).await;
        self.stored.lock().unwrap().insert(name.clone());
        sleep(Duration::from_millis(pace.watch)).await;
        if self.ledger.show(create.key, &name, &record("eod", "d")) == Shown::Admitted {
            self.told.fetch_add(1, Ordering::Relaxed);
        }
        self.under_way.lock().unwrap().0 -= 1;
        outcome
    }
}

/// Runs honest creates, each begun so many milliseconds after the first, beside `forged` reviews a second.
fn run(most: u32, pace: Pace, honest: &[u64], forged: u64) -> (Arc<World>, Vec<Outcome>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let world = Arc::new(World::default());
        let forger = tokio::spawn({
            let world = Arc::clone(&world);
            async move {
                for number in (0..).take_while(|_| forged > 0) {
                    let world = Arc::clone(&world);
                    tokio::spawn(async move { world.ask(STRANGER, &format!("forged-{}", number % 500), most).await });
                    sleep(Duration::from_micros(1_000_000 / forged)).await;
                }
            }
        });
        // The forger comes first.
        if forged > 0 {
            sleep(Duration::from_millis(100)).await;
        }
        let creates = honest.iter().enumerate().map(|(number, after)| {
            let (world, after) = (Arc::clone(&world), *after);
            tokio::spawn(async move {
                sleep(Duration::from_millis(after)).await;
                world.honest(format!("honest-{number}"), most, pace).await
            })
        });
        let outcomes = futures::future::join_all(creates.collect::<Vec<_>>()).await;
        forger.abort();
        (world, outcomes.into_iter().map(Result::unwrap).collect())
    })
}

#[test]
fn threat_58_one_pods_forged_reviews_neither_refuse_its_own_creates_nor_delay_them_for_two_seconds() {
    // One each second for ten, beside 200 forged reviews a second, all within the limit.
    let times: Vec<u64> = (0..10).map(|number| number * 1_000).collect();
    let (world, outcomes) = run(12, Pace { store: 20, watch: 5 }, &times, 200);
    for outcome in &outcomes {
        assert!(outcome.admitted && outcome.took < Duration::from_secs(1), "{outcome:?}");
    }
    assert!(outcomes[2..].iter().all(|outcome| outcome.took < Duration::from_millis(100)), "a forger is known by then");
    assert!((1..=12).contains(&world.counts.load(Ordering::Relaxed)), "at most one a second: {:?}", world.counts);
    assert_eq!(world.told.load(Ordering::Relaxed), 10, "each is told, and no forged one");
}

#[test]
fn threat_58_a_forger_does_not_lift_the_limit() {
    let times: Vec<u64> = (0..60).map(|number| number * 200).collect();
    let (world, outcomes) = run(20, Pace { store: 20, watch: 5 }, &times, 200);
    assert_eq!(outcomes.iter().filter(|outcome| outcome.admitted).count(), 20);
    assert_eq!(world.stored(), 20);
}

/// Found by the property below: creates that waited for reservations before them did not see places given meanwhile.
#[test]
fn threat_40_who_waits_for_reservations_sees_places_that_were_given_by_a_count() {
    let times =
        [473, 0, 0, 0, 493, 0, 0, 0, 0, 0, 879, 1563, 0, 0, 0, 1563, 0, 0, 0, 1916, 0, 513, 0, 453, 1563, 0, 1594];
    let (world, _) = run(26, Pace { store: 168, watch: 1_295 }, &times, 2);
    assert_eq!(world.stored(), 26);
}

#[test]
fn threat_40_the_second_of_two_waits_for_what_becomes_of_the_first() {
    let (_, outcomes) = run(1, Pace { store: 50, watch: 50 }, &[0, 10], 0);
    assert!(outcomes[0].admitted && !outcomes[1].admitted);
    assert!(outcomes[1].took >= Duration::from_millis(90), "it waited for the watch: {outcomes:?}");
    assert!(outcomes[1].took < Duration::from_millis(200), "and no longer: {outcomes:?}");
}

#[tokio::test(start_paused = true)]
async fn threat_58_a_review_without_a_verdict_frees_its_place_at_once() {
    let world = Arc::new(World::default());
    let first = create("eod", "first");
    world.ledger.reserve(first.clone(), now());
    let second = tokio::spawn({
        let world = Arc::clone(&world);
        async move { (world.ask(SERVER, "second", 1).await.is_some(), now()) }
    });
    sleep(Duration::from_millis(100)).await;
    world.ledger.withdraw(&first.master, &first.key);
    let ended = now();
    let (admitted, decided) = second.await.unwrap();
    assert!(admitted && decided - ended < Duration::from_millis(20));
    assert_eq!(world.counts.load(Ordering::Relaxed), 0, "nobody had to be asked");
}

#[tokio::test(start_paused = true)]
async fn threat_58_a_review_whose_caller_is_gone_while_it_waits_frees_its_place() {
    let ledger = Ledger::default();
    let reserved = |name: &str| Reserved::new(&ledger, create("eod", name));
    let count = || ledger.places(&create("eod", "").master, None, u64::MAX, now()).values().next().map(|p| p.reserved);
    reserved("kept").keep();
    let _gone = tokio::time::timeout(Duration::from_millis(10), async {
        let _reserved = reserved("gone");
        std::future::pending::<()>().await;
    })
    .await;
    assert_eq!(count(), Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_live_count_is_made_once_a_second_for_all_who_ask_even_where_they_go_away() {
    let world = Arc::new(World::default());
    let asking = create("eod", "a");
    for _ in 0..50 {
        // Each goes away before it is answered.
        let _ = tokio::time::timeout(COUNT / 3, world.count(&asking)).await;
    }
    let answers = (0..50).map(|_| world.count(&asking));
    assert!(futures::future::join_all(answers).await.iter().all(Result::is_ok));
    assert_eq!(world.counts.load(Ordering::Relaxed), 1);
    sleep(Duration::from_secs(1)).await;
    world.count(&asking).await.unwrap();
    world.count(&create("other", "a")).await.unwrap();
    assert_eq!(world.counts.load(Ordering::Relaxed), 3, "each master has its own");
}

/// How many worlds are tried; each is seconds of a simulated cluster, unless `PROPTEST_CASES` says otherwise.
fn worlds() -> ProptestConfig {
    let cases = if std::env::var("PROPTEST_CASES").is_ok() { ProptestConfig::default().cases } else { 48 };
    ProptestConfig { cases, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(worlds())]
    /// Whoever forges what: the limit is exact, as long as objects are stored in time.
    #[test]
    fn threat_40_bursts_beside_a_forger_are_exact(
        most in 1_u32..30, store in 0_u64..200, watch in 0_u64..1_500, forged in 1_u64..300,
        honest in prop::collection::vec(0_u64..4_000, 1..80),
    ) {
        let (world, _) = run(most, Pace { store, watch }, &honest, forged);
        prop_assert_eq!(world.stored(), honest.len().min(usize::try_from(most).unwrap()));
    }

    /// Without a forger the limit is exact, as long as objects are stored and shown in time.
    #[test]
    fn threat_40_honest_bursts_are_exact(
        most in 1_u32..30, store in 0_u64..300, watch in 0_u64..300, honest in prop::collection::vec(0_u64..2_000, 1..80),
    ) {
        let (world, outcomes) = run(most, Pace { store, watch }, &honest, 0);
        prop_assert_eq!(world.stored(), honest.len().min(usize::try_from(most).unwrap()));
        prop_assert!(outcomes.iter().all(|outcome| outcome.took < Duration::from_secs(2)));
    }

    /// Whoever forges what: no honest create is refused for what is forged, none takes two seconds, and the limit is
    /// overshot at most by the creates that are under way at once.
    #[test]
    fn threat_58_no_forger_refuses_or_admits_without_bound(
        most in 1_u32..30, store in 0_u64..1_500, watch in 0_u64..1_500, forged in 1_u64..300,
        honest in prop::collection::vec(0_u64..4_000, 1..60),
    ) {
        let (world, outcomes) = run(most, Pace { store, watch }, &honest, forged);
        let most = usize::try_from(most).unwrap();
        for outcome in &outcomes {
            prop_assert!(outcome.admitted || outcome.before >= most, "refused below the limit: {:?}", outcome);
            prop_assert!(outcome.took < Duration::from_secs(2), "{:?}", outcome);
        }
        let under_way = world.under_way.lock().unwrap().1;
        prop_assert!(world.stored() < most + under_way, "{} stored, {under_way} under way", world.stored());
    }
}
