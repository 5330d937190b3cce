//! A directory with `tls.crt`, `tls.key` and perhaps `ca.crt`, as a mounted Secret is one: read, checked, followed.
//!
//! A ticker follows it, not a file watch. A mounted Secret changes by a swap of the symlink `..data`, up to a minute
//! after the Secret itself, so that a second more is nothing; three small reads a second cost nothing either; and a
//! watch can lose events, which is why it would need the ticker beside it anyway.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::expiry::{State, Validity};
use crate::provider;
use crate::resolver::Resolver;

/// How often the directory is read again.
pub const TICK: Duration = Duration::from_secs(1);

const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const AUTHORITY: &str = "ca.crt";
/// Far above any chain (a few kB); a bound so that a wrong mount does not fill memory.
const LARGEST_FILE: u64 = 1 << 20;

/// A pair that is being served, or could be.
pub struct Serving {
    /// Chain and key, as rustls wants them.
    pub key: Arc<CertifiedKey>,
    /// Validity of the leaf.
    pub validity: Validity,
    /// `ca.crt`, PEM, where the directory has one.
    pub ca: Option<Vec<u8>>,
}

impl Serving {
    /// The chain, leaf first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.key.cert
    }

    /// What its validity means at `now`.
    pub fn state(&self, now: Timestamp) -> State {
        self.validity.state(now)
    }

    /// From PEM: the chain (leaf first), its key, and perhaps the authority.
    ///
    /// # Errors
    /// [`PairError`].
    pub fn from_pem(certificate: &[u8], key: &[u8], ca: Option<Vec<u8>>) -> Result<Self, PairError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<_, _>>()
            .map_err(|source| PairError::Certificate(source.to_string()))?;
        let leaf = chain.first().ok_or(PairError::NoCertificate)?;
        let validity = validity(leaf)?;
        let private = PrivateKeyDer::from_pem_slice(key).map_err(|source| match source {
            rustls_pki_types::pem::Error::NoItemsFound => PairError::NoKey,
            source => PairError::Key(source.to_string()),
        })?;
        if let Some(ca) = &ca {
            let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(ca).collect();
            let read = read.map_err(|source| PairError::Authority(source.to_string()))?;
            if read.is_empty() {
                return Err(PairError::Authority("no PEM block CERTIFICATE in it".into()));
            }
        }
        let key = CertifiedKey::from_der(chain, private, &provider()).map_err(|source| match source {
            rustls::Error::InconsistentKeys(_) => PairError::Mismatch,
            source => PairError::Unusable(source),
        })?;
        Ok(Self { key: Arc::new(key), validity, ca })
    }

    fn same(&self, other: &Self) -> bool {
        // Keys are not compared: a pair is consistent, so that the certificate says which key it is.
        self.key.cert == other.key.cert && self.ca == other.ca
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving").field("validity", &self.validity).finish_non_exhaustive()
    }
}

/// When a certificate is valid.
pub(crate) fn validity(leaf: &CertificateDer<'_>) -> Result<Validity, PairError> {
    let (_, parsed) =
        x509_parser::parse_x509_certificate(leaf).map_err(|source| PairError::Certificate(source.to_string()))?;
    let instant = |at: i64| {
        Timestamp::from_second(at).map_err(|_| PairError::Certificate("its validity is out of any calendar".into()))
    };
    Ok(Validity {
        not_before: instant(parsed.validity().not_before.timestamp())?,
        not_after: instant(parsed.validity().not_after.timestamp())?,
    })
}

/// Why a pair cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// Not PEM, or not X.509.
    #[error("{CERTIFICATE} is no PEM certificate: {0}")]
    Certificate(String),
    /// No certificate in it.
    #[error("{CERTIFICATE} holds no PEM block CERTIFICATE; expected the serving certificate, leaf first")]
    NoCertificate,
    /// Not PEM, or no key.
    #[error("{KEY} is no PEM private key: {0}")]
    Key(String),
    /// No key in it.
    #[error("{KEY} holds no PEM block PRIVATE KEY; expected the unencrypted key of {CERTIFICATE}")]
    NoKey,
    /// The authority is unreadable.
    #[error("{AUTHORITY} is no PEM certificate: {0}")]
    Authority(String),
    /// Key and certificate are of different pairs.
    #[error("{KEY} is not the key of {CERTIFICATE}: put both files of one pair there")]
    Mismatch,
    /// rustls cannot serve it.
    #[error("{CERTIFICATE} and {KEY} cannot be served: {0}")]
    Unusable(#[source] rustls::Error),
}

/// Why a directory gave no pair.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file could not be read.
    #[error("{path}: {source}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is too large to be meant.
    #[error("{path} is larger than {LARGEST_FILE} bytes: that is no certificate", path = path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The files do not make a pair.
    #[error("in {directory}: {source}", directory = directory.display())]
    Pair {
        /// The directory.
        directory: PathBuf,
        /// Why.
        #[source]
        source: PairError,
    },
    /// The pair is whole but its time is over.
    #[error("in {directory}: {CERTIFICATE} expired at {at}: put a new pair there", directory = directory.display())]
    Expired {
        /// The directory.
        directory: PathBuf,
        /// Its last valid instant.
        at: Timestamp,
    },
}

/// A directory that holds a pair.
#[derive(Clone, Debug)]
pub struct Directory {
    path: PathBuf,
}

/// What a look at the directory changed.
#[derive(Debug)]
pub enum Change {
    /// Another pair is served from now on.
    Swapped(Arc<Serving>),
    /// What lies there cannot be served; what was served before still is.
    Kept(SourceError),
}

impl Directory {
    /// The directory at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads and checks what lies there now. An expired pair is read too: whether to serve it is the caller's to say.
    ///
    /// # Errors
    /// [`SourceError`], naming the file.
    pub fn read(&self) -> Result<Serving, SourceError> {
        // Through the symlink first and once, so that a swap between two reads cannot mix two pairs.
        let data = self.path.join("..data");
        let folder = data.canonicalize().unwrap_or_else(|_| self.path.clone());
        let certificate = self.file(&folder, CERTIFICATE)?;
        let key = self.file(&folder, KEY)?;
        let ca = match self.file(&folder, AUTHORITY) {
            Ok(ca) => Some(ca),
            Err(SourceError::Unreadable { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Serving::from_pem(&certificate, &key, ca)
            .map_err(|source| SourceError::Pair { directory: self.path.clone(), source })
    }

    fn file(&self, folder: &Path, name: &str) -> Result<Vec<u8>, SourceError> {
        // Errors name the path that the admin wrote, not the one behind the symlink.
        let shown = || self.path.join(name);
        let read = || {
            let path = folder.join(name);
            let size = std::fs::metadata(&path)?.len();
            if size > LARGEST_FILE { Ok(None) } else { std::fs::read(&path).map(Some) }
        };
        read()
            .map_err(|source| SourceError::Unreadable { path: shown(), source })?
            .ok_or_else(|| SourceError::TooLarge { path: shown() })
    }

    /// Looks once, at `now`: swaps a new good pair into `resolver`, keeps the old one where the new is broken or
    /// already expired. None: nothing changed.
    pub fn look(&self, resolver: &Resolver, now: Timestamp) -> Option<Change> {
        let current = resolver.current();
        match self.read() {
            Err(error) => Some(Change::Kept(error)),
            Ok(read) if current.as_ref().is_some_and(|current| current.same(&read)) => None,
            Ok(read) if read.state(now) == State::Expired => {
                Some(Change::Kept(SourceError::Expired { directory: self.path.clone(), at: read.validity.not_after }))
            }
            Ok(read) => {
                let read = Arc::new(read);
                resolver.swap(Arc::clone(&read));
                Some(Change::Swapped(read))
            }
        }
    }

    /// Looks every `tick` until it is dropped. Says each change, and each new reason to keep the old pair once.
    pub async fn follow(
        &self,
        resolver: &Resolver,
        tick: Duration,
        now: impl Fn() -> Timestamp,
        mut told: impl FnMut(&Change),
    ) {
        let mut ticker = tokio::time::interval(tick);
        ticker.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut said = None;
        loop {
            ticker.tick().await;
            let change = self.look(resolver, now());
            match &change {
                None => said = None,
                Some(Change::Swapped(serving)) => {
                    said = None;
                    tracing::info!(not_after = %serving.validity.not_after, "serving another certificate");
                }
                Some(Change::Kept(error)) => {
                    let error = error.to_string();
                    if said.as_ref() == Some(&error) {
                        continue;
                    }
                    tracing::error!(%error, "the new certificate cannot be served; the old one still is");
                    said = Some(error);
                }
            }
            if let Some(change) = &change {
                told(change);
            }
        }
    }
}
