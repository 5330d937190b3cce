//! The current pair, handed to rustls at each handshake and swapped atomically: handshakes under way keep the one
//! that they began with.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::source::Serving;

/// Answers every handshake with the pair that was swapped in last. Before the first swap there is none, and
/// handshakes fail.
#[derive(Debug, Default)]
pub struct Resolver {
    current: ArcSwapOption<Serving>,
}

impl Resolver {
    /// One that has no pair yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One that starts with `serving`.
    pub fn with(serving: Serving) -> Self {
        Self { current: ArcSwapOption::from_pointee(serving) }
    }

    /// Puts `serving` in the place of what there was.
    pub fn swap(&self, serving: Arc<Serving>) {
        self.current.store(Some(serving));
    }

    /// The current pair.
    pub fn current(&self) -> Option<Arc<Serving>> {
        self.current.load_full()
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // Whatever name the client asked for: one Service, one certificate.
        self.current.load().as_ref().map(|serving| Arc::clone(&serving.key))
    }
}
