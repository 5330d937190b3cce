//! Where a comparison is: a chain of steps on the stack, which borrows all it says. It becomes a path only where there
//! is a difference.

use serde_json::Value;

use crate::difference::{Path, Step};

use super::pairs::label;

/// One step.
#[derive(Clone, Copy)]
pub(super) enum Turn<'a> {
    Key(&'a str),
    Index(usize),
    /// The element of this label.
    Element(&'a str),
    /// The element of this name.
    Named(&'a str),
    /// This element of a keyed list.
    Keyed(&'a Value, &'a [String]),
}

/// A place, by the one above it and the step from there.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    above: Option<(&'a Place<'a>, Turn<'a>)>,
}

impl<'a> Place<'a> {
    pub(super) const ROOT: Place<'static> = Place { above: None };

    pub(super) fn then(&'a self, turn: Turn<'a>) -> Place<'a> {
        Place { above: Some((self, turn)) }
    }

    /// As differences name it.
    pub(super) fn path(&self) -> Path {
        let mut steps = Vec::new();
        let mut place = self;
        while let Some((above, turn)) = &place.above {
            steps.push(match turn {
                Turn::Key(key) => Step::key(key),
                Turn::Index(index) => Step::Index(*index),
                Turn::Element(label) => Step::element((*label).to_owned()),
                Turn::Named(name) => Step::element(format!("name={name}")),
                Turn::Keyed(element, keys) => Step::element(label(keys, element).unwrap_or_default()),
            });
            place = above;
        }
        steps.reverse();
        Path::from_steps(steps)
    }
}
