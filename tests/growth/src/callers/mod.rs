//! What a caller can make large, and templates that admit it.

pub mod around;
pub mod kinds;
pub mod lists;
pub mod metadata;
pub mod texts;
pub mod variables;
