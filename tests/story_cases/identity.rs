//! Who asks: the bound pod and what is above it, proven; and everybody else, who is not even noticed.

use controlplane::{Asker, Reply};
use serde_json::{Value, json};
use story::{Master, manifests};

use crate::house::{Cases, Way, master, object, send, shared, stored, until};

const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";

fn report(part: &str) -> Value {
    object(&manifests::report(part, "10m"))
}

fn create(master: &Master, api: &Asker) -> Reply {
    api.post(&master.core("configmaps?dryRun=All"), &report("who")).unwrap()
}

fn uid(master: &Master, pod: &str) -> String {
    let pod = stored(shared(), &master.core(&format!("pods/{pod}"))).unwrap();
    pod["metadata"]["uid"].as_str().unwrap().to_owned()
}

fn pod(master: &Master, name: &str, account: &str, owners: &Value) -> String {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "annotations": {"fledged.io/manifests": "post-trade"}, "ownerReferences": owners},
        "spec": {"serviceAccountName": account, "containers": [{"name": "main", "image": "x:1"}]},
    });
    let made = shared().cluster.asker().post(&master.core("pods"), &pod).unwrap();
    assert!(made.success(), "{}", made.message());
    made.body["metadata"]["uid"].as_str().unwrap().to_owned()
}

#[test]
fn threats_24_25_and_26_a_master_is_its_living_pod_and_nothing_else() {
    let master = master("who");
    let ns = &master.namespace;
    let mut cases = Cases::default();
    cases.admitted("the pod", &create(&master, &master.api));

    let unbound = shared().cluster.token(ns, "eod", None).unwrap();
    let unbound = shared().cluster.asker_with_token(&unbound).unwrap();
    cases.refused("a token without pod", &create(&master, &unbound), &["pod"]);

    let user = format!("system:serviceaccount:{ns}:eod");
    let groups = ["system:serviceaccounts", "system:authenticated"];
    let as_account = shared().cluster.asker().impersonating(&user, &groups);
    let live = uid(&master, &master.pod);
    let as_pod = |name: &str, uid: &str| as_account.with_extra(POD_NAME, name).with_extra(POD_UID, uid);
    cases.admitted("impersonated, as documented", &create(&master, &as_pod(&master.pod, &live)));
    cases.refused("no extras", &create(&master, &as_account), &["pod"]);
    cases.refused("a name without uid", &create(&master, &as_account.with_extra(POD_NAME, &master.pod)), &["pod"]);
    let gone = "00000000-0000-0000-0000-000000000000";
    cases.refused("a pod that is gone", &create(&master, &as_pod("eod-gone", gone)), &["eod-gone"]);
    cases.refused("another uid", &create(&master, &as_pod(&master.pod, gone)), &[&master.pod]);
    let two = as_pod(&master.pod, &live).with_extra(POD_NAME, "eod-gone");
    cases.refused("two pods", &create(&master, &two), &["pod"]);

    shared().cluster.service_account(ns, "helper").unwrap();
    let helpers = pod(&master, "helper", "helper", &json!([]));
    cases.refused("another account's pod", &create(&master, &as_pod("helper", &helpers)), &["helper"]);

    // A pod that claims to belong to a workload that runs under another account: a Job that somebody else manages, since
    // any other controller would release a pod that it did not make, which then is a pod of its own.
    let other = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: other}\nspec:\n  managedBy: example.com/nobody\n  \
                 template:\n    spec: {restartPolicy: Never, serviceAccountName: helper, containers: [{name: main, image: x}]}";
    let made = shared().cluster.asker().post(&master.group("batch/v1", "jobs"), &object(other)).unwrap();
    let owner = |uid: &Value, name: &str| json!([{"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": uid, "controller": true}]);
    for (name, owners) in [
        ("forged-account", owner(&made.body["metadata"]["uid"], "other")),
        ("forged-uid", owner(&json!(gone), "other")),
        ("forged-name", owner(&json!(gone), "nobody")),
    ] {
        // The garbage collector takes a pod whose owners do not exist, perhaps before it has asked: refused as well, and
        // another pod asks.
        let said = until("an answer while the pod lives", || {
            let forged = pod(&master, name, "eod", &owners);
            let reply = create(&master, &as_pod(name, &forged));
            assert!(!reply.success(), "{name} was admitted");
            let path = master.core(&format!("pods/{name}"));
            shared().cluster.asker().delete(&path, Some(&json!({"gracePeriodSeconds": 0}))).unwrap();
            until("the pod's end", || stored(shared(), &path).is_none().then_some(()));
            Some(reply).filter(|reply| !reply.message().contains("is gone"))
        });
        cases.refused(name, &said, &["Job"]);
    }

    // A pod without wish.
    let silent = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "silent"}, "spec": {
        "serviceAccountName": "eod", "containers": [{"name": "main", "image": "x:1"}]}});
    let silent = shared().cluster.asker().post(&master.core("pods"), &silent).unwrap();
    let uid = silent.body["metadata"]["uid"].as_str().unwrap();
    cases.refused("a pod that asks for nothing", &create(&master, &as_pod("silent", uid)), &["fledged.io/manifests"]);

    // A pod that is deleted: its token is refused by retinue, or not even taken by the API server any more.
    let options = json!({"gracePeriodSeconds": 0});
    shared().cluster.asker().delete(&master.core(&format!("pods/{}", master.pod)), Some(&options)).unwrap();
    until("the pod's end", || stored(shared(), &master.core(&format!("pods/{}", master.pod))).is_none().then_some(()));
    let since = std::time::Instant::now();
    // What was read of a pod a moment ago is believed for a second.
    let reply = until("the refusal", || Some(create(&master, &master.api)).filter(|reply| !reply.success()));
    let by_retinue = reply.code == 403 && reply.message().contains(&master.pod);
    cases.holds("a deleted pod", by_retinue || reply.code == 401, reply.message());
    cases.holds("a deleted pod", since.elapsed().as_millis() < 1500, format!("{:?}", since.elapsed()));
    cases.finish();
}

#[test]
fn threats_41_and_48_everybody_else_is_not_even_noticed() {
    let master = master("others");
    let ns = &master.namespace;
    let cluster = &shared().cluster;
    let bind = |account: &str, role: &str, scope: &[&str]| {
        cluster.service_account(ns, account).unwrap();
        let user = format!("--serviceaccount={ns}:{account}");
        let role = format!("--clusterrole={role}");
        let mut args = scope.to_vec();
        let name = format!("{ns}-{account}");
        args.extend([name.as_str(), &role, &user]);
        cluster.kubectl(&args).unwrap().ok().unwrap();
    };
    bind("editor", "edit", &["-n", ns, "create", "rolebinding"]);
    bind("root", "cluster-admin", &["create", "clusterrolebinding"]);
    cluster
        .kubectl(&[
            "create",
            "clusterrolebinding",
            &format!("{ns}-jane"),
            "--clusterrole=edit",
            &format!("--user=jane-{ns}"),
        ])
        .unwrap()
        .ok()
        .unwrap();
    let token = |account: &str| cluster.asker_with_token(&cluster.token(ns, account, None).unwrap()).unwrap();
    let mut cases = Cases::default();
    let askers = [
        ("an-editor", token("editor")),
        ("a-root", token("root")),
        ("an-admin", cluster.asker()),
        ("jane", cluster.asker().impersonating(&format!("jane-{ns}"), &[])),
    ];
    for (who, api) in &askers {
        let name = format!("{who}-{ns}");
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
        let path = master.core(&format!("configmaps/{name}"));
        cases.admitted(who, &api.post(&master.core("configmaps"), &object).unwrap());
        cases.admitted(who, &api.merge(&path, &json!({"data": {"a": "b"}})).unwrap());
        cases.admitted(who, &api.delete(&path, None).unwrap());
        let last = cluster
            .audit_event(|event| event["verb"] == "delete" && event["objectRef"]["name"] == name.as_str())
            .unwrap();
        cases.holds(who, last["responseStatus"]["code"] == 200, &last);
    }
    // The master itself is noticed, in both phases, and its admission is in the audit log.
    cases.admitted("the master", &send(&master, Way::Post, &report("noticed"), ""));
    let noticed = cluster
        .audit_event(|event| {
            event["verb"] == "create"
                && event["user"]["username"] == format!("system:serviceaccount:{ns}:eod")
                && event["responseStatus"]["code"] == 201
                && event["requestURI"] == master.core("configmaps")
        })
        .unwrap();
    let annotations = noticed["annotations"].as_object().unwrap();
    for phase in ["mutate", "validate"] {
        let read = |key: &str| annotations.get(&format!("{phase}.retinue.fledged.io/{key}")).and_then(Value::as_str);
        cases.holds(phase, read("verdict") == Some("admitted"), &noticed);
        cases.holds(phase, read("template") == Some(&format!("{ns}/post-trade report.yaml")), &noticed);
        cases.holds(phase, read("parameters").is_some_and(|text| text.contains("\"part\":\"noticed\"")), &noticed);
    }
    let names: Vec<String> = askers.iter().map(|(who, _)| format!("{who}-{ns}")).collect();
    let events = cluster.audit_events().unwrap();
    let theirs = events.iter().filter(|event| {
        event["objectRef"]["namespace"] == ns.as_str()
            && names.iter().any(|name| event["objectRef"]["name"] == name.as_str())
    });
    let mut count = 0;
    for event in theirs {
        count += 1;
        let seen = event["annotations"].to_string().contains("retinue.fledged.io");
        cases.holds("noticed", !seen, event);
    }
    cases.holds("requests in the audit log", count >= 2 * names.len(), count);
    cases.finish();
}

#[test]
fn threats_27_and_40_dry_runs_leave_nothing_behind_and_no_more_live_than_may() {
    let master = master("dry");
    let ns = &master.namespace;
    let templates = format!(
        "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: credentials, namespace: {ns}, labels: {{fledged.io/templates: 'true'}}, \
         annotations: {{fledged.io/max-dependents: '2'}}}}, data: {{parameters: 'number: {{type: integer}}', \
         lease.yaml: '{{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {{name: \"l-${{number}}\"}}}}'}}}}"
    );
    shared().cluster.apply(&templates).unwrap();
    let lease = |n: u32| json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": format!("l-{n}")}});
    until("the new template is known", || {
        Some(send(&master, Way::Put, &lease(0), "?dryRun=All")).filter(Reply::success)
    });
    let mut cases = Cases::default();
    for n in 0..10 {
        for way in [Way::Post, Way::Put, Way::Apply] {
            cases.admitted("dry run", &send(&master, way, &lease(n), "?dryRun=All"));
        }
    }
    let all = master.group("coordination.k8s.io/v1", "leases");
    let there = || shared().cluster.asker().get(&all).unwrap().body["items"].as_array().unwrap().len();
    cases.holds("nothing is left", there() == 0, there());
    cases.admitted("the first", &send(&master, Way::Put, &lease(1), ""));
    cases.admitted("the second", &send(&master, Way::Apply, &lease(2), ""));
    for way in [Way::Post, Way::Put, Way::Apply] {
        for query in ["", "?dryRun=All"] {
            let reply = send(&master, way, &lease(3), query);
            cases.refused(
                &format!("threat 40: the third by {way:?}{query}"),
                &reply,
                &["2 live dependents", "max-dependents"],
            );
        }
    }
    cases.admitted("the second again", &send(&master, Way::Apply, &lease(2), ""));
    cases.admitted("one ends", &master.api.delete(&format!("{all}/l-1"), None).unwrap());
    until("its place is free", || Some(send(&master, Way::Post, &lease(3), "")).filter(Reply::success));

    // An Event tells of what was admitted, on the workload; none of a dry run.
    let told = until("the Event of what was admitted", || {
        let events = shared().cluster.asker().get(&master.group("events.k8s.io/v1", "events")).unwrap();
        let ours: Vec<Value> = events.body["items"]
            .as_array()?
            .iter()
            .filter(|event| event["note"].as_str().is_some_and(|note| note.contains("Lease")))
            .cloned()
            .collect();
        ours.iter().any(|event| event["reason"] == "DependentAdmitted").then_some(ours)
    });
    for event in &told {
        cases.holds("on the workload", event["regarding"]["kind"] == "Deployment", event);
        cases.holds("of no dry run", !event["note"].as_str().unwrap().contains("l-9"), event);
    }
    cases.finish();
}

#[test]
fn threat_32_consent_withdrawn_on_either_side_ends_it_within_a_second() {
    let master = master("consent");
    let admin = |args: &[&str]| {
        let all: Vec<&str> = ["-n", &master.namespace].into_iter().chain(args.iter().copied()).collect();
        shared().cluster.kubectl(&all).unwrap().ok().unwrap();
        std::time::Instant::now()
    };
    let mut cases = Cases::default();
    cases.admitted("before", &send(&master, Way::Post, &report("before"), ""));
    for (what, withdraw, restore, words) in [
        (
            "the label",
            &["label", "configmap", "post-trade", "fledged.io/templates-"][..],
            &["label", "configmap", "post-trade", "fledged.io/templates=true"][..],
            "absent",
        ),
        (
            "the account",
            &["annotate", "--overwrite", "configmap", "post-trade", "fledged.io/masters=somebody"],
            &["annotate", "--overwrite", "configmap", "post-trade", "fledged.io/masters=eod"],
            "does not admit the account",
        ),
    ] {
        let since = admin(withdraw);
        let reply = until("the refusal", || Some(create(&master, &master.api)).filter(|reply| !reply.success()));
        // The phase that asks just after the change may be the second.
        cases.refused_by("retinue.fledged.io", what, &reply, &[words]);
        cases.holds(what, since.elapsed().as_millis() < 1000, format!("{:?}", since.elapsed()));
        let update =
            master.api.merge(&master.core("configmaps/report-before"), &json!({"data": {"level": "debug"}})).unwrap();
        cases.refused(&format!("{what}: an update"), &update, &["is withdrawn"]);
        admin(restore);
        until("consent again", || Some(create(&master, &master.api)).filter(Reply::success));
    }
    admin(&["label", "configmap", "post-trade", "fledged.io/templates-"]);
    let deleted = master.api.delete(&master.core("configmaps/report-before"), None).unwrap();
    cases.admitted("what was launched may still be deleted", &deleted);
    cases.finish();
}
