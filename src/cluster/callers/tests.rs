#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::token::tests::user;
use super::token::{POD_NAME, POD_UID};
use super::*;

/// A cluster in a table. The read with this number fails.
#[derive(Default)]
struct Table {
    objects: Mutex<BTreeMap<String, Value>>,
    reads: AtomicUsize,
    fail_at: Option<usize>,
}

impl Table {
    fn put(&self, path: &str, object: Value) {
        self.objects.lock().unwrap().insert(path.into(), object);
    }
}

impl Reads for Arc<Table> {
    async fn read(&self, what: &str, path: &str) -> Result<Option<Value>, LookupError> {
        let number = self.reads.fetch_add(1, Ordering::SeqCst);
        if self.fail_at == Some(number) {
            return Err(LookupError::Slow { what: what.into(), after: Duration::from_secs(1) });
        }
        Ok(self.objects.lock().unwrap().get(path).cloned())
    }
}

const POD: &str = "/api/v1/namespaces/trading/pods/eod-1";
const SET: &str = "/apis/apps/v1/namespaces/trading/replicasets/eod-7d";
const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/trading/deployments/eod";

fn controlled(kind: &str, group_version: &str, name: &str, uid: &str) -> Value {
    json!([{"apiVersion": group_version, "kind": kind, "name": name, "uid": uid, "controller": true}])
}

fn workload(name: &str, uid: &str, owners: Value) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "trading", "uid": uid, "ownerReferences": owners},
        "spec": {"template": {"spec": {"serviceAccountName": "eod"}}},
    })
}

fn pod(owners: Value) -> Value {
    json!({
        "metadata": {
            "name": "eod-1", "namespace": "trading", "uid": "p", "ownerReferences": owners,
            "annotations": {"fledged.io/manifests": "post-trade, shared/base", "fledged.io/duration": "1h"},
        },
        "spec": {"serviceAccountName": "eod"},
        "status": {"podIP": "10.0.0.7"},
    })
}

/// A pod of a Deployment.
fn deployed() -> Table {
    let table = Table::default();
    table.put(POD, pod(controlled("ReplicaSet", "apps/v1", "eod-7d", "r")));
    table.put(SET, workload("eod-7d", "r", controlled("Deployment", "apps/v1", "eod", "d")));
    table.put(DEPLOYMENT, workload("eod", "d", json!([])));
    table
}

fn eod() -> User {
    user("system:serviceaccount:trading:eod", &[(POD_NAME, &["eod-1"]), (POD_UID, &["p"])])
}

async fn identify(table: Table) -> Result<Caller, Unidentified> {
    Callers::new(Arc::new(table)).identify(&eod(), &Lookups::alone()).await
}

/// The pod of a Deployment after `change` of the object at `path`.
async fn changed(path: &str, change: impl FnOnce(&mut Value)) -> Result<Caller, Unidentified> {
    let table = deployed();
    change(table.objects.lock().unwrap().get_mut(path).unwrap());
    identify(table).await
}

#[tokio::test]
async fn a_pod_of_a_deployment_answers_for_the_deployment() {
    let caller = identify(deployed()).await.unwrap();
    assert_eq!(
        caller.chain.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["ReplicaSet eod-7d", "Deployment eod"]
    );
    assert_eq!(caller.workload().uid, "d");
    assert_eq!(caller.pod.ip.as_deref(), Some("10.0.0.7"));
    assert!(!caller.pod.terminating);
    let manifests: Vec<String> = caller.wish.manifests.iter().map(ToString::to_string).collect();
    assert_eq!(manifests, ["trading/post-trade", "shared/base"]);
}

#[tokio::test]
async fn a_bare_pod_answers_for_itself_and_a_custom_owner_ends_the_chain_below_it() {
    for owners in [
        Value::Null,
        json!([]),
        controlled("Notebook", "kubeflow.org/v1", "n", "n"),
        controlled("ReplicaSet", "forged.example/v1", "eod-7d", "r"),
        controlled("Deployment", "apps/v1", "eod", "d"),
        controlled("CronJob", "batch/v1", "eod", "d"),
        json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "eod-7d", "uid": "r"}]),
    ] {
        let table = deployed();
        table.put(POD, pod(owners.clone()));
        let caller = identify(table).await.unwrap();
        assert_eq!(caller.workload().to_string(), "Pod eod-1", "{owners}");
    }
}

#[tokio::test]
async fn a_cronjobs_run_answers_for_itself() {
    let table = Table::default();
    table.put(POD, pod(controlled("Job", "batch/v1", "nightly-1", "j")));
    table.put(
        "/apis/batch/v1/namespaces/trading/jobs/nightly-1",
        workload("nightly-1", "j", controlled("CronJob", "batch/v1", "nightly", "c")),
    );
    assert_eq!(identify(table).await.unwrap().workload().to_string(), "Job nightly-1");
}

#[tokio::test]
async fn threat_24_the_tokens_pod_must_live_under_that_uid_and_that_account() {
    let table = deployed();
    table.objects.lock().unwrap().remove(POD);
    assert!(matches!(identify(table).await, Err(Unidentified::PodGone(_))));
    let other = changed(POD, |pod| pod["metadata"]["uid"] = "p2".into()).await;
    assert!(matches!(other, Err(Unidentified::OtherPod { .. })), "{other:?}");
    let account = changed(POD, |pod| pod["spec"]["serviceAccountName"] = "other".into()).await;
    assert!(matches!(account, Err(Unidentified::OtherAccount { .. })), "{account:?}");
    let none = changed(POD, |pod| pod["spec"] = json!({})).await;
    assert!(matches!(none, Err(Unidentified::OtherAccount { runs_under, .. }) if runs_under == "trading/default"));
}

#[tokio::test]
async fn threat_26_each_hop_is_checked_by_uid_and_account() {
    for (path, pointer, value, reason) in [
        (POD, "/metadata/ownerReferences/0/uid", "forged", "earlier one of that name"),
        (SET, "/metadata/uid", "r2", "earlier one of that name"),
        (SET, "/metadata/ownerReferences/0/uid", "forged", "earlier one of that name"),
        (SET, "/spec/template/spec/serviceAccountName", "other", "names the account other"),
        (DEPLOYMENT, "/spec/template/spec/serviceAccountName", "other", "names the account other"),
        (POD, "/metadata/ownerReferences/0/name", "gone", "does not exist any more"),
        (SET, "/metadata/ownerReferences/0/name", "gone", "does not exist any more"),
    ] {
        let refused = changed(path, |object| *object.pointer_mut(pointer).unwrap() = value.into()).await.unwrap_err();
        assert!(matches!(refused, Unidentified::BrokenChain { .. }), "{refused:?}");
        assert!(refused.to_string().contains(reason), "{path} {pointer}: {refused}");
    }
    let escape = changed(POD, |pod| pod["metadata"]["ownerReferences"][0]["name"] = "../secrets/x".into()).await;
    assert!(matches!(escape, Err(Unidentified::Lookup { .. })), "{escape:?}");
}

#[tokio::test]
async fn threat_18_a_read_that_fails_is_a_refusal_wherever_it_is() {
    for number in 0..3 {
        let refused = identify(Table { fail_at: Some(number), ..deployed() }).await;
        assert!(matches!(refused, Err(Unidentified::Lookup { .. })), "read {number}: {refused:?}");
    }
    assert!(identify(Table { fail_at: Some(3), ..deployed() }).await.is_ok(), "three reads are all there are");
}

#[tokio::test]
async fn whatever_in_the_chain_is_on_its_way_out_makes_the_caller_terminating() {
    for path in [POD, SET, DEPLOYMENT] {
        let caller =
            changed(path, |object| object["metadata"]["deletionTimestamp"] = "2026-11-20T15:30:00Z".into()).await;
        assert!(caller.unwrap().pod.terminating, "{path}");
    }
}

#[tokio::test]
async fn a_wish_that_cannot_be_read_is_a_refusal_that_names_it() {
    let refused = changed(POD, |pod| pod["metadata"]["annotations"]["fledged.io/duration"] = "1 fortnight".into());
    let refused = refused.await.unwrap_err().to_string();
    assert!(refused.contains("trading/eod-1") && refused.contains("1 fortnight"), "{refused}");
}

#[tokio::test]
async fn threat_51_the_callers_own_deadline_is_that_of_a_stamped_member_of_its_chain() {
    let record = json!({
        "object": {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "trading", "name": "eod"},
        "account": {"namespace": "trading", "name": "parent"},
        "pod": {"name": "parent-1", "uid": "pp"},
        "workload": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "parent", "uid": "pd"},
        "template": {
            "configMap": {"namespace": "trading", "name": "t"}, "key": "k", "uid": "c", "version": "1", "hash": "h",
        },
    });
    let stamp = |object: &mut Value| {
        object["metadata"]["annotations"]["fledged.io/admission"] = record.to_string().into();
        object["metadata"]["labels"]["fledged.io/master"] = "trading.parent".into();
        object["metadata"]["labels"]["fledged.io/expires-at"] = "2026-11-20T153000Z".into();
    };
    let stamped = changed(DEPLOYMENT, stamp).await.unwrap();
    assert_eq!(stamped.deadline, Some("2026-11-20T15:30:00Z".parse().unwrap()));
    let copied = changed(SET, stamp).await.unwrap();
    assert_eq!(copied.deadline, None, "a stamp that a controller copied to the ReplicaSet is none");
}

#[tokio::test]
async fn a_burst_costs_one_look_and_what_is_older_than_a_second_is_looked_up_again() {
    let table = Arc::new(deployed());
    let callers = Callers::new(Arc::clone(&table));
    let (asks, lookups) = (eod(), Lookups::alone());
    let burst = futures::future::join_all((0..50).map(|_| callers.identify(&asks, &lookups))).await;
    assert!(burst.into_iter().all(|caller| caller.is_ok()));
    assert_eq!(table.reads.load(Ordering::SeqCst), 3);

    // The pod is replaced: within a second the old answer may stand, afterwards it must not.
    table.put(POD, json!({"metadata": {"uid": "p2"}, "spec": {"serviceAccountName": "eod"}}));
    let token = Token::of(&eod()).unwrap();
    callers.place(&token).known.lock().await.as_mut().unwrap().since -= FRESH;
    assert!(matches!(callers.identify(&eod(), &Lookups::alone()).await, Err(Unidentified::OtherPod { .. })));
}

#[tokio::test(start_paused = true)]
async fn threat_40_a_flood_of_tokens_is_not_remembered_without_bound() {
    let table = Arc::new(deployed());
    let callers = Callers::new(Arc::clone(&table));
    let lookups = Lookups::alone();
    assert!(callers.identify(&eod(), &lookups).await.is_ok());
    for number in 0..2 * REMEMBERED {
        let pod = format!("no-such-pod-{number}");
        let asks = user("system:serviceaccount:trading:eod", &[(POD_NAME, &[&pod]), (POD_UID, &["p"])]);
        assert!(callers.identify(&asks, &lookups).await.is_err());
    }
    assert_eq!(callers.known.lock().unwrap().len(), 1, "nobody is remembered, and who is somebody is not forgotten");
    assert!(callers.remembered(&Token::of(&eod()).unwrap()).unwrap().verified.load(Ordering::Relaxed));
}

#[tokio::test(start_paused = true)]
async fn threat_58_a_lookup_that_fails_makes_nobody_of_who_was_verified() {
    let table = Arc::new(Table { fail_at: Some(3), ..deployed() });
    let (callers, lookups) = (Callers::new(Arc::clone(&table)), Lookups::alone());
    let token = Token::of(&eod()).unwrap();
    let old = || async { callers.place(&token).known.lock().await.as_mut().unwrap().since -= FRESH };
    assert!(callers.identify(&eod(), &lookups).await.is_ok());
    old().await;
    assert!(matches!(callers.identify(&eod(), &lookups).await, Err(Unidentified::Lookup { .. })));
    assert!(callers.remembered(&token).unwrap().verified.load(Ordering::Relaxed));
    table.put(POD, json!({"metadata": {"uid": "p2"}, "spec": {"serviceAccountName": "eod"}}));
    assert!(matches!(callers.identify(&eod(), &lookups).await, Err(Unidentified::OtherPod { .. })));
    assert!(callers.remembered(&token).is_none());
}
