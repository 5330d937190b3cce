//! Where the walk is, borrowed: a path costs nothing until someone reads it.

use serde_json::Value;

use crate::difference::{Path, Step};

/// One step of the walk.
#[derive(Clone, Copy, Debug)]
enum Turn<'a> {
    Key(&'a str),
    Index(usize),
    /// The element at a position of a keyed list.
    Element(&'a Value, &'a [String], usize),
    /// The element at a position of a list that is a set.
    Whole(&'a Value, usize),
    /// The element at a position, which says its name.
    Named(&'a Value, usize),
}

/// The way from the object to where the walk is.
#[derive(Clone, Debug, Default)]
pub(super) struct Trail<'a> {
    turns: Vec<Turn<'a>>,
}

/// A place in the object, to put a value there: keys and positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Spot {
    Key(String),
    Index(usize),
}

impl<'a> Trail<'a> {
    pub(super) fn key(&mut self, key: &'a str) {
        self.turns.push(Turn::Key(key));
    }
    pub(super) fn index(&mut self, index: usize) {
        self.turns.push(Turn::Index(index));
    }
    pub(super) fn element(&mut self, element: &'a Value, keys: &'a [String], index: usize) {
        self.turns.push(Turn::Element(element, keys, index));
    }
    pub(super) fn whole(&mut self, element: &'a Value, index: usize) {
        self.turns.push(Turn::Whole(element, index));
    }
    pub(super) fn named(&mut self, element: &'a Value, index: usize) {
        self.turns.push(Turn::Named(element, index));
    }
    pub(super) fn back(&mut self) {
        self.turns.pop();
    }

    /// How many steps there are to here.
    pub(super) fn depth(&self) -> usize {
        self.turns.len()
    }

    /// As differences name it.
    pub(super) fn path(&self) -> Path {
        path_of(&self.turns)
    }

    /// The lists around this place, the nearest last.
    pub(super) fn lists(&self) -> Vec<Path> {
        let elements = self.turns.iter().enumerate().filter(|(_, turn)| !matches!(turn, Turn::Key(_)));
        elements.filter_map(|(position, _)| Some(path_of(self.turns.get(..position)?))).collect()
    }

    /// As one walks there.
    pub(super) fn spots(&self) -> Vec<Spot> {
        let spots = self.turns.iter().map(|turn| match turn {
            Turn::Key(key) => Spot::Key((*key).to_owned()),
            Turn::Index(index) | Turn::Element(_, _, index) | Turn::Whole(_, index) | Turn::Named(_, index) => {
                Spot::Index(*index)
            }
        });
        spots.collect()
    }
}

fn path_of(turns: &[Turn<'_>]) -> Path {
    let steps = turns.iter().map(|turn| match turn {
        Turn::Key(key) => Step::key(key),
        Turn::Index(index) => Step::Index(*index),
        Turn::Element(element, keys, _) => Step::element(label(element, keys)),
        Turn::Whole(element, _) => Step::element(text_of(element)),
        Turn::Named(element, _) => {
            Step::element(format!("name={}", element.get("name").map(text_of).unwrap_or_default()))
        }
    });
    Path::from_steps(steps.collect())
}

/// The merge key of an element: `name=main`, `containerPort=80,protocol=TCP`.
pub(super) fn label(element: &Value, keys: &[String]) -> String {
    let parts = keys.iter().filter_map(|key| {
        let value = element.get(key)?;
        Some(format!("{key}={}", text_of(value)))
    });
    parts.collect::<Vec<_>>().join(",")
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
