//! An authority of our own and leaves below it: for development, and for installations without cert-manager.
//!
//! ECDSA P-256 throughout: every Kubernetes client speaks it, and keys and handshakes are small.

use std::net::IpAddr;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};
use time::OffsetDateTime;

use crate::expiry::Validity;

/// Why nothing was issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// A name that no certificate can carry.
    #[error("{name:?} cannot stand in a certificate: a DNS name is ASCII, such as retinue-webhook.retinue.svc")]
    Name {
        /// The name.
        name: String,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// A leaf without any name.
    #[error("a serving certificate needs at least one DNS name or IP address")]
    Nameless,
    /// The authority's certificate or key could not be read.
    #[error("the authority's certificate and key are not a PEM certificate and its PKCS#8 key")]
    Authority(#[source] rcgen::Error),
    /// An instant outside what a certificate can say.
    #[error("a certificate cannot say an instant such as {0}")]
    Instant(jiff::Timestamp),
    /// The crypto library failed.
    #[error("the certificate could not be made")]
    Crypto(#[source] rcgen::Error),
}

/// Certificate and private key, both PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    /// The certificate, PEM.
    pub certificate: String,
    /// Its PKCS#8 key, PEM.
    pub key: String,
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pair").field("certificate", &self.certificate).field("key", &"(hidden)").finish()
    }
}

/// The names that a leaf answers for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// DNS names.
    pub dns: Vec<String>,
    /// IP addresses.
    pub ips: Vec<IpAddr>,
}

impl Names {
    /// The names under which the API server may reach a Service: `NAME.NS.svc`, which it uses, and the longer one.
    pub fn of_service(name: &str, namespace: &str) -> Self {
        let short = format!("{name}.{namespace}.svc");
        let long = format!("{short}.cluster.local");
        Self { dns: vec![short, long], ips: Vec::new() }
    }

    /// With further IP addresses, such as 127.0.0.1 for a webhook on a laptop.
    #[must_use]
    pub fn and_ips(mut self, ips: impl IntoIterator<Item = IpAddr>) -> Self {
        self.ips.extend(ips);
        self
    }

    /// With further DNS names.
    #[must_use]
    pub fn and_dns(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.dns.extend(names);
        self
    }
}

/// Makes an authority that signs leaves and nothing else (`pathlen:0`).
///
/// # Errors
/// [`IssueError::Instant`], [`IssueError::Crypto`].
pub fn authority(name: &str, validity: Validity) -> Result<Pair, IssueError> {
    let key = new_key()?;
    let mut params = params(name, validity)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key).map_err(IssueError::Crypto)?;
    Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem() })
}

/// Makes a serving certificate for `names`, signed by `authority`.
///
/// # Errors
/// Any [`IssueError`].
pub fn leaf(authority: &Pair, names: &Names, validity: Validity) -> Result<Pair, IssueError> {
    let Some(common) = names.dns.first().cloned().or_else(|| names.ips.first().map(ToString::to_string)) else {
        return Err(IssueError::Nameless);
    };
    let issuer = issuer(authority)?;
    // A common name holds 64 characters; clients read the alternative names anyway.
    let mut params = params(common.get(..64).unwrap_or(&common), validity)?;
    for name in &names.dns {
        let text = name.as_str().try_into().map_err(|source| IssueError::Name { name: name.clone(), source })?;
        params.subject_alt_names.push(SanType::DnsName(text));
    }
    params.subject_alt_names.extend(names.ips.iter().map(|ip| SanType::IpAddress(*ip)));
    signed(params, ExtendedKeyUsagePurpose::ServerAuth, &issuer)
}

/// Makes a client certificate whose common name is `name`, signed by `authority`.
///
/// # Errors
/// [`IssueError::Authority`], [`IssueError::Instant`], [`IssueError::Crypto`].
pub fn client(authority: &Pair, name: &str, validity: Validity) -> Result<Pair, IssueError> {
    let issuer = issuer(authority)?;
    signed(params(name, validity)?, ExtendedKeyUsagePurpose::ClientAuth, &issuer)
}

fn issuer(authority: &Pair) -> Result<Issuer<'static, KeyPair>, IssueError> {
    let key = KeyPair::from_pem(&authority.key).map_err(IssueError::Authority)?;
    Issuer::from_ca_cert_pem(&authority.certificate, key).map_err(IssueError::Authority)
}

/// A leaf with a new key, for one usage.
fn signed(
    mut params: CertificateParams,
    usage: ExtendedKeyUsagePurpose,
    issuer: &Issuer<'_, KeyPair>,
) -> Result<Pair, IssueError> {
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    let key = new_key()?;
    let certificate = params.signed_by(&key, issuer).map_err(IssueError::Crypto)?;
    Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem() })
}

fn new_key() -> Result<KeyPair, IssueError> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(IssueError::Crypto)
}

fn params(name: &str, validity: Validity) -> Result<CertificateParams, IssueError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = instant(validity.not_before)?;
    params.not_after = instant(validity.not_after)?;
    Ok(params)
}

fn instant(at: jiff::Timestamp) -> Result<OffsetDateTime, IssueError> {
    OffsetDateTime::from_unix_timestamp(at.as_second()).map_err(|_| IssueError::Instant(at))
}
