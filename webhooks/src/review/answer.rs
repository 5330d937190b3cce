//! The answer to a review: allowed, perhaps with a patch, or refused with a status that a person can act on.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use policies::request::Phase;
use policies::verdict::Verdict;
use serde::Serialize;

use super::{API_VERSION, KIND, WireAnswer};

/// The API server cuts each warning to 256 characters once all of them are longer than 4,096
/// (k8s.io/apiserver/pkg/endpoints/filters/warning.go); cut here, so that what is cut is ours to choose.
const WARNING_CHARS: usize = 256;
const WARNINGS_CHARS: usize = 4096;
/// A message that nobody reads to its end helps nobody.
const MESSAGE_BYTES: usize = 16 << 10;
/// Per audit annotation; the admission record is the longest of them.
const AUDIT_BYTES: usize = 8 << 10;

/// What most patches and, without them, most answers fit in.
const PATCH_BYTES: usize = 2 << 10;
const ANSWER_BYTES: usize = 1 << 10;

/// What is answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Yes or no.
    pub decision: Decision,
    /// Shown to the caller, as kubectl does.
    pub warnings: Vec<String>,
    /// For the API server's audit log; the API server puts the webhook's name before each key.
    pub audit: BTreeMap<String, String>,
}

/// Yes or no.
#[derive(Clone, Debug)]
pub enum Decision {
    /// Go on, with this change if there is one.
    Allow {
        /// The change; only the mutating phase may answer one.
        patch: Option<json_patch::Patch>,
    },
    /// Stop.
    Refuse(Denial),
}

/// A refusal as the caller sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// HTTP status of the API server's answer to its caller, 400 to 599.
    pub code: u16,
    /// The machine-readable reason, as Kubernetes spells it: `Forbidden`, `Invalid`.
    pub reason: &'static str,
    /// For people.
    pub message: String,
    /// Seconds after which asking again makes sense; clients wait that long and ask again by themselves.
    pub retry_after: Option<u32>,
}

impl Denial {
    /// A refusal that asking again does not change.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), retry_after: None }
    }

    /// A refusal that is gone in a while.
    pub fn for_now(code: u16, reason: &'static str, message: impl Into<String>, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..Self::new(code, reason, message) }
    }
}

impl From<Denial> for Answer {
    fn from(denial: Denial) -> Self {
        Self { decision: Decision::Refuse(denial), warnings: Vec::new(), audit: BTreeMap::new() }
    }
}

impl Answer {
    /// The answer that a verdict is, in `phase`. A patch outside the mutating phase would be an object that nobody
    /// validated: it becomes a refusal.
    pub fn of(verdict: Verdict, phase: Phase) -> Self {
        match verdict {
            Verdict::Admit(admission) => {
                let patch = admission.patch.filter(|patch| !patch.0.is_empty());
                if patch.is_some() && phase == Phase::Validating {
                    return Denial::new(
                        500,
                        "InternalError",
                        "retinue wanted to change an object in the validating phase; this is a bug of retinue",
                    )
                    .into();
                }
                Self { decision: Decision::Allow { patch }, warnings: admission.warnings, audit: admission.audit }
            }
            Verdict::Refuse(refusal) => {
                let (code, reason) = refusal.cause.status();
                Self { audit: refusal.audit, ..Denial::new(code, reason, refusal.message).into() }
            }
        }
    }

    /// Whether it is a yes.
    pub fn allowed(&self) -> bool {
        matches!(self.decision, Decision::Allow { .. })
    }

    /// The AdmissionReview that answers the request `uid`, as JSON.
    pub fn to_json(&self, uid: &str) -> Result<Vec<u8>, serde_json::Error> {
        let (status, patch) = match &self.decision {
            Decision::Allow { patch: None } => (None, None),
            Decision::Allow { patch: Some(patch) } => {
                (None, Some(BASE64_STANDARD.encode(written(patch, PATCH_BYTES)?)))
            }
            Decision::Refuse(denial) => (Some(status(denial)), None),
        };
        let room = ANSWER_BYTES + patch.as_ref().map_or(0, String::len);
        let response = Response {
            uid,
            allowed: self.allowed(),
            patch_type: patch.as_ref().map(|_| "JSONPatch"),
            patch,
            status,
            warnings: bounded_warnings(&self.warnings),
            audit_annotations: bounded_audit(&self.audit),
        };
        written(&WireAnswer { api_version: API_VERSION, kind: KIND, response }, room)
    }
}

/// As JSON that is not moved while it is written, where it fits in this many bytes.
fn written(value: &impl Serialize, room: usize) -> Result<Vec<u8>, serde_json::Error> {
    let mut json = Vec::with_capacity(room);
    serde_json::to_writer(&mut json, value)?;
    Ok(json)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    audit_annotations: BTreeMap<Cow<'a, str>, &'a str>,
}

#[derive(Serialize)]
struct Status<'a> {
    status: &'static str,
    code: u16,
    reason: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details>,
}

#[derive(Serialize)]
struct Details {
    #[serde(rename = "retryAfterSeconds")]
    retry_after_seconds: u32,
}

fn status(denial: &Denial) -> Status<'_> {
    Status {
        status: "Failure",
        // A refusal that says 200 would be no refusal.
        code: if (400..600).contains(&denial.code) { denial.code } else { 403 },
        reason: denial.reason,
        message: cut(&denial.message, MESSAGE_BYTES),
        details: denial.retry_after.map(|retry_after_seconds| Details { retry_after_seconds }),
    }
}

/// At most `bytes`, whole characters.
fn cut(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}

/// Warnings travel as HTTP headers: no control characters; the last one says how many did not fit.
fn bounded_warnings(warnings: &[String]) -> Vec<String> {
    const ROOM_FOR_THE_REST: usize = 32;
    let mut room = WARNINGS_CHARS - ROOM_FOR_THE_REST;
    let mut kept = Vec::new();
    for (position, warning) in warnings.iter().enumerate() {
        let mut text: String =
            warning.chars().map(|c| if c.is_control() { ' ' } else { c }).take(WARNING_CHARS + 1).collect();
        let mut chars = text.chars().count();
        if chars > WARNING_CHARS {
            text = text.chars().take(WARNING_CHARS - 1).chain(['…']).collect();
            chars = WARNING_CHARS;
        }
        if chars > room {
            kept.push(format!("and {} more", warnings.len() - position));
            break;
        }
        room -= chars;
        kept.push(text);
    }
    kept
}

/// The API server drops an annotation whose key is not a name (letters, digits, `-_.`, 63 characters, no slash since
/// the webhook's own name goes before it); what does not fit is made to.
fn bounded_audit(audit: &BTreeMap<String, String>) -> BTreeMap<Cow<'_, str>, &str> {
    audit.iter().filter_map(|(key, value)| Some((audit_key(key)?, cut(value, AUDIT_BYTES)))).collect()
}

fn audit_key(key: &str) -> Option<Cow<'_, str>> {
    const LONGEST: usize = 63;
    let name = key.rsplit('/').next().unwrap_or(key);
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let name = if name.len() <= LONGEST && name.chars().all(is_safe) {
        Cow::Borrowed(name)
    } else {
        name.chars().map(|c| if is_safe(c) { c } else { '-' }).take(LONGEST).collect()
    };
    let trimmed = name.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    match trimmed.len() {
        0 => None,
        length if length == name.len() => Some(name),
        _ => Some(trimmed.to_owned().into()),
    }
}
