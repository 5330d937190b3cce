//! Who is connected: a bounded number, and beyond it the oldest connection of whoever has most is closed.
//!
//! So a client that opens connections without end closes its own, and a client at another address always gets in. Of the
//! addresses of one IPv6 network (/64), which one machine may have all of, the network with the most loses one, and in it
//! the address with the most.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::metrics::counter::Counter;
use tokio::sync::oneshot;

use crate::sender::network;

/// All that are open, or all whose handshake is under way. Cloning shares them.
#[derive(Clone, Debug)]
pub(crate) struct Connections {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    crowd: Mutex<Crowd>,
    limit: usize,
    crowded_out: Counter,
}

/// By network, by address, in the order in which they came.
#[derive(Debug, Default)]
struct Crowd {
    next: u64,
    count: usize,
    networks: Counted<IpAddr, Counted<IpAddr, BTreeMap<u64, oneshot::Sender<()>>>>,
}

/// What is to be closed once it is crowded out; counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    shared: Arc<Shared>,
    address: IpAddr,
    number: u64,
    crowded_out: oneshot::Receiver<()>,
}

impl Connections {
    /// At most `limit` at once.
    pub(crate) fn new(limit: usize, crowded_out: Counter) -> Self {
        Self { shared: Arc::new(Shared { crowd: Mutex::default(), limit: limit.max(1), crowded_out }) }
    }

    /// Counts one of this address. If there are too many then, one is closed, which may be this.
    pub(crate) fn open(&self, address: IpAddr) -> Connection {
        let address = address.to_canonical();
        let (close, crowded_out) = oneshot::channel();
        let mut crowd = self.shared.lock();
        let number = crowd.put(address, close);
        let closed = if crowd.count > self.shared.limit { crowd.pop() } else { None };
        drop(crowd);
        if let Some(closed) = closed {
            self.shared.crowded_out.inc();
            // Whoever listens no more is closed already.
            let _ = closed.send(());
        }
        Connection { shared: Arc::clone(&self.shared), address, number, crowded_out }
    }
}

impl Connection {
    /// Waits until it is to be closed.
    pub(crate) async fn crowded_out(&mut self) {
        if (&mut self.crowded_out).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.lock().remove(self.address, self.number);
    }
}

impl Shared {
    /// What is held here is whole at each moment, also where a thread panicked.
    fn lock(&self) -> MutexGuard<'_, Crowd> {
        self.crowd.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Crowd {
    fn put(&mut self, address: IpAddr, close: oneshot::Sender<()>) -> u64 {
        let number = self.next;
        self.next += 1;
        self.count += 1;
        self.networks.change(network(address), |addresses| addresses.change(address, |all| all.insert(number, close)));
        number
    }

    fn remove(&mut self, address: IpAddr, number: u64) -> Option<oneshot::Sender<()>> {
        let removed =
            self.networks.change(network(address), |addresses| addresses.change(address, |all| all.remove(&number)));
        self.count -= usize::from(removed.is_some());
        removed
    }

    /// The oldest of the address with the most, in the network with the most.
    fn pop(&mut self) -> Option<oneshot::Sender<()>> {
        let addresses = self.networks.largest()?;
        let address = *addresses.largest_key()?;
        let number = *addresses.largest()?.first_key_value()?.0;
        self.remove(address, number)
    }
}

/// How many there are below.
trait Count: Default {
    fn count(&self) -> usize;
}

impl<V> Count for BTreeMap<u64, V> {
    fn count(&self) -> usize {
        self.len()
    }
}

impl<K: Ord + Hash + Copy, V: Count> Count for Counted<K, V> {
    fn count(&self) -> usize {
        self.count
    }
}

/// A map that knows which of its values is the largest, and keeps none that is empty.
#[derive(Debug)]
struct Counted<K, V> {
    count: usize,
    values: HashMap<K, V>,
    by_count: BTreeSet<(usize, K)>,
}

impl<K, V> Default for Counted<K, V> {
    fn default() -> Self {
        Self { count: 0, values: HashMap::new(), by_count: BTreeSet::new() }
    }
}

impl<K: Ord + Hash + Copy, V: Count> Counted<K, V> {
    fn change<T>(&mut self, key: K, change: impl FnOnce(&mut V) -> T) -> T {
        let value = self.values.entry(key).or_default();
        let before = value.count();
        let changed = change(value);
        let after = value.count();
        self.by_count.remove(&(before, key));
        if after == 0 {
            self.values.remove(&key);
        } else {
            self.by_count.insert((after, key));
        }
        self.count = self.count - before + after;
        changed
    }

    fn largest_key(&self) -> Option<&K> {
        self.by_count.last().map(|(_, key)| key)
    }

    fn largest(&self) -> Option<&V> {
        self.values.get(self.largest_key()?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]

    use super::*;

    fn connections(limit: usize) -> Connections {
        Connections::new(limit, Counter::default())
    }

    fn open(connections: &Connections, addresses: &[&str]) -> Vec<Connection> {
        addresses.iter().map(|address| connections.open(address.parse().unwrap())).collect()
    }

    /// Which were closed since this was asked last.
    fn closed(all: &mut [Connection]) -> Vec<usize> {
        let each = all.iter_mut().enumerate();
        each.filter_map(|(at, one)| one.crowded_out.try_recv().is_ok().then_some(at)).collect()
    }

    #[test]
    fn the_oldest_of_the_address_with_the_most_is_closed() {
        let connections = connections(4);
        let mut all = open(&connections, &["10.0.0.1", "10.0.0.2", "10.0.0.2", "10.0.0.2"]);
        assert_eq!(closed(&mut all), [0_usize; 0]);
        all.extend(open(&connections, &["10.0.0.1", "10.0.0.3"]));
        assert_eq!(closed(&mut all), [1, 2]);
        assert_eq!(connections.shared.crowded_out.get(), 2);
        drop(all);
        let crowd = connections.shared.lock();
        assert_eq!((crowd.count, crowd.networks.values.len(), crowd.networks.by_count.len()), (0, 0, 0));
    }

    #[test]
    fn a_machine_with_many_addresses_closes_its_own() {
        let connections = connections(4);
        let mut all = open(&connections, &["fd00::1", "fd00:0:0:1::1", "fd00:0:0:1::2", "fd00:0:0:1::2"]);
        all.extend(open(&connections, &["fd00:0:0:1::3", "fd00::2"]));
        // Of the network with the most the address with the most, and then any of those with one.
        let closed = closed(&mut all);
        assert_eq!((closed.len(), closed.contains(&2)), (2, true), "{closed:?}");
        assert!(!closed.contains(&0) && !closed.contains(&5), "{closed:?}");
    }

    #[test]
    fn an_ipv4_address_is_one_address_however_it_is_written() {
        let connections = connections(2);
        let mut all = open(&connections, &["::ffff:10.0.0.1", "::ffff:10.0.0.2", "10.0.0.1"]);
        assert_eq!(closed(&mut all), [0]);
    }
}
