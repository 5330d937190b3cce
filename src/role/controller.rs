//! `retinue controller`: collects, and samples templates.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::cli::{Failure, input};
use crate::cluster::client::{Connection, Source};
use crate::collector::{self, Config, Election, Foreign, Guard, Metrics, Wanted};
use crate::deploy::{self, Floor};
use crate::sampler;

use super::memory::MemoryArgs;
use super::{Parts, say_ready, status};

const EXAMPLES: &str = "\
Examples:
  retinue controller
  retinue controller --kubeconfig ~/.kube/config --collect-namespace trading --health 127.0.0.1:8080
  retinue controller --foreign-keys --foreign-annotations deployments.apps,pods --foreign-namespaces previews
  retinue controller --essential-namespace trading,risk

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
    #[arg(long, value_name = "NAMESPACE", value_parser = input::namespace)]
    pub collect_namespace: Option<String>,
    /// End pods whose essential containers (labels essential-containers, essential-container) have completed in this
    /// namespace only; may be given several times, or list several with commas; else wherever dependents are collected
    #[arg(long, value_name = "NAMESPACE", value_delimiter = ',', value_parser = input::namespace,
        conflicts_with = "no_essential_containers")]
    pub essential_namespace: Vec<String>,
    /// End no pods because of essential containers
    #[arg(long)]
    pub no_essential_containers: bool,
    /// Deletions per second, at most; else as many as the API server answers, 32 at a time
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub delete_rate: Option<u32>,
    /// Delete beside other collectors, which harms nothing; else one of them does, by the Lease retinue-controller in
    /// the pod's own namespace (the variable POD_NAMESPACE)
    #[arg(long)]
    pub no_leader_election: bool,
    /// How long after its last renewal that Lease is stale, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u32).range(3..=300))]
    pub lease_duration: u32,
    /// Delete also what no master started and carries another collector's key
    ///
    /// The label cleanup.kyverno.io/ttl counts on every kind that is collected, by one more watch for each, of what
    /// carries it alone; annotations only on the kinds of --foreign-annotations. A value that cannot be read is told by an
    /// Event on the object, which is kept. Whoever may write such a key on an object can have it deleted.
    #[arg(long)]
    pub foreign_keys: bool,
    /// Kinds (deployments.apps) whose annotations janitor/ttl, janitor/expires and k8s-ttl-controller.twin.sh/ttl count
    ///
    /// Nothing can be selected by an annotation: the metadata of all objects of these kinds are listed and watched, about
    /// 2 kB for each and for each of its changes. Only what carries a key is kept in memory.
    #[arg(long, value_name = "KIND,...", value_delimiter = ',', value_parser = name, requires = "foreign_keys")]
    pub foreign_annotations: Vec<String>,
    /// Namespaces in which such keys count, each with watches of its own; else wherever is collected
    #[arg(long, value_name = "NAMESPACE,...", value_delimiter = ',', value_parser = input::namespace,
        requires = "foreign_keys", conflicts_with = "collect_namespace")]
    pub foreign_namespaces: Vec<String>,
}

/// The name of a kind.
fn name(text: &str) -> Result<String, String> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
    let good = !text.is_empty() && text.chars().all(inner);
    good.then(|| text.to_owned()).ok_or_else(|| "a name is made of a-z, 0-9, - and . (deployments.apps)".into())
}

impl CollectArgs {
    /// As the collector takes it.
    pub fn config(&self) -> Config {
        Config {
            namespace: self.collect_namespace.clone(),
            essential: self.essential(),
            rate: self.delete_rate,
            instance: super::instance(),
            pod: super::pod(),
            election: self.election(),
            foreign: self.foreign_keys.then(|| Foreign {
                annotated: self.foreign_annotations.iter().cloned().collect(),
                namespaces: self.foreign_namespaces.iter().cloned().collect(),
            }),
            guard: Guard::default(),
        }
    }

    fn essential(&self) -> Wanted {
        if self.no_essential_containers {
            Wanted::Nowhere
        } else if self.essential_namespace.is_empty() {
            Wanted::Anywhere
        } else {
            Wanted::In(self.essential_namespace.iter().cloned().collect())
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

/// Collect: delete dependents whose deadline is past, and pods whose essential containers have completed.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    collect: CollectArgs,
    #[command(flatten)]
    memory: MemoryArgs,
    /// The floor is not installed: say nothing of policies that are missing
    #[arg(long)]
    no_floor: bool,
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
    sample(&mut parts, &connection, &args.collect, &args.memory, sampled);
    let floor = if args.no_floor { Floor::Off } else { Floor::On };
    let config = Config { guard: deploy::guard(floor), ..args.collect.config() };
    start(&mut parts, connection, config, metrics, shutdown);
    parts.join().await
}

/// Starts the samples. Where only one namespace is collected, the account is taken to know no other: none are made.
pub fn sample(
    parts: &mut Parts,
    connection: &Connection,
    collect: &CollectArgs,
    memory: &MemoryArgs,
    metrics: sampler::Metrics,
) {
    if collect.collect_namespace.is_some() {
        tracing::info!("no samples of templates are made: that takes the whole cluster");
        return;
    }
    parts.keep("the samples", sampler::run(connection.client.clone(), super::instance(), memory.templates(), metrics));
}

/// Starts the collector, and says when it follows what it may delete.
pub fn start(parts: &mut Parts, connection: Connection, config: Config, metrics: Metrics, shutdown: CancellationToken) {
    let Connection { client, clock } = connection;
    let (ready, following) = (Arc::clone(&metrics.following), metrics.clone());
    parts.start("the collector", collector::run(client, clock, config, metrics, shutdown));
    parts.keep("the word that it is ready", async move {
        ready.notified().await;
        say_ready(&format!("dependents of {} kinds are collected", following.kinds.get()));
        std::future::pending().await
    });
}
