//! The manifests that the Kubernetes module carries for its own tests and addons, read from Go's module cache. None of
//! them is copied into this repository.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use policies::yaml;
use proof::populated;
use serde_json::Value;

use crate::cluster::{self, ConfigMaps, Ground};
use crate::document::{self, Document};

/// Where it keeps manifests.
const FOLDERS: [&str; 6] = [
    "test/e2e/testing-manifests",
    "test/e2e/dra/test-driver/deploy/example",
    "test/e2e_node/testing-manifests",
    "test/fixtures",
    "hack/testdata",
    "cluster/addons",
];

/// Kinds that no template admits: identities, rights, what is not in a namespace.
const NEVER: [&str; 26] = [
    "APIService",
    "CSIDriver",
    "CertificateSigningRequest",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "DeviceClass",
    "DeviceTaintRule",
    "FlowSchema",
    "IngressClass",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PriorityClass",
    "ResourcePoolStatusRequest",
    "ResourceSlice",
    "Role",
    "RoleBinding",
    "RuntimeClass",
    "SelfSubjectAccessReview",
    "ServiceAccount",
    "StorageClass",
    "SubjectAccessReview",
    "TokenReview",
    "ValidatingWebhookConfiguration",
];

fn paths(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            paths(&path, into);
        } else if [".yaml", ".yml", ".json"].iter().any(|end| name.trim_end_matches(".in").ends_with(end)) {
            into.push(path);
        }
    }
}

/// What Kubernetes' own tests put in for a template's words.
fn filled(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (_, after) = after.split_once("}}").unwrap_or(("", ""));
        out.push_str(before);
        out.push_str("registry.example/filled-in:1");
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Every document, and those that are no YAML.
pub(crate) fn documents() -> (Vec<Document>, Vec<String>) {
    let module = populated::module("k8s.io/kubernetes").unwrap();
    let mut files = Vec::new();
    for folder in FOLDERS {
        let folder = module.join(folder);
        assert!(folder.is_dir(), "{} is gone: look where the module keeps its manifests now", folder.display());
        paths(&folder, &mut files);
    }
    files.sort();
    let (mut found, mut unreadable) = (Vec::new(), Vec::new());
    for (number, path) in files.iter().enumerate() {
        let from = path.strip_prefix(&module).unwrap().display().to_string();
        let text = fs::read_to_string(path).unwrap();
        let text = if from.ends_with(".in") { filled(&text) } else { text };
        let config_map = format!("k-{number}");
        for text in document::cut(&text) {
            match yaml::value(&text) {
                Ok(Value::Null) => {}
                Ok(object) => expand(&config_map, &from, text, object, &mut found),
                Err(error) => unreadable.push(format!("{from}: {error}")),
            }
        }
    }
    (found, unreadable)
}

/// A List is its items, to kubectl.
fn expand(config_map: &str, from: &str, text: String, object: Value, into: &mut Vec<Document>) {
    match object["items"].as_array().filter(|_| object["kind"].as_str().is_some_and(|kind| kind.ends_with("List"))) {
        Some(items) => {
            for item in items {
                expand(config_map, from, item.to_string(), item.clone(), into);
            }
        }
        None => into.push(Document::new(config_map, from, text, object)),
    }
}

/// Those of kinds that a template may admit, and what the others are.
pub(crate) fn for_templates(all: Vec<Document>) -> (Vec<Document>, Vec<String>) {
    let (mut kept, mut left_out) = (Vec::new(), Vec::new());
    for document in all {
        let kind = document.kind();
        if NEVER.contains(&kind.kind.as_str()) {
            left_out.push(kind.kind);
        } else if document.object["metadata"].is_object() && !kind.version.is_empty() && !kind.kind.is_empty() {
            kept.push(document);
        } else {
            left_out.push("no object of the Kubernetes API".to_owned());
        }
    }
    (kept, left_out)
}

/// A ConfigMap per file, a key per document.
pub(crate) fn config_maps(documents: &[Document]) -> ConfigMaps {
    let mut maps: ConfigMaps = BTreeMap::new();
    for document in documents {
        let texts = maps.entry(document.config_map.clone()).or_default();
        texts.push((format!("{}.yaml", texts.len()), document.text.clone()));
    }
    maps
}

/// Those that the API server takes from an admin as kubectl sends them, for good, and the others with its words.
pub(crate) fn that_the_server_takes(ground: &Ground, all: Vec<Document>) -> (Vec<Document>, Vec<String>) {
    let (mut taken, mut left_out) = (Vec::new(), Vec::new());
    let admin = ground.admin();
    for document in all {
        let all = document.collection();
        let path = format!("{all}?fieldValidation=Strict");
        let reply = admin.send_text("POST", &path, "application/yaml", &document.text).unwrap();
        if reply.success() {
            cluster::remove(&admin, &format!("{all}/{}", reply.body["metadata"]["name"].as_str().unwrap()));
            taken.push(document);
        } else {
            left_out.push(format!("{}: {} {}", document.name, reply.code, reply.message()));
        }
    }
    (taken, left_out)
}
