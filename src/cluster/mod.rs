//! What retinue knows of a cluster.

pub mod callers;
pub mod client;
pub mod clock;
pub mod dependents;
pub mod facts;
pub mod masters;
pub mod templates;
pub(crate) mod watch;
