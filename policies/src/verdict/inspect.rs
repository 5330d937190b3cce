//! What is never admitted, whatever a template says, judged on the recognised object.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::caller::Caller;
use crate::keys;
use crate::library::TemplateSet;
use crate::object::{Gvk, NamespacedName};
use crate::parameter::Bindings;
use crate::template::Template;

use super::{Cause, Refusal};

/// Refuses objects that no template may describe, by kind and content.
pub(crate) fn never(kind: &Gvk, object: &Value) -> Result<(), Refusal> {
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "ConfigMap") if object["metadata"]["labels"].get(keys::TEMPLATES).is_some() => Err(Refusal::new(
            Cause::Forbidden,
            format!("a master writes no template ConfigMaps (label {}); no template can allow it", keys::TEMPLATES),
        )),
        ("", "Secret") => {
            let kind = object["type"].as_str().unwrap_or_default();
            if matches!(kind, "kubernetes.io/service-account-token" | "bootstrap.kubernetes.io/token") {
                return Err(Refusal::new(
                    Cause::Forbidden,
                    format!("a Secret of type {kind} is a credential that Kubernetes fills; no template can allow it"),
                ));
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Refuses bindings that carry a reserved key.
pub(crate) fn bound(template: &Template, bindings: &Bindings) -> Result<(), Refusal> {
    for (parameter, value) in template.parameters.all.iter().zip(&bindings.declared) {
        if let Some(key) = value.as_ref().and_then(reserved_key) {
            return Err(Refusal::new(
                Cause::Forbidden,
                format!(
                    "parameter {} binds the key {key:?}, which steers a collector; only the template itself may write it",
                    parameter.name
                ),
            ));
        }
    }
    Ok(())
}

fn reserved_key(value: &Value) -> Option<&str> {
    match value {
        Value::Object(map) => map
            .iter()
            .find_map(|(key, inner)| if keys::is_reserved(key) { Some(key.as_str()) } else { reserved_key(inner) }),
        Value::Array(list) => list.iter().find_map(reserved_key),
        _ => None,
    }
}

/// Refuses pods under a master's account, the caller's own first of all, unless the admin says so.
pub(crate) fn accounts(
    object: &Value,
    namespace: &str,
    set: &TemplateSet,
    caller: &Caller,
    masters: &BTreeSet<NamespacedName>,
) -> Result<(), Refusal> {
    if set.allow_masters {
        return Ok(());
    }
    let mut named = BTreeSet::new();
    collect_accounts(object, &mut named);
    for name in named {
        let account = NamespacedName::new(namespace, name);
        if account == caller.account || masters.contains(&account) {
            return Err(Refusal::new(
                Cause::Forbidden,
                format!(
                    "its pods would run under the account {account}, which is a master: they could launch in turn; name \
                     another serviceAccountName, or set {}: \"true\" on ConfigMap {}",
                    keys::ALLOW_MASTERS,
                    set.name
                ),
            ));
        }
    }
    Ok(())
}

/// Every account that pods of this object run under: of pod specs (`default` where none is named), and wherever a
/// custom resource writes `serviceAccountName` or `serviceAccount`.
fn collect_accounts<'a>(value: &'a Value, into: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(map) => {
            let named: Vec<&str> = ["serviceAccountName", "serviceAccount"]
                .iter()
                .filter_map(|key| map.get(*key).and_then(Value::as_str))
                .filter(|name| !name.is_empty())
                .collect();
            if named.is_empty() && map.get("containers").is_some_and(Value::is_array) {
                into.insert("default");
            }
            into.extend(named);
            map.values().for_each(|inner| collect_accounts(inner, into));
        }
        Value::Array(list) => list.iter().for_each(|inner| collect_accounts(inner, into)),
        _ => {}
    }
}
