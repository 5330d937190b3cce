//! The webhook configurations: the two that judge masters, and the one that lints template ConfigMaps.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use policies::keys;
use serde_json::{Value, json};

use super::values::{FailurePolicy, Floor, Reach, Values};
use super::{CONFIGURATION, LINT_CONFIGURATION, WEBHOOK, labels, who};

const API: &str = "admissionregistration.k8s.io/v1";

pub(super) fn objects(values: &Values) -> Vec<Value> {
    vec![
        configuration("MutatingWebhookConfiguration", CONFIGURATION, &mutating(values)),
        configuration(
            "ValidatingWebhookConfiguration",
            CONFIGURATION,
            &[judging(values, "validate.retinue.fledged.io", "/validate")],
        ),
        configuration("ValidatingWebhookConfiguration", LINT_CONFIGURATION, &[linting(values)]),
    ]
}

/// Of creates, and of everything else.
fn mutating(values: &Values) -> [Value; 2] {
    let names = ["mutate.retinue.fledged.io", "changes.mutate.retinue.fledged.io"];
    let [mut creates, mut changes] = names.map(|name| {
        let mut webhook = judging(values, name, "/mutate");
        // Never called again for one request: a stamp does not depend on what other mutators add, and what they change
        // after it is judged from scratch in the validating phase.
        webhook["reinvocationPolicy"] = json!("Never");
        webhook
    });
    creates["rules"][0]["operations"] = json!(["CREATE"]);
    changes["rules"][0]["operations"] = json!(["UPDATE", "DELETE", "CONNECT"]);
    if values.floor == Floor::On {
        // What was just stamped comes by again, as after every webhook that changed something: this tells it before the
        // match condition is answered, with a copy of the object. What a master sends so labelled, the floor has stripped
        // of it by then; what it has not gets no stamp and is refused in the validating phase.
        creates["objectSelector"] =
            json!({ "matchExpressions": [{ "key": keys::MASTER, "operator": "DoesNotExist" }] });
    }
    [creates, changes]
}

fn configuration(kind: &str, name: &str, webhooks: &[Value]) -> Value {
    json!({
        "apiVersion": API,
        "kind": kind,
        "metadata": { "name": name, "labels": labels() },
        "webhooks": webhooks,
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
        // Empty, since labels are for callers to choose (of creates, see `mutating`).
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
