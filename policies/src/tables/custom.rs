//! The shape of custom resources, read from the schema of their CRD.

use std::collections::BTreeMap;

use serde_json::Value;

use super::shape::{CustomField, CustomStruct, List, Node, Scalar, Scope, TypeRef};

/// How deep a schema is read; deeper it is plain.
const DEEPEST: usize = 64;

/// One version of a custom resource.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct CustomVersion {
    /// Whether `status` is a subresource, so that the server drops it on create.
    pub(super) status: bool,
    pub(super) root: TypeRef,
}

/// A CustomResourceDefinition.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Custom {
    pub(super) group: String,
    pub(super) kind: String,
    pub(super) plural: String,
    pub(super) scope: Scope,
    pub(super) versions: BTreeMap<String, CustomVersion>,
}

impl Custom {
    /// From a CRD of `apiextensions.k8s.io/v1`; none where it has no group, kind or plural name.
    pub(super) fn read(crd: &Value) -> Option<Self> {
        let spec = crd.get("spec")?;
        let scope = match spec.get("scope")?.as_str()? {
            "Namespaced" => Scope::Namespaced,
            _ => Scope::Cluster,
        };
        let mut versions = BTreeMap::new();
        for version in spec.get("versions").and_then(Value::as_array).into_iter().flatten() {
            let Some(name) = version.get("name").and_then(Value::as_str) else { continue };
            let status = version.pointer("/subresources/status").is_some();
            let mut root = version.pointer("/schema/openAPIV3Schema").map_or_else(plain, |schema| read(schema, 0));
            if let Node::Custom(fields) = &mut root.node {
                fields.fields.remove("apiVersion");
                fields.fields.remove("kind");
            } else {
                root.node = Node::Custom(Box::default());
            }
            if let (Node::Custom(fields), Some(shape)) = (&mut root.node, TypeRef::metadata()) {
                fields.fields.insert("metadata".into(), CustomField { shape, default: None, nullable: false });
            }
            versions.insert(name.to_owned(), CustomVersion { status, root });
        }
        Some(Self {
            group: spec.get("group")?.as_str()?.to_owned(),
            kind: spec.pointer("/names/kind")?.as_str()?.to_owned(),
            plural: spec.pointer("/names/plural")?.as_str()?.to_owned(),
            scope,
            versions,
        })
    }
}

fn plain() -> TypeRef {
    scalar(Scalar::Plain)
}

fn scalar(scalar: Scalar) -> TypeRef {
    TypeRef { pointer: true, node: Node::Scalar(scalar) }
}

fn read(schema: &Value, depth: usize) -> TypeRef {
    if depth > DEEPEST {
        return plain();
    }
    let flag = |name: &str| schema.get(name).and_then(Value::as_bool) == Some(true);
    if flag("x-kubernetes-int-or-string") {
        return scalar(Scalar::IntOrString);
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => TypeRef { pointer: true, node: Node::Custom(Box::new(object(schema, depth))) },
        Some("array") => {
            let element = schema.get("items").map_or_else(plain, |items| read(items, depth + 1));
            let keys = || schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array).into_iter().flatten();
            let list = match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
                Some("map") => List::Keyed(keys().filter_map(Value::as_str).map(str::to_owned).collect()),
                Some("set") => List::Set,
                _ => List::Positional,
            };
            TypeRef { pointer: true, node: Node::List { element: Box::new(element), list } }
        }
        Some("integer") => scalar(Scalar::Integer),
        Some("number") => scalar(Scalar::Number),
        Some("boolean") => scalar(Scalar::Boolean),
        Some("string") => scalar(Scalar::Text),
        _ => plain(),
    }
}

fn object(schema: &Value, depth: usize) -> CustomStruct {
    let mut out = CustomStruct::default();
    for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let field = CustomField {
            shape: read(property, depth + 1),
            default: property.get("default").cloned(),
            nullable: property.get("nullable").and_then(Value::as_bool) == Some(true),
        };
        out.fields.insert(name.clone(), field);
    }
    out.additional =
        schema.get("additionalProperties").filter(|more| more.is_object()).map(|more| read(more, depth + 1));
    out
}
