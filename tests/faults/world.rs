//! An installation whose webhook asks through a relay, masters in it, load, and the judgement of what is stored.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use controlplane::{Asker, Options, Relay, Reply};
use jiff::SignedDuration;
use policies::object::Gvk;
use policies::stamp::{self, Marks};
use serde_json::{Value, json};
use story::{Installation, Master};

/// Where masters live.
pub(crate) const NAMESPACE: &str = "trading";

const TEMPLATES: &str = r#"apiVersion: v1
kind: ConfigMap
metadata:
  name: faults
  namespace: trading
  labels: {fledged.io/templates: "true"}
  annotations: {fledged.io/masters: eod, fledged.io/duration: 1h, fledged.io/allow: pods/exec}
data:
  parameters: |
    part: {type: string, pattern: "[a-z0-9-]{1,40}"}
  report.yaml: |
    {apiVersion: v1, kind: ConfigMap, metadata: {name: "report-${part}"}, data: {level: info}}
  worker.yaml: |
    apiVersion: v1
    kind: Pod
    metadata: {name: "worker-${part}"}
    spec: {containers: [{name: main, image: "registry.example/worker:2"}]}
  job.yaml: |
    apiVersion: batch/v1
    kind: Job
    metadata: {name: "job-${part}"}
    spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: "registry.example/worker:2"}]}}}
"#;

/// One Role for what makes a master and for what it may create, as `retinue rbac` prints it.
const RIGHTS: &str = r#"apiVersion: v1
kind: ServiceAccount
metadata: {name: eod, namespace: trading}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: eod, namespace: trading}
rules:
- {apiGroups: [fledged.io], resources: [dependents], verbs: [launch]}
- {apiGroups: ["*"], resources: ["*"], verbs: [get, list, create, update, patch, delete]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: eod, namespace: trading}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: eod}
subjects: [{kind: ServiceAccount, name: eod, namespace: trading}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: ordinary, namespace: trading}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: ordinary, namespace: trading}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get, create, update, patch, delete]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: ordinary, namespace: trading}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: ordinary}
subjects:
- {kind: ServiceAccount, name: ordinary, namespace: trading}
- {kind: User, name: jane, apiGroup: rbac.authorization.k8s.io}
"#;

/// The installation and the way that its webhook goes.
pub(crate) struct World {
    pub(crate) relay: Relay,
    pub(crate) installation: Installation,
}

/// A report, good or with a value that no template admits.
pub(crate) fn report(part: &str, level: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("report-{part}")}, "data": {"level": level}})
}

/// Looks until `found` gives something; each look asks the API server or takes a lock, so this is no busy loop.
pub(crate) fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{what} did not come");
    }
}

impl World {
    /// Installs retinue with these flags and starts its webhook behind a relay.
    pub(crate) fn new(flags: &[&str]) -> Self {
        Self::ahead(flags, SignedDuration::ZERO)
    }

    /// The same; to the webhook the API server's clock is this far ahead.
    pub(crate) fn ahead(flags: &[&str], ahead: SignedDuration) -> Self {
        let cluster = Options::api_only().start().unwrap();
        let installation = Installation::installed(cluster, Path::new(env!("CARGO_BIN_EXE_retinue")), flags).unwrap();
        let cluster = &installation.cluster;
        let relay = cluster.relay().unwrap();
        relay.set_clock_ahead(ahead);
        cluster.namespace_named(NAMESPACE).unwrap();
        cluster.apply(RIGHTS).unwrap();
        cluster.apply(TEMPLATES).unwrap();
        installation.start_webhook_through(&relay).unwrap();
        Self { relay, installation }
    }

    pub(crate) fn admin(&self) -> Asker {
        self.installation.cluster.asker()
    }

    /// The pod of a Deployment of this name, through its ReplicaSet: made by hand, since no controllers run.
    pub(crate) fn master(&self, name: &str) -> Master {
        let pod = json!({"serviceAccountName": "eod", "containers": [{"name": "main", "image": "x:1"}]});
        let template = json!({"metadata": {"labels": {"app": name}}, "spec": pod});
        let spec = json!({"selector": {"matchLabels": {"app": name}}, "template": template});
        let make = |group: &str, plural: &str, kind: &str, spec: &Value, owner: Option<&Value>| {
            let owners = owner.map(|owner| {
                json!([{"apiVersion": "apps/v1", "kind": owner["kind"], "name": name, "controller": true,
                        "uid": owner["metadata"]["uid"]}])
            });
            let object = json!({
                "apiVersion": group, "kind": kind, "spec": spec,
                "metadata": {"name": name, "labels": {"app": name}, "ownerReferences": owners,
                             "annotations": {"fledged.io/manifests": "faults"}},
            });
            let root = if group == "v1" { "api" } else { "apis" };
            let made = self.admin().post(&format!("/{root}/{group}/namespaces/{NAMESPACE}/{plural}"), &object).unwrap();
            assert!(made.success(), "{}", made.message());
            let mut made = made.body;
            made["kind"] = json!(kind);
            made
        };
        let deployment = make("apps/v1", "deployments", "Deployment", &spec, None);
        let set = make("apps/v1", "replicasets", "ReplicaSet", &spec, Some(&deployment));
        make("v1", "pods", "Pod", &pod, Some(&set));
        let master = self.installation.of_pod(NAMESPACE, name).unwrap();
        // What is counted is each answer as it comes.
        Master { api: master.api.clone().patient(Duration::ZERO), ..master }
    }

    /// People and accounts that retinue has nothing to do with.
    pub(crate) fn others(&self) -> Vec<(&'static str, Asker)> {
        let cluster = &self.installation.cluster;
        let ordinary = cluster.token(NAMESPACE, "ordinary", None).unwrap();
        vec![
            ("admin", cluster.asker()),
            ("ordinary", cluster.asker_with_token(&ordinary).unwrap()),
            ("jane", cluster.asker().impersonating("jane", &[])),
        ]
    }

    /// Judges what is stored, read as the admin, with a quorum: whatever is named as the masters name things carries a
    /// valid stamp, but for what the admin made; nothing that was refused is there.
    pub(crate) fn judge(&self, load: &Load, by_admin: &[&str]) -> usize {
        let outcomes = load.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stamped = 0;
        let mut wrong = Vec::new();
        let mut there: BTreeMap<String, Value> = BTreeMap::new();
        for (group, plural, kind) in
            [("api/v1", "configmaps", "ConfigMap"), ("api/v1", "pods", "Pod"), ("apis/batch/v1", "jobs", "Job")]
        {
            let all = self.admin().get(&format!("/{group}/namespaces/{NAMESPACE}/{plural}")).unwrap();
            let gvk = Gvk::from_api_version(group.split_once('/').unwrap().1, kind);
            for object in all.body["items"].as_array().unwrap() {
                let name = object["metadata"]["name"].as_str().unwrap();
                let of_masters = ["report-", "worker-", "job-"].iter().any(|prefix| name.starts_with(prefix));
                if !of_masters || by_admin.contains(&name) {
                    continue;
                }
                match stamp::read(Marks::of(object), &gvk, NAMESPACE, name) {
                    Ok(Some(stamp)) if stamp.deadline.is_some() && stamp.record.account.name == "eod" => stamped += 1,
                    other => wrong.push(format!("{kind} {name} has no valid stamp: {other:?}")),
                }
                there.insert(name.to_owned(), object.clone());
            }
        }
        for (name, outcome) in outcomes.iter() {
            match outcome {
                Outcome::Refused if there.contains_key(name) => wrong.push(format!("{name} was refused, and is there")),
                Outcome::Admitted if !there.contains_key(name) => {
                    wrong.push(format!("{name} was admitted, and is not there"));
                }
                _ => {}
            }
        }
        wrong.extend(load.wrong.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned());
        assert!(wrong.is_empty(), "{} wrong:\n{}\n{}", wrong.len(), wrong.join("\n"), self.installation.logs());
        stamped
    }
}

/// What a request came to, as its sender saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Admitted,
    Refused,
    /// No answer, or none that says what was stored.
    Unknown,
}

/// What was sent, and what was wrong about the answers.
#[derive(Debug, Default)]
pub(crate) struct Load {
    outcomes: Mutex<BTreeMap<String, Outcome>>,
    wrong: Mutex<Vec<String>>,
    next: AtomicUsize,
    pub(crate) admitted: AtomicUsize,
    pub(crate) refused: AtomicUsize,
    pub(crate) others: AtomicUsize,
    pub(crate) ended: AtomicBool,
    /// While the API server itself is disturbed, others may get no answer, or one that retinue has no part in.
    pub(crate) outage: AtomicBool,
}

/// Ends the load when it goes, however that comes about: else whoever waits for its threads would wait for ever.
pub(crate) struct Ending<'a>(pub(crate) &'a Load);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::SeqCst);
    }
}

/// Whether an answer is of retinue's making, or for want of retinue.
fn by_retinue(message: &str) -> bool {
    message.contains("retinue") || message.contains("webhook")
}

impl Load {
    fn number(&self) -> usize {
        self.next.fetch_add(1, Ordering::SeqCst)
    }

    pub(crate) fn note(&self, name: &str, reply: &Result<Reply, controlplane::Error>) -> Outcome {
        let outcome = match reply {
            Ok(reply) if reply.success() => Outcome::Admitted,
            // Denied by the webhook, also where it answers 503 for want of knowledge; or it could not be called.
            Ok(reply) if by_retinue(&reply.message()) => Outcome::Refused,
            Ok(reply) if reply.code == 403 => Outcome::Refused,
            _ => Outcome::Unknown,
        };
        match outcome {
            Outcome::Admitted => self.admitted.fetch_add(1, Ordering::SeqCst),
            Outcome::Refused => self.refused.fetch_add(1, Ordering::SeqCst),
            Outcome::Unknown => 0,
        };
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), outcome);
        outcome
    }

    pub(crate) fn wrong(&self, what: String) {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    /// Creates a report as this master; the next name.
    pub(crate) fn create(&self, master: &Master, level: &str) -> (Outcome, String) {
        let object = report(&format!("{}-{}", master.pod, self.number()), level);
        let reply = master.api.post(&master.core("configmaps"), &object);
        let outcome = self.note(object["metadata"]["name"].as_str().unwrap(), &reply);
        if outcome == Outcome::Admitted && level != "info" {
            self.wrong(format!("{object} was admitted"));
        }
        (outcome, reply.map_or_else(|error| error.to_string(), |reply| format!("{} {}", reply.code, reply.message())))
    }

    /// Creates good and bad reports until the end.
    pub(crate) fn drive(&self, master: &Master) {
        while !self.ended.load(Ordering::SeqCst) {
            self.create(master, "info");
            self.create(master, "trace");
        }
    }

    /// Creates, changes and deletes as somebody else, until the end; every answer must be a success, but for an outage.
    pub(crate) fn drive_others(&self, others: &[(&'static str, Asker)]) {
        while !self.ended.load(Ordering::SeqCst) {
            for (who, api) in others {
                let name = format!("{who}-{}", self.number());
                let all = format!("/api/v1/namespaces/{NAMESPACE}/configmaps");
                let one = format!("{all}/{name}");
                let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
                let begun_in_outage = self.outage.load(Ordering::SeqCst);
                for reply in
                    [api.post(&all, &object), api.merge(&one, &json!({"data": {"a": "b"}})), api.delete(&one, None)]
                {
                    let outage = begun_in_outage || self.outage.load(Ordering::SeqCst);
                    match reply {
                        Ok(reply) if reply.success() => {
                            self.others.fetch_add(1, Ordering::SeqCst);
                        }
                        Ok(reply) if by_retinue(&reply.message()) => {
                            self.wrong(format!("{who} was refused by retinue: {}", reply.message()));
                        }
                        _ if outage => {}
                        Ok(reply) => self.wrong(format!("{who} was refused: {} {}", reply.code, reply.message())),
                        Err(error) => self.wrong(format!("{who} got no answer: {error}")),
                    }
                }
            }
        }
    }
}
