//! Who asks: a master's account, pod and owner chain, already verified by whoever gathered them.

mod wish;

pub use wish::WishError;

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

/// Why a caller could not be identified. Each message says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unidentified {
    /// Not a ServiceAccount's username.
    #[error("{0:?} is no ServiceAccount; retinue judges masters only")]
    NoAccount(String),
    /// The token names no pod.
    #[error(
        "the token of {account} names no pod, so retinue cannot tell which workload asks; use the token that is mounted \
         into the pod, or one made with: kubectl create token {name} --bound-object-kind Pod --bound-object-name POD",
        name = .account.name
    )]
    NoPod {
        /// The account.
        account: NamespacedName,
    },
    /// The token names several pods.
    #[error("the request of {account} names {count} values for {key}; exactly one is needed")]
    SeveralPods {
        /// The account.
        account: NamespacedName,
        /// The key in the user's extra.
        key: &'static str,
        /// How many values it has.
        count: usize,
    },
    /// The pod does not exist.
    #[error("pod {0}, to which the token is bound, is gone; only a living pod can launch")]
    PodGone(NamespacedName),
    /// Another pod has the name now.
    #[error(
        "pod {pod} is another one now (the token is bound to uid {bound}, the pod has {live}); use the new pod's token"
    )]
    OtherPod {
        /// The pod.
        pod: NamespacedName,
        /// Uid in the token.
        bound: String,
        /// Uid of the live pod.
        live: String,
    },
    /// The pod runs under another account.
    #[error("pod {pod} runs under account {runs_under}, not under {account}, whose token asks")]
    OtherAccount {
        /// The pod.
        pod: NamespacedName,
        /// The pod's account.
        runs_under: String,
        /// The asking account.
        account: NamespacedName,
    },
    /// A hop of the owner chain does not hold.
    #[error("pod {pod} says that {owner} controls it, but {reason}")]
    BrokenChain {
        /// The pod.
        pod: NamespacedName,
        /// Kind and name of the owner.
        owner: String,
        /// What does not hold.
        reason: String,
    },
    /// The pod's annotations cannot be read.
    #[error("pod {pod}: {reason}")]
    Wish {
        /// The pod.
        pod: NamespacedName,
        /// What is wrong and what to write.
        reason: String,
    },
    /// A lookup failed or took too long; the request is refused because nothing is known.
    #[error("could not look up {what}: {reason}; try again")]
    Lookup {
        /// What was looked up.
        what: String,
        /// Why it failed.
        reason: String,
    },
}
