//! One DELETE: in the background, on exactly this uid and resourceVersion. No GET. Of a Job's pod that is done, one PATCH
//! of its status instead.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use kube::Client;
use kube::client::Body;
use policies::garbage::Why;
use policies::keys::ESSENTIAL_COMPLETED;
use serde_json::json;

use crate::cluster::client::path;

use super::queue::Tracked;
use super::wire::{self, ACCEPTED, JSON, PROTOBUF};

/// How long one DELETE may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// The first pause after a failure, doubled with each.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause after failures that may pass (5xx, no connection).
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// The pause after an answer that someone has to change something about (a missing right, another webhook).
const REFUSED_PAUSE: Duration = Duration::from_secs(60);
/// How long the watch may take to bring the version that made a DELETE conflict, before the old one is tried again.
const NEWS_PAUSE: Duration = Duration::from_secs(10);

/// What came of a DELETE, or of the PATCH in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is deleted, or on its way out.
    Deleted,
    /// A pod of a Job: its phase is Succeeded.
    Succeeded,
    /// It was gone already.
    AlreadyGone,
    /// It has changed (or is another one by the same name): the watch brings what it is now.
    Changed,
    /// The server asks to wait.
    Throttled(Duration),
    /// 403: a right is gone, or another webhook or policy says no.
    Forbidden(String),
    /// The server refuses otherwise; trying soon does not help.
    Refused(String),
    /// The server, or the way to it, is broken for now.
    Failed(String),
}

impl Outcome {
    /// How long to wait before this object is tried again; none where it is done with. `attempts` failed before,
    /// `random` is anything.
    pub fn pause(&self, attempts: u32, random: u64) -> Option<Duration> {
        match self {
            Self::Deleted | Self::Succeeded | Self::AlreadyGone => None,
            Self::Changed => Some(NEWS_PAUSE),
            Self::Throttled(after) => Some(jittered(*after, *after + FIRST_PAUSE, random)),
            Self::Forbidden(_) | Self::Refused(_) => Some(jittered(REFUSED_PAUSE, REFUSED_PAUSE * 2, random)),
            Self::Failed(_) => {
                let pause = FIRST_PAUSE.saturating_mul(1 << attempts.min(10)).min(LONGEST_PAUSE);
                Some(jittered(pause / 2, pause, random))
            }
        }
    }
}

/// Between `least` and `most`, so that many do not come back in step.
fn jittered(least: Duration, most: Duration, random: u64) -> Duration {
    let thousandth = u32::try_from(random % 1_000).unwrap_or(0);
    least + (most - least) * thousandth / 1_000
}

/// Sends the DELETE.
pub async fn delete(client: &Client, tracked: &Tracked) -> Outcome {
    let path = match path_of(tracked) {
        Ok(path) => path,
        Err(refused) => return refused,
    };
    let request = |media_type| http::Request::delete(&path).header(CONTENT_TYPE, media_type).header(ACCEPT, ACCEPTED);
    let (uid, version) = (tracked.uid.to_string(), tracked.version.to_string());
    let answer = match send(client, request(PROTOBUF), wire::delete_options(&uid, &version)).await {
        // An aggregated API server of another make.
        Ok(answer) if answer.status == StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            send(client, request(JSON), wire::delete_options_json(&uid, &version)).await
        }
        answer => answer,
    };
    meaning(answer)
}

/// Gives a pod the phase Succeeded. No GET: on exactly this uid and resourceVersion too.
///
/// A Job counts that, while a kubelet does not look at the pod: a change of its status alone does not make it
/// (`checkAndUpdatePod` in pkg/kubelet/config). A new annotation does; then it takes the phase from the API, and stops what
/// still runs. A PATCH of `status` may write both.
pub async fn succeed(client: &Client, tracked: &Tracked) -> Outcome {
    let mut metadata = json!({ "uid": tracked.uid.to_string(), "resourceVersion": tracked.version.to_string() });
    if tracked.why == Why::EssentialCounted {
        let seen = format!("{} seen at {}", tracked.deadline, tracked.version);
        metadata["annotations"] = json!({ ESSENTIAL_COMPLETED: seen });
    }
    let body = json!({ "metadata": metadata, "status": { "phase": "Succeeded" } });
    let path = match path_of(tracked) {
        Ok(path) => format!("{path}/status?fieldManager=retinue-collector"),
        Err(refused) => return refused,
    };
    let request = http::Request::patch(path).header(CONTENT_TYPE, "application/merge-patch+json");
    match meaning(send(client, request, body.to_string().into_bytes()).await) {
        Outcome::Deleted => Outcome::Succeeded,
        outcome => outcome,
    }
}

fn path_of(tracked: &Tracked) -> Result<String, Outcome> {
    let kind = &tracked.kind;
    path(&kind.gvk.api_version(), &kind.resource, Some(&tracked.namespace), &tracked.name)
        .map_err(|error| Outcome::Refused(error.to_string()))
}

/// What the API server said.
struct Answer {
    status: StatusCode,
    retry_after: Option<String>,
    body: Bytes,
}

/// Sends it; no answer is an outcome already.
async fn send(client: &Client, request: http::request::Builder, body: Vec<u8>) -> Result<Answer, Outcome> {
    let request = request
        .body(Body::from(body))
        .map_err(|error| Outcome::Refused(format!("no request can be made of its name: {error}")))?;
    let answered = tokio::time::timeout(DEADLINE, async {
        let answer = client.send(request).await?;
        let status = answer.status();
        let retry_after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Ok::<_, kube::Error>(Answer { status, retry_after, body: answer.into_body().collect_bytes().await? })
    });
    match answered.await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(Outcome::Failed(error.to_string())),
        Err(_) => Err(Outcome::Failed(format!("no answer within {} s", DEADLINE.as_secs()))),
    }
}

fn meaning(answer: Result<Answer, Outcome>) -> Outcome {
    answer.map_or_else(
        |outcome| outcome,
        |Answer { status, retry_after, body }| outcome(status.as_u16(), retry_after.as_deref(), &body),
    )
}

/// What an answer means.
fn outcome(status: u16, retry_after: Option<&str>, body: &[u8]) -> Outcome {
    let message = || {
        let told = wire::message(body).map(|told| told.chars().take(500).collect());
        told.unwrap_or_else(|| format!("HTTP {status}"))
    };
    let after = retry_after.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
    match status {
        200..=299 => Outcome::Deleted,
        404 | 410 => Outcome::AlreadyGone,
        409 => Outcome::Changed,
        429 => Outcome::Throttled(after.unwrap_or(Duration::from_secs(1)).min(LONGEST_PAUSE)),
        // A server that shuts down says so with 503 and Retry-After.
        503 if after.is_some() => Outcome::Throttled(after.unwrap_or_default().min(LONGEST_PAUSE)),
        // 408 and 425 pass by themselves; 401 does when the token is read again.
        401 | 408 | 425 | 500..=599 => Outcome::Failed(message()),
        403 => Outcome::Forbidden(message()),
        _ => Outcome::Refused(message()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
    use super::*;

    #[test]
    fn each_answer_has_its_meaning() {
        let status = |message: &str| format!(r#"{{"kind":"Status","message":"{message}"}}"#);
        for (code, after, body, expected) in [
            (200, None, String::new(), Outcome::Deleted),
            (202, None, String::new(), Outcome::Deleted),
            (404, None, status("not found"), Outcome::AlreadyGone),
            (409, None, status("the UID in the precondition"), Outcome::Changed),
            (429, Some("7"), String::new(), Outcome::Throttled(Duration::from_secs(7))),
            (429, None, String::new(), Outcome::Throttled(Duration::from_secs(1))),
            (429, Some("99999"), String::new(), Outcome::Throttled(LONGEST_PAUSE)),
            (503, Some("1"), String::new(), Outcome::Throttled(Duration::from_secs(1))),
            (503, None, "upstream".into(), Outcome::Failed("HTTP 503".into())),
            (500, None, status("etcd"), Outcome::Failed("etcd".into())),
            (401, None, status("Unauthorized"), Outcome::Failed("Unauthorized".into())),
            (403, None, status("cannot delete"), Outcome::Forbidden("cannot delete".into())),
            (422, None, "nonsense".into(), Outcome::Refused("HTTP 422".into())),
        ] {
            assert_eq!(outcome(code, after, body.as_bytes()), expected, "{code}");
        }
    }

    #[test]
    fn pauses_grow_and_are_bounded() {
        assert_eq!(Outcome::Deleted.pause(0, 0), None);
        assert_eq!(Outcome::AlreadyGone.pause(3, 0), None);
        let failed = Outcome::Failed(String::new());
        let mut last = Duration::ZERO;
        for attempts in 0..40 {
            for random in [0, 500, 999, u64::MAX] {
                let pause = failed.pause(attempts, random).unwrap();
                assert!(pause >= FIRST_PAUSE / 2 && pause <= LONGEST_PAUSE, "{attempts} {pause:?}");
            }
            let pause = failed.pause(attempts, 0).unwrap();
            assert!(pause >= last);
            last = pause;
        }
        let throttled = Outcome::Throttled(Duration::from_secs(7));
        assert!(throttled.pause(0, 0).unwrap() >= Duration::from_secs(7), "never earlier than the server asked");
    }
}
