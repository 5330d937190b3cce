//! Bodies are taken in within a bound of bytes in flight, not of requests: one legal review can be a thousand times
//! another. What does not fit is turned away with the uid from its head.
//!
//! The room itself, and each sender's share of it: [`crate::rooms`].

use std::sync::Arc;
use std::time::Duration;

use actix_web::web;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use tokio::time::{Instant, timeout_at};

use crate::court::Deadline;
use crate::fault::Fault;
use crate::metrics::{Metrics, Queue};
use crate::review::{HEAD, uid_from_head};
use crate::rooms::{Load, Room, Rooms};
use crate::sender::Sender;

/// Bounds of what is taken in.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one body. The API server takes objects up to 3 MiB; it writes `<` as six bytes, and an UPDATE carries
    /// two objects: 3 × 6 × 2 = 36 MiB if every byte were one. A legal review was seen to reach 32.
    pub body: usize,
    /// Bytes of all bodies and trees of reviews at once.
    pub in_flight: usize,
    /// Bytes of all bodies of template ConfigMaps to lint at once; beside them there is one tree at a time.
    pub lints: usize,
    /// How long a body waits for room.
    pub patience: Duration,
    /// How many bodies may wait for room; each may hold a stream window ([`crate::server`]).
    pub waiting: usize,
    /// How many reviews are parsed or judged at once away from the threads that serve.
    pub judged_at_once: usize,
    /// How many may wait for that.
    pub judged_waiting: usize,
    /// How many template ConfigMaps may wait to be linted; one at a time is.
    pub lints_waiting: usize,
    /// Connections that have not ended their TLS handshake. An API server that speaks HTTP/1.1 opens one for each review
    /// under way; each takes a kilobyte, and some more once it has sent something.
    pub handshakes: usize,
    /// Connections that have. An idle one takes some 30 KB.
    pub connections: usize,
    /// Those over HTTP/2 which had more than a few requests under way at once: what they needed for that is kept, some 200 KB
    /// in all.
    pub busy_connections: usize,
    /// Requests over HTTP/2 that are not answered yet, or whose answer has not left: each holds some kilobytes; one with large
    /// headers counts as several.
    pub requests: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 37 << 20,
            in_flight: 256 << 20,
            lints: 64 << 20,
            patience: Duration::from_secs(1),
            waiting: 128,
            // One processor is left to those who serve.
            judged_at_once: std::thread::available_parallelism().map_or(1, |all| all.get().max(2) - 1),
            judged_waiting: 256,
            lints_waiting: 64,
            handshakes: 2_048,
            connections: 1_024,
            busy_connections: 128,
            requests: 4_096,
        }
    }
}

/// Reserved at a time for a body that does not say how long it is.
const STEP: usize = 16 << 10;
/// How long a body that is turned away may keep coming.
const DRAIN: Duration = Duration::from_secs(5);

/// Takes bodies in.
#[derive(Debug)]
pub(crate) struct Gate {
    limit: usize,
    rooms: Rooms,
}

/// A body that was taken in.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) body: Bytes,
    pub(crate) room: Arc<Room>,
}

/// A body that was not, with its uid where its head shows one.
#[derive(Debug)]
pub(crate) struct Shed {
    pub(crate) uid: Option<String>,
    pub(crate) why: Fault,
}

/// One body that comes in.
pub(crate) struct Incoming {
    pub(crate) payload: web::Payload,
    pub(crate) load: Load,
    pub(crate) sender: Sender,
    /// Its length, if it says so.
    pub(crate) declared: Option<u64>,
    pub(crate) refusing: Refusing,
}

impl Gate {
    pub(crate) fn new(limits: Limits, metrics: &Metrics) -> Self {
        Self { limit: limits.body, rooms: Rooms::new(limits, metrics.in_flight(), metrics.queue(Queue::Bodies)) }
    }

    /// Takes a body in, or says why not after having drained it.
    pub(crate) async fn take(&self, mut incoming: Incoming, deadline: Deadline) -> Result<Taken, Shed> {
        let mut body = BytesMut::new();
        match self.fill(&mut incoming, &mut body, deadline).await {
            Ok(room) => Ok(Taken { body: body.freeze(), room: Arc::new(room) }),
            Err(why @ (Fault::TooLarge { .. } | Fault::Busy { .. })) => {
                let mut head = body;
                head.truncate(HEAD);
                let head = Bytes::copy_from_slice(&head);
                Err(Shed { uid: turn_away(incoming.payload, head, incoming.refusing).await, why })
            }
            Err(why) => Err(Shed { uid: uid_from_head(&body), why }),
        }
    }

    async fn fill(&self, incoming: &mut Incoming, body: &mut BytesMut, deadline: Deadline) -> Result<Room, Fault> {
        let limit = self.limit;
        let too_large = |size: u64| Fault::TooLarge { size, limit };
        let expected = match incoming.declared {
            Some(size) => usize::try_from(size).ok().filter(|size| *size <= limit).ok_or_else(|| too_large(size))?,
            None => STEP,
        };
        let room = self.rooms.reserve(incoming.load, incoming.sender, expected).await.ok_or_else(|| busy(expected))?;
        // The memory is the kernel's to give when it is written to, not when it is asked for.
        body.reserve(expected);
        loop {
            let coming = timeout_at(deadline.at, incoming.payload.next());
            let chunk = match room.keep(coming).await.ok_or_else(|| busy(expected))? {
                Err(_) => return Err(Fault::Deadline(deadline.time)),
                Ok(None) => break,
                Ok(Some(Err(_))) => return Err(Fault::BrokenOff(body.len())),
                Ok(Some(Ok(chunk))) => chunk,
            };
            let size = body.len() + chunk.len();
            // A chunk that does not fit may be the first, which has the uid.
            let head_of = |chunk: &Bytes| chunk.slice(..chunk.len().min(HEAD));
            if size > limit {
                body.extend_from_slice(&head_of(&chunk));
                return Err(too_large(size as u64));
            }
            if size > room.size() && !room.resize(size.max(room.size() + STEP)) {
                body.extend_from_slice(&head_of(&chunk));
                return Err(busy(size));
            }
            body.extend_from_slice(&chunk);
        }
        if incoming.declared.is_some_and(|size| body.len() as u64 != size) {
            return Err(Fault::BrokenOff(body.len()));
        }
        Ok(room)
    }
}

/// No room for so many bytes.
pub(crate) fn busy(size: usize) -> Fault {
    Fault::Busy { size: size as u64 }
}

/// How to refuse a body that is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusing {
    /// HTTP/2: an answer may overtake its question; the rest of the stream is reset.
    AfterHead,
    /// HTTP/1.1: a client that is still writing hears nothing. The rest is read, this many bytes at most, and not
    /// kept; then the connection is closed.
    AfterDraining(usize),
}

/// Reads as much as is needed of a body that is not taken in, keeps its head and finds the uid in it.
pub(crate) async fn turn_away(mut payload: web::Payload, head: Bytes, refusing: Refusing) -> Option<String> {
    let mut head = BytesMut::from(&head[..]);
    let deadline = Instant::now() + DRAIN;
    let mut read = 0_usize;
    let enough = |head: usize, read: usize| match refusing {
        Refusing::AfterHead => head >= HEAD,
        Refusing::AfterDraining(most) => read > most,
    };
    while !enough(head.len(), read)
        && let Ok(Some(Ok(chunk))) = timeout_at(deadline, payload.next()).await
    {
        read += chunk.len();
        let missing = HEAD.saturating_sub(head.len()).min(chunk.len());
        head.extend_from_slice(&chunk[..missing]);
    }
    uid_from_head(&head)
}
