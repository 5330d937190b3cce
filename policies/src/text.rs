//! Text with holes: how it is split into literals and holes, matched backwards, and found ambiguous.

use crate::template::Hole;

/// Text with at least one hole.
#[derive(Clone, Debug, PartialEq)]
pub struct TextPattern {
    /// Literals and holes, in order; no two literals side by side, no empty literal.
    pub parts: Vec<Part>,
}

/// A part of a text pattern.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Literal text.
    Literal(String),
    /// A hole.
    Hole(Hole),
}
