//! Bodies are taken in within a bound of bytes in flight, not of requests: one legal review can be a thousand times
//! another. What does not fit is turned away with the uid from its head.
//!
//! Two lanes, so that a flood of large reviews does not delay small ones. A review that finds its lane full waits a
//! moment; so do a bounded number of others.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::web;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use crate::court::Deadline;
use crate::fault::Fault;
use crate::review::{HEAD, uid_from_head};

/// Bounds of what is taken in.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one body. The API server takes objects up to 3 MiB; it writes `<` as six bytes, and an UPDATE carries
    /// two objects: 3 × 6 × 2 = 36 MiB if every byte were one. A legal review was seen to reach 32.
    pub body: usize,
    /// Bytes of all bodies and trees at once.
    pub in_flight: usize,
    /// How long a body waits for room.
    pub patience: Duration,
    /// How many bodies may wait for room; each may hold a stream window ([`crate::server`]).
    pub waiting: usize,
    /// How many large bodies are parsed or judged at once.
    pub large_at_once: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 37 << 20,
            in_flight: 256 << 20,
            patience: Duration::from_secs(1),
            waiting: 128,
            large_at_once: std::thread::available_parallelism().map_or(2, usize::from),
        }
    }
}

/// From here on a body is large: it waits in the other lane, and is parsed away from the threads that serve.
pub(crate) const LARGE: usize = 1 << 20;
/// How much of `in_flight` only small bodies may use: a quarter.
const SMALL_SHARE: usize = 4;
/// Reserved at a time for a body that does not say how long it is.
const STEP: usize = 64 << 10;
/// How long a body that is turned away may keep coming.
const DRAIN: Duration = Duration::from_secs(5);

/// The bound on bytes in flight.
#[derive(Debug)]
pub(crate) struct Gate {
    limits: Limits,
    small: Arc<Semaphore>,
    large: Arc<Semaphore>,
    waiting: AtomicUsize,
    in_flight: Gauge,
    /// Held while a large body is parsed or judged.
    pub(crate) at_work: Arc<Semaphore>,
}

/// Room for one review, given back when dropped.
#[derive(Debug)]
pub(crate) struct Room {
    permits: Vec<OwnedSemaphorePermit>,
    in_flight: Gauge,
}

impl Room {
    fn new(permit: OwnedSemaphorePermit, in_flight: &Gauge) -> Self {
        let mut room = Self { permits: Vec::new(), in_flight: in_flight.clone() };
        room.add(permit);
        room
    }

    fn add(&mut self, permit: OwnedSemaphorePermit) {
        self.in_flight.inc_by(gauge(permit.num_permits()));
        self.permits.push(permit);
    }

    fn size(&self) -> usize {
        self.permits.iter().map(OwnedSemaphorePermit::num_permits).sum()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.in_flight.dec_by(gauge(self.size()));
    }
}

/// A body that was taken in.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) body: Bytes,
    pub(crate) room: Room,
}

/// A body that was not, with its uid where its head shows one.
#[derive(Debug)]
pub(crate) struct Shed {
    pub(crate) uid: Option<String>,
    pub(crate) why: Fault,
}

/// Counts one waiting body.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Gate {
    pub(crate) fn new(limits: Limits, in_flight: Gauge) -> Self {
        let small = limits.in_flight / SMALL_SHARE;
        Self {
            limits,
            small: Arc::new(Semaphore::new(small)),
            large: Arc::new(Semaphore::new(limits.in_flight - small)),
            waiting: AtomicUsize::new(0),
            in_flight,
            at_work: Arc::new(Semaphore::new(limits.large_at_once.max(1))),
        }
    }

    /// Takes a body in, or says why not after having drained it.
    pub(crate) async fn take(
        &self,
        mut payload: web::Payload,
        declared: Option<u64>,
        refusing: Refusing,
        deadline: Deadline,
    ) -> Result<Taken, Shed> {
        let mut body = BytesMut::new();
        match self.fill(&mut payload, &mut body, declared, deadline).await {
            Ok(room) => Ok(Taken { body: body.freeze(), room }),
            Err(why @ (Fault::TooLarge { .. } | Fault::Busy { .. })) => {
                let mut head = body;
                head.truncate(HEAD);
                let head = Bytes::copy_from_slice(&head);
                Err(Shed { uid: turn_away(payload, head, refusing).await, why })
            }
            Err(why) => Err(Shed { uid: uid_from_head(&body), why }),
        }
    }

    async fn fill(
        &self,
        payload: &mut web::Payload,
        body: &mut BytesMut,
        declared: Option<u64>,
        deadline: Deadline,
    ) -> Result<Room, Fault> {
        let limit = self.limits.body;
        let too_large = |size: u64| Fault::TooLarge { size, limit };
        let expected = match declared {
            Some(size) => usize::try_from(size).ok().filter(|size| *size <= limit).ok_or_else(|| too_large(size))?,
            None => STEP,
        };
        let mut room = self.reserve(expected).await?;
        // The memory is the kernel's to give when it is written to, not when it is asked for.
        body.reserve(expected);
        loop {
            let chunk = match timeout_at(deadline.at, payload.next()).await {
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
            while size > room.size() {
                match self.try_more(room.size(), STEP.max(size - room.size())) {
                    Ok(more) => room.add(more),
                    Err(busy) => {
                        body.extend_from_slice(&head_of(&chunk));
                        return Err(busy);
                    }
                }
            }
            body.extend_from_slice(&chunk);
        }
        if declared.is_some_and(|size| body.len() as u64 != size) {
            return Err(Fault::BrokenOff(body.len()));
        }
        Ok(room)
    }

    /// Room for a body of this size, now or in a moment.
    async fn reserve(&self, size: usize) -> Result<Room, Fault> {
        let busy = || Fault::Busy { size: size as u64 };
        let wanted = permits(size);
        let lane = self.lane(size);
        if let Ok(permit) = Arc::clone(lane).try_acquire_many_owned(wanted) {
            return Ok(Room::new(permit, &self.in_flight));
        }
        let others = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if others >= self.limits.waiting {
            return Err(busy());
        }
        match timeout(self.limits.patience, Arc::clone(lane).acquire_many_owned(wanted)).await {
            Ok(Ok(permit)) => Ok(Room::new(permit, &self.in_flight)),
            Ok(Err(_)) | Err(_) => Err(busy()),
        }
    }

    /// More room for a review that holds some, now or not at all: who holds and waits can wait forever.
    fn try_more(&self, held: usize, more: usize) -> Result<OwnedSemaphorePermit, Fault> {
        let lane = self.lane(held + more);
        let permit = Arc::clone(lane).try_acquire_many_owned(permits(more));
        permit.map_err(|_| Fault::Busy { size: more as u64 })
    }

    fn lane(&self, size: usize) -> &Arc<Semaphore> {
        if size < LARGE { &self.small } else { &self.large }
    }

    /// Makes the room as large as what it now holds: after parsing, a tree instead of its text.
    pub(crate) fn resize(&self, room: &mut Room, size: usize) -> Result<(), Fault> {
        let held = room.size();
        if size > held {
            room.add(self.try_more(held, size - held)?);
            return Ok(());
        }
        let mut spare = held - size;
        for permit in &mut room.permits {
            if let Some(part) = permit.split(spare.min(permit.num_permits())) {
                spare -= part.num_permits();
                room.in_flight.dec_by(gauge(part.num_permits()));
            }
        }
        Ok(())
    }
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

/// Permits are counted in `u32`; the bound on one body is far below.
fn permits(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

fn gauge(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
