//! Faults between retinue and the API server, and of the API server itself, under load: whatever fails, hangs, comes
//! late or is out of date, a master gets nothing without a stamp, and nobody else is refused anything.
#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]

#[path = "faults/clocks.rs"]
mod clocks;
#[path = "faults/lookups.rs"]
mod lookups;
#[path = "faults/masters.rs"]
mod masters;
#[path = "faults/outages.rs"]
mod outages;
#[path = "faults/world.rs"]
mod world;
