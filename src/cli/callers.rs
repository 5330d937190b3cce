//! What a cluster shows of where its API servers call from, read for `install --callers auto` and for the doctor.

use policies::doctor::callers::{Facts, Proposed, Range};
use serde_json::Value;

use super::Failure;
use super::doctor::ask::{Asker, NoAnswer};
use crate::cluster::client::{Connection, Source};

const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
const OF_KUBERNETES: &str = "&labelSelector=kubernetes.io%2Fservice-name%3Dkubernetes";
/// What may carry an API server's calls, with its kind.
const WORKLOADS: [(&str, &str); 3] =
    [("deployments", "Deployment"), ("daemonsets", "DaemonSet"), ("statefulsets", "StatefulSet")];

/// Why no addresses are proposed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotProposed {
    /// It could not be read.
    #[error("--callers auto: {what} could not be read: {reason}")]
    Unread {
        /// What.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// The cluster does not show it.
    #[error(
        "--callers auto: where API servers call from cannot be told, and a wrong answer cuts every master off:\n  - {}\n\
         Leave --callers out; or give the addresses yourself (--callers CIDR); or, where the API server's flags are yours, \
         have it show a certificate (retinue certs --client), which holds in any network.", .0.join("\n  - ")
    )]
    NotShown(Vec<String>),
}

/// What was read.
pub(crate) struct Seen {
    slices: Vec<Value>,
    nodes: Vec<Value>,
    workloads: Vec<Value>,
    cilium: Option<Value>,
}

impl Seen {
    /// Reads everything.
    pub(crate) async fn look(asker: &Asker) -> Result<Self, NotProposed> {
        let unread = |what| move |error: NoAnswer| NotProposed::Unread { what, reason: error.message };
        let slices = slices(asker).await.map_err(unread("the endpoints of default/kubernetes"))?;
        let nodes = asker.list("/api/v1/nodes", "").await.map_err(unread("the nodes"))?;
        let mut workloads = Vec::new();
        for (resource, kind) in WORKLOADS {
            let found = asker.metadata(&format!("/apis/apps/v1/{resource}")).await.map_err(unread(resource))?;
            workloads.extend(found.into_iter().map(|mut workload| {
                // A list of metadata names another kind.
                workload["kind"] = kind.into();
                workload
            }));
        }
        let cilium = asker.get("/api/v1/namespaces/kube-system/configmaps/cilium-config").await;
        let cilium = cilium.map_err(unread("ConfigMap kube-system/cilium-config"))?;
        Ok(Self { slices, nodes, workloads, cilium })
    }

    fn facts(&self) -> Facts<'_> {
        let Self { slices, nodes, workloads, cilium } = self;
        Facts { slices, nodes, workloads, cilium: cilium.as_ref() }
    }
}

async fn slices(asker: &Asker) -> Result<Vec<Value>, NoAnswer> {
    asker.list(SLICES, OF_KUBERNETES).await
}

/// The API servers that a NetworkPolicy with these ranges shuts out.
pub(crate) async fn shut_out(asker: &Asker, ranges: &[Range]) -> Result<Vec<String>, NoAnswer> {
    let slices = slices(asker).await?;
    let facts = Facts { slices: &slices, nodes: &[], workloads: &[], cilium: None };
    Ok(facts.shut_out(ranges).iter().map(ToString::to_string).collect())
}

/// Asks the cluster where its API servers call from.
///
/// # Errors
/// Without a connection, and where the cluster does not show it.
pub(crate) fn proposed(source: &Source) -> Result<Vec<Proposed>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let seen = runtime.block_on(async {
        let connection = Connection::open(source).await?;
        Ok::<_, Failure>(Seen::look(&Asker { client: connection.client }).await?)
    });
    runtime.shutdown_timeout(std::time::Duration::from_millis(100));
    Ok(seen?.facts().propose().map_err(NotProposed::NotShown)?)
}
