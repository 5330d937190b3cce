//! `retinue render`: a template run forwards.

use std::collections::BTreeMap;
use std::path::PathBuf;

use policies::object::NamespacedName;
use policies::template::Given;

use super::output::{self, Manifests};
use super::templates::{self, Chosen};
use super::{Exit, Failure, caller, input};

const EXAMPLES: &str = "\
Examples:
  retinue render --manifests post-trade.yaml --template job.yaml --set run=20261120 --set workers=4
  retinue render --manifests post-trade.yaml --set run=20261120 | kubectl create -f -
  retinue render --manifests spark.yaml --template driver.yaml --set-json 'confs=[{\"name\":\"a\"}]' --as trading/eod

Parameters that are not set take their default. Exit codes: 0 rendered, 2 not.";

/// Print the manifest that a template makes of parameters, as a master sends it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Files with template ConfigMaps; - is standard input
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    manifests: Vec<PathBuf>,
    #[command(flatten)]
    chosen: Chosen,
    /// The master's account, for ${master.name} and ${master.namespace}
    #[arg(long = "as", value_name = "NS/NAME", value_parser = input::namespaced_name)]
    account: Option<NamespacedName>,
    /// The master's pod and what owns it, for ${pod.name}, ${master.uid} and the like
    #[arg(long, value_name = "FILE", conflicts_with = "account")]
    caller: Option<PathBuf>,
    /// The namespace of ConfigMaps that name none
    #[arg(short, long, value_name = "NAMESPACE", default_value = "default", value_parser = input::namespace)]
    namespace: String,
    /// How to print
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    output: Manifests,
}

/// Runs it.
///
/// # Errors
/// For bad input, with its message.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    let namespace = args.account.as_ref().map_or(args.namespace.as_str(), |account| &account.namespace);
    let sets = templates::load(&args.manifests, Some(namespace))?;
    let chosen = args.chosen.of(&sets)?;
    let arguments = args.chosen.arguments()?;
    let given = given(args)?;
    let mut manifests = Vec::new();
    for template in chosen {
        manifests.push(templates::as_sent(template, &arguments, &given)?);
    }
    output::print_manifests(&manifests, args.output)?;
    Ok(Exit::Fine)
}

fn given(args: &Args) -> Result<BTreeMap<Given, String>, Failure> {
    if let Some(file) = &args.caller {
        return Ok(caller::given(&caller::from_file(file)?));
    }
    Ok(args.account.as_ref().map_or_else(BTreeMap::new, |account| {
        BTreeMap::from([(Given::MasterName, account.name.clone()), (Given::MasterNamespace, account.namespace.clone())])
    }))
}
