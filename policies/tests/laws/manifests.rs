//! Manifests as people write them, at random.

use serde_json::{Map, Value, json};

use super::dice::Dice;

/// A manifest of one of many kinds.
pub(crate) fn manifest(dice: &mut Dice<'_>) -> Value {
    match dice.roll(9) {
        0 => config_map(dice),
        1 => object(dice, "v1", "Pod", |dice| json!({"spec": pod_spec(dice)})),
        2 => object(dice, "batch/v1", "Job", job),
        3 => object(dice, "apps/v1", "Deployment", deployment),
        4 => object(dice, "v1", "Service", service),
        5 => object(dice, "v1", "PersistentVolumeClaim", claim),
        6 => secret(dice),
        7 => object(dice, "example.com/v1", "Widget", widget),
        _ => object(dice, "networking.k8s.io/v1", "NetworkPolicy", network_policy),
    }
}

fn word(dice: &mut Dice<'_>) -> String {
    let words =
        ["a", "main", "run-20261120", "x.y", "key=value", "7078", "", "true", "a b", "ä\u{1f600}", "--conf", "$(X)"];
    dice.pick(&words).to_owned()
}

fn name(dice: &mut Dice<'_>) -> String {
    let names = ["a", "b", "main", "side-1", "x0", "eod-20261120-1"];
    dice.pick(&names).to_owned()
}

/// Up to `most` elements whose `key`s differ.
fn distinct(dice: &mut Dice<'_>, most: usize, mut one: impl FnMut(&mut Dice<'_>, usize) -> Value) -> Vec<Value> {
    (0..dice.roll(most + 1)).map(|index| one(dice, index)).collect()
}

fn texts(dice: &mut Dice<'_>) -> Map<String, Value> {
    let keys = ["app", "example.com/part-of", "tier", "x.y"];
    let count = dice.roll(4);
    (0..count).map(|index| (keys[index].to_owned(), word(dice).into())).collect()
}

fn sometimes(
    dice: &mut Dice<'_>,
    into: &mut Map<String, Value>,
    key: &str,
    value: impl FnOnce(&mut Dice<'_>) -> Value,
) {
    if dice.one_in(2) {
        let value = value(dice);
        into.insert(key.into(), value);
    }
}

/// A field that says nothing, so that the API server fills it in.
fn seldom_empty(dice: &mut Dice<'_>, into: &mut Map<String, Value>, fields: &[(&str, Value)]) {
    for (key, empty) in fields {
        if dice.one_in(9) && !into.contains_key(*key) {
            into.insert((*key).to_owned(), empty.clone());
        }
    }
}

fn object(dice: &mut Dice<'_>, api_version: &str, kind: &str, rest: impl FnOnce(&mut Dice<'_>) -> Value) -> Value {
    let mut metadata = Map::new();
    metadata.insert("name".into(), name(dice).into());
    sometimes(dice, &mut metadata, "labels", |dice| texts(dice).into());
    sometimes(dice, &mut metadata, "annotations", |dice| texts(dice).into());
    let mut object = json!({"apiVersion": api_version, "kind": kind, "metadata": metadata});
    if let (Value::Object(object), Value::Object(rest)) = (&mut object, rest(dice)) {
        object.extend(rest);
    }
    object
}

fn config_map(dice: &mut Dice<'_>) -> Value {
    object(dice, "v1", "ConfigMap", |dice| {
        let mut out = Map::new();
        sometimes(dice, &mut out, "data", |dice| texts(dice).into());
        sometimes(dice, &mut out, "immutable", |dice| dice.one_in(2).into());
        out.into()
    })
}

fn secret(dice: &mut Dice<'_>) -> Value {
    object(dice, "v1", "Secret", |dice| {
        let mut out = Map::new();
        sometimes(dice, &mut out, "stringData", |dice| texts(dice).into());
        sometimes(dice, &mut out, "data", |_| json!({"other": "b25l"}));
        out.into()
    })
}

fn quantity(dice: &mut Dice<'_>) -> Value {
    [json!("500m"), json!("0.5"), json!(1), json!("1Gi"), json!("1024Mi"), json!("1.5Gi"), json!(0.25), json!("2e3")]
        [dice.roll(8)]
    .clone()
}

fn resources(dice: &mut Dice<'_>) -> Value {
    let mut out = Map::new();
    for side in ["requests", "limits"] {
        sometimes(dice, &mut out, side, |dice| {
            let mut amounts = Map::new();
            sometimes(dice, &mut amounts, "cpu", quantity);
            sometimes(dice, &mut amounts, "memory", quantity);
            amounts.into()
        });
    }
    out.into()
}

fn variable(dice: &mut Dice<'_>, index: usize) -> Value {
    let name = format!("V{index}");
    match dice.roll(4) {
        0 | 1 => json!({"name": name, "value": word(dice)}),
        2 => json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}),
        _ => json!({"name": name, "valueFrom": {"secretKeyRef": {"name": "db", "key": word(dice)}}}),
    }
}

fn port(dice: &mut Dice<'_>, index: usize) -> Value {
    let mut port = json!({"containerPort": 8000 + index / 2});
    if index % 2 == 1 {
        port["protocol"] = "UDP".into();
    } else if dice.one_in(2) {
        port["protocol"] = "TCP".into();
    }
    if dice.one_in(2) {
        port["name"] = format!("p{index}").into();
    }
    port
}

fn container(dice: &mut Dice<'_>, index: usize) -> Value {
    let image = dice.pick(&["registry.example/x", "registry.example/x:latest", "registry.example/x:1.4"]).to_owned();
    let mut out = Map::from_iter([("name".to_owned(), format!("c{index}").into()), ("image".to_owned(), image.into())]);
    sometimes(dice, &mut out, "args", |dice| distinct(dice, 4, |dice, _| word(dice).into()).into());
    sometimes(dice, &mut out, "env", |dice| distinct(dice, 4, variable).into());
    sometimes(dice, &mut out, "ports", |dice| distinct(dice, 4, port).into());
    sometimes(dice, &mut out, "resources", resources);
    sometimes(dice, &mut out, "volumeMounts", |dice| {
        distinct(dice, 3, |dice, index| json!({"name": name(dice), "mountPath": format!("/data/{index}")})).into()
    });
    sometimes(
        dice,
        &mut out,
        "securityContext",
        |dice| json!({"runAsUser": dice.roll(3), "privileged": dice.one_in(2), "capabilities": {"drop": ["ALL"]}}),
    );
    sometimes(
        dice,
        &mut out,
        "livenessProbe",
        |dice| json!({"httpGet": {"path": "/", "port": 80 + dice.roll(3)}, "periodSeconds": dice.roll(20)}),
    );
    seldom_empty(dice, &mut out, &[("imagePullPolicy", json!("")), ("terminationMessagePath", json!(""))]);
    out.into()
}

fn volume(dice: &mut Dice<'_>, index: usize) -> Value {
    let name = format!("v{index}");
    match dice.roll(4) {
        0 => json!({"name": name, "emptyDir": {}}),
        1 => json!({"name": name, "persistentVolumeClaim": {"claimName": word(dice)}}),
        2 => json!({"name": name, "configMap": {"name": word(dice), "defaultMode": 256 + dice.roll(256)}}),
        _ => json!({"name": name, "secret": {"secretName": word(dice), "items": [{"key": "k", "path": "p"}]}}),
    }
}

fn pod_spec(dice: &mut Dice<'_>) -> Value {
    let mut out = Map::new();
    // Without a token nothing depends on live accounts.
    out.insert("automountServiceAccountToken".into(), false.into());
    let mut containers = vec![container(dice, 0)];
    containers.extend(distinct(dice, 2, |dice, index| container(dice, index + 1)));
    out.insert("containers".into(), containers.into());
    sometimes(dice, &mut out, "initContainers", |dice| distinct(dice, 2, container).into());
    sometimes(dice, &mut out, "volumes", |dice| distinct(dice, 3, volume).into());
    sometimes(dice, &mut out, "restartPolicy", |_| "Never".into());
    sometimes(dice, &mut out, "nodeSelector", |dice| texts(dice).into());
    sometimes(dice, &mut out, "hostNetwork", |dice| dice.one_in(2).into());
    sometimes(dice, &mut out, "terminationGracePeriodSeconds", |dice| (dice.roll(3) * 30).into());
    sometimes(dice, &mut out, "tolerations", |dice| {
        distinct(dice, 2, |dice, _| json!({"key": word(dice), "operator": "Exists"})).into()
    });
    seldom_empty(dice, &mut out, &[("restartPolicy", json!("")), ("dnsPolicy", json!(""))]);
    out.into()
}

fn job(dice: &mut Dice<'_>) -> Value {
    let mut spec = Map::new();
    sometimes(dice, &mut spec, "parallelism", |dice| (1 + dice.roll(4)).into());
    sometimes(dice, &mut spec, "completions", |dice| (1 + dice.roll(4)).into());
    sometimes(dice, &mut spec, "backoffLimit", |dice| dice.roll(4).into());
    let mut pod = pod_spec(dice);
    pod["restartPolicy"] = "Never".into();
    spec.insert("template".into(), json!({"spec": pod}));
    json!({"spec": spec})
}

fn deployment(dice: &mut Dice<'_>) -> Value {
    let mut spec = Map::new();
    sometimes(dice, &mut spec, "replicas", |dice| dice.roll(4).into());
    spec.insert("selector".into(), json!({"matchLabels": {"app": "x"}}));
    spec.insert("template".into(), json!({"metadata": {"labels": {"app": "x"}}, "spec": pod_spec(dice)}));
    json!({"spec": spec})
}

fn service(dice: &mut Dice<'_>) -> Value {
    let mut spec = Map::new();
    sometimes(dice, &mut spec, "selector", |dice| texts(dice).into());
    let ports = distinct(dice, 3, |dice, index| {
        let mut port = json!({"name": format!("p{index}"), "port": 80 + index});
        match dice.roll(5) {
            0 => {}
            1 => port["targetPort"] = (8000 + dice.roll(100)).into(),
            2 => port["targetPort"] = 0.into(),
            3 => port["targetPort"] = "".into(),
            _ => port["targetPort"] = "http".into(),
        }
        port
    });
    spec.insert("ports".into(), ports.into());
    seldom_empty(dice, &mut spec, &[("type", json!("")), ("sessionAffinity", json!(""))]);
    json!({"spec": spec})
}

fn claim(dice: &mut Dice<'_>) -> Value {
    json!({"spec": {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": name(dice),
        "resources": {"requests": {"storage": quantity(dice)}},
    }})
}

fn network_policy(dice: &mut Dice<'_>) -> Value {
    let selector = if dice.one_in(2) { json!({}) } else { json!({"matchLabels": texts(dice)}) };
    let peers = distinct(dice, 2, |dice, _| json!({"podSelector": {"matchLabels": {"app": word(dice)}}}));
    json!({"spec": {"podSelector": selector, "policyTypes": ["Ingress"], "ingress": [{"from": peers}]}})
}

fn widget(dice: &mut Dice<'_>) -> Value {
    json!({"spec": {
        "size": dice.roll(5),
        "ratio": 1.5,
        "on": dice.one_in(2),
        "parts": distinct(dice, 4, |dice, _| json!({"name": name(dice), "text": word(dice)})),
        "words": distinct(dice, 4, |dice, _| word(dice).into()),
        "empty": {},
        "none": [],
    }})
}
