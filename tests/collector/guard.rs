//! When what judges masters is gone, the collector says so, and goes on.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::ObjectReference;
use retinue::cluster::client::Connection;
use retinue::collector::{self, Config, Guard, Metrics};
use serde_json::json;

use super::{Room, becomes, counted, plane};
use retinue::collector::reap::Outcome;

/// A policy of this room alone, that is asked about nothing.
fn policy(name: &str) -> String {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"resourceRules": [{
                "apiGroups": ["example.com"], "apiVersions": ["*"], "operations": ["CREATE"], "resources": ["none"],
            }]},
            "validations": [{"expression": "true"}],
        },
    })
    .to_string()
}

impl Room {
    /// A pod that nothing runs; its uid.
    fn a_pod(&self, name: &str) -> String {
        plane().service_account(&self.namespace, name).unwrap();
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"serviceAccountName": name, "nodeSelector": {"no": "where"}, "containers": [{"name": "a", "image": "b"}]},
        });
        plane().apply(&pod.to_string()).unwrap();
        let path = format!("/api/v1/namespaces/{}/pods/{name}", self.namespace);
        plane().get(&path).unwrap()["metadata"]["uid"].as_str().unwrap().to_owned()
    }

    /// The message of a condition of that pod, once it has this status.
    fn condition(&self, condition: &str, status: &str) -> String {
        let wanted = format!("--for=condition={condition}={status}");
        plane()
            .kubectl(&["-n", &self.namespace, "wait", &wanted, "pod/collector", "--timeout=30s"])
            .unwrap()
            .ok()
            .unwrap();
        let pod = plane().get(&format!("/api/v1/namespaces/{}/pods/collector", self.namespace)).unwrap();
        let mut all = pod["status"]["conditions"].as_array().unwrap().iter();
        let found = all.find(|found| found["type"] == condition && found["status"] == status).unwrap();
        found["message"].as_str().unwrap_or_default().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_38_the_collector_says_loudly_what_of_the_guard_is_gone_and_goes_on() {
    let room = Room::new().await;
    let name = format!("guard-{}", room.namespace);
    plane().apply(&policy(&name)).unwrap();
    let names = |kind: &str, name: &str| (kind.to_owned(), BTreeSet::from([name.to_owned()]));
    let gone = format!("gone-{}", room.namespace);
    let expected = [names("ValidatingAdmissionPolicy", &name), names("MutatingWebhookConfiguration", &gone)];
    let uid = room.a_pod("collector");
    let pod = ObjectReference {
        api_version: Some("v1".into()),
        kind: Some("Pod".into()),
        namespace: Some(room.namespace.clone()),
        name: Some("collector".into()),
        uid: Some(uid),
        ..ObjectReference::default()
    };
    let config = Config {
        namespace: Some(room.namespace.clone()),
        pod: Some(pod),
        guard: Guard { expected: BTreeMap::from(expected) },
        ..Config::default()
    };
    let metrics = Metrics::default();
    let Connection { client, clock } = room.connection.clone();
    let collecting = collector::run(client, clock, config, metrics.clone(), room.shutdown.clone());
    tokio::spawn(async move { collecting.await.unwrap() });

    let told = room.event(|event| event.reason.as_deref() == Some("GuardMissing")).await;
    let note = told.message.unwrap();
    assert!(note.contains(&format!("MutatingWebhookConfiguration {gone}")) && !note.contains(&name), "{note}");
    assert!(note.contains("retinue install") && note.contains("retinue doctor"), "{note}");
    assert_eq!((told.involved_object.name.as_deref(), told.type_.as_deref()), (Some("collector"), Some("Warning")));
    becomes(1, || metrics.guard_missing.get()).await;
    let message = |status: &str| room.condition("fledged.io/GuardComplete", status);
    assert_eq!(message("False"), format!("MutatingWebhookConfiguration {gone}"));
    assert_eq!(room.condition("fledged.io/RightsComplete", "True"), "");

    plane().kubectl(&["delete", "validatingadmissionpolicy", &name]).unwrap().ok().unwrap();
    let policy_gone = format!("ValidatingAdmissionPolicy {name}");
    room.event(|event| event.message.as_ref().is_some_and(|note| note.contains(&policy_gone))).await;
    becomes(2, || metrics.guard_missing.get()).await;

    // What was validly stamped goes all the same.
    let object = room.config_map("results", room.deadline(1)).await;
    room.gone(&object).await;
    becomes(1, || counted(&metrics, &Outcome::Deleted)).await;

    plane().apply(&policy(&name)).unwrap();
    becomes(1, || metrics.guard_missing.get()).await;
    plane()
        .apply(
            &json!({
                "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
                "metadata": {"name": gone}, "webhooks": [],
            })
            .to_string(),
        )
        .unwrap();
    assert_eq!(message("True"), "");
    plane().kubectl(&["delete", "mutatingwebhookconfiguration", &gone]).unwrap().ok().unwrap();
    plane().kubectl(&["delete", "validatingadmissionpolicy", &name]).unwrap().ok().unwrap();
}
