//! What a newer API server makes of the resources that a pod itself asks for.
//!
//! From 1.37 on they are filled in when admission plugins have run (feature gate `PodLevelResourcesFixDefaulting`,
//! `DefaultPodLevelResources` in pkg/api/pod/util.go), and more of them than before ([`super::super::rules`]): requests
//! also where the pod has no limits, and limits where every container has one. What an older server leaves out need not
//! be shown.

use serde_json::{Map, Value};

use super::{Situation, add};
use crate::quantity::Quantity;
use crate::tables::At;
use crate::tables::rules::{Amounts, CONTAINERS, amounts, containers_together};

pub(super) fn inject(expected: &mut Value, situation: &Situation<'_>) {
    let (Some(spec), Some(shown)) =
        (expected.at("/spec").and_then(Value::as_object), situation.shown("/spec/resources"))
    else {
        return;
    };
    for (field, filled) in filled(spec) {
        for (resource, amount) in filled {
            let of = |resources: &Value| Some(resources.get(field)?.get(&resource)?.clone());
            if let Some(value) = of(shown).filter(|value| Quantity::from_value(value).is_ok_and(|it| it == amount)) {
                add(expected, &["spec", "resources", field], &resource, value);
            }
        }
    }
}

/// The requests and limits of a pod with this spec, which says some of them.
fn filled(spec: &Map<String, Value>) -> [(&'static str, Amounts); 2] {
    let own = |field: &str| spec.get("resources").map(|resources| amounts(resources, field)).unwrap_or_default();
    let (mut requests, mut limits) = (own("requests"), own("limits"));
    if requests.is_empty() && limits.is_empty() {
        return [("requests", requests), ("limits", limits)];
    }
    let (together, most) = (containers_together(spec, "requests"), containers_together(spec, "limits"));
    for (resource, amount) in &most {
        if is_huge(resource) && !requests.contains_key(resource) {
            limits.entry(resource.clone()).or_insert(*amount);
        }
    }
    for (resource, amount) in &together {
        if is_shared(resource) {
            requests.entry(resource.clone()).or_insert(*amount);
        }
    }
    for (resource, amount) in &limits {
        if is_shared(resource) || is_huge(resource) {
            requests.entry(resource.clone()).or_insert(*amount);
        }
    }
    for (resource, amount) in &requests {
        let candidate = (is_shared(resource) || is_huge(resource)) && !limits.contains_key(resource);
        if let Some(most) = most.get(resource).filter(|_| candidate && all_limit(spec, resource)) {
            limits.insert(resource.clone(), (*most).max(*amount));
        }
    }
    [("requests", requests), ("limits", limits)]
}

/// Whether containers may ask for more of it than there is.
fn is_shared(resource: &str) -> bool {
    matches!(resource, "cpu" | "memory")
}

fn is_huge(resource: &str) -> bool {
    resource.starts_with("hugepages-")
}

/// Whether every container has a limit of this resource.
fn all_limit(spec: &Map<String, Value>, resource: &str) -> bool {
    let mut containers = CONTAINERS.iter().flat_map(|field| spec.get(*field).and_then(Value::as_array)).flatten();
    containers
        .all(|container| amounts(container.get("resources").unwrap_or(&Value::Null), "limits").contains_key(resource))
}
