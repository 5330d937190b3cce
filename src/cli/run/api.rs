//! What `retinue run` asks the API server: each request with a deadline, each answer in the server's own words.

use std::time::Duration;

use kube::Client;
use kube::api::{DeleteParams, GetParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::Request;
use kube::core::params::{Preconditions, PropagationPolicy};
use policies::run::plan;
use serde_json::{Value, json};

use crate::cluster::client::{message, passes};

/// How long a request may take: webhooks may have up to 30 s each phase.
const DEADLINE: Duration = Duration::from_secs(65);
/// How long a read may take.
const READ_DEADLINE: Duration = Duration::from_secs(10);

/// No success.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ApiError {
    /// The server says no.
    #[error("{message}")]
    Answered {
        /// The HTTP status.
        code: u16,
        /// Its words.
        message: String,
    },
    /// There is no answer: whether the server has done it is not known.
    #[error("the API server did not answer: {0}")]
    Silent(String),
}

impl ApiError {
    pub(super) fn code(&self) -> Option<u16> {
        match self {
            Self::Answered { code, .. } => Some(*code),
            Self::Silent(_) => None,
        }
    }

    /// Whether the same request may go better soon.
    pub(super) fn passes(&self) -> bool {
        self.code().is_none_or(passes)
    }
}

impl From<kube::Error> for ApiError {
    fn from(error: kube::Error) -> Self {
        match &error {
            kube::Error::Api(status) => Self::Answered { code: status.code, message: words(status) },
            other => Self::Silent(message(other)),
        }
    }
}

/// What the server says; a proxy in between may say nothing that is a message.
fn words(status: &kube::core::Status) -> String {
    match (status.message.is_empty(), status.reason.is_empty()) {
        (false, _) => status.message.clone(),
        (true, false) => status.reason.clone(),
        (true, true) => format!("HTTP {}", status.code),
    }
}

/// Asks in one namespace.
#[derive(Clone)]
pub(super) struct Api {
    pub(super) client: Client,
    pub(super) namespace: String,
}

impl Api {
    fn jobs(&self) -> Request {
        Request::new(format!("/apis/batch/v1/namespaces/{}/jobs", self.namespace))
    }

    async fn ask(
        &self,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
        deadline: Duration,
    ) -> Result<Value, ApiError> {
        // A name that cannot be in a path is bad input, and never sent.
        let request = request.map_err(|error| ApiError::Answered { code: 400, message: error.to_string() })?;
        match tokio::time::timeout(deadline, self.client.request::<Value>(request)).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(ApiError::Silent(format!("nothing came within {} s", deadline.as_secs()))),
        }
    }

    /// Creates a Job.
    pub(super) async fn create(&self, job: &Value, manager: &str) -> Result<Value, ApiError> {
        let params = PostParams { field_manager: Some(manager.to_owned()), ..PostParams::default() };
        self.ask(self.jobs().create(&params, job.to_string().into_bytes()), DEADLINE).await
    }

    /// The Job that a create with this field manager made, whose answer was lost.
    pub(super) async fn made_by(&self, manager: &str) -> Result<Option<Value>, ApiError> {
        let mut params = ListParams::default().limit(500);
        loop {
            let mut page = self.ask(self.jobs().list(&params), READ_DEADLINE).await?;
            let items = page["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
            if let Some(mut found) = items.into_iter().find(|job| plan::is_by(job, manager)) {
                found["apiVersion"] = "batch/v1".into();
                found["kind"] = "Job".into();
                return Ok(Some(found));
            }
            match page["metadata"]["continue"].as_str().filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token.to_owned()),
                None => return Ok(None),
            }
        }
    }

    /// Changes a Job by a merge patch.
    pub(super) async fn merge(&self, name: &str, patch: &Value) -> Result<Value, ApiError> {
        self.ask(self.jobs().patch(name, &PatchParams::default(), &Patch::Merge(patch)), DEADLINE).await
    }

    /// Deletes the Job of this uid, its pods in the background.
    pub(super) async fn delete(&self, name: &str, uid: &str) -> Result<(), ApiError> {
        let params = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            preconditions: Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None }),
            ..DeleteParams::default()
        };
        self.ask(self.jobs().delete(name, &params), DEADLINE).await.map(drop)
    }

    /// Reads an object of the core group.
    pub(super) async fn core(&self, namespace: &str, resource: &str, name: &str) -> Result<Value, ApiError> {
        let request = Request::new(format!("/api/v1/namespaces/{namespace}/{resource}"));
        self.ask(request.get(name, &GetParams::default()), READ_DEADLINE).await
    }

    /// Asks for a review of oneself.
    pub(super) async fn review(&self, group: &str, kind: &str, spec: Value) -> Result<Value, ApiError> {
        let body = json!({"apiVersion": format!("{group}/v1"), "kind": kind, "spec": spec});
        let request = Request::new(format!("/apis/{group}/v1/{}s", kind.to_lowercase()));
        self.ask(request.create(&PostParams::default(), body.to_string().into_bytes()), READ_DEADLINE).await
    }
}
