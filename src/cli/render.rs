//! `retinue render`: a template run forwards.

use std::collections::BTreeMap;
use std::path::PathBuf;

use policies::object::NamespacedName;
use policies::template::Given;

use super::output::{self, Manifests};
use super::templates::{self, Chosen, Home};
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
    #[command(flatten)]
    home: Home,
    /// How to print
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    output: Manifests,
}

/// Runs it.
///
/// # Errors
/// For bad input, with its message.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    let verified = args.caller.as_deref().map(caller::from_file).transpose()?;
    let known = verified.as_ref().map(|caller| &caller.account).or(args.account.as_ref());
    let sets = templates::load(&args.manifests, args.home.of(known))?;
    let chosen = args.chosen.of(&sets)?;
    let arguments = args.chosen.arguments()?;
    let given = verified.as_ref().map_or_else(|| of_account(args.account.as_ref()), caller::given);
    let mut manifests = Vec::new();
    for template in chosen {
        manifests.push(templates::as_sent(template, &arguments, &given)?);
    }
    output::print_manifests(&manifests, args.output)?;
    Ok(Exit::Fine)
}

/// What is known of a master by its account alone.
fn of_account(account: Option<&NamespacedName>) -> BTreeMap<Given, String> {
    account.map_or_else(BTreeMap::new, |account| {
        BTreeMap::from([(Given::MasterName, account.name.clone()), (Given::MasterNamespace, account.namespace.clone())])
    })
}
