//! What is installed in a cluster, rendered from one set of values.
//!
//! [`render`] is the one source of truth: `retinue install` prints it, and `deploy/install.yaml` is what it gives for
//! the default values (a test holds the two equal). The rooms: [`values`] says what can be chosen; `rbac` grants;
//! `who` says in CEL who a master is; `configurations` are the webhook configurations; `workloads` what runs; `floor`
//! the policies that hold inside the API server when retinue is down; [`apiserver`] is what an API server itself is to be
//! told, so that it shows the webhook a certificate.

pub mod apiserver;
mod configurations;
mod floor;
mod rbac;
pub mod values;
mod who;
mod workloads;

use serde_json::{Value, json};

use crate::collector::Guard;

pub(crate) use self::rbac::{COLLECTOR_KINDS, PROBE_KINDS};
pub use self::values::{ClientCa, FailurePolicy, Floor, Reach, Values, ValuesError};

/// ServiceAccount of the webhook.
pub const WEBHOOK: &str = "retinue-webhook";
/// ServiceAccount of the controller.
pub const CONTROLLER: &str = "retinue-controller";
/// ServiceAccount of the samples: the floor allows it nothing but dry runs.
pub const PROBE: &str = "retinue-probe";
/// Name of the mutating and of the validating webhook configuration that judge masters.
pub const CONFIGURATION: &str = "retinue";
/// Name of the validating webhook configuration that lints template ConfigMaps.
pub const LINT_CONFIGURATION: &str = "retinue-templates";
/// The Secret with `tls.crt` and `tls.key` that the webhook serves with.
pub const TLS_SECRET: &str = "retinue-webhook-tls";

/// The ConfigMap with `ca.crt`, the authorities of the clients that the webhook serves. It holds nothing secret.
pub const CLIENT_CA: &str = "retinue-webhook-client-ca";

/// Everything that is installed, in the order in which it is to be applied: what refuses comes last, so that a
/// master is not refused for want of something that is about to be there.
pub fn render(values: &Values) -> Vec<Value> {
    let mut objects = vec![namespace(values)];
    objects.extend(rbac::objects(values));
    objects.extend(workloads::objects(values));
    if values.floor == Floor::On {
        objects.extend(floor::objects(values));
    }
    objects.extend(configurations::objects(values));
    objects
}

/// The resource of a kind that is installed: plural, lower case.
pub(crate) fn resource(kind: &str) -> String {
    let kind = kind.to_lowercase();
    kind.strip_suffix('y').map_or_else(|| format!("{kind}s"), |stem| format!("{stem}ies"))
}

/// What of an installation judges masters, for the collector to say so when it is missing.
pub fn guard(floor: Floor) -> Guard {
    let mut guard = Guard::default();
    for object in render(&Values { floor, ..Values::default() }) {
        let (kind, name) = (object["kind"].as_str(), object["metadata"]["name"].as_str());
        if let (Some("admissionregistration.k8s.io/v1"), Some(kind), Some(name)) =
            (object["apiVersion"].as_str(), kind, name)
        {
            guard.expected.entry(kind.to_owned()).or_default().insert(name.to_owned());
        }
    }
    guard
}

fn namespace(values: &Values) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": values.namespace,
            "labels": labels_with(&[
                ("pod-security.kubernetes.io/enforce", "restricted"),
                ("pod-security.kubernetes.io/warn", "restricted"),
            ]),
        },
    })
}

/// The labels of everything installed.
fn labels() -> Value {
    labels_with(&[])
}

fn labels_with(more: &[(&str, &str)]) -> Value {
    let mut labels = json!({ "app.kubernetes.io/name": "retinue", "app.kubernetes.io/part-of": "retinue" });
    for (key, value) in more {
        labels[*key] = json!(value);
    }
    labels
}
