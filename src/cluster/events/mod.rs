//! Events on the master's workload: what was admitted and what was refused, for `kubectl describe` and `kubectl events`.
//!
//! They are told off the hot path: a verdict puts a note into a bounded queue and goes on; a full queue drops the
//! note, and counts it. What repeats becomes a series of one Event, whose count is written now and then; a master
//! that has much to tell is told about by kind and template, no longer by object. Dry runs are never told.

pub(crate) mod note;
pub mod series;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::Client;
use policies::object::ObjectRef;
use policies::request::{Operation, Phase, Request};
use policies::verdict::{Ground, Situation, Verdict, refusal::deed, template_text};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::client::{READ_DEADLINE, message};
use super::clock::Clock;
use note::shortened;
use series::{Book, Write};

/// Notes that may wait; each is at most about 2 KB.
const WAITING: usize = 512;
/// How often series that repeated are written.
const TICK: Duration = Duration::from_secs(5);
/// The rest between two looks at the queue, so that a burst of notes is not a thread switch each. [`WAITING`] notes in
/// this time are more than a core can judge.
const REST: Duration = Duration::from_millis(10);
/// Who reports.
const REPORTER: &str = "fledged.io/retinue";

/// Something to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Whose Event it is: the master's workload.
    pub workload: ObjectRef,
    /// Its namespace.
    pub namespace: String,
    /// What happened.
    pub happened: Happened,
    /// Kind and template: notes that agree in them may be told together.
    pub about: String,
    /// The object's name, or what stands for it.
    pub object: String,
    /// For people.
    pub text: String,
}

/// What an Event can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Happened {
    /// A dependent was admitted.
    Admitted,
    /// A request was refused.
    Refused,
}

impl Happened {
    fn reason(self) -> &'static str {
        match self {
            Self::Admitted => "DependentAdmitted",
            Self::Refused => "DependentRefused",
        }
    }

    fn level(self) -> &'static str {
        match self {
            Self::Admitted => "Normal",
            Self::Refused => "Warning",
        }
    }
}

/// What there is to tell of a verdict; none for dry runs, callers without a workload, and what is told elsewhere (a
/// create that both phases admit is told by the second).
pub fn note(request: &Request, situation: &Situation, verdict: &Verdict) -> Option<Note> {
    if request.dry_run {
        return None;
    }
    let caller = situation.caller.as_ref().ok()?;
    let object = deed(request);
    let (happened, template, text) = match verdict {
        Verdict::Admit(admission) => {
            if request.phase == Phase::Mutating || admission.ground != Ground::Template {
                return None;
            }
            let subject = &admission.subject;
            let template = subject.config_map.as_ref().map(|name| template_text(name, subject.key.as_deref()));
            let by = template.as_ref().map(|template| format!(" by template {template}")).unwrap_or_default();
            let until = subject.deadline.map(|deadline| format!(", until {deadline}")).unwrap_or_default();
            (Happened::Admitted, template, format!("admitted {object}{by}{until}"))
        }
        Verdict::Refuse(refusal) => {
            let template = refusal.config_map.as_ref().map(|name| template_text(name, refusal.key.as_deref()));
            (Happened::Refused, template, refusal.message.clone())
        }
    };
    let operation = match request.operation {
        Operation::Create => "create",
        Operation::Update => "update",
        Operation::Delete => "delete",
        Operation::Connect => "connect",
    };
    let subresource = request.subresource.as_deref().unwrap_or_default();
    Some(Note {
        workload: caller.workload(),
        namespace: caller.account.namespace.clone(),
        happened,
        about: format!("{operation} {}/{subresource} {}", request.resource, template.unwrap_or_default()),
        object,
        text: shortened(&text, note::LIMIT),
    })
}

/// Where verdicts put their notes.
#[derive(Debug)]
pub struct Events {
    notes: mpsc::Sender<Note>,
    dropped: Arc<AtomicU64>,
}

impl Events {
    /// A queue, and what writes from it.
    pub(crate) fn new(client: Client, clock: Arc<Clock>, instance: &str) -> (Self, Writer) {
        let (notes, waiting) = mpsc::channel(WAITING);
        let dropped = Arc::new(AtomicU64::new(0));
        // The API server refuses an Event without it.
        let instance = shortened(if instance.is_empty() { "retinue" } else { instance }, 128);
        let writer = Writer { client, clock, waiting, instance, dropped: Arc::clone(&dropped) };
        (Self { notes, dropped }, writer)
    }

    /// Tells of a verdict, some time later.
    pub fn tell(&self, note: Note) {
        if self.notes.try_send(note).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many notes were dropped: the queue was full, or the API server refused them.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// Writes Events.
pub(crate) struct Writer {
    client: Client,
    clock: Arc<Clock>,
    waiting: mpsc::Receiver<Note>,
    instance: String,
    dropped: Arc<AtomicU64>,
}

impl Writer {
    /// Writes, until nobody can tell any more.
    pub(crate) async fn run(mut self) {
        let mut book = Book::default();
        let mut notes = Vec::new();
        let mut ticks = tokio::time::interval(TICK);
        loop {
            let writes: Vec<Write> = tokio::select! {
                taken = self.waiting.recv_many(&mut notes, WAITING) => match taken {
                    0 => return,
                    _ => notes.drain(..).filter_map(|note| book.take(note, Instant::now())).collect(),
                },
                _ = ticks.tick() => book.due(Instant::now()),
            };
            for write in writes {
                if let Err(reason) = self.write(&write).await {
                    self.dropped.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(reason, "an Event could not be written");
                }
            }
            tokio::time::sleep(REST).await;
        }
    }

    async fn write(&self, write: &Write) -> Result<(), String> {
        let now = self.clock.now().ok_or("the API server's clock is not known yet")?;
        let (request, body) = match write {
            Write::First { name, note } => {
                let events = format!("/apis/events.k8s.io/v1/namespaces/{}/events", note.namespace);
                let request = http::Request::post(events).header(http::header::CONTENT_TYPE, "application/json");
                (request, event(name, note, &self.instance, now))
            }
            Write::Repeated { name, namespace, count } => {
                let event = format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events/{name}");
                let request =
                    http::Request::patch(event).header(http::header::CONTENT_TYPE, "application/merge-patch+json");
                (request, json!({"series": {"count": count, "lastObservedTime": micro(now)}}))
            }
        };
        let request = request.body(body.to_string().into_bytes()).map_err(|error| error.to_string())?;
        match tokio::time::timeout(READ_DEADLINE, self.client.request::<Value>(request)).await {
            Err(_) => Err("no answer in time".into()),
            Ok(Err(error)) => Err(message(&error)),
            Ok(Ok(_)) => Ok(()),
        }
    }
}

/// The instant as `MicroTime` holds it.
fn micro(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

fn event(name: &str, note: &Note, instance: &str, now: Timestamp) -> Value {
    json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": note.namespace},
        "eventTime": micro(now),
        "reportingController": REPORTER,
        "reportingInstance": instance,
        "action": "Admission",
        "reason": note.happened.reason(),
        "type": note.happened.level(),
        "note": note.text,
        "regarding": {
            "apiVersion": note.workload.api_version,
            "kind": note.workload.kind,
            "name": note.workload.name,
            "namespace": note.namespace,
            "uid": note.workload.uid,
        },
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
    use super::*;

    #[test]
    fn times_have_microseconds_as_the_api_server_wants_them() {
        assert_eq!(micro("2026-11-20T15:30:00Z".parse().unwrap()), "2026-11-20T15:30:00.000000Z");
        assert_eq!(micro("2026-11-20T15:30:00.0123456Z".parse().unwrap()), "2026-11-20T15:30:00.012345Z");
    }
}
