//! What is installed: configurations, policies, rights, workloads, each held against what this version installs.

use std::collections::BTreeMap;

use futures::{StreamExt as _, stream};
use policies::doctor::installed;
use policies::doctor::{Area, Finding, Severity};
use serde_json::{Value, json};

use super::ask::{AT_ONCE, Asker, NoAnswer};
use crate::deploy::{self, CONFIGURATION, FailurePolicy, Floor, LINT_CONFIGURATION, Reach, Values};

/// The three webhook configurations, kind and name.
pub(super) const CONFIGURATIONS: [(&str, &str); 3] = [
    ("MutatingWebhookConfiguration", CONFIGURATION),
    ("ValidatingWebhookConfiguration", CONFIGURATION),
    ("ValidatingWebhookConfiguration", LINT_CONFIGURATION),
];

/// Objects of the installation as they are: expected, and what was found.
pub(super) struct Installation {
    pub(super) values: Values,
    objects: Vec<(Value, Result<Option<Value>, NoAnswer>)>,
}

/// How it is put right.
pub(super) const APPLY: &str = "retinue install ... | kubectl apply --server-side -f -";

impl Installation {
    /// Finds out how retinue is installed, and reads all of it.
    pub(super) async fn look(asker: &Asker, namespace: Option<&str>, floor: Floor) -> Self {
        let path = format!("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{CONFIGURATION}");
        let found = asker.get(&path).await.ok().flatten().unwrap_or_default();
        let client = &found["webhooks"][0]["clientConfig"];
        let served = client["service"]["namespace"].as_str();
        let values = Values {
            namespace: namespace.or(served).map_or_else(|| Values::default().namespace, str::to_owned),
            reach: match client["url"].as_str() {
                Some(url) => Reach::Url(url.trim_end_matches("/mutate").to_owned()),
                None => Reach::Service,
            },
            failure_policy: FailurePolicy::Fail,
            floor,
            ..Values::default()
        };
        let objects = stream::iter(deploy::render(&values))
            .map(|object| async move {
                let found = asker.get(&path_of(&object)).await;
                (object, found)
            })
            .buffered(AT_ONCE)
            .collect()
            .await;
        Self { values, objects }
    }

    /// A webhook configuration as it is there.
    pub(super) fn configuration(&self, kind: &str, name: &str) -> Option<&Value> {
        self.found(kind, name)
    }

    /// An object of the installation as it is there.
    pub(super) fn found(&self, kind: &str, name: &str) -> Option<&Value> {
        let (_, found) =
            self.objects.iter().find(|(object, _)| object["kind"] == kind && object["metadata"]["name"] == name)?;
        found.as_ref().ok()?.as_ref()
    }

    /// What is wrong in one area, and how many objects were looked at.
    pub(super) fn examine(&self, area: Area) -> (usize, Vec<Finding>) {
        let mut findings = Vec::new();
        // One right that is missing keeps from reading many objects of a kind.
        let mut unread: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        let mut looked = 0;
        for (object, found) in self.objects.iter().filter(|(object, _)| area_of(object) == area) {
            looked += 1;
            let about = about(object);
            match found {
                Err(error) => {
                    let kind = object["kind"].as_str().unwrap_or_default();
                    *unread.entry((kind, error.message.as_str())).or_default() += 1;
                }
                Ok(found) if area == Area::Answers => findings.extend(running(object, found.as_ref())),
                Ok(found) => {
                    findings.extend(installed::judge(area, &about, object, found.as_ref(), APPLY));
                    findings.extend(type_warnings(&about, found.as_ref()));
                }
            }
        }
        findings.extend(unread.into_iter().map(|((kind, message), number)| {
            let about = format!("{number} of kind {kind}");
            Finding::new(
                Severity::Unknown,
                area,
                about,
                format!("could not be read: {message}"),
                "run the doctor as an admin",
            )
        }));
        (looked, findings)
    }

    /// Whether the configurations that judge masters send the API server to the same server as the one that lints, which
    /// is the one that was asked whether it answers.
    pub(super) fn same_server(&self) -> Option<Finding> {
        let client = |webhook: &Value| {
            let client = &webhook["clientConfig"];
            let url = client["url"].as_str().and_then(|url| url.rsplit_once('/')).map(|(server, _)| server);
            json!([
                url,
                client["service"]["namespace"],
                client["service"]["name"],
                client["service"]["port"],
                client["caBundle"]
            ])
        };
        let found = CONFIGURATIONS.into_iter().filter_map(|(kind, name)| self.configuration(kind, name));
        let webhooks = found.filter_map(|configuration| configuration["webhooks"].as_array()).flatten();
        let clients: Vec<Value> = webhooks.map(client).collect();
        let (last, others) = clients.split_last()?;
        (!others.iter().all(|other| other == last)).then(|| {
            Finding::new(
                Severity::Problem,
                Area::Webhooks,
                "the webhook configurations",
                "differ in where the webhook is or in whom they trust (clientConfig)",
                APPLY,
            )
        })
    }
}

/// A Deployment that has too few pods, or something that is not there.
fn running(object: &Value, found: Option<&Value>) -> Option<Finding> {
    let told = |severity, message: String, fix: String| {
        Some(Finding::new(severity, Area::Answers, about(object), message, fix))
    };
    let Some(found) = found else { return told(Severity::Problem, "is missing".into(), APPLY.into()) };
    if object["kind"] != "Deployment" {
        return None;
    }
    let (namespace, name) = (object["metadata"]["namespace"].as_str()?, object["metadata"]["name"].as_str()?);
    let wanted = found["spec"]["replicas"].as_u64().unwrap_or(1);
    let available = found["status"]["availableReplicas"].as_u64().unwrap_or(0);
    let fix = format!("kubectl describe deployment -n {namespace} {name}");
    match available {
        0 if name == deploy::WEBHOOK => {
            told(Severity::Problem, format!("none of its {wanted} pods is available: every master is refused"), fix)
        }
        0 => told(
            Severity::Problem,
            format!("none of its {wanted} pods is available: nothing is deleted at its deadline"),
            fix,
        ),
        some if some < wanted => told(Severity::Warning, format!("{some} of its {wanted} pods are available"), fix),
        _ => None,
    }
}

/// What the API server's own check of a policy's types says.
fn type_warnings(about: &str, found: Option<&Value>) -> Option<Finding> {
    let warning = found?.pointer("/status/typeChecking/expressionWarnings/0/warning")?.as_str()?;
    let line = warning.lines().next().unwrap_or_default();
    Some(Finding::new(
        Severity::Warning,
        Area::Floor,
        about,
        format!("its expressions do not fit this server: {line}"),
        APPLY,
    ))
}

fn area_of(object: &Value) -> Area {
    match object["kind"].as_str().unwrap_or_default() {
        "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => Area::Webhooks,
        kind if kind.contains("AdmissionPolicy") => Area::Floor,
        "ServiceAccount" | "ClusterRole" | "ClusterRoleBinding" | "Role" | "RoleBinding" => Area::Rights,
        _ => Area::Answers,
    }
}

fn about(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}

/// The path of an object of the installation.
fn path_of(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (version, resource) = (text(&object["apiVersion"]), deploy::resource(&text(&object["kind"])));
    let root = if version.contains('/') { "apis" } else { "api" };
    let name = text(&object["metadata"]["name"]);
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("/{root}/{version}/namespaces/{namespace}/{resource}/{name}"),
        None => format!("/{root}/{version}/{resource}/{name}"),
    }
}
