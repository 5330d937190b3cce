//! `retinue-bench`: what a verdict costs.

use bench::alone;
use clap::{Parser, Subcommand};

/// As the real program has it: all servers that are compared share it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measure what a verdict costs
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Alone(alone::Args),
    Serve(alone::ServeArgs),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Alone(args) => alone::run(&args),
        Command::Serve(args) => alone::serve(&args),
    }
}
