//! The shape of every kind: which fields there are, which lists have keys, which texts are quantities.
//!
//! Built-in kinds come from `shapes.txt`, which `tables/generate` writes from the Go types and the OpenAPI document of
//! Kubernetes; custom resources from the schema of their CRD ([`super::custom`]). What neither names is plain.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::LazyLock;

use serde_json::Value;

use crate::object::Gvk;

use super::facts::Facts;
use super::names::ByName;

/// What a scalar is to the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    pub(super) fields: ByName<TypeRef>,
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
    pub(super) kinds: ByName<ByName<Kind>>,
    pub(super) types: Vec<Struct>,
    pub(super) ids: ByName<usize>,
}

static SHAPES: &str = include_str!("../../tables/shapes.txt");
static BUILT_IN: LazyLock<BuiltIn> = LazyLock::new(|| parse(SHAPES));
/// `metadata` of custom resources.
static METADATA: LazyLock<Option<TypeRef>> = LazyLock::new(|| {
    let id = built_in().ids.get("meta/v1.ObjectMeta")?;
    Some(TypeRef { pointer: false, node: Node::Struct(*id) })
});

/// Objects of a kind that nobody described: they have `metadata` like all others.
static UNDESCRIBED: LazyLock<Option<TypeRef>> = LazyLock::new(|| {
    let metadata = CustomField { shape: METADATA.clone()?, default: None, nullable: false };
    let fields = BTreeMap::from([("metadata".to_owned(), metadata)]);
    Some(TypeRef { pointer: true, node: Node::Custom(Box::new(CustomStruct { fields, additional: None })) })
});

/// The built-in shapes, read once.
pub(super) fn built_in() -> &'static BuiltIn {
    &BUILT_IN
}

/// What is known of a built-in kind; none for custom ones.
pub(super) fn kind(kind: &Gvk) -> Option<&'static Kind> {
    let kinds = match kind.group.is_empty() {
        true => built_in().kinds.get(kind.version.as_str()),
        false => built_in().kinds.get(kind.api_version().as_str()),
    };
    kinds?.get(kind.kind.as_str())
}

/// Reads the generated table. A line that it does not understand is skipped: a test holds that there is none.
fn parse(text: &'static str) -> BuiltIn {
    let names = text.lines().filter_map(header);
    let ids: ByName<usize> = names.enumerate().map(|(id, name)| (name, id)).collect();
    let mut out = BuiltIn { kinds: ByName::default(), types: Vec::with_capacity(ids.len()), ids };
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(name) = header(line) {
            out.types.push(Struct { name, fields: ByName::default() });
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

fn type_ref(text: &str, keys: Option<&str>, ids: &ByName<usize>) -> Option<TypeRef> {
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
    /// The value of a map's key: a key with an empty value is there, and one that is not is not.
    entry: bool,
}

/// By identity: a type is told by where it is described.
impl PartialEq for Shape<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.described() == other.described()
    }
}

impl Eq for Shape<'_> {}

impl Hash for Shape<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.described().hash(state);
    }
}

/// The shape of a kind's objects; unknown kinds are plain throughout.
pub fn shape_of<'a>(gvk: &Gvk, facts: &'a Facts) -> Shape<'a> {
    let of = match kind(gvk) {
        Some(kind) => kind.root.as_ref(),
        None => facts.custom(gvk).map_or(UNDESCRIBED.as_ref(), |custom| Some(&custom.root)),
    };
    Shape { of, positional: false, entry: false }
}

impl<'a> Shape<'a> {
    /// Nothing known.
    pub const UNKNOWN: Shape<'static> = Shape { of: None, positional: false, entry: false };

    fn described(&self) -> (Option<*const TypeRef>, bool, bool) {
        (self.of.map(std::ptr::from_ref), self.positional, self.entry)
    }

    pub(super) fn of(of: &'a TypeRef) -> Self {
        Self { of: Some(of), positional: false, entry: false }
    }

    /// The shape of a field of an object, or of a map's value.
    pub fn field(self, name: &str) -> Shape<'a> {
        let of = self.of.and_then(|of| of.field(name));
        let entry = matches!(self.of.map(|of| &of.node), Some(Node::Map(_)));
        Shape { of, positional: name == "initContainers", entry }
    }

    /// The shape of a list's elements.
    pub fn element(self) -> Shape<'a> {
        let of = match self.of.map(|of| &of.node) {
            Some(Node::List { element, .. }) => Some(&**element),
            _ => None,
        };
        Shape { of, positional: false, entry: false }
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
    /// `false`, `[]`, `{}`. None where it does (`emptyDir: {}`, a label that is empty).
    pub fn zero(self) -> Option<Value> {
        let of = self.of.filter(|of| !of.pointer && !self.entry)?;
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

    /// Whether this is the spec of a pod.
    pub(crate) fn is_pod_spec(self) -> bool {
        self.is_struct("core/v1.PodSpec")
    }

    fn is_struct(self, name: &str) -> bool {
        matches!(self.of.map(|of| &of.node), Some(Node::Struct(id)) if built_in().types[*id].name == name)
    }

    /// Whether an absent field may get a default, or stand for one elsewhere in this struct.
    pub(crate) fn has_defaults(self) -> bool {
        match self.of.map(|of| &of.node) {
            Some(Node::Struct(id)) => {
                super::defaults::DEFAULTS.ruled[*id] || !super::defaults::DEFAULTS.waking[*id].is_empty()
            }
            _ => false,
        }
    }

    /// The values of the field `name` in this struct that the API server replaces by something else, as it does where
    /// the field is absent.
    pub(crate) fn replaced(self, name: &str) -> Vec<Value> {
        let Some(Node::Struct(id)) = self.of.map(|of| &of.node) else { return Vec::new() };
        if !super::defaults::DEFAULTS.filled[*id].contains(&name) && !super::rules::FILLED.contains(&name) {
            return Vec::new();
        }
        let field = self.field(name);
        let mut values: Vec<Value> =
            field.zero().filter(|zero| zero.is_string() || zero.is_number()).into_iter().collect();
        if field.scalar() == Scalar::IntOrString {
            values.push("".into());
        }
        values
    }

    /// Whether this is the value of a map's key, which is there even where it is empty.
    pub(super) fn entry(self) -> bool {
        self.entry
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
#[path = "shape_tests.rs"]
mod tests;
