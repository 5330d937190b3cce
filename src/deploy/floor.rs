//! The floor: policies inside the API server that hold when retinue is down or its webhook configuration is gone.
//!
//! - `retinue-dependents`: a master creates nothing without a stamp, and nothing of the kinds that are never admitted; nobody
//!   else creates anything with one, but those of `retinue-stamps`; the account of samples creates with dry run. One
//!   policy, since each copies the object before its first expression, for whoever creates it.
//! - `retinue-strip`: what a master sends as a stamp is taken off before webhooks run, so that a stamp can only come
//!   from the webhook. A mutating policy; it needs Kubernetes 1.36.
//! - `retinue-stamps`: nobody else changes stamps, but for those who may `stamp` on `dependents.fledged.io` (admins,
//!   by their wildcard) and the controllers of Kubernetes, which copy labels and annotations. `retinue-bindings` is the
//!   same for Bindings.
//! - `retinue-templates`: only who may `author` on `templates.fledged.io` writes template ConfigMaps. Never asked on
//!   DELETE, and not where nothing of the template changes: the namespace and garbage controllers finish their work.
//! - `retinue-configurations`: masters never touch webhook configurations.
//! - `retinue-probe`: the account of samples does nothing but create.
//!
//! Policies cannot guard themselves: the API server shows them to no policy. RBAC does that.

use policies::keys;
use serde_json::{Value, json};

use super::values::Values;
use super::{CONTROLLER, PROBE, WEBHOOK, labels, who};

const API: &str = "admissionregistration.k8s.io/v1";
/// Groups of which a master creates nothing, whatever a template says.
const FORBIDDEN_GROUPS: [&str; 5] = [
    "rbac.authorization.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "certificates.k8s.io",
];
/// Resources of the core group of which a master creates nothing.
const FORBIDDEN_CORE: [&str; 5] = ["bindings", "namespaces", "nodes", "persistentvolumes", "serviceaccounts"];

pub(super) fn objects(values: &Values) -> Vec<Value> {
    let master = who::is_master(values);
    let mut objects = Vec::new();
    objects.extend(validating("retinue-templates", &templates()));
    objects.extend(validating("retinue-configurations", &configurations(&master)));
    objects.extend(validating(PROBE, &probe(values)));
    objects.extend(strip(&master));
    objects.extend(validating("retinue-stamps", &stamps(values, &master)));
    objects.extend(validating("retinue-bindings", &bindings(values, &master)));
    objects.extend(validating("retinue-dependents", &creates(values, &master)));
    objects
}

/// What a policy says, beside its name.
struct Policy {
    groups: &'static str,
    resources: Vec<&'static str>,
    operations: Vec<&'static str>,
    condition: (&'static str, String),
    /// The label without which an object, old or new, is not looked at: the API server asks it before any expression,
    /// for each of which it first makes a copy of the object.
    labelled: Option<&'static str>,
    variables: Vec<(&'static str, String)>,
    /// Expression, and the message where it is false.
    validations: Vec<(String, String)>,
}

fn validating(name: &str, policy: &Policy) -> [Value; 2] {
    let variables: Value =
        policy.variables.iter().map(|(name, expression)| json!({ "name": name, "expression": expression })).collect();
    let validations: Value = policy
        .validations
        .iter()
        .map(|(expression, message)| json!({ "expression": expression, "message": message, "reason": "Forbidden" }))
        .collect();
    let mut spec = json!({
        "failurePolicy": "Fail",
        "matchConstraints": {
            "matchPolicy": "Equivalent",
            "resourceRules": [{
                "apiGroups": [policy.groups], "apiVersions": ["*"], "resources": policy.resources,
                "operations": policy.operations, "scope": "*",
            }],
        },
        "matchConditions": [{ "name": policy.condition.0, "expression": policy.condition.1 }],
        "validations": validations,
    });
    if !policy.variables.is_empty() {
        spec["variables"] = variables;
    }
    if let Some(label) = policy.labelled {
        spec["matchConstraints"]["objectSelector"] = carrying(label);
    }
    [
        object("ValidatingAdmissionPolicy", name, spec),
        object("ValidatingAdmissionPolicyBinding", name, json!({ "policyName": name, "validationActions": ["Deny"] })),
    ]
}

/// The selector of objects that carry a label, whatever its value.
fn carrying(label: &str) -> Value {
    json!({ "matchExpressions": [{ "key": label, "operator": "Exists" }] })
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({ "apiVersion": API, "kind": kind, "metadata": { "name": name, "labels": labels() }, "spec": spec })
}

fn creates(values: &Values, master: &str) -> Policy {
    let forbidden = format!(
        "!(request.resource.group in [{}])\n&& !(request.resource.group == '' && request.resource.resource in [{}])",
        quoted(&FORBIDDEN_GROUPS),
        quoted(&FORBIDDEN_CORE)
    );
    let stamped = format!(
        "request.?subResource.orValue('') == 'eviction'\n|| (request.?subResource.orValue('') == ''\n  && {}\n  && {})",
        present("object", "labels", &[keys::MASTER, keys::TEMPLATE]),
        present("object", "annotations", &[keys::ADMISSION]),
    );
    let tries = "(request.?subResource.orValue('') == ''\n  && request.?dryRun.orValue(false))";
    let labelled = present("object", "labels", &[keys::MASTER]);
    let probing = is_probe(values);
    // Who passes the condition pays for three more copies of the object, for validations, messages and audit annotations:
    // so what passes is refused, unless its sender may write stamps, which is one question more than an expression may
    // ask (a million of cost, of which each takes a third).
    let writers = writers(values, "master");
    let suspects = [
        format!(
            "(master && !(\n  {forbidden}\n  && ({stamped})))",
            forbidden = within(&forbidden),
            stamped = within(&stamped)
        ),
        format!("({probing} && !{tries})", tries = within(tries)),
        format!("({labelled} && !(\n  {writers}))", writers = within(&writers)),
    ];
    let suspects = suspects.map(|suspect| within(&suspect)).join("\n  || ");
    let suspect = format!("[{}]\n.exists(master,\n  {suspects})", within(master));
    let mut variables = vec![("master", master.to_owned()), ("probe", probing)];
    let stamps = stamps(values, master);
    variables.extend(stamps.variables.into_iter().filter(|(name, _)| *name != "master"));
    let mut validations = vec![
        (
            format!("!variables.master\n|| ({forbidden})"),
            "retinue's floor: a master never creates objects of this kind".into(),
        ),
        (
            format!("!variables.master\n|| {stamped}"),
            "retinue's floor: a master creates only what retinue has admitted, and this carries no stamp of \
             retinue; is its webhook configuration there?"
                .into(),
        ),
        (format!("!variables.probe\n|| {tries}"), ONLY_TRIES.into()),
    ];
    // No stamp is valid without the label.
    let or_marked = |(expression, message)| (format!("!({labelled})\n|| {expression}"), message);
    validations.extend(stamps.validations.into_iter().map(or_marked));
    Policy {
        groups: "*",
        resources: vec!["*/*"],
        operations: vec!["CREATE"],
        condition: ("suspect", suspect),
        labelled: None,
        variables,
        validations,
    }
}

fn configurations(master: &str) -> Policy {
    Policy {
        groups: "admissionregistration.k8s.io",
        resources: vec!["mutatingwebhookconfigurations", "validatingwebhookconfigurations"],
        operations: vec!["CREATE", "UPDATE", "DELETE"],
        condition: ("masters", master.to_owned()),
        labelled: None,
        variables: Vec::new(),
        validations: vec![("false".into(), "retinue's floor: a master never changes webhook configurations".into())],
    }
}

const ONLY_TRIES: &str =
    "retinue's floor: this account only tries what the API server would make of an object: create, with dry run";

fn is_probe(values: &Values) -> String {
    format!("request.userInfo.username == '{}'", values.user(PROBE))
}

fn probe(values: &Values) -> Policy {
    Policy {
        groups: "*",
        resources: vec!["*/*"],
        operations: vec!["UPDATE", "DELETE", "CONNECT"],
        condition: ("probe", is_probe(values)),
        labelled: None,
        variables: Vec::new(),
        validations: vec![("false".into(), ONLY_TRIES.into())],
    }
}

fn templates() -> Policy {
    let carries = |object: &str| present(object, "labels", &[keys::TEMPLATES]);
    let same = |field: &str| format!("object.?{field}.orValue({{}}) == oldObject.?{field}.orValue({{}})");
    // Compared whole, so that a key that a later version reads is guarded already.
    let untouched = ["data", "binaryData", "metadata.?labels", "metadata.?annotations"].map(same).join("\n  && ");
    let author = "authorizer.group('fledged.io').resource('templates').namespace(request.namespace)\
                  .check('author').allowed()";
    Policy {
        groups: "",
        resources: vec!["configmaps"],
        operations: vec!["CREATE", "UPDATE"],
        condition: ("templates", format!("{}\n|| (oldObject != null && {})", carries("object"), carries("oldObject"))),
        labelled: Some(keys::TEMPLATES),
        variables: Vec::new(),
        validations: vec![(
            format!("(oldObject != null\n  && {untouched})\n|| {author}"),
            "retinue's floor: writing template ConfigMaps takes the verb author on templates.fledged.io in their \
             namespace (ClusterRole retinue-author)"
                .into(),
        )],
    }
}

fn stamps(values: &Values, master: &str) -> Policy {
    let any = |object: &str| {
        format!(
            "{}\n  || {}",
            one_of(object, "labels", &keys::STAMP_LABELS),
            one_of(object, "annotations", &[keys::ADMISSION])
        )
    };
    let marks = |object: &str| {
        let labels = keys::STAMP_LABELS.map(|key| read(object, "labels", key));
        format!("[{}, {}]", labels.join(", "), read(object, "annotations", keys::ADMISSION))
    };
    let admins = "authorizer.group('fledged.io').resource('dependents')\
                  .namespace(request.?namespace.orValue('')).check('stamp').allowed()";
    Policy {
        groups: "*",
        resources: vec!["*/*"],
        operations: vec!["UPDATE"],
        condition: (
            "stamps",
            format!("(object != null\n  && ({}))\n|| (oldObject != null\n  && ({}))", any("object"), any("oldObject")),
        ),
        // No stamp is valid without it.
        labelled: Some(keys::MASTER),
        variables: vec![
            ("master", master.to_owned()),
            // A Scale, a Binding or an Eviction is not the object whose subresource it is: it may carry no labels.
            ("unchanged", format!("oldObject != null\n&& {} == {}", marks("object"), marks("oldObject"))),
        ],
        validations: vec![(
            format!("variables.unchanged\n|| {}\n|| {admins}", writers(values, "variables.master")),
            "retinue's floor: the stamp (fledged.io/master, template, expires-at, admission) is retinue's to write; \
             leave it as it is"
                .into(),
        )],
    }
}

/// True for those who write stamps without the right to. `master` is true for a master: its own requests carry what the
/// webhook wrote, and it may renew what is stamped, which the webhook judges, but never stamp what is there unstamped.
fn writers(values: &Values, master: &str) -> String {
    let controllers = "request.userInfo.username.startsWith('system:serviceaccount:kube-system:')\n\
                       || request.userInfo.username in ['system:kube-controller-manager', 'system:apiserver']";
    let own = format!("request.userInfo.username in ['{}', '{}']", values.user(WEBHOOK), values.user(CONTROLLER));
    let stamped = present("oldObject", "annotations", &[keys::ADMISSION]);
    format!("{controllers}\n|| {own}\n|| ({master}\n  && (oldObject == null || {stamped}))")
}

/// A Binding carries no stamp, but the API server puts its labels on the pod: there each key counts.
fn bindings(values: &Values, master: &str) -> Policy {
    Policy {
        groups: "",
        resources: vec!["bindings", "pods/binding"],
        operations: vec!["CREATE"],
        labelled: None,
        ..stamps(values, master)
    }
}

fn strip(master: &str) -> [Value; 2] {
    let name = "retinue-strip";
    let remove = |field: &str, key: &str| {
        format!(
            "({} ? [JSONPatch{{op: 'remove', path: '/metadata/{field}/' + jsonpatch.escapeKey('{key}')}}] : [])",
            present("object", field, &[key])
        )
    };
    let mut patches = keys::STAMP_LABELS.map(|key| remove("labels", key)).to_vec();
    patches.push(remove("annotations", keys::ADMISSION));
    let mutation = format!("({})\n? {}\n: []", within(master), within(&patches.join("\n+ ")));
    let spec = json!({
        "failurePolicy": "Fail",
        // Once, before webhooks: run again, it would take off what the webhook put there.
        "reinvocationPolicy": "Never",
        "matchConstraints": {
            "matchPolicy": "Equivalent",
            // As with the stamps: what does not carry it is no stamp, and the policy of dependents refuses it.
            "objectSelector": carrying(keys::MASTER),
            "resourceRules": [{
                "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"], "operations": ["CREATE"], "scope": "*",
            }],
        },
        // Who is asked about here and not by a condition: what the webhook stamped comes by again, and a condition would be
        // answered, with a copy of the object, before it is seen that nothing is to be done.
        "mutations": [{ "patchType": "JSONPatch", "jsonPatch": { "expression": mutation } }],
    });
    [
        object("MutatingAdmissionPolicy", name, spec),
        object("MutatingAdmissionPolicyBinding", name, json!({ "policyName": name })),
    ]
}

/// The same, a step further in.
fn within(expression: &str) -> String {
    expression.replace('\n', "\n  ")
}

fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(", ")
}

fn map(object: &str, field: &str) -> String {
    format!("{object}.?metadata.?{field}.orValue({{}})")
}

/// Every key is there.
fn present(object: &str, field: &str, keys: &[&str]) -> String {
    match keys {
        [key] => format!("'{key}' in {}", map(object, field)),
        keys => format!("[{}].all(k, k in {})", quoted(keys), map(object, field)),
    }
}

/// At least one key is there.
fn one_of(object: &str, field: &str, keys: &[&str]) -> String {
    match keys {
        [key] => format!("'{key}' in {}", map(object, field)),
        keys => format!("[{}].exists(k, k in {})", quoted(keys), map(object, field)),
    }
}

/// The value of a key, or nothing.
fn read(object: &str, field: &str, key: &str) -> String {
    format!("{}[?'{key}'].orValue('')", map(object, field))
}
