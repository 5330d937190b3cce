//! The defaults that take more than a row to say, by name. Each is given one struct, whose scalars are canonical.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::quantity::Quantity;

use super::image::policy_of_image;

mod asks;

type Object = Map<String, Value>;

type Apply = fn(&mut Object);
type Asks = fn(&Object) -> bool;

/// Completes one struct.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    pub(super) apply: Apply,
    /// Whether it would change nothing; none: to be found out by applying it to a copy.
    asks: Option<Asks>,
}

impl Rule {
    /// Whether the rule would leave this struct, whose scalars are canonical, as it is.
    pub(super) fn settled(self, object: &Object) -> bool {
        match self.asks {
            Some(asks) => asks(object),
            None => {
                let mut copy = object.clone();
                (self.apply)(&mut copy);
                copy == *object
            }
        }
    }
}

/// Scalars that rules, and injectors ([`super::inject`]), fill in where they are empty: texts and numbers, in whatever
/// struct a field of that name is.
pub(super) const FILLED: [&str; 8] = [
    "serviceAccountName",
    "serviceAccount",
    "imagePullPolicy",
    "pullPolicy",
    "externalTrafficPolicy",
    "targetPort",
    "priorityClassName",
    "clusterIP",
];

/// The rule of a name in `defaults.txt`.
pub(super) fn named(name: &str) -> Option<Rule> {
    let (apply, asks): (Apply, Option<Asks>) = match name {
        "pod-requests" => (pod_requests, Some(asks::pod_requests)),
        "pod-host-ports" => (pod_host_ports, Some(asks::pod_host_ports)),
        "pod-grace" => (pod_grace, Some(asks::pod_grace)),
        "service-links" => (service_links, Some(asks::service_links)),
        "account-alias" => (account_alias, Some(asks::account_alias)),
        "empty-dir" => (empty_dir, Some(asks::empty_dir)),
        "pull-policy" => (pull_policy, Some(asks::pull_policy)),
        "pull-policy-of-volume" => (pull_policy_of_volume, None),
        "string-data" => (string_data, Some(asks::string_data)),
        "session-affinity" => (session_affinity, None),
        "external-addresses" => (external_addresses, None),
        "target-port" => (target_port, Some(asks::target_port)),
        "job-labels" => (labels_of_template, Some(asks::labels_of_template)),
        "job-counts" => (job_counts, Some(asks::job_counts)),
        "controller-labels" => (controller_labels, Some(asks::controller_labels)),
        "claim-templates" => (claim_templates, None),
        "policy-types" => (policy_types, None),
        "scaling-behavior" => (scaling_behavior, None),
        "range-defaults" => (range_defaults, None),
        _ => return None,
    };
    Some(Rule { apply, asks })
}

fn default(object: &mut Object, field: &str, value: impl Into<Value>) {
    if !object.contains_key(field) {
        object.insert(field.to_owned(), value.into());
    }
}

/// The struct under `field`, made where there is none; none where something else is there.
fn opened<'a>(parent: &'a mut Object, field: &str) -> Option<&'a mut Object> {
    let value = parent.entry(field).or_insert(Value::Null);
    if value.is_null() {
        *value = json!({});
    }
    value.as_object_mut()
}

fn object<'a>(parent: &'a Object, field: &str) -> Option<&'a Object> {
    parent.get(field).and_then(Value::as_object)
}

fn object_mut<'a>(parent: &'a mut Object, field: &str) -> Option<&'a mut Object> {
    parent.get_mut(field).and_then(Value::as_object_mut)
}

fn objects_mut<'a>(parent: &'a mut Object, field: &str) -> impl Iterator<Item = &'a mut Object> + use<'a> {
    parent.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
}

/// The containers that run: ephemeral ones have no resources and no ports.
pub(super) const CONTAINERS: [&str; 2] = ["initContainers", "containers"];

/// Requests that are absent are the limits; the pod's own are the sum of its containers', or its limits.
fn pod_requests(pod: &mut Object) {
    let Some(spec) = object_mut(pod, "spec") else { return };
    for list in CONTAINERS {
        for container in objects_mut(spec, list) {
            requests_from_limits(container);
        }
    }
    if object(spec, "resources").is_none() {
        return;
    }
    let limits = containers_together(spec, "limits");
    let requests = containers_together(spec, "requests");
    let Some(resources) = object_mut(spec, "resources") else { return };
    let given = |resources: &Object, list: &str| object(resources, list).cloned().unwrap_or_default();
    let (mut pod_limits, mut pod_requests) = (given(resources, "limits"), given(resources, "requests"));
    if pod_limits.is_empty() && pod_requests.is_empty() {
        return;
    }
    for (resource, amount) in limits {
        if resource.starts_with("hugepages-") && !pod_requests.contains_key(&resource) {
            default(&mut pod_limits, &resource, amount.to_string());
        }
    }
    if !pod_limits.is_empty() {
        for (resource, amount) in requests {
            if matches!(resource.as_str(), "cpu" | "memory") {
                default(&mut pod_requests, &resource, amount.to_string());
            }
        }
        for (resource, amount) in &pod_limits {
            if matches!(resource.as_str(), "cpu" | "memory") || resource.starts_with("hugepages-") {
                default(&mut pod_requests, resource, amount.clone());
            }
        }
        resources.insert("limits".into(), Value::Object(pod_limits));
    }
    if !pod_requests.is_empty() {
        resources.insert("requests".into(), Value::Object(pod_requests));
    }
}

fn requests_from_limits(container: &mut Object) {
    let Some(resources) = object_mut(container, "resources") else { return };
    let Some(limits) = object(resources, "limits").cloned() else { return };
    let requests = resources.entry("requests").or_insert_with(|| json!({}));
    if requests.is_null() {
        *requests = json!({});
    }
    if let Some(requests) = requests.as_object_mut() {
        for (resource, amount) in limits {
            default(requests, &resource, amount);
        }
    }
}

/// Amounts of resources.
pub(super) type Amounts = BTreeMap<String, Quantity>;

/// The limits or requests in `resources` that can be read.
pub(super) fn amounts(resources: &Value, list: &str) -> Amounts {
    let found = resources.get(list).and_then(Value::as_object);
    let parsed = found.into_iter().flatten().map(|(resource, amount)| (resource, Quantity::from_value(amount)));
    parsed.filter_map(|(resource, amount)| Some((resource.clone(), amount.ok()?))).collect()
}

/// What the scheduler counts for all containers together: the running ones and the sidecars add up, and each init
/// container needs its own and what the sidecars before it take.
pub(super) fn containers_together(spec: &Object, list: &str) -> Amounts {
    let amounts = |container: &Value| amounts(container.get("resources").unwrap_or(&Value::Null), list);
    let add = |sum: &mut Amounts, more: &Amounts| {
        for (resource, amount) in more {
            let total = sum.entry(resource.clone()).or_insert(Quantity::ZERO);
            *total = total.plus(*amount);
        }
    };
    let of = |name: &str| spec.get(name).and_then(Value::as_array).into_iter().flatten();
    let mut together = Amounts::new();
    for container in of("containers") {
        add(&mut together, &amounts(container));
    }
    let (mut sidecars, mut peaks) = (Amounts::new(), Amounts::new());
    for container in of("initContainers") {
        let mut needs = amounts(container);
        if container.get("restartPolicy").and_then(Value::as_str) == Some("Always") {
            add(&mut together, &needs);
            add(&mut sidecars, &needs);
            needs = sidecars.clone();
        } else {
            add(&mut needs, &sidecars);
        }
        for (resource, amount) in needs {
            let peak = peaks.entry(resource).or_insert(amount);
            *peak = (*peak).max(amount);
        }
    }
    for (resource, amount) in peaks {
        let total = together.entry(resource).or_insert(amount);
        *total = (*total).max(amount);
    }
    together
}

/// On the host's network a port is the host's port too.
fn pod_host_ports(pod: &mut Object) {
    let Some(spec) = object_mut(pod, "spec") else { return };
    if spec.get("hostNetwork") != Some(&Value::Bool(true)) {
        return;
    }
    for list in CONTAINERS {
        for container in objects_mut(spec, list) {
            for port in objects_mut(container, "ports") {
                if port.get("hostPort").is_none_or(|port| port.is_null() || port.as_f64() == Some(0.0))
                    && let Some(number) = port.get("containerPort").cloned()
                {
                    port.insert("hostPort".into(), number);
                }
            }
        }
    }
}

/// A pod's negative grace period is one second.
fn pod_grace(pod: &mut Object) {
    if let Some(spec) = object_mut(pod, "spec")
        && spec.get("terminationGracePeriodSeconds").and_then(Value::as_f64).is_some_and(|seconds| seconds < 0.0)
    {
        spec.insert("terminationGracePeriodSeconds".into(), 1.into());
    }
}

/// In a pod, not in a pod template.
fn service_links(pod: &mut Object) {
    pod.entry("spec").or_insert_with(|| Value::Object(Object::new()));
    if let Some(spec) = object_mut(pod, "spec")
        && spec.get("enableServiceLinks").is_none_or(Value::is_null)
    {
        spec.insert("enableServiceLinks".into(), true.into());
    }
}

/// `serviceAccount` is an old name of `serviceAccountName`, shown beside it.
fn account_alias(spec: &mut Object) {
    if let Some(name) = spec.get("serviceAccountName").cloned() {
        spec.insert("serviceAccount".into(), name);
    }
}

/// A volume without a source is an empty directory.
fn empty_dir(volume: &mut Object) {
    if !volume.iter().any(|(field, value)| field != "name" && !value.is_null()) {
        volume.insert("emptyDir".into(), json!({}));
    }
}

fn pull_policy(container: &mut Object) {
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    let policy = policy_of_image(image);
    default(container, "imagePullPolicy", policy);
}

fn pull_policy_of_volume(source: &mut Object) {
    let image = source.get("reference").and_then(Value::as_str).unwrap_or_default();
    let policy = policy_of_image(image);
    default(source, "pullPolicy", policy);
}

/// `stringData` is a way of writing `data`, and wins over it.
fn string_data(secret: &mut Object) {
    let texts = match secret.remove("stringData") {
        Some(Value::Object(texts)) if !texts.is_empty() => texts,
        None | Some(Value::Null | Value::Object(_)) => return,
        // Of another type than the field: it stays, to be refused.
        Some(other) => {
            secret.insert("stringData".into(), other);
            return;
        }
    };
    let data = secret.entry("data").or_insert_with(|| json!({}));
    if let Some(data) = data.as_object_mut() {
        for (key, text) in texts {
            let encoded = match &text {
                Value::String(text) => STANDARD.encode(text).into(),
                Value::Null => "".into(),
                _ => text,
            };
            data.insert(key, encoded);
        }
    }
}

fn session_affinity(spec: &mut Object) {
    match spec.get("sessionAffinity").and_then(Value::as_str) {
        Some("None") => {
            spec.remove("sessionAffinityConfig");
        }
        Some("ClientIP") => {
            // Step by step, since what else is said there stays, to be refused.
            let config = opened(spec, "sessionAffinityConfig").and_then(|config| opened(config, "clientIP"));
            if let Some(config) = config
                && config.get("timeoutSeconds").is_none_or(Value::is_null)
            {
                config.insert("timeoutSeconds".into(), 10800.into());
            }
        }
        _ => {}
    }
}

/// A service with external addresses is reached from outside, whatever its type.
fn external_addresses(spec: &mut Object) {
    let external = spec.get("externalIPs").and_then(Value::as_array).is_some_and(|all| !all.is_empty());
    if external && spec.get("type").and_then(Value::as_str) == Some("ClusterIP") {
        default(spec, "externalTrafficPolicy", "Cluster");
    }
}

fn target_port(port: &mut Object) {
    if port.get("targetPort").is_none_or(|target| target.as_str() == Some(""))
        && let Some(number) = port.get("port").cloned()
    {
        port.insert("targetPort".into(), number);
    }
}

/// One run, one at a time: only where neither is said.
fn job_counts(spec: &mut Object) {
    if !spec.contains_key("completions") && !spec.contains_key("parallelism") {
        spec.insert("completions".into(), 1.into());
    }
    default(spec, "parallelism", 1);
}

/// Labels are those of the pod template, where there are none.
pub(crate) fn labels_of_template(object: &mut Object) {
    let labels = object.get("spec").and_then(|spec| spec.pointer("/template/metadata/labels")).cloned();
    let Some(labels) = labels.filter(|labels| labels.as_object().is_some_and(|all| !all.is_empty())) else { return };
    let metadata = object.entry("metadata").or_insert_with(|| json!({}));
    let Some(metadata) = metadata.as_object_mut() else { return };
    if metadata.get("labels").is_none_or(|own| own.is_null() || own.as_object().is_some_and(Map::is_empty)) {
        metadata.insert("labels".into(), labels);
    }
}

fn controller_labels(controller: &mut Object) {
    labels_of_template(controller);
    let labels = controller.get("spec").and_then(|spec| spec.pointer("/template/metadata/labels")).cloned();
    let Some(labels) = labels.filter(|labels| labels.as_object().is_some_and(|all| !all.is_empty())) else { return };
    if let Some(spec) = object_mut(controller, "spec")
        && spec.get("selector").is_none_or(|own| own.is_null() || own.as_object().is_some_and(Map::is_empty))
    {
        spec.insert("selector".into(), labels);
    }
}

/// Claim templates are shown as whole claims that wait.
fn claim_templates(spec: &mut Object) {
    for claim in objects_mut(spec, "volumeClaimTemplates") {
        claim.insert("apiVersion".into(), "v1".into());
        claim.insert("kind".into(), "PersistentVolumeClaim".into());
        if let Some(status) = opened(claim, "status")
            && status.get("phase").is_none_or(|phase| phase.is_null() || phase.as_str() == Some(""))
        {
            status.insert("phase".into(), "Pending".into());
        }
    }
}

fn policy_types(spec: &mut Object) {
    let none = |field: &str| match spec.get(field) {
        None | Some(Value::Null) => true,
        Some(Value::Array(all)) => all.is_empty(),
        // Of another type than the field: it stays, to be refused.
        Some(_) => false,
    };
    if none("policyTypes") {
        let types = if none("egress") { json!(["Ingress"]) } else { json!(["Ingress", "Egress"]) };
        spec.insert("policyTypes".into(), types);
    }
}

/// Where any behaviour is said, both directions are filled in.
fn scaling_behavior(spec: &mut Object) {
    let Some(behavior) = object_mut(spec, "behavior") else { return };
    let mut fill = |direction: &str, window: Option<i64>, policies: Value| {
        let Some(rules) = opened(behavior, direction) else { return };
        rules.retain(|_, value| !value.is_null());
        default(rules, "selectPolicy", "Max");
        default(rules, "policies", policies);
        if let Some(window) = window {
            default(rules, "stabilizationWindowSeconds", window);
        }
    };
    let percent = json!({"type": "Percent", "value": 100, "periodSeconds": 15});
    fill("scaleUp", Some(0), json!([{"type": "Pods", "value": 4, "periodSeconds": 15}, percent]));
    fill("scaleDown", None, json!([percent]));
}

/// For containers, limits that are not said are the largest allowed, and requests the limits, then the smallest.
pub(super) fn range_defaults(item: &mut Object) {
    if item.get("type").and_then(Value::as_str) != Some("Container") {
        return;
    }
    let given = |item: &Object, list: &str| object(item, list).cloned().unwrap_or_default();
    let mut limits = given(item, "default");
    for (resource, amount) in given(item, "max") {
        default(&mut limits, &resource, amount);
    }
    let mut requests = given(item, "defaultRequest");
    for (resource, amount) in limits.clone().into_iter().chain(given(item, "min")) {
        default(&mut requests, &resource, amount);
    }
    item.insert("default".into(), Value::Object(limits));
    item.insert("defaultRequest".into(), Value::Object(requests));
}
