//! What a review may cost, whatever a master sends: counted in steps, not by a clock.
#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]

#[path = "attacks/support.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod support;

use std::fmt::Write as _;
use std::sync::Arc;

use policies::budget::Budget;
use policies::library::TemplateSet;
use policies::object::Gvk;
use policies::request::{Operation, Phase};
use policies::tables::{Facts, Form, complete};
use policies::verdict::{
    Cause, REVIEW, Refusal, Situation, Verdict, decide_further, decide_quickly, decide_within, uncompiled,
};
use serde_json::{Value, json};

use support::*;

/// The steps that a verdict may take where others wait for it.
const QUICK: u64 = 1_000_000;

/// The verdict on a create of this object as it is sent, and the steps that it took. Where others wait, there is the same
/// verdict, or none if it takes more steps than are allowed there, or a template is to be compiled first.
fn judged(set: &Arc<TemplateSet>, object: &Value) -> (Verdict, u64) {
    let situation = Situation { form: Some(Form::Submitted), ..situation(set) };
    let request = request(Operation::Create, Phase::Mutating, Some(object.clone()), None);
    // The first time a template is compiled, the second time it is there.
    let mut last = None;
    for _ in 0..2 {
        let budget = Budget::of(REVIEW);
        let verdict = decide_within(&request, &situation, &budget);
        last = Some((verdict, REVIEW - budget.left()));
    }
    let (verdict, steps) = last.unwrap();
    let quickly = decide_quickly(&request, &situation, QUICK);
    assert!(quickly.is_some() || steps > QUICK, "{steps} are few enough");
    assert!(quickly.is_none() || steps <= 2 * QUICK, "{steps} are too many");
    assert!(quickly.is_none_or(|quickly| quickly == verdict));
    (verdict, steps)
}

fn refused(set: &Arc<TemplateSet>, object: &Value) -> Refusal {
    match judged(set, object) {
        (Verdict::Refuse(refusal), _) => refusal,
        (Verdict::Admit(_), _) => panic!("it is admitted"),
    }
}

fn pod(labels: Value, env: Vec<Value>) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "trading", "labels": labels},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "registry.example/a:1", "env": env}]}})
}

fn variables(count: usize) -> Vec<Value> {
    (0..count).map(|at| json!({"name": format!("N{at}"), "value": "1"})).collect()
}

/// A list of variables as a hole, an optional restart policy, and so many optional labels.
fn list_of_variables(optional: usize) -> Arc<TemplateSet> {
    let mut parameters = "vars: {type: array, items: {type: object, properties: {name: {type: string}, value: {type: string}}}}\nrp: {type: string, enum: [Never, OnFailure], optional: true}\n".to_owned();
    let mut labels = String::new();
    for at in 0..optional {
        let _ = writeln!(parameters, "o{at}: {{type: string, pattern: '[a-z]+', optional: true}}");
        let _ = writeln!(labels, "    l{at}: ${{o{at}}}");
    }
    set(
        &parameters,
        &format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  labels:\n    a: b\n{labels}spec:\n  restartPolicy: ${{rp}}\n  containers:\n  - name: main\n    image: registry.example/a:1\n    env:\n    - ${{vars}}\n"
        ),
    )
}

#[test]
fn threat_59_a_variable_that_is_there_twice_is_found_at_once() {
    for (count, optional) in [(36_000, 0), (9_000, 8), (38_000, 8)] {
        let mut env = variables(count);
        env.push(env[count - 1].clone());
        let refusal = refused(&list_of_variables(optional), &pod(json!({"a": "b"}), env));
        assert_eq!(refusal.cause, Cause::Template, "{count} {optional}: {}", refusal.message);
        assert!(refusal.message.contains("each variable once"), "{count} {optional}: {}", refusal.message);
    }
}

/// Tables of patterns are made once, and no object is refused because it is the first that needs them.
#[test]
fn threat_59_what_is_made_at_the_first_use_of_a_template_is_no_reason_to_refuse() {
    let branches: Vec<_> =
        (0..1_600).map(|at| format!("{{type: string, pattern: 'p{at}first-[a-z0-9-]{{0,62}}'}}")).collect();
    let parameters = format!("v: {{oneOf: [{}]}}\n", branches.join(", "));
    let manifest = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - {name: main, image: \"registry.example/a:1\", args: [\"${v}\"]}\n";
    let set = set(&parameters, manifest);
    let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "trading"},
        "spec": {"containers": [{"name": "main", "image": "registry.example/a:1", "args": ["p1599first-x"]}]}});
    let situation = Situation { form: Some(Form::Submitted), ..situation(&set) };
    let request = request(Operation::Create, Phase::Mutating, Some(object), None);
    let verdicts: Vec<_> = std::iter::repeat_with(|| decide_further(&request, &situation)).take(50).collect();
    let first = verdicts.iter().position(Option::is_some).unwrap();
    assert!((1..20).contains(&first), "after {first} turns");
    assert!(
        verdicts[first..].iter().all(|verdict| matches!(verdict, Some(Verdict::Admit(_)))),
        "{:?}",
        verdicts[first]
    );
}

#[test]
fn threat_59_what_is_large_and_right_is_admitted() {
    for (count, optional) in [(16_000, 8), (32_000, 0)] {
        let (verdict, steps) = judged(&list_of_variables(optional), &pod(json!({"a": "b"}), variables(count)));
        assert!(matches!(verdict, Verdict::Admit(_)), "{count} {optional}: {verdict:?}");
        assert!(steps < REVIEW, "{count}");
    }
}

#[test]
fn threat_59_variables_named_by_holes_take_bounded_work() {
    let elements = (0..30).fold(String::new(), |mut text, at| {
        let _ = writeln!(text, "    - name: \"${{app}}_{at}\"\n      value: \"x${{app}}\"");
        text
    });
    let parameters = "app: {type: string, pattern: '[a-z0-9]+'}\nrp: {type: string, enum: [Never, OnFailure], optional: true}\no1: {type: string, optional: true}\n";
    let manifest = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: p, labels: {{a: b, c: \"${{o1}}\"}}}}\nspec:\n  restartPolicy: ${{rp}}\n  containers:\n  - name: main\n    image: registry.example/a:1\n    env:\n{elements}"
    );
    let set = set(parameters, &manifest);
    let env = |count: usize| {
        (0..count).map(|at| json!({"name": format!("a{at}_{}", at % 30), "value": format!("xa{at}")})).collect()
    };
    assert_eq!(refused(&set, &pod(json!({"a": "b"}), env(200))).cause, Cause::Template);
    let refusal = refused(&set, &pod(json!({"a": "b"}), env(20_000)));
    assert!(matches!(refusal.cause, Cause::Template | Cause::TooLarge), "{}", refusal.message);
}

#[test]
fn threat_59_too_much_work_is_refused_and_says_what_to_make_simpler() {
    // Elements that only what stands deep in them tells apart, each against each.
    let count = 4_000;
    let (mut parameters, mut elements) = (String::new(), String::new());
    for at in 0..1_000 {
        let _ = writeln!(parameters, "n{at}: {{type: string, pattern: '[a-z]+_?[0-9_]*'}}");
        let _ = writeln!(
            elements,
            "  - name: \"${{n{at}}}\"\n    ephemeral: {{volumeClaimTemplate: {{spec: {{storageClassName: s{at}, accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}}}}}}}"
        );
    }
    let manifest = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec:\n  containers:\n  - name: main\n    image: registry.example/a:1\n  volumes:\n{elements}"
    );
    let set = set(&parameters, &manifest);
    let claim = json!({"volumeClaimTemplate": {"spec": {"storageClassName": "other", "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}}}}});
    let volumes = (0..count).map(|at| json!({"name": format!("a_{at}"), "ephemeral": claim})).collect();
    let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "trading"},
        "spec": {"containers": [{"name": "main", "image": "registry.example/a:1"}], "volumes": Value::Array(volumes)}});
    let refusal = refused(&set, &object);
    assert_eq!(refusal.cause, Cause::TooLarge, "{}", refusal.message);
    assert_eq!(refusal.cause.status().0, 413);
    for said in ["more work", "t.yaml of ConfigMap trading/templates", "fewer optional parameters"] {
        assert!(refusal.message.contains(said), "{}", refusal.message);
    }
}

#[test]
fn threat_59_of_a_thousand_templates_the_nearest_are_compared_in_full() {
    let documents: Vec<String> = (0..1000)
        .map(|at| {
            format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: \"c{at}-${{a}}\"}}\ndata: {{x: \"${{b}}\"}}\n")
        })
        .collect();
    let set = set("a: {type: string, pattern: '[a-z]+'}\nb: {type: string}\n", &documents.join("---\n"));
    let data: serde_json::Map<_, _> = (0..20_000).map(|at| (format!("k{at}"), "v".repeat(20).into())).collect();
    let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "nope", "namespace": "trading"}, "data": data});
    let refusal = refused(&set, &object);
    assert_eq!(refusal.cause, Cause::Template);
    assert!(refusal.message.contains("more templates of this kind, not compared in full"), "{}", refusal.message);
    // Of a small one, a hundred are.
    object["data"] = json!({"y": "v"});
    let refusal = refused(&set, &object);
    assert!(refusal.message.contains("900 more templates of this kind"), "{}", refusal.message);
    // The last of them is found all the same.
    object["metadata"]["name"] = "c999-a".into();
    object["data"] = json!({"x": "v"});
    assert!(matches!(judged(&set, &object).0, Verdict::Admit(_)));
}

#[test]
fn threat_59_many_sensitive_values_beside_a_long_text_are_hidden_without_seeking_each() {
    let set = set(
        "more: {type: array, sensitive: true, items: {type: string}}\n",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  restartPolicy: Never\n  containers:\n  - name: main\n    image: registry.example/a:1\n    args:\n    - run\n    - ${more}\n",
    );
    let mut args = vec![json!("run")];
    args.extend((0..20_000).map(|at| json!(format!("--a={at:06}"))));
    let mut object = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "p", "namespace": "trading", "annotations": {"x": "--a=0123".repeat(10_000)}},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "registry.example/a:1", "args": args}]}});
    let refusal = refused(&set, &object);
    assert_eq!(refusal.cause, Cause::Template, "{}", refusal.message);
    assert!(!refusal.message.contains("--a=0123"), "{}", refusal.message);
    // What is short is sought, and shown.
    object["spec"]["containers"][0]["args"] = json!(["run", "--a=000001"]);
    object["metadata"]["annotations"] = json!({"x": "plain"});
    assert!(refused(&set, &object).message.contains("plain"));
}

#[test]
fn threat_59_a_small_hole_that_is_used_everywhere_makes_no_mountain() {
    let data = (0..2_000).fold(String::new(), |mut text, at| {
        let _ = writeln!(text, "  k{at}: ${{x}}");
        text
    });
    let manifest =
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c, labels: {{a: \"${{o}}\"}}}}\ndata:\n{data}");
    let set = set("x: {type: string}\no: {type: string, optional: true}\n", &manifest);
    let mut data: serde_json::Map<_, _> = (1..2_000).map(|at| (format!("k{at}"), "v".into())).collect();
    data.insert("k0".into(), "v".repeat(500_000).into());
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "trading"}, "data": data});
    let refusal = refused(&set, &object);
    assert!(matches!(refusal.cause, Cause::Template | Cause::TooLarge), "{}", refusal.message);
}

#[test]
fn threat_59_a_long_name_is_not_written_again_for_all_that_is_in_it() {
    let env = (0..1_000).fold(String::new(), |mut text, at| {
        let _ = writeln!(text, "    - name: N{at}\n      value: ${{v{at}}}");
        text
    });
    let parameters = (0..1_000).fold("name: {type: string}\n".to_owned(), |mut text, at| {
        let _ = writeln!(text, "v{at}: {{type: string, pattern: '[a-z]+'}}");
        text
    });
    let set = set(
        &parameters,
        &format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec:\n  containers:\n  - name: ${{name}}\n    image: registry.example/a:1\n    env:\n{env}"
        ),
    );
    let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "trading"},
        "spec": {"containers": [{"name": "n".repeat(400_000), "image": "registry.example/a:1",
            "env": (0..1_000).map(|at| json!({"name": format!("N{at}"), "value": "7"})).collect::<Vec<_>>()}]}});
    let refusal = refused(&set, &object);
    assert!(matches!(refusal.cause, Cause::Template | Cause::TooLarge), "{}", refusal.message);
    assert!(refusal.message.len() < 64 << 10, "{}", refusal.message.len());
    assert!(refusal.differences.iter().all(|difference| difference.path.to_string().len() < 4096));
}

/// So many templates that differ in the image of a second container alone, and an object of the last.
fn variants(count: usize, variables_count: usize) -> (Arc<TemplateSet>, Value) {
    let documents: Vec<String> = (0..count)
        .map(|at| {
            format!(
                "apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec:\n  restartPolicy: Never\n  containers:\n  - name: main\n    image: registry.example/a:1\n    env:\n    - ${{v}}\n  - name: z\n    image: registry.example/z:{at}\n"
            )
        })
        .collect();
    let parameters =
        "v: {type: array, items: {type: object, properties: {name: {type: string}, value: {type: string}}}}\n";
    let mut object = pod(json!({}), variables(variables_count));
    object["metadata"].as_object_mut().unwrap().remove("labels");
    let second = json!({"name": "z", "image": format!("registry.example/z:{}", count - 1)});
    object["spec"]["containers"].as_array_mut().unwrap().push(second);
    (set(parameters, &documents.join("---\n")), object)
}

#[test]
fn threat_59_what_fits_the_last_of_many_variants_is_admitted() {
    for (count, variables) in [(100, 2_000), (50, 4_000), (10, 16_000), (5, 20_000)] {
        let (set, object) = variants(count, variables);
        let (verdict, steps) = judged(&set, &object);
        assert!(matches!(verdict, Verdict::Admit(_)), "{count} {variables}: {verdict:?}");
        assert!(steps < REVIEW / 2 || variables == 20_000, "{count} {variables}: {steps}");
    }
    // What fits none of them is told the nearest.
    let (set, mut object) = variants(3, 10);
    object["spec"]["containers"][1]["image"] = "registry.example/z:9".into();
    let refusal = refused(&set, &object);
    assert_eq!(refusal.cause, Cause::Template);
    assert!(refusal.message.contains("spec.containers[name=z].image"), "{}", refusal.message);
}

#[test]
fn threat_59_a_long_text_is_not_paid_for_by_templates_that_differ_elsewhere() {
    for text in ["${a}", "x-${a}", "x{at}-${a}"] {
        let documents: Vec<String> = (0..100)
            .map(|at| {
                let text = text.replace("{at}", &at.to_string());
                format!(
                    "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: x}}\ndata: {{a: \"{text}\", z: \"{at}\"}}\n"
                )
            })
            .collect();
        let set = set("a: {type: string}\n", &documents.join("---\n"));
        let shown = text.replace("{at}", "99").replace("${a}", &"v".repeat(900_000));
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "trading"},
            "data": {"a": shown, "z": "99"}});
        let (verdict, steps) = judged(&set, &object);
        assert!(matches!(verdict, Verdict::Admit(_)), "{text}: {verdict:?}");
        assert!(steps < REVIEW / 8, "{text}: {steps}");
    }
}

#[test]
fn threat_59_many_list_holes_between_literals_find_their_elements() {
    let (holes, count) = (20, 40_000);
    let parameters = (0..holes).fold(String::new(), |mut text, at| {
        let _ = writeln!(text, "v{at}: {{type: array, items: {{type: string, pattern: '--p{at}=.*'}}}}");
        text
    });
    let elements = (0..holes).fold(String::new(), |mut text, at| {
        let _ = writeln!(text, "    - ${{v{at}}}\n    - lit{at}");
        text
    });
    let set = set(
        &parameters,
        &format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec:\n  restartPolicy: Never\n  containers:\n  - name: main\n    image: registry.example/a:1\n    args:\n{elements}"
        ),
    );
    let args: Vec<String> = (0..holes)
        .flat_map(|at| {
            let own = std::iter::repeat_n(format!("--p{at}=1"), count / holes);
            own.chain(std::iter::once(format!("lit{at}")))
        })
        .collect();
    let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "trading"},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "registry.example/a:1", "args": args}]}});
    let (verdict, _) = judged(&set, &object);
    assert!(matches!(verdict, Verdict::Admit(_)), "{verdict:?}");
}

#[test]
fn threat_59_rows_that_holes_name_are_admitted_in_any_order() {
    let count = 1_900;
    let parameters = (0..count).fold("app: {type: string, pattern: '[a-z0-9]+'}\n".to_owned(), |mut text, at| {
        let _ = writeln!(text, "v{at}: {{type: string}}");
        text
    });
    let elements = (0..count).fold(String::new(), |mut text, at| {
        let _ = writeln!(text, "    - name: \"${{app}}_{at}\"\n      value: \"${{v{at}}}\"");
        text
    });
    let set = set(
        &parameters,
        &format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: p, labels: {{a: b}}}}\nspec:\n  restartPolicy: Never\n  containers:\n  - name: main\n    image: registry.example/a:1\n    env:\n{elements}"
        ),
    );
    let row = |at: usize| json!({"name": format!("a_{at}"), "value": "v"});
    let (verdict, _) = judged(&set, &pod(json!({"a": "b"}), (0..count).map(row).collect()));
    assert!(matches!(verdict, Verdict::Admit(_)), "{verdict:?}");
    // The order of variables does not matter.
    let (verdict, _) = judged(&set, &pod(json!({"a": "b"}), (0..count).rev().map(row).collect()));
    assert!(matches!(verdict, Verdict::Admit(_)), "{verdict:?}");
    // One that no element is, is told.
    let mut env: Vec<Value> = (0..count).rev().map(row).collect();
    env[7]["name"] = "b-7".into();
    let refusal = refused(&set, &pod(json!({"a": "b"}), env));
    assert_eq!(refusal.cause, Cause::Template, "{}", refusal.message);
}

#[test]
fn threat_59_values_that_all_differ_are_told_within_the_work_of_one_review() {
    let count = 10_000;
    let elements = (0..count).fold(String::new(), |mut text, at| {
        let _ = writeln!(text, "    - {{name: N{at}, value: \"0\"}}");
        text
    });
    let set = set(
        "",
        &format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: p, labels: {{a: b}}}}\nspec:\n  restartPolicy: Never\n  containers:\n  - name: main\n    image: registry.example/a:1\n    env:\n{elements}"
        ),
    );
    let mut object = pod(json!({"a": "b"}), variables(count));
    for is_complete in [false, true] {
        let refusal = refused(&set, &object);
        assert_eq!(refusal.cause, Cause::Template, "{is_complete}: {}", refusal.message);
        assert!(refusal.message.contains("env[name=N0].value"), "{is_complete}: {}", refusal.message);
        complete(&Gvk::from_api_version("v1", "Pod"), &mut object, &Facts::default());
    }
}

#[test]
fn threat_59_each_element_is_held_against_many_alternatives_once() {
    for (alternatives, count) in [(100, 3_000), (20, 12_000)] {
        let all: Vec<String> = (0..alternatives)
            .map(|at| {
                format!("{{type: object, properties: {{name: {{type: string, pattern: 'N{at}_[a-z0-9]{{0,20}}'}}, value: {{type: string, pattern: '[a-z]*x{at}'}}}}}}")
            })
            .collect();
        let set = set(
            &format!("v: {{type: array, items: {{oneOf: [{}]}}}}\n", all.join(", ")),
            "apiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: {a: b}}\nspec:\n  restartPolicy: Never\n  containers:\n  - name: main\n    image: registry.example/a:1\n    env:\n    - ${v}\n",
        );
        let env = (0..count)
            .map(|at| json!({"name": format!("N{}_{at}", at % alternatives), "value": format!("ax{}", at % alternatives)}))
            .collect();
        let (verdict, steps) = judged(&set, &pod(json!({"a": "b"}), env));
        assert!(matches!(verdict, Verdict::Admit(_)), "{alternatives} {count}: {verdict:?} {steps}");
    }
}

#[test]
fn threat_59_templates_that_take_long_to_compile_are_compiled_before_the_review() {
    let manifest = |rows: usize| {
        let rows: String = (0..rows).map(|at| format!("    - name: ${{app}}_{at}\n      value: x\n")).collect();
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec:\n  containers:\n  - name: main\n    image: registry.example/a:1\n    env:\n{rows}"
        )
    };
    let parameters = "app: {type: string, pattern: '[a-z0-9]+'}\n";
    let request = request(Operation::Create, Phase::Mutating, Some(pod(json!({}), Vec::new())), None);
    let large = situation(&set(parameters, &manifest(14_000)));
    let before = uncompiled(&request, &large).unwrap();
    assert!(decide_quickly(&request, &large, REVIEW).is_none(), "not where others wait");
    before.compile();
    assert!(uncompiled(&request, &large).is_none(), "once");
    assert!(decide_quickly(&request, &large, REVIEW).is_some());
    // What takes little is compiled on the way.
    let small = situation(&set(parameters, &manifest(8)));
    assert!(uncompiled(&request, &small).is_none());
    assert!(decide_quickly(&request, &small, REVIEW).is_none());
}
