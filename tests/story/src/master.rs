//! A master in a namespace of its own, as tests ask for it: it speaks to the API server directly.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use controlplane::{Asker, Reply};
use serde_json::{Value, json};

use crate::{Installation, manifests};

/// How many times the webhook is asked whether it knows a template yet. Each is a request of some milliseconds.
const LOOKS: usize = 2000;

/// How long a master asks again where retinue could not look at something within its second, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A master: its namespace, its pod, its token that is bound to that pod.
#[derive(Clone, Debug)]
pub struct Master {
    /// Its namespace.
    pub namespace: String,
    /// Its pod.
    pub pod: String,
    /// The bound token.
    pub token: String,
    /// Asks with that token.
    pub api: Asker,
    /// The kubeconfig with that token.
    pub kubeconfig: PathBuf,
}

impl Installation {
    /// The master of the story, a Deployment, in `namespace`.
    ///
    /// # Errors
    /// Whatever the API server refused.
    pub fn deployed(&self, namespace: &str) -> Result<Master> {
        self.master(namespace)?;
        let pod = self.cluster.running_pod(namespace, "app=eod")?;
        let master = self.of_pod(namespace, &pod)?;
        master.until_known(&report())?;
        Ok(master)
    }

    /// A master that is a bare pod under the account `eod`, asking for `config_maps`, with every right that RBAC can
    /// give without wildcards in verbs; it needs no controllers.
    ///
    /// # Errors
    /// Whatever the API server refused.
    pub fn bare(&self, namespace: &str, config_maps: &str) -> Result<Master> {
        self.cluster.namespace_named(namespace)?;
        self.cluster.apply(&manifests::bare_master(namespace, config_maps))?;
        self.of_pod(namespace, "eod")
    }

    /// Whoever holds the token bound to `pod`.
    ///
    /// # Errors
    /// There is no such pod.
    pub fn of_pod(&self, namespace: &str, pod: &str) -> Result<Master> {
        let live = self.cluster.get(&format!("/api/v1/namespaces/{namespace}/pods/{pod}"))?;
        let account = live["spec"]["serviceAccountName"].as_str().context("an account")?;
        let uid = live["metadata"]["uid"].as_str().context("a uid")?;
        let token = self.cluster.token(namespace, account, Some((pod, uid)))?;
        Ok(Master {
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            api: self.cluster.asker_with_token(&token)?.patient(PATIENCE),
            kubeconfig: self.cluster.kubeconfig_with_token(&token)?,
            token,
        })
    }
}

/// What `until_known` asks for in the namespace of the story.
fn report() -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "report-probe"}, "data": {"level": "info"}})
}

impl Master {
    /// The path of a resource of the core group in its namespace.
    #[must_use]
    pub fn core(&self, rest: &str) -> String {
        format!("/api/v1/namespaces/{}/{rest}", self.namespace)
    }

    /// The path of a resource of `group` (`batch/v1`) in its namespace.
    #[must_use]
    pub fn group(&self, group: &str, rest: &str) -> String {
        format!("/apis/{group}/namespaces/{}/{rest}", self.namespace)
    }

    /// Waits until the webhook admits this ConfigMap, by dry run: its watch may be a moment behind.
    ///
    /// # Errors
    /// It never does; the last refusal.
    pub fn until_known(&self, config_map: &Value) -> Result<Reply> {
        let path = self.core("configmaps?dryRun=All");
        let mut last = self.api.post(&path, config_map)?;
        for _ in 0..LOOKS {
            if last.success() {
                return Ok(last);
            }
            last = self.api.post(&path, config_map)?;
        }
        bail!("its template is not known to the webhook: {}", last.message())
    }
}
