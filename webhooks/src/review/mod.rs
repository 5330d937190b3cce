//! An AdmissionReview of `admission.k8s.io/v1` as a [`Request`], and the way back: [`Answer`] as an AdmissionReview.
//!
//! Whatever arrives, the answer carries the request's uid if it can be found at all: an answer without it is worth
//! nothing to the API server, which then speaks of a broken webhook instead of what was wrong. [`uid_from_head`]
//! finds it in a body that cannot be parsed, or was not taken in.

mod answer;
mod head;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
mod tests;
mod tree;

use std::collections::BTreeMap;
use std::fmt;

use policies::object::{Gvk, Gvr};
use policies::request::{Operation, Phase, Request, User};
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::answer::{Answer, Decision, Denial};
pub(crate) use self::head::claims;
pub use self::head::{HEAD, uid_from_head};
use self::tree::Tree;
pub use self::tree::{MAX_DEPTH, MAX_TREE_BYTES};

/// The one `apiVersion` that is understood.
pub const API_VERSION: &str = "admission.k8s.io/v1";
/// The kind of both the question and the answer.
pub const KIND: &str = "AdmissionReview";

/// A review that was read.
#[derive(Clone, Debug)]
pub struct Review {
    /// The request.
    pub request: Request,
    /// What its object trees take in memory, roughly, bytes.
    pub footprint: usize,
}

/// A review that could not be read, with its uid where that could be found.
#[derive(Debug)]
pub struct Rejected {
    /// The uid to answer with; none: answer HTTP 400.
    pub uid: Option<String>,
    /// What is wrong.
    pub why: Unreadable,
}

/// Why a review cannot be read. The texts never echo a value of an object.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// No body.
    #[error("the body is empty; expected an AdmissionReview of {API_VERSION} as JSON")]
    Empty,
    /// It ends too early.
    #[error("the AdmissionReview ends too early, after {0} bytes: it was truncated on the way")]
    Truncated(usize),
    /// Not JSON, or not of the shape of an AdmissionReview.
    #[error("the AdmissionReview cannot be read: {0}")]
    Malformed(#[source] serde_json::Error),
    /// Another version or kind.
    #[error(
        "expected an AdmissionReview of {API_VERSION}, got {got}; \
         write admissionReviewVersions: [v1] in the webhook configuration"
    )]
    Version {
        /// `apiVersion` and kind as sent, quoted and shortened; `nothing` where neither was.
        got: String,
    },
    /// It asks nothing.
    #[error("the AdmissionReview has no request")]
    NoRequest,
    /// Nobody to answer to.
    #[error("the request has no usable uid")]
    NoUid,
    /// A field that every request has.
    #[error("the request has no {0}")]
    Missing(&'static str),
    /// An operation that admission does not know.
    #[error("unknown operation {0:?}; expected CREATE, UPDATE, DELETE or CONNECT")]
    Operation(String),
    /// The object that the operation is about.
    #[error("{operation:?} without {field}: there is nothing to judge")]
    NoObject {
        /// The operation.
        operation: Operation,
        /// `object` or `oldObject`.
        field: &'static str,
    },
    /// The object is a list, a text or a number.
    #[error("{0} is not a JSON object")]
    NotAnObject(&'static str),
    /// A name with a control character.
    #[error("{0} contains a control character")]
    ControlCharacter(&'static str),
}

/// Reads an AdmissionReview. `metadata.managedFields` of its objects is skipped: nothing looks at it, and it is a
/// third of the work (measured).
pub fn parse(phase: Phase, body: &[u8]) -> Result<Review, Rejected> {
    read(phase, body).map_err(|why| Rejected { uid: uid_from_head(body), why })
}

fn read(phase: Phase, body: &[u8]) -> Result<Review, Unreadable> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(Unreadable::Empty);
    }
    // Text that is known to be UTF-8 as a whole is not asked again string by string. What is not is for serde_json to
    // tell where.
    let wire: Result<WireReview, _> = match std::str::from_utf8(body) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_slice(body),
    };
    let wire =
        wire.map_err(
            |error| {
                if error.is_eof() { Unreadable::Truncated(body.len()) } else { Unreadable::Malformed(error) }
            },
        )?;
    let api_version = wire.api_version.unwrap_or_default();
    let kind = wire.kind.unwrap_or_default();
    if api_version != API_VERSION || kind != KIND {
        let got: String = format!("{api_version} {kind}").trim().chars().take(100).collect();
        let got = if got.is_empty() { "nothing".to_owned() } else { format!("{got:?}") };
        return Err(Unreadable::Version { got });
    }
    build(phase, wire.request.ok_or(Unreadable::NoRequest)?)
}

fn build(phase: Phase, wire: WireRequest) -> Result<Review, Unreadable> {
    let uid = wire.uid.filter(|uid| head::usable(uid)).ok_or(Unreadable::NoUid)?;
    let kind = wire.kind.ok_or(Unreadable::Missing("kind"))?;
    let resource = wire.resource.ok_or(Unreadable::Missing("resource"))?;
    let user = wire.user_info.ok_or(Unreadable::Missing("userInfo"))?;
    let operation = match wire.operation.as_deref() {
        Some("CREATE") => Operation::Create,
        Some("UPDATE") => Operation::Update,
        Some("DELETE") => Operation::Delete,
        Some("CONNECT") => Operation::Connect,
        Some(other) => return Err(Unreadable::Operation(other.chars().take(32).collect())),
        None => return Err(Unreadable::Missing("operation")),
    };
    let mut footprint = 0;
    let mut take = |field: &'static str, tree: Option<Tree>| match tree {
        None => Ok(None),
        Some(tree) if tree.value.is_object() => {
            footprint += tree.footprint;
            Ok(Some(tree.value))
        }
        Some(_) => Err(Unreadable::NotAnObject(field)),
    };
    let object = take("object", wire.object)?;
    let old_object = take("oldObject", wire.old_object)?;
    let options = take("options", wire.options)?;
    let needed: &[(&'static str, &Option<Value>)] = match operation {
        Operation::Create => &[("object", &object)],
        Operation::Update => &[("object", &object), ("oldObject", &old_object)],
        Operation::Delete => &[("oldObject", &old_object)],
        // What is connected to is read live; the options object says little.
        Operation::Connect => &[],
    };
    if let Some((field, _)) = needed.iter().find(|(_, value)| value.is_none()) {
        return Err(Unreadable::NoObject { operation, field });
    }
    let request = Request {
        uid,
        phase,
        operation,
        kind,
        resource,
        subresource: wire.sub_resource.filter(|text| !text.is_empty()),
        namespace: wire.namespace.filter(|text| !text.is_empty()),
        name: wire.name.filter(|text| !text.is_empty()),
        user: User {
            username: user.username.unwrap_or_default(),
            groups: user.groups.unwrap_or_default(),
            extra: user.extra.unwrap_or_default().0,
        },
        object,
        old_object,
        options,
        dry_run: wire.dry_run.unwrap_or(false),
    };
    plain_names(&request)?;
    Ok(Review { request, footprint })
}

/// Names reach logs and messages; one with a control character is nobody's.
fn plain_names(request: &Request) -> Result<(), Unreadable> {
    let names = [
        ("kind", Some(&request.kind.kind)),
        ("kind.group", Some(&request.kind.group)),
        ("kind.version", Some(&request.kind.version)),
        ("resource", Some(&request.resource.resource)),
        ("resource.group", Some(&request.resource.group)),
        ("resource.version", Some(&request.resource.version)),
        ("subResource", request.subresource.as_ref()),
        ("namespace", request.namespace.as_ref()),
        ("name", request.name.as_ref()),
        ("userInfo.username", Some(&request.user.username)),
    ];
    match names.iter().find(|(_, name)| name.is_some_and(|name| name.chars().any(char::is_control))) {
        Some((field, _)) => Err(Unreadable::ControlCharacter(field)),
        None => Ok(()),
    }
}

/// As it is on the wire; derived structs refuse a key that comes twice, and skip what they do not know.
#[derive(Deserialize)]
struct WireReview {
    #[serde(rename = "apiVersion")]
    api_version: Option<String>,
    kind: Option<String>,
    request: Option<WireRequest>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireRequest {
    uid: Option<String>,
    kind: Option<Gvk>,
    resource: Option<Gvr>,
    sub_resource: Option<String>,
    name: Option<String>,
    namespace: Option<String>,
    operation: Option<String>,
    user_info: Option<WireUser>,
    object: Option<Tree>,
    old_object: Option<Tree>,
    options: Option<Tree>,
    dry_run: Option<bool>,
}

#[derive(Deserialize)]
struct WireUser {
    username: Option<String>,
    groups: Option<Vec<String>>,
    extra: Option<Extra>,
}

/// `userInfo.extra`: a pod's name and uid are in there, so a key that comes twice is an error here too.
#[derive(Default)]
struct Extra(BTreeMap<String, Vec<String>>);

impl<'de> Deserialize<'de> for Extra {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Extra;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of lists of text")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Extra, A::Error> {
                let mut extra = BTreeMap::new();
                while let Some((key, values)) = map.next_entry::<String, Option<Vec<String>>>()? {
                    if extra.insert(key, values.unwrap_or_default()).is_some() {
                        return Err(A::Error::custom("duplicate key in userInfo.extra"));
                    }
                }
                Ok(Extra(extra))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// The outer shape of an answer.
#[derive(Serialize)]
struct WireAnswer<'a> {
    #[serde(rename = "apiVersion")]
    api_version: &'static str,
    kind: &'static str,
    response: answer::Response<'a>,
}
