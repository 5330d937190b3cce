//! Other lists: by position, by key, as sets.

use crate::dimension::Dimension;
use crate::world::{Kind, World, hole};
use serde_json::{Value, json};

/// All of these.
pub const ALL: &[Dimension] = &[
    Dimension::of("containers", [8, 12], 8_000, |world, size| containers(world, size, |at| at)),
    Dimension::of("containers-reversed", [8, 11], 8_000, |world, size| containers(world, size, |at| size - 1 - at)),
    Dimension::of("containers-other-images", [8, 12], 8_000, |world, size| {
        let place = world.pod("/containers");
        for at in 0..size {
            let container =
                |image: &str| json!({"name": format!("o{at}"), "image": format!("registry.example/{image}")});
            world.push(&place, container("work:1"), container("work:2"));
        }
    })
    .callers(),
    Dimension::of("containers-named-by-holes", [8, 12], 1_900, |world, size| {
        world.declare("app", "{type: string, pattern: \"[a-z0-9]+\"}");
        let place = world.pod("/containers");
        for at in 0..size {
            let container = |name: String| json!({"name": name, "image": "registry.example/work:1"});
            world.push(&place, container(format!("${{app}}-{at}")), container(format!("a-{}", size - 1 - at)));
        }
    })
    .callers(),
    Dimension::of("mounts-other-names", [8, 20], 15_000, |world, size| {
        let place = world.container("/volumeMounts");
        for at in 0..size {
            let mount = |name: &str| json!({"name": name, "mountPath": format!("/o{at}")});
            world.push(&place, mount("v"), mount("w"));
        }
    })
    .callers(),
    Dimension::of("init-containers", [8, 12], 8_000, |world, size| {
        let place = world.pod("/initContainers");
        for at in 0..size {
            let container = json!({"name": format!("i{at}"), "image": "registry.example/work:1"});
            world.push(&place, container.clone(), container);
        }
    }),
    Dimension::of("sidecars", [8, 13], 8_000, |world, size| {
        containers(world, size, |at| at);
        let annotations = "/metadata/annotations";
        world.set(annotations, "fledged.io/native-sidecars", json!("true"), json!("true"));
        world.set("/spec/template/metadata/labels", "essential-containers", json!("main"), json!("main"));
    })
    .on(&[Kind::Job]),
    Dimension::of("volumes", [12, 23], 15_000, volumes),
    Dimension::of("mounts", [12, 47], 15_000, |world, size| {
        let place = world.container("/volumeMounts");
        for at in 0..size {
            let mount = json!({"name": "v", "mountPath": format!("/m{at}")});
            world.push(&place, mount.clone(), mount);
        }
        let place = world.pod("/volumes");
        world.push(&place, json!({"name": "v", "emptyDir": {}}), json!({"name": "v", "emptyDir": {}}));
    }),
    Dimension::of("ports", [12, 30], 15_000, |world, size| {
        let place = world.container("/ports");
        for at in 0..size {
            let port = json!({"containerPort": 1 + at, "name": format!("p{at}")});
            world.push(&place, port.clone(), port);
        }
    }),
    Dimension::of("ports-that-repeat", [12, 27], 15_000, |world, size| {
        let place = world.container("/ports");
        for at in 0..size {
            let port = json!({"containerPort": 1 + at / 2, "name": format!("p{at}")});
            world.push(&place, port.clone(), port);
        }
    }),
    Dimension::of("tolerations", [12, 46], 10_000, |world, size| {
        let place = world.pod("/tolerations");
        for at in 0..size {
            let toleration = json!({"key": format!("k{at}"), "operator": "Exists"});
            world.push(&place, toleration.clone(), toleration);
        }
    }),
    Dimension::of("pull-secrets", [14, 64], 10_000, |world, size| {
        let place = world.pod("/imagePullSecrets");
        for at in 0..size {
            let secret = json!({"name": format!("s{at}")});
            world.push(&place, secret.clone(), secret);
        }
    }),
    Dimension::of("args", [35, 177], 40_000, |world, size| {
        let place = world.container("/args");
        for at in 0..size {
            world.push(&place, json!(format!("a{at}")), json!(format!("a{at}")));
        }
    }),
    Dimension::of("args-of-a-list", [2_000, 270], 40_000, |world, size| args(world, size, false)),
    Dimension::of("args-sensitive", [1_200, 170], 40_000, |world, size| args(world, size, true)),
    Dimension::of("args-misfit", [1_200, 150], 40_000, |world, size| {
        args(world, size, false);
        let place = world.container("/args");
        world.push(&place, None, json!("--"));
    }),
    Dimension::of("args-with-holes", [10, 8], 1_900, |world, size| {
        let schema = world.values.schema();
        world.declare_all("arg", size, &schema);
        let place = world.container("/args");
        for at in 0..size {
            let value = world.values.value(at);
            world.push(&place, json!(format!("--k=${{arg{at}}}")), json!(format!("--k={value}")));
        }
    }),
    // Lists with a literal between each two: which value is whose is searched for.
    Dimension::of("args-of-lists", [6, 6], 3_000, |world, size| {
        world.declare("piece", "{type: array, items: {type: string, pattern: \"[a-z0-9]+\"}}");
        let place = world.container("/args");
        for at in 0..size {
            world.push(&place, hole("piece"), json!(format!("v{at}")));
            world.push(&place, json!(format!("--{at}")), json!(format!("--{at}")));
        }
    }),
    Dimension::of("args-for-few-lists", [1_200, 192], 40_000, |world, size| {
        let schema = world.values.schema();
        world.declare("piece", format!("{{type: array, items: {schema}}}"));
        let place = world.container("/args");
        for at in 0..4 {
            world.push(&place, hole("piece"), None);
            world.push(&place, json!(format!("--{at}")), None);
            for value in 0..size / 4 {
                let value = world.values.value(value);
                world.push(&place, None, json!(value));
            }
            world.push(&place, None, json!(format!("--{at}")));
        }
    }),
    Dimension::of("args-optional", [21, 130], 20_000, |world, size| {
        world.declare("maybe", "{type: string, pattern: \"[a-z0-9]+\", optional: true}");
        let place = world.container("/args");
        for at in 0..size {
            world.push(&place, json!(format!("--{at}")), json!(format!("--{at}")));
        }
        world.push(&place, json!("${maybe}"), None);
        for at in 0..size {
            world.push(&place, json!(format!("-{at}")), json!(format!("-{at}")));
        }
    }),
    Dimension::of("claims", [8, 11], 5_000, |world, size| {
        for at in 0..size {
            let claim = json!({"metadata": {"name": format!("c{at}")}, "spec": {"accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}}}});
            world.push("/spec/volumeClaimTemplates", claim.clone(), claim);
        }
    })
    .on(&[Kind::StatefulSet]),
    Dimension::of("service-ports", [12, 24], 10_000, |world, size| {
        for at in 0..size {
            let port = json!({"name": format!("p{at}"), "port": 1_000 + at});
            world.push("/spec/ports", port.clone(), port);
        }
    })
    .on(&[Kind::Service]),
    Dimension::of("resources", [17, 25], 10_000, |world, size| {
        let place = world.container("/resources/limits");
        for at in 0..size {
            world.set(&place, &format!("example.com/r{at}"), json!("1000m"), json!("1"));
        }
    }),
    Dimension::of("resources-with-holes", [8, 21], 1_900, |world, size| {
        let place = world.container("/resources/limits");
        let schema = "{type: string, format: quantity, minimum: 1, maximum: 1Ti}";
        world.declare_all("amount", size, schema);
        for at in 0..size {
            world.set(&place, &format!("example.com/r{at}"), hole(&format!("amount{at}")), json!("1000"));
        }
    }),
    Dimension::of("quantity-length", [5_000, 20_000], 900_000, |world, size| {
        let place = world.container("/resources/limits");
        world.set(&place, "cpu", json!("1"), json!(format!("1.{}", "0".repeat(size))));
    })
    .callers(),
];

fn containers(world: &mut World, size: usize, order: impl Fn(usize) -> usize) {
    let place = world.pod("/containers");
    let container = |at: usize| json!({"name": format!("c{at}"), "image": "registry.example/work:1"});
    for at in 0..size {
        world.push(&place, container(at), container(order(at)));
    }
}

fn volumes(world: &mut World, size: usize) {
    let place = world.pod("/volumes");
    for at in 0..size {
        let volume = json!({"name": format!("v{at}"), "configMap": {"name": "c"}});
        world.push(&place, volume.clone(), volume);
    }
}

fn args(world: &mut World, size: usize, sensitive: bool) {
    let schema = world.values.schema();
    let sensitive = if sensitive { ", sensitive: true" } else { "" };
    world.declare("args", format!("{{type: array, items: {schema}{sensitive}}}"));
    let place = world.container("/args");
    world.push(&place, hole("args"), None);
    for at in 0..size {
        let value: Value = world.values.value(at).into();
        world.push(&place, None, value);
    }
}
