//! The same guard, as far as it can be, in the API server's own policies.
//!
//! A ValidatingAdmissionPolicy that holds one account's pods against what the template says, field by field where an
//! author of policies would think of it; and a MutatingAdmissionPolicy that adds what retinue's stamp adds. They have
//! it easier than retinue in ways that cannot be made equal: the world is not closed, so that what nobody thought of
//! passes; who asks is taken from the token and not verified; the owner's uid and the deadline are constants, since a
//! policy can neither look up the one nor tell the time.

use serde_json::{Value, json};

const API: &str = "admissionregistration.k8s.io/v1";

/// How the labels, the annotation and the owner are added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Adding {
    /// By an apply configuration, merged by the server with the schema of the kind; the owner by a JSON patch.
    Apply,
    /// By a JSON patch.
    Patch,
}

impl Adding {
    /// The deadline that it writes: it shows which of the two is in place.
    pub(super) fn deadline(self) -> &'static str {
        match self {
            Self::Apply => "2098-01-01T000000Z",
            Self::Patch => "2099-01-01T000000Z",
        }
    }
}

/// Policies and bindings for the pods of `user` (the full username).
pub(super) fn objects(user: &str, adding: Adding) -> Vec<Value> {
    let conditions = json!([{"name": "master", "expression": format!("request.userInfo.username == '{user}'")}]);
    let rules = json!({"resourceRules": [{
        "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"],
    }]});
    let validations: Vec<Value> = VALIDATIONS
        .iter()
        .map(|(expression, message)| json!({"expression": expression, "message": message, "reason": "Forbidden"}))
        .collect();
    let patch = |parts: &[String]| json!({"patchType": "JSONPatch", "jsonPatch": {"expression": format!("[{}]", parts.join(",\n"))}});
    let mutations = match adding {
        // An owner cannot be added by an apply configuration: its entries are atomic (refused on 1.36.3).
        Adding::Apply => json!([
            {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": apply()}},
            patch(&[owner()]),
        ]),
        Adding::Patch => json!([patch(&[marks(), vec![owner()]].concat())]),
    };
    let named = |kind: &str, spec: Value| json!({"apiVersion": API, "kind": kind, "metadata": {"name": "in-tree"}, "spec": spec});
    vec![
        named(
            "MutatingAdmissionPolicy",
            json!({
                "failurePolicy": "Fail", "reinvocationPolicy": "Never", "matchConstraints": rules,
                "matchConditions": conditions, "variables": VARIABLES_OF_RECORD
                    .iter().map(|(name, expression)| json!({"name": name, "expression": expression})).collect::<Vec<_>>(),
                "mutations": mutations,
            }),
        ),
        named("MutatingAdmissionPolicyBinding", json!({"policyName": "in-tree"})),
        named(
            "ValidatingAdmissionPolicy",
            json!({
                "failurePolicy": "Fail", "matchConstraints": rules, "matchConditions": conditions,
                "variables": [
                    {"name": "main", "expression": "object.spec.containers[0]"},
                    {"name": "shipper", "expression": "object.spec.containers[1]"},
                ],
                "validations": validations,
            }),
        ),
        named("ValidatingAdmissionPolicyBinding", json!({"policyName": "in-tree", "validationActions": ["Deny"]})),
    ]
}

/// What a template says, as far as an author of policies would say it; each with its message.
const VALIDATIONS: [(&str, &str); 17] = [
    ("object.metadata.name.matches('^post-trade-[0-9]{8}-[0-9]{1,9}$')", "the name is post-trade-RUN-SHARD"),
    ("object.spec.containers.size() == 2", "two containers, main and shipper"),
    (
        "variables.main.name == 'main' && variables.main.image == 'registry.example/settlement/post-trade:1.4.2'",
        "the image of main",
    ),
    (
        "variables.shipper.name == 'shipper' && variables.shipper.image == 'registry.example/platform/log-shipper:3.2'",
        "the image of shipper",
    ),
    ("!has(object.spec.initContainers) && !has(object.spec.ephemeralContainers)", "no containers beside these"),
    ("variables.main.command == ['/opt/settlement/bin/post-trade'] && !has(variables.shipper.command)", "the commands"),
    (
        "variables.main.args.size() == 7 && variables.main.args[0] == '--run' \
         && variables.main.args[1].matches('^[0-9]{8}$') && variables.main.args[2] == '--shard' \
         && variables.main.args[3].matches('^[0-9]{1,9}$') && variables.main.args[4] == '--book' \
         && variables.main.args[5].matches('^(rates|equities|fx)-[a-z]{3}$') \
         && variables.main.args[6] == '--output=s3://settlement-results/' + variables.main.args[5] + '/' \
            + variables.main.args[1]",
        "the arguments of main",
    ),
    (
        "object.metadata.name == 'post-trade-' + variables.main.args[1] + '-' + variables.main.args[3]",
        "run and shard are the same everywhere",
    ),
    (
        "variables.shipper.args == ['--follow', '/var/tmp/settlement/logs', '--tag', \
         'post-trade-' + variables.main.args[1]]",
        "the arguments of shipper",
    ),
    (
        "variables.main.env.size() == 16 && variables.main.env.all(e, e.name in ['RUN', 'SHARD', 'BOOK', 'LOG_LEVEL', \
         'LOG_FORMAT', 'TZ', 'DATABASE_HOST', 'DATABASE_PORT', 'DATABASE_NAME', 'DATABASE_USER', 'DATABASE_PASSWORD', \
         'KAFKA_BROKERS', 'KAFKA_TOPIC', 'POD_NAME', 'POD_IP', 'MEMORY_LIMIT']) \
         && variables.main.env.exists(e, e.name == 'LOG_LEVEL' && e.value in ['debug', 'info', 'warn']) \
         && variables.shipper.env.size() == 2 && variables.shipper.env.all(e, e.name in ['COLLECTOR', 'BATCH'])",
        "the environment",
    ),
    (
        "object.spec.volumes.all(v, v.name in ['scratch', 'settings', 'calendars', 'trust'] \
         || v.name.startsWith('kube-api-access-')) && object.spec.volumes.all(v, !has(v.hostPath))",
        "the volumes",
    ),
    (
        "object.spec.containers.all(c, c.volumeMounts.all(m, m.name in ['scratch', 'settings', 'calendars', 'trust'] \
         || m.name.startsWith('kube-api-access-')))",
        "the mounts",
    ),
    (
        "!object.spec.?hostNetwork.orValue(false) && !object.spec.?hostPID.orValue(false) \
         && !object.spec.?hostIPC.orValue(false)",
        "nothing of the host",
    ),
    (
        "object.spec.containers.all(c, !c.securityContext.?privileged.orValue(false) \
         && !c.securityContext.allowPrivilegeEscalation && c.securityContext.readOnlyRootFilesystem \
         && c.securityContext.capabilities.drop == ['ALL'] && !has(c.securityContext.capabilities.add))",
        "no privileges",
    ),
    (
        "object.spec.serviceAccountName == 'post-trade' && object.spec.nodeSelector == {'settlement.example/pool': 'none'}",
        "the account and the nodes",
    ),
    (
        "quantity(variables.main.resources.limits.cpu).compareTo(quantity('4')) == 0 \
         && quantity(variables.main.resources.limits.memory).compareTo(quantity('8Gi')) == 0 \
         && quantity(variables.shipper.resources.limits.memory).compareTo(quantity('256Mi')) == 0",
        "the resources",
    ),
    (
        "['fledged.io/master', 'fledged.io/template', 'fledged.io/expires-at'].all(k, k in object.metadata.labels) \
         && 'fledged.io/admission' in object.metadata.annotations && object.metadata.ownerReferences.size() == 1",
        "the stamp",
    ),
];

/// The record that the annotation holds, as long as retinue's.
const VARIABLES_OF_RECORD: [(&str, &str); 2] = [
    ("parts", "object.metadata.name.split('-')"),
    (
        "record",
        r#"'{"object":{"kind":"Pod","namespace":"' + request.namespace + '","name":"' + object.metadata.name
+ '"},"account":"' + request.userInfo.username + '","pod":{"name":"'
+ request.userInfo.extra['authentication.kubernetes.io/pod-name'][0] + '","uid":"'
+ request.userInfo.extra['authentication.kubernetes.io/pod-uid'][0]
+ '"},"workload":{"apiVersion":"apps/v1","kind":"Deployment","name":"eod","uid":"8a3f2c1e-0000-4000-8000-000000000001"},'
+ '"template":{"configMap":"bench/post-trade","key":"pod.yaml","uid":"8a3f2c1e-0000-4000-8000-000000000002",'
+ '"version":"1234","hash":"0123456789abcdef"},"parameters":{"run":"' + variables.parts[2] + '","shard":'
+ variables.parts[3] + ',"book":"' + object.spec.containers[0].args[5] + '","level":"info"},"duration":86400}'"#,
    ),
];

fn apply() -> String {
    format!(
        "Object{{metadata: Object.metadata{{\n  labels: {{'fledged.io/master': 'bench.eod', 'fledged.io/template': \
         'bench.post-trade', 'fledged.io/expires-at': '{}'}},\n  \
         annotations: {{'fledged.io/admission': variables.record}}\n}}}}",
        Adding::Apply.deadline()
    )
}

fn marks() -> Vec<String> {
    let add = |field: &str, key: &str, value: &str| {
        format!("JSONPatch{{op: 'add', path: '/metadata/{field}/' + jsonpatch.escapeKey('{key}'), value: {value}}}")
    };
    vec![
        add("labels", "fledged.io/master", "'bench.eod'"),
        add("labels", "fledged.io/template", "'bench.post-trade'"),
        add("labels", "fledged.io/expires-at", &format!("'{}'", Adding::Patch.deadline())),
        add("annotations", "fledged.io/admission", "variables.record"),
    ]
}

fn owner() -> String {
    "JSONPatch{op: 'add', path: '/metadata/ownerReferences', value: [{'apiVersion': 'apps/v1', 'kind': 'Deployment', \
     'name': 'eod', 'uid': '8a3f2c1e-0000-4000-8000-000000000001'}]}"
        .into()
}
