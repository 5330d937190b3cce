//! `retinue dev`: webhook and controller in one process, on a laptop, with certificates made at the start.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use certs::issue::Names;
use certs::resolver::Resolver;
use certs::source::Serving;
use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::core::{DynamicObject, GroupVersionKind};
use kube::discovery::{Scope, pinned_kind};
use kube::{Api, Client};
use prometheus_client::registry::Registry;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use webhooks::metrics::Metrics;

use crate::cli::{Failure, certs::issue};
use crate::cluster::client::Connection;
use crate::cluster::collectable::Collector;
use crate::collector;
use crate::deploy::{self, Reach, Values};
use crate::sampler;

use super::clients::ClientArgs;
use super::controller::{self, ClusterArgs, CollectArgs};
use super::memory::MemoryArgs;
use super::{Parts, webhook};

const EXAMPLES: &str = "\
Examples:
  retinue dev --install
  retinue dev --install --listen 127.0.0.1:9443 --context kind-dev

Needs an API server that reaches this machine at the address given, such as one on this machine, and an admin's
kubeconfig. What --install applies stays when retinue dev ends: masters are then refused until it runs again, or until
the webhook configurations are deleted.";

/// The field manager of what is applied.
const MANAGER: &str = "retinue-dev";
/// The certificates live as long as a process on a laptop may.
const DAYS: u16 = 90;

/// Run webhook and controller in one process, on a laptop.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    collect: CollectArgs,
    /// Apply RBAC and webhook configurations that lead here
    #[arg(long)]
    install: bool,
    /// Where reviews are answered, over TLS; port 0 is any free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// Where health and metrics are answered, over plain HTTP
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    health: SocketAddr,
    #[command(flatten)]
    clients: ClientArgs,
    #[command(flatten)]
    memory: MemoryArgs,
}

/// Why what is installed could not be applied.
#[derive(Debug, thiserror::Error)]
enum InstallError {
    #[error("{0} is not what an object of Kubernetes looks like")]
    Shape(String),
    #[error("{what} could not be applied: {source}")]
    Apply { what: String, source: kube::Error },
}

/// Runs it until `shutdown`.
///
/// # Errors
/// When it cannot start, or a part of it dies.
pub async fn run(args: &Args, shutdown: CancellationToken) -> Result<(), Failure> {
    let clients = args.clients.served()?;
    let connection = Connection::open(&args.cluster.source()).await?;
    let names = Names { dns: vec!["localhost".into()], ips: addresses(args.listen.ip()) };
    let issued = issue(&names, Timestamp::now(), DAYS)?;
    let serving = Serving::from_pem(
        issued.leaf.certificate.as_bytes(),
        issued.leaf.key.as_bytes(),
        Some(issued.authority.clone().into_bytes()),
    )?;
    let resolver = Arc::new(Resolver::with(serving));

    let mut registry = Registry::default();
    let reviews = Metrics::register(&mut registry);
    webhook::tell_expiry(&resolver, &reviews);
    let collected = collector::Metrics::default();
    collected.register(&mut registry);
    let sampled = sampler::Metrics::default();
    sampled.register(&mut registry);
    let mut parts = Parts::new(shutdown.clone());
    let settings = webhook::Settings {
        listen: args.listen,
        health: args.health,
        clients,
        trusted: args.install,
        collector: Collector::Ourselves,
        template_memory: args.memory.templates(),
        retiring: shutdown.clone(),
    };
    let address =
        webhook::start(&mut parts, connection.clone(), &resolver, settings, reviews, registry, shutdown.clone())?;
    if args.install {
        // After the server listens: a configuration that leads nowhere would refuse every master meanwhile.
        let values = Values {
            reach: Reach::Url(format!("https://{}", reachable(address))),
            ca_bundle: Some(issued.authority),
            ..Values::default()
        };
        let installed = apply(&connection.client, deploy::render(&values.checked()?)).await;
        if let Err(error) = installed {
            shutdown.cancel();
            let _ = parts.join().await;
            return Err(error.into());
        }
    }
    controller::sample(&mut parts, &connection, &args.collect, &args.memory, sampled);
    controller::start(&mut parts, connection, args.collect.config(), collected, shutdown);
    parts.join().await
}

/// The addresses that the certificate is for: where it listens, and the loopback address.
fn addresses(listen: IpAddr) -> Vec<IpAddr> {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    if listen.is_unspecified() || listen == loopback { vec![loopback] } else { vec![loopback, listen] }
}

/// Where an API server on this machine reaches a listener.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = if listen.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { listen.ip() };
    SocketAddr::new(ip, listen.port())
}

async fn apply(client: &Client, objects: Vec<Value>) -> Result<(), InstallError> {
    for object in objects {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (name, namespace) = (text(&object["metadata"]["name"]), text(&object["metadata"]["namespace"]));
        let what = format!("{} {name}", text(&object["kind"]));
        let failed = |source| InstallError::Apply { what: what.clone(), source };
        let object: DynamicObject = serde_json::from_value(object).map_err(|_| InstallError::Shape(what.clone()))?;
        let kind = object.types.as_ref().and_then(|types| GroupVersionKind::try_from(types).ok());
        let kind = kind.ok_or_else(|| InstallError::Shape(what.clone()))?;
        let (resource, capabilities) = pinned_kind(client, &kind).await.map_err(failed)?;
        let api: Api<DynamicObject> = match capabilities.scope {
            Scope::Cluster => Api::all_with(client.clone(), &resource),
            Scope::Namespaced => Api::namespaced_with(client.clone(), &namespace, &resource),
        };
        let params = PatchParams::apply(MANAGER).force();
        api.patch(&name, &params, &Patch::Apply(&object)).await.map_err(failed)?;
        tracing::info!(what, "applied");
    }
    Ok(())
}
