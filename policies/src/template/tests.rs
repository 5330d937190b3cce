#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]
use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::text::{Part, TextPattern};

const PARAMETERS: &str = r#"
account: {type: string, enum: [batch, report]}
args: {type: array, items: {type: string, pattern: "-.*"}}
day: {type: string, pattern: "[0-9]{8}"}
env: {type: array, items: {type: object, properties: {name: {type: string}, value: {type: string}}}}
free: {type: string}
labels: {type: object, additionalProperties: {type: string}}
lifetime: {type: string, format: duration}
more: {type: array, items: {type: string}}
other: {type: string}
perhaps: {type: integer, optional: true}
text-or-list: {oneOf: [{type: string}, {type: array, items: {type: string}}]}
workers: {type: integer, minimum: 1, maximum: 8}
"#;

fn parameters() -> Arc<Parameters> {
    Arc::new(Parameters::parse(PARAMETERS).unwrap())
}

fn one(text: &str) -> Template {
    let mut compiled = compile("t.yaml", text, &parameters());
    assert_eq!(compiled.errors, []);
    assert_eq!(compiled.templates.len(), 1);
    compiled.templates.remove(0)
}

/// A pod whose spec is as given.
fn pod(spec: &str) -> String {
    format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec:\n{spec}")
}

#[test]
fn plain_holes_are_typed_and_quoted_ones_text() {
    let template =
        one(&pod("  a: ${workers}\n  b: \"${workers}\"\n  c: x-${day}\n  d: ${HOME}\n  e: $${day}\n  f: ${pod.ip}\n"));
    let spec = template.pattern.get("spec").unwrap();
    let workers = parameters().position("workers").unwrap();
    assert_eq!(spec.get("a"), Some(&Pattern::Hole(Hole::Declared(workers))));
    assert_eq!(spec.get("b"), Some(&Pattern::Text(TextPattern::new(vec![Part::Hole(Hole::Declared(workers))]))));
    assert!(matches!(spec.get("c"), Some(Pattern::Text(text)) if text.parts.len() == 2));
    assert_eq!(spec.get("d"), Some(&Pattern::Literal(json!("${HOME}"))));
    assert_eq!(spec.get("e"), Some(&Pattern::Literal(json!("${day}"))));
    assert!(
        matches!(spec.get("f"), Some(Pattern::Text(text)) if *text.parts == [Part::Hole(Hole::Given(Given::PodIp))])
    );
}

#[test]
fn only_known_names_are_holes_and_the_escape_is_for_those() {
    let parameters = parameters();
    for (text, expected) in [
        ("${HOME}", "${HOME}"),
        ("$${HOME}", "$${HOME}"),
        ("$${day}", "${day}"),
        ("$$${day}", "$${day}"),
        ("${", "${"),
        ("${day", "${day"),
        ("${ day }", "${ day }"),
        ("$(day)", "$(day)"),
        ("", ""),
        ("${${HOME}", "${${HOME}"),
        ("é$${day}é", "é${day}é"),
    ] {
        assert_eq!(holes::split(text, &parameters), [Part::Literal(expected.into())], "{text}");
    }
    let mixed = holes::split("a${day}${x}-$${day}-${pod.name}", &parameters);
    assert_eq!(mixed.len(), 4, "{mixed:?}");
    assert_eq!(mixed[2], Part::Literal("${x}-${day}-".into()));
    assert_eq!(holes::split("${${day}", &parameters)[0], Part::Literal("${".into()));
}

#[test]
fn a_list_hole_as_an_element_takes_many() {
    let template = one(&pod("  args:\n  - first\n  - ${args}\n  - last\n"));
    let Some(Pattern::List(elements)) = template.pattern.get("spec").unwrap().get("args") else { panic!() };
    assert_eq!(elements[1], Element::Many(parameters().position("args").unwrap()));
    let whole = one(&pod("  args: ${args}\n"));
    assert!(matches!(whole.pattern.get("spec").unwrap().get("args"), Some(Pattern::Hole(_))));
}

#[test]
fn instructions_and_the_namespace_are_taken_out() {
    let template = one(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  namespace: other\n  annotations:\n    fledged.io/owner: pod\n    fledged.io/duration: ${lifetime}\n    fledged.io/keep-finished: 10m\n    fledged.io/notify-before: 5m\n    mine: x\nspec: {}\n",
    );
    assert_eq!(template.owner, Owner::Pod);
    assert_eq!(template.placement, Placement::Named(Pattern::Literal(json!("other"))));
    assert!(matches!(template.duration, Some(Pattern::Hole(_))));
    assert_eq!(template.keep_finished, Some(Pattern::Literal(json!("10m"))));
    assert_eq!(template.notify_before, Some(Pattern::Literal(json!("5m"))));
    assert_eq!(
        template.pattern.literal().unwrap(),
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "annotations": {"mine": "x"}}, "spec": {}})
    );
}

#[test]
fn a_manifest_as_kubectl_prints_it_is_read_without_what_the_server_owns() {
    let template = one(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\n  uid: u\n  resourceVersion: '1'\n  creationTimestamp: 2026-11-20T00:00:00Z\n  managedFields: []\n  generation: 2\n  annotations:\n    kubectl.kubernetes.io/last-applied-configuration: '{}'\ndata: {a: b}\n",
    );
    assert_eq!(
        template.pattern.literal().unwrap(),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "b"}})
    );
    let pod = one("apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nstatus: {phase: Running}\n");
    assert!(pod.pattern.get("status").is_none());
    let custom = one("apiVersion: example.com/v1\nkind: W\nmetadata: {name: w}\nstatus: {a: 1}\n");
    assert!(custom.pattern.get("status").is_some(), "a custom resource may have a status of its own");
}

#[test]
fn names_and_namespaces_that_say_nothing_are_none() {
    for metadata in [
        "{name: p, namespace: null}",
        "{name: p, namespace: ''}",
        "{name: p, generateName: ''}",
        "{name: p, generateName:}",
    ] {
        let template = one(&format!("apiVersion: v1\nkind: Pod\nmetadata: {metadata}\n"));
        assert_eq!(template.placement, Placement::MasterNamespace, "{metadata}");
        let kept = template.pattern.get("metadata").and_then(Pattern::literal);
        assert_eq!(kept, Some(json!({"name": "p"})), "{metadata}");
    }
    let generated = one("apiVersion: v1\nkind: Pod\nmetadata: {name: '', generateName: p-}\n");
    assert_eq!(generated.pattern.get("metadata").and_then(Pattern::literal), Some(json!({"generateName": "p-"})));
}

#[test]
fn several_manifests_of_a_key_each_stand_alone() {
    let compiled = compile(
        "all.yaml",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Pod\nmetadata: {}\n---\nkind: List\napiVersion: v1\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: c}\n",
        &parameters(),
    );
    let keys: Vec<_> = compiled.templates.iter().map(|template| (template.key.as_str(), template.line)).collect();
    assert_eq!(keys, [("all.yaml", 1), ("all.yaml#3", 12)]);
    assert_eq!(compiled.errors.len(), 1);
    assert_eq!(compiled.errors[0].line, 7);
}

#[test]
fn what_cannot_be_a_template_is_told_with_its_line() {
    let head = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n";
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n";
    for (text, line, message) in [
        (String::new(), 1, "no manifest"),
        ("just text".into(), 1, "expected a manifest"),
        ("kind: Pod\n".into(), 1, "apiVersion is missing"),
        ("apiVersion: v1\nkind: ${free}\n".into(), 2, "a hole in kind"),
        // The API server takes /v1 for v1, and no object that it sends says so.
        ("kind: Pod\napiVersion: /v1\n".into(), 2, "got \"/v1\""),
        ("apiVersion: apps/\nkind: Pod\n".into(), 1, "got \"apps/\""),
        ("apiVersion: apps/v1/v2\nkind: Pod\n".into(), 1, "such as batch/v1"),
        ("apiVersion: Apps/v1\nkind: Pod\n".into(), 1, "got \"Apps/v1\""),
        ("apiVersion: v1.2\nkind: Pod\n".into(), 1, "got \"v1.2\""),
        ("apiVersion: v1\nkind: Pod\n".into(), 1, "metadata is missing"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {labels: {a: b}}\n".into(), 3, "metadata.name is missing"),
        ("apiVersion: v1\nkind: Pod\nmetadata:\n  name: x-${perhaps}\n".into(), 4, "cannot be optional"),
        ("apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  name: q\n".into(), 5, "twice"),
        (format!("{head}spec: {{a: ${{workers}}}}\n"), 5, "own line"),
        (format!("{head}spec:\n  ${{free}}: 1\n"), 6, "a hole in a key"),
        (format!("{head}spec:\n  a: \"${{args}}\"\n"), 6, "without quotes"),
        (format!("{head}spec:\n  a: x${{labels}}\n"), 6, "is a map"),
        (format!("{head}spec:\n  a: ${{free}}-${{other}}\n"), 6, "cannot be told apart"),
        (format!("{head}spec:\n  a:\n  - ${{args}}\n  - ${{more}}\n"), 8, "side by side"),
        (format!("{head}spec:\n  a:\n  - ${{args}}\n  - x\n  - ${{more}}\n"), 9, "side by side"),
        (format!("{head}spec:\n  a:\n  - ${{perhaps}}\n  - ${{more}}\n"), 7, "list hole"),
        (format!("{head}spec:\n  a:\n  - ${{text-or-list}}\n"), 7, "oneOf"),
        (format!("{head}  annotations:\n    fledged.io/duration: 1 fortnight\n"), 6, "is no duration"),
        (format!("{head}  annotations:\n    fledged.io/duration: ${{free}}\n"), 6, "format: duration"),
        (format!("{head}  annotations:\n    fledged.io/keep-finished: none\n"), 6, "none is for"),
        (format!("{head}  annotations:\n    fledged.io/notify-before: none\n"), 6, "none is for"),
        (format!("{head}  annotations:\n    fledged.io/notify-before: ${{free}}\n"), 6, "format: duration"),
        (format!("{head}  annotations:\n    fledged.io/owner: me\n"), 6, "workload, pod or none"),
        (format!("{head}  annotations:\n    fledged.io/manifests: ${{free}}\n"), 6, "only the author"),
        (format!("{head}  annotations:\n    janitor/ttl: ${{free}}\n"), 6, "only the author"),
        (format!("{head}  namespace: ${{free}}\n"), 5, "enum of the namespaces"),
        (format!("{head}  finalizers:\n  - ${{free}}\n"), 5, "finalizer"),
        (format!("{head}  ownerReferences: []\n"), 5, "fledged.io/owner"),
        (format!("{head}spec:\n  serviceAccountName: ${{free}}\n"), 6, "enum"),
        (format!("{head}spec:\n  serviceAccountName: ${{pod.name}}\n"), 6, "ServiceAccount"),
        (
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec:\n  template:\n    metadata:\n      labels:\n        fledged.io/expires-at: x\n"
                .into(),
            8,
            "only retinue writes",
        ),
        (format!("{secret}type: ${{free}}\n"), 4, "a Secret's type"),
        (format!("{secret}stringData:\n  a: 5\n"), 5, "quote it"),
        (format!("{secret}stringData: ${{labels}}\n"), 4, "key by key"),
        ("apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: r}\n".into(), 2, "never admitted"),
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, labels: {fledged.io/templates: 'true'}}\n".into(),
            2,
            "template ConfigMap",
        ),
    ] {
        let compiled = compile("t.yaml", &text, &parameters());
        assert!(compiled.templates.is_empty(), "{text}");
        let error = compiled.errors.first().unwrap_or_else(|| panic!("no error for {text}"));
        assert!(error.message.contains(message), "{text}\ngave {error}");
        assert_eq!(error.line, line, "{text}\ngave {error}");
    }
}

#[test]
fn what_an_author_may_say_is_read() {
    let head = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n";
    for text in [
        format!("{head}spec:\n  serviceAccountName: ${{account}}\n"),
        format!("{head}spec:\n  a:\n  - ${{args}}\n  - '+'\n  - tail\n"),
        format!("{head}  namespace: ${{account}}\n"),
        format!("{head}  namespace: ${{master.namespace}}\n"),
        format!("{head}  finalizers: [kubernetes.io/pvc-protection]\n"),
        format!("{head}  annotations:\n    fledged.io/duration: none\n"),
        format!("{head}  annotations:\n    fledged.io/duration: 3600\n"),
        format!("{head}  annotations:\n    fledged.io/duration: ${{workers}}\n"),
        format!("{head}  annotations:\n    fledged.io/manifests: post-trade\n"),
        "apiVersion: v1\nkind: Secret\nmetadata: {generateName: s-}\nstringData:\n  url: tcp://${free}\n  n: \"${workers}\"\n"
            .into(),
        format!("{head}spec:\n  a: ${{day}}-${{free}}\n  b: --index=${{perhaps}}\n"),
    ] {
        let compiled = compile("t.yaml", &text, &parameters());
        assert_eq!(compiled.errors, [], "{text}");
    }
}

#[test]
fn elements_of_keyed_lists_that_could_be_the_same_are_refused_and_others_are_not() {
    let parameters = Arc::new(
        Parameters::parse(
            "any: {type: string}\nport1: {type: integer}\nport2: {type: integer}\na: {type: string, enum: [x, w]}\nb: {type: string, enum: [z]}\nc: {type: string, enum: [w]}\nenv: {type: array, items: {type: object, properties: {name: {type: string, pattern: 'JAVA_.*'}, value: {type: string}}}}\n",
        )
        .unwrap(),
    );
    for (list, refused) in [
        ("ports:\n    - containerPort: ${port1}\n    - containerPort: ${port2}\n", true),
        ("ports:\n    - {name: rpc, containerPort: 1}\n    - containerPort: ${port2}\n", false),
        (
            "ports:\n    - name: rpc\n      containerPort: ${port1}\n    - name: http\n      containerPort: ${port2}\n",
            false,
        ),
        ("ports:\n    - name: rpc\n      containerPort: ${port1}\n    - containerPort: ${port2}\n", false),
        ("env:\n    - name: ${a}\n      value: v\n    - name: ${b}\n      value: v\n", false),
        ("env:\n    - name: ${a}\n      value: v\n    - name: ${c}\n      value: v\n", true),
        ("env:\n    - name: A_${any}\n      value: v\n    - name: B_${any}\n      value: v\n", false),
        ("env:\n    - name: A_${any}\n      value: v\n    - name: A_B${any}\n      value: v\n", true),
        ("env:\n    - name: A\n      value: ${any}\n    - ${env}\n", false),
        ("env:\n    - name: JAVA_HOME\n      value: ${any}\n    - ${env}\n", false),
        ("env:\n    - name: ${any}\n      value: x\n    - ${env}\n", true),
        ("env:\n    - name: ${a}\n      value: x\n    - ${env}\n", false),
        ("args:\n    - ${any}\n    - ${a}\n", false),
    ] {
        let text = pod(&format!("  containers:\n  - name: main\n    {list}"));
        let compiled = compile("t.yaml", &text, &parameters);
        assert_eq!(compiled.errors.len(), usize::from(refused), "{list}: {:?}", compiled.errors);
        assert!(compiled.errors.iter().all(|error| error.message.contains("nothing says")), "{:?}", compiled.errors);
    }
}

/// A Job whose sidecars are to be native, with this metadata of its pods and these containers.
fn native(pods: &str, spec: &str) -> String {
    format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: j\n  annotations:\n    fledged.io/native-sidecars: \"true\"\nspec:\n  template:\n    metadata: {pods}\n    spec:\n{spec}"
    )
}

#[test]
fn sidecars_are_moved_behind_other_init_containers_in_the_order_written() {
    let template = one(&native(
        "{labels: {essential-container: main}}",
        "      containers:\n      - {name: log, image: a}\n      - {name: main, image: \"${free}\"}\n      - name: proxy\n        image: ${other}\n      initContainers:\n      - {name: first, image: c}\n",
    ));
    assert_eq!(template.sidecars.as_ref().unwrap().names().collect::<Vec<_>>(), ["log", "proxy"]);
    let spec = template.pattern.get("spec").and_then(|spec| spec.get("template")?.get("spec")).unwrap();
    let list = |name: &str| {
        let Some(Pattern::List(list)) = spec.get(name) else { panic!("{spec:?}") };
        let texts = |element: &Element| match element {
            Element::One(container) => ["name", "restartPolicy"]
                .map(|key| container.get(key).and_then(Pattern::as_str).unwrap_or("-").to_owned())
                .join(" "),
            Element::Many(_) => "?".into(),
        };
        list.iter().map(texts).collect::<Vec<_>>()
    };
    assert_eq!(list("initContainers"), ["first -", "log Always", "proxy Always"]);
    assert_eq!(list("containers"), ["main -"]);
    assert!(
        template.pattern.get("metadata").unwrap().get("annotations").is_none(),
        "an instruction is not the object's"
    );
    // Said to be unwanted, and wanted where there is none to move.
    let text = native("{labels: {essential-container: main}}", "      containers: [{name: main}, {name: log}]\n");
    assert_eq!(one(&text.replace("\"true\"", "\"false\"")).sidecars, None);
    let alone = one(&native("{labels: {essential-container: main}}", "      containers: [{name: main}]\n"));
    assert_eq!(alone.sidecars.unwrap().names().count(), 0);
}

#[test]
fn sidecars_that_cannot_be_moved_are_told_with_their_line() {
    let labels = "{labels: {essential-containers: main}}";
    let two = "      containers:\n      - name: main\n      - name: log\n";
    for (text, line, message) in [
        (native("{labels: {a: b}}", two), 10, "says which container is the work"),
        (native("{labels: {essential-containers: main.log}}", two), 10, "names one container"),
        (native("{labels: {essential-containers: main, essential-container: log}}", two), 10, "names one container"),
        (native("{labels: {essential-containers: mian}}", two), 12, "not the name of one of its containers"),
        (native(labels, "      containers: ${env}\n"), 10, "is written out"),
        (native(labels, &format!("{two}      - ${{env}}\n")), 14, "each container is written out"),
        (native(labels, &format!("{two}      - name: ${{account}}\n")), 14, "name is literal"),
        (native(labels, &format!("{two}        restartPolicy: Never\n")), 13, "leave it out"),
        (native(labels, &format!("{two}      initContainers: ${{env}}\n")), 14, "as one element of it"),
        (native(labels, two).replace("\"true\"", "maybe"), 6, "\"true\" or \"false\""),
        (native(labels, two).replace("\"true\"", "${free}"), 6, "\"true\" or \"false\""),
        (native(labels, two).replace("kind: Job", "kind: Pod").replace("batch/v1", "v1"), 6, "for Jobs and CronJobs"),
    ] {
        let compiled = compile("t.yaml", &text, &parameters());
        assert!(compiled.templates.is_empty(), "{text}");
        let error = compiled.errors.first().unwrap_or_else(|| panic!("no error for {text}"));
        assert!(error.message.contains(message), "{text}\ngave {error}");
        assert_eq!(error.line, line, "{text}\ngave {error}");
    }
}
