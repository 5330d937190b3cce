//! How many requests may be under way over HTTP/2, over all connections together.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderMap;

use crate::connections::Connections;
use crate::sender::Sender;
use crate::shares::{GivesWay, Holding, Shares};

/// So many bytes of headers count as a request more: once they are decoded they take some times as much.
const MANY: usize = 2 << 10;

/// Bounds of all connections together. Cloning shares them.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    pub(crate) requests: Requests,
    /// Connections that had many requests at once.
    pub(crate) busy: Connections,
}

/// Requests of all connections that are not answered yet, each sender a share of them: the newest of whoever has most gives
/// way to one of a sender that has fewer. Cloning shares them.
#[derive(Clone, Debug)]
pub(crate) struct Requests(Arc<Mutex<Shares>>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    requests: Requests,
    held: Holding,
}

impl Requests {
    pub(crate) fn new(limit: usize) -> Self {
        Self(Arc::new(Mutex::new(Shares::new(limit))))
    }

    pub(crate) fn take(&self, sender: Sender, headers: &HeaderMap) -> Option<Place> {
        let held = self.lock().take(sender, size(headers))?;
        Some(Place { requests: self.clone(), held })
    }

    /// What is held here is whole at each moment, also where a thread panicked.
    fn lock(&self) -> MutexGuard<'_, Shares> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    pub(crate) fn gives_way(&self) -> GivesWay {
        self.held.gives_way()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.requests.lock().give(&mut self.held, usize::MAX);
    }
}

/// As how many requests one with these headers counts.
fn size(headers: &HeaderMap) -> usize {
    // As HTTP/2 counts them.
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
    1 + bytes / MANY
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]

    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn threat_58_a_request_with_large_headers_counts_as_several() {
        let requests = Requests::new(100);
        let sender = Sender { address: Ipv4Addr::LOCALHOST.into(), port: 1 };
        let mut headers = HeaderMap::new();
        let count = |headers: &HeaderMap| {
            let held: Vec<_> = std::iter::from_fn(|| requests.take(sender, headers)).collect();
            held.len()
        };
        headers.insert("user-agent", "kube-apiserver-admission".parse().unwrap());
        let few = count(&headers);
        for _ in 0..400 {
            headers.append("a", "b".parse().unwrap());
        }
        assert!(few >= 50 && count(&headers) <= few / 5, "{few}");
        headers.clear();
        assert_eq!(count(&headers), few, "all is given back");
    }
}
