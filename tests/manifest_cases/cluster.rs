//! A control plane without controllers, where what is made stays as it is, with retinue's webhook and one master per
//! template ConfigMap.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use controlplane::{Asker, Options};
use policies::library::TemplateSet;
use serde_json::{Value, json};
use story::{Installation, Master};

use crate::document::{Document, NAMESPACE};

/// Service addresses of both families.
const DUAL_STACK: &str = "--service-cluster-ip-range=10.96.0.0/16,fd00:10:96::/112";

/// Names of ConfigMaps, each with its keys and texts.
pub(crate) type ConfigMaps = BTreeMap<String, Vec<(String, String)>>;

/// The one master that may use every ConfigMap.
const ALL: &str = "all-of-them";

/// A cluster with what manifests need, and no master yet.
pub(crate) struct Ground {
    installation: Installation,
}

impl Ground {
    pub(crate) fn start(around: &Path, documents: &[Document]) -> Self {
        let plane = Options::api_only().apiserver_flag(DUAL_STACK).start().unwrap();
        let binary = Path::new(env!("CARGO_BIN_EXE_retinue"));
        let installation = Installation::installed(plane, binary, &[]).unwrap();
        // Manifests of every kind are templates here.
        installation.collects(&[("*", &["*"])]).unwrap();
        surround(&installation, around, documents);
        Self { installation }
    }

    pub(crate) fn admin(&self) -> Asker {
        self.installation.cluster.asker()
    }
}

pub(crate) struct Cluster {
    pub(crate) installation: Installation,
    masters: BTreeMap<String, Master>,
}

impl Cluster {
    /// Everything is there before the webhook starts, so that it knows it once it is ready.
    pub(crate) fn on(ground: Ground, config_maps: ConfigMaps) -> Self {
        let Ground { installation } = ground;
        for (name, texts) in &config_maps {
            template(&installation, name, texts);
        }
        installation.cluster.apply(&account()).unwrap();
        let every: Vec<&str> = config_maps.keys().map(String::as_str).collect();
        let mut pods: Vec<(&str, String)> = every.iter().map(|name| (*name, (*name).to_owned())).collect();
        pods.push((ALL, every.join(", ")));
        let mut masters = BTreeMap::new();
        for (name, uses) in pods {
            let pod = json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": name, "annotations": {"fledged.io/manifests": uses}},
                "spec": {"serviceAccountName": "eod", "containers": [{"name": "main", "image": "eod:1"}]},
            });
            made(&installation, &format!("/api/v1/namespaces/{NAMESPACE}/pods"), &pod);
            masters.insert(name.to_owned(), installation.of_pod(NAMESPACE, name).unwrap());
        }
        installation.start_webhook().unwrap();
        Self { installation, masters }
    }

    pub(crate) fn admin(&self) -> Asker {
        self.installation.cluster.asker()
    }

    /// The master that may use this ConfigMap alone.
    pub(crate) fn master(&self, config_map: &str) -> &Master {
        &self.masters[config_map]
    }

    /// The master that may use every one.
    pub(crate) fn master_of_all(&self) -> &Master {
        &self.masters[ALL]
    }
}

fn made(installation: &Installation, path: &str, object: &Value) {
    let reply = installation.cluster.asker().post(path, object).unwrap();
    assert!(reply.success() || reply.code == 409, "{path}: {}", reply.message());
}

/// Namespaces that manifests name, accounts that their pods run under, and what the folder says.
fn surround(installation: &Installation, around: &Path, documents: &[Document]) {
    let namespaces: BTreeSet<&str> = documents.iter().map(Document::namespace).chain([NAMESPACE]).collect();
    for namespace in namespaces {
        installation.cluster.namespace_named(namespace).unwrap();
    }
    // A pod's account must be there, a pod template's need not.
    for document in documents.iter().filter(|document| document.kind().kind == "Pod") {
        let spec = &document.object["spec"];
        if let Some(account) = spec["serviceAccountName"].as_str().filter(|account| !account.is_empty()) {
            installation.cluster.service_account(document.namespace(), account).unwrap();
        }
    }
    for file in ["namespaces.yaml", "classes.yaml", "definitions.yaml"] {
        let text = fs::read_to_string(around.join(file)).unwrap();
        installation.cluster.apply(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
    }
    let established = ["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"];
    installation.cluster.kubectl(&established).unwrap().ok().unwrap();
}

/// One template ConfigMap, which must be whole.
fn template(installation: &Installation, name: &str, texts: &[(String, String)]) {
    let data: serde_json::Map<String, Value> = texts.iter().map(|(key, text)| (key.clone(), json!(text))).collect();
    let config_map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": data,
        "metadata": {
            "name": name, "namespace": NAMESPACE, "labels": {"fledged.io/templates": "true"},
            "annotations": {"fledged.io/duration": "1h", "fledged.io/masters": "eod"},
        },
    });
    let set = TemplateSet::load(&config_map);
    let errors: Vec<_> = set.errors().collect();
    assert!(errors.is_empty(), "ConfigMap {name}: {errors:#?}");
    made(installation, &format!("/api/v1/namespaces/{NAMESPACE}/configmaps"), &config_map);
}

/// The account of all masters: it may launch, and RBAC lets it write everything everywhere.
fn account() -> String {
    format!(
        r#"apiVersion: v1
kind: ServiceAccount
metadata: {{name: eod, namespace: {NAMESPACE}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: eod-launch, namespace: {NAMESPACE}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: retinue-launch}}
subjects: [{{kind: ServiceAccount, name: eod, namespace: {NAMESPACE}}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: eod-everything}}
rules: [{{apiGroups: ["*"], resources: ["*"], verbs: [get, list, watch, create, update, patch, delete]}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: eod-everything}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: eod-everything}}
subjects: [{{kind: ServiceAccount, name: eod, namespace: {NAMESPACE}}}]
"#
    )
}

/// The admin deletes it at once, whatever would keep it: no controller runs here.
pub(crate) fn remove(admin: &Asker, path: &str) {
    let reply = admin.delete(path, Some(&json!({"propagationPolicy": "Background", "gracePeriodSeconds": 0}))).unwrap();
    assert!(reply.success(), "{path} stays: {}", reply.message());
    if reply.body["metadata"]["finalizers"].is_array() {
        admin.merge(path, &json!({"metadata": {"finalizers": null}})).unwrap();
    }
}
