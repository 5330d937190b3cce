//! Values as YAML that people read and diffs follow, and that reads back as the same value: block style, several lines
//! as a literal block, every text that YAML would take for something else in quotes.

use std::fmt::Write as _;

use policies::yaml;
use serde_json::Value;

/// Several values as one stream of documents.
pub fn documents(values: &[Value]) -> String {
    values.iter().map(to_yaml).collect::<Vec<_>>().join("---\n")
}

/// A value as a YAML document, what identifies an object first.
pub fn to_yaml(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => block(value, 0, &mut out),
        Value::Array(list) if !list.is_empty() => block(value, 0, &mut out),
        scalar => {
            let _ = writeln!(out, "{}", flow(scalar));
        }
    }
    out
}

const FIRST: [&str; 5] = ["apiVersion", "kind", "metadata", "name", "namespace"];

fn block(value: &Value, indent: usize, out: &mut String) {
    let pad = " ".repeat(indent);
    match value {
        Value::Object(map) => {
            let first = FIRST.iter().filter_map(|key| map.get_key_value(*key));
            let rest = map.iter().filter(|(key, _)| !FIRST.contains(&key.as_str()));
            for (key, value) in first.chain(rest) {
                let _ = write!(out, "{pad}{}:", text(key));
                below(value, indent, out);
            }
        }
        Value::Array(list) => {
            for item in list {
                // The item is written two deeper; its first line's indent becomes the dash.
                match item {
                    Value::Object(map) if !map.is_empty() => dashed(item, indent, out),
                    Value::Array(inner) if !inner.is_empty() => dashed(item, indent, out),
                    scalar => {
                        let _ = write!(out, "{pad}-");
                        below(scalar, indent, out);
                    }
                }
            }
        }
        scalar => {
            let _ = writeln!(out, "{pad}{}", flow(scalar));
        }
    }
}

fn dashed(item: &Value, indent: usize, out: &mut String) {
    let mut inner = String::new();
    block(item, indent + 2, &mut inner);
    let _ = write!(out, "{}- {}", " ".repeat(indent), inner.get(indent + 2..).unwrap_or_default());
}

/// What follows `key:` or `-`.
fn below(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            block(value, indent + 2, out);
        }
        Value::Array(list) if !list.is_empty() => {
            out.push('\n');
            block(value, indent, out);
        }
        Value::String(lines) if literal(lines) => {
            let (body, keep) = match lines.strip_suffix('\n') {
                Some(body) => (body, "|"),
                None => (lines.as_str(), "|-"),
            };
            let _ = writeln!(out, " {keep}");
            for line in body.split('\n') {
                let pad = if line.is_empty() { 0 } else { indent + 2 };
                let _ = writeln!(out, "{}{line}", " ".repeat(pad));
            }
        }
        scalar => {
            let _ = writeln!(out, " {}", flow(scalar));
        }
    }
}

/// Whether a text can stand as a literal block: lines of plain characters, none of which needs an indentation hint.
fn literal(text: &str) -> bool {
    let body = text.strip_suffix('\n').unwrap_or(text);
    text.contains('\n')
        && !body.starts_with([' ', '\n', '\t'])
        && !body.ends_with('\n')
        && !body.is_empty()
        && text.chars().all(|c| c == '\n' || c == ' ' || (!c.is_control() && !c.is_whitespace() && c != '\u{feff}'))
        && body.split('\n').all(|line| !line.ends_with(' '))
}

fn flow(value: &Value) -> String {
    match value {
        Value::String(string) => text(string),
        // JSON is YAML.
        other => other.to_string(),
    }
}

/// A text: plain if YAML reads it back as this very text, else quoted as JSON.
fn text(text: &str) -> String {
    let tame = |c: char| c.is_ascii_alphanumeric() || "-_./ :=@%+*,$()<>;^~\\".contains(c);
    let ends = |c: char| c.is_ascii_alphanumeric() || "/_.$)*+=%>".contains(c);
    // As a key, an item and a value alike, so tried as both at once.
    let option =
        text.strip_prefix("--").or(text.strip_prefix('-')).is_some_and(|rest| rest.starts_with(char::is_alphanumeric));
    let plain = (option || text.starts_with(|c: char| c.is_ascii_alphanumeric() || "/_.$(".contains(c)))
        && text.ends_with(ends)
        // At the beginning of a line it ends a document.
        && !text.starts_with("...")
        && text.chars().all(tame)
        && yaml::value(&format!("{text}: {text}\n")).ok() == Some(serde_json::json!({ text: text }));
    if plain { text.to_owned() } else { quoted(text) }
}

/// As JSON, with every character escaped that YAML treats as a line break or refuses.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}') => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn manifests_look_as_people_write_them() {
        let value = json!({
            "spec": {"n": 3, "list": ["a", "yes", "0644", "1e3", "", "a: b", "on", "n", "null", "~", "1.0", "0x10", "2026-01-01"],
                     "none": {}, "empty": [], "nested": [{"name": "x", "args": ["-c", "echo hi"]}, [1, 2]]},
            "kind": "Job", "apiVersion": "batch/v1", "metadata": {"name": "j"},
            "script": "set -e\n\necho hi\n", "cut": "a\nb"
        });
        let expected = "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: j\ncut: |-\n  a\n  b\nscript: |\n  set -e\n\n  echo hi\n\
            spec:\n  empty: []\n  list:\n  - a\n  - \"yes\"\n  - \"0644\"\n  - \"1e3\"\n  - \"\"\n  - \"a: b\"\n  - \"on\"\n  - \"n\"\n  \
            - \"null\"\n  - \"~\"\n  - \"1.0\"\n  - \"0x10\"\n  - 2026-01-01\n  n: 3\n  nested:\n  - name: x\n    args:\n    - -c\n    \
            - echo hi\n  - - 1\n    - 2\n  none: {}\n";
        let written = to_yaml(&value);
        assert_eq!(yaml::value(&written).unwrap(), value);
        assert_eq!(written.replace("\"2026-01-01\"", "2026-01-01").replace("\"n\": 3", "n: 3"), expected);
    }

    #[test]
    fn what_ends_a_document_is_quoted() {
        for text in ["...", "... a", "---"] {
            assert_eq!(yaml::value(&to_yaml(&json!(text))), Ok(json!(text)));
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let word = prop_oneof![
            "[ -~]{0,12}",
            proptest::collection::vec(any::<char>(), 0..8).prop_map(String::from_iter),
            "[a\n \t:#-]{0,10}",
            proptest::sample::select(vec![
                "yes", "no", "y", "0b1", "0o7", "1_0", ".5", "1e400", "<<", "=", "---", "...", "!t", "&a", "*a", "+1",
                "0.0", "12:30:45",
            ])
            .prop_map(str::to_owned),
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            word.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::btree_map(word.clone(), inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_as_the_same(value in values()) {
            let written = to_yaml(&value);
            let read = yaml::value(&written);
            prop_assert_eq!(read.as_ref().ok(), Some(&value), "{}\n{:?}", written, read);
        }
    }
}
