//! Every kind: each manifest of the corpus, used verbatim as a template, admits itself in every way that it can be
//! sent, and nothing beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use policies::yaml;
use serde_json::{Value, json};
use story::Master;

use crate::house::{Cases, Way, collection, generated, namespace, record, send, shared, stored, until, with};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/tests/corpus")
}

pub(crate) struct Manifest {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) object: Value,
}

/// The manifests of the corpus; `limited-*` are for a namespace with a LimitRange.
pub(crate) fn manifests(limited: bool) -> Vec<Manifest> {
    let mut found: Vec<Manifest> = fs::read_dir(corpus().join("objects"))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            let object = yaml::value(&text).unwrap();
            Manifest { name: path.file_stem().unwrap().to_str().unwrap().to_owned(), text, object }
        })
        .filter(|manifest| manifest.name.starts_with("limited-") == limited)
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// A master whose ConfigMap holds each manifest twice: as it is, and named by the API server.
pub(crate) fn master(space: &str, manifests: &[Manifest]) -> Master {
    let cluster = &shared().cluster;
    cluster.namespace_named(space).unwrap();
    let mut data = serde_json::Map::new();
    for manifest in manifests {
        data.insert(format!("{}.yaml", manifest.name), json!(manifest.text));
        if manifest.object["metadata"]["generateName"].is_null() {
            data.insert(format!("{}-generated.yaml", manifest.name), json!(generated(&manifest.object).to_string()));
        }
    }
    data.insert("probe.yaml".into(), json!("{apiVersion: v1, kind: ConfigMap, metadata: {name: probe}}"));
    let templates = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": data,
        "metadata": {
            "name": "corpus", "namespace": space, "labels": {"fledged.io/templates": "true"},
            "annotations": {"fledged.io/duration": "1h", "fledged.io/masters": "eod"},
        },
    });
    let made = cluster.asker().post(&format!("/api/v1/namespaces/{space}/configmaps"), &templates).unwrap();
    assert!(made.success(), "{}", made.message());
    let master = shared().bare(space, "corpus").unwrap();
    master.until_known(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "probe"}})).unwrap();
    master
}

/// Facts of the corpus that are the namespace's own, and those of the cluster.
pub(crate) fn facts(space: &str, limited: bool) {
    let all = fs::read_to_string(corpus().join("facts.yaml")).unwrap();
    let (foreign, own) = if limited { ("trading", "limited") } else { ("limited", "trading") };
    let wanted: Vec<String> = all
        .split("\n---\n")
        .filter(|fact| !fact.contains(&format!("namespace: {foreign}")))
        .map(|fact| fact.replace(&format!("namespace: {own}"), &format!("namespace: {space}")))
        .collect();
    shared().cluster.namespace_named(space).unwrap();
    {
        // Some are the cluster's: of two who find one missing at the same time, `kubectl apply` fails for the second.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _held = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        shared().cluster.apply(&wanted.join("\n---\n")).unwrap();
    }
    let crd = "crd/widgets.example.com";
    shared().cluster.kubectl(&["wait", "--for=condition=Established", crd, "--timeout=30s"]).unwrap().ok().unwrap();
}

/// Judges one manifest in every way. Returns whether a PUT creates objects of its kind.
fn judge(cases: &mut Cases, master: &Master, manifest: &Manifest) -> bool {
    let admin = shared().cluster.asker();
    let Manifest { name, object, .. } = manifest;
    let all = collection(&master.namespace, object);
    let is_generated = object["metadata"]["name"].is_null();
    let mut creates_by_put = false;
    for way in Way::ALL {
        if is_generated && !matches!(way, Way::Post | Way::Generated) {
            continue;
        }
        let case = format!("{name}, {way:?}");
        if way == Way::Put {
            // Whether a PUT creates is the kind's own matter; what it answers an admin is what it answers a master.
            let one = format!("{all}/{}", object["metadata"]["name"].as_str().unwrap());
            creates_by_put = admin.put(&format!("{one}?dryRun=All"), object).unwrap().success();
            if !creates_by_put {
                let reply = send(master, way, object, "");
                cases.holds(&case, reply.code == 404, reply.message());
                continue;
            }
        }
        let dry = send(master, way, object, "?dryRun=All");
        cases.admitted(&format!("{case}, dry run"), &dry);

        let label = with(object, "/metadata/labels/stray", json!("x"));
        cases.refused(
            &format!("{case}, with a label"),
            &send(master, way, &label, "?dryRun=All"),
            &["labels", "stray"],
        );

        let reply = send(master, way, object, "");
        cases.admitted(&case, &reply);
        let Some(stored) = reply.body["metadata"]["name"].as_str().and_then(|made| {
            cases.holds(
                &format!("{case}, dry run"),
                dry.body["metadata"]["uid"] != reply.body["metadata"]["uid"],
                "same",
            );
            stored(shared(), &format!("{all}/{made}"))
        }) else {
            continue;
        };
        judge_stored(cases, &case, master, &all, &stored);
        if way == Way::Apply {
            // Not always a success: of some kinds the API server itself cannot apply twice what it has completed.
            let again = send(master, way, object, "");
            let by_us = again.message().contains("retinue");
            cases.holds(&format!("{case}, again"), again.success() || !by_us, again.message());
        }
        remove(cases, &case, master, &format!("{all}/{}", stored["metadata"]["name"].as_str().unwrap()));
    }
    creates_by_put
}

/// The stamp, as it is in etcd; and the object put back as it is, which is no change.
fn judge_stored(cases: &mut Cases, case: &str, master: &Master, all: &str, stored: &Value) {
    let name = stored["metadata"]["name"].as_str().unwrap();
    let record = record(stored);
    cases.holds(case, record["object"]["kind"] == stored["kind"], format!("its record is {record}"));
    cases.holds(case, record["pod"]["name"] == "eod", format!("its record is {record}"));
    let labels = &stored["metadata"]["labels"];
    let stamped = ["fledged.io/master", "fledged.io/template", "fledged.io/expires-at"];
    cases.holds(case, stamped.iter().all(|key| labels[*key].is_string()), format!("its labels are {labels}"));
    let owners = &stored["metadata"]["ownerReferences"];
    let owner = owners.as_array().is_some_and(|owners| owners.len() == 1) && owners[0]["kind"] == "Pod";
    cases.holds(case, owner && owners[0].get("controller").is_none(), format!("its owners are {owners}"));
    // Another may write meanwhile (a scheduler): then it is read and written again.
    let put = until("an unconflicted PUT", || {
        let now = crate::house::stored(shared(), &format!("{all}/{name}"))?;
        Some(master.api.put(&format!("{all}/{name}"), &now).unwrap()).filter(|reply| reply.code != 409)
    });
    cases.admitted(&format!("{case}, put back as it is"), &put);
}

/// The master deletes it, and it goes.
fn remove(cases: &mut Cases, case: &str, master: &Master, path: &str) {
    let options = json!({"propagationPolicy": "Background", "gracePeriodSeconds": 0});
    let reply = master.api.delete(path, Some(&options)).unwrap();
    cases.admitted(&format!("{case}, deleted"), &reply);
    until(&format!("the end of {path}"), || stored(shared(), path).is_none().then_some(()));
}

fn every_manifest(limited: bool, least: usize) {
    let space = namespace(if limited { "limited" } else { "corpus" });
    facts(&space, limited);
    let manifests = manifests(limited);
    assert!(manifests.len() >= least);
    let master = master(&space, &manifests);
    let mut cases = Cases::default();
    let mut by_put = Vec::new();
    for manifest in &manifests {
        if judge(&mut cases, &master, manifest) {
            by_put.push(manifest.object["kind"].as_str().unwrap());
        }
    }
    if !limited {
        assert!(by_put.contains(&"Lease"), "{by_put:?}");
    }
    cases.finish();
}

#[test]
fn every_kind_used_as_a_template_admits_itself_in_every_way_and_nothing_more() {
    every_manifest(false, 50);
}

#[test]
fn a_pod_in_a_namespace_with_a_limit_range_admits_itself_in_every_way() {
    every_manifest(true, 1);
}
