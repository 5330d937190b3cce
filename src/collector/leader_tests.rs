#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
use super::*;

#[test]
fn what_is_due_waits_for_the_lease_and_nothing_else_asks_for_it() {
    const LASTS: Duration = Duration::from_secs(15);
    let start = Instant::now();
    let at = |seconds: u64| start + Duration::from_secs(seconds);
    for (known, now, expected) in [
        (Known::Nothing, 0, Step::Listen),
        (Known::Free, 0, Step::Claim),
        (Known::Ours(at(0)), 0, Step::Lead),
        (Known::Ours(at(0)), 4, Step::Lead),
        (Known::Ours(at(0)), 5, Step::Renew),
        (Known::Ours(at(0)), 9, Step::Renew),
        // It slept, or its renewals failed: it no longer knows.
        (Known::Ours(at(0)), 10, Step::Claim),
        (Known::Ours(at(0)), 10_000, Step::Claim),
        (Known::Others(at(15)), 0, Step::Hold(at(15))),
        (Known::Others(at(15)), 14, Step::Hold(at(15))),
        (Known::Others(at(15)), 15, Step::Claim),
        (Known::Others(at(15)), 10_000, Step::Claim),
    ] {
        assert_eq!(step(known, LASTS, at(now)), expected, "{known:?} {now}");
    }
}

#[test]
fn a_claim_counts_a_transition_and_a_renewal_none() {
    let election = |identity: &str| Election {
        namespace: "retinue".into(),
        identity: identity.into(),
        duration: Duration::from_secs(15),
    };
    let at = |second| Timestamp::from_second(second).unwrap();
    let first = claimed(None, &election("one"), at(100));
    let renewed = claimed(Some(first.clone()), &election("one"), at(105));
    let taken = claimed(Some(renewed.clone()), &election("two"), at(200));
    let shown = [first, renewed, taken].map(|lease| {
        let spec = lease.spec.unwrap();
        let second = |time: Option<MicroTime>| time.unwrap().0.as_second();
        let holder = spec.holder_identity.unwrap();
        (holder, second(spec.acquire_time), second(spec.renew_time), spec.lease_transitions.unwrap())
    });
    let expected = [("one", 100, 100, 1), ("one", 100, 105, 1), ("two", 200, 200, 2)];
    assert_eq!(shown, expected.map(|(holder, acquired, renewed, times)| (holder.into(), acquired, renewed, times)));
}

#[test]
fn without_the_right_it_does_without_and_otherwise_it_tries_again() {
    for (code, expected) in
        [(403, true), (404, true), (422, true), (401, false), (409, false), (429, false), (500, false)]
    {
        let status = Status { code, ..Status::default() };
        assert_eq!(is_final(&status), expected, "{code}");
    }
}
