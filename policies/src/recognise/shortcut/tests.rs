#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::plan::{Node, Plan};
use super::walk::find;
use super::*;
use crate::recognise::Form;
use crate::render::render;
use crate::tables::{Facts, complete, inject_into};
use crate::template::{Given, compile};

fn template(name: &str) -> Template {
    let text = format!(
        "apiVersion: v1
kind: Pod
metadata:
  name: {name}-${{run}}
spec:
  securityContext: {{runAsNonRoot: true}}
  containers:
  - name: work
    image: registry.example.com/{name}:1.0
    args: [\"--run=${{run}}\"]
    env: [{{name: LOG_LEVEL, value: info}}]
  volumes: [{{name: scratch, emptyDir: {{}}}}]
"
    );
    let parameters = crate::parameter::Parameters::parse("run: {type: string, pattern: '[0-9]{8}'}\n").unwrap();
    let compiled = compile("pod.yaml", &text, &Arc::new(parameters));
    assert_eq!(compiled.errors, []);
    compiled.templates.into_iter().next().unwrap()
}

fn at<'n>(plan: &'n Plan, way: &[&str]) -> &'n Node {
    way.iter().fold(&plan.root, |node, step| match node {
        Node::Map(entries) => find(entries, step).unwrap(),
        Node::List(list) => &list.elements[step.parse::<usize>().unwrap()],
        _ => panic!("{step}"),
    })
}

#[test]
fn what_two_templates_say_alike_is_kept_once() {
    let (one, other) = (template("one"), template("other"));
    let plans = [&one, &other].map(|template| Plan::of(template).unwrap());
    let is_shared = |way: &[&str]| {
        let [one, other] = plans.each_ref().map(|plan| at(plan, way));
        one == other
    };
    assert!(is_shared(&["spec", "securityContext"]));
    assert!(is_shared(&["spec", "volumes"]));
    assert!(is_shared(&["spec", "containers", "0", "env"]));
    assert!(is_shared(&["spec", "restartPolicy"]), "what completing adds too");
    assert!(!is_shared(&["spec", "containers", "0", "image"]));
    assert!(!is_shared(&["spec", "containers", "0", "args"]), "a hole is its template's own");
    assert!(!is_shared(&["spec"]));
}

#[test]
fn what_injectors_add_to_pods_of_two_templates_is_kept_once() {
    let facts = Facts::from_objects(&[json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"namespace": "desk", "name": "default"},
    })]);
    let given = BTreeMap::from([(Given::MasterNamespace, "desk".to_owned())]);
    let context = Context { form: Form::Mutating, namespace: "desk", given: &given, facts: &facts, budget: None };
    let remembered = ["one", "other"].map(|name| {
        let template = template(name);
        let bindings = Bindings { declared: vec![Some("20261120".into())], given: given.clone() };
        let mut object = render(&template, &bindings).unwrap();
        complete(&template.kind, &mut object, &facts);
        // Each gets a token volume with a name of its own.
        let token = format!("kube-api-access-{}", if name == "one" { "bcdfg" } else { "hjklm" });
        let mut shown = object.clone();
        shown["spec"]["volumes"] = json!([{"name": "scratch"}, {"name": token}]);
        let mount = json!({"name": token, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"});
        shown["spec"]["containers"][0]["volumeMounts"] = json!([mount]);
        inject_into(&template.kind, &mut object, &shown, Form::Mutating, "desk", &facts).unwrap();
        assert!(shortcut(&template, &object, &context, Marked::No).is_ok(), "{object}");
        let plan = template.shortcut.plan.get().unwrap().clone().unwrap();
        plan.memory.as_ref().unwrap().last(Form::Mutating).unwrap()
    });
    let [one, other] = remembered;
    assert!(Arc::ptr_eq(&one, &other), "{one:?} {other:?}");
}

#[test]
fn pods_of_one_template_in_namespaces_with_other_accounts_are_all_remembered() {
    let template = template("both");
    let bindings = Bindings { declared: vec![Some("20261120".into())], given: BTreeMap::new() };
    let facts = Facts::from_objects(&["desk", "floor"].map(|namespace| {
        json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"namespace": namespace, "name": "default"},
            "automountServiceAccountToken": false, "imagePullSecrets": [{"name": format!("pull-{namespace}")}],
        })
    }));
    let shown = ["desk", "floor"].map(|namespace| {
        let context = Context { form: Form::Mutating, namespace, given: &BTreeMap::new(), facts: &facts, budget: None };
        let mut object = render(&template, &bindings).unwrap();
        complete(&template.kind, &mut object, &facts);
        let mut shown = object.clone();
        shown["spec"]["imagePullSecrets"] = json!([{"name": format!("pull-{namespace}")}]);
        inject_into(&template.kind, &mut object, &shown, Form::Mutating, namespace, &facts).unwrap();
        assert!(object.to_string().contains(&format!("pull-{namespace}")), "{object}");
        assert!(shortcut(&template, &object, &context, Marked::No).is_ok(), "{object}");
        object
    });
    let plan = template.shortcut.plan.get().unwrap().clone().unwrap();
    let holds = |namespace: &str, object: &serde_json::Value| {
        let context = Context { form: Form::Mutating, namespace, given: &BTreeMap::new(), facts: &facts, budget: None };
        (1..=4).any(|extras| plan.memory.as_ref().unwrap().holds(object, extras, &context))
    };
    assert!(holds("desk", &shown[0]) && holds("floor", &shown[1]));
    assert!(!holds("desk", &shown[1]) && !holds("floor", &shown[0]), "each by its own account");
}

#[test]
fn a_stateful_set_is_recognised_the_short_way_with_and_without_what_a_newer_server_fills_in() {
    let text = "apiVersion: apps/v1
kind: StatefulSet
metadata: {name: \"db-${run}\"}
spec:
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: db, image: \"db:1\"}]}
";
    let parameters = crate::parameter::Parameters::parse("run: {type: string, pattern: '[0-9]{8}'}\n").unwrap();
    let template = compile("set.yaml", text, &Arc::new(parameters)).templates.into_iter().next().unwrap();
    let bindings = Bindings { declared: vec![Some("20261120".into())], given: BTreeMap::new() };
    let facts = Facts::default();
    let mut older = render(&template, &bindings).unwrap();
    complete(&template.kind, &mut older, &facts);
    let mut newer = older.clone();
    newer["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"] = 1.into();
    let mut other = older.clone();
    other["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"] = 2.into();
    for form in [Form::Mutating, Form::Validating] {
        let context = Context { form, namespace: "desk", given: &BTreeMap::new(), facts: &facts, budget: None };
        assert!(shortcut(&template, &older, &context, Marked::No).is_ok());
        assert!(shortcut(&template, &newer, &context, Marked::No).is_ok());
        assert!(shortcut(&template, &other, &context, Marked::No).is_err());
        for (object, expected) in [(&older, true), (&newer, true), (&other, false)] {
            let recognition = crate::recognise::recognise(&template, object, &context);
            assert_eq!(matches!(recognition, crate::recognise::Recognition::Match(_)), expected, "{recognition:?}");
        }
    }
}
