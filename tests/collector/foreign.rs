//! Other collectors' keys on objects that no master started.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event, ObjectReference};
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::runtime::wait::{await_condition, conditions};
use policies::lifetime;
use retinue::cluster::client::Connection;
use retinue::collector::reap::Outcome;
use retinue::collector::{self, Config, Foreign, Metrics};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{Duration, Room, becomes, connection_with, counted, plane};

const KYVERNO: &str = "cleanup.kyverno.io/ttl";

/// Annotations of these kinds, in all namespaces.
fn annotated(kinds: &[&str]) -> Foreign {
    Foreign { annotated: kinds.iter().map(|kind| (*kind).to_owned()).collect(), namespaces: BTreeSet::new() }
}

impl Room {
    /// A collector of this room to which other collectors' keys count, until `shutdown`.
    async fn collect_foreign_until(&self, foreign: Foreign, shutdown: CancellationToken) -> Metrics {
        let metrics = Metrics::default();
        let config = Config { namespace: Some(self.namespace.clone()), foreign: Some(foreign), ..Config::default() };
        let Connection { client, clock } = self.connection.clone();
        let collecting = collector::run(client, clock, config, metrics.clone(), shutdown);
        tokio::spawn(async move { collecting.await.unwrap() });
        metrics.following.notified().await;
        metrics
    }

    async fn collect_foreign(&self, kinds: &[&str]) -> Metrics {
        self.collect_foreign_until(annotated(kinds), self.shutdown.clone()).await
    }

    /// A ConfigMap of nobody's with these keys: Kyverno's as a label, others as annotations.
    async fn keyed(&self, name: &str, pairs: &[(&str, &str)]) -> ConfigMap {
        let object = json!({"metadata": keys(json!({"name": name}), pairs)});
        self.config_maps().create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap()
    }

    async fn key(&self, object: &ConfigMap, metadata: Value) {
        let name = object.metadata.name.as_deref().unwrap();
        let patch = Patch::Merge(json!({"metadata": metadata}));
        self.config_maps().patch(name, &PatchParams::default(), &patch).await.unwrap();
    }

    async fn events_about(&self, object: &ConfigMap) -> Vec<Event> {
        let events: Api<Event> = Api::namespaced(self.connection.client.clone(), &self.namespace);
        let mut events = events.list(&ListParams::default()).await.unwrap().items;
        events.retain(|event| event.involved_object.uid == object.metadata.uid);
        events
    }
}

fn keys(mut metadata: Value, pairs: &[(&str, &str)]) -> Value {
    for (key, value) in pairs {
        let map = if *key == KYVERNO { "labels" } else { "annotations" };
        metadata[map][*key] = (*value).into();
    }
    metadata
}

#[tokio::test(flavor = "multi_thread")]
async fn what_carries_a_key_of_another_collector_is_deleted_when_that_says_so() {
    let room = Room::new().await;
    let metrics = room.collect_foreign(&["configmaps"]).await;
    let mut going = Vec::new();
    for (name, key, value) in [
        ("janitor-ttl", "janitor/ttl", "2s"),
        ("janitor-expires", "janitor/expires", "2019-04-17T20:59"),
        ("kyverno", KYVERNO, "2s"),
        ("twin", "k8s-ttl-controller.twin.sh/ttl", "2s"),
    ] {
        going.push((key, room.keyed(name, &[(key, value)]).await));
    }
    let refreshed = (room.now() + SignedDuration::from_hours(1)).to_string();
    let mut staying = Vec::new();
    for (name, pairs) in [
        ("forever", &[("janitor/ttl", "forever")][..]),
        ("later", &[("janitor/ttl", "1h"), (KYVERNO, "2d")]),
        (
            "refreshed",
            &[("k8s-ttl-controller.twin.sh/ttl", "1s"), ("k8s-ttl-controller.twin.sh/refreshed-at", &refreshed)],
        ),
        ("nothing", &[("app", "web")]),
    ] {
        staying.push(room.keyed(name, pairs).await);
    }
    // Of a kind that was not named a label counts, an annotation does not.
    let leases: Api<Lease> = Api::namespaced(room.connection.client.clone(), &room.namespace);
    let mut made = Vec::new();
    for (name, key) in [("labelled", KYVERNO), ("annotated", "janitor/ttl")] {
        let lease = json!({"metadata": keys(json!({"name": name}), &[(key, "1s")])});
        made.push(leases.create(&PostParams::default(), &serde_json::from_value(lease).unwrap()).await.unwrap());
    }
    for (key, object) in &going {
        room.gone(object).await;
        let told = room.event(|event| event.involved_object.uid == object.metadata.uid).await;
        assert_eq!(told.reason.as_deref(), Some("ObjectExpired"));
        assert!(told.message.unwrap().contains(key));
    }
    let deleted = conditions::is_deleted(made[0].metadata.uid.as_deref().unwrap());
    let waiting = await_condition(leases.clone(), "labelled", deleted);
    tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("the labelled lease goes").unwrap();
    becomes(5, || counted(&metrics, &Outcome::Deleted)).await;
    for object in &staying {
        assert!(room.there(object).await, "{:?}", object.metadata.name);
    }
    assert!(leases.get_opt("annotated").await.unwrap().is_some());
    assert_eq!((metrics.waiting.get(), metrics.unreadable.get()), (2, 0), "what carries no end is not kept in mind");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_other_collectors_are_nothing_unless_the_admin_turns_that_on() {
    let room = Room::new().await;
    let metrics = room.collect();
    let every = [("janitor/ttl", "1s"), ("janitor/expires", "2019-04-17"), (KYVERNO, "1s")];
    let object = room.keyed("keyed", &every).await;
    let due = room.config_map("due", room.deadline(2)).await;
    room.gone(&due).await;
    assert!(room.there(&object).await);
    assert_eq!(metrics.waiting.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_cannot_be_read_is_told_of_once_and_keeps_the_object() {
    let room = Room::new().await;
    let first = CancellationToken::new();
    let metrics = room.collect_foreign_until(annotated(&["configmaps"]), first.clone()).await;
    let object = room.keyed("unclear", &[("janitor/ttl", "10min"), (KYVERNO, "1s")]).await;
    let told = room.event(|event| event.involved_object.uid == object.metadata.uid).await;
    assert_eq!((told.reason.as_deref(), told.type_.as_deref()), (Some("KeyUnreadable"), Some("Warning")));
    let message = told.message.unwrap();
    assert!(message.contains(r#"janitor/ttl is "10min""#) && message.contains("5m"), "{message}");
    becomes(1, || metrics.unreadable.get()).await;

    // Nor is it told again when the object changes, by another collector, or by one that was started again.
    room.key(&object, json!({"labels": {"app": "web"}})).await;
    first.cancel();
    let collectors = [room.collect_foreign(&["configmaps"]).await, room.collect_foreign(&["configmaps"]).await];
    for metrics in &collectors {
        becomes(1, || metrics.unreadable.get()).await;
    }
    // What they write comes in order: an Event on what is deleted comes after it.
    let due = room.config_map("due", room.deadline(2)).await;
    room.gone(&due).await;
    room.event(|event| event.involved_object.uid == due.metadata.uid).await;
    assert_eq!(room.events_about(&object).await.len(), 1);
    assert!(room.there(&object).await);

    room.key(&object, json!({"annotations": {"janitor/ttl": "1s"}})).await;
    room.gone(&object).await;
    for metrics in &collectors {
        becomes(0, || metrics.unreadable.get()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_taken_back_or_put_off_deletes_nothing() {
    let room = Room::new().await;
    let metrics = room.collect_foreign(&["configmaps"]).await;
    let back = room.keyed("back", &[("janitor/ttl", "3s")]).await;
    let unlabelled = room.keyed("unlabelled", &[(KYVERNO, "3s")]).await;
    let off = room.keyed("off", &[("janitor/ttl", "3s")]).await;
    becomes(3, || metrics.waiting.get()).await;
    room.key(&back, json!({"annotations": {"janitor/ttl": null}})).await;
    room.key(&unlabelled, json!({"labels": {KYVERNO: null}})).await;
    room.key(&off, json!({"annotations": {"janitor/ttl": "1h"}})).await;
    becomes(1, || metrics.waiting.get()).await;
    let due = room.config_map("due", room.deadline(4)).await;
    room.gone(&due).await;
    for object in [back, unlabelled, off] {
        assert!(room.there(&object).await, "{:?}", object.metadata.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_35_a_stamp_goes_before_any_key_and_so_does_what_only_looks_like_one() {
    let room = Room::new().await;
    let metrics = room.collect_foreign(&["configmaps"]).await;
    let every = [("janitor/ttl", "1s"), (KYVERNO, "1s")];
    let deadline = room.deadline(3);
    let mut made = Vec::new();
    for (name, until) in [("stays", room.deadline(3_600)), ("goes", deadline)] {
        let object = json!({"metadata": keys(room.stamped("v1", "ConfigMap", name, until), &every)});
        let object = serde_json::from_value(object).unwrap();
        made.push(room.config_maps().create(&PostParams::default(), &object).await.unwrap());
    }
    let mut copied = json!({"metadata": keys(room.stamped("v1", "ConfigMap", "original", deadline), &every)});
    copied["metadata"]["name"] = "copied".into();
    let copied = serde_json::from_value(copied).unwrap();
    let copied = room.config_maps().create(&PostParams::default(), &copied).await.unwrap();
    becomes(2, || metrics.waiting.get()).await;
    // A key that goes takes nothing of the stamp with it.
    room.key(&made[1], json!({"labels": {KYVERNO: null}, "annotations": {"janitor/ttl": null}})).await;
    let gone = room.gone(&made[1]).await;
    assert!(gone >= deadline, "{} before {}", lifetime::label(gone), lifetime::label(deadline));
    assert!(room.there(&made[0]).await && room.there(&copied).await);
    becomes(1, || counted(&metrics, &Outcome::Deleted)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_namespaces_that_are_named_count() {
    let plane = controlplane::Options::api_only().start().unwrap();
    let [named, other] = [Room::of(&plane).await, Room::of(&plane).await];
    let metrics = Metrics::default();
    let foreign = Foreign { namespaces: BTreeSet::from([named.namespace.clone()]), ..annotated(&["configmaps"]) };
    let config = Config { foreign: Some(foreign), ..Config::default() };
    let Connection { client, clock } = named.connection.clone();
    let collecting = collector::run(client, clock, config, metrics.clone(), named.shutdown.clone());
    tokio::spawn(async move { collecting.await.unwrap() });
    let mut staying = Vec::new();
    for (name, key) in [("labelled", KYVERNO), ("annotated", "janitor/ttl")] {
        staying.push(other.keyed(name, &[(key, "1s")]).await);
        let going = named.keyed(name, &[(key, "1s")]).await;
        named.gone(&going).await;
    }
    let due = other.config_map("due", other.deadline(1)).await;
    other.gone(&due).await;
    for object in staying {
        assert!(other.there(&object).await, "{:?}", object.metadata.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_is_named_and_may_not_be_collected_is_reported() {
    let room = Room::new().await;
    let namespace = &room.namespace;
    let user = format!("named-{namespace}");
    plane()
        .apply(&format!(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: named, namespace: {namespace}}}\nrules:\n\
             - {{apiGroups: [''], resources: [configmaps], verbs: [list, watch, delete]}}\n\
             - {{apiGroups: [events.k8s.io], resources: [events], verbs: [create, patch]}}\n---\n\
             apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{name: named, namespace: {namespace}}}\n\
             roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: named}}\n\
             subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: User, name: {user}}}]\n"
        ))
        .unwrap();
    let pod =
        json!({"apiVersion": "v1", "kind": "Pod", "namespace": namespace, "name": "collector", "uid": "collector"});
    let pod: ObjectReference = serde_json::from_value(pod).unwrap();
    let metrics = Metrics::default();
    let config = Config {
        namespace: Some(namespace.clone()),
        pod: Some(pod.clone()),
        foreign: Some(annotated(&["configmaps", "deployments.apps", "widgets.example.com"])),
        ..Config::default()
    };
    let Connection { client, clock } = connection_with(plane().kubeconfig_of_user(&user, None).unwrap()).await;
    let collecting = collector::run(client, clock, config, metrics.clone(), room.shutdown.clone());
    tokio::spawn(async move { collecting.await.unwrap() });
    let told = room.event(|event| event.involved_object == pod).await;
    assert_eq!(told.reason.as_deref(), Some("RightsMissing"));
    let message = told.message.unwrap();
    assert!(message.contains("deployments.apps: no right to list, watch, delete"), "{message}");
    assert!(message.contains("widgets.example.com: not served"), "{message}");
    assert_eq!((metrics.kinds.get(), metrics.kinds_lacking.get()), (1, 2));
    let object = room.keyed("keyed", &[("janitor/ttl", "1s")]).await;
    room.gone(&object).await;
}
