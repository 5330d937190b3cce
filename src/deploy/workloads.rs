//! What runs: the webhook and the controller, and what stands around them.

use serde_json::{Value, json};

use crate::cluster::templates::KEPT;
use crate::memory;

use super::values::{Floor, Reach, Values};
use super::{CLIENT_CA, CONTROLLER, TLS_SECRET, WEBHOOK, labels, labels_with};

const COMPONENT: &str = "app.kubernetes.io/component";
/// The webhook's TLS port inside the pod.
const PORT: u16 = 8443;
/// Health and metrics, plain HTTP.
const HEALTH: u16 = 8080;

/// Seconds that the webhook goes on accepting connections after SIGTERM. Until then the EndpointSlices have lost the pod,
/// and every kube-proxy has heard of it: about a second each, and some more where there is much to do. Not a `preStop`
/// hook's `sleep`, which servers before 1.30 drop without a word, and during which `/readyz` would go on saying yes.
const SHUTDOWN_DELAY: u32 = 5;
/// Seconds from SIGTERM until the container is killed: more than that delay, what the server gives answers under way (5 s),
/// and what all else is given to end (10 s).
const TERMINATION: u32 = 30;

/// Memory limit of the controller, in bytes, unless more is kept of templates: a quarter of it is for those.
const LIMIT: u64 = 768 << 20;
/// The webhook's. With every bound of its port used up at once, by three attackers of which each knows one, 845 MB were
/// resident in a release build, 170 of them for templates, which may take 201.
const WEBHOOK_LIMIT: u64 = 1 << 30;

pub(super) fn objects(values: &Values) -> Vec<Value> {
    match values.reach {
        Reach::Url(_) => Vec::new(),
        Reach::Service => client_ca(values)
            .into_iter()
            .chain([
                service(values),
                // Before the pods that they are about, so that no connection is older than what restricts it.
                network(values, WEBHOOK),
                network(values, CONTROLLER),
                deployment(values, WEBHOOK),
                deployment(values, CONTROLLER),
                budget(values),
            ])
            .collect(),
    }
}

/// The authorities of clients, which are public: a ConfigMap, so that whoever looks after it reads no Secret.
fn client_ca(values: &Values) -> Option<Value> {
    let clients = values.client_ca.as_ref()?;
    Some(json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(values, CLIENT_CA),
        "data": { "ca.crt": clients.bundle },
    }))
}

fn metadata(values: &Values, name: &str) -> Value {
    json!({ "name": name, "namespace": values.namespace, "labels": labels_with(&[(COMPONENT, name)]) })
}

fn selector(name: &str) -> Value {
    let mut selector = labels();
    if let Some(selector) = selector.as_object_mut() {
        selector.retain(|key, _| key == "app.kubernetes.io/name");
        selector.insert(COMPONENT.into(), json!(name));
    }
    selector
}

fn service(values: &Values) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(values, WEBHOOK),
        "spec": {
            "selector": selector(WEBHOOK),
            "ports": [{ "name": "https", "port": 443, "targetPort": "https", "protocol": "TCP" }],
        },
    })
}

fn deployment(values: &Values, name: &str) -> Value {
    let webhook = name == WEBHOOK;
    let health = format!("0.0.0.0:{HEALTH}");
    let mut ports = vec![json!({ "name": "health", "containerPort": HEALTH, "protocol": "TCP" })];
    let mut args = vec![if webhook { "webhook" } else { "controller" }.to_owned()];
    let (mut mounts, mut volumes) = (Vec::new(), Vec::new());
    if webhook {
        args.extend(["--listen".into(), format!("0.0.0.0:{PORT}"), "--certs".into(), "/certs".into()]);
        args.extend(["--shutdown-delay".into(), SHUTDOWN_DELAY.to_string()]);
        ports.push(json!({ "name": "https", "containerPort": PORT, "protocol": "TCP" }));
        mounts.push(json!({ "name": "certs", "mountPath": "/certs", "readOnly": true }));
        volumes.push(json!({ "name": "certs", "secret": { "secretName": TLS_SECRET } }));
        if let Some(clients) = &values.client_ca {
            args.extend([
                "--client-ca".into(),
                "/client-ca/ca.crt".into(),
                "--client-name".into(),
                clients.name.clone(),
            ]);
            mounts.push(json!({ "name": "client-ca", "mountPath": "/client-ca", "readOnly": true }));
            volumes.push(json!({ "name": "client-ca", "configMap": { "name": CLIENT_CA } }));
        }
    }
    if !webhook && values.floor == Floor::Off {
        args.push("--no-floor".into());
    }
    args.extend(["--health".into(), health]);
    // The same for both, whose limits differ.
    let kept = values.template_memory.unwrap_or(KEPT);
    args.extend(["--template-memory".into(), quantity(kept)]);
    let limit = memory::limit_for(kept).max(if webhook { WEBHOOK_LIMIT } else { LIMIT });
    // The collector tells of rights that it lacks in an Event on its own pod.
    let mut env = Vec::new();
    if !webhook {
        for (variable, path) in [("POD_NAMESPACE", "metadata.namespace"), ("POD_UID", "metadata.uid")] {
            env.push(json!({ "name": variable, "valueFrom": { "fieldRef": { "fieldPath": path } } }));
        }
    }
    let container = json!({
        "name": name,
        "image": values.image,
        "args": args,
        "env": env,
        "ports": ports,
        "volumeMounts": mounts,
        "readinessProbe": { "httpGet": { "path": "/readyz", "port": "health" }, "periodSeconds": 2 },
        "livenessProbe": {
            "httpGet": { "path": "/healthz", "port": "health" }, "periodSeconds": 10, "failureThreshold": 3,
        },
        // Reviews in flight are bounded by bytes; the limit leaves room for them beside the snapshots.
        "resources": {
            "requests": { "cpu": "100m", "memory": "64Mi" },
            "limits": { "memory": quantity(limit) },
        },
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": { "drop": ["ALL"] },
        },
    });
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(values, name),
        "spec": {
            // One controller collects; two at once would be safe, and only ask the API server twice.
            "replicas": if webhook { values.replicas } else { 1 },
            "selector": { "matchLabels": selector(name) },
            // Never fewer than wanted while a new version comes up: with none, every master is refused.
            "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": 0, "maxSurge": 1 } },
            "template": {
                "metadata": { "labels": labels_with(&[(COMPONENT, name)]) },
                "spec": {
                    "serviceAccountName": name,
                    "terminationGracePeriodSeconds": TERMINATION,
                    "priorityClassName": "system-cluster-critical",
                    "securityContext": {
                        "runAsNonRoot": true,
                        "runAsUser": 65532,
                        "runAsGroup": 65532,
                        "fsGroup": 65532,
                        "seccompProfile": { "type": "RuntimeDefault" },
                    },
                    "topologySpreadConstraints": [{
                        "maxSkew": 1,
                        "topologyKey": "kubernetes.io/hostname",
                        "whenUnsatisfiable": "ScheduleAnyway",
                        "labelSelector": { "matchLabels": selector(name) },
                    }],
                    "containers": [container],
                    "volumes": volumes,
                },
            },
        },
    })
}

/// Bytes, as people write them.
fn quantity(bytes: u64) -> String {
    const MEBIBYTE: u64 = 1 << 20;
    if bytes.is_multiple_of(MEBIBYTE) { format!("{}Mi", bytes / MEBIBYTE) } else { bytes.to_string() }
}

/// One at a time: `minAvailable` would keep a node with the only replica from being drained.
fn budget(values: &Values) -> Value {
    json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(values, WEBHOOK),
        "spec": { "maxUnavailable": 1, "selector": { "matchLabels": selector(WEBHOOK) } },
    })
}

/// Nothing comes in but reviews and probes. API servers are no pods: they can only be told by address.
fn network(values: &Values, name: &str) -> Value {
    let mut ingress = vec![json!({ "ports": [{ "port": "health", "protocol": "TCP" }] })];
    if name == WEBHOOK {
        let mut reviews = json!({ "ports": [{ "port": "https", "protocol": "TCP" }] });
        if !values.callers.is_empty() {
            reviews["from"] = values.callers.iter().map(|cidr| json!({ "ipBlock": { "cidr": cidr } })).collect();
        }
        ingress.push(reviews);
    }
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(values, name),
        "spec": {
            "podSelector": { "matchLabels": selector(name) },
            "policyTypes": ["Ingress"],
            "ingress": ingress,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_templates_is_at_most_a_quarter_of_the_limit_and_the_limit_never_less_than_installed() {
        for (kept, flag, limits) in [
            (None, Some("192Mi"), ["1024Mi", "768Mi"]),
            (Some(64 << 20), Some("64Mi"), ["1024Mi", "768Mi"]),
            (Some(1 << 30), Some("1024Mi"), ["4096Mi"; 2]),
            (Some(500_000_000), Some("500000000"), ["2000000000"; 2]),
        ] {
            let values = Values { template_memory: kept, ..Values::default() };
            for (name, limit) in [WEBHOOK, CONTROLLER].into_iter().zip(limits) {
                let container = &deployment(&values, name)["spec"]["template"]["spec"]["containers"][0];
                let args: Vec<_> = container["args"].as_array().into_iter().flatten().map(Value::as_str).collect();
                let said = args.iter().position(|arg| *arg == Some("--template-memory"));
                assert_eq!(said.and_then(|at| args.get(at + 1)?.as_deref()), flag, "{name}: {args:?}");
                assert_eq!(container["resources"]["limits"]["memory"], limit, "{name}");
            }
        }
    }
}
