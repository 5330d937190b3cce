//! What a master may change of what it launched, and how: its parameters within the template, its deadline within the
//! cap, and nothing else.

use jiff::{SignedDuration, Timestamp};
use policies::lifetime;
use serde_json::{Value, json};
use story::manifests;

use crate::house::{Cases, Way, master, object, record, send, shared, stored, until, with};

fn label(at: Timestamp) -> Value {
    json!(lifetime::label(at))
}

#[test]
fn threats_7_and_50_parameters_change_within_the_template_and_are_recorded_anew() {
    let master = master("updates");
    let job = object(&manifests::job("20261120"));
    let path = master.group("batch/v1", "jobs/post-trade-20261120");
    let mut cases = Cases::default();
    cases.admitted("create", &send(&master, Way::Apply, &job, ""));
    let now = || stored(shared(), &path).unwrap();
    let recorded = |cases: &mut Cases, case: &str, workers: u64| {
        let now = now();
        cases.holds(case, now["spec"]["parallelism"] == workers, &now["spec"]["parallelism"]);
        cases.holds(case, record(&now)["parameters"]["workers"] == workers, record(&now));
    };
    recorded(&mut cases, "create", 3);
    cases.admitted("merge patch", &master.api.merge(&path, &json!({"spec": {"parallelism": 4}})).unwrap());
    recorded(&mut cases, "merge patch", 4);
    let operations = json!([{"op": "replace", "path": "/spec/parallelism", "value": 5}]);
    cases.admitted("JSON patch", &master.api.patch(&path, &operations).unwrap());
    recorded(&mut cases, "JSON patch", 5);
    // Others write status meanwhile: then it is read and written again.
    let put = until("an unconflicted PUT", || {
        Some(master.api.put(&path, &with(&now(), "/spec/parallelism", json!(6))).unwrap()).filter(|put| put.code != 409)
    });
    cases.admitted("PUT", &put);
    recorded(&mut cases, "PUT", 6);
    let seven = with(&job, "/spec/parallelism", json!(7));
    cases.admitted("apply", &master.api.apply(&format!("{path}?force=true"), &seven).unwrap());
    recorded(&mut cases, "apply", 7);
    let dry = master.api.merge(&format!("{path}?dryRun=All"), &json!({"spec": {"parallelism": 1}})).unwrap();
    cases.admitted("dry run", &dry);
    recorded(&mut cases, "dry run", 7);

    let run = now()["metadata"]["ownerReferences"].clone();
    for (what, patch, words) in [
        ("too many", json!({"spec": {"parallelism": 9}}), &["spec.parallelism", "from 1 to 8"][..]),
        ("suspended", json!({"spec": {"suspend": true}}), &["spec.suspend"]),
        ("a label", json!({"metadata": {"labels": {"a": "b"}}}), &["labels"]),
        ("an annotation", json!({"metadata": {"annotations": {"a": "b"}}}), &["annotations"]),
        ("a ttl", json!({"spec": {"ttlSecondsAfterFinished": 1}}), &["ttlSecondsAfterFinished"]),
        ("threat 9: a finalizer", json!({"metadata": {"finalizers": ["example.com/x"]}}), &["finalizers"]),
        ("threat 13: no owner", json!({"metadata": {"ownerReferences": null}}), &["ownerReferences"]),
        (
            "threat 12: another owner beside",
            json!({"metadata": {"ownerReferences": [run[0], {"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "y"}]}}),
            &["ownerReferences"],
        ),
        ("threat 13: no master", json!({"metadata": {"labels": {"fledged.io/master": null}}}), &["fledged.io/master"]),
        ("threat 13: another", json!({"metadata": {"labels": {"fledged.io/template": "x"}}}), &["fledged.io/template"]),
        (
            "threat 13: no record",
            json!({"metadata": {"annotations": {"fledged.io/admission": null}}}),
            &["fledged.io/admission"],
        ),
        (
            "threat 13: another record",
            json!({"metadata": {"annotations": {"fledged.io/admission": "{}"}}}),
            &["fledged.io/admission"],
        ),
        ("threat 13: no stamp", json!({"metadata": {"labels": null, "annotations": null}}), &["stamp"]),
        ("threat 13: no deadline", json!({"metadata": {"labels": {"fledged.io/expires-at": null}}}), &["expires-at"]),
        (
            "a deadline that is none",
            json!({"metadata": {"labels": {"fledged.io/expires-at": "never"}}}),
            &["expires-at"],
        ),
    ] {
        for query in ["", "?dryRun=All"] {
            let reply = master.api.merge(&format!("{path}{query}"), &patch).unwrap();
            cases.refused(&format!("{what}{query}"), &reply, words);
        }
    }
    recorded(&mut cases, "after all that", 7);
    cases.finish();
}

#[test]
fn threats_13_and_51_a_deadline_moves_within_creation_plus_cap() {
    let master = master("renewals");
    let report = object(&manifests::report("renewed", "10m"));
    let path = master.core("configmaps/report-renewed");
    let mut cases = Cases::default();
    let made = send(&master, Way::Post, &report, "");
    cases.admitted("create", &made);
    let created: Timestamp = made.body["metadata"]["creationTimestamp"].as_str().unwrap().parse().unwrap();
    let first = made.body["metadata"]["labels"]["fledged.io/expires-at"].clone();
    let ten = [0, 1, 2].map(|more| label(created + SignedDuration::from_secs(600 + more)));
    cases.holds("ten minutes", ten.contains(&first), &first);
    let renew =
        |to: Value| master.api.merge(&path, &json!({"metadata": {"labels": {"fledged.io/expires-at": to}}})).unwrap();
    for (what, seconds, admitted) in [
        ("later", 1200, true),
        ("sooner", 900, true),
        ("the cap", 3600, true),
        ("beyond", 3660, false),
        ("far", 10 * 365 * 86400, false),
    ] {
        let reply = renew(label(created + SignedDuration::from_secs(seconds)));
        if admitted {
            cases.admitted(what, &reply);
        } else {
            cases.refused(what, &reply, &["a deadline up to", "fledged.io/expires-at"]);
        }
    }
    let kept = stored(shared(), &path).unwrap()["metadata"]["labels"]["fledged.io/expires-at"].clone();
    cases.holds("the cap is what stays", kept == label(created + SignedDuration::from_secs(3600)), kept);
    // Asking for more than the cap is granted the cap.
    let long = send(&master, Way::Post, &object(&manifests::report("long", "9h")), "");
    cases.admitted("nine hours", &long);
    let granted = record(&long.body)["duration"].clone();
    cases.holds("the cap is granted", granted == "3600s", granted);
    cases.finish();
}

#[test]
fn threat_13_a_stranger_s_object_is_not_touched_even_by_apply() {
    let master = master("strangers");
    let path = master.core("configmaps/report-theirs");
    shared().cluster.asker().post(&master.core("configmaps"), &object(&manifests::report("theirs", "10m"))).unwrap();
    let mut cases = Cases::default();
    let theirs = stored(shared(), &path).unwrap();
    cases.admitted("written back as it is", &master.api.put(&path, &theirs).unwrap());
    let words = ["is not a dependent of", "it carries no stamp"];
    cases.refused("PUT", &master.api.put(&path, &with(&theirs, "/data/level", json!("debug"))).unwrap(), &words);
    cases.refused("patch", &master.api.merge(&path, &json!({"data": {"level": "debug"}})).unwrap(), &words);
    let mine = object(&manifests::report("theirs", "10m"));
    let apply = master.api.apply(&format!("{path}?force=true"), &with(&mine, "/data/level", json!("debug"))).unwrap();
    cases.refused("apply", &apply, &words);
    cases.refused("delete", &master.api.delete(&path, None).unwrap(), &words);
    cases.holds("nothing changed", stored(shared(), &path).unwrap()["data"]["level"] == "info", "");
    cases.finish();
}
