//! Holes that stand for nothing (`""`, `0`) where the API server then fills something in.

use policies::parameter::Bindings;
use policies::recognise::Recognition;
use policies::render::render;
use serde_json::{Value, json};

use crate::support::*;

/// Lines of a container or of a pod's spec with the hole `x`, its schema, and the empty value. Where the hole stands
/// elsewhere as well, or its schema does not admit what the server fills in, nothing but this value fits.
const PLACES: [(&str, &str, &str); 7] = [
    ("restartPolicy: ${x}", "{type: string, enum: ['', Never]}", ""),
    ("restartPolicy: \"${x}\"\n  dnsPolicy: ${x}", "{type: string}", ""),
    ("restartPolicy: ${x}\n  nodeSelector:\n    zone: ${x}", "{type: string}", ""),
    ("dnsPolicy: ${x}\n  nodeSelector:\n    zone: a${x}b", "{type: string}", ""),
    ("schedulerName: ${x}", "{type: string, enum: ['', mine]}", ""),
    ("terminationGracePeriodSeconds: ${x}", "{type: integer}", "0"),
    ("serviceAccountName: ${x}\n  nodeSelector:\n    zone: ${x}", "{type: string, enum: ['', plain]}", ""),
];

#[test]
fn an_empty_value_is_found_where_the_server_replaces_it() {
    let (facts, given) = (facts(), given());
    for (place, schema, empty) in PLACES {
        let manifest = format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: run}}\nspec:\n  automountServiceAccountToken: false\n  {place}\n  containers:\n  - name: main\n    image: r/i:1\n"
        );
        let set = set(&format!("x: {schema}\n"), &manifest);
        let template = first(&set);
        let value = empty.parse::<i64>().map_or_else(|_| json!(empty), |number| json!(number));
        let bindings = Bindings { given: given.clone(), declared: vec![Some(value)] };
        let object = render(template, &bindings).unwrap();
        is_found_in_every_form(template, &object, &bindings, &facts, place);
        // Nothing but what the template renders: another value there is none of the hole's.
        let mut other = object.clone();
        other["spec"]["restartPolicy"] = "OnFailure".into();
        if !place.contains("restartPolicy: ${x}\n") && !place.contains("restartPolicy: \"") {
            let found = recognised(template, &other, FORMS[0], &facts);
            assert!(matches!(found, Recognition::Differ(_)), "{place} {other}: {found:?}");
        }
    }
}

#[test]
fn an_empty_value_that_the_schema_refuses_is_never_guessed() {
    let (facts, given) = (facts(), given());
    let manifest = "apiVersion: v1\nkind: Pod\nmetadata: {name: run}\nspec:\n  automountServiceAccountToken: false\n  restartPolicy: ${x}\n  containers:\n  - name: main\n    image: r/i:1\n";
    let set = set("x: {type: string, enum: [Never, OnFailure]}\n", manifest);
    let template = first(&set);
    for said in [json!("Always"), json!(""), Value::Null] {
        let mut object =
            render(template, &Bindings { given: given.clone(), declared: vec![Some("Never".into())] }).unwrap();
        object["spec"]["restartPolicy"] = said;
        for form in FORMS {
            let object = shown(&object, form, &facts);
            let found = recognised(template, &object, form, &facts);
            assert!(matches!(found, Recognition::Differ(_)), "{object}: {found:?}");
        }
    }
}
