//! `retinue certs`: development certificates, and the API server's.

mod client;

use std::fs;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use certs::expiry::Validity;
use certs::issue::{self, IssueError, Names, Pair};
use jiff::{SignedDuration, Timestamp};
use policies::object::NamespacedName;
use serde_json::json;

use crate::deploy;

use super::output::{self, Manifests};
use super::{Exit, Failure, input};

const EXAMPLES: &str = "\
Examples:
  retinue certs --out ./certs --dns localhost --ip 127.0.0.1
  retinue certs --secret retinue/retinue-webhook-tls | kubectl apply -f -
  retinue certs --client --out ./apiserver && less ./apiserver/admission.yaml

Without --dns and --ip the names are those of the Service in front of the webhook. The authority's key is thrown away:
new certificates come with a new authority, which the webhook configurations must be told (retinue install --ca-bundle).";

/// The common name of the authority of serving certificates.
pub(super) const SERVING_AUTHORITY: &str = "retinue development authority";
/// Certificates begin a bit before they are made, for clocks that are behind.
const CLOCKS: SignedDuration = SignedDuration::from_mins(5);

/// Make development certificates: an authority, and a serving certificate by it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A directory for ca.crt, tls.crt and tls.key; made if it is not there
    #[arg(long, value_name = "DIR", required_unless_present = "secret")]
    out: Option<PathBuf>,
    /// Print a Secret of this name instead
    #[arg(long, value_name = "NS/NAME", value_parser = input::namespaced_name)]
    secret: Option<NamespacedName>,
    /// A DNS name that the certificate is for
    #[arg(long, value_name = "NAME")]
    dns: Vec<String>,
    /// An IP address that the certificate is for
    #[arg(long, value_name = "ADDRESS")]
    ip: Vec<IpAddr>,
    /// How many days it is valid
    #[arg(long, value_name = "NUMBER", default_value_t = 365, value_parser = clap::value_parser!(u16).range(1..=3650))]
    days: u16,
    /// Overwrite files that are there
    #[arg(long, conflicts_with = "secret")]
    force: bool,
    #[command(flatten)]
    client: client::ClientArgs,
}

/// Why there are no certificates.
#[derive(Debug, thiserror::Error)]
enum CertsError {
    #[error("{0} is there already; --force overwrites it")]
    There(String),
    #[error("{path}: {source}")]
    Io { path: String, source: io::Error },
}

/// An authority's certificate, and a serving certificate by it with its key, all PEM.
pub struct Issued {
    /// What clients trust.
    pub authority: String,
    /// What is served.
    pub leaf: Pair,
}

/// Makes both; the authority's key is forgotten.
///
/// # Errors
/// For names that no certificate can carry.
pub fn issue(names: &Names, now: Timestamp, days: u16) -> Result<Issued, IssueError> {
    let (authority, validity) = authority(SERVING_AUTHORITY, now, days)?;
    let leaf = issue::leaf(&authority, names, validity)?;
    Ok(Issued { authority: authority.certificate, leaf })
}

/// An authority, and how long it and what it signs are valid.
fn authority(name: &str, now: Timestamp, days: u16) -> Result<(Pair, Validity), IssueError> {
    let start = now.saturating_sub(CLOCKS).unwrap_or(now);
    let validity = Validity::lasting(start, SignedDuration::from_hours(24 * i64::from(days)));
    Ok((issue::authority(name, validity)?, validity))
}

/// Runs it.
///
/// # Errors
/// For names that no certificate can carry, and files that cannot be written.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    if let (true, Some(directory)) = (args.client.wanted(), &args.out) {
        args.client.run(directory, Timestamp::now(), args.days, args.force)?;
        return Ok(Exit::Fine);
    }
    let names = if args.dns.is_empty() && args.ip.is_empty() {
        let namespace = args.secret.as_ref().map_or(deploy::values::NAMESPACE, |secret| &secret.namespace);
        Names::of_service(deploy::WEBHOOK, namespace)
    } else {
        Names { dns: args.dns.clone(), ips: args.ip.clone() }
    };
    let issued = issue(&names, Timestamp::now(), args.days)?;
    if let Some(directory) = &args.out {
        // The key before its certificate: a server that follows the directory keeps the old pair until both fit.
        let files = [
            ("ca.crt", issued.authority.clone(), 0o644),
            ("tls.key", issued.leaf.key.clone(), 0o600),
            ("tls.crt", issued.leaf.certificate.clone(), 0o644),
        ];
        write(directory, &files, args.force)?;
    }
    if let Some(secret) = &args.secret {
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": secret.name, "namespace": secret.namespace},
            "type": "kubernetes.io/tls",
            "stringData": {
                "ca.crt": issued.authority, "tls.crt": issued.leaf.certificate, "tls.key": issued.leaf.key,
            },
        });
        output::print_manifests(&[secret], Manifests::Yaml)?;
    }
    Ok(Exit::Fine)
}

/// Writes files, each with its mode, in this order.
fn write(directory: &Path, files: &[(&str, String, u32)], force: bool) -> Result<(), CertsError> {
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |source| CertsError::Io { path, source }
    };
    fs::DirBuilder::new().recursive(true).mode(0o755).create(directory).map_err(failed(directory))?;
    for (name, _, _) in files {
        let path = directory.join(name);
        if !force && path.symlink_metadata().is_ok() {
            return Err(CertsError::There(path.display().to_string()));
        }
    }
    for (name, text, mode) in files {
        // Beside its place, then moved there: never half a file, and never a key that others may read.
        let (path, draft) = (directory.join(name), directory.join(format!(".{name}.{}", std::process::id())));
        let mut file =
            fs::File::options().write(true).create_new(true).mode(*mode).open(&draft).map_err(failed(&draft))?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed(&draft))?;
        fs::rename(&draft, &path).map_err(failed(&path))?;
    }
    Ok(())
}
