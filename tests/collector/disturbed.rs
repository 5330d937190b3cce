//! A collector whose way to the API server is disturbed: clocks that differ, watches that bring nothing for a while,
//! objects and namespaces that go away by themselves, answers that are errors.

use std::time::Duration;

use controlplane::{Fault, Relay};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::wait::{await_condition, conditions};
use policies::lifetime;
use retinue::collector::reap::Outcome;
use retinue::collector::{self, Config, Metrics};
use serde_json::json;

use super::{Room, becomes, connection_with, counted, plane};

/// A collector in the room that goes through `relay`, and follows every kind already.
async fn collecting(room: &Room, relay: &Relay) -> Metrics {
    let token = room.admin_token();
    let connection = connection_with(plane().kubeconfig_through(relay, &token).unwrap()).await;
    let metrics = Metrics::default();
    let config = Config { namespace: Some(room.namespace.clone()), ..Config::default() };
    let collecting =
        collector::run(connection.client, connection.clock, config, metrics.clone(), room.shutdown.clone());
    tokio::spawn(async move { collecting.await.unwrap() });
    let following = tokio::time::timeout(Duration::from_secs(60), metrics.following.notified());
    following.await.expect("every kind is followed");
    metrics
}

fn troubles(metrics: &Metrics) -> u64 {
    let none = String::new;
    [Outcome::Failed(none()), Outcome::Refused(none()), Outcome::Forbidden(none())]
        .iter()
        .map(|outcome| counted(metrics, outcome))
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_33_deadlines_are_those_of_the_api_servers_clock_not_of_this_machines() {
    // To a collector whose own clock is an hour behind the API server's is an hour ahead, and the other way round.
    for hours in [1, -1] {
        let room = Room::new().await;
        let relay = plane().relay().unwrap();
        relay.set_clock_ahead(SignedDuration::from_hours(hours));
        let shown = room.now() + SignedDuration::from_hours(hours);
        let half = SignedDuration::from_mins(30);
        let past = room.config_map("past", shown - half).await;
        let future = room.config_map("future", shown + half).await;
        let metrics = collecting(&room, &relay).await;
        room.gone(&past).await;
        assert!(room.there(&future).await, "{hours} h: by this machine's clock it might be due");
        assert_eq!(metrics.waiting.get(), 1, "{hours} h");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_39_what_is_gone_already_is_counted_as_that_and_is_no_error() {
    let room = Room::new().await;
    let relay = plane().relay().unwrap();
    let metrics = collecting(&room, &relay).await;
    let object = room.config_map("gone", room.deadline(2)).await;
    becomes(1, || metrics.waiting.get()).await;
    // The news that it is gone does not reach the collector.
    relay.freeze_watches();
    room.config_maps().delete("gone", &DeleteParams::default()).await.unwrap();
    assert!(!room.there(&object).await);
    becomes(1, || counted(&metrics, &Outcome::AlreadyGone)).await;
    relay.heal();
    assert_eq!(troubles(&metrics), 0);
    assert_eq!(counted(&metrics, &Outcome::Deleted), 0);
    // It goes on.
    let next = room.config_map("next", room.now()).await;
    room.gone(&next).await;
    assert_eq!(metrics.waiting.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_39_a_namespace_that_is_being_terminated_is_no_error() {
    const MANY: usize = 40;
    let room = Room::new().await;
    let relay = plane().relay().unwrap();
    let metrics = collecting(&room, &relay).await;
    let deadline = room.deadline(2);
    // One that something else holds.
    let mut held = json!({"metadata": room.stamped("v1", "ConfigMap", "result-0", deadline)});
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    room.config_maps().create(&PostParams::default(), &serde_json::from_value(held).unwrap()).await.unwrap();
    for number in 1..MANY {
        room.config_map(&format!("result-{number}"), deadline).await;
    }
    let namespaces: Api<Namespace> = Api::all(room.connection.client.clone());
    let uid = namespaces.get(&room.namespace).await.unwrap().metadata.uid.unwrap();
    namespaces.delete(&room.namespace, &DeleteParams::default()).await.unwrap();
    // Whoever is quicker deletes; all but the held one go.
    becomes(0, || metrics.waiting.get()).await;
    assert_eq!(troubles(&metrics), 0);
    let free = json!({"metadata": {"finalizers": null}});
    room.config_maps().patch("result-0", &PatchParams::default(), &Patch::Merge(free)).await.unwrap();
    let gone = await_condition(namespaces, &room.namespace, conditions::is_deleted(&uid));
    tokio::time::timeout(Duration::from_secs(60), gone).await.expect("the namespace goes").unwrap();
    assert_eq!(troubles(&metrics), 0);
    assert_eq!(metrics.waiting.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn deadlines_at_both_ends_of_time_are_deadlines_and_hold_nothing_up() {
    let room = Room::new().await;
    let metrics = room.collect();
    let last = room.config_map("last", Timestamp::MAX).await;
    let first = room.config_map("first", Timestamp::UNIX_EPOCH).await;
    room.gone(&first).await;
    becomes(1, || metrics.waiting.get()).await;
    let due = room.config_map("due", room.deadline(1)).await;
    room.gone(&due).await;
    assert!(room.there(&last).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_finalizer_holds_is_deleted_once_and_not_again() {
    let room = Room::new().await;
    let metrics = room.collect();
    let mut held = json!({"metadata": room.stamped("v1", "ConfigMap", "held", room.now())});
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    let held = room.config_maps().create(&PostParams::default(), &serde_json::from_value(held).unwrap()).await.unwrap();
    becomes(1, || counted(&metrics, &Outcome::Deleted)).await;
    // Changed while it is held.
    let label = json!({"metadata": {"labels": {"app": "held"}}});
    room.config_maps().patch("held", &PatchParams::default(), &Patch::Merge(label)).await.unwrap();
    let due = room.config_map("due", room.deadline(1)).await;
    room.gone(&due).await;
    becomes(2, || counted(&metrics, &Outcome::Deleted)).await;
    assert_eq!((counted(&metrics, &Outcome::Changed), troubles(&metrics), metrics.waiting.get()), (0, 0, 0));
    let free = json!({"metadata": {"finalizers": null}});
    room.config_maps().patch("held", &PatchParams::default(), &Patch::Merge(free)).await.unwrap();
    room.gone(&held).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_34_a_collector_that_has_slept_deletes_nothing_that_changed_meanwhile() {
    let room = Room::new().await;
    let relay = plane().relay().unwrap();
    let sleeper = collecting(&room, &relay).await;
    let renewed = room.config_map("renewed", room.deadline(2)).await;
    let first = room.config_map("namesake", room.deadline(2)).await;
    becomes(2, || sleeper.waiting.get()).await;
    relay.freeze_watches();
    let label = json!({"metadata": {"labels": {"fledged.io/expires-at": lifetime::label(room.deadline(3_600))}}});
    room.config_maps().patch("renewed", &PatchParams::default(), &Patch::Merge(label)).await.unwrap();
    room.config_maps().delete("namesake", &DeleteParams::default()).await.unwrap();
    let second = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "namesake"}});
    let second: ConfigMap = serde_json::from_value(second).unwrap();
    let second = room.config_maps().create(&PostParams::default(), &second).await.unwrap();
    assert_ne!(first.metadata.uid, second.metadata.uid);
    // It acts on what it knew, and is told that this is no longer so.
    becomes(2, || counted(&sleeper, &Outcome::Changed).min(2)).await;
    assert!(room.there(&renewed).await && room.there(&second).await);
    assert_eq!(counted(&sleeper, &Outcome::Deleted), 0);
    assert_eq!(troubles(&sleeper), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_no_protobuf_is_asked_in_json() {
    let room = Room::new().await;
    let relay = plane().relay().unwrap();
    let metrics = collecting(&room, &relay).await;
    let protobuf = [format!("DELETE /api/v1/namespaces/{}/configmaps/", room.namespace), "k8s\0".to_owned()];
    let protobuf = protobuf.each_ref().map(String::as_str);
    relay.inject(&protobuf, Fault::Answer(415));
    let object = room.config_map("result", room.deadline(1)).await;
    room.gone(&object).await;
    becomes(1, || counted(&metrics, &Outcome::Deleted)).await;
    assert_eq!((relay.hits(&protobuf), troubles(&metrics)), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_that_fails_is_tried_again_and_nothing_is_lost() {
    for fault in [Fault::Answer(429), Fault::Answer(500), Fault::Answer(503), Fault::Cut] {
        let room = Room::new().await;
        let relay = plane().relay().unwrap();
        let metrics = collecting(&room, &relay).await;
        let path = format!("DELETE /api/v1/namespaces/{}/configmaps/", room.namespace);
        relay.inject(&[&path], fault);
        let object = room.config_map("result", room.deadline(1)).await;
        let hits = || relay.hits(&[&path]);
        becomes(true, || hits() > 0).await;
        assert_eq!(counted(&metrics, &Outcome::Deleted), 0, "{fault:?}");
        relay.heal();
        room.gone(&object).await;
    }
}
