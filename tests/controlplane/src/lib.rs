//! A real Kubernetes control plane for tests and the demo, in a line:
//!
//! ```no_run
//! # fn main() -> Result<(), controlplane::Error> {
//! let cluster = controlplane::ControlPlane::start()?;
//! let namespace = cluster.namespace()?;
//! cluster.kubectl(&["-n", &namespace, "create", "configmap", "a"])?.ok()?;
//! # Ok(()) }
//! ```
//!
//! etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kwok are the real programs, built from source by
//! `make controlplane`. Any number of control planes run side by side. Each ends with the value that stands for
//! it, and at the latest with this process, however that ends.
//!
//! Everything here blocks. An async test calls it as it is, on a runtime of several threads: on one with a single
//! thread, a webhook served by that same thread could not answer the API server that `kubectl` waits for.
//!
//! Environment: `KUBEBUILDER_ASSETS`, a folder whose programs come before those that were built;
//! `CONTROLPLANE_KEEP`, set to anything, keeps the folder with all logs and names it on standard error.

mod answers;
mod asker;
mod audit;
mod binaries;
mod boot;
mod component;
mod credentials;
mod error;
mod flags;
mod http;
mod identity;
mod kubectl;
mod objects;
mod options;
mod port;
mod relay;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicUsize;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

pub use asker::{Asker, Reply};
pub use binaries::find as program;
use boot::Components;
pub use boot::until;
pub use component::Component;
pub use credentials::Identity;
pub use error::Error;
pub use kubectl::{Output, kubectl};
pub use options::Options;
pub use port::Port;
pub use relay::{Fault, Relay};

/// A running control plane. Dropping it ends every component and deletes its folder.
#[derive(Debug)]
pub struct ControlPlane {
    options: Options,
    /// The API server's port on the loopback interface; it stays the same when the API server is restarted.
    port: Port,
    authority: credentials::Authority,
    admin: Identity,
    client: http::Client,
    components: Mutex<Components>,
    /// Numbers the kubeconfig files that were written.
    written: AtomicUsize,
    /// Logs, data, certificates. Last, so that it goes after all who write into it.
    folder: boot::Folder,
}

impl ControlPlane {
    /// Starts everything: etcd, API server, controllers, scheduler, one node. [`Options`] start less, or more.
    ///
    /// # Errors
    /// As [`Options::start`].
    pub fn start() -> Result<Self, Error> {
        Options::new().start()
    }

    /// The one control plane that all tests of this process share; the first to ask waits for it to start.
    /// It ends with the process.
    ///
    /// # Errors
    /// What starting it gave, for everyone who asks.
    pub fn shared() -> Result<&'static Self, &'static Error> {
        static SHARED: OnceLock<Result<ControlPlane, Error>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    /// The address of the API server, `https://127.0.0.1:PORT`.
    #[must_use]
    pub fn server_url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port.number())
    }

    /// The certificate of the authority that signed everything here, PEM.
    #[must_use]
    pub fn ca_pem(&self) -> String {
        self.authority.pem()
    }

    /// The admin's client certificate and key: user `admin`, group `system:masters`.
    #[must_use]
    pub fn admin(&self) -> &Identity {
        &self.admin
    }

    /// The admin's kubeconfig.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.path("admin.kubeconfig")
    }

    /// The folder with logs (`etcd.log`, `kube-apiserver.log`, …), certificates and kubeconfigs, for as long as this lives.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The last lines of every component's log, each under its name.
    #[must_use]
    pub fn logs(&self) -> String {
        self.components().tails()
    }

    /// Kills the API server. Everything else goes on, and asks in vain.
    pub fn stop_apiserver(&self) {
        self.components().apiserver = None;
    }

    /// Starts the API server again, on the same port and data, and waits until it is ready.
    ///
    /// # Errors
    /// It ended, or is not ready after two minutes.
    pub fn start_apiserver(&self) -> Result<(), Error> {
        self.stop_apiserver();
        let apiserver = boot::apiserver(self.folder(), self.port.number(), &self.options)?;
        self.components().apiserver = Some(apiserver);
        self.until_ready()
    }

    /// Kills etcd, as a machine that dies would: the data stay. The API server goes on, and cannot read or write.
    ///
    /// # Errors
    /// The process cannot be found.
    pub fn stop_etcd(&self) -> Result<(), Error> {
        let stopped = self.components().etcd.take();
        stopped.map_or(Ok(()), Component::kill)
    }

    /// Starts etcd again on the same data, and waits until the API server says that it is ready.
    ///
    /// # Errors
    /// It ended, or the API server is not ready after two minutes.
    pub fn start_etcd(&self) -> Result<(), Error> {
        self.stop_etcd()?;
        let etcd = boot::etcd(&self.folder)?;
        self.components().etcd = Some(etcd);
        self.until_ready()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    fn components(&self) -> MutexGuard<'_, Components> {
        // A panic elsewhere leaves processes in a state that is checked anyway.
        self.components.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
