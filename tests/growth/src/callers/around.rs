//! What stands around the object: other templates, other ConfigMaps, the caller, the cluster, and what is done.

use crate::dimension::Dimension;
use crate::world::{Apart, Deed, Kind, World};
use serde_json::json;

/// All of these.
pub const ALL: &[Dimension] = &[
    Dimension::of("templates-by-name", [4, 4], 1_000, |world, size| world.templates = (size, Apart::Start)).anywhere(),
    Dimension::of("templates-by-end", [4, 4], 1_000, |world, size| world.templates = (size, Apart::End)).anywhere(),
    Dimension::of("config-maps", [60, 60], 1_000, |world, size| world.config_maps = size).anywhere().callers(),
    // 256 KiB of an annotation.
    Dimension::of("wishes", [100, 100], 40_000, |world, size| world.wishes = size).anywhere().callers(),
    Dimension::of("chain", [125, 125], 2_000, |world, size| world.chain = size).anywhere().callers(),
    Dimension::of("masters", [900, 1_200], 50_000, |world, size| world.masters = size).anywhere().callers(),
    Dimension::of("dependents", [900, 1_200], 20_000, |world, size| world.dependents = size).anywhere().callers(),
    Dimension::of("limit-ranges", [125, 125], 2_000, |world, size| {
        for at in 0..size {
            world.facts.push(json!({"apiVersion": "v1", "kind": "LimitRange",
                "metadata": {"name": format!("r{at}"), "namespace": "trading"},
                "spec": {"limits": [{"type": "Container", "default": {"example.com/x": "1"}}]}}));
        }
    })
    .callers(),
    Dimension::of("known-accounts", [900, 1_200], 20_000, |world, size| {
        for at in 0..size {
            world.facts.push(json!({"apiVersion": "v1", "kind": "ServiceAccount",
                "metadata": {"name": format!("a{at}"), "namespace": "trading"}}));
        }
    })
    .callers(),
    Dimension::of("checked-labels", [900, 210], 20_000, |world, size| stored(world, size, Deed::Check))
        .anywhere()
        .callers(),
    Dimension::of("updated-labels", [900, 140], 20_000, |world, size| stored(world, size, Deed::Update))
        .anywhere()
        .callers(),
    Dimension::of("renewed-labels", [900, 210], 20_000, |world, size| stored(world, size, Deed::Renew))
        .anywhere()
        .callers(),
    Dimension::of("deleted-labels", [900, 240], 20_000, |world, size| stored(world, size, Deed::Delete))
        .anywhere()
        .callers(),
    Dimension::of("updated-holes", [118, 69], 1_900, |world, size| {
        world.deed = Deed::Update;
        world.declare_all("held", size, "{type: string, pattern: \"[a-z]*\"}");
        for at in 0..size {
            world.set("/metadata/labels", &format!("h{at}"), json!(format!("${{held{at}}}")), json!("x"));
        }
    })
    .anywhere()
    .callers(),
    Dimension::of("rewritten-holes", [118, 40], 1_900, |world, size| {
        world.deed = Deed::Rewrite;
        world.declare_all("held", size, "{type: string, pattern: \"[a-z]*\"}");
        for at in 0..size {
            world.set("/metadata/labels", &format!("h{at}"), json!(format!("${{held{at}}}")), json!("x"));
        }
    })
    .anywhere()
    .callers(),
    Dimension::of("rewritten-labels", [118, 100], 20_000, |world, size| {
        world.deed = Deed::Rewrite;
        for at in 0..size {
            world.set("/metadata/labels", &format!("l{at}"), json!("x"), json!("x"));
        }
    })
    .anywhere()
    .callers(),
    // Many holes, each so deep that its path is long.
    Dimension::of("rewritten-deep", [118, 40], 1_900, |world, size| {
        world.deed = Deed::Rewrite;
        world.declare_all("deep", size, "{type: string, pattern: \"[a-z]*\"}");
        let place = format!("/spec{}", "/a-long-name-of-a-field".repeat(50));
        for at in 0..size {
            world.set(&place, &format!("h{at}"), json!(format!("${{deep{at}}}")), json!("x"));
        }
    })
    .on(&[Kind::Custom])
    .callers(),
    Dimension::of("rewritten-variables", [118, 40], 1_900, |world, size| {
        world.deed = Deed::Rewrite;
        world.declare_all("held", size, "{type: string, pattern: \"[a-z]*\"}");
        let place = world.container("/env");
        for at in 0..size {
            let row = |value: String| json!({"name": format!("R{at}"), "value": value});
            world.push(&place, row(format!("${{held{at}}}")), row("x".into()));
        }
    })
    .on(&[Kind::StatefulSet])
    .callers(),
];

fn stored(world: &mut World, size: usize, deed: Deed) {
    world.deed = deed;
    for at in 0..size {
        world.set("/metadata/labels", &format!("l{at}"), json!("v"), json!("v"));
    }
}
