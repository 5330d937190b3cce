//! Texts with holes, and elements with holes in their keys, as an author writes them.

use crate::dimension::Dimension;
use crate::world::{World, hole};
use serde_json::json;

/// All of these.
pub const ALL: &[Dimension] = &[
    Dimension::of("empty-holes", [3, 3], 150, empty_holes).anywhere().authors(),
    Dimension::of("given-holes", [24, 24], 2_000, given_holes).anywhere().authors(),
    Dimension::of("same-hole", [110, 90], 50_000, same_hole).anywhere().authors(),
    Dimension::of("many-texts", [8, 90], 20_000, many_texts).anywhere().authors(),
    Dimension::of("equal-texts", [15, 300], 20_000, equal_texts).anywhere().authors(),
    Dimension::of("keys-apart", [10, 90], 20_000, keys_apart).authors(),
    Dimension::of("keys-of-enums", [8, 90], 10_000, keys_of_enums).authors(),
    Dimension::of("keys-of-texts", [8, 90], 10_000, keys_of_texts).authors(),
    Dimension::of("keys-beside-lists", [12, 90], 10_000, keys_beside_lists).authors(),
    Dimension::of("lists-apart", [19, 90], 10_000, lists_apart).authors(),
    Dimension::of("literals", [17, 500], 30_000, literals).anywhere().authors(),
    Dimension::of("literal-length", [1_600, 20_000], 900_000, literal_length).anywhere().authors(),
    Dimension::of("unknown-holes", [69, 500], 100_000, unknown_holes).anywhere().authors(),
    Dimension::of("open-holes", [150, 2_000], 400_000, open_holes).anywhere().authors(),
];

/// A text of holes each of which may be empty, no two of which can be mistaken for each other.
fn empty_holes(world: &mut World, size: usize) {
    let letter = |at: usize| char::from(b'a' + (at % 26) as u8);
    for at in 0..size {
        let mark = format!("{}{}", letter(at / 26), letter(at));
        world.declare(&format!("empty{at}"), format!(r#"{{type: string, pattern: "({mark}[0-9]{{0,20}})?"}}"#));
    }
    let text: String = (0..size).map(|at| format!("${{empty{at}}}")).collect();
    world.set("/metadata/annotations", "empty", json!(text), None);
}

fn given_holes(world: &mut World, size: usize) {
    world.declare("given", r#"{type: string, pattern: "[A-Z]+"}"#);
    let text = format!("${{given}}{}${{given}}", "-${master.name}-${pod.ip}".repeat(size));
    world.set("/metadata/annotations", "given", json!(text), None);
}

fn same_hole(world: &mut World, size: usize) {
    let schema = world.values.schema();
    world.declare("same", schema);
    world.set("/metadata/annotations", "same", json!("${same}, ".repeat(size)), None);
}

/// Texts of two holes each, all of which differ.
fn many_texts(world: &mut World, size: usize) {
    world.declare("left", "{type: string, pattern: \"[a-z]{0,9}\"}");
    world.declare("right", "{type: string, pattern: \"[a-z]{0,9}\"}");
    for at in 0..size {
        world.set("/metadata/annotations", &format!("text{at}"), json!(format!("${{left}}-{at}-${{right}}")), None);
    }
}

/// The same text of two holes, many times.
fn equal_texts(world: &mut World, size: usize) {
    world.declare("left", "{type: string, pattern: \"[a-z]{0,9}\"}");
    world.declare("right", "{type: string, pattern: \"[a-z]{0,9}\"}");
    for at in 0..size {
        world.set("/metadata/annotations", &format!("text{at}"), json!("${left}-${right}"), None);
    }
}

fn variables(world: &mut World, size: usize, name: impl Fn(usize) -> String) {
    let place = world.container("/env");
    for at in 0..size {
        world.push(&place, json!({"name": name(at), "value": "x"}), None);
    }
}

/// Variables with a hole in their names, which differ by their ends.
fn keys_apart(world: &mut World, size: usize) {
    world.declare("app", "{type: string, pattern: \"[a-z]+\"}");
    variables(world, size, |at| format!("${{app}}_{at:05}"));
}

/// Variables whose names are one of two, each another two.
fn keys_of_enums(world: &mut World, size: usize) {
    let parameters = size.min(1_900);
    for at in 0..parameters {
        world.declare(&format!("key{at}"), format!("{{type: string, enum: [A{at}, B{at}]}}"));
    }
    variables(world, parameters, |at| format!("${{key{at}}}"));
}

/// Variables whose names have two holes, beside as many literal ones.
fn keys_of_texts(world: &mut World, size: usize) {
    world.declare("app", "{type: string, pattern: \"[a-z]+\"}");
    world.declare("part", "{type: string, pattern: \"[a-z]+\"}");
    variables(world, size / 2, |at| format!("${{app}}_{at:05}_${{part}}_{at:05}"));
    variables(world, size - size / 2, |at| format!("LITERAL{at}"));
    let place = world.container("/env");
    for at in 0..size / 2 {
        world.push(&place, json!({"name": format!("VALUE{at}"), "value": "${app}"}), None);
    }
}

/// Variables with holes in their names beside a list of variables.
fn keys_beside_lists(world: &mut World, size: usize) {
    world.declare("app", "{type: string, pattern: \"[a-z]+\"}");
    let item = r#"{type: object, properties: {name: {type: string, pattern: "[A-Z]+"}, value: {type: string}}}"#;
    world.declare("more", format!("{{type: array, items: {item}}}"));
    variables(world, size, |at| format!("${{app}}_{at:05}"));
    let place = world.container("/env");
    world.push(&place, hole("more"), None);
}

/// Lists of arguments with a literal between each two, which neither admits.
fn lists_apart(world: &mut World, size: usize) {
    world.declare("more", "{type: array, items: {type: string, pattern: \"[a-z]+\"}}");
    let place = world.container("/args");
    for at in 0..size {
        world.push(&place, hole("more"), None);
        world.push(&place, json!(format!("--{at}")), None);
    }
}

fn literals(world: &mut World, size: usize) {
    for at in 0..size {
        world.set("/metadata/annotations", &format!("literal{at}"), json!(format!("value {at}")), None);
    }
}

fn literal_length(world: &mut World, size: usize) {
    world.set("/metadata/annotations", "long", json!("a b: ".repeat(size / 5)), None);
}

/// Mentions of what is declared nowhere, each nearly a parameter's name.
fn unknown_holes(world: &mut World, size: usize) {
    world.declare_all("known-name-", 40, "{type: boolean}");
    world.set("/metadata/annotations", "unknown", json!("${knwn-nam-1} ".repeat(size)), None);
}

fn open_holes(world: &mut World, size: usize) {
    world.set("/metadata/annotations", "open", json!("${".repeat(size)), None);
}
