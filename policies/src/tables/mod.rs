//! What the API server knows: shapes of kinds (list keys, quantities), defaults, injectors, server-owned fields.
//!
//! The tables are data under `policies/tables/`. [`shape`] says what each field is; [`complete`] does what the server
//! does on reading an object; [`inject`] adds what its admission plugins and strategies would add to this very object;
//! [`compare`] finds every difference that is left. [`Facts`] are the live objects that all of them may ask.

mod at;
mod canonical;
mod compare;
mod custom;
mod defaults;
mod facts;
mod image;
mod inject;
mod names;
mod pairs;
mod place;
mod rules;
mod settled;
mod shape;

pub(crate) use at::At;
pub use compare::compare;
pub(crate) use compare::{absent, is_anybodys, same};
pub use custom::{Definition, Unreadable};
pub use defaults::complete;
pub(crate) use facts::OfPod;
pub use facts::{Completeness, Facts, KINDS as FACT_KINDS};
pub(crate) use image::is_pulled_once;
pub use inject::{CouldNotTell, inject};
pub(crate) use inject::{DEFAULT_ACCOUNT, VOLUME_PREFIX, inject_into, injecting, is_generated};
pub(crate) use pairs::{Both, position, side_by_side};
pub(crate) use rules::labels_of_template;
pub use settled::settled;
pub(crate) use settled::stays;
pub use shape::{ListKind, Scalar, Scope, Shape, shape_of};

use crate::object::Gvk;

/// How an object reached us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// As people write it: nothing defaulted yet.
    Submitted,
    /// As a mutating webhook sees it.
    Mutating,
    /// As a validating webhook sees it: strategies have run.
    Validating,
}

/// Fields of `metadata` that the server owns: never compared.
pub const SERVER_OWNED: [&str; 6] =
    ["uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink"];

/// Whether `status` of a kind is a subresource, so that the server ignores it on create. None: neither built in nor
/// described by a known CRD.
pub fn has_status(kind: &Gvk, facts: &Facts) -> Option<bool> {
    match shape::kind(kind) {
        Some(found) => Some(found.status),
        None => facts.custom(kind).map(|custom| custom.status),
    }
}

/// The shape of a built-in kind; none for custom ones.
pub(crate) fn built_in_shape(kind: &Gvk) -> Option<Shape<'static>> {
    shape::kind(kind)?.root.as_ref().map(Shape::of)
}

/// Whether objects of a built-in kind live in namespaces.
pub fn scope(kind: &Gvk) -> Scope {
    shape::kind(kind).map_or(Scope::Unknown, |found| found.scope)
}

/// As [`scope`], custom resources included.
pub fn scope_with(kind: &Gvk, facts: &Facts) -> Scope {
    match scope(kind) {
        Scope::Unknown => facts.definition(kind).map_or(Scope::Unknown, |custom| custom.scope),
        known => known,
    }
}

/// The plural name of a built-in kind in its API path: `jobs`.
pub fn plural(kind: &Gvk) -> Option<&'static str> {
    shape::kind(kind).map(|found| found.plural)
}

/// As [`plural`], custom resources included.
pub fn plural_with<'a>(kind: &Gvk, facts: &'a Facts) -> Option<&'a str> {
    plural(kind).or_else(|| facts.definition(kind).map(|custom| custom.plural.as_str()))
}

/// Why no template may ever admit a kind; none where one may.
pub fn forbidden(kind: &Gvk) -> Option<&'static str> {
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("rbac.authorization.k8s.io", _) => Some("it grants rights"),
        ("admissionregistration.k8s.io", _) => Some("it changes admission itself"),
        ("apiextensions.k8s.io", _) => Some("it defines kinds"),
        ("apiregistration.k8s.io", _) => Some("it redirects API groups"),
        ("authentication.k8s.io" | "authorization.k8s.io", _) => Some("it is about identities and tokens"),
        ("certificates.k8s.io", _) => Some("it obtains certificates, which are identities"),
        ("", "ServiceAccount") => Some("it is an identity"),
        ("", "Binding") => Some("it places pods"),
        ("policy", "Eviction") | ("lifecycle.k8s.io", _) => Some("it deletes pods"),
        _ if scope(kind) == Scope::Cluster => Some("it is not in a namespace"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_that_no_template_may_admit() {
        let cases = [
            ("rbac.authorization.k8s.io/v1", "RoleBinding", true),
            ("rbac.authorization.k8s.io/v1", "ClusterRole", true),
            ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", true),
            ("apiextensions.k8s.io/v1", "CustomResourceDefinition", true),
            ("v1", "ServiceAccount", true),
            ("v1", "Namespace", true),
            ("v1", "Node", true),
            ("v1", "Binding", true),
            ("authentication.k8s.io/v1", "TokenRequest", true),
            ("storage.k8s.io/v1", "StorageClass", true),
            ("policy/v1", "Eviction", true),
            ("lifecycle.k8s.io/v1alpha1", "EvictionRequest", true),
            ("v1", "Pod", false),
            ("batch/v1", "Job", false),
            ("v1", "ConfigMap", false),
            ("example.com/v1", "Widget", false),
        ];
        for (api_version, kind, expected) in cases {
            let gvk = Gvk::from_api_version(api_version, kind);
            assert_eq!(forbidden(&gvk).is_some(), expected, "{gvk}");
        }
    }

    #[test]
    fn threat_47_status_is_ignored_only_where_it_is_a_subresource() {
        let facts = Facts::default();
        let status = |api_version: &str, kind: &str| has_status(&Gvk::from_api_version(api_version, kind), &facts);
        assert_eq!(status("v1", "Pod"), Some(true));
        assert_eq!(status("batch/v1", "Job"), Some(true));
        assert_eq!(status("v1", "ConfigMap"), Some(false));
        assert_eq!(status("coordination.k8s.io/v1", "Lease"), Some(false));
        assert_eq!(status("example.com/v1", "Widget"), None);
    }
}
