//! AdmissionReview in, AdmissionReview out.
//!
//! One request is taken in within bounds ([`shedding`]), read strictly ([`review`]), judged in three steps (gather by
//! [`caller::Asking`], [`policies::verdict::decide`], tell) or linted ([`lint`]), and answered with its uid, whatever
//! happened: an error, a panic, a passed deadline and a full house are refusals ([`fault`]). [`server`] is the TLS
//! server around it, [`health`] says when it may answer at all, [`metrics`] counts.
//!
//! No sender stands in another's path: each has its share of connections (`accept`, `connections`) and of the bytes in flight
//! (`rooms`, `shares`), of the requests under way (`requests`) and an allowance of frames (`frames`), and work is done in turns
//! between senders (`turns`, `sender`): what takes long beside the threads that serve (`workers`), the rest on them
//! (`serving`), as is what they read (`reading`), and what is looked up at the API server (`lookups`). What no API server sends
//! ends its connection (`strays`).
//!
//! Nothing here decides, and nothing here knows the cluster: the binary brings who-is-asking.

mod accept;
pub mod caller;
mod connections;
mod court;
mod descriptors;
pub mod fault;
mod frames;
mod handler;
pub mod health;
mod http2;
mod lines;
pub mod lint;
mod lookups;
pub mod metrics;
mod reading;
mod requests;
pub mod review;
mod rooms;
mod sender;
pub mod server;
mod serving;
mod shares;
pub mod shedding;
mod strays;
mod turns;
mod workers;

pub use caller::{Asking, GatherError};
pub use lint::{Linting, TemplateLint};
pub use lookups::{About, Crowded, Lookups, Turn};
