//! What the API server allocates for a Service before the validating phase: addresses, families, node ports.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::tables::At;
use serde_json::{Value, json};

use super::{Form, Situation, add, has, list, text};

/// A service without an address of its own.
const HEADLESS: &str = "None";

pub(super) fn inject(expected: &mut Value, situation: &Situation<'_>) {
    // In the mutating phase nothing is allocated yet: there such a field is the caller's.
    if situation.form != Form::Validating {
        return;
    }
    let kind = text(expected, "/spec/type").unwrap_or("ClusterIP").to_owned();
    if kind == "ExternalName" {
        return;
    }
    addresses(expected, situation.object);
    families(expected, situation.object);
    let balanced = kind == "LoadBalancer";
    let allocates = expected.at("/spec/allocateLoadBalancerNodePorts") != Some(&Value::Bool(false));
    if kind == "NodePort" || (balanced && allocates) {
        node_ports(expected, situation.object);
    }
    if balanced && text(expected, "/spec/externalTrafficPolicy") == Some("Local") {
        let shown = situation.object.at("/spec/healthCheckNodePort").filter(|port| is_port(port));
        if let Some(port) = shown {
            add(expected, &["spec"], "healthCheckNodePort", port.clone());
        }
    }
}

fn is_port(port: &Value) -> bool {
    port.as_i64().is_some_and(|port| (1..=65535).contains(&port))
}

fn is_address(address: &Value) -> bool {
    address.as_str().is_some_and(|address| address.parse::<IpAddr>().is_ok())
}

/// The first address, and all of them: what was written stands, what was not is allocated.
fn addresses(expected: &mut Value, object: &Value) {
    let shown = list(object, "/spec/clusterIPs");
    if !has(expected, "/spec/clusterIP") {
        let written = list(expected, "/spec/clusterIPs").first().cloned();
        let first = written.or_else(|| shown.first().filter(|address| is_address(address)).cloned());
        if let Some(first) = first.filter(|first| object.at("/spec/clusterIP") == Some(first)) {
            add(expected, &["spec"], "clusterIP", first);
        }
    }
    let first = expected.at("/spec/clusterIP").cloned();
    let follows = shown.first() == first.as_ref()
        && shown.len() <= 2
        && shown.iter().skip(1).all(|address| is_address(address) && first.as_ref().is_some_and(is_address));
    // A second address comes only with a policy that allows two families.
    let allowed = shown.len() < 2 || two_families(expected);
    if first.is_some() && follows && allowed && !shown.is_empty() {
        add(expected, &["spec"], "clusterIPs", json!(shown));
    }
}

fn two_families(expected: &Value) -> bool {
    matches!(text(expected, "/spec/ipFamilyPolicy"), Some("PreferDualStack" | "RequireDualStack"))
}

fn families(expected: &mut Value, object: &Value) {
    let headless = text(expected, "/spec/clusterIP") == Some(HEADLESS);
    let selectorless = list(expected, "/spec/selector").is_empty() && !has(expected, "/spec/selector");
    let may_have_two = two_families(expected) || (headless && selectorless);
    let shown = list(object, "/spec/ipFamilies");
    let known = shown.iter().all(|family| matches!(family.as_str(), Some("IPv4" | "IPv6")));
    let distinct = shown.len() == 1 || (shown.len() == 2 && shown[0] != shown[1] && may_have_two);
    let written = list(expected, "/spec/ipFamilies");
    if known && distinct && shown.starts_with(written) && shown.len() > written.len() {
        let shown = json!(shown);
        if let Some(spec) = super::entry(expected, &["spec"]) {
            spec.insert("ipFamilies".into(), shown);
        }
    }
    if let Some(policy) = text(object, "/spec/ipFamilyPolicy") {
        let follows = policy == "SingleStack" || (headless && selectorless && policy == "RequireDualStack");
        if follows {
            add(expected, &["spec"], "ipFamilyPolicy", policy.into());
        }
    }
}

/// A node port for every port that has none.
fn node_ports(expected: &mut Value, object: &Value) {
    let shown = list(object, "/spec/ports");
    // By port and protocol; one that says neither, or only one of them, is the same as any that says it.
    let mut first: HashMap<[Option<&Value>; 2], usize> = HashMap::with_capacity(shown.len());
    for (at, port) in shown.iter().enumerate() {
        first.entry([port.get("port"), port.get("protocol")]).or_insert(at);
    }
    let ports = expected.at_mut("/spec/ports").and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten() {
        let (number, protocol) = (port.get("port"), port.get("protocol"));
        let alike = [[number, protocol], [number, None], [None, protocol], [None, None]];
        let same = alike.iter().filter_map(|key| first.get(key)).min().and_then(|at| shown.get(*at));
        let node_port = same.and_then(|other| other.get("nodePort")).filter(|port| is_port(port));
        if let (Some(node_port), Some(port)) = (node_port.cloned(), port.as_object_mut()) {
            port.entry("nodePort").or_insert(node_port);
        }
    }
}
