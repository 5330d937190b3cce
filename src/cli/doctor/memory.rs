//! Template ConfigMaps of which the webhook keeps nothing, since those of their namespace take too much memory.

use std::collections::BTreeMap;

use policies::doctor::{Area, Finding, Severity};
use policies::library::share::{Wanted, not_kept};
use policies::library::{NotKept, TemplateSet};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::role::memory;

/// How much the webhook of this Deployment keeps: what its flag says, else by its memory limit.
pub(super) fn bound(deployment: Option<&Value>) -> u64 {
    let container = deployment.and_then(|found| found.pointer("/spec/template/spec/containers/0"));
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let args: Vec<String> =
        container.and_then(|it| it["args"].as_array()).into_iter().flatten().filter_map(text).collect();
    let flag = "--template-memory";
    let after = args.windows(2).find(|two| two[0] == flag).map(|two| two[1].as_str());
    let said = after.or_else(|| args.iter().find_map(|arg| arg.strip_prefix(flag)?.strip_prefix('=')));
    let limit = container.and_then(|it| it.pointer("/resources/limits/memory")).and_then(Value::as_str);
    let bytes = |text: &str| memory::bytes(text).ok();
    said.and_then(bytes).unwrap_or_else(|| memory::part_of(limit.and_then(bytes)))
}

/// What of these ConfigMaps, each with what was loaded of it, is not kept where so much is: a finding for each namespace.
pub(super) fn examine(config_maps: &[Value], sets: &[TemplateSet], bound: u64) -> Vec<Finding> {
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
    let mut namespaces: BTreeMap<&str, Vec<(&TemplateSet, NotKept)>> = BTreeMap::new();
    for (position, reason) in not_kept(&wanted, bound) {
        if let Some(set) = sets.get(position) {
            namespaces.entry(&set.name.namespace).or_default().push((set, reason));
        }
    }
    let finding = |(namespace, mut all): (&str, Vec<(&TemplateSet, NotKept)>)| {
        all.sort_by_key(|(set, _)| &set.name);
        let (set, reason) = all.first()?;
        let more =
            if all.len() > 1 { format!(" (and {} more of this namespace)", all.len() - 1) } else { String::new() };
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
            assert_eq!(bound(Some(&deployment(args, limit))), expected, "{args:?}");
        }
        assert_eq!(bound(None), crate::cluster::templates::KEPT);
    }

    #[test]
    fn threat_54_config_maps_beyond_the_bound_are_one_finding_of_their_namespace() {
        let all: Vec<_> = ["a", "b", "c"]
            .iter()
            .map(|name| {
                let text = format!(
                    "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: x}}\ndata: {{k: {}}}\n",
                    name.repeat(100_000)
                );
                json!({"metadata": {"name": name, "namespace": "trading", "labels": {"fledged.io/templates": "true"}},
                       "data": {"t.yaml": text}})
            })
            .collect();
        let sets: Vec<_> = all.iter().map(TemplateSet::load).collect();
        assert!(examine(&all, &sets, 10 << 20).is_empty());
        let findings = examine(&all, &sets, sets.iter().map(|set| set.weight.total()).max().unwrap_or_default());
        let [finding] = findings.as_slice() else { panic!("{findings:?}") };
        assert_eq!((finding.severity, finding.area), (Severity::Problem, Area::Templates));
        assert!(
            finding.message.contains("ConfigMap trading/b is not kept") && finding.message.contains("1 more"),
            "{finding:?}"
        );
    }
}
