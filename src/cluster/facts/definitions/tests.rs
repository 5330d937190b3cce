#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]

use std::sync::Mutex;

use http::{Request, Response};
use kube::client::Body;
use policies::library::{Library, TemplateSet};
use serde_json::{Value, json};

use super::*;

/// An API server with at most one CustomResourceDefinition; it ends each watch at once.
struct Server {
    definition: Mutex<Option<Value>>,
    served: Mutex<Result<Vec<&'static str>, u16>>,
    asked: Mutex<Vec<String>>,
}

impl Server {
    fn with(served: &[&'static str], definition: Option<Value>) -> Arc<Self> {
        Arc::new(Self {
            definition: Mutex::new(definition),
            served: Mutex::new(Ok(served.to_vec())),
            asked: Mutex::default(),
        })
    }

    fn answer(&self, path: &str) -> (u16, Value) {
        self.asked.lock().unwrap().push(path.to_owned());
        if path.contains("watch=true") {
            return (200, Value::String(String::new()));
        }
        if path.contains("customresourcedefinitions") {
            let items: Vec<Value> = self.definition.lock().unwrap().iter().cloned().collect();
            let asked = self.asked.lock().unwrap().len();
            return (200, json!({"metadata": {"resourceVersion": asked.to_string()}, "items": items}));
        }
        let version = path.rsplit('/').next().unwrap();
        match &*self.served.lock().unwrap() {
            Ok(versions) if versions.contains(&version) => {
                (200, json!({"resources": [{"name": "widgets", "kind": "Widget", "verbs": []}]}))
            }
            Ok(_) => (404, json!({"kind": "Status", "status": "Failure", "code": 404, "message": "none"})),
            Err(code) => (*code, json!({"kind": "Status", "status": "Failure", "code": code, "message": "on fire"})),
        }
    }

    fn client(self: &Arc<Self>) -> Client {
        let server = Arc::clone(self);
        let service = tower::service_fn(move |request: Request<Body>| {
            let (code, body) = server.answer(request.uri().path_and_query().unwrap().as_str());
            let text = if body.is_string() { String::new() } else { body.to_string() };
            let answer = Response::builder().status(code).body(Body::from(text.into_bytes())).unwrap();
            async { Ok::<_, std::convert::Infallible>(answer) }
        });
        Client::new(service, "default")
    }
}

fn definition(schema: &Value, versions: &[&str]) -> Value {
    let version = |name: &&str| json!({"name": name, "schema": {"openAPIV3Schema": schema}});
    json!({
        "metadata": {"name": "widgets.example.com", "resourceVersion": "1"},
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"kind": "Widget", "plural": "widgets"},
            "versions": versions.iter().map(version).collect::<Vec<_>>(),
        },
    })
}

fn plain() -> Value {
    definition(&json!({"type": "object"}), &["v1", "v2"])
}

fn widget(version: &str) -> Gvk {
    Gvk::new("example.com", version, "Widget")
}

/// Templates of these kinds.
fn templates(kinds: &[Gvk]) -> Arc<Templates> {
    let data: serde_json::Map<String, Value> = kinds
        .iter()
        .enumerate()
        .map(|(number, kind)| {
            let manifest =
                json!({"apiVersion": kind.api_version(), "kind": kind.kind, "metadata": {"name": format!("it-{number}")}});
            (format!("{number}.yaml"), manifest.to_string().into())
        })
        .collect();
    let config_map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": data,
        "metadata": {"name": "t", "namespace": "trading", "labels": {"fledged.io/templates": "true"}},
    });
    let library: Library = [Arc::new(TemplateSet::load(&config_map))].into_iter().collect();
    Arc::new(Templates::still(library, Instant::now()))
}

/// What is heard, in order, by what is running until it is dropped.
struct Running {
    definitions: Arc<Definitions>,
    heard: Arc<Mutex<Vec<Defined>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn running(server: &Arc<Server>, kinds: &[Gvk]) -> Running {
    let definitions = Arc::new(Definitions::new(false));
    let heard: Arc<Mutex<Vec<Defined>>> = Arc::default();
    let keep = Arc::clone(&heard);
    let hear: Heard = Arc::new(move |defined| keep.lock().unwrap().push(defined));
    let task = tokio::spawn(Arc::clone(&definitions).run(server.client(), templates(kinds), hear));
    Running { definitions, heard, task }
}

impl Running {
    fn is_defined(&self) -> bool {
        matches!(self.heard.lock().unwrap().last(), Some(Defined::As(name, _)) if name == "widgets.example.com")
    }
}

#[tokio::test]
async fn a_definition_is_read_by_its_name_alone_and_before_a_request_is_judged() {
    let server = Server::with(&["v1"], Some(plain()));
    let running = running(&server, &[widget("v1")]);
    assert_eq!(running.definitions.wait(&widget("v1")).await, Ok(()));
    assert!(running.is_defined());
    for asked in server.asked.lock().unwrap().iter().filter(|asked| asked.contains("customresourcedefinitions")) {
        assert!(asked.contains("fieldSelector=metadata.name%3Dwidgets.example.com"), "{asked}");
    }
    assert_eq!(running.definitions.wait(&Gvk::new("batch", "v1", "Job")).await, Ok(()), "it is built in");
}

#[tokio::test]
async fn a_kind_that_is_not_served_is_asked_for_again_when_somebody_creates_one() {
    let server = Server::with(&[], None);
    let running = running(&server, &[widget("v1")]);
    assert_eq!(running.definitions.wait(&widget("v1")).await, Ok(()), "there is no definition to judge by");
    assert!(running.heard.lock().unwrap().is_empty());
    *server.definition.lock().unwrap() = Some(plain());
    *server.served.lock().unwrap() = Ok(vec!["v1"]);
    assert_eq!(running.definitions.wait(&widget("v1")).await, Ok(()));
    assert!(running.is_defined(), "whoever creates one is never judged by what was there before");
}

#[tokio::test]
async fn a_definition_that_is_gone_is_forgotten_and_looked_for_again() {
    let server = Server::with(&["v1"], Some(plain()));
    let running = running(&server, &[widget("v1")]);
    running.definitions.wait(&widget("v1")).await.unwrap();
    *server.served.lock().unwrap() = Ok(vec![]);
    *server.definition.lock().unwrap() = None;
    let mut changes = running.definitions.kinds.subscribe();
    let undefined =
        |kinds: &BTreeMap<GroupKind, Kind>| kinds.values().all(|kind| matches!(kind.found, Some(Found::Undefined)));
    tokio::time::timeout(Duration::from_secs(20), changes.wait_for(undefined)).await.unwrap().unwrap();
    assert!(matches!(running.heard.lock().unwrap().last(), Some(Defined::Gone(name)) if name == "widgets.example.com"));
}

#[tokio::test]
async fn a_kind_that_is_served_without_a_definition_is_judged_without_one() {
    let server = Server::with(&["v1"], None);
    let running = running(&server, &[widget("v1")]);
    assert_eq!(running.definitions.wait(&widget("v1")).await, Ok(()));
    // It may be defined by now, under whatever name: it is looked up each time.
    *server.definition.lock().unwrap() = Some(plain());
    assert_eq!(running.definitions.wait(&widget("v1")).await, Ok(()));
    assert!(running.is_defined());
}

#[tokio::test]
async fn threat_18_a_definition_that_cannot_be_looked_up_is_a_refusal_with_its_reason() {
    let server = Server::with(&["v1"], Some(plain()));
    *server.served.lock().unwrap() = Err(500);
    let running = running(&server, &[widget("v1")]);
    let reason = running.definitions.wait(&widget("v1")).await.unwrap_err().to_string();
    for part in ["the CustomResourceDefinition of example.com/v1 Widget", "not been read yet", "try again in a moment"]
    {
        assert!(reason.contains(part), "{reason}");
    }
    assert_eq!(running.definitions.settling(&[widget("v1")]), None, "readiness does not wait for what failed");
}

#[tokio::test]
async fn threat_54_a_definition_beyond_what_is_kept_is_its_own_kinds_trouble() {
    let mut deep = json!(1);
    for _ in 0..40 {
        deep = json!([deep]);
    }
    let crd = definition(&json!({"type": "object", "default": deep}), &["v1", "v2"]);
    let server = Server::with(&["v1"], Some(crd));
    let running = running(&server, &[widget("v1")]);
    let reason = running.definitions.wait(&widget("v1")).await.unwrap_err().to_string();
    for part in ["widgets.example.com", "version v1", "levels deep", "write a flatter one"] {
        assert!(reason.contains(part), "{reason}");
    }
    assert_eq!(running.definitions.settling(&[widget("v1")]), None);
    assert_eq!(running.definitions.wait(&Gvk::new("", "v1", "Pod")).await, Ok(()));
}

#[tokio::test]
async fn a_version_that_no_template_names_is_not_kept() {
    let server = Server::with(&["v1", "v2"], Some(plain()));
    let running = running(&server, &[widget("v2")]);
    running.definitions.wait(&widget("v2")).await.unwrap();
    let heard = running.heard.lock().unwrap();
    let Some(Defined::As(_, definition)) = heard.last() else { unreachable!("{heard:?}") };
    let mut facts = policies::tables::Facts::new(policies::tables::Completeness::Cluster);
    facts.define("widgets.example.com", Arc::new(definition.clone()));
    let status = |version: &str| policies::tables::has_status(&widget(version), &facts);
    assert_eq!((status("v1"), status("v2")), (None, Some(false)));
}
