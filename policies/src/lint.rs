//! What is wrong with template ConfigMaps in a file, and what their author will regret, by line.
//!
//! Loading says what cannot be used; here it is placed in the file, and habits that turn out badly are added to it.

mod habits;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::budget::Budget;
use crate::collectable::Need;
use crate::keys;
use crate::library::{self, Problem, Severity, TemplateSet, Weight};
use crate::parameter::Parameters;
use crate::yaml::{self, Content, Entry, Node, Style};

/// Looking for habits may take this part of what loading may take.
const SHARE_OF_HABITS: u64 = 4;

/// The problems of a YAML file of template ConfigMaps: one or more documents, a `List` among them too. Lines are those
/// of the file.
pub fn problems(text: &str) -> Vec<Problem> {
    problems_in(text, None)
}

/// As [`problems`]; a ConfigMap that names no namespace counts as of this one, as with `kubectl apply -n`.
pub fn problems_in(text: &str, namespace: Option<&str>) -> Vec<Problem> {
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
            problems.extend(one(node, namespace));
        } else {
            let message = "not a ConfigMap: templates stand under data of a ConfigMap, each under a key of its own";
            problems.push(Problem::error(None, Some(node.line), message));
        }
    }
    problems.sort_by_key(|problem| (problem.severity, problem.is_uncompiled(), problem.line));
    problems
}

/// What reading one template ConfigMap says.
#[derive(Clone, Debug, Default)]
pub struct Linted {
    /// Its problems, as far as the ConfigMap alone tells.
    pub problems: Vec<Problem>,
    /// What the collector must be able to delete, which the API server knows.
    pub needs: Vec<Need>,
    /// What it takes in use, by the estimate.
    pub weight: Weight,
}

impl Linted {
    /// Warns where there may be no room for it, of `bound` bytes that are kept of all template ConfigMaps, `others` of which
    /// the others take.
    pub fn warn_of_room(&mut self, others: u64, bound: u64) {
        let takes = self.weight.total();
        if others.saturating_add(takes) <= bound {
            return;
        }
        let size = library::share::size;
        self.problems.push(Problem::warning(
            None,
            None,
            format!(
                "it takes {} of memory in use, and of the {} that are kept of all template ConfigMaps the others take {}: it, or \
                 a younger one of a namespace that takes more than its share, is not kept, and nothing of that can be used \
                 (retinue doctor names those); shorten or delete template ConfigMaps (large are many manifests, long oneOf and \
                 enum, many different patterns), or have the admin of retinue raise --template-memory",
                size(takes),
                size(bound),
                size(others),
            ),
        ));
    }
}

/// The problems of one template ConfigMap, as a webhook sees it. Lines are those of each key's text.
pub fn problems_of(config_map: &Value) -> Vec<Problem> {
    read(config_map).problems
}

/// The same, and what must be asked about it. Whatever the ConfigMap says, this takes little more than a second of one core.
pub fn read(config_map: &Value) -> Linted {
    read_within(config_map, &Budget::of(library::MOST_STEPS))
}

/// As [`read`], by steps of `budget`, some five nanoseconds each in a release build. Looking for habits takes a fraction of
/// it beside, and ends where that is used up.
pub fn read_within(config_map: &Value, budget: &Budget) -> Linted {
    let habits = Budget::of(budget.left() / SHARE_OF_HABITS);
    let (mut warnings, mut seen) = (Vec::new(), HashSet::new());
    let set = library::load(config_map, budget, &mut |key, documents, parameters| {
        seen.insert(key.to_owned());
        warnings.extend(habits::of(key, documents, parameters, &habits));
    });
    let TemplateSet { mut problems, needs, weight, .. } = set;
    problems.extend(warnings);
    problems.extend(unseen(config_map, &seen, &habits));
    if habits.is_used_up() {
        let message = "it was not all looked through for what its author may regret, since that takes more work than is \
                       allowed: split the ConfigMap";
        problems.push(Problem::warning(None, None, message));
    }
    let mut problems = library::gathered(problems);
    let order = |problem: &Problem| (problem.severity, problem.is_uncompiled());
    problems.sort_by(|one, other| (order(one), &one.key, one.line).cmp(&(order(other), &other.key, other.line)));
    Linted { problems, needs, weight }
}

/// Habits in keys that were not compiled, since something is wrong with the ConfigMap as a whole.
fn unseen(config_map: &Value, seen: &HashSet<String>, habits: &Budget) -> Vec<Problem> {
    let data = config_map["data"].as_object().into_iter().flatten();
    let texts = data.filter_map(|(key, text)| Some((key, text.as_str()?)));
    let mut unseen = texts.filter(|(key, _)| *key != keys::PARAMETERS_KEY && !seen.contains(*key)).peekable();
    if unseen.peek().is_none() {
        return Vec::new();
    }
    let parameters = config_map["data"][keys::PARAMETERS_KEY].as_str();
    let parameters = parameters.and_then(|text| Parameters::parse_within(text, habits).ok()).unwrap_or_default();
    let mut warnings = Vec::new();
    for (key, text) in unseen {
        // Of a text that is no YAML, none: loading says that.
        let documents = yaml::documents_within(text, habits).unwrap_or_default();
        warnings.extend(habits::of(key, &documents, &parameters, habits));
    }
    warnings
}

fn kind(node: &Node) -> &str {
    node.get("kind").and_then(Node::as_str).unwrap_or_default()
}

/// One ConfigMap of a file: as the webhook sees it, lines moved to where its texts stand.
fn one(node: &Node, namespace: Option<&str>) -> Vec<Problem> {
    let mut config_map = node.to_value();
    if let (Some(metadata), Some(namespace)) = (config_map["metadata"].as_object_mut(), namespace)
        && metadata.get("namespace").is_none_or(|named| named.is_null() || named == "")
    {
        metadata.insert("namespace".into(), namespace.into());
    }
    let mut problems = problems_of(&config_map);
    let lines = LinesOf::keys(node);
    for problem in &mut problems {
        problem.line = Some(match &problem.key {
            Some(key) => lines.in_file(key, problem.line),
            None => node.line,
        });
    }
    problems
}

/// Where the texts of a ConfigMap stand in its file.
struct LinesOf<'n> {
    node: &'n Node,
    entries: HashMap<&'n str, &'n Entry>,
}

impl<'n> LinesOf<'n> {
    fn keys(node: &'n Node) -> Self {
        let annotations = node.get("metadata").and_then(|metadata| metadata.get("annotations"));
        // Those of data last: a key there counts before an annotation.
        let maps = [annotations, node.get("data")].into_iter().flatten().filter_map(Node::entries);
        Self { node, entries: maps.flatten().map(|entry| (entry.key.as_str(), entry)).collect() }
    }

    /// The file's line of a line of a key's text, or of an annotation.
    fn in_file(&self, key: &str, line: Option<usize>) -> usize {
        let Some(entry) = self.entries.get(key) else { return self.node.line };
        match (&entry.value.content, line) {
            // A block's text begins on the line after its | or >.
            (Content::Scalar(scalar), Some(line)) if scalar.style == Style::Block => entry.line + line,
            _ => entry.line,
        }
    }
}

/// Whether any of the problems keeps a template from being used.
pub fn has_errors(problems: &[Problem]) -> bool {
    problems.iter().any(|problem| problem.severity == Severity::Error)
}
