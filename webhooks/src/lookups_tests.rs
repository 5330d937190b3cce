#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::*;

type Asked<'a> = Pin<Box<dyn Future<Output = Result<Turn, Crowded>> + Send + 'a>>;

fn ask(lookups: &Lookups, about: About) -> Asked<'_> {
    Box::pin(lookups.turn(about))
}

/// The turn, if it is there.
fn granted(asked: &mut Asked<'_>) -> Option<Turn> {
    match asked.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(turn) => Some(turn.unwrap()),
        Poll::Pending => None,
    }
}

/// As many as may be under way at once.
fn all(lookups: &Lookups, about: About) -> Vec<Turn> {
    (0..about.at_once()).map(|_| granted(&mut ask(lookups, about)).unwrap()).collect()
}

#[test]
fn threat_58_few_lookups_are_under_way_and_each_kind_has_its_own_turns() {
    let lookups = Lookups::alone();
    let strangers = all(&lookups, About::Unknown);
    let mut more = ask(&lookups, About::Unknown);
    assert!(granted(&mut more).is_none());
    let verified = all(&lookups, About::Verified);
    assert!(granted(&mut ask(&lookups, About::Verified)).is_none());
    assert_eq!(all(&lookups, About::Linted).len(), 2);
    drop(strangers);
    assert!(granted(&mut more).is_some());
    drop(verified);
}

#[test]
fn threat_58_a_sender_with_thousands_waiting_delays_another_by_what_is_under_way_alone() {
    let lookups = Lookups::alone();
    let (stranger, server) = (lookups.of([1, 1, 1, 1]), lookups.of([2, 2, 2, 2]));
    let mut under_way = all(&stranger, About::Unknown);
    let mut waiting: Vec<_> = (0..1_000).map(|_| ask(&stranger, About::Unknown)).collect();
    assert!(waiting.iter_mut().all(|asked| granted(asked).is_none()));
    let mut honest = ask(&server, About::Unknown);
    assert!(granted(&mut honest).is_none());
    under_way.pop();
    assert!(granted(&mut honest).is_some(), "the next turn is its own");
}

#[test]
fn who_has_most_waiting_is_crowded_out_and_told() {
    let lookups = Lookups::alone();
    let (stranger, server) = (lookups.of([1, 1, 1, 1]), lookups.of([2, 2, 2, 2]));
    let _under_way = all(&stranger, About::Unknown);
    let mut waiting: Vec<_> = (0..WAITING).map(|_| ask(&stranger, About::Unknown)).collect();
    assert!(waiting.iter_mut().all(|asked| granted(asked).is_none()));
    let mut honest = ask(&server, About::Unknown);
    assert!(granted(&mut honest).is_none());
    let told =
        |asked: &mut Asked<'_>| asked.as_mut().poll(&mut Context::from_waker(Waker::noop())).map(|it| it.is_err());
    let crowded: Vec<_> = waiting.iter_mut().map(told).collect();
    assert_eq!(crowded.iter().filter(|told| **told == Poll::Ready(true)).count(), 1);
    assert!(granted(&mut honest).is_none(), "it waits still");
}

#[test]
fn whoever_goes_away_takes_no_turn_along() {
    let lookups = Lookups::alone();
    let under_way = all(&lookups, About::Linted);
    let mut gone = ask(&lookups, About::Linted);
    let mut leaves_late = ask(&lookups, About::Linted);
    assert!(granted(&mut gone).is_none() && granted(&mut leaves_late).is_none());
    drop(gone);
    drop(under_way);
    // Its turn has come, and it never looked.
    drop(leaves_late);
    assert_eq!(all(&lookups, About::Linted).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn threat_58_who_finds_nobody_keeps_the_place_a_while() {
    let lookups = Lookups::alone();
    for turn in all(&lookups, About::Unknown) {
        turn.found_nobody();
    }
    let begun = tokio::time::Instant::now();
    let _turn = lookups.turn(About::Unknown).await.unwrap();
    assert!(begun.elapsed() >= NOBODY, "{:?}", begun.elapsed());
}
