//! retinue installed into a control plane, as its README says.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context, Result, bail, ensure};
use controlplane::{ControlPlane, Port, Relay};
use serde_json::{Value, json};

use crate::manifests;
use crate::process::Server;

/// The namespace that retinue is installed into.
pub(crate) const NAMESPACE: &str = "retinue";

/// How many times it is asked whether a right is given yet. Each is a request of some milliseconds.
const LOOKS: usize = 5000;

/// retinue, installed and running.
#[derive(Debug)]
pub struct Installation {
    // Before the cluster, so that the servers go first.
    webhook: Mutex<Option<Server>>,
    controller: Mutex<Option<Server>>,
    binary: PathBuf,
    folder: tempfile::TempDir,
    port: Port,
    /// The control plane.
    pub cluster: ControlPlane,
}

impl Installation {
    /// Starts a control plane with controllers, scheduler and a node, and installs retinue into it.
    ///
    /// # Errors
    /// Whatever did not work, with the log that tells.
    pub fn start(binary: &Path) -> Result<Self> {
        Self::into(ControlPlane::start()?, binary)
    }

    /// Installs retinue into `cluster`, where controllers run, and lets it collect Secrets, as its README says.
    ///
    /// # Errors
    /// As [`Installation::start`].
    pub fn into(cluster: ControlPlane, binary: &Path) -> Result<Self> {
        let installation = Self::installed(cluster, binary, &[])?;
        let label = ["label", "clusterrole", "retinue-collector-secrets", "rbac.fledged.io/collector=true"];
        installation.cluster.kubectl(&label)?.ok()?;
        installation.until_collected("", "secrets")?;
        installation.start_webhook()?;
        installation.start_controller()?;
        Ok(installation)
    }

    /// Installs retinue into `cluster`, with further flags for `retinue install`, and starts nothing.
    ///
    /// # Errors
    /// As [`Installation::start`].
    pub fn installed(cluster: ControlPlane, binary: &Path, flags: &[&str]) -> Result<Self> {
        let installation = Self {
            webhook: Mutex::default(),
            controller: Mutex::default(),
            binary: binary.to_owned(),
            // In the control plane's own: it goes even where nobody drops this.
            folder: tempfile::tempdir_in(cluster.folder())?,
            port: Port::reserve()?,
            cluster,
        };
        installation.install(flags)?;
        Ok(installation)
    }

    fn install(&self, flags: &[&str]) -> Result<()> {
        let certificates = self.certificates();
        self.retinue(&["certs", "--out", &certificates, "--dns", "localhost", "--ip", "127.0.0.1"])?;
        let url = format!("https://127.0.0.1:{}", self.port());
        let authority = format!("{certificates}/ca.crt");
        let mut args = vec!["install", "--url", &url, "--ca-bundle", &authority];
        args.extend(flags);
        let manifests = self.retinue(&args)?;
        let applied = self.cluster.kubectl_with(
            &self.cluster.kubeconfig(),
            &["apply", "--server-side", "-f", "-"],
            &manifests,
        )?;
        applied.ok().context("applying the install manifest")?;
        Ok(())
    }

    /// Lets the collector delete these too: API groups, each with resources. Bound to its account, since the label that
    /// does the same is heeded by a controller, which may not run.
    ///
    /// # Errors
    /// Whatever the API server refused.
    pub fn collects(&self, kinds: &[(&str, &[&str])]) -> Result<()> {
        let rule = |(group, resources): &(&str, &[&str])| json!({"apiGroups": [group], "resources": resources, "verbs": ["list", "watch", "delete"]});
        let rules: Vec<Value> = kinds.iter().map(rule).collect();
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": "collected-too"}, "rules": rules,
        });
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": "collected-too"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "collected-too"},
            "subjects": [{"kind": "ServiceAccount", "name": "retinue-controller", "namespace": NAMESPACE}],
        });
        self.cluster.apply(&format!("{role}\n---\n{binding}"))?;
        for (group, resources) in kinds {
            for resource in *resources {
                self.until_collected(group, resource)?;
            }
        }
        Ok(())
    }

    /// Waits until the API server has heard that the collector may delete these.
    fn until_collected(&self, group: &str, resource: &str) -> Result<()> {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "spec": {
                "user": format!("system:serviceaccount:{NAMESPACE}:retinue-controller"),
                "resourceAttributes": {"group": group, "resource": resource, "verb": "delete"},
            },
        });
        let asker = self.cluster.asker();
        for _ in 0..LOOKS {
            let reply = asker.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", &review)?;
            ensure!(reply.success(), "{}", reply.message());
            if reply.body["status"]["allowed"] == true {
                return Ok(());
            }
        }
        bail!("the collector has still no right to delete {resource} of group {group:?}")
    }

    fn certificates(&self) -> String {
        self.folder.path().join("certs").display().to_string()
    }

    /// The certificate of the authority that the webhook's own is by, PEM.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn authority(&self) -> Result<String> {
        Ok(std::fs::read_to_string(format!("{}/ca.crt", self.certificates()))?)
    }

    /// The port that the webhook answers on, or would.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The binary that runs.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// A scratch folder that goes with this.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs the command line of retinue as the admin; it must succeed.
    ///
    /// # Errors
    /// With what it wrote to standard error.
    pub fn retinue(&self, args: &[&str]) -> Result<String> {
        let output = Command::new(&self.binary).args(args).env("KUBECONFIG", self.cluster.kubeconfig()).output()?;
        if !output.status.success() {
            bail!("retinue {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    fn serve(&self, account: &str, relay: Option<&Relay>, args: &[&str]) -> Result<Server> {
        let token = self.cluster.token(NAMESPACE, account, None)?;
        let kubeconfig = match relay {
            Some(relay) => self.cluster.kubeconfig_through(relay, &token)?,
            None => self.cluster.kubeconfig_with_token(&token)?,
        };
        let mut all: Vec<String> = args.iter().map(ToString::to_string).collect();
        all.extend(["--kubeconfig".into(), kubeconfig.display().to_string()]);
        Server::start(&self.binary, &all, self.folder.path())
    }

    /// Starts the webhook and waits until it is ready.
    ///
    /// # Errors
    /// With the tail of its log.
    pub fn start_webhook(&self) -> Result<()> {
        self.webhook(None, &[])
    }

    /// Starts the webhook with further flags, and waits until it is ready.
    ///
    /// # Errors
    /// With the tail of its log.
    pub fn start_webhook_with(&self, flags: &[&str]) -> Result<()> {
        self.webhook(None, flags)
    }

    /// Starts the webhook, which asks the API server through `relay`, and waits until it is ready.
    ///
    /// # Errors
    /// With the tail of its log.
    pub fn start_webhook_through(&self, relay: &Relay) -> Result<()> {
        self.webhook(Some(relay), &[])
    }

    fn webhook(&self, relay: Option<&Relay>, flags: &[&str]) -> Result<()> {
        let (certificates, listen) = (self.certificates(), format!("127.0.0.1:{}", self.port()));
        let mut args = vec!["webhook", "--certs", &certificates, "--listen", &listen];
        args.extend(flags);
        let server = self.serve("retinue-webhook", relay, &args)?;
        *self.webhook.lock().map_err(|_| anyhow::anyhow!("poisoned"))? = Some(server);
        Ok(())
    }

    /// A metric of the webhook ([`Server::metric`]).
    ///
    /// # Errors
    /// It does not run, or does not answer.
    pub fn metric(&self, name: &str, label: &str) -> Result<f64> {
        let webhook = self.webhook.lock().map_err(|_| anyhow::anyhow!("poisoned"))?;
        webhook.as_ref().context("the webhook runs")?.metric(name, label)
    }

    /// All metrics of the webhook ([`Server::metrics`]).
    ///
    /// # Errors
    /// As [`Installation::metric`].
    pub fn webhook_metrics(&self) -> Result<String> {
        let webhook = self.webhook.lock().map_err(|_| anyhow::anyhow!("poisoned"))?;
        webhook.as_ref().context("the webhook runs")?.metrics()
    }

    /// All metrics of the controller.
    ///
    /// # Errors
    /// As [`Installation::metric`].
    pub fn controller_metrics(&self) -> Result<String> {
        let controller = self.controller.lock().map_err(|_| anyhow::anyhow!("poisoned"))?;
        controller.as_ref().context("the controller runs")?.metrics()
    }

    /// The memory of the webhook, and of the controller ([`Server::memory`]); none where it does not run.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn memory(&self) -> Result<[Option<(u64, u64)>; 2]> {
        let of = |server: &Mutex<Option<Server>>| -> Result<Option<(u64, u64)>> {
            let server = server.lock().map_err(|_| anyhow::anyhow!("poisoned"))?;
            server.as_ref().map(Server::memory).transpose()
        };
        Ok([of(&self.webhook)?, of(&self.controller)?])
    }

    /// Takes the webhook out of this, running: it goes when what is returned does.
    pub fn take_webhook(&self) -> Option<Server> {
        self.webhook.lock().ok()?.take()
    }

    /// Kills the webhook.
    pub fn stop_webhook(&self) {
        if let Ok(mut webhook) = self.webhook.lock() {
            *webhook = None;
        }
    }

    /// Starts the controller and waits until it is ready.
    ///
    /// # Errors
    /// With the tail of its log.
    pub fn start_controller(&self) -> Result<()> {
        let server = self.serve("retinue-controller", None, &["controller"])?;
        *self.controller.lock().map_err(|_| anyhow::anyhow!("poisoned"))? = Some(server);
        Ok(())
    }

    /// Kills the controller.
    pub fn stop_controller(&self) {
        if let Ok(mut controller) = self.controller.lock() {
            *controller = None;
        }
    }

    /// What the servers logged.
    pub fn logs(&self) -> String {
        let read = |role: &str| {
            std::fs::read_to_string(self.folder.path().join(format!("retinue-{role}.log"))).unwrap_or_default()
        };
        format!("--- webhook\n{}\n--- controller\n{}", read("webhook"), read("controller"))
    }

    /// Makes `namespace` with a master in it (account, rights, Deployment with a running pod) and the templates of
    /// [`manifests`]; returns the kubeconfig with the token that is bound to its pod.
    ///
    /// # Errors
    /// Whatever the API server refused.
    pub fn master(&self, namespace: &str) -> Result<PathBuf> {
        self.cluster.namespace_named(namespace)?;
        self.cluster.apply(&manifests::templates(namespace))?;
        self.cluster.apply(&manifests::master(namespace))?;
        let pod = self.cluster.running_pod(namespace, "app=eod")?;
        Ok(self.cluster.kubeconfig_of_pod(namespace, &pod)?)
    }
}
