//! What retinue knows of a cluster.

pub mod callers;
pub mod client;
pub mod clock;
pub(crate) mod watch;
