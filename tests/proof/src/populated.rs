//! Objects with every field set: `testdata/HEAD` of the module `k8s.io/api`, which has one file for each kind.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use policies::object::Gvk;
use policies::tables::{Facts, SERVER_OWNED};
use policies::tables::{Scope, forbidden, has_status, scope};
use policies::yaml;
use serde_json::{Map, Value, json};

/// An object with every field set that a master could send.
#[derive(Clone, Debug)]
pub struct Populated {
    /// Its kind.
    pub kind: Gvk,
    /// The object, as a manifest.
    pub object: Value,
}

/// The folder of a Go module, as the go.mod in `tests/controlplane/kubernetes` requires it.
///
/// # Errors
/// Without Go, or when the module cannot be had.
pub fn module(name: &str) -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../controlplane/kubernetes");
    let go = |args: &[&str]| -> Result<String> {
        let output = Command::new("go").args(args).env("GOFLAGS", "-mod=readonly").current_dir(&folder).output();
        let output = output.context("running go, which finds the module of the Kubernetes API: is Go installed?")?;
        ensure!(output.status.success(), "go {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    };
    let list = ["list", "-m", "-f", "{{.Dir}}", name];
    let mut found = go(&list)?;
    if found.is_empty() {
        go(&["mod", "download", name])?;
        found = go(&list)?;
    }
    ensure!(!found.is_empty(), "the module {name} is not in the module cache");
    Ok(found.into())
}

/// Every kind that lives in namespaces and that a template may admit.
///
/// # Errors
/// When the module cannot be had or read.
pub fn all() -> Result<Vec<Populated>> {
    let folder = module("k8s.io/api")?.join("testdata/HEAD");
    let mut files: Vec<_> = std::fs::read_dir(&folder)?.collect::<Result<Vec<_>, _>>()?;
    files.sort_by_key(std::fs::DirEntry::file_name);
    let mut all = Vec::new();
    for file in files {
        let path = file.path();
        let name = file.file_name().to_string_lossy().into_owned();
        // Beside the object itself there are roundtrip files of older versions, named after it.
        if !name.ends_with(".yaml") || name.contains(".after_roundtrip") {
            continue;
        }
        let text = std::fs::read_to_string(&path)?;
        let object = yaml::value(&text).with_context(|| path.display().to_string())?;
        let (Some(api_version), Some(kind)) = (object["apiVersion"].as_str(), object["kind"].as_str()) else {
            continue; // A WatchEvent, which is no object.
        };
        let kind = Gvk::from_api_version(api_version, kind);
        if scope(&kind) == Scope::Namespaced && forbidden(&kind).is_none() {
            all.push(Populated { object: manifest(&kind, object), kind });
        }
    }
    ensure!(all.len() > 20, "{}: only {} kinds", folder.display(), all.len());
    Ok(all)
}

/// What of the object a manifest may hold: not what the server owns, nor owners, which retinue alone writes.
fn manifest(kind: &Gvk, mut object: Value) -> Value {
    if has_status(kind, &Facts::default()) == Some(true)
        && let Some(fields) = object.as_object_mut()
    {
        fields.remove("status");
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.retain(|key, _| !SERVER_OWNED.contains(&key.as_str()));
        for key in ["deletionTimestamp", "deletionGracePeriodSeconds", "generateName"] {
            metadata.remove(key);
        }
    }
    without_owners(&mut object);
    object
}

/// No template may hold owners, not even those of its pod template.
fn without_owners(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("ownerReferences");
            fields.values_mut().for_each(without_owners);
        }
        Value::Array(elements) => elements.iter_mut().for_each(without_owners),
        _ => {}
    }
}

/// The same with a second element in every list, another than the first, so that order and number can be wrong.
pub fn doubled(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| (key.clone(), doubled(value))).collect::<Map<_, _>>().into()
        }
        Value::Array(elements) => {
            let mut list: Vec<Value> = elements.iter().map(doubled).collect();
            if let [one] = elements.as_slice() {
                list.push(another(one));
            }
            list.into()
        }
        other => other.clone(),
    }
}

/// The same with other texts and numbers.
fn another(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| (key.clone(), another(value))).collect::<Map<_, _>>().into()
        }
        Value::Array(elements) => elements.iter().map(another).collect::<Vec<_>>().into(),
        Value::String(text) => json!(format!("{text}2")),
        Value::Number(number) => number.as_i64().map_or_else(|| value.clone(), |number| json!(number + 100)),
        other => other.clone(),
    }
}
