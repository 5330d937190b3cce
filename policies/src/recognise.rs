//! Backwards: manifest in, parameters out, or the differences.

use crate::difference::Difference;
use crate::parameter::Bindings;

/// The outcome of recognising one object against one template.
#[derive(Clone, Debug, PartialEq)]
pub enum Recognition {
    /// It is what the template renders with these bindings.
    Match(Bindings),
    /// It is not, and here is where (never empty), the most telling first.
    Differ(Vec<Difference>),
    /// It needs a live fact or a CRD that is not at hand (`check` without `--with`); the text names it.
    CouldNotTell(String),
}

pub use crate::tables::Form;
