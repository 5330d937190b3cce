//! Serving certificates: issued, read, watched, swapped, and held against the bundle that the API server trusts.
//!
//! The rooms: [`expiry`] judges a validity against a given instant and is pure; [`issue`] makes an authority and
//! leaves; [`rotation`] says which step comes next and keeps old and new authority trusted side by side; [`source`]
//! reads a directory such as a mounted Secret and follows its changes; [`resolver`] hands rustls the current pair;
//! [`trust`] tells whether a bundle trusts a chain, [`presented`] looks at the one that a server presents; [`clients`]
//! says which clients are served.
//!
//! No clock in what decides: `now` is an argument. One crypto provider, aws-lc-rs, named wherever one is needed, so
//! that nothing here depends on what a process installed.

pub mod clients;
pub mod expiry;
pub mod issue;
pub mod presented;
pub mod resolver;
pub mod rotation;
pub mod source;
pub mod trust;

#[cfg(test)]
mod tests;

use std::sync::Arc;

/// aws-lc-rs, the only crypto provider.
pub(crate) fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
