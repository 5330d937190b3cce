//! The story against a real API server with retinue installed: every step in both phases, by create, by PUT, by
//! server-side apply, by `kubectl apply`, with generateName and with dry run; and what a master may not do, by threat.
//!
//! One installation serves all tests of this binary, each in a namespace of its own with a master of its own; those
//! that stop retinue or bend its configuration have an installation to themselves.
#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]

#[path = "story_cases/alone.rs"]
mod alone;
#[path = "story_cases/collectable.rs"]
mod collectable;
#[path = "story_cases/corpus.rs"]
mod corpus;
#[path = "story_cases/deletions.rs"]
mod deletions;
#[path = "story_cases/fields.rs"]
mod fields;
#[path = "story_cases/forged.rs"]
mod forged;
#[path = "story_cases/house.rs"]
mod house;
#[path = "story_cases/identity.rs"]
mod identity;
#[path = "story_cases/limits.rs"]
mod limits;
#[path = "story_cases/memory.rs"]
mod memory;
#[path = "story_cases/metrics.rs"]
mod metrics;
#[path = "story_cases/optional.rs"]
mod optional;
#[path = "story_cases/owners.rs"]
mod owners;
#[path = "story_cases/refused.rs"]
mod refused;
#[path = "story_cases/rollout.rs"]
mod rollout;
#[path = "story_cases/runs.rs"]
mod runs;
#[path = "story_cases/runs_of_masters.rs"]
mod runs_of_masters;
#[path = "story_cases/sidecars.rs"]
mod sidecars;
#[path = "story_cases/slow.rs"]
mod slow;
#[path = "story_cases/startup.rs"]
mod startup;
#[path = "story_cases/updates.rs"]
mod updates;
#[path = "story_cases/versions.rs"]
mod versions;
