//! The tables of `policies` against the API server of today: every manifest of the corpus, created with dry run, comes
//! back as what the tables complete it to.
#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

use controlplane::{ControlPlane, Options};
use policies::object::Gvk;
use policies::tables::{Completeness, FACT_KINDS, Facts, Form, compare, complete, inject, plural};
use policies::yaml;
use serde_json::Value;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/tests/corpus")
}

/// The facts as the server has them, so that its own defaults for them count too.
fn live_facts(cluster: &ControlPlane) -> Facts {
    let mut facts = Facts::new(Completeness::Cluster);
    for (api_version, kind) in FACT_KINDS {
        let group = if api_version == "v1" { "api/v1".to_owned() } else { format!("apis/{api_version}") };
        let plural = plural(&Gvk::from_api_version(api_version, kind)).unwrap();
        let list = cluster.get(&format!("/{group}/{plural}")).unwrap();
        for item in list["items"].as_array().unwrap() {
            let mut item = item.clone();
            item["kind"] = kind.into();
            facts.apply(&item);
        }
    }
    facts
}

fn differences(cluster: &ControlPlane, facts: &Facts, name: &str, manifest: &Value) -> Vec<String> {
    let api_version = manifest["apiVersion"].as_str().unwrap();
    let kind = Gvk::from_api_version(api_version, manifest["kind"].as_str().unwrap());
    let group = if api_version == "v1" { "api/v1".to_owned() } else { format!("apis/{api_version}") };
    let namespace = if name.starts_with("limited-") { "limited" } else { "trading" };
    let path = format!("/{group}/namespaces/{namespace}/{}?dryRun=All", plural(&kind).unwrap_or("widgets"));
    let (status, body) = cluster.request("POST", &path, Some(manifest)).unwrap();
    assert!((200..300).contains(&status), "{name}: {status} {body}");
    let mut object: Value = serde_json::from_str(&body).unwrap();

    let mut expected = manifest.clone();
    complete(&kind, &mut expected, facts);
    inject(&kind, &mut expected, &object, Form::Validating, namespace, facts).unwrap();
    complete(&kind, &mut object, facts);
    compare(&kind, &expected, &object, facts).iter().map(|difference| format!("{name}: {difference}")).collect()
}

#[test]
fn the_server_of_today_completes_every_manifest_as_the_tables_do() {
    let cluster = Options::default().start().unwrap();
    for namespace in ["trading", "limited"] {
        cluster.namespace_named(namespace).unwrap();
    }
    cluster.apply(&fs::read_to_string(corpus().join("facts.yaml")).unwrap()).unwrap();
    cluster
        .kubectl(&["wait", "--for=condition=Established", "crd/widgets.example.com", "--timeout=30s"])
        .unwrap()
        .ok()
        .unwrap();
    let facts = live_facts(&cluster);
    let (mut count, mut wrong) = (0, Vec::new());
    for entry in fs::read_dir(corpus().join("objects")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let manifest = yaml::value(&fs::read_to_string(&path).unwrap()).unwrap();
        wrong.extend(differences(&cluster, &facts, name, &manifest));
        count += 1;
    }
    assert!(count > 50, "{count}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
