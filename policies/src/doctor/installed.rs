//! Whether an object in the cluster is the one that is installed.
//!
//! What is expected must be there as it is; beyond it only what the API server fills in by itself. Anything else (one
//! more match condition, a selector, a parameter) may switch the object off, and is told.

use serde_json::Value;

use super::{Area, Finding, Severity};

/// One place in which an object differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Differs {
    /// Where: `webhooks[0].failurePolicy`.
    pub path: String,
    /// What is installed; none: nothing.
    pub expected: Option<Value>,
    /// What is there; none: nothing.
    pub found: Option<Value>,
}

/// Fields that the API server fills in, with what it writes (pkg/apis/admissionregistration/v1/defaults.go).
const FILLED_IN: [(&str, &str); 7] = [
    ("matchPolicy", "Equivalent"),
    ("failurePolicy", "Fail"),
    ("scope", "*"),
    ("reinvocationPolicy", "Never"),
    ("port", "443"),
    ("timeoutSeconds", "10"),
    ("sideEffects", "None"),
];

/// What an object says beside its metadata and status, and what the installer leaves to whoever runs it: where the
/// webhook is reached, and for how long it is waited for.
const SAID: [&str; 7] =
    ["webhooks", "spec", "rules", "aggregationRule", "roleRef", "subjects", "automountServiceAccountToken"];
const OWN_CHOICE: [&str; 2] = ["clientConfig", "timeoutSeconds"];

/// Where `found` is not what was installed. The rules of a role that aggregates others are a controller's to write.
pub fn differences(expected: &Value, found: &Value) -> Vec<Differs> {
    let mut differs = Vec::new();
    let aggregates = expected.get("aggregationRule").is_some();
    for field in SAID {
        if field == "rules" && aggregates {
            continue;
        }
        compare(field, expected.get(field), found.get(field), &mut differs);
    }
    differs
}

fn compare(path: &str, expected: Option<&Value>, found: Option<&Value>, differs: &mut Vec<Differs>) {
    match (expected, found) {
        (Some(Value::Object(expected)), Some(Value::Object(found))) if !expected.is_empty() => {
            let mut names: Vec<&String> = expected.keys().chain(found.keys()).collect();
            names.sort();
            names.dedup();
            for name in names.into_iter().filter(|name| !OWN_CHOICE.contains(&name.as_str())) {
                compare(&format!("{path}.{name}"), expected.get(name), found.get(name), differs);
            }
        }
        (Some(Value::Array(expected)), Some(Value::Array(found))) if expected.len() == found.len() => {
            for (index, (expected, found)) in expected.iter().zip(found).enumerate() {
                compare(&format!("{path}[{index}]"), Some(expected), Some(found), differs);
            }
        }
        (None, Some(found)) if is_filled_in(path, found) => {}
        (Some(expected), None) if is_empty(expected) => {}
        (expected, found) if expected == found => {}
        (expected, found) => {
            differs.push(Differs { path: path.into(), expected: expected.cloned(), found: found.cloned() });
        }
    }
}

fn is_filled_in(path: &str, found: &Value) -> bool {
    let name = path.rsplit('.').next().unwrap_or_default();
    let text = match found {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    is_empty(found) || FILLED_IN.contains(&(name, text.as_str()))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Judges one object: `found` is none where there is none. What is missing from a guard is a problem, from rights a
/// warning unless all of it is.
pub fn judge(area: Area, about: &str, expected: &Value, found: Option<&Value>, fix: &str) -> Option<Finding> {
    let Some(found) = found else {
        return Some(Finding::new(Severity::Problem, area, about, missing(area), fix));
    };
    let differs = differences(expected, found);
    let first = differs.first()?;
    let more = match differs.len() {
        1 => String::new(),
        some => format!(" ({} more differences)", some - 1),
    };
    let message = format!(
        "is not what this version installs: at {}, expected {}, got {}{more}",
        first.path,
        shown(first.expected.as_ref()),
        shown(first.found.as_ref()),
    );
    let severity = if area == Area::Rights { Severity::Warning } else { Severity::Problem };
    Some(Finding::new(severity, area, about, message, fix))
}

fn missing(area: Area) -> &'static str {
    match area {
        Area::Webhooks => "is missing: masters are not judged, and what they create is not stamped",
        Area::Floor => "is missing: what it refuses passes while retinue is down or its webhook configuration is gone",
        _ => "is missing",
    }
}

/// One line, and short: expressions are long.
fn shown(value: Option<&Value>) -> String {
    let Some(value) = value else { return "nothing".into() };
    let text = match value {
        Value::String(text) => text.split_whitespace().collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    };
    let mut cut: String = text.chars().take(100).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
    use serde_json::json;

    use super::*;

    fn expected() -> Value {
        json!({
            "kind": "ValidatingWebhookConfiguration",
            "webhooks": [{
                "name": "w", "failurePolicy": "Fail", "namespaceSelector": {}, "objectSelector": {}, "timeoutSeconds": 5,
                "clientConfig": {"url": "https://a"}, "matchConditions": [{"name": "masters", "expression": "x"}],
                "rules": [{"apiGroups": ["*"], "resources": ["*/*"]}],
            }],
        })
    }

    fn paths(found: &Value) -> Vec<String> {
        differences(&expected(), found).into_iter().map(|differs| differs.path).collect()
    }

    #[test]
    fn what_the_server_fills_in_and_what_is_chosen_is_no_difference() {
        let mut found = expected();
        found["metadata"] = json!({"uid": "u"});
        found["webhooks"][0]["matchPolicy"] = json!("Equivalent");
        found["webhooks"][0]["rules"][0]["scope"] = json!("*");
        found["webhooks"][0]["timeoutSeconds"] = json!(9);
        found["webhooks"][0]["clientConfig"] = json!({"caBundle": "x", "url": "https://b"});
        assert_eq!(paths(&found), Vec::<String>::new());
    }

    #[test]
    fn threat_38_whatever_could_switch_a_guard_off_is_told() {
        let changed = |pointer: &str, value: Value| {
            let mut found = expected();
            *found.pointer_mut(pointer).unwrap() = value;
            paths(&found)
        };
        assert_eq!(changed("/webhooks/0/failurePolicy", json!("Ignore")), ["webhooks[0].failurePolicy"]);
        assert_eq!(
            changed("/webhooks/0/objectSelector", json!({"matchLabels": {"a": "b"}})),
            ["webhooks[0].objectSelector"]
        );
        let more = json!([{"name": "masters", "expression": "x"}, {"name": "never", "expression": "false"}]);
        assert_eq!(changed("/webhooks/0/matchConditions", more), ["webhooks[0].matchConditions"]);
        assert_eq!(changed("/webhooks/0/rules/0/resources/0", json!("pods")), ["webhooks[0].rules[0].resources[0]"]);
        assert_eq!(changed("/webhooks", json!([])), ["webhooks"]);
        let mut found = expected();
        found["webhooks"][0]["rules"][0]["scope"] = json!("Namespaced");
        assert_eq!(paths(&found), ["webhooks[0].rules[0].scope"]);
        let policy = json!({"spec": {"validations": [{"expression": "x"}]}});
        let parameterised = json!({"spec": {"validations": [{"expression": "x"}], "paramKind": {"kind": "ConfigMap"}}});
        assert_eq!(differences(&policy, &parameterised).len(), 1);
        let binding = json!({"spec": {"policyName": "p", "validationActions": ["Deny"]}});
        let audited = json!({"spec": {"policyName": "p", "validationActions": ["Audit"]}});
        assert_eq!(differences(&binding, &audited).len(), 1);
    }

    #[test]
    fn the_rules_of_a_role_that_aggregates_are_a_controllers() {
        let role = json!({"aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "true"}}]}});
        let mut found = role.clone();
        found["rules"] = json!([{"verbs": ["get"]}]);
        assert_eq!(differences(&role, &found), []);
        let plain = json!({"rules": [{"verbs": ["get"]}]});
        assert_eq!(differences(&plain, &json!({"rules": null})).len(), 1);
    }

    #[test]
    fn a_missing_guard_is_a_problem_and_a_changed_right_a_warning() {
        let judged =
            |area, found: Option<&Value>| judge(area, "x", &expected(), found, "apply").map(|told| told.severity);
        assert_eq!(judged(Area::Floor, None), Some(Severity::Problem));
        assert_eq!(judged(Area::Floor, Some(&json!({}))), Some(Severity::Problem));
        assert_eq!(judged(Area::Rights, Some(&json!({}))), Some(Severity::Warning));
        assert_eq!(judged(Area::Rights, Some(&expected())), None);
    }
}
