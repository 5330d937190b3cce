//! Owners that a caller sends, and fields that a kind would store although nobody describes them.

use controlplane::Reply;
use serde_json::{Value, json};
use story::manifests;

use crate::house::{Cases, Way, master, object, send, shared, stored, until, with};

fn reference(owner: &Value) -> Value {
    json!([{"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"]}])
}

#[test]
fn threat_12_an_owner_is_accepted_from_the_callers_own_chain_and_its_dependents_alone() {
    let master = master("owners");
    let mut cases = Cases::default();
    let job = send(&master, Way::Post, &object(&manifests::job("20261120")), "");
    cases.admitted("a dependent", &job);
    let pod = stored(shared(), &master.core(&format!("pods/{}", master.pod))).unwrap();
    let workload = stored(shared(), &master.group("apps/v1", "deployments/eod")).unwrap();
    let theirs = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs"}});
    let strangers = shared().cluster.asker().post(&master.core("configmaps"), &theirs).unwrap().body;
    let report =
        |part: &str, owners: Value| with(&object(&manifests::report(part, "10m")), "/metadata/ownerReferences", owners);
    for (part, owner) in [("bypod", &pod), ("bywork", &workload), ("byjob", &job.body)] {
        let made = send(&master, Way::Post, &report(part, reference(owner)), "");
        cases.admitted(part, &made);
        let owners = &made.body["metadata"]["ownerReferences"];
        cases.holds(part, *owners == reference(owner), format!("it is the only owner: {owners}"));
    }
    // Its own chain it may name as operators do, and hold up, which is its own matter.
    let mut own = reference(&workload);
    own[0]["blockOwnerDeletion"] = json!(true);
    let made = send(&master, Way::Post, &report("held", own.clone()), "");
    cases.admitted("its own workload, held", &made);
    cases.holds("as sent", made.body["metadata"]["ownerReferences"] == own, &made.body["metadata"]["ownerReferences"]);
    let mut wrong_uid = reference(&workload);
    wrong_uid[0]["uid"] = json!("00000000-0000-0000-0000-000000000000");
    // In another namespace, where Kubernetes would take it for gone; and one that would hold up its owner's end.
    let other = format!("{}-other", master.namespace);
    shared().cluster.namespace_named(&other).unwrap();
    let elsewhere = shared().cluster.asker().post(&format!("/api/v1/namespaces/{other}/configmaps"), &theirs).unwrap();
    let mut blocking = reference(&strangers);
    blocking[0]["blockOwnerDeletion"] = json!(true);
    let mut controlling = reference(&strangers);
    controlling[0]["controller"] = json!(true);
    let both = json!([reference(&workload)[0], reference(&pod)[0]]);
    for (what, owners) in [
        ("a stranger", reference(&strangers)),
        ("another uid", wrong_uid),
        ("two", both),
        ("another namespace", reference(&elsewhere.body)),
        ("blocking", blocking),
        ("controlling", controlling),
    ] {
        for way in [Way::Post, Way::Apply, Way::LastApplied] {
            cases.refused(
                &format!("{what} by {way:?}"),
                &send(&master, way, &report("no", owners.clone()), ""),
                &["owner"],
            );
        }
        cases.holds(what, stored(shared(), &master.core("configmaps/report-no")).is_none(), "it is there");
    }
    cases.finish();
}

#[test]
fn threats_23_and_47_fields_that_nobody_describes_and_a_status_that_would_be_stored_are_refused() {
    let master = master("status");
    let ns = &master.namespace;
    // Kinds of custom resources, with and without status subresource.
    for (kind, plural, subresources) in [("Bare", "bares", json!({})), ("Full", "fulls", json!({"status": {}}))] {
        let any = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        let schema = json!({"type": "object", "properties": {"spec": any, "status": any}});
        let crd = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.story.example")},
            "spec": {"group": "story.example", "scope": "Namespaced", "names": {"kind": kind, "plural": plural},
                "versions": [{"name": "v1", "served": true, "storage": true, "subresources": subresources,
                              "schema": {"openAPIV3Schema": schema}}]},
        });
        shared().cluster.apply(&crd.to_string()).unwrap();
    }
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "story", "namespace": ns},
        "rules": [{"apiGroups": ["story.example"], "resources": ["*"], "verbs": ["get", "create", "update", "patch"]}],
    });
    shared().cluster.apply(&role.to_string()).unwrap();
    let account = format!("--serviceaccount={ns}:eod");
    shared()
        .cluster
        .kubectl(&["-n", ns, "create", "rolebinding", "story", "--role=story", &account])
        .unwrap()
        .ok()
        .unwrap();
    let templates = format!(
        "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: credentials, namespace: {ns}, labels: {{fledged.io/templates: 'true'}}}}, data: {{\
         bare.yaml: '{{apiVersion: story.example/v1, kind: Bare, metadata: {{name: a}}, spec: {{size: 1}}}}', \
         full.yaml: '{{apiVersion: story.example/v1, kind: Full, metadata: {{name: a}}, spec: {{size: 1}}}}'}}}}"
    );
    shared().cluster.apply(&templates).unwrap();
    let custom = |kind: &str| json!({"apiVersion": "story.example/v1", "kind": kind, "metadata": {"name": "a"}, "spec": {"size": 1}});
    let mut cases = Cases::default();
    for kind in ["Bare", "Full"] {
        until("the kind is served and known", || {
            Some(send(&master, Way::Post, &custom(kind), "?dryRun=All")).filter(Reply::success)
        });
        cases.refused(
            kind,
            &send(&master, Way::Post, &with(&custom(kind), "/spec/size", json!(2)), ""),
            &["spec.size"],
        );
        cases.refused(
            kind,
            &send(&master, Way::Post, &with(&custom(kind), "/spec/more", json!(2)), ""),
            &["spec.more"],
        );
    }
    let phase = |kind: &str| with(&custom(kind), "/status/phase", json!("Done"));
    for way in [Way::Post, Way::Apply, Way::LastApplied] {
        cases.refused(&format!("stored, by {way:?}"), &send(&master, way, &phase("Bare"), ""), &["status"]);
    }
    let bare = stored(shared(), &master.group("story.example/v1", "bares/a"));
    cases.holds("nothing of all that is there", bare.is_none(), format!("{bare:?}"));
    // Where there is a subresource, the API server drops it.
    let made = send(&master, Way::Post, &phase("Full"), "");
    cases.admitted("dropped", &made);
    cases.holds("dropped", made.body["status"].is_null(), &made.body["status"]);
    cases.finish();
}
