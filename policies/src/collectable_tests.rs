#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
use crate::library::Severity;
use crate::yaml;

use super::*;

const ACCOUNT: &str = "system:serviceaccount:retinue:retinue-controller";

fn set(annotations: &str, manifests: &[&str]) -> TemplateSet {
    let mut text = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: t\n  namespace: trading\n  labels: {{fledged.io/templates: \"true\"}}\n  annotations: {annotations}\ndata:\n  parameters: |\n    life: {{type: string, format: duration, default: 1h}}\n"
    );
    for (number, manifest) in manifests.iter().enumerate() {
        text.push_str(&format!("  m{number}.yaml: |\n"));
        manifest.lines().for_each(|line| text.push_str(&format!("    {line}\n")));
    }
    let set = TemplateSet::load(&yaml::value(&text).unwrap());
    assert_eq!(set.errors().count(), 0, "{:?}", set.problems);
    set
}

fn manifest(api_version: &str, kind: &str, metadata: &str) -> String {
    format!("{{apiVersion: {api_version}, kind: {kind}, metadata: {{{metadata}}}}}")
}

fn secret() -> Gvk {
    Gvk::new("", "v1", "Secret")
}

/// `Secret: trading m0.yaml:1`, as many as there are.
fn told(set: &TemplateSet) -> Vec<String> {
    let told = set.needs.iter().map(|need| {
        let namespaces: Vec<&str> = need.namespaces.iter().map(String::as_str).collect();
        let templates: Vec<String> = need.templates.iter().map(|(key, line)| format!("{key}:{line}")).collect();
        format!("{}: {} {}", need.kind.kind, namespaces.join(","), templates.join(","))
    });
    told.collect()
}

#[test]
fn what_may_get_a_deadline_is_the_collectors_to_delete_wherever_it_may_be_made() {
    let job = "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: j\n  annotations: {NOTES}\nspec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: b}]}}}";
    let job = |notes: &str| job.replace("NOTES", notes);
    let plain = |metadata: &str| manifest("v1", "Secret", metadata);
    let none = r#"annotations: {fledged.io/duration: "none"}"#;
    for (case, annotations, manifests, expected) in [
        ("the ConfigMap's own namespace", "{}", vec![plain("name: a")], vec!["Secret: trading m0.yaml:1"]),
        (
            "masters",
            "{fledged.io/masters: \"eod, risk/eod\"}",
            vec![plain("name: a")],
            vec!["Secret: risk,trading m0.yaml:1"],
        ),
        (
            "the manifest's",
            "{fledged.io/masters: risk/eod}",
            vec![plain("name: a, namespace: shared")],
            vec!["Secret: shared m0.yaml:1"],
        ),
        (
            "one question for a kind",
            "{}",
            vec![plain("name: a"), plain("name: b, namespace: shared")],
            vec!["Secret: shared,trading m0.yaml:1,m1.yaml:1"],
        ),
        (
            "an owner does not end it before the deadline that the pod may say",
            "{}",
            vec![plain("name: a, annotations: {fledged.io/owner: pod}")],
            vec!["Secret: trading m0.yaml:1"],
        ),
        (
            "no owner",
            "{}",
            vec![plain("name: a, annotations: {fledged.io/owner: none}")],
            vec!["Secret: trading m0.yaml:1"],
        ),
        ("nobody ends it", "{}", vec![plain(&format!("name: a, {none}"))], vec![]),
        (
            "nobody ends it, whatever the cap",
            "{fledged.io/duration: 1h}",
            vec![plain(&format!("name: a, {none}"))],
            vec![],
        ),
        (
            "what a hole says, a master may make short",
            "{}",
            vec![
                "apiVersion: v1\nkind: Secret\nmetadata:\n  name: a\n  annotations:\n    fledged.io/duration: ${life}"
                    .to_owned(),
            ],
            vec!["Secret: trading m0.yaml:1"],
        ),
        (
            "it is kept when finished, and then deleted",
            "{}",
            vec![job("fledged.io/duration: none, fledged.io/keep-finished: 1h")],
            vec!["Job: trading m0.yaml:1"],
        ),
        ("Events go by themselves", "{}", vec![manifest("v1", "Event", "name: a")], vec![]),
    ] {
        let manifests: Vec<&str> = manifests.iter().map(String::as_str).collect();
        assert_eq!(told(&set(annotations, &manifests)), expected, "{case}");
    }
}

fn known(kind: Gvk, known: Known) -> Rights {
    Rights { account: ACCOUNT.into(), kinds: [(kind, known)].into() }
}

fn missing(resource: &str, verbs: &[(&str, &[&'static str])]) -> Known {
    let verbs = verbs.iter().map(|(namespace, verbs)| ((*namespace).to_owned(), verbs.to_vec()));
    Known::Missing { resource: resource.into(), verbs: verbs.collect() }
}

#[test]
fn what_is_missing_is_told_with_the_rule_that_gives_it() {
    let gadgets = Gvk::new("example.com", "v1", "Gadget");
    let two =
        manifest("example.com/v1", "Gadget", "name: a") + "\n---\n" + &manifest("example.com/v1", "Gadget", "name: b");
    let set = set("{}", &[&manifest("v1", "ConfigMap", "name: c"), &two]);
    let rights = known(gadgets, missing("gadgets", &[("trading", &["delete"]), ("elsewhere", &VERBS)]));
    let told = problems(&set.needs, &rights);
    let [problem] = told.as_slice() else { unreachable!("{told:?}") };
    assert_eq!((problem.severity, problem.key.as_deref(), problem.line), (Severity::Error, Some("m1.yaml"), Some(1)));
    let expected = r#"what is made of this (and of m1.yaml#2) is a example.com/v1 Gadget, and the collector (system:serviceaccount:retinue:retinue-controller) has no right to delete gadgets.example.com in namespace trading, so it could not delete what has come to its end; give it that by
    apiVersion: rbac.authorization.k8s.io/v1
    kind: ClusterRole
    metadata: {name: retinue-collector-gadgets.example.com, labels: {rbac.fledged.io/collector: "true"}}
    rules: [{apiGroups: ["example.com"], resources: ["gadgets"], verbs: [list, watch, delete]}]"#;
    assert_eq!(problem.message, expected);
    let role = yaml::value(&expected[expected.find("    apiVersion").unwrap()..]).unwrap();
    assert_eq!(role["metadata"]["labels"][LABEL], "true");
    assert_eq!(role["rules"][0]["verbs"], serde_json::json!(VERBS));
}

#[test]
fn for_secrets_the_role_that_is_installed_is_named() {
    let set = set("{}", &[&manifest("v1", "Secret", "name: a")]);
    let told = problems(&set.needs, &known(secret(), missing("secrets", &[("trading", &VERBS)])));
    let message = &told[0].message;
    for words in [
        "no right to list, watch, delete secrets in namespace trading",
        "kubectl label clusterrole retinue-collector-secrets rbac.fledged.io/collector=true",
        r#"apiGroups: [""], resources: ["secrets"], verbs: [list, watch, delete]"#,
    ] {
        assert!(message.contains(words), "{words:?} is not in {message}");
    }
}

#[test]
fn only_what_is_known_to_be_missing_is_an_error() {
    let set =
        set("{fledged.io/masters: \"a/m, b/m, c/m, d/m, e/m, f/m, g/m\"}", &[&manifest("v1", "Secret", "name: a")]);
    let needs = &set.needs;
    let all: Vec<(&str, &[&'static str])> =
        ["a", "b", "c", "d", "e", "f", "g"].into_iter().map(|namespace| (namespace, VERBS.as_slice())).collect();
    for (case, rights, expected) in [
        ("not asked", Rights::default(), None),
        ("another kind", known(Gvk::new("", "v1", "Pod"), missing("pods", &all)), None),
        ("all is well", known(secret(), missing("secrets", &[])), None),
        ("missing elsewhere", known(secret(), missing("secrets", &[("z", &VERBS)])), None),
        ("missing in one", known(secret(), missing("secrets", &all[2..3])), Some((Severity::Error, "in namespace c,"))),
        (
            "in many",
            known(secret(), missing("secrets", &all)),
            Some((Severity::Error, "namespaces a, b, c, d, e and 2 more,")),
        ),
        ("not known", Rights::unknown(needs, "no answer in time"), Some((Severity::Warning, "no answer in time"))),
        (
            "not served",
            known(secret(), Known::Unserved("the API server serves no v1 Secret".into())),
            Some((Severity::Warning, "serves no v1 Secret")),
        ),
    ] {
        let told = problems(needs, &rights);
        let is_error = told.iter().any(|problem| problem.severity == Severity::Error);
        let lack = rights.lack(&needs[0].kind, needs[0].namespaces.iter().map(String::as_str));
        assert_eq!(lack.is_some(), is_error, "{case}: a create is refused for nothing else");
        match expected {
            None => assert_eq!(told, [], "{case}"),
            Some((severity, words)) => {
                assert_eq!(told.len(), 1, "{case}");
                assert_eq!(told[0].severity, severity, "{case}");
                assert!(told[0].message.contains(words), "{case}: {}", told[0].message);
            }
        }
    }
}
