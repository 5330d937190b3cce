#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]
use std::sync::Arc;

use super::*;
use crate::parameter::Parameters;
use crate::template;

fn job(more: &str) -> Template {
    let text = format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: \"p-${{run}}\"}}\nspec:\n  parallelism: 1\n  template:\n    \
         spec:\n      containers:\n      - {{name: main, image: a, env: [{{name: RUN, value: \"${{run}}\"}}]}}\n{more}"
    );
    let parameters = Arc::new(Parameters::parse("run: {type: string}").unwrap());
    let mut compiled = template::compile("job.yaml", &text, &parameters);
    assert!(compiled.errors.is_empty(), "{:?}", compiled.errors);
    compiled.templates.remove(0)
}

fn object() -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "p-1"},
        "spec": {"parallelism": 1, "template": {"spec": {"containers": [
            {"name": "main", "image": "a", "env": [{"name": "RUN", "value": "1"}]},
        ]}}},
    })
}

fn accepted(rows: &str) -> Accepted {
    Accepted::read(rows).unwrap().accepted
}

fn row(path: &str, value: &Value) -> Accepted {
    let row = json!([{"apiVersion": "batch/v1", "kind": "Job", "path": path, "value": value}]);
    accepted(&row.to_string())
}

#[test]
fn a_path_is_read_as_it_is_shown() {
    for path in [
        "spec",
        "spec.template.spec.containers[name=main].env[name=A]",
        "metadata.labels.team",
        "metadata.annotations[\"example.com/team\"]",
        "spec.ports[port=80,protocol=TCP].nodePort",
        "spec.args[3]",
        "metadata.finalizers[example.com/x]",
        "[\"a.b\"].c[\"\"]",
    ] {
        assert_eq!(read_path(path).unwrap().to_string(), path);
    }
    for path in
        ["", ".", "a.", ".a", "a..b", "a[", "a[]", "a]", "a[0", "a[\"x]", "a[\"b\"]", "a[00]", "a b.[c]", "a[0]b"]
    {
        assert!(read_path(path).is_err(), "{path}");
    }
}

#[test]
fn every_row_names_one_place_and_one_value_of_one_kind() {
    for (wrong, why) in [
        ("{}", "a list of rows"),
        ("text", "a list of rows"),
        ("- a", "row 1: expected a map"),
        ("- {apiVersion: v1, kind: Pod, path: spec.x}", "value is missing"),
        ("- {apiVersion: v1, kind: Pod, value: 1}", "path is missing"),
        ("- {kind: Pod, path: spec.x, value: 1}", "apiVersion is missing"),
        ("- {apiVersion: v1, kind: Pod, path: spec.x, value: 1, any: true}", "\"any\" means nothing"),
        ("- {apiVersion: v1, kind: Pod, path: spec.x, value: null}", "null"),
        ("- {apiVersion: v1, kind: Pod, path: 'spec.*', value: 1}", "no wildcards"),
        ("- {apiVersion: v1, kind: Pod, path: 'spec.containers[name=*].tty', value: true}", "no wildcards"),
        ("- {apiVersion: v1, kind: Pod, path: 'spec.[x', value: 1}", "is no path"),
        ("- {apiVersion: v1, kind: Pod, path: kind, value: Job}", "not a field that a row can accept"),
        ("- {apiVersion: v1, kind: Pod, path: metadata, value: {a: b}}", "not a field that a row can accept"),
        ("- {apiVersion: v1, kind: Pod, path: status.phase, value: Running}", "not a field that a row can accept"),
        ("- {apiVersion: v1, kind: Pod, path: metadata.labels, value: {a: b}}", "one row for each label"),
        ("- {apiVersion: v1, kind: Pod, path: metadata.name, value: a}", "judged by who asks"),
        ("- {apiVersion: v1, kind: Pod, path: metadata.ownerReferences, value: []}", "judged by who asks"),
        ("- {apiVersion: v1, kind: Pod, path: 'metadata.ownerReferences[uid=1]', value: {}}", "judged by who asks"),
        ("- {apiVersion: v1, kind: Pod, path: 'metadata.labels[\"fledged.io/master\"]', value: a}", "steers retinue"),
        ("- {apiVersion: v1, kind: Pod, path: spec.x, value: {labels: {fledged.io/x: a}}}", "steers retinue"),
        ("- {apiVersion: v1, kind: Pod, path: 'metadata.annotations[\"janitor/ttl\"]', value: 1h}", "steers retinue"),
        ("- {apiVersion: v1, kind: Secret, path: data.x, value: eA==}", "shown to nobody"),
        ("- {apiVersion: v1, kind: Namespace, path: spec.x, value: 1}", "never be admitted"),
        ("- {apiVersion: rbac.authorization.k8s.io/v1, kind: Role, path: rules, value: []}", "never be admitted"),
    ] {
        let error = Accepted::read(wrong).unwrap_err();
        assert!(error.contains(why), "{wrong}: {error}");
    }
    let many = "- {apiVersion: v1, kind: Pod, path: spec.x, value: 1}\n".repeat(MOST + 1);
    assert!(Accepted::read(&many).unwrap_err().contains("at most 64"));
}

#[test]
fn what_gives_a_pod_power_is_warned_of() {
    for (rows, power) in [
        ("- {apiVersion: v1, kind: Pod, path: spec.hostNetwork, value: true}", Some("hostNetwork")),
        ("- {apiVersion: v1, kind: Pod, path: 'spec.containers[name=proxy]', value: {image: a}}", Some("containers")),
        ("- {apiVersion: batch/v1, kind: Job, path: spec.x, value: {y: [{privileged: true}]}}", Some("privileged")),
        ("- {apiVersion: batch/v1, kind: Job, path: spec.suspend, value: true}", None),
    ] {
        let warnings = Accepted::read(rows).unwrap().warnings;
        match power {
            Some(power) => assert!(warnings.len() == 1 && warnings[0].contains(power), "{rows}: {warnings:?}"),
            None => assert!(warnings.is_empty(), "{warnings:?}"),
        }
    }
}

#[test]
fn exactly_the_row_is_taken_off_and_nothing_beside_it() {
    let template = job("");
    let facts = Facts::default();
    let put = |pointer: &str, key: &str, value: Value| {
        let mut object = object();
        object.pointer_mut(pointer).unwrap()[key] = value;
        object
    };
    let container = "/spec/template/spec/containers/0";
    for (path, value, seen) in [
        ("spec.suspend", json!(true), put("/spec", "suspend", json!(true))),
        ("metadata.labels.team", json!("blue"), put("/metadata", "labels", json!({"team": "blue"}))),
        ("spec.template.spec.containers[name=main].tty", json!(true), put(container, "tty", json!(true))),
        (
            "spec.template.spec.tolerations",
            json!([{"key": "a"}]),
            put("/spec/template/spec", "tolerations", json!([{"key": "a"}])),
        ),
        // The same quantity, as the server writes it.
        (
            "spec.template.spec.containers[name=main].resources",
            json!({"limits": {"cpu": 0.5}}),
            put(container, "resources", json!({"limits": {"cpu": "500m"}})),
        ),
    ] {
        let rows = row(path, &value);
        let less = rows.without(&template, &seen, &facts).unwrap_or_else(|| panic!("{path} is not taken off"));
        assert_eq!(compare(&template.kind, &object(), &less, &facts), [], "{path}");
        assert_eq!(rows.without(&template, &object(), &facts), None, "nothing is there");
    }
    // An element, and its neighbour stays.
    let mut seen = object();
    seen["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap().push(json!({"name": "proxy", "image": "p"}));
    let proxy = row("spec.template.spec.containers[name=proxy]", &json!({"name": "proxy", "image": "p"}));
    assert_eq!(proxy.without(&template, &seen, &facts), Some(object()));
    seen["spec"]["template"]["spec"]["containers"][1]["image"] = "evil".into();
    assert_eq!(proxy.without(&template, &seen, &facts), None, "another value");
    // Twice the same name is no place.
    let twice = seen["spec"]["template"]["spec"]["containers"][1].clone();
    seen["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap().push(twice);
    assert_eq!(
        row("spec.template.spec.containers[name=proxy].image", &"evil".into()).without(&template, &seen, &facts),
        None
    );
}

#[test]
fn another_value_place_or_kind_is_not_the_row() {
    let template = job("");
    let facts = Facts::default();
    let mut seen = object();
    seen["spec"]["suspend"] = true.into();
    for (path, value) in [
        ("spec.suspend", json!(false)),
        ("spec.suspend", json!("true")),
        ("spec.suspend", json!(1)),
        ("spec.template.spec.suspend", json!(true)),
        ("spec.suspend.x", json!(true)),
        ("spec[0]", json!(true)),
    ] {
        assert_eq!(row(path, &value).without(&template, &seen, &facts), None, "{path} {value}");
    }
    let other = accepted("- {apiVersion: batch/v1beta1, kind: Job, path: spec.suspend, value: true}");
    assert_eq!(other.without(&template, &seen, &facts), None);
}

#[test]
fn where_the_template_says_something_it_decides() {
    let template = job("");
    let facts = Facts::default();
    let mut seen = object();
    seen["spec"]["parallelism"] = 9.into();
    assert_eq!(row("spec.parallelism", &json!(9)).without(&template, &seen, &facts), None);
    // The hole of a variable is the template's own too.
    let path = "spec.template.spec.containers[name=main].env[name=RUN].value";
    assert_eq!(row(path, &json!("1")).without(&template, &object(), &facts), None);
}

#[test]
fn a_row_survives_being_written_and_read() {
    let template = job("");
    let difference = Difference {
        path: read_path("spec.template.metadata.annotations[\"a.b/c\"]").unwrap(),
        expected: Expected::Nothing,
        got: Got::Value(json!("yes: \"no\" # ${run}")),
    };
    let made = Row::of(&template, &difference).unwrap();
    assert_eq!(accepted(&made.line()).rows(), [made]);
}
