//! `retinue lint`: what is wrong with template ConfigMaps, and what their author will regret.

use std::path::PathBuf;

use policies::library::{Problem, Severity};
use serde_json::{Value, json};

use super::output::{self, Answers};
use super::{Exit, Failure, input};

const EXAMPLES: &str = "\
Examples:
  retinue lint post-trade.yaml
  helm template charts/eod | retinue lint -n trading -
  retinue lint -o json templates/*.yaml

Exit codes: 0 no errors (there may be warnings), 1 errors, 2 a file that cannot be read";

/// Find the problems of template ConfigMaps, with their lines.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Files with template ConfigMaps; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The namespace of manifests that name none; without it such a ConfigMap is an error
    #[arg(short, long, value_name = "NAMESPACE", value_parser = input::namespace)]
    namespace: Option<String>,
    /// How to print the problems
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    output: Answers,
}

/// Runs it.
///
/// # Errors
/// When a file cannot be read.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    let mut found = Vec::new();
    for path in &args.files {
        let input::Text { file, text } = input::text(path)?;
        let problems = policies::lint::problems_in(&text, args.namespace.as_deref());
        found.extend(problems.into_iter().map(|problem| (file.clone(), problem)));
    }
    match args.output {
        Answers::Text => {
            let lines: String = found.iter().map(|(file, problem)| line(file, problem)).collect();
            output::print(&lines)?;
        }
        Answers::Json => output::print_json(&found.iter().map(|(file, problem)| machine(file, problem)).collect())?,
    }
    let errors = found.iter().any(|(_, problem)| problem.severity == Severity::Error);
    Ok(if errors { Exit::No } else { Exit::Fine })
}

/// `file:line: error: key: message`, as editors and CI read it.
fn line(file: &str, problem: &Problem) -> String {
    let at = problem.line.map(|line| format!(":{line}")).unwrap_or_default();
    let key = problem.key.as_ref().map(|key| format!("{key}: ")).unwrap_or_default();
    let severity = match problem.severity {
        Severity::Error => output::coloured("error", false),
        Severity::Warning => "warning".to_owned(),
    };
    format!("{file}{at}: {severity}: {key}{}\n", problem.message)
}

fn machine(file: &str, problem: &Problem) -> Value {
    json!({
        "file": file, "line": problem.line, "severity": problem.severity, "key": problem.key, "message": problem.message,
    })
}
