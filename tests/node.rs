//! What only a real node can show: retinue in pods, as it is installed; containers that really run; tokens that a kubelet
//! really mounted.
//!
//! One node serves all tests of this binary, each in a namespace of its own. Where there is none
//! to be had (`node::wanted`) they do not run, and say so.
#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]

#[path = "node_cases/essential.rs"]
mod essential;
#[path = "node_cases/house.rs"]
mod house;
#[path = "node_cases/launching.rs"]
mod launching;
#[path = "node_cases/running.rs"]
mod running;
#[path = "node_cases/smoke.rs"]
mod smoke;
