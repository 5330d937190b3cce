//! The command line: one file per command, each a function from its arguments to an [`Exit`].
//!
//! `check`, `render`, `lint`, `rbac` read files and ask `policies`, the same functions as in the cluster; `run` and
//! `doctor` ask a cluster; the servers are in [`crate::role`].

pub mod caller;
mod callers;
pub mod certs;
pub mod check;
pub mod doctor;
pub mod input;
pub mod install;
pub mod lint;
pub mod output;
pub mod rbac;
pub mod render;
pub mod run;
pub mod templates;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::role;
use crate::telemetry::{self, Format};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// As wished: admitted, no problems.
    Fine,
    /// The answer is no: refused, problems found.
    No,
    /// There is no answer: bad input, a missing fact.
    Unknown,
    /// A limit in time has passed.
    TimeLimit,
    /// A signal ended it.
    Interrupted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Fine => 0,
            Exit::No => 1,
            Exit::Unknown => 2,
            // As timeout(1) says it.
            Exit::TimeLimit => 124,
            // 128 + SIGINT, as a shell says it.
            Exit::Interrupted => 130,
        })
    }
}

/// What every command may fail with: bad input, each with its message, and the pipe that is closed.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

const CODES: &str = "\
Exit codes:
  0  as wished: admitted, no errors found, sound, server stopped by a signal
  1  the answer is no: refused (check), errors found (lint), problems found (doctor), a Job failed (run), or a server failed
  2  no answer: unreadable input, wrong arguments, or a fact that is missing (check, doctor)
run has two more: 124 its time limit has passed, 130 a signal ended it";

/// Lets a Kubernetes workload launch exactly the objects that an admin's templates describe.
#[derive(Debug, Parser)]
#[command(name = "retinue", version, after_help = CODES, max_term_width = 110)]
pub struct Cli {
    #[command(flatten)]
    logging: Logging,
    #[command(subcommand)]
    command: Command,
}

/// Logging, for every command.
#[derive(Debug, clap::Args)]
struct Logging {
    /// What to log, on standard error: a level, or levels by module (info,retinue=debug)
    #[arg(
        long,
        global = true,
        value_name = "FILTER",
        env = "RUST_LOG",
        default_value = telemetry::DEFAULT_FILTER,
        hide_env_values = true
    )]
    log: String,
    /// How log lines look; auto is text on a terminal, JSON elsewhere
    #[arg(long, global = true, value_name = "FORMAT", value_enum, default_value_t = Format::Auto)]
    log_format: Format,
}

/// The commands.
#[derive(Debug, Subcommand)]
enum Command {
    /// Say what the cluster would say to an object, without a cluster
    Check(check::Args),
    /// Print the manifest that a template makes of parameters
    Render(render::Args),
    /// Find the problems of template ConfigMaps, with their lines
    Lint(lint::Args),
    /// Start a Job, watch it, end it
    Run(run::Args),
    /// Print the narrow Roles that a master needs for its templates
    Rbac(rbac::Args),
    /// Say whether the installation is sound, and who gets around it
    Doctor(doctor::Args),
    /// Make development certificates, or the API server's client certificate
    Certs(certs::Args),
    /// Print what is installed in a cluster
    Install(install::Args),
    /// Answer the API server's reviews
    Webhook(role::webhook::Args),
    /// Run webhook and controller in one process, on a laptop
    Dev(role::dev::Args),
    /// Collect: delete dependents whose deadline is past
    Controller(role::controller::Args),
}

/// The whole program.
pub fn main() -> ExitCode {
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        complain("another TLS provider is installed already, which must not be");
        return Exit::No.into();
    }
    let name = called_as(std::env::args_os().next().as_deref());
    let cli = match Cli::command().bin_name(name).try_get_matches().and_then(|found| Cli::from_arg_matches(&found)) {
        Ok(cli) => cli,
        Err(told) => told.exit(),
    };
    if let Err(error) = telemetry::start(&cli.logging.log, cli.logging.log_format) {
        complain(&error.to_string());
        return Exit::Unknown.into();
    }
    match cli.command.run() {
        Ok(exit) => exit.into(),
        // `retinue render ... | head` is no error.
        Err(error) if closed_pipe(error.as_ref()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error.to_string());
            Exit::Unknown.into()
        }
    }
}

impl Command {
    fn run(&self) -> Result<Exit, Failure> {
        match self {
            Self::Check(args) => check::run(args),
            Self::Render(args) => render::run(args),
            Self::Lint(args) => lint::run(args),
            Self::Run(args) => run::run(args),
            Self::Rbac(args) => rbac::run(args),
            Self::Doctor(args) => doctor::run(args),
            Self::Certs(args) => certs::run(args),
            Self::Install(args) => install::run(args),
            Self::Webhook(args) => role::serve(role::Threads::Many, |shutdown| role::webhook::run(args, shutdown)),
            Self::Dev(args) => role::serve(role::Threads::Many, |shutdown| role::dev::run(args, shutdown)),
            Self::Controller(args) => role::serve(role::Threads::One, |shutdown| role::controller::run(args, shutdown)),
        }
    }
}

/// `kubectl retinue` where kubectl started us as its plugin, so that help and errors name what was typed.
fn called_as(program: Option<&std::ffi::OsStr>) -> &'static str {
    let stem = program.map(std::path::Path::new).and_then(std::path::Path::file_stem);
    match stem.and_then(|stem| stem.to_str()) {
        Some("kubectl-retinue") => "kubectl retinue",
        _ => "retinue",
    }
}

fn complain(message: &str) {
    say(message);
}

/// Tells people, beside what is printed for programs.
fn say(message: &str) {
    // Where standard error is closed, there is nobody to tell.
    let _ = writeln!(io::stderr(), "retinue: {message}");
}

fn closed_pipe(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn it_is_a_kubectl_plugin_by_its_name() {
        for (program, expected) in [
            (Some("/usr/local/bin/kubectl-retinue"), "kubectl retinue"),
            (Some("retinue"), "retinue"),
            (Some("./target/debug/retinue"), "retinue"),
            (None, "retinue"),
        ] {
            assert_eq!(called_as(program.map(std::ffi::OsStr::new)), expected, "{program:?}");
        }
    }
}
