//! The validating phase judges by itself: without the mutating one, and after somebody else has changed the object.

use controlplane::{ControlPlane, Options, Reply};
use serde_json::{Value, json};
use story::{Installation, Master, manifests};

use crate::house::{Cases, Way, binary, object, send, until};

const VALIDATING: &str = "validate.retinue.fledged.io";

/// An installation without floor, so that the webhooks alone are what refuses, and a master in it.
fn installation() -> (Installation, Master) {
    let cluster: ControlPlane = Options::api_only().start().unwrap();
    let installation = Installation::installed(cluster, binary(), &["--no-floor"]).unwrap();
    installation.start_webhook().unwrap();
    installation.cluster.namespace_named("trading").unwrap();
    installation.cluster.apply(&manifests::templates("trading")).unwrap();
    let master = installation.bare("trading", "post-trade, credentials").unwrap();
    master.until_known(&object(&manifests::report("probe", "10m"))).unwrap();
    (installation, master)
}

/// Lets the mutating webhook see only this API group.
fn mutate_only(installation: &Installation, groups: &Value) {
    let path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/retinue";
    let patch = json!([{"op": "replace", "path": "/webhooks/0/rules/0/apiGroups", "value": groups}]);
    let reply = installation.cluster.asker().patch(path, &patch).unwrap();
    assert!(reply.success(), "{}", reply.message());
}

#[test]
fn without_the_mutating_phase_the_validating_one_refuses_everything_that_lacks_its_stamp() {
    let (installation, master) = installation();
    let launched = send(&master, Way::Post, &object(&manifests::job("20261101")), "");
    assert!(launched.success(), "{}", launched.message());
    mutate_only(&installation, &json!(["nobody.example"]));
    let report = object(&manifests::report("alone", "10m"));
    let mut cases = Cases::default();
    // The API server takes the changed configuration in a moment.
    until("the change of the configuration", || {
        let reply = send(&master, Way::Post, &report, "?dryRun=All");
        reply.message().contains(VALIDATING).then_some(())
    });
    for (what, object) in [
        ("a ConfigMap", report.clone()),
        ("a Job", object(&manifests::job("20261102"))),
        ("a Secret", object(manifests::CREDENTIALS)),
    ] {
        for way in [Way::Post, Way::Apply, Way::LastApplied] {
            for query in ["", "?dryRun=All"] {
                let reply = send(&master, way, &object, query);
                cases.refused_by(VALIDATING, &format!("{what} by {way:?}{query}"), &reply, &["retinue refuses"]);
            }
        }
    }
    cases.refused_by(VALIDATING, "no stamp", &send(&master, Way::Post, &report, ""), &["carries no stamp"]);
    let worker = master.api.post(&master.core("pods"), &object(manifests::WORKER)).unwrap();
    cases.refused_by(VALIDATING, "generateName", &worker, &["carries no stamp"]);
    // A stamp that the caller makes up, and one that it has seen on another object.
    let path = master.group("batch/v1", "jobs/post-trade-20261101");
    let stolen = installation.cluster.asker().get(&path).unwrap().body;
    let mut forged = report.clone();
    forged["metadata"]["labels"] = stolen["metadata"]["labels"].clone();
    forged["metadata"]["annotations"]["fledged.io/admission"] =
        stolen["metadata"]["annotations"]["fledged.io/admission"].clone();
    cases.refused_by(VALIDATING, "threat 35: a copied stamp", &send(&master, Way::Post, &forged, ""), &["stamp"]);
    // Updates, deletions and subresources are judged as ever.
    let patch = |value: Value| master.api.merge(&path, &value).unwrap();
    cases.refused_by(VALIDATING, "beyond", &patch(json!({"spec": {"parallelism": 9}})), &["from 1 to 8"]);
    cases.refused_by(
        VALIDATING,
        "within, but not recorded",
        &patch(json!({"spec": {"parallelism": 4}})),
        &["admission record"],
    );
    cases.refused_by(
        VALIDATING,
        "the stamp",
        &patch(json!({"metadata": {"labels": {"fledged.io/master": null}}})),
        &["fledged.io/master"],
    );
    cases.refused_by(
        VALIDATING,
        "orphaning",
        &master.api.delete(&path, None).unwrap(),
        &["propagationPolicy=Background"],
    );
    let pod = master.core("pods/eod");
    cases.refused_by(VALIDATING, "a stranger", &master.api.delete(&pod, None).unwrap(), &["no stamp"]);
    let exec = master.api.send("POST", &format!("{pod}/exec?command=id"), "", None).unwrap();
    cases.refused_by(VALIDATING, "exec", &exec, &["pods/exec"]);
    let status = master.api.merge(&format!("{pod}/status"), &json!({"metadata": {"labels": {"a": "b"}}})).unwrap();
    cases.refused_by(VALIDATING, "status", &status, &["pods/status"]);
    mutate_only(&installation, &json!(["*"]));
    until("the old configuration", || Some(send(&master, Way::Post, &report, "")).filter(Reply::success));
    cases.finish();
}

/// A policy of the cluster that puts a label on every Job that passes, before our webhook or, where it is asked again
/// because of what we wrote, after it.
fn labeller(installation: &Installation, condition: &str) {
    let expression =
        format!("{condition} ? Object{{metadata: Object.metadata{{labels: {{'team': 'blue'}}}}}} : Object{{}}");
    let api = "admissionregistration.k8s.io/v1";
    let spec = json!({
        "reinvocationPolicy": "IfNeeded",
        "matchConstraints": {"resourceRules": [{
            "apiGroups": ["batch"], "apiVersions": ["v1"], "resources": ["jobs"], "operations": ["CREATE"]}]},
        "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}],
    });
    let policy =
        json!({"apiVersion": api, "kind": "MutatingAdmissionPolicy", "metadata": {"name": "labeller"}, "spec": spec});
    let binding = json!({"apiVersion": api, "kind": "MutatingAdmissionPolicyBinding", "metadata": {"name": "labeller"},
                         "spec": {"policyName": "labeller"}});
    installation.cluster.apply(&policy.to_string()).unwrap();
    installation.cluster.apply(&binding.to_string()).unwrap();
}

#[test]
fn threat_11_what_another_mutator_adds_before_or_after_us_is_refused_and_named() {
    let (installation, master) = installation();
    let admin = installation.cluster.asker();
    let job = object(&manifests::job("20261103"));
    let mut cases = Cases::default();
    for (when, condition, who) in [
        ("before", "true", "mutate.retinue.fledged.io"),
        ("after", "has(object.metadata.labels) && 'fledged.io/master' in object.metadata.labels", VALIDATING),
    ] {
        labeller(&installation, condition);
        let reply = until("the labeller", || {
            Some(send(&master, Way::Post, &job, "?dryRun=All"))
                .filter(|reply| !reply.success() && reply.message().contains(who))
        });
        cases.refused_by(who, when, &reply, &["labels", "team"]);
        for way in [Way::Apply, Way::LastApplied] {
            cases.refused_by(who, &format!("{when} {way:?}"), &send(&master, way, &job, ""), &["labels", "team"]);
        }
        for kind in ["mutatingadmissionpolicybindings", "mutatingadmissionpolicies"] {
            let path = format!("/apis/admissionregistration.k8s.io/v1/{kind}/labeller");
            assert!(admin.delete(&path, None).unwrap().success());
        }
        until("the labeller is gone", || Some(send(&master, Way::Post, &job, "?dryRun=All")).filter(Reply::success));
    }
    cases.finish();
}
