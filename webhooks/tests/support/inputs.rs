//! Inputs that took minutes once, for tests and benchmarks.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// The `data` of a template ConfigMap of 16 KB: eight texts of 150 holes, each of which may be empty, and no two of which can
/// be mistaken for each other.
pub(crate) fn ambiguous() -> Value {
    let (mut parameters, mut holes) = (String::new(), String::new());
    for n in 0..150 {
        let letter = |n: usize| char::from(b"abcdefghijklmnop"[n % 16]);
        let (first, second) = (letter(n / 16), letter(n));
        let _ = writeln!(parameters, "p{n}: {{type: string, pattern: \"({first}{second}[0-9]{{0,150}})?\"}}");
        let _ = write!(holes, "${{p{n}}}");
    }
    let mut manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata:\n".to_owned();
    for n in 0..8 {
        let _ = writeln!(manifest, "  a{n}: \"{n}{holes}\"");
    }
    json!({"parameters": parameters, "cm.yaml": manifest})
}

/// The `data` of the template ConfigMap that [`pod_of_variables`] is judged by: a pod with a list of variables, and eight
/// optional labels.
pub(crate) fn template_of_variables() -> Value {
    let mut parameters =
        "vars: {type: array, items: {type: object, properties: {name: {type: string}, value: {type: string}}}}
rp: {type: string, enum: [Never, OnFailure], optional: true}
"
        .to_owned();
    let mut labels = String::new();
    for n in 0..8 {
        let _ = writeln!(parameters, "o{n}: {{type: string, pattern: '[a-z]+', optional: true}}");
        let _ = writeln!(labels, "    l{n}: ${{o{n}}}");
    }
    let manifest = format!(
        "apiVersion: v1
kind: Pod
metadata:
  name: p
  labels:
    a: b
{labels}spec:
  restartPolicy: ${{rp}}
  containers:
  - name: main
    image: registry.example/a:1
    env:
    - ${{vars}}
"
    );
    json!({"parameters": parameters, "pod.yaml": manifest})
}

/// A pod of 240 KB with 9,001 variables, the last of which comes twice.
pub(crate) fn pod_of_variables() -> Value {
    let mut env: Vec<_> = (0..9_000).map(|n| json!({"name": format!("V{n}"), "value": "1"})).collect();
    env.extend(env.last().cloned());
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "trading", "labels": {"a": "b"}},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "registry.example/a:1", "env": env}]},
    })
}
