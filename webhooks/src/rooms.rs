//! Room for the bytes of reviews, of a bounded number in all and a fair share of them for each sender ([`Shares`]).
//!
//! Three lanes, so that a flood of large reviews does not delay small ones, and one of template ConfigMaps no reviews at
//! all. Who finds no room waits for a moment; so does a bounded number of others, each sender a share of them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::metrics::QueueMetrics;
use crate::sender::Sender;
use crate::shares::Shares;
use crate::shedding::Limits;

/// From here on a body is large: it waits in the other lane, and is parsed away from the threads that serve, which then
/// spend less than a millisecond on it.
pub(crate) const LARGE: usize = 64 << 10;
/// How much of `in_flight` only small bodies may use: a quarter.
const SMALL_SHARE: usize = 4;
/// Held for each review, however small: what the server itself keeps for one.
const LEAST: usize = 4 << 10;

/// Where room is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    Small,
    Large,
    Lint,
}

/// What is asked, by its endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    Review,
    Lint,
}

impl Load {
    fn lane(self, size: usize) -> Lane {
        match self {
            Self::Lint => Lane::Lint,
            Self::Review if size < LARGE => Lane::Small,
            Self::Review => Lane::Large,
        }
    }
}

/// All the room there is.
#[derive(Debug)]
pub(crate) struct Rooms {
    limits: Limits,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    in_flight: Gauge,
    metrics: QueueMetrics,
}

#[derive(Debug)]
struct State {
    /// By [`Lane`].
    lanes: [Shares; 3],
    waiting: VecDeque<Waiting>,
    places: Shares,
}

#[derive(Debug)]
struct Waiting {
    load: Load,
    sender: Sender,
    size: usize,
    granted: oneshot::Sender<Room>,
}

/// Room for one review, given back when dropped.
#[derive(Debug)]
pub(crate) struct Room {
    shared: Arc<Shared>,
    load: Load,
    sender: Sender,
    /// Bytes by [`Lane`].
    held: Mutex<[usize; 3]>,
}

impl Rooms {
    pub(crate) fn new(limits: Limits, in_flight: Gauge, metrics: QueueMetrics) -> Self {
        let small = limits.in_flight / SMALL_SHARE;
        let state = State {
            lanes: [small, limits.in_flight - small, limits.lints].map(Shares::new),
            waiting: VecDeque::new(),
            places: Shares::new(limits.waiting),
        };
        Self { limits, shared: Arc::new(Shared { state: Mutex::new(state), in_flight, metrics }) }
    }

    /// Room for a body of this size, now or in a moment.
    pub(crate) async fn reserve(&self, load: Load, sender: Sender, size: usize) -> Option<Room> {
        let size = size.max(LEAST);
        let (granted, grant) = oneshot::channel();
        {
            let mut state = self.shared.lock();
            if state.lane(load, size).take(sender, size) {
                drop(state);
                return Some(Room::new(&self.shared, load, sender, size));
            }
            if !state.places.take(sender, 1) {
                self.shared.metrics.crowded_out();
                return None;
            }
            state.waiting.push_back(Waiting { load, sender, size, granted });
            self.shared.metrics.set_waiting(state.waiting.len());
        }
        let _place = Place { shared: &self.shared, sender };
        let granted = timeout(self.limits.patience, grant).await.ok().and_then(Result::ok);
        if granted.is_none() {
            self.shared.metrics.crowded_out();
        }
        granted
    }
}

/// A place among those who wait.
struct Place<'a> {
    shared: &'a Shared,
    sender: Sender,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.places.give(self.sender, 1);
        state.waiting.retain(|waiting| !waiting.granted.is_closed());
        self.shared.metrics.set_waiting(state.waiting.len());
    }
}

impl Shared {
    /// What is held here is whole at each moment, also where a thread panicked.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes back, and gives to those who waited for it.
    fn give(self: &Arc<Self>, sender: Sender, sizes: [usize; 3]) {
        let mut granted = Vec::new();
        {
            let mut state = self.lock();
            for (lane, size) in state.lanes.iter_mut().zip(sizes) {
                lane.give(sender, size);
            }
            let waiting = std::mem::take(&mut state.waiting);
            for one in waiting {
                if one.granted.is_closed() {
                    continue;
                }
                if state.lane(one.load, one.size).take(one.sender, one.size) {
                    granted.push(one);
                } else {
                    state.waiting.push_back(one);
                }
            }
        }
        // Outside of the lock: who does not wait any more drops its room at once, and so takes this way again.
        for Waiting { load, sender, size, granted } in granted {
            let _ = granted.send(Room::new(self, load, sender, size));
        }
    }
}

impl State {
    fn lane(&mut self, load: Load, size: usize) -> &mut Shares {
        let [small, large, lint] = &mut self.lanes;
        match load.lane(size) {
            Lane::Small => small,
            Lane::Large => large,
            Lane::Lint => lint,
        }
    }
}

impl Room {
    fn new(shared: &Arc<Shared>, load: Load, sender: Sender, size: usize) -> Self {
        let room = Self { shared: Arc::clone(shared), load, sender, held: Mutex::default() };
        room.hold(size, size);
        room
    }

    /// Notes `size` more bytes, in the lane of a review of `all`.
    fn hold(&self, all: usize, size: usize) {
        self.held()[self.load.lane(all) as usize] += size;
        self.shared.in_flight.inc_by(gauge(size));
    }

    fn held(&self) -> MutexGuard<'_, [usize; 3]> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes.
    pub(crate) fn size(&self) -> usize {
        self.held().iter().sum()
    }

    /// Makes it as large as this, if there is room now: who holds and waits can wait forever.
    pub(crate) fn resize(&self, size: usize) -> bool {
        let (held, size) = (self.size(), size.max(LEAST));
        match size.checked_sub(held) {
            None => self.give_back(held - size),
            Some(0) => {}
            Some(more) => {
                if !self.shared.lock().lane(self.load, size).take(self.sender, more) {
                    return false;
                }
                self.hold(size, more);
            }
        }
        true
    }

    fn give_back(&self, mut spare: usize) {
        let mut given = [0; 3];
        for (held, given) in self.held().iter_mut().zip(&mut given) {
            *given = spare.min(*held);
            *held -= *given;
            spare -= *given;
        }
        self.shared.in_flight.dec_by(gauge(given.iter().sum()));
        self.shared.give(self.sender, given);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.give_back(usize::MAX);
    }
}

fn gauge(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]

    use std::net::Ipv4Addr;
    use std::time::Duration;

    use futures::poll;
    use prometheus_client::registry::Registry;

    use super::*;
    use crate::metrics::{Metrics, Queue};

    fn rooms(patience: Duration) -> Rooms {
        let limits = Limits { in_flight: 4 << 20, waiting: 4, patience, ..Limits::default() };
        let metrics = Metrics::register(&mut Registry::default());
        Rooms::new(limits, metrics.in_flight(), metrics.queue(Queue::Bodies))
    }

    fn sender(port: u16) -> Sender {
        Sender { address: Ipv4Addr::LOCALHOST.into(), port }
    }

    #[tokio::test]
    async fn who_waits_gets_what_is_given_back_and_nobody_waits_in_vain_for_long() {
        let rooms = rooms(Duration::from_secs(60));
        let first = rooms.reserve(Load::Review, sender(1), 500 << 10).await.unwrap();
        let held = rooms.reserve(Load::Review, sender(1), 1500 << 10).await.unwrap();
        let mut waiting = Box::pin(rooms.reserve(Load::Review, sender(1), 600 << 10));
        assert!(poll!(&mut waiting).is_pending());
        assert!(rooms.reserve(Load::Review, sender(2), 100 << 10).await.is_some(), "another goes before");
        assert!(rooms.reserve(Load::Review, sender(1), 1).await.is_some(), "small ones have their own lane");
        assert!(rooms.reserve(Load::Lint, sender(1), 1 << 20).await.is_some(), "and so have ConfigMaps");
        drop(held);
        assert_eq!(waiting.await.unwrap().size(), 600 << 10);
        drop(first);
        assert_eq!(rooms.shared.in_flight.get(), 0, "all is given back");
        assert!(rooms.shared.lock().waiting.is_empty());
    }

    #[tokio::test]
    async fn who_waits_too_long_or_in_too_great_a_crowd_has_none() {
        let rooms = rooms(Duration::ZERO);
        let _held = rooms.reserve(Load::Review, sender(1), 2 << 20).await.unwrap();
        assert!(rooms.reserve(Load::Review, sender(1), 2 << 20).await.is_none(), "patience ends");
        assert!(rooms.shared.lock().waiting.is_empty());

        let rooms = self::rooms(Duration::from_secs(60));
        let _held = rooms.reserve(Load::Review, sender(1), 2 << 20).await.unwrap();
        let mut waiting = Vec::new();
        for _ in 0..2 {
            waiting.push(Box::pin(rooms.reserve(Load::Review, sender(1), 2 << 20)));
            assert!(poll!(waiting.last_mut().unwrap()).is_pending());
        }
        assert!(rooms.reserve(Load::Review, sender(1), 2 << 20).await.is_none(), "it has its share of the places");
    }

    #[tokio::test]
    async fn a_room_grows_where_there_is_room_and_shrinks() {
        let rooms = rooms(Duration::ZERO);
        let room = rooms.reserve(Load::Review, sender(1), 1).await.unwrap();
        assert_eq!(room.size(), LEAST);
        assert!(room.resize(1 << 20), "into the lane of large ones");
        assert!(!room.resize(4 << 20));
        assert_eq!((room.size(), rooms.shared.in_flight.get()), (1 << 20, 1 << 20));
        assert!(room.resize(0));
        assert_eq!(room.size(), LEAST);
        drop(room);
        assert_eq!(rooms.shared.in_flight.get(), 0);
    }
}
