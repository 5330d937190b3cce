//! Measures retinue behind a real API server, and prints what came of it.

use std::path::PathBuf;
use std::process::ExitCode;

use bench::cluster::{self, Effort, Many, Part};
use clap::{Parser, ValueEnum};

/// What retinue costs behind a real API server: creates, start, memory.
#[derive(Debug, Parser)]
struct Args {
    /// The program; else the one beside this one
    #[arg(value_name = "RETINUE")]
    binary: Option<PathBuf>,
    /// What to measure; else everything but collecting
    #[arg(long, value_enum, value_name = "PART")]
    only: Vec<Part>,
    /// Two minutes instead of many
    #[arg(long)]
    quick: bool,
    /// Of collecting: with so many dependents alone
    #[arg(long, value_enum, value_name = "MANY")]
    dependents: Option<Many>,
    /// Of collecting: only what is due at once, nothing spread over time
    #[arg(long)]
    at_once: bool,
    /// Of collecting: how many times what is due at once is collected, in turns with a bare client; else 3
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(1..))]
    turns: Option<u8>,
    /// How to print
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
}

fn main() -> ExitCode {
    match measure(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:?}");
            ExitCode::FAILURE
        }
    }
}

fn measure(args: &Args) -> anyhow::Result<()> {
    let binary = match &args.binary {
        Some(binary) => binary.clone(),
        None => std::env::current_exe()?.with_file_name("retinue"),
    };
    let binary = binary.canonicalize()?;
    let effort = if args.quick { Effort::QUICK } else { Effort::FULL };
    let effort = args.dependents.map_or(effort, |many| effort.collecting(many));
    let effort = args.turns.map_or(effort, |turns| effort.in_turns(turns.into()));
    let effort = if args.at_once { effort.at_once() } else { effort };
    let parts = if args.only.is_empty() { &Part::USUAL[..] } else { &args.only };
    let mut told = Vec::new();
    for part in parts {
        for table in cluster::run(&binary, *part, effort)? {
            match args.output {
                Output::Table => println!("{}", table.text()),
                Output::Json => told.push(table.json()),
            }
        }
    }
    if args.output == Output::Json {
        println!("{}", serde_json::to_string_pretty(&told)?);
    }
    Ok(())
}
