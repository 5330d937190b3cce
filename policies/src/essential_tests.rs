#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]
use super::*;
use serde_json::{Value, json};

/// A pod with the containers `main`, `side`, the init container `first` and the native sidecar `proxy`.
fn spec() -> Spec {
    serde_json::from_value(json!({
        "containers": [{"name": "main", "image": "a"}, {"name": "side", "image": "b"}],
        "initContainers": [{"name": "first"}, {"name": "proxy", "restartPolicy": "Always"}],
        "nodeName": "node-0",
    }))
    .unwrap()
}

fn ended(code: i64, reason: &str) -> Value {
    json!({"terminated": {"exitCode": code, "reason": reason, "startedAt": null, "finishedAt": "2026-11-20T15:00:00Z"}})
}

fn running() -> Value {
    json!({"running": {"startedAt": "2026-11-20T14:00:00Z"}})
}

/// The status in which `main` is in these states and `side` runs.
fn status(phase: &str, state: &Value, last: &Value) -> Status {
    serde_json::from_value(json!({"phase": phase, "containerStatuses": [
        {"name": "main", "state": state, "lastState": last, "restartCount": 0},
        {"name": "side", "state": running(), "lastState": {}},
    ]}))
    .unwrap()
}

/// What is wrong with the pod of these labels, or whether it is done.
fn judged(labels: &[(&str, &str)], status: Option<&Status>) -> Judgement {
    let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let (spec, finalizers) = (spec(), []);
    let pod = Pod {
        labels: &labels,
        of_job: false,
        finalizers: &finalizers,
        told: false,
        terminating: false,
        spec: &spec,
        status,
    };
    judge(&pod)
}

fn at() -> Option<Timestamp> {
    Some("2026-11-20T15:00:00Z".parse().unwrap())
}

const DELETE: End = End::Delete;

#[test]
fn a_pod_is_done_when_its_essential_container_has_completed_and_no_crash_counts() {
    let none = json!({});
    for (state, last, done) in [
        (running(), none.clone(), false),
        (json!({"waiting": {"reason": "ContainerCreating"}}), none.clone(), false),
        (ended(0, "Completed"), none.clone(), true),
        (ended(1, "Error"), none.clone(), false),
        (ended(0, "Error"), none.clone(), false),
        (ended(0, "ContainerCannotRun"), none.clone(), false),
        (ended(1, "Completed"), none.clone(), false),
        (ended(137, "OOMKilled"), none.clone(), false),
        // Started again already, or about to be.
        (running(), ended(0, "Completed"), true),
        (json!({"waiting": {"reason": "CrashLoopBackOff"}}), ended(0, "Completed"), true),
        (ended(1, "Error"), ended(0, "Completed"), true),
        (ended(0, "Completed"), ended(1, "Error"), true),
        (running(), ended(1, "Error"), false),
        (json!({"waiting": {"reason": "CrashLoopBackOff"}}), ended(2, "Error"), false),
    ] {
        let found = judged(&[("essential-containers", "main")], Some(&status("Running", &state, &last)));
        let expected = if done { Judgement::Done { end: DELETE, since: at() } } else { Judgement::Leave };
        assert_eq!(found, expected, "{state} {last}");
    }
    assert_eq!(judged(&[("essential-containers", "main")], None), Judgement::Leave);
    assert_eq!(judged(&[("essential-containers", "main")], Some(&Status::default())), Judgement::Leave);
}

#[test]
fn any_container_that_either_label_names_is_enough() {
    let completed = status("Running", &ended(0, "Completed"), &json!({}));
    for (labels, done) in [
        (&[("essential-containers", "main")][..], true),
        (&[("essential-container", "main")], true),
        (&[("essential-containers", "side.main")], true),
        (&[("essential-container", "main.side")], true),
        (&[("essential-containers", "main.main")], true),
        // Both labels: those of both.
        (&[("essential-containers", "side"), ("essential-container", "main")], true),
        (&[("essential-containers", "main"), ("essential-container", "side")], true),
        (&[("essential-containers", "side")], false),
        (&[("essential-container", "side")], false),
        (&[("essential", "main"), ("app", "main")], false),
        (&[], false),
    ] {
        let expected = if done { Judgement::Done { end: DELETE, since: at() } } else { Judgement::Leave };
        assert_eq!(judged(labels, Some(&completed)), expected, "{labels:?}");
    }
}

#[test]
fn a_label_that_names_anything_else_is_reported_whole_and_ends_nothing() {
    let completed = status("Running", &ended(0, "Completed"), &json!({}));
    let unknown = |name: &str| Mistake::Unknown(name.into());
    for (labels, mistakes) in [
        (&[("essential-containers", "mian")][..], vec![unknown("mian")]),
        (&[("essential-containers", "main.mian")], vec![unknown("mian")]),
        (&[("essential-containers", "Main")], vec![unknown("Main")]),
        (&[("essential-containers", "first")], vec![Mistake::Init("first".into())]),
        (&[("essential-containers", "proxy.main")], vec![Mistake::Sidecar("proxy".into())]),
        (&[("essential-containers", "")], vec![Mistake::Nothing("essential-containers")]),
        (&[("essential-container", "main..side")], vec![Mistake::Nothing("essential-container")]),
        (
            &[("essential-containers", "first"), ("essential-container", "x")],
            vec![Mistake::Init("first".into()), unknown("x")],
        ),
        (&[("essential-containers", "main"), ("essential-container", "x")], vec![unknown("x")]),
    ] {
        assert_eq!(judged(labels, Some(&completed)), Judgement::Mistaken(mistakes.clone()), "{labels:?}");
        assert_eq!(judged(labels, None), Judgement::Mistaken(mistakes), "{labels:?} before it runs");
    }
}

#[test]
fn a_jobs_pod_succeeds_for_its_job_and_then_for_its_node_and_is_never_deleted() {
    let labels = BTreeMap::from([("essential-containers".to_owned(), "main".to_owned())]);
    let (spec, uncounted, counted) = (spec(), [UNCOUNTED.to_owned()], ["example.com/mine".to_owned()]);
    let (succeed, stop) = (Some(End::Succeed), Some(End::Stop));
    for (phase, finalizers, told, expected) in [
        ("Running", &uncounted[..], false, succeed),
        // Set back by what a kubelet had on its way; failed since a sidecar had ended badly before.
        ("Pending", &uncounted, false, succeed),
        ("Failed", &uncounted, false, succeed),
        ("Succeeded", &uncounted, false, None),
        // Counted.
        ("Succeeded", &counted, false, stop),
        ("Succeeded", &[], false, stop),
        ("Running", &[], false, stop),
        ("Succeeded", &[], true, None),
        // Set back after its node was told.
        ("Running", &[], true, stop),
        ("Failed", &[], false, None),
        ("Failed", &[], true, None),
    ] {
        let status = status(phase, &ended(0, "Completed"), &json!({}));
        let pod = Pod {
            labels: &labels,
            of_job: true,
            finalizers,
            told,
            terminating: false,
            spec: &spec,
            status: Some(&status),
        };
        let expected = expected.map_or(Judgement::Leave, |end| Judgement::Done { end, since: at() });
        assert_eq!(judge(&pod), expected, "{phase} {finalizers:?} {told}");
        assert_eq!(judge(&Pod { terminating: true, ..pod }), Judgement::Leave, "{phase} {finalizers:?} {told}");
        // History, of which nothing runs.
        let mut over = status.clone();
        for container in &mut over.container_statuses {
            container.state.terminated = Some(Terminated { reason: "Completed".into(), ..Terminated::default() });
        }
        if phase == "Succeeded" {
            assert_eq!(judge(&Pod { status: Some(&over), ..pod }), Judgement::Leave, "{finalizers:?} {told}");
        }
    }
}

#[test]
fn a_jobs_pod_of_which_all_has_ended_well_but_native_sidecars_is_left_to_its_node() {
    let labels = BTreeMap::from([("essential-containers".to_owned(), "main".to_owned())]);
    let spec: Spec = serde_json::from_value(json!({
        "containers": [{"name": "main"}],
        "initContainers": [{"name": "proxy", "restartPolicy": "Always"}],
    }))
    .unwrap();
    for (phase, state, of_job, expected) in [
        ("Running", ended(0, "Completed"), true, None),
        ("Succeeded", ended(0, "Completed"), true, None),
        ("Running", ended(1, "Error"), true, None),
        // Something else ended it, a deadline or its node: its work is done all the same.
        ("Failed", ended(0, "Completed"), true, Some(End::Succeed)),
        ("Running", ended(0, "Completed"), false, Some(End::Delete)),
    ] {
        let status = json!({"phase": phase, "containerStatuses": [{"name": "main", "state": state, "lastState": {}}]});
        let status: Status = serde_json::from_value(status).unwrap();
        let (finalizers, status) = (&[UNCOUNTED.to_owned()][..], Some(&status));
        let pod = Pod { labels: &labels, of_job, finalizers, told: false, terminating: false, spec: &spec, status };
        let expected = expected.map_or(Judgement::Leave, |end| Judgement::Done { end, since: at() });
        assert_eq!(judge(&pod), expected, "{phase} {state} {of_job}");
    }
}

#[test]
fn any_other_pod_is_deleted_whatever_its_phase_unless_it_goes_already() {
    let labels = BTreeMap::from([("essential-container".to_owned(), "main".to_owned())]);
    let spec = spec();
    for (phase, terminating) in [("Running", false), ("Succeeded", false), ("Failed", false), ("Running", true)] {
        let status = status(phase, &ended(0, "Completed"), &json!({}));
        let (finalizers, status) = (&[][..], Some(&status));
        let pod = Pod { labels: &labels, of_job: false, finalizers, told: false, terminating, spec: &spec, status };
        let expected = if terminating { Judgement::Leave } else { Judgement::Done { end: DELETE, since: at() } };
        assert_eq!(judge(&pod), expected, "{phase} {terminating}");
    }
}

#[test]
fn an_end_without_a_time_counts() {
    let state = json!({"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": null}});
    let status = status("Running", &state, &json!({}));
    let found = judged(&[("essential-containers", "main")], Some(&status));
    assert_eq!(found, Judgement::Done { end: DELETE, since: None });
}
