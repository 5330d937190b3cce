//! Which clients are served: those with a certificate of given authorities, and of one name. The file of authorities is
//! read again when it changes, as a mounted ConfigMap does.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::UnixTime;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::{PemObject, SectionKind};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

use crate::expiry::Validity;
use crate::{provider, source};

/// Far above any bundle; a bound so that a wrong path does not fill memory.
const LARGEST_FILE: u64 = 1 << 20;
/// Characters of a stranger's subject that are logged: whoever connects chooses it.
const SHOWN: usize = 100;

/// Why a file holds no authorities.
#[derive(Debug, thiserror::Error)]
pub enum AuthoritiesError {
    /// It cannot be read.
    #[error("{0}")]
    Unreadable(#[source] std::io::Error),
    /// It is too large.
    #[error("larger than {LARGEST_FILE} bytes, which no bundle is; expected the PEM certificates of authorities")]
    TooLarge,
    /// It is no PEM.
    #[error("no PEM ({0}); expected the PEM certificates of authorities")]
    Pem(String),
    /// It holds something else.
    #[error(
        "holds a private key; expected certificates of authorities alone. The key of a client certificate belongs on the \
         machines of the API server and nowhere else"
    )]
    Key,
    /// It holds nothing.
    #[error("holds no PEM block CERTIFICATE; expected the certificates of authorities")]
    Empty,
    /// A block is no certificate.
    #[error("certificate {number} is no X.509 certificate ({reason})")]
    Certificate {
        /// Counted from one.
        number: usize,
        /// Why.
        reason: String,
    },
    /// A certificate is of no authority.
    #[error(
        "certificate {number} ({subject}) is no authority (no basic constraint CA:TRUE); expected the authority that signed \
         the API server's client certificate, not that certificate itself"
    )]
    NoAuthority {
        /// Counted from one.
        number: usize,
        /// Its subject.
        subject: String,
    },
    /// rustls cannot use them.
    #[error("cannot be used: {0}")]
    Unusable(String),
}

/// The certificates of authorities.
#[derive(Clone, PartialEq, Eq)]
pub struct Authorities {
    certificates: Vec<CertificateDer<'static>>,
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorities").field("certificates", &self.certificates.len()).finish()
    }
}

impl Authorities {
    /// From PEM.
    ///
    /// # Errors
    /// [`AuthoritiesError`].
    pub fn from_pem(pem: &[u8]) -> Result<Self, AuthoritiesError> {
        let mut certificates = Vec::new();
        for block in <(SectionKind, Vec<u8>)>::pem_slice_iter(pem) {
            match block.map_err(|error| AuthoritiesError::Pem(error.to_string()))? {
                (SectionKind::Certificate, der) => certificates.push(CertificateDer::from(der)),
                (SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey, _) => {
                    return Err(AuthoritiesError::Key);
                }
                _ => {}
            }
        }
        if certificates.is_empty() {
            return Err(AuthoritiesError::Empty);
        }
        for (index, certificate) in certificates.iter().enumerate() {
            let number = index + 1;
            let parsed = parsed(certificate).map_err(|reason| AuthoritiesError::Certificate { number, reason })?;
            // One that is its own issuer can be trusted as it is, whatever it says of itself.
            if !parsed.is_ca() && parsed.subject() != parsed.issuer() {
                return Err(AuthoritiesError::NoAuthority { number, subject: parsed.subject().to_string() });
            }
        }
        Ok(Self { certificates })
    }

    /// From a file of PEM.
    ///
    /// # Errors
    /// [`AuthoritiesError`], which does not name the file.
    pub fn read(file: &Path) -> Result<Self, AuthoritiesError> {
        if std::fs::metadata(file).map_err(AuthoritiesError::Unreadable)?.len() > LARGEST_FILE {
            return Err(AuthoritiesError::TooLarge);
        }
        Self::from_pem(&std::fs::read(file).map_err(AuthoritiesError::Unreadable)?)
    }

    /// When each is valid.
    pub fn validities(&self) -> Vec<Validity> {
        self.certificates.iter().filter_map(|one| source::validity(one).ok()).collect()
    }

    /// The common name of each; empty where one has none.
    pub fn common_names(&self) -> Vec<String> {
        let name = |certificate| {
            let parsed = parsed(certificate).ok()?;
            let common = parsed.subject().iter_common_name().next()?.as_str().ok()?;
            Some(common.to_owned())
        };
        self.certificates.iter().map(|certificate| name(certificate).unwrap_or_default()).collect()
    }

    /// Whether one of `others` is among them.
    pub fn share(&self, others: &Self) -> bool {
        self.certificates.iter().any(|one| others.certificates.contains(one))
    }

    fn verifier(&self) -> Result<Arc<dyn ClientCertVerifier>, AuthoritiesError> {
        let unusable = |error: &dyn fmt::Display| AuthoritiesError::Unusable(error.to_string());
        let mut roots = RootCertStore::empty();
        for certificate in &self.certificates {
            roots.add(certificate.clone()).map_err(|error| unusable(&error))?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build();
        verifier.map_err(|error| unusable(&error))
    }
}

#[derive(Debug)]
struct Current {
    authorities: Authorities,
    verifier: Arc<dyn ClientCertVerifier>,
}

/// The verifier of client certificates that a TLS server asks. Its authorities can be swapped.
#[derive(Debug)]
pub struct Clients {
    current: ArcSwap<Current>,
    name: Option<String>,
    /// When the certificate ends that was accepted last, Unix time; 0: none was.
    expiry: AtomicI64,
    /// The second in which a refusal was logged last.
    logged: AtomicU64,
}

impl Clients {
    /// Serves clients with a certificate of these authorities; with a name only those whose common name, or one of whose
    /// DNS names, is this.
    ///
    /// # Errors
    /// [`AuthoritiesError::Unusable`].
    pub fn new(authorities: Authorities, name: Option<String>) -> Result<Self, AuthoritiesError> {
        let verifier = authorities.verifier()?;
        let current = ArcSwap::from_pointee(Current { authorities, verifier });
        Ok(Self { current, name, expiry: AtomicI64::new(0), logged: AtomicU64::new(0) })
    }

    /// When the client certificate ends that was accepted last, seconds since 1970; none: none was accepted yet.
    pub fn expiry(&self) -> Option<i64> {
        Some(self.expiry.load(Ordering::Relaxed)).filter(|seconds| *seconds != 0)
    }

    /// Takes these authorities from the next handshake on. Gives whether they are others than before.
    ///
    /// # Errors
    /// [`AuthoritiesError::Unusable`]; then those of before stay.
    pub fn swap(&self, authorities: Authorities) -> Result<bool, AuthoritiesError> {
        if self.current.load().authorities == authorities {
            return Ok(false);
        }
        let verifier = authorities.verifier()?;
        self.current.store(Arc::new(Current { authorities, verifier }));
        Ok(true)
    }

    /// Reads `file` again every `tick` until it is dropped, and tells after each look. What cannot be used is logged
    /// once, and the authorities of before stay.
    pub async fn follow(&self, file: PathBuf, tick: Duration, mut told: impl FnMut(&Self)) {
        let mut ticker = tokio::time::interval(tick);
        ticker.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut said = None;
        loop {
            ticker.tick().await;
            match Authorities::read(&file).and_then(|read| self.swap(read)) {
                Ok(swapped) => {
                    said = None;
                    if swapped {
                        tracing::info!(file = %file.display(), "other authorities of clients count from now on");
                    }
                }
                Err(error) => {
                    let error = error.to_string();
                    if said.as_ref() != Some(&error) {
                        tracing::error!(file = %file.display(), %error, "the authorities of clients stay as they were");
                        said = Some(error);
                    }
                }
            }
            told(self);
        }
    }

    fn verified(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        self.current.load().verifier.verify_client_cert(end_entity, intermediates, now)?;
        let parsed = parsed(end_entity).map_err(|_| CertificateError::BadEncoding)?;
        if self.name.as_ref().is_some_and(|name| !carries(&parsed, name)) {
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        self.expiry.store(parsed.validity().not_after.timestamp(), Ordering::Relaxed);
        Ok(())
    }

    /// Logs a refusal, one a second: whoever reaches the port can cause as many as it likes.
    fn log(&self, end_entity: &CertificateDer<'_>, error: &rustls::Error, now: UnixTime) {
        if self.logged.swap(now.as_secs(), Ordering::Relaxed) == now.as_secs() {
            return;
        }
        let subject = parsed(end_entity).map_or_else(|_| "unreadable".to_owned(), |one| one.subject().to_string());
        let subject: String = subject.chars().take(SHOWN).collect();
        tracing::warn!(subject, %error, expected = self.name, "a client certificate is refused");
    }
}

impl ClientCertVerifier for Clients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // None: they can change, and a client that has one certificate for us sends it without a hint.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.verified(end_entity, intermediates, now);
        if let Err(error) = &verified {
            self.log(end_entity, error, now);
        }
        verified.map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.current.load().verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.current.load().verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.current.load().verifier.supported_verify_schemes()
    }
}

fn parsed<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, String> {
    match x509_parser::parse_x509_certificate(certificate) {
        Ok((_, parsed)) => Ok(parsed),
        Err(error) => Err(error.to_string()),
    }
}

/// Whether a certificate's common name, or one of its DNS names, is this.
fn carries(certificate: &X509Certificate<'_>, name: &str) -> bool {
    let common = certificate.subject().iter_common_name().any(|common| common.as_str() == Ok(name));
    let alternative = certificate.subject_alternative_name().ok().flatten();
    common
        || alternative.is_some_and(|names| {
            names.value.general_names.iter().any(|one| matches!(one, GeneralName::DNSName(dns) if *dns == name))
        })
}
