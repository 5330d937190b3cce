//! Realistic templates, what they admit and what they refuse: a file of `tests/corpus` per template.
//!
//! A file has `parameters` and `template` as a ConfigMap has them; `given`, `namespace` and `facts` (objects) where they
//! matter; `admitted` objects with the parameters that come out; and `refused` changes to the first of these (or to
//! the one that `of` names), a change being a map of JSON pointers to values (null removes, `-` appends), each with the
//! path of the first difference and, where it matters, how the difference reads.
#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, missing_docs, reason = "tests")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use policies::parameter::{Bindings, Parameters};
use policies::recognise::{Context, Form, Recognition, fill, missing, recognise, update};
use policies::tables::Facts;
use policies::template::{Given, Template};
use policies::{template, yaml};
use serde_json::{Map, Value};

struct Case {
    file: String,
    all: Value,
    template: Template,
    namespace: String,
    given: BTreeMap<Given, String>,
    facts: Facts,
}

fn cases() -> Vec<Case> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/recognition");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 5);
    files.into_iter().map(case).collect()
}

fn case(path: PathBuf) -> Case {
    let file = path.file_name().unwrap().to_string_lossy().into_owned();
    let all = yaml::value(&std::fs::read_to_string(&path).unwrap()).unwrap_or_else(|error| panic!("{file}: {error}"));
    let parameters = Parameters::parse(all["parameters"].as_str().unwrap_or_default());
    let parameters = Arc::new(parameters.unwrap_or_else(|errors| panic!("{file}: {errors:?}")));
    let compiled = template::compile("x.yaml", all["template"].as_str().unwrap(), &parameters);
    assert!(compiled.errors.is_empty(), "{file}: {:?}", compiled.errors);
    let template = compiled.templates.into_iter().next().unwrap();
    let given = all["given"].as_object().cloned().unwrap_or_default();
    let given = given.iter().map(|(name, value)| {
        let given = Given::ALL.into_iter().find(|given| given.name() == name).unwrap();
        (given, value.as_str().unwrap().to_owned())
    });
    let given = given.collect();
    let facts = Facts::from_objects(all["facts"].as_array().into_iter().flatten());
    let namespace = all["namespace"].as_str().unwrap().to_owned();
    Case { file, template, namespace, given, facts, all }
}

impl Case {
    fn context(&self, form: Form) -> Context<'_> {
        Context { form, namespace: &self.namespace, given: &self.given, facts: &self.facts, budget: None }
    }

    fn recognise(&self, entry: &Value, object: &Value) -> Recognition {
        recognise(&self.template, object, &self.context(form(entry)))
    }

    fn list(&self, key: &str) -> impl Iterator<Item = &Value> {
        self.all[key].as_array().into_iter().flatten()
    }

    fn admitted(&self, name: Option<&str>) -> &Value {
        let all = self.all["admitted"].as_array().unwrap();
        match name {
            None => &all[0],
            Some(name) => all.iter().find(|entry| entry["name"] == name).unwrap(),
        }
    }

    /// What was bound, by name, with what is absent left out.
    fn by_name(&self, bindings: &Bindings) -> Value {
        let parameters = self.template.parameters.all.iter().zip(&bindings.declared);
        let bound = parameters.filter_map(|(p, value)| Some((p.name.clone(), value.clone()?)));
        Value::Object(bound.collect())
    }
}

/// Runs every check and tells all that failed, not the first alone.
fn check_all(checks: impl Iterator<Item = Result<(), String>>) {
    let failed: Vec<_> = checks.filter_map(Result::err).collect();
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
}

fn listed(differences: &[policies::difference::Difference]) -> String {
    differences.iter().map(|difference| format!("\n    {difference}")).collect()
}

fn form(entry: &Value) -> Form {
    match entry["form"].as_str() {
        None | Some("submitted") => Form::Submitted,
        Some("mutating") => Form::Mutating,
        Some("validating") => Form::Validating,
        other => panic!("{other:?}"),
    }
}

fn change(object: &mut Value, pointer: &str, value: &Value) {
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    let mut at = object;
    for key in parent.split('/').skip(1) {
        let key = key.replace("~1", "/").replace("~0", "~");
        at = match at {
            Value::Array(list) => &mut list[key.parse::<usize>().unwrap()],
            Value::Object(map) => map.entry(key).or_insert_with(|| Value::Object(Map::new())),
            other => panic!("{pointer}: {other}"),
        };
    }
    let last = last.replace("~1", "/").replace("~0", "~");
    match at {
        Value::Array(list) if last == "-" => list.push(value.clone()),
        Value::Array(list) if value.is_null() => drop(list.remove(last.parse::<usize>().unwrap())),
        Value::Array(list) => list[last.parse::<usize>().unwrap()] = value.clone(),
        Value::Object(map) if value.is_null() => assert!(map.remove(&last).is_some(), "{pointer} is not there"),
        Value::Object(map) => drop(map.insert(last, value.clone())),
        other => panic!("{pointer}: {other}"),
    }
}

fn changed(object: &Value, changes: &Value) -> Value {
    let mut object = object.clone();
    for (pointer, value) in changes.as_object().unwrap() {
        change(&mut object, pointer, value);
    }
    object
}

#[test]
fn what_a_template_renders_is_admitted_with_its_parameters() {
    let cases = cases();
    let entries = cases.iter().flat_map(|case| case.list("admitted").map(move |entry| (case, entry)));
    check_all(entries.map(|(case, entry)| {
        let name = format!("{}: {}", case.file, entry["name"]);
        let object = match &entry["object"] {
            Value::Null => changed(&case.admitted(None)["object"], &entry["change"]),
            object => object.clone(),
        };
        match case.recognise(entry, &object) {
            Recognition::Match(bindings) if case.by_name(&bindings) == entry["parameters"] => Ok(()),
            Recognition::Match(bindings) => Err(format!("{name}: bound {}", case.by_name(&bindings))),
            Recognition::CouldNotTell(reason) => Err(format!("{name}: could not tell: {reason}")),
            Recognition::Differ(differences) => Err(format!("{name}: {}", listed(&differences))),
        }
    }));
}

#[test]
fn anything_else_is_refused_and_the_first_difference_says_where() {
    let cases = cases();
    let entries = cases.iter().flat_map(|case| case.list("refused").map(move |entry| (case, entry)));
    check_all(entries.map(|(case, entry)| {
        let name = format!("{}: {}", case.file, entry["name"]);
        let of = case.admitted(entry["of"].as_str());
        let object = changed(&of["object"], &entry["change"]);
        let Recognition::Differ(differences) = case.recognise(of, &object) else {
            return Err(format!("{name}: admitted"));
        };
        let all = listed(&differences);
        let first = &differences[0];
        let as_told = first.path.to_string() == entry["path"].as_str().unwrap()
            && entry["reads"].as_str().is_none_or(|reads| reads == first.to_string());
        let shown = entry["never"].as_array().into_iter().flatten().find(|word| all.contains(word.as_str().unwrap()));
        match shown {
            Some(word) => Err(format!("{name}: shows {word}:{all}")),
            None if as_told => Ok(()),
            None => Err(format!("{name}: expected {} {}, got{all}", entry["path"], entry["reads"])),
        }
    }));
}

#[test]
fn an_update_may_change_what_its_template_would_render_and_nothing_else() {
    let cases = cases();
    let entries = cases.iter().flat_map(|case| case.list("updates").map(move |entry| (case, entry)));
    check_all(entries.map(|(case, entry)| {
        let name = format!("{}: {}", case.file, entry["name"]);
        let of = case.admitted(entry["of"].as_str());
        let Recognition::Match(recorded) = case.recognise(of, &of["object"]) else {
            return Err(format!("{name}: not admitted before"));
        };
        let old = match &entry["meanwhile"] {
            Value::Null => of["object"].clone(),
            meanwhile => changed(&of["object"], meanwhile),
        };
        let new = changed(&old, &entry["change"]);
        // Nothing changed at all is always allowed, whatever others did.
        let still = update(&case.template, &old, &old, &recorded, &case.context(form(of)));
        if still != Recognition::Match(recorded.clone()) {
            return Err(format!("{name}: without change: {still:?}"));
        }
        let got = update(&case.template, &old, &new, &recorded, &case.context(form(of)));
        match (&got, entry["path"].as_str()) {
            (Recognition::Match(bindings), None) if case.by_name(bindings) == entry["parameters"] => Ok(()),
            (Recognition::Differ(differences), Some(path)) if differences[0].path.to_string() == path => Ok(()),
            (Recognition::Differ(differences), _) => Err(format!("{name}: {}", listed(differences))),
            (Recognition::Match(bindings), _) => Err(format!("{name}: bound {}", case.by_name(bindings))),
            (Recognition::CouldNotTell(reason), _) => Err(format!("{name}: could not tell: {reason}")),
        }
    }));
}

#[test]
fn what_is_generated_is_filled_in_and_recognised_from_then_on() {
    let mut filled_somewhere = false;
    for case in cases() {
        let entry = case.admitted(None);
        let Recognition::Match(mut bindings) = case.recognise(entry, &entry["object"]) else { panic!() };
        for index in missing(&case.template, &bindings) {
            let generated = case.template.parameters.all[index].generated.clone().unwrap();
            let letter = generated.alphabet.chars().next().unwrap();
            bindings.declared[index] = Some(Value::from(letter.to_string().repeat(generated.length)));
            filled_somewhere = true;
        }
        let filled = fill(&case.template, &entry["object"], &bindings, &case.facts);
        let again = recognise(&case.template, &filled, &case.context(Form::Validating));
        if filled != entry["object"] {
            assert_eq!(again, Recognition::Match(bindings.clone()), "{}", case.file);
        }
        assert_eq!(fill(&case.template, &filled, &bindings, &case.facts), filled, "{}: filled twice", case.file);
    }
    assert!(filled_somewhere);
}
