//! Objects as YAML that a person can read and a diff can follow: block style, what identifies an object first,
//! expressions of several lines as literal blocks, every other text in JSON's quotes where it needs any.

use std::fmt::Write as _;

use serde_json::{Map, Value};

const FIRST: [&str; 5] = ["apiVersion", "kind", "metadata", "name", "namespace"];

/// One YAML stream of `objects`.
pub fn to_yaml(objects: &[Value]) -> String {
    let mut out = String::new();
    for (position, object) in objects.iter().enumerate() {
        if position > 0 {
            out.push_str("---\n");
        }
        block(object, 0, &mut out);
    }
    out
}

fn block(value: &Value, indent: usize, out: &mut String) {
    let pad = " ".repeat(indent);
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in ordered(map) {
                let _ = write!(out, "{pad}{}:", text(key));
                below(value, indent, out);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            for item in list {
                let mut inner = String::new();
                match item {
                    Value::Object(map) if !map.is_empty() => {
                        block(item, indent + 2, &mut inner);
                        let _ = write!(out, "{pad}- {}", inner.trim_start());
                    }
                    Value::Object(_) | Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {
                        let _ = writeln!(out, "{pad}- {item}");
                    }
                    Value::String(item) => {
                        let _ = writeln!(out, "{pad}- {}", text(item));
                    }
                }
            }
        }
        scalar => {
            let _ = writeln!(out, "{pad}{scalar}");
        }
    }
}

fn ordered(map: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    let first = FIRST.iter().filter_map(|key| map.get_key_value(*key));
    first.chain(map.iter().filter(|(key, _)| !FIRST.contains(&key.as_str())))
}

/// What follows `key:`.
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
            out.push_str(" |-\n");
            for line in lines.lines() {
                let _ = writeln!(out, "{}{line}", " ".repeat(indent + 2));
            }
        }
        Value::String(line) => {
            let _ = writeln!(out, " {}", text(line));
        }
        // JSON is YAML.
        scalar => {
            let _ = writeln!(out, " {scalar}");
        }
    }
}

/// Lines of printable ASCII, none empty, none with space at an end, but for the indentation of later lines.
fn literal(text: &str) -> bool {
    let line =
        |line: &str| !line.is_empty() && !line.ends_with(' ') && line.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    text.contains('\n') && !text.ends_with('\n') && !text.starts_with(' ') && text.split('\n').all(line)
}

/// Plain only where no reader of YAML could take it for anything but text.
fn text(text: &str) -> String {
    let word = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let other = ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf"];
    let plain = begins && text.chars().all(word) && !other.contains(&text.to_ascii_lowercase().as_str());
    if plain { text.to_owned() } else { Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let odd = [
            "",
            " ",
            "a b",
            "yes",
            "No",
            "null",
            "~",
            "1",
            "0x1f",
            "1e3",
            "-",
            "- a",
            "a: b",
            "a #b",
            "*",
            "&a",
            "!x",
            "a\nb",
            "a\n\nb",
            "a\n",
            "\na",
            " a\nb",
            "a \nb",
            "a\n  b",
            "é\nü",
            "\u{2028}",
            "@a",
            "`a`",
            "%a",
            "{a}",
            "|",
            ">",
            "'a'",
            "\"a\"",
            "/certs",
            "system:serviceaccount",
            "2026-01-01",
            "a\tb",
        ];
        for text in odd {
            let object =
                json!({ "k": text, "list": [text, [text], { "x": text, "y": {} }, {}], text: 1, "none": null });
            let written = to_yaml(std::slice::from_ref(&object));
            let read = policies::yaml::value(&written).unwrap_or_else(|error| panic!("{text:?}: {error}\n{written}"));
            assert_eq!(read, object, "{written}");
        }
    }
}
