//! Manifests that people have, used verbatim as templates, admit themselves: as people send them, and as a real API
//! server showed them to webhooks in both phases.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use policies::parameter::Parameters;
use policies::recognise::{Context, Form, Recognition, recognise};
use policies::tables::{Completeness, Facts, compare, complete};
use policies::{template, yaml};
use serde_json::{Value, json};

use crate::support::given;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

#[test]
fn every_manifest_of_the_corpus_admits_itself_as_a_real_server_showed_it() {
    let mut facts = Facts::new(Completeness::Cluster);
    for document in yaml::documents(&fs::read_to_string(corpus().join("facts.yaml")).unwrap()).unwrap() {
        assert!(facts.apply(&document.to_value()));
    }
    let mut wrong = Vec::new();
    let mut seen = 0;
    let mut entries: Vec<_> =
        fs::read_dir(corpus().join("objects")).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let compiled = template::compile("t.yaml", &text, &Arc::new(Parameters::default()));
        let Some(template) = compiled.templates.first() else {
            wrong.push(format!("{name}: no template: {:?}", compiled.errors));
            continue;
        };
        let answers: Value =
            serde_json::from_slice(&fs::read(corpus().join("answers").join(format!("{name}.json"))).unwrap()).unwrap();
        let namespace = if name.starts_with("limited-") { "limited" } else { "trading" };
        let mut given = given();
        given.insert(policies::template::Given::MasterNamespace, namespace.to_owned());
        let mut forms = vec![(yaml::value(&text).unwrap(), Form::Submitted, "submitted")];
        for (key, form) in [("mutating", Form::Mutating), ("validating", Form::Validating), ("final", Form::Validating)]
        {
            if let Some(object) = answers.get(key) {
                forms.push((object.clone(), form, key));
            }
        }
        for (object, form, key) in forms {
            seen += 1;
            let context = Context { form, namespace, given: &given, facts: &facts, budget: None };
            match recognise(template, &object, &context) {
                Recognition::Match(_) => {}
                other => wrong.push(format!("{name} {key}: {other:?}")),
            }
        }
    }
    assert!(seen > 150, "the corpus is there: {seen}");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Every other object that is one leaf away.
fn neighbours(object: &Value) -> Vec<(String, Value)> {
    fn walk(at: &Value, pointer: &str, found: &mut Vec<(String, Option<Value>)>) {
        let child = |key: &str| format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
        match at {
            Value::Object(map) => {
                map.iter().for_each(|(key, value)| walk(value, &child(key), found));
                found.push((child("strange"), Some(Value::from("x"))));
                found.push((child("strange"), Some(Value::from(""))));
                found.push((child("strange"), Some(Value::from(0))));
                found.push((child("strange"), Some(json!([]))));
            }
            Value::Array(list) => {
                list.iter().enumerate().for_each(|(at, value)| walk(value, &child(&at.to_string()), found));
                let again = list.last().cloned().unwrap_or_else(|| json!({}));
                found.push((child("-"), Some(again)));
            }
            Value::String(text) => found.push((pointer.to_owned(), Some(format!("{text}x").into()))),
            Value::Number(number) => found.push((pointer.to_owned(), Some((number.as_f64().unwrap() + 1.0).into()))),
            Value::Bool(truth) => found.push((pointer.to_owned(), Some((!truth).into()))),
            Value::Null => {}
        }
        if pointer.matches('/').count() > 1 {
            found.push((pointer.to_owned(), None));
        }
    }
    let mut found = Vec::new();
    walk(object, "", &mut found);
    let changed = found.into_iter().map(|(pointer, value)| {
        let mut other = object.clone();
        let what = value.as_ref().map_or_else(|| format!("{pointer} removed"), |value| format!("{pointer} = {value}"));
        crate::support::change(&mut other, &pointer, value.unwrap_or(Value::Null));
        (what, other)
    });
    changed.collect()
}

#[test]
fn law_2_nothing_that_is_one_leaf_away_from_what_a_real_server_showed_is_admitted() {
    let mut facts = Facts::new(Completeness::Cluster);
    for document in yaml::documents(&fs::read_to_string(corpus().join("facts.yaml")).unwrap()).unwrap() {
        assert!(facts.apply(&document.to_value()));
    }
    let mut admitted = Vec::new();
    let mut entries: Vec<_> =
        fs::read_dir(corpus().join("objects")).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let compiled = template::compile("t.yaml", &text, &Arc::new(Parameters::default()));
        let template = compiled.templates.first().unwrap();
        let answers: Value =
            serde_json::from_slice(&fs::read(corpus().join("answers").join(format!("{name}.json"))).unwrap()).unwrap();
        let namespace = if name.starts_with("limited-") { "limited" } else { "trading" };
        let given =
            std::collections::BTreeMap::from([(policies::template::Given::MasterNamespace, namespace.to_owned())]);
        let admits = |other: &Value, form: Form| {
            let context = Context { form, namespace, given: &given, facts: &facts, budget: None };
            matches!(recognise(template, other, &context), Recognition::Match(_))
        };
        for (key, form) in [("mutating", Form::Mutating), ("validating", Form::Validating)] {
            let Some(object) = answers.get(key) else { continue };
            // What is missing beside what the server adds is in the third form below.
            for (what, other) in neighbours(object).into_iter().filter(|(what, _)| !what.ends_with(" removed")) {
                if !is_the_servers(&what, form) && admits(&other, form) {
                    admitted.push(format!("{name} {key}: {what}"));
                }
            }
        }
        // As people write it: another text of the same object is the same.
        let written = yaml::value(&text).unwrap();
        let completed = |object: &Value| {
            let mut object = object.clone();
            complete(&template.kind, &mut object, &facts);
            object
        };
        for (what, other) in neighbours(&written) {
            let same = || compare(&template.kind, &completed(&written), &completed(&other), &facts).is_empty();
            if !is_the_servers(&what, Form::Submitted) && admits(&other, Form::Submitted) && !same() {
                admitted.push(format!("{name} submitted: {what}"));
            }
        }
    }
    assert!(admitted.is_empty(), "{} admitted:\n{}", admitted.len(), admitted.join("\n"));
}

/// What the server overwrites whatever is sent, and what it chooses before the second phase.
fn is_the_servers(what: &str, form: Form) -> bool {
    let own = ["uid", "creationTimestamp", "managedFields", "resourceVersion", "generation", "selfLink"];
    let overwritten = ["/spec/volumeClaimTemplates/0/apiVersion", "/spec/volumeClaimTemplates/0/kind", "/status"];
    let allotted = ["/spec/healthCheckNodePort", "/nodePort"];
    own.iter().any(|field| what.starts_with(&format!("/metadata/{field}")))
        || overwritten.iter().any(|start| what.starts_with(start))
        // The old name of `serviceAccountName`, which wins.
        || what.contains("/spec/serviceAccount = ")
        || form == Form::Validating && allotted.iter().any(|field| what.contains(field))
}
