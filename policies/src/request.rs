//! A request as the API server asks a webhook about it, parsed.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::object::{Gvk, Gvr};

/// Which of the two admission phases asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Before strategies and validation; the answer may carry a patch.
    Mutating,
    /// The final object; the answer may not change it.
    Validating,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A new object (POST, a PUT or apply that creates), or a subresource that is created (eviction, binding, token).
    Create,
    /// A changed object (PUT, PATCH, apply).
    Update,
    /// A deleted object, alone or of a collection.
    Delete,
    /// exec, attach, portforward, proxy.
    Connect,
}

/// Who the API server says asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// Username, `system:serviceaccount:NS:NAME` for accounts.
    pub username: String,
    /// Groups.
    pub groups: Vec<String>,
    /// Extra, from the authenticator.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// One admission request.
#[derive(Clone, Debug)]
pub struct Request {
    /// The review's uid, echoed in the answer.
    pub uid: String,
    /// Mutating or validating.
    pub phase: Phase,
    /// The operation.
    pub operation: Operation,
    /// The object's kind.
    pub kind: Gvk,
    /// The resource.
    pub resource: Gvr,
    /// The subresource, `status`, `exec`; none for the object itself.
    pub subresource: Option<String>,
    /// The namespace; none for cluster-scoped resources. For the resource `namespaces` the API server repeats its name.
    pub namespace: Option<String>,
    /// The request's name; empty for generateName and deletecollection, thus none.
    pub name: Option<String>,
    /// The caller.
    pub user: User,
    /// The new object; none on DELETE and where the kind was not sent.
    pub object: Option<Value>,
    /// The stored object; on UPDATE and DELETE.
    pub old_object: Option<Value>,
    /// CreateOptions, UpdateOptions, DeleteOptions, as sent.
    pub options: Option<Value>,
    /// Nothing is stored.
    pub dry_run: bool,
}
