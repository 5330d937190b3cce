//! What a template's author can make large is read in bounded time: either it is right, and read as it should be, or it
//! ends with an error that names what to simplify (threat 54).
//!
//! Work is counted in the steps that a ConfigMap may take, and in time of the processor that this thread had, ten times as
//! much as a release build takes: other tests run beside these.
#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, missing_docs, reason = "tests")]

#[path = "bounds_of_templates/inputs.rs"]
mod inputs;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use policies::budget::Budget;
use policies::library::{Problem, Severity, TemplateSet};
use policies::lint;
use serde_json::Value;

/// Steps that no ConfigMap reaches.
const PLENTY: u64 = 1 << 50;
/// Ten times what linting or compiling the worst ConfigMap may take.
const MOST_TIME: Duration = Duration::from_secs(20);

/// The time of a processor that this thread had.
fn time() -> Duration {
    match std::fs::read_to_string("/proc/thread-self/schedstat") {
        Ok(text) => Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap()),
        Err(_) => {
            static BEGIN: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
            BEGIN.elapsed()
        }
    }
}

/// Loads and lints; says what was found.
fn linted(what: &str, map: &Value) -> (TemplateSet, Vec<Problem>) {
    let begin = time();
    let set = TemplateSet::load(map);
    let loaded = time() - begin;
    let problems = lint::problems_of(map);
    let linted = time() - begin - loaded;
    assert!(loaded < MOST_TIME && linted < MOST_TIME, "{what}: loaded in {loaded:?}, linted in {linted:?}");
    // What cannot be used is told: a key without any template has an error of its own, or all have one.
    let usable: HashSet<&str> = set.templates.all().filter_map(|template| template.key.split('#').next()).collect();
    let wrong: HashSet<Option<&str>> =
        set.errors().chain(errors(&problems)).map(|problem| problem.key.as_deref()).collect();
    assert!(
        errors(&problems).iter().filter(|problem| problem.message.starts_with("not compiled")).count() < 2,
        "{what}"
    );
    let all_wrong = [None, Some("parameters"), Some("fledged.io/masters")].iter().any(|key| wrong.contains(key));
    for key in map["data"].as_object().unwrap().keys().filter(|key| *key != "parameters") {
        let told = all_wrong || wrong.contains(&Some(key.as_str()));
        assert!(told || usable.contains(key.as_str()), "{what}: {key} is silently unusable");
    }
    (set, problems)
}

/// The steps that loading takes.
fn steps(map: &Value) -> u64 {
    let budget = Budget::of(PLENTY);
    TemplateSet::load_within(map, &budget);
    PLENTY - budget.left()
}

fn errors(problems: &[Problem]) -> Vec<&Problem> {
    problems.iter().filter(|problem| problem.severity == Severity::Error).collect()
}

/// It is right, and reading it takes fewer steps than that.
fn accepted(what: &str, map: &Value, most: u64) {
    let (set, problems) = linted(what, map);
    assert_eq!(errors(&problems), Vec::<&Problem>::new(), "{what}");
    assert!(set.usable(), "{what}");
    let steps = steps(map);
    assert!(steps < most, "{what}: {steps} steps");
}

/// It is an error of this key, on this line, that says so.
fn refused(what: &str, map: &Value, key: &str, line: Option<usize>, words: &[&str]) {
    let (_, problems) = linted(what, map);
    let found = errors(&problems).into_iter().find(|problem| {
        problem.key.as_deref() == Some(key)
            && problem.line == line
            && words.iter().all(|word| problem.message.contains(word))
    });
    let first: Vec<_> = problems.iter().take(3).collect();
    assert!(found.is_some(), "{what}: no error of {key}, line {line:?}, says {words:?}: {first:?}");
}

#[test]
fn threat_54_texts_of_holes_that_may_be_empty_are_told_apart_in_few_steps() {
    for (holes, length, texts) in [(50, 50, 1), (100, 100, 1), (150, 150, 1), (150, 150, 8)] {
        accepted(&format!("{holes} {length} {texts}"), &inputs::empty_holes(holes, length, texts), 20_000_000);
    }
    accepted("the shortest", &inputs::one_empty_text(), 10_000_000);
}

#[test]
fn threat_54_steps_grow_as_what_they_are_taken_for() {
    let of = |size: usize| {
        [
            ("holes", steps(&inputs::empty_holes(30 * size, 20, 1))),
            ("lengths", steps(&inputs::empty_holes(10, 10 * size, 1))),
            ("variables", steps(&inputs::variables(100 * size))),
            ("variables by value", steps(&inputs::variables_by_value(100 * size))),
            ("variables of enums", steps(&inputs::variables_of_enums(30 * size, 4))),
            ("literals between list holes", steps(&inputs::between_list_holes(100 * size))),
            ("texts of an enum", steps(&inputs::texts_of_an_enum(100 * size, 100 * size))),
            ("nested", steps(&inputs::nested(40 * size, 400 * size, "a"))),
            ("accounts", steps(&inputs::masters(100 * size, 50 * size, 5))),
        ]
    };
    for ((what, small), (_, large)) in of(1).into_iter().zip(of(4)) {
        assert!(large < 6 * small, "{what}: {small} steps, and {large} of four times as much");
    }
}

#[test]
fn threat_54_variables_with_holes_in_their_names_are_told_apart_in_few_steps() {
    accepted("by their ends", &inputs::variables(5000), 60_000_000);
    accepted("by their values", &inputs::variables_by_value(5000), 60_000_000);
    accepted("by their enums", &inputs::variables_of_enums(1000, 8), 60_000_000);
}

#[test]
fn threat_54_what_takes_too_many_steps_is_an_error_that_names_what_to_simplify() {
    refused(
        "variables that nothing tells apart",
        &inputs::variables_alike(2000),
        "pod.yaml",
        Some(10),
        &["takes more work than is allowed", "a literal name"],
    );
    let work = "takes more work than is allowed";
    // The text at which the steps end, of many that are alike.
    let map = inputs::automata(1000);
    let (_, problems) = linted("large automata", &map);
    let told = errors(&problems);
    let [Problem { key: Some(key), line: Some(line), message, .. }] = *told else { panic!("{told:?}") };
    let text = map["data"]["pod.yaml"].as_str().unwrap().lines().nth(line - 1).unwrap();
    assert!(key == "pod.yaml" && text.contains("${q}"), "{line}: {text}");
    for word in [work, "ends at this text", "smaller counted repetitions"] {
        assert!(message.contains(word), "{message}");
    }
    assert!(!message.contains("manifests of this key"), "{message}");
    refused(
        "a text of holes alike",
        &inputs::alike_for_long(150, 150),
        "cm.yaml",
        Some(6),
        &["cannot be shown to be unambiguous", work, "put a separator between them"],
    );
    let (_, problems) = linted("patterns", &inputs::patterns(15_000));
    let told: Vec<_> =
        errors(&problems).into_iter().map(|problem| (problem.key.as_deref(), &*problem.message)).collect();
    assert!(matches!(*told, [(Some("parameters"), message)] if message.contains(work)), "{told:?}");
    accepted("a text of some holes alike", &inputs::alike_for_long(20, 150), 20_000_000);
}

#[test]
fn threat_54_the_largest_config_maps_are_read_in_bounded_time() {
    let head = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata:\n";
    let most = inputs::MOST;
    for (what, map) in [
        ("lists in a list", inputs::nested(1, most / 5, "[]")),
        ("a deep list", inputs::nested(390, most / 4, "a")),
        ("elements", inputs::lines("apiVersion: v1\nkind: A\nmetadata: {name: x}\nx:\n", "- a\n", most)),
        ("holes", inputs::lines("apiVersion: v1\nkind: A\nmetadata: {name: x}\nx:\n", "- ${app}\n", most)),
        (
            "one long text",
            inputs::lines(&format!("{head}  a: |\n"), "    some text of ${app} and other things\n", most),
        ),
        ("one text of holes", inputs::lines(&format!("{head}  a: \""), "${app}", most)),
        ("documents", inputs::lines("a: b\n", "---\na\n", most)),
        ("aliases", inputs::aliases(2000)),
        ("patterns", inputs::patterns(15_000)),
        ("an enum", inputs::enumeration(50_000)),
        ("texts of an enum", inputs::texts_of_an_enum(50_000, 15_000)),
        ("typos", inputs::typos(2000, 9000)),
        ("masters", inputs::masters(25_000, 10_000, 10_000)),
        ("masters of one kind", inputs::masters(25_000, 10_000, 1)),
        ("keys", inputs::keys(100_000)),
        ("errors", inputs::errors(15_000, 380)),
        ("accounts", inputs::accounts(380, 90_000)),
        ("holes alike", inputs::alike_for_long(1000, 150)),
        ("variables", inputs::variables(11_000)),
        ("enums", inputs::variables_of_enums(2000, 60)),
        ("literals between list holes", inputs::between_list_holes(80_000)),
    ] {
        linted(what, &map);
    }
}

#[test]
fn threat_54_a_file_of_many_keys_is_placed_line_by_line() {
    let map = inputs::keys(50_000);
    let text = serde_json::to_string_pretty(&map).unwrap();
    let begin = time();
    let problems = lint::problems(&text);
    let took = time() - begin;
    assert!(took < MOST_TIME, "{took:?}");
    assert_eq!(errors(&problems).len(), 50_000);
    let lines: std::collections::BTreeSet<_> = problems.iter().map(|problem| problem.line).collect();
    assert_eq!(lines.len(), 50_000, "each on its own line");
}

#[test]
fn threat_54_one_key_of_too_much_work_leaves_the_others_usable() {
    let mut map = inputs::variables_alike(2000);
    map["data"]["other.yaml"] = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\n".into();
    map["data"]["a.yaml"] = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n".into();
    let (set, problems) = linted("one key", &map);
    let usable: Vec<_> = set.templates.all().map(|template| template.key.as_str()).collect();
    assert_eq!(usable, ["a.yaml", "other.yaml"]);
    assert!(errors(&problems).iter().all(|problem| problem.key.as_deref() == Some("pod.yaml")), "{problems:?}");
}

#[test]
fn threat_54_what_comes_after_the_last_step_is_an_error_of_its_key() {
    let names: Vec<_> = (0..8).map(|at| format!("k{at}.yaml")).collect();
    let one = inputs::variables(500);
    let text = one["data"]["pod.yaml"].as_str().unwrap();
    let map = inputs::config_map(
        one["data"]["parameters"].as_str().unwrap(),
        names.iter().map(|name| (name.as_str(), text.to_owned())),
    );
    let all = steps(&map);
    let budget = Budget::of(all / 2);
    let set = TemplateSet::load_within(&map, &budget);
    assert!(budget.is_used_up());
    let usable: Vec<_> = set.templates.all().map(|template| template.key.clone()).collect();
    assert!((2..7).contains(&usable.len()), "{usable:?}");
    for name in &names {
        let error = set.errors().find(|problem| problem.key.as_deref() == Some(name));
        assert_eq!(error.is_none(), usable.contains(name), "{name}: {error:?}");
        assert!(error.is_none_or(|error| error.message.contains("work")), "{error:?}");
    }
    // Lint tells first where the steps end, and all keys after it at once.
    let linted = lint::read_within(&map, &Budget::of(all / 2)).problems;
    let told = errors(&linted);
    let (end, first) = (names.get(usable.len()).unwrap(), names.get(usable.len() + 1).unwrap());
    let [cause, rest] = *told else { panic!("{told:?}") };
    assert_eq!((cause.key.as_ref(), rest.key.as_ref()), (Some(end), Some(first)), "{told:?}");
    assert!(
        cause.message.contains("ends at this list") && cause.message.contains("literal names"),
        "{}",
        cause.message
    );
    for word in [&format!("used up at {end} ("), "in order of their names", "k7.yaml"] {
        assert!(rest.message.contains(word), "{}", rest.message);
    }
    // What was accepted is read again, and makes what it made; before that it is known how much work that is.
    let whole = TemplateSet::load(&map);
    let kind = policies::object::Gvk::new("", "v1", "Pod");
    assert!(whole.templates.effort(&kind) > all / 2, "{} of {all}", whole.templates.effort(&kind));
    assert_eq!((whole.templates.all().count(), whole.templates.effort(&kind)), (8, 0));
}

#[test]
fn threat_54_what_takes_much_of_the_work_is_a_warning_with_its_line() {
    let warnings = |map: &Value, budget: u64| -> Vec<Problem> {
        let set = TemplateSet::load_within(map, &Budget::of(budget));
        assert_eq!(set.errors().next(), None);
        set.problems
            .into_iter()
            .filter(|problem| problem.message.contains("of the work that one ConfigMap may"))
            .collect()
    };
    let map = inputs::variables(500);
    let all = steps(&map);
    let told = warnings(&map, all * 2);
    let [Problem { key: Some(key), line: Some(9), message, .. }] = told.as_slice() else { panic!("{told:?}") };
    assert!(
        key == "pod.yaml" && message.contains("the list on this line") && message.contains("literal names"),
        "{message}"
    );
    assert_eq!(warnings(&map, all * 5), []);
    // Of many keys none of which takes much.
    let text = map["data"]["pod.yaml"].as_str().unwrap();
    let names: Vec<_> = (0..8).map(|at| format!("k{at}.yaml")).collect();
    let parameters = map["data"]["parameters"].as_str().unwrap();
    let map = inputs::config_map(parameters, names.iter().map(|name| (name.as_str(), text.to_owned())));
    let told = warnings(&map, steps(&map) * 4 / 3);
    assert!(matches!(told.as_slice(), [Problem { key: None, .. }]), "{told:?}");
}

#[test]
fn threat_54_a_parameter_that_is_too_large_inside_text_is_named() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata:\n  a: \"${large}-${small}\"\n";
    let values: Vec<_> = (0..30_000).map(|at| format!("v{at}x{}y", at * 7919 % 30_011)).collect();
    for (large, words) in [
        (
            "pattern: \"(a|b)*a(a|b){16}\"".to_owned(),
            ["the pattern of parameter large is too large", "smaller counted repetitions"],
        ),
        (
            format!("enum: [{}]", values.join(", ")),
            ["the enum of 30000 values of parameter large is too large", "list fewer values"],
        ),
    ] {
        let parameters = format!("small: {{type: string, pattern: \"[a-z]+\"}}\nlarge: {{type: string, {large}}}\n");
        let map = inputs::config_map(&parameters, [("cm.yaml", text.to_owned())]);
        refused("a large parameter", &map, "cm.yaml", Some(5), &words);
    }
}
