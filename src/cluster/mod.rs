//! What retinue knows of a cluster.

pub mod client;
pub mod clock;
pub(crate) mod watch;
