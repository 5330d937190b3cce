//! Annotations: what a deployer writes on a pod, what a stamp says, what an admin writes on a ConfigMap.

use std::collections::BTreeMap;

use policies::caller::Wish;
use policies::keys;
use policies::library::TemplateSet;
use policies::object::Gvk;
use policies::stamp::{self, Marks};
use serde_json::{Value, json};

/// On a pod.
const ON_PODS: [&str; 4] = [keys::ALL_IN_ONE, keys::MANIFESTS, keys::HELM_CHART, keys::DURATION];
/// On a template ConfigMap.
const ON_CONFIG_MAPS: [&str; 5] =
    [keys::MASTERS, keys::DURATION, keys::MAX_DEPENDENTS, keys::ALLOW, keys::ALLOW_MASTERS];
/// What no ConfigMap allows.
const NEVER: [&str; 4] = ["status", "binding", "ephemeralcontainers", "token"];

/// Each line of the text is the value of one annotation; the text as a whole is a stamp, and the one of a pod too.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    on_a_pod(text);
    on_a_config_map(text);
    as_a_stamp(text);
}

fn on_a_pod(text: &str) {
    let whole = BTreeMap::from([(keys::ALL_IN_ONE.to_owned(), text.to_owned())]);
    let lines = ON_PODS.iter().skip(1).zip(text.lines()).filter(|(_, line)| !line.is_empty());
    let lines: BTreeMap<_, _> = lines.map(|(key, line)| ((*key).to_owned(), line.to_owned())).collect();
    for annotations in [whole, lines] {
        let Ok(wish) = Wish::from_annotations(&annotations, "trading") else { continue };
        for named in &wish.manifests {
            for part in [&named.namespace, &named.name] {
                let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
                assert!(!part.is_empty() && part.chars().all(plain), "{named} is the name of nothing");
            }
        }
    }
}

fn on_a_config_map(text: &str) {
    let annotations: BTreeMap<_, _> = ON_CONFIG_MAPS.into_iter().zip(text.lines()).collect();
    let set = TemplateSet::load(&json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": "c", "namespace": "trading", "uid": "u", "resourceVersion": "1",
            "labels": {keys::TEMPLATES: "true"}, "annotations": annotations,
        },
        "data": {"t.yaml": "{apiVersion: v1, kind: ConfigMap, metadata: {name: x}}"},
    }));
    assert_eq!(set.usable(), set.errors().next().is_none(), "{text:?}: {:?}", set.problems);
    assert!(set.allow.iter().all(|(_, subresource)| !NEVER.contains(&subresource.as_str())), "{text:?}");
    assert!(!set.allow_masters || annotations.get(keys::ALLOW_MASTERS) == Some(&"true"), "{text:?}");
    assert_ne!(set.max_dependents, Some(0), "{text:?}");
}

/// A stamp names the object it is on, by all three names, and is what it was read from.
fn as_a_stamp(text: &str) {
    let Ok(said) = serde_json::from_str::<Value>(text) else { return };
    let at = |pointer: &str| said.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let kind = Gvk::from_api_version(at("/object/apiVersion"), at("/object/kind"));
    let (namespace, name) = (at("/object/namespace"), at("/object/name"));
    let marks = Marks { admission: Some(text), expires_at: None, master: true, template: true };
    let Ok(Some(read)) = stamp::read(marks, &kind, namespace, name) else { return };
    let written = serde_json::to_string(&read.record).expect("a record is plain data");
    let marks = Marks { admission: Some(&written), ..marks };
    assert_eq!(stamp::read(marks, &kind, namespace, name).ok().flatten(), Some(read), "{text}");
    for (kind, namespace, name) in [
        (Gvk { kind: format!("{}x", kind.kind), ..kind.clone() }, namespace.to_owned(), name.to_owned()),
        (kind.clone(), format!("{namespace}x"), name.to_owned()),
        (kind.clone(), namespace.to_owned(), format!("{name}-")),
    ] {
        assert!(stamp::read(marks, &kind, &namespace, &name).is_err(), "{text} is on {kind} {namespace}/{name} too");
    }
}
