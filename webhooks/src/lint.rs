//! The webhook on template ConfigMaps: a bad one is refused when it is applied, with key, line and reason.
//!
//! It only saves an admin from a mistake; its webhook configuration ignores failures, and what gets in anyway is
//! unusable alone. Who may write templates is not asked here, but by the floor.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use policies::keys;
use policies::library::{Problem, Severity};
use policies::request::{Operation, Request};
use serde_json::Value;

use crate::review::{Answer, Decision, Denial};

/// Finds the problems of a template ConfigMap.
pub trait Linting: Send + Sync + 'static {
    /// Errors and warnings, in the order in which to show them.
    fn problems(&self, config_map: &Value) -> Vec<Problem>;
}

/// What loading the ConfigMap says, and what its author will regret.
#[derive(Clone, Copy, Debug, Default)]
pub struct TemplateLint;

impl Linting for TemplateLint {
    fn problems(&self, config_map: &Value) -> Vec<Problem> {
        policies::lint::problems_of(config_map)
    }
}

/// How many errors a refusal lists; the rest is counted.
const LISTED: usize = 20;

/// The answer about a ConfigMap: refused if it has an error, else allowed with its warnings. Anything that is no
/// template ConfigMap, and every deletion (which only revokes), is allowed.
pub fn answer(request: &Request, linting: &dyn Linting) -> Answer {
    let Some(config_map) = template_config_map(request) else { return allow(Vec::new()) };
    let problems = linting.problems(config_map);
    let (errors, warnings): (Vec<_>, Vec<_>) = problems.iter().partition(|problem| problem.severity == Severity::Error);
    let warnings: Vec<String> = warnings.into_iter().map(line).collect();
    if errors.is_empty() {
        return allow(warnings);
    }
    let name = config_map["metadata"]["name"].as_str().or(request.name.as_deref()).unwrap_or("(unnamed)");
    let mut message = format!("template ConfigMap {name} has {}:", count(errors.len()));
    for problem in errors.iter().take(LISTED) {
        let _ = write!(message, "\n  {}", line(problem));
    }
    if errors.len() > LISTED {
        let _ = write!(message, "\n  and {} more", errors.len() - LISTED);
    }
    Answer { warnings, ..Denial::new(422, "Invalid", message).into() }
}

fn template_config_map(request: &Request) -> Option<&Value> {
    let written = matches!(request.operation, Operation::Create | Operation::Update);
    let config_map = request.kind.group.is_empty() && request.kind.kind == "ConfigMap";
    if !written || !config_map || request.subresource.is_some() {
        return None;
    }
    request.object.as_ref().filter(|object| object["metadata"]["labels"][keys::TEMPLATES] == "true")
}

fn allow(warnings: Vec<String>) -> Answer {
    Answer { decision: Decision::Allow { patch: None }, warnings, audit: BTreeMap::new() }
}

/// `job.yaml, line 3: …`, as much of it as is known.
fn line(problem: &Problem) -> String {
    match (&problem.key, problem.line) {
        (Some(key), Some(line)) => format!("{key}, line {line}: {}", problem.message),
        (Some(key), None) => format!("{key}: {}", problem.message),
        (None, _) => problem.message.clone(),
    }
}

fn count(errors: usize) -> String {
    if errors == 1 { "an error".into() } else { format!("{errors} errors") }
}
