//! The live objects that injectors and custom resources depend on.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value;

use crate::object::Gvk;

use super::custom::{CustomVersion, Definition};

/// Whether what is not among the facts does not exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Completeness {
    /// Every object of the kinds below is here: what is absent does not exist.
    Cluster,
    /// Only what was told is here: what is absent is unknown.
    #[default]
    Told,
}

/// A ServiceAccount, as far as pods care.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Account {
    pub(super) automount: Option<bool>,
    pub(super) pull_secrets: Vec<String>,
}

/// A PriorityClass.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PriorityClass {
    pub(super) value: i64,
    pub(super) default: bool,
    pub(super) preemption: String,
}

/// The defaults for containers of one LimitRange, canonical quantities by resource.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct LimitRange {
    pub(super) requests: BTreeMap<String, Value>,
    pub(super) limits: BTreeMap<String, Value>,
}

/// A RuntimeClass, the parts that pods get.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct RuntimeClass {
    pub(super) overhead: Option<Value>,
    pub(super) node_selector: BTreeMap<String, Value>,
    pub(super) tolerations: Vec<Value>,
}

/// A StorageClass or an IngressClass.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Class {
    pub(super) default: bool,
    /// RFC 3339; of several default ones the newest counts.
    pub(super) created: String,
}

/// What is known of a pod's account and class: all that injectors ask about a pod in which no LimitRange and no
/// RuntimeClass had a part.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct OfPod {
    completeness: Completeness,
    account: Option<Account>,
    named: Option<PriorityClass>,
    default: Option<(String, PriorityClass)>,
}

/// Live facts that injectors and custom resources need: ServiceAccounts, LimitRanges, PriorityClasses, RuntimeClasses,
/// StorageClasses, IngressClasses, CustomResourceDefinitions. Objects of other kinds are ignored.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    completeness: Completeness,
    /// By namespace, then by name, as limits are. There may be very many: copies of the facts share them.
    accounts: Arc<HashMap<String, BTreeMap<String, Account>>>,
    limit_ranges: Arc<BTreeMap<String, BTreeMap<String, LimitRange>>>,
    priority_classes: BTreeMap<String, PriorityClass>,
    runtime_classes: BTreeMap<String, RuntimeClass>,
    storage_classes: BTreeMap<String, Class>,
    ingress_classes: BTreeMap<String, Class>,
    definitions: BTreeMap<String, Arc<Definition>>,
}

/// The kinds that are facts, as apiVersion and kind, for whoever watches or reads them.
pub const KINDS: [(&str, &str); 7] = [
    ("v1", "ServiceAccount"),
    ("v1", "LimitRange"),
    ("scheduling.k8s.io/v1", "PriorityClass"),
    ("node.k8s.io/v1", "RuntimeClass"),
    ("storage.k8s.io/v1", "StorageClass"),
    ("networking.k8s.io/v1", "IngressClass"),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
];

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

impl Facts {
    /// No facts yet.
    pub fn new(completeness: Completeness) -> Self {
        Self { completeness, ..Self::default() }
    }

    /// The facts that somebody told; what is absent is unknown. A List counts as its items.
    pub fn from_objects<'a>(objects: impl IntoIterator<Item = &'a Value>) -> Self {
        let mut facts = Self::new(Completeness::Told);
        for object in objects {
            facts.apply(object);
        }
        facts
    }

    /// Whether what is absent does not exist.
    pub fn completeness(&self) -> Completeness {
        self.completeness
    }

    /// Adds or replaces a live object. Needs `kind` and `metadata`; an object of a kind that is no fact is ignored.
    /// Says whether it was one.
    pub fn apply(&mut self, object: &Value) -> bool {
        // A kind of the same name in another group is none; items of a list carry no apiVersion.
        let group = |api_version: &str| api_version.split_once('/').map_or("", |(group, _)| group).to_owned();
        let api_version = text(object, "/apiVersion");
        let fact = KINDS.iter().find(|(_, kind)| *kind == text(object, "/kind"));
        if fact.is_some_and(|(expected, _)| !api_version.is_empty() && group(expected) != group(api_version)) {
            return false;
        }
        let name = text(object, "/metadata/name").to_owned();
        let namespace = match text(object, "/metadata/namespace") {
            "" => "default",
            namespace => namespace,
        };
        match text(object, "/kind") {
            "List" => {
                for item in object.get("items").and_then(Value::as_array).into_iter().flatten() {
                    self.apply(item);
                }
            }
            "ServiceAccount" => {
                Arc::make_mut(&mut self.accounts)
                    .entry(namespace.to_owned())
                    .or_default()
                    .insert(name, Account::read(object));
            }
            "LimitRange" => {
                let ranges = Arc::make_mut(&mut self.limit_ranges).entry(namespace.to_owned()).or_default();
                ranges.insert(name, LimitRange::read(object));
            }
            "PriorityClass" => {
                self.priority_classes.insert(name, PriorityClass::read(object));
            }
            "RuntimeClass" => {
                self.runtime_classes.insert(name, RuntimeClass::read(object));
            }
            "StorageClass" => {
                self.storage_classes.insert(name, Class::read(object, "storageclass.kubernetes.io/is-default-class"));
            }
            "IngressClass" => {
                self.ingress_classes.insert(name, Class::read(object, "ingressclass.kubernetes.io/is-default-class"));
            }
            "CustomResourceDefinition" => {
                if let Some(definition) = Definition::of(object) {
                    self.define(&name, Arc::new(definition));
                }
            }
            _ => return false,
        }
        true
    }

    /// Adds or replaces the CustomResourceDefinition of this name.
    pub fn define(&mut self, name: &str, definition: Arc<Definition>) {
        self.definitions.insert(name.to_owned(), definition);
    }

    /// The names of the CustomResourceDefinitions that are known.
    pub fn defined(&self) -> impl Iterator<Item = &str> {
        self.definitions.keys().map(String::as_str)
    }

    /// Forgets a live object. `namespace` is empty for kinds of the whole cluster.
    pub fn remove(&mut self, kind: &str, namespace: &str, name: &str) {
        match kind {
            "ServiceAccount" => {
                let all = Arc::make_mut(&mut self.accounts);
                if let Some(accounts) = all.get_mut(namespace) {
                    accounts.remove(name);
                    if accounts.is_empty() {
                        all.remove(namespace);
                    }
                }
            }
            "LimitRange" => {
                let all = Arc::make_mut(&mut self.limit_ranges);
                if let Some(ranges) = all.get_mut(namespace) {
                    ranges.remove(name);
                    if ranges.is_empty() {
                        all.remove(namespace);
                    }
                }
            }
            "PriorityClass" => {
                self.priority_classes.remove(name);
            }
            "RuntimeClass" => {
                self.runtime_classes.remove(name);
            }
            "StorageClass" => {
                self.storage_classes.remove(name);
            }
            "IngressClass" => {
                self.ingress_classes.remove(name);
            }
            "CustomResourceDefinition" => {
                self.definitions.remove(name);
            }
            _ => {}
        }
    }

    /// What is known of the account of a pod in `namespace`, and of its class.
    pub(crate) fn of_pod(&self, namespace: &str, account: &str, class: Option<&str>) -> OfPod {
        OfPod {
            completeness: self.completeness,
            account: self.account(namespace, account).cloned(),
            named: class.and_then(|class| self.priority_class(class)).cloned(),
            default: self.default_priority_class().map(|(name, class)| (name.clone(), class.clone())),
        }
    }

    /// Whether `known` is what [`Facts::of_pod`] says.
    pub(crate) fn say(&self, known: &OfPod, namespace: &str, account: &str, class: Option<&str>) -> bool {
        known.completeness == self.completeness
            && known.account.as_ref() == self.account(namespace, account)
            && known.named.as_ref() == class.and_then(|class| self.priority_class(class))
            && known.default.as_ref().map(|(name, class)| (name, class)) == self.default_priority_class()
    }

    /// Facts that say no more than `known`.
    pub(crate) fn only(known: &OfPod, namespace: &str, account: &str, class: Option<&str>) -> Self {
        let mut only = Self::new(known.completeness);
        if let Some(known) = &known.account {
            Arc::make_mut(&mut only.accounts)
                .insert(namespace.to_owned(), BTreeMap::from([(account.to_owned(), known.clone())]));
        }
        if let Some((name, class)) = &known.default {
            only.priority_classes.insert(name.clone(), class.clone());
        }
        if let (Some(name), Some(class)) = (class, &known.named) {
            only.priority_classes.insert(name.to_owned(), class.clone());
        }
        only
    }

    pub(super) fn account(&self, namespace: &str, name: &str) -> Option<&Account> {
        self.accounts.get(namespace)?.get(name)
    }

    pub(super) fn limit_ranges(&self, namespace: &str) -> Vec<&LimitRange> {
        self.limit_ranges.get(namespace).into_iter().flat_map(BTreeMap::values).collect()
    }

    pub(super) fn priority_class(&self, name: &str) -> Option<&PriorityClass> {
        self.priority_classes.get(name)
    }

    /// Of several global defaults, Kubernetes takes the one of the lowest value.
    pub(super) fn default_priority_class(&self) -> Option<(&String, &PriorityClass)> {
        self.priority_classes.iter().filter(|(_, class)| class.default).min_by_key(|(_, class)| class.value)
    }

    pub(super) fn runtime_class(&self, name: &str) -> Option<&RuntimeClass> {
        self.runtime_classes.get(name)
    }

    pub(super) fn default_storage_class(&self) -> Option<&String> {
        newest(&self.storage_classes)
    }

    pub(super) fn default_ingress_class(&self) -> Option<&String> {
        newest(&self.ingress_classes)
    }

    pub(super) fn custom(&self, kind: &Gvk) -> Option<&CustomVersion> {
        self.definition(kind)?.versions.get(&kind.version)
    }

    pub(super) fn definition(&self, kind: &Gvk) -> Option<&Definition> {
        self.definitions.values().map(|found| &**found).find(|found| found.defines(&kind.group, &kind.kind))
    }
}

/// The default class: the newest, then the first by name.
fn newest(classes: &BTreeMap<String, Class>) -> Option<&String> {
    let defaults = classes.iter().filter(|(_, class)| class.default);
    defaults.min_by(|(a, left), (b, right)| right.created.cmp(&left.created).then(a.cmp(b))).map(|(name, _)| name)
}

/// How many `imagePullSecrets` are kept of an account: whoever may write one may write very many. Pods of an account with more
/// do not get what is kept of them, so they are refused.
const PULL_SECRETS: usize = 100;
/// No Secret has a longer name.
const LONGEST_NAME: usize = 253;

/// A name, or so much of what can't be one that it still is none.
fn cut(name: &str) -> String {
    name.get(..name.floor_char_boundary(LONGEST_NAME + 1)).unwrap_or_default().to_owned()
}

impl Account {
    fn read(object: &Value) -> Self {
        let secrets = object.get("imagePullSecrets").and_then(Value::as_array).into_iter().flatten();
        Self {
            automount: object.get("automountServiceAccountToken").and_then(Value::as_bool),
            pull_secrets: secrets.take(PULL_SECRETS).map(|secret| cut(text(secret, "/name"))).collect(),
        }
    }
}

impl PriorityClass {
    fn read(object: &Value) -> Self {
        let preemption = match text(object, "/preemptionPolicy") {
            "" => "PreemptLowerPriority",
            policy => policy,
        };
        Self {
            value: object.get("value").and_then(Value::as_i64).unwrap_or_default(),
            default: object.get("globalDefault").and_then(Value::as_bool).unwrap_or_default(),
            preemption: preemption.to_owned(),
        }
    }
}

impl LimitRange {
    fn read(object: &Value) -> Self {
        let mut out = Self::default();
        for item in object.pointer("/spec/limits").and_then(Value::as_array).into_iter().flatten() {
            let Some(mut item) = item.as_object().cloned() else { continue };
            if item.get("type").and_then(Value::as_str) != Some("Container") {
                continue;
            }
            super::rules::range_defaults(&mut item);
            let amounts = |list: &str| item.get(list).and_then(Value::as_object).cloned().unwrap_or_default();
            let canonical = |(resource, amount): (String, Value)| (resource, super::canonical::milli(amount));
            out.limits.extend(amounts("default").into_iter().map(canonical));
            out.requests.extend(amounts("defaultRequest").into_iter().map(canonical));
        }
        out
    }
}

impl RuntimeClass {
    fn read(object: &Value) -> Self {
        let selector = object.pointer("/scheduling/nodeSelector").and_then(Value::as_object);
        let overhead = object.pointer("/overhead/podFixed").and_then(Value::as_object).map(|fixed| {
            let amounts =
                fixed.iter().map(|(resource, amount)| (resource.clone(), super::canonical::milli(amount.clone())));
            Value::Object(amounts.collect())
        });
        Self {
            overhead,
            node_selector: selector.into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect(),
            tolerations: object
                .pointer("/scheduling/tolerations")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default(),
        }
    }
}

impl Class {
    fn read(object: &Value, annotation: &str) -> Self {
        let annotations = object.pointer("/metadata/annotations");
        Self {
            default: annotations.and_then(|all| all.get(annotation)).and_then(Value::as_str) == Some("true"),
            created: text(object, "/metadata/creationTimestamp").to_owned(),
        }
    }
}
