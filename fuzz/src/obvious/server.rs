//! What the API server is known to complete, and to drop, of the kinds of [`crate::bypass`].

use serde_json::{Map, Value, json};

use super::values::whole;

/// Maps of names and amounts.
const AMOUNTS: [&str; 2] = ["requests", "limits"];

/// Whether the keys of this map are anyone's, so that each says something.
pub(super) fn in_a_map(name: &str) -> bool {
    matches!(name, "labels" | "annotations" | "data" | "matchLabels" | "selector" | "nodeSelector")
        || AMOUNTS.contains(&name)
}

/// Values that a field stands for when it is not there.
pub(super) fn stand_ins(name: &str, fields: &Map<String, Value>, there: &dyn Fn(&str) -> bool) -> Vec<Value> {
    let mut all = vec![Value::Null];
    all.extend(empty(name));
    all.extend(defaults(name, fields, there));
    all
}

/// What says nothing in a field, so that the server may fill it in.
pub(super) fn empties(name: &str) -> Vec<Value> {
    match name {
        // A number or a text.
        "targetPort" => vec![json!(0), json!("")],
        _ => empty(name).into_iter().collect(),
    }
}

/// The empty value that the server does not tell from an absent one, where the field has such.
fn empty(name: &str) -> Option<Value> {
    Some(match name {
        "name"
        | "generateName"
        | "image"
        | "value"
        | "path"
        | "serviceAccountName"
        | "serviceAccount"
        | "protocol"
        | "restartPolicy"
        | "dnsPolicy"
        | "schedulerName"
        | "terminationMessagePath"
        | "terminationMessagePolicy"
        | "imagePullPolicy"
        | "type"
        | "sessionAffinity"
        | "scheme"
        | "key"
        | "operator"
        | "mountPath" => json!(""),
        "hostNetwork" | "hostPID" => json!(false),
        "port" | "containerPort" => json!(0),
        "args" | "policyTypes" | "command" | "env" | "ports" | "volumes" | "volumeMounts" | "tolerations"
        | "containers" | "from" => {
            json!([])
        }
        "labels" | "annotations" | "data" | "matchLabels" | "selector" | "limits" | "requests" | "resources"
        | "metadata" | "securityContext" | "podSelector" | "spec" | "template" | "status" => json!({}),
        _ => return None,
    })
}

pub(super) fn nothing(name: &str, value: &Value) -> bool {
    value.is_null() || empties(name).iter().any(|empty| empty == value || *empty == 0 && value.as_f64() == Some(0.0))
}

/// Whether the server puts this there where it is left out, or where only part of it is.
pub(super) fn default(
    name: &str,
    value: &Value,
    fields: &Map<String, Value>,
    in_template: &dyn Fn(&str) -> bool,
) -> bool {
    defaults(name, fields, in_template).iter().any(|default| part_of(default, value))
}

fn part_of(default: &Value, value: &Value) -> bool {
    match (default, value) {
        (Value::Object(default), Value::Object(value)) => value
            .iter()
            .all(|(key, value)| nothing(key, value) || default.get(key).is_some_and(|default| part_of(default, value))),
        _ => default == value || whole(value).is_some_and(|value| value == *default),
    }
}

/// What the server puts in a field; `there` says which siblings the side has that leaves it out.
fn defaults(name: &str, fields: &Map<String, Value>, there: &dyn Fn(&str) -> bool) -> Vec<Value> {
    let one = |value: Value| vec![value];
    match name {
        "restartPolicy" => one(json!("Always")),
        "dnsPolicy" => one(json!("ClusterFirst")),
        "schedulerName" => one(json!("default-scheduler")),
        "terminationGracePeriodSeconds" => one(json!(30)),
        "enableServiceLinks" => one(json!(true)),
        "terminationMessagePath" => one(json!("/dev/termination-log")),
        "terminationMessagePolicy" => one(json!("File")),
        "imagePullPolicy" => {
            let image = fields.get("image").and_then(Value::as_str).unwrap_or_default();
            let name = image.rsplit('/').next().unwrap_or_default();
            let latest = name.split_once(':').is_none_or(|(_, tag)| tag == "latest") && !name.contains('@');
            // What is no reference has no tag either.
            let plain =
                |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
            let mut policies = vec![json!(if latest { "Always" } else { "IfNotPresent" })];
            if !image.split(['/', '.', ':', '-', '_', '@']).all(plain) {
                policies.push(json!("IfNotPresent"));
            }
            policies
        }
        "protocol" => one(json!("TCP")),
        "defaultMode" => one(json!(420)),
        "fieldRef.apiVersion" | "apiVersion" => one(json!("v1")),
        "timeoutSeconds" | "successThreshold" => one(json!(1)),
        "periodSeconds" => one(json!(10)),
        "failureThreshold" => one(json!(3)),
        "scheme" => one(json!("HTTP")),
        // Two that are left out together are one each; alone, completions left out means any one.
        "completions" if !there("parallelism") => one(json!(1)),
        "parallelism" | "replicas" => one(json!(1)),
        "backoffLimit" => one(json!(6)),
        "completionMode" => one(json!("NonIndexed")),
        "suspend" | "manualSelector" => one(json!(false)),
        "podReplacementPolicy" => one(json!("TerminatingOrFailed")),
        "strategy" => {
            one(json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}))
        }
        "rollingUpdate" => one(json!({"maxUnavailable": "25%", "maxSurge": "25%"})),
        "maxUnavailable" | "maxSurge" => one(json!("25%")),
        "revisionHistoryLimit" => one(json!(10)),
        "progressDeadlineSeconds" => one(json!(600)),
        "type" => vec![json!("ClusterIP"), json!("RollingUpdate")],
        "sessionAffinity" => one(json!("None")),
        "internalTrafficPolicy" => one(json!("Cluster")),
        "targetPort" => fields.get("port").cloned().into_iter().collect(),
        "policyTypes" => one(json!(["Ingress"])),
        "emptyDir" | "securityContext" => one(json!({})),
        // What plugins add to a pod.
        "tolerations" => {
            let one =
                |key: &str| json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300});
            vec![json!([one("node.kubernetes.io/not-ready"), one("node.kubernetes.io/unreachable")])]
        }
        "priority" => one(json!(0)),
        "preemptionPolicy" => one(json!("PreemptLowerPriority")),
        "serviceAccountName" | "serviceAccount" => {
            let named = fields.get("serviceAccountName").or(fields.get("serviceAccount")).cloned();
            named.into_iter().chain([json!("default")]).collect()
        }
        _ => Vec::new(),
    }
}
