//! `retinue controller`: collects, and samples templates.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::cli::Failure;
use crate::cluster::client::{Connection, Source};
use crate::collector::{self, Config, Election, Metrics};
use crate::sampler;

use super::{Parts, say_ready, status};

const EXAMPLES: &str = "\
Examples:
  retinue controller
  retinue controller --kubeconfig ~/.kube/config --collect-namespace trading --health 127.0.0.1:8080

New kinds, and rights given or withdrawn, are noticed within about a second, by watches of CustomResourceDefinitions,
APIServices, and RBAC's roles and bindings. An account that may not watch those (one installed by an older version) is told
of in the log and by the metric retinue_collector_unwatched; kinds and rights are then looked at every 10 minutes, and
when a watch or a deletion is refused.";

/// How to reach the cluster.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ClusterArgs {
    /// A kubeconfig; else KUBECONFIG, ~/.kube/config, or the pod's own account
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// A context of the kubeconfig; else its current one
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}

impl ClusterArgs {
    /// As the cluster's rooms take it.
    pub fn source(&self) -> Source {
        match (&self.kubeconfig, &self.context) {
            (None, None) => Source::Inferred,
            (path, context) => Source::Kubeconfig { path: path.clone(), context: context.clone() },
        }
    }
}

/// What is collected, and how fast.
#[derive(Clone, Debug, clap::Args)]
pub struct CollectArgs {
    /// Collect in this namespace only; else in all
    #[arg(long, value_name = "NAMESPACE")]
    pub collect_namespace: Option<String>,
    /// Deletions per second, at most
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub delete_rate: u32,
    /// Delete beside other collectors, which harms nothing; else one of them does, by the Lease retinue-controller in
    /// the pod's own namespace (the variable POD_NAMESPACE)
    #[arg(long)]
    pub no_leader_election: bool,
    /// How long after its last renewal that Lease is stale, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u32).range(3..=300))]
    pub lease_duration: u32,
}

impl CollectArgs {
    /// As the collector takes it.
    pub fn config(&self) -> Config {
        Config {
            namespace: self.collect_namespace.clone(),
            rate: self.delete_rate,
            instance: super::instance(),
            pod: super::pod(),
            election: self.election(),
        }
    }

    fn election(&self) -> Option<Election> {
        if self.no_leader_election {
            return None;
        }
        let Some(namespace) = super::namespace() else {
            tracing::info!("no leader election: POD_NAMESPACE does not say in which namespace the Lease would be");
            return None;
        };
        let duration = Duration::from_secs(self.lease_duration.into());
        Some(Election { namespace, identity: super::instance(), duration })
    }
}

/// Collect: delete dependents whose deadline is past.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    collect: CollectArgs,
    /// Where health and metrics are answered, over plain HTTP
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    health: SocketAddr,
}

/// Runs it until `shutdown`.
///
/// # Errors
/// When it cannot start, or a task of it dies.
pub async fn run(args: &Args, shutdown: CancellationToken) -> Result<(), Failure> {
    let connection = Connection::open(&args.cluster.source()).await?;
    let metrics = Metrics::default();
    let mut registry = Registry::default();
    metrics.register(&mut registry);
    let sampled = sampler::Metrics::default();
    sampled.register(&mut registry);
    let mut parts = Parts::new(shutdown.clone());
    let status = status::bind(args.health, Arc::new(registry), metrics.clone(), shutdown.clone())?;
    tracing::info!(address = %status.address, "health and metrics are answered");
    parts.start("the server for health and metrics", status.run());
    sample(&mut parts, &connection, &args.collect, sampled);
    start(&mut parts, connection, &args.collect, metrics, shutdown);
    parts.join().await
}

/// Starts the samples. Where only one namespace is collected, the account is taken to know no other: none are made.
pub fn sample(parts: &mut Parts, connection: &Connection, collect: &CollectArgs, metrics: sampler::Metrics) {
    if collect.collect_namespace.is_some() {
        tracing::info!("no samples of templates are made: that takes the whole cluster");
        return;
    }
    parts.keep("the samples", sampler::run(connection.client.clone(), super::instance(), metrics));
}

/// Starts the collector, and says when it follows what it may delete.
pub fn start(
    parts: &mut Parts,
    connection: Connection,
    collect: &CollectArgs,
    metrics: Metrics,
    shutdown: CancellationToken,
) {
    let Connection { client, clock } = connection;
    let (ready, following) = (Arc::clone(&metrics.following), metrics.clone());
    parts.start("the collector", collector::run(client, clock, collect.config(), metrics, shutdown));
    parts.keep("the word that it is ready", async move {
        ready.notified().await;
        say_ready(&format!("dependents of {} kinds are collected", following.kinds.get()));
        std::future::pending().await
    });
}
