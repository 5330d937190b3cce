//! What commands print: YAML that kubectl reads back as the same value, or JSON.

use std::io::{self, IsTerminal, Write as _};

use serde_json::Value;

use crate::emit;

/// How to print manifests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Manifests {
    /// YAML documents.
    #[default]
    Yaml,
    /// JSON; several as one List.
    Json,
}

/// How to print an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Answers {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// Prints to standard output.
///
/// # Errors
/// When it is closed.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Prints a value as JSON, indented.
///
/// # Errors
/// When standard output is closed.
pub fn print_json(value: &Value) -> io::Result<()> {
    print(&format!("{value:#}\n"))
}

/// Prints manifests.
///
/// # Errors
/// When standard output is closed.
pub fn print_manifests(manifests: &[Value], format: Manifests) -> io::Result<()> {
    match (format, manifests) {
        (Manifests::Json, [one]) => print_json(one),
        (Manifests::Json, several) => {
            print_json(&serde_json::json!({"apiVersion": "v1", "kind": "List", "items": several}))
        }
        (Manifests::Yaml, several) => print(&emit::documents(several)),
    }
}

/// A word in colour, where standard output is a terminal that wants it.
pub fn coloured(word: &str, good: bool) -> String {
    paint(word, good, colour_wanted(io::stdout().is_terminal()))
}

/// Columns of the terminal that standard output is; none: it is none.
pub fn width() -> Option<usize> {
    let size = terminal_size::terminal_size().filter(|_| io::stdout().is_terminal());
    size.map(|(width, _)| usize::from(width.0))
}

/// Whether to write in colour to what is a terminal or not.
pub fn colour_wanted(terminal: bool) -> bool {
    terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A word in colour, if so wanted.
pub fn paint(word: &str, good: bool, wanted: bool) -> String {
    match (wanted, good) {
        (false, _) => word.to_owned(),
        (true, true) => format!("\u{1b}[32m{word}\u{1b}[0m"),
        (true, false) => format!("\u{1b}[31m{word}\u{1b}[0m"),
    }
}
