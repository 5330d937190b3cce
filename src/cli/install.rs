//! `retinue install`: prints what is installed in a cluster.

use std::path::PathBuf;

use crate::deploy::values::{IMAGE, NAMESPACE};
use crate::deploy::{self, FailurePolicy, Floor, Reach, Values};

use super::output::{self, Manifests};
use super::{Exit, Failure, input};

const EXAMPLES: &str = "\
Examples:
  retinue install --ca-bundle ./certs/ca.crt | kubectl apply --server-side -f -
  retinue install --url https://127.0.0.1:8443 --ca-bundle ./certs/ca.crt | kubectl apply --server-side -f -";

/// Print what is installed in a cluster, to be applied by kubectl.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The namespace of retinue itself
    #[arg(short, long, value_name = "NAMESPACE", default_value = NAMESPACE)]
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
    #[arg(long, value_name = "CIDR")]
    callers: Vec<String>,
    /// How to print
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    output: Manifests,
}

/// Runs it.
///
/// # Errors
/// For values that cannot be installed.
pub fn run(args: &Args) -> Result<Exit, Failure> {
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
        callers: args.callers.clone(),
    };
    let objects = deploy::render(&values.checked()?);
    output::print_manifests(&objects, args.output)?;
    Ok(Exit::Fine)
}
