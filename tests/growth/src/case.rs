//! What is counted: each dimension alone, and two together.

use std::hint::black_box;

use crate::dimension::Dimension;
use crate::genome::{Genome, Side};
use crate::units;
use crate::work::{self, Answer, Way};

/// The factors at which each case is counted.
pub const FACTORS: [usize; 3] = [1, 4, 16];

/// One case: its name, the size at which it begins, and what it does at a size.
pub struct Case {
    /// As the table has it.
    pub name: String,
    /// The size at factor one.
    pub base: usize,
    /// Whether it cannot be made 16 times its base, since what reads it takes no more.
    pub is_capped: bool,
    /// The largest size; none where nothing bounds it.
    pub most: Option<usize>,
    /// Makes the work of a size: what is run and counted, several times where the first is unlike the next.
    pub make: Box<dyn Fn(usize) -> Work>,
}

/// What is counted, and how often it is run.
pub struct Work {
    /// Runs it.
    pub run: Box<dyn Fn() -> Answer>,
    /// How often: each is counted by itself.
    pub times: usize,
}

impl Case {
    /// A parser, a formatter or another part by itself.
    fn unit(unit: &'static units::Unit) -> Self {
        let make = |size| Work { run: (unit.make)(size), times: 1 };
        Self { name: unit.name.to_owned(), base: unit.base, is_capped: false, most: None, make: Box::new(make) }
    }

    /// These dimensions, each from its base.
    fn of(side: Side, dimensions: &[&'static Dimension]) -> Option<Self> {
        let [first, ..] = dimensions else { return None };
        let kind = *first.kinds.iter().find(|kind| dimensions.iter().all(|other| other.kinds.contains(kind)))?;
        let base = |dimension: &Dimension| dimension.bases[usize::from(side != Side::Author)];
        let scaled: Vec<_> =
            dimensions.iter().map(|dimension| (dimension.name, base(dimension), dimension.most)).collect();
        let is_capped = scaled.iter().any(|(_, base, most)| base * FACTORS[2] > *most);
        let most = scaled.iter().map(|(_, base, most)| most / base).max();
        let names: Vec<_> = dimensions.iter().map(|dimension| dimension.name).collect();
        let prefix = match side {
            Side::Author => "lint",
            Side::Caller(Way::AsMade) => "review",
            Side::Caller(Way::Searched) => "search",
        };
        let make = move |factor: usize| {
            let sizes = scaled.iter().map(|(name, base, most)| (*name, (base * factor).min(*most))).collect();
            work(&Genome { side, kind, sizes })
        };
        Some(Self { name: format!("{prefix} {}", names.join(" + ")), base: 1, is_capped, most, make: Box::new(make) })
    }

    /// Each by itself.
    pub fn alone() -> Vec<Self> {
        let mut cases: Vec<_> = units::ALL.iter().map(Self::unit).collect();
        for dimension in Dimension::all() {
            if dimension.is_of_authors() {
                cases.extend(Self::of(Side::Author, &[dimension]));
            }
            if dimension.is_of_callers() {
                for way in [Way::AsMade, Way::Searched] {
                    cases.extend(Self::of(Side::Caller(way), &[dimension]));
                }
            }
        }
        cases
    }

    /// The two together that these names stand for, as `tests/growth/run` gives them: each as a table names it.
    pub fn together(one: &str, other: &str) -> Option<Self> {
        let side = |name: &str| match name.split_once(' ') {
            Some(("lint", dimension)) => Some((Side::Author, Dimension::named(dimension)?)),
            Some(("review", dimension)) => Some((Side::Caller(Way::AsMade), Dimension::named(dimension)?)),
            Some(("search", dimension)) => Some((Side::Caller(Way::Searched), Dimension::named(dimension)?)),
            _ => None,
        };
        let ((of, one), (_, other)) = (side(one)?, side(other)?);
        Self::of(of, &[one, other])
    }
}

fn work(genome: &Genome) -> Work {
    let world = genome.world();
    match genome.side {
        Side::Author => {
            let map = work::config_maps(&world).swap_remove(0);
            Work { run: Box::new(move || work::lint_and_compile(black_box(&map))), times: 1 }
        }
        Side::Caller(way) => {
            let review = work::review(&world, way);
            // The first also plans how the template is compared. A search does the same again each time.
            let times = if way == Way::AsMade { 2 } else { 1 };
            Work { run: Box::new(move || black_box(&review).judge()), times }
        }
    }
}
