//! What injectors added to one pod is remembered for the next of its template: the next is judged as if it were not.

use policies::recognise::{Context, Form, Marked, Miss, Recognition, contrast, shortcut, the_long_way};
use policies::tables::{Completeness, Facts};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::*;

/// What a template's pod may say of what injectors read, each a different reason for them to do otherwise.
const SPECS: [&str; 9] = [
    "",
    "serviceAccountName: plain",
    "automountServiceAccountToken: false",
    "priorityClassName: batch",
    "tolerations: [{key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 5}]",
    "imagePullSecrets: [{name: own}]",
    "volumes: [{name: scratch, emptyDir: {}}]",
    "volumes: [{name: kube-api-access-bcdfg, emptyDir: {}}]",
    "initContainers: [{name: first, image: 'r/i:1', volumeMounts: [{name: scratch, mountPath: /scratch}]}]\n  volumes: [{name: scratch, emptyDir: {}}]",
];
const NAMES: [&str; 3] = ["name: run", "generateName: run-", "name: 'run-${day}'"];
const MOUNTS: [&str; 3] = [
    "",
    "volumeMounts: [{name: scratch, mountPath: /var/run/secrets/kubernetes.io/serviceaccount}]",
    "volumeMounts: [{name: scratch, mountPath: /scratch}]",
];

fn template(dice: &mut Dice) -> String {
    let (name, spec, mounts) = (dice.of(&NAMES), dice.of(&SPECS), dice.of(&MOUNTS));
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{{name}, labels: {{day: '${{day}}'}}}}\nspec:\n  {spec}\n  containers:\n  - name: main\n    image: r/i:1\n    env: [{{name: DAY, value: '${{day}}'}}]\n    {mounts}\n  - {{name: side, image: 'r/s:1'}}\n"
    )
}

fn some_facts(dice: &mut Dice) -> Facts {
    let mut facts = Facts::new(if dice.one_in(4) { Completeness::Told } else { Completeness::Cluster });
    for name in ["default", "plain"] {
        let mut account = json!({"kind": "ServiceAccount", "metadata": {"name": name, "namespace": "trading"}});
        match dice.roll(5) {
            0 => account["automountServiceAccountToken"] = false.into(),
            1 => account["imagePullSecrets"] = json!([{"name": "pull"}]),
            2 => continue,
            _ => {}
        }
        facts.apply(&account);
    }
    for (name, value) in [("batch", 7), ("usual", 3)] {
        let default = dice.one_in(4);
        if dice.one_in(2) {
            facts.apply(
                &json!({"kind": "PriorityClass", "metadata": {"name": name}, "value": value, "globalDefault": default}),
            );
        }
    }
    facts
}

/// Under which injectors add the least.
fn adding_nothing() -> Facts {
    let mut facts = Facts::new(Completeness::Cluster);
    for name in ["default", "plain"] {
        let metadata = json!({"name": name, "namespace": "trading"});
        facts.apply(&json!({"kind": "ServiceAccount", "metadata": metadata, "automountServiceAccountToken": false}));
    }
    facts
}

/// What the server may have added, or somebody else. The server makes up other `names` each time.
fn add_some(object: &mut Value, dice: &mut Dice, names: &mut Dice) {
    if object["metadata"].get("name").is_none() && !dice.one_in(4) {
        object["metadata"]["name"] = names.of(&["run-bcdfg", "run-aaaaa", "run-x7k2p"]).into();
    }
    let spec = &mut object["spec"];
    let volume =
        names.of(&["kube-api-access-bcdfg", "kube-api-access-x7k2p", "kube-api-access-x7k2p", "kube-api-access-mine"]);
    if !dice.one_in(4) {
        let audience = if dice.one_in(8) { json!("vault") } else { Value::Null };
        let mut token = json!({"expirationSeconds": 3607, "path": "token"});
        if !audience.is_null() {
            token["audience"] = audience;
        }
        push(
            spec,
            "volumes",
            json!({"name": volume, "projected": {"defaultMode": 420, "sources": [
                {"serviceAccountToken": token},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}}
            ]}}),
        );
    }
    let mounted = dice.one_in(8);
    for (list, at) in [("containers", 0), ("containers", 1), ("initContainers", 0)] {
        let name = if dice.one_in(12) { "kube-api-access-zzzzz" } else { volume };
        if !mounted && !dice.one_in(8) && spec[list].get(at).is_some() {
            let mount =
                json!({"name": name, "readOnly": true, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"});
            push(&mut spec[list][at], "volumeMounts", mount);
        }
    }
    if dice.one_in(2) {
        for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
            if !dice.one_in(8) {
                push(
                    spec,
                    "tolerations",
                    json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}),
                );
            }
        }
    }
    if dice.one_in(2) {
        spec["priority"] = dice.of(&[0, 0, 3, 7]).into();
        spec["preemptionPolicy"] = "PreemptLowerPriority".into();
    }
    if dice.one_in(2) && spec.get("serviceAccountName").is_none() {
        spec["serviceAccountName"] = "default".into();
        spec["serviceAccount"] = "default".into();
    }
    if dice.one_in(4) {
        spec["imagePullSecrets"] = json!([{"name": "pull"}]);
    }
    if dice.one_in(4) {
        spec["priorityClassName"] = dice.of(&["batch", "usual"]).into();
    }
    match dice.roll(12) {
        0 => spec["containers"][0]["image"] = "r/i:2".into(),
        1 => spec["containers"][1]["name"] = "other".into(),
        2 => push(&mut spec["containers"][0], "env", json!({"name": "B", "value": "1"})),
        3 => spec["hostNetwork"] = true.into(),
        _ => {}
    }
}

fn push(value: &mut Value, list: &str, element: Value) {
    if value[list].is_null() {
        value[list] = json!([]);
    }
    value[list].as_array_mut().unwrap().push(element);
}

/// Choices out of bytes; none left means the first.
struct Dice(Vec<u8>);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        usize::from(self.0.pop().unwrap_or_default()) % sides
    }

    fn one_in(&mut self, sides: usize) -> bool {
        self.roll(sides) == sides - 1
    }

    fn of<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())]
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn the_pod_after_another_is_judged_as_if_it_were_the_first(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut dice = Dice(bytes);
        let manifest = template(&mut dice);
        let set = set("day: {type: string, pattern: '[a-z]+'}\n", &manifest);
        let template = first(&set);
        let form = if dice.one_in(2) { Form::Validating } else { Form::Mutating };
        let (mut before, mut one) = (String::new(), some_facts(&mut dice));
        let given = given();
        for day in ["monday", "tuesday", "friday", "sunday"] {
            if dice.one_in(3) {
                one = some_facts(&mut dice);
            }
            let mut object = shown(&value(&manifest.replace("${day}", day)), form, &one);
            // Mostly as the one before, so that what is remembered is what is seen.
            if before.is_empty() || dice.one_in(3) {
                before = dice.0.iter().map(|byte| char::from(byte % 128)).collect();
            }
            let mut again = Dice(before.bytes().collect());
            add_some(&mut object, &mut again, &mut dice);
            let context = Context { form, namespace: "trading", given: &given, facts: &one, budget: None };
            let long = the_long_way(template, &object, &context);
            if let Some(differences) = contrast(template, &object, &context, Marked::No) {
                // A difference that is sure is one whatever else could not be told.
                if !matches!(long, Recognition::CouldNotTell(_)) {
                    prop_assert_eq!(Recognition::Differ(differences), long.clone(), "{}", object);
                }
            }
            match shortcut(template, &object, &context, Marked::No) {
                // Offline, where the account is not told: what shows no addition is what the template renders, whatever
                // the account would add.
                Ok(bindings) if matches!(long, Recognition::CouldNotTell(_)) => {
                    let nothing_added = Context { facts: &adding_nothing(), ..context };
                    let long = the_long_way(template, &object, &nothing_added);
                    prop_assert_eq!(Recognition::Match(bindings), long, "{}", object);
                }
                Ok(bindings) => prop_assert_eq!(Recognition::Match(bindings), long, "{}", object),
                Err(Miss::Sure) => prop_assert!(!matches!(long, Recognition::Match(_)), "{}", object),
                Err(Miss::Unsure) => {}
            }
        }
    }
}
