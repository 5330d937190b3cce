//! What an author can make large.

pub mod mistakes;
pub mod schemas;
pub mod settings;
pub mod texts;
pub mod yaml;
