//! Templates that nobody can use, and pods that ask for what is not there.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::caller::Wish;
use crate::keys;
use crate::library::{Masters, TemplateSet};
use crate::object::{Gvk, NamespacedName};
use crate::template::{Pattern, Placement, Template};

use super::{Answers, Area, Finding, Question, Severity};

/// A pod that carries one of retinue's annotations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asking {
    /// The pod.
    pub pod: NamespacedName,
    /// Its account.
    pub account: NamespacedName,
    /// What it asks for, or why that cannot be read.
    pub wish: Result<Wish, String>,
}

/// What is looked at.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// Every template ConfigMap.
    pub sets: &'a [TemplateSet],
    /// Every master.
    pub masters: &'a BTreeSet<NamespacedName>,
    /// Every pod that asks; none: not known.
    pub asking: Option<&'a [Asking]>,
    /// The resource of each kind; none: the cluster does not serve it. A kind that is not here is not known.
    pub resources: &'a HashMap<Gvk, Option<String>>,
}

/// The accounts that templates and pods count on, each with what names it.
pub fn named(sets: &[TemplateSet], asking: Option<&[Asking]>) -> BTreeMap<NamespacedName, String> {
    let mut named = BTreeMap::new();
    for asking in asking.into_iter().flatten() {
        named.entry(asking.account.clone()).or_insert_with(|| format!("pod {} asks for templates", asking.pod));
    }
    for set in sets {
        if let Masters::Named(names) = &set.masters {
            for name in names.iter() {
                named.entry(name.clone()).or_insert_with(|| format!("ConfigMap {} names it", set.name));
            }
        }
    }
    named
}

impl Facts<'_> {
    fn admitted<'a>(&'a self, set: &'a TemplateSet) -> impl Iterator<Item = &'a NamespacedName> {
        self.masters.iter().filter(|account| set.masters.admit(&set.name.namespace, account))
    }

    /// Whether each master may create what its templates make.
    pub fn questions(&self) -> Vec<Question> {
        self.sets.iter().flat_map(|set| self.creates(set)).map(|(_, question)| question).collect()
    }

    /// The creates of a ConfigMap's masters, each with the key of its template.
    fn creates(&self, set: &TemplateSet) -> Vec<(String, Question)> {
        let mut creates = Vec::new();
        for template in set.templates.all() {
            let Some(Some(resource)) = self.resources.get(&template.kind) else { continue };
            for account in self.admitted(set) {
                for namespace in set.places(template) {
                    // What names no namespace as it stands is for the master's own.
                    if is_named(template) || namespace == account.namespace {
                        let (group, resource) = (template.kind.group.clone(), resource.clone());
                        let account = account.clone();
                        let question = Question { account, verb: "create", group, resource, namespace };
                        creates.push((template.key.clone(), question));
                    }
                }
            }
        }
        creates
    }

    /// What is wrong.
    pub fn examine(&self, answers: &Answers) -> Vec<Finding> {
        let mut findings = Vec::new();
        for set in self.sets {
            self.of_set(set, answers, &mut findings);
        }
        findings.extend(self.of_pods());
        findings
    }

    fn of_set(&self, set: &TemplateSet, answers: &Answers, findings: &mut Vec<Finding>) {
        let mut told = |severity, message: String, fix: String| {
            findings.push(Finding::new(severity, Area::Templates, format!("ConfigMap {}", set.name), message, fix));
        };
        let errors: Vec<_> = set.errors().collect();
        if let Some(first) = errors.first() {
            let more = match errors.len() {
                1 => String::new(),
                some => format!(" (and {} more errors)", some - 1),
            };
            told(
                Severity::Problem,
                format!("cannot be used as it is: {}{more}", first.with_place()),
                format!("kubectl get configmap -n {} {} -o yaml | retinue lint -", set.name.namespace, set.name.name),
            );
        }
        let mut unserved = BTreeSet::new();
        for template in set.templates.all() {
            if self.resources.get(&template.kind) == Some(&None) && unserved.insert(template.kind.clone()) {
                told(
                    Severity::Problem,
                    format!("{} makes {}, which this cluster does not serve", template.key, template.kind),
                    "install its CustomResourceDefinition, or correct apiVersion and kind".into(),
                );
            }
        }
        if set.templates.is_empty() {
            return;
        }
        let rbac =
            |account: &NamespacedName| format!("retinue rbac --manifests FILE --master {account} | kubectl apply -f -");
        if self.admitted(set).next().is_none() {
            let (whom, fix) = match &set.masters {
                Masters::OwnNamespace => (
                    format!("no account of namespace {} is a master", set.name.namespace),
                    rbac(&NamespacedName::new(set.name.namespace.clone(), "NAME")),
                ),
                Masters::Named(names) => {
                    let all: Vec<String> = names.iter().map(ToString::to_string).collect();
                    let first = names.iter().next().map(rbac).unwrap_or_default();
                    (format!("it admits {}, of whom none is a master", all.join(", ")), first)
                }
            };
            told(Severity::Problem, format!("nobody can use it: {whom}"), fix);
            return;
        }
        for (key, question) in self.creates(set) {
            if answers.get(&question) == Some(false) {
                let Question { account, group, resource, namespace, .. } = &question;
                let dot = if group.is_empty() { "" } else { "." };
                told(
                    Severity::Problem,
                    format!(
                        "{key} cannot be used by {account}: RBAC does not let it create {resource}{dot}{group} in {namespace}"
                    ),
                    rbac(account),
                );
            }
        }
        let asked = |asking: &[Asking]| {
            asking.iter().any(|asking| {
                self.masters.contains(&asking.account)
                    && set.masters.admit(&set.name.namespace, &asking.account)
                    && asking.wish.as_ref().is_ok_and(|wish| wish.manifests.contains(&set.name))
            })
        };
        if self.asking.is_some_and(|asking| !asked(asking)) {
            told(
                Severity::Warning,
                "no pod of a master that it admits asks for it".into(),
                format!("write {}: {} on the pod template of the master's workload", keys::MANIFESTS, set.name),
            );
        }
    }

    /// Pods that ask for what they do not get, those of one account together.
    fn of_pods(&self) -> Vec<Finding> {
        let sets: HashMap<&NamespacedName, &TemplateSet> = self.sets.iter().map(|set| (&set.name, set)).collect();
        let mut told: BTreeMap<(&NamespacedName, String), Vec<&NamespacedName>> = BTreeMap::new();
        for Asking { pod, account, wish } in self.asking.into_iter().flatten() {
            let mut tell = |message: String| told.entry((account, message)).or_default().push(pod);
            match wish {
                Err(reason) => tell(format!("what they ask for cannot be read: {reason}")),
                Ok(wish) => {
                    for name in &wish.manifests {
                        match sets.get(name) {
                            None => tell(format!(
                                "they ask for ConfigMap {name}, which is not there, or has no label {}: \"true\"",
                                keys::TEMPLATES
                            )),
                            Some(set) if !set.masters.admit(&set.name.namespace, account) => tell(format!(
                                "they ask for ConfigMap {name}, which does not admit {account} (annotation {})",
                                keys::MASTERS
                            )),
                            Some(_) => {}
                        }
                    }
                }
            }
        }
        let finding = |((account, message), pods): ((&NamespacedName, String), Vec<&NamespacedName>)| {
            let first = pods.first().map(ToString::to_string).unwrap_or_default();
            let more = match pods.len() {
                1 => String::new(),
                some => format!(" and {} more", some - 1),
            };
            Finding::new(
                Severity::Problem,
                Area::Templates,
                format!("pods of {account} ({first}{more})"),
                message,
                format!("correct {} on the pod template, or the ConfigMap", keys::MANIFESTS),
            )
        };
        told.into_iter().map(finding).collect()
    }
}

fn is_named(template: &Template) -> bool {
    matches!(template.placement, Placement::Named(Pattern::Literal(_)))
}

#[cfg(test)]
#[path = "templates_tests.rs"]
mod tests;
