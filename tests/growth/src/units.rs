//! Parsers and other parts that are reached by other ways than a lint or a create.

use std::collections::BTreeMap;
use std::hint::black_box;

use policies::library::TemplateSet;
use policies::object::NamespacedName;
use policies::quantity::Quantity;
use policies::tables::Facts;
use policies::{caller, essential, lifetime, lint, rbac, sample, yaml};
use serde_json::{Value, json};

use crate::genome::{Genome, Side};
use crate::work::{self, Answer};
use crate::world::Kind;

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
        base: 8,
        make: |size| {
            let one = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: t, namespace: n, labels: {fledged.io/templates: \"true\"}}\ndata: {a.yaml: x}\n";
            let text = one.repeat(size);
            Box::new(move || Answer(format!("{} problems", lint::problems(black_box(&text)).len())))
        },
    },
    Unit {
        name: "yaml error at the end",
        base: 200,
        make: |size| document(format!("{}\tx: [\n", "- x\n".repeat(size))),
    },
    Unit {
        name: "sample of holes",
        base: 16,
        make: |size| {
            let set = set(Kind::Pod, &[("labels-with-holes", size)]);
            Box::new(move || {
                let sampled = set.templates.all().filter(|template| sample::sample(template, "trading").is_ok());
                Answer(format!("{} sampled", sampled.count()))
            })
        },
    },
    Unit {
        name: "roles of subresources",
        base: 100,
        make: |size| {
            let set = set(Kind::Pod, &[("allow", size), ("accounts", size)]);
            let master = NamespacedName::new("trading", "eod");
            Box::new(move || {
                let roles = rbac::roles([black_box(&set)], &master, &Facts::default(), rbac::Beside::Nothing);
                Answer(format!("{} objects", roles.map_or(0, |roles| roles.len())))
            })
        },
    },
    Unit { name: "essential of containers", base: 100, make: essential_containers },
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

fn essential_containers(size: usize) -> Box<dyn Fn() -> Answer> {
    let names: Vec<_> = (0..size).map(|at| format!("c{at}")).collect();
    // A label's value has 63 characters at most.
    let labels = BTreeMap::from([("essential-containers".to_owned(), names[size - 8..].join("."))]);
    let containers: Vec<_> = names.iter().map(|name| json!({"name": name})).collect();
    let spec: essential::Spec = serde_json::from_value(json!({"containers": containers})).unwrap_or_default();
    let statuses: Vec<_> = names.iter().map(|name| json!({"name": name, "state": {}})).collect();
    let status: essential::Status =
        serde_json::from_value(json!({"phase": "Running", "containerStatuses": statuses})).unwrap_or_default();
    Box::new(move || {
        let pod = essential::Pod {
            labels: &labels,
            of_job: false,
            finalizers: &[],
            told: false,
            terminating: false,
            spec: &spec,
            status: Some(&status),
        };
        Answer(format!("{:?}", essential::judge(black_box(&pod))).chars().take(80).collect())
    })
}

fn set(kind: Kind, sizes: &[(&'static str, usize)]) -> TemplateSet {
    let world = Genome { side: Side::Author, kind, sizes: sizes.to_vec() }.world();
    TemplateSet::load(&work::config_maps(&world).swap_remove(0))
}

fn outcome(is_read: bool) -> String {
    if is_read { "read".into() } else { "not read".into() }
}
