//! Environment variables: a list whose elements are told apart by their names, and whose order may matter.

use crate::dimension::Dimension;
use crate::world::{World, hole};
use serde_json::{Value, json};

/// All of these.
pub const ALL: &[Dimension] = &[
    Dimension::of("env", [8, 22], 20_000, |world, size| literals(world, size, Order::AsWritten)),
    Dimension::of("env-reversed", [8, 18], 20_000, |world, size| literals(world, size, Order::Reversed)),
    Dimension::of("env-that-refers", [8, 16], 20_000, |world, size| {
        literals(world, size, Order::Reversed);
        let place = world.container("/env");
        let variable = json!({"name": "REFERS", "value": "$(E0)"});
        world.push(&place, variable.clone(), variable);
    }),
    Dimension::of("env-twice", [1_200, 13], 20_000, |world, size| {
        many(world, size, Order::AsWritten);
        let place = world.container("/env");
        let twice = variable("X", size.saturating_sub(1), "again");
        world.push(&place, None, twice);
    }),
    Dimension::of("env-all-twice", [1_200, 13], 20_000, |world, size| {
        many(world, size / 2, Order::AsWritten);
        many(world, size / 2, Order::Reversed);
    }),
    Dimension::of("env-of-a-list", [1_200, 14], 20_000, |world, size| many(world, size, Order::AsWritten)),
    Dimension::of("env-around-a-list", [8, 8], 10_000, |world, size| {
        literals(world, size, Order::AsWritten);
        many(world, size, Order::Reversed);
        let place = world.container("/env");
        for at in 0..size {
            world.push(&place, variable("Z", at, "v"), variable("Z", at, "v"));
        }
    }),
    // One value in the list fits no schema.
    Dimension::of("env-misfit", [1_200, 15], 20_000, |world, size| {
        many(world, size, Order::AsWritten);
        let place = world.container("/env");
        world.push(&place, None, json!({"name": "lower", "value": "v"}));
    }),
    Dimension::of("env-all-misfit", [87, 21], 20_000, |world, size| {
        many(world, 1, Order::AsWritten);
        let place = world.container("/env");
        for at in 0..size {
            world.push(&place, None, json!({"name": format!("lower{at}"), "value": "v"}));
        }
    }),
    Dimension::of("env-unasked", [900, 72], 20_000, |world, size| {
        let place = world.container("/env");
        for at in 0..size {
            world.push(&place, None, variable("U", at, "v"));
        }
    })
    .callers(),
    Dimension::of("env-names-with-holes", [8, 8], 8_000, |world, size| rows(world, size, size)),
    // Few elements with holes in their keys, many values that fit each.
    Dimension::of("env-values-for-rows", [937, 15], 15_000, |world, size| rows(world, 12, size)),
    Dimension::of("env-rows-for-values", [8, 10], 8_000, |world, size| rows(world, size, 12)),
    // The hole of the names is bound by the values of others.
    Dimension::of("env-rows-that-share", [8, 8], 4_000, |world, size| {
        shared(world, size, "[a-z]+", |at| format!("n{}", at % 7));
    }),
    Dimension::of("env-rows-of-own-holes", [30, 8], 1_900, |world, size| {
        world.declare_all("own", size, "{type: string, pattern: \"[a-z0-9]*\"}");
        let place = world.container("/env");
        for at in 0..size {
            let name = format!("${{own{at}}}");
            world.push(&place, json!({"name": name, "value": format!("literal{at}")}), variable("v", at, "other"));
        }
    })
    .callers(),
    Dimension::of("env-rows-that-chain", [30, 8], 4_000, |world, size| {
        // Each element fits the value before its own as well: all must move by one for the last to find its own.
        world.declare("chain", "{type: string, pattern: \"[0-9]*\"}");
        let place = world.container("/env");
        for at in 0..size {
            let row = json!({"name": format!("N${{chain}}"), "value": format!("v{at}")});
            world.push(&place, row, json!({"name": format!("N{at}"), "value": format!("v{}", size - 1 - at)}));
        }
    })
    .callers(),
    // What tells these elements apart stands deep in them.
    Dimension::of("env-rows-of-references", [30, 8], 1_900, |world, size| {
        world.declare_all("reference", size, "{type: string, pattern: \"[a-z0-9]*\"}");
        let place = world.container("/env");
        for at in 0..size {
            let row = |name: String, from: String| json!({"name": name, "valueFrom": {"secretKeyRef": {"name": from, "key": "k"}}});
            world.push(&place, row(format!("${{reference{at}}}"), format!("s{at}")), row(format!("v{at}"), "other".into()));
        }
    })
    .callers(),
    // Names with holes, in another order, each value a hole of its own.
    Dimension::of("env-rows-moved", [8, 8], 1_900, |world, size| {
        world.declare("app", "{type: string, pattern: \"[a-z0-9]+\"}");
        world.declare_all("own", size, "{type: string}");
        let place = world.container("/env");
        for at in 0..size {
            let row = own_row(at);
            world.push(&place, row, variable("a_", size - 1 - at, "v"));
        }
    })
    .callers(),
    Dimension::of("env-rows-optional", [8, 8], 1_900, |world, size| {
        world.declare("app", "{type: string, pattern: \"[a-z0-9]+\"}");
        world.declare_all("own", size, "{type: string, optional: true}");
        let place = world.container("/env");
        for at in 0..size {
            let row = own_row(at);
            world.push(&place, row, (at % 2 == 0).then(|| variable("a_", at, "v")));
        }
    })
    .callers(),
    // Every element is the same but for its value.
    Dimension::of("env-other-values", [8, 20], 20_000, |world, size| {
        let place = world.container("/env");
        for at in 0..size {
            world.push(&place, variable("O", at, "v"), variable("O", at, "w"));
        }
    })
    .callers(),
    Dimension::of("env-other-names", [8, 20], 20_000, |world, size| {
        let place = world.container("/env");
        for at in 0..size {
            world.push(&place, variable("O", at, "v"), variable("P", at, "v"));
        }
    })
    .callers(),
    Dimension::of("whole-elements", [8, 30], 1_000, |world, size| {
        let place = world.pod("/volumes");
        let schema = |at| {
            format!(
                "{{type: object, properties: {{name: {{type: string, enum: [v{at}]}}, emptyDir: {{type: object, \
                 additionalProperties: {{type: string}}}}}}}}"
            )
        };
        for at in 0..size {
            world.declare(&format!("whole{at}"), schema(at));
            world.push(&place, hole(&format!("whole{at}")), json!({"name": format!("v{at}"), "emptyDir": {}}));
        }
    }),
];

enum Order {
    AsWritten,
    Reversed,
}

/// A row of a template whose name says `app`, and whose value is a hole of its own.
fn own_row(at: usize) -> Value {
    json!({"name": format!("${{app}}_{at}"), "value": format!("${{own{at}}}")})
}

fn variable(prefix: &str, at: usize, value: &str) -> Value {
    json!({"name": format!("{prefix}{at}"), "value": value})
}

fn literals(world: &mut World, size: usize, order: Order) {
    let place = world.container("/env");
    for at in 0..size {
        let other = if matches!(order, Order::Reversed) { size - 1 - at } else { at };
        world.push(&place, variable("E", at, "v"), variable("E", other, "v"));
    }
}

/// One hole for all of them.
fn many(world: &mut World, size: usize, order: Order) {
    let place = world.container("/env");
    if !world.parameters.iter().any(|(name, _)| name == "variables") {
        let value = world.values.schema();
        let name = "{type: string, pattern: \"[A-Z]+[0-9]+\"}";
        let item = format!("{{type: object, properties: {{name: {name}, value: {value}}}}}");
        world.declare("variables", format!("{{type: array, items: {item}}}"));
        world.push(&place, hole("variables"), None);
    }
    for at in 0..size {
        let at = if matches!(order, Order::Reversed) { size - 1 - at } else { at };
        let value = world.values.value(at);
        world.push(&place, None, variable("X", at, &value));
    }
}

/// Elements whose names have a hole and end apart, and values that fit one of them each.
fn rows(world: &mut World, elements: usize, values: usize) {
    world.declare("app", "{type: string, pattern: \"[a-z0-9]+\"}");
    let place = world.container("/env");
    for at in 0..elements {
        world.push(&place, json!({"name": format!("${{app}}_{at}"), "value": "x"}), None);
    }
    for at in 0..values {
        let end = at % elements.max(1);
        world.push(&place, None, json!({"name": format!("a{}_{end}", at / elements.max(1)), "value": "x"}));
    }
}

fn shared(world: &mut World, size: usize, pattern: &str, name: impl Fn(usize) -> String) {
    world.declare("app", format!("{{type: string, pattern: \"{pattern}\"}}"));
    world.declare("end", "{type: string, pattern: \"[0-9]+\"}");
    let place = world.container("/env");
    for at in 0..size {
        let row = json!({"name": format!("${{app}}-${{end}}-{at}"), "value": "${app}${end}"});
        world.push(
            &place,
            row,
            json!({"name": format!("{}-{}-{at}", name(at).replace(char::is_numeric, "x"), at % 5), "value": "nx1"}),
        );
    }
}
