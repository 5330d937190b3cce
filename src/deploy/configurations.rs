//! The webhook configurations: the two that judge masters, and the one that lints template ConfigMaps.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use policies::keys;
use serde_json::{Value, json};

use super::values::{FailurePolicy, Reach, Values};
use super::{CONFIGURATION, LINT_CONFIGURATION, WEBHOOK, labels, who};

const API: &str = "admissionregistration.k8s.io/v1";

pub(super) fn objects(values: &Values) -> Vec<Value> {
    let mut mutating = judging(values, "mutate.retinue.fledged.io", "/mutate");
    // Never called again for one request: a stamp does not depend on what other mutators add, and what they change
    // after it is judged from scratch in the validating phase.
    mutating["reinvocationPolicy"] = json!("Never");
    vec![
        configuration("MutatingWebhookConfiguration", CONFIGURATION, mutating),
        configuration(
            "ValidatingWebhookConfiguration",
            CONFIGURATION,
            judging(values, "validate.retinue.fledged.io", "/validate"),
        ),
        configuration("ValidatingWebhookConfiguration", LINT_CONFIGURATION, linting(values)),
    ]
}

fn configuration(kind: &str, name: &str, webhook: Value) -> Value {
    json!({
        "apiVersion": API,
        "kind": kind,
        "metadata": { "name": name, "labels": labels() },
        "webhooks": [webhook],
    })
}

fn judging(values: &Values, name: &str, path: &str) -> Value {
    json!({
        "name": name,
        "admissionReviewVersions": ["v1"],
        "clientConfig": client(values, path),
        // Everything: what is not named here would pass unjudged, subresources above all.
        "rules": [{
            "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"], "operations": ["*"], "scope": "*",
        }],
        "matchPolicy": "Equivalent",
        // Empty, since labels are for callers to choose.
        "namespaceSelector": {},
        "objectSelector": {},
        "matchConditions": [{ "name": "masters", "expression": who::is_master(values) }],
        "failurePolicy": match values.failure_policy {
            FailurePolicy::Fail => "Fail",
            FailurePolicy::Ignore => "Ignore",
        },
        "sideEffects": "NoneOnDryRun",
        "timeoutSeconds": values.timeout_seconds,
    })
}

/// Tells an admin at `kubectl apply` what is wrong with a template. A help, not a guard: an outage of ours never
/// keeps an admin from editing, and a bad template that got in anyway is unusable, alone.
fn linting(values: &Values) -> Value {
    json!({
        "name": "lint.retinue.fledged.io",
        "admissionReviewVersions": ["v1"],
        "clientConfig": client(values, "/lint"),
        "rules": [{
            "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"],
            "operations": ["CREATE", "UPDATE"], "scope": "Namespaced",
        }],
        "matchPolicy": "Equivalent",
        "namespaceSelector": {},
        "objectSelector": { "matchLabels": { keys::TEMPLATES: "true" } },
        "failurePolicy": "Ignore",
        "sideEffects": "None",
        "timeoutSeconds": values.timeout_seconds,
    })
}

fn client(values: &Values, path: &str) -> Value {
    let mut client = match &values.reach {
        Reach::Service => json!({
            "service": { "name": WEBHOOK, "namespace": values.namespace, "path": path, "port": 443 },
        }),
        Reach::Url(url) => json!({ "url": format!("{}{path}", url.trim_end_matches('/')) }),
    };
    if let Some(bundle) = &values.ca_bundle {
        client["caBundle"] = json!(STANDARD.encode(bundle));
    }
    client
}
