#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]
use serde_json::json;

use super::*;
use crate::recognise::{Context, Recognition, recognise};
use crate::tables::Completeness;

fn set(annotations: &Value, parameters: &str, manifest: &str) -> TemplateSet {
    let set = TemplateSet::load(&json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "t", "namespace": "trading", "labels": {"fledged.io/templates": "true"}, "annotations": annotations},
        "data": {"parameters": parameters, "t.yaml": manifest},
    }));
    assert_eq!(set.errors().next(), None);
    set
}

fn one(set: &TemplateSet) -> std::sync::Arc<Template> {
    std::sync::Arc::clone(set.templates.all().next().unwrap())
}

/// A ConfigMap with one hole, as a whole value or inside text.
fn sampled(schema: &str) -> Result<Value, NoSample> {
    let manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  x: ${x}\n";
    sample(&one(&set(&json!({}), &format!("x: {schema}"), manifest)), "trading").map(|made| made["data"]["x"].clone())
}

#[test]
fn a_value_is_made_up_for_every_schema_that_has_one() {
    for (schema, expected) in [
        ("{type: string}", json!("sample")),
        ("{type: string, maxLength: 3}", json!("a")),
        ("{type: string, minLength: 10}", json!("aaaaaaaaaa")),
        ("{type: string, default: mine}", json!("mine")),
        ("{type: string, enum: [info, debug]}", json!("info")),
        ("{type: string, pattern: '[0-9]{8}'}", json!("00000000")),
        ("{type: string, pattern: 'v[0-9]+(-rc)?'}", json!("v00-rc")),
        ("{type: string, pattern: '[a-z]*', maxLength: 1}", json!("a")),
        ("{type: string, pattern: '[a-z]+', minLength: 7}", json!("aaaaaaa")),
        ("{type: string, pattern: '(red|blue)'}", json!("red")),
        ("{type: string, pattern: '[^a0]'}", json!("b")),
        ("{type: string, format: quantity, minimum: 2Gi}", json!("2Gi")),
        ("{type: string, format: quantity, maximum: 500m}", json!("100m")),
        ("{type: string, format: duration, maximum: 5m}", json!("60s")),
        ("{type: integer, minimum: 3, maximum: 8}", json!(3)),
        ("{type: integer, maximum: -4}", json!(-4)),
        ("{type: integer}", json!(1)),
        ("{type: number, minimum: 0, exclusiveMinimum: true, maximum: 0.5}", json!(0.5)),
        ("{type: boolean}", json!(false)),
        ("{type: array, items: {type: integer}, minItems: 2}", json!([1, 1])),
        ("{type: array, items: {type: integer}, maxItems: 0}", json!([])),
        ("{type: object, properties: {a: {type: integer}, b: {type: string, optional: true}}}", json!({"a": 1})),
        ("{oneOf: [{type: string, pattern: 'a'}, {type: integer}]}", json!("a")),
    ] {
        assert_eq!(sampled(schema).unwrap(), expected, "{schema}");
    }
    let image = sampled("{type: string, format: image, registry: registry.example, digest: required}");
    let image = image.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(sampled("{type: string, generated: {length: 12}}").unwrap().as_str().unwrap().len(), 12);
    assert!(image.as_str().unwrap().starts_with("registry.example/"), "{image}");
}

#[test]
fn a_template_without_sample_is_told_by_its_parameter() {
    // Longer than is made up.
    assert_eq!(sampled("{type: string, minLength: 100000}"), Err(NoSample::Value("x".into())));
    assert_eq!(sampled("{type: string, optional: true, minLength: 100000}"), Ok(Value::Null), "it may be absent");
}

const JOB: &str = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: \"p-${run}\"}\nspec:\n  template:\n    spec:\n      \
    restartPolicy: Never\n      containers: [{name: main, image: \"a:1\", args: [\"${run}\", \"${pod.name}\"]}]\n";
const RUN: &str = "run: {type: string, pattern: '[0-9]{8}'}";

/// What the API server of today makes of an object.
fn completed(kind: &crate::object::Gvk, object: &Value) -> Value {
    let mut object = object.clone();
    complete(kind, &mut object, &Facts::default());
    object
}

#[test]
fn a_sample_is_recognised_by_its_own_template() {
    let set = set(&json!({}), RUN, JOB);
    let template = one(&set);
    let made = sample(&template, "trading").unwrap();
    assert_eq!(made["metadata"]["name"], "p-00000000");
    let facts = Facts::new(Completeness::Cluster);
    let given = given("trading");
    let context = Context { form: Form::Submitted, namespace: "trading", given: &given, facts: &facts, budget: None };
    assert!(matches!(recognise(&template, &made, &context), Recognition::Match(_)));
    assert_eq!(places(&set, &template), ["trading"]);
}

#[test]
fn what_came_back_unasked_is_told_as_rows_and_changes() {
    let facts = Facts::new(Completeness::Cluster);
    let plain = set(&json!({}), RUN, JOB);
    let template = one(&plain);
    let sent = sample(&template, "trading").unwrap();
    let told = |set: &TemplateSet, back: &Value| {
        let found = unasked(set, &template, &sent, back, "trading", &facts).unwrap();
        let text = |found: &Unasked| match found {
            Unasked::Row(row) => row.line(),
            Unasked::Changed(difference) => difference.to_string(),
        };
        found.iter().map(text).collect::<Vec<_>>()
    };
    let same = completed(&template.kind, &sent);
    assert_eq!(told(&plain, &same), Vec::<String>::new());
    let mut back = same.clone();
    back["metadata"]["labels"] = json!({"team": "blue", "shift": "late"});
    back["spec"]["managedBy"] = "example.com/other".into();
    back["spec"]["template"]["spec"]["containers"][0]["image"] = "mirror/a:1".into();
    // A default that is another one in this version.
    back["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 31.into();
    assert_eq!(
        told(&plain, &back),
        [
            r#"- {"apiVersion":"batch/v1","kind":"Job","path":"metadata.labels.shift","value":"late"}"#,
            r#"- {"apiVersion":"batch/v1","kind":"Job","path":"metadata.labels.team","value":"blue"}"#,
            r#"- {"apiVersion":"batch/v1","kind":"Job","path":"spec.managedBy","value":"example.com/other"}"#,
            r#"spec.template.spec.containers[name=main].image: expected "a:1", got "mirror/a:1""#,
            r#"- {"apiVersion":"batch/v1","kind":"Job","path":"spec.template.spec.terminationGracePeriodSeconds","value":31}"#,
        ]
    );
    // What is accepted is told no more, and the rest is.
    let rows = told(&plain, &back).into_iter().filter(|line| line.starts_with('-')).collect::<Vec<_>>().join("\n");
    let accepting = set(&json!({"fledged.io/accept-defaults": rows}), RUN, JOB);
    assert_eq!(
        told(&accepting, &back),
        [r#"spec.template.spec.containers[name=main].image: expected "a:1", got "mirror/a:1""#]
    );
    assert_eq!(told(&accepting, &same), Vec::<String>::new(), "and what the cluster no longer adds is not missed");
}

#[test]
fn what_is_another_each_time_can_be_no_row() {
    let facts = Facts::new(Completeness::Cluster);
    let set = set(&json!({}), RUN, JOB);
    let template = one(&set);
    let sent = sample(&template, "trading").unwrap();
    let seen = |annotation: &str, fixed: bool| {
        let mut back = completed(&template.kind, &sent);
        back["metadata"]["annotations"] = json!({"request": annotation});
        if fixed {
            back["spec"]["suspend"] = true.into();
        }
        unasked(&set, &template, &sent, &back, "trading", &facts).unwrap()
    };
    let found = steady(&seen("1", true), seen("2", true));
    let rows: Vec<_> =
        found.iter().filter(|found| matches!(found, Unasked::Row(_))).map(|row| row.path().to_string()).collect();
    assert_eq!(rows, ["spec.suspend"]);
    assert!(
        matches!(&found[0], Unasked::Changed(it) if it.to_string().contains("the same value each time")),
        "{found:?}"
    );
    assert_eq!(steady(&seen("1", false), Vec::new()), []);
    assert_eq!(steady(&[], seen("1", false)), [], "seen once is not seen");
}

#[test]
fn a_job_says_the_labels_that_it_would_be_given() {
    let job = |own: &str, pods: &str| {
        let manifest = format!(
            "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: j{own}}}\nspec:\n  template:\n    metadata: {{{pods}}}\n    spec: {{restartPolicy: Never, containers: [{{name: a, image: b}}]}}\n"
        );
        sample(&one(&set(&json!({}), "", &manifest)), "trading").unwrap()["metadata"]["labels"].clone()
    };
    assert_eq!(job("", "labels: {app: a}"), json!({"app": "a"}));
    assert_eq!(job(", labels: {}", "labels: {app: a}"), json!({"app": "a"}));
    assert_eq!(job(", labels: {mine: b}", "labels: {app: a}"), json!({"mine": "b"}));
    assert_eq!(job("", "annotations: {app: a}"), Value::Null);
}

#[test]
fn threat_54_what_multiplies_has_no_sample_and_takes_no_time() {
    let lists =
        (0..12).fold("{type: string}".to_owned(), |items, _| format!("{{type: array, minItems: 60, items: {items}}}"));
    let empty = (0..30).fold("(|a)".to_owned(), |inner, _| format!("({inner})*"));
    for schema in [lists, format!("{{type: string, pattern: '{empty}', minLength: 1}}")] {
        assert_eq!(sampled(&schema), Err(NoSample::Value("x".into())), "{schema}");
    }
    assert_eq!(
        sampled("{type: array, minItems: 3, items: {type: array, minItems: 2, items: {type: boolean}}}").unwrap()[2][1],
        false
    );
}
