//! A template ConfigMap as somebody writes it: the text before the first `---`, if there is one, are its parameters.

use policies::library::TemplateSet;
use policies::recognise::{Context, Form, Recognition, recognise};
use policies::render::{defaults, render};
use policies::tables::{Completeness, Facts};
use policies::template::Placement;
use policies::{lint, yaml};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The ConfigMap of these two texts.
pub fn config_map(parameters: &str, manifest: &str) -> Value {
    let mut map = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": "templates", "namespace": "trading", "uid": "u", "resourceVersion": "1",
            "labels": {"fledged.io/templates": "true"},
        },
        "data": {"t.yaml": manifest},
    });
    if !parameters.trim().is_empty() {
        map["data"]["parameters"] = parameters.into();
    }
    map
}

/// Loads and lints the text; what compiles admits its own rendering.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (parameters, manifest) = text.split_once("---\n").unwrap_or(("", text));
    let map = config_map(parameters, manifest);
    let set = TemplateSet::load(&map);
    let _ = lint::problems(text);
    let linted = lint::problems_of(&map);
    assert_eq!(lint::has_errors(&linted), set.errors().next().is_some(), "loading and linting disagree");
    for template in set.templates.all() {
        let Ok(bindings) = defaults(&template.parameters, &BTreeMap::new()) else { continue };
        // What it renders with its defaults alone, where that is possible, is recognised.
        let Ok(object) = render(template, &bindings) else { continue };
        if template.duration.is_some() || template.keep_finished.is_some() || template.notify_before.is_some() {
            continue;
        }
        let namespace = match &template.placement {
            Placement::MasterNamespace => "trading".to_owned(),
            Placement::Named(_) => object["metadata"]["namespace"].as_str().unwrap_or_default().to_owned(),
        };
        let facts = Facts::new(Completeness::Cluster);
        let context = Context {
            form: Form::Submitted,
            namespace: &namespace,
            given: &BTreeMap::new(),
            facts: &facts,
            budget: None,
        };
        if let Recognition::Differ(differences) = recognise(template, &object, &context) {
            panic!("it does not admit {object}: {differences:?}");
        }
    }
    if let Ok(documents) = yaml::documents(manifest) {
        for document in documents {
            let value = document.to_value();
            let text = value.to_string();
            // But for what JSON need not escape and YAML does not take as it is.
            if text.chars().all(is_printable) {
                assert_eq!(yaml::value(&text).as_ref(), Ok(&value), "JSON is YAML");
            }
        }
    }
}

/// Whether YAML takes the character as it is (YAML 1.2, `c-printable`; a byte order mark begins another document).
fn is_printable(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}' | '\u{10000}'..)
}
