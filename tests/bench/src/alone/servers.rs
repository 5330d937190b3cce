//! The servers, each a process of its own: retinue, and beside it two of the same stack that decide nothing.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};
use certs::resolver::Resolver;
use certs::source::Directory;
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use retinue::cluster::Cluster;
use retinue::cluster::still::Still;
use retinue::telemetry;
use rustls::ServerConfig;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use webhooks::health::Readiness;
use webhooks::lint::TemplateLint;
use webhooks::metrics::Metrics;
use webhooks::server::{self, Config, Parts};

use super::world::World;

/// What answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// Reads the body, answers a constant.
    Constant,
    /// Parses it as `serde_json::Value`, answers a constant patch with the uid.
    Parsing,
    /// The webhook.
    Retinue(World),
}

/// The stamp of one of the bench's pods, in base64: what a constant patch is as long as.
const PATCH: &str = include_str!("patch.base64");

/// Serves until the process is ended. Says on standard output where.
///
/// # Errors
/// When it cannot start.
pub fn run(server: Server, certificates: &Path) -> anyhow::Result<()> {
    let resolver = Arc::new(Resolver::with(Directory::new(certificates).read()?));
    let tls = server::tls(resolver, None)?;
    // As the real program does it.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match server {
            Server::Constant => constant(tls).await,
            Server::Parsing => parsing(tls).await,
            Server::Retinue(world) => retinue(world, tls).await,
        }
    })
}

fn say(address: SocketAddr) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{address}")
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn answer(json: String) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(json)
}

/// The stack that the webhook's server is, around another handler.
macro_rules! stack {
    ($handler:ident, $tls:ident) => {{
        let server = HttpServer::new(move || {
            let app = App::new().app_data(web::PayloadConfig::new(64 << 20));
            ["/mutate", "/validate", "/lint"]
                .into_iter()
                .fold(app, |app, path| app.route(path, web::post().to($handler)))
        })
        .workers(1)
        .tcp_nodelay(true)
        .keep_alive(Duration::from_secs(120))
        .h2_initial_window_size(256 << 10)
        .h2_initial_connection_window_size(64 << 20)
        .bind_rustls_0_23(loopback(), $tls)?;
        say(server.addrs().first().copied().unwrap_or(loopback()))?;
        Ok(server.run().await?)
    }};
}
async fn constant(tls: ServerConfig) -> anyhow::Result<()> {
    let handler = |body: web::Bytes| async move {
        std::hint::black_box(body);
        answer(response(""))
    };
    stack!(handler, tls)
}

async fn parsing(tls: ServerConfig) -> anyhow::Result<()> {
    let handler = |body: web::Bytes| async move {
        let Ok(review) = serde_json::from_slice::<Value>(&body) else { return HttpResponse::BadRequest().finish() };
        answer(response(review["request"]["uid"].as_str().unwrap_or_default()))
    };
    stack!(handler, tls)
}

fn response(uid: &str) -> String {
    format!(
        "{{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"AdmissionReview\",\"response\":{{\"uid\":\"{uid}\",\
         \"allowed\":true,\"patchType\":\"JSONPatch\",\"patch\":\"{}\"}}}}",
        PATCH.trim_end()
    )
}

async fn retinue(world: World, tls: ServerConfig) -> anyhow::Result<()> {
    telemetry::start(telemetry::DEFAULT_FILTER, telemetry::Format::Auto)?;
    let shutdown = CancellationToken::new();
    let still = Still {
        now: Timestamp::now(),
        library: world.library()?,
        facts: world.facts(),
        callers: world.callers().collect(),
    };
    let (cluster, tasks) = Cluster::still(still, shutdown.clone());
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let parts = Parts::new(cluster, TemplateLint, Readiness::new(["cluster"]), metrics, Arc::new(registry));
    parts.readiness.set("cluster", Ok(()));
    let bound = server::bind(Config { workers: 1, ..Config::new(loopback(), None, tls) }, parts, shutdown)?;
    say(bound.address)?;
    tokio::select! {
        ended = bound.run() => ended?,
        ended = tasks.join() => ended?,
    }
    Ok(())
}
