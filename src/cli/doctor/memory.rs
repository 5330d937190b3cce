//! Template ConfigMaps of which the webhook keeps nothing, since those of their namespace take too much memory.

use std::collections::{BTreeMap, HashMap};

use policies::doctor::{Area, Finding, Severity};
use policies::library::share::{Wanted, held, not_kept};
use policies::library::{NotKept, TemplateSet};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::container::option;
use crate::deploy::WEBHOOK;
use crate::memory;

/// How many ConfigMaps of a namespace are named; the rest is counted.
const NAMED: usize = 20;

/// How much the webhook of this Deployment keeps: what its flag says, else by its memory limit.
pub(super) fn bound(deployment: &Value) -> u64 {
    let container = deployment.pointer("/spec/template/spec/containers/0");
    let said = container.and_then(|container| option(container, "--template-memory"));
    let limit = container.and_then(|it| it.pointer("/resources/limits/memory")).and_then(Value::as_str);
    let bytes = |text: &str| memory::bytes(text).ok();
    said.and_then(bytes).unwrap_or_else(|| memory::part_of(limit.and_then(bytes)))
}

/// What of these ConfigMaps, each with what was loaded of it, is not kept where so much is: a finding for each namespace.
/// Where it is not known how much is kept: one that says so, unless any webhook keeps as much as these need.
pub(super) fn examine(config_maps: &[Value], sets: &[TemplateSet], bound: Option<u64>) -> Vec<Finding> {
    let data: Vec<_> = config_maps.iter().map(|found| Sha256::digest(found["data"].to_string())).collect();
    let wanted: Vec<_> = config_maps
        .iter()
        .zip(sets)
        .zip(&data)
        .map(|((config_map, set), data)| Wanted {
            name: &set.name,
            created: config_map["metadata"]["creationTimestamp"].as_str().unwrap_or_default(),
            weight: set.weight,
            data,
        })
        .collect();
    let Some(bound) = bound else { return unknown(held(&wanted, &HashMap::new())).into_iter().collect() };
    let mut namespaces: BTreeMap<&str, Vec<(&TemplateSet, NotKept)>> = BTreeMap::new();
    for (position, reason) in not_kept(&wanted, bound) {
        if let Some(set) = sets.get(position) {
            namespaces.entry(&set.name.namespace).or_default().push((set, reason));
        }
    }
    let finding = |(namespace, mut all): (&str, Vec<(&TemplateSet, NotKept)>)| {
        all.sort_by_key(|(set, _)| &set.name);
        let ((set, reason), others) = all.split_first()?;
        let names: Vec<&str> = others.iter().take(NAMED).map(|(set, _)| set.name.name.as_str()).collect();
        let more = match others.len() {
            0 => String::new(),
            count => {
                let beyond = if count > NAMED { ", …" } else { "" };
                format!(" (and {count} more of this namespace: {}{beyond})", names.join(", "))
            }
        };
        Some(Finding::new(
            Severity::Problem,
            Area::Templates,
            format!("namespace {namespace}"),
            format!("{}{more}", reason.reason(&set.name)),
            format!(
                "kubectl get configmaps -n {namespace} -l {}=true, and delete what is not needed",
                policies::keys::TEMPLATES
            ),
        ))
    };
    namespaces.into_iter().filter_map(finding).collect()
}

/// Nobody says how much is kept, and ConfigMaps need so many bytes.
fn unknown(needed: u64) -> Option<Finding> {
    (needed > memory::LEAST).then(|| {
        Finding::new(
            Severity::Unknown,
            Area::Templates,
            "memory for templates",
            format!(
                "is not known: there is no Deployment {WEBHOOK} whose --template-memory or memory limit could be read. All template \
                 ConfigMaps together need {}Mi; those that the webhook does not keep cannot be used",
                needed.div_ceil(1 << 20)
            ),
            "look at retinue_template_configmaps_not_kept in the webhook's metrics; its log names those that are not kept",
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_deployment_says_how_much_is_kept() {
        let deployment = |args: &[&str], limit: &str| {
            let container = json!({"args": args, "resources": {"limits": {"memory": limit}}});
            json!({"spec": {"template": {"spec": {"containers": [container]}}}})
        };
        for (args, limit, expected) in [
            (&["webhook"][..], "768Mi", 192 << 20),
            (&["webhook", "--template-memory", "64Mi"], "512Mi", 64 << 20),
            (&["webhook", "--template-memory=1Gi"], "512Mi", 1 << 30),
            (&["webhook"], "", crate::cluster::templates::KEPT),
        ] {
            assert_eq!(bound(&deployment(args, limit)), expected, "{args:?}");
        }
    }

    #[test]
    fn where_no_deployment_says_how_much_is_kept_it_is_unknown_unless_there_is_little() {
        assert_eq!(unknown(memory::LEAST), None);
        let finding = unknown((21 << 20) - 1).unwrap_or_else(|| panic!("nothing is said"));
        assert_eq!((finding.severity, finding.area), (Severity::Unknown, Area::Templates));
        assert!(finding.message.contains("need 21Mi"), "{finding:?}");
    }

    #[test]
    fn threat_54_config_maps_beyond_the_bound_are_one_finding_of_their_namespace() {
        let made = |name: &str| {
            let text = format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: x}}\ndata: {{k: {}}}\n",
                name.repeat(100_000 / name.len())
            );
            json!({"metadata": {"name": name, "namespace": "trading", "labels": {"fledged.io/templates": "true"}},
                   "data": {"t.yaml": text}})
        };
        // As many as are kept of the largest alone.
        let told = |names: &[String]| {
            let all: Vec<_> = names.iter().map(|name| made(name)).collect();
            let sets: Vec<_> = all.iter().map(TemplateSet::load).collect();
            assert!(examine(&all, &sets, Some(100 << 20)).is_empty());
            let findings = examine(&all, &sets, sets.iter().map(|set| set.weight.total()).max());
            let [finding] = findings.as_slice() else { panic!("{findings:?}") };
            assert_eq!((finding.severity, finding.area), (Severity::Problem, Area::Templates));
            finding.message.clone()
        };
        let message = told(&["a", "b", "c"].map(str::to_owned));
        assert!(message.contains("ConfigMap trading/b is not kept"), "{message}");
        assert!(message.ends_with("(and 1 more of this namespace: c)"), "{message}");
        let many: Vec<_> = (0..25).map(|number| format!("x{number:02}")).collect();
        let message = told(&many);
        let named = (2..22).map(|number| format!("x{number:02}")).collect::<Vec<_>>().join(", ");
        assert!(message.ends_with(&format!("(and 23 more of this namespace: {named}, …)")), "{message}");
    }
}
