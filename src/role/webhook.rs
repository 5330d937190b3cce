//! `retinue webhook`: answers the API server's reviews.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use certs::resolver::Resolver;
use certs::source::{Directory, TICK};
use jiff::Timestamp;
use policies::library::Severity;
use prometheus_client::registry::Registry;
use rustls::server::danger::ClientCertVerifier;
use tokio_util::sync::CancellationToken;
use webhooks::health::Readiness;
use webhooks::metrics::Metrics;
use webhooks::server;

use crate::cli::Failure;
use crate::cluster::client::Connection;
use crate::cluster::collectable::Collector;
use crate::cluster::readiness::{Configuration, Trust, Trusts};
use crate::cluster::{self, Cluster};
use crate::deploy::CONFIGURATION;
use crate::shutdown;

use super::clients::{ClientArgs, Served};
use super::controller::ClusterArgs;
use super::memory::MemoryArgs;
use super::{Parts, say_ready};

const EXAMPLES: &str = "\
Examples:
  retinue webhook --certs /certs
  retinue webhook --certs ./certs --listen 127.0.0.1:8443 --kubeconfig ~/.kube/config

The directory holds tls.crt and tls.key, as a Secret of type kubernetes.io/tls does when mounted; it is read again when
it changes. Until every watch is synced and the webhook configurations trust the certificate, reviews are refused and
/readyz says why. A line that begins with \"ready\" goes to standard output when all of that holds.";

/// Answer the API server's reviews.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// The directory with tls.crt and tls.key
    #[arg(long, value_name = "DIR", default_value = "/certs")]
    certs: PathBuf,
    /// Where reviews are answered, over TLS
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8443")]
    listen: SocketAddr,
    /// Where health and metrics are answered, over plain HTTP
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    health: SocketAddr,
    #[command(flatten)]
    clients: ClientArgs,
    /// How many seconds it goes on accepting connections after SIGTERM, while /readyz says no
    ///
    /// In a cluster its Service may name it for a moment longer, and each connection that it refuses fails a master's create.
    /// What it has accepted is answered in any case; a second signal ends it at once.
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=300))]
    shutdown_delay: u32,
    #[command(flatten)]
    memory: MemoryArgs,
}

/// How to serve reviews.
pub struct Settings {
    /// Where, over TLS.
    pub listen: SocketAddr,
    /// Where health and metrics are answered.
    pub health: SocketAddr,
    /// The clients that are served; none: whoever reaches the port.
    pub clients: Option<Served>,
    /// Whether the installed webhook configurations must trust the certificate before we are ready.
    pub trusted: bool,
    /// Whose rights the collector has.
    pub collector: Collector,
    /// Bytes that are kept of template ConfigMaps.
    pub template_memory: u64,
    /// Cancelled when /readyz must begin to say no, before all else ends or with it.
    pub retiring: CancellationToken,
}

/// Runs it until `shutdown`.
///
/// # Errors
/// When it cannot start, or a part of it dies.
pub async fn run(args: &Args, shutdown: CancellationToken) -> Result<(), Failure> {
    let directory = Directory::new(&args.certs);
    let resolver = Arc::new(Resolver::with(directory.read()?));
    let clients = args.clients.served()?;
    let (listen, health) = (args.listen, args.health);
    let template_memory = args.memory.templates();
    let retiring = shutdown.clone();
    let shutdown = shutdown::after(&shutdown, Duration::from_secs(args.shutdown_delay.into()));
    let settings = Settings {
        listen,
        health,
        clients,
        trusted: true,
        collector: Collector::Controller,
        template_memory,
        retiring,
    };
    let connection = Connection::open(&args.cluster.source()).await?;

    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let mut parts = Parts::new(shutdown.clone());
    let (watched, told) = (Arc::clone(&resolver), metrics.clone());
    tell_expiry(&watched, &told);
    parts.keep("the watch of the certificate", async move {
        directory.follow(&watched, TICK, Timestamp::now, |_| tell_expiry(&watched, &told)).await;
    });
    start(&mut parts, connection, &resolver, settings, metrics, registry, shutdown)?;
    parts.join().await
}

/// Starts everything that serving reviews takes, and says where they are answered.
///
/// # Errors
/// When an address cannot be listened on, or TLS cannot be set up.
pub fn start(
    parts: &mut Parts,
    connection: Connection,
    resolver: &Arc<Resolver>,
    settings: Settings,
    metrics: Metrics,
    mut registry: Registry,
    shutdown: CancellationToken,
) -> Result<SocketAddr, Failure> {
    let readiness = Readiness::new(["cluster"]);
    let options = cluster::Options {
        instance: super::instance(),
        trust: settings.trusted.then(|| trust(resolver, &connection)),
        readiness: Some(readiness.clone()),
        collector: Some(settings.collector),
        template_memory: Some(settings.template_memory),
    };
    let (cluster, tasks) = Cluster::start(connection, options, shutdown.clone());
    readiness.set("cluster", Ok(()));
    cluster::metrics::register(&cluster, &mut registry);
    parts.start("what is known of the cluster", tasks.join());
    parts.keep("the count of template problems", count_problems(Arc::clone(&cluster), metrics.clone()));

    let clients = settings.clients.map(|served| served.start(parts, &mut registry) as Arc<dyn ClientCertVerifier>);
    let tls = server::tls_for(Arc::clone(resolver) as _, clients)?;
    let config = server::Config::new(settings.listen, Some(settings.health), tls);
    let served = server::Parts::new(Arc::clone(&cluster), cluster, readiness.clone(), metrics, Arc::new(registry));
    let bound = server::bind(config, served, shutdown)?;
    let address = bound.address;
    let health = bound.plain_address.map(tracing::field::display);
    tracing::info!(%address, health, "listening");
    parts.start("the server of reviews", bound.run());
    let (retiring, retired) = (settings.retiring, readiness.clone());
    parts.keep("the word that it retires", async move {
        retiring.cancelled().await;
        retired.retire();
        std::future::pending().await
    });
    parts.keep("the word that it is ready", async move {
        readiness.until_ready().await;
        say_ready(&format!("reviews are answered on {address}"));
        std::future::pending().await
    });
    Ok(address)
}

/// The check that the webhook configurations trust what is served.
fn trust(resolver: &Arc<Resolver>, connection: &Connection) -> Trust {
    let (resolver, clock) = (Arc::clone(resolver), Arc::clone(&connection.clock));
    let trusts: Trusts = Arc::new(move |bundle, name| {
        let serving = resolver.current().ok_or("no certificate is served yet")?;
        // The API server checks it, by its own clock.
        let now = clock.now().unwrap_or_else(Timestamp::now);
        certs::trust::verify(bundle, serving.chain(), name, now).map_err(|error| error.to_string())
    });
    let name = CONFIGURATION.to_owned();
    Trust { configurations: vec![Configuration::Mutating(name.clone()), Configuration::Validating(name)], trusts }
}

/// Shows when the served certificate expires.
pub fn tell_expiry(resolver: &Resolver, metrics: &Metrics) {
    if let Some(serving) = resolver.current() {
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are exact in a double")]
        metrics.set_certificate_expiry(serving.validity.not_after.as_second() as f64);
    }
}

/// Shows how many problems the templates have; from memory, so that looking is free.
async fn count_problems(cluster: Arc<Cluster>, metrics: Metrics) {
    let mut ticker = tokio::time::interval(Duration::from_secs(5));
    loop {
        ticker.tick().await;
        let Ok(templates) = cluster.templates().snapshot() else { continue };
        for severity in [Severity::Error, Severity::Warning] {
            let problems = templates.library.sets.values().flat_map(|set| &set.problems);
            metrics.set_template_problems(severity, problems.filter(|problem| problem.severity == severity).count());
        }
    }
}
