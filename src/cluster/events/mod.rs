//! Events on the master's workload: what was admitted and came to be, and what was refused, for `kubectl describe` and
//! `kubectl events`.
//!
//! They are written off the hot path: what is to be written goes into a bounded queue; a full queue drops it, and counts
//! it. What repeats becomes a series of one Event, whose count is written now and then; a master that has much to tell
//! is told about by cause, kind and template, no longer by object. Dry runs are never told.
//!
//! Whoever reaches the webhook may send a review that it refuses. So an Event of a refusal claims only that, refusals
//! have bounds of their own for each workload and in all ([`series`]), which are kept before the queue, and what was
//! admitted is told of apart from them, by what the watch shows ([`super::dependents`]).

pub(crate) mod note;
pub mod series;
pub mod told;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::Client;
use policies::object::ObjectRef;
use policies::verdict::Cause;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::client::{READ_DEADLINE, message};
use super::clock::Clock;
use note::shortened;
use series::{Book, Write};

/// Events that may wait to be written; each is at most about 2 KB.
const WAITING: usize = 512;
/// How often series that repeated are written.
const TICK: Duration = Duration::from_secs(5);
/// The rest between two looks at the queue, so that a burst is not a thread switch each.
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
    /// Why it was refused; none for what was admitted. Notes of different causes are never told together.
    pub cause: Option<Cause>,
    /// Operation, kind and template, for people: notes that agree in them may be told together.
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

/// What was told not long ago: one book for each [`Happened`], so that none of them leaves the other without room.
#[derive(Debug, Default)]
struct Books {
    admitted: Book,
    refused: Book,
}

/// Where notes are put.
#[derive(Debug)]
pub struct Events {
    books: Arc<Mutex<Books>>,
    writes: mpsc::Sender<Write>,
    dropped: Arc<AtomicU64>,
}

impl Events {
    /// A queue, and what writes from it.
    pub(crate) fn new(client: Client, clock: Arc<Clock>, instance: &str) -> (Self, Writer) {
        let (writes, waiting) = mpsc::channel(WAITING);
        let (books, dropped) = (Arc::default(), Arc::default());
        // The API server refuses an Event without it.
        let instance = shortened(if instance.is_empty() { "retinue" } else { instance }, 128);
        let writer =
            Writer { client, clock, waiting, instance, books: Arc::clone(&books), dropped: Arc::clone(&dropped) };
        (Self { books, writes, dropped }, writer)
    }

    /// Tells, some time later.
    pub fn tell(&self, note: Note) {
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        let book = match note.happened {
            Happened::Admitted => &mut books.admitted,
            Happened::Refused => &mut books.refused,
        };
        // Under the lock: whoever finds a series in its book finds its first Event in the queue.
        if let Some(write) = book.take(note, Instant::now())
            && self.writes.try_send(write).is_err()
        {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many Events were dropped: the queue was full, or the API server refused them.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// Writes Events.
pub(crate) struct Writer {
    client: Client,
    clock: Arc<Clock>,
    waiting: mpsc::Receiver<Write>,
    instance: String,
    books: Arc<Mutex<Books>>,
    dropped: Arc<AtomicU64>,
}

impl Writer {
    /// Writes, until nobody can tell any more.
    pub(crate) async fn run(mut self) {
        let mut writes = Vec::new();
        let mut ticks = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                taken = self.waiting.recv_many(&mut writes, WAITING) => if taken == 0 { return },
                _ = ticks.tick() => self.repetitions(&mut writes),
            };
            for write in writes.drain(..) {
                if let Err(reason) = self.write(&write).await {
                    self.dropped.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(reason, "an Event could not be written");
                }
            }
            tokio::time::sleep(REST).await;
        }
    }

    /// The counts that are to be written now, after the first Events of their series.
    fn repetitions(&mut self, writes: &mut Vec<Write>) {
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        while let Ok(write) = self.waiting.try_recv() {
            writes.push(write);
        }
        let now = Instant::now();
        writes.extend(books.admitted.due(now));
        writes.extend(books.refused.due(now));
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
