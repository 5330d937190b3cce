//! Text with holes: how it is split into literals and holes, matched backwards, and found ambiguous.

use std::sync::{Arc, OnceLock};

use crate::template::Hole;

/// Text with at least one hole.
#[derive(Clone, Debug)]
pub struct TextPattern {
    /// Literals and holes, in order; no two literals side by side, no empty literal.
    pub parts: Vec<Part>,
    /// Compiled at first use. A pattern belongs to one template, thus to one set of parameters.
    matcher: Arc<OnceLock<()>>,
}

/// A part of a text pattern.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Literal text.
    Literal(String),
    /// A hole.
    Hole(Hole),
}

impl PartialEq for TextPattern {
    fn eq(&self, other: &Self) -> bool {
        self.parts == other.parts
    }
}

impl TextPattern {
    /// From its parts: no two literals side by side, no empty literal, at least one hole.
    pub fn new(parts: Vec<Part>) -> Self {
        Self { parts, matcher: Arc::default() }
    }
}
