//! Manifests that people have, used verbatim as templates, admit themselves: as people send them, and as a real API
//! server showed them to webhooks in both phases.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use policies::parameter::Parameters;
use policies::recognise::{Context, Form, Recognition, recognise};
use policies::tables::{Completeness, Facts};
use policies::{template, yaml};
use serde_json::Value;

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
            let context = Context { form, namespace, given: &given, facts: &facts };
            match recognise(template, &object, &context) {
                Recognition::Match(_) => {}
                other => wrong.push(format!("{name} {key}: {other:?}")),
            }
        }
    }
    assert!(seen > 150, "the corpus is there: {seen}");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
