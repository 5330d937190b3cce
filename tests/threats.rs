//! Every threat has its number, and every number a test by that number: `tests/threats.txt` says which, and where
//! something is weaker than it should be. `UPDATE_THREATS=1` writes the lines of tests anew; what is said of a row is
//! written by hand.
#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The rows that there are.
const ROWS: std::ops::RangeInclusive<u32> = 1..=71;
/// What can be said of a row.
const STATES: [&str; 3] = ["held", "in part", "not held"];

/// The numbers in the name of a test: `threats_5_and_6_pods_…` has 5 and 6.
fn numbers(name: &str) -> Vec<u32> {
    let Some(rest) = name.strip_prefix("threats_").or_else(|| name.strip_prefix("threat_")) else { return Vec::new() };
    let words = rest.split('_').filter(|word| *word != "and");
    words.map_while(|word| word.parse().ok()).collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && name != "target" && name != "bin" && !name.starts_with('.') {
            sources(&path, found);
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
}

/// The tests by row: `path name`.
fn tests() -> BTreeMap<u32, BTreeSet<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(root, &mut files);
    let mut tests: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let place = file.strip_prefix(root).unwrap().display().to_string();
        let mut is_test = false;
        for line in text.lines().map(str::trim_start) {
            is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            let declared = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
            let Some(name) = declared.and_then(|rest| rest.split('(').next()) else { continue };
            if is_test {
                for number in numbers(name) {
                    tests.entry(number).or_default().insert(format!("{place} {name}"));
                }
            }
            is_test = false;
        }
    }
    tests
}

/// One row of the table.
#[derive(Debug, PartialEq)]
struct Row {
    number: u32,
    state: String,
    note: String,
    tests: BTreeSet<String>,
}

fn read(table: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for line in table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(test) = line.strip_prefix("    ") {
            rows.last_mut().unwrap().tests.insert(test.to_owned());
            continue;
        }
        let mut parts = line.splitn(3, " | ");
        let mut part = || parts.next().unwrap_or_else(|| panic!("number | state | what: {line}")).trim().to_owned();
        let number = part().parse().unwrap_or_else(|_| panic!("no number: {line}"));
        rows.push(Row { number, state: part(), note: part(), tests: BTreeSet::new() });
    }
    rows
}

#[test]
fn every_threat_has_a_test_by_its_number_and_the_table_names_them_all() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/threats.txt");
    let text = std::fs::read_to_string(path).unwrap();
    let mut rows = read(&text);
    let tests = tests();
    if std::env::var_os("UPDATE_THREATS").is_some() {
        let mut out: String =
            text.lines().take_while(|line| line.starts_with('#')).map(|line| format!("{line}\n")).collect();
        for row in &mut rows {
            row.tests = tests.get(&row.number).cloned().unwrap_or_default();
            writeln!(out, "\n{} | {} | {}", row.number, row.state, row.note).unwrap();
            for test in &row.tests {
                writeln!(out, "    {test}").unwrap();
            }
        }
        std::fs::write(path, out).unwrap();
    }
    assert!(rows.iter().map(|row| row.number).eq(ROWS), "each number once, in order");
    assert!(tests.keys().all(|number| ROWS.contains(number)), "{:?}", tests.keys());
    for row in &rows {
        let number = row.number;
        assert!(STATES.contains(&row.state.as_str()), "{number}: {:?} is none of {STATES:?}", row.state);
        assert!(row.state == "held" || row.note.contains(": "), "{number}: it says what is missing after a colon");
        assert!(!row.tests.is_empty() || row.state == "not held", "{number} has no test");
        let found = tests.get(&number).cloned().unwrap_or_default();
        assert_eq!(row.tests, found, "{number}: UPDATE_THREATS=1 cargo test --test threats");
    }
    let count = |state: &str| rows.iter().filter(|row| row.state == state).count();
    let all: BTreeSet<&String> = rows.iter().flat_map(|row| &row.tests).collect();
    println!(
        "{} threats: {} held, {} in part, {} not held; {} tests",
        rows.len(),
        count("held"),
        count("in part"),
        count("not held"),
        all.len()
    );
}

#[test]
fn numbers_are_read_up_to_the_first_word() {
    assert_eq!(numbers("threats_1_2_3_and_4_no_subresource"), [1, 2, 3, 4]);
    assert_eq!(numbers("threat_51_none_is_2_much"), [51]);
    assert_eq!(numbers("a_threat_51"), [0_u32; 0]);
}
