//! Who may hold how much of something that there is a bound of: bytes, places.
//!
//! Whoever asks may hold so many times what is left ([`GREED`], dynamic thresholds as in the buffers of switches). So a
//! client that is alone gets most of it, several who want all of it get the same, and a part is left for who comes new.
//! That is asked twice: of an address, about the whole, and of each of its connections, about what the address may have.
//!
//! Many addresses leave nothing all the same. So who holds less than the address with the most gets what it asks for, and
//! the newest holdings of those with the most give way for it ([`GivesWay`]).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::Notify;

use crate::sender::Sender;

/// One address alone may hold three quarters, one connection alone two thirds of it all.
const GREED: usize = 3;
/// Of it all, an eighth may have been told to give way and be held nevertheless.
const LEAVING: usize = 8;

/// What there is, and who holds of it.
#[derive(Debug)]
pub(crate) struct Shares {
    all: usize,
    free: usize,
    /// What was told to give way and is not given back yet. It counts as free.
    leaving: usize,
    next: u64,
    held: HashMap<IpAddr, Held>,
    by_amount: BTreeSet<(usize, IpAddr)>,
}

#[derive(Debug, Default)]
struct Held {
    all: usize,
    connections: HashMap<Sender, usize>,
    holdings: BTreeMap<u64, One>,
}

#[derive(Debug)]
struct One {
    sender: Sender,
    size: usize,
    told: Arc<Notify>,
}

/// Something that is held. It is to be given back with [`Shares::give`].
#[derive(Debug)]
pub(crate) struct Holding {
    sender: Sender,
    number: u64,
    size: usize,
    told: Arc<Notify>,
}

/// Tells, once, that a holding is to be given back at once.
#[derive(Clone, Debug)]
pub(crate) struct GivesWay(Arc<Notify>);

impl GivesWay {
    /// Waits until others need it.
    pub(crate) async fn told(&self) {
        self.0.notified().await;
    }
}

impl Holding {
    pub(crate) fn sender(&self) -> Sender {
        self.sender
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }

    pub(crate) fn gives_way(&self) -> GivesWay {
        GivesWay(Arc::clone(&self.told))
    }
}

impl Shares {
    pub(crate) fn new(all: usize) -> Self {
        Self { all, free: all, leaving: 0, next: 0, held: HashMap::new(), by_amount: BTreeSet::new() }
    }

    /// Takes so much for this sender, if it may have it now.
    pub(crate) fn take(&mut self, sender: Sender, size: usize) -> Option<Holding> {
        self.make_room(sender, size).then(|| {
            let (number, told) = (self.next, Arc::new(Notify::new()));
            self.next += 1;
            self.change(sender, |held| {
                held.holdings.insert(number, One { sender, size: 0, told: Arc::clone(&told) });
            });
            let mut holding = Holding { sender, number, size: 0, told };
            self.add(&mut holding, size);
            holding
        })
    }

    /// Takes so much more for what is held already, if its sender may have it now.
    pub(crate) fn grow(&mut self, holding: &mut Holding, more: usize) -> bool {
        // What was told to give way gets nothing.
        let stays =
            self.held.get(&holding.sender.network()).is_some_and(|held| held.holdings.contains_key(&holding.number));
        let grows = stays && self.make_room(holding.sender, more);
        // Making room may have taken this very one.
        grows && self.add(holding, more)
    }

    /// Gives back so much of what is held; it ends with the last of it.
    pub(crate) fn give(&mut self, holding: &mut Holding, size: usize) {
        let size = size.min(holding.size);
        holding.size -= size;
        let (number, ends) = (holding.number, holding.size == 0);
        let counted = self.change(holding.sender, |held| {
            let Some(one) = held.holdings.get_mut(&number) else { return false };
            one.size -= size;
            if ends {
                held.holdings.remove(&number);
            }
            held.subtract(holding.sender, size);
            true
        });
        if counted {
            self.free += size;
        } else {
            self.leaving -= size;
        }
    }

    fn add(&mut self, holding: &mut Holding, size: usize) -> bool {
        let (sender, number) = (holding.sender, holding.number);
        let added = self.change(sender, |held| {
            let Some(one) = held.holdings.get_mut(&number) else { return false };
            one.size += size;
            held.all += size;
            *held.connections.entry(sender).or_default() += size;
            true
        });
        if added {
            self.free -= size;
            holding.size += size;
        }
        added
    }

    /// Whether this sender may have so much: it is free then.
    fn make_room(&mut self, sender: Sender, size: usize) -> bool {
        self.is_left(sender, size) || self.is_fair(sender, size) && self.crowd_out(sender, size)
    }

    /// Whether so much is left for this sender while others ask for the same.
    fn is_left(&self, sender: Sender, size: usize) -> bool {
        let held = self.held.get(&sender.network());
        let by_address = held.map_or(0, |held| held.all);
        let by_connection = held.and_then(|held| held.connections.get(&sender)).copied().unwrap_or(0);
        self.free.checked_sub(size).is_some_and(|free| {
            // What the address may still have once it has this, and then the connection of it.
            (free * GREED).checked_sub(by_address + size).is_some_and(|left| by_connection + size <= left * GREED)
        })
    }

    /// Whether this sender has less with it than another has without.
    fn is_fair(&self, sender: Sender, size: usize) -> bool {
        let by_address = self.held.get(&sender.network()).map_or(0, |held| held.all);
        self.by_amount.last().is_some_and(|(most, _)| by_address + size < *most)
    }

    /// Tells the newest holdings of whoever has most to give way, until so much is free. Nobody loses for this sender what
    /// would leave it with less than this sender has then.
    fn crowd_out(&mut self, sender: Sender, size: usize) -> bool {
        let network = sender.network();
        while self.free < size {
            let by_address = self.held.get(&network).map_or(0, |held| held.all);
            let Some((most, address)) = self.by_amount.last().copied() else { return false };
            let Some(held) = self.held.get(&address) else { return false };
            let Some((number, one)) = held.holdings.last_key_value() else { return false };
            let (number, leaves) = (*number, one.size);
            let bounded = self.leaving == 0 || self.leaving + leaves <= self.all / LEAVING;
            if by_address + size >= most || !bounded {
                return false;
            }
            self.change_at(address, |held| {
                if let Some(one) = held.holdings.remove(&number) {
                    held.subtract(one.sender, one.size);
                    one.told.notify_one();
                }
            });
            self.free += leaves;
            self.leaving += leaves;
        }
        true
    }

    fn change<T>(&mut self, sender: Sender, change: impl FnOnce(&mut Held) -> T) -> T {
        self.change_at(sender.network(), change)
    }

    /// Changes what an address holds, and keeps none that holds nothing.
    fn change_at<T>(&mut self, address: IpAddr, change: impl FnOnce(&mut Held) -> T) -> T {
        let held = self.held.entry(address).or_default();
        let before = held.all;
        let changed = change(held);
        let after = held.all;
        if held.holdings.is_empty() {
            self.held.remove(&address);
        }
        self.by_amount.remove(&(before, address));
        if after > 0 {
            self.by_amount.insert((after, address));
        }
        changed
    }
}

impl Held {
    fn subtract(&mut self, sender: Sender, size: usize) {
        self.all -= size;
        if let Some(connection) = self.connections.get_mut(&sender) {
            *connection -= size;
            if *connection == 0 {
                self.connections.remove(&sender);
            }
        }
    }
}

#[cfg(test)]
#[path = "shares_tests.rs"]
#[allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
mod tests;
