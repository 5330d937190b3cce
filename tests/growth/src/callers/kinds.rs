//! Data of ConfigMaps and Secrets, and custom resources, of which no shape or a described one is known.

use crate::dimension::Dimension;
use crate::world::{Kind, World, hole};
use serde_json::{Map, Value, json};

/// All of these.
pub const ALL: &[Dimension] = &[
    Dimension::of("data", [21, 57], 40_000, |world, size| {
        for at in 0..size {
            world.set("/data", &format!("k{at}"), json!("v"), json!("v"));
        }
    })
    .on(&[Kind::ConfigMap]),
    Dimension::of("data-unasked", [900, 390], 40_000, |world, size| {
        for at in 0..size {
            world.set("/data", &format!("k{at}"), None, json!("v"));
        }
    })
    .on(&[Kind::ConfigMap, Kind::Secret])
    .callers(),
    Dimension::of("secret-data", [21, 76], 20_000, |world, size| {
        for at in 0..size {
            world.set("/stringData", &format!("k{at}"), json!("value"), None);
            world.set("/data", &format!("k{at}"), None, json!("dmFsdWU="));
        }
    })
    .on(&[Kind::Secret]),
    Dimension::of("secret-holes", [8, 48], 1_900, |world, size| {
        let schema = "{type: string, pattern: \"[a-z]*\", sensitive: true}";
        world.declare_all("secret", size, schema);
        for at in 0..size {
            world.set("/stringData", &format!("k{at}"), json!(format!("${{secret{at}}}")), None);
            world.set("/data", &format!("k{at}"), None, json!("dmFsdWU="));
        }
    })
    .on(&[Kind::Secret]),
    Dimension::of("secret-length", [56_250, 5_300], 900_000, |world, size| {
        world.declare("secret", "{type: string, sensitive: true}");
        world.set("/stringData", "long", json!("${secret}"), None);
        world.set("/data", "long", None, json!("QUFB".repeat(size / 4)));
    })
    .on(&[Kind::Secret]),
    Dimension::of("fields", [22, 207], 30_000, |world, size| {
        for at in 0..size {
            world.set("/spec", &format!("f{at}"), json!(at), json!(at));
        }
    })
    .on(&[Kind::Custom]),
    Dimension::of("fields-unasked", [900, 330], 30_000, |world, size| {
        for at in 0..size {
            world.set("/spec", &format!("f{at}"), None, json!(at));
        }
    })
    .on(&Kind::ALL)
    .callers(),
    Dimension::of("depth", [7, 7], 100, |world, size| {
        let nested = (0..size).fold(json!({"leaf": 1}), |inner, _| json!({"deeper": inner, "beside": 1}));
        world.set("/spec", "nested", nested.clone(), nested);
    })
    .on(&[Kind::Custom]),
    Dimension::of("depth-unasked", [6, 6], 100, |world, size| {
        let nested = (0..size).fold(json!({"leaf": 1}), |inner, _| json!({"deeper": inner, "beside": [1]}));
        world.set("/spec", "nested", None, nested);
    })
    .on(&Kind::ALL)
    .callers(),
    Dimension::of("depth-with-holes", [6, 6], 90, |world, size| {
        world.declare("leaf", "{type: string, pattern: \"[a-z]*\"}");
        let nested = |leaf: &str| {
            (0..size).fold(json!({"leaf": leaf}), |inner, _| json!({"deeper": [inner], "beside": leaf}))
        };
        world.set("/spec", "nested", nested("${leaf}"), nested("x"));
    })
    .on(&[Kind::Custom]),
    Dimension::of("elements", [14, 120], 30_000, |world, size| {
        for at in 0..size {
            world.push("/spec/list", json!({"name": format!("n{at}")}), json!({"name": format!("n{at}")}));
        }
    })
    .on(&[Kind::Custom]),
    Dimension::of("elements-moved", [300, 60], 30_000, |world, size| {
        world.push("/spec/list", None, json!({"name": "first"}));
        for at in 0..size {
            world.push("/spec/list", json!({"name": format!("n{at}")}), json!({"name": format!("n{at}")}));
        }
    })
    .on(&[Kind::Custom])
    .callers(),
    Dimension::of("described-fields", [12, 42], 5_000, |world, size| {
        let field = json!({"type": "object", "properties": {"a": {"type": "string", "default": "x"}, "b": {"type": "integer"}}});
        describe(world, (0..size).map(|at| (format!("d{at}"), field.clone())).collect());
        for at in 0..size {
            world.set("/spec", &format!("d{at}"), json!({"b": 1}), json!({"a": "x", "b": 1}));
        }
    })
    .on(&[Kind::Custom]),
    Dimension::of("described-sets", [40, 78], 30_000, |world, size| {
        let list = json!({"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"});
        describe(world, Map::from_iter([("set".to_owned(), list)]));
        for at in 0..size {
            world.push("/spec/set", json!(format!("s{at}")), json!(format!("s{}", size - 1 - at)));
        }
    })
    .on(&[Kind::Custom]),
    Dimension::of("described-set-holes", [60, 8], 1_900, |world, size| {
        let list = json!({"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"});
        describe(world, Map::from_iter([("set".to_owned(), list)]));
        world.declare_all("member", size, "{type: string, pattern: \"[a-z0-9]*\"}");
        for at in 0..size {
            world.push("/spec/set", json!(format!("${{member{at}}}")), json!(format!("s{at}")));
        }
    })
    .on(&[Kind::Custom])
    .callers(),
    Dimension::of("described-keys", [12, 45], 15_000, |world, size| {
        let keys = json!(["one", "two"]);
        let items = json!({"type": "object", "properties": {"one": {"type": "string"}, "two": {"type": "integer"}}});
        let list = json!({"type": "array", "items": items, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys});
        describe(world, Map::from_iter([("keyed".to_owned(), list)]));
        for at in 0..size {
            let element = |at: usize| json!({"one": format!("o{}", at / 2), "two": at % 2});
            world.push("/spec/keyed", element(at), element(size - 1 - at));
        }
    })
    .on(&[Kind::Custom]),
    Dimension::of("free-map", [1_200, 84], 30_000, |world, size| {
        world.declare("free", "{type: object, additionalProperties: {type: object, additionalProperties: {type: integer}}}");
        let shown: Map<_, _> = (0..size).map(|at| (format!("k{at}"), json!({"x": 1}))).collect();
        world.set("/spec", "free", hole("free"), Value::Object(shown));
    })
    .on(&[Kind::Custom]),
    Dimension::of("numbers-as-text", [1_200, 300], 40_000, |world, size| {
        world.declare("numbers", "{type: array, items: {type: number, minimum: 0}}");
        world.set("/spec", "numbers", hole("numbers"), json!((0..size).map(|at| at as f64 + 0.5).collect::<Vec<_>>()));
    })
    .on(&[Kind::Custom]),
];

/// Puts the definition of the custom resource among what is known.
fn describe(world: &mut World, fields: Map<String, Value>) {
    let spec = json!({"type": "object", "properties": fields});
    let schema = json!({"type": "object", "properties": {"spec": spec}});
    world.facts.push(json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"kind": "Widget", "plural": "widgets"},
            "versions": [{"name": "v1", "schema": {"openAPIV3Schema": schema}}]},
    }));
}
