//! Attacks: every way that somebody thought of to get something stored which no template describes, to keep it longer
//! than was granted, or to bring the engine down. Each row once succeeded, or might have.
#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, missing_docs, reason = "tests")]

#[path = "attacks/additions.rs"]
mod additions;
#[path = "attacks/corpus.rs"]
mod corpus;
#[path = "attacks/creates.rs"]
mod creates;
#[path = "attacks/empty.rs"]
mod empty;
#[path = "attacks/hostile.rs"]
mod hostile;
#[path = "attacks/orders.rs"]
mod orders;
#[path = "attacks/patches.rs"]
mod patches;
#[path = "attacks/places.rs"]
mod places;
#[path = "attacks/remembered.rs"]
mod remembered;
#[path = "attacks/sidecars.rs"]
mod sidecars;
#[path = "attacks/support.rs"]
mod support;
#[path = "attacks/updates.rs"]
mod updates;
