#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
use std::fmt::Write as _;

use serde_json::json;

use super::super::facts::Facts;
use super::super::{Completeness, complete, has_status};
use super::*;
use crate::object::Gvk;

fn spec(schema: &Value) -> Value {
    json!({
        "group": "example.com", "scope": "Namespaced", "names": {"kind": "Widget", "plural": "widgets"},
        "versions": [
            {"name": "v1", "schema": {"openAPIV3Schema": schema}, "subresources": {"status": {}}},
            {"name": "v2", "schema": {"openAPIV3Schema": {"type": "object"}}},
        ],
    })
}

fn object_of(fields: &Value) -> Value {
    json!({"type": "object", "properties": fields})
}

/// What a definition in JSON makes of an object.
fn completed(definition: Definition, mut object: Value) -> Value {
    let mut facts = Facts::new(Completeness::Cluster);
    facts.define("widgets.example.com", std::sync::Arc::new(definition));
    complete(&Gvk::new("example.com", "v1", "Widget"), &mut object, &facts);
    object
}

fn parsed(text: &str) -> Definition {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_schema_is_read_from_text_as_from_a_tree() {
    let schema = object_of(&json!({
        "apiVersion": {"type": "string", "description": "skipped"},
        "metadata": {"type": "object"},
        "spec": {
            "description": "what is said of it, at length", "default": {"deep": {"er": [1, -1, 0.5, "x", true, null]}},
            "properties": {
                "size": {"default": 3, "type": "integer", "minimum": 1},
                "port": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]},
                "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
                "parts": {
                    "items": {"type": "object", "properties": {"id": {"type": "string"}}},
                    "type": "array", "x-kubernetes-list-map-keys": ["id"], "x-kubernetes-list-type": "map",
                },
                "more": {"type": "object", "additionalProperties": {"type": "boolean"}},
                "any": {"type": "object", "additionalProperties": true, "nullable": true, "default": null},
                "free": {"x-kubernetes-preserve-unknown-fields": true},
            },
            "type": "object",
        },
    }));
    let tree = Definition::of(&json!({"spec": spec(&schema)})).unwrap();
    assert_eq!(parsed(&spec(&schema).to_string()), tree);
    let object = completed(tree, json!({"metadata": {"name": "a"}}));
    assert_eq!(object["spec"], json!({"deep": {"er": [1, -1, 0.5, "x", true, null]}, "size": 3}));
}

#[test]
fn only_the_versions_that_are_wanted_are_kept() {
    let mut definition = parsed(&spec(&object_of(&json!({}))).to_string());
    definition.keep(|version| version == "v2");
    let mut facts = Facts::new(Completeness::Cluster);
    facts.define("widgets.example.com", std::sync::Arc::new(definition));
    let status = |version: &str| has_status(&Gvk::new("example.com", version, "Widget"), &facts);
    assert_eq!((status("v1"), status("v2")), (None, Some(false)));
}

/// Objects within objects, as text: no tree that deep can be parsed.
fn nested(depth: usize, innermost: &str) -> String {
    let mut text = String::new();
    for _ in 0..depth {
        text.push_str(r#"{"type":"object","properties":{"a":"#);
    }
    text.push_str(innermost);
    text.push_str(&"}}".repeat(depth));
    text
}

fn with_root(root: &str) -> String {
    let mark = "\"here\"";
    spec(&json!("here")).to_string().replacen(mark, root, 1)
}

#[test]
fn threat_54_a_schema_is_read_however_deep_it_is() {
    for depth in [30, 60, 5_000] {
        let definition = parsed(&with_root(&nested(depth, r#"{"type":"string","default":"x"}"#)));
        assert_eq!((definition.unreadable("v1"), definition.unreadable("v2")), (None, None), "{depth}");
        let mut object = json!({"name": "a"});
        for _ in 0..depth.min(30) - 1 {
            object = json!({"a": object});
        }
        let made = completed(definition, json!({"metadata": {"name": "a"}, "a": object["a"]}));
        let innermost = made.pointer(&"/a".repeat(30)) == Some(&json!("x"));
        assert_eq!(innermost, depth == 30, "{depth}: {made}");
    }
}

#[test]
fn threat_54_a_default_that_is_too_deep_is_its_versions_own_trouble() {
    for (depth, expected) in [(20, None), (100, Some(Unreadable::Deep)), (20_000, Some(Unreadable::Deep))] {
        let default = format!("{}1{}", r#"{"a":["#.repeat(depth / 2), "]}".repeat(depth / 2));
        let text = with_root(&format!(r#"{{"type":"object","properties":{{"a":{{"default":{default}}}}}}}"#));
        let definition = parsed(&text);
        assert_eq!((definition.unreadable("v1"), definition.unreadable("v2")), (expected, None), "{depth}");
    }
}

#[test]
fn threat_40_a_schema_that_takes_too_much_memory_is_its_versions_own_trouble() {
    let fields = |count: usize| {
        let mut text = String::from(r#"{"type":"object","properties":{"#);
        for number in 0..count {
            let comma = if number == 0 { "" } else { "," };
            write!(text, r#"{comma}"f{number}":{{"type":"string"}}"#).unwrap();
        }
        with_root(&(text + "}}"))
    };
    let large = |text: &str| parsed(text).unreadable("v1");
    assert_eq!(large(&fields(20_000)), None);
    assert_eq!(large(&fields(65_000)), Some(Unreadable::Large));
    let default = |of: &str| with_root(&format!(r#"{{"type":"object","default":{{"a":{of}}}}}"#));
    assert_eq!(large(&default(&format!("[{}]", vec!["1"; 50_000].join(",")))), None);
    assert_eq!(large(&default(&format!("[{}]", vec!["1"; 700_000].join(",")))), Some(Unreadable::Large));
    assert_eq!(large(&default(&json!("x".repeat(9 << 20)).to_string())), Some(Unreadable::Large));
    // What is skipped counts for nothing.
    let described = object_of(&json!({"a": {"type": "string", "description": "x".repeat(9 << 20)}}));
    assert_eq!(large(&spec(&described).to_string()), None);
}
