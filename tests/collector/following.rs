//! Kinds and rights that come and go while the collector runs, and that it asks for nothing while they do not.

use std::time::Instant;

use controlplane::ControlPlane;
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::{ConfigMap, ObjectReference};
use kube::Api;
use kube::api::{DynamicObject, PostParams};
use kube::core::GroupVersionKind;
use kube::core::discovery::ApiResource;
use kube::runtime::wait::{await_condition, conditions};
use retinue::cluster::client::Connection;
use retinue::collector::reap::Outcome;
use retinue::collector::{self, Config, Election, Metrics};
use serde_json::{Value, json};

use super::{Duration, Room, becomes, connection_with, counted, plane};

/// How long something may take that is to be noticed promptly: a second as a rule, more where compilers run beside
/// the tests. Looking by the clock took up to a minute.
const PROMPTLY: Duration = Duration::from_secs(10);

const RBAC: &str = "rbac.authorization.k8s.io";

pub(super) fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": resources, "verbs": verbs})
}

/// What tells of kinds and rights, and Events.
fn watching() -> Vec<Value> {
    let follow = ["list", "watch"];
    vec![
        rule("apiextensions.k8s.io", &["customresourcedefinitions"], &follow),
        rule("apiregistration.k8s.io", &["apiservices"], &follow),
        rule(RBAC, &["clusterroles", "clusterrolebindings", "roles", "rolebindings"], &follow),
        rule("events.k8s.io", &["events"], &["create", "patch"]),
    ]
}

fn collecting(group: &str, resource: &str) -> Value {
    rule(group, &[resource], &["list", "watch", "delete"])
}

/// Grants `rules` to a user, in one namespace or everywhere; what it was granted before under `role` is gone.
pub(super) fn grant(plane: &ControlPlane, namespace: Option<&str>, role: &str, user: &str, rules: &[Value]) {
    let prefix = if namespace.is_some() { "" } else { "Cluster" };
    let (api, metadata) = (format!("{RBAC}/v1"), json!({"name": role, "namespace": namespace}));
    let objects = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": api, "kind": format!("{prefix}Role"), "metadata": metadata, "rules": rules},
        {"apiVersion": api, "kind": format!("{prefix}RoleBinding"), "metadata": metadata,
         "roleRef": {"apiGroup": RBAC, "kind": format!("{prefix}Role"), "name": role},
         "subjects": [{"apiGroup": RBAC, "kind": "User", "name": user}]},
    ]});
    plane.apply(&objects.to_string()).unwrap();
}

impl Room {
    /// A collector's own pod, as it would be named.
    pub(super) fn pod(&self, user: &str) -> ObjectReference {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "namespace": self.namespace, "name": user, "uid": user});
        serde_json::from_value(pod).unwrap()
    }

    /// A collector in this room that is `user`; it follows all that it may.
    async fn collect_as(&self, plane: &ControlPlane, user: &str) -> Metrics {
        self.collect_in_election(plane, user, None).await
    }

    async fn collect_in_election(&self, plane: &ControlPlane, user: &str, election: Option<Election>) -> Metrics {
        let metrics = Metrics::default();
        let (namespace, pod) = (Some(self.namespace.clone()), Some(self.pod(user)));
        let config = Config { namespace, pod, election, ..Config::default() };
        let kubeconfig = plane.kubeconfig_of_user(user, None).unwrap();
        let Connection { client, clock } = connection_with(kubeconfig).await;
        let collecting = collector::run(client, clock, config, metrics.clone(), self.shutdown.clone());
        tokio::spawn(async move { collecting.await.unwrap() });
        let following = tokio::time::timeout(Duration::from_secs(30), metrics.following.notified()).await;
        assert!(following.is_ok(), "{user} follows nothing");
        metrics
    }

    async fn past_due(&self, name: &str) -> ConfigMap {
        self.config_map(name, self.now() - SignedDuration::from_secs(60)).await
    }

    /// Waits until the object is gone, which must be soon.
    async fn gone_promptly(&self, object: &ConfigMap) {
        let begun = Instant::now();
        self.gone(object).await;
        assert!(begun.elapsed() < PROMPTLY, "{:?}", begun.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dependents_of_a_kind_made_meanwhile_are_collected() {
    let room = Room::new().await;
    let group = "following.example.com";
    let rules = [watching(), vec![collecting("", "configmaps"), collecting(group, "widgets")]].concat();
    grant(plane(), None, "kinds", "kinds", &rules);
    let metrics = room.collect_as(plane(), "kinds").await;
    assert_eq!(metrics.kinds.get(), 1, "configmaps");
    assert_eq!(metrics.unwatched.get(), 0);

    let crd = |versions: Value| {
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("widgets.{group}")},
            "spec": {"group": group, "scope": "Namespaced", "versions": versions,
                     "names": {"kind": "Widget", "plural": "widgets", "singular": "widget"}},
        })
    };
    let version = |name: &str, served: bool, storage: bool| {
        json!({"name": name, "served": served, "storage": storage, "schema": {"openAPIV3Schema": {
            "type": "object", "x-kubernetes-preserve-unknown-fields": true}}})
    };
    // The first version goes once there is a second.
    for (name, versions) in [
        ("v1", json!([version("v1", true, true)])),
        ("v2", json!([version("v1", false, false), version("v2", true, true)])),
    ] {
        plane().apply(&crd(versions).to_string()).unwrap();
        let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, name, "Widget"), "widgets");
        let widgets: Api<DynamicObject> =
            Api::namespaced_with(room.connection.client.clone(), &room.namespace, &resource);
        let api_version = format!("{group}/{name}");
        let past = room.now() - SignedDuration::from_secs(60);
        let widget = json!({"apiVersion": api_version, "kind": "Widget", "metadata": room.stamped(&api_version, "Widget", name, past)});
        let widget: DynamicObject = serde_json::from_value(widget).unwrap();
        // The API server serves a kind when it has heard of it itself.
        let begun = Instant::now();
        let made = loop {
            match widgets.create(&PostParams::default(), &widget).await {
                Ok(made) => break made,
                Err(error) => assert!(begun.elapsed() < Duration::from_secs(30), "{error}"),
            }
        };
        let begun = Instant::now();
        let uid = made.metadata.uid.unwrap();
        // A watch of a kind that has just been made or changed may be answered 429 (its storage is initialised) for a
        // moment.
        let deleted = async {
            while let Err(error) = await_condition(widgets.clone(), name, conditions::is_deleted(&uid)).await {
                eprintln!("watching again: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PROMPTLY, deleted).await.expect("it is deleted");
        eprintln!("a dependent of a new kind was collected after {:?}", begun.elapsed());
        becomes(2, || metrics.kinds.get()).await;
    }
    plane().kubectl(&["delete", "crd", &format!("widgets.{group}")]).unwrap().ok().unwrap();
    becomes(1, || metrics.kinds.get()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_withdrawn_ends_following_and_one_given_back_begins_it() {
    let room = Room::new().await;
    let always = [watching(), vec![collecting("coordination.k8s.io", "leases")]].concat();
    // By a ClusterRole and by a Role.
    for (user, namespace) in [("cluster", None), ("namespace", Some(room.namespace.as_str()))] {
        grant(plane(), None, &format!("always-{user}"), user, &always);
        let may = |verbs: &[&str]| {
            grant(plane(), namespace, &format!("sometimes-{user}"), user, &[rule("", &["configmaps"], verbs)]);
        };
        may(&["list", "watch", "delete"]);
        let metrics = room.collect_as(plane(), user).await;
        assert_eq!((metrics.kinds.get(), metrics.kinds_lacking.get()), (2, 0));

        may(&["list", "watch"]);
        becomes((1, 1), || (metrics.kinds.get(), metrics.kinds_lacking.get())).await;
        let told = room.event(|event| event.involved_object == room.pod(user)).await;
        assert_eq!(told.reason.as_deref(), Some("RightsMissing"));
        let message = told.message.unwrap();
        assert!(message.contains("configmaps: no right to delete"), "{message}");
        assert!(message.contains("rbac.fledged.io/collector=true"), "{message}");
        let object = room.past_due(user).await;
        may(&["list", "watch", "delete"]);
        room.gone_promptly(&object).await;
        becomes((2, 0), || (metrics.kinds.get(), metrics.kinds_lacking.get())).await;
        assert_eq!(counted(&metrics, &Outcome::Forbidden(String::new())), 0, "nothing was tried meanwhile");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_may_watch_no_roles_notices_by_what_happens_to_it() {
    let room = Room::new().await;
    let leases = collecting("coordination.k8s.io", "leases");
    grant(plane(), None, "blind", "blind", &[leases.clone(), collecting("", "configmaps")]);
    let metrics = room.collect_as(plane(), "blind").await;
    becomes(6, || metrics.unwatched.get()).await;
    grant(plane(), None, "blind", "blind", &[leases, rule("", &["configmaps"], &["list", "watch"])]);
    let object = room.past_due("kept").await;
    becomes((1, 1), || (metrics.kinds.get(), metrics.kinds_lacking.get())).await;
    assert!(room.there(&object).await);
}

/// Asking by the clock more often than every few seconds fails here; that nothing is due by the clock at all is a test
/// of `collector::again`.
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_collector_asks_for_nothing() {
    let plane = controlplane::Options::api_only().start().unwrap();
    let room = Room::of(&plane).await;
    let lease = rule("coordination.k8s.io", &["leases"], &["create", "get", "list", "update", "watch"]);
    grant(&plane, None, "idle", "idle", &[watching(), vec![collecting("", "configmaps"), lease]].concat());
    let election =
        Election { namespace: room.namespace.clone(), identity: "idle".into(), duration: Duration::from_secs(300) };
    let metrics = room.collect_in_election(&plane, "idle", Some(election)).await;
    becomes(0, || metrics.unsettled.get()).await;
    let looks = metrics.looks.get();

    // Two markers, an admin's, and between them the time until a dependent is due.
    let mark = |name: &str| {
        plane.request("GET", &format!("/api/v1/namespaces/{name}"), None).unwrap();
        plane.audit_event(|event| event["objectRef"]["name"] == name).unwrap();
    };
    mark("quiet-begins");
    let object = room.config_map("due", room.deadline(4)).await;
    room.gone(&object).await;
    becomes(1, || counted(&metrics, &Outcome::Deleted)).await;
    mark("quiet-ends");

    let events = plane.audit_events().unwrap();
    let marked = |name: &str| events.iter().position(|event| event["objectRef"]["name"] == name).unwrap();
    let asked = events[marked("quiet-begins")..marked("quiet-ends")].iter().filter_map(|event| {
        let (verb, resource) =
            (event["verb"].as_str()?, event["objectRef"]["resource"].as_str().unwrap_or("discovery"));
        let wanted = event["user"]["username"] == "idle" && verb != "watch";
        wanted.then(|| format!("{verb} {resource}"))
    });
    // The Event is written when it is written.
    let asked: Vec<String> = asked.filter(|asked| asked != "create events").collect();
    assert_eq!(asked, ["create leases", "delete configmaps"]);
    assert_eq!(metrics.looks.get(), looks);
}
