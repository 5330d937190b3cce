//! Sends samples: creates with dry run, as an account that may do nothing else.

use std::time::Duration;

use kube::Client;
use policies::object::Gvk;
use policies::tables::{Facts, plural_with};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::cluster::client::message;
use crate::deploy::PROBE;
use crate::deploy::values::NAMESPACE;

/// How long one answer may take: other webhooks are asked too.
const DEADLINE: Duration = Duration::from_secs(15);
/// How long a name may be that is put in the place of one that is taken.
const LONGEST_NAME: usize = 52;

/// Why nothing came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unsent {
    /// The account lacks a right; what the API server says.
    NotAllowed(String),
    /// It was refused, or there was no answer.
    Refused(String),
}

/// Who sends.
pub(super) struct Probe {
    client: Client,
    user: String,
}

impl Probe {
    /// The probe's account is in the namespace of our own.
    pub(super) async fn new(client: Client) -> Self {
        let namespace = own_namespace(&client).await.unwrap_or_else(|| NAMESPACE.to_owned());
        Self { client, user: format!("system:serviceaccount:{namespace}:{PROBE}") }
    }

    /// The version of the server, as it writes it; empty where it did not say.
    pub(super) async fn version(&self) -> String {
        match tokio::time::timeout(DEADLINE, self.client.apiserver_version()).await {
            Ok(Ok(version)) => version.git_version,
            Ok(Err(_)) | Err(_) => String::new(),
        }
    }

    /// What the API server makes of `sample`. A name that is taken already is replaced; what was sent in the end comes
    /// back beside the answer.
    pub(super) async fn send(
        &self,
        kind: &Gvk,
        sample: &Value,
        namespace: &str,
        facts: &Facts,
    ) -> Result<(Value, Value), Unsent> {
        let resource = plural_with(kind, facts)
            .ok_or_else(|| Unsent::Refused(format!("there is no CustomResourceDefinition of {kind}")))?;
        let mut sent = sample.clone();
        match self.create(kind, resource, namespace, &sent).await {
            Err(Answer::Taken) => {}
            Err(Answer::Unsent(unsent)) => return Err(unsent),
            Ok(object) => return Ok((sent, object)),
        }
        rename(&mut sent);
        match self.create(kind, resource, namespace, &sent).await {
            Ok(object) => Ok((sent, object)),
            Err(Answer::Taken) => Err(Unsent::Refused("its name is taken, and so is the one put in its place".into())),
            Err(Answer::Unsent(unsent)) => Err(unsent),
        }
    }

    async fn create(&self, kind: &Gvk, resource: &str, namespace: &str, object: &Value) -> Result<Value, Answer> {
        let root = if kind.group.is_empty() { "api".to_owned() } else { format!("apis/{}", kind.group) };
        let path = format!("/{root}/{}/namespaces/{namespace}/{resource}?dryRun=All", kind.version);
        let refused = |message: String| Answer::Unsent(Unsent::Refused(message));
        let request = http::Request::post(path)
            .header(http::header::CONTENT_TYPE, "application/json")
            .header("Impersonate-User", &self.user)
            .body(object.to_string().into_bytes())
            .map_err(|error| refused(error.to_string()))?;
        match tokio::time::timeout(DEADLINE, self.client.request::<Value>(request)).await {
            Err(_) => Err(refused(format!("no answer within {} s", DEADLINE.as_secs()))),
            Ok(Ok(object)) => Ok(object),
            Ok(Err(kube::Error::Api(status))) if status.reason == "AlreadyExists" => Err(Answer::Taken),
            Ok(Err(error)) => {
                let said = message(&error);
                let lacking = said.contains("cannot create resource") || said.contains("cannot impersonate resource");
                Err(if lacking { Answer::Unsent(Unsent::NotAllowed(said)) } else { refused(said) })
            }
        }
    }
}

/// Why a create gave no object.
enum Answer {
    Taken,
    Unsent(Unsent),
}

/// Another name, which no object is likely to have.
fn rename(object: &mut Value) {
    let name = object["metadata"]["name"].as_str().unwrap_or("sample");
    let digest = Sha256::digest(name.as_bytes());
    let tail: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let kept: String = name.chars().take(LONGEST_NAME).collect();
    object["metadata"]["name"] = format!("{}-{tail}", kept.trim_end_matches(['-', '.'])).into();
}

/// The namespace of the account that we are; none where we are none.
async fn own_namespace(client: &Client) -> Option<String> {
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let request = http::Request::post("/apis/authentication.k8s.io/v1/selfsubjectreviews")
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(review.to_string().into_bytes())
        .ok()?;
    let review = tokio::time::timeout(DEADLINE, client.request::<Value>(request)).await.ok()?.ok()?;
    let user = review.pointer("/status/userInfo/username")?.as_str()?;
    let (namespace, _) = user.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    Some(namespace.to_owned())
}
