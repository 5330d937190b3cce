//! How many lines are logged of what a sender is refused.
//!
//! Whoever reaches the port can be refused thousands of times a second. A line of each would push everything else out of the
//! log within minutes: a kubelet keeps some 50 MiB. So each address has a few lines a second, and what is left out is counted.
//! What a verified caller is refused has lines of its own, by the caller's namespace: one that asks in a loop takes none of another's.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;

use crate::sender::Sender;

/// How many lines an address may have at once, and how often one more.
const AT_ONCE: u32 = 500;
const EACH: Duration = Duration::from_millis(100);
/// How many shares are remembered. Those beyond have one together.
const SHARES: usize = 4_096;

/// Whose share it is: an address's, for what a namespace's verified callers are refused (as a number), or for all else.
type Whose = (IpAddr, Option<u64>);

/// The lines of all addresses.
#[derive(Debug)]
pub(crate) struct Lines {
    of: Mutex<HashMap<Option<Whose>, Share>>,
    left_out: Counter,
}

#[derive(Debug)]
struct Share {
    left: u32,
    /// When `left` was counted.
    counted: Instant,
    left_out: u64,
}

impl Lines {
    /// What is left out is added to `left_out`.
    pub(crate) fn new(left_out: Counter) -> Self {
        Self { of: Mutex::default(), left_out }
    }

    /// Whether there is a line for this sender, and then how many were left out since its last one. `tenant`: the namespace of
    /// the caller, as a number, where that was verified.
    pub(crate) fn take(&self, sender: Sender, tenant: Option<u64>, now: Instant) -> Option<u64> {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        let mut whose = Some((sender.network(), tenant));
        if of.len() >= SHARES && !of.contains_key(&whose) {
            of.retain(|_, share| !share.is_whole(now));
            if of.len() >= SHARES {
                whose = None;
            }
        }
        let share = of.entry(whose).or_insert(Share { left: AT_ONCE, counted: now, left_out: 0 });
        let taken = share.take(now);
        if taken.is_none() {
            self.left_out.inc();
        }
        taken
    }
}

impl Share {
    fn take(&mut self, now: Instant) -> Option<u64> {
        let more = self.more(now);
        self.left = self.left.saturating_add(more).min(AT_ONCE);
        self.counted = if self.left == AT_ONCE { now } else { self.counted + EACH * more };
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Some(std::mem::take(&mut self.left_out))
            }
            None => {
                self.left_out += 1;
                None
            }
        }
    }

    /// Lines that came in since they were counted.
    fn more(&self, now: Instant) -> u32 {
        let passed = now.saturating_duration_since(self.counted).as_millis() / EACH.as_millis();
        u32::try_from(passed).unwrap_or(u32::MAX).min(AT_ONCE)
    }

    /// Whether nothing is lost where it is forgotten.
    fn is_whole(&self, now: Instant) -> bool {
        self.left_out == 0 && self.left + self.more(now) >= AT_ONCE
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]

    use super::*;

    fn at(address: [u8; 4], port: u16) -> Sender {
        Sender::at((address, port).into())
    }

    #[test]
    fn threat_58_an_address_has_few_lines_a_second_and_what_is_left_out_is_told() {
        let (lines, begun) = (Lines::new(Counter::default()), Instant::now());
        let told = |sender, after: u64| lines.take(sender, None, begun + Duration::from_millis(after));
        let stranger = at([10, 0, 0, 1], 1);
        let written = (0..10_000).filter(|_| told(stranger, 0).is_some()).count();
        assert_eq!(written, AT_ONCE as usize);
        assert_eq!(told(at([10, 0, 0, 1], 2), 0), None, "another connection of it");
        assert_eq!(told(at([10, 0, 0, 2], 1), 0), Some(0), "another address");
        assert_eq!(lines.take(stranger, Some(1), begun), Some(0), "of who is verified");
        assert_eq!(lines.left_out.get(), 9_501);
        assert_eq!(told(stranger, 99), None);
        assert_eq!(told(stranger, 100), Some(9_502));
        assert_eq!(told(stranger, 150), None);
        let a_minute = (200..60_200).filter(|after| told(stranger, *after).is_some()).count();
        assert_eq!(a_minute, 600);
    }

    #[test]
    fn threat_40_what_is_remembered_of_addresses_is_bounded_and_who_is_quiet_is_forgotten() {
        let (lines, begun) = (Lines::new(Counter::default()), Instant::now());
        for number in 0..u16::try_from(3 * SHARES).unwrap() {
            let [high, low] = number.to_be_bytes();
            lines.take(at([10, 0, high, low], 1), None, begun);
        }
        assert_eq!(lines.of.lock().unwrap().len(), SHARES + 1);
        let later = begun + Duration::from_secs(60);
        assert_eq!(lines.take(at([10, 1, 0, 0], 1), None, later), Some(0));
        assert_eq!(lines.of.lock().unwrap().len(), 2, "those beyond have left some out");
    }
}
