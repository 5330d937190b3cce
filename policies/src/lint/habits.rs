//! Habits that an author will regret.

use std::collections::HashMap;

use crate::budget::Budget;
use crate::essential::listed;
use crate::keys;
use crate::library::Problem;
use crate::object::Gvk;
use crate::parameter::Parameters;
use crate::sidecars;
use crate::template::{Given, Hole, mentions, split};
use crate::text::Part;
use crate::yaml::{self, Content, Node, Style};

/// The most warnings of one text: beyond, nobody reads them.
const MOST: usize = 100;

/// Steps for a node, and for two names that are compared.
const STEPS_PER_NODE: u64 = 8;
const STEPS_PER_BYTE: u64 = 2;
const STEPS_PER_NAME: u64 = 4;

struct Habits<'a> {
    key: &'a str,
    parameters: &'a Parameters,
    budget: &'a Budget,
    problems: Vec<Problem>,
    /// By what stands between braces: the name that may be meant.
    meant: HashMap<String, Option<&'a str>>,
}

/// The warnings of one key's documents, as far as the steps of the budget lead: habits are looked for, not sworn by.
pub(super) fn of(key: &str, documents: &[Node], parameters: &Parameters, budget: &Budget) -> Vec<Problem> {
    let mut habits = Habits { key, parameters, budget, problems: Vec::new(), meant: HashMap::new() };
    for document in documents {
        habits.node(document, None);
        habits.manifest(document);
    }
    habits.problems
}

impl<'a> Habits<'a> {
    fn warn(&mut self, line: usize, message: impl Into<String>) {
        if self.problems.len() < MOST {
            self.problems.push(Problem::warning(Some(self.key), Some(line), message));
        }
    }

    /// `field` is the nearest key above.
    fn node(&mut self, node: &Node, field: Option<&str>) {
        if self.budget.spend(STEPS_PER_NODE).is_err() {
            return;
        }
        match &node.content {
            Content::Map(entries) => {
                for entry in entries {
                    self.typos(&entry.key, entry.line);
                    self.whole_env(&entry.key, &entry.value);
                    self.node(&entry.value, Some(&entry.key));
                }
            }
            Content::List(items) => items.iter().for_each(|item| self.node(item, field)),
            Content::Scalar(scalar) => {
                if scalar.style == Style::Plain && yaml::is_short_boolean(&scalar.text) {
                    let meaning = scalar.value.to_string();
                    let message = format!("{} is the boolean {meaning}: quote it if text is meant", scalar.text);
                    self.warn(node.line, message);
                }
                let Some(text) = scalar.value.as_str() else { return };
                self.typos(text, node.line);
                self.free_text(text, field, node.line);
            }
        }
    }

    fn declared(&self, text: &str) -> Vec<usize> {
        if self.budget.spend(text.len() as u64 * STEPS_PER_BYTE).is_err() {
            return Vec::new();
        }
        split(text, self.parameters)
            .into_iter()
            .filter_map(|part| match part {
                Part::Hole(Hole::Declared(position)) => Some(position),
                _ => None,
            })
            .collect()
    }

    fn free_text(&mut self, text: &str, field: Option<&str>, line: usize) {
        let Some(field @ ("command" | "args" | "image")) = field else { return };
        let free: Vec<_> = self
            .declared(text)
            .into_iter()
            .filter(|position| self.parameters.pieces.is_free_text(*position, self.parameters))
            .filter_map(|position| Some(self.parameters.all.get(position)?.name.clone()))
            .take(MOST)
            .collect();
        for name in free {
            let fix = if field == "image" { "format: image, or an enum" } else { "a pattern or an enum" };
            self.warn(
                line,
                format!("{name} is free text in {field}: the master decides what runs there; give it {fix}"),
            );
        }
    }

    fn whole_env(&mut self, key: &str, value: &Node) {
        let is_list = |position: &usize| self.parameters.all.get(*position).is_some_and(|found| found.schema.is_list());
        if key == "env" && value.as_str().is_some_and(|text| self.declared(text).iter().any(is_list)) {
            self.warn(
                value.line,
                "the whole env list is one hole: the master decides every variable; write the fixed ones out, and the \
                 hole as one element among them",
            );
        }
    }

    /// A `${…}` that is nearly a known name.
    fn typos(&mut self, text: &str, line: usize) {
        if self.problems.len() >= MOST || self.budget.spend(text.len() as u64 * STEPS_PER_BYTE).is_err() {
            return;
        }
        for mention in mentions(text, self.parameters) {
            let known = match self.meant.get(&mention.name) {
                Some(known) => *known,
                None => {
                    let known = self.near(mention.name.trim());
                    self.meant.insert(mention.name.clone(), known);
                    known
                }
            };
            if let Some(known) = known {
                let message = format!("${{{}}} is plain text; did you mean ${{{known}}}?", mention.name);
                self.warn(line, message);
            }
        }
    }

    /// The known name that is nearest to this one, where one is near.
    fn near(&self, name: &str) -> Option<&'a str> {
        let names = self.parameters.all.iter().map(|parameter| parameter.name.as_str());
        let mut nearest = None;
        for known in names.chain(Given::ALL.iter().map(|given| given.name())) {
            // What is too long or too short is seen at once.
            let steps = if name.len().abs_diff(known.len()) > 2 { 0 } else { name.len() * known.len() };
            if self.budget.spend(STEPS_PER_NAME + steps as u64).is_err() {
                return None;
            }
            nearest = distance(name, known).map(|distance| (distance, known)).into_iter().chain(nearest).min();
        }
        nearest.map(|(_, known)| known)
    }

    /// A manifest as a whole, or each of a List.
    fn manifest(&mut self, document: &Node) {
        for item in document.get("items").and_then(Node::items).unwrap_or_default() {
            self.manifest(item);
        }
        self.stateful_sets(document);
        self.sidecars(document);
    }

    /// A StatefulSet that is deleted leaves its claims behind, unless it says otherwise.
    fn stateful_sets(&mut self, document: &Node) {
        let Some(spec) = document.get("spec").filter(|_| super::kind(document) == "StatefulSet") else { return };
        let deletes = spec
            .get("persistentVolumeClaimRetentionPolicy")
            .and_then(|policy| policy.get("whenDeleted"))
            .and_then(Node::as_str)
            == Some("Delete");
        if let Some(claims) = spec.get("volumeClaimTemplates").filter(|_| !deletes) {
            self.warn(
                claims.line,
                "the claims of this StatefulSet stay when it is deleted: say persistentVolumeClaimRetentionPolicy: \
                 {whenDeleted: Delete} if they should go with it",
            );
        }
    }

    /// A Job whose sidecars the collector ends, though its node could.
    fn sidecars(&mut self, document: &Node) {
        let version = document.get("apiVersion").and_then(Node::as_str).unwrap_or_default();
        let spec = sidecars::place(&Gvk::from_api_version(version, super::kind(document)));
        let way = spec.and_then(|spec| spec.strip_prefix('/')?.strip_suffix("/spec"));
        let Some(template) = way.and_then(|way| at(document, way)) else { return };
        let asks = at(document, "metadata/annotations").is_some_and(|all| all.get(keys::NATIVE_SIDECARS).is_some());
        let alone = at(template, "spec/containers").and_then(Node::items).is_none_or(|all| all.len() < 2);
        let Some(labels) = at(template, "metadata/labels").filter(|_| !asks && !alone) else { return };
        let one = |label: &&Node| label.as_str().is_some_and(|names| listed(names).count() == 1);
        let Some(label) = keys::ESSENTIAL.iter().filter_map(|key| labels.get(key)).find(one) else { return };
        self.warn(
            label.line,
            format!(
                "the collector ends the sidecars of this Job, and where it is late a Job of several pods may repeat work: \
                 say {}: \"true\" in the annotations of the manifest, and its node ends them",
                keys::NATIVE_SIDECARS
            ),
        );
    }
}

/// What stands at the end of a way of keys.
fn at<'n>(node: &'n Node, way: &str) -> Option<&'n Node> {
    way.split('/').try_fold(node, |node, key| node.get(key))
}

/// How many letters differ (added, removed, changed, or two swapped), case aside; none if it is too many for a typo.
fn distance(name: &str, known: &str) -> Option<usize> {
    let letters = |text: &str| text.to_ascii_lowercase().into_bytes();
    let (name, known) = (letters(name), letters(known));
    let most = match known.len() {
        0..=2 => 0,
        3..=5 => 1,
        _ => 2,
    };
    if name.len().abs_diff(known.len()) > most {
        return None;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=known.len()).collect();
    for (i, letter) in name.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, other) in known.iter().enumerate() {
            let mut best = (row[j] + usize::from(letter != other)).min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && *letter == known[j - 1] && name[i - 1] == *other {
                best = best.min(before[j - 1] + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().filter(|distance| *distance <= most)
}
