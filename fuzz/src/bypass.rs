//! The closed world under attack: a template, an object near what it renders, and the real recogniser beside an
//! [`crate::obvious`] one. What the real one admits and the obvious one does not is a way around every template.

use std::collections::BTreeMap;
use std::sync::Arc;

use policies::object::Gvk;
use policies::parameter::Parameters;
use policies::recognise::{Context, Form, Marked, Recognition, recognise, shortcut, the_long_way};
use policies::tables::{Completeness, Facts, complete};
use policies::template::{Given, compile};
use serde_json::{Map, Value, json};

use crate::dice::Dice;
use crate::obvious;
use crate::tree::Grown;

/// Where the master lives, and the objects.
const NAMESPACE: &str = "trading";

/// Manifests that templates are grown from.
const MANIFESTS: [&str; 8] = [
    r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","labels":{"app":"eod"}},"data":{"a":"b","c":"d e"}}"#,
    r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","labels":{"app":"eod"}},"spec":{"restartPolicy":"Never","containers":[{"name":"m","image":"r/x:1","args":["--run","a"],"env":[{"name":"A","value":"b"},{"name":"C","value":"7"}],"ports":[{"containerPort":80,"name":"web"}],"resources":{"requests":{"cpu":"500m","memory":"1Gi"}},"volumeMounts":[{"name":"v","mountPath":"/d"}]},{"name":"n","image":"r/y"}],"volumes":[{"name":"v","emptyDir":{}}]}}"#,
    r#"{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"j"},"spec":{"parallelism":2,"backoffLimit":3,"template":{"spec":{"restartPolicy":"Never","hostNetwork":false,"containers":[{"name":"m","image":"r/x:1","command":["run","it"],"securityContext":{"privileged":false,"runAsUser":1000}}]}}}}"#,
    r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d"},"spec":{"replicas":2,"selector":{"matchLabels":{"app":"d"}},"template":{"metadata":{"labels":{"app":"d"}},"spec":{"containers":[{"name":"m","image":"r/x:latest","env":[{"name":"P","value":"$(Q)"},{"name":"Q","value":"1"}],"ports":[{"containerPort":80},{"containerPort":81,"protocol":"UDP"}]}],"tolerations":[{"key":"k","operator":"Exists"}]}}}}"#,
    r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"s"},"spec":{"selector":{"app":"d"},"ports":[{"name":"web","port":80,"targetPort":8080},{"name":"adm","port":81}]}}"#,
    r#"{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"n"},"spec":{"podSelector":{},"ingress":[{"from":[{"podSelector":{"matchLabels":{"app":"d"}}}],"ports":[{"port":80}]}]}}"#,
    r#"{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"w","annotations":{"a":"b"}},"spec":{"size":3,"on":true,"parts":["x","y"],"of":{"a":1.5,"b":""}}}"#,
    r#"{"apiVersion":"v1","kind":"Pod","metadata":{"generateName":"p-"},"spec":{"containers":[{"name":"m","image":"r/x:1","args":["a","b","b"],"env":[{"name":"A","value":""}]}]}}"#,
];
/// Keys that an attacker might add, or that mean something.
const KEYS: [&str; 24] = [
    "name",
    "image",
    "hostNetwork",
    "hostPID",
    "privileged",
    "securityContext",
    "args",
    "command",
    "env",
    "value",
    "volumes",
    "hostPath",
    "path",
    "labels",
    "annotations",
    "namespace",
    "serviceAccountName",
    "completions",
    "replicas",
    "status",
    "protocol",
    "unheardOf",
    "limits",
    "a",
];

/// Makes a template and an object of the bytes, and asks both.
pub fn run(data: &[u8]) {
    let mut dice = Dice::new(data);
    let manifest: Value = serde_json::from_str(MANIFESTS[dice.roll(MANIFESTS.len())]).expect("the manifests are JSON");
    let grown = Grown::of(&manifest, &mut dice);
    let Ok(parameters) = Parameters::parse(&grown.parameters()) else { panic!("{}", grown.parameters()) };
    let text = grown.yaml();
    // What is refused when it is loaded (two holes that cannot be told apart) admits nothing.
    let compiled = compile("t.yaml", &text, &Arc::new(parameters));
    let Some(template) = compiled.templates.first().filter(|_| compiled.errors.is_empty()) else { return };
    let form = *dice.pick(&[Form::Submitted, Form::Mutating, Form::Validating]);
    let facts = facts();
    let mut object = grown.object();
    let kind = kind_of(&object);
    if form != Form::Submitted {
        object["metadata"]["namespace"] = NAMESPACE.into();
    }
    if form != Form::Submitted || dice.one_in(3) {
        complete(&kind, &mut object, &facts);
    }
    let mut changes = 0;
    while !dice.spent() && changes < 4 {
        change(&mut object, &mut dice);
        changes += 1;
    }
    let given = BTreeMap::from([(Given::MasterNamespace, NAMESPACE.to_owned())]);
    let context = Context { form, namespace: NAMESPACE, given: &given, facts: &facts, budget: None };
    let quick = shortcut(template, &object, &context, Marked::No).is_ok();
    let slow = matches!(the_long_way(template, &object, &context), Recognition::Match(_));
    assert!(slow || !quick, "the shortcut alone admits {object}\nby {text}{}", grown.parameters());
    let real = recognise(template, &object, &context);
    if matches!(real, Recognition::Match(_)) {
        let obvious = obvious::admits(&grown, &object, NAMESPACE);
        assert!(obvious != Some(false), "{form:?}: a bypass: {object}\nby {text}{}", grown.parameters());
    }
    let odd = names_a_variable_twice(&object) || grown.writes_an_amount();
    if changes == 0 && form == Form::Submitted && !odd {
        assert!(matches!(real, Recognition::Match(_)), "law 1: {real:?}\n{object}\nby {text}{}", grown.parameters());
    }
}

/// Whether a list of variables has one name twice: which of them a strategic merge means is nobody's guess, so that the
/// real matcher refuses what it cannot tell apart.
fn names_a_variable_twice(value: &Value) -> bool {
    let twice = |list: &Value| {
        let Value::Array(list) = list else { return false };
        let mut names: Vec<_> = list.iter().filter_map(|one| one["name"].as_str()).collect();
        names.sort_unstable();
        names.windows(2).any(|pair| pair[0] == pair[1])
    };
    match value {
        Value::Object(fields) => {
            fields.iter().any(|(key, value)| key == "env" && twice(value) || names_a_variable_twice(value))
        }
        Value::Array(list) => list.iter().any(names_a_variable_twice),
        _ => false,
    }
}

fn kind_of(object: &Value) -> Gvk {
    let text = |key: &str| object[key].as_str().unwrap_or_default();
    Gvk::from_api_version(text("apiVersion"), text("kind"))
}

fn facts() -> Facts {
    let mut facts = Facts::new(Completeness::Cluster);
    facts.apply(&json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "automountServiceAccountToken": false,
        "metadata": {"name": "default", "namespace": NAMESPACE},
    }));
    facts
}

/// Every place of an object, as JSON pointers; the object itself is not one.
fn places(value: &Value, at: &str, all: &mut Vec<String>) {
    let mut inner = |key: &str, value: &Value| {
        let at = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
        all.push(at.clone());
        places(value, &at, all);
    };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| inner(key, value)),
        Value::Array(elements) => elements.iter().enumerate().for_each(|(at, value)| inner(&at.to_string(), value)),
        _ => {}
    }
}

/// Another value: one that stands elsewhere, or one that is often mistaken for another.
fn other(object: &Value, all: &[String], dice: &mut Dice<'_>) -> Value {
    match dice.roll(16) {
        0 => Value::Null,
        1 => json!(""),
        2 => json!(0),
        3 => json!(false),
        4 => json!([]),
        5 => json!({}),
        6 => json!(true),
        7 => json!(1),
        8 => json!("1"),
        9 => json!(1.0),
        10 => json!("a"),
        11 => json!("$(A)"),
        12 => json!(dice.text("a0-: ", 4)),
        13 => json!({(*dice.pick(&KEYS)): "a"}),
        _ => object.pointer(&all[dice.roll(256) % all.len()]).cloned().unwrap_or_default(),
    }
}

/// One change somewhere.
fn change(object: &mut Value, dice: &mut Dice<'_>) {
    let mut all = Vec::new();
    places(object, "", &mut all);
    if all.is_empty() {
        return;
    }
    let other = other(object, &all, dice);
    // Two bytes: objects have more places than one byte can say.
    let at = all[(dice.roll(256) * 256 + dice.roll(256)) % all.len()].clone();
    let how = dice.roll(8);
    let key = *dice.pick(&KEYS);
    let index = dice.roll(256);
    if how == 0 {
        let Some((parent, key)) = at.rsplit_once('/') else { return };
        match object.pointer_mut(parent) {
            Some(Value::Object(fields)) => drop(fields.remove(&key.replace("~1", "/").replace("~0", "~"))),
            Some(Value::Array(elements)) => {
                if let Ok(index) = key.parse::<usize>()
                    && index < elements.len()
                {
                    elements.remove(index);
                }
            }
            _ => {}
        }
        return;
    }
    let Some(place) = object.pointer_mut(&at) else { return };
    match (how, place) {
        (1, Value::String(text)) => text.push('x'),
        (2, Value::String(text)) => *text = text.replacen('-', "--", 1),
        (3, place) => *place = json!([place.clone()]),
        (4 | 5, Value::Object(fields)) => drop(fields.insert(key.to_owned(), other)),
        (4, Value::Array(elements)) => elements.insert(index % (elements.len() + 1), other),
        (5, Value::Array(elements)) if elements.len() > 1 => {
            let with = index % elements.len();
            elements.swap(0, with);
        }
        (6, Value::Array(elements)) if !elements.is_empty() => {
            let again = elements[index % elements.len()].clone();
            elements.push(again);
        }
        (6, place @ Value::Object(_)) => *place = Value::Object(Map::new()),
        (_, place) => *place = other,
    }
}
