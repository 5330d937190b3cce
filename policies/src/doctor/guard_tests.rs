//! Tables of clusters, and what the doctor says of each.
#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]

use serde_json::{Value, json};

use super::super::testing;
use super::*;

const OWN: [&str; 2] = ["retinue-webhook", "retinue-controller"];

/// A cluster: bindings of a role with these rules to these subjects, in a namespace or (none) in all.
struct World {
    objects: Vec<Value>,
    named: BTreeMap<NamespacedName, String>,
    answers: Answers,
}

fn rule(verbs: &[&str], group: &str, resource: &str) -> Value {
    json!([{ "verbs": verbs, "apiGroups": [group], "resources": [resource] }])
}

fn launch() -> Value {
    rule(&["launch"], "fledged.io", "dependents")
}

fn eod() -> NamespacedName {
    NamespacedName::new("trading", "eod")
}

fn account(name: &NamespacedName) -> Value {
    json!({ "kind": "ServiceAccount", "namespace": name.namespace, "name": name.name })
}

fn group(name: &str) -> Value {
    json!({ "kind": "Group", "name": name })
}

impl World {
    fn new() -> Self {
        Self { objects: Vec::new(), named: BTreeMap::new(), answers: Answers::default() }
    }

    fn bind(mut self, namespace: Option<&str>, rules: Value, subject: Value) -> Self {
        let name = format!("b{}", self.objects.len());
        let kind = if namespace.is_some() { "RoleBinding" } else { "ClusterRoleBinding" };
        self.objects.push(json!({ "kind": "ClusterRole", "metadata": { "name": name }, "rules": rules }));
        self.objects.push(json!({
            "kind": kind, "metadata": { "name": name, "namespace": namespace },
            "roleRef": { "kind": "ClusterRole", "name": name }, "subjects": [subject],
        }));
        self
    }

    fn named(mut self, account: &NamespacedName) -> Self {
        self.named.insert(account.clone(), "ConfigMap trading/post-trade names it".into());
        self
    }

    /// What the API server says of an account.
    fn stands(mut self, account: &NamespacedName, launch: bool, wildcard: bool) -> Self {
        let [first, second] = Standing::questions(account);
        self.answers.0.insert(first, Ok(launch));
        self.answers.0.insert(second, Ok(wildcard));
        self
    }

    fn told(&self) -> Vec<(Severity, String)> {
        let grants = Grants::read(&self.objects);
        let accounts = [eod(), NamespacedName::new("kube-system", "eod")].into();
        let facts =
            Facts { grants: &grants, named: &self.named, accounts: Some(&accounts), namespace: "retinue", own: &OWN };
        testing::told(facts.examine(&self.answers))
    }

    fn one(&self, severity: Severity, words: &[&str]) {
        testing::one(&self.told(), severity, words);
    }
}

#[test]
fn a_master_as_rbac_prints_it_is_well() {
    let world = World::new().bind(Some("trading"), launch(), account(&eod())).named(&eod()).stands(&eod(), true, false);
    assert_eq!(world.told(), []);
}

#[test]
fn threat_48_launch_granted_to_a_group_is_told() {
    for (namespace, name, severity, words) in [
        (None, "system:serviceaccounts", Severity::Problem, "every account of the cluster"),
        (None, "system:authenticated", Severity::Problem, "every account of the cluster"),
        (Some("trading"), "system:serviceaccounts", Severity::Problem, "every account of namespace trading"),
        (None, "system:serviceaccounts:trading", Severity::Problem, "every account of namespace trading"),
        (Some("trading"), "system:serviceaccounts:trading", Severity::Problem, "every account of namespace trading"),
        (Some("risk"), "system:serviceaccounts:trading", Severity::Warning, "makes no master"),
        (None, "developers", Severity::Warning, "makes no master"),
    ] {
        World::new().bind(namespace, launch(), group(name)).one(severity, &[name, words]);
    }
    World::new()
        .bind(None, launch(), json!({"kind": "User", "name": "jane"}))
        .one(Severity::Warning, &["only ServiceAccounts"]);
    // Who has everything is no master, and not meant to be one.
    assert_eq!(World::new().bind(None, rule(&["*"], "*", "*"), group("ops")).told().len(), 1, "who may switch it off");
}

#[test]
fn threat_48_launch_where_it_counts_for_nothing_is_told() {
    let bound = |namespace, name: &NamespacedName| {
        World::new().bind(namespace, launch(), account(name)).stands(name, true, false)
    };
    bound(Some("risk"), &eod()).one(Severity::Warning, &["in risk", "counts for nothing"]);
    bound(Some("trading"), &NamespacedName::new("trading", "gone")).one(Severity::Warning, &["does not exist"]);
    bound(Some("kube-system"), &NamespacedName::new("kube-system", "eod")).one(Severity::Problem, &["never judged"]);
    bound(None, &NamespacedName::new("retinue", "retinue-webhook")).one(Severity::Warning, &["retinue's own"]);
}

#[test]
fn threat_48_launch_lost_is_told() {
    World::new().named(&eod()).stands(&eod(), false, false).one(
        Severity::Problem,
        &["ServiceAccount trading/eod", "may not launch", "not judged", "ConfigMap trading/post-trade names it"],
    );
    let gone = NamespacedName::new("trading", "gone");
    World::new().named(&gone).stands(&gone, false, false).one(Severity::Warning, &["does not exist"]);
}

#[test]
fn threat_48_launch_hidden_behind_a_wildcard_is_told() {
    World::new()
        .bind(Some("trading"), launch(), account(&eod()))
        .stands(&eod(), true, true)
        .one(Severity::Problem, &["wildcard", "unjudged"]);
    World::new().named(&eod()).stands(&eod(), true, true).one(Severity::Problem, &["wildcard"]);
}

#[test]
fn what_could_not_be_asked_is_unknown_and_told_once() {
    let mut world = World::new().named(&eod());
    for question in Standing::questions(&eod()) {
        world.answers.0.insert(question, Err("forbidden".into()));
    }
    world.one(Severity::Unknown, &["whether ServiceAccount trading/eod may launch", "1 more", "forbidden"]);
}

#[test]
fn a_master_that_acts_past_admission_is_told() {
    let master = |rules: Value, subject: Value| {
        World::new()
            .bind(Some("trading"), launch(), account(&eod()))
            .stands(&eod(), true, false)
            .bind(None, rules, subject)
    };
    master(rule(&["impersonate"], "", "users"), account(&eod()))
        .one(Severity::Problem, &["master trading/eod", "impersonate"]);
    master(rule(&["get"], "", "nodes/proxy"), account(&eod())).one(Severity::Problem, &["past admission"]);
    master(rule(&["impersonate"], "", "serviceaccounts"), group("system:serviceaccounts:trading"))
        .one(Severity::Problem, &["every account in Group"]);
    // Nodes and users are of the cluster; accounts are not: the role edit lets impersonate those of its namespace.
    let bound = |rules: Value| {
        let world = World::new().bind(Some("trading"), launch(), account(&eod())).stands(&eod(), true, false);
        world.bind(Some("trading"), rules, account(&eod()))
    };
    assert_eq!(bound(rule(&["get"], "", "nodes/proxy")).told(), []);
    bound(rule(&["impersonate"], "", "serviceaccounts")).one(Severity::Problem, &["acts as another account"]);
    let other = account(&NamespacedName::new("risk", "other"));
    assert_eq!(master(rule(&["impersonate"], "", "users"), other).told(), []);
}

#[test]
fn threat_14_who_may_switch_the_guard_off_is_told() {
    let policies = || rule(&["update"], "admissionregistration.k8s.io", "validatingadmissionpolicies");
    World::new()
        .bind(Some("trading"), launch(), account(&eod()))
        .stands(&eod(), true, false)
        .bind(None, policies(), account(&eod()))
        .one(Severity::Problem, &["is a master and may write validatingadmissionpolicies"]);
    World::new().bind(None, policies(), group("system:authenticated")).one(Severity::Problem, &["every account in it"]);
    let gitops = NamespacedName::new("gitops", "deployer");
    World::new().bind(None, rule(&["*"], "*", "*"), account(&gitops)).one(
        Severity::Note,
        &["ServiceAccount gitops/deployer (webhook configurations and admission policies)", "nothing but RBAC"],
    );
    // A RoleBinding grants nothing of the cluster; Kubernetes' own controllers are not worth a word.
    assert_eq!(World::new().bind(Some("trading"), policies(), account(&eod())).told(), []);
    let own = account(&NamespacedName::new("kube-system", "generic-garbage-collector"));
    assert_eq!(World::new().bind(None, policies(), own).told(), []);
}

#[test]
fn who_writes_templates_and_stamps_is_told_where_it_is_too_many() {
    let author = || rule(&["author"], "fledged.io", "templates");
    World::new()
        .bind(None, author(), group("system:authenticated"))
        .one(Severity::Problem, &["every account is", "write templates"]);
    World::new()
        .bind(Some("trading"), launch(), account(&eod()))
        .stands(&eod(), true, false)
        .bind(Some("trading"), author(), account(&eod()))
        .one(Severity::Warning, &["a master,", "write templates"]);
    assert_eq!(World::new().bind(Some("trading"), author(), json!({"kind": "User", "name": "jane"})).told(), []);
}
