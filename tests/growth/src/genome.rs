//! A combination of dimensions, each of a size: what the search for the worst climbs over.

use crate::dimension::Dimension;
use crate::work::{self, MOST_OF_A_CONFIG_MAP, Way};
use crate::world::{Kind, World};

/// An object holds no more.
pub const MOST_OF_AN_OBJECT: usize = 1_000_000;

/// All template ConfigMaps of one world hold no more, so that it is soon made.
const MOST_OF_ALL: usize = 24 << 20;

/// Whose work is made longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// A lint with a compile.
    Author,
    /// A review.
    Caller(Way),
}

/// Dimensions and their sizes, at a kind of object.
#[derive(Clone, Debug, PartialEq)]
pub struct Genome {
    /// Whose work it is.
    pub side: Side,
    /// What is launched.
    pub kind: Kind,
    /// Each by name, and how large.
    pub sizes: Vec<(&'static str, usize)>,
}

impl Genome {
    /// The world that it describes. Dimensions apply in their own order, whatever the order here.
    pub fn world(&self) -> World {
        let mut world = World::of(self.kind);
        for dimension in Dimension::all().filter(|dimension| dimension.kinds.contains(&self.kind)) {
            if let Some((_, size)) = self.sizes.iter().find(|(name, _)| *name == dimension.name)
                && *size > 0
            {
                (dimension.apply)(&mut world, *size);
            }
        }
        world
    }

    /// Whether it fits into what the API server takes, and is soon made.
    pub fn fits(&self, world: &World) -> bool {
        let maps = work::config_maps(world);
        let object = || world.object.to_string().len() <= MOST_OF_AN_OBJECT;
        let sizes: Vec<_> = maps.iter().map(work::size_of).collect();
        sizes.iter().all(|size| *size <= MOST_OF_A_CONFIG_MAP)
            && sizes.iter().sum::<usize>() <= MOST_OF_ALL
            && (self.side == Side::Author || object())
    }
}

const SIDES: [(&str, Side); 3] =
    [("lint", Side::Author), ("review", Side::Caller(Way::AsMade)), ("search", Side::Caller(Way::Searched))];

impl Genome {
    /// Reads what [`Display`](std::fmt::Display) writes.
    pub fn read(words: &[impl AsRef<str>]) -> Option<Self> {
        let [side, kind, sizes @ ..] = words else { return None };
        let (_, side) = SIDES.into_iter().find(|(name, _)| *name == side.as_ref())?;
        let kind = Kind::ALL.into_iter().find(|known| format!("{known:?}") == kind.as_ref())?;
        let sizes = sizes.iter().map(|word| {
            let (name, size) = word.as_ref().split_once('=')?;
            Some((Dimension::named(name)?.name, size.parse().ok()?))
        });
        Some(Self { side, kind, sizes: sizes.collect::<Option<_>>()? })
    }
}

impl std::fmt::Display for Genome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let side = SIDES.into_iter().find(|(_, side)| *side == self.side).map_or("", |(name, _)| name);
        write!(f, "{side} {:?}", self.kind)?;
        self.sizes.iter().try_for_each(|(name, size)| write!(f, " {name}={size}"))
    }
}
