//! Sidecars that become native at admission: what is sent as written, as stored, again, and otherwise.

use policies::verdict::{Ground, Situation};
use serde_json::{Value, json};

use crate::support::*;

const JOB: &str = r#"
apiVersion: batch/v1
kind: Job
metadata:
  name: run
  annotations: {fledged.io/native-sidecars: "true"}
spec:
  parallelism: ${workers}
  completions: 2
  template:
    metadata: {labels: {essential-container: main}}
    spec:
      restartPolicy: Never
      initContainers:
      - {name: first, image: "r/first:1"}
      containers:
      - name: log
        image: "r/log:1"
        args: ["--day=${day}"]
        env: [{name: TOKEN, value: "${token}"}]
        volumeMounts: [{name: logs, mountPath: /logs}]
      - {name: main, image: "r/main:1", args: ["--day=${day}"]}
      - {name: proxy, image: "r/proxy:1", ports: [{containerPort: 80}]}
      volumes: [{name: logs, emptyDir: {}}]
"#;
const PARAMETERS: &str = r#"
day: {type: string, pattern: "[0-9]{8}"}
token: {type: string, generated: {length: 12}}
workers: {type: integer, minimum: 1, maximum: 4}
"#;

fn world() -> Situation {
    situation(&set(PARAMETERS, JOB))
}

/// The manifest as a master writes it: with the instruction, which is none of the object's, or without.
fn sent() -> Value {
    let text = JOB.replace("${workers}", "2").replace("${day}", "20261120").replace("${token}", "abcdefghijkl");
    value(&text)
}

const SPEC: &str = "/spec/template/spec";

fn at(rest: &str) -> String {
    format!("{SPEC}{rest}")
}

fn names(object: &Value, list: &str) -> Vec<String> {
    let list = object.pointer(&at(&format!("/{list}"))).and_then(Value::as_array);
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or("-").to_owned();
    list.into_iter().flatten().map(|it| text(it, "name") + " " + &text(it, "restartPolicy")).collect()
}

fn stored() -> Value {
    created(&world(), &sent()).unwrap_or_else(|refusal| panic!("{}", refusal.message)).0
}

/// `stored` with these lists as `manifest` says them: all containers of it beside the init containers that are there is what
/// `kubectl apply` makes of both.
fn with_lists_of(stored: &Value, manifest: &Value, situation: &Situation, lists: &[&str]) -> Value {
    let sent = shown(manifest, policies::recognise::Form::Mutating, &situation.facts);
    let mut merged = stored.clone();
    for list in lists.iter().map(|list| at(&format!("/{list}"))) {
        change(&mut merged, &list, sent.pointer(&list).unwrap().clone());
    }
    merged
}

#[test]
fn sidecars_written_as_containers_are_stored_as_native_ones() {
    let stored = stored();
    assert_eq!(names(&stored, "initContainers"), ["first -", "log Always", "proxy Always"]);
    assert_eq!(names(&stored, "containers"), ["main -"]);
    // In another order, without the instruction, and as it is stored: the same.
    let mut other = sent();
    other["metadata"]["annotations"] = Value::Null;
    other.pointer_mut(&at("/containers")).unwrap().as_array_mut().unwrap().reverse();
    let mut native = sent();
    for list in ["containers", "initContainers"] {
        change(&mut native, &at(&format!("/{list}")), stored.pointer(&at(&format!("/{list}"))).unwrap().clone());
    }
    for object in [&other, &native] {
        let (made, _) = created(&world(), object).unwrap_or_else(|refusal| panic!("{}", refusal.message));
        assert_eq!(made["spec"], stored["spec"]);
    }
}

#[test]
fn a_generated_value_is_filled_in_where_its_sidecar_went() {
    let mut object = sent();
    change(&mut object, &at("/containers/0/env/0/value"), Value::Null);
    let (made, _) = created(&world(), &object).unwrap_or_else(|refusal| panic!("{}", refusal.message));
    let value = made.pointer(&at("/initContainers/1/env/0/value")).and_then(Value::as_str).unwrap();
    assert_eq!(value.len(), 12);
}

#[test]
fn what_differs_is_refused_where_it_was_written() {
    for (what, pointer, value, path) in [
        ("an image", "/containers/0/image", json!("evil:1"), "containers[name=log].image"),
        ("another image", "/containers/2/image", json!("evil:1"), "containers[name=proxy].image"),
        ("the work", "/containers/1/image", json!("evil:1"), "containers[name=main].image"),
        ("an init container", "/initContainers/0/image", json!("evil:1"), "initContainers[name=first].image"),
        ("another day", "/containers/0/args/0", json!("--day=20261121"), "day"),
        ("a command", "/containers/0/command", json!(["sh"]), "containers[name=log].command"),
        ("privileges", "/containers/2/securityContext", json!({"privileged": true}), "securityContext"),
        ("another container", "/containers/-", json!({"name": "x", "image": "evil:1"}), "containers"),
        ("one twice", "/containers/-", json!({"name": "log", "image": "evil:1"}), "ontainers"),
        ("one twice", "/initContainers/-", json!({"name": "log", "image": "evil:1"}), "ontainers"),
        (
            "one twice",
            "/initContainers/-",
            json!({"name": "log", "image": "evil:1", "restartPolicy": "Always"}),
            "ontainers",
        ),
        ("another end", "/containers/0/restartPolicy", json!("Never"), "containers[name=log].restartPolicy"),
        ("one less", "/containers/2", Value::Null, "containers[name=proxy]: expected the container"),
        ("the first less", "/containers/0", Value::Null, "containers[name=log]: expected the container"),
    ] {
        let mut object = sent();
        change(&mut object, &at(pointer), value);
        let refusal = created(&world(), &object).expect_err(what);
        assert!(refusal.message.contains(path), "{what}: {}", refusal.message);
    }
    let mut object = sent();
    object["metadata"]["annotations"] = json!({"fledged.io/native-sidecars": "false"});
    assert!(created(&world(), &object).is_err(), "the template says otherwise");
    // A template that asks for nothing moves nothing.
    let plain = set(PARAMETERS, &JOB.replace("  annotations: {fledged.io/native-sidecars: \"true\"}\n", ""));
    assert!(created(&situation(&plain), &sent()).is_err(), "the template does not say so");
    let mut object = sent();
    object["metadata"]["annotations"] = Value::Null;
    let (made, _) = created(&situation(&plain), &object).unwrap_or_else(|refusal| panic!("{}", refusal.message));
    assert_eq!(names(&made, "containers"), ["log -", "main -", "proxy -"]);
}

#[test]
fn what_was_not_moved_does_not_pass_the_second_phase() {
    let (situation, stored) = (world(), stored());
    let unmoved = with_lists_of(&stored, &sent(), &situation, &["containers", "initContainers"]);
    let create = policies::request::Operation::Create;
    let validating = policies::request::Phase::Validating;
    assert!(verdict(&request(create, validating, Some(unmoved), None), &situation).is_err());
}

#[test]
fn applied_again_it_stays_as_it_is() {
    let (situation, stored) = (world(), stored());
    let merged = with_lists_of(&stored, &sent(), &situation, &["containers"]);
    assert_eq!(updated(&situation, &stored, &merged).unwrap_or_else(|refusal| panic!("{}", refusal.message)), stored);
    // `kubectl replace` sends the manifest alone.
    let replaced = with_lists_of(&stored, &sent(), &situation, &["containers", "initContainers"]);
    assert_eq!(updated(&situation, &stored, &replaced).unwrap_or_else(|refusal| panic!("{}", refusal.message)), stored);
    // With a change that the template describes, that change alone.
    let mut scaled = merged.clone();
    scaled["spec"]["parallelism"] = 3.into();
    let after = updated(&situation, &stored, &scaled).unwrap_or_else(|refusal| panic!("{}", refusal.message));
    assert_eq!(after["spec"]["parallelism"], 3);
    assert_eq!(after["spec"]["template"], stored["spec"]["template"]);
    // Any other is refused where it was written.
    for (pointer, value, path) in [
        ("/containers/0/image", json!("evil:1"), "containers[name=log].image"),
        ("/containers/-", json!({"name": "x", "image": "evil:1"}), "containers"),
    ] {
        let mut object = merged.clone();
        change(&mut object, &at(pointer), value);
        let refusal = updated(&situation, &stored, &object).expect_err(path);
        assert!(refusal.message.contains(path), "{}", refusal.message);
    }
}

#[test]
fn applying_says_so_and_changes_nothing_else() {
    use policies::request::{Operation, Phase};
    let (situation, stored) = (world(), stored());
    let merged = with_lists_of(&stored, &sent(), &situation, &["containers"]);
    let review = request(Operation::Update, Phase::Mutating, Some(merged), Some(stored));
    let admission = verdict(&review, &situation).unwrap_or_else(|refusal| panic!("{}", refusal.message));
    assert_eq!(admission.ground, Ground::Unchanged);
    let paths: Vec<String> = admission.patch.unwrap().0.iter().map(|operation| operation.path().to_string()).collect();
    assert_eq!(paths, [at("/containers"), at("/initContainers")]);
}

#[test]
fn the_annotation_of_apply_is_the_manifest_as_it_was_written() {
    let with_applied = |applied: &Value| {
        let mut object = sent();
        let text = serde_json::to_string(applied).unwrap();
        object["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = text.into();
        object
    };
    let (situation, manifest) = (world(), sent());
    let (stored, _) =
        created(&situation, &with_applied(&manifest)).unwrap_or_else(|refusal| panic!("{}", refusal.message));
    assert_eq!(names(&stored, "containers"), ["main -"]);
    let mut evil = manifest.clone();
    change(&mut evil, &at("/containers/0/image"), json!("evil:1"));
    assert!(created(&situation, &with_applied(&evil)).is_err());
    // Applied again with another number: the annotation changes with it.
    let mut other = manifest;
    other["spec"]["parallelism"] = 3.into();
    let mut merged = stored.clone();
    merged["spec"]["parallelism"] = 3.into();
    let text = serde_json::to_string(&other).unwrap();
    merged["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = text.into();
    let merged = with_lists_of(&merged, &other, &situation, &["containers"]);
    updated(&situation, &stored, &merged).unwrap_or_else(|refusal| panic!("{}", refusal.message));
}

#[test]
fn an_object_from_before_the_template_asked_for_it_stays_as_it_is() {
    let plain = JOB.replace("  annotations: {fledged.io/native-sidecars: \"true\"}\n", "");
    let mut object = sent();
    object["metadata"]["annotations"] = Value::Null;
    let (stored, _) = created(&situation(&set(PARAMETERS, &plain)), &object).unwrap();
    let mut scaled = stored.clone();
    scaled["spec"]["parallelism"] = 3.into();
    let after = updated(&world(), &stored, &scaled).unwrap_or_else(|refusal| panic!("{}", refusal.message));
    assert_eq!(names(&after, "containers"), ["log -", "main -", "proxy -"]);
}
