//! The collector against a real API server.
#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]

#[path = "collector/chaos.rs"]
mod chaos;
#[path = "collector/disturbed.rs"]
mod disturbed;
#[path = "collector/ends.rs"]
mod ends;
#[path = "collector/essential.rs"]
mod essential;
#[path = "collector/following.rs"]
mod following;
#[path = "collector/foreign.rs"]
mod foreign;
#[path = "collector/guard.rs"]
mod guard;
#[path = "collector/leader.rs"]
mod leader;
#[path = "collector/notices.rs"]
mod notices;

use std::sync::Arc;
use std::time::Duration;

use controlplane::ControlPlane;
use futures::TryStreamExt;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Event};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::wait::{await_condition, conditions};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use policies::garbage::Why;
use policies::lifetime;
use retinue::cluster::client::{Connection, Source};
use retinue::collector::discover::{self, Kind};
use retinue::collector::queue::Tracked;
use retinue::collector::reap::{self, Outcome};
use retinue::collector::{self, Config, Metrics, collect::CollectorError};
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

fn plane() -> &'static ControlPlane {
    ControlPlane::shared().unwrap()
}

async fn connection_to(plane: &ControlPlane) -> Connection {
    connection_with(plane.kubeconfig()).await
}

async fn connection_with(kubeconfig: std::path::PathBuf) -> Connection {
    let source = Source::Kubeconfig { path: Some(kubeconfig), context: None };
    Connection::open(&source).await.unwrap()
}

/// A namespace, a connection, and collectors in it that run until the room is left.
struct Room {
    namespace: String,
    connection: Connection,
    shutdown: CancellationToken,
    _guard: DropGuard,
}

impl Room {
    async fn new() -> Self {
        Self::of(plane()).await
    }

    async fn of(plane: &ControlPlane) -> Self {
        let connection = connection_to(plane).await;
        connection.client.apiserver_version().await.unwrap();
        let shutdown = CancellationToken::new();
        let namespace = plane.namespace().unwrap();
        Self { namespace, connection, _guard: shutdown.clone().drop_guard(), shutdown }
    }

    fn collect(&self) -> Metrics {
        let metrics = Metrics::default();
        let config = Config { namespace: Some(self.namespace.clone()), ..Config::default() };
        let Connection { client, clock } = self.connection.clone();
        let collecting = collector::run(client, clock, config, metrics.clone(), self.shutdown.clone());
        tokio::spawn(async move { collecting.await.unwrap() });
        metrics
    }

    /// A token of an account of this room that may do everything.
    fn admin_token(&self) -> String {
        plane().service_account(&self.namespace, "collector").unwrap();
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": format!("{}-collector", self.namespace)},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "collector", "namespace": self.namespace}],
        });
        plane().apply(&binding.to_string()).unwrap();
        plane().token(&self.namespace, "collector", None).unwrap()
    }

    fn now(&self) -> Timestamp {
        self.connection.clock.now().unwrap()
    }

    /// A deadline so many seconds from now, or a bit more: labels hold whole seconds.
    fn deadline(&self, seconds: i64) -> Timestamp {
        Timestamp::from_second(self.now().as_second() + 1 + seconds).unwrap()
    }

    fn config_maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.connection.client.clone(), &self.namespace)
    }

    async fn config_map(&self, name: &str, deadline: Timestamp) -> ConfigMap {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": self.stamped("v1", "ConfigMap", name, deadline)});
        self.config_maps().create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap()
    }

    /// Metadata with a valid stamp.
    fn stamped(&self, api_version: &str, kind: &str, name: &str, deadline: Timestamp) -> Value {
        stamped(&self.namespace, api_version, kind, name, deadline)
    }

    /// Waits until the object is gone, and says when that was.
    async fn gone(&self, object: &ConfigMap) -> Timestamp {
        let deleted = conditions::is_deleted(object.metadata.uid.as_deref().unwrap());
        let waiting = await_condition(self.config_maps(), object.metadata.name.as_deref().unwrap(), deleted);
        tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("it is deleted").unwrap();
        self.now()
    }

    /// The first Event in the room that `wanted` accepts, waited for.
    async fn event(&self, wanted: impl Fn(&Event) -> bool) -> Event {
        let events: Api<Event> = Api::namespaced(self.connection.client.clone(), &self.namespace);
        let mut told = std::pin::pin!(watcher(events, watcher::Config::default()).applied_objects());
        let found = async {
            loop {
                let event = told.try_next().await.unwrap().unwrap();
                if wanted(&event) {
                    return event;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(10), found).await.expect("an Event")
    }

    /// Whether the object, with this very uid, is there and not on its way out.
    async fn there(&self, object: &ConfigMap) -> bool {
        let found = self.config_maps().get_opt(object.metadata.name.as_deref().unwrap()).await.unwrap();
        found.is_some_and(|found| {
            found.metadata.uid == object.metadata.uid && found.metadata.deletion_timestamp.is_none()
        })
    }
}

/// Metadata with a valid stamp.
fn stamped(namespace: &str, api_version: &str, kind: &str, name: &str, deadline: Timestamp) -> Value {
    let record = json!({
        "object": {"apiVersion": api_version, "kind": kind, "namespace": namespace, "name": name},
        "account": {"namespace": namespace, "name": "eod"},
        "pod": {"name": "eod-1", "uid": "p"},
        "workload": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "eod", "uid": "d"},
        "template": {"configMap": {"namespace": namespace, "name": "post-trade"}, "key": "job.yaml", "uid": "t",
                     "version": "1", "hash": "h"},
    });
    json!({
        "name": name, "namespace": namespace,
        "labels": {"fledged.io/master": "eod", "fledged.io/expires-at": lifetime::label(deadline)},
        "annotations": {"fledged.io/admission": record.to_string()},
    })
}

fn within_a_second(deadline: Timestamp, gone: Timestamp) {
    let late = gone.duration_since(deadline);
    assert!(late >= SignedDuration::ZERO, "deleted {late:?} after its deadline, which is too early");
    assert!(late <= SignedDuration::from_secs(1), "deleted {late:?} after its deadline");
}

/// Waits until `count` gives `expected`: the API server tells of a deletion before its answer has reached the collector.
/// Counted in memory, where no watch tells.
async fn becomes<T: PartialEq + std::fmt::Debug>(expected: T, count: impl Fn() -> T) {
    let reached = async {
        while count() != expected {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let reached = tokio::time::timeout(Duration::from_secs(10), reached).await;
    assert!(reached.is_ok(), "{:?} instead of {expected:?}", count());
}

fn counted(metrics: &Metrics, outcome: &Outcome) -> u64 {
    let mut registry = prometheus_client::registry::Registry::default();
    metrics.register(&mut registry);
    let text = webhooks::metrics::text(&registry).unwrap();
    let line = format!("retinue_collector_deletions_total{{outcome=\"{}\"}} ", outcome.as_str());
    text.lines().find_map(|found| found.strip_prefix(&line)).map_or(0, |count| count.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dependent_is_gone_within_a_second_of_its_deadline_and_an_event_says_so() {
    let room = Room::new().await;
    let metrics = room.collect();
    let deadline = room.deadline(2);
    let object = room.config_map("results", deadline).await;
    within_a_second(deadline, room.gone(&object).await);
    becomes(1, || counted(&metrics, &Outcome::Deleted)).await;

    let uid = object.metadata.uid.unwrap();
    let event = room.event(|event| event.involved_object.uid.as_ref() == Some(&uid)).await;
    assert_eq!(event.reason.as_deref(), Some("DependentExpired"));
    assert!(event.message.unwrap().contains(&deadline.to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_43_a_job_goes_with_its_pods() {
    let room = Room::new().await;
    room.collect();
    let deadline = room.deadline(3);
    let jobs: Api<Job> = Api::namespaced(room.connection.client.clone(), &room.namespace);
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": room.stamped("batch/v1", "Job", "post-trade", deadline),
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "none"}]}}},
    });
    let job = jobs.create(&PostParams::default(), &serde_json::from_value(job).unwrap()).await.unwrap();
    let deleted = conditions::is_deleted(job.metadata.uid.as_deref().unwrap());
    tokio::time::timeout(Duration::from_secs(30), await_condition(jobs, "post-trade", deleted)).await.unwrap().unwrap();
    within_a_second(deadline, room.now());

    let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(room.connection.client.clone(), &room.namespace);
    for pod in pods.list(&ListParams::default()).await.unwrap() {
        let (uid, name) = (pod.uid().unwrap(), pod.name_any());
        let deleted = conditions::is_deleted(&uid);
        let waiting = await_condition(pods.clone(), &name, deleted);
        tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("the pod goes with its Job").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_renewed_stays() {
    let room = Room::new().await;
    room.collect();
    let renewed = room.config_map("renewed", room.deadline(2)).await;
    let label = json!({"metadata": {"labels": {"fledged.io/expires-at": lifetime::label(room.deadline(3_600))}}});
    room.config_maps().patch("renewed", &PatchParams::default(), &Patch::Merge(label)).await.unwrap();
    // What is due after it is deleted, so its turn has been and gone.
    let later = room.config_map("later", room.deadline(4)).await;
    room.gone(&later).await;
    assert!(room.there(&renewed).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_35_a_label_without_a_valid_stamp_deletes_nothing() {
    let room = Room::new().await;
    let metrics = room.collect();
    let past = room.now() - SignedDuration::from_secs(60);
    let bare = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
        "name": "bare", "labels": {"fledged.io/master": "eod", "fledged.io/expires-at": lifetime::label(past)}}});
    let mut copied =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": room.stamped("v1", "ConfigMap", "original", past)});
    copied["metadata"]["name"] = "copied".into();
    let mut unreadable = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": room.stamped("v1", "ConfigMap", "unreadable", past)});
    unreadable["metadata"]["labels"]["fledged.io/expires-at"] = "yesterday".into();
    let mut left = Vec::new();
    for object in [bare, copied, unreadable] {
        let object = serde_json::from_value(object).unwrap();
        left.push(room.config_maps().create(&PostParams::default(), &object).await.unwrap());
    }
    let due = room.config_map("due", past).await;
    room.gone(&due).await;
    for object in left {
        assert!(room.there(&object).await, "{:?}", object.metadata.name);
    }
    assert_eq!(metrics.ignored.get(), 3);
    becomes(1, || counted(&metrics, &Outcome::Deleted)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_34_a_recreated_namesake_is_never_hit() {
    let room = Room::new().await;
    room.collect();
    let first = room.config_map("report", room.deadline(2)).await;
    room.config_maps().delete("report", &DeleteParams::default()).await.unwrap();
    let plain = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "report"}});
    let second = serde_json::from_value(plain).unwrap();
    let second = room.config_maps().create(&PostParams::default(), &second).await.unwrap();
    let later = room.config_map("later", room.deadline(4)).await;
    room.gone(&later).await;
    assert!(room.there(&second).await);

    // The same for a collector that never heard of it, and for one that missed a renewal.
    let client = &room.connection.client;
    let kind = Arc::new(config_map_kind(&room).await);
    let tracked = |uid: &str, version: &str| Tracked {
        uid: uid.into(),
        kind: Arc::clone(&kind),
        namespace: room.namespace.as_str().into(),
        name: "report".into(),
        version: version.into(),
        deadline: room.now(),
        why: Why::Deadline,
    };
    let (old, new) = (first.metadata, second.metadata.clone());
    let (old_uid, old_version) = (old.uid.unwrap(), old.resource_version.unwrap());
    let (uid, version) = (new.uid.unwrap(), new.resource_version.unwrap());
    assert_eq!(reap::delete(client, &tracked(&old_uid, &old_version)).await, Outcome::Changed);
    assert_eq!(reap::delete(client, &tracked(&old_uid, &version)).await, Outcome::Changed);
    assert_eq!(reap::delete(client, &tracked(&uid, &old_version)).await, Outcome::Changed);
    assert!(room.there(&second).await);
    assert_eq!(reap::delete(client, &tracked(&uid, &version)).await, Outcome::Deleted);
    assert_eq!(reap::delete(client, &tracked(&uid, &version)).await, Outcome::AlreadyGone);
}

async fn config_map_kind(room: &Room) -> Kind {
    let rights = discover::rights(&room.connection.client, Some(&room.namespace)).await.unwrap();
    rights.may.iter().find(|kind| kind.gvk.kind == "ConfigMap").unwrap().as_ref().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_34_two_collectors_at_once_delete_each_object_once() {
    const MANY: u64 = 30;
    let room = Room::new().await;
    let collectors = [room.collect(), room.collect()];
    let deadline = room.deadline(3);
    let mut objects = Vec::new();
    for number in 0..MANY {
        objects.push(room.config_map(&format!("result-{number}"), deadline).await);
    }
    let bystander = room.config_map("bystander", room.deadline(3_600)).await;
    for object in &objects {
        room.gone(object).await;
    }
    assert!(room.there(&bystander).await);
    let all = |outcome: Outcome| collectors.iter().map(|metrics| counted(metrics, &outcome)).sum::<u64>();
    becomes(MANY, || all(Outcome::Deleted)).await;
    assert_eq!(all(Outcome::Failed(String::new())), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_expired_while_no_collector_ran_is_deleted_when_one_starts() {
    let room = Room::new().await;
    let expired = room.config_map("expired", room.now() - SignedDuration::from_secs(3_600)).await;
    let endless = room.config_map("endless", room.deadline(3_600)).await;
    let metrics = room.collect();
    room.gone(&expired).await;
    assert!(room.there(&endless).await);
    assert_eq!(metrics.interruptions.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_api_server_loses_nothing() {
    let plane = controlplane::Options::api_only().start().unwrap();
    let room = Room::of(&plane).await;
    let metrics = room.collect();
    // Followed for sure, once something was deleted.
    let first = room.config_map("first", room.now()).await;
    room.gone(&first).await;
    // Time enough to be heard of before the outage, which an earlier deadline would not leave.
    let due = room.config_map("due", room.deadline(5)).await;
    becomes(1, || metrics.waiting.get()).await;
    plane.stop_apiserver();
    // The deadline passes, and the DELETE finds nobody.
    becomes(true, || counted(&metrics, &Outcome::Failed(String::new())) > 0).await;
    plane.start_apiserver().unwrap();
    room.gone(&due).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_without_rights_says_so_and_ends() {
    let stranger = plane().kubeconfig_of_user("stranger", None).unwrap();
    let Connection { client, clock } = connection_with(stranger).await;
    let config = Config::default();
    let ended = collector::run(client, clock, config, Metrics::default(), CancellationToken::new()).await;
    assert!(matches!(ended, Err(CollectorError::Nothing)), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_may_be_listed_but_not_deleted_is_reported() {
    let plane = plane();
    plane
        .apply(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: half-collector}\nrules:\n\
             - {apiGroups: [''], resources: [configmaps], verbs: [list, watch, delete]}\n\
             - {apiGroups: [batch], resources: [jobs], verbs: [list, watch]}\n---\n\
             apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: half-collector}\n\
             roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: half-collector}\n\
             subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: half}]\n",
        )
        .unwrap();
    let client = connection_with(plane.kubeconfig_of_user("half", None).unwrap()).await.client;
    let rights = discover::rights(&client, None).await.unwrap();
    assert_eq!(rights.may.iter().map(|kind| kind.name()).collect::<Vec<_>>(), ["configmaps"]);
    assert_eq!(rights.lacks.into_iter().collect::<Vec<_>>(), ["jobs.batch: no right to delete"]);
}
