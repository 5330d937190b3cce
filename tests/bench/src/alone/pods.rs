//! The pods that are asked for, as the API server shows them to a webhook: defaulted, with what in-tree plugins add, and
//! with `managedFields`. [`super::templates::pod`] describes them.

use serde_json::{Map, Value, json};

use super::templates::Variant;
use super::world::uid;

/// The trading day of every pod.
const RUN: &str = "20261120";

/// The pod of this variant, in the mutating phase.
pub fn submitted(variant: Variant, namespace: &str, shard: usize) -> Value {
    let application = variant.application();
    let probe = |path: &str| {
        json!({
            "httpGet": {"path": path, "port": "http", "scheme": "HTTP"},
            "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3,
        })
    };
    let (mut liveness, mut readiness) = (probe("/healthz"), probe("/readyz"));
    liveness["initialDelaySeconds"] = 10.into();
    readiness["periodSeconds"] = 5.into();
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": format!("{application}-{RUN}-{shard}"),
            "namespace": namespace,
            "labels": {
                "app.kubernetes.io/name": application,
                "app.kubernetes.io/component": "worker",
                "app.kubernetes.io/part-of": "end-of-day",
                "example.com/run": RUN,
            },
            "annotations": {"example.com/contact": "end-of-day@example.com"},
        },
        "spec": {
            "volumes": [
                {"name": "scratch", "emptyDir": {"sizeLimit": "2Gi"}},
                {"name": "settings", "configMap": {"name": "post-trade-settings", "defaultMode": 420}},
            ],
            "containers": [{
                "name": "work",
                "image": variant.image(),
                "command": ["/opt/post-trade/bin/run"],
                "args": [
                    format!("--run={RUN}"), format!("--shard={shard}"), format!("--input={}", variant.value), "--report",
                ],
                "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
                "env": [
                    {"name": "RUN", "value": RUN},
                    {"name": "LOG_LEVEL", "value": "info"},
                    {"name": "JAVA_TOOL_OPTIONS", "value": "-XX:MaxRAMPercentage=75 -XX:+ExitOnOutOfMemoryError"},
                    {"name": "POD_NAME", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}},
                    {"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "fills-db", "key": "password"}}},
                ],
                "resources": {"limits": {"memory": "1Gi"}, "requests": {"cpu": "500m", "memory": "1Gi"}},
                "volumeMounts": [
                    {"name": "scratch", "mountPath": "/scratch"},
                    {"name": "settings", "readOnly": true, "mountPath": "/etc/post-trade"},
                ],
                "livenessProbe": liveness,
                "readinessProbe": readiness,
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
                "imagePullPolicy": "IfNotPresent",
                "securityContext": {
                    "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false,
                },
            }],
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst",
            "securityContext": {
                "runAsUser": 10001, "runAsNonRoot": true, "fsGroup": 10001, "seccompProfile": {"type": "RuntimeDefault"},
            },
            "schedulerName": "default-scheduler",
            "enableServiceLinks": true,
        },
        "status": {},
    });
    // Fields have an owner as they were decoded and defaulted, before any plugin saw them.
    pod["metadata"]["managedFields"] = json!([{
        "manager": "post-trade-launcher", "operation": "Update", "apiVersion": "v1",
        "time": "2026-11-20T17:30:00Z", "fieldsType": "FieldsV1",
        "fieldsV1": {"f:metadata": owned_metadata(&pod["metadata"]), "f:spec": owned(&pod["spec"])},
    }]);
    inject(&mut pod, shard);
    pod
}

/// What in-tree plugins add: account and token, tolerations, priority.
fn inject(pod: &mut Value, shard: usize) {
    let token = format!("kube-api-access-{}", suffix(shard));
    let spec = &mut pod["spec"];
    spec["serviceAccountName"] = "default".into();
    spec["serviceAccount"] = "default".into();
    spec["priority"] = 0.into();
    spec["preemptionPolicy"] = "PreemptLowerPriority".into();
    let toleration =
        |key: &str| json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300});
    spec["tolerations"] =
        json!([toleration("node.kubernetes.io/not-ready"), toleration("node.kubernetes.io/unreachable")]);
    if let Some(mounts) = spec.pointer_mut("/containers/0/volumeMounts").and_then(Value::as_array_mut) {
        mounts.push(json!({
            "name": token, "readOnly": true, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
        }));
    }
    if let Some(volumes) = spec.pointer_mut("/volumes").and_then(Value::as_array_mut) {
        volumes.push(json!({"name": token, "projected": {"defaultMode": 420, "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [
                {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}},
            ]}},
        ]}}));
    }
}

/// Five characters of those that the API server makes names of.
fn suffix(mut number: usize) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut next = || {
        let letter = ALPHABET[number % ALPHABET.len()];
        number = number / ALPHABET.len() + 7;
        char::from(letter)
    };
    (0..5).map(|_| next()).collect()
}

/// What strategies add before the validating phase.
pub fn finish(pod: &mut Value, shard: usize) {
    pod["metadata"]["uid"] = uid(shard, 5).into();
    pod["metadata"]["generation"] = 1.into();
    pod["metadata"]["creationTimestamp"] = "2026-11-20T17:30:00Z".into();
    pod["status"] = json!({"phase": "Pending", "qosClass": "Burstable"});
}

fn owned_metadata(metadata: &Value) -> Value {
    json!({"f:labels": dotted(&metadata["labels"]), "f:annotations": dotted(&metadata["annotations"])})
}

fn dotted(map: &Value) -> Value {
    let mut fields = owned(map);
    fields["."] = json!({});
    fields
}

/// The fields of a value as `fieldsV1` lists them: maps by key, lists with merge keys by those, others whole.
fn owned(value: &Value) -> Value {
    let Some(map) = value.as_object() else { return json!({}) };
    let mut fields = Map::new();
    for (key, value) in map {
        let below = match (key.as_str(), value) {
            ("volumes" | "containers" | "env", Value::Array(list)) => keyed(list, &["name"]),
            ("ports", Value::Array(list)) => keyed(list, &["containerPort", "protocol"]),
            ("volumeMounts", Value::Array(list)) => keyed(list, &["mountPath"]),
            ("resources" | "limits" | "requests", Value::Object(_)) => owned(value),
            (_, Value::Object(_)) => dotted(value),
            _ => json!({}),
        };
        fields.insert(format!("f:{key}"), below);
    }
    fields.into()
}

fn keyed(list: &[Value], keys: &[&str]) -> Value {
    let mut fields = Map::from_iter([(".".to_owned(), json!({}))]);
    for element in list {
        let key: Map<String, Value> = keys.iter().map(|key| ((*key).to_owned(), element[*key].clone())).collect();
        fields.insert(format!("k:{}", Value::from(key)), dotted(element));
    }
    fields.into()
}
