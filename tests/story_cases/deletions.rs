//! Deleting, evicting, and every other subresource: only of what is a master's own.

use controlplane::Reply;
use serde_json::{Value, json};
use story::{Master, manifests};

use crate::house::{Cases, Way, master, object, send, shared, stored, until};

fn launched(master: &Master, run: &str) -> String {
    let made = send(master, Way::Post, &object(&manifests::job(run)), "");
    assert!(made.success(), "{}", made.message());
    master.group("batch/v1", &format!("jobs/post-trade-{run}"))
}

/// A pod of that Job, running.
fn pod_of(master: &Master, run: &str) -> String {
    shared().cluster.running_pod(&master.namespace, &format!("batch.kubernetes.io/job-name=post-trade-{run}")).unwrap()
}

/// Pods of somebody else, running: a bare one, and one of a Job.
fn strangers(master: &Master) -> [String; 2] {
    let pod = "{restartPolicy: Never, containers: [{name: main, image: registry.example/other}]}";
    let text = format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: theirs, namespace: {0}, labels: {{who: them}}}}, spec: {pod}}}\n---\n\
         {{apiVersion: batch/v1, kind: Job, metadata: {{name: theirs, namespace: {0}}}, spec: {{template: {{spec: {pod}}}}}}}",
        master.namespace
    );
    shared().cluster.apply(&text).unwrap();
    ["who=them", "batch.kubernetes.io/job-name=theirs"]
        .map(|selector| shared().cluster.running_pod(&master.namespace, selector).unwrap())
}

#[test]
fn threat_43_a_deletion_that_would_orphan_is_refused_and_says_what_to_send() {
    let master = master("orphans");
    let job = launched(&master, "20261101");
    let mut cases = Cases::default();
    for (what, options) in [
        ("no options: a Job's default", None),
        ("empty options", Some(json!({}))),
        ("orphan", Some(json!({"propagationPolicy": "Orphan"}))),
        ("the old word", Some(json!({"orphanDependents": true}))),
    ] {
        let reply = master.api.delete(&job, options.as_ref()).unwrap();
        cases.refused(what, &reply, &["propagationPolicy=Background", "without owner"]);
    }
    let query = master.api.delete(&format!("{job}?propagationPolicy=Orphan"), None).unwrap();
    cases.refused("orphan in the query", &query, &["propagationPolicy=Background"]);
    let reply = master.api.delete(&format!("{job}?propagationPolicy=Background"), None).unwrap();
    cases.admitted("background in the query", &reply);
    let job = launched(&master, "20261102");
    cases.admitted("foreground", &master.api.delete(&job, Some(&json!({"propagationPolicy": "Foreground"}))).unwrap());
    until("the end of its Jobs and their pods", || {
        let pods = shared().cluster.asker().get(&master.core("pods?labelSelector=job-name")).unwrap();
        (stored(shared(), &job).is_none() && pods.body["items"] == json!([])).then_some(())
    });
    cases.finish();
}

#[test]
fn threats_5_and_6_pods_of_an_own_job_are_deleted_and_evicted_those_of_strangers_are_not() {
    let master = master("evictions");
    launched(&master, "20261103");
    let own = pod_of(&master, "20261103");
    let strangers = strangers(&master);
    let mut cases = Cases::default();
    let evict = |pod: &str, options: Value| -> Reply {
        let eviction =
            json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}, "deleteOptions": options});
        master.api.post(&master.core(&format!("pods/{pod}/eviction")), &eviction).unwrap()
    };
    for pod in strangers.iter().chain([&master.pod]) {
        cases.refused(
            &format!("deleting {pod}"),
            &master.api.delete(&master.core(&format!("pods/{pod}")), None).unwrap(),
            &["no stamp"],
        );
        cases.refused(&format!("evicting {pod}"), &evict(pod, json!({})), &["no stamp"]);
    }
    let another = json!({"preconditions": {"uid": "00000000-0000-0000-0000-000000000000"}});
    cases.refused("evicting under another uid", &evict(&own, another), &["uid"]);
    cases.admitted("evicting its own", &evict(&own, json!({})));
    let next = until("the Job's next pod", || Some(pod_of(&master, "20261103")).filter(|pod| *pod != own));
    cases.admitted("deleting its own", &master.api.delete(&master.core(&format!("pods/{next}")), None).unwrap());

    // Several at once: each is judged by itself.
    for part in ["one", "two"] {
        cases.admitted(part, &send(&master, Way::Post, &object(&manifests::report(part, "10m")), ""));
    }
    let all = master.api.delete(&master.core("configmaps"), None).unwrap();
    cases.refused("all ConfigMaps", &all, &["is not a dependent of"]);
    let own = "configmaps?labelSelector=fledged.io/master";
    cases.admitted("its own", &master.api.delete(&master.core(own), None).unwrap());
    let left = shared().cluster.asker().get(&master.core(own)).unwrap();
    cases.holds("none is left", left.body["items"] == json!([]), &left.body["items"]);
    cases.holds("the templates are", stored(shared(), &master.core("configmaps/post-trade")).is_some(), "gone");
    cases.finish();
}

#[test]
fn threats_1_2_3_and_4_no_subresource_is_used_that_no_admin_allowed() {
    let master = master("sub");
    launched(&master, "20261104");
    let own = pod_of(&master, "20261104");
    let [theirs, _] = strangers(&master);
    let ns = &master.namespace;
    // RBAC allows it all: what refuses is retinue.
    let rights = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "all", "namespace": ns},
        "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "create", "update", "patch"]}],
    });
    shared().cluster.apply(&rights.to_string()).unwrap();
    let account = format!("--serviceaccount={ns}:eod");
    shared()
        .cluster
        .kubectl(&["-n", ns, "create", "rolebinding", "all", "--role=all", &account])
        .unwrap()
        .ok()
        .unwrap();

    let mut cases = Cases::default();
    // What is stored of a pod that a subresource could change.
    let kept = |pod: &str| {
        let pod = stored(shared(), &master.core(&format!("pods/{pod}"))).unwrap();
        json!([pod["metadata"]["labels"], pod["metadata"]["annotations"], pod["spec"]])
    };
    let before = [kept(&own), kept(&theirs)];
    let mark = json!({"metadata": {"labels": {"fledged.io/expires-at": "2099-01-01T000000Z"}}});
    for pod in [&own, &theirs] {
        let path = |rest: &str| master.core(&format!("pods/{pod}/{rest}"));
        cases.refused(
            "status",
            &master.api.merge(&path("status"), &mark).unwrap(),
            &["pods/status", "no template can allow"],
        );
        let more = json!({"spec": {"ephemeralContainers": [{"name": "x", "image": "x:1"}]}});
        let reply = master.api.merge(&path("ephemeralcontainers"), &more).unwrap();
        cases.refused("ephemeral container", &reply, &["pods/ephemeralcontainers", "no template can allow"]);
        let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod, "labels": {"a": "b"}},
                             "target": {"kind": "Node", "name": "node-0"}});
        let reply = master.api.post(&path("binding"), &binding).unwrap();
        cases.refused("binding", &reply, &["pods/binding", "no template can allow"]);
        for (method, rest) in [
            ("POST", "exec?command=id"),
            ("GET", "exec?command=id"),
            ("POST", "attach"),
            ("POST", "portforward"),
            ("GET", "proxy/"),
            ("DELETE", "proxy/x"),
        ] {
            let reply = master.api.send(method, &path(rest), "application/json", None).unwrap();
            // RBAC has no verb delete here, and its refusal is as good.
            if method == "DELETE" {
                cases.holds(rest, reply.code == 403, reply.message());
            } else {
                cases.refused(&format!("{method} {rest}"), &reply, &["retinue refuses the use of pods/"]);
            }
        }
    }
    let job = master.group("batch/v1", "jobs/post-trade-20261104/status");
    cases.refused("a Job's status", &master.api.merge(&job, &mark).unwrap(), &["jobs/status"]);
    let scale = json!({"spec": {"replicas": 5}});
    let deployment = master.group("apps/v1", "deployments/eod/scale");
    cases.refused("its own workload's scale", &master.api.merge(&deployment, &scale).unwrap(), &["no stamp"]);
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    for account in ["eod", "default"] {
        let reply = master.api.post(&master.core(&format!("serviceaccounts/{account}/token")), &request).unwrap();
        cases.refused("a token", &reply, &["serviceaccounts/token", "no template can allow"]);
    }
    cases.holds("pods are as before", [kept(&own), kept(&theirs)] == before, kept(&own));
    cases.finish();
}

#[test]
fn threat_52_what_an_admin_allowed_is_used_on_own_dependents_alone() {
    let master = master("allowed");
    let [theirs, _] = strangers(&master);
    let ns = &master.namespace;
    let templates = format!(
        r#"apiVersion: v1
kind: ConfigMap
metadata:
  name: credentials
  namespace: {ns}
  labels: {{fledged.io/templates: "true"}}
  annotations: {{fledged.io/allow: "pods/exec, deployments/scale"}}
data:
  parameters: |
    size: {{type: integer, minimum: 0, maximum: 3}}
  web.yaml: |
    apiVersion: apps/v1
    kind: Deployment
    metadata: {{name: web}}
    spec:
      replicas: ${{size}}
      selector: {{matchLabels: {{app: web}}}}
      template:
        metadata: {{labels: {{app: web}}}}
        spec: {{containers: [{{name: main, image: registry.example/web}}]}}
"#
    );
    shared().cluster.apply(&templates).unwrap();
    let web = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "main", "image": "registry.example/web"}]}}},
    });
    until("the new template is known", || Some(send(&master, Way::Post, &web, "")).filter(Reply::success));
    let own = shared().cluster.running_pod(ns, "app=web").unwrap();
    let mut cases = Cases::default();
    let exec =
        |pod: &str| master.api.send("POST", &master.core(&format!("pods/{pod}/exec?command=id")), "", None).unwrap();
    // Past admission it ends at the node, which is none.
    let reply = exec(&own);
    cases.holds("exec in its own", !reply.message().contains("retinue") && reply.code != 403, reply.message());
    cases.refused("exec in a stranger's", &exec(&theirs), &["no stamp"]);
    cases.refused("exec in itself", &exec(&master.pod), &["no stamp"]);
    let attach = master.api.send("POST", &master.core(&format!("pods/{own}/attach")), "", None).unwrap();
    cases.refused("attach to its own", &attach, &["pods/attach", "fledged.io/allow"]);
    let scale = |name: &str, replicas: u32| {
        let path = master.group("apps/v1", &format!("deployments/{name}/scale"));
        master.api.merge(&path, &json!({"spec": {"replicas": replicas}})).unwrap()
    };
    cases.admitted("three", &scale("web", 3));
    cases.admitted("none", &scale("web", 0));
    cases.refused("four", &scale("web", 4), &["spec.replicas", "from 0 to 3"]);
    cases.refused("its own workload", &scale("eod", 2), &["no stamp"]);
    cases.finish();
}
