//! What an API server needs so that it shows the webhook a certificate: authority, certificate and key, the kubeconfig,
//! and what is merged into the AdmissionConfiguration. Files, since the key is the API server's and nobody else's: it is
//! never printed, and never goes into the cluster.

use std::path::Path;

use certs::issue::{self, IssueError, Pair};
use jiff::Timestamp;

use super::{Issued, authority, write};
use crate::cli::{Failure, input, output};
use crate::deploy::Reach;
use crate::deploy::apiserver::{self, files};
use crate::deploy::values::{NAMESPACE, Values};

/// Options of `--client`.
#[derive(Debug, clap::Args)]
pub(super) struct ClientArgs {
    /// Make instead what the API server needs to show the webhook a certificate: client-ca.crt, client.crt, client.key,
    /// webhook.kubeconfig and admission.yaml, which says where each goes
    #[arg(long, requires = "out", conflicts_with_all = ["secret", "dns", "ip"])]
    client: bool,
    /// With --client: the common name of the API server's certificate
    #[arg(long, value_name = "NAME", default_value = apiserver::CLIENT, value_parser = apiserver::client_name, requires = "client")]
    client_name: String,
    /// The namespace of retinue itself, with --client
    #[arg(short, long, value_name = "NAMESPACE", default_value = NAMESPACE, value_parser = input::namespace, requires = "client")]
    namespace: String,
    /// With --client: where the API server reaches a webhook that runs outside the cluster
    #[arg(long, value_name = "URL", requires = "client")]
    url: Option<String>,
    /// With --client: the folder of these files on the machines of API servers
    #[arg(long, value_name = "DIR", default_value = apiserver::FOLDER, requires = "client")]
    at: String,
}

/// A folder that no kubeconfig can name.
#[derive(Debug, thiserror::Error)]
#[error("--at {0}: an API server needs an absolute path, such as {folder}", folder = apiserver::FOLDER)]
struct NoFolder(String);

impl ClientArgs {
    pub(super) fn wanted(&self) -> bool {
        self.client
    }

    /// Writes the files into `directory`, and says what comes next.
    pub(super) fn run(&self, directory: &Path, now: Timestamp, days: u16, force: bool) -> Result<(), Failure> {
        let at = self.at.trim_end_matches('/');
        if !at.starts_with('/') || at.chars().any(char::is_control) {
            return Err(NoFolder(self.at.clone()).into());
        }
        let reach = self.url.clone().map_or(Reach::Service, Reach::Url);
        let values = Values { namespace: self.namespace.clone(), reach, ..Values::default() }.checked()?;
        let user = apiserver::user(&values.reach, &values.namespace);
        let issued = issue(&self.client_name, now, days)?;
        let next = |authority: &str| apiserver::next(&values, &self.client_name, authority);
        let texts = [
            (files::AUTHORITY, issued.authority, 0o644),
            (files::KEY, issued.leaf.key, 0o600),
            (files::CERTIFICATE, issued.leaf.certificate, 0o644),
            (files::KUBECONFIG, apiserver::kubeconfig(&user, at), 0o644),
            (files::ADMISSION, apiserver::admission(at, &next(files::AUTHORITY)), 0o644),
        ];
        write(directory, &texts, force)?;
        let shown = directory.display();
        output::print(&format!(
            "The API server shows {user} this certificate once {shown}/{} is done, which says how.\n{}\n",
            files::ADMISSION,
            next(&format!("{shown}/{}", files::AUTHORITY))
        ))?;
        Ok(())
    }
}

/// An authority, and a client certificate by it; the authority's key is forgotten.
fn issue(name: &str, now: Timestamp, days: u16) -> Result<Issued, IssueError> {
    let (authority, validity) = authority("retinue client authority", now, days)?;
    let leaf: Pair = issue::client(&authority, name, validity)?;
    Ok(Issued { authority: authority.certificate, leaf })
}
