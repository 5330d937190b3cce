//! Which Job is sent, and what holds its limit should nobody be there to end it.
//!
//! A master's Job is a dependent: its deadline is set sooner, and the collector ends it. Its manifest is sent as it
//! stands, since a template refuses what it does not say. Anybody else's Job carries what Kubernetes has:
//! `activeDeadlineSeconds` ends it, `ttlSecondsAfterFinished` takes it away.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::{job, text, time};
use crate::lifetime;

/// Who starts a Job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A master: what it creates becomes a dependent.
    Master,
    /// Anybody else.
    Other,
}

/// How long a finished Job that nobody watches any more stays, in seconds: enough to read the rest of its logs.
pub const KEPT_SECONDS: u64 = 300;

/// What is sent, and what of the limit is in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The Job.
    pub manifest: Value,
    /// Whether its `activeDeadlineSeconds` is the limit, in seconds: its passing is then the limit's.
    pub limit: Option<u64>,
}

/// What to send for `manifest`.
pub fn plan(mut manifest: Value, standing: Standing, limit: Option<u64>, keep: bool) -> Plan {
    if standing == Standing::Master {
        return Plan { manifest, limit: None };
    }
    let Some(spec) = manifest.get_mut("spec").and_then(Value::as_object_mut) else {
        return Plan { manifest, limit: None };
    };
    if !keep && absent(spec, "ttlSecondsAfterFinished") {
        spec.insert("ttlSecondsAfterFinished".into(), KEPT_SECONDS.into());
    }
    // A Job's own deadline that is sooner is its author's, and passing it is a failure.
    let sooner = spec.get("activeDeadlineSeconds").and_then(Value::as_u64);
    let ours = limit.filter(|limit| sooner.is_none_or(|own| own > *limit));
    if let Some(limit) = ours {
        spec.insert("activeDeadlineSeconds".into(), limit.into());
    }
    Plan { manifest, limit: ours }
}

fn absent(spec: &Map<String, Value>, key: &str) -> bool {
    spec.get(key).is_none_or(Value::is_null)
}

/// What becomes of a dependent's deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// Nothing: it carries no stamp.
    NoDependent,
    /// It stays: it is as soon as the limit.
    Soon,
    /// It stays, although the limit is longer: the template, or the master's pod, grants no more.
    Capped(Timestamp),
    /// It is set to this instant.
    Set(Timestamp),
}

/// What becomes of the deadline of `job`, just created, under a limit in seconds.
///
/// A creation time has whole seconds, cut off: so the limit is reckoned from the next one. Whoever watches ends the Job
/// at its limit to the moment; the deadline is there for when nobody does.
pub fn renewal(created: &Value, limit: u64) -> Renewal {
    if created["metadata"]["labels"].get(crate::keys::MASTER).is_none() {
        return Renewal::NoDependent;
    }
    let Some(start) = time(created, "/metadata/creationTimestamp") else { return Renewal::Soon };
    let after = |seconds: u64| {
        let seconds = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
        start.checked_add(seconds).unwrap_or(Timestamp::MAX)
    };
    let wanted = after(limit.saturating_add(1));
    match job::deadline(created) {
        Some(granted) if granted < after(limit) => Renewal::Capped(granted),
        Some(granted) if granted <= wanted => Renewal::Soon,
        Some(_) | None => Renewal::Set(wanted),
    }
}

/// The merge patch that sets a deadline.
pub fn renewed(deadline: Timestamp) -> Value {
    json!({"metadata": {"labels": {crate::keys::EXPIRES_AT: lifetime::label(deadline)}}})
}

/// What a Job of an image is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FromImage {
    /// Its name.
    pub name: String,
    /// The image.
    pub image: String,
    /// `command`: in the place of the image's entrypoint.
    pub command: Vec<String>,
    /// `args`: after the image's entrypoint.
    pub args: Vec<String>,
    /// `restartPolicy`: Never or OnFailure.
    pub restart: String,
    /// How many failed pods are replaced.
    pub backoff_limit: u32,
}

impl FromImage {
    /// The Job.
    pub fn job(&self) -> Value {
        let mut container = json!({"name": "main", "image": self.image});
        for (key, words) in [("command", &self.command), ("args", &self.args)] {
            if !words.is_empty() {
                container[key] = json!(words);
            }
        }
        let labels = json!({"app.kubernetes.io/managed-by": "retinue"});
        json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": self.name, "labels": labels},
            "spec": {
                "backoffLimit": self.backoff_limit,
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"restartPolicy": self.restart, "containers": [container]},
                },
            },
        })
    }
}

/// The longest base of a name: the pods' names and the label `job-name` (63 characters) have to hold it with what is
/// put around it.
const BASE: usize = 40;

/// `run-post-trade-x7k2p`, of `registry.example/post-trade:1.4` and something random.
pub fn name_of_image(image: &str, random: u64) -> String {
    let path = image.split('@').next().unwrap_or_default();
    let last = path.rsplit('/').next().unwrap_or_default();
    let base: String = last
        .split(':')
        .next()
        .unwrap_or_default()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .take(BASE)
        .collect();
    let base = base.trim_matches('-');
    format!("run-{}-{}", if base.is_empty() { "job" } else { base }, suffix(random))
}

/// Gives a Job that asks for a generated name one that is known before it is sent. For masters it stays as it is, since
/// their template says `generateName`.
pub fn named(manifest: &mut Value, standing: Standing, random: u64) {
    let Some(prefix) = text(manifest, "/metadata/generateName").map(str::to_owned) else { return };
    if standing == Standing::Master || text(manifest, "/metadata/name").is_some() {
        return;
    }
    if let Some(metadata) = manifest.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("generateName");
        let kept: String = prefix.chars().take(BASE + "run-".len()).collect();
        metadata.insert("name".into(), format!("{kept}{}", suffix(random)).into());
    }
}

/// Five letters and digits as Kubernetes takes them: none that could make a word, or look like another.
pub fn suffix(random: u64) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut left = random;
    let mut out = String::with_capacity(5);
    for _ in 0..5 {
        let index = usize::try_from(left % ALPHABET.len() as u64).unwrap_or(0);
        out.push(char::from(ALPHABET[index]));
        left /= ALPHABET.len() as u64;
    }
    out
}

/// Whether an object was created by the request that named this field manager: how one's own Job is known again when
/// the answer to its create was lost.
pub fn is_by(object: &Value, manager: &str) -> bool {
    super::list(object, "/metadata/managedFields").any(|entry| entry["manager"] == manager)
}
