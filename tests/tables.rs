//! The tables of `policies` against an API server: every manifest of the corpus, created with dry run, comes back as
//! what the tables complete it to. Where an older server differs stands in `tests/tables/versions.txt`, and nowhere
//! else; `make tables VERSION=1.33.13` builds one and compares.
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

/// Where the server makes something else of a manifest than the tables do.
fn differences(cluster: &ControlPlane, facts: &Facts, name: &str, manifest: &Value) -> Vec<String> {
    let api_version = manifest["apiVersion"].as_str().unwrap();
    let kind = Gvk::from_api_version(api_version, manifest["kind"].as_str().unwrap());
    let group = if api_version == "v1" { "api/v1".to_owned() } else { format!("apis/{api_version}") };
    let namespace = if name.starts_with("limited-") { "limited" } else { "trading" };
    let path = format!("/{group}/namespaces/{namespace}/{}?dryRun=All", plural(&kind).unwrap_or("widgets"));
    let (status, body) = cluster.request("POST", &path, Some(manifest)).unwrap();
    let mut object: Value = serde_json::from_str(&body).unwrap_or_default();
    if !(200..300).contains(&status) {
        return vec![format!("{name}: {status} {}", object["message"].as_str().unwrap_or(&body))];
    }
    let mut expected = manifest.clone();
    complete(&kind, &mut expected, facts);
    inject(&kind, &mut expected, &object, Form::Validating, namespace, facts).unwrap();
    complete(&kind, &mut object, facts);
    compare(&kind, &expected, &object, facts).iter().map(|difference| format!("{name}: {difference}")).collect()
}

/// What an older server lacks that retinue uses.
fn lacks(cluster: &ControlPlane) -> Vec<String> {
    let list = cluster.get("/apis/admissionregistration.k8s.io/v1").unwrap();
    let served: Vec<_> = list["resources"].as_array().unwrap().iter().filter_map(|it| it["name"].as_str()).collect();
    let used = ["validatingadmissionpolicies", "mutatingadmissionpolicies", "mutatingwebhookconfigurations"];
    let lacking = used.into_iter().filter(|used| !served.contains(used));
    lacking.map(|lacking| format!("it has no {lacking} in admissionregistration.k8s.io/v1")).collect()
}

/// Where is written what came of each version: its lines, indented, below it.
fn recorded() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tables/versions.txt")
}

/// The section of a version, as it is written down.
fn section(text: &str, version: &str) -> Option<String> {
    let head = |line: &str| line.split(':').next() == Some(version);
    let mut lines = text.lines().skip_while(|line| !head(line));
    let first = lines.next()?.to_owned();
    let rest = lines.take_while(|line| line.starts_with(' '));
    Some([first].into_iter().chain(rest.map(str::to_owned)).collect::<Vec<_>>().join("\n"))
}

#[test]
fn the_server_completes_every_manifest_as_the_tables_do_or_differs_where_it_is_written_down() {
    let cluster = Options::api_only().start().unwrap();
    for namespace in ["trading", "limited"] {
        cluster.namespace_named(namespace).unwrap();
        cluster.service_account(namespace, "default").unwrap();
    }
    cluster.apply(&fs::read_to_string(corpus().join("facts.yaml")).unwrap()).unwrap();
    cluster
        .kubectl(&["wait", "--for=condition=Established", "crd/widgets.example.com", "--timeout=30s"])
        .unwrap()
        .ok()
        .unwrap();
    let facts = live_facts(&cluster);
    let (mut count, mut differ) = (0, lacks(&cluster));
    let mut manifests: Vec<_> =
        fs::read_dir(corpus().join("objects")).unwrap().map(|entry| entry.unwrap().path()).collect();
    manifests.sort();
    for path in manifests {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let manifest = yaml::value(&fs::read_to_string(&path).unwrap()).unwrap();
        differ.extend(differences(&cluster, &facts, name, &manifest));
        count += 1;
    }
    assert!(count > 50, "{count}");
    let version = cluster.get("/version").unwrap()["gitVersion"].as_str().unwrap().to_owned();
    let lines: String = differ.iter().map(|line| format!("\n  {}", line.replace('\n', " "))).collect();
    let found = format!("{version}: {count} manifests, {} lines of difference{lines}", differ.len());
    println!("{found}");
    let text = fs::read_to_string(recorded()).unwrap();
    let known = section(&text, &version);
    if known.as_ref() == Some(&found) {
        return;
    }
    if std::env::var_os("UPDATE_VERSIONS").is_some() {
        let text = match known {
            Some(known) => text.replace(&known, &found),
            None => format!("{}\n{found}\n", text.trim_end()),
        };
        fs::write(recorded(), text).unwrap();
        return;
    }
    panic!("tests/tables/versions.txt says:\n{}\n\nbut this server is:\n{found}", known.unwrap_or("nothing".into()));
}
