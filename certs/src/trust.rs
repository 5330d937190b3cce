//! Whether a bundle trusts a chain: asked of the very verifier that a TLS client runs, not of a comparison of names.

use std::sync::Arc;

use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::provider;

/// Why a bundle does not trust a chain.
#[derive(Debug, thiserror::Error)]
pub enum Distrust {
    /// The bundle holds no certificate that can be read.
    #[error("the caBundle holds no PEM certificate that can be read")]
    Bundle,
    /// The chain is empty.
    #[error("there is no serving certificate")]
    NoLeaf,
    /// The name to check is none.
    #[error("{0:?} is neither a DNS name nor an IP address")]
    Name(String),
    /// A client would refuse the chain.
    #[error("a client that trusts the caBundle refuses the serving certificate for {name}: {source}")]
    Refused {
        /// The name that was asked for.
        name: String,
        /// The verifier's reason.
        #[source]
        source: rustls::Error,
    },
}

/// Checks that a client which trusts `ca_bundle` (PEM) accepts `chain` (leaf first) for `name` at `now`.
///
/// # Errors
/// [`Distrust`], with the verifier's reason.
pub fn verify(ca_bundle: &[u8], chain: &[CertificateDer<'static>], name: &str, now: Timestamp) -> Result<(), Distrust> {
    let (leaf, intermediates) = chain.split_first().ok_or(Distrust::NoLeaf)?;
    let server = ServerName::try_from(name).map_err(|_| Distrust::Name(name.to_owned()))?;
    let mut roots = RootCertStore::empty();
    // A bundle is used as far as it can be read, as clients do: one bad certificate does not distrust the others.
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(ca_bundle).filter_map(Result::ok));
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|_| Distrust::Bundle)?;
    let seconds = u64::try_from(now.as_second()).unwrap_or(0);
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    verifier
        .verify_server_cert(leaf, intermediates, &server, &[], now)
        .map(drop)
        .map_err(|source| Distrust::Refused { name: name.to_owned(), source })
}

/// [`verify`], as a yes or no.
pub fn trusts(ca_bundle: &[u8], chain: &[CertificateDer<'static>], name: &str, now: Timestamp) -> bool {
    verify(ca_bundle, chain, name, now).is_ok()
}
