//! Essential containers against the real API server and its controllers. There is no kubelet here: what a node would say of
//! its pods, the tests write into their status.

use futures::TryStreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::runtime::wait::{await_condition, conditions};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use policies::keys::ESSENTIAL_COMPLETED;
use retinue::collector::reap::Outcome;
use retinue::collector::{self, Config, Metrics, Wanted};
use serde_json::{Value, json};

use super::following::{grant, rule};
use super::{Duration, Room, becomes, connection_with, counted, plane};

/// On no node: nobody but the test writes its status.
fn spec() -> Value {
    json!({
        "schedulerName": "nobody",
        "containers": [{"name": "main", "image": "none"}, {"name": "side", "image": "none"}],
        "initContainers": [
            {"name": "first", "image": "none"}, {"name": "proxy", "image": "none", "restartPolicy": "Always"},
        ],
    })
}

fn ended(code: i32, reason: &str) -> Value {
    json!({"terminated": {"exitCode": code, "reason": reason, "finishedAt": "2026-11-20T15:00:00Z"}})
}

fn running() -> Value {
    json!({"running": {"startedAt": "2026-11-20T14:00:00Z"}})
}

/// A status of this phase, `main` in these states, `side` running.
fn status(phase: &str, state: &Value, last: &Value) -> Value {
    let container = |name: &str, state: &Value, last: &Value| {
        json!({"name": name, "image": "none", "imageID": "",
        "ready": false, "restartCount": 0, "state": state, "lastState": last})
    };
    json!({"status": {"phase": phase, "containerStatuses": [
        container("main", state, last), container("side", &running(), &json!({})),
    ]}})
}

fn completed() -> Value {
    status("Running", &ended(0, "Completed"), &json!({}))
}

impl Room {
    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.connection.client.clone(), &self.namespace)
    }

    async fn labelled(&self, name: &str, labels: Value) -> Pod {
        let pod = json!({"metadata": {"name": name, "labels": labels}, "spec": spec()});
        self.pods().create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap()
    }

    /// What a kubelet would say.
    async fn says(&self, pod: &Pod, status: &Value) {
        self.pods().patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    }

    async fn ends(&self, pod: &Pod) {
        let (name, uid) = (pod.name_any(), pod.uid().unwrap());
        let waiting = await_condition(self.pods(), &name, conditions::is_deleted(&uid));
        let gone = tokio::time::timeout(Duration::from_secs(30), waiting).await;
        gone.unwrap_or_else(|_| panic!("{name} stays")).unwrap();
    }

    async fn stays(&self, pod: &Pod) {
        let found = self.pods().get(&pod.name_any()).await.unwrap();
        let there = found.uid() == pod.uid() && found.metadata.deletion_timestamp.is_none();
        assert!(there, "{}", pod.name_any());
    }

    /// The first pod with this label that is not the other.
    async fn pod_of(&self, selector: &str, other: Option<&str>) -> Pod {
        let pods = watcher(self.pods(), watcher::Config::default().labels(selector)).applied_objects();
        let mut pods = std::pin::pin!(pods);
        let found = async {
            loop {
                let pod = pods.try_next().await.unwrap().unwrap();
                if pod.uid().as_deref() != other {
                    return pod;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), found).await.expect("a pod")
    }

    fn collect_essentials(&self, essential: Wanted) -> Metrics {
        let metrics = Metrics::default();
        let config = Config { namespace: Some(self.namespace.clone()), essential, ..Config::default() };
        let connection = self.connection.clone();
        let collecting =
            collector::run(connection.client, connection.clock, config, metrics.clone(), self.shutdown.clone());
        tokio::spawn(async move { collecting.await.unwrap() });
        metrics
    }

    async fn events_of(&self, pod: &Pod, reason: &str) -> Vec<Event> {
        let events: Api<Event> = Api::namespaced(self.connection.client.clone(), &self.namespace);
        let fields = format!("involvedObject.uid={},reason={reason}", pod.uid().unwrap());
        events.list(&ListParams::default().fields(&fields)).await.unwrap().items
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_whose_essential_container_has_completed_is_deleted_and_no_other() {
    let room = Room::new().await;
    let (main, none) = (json!({"essential-containers": "main"}), json!({}));
    // Before the collector runs, and meanwhile.
    let mut metrics = None;
    let mut left = Vec::new();
    for round in ["missed", "seen"] {
        let mut gone = Vec::new();
        for (name, labels, status, ends) in [
            ("completed", &main, completed(), true),
            ("other-label", &json!({"essential-container": "main"}), completed(), true),
            ("several", &json!({"essential-containers": "side.main"}), completed(), true),
            ("either", &json!({"essential-containers": "side", "essential-container": "main"}), completed(), true),
            ("replaced", &main, status("Running", &running(), &ended(0, "Completed")), true),
            ("over", &main, status("Succeeded", &ended(0, "Completed"), &none), true),
            ("crashed", &main, status("Running", &ended(1, "Error"), &none), false),
            ("crashed-before", &main, status("Running", &running(), &ended(137, "OOMKilled")), false),
            ("not-this", &json!({"essential-containers": "side"}), completed(), false),
            ("unlabelled", &none, completed(), false),
        ] {
            let pod = room.labelled(&format!("{round}-{name}"), labels.clone()).await;
            room.says(&pod, &status).await;
            if ends { gone.push(pod) } else { left.push(pod) }
        }
        metrics.get_or_insert_with(|| room.collect());
        for pod in &gone {
            room.ends(pod).await;
        }
        let event = room.event(|event| event.involved_object.uid == gone[0].metadata.uid).await;
        assert_eq!(event.reason.as_deref(), Some("EssentialContainerCompleted"));
    }
    let metrics = metrics.unwrap();
    becomes(12, || counted(&metrics, &Outcome::Deleted)).await;
    for pod in &left {
        room.stays(pod).await;
    }
    // A label that comes late, and one that changes from one watch to the other.
    room.pods()
        .patch(&left[3].name_any(), &PatchParams::default(), &Patch::Merge(json!({"metadata": {"labels": main}})))
        .await
        .unwrap();
    let moved = json!({"metadata": {"labels": {"essential-containers": null, "essential-container": "main"}}});
    room.pods().patch(&left[2].name_any(), &PatchParams::default(), &Patch::Merge(moved)).await.unwrap();
    room.ends(&left[3]).await;
    room.ends(&left[2]).await;
    assert_eq!(metrics.essential_mistaken.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployments_pod_is_deleted_and_replaced() {
    let room = Room::new().await;
    room.collect();
    let deployments: Api<Deployment> = Api::namespaced(room.connection.client.clone(), &room.namespace);
    let labels = json!({"app": "web", "essential-containers": "main"});
    let deployment = json!({"metadata": {"name": "web"}, "spec": {"selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": labels}, "spec": spec()}}});
    deployments.create(&PostParams::default(), &serde_json::from_value(deployment).unwrap()).await.unwrap();
    let pod = room.pod_of("app=web", None).await;
    room.says(&pod, &completed()).await;
    room.ends(&pod).await;
    let next = room.pod_of("app=web", pod.uid().as_deref()).await;
    room.stays(&next).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jobs_pod_succeeds_and_its_job_completes_whatever_a_kubelet_writes_late() {
    let room = Room::new().await;
    let metrics = room.collect();
    let jobs: Api<Job> = Api::namespaced(room.connection.client.clone(), &room.namespace);
    for late in ["Running", "Failed"] {
        let mut template = spec();
        template["restartPolicy"] = "Never".into();
        let name = format!("work-{}", late.to_lowercase());
        let job = json!({"metadata": {"name": name}, "spec": {"backoffLimit": 3, "template": {
            "metadata": {"labels": {"essential-container": "main"}}, "spec": template}}});
        let job: Job = serde_json::from_value(job).unwrap();
        jobs.create(&PostParams::default(), &job).await.unwrap();
        let pod = room.pod_of(&format!("job-name={name}"), None).await;
        room.says(&pod, &completed()).await;
        let succeeded = |pod: Option<&Pod>| {
            pod.is_some_and(|pod| pod.status.as_ref().is_some_and(|it| it.phase.as_deref() == Some("Succeeded")))
        };
        let pod_name = pod.name_any();
        let waiting = await_condition(room.pods(), &pod_name, succeeded);
        tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("it succeeds").unwrap();
        // What a kubelet had on its way, or says of a sidecar that does not end well.
        room.says(&pod, &json!({"status": {"phase": late}})).await;
        let waiting = await_condition(jobs.clone(), &name, conditions::is_job_completed());
        let job = tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("complete").unwrap().unwrap();
        let status = job.status.unwrap();
        assert_eq!((status.succeeded, status.failed), (Some(1), None), "{late}");
        let pods = room.pods().list(&ListParams::default().labels(&format!("job-name={name}"))).await.unwrap();
        assert_eq!(pods.items.len(), 1, "nothing ran again");
        room.stays(&pod).await;
        // Its node is told once it is counted, also where it sets back what was counted.
        let told = |pod: Option<&Pod>| pod.is_some_and(|pod| pod.annotations().contains_key(ESSENTIAL_COMPLETED));
        let waiting = await_condition(room.pods(), &pod_name, told);
        let first = tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("told").unwrap().unwrap();
        room.says(&pod, &json!({"status": {"phase": "Running"}})).await;
        let told = first.annotations()[ESSENTIAL_COMPLETED].clone();
        let again = |pod: Option<&Pod>| pod.is_some_and(|pod| pod.annotations()[ESSENTIAL_COMPLETED] != told);
        let waiting = await_condition(room.pods(), &pod_name, again);
        let again = tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("told again").unwrap().unwrap();
        assert!(succeeded(Some(&again)));
    }
    assert_eq!(counted(&metrics, &Outcome::Deleted), 0);
    assert!(counted(&metrics, &Outcome::Succeeded) >= 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_no_regular_container_is_reported_once_and_nothing_is_deleted() {
    let room = Room::new().await;
    let metrics = [room.collect(), room.collect()];
    let mut pods = Vec::new();
    for (name, label, told) in [
        ("unknown", "main.mian", "mian is no container of this pod"),
        ("init", "first", "first is an init container"),
        ("sidecar", "proxy", "proxy is a native sidecar"),
        ("nothing", "", "names nothing"),
    ] {
        pods.push((room.labelled(name, json!({"essential-containers": label})).await, told));
    }
    for (pod, told) in &pods {
        room.says(pod, &completed()).await;
        room.says(pod, &status("Running", &running(), &ended(0, "Completed"))).await;
        let event = room.event(|event| event.involved_object.uid == pod.metadata.uid).await;
        assert_eq!(event.reason.as_deref(), Some("EssentialContainerUnknown"));
        let message = event.message.unwrap();
        assert!(message.contains(told), "{message}");
    }
    for metrics in &metrics {
        becomes(4, || metrics.essential_mistaken.get()).await;
    }
    // One that is started later says nothing new either.
    let later = room.collect();
    becomes(4, || later.essential_mistaken.get()).await;
    let due = room.labelled("due", json!({"essential-containers": "main"})).await;
    room.says(&due, &completed()).await;
    room.ends(&due).await;
    for (pod, _) in &pods {
        room.stays(pod).await;
        assert_eq!(room.events_of(pod, "EssentialContainerUnknown").await.len(), 1, "{}", pod.name_any());
    }
    // Mended, it counts.
    let mended = json!({"metadata": {"labels": {"essential-containers": "main"}}});
    room.pods().patch("unknown", &PatchParams::default(), &Patch::Merge(mended)).await.unwrap();
    room.ends(&pods[0].0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_says_where() {
    let [room, other] = [Room::new().await, Room::new().await];
    let metrics = room.collect_essentials(Wanted::In([other.namespace.clone()].into()));
    let off = room.collect_essentials(Wanted::Nowhere);
    let label = json!({"essential-containers": "main"});
    let (here, there) = (room.labelled("a", label.clone()).await, other.labelled("a", label).await);
    room.says(&here, &completed()).await;
    other.says(&there, &completed()).await;
    other.ends(&there).await;
    becomes(1, || counted(&metrics, &Outcome::Deleted)).await;
    room.stays(&here).await;
    assert_eq!(counted(&off, &Outcome::Deleted), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_right_is_told_at_the_start_and_one_given_is_noticed() {
    let room = Room::new().await;
    let user = format!("essential-{}", room.namespace);
    let may = |status: &[&str]| {
        let rules = [
            rule("events.k8s.io", &["events"], &["create", "patch"]),
            rule("rbac.authorization.k8s.io", &["roles", "rolebindings"], &["list", "watch"]),
            rule("", &["pods"], &["list", "watch", "delete"]),
            rule("", &["pods/status"], status),
        ];
        grant(plane(), Some(&room.namespace), "essential", &user, &rules);
    };
    may(&["get"]);
    let pod = room.labelled("a", json!({"essential-containers": "main"})).await;
    room.says(&pod, &completed()).await;
    let (metrics, own) = (Metrics::default(), room.pod(&user));
    let config = Config { namespace: Some(room.namespace.clone()), pod: Some(own.clone()), ..Config::default() };
    let connection = connection_with(plane().kubeconfig_of_user(&user, None).unwrap()).await;
    let collecting =
        collector::run(connection.client, connection.clock, config, metrics.clone(), room.shutdown.clone());
    tokio::spawn(async move { collecting.await.unwrap() });
    let told = room.event(|event| event.involved_object == own).await;
    assert_eq!(told.reason.as_deref(), Some("RightsMissing"));
    let message = told.message.unwrap();
    assert!(message.contains("no right to patch pods/status"), "{message}");
    assert!(message.contains(&room.namespace), "{message}");
    assert_eq!((metrics.essential_lacking.get(), metrics.kinds.get()), (1, 1));
    room.stays(&pod).await;
    may(&["patch"]);
    room.ends(&pod).await;
    assert_eq!(metrics.essential_lacking.get(), 0);
}
