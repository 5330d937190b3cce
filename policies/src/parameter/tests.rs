#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]
use serde_json::json;

use super::*;

fn schema(text: &str) -> Schema {
    match Parameters::parse(&format!("p: {text}")) {
        Ok(parameters) => parameters.all[0].schema.clone(),
        Err(errors) => panic!("{text}: {errors:?}"),
    }
}

#[test]
fn a_schema_accepts_its_values_and_no_others() {
    let digest = format!("registry.example/team/app@sha256:{}", "a".repeat(64));
    for (text, accepted, refused) in [
        ("{type: string}", vec![json!(""), json!("a\nb")], vec![json!(1), json!(null), json!(["a"])]),
        (
            "{type: string, minLength: 2, maxLength: 3}",
            vec![json!("ab"), json!("äöü")],
            vec![json!("a"), json!("abcd")],
        ),
        (
            "{type: string, pattern: '[0-9]{8}'}",
            vec![json!("20261120")],
            vec![json!("20261120\n"), json!("x20261120"), json!("202611201"), json!("٢٠٢٦١١٢٠"), json!(20_261_120)],
        ),
        ("{type: string, pattern: '^a|b$'}", vec![json!("a"), json!("b")], vec![json!("ab"), json!("ax"), json!("xb")]),
        (
            "{type: string, pattern: '\\d+\\s\\w'}",
            vec![json!("12 x")],
            vec![json!("١ x"), json!("1\u{a0}x"), json!("1 é")],
        ),
        ("{type: string, pattern: '.+'}", vec![json!("é"), json!("日本")], vec![json!(""), json!("a\nb")]),
        ("{type: string, enum: [a, b]}", vec![json!("a")], vec![json!("c"), json!("")]),
        ("{type: integer}", vec![json!(3), json!(-3), json!(3.0)], vec![json!(3.5), json!("3"), json!(true)]),
        ("{type: integer, minimum: 1, maximum: 8}", vec![json!(1), json!(8)], vec![json!(0), json!(9)]),
        ("{type: integer, enum: [1, 2]}", vec![json!(1), json!(1.0)], vec![json!(3)]),
        (
            "{type: number, exclusiveMinimum: 0, maximum: 1, exclusiveMaximum: true}",
            vec![json!(0.5)],
            vec![json!(0), json!(1), json!(1.5)],
        ),
        ("{type: boolean}", vec![json!(true)], vec![json!("true"), json!(1)]),
        (
            "{type: array, items: {type: integer}, minItems: 1, maxItems: 2}",
            vec![json!([1]), json!([1, 2])],
            vec![json!([]), json!([1, 2, 3]), json!(["a"]), json!({})],
        ),
        (
            "{type: object, properties: {a: {type: string}, b: {type: string, optional: true}, c: {type: string, default: x}}}",
            vec![json!({"a": "x"}), json!({"a": "x", "b": "y", "c": "z"})],
            vec![json!({}), json!({"a": "x", "d": "y"}), json!({"a": 1}), json!([])],
        ),
        (
            "{type: object, additionalProperties: {type: integer}}",
            vec![json!({}), json!({"x": 1})],
            vec![json!({"x": "1"})],
        ),
        (
            "{oneOf: [{type: string, pattern: 'a+'}, {type: string, pattern: '[ab]'}]}",
            vec![json!("aa"), json!("b")],
            vec![json!("a"), json!("c")],
        ),
        (
            "{type: string, format: quantity, minimum: 100m, maximum: 2Gi}",
            vec![json!("100m"), json!("0.1"), json!("2Gi"), json!("2048Mi"), json!(1)],
            vec![json!("99m"), json!("3Gi"), json!("2 Gi"), json!("-1"), json!("x"), json!(null)],
        ),
        (
            "{type: string, format: duration, maximum: 1h}",
            vec![json!("3600"), json!("60m"), json!("1s")],
            vec![json!("61m"), json!("1 fortnight"), json!("none"), json!(" 1s"), json!(60)],
        ),
        (
            "{type: string, format: image, registry: registry.example, repository: team/app, digest: required}",
            vec![json!(digest), json!(digest.replace('@', ":v1@"))],
            vec![
                json!("registry.example/team/app:v1"),
                json!(digest.replace("registry", "xregistry")),
                json!(digest.replace("app", "app/evil")),
                json!(digest.replace("registry.example/", "")),
                json!(digest.replace("registry.", "registryx")),
                json!(format!("{digest}0")),
            ],
        ),
        (
            "{type: string, format: image, registries: ['a.example', 'b.example:5000'], repository: team/*}",
            vec![json!("a.example/team/app"), json!("b.example:5000/team/x/y:1")],
            vec![
                json!("a.example/team"),
                json!("a.example/other/app"),
                json!("b.example/team/app"),
                json!("a.example/team/../x"),
            ],
        ),
    ] {
        let schema = schema(text);
        for value in accepted {
            assert_eq!(schema.accepts(&value), Ok(()), "{text} {value}");
        }
        for value in refused {
            assert!(schema.accepts(&value).is_err(), "{text} accepted {value}");
        }
    }
}

#[test]
fn a_mismatch_says_where_and_what_was_expected_and_never_the_value() {
    for (text, value, expected) in [
        ("{type: integer, minimum: 1, maximum: 8}", json!(99), "expected an integer from 1 to 8"),
        ("{type: string, pattern: '[0-9]{8}'}", json!("hunter2"), "expected text that matches [0-9]{8} as a whole"),
        ("{type: string, enum: [a, b]}", json!("hunter2"), "expected one of \"a\", \"b\""),
        ("{type: array, items: {type: integer}}", json!([1, "hunter2"]), "[1]: expected an integer"),
        (
            "{type: object, properties: {a: {type: object, properties: {b: {type: boolean}}}}}",
            json!({"a": {"b": "hunter2"}}),
            "a.b: expected true or false",
        ),
        (
            "{type: object, properties: {a: {type: string}}}",
            json!({"a": "", "b": "hunter2"}),
            "b: expected no such key",
        ),
        ("{type: string, format: quantity, maximum: 2Gi}", json!("hunter2"), "expected a quantity at most 2Gi"),
        ("{type: string, minLength: 2}", json!("x"), "expected text of 2 or more characters"),
    ] {
        let message = schema(text).accepts(&value).unwrap_err().to_string();
        assert_eq!(message, expected, "{text}");
        assert!(!message.contains("hunter2"));
    }
}

#[test]
fn values_and_their_form_inside_text_belong_together() {
    for (text, form, value) in [
        ("{type: string}", "3", Some(json!("3"))),
        ("{type: integer}", "3", Some(json!(3))),
        ("{type: integer}", "-3", Some(json!(-3))),
        ("{type: integer}", "03", None),
        ("{type: integer}", "3.0", None),
        ("{type: integer}", "+3", None),
        ("{type: integer}", " 3", None),
        ("{type: integer, maximum: 2}", "3", None),
        ("{type: number}", "0.5", Some(json!(0.5))),
        ("{type: boolean}", "true", Some(json!(true))),
        ("{type: boolean}", "yes", None),
        ("{type: integer, enum: [1, 3]}", "3", Some(json!(3))),
        ("{oneOf: [{type: integer}, {type: string, pattern: '[a-z]+'}]}", "3", Some(json!(3))),
        ("{oneOf: [{type: integer}, {type: string, pattern: '[a-z]+'}]}", "abc", Some(json!("abc"))),
        ("{type: array, items: {type: string}}", "[]", None),
    ] {
        let schema = schema(text);
        assert_eq!(schema.value_of_text(form), value, "{text} {form}");
        if let (Some(value), Some(language)) = (&value, schema.language()) {
            assert_eq!(text_of_value(value).as_deref(), Some(form));
            assert!(Pattern::unbounded(&language).unwrap().matches(form), "{language} misses {form}");
        }
    }
}

#[test]
fn the_language_of_a_schema_holds_the_text_of_each_of_its_values() {
    for (text, forms) in [
        ("{type: integer, minimum: 0}", vec!["0", "12"]),
        ("{type: integer, minimum: -2, maximum: 2}", vec!["-2", "0", "2"]),
        ("{type: number}", vec!["0.5", "-1e-7", "3"]),
        ("{type: string, minLength: 1}", vec!["a\nb"]),
        ("{type: string, pattern: '^a.c$'}", vec!["abc"]),
        ("{type: string, enum: ['a.b', 'c|d']}", vec!["a.b", "c|d"]),
        ("{type: string, format: quantity}", vec!["100m", "1.5Gi", ".5", "1e3", "-2"]),
        ("{type: string, format: duration}", vec!["90s", "1h30m", "3600", "7d"]),
    ] {
        let schema = schema(text);
        let pattern = Pattern::unbounded(&schema.language().unwrap()).unwrap();
        for form in forms {
            assert!(schema.value_of_text(form).is_some() && pattern.matches(form), "{text} {form}");
        }
    }
}

#[test]
fn parameters_carry_what_stands_beside_their_schema() {
    let parameters = Parameters::parse(
        "b: {type: string, generated: {length: 32}}\na: {type: integer, default: 2, description: how many}\nc: {type: string, optional: true, sensitive: true}\n",
    )
    .unwrap();
    let names: Vec<_> = parameters.all.iter().map(|parameter| parameter.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    let [a, b, c] = parameters.all.as_slice() else { panic!() };
    assert_eq!((a.default.clone(), a.description.as_deref(), a.line), (Some(json!(2)), Some("how many"), 2));
    assert!(c.optional && c.sensitive);
    assert_eq!(b.generated.as_ref().map(|generated| (generated.length, generated.alphabet.len())), Some((32, 62)));
    assert!(b.schema.accepts(&json!("aZ9".repeat(10) + "xy")).is_ok());
    assert!(b.schema.accepts(&json!("-".repeat(32))).is_err() && b.schema.accepts(&json!("a")).is_err());
    assert!(Parameters::parse("").unwrap().all.is_empty());
}

#[test]
fn threat_31_patterns_are_bounded_when_read_and_linear_when_used() {
    let start = std::time::Instant::now();
    let catastrophic = schema("{type: string, pattern: '(a*)*(a|a)*b'}");
    assert!(catastrophic.accepts(&json!("a".repeat(60_000))).is_err());
    assert!(catastrophic.accepts(&json!(format!("{}b", "a".repeat(1000)))).is_ok());
    assert!(start.elapsed().as_secs() < 20, "linear time even unoptimised");
    let one = schema("{type: string, pattern: 'x[0-9]+'}");
    let other = schema("{type: string, pattern: 'x[0-9]+'}");
    let (SchemaNode::Text(one), SchemaNode::Text(other)) = (&one.node, &other.node) else { panic!() };
    assert_eq!(one.pattern, other.pattern);
}

#[test]
fn what_is_wrong_is_told_with_line_and_name() {
    for (text, line, message) in [
        ("a: {type: strin}", 1, "parameter a: unknown type \"strin\": expected string, integer"),
        ("a: {type: string}\na: {type: string}", 2, "twice"),
        ("a: {type: string, patern: x}", 1, "unknown keyword \"patern\""),
        ("a: {type: string, nullable: true}", 1, "unknown keyword \"nullable\""),
        ("a: {type: integer, pattern: x}", 1, "unknown keyword \"pattern\""),
        ("a:\n  type: string\n  pattern: '['", 3, "no regular expression"),
        ("a: {type: string, pattern: '(?=x)'}", 1, "look-around"),
        ("a: {type: string, pattern: '(?i)x'}", 1, "flags"),
        ("a: {type: string, pattern: '\\bx'}", 1, "boundary"),
        ("a: {type: string, pattern: 'a^b'}", 1, "anchor"),
        ("a: {type: string, pattern: '\\pL'}", 1, "Unicode class"),
        ("a: {type: string, pattern: '(x{1000}){1000}'}", 1, "enormous"),
        ("a: {type: string, format: email}", 1, "unknown format \"email\""),
        ("a: {type: string, minLength: -1}", 1, "whole number"),
        ("a: {type: integer, minimum: 3, maximum: 2}", 1, "above its maximum"),
        ("a: {type: integer, default: x}", 1, "the default is refused by its own schema: expected an integer"),
        ("a:\n  type: integer\n  maximum: 3\n  default: 4", 4, "the default is refused"),
        ("a: {type: string, enum: [a, 1]}", 1, "the enum holds 1"),
        (
            "a: {type: string, enum: [x, y]}",
            1,
            "the enum holds true, which its own schema refuses: expected text (y, n",
        ),
        ("a: {type: string, enum: []}", 1, "at least one"),
        ("a: {type: string, optional: true, default: x}", 1, "exclude each other"),
        ("a: {type: string, default: null}", 1, "the default is null"),
        ("a: {type: array}", 1, "needs items"),
        ("a: {type: array, items: {type: string, optional: true}}", 1, "unknown keyword \"optional\""),
        ("a: {type: object}", 1, "needs properties"),
        ("a: {type: object, additionalProperties: true}", 1, "write a schema"),
        ("a: {type: object, properties: {b: {type: string, sensitive: true}}}", 1, "unknown keyword \"sensitive\""),
        ("a: {oneOf: []}", 1, "oneOf is a list"),
        ("a: {type: string, oneOf: [{type: string}]}", 1, "inside the branches"),
        ("a: {description: x}", 1, "type is missing"),
        ("a: string", 1, "expected a schema"),
        ("a: {type: string, generated: {length: 4}}", 1, "from 8 to 1024"),
        ("a: {type: string, generated: {}}", 1, "needs a length"),
        ("a: {type: string, generated: {length: 32, alphabet: aab}}", 1, "none twice"),
        ("a: {type: string, pattern: x, generated: {length: 32}}", 1, "all there is to say"),
        ("a: {type: string, generated: {length: 32}, default: x}", 1, "neither optional"),
        ("a: {type: string, format: image, digest: sometimes}", 1, "digest is required"),
        ("a: {type: string, format: image, registry: a/}", 1, "without a slash"),
        ("a: {type: string, format: quantity, minimum: lots}", 1, "a quantity such as"),
        ("a: {type: string, format: duration, maximum: 1 fortnight}", 1, "a duration such as"),
        ("n: {type: string}", 1, "the boolean false"),
        ("1a: {type: string}", 1, "no name of a parameter"),
        ("a.b: {type: string}", 1, "no name of a parameter"),
        ("pod.name: {type: string}", 1, "given by the caller's identity"),
        ("- a", 1, "a map of names and schemas"),
        ("a: [", 1, "no YAML"),
        ("a: {type: string}\n---\nb: {type: string}", 3, "one document"),
    ] {
        let errors = Parameters::parse(text).unwrap_err();
        assert!(errors[0].message.contains(message), "{text} gave {errors:?}");
        assert_eq!(errors[0].line, line, "{text} gave {errors:?}");
        assert_eq!(errors.len(), 1, "{text} gave {errors:?}");
    }
    let both = Parameters::parse("a: {type: xx}\nb: {type: zz}").unwrap_err();
    assert_eq!(both.len(), 2, "every problem is told, not the first only");
    let long = format!("a: {{type: string, pattern: {}}}", "x".repeat(5000));
    assert!(Parameters::parse(&long).unwrap_err()[0].message.contains("5000 bytes"));
}

#[test]
fn schemas_nest_only_so_deep() {
    let deep = format!("a: {}{{type: string}}{}", "{type: array, items: ".repeat(30), "}".repeat(30));
    assert!(Parameters::parse(&deep).unwrap_err()[0].message.contains("16 deep"));
}

#[test]
fn threat_54_text_that_is_too_long_for_a_pattern_is_told_how_long_it_may_be() {
    let (most, more) = (json!("a".repeat(65_536)), json!("a".repeat(65_537)));
    let schema_ = schema("{type: string, pattern: '.*'}");
    assert_eq!(schema_.accepts(&most), Ok(()));
    let limit = "text that matches .* as a whole, of at most 65536 bytes: longer text is held against no pattern";
    assert_eq!(schema_.accepts(&more).unwrap_err().expected, limit);
    let list = schema("{type: array, items: {type: string, pattern: '.*'}}");
    assert_eq!(list.accepts(&json!(["a", more])).unwrap_err().expected, limit);
    let one_of = schema("{oneOf: [{type: string, pattern: '.*'}, {type: integer}]}");
    assert!(one_of.accepts(&more).unwrap_err().expected.contains("at most 65536 bytes"));
    // Where no length is what is wrong, none is told.
    for (text, value) in [("{type: string, pattern: '[0-9]*'}", json!("x")), ("{type: integer}", more.clone())] {
        assert!(!schema(text).accepts(&value).unwrap_err().expected.contains("65536"), "{text}");
    }
    assert_eq!(schema("{type: string}").accepts(&more), Ok(()));
}

#[test]
fn of_many_alternatives_the_first_are_described() {
    let branches: Vec<_> = (0..200).map(|at| format!("{{type: string, pattern: 'b{at}x*'}}")).collect();
    let described = schema(&format!("{{oneOf: [{}]}}", branches.join(", "))).describe();
    assert!(
        described.contains("b19x*") && !described.contains("b20x*") && described.ends_with("; or …"),
        "{described}"
    );
}
