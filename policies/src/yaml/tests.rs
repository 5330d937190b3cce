#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]
use super::*;
use serde_json::json;

#[test]
fn scalars_are_what_kubectl_makes_of_them() {
    for (text, expected) in [
        ("0644", json!(420)),
        ("0o644", json!(420)),
        ("0x1F", json!(31)),
        ("0b101", json!(5)),
        ("1_000", json!(1000)),
        ("1_0.5", json!(10.5)),
        ("1e3", json!(1000)),
        ("1.0", json!(1)),
        ("08", json!(8)),
        ("+12", json!(12)),
        ("1e400", json!("1e400")),
        ("yes", json!(true)),
        ("n", json!(false)),
        ("off", json!(false)),
        ("~", json!(null)),
        ("2026-11-20", json!("2026-11-20")),
        ("1:30", json!("1:30")),
        ("\"yes\"", json!("yes")),
        ("!!str 12", json!("12")),
        ("18446744073709551615", json!(18_446_744_073_709_551_615_u64)),
    ] {
        assert_eq!(value(&format!("a: {text}")).unwrap(), json!({"a": expected}), "{text}");
    }
}

#[test]
fn keys_are_text() {
    for (text, expected) in [
        ("on", "true"),
        ("1", "1"),
        ("0x10", "16"),
        ("1.5", "1.5"),
        ("1e10", "1e+10"),
        ("\"on\"", "on"),
        ("yes", "true"),
    ] {
        assert_eq!(value(&format!("{text}: 1")).unwrap(), json!({ expected: 1 }), "{text}");
    }
}

#[test]
fn positions_and_styles_are_kept() {
    let node = documents("a: 1\nb:\n  - \"x\"\n  - |\n    y\n").unwrap().remove(0);
    let list = node.get("b").unwrap().items().unwrap();
    assert_eq!((list[0].line, list[0].column), (3, 5));
    let styles: Vec<_> = list
        .iter()
        .map(|item| match &item.content {
            Content::Scalar(scalar) => scalar.style,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(styles, [Style::Quoted, Style::Block]);
}

#[test]
fn what_is_no_yaml_is_told_with_its_line() {
    for (text, line, message) in [
        ("a: 1\na: 2\n", 2, "twice, first on line 1"),
        ("1: a\n\"1\": b\n", 2, "twice"),
        ("x: {a: ${b}}\n", 1, "write it on its own line (key: ${b})"),
        ("x:\n  y: {a: 1, b: ${b}, c: 2}\n", 2, "own line"),
        ("x: [${b}]\n", 1, "own line"),
        ("a:\n\t- b\n", 2, "tab"),
        ("a: [1, 2\n", 1, "no YAML"),
        ("a: .inf\n", 1, "quote it"),
        ("~: x\n", 1, "null"),
        ("a: *b\n", 1, "no YAML"),
        ("<<: 3\n", 1, "merges a map"),
        ("a: &a [*a]\n", 1, "itself"),
        ("${workers}: 1\n? [a]\n: 2\n", 2, "list or a map"),
    ] {
        let error = documents(text).unwrap_err();
        assert!(error.message.contains(message), "{text:?} gave {error}");
        assert_eq!(error.line, line, "{text:?} gave {error}");
    }
}

#[test]
fn a_hole_alone_in_block_style_is_text_for_now() {
    assert_eq!(value("a: ${b}\nc: x-${d}-y\n").unwrap(), json!({"a": "${b}", "c": "x-${d}-y"}));
}

#[test]
fn aliases_are_bounded() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let previous = format!("*a{}, ", level - 1).repeat(9);
        bomb.push_str(&format!("a{level}: &a{level} [{previous} x]\n"));
    }
    assert!(documents(&bomb).unwrap_err().message.contains("too much"));
    let mut deep = String::from("a0: &a0 [x]\n");
    for level in 1..500 {
        deep.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
    }
    assert!(documents(&deep).unwrap_err().message.contains("deep"));
}

#[test]
fn depth_and_size_are_bounded() {
    for text in [
        "[".repeat(9000),
        "{a: ".repeat(9000),
        (0..9000).map(|depth| format!("{}a:\n", " ".repeat(depth))).take(1500).collect(),
        format!("{}{}", "[".repeat(9000), "]".repeat(9000)),
    ] {
        let error = documents(&text).unwrap_err();
        assert!(error.message.contains("nest"), "{error}");
    }
    assert!(documents(&"a".repeat(MOST_BYTES + 1)).unwrap_err().message.contains("too many"));
    let most = format!("{}{}", "[".repeat(MOST_DEPTH - 1), "]".repeat(MOST_DEPTH - 1));
    assert!(documents(&most).is_ok());
}

#[test]
fn documents_are_separate_and_empty_ones_dropped() {
    assert_eq!(documents("---\na: 1\n---\n---\n# nothing\n---\nb: 2\n...\n").unwrap().len(), 2);
    assert_eq!(documents("").unwrap().len(), 0);
    assert_eq!(documents("\u{feff}a: 1\n").unwrap().len(), 1);
    assert!(value("a: 1\n---\nb: 2\n").unwrap_err().message.contains("one document"));
}
