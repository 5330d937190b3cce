//! What the tests share: the installation, cases that are all judged before any fails, ways to send an object.

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use controlplane::Reply;
use policies::object::Gvk;
use policies::{tables, yaml};
use serde_json::{Value, json};
use story::{Installation, Master};

/// The binary under test.
pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_retinue"))
}

/// Kinds that templates of these tests make, and that the collector may not delete by what is installed.
const COLLECTED_TOO: [(&str, &[&str]); 7] = [
    ("", &["limitranges", "podtemplates", "resourcequotas"]),
    ("discovery.k8s.io", &["endpointslices"]),
    ("resource.k8s.io", &["resourceclaims"]),
    ("example.com", &["widgets"]),
    ("story.example", &["bares", "fulls"]),
    ("versions.story.example", &["gauges"]),
    ("large.story.example", &["gauges"]),
];

/// The installation that tests share; nobody stops it.
pub(crate) fn shared() -> &'static Installation {
    static SHARED: OnceLock<Installation> = OnceLock::new();
    SHARED.get_or_init(|| {
        let installation = Installation::start(binary()).unwrap();
        installation.collects(&COLLECTED_TOO).unwrap();
        installation
    })
}

/// A namespace that no other test has.
pub(crate) fn namespace(what: &str) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    format!("{what}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The master of the story in a namespace of its own.
pub(crate) fn master(what: &str) -> Master {
    shared().deployed(&namespace(what)).unwrap()
}

/// Cases: each is judged, and all that went wrong is told at once.
#[derive(Debug, Default)]
pub(crate) struct Cases {
    wrong: Vec<String>,
    count: usize,
}

impl Cases {
    pub(crate) fn holds(&mut self, case: &str, holds: bool, otherwise: impl std::fmt::Display) {
        self.count += 1;
        if !holds {
            self.wrong.push(format!("{case}: {otherwise}"));
        }
    }

    pub(crate) fn admitted(&mut self, case: &str, reply: &Reply) {
        self.holds(case, reply.success(), format!("expected success, got {} {}", reply.code, reply.message()));
    }

    /// Refused by retinue in the mutating phase, with these words in the message.
    pub(crate) fn refused(&mut self, case: &str, reply: &Reply, words: &[&str]) {
        self.refused_by("mutate.retinue.fledged.io", case, reply, words);
    }

    /// Refused by this webhook, or whatever else says its name, with these words.
    pub(crate) fn refused_by(&mut self, who: &str, case: &str, reply: &Reply, words: &[&str]) {
        let message = reply.message();
        let missing: Vec<&&str> = words.iter().chain([&who]).filter(|word| !message.contains(**word)).collect();
        let refused = !reply.success() && missing.is_empty();
        self.holds(case, refused, format!("expected a refusal with {missing:?}, got {} {message}", reply.code));
    }

    pub(crate) fn finish(self) {
        println!("{} cases", self.count);
        assert!(self.count > 0);
        assert!(self.wrong.is_empty(), "{} of {}:\n{}", self.wrong.len(), self.count, self.wrong.join("\n"));
    }
}

/// An object from YAML.
pub(crate) fn object(text: &str) -> Value {
    yaml::value(text).unwrap()
}

/// The collection that an object belongs to, in `namespace`.
pub(crate) fn collection(namespace: &str, object: &Value) -> String {
    let api_version = object["apiVersion"].as_str().unwrap();
    let kind = Gvk::from_api_version(api_version, object["kind"].as_str().unwrap());
    let group = if api_version == "v1" { "api/v1".to_owned() } else { format!("apis/{api_version}") };
    let plural = tables::plural(&kind).map_or_else(|| format!("{}s", kind.kind.to_lowercase()), str::to_owned);
    format!("/{group}/namespaces/{namespace}/{plural}")
}

/// How an object is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// POST.
    Post,
    /// POST, named by the API server.
    Generated,
    /// PUT, where nothing is yet.
    Put,
    /// Server-side apply.
    Apply,
    /// POST with the annotation of `kubectl apply`.
    LastApplied,
}

impl Way {
    pub(crate) const ALL: [Self; 5] = [Self::Post, Self::Generated, Self::Put, Self::Apply, Self::LastApplied];
}

/// Sends `object` as new, with this query (`?dryRun=All` or nothing).
pub(crate) fn send(master: &Master, way: Way, object: &Value, query: &str) -> Reply {
    let all = collection(&master.namespace, object);
    let one = || format!("{all}/{}{query}", object["metadata"]["name"].as_str().unwrap());
    let new = format!("{all}{query}");
    match way {
        Way::Post => master.api.post(&new, object),
        Way::Generated => master.api.post(&new, &generated(object)),
        Way::Put => master.api.put(&one(), object),
        Way::Apply => master.api.apply(&one(), object),
        Way::LastApplied => {
            let mut whole = object.clone();
            whole["metadata"]["namespace"] = json!(master.namespace);
            if !whole["metadata"]["annotations"].is_object() {
                whole["metadata"]["annotations"] = json!({});
            }
            let text = format!("{whole}\n");
            whole["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = json!(text);
            master.api.post(&new, &whole)
        }
    }
    .unwrap()
}

/// The object with a generateName in place of its name.
pub(crate) fn generated(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(name) = object["metadata"].as_object_mut().unwrap().remove("name") {
        object["metadata"]["generateName"] = json!(format!("{}-", name.as_str().unwrap()));
    }
    object
}

/// The object with a value put at a JSON pointer (`/spec/template/metadata/labels/x~1y`); `-` appends; maps are made.
pub(crate) fn with(object: &Value, pointer: &str, value: Value) -> Value {
    fn put(place: &mut Value, steps: &[String], value: Value) {
        let Some((step, rest)) = steps.split_first() else {
            *place = value;
            return;
        };
        if let Value::Array(list) = place {
            let index = if step == "-" { list.len() } else { step.parse().unwrap() };
            if index == list.len() {
                list.push(Value::Null);
            }
            return put(&mut list[index], rest, value);
        }
        if !place.is_object() {
            *place = if step == "-" { json!([]) } else { json!({}) };
            return put(place, steps, value);
        }
        put(&mut place[step.as_str()], rest, value);
    }
    let mut object = object.clone();
    let steps: Vec<String> =
        pointer.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~")).collect();
    put(&mut object, &steps, value);
    object
}

/// What is stored, as the admin sees it; none if there is nothing.
pub(crate) fn stored(installation: &Installation, path: &str) -> Option<Value> {
    let reply = installation.cluster.asker().get(path).unwrap();
    reply.success().then_some(reply.body)
}

/// The admission record of an object.
pub(crate) fn record(object: &Value) -> Value {
    let text = object["metadata"]["annotations"]["fledged.io/admission"].as_str();
    text.map_or(Value::Null, |text| serde_json::from_str(text).unwrap())
}

/// Looks until `found` gives something. Each look asks the API server, so this is no busy loop; an answer that never
/// comes is an error after some seconds.
pub(crate) fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let start = std::time::Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(start.elapsed().as_secs() < 60, "{what} did not come");
    }
}

/// Puts this in the ConfigMap `credentials`, which the master of the story asks for too, and waits until `probe`, which
/// it describes, is admitted.
pub(crate) fn retemplate(master: &Master, annotations: &Value, data: &Value, probe: &Value) {
    let config_map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": data,
        "metadata": {"name": "credentials", "namespace": master.namespace, "annotations": annotations,
                     "labels": {"fledged.io/templates": "true"}},
    });
    shared().cluster.apply(&config_map.to_string()).unwrap();
    until("the new template is known", || Some(send(master, Way::Post, probe, "?dryRun=All")).filter(Reply::success));
}

/// Lets the account of the master do everything with these API groups in its namespace, as far as RBAC goes.
pub(crate) fn may(master: &Master, name: &str, groups: &[&str]) {
    let ns = &master.namespace;
    let rbac = "rbac.authorization.k8s.io";
    let role = json!({
        "apiVersion": format!("{rbac}/v1"), "kind": "Role", "metadata": {"name": name, "namespace": ns},
        "rules": [{"apiGroups": groups, "resources": ["*"], "verbs": ["get", "list", "create", "update", "patch", "delete"]}],
    });
    let binding = json!({
        "apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding", "metadata": {"name": name, "namespace": ns},
        "roleRef": {"apiGroup": rbac, "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": "eod", "namespace": ns}],
    });
    shared().cluster.apply(&format!("{role}\n---\n{binding}")).unwrap();
}
