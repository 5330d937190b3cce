//! What a verdict costs, measured: `make bench` runs it, BENCHMARKS.md says how and what came of it.
//!
//! The rooms: [`alone`] loads the webhook's server over TLS and HTTP/2, beside two servers of the same stack that
//! decide nothing; [`cluster`] creates through a real API server, and measures start and memory of the real program.

pub mod alone;
pub mod cluster;
