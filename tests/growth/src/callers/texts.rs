//! Long texts, held against patterns and against texts of many holes.

use crate::dimension::Dimension;
use crate::world::{Kind, World};
use serde_json::{Map, Value, json};

const TEXTS: &[Kind] = &Kind::ALL;

/// All of these.
pub const ALL: &[Dimension] = &[
    Dimension::of("text-of-holes", [8, 15], 1_900, |world, size| holes(world, size, 20)).on(TEXTS),
    Dimension::of("text-length", [20_000, 1_500], 900_000, |world, size| holes(world, 3, size / 3)).on(TEXTS),
    Dimension::of("text-of-one-hole", [20_000, 20_000], 900_000, |world, size| {
        world.declare("whole", "{type: string, pattern: \"[a-z]*\"}");
        world.set("/metadata/annotations", "whole", json!("${whole}"), json!("x".repeat(size)));
    })
    .on(TEXTS),
    Dimension::of("text-of-free-hole", [56_250, 56_250], 900_000, |world, size| {
        world.declare("free", "{type: string}");
        world.set("/metadata/annotations", "free", json!("<${free}>"), json!(format!("<{}>", "x".repeat(size))));
    })
    .on(TEXTS),
    // Nearly a text of holes: only its end is another.
    Dimension::of("text-that-ends-wrong", [5_000, 1_000], 900_000, |world, size| {
        holes(world, 3, size / 3);
        let text = world.object["metadata"]["annotations"]["holes"].as_str().unwrap_or_default().to_owned();
        world.set("/metadata/annotations", "holes", None, json!(text + ":x"));
    })
    .on(TEXTS)
    .callers(),
    // A part that can be left at each byte, so that many places are held at once.
    Dimension::of("text-of-many-places", [24, 13], 600, |world, size| {
        world.declare("places", format!("{{type: string, pattern: \"(a|b)*a(a|b){{{}}}\"}}", size.ilog2()));
        world.declare("after", "{type: string, pattern: \"[a-z]\"}");
        let text = "ab".repeat(size * 20);
        world.set(
            "/metadata/annotations",
            "places",
            json!("${places}.${after}"),
            json!(format!("{text}aaaaaaaaaaaa.x")),
        );
    })
    .on(TEXTS),
    Dimension::of("text-of-one-hole-often", [130, 1_100], 50_000, |world, size| {
        world.declare("often", "{type: string, pattern: \"[a-z]*\"}");
        let (wanted, got) = ("${often}-".repeat(size), "abcdefgh-".repeat(size));
        world.set("/metadata/annotations", "often", json!(wanted), json!(got));
    })
    .on(TEXTS),
    Dimension::of("texts-of-two-holes", [8, 22], 10_000, |world, size| {
        let schema = "{type: string, pattern: \"[a-z]{0,9}\"}";
        world.declare("left", schema);
        world.declare("right", schema);
        for at in 0..size {
            let (wanted, got) = (format!("${{left}}-{at}-${{right}}"), format!("abc-{at}-def"));
            world.set("/metadata/annotations", &format!("text{at}"), json!(wanted), json!(got));
        }
    })
    .on(TEXTS),
    Dimension::of("duration-length", [5_000, 2_300], 900_000, |world, size| {
        world.declare("time", "{type: string, format: duration}");
        world.set("/metadata/annotations", "time", json!("${time}"), json!("0".repeat(size) + "s"));
    })
    .on(TEXTS)
    .callers(),
    Dimension::of("instruction-length", [5_000, 12_500], 200_000, |world, size| {
        world.declare("lifetime", "{type: string, format: duration, maximum: 10m}");
        world.set("/metadata/annotations", "fledged.io/duration", json!("${lifetime}"), json!("0".repeat(size) + "1s"));
    })
    .on(TEXTS)
    .callers(),
    Dimension::of("name-length", [3_700, 3_700], 60_000, |world, size| {
        world.declare("named", "{type: string, pattern: \"[a-z]*\"}");
        world.set("/metadata", "name", json!("large-${named}"), json!(format!("large-{}", "x".repeat(size))));
    })
    .on(TEXTS)
    .callers(),
    Dimension::of("map-of-free-texts", [1_200, 170], 40_000, |world, size| {
        world.declare("entries", "{type: object, additionalProperties: {type: string}}");
        let shown: Map<_, _> = (0..size).map(|at| (format!("k{at}"), json!("v"))).collect();
        world.set("/metadata", "annotations", crate::world::hole("entries"), Value::Object(shown));
    })
    .on(TEXTS),
];

/// A text of holes with a separator between each two, and what it stands for.
fn holes(world: &mut World, holes: usize, length: usize) {
    world.declare_all("hole", holes, "{type: string, pattern: \"[a-z]*\"}");
    let wanted: Vec<_> = (0..holes).map(|at| format!("${{hole{at}}}")).collect();
    let got: Vec<_> = (0..holes).map(|_| "x".repeat(length)).collect();
    world.set("/metadata/annotations", "holes", json!(wanted.join(":")), json!(got.join(":")));
}
