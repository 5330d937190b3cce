//! `retinue install`: prints what is installed in a cluster.

use std::path::PathBuf;

use certs::clients::{Authorities, AuthoritiesError};

use crate::deploy::apiserver::{CLIENT, client_name};
use crate::deploy::values::{IMAGE, NAMESPACE};
use crate::deploy::{self, ClientCa, FailurePolicy, Floor, Reach, Values, ValuesError};
use crate::memory;
use crate::role::clients::BadAuthorities;
use crate::role::controller::ClusterArgs;

use super::certs::SERVING_AUTHORITY;
use super::output::{self, Manifests};
use super::{Exit, Failure, callers, input, say};

const EXAMPLES: &str = "\
Examples:
  retinue install --ca-bundle ./certs/ca.crt | kubectl apply --server-side -f -
  retinue install --url https://127.0.0.1:8443 --ca-bundle ./certs/ca.crt | kubectl apply --server-side -f -
  retinue install --client-ca ./apiserver/client-ca.crt --ca-bundle ./certs/ca.crt | kubectl apply --server-side -f -
  retinue install --callers auto --ca-bundle ./certs/ca.crt | kubectl apply --server-side -f -

Each prints all of it. What an option of an earlier install put there and this one leaves out is taken away when it is
applied: give every option again.

Who may call the webhook: without --client-ca and --callers, whoever reaches its port in the cluster. Run retinue doctor
after either of them: it proves that the API server still arrives.";

/// The word for addresses that the cluster is asked for.
const AUTO: &str = "auto";

/// Print what is installed in a cluster, to be applied by kubectl.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The namespace of retinue itself
    #[arg(short, long, value_name = "NAMESPACE", default_value = NAMESPACE, value_parser = input::namespace)]
    namespace: String,
    /// The image of the webhook and the controller
    #[arg(long, value_name = "IMAGE", default_value = IMAGE)]
    image: String,
    /// The authorities (PEM) that the API server trusts the webhook by; - is standard input
    #[arg(long, value_name = "FILE")]
    ca_bundle: Option<PathBuf>,
    /// Where the API server reaches a webhook that runs outside the cluster; nothing is run in it then
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Replicas of the webhook
    #[arg(long, value_name = "NUMBER", default_value_t = 2)]
    replicas: u32,
    /// Seconds that the API server waits for the webhook
    #[arg(long, value_name = "SECONDS", default_value_t = Values::default().timeout_seconds)]
    timeout: u8,
    /// Let masters' requests pass while the webhook does not answer; only for trying retinue out
    #[arg(long)]
    fail_open: bool,
    /// Leave out the in-tree policies that hold while retinue is down
    #[arg(long)]
    no_floor: bool,
    /// Where API servers call from (CIDR), for the NetworkPolicy; else from anywhere, to the one port
    ///
    /// May be given several times. auto asks the cluster (endpoints of default/kubernetes, and their nodes), says what it
    /// found on standard error, and refuses where agents or tunnels carry the API server's calls.
    #[arg(long, value_name = "CIDR|auto")]
    callers: Vec<String>,
    /// Serve only clients with a certificate of these authorities (PEM); make them with retinue certs --client
    ///
    /// May be given several times, as while authorities change; - is standard input. Every API server must show such a
    /// certificate before this is applied, or every master is refused.
    #[arg(long, value_name = "FILE")]
    client_ca: Vec<PathBuf>,
    /// The common name, or a DNS name, of the API server's client certificate; others of these authorities are not served
    #[arg(long, value_name = "NAME", default_value = CLIENT, value_parser = client_name, requires = "client_ca")]
    client_name: String,
    /// Memory for all template ConfigMaps together, such as 512Mi; else 192Mi. Webhook and controller get four times that as
    /// their memory limit, and never less than 1Gi and 768Mi
    #[arg(long, value_name = "QUANTITY", value_parser = memory::bytes)]
    template_memory: Option<u64>,
    #[command(flatten, next_help_heading = "With --callers auto")]
    cluster: ClusterArgs,
    /// How to print
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    output: Manifests,
}

/// Runs it.
///
/// # Errors
/// For values that cannot be installed.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    if args.url.is_some() && !args.callers.is_empty() {
        return Err(ValuesError::OutsideCallers.into());
    }
    args.only_one_standard_input()?;
    let client_ca = client_ca(args)?;
    let ca_bundle = args.ca_bundle.as_deref().map(input::text).transpose()?.map(|read| read.text);
    let values = Values {
        namespace: args.namespace.clone(),
        reach: args.url.clone().map_or(Reach::Service, Reach::Url),
        ca_bundle,
        image: args.image.clone(),
        failure_policy: if args.fail_open { FailurePolicy::Ignore } else { FailurePolicy::Fail },
        timeout_seconds: args.timeout,
        replicas: args.replicas,
        floor: if args.no_floor { Floor::Off } else { Floor::On },
        callers: args.callers.iter().filter(|caller| *caller != AUTO).cloned().collect(),
        client_ca,
        template_memory: args.template_memory,
    };
    let mut values = values.checked()?;
    if values.ca_bundle.is_none() {
        say(
            "without --ca-bundle what is printed has no caBundle, and when it is applied takes away the one that an earlier \
             install put there. Every master is then refused, unless something else fills caBundle in (cert-manager), or \
             the API server's machine trusts the webhook's certificate",
        );
    }
    if args.callers.iter().any(|caller| caller == AUTO) {
        for proposed in callers::proposed(&args.cluster.source())? {
            say(&format!("--callers {} ({})", proposed.range, proposed.of));
            let range = proposed.range.to_string();
            if !values.callers.contains(&range) {
                values.callers.push(range);
            }
        }
    }
    if !values.callers.is_empty() {
        say(&format!(
            "an API server that calls from an address outside of {} will not reach the webhook, and every master that it \
             answers is refused. Afterwards: retinue doctor, which proves that calls arrive",
            values.callers.join(", ")
        ));
    }
    if let Some(clients) = &values.client_ca {
        warn_of_shared(clients, values.ca_bundle.as_deref());
        say(&format!(
            "the webhook will serve nobody but holders of a certificate of --client-ca for {}. Every API server must show \
             one first, or every master is refused (retinue certs --client makes it, with what the API server is to be \
             told). Afterwards: retinue doctor",
            clients.name
        ));
    }
    output::print_manifests(&deploy::render(&values), args.output)?;
    Ok(Exit::Fine)
}

/// Why options do not go together.
#[derive(Debug, thiserror::Error)]
enum InstallError {
    /// Standard input is read once.
    #[error("--ca-bundle - and --client-ca -: only one of them can be standard input; expected a file for the others")]
    StandardInput,
    /// The authority that `retinue certs` makes for the webhook's own certificate.
    #[error(
        "--client-ca {0}: is the authority of a webhook's serving certificate (retinue certs), whose key is thrown away. No API \
         server can have a certificate of it, so that every master would be refused; expected client-ca.crt, which retinue \
         certs --client makes"
    )]
    SignsNoClient(String),
}

impl Args {
    fn only_one_standard_input(&self) -> Result<(), InstallError> {
        let files = self.ca_bundle.iter().chain(&self.client_ca);
        if files.filter(|file| input::is_stdin(file)).count() > 1 { Err(InstallError::StandardInput) } else { Ok(()) }
    }
}

/// An authority of both sides is right where it signs for API servers too, and cuts them off where it does not.
fn warn_of_shared(clients: &ClientCa, ca_bundle: Option<&str>) {
    let read = |pem: &str| Authorities::from_pem(pem.as_bytes()).ok();
    let both = read(&clients.bundle).zip(ca_bundle.and_then(read));
    if both.is_some_and(|(clients, servers)| clients.share(&servers)) {
        say(
            "--client-ca and --ca-bundle name the same authority. Unless it signed the API server's client certificate too, \
             every master will be refused",
        );
    }
}

/// The authorities of clients, each file checked: what is no authority is told here, and not by a pod that does not start.
fn client_ca(args: &Args) -> Result<Option<ClientCa>, Failure> {
    let mut bundle = String::new();
    for file in &args.client_ca {
        let read = input::text(file)?;
        let bad = |source: AuthoritiesError| BadAuthorities { file: read.file.clone(), source };
        let authorities = Authorities::from_pem(read.text.as_bytes()).map_err(bad)?;
        if authorities.common_names().iter().all(|name| name == SERVING_AUTHORITY) {
            return Err(InstallError::SignsNoClient(read.file).into());
        }
        bundle.push_str(read.text.trim_end());
        bundle.push('\n');
    }
    Ok((!bundle.is_empty()).then(|| ClientCa { bundle, name: args.client_name.clone() }))
}
