//! Input that would bring a careless program down, or keep it busy.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use policies::library::TemplateSet;
use policies::recognise::{Form, Recognition};
use policies::request::{Operation, Phase};
use policies::{lint, yaml};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::*;

/// Generous: these run unoptimised, on a busy machine. What is quadratic or worse takes minutes.
const PATIENCE: Duration = Duration::from_secs(60);

fn in_time<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let out = work();
    assert!(start.elapsed() < PATIENCE, "{what} took {:?}", start.elapsed());
    out
}

fn configmap(parameters: &str, manifest: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "c", "namespace": "trading", "labels": {"fledged.io/templates": "true"}},
        "data": {"parameters": parameters, "t.yaml": manifest},
    })
}

#[test]
fn threat_29_deep_yaml_is_an_error_and_no_crash() {
    for text in [
        "[".repeat(100_000),
        "{a: ".repeat(100_000),
        "- ".repeat(50_000),
        (0..9000).fold(String::new(), |mut text, depth| {
            let _ = writeln!(text, "{}a:", " ".repeat(depth));
            text
        }),
        "\u{0}".into(),
        "&a [*a]".into(),
        "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: &d [*c, *c]\n".into(),
        (0..64).fold("l0: &l0 [x, x]\n".to_owned(), |mut text, n| {
            let _ = writeln!(text, "l{}: &l{} [*l{n}, *l{n}, *l{n}, *l{n}]", n + 1, n + 1);
            text
        }),
        "? [a]\n: b\n".into(),
        "<<: [*x]".into(),
        "--- !!binary x\n".into(),
        "%YAML 9.9\n---\n".into(),
        "a: 1e400\nb: 99999999999999999999999999\nc: -0.0\nd: .nan\n".into(),
    ] {
        in_time("yaml", || {
            let _ = yaml::documents(&text);
            let _ = TemplateSet::load(&configmap("", &text));
            let _ = TemplateSet::load(&configmap(&text, "a: b"));
            let _ = lint::problems(&text);
        });
    }
}

#[test]
fn threat_31_patterns_cost_bounded_time() {
    for pattern in [
        "(a*)*b",
        "(a|a)*b",
        "(a|aa)+$",
        "((((a{1,100}){1,100}){1,100}){1,100})",
        "[a-z]{1,100000}",
        ".*.*.*.*.*x",
        "(?:x?){500}x{500}",
        "\\\\p{L}+",
    ] {
        let parameters =
            format!("p: {{type: string, pattern: \"{pattern}\"}}\nq: {{type: string, pattern: \"{pattern}\"}}");
        let manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {k: '${p}', l: 'x${q}y'}\n";
        let set = in_time(pattern, || TemplateSet::load(&configmap(&parameters, manifest)));
        let Some(template) = set.templates.all().next() else { continue };
        let facts = facts();
        for text in ["a".repeat(50_000), "x".repeat(50_000), "é".repeat(20_000)] {
            let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"k": text, "l": format!("x{text}y")}});
            in_time(pattern, || recognised(template, &object, Form::Submitted, &facts));
        }
    }
}

#[test]
fn many_holes_in_one_text_cost_bounded_time() {
    let names: Vec<String> = (0..60).map(|n| format!("h{n}")).collect();
    let parameters: String =
        names.iter().map(|name| format!("{name}: {{type: string, pattern: '[a-z]+'}}\n")).collect();
    let text: String = names.iter().map(|name| format!("${{{name}}},")).collect();
    let manifest = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c}}\ndata:\n  k: '{text}'\n");
    let set = in_time("loading", || TemplateSet::load(&configmap(&parameters, &manifest)));
    let template = set.templates.all().next().unwrap_or_else(|| panic!("{:?}", set.problems));
    let facts = facts();
    let sent = "abcdefgh,".repeat(60);
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"k": sent}});
    let found = in_time("binding", || recognised(template, &object, Form::Submitted, &facts));
    assert!(matches!(found, Recognition::Match(_)), "{found:?}");
}

#[test]
fn ten_thousand_elements_cost_bounded_time() {
    let rows = [
        ("keyed", "env", json!({"type": "object"}), "env"),
        ("positional", "args", json!(null), "args"),
        ("mounts", "volumeMounts", json!(null), "volumeMounts"),
    ];
    let facts = facts();
    for (name, field, _, _) in rows {
        let items = match field {
            "env" => "{type: object, properties: {name: {type: string}, value: {type: string}}}",
            "args" => "{type: string}",
            _ => "{type: object, properties: {name: {type: string}, mountPath: {type: string}}}",
        };
        let manifest = format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec:\n  automountServiceAccountToken: false\n  containers:\n  - name: m\n    image: r/x:1\n    {field}:\n    - ${{all}}\n"
        );
        let set = set(&format!("all: {{type: array, items: {items}}}"), &manifest);
        let all: Vec<Value> = (0..10_000)
            .map(|n| match field {
                "env" => json!({"name": format!("N{n}"), "value": format!("{n}")}),
                "args" => json!(format!("a{n}")),
                _ => json!({"name": "v", "mountPath": format!("/m{n}")}),
            })
            .collect();
        let mut object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
            "spec": {"automountServiceAccountToken": false, "containers": [{"name": "m", "image": "r/x:1"}]}});
        object["spec"]["containers"][0][field] = all.into();
        let found = in_time(name, || recognised(first(&set), &object, Form::Submitted, &facts));
        assert!(matches!(found, Recognition::Match(_)), "{name}: {found:?}");
        // The same, refused: the differences are bounded work as well.
        object["spec"]["containers"][0][field][5000] = json!({"name": 7});
        let found = in_time(name, || recognised(first(&set), &object, Form::Submitted, &facts));
        assert!(matches!(found, Recognition::Differ(_)), "{name}");
    }
    // A literal list of one name, sent as ten thousand; and ten thousand literal ones.
    let literal: String = (0..3000).fold(String::new(), |mut text, n| {
        let _ = writeln!(text, "    - {{name: N{n}, value: x}}");
        text
    });
    let manifest = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec:\n  containers:\n  - name: m\n    image: r/x:1\n    env:\n{literal}"
    );
    let set = in_time("loading 3000 literal elements", || set("", &manifest));
    let object = value(&manifest);
    let found = in_time("3000 literal elements", || recognised(first(&set), &object, Form::Submitted, &facts));
    assert!(matches!(found, Recognition::Match(_)));
    let mut many = object.clone();
    many["spec"]["containers"][0]["env"] =
        (0..10_000).map(|n| json!({"name": format!("X{n}")})).collect::<Vec<_>>().into();
    let found = in_time("10000 strangers", || recognised(first(&set), &many, Form::Submitted, &facts));
    assert!(matches!(found, Recognition::Differ(_)));
}

#[test]
fn a_configmap_of_a_megabyte_loads_soon() {
    let mut manifest = String::new();
    let mut count = 0;
    while manifest.len() < 900_000 {
        let _ = write!(
            manifest,
            "---\napiVersion: batch/v1\nkind: Job\nmetadata: {{name: 'j{count}-${{p}}'}}\nspec:\n  template:\n    spec:\n      restartPolicy: Never\n      containers:\n      - name: m\n        image: r/x:1\n        args: ['${{p}}', {}]\n",
            "'some argument of a certain length', ".repeat(20)
        );
        count += 1;
    }
    let map = configmap("p: {type: string, pattern: '[a-z]+'}", &manifest);
    let set = in_time("loading", || TemplateSet::load(&map));
    assert!(set.templates.all().count() > 100, "{:?}", set.problems);
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
        "[$]\\{[a-z]{1,3}\\}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec(
                (
                    prop_oneof![
                        "[a-z]{1,4}",
                        Just("name".to_owned()),
                        Just("spec".to_owned()),
                        Just("containers".to_owned()),
                        Just("metadata".to_owned()),
                        Just("ports".to_owned()),
                        Just("env".to_owned()),
                        Just("data".to_owned())
                    ],
                    inner
                ),
                0..5
            )
            .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn threat_19_no_text_panics_what_reads_yaml(text in "\\PC{0,200}") {
        let _ = yaml::documents(&text);
        let _ = lint::problems(&text);
        let _ = TemplateSet::load(&configmap(&text, &text));
    }

    #[test]
    fn threat_19_no_yaml_like_text_panics_what_reads_templates(text in "[a-c:{}\\[\\]$\"'|>&*!%#,?\\- \n\t0-9.~<]{0,120}") {
        let _ = yaml::documents(&text);
        let _ = TemplateSet::load(&configmap(&text, "apiVersion: v1"));
        let _ = TemplateSet::load(&configmap("a: {type: string}", &text));
    }

    #[test]
    fn threat_19_no_request_panics_a_verdict(object in json_value(), old in json_value(), options in json_value(), live in json_value(), which in any::<u8>()) {
        let set = set("p: {type: string}", "apiVersion: v1\nkind: Pod\nmetadata: {name: 'a-${p}'}\nspec: {containers: [{name: m, image: 'r/x:1'}]}\n");
        let mut situation = situation(&set);
        let (stamped, _) = created(&situation, &json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a-b"}, "spec": {"containers": [{"name": "m", "image": "r/x:1"}]}})).unwrap();
        // What is stored is a dependent, with something odd about it; what is sent is anything.
        let odd = |odd: &Value, at: &str| {
            let mut object = stamped.clone();
            if let (Some(slot), true) = (object.pointer_mut(at), odd.is_object()) {
                *slot = odd.clone();
            }
            object
        };
        situation.asked = policies::verdict::Asked::Found(Box::new(odd(&live, "/spec")));
        situation.lineage = vec![live.clone(), stamped.clone()];
        let operations = [Operation::Create, Operation::Update, Operation::Delete, Operation::Connect];
        let subresources = [None, Some("eviction"), Some("scale"), Some("exec"), Some("status"), Some("")];
        let places = ["/spec", "/metadata", "/metadata/labels", "/metadata/annotations", "/spec/containers/0"];
        let place = places[usize::from(which) % places.len()];
        for phase in [Phase::Mutating, Phase::Validating] {
            for operation in operations {
                let mut request = request(operation, phase, Some(odd(&object, place)), Some(odd(&old, "/spec")));
                request.subresource = subresources[usize::from(which) % subresources.len()].map(str::to_owned);
                request.options = Some(options.clone());
                let _ = verdict(&request, &situation);
                request.object = Some(object.clone());
                let _ = verdict(&request, &situation);
                request.old_object = None;
                let _ = verdict(&request, &situation);
            }
        }
    }

    #[test]
    fn threat_19_no_json_panics_a_load_or_a_recognition(map in json_value(), object in json_value(), which in 0..6_usize) {
        let _ = TemplateSet::load(&map);
        let kinds = [("v1", "Pod"), ("batch/v1", "Job"), ("v1", "Service"), ("v1", "Secret"), ("v1", "PersistentVolumeClaim"), ("example.com/v1", "Widget")];
        let (version, kind) = kinds[which];
        let manifest = format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: c}}\nspec: {{type: NodePort, template: {{spec: {{}}}}, containers: [{{name: m}}], ports: [{{port: 1}}]}}\ndata: {{a: b}}\n");
        let set = TemplateSet::load(&configmap("", &manifest));
        if let Some(template) = set.templates.all().next() {
            let facts = facts();
            let mut object = object;
            if object.is_object() {
                object["apiVersion"] = version.into();
                object["kind"] = kind.into();
            }
            for form in FORMS {
                let _ = recognised(template, &object, form, &facts);
            }
        }
    }
}
