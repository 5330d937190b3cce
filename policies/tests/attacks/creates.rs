//! Creates, as the API server asks: first to change, then the result.

use policies::recognise::{Form, Recognition};
use policies::request::{Operation, Phase};
use serde_json::{Value, json};

use crate::support::*;

const JOB: &str = "{apiVersion: batch/v1, kind: Job, metadata: {name: run}, spec: {template: {spec: {restartPolicy: Never, serviceAccountName: plain, containers: [{name: m, image: 'r/x:1'}]}}}}";

fn admits(parameters: &str, manifest: &str, object: &str) -> bool {
    let set = set(parameters, manifest);
    let facts = facts();
    FORMS.into_iter().any(|form| {
        matches!(recognised(first(&set), &shown(&value(object), form, &facts), form, &facts), Recognition::Match(_))
    })
}

#[test]
fn threat_31_holes_bind_nothing_that_their_schema_refuses() {
    let map = |parameters: &str, hole: &str, sent: Value| {
        let manifest = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c}}\ndata:\n  k: {hole}\n");
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"k": sent}});
        admits(parameters, &manifest, &object.to_string())
    };
    let pattern = "p: {type: string, pattern: 'a|b'}";
    for (sent, expected) in [
        ("a", true),
        ("b", true),
        ("ab", false),
        ("a\n", false),
        ("\na", false),
        ("xa", false),
        ("a ", false),
        ("A", false),
        ("", false),
        ("а", false),
    ] {
        assert_eq!(map(pattern, "${p}", json!(sent)), expected, "{sent:?}");
        let inside = format!("x-{sent}-y");
        assert_eq!(map(pattern, "x-${p}-y", json!(inside)), expected, "{inside:?}");
    }
    let digits = "p: {type: string, pattern: '^\\d+$'}";
    for (sent, expected) in [("12", true), ("１２", false), ("1\n2", false), ("12\n", false), ("1\r", false)] {
        assert_eq!(map(digits, "${p}", json!(sent)), expected, "{sent:?}");
    }
    let number = "p: {type: integer, minimum: 1, maximum: 8}";
    for (sent, expected) in [
        ("3", true),
        ("03", false),
        ("+3", false),
        ("3.0", false),
        ("9", false),
        ("0", false),
        (" 3", false),
        ("3e0", false),
        ("0x3", false),
    ] {
        assert_eq!(map(number, "\"${p}\"", json!(sent)), expected, "{sent:?}");
        assert_eq!(map(number, "\"n=${p};\"", json!(format!("n={sent};"))), expected, "n={sent:?};");
    }
    // One name, one value.
    let manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: '${p}', b: 'u-${p}'}\n";
    let two = |a: &str, b: &str| {
        let object =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": a, "b": b}});
        admits("p: {type: string}", manifest, &object.to_string())
    };
    assert!(two("x", "u-x"));
    assert!(!two("x", "u-y"));
    assert!(!two("x", "u-"));
    assert!(!two("", "u-x"));
}

#[test]
fn numbers_are_no_texts_and_only_what_the_schema_says() {
    let manifest = JOB.replace("spec: {template", "spec: {parallelism: 1, template");
    let manifest = format!("{}\n", yaml_block(&manifest, "parallelism: 1", "parallelism: ${w}"));
    let with = |parallelism: Value| {
        let mut object = value(JOB);
        object["spec"]["parallelism"] = parallelism;
        admits("w: {type: integer, minimum: 1, maximum: 8}", &manifest, &object.to_string())
    };
    assert!(with(json!(3)));
    for sent in [
        json!("3"),
        json!(0),
        json!(9),
        json!(-3),
        json!(2.5),
        json!(true),
        json!([3]),
        json!({}),
        json!(-0.0),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1e300),
        json!(8.000_000_1),
    ] {
        assert!(!with(sent.clone()), "{sent}");
    }
}

/// The manifest in block style, since a typed hole is no YAML inside a flow map.
fn yaml_block(manifest: &str, literal: &str, hole: &str) -> String {
    let object = value(manifest);
    let mut text = String::new();
    block(&object, 0, &mut text);
    assert!(text.contains(literal), "{text}");
    text.replace(literal, hole)
}

fn block(value: &Value, indent: usize, text: &mut String) {
    use std::fmt::Write as _;
    for (key, value) in value.as_object().unwrap() {
        let pad = " ".repeat(indent);
        match value {
            Value::Object(_) => {
                writeln!(text, "{pad}{key}:").unwrap();
                block(value, indent + 2, text);
            }
            other => writeln!(text, "{pad}{key}: {other}").unwrap(),
        }
    }
}

#[test]
fn list_holes_swallow_nothing_that_their_items_refuse() {
    let manifest = r#"
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  containers:
  - name: m
    image: r/x:1
    env:
    - {name: FIXED, value: "1"}
    - ${more}
    args: [--safe, "${arg}"]
"#;
    let parameters = r#"
more: {type: array, maxItems: 2, items: {type: object, properties: {name: {type: string, pattern: "OPT_[0-9]+"}, value: {type: string}}}}
arg: {type: string, pattern: "[a-z]+"}
"#;
    let with = |env: Value, args: Value| {
        let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
            "spec": {"containers": [{"name": "m", "image": "r/x:1", "env": env, "args": args}]}});
        admits(parameters, manifest, &object.to_string())
    };
    let args = || json!(["--safe", "a"]);
    let fixed = json!({"name": "FIXED", "value": "1"});
    let option = |n: u32| json!({"name": format!("OPT_{n}"), "value": "x"});
    assert!(with(json!([fixed]), args()));
    assert!(with(json!([fixed, option(1), option(2)]), args()));
    for (name, env) in [
        ("too many", json!([fixed, option(1), option(2), option(3)])),
        ("one of them twice", json!([fixed, option(1), option(1)])),
        ("fixed twice", json!([fixed, fixed])),
        ("fixed as another", json!([{"name": "FIXED", "value": "2"}])),
        ("fixed twice, otherwise", json!([fixed, {"name": "FIXED", "value": "2"}])),
        ("none fixed", json!([option(1)])),
        ("by reference", json!([fixed, {"name": "OPT_1", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}])),
        (
            "both",
            json!([fixed, {"name": "OPT_1", "value": "x", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]),
        ),
        ("another name", json!([fixed, {"name": "LD_PRELOAD", "value": "x"}])),
        ("no name", json!([fixed, {"value": "x"}])),
        ("text", json!([fixed, "OPT_1"])),
        ("null", json!([fixed, null])),
        ("map", json!({"0": fixed})),
    ] {
        assert!(!with(env, args()), "{name}");
    }
    for sent in [
        json!(["--safe"]),
        json!(["--safe", "a", "b"]),
        json!(["a", "--safe"]),
        json!(["--safe", "A"]),
        json!(["--safe", "a", ""]),
        json!(["--safe", ["a"]]),
    ] {
        assert!(!with(json!([fixed]), sent.clone()), "{sent}");
    }
}

#[test]
fn one_of_and_optional_holes_admit_exactly_what_they_say() {
    let manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n  fixed: x\n  a: ${o}\n  b: p-${o}\n";
    let parameters = "o: {optional: true, oneOf: [{type: string, pattern: 'a+'}, {type: string, pattern: 'aa|b'}]}";
    let with = |data: Value| {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data});
        admits(parameters, manifest, &object.to_string())
    };
    assert!(with(json!({"fixed": "x", "a": "b", "b": "p-b"})));
    assert!(with(json!({"fixed": "x"})));
    for data in [
        json!({"fixed": "x", "a": "aa", "b": "p-aa"}),
        json!({"fixed": "x", "a": "b"}),
        json!({"fixed": "x", "b": "p-b"}),
        json!({"fixed": "x", "a": "", "b": "p-"}),
        json!({"fixed": "x", "a": null, "b": "p-b"}),
        json!({"fixed": "x", "a": "a", "b": "p-b"}),
        json!({}),
        Value::Null,
    ] {
        assert!(!with(data.clone()), "{data}");
    }
}

#[test]
fn threat_12_only_one_owner_and_only_a_verified_one() {
    let set = set("", JOB);
    let situation = situation(&set);
    let chain = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "eod", "uid": "d-1"});
    let with = |references: Value| {
        let mut object = value(JOB);
        object["metadata"]["ownerReferences"] = references;
        created(&situation, &object)
    };
    for references in [json!([]), Value::Null, json!([chain])] {
        let (stored, _) =
            with(references.clone()).unwrap_or_else(|refusal| panic!("{references}: {}", refusal.message));
        assert_eq!(stored["metadata"]["ownerReferences"].as_array().unwrap().len(), 1);
    }
    let changed = |key: &str, value: Value| {
        let mut reference = chain.clone();
        reference[key] = value;
        json!([reference])
    };
    for references in [
        json!("x"),
        json!([{}]),
        json!([null]),
        json!([chain, chain]),
        changed("uid", json!("d-2")),
        changed("uid", json!("")),
        changed("name", json!("other")),
        changed("kind", json!("StatefulSet")),
        changed("apiVersion", json!("apps/v1beta1")),
        changed("uid", Value::Null),
    ] {
        assert!(with(references.clone()).is_err(), "{references}");
    }
}

#[test]
fn threat_13_the_stamp_that_a_master_sends_is_not_the_one_that_is_stored() {
    let set = set("", JOB);
    let situation = situation(&set);
    let (honest, _) = created(&situation, &value(JOB)).unwrap();
    let mut forged = value(JOB);
    forged["metadata"]["labels"] =
        json!({"fledged.io/expires-at": "2036-01-01T000000Z", "fledged.io/master": "x", "fledged.io/template": "y"});
    forged["metadata"]["annotations"] = json!({"fledged.io/admission": "{}"});
    let (stored, _) = created(&situation, &forged).unwrap();
    assert_eq!(stored, honest);
    // In the second phase alone, anything else than retinue's own stamp is refused.
    for (pointer, sent) in [
        ("/metadata/labels/fledged.io~1expires-at", json!("2036-01-01T000000Z")),
        ("/metadata/labels/fledged.io~1expires-at", Value::Null),
        ("/metadata/labels/fledged.io~1master", json!("other")),
        ("/metadata/labels/fledged.io~1other", json!("")),
        ("/metadata/annotations/fledged.io~1admission", json!("{}")),
        ("/metadata/annotations/fledged.io~1admission", Value::Null),
        ("/metadata/ownerReferences", Value::Null),
        ("/metadata/ownerReferences/0/uid", json!("d-2")),
    ] {
        let mut object = honest.clone();
        change(&mut object, pointer, sent.clone());
        let found = verdict(&request(Operation::Create, Phase::Validating, Some(object), None), &situation);
        assert!(found.is_err(), "{pointer} = {sent}");
    }
}

#[test]
fn instructions_of_the_template_are_in_the_stamp_and_no_others() {
    let annotations = "annotations: {fledged.io/keep-finished: 10m, fledged.io/notify-before: '${notice}'}";
    let manifest = JOB.replace("{name: run}", &format!("{{name: run, {annotations}}}"));
    let set = set("notice: {type: string, format: duration, default: 5m}", &manifest);
    for (sent, expected) in [
        (json!({}), Some(("600s", "300s"))),
        (json!({"fledged.io/keep-finished": "10m", "fledged.io/notify-before": "2m"}), Some(("600s", "120s"))),
        (json!({"fledged.io/notify-before": "soon"}), None),
        (json!({"fledged.io/notify-before": "none"}), None),
        (json!({"fledged.io/keep-finished": "11m"}), None),
    ] {
        let mut object = value(JOB);
        object["metadata"]["annotations"] = sent.clone();
        let stored = created(&situation(&set), &object).ok().map(|(stored, _)| stored);
        let record = stored.map(|stored| {
            let text = stored["metadata"]["annotations"]["fledged.io/admission"].as_str().unwrap();
            let record: Value = serde_json::from_str(text).unwrap();
            (record["keepFinished"].clone(), record["notifyBefore"].clone())
        });
        assert_eq!(record, expected.map(|(keep, notify)| (json!(keep), json!(notify))), "{sent}");
    }
    // Who asks for none has none.
    let (stored, _) = created(&situation(&self::set("", JOB)), &value(JOB)).unwrap();
    assert!(!stored.to_string().contains("notifyBefore"));
}

#[test]
fn threat_51_none_is_the_admins_word_and_no_masters() {
    // `none` outlives its master, without owner: only a literal may say so.
    for parameter in [
        "d: {type: string, format: duration}",
        "d: {type: string, enum: [none, '60']}",
        "d: {type: string, enum: [none]}",
    ] {
        let manifest = JOB.replace("{name: run}", "{name: run, annotations: {fledged.io/duration: '${d}'}}");
        let set = annotated(&[], parameter, &manifest);
        let mut object = value(JOB);
        object["metadata"]["annotations"] = json!({"fledged.io/duration": "none"});
        if let Ok((stored, _)) = created(&situation(&set), &object) {
            assert!(!stored["metadata"]["ownerReferences"].is_null(), "{parameter}: it has no owner: {stored}");
        }
    }
    let manifest = JOB.replace("{name: run}", "{name: run, annotations: {fledged.io/duration: '${d}'}}");
    let set = set("d: {type: string, format: duration}", &manifest);
    for sent in ["99999999999999999999", "9999999999d", "-1", "0", "1 fortnight", "1e9", "none", "87600h"] {
        let mut object = value(JOB);
        object["metadata"]["annotations"] = json!({"fledged.io/duration": sent});
        if let Ok((stored, _)) = created(&situation(&set), &object) {
            assert_eq!(stored["metadata"]["labels"]["fledged.io/expires-at"], "2026-11-20T153000Z", "{sent}");
        }
    }
}

#[test]
fn threat_49_holes_bind_no_reserved_key_and_no_identity() {
    let manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\n  labels: ${labels}\n";
    let set = set("labels: {type: object, additionalProperties: {type: string}}", manifest);
    let situation = situation(&set);
    for key in [
        "fledged.io/templates",
        "fledged.io/keep-finished-x",
        "fledged.io/",
        "fledged.io",
        "janitor/ttl",
        "cleanup.kyverno.io/ttl",
        "essential-containers",
        "essential-container",
    ] {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "labels": {key: "true", "app": "x"}}});
        assert!(created(&situation, &object).is_err(), "{key}");
    }
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "labels": {"app": "x"}}});
    assert!(created(&situation, &object).is_ok());
}

#[test]
fn the_last_applied_annotation_hides_nothing() {
    let set = set("", JOB);
    let situation = situation(&set);
    let with = |applied: String| {
        let mut object = value(JOB);
        object["metadata"]["annotations"] = json!({"kubectl.kubernetes.io/last-applied-configuration": applied});
        created(&situation, &object)
    };
    let manifest = value(JOB);
    with(manifest.to_string()).unwrap_or_else(|refusal| panic!("{}", refusal.message));
    let changed = |pointer: &str, sent: Value| {
        let mut manifest = manifest.clone();
        change(&mut manifest, pointer, sent);
        manifest.to_string()
    };
    for applied in [
        String::new(),
        "{}".into(),
        "null".into(),
        "x".into(),
        format!("{manifest}{manifest}"),
        "[".repeat(100_000),
        changed("/spec/template/spec/hostNetwork", json!(true)),
        changed("/metadata/labels", json!({"x": ""})),
        changed("/metadata/annotations", json!({"fledged.io/owner": "evil"})),
        changed("/metadata/annotations", json!({"note": "smuggled"})),
        changed("/metadata/name", json!("other")),
        changed("/metadata/namespace", json!("other")),
    ] {
        assert!(with(applied.clone()).is_err(), "{}", applied.chars().take(200).collect::<String>());
    }
}

#[test]
fn threat_5_6_43_deletions_never_orphan() {
    let set = set("", JOB);
    let situation = situation(&set);
    let (stored, _) = created(&situation, &value(JOB)).unwrap();
    let with = |options: Value| {
        let mut request = request(Operation::Delete, Phase::Validating, None, Some(stored.clone()));
        request.options = Some(options);
        request.name = None;
        verdict(&request, &situation).is_ok()
    };
    assert!(with(json!({"propagationPolicy": "Background"})));
    assert!(with(json!({"propagationPolicy": "Foreground", "gracePeriodSeconds": 0})));
    assert!(with(json!({"orphanDependents": false})));
    for options in [
        json!({}),
        Value::Null,
        json!({"orphanDependents": null}),
        json!({"orphanDependents": true}),
        json!({"propagationPolicy": "Orphan"}),
        json!({"propagationPolicy": null}),
        json!({"propagationPolicy": null, "orphanDependents": true}),
        json!({"gracePeriodSeconds": 0}),
    ] {
        assert!(!with(options.clone()), "{options}");
    }
}

#[test]
fn threat_8_a_generated_name_is_one_of_its_prefix() {
    let manifest = JOB.replace("{name: run}", "{generateName: run-}");
    let set = set("", &manifest);
    let facts = facts();
    let as_shown = |name: Option<&str>, form: Form| {
        let mut object = shown(&value(&manifest), form, &facts);
        if let Some(name) = name {
            object["metadata"]["name"] = name.into();
        }
        matches!(recognised(first(&set), &object, form, &facts), Recognition::Match(_))
    };
    assert!(as_shown(None, Form::Mutating));
    assert!(as_shown(Some("run-bcdfg"), Form::Validating));
    for name in ["run-abcde", "run-bcdf", "run-bcdfgh", "other-bcdfg", "run-", "run-BCDFG", "bcdfg", ""] {
        assert!(!as_shown(Some(name), Form::Validating) || name.is_empty(), "{name}");
    }
    assert!(!as_shown(Some("run-bcdfg"), Form::Mutating), "a name of the caller's choice beside the prefix");
}

#[test]
fn threat_49_a_map_hole_names_no_account_and_no_finalizer() {
    let manifest = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: run}\nspec:\n  template:\n    metadata: ${meta}\n    spec: ${spec}\n";
    let parameters = r#"
meta:
  type: object
  properties: {finalizers: {type: array, optional: true, items: {type: string}}, labels: {type: object, optional: true, additionalProperties: {type: string}}}
spec:
  type: object
  properties:
    containers: {type: array, items: {type: object, additionalProperties: {type: string}}}
    schedulerName: {type: string, optional: true, enum: [mine]}
  additionalProperties: {type: string}
"#;
    let set = set(parameters, manifest);
    let situation = situation(&set);
    let base = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "run"},
        "spec": {"template": {"metadata": {"labels": {"a": "b"}}, "spec": {
            "restartPolicy": "Never", "containers": [{"name": "m", "image": "r/x:1"}]}}},
    });
    assert!(created(&situation, &base).is_ok(), "{}", created(&situation, &base).unwrap_err().message);
    for (pointer, sent) in [
        ("/spec/template/spec/serviceAccountName", json!("admin")),
        ("/spec/template/spec/serviceAccount", json!("admin")),
        ("/spec/template/metadata/finalizers", json!(["x.example/y"])),
        ("/spec/template/metadata/labels/fledged.io~1master", json!("x")),
    ] {
        let mut object = base.clone();
        change(&mut object, pointer, sent);
        assert!(created(&situation, &object).is_err(), "{pointer}");
    }
    // An enum is the author's own word.
    let listed = parameters.replace("    schedulerName", "    serviceAccountName: {type: string, enum: [plain, other]}\n    serviceAccount: {type: string, optional: true, enum: [plain, other]}\n    schedulerName");
    let set = crate::support::set(&listed, manifest);
    let situation = crate::support::situation(&set);
    let mut object = base.clone();
    change(&mut object, "/spec/template/spec/serviceAccountName", json!("plain"));
    assert!(created(&situation, &object).is_ok(), "{}", created(&situation, &object).unwrap_err().message);
    change(&mut object, "/spec/template/spec/serviceAccountName", json!("admin"));
    assert!(created(&situation, &object).is_err());
}

#[test]
fn threat_31_flags_of_a_pattern_move_no_anchor() {
    for (pattern, sent) in
        [("(?m)^a$", "b\na\nb"), ("(?m)a$", "a\nb"), ("(?s)a", "a\n"), ("a|b$", "ab"), ("a\\z|b", "xa")]
    {
        let set_ = policies::library::TemplateSet::load(&json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "c", "namespace": "trading", "labels": {"fledged.io/templates": "true"}},
            "data": {
                "parameters": format!("p: {{type: string, pattern: \"{pattern}\"}}"),
                "t.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: '${p}'}\n",
            },
        }));
        // A pattern that is refused when it is loaded is fine, too.
        let Some(template) = set_.templates.all().next() else { continue };
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": sent}});
        let found = recognised(template, &object, Form::Submitted, &facts());
        assert!(matches!(found, Recognition::Differ(_)), "{pattern} {sent:?}");
    }
}

#[test]
fn threat_42_a_sensitive_value_is_in_no_refusal() {
    let manifest = r#"
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  containers:
  - name: m
    image: r/x:1
    args: ["--token=${token}", "--user=${user}"]
    env:
    - {name: TOKEN, value: "${token}"}
"#;
    let set = set(
        "token: {type: string, sensitive: true, pattern: '[A-Z0-9-]+'}\nuser: {type: string, pattern: '[a-z]+'}\n",
        manifest,
    );
    let situation = situation(&set);
    let base = value(&manifest.replace("${token}", "S3CR3T-0").replace("${user}", "me"));
    let (stored, admission) = created(&situation, &base).unwrap();
    assert!(!stored["metadata"].to_string().contains("S3CR3T"), "{stored}");
    assert!(!format!("{admission:?}").contains("S3CR3T"));
    for (pointer, sent) in [
        ("/spec/containers/0/name", json!("other")),
        ("/spec/containers/0/image", json!("r/y:1")),
        ("/spec/containers/0/args/1", json!("--user=ME")),
        ("/spec/containers/0/args/-", json!("--more=S3CR3T-0")),
        ("/spec/containers/0/args", json!(["--user=me", "--token=S3CR3T-0"])),
        ("/spec/containers/0/args", json!(["--x", "--token=S3CR3T-0", "--user=me"])),
        ("/spec/containers/0/args", json!("--token=S3CR3T-0")),
        ("/spec/containers/0/env/0/name", json!("TOKEN2")),
        ("/spec/containers/0/env/0/value", json!("S3CR3T_bad")),
        ("/spec/containers/0/env", json!({"TOKEN": "S3CR3T-0"})),
        ("/spec/containers", json!({"m": "S3CR3T-0"})),
        ("/spec", json!(["S3CR3T-0"])),
        ("/metadata/labels", json!({"x": "S3CR3T-0"})),
        ("/metadata/name", json!("s3cr3t")),
        ("/spec/containers/-", json!({"name": "n", "args": ["--token=S3CR3T-0"]})),
        ("/spec/initContainers", json!([{"name": "n", "args": ["--token=S3CR3T-0"]}])),
    ] {
        let mut object = base.clone();
        change(&mut object, pointer, sent.clone());
        let refusal = match created(&situation, &object) {
            Ok(_) => panic!("{pointer} = {sent} was admitted"),
            Err(refusal) => refusal,
        };
        assert!(!format!("{refusal:?}").contains("S3CR3T"), "{pointer} = {sent}: {}", refusal.message);
    }
}

#[test]
fn a_token_volume_is_a_pods_and_no_pod_templates() {
    let set = set("", JOB);
    let facts = facts();
    for form in FORMS {
        let mut object = shown(&value(JOB), form, &facts);
        change(
            &mut object,
            "/spec/template/spec/volumes",
            json!([{"name": "kube-api-access-bcdfg", "projected": {"defaultMode": 420, "sources": [
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
            ]}}]),
        );
        assert!(matches!(recognised(first(&set), &object, form, &facts), Recognition::Differ(_)), "{form:?}");
    }
}

#[test]
fn both_sides_consent_to_one_config_map_and_not_to_its_namesake() {
    let here = set("", JOB);
    let base = situation(&here);
    let wishing = |manifests: Vec<(&str, &str)>, situation: &policies::verdict::Situation| {
        let mut situation = situation.clone();
        let mut caller = caller();
        caller.wish.manifests = manifests
            .into_iter()
            .map(|(namespace, name)| policies::object::NamespacedName::new(namespace, name))
            .collect();
        situation.caller = Ok(caller);
        created(&situation, &value(JOB)).map(|(stored, _)| stored)
    };
    assert!(wishing(vec![("trading", "templates")], &base).is_ok());
    for manifests in [
        vec![],
        vec![("other", "templates")],
        vec![("trading", "template")],
        vec![("trading", "")],
        vec![("", "templates")],
    ] {
        assert!(wishing(manifests.clone(), &base).is_err(), "{manifests:?}");
    }
    // A namesake that does not admit the account is no way in, and no obstacle to the right one.
    let mut elsewhere = (*here).clone();
    elsewhere.name.namespace = "other".into();
    let mut both = base.clone();
    let sets = [here.clone(), std::sync::Arc::new(elsewhere)];
    both.library = std::sync::Arc::new(sets.into_iter().collect());
    assert!(wishing(vec![("other", "templates")], &both).is_err());
    let stored = wishing(vec![("other", "templates"), ("trading", "templates")], &both).unwrap();
    let record: Value =
        serde_json::from_str(stored["metadata"]["annotations"]["fledged.io/admission"].as_str().unwrap()).unwrap();
    assert_eq!(record["template"]["configMap"]["namespace"], "trading");
    // Withdrawn by the deployer, it is withdrawn for what exists too.
    let (stored, _) = created(&base, &value(JOB)).unwrap();
    let mut withdrawn = base.clone();
    let mut caller = caller();
    caller.wish.manifests = vec![policies::object::NamespacedName::new("other", "templates")];
    withdrawn.caller = Ok(caller);
    let mut new = stored.clone();
    new["metadata"]["labels"]["fledged.io/expires-at"] = "2026-11-20T150000Z".into();
    assert!(updated(&base, &stored, &new).is_ok());
    assert!(updated(&withdrawn, &stored, &new).is_err());
}

#[test]
fn threat_44_a_template_is_for_the_namespace_that_it_names() {
    let elsewhere = |object: &Value, set: &std::sync::Arc<policies::library::TemplateSet>, namespace: &str| {
        let mut object = shown(object, Form::Mutating, &facts());
        object["metadata"]["namespace"] = namespace.into();
        verdict(&request(Operation::Create, Phase::Mutating, Some(object), None), &situation(set)).is_ok()
    };
    let plain = set("", JOB);
    assert!(elsewhere(&value(JOB), &plain, "trading"));
    assert!(!elsewhere(&value(JOB), &plain, "other"));
    let named = set("", &JOB.replace("{name: run}", "{name: run, namespace: other}"));
    assert!(elsewhere(&value(JOB), &named, "other"));
    assert!(!elsewhere(&value(JOB), &named, "trading"));
    assert!(!elsewhere(&value(JOB), &named, "third"));
    // The object and the request say the same.
    let mut object = shown(&value(JOB), Form::Mutating, &facts());
    object["metadata"]["namespace"] = "trading".into();
    let mut asked = request(Operation::Create, Phase::Mutating, Some(object), None);
    asked.namespace = Some("other".into());
    assert!(verdict(&asked, &situation(&plain)).is_err());
    assert!(verdict(&asked, &situation(&named)).is_err());
    asked.namespace = None;
    assert!(verdict(&asked, &situation(&plain)).is_err());
}

#[test]
fn threat_52_subresources_are_of_own_dependents_only() {
    let allowed = annotated(&[("fledged.io/allow", "pods/exec, deployments/scale")], "", JOB);
    let base = situation(&allowed);
    let (job, _) = created(&base, &value(JOB)).unwrap();
    let pod =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "run-x", "namespace": "trading", "uid": "u"}});
    let ask = |operation, resource: &str, subresource: &str, asked: &Value, lineage: Vec<Value>| {
        let mut situation = base.clone();
        situation.asked = policies::verdict::Asked::Found(Box::new(asked.clone()));
        situation.lineage = lineage;
        let mut request = request(operation, Phase::Validating, Some(pod.clone()), None);
        request.resource.resource = resource.into();
        request.subresource = Some(subresource.into());
        verdict(&request, &situation).is_ok()
    };
    assert!(ask(Operation::Connect, "pods", "exec", &pod, vec![job.clone()]));
    assert!(!ask(Operation::Connect, "pods", "exec", &pod, vec![]));
    assert!(!ask(Operation::Connect, "pods", "attach", &pod, vec![job.clone()]));
    assert!(!ask(Operation::Connect, "services", "exec", &pod, vec![job.clone()]));
    for never in ["status", "binding", "ephemeralcontainers", "token", "resize"] {
        assert!(!ask(Operation::Update, "pods", never, &pod, vec![job.clone()]), "{never}");
    }
    // A stamp that names another object is no stamp, and one of another master no right.
    let mut copied = job.clone();
    copied["metadata"]["name"] = "other".into();
    assert!(!ask(Operation::Connect, "pods", "exec", &pod, vec![copied]));
    let mut copied = pod.clone();
    copied["metadata"]["labels"] = job["metadata"]["labels"].clone();
    copied["metadata"]["annotations"] = job["metadata"]["annotations"].clone();
    assert!(!ask(Operation::Connect, "pods", "exec", &copied, vec![]));
    let text = job["metadata"]["annotations"]["fledged.io/admission"].as_str().unwrap();
    let mut foreign = job.clone();
    foreign["metadata"]["annotations"]["fledged.io/admission"] =
        text.replace("\"name\":\"eod\"", "\"name\":\"another\"").into();
    assert!(!ask(Operation::Connect, "pods", "exec", &pod, vec![foreign]));
}
