//! Who is a master is asked of the API server too; one of whom it is not known counts as one.

use controlplane::{Fault, Reply};
use serde_json::{Value, json};
use story::Master;

use crate::world::{World, until};

const FAULTS: [Fault; 6] =
    [Fault::Answer(500), Fault::Answer(429), Fault::Answer(403), Fault::Hang, Fault::Cut, Fault::Garbled];

fn pod() -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "worker"},
           "spec": {"serviceAccountName": "other", "containers": [{"name": "main", "image": "registry.example/worker:2"}]}})
}

fn note(level: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "note"}, "data": {"level": level}})
}

/// A master whose template makes a pod under another account of its namespace, while nobody can say of these accounts
/// whether they may launch.
fn blind(world: &World, space: &str, fault: Fault) -> Master {
    let cluster = &world.installation.cluster;
    world.relay.inject(&["/subjectaccessreviews ", &format!("\"{space}\"")], fault);
    cluster.namespace_named(space).unwrap();
    cluster.service_account(space, "other").unwrap();
    let templates = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "blind", "namespace": space, "labels": {"fledged.io/templates": "true"}},
        "data": {"pod.yaml": pod().to_string(), "note.yaml": note("info").to_string()},
    });
    cluster.apply(&templates.to_string()).unwrap();
    world.installation.bare(space, "blind").unwrap()
}

#[test]
fn threats_18_and_20_while_nobody_can_say_who_is_a_master_no_pod_runs_under_an_account_that_might_be_one() {
    let world = World::new(&["--no-floor"]);
    let mut masters = Vec::new();
    for (number, fault) in FAULTS.into_iter().enumerate() {
        let space = format!("blind-{number}");
        let master = blind(&world, &space, fault);
        let pods = master.core("pods");
        // From its first template on: refused for want of the template, then for want of knowledge.
        until("the fault is met, and the template known", || {
            let reply = master.api.post(&pods, &pod()).unwrap();
            assert!(!reply.success(), "{fault:?}: a pod was admitted");
            let known = reply.message().contains("other") || reply.message().contains("masters");
            let hits = world.relay.hits(&["/subjectaccessreviews ", &format!("\"{space}\"")]);
            (known && hits > 0).then_some(())
        });
        let stray = master.api.post(&master.core("configmaps"), &note("trace")).unwrap();
        assert!(!stray.success(), "{fault:?}: {}", stray.body);
        let there = world.admin().get(&pods).unwrap().body["items"].as_array().unwrap().len();
        assert_eq!(there, 1, "{fault:?}: its own pod alone");
        masters.push((fault, master));
    }
    world.relay.heal();
    for (fault, master) in masters {
        let pods = master.core("pods");
        until("the pod, once it is known", || Some(master.api.post(&pods, &pod()).unwrap()).filter(Reply::success));
        let made = world.admin().get(&format!("{pods}/worker")).unwrap().body;
        assert!(made["metadata"]["annotations"]["fledged.io/admission"].is_string(), "{fault:?}: {made}");
    }
}
