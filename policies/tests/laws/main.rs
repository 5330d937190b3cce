//! The two laws of the engine, on random templates of many kinds.
//!
//! Completeness: what a template renders is recognised, with the same parameters, as it is submitted and as a webhook
//! sees it. Soundness: change, add or remove one thing that no hole covers, and it is refused.
//!
//! `PROPTEST_CASES` says how many cases to run; what once failed is kept beside this file and run first.
#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, missing_docs, reason = "tests")]

mod dice;
mod holes;
mod manifests;
mod mutate;

use std::collections::BTreeMap;

use policies::difference::Difference;
use policies::parameter::Bindings;
use policies::quantity::Quantity;
use policies::recognise::{
    Context, Form, Marked, Miss, Recognition, contrast, differ_in_literals, recognise, shortcut, the_long_way, update,
};
use policies::render::render;
use policies::tables::{Facts, compare, complete};
use policies::template::{Given, Template};
use proptest::prelude::*;
use serde_json::Value;

use dice::Dice;
use holes::{Punched, punch};

const FORMS: [Form; 3] = [Form::Submitted, Form::Mutating, Form::Validating];

fn config() -> ProptestConfig {
    let cases = if std::env::var("PROPTEST_CASES").is_ok() { ProptestConfig::default().cases } else { 1000 };
    ProptestConfig { cases, max_shrink_iters: 20_000, ..ProptestConfig::default() }
}

fn given() -> BTreeMap<Given, String> {
    BTreeMap::from([(Given::MasterNamespace, "trading".to_owned())])
}

fn facts() -> Facts {
    Facts::new(policies::tables::Completeness::Cluster)
}

/// As the object reaches us in this form.
fn shown(template: &Template, object: &Value, form: Form, facts: &Facts) -> Value {
    let mut shown = object.clone();
    if form != Form::Submitted {
        shown["metadata"]["namespace"] = "trading".into();
        complete(&template.kind, &mut shown, facts);
        if template.kind.kind == "Secret" {
            assert!(shown.get("stringData").is_none());
        }
    }
    shown
}

fn recognised(template: &Template, object: &Value, form: Form, facts: &Facts) -> Recognition {
    let given = given();
    recognise(template, object, &Context { form, namespace: "trading", given: &given, facts, budget: None })
}

fn listed(differences: &[Difference]) -> String {
    differences.iter().map(|difference| format!("\n  {difference}")).collect()
}

/// Up to spelling: a quantity is itself in any unit, and a list or a map is proven by what it renders.
fn same(left: Option<&Value>, right: Option<&Value>) -> bool {
    match (left, right) {
        (Some(left), Some(right)) => {
            left == right
                || left.is_array()
                || left.is_object()
                || matches!((Quantity::from_value(left), Quantity::from_value(right)), (Ok(l), Ok(r)) if l == r)
        }
        (None, None) => true,
        // A list hole that took nothing, a text that the server drops.
        (Some(one), None) | (None, Some(one)) => {
            one.as_array().is_some_and(Vec::is_empty) || one.as_str().is_some_and(str::is_empty)
        }
    }
}

fn bindings_agree(template: &Template, object: &Value, got: &Bindings, wanted: &Bindings, facts: &Facts) {
    let untold = mutate::among_nameless_elements(&template.pattern);
    let pairs = template.parameters.all.iter().zip(got.declared.iter().zip(&wanted.declared)).enumerate();
    for (parameter, (got, wanted)) in pairs.filter(|(index, _)| !untold.contains(index)).map(|(_, pair)| pair) {
        // Of one that may be absent the object need not show whether it is: the server fills in or drops just that. What
        // is rendered below tells.
        // Nor whether it is empty where the server fills in what is.
        let empty = |value: Option<&Value>| value.is_some_and(|value| *value == "" || *value == 0);
        let either = parameter.optional && (wanted.is_none() || got.is_none())
            || empty(got.as_ref()) != empty(wanted.as_ref()) && got.is_some() == wanted.is_some();
        assert!(
            either || same(got.as_ref(), wanted.as_ref()),
            "{}: {got:?} instead of {wanted:?}\n{object}\n{:?}",
            parameter.name,
            template.pattern
        );
    }
    let mut rendered = render(template, got).unwrap();
    let mut object = object.clone();
    if let Some(namespace) = object["metadata"].get("namespace") {
        rendered["metadata"]["namespace"] = namespace.clone();
    }
    complete(&template.kind, &mut rendered, facts);
    complete(&template.kind, &mut object, facts);
    let differences = compare(&template.kind, &rendered, &object, facts);
    assert!(differences.is_empty(), "{}", listed(&differences));
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn law_1_what_a_template_renders_is_recognised_with_the_same_parameters(bytes in bytes()) {
        let facts = facts();
        let mut dice = Dice::new(&bytes);
        let manifest = manifests::manifest(&mut dice);
        let Punched { template, bindings } = punch(&mut dice, &manifest);
        let object = render(&template, &bindings).unwrap();
        prop_assert_eq!(&object, &manifest);
        for form in FORMS {
            let shown = shown(&template, &object, form, &facts);
            match recognised(&template, &shown, form, &facts) {
                Recognition::Match(got) => bindings_agree(&template, &shown, &got, &bindings, &facts),
                Recognition::Differ(differences) => prop_assert!(false, "{form:?}: {}\n{shown}\n{:?}\n{bindings:?}", listed(&differences), template.pattern),
                Recognition::CouldNotTell(reason) => prop_assert!(false, "{form:?}: {reason}"),
            }
        }
    }

    #[test]
    fn law_1_the_order_of_a_list_with_keys_does_not_matter(bytes in bytes(), turn in any::<u8>()) {
        let facts = facts();
        let mut dice = Dice::new(&bytes);
        let manifest = manifests::manifest(&mut dice);
        let Punched { template, bindings } = punch(&mut dice, &manifest);
        let mut object = render(&template, &bindings).unwrap();
        // Elements that are holes as a whole have nothing but their order to be told apart by; and once a value refers
        // to another variable, the order of all counts.
        if object.to_string().contains("$(") || !mutate::among_nameless_elements(&template.pattern).is_empty() {
            return Ok(());
        }
        mutate::reorder(&template.kind, &mut object, usize::from(turn), &facts);
        match recognised(&template, &object, Form::Submitted, &facts) {
            Recognition::Match(_) => {}
            other => prop_assert!(false, "{other:?} {object} {:?} {bindings:?}", template.pattern),
        }
    }

    #[test]
    fn law_2_one_thing_that_no_hole_covers_is_one_thing_too_many(bytes in bytes(), at in any::<u16>(), how in any::<u8>()) {
        let facts = facts();
        let mut dice = Dice::new(&bytes);
        let manifest = manifests::manifest(&mut dice);
        let Punched { template, bindings } = punch(&mut dice, &manifest);
        let object = render(&template, &bindings).unwrap();
        let Some(mutated) = mutate::mutated(&template, usize::from(at), how) else { return Ok(()) };
        let other = render(&mutated.template, &bindings).unwrap();
        for form in FORMS {
            let (before, after) = (shown(&template, &object, form, &facts), shown(&template, &other, form, &facts));
            if is_same(&template, &before, &after, &facts) {
                continue;
            }
            match recognised(&template, &after, form, &facts) {
                Recognition::Differ(differences) => {
                    prop_assert!(!differences.is_empty() && differences.len() <= 20);
                }
                // A hole may stand for it after all: then rendering proves it.
                Recognition::Match(got) if mutated.near_a_hole => {
                    bindings_agree_loosely(&template, &after, &got, &facts);
                }
                other => prop_assert!(false, "{form:?} {} is admitted: {other:?}", mutated.what),
            }
            // As an update it is refused as well.
            let given = given();
            let context = Context { form, namespace: "trading", given: &given, facts: &facts, budget: None };
            if form == Form::Validating && !mutated.near_a_hole {
                let got = update(&template, &before, &after, &bindings, &context);
                prop_assert!(matches!(got, Recognition::Differ(_)), "an update by {} is admitted: {got:?}", mutated.what);
            }
        }
    }

    #[test]
    fn a_manifest_used_verbatim_admits_itself(bytes in bytes()) {
        let facts = facts();
        let manifest = manifests::manifest(&mut Dice::new(&bytes));
        let Punched { template, .. } = punch(&mut Dice::new(&[]), &manifest);
        prop_assert!(template.parameters.all.is_empty());
        for form in FORMS {
            let shown = shown(&template, &manifest, form, &facts);
            match recognised(&template, &shown, form, &facts) {
                Recognition::Match(_) => {}
                other => prop_assert!(false, "{form:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn an_update_that_changes_nothing_is_allowed_whatever_is_stored(bytes in bytes(), other in bytes()) {
        let facts = facts();
        let mut dice = Dice::new(&bytes);
        let manifest = manifests::manifest(&mut dice);
        let Punched { template, bindings } = punch(&mut dice, &manifest);
        let mut stored = manifests::manifest(&mut Dice::new(&other));
        complete(&template.kind, &mut stored, &facts);
        let given = given();
        let context = Context { form: Form::Mutating, namespace: "trading", given: &given, facts: &facts, budget: None };
        prop_assert_eq!(update(&template, &stored, &stored, &bindings, &context), Recognition::Match(bindings.clone()));
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_shortcut_says_what_the_long_way_says(
        bytes in bytes(), at in any::<u16>(), how in any::<u8>()
    ) {
        let facts = facts();
        let mut dice = Dice::new(&bytes);
        let manifest = manifests::manifest(&mut dice);
        let Punched { template, bindings } = punch(&mut dice, &manifest);
        let object = render(&template, &bindings).unwrap();
        let mutated = mutate::mutated(&template, usize::from(at), how);
        let other = mutated.map(|mutated| render(&mutated.template, &bindings).unwrap());
        let given = given();
        for form in FORMS {
            for object in std::iter::once(&object).chain(&other) {
                for object in [object.clone(), shown(&template, object, form, &facts)] {
                    let context = Context { form, namespace: "trading", given: &given, facts: &facts, budget: None };
                    let long = the_long_way(&template, &object, &context);
                    if let Some(differences) = contrast(&template, &object, &context, Marked::No) {
                        prop_assert_eq!(Recognition::Differ(differences), long.clone(), "{} {:?}", object, template.pattern);
                    }
                    if differ_in_literals(&template, &object, &context) {
                        let told = !matches!(long, Recognition::Match(_));
                        prop_assert!(told, "literals of {object} {:?}: {long:?}", template.pattern);
                    }
                    match shortcut(&template, &object, &context, Marked::No) {
                        Ok(bindings) => prop_assert_eq!(Recognition::Match(bindings), long, "{}", object),
                        Err(Miss::Sure) => {
                            prop_assert!(!matches!(long, Recognition::Match(_)), "sure of {object} {:?}", template.pattern);
                        }
                        Err(Miss::Unsure) => {}
                    }
                }
            }
        }
    }
}

fn is_same(template: &Template, before: &Value, after: &Value, facts: &Facts) -> bool {
    let (mut before, mut after) = (before.clone(), after.clone());
    complete(&template.kind, &mut before, facts);
    complete(&template.kind, &mut after, facts);
    compare(&template.kind, &before, &after, facts).is_empty()
}

/// Whatever was bound, its values are of their schemas and render to the object.
fn bindings_agree_loosely(template: &Template, object: &Value, got: &Bindings, facts: &Facts) {
    for (parameter, value) in template.parameters.all.iter().zip(&got.declared) {
        if let Some(value) = value {
            assert!(parameter.schema.accepts(value).is_ok(), "{}", parameter.name);
        }
    }
    let mut rendered = render(template, got).unwrap();
    if let Some(namespace) = object["metadata"].get("namespace") {
        rendered["metadata"]["namespace"] = namespace.clone();
    }
    assert!(is_same(template, &rendered, object, facts));
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..300)
}
