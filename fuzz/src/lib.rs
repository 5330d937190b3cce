//! Fuzz targets: what reads untrusted input, and the closed world itself.
//!
//! A target is a function of bytes that panics where something is wrong. [`bypass`] holds the real recogniser against
//! an [`obvious`] one; the others hold readers to what they promise. `fuzz/run` fuzzes them, on a stable compiler;
//! `tests/replay.rs` gives each its seeds, and every input that ever failed (`found/`), without a fuzzer.
#![expect(clippy::panic, reason = "a panic is how a target says that something is wrong")]

pub mod annotation;
pub mod bypass;
pub mod dice;
pub mod duration;
pub mod obvious;
pub mod parameters;
pub mod patch;
pub mod review;
pub mod template;
pub mod tree;

/// A target: its name, and what it does with some bytes.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 7] = [
    ("template", template::run),
    ("parameters", parameters::run),
    ("review", review::run),
    ("patch", patch::run),
    ("duration", duration::run),
    ("annotation", annotation::run),
    ("bypass", bypass::run),
];
