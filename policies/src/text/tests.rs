//! How text is cut, and what is ambiguous.
#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;

/// Parameters in order of their letters: `a`, `b`, …
fn parameters(schemas: &[Value]) -> Parameters {
    let all: serde_json::Map<_, _> =
        schemas.iter().zip('a'..).map(|(schema, letter)| (letter.to_string(), schema.clone())).collect();
    Parameters::parse(&Value::Object(all).to_string()).unwrap()
}

/// `${a}` and `${pod.name}` are holes, all else is literal.
fn pattern(source: &str) -> TextPattern {
    let mut parts = Vec::new();
    let mut rest = source;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').unwrap();
        if !before.is_empty() {
            parts.push(Part::Literal(before.into()));
        }
        let given = Given::ALL.into_iter().find(|given| given.name() == name);
        parts.push(Part::Hole(match given {
            Some(given) => Hole::Given(given),
            None => Hole::Declared(usize::from(name.as_bytes()[0] - b'a')),
        }));
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(Part::Literal(rest.into()));
    }
    TextPattern::new(parts)
}

fn free() -> Value {
    json!({"type": "string"})
}
fn like(pattern: &str) -> Value {
    json!({"type": "string", "pattern": pattern})
}

#[test]
fn texts_that_have_two_readings_are_ambiguous_and_others_are_not() {
    let digits = || like("[0-9]{8}");
    let name = || like("[a-z0-9]([-a-z0-9]*[a-z0-9])?");
    let cases: Vec<(&str, Vec<Value>, Option<&str>)> = vec![
        ("${a}-${b}", vec![free(), free()], Some("${a}")),
        ("${a}${b}", vec![free(), free()], Some("${b}")),
        ("${a}${b}", vec![digits(), digits()], None),
        ("${a}${b}", vec![like("[a-z]+"), like("[0-9]+")], None),
        ("${a}${b}", vec![like("[a-z]*"), like("[a-c]?")], Some("${a}")),
        ("${a}-${b}", vec![digits(), free()], None),
        ("${a}-${b}", vec![name(), name()], Some("${b}")),
        ("${a}.${b}", vec![name(), name()], None),
        ("x-${a}-y", vec![free()], None),
        ("${a}/${a}", vec![free()], None),
        ("${a}${a}", vec![free()], None),
        ("${a}:${b}", vec![like("[^:]*"), free()], None),
        ("${a}:${b}:${c}", vec![like("[^:]*"), free(), like("[0-9]+")], None),
        ("${a}:${b}:${c}", vec![free(), free(), like("[0-9]+")], Some("two ways")),
        ("${a} ${b}", vec![json!({"type": "integer"}), json!({"type": "integer"})], None),
        ("${a}${b}", vec![json!({"type": "integer"}), json!({"type": "integer"})], Some("two ways")),
        ("${a}${b}", vec![json!({"type": "boolean"}), json!({"type": "boolean"})], None),
        // Anchors are relative to the value.
        ("${a}${b}", vec![like("^[a-z]+$"), like("^[0-9]+$")], None),
        // Values of the caller's identity are known text outside the parameters, any text between them.
        ("${master.name}-${a}", vec![free()], None),
        ("${pod.name}-${a}-${b}", vec![digits(), name()], None),
        ("${a}${pod.name}${b}", vec![free(), free()], Some("two ways")),
        ("${a}.${pod.uid}.${b}", vec![name(), name()], None),
        ("x${a}", vec![json!({"type": "array", "items": {"type": "string"}})], Some("list or a map")),
        (
            "${a}.${b}",
            vec![json!({"type": "integer", "optional": true}), json!({"type": "integer", "optional": true})],
            Some("optional"),
        ),
    ];
    for (source, schemas, expected) in cases {
        let got = pattern(source).ambiguity(&parameters(&schemas));
        match (expected, &got) {
            (None, None) => {}
            (Some(word), Some(message)) if message.contains(word) => {}
            _ => panic!("{source} with {schemas:?}: expected {expected:?}, got {got:?}"),
        }
    }
}

#[test]
fn the_example_of_an_ambiguous_text_is_the_shortest() {
    let message = pattern("${a}-${b}").ambiguity(&parameters(&[like("[a-z-]+"), like("[a-z-]+")])).unwrap();
    assert!(message.contains("${a} and ${b}") && message.contains("\"a--a\""), "{message}");
}

/// A pattern, the schemas of its parameters, a text, and what they are bound to.
type Cut = (&'static str, Vec<Value>, &'static str, Result<Vec<Value>, TextMismatch>);

#[test]
fn a_text_is_cut_into_the_values_that_render_it() {
    let given = BTreeMap::from([(Given::MasterName, "eod".to_owned()), (Given::PodName, "eod-7".to_owned())]);
    let int = || json!({"type": "integer", "minimum": 1, "maximum": 65535});
    let cases: Vec<Cut> = vec![
        ("post-trade-${a}", vec![like("[0-9]{8}")], "post-trade-20261120", Ok(vec![json!("20261120")])),
        ("post-trade-${a}", vec![like("[0-9]{8}")], "post-trade-2026", Err(TextMismatch::Parameter(0))),
        ("post-trade-${a}", vec![free()], "posttrade-1", Err(TextMismatch::Form)),
        ("post-trade-${a}", vec![free()], "post-trade-", Ok(vec![json!("")])),
        ("aXa${a}aXa", vec![free()], "aXaXa", Err(TextMismatch::Form)),
        ("${a}", vec![free()], "a\nb\u{1f600}", Ok(vec![json!("a\nb\u{1f600}")])),
        (
            "http://${a}:${b}/x",
            vec![like("[a-z.]+"), int()],
            "http://db.x:7078/x",
            Ok(vec![json!("db.x"), json!(7078)]),
        ),
        ("http://${a}:${b}/x", vec![like("[a-z.]+"), int()], "http://db.x:99999/x", Err(TextMismatch::Parameter(1))),
        ("http://${a}:${b}/x", vec![like("[a-z.]+"), int()], "http://db.x:007/x", Err(TextMismatch::Form)),
        ("${a}=${a}", vec![free()], "k=v=k=v", Ok(vec![json!("k=v")])),
        ("${a}=${a}", vec![free()], "k=v", Err(TextMismatch::Form)),
        ("${a}-${b}-${a}", vec![like("[a-z]"), int()], "x-1-y", Err(TextMismatch::Form)),
        ("${a}-${b}-${a}", vec![like("[a-z]"), int()], "x-1-x", Ok(vec![json!("x"), json!(1)])),
        ("${master.name}-${a}", vec![free()], "eod-eod", Ok(vec![json!("eod")])),
        ("${a}@${pod.name}@${b}", vec![like("[a-z]+"), int()], "x@eod-7@1", Ok(vec![json!("x"), json!(1)])),
        ("${a}@${pod.name}@${b}", vec![like("[a-z]+"), int()], "x@eod-8@1", Err(TextMismatch::Form)),
        ("${pod.uid}-${a}", vec![free()], "x-1", Err(TextMismatch::Unknown(Given::PodUid))),
        // A maximal run that is given up again, as `x` could end the first hole or be the literal.
        ("${a}x${b}", vec![like("[a-x]*"), like("[0-9]*")], "axbxx1", Ok(vec![json!("axbx"), json!("1")])),
    ];
    for (source, schemas, text, expected) in cases {
        let parameters = parameters(&schemas);
        assert_eq!(pattern(source).ambiguity(&parameters), None, "{source}");
        let got = pattern(source).bind(text, &given, &parameters);
        let got = got.map(|values| values.into_iter().map(|(_, value)| value).collect::<Vec<_>>());
        assert_eq!(got, expected, "{source} against {text:?}");
    }
}

#[test]
fn long_texts_are_cut_in_linear_time() {
    let parameters = parameters(&[like("[^:]*"), free()]);
    let text = format!("{}:{}", "x".repeat(60_000), ":".repeat(60_000));
    let got = pattern("${a}:${b}").bind(&text, &BTreeMap::new(), &parameters).unwrap();
    assert_eq!(got[1].1.as_str().unwrap().len(), 60_000);
}

#[test]
fn enormous_patterns_are_refused_instead_of_searched() {
    let big = like("([a-z][0-9]){1,200}");
    let message = pattern("${a}-${b}").ambiguity(&parameters(&[big.clone(), big])).unwrap_or_default();
    assert!(message.is_empty() || message.contains("cannot be shown"), "{message}");
    let label = like("[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?");
    let message = pattern("${a}.${b}.${c}").ambiguity(&parameters(&[label.clone(), label.clone(), label]));
    assert_eq!(message, None);
}

/// Every way to cut `text` into pieces of these parts, by trying all.
fn cuts<'t>(parts: &[(&str, Option<parameter::Pattern>)], text: &'t str) -> Vec<Vec<&'t str>> {
    let Some(((literal, pattern), rest)) = parts.split_first() else {
        return if text.is_empty() { vec![Vec::new()] } else { Vec::new() };
    };
    let fits = |piece: &str| pattern.as_ref().map_or(piece == *literal, |pattern| pattern.matches(piece));
    (0..=text.len())
        .filter(|end| fits(&text[..*end]))
        .flat_map(|end| {
            cuts(rest, &text[end..])
                .into_iter()
                .map(move |after| [vec![&text[..end]], after].concat())
                .collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn texts_are_ambiguous_exactly_where_trying_all_cuts_finds_two() {
    const PATTERNS: [&str; 12] =
        ["a*", "b?", "a", "(ab)?", "[ab]", "(a|b)*", "b+", "aa?", "(ba)*", "(ab|a)?", "a{2,3}", "(a[ab]b)?"];
    const LITERALS: [&str; 4] = ["", "", "a", "ba"];
    let texts: Vec<String> = (0..8_u32)
        .flat_map(|length| (0..1_u32 << length).map(move |bits| (length, bits)))
        .map(|(length, bits)| (0..length).map(|at| if bits >> at & 1 == 0 { 'a' } else { 'b' }).collect())
        .collect();
    let mut dice = 7_u64;
    let mut throw = |faces: usize| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(dice >> 33).unwrap() % faces
    };
    let (mut ambiguous, mut clear) = (0, 0);
    for _ in 0..400 {
        let holes = 2 + throw(3);
        let chosen: Vec<_> = (0..holes).map(|_| PATTERNS[throw(PATTERNS.len())]).collect();
        let literals: Vec<_> = (0..holes).map(|hole| if hole == 0 { "" } else { LITERALS[throw(4)] }).collect();
        let mut parts = Vec::new();
        let mut source = String::new();
        for ((at, wanted), literal) in chosen.iter().enumerate().zip(&literals) {
            if !literal.is_empty() {
                parts.push((*literal, None));
            }
            parts.push(("", Some(parameter::Pattern::new(wanted).unwrap())));
            source.push_str(&format!("{literal}${{{}}}", char::from(b'a' + u8::try_from(at).unwrap())));
        }
        let parameters = parameters(&chosen.iter().map(|wanted| like(wanted)).collect::<Vec<_>>());
        let text_pattern = pattern(&source);
        let core = text_pattern.core();
        let budget = Budget::of(1_000_000);
        let machines = cut::Machines::compile(core, &parameters, &parameters.pieces, &budget).unwrap();
        let found = machines.ambiguity(&budget).unwrap();
        let all: Vec<_> = texts.iter().map(|text| (text, cuts(&parts, text))).collect();
        let shortest = all.iter().filter(|(_, cuts)| cuts.len() > 1).map(|(text, _)| text.len()).min();
        match (&found, shortest) {
            (Some(found), Some(shortest)) => {
                ambiguous += 1;
                assert_eq!(found.example.len(), shortest, "{source} of {chosen:?}: {found:?}");
                assert!(cuts(&parts, &found.example).len() > 1, "{source} of {chosen:?}: {found:?}");
            }
            (Some(found), None) => assert!(found.example.len() >= 8, "{source} of {chosen:?}: {found:?}"),
            (None, Some(_)) => panic!("{source} of {chosen:?} is ambiguous"),
            (None, None) => {
                clear += 1;
                for (text, cuts) in &all {
                    assert_eq!(machines.cut(text), cuts.first().cloned(), "{source} of {chosen:?}: {text:?}");
                }
            }
        }
    }
    assert!(ambiguous > 50 && clear > 50, "{ambiguous} {clear}");
}

#[test]
fn threat_54_a_text_is_cut_in_time_that_does_not_grow_with_the_parts_that_may_be_empty() {
    let many = 26;
    let schemas: Vec<_> = (0..many).map(|at| like(&format!("({}[0-9]*)?", char::from(b'a' + at)))).collect();
    let source: String = (0..many).map(|at| format!("${{{}}}", char::from(b'a' + at))).collect();
    let parameters = parameters(&schemas);
    assert_eq!(pattern(&source).ambiguity(&parameters), None);
    let text: String = ('a'..='z').map(|letter| format!("{letter}{}", "7".repeat(1000))).collect();
    let bound = pattern(&source).bind(&text, &BTreeMap::new(), &parameters).unwrap();
    assert_eq!(bound.len(), usize::from(many));
    assert!(bound.iter().all(|(_, value)| value.as_str().unwrap().len() == 1001));
}
