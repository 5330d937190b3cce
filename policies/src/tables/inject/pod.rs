//! What admission plugins and the pod strategy add to a pod.

use std::collections::HashSet;

use crate::tables::At;
use serde_json::{Map, Value, json};

use super::{CouldNotTell, Form, Situation, add, entry, has, limits, list, pod_resources, text, token};

pub(super) fn inject(expected: &mut Value, situation: &Situation<'_>) -> Result<(), CouldNotTell> {
    limits::inject(expected, situation)?;
    token::inject(expected, situation)?;
    priority(expected, situation)?;
    not_ready(expected, situation);
    runtime_class(expected, situation)?;
    if situation.form == Form::Validating {
        label_keys(expected, situation);
        app_armor(expected, situation);
        app_armor_annotations(expected, situation);
        pod_resources::inject(expected, situation);
    }
    Ok(())
}

/// The old annotation of a container's AppArmor profile, with the container's name behind it.
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// An older server (seen on 1.33, no longer on 1.36) writes the profile of a container, its own or the pod's, into the old
/// annotation too, where that says nothing.
fn app_armor_annotations(expected: &mut Value, situation: &Situation<'_>) {
    let annotations = situation.shown("/metadata/annotations").and_then(Value::as_object);
    if !annotations.is_some_and(|all| all.keys().any(|key| key.starts_with(APP_ARMOR))) {
        return;
    }
    let of_pod = expected.at("/spec/securityContext/appArmorProfile").and_then(annotated);
    let mut added = Vec::new();
    for containers in ["initContainers", "containers", "ephemeralContainers"] {
        for container in list(expected, &format!("/spec/{containers}")) {
            let key = format!("{APP_ARMOR}{}", text(container, "/name").unwrap_or_default());
            let said = expected.at("/metadata/annotations").is_some_and(|all| all.get(&key).is_some());
            let own = container.at("/securityContext/appArmorProfile").and_then(annotated);
            let shown = annotations.and_then(|all| all.get(&key)).and_then(Value::as_str);
            if let (false, Some(profile), Some(shown)) = (said, own.or_else(|| of_pod.clone()), shown)
                && profile == shown
            {
                added.push((key, profile));
            }
        }
    }
    for (key, profile) in added {
        add(expected, &["metadata", "annotations"], &key, profile.into());
    }
}

/// A profile as the annotation says it.
fn annotated(profile: &Value) -> Option<String> {
    match text(profile, "/type")? {
        "Unconfined" => Some("unconfined".into()),
        "RuntimeDefault" => Some("runtime/default".into()),
        "Localhost" => text(profile, "/localhostProfile").map(|file| format!("localhost/{file}")),
        _ => None,
    }
}

/// The old annotation becomes the field of today, unless the pod's says the same.
fn app_armor(expected: &mut Value, situation: &Situation<'_>) {
    let Some(annotations) = expected.at("/metadata/annotations").and_then(Value::as_object) else { return };
    // Asked first, since hardly any pod has one and a copy of all annotations costs more than the rest of this.
    let annotations: Map<String, Value> = annotations
        .iter()
        .filter(|(key, _)| key.starts_with(APP_ARMOR))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if annotations.is_empty() {
        return;
    }
    let of_pod = expected.at("/spec/securityContext/appArmorProfile").cloned();
    for containers in ["initContainers", "containers", "ephemeralContainers"] {
        let profiled: HashSet<&str> = list(situation.object, &format!("/spec/{containers}"))
            .iter()
            .filter(|other| has(other, "/securityContext/appArmorProfile"))
            .filter_map(|other| text(other, "/name"))
            .collect();
        for index in 0..list(expected, &format!("/spec/{containers}")).len() {
            let at = format!("/spec/{containers}/{index}");
            let name = text(expected, &format!("{at}/name")).unwrap_or_default();
            let profile = match annotations.get(&format!("{APP_ARMOR}{name}")).and_then(Value::as_str) {
                Some("unconfined") => json!({"type": "Unconfined"}),
                Some("runtime/default") => json!({"type": "RuntimeDefault"}),
                Some(said) => match said.strip_prefix("localhost/") {
                    Some(file) if !file.is_empty() => json!({"type": "Localhost", "localhostProfile": file}),
                    _ => continue,
                },
                None => continue,
            };
            if profiled.contains(name)
                && of_pod.as_ref() != Some(&profile)
                && let Some(container) = expected.at_mut(&at)
            {
                add(container, &["securityContext"], "appArmorProfile", profile);
            }
        }
    }
}

/// The number behind a priority class, and its policy.
fn priority(expected: &mut Value, situation: &Situation<'_>) -> Result<(), CouldNotTell> {
    let facts = situation.facts;
    let shows =
        |field: &str| !has(expected, &format!("/spec/{field}")) && has(situation.object, &format!("/spec/{field}"));
    let (number, policy, name) = (shows("priority"), shows("preemptionPolicy"), shows("priorityClassName"));
    if !number && !policy && !name {
        return Ok(());
    }
    let wanted = text(expected, "/spec/priorityClassName").map(str::to_owned);
    let (value, preemption, class) = match &wanted {
        Some(wanted) => match (facts.priority_class(wanted), wanted.as_str()) {
            (Some(class), _) => (class.value, class.preemption.clone(), None),
            (None, "system-node-critical") => (2_000_001_000, "PreemptLowerPriority".to_owned(), None),
            (None, "system-cluster-critical") => (2_000_000_000, "PreemptLowerPriority".to_owned(), None),
            (None, _) if situation.told() => {
                return Err(CouldNotTell::missing(&format!("the PriorityClass {wanted}"), "the priority of the pod"));
            }
            (None, _) => return Ok(()),
        },
        None => match facts.default_priority_class() {
            Some((name, class)) => (class.value, class.preemption.clone(), Some(name.clone())),
            None if name && situation.told() => {
                let shown = text(situation.object, "/spec/priorityClassName").unwrap_or_default();
                let what = format!("the PriorityClass {shown}");
                return Err(CouldNotTell::missing(&what, "whether it is the cluster's default"));
            }
            None => (0, "PreemptLowerPriority".to_owned(), None),
        },
    };
    if number {
        add(expected, &["spec"], "priority", value.into());
    }
    if policy {
        add(expected, &["spec"], "preemptionPolicy", preemption.into());
    }
    if let Some(class) = class.filter(|_| name) {
        add(expected, &["spec"], "priorityClassName", class.into());
    }
    Ok(())
}

/// Five minutes on a node that went away, unless the pod says how long.
fn not_ready(expected: &mut Value, situation: &Situation<'_>) {
    let shown = list(situation.object, "/spec/tolerations");
    if shown.is_empty() {
        return;
    }
    let given = list(expected, "/spec/tolerations").to_vec();
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let added = json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300});
        let tolerated = given.iter().any(|toleration| {
            text(toleration, "/key").is_none_or(|given| given == key)
                && text(toleration, "/effect").is_none_or(|effect| effect == "NoExecute")
        });
        if !tolerated && shown.contains(&added) {
            push(expected, "tolerations", added);
        }
    }
}

fn push(expected: &mut Value, field: &str, value: Value) {
    if let Some(spec) = entry(expected, &["spec"])
        && let Some(list) = spec.entry(field).or_insert_with(|| json!([])).as_array_mut()
    {
        list.push(value);
    }
}

/// What a runtime class costs, and where it runs.
fn runtime_class(expected: &mut Value, situation: &Situation<'_>) -> Result<(), CouldNotTell> {
    let Some(name) = text(expected, "/spec/runtimeClassName").map(str::to_owned) else { return Ok(()) };
    let shown = situation.object;
    let Some(class) = situation.facts.runtime_class(&name) else {
        let selector = |of: &Value| of.at("/spec/nodeSelector").and_then(Value::as_object).map_or(0, Map::len);
        let more = has(shown, "/spec/overhead") && !has(expected, "/spec/overhead")
            || selector(shown) > selector(expected)
            || list(shown, "/spec/tolerations").len() > list(expected, "/spec/tolerations").len();
        return if more && situation.told() {
            Err(CouldNotTell::missing(&format!("the RuntimeClass {name}"), "what it adds to the pod"))
        } else {
            Ok(())
        };
    };
    if let Some(overhead) = class.overhead.as_ref().filter(|_| has(shown, "/spec/overhead")) {
        add(expected, &["spec"], "overhead", overhead.clone());
    }
    for (key, value) in &class.node_selector {
        if shown.at("/spec/nodeSelector").is_some_and(|selector| selector.get(key).is_some()) {
            add(expected, &["spec", "nodeSelector"], key, value.clone());
        }
    }
    if !class.tolerations.is_empty() {
        let merged = merge(list(expected, "/spec/tolerations"), &class.tolerations);
        let shows = |toleration: &Value| list(shown, "/spec/tolerations").contains(toleration);
        if class.tolerations.iter().any(shows)
            && let Some(spec) = entry(expected, &["spec"])
        {
            spec.insert("tolerations".into(), merged.into());
        }
    }
    Ok(())
}

/// Both lists in order, without those that another one covers.
fn merge(first: &[Value], second: &[Value]) -> Vec<Value> {
    let all: Vec<&Value> = first.iter().chain(second).collect();
    let mut merged: Vec<Value> = Vec::new();
    for (at, toleration) in all.iter().enumerate() {
        let before = merged.iter().any(|other| covers(other, toleration));
        let after = all[at + 1..].iter().any(|other| other != toleration && covers(other, toleration));
        if !before && !after {
            merged.push((*toleration).clone());
        }
    }
    merged
}

/// Whether one toleration tolerates all that another does.
fn covers(wide: &Value, narrow: &Value) -> bool {
    if wide == narrow {
        return true;
    }
    let (key, effect) = (text(wide, "/key"), text(wide, "/effect"));
    let exists = text(wide, "/operator") == Some("Exists");
    if text(narrow, "/key") != key && !(key.is_none() && exists) {
        return false;
    }
    if text(narrow, "/effect") != effect && effect.is_some() {
        return false;
    }
    let seconds = |toleration: &Value| toleration.get("tolerationSeconds").and_then(Value::as_i64);
    if effect == Some("NoExecute")
        && let Some(wide) = seconds(wide)
        && seconds(narrow).is_none_or(|narrow| wide < narrow)
    {
        return false;
    }
    match text(wide, "/operator") {
        None | Some("Equal") => {
            text(narrow, "/operator") == Some("Equal") && text(narrow, "/value") == text(wide, "/value")
        }
        Some("Exists") => true,
        Some(_) => false,
    }
}

/// `matchLabelKeys` becomes part of the selector beside it, with the values of the pod's own labels.
fn label_keys(expected: &mut Value, situation: &Situation<'_>) {
    if !has(expected, "/spec/affinity") && !has(expected, "/spec/topologySpreadConstraints") {
        return;
    }
    let labels = expected.at("/metadata/labels").cloned().unwrap_or_default();
    for affinity in ["podAffinity", "podAntiAffinity"] {
        for (list_of, term) in [
            ("requiredDuringSchedulingIgnoredDuringExecution", ""),
            ("preferredDuringSchedulingIgnoredDuringExecution", "/podAffinityTerm"),
        ] {
            let at = format!("/spec/affinity/{affinity}/{list_of}");
            for index in 0..list(expected, &at).len() {
                let at = format!("{at}/{index}{term}");
                merge_keys(expected, situation, &at, &labels);
            }
        }
    }
    for index in 0..list(expected, "/spec/topologySpreadConstraints").len() {
        merge_keys(expected, situation, &format!("/spec/topologySpreadConstraints/{index}"), &labels);
    }
}

fn merge_keys(expected: &mut Value, situation: &Situation<'_>, at: &str, labels: &Value) {
    let expressions = format!("{at}/labelSelector/matchExpressions");
    // Only where the object shows more expressions than were written.
    if list(situation.object, &expressions).len() <= list(expected, &expressions).len() {
        return;
    }
    let mut added = Vec::new();
    for (field, operator) in [("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")] {
        for key in list(expected, &format!("{at}/{field}")).iter().filter_map(Value::as_str) {
            if let Some(value) = labels.get(key) {
                added.push(json!({"key": key, "operator": operator, "values": [value]}));
            }
        }
    }
    if let Some(term) = expected.at_mut(at)
        && term.get("labelSelector").is_some()
        && let Some(selector) = entry(term, &["labelSelector"])
        && let Some(list) = selector.entry("matchExpressions").or_insert_with(|| json!([])).as_array_mut()
    {
        list.extend(added);
    }
}
