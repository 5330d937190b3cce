//! What is never admitted, whatever a template says, judged on the recognised object.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::budget::Budget;
use crate::caller::Caller;
use crate::keys;
use crate::library::TemplateSet;
use crate::object::{Gvk, NamespacedName};
use crate::parameter::{Bindings, Schema, SchemaNode};
use crate::recognise::work;
use crate::tables::At;

use super::attempt::too_much;
use super::grant::Candidate;
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

/// Keys whose values say who an object runs as, what keeps it, and whose it is.
const IDENTITY: [&str; 4] = ["serviceAccountName", "serviceAccount", "finalizers", "ownerReferences"];

/// Refuses bindings that carry a reserved key, and maps through which a master would say what only an author may say.
///
/// # Errors
/// A refusal; also where telling takes more steps than are left.
pub(crate) fn bound(candidate: &Candidate<'_>, bindings: &Bindings, budget: &Budget) -> Result<(), Refusal> {
    let template = candidate.template;
    for (parameter, value) in template.parameters.all.iter().zip(&bindings.declared) {
        let Some(value) = value else { continue };
        if let Some(key) = reserved_key(value) {
            return Err(Refusal::new(
                Cause::Forbidden,
                format!(
                    "parameter {} binds the key {key:?}, which steers a collector; only the template itself may write it",
                    parameter.name
                ),
            ));
        }
        if !names_identity(value) {
            continue;
        }
        // Of alternatives that is told by the one that accepts the value.
        budget.spend(work::of_accepting(&parameter.schema, value, Some(budget))).map_err(|_| too_much(candidate))?;
        if let Some(key) = identity_key(&parameter.schema, value) {
            return Err(Refusal::new(
                Cause::Forbidden,
                format!(
                    "parameter {} binds {key}, which only the template itself may say: written out there, or as an enum \
                     of its values",
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

/// Whether a key of an identity stands anywhere in a value.
fn names_identity(value: &Value) -> bool {
    match value {
        Value::Object(entries) => {
            entries.iter().any(|(key, value)| IDENTITY.contains(&key.as_str()) || names_identity(value))
        }
        Value::Array(values) => values.iter().any(names_identity),
        _ => false,
    }
}

/// The first key of an identity whose value is not one that the author listed. Values of text alone hold none.
fn identity_key<'a>(schema: &Schema, value: &'a Value) -> Option<&'a str> {
    if !schema.allowed.is_empty() {
        return None;
    }
    match (&schema.node, value) {
        (SchemaNode::Map(map), Value::Object(entries)) => entries.iter().find_map(|(key, value)| {
            let named = map.properties.get(key).map(|property| &property.schema);
            let schema = named.or(map.additional.as_deref())?;
            // `default` is who a pod runs as that names nobody.
            if IDENTITY.contains(&key.as_str()) && schema.allowed.is_empty() && value != "default" {
                return Some(key.as_str());
            }
            identity_key(schema, value)
        }),
        (SchemaNode::List(list), Value::Array(values)) => {
            values.iter().find_map(|value| identity_key(&list.items, value))
        }
        (SchemaNode::OneOf(schemas), value) => {
            schemas.iter().find(|schema| schema.admits(value)).and_then(|schema| identity_key(schema, value))
        }
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
    let mut named = Vec::new();
    match pod_spec(object) {
        Some(spec) => accounts_of(spec, &mut named),
        None => collect_accounts(object, Place::Root, &mut named),
    }
    named.sort_unstable();
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

/// Where in an object.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Metadata,
    Inside,
}

/// Every account that pods of this object run under: of pod specs (`default` where none is named), and wherever a
/// custom resource writes `serviceAccountName` or `serviceAccount`.
fn collect_accounts<'a>(value: &'a Value, place: Place, into: &mut Vec<&'a str>) {
    match value {
        Value::Object(map) => {
            accounts_of(map, into);
            for (key, inner) in map {
                // The server's own notes, as long as the object, say nothing of accounts.
                if place == Place::Metadata && key == "managedFields" {
                    continue;
                }
                let metadata = place == Place::Root && key == "metadata";
                collect_accounts(inner, if metadata { Place::Metadata } else { Place::Inside }, into);
            }
        }
        Value::Array(list) => list.iter().for_each(|inner| collect_accounts(inner, Place::Inside, into)),
        _ => {}
    }
}

/// The accounts that one map names, and the one that pods of it get that name none.
fn accounts_of<'a>(map: &'a Map<String, Value>, into: &mut Vec<&'a str>) {
    let names = ["serviceAccountName", "serviceAccount"].iter().filter_map(|key| map.get(*key)?.as_str());
    let before = into.len();
    into.extend(names.filter(|name| !name.is_empty()));
    if into.len() == before && map.get("containers").is_some_and(Value::is_array) {
        into.push("default");
    }
}

/// Where the only account of a built-in kind stands: the rest of it need not be searched.
fn pod_spec(object: &Value) -> Option<&Map<String, Value>> {
    let place = match (object.get("apiVersion")?.as_str()?, object.get("kind")?.as_str()?) {
        ("v1", "Pod") => "/spec",
        ("batch/v1", "Job") | ("apps/v1", "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet") => {
            "/spec/template/spec"
        }
        ("batch/v1", "CronJob") => "/spec/jobTemplate/spec/template/spec",
        _ => return None,
    };
    object.at(place)?.as_object()
}
