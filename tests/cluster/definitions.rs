//! CustomResourceDefinitions: of hundreds those are kept whose kinds templates name, and each is known before a create is
//! judged.

use policies::object::Gvk;
use policies::tables::{Facts, complete};
use retinue::cluster::Cluster;
use serde_json::{Value, json};

use super::{plane, started, until};

/// A definition whose `spec.size` has this default, with so much text beside it.
fn definition(group: &str, kind: &str, plural: &str, versions: &[&str], default: u32, text: usize) -> Value {
    let spec = json!({"type": "object", "default": {}, "description": "x".repeat(text), "properties": {
        "size": {"type": "integer", "default": default}}});
    let schema = json!({"type": "object", "properties": {"spec": spec}});
    let version = |(number, name): (usize, &&str)| json!({"name": name, "served": true, "storage": number == 0, "schema": {"openAPIV3Schema": schema}});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced", "names": {"kind": kind, "plural": plural},
            "versions": versions.iter().enumerate().map(version).collect::<Vec<_>>(),
        },
    })
}

/// Creates a definition, and waits until its kind is served.
fn define(definition: &Value) {
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let (code, body) = plane().request("POST", path, Some(definition)).unwrap();
    assert_eq!(code, 201, "{body}");
}

async fn established(definition: &Value) {
    let name = definition["metadata"]["name"].as_str().unwrap();
    let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}");
    until("it is established", || {
        let found = plane().get(&path).map_err(|error| error.to_string())?;
        let conditions = found["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let holds = |condition: &Value| condition["type"] == "Established" && condition["status"] == "True";
        if conditions.iter().any(holds) { Ok(()) } else { Err(found["status"].to_string()) }
    })
    .await;
}

/// Has templates of these kinds, and of no others.
fn templates(namespace: &str, kinds: &[Gvk]) {
    let data: serde_json::Map<String, Value> = kinds
        .iter()
        .enumerate()
        .map(|(number, kind)| {
            let manifest = json!({"apiVersion": kind.api_version(), "kind": kind.kind, "metadata": {"name": format!("m{number}")}});
            (format!("{number}.yaml"), manifest.to_string().into())
        })
        .collect();
    let config_map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": data,
        "metadata": {"name": "t", "namespace": namespace, "labels": {"fledged.io/templates": "true"}},
    });
    plane().apply(&config_map.to_string()).unwrap();
}

/// The definitions of a group that are kept.
fn kept(facts: &Facts, group: &str) -> Vec<String> {
    facts.defined().filter(|name| name.ends_with(group)).map(str::to_owned).collect()
}

/// What an object of a kind is given for its size.
fn size(facts: &Facts, kind: &Gvk) -> Value {
    let mut object = json!({"metadata": {"name": "a"}});
    complete(kind, &mut object, facts);
    object["spec"]["size"].clone()
}

/// The facts by which the next create of a kind is judged, once the templates name it.
async fn facts_of(cluster: &Cluster, kind: &Gvk) -> std::sync::Arc<Facts> {
    until("the template is known", || {
        let known = cluster.templates().snapshot().unwrap().kinds.contains(kind);
        if known { Ok(()) } else { Err(format!("{kind} is not named")) }
    })
    .await;
    cluster.facts().of(kind).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_40_of_many_large_definitions_those_are_kept_whose_kinds_templates_name() {
    let namespace = plane().namespace().unwrap();
    let group = format!("{namespace}.example.com");
    for number in 0..24 {
        let (kind, plural) = (format!("Kind{number}"), format!("kind{number}s"));
        define(&definition(&group, &kind, &plural, &["v1"], number, 100_000));
    }
    let kinds = [0, 7, 23].map(|number| Gvk::new(&group, "v1", &format!("Kind{number}")));
    let last = definition(&group, "Kind23", "kind23s", &["v1"], 23, 0);
    established(&last).await;
    let (cluster, _guard) = started().await;
    assert!(kept(&cluster.facts().snapshot().unwrap(), &group).is_empty());

    templates(&namespace, &kinds);
    for (kind, default) in kinds.iter().zip([0, 7, 23]) {
        assert_eq!(size(&*facts_of(&cluster, kind).await, kind), default, "{kind}");
    }
    let names = ["kind0s", "kind23s", "kind7s"].map(|plural| format!("{plural}.{group}"));
    assert_eq!(kept(&cluster.facts().snapshot().unwrap(), &group), names);

    templates(&namespace, &kinds[..1]);
    until("the others are forgotten", || {
        let kept = kept(&cluster.facts().snapshot().unwrap(), &group);
        if kept == names[..1] { Ok(()) } else { Err(format!("{kept:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_that_is_made_anew_is_judged_by_its_new_schema() {
    let namespace = plane().namespace().unwrap();
    let group = format!("{namespace}.example.com");
    let (v1, v2) = (Gvk::new(&group, "v1", "Widget"), Gvk::new(&group, "v2", "Widget"));
    let (cluster, _guard) = started().await;
    // The kind is named before it is defined.
    templates(&namespace, std::slice::from_ref(&v1));
    assert_eq!(size(&*facts_of(&cluster, &v1).await, &v1), Value::Null);
    for (plural, default) in [("widgets", 3), ("widgets", 4), ("widgetries", 5)] {
        let defined = definition(&group, "Widget", plural, &["v1", "v2"], default, 0);
        define(&defined);
        established(&defined).await;
        // Established is said before it is served; whoever creates one has seen it served.
        let objects = format!("/apis/{group}/v1/namespaces/{namespace}/{plural}");
        until("it is served", || plane().get(&objects).map_err(|error| error.to_string())).await;
        assert_eq!(size(&cluster.facts().of(&v1).await.unwrap(), &v1), default, "{plural}");
        templates(&namespace, &[v1.clone(), v2.clone()]);
        assert_eq!(size(&*facts_of(&cluster, &v2).await, &v2), default, "a version that is named later");
        templates(&namespace, std::slice::from_ref(&v1));
        plane().kubectl(&["delete", "crd", &format!("{plural}.{group}")]).unwrap().ok().unwrap();
        until("it is gone", || match kept(&cluster.facts().snapshot().unwrap(), &group) {
            kept if kept.is_empty() => Ok(()),
            kept => Err(format!("{kept:?}")),
        })
        .await;
    }
}
