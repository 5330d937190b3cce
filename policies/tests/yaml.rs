//! The YAML room against what kubectl's own library (`sigs.k8s.io/yaml`) made of the same texts.
//!
//! `tests/yaml-oracle` writes the corpus. Where the two differ on purpose, the row is named below with the reason.
#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]

use serde_json::Value;

/// What is refused here on purpose, though kubectl reads it: junk after a value, a quoted text that goes on in a line
/// that is indented too little, what YAML 1.1 and 1.2 read differently, and two spellings of one key. (JSON's escaped
/// slash is read here, and refused there.)
const STRICTER: [&str; 4] =
    ["misplaced bracket", "multiline quoted scalar", "a ? begins this value", "the key \"1\" is there twice"];

struct Row {
    name: String,
    yaml: String,
    expected: Result<Value, String>,
    duplicate: bool,
}

fn rows() -> Vec<Row> {
    include_str!("corpus/yaml/expected.jsonl")
        .lines()
        .map(|line| {
            let row: Value = serde_json::from_str(line).unwrap();
            let text = |key: &str| row[key].as_str().map(str::to_owned);
            Row {
                name: text("name").unwrap(),
                yaml: text("yaml").unwrap(),
                expected: match text("json") {
                    Some(json) => Ok(serde_json::from_str(&json).unwrap()),
                    None => Err(text("error").unwrap()),
                },
                duplicate: row["duplicate"] == true,
            }
        })
        .collect()
}

/// As JSON; minus zero is zero for the API server.
fn same(expected: &Value, got: &Value) -> bool {
    match (expected, got) {
        (Value::Array(expected), Value::Array(got)) => {
            expected.len() == got.len() && expected.iter().zip(got).all(|(expected, got)| same(expected, got))
        }
        (Value::Object(expected), Value::Object(got)) => {
            expected.len() == got.len()
                && expected.iter().all(|(key, expected)| got.get(key).is_some_and(|got| same(expected, got)))
        }
        (Value::Number(expected), Value::Number(got)) => {
            expected == got || (expected.as_f64() == Some(0.0) && got.as_f64() == Some(0.0))
        }
        _ => expected == got,
    }
}

#[test]
fn every_text_is_read_as_kubectl_reads_it() {
    let rows = rows();
    assert!(rows.len() > 2000);
    let mut wrong = Vec::new();
    let (mut alike, mut refused) = (0, 0);
    for row in &rows {
        let got = policies::yaml::value(&row.yaml);
        match (&row.expected, &got) {
            (Ok(expected), Ok(got)) if same(expected, got) && !row.duplicate => alike += 1,
            // The strict reading takes what overrides a merge for a duplicate; kubectl does not.
            (Ok(expected), Ok(got)) if same(expected, got) && row.yaml.contains("<<") => alike += 1,
            (Err(_), Err(_)) => refused += 1,
            (Ok(_), Err(error)) if row.duplicate || STRICTER.iter().any(|known| error.message.contains(known)) => {
                refused += 1;
            }
            (Err(error), Ok(_)) if error.contains("unknown escape character") && row.yaml.contains("\\/") => alike += 1,
            _ => wrong.push(format!("{}\n{:?}\n  kubectl {:?}\n  here    {got:?}", row.name, row.yaml, row.expected)),
        }
    }
    println!("{alike} read alike, {refused} refused by both");
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

#[test]
fn no_piece_of_a_text_makes_the_reader_panic() {
    let mut read = 0;
    for row in rows() {
        for (position, _) in row.yaml.char_indices().step_by(5) {
            read += usize::from(policies::yaml::documents(&row.yaml[position..]).is_ok());
            read += usize::from(policies::yaml::documents(&row.yaml[..position]).is_ok());
        }
    }
    assert!(read > 1000);
}
