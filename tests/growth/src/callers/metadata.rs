//! Labels, annotations, managed fields, owners.

use crate::dimension::Dimension;
use crate::world::{World, hole};
use serde_json::{Map, Value, json};

/// All of these.
pub const ALL: &[Dimension] = &[
    Dimension::of("labels", [17, 28], 40_000, |world, size| {
        for at in 0..size {
            world.set("/metadata/labels", &format!("l{at}"), json!("v"), json!("v"));
        }
    })
    .anywhere(),
    Dimension::of("labels-with-holes", [8, 18], 1_900, |world, size| {
        let schema = world.values.schema();
        world.declare_all("label", size, &schema);
        for at in 0..size {
            let value = world.values.value(at);
            world.set("/metadata/labels", &format!("l{at}"), json!(format!("${{label{at}}}")), json!(value));
        }
    })
    .anywhere(),
    Dimension::of("labels-of-one-hole", [16, 18], 20_000, |world, size| {
        let schema = world.values.schema();
        world.declare("label", schema);
        let value = world.values.value(0);
        for at in 0..size {
            let (wanted, got) = (format!("x-${{label}}-{at}"), format!("x-{value}-{at}"));
            world.set("/metadata/labels", &format!("l{at}"), json!(wanted), json!(got));
        }
    })
    .anywhere(),
    // Every other value is another than the one that the first shows.
    Dimension::of("labels-that-disagree", [17, 17], 20_000, |world, size| {
        world.declare("label", "{type: string, pattern: \"[a-z0-9]*\"}");
        for at in 0..size {
            world.set("/metadata/labels", &format!("l{at}"), json!("${label}"), json!(format!("v{}", at % 2)));
        }
    })
    .anywhere(),
    // One half does not fit the pattern, the other is another literal.
    Dimension::of("labels-that-misfit", [18, 22], 20_000, |world, size| {
        world.declare("label", "{type: string, pattern: \"[a-z]*\"}");
        for at in 0..size / 2 {
            world.set("/metadata/labels", &format!("a{at}"), json!("${label}"), json!(at.to_string()));
            world.set("/metadata/labels", &format!("l{at}"), json!("one"), json!("other"));
        }
    })
    .anywhere(),
    Dimension::of("labels-of-a-map", [2_000, 140], 40_000, |world, size| {
        let schema = world.values.schema();
        world.declare("labels", format!("{{type: object, additionalProperties: {schema}}}"));
        let shown: Map<_, _> = (0..size).map(|at| (format!("l{at}"), world.values.value(at).into())).collect();
        world.set("/metadata", "labels", hole("labels"), Value::Object(shown));
    })
    .anywhere(),
    Dimension::of("labels-unasked", [500, 120], 40_000, |world, size| {
        for at in 0..size {
            world.set("/metadata/labels", &format!("u{at}"), None, json!("v"));
        }
    })
    .anywhere()
    .callers(),
    Dimension::of("annotations-unasked", [500, 130], 40_000, |world, size| {
        for at in 0..size {
            world.set("/metadata/annotations", &format!("u{at}"), None, json!("v"));
        }
    })
    .anywhere()
    .callers(),
    Dimension::of("annotation-length", [15_625, 15_625], 250_000, |world, size| {
        world.set("/metadata/annotations", "long", None, json!("x".repeat(size)));
    })
    .anywhere()
    .callers(),
    Dimension::of("managed-fields", [500, 1_250], 20_000, |world, size| {
        let fields: Map<_, _> = (0..size).map(|at| (format!("f:f{at}"), json!({}))).collect();
        let entry = json!({"manager": "eod", "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": fields});
        world.push("/metadata/managedFields", None, entry);
    })
    .anywhere()
    .callers(),
    Dimension::of("owners", [500, 500], 8_000, |world, size| {
        for at in 0..size {
            let owner = json!({"apiVersion": "v1", "kind": "Pod", "name": format!("p{at}"), "uid": format!("u{at}")});
            world.push("/metadata/ownerReferences", None, owner);
        }
    })
    .anywhere()
    .callers(),
    Dimension::of("last-applied", [17, 38], 8_000, |world, size| {
        for at in 0..size {
            world.set("/metadata/labels", &format!("l{at}"), json!("v"), json!("v"));
        }
        let mut applied = world.object.clone();
        applied["metadata"]["annotations"] = json!({});
        let key = "kubectl.kubernetes.io/last-applied-configuration";
        world.set("/metadata/annotations", key, None, json!(applied.to_string()));
    })
    .anywhere(),
    Dimension::of("optional-absent", [8, 8], 1_900, |world, size| optional(world, size, |_| false)).anywhere(),
    Dimension::of("optional-present", [8, 8], 1_900, |world, size| optional(world, size, |_| true)).anywhere(),
    Dimension::of("optional-half", [8, 8], 1_900, |world, size| optional(world, size, |at| at % 2 == 0)).anywhere(),
    // Where a field is optional and has a default, that it is absent is tried.
    Dimension::of("optional-defaults", [1, 1], 8, |world, size| {
        let fields = [
            "restartPolicy",
            "dnsPolicy",
            "schedulerName",
            "terminationGracePeriodSeconds",
            "enableServiceLinks",
            "preemptionPolicy",
            "hostNetwork",
            "priority",
        ];
        for (at, field) in fields.into_iter().take(size).enumerate() {
            let kind = ["string", "string", "string", "integer", "boolean", "string", "boolean", "integer"][at];
            world.declare(&format!("default{at}"), format!("{{type: {kind}, optional: true}}"));
            let place = world.pod("");
            world.set(&place, field, hole(&format!("default{at}")), None);
        }
    }),
];

fn optional(world: &mut World, size: usize, shown: impl Fn(usize) -> bool) {
    world.declare_all("optional", size, "{type: string, pattern: \"[a-z0-9]*\", optional: true}");
    for at in 0..size {
        let value = shown(at).then(|| json!("v"));
        world.set("/metadata/labels", &format!("o{at}"), json!(format!("${{optional{at}}}")), value);
    }
}
