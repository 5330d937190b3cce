//! A master from a file: its pod and what owns it, verified by the same code as in the cluster.

use std::collections::BTreeMap;
use std::path::Path;

use policies::caller::{Caller, Unidentified};
use policies::request::User;
use policies::tables;
use policies::template::Given;
use policies::verdict::Situation;
use serde_json::Value;
use webhooks::Lookups;

use crate::cluster::callers::Callers;
use crate::cluster::callers::chain::Reads;
use crate::cluster::callers::token::{POD_NAME, POD_UID};
use crate::cluster::client::LookupError;

use super::input::{self, InputError, Object};

/// Why a file describes no caller.
#[derive(Debug, thiserror::Error)]
pub enum CallerError {
    /// The file.
    #[error("{0}")]
    Input(#[from] InputError),
    /// Not exactly one pod.
    #[error(
        "{file}: {count} Pods in it; expected the master's pod, and beside it what owns it (ReplicaSet, Deployment); kubectl get -o yaml prints them"
    )]
    Pods {
        /// The file.
        file: String,
        /// How many.
        count: usize,
    },
    /// The pod has no uid.
    #[error("{place}: the Pod has no metadata.uid: take it from the cluster (kubectl get pod -o yaml), or write one")]
    NoUid {
        /// Where.
        place: String,
    },
    /// As in the cluster.
    #[error("{file}: {source}")]
    Unidentified {
        /// The file.
        file: String,
        /// Why.
        source: Unidentified,
    },
    /// Our own fault.
    #[error("no runtime: {0}")]
    Runtime(#[source] std::io::Error),
}

/// The objects of a file, by API path.
struct Files(BTreeMap<String, Value>);

impl Reads for Files {
    async fn read(&self, _what: &str, path: &str) -> Result<Option<Value>, LookupError> {
        Ok(self.0.get(path).cloned())
    }
}

/// Reads and verifies the caller that a file describes.
///
/// # Errors
/// When the file cannot be read, or the cluster would not identify it either.
pub fn from_file(path: &Path) -> Result<Caller, CallerError> {
    let file = path.display().to_string();
    let mut objects = input::objects(&[path.to_owned()])?;
    for object in &mut objects {
        if object.namespace().is_none() {
            object.value["metadata"]["namespace"] = "default".into();
        }
    }
    let pods: Vec<&Object> =
        objects.iter().filter(|object| object.kind.kind == "Pod" && object.kind.group.is_empty()).collect();
    let [pod] = pods.as_slice() else { return Err(CallerError::Pods { file, count: pods.len() }) };
    let user = user(pod)?;
    let files = Files(objects.iter().filter_map(|object| Some((api_path(object)?, object.value.clone()))).collect());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(CallerError::Runtime)?;
    runtime
        .block_on(Callers::new(files).identify(&user, &Lookups::alone()))
        .map_err(|source| CallerError::Unidentified { file, source })
}

/// What a template may take from this caller.
pub fn given(caller: &Caller) -> BTreeMap<Given, String> {
    let nobody = Unidentified::NoAccount(String::new());
    let situation = Situation { caller: Ok(caller.clone()), ..Situation::unknown(jiff::Timestamp::UNIX_EPOCH, nobody) };
    situation.given(caller)
}

/// The user whose token is bound to the pod.
fn user(pod: &Object) -> Result<User, CallerError> {
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let uid = text(&pod.value["metadata"]["uid"]).ok_or_else(|| CallerError::NoUid { place: pod.place.clone() })?;
    let account = text(&pod.value["spec"]["serviceAccountName"]).unwrap_or_else(|| "default".into());
    let namespace = pod.namespace().unwrap_or("default");
    let extra = BTreeMap::from([(POD_NAME.to_owned(), vec![pod.name()]), (POD_UID.to_owned(), vec![uid])]);
    Ok(User { username: format!("system:serviceaccount:{namespace}:{account}"), groups: Vec::new(), extra })
}

fn api_path(object: &Object) -> Option<String> {
    let root = if object.kind.group.is_empty() { "api" } else { "apis" };
    let (version, plural) = (object.kind.api_version(), tables::plural(&object.kind)?);
    let (namespace, name) = (object.namespace()?, object.value["metadata"]["name"].as_str()?);
    Some(format!("/{root}/{version}/namespaces/{namespace}/{plural}/{name}"))
}
