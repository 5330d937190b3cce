//! `retinue rbac`: the narrow Roles that a master needs for its templates.

use std::path::PathBuf;

use policies::object::NamespacedName;
use policies::rbac::{self, Beside};
use policies::tables::Facts;

use super::output::{self, Manifests};
use super::templates::{self, Home};
use super::{Exit, Failure, input};

const EXAMPLES: &str = "\
Examples:
  retinue rbac --manifests post-trade.yaml --master trading/eod | kubectl apply -f -
  retinue rbac --manifests spark.yaml --master spark/driver --with sparkapplications-crd.yaml
  retinue rbac --manifests post-trade.yaml --master trading/eod --run

In the master's own namespace the verb launch, which makes it a master, and the verbs to create stand in one Role:
whoever withdraws the Role withdraws both. Exit codes: 0 printed, 2 not.";

/// Print the narrow Roles that a master needs for its templates, no more.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Files with template ConfigMaps; - is standard input
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    manifests: Vec<PathBuf>,
    /// The master's account
    #[arg(long, value_name = "NS/NAME", value_parser = input::namespaced_name)]
    master: NamespacedName,
    #[command(flatten)]
    home: Home,
    /// Files with the CustomResourceDefinitions of custom kinds
    #[arg(long, num_args = 1.., value_name = "FILE")]
    with: Vec<PathBuf>,
    /// With what `retinue run` reads: the pods of Jobs, and their logs
    #[arg(long)]
    run: bool,
    /// How to print
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    output: Manifests,
}

/// Runs it.
///
/// # Errors
/// For bad input, with its message.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    let sets = templates::load(&args.manifests, args.home.of(Some(&args.master)))?;
    let mut facts = Facts::default();
    for object in input::objects(&args.with)? {
        facts.apply(&object.value);
    }
    let beside = if args.run { Beside::Watching } else { Beside::Nothing };
    let roles = rbac::roles(sets.iter().map(std::convert::AsRef::as_ref), &args.master, &facts, beside)?;
    output::print_manifests(&roles, args.output)?;
    Ok(Exit::Fine)
}
