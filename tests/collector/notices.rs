//! Notice before deletion: one Event for each deadline, whoever tells it.

use k8s_openapi::api::core::v1::{ConfigMap, Event};
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use policies::lifetime;
use retinue::collector::Metrics;
use serde_json::json;

use super::leader::LASTS;
use super::{Room, Timestamp, becomes};

impl Room {
    /// A dependent whose template asks for notice so long before its deadline.
    async fn noticed(&self, name: &str, deadline: Timestamp, before: &str) -> ConfigMap {
        let mut metadata = self.stamped("v1", "ConfigMap", name, deadline);
        let annotation = &mut metadata["annotations"]["fledged.io/admission"];
        let mut record: serde_json::Value = serde_json::from_str(annotation.as_str().unwrap()).unwrap();
        record["notifyBefore"] = json!(before);
        *annotation = json!(record.to_string());
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata});
        self.config_maps().create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap()
    }

    /// The notices of an object.
    async fn notices(&self, object: &ConfigMap) -> Vec<Event> {
        let events: Api<Event> = Api::namespaced(self.connection.client.clone(), &self.namespace);
        let all = events.list(&ListParams::default()).await.unwrap().items;
        all.into_iter().filter(|event| is_notice(event, object)).collect()
    }

    async fn a_notice(&self, object: &ConfigMap, deadline: Timestamp) -> Event {
        let at = deadline.to_string();
        let says = |event: &Event| event.message.as_ref().is_some_and(|note| note.contains(&at));
        self.event(|event| is_notice(event, object) && says(event)).await
    }

    async fn label(&self, object: &ConfigMap, key: &str, value: &str) {
        let patch = json!({"metadata": {"labels": {key: value}}});
        let name = object.metadata.name.as_deref().unwrap();
        self.config_maps().patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    }
}

fn is_notice(event: &Event, object: &ConfigMap) -> bool {
    event.reason.as_deref() == Some("DeadlineNear") && event.involved_object.uid == object.metadata.uid
}

fn told(metrics: &Metrics) -> u64 {
    metrics.notices.get()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_is_told_of_in_time_then_kept() {
    let room = Room::new().await;
    let metrics = room.collect();
    let deadline = room.deadline(5);
    let object = room.noticed("results", deadline, "3s").await;
    let silent = room.config_map("silent", deadline).await;
    let notice = room.a_notice(&object, deadline).await;
    let before = deadline.duration_since(room.now()).as_secs_f64();
    assert!((0.5..=3.0).contains(&before), "told {before} s before the deadline");
    let note = notice.message.unwrap();
    assert!(note.contains("fledged.io/expires-at"), "{note}");
    assert!(room.there(&object).await, "told before it goes");
    room.gone(&object).await;
    room.gone(&silent).await;
    assert_eq!(room.notices(&silent).await, [], "nobody asked for one");
    assert_eq!((room.notices(&object).await.len(), told(&metrics)), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_deadline_is_told_of_once_whatever_else_changes_and_whoever_looks() {
    let room = Room::new().await;
    let first = room.collect();
    let deadline = room.deadline(600);
    let object = room.noticed("results", deadline, "1h").await;
    // Nearer than an hour already: at once.
    room.a_notice(&object, deadline).await;
    becomes(1, || told(&first)).await;
    // Another change of the object is none of its deadline; a renewal is, and by then the other has been seen.
    room.label(&object, "mine", "x").await;
    let renewed = room.deadline(1_200);
    room.label(&object, "fledged.io/expires-at", &lifetime::label(renewed)).await;
    room.a_notice(&object, renewed).await;
    becomes(2, || told(&first)).await;
    assert_eq!(room.notices(&object).await.len(), 2);
    // A second collector, or the same one started again, tells it too, and the API server knows it already.
    let second = room.collect();
    becomes(1, || told(&second)).await;
    let last = room.noticed("last", renewed, "1h").await;
    becomes((3, 2), || (told(&first), told(&second))).await;
    // Each writes its Events in their order: once the last of both is there, so is what they had to say before.
    let ends = [room.noticed("end-1", renewed, "1h").await, room.noticed("end-2", renewed, "1h").await];
    becomes((5, 4), || (told(&first), told(&second))).await;
    for end in &ends {
        room.a_notice(end, renewed).await;
    }
    assert_eq!((room.notices(&object).await.len(), room.notices(&last).await.len()), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_collectors_the_one_that_deletes_tells_and_one_that_is_started_anew_repeats_nothing() {
    let room = Room::new().await;
    let (one, stop) = room.elect(room.connection.clone(), room.election("one", LASTS)).await;
    let deadline = room.deadline(600);
    let object = room.noticed("results", deadline, "1h").await;
    room.a_notice(&object, deadline).await;
    becomes(1, || told(&one)).await;
    // Another one holds back as long as the first may tell.
    let (two, _) = room.elect(room.connection.clone(), room.election("two", LASTS)).await;
    let second = room.noticed("second", deadline, "1h").await;
    room.a_notice(&second, deadline).await;
    becomes((2, 0), || (told(&one), told(&two))).await;
    // The first ends, as at an upgrade: the other finds both told, and tells what is new.
    stop.cancel();
    let third = room.noticed("third", deadline, "1h").await;
    room.a_notice(&third, deadline).await;
    becomes(3, || told(&two)).await;
    for object in [&object, &second, &third] {
        assert_eq!(room.notices(object).await.len(), 1);
    }
}
