//! Accounts and rights: what masters and authors are granted, and the little that retinue itself may do.
//!
//! `retinue-launch` and `retinue-author` carry no aggregation label: a master is made by a RoleBinding that somebody
//! wrote, never by being an `edit`or. retinue's own accounts hold nothing on Secrets; the collector's right to delete
//! dependents that are Secrets is a role apart, which an admin adds by its label.

use policies::collectable::{SECRETS_ROLE, VERBS};
use policies::doctor::guard;
use policies::keys;
use serde_json::{Value, json};

pub(crate) use policies::collectable::LABEL as COLLECTOR_KINDS;

use super::{CONFIGURATION, CONTROLLER, Floor, LINT_CONFIGURATION, PROBE, Values, WEBHOOK, labels};

const API: &str = "rbac.authorization.k8s.io/v1";
/// Label `"true"` of ClusterRoles whose rules (get, list, watch) the webhook gets.
pub(super) const WEBHOOK_KINDS: &str = "rbac.fledged.io/webhook";
/// Label `"true"` of ClusterRoles whose rules (create) the account of samples gets.
pub(crate) const PROBE_KINDS: &str = "rbac.fledged.io/probe";

/// The role of the controller's part that makes samples.
const SAMPLER: &str = "retinue-sampler";

/// Kinds that templates make, by group: watched as metadata by both, deleted by the collector.
const DEPENDENTS: [(&str, &[&str]); 6] = [
    ("", &["configmaps", "persistentvolumeclaims", "pods", "replicationcontrollers", "services"]),
    ("apps", &["daemonsets", "deployments", "replicasets", "statefulsets"]),
    ("autoscaling", &["horizontalpodautoscalers"]),
    ("batch", &["cronjobs", "jobs"]),
    ("coordination.k8s.io", &["leases"]),
    ("policy", &["poddisruptionbudgets"]),
];
const NETWORK: (&str, &[&str]) = ("networking.k8s.io", &["ingresses", "networkpolicies"]);

pub(super) fn objects(values: &Values) -> Vec<Value> {
    let mut objects = vec![
        account(values, WEBHOOK),
        account(values, CONTROLLER),
        account(values, PROBE),
        // For masters, by a RoleBinding in the account's own namespace.
        role("retinue-launch", json!([rule("fledged.io", &["dependents"], &[keys::LAUNCH])])),
        // For those who write templates, by a RoleBinding in the namespace of the templates.
        role("retinue-author", json!([rule("fledged.io", &["templates"], &["author"])])),
    ];
    objects.extend(webhook(values));
    objects.extend(collector(values));
    objects.extend(sampler(values));
    objects
}

/// Samples are sent by the controller as an account of its own, which has no token: the controller impersonates it.
/// It may create what templates make, and the floor lets none of that be more than a dry run; without the floor it may
/// nothing.
fn sampler(values: &Values) -> Vec<Value> {
    let follow: &[&str] = &["list", "watch"];
    // What the tables ask of the cluster, and what else may add to objects.
    let rules = json!([
        rule("", &["limitranges", "serviceaccounts"], follow),
        rule("scheduling.k8s.io", &["priorityclasses"], follow),
        rule("node.k8s.io", &["runtimeclasses"], follow),
        rule("storage.k8s.io", &["storageclasses"], follow),
        rule("networking.k8s.io", &["ingressclasses"], follow),
        rule("apiextensions.k8s.io", &["customresourcedefinitions"], follow),
        rule(
            "admissionregistration.k8s.io",
            &["mutatingadmissionpolicies", "mutatingadmissionpolicybindings", "mutatingwebhookconfigurations"],
            follow,
        ),
    ]);
    let mut impersonate = rule("", &["serviceaccounts"], &["impersonate"]);
    impersonate["resourceNames"] = json!([PROBE]);
    let mut objects = vec![role(SAMPLER, rules), binding(values, SAMPLER, CONTROLLER)];
    objects.extend(namespaced(values, SAMPLER, &json!([impersonate])));
    if values.floor == Floor::On {
        let create: &[&str] = &["create"];
        objects.push(role("retinue-probe-kinds", kinds(create)));
        objects.push(aggregated("retinue-probe-more", PROBE_KINDS));
        for name in ["retinue-probe-kinds", "retinue-probe-more"] {
            objects.push(binding(values, name, PROBE));
        }
    }
    objects
}

/// A Role in retinue's own namespace, and its binding to the controller.
fn namespaced(values: &Values, name: &str, rules: &Value) -> [Value; 2] {
    let metadata = json!({ "name": name, "namespace": values.namespace, "labels": labels() });
    [
        json!({ "apiVersion": API, "kind": "Role", "metadata": metadata, "rules": rules }),
        json!({
            "apiVersion": API,
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name },
            "subjects": [subject(values, CONTROLLER)],
        }),
    ]
}

fn webhook(values: &Values) -> Vec<Value> {
    let read: &[&str] = &["get", "list", "watch"];
    let rules = json!([
        rule("", &["configmaps", "limitranges", "pods", "replicationcontrollers", "serviceaccounts", "services"], read),
        rule("apps", &["daemonsets", "deployments", "replicasets", "statefulsets"], read),
        rule("batch", &["cronjobs", "jobs"], read),
        rule("scheduling.k8s.io", &["priorityclasses"], read),
        rule("node.k8s.io", &["runtimeclasses"], read),
        rule("storage.k8s.io", &["storageclasses"], read),
        rule("networking.k8s.io", &["ingressclasses"], read),
        rule("apiextensions.k8s.io", &["customresourcedefinitions"], read),
        configurations(),
        // What tells of rights that the collector is given, read as metadata alone: templates are usable again then.
        rule("rbac.authorization.k8s.io", &["clusterrolebindings", "clusterroles"], &["list", "watch"]),
        rule("authorization.k8s.io", &["subjectaccessreviews"], &["create"]),
        rule("events.k8s.io", &["events"], &["create", "patch"]),
    ]);
    let mut objects = vec![
        role(WEBHOOK, rules),
        // Counting dependents takes a metadata-only watch of their kinds.
        role("retinue-webhook-kinds", kinds(read)),
        aggregated("retinue-webhook-more", WEBHOOK_KINDS),
    ];
    for name in [WEBHOOK, "retinue-webhook-kinds", "retinue-webhook-more"] {
        objects.push(binding(values, name, WEBHOOK));
    }
    objects
}

fn collector(values: &Values) -> Vec<Value> {
    let collect: &[&str] = &VERBS;
    let follow: &[&str] = &["list", "watch"];
    let rules = json!([
        rule("", &["configmaps"], &["get", "list", "watch"]),
        // What tells of new kinds and of rights given and taken: read as metadata alone, and the reason why the
        // collector need not ask all the time.
        rule("apiextensions.k8s.io", &["customresourcedefinitions"], follow),
        rule("apiregistration.k8s.io", &["apiservices"], follow),
        rule("rbac.authorization.k8s.io", &["clusterrolebindings", "clusterroles", "rolebindings", "roles"], follow),
        // To say so when what judges masters is missing: their names, as metadata alone.
        rule(guard::ADMISSION, &guard::GUARDS, follow),
        rule("events.k8s.io", &["events"], &["create", "patch"]),
        // A Job's pod whose essential container has completed is not deleted: its phase becomes Succeeded.
        rule("", &["pods/status"], &["patch"]),
        // To ask the API server itself before a master is taken for gone.
        rule("", &["pods", "replicationcontrollers"], &["get"]),
        rule("apps", &["daemonsets", "deployments", "replicasets", "statefulsets"], &["get"]),
        rule("batch", &["cronjobs", "jobs"], &["get"]),
    ]);
    // Without the label that would give it to the collector: listing Secrets is reading them.
    let secrets = role(SECRETS_ROLE, json!([rule("", &["secrets"], collect)]));
    let mut objects = vec![
        role(CONTROLLER, rules),
        role("retinue-collector-kinds", kinds(collect)),
        secrets,
        aggregated("retinue-collector-more", COLLECTOR_KINDS),
    ];
    for name in [CONTROLLER, "retinue-collector-kinds", "retinue-collector-more"] {
        objects.push(binding(values, name, CONTROLLER));
    }
    // The one Lease by which one of several collectors deletes; what is created has no name yet.
    let create = rule("coordination.k8s.io", &["leases"], &["create"]);
    let mut lease = rule("coordination.k8s.io", &["leases"], &["get", "list", "watch", "update"]);
    lease["resourceNames"] = json!([CONTROLLER]);
    objects.extend(namespaced(values, CONTROLLER, &json!([create, lease])));
    objects
}

/// Reading the webhook configurations that are ours, and no other.
fn configurations() -> Value {
    let mut rule = rule(
        "admissionregistration.k8s.io",
        &["mutatingwebhookconfigurations", "validatingwebhookconfigurations"],
        &["get"],
    );
    rule["resourceNames"] = json!([CONFIGURATION, LINT_CONFIGURATION]);
    rule
}

fn kinds(verbs: &[&str]) -> Value {
    DEPENDENTS.iter().chain([&NETWORK]).map(|(group, resources)| rule(group, resources, verbs)).collect()
}

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> Value {
    json!({ "apiGroups": [group], "resources": resources, "verbs": verbs })
}

fn role(name: &str, rules: Value) -> Value {
    json!({
        "apiVersion": API,
        "kind": "ClusterRole",
        "metadata": { "name": name, "labels": labels() },
        "rules": rules,
    })
}

/// A role whose rules a controller of Kubernetes collects; `rules` is left out, since they are that controller's.
fn aggregated(name: &str, label: &str) -> Value {
    json!({
        "apiVersion": API,
        "kind": "ClusterRole",
        "metadata": { "name": name, "labels": labels() },
        "aggregationRule": { "clusterRoleSelectors": [{ "matchLabels": { label: "true" } }] },
    })
}

fn binding(values: &Values, role: &str, account: &str) -> Value {
    json!({
        "apiVersion": API,
        "kind": "ClusterRoleBinding",
        "metadata": { "name": role, "labels": labels() },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role },
        "subjects": [subject(values, account)],
    })
}

fn subject(values: &Values, account: &str) -> Value {
    json!({ "kind": "ServiceAccount", "name": account, "namespace": values.namespace })
}

fn account(values: &Values, name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": { "name": name, "namespace": values.namespace, "labels": labels() },
    })
}
