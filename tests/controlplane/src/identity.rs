//! Being someone: tokens, kubeconfigs, certificates signed by the control plane's authority.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use base64::Engine;
use serde_json::{Value, json};

use crate::answers::text;
use crate::error::While;
use crate::{ControlPlane, Error, Identity};

/// How long tokens are valid, in seconds: the whole of any test.
const TOKEN_SECONDS: u64 = 4 * 3600;

impl ControlPlane {
    /// A token of a service account, from TokenRequest. With `(name, uid)` of a pod it is bound to that pod, and
    /// carries the same claims as the one that a kubelet mounts into it.
    ///
    /// # Errors
    /// The API server refuses: no such account, no such pod, the pod runs under another account.
    pub fn token(&self, namespace: &str, account: &str, pod: Option<(&str, &str)>) -> Result<String, Error> {
        let bound = pod.map(|(name, uid)| json!({"kind": "Pod", "apiVersion": "v1", "name": name, "uid": uid}));
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": TOKEN_SECONDS, "boundObjectRef": bound},
        });
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token");
        let answer = self.client.must("POST", &path, Some(&request), &[])?;
        Ok(text(&answer, "/status/token"))
    }

    /// A kubeconfig file for whoever holds `token`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn kubeconfig_with_token(&self, token: &str) -> Result<PathBuf, Error> {
        self.write_kubeconfig(&json!({"token": token}))
    }

    /// A kubeconfig file for a pod that exists: its account, its token bound to it.
    ///
    /// # Errors
    /// There is no such pod, or the file cannot be written.
    pub fn kubeconfig_of_pod(&self, namespace: &str, pod: &str) -> Result<PathBuf, Error> {
        let live = self.get(&format!("/api/v1/namespaces/{namespace}/pods/{pod}"))?;
        let account = text(&live, "/spec/serviceAccountName");
        let token = self.token(namespace, &account, Some((pod, &text(&live, "/metadata/uid"))))?;
        self.kubeconfig_with_token(&token)
    }

    /// A kubeconfig file for a user with a client certificate, in one group or in none.
    ///
    /// # Errors
    /// The certificate or the file cannot be made.
    pub fn kubeconfig_of_user(&self, user: &str, group: Option<&str>) -> Result<PathBuf, Error> {
        let identity = self.authority.client(user, group)?;
        self.write_kubeconfig(&user_with_certificate(&identity))
    }

    /// A serving certificate for `names` (DNS names and addresses), trusted by whoever trusts [`ControlPlane::ca_pem`]:
    /// for a webhook of a test.
    ///
    /// # Errors
    /// A name is neither.
    pub fn serving_certificate(&self, names: &[&str]) -> Result<Identity, Error> {
        self.authority.server(names)
    }

    fn write_kubeconfig(&self, user: &Value) -> Result<PathBuf, Error> {
        self.write_kubeconfig_to(&self.server_url(), user)
    }

    pub(crate) fn write_kubeconfig_to(&self, server: &str, user: &Value) -> Result<PathBuf, Error> {
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let path = self.path(&format!("user-{number}.kubeconfig"));
        write_private(&path, &kubeconfig(server, &self.ca_pem(), user))?;
        Ok(path)
    }
}

fn write_private(path: &Path, text: &str) -> Result<(), Error> {
    // The folder is its owner's alone.
    std::fs::write(path, text).doing(|| format!("writing {}", path.display()))
}

/// The user of a kubeconfig who has a certificate.
pub(crate) fn user_with_certificate(identity: &Identity) -> Value {
    json!({
        "client-certificate-data": base64(&identity.certificate),
        "client-key-data": base64(&identity.key),
    })
}

/// The text of a kubeconfig (JSON is YAML).
pub(crate) fn kubeconfig(server: &str, authority: &str, user: &Value) -> String {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{
            "name": "test",
            "cluster": {"server": server, "certificate-authority-data": base64(authority)},
        }],
        "users": [{"name": "test", "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    })
    .to_string()
}

fn base64(text: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(text)
}
