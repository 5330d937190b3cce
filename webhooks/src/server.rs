//! The servers: reviews over TLS, and beside them health and metrics over plain HTTP.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_http::{HttpService, KeepAlive};
use actix_service::map_config;
use actix_web::dev::{AppConfig, Server};
use actix_web::middleware::from_fn;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use prometheus_client::registry::Registry;
use rustls::RootCertStore;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    NoServerSessionStorage, ResolvesServerCert, ServerConfig, VerifierBuilderError, WebPkiClientVerifier,
};
use tokio::net::TcpSocket;
use tokio_util::sync::CancellationToken;

use crate::accept::{self, Accepting, Entrance, Refused};
use crate::caller::Asking;
use crate::connections::Connections;
use crate::court::Court;
pub use crate::court::{Decide, DecideQuickly};
use crate::descriptors;
use crate::handler::{self, Service};
use crate::health::Readiness;
use crate::http2::KEEP_ALIVE;
use crate::lines::Lines;
use crate::lint::Linting;
use crate::lookups::Lookups;
use crate::metrics::{self, Door, Metrics, Queue, Stage};
use crate::reading::Measured;
use crate::requests::{Bounds, Requests};
use crate::shedding::{Gate, Limits};
use crate::strays;
pub use crate::workers::Clock;
use crate::workers::{Workers, since_now};

/// How long a client may send nothing, and then how long its TLS handshake may take. An API server's takes milliseconds.
const HANDSHAKE: Duration = Duration::from_secs(1);
/// How long a client may take to close its side of HTTP/1.1.
const DISCONNECT: Duration = Duration::from_secs(1);
/// Connections that the kernel holds until they are accepted.
const BACKLOG: u32 = 4_096;

/// How far the threads that judge stand back: where there are not enough processors, they get a tenth of what a thread that
/// serves gets.
const JUDGES_NICE: i32 = 10;
/// The one that lints gets a seventieth: a tenth is some milliseconds at a time, which one review in ten would wait for.
const LINTS_NICE: i32 = 19;

/// How to serve.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where reviews are answered, over TLS. Port 0: any free one.
    pub listen: SocketAddr,
    /// Where health and metrics are answered, over plain HTTP; none: on the TLS port only.
    pub plain: Option<SocketAddr>,
    /// Certificates and protocol versions; see [`tls`].
    pub tls: ServerConfig,
    /// Threads that serve.
    pub workers: usize,
    /// Bounds of what is taken in.
    pub limits: Limits,
    /// The longest a review may take, below the webhook configuration's timeout. The API server says its own with
    /// each request, which counts if it is shorter.
    pub deadline: Duration,
    /// How long answers under way may take when the server stops.
    pub grace: Duration,
}

impl Config {
    /// On these addresses, everything else as usual.
    pub fn new(listen: SocketAddr, plain: Option<SocketAddr>, tls: ServerConfig) -> Self {
        Self {
            listen,
            plain,
            tls,
            workers: std::thread::available_parallelism().map_or(2, usize::from),
            limits: Limits::default(),
            deadline: Duration::from_secs(8),
            grace: Duration::from_secs(5),
        }
    }
}

/// What the server works with.
pub struct Parts<A, L> {
    /// Who is asking.
    pub asking: A,
    /// The problems of template ConfigMaps.
    pub linting: L,
    /// Whether it may answer.
    pub readiness: Readiness,
    /// What it counts.
    pub metrics: Metrics,
    /// What `/metrics` shows.
    pub registry: Arc<Registry>,
    /// [`policies::verdict::decide`]; tests put faults in its place.
    pub decide: Decide,
    /// [`policies::verdict::decide_quickly`], which is asked first.
    pub quickly: DecideQuickly,
    /// By which turns are charged; tests count in its place.
    pub clock: Clock,
}

impl<A: Asking, L: Linting> Parts<A, L> {
    /// With the one right [`Decide`].
    pub fn new(asking: A, linting: L, readiness: Readiness, metrics: Metrics, registry: Arc<Registry>) -> Self {
        let decide = Arc::new(policies::verdict::decide_further);
        let quickly = Arc::new(policies::verdict::decide_quickly);
        Self { asking, linting, readiness, metrics, registry, decide, quickly, clock: since_now() }
    }
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken, or not ours.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The system gives no threads.
    #[error("cannot start the threads that judge: {0}")]
    Threads(#[source] io::Error),
    /// It ended with an error.
    #[error("the server ended: {0}")]
    Ended(#[source] io::Error),
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// No protocol version.
    #[error("TLS cannot be set up: {0}")]
    Rustls(#[from] rustls::Error),
    /// The client CA.
    #[error("the CA for client certificates cannot be used: {0}")]
    ClientCa(#[from] VerifierBuilderError),
}

/// TLS with the certificates of `resolver`. With a client CA, only clients with a certificate of it are served.
pub fn tls(resolver: Arc<dyn ResolvesServerCert>, client_ca: Option<RootCertStore>) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let clients = client_ca.map(|roots| WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build());
    tls_for(resolver, clients.transpose()?)
}

/// TLS with the certificates of `resolver`. With a verifier, only clients whose certificate it accepts are served, whatever
/// they ask for.
pub fn tls_for(
    resolver: Arc<dyn ResolvesServerCert>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let Some(clients) = clients else { return Ok(builder.with_no_client_auth().with_cert_resolver(resolver)) };
    let mut config = builder.with_client_cert_verifier(clients).with_cert_resolver(resolver);
    // A session that is resumed is not verified again: a certificate that is no longer accepted would go on. API servers
    // resume none.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// A server that is bound; [`Bound::run`] serves.
pub struct Bound {
    /// Where reviews are answered.
    pub address: SocketAddr,
    /// Where health and metrics are answered over plain HTTP.
    pub plain_address: Option<SocketAddr>,
    reviews: Server,
    plain: Option<Server>,
    /// Ends the plain server, after the other.
    plain_stop: CancellationToken,
}

/// Binds both addresses. The server stops when `shutdown` is cancelled, after what is under way is answered.
pub fn bind<A: Asking, L: Linting>(
    config: Config,
    parts: Parts<A, L>,
    shutdown: CancellationToken,
) -> Result<Bound, ServeError> {
    let Parts { asking, linting, readiness, metrics, registry, decide, quickly, clock } = parts;
    let limits = config.limits;
    let gate = Gate::new(limits, &metrics);
    let (judging, linting_queue) = (metrics.queue(Queue::Judging), metrics.queue(Queue::Linting));
    let judges = Workers::start("judge", limits.judged_at_once, JUDGES_NICE, limits.judged_waiting, &clock, judging);
    let lints = Workers::start("lint", 1, LINTS_NICE, limits.lints_waiting, &clock, linting_queue);
    let (judges, lints) = judges.and_then(|judges| Ok((judges, lints?))).map_err(ServeError::Threads)?;
    let lookups = Lookups::new(Some(metrics.queue(Queue::Lookups)));
    let (asking, linting) = (Box::new(asking), Box::new(linting));
    let court = Court { asking, linting, decide, quickly, gate, judges, lints, lookups };
    let service = web::Data::new(Service {
        court: Arc::new(court),
        readiness: readiness.clone(),
        lines: Lines::new(metrics.lines_left_out()),
        metrics,
        deadline: config.deadline,
        drained: 2 * limits.body,
    });
    let status = web::Data::new(Status { readiness, registry, stopping: shutdown.clone() });

    let listening = |address: SocketAddr| move |source: io::Error| ServeError::Listen { address, source };
    let grace = config.grace.as_secs();
    let metrics = &service.metrics;
    let connections = |limit, stage| Connections::new(descriptors::affordable(limit), metrics.connections(stage));
    let listener = listen(config.listen).map_err(listening(config.listen))?;
    let address = listener.local_addr().map_err(listening(config.listen))?;
    let builder = Server::build().workers(config.workers.max(1));
    let entrance = Entrance {
        tls: accept::acceptor(config.tls),
        patience: HANDSHAKE,
        waiting: connections(limits.handshakes, Stage::Handshake),
        open: connections(limits.connections, Stage::Open),
        refused: Refused::new(metrics.clients()),
        bounds: Bounds {
            requests: Requests::new(limits.requests),
            busy: connections(limits.busy_connections, Stage::Busy),
        },
        stopping: builder.graceful_shutdown_signal(),
    };
    let app = {
        let status = status.clone();
        // Whoever reaches that port may ask without a turn: what costs something is shown there only where there is no
        // other port.
        let is_alone = config.plain.is_none();
        let status_routes = move |app: &mut web::ServiceConfig| {
            health_routes(app);
            if is_alone {
                metrics_route(app);
            }
        };
        move || {
            App::new()
                .app_data(service.clone())
                .app_data(status.clone())
                .configure(reviews_routes)
                .configure(status_routes)
                .wrap(from_fn(strays::last))
        }
    };
    let accepting = move || {
        let stopping = entrance.stopping.clone();
        let stopping = move || {
            let stopping = stopping.clone();
            async move { stopping.notified().await }
        };
        let app = || map_config(app(), |_| AppConfig::default());
        let http1 = HttpService::build()
            .graceful_shutdown_signal(stopping)
            .keep_alive(KeepAlive::Timeout(KEEP_ALIVE))
            .client_disconnect_timeout(DISCONNECT)
            .on_connect_ext(|io: &Measured<_>, data| {
                if let Some(next) = io.next() {
                    data.insert(next);
                }
            })
            .finish(app());
        Accepting { entrance: entrance.clone(), http1, app: app() }
    };
    let reviews = builder
        .listen("reviews", listener, accepting)
        .map_err(listening(config.listen))?
        .shutdown_signal(shutdown.cancelled_owned())
        .shutdown_timeout(grace)
        .run();

    let plain_stop = CancellationToken::new();
    let plain = match config.plain {
        None => None,
        Some(plain) => Some(
            HttpServer::new(move || {
                App::new().app_data(status.clone()).configure(health_routes).configure(metrics_route)
            })
            .workers(1)
            .tcp_nodelay(true)
            .shutdown_signal(plain_stop.clone().cancelled_owned())
            .shutdown_timeout(grace.min(1))
            .bind(plain)
            .map_err(listening(plain))?,
        ),
    };
    let plain_address = plain.as_ref().and_then(|plain| plain.addrs().first().copied());
    Ok(Bound { address, plain_address, reviews, plain: plain.map(HttpServer::run), plain_stop })
}

impl Bound {
    /// Serves until the token given to [`bind`] is cancelled. If either server ends by itself, so does the other.
    pub async fn run(self) -> Result<(), ServeError> {
        let Self { reviews, plain, plain_stop, .. } = self;
        let reviews_handle = reviews.handle();
        let reviews = async {
            let end = reviews.await;
            plain_stop.cancel();
            end
        };
        let plain = async {
            let Some(plain) = plain else { return Ok(()) };
            let end = plain.await;
            if !plain_stop.is_cancelled() {
                reviews_handle.stop(true).await;
            }
            end
        };
        let (reviews, plain) = futures::join!(reviews, plain);
        reviews.and(plain).map_err(ServeError::Ended)
    }
}

/// Listens, also on an address that a process before had until now.
fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

/// What health and metrics show.
struct Status {
    readiness: Readiness,
    registry: Arc<Registry>,
    stopping: CancellationToken,
}

fn reviews_routes(app: &mut web::ServiceConfig) {
    for door in Door::ALL {
        let answer = move |http: HttpRequest, payload: web::Payload, service: web::Data<Service>| {
            handler::review(door, http, payload, service)
        };
        app.route(door.path(), web::post().to(answer));
    }
}

fn health_routes(app: &mut web::ServiceConfig) {
    app.route("/healthz", web::get().to(async || HttpResponse::Ok().body("ok\n")));
    app.route("/readyz", web::get().to(readyz));
}

fn metrics_route(app: &mut web::ServiceConfig) {
    app.route("/metrics", web::get().to(show_metrics));
}

async fn readyz(status: web::Data<Status>) -> HttpResponse {
    // Reviews that still arrive are answered, but no new ones should be sent here.
    if status.readiness.is_retiring() || status.stopping.is_cancelled() {
        return HttpResponse::ServiceUnavailable().body("[-] stopping\n");
    }
    let report = status.readiness.report();
    if status.readiness.ready() {
        HttpResponse::Ok().body(format!("{report}ready\n"))
    } else {
        HttpResponse::ServiceUnavailable().body(format!("{report}not ready\n"))
    }
}

async fn show_metrics(status: web::Data<Status>) -> HttpResponse {
    match metrics::text(&status.registry) {
        Ok(text) => {
            HttpResponse::Ok().content_type("application/openmetrics-text; version=1.0.0; charset=utf-8").body(text)
        }
        Err(error) => HttpResponse::InternalServerError().body(error.to_string()),
    }
}
