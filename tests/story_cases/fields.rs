//! Every field, against the real API server: each single change of a manifest that its template admits, and each field
//! that the Kubernetes API knows beside, is refused; what is admitted is what the API server itself does not tell from
//! the manifest.

use std::collections::BTreeMap;

use controlplane::{Asker, Reply};
use policies::difference::{Path, Step};
use policies::object::Gvk;
use policies::tables::{Facts, ListKind, shape_of};
use proof::figures::{Figures, note};
use proof::populated;
use proof::vary::{self, Variation};
use serde_json::Value;
use story::Master;

use crate::corpus::{facts, manifests, master};
use crate::house::{Cases, collection, namespace, shared};

/// The kinds that are gone through field by field, and how many changes are tried at least.
const KINDS: [&str; 4] = ["Pod", "Job", "Deployment", "Service"];
const AT_LEAST: usize = 2_000;

/// What came of the changes.
#[derive(Default)]
struct Tally {
    by_retinue: usize,
    by_the_server: usize,
    same: usize,
    wrong: Vec<String>,
}

/// What the API server makes of an object, without what differs from one request to the next.
fn made(reply: &Reply) -> Value {
    let mut made = reply.body.clone();
    let uid = made["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    for key in ["uid", "resourceVersion", "creationTimestamp", "managedFields", "generation"] {
        made["metadata"].as_object_mut().unwrap().remove(key);
    }
    made.as_object_mut().unwrap().remove("status");
    let generated = made["metadata"]["generateName"].is_string();
    let name = generated.then(|| made["metadata"]["name"].as_str().unwrap().to_owned());
    // Its own uid and generated name, as controllers' labels repeat them.
    for own in [Some(uid), name].iter().flatten().filter(|own| !own.is_empty()) {
        anonymous(&mut made, own);
    }
    if made["kind"] == "Service"
        && let Some(spec) = made["spec"].as_object_mut()
    {
        spec.retain(|key, _| !["clusterIP", "clusterIPs", "healthCheckNodePort"].contains(&key.as_str()));
        for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
            port.as_object_mut().unwrap().remove("nodePort");
        }
    }
    made
}

/// Without what is its own, and without the random suffix of the token's volume.
fn anonymous(value: &mut Value, own: &str) {
    match value {
        Value::Object(fields) => fields.values_mut().for_each(|value| anonymous(value, own)),
        Value::Array(elements) => elements.iter_mut().for_each(|value| anonymous(value, own)),
        Value::String(text) if text.contains(own) => *text = text.replace(own, "OWN"),
        Value::String(text) if text.strip_prefix("kube-api-access-").is_some_and(|suffix| suffix.len() == 5) => {
            text.truncate("kube-api-access-".len());
        }
        _ => {}
    }
}

/// Every field that the API knows and the object lacks, each added alone with the value that the module has for it.
fn grown(object: &Value, whole: &Value) -> Vec<Variation> {
    fn walk(at: &Value, whole: &Value, path: &Path, pointer: &str, all: &mut Vec<(Path, String, Value)>) {
        match (at, whole) {
            (Value::Object(at), Value::Object(whole)) => {
                for (key, value) in whole {
                    let inner = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
                    match at.get(key) {
                        Some(at) => walk(at, value, &path.key(key), &inner, all),
                        None => all.push((path.key(key), inner, value.clone())),
                    }
                }
            }
            (Value::Array(at), Value::Array(whole)) => {
                let Some(known) = whole.first() else { return };
                for (index, at) in at.iter().enumerate() {
                    walk(at, known, &path.index(index), &format!("{pointer}/{index}"), all);
                }
                all.push((path.index(at.len()), format!("{pointer}/{}", at.len()), known.clone()));
            }
            _ => {}
        }
    }
    let mut all = Vec::new();
    walk(object, whole, &Path::root(), "", &mut all);
    all.into_iter()
        .map(|(path, pointer, now)| Variation {
            object: crate::house::with(object, &pointer, now.clone()),
            change: vary::Change::Added,
            was: Value::Null,
            path,
            now,
        })
        .collect()
}

/// Whether two neighbours changed places in a list whose elements are found by their merge keys.
fn turned(variation: &Variation) -> bool {
    let object = &variation.object;
    let kind = Gvk::from_api_version(object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
    let facts = Facts::default();
    let shape = variation.path.steps().iter().fold(shape_of(&kind, &facts), |shape, step| match step {
        Step::Key(key) => shape.field(key),
        Step::Index(_) | Step::Element(_) => shape.element(),
    });
    variation.change == vary::Change::Swapped && !matches!(shape.list(), ListKind::Positional)
}

fn try_one(master: &Master, admin: &Asker, path: &str, case: &str, variation: &Variation, base: &Value) -> Tally {
    let mut tally = Tally::default();
    let reply = master.api.post(path, &variation.object).unwrap();
    if reply.success() {
        // The API server is the judge of what is the same object.
        let alone = admin.post(path, &variation.object).unwrap();
        let same = alone.success() && (made(&alone) == *base || turned(variation));
        if same {
            tally.same += 1;
        } else {
            let now = variation.now.to_string().chars().take(200).collect::<String>();
            let differs = json_patch::diff(base, &made(&alone)).to_string();
            tally.wrong.push(format!(
                "{case} {}: {:?} {now} is admitted, and makes {differs}",
                variation.path, variation.change
            ));
        }
    } else if reply.message().contains("retinue.fledged.io\" denied") {
        tally.by_retinue += 1;
    } else {
        // It cannot be read, is for another namespace, or an admission plugin of the server's own refused it before us.
        let plugin = matches!(reply.code, 403 | 500) && !reply.message().contains("retinue");
        if plugin || matches!(reply.code, 400 | 404 | 422) {
            tally.by_the_server += 1;
        } else {
            tally.wrong.push(format!("{case} {}: {} {}", variation.path, reply.code, reply.message()));
        }
    }
    tally
}

fn add(all: &mut Tally, one: Tally) {
    all.by_retinue += one.by_retinue;
    all.by_the_server += one.by_the_server;
    all.same += one.same;
    all.wrong.extend(one.wrong);
}

#[test]
fn threats_9_21_22_and_23_no_single_change_of_any_field_is_admitted() {
    let space = namespace("fields");
    facts(&space, false);
    let manifests: Vec<_> =
        manifests(false).into_iter().filter(|m| KINDS.contains(&m.object["kind"].as_str().unwrap())).collect();
    let master = master(&space, &manifests);
    let whole: BTreeMap<String, Value> = populated::all()
        .unwrap()
        .into_iter()
        .filter(|one| KINDS.contains(&one.kind.kind.as_str()) && one.kind.version == "v1")
        .map(|one| (one.kind.kind.clone(), one.object))
        .collect();
    let admin = shared().cluster.asker();
    let mut work = Vec::new();
    let mut bases = Vec::new();
    for manifest in &manifests {
        let path = format!("{}?dryRun=All", collection(&space, &manifest.object));
        let base = admin.post(&path, &manifest.object).unwrap();
        assert!(base.success(), "{}: {}", manifest.name, base.message());
        let mut all = grown(&manifest.object, &whole[manifest.object["kind"].as_str().unwrap()]);
        vary::each(&manifest.object, 1, &|_| false, &mut |variation| all.push(variation));
        work.extend(all.into_iter().map(|variation| (bases.len(), variation)));
        bases.push((manifest.name.as_str(), path, made(&base)));
    }
    // All of them take minutes: one of four, unless `make proof` asks for more.
    let every: usize = std::env::var("PROOF_EVERY").map_or(4, |text| text.parse().unwrap());
    let work: Vec<_> = work.into_iter().step_by(every).collect();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let mut all = Tally::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut mine = Tally::default();
                    while let Some((base, variation)) =
                        work.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
                    {
                        let (name, path, made) = &bases[*base];
                        add(&mut mine, try_one(&master, &admin, path, name, variation, made));
                    }
                    mine
                })
            })
            .collect();
        for thread in threads {
            add(&mut all, thread.join().unwrap());
        }
    });
    println!(
        "{} variations: {} refused by retinue, {} by the API server, {} the same, {} wrong",
        work.len(),
        all.by_retinue,
        all.by_the_server,
        all.same,
        all.wrong.len()
    );
    let (tried, good, wrong) = (work.len(), all.by_retinue + all.by_the_server, all.wrong.len());
    note("variations-api", Figures { tried, good, wrong }).unwrap();
    let mut cases = Cases::default();
    for wrong in &all.wrong {
        cases.holds("a change", false, wrong);
    }
    cases.holds("changes", every > 4 || work.len() >= AT_LEAST, work.len());
    cases.holds("refused by retinue", all.by_retinue > work.len() / 2, all.by_retinue);
    cases.finish();
}
