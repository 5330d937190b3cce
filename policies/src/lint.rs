//! What is wrong with template ConfigMaps in a file, and what their author will regret, by line.
//!
//! Loading says what cannot be used; here it is placed in the file, and habits that turn out badly are added to it.

mod habits;

#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::collectable::Need;
use crate::keys;
use crate::library::{Problem, Severity, TemplateSet};
use crate::parameter::Parameters;
use crate::yaml::{self, Content, Node, Style};

/// The problems of a YAML file of template ConfigMaps: one or more documents, a `List` among them too. Lines are those
/// of the file.
pub fn problems(text: &str) -> Vec<Problem> {
    let documents = match yaml::documents(text) {
        Ok(documents) => documents,
        Err(error) => {
            return vec![Problem::error(None, Some(error.line), format!("column {}: {}", error.column, error.message))];
        }
    };
    let mut problems = Vec::new();
    let mut config_maps = Vec::new();
    for document in &documents {
        match (kind(document), document.get("items").and_then(Node::items)) {
            ("List" | "ConfigMapList", Some(items)) => config_maps.extend(items),
            _ => config_maps.push(document),
        }
    }
    if config_maps.is_empty() {
        problems.push(Problem::error(None, Some(1), "no ConfigMap is here"));
    }
    for node in config_maps {
        if kind(node) == "ConfigMap" {
            problems.extend(one(node));
        } else {
            let message = "not a ConfigMap: templates stand under data of a ConfigMap, each under a key of its own";
            problems.push(Problem::error(None, Some(node.line), message));
        }
    }
    problems.sort_by_key(|problem| (problem.severity, problem.line));
    problems
}

/// What reading one template ConfigMap says.
#[derive(Clone, Debug, Default)]
pub struct Linted {
    /// Its problems, as far as the ConfigMap alone tells.
    pub problems: Vec<Problem>,
    /// What the collector must be able to delete, which the API server knows.
    pub needs: Vec<Need>,
}

/// The problems of one template ConfigMap, as a webhook sees it. Lines are those of each key's text.
pub fn problems_of(config_map: &Value) -> Vec<Problem> {
    read(config_map).problems
}

/// The same, and what must be asked about it.
pub fn read(config_map: &Value) -> Linted {
    let TemplateSet { mut problems, needs, .. } = TemplateSet::load(config_map);
    let parameters = parameters(config_map["data"][keys::PARAMETERS_KEY].as_str());
    for (key, text) in config_map["data"].as_object().into_iter().flatten() {
        if key != keys::PARAMETERS_KEY
            && let Some(text) = text.as_str()
        {
            problems.extend(habits::of(key, text, &parameters));
        }
    }
    problems.sort_by(|one, other| (one.severity, &one.key, one.line).cmp(&(other.severity, &other.key, other.line)));
    Linted { problems, needs }
}

fn kind(node: &Node) -> &str {
    node.get("kind").and_then(Node::as_str).unwrap_or_default()
}

fn parameters(text: Option<&str>) -> Parameters {
    text.and_then(|text| Parameters::parse(text).ok()).unwrap_or_default()
}

/// One ConfigMap of a file: as the webhook sees it, lines moved to where its texts stand.
fn one(node: &Node) -> Vec<Problem> {
    let mut problems = problems_of(&node.to_value());
    for problem in &mut problems {
        problem.line = Some(match &problem.key {
            Some(key) => line_in_file(node, key, problem.line),
            None => node.line,
        });
    }
    problems
}

/// The file's line of a line of a key's text, or of an annotation.
fn line_in_file(node: &Node, key: &str, line: Option<usize>) -> usize {
    let annotations = node.get("metadata").and_then(|metadata| metadata.get("annotations"));
    let entry = [node.get("data"), annotations]
        .into_iter()
        .flatten()
        .find_map(|map| map.entries()?.iter().find(|entry| entry.key == key));
    let Some(entry) = entry else { return node.line };
    match (&entry.value.content, line) {
        // A block's text begins on the line after its | or >.
        (Content::Scalar(scalar), Some(line)) if scalar.style == Style::Block => entry.line + line,
        _ => entry.line,
    }
}

/// Whether any of the problems keeps a template from being used.
pub fn has_errors(problems: &[Problem]) -> bool {
    problems.iter().any(|problem| problem.severity == Severity::Error)
}
