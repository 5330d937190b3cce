//! retinue's outer rooms, behind a library so that tests and the binary share them.
//!
//! `deploy` says what is installed in a cluster; `cluster` is what is known of one. What decides lives in the crate
//! `policies`; nothing depends on this one.

pub mod cluster;
pub mod collector;
pub mod deploy;
