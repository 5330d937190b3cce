//! Verdicts in tables: one master, one ConfigMap, and everything that may be asked.

mod accepted;
mod create;
mod touch;

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::caller::{CallerPod, Wish};
use crate::collectable::Known;
use crate::library::{Compiling, NotKept, Problem, TemplateSet, Templates};
use crate::object::{Gvk, Gvr};
use crate::request::{Phase, User};
use crate::tables;
use crate::yaml;

pub(super) const NOW: &str = "2026-11-20T14:30:00Z";

pub(super) const TEMPLATES: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata:
  name: post-trade
  namespace: trading
  uid: c-1
  resourceVersion: "42"
  labels: {fledged.io/templates: "true"}
  annotations:
    fledged.io/masters: eod
    fledged.io/duration: "3600"
    fledged.io/max-dependents: "3"
    fledged.io/allow: "pods/exec, deployments/scale"
data:
  parameters: |
    run:     {type: string, pattern: "[0-9]{8}", description: trading day}
    workers: {type: integer, minimum: 1, maximum: 8, default: 2}
    token:   {type: string, sensitive: true, optional: true}
    password: {type: string, generated: {length: 16}}
    replicas: {type: integer, minimum: 1, maximum: 4}
  job.yaml: |
    apiVersion: batch/v1
    kind: Job
    metadata: {name: "post-trade-${run}"}
    spec:
      parallelism: ${workers}
      completions: 1
      template:
        spec:
          restartPolicy: Never
          containers:
          - name: main
            image: registry.example/post-trade:1.4
            args: ["--run", "${run}"]
            env:
            - name: TOKEN
              value: ${token}
  pod.yaml: |
    apiVersion: v1
    kind: Pod
    metadata: {generateName: notebook-}
    spec:
      serviceAccountName: plain
      automountServiceAccountToken: false
      containers:
      - {name: main, image: "registry.example/notebook:7"}
  secret.yaml: |
    apiVersion: v1
    kind: Secret
    metadata: {name: credentials}
    stringData:
      password: "${password}"
  web.yaml: |
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: web}
    spec:
      replicas: ${replicas}
      selector: {matchLabels: {app: web}}
      template:
        metadata: {labels: {app: web}}
        spec:
          containers:
          - {name: main, image: "registry.example/web:2"}
  claim.yaml: |
    apiVersion: v1
    kind: PersistentVolumeClaim
    metadata:
      name: home
      annotations: {fledged.io/duration: none}
    spec:
      accessModes: [ReadWriteOnce]
      storageClassName: fast
      resources: {requests: {storage: 1Gi}}
"#;

pub(super) fn set(text: &str) -> Arc<TemplateSet> {
    let set = TemplateSet::load(&yaml::value(text).unwrap());
    let errors: Vec<_> = set.problems.iter().filter(|p| p.severity == crate::library::Severity::Error).collect();
    assert!(errors.is_empty(), "{errors:?}");
    Arc::new(set)
}

pub(super) fn caller() -> Caller {
    let owner = |api_version: &str, kind: &str, name: &str, uid: &str| ObjectRef {
        api_version: api_version.into(),
        kind: kind.into(),
        name: name.into(),
        uid: uid.into(),
    };
    Caller {
        account: NamespacedName::new("trading", "eod"),
        pod: CallerPod {
            name: "eod-7d9f-x2x".into(),
            uid: "p-1".into(),
            ip: Some("10.0.0.7".into()),
            terminating: false,
        },
        chain: vec![owner("apps/v1", "ReplicaSet", "eod-7d9f", "r-1"), owner("apps/v1", "Deployment", "eod", "d-1")],
        wish: Wish { manifests: vec![NamespacedName::new("trading", "post-trade")], chart: None, duration: None },
        deadline: None,
    }
}

pub(super) fn situation() -> Situation {
    let set = set(TEMPLATES);
    let mut situation = Situation::unknown(NOW.parse().unwrap(), Unidentified::NoAccount(String::new()));
    situation.caller = Ok(caller());
    situation.library = Arc::new(Library::from_iter([set]));
    situation.seed = [7; 32];
    situation
}

pub(super) fn request(operation: Operation, phase: Phase, object: Option<Value>, old: Option<Value>) -> Request {
    let body = object.as_ref().or(old.as_ref()).unwrap();
    let kind = own::kind_of(body);
    let resource = Gvr {
        group: kind.group.clone(),
        version: kind.version.clone(),
        resource: format!("{}s", kind.kind.to_lowercase()),
    };
    Request {
        uid: "review-1".into(),
        phase,
        operation,
        name: body["metadata"]["name"].as_str().map(str::to_owned),
        kind,
        resource,
        subresource: None,
        namespace: Some(body["metadata"]["namespace"].as_str().unwrap_or("trading").to_owned()),
        user: User { username: "system:serviceaccount:trading:eod".into(), ..User::default() },
        object,
        old_object: old,
        options: None,
        dry_run: false,
    }
}

/// A Job as the API server shows it to a mutating webhook.
pub(super) fn job() -> Value {
    let mut job = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": "post-trade-20261120", "namespace": "trading"},
        "spec": {
            "parallelism": 2, "completions": 1,
            "template": {"spec": {
                "restartPolicy": "Never",
                "containers": [{
                    "name": "main", "image": "registry.example/post-trade:1.4", "args": ["--run", "20261120"],
                    "env": [{"name": "TOKEN"}],
                }],
            }},
        },
    });
    tables::complete(&own::kind_of(&job), &mut job, &Facts::default());
    job
}

#[track_caller]
pub(super) fn admitted(request: &Request, situation: &Situation) -> Admission {
    match decide(request, situation) {
        Verdict::Admit(admission) => admission,
        Verdict::Refuse(refusal) => panic!("refused: {}", refusal.message),
    }
}

#[track_caller]
pub(super) fn refused(request: &Request, situation: &Situation, cause: Cause, words: &[&str]) -> Refusal {
    match decide(request, situation) {
        Verdict::Admit(admission) => panic!("admitted: {admission:?}"),
        Verdict::Refuse(refusal) => {
            assert_eq!(refusal.cause, cause, "{}", refusal.message);
            for word in words {
                assert!(refusal.message.contains(word), "{word:?} is not in: {}", refusal.message);
            }
            refusal
        }
    }
}

/// The object after the patch.
pub(super) fn patched(object: &Value, admission: &Admission) -> Value {
    let mut object = object.clone();
    if let Some(patch) = &admission.patch {
        json_patch::patch(&mut object, patch).unwrap();
    }
    object
}

/// A Job as stored after both phases.
pub(super) fn stored(situation: &Situation) -> Value {
    let object = job();
    let admission = admitted(&request(Operation::Create, Phase::Mutating, Some(object.clone()), None), situation);
    let mut stored = patched(&object, &admission);
    stored["metadata"]["uid"] = "j-1".into();
    stored["metadata"]["resourceVersion"] = "100".into();
    stored["metadata"]["creationTimestamp"] = NOW.into();
    stored
}

pub(super) fn kind(object: &Value) -> Gvk {
    own::kind_of(object)
}
