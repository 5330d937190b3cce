#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]
use super::*;

/// A ConfigMap whose template is `body`, with what every template needs before it.
fn file(parameters: &str, body: &str) -> String {
    let indent = |text: &str| text.lines().map(|line| format!("    {line}\n")).collect::<String>();
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\n  labels: {{fledged.io/templates: \"true\"}}\ndata:\n  parameters: |\n{}  t.yaml: |\n{}",
        indent(parameters),
        indent(body)
    )
}

const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n";

#[test]
fn a_sound_file_has_no_problems() {
    let text = file(
        "workers: {type: integer}\nwhat: {type: string, enum: [a, b]}",
        &format!(
            "{POD}  containers:\n  - name: main\n    args: [\"--workers=${{workers}}\", \"${{what}}\", \"${{HOME}}\"]\n"
        ),
    );
    assert_eq!(problems(&text), []);
}

#[test]
fn lines_are_those_of_the_file() {
    let text = file("workers: {type: integer}\nrun: {type: strin}", &format!("{POD}  a: ${{workers}}\n"));
    let found = problems(&text);
    assert_eq!(found[0].line, Some(9), "{found:?}");
    assert_eq!(found[0].key.as_deref(), Some("parameters"));
    let text = file("workers: {type: integer}", &format!("{POD}  a: {{b: ${{workers}}}}\n"));
    assert_eq!(problems(&text)[0].line, Some(14));
    let second = format!("{}---\n{}", file("a: {type: boolean}", &format!("{POD}  a: ${{a}}\n")), text);
    assert_eq!(problems(&second)[0].line, Some(15 + 14));
}

#[test]
fn habits_are_warned_of_with_their_line() {
    let free = "what: {type: string}\nlist: {type: array, items: {type: string}}\nloose: {type: string, pattern: '.+'}\nimg: {type: string, format: image}";
    let all = "  z: [\"${what}\", \"${loose}\", \"${img}\"]\n  y:\n  - ${list}\n";
    for (parameters, body, line, message) in [
        ("workers: {type: integer}", format!("{POD}  b: ${{workers}}\n  a: ${{wrokers}}\n"), 15, "did you mean ${workers}?"),
        ("workers: {type: integer}", format!("{POD}  b: ${{workers}}\n  a: ${{ workers }}\n"), 15, "did you mean ${workers}?"),
        ("a: {type: integer}", format!("{POD}  b: ${{a}}\n  a: ${{pod.uuid}}\n"), 15, "did you mean ${pod.uid}?"),
        (free, format!("{POD}{all}  command: [sh, -c, \"${{what}}\"]\n"), 20, "what is free text in command"),
        (free, format!("{POD}{all}  args: [\"--x=${{loose}}\"]\n"), 20, "loose is free text in args"),
        (free, format!("{POD}{all}  args:\n  - ${{list}}\n"), 21, "list is free text in args"),
        (free, format!("{POD}{all}  image: \"example/${{what}}\"\n"), 20, "format: image"),
        (free, format!("{POD}{all}  env: ${{list}}\n"), 20, "whole env list"),
        ("k: {type: integer}", format!("{POD}  b: ${{k}}\n  answer: n\n"), 15, "n is the boolean false"),
        (
            "k: {type: integer}",
            "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: s}\nspec:\n  replicas: ${k}\n  volumeClaimTemplates:\n  - metadata: {name: d}\n"
                .into(),
            16,
            "claims of this StatefulSet stay",
        ),
        (
            "k: {type: integer}",
            "apiVersion: batch/v1\nkind: Job\nmetadata: {name: s}\nspec:\n  parallelism: ${k}\n  template:\n    metadata:\n      labels:\n        essential-container: main\n    spec: {containers: [{name: main}, {name: log}]}\n"
                .into(),
            18,
            "fledged.io/native-sidecars",
        ),
        ("k: {type: integer}\nm: {type: integer}", format!("{POD}  b: ${{k}}\n"), 9, "parameter m is not used"),
    ] {
        let text = file(parameters, &body);
        let found = problems(&text);
        assert!(!has_errors(&found), "{found:?}");
        assert_eq!(found.len(), 1, "{body}: {found:?}");
        assert!(found[0].message.contains(message), "{:?}", found[0]);
        assert_eq!(found[0].line, Some(line), "{text}\n{:?}", found[0]);
    }
}

#[test]
fn a_job_of_another_api_group_is_not_told_of_native_sidecars() {
    let job = |version: &str| {
        format!(
            "apiVersion: {version}\nkind: Job\nmetadata: {{name: s}}\nspec:\n  parallelism: ${{k}}\n  template:\n    \
             metadata: {{labels: {{essential-container: main}}}}\n    spec: {{containers: [{{name: main}}, {{name: log}}]}}\n"
        )
    };
    for (version, count) in [("batch/v1", 1), ("batch.volcano.sh/v1alpha1", 0)] {
        let found = problems(&file("k: {type: integer}", &job(version)));
        let told = found.iter().filter(|problem| problem.message.contains("fledged.io/native-sidecars")).count();
        assert_eq!(told, count, "{version}: {found:?}");
    }
}

#[test]
fn what_is_no_template_config_map_is_an_error() {
    for (text, message) in [
        ("", "no ConfigMap"),
        ("a: [", "no YAML"),
        ("kind: Pod\napiVersion: v1\n", "not a ConfigMap"),
        ("kind: ConfigMap\napiVersion: v1\nmetadata: {name: c}\ndata: {}\n", "not labelled"),
        ("kind: List\napiVersion: v1\nitems: [{kind: Pod}]\n", "not a ConfigMap"),
    ] {
        let found = problems(text);
        assert!(has_errors(&found) && found[0].message.contains(message), "{text}: {found:?}");
    }
}

#[test]
fn what_kubectl_prints_of_several_is_read() {
    let one = "  - apiVersion: v1\n    kind: ConfigMap\n    metadata: {name: c, labels: {fledged.io/templates: \"true\"}}\n    data: {t: \"apiVersion: v1\\nkind: Pod\\nmetadata: {name: p}\"}\n";
    assert_eq!(problems(&format!("apiVersion: v1\nkind: List\nitems:\n{one}{one}")), []);
}

#[test]
fn a_missing_namespace_is_named_or_taken() {
    let text = file("a: {type: boolean}", &format!("{POD}  a: ${{a}}\n"))
        .replace("  name: c\n", "  name: c\n  annotations: {fledged.io/masters: \"x/y, eod\"}\n");
    let found = problems(&text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].severity, found[0].line, found[0].key.as_deref()), (Severity::Error, Some(1), None));
    assert!(found[0].message.contains("metadata.namespace is missing") && found[0].message.contains("master eod"));
    assert_eq!(problems_in(&text, Some("trading")), []);
    // Nothing depends on it here.
    assert_eq!(problems(&text.replace("x/y, eod", "x/y")), []);
    let text = text.replace("  name: c\n", "  name: c\n  namespace: \"\"\n");
    assert_eq!(problems_in(&text, Some("trading")), []);
}

#[test]
fn threat_54_a_config_map_for_which_there_may_be_no_room_is_warned_of() {
    let config_map = serde_json::json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "t", "namespace": "trading", "labels": {"fledged.io/templates": "true"}},
        "data": {"it.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {a: b}\n"},
    });
    let linted = read(&config_map);
    let takes = linted.weight.total();
    let warned = |others: u64, bound: u64| {
        let mut linted = linted.clone();
        linted.warn_of_room(others, bound);
        linted.problems.into_iter().find(|problem| problem.message.contains("--template-memory"))
    };
    assert_eq!(warned(0, takes), None);
    assert_eq!(warned(100 << 20, (100 << 20) + takes), None);
    let problem = warned(100 << 20, 100 << 20).unwrap();
    assert_eq!(problem.severity, Severity::Warning, "what the others take may be less in a moment");
    assert!(
        problem.message.contains("100Mi that are kept") && problem.message.contains("others take 100Mi"),
        "{problem:?}"
    );
}
