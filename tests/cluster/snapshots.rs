//! Snapshots: templates, facts, masters, dependents, the clock.

use std::time::Duration;

use policies::object::NamespacedName;
use retinue::cluster::STALE_AFTER;

use super::{connection, plane, started, until};

fn template(namespace: &str, name: &str, label: &str) -> String {
    format!(
        "
apiVersion: v1
kind: ConfigMap
metadata: {{name: {name}, namespace: {namespace}, labels: {{{label}}}}}
data:
  config.yaml: |
    apiVersion: v1
    kind: ConfigMap
    metadata: {{name: made}}
"
    )
}

const LABELLED: &str = "fledged.io/templates: 'true'";

#[tokio::test(flavor = "multi_thread")]
async fn threat_32_a_withdrawn_template_is_gone_within_a_second() {
    let (cluster, _guard) = started().await;
    let namespace = plane().namespace().unwrap();
    let there = |name: &str| {
        let name = NamespacedName::new(&namespace, name);
        cluster.templates().snapshot().unwrap().library.sets.contains_key(&name)
    };
    let holds = |condition: bool| if condition { Ok(()) } else { Err("not yet".to_owned()) };
    plane().apply(&template(&namespace, "deleted", LABELLED)).unwrap();
    plane().apply(&template(&namespace, "unlabelled", LABELLED)).unwrap();
    plane().apply(&template(&namespace, "never", "fledged.io/templates: 'false'")).unwrap();
    until("both are there", || holds(there("deleted") && there("unlabelled"))).await;
    assert!(!there("never"), "without the label a ConfigMap is never a template");

    let path = format!("/api/v1/namespaces/{namespace}/configmaps/deleted");
    plane().request("DELETE", &path, None).unwrap();
    let (_, took) = until("the deleted one is gone", || holds(!there("deleted"))).await;
    assert!(took < Duration::from_secs(1), "{took:?}");

    plane().apply(&template(&namespace, "unlabelled", "app: x")).unwrap();
    let (_, took) = until("the one that lost its label is gone", || holds(!there("unlabelled"))).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_33_the_clock_is_the_api_servers() {
    let connection = connection().await;
    assert_eq!(connection.clock.now(), None);
    connection.client.apiserver_version().await.unwrap();
    let known = connection.clock.now().unwrap();
    // Both run on this machine, so its clock is the right answer here.
    let behind = jiff::Timestamp::now().duration_since(known).as_secs_f64();
    assert!((0.0..1.5).contains(&behind), "{behind} s behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_watch_gives_proof_of_life_well_within_the_bound() {
    let (cluster, _guard) = started().await;
    // Nothing needs to happen: bookmarks come before each watch's own end.
    let deadline = std::time::Instant::now() + Duration::from_secs(45);
    while std::time::Instant::now() < deadline {
        cluster.templates().snapshot().unwrap();
        cluster.facts().snapshot().unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        let oldest = cluster.oldest_proof_of_life().unwrap();
        assert!(oldest < STALE_AFTER / 2, "{oldest:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_that_may_launch_are_masters_and_wildcards_are_not() {
    let (cluster, _guard) = started().await;
    let namespace = plane().namespace().unwrap();
    for account in ["eod", "wild", "plain"] {
        plane().service_account(&namespace, account).unwrap();
    }
    plane()
        .apply(&format!(
            "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: launch, namespace: {namespace}}}
rules: [{{apiGroups: [fledged.io], resources: [dependents], verbs: [launch]}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: wild, namespace: {namespace}}}
rules: [{{apiGroups: ['*'], resources: ['*'], verbs: ['*']}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: launch, namespace: {namespace}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: launch}}
subjects: [{{kind: ServiceAccount, name: eod, namespace: {namespace}}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: wild, namespace: {namespace}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: wild}}
subjects: [{{kind: ServiceAccount, name: wild, namespace: {namespace}}}]
"
        ))
        .unwrap();
    plane().apply(&template(&namespace, "t", LABELLED)).unwrap();
    let name = NamespacedName::new(&namespace, "t");
    until("the template is there", || {
        let snapshot = cluster.templates().snapshot().unwrap();
        if snapshot.library.sets.contains_key(&name) { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    let masters = cluster.masters().covering(Some(&namespace)).await.unwrap();
    let of_namespace: Vec<&str> =
        masters.iter().filter(|name| name.namespace == namespace).map(|name| name.name.as_str()).collect();
    assert_eq!(of_namespace, ["eod"]);
}
