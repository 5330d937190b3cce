//! The narrow rights that a master needs for its templates: one Role per namespace. In the account's own namespace the
//! verb `launch`, which makes it a master, stands in the same Role as the verbs to create, so that withdrawing one
//! withdraws both.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::keys;
use crate::library::TemplateSet;
use crate::object::{Gvk, NamespacedName};
use crate::parameter::Bindings;
use crate::render;
use crate::stamp::label_value;
use crate::tables::{self, Facts};
use crate::template::{Given, Placement, Template};

/// What a master does with its dependents. Reading is part of it: who may launch wants to see how it went.
const VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// Why the rights could not be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RbacError {
    /// No ConfigMap admits the account.
    #[error("none of the ConfigMaps admits the account {0}; their annotation {masters} says whom they admit", masters = keys::MASTERS)]
    NotAdmitted(NamespacedName),
    /// A custom kind whose resource name is unknown.
    #[error(
        "template {key} of ConfigMap {config_map}: the resource of {kind} is not known; give its CustomResourceDefinition with --with"
    )]
    UnknownKind {
        /// The ConfigMap.
        config_map: NamespacedName,
        /// The `data` key.
        key: String,
        /// The kind.
        kind: Gvk,
    },
    /// The namespace depends on a parameter.
    #[error("template {key} of ConfigMap {config_map}: its namespace depends on more than the account ({reason})")]
    Namespace {
        /// The ConfigMap.
        config_map: NamespacedName,
        /// The `data` key.
        key: String,
        /// What is missing.
        reason: String,
    },
}

/// What a master is given beside the rights to its dependents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Beside {
    /// Nothing.
    #[default]
    Nothing,
    /// Reading the pods of its Jobs, and their logs, as `retinue run` does.
    Watching,
}

/// Resources (with subresources) by API group, each with its verbs.
type Rules = BTreeMap<(String, String), BTreeSet<&'static str>>;

/// The Roles and RoleBindings that `master` needs for those of `sets` that admit it, and no more.
///
/// # Errors
/// [`RbacError`]; nothing is guessed.
pub fn roles<'a>(
    sets: impl IntoIterator<Item = &'a TemplateSet>,
    master: &NamespacedName,
    facts: &Facts,
    beside: Beside,
) -> Result<Vec<Value>, RbacError> {
    let mut by_namespace: BTreeMap<String, Rules> = BTreeMap::new();
    let mut admitted = false;
    for set in sets.into_iter().filter(|set| set.masters.admit(&set.name.namespace, master)) {
        admitted = true;
        let mut places = BTreeSet::new();
        for template in set.templates.all() {
            let place = namespace(set, template, master)?;
            let rules = by_namespace.entry(place.clone()).or_default();
            places.insert(place);
            let resource = tables::plural_with(&template.kind, facts).ok_or_else(|| RbacError::UnknownKind {
                config_map: set.name.clone(),
                key: template.key.clone(),
                kind: Gvk::clone(&template.kind),
            })?;
            let group = template.kind.group.clone();
            rules.entry((group.clone(), resource.to_owned())).or_default().extend(VERBS);
            if beside == Beside::Watching && (group.as_str(), resource) == ("batch", "jobs") {
                rules.entry((String::new(), "pods".into())).or_default().extend(["get", "list", "watch"]);
                rules.entry((String::new(), "pods/log".into())).or_default().extend(["get"]);
            }
            for (of, subresource) in set.allow.iter().filter(|(of, _)| of == resource) {
                let verbs = subresource_verbs(subresource);
                rules.entry((group.clone(), format!("{of}/{subresource}"))).or_default().extend(verbs);
            }
        }
        // `pods/exec` on the pods of a Job: the template makes Jobs, the subresource is the pods'.
        for (_, subresource) in set.allow.iter().filter(|(of, _)| of == "pods") {
            for place in &places {
                let rules = by_namespace.entry(place.clone()).or_default();
                let verbs = subresource_verbs(subresource);
                rules.entry((String::new(), format!("pods/{subresource}"))).or_default().extend(verbs);
                // kubectl exec and port-forward look at the pod first.
                rules.entry((String::new(), "pods".into())).or_default().extend(["get"]);
            }
        }
    }
    if !admitted {
        return Err(RbacError::NotAdmitted(master.clone()));
    }
    // Without a template in its own namespace it still has to be a master there.
    by_namespace.entry(master.namespace.clone()).or_default();
    Ok(by_namespace.into_iter().flat_map(|(namespace, rules)| role(&namespace, &rules, master)).collect())
}

fn subresource_verbs(subresource: &str) -> &'static [&'static str] {
    match subresource {
        // Since Kubernetes 1.35 a WebSocket's GET needs `create` as well; older servers ask for `get`.
        "exec" | "attach" | "portforward" | "proxy" => &["create", "get"],
        "eviction" => &["create"],
        _ => &["get", "patch", "update"],
    }
}

fn namespace(set: &TemplateSet, template: &Template, master: &NamespacedName) -> Result<String, RbacError> {
    let Placement::Named(pattern) = &template.placement else { return Ok(master.namespace.clone()) };
    let given = [(Given::MasterName, master.name.clone()), (Given::MasterNamespace, master.namespace.clone())];
    let bindings = Bindings { given: given.into(), ..Bindings::default() };
    let error =
        |reason: String| RbacError::Namespace { config_map: set.name.clone(), key: template.key.clone(), reason };
    let rendered = render::render_pattern(template, pattern, &bindings).map_err(|reason| error(reason.to_string()))?;
    let name = rendered.as_ref().and_then(Value::as_str).map(str::to_owned);
    name.ok_or_else(|| error("it is no text".into()))
}

fn role(namespace: &str, rules: &Rules, master: &NamespacedName) -> [Value; 2] {
    let own = namespace == master.namespace;
    let name =
        if own { format!("retinue-{}", master.name) } else { format!("retinue-{}-{}", master.namespace, master.name) };
    let labels = json!({
        "app.kubernetes.io/managed-by": "retinue",
        "app.kubernetes.io/part-of": "retinue",
        "app.kubernetes.io/instance": label_value(&master.name),
    });
    let mut list = Vec::new();
    if own {
        list.push(json!({"apiGroups": [keys::GROUP], "resources": ["dependents"], "verbs": ["launch"]}));
    }
    // Resources of one group with the same verbs share a rule.
    let mut merged: BTreeMap<(&str, Vec<&str>), Vec<&str>> = BTreeMap::new();
    for ((group, resource), verbs) in rules {
        merged.entry((group, verbs.iter().copied().collect())).or_default().push(resource);
    }
    for ((group, verbs), resources) in merged {
        list.push(json!({"apiGroups": [group], "resources": resources, "verbs": verbs}));
    }
    let metadata = json!({"name": name, "namespace": namespace, "labels": labels});
    [
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata, "rules": list,
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": master.name, "namespace": master.namespace}],
        }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    fn set(annotations: &str, data: &str) -> TemplateSet {
        let text = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: t\n  namespace: trading\n  labels: {{fledged.io/templates: \"true\"}}\n  annotations: {annotations}\ndata:\n{data}"
        );
        let set = TemplateSet::load(&yaml::value(&text).unwrap());
        assert!(set.usable() && !set.templates.is_empty(), "{:?}", set.problems);
        set
    }

    const NOTE: &str = "  note.yaml: |\n    apiVersion: v1\n    kind: ConfigMap\n    metadata: {name: note}\n";
    const JOB: &str = "  job.yaml: |\n    apiVersion: batch/v1\n    kind: Job\n    metadata: {name: j}\n    spec:\n      template:\n        spec:\n          restartPolicy: Never\n          containers: [{name: a, image: b}]\n";

    fn master() -> NamespacedName {
        NamespacedName::new("trading", "eod")
    }

    #[test]
    fn launch_and_create_stand_in_one_role() {
        let one = set("{}", NOTE);
        let printed = roles([&one], &master(), &Facts::default(), Beside::Nothing).unwrap();
        assert_eq!(printed.len(), 2);
        let rules = printed[0]["rules"].as_array().unwrap();
        assert_eq!(rules[0], json!({"apiGroups": ["fledged.io"], "resources": ["dependents"], "verbs": ["launch"]}));
        assert_eq!(rules[1]["resources"], json!(["configmaps"]));
        assert_eq!(rules.len(), 2);
        assert_eq!(printed[1]["subjects"][0]["name"], "eod");
    }

    #[test]
    fn a_template_for_another_namespace_needs_a_role_there_without_launch() {
        let one = set("{}", &NOTE.replace("{name: note}", "{name: note, namespace: shared}"));
        let printed = roles([&one], &master(), &Facts::default(), Beside::Nothing).unwrap();
        let there = printed.iter().find(|object| object["metadata"]["namespace"] == "shared").unwrap();
        assert!(!there["rules"].to_string().contains("launch"));
        let own = printed.iter().find(|object| object["metadata"]["namespace"] == "trading").unwrap();
        assert_eq!(own["rules"].as_array().unwrap().len(), 1, "launch alone");
    }

    #[test]
    fn subresources_are_those_that_the_config_map_allows() {
        let one = set("{fledged.io/allow: pods/exec}", JOB);
        let printed = roles([&one], &master(), &Facts::default(), Beside::Nothing).unwrap();
        let text = printed[0]["rules"].to_string();
        assert!(text.contains("pods/exec") && text.contains("jobs") && !text.contains("\"*\""), "{text}");
    }

    #[test]
    fn reading_pods_and_their_logs_is_given_where_asked_for_and_there_are_jobs() {
        let one = set("{}", &format!("{JOB}{}", NOTE.replace("{name: note}", "{name: note, namespace: shared}")));
        let rules = |beside, namespace: &str| {
            let printed = roles([&one], &master(), &Facts::default(), beside).unwrap();
            let role = printed.iter().find(|object| object["metadata"]["namespace"] == namespace).unwrap();
            role["rules"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|rule| rule["apiGroups"] == json!([""]))
                .cloned()
                .collect::<Vec<_>>()
        };
        assert_eq!(rules(Beside::Nothing, "trading"), Vec::<Value>::new());
        assert_eq!(
            rules(Beside::Watching, "trading"),
            [
                json!({"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]}),
                json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}),
            ]
        );
        assert_eq!(rules(Beside::Watching, "shared").len(), 1, "no Job there");
    }

    #[test]
    fn an_account_that_no_config_map_admits_gets_no_role() {
        let one = set("{fledged.io/masters: other}", NOTE);
        assert_eq!(roles([&one], &master(), &Facts::default(), Beside::Nothing), Err(RbacError::NotAdmitted(master())));
    }

    #[test]
    fn an_unknown_kind_is_asked_for() {
        let custom = "  w.yaml: |\n    apiVersion: example.com/v1\n    kind: Widget\n    metadata: {name: w}\n";
        let one = set("{}", custom);
        assert!(matches!(
            roles([&one], &master(), &Facts::default(), Beside::Nothing),
            Err(RbacError::UnknownKind { .. })
        ));
        let mut facts = Facts::default();
        facts.apply(&json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "widgets.example.com"},
            "spec": {
                "group": "example.com", "scope": "Namespaced", "names": {"kind": "Widget", "plural": "widgets"},
                "versions": [{"name": "v1", "schema": {"openAPIV3Schema": {"type": "object"}}}],
            },
        }));
        let printed = roles([&one], &master(), &facts, Beside::Nothing).unwrap();
        assert!(printed[0]["rules"].to_string().contains("widgets"));
    }
}
