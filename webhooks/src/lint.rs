//! The webhook on template ConfigMaps: a bad one is refused when it is applied, with key, line and reason.
//!
//! It only saves an admin from a mistake; its webhook configuration ignores failures, and what gets in anyway is
//! unusable alone. Who may write templates is not asked here, but by the floor. Read (pure), ask what the collector may
//! delete, answer (pure); what could not be asked is a warning.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use futures::future::{BoxFuture, ready};
use policies::collectable::{Need, Rights};
use policies::keys;
use policies::library::{Problem, Severity};
use policies::lint::Linted;
use policies::request::{Operation, Request};
use serde_json::Value;

use crate::review::{Answer, Decision, Denial};

/// Finds the problems of a template ConfigMap.
pub trait Linting: Send + Sync + 'static {
    /// Errors and warnings, in the order in which to show them, and what must be asked beside.
    fn read(&self, config_map: &Value) -> Linted;

    /// What the collector may of this. The server puts its own deadline around it, and takes what is not answered by then
    /// for not known.
    fn ask<'a>(&'a self, needs: &'a [Need]) -> BoxFuture<'a, Rights>;
}

/// What is shared with others lints as well.
impl<L: Linting> Linting for std::sync::Arc<L> {
    fn read(&self, config_map: &Value) -> Linted {
        L::read(self, config_map)
    }

    fn ask<'a>(&'a self, needs: &'a [Need]) -> BoxFuture<'a, Rights> {
        L::ask(self, needs)
    }
}

/// What loading the ConfigMap says, and what its author will regret; nobody is asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct TemplateLint;

impl Linting for TemplateLint {
    fn read(&self, config_map: &Value) -> Linted {
        policies::lint::read(config_map)
    }

    fn ask<'a>(&'a self, _: &'a [Need]) -> BoxFuture<'a, Rights> {
        Box::pin(ready(Rights::default()))
    }
}

/// How many errors a refusal lists; the rest is counted.
const LISTED: usize = 20;

/// The answer about a ConfigMap of this name with these problems: refused if there is an error, else allowed with its warnings.
pub(crate) fn answer(name: Option<&str>, problems: &[Problem]) -> Answer {
    let (errors, warnings): (Vec<_>, Vec<_>) = problems.iter().partition(|problem| problem.severity == Severity::Error);
    let warnings: Vec<String> = warnings.into_iter().map(line).collect();
    if errors.is_empty() {
        return allow(warnings);
    }
    let mut message = format!("template ConfigMap {} has {}:", name.unwrap_or("(unnamed)"), count(errors.len()));
    for problem in errors.iter().take(LISTED) {
        let _ = write!(message, "\n  {}", line(problem));
    }
    if errors.len() > LISTED {
        let _ = write!(message, "\n  and {} more", errors.len() - LISTED);
    }
    Answer { warnings, ..Denial::new(422, "Invalid", message).into() }
}

/// The template ConfigMap that is written. Anything that is none, and every deletion (which only revokes), is allowed
/// without a look.
pub(crate) fn template_config_map(request: &Request) -> Option<&Value> {
    let written = matches!(request.operation, Operation::Create | Operation::Update);
    let config_map = request.kind.group.is_empty() && request.kind.kind == "ConfigMap";
    if !written || !config_map || request.subresource.is_some() {
        return None;
    }
    request.object.as_ref().filter(|object| object["metadata"]["labels"][keys::TEMPLATES] == "true")
}

/// What the ConfigMap of a request is called.
pub(crate) fn name(request: &Request) -> Option<&str> {
    let object = request.object.as_ref();
    object.and_then(|object| object["metadata"]["name"].as_str()).or(request.name.as_deref())
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
