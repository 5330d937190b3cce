//! Rotation without a refused handshake: which step comes next, and bundles that trust old and new side by side.
//!
//! Order is everything. A leaf of a new authority is served only after the bundle that trusts that authority is in
//! every webhook configuration; the old authority leaves the bundle only after nobody serves a leaf of it.

use base64::Engine as _;
use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::expiry::Validity;

/// Why a bundle could not be joined.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A part is no PEM.
    #[error("a certificate of the bundle cannot be read: {0}")]
    Unreadable(String),
}

/// What is in force now.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// Validity of the newest authority.
    pub authority: Validity,
    /// Validity of the leaf that is served.
    pub leaf: Validity,
    /// Who signed that leaf.
    pub signed_by: SignedBy,
    /// Which authorities the webhook configurations trust.
    pub trusted: Trusted,
}

/// Who signed the leaf that is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedBy {
    /// The newest authority.
    Newest,
    /// One before it.
    Older,
}

/// Which authorities the webhook configurations trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trusted {
    /// The newest alone.
    Newest,
    /// The newest and one before it.
    Both,
    /// One before it alone.
    Older,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing before this instant.
    Wait(Timestamp),
    /// Make a new authority.
    MakeAuthority,
    /// Put the bundle of old and new into the webhook configurations.
    PublishBoth,
    /// Issue a leaf by the newest authority, and serve it.
    IssueLeaf,
    /// Leave the old authority out of the bundle.
    DropOlder,
}

/// The next step at `now`. Unfinished rotations are finished before another begins.
pub fn next(standing: &Standing, now: Timestamp) -> Step {
    match (standing.trusted, standing.signed_by) {
        (Trusted::Older, _) => Step::PublishBoth,
        (Trusted::Both | Trusted::Newest, SignedBy::Older) => Step::IssueLeaf,
        (Trusted::Both, SignedBy::Newest) => Step::DropOlder,
        (Trusted::Newest, SignedBy::Newest) if now >= standing.authority.renew_at() => Step::MakeAuthority,
        (Trusted::Newest, SignedBy::Newest) if now >= standing.leaf.renew_at() => Step::IssueLeaf,
        (Trusted::Newest, SignedBy::Newest) => Step::Wait(standing.leaf.renew_at().min(standing.authority.renew_at())),
    }
}

/// One PEM bundle of all `parts`, each certificate once, in order.
///
/// # Errors
/// [`BundleError`] where a part is no PEM: half a bundle would cut someone off.
pub fn bundle<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Result<String, BundleError> {
    let mut seen: Vec<CertificateDer<'static>> = Vec::new();
    for part in parts {
        for certificate in CertificateDer::pem_slice_iter(part) {
            let certificate = certificate.map_err(|source| BundleError::Unreadable(source.to_string()))?;
            if !seen.contains(&certificate) {
                seen.push(certificate);
            }
        }
    }
    Ok(seen.iter().map(|certificate| pem(certificate)).collect())
}

fn pem(certificate: &CertificateDer<'_>) -> String {
    let encoded = base64::engine::general_purpose::STANDARD.encode(certificate);
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in encoded.as_bytes().chunks(64) {
        text.extend(line.iter().copied().map(char::from));
        text.push('\n');
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}
