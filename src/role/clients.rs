//! The clients that the webhook serves, as its flags say.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use certs::clients::{Authorities, AuthoritiesError, Clients};
use certs::source::TICK;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Parts;
use crate::deploy::apiserver::{CLIENT, client_name};

/// Who is served.
#[derive(Clone, Debug, clap::Args)]
pub struct ClientArgs {
    /// Serve only clients with a certificate of these authorities (PEM), such as the API server's; the file is read again
    /// when it changes
    #[arg(long, value_name = "FILE")]
    pub client_ca: Option<PathBuf>,
    /// Of those, serve only clients whose certificate has this common name or DNS name
    #[arg(long, value_name = "NAME", default_value = CLIENT, value_parser = client_name, requires = "client_ca")]
    pub client_name: String,
}

/// A file of authorities that is none.
#[derive(Debug, thiserror::Error)]
#[error("--client-ca {file}: {source}")]
pub struct BadAuthorities {
    /// As given.
    pub file: String,
    /// Why.
    #[source]
    pub source: AuthoritiesError,
}

/// The clients that are served, and the file that names their authorities.
pub struct Served {
    clients: Arc<Clients>,
    file: PathBuf,
}

impl ClientArgs {
    /// Reads the authorities. None: whoever reaches the port is served.
    ///
    /// # Errors
    /// When the file holds no authorities.
    pub fn served(&self) -> Result<Option<Served>, BadAuthorities> {
        let Some(file) = &self.client_ca else { return Ok(None) };
        let clients = read(file, self.client_name.clone())?;
        Ok(Some(Served { clients: Arc::new(clients), file: file.clone() }))
    }
}

fn read(file: &Path, name: String) -> Result<Clients, BadAuthorities> {
    let clients = Authorities::read(file).and_then(|authorities| Clients::new(authorities, Some(name)));
    clients.map_err(|source| BadAuthorities { file: file.display().to_string(), source })
}

impl Served {
    /// Follows the file, and shows when the API server's certificate ends. Gives what verifies clients.
    pub(super) fn start(self, parts: &mut Parts, registry: &mut Registry) -> Arc<Clients> {
        let expiry: Gauge<f64, AtomicU64> = Gauge::default();
        registry.register(
            "retinue_client_certificate_expiry_timestamp_seconds",
            "When the client certificate expires that was accepted last, Unix time; 0: none was yet",
            expiry.clone(),
        );
        let (clients, file) = (Arc::clone(&self.clients), self.file);
        parts.keep("the watch of the authorities of clients", async move {
            let told = |clients: &Clients| {
                #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are exact in a double")]
                expiry.set(clients.expiry().unwrap_or(0) as f64);
            };
            clients.follow(file, TICK, told).await;
        });
        self.clients
    }
}
