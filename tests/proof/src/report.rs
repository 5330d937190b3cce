//! What each part of the proof found, a file per part under `target/proof`, and the table made of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// The numbers of the threats (threats.md has a row for each).
pub const THREATS: std::ops::RangeInclusive<u32> = 1..=53;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/proof")
}

/// Keeps what a part counted, in the order given, for the table. `wrong` is what should have been otherwise.
///
/// # Errors
/// When the file cannot be written.
pub fn keep(part: &str, counts: &[(&str, usize)], wrong: usize) -> Result<()> {
    let counted = counts.iter().map(|(name, count)| format!("{name}\t{count}\n")).collect::<String>();
    std::fs::create_dir_all(folder())?;
    std::fs::write(folder().join(part), format!("{counted}wrong\t{wrong}\n"))?;
    Ok(())
}

/// Forgets what earlier runs counted.
///
/// # Errors
/// When the folder is there and cannot be removed.
pub fn forget() -> Result<()> {
    match std::fs::remove_dir_all(folder()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// One row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What was shown.
    pub part: String,
    /// What was counted, by name.
    pub counts: Vec<(String, usize)>,
    /// What should have been otherwise.
    pub wrong: usize,
}

/// What the parts kept; each of `expected` must be there.
///
/// # Errors
/// When a part is missing or cannot be read.
pub fn kept(expected: &[&str]) -> Result<Vec<Row>> {
    expected.iter().map(|part| read(part)).collect()
}

fn read(part: &str) -> Result<Row> {
    let file = folder().join(part);
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("the part {part:?} of the proof kept nothing: did its test run?"))?;
    let mut row = Row { part: part.to_owned(), counts: Vec::new(), wrong: 0 };
    for line in text.lines() {
        let (name, count) = line.split_once('\t').with_context(|| format!("{}: {line:?}", file.display()))?;
        let count = count.parse().with_context(|| format!("{}: {line:?}", file.display()))?;
        match name {
            "wrong" => row.wrong = count,
            name => row.counts.push((name.to_owned(), count)),
        }
    }
    Ok(row)
}

/// The threats that the tests in a log of `cargo test` hold: by number, how many tests and how many of them failed.
pub fn threats(log: &str) -> BTreeMap<u32, (usize, usize)> {
    let mut found: BTreeMap<u32, (usize, usize)> = BTreeMap::new();
    for line in log.lines() {
        let Some((name, outcome)) = line.strip_prefix("test ").and_then(|line| line.rsplit_once(" ... ")) else {
            continue;
        };
        for number in numbers(name) {
            let (tests, failed) = found.entry(number).or_default();
            *tests += 1;
            *failed += usize::from(outcome.trim() != "ok");
        }
    }
    found
}

/// The numbers in a test's name: `threats_1_2_and_4_no_subresource` has 1, 2 and 4.
fn numbers(name: &str) -> BTreeSet<u32> {
    let function = name.rsplit("::").next().unwrap_or(name);
    let rest = function.strip_prefix("threats_").or_else(|| function.strip_prefix("threat_")).unwrap_or_default();
    let words = rest.split('_').take_while(|word| *word == "and" || word.parse::<u32>().is_ok());
    words.filter_map(|word| word.parse().ok()).filter(|number| THREATS.contains(number)).collect()
}

/// The row of the threats; `open` are those that are known to be held by no test yet.
///
/// # Errors
/// When a threat has neither a test nor stands in `open`, or has both.
pub fn threat_row(log: &str, open: &BTreeSet<u32>) -> Result<Row> {
    let found = threats(log);
    let missing: Vec<u32> = THREATS.filter(|number| !found.contains_key(number) && !open.contains(number)).collect();
    ensure!(missing.is_empty(), "no test has the number of these threats in its name: {missing:?}");
    let failed = found.values().filter(|(_, failed)| *failed > 0).count();
    let held: usize = found.iter().filter(|(number, (_, failed))| *failed == 0 && !open.contains(number)).count();
    let tests = found.values().map(|(tests, _)| tests).sum();
    Ok(Row {
        part: "threats".into(),
        counts: vec![("held".into(), held), ("open".into(), open.len()), ("tests".into(), tests)],
        wrong: failed,
    })
}

/// The table, as text of at most 100 columns.
pub fn table(rows: &[Row]) -> String {
    let width = rows.iter().map(|row| row.part.len()).max().unwrap_or_default();
    let line = |row: &Row| {
        let counts: Vec<String> = row.counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
        format!("{:width$}  wrong {:<4} {}\n", row.part, row.wrong, counts.join(", "))
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_its_threats() {
        let cases: [(&str, &[u32]); 5] = [
            ("refused::threats_9_12_20_21_and_22_what_the_template_does_not_say", &[9, 12, 20, 21, 22]),
            ("threat_8_a_generated_name_is_one_of_its_prefix", &[8]),
            ("startup::from_its_start_with_100_templates", &[]),
            ("threat_99_is_none", &[]),
            ("threat_5_6_43_deletions_never_orphan", &[5, 6, 43]),
        ];
        for (name, expected) in cases {
            assert_eq!(numbers(name).into_iter().collect::<Vec<_>>(), expected, "{name}");
        }
    }

    #[test]
    fn a_failed_test_is_wrong_and_a_threat_without_one_is_missed() {
        let all: String = THREATS.map(|number| format!("test threat_{number}_holds ... ok\n")).collect();
        let open = BTreeSet::new();
        assert_eq!(threat_row(&all, &open).unwrap().wrong, 0);
        assert_eq!(
            threat_row(&all.replace("threat_7_holds ... ok", "threat_7_holds ... FAILED"), &open).unwrap().wrong,
            1
        );
        assert!(threat_row(&all.replace("threat_7_", "threat_8_"), &open).is_err());
        assert!(threat_row(&all.replace("threat_7_", "threat_8_"), &BTreeSet::from([7])).is_ok());
    }
}
