//! Templates whose dependents the collector could not delete, by [`crate::collectable`]: of those that were there before
//! their rights went, too.

use std::collections::{BTreeMap, HashMap};

use crate::collectable::{self, Known, Need, Rights, VERBS};
use crate::library::{Severity as Level, TemplateSet};
use crate::object::{Gvk, NamespacedName};

use super::{Answers, Area, Finding, Question, Severity};

/// What is looked at.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// Every template ConfigMap.
    pub sets: &'a [TemplateSet],
    /// The resource of each kind; none: the cluster does not serve it. A kind that is not here is not known.
    pub resources: &'a HashMap<Gvk, Option<String>>,
    /// The collector's account.
    pub account: &'a NamespacedName,
}

impl Facts<'_> {
    /// What to ask of the collector's rights.
    pub fn questions(&self) -> Vec<Question> {
        self.sets.iter().flat_map(|set| &set.needs).flat_map(|need| self.of(need)).collect()
    }

    fn of(&self, need: &Need) -> Vec<Question> {
        let Some(Some(resource)) = self.resources.get(&need.kind) else { return Vec::new() };
        let asked = need.namespaces.iter().flat_map(|namespace| VERBS.map(|verb| (namespace, verb)));
        let question = |(namespace, verb): (&String, &'static str)| Question {
            account: self.account.clone(),
            verb,
            group: need.kind.group.clone(),
            resource: resource.clone(),
            namespace: namespace.clone(),
        };
        asked.map(question).collect()
    }

    /// What is wrong.
    pub fn examine(&self, answers: &Answers) -> Vec<Finding> {
        let mut findings = answers.unanswered(Area::Collector);
        for set in self.sets {
            let rights = self.rights(set, answers);
            let errors = collectable::problems(&set.needs, &rights);
            findings.extend(errors.into_iter().filter(|problem| problem.severity == Level::Error).map(|problem| {
                // The rule to apply stands below the sentence, as it is to be typed.
                let told = problem.with_place();
                let (told, fix) = told.split_once('\n').unwrap_or((&told, ""));
                let about = format!("ConfigMap {}", set.name);
                Finding::new(
                    Severity::Problem,
                    Area::Collector,
                    about,
                    told.to_owned(),
                    format!("kubectl apply -f - of\n{fix}"),
                )
            }));
        }
        findings
    }

    fn rights(&self, set: &TemplateSet, answers: &Answers) -> Rights {
        let mut kinds = BTreeMap::new();
        for need in &set.needs {
            let Some(Some(resource)) = self.resources.get(&need.kind) else { continue };
            let mut verbs: BTreeMap<String, Vec<&'static str>> = BTreeMap::new();
            for question in self.of(need) {
                if answers.get(&question) == Some(false) {
                    verbs.entry(question.namespace).or_default().push(question.verb);
                }
            }
            kinds.insert(Gvk::clone(&need.kind), Known::Missing { resource: resource.clone(), verbs });
        }
        let account = format!("system:serviceaccount:{}:{}", self.account.namespace, self.account.name);
        Rights { account, kinds }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_collector_could_not_delete_is_told_with_the_rule_to_apply() {
        let set = TemplateSet::load(&json!({
            "metadata": {"name": "post-trade", "namespace": "trading", "labels": {"fledged.io/templates": "true"}},
            "data": {
                "w.yaml": "{apiVersion: example.com/v1, kind: Widget, metadata: {name: w}}",
                "kept.yaml": "{apiVersion: v1, kind: Secret, metadata: {name: s, annotations: {fledged.io/duration: none}}}",
            },
        }));
        let account = NamespacedName::new("retinue", "retinue-controller");
        let resources = [
            (Gvk::new("example.com", "v1", "Widget"), Some("widgets".to_owned())),
            (Gvk::new("", "v1", "Secret"), Some("secrets".to_owned())),
        ]
        .into();
        let sets = [set];
        let facts = Facts { sets: &sets, resources: &resources, account: &account };
        let questions = facts.questions();
        assert_eq!(questions.len(), 3, "the Secret is never the collector's to delete: {questions:?}");
        let answers = |may: fn(&str) -> bool| {
            Answers(questions.iter().map(|question| (question.clone(), Ok(may(question.verb)))).collect())
        };
        assert_eq!(facts.examine(&answers(|_| true)), []);
        let [finding] = &facts.examine(&answers(|verb| verb != "delete"))[..] else { panic!("one finding") };
        assert_eq!((finding.severity, finding.about.as_str()), (Severity::Problem, "ConfigMap trading/post-trade"));
        assert!(finding.message.contains("no right to delete widgets.example.com in namespace trading"), "{finding:?}");
        assert!(finding.fix.contains("rules: [{apiGroups: [\"example.com\"]"), "{finding:?}");
        // What could not be asked is not known to be missing.
        let unasked = Answers(questions.into_iter().map(|question| (question, Err("no".to_owned()))).collect());
        let severities: Vec<Severity> = facts.examine(&unasked).iter().map(|finding| finding.severity).collect();
        assert_eq!(severities, [Severity::Unknown]);
    }
}
