//! The schemas of parameters. Each decides on what the holes of other dimensions admit, and stands in one text itself.

use crate::dimension::Dimension;
use crate::schema::Form;
use crate::world::World;

/// All of these.
pub const ALL: &[Dimension] = &[
    Dimension::of("value-length", [2_000, 8_000], 900_000, |world, size| world.values.length = size)
        .anywhere()
        .callers(),
    Dimension::of("enum", [47, 2_000], 100_000, |world, size| form(world, Form::Enum(size))).anywhere(),
    Dimension::of("branches", [8, 8], 20_000, |world, size| form(world, Form::Branches(size))).anywhere(),
    Dimension::of("counted", [312, 108], 5_000, |world, size| form(world, Form::Counted(size))).anywhere(),
    Dimension::of("tangled", [6, 6], 2_000, |world, size| form(world, Form::Tangled(size))).anywhere(),
    Dimension::of("pattern-length", [256, 256], 4_096, |world, size| form(world, Form::Long(size))).anywhere(),
    Dimension::of("nested-one-of", [1, 1], 15, |world, size| form(world, Form::Nested(size))).anywhere(),
    Dimension::of("images", [21, 1_200], 20_000, |world, size| form(world, Form::Images(size))).anywhere(),
    Dimension::of("parameters", [8, 125], 2_000, unused).anywhere().authors(),
    Dimension::of("properties", [8, 30], 20_000, properties).anywhere(),
    Dimension::of("schema-depth", [1, 1], 15, depth).anywhere(),
    Dimension::of("generated", [8, 29], 1_000, generated).on(&[crate::world::Kind::Secret]),
];

fn form(world: &mut World, form: Form) {
    world.values.form = form;
    let (schema, value) = (world.values.schema(), world.values.value(0));
    world.declare("formed", schema);
    world.set("/metadata/annotations", "formed", world_text("${formed}"), world_text(&value));
}

fn world_text(text: &str) -> serde_json::Value {
    text.into()
}

fn unused(world: &mut World, size: usize) {
    let schema = world.values.schema();
    world.declare_all("unused", size, &schema);
}

/// A map with many properties, all of which the object shows.
fn properties(world: &mut World, size: usize) {
    let schema = world.values.schema();
    let all: Vec<_> = (0..size).map(|at| format!("k{at}: {schema}")).collect();
    world.declare("properties", format!("{{type: object, properties: {{{}}}}}", all.join(", ")));
    let shown: serde_json::Map<_, _> = (0..size).map(|at| (format!("k{at}"), world.values.value(at).into())).collect();
    world.set("/metadata", "labels", crate::world::hole("properties"), serde_json::Value::Object(shown));
}

/// Lists within lists. No field takes them, so only the parameter is read.
fn depth(world: &mut World, size: usize) {
    let schema = (0..size).fold(world.values.schema(), |inner, _| format!("{{type: array, items: {inner}}}"));
    world.declare("deep", schema);
}

fn generated(world: &mut World, size: usize) {
    world.declare_all("generated", size.min(1_000), "{type: string, generated: {length: 64}}");
    for at in 0..size.min(1_000) {
        world.set("/stringData", &format!("g{at}"), world_text(&format!("${{generated{at}}}")), None);
    }
}
