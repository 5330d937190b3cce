//! What ends without a deadline: Jobs that finished, and dependents whose master is gone.

use std::time::Duration;

use jiff::SignedDuration;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, ResourceExt};
use retinue::collector::reap::Outcome;
use retinue::collector::{self, Config, Metrics};
use serde_json::{Value, json};

use super::{Room, becomes, connection_with, counted, plane};

impl Room {
    /// Metadata with a valid stamp and no deadline.
    fn endless(&self, api_version: &str, kind: &str, name: &str, change: impl FnOnce(&mut Value)) -> Value {
        let mut metadata = self.stamped(api_version, kind, name, self.now());
        metadata["labels"].as_object_mut().unwrap().remove("fledged.io/expires-at");
        let admission = &mut metadata["annotations"]["fledged.io/admission"];
        let mut record: Value = serde_json::from_str(admission.as_str().unwrap()).unwrap();
        change(&mut record);
        *admission = record.to_string().into();
        metadata
    }

    /// A dependent whose end is that of `workload`, unless `ends` says otherwise.
    async fn child(&self, name: &str, workload: &Value, ends: bool) -> ConfigMap {
        let metadata = self.endless("v1", "ConfigMap", name, |record| {
            record["workload"] = workload.clone();
            record["endsWithMaster"] = ends.into();
        });
        let object = serde_json::from_value(json!({"metadata": metadata})).unwrap();
        self.config_maps().create(&PostParams::default(), &object).await.unwrap()
    }

    fn deployments(&self) -> Api<Deployment> {
        Api::namespaced(self.connection.client.clone(), &self.namespace)
    }

    /// A workload without pods, as a stamp names it.
    async fn workload(&self, name: &str) -> Value {
        let deployment = json!({"metadata": {"name": name}, "spec": {"replicas": 0,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "main", "image": "none"}]}}}});
        let deployment = serde_json::from_value(deployment).unwrap();
        let deployment = self.deployments().create(&PostParams::default(), &deployment).await.unwrap();
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": deployment.uid().unwrap()})
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_finished_is_deleted_when_the_time_to_keep_it_is_over() {
    let room = Room::new().await;
    let metrics = room.collect();
    let jobs: Api<Job> = Api::namespaced(room.connection.client.clone(), &room.namespace);
    let mut made = Vec::new();
    for (name, keep) in [("kept-2s", "2s"), ("kept-1h", "3600s"), ("unfinished", "2s")] {
        // Of no controller in this cluster: what its status says is ours to write.
        let metadata = room.endless("batch/v1", "Job", name, |record| record["keepFinished"] = keep.into());
        let job = json!({"metadata": metadata, "spec": {"managedBy": "example.com/test", "template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "main", "image": "none"}]}}}});
        made.push(jobs.create(&PostParams::default(), &serde_json::from_value(job).unwrap()).await.unwrap());
    }
    let now = room.now();
    let condition =
        |kind| json!({"type": kind, "status": "True", "lastTransitionTime": now, "reason": "CompletionsReached"});
    let status = json!({"status": {"startTime": now, "completionTime": now, "succeeded": 1,
        "conditions": [condition("SuccessCriteriaMet"), condition("Complete")]}});
    for name in ["kept-2s", "kept-1h"] {
        jobs.patch_status(name, &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
    }
    let deleted = conditions::is_deleted(made[0].metadata.uid.as_deref().unwrap());
    let waiting = await_condition(jobs.clone(), "kept-2s", deleted);
    tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("it is deleted").unwrap();
    assert!(room.now().duration_since(now) >= SignedDuration::from_secs(1), "times have whole seconds");
    for name in ["kept-1h", "unfinished"] {
        assert!(jobs.get(name).await.unwrap().metadata.deletion_timestamp.is_none(), "{name}");
    }
    becomes(1, || counted(&metrics, &Outcome::Deleted)).await;
    let told = room.event(|event| event.involved_object.uid == made[0].metadata.uid).await;
    assert_eq!(told.reason.as_deref(), Some("DependentFinished"));
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_46_a_dependent_that_no_owner_reference_puts_under_its_master_goes_when_its_master_does() {
    let room = Room::new().await;
    let metrics = room.collect();
    let [master, other] = [room.workload("eod").await, room.workload("other").await];
    let child = room.child("child", &master, true).await;
    let outlives = room.child("outlives", &master, false).await;
    let of_other = room.child("of-other", &other, true).await;
    becomes(2, || metrics.masters.get()).await;
    room.deployments().delete("eod", &DeleteParams::background()).await.unwrap();
    room.gone(&child).await;
    let told = room.event(|event| event.involved_object.uid == child.metadata.uid).await;
    assert_eq!(told.reason.as_deref(), Some("MasterGone"));
    // Its namesake is another; a dependent that is made late by one that is gone ends at once.
    room.workload("eod").await;
    let late = room.child("late", &master, true).await;
    room.gone(&late).await;
    becomes(1, || metrics.masters.get()).await;
    assert!(room.there(&outlives).await && room.there(&of_other).await);
    becomes(2, || counted(&metrics, &Outcome::Deleted)).await;
    assert_eq!(metrics.masters_unreadable.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_46_a_master_that_cannot_be_read_is_not_taken_for_gone() {
    let room = Room::new().await;
    let user = format!("half-{}", room.namespace);
    plane()
        .apply(&format!(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: half, namespace: {namespace}}}\nrules:\n\
             - {{apiGroups: [''], resources: [configmaps], verbs: [list, watch, delete]}}\n---\n\
             apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{name: half, namespace: {namespace}}}\n\
             roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: half}}\n\
             subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: User, name: {user}}}]\n",
            namespace = room.namespace
        ))
        .unwrap();
    let gone =
        |api_version: &str, kind: &str| json!({"apiVersion": api_version, "kind": kind, "name": "eod", "uid": "gone"});
    let mut children = Vec::new();
    for (name, workload) in [
        ("forbidden", gone("apps/v1", "Deployment")),
        ("unserved", gone("batch/v7", "Job")),
        ("custom", gone("example.com/v1", "Notebook")),
    ] {
        children.push(room.child(name, &workload, true).await);
    }
    let metrics = Metrics::default();
    let connection = connection_with(plane().kubeconfig_of_user(&user, None).unwrap()).await;
    let config = Config { namespace: Some(room.namespace.clone()), ..Config::default() };
    let collecting =
        collector::run(connection.client, connection.clock, config, metrics.clone(), room.shutdown.clone());
    tokio::spawn(async move { collecting.await.unwrap() });
    becomes((3, 3), || (metrics.masters.get(), metrics.masters_unreadable.get())).await;
    let due = room.config_map("due", room.now()).await;
    room.gone(&due).await;
    for child in &children {
        assert!(room.there(child).await, "{:?}", child.metadata.name);
    }
}
