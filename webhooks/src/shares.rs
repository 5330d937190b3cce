//! Who may hold how much of something that there is a bound of: bytes, places.
//!
//! Whoever asks may hold so many times what is left ([`GREED`], dynamic thresholds as in the buffers of switches). So a
//! client that is alone gets most of it, several who want all of it get the same, and a part is always left for who
//! comes new. That is asked twice: of an address, about the whole, and of each of its connections, about what the
//! address may have.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::sender::Sender;

/// One address alone may hold three quarters, one connection alone two thirds of it all.
const GREED: usize = 3;

/// What there is, and who holds of it.
#[derive(Debug)]
pub(crate) struct Shares {
    free: usize,
    held: HashMap<IpAddr, Held>,
}

#[derive(Debug, Default)]
struct Held {
    all: usize,
    connections: HashMap<u16, usize>,
}

impl Shares {
    pub(crate) fn new(all: usize) -> Self {
        Self { free: all, held: HashMap::new() }
    }

    /// Takes so much for this sender, if it may have it now.
    pub(crate) fn take(&mut self, sender: Sender, size: usize) -> bool {
        let held = self.held.get(&sender.address);
        let by_address = held.map_or(0, |held| held.all);
        let by_connection = held.and_then(|held| held.connections.get(&sender.port)).copied().unwrap_or(0);
        let fits = self.free.checked_sub(size).is_some_and(|free| {
            // What the address may still have once it has this, and then the connection of it.
            (free * GREED).checked_sub(by_address + size).is_some_and(|left| by_connection + size <= left * GREED)
        });
        if fits {
            self.free -= size;
            let held = self.held.entry(sender.address).or_default();
            held.all += size;
            *held.connections.entry(sender.port).or_default() += size;
        }
        fits
    }

    /// Gives back what this sender took.
    pub(crate) fn give(&mut self, sender: Sender, size: usize) {
        let Some(held) = self.held.get_mut(&sender.address) else { return };
        self.free += size;
        held.all -= size;
        if let Some(connection) = held.connections.get_mut(&sender.port) {
            *connection -= size;
            if *connection == 0 {
                held.connections.remove(&sender.port);
            }
        }
        if held.all == 0 {
            self.held.remove(&sender.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    fn sender(address: u8, port: u16) -> Sender {
        Sender { address: Ipv4Addr::new(10, 0, 0, address).into(), port }
    }

    /// As much as it gets, one at a time.
    fn fill(shares: &mut Shares, sender: Sender) -> usize {
        (0..).take_while(|_| shares.take(sender, 1)).count()
    }

    #[test]
    fn one_alone_gets_most_and_a_part_is_always_left() {
        let mut shares = Shares::new(1300);
        assert_eq!(fill(&mut shares, sender(1, 1)), 900, "one connection alone");
        assert_eq!(fill(&mut shares, sender(1, 2)), 69, "another of the same address, once the first holds all it may");
        let other = fill(&mut shares, sender(2, 1));
        assert!(other > 200, "another address: {other}");
        shares.give(sender(1, 1), 900);
        assert!(fill(&mut shares, sender(2, 1)) > 300);
    }

    #[test]
    fn two_who_want_all_of_it_get_the_same() {
        let mut shares = Shares::new(10_000);
        let mut had = [0, 0];
        while shares.take(sender(1, 1), 1) | shares.take(sender(2, 1), 1) {
            had = [1, 2].map(|address| shares.held[&sender(address, 1).address].all);
        }
        assert!(had[0].abs_diff(had[1]) <= 1 && had[0] > 3_000, "{had:?}");
    }

    proptest! {
        /// Whoever holds what, and however much: who holds nothing gets a part of what is left, and nothing is lost.
        #[test]
        fn who_comes_new_gets_something(
            asked in prop::collection::vec((1..9_u8, 1..4_u16, 1..3_000_usize), 0..200),
        ) {
            let mut shares = Shares::new(100_000);
            let taken: Vec<_> = asked.into_iter()
                .filter(|(address, port, size)| shares.take(sender(*address, *port), *size))
                .collect();
            prop_assert!(shares.take(sender(99, 1), shares.free / 3), "{} are free", shares.free);
            for (address, port, size) in taken {
                shares.give(sender(address, port), size);
            }
            shares.give(sender(99, 1), shares.held.values().map(|held| held.all).sum());
            prop_assert_eq!((shares.free, shares.held.len()), (100_000, 0));
        }
    }
}
