//! Tables of template ConfigMaps, masters and pods, and what the doctor says of each.
#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]

use serde_json::json;

use super::super::testing;
use super::*;

fn set(annotations: serde_json::Value, data: serde_json::Value) -> TemplateSet {
    TemplateSet::load(&json!({
        "metadata": {
            "name": "post-trade", "namespace": "trading", "uid": "u", "resourceVersion": "1",
            "labels": {"fledged.io/templates": "true"}, "annotations": annotations,
        },
        "data": data,
    }))
}

fn job() -> serde_json::Value {
    json!({"job.yaml": "apiVersion: batch/v1\nkind: Job\nmetadata: {name: a}\nspec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: b}]}}}"})
}

fn eod() -> NamespacedName {
    NamespacedName::new("trading", "eod")
}

fn asking(manifests: &[&str]) -> Asking {
    let manifests = manifests.iter().map(|name| NamespacedName::new("trading", *name)).collect();
    let wish = Ok(Wish { manifests, ..Wish::default() });
    Asking { pod: NamespacedName::new("trading", "eod-1"), account: eod(), wish }
}

struct World {
    sets: Vec<TemplateSet>,
    masters: BTreeSet<NamespacedName>,
    asking: Vec<Asking>,
    served: Option<String>,
    may_create: bool,
}

impl World {
    fn well() -> Self {
        Self {
            sets: vec![set(json!({}), job())],
            masters: [eod()].into(),
            asking: vec![asking(&["post-trade"])],
            served: Some("jobs".into()),
            may_create: true,
        }
    }

    fn told(&self) -> Vec<(Severity, String)> {
        let resources = [(Gvk::new("batch", "v1", "Job"), self.served.clone())].into();
        let facts =
            Facts { sets: &self.sets, masters: &self.masters, asking: Some(&self.asking), resources: &resources };
        let answers = facts.questions().into_iter().map(|question| (question, Ok(self.may_create))).collect();
        testing::told(facts.examine(&Answers(answers)))
    }

    fn one(&self, severity: Severity, words: &[&str]) {
        testing::one(&self.told(), severity, words);
    }
}

#[test]
fn templates_that_are_used_are_well() {
    assert_eq!(World::well().told(), []);
}

#[test]
fn templates_that_nobody_can_use_are_told_with_the_reason() {
    let problem = Severity::Problem;
    World { masters: BTreeSet::new(), ..World::well() }
        .one(problem, &["nobody can use it", "no account of namespace trading"]);
    let others = set(json!({"fledged.io/masters": "risk/var"}), job());
    World { sets: vec![others], asking: Vec::new(), ..World::well() }
        .one(problem, &["it admits risk/var, of whom none"]);
    World { served: None, ..World::well() }.one(problem, &["job.yaml makes batch/v1 Job", "does not serve"]);
    World { may_create: false, ..World::well() }
        .one(problem, &["job.yaml", "trading/eod", "create jobs.batch in trading"]);
    World { asking: Vec::new(), ..World::well() }.one(Severity::Warning, &["no pod of a master"]);
    let mistaken = set(json!({}), json!({"job.yaml": "kind: ["}));
    World { sets: vec![mistaken], ..World::well() }.one(problem, &["cannot be used as it is", "job.yaml"]);
}

#[test]
fn pods_that_ask_for_what_they_do_not_get_are_told() {
    let world =
        World { asking: vec![asking(&["post-trade", "gone"]), asking(&["post-trade", "gone"])], ..World::well() };
    world.one(
        Severity::Problem,
        &["pods of trading/eod (trading/eod-1 and 1 more)", "ConfigMap trading/gone", "not there"],
    );
    let unreadable = Asking { wish: Err("a duration".into()), ..asking(&[]) };
    let told = World { asking: vec![asking(&["post-trade"]), unreadable], ..World::well() };
    told.one(Severity::Problem, &["cannot be read: a duration"]);
    let elsewhere = NamespacedName::new("risk", "eod");
    let foreign = Asking { account: elsewhere, ..asking(&["post-trade"]) };
    World { asking: vec![asking(&["post-trade"]), foreign], ..World::well() }
        .one(Severity::Problem, &["does not admit risk/eod"]);
}

#[test]
fn accounts_are_named_by_pods_and_config_maps() {
    let sets = [set(json!({"fledged.io/masters": "var"}), job())];
    let named = named(&sets, Some(&[asking(&[])]));
    assert_eq!(named[&eod()], "pod trading/eod-1 asks for templates");
    assert_eq!(named[&NamespacedName::new("trading", "var")], "ConfigMap trading/post-trade names it");
}
