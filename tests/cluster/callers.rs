//! Who asks: tokens that a real API server issued, pods that real controllers made.

use policies::caller::{Caller, Unidentified};
use policies::request::User;
use retinue::cluster::callers::{Callers, Live};
use webhooks::Lookups;

use super::{connection, connection_to, plane, user_of, user_of_at};

async fn identify(user: &User) -> Result<Caller, Unidentified> {
    Callers::new(Live(connection().await.client)).identify(user, &Lookups::alone()).await
}

/// A namespace with the account `eod`.
fn namespace() -> String {
    let namespace = plane().namespace().unwrap();
    plane().service_account(&namespace, "eod").unwrap();
    namespace
}

fn token_of(namespace: &str, pod: &str) -> String {
    let uid = uid_of(&format!("/api/v1/namespaces/{namespace}/pods/{pod}"));
    plane().token(namespace, "eod", Some((pod, &uid))).unwrap()
}

fn uid_of(path: &str) -> String {
    plane().get(path).unwrap()["metadata"]["uid"].as_str().unwrap().to_owned()
}

/// A workload whose pods are labelled `app: eod` and run under `eod`.
fn workload(namespace: &str, kind: &str, api_version: &str, more: &str) {
    let restart = if kind == "Job" { "Never" } else { "Always" };
    plane()
        .apply(&format!(
            "
apiVersion: {api_version}
kind: {kind}
metadata: {{name: eod, namespace: {namespace}}}
spec:
  {more}
  template:
    metadata: {{labels: {{app: eod}}, annotations: {{fledged.io/manifests: post-trade}}}}
    spec:
      serviceAccountName: eod
      restartPolicy: {restart}
      containers: [{{name: main, image: registry.example/eod}}]
"
        ))
        .unwrap();
}

/// A bare pod under `eod`, with these owners.
fn bare(namespace: &str, name: &str, owners: &str) {
    plane()
        .apply(&format!(
            "
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {namespace}, ownerReferences: {owners}}}
spec:
  serviceAccountName: eod
  containers: [{{name: main, image: registry.example/eod}}]
"
        ))
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_of_every_built_in_workload_answer_for_it() {
    let selector = "selector: {matchLabels: {app: eod}}";
    for (kind, api_version, more, chain) in [
        ("Deployment", "apps/v1", selector, vec!["ReplicaSet", "Deployment"]),
        ("StatefulSet", "apps/v1", selector, vec!["StatefulSet"]),
        ("DaemonSet", "apps/v1", selector, vec!["DaemonSet"]),
        ("ReplicaSet", "apps/v1", selector, vec!["ReplicaSet"]),
        ("ReplicationController", "v1", "selector: {app: eod}", vec!["ReplicationController"]),
        ("Job", "batch/v1", "completions: 1", vec!["Job"]),
    ] {
        let namespace = namespace();
        workload(&namespace, kind, api_version, more);
        let pod = plane().running_pod(&namespace, "app=eod").unwrap();
        let caller = identify(&user_of(&token_of(&namespace, &pod))).await.unwrap();
        let kinds: Vec<&str> = caller.chain.iter().map(|of| of.kind.as_str()).collect();
        assert_eq!(kinds, chain);
        assert_eq!(caller.workload().name, "eod");
        assert_eq!(caller.wish.manifests[0].to_string(), format!("{namespace}/post-trade"));
        assert!(caller.pod.ip.is_some(), "{kind}: a running pod has an address");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bare_pod_answers_for_itself_and_a_custom_owner_ends_the_chain() {
    let namespace = namespace();
    bare(&namespace, "alone", "[]");
    let caller = identify(&user_of(&token_of(&namespace, "alone"))).await.unwrap();
    assert_eq!(caller.workload().to_string(), "Pod alone");
    assert_eq!(caller.workload().uid, uid_of(&format!("/api/v1/namespaces/{namespace}/pods/alone")));
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_24_tokens_without_pod_and_tokens_of_a_deleted_pod_are_refused() {
    let namespace = namespace();
    let podless = plane().token(&namespace, "eod", None).unwrap();
    let refused = identify(&user_of(&podless)).await.unwrap_err();
    assert!(matches!(refused, Unidentified::NoPod { .. }), "{refused}");

    bare(&namespace, "gone", "[]");
    let asks = user_of(&token_of(&namespace, "gone"));
    plane().kubectl(&["-n", &namespace, "delete", "pod", "gone", "--now", "--wait"]).unwrap().ok().unwrap();
    let refused = identify(&asks).await.unwrap_err();
    assert!(matches!(refused, Unidentified::PodGone(_)), "{refused}");

    bare(&namespace, "gone", "[]");
    let refused = identify(&asks).await.unwrap_err();
    assert!(matches!(refused, Unidentified::OtherPod { .. }), "a namesake is another pod: {refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_25_forged_extras_of_an_impersonator_meet_the_live_pod() {
    let namespace = namespace();
    plane().service_account(&namespace, "other").unwrap();
    bare(&namespace, "alone", "[]");
    let mut forged = user_of(&token_of(&namespace, "alone"));
    forged.username = format!("system:serviceaccount:{namespace}:other");
    let refused = identify(&forged).await.unwrap_err();
    assert!(matches!(refused, Unidentified::OtherAccount { .. }), "{refused}");
}

/// What controllers would soon take away is asked about on a control plane without any.
#[tokio::test(flavor = "multi_thread")]
async fn threat_26_a_pod_with_forged_owners_does_not_answer_for_a_deployment() {
    let plane = controlplane::Options::api_only().start().unwrap();
    plane.namespace_named("trading").unwrap();
    for account in ["eod", "other"] {
        plane.service_account("trading", account).unwrap();
    }
    let workload = |kind: &str, owner: &str| {
        format!(
            "
apiVersion: apps/v1
kind: {kind}
metadata: {{name: eod, namespace: trading, ownerReferences: {owner}}}
spec:
  selector: {{matchLabels: {{app: eod}}}}
  template:
    metadata: {{labels: {{app: eod}}}}
    spec: {{serviceAccountName: eod, containers: [{{name: main, image: registry.example/eod}}]}}
"
        )
    };
    let uid = |path: &str| plane.get(path).unwrap()["metadata"]["uid"].as_str().unwrap().to_owned();
    let reference = |kind: &str, uid: &str, controller: bool| {
        format!("[{{apiVersion: apps/v1, kind: {kind}, name: eod, uid: {uid}, controller: {controller}}}]")
    };
    plane.apply(&workload("Deployment", "[]")).unwrap();
    let deployment = uid("/apis/apps/v1/namespaces/trading/deployments/eod");
    plane.apply(&workload("ReplicaSet", &reference("Deployment", &deployment, true))).unwrap();
    let set = uid("/apis/apps/v1/namespaces/trading/replicasets/eod");

    let stranger = "00000000-0000-0000-0000-000000000000";
    for (pod, account, owners, expected) in [
        ("genuine", "eod", reference("ReplicaSet", &set, true), Ok("Deployment eod")),
        ("not-controlled", "eod", reference("ReplicaSet", &set, false), Ok("Pod not-controlled")),
        ("past-the-set", "eod", reference("Deployment", &deployment, true), Ok("Pod past-the-set")),
        ("wrong-uid", "eod", reference("ReplicaSet", stranger, true), Err("earlier one of that name")),
        ("other-kind", "eod", reference("StatefulSet", &set, true), Err("does not exist")),
        ("other-account", "other", reference("ReplicaSet", &set, true), Err("names the account eod")),
    ] {
        plane
            .apply(&format!(
                "
apiVersion: v1
kind: Pod
metadata: {{name: {pod}, namespace: trading, labels: {{app: eod}}, ownerReferences: {owners}}}
spec: {{serviceAccountName: {account}, containers: [{{name: main, image: registry.example/eod}}]}}
"
            ))
            .unwrap();
        let pod_uid = uid(&format!("/api/v1/namespaces/trading/pods/{pod}"));
        let token = plane.token("trading", account, Some((pod, &pod_uid))).unwrap();
        let callers = Callers::new(Live(connection_to(&plane).await.client));
        let found = callers.identify(&user_of_at(&plane, &token), &Lookups::alone()).await;
        match (found, expected) {
            (Ok(caller), Ok(workload)) => assert_eq!(caller.workload().to_string(), workload, "{pod}"),
            (Err(refused), Err(reason)) => assert!(refused.to_string().contains(reason), "{pod}: {refused}"),
            (found, _) => panic!("{pod}: {found:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminating_pod_is_told_as_such() {
    let namespace = namespace();
    bare(&namespace, "leaving", "[]");
    let asks = user_of(&token_of(&namespace, "leaving"));
    let finalizer = r#"{"metadata":{"finalizers":["example.com/wait"]}}"#;
    plane().kubectl(&["-n", &namespace, "patch", "pod", "leaving", "-p", finalizer]).unwrap().ok().unwrap();
    plane().kubectl(&["-n", &namespace, "delete", "pod", "leaving", "--wait=false"]).unwrap().ok().unwrap();
    assert!(identify(&asks).await.unwrap().pod.terminating);
    let free = r#"{"metadata":{"finalizers":null}}"#;
    plane().kubectl(&["-n", &namespace, "patch", "pod", "leaving", "-p", free]).unwrap().ok().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_in_between_is_followed_since_nothing_is_believed_longer_than_a_second() {
    let namespace = namespace();
    workload(&namespace, "Deployment", "apps/v1", "selector: {matchLabels: {app: eod}}");
    let pod = plane().running_pod(&namespace, "app=eod").unwrap();
    let asks = user_of(&token_of(&namespace, &pod));
    let callers = Callers::new(Live(connection().await.client));
    assert!(callers.identify(&asks, &Lookups::alone()).await.is_ok());
    let begun = std::time::Instant::now();
    plane().kubectl(&["-n", &namespace, "delete", "deployment", "eod", "--cascade=orphan"]).unwrap().ok().unwrap();
    let (_, after) = {
        let mut last = callers.identify(&asks, &Lookups::alone()).await;
        while last.as_ref().is_ok_and(|caller| caller.workload().kind == "Deployment" && !caller.pod.terminating) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            last = callers.identify(&asks, &Lookups::alone()).await;
        }
        (last, begun.elapsed())
    };
    assert!(after < std::time::Duration::from_secs(3), "{after:?}");
}
