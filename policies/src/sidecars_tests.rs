#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]
use super::*;
use serde_json::json;

fn sidecars() -> Sidecars {
    Sidecars::new("/spec/template/spec", ["log".into(), "proxy".into()].into())
}

fn job(containers: &Value, inits: &Value) -> Value {
    let mut spec = json!({"restartPolicy": "Never", "containers": containers});
    if !inits.is_null() {
        spec["initContainers"] = inits.clone();
    }
    json!({"apiVersion": "batch/v1", "kind": "Job", "spec": {"template": {"spec": spec}}})
}

/// The containers of an object, and its init containers.
fn lists(object: &Value) -> (Value, Value) {
    let spec = &object["spec"]["template"]["spec"];
    (spec["containers"].clone(), spec["initContainers"].clone())
}

#[test]
fn what_is_sent_is_moved_whole_in_the_templates_order_and_once() {
    let (main, first) = (json!({"name": "main", "image": "a"}), json!({"name": "first", "image": "f"}));
    let (log, proxy) = (json!({"name": "log", "image": "l"}), json!({"name": "proxy", "image": "p"}));
    let native = |name: &str, image: &str| json!({"name": name, "image": image, "restartPolicy": "Always"});
    let both = json!([native("log", "l"), native("proxy", "p")]);
    for (containers, inits, expected) in [
        (json!([main, log, proxy]), Value::Null, Some((json!([main]), both.clone()))),
        (json!([proxy, main, log]), Value::Null, Some((json!([main]), both.clone()))),
        (json!([proxy, main, log]), json!([]), Some((json!([main]), both.clone()))),
        (
            json!([log, main, proxy]),
            json!([first]),
            Some((json!([main]), json!([first, native("log", "l"), native("proxy", "p")]))),
        ),
        // Some of it native already, or said to be.
        (json!([main, log]), json!([native("proxy", "p")]), Some((json!([main]), both.clone()))),
        (json!([main, native("log", "l"), proxy]), Value::Null, Some((json!([main]), both.clone()))),
        // What another asks for stays where it is, to be refused.
        (
            json!([main, log, {"name": "other"}]),
            Value::Null,
            Some((json!([main, {"name": "other"}]), json!([native("log", "l")]))),
        ),
        (
            json!([main, log, {"name": "proxy", "restartPolicy": "Never"}]),
            Value::Null,
            Some((json!([main]), json!([native("log", "l"), {"name": "proxy", "restartPolicy": "Never"}]))),
        ),
        // Twice, in one list or in both: nothing is chosen from.
        (json!([main, log, log]), Value::Null, Some((json!([main]), json!([native("log", "l"), native("log", "l")])))),
        (json!([main, log]), json!([native("log", "other")]), None),
        (json!([main, log]), json!([{"name": "log", "image": "other"}]), None),
        // Nothing to move.
        (json!([main]), both.clone(), None),
        (json!([main]), Value::Null, None),
        (json!("main"), Value::Null, None),
        (json!([main, log]), json!("first"), None),
        (json!([1, "log", {"name": 5}]), Value::Null, None),
    ] {
        let object = job(&containers, &inits);
        let moved = sidecars().moved(&object);
        assert_eq!(moved.as_ref().map(lists), expected, "{containers} {inits}");
        if let Some(moved) = moved {
            let mut patched = object.clone();
            json_patch::patch(&mut patched, &json_patch::Patch(sidecars().patch(&moved))).unwrap();
            assert_eq!(patched, moved, "the patch makes it");
            assert_eq!(sidecars().moved(&moved), None, "{containers} {inits}");
        }
    }
}

#[test]
fn an_update_moves_only_what_was_moved_before() {
    let (main, log) = (json!({"name": "main"}), json!({"name": "log", "image": "l"}));
    let native = |image: &str| json!({"name": "log", "image": image, "restartPolicy": "Always"});
    for (old, new, expected) in [
        // Applied again.
        ((json!([main]), json!([native("l")])), (json!([main, log]), json!([native("l")])), Some("l")),
        ((json!([main]), json!([native("old")])), (json!([main, log]), json!([native("old")])), Some("l")),
        // Written back as read, or replaced by the manifest.
        ((json!([main]), json!([native("l")])), (json!([main]), json!([native("l")])), None),
        ((json!([main]), json!([native("l")])), (json!([main, log]), Value::Null), Some("l")),
        // Made before the template asked for it.
        ((json!([main, log]), Value::Null), (json!([main, log]), Value::Null), None),
        ((json!([main, log]), json!([{"name": "log"}])), (json!([main, log]), Value::Null), None),
    ] {
        let moved = sidecars().moved_again(&job(&old.0, &old.1), &job(&new.0, &new.1));
        let expected = expected.map(|image| (json!([main]), json!([native(image)])));
        assert_eq!(moved.as_ref().map(lists), expected, "{old:?} {new:?}");
    }
}

#[test]
fn differences_are_told_where_they_were_written() {
    let at = |list: &str| Path::root().key("spec").key("template").key("spec").key(list);
    let image = |path: Path| path.key("image");
    let other = |path: Path| Difference { path, expected: Expected::Value("a".into()), got: Got::Value("b".into()) };
    let (main, inits) = (json!([{"name": "main"}]), json!([{"name": "first"}, {"name": "log"}, {"name": "proxy"}]));
    for (path, expected) in [
        (image(at("initContainers").element("name=log")), image(at("containers").element("name=log"))),
        (at("initContainers").element("name=proxy"), at("containers").element("name=proxy")),
        (image(at("initContainers").element("name=first")), image(at("initContainers").element("name=first"))),
        (at("initContainers").index(3), at("initContainers").index(3)),
        (at("initContainers"), at("initContainers")),
        (image(at("containers").element("name=main")), image(at("containers").element("name=main"))),
        (Path::root().key("spec"), Path::root().key("spec")),
    ] {
        assert_eq!(sidecars().as_sent(&job(&main, &inits), vec![other(path)]), [other(expected)]);
    }
    // One is missing, and what is behind it moved up.
    let inits = json!([{"name": "first"}, {"name": "proxy"}]);
    let found = [at("initContainers").element("name=log").key("name"), image(at("containers").element("name=main"))];
    let told = sidecars().as_sent(&job(&main, &inits), found.map(other).to_vec());
    let told: Vec<String> = told.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "spec.template.spec.containers[name=main].image: expected \"a\", got \"b\"",
            "spec.template.spec.containers[name=log]: expected the container that the template has there, got nothing",
        ]
    );
}
