//! A real node in a line: a control plane, and beside it containerd, runc, CNI plugins, a kubelet and kube-proxy.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! let node = node::Node::start()?;
//! let namespace = node.cluster.namespace()?;
//! node.cluster.kubectl(&["-n", &namespace, "run", "a", "--image", node::IMAGE, "--", "sleep", "1"])?.ok()?;
//! # Ok(()) }
//! ```
//!
//! Everything, the API server too, runs in a network namespace that has **no route out**, in a PID namespace and in a
//! mount namespace. The kernel ends all of it when the first process of the PID namespace ends, and that one ends with
//! this process, however it does: containers, their shims, mounts, interfaces, rules. Several run side by side.
//!
//! **A thread has to be inside** to reach the API server at its usual `127.0.0.1`. [`Node::start`] and
//! [`Machine::enter`] bring the calling thread in; threads and processes that it starts from then on are inside too
//! (`kubectl`, retinue, the workers of a runtime that is built after it). A `#[tokio::test]` has built its runtime before: build
//! one by hand.
//!
//! [`IMAGE`] is there: `program/main.go` says what its containers can do. [`Machine::load`] makes others.
//!
//! It takes root on Linux and a few packages; [`unavailable`] tells, in words, and [`wanted`] whether to run at all.

mod availability;
mod configuration;
mod image;
mod machine;
mod namespaces;
mod traces;

use anyhow::Result;
use controlplane::{ControlPlane, Options};

pub use availability::{unavailable, wanted};
pub use image::IMAGE;
pub use machine::Machine;
pub use namespaces::ADDRESS;

/// The name of the node.
pub const NAME: &str = "node-0";

/// A control plane with a real node.
#[derive(Debug)]
pub struct Node {
    /// The machine. First, so that it goes before those whom its kubelet asks.
    pub machine: Machine,
    /// The control plane, in the machine's network namespace.
    pub cluster: ControlPlane,
}

impl Node {
    /// Starts everything, waits until the node is ready, and leaves the calling thread inside.
    ///
    /// # Errors
    /// What the machine lacks, with the packages to install; what ended, with the end of its log.
    pub fn start() -> Result<Self> {
        Self::start_with(Options::new())
    }

    /// As [`Node::start`], with further options for the control plane.
    ///
    /// # Errors
    /// As [`Node::start`].
    pub fn start_with(options: Options) -> Result<Self> {
        let machine = Machine::start()?;
        machine.enter()?;
        let cluster = options.nodes(0).address(ADDRESS).start()?;
        machine.join(&cluster)?;
        Ok(Self { machine, cluster })
    }
}
