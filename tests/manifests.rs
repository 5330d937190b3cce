//! Completeness on real manifests: each, used verbatim as a template, admits itself through the real API server in
//! both phases, however it is sent, and not with one label more.
//!
//! `tests/manifests/*.yaml` are manifests as people write them, a subject per file; `tests/manifests/around` is what
//! lives in the cluster beside them. The second test reads the manifests that the Kubernetes module itself carries,
//! from Go's module cache. Manifests are sent as they are written, so that it is the API server that reads the YAML.
#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]

#[path = "manifest_cases/cluster.rs"]
mod cluster;
#[path = "manifest_cases/document.rs"]
mod document;
#[path = "manifest_cases/judge.rs"]
mod judge;
#[path = "manifest_cases/kubernetes.rs"]
mod kubernetes;
#[path = "manifest_cases/proof.rs"]
mod proof;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use document::Document;

/// The least that the corpus has, and each of them is admitted.
const LEAST: usize = 250;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests")
}

#[test]
fn every_manifest_used_as_a_template_admits_itself_in_every_way_and_nothing_more() {
    let files = document::files(&folder());
    let documents: Vec<Document> = files.iter().flat_map(|file| file.documents()).collect();
    let texts = files.iter().map(|file| (file.name.clone(), vec![(file.key(), file.text.clone())]));
    let ground = cluster::Ground::start(&folder().join("around"), &documents);
    let cluster = cluster::Cluster::on(ground, texts.collect());
    let mut proof = judge::all(&cluster, &documents);
    judge::kubectl(&cluster, &documents, &mut proof);
    proof.print("manifests");
    assert!(proof.manifests >= LEAST, "{} manifests", proof.manifests);
    proof.hold();
}

#[test]
fn the_manifests_of_kubernetes_itself_admit_themselves_in_every_way_and_nothing_more() {
    let (all, unreadable) = kubernetes::documents();
    let (documents, never) = kubernetes::for_templates(all);
    let ground = cluster::Ground::start(&folder().join("around"), &documents);
    let (documents, refused) = kubernetes::that_the_server_takes(&ground, documents);
    let cluster = cluster::Cluster::on(ground, kubernetes::config_maps(&documents));
    let proof = judge::all(&cluster, &documents);
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    never.iter().for_each(|kind| *kinds.entry(kind).or_default() += 1);
    println!("left out, since no template admits such: {}: {kinds:?}", never.len());
    for (why, left_out) in [("kubectl reads no YAML there", &unreadable), ("the API server refuses it", &refused)] {
        println!("left out, since {why}: {}", left_out.len());
        left_out.iter().for_each(|one| println!("    {one}"));
    }
    proof.print("kubernetes-manifests");
    assert!(proof.manifests >= 200, "{} manifests", proof.manifests);
    proof.hold();
}
