//! What a verdict is judged by, what is told of it, and what happens when the API server is not there.

use std::time::{Duration, Instant};

use policies::object::{Gvk, Gvr, NamespacedName};
use policies::request::{Operation, Phase, Request, User};
use policies::verdict::{Admission, Asked, Cause, Ground, Refusal, Situation, Subject, Verdict};
use retinue::cluster::client::{Connection, Source};
use retinue::cluster::{Cluster, Options};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use webhooks::Lookups;

use super::{connection_to, plane, started, until, user_of, watch_over};

/// A create of a Job, validating.
fn create(user: &User, namespace: &str, name: &str) -> Request {
    Request {
        uid: "review".into(),
        phase: Phase::Validating,
        operation: Operation::Create,
        kind: Gvk::new("batch", "v1", "Job"),
        resource: Gvr { group: "batch".into(), version: "v1".into(), resource: "jobs".into() },
        subresource: None,
        namespace: Some(namespace.into()),
        name: Some(name.into()),
        user: user.clone(),
        object: Some(
            json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": namespace}}),
        ),
        old_object: None,
        options: None,
        dry_run: false,
    }
}

/// A running bare pod under the account `eod` of a new namespace, and the user that its token makes.
fn master() -> (String, User) {
    let namespace = plane().namespace().unwrap();
    plane().service_account(&namespace, "eod").unwrap();
    plane()
        .apply(&format!(
            "
apiVersion: v1
kind: Pod
metadata: {{name: eod, namespace: {namespace}, annotations: {{fledged.io/manifests: post-trade}}}}
spec: {{serviceAccountName: eod, containers: [{{name: main, image: registry.example/eod}}]}}
"
        ))
        .unwrap();
    let pod = plane().get(&format!("/api/v1/namespaces/{namespace}/pods/eod")).unwrap();
    let uid = pod["metadata"]["uid"].as_str().unwrap();
    let token = plane().token(&namespace, "eod", Some(("eod", uid))).unwrap();
    (namespace, user_of(&token))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_situation_is_gathered_with_the_caller_and_the_servers_time() {
    let (cluster, _guard) = started().await;
    let (namespace, user) = master();
    let situation = cluster.gather(&create(&user, &namespace, "a"), &Lookups::alone()).await.unwrap();
    assert_eq!(situation.caller.unwrap().workload().to_string(), "Pod eod");
    assert!(situation.now.duration_since(jiff::Timestamp::now()).abs().as_secs() < 2);
    assert_ne!(situation.seed, [0; 32]);
    assert_eq!(situation.asked, Asked::NotNeeded);

    let nobody = User { username: format!("system:serviceaccount:{namespace}:eod"), ..User::default() };
    let situation = cluster.gather(&create(&nobody, &namespace, "a"), &Lookups::alone()).await.unwrap();
    assert!(situation.caller.is_err(), "who cannot be identified is part of the situation, and refused by the verdict");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_subresource_is_of_is_read_live_and_without_its_content() {
    let (cluster, _guard) = started().await;
    let (namespace, user) = master();
    let exec = |resource: &str, name: &str| Request {
        operation: Operation::Connect,
        resource: Gvr { group: String::new(), version: "v1".into(), resource: resource.into() },
        subresource: Some("exec".into()),
        object: None,
        ..create(&user, &namespace, name)
    };
    let Asked::Found(pod) = cluster.gather(&exec("pods", "eod"), &Lookups::alone()).await.unwrap().asked else {
        panic!("no pod")
    };
    assert_eq!((&pod["kind"], &pod["metadata"]["name"]), (&json!("Pod"), &json!("eod")));
    assert_eq!(pod.get("spec"), None);
    assert_eq!(cluster.gather(&exec("pods", "none"), &Lookups::alone()).await.unwrap().asked, Asked::Absent);
    plane().apply(&format!("{{apiVersion: v1, kind: Secret, metadata: {{name: s, namespace: {namespace}}}}}")).unwrap();
    let secret = cluster.gather(&exec("secrets", "s"), &Lookups::alone()).await.unwrap().asked;
    assert!(matches!(secret, Asked::Failed(_)), "threat 15: {secret:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_owns_a_deleted_object_is_found_up_to_its_deployment() {
    let (cluster, _guard) = started().await;
    let (namespace, user) = master();
    plane()
        .apply(&format!(
            "
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: {namespace}}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec: {{containers: [{{name: main, image: registry.example/web}}]}}
"
        ))
        .unwrap();
    let pod = plane().running_pod(&namespace, "app=web").unwrap();
    let stored = plane().get(&format!("/api/v1/namespaces/{namespace}/pods/{pod}")).unwrap();
    let delete = |stored: Value| Request {
        operation: Operation::Delete,
        kind: Gvk::new("", "v1", "Pod"),
        object: None,
        old_object: Some(stored),
        ..create(&user, &namespace, &pod)
    };
    let lineage = cluster.gather(&delete(stored.clone()), &Lookups::alone()).await.unwrap().lineage;
    let kinds: Vec<&str> = lineage.iter().map(|owner| owner["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["ReplicaSet", "Deployment"]);

    // A scale is judged with the whole object.
    let scale = Request {
        operation: Operation::Update,
        resource: Gvr { group: "apps".into(), version: "v1".into(), resource: "deployments".into() },
        subresource: Some("scale".into()),
        ..create(&user, &namespace, "web")
    };
    let Asked::Found(deployment) = cluster.gather(&scale, &Lookups::alone()).await.unwrap().asked else {
        panic!("no deployment")
    };
    assert_eq!(deployment["spec"]["replicas"], 1);

    let mut forged = stored;
    forged["metadata"]["ownerReferences"][0]["uid"] = "another".into();
    assert_eq!(cluster.gather(&delete(forged), &Lookups::alone()).await.unwrap().lineage, Vec::<Value>::new());
}

/// Applies the template ConfigMap `post-trade`, whose dependents are at most so many, and waits until they are known.
async fn limited(cluster: &Cluster, namespace: &str, most: u32) -> NamespacedName {
    plane()
        .apply(&format!(
            "
apiVersion: v1
kind: ConfigMap
metadata:
  name: post-trade
  namespace: {namespace}
  labels: {{fledged.io/templates: 'true'}}
  annotations: {{fledged.io/max-dependents: '{most}'}}
data:
  config.yaml: |
    apiVersion: v1
    kind: ConfigMap
    metadata: {{name: made}}
"
        ))
        .unwrap();
    let template = NamespacedName::new(namespace, "post-trade");
    until("the template and its dependents are known", || {
        let snapshot = cluster.templates().snapshot().map_err(|stale| stale.to_string())?;
        let set = snapshot.library.sets.get(&template).ok_or("no template")?;
        cluster.dependents().countable(set.templates.kinds()).map_err(|stale| stale.to_string())
    })
    .await;
    template
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_40_of_two_creates_at_once_the_second_sees_the_first() {
    let (cluster, _guard) = started().await;
    let (namespace, user) = master();
    let template = limited(&cluster, &namespace, 1).await;
    let stamped =
        |name: &str, phase: Phase, dry_run: bool| Request { phase, dry_run, ..stamped(&user, &namespace, name) };
    let seen = async |request: &Request| {
        let situation = cluster.gather(request, &Lookups::alone()).await.unwrap();
        (situation.live_dependents.get(&template).copied().unwrap_or(0), situation)
    };
    assert_eq!(seen(&stamped("a", Phase::Mutating, false)).await.0, 0);
    assert_eq!(seen(&stamped("b", Phase::Mutating, false)).await.0, 0, "the first phase takes no place");
    assert_eq!(seen(&stamped("dry", Phase::Validating, true)).await.0, 0);
    let first = stamped("a", Phase::Validating, false);
    for what in ["a review", "a review that comes twice counts once"] {
        let (others, situation) = seen(&first).await;
        assert_eq!(others, 0, "{what}");
        cluster.tell(&first, &situation, &admitted(&template));
    }
    let second = stamped("b", Phase::Validating, false);
    let (others, situation) = seen(&second).await;
    assert_eq!(others, 0, "threat 58: what was admitted and never came to be refuses nobody");
    cluster.dropped(&second, &situation);

    let (others, situation) = seen(&first).await;
    assert_eq!(others, 0, "no other review stands before it");
    cluster.tell(&first, &situation, &admitted(&template));
    store(&namespace, &first);
    let (others, situation) = seen(&second).await;
    assert_eq!(others, 1);
    let refused = Verdict::Refuse(Refusal::new(Cause::Quota, "full").about_request(&second));
    cluster.tell(&second, &situation, &refused);
    assert_eq!(seen(&stamped("c", Phase::Mutating, false)).await.0, 1, "what was refused has no place");
    let other = cluster.gather(&create(&user, &namespace, "job"), &Lookups::alone()).await.unwrap();
    assert!(other.live_dependents.is_empty(), "what no template of it makes is not counted for");
}

/// A create of a ConfigMap that carries the stamp of the template `post-trade`, validating.
fn stamped(user: &User, namespace: &str, name: &str) -> Request {
    let record = json!({
        "object": {"apiVersion": "v1", "kind": "ConfigMap", "namespace": namespace, "name": name},
        "account": {"namespace": namespace, "name": "eod"},
        "pod": {"name": "eod", "uid": "p"},
        "workload": {"apiVersion": "v1", "kind": "Pod", "name": "eod", "uid": "p"},
        "template": {
            "configMap": {"namespace": namespace, "name": "post-trade"}, "key": "config.yaml", "uid": "c",
            "version": "1", "hash": "h",
        },
    });
    let resource = Gvr { group: String::new(), version: "v1".into(), resource: "configmaps".into() };
    let kind = Gvk::new("", "v1", "ConfigMap");
    let mut request = Request { kind, resource, name: None, ..create(user, namespace, name) };
    let metadata = &mut request.object.as_mut().unwrap()["metadata"];
    metadata["annotations"] = json!({"fledged.io/admission": record.to_string()});
    metadata["labels"] = json!({"fledged.io/master": format!("{namespace}.eod")});
    request
}

/// Stores what `request` creates.
fn store(namespace: &str, request: &Request) {
    let mut object = request.object.clone().unwrap();
    (object["apiVersion"], object["kind"]) = (json!("v1"), json!("ConfigMap"));
    let path = format!("/api/v1/namespaces/{namespace}/configmaps");
    let (code, body) = plane().request("POST", &path, Some(&object)).unwrap();
    assert_eq!(code, 201, "{body}");
}

/// The admission of a create by a template of this ConfigMap.
fn admitted(template: &NamespacedName) -> Verdict {
    let subject = Subject { config_map: Some(template.clone()), ..Subject::default() };
    Verdict::Admit(Admission::on(Ground::Template).about(subject))
}

/// What the webhook's account needs, and no more (deploy installs the same).
const RIGHTS: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: test-webhook}
rules:
- {apiGroups: [''], resources: [configmaps, serviceaccounts, limitranges], verbs: [get, list, watch]}
- {apiGroups: [scheduling.k8s.io], resources: [priorityclasses], verbs: [get, list, watch]}
- {apiGroups: [node.k8s.io], resources: [runtimeclasses], verbs: [get, list, watch]}
- {apiGroups: [storage.k8s.io], resources: [storageclasses], verbs: [get, list, watch]}
- {apiGroups: [networking.k8s.io], resources: [ingressclasses], verbs: [get, list, watch]}
- {apiGroups: [apiextensions.k8s.io], resources: [customresourcedefinitions], verbs: [get, list, watch]}
- {apiGroups: [''], resources: [pods, replicationcontrollers, services], verbs: [get]}
- {apiGroups: [apps], resources: [replicasets, deployments, statefulsets, daemonsets], verbs: [get]}
- {apiGroups: [batch], resources: [jobs, cronjobs], verbs: [get]}
- {apiGroups: [authorization.k8s.io], resources: [subjectaccessreviews], verbs: [create]}
- {apiGroups: [events.k8s.io], resources: [events], verbs: [create, patch]}
";

#[tokio::test(flavor = "multi_thread")]
async fn the_webhooks_own_few_rights_are_enough_for_a_verdict() {
    let (namespace, user) = master();
    plane().service_account(&namespace, "webhook").unwrap();
    plane().apply(RIGHTS).unwrap();
    plane()
        .apply(&format!(
            "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: {namespace}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: test-webhook}}
subjects: [{{kind: ServiceAccount, name: webhook, namespace: {namespace}}}]
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: post-trade
  namespace: {namespace}
  labels: {{fledged.io/templates: 'true'}}
  annotations: {{fledged.io/max-dependents: '5'}}
data:
  config.yaml: |
    apiVersion: v1
    kind: ConfigMap
    metadata: {{name: made}}
    data: {{day: monday}}
"
        ))
        .unwrap();
    let token = plane().token(&namespace, "webhook", None).unwrap();
    let path = Some(plane().kubeconfig_with_token(&token).unwrap());
    let connection = Connection::open(&Source::Kubeconfig { path, context: None }).await.unwrap();
    let shutdown = CancellationToken::new();
    let (cluster, tasks) = Cluster::start(connection, Options::default(), shutdown.clone());
    watch_over(tasks);
    let _guard = shutdown.drop_guard();
    until("ready", || cluster.ready().map_err(|missing| missing.join("; "))).await;

    let request = |day: &str| Request {
        phase: Phase::Mutating,
        kind: Gvk::new("", "v1", "ConfigMap"),
        resource: Gvr { group: String::new(), version: "v1".into(), resource: "configmaps".into() },
        object: Some(json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "made", "namespace": namespace},
            "data": {"day": day},
        })),
        ..create(&user, &namespace, "made")
    };
    for (day, admitted) in [("monday", true), ("sunday", false)] {
        let request = request(day);
        let situation = cluster.gather(&request, &Lookups::alone()).await.unwrap();
        let verdict = policies::verdict::decide(&request, &situation);
        assert_eq!(matches!(verdict, Verdict::Admit(_)), admitted, "{day}: {verdict:?}");
        cluster.tell(&request, &situation, &verdict);
    }
    let (told, _) = until("the refusal is told", || {
        let told = events(&namespace);
        if told.len() == 1 { Ok(told) } else { Err(format!("{told:#?}")) }
    })
    .await;
    assert!(told[0]["note"].as_str().unwrap().contains("monday"), "{told:#?}");
    assert_eq!(cluster.events_dropped(), 0);
}

fn events(namespace: &str) -> Vec<Value> {
    let listed = plane().get(&format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events")).unwrap();
    let ours = |event: &&Value| event["reportingController"] == "fledged.io/retinue";
    listed["items"].as_array().unwrap().iter().filter(ours).cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_58_refusals_are_told_on_the_workload_and_what_was_admitted_once_it_is_there() {
    let (cluster, _guard) = started().await;
    let (namespace, user) = master();
    let template = limited(&cluster, &namespace, 20).await;
    let request = create(&user, &namespace, "a");
    let situation = cluster.gather(&request, &Lookups::alone()).await.unwrap();
    let refused = Verdict::Refuse(Refusal::new(Cause::Template, "no").about_request(&request));
    for _ in 0..50 {
        cluster.tell(&request, &situation, &refused);
    }
    for name in ["never", "made"] {
        let request = stamped(&user, &namespace, name);
        let situation = cluster.gather(&request, &Lookups::alone()).await.unwrap();
        cluster.tell(&request, &situation, &admitted(&template));
    }
    store(&namespace, &stamped(&user, &namespace, "made"));
    // Nobody here admitted this one: whoever did tells of it.
    store(&namespace, &stamped(&user, &namespace, "elsewhere"));
    let dry = Request { dry_run: true, name: Some("dry".into()), ..request.clone() };
    cluster.tell(&dry, &situation, &refused);

    let (told, _) = until("two Events, one of them a series", || {
        let told = events(&namespace);
        let counted = told.iter().any(|event| event["series"]["count"] == 50);
        if told.len() == 2 && counted { Ok(told) } else { Err(format!("{told:#?}")) }
    })
    .await;
    let of = |reason: &str| told.iter().find(|event| event["reason"] == reason).unwrap();
    assert_eq!(of("DependentRefused")["type"], "Warning");
    assert_eq!(of("DependentAdmitted")["regarding"]["kind"], "Pod");
    assert_eq!(of("DependentAdmitted")["regarding"]["name"], "eod");
    assert!(of("DependentRefused")["note"].as_str().unwrap().contains(&format!("Job {namespace}/a")));
    let note = of("DependentAdmitted")["note"].as_str().unwrap();
    let expected =
        format!("admitted to create ConfigMap {namespace}/made by template {namespace}/post-trade config.yaml");
    assert_eq!(note, expected);
    assert_eq!(cluster.dependents().admitted(), 1);
    assert_eq!(cluster.events_dropped(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_18_without_an_api_server_nothing_is_judged_and_afterwards_all_is_known_again() {
    let plane = controlplane::Options::api_only().start().unwrap();
    plane.namespace_named("trading").unwrap();
    plane.service_account("trading", "eod").unwrap();
    let template = |name: &str| {
        format!(
            "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}, namespace: trading, \
             labels: {{fledged.io/templates: 'true'}}}}}}"
        )
    };
    plane.apply(&template("before")).unwrap();
    plane
        .apply(
            "{apiVersion: v1, kind: Pod, metadata: {name: eod, namespace: trading}, \
             spec: {serviceAccountName: eod, containers: [{name: main, image: x}]}}",
        )
        .unwrap();
    let pod = plane.get("/api/v1/namespaces/trading/pods/eod").unwrap();
    let token = plane.token("trading", "eod", Some(("eod", pod["metadata"]["uid"].as_str().unwrap()))).unwrap();
    let user = super::user_of_at(&plane, &token);

    let shutdown = CancellationToken::new();
    let (cluster, tasks) = Cluster::start(connection_to(&plane).await, Options::default(), shutdown.clone());
    watch_over(tasks);
    let _guard = shutdown.drop_guard();
    let request = create(&user, "trading", "a");
    assert!(cluster.gather(&request, &Lookups::alone()).await.is_err(), "nothing is known yet");
    until("ready", || cluster.ready().map_err(|missing| missing.join("; "))).await;
    assert!(cluster.gather(&request, &Lookups::alone()).await.unwrap().caller.is_ok());

    plane.stop_apiserver();
    tokio::time::sleep(retinue::cluster::callers::FRESH).await;
    let begun = Instant::now();
    let situation: Situation = cluster.gather(&request, &Lookups::alone()).await.unwrap();
    assert!(situation.caller.unwrap_err().to_string().contains("pod trading/eod"));
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());

    plane.start_apiserver().unwrap();
    plane.kubectl(&["-n", "trading", "delete", "configmap", "before"]).unwrap().ok().unwrap();
    plane.apply(&template("after")).unwrap();
    until("what changed meanwhile is known", || {
        let snapshot = cluster.templates().snapshot().map_err(|stale| stale.to_string())?;
        let there = |name: &str| snapshot.library.sets.contains_key(&NamespacedName::new("trading", name));
        if there("after") && !there("before") { Ok(()) } else { Err("not yet".into()) }
    })
    .await;
    assert!(cluster.gather(&request, &Lookups::alone()).await.unwrap().caller.is_ok());
}
