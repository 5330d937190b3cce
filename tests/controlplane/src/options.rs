//! What a control plane is made of.

use std::net::Ipv4Addr;

use crate::{ControlPlane, Error};

/// What to start, and how. The default is everything: etcd, API server, controllers, scheduler, and one node.
///
/// ```no_run
/// # fn main() -> Result<(), controlplane::Error> {
/// let cluster = controlplane::Options::api_only().apiserver_flag("--v=4").start()?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Options {
    pub(crate) controllers: bool,
    pub(crate) scheduler: bool,
    pub(crate) nodes: usize,
    pub(crate) address: Option<Ipv4Addr>,
    pub(crate) apiserver_flags: Vec<String>,
    pub(crate) controller_flags: Vec<String>,
    pub(crate) audit_policy: String,
}

/// Every request once, when it is complete, with who, what, verdict and audit annotations; no bodies.
const AUDIT_POLICY: &str = r#"{
  "apiVersion": "audit.k8s.io/v1",
  "kind": "Policy",
  "omitStages": ["RequestReceived"],
  "rules": [{"level": "Metadata"}]
}"#;

impl Default for Options {
    fn default() -> Self {
        Self {
            controllers: true,
            scheduler: true,
            nodes: 1,
            address: None,
            apiserver_flags: Vec::new(),
            controller_flags: Vec::new(),
            audit_policy: AUDIT_POLICY.to_owned(),
        }
    }
}

impl Options {
    /// Everything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// etcd and the API server alone: the quickest start, where nothing is collected, scheduled or run.
    #[must_use]
    pub fn api_only() -> Self {
        Self { controllers: false, scheduler: false, nodes: 0, ..Self::default() }
    }

    /// With or without kube-controller-manager.
    #[must_use]
    pub fn controllers(self, controllers: bool) -> Self {
        Self { controllers, ..self }
    }

    /// With or without kube-scheduler.
    #[must_use]
    pub fn scheduler(self, scheduler: bool) -> Self {
        Self { scheduler, ..self }
    }

    /// How many nodes kwok plays; none, and kwok is not started. Pods on them run at once and until they are deleted;
    /// a pod annotated `simulate: completes` ends with exit code 0, one with `simulate: fails` with 3.
    #[must_use]
    pub fn nodes(self, nodes: usize) -> Self {
        Self { nodes, ..self }
    }

    /// For a real node, on whose network this address is: pods reach the API server there through the Service
    /// `kubernetes`, and the API server reaches the kubelet. It listens on every address of its network namespace, so that
    /// is one of its own.
    #[must_use]
    pub fn address(self, address: Ipv4Addr) -> Self {
        Self { address: Some(address), ..self }
    }

    /// A further flag for the API server. A flag given twice: the later one counts.
    #[must_use]
    pub fn apiserver_flag(mut self, flag: impl Into<String>) -> Self {
        self.apiserver_flags.push(flag.into());
        self
    }

    /// A further flag for kube-controller-manager.
    #[must_use]
    pub fn controller_flag(mut self, flag: impl Into<String>) -> Self {
        self.controller_flags.push(flag.into());
        self
    }

    /// The audit policy, YAML or JSON. By default every request is logged at level Metadata.
    #[must_use]
    pub fn audit_policy(self, policy: impl Into<String>) -> Self {
        Self { audit_policy: policy.into(), ..self }
    }

    /// Starts it and waits until it can be used.
    ///
    /// # Errors
    /// A program is missing, a component ended (its log is in the message), or it is not ready after two minutes.
    pub fn start(self) -> Result<ControlPlane, Error> {
        ControlPlane::start_with(self)
    }
}
