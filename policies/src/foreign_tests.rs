#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]
use super::*;

const CREATED: &str = "2026-11-20T15:00:00Z";
const REFRESHED_AT: &str = "k8s-ttl-controller.twin.sh/refreshed-at";
const PROPAGATION_POLICY: &str = "cleanup.kyverno.io/propagation-policy";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// An object with these keys: Kyverno's as a label, all others as annotations.
fn judged_as(pairs: &[(&str, &str)], kind: (&str, &str), controlled: bool) -> Judgement {
    let owned = |(key, value): &(&str, &str)| (key.to_string(), value.to_string());
    let (labels, annotations): (Vec<_>, Vec<_>) = pairs.iter().partition(|(key, _)| *key == "cleanup.kyverno.io/ttl");
    let subject = Subject {
        kind: &Gvk::new(kind.0, "v1", kind.1),
        labels: &labels.iter().map(owned).collect(),
        annotations: &annotations.iter().map(owned).collect(),
        created: at(CREATED),
        controlled,
    };
    judge(subject)
}

fn judged(pairs: &[(&str, &str)]) -> Judgement {
    judged_as(pairs, ("apps", "Deployment"), false)
}

/// The keys that cannot be read.
fn unread(judgement: Judgement) -> Vec<&'static str> {
    match judgement {
        Judgement::Unreadable(unreadable) => unreadable.into_iter().map(|one| one.key).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_key_is_read_as_its_own_collector_reads_it() {
    use Key::{JanitorExpires, JanitorTtl, KyvernoTtl, TwinTtl};
    for (key, value, end) in [
        (JanitorTtl, "60s", "2026-11-20T15:01:00Z"),
        (JanitorTtl, "10m", "2026-11-20T15:10:00Z"),
        (JanitorTtl, "4h", "2026-11-20T19:00:00Z"),
        (JanitorTtl, "7d", "2026-11-27T15:00:00Z"),
        (JanitorTtl, "2w", "2026-12-04T15:00:00Z"),
        (JanitorTtl, "0010m", "2026-11-20T15:10:00Z"),
        (JanitorExpires, "2019-04-17T20:59:12Z", "2019-04-17T20:59:12Z"),
        (JanitorExpires, "2026-11-21T20:59", "2026-11-21T20:59:00Z"),
        (JanitorExpires, "2026-11-21", "2026-11-21T00:00:00Z"),
        (KyvernoTtl, "5m", "2026-11-20T15:05:00Z"),
        (KyvernoTtl, "1d", "2026-11-21T15:00:00Z"),
        (KyvernoTtl, "1h30m", "2026-11-20T16:30:00Z"),
        (KyvernoTtl, "1.5h", "2026-11-20T16:30:00Z"),
        (KyvernoTtl, "2026-11-21T003000Z", "2026-11-21T00:30:00Z"),
        (KyvernoTtl, "2026-11-21", "2026-11-21T00:00:00Z"),
        (TwinTtl, "30m", "2026-11-20T15:30:00Z"),
        (TwinTtl, "24h", "2026-11-21T15:00:00Z"),
        (TwinTtl, "7d", "2026-11-27T15:00:00Z"),
        (TwinTtl, "1w2d", "2026-11-29T15:00:00Z"),
        (TwinTtl, "30m1h", "2026-11-20T16:30:00Z"),
        (TwinTtl, ".5m", "2026-11-20T15:00:30Z"),
        (TwinTtl, "1500ms", "2026-11-20T15:00:01.5Z"),
    ] {
        assert_eq!(judged(&[(key.name(), value)]), Judgement::Due(at(end), key), "{} {value}", key.name());
    }
    for forever in ["forever", "Forever"] {
        assert_eq!(judged(&[("janitor/ttl", forever)]), Judgement::Endless);
    }
}

#[test]
fn what_cannot_be_read_keeps_the_object_and_names_the_key() {
    let long = "1".repeat(100) + "s";
    for (key, values) in [
        (
            "janitor/ttl",
            &["", "10", "10min", "1h30m", "1.5h", "-5m", "0s", "unlimited", "1 h", "10M", "m", "10m ", &long][..],
        ),
        ("janitor/ttl", &["99999999999999w", "9999999999999999999999999999999999999999999s"]),
        (
            "janitor/expires",
            &["", "tomorrow", "2019-04-17T20:59Z", "2019-04-17 20:59", "2019-13-01", "2019-02-30", "7d"],
        ),
        ("janitor/expires", &["2019-4-7", "2019-04-17T20:59:12+01:00", "1555534752"]),
        (
            "cleanup.kyverno.io/ttl",
            &["", "10", "0", "0s", "-5m", "soon", "2026-11-21T00.30.00Z", "2026-11-21T0030Z", "1y"],
        ),
        (
            "k8s-ttl-controller.twin.sh/ttl",
            &["", "10", "0", "-5m", "1 d", "1d!", "1..5h", "forever", "7D", "2026-11-21"],
        ),
    ] {
        for value in values {
            let found = judged(&[(key, value)]);
            let Judgement::Unreadable(unreadable) = &found else { panic!("{key} {value:?}: {found:?}") };
            assert_eq!(unreadable[0].key, key);
            assert!(unreadable[0].value.len() <= 64 && value.starts_with(&unreadable[0].value));
        }
    }
    assert_eq!(
        unread(judged(&[("janitor/ttl", "1h"), ("janitor/expires", "soon"), ("cleanup.kyverno.io/ttl", "later")])),
        ["janitor/expires", "cleanup.kyverno.io/ttl"],
        "one that can be read does not help"
    );
    let Judgement::Unreadable(told) = judged(&[("janitor/ttl", "10min")]) else { panic!() };
    assert_eq!(
        told[0].to_string(),
        r#"janitor/ttl is "10min": expected a number and one unit (60s, 5m, 8h, 7d, 2w), or forever"#
    );
}

#[test]
fn of_several_keys_the_first_instant_wins() {
    for (pairs, end, key) in [
        (&[("janitor/ttl", "1h"), ("janitor/expires", "2026-11-21")][..], "2026-11-20T16:00:00Z", Key::JanitorTtl),
        (&[("janitor/ttl", "7d"), ("janitor/expires", "2026-11-21")], "2026-11-21T00:00:00Z", Key::JanitorExpires),
        (&[("janitor/ttl", "forever"), ("janitor/expires", "2026-11-21")], "2026-11-21T00:00:00Z", Key::JanitorExpires),
        (
            &[("cleanup.kyverno.io/ttl", "1h"), ("k8s-ttl-controller.twin.sh/ttl", "1h")],
            "2026-11-20T16:00:00Z",
            Key::KyvernoTtl,
        ),
    ] {
        assert_eq!(judged(pairs), Judgement::Due(at(end), key), "{pairs:?}");
    }
    assert_eq!(judged(&[]), Judgement::Endless);
    assert_eq!(judged(&[(REFRESHED_AT, "soon"), ("app", "web")]), Judgement::Endless, "it is no key by itself");
}

#[test]
fn k8s_ttl_controller_counts_from_the_last_refresh() {
    let ttl = ("k8s-ttl-controller.twin.sh/ttl", "1h");
    for (refreshed, end) in [
        ("2026-11-20T18:00:00Z", "2026-11-20T19:00:00Z"),
        ("2026-11-20T18:00:00.25+02:00", "2026-11-20T17:00:00.25Z"),
        ("2026-11-20T09:00:00Z", "2026-11-20T10:00:00Z"),
    ] {
        assert_eq!(judged(&[ttl, (REFRESHED_AT, refreshed)]), Judgement::Due(at(end), Key::TwinTtl), "{refreshed}");
    }
    for refreshed in ["", "yesterday", "2026-11-20", "2026-11-20T18:00:00", "2026-11-20 18:00:00Z", "20261120T180000Z"]
    {
        assert_eq!(unread(judged(&[ttl, (REFRESHED_AT, refreshed)])), [REFRESHED_AT], "{refreshed}");
    }
    let other = [("janitor/ttl", "1h"), (REFRESHED_AT, "2026-11-20T18:00:00Z")];
    assert_eq!(judged(&other), Judgement::Due(at("2026-11-20T16:00:00Z"), Key::JanitorTtl), "it is that one's alone");
}

#[test]
fn what_kyverno_would_orphan_is_kept() {
    let ttl = ("cleanup.kyverno.io/ttl", "1h");
    for policy in ["Background", "Foreground"] {
        assert!(matches!(judged(&[ttl, (PROPAGATION_POLICY, policy)]), Judgement::Due(..)), "{policy}");
    }
    for policy in ["Orphan", "", "background"] {
        assert_eq!(unread(judged(&[ttl, (PROPAGATION_POLICY, policy)])), [PROPAGATION_POLICY], "{policy}");
    }
    assert!(matches!(judged(&[("janitor/ttl", "1h"), (PROPAGATION_POLICY, "Orphan")]), Judgement::Due(..)));
}

#[test]
fn copies_that_controllers_make_end_nothing() {
    let key = [("janitor/ttl", "1h"), ("cleanup.kyverno.io/ttl", "later")];
    for (kind, controlled, copied) in [
        (("apps", "ReplicaSet"), true, true),
        (("apps", "ReplicaSet"), false, false),
        (("apps", "ControllerRevision"), true, true),
        (("discovery.k8s.io", "EndpointSlice"), true, true),
        (("", "Endpoints"), false, true),
        (("example.com", "Pod"), true, true),
        (("", "Pod"), true, false),
        (("batch", "Job"), true, false),
        (("", "PersistentVolumeClaim"), true, false),
        (("", "ConfigMap"), false, false),
    ] {
        assert_eq!(judged_as(&key, kind, controlled) == Judgement::Copied, copied, "{kind:?} {controlled}");
    }
    assert_eq!(judged_as(&[], ("apps", "ReplicaSet"), true), Judgement::Endless);
}
