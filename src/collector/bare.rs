//! Objects as the collector reads them: metadata without what it never looks at. They are asked for as metadata alone, so
//! that of a Secret no content travels, and what is large in metadata too (`managedFields`) is skipped while it is read: a
//! page of a list would else be many times what is kept of it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use http::header::{ACCEPT, HeaderValue};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use kube::Client;
use kube::client::Body;
use kube::core::discovery::ApiResource;
use kube::core::metadata::ObjectMeta;
use kube::core::{DynamicResourceScope, Resource};
use policies::keys::LAST_APPLIED;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// An object of which only the metadata are read; and its status, where it was asked for whole.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Bare {
    #[serde(default, deserialize_with = "metadata")]
    pub(super) metadata: ObjectMeta,
    #[serde(default)]
    pub(super) status: Value,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    owner_references: Option<Vec<OwnerReference>>,
}

fn metadata<'de, D: Deserializer<'de>>(from: D) -> Result<ObjectMeta, D::Error> {
    let mut read = Metadata::deserialize(from)?;
    if let Some(annotations) = &mut read.annotations {
        // Often the largest.
        annotations.remove(LAST_APPLIED);
    }
    Ok(ObjectMeta {
        name: read.name,
        namespace: read.namespace,
        uid: read.uid,
        resource_version: read.resource_version,
        creation_timestamp: read.creation_timestamp,
        deletion_timestamp: read.deletion_timestamp,
        labels: read.labels,
        annotations: read.annotations,
        owner_references: read.owner_references,
        ..ObjectMeta::default()
    })
}

impl Resource for Bare {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// The same client, asking for metadata alone where it lists and watches. An API server that gives no metadata alone may
/// give the whole.
pub(super) fn metadata_only(client: Client) -> Client {
    let namespace = client.default_namespace().to_owned();
    let asking = tower::service_fn(move |request| {
        let client = client.clone();
        async move { client.send(ask_for_metadata(request)).await }
    });
    Client::new(asking, namespace)
}

fn ask_for_metadata(mut request: http::Request<Body>) -> http::Request<Body> {
    const LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";
    const WATCH: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
    let watch = request.uri().query().is_some_and(|query| query.split('&').any(|pair| pair == "watch=true"));
    request.headers_mut().insert(ACCEPT, HeaderValue::from_static(if watch { WATCH } else { LIST }));
    request
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_never_looked_at_is_not_kept() {
        let object = json!({
            "apiVersion": "v1", "kind": "Secret", "data": {"a": "Yg=="}, "status": {"phase": "Active"},
            "metadata": {
                "name": "a", "namespace": "trading", "uid": "u", "resourceVersion": "7", "generation": 3,
                "creationTimestamp": "2026-11-20T15:00:00Z", "deletionTimestamp": "2026-11-20T16:00:00Z",
                "labels": {"fledged.io/master": "eod"}, "finalizers": ["example.com/hold"],
                "annotations": {LAST_APPLIED: "{}", "janitor/ttl": "1h"},
                "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "o"}],
                "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:data": {}}}],
            },
        });
        let Bare { metadata, status } = serde_json::from_value(object.clone()).unwrap();
        let mut expected: ObjectMeta = serde_json::from_value(object["metadata"].clone()).unwrap();
        expected.managed_fields = None;
        expected.generation = None;
        expected.finalizers = None;
        expected.annotations.as_mut().unwrap().remove(LAST_APPLIED);
        assert_eq!(metadata, expected);
        assert_eq!(status, json!({"phase": "Active"}));
        let Bare { metadata, .. } = serde_json::from_value(json!({"kind": "Secret"})).unwrap();
        assert_eq!(metadata, ObjectMeta::default());
    }

    #[test]
    fn lists_and_watches_ask_for_metadata_each_by_its_own_name() {
        for (query, expected) in [
            ("?limit=500", "as=PartialObjectMetadataList;"),
            ("", "as=PartialObjectMetadataList;"),
            ("?&watch=true&timeoutSeconds=60", "as=PartialObjectMetadata;"),
            ("?labelSelector=watch%3Dtrue", "as=PartialObjectMetadataList;"),
        ] {
            let request = http::Request::get(format!("/api/v1/secrets{query}")).header(ACCEPT, "application/json");
            let asked = ask_for_metadata(request.body(Body::empty()).unwrap());
            let accept = asked.headers().get_all(ACCEPT).iter().map(|it| it.to_str().unwrap()).collect::<Vec<_>>();
            assert_eq!(accept.len(), 1);
            assert!(accept[0].contains(expected), "{query}: {accept:?}");
        }
    }
}
