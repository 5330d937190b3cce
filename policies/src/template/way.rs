//! Where a walk through a manifest is: the steps are borrowed, and a path is only made where a message names it.

use crate::difference::{Path, Step};

/// The way from the manifest's root.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way<'a> {
    above: Option<&'a Way<'a>>,
    step: Turn<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Turn<'a> {
    Root,
    Key(&'a str),
    Index(usize),
}

impl<'a> Way<'a> {
    /// The manifest itself.
    pub(super) const ROOT: Self = Self { above: None, step: Turn::Root };

    /// One step down.
    pub(super) fn key(&'a self, key: &'a str) -> Self {
        Self { above: Some(self), step: Turn::Key(key) }
    }

    /// One element down.
    pub(super) fn index(&'a self, index: usize) -> Self {
        Self { above: Some(self), step: Turn::Index(index) }
    }

    /// As messages name it.
    pub(super) fn path(&self) -> Path {
        let (mut steps, mut at) = (Vec::new(), Some(self));
        while let Some(way) = at {
            match way.step {
                Turn::Root => {}
                Turn::Key(key) => steps.push(Step::Key(key.to_owned())),
                Turn::Index(index) => steps.push(Step::Index(index)),
            }
            at = way.above;
        }
        steps.reverse();
        Path::from_steps(steps)
    }
}
