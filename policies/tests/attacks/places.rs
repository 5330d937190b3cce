//! Where an object says that it lives.

use policies::recognise::{Context, Recognition, recognise, the_long_way};
use policies::request::{Operation, Phase};
use serde_json::{Value, json};

use crate::support::*;

const BARE: &str = "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {k: v}}";
const NAMED: &str = "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: trading}, data: {k: v}}";

/// What an object may have as its namespace where the request is for `trading`, and whether that is there.
fn cases() -> Vec<(Option<Value>, bool)> {
    vec![
        (None, true),
        (Some(Value::Null), true),
        (Some(json!("")), true),
        (Some(json!("trading")), true),
        (Some(json!("other")), false),
        (Some(json!(" trading")), false),
        (Some(json!([])), false),
        (Some(json!(["trading"])), false),
        (Some(json!({})), false),
        (Some(json!({"trading": "trading"})), false),
        (Some(json!(0)), false),
        (Some(json!(7)), false),
        (Some(json!(1.5)), false),
        (Some(json!(true)), false),
        (Some(json!(false)), false),
    ]
}

fn placed(namespace: Option<Value>) -> Value {
    let mut object = value(BARE);
    if let Some(namespace) = namespace {
        object["metadata"]["namespace"] = namespace;
    }
    object
}

#[test]
fn a_namespace_that_is_no_text_is_not_one_left_out() {
    let facts = facts();
    let given = given();
    for manifest in [BARE, NAMED] {
        let set = set("", manifest);
        for (namespace, admitted) in cases() {
            let object = placed(namespace);
            for form in FORMS {
                let context = Context { form, namespace: "trading", given: &given, facts: &facts, budget: None };
                for recognition in
                    [recognise(first(&set), &object, &context), the_long_way(first(&set), &object, &context)]
                {
                    let matched = matches!(recognition, Recognition::Match(_));
                    assert_eq!(matched, admitted, "{manifest} {form:?} {object}: {recognition:?}");
                    if let Recognition::Differ(differences) = recognition {
                        let got = &object["metadata"]["namespace"];
                        assert_eq!(differences[0].path.to_string(), "metadata.namespace", "{object}");
                        let told = serde_json::to_value(&differences[0]).unwrap();
                        assert_eq!((&told["expected"], &told["got"]), (&json!("trading"), got), "{object}");
                    }
                }
            }
        }
    }
}

#[test]
fn no_verdict_takes_a_namespace_that_is_no_text_for_one_left_out() {
    for manifest in [BARE, NAMED] {
        let set = set("", manifest);
        let situation = situation(&set);
        let (stamped, _) = created(&situation, &value(manifest)).unwrap();
        // The API server has always put one in place where it was left out.
        for (namespace, admitted) in cases().into_iter().skip(3) {
            let mut object = placed(namespace.clone());
            for phase in [Phase::Mutating, Phase::Validating] {
                if phase == Phase::Validating {
                    object["metadata"] = stamped["metadata"].clone();
                    object["metadata"]["namespace"] = namespace.clone().unwrap();
                }
                let create = request(Operation::Create, phase, Some(object.clone()), None);
                let verdict = verdict(&create, &situation);
                assert_eq!(verdict.is_ok(), admitted, "{phase:?} {object}: {verdict:?}");
            }
            let mut moved = stamped.clone();
            moved["metadata"]["namespace"] = namespace.clone().unwrap();
            let outcome = updated(&situation, &stamped, &moved);
            assert_eq!(outcome.is_ok(), admitted, "update: {moved}: {outcome:?}");
        }
    }
}
