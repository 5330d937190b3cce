//! What a Job says of itself.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::{list, number, text, time};
use crate::keys;
use crate::lifetime;

/// A Job as the API server shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    #[serde(rename = "job")]
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// What it does.
    pub state: State,
    /// When it was created.
    #[serde(serialize_with = "super::maybe_written")]
    pub created: Option<Timestamp>,
    /// Its deadline, where it is a dependent that has one.
    #[serde(serialize_with = "super::maybe_written")]
    pub deadline: Option<Timestamp>,
    /// Pods that are on their way or run.
    pub active: u64,
    /// Pods that succeeded.
    pub succeeded: u64,
    /// Pods that failed.
    pub failed: u64,
    /// Why it failed: the condition's own reason and message.
    #[serde(skip)]
    pub failure: Option<Failure>,
    /// Whether more than one pod may run side by side, or one after the other without any having failed.
    #[serde(skip)]
    pub many: bool,
}

/// What a Job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Its pods are made and run.
    Running,
    /// It is told to wait (`spec.suspend`).
    Suspended,
    /// Its condition Complete is true.
    Complete,
    /// Its condition Failed is true.
    Failed,
    /// It is being deleted.
    Deleting,
    /// It is gone.
    Gone,
}

/// The condition Failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// `BackoffLimitExceeded`, `DeadlineExceeded`, `PodFailurePolicy`, …
    pub reason: String,
    /// In the Job controller's words.
    pub message: String,
}

impl Job {
    /// Reads one.
    pub fn read(job: &Value) -> Self {
        let own = |pointer| text(job, pointer).unwrap_or_default().to_owned();
        let condition =
            |kind: &str| list(job, "/status/conditions").find(|it| it["type"] == kind && it["status"] == "True");
        // A finished Job stays finished while it is deleted: what it came to is what counts.
        let state = if condition("Complete").is_some() {
            State::Complete
        } else if condition("Failed").is_some() {
            State::Failed
        } else if !job["metadata"]["deletionTimestamp"].is_null() {
            State::Deleting
        } else if job["spec"]["suspend"] == true {
            State::Suspended
        } else {
            State::Running
        };
        let failure = condition("Failed").map(|failed| Failure {
            reason: text(failed, "/reason").unwrap_or_default().to_owned(),
            message: text(failed, "/message").unwrap_or_default().to_owned(),
        });
        Self {
            namespace: own("/metadata/namespace"),
            name: own("/metadata/name"),
            uid: own("/metadata/uid"),
            state,
            created: time(job, "/metadata/creationTimestamp"),
            deadline: deadline(job),
            active: number(job, "/status/active"),
            succeeded: number(job, "/status/succeeded"),
            failed: number(job, "/status/failed"),
            failure,
            many: number(job, "/spec/parallelism") > 1 || number(job, "/spec/completions") > 1,
        }
    }
}

/// The deadline that the stamp's label holds.
pub fn deadline(job: &Value) -> Option<Timestamp> {
    let label = job["metadata"]["labels"].get(keys::EXPIRES_AT)?.as_str()?;
    job["metadata"]["labels"].get(keys::MASTER)?;
    lifetime::read_label(label).ok()
}

/// The label selector of a Job's pods, as a query has it; none where the Job has none yet. Whoever uses it checks the
/// owner too ([`owns`]), since a selector that somebody wrote by hand may select more.
pub fn selector(job: &Value) -> Option<String> {
    let selector = job.pointer("/spec/selector")?;
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    let mut terms: Vec<String> = labels.filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?))).collect();
    for expression in list(selector, "/matchExpressions") {
        let key = text(expression, "/key")?;
        let values = || list(expression, "/values").filter_map(Value::as_str).collect::<Vec<_>>().join(",");
        terms.push(match text(expression, "/operator")? {
            "In" => format!("{key} in ({})", values()),
            "NotIn" => format!("{key} notin ({})", values()),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => return None,
        });
    }
    (!terms.is_empty()).then(|| terms.join(","))
}

/// Whether the Job of this uid controls the pod.
pub fn owns(uid: &str, pod: &Value) -> bool {
    list(pod, "/metadata/ownerReferences").any(|owner| owner["uid"] == uid && owner["controller"] == true)
}
