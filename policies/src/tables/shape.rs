//! The shape of every kind: which fields there are, which lists have keys, which texts are quantities.
//!
//! Built-in kinds come from `shapes.txt`, which `tables/generate` writes from the Go types and the OpenAPI document of
//! Kubernetes; custom resources from the schema of their CRD ([`super::custom`]). What neither names is plain.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use serde_json::Value;

use crate::object::Gvk;

use super::facts::Facts;

/// What a scalar is to the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// Text.
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// A [`crate::quantity::Quantity`].
    Quantity,
    /// A quantity in a resource list, which is rounded up to thousandths.
    MilliQuantity,
    /// A whole number or a text; `80` and `"80"` differ.
    IntOrString,
    /// Base64 of bytes.
    Bytes,
    /// RFC 3339 in UTC, to the second.
    Time,
    /// RFC 3339 in UTC, to the microsecond.
    MicroTime,
    /// Any JSON: nothing is known.
    Plain,
}

/// How the elements of two lists find each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListKind<'a> {
    /// By the values of these fields; the order does not matter.
    Keyed(&'a [String]),
    /// By position.
    Positional,
    /// By value; the order does not matter.
    Set,
}

/// One type, and whether an absent value differs from a zero one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TypeRef {
    /// A Go pointer (or any field of a custom resource): set to zero is not the same as absent.
    pub(super) pointer: bool,
    pub(super) node: Node,
}

/// What a type is made of.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Scalar(Scalar),
    List {
        element: Box<TypeRef>,
        list: List,
    },
    Map(Box<TypeRef>),
    /// A built-in struct, by its place in [`BuiltIn::types`].
    Struct(usize),
    /// An object of a custom resource.
    Custom(Box<CustomStruct>),
}

/// [`ListKind`], owned.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum List {
    Keyed(Vec<String>),
    Positional,
    Set,
}

/// An object of a custom resource.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct CustomStruct {
    pub(super) fields: BTreeMap<String, CustomField>,
    /// The values of keys that are not named.
    pub(super) additional: Option<TypeRef>,
}

/// A field of a custom resource.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct CustomField {
    pub(super) shape: TypeRef,
    pub(super) default: Option<Value>,
    pub(super) nullable: bool,
}

/// A built-in struct.
#[derive(Clone, Debug)]
pub(super) struct Struct {
    pub(super) name: &'static str,
    pub(super) fields: HashMap<&'static str, TypeRef>,
}

/// Whether objects of a kind live in namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In a namespace.
    Namespaced,
    /// Of the whole cluster.
    Cluster,
    /// Neither built in nor described by a known CRD.
    Unknown,
}

/// What is known of a built-in kind.
#[derive(Clone, Debug)]
pub(super) struct Kind {
    pub(super) plural: &'static str,
    pub(super) scope: Scope,
    pub(super) status: bool,
    pub(super) root: Option<TypeRef>,
}

/// All built-in kinds and types.
pub(super) struct BuiltIn {
    /// By apiVersion as manifests write it, then by kind.
    pub(super) kinds: HashMap<&'static str, HashMap<&'static str, Kind>>,
    pub(super) types: Vec<Struct>,
    pub(super) ids: HashMap<&'static str, usize>,
}

static SHAPES: &str = include_str!("../../tables/shapes.txt");
static BUILT_IN: LazyLock<BuiltIn> = LazyLock::new(|| parse(SHAPES));
/// `metadata` of custom resources.
static METADATA: LazyLock<Option<TypeRef>> = LazyLock::new(|| {
    let id = built_in().ids.get("meta/v1.ObjectMeta")?;
    Some(TypeRef { pointer: false, node: Node::Struct(*id) })
});

/// The built-in shapes, read once.
pub(super) fn built_in() -> &'static BuiltIn {
    &BUILT_IN
}

/// What is known of a built-in kind; none for custom ones.
pub(super) fn kind(kind: &Gvk) -> Option<&'static Kind> {
    built_in().kinds.get(kind.api_version().as_str())?.get(kind.kind.as_str())
}

/// Reads the generated table. A line that it does not understand is skipped: a test holds that there is none.
fn parse(text: &'static str) -> BuiltIn {
    let names = text.lines().filter_map(header);
    let ids: HashMap<_, _> = names.enumerate().map(|(id, name)| (name, id)).collect();
    let mut out = BuiltIn { kinds: HashMap::new(), types: Vec::with_capacity(ids.len()), ids };
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(name) = header(line) {
            out.types.push(Struct { name, fields: HashMap::new() });
            continue;
        }
        let words: Vec<&'static str> = line.split(' ').collect();
        match words.as_slice() {
            ["kind", version, kind, plural, scope, status, root] => {
                let scope = if *scope == "namespaced" { Scope::Namespaced } else { Scope::Cluster };
                let root = type_ref(root, None, &out.ids);
                let kinds = out.kinds.entry(version).or_default();
                kinds.insert(kind, Kind { plural, scope, status: *status == "status", root });
            }
            [field, shape, rest @ ..] => {
                let shape = type_ref(shape, rest.first().copied(), &out.ids);
                if let (Some(last), Some(shape)) = (out.types.last_mut(), shape) {
                    last.fields.insert(field, shape);
                }
            }
            _ => {}
        }
    }
    out
}

/// The type that the lines below are about.
pub(super) fn header(line: &'static str) -> Option<&'static str> {
    line.strip_prefix('[')?.strip_suffix(']')
}

fn type_ref(text: &str, keys: Option<&str>, ids: &HashMap<&'static str, usize>) -> Option<TypeRef> {
    if let Some(rest) = text.strip_prefix('*') {
        return Some(TypeRef { pointer: true, ..type_ref(rest, keys, ids)? });
    }
    let scalar = |scalar| Node::Scalar(scalar);
    let node = match text {
        "string" => scalar(Scalar::Text),
        "int" => scalar(Scalar::Integer),
        "number" => scalar(Scalar::Number),
        "bool" => scalar(Scalar::Boolean),
        "quantity" => scalar(Scalar::Quantity),
        "milli" => scalar(Scalar::MilliQuantity),
        "intstr" => scalar(Scalar::IntOrString),
        "bytes" => scalar(Scalar::Bytes),
        "time" => scalar(Scalar::Time),
        "microtime" => scalar(Scalar::MicroTime),
        "any" => return Some(TypeRef { pointer: true, node: scalar(Scalar::Plain) }),
        _ => {
            if let Some(rest) = text.strip_prefix("[]") {
                let list = match keys {
                    None => List::Positional,
                    Some("set") => List::Set,
                    Some(keys) => List::Keyed(keys.split(',').map(str::to_owned).collect()),
                };
                Node::List { element: Box::new(type_ref(rest, None, ids)?), list }
            } else if let Some(rest) = text.strip_prefix("{}") {
                Node::Map(Box::new(type_ref(rest, None, ids)?))
            } else {
                Node::Struct(*ids.get(text)?)
            }
        }
    };
    Some(TypeRef { pointer: false, node })
}

/// The shape of a value: of an object, a field, an element. Cheap to copy.
#[derive(Clone, Copy, Debug)]
pub struct Shape<'a> {
    pub(super) of: Option<&'a TypeRef>,
    /// `initContainers` run in order: there the position counts, whatever keys the list has.
    positional: bool,
}

/// The shape of a kind's objects; unknown kinds are plain throughout.
pub fn shape_of<'a>(gvk: &Gvk, facts: &'a Facts) -> Shape<'a> {
    let of = match kind(gvk) {
        Some(kind) => kind.root.as_ref(),
        None => facts.custom(gvk).map(|custom| &custom.root),
    };
    Shape { of, positional: false }
}

impl<'a> Shape<'a> {
    /// Nothing known.
    pub const UNKNOWN: Shape<'static> = Shape { of: None, positional: false };

    pub(super) fn of(of: &'a TypeRef) -> Self {
        Self { of: Some(of), positional: false }
    }

    /// The shape of a field of an object, or of a map's value.
    pub fn field(self, name: &str) -> Shape<'a> {
        let of = self.of.and_then(|of| of.field(name));
        Shape { of, positional: name == "initContainers" }
    }

    /// The shape of a list's elements.
    pub fn element(self) -> Shape<'a> {
        let of = match self.of.map(|of| &of.node) {
            Some(Node::List { element, .. }) => Some(&**element),
            _ => None,
        };
        Shape { of, positional: false }
    }

    /// How two lists of this shape are compared.
    pub fn list(self) -> ListKind<'a> {
        match self.of.map(|of| &of.node) {
            Some(Node::List { .. }) if self.positional => ListKind::Positional,
            Some(Node::List { list: List::Keyed(keys), .. }) => ListKind::Keyed(keys),
            Some(Node::List { list: List::Set, .. }) => ListKind::Set,
            _ => ListKind::Positional,
        }
    }

    /// What the scalar is; plain for what is no scalar.
    pub fn scalar(self) -> Scalar {
        match self.of.map(|of| &of.node) {
            Some(Node::Scalar(scalar)) => *scalar,
            _ => Scalar::Plain,
        }
    }

    /// Whether this is the `env` of a container, where names are unique and the order counts once a value refers to
    /// another.
    pub fn is_env(self) -> bool {
        match self.of.map(|of| &of.node) {
            Some(Node::List { element, .. }) => {
                matches!(element.node, Node::Struct(id) if built_in().types[id].name == "core/v1.EnvVar")
            }
            _ => false,
        }
    }

    /// The value that an absent field stands for, where the API server does not tell the two apart: `0`, `""`,
    /// `false`, `[]`, `{}`. None where it does (`emptyDir: {}`).
    pub fn zero(self) -> Option<Value> {
        let of = self.of.filter(|of| !of.pointer)?;
        Some(match &of.node {
            Node::Scalar(Scalar::Integer | Scalar::Number | Scalar::IntOrString) => Value::from(0),
            Node::Scalar(Scalar::Boolean) => Value::from(false),
            Node::Scalar(Scalar::Quantity | Scalar::MilliQuantity) => Value::from("0"),
            Node::Scalar(Scalar::Text | Scalar::Bytes) => Value::from(""),
            Node::Scalar(Scalar::Time | Scalar::MicroTime | Scalar::Plain) | Node::Custom(_) => return None,
            Node::List { .. } => Value::Array(Vec::new()),
            Node::Map(_) | Node::Struct(_) => Value::Object(serde_json::Map::new()),
        })
    }

    /// Whether a field is known here; always, where nothing is known or any key is allowed.
    pub fn knows(self, name: &str) -> bool {
        match self.of.map(|of| &of.node) {
            Some(Node::Struct(id)) => built_in().types[*id].fields.contains_key(name),
            _ => true,
        }
    }
}

impl TypeRef {
    pub(super) fn field(&self, name: &str) -> Option<&TypeRef> {
        match &self.node {
            Node::Struct(id) => built_in().types[*id].fields.get(name),
            Node::Map(value) => Some(value),
            Node::Custom(custom) => match custom.fields.get(name) {
                Some(field) => Some(&field.shape),
                None => custom.additional.as_ref(),
            },
            Node::Scalar(_) | Node::List { .. } => None,
        }
    }

    /// `metadata` of a custom resource.
    pub(super) fn metadata() -> Option<TypeRef> {
        METADATA.clone()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
    use super::*;

    fn shape(api_version: &str, kind: &str, path: &str) -> Shape<'static> {
        static FACTS: LazyLock<Facts> = LazyLock::new(Facts::default);
        path.split('/').fold(shape_of(&Gvk::from_api_version(api_version, kind), &FACTS), |shape, step| match step {
            "*" => shape.element(),
            name => shape.field(name),
        })
    }

    #[test]
    fn every_line_of_the_table_is_understood() {
        let built_in = built_in();
        let is_kind = |line: &&str| line.split(' ').count() == 7;
        let fields = SHAPES.lines().skip(1).filter(|line| header(line).is_none() && !is_kind(line));
        assert_eq!(fields.count(), built_in.types.iter().map(|found| found.fields.len()).sum::<usize>());
        let kinds: Vec<_> = built_in.kinds.values().flatten().collect();
        assert_eq!(SHAPES.lines().skip(1).filter(is_kind).count(), kinds.len());
        for (kind, found) in kinds {
            assert_eq!(found.root.is_some(), found.scope == Scope::Namespaced, "{kind}");
        }
    }

    #[test]
    fn lists_have_the_keys_that_kubernetes_merges_by() {
        let pod = |path: &str| shape("v1", "Pod", path);
        let keys = |shape: Shape<'static>| match shape.list() {
            ListKind::Keyed(keys) => keys.join(","),
            ListKind::Set => "set".into(),
            ListKind::Positional => String::new(),
        };
        let cases = [
            ("spec/containers", "name"),
            ("spec/initContainers", ""),
            ("spec/ephemeralContainers", "name"),
            ("spec/containers/*/env", "name"),
            ("spec/containers/*/command", ""),
            ("spec/containers/*/args", ""),
            ("spec/containers/*/ports", "containerPort,protocol"),
            ("spec/containers/*/volumeMounts", "mountPath"),
            ("spec/containers/*/envFrom", ""),
            ("spec/volumes", "name"),
            ("spec/tolerations", ""),
            ("spec/imagePullSecrets", "name"),
            ("metadata/finalizers", "set"),
            ("metadata/ownerReferences", "uid"),
        ];
        for (path, expected) in cases {
            assert_eq!(keys(pod(path)), expected, "{path}");
        }
        assert_eq!(keys(shape("v1", "Service", "spec/ports")), "port,protocol");
    }

    #[test]
    fn scalars_are_what_kubernetes_reads() {
        let cases = [
            ("v1", "Pod", "spec/containers/*/resources/limits/cpu", Scalar::MilliQuantity),
            ("v1", "Pod", "spec/volumes/*/emptyDir/sizeLimit", Scalar::Quantity),
            ("v1", "Pod", "spec/containers/*/livenessProbe/httpGet/port", Scalar::IntOrString),
            ("v1", "Pod", "spec/hostNetwork", Scalar::Boolean),
            ("v1", "Secret", "data/token", Scalar::Bytes),
            ("v1", "ConfigMap", "data/text", Scalar::Text),
            ("coordination.k8s.io/v1", "Lease", "spec/renewTime", Scalar::MicroTime),
            ("apps/v1", "Deployment", "spec/replicas", Scalar::Integer),
            ("example.com/v1", "Unknown", "spec/replicas", Scalar::Plain),
        ];
        for (api_version, kind, path, expected) in cases {
            assert_eq!(shape(api_version, kind, path).scalar(), expected, "{kind} {path}");
        }
    }

    #[test]
    fn absent_and_empty_are_told_apart_where_the_server_does() {
        let cases = [
            ("v1", "Pod", "spec/volumes/*/emptyDir", None),
            ("v1", "Pod", "spec/securityContext", None),
            ("v1", "Pod", "spec/containers/*/resources", Some(serde_json::json!({}))),
            ("v1", "Pod", "spec/containers/*/stdin", Some(serde_json::json!(false))),
            ("v1", "Pod", "spec/enableServiceLinks", None),
            ("apps/v1", "Deployment", "spec/minReadySeconds", Some(serde_json::json!(0))),
            ("apps/v1", "Deployment", "spec/replicas", None),
            ("networking.k8s.io/v1", "NetworkPolicy", "spec/podSelector", Some(serde_json::json!({}))),
            ("networking.k8s.io/v1", "NetworkPolicy", "spec/ingress/*/from/*/podSelector", None),
        ];
        for (api_version, kind, path, expected) in cases {
            assert_eq!(shape(api_version, kind, path).zero(), expected, "{kind} {path}");
        }
    }

    #[test]
    fn env_is_known_wherever_containers_are() {
        assert!(shape("v1", "Pod", "spec/containers/*/env").is_env());
        assert!(shape("batch/v1", "CronJob", "spec/jobTemplate/spec/template/spec/initContainers/*/env").is_env());
        assert!(!shape("v1", "Pod", "spec/containers").is_env());
    }
}
