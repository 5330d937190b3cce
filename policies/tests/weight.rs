//! What a template ConfigMap is said to take, held against what the kernel says it takes. The only test of its process,
//! since it measures all of it.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use policies::library::{TemplateSet, Weight};
use policies::recognise::{Context, recognise};
use policies::sample::sample;
use policies::tables::{Completeness, Facts, Form};
use serde_json::json;

/// The process' own memory, in bytes.
fn own_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
}

/// Parameters and manifests of the ConfigMap of this number.
type Made = fn(usize) -> (String, String);

fn alternatives(number: usize) -> (String, String) {
    let mut schemas = String::new();
    for alternative in 0..300 {
        let name = format!("pattern: 'N{number}_{alternative}_[a-z]{{0,20}}'");
        write!(schemas, "{{type: object, properties: {{name: {{type: string, {name}}}, value: {{type: string}}}}}},")
            .unwrap();
    }
    (
        format!("v: {{oneOf: [{schemas}]}}"),
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata:\n  k: ${v}\n".into(),
    )
}

fn values(number: usize) -> (String, String) {
    let values: String = (0..20_000).map(|value| format!("e{number}x{value},")).collect();
    let manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {a: \"${v}\"}\n";
    (format!("v: {{type: string, enum: [{values}]}}"), manifest.into())
}

fn pods(number: usize) -> (String, String) {
    let mut manifests = String::new();
    for pod in 0..100 {
        let args = format!("args: [a, b{number}, c, \"--x={pod}\"], env: [{{name: A, value: b{number}}}]");
        writeln!(
            manifests,
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: \"x{number}-{pod}-${{v}}\"}}\nspec:\n  containers:\n  - \
             {{name: a{pod}, image: \"a.example/a{number}:{pod}\", {args}}}"
        )
        .unwrap();
    }
    ("v: {type: string, pattern: '[0-9]{8}'}".into(), manifests)
}

fn dashboard(number: usize) -> (String, String) {
    let text = format!("    line {number} of a dashboard\n").repeat(20_000);
    (String::new(), format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: x{number}}}\ndata:\n  k: |\n{text}"))
}

fn load(number: usize, made: Made) -> TemplateSet {
    let (parameters, manifests) = made(number);
    let set = TemplateSet::load(&json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": {"parameters": parameters, "it.yaml": manifests},
        "metadata": {"name": "t", "namespace": "trading", "labels": {"fledged.io/templates": "true"}},
    }));
    assert!(set.errors().next().is_none(), "{:?}", set.errors().next());
    set
}

/// Has all of it compiled, and prepared by a review.
fn put_to_use(set: &TemplateSet) {
    let (facts, given) = (Facts::new(Completeness::Cluster), BTreeMap::new());
    let context = Context { form: Form::Mutating, namespace: "trading", given: &given, facts: &facts, budget: None };
    for template in set.templates.all() {
        let made = sample(template, "trading").unwrap();
        let _verdict = recognise(template, &made, &context);
    }
}

#[test]
fn threat_54_what_a_config_map_is_said_to_take_is_what_it_takes_in_use() {
    // What loading leaves in the heap is taken by none of them.
    let shapes: [(&str, Made, usize); 4] =
        [("alternatives", alternatives, 20), ("values", values, 15), ("pods", pods, 40), ("dashboard", dashboard, 25)];
    for (name, made, count) in shapes {
        let set = load(count, made);
        put_to_use(&set);
        // Before it is compiled it is said to take no more.
        let (parameters, manifests) = made(count);
        let (before, after) = (Weight::at_least(parameters.len() + manifests.len()), set.weight);
        assert!(before.own <= after.own && before.data <= after.data, "{name}: {before:?} {after:?}");
    }
    // Kept to the end: what is given back is taken again without the kernel knowing.
    let mut kept = Vec::new();
    for (name, made, count) in shapes {
        let before = own_memory();
        let sets: Vec<_> = (0..count).map(|number| load(number, made)).collect();
        sets.iter().for_each(put_to_use);
        let taken = own_memory().saturating_sub(before);
        let said: u64 = sets.iter().map(|set| set.weight.total()).sum();
        println!("{name}: {} KiB are taken, {} are said", taken >> 10, said >> 10);
        assert!(taken > 8 << 20, "{name}: too little to measure");
        assert!(taken <= said + said / 3, "{name}: {taken} bytes are taken, {said} are said");
        assert!(said <= 3 * taken, "{name}: {taken} bytes are taken, {said} are said");
        kept.push(sets);
    }
}
