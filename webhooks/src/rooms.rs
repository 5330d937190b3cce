//! Room for the bytes of reviews, of a bounded number in all and a fair share of them for each sender ([`Shares`]).
//!
//! Three lanes, so that a flood of large reviews does not delay small ones, and one of template ConfigMaps no reviews at
//! all. Who finds no room waits for a moment; so does a bounded number of others, each sender a share of them. Who holds a
//! room may have to give it back for a sender that holds less ([`Room::gives_way`]).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::metrics::QueueMetrics;
use crate::sender::Sender;
use crate::shares::{GivesWay, Holding, Shares};
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
    /// By [`Lane`].
    held: Mutex<[Option<Holding>; 3]>,
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
        let place = {
            let mut state = self.shared.lock();
            if let Some(holding) = state.lane(load, size).take(sender, size) {
                drop(state);
                return Some(Room::new(&self.shared, load, holding));
            }
            let Some(place) = state.places.take(sender, 1) else {
                self.shared.metrics.crowded_out();
                return None;
            };
            state.waiting.push_back(Waiting { load, sender, size, granted });
            self.shared.metrics.set_waiting(state.waiting.len());
            Place { shared: &self.shared, place }
        };
        let gives_way = place.place.gives_way();
        let granted = tokio::select! {
            biased;
            granted = timeout(self.limits.patience, grant) => granted.ok().and_then(Result::ok),
            () = gives_way.told() => None,
        };
        if granted.is_none() {
            self.shared.metrics.crowded_out();
        }
        granted
    }
}

/// A place among those who wait.
struct Place<'a> {
    shared: &'a Shared,
    place: Holding,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.places.give(&mut self.place, 1);
        state.waiting.retain(|waiting| !waiting.granted.is_closed());
        self.shared.metrics.set_waiting(state.waiting.len());
    }
}

impl Shared {
    /// What is held here is whole at each moment, also where a thread panicked.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives to those who wait for it what was given back.
    fn grant(self: &Arc<Self>) {
        let mut granted = Vec::new();
        {
            let mut state = self.lock();
            let waiting = std::mem::take(&mut state.waiting);
            for one in waiting {
                if one.granted.is_closed() {
                    continue;
                }
                match state.lane(one.load, one.size).take(one.sender, one.size) {
                    Some(holding) => granted.push((one, holding)),
                    None => state.waiting.push_back(one),
                }
            }
        }
        // Outside of the lock: who does not wait any more drops its room at once, and so takes this way again.
        for (Waiting { load, granted, .. }, holding) in granted {
            let _ = granted.send(Room::new(self, load, holding));
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
    fn new(shared: &Arc<Shared>, load: Load, holding: Holding) -> Self {
        let size = holding.size();
        let mut held = [None, None, None];
        held[load.lane(size) as usize] = Some(holding);
        shared.in_flight.inc_by(gauge(size));
        Self { shared: Arc::clone(shared), load, held: Mutex::new(held) }
    }

    fn held(&self) -> MutexGuard<'_, [Option<Holding>; 3]> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes.
    pub(crate) fn size(&self) -> usize {
        self.held().iter().flatten().map(Holding::size).sum()
    }

    /// Does this work, unless the room is to be given back before it is done; none then.
    pub(crate) async fn keep<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let [small, large, lint] = self.gives_way();
        tokio::select! {
            biased;
            done = work => Some(done),
            () = told(small) => None,
            () = told(large) => None,
            () = told(lint) => None,
        }
    }

    fn gives_way(&self) -> [Option<GivesWay>; 3] {
        self.held().each_ref().map(|held| held.as_ref().map(Holding::gives_way))
    }

    /// Makes it as large as this, if there is room now: who holds and waits can wait forever.
    pub(crate) fn resize(&self, size: usize) -> bool {
        let (held, size) = (self.size(), size.max(LEAST));
        match size.checked_sub(held) {
            None => self.give_back(held - size),
            Some(0) => {}
            Some(more) => return self.grow(size, more),
        }
        true
    }

    /// Takes so much more, in the lane of a review of `all`.
    fn grow(&self, all: usize, more: usize) -> bool {
        let mut held = self.held();
        let Some(sender) = held.iter().flatten().map(Holding::sender).next() else { return false };
        let mut state = self.shared.lock();
        let shares = state.lane(self.load, all);
        let grown = match &mut held[self.load.lane(all) as usize] {
            Some(holding) => shares.grow(holding, more),
            none => {
                *none = shares.take(sender, more);
                none.is_some()
            }
        };
        if grown {
            self.shared.in_flight.inc_by(gauge(more));
        }
        grown
    }

    fn give_back(&self, mut spare: usize) {
        {
            let (mut held, mut state) = (self.held(), self.shared.lock());
            for (shares, held) in state.lanes.iter_mut().zip(held.iter_mut()) {
                if let Some(holding) = held {
                    let given = spare.min(holding.size());
                    spare -= given;
                    shares.give(holding, given);
                    self.shared.in_flight.dec_by(gauge(given));
                    if holding.size() == 0 {
                        *held = None;
                    }
                }
            }
        }
        self.shared.grant();
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.give_back(usize::MAX);
    }
}

async fn told(gives_way: Option<GivesWay>) {
    match gives_way {
        Some(gives_way) => gives_way.told().await,
        None => std::future::pending().await,
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
