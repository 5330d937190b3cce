//! What a DELETE says, and what is answered, in Kubernetes' protobuf: the API server takes a good deal longer to read and
//! write the same as JSON (BENCHMARKS.md).
//!
//! An object is an envelope behind four bytes (`serializer/protobuf/doc.go` and `generated.proto` of apimachinery's
//! `pkg/runtime`); `DeleteOptions` and `Status` are those of `generated.proto` of its `pkg/apis/meta/v1`. Every API server
//! that is built from Kubernetes' library reads such options, for custom resources too.

use prost::Message;
use serde_json::json;

/// The media type.
pub(super) const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
/// That of who reads no protobuf.
pub(super) const JSON: &str = "application/json";
/// What [`message`] reads.
pub(super) const ACCEPTED: &str = "application/vnd.kubernetes.protobuf, application/json";

/// What each object begins with.
const MAGIC: &[u8] = b"k8s\0";

#[derive(Clone, PartialEq, Message)]
struct Unknown {
    #[prost(message, optional, tag = "1")]
    type_meta: Option<TypeMeta>,
    #[prost(bytes = "vec", tag = "2")]
    raw: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct TypeMeta {
    #[prost(string, tag = "1")]
    api_version: String,
    #[prost(string, tag = "2")]
    kind: String,
}

#[derive(Clone, PartialEq, Message)]
struct DeleteOptions {
    #[prost(message, optional, tag = "2")]
    preconditions: Option<Preconditions>,
    #[prost(string, optional, tag = "4")]
    propagation_policy: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Preconditions {
    #[prost(string, optional, tag = "1")]
    uid: Option<String>,
    #[prost(string, optional, tag = "2")]
    resource_version: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(string, tag = "3")]
    message: String,
}

/// To delete in the background exactly this version of the object with this uid.
pub(super) fn delete_options(uid: &str, version: &str) -> Vec<u8> {
    let options = DeleteOptions {
        preconditions: Some(Preconditions { uid: Some(uid.into()), resource_version: Some(version.into()) }),
        propagation_policy: Some("Background".into()),
    };
    let type_meta = TypeMeta { api_version: "v1".into(), kind: "DeleteOptions".into() };
    let unknown = Unknown { type_meta: Some(type_meta), raw: options.encode_to_vec() };
    [MAGIC, &unknown.encode_to_vec()].concat()
}

/// The same in JSON.
pub(super) fn delete_options_json(uid: &str, version: &str) -> Vec<u8> {
    let options = json!({
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": "Background",
        "preconditions": { "uid": uid, "resourceVersion": version },
    });
    options.to_string().into_bytes()
}

/// The message of a `Status` in either encoding; none where this is no `Status`, or it says nothing.
pub(super) fn message(body: &[u8]) -> Option<String> {
    let message = match body.strip_prefix(MAGIC) {
        Some(envelope) => {
            let unknown = Unknown::decode(envelope).ok()?;
            unknown.type_meta.is_some_and(|what| what.kind == "Status").then_some(())?;
            Status::decode(unknown.raw.as_slice()).ok()?.message
        }
        None => serde_json::from_slice::<kube::core::Status>(body).ok()?.message,
    };
    Some(message).filter(|message| !message.is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
    use super::*;

    #[test]
    fn options_are_an_envelope_and_what_is_in_it() {
        // By hand, field by field; that Kubernetes reads them as meant, every test of a deletion shows.
        let expected =
            b"k8s\0\n\x13\n\x02v1\x12\x0dDeleteOptions\x12\x18\x12\x0a\n\x04uid1\x12\x0242\x22\x0aBackground";
        assert_eq!(delete_options("uid1", "42"), expected);
    }

    #[test]
    fn a_message_is_read_from_either_encoding_and_nothing_else() {
        let status = |kind: &str, message: &str| {
            let raw = Status { message: message.into() }.encode_to_vec();
            let type_meta = Some(TypeMeta { api_version: "v1".into(), kind: kind.into() });
            [MAGIC, &Unknown { type_meta, raw }.encode_to_vec()].concat()
        };
        assert_eq!(message(&status("Status", "no")).as_deref(), Some("no"));
        assert_eq!(message(br#"{"kind":"Status","message":"no"}"#).as_deref(), Some("no"));
        for nothing in [
            status("Status", ""),
            status("ConfigMap", "no"),
            b"k8s\0\xff\xff\xff".to_vec(),
            b"k8s\0".to_vec(),
            b"upstream connect error".to_vec(),
            b"{}".to_vec(),
            Vec::new(),
        ] {
            assert_eq!(message(&nothing), None, "{nothing:?}");
        }
        let whole = status("Status", "no");
        for length in 0..whole.len() {
            assert_eq!(message(&whole[..length]), None, "{length}");
        }
    }
}
