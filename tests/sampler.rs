//! What the cluster adds that no table knows, against a real API server: noticed by samples, refused, reported, and
//! admitted once an admin accepts exactly that. And defaults of custom resources, which follow their definition.
#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]

use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use controlplane::{Options, Reply};
use retinue::cluster::client::{Connection, Source};
use retinue::sampler::{self, Metrics};
use serde_json::{Value, json};
use story::{Installation, Master};
use tokio::runtime::Runtime;

const PROBE: &str = "system:serviceaccount:retinue:retinue-probe";
const ADMISSION: &str = "admissionregistration.k8s.io/v1";
/// Longer than anything takes here: tests say what happens, and print how long it took.
const PATIENCE: Duration = Duration::from_secs(60);

/// An installation with webhook and samples, shared: each test has a namespace of its own.
struct House {
    installation: Installation,
    metrics: Metrics,
    _runtime: Runtime,
}

fn house() -> &'static House {
    static HOUSE: OnceLock<House> = OnceLock::new();
    HOUSE.get_or_init(|| {
        let binary = Path::new(env!("CARGO_BIN_EXE_retinue"));
        let cluster = Options::api_only().start().unwrap();
        let installation = Installation::installed(cluster, binary, &[]).unwrap();
        installation.collects(&[("example.com", &["gadgets", "widgets"])]).unwrap();
        installation.start_webhook().unwrap();
        let metrics = Metrics::default();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let token = installation.cluster.token("retinue", "retinue-controller", None).unwrap();
        let kubeconfig = installation.cluster.kubeconfig_with_token(&token).unwrap();
        let counted = metrics.clone();
        runtime.spawn(async move {
            let source = Source::Kubeconfig { path: Some(kubeconfig), context: None };
            let connection = Connection::open(&source).await.unwrap();
            sampler::run(connection.client, "sampler".into(), retinue::cluster::templates::KEPT, counted).await;
        });
        House { installation, metrics, _runtime: runtime }
    })
}

/// A namespace with a master and these templates in the ConfigMap `extra`.
fn master(namespace: &str, templates: &Value) -> Master {
    let house = house();
    let master = house.installation.bare(namespace, "extra").unwrap();
    house.installation.cluster.service_account(namespace, "default").unwrap();
    house.installation.cluster.apply(&config_map(namespace, templates).to_string()).unwrap();
    master
}

fn config_map(namespace: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "data": data,
           "metadata": {"name": "extra", "namespace": namespace, "labels": {"fledged.io/templates": "true"}}})
}

/// Looks until `found` gives something; each look asks the API server.
fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = found() {
            println!("{what}: after {:?}", begun.elapsed());
            return found;
        }
        if begun.elapsed() > PATIENCE {
            let logs = house().installation.logs();
            panic!("{what} did not come\n{}", logs.lines().rev().take(20).collect::<Vec<_>>().join("\n"));
        }
    }
}

/// The note of an Event on the ConfigMap of a namespace that says all these words.
fn told(namespace: &str, reason: &str, words: &[&str]) -> String {
    until(&format!("the Event {reason} with {words:?}"), || {
        let list = house().installation.cluster.get(&format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events"));
        let notes = list.unwrap()["items"].as_array().unwrap().clone();
        let about =
            notes.into_iter().filter(|event| event["reason"] == reason && event["regarding"]["name"] == "extra");
        let mut texts = about.map(|event| event["note"].as_str().unwrap().to_owned());
        texts.find(|text| words.iter().all(|word| text.contains(word)))
    })
}

fn post(master: &Master, path: &str, object: &Value) -> Reply {
    master.api.post(path, object).unwrap()
}

/// Accepts these rows, as an admin does.
fn accept(namespace: &str, rows: &str) {
    let path = format!("/api/v1/namespaces/{namespace}/configmaps/extra");
    let annotations = json!({"metadata": {"annotations": {"fledged.io/accept-defaults": rows}}});
    let reply = house().installation.cluster.asker().merge(&path, &annotations).unwrap();
    assert!(reply.success(), "{}", reply.message());
}

/// A policy of the cluster that changes what is created in one namespace.
fn policy(namespace: &str, name: &str, group: &str, resource: &str, expression: &str) {
    let spec = json!({
        "reinvocationPolicy": "Never",
        "matchConstraints": {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "resourceRules": [{"apiGroups": [group], "apiVersions": ["v1"], "resources": [resource], "operations": ["CREATE"]}],
        },
        "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}],
    });
    let of = |kind: &str, spec: Value| {
        json!({"apiVersion": ADMISSION, "kind": kind, "metadata": {"name": name}, "spec": spec}).to_string()
    };
    house().installation.cluster.apply(&of("MutatingAdmissionPolicy", spec)).unwrap();
    house().installation.cluster.apply(&of("MutatingAdmissionPolicyBinding", json!({"policyName": name}))).unwrap();
}

/// Its sidecar is stored as a native one, and so is that of its sample.
const JOB: &str = r#"
apiVersion: batch/v1
kind: Job
metadata: {name: "post-${run}", annotations: {fledged.io/native-sidecars: "true"}}
spec:
  template:
    metadata: {labels: {essential-containers: main}}
    spec:
      restartPolicy: Never
      containers:
      - {name: main, image: "registry.example/post:1", args: ["${run}"]}
      - {name: log, image: "registry.example/log:1", args: ["${run}"]}
"#;
const RUN: &str = "run: {type: string, pattern: '[0-9]{8}'}";

fn job(run: &str) -> Value {
    policies::yaml::value(&JOB.replace("${run}", run)).unwrap()
}

#[test]
fn what_a_policy_adds_is_reported_refused_and_admitted_once_exactly_that_is_accepted() {
    let ns = "adds";
    let master = master(ns, &json!({"parameters": RUN, "job.yaml": JOB}));
    let jobs = master.group("batch/v1", "jobs");
    until("the template is known", || {
        Some(post(&master, &format!("{jobs}?dryRun=All"), &job("20261121"))).filter(Reply::success)
    });

    policy(ns, "adds", "batch", "jobs", "Object{spec: Object.spec{ttlSecondsAfterFinished: 600}}");
    let line = r#"- {"apiVersion":"batch/v1","kind":"Job","path":"spec.ttlSecondsAfterFinished","value":600}"#;
    let note = told(ns, "UnknownRow", &["spec.ttlSecondsAfterFinished", "fledged.io/accept-defaults"]);
    assert!(note.contains(line), "{note}");
    assert!(house().metrics.unknown_rows.get() > 0);
    let reply = post(&master, &jobs, &job("20261121"));
    let message = reply.message();
    assert!(!reply.success() && message.contains("retinue refuses"), "{message}");
    for words in ["spec.ttlSecondsAfterFinished: expected nothing, got 600", "fledged.io/accept-defaults", line] {
        assert!(message.contains(words), "{words} is not in: {message}");
    }

    // The admin takes the row out of the Event as it is.
    let row = note.lines().find(|text| text.starts_with("- ")).unwrap();
    accept(ns, row);
    until("the row is accepted", || {
        Some(post(&master, &format!("{jobs}?dryRun=All"), &job("20261121"))).filter(Reply::success)
    });
    let reply = post(&master, &jobs, &job("20261121"));
    assert!(reply.success(), "{}", reply.message());
    assert_eq!(reply.body["spec"]["ttlSecondsAfterFinished"], 600);
    assert!(reply.body["metadata"]["labels"]["fledged.io/master"].is_string(), "stamped");
    until("nothing is unknown any more", || (house().metrics.unknown_rows.get() == 0).then_some(()));

    // Another value is as unknown as ever, to the webhook and to the sample.
    policy(ns, "adds", "batch", "jobs", "Object{spec: Object.spec{ttlSecondsAfterFinished: 601}}");
    told(ns, "UnknownRow", &["\"value\":601"]);
    let reply = post(&master, &jobs, &job("20261122"));
    assert!(!reply.success() && reply.message().contains("got 601"), "{}", reply.message());

    // The cluster adds it no more: what was accepted is allowed, not demanded.
    for kind in ["mutatingadmissionpolicybindings", "mutatingadmissionpolicies"] {
        let path = format!("/apis/{ADMISSION}/{kind}/adds");
        assert!(house().installation.cluster.asker().delete(&path, None).unwrap().success());
    }
    let reply = until("the policy is gone", || Some(post(&master, &jobs, &job("20261122"))).filter(Reply::success));
    assert_eq!(reply.body["spec"]["ttlSecondsAfterFinished"], Value::Null);
}

#[test]
fn the_account_of_samples_may_nothing_but_create_with_dry_run() {
    let ns = "probed";
    let master = master(ns, &json!({"parameters": RUN, "job.yaml": JOB}));
    let admin = house().installation.cluster.asker();
    let probe = admin.impersonating(PROBE, &[]);
    let jobs = master.group("batch/v1", "jobs");
    let almighty = admin.impersonating(PROBE, &["system:masters"]);
    let pod = master.core("pods/eod");
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "eod"}});
    let evict = || almighty.post(&format!("{pod}/eviction?dryRun=All"), &eviction).unwrap();
    // The API server looks once a second for policies that are new; that of creates is the last.
    until("the floor is there", || Some(evict()).filter(|reply| reply.message().contains("retinue's floor")));
    let tried = probe.post(&format!("{jobs}?dryRun=All"), &job("20261121")).unwrap();
    assert!(tried.success(), "{}", tried.message());
    let done = probe.post(&jobs, &job("20261121")).unwrap();
    assert!(!done.success() && done.message().contains("retinue's floor"), "{}", done.message());
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}});
    let refused = probe.post(&format!("{}?dryRun=All", master.core("secrets")), &secret).unwrap();
    assert!(refused.message().contains("cannot create resource"), "{}", refused.message());
    // With every right that RBAC can give, it is the floor that holds.
    let replies = [
        ("create", almighty.post(&jobs, &job("20261121")).unwrap()),
        ("a Secret", almighty.post(&master.core("secrets"), &secret).unwrap()),
        ("merge", almighty.merge(&pod, &json!({"metadata": {"labels": {"a": "b"}}})).unwrap()),
        ("delete, dry", almighty.delete(&format!("{pod}?dryRun=All"), None).unwrap()),
        ("delete", almighty.delete(&pod, None).unwrap()),
        ("evict", evict()),
        (
            "token",
            almighty
                .post(
                    &master.core("serviceaccounts/eod/token"),
                    &json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}),
                )
                .unwrap(),
        ),
        ("exec", almighty.send("POST", &format!("{pod}/exec?command=id"), "", None).unwrap()),
    ];
    for (what, reply) in replies {
        assert!(
            !reply.success() && reply.message().contains("retinue's floor"),
            "{what}: {} {}",
            reply.code,
            reply.message()
        );
    }
    assert!(admin.get(&pod).unwrap().success(), "it is still there");
}

/// A definition whose default of `spec.size` is this.
fn definition(kind: &str, default: i64) -> Value {
    let lower = kind.to_lowercase();
    let spec = json!({"type": "object", "properties": {
        "size": {"type": "integer", "default": default}, "shade": {"type": "string"}, "name": {"type": "string"}}});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{lower}s.example.com")},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"kind": kind, "plural": format!("{lower}s"), "singular": lower},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "properties": {"spec": spec}}}}],
        },
    })
}

fn define(kind: &str, default: i64) {
    let cluster = &house().installation.cluster;
    cluster.apply(&definition(kind, default).to_string()).unwrap();
    let crd = format!("crd/{}s.example.com", kind.to_lowercase());
    cluster.kubectl(&["wait", "--for=condition=Established", &crd, "--timeout=60s"]).unwrap().ok().unwrap();
}

fn custom(kind: &str, name: &str, spec: Value) -> Value {
    let mut object = json!({"apiVersion": "example.com/v1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    object["spec"]["name"] = "a".into();
    object
}

#[test]
fn defaults_of_custom_resources_follow_their_definition_while_it_is_watched() {
    let ns = "defaults";
    define("Widget", 3);
    let text = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: \"w-${run}\"}\nspec: {name: a}\n";
    let master = master(ns, &json!({"parameters": RUN, "widget.yaml": text}));
    let widgets = master.group("example.com/v1", "widgets");
    let mut run = 20261100;
    let mut next = || {
        run += 1;
        format!("w-{run}")
    };
    for default in [3, 7, 8] {
        define("Widget", default);
        let begun = Instant::now();
        // The server may default by the old definition for a moment: what is stored says which it was.
        let stored = until(&format!("a Widget of size {default}"), || {
            let reply = post(&master, &widgets, &custom("Widget", &next(), json!({})));
            Some(reply).filter(|reply| reply.success() && reply.body["spec"]["size"] == default)
        });
        assert!(stored.body["metadata"]["labels"]["fledged.io/master"].is_string(), "stamped");
        println!("the default {default} is followed after {:?}", begun.elapsed());
        // Written out, it is the same object; any other size, and be it the default of yesterday, is another.
        assert!(post(&master, &widgets, &custom("Widget", &next(), json!({"size": default}))).success());
        for other in [3, 7, 8, 9].into_iter().filter(|other| *other != default) {
            let reply = post(&master, &widgets, &custom("Widget", &next(), json!({"size": other})));
            assert!(!reply.success() && reply.message().contains("spec.size"), "{other}: {}", reply.message());
        }
    }
}

#[test]
fn what_is_added_to_a_custom_resource_is_noticed_once_the_probe_may_create_it() {
    let ns = "custom";
    define("Gadget", 3);
    let text = "apiVersion: example.com/v1\nkind: Gadget\nmetadata: {name: \"g-${run}\"}\nspec: {name: a}\n";
    let master = master(ns, &json!({"parameters": RUN, "gadget.yaml": text}));
    let note = told(ns, "NotSampled", &["gadgets", "rbac.fledged.io/probe=true"]);
    assert!(note.contains("gadget.yaml"), "{note}");
    let gadgets = master.group("example.com/v1", "gadgets");
    until("the template is known", || {
        Some(post(&master, &gadgets, &custom("Gadget", "g-20261121", json!({})))).filter(Reply::success)
    });

    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "gadgets", "labels": {"rbac.fledged.io/probe": "true"}},
        "rules": [{"apiGroups": ["example.com"], "resources": ["gadgets"], "verbs": ["create"]}]});
    // No controllers run here that would aggregate it.
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "gadgets"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "gadgets"},
        "subjects": [{"kind": "ServiceAccount", "name": "retinue-probe", "namespace": "retinue"}]});
    house().installation.cluster.apply(&format!("{role}\n---\n{binding}")).unwrap();
    policy(ns, "shades", "example.com", "gadgets", "Object{spec: Object.spec{shade: 'red'}}");
    let note = told(ns, "UnknownRow", &["spec.shade", "\"value\":\"red\""]);
    assert!(!note.contains("spec.size"), "the default of the definition is known: {note}");
    accept(ns, note.lines().find(|text| text.starts_with("- ")).unwrap());
    let reply = until("the row is accepted", || {
        Some(post(&master, &gadgets, &custom("Gadget", "g-20261122", json!({})))).filter(Reply::success)
    });
    assert_eq!(reply.body["spec"]["shade"], "red");
    let reply = post(&master, &gadgets, &custom("Gadget", "g-20261123", json!({"size": 4})));
    assert!(!reply.success() && reply.message().contains("spec.size"), "{}", reply.message());
}

#[test]
fn a_template_without_sample_is_told_of_and_a_taken_name_is_no_obstacle() {
    let ns = "samples";
    let parameters = "run: {type: string, pattern: '[0-9]{8}'}\nlong: {type: string, minLength: 100000}";
    let report = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: long}\ndata: {x: \"${long}\"}\n";
    let taken = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: taken}\ndata: {x: a}\n";
    house().installation.cluster.namespace_named(ns).unwrap();
    house()
        .installation
        .cluster
        .apply(&taken.replace("name: taken", &format!("name: taken, namespace: {ns}")))
        .unwrap();
    let data = json!({"parameters": parameters, "job.yaml": JOB, "long.yaml": report, "taken.yaml": taken});
    house().installation.cluster.apply(&config_map(ns, &data).to_string()).unwrap();
    let note = told(ns, "NotSampled", &["long.yaml", "sample value"]);
    assert!(note.contains("parameter long") && !note.contains("taken.yaml"), "{note}");
}

#[test]
fn an_annotation_that_accepts_too_much_is_refused_when_it_is_applied() {
    let ns = "lint";
    house().installation.cluster.namespace_named(ns).unwrap();
    let mut object = config_map(ns, &json!({"parameters": RUN, "job.yaml": JOB}));
    for (rows, why) in [
        ("- {apiVersion: batch/v1, kind: Job, path: 'spec.*', value: 1}", "no wildcards"),
        (
            "- {apiVersion: batch/v1, kind: Job, path: 'metadata.labels[\"fledged.io/master\"]', value: x}",
            "steers retinue",
        ),
        ("- {apiVersion: batch/v1, kind: Job, path: metadata.ownerReferences, value: []}", "judged by who asks"),
    ] {
        object["metadata"]["annotations"]["fledged.io/accept-defaults"] = rows.into();
        let reply =
            house().installation.cluster.asker().post(&format!("/api/v1/namespaces/{ns}/configmaps"), &object).unwrap();
        assert!(!reply.success() && reply.message().contains(why), "{rows}: {} {}", reply.code, reply.message());
    }
}
