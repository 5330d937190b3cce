//! What tests need to exist: namespaces, accounts, nodes, running pods.

use serde_json::{Value, json};

use crate::answers::text;
use crate::{ControlPlane, Error};

/// The status code for "exists already".
const CONFLICT: u16 = 409;

impl ControlPlane {
    /// A fresh namespace with its `default` account. It goes with the control plane.
    ///
    /// # Errors
    /// The API server does not answer.
    pub fn namespace(&self) -> Result<String, Error> {
        let namespace = json!({"metadata": {"generateName": "test-"}});
        let made = self.client.must("POST", "/api/v1/namespaces", Some(&namespace), &[])?;
        let name = text(&made, "/metadata/name");
        self.service_account(&name, "default")?;
        Ok(name)
    }

    /// The namespace called `name` with its `default` account, made unless it exists.
    ///
    /// # Errors
    /// The API server does not answer, or the name is none.
    pub fn namespace_named(&self, name: &str) -> Result<(), Error> {
        let namespace = json!({"metadata": {"name": name}});
        self.client.must("POST", "/api/v1/namespaces", Some(&namespace), &[CONFLICT])?;
        self.service_account(name, "default")
    }

    /// The service account called `name`, made unless it exists.
    ///
    /// # Errors
    /// The namespace does not exist, or the name is none.
    pub fn service_account(&self, namespace: &str, name: &str) -> Result<(), Error> {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
        self.client.must("POST", &path, Some(&json!({"metadata": {"name": name}})), &[CONFLICT])?;
        Ok(())
    }

    /// Adds a node, which kwok plays, and waits until pods can be scheduled to it.
    ///
    /// # Errors
    /// The control plane was started with no nodes (so kwok does not run), or the node does not become ready.
    pub fn add_node(&self, name: &str) -> Result<(), Error> {
        let node = json!({"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}});
        self.client.must("POST", "/api/v1/nodes", Some(&node), &[CONFLICT])?;
        let path = format!("/api/v1/nodes/{name}");
        if !self.options.controllers {
            // Admission taints every new node, and it is a controller's work to take that away.
            self.client.must("PATCH", &path, Some(&json!({"spec": {"taints": null}})), &[])?;
        }
        self.until(&format!("readiness of {name}"), || {
            let node = self.get(&path).map_err(|error| error.to_string())?;
            let ready = conditions(&node).any(|it| it["type"] == "Ready" && it["status"] == "True");
            if ready && node.pointer("/spec/taints").is_none() { Ok(()) } else { Err(node.to_string()) }
        })
    }

    /// The name of a running pod with these labels (`app=eod`), waited for: the pod of a Deployment just applied.
    ///
    /// # Errors
    /// None runs after two minutes.
    pub fn running_pod(&self, namespace: &str, selector: &str) -> Result<String, Error> {
        let query: String = selector.replace('=', "%3D").replace(',', "%2C").replace(' ', "");
        let path = format!("/api/v1/namespaces/{namespace}/pods?labelSelector={query}");
        self.until(&format!("a running pod with {selector} in {namespace}"), || {
            let list = self.get(&path).map_err(|error| error.to_string())?;
            let runs = |pod: &&Value| {
                pod.pointer("/metadata/deletionTimestamp").is_none() && text(pod, "/status/phase") == "Running"
            };
            let found = list["items"].as_array().and_then(|pods| pods.iter().find(runs));
            found.map(|pod| text(pod, "/metadata/name")).ok_or_else(|| list["items"].to_string())
        })
    }

    /// What the API server answers an admin's GET of `path` (`/api/v1/namespaces/default/pods`), as JSON.
    ///
    /// # Errors
    /// Any answer but a success; no answer.
    pub fn get(&self, path: &str) -> Result<Value, Error> {
        self.client.must("GET", path, None, &[])
    }

    /// An admin's request: method, path, body, and the status code and body of whatever came back.
    /// PATCH sends a merge patch.
    ///
    /// # Errors
    /// No answer.
    pub fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, String), Error> {
        let answer = self.client.ask(method, path, body)?;
        Ok((answer.code, answer.body))
    }
}

fn conditions(object: &Value) -> impl Iterator<Item = &Value> {
    object.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten()
}
