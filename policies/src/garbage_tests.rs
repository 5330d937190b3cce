#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]
use super::*;
use crate::stamp::tests::{admission, stamped};
use serde_json::{Value, json};

const JOB: (&str, &str) = ("batch", "Job");
/// Its master is the owner, as the stamp makes it.
const OWNERS: [&str; 1] = ["d-1"];

fn judged_as(object: &Value, (group, kind): (&str, &str), circumstances: Circumstances<'_>) -> Judgement {
    judge(Marks::of(object), &Gvk::new(group, "v1", kind), "trading", "post-trade-1", circumstances)
}

fn judged(object: &Value) -> Judgement {
    judged_as(object, JOB, Circumstances { finished: None, owners: &OWNERS })
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The stamped Job, with another record.
fn with(change: impl FnOnce(&mut Record)) -> Value {
    let mut object = stamped();
    object["metadata"]["annotations"]["fledged.io/admission"] = admission(change).into();
    object
}

fn without_deadline(mut object: Value) -> Value {
    object["metadata"]["labels"].as_object_mut().unwrap().remove("fledged.io/expires-at");
    object
}

#[test]
fn only_a_valid_stamp_makes_garbage() {
    let object = stamped();
    let deadline = Some((at("2026-11-20T15:30:00Z"), Why::Deadline));
    assert_eq!(judged(&object), Judgement::Dependent { due: deadline, notice: None, master: None });

    let mut forged = object.clone();
    forged["metadata"]["annotations"] = json!({});
    assert_eq!(judged(&forged), Judgement::NotOurs(StampError::NoAnnotation));

    let copied = with(|record| record.object.name = Some("another".into()));
    assert!(matches!(judged(&copied), Judgement::NotOurs(StampError::OtherObject(_))));

    let mut unreadable = object.clone();
    unreadable["metadata"]["labels"]["fledged.io/expires-at"] = "tomorrow".into();
    assert!(matches!(judged(&unreadable), Judgement::NotOurs(StampError::Deadline(_))));

    assert_eq!(judged(&without_deadline(object)), Judgement::Dependent { due: None, notice: None, master: None });
    assert_eq!(judged(&json!({"metadata": {"labels": {"app": "x"}}})), Judgement::Unmarked);
}

#[test]
fn a_job_that_finished_is_kept_as_long_as_its_template_says_and_no_longer_than_its_deadline() {
    let finished = Some(at("2026-11-20T15:00:00Z"));
    let deadline = at("2026-11-20T15:30:00Z");
    for (keep, kind, finished, expected) in [
        (Some("600s"), JOB, finished, (at("2026-11-20T15:10:00Z"), Why::Finished)),
        (Some("600s"), JOB, None, (deadline, Why::Deadline)),
        (Some("3600s"), JOB, finished, (deadline, Why::Deadline)),
        (Some("1800s"), JOB, finished, (deadline, Why::Deadline)),
        (None, JOB, finished, (deadline, Why::Deadline)),
        (Some("none"), JOB, finished, (deadline, Why::Deadline)),
        (Some("soon"), JOB, finished, (deadline, Why::Deadline)),
        (Some("9999999999999999999s"), JOB, finished, (deadline, Why::Deadline)),
        (Some("600s"), JOB, Some(Timestamp::MAX), (deadline, Why::Deadline)),
        (Some("600s"), ("example.com", "Job"), finished, (deadline, Why::Deadline)),
    ] {
        let object = with(|record| {
            record.keep_finished = keep.map(str::to_owned);
            record.object.api_version = format!("{}/v1", kind.0);
        });
        let judged = judged_as(&object, kind, Circumstances { finished, owners: &OWNERS });
        assert_eq!(
            judged,
            Judgement::Dependent { due: Some(expected), notice: None, master: None },
            "{keep:?} {kind:?} {finished:?}"
        );
    }
}

#[test]
fn a_deadline_is_told_of_as_long_before_as_its_template_says() {
    let finished = Some(at("2026-11-20T15:00:00Z"));
    for (before, keep, finished, expected) in [
        (Some("600s"), None, None, Some("2026-11-20T15:20:00Z")),
        (Some("600s"), None, finished, Some("2026-11-20T15:20:00Z")),
        // It is not the deadline that ends it.
        (Some("600s"), Some("60s"), finished, None),
        (Some("600s"), Some("60s"), None, Some("2026-11-20T15:20:00Z")),
        (None, None, None, None),
        (Some("none"), None, None, None),
        (Some("soon"), None, None, None),
        // Longer than its life; and than time, which is no duration.
        (Some("86400s"), None, None, Some("2026-11-19T15:30:00Z")),
        (Some("999999999999999s"), None, None, None),
    ] {
        let object = with(|record| {
            record.notify_before = before.map(str::to_owned);
            record.keep_finished = keep.map(str::to_owned);
        });
        let Judgement::Dependent { notice, .. } = judged_as(&object, JOB, Circumstances { finished, owners: &OWNERS })
        else {
            panic!("{before:?} is no dependent")
        };
        assert_eq!(notice, expected.map(at), "{before:?} {keep:?} {finished:?}");
    }
    let object = without_deadline(with(|record| record.notify_before = Some("600s".into())));
    assert!(matches!(judged(&object), Judgement::Dependent { notice: None, .. }));
    let deadline = at("2026-11-20T15:30:00Z");
    assert!(worth_telling(deadline, at("2026-11-20T15:29:59Z")) && !worth_telling(deadline, deadline));
}

#[test]
fn threat_46_a_master_is_followed_where_no_owner_reference_names_it_and_the_stamp_says_so() {
    let workload = stamp::tests::record().workload;
    for (ends_with_master, owners, followed) in [
        (true, &[][..], true),
        (true, &["job-1"], true),
        (true, &["job-1", "d-1"], false),
        (true, &["d-1"], false),
        (false, &[], false),
        (false, &["job-1"], false),
    ] {
        let object = without_deadline(with(|record| record.ends_with_master = ends_with_master));
        let master = followed.then(|| Master { namespace: "trading".into(), workload: workload.clone() });
        let judged = judged_as(&object, JOB, Circumstances { finished: None, owners });
        assert_eq!(judged, Judgement::Dependent { due: None, notice: None, master }, "{ends_with_master} {owners:?}");
    }
}

#[test]
fn threat_46_a_master_is_gone_only_where_a_live_read_says_so() {
    let workload = stamp::tests::record().workload;
    for (answer, expected) in [
        (Answer::NotFound(Some("eod")), true),
        (Answer::There("another"), true),
        (Answer::There("d-1"), false),
        (Answer::There(""), false),
        (Answer::NotFound(None), false),
        (Answer::NotFound(Some("trading")), false),
        (Answer::Forbidden, false),
        (Answer::Failed, false),
    ] {
        assert_eq!(gone(&workload, answer), expected, "{answer:?}");
    }
}

#[test]
fn a_deadline_is_past_at_its_instant() {
    let deadline = at("2026-11-20T15:30:00Z");
    assert!(past(deadline, deadline));
    assert!(!past(deadline, at("2026-11-20T15:29:59.999Z")));
}
