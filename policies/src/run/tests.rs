#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]

use serde_json::json;

use super::ending::{Ending, How};
use super::job::{self, Job, State};
use super::plan::{self, FromImage, Renewal, Standing};
use super::pod::Pod;
use super::*;
use crate::keys;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A Job with this status, and a deadline where one is given.
fn a_job(status: &Value, deadline: Option<&str>) -> Value {
    let mut job = json!({
        "metadata": {"name": "j", "namespace": "n", "uid": "u", "creationTimestamp": "2026-11-20T10:00:00Z"},
        "spec": {"parallelism": 1},
        "status": status,
    });
    if let Some(deadline) = deadline {
        job["metadata"]["labels"] = json!({keys::MASTER: "n.eod", keys::EXPIRES_AT: deadline});
    }
    job
}

fn condition(kind: &str, reason: &str, message: &str) -> Value {
    json!({"conditions": [
        {"type": "Suspended", "status": "False"},
        {"type": kind, "status": "True", "reason": reason, "message": message}]})
}

fn a_pod(name: &str, status: Value) -> Pod {
    Pod::read(&json!({
        "metadata": {"name": name, "uid": name, "creationTimestamp": "2026-11-20T10:00:01Z"},
        "spec": {"nodeName": "node-0", "containers": [{"name": "main"}]},
        "status": status,
    }))
}

fn container(state: Value) -> Value {
    json!({"phase": "Running", "containerStatuses": [{"name": "main", "ready": false, "restartCount": 2, "state": state}]})
}

#[test]
fn why_a_pod_waits_or_ended_is_read_from_where_it_is_said() {
    let waiting = |reason: &str| container(json!({"waiting": {"reason": reason, "message": "more"}}));
    let terminated = |code: u8, reason: &str| container(json!({"terminated": {"exitCode": code, "reason": reason}}));
    let unscheduled = json!({"phase": "Pending", "conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available"}]});
    let mut crashing = waiting("CrashLoopBackOff");
    crashing["containerStatuses"][0]["lastState"] = json!({"terminated": {"exitCode": 7, "reason": "Error"}});
    let mut initialising = waiting("PodInitializing");
    initialising["initContainerStatuses"] =
        json!([{"name": "init", "state": {"waiting": {"reason": "ErrImagePull", "message": "no such host"}}}]);
    for (case, status, reason, message) in [
        ("image", waiting("ImagePullBackOff"), Some("ImagePullBackOff"), Some("more")),
        ("begun", waiting("ContainerCreating"), Some("ContainerCreating"), None),
        ("init", initialising, Some("ErrImagePull"), Some("no such host")),
        ("crash loop", crashing, Some("CrashLoopBackOff"), Some("more")),
        ("unscheduled", unscheduled, Some("Unschedulable"), Some("0/3 nodes are available")),
        ("evicted", json!({"phase": "Failed", "reason": "Evicted", "message": "disk"}), Some("Evicted"), Some("disk")),
        ("out of memory", terminated(137, "OOMKilled"), Some("OOMKilled"), None),
        ("failed", terminated(3, "Error"), Some("Error"), None),
        ("done", terminated(0, "Completed"), None, None),
        ("runs", container(json!({"running": {}})), None, None),
        ("nothing is known", json!({}), None, None),
        ("nonsense", json!({"phase": 3, "conditions": "x", "containerStatuses": {"a": 1}}), None, None),
    ] {
        let pod = a_pod("p", status);
        assert_eq!((pod.reason.as_deref(), pod.message.as_deref()), (reason, message), "{case}");
    }
}

#[test]
fn a_pod_is_read_whole() {
    let pod = a_pod(
        "p",
        json!({"phase": "Running", "startTime": "2026-11-20T10:00:02Z",
               "initContainerStatuses": [{"name": "init", "restartCount": 1, "ready": true, "state": {"terminated": {"exitCode": 0}}}],
               "containerStatuses": [{"name": "main", "restartCount": 2, "ready": true, "state": {"running": {}}}]}),
    );
    assert_eq!((pod.node.as_deref(), pod.phase.as_str()), (Some("node-0"), "Running"));
    assert_eq!(pod.started, Some(at("2026-11-20T10:00:02Z")));
    assert_eq!((pod.ready, pod.containers, pod.restarts), (1, 1, 3));
    assert!(pod.is_active() && !pod.is_over());
    assert_eq!(pod.runs.iter().map(|run| run.container.as_str()).collect::<Vec<_>>(), ["init", "main"]);
    assert!(pod.runs[1].running && pod.runs[1].began && !pod.runs[1].over);
    let gone = pod.gone();
    assert!(gone.is_over() && gone.runs.iter().all(|run| run.over && !run.running));
}

#[test]
fn native_sidecars_count_as_containers_and_how_they_are_stopped_says_nothing() {
    let read = |main: &Value, side: &Value, phase: &str| {
        Pod::read(&json!({
            "metadata": {"name": "p"},
            "spec": {"containers": [{"name": "main"}],
                     "initContainers": [{"name": "first"}, {"name": "side", "restartPolicy": "Always"}]},
            "status": {
                "phase": phase,
                "initContainerStatuses": [
                    {"name": "first", "ready": true, "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}},
                    {"name": "side", "ready": side["running"].is_object(), "state": side},
                ],
                "containerStatuses": [{"name": "main", "ready": main["running"].is_object(), "state": main}],
            },
        }))
    };
    let (runs, stopped) = (json!({"running": {}}), json!({"terminated": {"exitCode": 143, "reason": "Error"}}));
    let completed = json!({"terminated": {"exitCode": 0, "reason": "Completed"}});
    let failed = json!({"terminated": {"exitCode": 1, "reason": "Error"}});
    for (main, side, phase, ready, exits) in [
        (&runs, &runs, "Running", 2, &[][..]),
        (&completed, &runs, "Running", 1, &[]),
        (&completed, &stopped, "Running", 0, &[]),
        (&completed, &stopped, "Succeeded", 0, &[]),
        (&failed, &stopped, "Failed", 0, &["main"]),
        // It is started again.
        (&runs, &stopped, "Running", 1, &["side"]),
    ] {
        let pod = read(main, side, phase);
        assert_eq!((pod.ready, pod.containers), (ready, 2), "{main} {side}");
        assert_eq!(pod.exits.iter().map(|exit| exit.container.as_str()).collect::<Vec<_>>(), exits, "{main} {side}");
        assert_eq!(pod.reason.is_some(), !exits.is_empty(), "{main} {side}: {:?}", pod.reason);
    }
}

#[test]
fn a_container_that_will_be_started_again_is_not_over() {
    let crashing = a_pod("p", container(json!({"waiting": {"reason": "CrashLoopBackOff"}})));
    assert!(crashing.runs[0].began && !crashing.runs[0].over && !crashing.runs[0].running);
    let mut status = container(json!({"terminated": {"exitCode": 1}}));
    assert!(!a_pod("p", status.clone()).runs[0].over, "the pod's restart policy may start it again");
    status["phase"] = json!("Failed");
    assert!(a_pod("p", status).runs[0].over);
    let fresh = json!({"phase": "Pending", "containerStatuses": [{"name": "main", "state": {"waiting": {}}}]});
    assert!(!a_pod("p", fresh).runs[0].began);
}

#[test]
fn a_job_ends_by_its_conditions_and_by_nothing_else() {
    let late = "2026-11-20T100100Z";
    for (case, status, limit, expected) in [
        ("runs", json!({"active": 1}), None, None),
        ("its pods are still ending", condition("FailureTarget", "BackoffLimitExceeded", ""), None, None),
        ("success is certain", condition("SuccessCriteriaMet", "", ""), None, None),
        ("complete", condition("Complete", "CompletionsReached", ""), None, Some((How::Complete, 0))),
        ("failed", condition("Failed", "BackoffLimitExceeded", "too often"), Some(60), Some((How::Failed, 1))),
        ("its own deadline", condition("Failed", "DeadlineExceeded", "too long"), None, Some((How::Failed, 1))),
        ("our limit", condition("Failed", "DeadlineExceeded", "too long"), Some(60), Some((How::TimeLimit, 124))),
    ] {
        let job = Job::read(&a_job(&status, Some(late)));
        let ending = Ending::of(&job, &[], limit);
        assert_eq!(ending.map(|ending| (ending.how, ending.exit_code)), expected, "{case}");
    }
}

#[test]
fn a_job_that_is_gone_was_complete_or_over_its_deadline_or_deleted_by_somebody() {
    let complete = condition("Complete", "", "");
    let running = json!({"active": 1});
    let deadline = Some("2026-11-20T100100Z");
    for (case, status, deadline, now, expected) in [
        ("no deadline", &running, None, "2026-11-20T10:30:00Z", How::Deleted),
        ("before it", &running, deadline, "2026-11-20T10:00:30Z", How::Deleted),
        ("at it, by a clock that is behind", &running, deadline, "2026-11-20T10:00:58Z", How::TimeLimit),
        ("after it", &running, deadline, "2026-11-20T10:01:00Z", How::TimeLimit),
        ("complete before", &complete, deadline, "2026-11-20T10:01:00Z", How::Complete),
    ] {
        assert_eq!(Ending::gone(&Job::read(&a_job(status, deadline)), None, at(now)).how, expected, "{case}");
    }
    // A label without a stamp's others is nobody's deadline.
    let mut foreign = a_job(&running, deadline);
    foreign["metadata"]["labels"].as_object_mut().unwrap().remove(keys::MASTER);
    assert_eq!(Job::read(&foreign).deadline, None);
}

#[test]
fn a_failure_says_which_container_exited_how() {
    let crashed = |name: &str, reason: &str, message: Option<&str>| {
        a_pod(
            name,
            json!({"phase": "Failed", "containerStatuses": [{"name": "main", "state": {
            "terminated": {"exitCode": 3, "reason": reason, "message": message}}}]}),
        )
    };
    let evicted = a_pod("c", json!({"phase": "Failed", "reason": "Evicted", "message": "disk"}));
    let fine = a_pod("d", json!({"phase": "Succeeded"}));
    let job = Job::read(&a_job(&condition("Failed", "BackoffLimitExceeded", "too often"), None));
    let pods = [crashed("a", "Error", None), crashed("b", "OOMKilled", Some("bad input\n")), evicted, fine];
    let ending = Ending::of(&job, &pods, None).unwrap();
    assert_eq!(ending.reason, "BackoffLimitExceeded");
    assert_eq!(
        ending.message,
        "too often; container main of pod a exited with code 3; container main of pod b exited with code 3 \
         (OOMKilled): bad input; pod c: Evicted (disk)"
    );
    let many: Vec<Pod> = (0..9).map(|index| crashed(&format!("p{index}"), "Error", None)).collect();
    assert!(Ending::of(&job, &many, None).unwrap().message.ends_with("; and 4 more"));
}

#[test]
fn a_report_is_one_line_of_json_of_a_fixed_shape() {
    let job = Job::read(&a_job(&json!({"active": 2, "failed": 1}), Some("2026-11-20T100100Z")));
    let pod = a_pod("p", json!({"phase": "Succeeded", "startTime": "2026-11-20T10:00:02Z"}));
    let report = Report::new(at("2026-11-20T10:00:05Z"), &job, Some(vec![pod]), Some(Ending::interrupted()));
    assert_eq!(
        serde_json::to_value(&report).unwrap(),
        json!({
            "time": "2026-11-20T10:00:05Z", "namespace": "n", "job": "j", "uid": "u", "state": "running",
            "created": "2026-11-20T10:00:00Z", "deadline": "2026-11-20T10:01:00Z",
            "active": 0, "succeeded": 1, "failed": 1,
            "pods": [{"name": "p", "uid": "p", "node": "node-0", "phase": "Succeeded", "started": "2026-11-20T10:00:02Z",
                      "ready": 0, "containers": 1, "restarts": 0, "reason": null, "message": null, "exits": [],
                      "terminating": false, "gone": false}],
            "ended": {"how": "interrupted", "reason": "Interrupted", "message": "ended by a signal", "exitCode": 130},
        })
    );
    let blind = serde_json::to_value(Report::new(at("2026-11-20T10:00:05Z"), &job, None, None)).unwrap();
    assert_eq!((&blind["pods"], &blind["active"], &blind["ended"]), (&Value::Null, &json!(2), &Value::Null));
}

#[test]
fn states_of_a_job() {
    for (change, expected) in [
        (json!({}), State::Running),
        (json!({"spec": {"suspend": true}}), State::Suspended),
        (json!({"metadata": {"deletionTimestamp": "2026-11-20T10:00:00Z"}}), State::Deleting),
        (json!({"status": condition("Complete", "", "")}), State::Complete),
        (json!({"status": condition("Failed", "", "")}), State::Failed),
    ] {
        assert_eq!(Job::read(&change).state, expected, "{change}");
    }
}

#[test]
fn only_pods_that_the_job_controls_are_its_own() {
    let pod = |uid: &str, controller: bool| json!({"metadata": {"ownerReferences": [{"uid": uid, "controller": controller}]}});
    assert!(job::owns("u", &pod("u", true)));
    for other in [pod("v", true), pod("u", false), json!({}), json!({"metadata": {"ownerReferences": "u"}})] {
        assert!(!job::owns("u", &other), "{other}");
    }
    let labels = json!({"spec": {"selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "u", "a": "b"}}}});
    assert_eq!(job::selector(&labels).unwrap(), "a=b,batch.kubernetes.io/controller-uid=u");
    let expressions = json!({"spec": {"selector": {"matchExpressions": [
        {"key": "a", "operator": "In", "values": ["b", "c"]}, {"key": "d", "operator": "NotIn", "values": ["e"]},
        {"key": "f", "operator": "Exists"}, {"key": "g", "operator": "DoesNotExist"}]}}});
    assert_eq!(job::selector(&expressions).unwrap(), "a in (b,c),d notin (e),f,!g");
    assert_eq!(job::selector(&json!({"spec": {"selector": {}}})), None, "all pods of the namespace are no selection");
}

#[test]
fn what_holds_the_limit_is_in_the_manifest_of_anybody_but_a_master() {
    let job = |spec: Value| json!({"kind": "Job", "spec": spec});
    for (case, spec, limit, keep, expected, ours) in [
        (
            "limit",
            json!({}),
            Some(60),
            false,
            json!({"activeDeadlineSeconds": 60, "ttlSecondsAfterFinished": 300}),
            Some(60),
        ),
        ("no limit", json!({}), None, false, json!({"ttlSecondsAfterFinished": 300}), None),
        ("kept", json!({}), Some(60), true, json!({"activeDeadlineSeconds": 60}), Some(60)),
        (
            "sooner",
            json!({"activeDeadlineSeconds": 30, "ttlSecondsAfterFinished": 0}),
            Some(60),
            false,
            json!({"activeDeadlineSeconds": 30, "ttlSecondsAfterFinished": 0}),
            None,
        ),
        ("later", json!({"activeDeadlineSeconds": 90}), Some(60), true, json!({"activeDeadlineSeconds": 60}), Some(60)),
        (
            "the same is its author's",
            json!({"activeDeadlineSeconds": 60}),
            Some(60),
            true,
            json!({"activeDeadlineSeconds": 60}),
            None,
        ),
    ] {
        let plan = plan::plan(job(spec.clone()), Standing::Other, limit, keep);
        assert_eq!((&plan.manifest, plan.limit), (&job(expected), ours), "{case}");
        let master = plan::plan(job(spec.clone()), Standing::Master, limit, keep);
        assert_eq!((&master.manifest, master.limit), (&job(spec), None), "{case}, a master");
    }
}

#[test]
fn a_dependents_deadline_is_set_sooner_and_never_later_than_granted() {
    let created = |deadline: Option<&str>| a_job(&json!({}), deadline);
    let set = Renewal::Set(at("2026-11-20T10:01:01Z"));
    for (case, job, expected) in [
        ("no stamp", created(None), Renewal::NoDependent),
        ("an hour", created(Some("2026-11-20T110000Z")), set),
        ("the cap itself", created(Some("2026-11-20T100101Z")), Renewal::Soon),
        ("the limit itself", created(Some("2026-11-20T100100Z")), Renewal::Soon),
        ("less", created(Some("2026-11-20T100059Z")), Renewal::Capped(at("2026-11-20T10:00:59Z"))),
    ] {
        assert_eq!(plan::renewal(&job, 60), expected, "{case}");
    }
    let mut endless = created(Some("2026-11-20T110000Z"));
    endless["metadata"]["labels"].as_object_mut().unwrap().remove(keys::EXPIRES_AT);
    assert_eq!(plan::renewal(&endless, 60), set, "a dependent that lives as long as its master");
    assert_eq!(plan::renewed(at("2026-11-20T10:01:01Z"))["metadata"]["labels"][keys::EXPIRES_AT], "2026-11-20T100101Z");
}

#[test]
fn names_are_made_of_images() {
    for (image, expected) in [
        ("registry.example/team/post-trade:1.4", "run-post-trade-"),
        ("registry.example:5000/a@sha256:0123", "run-a-"),
        ("Busy_Box", "run-busy-box-"),
        ("", "run-job-"),
        ("x/-:1", "run-job-"),
        (&"a".repeat(99), "run-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-"),
    ] {
        let name = plan::name_of_image(image, 12_345_678);
        assert!(name.starts_with(expected) && name.len() == expected.len() + 5 && name.len() <= 50, "{image}: {name}");
    }
    assert_ne!(plan::suffix(1), plan::suffix(2));
    let mut generated = json!({"metadata": {"generateName": "post-trade-"}});
    let before = generated.clone();
    plan::named(&mut generated, Standing::Master, 7);
    assert_eq!(generated, before, "a template that says generateName admits no other name");
    plan::named(&mut generated, Standing::Other, 7);
    assert_eq!(generated, json!({"metadata": {"name": format!("post-trade-{}", plan::suffix(7))}}));
}

#[test]
fn a_job_of_an_image_is_one_try_of_one_pod() {
    let job = FromImage {
        name: "a".into(),
        image: "i".into(),
        args: vec!["--run".into(), "1".into()],
        restart: "Never".into(),
        ..FromImage::default()
    }
    .job();
    assert_eq!(job["spec"]["backoffLimit"], 0);
    assert_eq!(
        job["spec"]["template"]["spec"],
        json!({"restartPolicy": "Never", "containers": [
        {"name": "main", "image": "i", "args": ["--run", "1"]}]})
    );
    assert_eq!(job["metadata"]["labels"], json!({"app.kubernetes.io/managed-by": "retinue"}));
    assert!(plan::is_by(&json!({"metadata": {"managedFields": [{"manager": "m"}]}}), "m"));
    assert!(!plan::is_by(&json!({}), "m"));
}
