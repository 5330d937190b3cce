//! Everybody whom retinue has nothing to do with, with every policy and webhook configuration installed and nobody
//! behind them: no request of theirs is refused by a condition, whatever they have no groups or extras for.

use controlplane::{Asker, ControlPlane, Options, Reply};
use retinue::deploy::{self, Floor, Reach, Values};
use serde_json::{Value, json};

use super::{FORGED, forged, install, plain, unreachable, until_refused};

/// All expressions of an object that decide whom it is for, by where they stand.
fn conditions(object: &Value) -> Vec<String> {
    let listed = |place: &Value| -> Vec<String> {
        let all = place["matchConditions"].as_array().into_iter().flatten();
        all.map(|condition| condition["expression"].as_str().unwrap().to_owned()).collect()
    };
    let webhooks = object["webhooks"].as_array().into_iter().flatten().flat_map(listed);
    webhooks.chain(listed(&object["spec"])).collect()
}

/// Who a master is, as the webhook configurations of these values say it.
fn master_of(values: &Values) -> String {
    let objects = deploy::render(values);
    let judging: Vec<String> = objects
        .iter()
        .filter(|object| object["webhooks"].is_array() && object["metadata"]["name"] == deploy::CONFIGURATION)
        .flat_map(conditions)
        .collect();
    assert_eq!(judging.len(), 3);
    assert!(judging.iter().all(|condition| *condition == judging[0]), "both phases, and all operations");
    judging[0].clone()
}

#[test]
fn the_floor_and_the_webhook_configurations_say_with_the_same_words_who_a_master_is() {
    let elsewhere = Values { namespace: "guards".into(), ..Values::default() };
    let here = master_of(&Values::default());
    assert_ne!(here, master_of(&elsewhere), "retinue's own accounts are those of its namespace");
    for values in
        [Values::default(), elsewhere, Values { reach: Reach::Url("https://127.0.0.1:1".into()), ..Values::default() }]
    {
        // However far in it stands.
        let line = |text: &str| text.replace("\\n", " ").split_whitespace().collect::<Vec<_>>().join(" ");
        let master = line(&master_of(&values));
        let mut with = Vec::new();
        for object in deploy::render(&values) {
            let text = line(&object["spec"].to_string());
            if object["kind"].as_str().unwrap().ends_with("AdmissionPolicy") && text.contains("check('launch')") {
                let whole = json!(master).to_string();
                assert!(text.contains(whole.trim_matches('"')), "{}", object["metadata"]["name"]);
                with.push(object["metadata"]["name"].as_str().unwrap().to_owned());
                assert!(values.namespace == "retinue" || !text.contains("serviceaccount:retinue:"), "{text}");
            }
        }
        let guards =
            ["retinue-configurations", "retinue-strip", "retinue-stamps", "retinue-bindings", "retinue-dependents"];
        assert_eq!(with, guards);
    }
}

#[test]
fn threat_27_a_network_policy_is_installed_and_lets_in_reviews_and_probes_alone() {
    let values = Values { callers: vec!["10.0.0.0/24".into()], ..Values::default() };
    let policies: Vec<Value> =
        deploy::render(&values).into_iter().filter(|object| object["kind"] == "NetworkPolicy").collect();
    let of_webhook = policies.iter().find(|policy| policy["metadata"]["name"] == deploy::WEBHOOK).unwrap();
    assert_eq!(of_webhook["spec"]["policyTypes"], json!(["Ingress"]));
    let ingress = of_webhook["spec"]["ingress"].as_array().unwrap();
    let reviews = ingress.iter().find(|rule| rule["ports"][0]["port"] == "https").unwrap();
    assert_eq!(reviews["from"], json!([{"ipBlock": {"cidr": "10.0.0.0/24"}}]));
    assert!(ingress.iter().all(|rule| ["https", "health"].contains(&rule["ports"][0]["port"].as_str().unwrap())));
}

/// Everything by named verbs, for these users.
fn hands_for(cluster: &ControlPlane, users: &[&str]) {
    let all = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "author", "stamp"];
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "many-hands"},
        "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": all}],
    });
    let subjects: Vec<Value> = users
        .iter()
        .map(|user| json!({"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}))
        .collect();
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "many-hands"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "many-hands"},
        "subjects": subjects,
    });
    cluster.apply(&format!("{role}\n---\n{binding}")).unwrap();
}

/// One request of every sort, in an order in which each finds what it needs. `who` is part of names.
fn requests(space: &str, who: usize) -> Vec<(&'static str, String, Option<Value>)> {
    let core = |rest: &str| format!("/api/v1/namespaces/{space}/{rest}");
    let apps = |rest: &str| format!("/apis/apps/v1/namespaces/{space}/{rest}");
    let name = |kind: &str| format!("{kind}-{who}");
    let pod = json!({"containers": [{"name": "main", "image": "x:1"}]});
    let labels = json!({"app": name("app")});
    let mut stamped = forged(&name("stamped"));
    stamped["metadata"]["annotations"]["fledged.io/admission"] = json!(FORGED);
    let mut template = plain(&name("template"));
    template["metadata"]["labels"] = json!({"fledged.io/templates": "true"});
    let hook = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
                      "metadata": {"name": name("hook")}, "webhooks": []});
    let hooks = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
    let review =
        |group: &str, kind: &str, spec: Value| json!({"apiVersion": format!("{group}/v1"), "kind": kind, "spec": spec});
    let attributes = json!({"resourceAttributes": {"verb": "get", "resource": "pods"}});
    vec![
        ("POST", core("configmaps"), Some(plain(&name("plain")))),
        ("PATCH", core(&format!("configmaps/{}", name("plain"))), Some(json!({"metadata": {"labels": {"a": "b"}}}))),
        ("POST", core("configmaps"), Some(stamped)),
        ("PATCH", core(&format!("configmaps/{}", name("stamped"))), Some(json!({"data": {"a": "c"}}))),
        ("POST", core("configmaps"), Some(template)),
        ("PATCH", core(&format!("configmaps/{}", name("template"))), Some(json!({"data": {"a": "c"}}))),
        ("POST", core("pods"), Some(json!({"metadata": {"name": name("pod")}, "spec": pod}))),
        ("PATCH", core(&format!("pods/{}/status", name("pod"))), Some(json!({"status": {"message": "x"}}))),
        (
            "PATCH",
            core(&format!("pods/{}/ephemeralcontainers", name("pod"))),
            Some(json!({"spec": {"ephemeralContainers": []}})),
        ),
        ("POST", core(&format!("pods/{}/exec?command=id", name("pod"))), None),
        ("GET", core(&format!("pods/{}/proxy/", name("pod"))), None),
        (
            "POST",
            core(&format!("pods/{}/eviction", name("pod"))),
            Some(json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name("pod")}})),
        ),
        (
            "POST",
            apps("deployments"),
            Some(json!({"metadata": {"name": name("web")}, "spec": {
            "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}})),
        ),
        ("PATCH", apps(&format!("deployments/{}/scale", name("web"))), Some(json!({"spec": {"replicas": 2}}))),
        ("POST", "/api/v1/namespaces".into(), Some(json!({"metadata": {"name": name("space")}}))),
        ("DELETE", format!("/api/v1/namespaces/{}", name("space")), None),
        ("POST", core("serviceaccounts"), Some(json!({"metadata": {"name": name("account")}}))),
        (
            "POST",
            core(&format!("serviceaccounts/{}/token", name("account"))),
            Some(json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}})),
        ),
        ("POST", hooks.into(), Some(hook)),
        ("PATCH", format!("{hooks}/{}", name("hook")), Some(json!({"metadata": {"labels": {"a": "b"}}}))),
        ("DELETE", format!("{hooks}/{}", name("hook")), None),
        (
            "POST",
            "/apis/authorization.k8s.io/v1/subjectaccessreviews".into(),
            Some(review(
                "authorization.k8s.io",
                "SubjectAccessReview",
                json!({"user": "x", "resourceAttributes": {"verb": "get", "resource": "pods"}}),
            )),
        ),
        (
            "POST",
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews".into(),
            Some(review("authorization.k8s.io", "SelfSubjectAccessReview", attributes)),
        ),
        (
            "POST",
            "/apis/authentication.k8s.io/v1/tokenreviews".into(),
            Some(review("authentication.k8s.io", "TokenReview", json!({"token": "x"}))),
        ),
        ("DELETE", core(&format!("configmaps/{}", name("stamped"))), None),
        ("DELETE", core(&format!("configmaps/{}", name("template"))), None),
        ("DELETE", core(&format!("configmaps?labelSelector=who={who}")), None),
        ("DELETE", core(&format!("pods/{}", name("pod"))), None),
    ]
}

/// What the API server itself answers some of them: that there is no node, and what no node may.
const BY_ITSELF: [&str; 5] = [
    "does not have a host assigned",
    "address not allowed",
    "not found",
    "can only create mirror pods",
    "node requested token not bound to a pod",
];

fn expected(reply: &Reply) -> bool {
    reply.success() || BY_ITSELF.iter().any(|text| reply.message().contains(text))
}

#[test]
fn threats_37_41_and_53_no_condition_refuses_anybody_who_has_no_groups_and_no_extras() {
    let cluster = Options::api_only().start().unwrap();
    install(&cluster, &unreachable(&cluster, Floor::On));
    let space = cluster.namespace().unwrap();
    let master = super::account(&cluster, &space, "master", &["retinue-launch"]);
    until_refused(|| super::create(&cluster, &master, &space, &plain("a")), "mutate.retinue.fledged.io");
    let names = [
        "bob",
        "system:anonymous",
        "system:node:node-0",
        "system:kube-controller-manager",
        "system:kube-scheduler",
        "system:serviceaccount:",
        "system:serviceaccount:x",
        "system:serviceaccount:x:y",
        "system:serviceaccount:x:y:z",
        "system:serviceaccount:kube-system:namespace-controller",
        "system:serviceaccount:kube-system:generic-garbage-collector",
    ];
    let ordinary = cluster.token(&space, "default", None).unwrap();
    hands_for(&cluster, &[&names[..], &[&format!("system:serviceaccount:{space}:default"), "jane"]].concat());
    // Somebody whom the admin impersonates comes with no group but the one that the API server gives everybody, and
    // with no extra at all; a token has extras; the admin has a group.
    let mut users: Vec<(String, Asker)> =
        names.iter().map(|name| ((*name).to_owned(), cluster.asker().impersonating(name, &[]))).collect();
    users.push(("an account's token".into(), cluster.asker_with_token(&ordinary).unwrap()));
    users.push(("the admin".into(), cluster.asker()));
    let mut wrong = Vec::new();
    let mut count = 0;
    for (number, (user, api)) in users.iter().enumerate() {
        for (method, path, body) in requests(&space, number) {
            let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
            let reply = api.send(method, &path, kind, body.as_ref()).unwrap();
            count += 1;
            if !expected(&reply) || reply.message().contains("retinue") {
                wrong.push(format!("{user}: {method} {path}: {} {}", reply.code, reply.message()));
            }
        }
    }
    println!("{count} requests of {} users", users.len());
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    // All that while the master stays refused, here and elsewhere.
    let refused = super::create(&cluster, &master, &space, &plain("a")).unwrap_err();
    assert!(refused.contains("mutate.retinue.fledged.io"), "{refused}");
}

#[test]
fn threat_53_a_kubelet_does_its_work_on_stamped_pods_above_the_floor() {
    let cluster = Options::api_only().start().unwrap();
    super::floor_alone(&cluster);
    let space = cluster.namespace().unwrap();
    let ordinary = super::account(&cluster, &space, "ordinary", &[]);
    until_refused(|| super::create(&cluster, &ordinary, &space, &forged("forged")), "the stamp");
    let admin = cluster.asker();
    assert!(admin.post("/api/v1/nodes", &json!({"metadata": {"name": "node-0"}})).unwrap().success());
    let mut pod = forged("web");
    pod["kind"] = json!("Pod");
    pod["spec"] = json!({"nodeName": "node-0", "containers": [{"name": "main", "image": "x:1"}],
                         "tolerations": [{"operator": "Exists"}]});
    let all = format!("/api/v1/namespaces/{space}/pods");
    let made = admin.post(&all, &pod).unwrap();
    assert!(made.success(), "{}", made.message());
    let uid = &made.body["metadata"]["uid"];
    let kubelet = admin.impersonating("system:node:node-0", &["system:nodes"]);
    let done = |what: &str, reply: Reply| assert!(reply.success(), "{what}: {} {}", reply.code, reply.message());
    // The node authorizer hears of the pod by a watch of its own.
    let status = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    let start = std::time::Instant::now();
    let reply = loop {
        let reply = kubelet.merge(&format!("{all}/web/status"), &status).unwrap();
        if reply.success() || start.elapsed().as_secs() > 30 {
            break reply;
        }
    };
    done("status", reply);
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": [],
        "boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "web", "uid": uid}}});
    done(
        "token",
        kubelet.post(&format!("/api/v1/namespaces/{space}/serviceaccounts/default/token"), &request).unwrap(),
    );
    done(
        "node status",
        kubelet.merge("/api/v1/nodes/node-0/status", &json!({"status": {"phase": "Running"}})).unwrap(),
    );
    let event = json!({"metadata": {"name": "e"}, "reason": "Started", "type": "Normal",
        "involvedObject": {"kind": "Pod", "name": "web", "namespace": space, "uid": uid}});
    done("Event", kubelet.post(&format!("/api/v1/namespaces/{space}/events"), &event).unwrap());
    // Which it cannot stamp anew: refused by the node's own plugin, or by the floor.
    let mark = json!({"metadata": {"labels": {"fledged.io/expires-at": "2099-01-01T000000Z"}}});
    assert!(!kubelet.merge(&format!("{all}/web/status"), &mark).unwrap().success());
    done("delete", kubelet.delete(&format!("{all}/web"), Some(&json!({"gracePeriodSeconds": 0}))).unwrap());
}
