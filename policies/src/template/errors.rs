//! What is wrong with templates, and on which line: up to a number that people read.

use crate::difference::{Path, Step};
use crate::yaml::Node;

/// The most errors of one key that are told: who has more mends these first.
const MOST: usize = 100;

/// What is wrong with a template, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct TemplateError {
    /// Line within the key's text, from 1.
    pub line: usize,
    /// What is wrong and what to do.
    pub message: String,
}

impl TemplateError {
    pub(super) fn new(line: usize, message: impl Into<String>) -> Self {
        Self { line, message: message.into() }
    }
}

/// What was found to be wrong.
#[derive(Debug, Default)]
pub(super) struct Errors {
    told: Vec<TemplateError>,
    /// How many more there are.
    more: usize,
}

impl From<TemplateError> for Errors {
    fn from(error: TemplateError) -> Self {
        Self { told: vec![error], more: 0 }
    }
}

impl Errors {
    /// Adds one; where it stands is only sought if it is told.
    pub(super) fn tell(&mut self, line: impl FnOnce() -> usize, message: impl Into<String>) {
        if self.told.len() < MOST {
            self.told.push(TemplateError::new(line(), message));
        } else {
            self.more += 1;
        }
    }

    /// Adds those of another.
    pub(super) fn append(&mut self, other: Self) {
        let room = MOST - self.told.len().min(MOST);
        self.more += other.more + other.told.len().saturating_sub(room);
        self.told.extend(other.told.into_iter().take(room));
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    /// Those that are told; the last one says how many are not.
    pub(super) fn told(mut self) -> Vec<TemplateError> {
        if let (1.., Some(last)) = (self.more, self.told.last()) {
            let message = format!("{} more errors of this key are not told: mend these first", self.more);
            self.told.push(TemplateError::new(last.line, message));
        }
        self.told
    }
}

/// Finds the line of a path in the manifest as written.
pub(super) struct Lines<'n> {
    manifest: &'n Node,
}

impl<'n> Lines<'n> {
    /// Of this manifest.
    pub(super) fn of(manifest: &'n Node) -> Self {
        Self { manifest }
    }

    /// The line of a path, or of what stands above it and is there.
    pub(super) fn line(&self, path: &Path) -> usize {
        let mut node = self.manifest;
        let mut line = node.line;
        for step in path.steps() {
            let next = match step {
                Step::Key(key) => {
                    node.entries().and_then(|entries| entries.iter().find(|entry| entry.key == *key)).map(|entry| {
                        line = entry.line;
                        &entry.value
                    })
                }
                Step::Index(index) => node.items().and_then(|items| items.get(*index)).inspect(|item| line = item.line),
                Step::Element(_) => None,
            };
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        line
    }
}
