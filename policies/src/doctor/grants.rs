//! RBAC, read: who is granted what, by which binding. As `pkg/registry/rbac/validation` and
//! `pkg/apis/rbac/v1/evaluation_helpers.go` of Kubernetes evaluate it.
//!
//! It finds whom to look at. Whether an account really may is the API server's to answer, which may have other
//! authorizers beside RBAC.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::object::NamespacedName;

/// Every service account is in it.
pub const EVERY_ACCOUNT: &str = "system:serviceaccounts";
/// Everybody who is known is in it.
pub const EVERYBODY_KNOWN: &str = "system:authenticated";
/// The prefix of a service account's username.
const ACCOUNT: &str = "system:serviceaccount:";

/// Whom a binding names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// A ServiceAccount, by kind or by its username.
    Account(NamespacedName),
    /// A group.
    Group(String),
    /// Anybody else.
    User(String),
}

impl Subject {
    fn read(subject: &Value, namespace: Option<&str>) -> Option<Self> {
        let name = subject["name"].as_str()?;
        Some(match subject["kind"].as_str()? {
            "ServiceAccount" => Self::Account(NamespacedName::new(
                subject["namespace"].as_str().or(namespace).unwrap_or_default(),
                name,
            )),
            "Group" => Self::Group(name.into()),
            _ => match name.strip_prefix(ACCOUNT).and_then(|rest| rest.split_once(':')) {
                Some((namespace, name)) => Self::Account(NamespacedName::new(namespace, name)),
                None => Self::User(name.into()),
            },
        })
    }

    /// Whether ServiceAccounts are in it without being named; of one namespace: which.
    pub fn holds_accounts(&self) -> Option<Option<&str>> {
        let Self::Group(group) = self else { return None };
        match group.as_str() {
            EVERY_ACCOUNT | EVERYBODY_KNOWN => Some(None),
            other => other.strip_prefix("system:serviceaccounts:").map(Some),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(name) => write!(f, "ServiceAccount {name}"),
            Self::Group(name) => write!(f, "Group {name}"),
            Self::User(name) => write!(f, "User {name}"),
        }
    }
}

/// One rule of a role.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    verbs: Vec<String>,
    groups: Vec<String>,
    resources: Vec<String>,
    names: Vec<String>,
}

impl Rule {
    fn read(rule: &Value) -> Self {
        let texts = |name: &str| {
            let list = rule[name].as_array().into_iter().flatten();
            list.filter_map(|text| Some(text.as_str()?.to_owned())).collect()
        };
        Self {
            verbs: texts("verbs"),
            groups: texts("apiGroups"),
            resources: texts("resources"),
            names: texts("resourceNames"),
        }
    }
}

/// What is looked for. Names of objects are not asked for: a rule for some names only counts where `any_name`.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// One of these verbs.
    pub verbs: &'a [&'a str],
    /// The API group.
    pub group: &'a str,
    /// The resource, with its subresource: `nodes/proxy`.
    pub resource: &'a str,
    /// Whether rules for some names only count.
    pub any_name: bool,
}

/// A binding, with the rules of its role.
#[derive(Clone, Debug)]
struct Binding {
    name: String,
    role: String,
    namespace: Option<String>,
    subjects: Vec<Subject>,
    rules: Arc<Vec<Rule>>,
}

/// What RBAC grants.
#[derive(Clone, Debug, Default)]
pub struct Grants {
    bindings: Vec<Binding>,
}

/// One subject that is granted what was looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant<'a> {
    /// To whom.
    pub subject: &'a Subject,
    /// By which binding: `RoleBinding trading/eod`.
    pub binding: &'a str,
    /// Of which role: `ClusterRole retinue-launch`.
    pub role: &'a str,
    /// In which namespace; none: in all.
    pub namespace: Option<&'a str>,
    /// The verb stands there by name, not as `*`.
    pub by_name: bool,
}

impl Grants {
    /// From Roles, ClusterRoles, RoleBindings and ClusterRoleBindings.
    pub fn read(objects: &[Value]) -> Self {
        let name = |object: &Value| {
            let (kind, name) = (object["kind"].as_str()?, object["metadata"]["name"].as_str()?);
            Some(match object["metadata"]["namespace"].as_str() {
                Some(namespace) => format!("{kind} {namespace}/{name}"),
                None => format!("{kind} {name}"),
            })
        };
        let rules =
            |object: &Value| Arc::new(object["rules"].as_array().into_iter().flatten().map(Rule::read).collect());
        let is_role = |object: &&Value| matches!(object["kind"].as_str(), Some("Role" | "ClusterRole"));
        let roles: HashMap<String, Arc<Vec<Rule>>> =
            objects.iter().filter(is_role).filter_map(|role| Some((name(role)?, rules(role)))).collect();
        let mut bindings = Vec::new();
        for object in objects {
            if !matches!(object["kind"].as_str(), Some("RoleBinding" | "ClusterRoleBinding")) {
                continue;
            }
            let namespace = object["metadata"]["namespace"].as_str();
            let of = &object["roleRef"];
            let (Some(kind), Some(role), Some(name)) = (of["kind"].as_str(), of["name"].as_str(), name(object)) else {
                continue;
            };
            let role = match namespace {
                Some(namespace) if kind == "Role" => format!("Role {namespace}/{role}"),
                _ => format!("{kind} {role}"),
            };
            // A binding of a role that is not there grants nothing.
            let Some(rules) = roles.get(&role).cloned() else { continue };
            let subjects = object["subjects"].as_array().into_iter().flatten();
            let subjects = subjects.filter_map(|subject| Subject::read(subject, namespace)).collect();
            bindings.push(Binding { name, role, namespace: namespace.map(str::to_owned), subjects, rules });
        }
        bindings.sort_by(|one, other| one.name.cmp(&other.name));
        Self { bindings }
    }

    /// Who is granted it, and how.
    pub fn of<'a>(&'a self, wanted: &Wanted<'_>) -> Vec<Grant<'a>> {
        let mut grants = Vec::new();
        for binding in &self.bindings {
            let matching = || binding.rules.iter().filter(|rule| rule.grants(wanted));
            if matching().next().is_none() {
                continue;
            }
            let by_name = matching().any(|rule| rule.verbs.iter().any(|verb| wanted.verbs.contains(&verb.as_str())));
            grants.extend(binding.subjects.iter().map(|subject| Grant {
                subject,
                binding: &binding.name,
                role: &binding.role,
                namespace: binding.namespace.as_deref(),
                by_name,
            }));
        }
        grants
    }
}

impl Rule {
    fn grants(&self, wanted: &Wanted<'_>) -> bool {
        let has = |list: &[String], word: &str| list.iter().any(|item| item == word || item == "*");
        let resource = |rule: &String| {
            let subresource = wanted.resource.split_once('/').map(|(_, subresource)| subresource);
            rule == "*"
                || rule == wanted.resource
                || subresource.is_some_and(|subresource| rule.strip_prefix("*/") == Some(subresource))
        };
        wanted.verbs.iter().any(|verb| has(&self.verbs, verb))
            && has(&self.groups, wanted.group)
            && self.resources.iter().any(resource)
            && (self.names.is_empty() || wanted.any_name)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
    use serde_json::json;

    use super::*;

    fn role(rules: Value) -> Value {
        json!({"kind": "ClusterRole", "metadata": {"name": "r"}, "rules": rules})
    }

    fn granted(rules: Value, wanted: Wanted<'_>) -> Option<bool> {
        let binding = json!({
            "kind": "RoleBinding", "metadata": {"name": "b", "namespace": "trading"},
            "roleRef": {"kind": "ClusterRole", "name": "r"}, "subjects": [{"kind": "ServiceAccount", "name": "eod"}],
        });
        let grants = Grants::read(&[binding, role(rules)]);
        let found = grants.of(&wanted);
        let first = found.first()?;
        assert_eq!(first.subject, &Subject::Account(NamespacedName::new("trading", "eod")));
        assert_eq!((first.binding, first.namespace), ("RoleBinding trading/b", Some("trading")));
        Some(first.by_name)
    }

    #[test]
    fn rules_grant_as_kubernetes_evaluates_them() {
        let rule = |verb: &str, group: &str, resource: &str| json!([{"verbs": [verb], "apiGroups": [group], "resources": [resource]}]);
        let launch = Wanted { verbs: &["launch"], group: "fledged.io", resource: "dependents", any_name: false };
        for (rules, expected) in [
            (rule("launch", "fledged.io", "dependents"), Some(true)),
            (rule("*", "fledged.io", "dependents"), Some(false)),
            (rule("*", "*", "*"), Some(false)),
            (rule("launch", "*", "*"), Some(true)),
            (rule("get", "fledged.io", "dependents"), None),
            (rule("launch", "", "dependents"), None),
            (rule("launch", "fledged.io", "dependents/status"), None),
            (rule("launch", "fledged.io", "*/status"), None),
            (
                json!([{"verbs": ["launch"], "apiGroups": ["fledged.io"], "resources": ["dependents"], "resourceNames": ["a"]}]),
                None,
            ),
            (json!(null), None),
        ] {
            assert_eq!(granted(rules.clone(), launch), expected, "{rules}");
        }
        let proxy = Wanted { verbs: &["get", "create"], group: "", resource: "nodes/proxy", any_name: true };
        for (rules, expected) in [
            (rule("get", "", "nodes/proxy"), Some(true)),
            (rule("get", "", "*/proxy"), Some(true)),
            (rule("get", "", "nodes"), None),
            (
                json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["nodes/proxy"], "resourceNames": ["n"]}]),
                Some(true),
            ),
        ] {
            assert_eq!(granted(rules.clone(), proxy), expected, "{rules}");
        }
    }

    #[test]
    fn an_account_is_one_by_kind_and_by_username() {
        let read = |subject: Value| Subject::read(&subject, Some("here")).unwrap();
        let eod = Subject::Account(NamespacedName::new("trading", "eod"));
        assert_eq!(read(json!({"kind": "ServiceAccount", "name": "eod", "namespace": "trading"})), eod);
        assert_eq!(read(json!({"kind": "User", "name": "system:serviceaccount:trading:eod"})), eod);
        assert_eq!(read(json!({"kind": "User", "name": "jane"})), Subject::User("jane".into()));
        for (group, holds) in [
            ("system:serviceaccounts", Some(None)),
            ("system:authenticated", Some(None)),
            ("system:serviceaccounts:trading", Some(Some("trading"))),
            ("system:masters", None),
        ] {
            assert_eq!(read(json!({"kind": "Group", "name": group})).holds_accounts(), holds);
        }
    }

    #[test]
    fn a_binding_of_a_role_that_is_not_there_grants_nothing() {
        let binding = json!({
            "kind": "ClusterRoleBinding", "metadata": {"name": "b"}, "roleRef": {"kind": "ClusterRole", "name": "gone"},
            "subjects": [{"kind": "Group", "name": "g"}],
        });
        let wanted = Wanted { verbs: &["get"], group: "", resource: "pods", any_name: true };
        assert_eq!(Grants::read(&[binding]).of(&wanted), []);
    }
}
