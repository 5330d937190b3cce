//! Conditions on the collector's own pod: whether it has the rights that it needs, and whether what judges masters is
//! there. `kubectl describe` shows them, and `kubectl wait` waits for them.
//!
//! Written when they change, by a task of their own that knows only what is true now: what is missed is not made up for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use http::header::CONTENT_TYPE;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::cluster::client::{message, passes, path};
use crate::cluster::clock::Clock;
use crate::cluster::events::note::{self, shortened};

/// Whether no right is missing for what is to be collected.
pub(super) const RIGHTS: &str = "fledged.io/RightsComplete";
/// Whether the webhook configurations and the floor are there.
pub(super) const GUARD: &str = "fledged.io/GuardComplete";

/// How long one write may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// The first pause before a write that failed is tried again, doubled with each up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What is missing, by condition; nothing: it is true. What is not in it is not known.
type Missing = BTreeMap<&'static str, BTreeSet<String>>;

/// What is true now.
#[derive(Debug)]
pub(super) struct Conditions {
    now: watch::Sender<Missing>,
    _writer: JoinSet<()>,
}

impl Conditions {
    /// Nothing is known yet. Without a pod nothing is written.
    pub(super) fn new(client: Client, clock: Arc<Clock>, pod: Option<&ObjectReference>) -> Self {
        let now = watch::Sender::default();
        let mut writer = JoinSet::new();
        if let Some(writes) = pod.and_then(|pod| Writer::new(client, clock, pod)) {
            writer.spawn(writes.run(now.subscribe()));
        }
        Self { now, _writer: writer }
    }

    /// Says what is missing of what a condition is about.
    pub(super) fn set(&self, condition: &'static str, missing: &BTreeSet<String>) {
        self.now.send_if_modified(|now| now.insert(condition, missing.clone()).as_ref() != Some(missing));
    }
}

/// Writes them.
struct Writer {
    client: Client,
    clock: Arc<Clock>,
    path: String,
    uid: String,
    /// Status and since when, as written last.
    since: BTreeMap<&'static str, (bool, Timestamp)>,
}

impl Writer {
    fn new(client: Client, clock: Arc<Clock>, pod: &ObjectReference) -> Option<Self> {
        let (name, uid) = (pod.name.as_deref()?, pod.uid.clone()?);
        let path = path("v1", "pods", pod.namespace.as_deref(), name).ok()?;
        let path = format!("{path}/status?fieldManager=retinue-collector");
        Some(Self { client, clock, path, uid, since: BTreeMap::new() })
    }

    async fn run(mut self, mut now: watch::Receiver<Missing>) {
        let mut pause = FIRST_PAUSE;
        while now.changed().await.is_ok() {
            loop {
                let missing = now.borrow_and_update().clone();
                match self.write(&missing).await {
                    Ok(()) => {
                        pause = FIRST_PAUSE;
                        break;
                    }
                    Err(NotWritten { again, error }) => {
                        tracing::debug!(error, again, "the conditions of this pod could not be written");
                        if !again {
                            break;
                        }
                    }
                }
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    changed = now.changed() => if changed.is_err() { return },
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }

    /// One PATCH, on this very pod.
    async fn write(&mut self, missing: &Missing) -> Result<(), NotWritten> {
        let now = self.clock.now().unwrap_or_else(Timestamp::now);
        let conditions: Vec<Value> = missing
            .iter()
            .map(|(condition, missing)| {
                let complete = missing.is_empty();
                let since =
                    self.since.get(condition).filter(|(before, _)| *before == complete).map_or(now, |(_, at)| *at);
                self.since.insert(condition, (complete, since));
                shown(condition, missing, since)
            })
            .collect();
        let body = json!({ "metadata": { "uid": self.uid }, "status": { "conditions": conditions } });
        let request = http::Request::patch(&self.path)
            .header(CONTENT_TYPE, "application/strategic-merge-patch+json")
            .body(body.to_string().into_bytes())
            .map_err(|error| NotWritten { again: false, error: error.to_string() })?;
        match tokio::time::timeout(DEADLINE, self.client.request::<Value>(request)).await {
            Ok(Ok(_)) => Ok(()),
            // Another pod of this name, none, or a right that is missing: until something else is to be said.
            Ok(Err(kube::Error::Api(status))) if !passes(status.code) => {
                Err(NotWritten { again: false, error: status.message.clone() })
            }
            Ok(Err(error)) => Err(NotWritten { again: true, error: message(&error) }),
            Err(_) => Err(NotWritten { again: true, error: "no answer in time".into() }),
        }
    }
}

/// Why they were not written, and whether it may go better soon.
struct NotWritten {
    again: bool,
    error: String,
}

/// A condition as the API has it.
fn shown(condition: &str, missing: &BTreeSet<String>, since: Timestamp) -> Value {
    let (status, reason, message) = if missing.is_empty() {
        ("True", "Complete", String::new())
    } else {
        let named: Vec<&str> = missing.iter().map(String::as_str).collect();
        let reason = if condition == GUARD { "GuardMissing" } else { "RightsMissing" };
        ("False", reason, shortened(&named.join("; "), note::LIMIT))
    };
    // Whole seconds, as metav1.Time has them.
    let since = since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    json!({ "type": condition, "status": status, "reason": reason, "message": message, "lastTransitionTime": since })
}
