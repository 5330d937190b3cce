//! What no way of sending gets through: each in the mutating phase, with the path and what to do.

use serde_json::{Value, json};
use story::{Master, manifests};

use crate::house::{Cases, Way, master, object, record, send, shared, stored, with};

const JOB: &str = "20261122";

/// A change to the Job of the story, and words of the refusal.
fn job_changes() -> Vec<(&'static str, &'static str, Value, &'static [&'static str])> {
    let pod = |rest: &str| -> &'static str { Box::leak(format!("/spec/template/spec/{rest}").into_boxed_str()) };
    let main = |rest: &str| -> &'static str { pod(&format!("containers/0/{rest}")) };
    vec![
        ("another image", main("image"), json!("registry.example/miner:1"), &["image", "post-trade:1.4", "miner:1"]),
        ("a second container", pod("containers/-"), json!({"name": "x", "image": "x:1"}), &["containers"]),
        ("an init container", pod("initContainers"), json!([{"name": "x", "image": "x:1"}]), &["initContainers"]),
        ("threat 22: privileged", main("securityContext"), json!({"privileged": true}), &["privileged"]),
        ("threat 22: capabilities", main("securityContext/capabilities/add"), json!(["NET_ADMIN"]), &["capabilities"]),
        ("threat 22: host network", pod("hostNetwork"), json!(true), &["hostNetwork"]),
        ("threat 22: host pid", pod("hostPID"), json!(true), &["hostPID"]),
        ("threat 22: host path", pod("volumes"), json!([{"name": "h", "hostPath": {"path": "/"}}]), &["volumes"]),
        ("threat 22: host port", main("ports"), json!([{"containerPort": 80, "hostPort": 80}]), &["ports"]),
        ("threat 22: node name", pod("nodeName"), json!("n"), &["nodeName"]),
        ("threat 22: node selector", pod("nodeSelector"), json!({"a": "b"}), &["nodeSelector"]),
        ("threat 22: tolerations", pod("tolerations"), json!([{"operator": "Exists"}]), &["tolerations"]),
        ("threat 22: priority class", pod("priorityClassName"), json!("system-node-critical"), &["priorityClassName"]),
        ("threat 22: runtime class", pod("runtimeClassName"), json!("x"), &["runtimeClassName"]),
        ("threat 20: an account", pod("serviceAccountName"), json!("privileged"), &["serviceAccount"]),
        ("threat 20: its own account", pod("serviceAccountName"), json!("eod"), &["serviceAccount"]),
        (
            "threat 21: a secret volume",
            pod("volumes"),
            json!([{"name": "s", "secret": {"secretName": "s"}}]),
            &["volumes"],
        ),
        (
            "threat 21: a projected secret",
            pod("volumes"),
            json!([{"name": "s", "projected": {"sources": [{"secret": {"name": "s"}}]}}]),
            &["volumes"],
        ),
        ("threat 21: a CSI volume", pod("volumes"), json!([{"name": "s", "csi": {"driver": "x"}}]), &["volumes"]),
        (
            "threat 21: a secret in env",
            main("env"),
            json!([{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]),
            &["env"],
        ),
        ("threat 21: envFrom", main("envFrom"), json!([{"secretRef": {"name": "s"}}]), &["envFrom"]),
        ("threat 21: imagePullSecrets", pod("imagePullSecrets"), json!([{"name": "s"}]), &["imagePullSecrets"]),
        ("a command", main("command"), json!(["sh"]), &["command"]),
        ("other args", main("args/0"), json!("--walk"), &["args"]),
        ("args that contradict the name", main("args/1"), json!("20261123"), &["20261123"]),
        ("an environment", main("env"), json!([{"name": "A", "value": "b"}]), &["env"]),
        ("too many workers", "/spec/parallelism", json!(9), &["spec.parallelism", "from 1 to 8", "got 9"]),
        ("workers that are text", "/metadata/name", json!("post-trade-today"), &["metadata.name"]),
        ("other completions", "/spec/completions", json!(2), &["spec.completions"]),
        ("a deadline of Kubernetes", "/spec/activeDeadlineSeconds", json!(5), &["activeDeadlineSeconds"]),
        ("ttl", "/spec/ttlSecondsAfterFinished", json!(5), &["ttlSecondsAfterFinished"]),
        ("a label", "/metadata/labels/team", json!("x"), &["labels", "team"]),
        ("a label of its pods", "/spec/template/metadata/labels/team", json!("x"), &["labels", "team"]),
        ("an annotation", "/metadata/annotations/a", json!("x"), &["annotations", "a"]),
        (
            "a duration that the template has no hole for",
            "/metadata/annotations/fledged.io~1duration",
            json!("9h"),
            &["fledged.io/duration"],
        ),
        (
            "an owner that the template does not say",
            "/metadata/annotations/fledged.io~1owner",
            json!("none"),
            &["fledged.io/owner"],
        ),
        ("threat 9: a finalizer", "/metadata/finalizers", json!(["example.com/stay"]), &["finalizers"]),
        (
            "threat 12: a foreign owner",
            "/metadata/ownerReferences",
            json!([{"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "00000000-0000-0000-0000-000000000000"}]),
            &["ownerReference"],
        ),
        (
            "threat 16: the label of templates",
            "/metadata/labels/fledged.io~1templates",
            json!("true"),
            &["fledged.io/templates"],
        ),
    ]
}

#[test]
fn threats_9_12_20_21_and_22_what_the_template_does_not_say_is_refused_in_every_way() {
    let master = master("refused");
    let good = object(&manifests::job(JOB));
    let mut cases = Cases::default();
    for (what, pointer, value, words) in job_changes() {
        let bad = with(&good, pointer, value);
        for (way, query) in [
            (Way::Post, ""),
            (Way::Post, "?dryRun=All"),
            (Way::Apply, ""),
            (Way::Apply, "?dryRun=All"),
            (Way::LastApplied, ""),
        ] {
            let reply = send(&master, way, &bad, query);
            let case = format!("{what}, {way:?}{query}");
            cases.refused(&case, &reply, words);
            cases.holds(&case, reply.code == 403, reply.code);
        }
        let name = bad["metadata"]["name"].as_str().unwrap();
        let left = stored(shared(), &master.group("batch/v1", &format!("jobs/{name}")));
        cases.holds(what, left.is_none(), "it is there all the same");
    }
    cases.admitted("the good one", &send(&master, Way::Post, &good, ""));
    cases.finish();
}

#[test]
fn threat_8_a_name_made_by_the_api_server_changes_nothing() {
    let master = master("generated");
    let worker = object(manifests::WORKER);
    let mut cases = Cases::default();
    for (what, pointer, value, words) in [
        ("another image", "/spec/containers/0/image", json!("miner:1"), &["image"][..]),
        ("another prefix", "/metadata/generateName", json!("walker-"), &["generateName"]),
        ("a name beside", "/metadata/name", json!("worker-1"), &["name"]),
        ("a node", "/spec/nodeName", json!("node-1"), &["nodeName"]),
        (
            "threat 45: a token by hand",
            "/spec/volumes",
            json!([{"name": "t", "projected": {"sources": [
            {"serviceAccountToken": {"path": "token", "audience": "vault"}}]}}]),
            &["volumes"],
        ),
        ("a scheduling gate", "/spec/schedulingGates", json!([{"name": "x"}]), &["schedulingGates"]),
    ] {
        for query in ["", "?dryRun=All"] {
            let reply =
                master.api.post(&master.core(&format!("pods{query}")), &with(&worker, pointer, value.clone())).unwrap();
            cases.refused(&format!("{what}{query}"), &reply, words);
        }
    }
    let made = master.api.post(&master.core("pods"), &worker).unwrap();
    cases.admitted("the good one", &made);
    let name = made.body["metadata"]["name"].as_str().unwrap_or_default();
    let record = record(&made.body);
    cases.holds("its record", name.starts_with("worker-") && record["object"]["generateName"] == "worker-", record);
    cases.finish();
}

#[test]
fn threats_13_and_35_a_stamp_that_the_caller_sends_is_written_over() {
    let master = master("forged");
    let good = object(&manifests::report("forged", "10m"));
    let other = json!({"object": {"apiVersion": "v1", "kind": "ConfigMap", "namespace": "x", "name": "y"}}).to_string();
    let forged = with(&good, "/metadata/labels/fledged.io~1expires-at", json!("2099-01-01T000000Z"));
    let forged = with(&forged, "/metadata/labels/fledged.io~1master", json!("kube-system.default"));
    let forged = with(&forged, "/metadata/labels/fledged.io~1template", json!("other"));
    let forged = with(&forged, "/metadata/annotations/fledged.io~1admission", json!(other));
    let mut cases = Cases::default();
    let made = send(&master, Way::Post, &forged, "");
    cases.admitted("a forged stamp", &made);
    let labels = &made.body["metadata"]["labels"];
    cases.holds("the master", labels["fledged.io/master"] == format!("{}.eod", master.namespace), labels);
    cases.holds("the template", labels["fledged.io/template"] == "post-trade.report.yaml", labels);
    cases.holds(
        "the deadline",
        !labels["fledged.io/expires-at"].as_str().unwrap_or("2099").starts_with("2099"),
        labels,
    );
    cases.holds("the record", record(&made.body)["object"]["name"] == "report-forged", record(&made.body));
    cases.finish();
}

#[test]
fn threats_14_and_44_other_namespaces_and_kinds_of_the_cluster_are_refused() {
    let master = master("elsewhere");
    let other = format!("{}-other", master.namespace);
    shared().cluster.namespace_named(&other).unwrap();
    let admin = |args: &[&str]| shared().cluster.kubectl(args).unwrap().ok().unwrap();
    let account = format!("--serviceaccount={}:eod", master.namespace);
    admin(&["-n", &other, "create", "rolebinding", "eod", "--clusterrole=admin", &account]);
    let role = format!("{}-cluster", master.namespace);
    let rules = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": role},
        "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["create", "update", "patch", "delete", "bind", "escalate"]}],
    });
    shared().cluster.apply(&rules.to_string()).unwrap();
    admin(&["create", "clusterrolebinding", &role, &format!("--clusterrole={role}"), &account]);

    let mut cases = Cases::default();
    let elsewhere = Master { namespace: other.clone(), ..master.clone() };
    let report = object(&manifests::report("other", "10m"));
    for way in [Way::Post, Way::Apply] {
        cases.refused(&format!("{way:?}"), &send(&elsewhere, way, &report, ""), &["metadata.namespace"]);
    }
    let rbac = "rbac.authorization.k8s.io/v1";
    let role_ref = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"});
    let namespaced = format!("/apis/{rbac}/namespaces/{}", master.namespace);
    for (path, object) in [
        (
            "/api/v1/namespaces".to_owned(),
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "mine"}}),
        ),
        (
            format!("/apis/{rbac}/clusterrolebindings"),
            json!({"apiVersion": rbac, "kind": "ClusterRoleBinding", "metadata": {"name": "mine"}, "roleRef": role_ref}),
        ),
        (
            format!("{namespaced}/rolebindings"),
            json!({"apiVersion": rbac, "kind": "RoleBinding", "metadata": {"name": "mine"}, "roleRef": role_ref}),
        ),
        (
            format!("{namespaced}/roles"),
            json!({"apiVersion": rbac, "kind": "Role", "metadata": {"name": "mine"},
                   "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}),
        ),
        (
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions".to_owned(),
            json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                   "metadata": {"name": "as.example.com"},
                   "spec": {"group": "example.com", "scope": "Namespaced", "names": {"kind": "A", "plural": "as"},
                            "versions": [{"name": "v1", "served": true, "storage": true,
                                          "schema": {"openAPIV3Schema": {"type": "object"}}}]}}),
        ),
        (
            master.core("serviceaccounts"),
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "mine"}}),
        ),
        (
            "/api/v1/persistentvolumes".to_owned(),
            json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "mine"},
                   "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/"}}}),
        ),
    ] {
        for query in ["", "?dryRun=All"] {
            let reply = master.api.post(&format!("{path}{query}"), &object).unwrap();
            cases.refused(&format!("{path}{query}"), &reply, &["retinue refuses"]);
        }
        let name = object["metadata"]["name"].as_str().unwrap();
        cases.holds(&path, stored(shared(), &format!("{path}/{name}")).is_none(), "it is there all the same");
    }
    let there = stored(shared(), &elsewhere.core("configmaps/report-other"));
    cases.holds("in another namespace", there.is_none(), "it is there all the same");
    // Webhooks never see webhook configurations: there the floor holds.
    let configuration = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/retinue";
    let reply = master.api.delete(&format!("{configuration}?dryRun=All"), None).unwrap();
    cases.refused_by(
        "retinue",
        "the webhook configuration",
        &reply,
        &["a master never changes webhook configurations"],
    );
    cases.finish();
}
