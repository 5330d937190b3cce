//! Who asks: a master's account, pod and owner chain, already verified by whoever gathered them.

use crate::lifetime::Lifetime;
use crate::object::{NamespacedName, ObjectRef};

/// The pod that a bound token names, read live or from a watch known to be fresh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerPod {
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
    /// `status.podIP`, where it has one.
    pub ip: Option<String>,
    /// Whether it is being deleted: then it may delete, not create.
    pub terminating: bool,
}

/// What the deployer wrote on the pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Template ConfigMaps, in the order written.
    pub manifests: Vec<NamespacedName>,
    /// A Helm chart, as written.
    pub chart: Option<String>,
    /// How long dependents may live at most.
    pub duration: Option<Lifetime>,
}

/// A verified master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The ServiceAccount.
    pub account: NamespacedName,
    /// The pod.
    pub pod: CallerPod,
    /// The owner chain from the pod's controller upwards (ReplicaSet, Deployment); empty for a bare pod.
    pub chain: Vec<ObjectRef>,
    /// What the deployer wrote on the pod.
    pub wish: Wish,
    /// The deadline of the caller's own workload or pod, where it is itself a dependent.
    pub deadline: Option<jiff::Timestamp>,
}

impl Caller {
    /// The top of the chain: the workload, or the pod itself.
    pub fn workload(&self) -> ObjectRef {
        self.chain.last().cloned().unwrap_or_else(|| self.pod_ref())
    }

    /// The pod as an owner.
    pub fn pod_ref(&self) -> ObjectRef {
        ObjectRef {
            api_version: "v1".into(),
            kind: "Pod".into(),
            name: self.pod.name.clone(),
            uid: self.pod.uid.clone(),
        }
    }

    /// Whether `owner` is something in the verified chain, the pod included.
    pub fn includes(&self, owner: &ObjectRef) -> bool {
        self.chain.contains(owner) || self.pod_ref() == *owner
    }
}
