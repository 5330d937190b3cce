//! What owns a stored object, and which of an object's owners are the caller's own dependents.
//!
//! Only metadata is read (but for a `scale`, which is judged with the whole object), only in the object's namespace, and
//! only of built-in kinds that own others and of kinds that a loaded template makes: a reference to anything else ends
//! the climb.

use kube::Client;
use policies::caller::Caller;
use policies::object::{Gvk, Gvr, ObjectRef};
use policies::stamp::{self, Marks};
use serde_json::Value;
use webhooks::{About, Lookups};

use super::client::{Detail, LookupError, path, read};
use super::dependents::Dependents;
use super::dependents::ledger::{Key, Master};

/// How far up it is looked: Pod, ReplicaSet, Deployment, and one custom kind above.
const HIGHEST: usize = 4;
/// How many owners of one object are looked up: a dependent has one, and whoever sends more is refused anyhow.
const MOST_OWNERS: usize = 4;

/// Built-in kinds that are looked up: `apiVersion`, kind, resource.
const BUILT_IN: [(&str, &str, &str); 9] = [
    ("v1", "Pod", "pods"),
    ("v1", "Service", "services"),
    ("v1", "ReplicationController", "replicationcontrollers"),
    ("apps/v1", "ReplicaSet", "replicasets"),
    ("apps/v1", "Deployment", "deployments"),
    ("apps/v1", "StatefulSet", "statefulsets"),
    ("apps/v1", "DaemonSet", "daemonsets"),
    ("batch/v1", "Job", "jobs"),
    ("batch/v1", "CronJob", "cronjobs"),
];

/// Looks objects up by kind or resource, live.
pub(crate) struct Lookup<'a> {
    pub(crate) client: &'a Client,
    pub(crate) dependents: &'a Dependents,
    /// In turns with other reviews.
    pub(crate) lookups: &'a Lookups,
}

impl Lookup<'_> {
    /// The resource of a kind that may be looked up, and its kind through the version that is read.
    fn by_kind(&self, group: &str, kind: &str) -> Option<(Gvk, String)> {
        let same = |gvk: &Gvk| gvk.group == group && gvk.kind == kind;
        self.all().find(|(gvk, _)| same(gvk))
    }

    fn by_resource(&self, resource: &Gvr) -> Option<(Gvk, String)> {
        self.all().find(|(gvk, name)| gvk.group == resource.group && *name == resource.resource)
    }

    fn all(&self) -> impl Iterator<Item = (Gvk, String)> {
        let built_in = BUILT_IN
            .iter()
            .map(|(api_version, kind, resource)| (Gvk::from_api_version(api_version, kind), (*resource).to_owned()));
        built_in.chain(self.dependents.kinds().into_iter().filter_map(|kind| Some((kind.gvk, kind.resource?))))
    }

    async fn metadata(&self, known: (Gvk, String), namespace: &str, name: &str) -> Result<Option<Value>, LookupError> {
        self.object(known, namespace, name, Detail::Metadata).await
    }

    async fn object(
        &self,
        (gvk, resource): (Gvk, String),
        namespace: &str,
        name: &str,
        detail: Detail,
    ) -> Result<Option<Value>, LookupError> {
        let what = format!("{} {namespace}/{name}", gvk.kind);
        let path = path(&gvk.api_version(), &resource, Some(namespace), name)?;
        let turn = self.lookups.turn(About::Verified).await?;
        let mut found = read(self.client, &what, &path, detail).await?;
        drop(turn);
        if let Some(object) = &mut found {
            object["apiVersion"] = gvk.api_version().into();
            object["kind"] = gvk.kind.into();
        }
        Ok(found)
    }

    /// The object of which `subresource` is used, or none where there is none.
    ///
    /// # Errors
    /// When that cannot be found out.
    pub(crate) async fn asked(
        &self,
        resource: &Gvr,
        subresource: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Value>, LookupError> {
        let Some(known) = self.by_resource(resource) else {
            return Err(LookupError::Failed {
                what: format!("{resource} {namespace}/{name}"),
                message: "no loaded template makes objects of this kind, so it is nobody's dependent".into(),
            });
        };
        // A Secret has no scale; nor would its content be read if it had.
        let secret = known.0.group.is_empty() && known.0.kind == "Secret";
        let detail = if subresource == "scale" && !secret { Detail::Whole } else { Detail::Metadata };
        self.object(known, namespace, name, detail).await
    }

    /// What owns `object`, nearest first, each checked by uid; it ends where an owner is not there any more.
    ///
    /// # Errors
    /// When an owner cannot be read.
    pub(crate) async fn lineage(&self, object: &Value, namespace: &str) -> Result<Vec<Value>, LookupError> {
        let mut lineage: Vec<Value> = Vec::new();
        while lineage.len() < HIGHEST {
            let Some(owner) = owner(lineage.last().unwrap_or(object)) else { break };
            let group = Gvk::from_api_version(&owner.api_version, "").group;
            let Some(known) = self.by_kind(&group, &owner.kind) else { break };
            match self.metadata(known, namespace, &owner.name).await? {
                Some(found) if uid_of(&found) == owner.uid => lineage.push(found),
                _ => break,
            }
        }
        Ok(lineage)
    }

    /// The owners that `object` names which are dependents of `caller` in `namespace`.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub(crate) async fn own_dependents(
        &self,
        object: &Value,
        namespace: &str,
        caller: &Caller,
    ) -> Result<Vec<ObjectRef>, LookupError> {
        let mut own = Vec::new();
        let sent = references(object).filter(|owner| !caller.includes(owner)).take(MOST_OWNERS);
        for owner in sent {
            let master = Master::new(&caller.account, &caller.workload());
            let gvk = Gvk::from_api_version(&owner.api_version, &owner.kind);
            let Some(known) = self.by_kind(&gvk.group, &gvk.kind) else { continue };
            // A dependent that was created a moment ago may not be in the watch yet.
            let shown = self.dependents.ledger.is_own(&Key::new(&gvk, namespace, &owner.name), &owner.uid, &master);
            if shown || self.is_own(known, namespace, &owner, caller).await? {
                own.push(owner);
            }
        }
        Ok(own)
    }

    async fn is_own(
        &self,
        known: (Gvk, String),
        namespace: &str,
        owner: &ObjectRef,
        caller: &Caller,
    ) -> Result<bool, LookupError> {
        let gvk = known.0.clone();
        let found = match self.metadata(known, namespace, &owner.name).await {
            Err(LookupError::NoName(_)) | Ok(None) => return Ok(false),
            found => found?.unwrap_or_default(),
        };
        let stamp = stamp::read(Marks::of(&found), &gvk, namespace, &owner.name).ok().flatten();
        let own = stamp.is_some_and(|stamp| stamp.record.belongs_to(&caller.account, &caller.workload()));
        Ok(own && uid_of(&found) == owner.uid)
    }
}

/// The owner through which an object is somebody's: its controller, or the only one it has.
fn owner(object: &Value) -> Option<ObjectRef> {
    let listed = object.pointer("/metadata/ownerReferences")?.as_array()?;
    let controller = listed.iter().find(|reference| reference["controller"] == Value::Bool(true));
    let only = if listed.len() == 1 { listed.first() } else { None };
    controller.or(only).map(ObjectRef::of_reference)
}

fn references(object: &Value) -> impl Iterator<Item = ObjectRef> {
    // Asked of every review; a pointer would be taken apart each time.
    let listed = object.get("metadata").and_then(|metadata| metadata.get("ownerReferences")).and_then(Value::as_array);
    listed.into_iter().flatten().map(ObjectRef::of_reference)
}

fn uid_of(object: &Value) -> &str {
    object.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_is_its_controllers_or_its_only_owners() {
        let reference = |name: &str, controller: bool| json!({"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": name, "controller": controller});
        let owned = |owners: Value| owner(&json!({"metadata": {"ownerReferences": owners}})).map(|owner| owner.name);
        assert_eq!(owned(json!([])), None);
        assert_eq!(owned(json!([reference("a", false)])).as_deref(), Some("a"));
        assert_eq!(owned(json!([reference("a", false), reference("b", true)])).as_deref(), Some("b"));
        assert_eq!(owned(json!([reference("a", false), reference("b", false)])), None);
    }
}
