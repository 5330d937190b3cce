//! The validating phase judges by itself: without the mutating one, and after somebody else has changed the object.

use controlplane::{ControlPlane, Options, Reply};
use serde_json::{Value, json};
use story::{Installation, Master, manifests};

use crate::house::{Cases, Way, binary, object, send, until, with};

const VALIDATING: &str = "validate.retinue.fledged.io";

/// An installation without floor, so that the webhooks alone are what refuses, and a master in it.
fn installation() -> (Installation, Master) {
    installed(&["--no-floor"])
}

fn installed(arguments: &[&str]) -> (Installation, Master) {
    let cluster: ControlPlane = Options::api_only().start().unwrap();
    let installation = Installation::installed(cluster, binary(), arguments).unwrap();
    installation.collects(&[("", &["secrets"])]).unwrap();
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
    let replace = |webhook: usize| json!({"op": "replace", "path": format!("/webhooks/{webhook}/rules/0/apiGroups"), "value": groups});
    let patch = json!([replace(0), replace(1)]);
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

#[test]
fn threat_35_a_create_that_comes_with_the_stamp_s_label_gets_a_stamp_of_ours_or_is_refused() {
    let (installation, master) = installed(&[]);
    let forged = |name: &str| {
        let labels = json!({"fledged.io/master": "forged", "fledged.io/template": "forged"});
        with(&object(&manifests::report(name, "10m")), "/metadata/labels", labels)
    };
    let sent = || Some(send(&master, Way::Post, &forged("stripped"), ""));
    let stamped = until("the floor to be taken up", || sent().filter(Reply::success));
    assert_eq!(stamped.body["metadata"]["labels"]["fledged.io/master"], "trading.eod", "stripped, then stamped");
    // The mutating webhook is not asked about what carries the label; what should have taken it off is gone.
    let strip = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies/retinue-strip";
    let gone = installation.cluster.asker().delete(strip, None).unwrap();
    assert!(gone.success(), "{}", gone.message());
    until("the policy is gone, and the others hold", || {
        let reply = send(&master, Way::Post, &forged("left"), "?dryRun=All");
        reply.message().contains("retinue-dependents").then_some(())
    });
    let mut cases = Cases::default();
    for way in [Way::Post, Way::Apply, Way::LastApplied] {
        let bare = send(&master, way, &forged("left"), "");
        cases.refused_by("retinue-dependents", &format!("labels by {way:?}"), &bare, &["no stamp of retinue"]);
        let whole = with(&forged("left"), "/metadata/annotations/fledged.io~1admission", json!("{}"));
        let whole = send(&master, way, &whole, "");
        cases.refused_by(
            VALIDATING,
            &format!("a whole stamp by {way:?}"),
            &whole,
            &["retinue refuses", "fledged.io/admission"],
        );
    }
    let plain = send(&master, Way::Post, &object(&manifests::report("plain", "10m")), "");
    cases.admitted("without the label", &plain);
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

#[test]
fn threat_19_a_poisoned_template_is_out_alone_and_the_process_lives() {
    let (installation, master) = installation();
    let admin = installation.cluster.asker();
    let lint = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/retinue-templates";
    // As if it had been applied while retinue was down.
    assert!(admin.delete(lint, None).unwrap().success());
    let report = object(&manifests::report("alone", "10m"));
    let deep = format!("{}1{}", "{a: ".repeat(5_000), "}".repeat(5_000));
    let mut cases = Cases::default();
    for (what, data) in [
        ("no YAML", json!({"t.yaml": "{{{: ["})),
        ("binary", json!({"t.yaml": "\u{1}\u{fffd}\t\t"})),
        ("deep", json!({"t.yaml": deep})),
        (
            "aliases of aliases",
            json!({"t.yaml": "a: &a [x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\n\
            c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]\nd: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c]\ne: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d]\n\
            f: &f [*e, *e, *e, *e, *e, *e, *e, *e, *e]\ng: &g [*f, *f, *f, *f, *f, *f, *f, *f, *f]\nh: [*g, *g, *g, *g, *g, *g, *g, *g, *g]\n"}),
        ),
        (
            "a pattern",
            json!({"parameters": "x: {type: string, pattern: '((a{1,900}){1,900}){1,900}'}",
            "t.yaml": "{apiVersion: v1, kind: ConfigMap, metadata: {name: '${x}'}}"}),
        ),
        ("forbidden", json!({"t.yaml": "{apiVersion: v1, kind: Namespace, metadata: {name: x}}"})),
    ] {
        let poisoned = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": data,
            "metadata": {"name": "credentials", "namespace": "trading", "labels": {"fledged.io/templates": "true"}}});
        let path = master.core("configmaps/credentials");
        // The API server asks a webhook for a moment yet whose configuration is gone.
        until(what, || Some(admin.put(&path, &poisoned).unwrap()).filter(Reply::success));
        // Known once the Secret that it described is no longer admitted.
        let reply = until(what, || {
            Some(send(&master, Way::Post, &object(manifests::CREDENTIALS), "?dryRun=All"))
                .filter(|reply| !reply.success())
        });
        // The phase that asks just after the change may be the second.
        cases.refused_by("retinue.fledged.io", what, &reply, &["credentials"]);
        cases.admitted(&format!("{what}: the other ConfigMap"), &send(&master, Way::Post, &report, "?dryRun=All"));
        let good = object(&manifests::credentials("trading"));
        assert!(admin.put(&path, &good).unwrap().success());
        until("the good one again", || {
            Some(send(&master, Way::Post, &object(manifests::CREDENTIALS), "?dryRun=All")).filter(Reply::success)
        });
    }
    let panicked = installation.logs().contains("panicked");
    cases.holds("the process", !panicked, installation.logs());
    cases.finish();
}

#[test]
fn threat_48_withdrawing_the_printed_role_withdraws_both_rights_at_once() {
    let (installation, _trading) = installation();
    let space = "withdrawn";
    let cluster = &installation.cluster;
    cluster.namespace_named(space).unwrap();
    cluster.apply(&manifests::templates(space)).unwrap();
    let file = installation.folder().join("templates.yaml");
    std::fs::write(&file, manifests::templates(space)).unwrap();
    let role = installation
        .retinue(&["rbac", "--manifests", &file.display().to_string(), "--master", "withdrawn/eod"])
        .unwrap();
    let all = manifests::bare_master(space, "post-trade");
    let documents: Vec<&str> = all.split("---\n").filter(|text| !text.contains("kind: Role")).collect();
    cluster.apply(&documents.join("---\n")).unwrap();
    cluster.apply(&role).unwrap();
    let narrow = installation.of_pod(space, "eod").unwrap();
    let report = object(&manifests::report("narrow", "10m"));
    let mut cases = Cases::default();
    until("its rights", || Some(send(&narrow, Way::Post, &report, "?dryRun=All")).filter(Reply::success));
    let stray = with(&report, "/data/level", json!("trace"));
    cases.refused("beyond the template", &send(&narrow, Way::Post, &stray, ""), &["data.level"]);
    cluster.kubectl(&["-n", space, "delete", "role", "--all"]).unwrap().ok().unwrap();
    // From the first request that RBAC refuses on; never is one admitted that retinue has not seen.
    let mut sent = 0;
    let refused = until("RBAC's refusal", || {
        sent += 1;
        let reply = send(&narrow, Way::Post, &with(&stray, "/metadata/name", json!(format!("report-n{sent}"))), "");
        assert!(!reply.success(), "{}", reply.body);
        Some(reply).filter(|reply| reply.message().contains("cannot create resource"))
    });
    cases.holds("by RBAC", refused.code == 403 && !refused.message().contains("retinue refuses"), refused.message());
    let left = cluster.asker().get(&narrow.core("configmaps?labelSelector=!fledged.io/templates")).unwrap();
    cases.holds("nothing is there", left.body["items"] == json!([]), &left.body["items"]);
    cases.finish();
}
