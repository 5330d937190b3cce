//! Ports that nobody else takes, from being chosen until they are given back.
//!
//! A port that was free when the system named it can be anyone's a moment later: that of a connection going out, or of
//! a test beside this one that asks in the same way. So these lie below what the system gives to connections, and
//! whoever runs such a test, in this process or another, holds a lock for each.

use std::fs::{File, TryLockError};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::sync::atomic::{AtomicU16, Ordering};

use crate::Error;
use crate::error::While;

/// Where to look: below node ports too. Nothing that is commonly installed listens here, and no system gives these to connections of itself.
const RANGE: Range<u16> = 21_000..30_000;

/// A port of the loopback interface that is this value's owner's alone; it is given back on drop.
#[derive(Debug)]
pub struct Port {
    number: u16,
    // Held for its lock, which goes with it, however the process ends.
    _lock: File,
}

impl Port {
    /// A port that nobody listens on and nobody else is given.
    ///
    /// # Errors
    /// No lock can be written into the folder for temporary files, or every port is taken.
    pub fn reserve() -> Result<Self, Error> {
        /// What this process looked at last, from a start that differs between processes.
        static LAST: AtomicU16 = AtomicU16::new(0);
        let span = RANGE.end - RANGE.start;
        // The process's number modulo the span fits.
        let start = u16::try_from(std::process::id().wrapping_mul(97) % u32::from(span)).unwrap_or_default();
        for _ in 0..span {
            let step = LAST.fetch_add(1, Ordering::Relaxed);
            let offset = u32::from(start) + u32::from(step);
            let number = RANGE.start + u16::try_from(offset % u32::from(span)).unwrap_or_default();
            if let Some(port) = Self::lock(number)? {
                return Ok(port);
            }
        }
        Err(Error::Io {
            what: format!("every port from {} to {} is taken", RANGE.start, RANGE.end),
            source: std::io::ErrorKind::AddrInUse.into(),
        })
    }

    /// This very port, unless somebody holds it or listens there.
    fn lock(number: u16) -> Result<Option<Self>, Error> {
        let folder = std::env::temp_dir().join("controlplane-ports");
        let path = folder.join(number.to_string());
        let doing = || format!("locking {}", path.display());
        std::fs::create_dir_all(&folder).doing(doing)?;
        let lock = File::options().create(true).append(true).open(&path).doing(doing)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(source)) => return Err(source).doing(doing),
        }
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok();
        Ok(free.then_some(Self { number, _lock: lock }))
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_once_until_it_is_given_back() {
        let ports: Vec<Port> = (0..64).map(|_| Port::reserve().unwrap()).collect();
        let numbers: std::collections::BTreeSet<u16> = ports.iter().map(Port::number).collect();
        assert_eq!(numbers.len(), 64);
        let first = ports[0].number();
        assert!(Port::lock(first).unwrap().is_none(), "held");
        drop(ports);
        let again = Port::lock(first).unwrap().expect("given back");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, again.number())).unwrap();
        drop(again);
        assert!(Port::lock(first).unwrap().is_none(), "somebody listens");
        drop(listener);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn no_connection_is_given_one_of_these() {
        let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
        let low: u16 = range.split_whitespace().next().unwrap().parse().unwrap();
        assert!(RANGE.end <= low, "connections are given ports from {low} on: tests that listen may find theirs taken");
    }
}
