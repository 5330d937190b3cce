//! Climbs to the template ConfigMaps and objects that take longest to lint, to compile and to judge.
//!
//! `cargo run --release -p retinue-growth --bin worst -- --minutes 60 --seed 1`
//!
//! `... --bin worst -- --only review Pod labels=20000 optional-absent=8` measures that one (lint, review or search) at 1, 1/2,
//! 1/4 of its sizes.
//!
//! First each dimension alone, at its largest. Then each climb begins with a few dimensions of random sizes and changes
//! them one at a time; what takes longer is kept.
//! Time is that of the thread's own processor. At the end the ten worst are told, by their time against the budget.

use std::time::{Duration, Instant};

use growth::clock::timed;
use growth::dimension::Dimension;
use growth::genome::{Genome, Side};
use growth::work::{self, Way};
use growth::world::Kind;

/// What a lint with a compile may take, and a review.
const BUDGETS: (Duration, Duration) = (Duration::from_secs(2), Duration::from_millis(200));

/// So many times its budget is enough to know: larger is not tried.
const ENOUGH: f64 = 20.0;

/// A climb ends after so many changes none of which made it longer.
const PATIENCE: u32 = 25;

fn main() {
    let options: Vec<_> = std::env::args().skip(1).collect();
    let option = |name: &str, default: u64| {
        let value = options.iter().position(|option| option == name).and_then(|at| options.get(at + 1)?.parse().ok());
        value.unwrap_or(default)
    };
    let end = Instant::now() + Duration::from_secs(60 * option("--minutes", 60));
    if let Some(at) = options.iter().position(|option| option == "--only") {
        return only(options.get(at + 1..).unwrap_or_default());
    }
    let mut search = Search { dice: Dice(option("--seed", 1)), best: Vec::new(), tried: 0 };
    for genome in alone() {
        if Instant::now() < end
            && let Some(found) = search.grown(&genome)
        {
            search.keep(found);
        }
    }
    println!("each alone: {} tried", search.tried);
    while Instant::now() < end {
        let genome = search.dice.genome();
        search.climb(&genome, end);
        println!(
            "{} tried, the worst {}",
            search.tried,
            search.best.first().map_or_else(String::new, Found::to_string)
        );
    }
    println!("{} tried; the ten worst:", search.tried);
    search.best.iter().take(10).for_each(|found| println!("{found}"));
}

/// Measures the one that these words describe, as [`Genome`] is displayed.
fn only(words: &[String]) {
    let Some(genome) = Genome::read(words) else {
        println!("expected lint, review or search, a kind, and dimensions with sizes, such as review Pod labels=20000");
        return;
    };
    let mut search = Search { dice: Dice(0), best: Vec::new(), tried: 0 };
    for shift in (0..3).rev() {
        let mut smaller = genome.clone();
        smaller.sizes.iter_mut().for_each(|(_, size)| *size = (*size >> shift).max(1));
        match search.measured(smaller) {
            Some(found) => println!("{found}"),
            None => println!("too large"),
        }
    }
}

struct Found {
    genome: Genome,
    took: Duration,
    /// Of a review that comes again, when the templates are prepared.
    again: Option<Duration>,
    share: f64,
    answer: String,
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let answer: String = self.answer.chars().take(100).collect();
        let again = self.again.map_or_else(String::new, |again| format!(", {:.3} s again", again.as_secs_f64()));
        write!(
            f,
            "{:.2} of its budget, {:.3} s{again}: {} ({answer})",
            self.share,
            self.took.as_secs_f64(),
            self.genome
        )
    }
}

struct Search {
    dice: Dice,
    best: Vec<Found>,
    tried: u64,
}

impl Search {
    fn climb(&mut self, genome: &Genome, end: Instant) {
        let Some(mut here) = self.grown(genome) else { return };
        let mut failures = 0;
        while failures < PATIENCE && here.share < ENOUGH && Instant::now() < end {
            let next = self.dice.changed(&here.genome);
            match self.measured(next) {
                Some(found) if found.share > here.share => {
                    failures = 0;
                    here = found;
                }
                _ => failures += 1,
            }
        }
        self.keep(here);
    }

    /// The genome at a 256th of its sizes, at a 128th and so on, until it fits no more or is bad enough: the worst of
    /// these.
    fn grown(&mut self, genome: &Genome) -> Option<Found> {
        let mut worst: Option<Found> = None;
        for shift in (0..=8).rev() {
            let mut smaller = genome.clone();
            smaller.sizes.iter_mut().for_each(|(_, size)| *size = (*size >> shift).max(1));
            let Some(found) = self.measured(smaller) else { break };
            let enough = found.share >= ENOUGH;
            if worst.as_ref().is_none_or(|worst| found.share > worst.share) {
                worst = Some(found);
            }
            if enough {
                break;
            }
        }
        worst
    }

    /// Keeps what is the worst of its dimensions.
    fn keep(&mut self, found: Found) {
        let same =
            |other: &Found| other.genome.side == found.genome.side && names(&other.genome) == names(&found.genome);
        if self.best.iter().any(|other| same(other) && other.share >= found.share) {
            return;
        }
        self.best.retain(|other| !same(other));
        println!("{found}");
        self.best.push(found);
        self.best.sort_by(|one, other| other.share.total_cmp(&one.share));
        self.best.truncate(60);
    }

    fn measured(&mut self, genome: Genome) -> Option<Found> {
        let world = genome.world();
        if !genome.fits(&world) {
            return None;
        }
        self.tried += 1;
        let (took, again, budget, answer) = match genome.side {
            Side::Author => {
                let map = work::config_maps(&world).swap_remove(0);
                let (took, answer) = timed(|| work::lint_and_compile(&map));
                (took, None, BUDGETS.0, answer)
            }
            Side::Caller(way) => {
                let review = work::review(&world, way);
                let (first, _) = timed(|| review.judge());
                let (again, answer) = timed(|| review.judge());
                (first.max(again), Some(again), BUDGETS.1, answer)
            }
        };
        let share = took.as_secs_f64() / budget.as_secs_f64();
        Some(Found { genome, took, again, share, answer: answer.0 })
    }
}

/// Each dimension alone, at its largest, for each piece of work that it makes longer.
fn alone() -> Vec<Genome> {
    let mut all = Vec::new();
    for dimension in Dimension::all() {
        let author = Some(Side::Author).filter(|_| dimension.is_of_authors());
        let callers = [Side::Caller(Way::AsMade), Side::Caller(Way::Searched)];
        let callers = callers.into_iter().filter(|_| dimension.is_of_callers());
        for side in author.into_iter().chain(callers) {
            all.push(Genome { side, kind: dimension.kinds[0], sizes: vec![(dimension.name, dimension.most)] });
        }
    }
    all
}

fn names(genome: &Genome) -> Vec<&'static str> {
    let mut names: Vec<_> = genome.sizes.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    names
}

/// Numbers that look random and are the same for the same seed (splitmix64).
#[derive(Clone)]
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap_or(0)
    }

    fn one<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// As likely small as large.
    fn size(&mut self, most: usize) -> usize {
        let bits = self.below(most.max(2).ilog2() as usize + 1);
        ((1 << bits) + self.below(1 << bits)).min(most)
    }

    fn genome(&mut self) -> Genome {
        let side = self.one(&[Side::Author, Side::Caller(Way::AsMade), Side::Caller(Way::Searched)]);
        let kind = self.one(&Kind::ALL);
        let mut genome = Genome { side, kind, sizes: Vec::new() };
        for _ in 0..1 + self.below(4) {
            let dimension = self.dimension(&genome);
            genome.sizes.push((dimension.name, self.size(dimension.most)));
        }
        genome
    }

    fn dimension(&mut self, genome: &Genome) -> &'static Dimension {
        let is_of = |dimension: &&Dimension| match genome.side {
            Side::Author => dimension.is_of_authors(),
            Side::Caller(_) => dimension.is_of_callers(),
        };
        let fitting: Vec<_> =
            Dimension::all().filter(is_of).filter(|dimension| dimension.kinds.contains(&genome.kind)).collect();
        self.one(&fitting)
    }

    fn changed(&mut self, genome: &Genome) -> Genome {
        let mut genome = genome.clone();
        match self.below(6) {
            0 => {
                let dimension = self.dimension(&genome);
                let size = self.size(dimension.most);
                genome.sizes.retain(|(name, _)| *name != dimension.name);
                genome.sizes.push((dimension.name, size));
            }
            1 if genome.sizes.len() > 1 => {
                let at = self.below(genome.sizes.len());
                genome.sizes.remove(at);
            }
            change => {
                let at = self.below(genome.sizes.len());
                let (name, size) = genome.sizes[at];
                let most = Dimension::named(name).map_or(size, |dimension| dimension.most);
                let larger = match change {
                    2 => size * 2,
                    3 => size + size / 4 + 1,
                    4 => size - size / 4,
                    _ => size + size / 16 + 1,
                };
                genome.sizes[at].1 = larger.clamp(1, most);
            }
        }
        genome
    }
}
