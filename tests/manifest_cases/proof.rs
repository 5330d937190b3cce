//! What was tried, and what went wrong.

use std::time::Instant;

use ::proof::figures::{Figures, note};

/// The figures, added up over threads.
#[derive(Debug)]
pub(crate) struct Proof {
    /// How many were judged.
    pub(crate) manifests: usize,
    /// How many of them were admitted in every way.
    pub(crate) admitted: usize,
    /// How many times one was admitted: manifests times ways.
    pub(crate) ways: usize,
    /// How many times one with something more was refused.
    pub(crate) strays: usize,
    /// Ways that the API server refuses an admin too: of manifests that are none, which is to be mended here.
    pub(crate) impossible: Vec<String>,
    /// Everything else that was not as it should be.
    pub(crate) wrong: Vec<String>,
    since: Instant,
}

impl Default for Proof {
    fn default() -> Self {
        Self {
            manifests: 0,
            admitted: 0,
            ways: 0,
            strays: 0,
            impossible: Vec::new(),
            wrong: Vec::new(),
            since: Instant::now(),
        }
    }
}

impl Proof {
    pub(crate) fn add(&mut self, other: Self) {
        self.manifests += other.manifests;
        self.admitted += other.admitted;
        self.ways += other.ways;
        self.strays += other.strays;
        self.impossible.extend(other.impossible);
        self.wrong.extend(other.wrong);
    }

    /// Says what was found, for people and for `make proof`.
    pub(crate) fn print(&self, what: &str) {
        let (manifests, admitted, wrong) = (self.manifests, self.admitted, self.wrong.len() + self.impossible.len());
        println!("{what}: {manifests}, {admitted} admitted in every way ({} ways), {wrong} wrong", self.ways);
        println!("{} with a stray label refused, in {} s", self.strays, self.since.elapsed().as_secs());
        note(what, Figures { tried: manifests, good: admitted, wrong }).unwrap();
    }

    /// Fails with everything that is wrong.
    pub(crate) fn hold(self) {
        assert!(self.impossible.is_empty(), "the API server refuses an admin too:\n{}", self.impossible.join("\n"));
        assert!(self.wrong.is_empty(), "{} wrong:\n{}", self.wrong.len(), self.wrong.join("\n"));
        assert_eq!(self.admitted, self.manifests);
    }
}
