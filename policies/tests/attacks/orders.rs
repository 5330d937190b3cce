//! Lists that the API server keeps by keys, in any order, where holes are all that tells their elements apart.

use policies::parameter::Bindings;
use policies::recognise::{Form, Recognition};
use policies::render::render;
use serde_json::{Value, json};

use crate::support::*;

/// Lists of ports whose keys are holes, and what these stand for.
const LISTS: [(&str, &[u16]); 5] = [
    ("[{containerPort: A}, {containerPort: A, protocol: UDP}, {containerPort: B, name: other}]", &[80, 90]),
    ("[{containerPort: A, name: web}, {containerPort: B, protocol: UDP}, {containerPort: B}]", &[80, 90]),
    ("[{containerPort: A, protocol: UDP}, {containerPort: B, protocol: UDP, name: x}, {containerPort: B}]", &[1, 2]),
    ("[{containerPort: A}, {containerPort: B, hostPort: C}]", &[5, 7, 9]),
    ("[{containerPort: A}, {containerPort: B, hostPort: C}, {containerPort: C, protocol: UDP}]", &[5, 7, 9]),
];

#[test]
fn elements_are_found_in_any_order_by_what_their_holes_are_elsewhere() {
    let facts = facts();
    let given = given();
    for (list, numbers) in LISTS {
        let lines: Vec<String> = list.trim_matches(['[', ']']).split("}, ").map(element).collect();
        let manifest = format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: run}}\nspec:\n  containers:\n  - name: main\n    image: r/i:1\n    ports:\n{}",
            lines.concat()
        );
        let mut parameters = String::new();
        for name in ["a", "b", "c"].into_iter().filter(|name| manifest.contains(&format!("${{{name}}}"))) {
            parameters += &format!("{name}: {{type: integer, minimum: 0, maximum: 65535}}\n");
        }
        let set = set(&parameters, &manifest);
        let template = first(&set);
        let mut bindings = Bindings { given: given.clone(), ..Bindings::default() };
        for (parameter, number) in template.parameters.all.iter().zip(numbers) {
            bindings.declared.push(Some(json!(number)));
            assert!(parameter.schema.accepts(&json!(number)).is_ok(), "{list}");
        }
        let object = render(template, &bindings).unwrap();
        let ports = object["spec"]["containers"][0]["ports"].as_array().unwrap().clone();
        for order in orders(ports) {
            let mut object = object.clone();
            object["spec"]["containers"][0]["ports"] = Value::Array(order);
            is_found_in_every_form(template, &object, &bindings, &facts, list);
            // The number that must be twice is there once: no order makes that the template's.
            let mut other = object.clone();
            let port = &mut other["spec"]["containers"][0]["ports"][0];
            port["containerPort"] = 4000.into();
            if list == LISTS[0].0 && port.get("name").is_none() {
                let found = recognised(template, &other, Form::Submitted, &facts);
                assert!(matches!(found, Recognition::Differ(_)), "{list} {other}: {found:?}");
            }
        }
    }
}

/// One element, each of its holes on a line of its own.
fn element(flow: &str) -> String {
    let fields = flow.trim_matches(['{', '}']).split(", ").enumerate();
    fields.map(|(at, field)| format!("    {} {}\n", if at == 0 { '-' } else { ' ' }, holes(field))).collect()
}

fn holes(field: &str) -> String {
    match field.split_once(": ") {
        Some((key, name @ ("A" | "B" | "C"))) => format!("{key}: ${{{}}}", name.to_lowercase()),
        _ => field.to_owned(),
    }
}

fn orders(values: Vec<Value>) -> Vec<Vec<Value>> {
    if values.len() < 2 {
        return vec![values];
    }
    let mut all = Vec::new();
    for at in 0..values.len() {
        let mut rest = values.clone();
        let first = rest.remove(at);
        all.extend(orders(rest).into_iter().map(|rest| [vec![first.clone()], rest].concat()));
    }
    all
}
