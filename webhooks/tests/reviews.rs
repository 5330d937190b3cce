//! Reviews that were damaged on the way, or made to do harm: read or refused, with the uid, and never a crash.
#![allow(clippy::unwrap_used, clippy::allow_attributes, missing_docs, reason = "tests")]

use policies::request::Phase;
use proptest::prelude::*;
use webhooks::review::{parse, uid_from_head};

const UID: &str = "705ab4f5-6393-11e8-b7cc-42010a800002";

/// As the API server writes it; `uid` comes first.
fn review(object: &str) -> String {
    format!(
        r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{"uid":"{UID}","kind":{{"group":"batch","version":"v1","kind":"Job"}},"resource":{{"group":"batch","version":"v1","resource":"jobs"}},"name":"eod","namespace":"trading","operation":"UPDATE","userInfo":{{"username":"system:serviceaccount:trading:eod","groups":["system:authenticated"],"extra":{{"authentication.kubernetes.io/pod-name":["eod-0"]}}}},"object":{object},"oldObject":{object},"dryRun":false,"options":{{"kind":"UpdateOptions","apiVersion":"meta.k8s.io/v1"}}}}}}"#
    )
}

const OBJECT: &str = r#"{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"eod","managedFields":[{"a":1}],"labels":{"a":"b"}},"spec":{"n":[1,-2.5,1e3,true,null,"\u00e9\n"]}}"#;

/// Where the uid is whole, for a look-up without parsing.
fn after_uid() -> usize {
    let text = review(OBJECT);
    text.find(UID).unwrap() + UID.len() + 1
}

#[derive(Clone, Debug)]
enum Damage {
    Cut(usize),
    Put(usize, u8),
    Splice(usize, String),
    Remove(usize, usize),
    Repeat(usize, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = || 0..2000_usize;
    prop_oneof![
        at().prop_map(Damage::Cut),
        (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Put(at, byte)),
        (
            at(),
            prop_oneof![
                Just("\"".to_owned()),
                Just("{".repeat(300)),
                Just("[".repeat(300)),
                Just("1e999".to_owned()),
                Just("-".to_owned()),
                Just("\\ud800".to_owned()),
                Just("\\u0000".to_owned()),
                Just("null".to_owned()),
                Just(",\"uid\":\"x\"".to_owned()),
                Just("}}".to_owned()),
                "\\PC{0,6}",
            ]
        )
            .prop_map(|(at, text)| Damage::Splice(at, text)),
        (at(), 1..40_usize).prop_map(|(at, count)| Damage::Remove(at, count)),
        (at(), 1..40_usize).prop_map(|(at, count)| Damage::Repeat(at, count)),
    ]
}

fn damaged(bytes: &mut Vec<u8>, damage: &Damage) -> usize {
    let inside = |at: usize| at % bytes.len().max(1);
    match damage {
        Damage::Cut(at) => {
            let at = inside(*at);
            bytes.truncate(at);
            at
        }
        Damage::Put(at, byte) => {
            let at = inside(*at);
            if let Some(slot) = bytes.get_mut(at) {
                *slot = *byte;
            }
            at
        }
        Damage::Splice(at, text) => {
            let at = inside(*at);
            bytes.splice(at..at, text.bytes());
            at
        }
        Damage::Remove(at, count) => {
            let at = inside(*at);
            let end = (at + count).min(bytes.len());
            bytes.drain(at..end);
            at
        }
        Damage::Repeat(at, count) => {
            let at = inside(*at);
            let end = (at + count).min(bytes.len());
            let again = bytes[at..end].to_vec();
            bytes.splice(at..at, again);
            at
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn threat_29_a_damaged_review_is_read_or_refused_with_its_uid(all in prop::collection::vec(damage(), 1..4)) {
        let mut bytes = review(OBJECT).into_bytes();
        let mut first = bytes.len();
        for damage in &all {
            first = first.min(damaged(&mut bytes, damage));
        }
        let whole = first > after_uid();
        for phase in [Phase::Mutating, Phase::Validating] {
            match parse(phase, &bytes) {
                Ok(review) => {
                    prop_assert!(!review.request.uid.is_empty());
                    prop_assert!(!whole || review.request.uid == UID);
                    prop_assert!(review.request.object.is_some() && review.request.old_object.is_some() || review.request.operation != policies::request::Operation::Update);
                }
                Err(rejected) => {
                    prop_assert!(!whole || rejected.uid.as_deref() == Some(UID), "{:?}", rejected.why);
                    prop_assert!(!rejected.why.to_string().is_empty());
                }
            }
        }
    }

    #[test]
    fn threat_29_noise_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(parse(Phase::Mutating, &bytes).is_err());
        let _ = uid_from_head(&bytes);
    }
}

#[test]
fn threat_29_what_is_deep_or_long_ends_soon() {
    let start = std::time::Instant::now();
    for object in [
        format!("{}{}", "{\"a\":".repeat(9000), "}".repeat(9000)),
        format!("{}{}", "[".repeat(200_000), "]".repeat(200_000)),
        format!("[{}1]", "{},".repeat(300_000)),
        format!("{{\"a\":\"{}\"}}", "\\u003c".repeat(500_000)),
        format!("{{\"a\":{}}}", "9".repeat(1_000_000)),
        format!("{{{}\"z\":1}}", (0..100_000).map(|n| format!("\"k{n}\":0,")).collect::<String>()),
    ] {
        if let Err(rejected) = parse(Phase::Mutating, review(&object).as_bytes()) {
            assert_eq!(rejected.uid.as_deref(), Some(UID));
        }
    }
    assert!(start.elapsed() < std::time::Duration::from_secs(30), "{:?}", start.elapsed());
}
