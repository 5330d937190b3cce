//! retinue's outer rooms, behind a library so that tests and the binary share them.
//!
//! `cli` is what people type, `role` the servers it starts; `deploy` says what is installed in a cluster; `cluster` is
//! what is known of one; `collector` deletes what is past its deadline; `sampler` notices what the cluster adds that nobody knows. What decides lives in the crate
//! `policies`; nothing but the benchmarks depends on this one.

pub mod cli;
pub mod cluster;
pub mod collector;
pub mod deploy;
pub mod emit;
pub mod memory;
pub mod role;
pub mod sampler;
pub mod shutdown;
pub mod telemetry;
