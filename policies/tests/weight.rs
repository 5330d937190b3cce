//! What a template ConfigMap is said to take, held against what the kernel says it takes: each shape in a process of its
//! own, so that none is given what another one gave back. With the allocator of the binary.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]

use std::collections::BTreeMap;
use std::process::Command;

use policies::library::{TemplateSet, Weight};
use policies::recognise::{Context, Recognition, recognise};
use policies::sample::sample;
use policies::tables::{Completeness, Facts, Form};
use serde_json::json;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Which shape a process of its own measures.
const SHAPE: &str = "MEASURED_SHAPE";
/// What its line of figures begins with.
const FIGURES: &str = "taken and said: ";

/// The process' own memory, in bytes.
fn own_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
}

/// Parameters and manifests of the ConfigMap of this number.
type Made = fn(usize) -> (String, String);

const DATA: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata:\n";

fn pod(rest: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: x}}\nspec:\n  containers:\n  - name: a\n    image: a.example/a:1\n{rest}"
    )
}

fn each(count: usize, write: impl Fn(usize) -> String) -> String {
    (0..count).map(write).collect()
}

fn alternatives(number: usize) -> (String, String) {
    let schemas = each(300, |alternative| {
        let name = format!("pattern: 'N{number}_{alternative}_[a-z]{{0,20}}'");
        format!("{{type: object, properties: {{name: {{type: string, {name}}}, value: {{type: string}}}}}},")
    });
    (format!("v: {{oneOf: [{schemas}]}}"), format!("{DATA}  k: ${{v}}\n"))
}

fn variables(number: usize) -> (String, String) {
    (alternatives(number).0, pod("    env:\n    - ${v}\n"))
}

fn values(number: usize) -> (String, String) {
    let values = each(20_000, |value| format!("e{number}x{value},"));
    (format!("v: {{type: string, enum: [{values}]}}"), format!("{DATA}  a: \"${{v}}\"\n"))
}

fn small_values(number: usize) -> (String, String) {
    let values = each(20_000, |value| format!("{}{value},", 1 + number % 7));
    (format!("v: {{type: integer, enum: [{values}]}}"), format!("{DATA}  a: \"${{v}}\"\n"))
}

fn pods(number: usize) -> (String, String) {
    let manifests = each(100, |pod| {
        let args = format!("args: [a, b{number}, c, \"--x={pod}\"], env: [{{name: A, value: b{number}}}]");
        format!(
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: \"x{number}-{pod}-${{v}}\"}}\nspec:\n  containers:\n  - \
             {{name: a{pod}, image: \"a.example/a{number}:{pod}\", {args}}}\n"
        )
    });
    ("v: {type: string, pattern: '[0-9]{8}'}".into(), manifests)
}

fn dashboard(number: usize) -> (String, String) {
    let text = format!("    line {number} of a dashboard\n").repeat(20_000);
    (String::new(), format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: x{number}}}\ndata:\n  k: |\n{text}"))
}

fn small_maps(number: usize) -> (String, String) {
    (String::new(), pod(&format!("    env:\n{}", each(8_000, |at| format!("    - name: A{number}_{at}\n")))))
}

fn short_texts(number: usize) -> (String, String) {
    (String::new(), pod(&format!("    args: [{}]\n", each(30_000, |at| format!("b{number}-{at},")))))
}

fn small_manifests(number: usize) -> (String, String) {
    let manifest = |at| format!("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: x{number}-{at}}}\n");
    (String::new(), each(900, manifest))
}

fn parameters(number: usize) -> (String, String) {
    let said = each(1_500, |at| format!("p{number}_{at}: {{type: boolean}}\n"));
    (said, format!("{DATA}{}", each(1_500, |at| format!("  k{at}: \"${{p{number}_{at}}}\"\n"))))
}

fn deep_schemas(number: usize) -> (String, String) {
    let schema = |at| {
        format!(
            "{{type: object, properties: {{a: {{type: array, items: {{type: object, properties: {{b{number}_{at}: {{type: boolean}}}}}}}}}}}},"
        )
    };
    (format!("v: {{oneOf: [{}]}}", each(1_000, schema)), format!("{DATA}  k: ${{v}}\n"))
}

/// Patterns of few states whose tables have many.
fn tables(number: usize) -> (String, String) {
    let said = each(400, |at| format!("p{at}: {{type: string, pattern: 'N{number}x{at}(a|b)*a(a|b){{4}}'}}\n"));
    (said, format!("{DATA}{}", each(400, |at| format!("  k{at}: \"${{p{at}}}\"\n"))))
}

/// Patterns of many states, and no table.
fn machines(number: usize) -> (String, String) {
    let said = each(30, |at| format!("p{at}: {{type: string, pattern: 'N{number}x{at}[a-z]{{0,900}}'}}\n"));
    (said, format!("{DATA}{}", each(30, |at| format!("  k{at}: \"${{p{at}}}\"\n"))))
}

/// Texts of two holes, each of a few states that come to many in a table.
fn texts_of_two(number: usize) -> (String, String) {
    let said = each(20, |at| format!("p{at}: {{type: string, pattern: 'N{number}x{at}(a|b)*a(a|b){{8}}'}}\n"));
    let said = said + &format!("q: {{type: string, pattern: 'q{number}[0-9]{{8}}'}}\n");
    (said, format!("{DATA}{}", each(20, |at| format!("  k{at}: \"${{p{at}}} ${{q}}\"\n"))))
}

/// Texts of the same two holes.
fn texts_alike(number: usize) -> (String, String) {
    let said =
        format!("p: {{type: string, pattern: 'N{number}[a-z]{{0,60}}'}}\nq: {{type: string, pattern: '[0-9]{{8}}'}}\n");
    (said, format!("{DATA}{}", each(400, |at| format!("  k{at}: \"{number}-{at}-${{p}} ${{q}}\"\n"))))
}

/// Texts of one hole.
fn texts(number: usize) -> (String, String) {
    let said = format!("p: {{type: string, pattern: 'N{number}[a-z]{{0,60}}'}}\n");
    (said, pod(&format!("    args:\n{}", each(3_000, |at| format!("    - \"{number}-{at}-${{p}}\"\n")))))
}

/// Formats and ranges inside texts.
fn formats(number: usize) -> (String, String) {
    let said =
        format!("p: {{type: string, format: duration}}\nq: {{type: integer, minimum: {number}, maximum: 90210}}\n");
    (said, format!("{DATA}{}", each(100, |at| format!("  k{at}: \"${{p}} {number}-{at} ${{q}}\"\n"))))
}

/// Values that are maps of one field, each with another.
fn maps(number: usize) -> (String, String) {
    let values = each(1_500, |at| format!("{{a: {{b: {{c{number}: {at}}}}}}},"));
    let map = |of: &str| format!("{{type: object, additionalProperties: {of}}}");
    let schema = map(&map(&map("{type: integer}")));
    let schema = schema.strip_suffix('}').unwrap_or_default();
    (format!("v: {schema}, enum: [{values}]}}"), pod("    args: [\"x\"]\n"))
}

/// Pods of many containers, to each of which the API server adds.
fn containers(number: usize) -> (String, String) {
    let pod = |at| {
        let probe = "livenessProbe: {httpGet: {path: /, port: 80}}, ports: [{containerPort: 80}]";
        let more = "resources: {limits: {cpu: 1, memory: 1Gi}}";
        let containers = each(20, |of| {
            let own = format!("image: \"a.example/a{number}:{at}\", env: [{{name: A, value: \"{at}-{of}\"}}]");
            format!("  - {{name: c{of}, {own}, {probe}, {more}}}\n")
        });
        format!(
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: x{number}-{at}}}\nspec:\n  containers:\n{containers}"
        )
    };
    (String::new(), each(40, pod))
}

/// Jobs, each with a pattern of its own, as people write them.
fn jobs(number: usize) -> (String, String) {
    let said = format!("run: {{type: string, pattern: 'r{number}-[0-9]{{8}}'}}\n");
    let of_job = "metadata: {name: \"post-trade-${run}\"}\nspec:\n  parallelism: 3\n  completions: 1\n";
    let of_pod = "  template:\n    spec:\n      restartPolicy: Never\n      containers:\n      - name: main\n        image: \
                  registry.example/post-trade:1.4\n        args: [\"--run\", \"${run}\"]\n        resources: \
                  {requests: {cpu: 500m, memory: 1Gi}}\n";
    (said, format!("apiVersion: batch/v1\nkind: Job\n{of_job}{of_pod}"))
}

/// The same pattern in every ConfigMap.
fn jobs_alike(number: usize) -> (String, String) {
    let (_, manifest) = jobs(number);
    ("run: {type: string, pattern: '[0-9]{8}'}\n".into(), manifest.replace("1.4", &format!("1.{number}")))
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

/// Has all of it compiled, and prepared by a review that is admitted and one that is not.
fn put_to_use(set: &TemplateSet) {
    let (facts, given) = (Facts::new(Completeness::Cluster), BTreeMap::new());
    let context = Context { form: Form::Mutating, namespace: "trading", given: &given, facts: &facts, budget: None };
    for template in set.templates.all() {
        let mut object = sample(template, "trading").unwrap();
        assert!(matches!(recognise(template, &object, &context), Recognition::Match(_)), "{object}");
        object["metadata"]["labels"] = json!({"unasked": "for"});
        assert!(!matches!(recognise(template, &object, &context), Recognition::Match(_)), "{object}");
    }
}

/// A name, what is loaded, how many of it, and how many times what is taken may be said: what several ConfigMaps say alike
/// is taken once, and said of each.
const SHAPES: &[(&str, Made, usize, u64)] = &[
    ("alternatives", alternatives, 20, 2),
    ("variables", variables, 20, 2),
    ("values", values, 15, 2),
    ("small values", small_values, 15, 2),
    ("pods", pods, 40, 2),
    ("dashboard", dashboard, 25, 2),
    ("small maps", small_maps, 10, 2),
    ("short texts", short_texts, 5, 2),
    ("small manifests", small_manifests, 10, 3),
    ("parameters", parameters, 20, 2),
    ("deep schemas", deep_schemas, 20, 2),
    ("tables", tables, 10, 2),
    ("machines", machines, 20, 2),
    ("texts of two", texts_of_two, 20, 2),
    ("texts alike", texts_alike, 60, 2),
    ("texts", texts, 30, 2),
    ("formats", formats, 100, 4),
    ("maps", maps, 8, 2),
    ("containers", containers, 20, 4),
    ("jobs", jobs, 1_500, 3),
    ("jobs alike", jobs_alike, 2_500, 4),
];

/// What the kernel counts is counted by pages, and has some of what loading takes for a moment: so much, and a twelfth, may
/// be taken beyond what is said.
const BESIDE: u64 = 3 << 20;

/// What a process of its own says of a shape.
fn measure(made: Made, count: usize) {
    // What loading leaves in the heap is taken by none of them.
    let set = load(count, made);
    put_to_use(&set);
    // Before it is compiled it is said to take no more.
    let (parameters, manifests) = made(count);
    let (least, after) = (Weight::at_least(parameters.len() + manifests.len()), set.weight);
    assert!(least.own <= after.own && least.data <= after.data, "{least:?} {after:?}");
    let before = own_memory();
    let sets: Vec<_> = (0..count).map(|number| load(number, made)).collect();
    sets.iter().for_each(put_to_use);
    let taken = own_memory().saturating_sub(before);
    let said: u64 = sets.iter().map(|set| set.weight.total()).sum();
    println!("\n{FIGURES}{taken} {said}");
}

/// What a shape takes, and is said to.
fn measured(shape: &str, test: &str) -> (u64, u64) {
    let mut own = Command::new(std::env::current_exe().unwrap());
    let ended = own.args(["--exact", "--nocapture", test]).env(SHAPE, shape).output().unwrap();
    let (told, why) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    let figures = told.lines().find_map(|line| line.strip_prefix(FIGURES)?.split_once(' '));
    let (taken, said) = figures.unwrap_or_else(|| panic!("{shape}: {why}"));
    (taken.parse().unwrap(), said.parse().unwrap())
}

#[test]
fn threat_54_what_a_config_map_is_said_to_take_is_what_it_takes_in_use() {
    if let Ok(shape) = std::env::var(SHAPE) {
        let (_, made, count, _) = SHAPES.iter().find(|(name, ..)| *name == shape).unwrap();
        return measure(*made, *count);
    }
    let this = std::thread::current().name().unwrap().to_owned();
    let mut wrong = Vec::new();
    for (shape, _, _, most) in SHAPES {
        let (taken, said) = measured(shape, &this);
        println!("{shape}: {} KiB are taken, {} are said", taken >> 10, said >> 10);
        assert!(taken > 8 << 20, "{shape}: too little to measure");
        if taken > said + said / 12 + BESIDE || said > most * taken + BESIDE {
            wrong.push(format!("{shape}: {} KiB are taken, {} are said", taken >> 10, said >> 10));
        }
    }
    assert_eq!(wrong, [] as [String; 0]);
}
