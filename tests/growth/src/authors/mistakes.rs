//! What is wrong many times: each mistake is told with its line, or counted.

use crate::dimension::Dimension;
use crate::world::{Kind, World, hole};
use serde_json::json;

/// All of these.
pub const ALL: &[Dimension] = &[
    mistake("wrong-parameters", [12, 90], 20_000, |world, size| {
        world
            .parameters
            .extend((0..size.min(2_000)).map(|at| (format!("wrong{at}"), format!("{{type: strange{at}}}"))));
    }),
    mistake("wrong-keywords", [24, 90], 50_000, |world, size| {
        let words: Vec<_> = (0..size).map(|at| format!("word{at}: x")).collect();
        world.declare("wrong", format!("{{type: string, {}}}", words.join(", ")));
    }),
    mistake("wrong-enum", [52, 90], 50_000, |world, size| {
        let all: Vec<_> = (0..size).map(|at| at.to_string()).collect();
        world.declare("wrong", format!("{{type: string, enum: [{}]}}", all.join(", ")));
    }),
    mistake("enum-of-branches", [8, 30], 5_000, |world, size| {
        let texts: Vec<_> = (0..size).map(|at| format!("b{at}")).collect();
        let branches: Vec<_> = texts.iter().map(|text| format!("{{type: string, pattern: {text}}}")).collect();
        world.declare("branched", format!("{{enum: [{}], oneOf: [{}]}}", texts.join(", "), branches.join(", ")));
    }),
    mistake("wrong-branches", [16, 90], 20_000, |world, size| {
        let branches: Vec<_> = (0..size).map(|_| "{type: strange}".to_owned()).collect();
        world.declare("wrong", format!("{{oneOf: [{}]}}", branches.join(", ")));
    }),
    mistake("holes-in-keys", [27, 90], 20_000, |world, size| {
        world.declare("key", "{type: string}");
        for at in 0..size {
            world.set("/data", &format!("k{at}${{key}}"), json!("x"), None);
        }
    }),
    mistake("reserved-keys", [24, 90], 20_000, |world, size| {
        world.declare("key", "{type: string}");
        for at in 0..size {
            world.set("/metadata/labels", &format!("fledged.io/k{at}"), hole("key"), None);
        }
    }),
    mistake("secret-texts", [30, 90], 50_000, |world, size| {
        for at in 0..size {
            world.set("/stringData", &format!("k{at}"), json!(1), None);
        }
    })
    .on(&[Kind::Secret]),
    mistake("accounts-with-holes", [17, 30], 5_000, |world, size| {
        world.declare("account", "{type: string}");
        for _ in 0..size {
            world.push("/spec/list", json!({"serviceAccountName": "${account}"}), None);
        }
    })
    .on(&[Kind::Custom]),
    mistake("structures-in-texts", [24, 90], 20_000, |world, size| {
        world.declare("structure", "{type: array, items: {type: string}}");
        for at in 0..size {
            world.set("/metadata/annotations", &format!("k{at}"), json!("x ${structure}"), None);
        }
    }),
    mistake("ambiguous-texts", [17, 30], 20_000, |world, size| {
        world.declare("one", "{type: string, pattern: \"[a-z]*\"}");
        world.declare("two", "{type: string, pattern: \"[a-z]*\"}");
        for at in 0..size {
            world.set("/metadata/annotations", &format!("k{at}"), json!(format!("{at}${{one}}${{two}}")), None);
        }
    }),
    mistake("short-booleans", [86, 90], 50_000, |world, size| {
        world.keys.push(("short.yaml".into(), format!("k:\n{}", "- yes\n".repeat(size))));
    }),
    mistake("no-manifests", [300, 90], 50_000, |world, size| {
        world.keys.push(("none.yaml".into(), "---\nx\n".repeat(size.min(1_000))));
    }),
    mistake("wrong-keys", [15, 30], 20_000, |world, size| {
        world.keys.extend((0..size).map(|at| (format!("wrong{at}.yaml"), "x: [".to_owned())));
    }),
];

const fn mistake(name: &'static str, bases: [usize; 2], most: usize, apply: fn(&mut World, usize)) -> Dimension {
    Dimension::of(name, bases, most, apply).anywhere().authors()
}
