//! From the pod to its workload: pod → ReplicaSet → Deployment, or StatefulSet, DaemonSet, Job, ReplicationController.
//!
//! A CronJob's run answers for itself, so a chain ends at the Job; at a custom owner it ends at the last built-in kind.
//! A reference proves nothing, since whoever creates a pod writes it: each owner must exist with that uid, and its
//! pod template must name the account of the pod.

use std::collections::HashMap;

use policies::caller::{Caller, CallerPod, Unidentified, Wish, WishError};
use policies::object::{Gvk, NamespacedName, ObjectRef};
use policies::stamp::{self, Marks};
use serde_json::Value;

use super::super::client::{LookupError, path};
use super::token::Token;

/// Reads one object live; none where it does not exist.
pub trait Reads: Send + Sync {
    /// Reads the object at `path`; `what` names it for people.
    fn read(&self, what: &str, path: &str) -> impl Future<Output = Result<Option<Value>, LookupError>> + Send;
}

/// A kind that can be above a pod.
#[derive(Debug)]
struct Workload {
    group: &'static str,
    api_version: &'static str,
    kind: &'static str,
    resource: &'static str,
    /// What may control it in turn.
    under: &'static [&'static str],
}

/// The built-in kinds that make pods.
const WORKLOADS: [Workload; 6] = [
    Workload {
        group: "apps",
        api_version: "apps/v1",
        kind: "ReplicaSet",
        resource: "replicasets",
        under: &["Deployment"],
    },
    Workload { group: "apps", api_version: "apps/v1", kind: "Deployment", resource: "deployments", under: &[] },
    Workload { group: "apps", api_version: "apps/v1", kind: "StatefulSet", resource: "statefulsets", under: &[] },
    Workload { group: "apps", api_version: "apps/v1", kind: "DaemonSet", resource: "daemonsets", under: &[] },
    Workload { group: "batch", api_version: "batch/v1", kind: "Job", resource: "jobs", under: &[] },
    Workload {
        group: "",
        api_version: "v1",
        kind: "ReplicationController",
        resource: "replicationcontrollers",
        under: &[],
    },
];
/// What may control a pod; a Deployment never does so directly.
const ABOVE_PODS: [&str; 5] = ["ReplicaSet", "StatefulSet", "DaemonSet", "Job", "ReplicationController"];

/// The account of a pod that names none.
const DEFAULT_ACCOUNT: &str = "default";

/// Verifies the token's pod and what is above it. `hints` say where the chain led before.
///
/// # Errors
/// When anything does not hold, or cannot be found out.
pub async fn climb<R: Reads>(reads: &R, token: &Token, hints: &[ObjectRef]) -> Result<Caller, Unidentified> {
    let namespace = &token.account.namespace;
    let pod_name = token.pod_name();
    let pod_path = path("v1", "pods", Some(namespace), &token.pod).map_err(|error| failed("pod", error))?;
    let pod_what = format!("pod {pod_name}");
    let (pod, ahead) =
        futures::future::join(reads.read(&pod_what, &pod_path), read_ahead(reads, namespace, hints)).await;
    let pod = pod.map_err(|error| failed(&pod_what, error))?.ok_or_else(|| Unidentified::PodGone(pod_name.clone()))?;
    let live = text(&pod, "/metadata/uid");
    if live != token.uid {
        return Err(Unidentified::OtherPod { pod: pod_name, bound: token.uid.clone(), live: live.into() });
    }
    let runs_under = account_of(&pod["spec"]);
    if runs_under != token.account.name {
        return Err(Unidentified::OtherAccount {
            pod: pod_name,
            runs_under: format!("{namespace}/{runs_under}"),
            account: token.account.clone(),
        });
    }
    let wish = wish(&pod["metadata"]["annotations"], namespace)
        .map_err(|error| Unidentified::Wish { pod: pod_name.clone(), reason: error.to_string() })?;

    let mut members = vec![(
        ObjectRef { api_version: "v1".into(), kind: "Pod".into(), name: token.pod.clone(), uid: live.into() },
        pod.clone(),
    )];
    let mut allowed: &[&str] = &ABOVE_PODS;
    while let Some((owner, workload)) = members.last().and_then(|(_, object)| controller(object, allowed)) {
        let object = hop(reads, &pod_name, &token.account, &owner, workload, &ahead).await?;
        allowed = workload.under;
        members.push((ObjectRef { api_version: workload.api_version.into(), ..owner }, object));
    }

    let terminating = members.iter().any(|(_, object)| !object["metadata"]["deletionTimestamp"].is_null());
    let deadline = members.iter().filter_map(|(of, object)| deadline(of, namespace, object)).min();
    Ok(Caller {
        account: token.account.clone(),
        pod: CallerPod {
            name: token.pod.clone(),
            uid: token.uid.clone(),
            ip: pod.pointer("/status/podIP").and_then(Value::as_str).map(Into::into),
            // A chain on its way out ends with its dependents, so it starts no new ones.
            terminating,
        },
        chain: members.into_iter().skip(1).map(|(of, _)| of).collect(),
        wish,
        deadline,
    })
}

/// What was read before it was known to be needed, by path.
type Ahead = HashMap<String, Result<Option<Value>, LookupError>>;

async fn read_ahead<R: Reads>(reads: &R, namespace: &str, hints: &[ObjectRef]) -> Ahead {
    let paths = hints.iter().filter_map(|hint| {
        let workload = WORKLOADS.iter().find(|workload| workload.kind == hint.kind)?;
        let path = path(workload.api_version, workload.resource, Some(namespace), &hint.name).ok()?;
        Some((path, format!("{} {namespace}/{}", hint.kind, hint.name)))
    });
    let reading = paths.map(|(path, what)| async move {
        let found = reads.read(&what, &path).await;
        (path, found)
    });
    futures::future::join_all(reading).await.into_iter().collect()
}

/// The controller of `object`, where it is of one of the kinds `allowed` here.
fn controller(object: &Value, allowed: &[&str]) -> Option<(ObjectRef, &'static Workload)> {
    let references = object.pointer("/metadata/ownerReferences")?.as_array()?;
    let reference = references.iter().find(|reference| reference["controller"] == Value::Bool(true))?;
    let owner = ObjectRef::of_reference(reference);
    let group = Gvk::from_api_version(&owner.api_version, "").group;
    let workload = WORKLOADS
        .iter()
        .find(|workload| workload.kind == owner.kind && workload.group == group && allowed.contains(&workload.kind))?;
    Some((owner, workload))
}

/// Verifies one owner.
async fn hop<R: Reads>(
    reads: &R,
    pod: &NamespacedName,
    account: &NamespacedName,
    owner: &ObjectRef,
    workload: &Workload,
    ahead: &Ahead,
) -> Result<Value, Unidentified> {
    let what = format!("{} {}/{}", owner.kind, account.namespace, owner.name);
    let path = path(workload.api_version, workload.resource, Some(&account.namespace), &owner.name)
        .map_err(|error| failed(&what, error))?;
    let found = match ahead.get(&path) {
        Some(found) => found.clone(),
        None => reads.read(&what, &path).await,
    };
    let broken = |reason: String| Unidentified::BrokenChain { pod: pod.clone(), owner: owner.to_string(), reason };
    let object = found
        .map_err(|error| failed(&what, error))?
        .ok_or_else(|| broken("that does not exist any more; a pod without its workload launches nothing".into()))?;
    let uid = text(&object, "/metadata/uid");
    if uid != owner.uid {
        return Err(broken(format!(
            "the reference names uid {}, and the living one has {uid}; the pod belongs to an earlier one of that name",
            owner.uid
        )));
    }
    let names = account_of(&object["spec"]["template"]["spec"]);
    if names != account.name {
        return Err(broken(format!(
            "its pod template names the account {names}, not {}; a workload answers for its own account's pods only \
             (after a change of serviceAccountName wait for its rollout)",
            account.name
        )));
    }
    Ok(object)
}

/// The account that a pod spec names.
fn account_of(spec: &Value) -> &str {
    let named = |key: &str| spec[key].as_str().filter(|name| !name.is_empty());
    named("serviceAccountName").or_else(|| named("serviceAccount")).unwrap_or(DEFAULT_ACCOUNT)
}

/// The deadline of a member of the chain that is itself a dependent.
fn deadline(of: &ObjectRef, namespace: &str, object: &Value) -> Option<jiff::Timestamp> {
    let kind = Gvk::from_api_version(&of.api_version, &of.kind);
    stamp::read(Marks::of(object), &kind, namespace, &of.name).ok().flatten()?.deadline
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn failed(what: &str, error: LookupError) -> Unidentified {
    Unidentified::Lookup { what: what.into(), reason: error.to_string() }
}

/// What the deployer wrote on the pod.
fn wish(annotations: &Value, namespace: &str) -> Result<Wish, WishError> {
    let pairs = annotations.as_object().into_iter().flatten();
    let text = pairs.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
    Wish::from_annotations(&text.collect(), namespace)
}
