//! Every manifest of the corpus, completed by the tables, is what a real API server made of it.
//!
//! `corpus/objects` are manifests as people write them; `corpus/answers` what Kubernetes 1.36.3 showed of each to a
//! mutating and to a validating webhook, and what it answered (where that differs), beside the live objects of
//! `corpus/facts.yaml`. The root test `tables` compares the same manifests with a server of today.
#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

use policies::object::Gvk;
use policies::tables::{Completeness, Facts, Form, compare, complete, inject};
use policies::yaml;
use serde_json::{Value, json};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

fn facts() -> Facts {
    let mut facts = Facts::new(Completeness::Cluster);
    for document in yaml::documents(&fs::read_to_string(corpus().join("facts.yaml")).unwrap()).unwrap() {
        assert!(facts.apply(&document.to_value()));
    }
    facts
}

/// One manifest of the corpus.
struct Case {
    name: String,
    kind: Gvk,
    namespace: &'static str,
    manifest: Value,
    completed: Value,
    answers: Value,
}

fn cases(facts: &Facts) -> Vec<Case> {
    let mut cases: Vec<_> = fs::read_dir(corpus().join("objects"))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let manifest = yaml::value(&fs::read_to_string(&path).unwrap()).unwrap();
            let answers = fs::read(corpus().join("answers").join(format!("{name}.json"))).unwrap();
            let namespace = if name.starts_with("limited-") { "limited" } else { "trading" };
            let kind =
                Gvk::from_api_version(manifest["apiVersion"].as_str().unwrap(), manifest["kind"].as_str().unwrap());
            let mut completed = manifest.clone();
            complete(&kind, &mut completed, facts);
            Case { name, kind, namespace, manifest, completed, answers: serde_json::from_slice(&answers).unwrap() }
        })
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(cases.len() > 50, "the corpus is there");
    cases
}

impl Case {
    /// The differences between the manifest and an object, as recognition finds them.
    fn differences(&self, object: &Value, form: Form, facts: &Facts) -> Vec<String> {
        let mut expected = self.completed.clone();
        if let Err(error) = inject(&self.kind, &mut expected, object, form, self.namespace, facts) {
            return vec![error.to_string()];
        }
        let mut object = object.clone();
        complete(&self.kind, &mut object, facts);
        compare(&self.kind, &expected, &object, facts).iter().map(ToString::to_string).collect()
    }

    /// What the server showed, and in which form.
    fn shown(&self) -> Vec<(&Value, Form)> {
        [("mutating", Form::Mutating), ("validating", Form::Validating), ("final", Form::Validating)]
            .into_iter()
            .filter_map(|(name, form)| Some((self.answers.get(name)?, form)))
            .collect()
    }
}

#[test]
fn every_manifest_is_what_the_server_made_of_it() {
    let facts = facts();
    let mut wrong = Vec::new();
    for case in cases(&facts) {
        assert!(case.shown().len() >= 2, "{}: both phases", case.name);
        for (object, form) in case.shown() {
            for difference in case.differences(object, form, &facts) {
                wrong.push(format!("{} {form:?} {difference}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_manifest_is_itself_as_people_write_it() {
    let facts = facts();
    for case in cases(&facts) {
        assert_eq!(case.differences(&case.manifest, Form::Submitted, &facts), Vec::<String>::new(), "{}", case.name);
    }
}

/// Paths where the server may put anything of a kind into this very object, so that a changed value is still one.
fn allocated(case: &Case, path: &str, form: Form) -> bool {
    // The server writes these over whatever is sent: another value is the same object.
    let overwritten = path.ends_with("/serviceAccount")
        || path.starts_with("/spec/volumeClaimTemplates/0/")
            && (path.ends_with("/apiVersion") || path.ends_with("/kind"));
    if overwritten {
        return true;
    }
    if form != Form::Validating {
        return path.ends_with("deprecated.daemonset.template.generation");
    }
    let service = case.kind.kind == "Service";
    path == "/metadata/name" && case.manifest["metadata"].get("generateName").is_some()
        || path.ends_with("deprecated.daemonset.template.generation")
        || service && ["/spec/clusterIP", "/spec/ipFamil", "/spec/healthCheck"].iter().any(|at| path.starts_with(at))
        || service && path.ends_with("/nodePort")
}

fn server_owned(path: &str) -> bool {
    ["uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink"]
        .iter()
        .any(|field| path.strip_prefix("/metadata/") == Some(field))
        || path == "/status"
        || path.starts_with("/status/")
}

/// Every place of a value, as a JSON pointer.
fn places(value: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                places(value, &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), all);
            }
        }
        Value::Array(elements) => {
            for (index, value) in elements.iter().enumerate() {
                places(value, &format!("{at}/{index}"), all);
            }
        }
        _ => {}
    }
}

/// What is wrong with a place, one change at a time.
fn changes(value: &Value) -> Vec<Value> {
    match value {
        Value::String(text) => vec![json!(format!("{text}x")), json!("other"), json!(7)],
        Value::Number(number) => vec![json!(number.as_f64().unwrap() + 7.0), json!("other")],
        Value::Bool(truth) => vec![json!(!truth)],
        Value::Array(elements) => {
            let mut longer = elements.clone();
            longer.push(elements.first().cloned().unwrap_or(json!("more")));
            vec![json!(longer)]
        }
        Value::Object(fields) => {
            let mut more = fields.clone();
            more.insert("unheardOf".into(), json!("x"));
            vec![json!(more)]
        }
        Value::Null => vec![json!("x")],
    }
}

#[test]
fn threat_23_any_one_change_of_what_the_server_shows_is_a_difference() {
    let facts = facts();
    let (mut tried, mut missed) = (0, Vec::new());
    for case in cases(&facts) {
        for (object, form) in case.shown() {
            let mut all = Vec::new();
            places(object, "", &mut all);
            for path in all.iter().filter(|path| !server_owned(path) && !allocated(&case, path, form)) {
                let value = object.pointer(path).unwrap();
                for change in changes(value).into_iter().filter(|change| change != value) {
                    let mut changed = object.clone();
                    *changed.pointer_mut(path).unwrap() = change.clone();
                    tried += 1;
                    if case.differences(&changed, form, &facts).is_empty() {
                        missed.push(format!("{} {form:?} {path} {change}", case.name));
                    }
                }
            }
        }
    }
    assert!(tried > 9_000, "{tried}");
    assert!(missed.is_empty(), "{} of {tried}:\n{}", missed.len(), missed.join("\n"));
}
