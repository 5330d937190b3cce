//! What the pieces of the proof found, a file for each, and the table of them all.
//!
//! `make proof` and `make test` name the folder in `PROOF_FIGURES`; without it nothing is written. A row whose figures
//! are missing is as bad as a wrong one: something that did not run proves nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

/// The rows of the table but the threats: the file, what was tried, and what is right of them.
pub const ROWS: [(&str, &str, &str); 11] = [
    ("manifests", "manifests of tests/manifests", "admitted"),
    ("kubernetes-manifests", "manifests of Kubernetes", "admitted"),
    ("variations-offline", "variations, offline", "refused"),
    ("variations-api", "variations, API server", "refused"),
    ("fuzz-template", "fuzz: template", "executed"),
    ("fuzz-parameters", "fuzz: parameters", "executed"),
    ("fuzz-review", "fuzz: review", "executed"),
    ("fuzz-patch", "fuzz: patch", "executed"),
    ("fuzz-duration", "fuzz: duration", "executed"),
    ("fuzz-annotation", "fuzz: annotation", "executed"),
    ("fuzz-bypass", "fuzz: bypass", "executed"),
];

/// What one piece found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// How many were tried.
    pub tried: usize,
    /// How many of them came out as they must.
    pub good: usize,
    /// How many did not. What is neither is the same object to the API server.
    pub wrong: usize,
}

/// Writes the figures of a row, where somebody asked for them.
///
/// # Errors
/// When the file cannot be written.
pub fn note(row: &str, figures: Figures) -> Result<()> {
    let Some(folder) = std::env::var_os("PROOF_FIGURES") else { return Ok(()) };
    let path = Path::new(&folder).join(format!("{row}.json"));
    let Figures { tried, good, wrong } = figures;
    let text = json!({"tried": tried, "good": good, "wrong": wrong}).to_string();
    std::fs::write(&path, text).with_context(|| path.display().to_string())
}

fn read(folder: &Path, row: &str) -> Result<Figures> {
    let path = folder.join(format!("{row}.json"));
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let said: Value = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
    let figure = |name: &str| -> Result<usize> {
        let number = said[name].as_u64().with_context(|| format!("{}: no {name}", path.display()))?;
        Ok(usize::try_from(number)?)
    };
    let figures = Figures { tried: figure("tried")?, good: figure("good")?, wrong: figure("wrong")? };
    ensure!(figures.tried > 0, "{}: nothing was tried", path.display());
    Ok(figures)
}

/// The threats, by what the table of `tests/threats.txt` says and how their tests went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Threats {
    /// Rows of the table.
    pub rows: usize,
    /// Rows that are held, each of whose tests passed.
    pub held: usize,
    /// Rows that are held in part, or not.
    pub weaker: usize,
    /// Tests that failed, or did not run.
    pub failed: usize,
}

/// Reads the table of threats, and how tests went out of what `cargo test` printed.
pub fn threats(table: &str, log: &str) -> Threats {
    let mut passed: BTreeMap<&str, bool> = BTreeMap::new();
    for line in log.lines() {
        let Some((test, outcome)) = line.strip_prefix("test ").and_then(|line| line.split_once(" ... ")) else {
            continue;
        };
        let name = test.rsplit("::").next().unwrap_or(test);
        *passed.entry(name).or_insert(true) &= outcome.trim() == "ok";
    }
    let mut threats = Threats::default();
    let mut failed = BTreeSet::new();
    let mut rows: Vec<(&str, bool)> = Vec::new();
    for line in table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.strip_prefix("    ") {
            Some(test) => {
                let name = test.rsplit(' ').next().unwrap_or(test);
                if passed.get(name) != Some(&true) {
                    failed.insert(name);
                    if let Some(row) = rows.last_mut() {
                        row.1 = false;
                    }
                }
            }
            None => rows.push((line.split(" | ").nth(1).unwrap_or_default(), true)),
        }
    }
    threats.rows = rows.len();
    threats.held = rows.iter().filter(|(state, passed)| *state == "held" && *passed).count();
    threats.weaker = rows.iter().filter(|(state, _)| *state != "held").count();
    threats.failed = failed.len();
    threats
}

/// The table, and whether all of it is there and nothing in it wrong.
pub fn table(folder: &Path, threats: Threats) -> (String, bool) {
    let mut out = format!("{:<32} {:>10} {:>10} {:>6}\n", "", "tried", "", "wrong");
    let mut sound = true;
    let mut row = |name: &str, tried: usize, good: usize, word: &str, wrong: usize| {
        sound &= wrong == 0;
        let _ = writeln!(out, "{name:<32} {tried:>10} {good:>10} {word:<9} {wrong:>6}");
    };
    let mut missing = Vec::new();
    for (file, name, word) in ROWS {
        match read(folder, file) {
            Ok(figures) => row(name, figures.tried, figures.good, word, figures.wrong),
            Err(error) => missing.push(format!("{name}: MISSING: {error:#}")),
        }
    }
    row("threats", threats.rows, threats.held, "held", threats.failed);
    sound &= missing.is_empty() && threats.rows > 0;
    let _ = writeln!(out, "{} threats are held in part or not at all: tests/threats.txt says which", threats.weaker);
    missing.iter().for_each(|line| {
        let _ = writeln!(out, "{line}");
    });
    (out, sound)
}
