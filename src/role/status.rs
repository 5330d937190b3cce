//! Health and metrics of a role that answers no reviews, over plain HTTP.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::dev::Server;
use actix_web::http::header::ContentType;
use actix_web::{App, HttpResponse, HttpServer, web};
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;
use webhooks::metrics;

use crate::collector::Metrics;

/// Why there is no such server.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// The address is taken, or not ours.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// It ended with an error.
    #[error("the server for health and metrics ended: {0}")]
    Ended(#[source] io::Error),
}

/// A server that is bound.
pub struct Bound {
    /// Where.
    pub address: SocketAddr,
    server: Server,
}

struct Shown {
    registry: Arc<Registry>,
    collector: Metrics,
}

/// Binds it.
///
/// # Errors
/// When the address cannot be listened on.
pub fn bind(
    address: SocketAddr,
    registry: Arc<Registry>,
    collector: Metrics,
    shutdown: CancellationToken,
) -> Result<Bound, StatusError> {
    let shown = web::Data::new(Shown { registry, collector });
    let server = HttpServer::new(move || {
        App::new()
            .app_data(shown.clone())
            .route("/healthz", web::get().to(async || HttpResponse::Ok().body("ok\n")))
            .route("/readyz", web::get().to(ready))
            .route("/metrics", web::get().to(show))
    })
    .workers(1)
    .tcp_nodelay(true)
    .shutdown_signal(shutdown.cancelled_owned())
    .shutdown_timeout(1)
    .bind(address)
    .map_err(|source| StatusError::Listen { address, source })?;
    let address = server.addrs().first().copied().unwrap_or(address);
    Ok(Bound { address, server: server.run() })
}

impl Bound {
    /// Serves until the token given to [`bind`] is cancelled.
    ///
    /// # Errors
    /// When the server ends by itself with an error.
    pub async fn run(self) -> Result<(), StatusError> {
        self.server.await.map_err(StatusError::Ended)
    }
}

async fn ready(shown: web::Data<Shown>) -> HttpResponse {
    match shown.collector.kinds.get() {
        0 => HttpResponse::ServiceUnavailable().body("no kind is followed yet\n"),
        kinds => HttpResponse::Ok().body(format!("ok: {kinds} kinds are followed\n")),
    }
}

async fn show(shown: web::Data<Shown>) -> HttpResponse {
    match metrics::text(&shown.registry) {
        Ok(text) => HttpResponse::Ok().insert_header(ContentType::plaintext()).body(text),
        Err(error) => HttpResponse::InternalServerError().body(error.to_string()),
    }
}
