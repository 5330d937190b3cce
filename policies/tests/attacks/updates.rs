//! Updates: what a master may make of what it has.

use policies::verdict::Situation;
use serde_json::{Value, json};

use crate::support::*;

const WEB: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: ${replicas}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      serviceAccountName: plain
      initContainers:
      - {name: one, image: "r/x:1"}
      - {name: two, image: "r/x:1"}
      containers:
      - name: main
        image: "r/x:1"
        args: ["--replicas=${replicas}", b]
        ports:
        - containerPort: 80
        - ${ports}
"#;
const PARAMETERS: &str = r#"
replicas: {type: integer, minimum: 1, maximum: 4}
ports:
  type: array
  items: {type: object, properties: {name: {type: string}, containerPort: {type: integer, minimum: 1024}, protocol: {type: string, enum: [TCP], optional: true}}}
"#;

fn web(replicas: u32, ports: &Value) -> Value {
    let mut object = value(&WEB.replace("replicas: ${replicas}", "replicas: 0").replace("        - ${ports}\n", ""));
    object["spec"]["replicas"] = replicas.into();
    object["spec"]["template"]["spec"]["containers"][0]["args"][0] = format!("--replicas={replicas}").into();
    let list = object["spec"]["template"]["spec"]["containers"][0]["ports"].as_array_mut().unwrap();
    list.extend(ports.as_array().unwrap().iter().cloned());
    object
}

fn world() -> (Situation, Value) {
    let set = set(PARAMETERS, WEB);
    let situation = situation(&set);
    let twice = json!([{"name": "a", "containerPort": 8080}, {"name": "b", "containerPort": 8080}]);
    let (stored, _) = created(&situation, &web(2, &twice)).unwrap_or_else(|refusal| panic!("{}", refusal.message));
    (situation, stored)
}

#[test]
fn threat_50_every_leaf_that_an_update_changes_must_be_admitted() {
    let (situation, stored) = world();
    let container = "/spec/template/spec/containers/0";
    let at = |rest: &str| format!("{container}{rest}");
    // Both places of the hole may follow one another.
    let mut scaled = stored.clone();
    change(&mut scaled, "/spec/replicas", json!(3));
    change(&mut scaled, &at("/args/0"), json!("--replicas=3"));
    updated(&situation, &stored, &scaled).unwrap_or_else(|refusal| panic!("{}", refusal.message));
    let rows: Vec<(&str, Vec<(String, Value)>)> = vec![
        ("one place of two", vec![("/spec/replicas".into(), json!(3))]),
        ("the other place", vec![(at("/args/0"), json!("--replicas=3"))]),
        ("beyond the schema", vec![("/spec/replicas".into(), json!(5)), (at("/args/0"), json!("--replicas=5"))]),
        (
            "one right, one wrong",
            vec![
                ("/spec/replicas".into(), json!(3)),
                (at("/args/0"), json!("--replicas=3")),
                (at("/args/1"), json!("c")),
            ],
        ),
        ("argument more", vec![(at("/args/-"), json!("c"))]),
        ("argument less", vec![(at("/args/1"), Value::Null)]),
        ("image", vec![(at("/image"), json!("r/y:1"))]),
        ("a port on the host", vec![(at("/ports/0/hostPort"), json!(80))]),
        (
            "a port on the host, and no port twice any more",
            vec![(at("/ports/0/hostPort"), json!(80)), (at("/ports/2"), Value::Null)],
        ),
        ("a port gone, and no port twice any more", vec![(at("/ports/2"), Value::Null), (at("/ports/0"), Value::Null)]),
        ("an empty label", vec![("/metadata/labels/x".into(), json!(""))]),
        ("an essential container", vec![("/spec/template/metadata/labels/essential-containers".into(), json!("main"))]),
        ("an empty label of the pods", vec![("/spec/template/metadata/labels/x".into(), json!(""))]),
        ("an annotation", vec![("/metadata/annotations/x".into(), json!(""))]),
        ("a finalizer", vec![("/metadata/finalizers".into(), json!(["x.example/y"]))]),
        ("no owner", vec![("/metadata/ownerReferences".into(), Value::Null)]),
        ("an owner that blocks", vec![("/metadata/ownerReferences/0/blockOwnerDeletion".into(), json!(true))]),
        ("no stamp", vec![("/metadata/annotations/fledged.io~1admission".into(), Value::Null)]),
        ("no master", vec![("/metadata/labels/fledged.io~1master".into(), Value::Null)]),
        ("no deadline", vec![("/metadata/labels/fledged.io~1expires-at".into(), Value::Null)]),
        ("a late deadline", vec![("/metadata/labels/fledged.io~1expires-at".into(), json!("2026-11-20T153001Z"))]),
        ("a deadline that is none", vec![("/metadata/labels/fledged.io~1expires-at".into(), json!("never"))]),
        ("an instruction", vec![("/metadata/annotations/fledged.io~1duration".into(), json!("9999"))]),
        ("an owner instruction", vec![("/metadata/annotations/fledged.io~1owner".into(), json!("none"))]),
        (
            "a renewal with a label",
            vec![
                ("/metadata/labels/fledged.io~1expires-at".into(), json!("2026-11-20T150000Z")),
                ("/metadata/labels/x".into(), json!("y")),
            ],
        ),
        ("paused", vec![("/spec/paused".into(), json!(true))]),
        ("another kind", vec![("/kind".into(), json!("StatefulSet"))]),
        ("another version", vec![("/apiVersion".into(), json!("apps/v1beta1"))]),
        (
            "containers in another order",
            vec![
                ("/spec/template/spec/initContainers/0/name".into(), json!("two")),
                ("/spec/template/spec/initContainers/1/name".into(), json!("one")),
            ],
        ),
        ("a container more", vec![("/spec/template/spec/containers/-".into(), json!({"name": "x", "image": "r/x:1"}))]),
        ("a container less", vec![("/spec/template/spec/initContainers/1".into(), Value::Null)]),
        ("no containers", vec![(at(""), Value::Null)]),
        ("no spec", vec![("/spec".into(), Value::Null)]),
        ("text for a map", vec![("/spec/template".into(), json!("x"))]),
        ("a list for a map", vec![("/spec/template/spec".into(), json!([]))]),
    ];
    let mut admitted = Vec::new();
    for (name, changes) in rows {
        let mut new = stored.clone();
        for (pointer, sent) in changes {
            change(&mut new, &pointer, sent);
        }
        if updated(&situation, &stored, &new).is_ok() {
            admitted.push(name);
        }
    }
    assert!(admitted.is_empty(), "admitted: {admitted:#?}");
}

#[test]
fn threat_50_what_differed_before_may_stay_and_may_not_become_something_else() {
    let (situation, mut stored) = world();
    // Somebody else has been there.
    change(&mut stored, "/spec/template/spec/containers/0/image", json!("r/x:2"));
    change(&mut stored, "/metadata/annotations/deployment.kubernetes.io~1revision", json!("1"));
    let mut new = stored.clone();
    change(&mut new, "/spec/replicas", json!(3));
    change(&mut new, "/spec/template/spec/containers/0/args/0", json!("--replicas=3"));
    updated(&situation, &stored, &new).unwrap_or_else(|refusal| panic!("{}", refusal.message));
    let mut back = stored.clone();
    change(&mut back, "/spec/template/spec/containers/0/image", json!("r/x:1"));
    updated(&situation, &stored, &back).unwrap_or_else(|refusal| panic!("{}", refusal.message));
    for (pointer, sent) in [
        ("/spec/template/spec/containers/0/image", json!("r/x:3")),
        ("/metadata/annotations/deployment.kubernetes.io~1revision", json!("2")),
        ("/spec/template/spec/containers/0/imagePullPolicy", json!("Always")),
    ] {
        let mut new = stored.clone();
        change(&mut new, pointer, sent.clone());
        assert!(updated(&situation, &stored, &new).is_err(), "{pointer} = {sent}");
    }
}

#[test]
fn threat_10_an_object_that_is_being_deleted_is_still_judged() {
    let (situation, mut stored) = world();
    stored["metadata"]["deletionTimestamp"] = NOW.into();
    stored["metadata"]["finalizers"] = json!(["foregroundDeletion"]);
    let mut new = stored.clone();
    new["metadata"]["finalizers"] = json!([]);
    assert!(updated(&situation, &stored, &new).is_err());
    let mut new = stored.clone();
    change(&mut new, "/spec/template/spec/containers/0/image", json!("r/y:1"));
    assert!(updated(&situation, &stored, &new).is_err());
}

#[test]
fn what_the_server_allots_a_master_does_not_choose_afterwards() {
    let manifest = "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}}";
    let set = set("", manifest);
    let situation = situation(&set);
    let (mut stored, _) = created(&situation, &value(manifest)).unwrap_or_else(|refusal| panic!("{}", refusal.message));
    for (pointer, allotted) in [
        ("/spec/clusterIP", json!("10.0.0.9")),
        ("/spec/clusterIPs", json!(["10.0.0.9"])),
        ("/spec/ipFamilies", json!(["IPv4"])),
        ("/spec/ipFamilyPolicy", json!("SingleStack")),
        ("/spec/ports/0/nodePort", json!(31234)),
    ] {
        change(&mut stored, pointer, allotted);
    }
    let mut admitted = Vec::new();
    for (pointer, sent) in [
        ("/spec/ports/0/nodePort", json!(30080)),
        ("/spec/clusterIP", json!("10.0.0.1")),
        ("/spec/clusterIPs", json!(["10.0.0.1"])),
        ("/spec/ipFamilies", json!(["IPv6"])),
        ("/spec/healthCheckNodePort", json!(30081)),
    ] {
        let mut new = stored.clone();
        change(&mut new, pointer, sent.clone());
        if updated(&situation, &stored, &new).is_ok() {
            admitted.push(format!("{pointer} = {sent}"));
        }
    }
    assert!(admitted.is_empty(), "admitted: {admitted:?}");
    // A PUT of the manifest as it was written: the server puts back what it allotted.
    let mut put = shown(&value(manifest), policies::recognise::Form::Mutating, &situation.facts);
    put["metadata"]["labels"] = stored["metadata"]["labels"].clone();
    put["metadata"]["annotations"] = stored["metadata"]["annotations"].clone();
    put["metadata"]["ownerReferences"] = stored["metadata"]["ownerReferences"].clone();
    let asked = request(
        policies::request::Operation::Update,
        policies::request::Phase::Mutating,
        Some(put),
        Some(stored.clone()),
    );
    verdict(&asked, &situation).unwrap_or_else(|refusal| panic!("{}", refusal.message));
}

#[test]
fn a_port_more_is_admitted_beside_what_the_server_allotted() {
    let manifest = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n  type: NodePort\n  selector: {app: web}\n  ports: ${ports}\n";
    let parameters = "ports: {type: array, items: {type: object, properties: {name: {type: string}, port: {type: integer}, targetPort: {type: integer, optional: true}}}}";
    let set = set(parameters, manifest);
    let situation = situation(&set);
    let mut object = value(&manifest.replace("${ports}", "[{name: a, port: 80}]"));
    object["metadata"]["namespace"] = "trading".into();
    let (mut stored, _) = created(&situation, &object).unwrap_or_else(|refusal| panic!("{}", refusal.message));
    for (pointer, allotted) in [
        ("/spec/clusterIP", json!("10.0.0.9")),
        ("/spec/clusterIPs", json!(["10.0.0.9"])),
        ("/spec/ipFamilies", json!(["IPv4"])),
        ("/spec/ipFamilyPolicy", json!("SingleStack")),
        ("/spec/ports/0/nodePort", json!(31234)),
    ] {
        change(&mut stored, pointer, allotted);
    }
    let ask = |phase, new: &Value| {
        use policies::request::Operation;
        verdict(&request(Operation::Update, phase, Some(new.clone()), Some(stored.clone())), &situation)
    };
    use policies::request::Phase;
    let mut new = stored.clone();
    change(&mut new, "/spec/ports/-", json!({"name": "b", "port": 443, "protocol": "TCP", "targetPort": 443}));
    let admission = ask(Phase::Mutating, &new).unwrap_or_else(|refusal| panic!("{}", refusal.message));
    json_patch::patch(&mut new, &admission.patch.unwrap_or_default()).unwrap();
    change(&mut new, "/spec/ports/1/nodePort", json!(31999));
    ask(Phase::Validating, &new).unwrap_or_else(|refusal| panic!("{}", refusal.message));
    // Sent by the master, it is its own choice.
    let mut chosen = stored.clone();
    let port = json!({"name": "b", "port": 443, "protocol": "TCP", "targetPort": 443, "nodePort": 30443});
    change(&mut chosen, "/spec/ports/-", port);
    assert!(ask(Phase::Mutating, &chosen).is_err());
}
