//! Parsers and other parts that are reached by other ways than a lint or a create.

use std::collections::BTreeMap;
use std::hint::black_box;

use policies::quantity::Quantity;
use policies::{caller, lifetime, lint, yaml};
use serde_json::Value;

use crate::work::Answer;

/// One part by itself.
pub struct Unit {
    /// As the table has it.
    pub name: &'static str,
    /// The size at factor one.
    pub base: usize,
    /// Makes its work at a size.
    pub make: fn(usize) -> Box<dyn Fn() -> Answer>,
}

/// All of these.
pub const ALL: &[Unit] = &[
    Unit { name: "quantity digits", base: 20_000, make: |size| quantity("9".repeat(size)) },
    Unit { name: "quantity fraction", base: 20_000, make: |size| quantity(format!("1.{}", "0".repeat(size))) },
    Unit { name: "quantity exponent", base: 20_000, make: |size| quantity(format!("1e{}", "9".repeat(size))) },
    Unit { name: "duration digits", base: 20_000, make: |size| duration("9".repeat(size)) },
    Unit { name: "duration units", base: 10_000, make: |size| duration("1h".repeat(size)) },
    Unit { name: "wish of ConfigMaps", base: 300, make: wish },
    Unit {
        name: "lint file of mistakes",
        base: 30,
        make: |size| {
            let keys: String = (0..size).map(|at| format!("  k{at}.yaml: |\n    x: [\n")).collect();
            let text = format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: t, namespace: n, labels: {{fledged.io/templates: \"true\"}}}}\ndata:\n{keys}"
            );
            Box::new(move || Answer(format!("{} problems", lint::problems(black_box(&text)).len())))
        },
    },
    Unit {
        name: "lint file of ConfigMaps",
        base: 20,
        make: |size| {
            let one = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: t, namespace: n, labels: {fledged.io/templates: \"true\"}}\ndata: {a.yaml: x}\n";
            let text = one.repeat(size);
            Box::new(move || Answer(format!("{} problems", lint::problems(black_box(&text)).len())))
        },
    },
    Unit {
        name: "yaml error at the end",
        base: 2_000,
        make: |size| document(format!("{}\tx: [\n", "- x\n".repeat(size))),
    },
];

fn quantity(text: String) -> Box<dyn Fn() -> Answer> {
    let value = Value::from(text);
    Box::new(move || Answer(outcome(Quantity::from_value(black_box(&value)).is_ok())))
}

fn duration(text: String) -> Box<dyn Fn() -> Answer> {
    Box::new(move || Answer(outcome(lifetime::seconds(black_box(&text)).is_ok())))
}

fn document(text: String) -> Box<dyn Fn() -> Answer> {
    Box::new(move || Answer(outcome(yaml::documents(black_box(&text)).is_ok())))
}

fn wish(size: usize) -> Box<dyn Fn() -> Answer> {
    let names: Vec<_> = (0..size).map(|at| format!("templates-{at}")).collect();
    let annotations = BTreeMap::from([("fledged.io/manifests".to_owned(), names.join(","))]);
    Box::new(move || Answer(outcome(caller::Wish::from_annotations(black_box(&annotations), "trading").is_ok())))
}

fn outcome(is_read: bool) -> String {
    if is_read { "read".into() } else { "not read".into() }
}
