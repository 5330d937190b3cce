//! Rendering, defaults, and what is told when something is missing.
#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]

use serde_json::json;

use super::*;
use crate::object::Gvk;
use crate::template::{Given, Owner};
use crate::text::{Part, TextPattern};

fn parameters(text: &str) -> Parameters {
    Parameters::parse(text).unwrap()
}

fn template(parameters: &Parameters, entries: Vec<(&str, Pattern)>) -> Template {
    Template {
        key: "x.yaml".into(),
        line: 1,
        kind: Gvk::new("", "v1", "ConfigMap").into(),
        pattern: Pattern::map(entries.into_iter().map(|(key, pattern)| (key.into(), pattern)).collect()),
        placement: Placement::MasterNamespace,
        parameters: parameters.clone().into(),
        owner: Owner::Workload,
        duration: None,
        keep_finished: None,
        notify_before: None,
        sidecars: None,
        applied: None,
        shortcut: Default::default(),
    }
}

fn hole(parameters: &Parameters, name: &str) -> Hole {
    Hole::Declared(parameters.position(name).unwrap())
}

fn text(parts: Vec<Part>) -> Pattern {
    Pattern::Text(TextPattern::new(parts))
}

fn set(pairs: &[(&str, &str)]) -> BTreeMap<String, Argument> {
    pairs.iter().map(|(name, text)| ((*name).to_owned(), Argument::Text((*text).to_owned()))).collect()
}

const PARAMETERS: &str = "
run: {type: string, pattern: '[0-9]{8}'}
workers: {type: integer, minimum: 1, maximum: 8, default: 2}
label: {type: string, optional: true}
args: {type: array, items: {type: string}, default: []}
password: {type: string, generated: {length: 8}}
";

#[test]
fn arguments_become_values_and_the_rest_has_its_default() {
    let parameters = parameters(PARAMETERS);
    let bindings = defaults(&parameters, &set(&[("run", "20261120"), ("args", r#"["a"]"#)])).unwrap();
    let of = |name: &str| bindings.declared[parameters.position(name).unwrap()].clone();
    assert_eq!(of("run"), Some(json!("20261120")));
    assert_eq!(of("workers"), Some(json!(2)));
    assert_eq!(of("args"), Some(json!(["a"])));
    assert_eq!(of("label"), None);
}

#[test]
fn wrong_arguments_are_named_and_never_repeated() {
    let parameters = parameters(PARAMETERS);
    for (name, text, words) in [
        ("rnu", "1", vec!["`rnu`", "run", "workers"]),
        ("run", "s3cret", vec!["`run`", "[0-9]{8}"]),
        ("workers", "nine", vec!["`workers`", "1", "8"]),
        ("workers", "9", vec!["`workers`", "got 9"]),
        ("args", "{", vec!["`args`", "JSON"]),
        ("args", "[1]", vec!["`args`", "[0]: expected"]),
    ] {
        let message = defaults(&parameters, &set(&[(name, text)])).unwrap_err().to_string();
        assert!(words.iter().all(|word| message.contains(word)), "{name}={text}: {message}");
        assert!(!message.contains("s3cret"), "{message}");
    }
}

#[test]
fn holes_are_filled_lists_spliced_and_optional_keys_left_out() {
    let parameters = parameters(PARAMETERS);
    let hole = |name| hole(&parameters, name);
    let mut template = template(
        &parameters,
        vec![
            ("name", text(vec![Part::Literal("job-".into()), Part::Hole(hole("run"))])),
            ("workers", Pattern::Hole(hole("workers"))),
            ("quoted", text(vec![Part::Hole(hole("workers"))])),
            ("label", Pattern::Hole(hole("label"))),
            ("inside", text(vec![Part::Literal("x-".into()), Part::Hole(hole("label"))])),
            ("password", Pattern::Hole(hole("password"))),
            ("uid", Pattern::Hole(Hole::Given(Given::PodUid))),
            (
                "list",
                Pattern::list(vec![
                    Element::One(Pattern::Literal(json!("first"))),
                    Element::Many(parameters.position("args").unwrap()),
                    Element::One(Pattern::Hole(hole("label"))),
                    Element::One(Pattern::Literal(json!("last"))),
                ]),
            ),
        ],
    );
    let mut bindings = defaults(&parameters, &set(&[("run", "20261120"), ("args", r#"["a", "b"]"#)])).unwrap();
    bindings.given.insert(Given::PodUid, "u-1".into());
    let expected = json!({
        "name": "job-20261120", "workers": 2, "quoted": "2", "uid": "u-1", "list": ["first", "a", "b", "last"],
    });
    assert_eq!(render(&template, &bindings), Ok(expected.clone()));

    template.placement = Placement::Named(Pattern::Literal(json!("shared")));
    let mut placed = expected;
    placed["metadata"] = json!({"namespace": "shared"});
    assert_eq!(render(&template, &bindings), Ok(placed));
}

#[test]
fn everything_that_is_missing_is_told_at_once() {
    let parameters = parameters("a: {type: string}\nb: {type: integer}\nl: {type: array, items: {type: string}}\n");
    let hole = |name| hole(&parameters, name);
    let template = template(
        &parameters,
        vec![
            ("x", Pattern::Hole(hole("b"))),
            ("y", text(vec![Part::Literal("-".into()), Part::Hole(hole("a"))])),
            ("z", Pattern::list(vec![Element::Many(2)])),
        ],
    );
    let bindings = defaults(&parameters, &BTreeMap::new()).unwrap();
    let error = render(&template, &bindings).unwrap_err();
    assert_eq!(error, RenderError::Missing(vec!["a".into(), "b".into(), "l".into()]));
    assert!(error.to_string().contains("--set"));

    let template = self::template(&parameters, vec![("x", Pattern::Hole(Hole::Given(Given::PodIp)))]);
    let error = render(&template, &bindings).unwrap_err();
    assert_eq!(error, RenderError::NotGiven(vec!["pod.ip".into()]));
}
