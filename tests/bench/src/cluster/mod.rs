//! Behind a real API server: creates, start, memory, and what finding out who asks costs.
//!
//! The rooms: [`creates`] compares guards; [`starting`] starts, and looks at memory; [`definitions`] looks at memory beside
//! many large CustomResourceDefinitions; [`collecting`] has the collector collect; [`table`] is what is told; [`world`] is the cluster with its masters, [`population`] fills it,
//! [`objects`] what they create, [`intree`] the API server's own policies to compare with; [`link`] asks over kept
//! connections, [`process`] reads what processes have used.

mod asking;
mod collecting;
mod creates;
mod definitions;
mod intree;
mod link;
mod objects;
mod population;
mod process;
mod starting;
pub mod table;
mod world;

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use table::Table;

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Creates under one guard or another.
    Creates,
    /// Start and memory.
    Start,
    /// What finding out who asks costs.
    Asking,
    /// Memory beside many large CustomResourceDefinitions.
    Definitions,
    /// What the collector holds, asks and reaches with many dependents; only where it is named.
    Collecting,
}

impl Part {
    /// What is measured where nothing is named.
    pub const USUAL: [Self; 4] = [Self::Creates, Self::Start, Self::Asking, Self::Definitions];
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    rounds: usize,
    /// One at a time per round; twice as many with eight in flight.
    creates: usize,
    /// Starts with each number of templates.
    starts: usize,
    /// The most templates, and how many requests are load.
    templates: usize,
    load: usize,
    dependents: usize,
    /// Creates at the slow pace.
    paced: usize,
    /// Dependents that are collected,
    collected: &'static [usize],
    /// and over how long 10,000 of them become due.
    spread: Duration,
    /// Of collecting: only what is due at once,
    at_once: bool,
    /// and how many times that is done, in turns with a bare client.
    turns: usize,
}

impl Effort {
    /// Some two minutes.
    pub const QUICK: Self = Self {
        rounds: 3,
        creates: 100,
        starts: 3,
        templates: 1_000,
        load: 1_000,
        dependents: 1_000,
        paced: 8,
        collected: &[10_000],
        spread: Duration::from_secs(60),
        at_once: false,
        turns: 3,
    };
    /// As BENCHMARKS.md tells.
    pub const FULL: Self = Self {
        rounds: 15,
        creates: 120,
        starts: 9,
        templates: 10_000,
        load: 5_000,
        dependents: 10_000,
        paced: 30,
        collected: &[10_000, 100_000],
        spread: Duration::from_secs(60),
        at_once: false,
        turns: 3,
    };
}

impl Effort {
    /// With so many dependents that are collected.
    #[must_use]
    pub fn collecting(self, many: Many) -> Self {
        let collected: &[usize] = match many {
            Many::TenThousand => &[10_000],
            Many::HundredThousand => &[100_000],
        };
        Self { collected, ..self }
    }

    /// With so many turns of collector and bare client.
    #[must_use]
    pub fn in_turns(self, turns: usize) -> Self {
        Self { turns: turns.max(1), ..self }
    }

    /// With nothing collected but what is due at once.
    #[must_use]
    pub fn at_once(self) -> Self {
        Self { at_once: true, ..self }
    }
}

/// How many dependents are collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Many {
    /// Some minutes.
    #[value(name = "10000")]
    TenThousand,
    /// Most of an hour.
    #[value(name = "100000")]
    HundredThousand,
}

/// Measures `part` of the program `binary`.
///
/// # Errors
/// What does not run, and every answer that is not the right one.
pub fn run(binary: &Path, part: Part, effort: Effort) -> Result<Vec<Table>> {
    let world = match part {
        Part::Collecting => collecting::world(binary)?,
        _ => world::World::start(binary)?,
    };
    Ok(match part {
        Part::Creates => vec![creates::run(&world, effort)?],
        Part::Start => starting::run(&world, effort)?,
        Part::Asking => vec![asking::run(&world, effort)?],
        Part::Definitions => vec![definitions::run(&world)?],
        Part::Collecting => collecting::run(&world, effort)?,
    })
}
