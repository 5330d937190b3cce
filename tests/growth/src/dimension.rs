//! What can be large.

use crate::world::{Kind, World};
use crate::{authors, callers};

/// Which pieces of work a dimension makes longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Linting and compiling.
    Authors,
    /// Reviews.
    Callers,
    /// Both.
    Both,
}

/// One thing that an author or a caller can make large.
#[derive(Clone, Copy, Debug)]
pub struct Dimension {
    /// As tables and seeds name it.
    pub name: &'static str,
    /// What it is about; on another kind it does nothing.
    pub kinds: &'static [Kind],
    /// What it makes longer.
    pub reach: Reach,
    /// Where counting begins, for authors and for callers: large enough that what is constant does not hide the growth,
    /// small enough to be counted sixteenfold.
    pub bases: [usize; 2],
    /// The largest that the search for the worst tries.
    pub most: usize,
    /// Makes a world so large.
    pub apply: fn(&mut World, usize),
}

impl Dimension {
    /// One about pods, of authors and callers.
    pub const fn of(name: &'static str, bases: [usize; 2], most: usize, apply: fn(&mut World, usize)) -> Self {
        Self { name, kinds: &[Kind::Pod, Kind::Job, Kind::StatefulSet], reach: Reach::Both, bases, most, apply }
    }

    /// The same about other kinds.
    pub const fn on(self, kinds: &'static [Kind]) -> Self {
        Self { kinds, ..self }
    }

    /// The same about all kinds.
    pub const fn anywhere(self) -> Self {
        self.on(&Kind::ALL)
    }

    /// The same for authors alone.
    pub const fn authors(self) -> Self {
        Self { reach: Reach::Authors, ..self }
    }

    /// The same for callers alone.
    pub const fn callers(self) -> Self {
        Self { reach: Reach::Callers, ..self }
    }

    /// Whether linting and compiling get longer by it.
    pub fn is_of_authors(&self) -> bool {
        self.reach != Reach::Callers
    }

    /// Whether reviews get longer by it.
    pub fn is_of_callers(&self) -> bool {
        self.reach != Reach::Authors
    }

    /// All of them. What decides on the form and the length of values comes first, as others take these.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        let rooms: [&'static [Self]; 11] = [
            authors::schemas::ALL,
            callers::metadata::ALL,
            callers::variables::ALL,
            callers::lists::ALL,
            callers::texts::ALL,
            callers::kinds::ALL,
            callers::around::ALL,
            authors::texts::ALL,
            authors::yaml::ALL,
            authors::settings::ALL,
            authors::mistakes::ALL,
        ];
        rooms.into_iter().flatten()
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        Self::all().find(|dimension| dimension.name == name)
    }
}
