//! The requests that are measured: what they ask, and what is known when they do.
//!
//! Objects are as webhooks see them: defaulted, with what admission plugins add and with managedFields; in the
//! validating phase stamped, and with what strategies set.

use std::collections::BTreeMap;
use std::sync::Arc;

use policies::caller::{Caller, CallerPod, Unidentified, Wish};
use policies::library::{Library, TemplateSet};
use policies::object::{Gvk, Gvr, NamespacedName, ObjectRef};
use policies::render::{Argument, defaults, render};
use policies::request::{Operation, Phase, Request, User};
use policies::tables::{self, Completeness, Facts};
use policies::verdict::{Situation, Verdict, decide};
use policies::yaml;
use serde_json::{Value, json};

const NOW: &str = "2026-11-20T14:30:00Z";
const TEMPLATES: &str = include_str!("templates.yaml");

/// What one case expects.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// An admission with a patch.
    Stamp,
    /// An admission without.
    Check,
    /// A refusal by its template.
    Refusal,
}

/// One measured request.
pub struct Case {
    /// As the counts name it.
    pub name: &'static str,
    pub request: Request,
    pub situation: Situation,
    pub expected: Expected,
}

impl Case {
    /// Judges the request; fails if the answer is of another kind than expected, since then something else is
    /// measured.
    pub fn verify(&self) {
        let got = match decide(&self.request, &self.situation) {
            Verdict::Admit(admission) if admission.patch.is_some() => Expected::Stamp,
            Verdict::Admit(_) => Expected::Check,
            Verdict::Refuse(refusal) => {
                assert!(self.expected == Expected::Refusal, "{} is refused: {}", self.name, refusal.message);
                assert!(!refusal.differences.is_empty(), "{}: {}", self.name, refusal.message);
                Expected::Refusal
            }
        };
        assert!(got == self.expected, "{} is answered otherwise", self.name);
    }
}

/// Every case; `many` includes the one with ten thousand templates, which takes a while to load.
pub fn all(many: bool) -> Vec<Case> {
    let one = set(&config_map());
    let alone = situation(&[Arc::clone(&one)]);
    // One template of its kind, so that a refusal is by one.
    let only = situation(&[set(&with("pod.yaml"))]);
    let pod = object(&one, "pod.yaml", &[("run", "20261120"), ("desk", "rates")]);
    let job = object(
        &one,
        "job.yaml",
        &[("run", "20261120"), ("workers", "8"), ("build", "1.14.2"), ("memory", "8Gi"), ("token", "s3cr3t")],
    );
    let options: Vec<Value> = (0..24)
        .map(|at| json!({"name": format!("SPARK_JAVA_OPT_{at}"), "value": format!("-Dspark.some.option={at}")}))
        .collect();
    let options = Value::Array(options).to_string();
    let holes = object(
        &one,
        "holes.yaml",
        &[
            ("run", "20261120"),
            ("build", "3.5.1"),
            ("memory", "4Gi"),
            ("options", &options),
            ("selector", r#"{"pool": "spark", "zone": "a"}"#),
        ],
    );
    let mut wrong = pod.clone();
    wrong["spec"]["containers"][0]["env"][2]["value"] = "debug".into();
    let mut cases = vec![
        create("pod/stamp", Phase::Mutating, &pod, &only),
        create("pod/check", Phase::Validating, &pod, &only),
        Case { expected: Expected::Refusal, ..create("pod/refusal", Phase::Mutating, &wrong, &only) },
        create("job/stamp", Phase::Mutating, &job, &alone),
        create("job/check", Phase::Validating, &job, &alone),
        create("holes/stamp", Phase::Mutating, &holes, &alone),
        create("holes/check", Phase::Validating, &holes, &alone),
        update("web/update", &object(&one, "web.yaml", &[("workers", "2")]), &alone),
    ];
    for (name, refusal, count) in
        [("variants/10", "variants/10/refusal", 10), ("variants/100", "variants/100/refusal", 100)]
    {
        let variants = situation(&[set(&variants(count))]);
        // The last of them, which is the farthest.
        let set = &variants.library.sets[&one.name];
        let key = format!("pod-{:03}.yaml", count - 1);
        let pod = object(set, &key, &[("run", "20261120"), ("desk", "rates")]);
        let mut wrong = pod.clone();
        wrong["spec"]["containers"][0]["env"][2]["value"] = "debug".into();
        cases.push(create(name, Phase::Mutating, &pod, &variants));
        cases.push(Case { expected: Expected::Refusal, ..create(refusal, Phase::Mutating, &wrong, &variants) });
    }
    if many {
        let sets: Vec<_> = std::iter::once(one).chain((0..1000).map(|master| set(&ten_of(master)))).collect();
        cases.push(create("templates/10000", Phase::Mutating, &pod, &situation(&sets)));
    }
    cases.iter().for_each(Case::verify);
    cases
}

fn config_map() -> Value {
    yaml::value(TEMPLATES).expect("the templates are YAML")
}

/// The ConfigMap with one of its templates alone.
fn with(key: &str) -> Value {
    let mut map = config_map();
    if let Some(data) = map["data"].as_object_mut() {
        data.retain(|name, _| name == key || name == "parameters");
    }
    map
}

/// One kind of one master in many sizes: each is another name and image, as teams have them.
fn variants(count: usize) -> Value {
    let mut map = config_map();
    let pod = map["data"]["pod.yaml"].as_str().expect("it has a pod").to_owned();
    let parameters = map["data"]["parameters"].clone();
    let mut data = serde_json::Map::from_iter([("parameters".to_owned(), parameters)]);
    for at in 0..count {
        let text = pod
            .replace("name: post-trade-${run}", &format!("name: v{at:03}-${{run}}"))
            .replace("valuation:1.14.2", &format!("valuation:1.{at}.2"));
        data.insert(format!("pod-{at:03}.yaml"), text.into());
    }
    map["data"] = data.into();
    map
}

/// Ten templates of another master.
fn ten_of(master: usize) -> Value {
    let mut map = variants(10);
    map["metadata"]["name"] = format!("templates-{master}").into();
    map["metadata"]["namespace"] = format!("team-{master}").into();
    map["metadata"]["annotations"] = json!({"fledged.io/masters": "app"});
    map
}

fn set(config_map: &Value) -> Arc<TemplateSet> {
    let set = TemplateSet::load(config_map);
    assert!(set.errors().next().is_none(), "{:?}", set.problems);
    Arc::new(set)
}

fn situation(sets: &[Arc<TemplateSet>]) -> Situation {
    let owner = |api_version: &str, kind: &str, name: &str, uid: &str| ObjectRef {
        api_version: api_version.into(),
        kind: kind.into(),
        name: name.into(),
        uid: uid.into(),
    };
    let mut facts = Facts::new(Completeness::Cluster);
    for namespace in ["trading", "research"] {
        for name in ["default", "post-trade", "eod"] {
            facts.apply(&json!({"apiVersion": "v1", "kind": "ServiceAccount",
                "metadata": {"name": name, "namespace": namespace}}));
        }
    }
    let caller = Caller {
        account: NamespacedName::new("trading", "eod"),
        pod: CallerPod {
            name: "eod-7d9f6c5b8-x2x4q".into(),
            uid: "0b8c3e52-6c1c-4d0b-9a0e-0f0e3c1d9a55".into(),
            ip: Some("10.0.0.7".into()),
            terminating: false,
        },
        chain: vec![
            owner("apps/v1", "ReplicaSet", "eod-7d9f6c5b8", "7c1f0f57-35c5-43bb-9f0b-0b9c1f8b8a10"),
            owner("apps/v1", "Deployment", "eod", "2f4d4f0a-9a57-4f0e-8f0d-51c3a1a3f0c2"),
        ],
        wish: Wish { manifests: vec![NamespacedName::new("trading", "post-trade")], chart: None, duration: None },
        deadline: None,
    };
    Situation {
        caller: Ok(caller),
        library: Arc::new(sets.iter().map(Arc::clone).collect::<Library>()),
        facts: Arc::new(facts),
        masters: Arc::new([NamespacedName::new("trading", "eod")].into()),
        seed: [7; 32],
        ..Situation::unknown(NOW.parse().expect("a time"), Unidentified::NoAccount(String::new()))
    }
}

/// What a template makes of these arguments, as a mutating webhook sees it.
fn object(set: &TemplateSet, key: &str, arguments: &[(&str, &str)]) -> Value {
    let template = set.templates.all().find(|template| template.key == key).expect("the template is there");
    let arguments =
        arguments.iter().map(|(name, text)| ((*name).to_owned(), Argument::Text((*text).to_owned()))).collect();
    let mut bindings = defaults(&template.parameters, &arguments).expect("the arguments fit");
    bindings.given = BTreeMap::from([(policies::template::Given::PodIp, "10.0.0.7".to_owned())]);
    let mut object = render(template, &bindings).expect("nothing is missing");
    tables::complete(&template.kind, &mut object, &Facts::default());
    object["metadata"]["namespace"] = "trading".into();
    if template.kind.kind == "Pod" {
        admitted(&mut object);
    }
    let managed = fields(&object);
    object["metadata"]["managedFields"] = json!([{
        "manager": "eod", "operation": "Update", "apiVersion": template.kind.api_version(),
        "time": "2026-11-20T14:30:00Z", "fieldsType": "FieldsV1", "fieldsV1": managed,
    }]);
    object
}

/// What admission plugins add to a pod.
fn admitted(pod: &mut Value) {
    const TOKEN: &str = "kube-api-access-x7k2p";
    let push = |list: &mut Value, value: Value| match list {
        Value::Array(list) => list.push(value),
        other => *other = json!([value]),
    };
    let spec = &mut pod["spec"];
    spec["priority"] = 0.into();
    spec["preemptionPolicy"] = "PreemptLowerPriority".into();
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let toleration = json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300});
        push(&mut spec["tolerations"], toleration);
    }
    push(
        &mut spec["volumes"],
        json!({"name": TOKEN, "projected": {"defaultMode": 420, "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [
                {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
            ]}}
        ]}}),
    );
    for list in ["initContainers", "containers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let mount = json!({"name": TOKEN, "readOnly": true,
                "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"});
            push(&mut container["volumeMounts"], mount);
        }
    }
}

/// The fieldsV1 of a manager that set everything.
fn fields(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let named = map.iter().filter(|(key, _)| *key != "apiVersion" && *key != "kind");
            named.map(|(key, value)| (format!("f:{key}"), fields(value))).collect()
        }
        Value::Array(list) if list.iter().all(|element| element.get("name").is_some()) => {
            let named = list.iter().map(|element| (format!("k:{{\"name\":{}}}", element["name"]), fields(element)));
            named.collect()
        }
        _ => json!({}),
    }
}

/// The create of `object`; in the validating phase with the stamp that the mutating phase gives it, and with what the
/// strategy adds.
fn create(name: &'static str, phase: Phase, object: &Value, situation: &Situation) -> Case {
    let mut request = request(Operation::Create, phase, object.clone());
    if phase == Phase::Validating {
        let stored = stored(object, situation);
        request.name = stored["metadata"]["name"].as_str().map(str::to_owned);
        request.object = Some(stored);
    }
    let expected = if phase == Phase::Mutating { Expected::Stamp } else { Expected::Check };
    Case { name, request, situation: situation.clone(), expected }
}

fn stored(object: &Value, situation: &Situation) -> Value {
    const UID: &str = "b1f8a0c4-0c0a-4a3e-8d4f-0a6de6a5f8e1";
    let mut stored = object.clone();
    let admission = match decide(&request(Operation::Create, Phase::Mutating, object.clone()), situation) {
        Verdict::Admit(admission) => admission,
        Verdict::Refuse(refusal) => unreachable!("{}", refusal.message),
    };
    json_patch::patch(&mut stored, &admission.patch.expect("it is stamped")).expect("the patch applies");
    let metadata = &mut stored["metadata"];
    metadata["uid"] = UID.into();
    metadata["creationTimestamp"] = NOW.into();
    if let Some(prefix) = metadata["generateName"].as_str().map(str::to_owned) {
        metadata["name"] = format!("{prefix}x7k2p").into();
    }
    if stored["kind"] == "Job" {
        let name = stored["metadata"]["name"].clone();
        stored["metadata"]["generation"] = 1.into();
        stored["spec"]["selector"] = json!({"matchLabels": {"batch.kubernetes.io/controller-uid": UID}});
        let labels = &mut stored["spec"]["template"]["metadata"]["labels"];
        for (key, value) in [
            ("job-name", &name),
            ("batch.kubernetes.io/job-name", &name),
            ("controller-uid", &json!(UID)),
            ("batch.kubernetes.io/controller-uid", &json!(UID)),
        ] {
            labels[key] = value.clone();
        }
    }
    stored["status"] = json!({"phase": "Pending", "qosClass": "Burstable"});
    stored
}

/// An update of the one parameter of a Deployment.
fn update(name: &'static str, object: &Value, situation: &Situation) -> Case {
    let mut old = stored(object, situation);
    old["status"] = json!({"observedGeneration": 1, "replicas": 2, "readyReplicas": 2, "updatedReplicas": 2});
    let mut new = old.clone();
    new["spec"]["replicas"] = 5.into();
    let mut request = request(Operation::Update, Phase::Mutating, new);
    request.old_object = Some(old);
    Case { name, request, situation: situation.clone(), expected: Expected::Stamp }
}

fn request(operation: Operation, phase: Phase, object: Value) -> Request {
    let text = |key: &str| object[key].as_str().unwrap_or_default();
    let kind = Gvk::from_api_version(text("apiVersion"), text("kind"));
    let plural = tables::plural(&kind).unwrap_or_default();
    Request {
        uid: "705ab4f5-6393-11e8-b7cc-42010a800002".into(),
        phase,
        operation,
        name: object["metadata"]["name"].as_str().map(str::to_owned),
        resource: Gvr { group: kind.group.clone(), version: kind.version.clone(), resource: plural.into() },
        kind,
        subresource: None,
        namespace: Some("trading".into()),
        user: User { username: "system:serviceaccount:trading:eod".into(), ..User::default() },
        object: Some(object),
        old_object: None,
        options: None,
        dry_run: false,
    }
}
