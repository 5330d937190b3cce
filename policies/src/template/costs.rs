//! What takes how much of the work on one key, so that an error can name what to simplify.

use std::cell::Cell;

use crate::budget::Budget;

/// What is measured takes at least this part of the key's steps, else it is not dear: its line is sought of some alone.
const PART_OF_DEAR: u64 = 64;

/// What steps are taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A text with holes, whose parameters are told apart.
    Text,
    /// A list, whose elements are told apart.
    List,
    /// A manifest as a whole.
    Manifest,
}

impl Piece {
    /// For people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::List => "list",
            Self::Manifest => "manifest",
        }
    }

    /// What makes it dear, and what to do.
    pub(crate) fn advice(self) -> &'static str {
        match self {
            Self::Text => {
                "write fewer holes in one text, with separators between them, and patterns with smaller counted \
                 repetitions and shorter enums"
            }
            Self::List => "write fewer elements with holes in one list, and give its elements literal names",
            Self::Manifest => "write fewer and simpler manifests under one key, and more keys or ConfigMaps",
        }
    }
}

/// One piece, and the steps that it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dear {
    /// What it is.
    pub(crate) piece: Piece,
    /// Its line within the key's text, from 1.
    pub(crate) line: usize,
    /// The steps that it took.
    pub(crate) steps: u64,
}

/// What was measured of one key.
#[derive(Debug, Default)]
pub(crate) struct Costs {
    dearest: Cell<Option<Dear>>,
    end: Cell<Option<Dear>>,
}

impl Costs {
    /// Does a piece of work, and remembers it where it is dear or the steps end at it.
    pub(super) fn measure<T>(
        &self,
        budget: &Budget,
        piece: Piece,
        line: impl FnOnce() -> usize,
        work: impl FnOnce() -> T,
    ) -> T {
        let before = budget.left();
        let done = work();
        let steps = before - budget.left();
        let ends = before > 0 && budget.is_used_up() && self.end.get().is_none();
        let dearest =
            steps >= budget.given() / PART_OF_DEAR && self.dearest.get().is_none_or(|dear| dear.steps < steps);
        if ends || dearest {
            let dear = Some(Dear { piece, line: line(), steps });
            if dearest {
                self.dearest.set(dear);
            }
            if ends {
                self.end.set(dear);
            }
        }
        done
    }

    /// What took most, where it took much.
    pub(super) fn dearest(&self) -> Option<Dear> {
        self.dearest.get()
    }

    /// At what the steps ended.
    pub(super) fn end(&self) -> Option<Dear> {
        self.end.get()
    }
}
