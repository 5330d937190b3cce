//! One manifest, sent in every way by the master whose template it is.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::thread;

use controlplane::{Output, Reply};
use serde_json::{Value, json};
use story::Master;

use crate::cluster::{self, Cluster};
use crate::document::Document;
use crate::proof::Proof;

/// How many documents are sent at the same time.
const THREADS: u64 = 4;

/// Of how many documents one is also sent with dry run, and with a label too many; `PROOF_EVERY=1` for all.
fn every() -> u64 {
    std::env::var("PROOF_EVERY").map_or(4, |text| text.parse().unwrap())
}

const YAML: &str = "application/yaml";
const APPLY: &str = "application/apply-patch+yaml";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Judges every document. Those that cannot be at the same time are judged one after another; those that bind others
/// of their namespace come last.
pub(crate) fn all(cluster: &Cluster, documents: &[Document]) -> Proof {
    let binds = |document: &&Document| matches!(document.kind().kind.as_str(), "LimitRange" | "ResourceQuota");
    let (last, first): (Vec<&Document>, Vec<&Document>) = documents.iter().partition(binds);
    let mut proof = Proof::default();
    for documents in [first, last] {
        several(cluster, &documents, &mut proof);
    }
    proof.impossible.sort();
    proof.wrong.sort();
    proof
}

fn several(cluster: &Cluster, documents: &[&Document], proof: &mut Proof) {
    let every = every();
    thread::scope(|scope| {
        let run = |thread: u64| {
            let mut proof = Proof::default();
            for document in documents {
                let number = number_of(document);
                if number % THREADS == thread {
                    let whole = (number / THREADS).is_multiple_of(every);
                    proof.add(Case::new(cluster, document, whole).judge());
                }
            }
            proof
        };
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || run(thread))).collect();
        for thread in threads {
            proof.add(thread.join().unwrap());
        }
    });
}

/// The same for those that cannot be at the same time.
fn number_of(document: &Document) -> u64 {
    let mut hasher = DefaultHasher::new();
    document.identity().hash(&mut hasher);
    hasher.finish()
}

struct Case<'a> {
    cluster: &'a Cluster,
    master: &'a Master,
    document: &'a Document,
    /// With dry runs, and with a label too many.
    whole: bool,
    proof: Proof,
}

/// A request with a body.
#[derive(Clone, Copy)]
struct Request<'a> {
    method: &'a str,
    path: &'a str,
    media_type: &'a str,
    body: &'a str,
}

impl<'a> Case<'a> {
    fn new(cluster: &'a Cluster, document: &'a Document, whole: bool) -> Self {
        let master = cluster.master(&document.config_map);
        Self { cluster, master, document, whole, proof: Proof::default() }
    }

    fn judge(mut self) -> Proof {
        let Document { text, object, .. } = self.document;
        let all = self.document.collection();
        self.way("created", Request { method: "POST", path: &all, media_type: YAML, body: text });
        if let Some(name) = self.document.called() {
            let path = format!("{all}/{name}?fieldManager=test");
            self.way("applied", Request { method: "PATCH", path: &path, media_type: APPLY, body: text });
            let body = last_applied(self.document).to_string();
            let request = Request { method: "POST", path: &all, media_type: "application/json", body: &body };
            self.way("applied by the client", request);
        }
        if self.whole {
            let stray = with_label(object).to_string();
            self.stray("created", Request { method: "POST", path: &all, media_type: YAML, body: &stray });
            if let Some(name) = self.document.called() {
                let path = format!("{all}/{name}?fieldManager=test");
                self.stray("applied", Request { method: "PATCH", path: &path, media_type: APPLY, body: &stray });
            }
        }
        self.proof.manifests = 1;
        self.proof.admitted = usize::from(self.proof.wrong.is_empty());
        self.proof
    }

    fn send(&self, by: &controlplane::Asker, request: Request<'_>, dry: bool) -> Reply {
        let Request { method, path, media_type, body } = request;
        let sign = if path.contains('?') { '&' } else { '?' };
        let path = if dry { format!("{path}{sign}dryRun=All") } else { path.to_owned() };
        by.send_text(method, &path, media_type, body).unwrap()
    }

    /// With dry run, if all is tried; then for good; then put back as it is read, which is no change; then deleted.
    fn way(&mut self, what: &str, request: Request<'_>) {
        if self.whole {
            let dry = self.send(&self.master.api, request, true);
            if !dry.success() {
                self.refused(&format!("{what}, dry run"), &dry, |case| case.send(&case.cluster.admin(), request, true));
                return;
            }
            self.proof.ways += 1;
        }
        let real = self.send(&self.master.api, request, false);
        if !real.success() {
            self.refused(what, &real, |case| case.send(&case.cluster.admin(), request, false));
            return;
        }
        self.proof.ways += 1;
        let made = real.body["metadata"]["name"].as_str().unwrap_or_default();
        let path = format!("{}/{made}", self.document.collection());
        let stored = self.cluster.admin().get(&path).unwrap().body;
        self.stamped(what, &stored);
        let body = stored.to_string();
        let put = Request { method: "PUT", path: &path, media_type: "application/json", body: &body };
        let reply = self.send(&self.master.api, put, false);
        if reply.success() {
            self.proof.ways += 1;
        } else {
            self.refused(&format!("{what}, put back"), &reply, |case| case.send(&case.cluster.admin(), put, true));
        }
        cluster::remove(&self.cluster.admin(), &path);
    }

    /// Not admitted: wrong, unless the API server answers an admin no better.
    fn refused(&mut self, what: &str, reply: &Reply, admin: impl Fn(&Self) -> Reply) {
        let line = format!("{}, {what}: {} {}", self.document.name, reply.code, reply.message());
        let by_retinue = reply.message().contains("retinue");
        if !by_retinue && !admin(self).success() {
            self.proof.impossible.push(line);
        } else {
            self.proof.wrong.push(line);
        }
    }

    /// The stamp names the template that was the manifest, not one like it.
    fn stamped(&mut self, what: &str, stored: &Value) {
        let record = stored["metadata"]["annotations"]["fledged.io/admission"].as_str().unwrap_or("{}");
        let record: Value = serde_json::from_str(record).unwrap();
        let template = &record["template"];
        if !template.to_string().contains(&format!("\"{}\"", self.document.config_map)) {
            self.proof.wrong.push(format!("{}, {what}: its stamp is {record}", self.document.name));
        }
    }

    /// With a label that the manifest has not: refused by retinue, naming it.
    fn stray(&mut self, what: &str, request: Request<'_>) {
        let reply = self.send(&self.master.api, request, true);
        let message = reply.message();
        let refused = !reply.success() && message.contains("retinue") && message.contains("stray");
        if refused {
            self.proof.strays += 1;
        } else if reply.success() || message.contains("retinue") {
            let line = format!("{}, {what} with a stray label: {} {message}", self.document.name, reply.code);
            self.proof.wrong.push(line);
        } else {
            self.refused(&format!("{what} with a stray label"), &reply, |case| {
                case.send(&case.cluster.admin(), request, true)
            });
        }
    }
}

/// As `kubectl apply` creates it: the manifest in the annotation, and without its nulls.
fn last_applied(document: &Document) -> Value {
    let mut whole = document.object.clone();
    whole["metadata"]["namespace"] = json!(document.namespace());
    match whole["metadata"]["annotations"].as_object_mut() {
        // One that is there already is of an earlier apply.
        Some(annotations) => drop(annotations.remove(LAST_APPLIED)),
        None => whole["metadata"]["annotations"] = json!({}),
    }
    let text = format!("{whole}\n");
    without_nulls(&mut whole);
    whole["metadata"]["annotations"][LAST_APPLIED] = json!(text);
    whole
}

fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(without_nulls);
        }
        Value::Array(elements) => elements.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

fn with_label(object: &Value) -> Value {
    let mut object = object.clone();
    if !object["metadata"]["labels"].is_object() {
        object["metadata"]["labels"] = json!({});
    }
    object["metadata"]["labels"]["stray"] = json!("x");
    object
}

/// It says `labels: null`, and applied again kubectl therefore takes all labels away, the stamp among them: refused.
const AGAIN_TAKES_THE_STAMP: [&str; 1] = ["Pod trading/empty-nulls"];

/// How many kubectl may be unable to apply again.
const AGAIN_AT_MOST: usize = 6;

/// All of them by kubectl itself, twice: the second time it finds nothing to change, or what the API server completed.
pub(crate) fn kubectl(cluster: &Cluster, documents: &[Document], proof: &mut Proof) {
    let named: Vec<&Document> = documents.iter().filter(|document| document.called().is_some()).collect();
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    let texts: Vec<&str> = named.iter().map(|document| document.text.as_str()).collect();
    std::fs::write(file.path(), texts.join("\n---\n")).unwrap();
    let path = file.path().display().to_string();
    let kubectl = &cluster.installation.cluster;
    let kubeconfig = &cluster.master_of_all().kubeconfig;
    // A namespace given by -n would have to be every document's.
    let settle = ["config", "set-context", "--current", "--namespace", crate::document::NAMESPACE];
    kubectl.kubectl_as(kubeconfig, &settle).unwrap().ok().unwrap();
    let apply = || kubectl.kubectl_as(kubeconfig, &["apply", "-f", &path]).unwrap();
    let done = |output: &Output, words: &[&str]| {
        output.stdout.lines().filter(|line| words.iter().any(|word| line.ends_with(word))).count()
    };
    let mut first = apply();
    let mut created = done(&first, &["created"]);
    // An address of a Service that was deleted a moment ago may not be free again yet.
    let since = std::time::Instant::now();
    while first.stderr.contains("provided IP is already allocated") && since.elapsed().as_secs() < 60 {
        first = apply();
        created += done(&first, &["created"]);
    }
    proof.ways += created;
    if created != named.len() {
        proof.wrong.push(format!("by kubectl apply: {created} of {}; it says: {}", named.len(), first.stderr));
    }
    let again = apply();
    let unchanged = done(&again, &["unchanged", "configured"]);
    proof.ways += unchanged;
    let refused: Vec<&str> = again
        .stderr
        .split("retinue refuses to change ")
        .skip(1)
        .filter_map(|rest| rest.split_once(':').map(|(what, _)| what))
        .collect();
    println!("by kubectl apply again: {unchanged} of {}; the others: {}", named.len(), again.stderr);
    if refused != AGAIN_TAKES_THE_STAMP {
        proof.wrong.push(format!("by kubectl apply again, refused {refused:?}; it says: {}", again.stderr));
    }
    // Of some the API server cannot apply twice what it has completed, and tells an admin the same.
    if named.len() - unchanged > AGAIN_AT_MOST {
        proof.wrong.push(format!("by kubectl apply again: {unchanged} of {}; it says: {}", named.len(), again.stderr));
    }
}
