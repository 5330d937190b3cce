#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]
use serde_json::json;

use super::*;
use crate::object::Gvk;

const JOB: &str = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: \"post-${run}\"}\nspec: {parallelism: 1}\n";

fn config_map(annotations: Value, data: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "post-trade", "namespace": "trading", "uid": "u", "resourceVersion": "7",
            "labels": {"fledged.io/templates": "true"}, "annotations": annotations},
        "data": data,
    })
}

fn pod(account: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec:\n  serviceAccountName: {account}\n  containers: []\n"
    )
}

#[test]
fn a_whole_config_map_is_read() {
    let set = TemplateSet::load(&config_map(
        json!({"fledged.io/masters": "eod, other/eod", "fledged.io/duration": "1h", "fledged.io/max-dependents": "20",
            "fledged.io/allow": "pods/exec, deployments/scale", "fledged.io/allow-masters": "true", "mine": "x"}),
        json!({"parameters": "run: {type: string, pattern: '[0-9]{8}'}", "job.yaml": JOB}),
    ));
    assert_eq!(set.problems, []);
    assert_eq!(set.name.to_string(), "trading/post-trade");
    assert_eq!((set.uid.as_str(), set.version.as_str()), ("u", "7"));
    let masters = ["trading/eod", "other/eod"].map(|name| name.split_once('/').unwrap());
    assert_eq!(
        set.masters,
        Masters::Named(Arc::new(masters.map(|(namespace, name)| NamespacedName::new(namespace, name)).into()))
    );
    assert_eq!((set.duration, set.max_dependents), (Some(Lifetime::Seconds(3600)), Some(20)));
    assert!(set.allow.contains(&("pods".into(), "exec".into())) && set.allow.len() == 2 && set.allow_masters);
    assert_eq!(set.templates.of_kind(&Gvk::new("batch", "v1", "Job")).next().unwrap().key, "job.yaml");
    assert!(set.usable());
}

#[test]
fn what_was_refused_when_it_was_loaded_stays_out_when_its_key_is_compiled() {
    let two = format!("{}---\n{JOB}---\n{}", pod("eod"), pod("worker"));
    let set = TemplateSet::load(&config_map(
        json!({"fledged.io/masters": "eod"}),
        json!({"parameters": "run: {type: string}", "all.yaml": two, "b.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: \"${run}${run2}\"}\n"}),
    ));
    let kinds: Vec<_> = set.templates.kinds().map(|kind| kind.kind.as_str()).collect();
    assert_eq!(kinds, ["Job", "Pod", "Pod"], "{:?}", set.problems);
    let keys: Vec<_> = set.templates.all().map(|template| template.key.as_str()).collect();
    assert_eq!(keys, ["all.yaml#2", "all.yaml#3", "b.yaml"]);
    let pods: Vec<_> = set.templates.of_kind(&Gvk::new("", "v1", "Pod")).map(|it| it.key.as_str()).collect();
    assert_eq!(pods, ["all.yaml#3", "b.yaml"]);
    assert!(set.templates.has(&Gvk::new("batch", "v1", "Job")) && !set.templates.has(&Gvk::new("apps", "v1", "Job")));
    assert_eq!(*set.namespaces, ["trading".to_owned()].into());
}

#[test]
fn a_template_is_compiled_once_and_only_if_somebody_asks_for_its_kind() {
    let set = TemplateSet::load(&config_map(
        json!({}),
        // Not as another test has them, which would have compiled them.
        json!({"parameters": "run: {type: string, maxLength: 7}", "job.yaml": JOB, "pod.yaml": pod("worker")}),
    ));
    assert_eq!(set.templates.compiled(), 0);
    let job = Gvk::new("batch", "v1", "Job");
    let first = Arc::as_ptr(set.templates.of_kind(&job).next().unwrap());
    assert_eq!(first, Arc::as_ptr(set.templates.of_kind(&job).next().unwrap()));
    assert_eq!(set.templates.compiled(), 1);
    let apart: Vec<_> = set.templates.apart().into_iter().map(|template| template.key).collect();
    assert_eq!(set.templates.compiled(), 1, "what is compiled apart is not kept");
    assert_eq!(apart, set.templates.all().map(|template| template.key.clone()).collect::<Vec<_>>());
    assert_eq!(set.templates.all().count(), 2);
}

#[test]
fn config_maps_that_say_the_same_have_their_templates_together() {
    let load = |parameters: &str, text: &str| {
        let data = json!({"parameters": parameters, "job.yaml": text});
        TemplateSet::load(&config_map(json!({}), data))
    };
    let first = |set: &TemplateSet| Arc::clone(set.templates.all().next().unwrap());
    let one = load("run: {type: string, maxLength: 8}", JOB);
    assert!(Arc::ptr_eq(&first(&one), &first(&load("run: {type: string, maxLength: 8}", JOB))));
    // What bounds a hole is part of it, and so is every letter of the text.
    let other = load("run: {type: string, maxLength: 9}", JOB);
    assert!(!Arc::ptr_eq(&first(&one), &first(&other)));
    assert!(!Arc::ptr_eq(&first(&one).parameters, &first(&other).parameters));
    let other = load("run: {type: string, maxLength: 8}", &JOB.replace("post", "pre"));
    assert!(!Arc::ptr_eq(&first(&one), &first(&other)));
    assert!(Arc::ptr_eq(&first(&one).parameters, &first(&other).parameters));
}

#[test]
fn what_one_config_map_may_not_use_it_does_not_get_from_another_that_may() {
    let data = json!({"pod.yaml": pod("eod"), "job.yaml": JOB.replace("${run}", "x")});
    let may = TemplateSet::load(&config_map(
        json!({"fledged.io/masters": "eod", "fledged.io/allow-masters": "true"}),
        data.clone(),
    ));
    let may_not = TemplateSet::load(&config_map(json!({"fledged.io/masters": "eod"}), data));
    let keys = |set: &TemplateSet| set.templates.all().map(|template| template.key.clone()).collect::<Vec<_>>();
    assert_eq!(keys(&may), ["job.yaml", "pod.yaml"]);
    assert_eq!(keys(&may_not), ["job.yaml"]);
}

#[test]
fn a_bad_template_is_unusable_alone() {
    let set = TemplateSet::load(&config_map(
        json!({}),
        json!({"parameters": "run: {type: string}", "a.yaml": "kind: [", "b.yaml": JOB, "c.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: ns}\n"}),
    ));
    assert!(set.usable());
    let shown: Vec<_> =
        set.problems.iter().map(|problem| (problem.severity, problem.key.as_deref(), problem.line)).collect();
    assert_eq!(shown, [(Severity::Error, Some("a.yaml"), Some(1)), (Severity::Error, Some("c.yaml"), Some(2))]);
    assert!(set.problems[1].message.contains("not in a namespace"), "{}", set.problems[1].message);
}

#[test]
fn what_is_wrong_with_the_whole_leaves_nothing_usable() {
    let data = json!({"parameters": "run: {type: string}", "job.yaml": JOB});
    let mut unlabelled = config_map(json!({}), data.clone());
    unlabelled["metadata"]["labels"] = json!({"fledged.io/templates": "yes"});
    for (config_map, message) in [
        (unlabelled, "not labelled fledged.io/templates=\"true\""),
        (config_map(json!({"fledged.io/duration": "1 fortnight"}), data.clone()), "is no duration"),
        (config_map(json!({"fledged.io/duration": "none"}), data.clone()), "none is for manifests only"),
        (config_map(json!({"fledged.io/masters": " "}), data.clone()), "names no account"),
        (config_map(json!({"fledged.io/masters": "a/b/c"}), data.clone()), "does not name a ServiceAccount"),
        (config_map(json!({"fledged.io/max-dependents": "0"}), data.clone()), "1 or more"),
        (config_map(json!({"fledged.io/max-dependents": 20}), data.clone()), "quote the value"),
        (config_map(json!({"fledged.io/allow": "pods/status"}), data.clone()), "can never be allowed"),
        (config_map(json!({"fledged.io/allow": "serviceaccounts/token"}), data.clone()), "can never be allowed"),
        (config_map(json!({"fledged.io/allow": "exec"}), data.clone()), "write pods/exec"),
        (config_map(json!({"fledged.io/allow-masters": "yes"}), data.clone()), "write \"true\""),
        (config_map(json!({}), json!({"parameters": "run: {type: text}", "job.yaml": JOB})), "unknown type \"text\""),
        (config_map(json!({}), json!({"parameters": "a: 1\na: 2", "job.yaml": JOB})), "twice"),
        (config_map(json!({}), json!({"job.yaml": {}})), "is text"),
    ] {
        let set = TemplateSet::load(&config_map);
        assert!(!set.usable(), "{config_map}");
        let error = set.errors().next().unwrap_or_else(|| panic!("no error for {config_map}"));
        assert!(error.message.contains(message), "{config_map}\ngave {}", error.message);
    }
}

#[test]
fn what_will_be_regretted_is_a_warning() {
    let mut binary = config_map(json!({}), json!({"parameters": "run: {type: string}", "job.yaml": JOB}));
    binary["binaryData"] = json!({"x": "AA=="});
    for (config_map, message) in [
        (binary, "binaryData is not read"),
        (
            config_map(json!({}), json!({"parameters": "run: {type: string}\nrnu: {type: string}", "job.yaml": JOB})),
            "parameter rnu is not used",
        ),
        (
            config_map(json!({"fledged.io/master": "x"}), json!({"parameters": "run: {type: string}", "j": JOB})),
            "means nothing",
        ),
        (config_map(json!({}), json!({})), "no template is here"),
    ] {
        let set = TemplateSet::load(&config_map);
        assert_eq!(set.errors().count(), 0, "{config_map}");
        assert!(set.problems.iter().any(|problem| problem.message.contains(message)), "{:?}", set.problems);
    }
}

#[test]
fn threat_20_a_pod_under_the_masters_account_is_refused_when_loaded() {
    let masters = json!({"fledged.io/masters": "eod, other/spark"});
    for (annotations, pod, usable) in [
        (masters.clone(), pod("eod"), false),
        (masters.clone(), pod("spark"), false),
        (masters.clone(), pod("batch"), true),
        (masters.clone(), pod("${master.name}"), false),
        (json!({}), pod("${master.name}"), false),
        (json!({"fledged.io/masters": "default"}), pod("eod").replace("  serviceAccountName: eod\n", ""), false),
        (json!({"fledged.io/masters": "eod", "fledged.io/allow-masters": "true"}), pod("eod"), true),
        (masters, pod("spark").replace("{name: p}", "{name: p, namespace: trading}"), true),
    ] {
        let set = TemplateSet::load(&config_map(annotations.clone(), json!({"p.yaml": pod})));
        assert_eq!(set.usable(), usable, "{annotations} {pod}: {:?}", set.problems);
    }
}

#[test]
fn the_hash_follows_what_decides_and_nothing_else() {
    let data = json!({"parameters": "run: {type: string}", "job.yaml": JOB});
    let hash = |config_map: &Value| TemplateSet::load(config_map).hash;
    let base = config_map(json!({"mine": "x"}), data.clone());
    let mut later = config_map(json!({"mine": "y"}), data.clone());
    later["metadata"]["resourceVersion"] = json!("8");
    assert_eq!(hash(&base), hash(&later));
    assert_eq!(hash(&base).len(), 16);
    assert_ne!(hash(&base), hash(&config_map(json!({"fledged.io/duration": "1h"}), data)));
    assert_ne!(hash(&base), hash(&config_map(json!({}), json!({"job.yaml": JOB}))));
}

#[test]
fn secrets_beside_a_bound_are_warned_of() {
    let data = json!({"s.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n"});
    let bounded = TemplateSet::load(&config_map(json!({"fledged.io/max-dependents": "3"}), data.clone()));
    assert!(bounded.usable());
    assert!(bounded.problems.iter().any(|problem| problem.message.contains("does not count Secrets")));
    let unbounded = TemplateSet::load(&config_map(json!({}), data));
    assert!(unbounded.problems.is_empty(), "{:?}", unbounded.problems);
}

#[test]
fn a_notice_that_comes_at_once_is_warned_of() {
    let job = |instructions: &str| {
        let annotations = format!("metadata: {{name: \"post-${{run}}\", annotations: {{{instructions}}}}}");
        JOB.replace("metadata: {name: \"post-${run}\"}", &annotations)
    };
    let parameters = "run: {type: string}\nlife: {type: string, format: duration}\n";
    for (cap, instructions, comes_at_once) in [
        (Some("1h"), "fledged.io/notify-before: 2h", true),
        (Some("1h"), "fledged.io/notify-before: 60m", true),
        (Some("1h"), "fledged.io/notify-before: 5m", false),
        (Some("1h"), "fledged.io/notify-before: 5m, fledged.io/duration: 3m", true),
        (None, "fledged.io/notify-before: 5m, fledged.io/duration: 300", true),
        (None, "fledged.io/notify-before: 5m, fledged.io/duration: 6m", false),
        // Who uses it may say how long.
        (None, "fledged.io/notify-before: 5m", false),
        (Some("1m"), "fledged.io/notify-before: 5m, fledged.io/duration: \"${life}\"", false),
        (Some("1m"), "fledged.io/notify-before: 5m, fledged.io/duration: none", false),
    ] {
        let annotations = cap.map_or(json!({}), |cap| json!({"fledged.io/duration": cap}));
        let data = json!({"parameters": parameters, "job.yaml": job(instructions)});
        let set = TemplateSet::load(&config_map(annotations, data));
        assert!(set.usable(), "{:?}", set.problems);
        let warned = set
            .problems
            .iter()
            .any(|problem| problem.severity == Severity::Warning && problem.message.contains("as soon as it is made"));
        assert_eq!(warned, comes_at_once, "{cap:?} {instructions}: {:?}", set.problems);
    }
}

#[test]
fn threat_54_what_many_masters_take_counts_and_what_nobody_can_use_is_not_compiled() {
    let names: Vec<String> = (0..5_000).map(|number| format!("n{number}/master")).collect();
    let set = TemplateSet::load(&json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": {"it.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"},
        "metadata": {
            "name": "t", "namespace": "trading", "labels": {"fledged.io/templates": "true"},
            "annotations": {"fledged.io/masters": names.join(",")},
        },
    }));
    assert!(set.weight.own > 5_000 * 100, "{:?}", set.weight);
    let patterns: String =
        (0..200).map(|number| format!("p{number}: {{type: string, pattern: 'a{{{number}}}'}}\n")).collect();
    let with = |manifest: &str| {
        TemplateSet::load(&json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": {"parameters": patterns, "it.yaml": manifest},
            "metadata": {"name": "t", "namespace": "trading", "labels": {"fledged.io/templates": "true"}},
        }))
    };
    let (good, bad) = (with("{apiVersion: v1, kind: ConfigMap, metadata: {name: x}}"), with("{{{"));
    assert!(good.usable() && !bad.usable());
    assert!(good.weight.data > 20 * bad.weight.data, "{:?} {:?}", good.weight, bad.weight);
}
