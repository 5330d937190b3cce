//! Annotations of the template ConfigMap.

use crate::dimension::Dimension;
use serde_json::json;

/// All of these.
pub const ALL: &[Dimension] = &[
    Dimension::of("accounts", [75, 800], 20_000, |world, size| {
        let all: Vec<_> = (0..size).map(|at| format!("team-{at}/eod")).collect();
        world.annotations.insert("fledged.io/masters".into(), json!(format!("eod,{}", all.join(","))));
    })
    .anywhere(),
    Dimension::of("accounts-here", [130, 800], 20_000, |world, size| {
        let all: Vec<_> = (0..size).map(|at| format!("eod-{at}")).collect();
        world.annotations.insert("fledged.io/masters".into(), json!(format!("eod,{}", all.join(","))));
    })
    .anywhere(),
    Dimension::of("accounts-of-templates", [8, 16], 256, |world, size| {
        let all: Vec<_> = (0..16 * size).map(|at| format!("team-{at}/eod")).collect();
        world.annotations.insert("fledged.io/masters".into(), json!(format!("eod,{}", all.join(","))));
        let one =
            "---\napiVersion: v1\nkind: Pod\nmetadata: {name: other}\nspec: {serviceAccountName: x, containers: []}\n";
        world.keys.push(("pods.yaml".into(), one.repeat(size.min(1_000))));
    })
    .authors(),
    Dimension::of("allow", [120, 800], 20_000, |world, size| {
        let all: Vec<_> = (0..size).map(|at| format!("pods/{}", letters(at))).collect();
        world.annotations.insert("fledged.io/allow".into(), json!(all.join(",")));
    })
    .anywhere(),
    Dimension::of("accept", [4, 4], 64, |world, size| {
        let row = |at| json!({"apiVersion": "v1", "kind": "Pod", "path": format!("metadata.labels.accepted{at}"), "value": "x"});
        world
            .annotations
            .insert("fledged.io/accept".into(), json!(json!((0..size).map(row).collect::<Vec<_>>()).to_string()));
        for at in 0..size {
            world.set("/metadata/labels", &format!("accepted{at}"), None, json!("x"));
        }
    }),
    Dimension::of("accepted-value", [430, 150], 50_000, |world, size| {
        let value: Vec<_> = (0..size).map(|at| json!({"name": format!("n{at}")})).collect();
        let row = json!([{"apiVersion": "v1", "kind": "Pod", "path": "spec.imagePullSecrets", "value": value}]);
        world.annotations.insert("fledged.io/accept".into(), json!(row.to_string()));
        world.set("/spec", "imagePullSecrets", None, json!(value));
    })
    .on(&[crate::world::Kind::Pod]),
    Dimension::of("strange-annotations", [102, 300], 10_000, |world, size| {
        world.annotations.extend((0..size).map(|at| (format!("fledged.io/strange{at}"), json!("x"))));
    })
    .anywhere()
    .authors(),
    Dimension::of("path-length", [800, 800], 100_000, |world, size| {
        let row =
            json!([{"apiVersion": "v1", "kind": "Pod", "path": format!("spec{}", ".a".repeat(size)), "value": 1}]);
        world.annotations.insert("fledged.io/accept".into(), json!(row.to_string()));
    }),
];

fn letters(mut number: usize) -> String {
    let mut text = String::from("x");
    while number > 0 {
        text.push(char::from(b'a' + (number % 26) as u8));
        number /= 26;
    }
    text
}
