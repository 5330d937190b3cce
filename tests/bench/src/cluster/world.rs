//! etcd and an API server with retinue installed, masters in it, and retinue's own processes beside.
//!
//! No controllers and no scheduler: what else runs on the machine would be measured too. A master's Deployment,
//! ReplicaSet and pod are therefore written by hand, as the controllers would have; its token is bound to its pod.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use controlplane::{ControlPlane, Options};
use serde_json::{Value, json};
use story::{Installation, Server};

use super::link::{Answer, Caller, Link};
use super::process::Process;

/// Where retinue itself is.
const HOME: &str = "retinue";
/// Of everything that is awaited by looking.
const PATIENCE: Duration = Duration::from_secs(60);
/// Lines of a log that an error shows.
const TAIL: usize = 5;
/// Connections that prepare things at once.
const HANDS: usize = 4;

/// The cluster.
#[derive(Debug)]
pub(super) struct World {
    installation: Installation,
    binary: PathBuf,
    /// As admin.
    admin: Caller,
    kubeconfigs: [PathBuf; 2],
}

/// A running process of retinue.
#[derive(Debug)]
pub(super) struct Retinue {
    pub(super) process: Process,
    server: Server,
}

/// Somebody with a token that is bound to a pod.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    pub(super) namespace: String,
    pub(super) caller: Caller,
}

/// What an account may do beside creating things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Master,
    Ordinary,
}

impl World {
    /// Starts the control plane and installs retinue, without running it.
    pub(super) fn start(binary: &Path) -> Result<Self> {
        Self::with(binary, Options::api_only(), &[])
    }

    /// The same on such a control plane, with further flags for `retinue install`.
    pub(super) fn with(binary: &Path, options: Options, flags: &[&str]) -> Result<Self> {
        let installation = Installation::installed(options.start()?, binary, flags)?;
        installation.collects(&[("", &["secrets"])])?;
        let cluster = &installation.cluster;
        cluster.service_account(HOME, "bench")?;
        let root = json!({
            "metadata": {"name": "bench"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "bench", "namespace": HOME}],
        });
        let path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
        made(cluster.request("POST", path, Some(&root))?)?;
        let admin = Caller::new(cluster, &cluster.token(HOME, "bench", None)?)?;
        let kubeconfig = |account: &str| -> Result<PathBuf> {
            Ok(cluster.kubeconfig_with_token(&cluster.token(HOME, account, None)?)?)
        };
        let kubeconfigs = [kubeconfig("retinue-webhook")?, kubeconfig("retinue-controller")?];
        let world = Self { binary: binary.to_owned(), admin, kubeconfigs, installation };
        world.until("rights of the admin", || Ok(world.admin.link()?.get("/api/v1/namespaces")?.code == 200))?;
        world.create(
            "/apis/rbac.authorization.k8s.io/v1/clusterroles",
            &json!({
                "metadata": {"name": "creates"},
                "rules": [{
                    "apiGroups": ["*"], "resources": ["*"],
                    "verbs": ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"],
                }],
            }),
        )?;
        Ok(world)
    }

    pub(super) fn cluster(&self) -> &ControlPlane {
        &self.installation.cluster
    }

    /// The API server's process.
    pub(super) fn apiserver(&self) -> Result<Process> {
        let url = self.cluster().server_url();
        let port = url.rsplit(':').next().context("a port")?;
        Process::find("kube-apiserver", &format!("--secure-port={port}"))
    }

    fn run(&self, args: Vec<String>) -> Result<Retinue> {
        let server = Server::start(&self.binary, &args, self.installation.folder())?;
        let program = self.binary.file_name().and_then(|name| name.to_str()).context("a program")?;
        Ok(Retinue { process: Process::find(program, &format!("--health 127.0.0.1:{}", server.health()))?, server })
    }

    /// Runs the webhook, and waits until it says that it is ready.
    pub(super) fn webhook(&self) -> Result<Retinue> {
        let certificates = self.installation.folder().join("certs").display().to_string();
        let listen = format!("127.0.0.1:{}", self.installation.port());
        let [kubeconfig, _] = &self.kubeconfigs;
        let args = ["webhook", "--certs", &certificates, "--listen", &listen, "--kubeconfig"];
        self.run([args.map(Into::into).to_vec(), vec![kubeconfig.display().to_string()]].concat())
    }

    /// Runs the collector, and waits until it says that it is ready.
    pub(super) fn controller(&self) -> Result<Retinue> {
        let [_, kubeconfig] = &self.kubeconfigs;
        self.run(vec!["controller".into(), "--kubeconfig".into(), kubeconfig.display().to_string()])
    }

    /// The collector's own account.
    pub(super) fn controllers(&self) -> Result<Caller> {
        Caller::new(self.cluster(), &self.cluster().token(HOME, "retinue-controller", None)?)
    }

    /// As admin; it must succeed.
    pub(super) fn create(&self, path: &str, object: &Value) -> Result<Value> {
        create(&mut self.admin.link()?, path, object)
    }

    /// As admin; it must succeed. Returns what is told.
    pub(super) fn admin(&self, method: &str, path: &str) -> Result<Value> {
        let answer = self.admin.link()?.ask(method, path, "")?;
        Ok(serde_json::from_str(&right(answer, &format!("{method} {path}"))?)?)
    }

    /// Does `work` for each of `0..count` as admin, several at once.
    pub(super) fn each<T: Send>(
        &self,
        count: usize,
        work: impl Fn(&mut Link, usize) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        let next = AtomicUsize::new(0);
        let done: Mutex<Vec<(usize, T)>> = Mutex::default();
        std::thread::scope(|scope| -> Result<()> {
            let hand = || -> Result<()> {
                let mut link = self.admin.link()?;
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return Ok(());
                    }
                    let made = work(&mut link, number)?;
                    done.lock().map_err(|_| anyhow::anyhow!("another hand panicked"))?.push((number, made));
                }
            };
            let hands: Vec<_> = (0..HANDS).map(|_| scope.spawn(hand)).collect();
            hands.into_iter().try_for_each(|hand| hand.join().map_err(|_| anyhow::anyhow!("a hand panicked"))?)
        })?;
        let mut done = done.into_inner().map_err(|_| anyhow::anyhow!("a hand panicked"))?;
        done.sort_by_key(|(number, _)| *number);
        Ok(done.into_iter().map(|(_, made)| made).collect())
    }

    /// Looks again and again.
    pub(super) fn until(&self, what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
        let begun = Instant::now();
        while !holds()? {
            if begun.elapsed() > PATIENCE {
                let logs = self.installation.logs();
                let tail: Vec<&str> =
                    logs.lines().rev().take(TAIL).map(|line| &line[..line.floor_char_boundary(400)]).collect();
                bail!("{what}: not after {} s; retinue says, the last first:\n{}", PATIENCE.as_secs(), tail.join("\n"));
            }
            // Looking all the time would take a core from what is awaited.
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Makes `account` in `namespace` (which is made where it is missing) with a Deployment's pod that asks for
    /// `config_maps`, and everything that RBAC can give by named verbs; a master may `launch` beside.
    pub(super) fn asking(
        &self,
        link: &mut Link,
        namespace: &str,
        account: &str,
        standing: Standing,
        config_maps: &str,
    ) -> Result<Asking> {
        let core = |resource: &str| format!("/api/v1/namespaces/{namespace}/{resource}");
        let bindings = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings");
        let bind = |role: &str| {
            json!({
                "metadata": {"name": format!("{account}-{role}")},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
            })
        };
        ensure(link, "/api/v1/namespaces", &json!({"metadata": {"name": namespace}}))?;
        create(link, &core("serviceaccounts"), &json!({"metadata": {"name": account}}))?;
        create(link, &bindings, &bind("creates"))?;
        if standing == Standing::Master {
            create(link, &bindings, &bind("retinue-launch"))?;
        }
        let labels = json!({"app": account});
        let template = json!({
            "metadata": {"labels": labels, "annotations": {"fledged.io/manifests": config_maps}},
            "spec": {
                "serviceAccountName": account,
                "containers": [{"name": "main", "image": "registry.example/eod:9"}],
            },
        });
        let spec = json!({"replicas": 1, "selector": {"matchLabels": labels}, "template": template});
        let apps = format!("/apis/apps/v1/namespaces/{namespace}");
        let under = |owner: &Value, kind: &str, api_version: &str| {
            json!([{
                "apiVersion": api_version, "kind": kind, "name": owner["metadata"]["name"],
                "uid": owner["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true,
            }])
        };
        let deployment = json!({"metadata": {"name": account, "labels": labels}, "spec": spec});
        let deployment = create(link, &format!("{apps}/deployments"), &deployment)?;
        let set = json!({
            "metadata": {
                "name": format!("{account}-7d9f"), "labels": labels,
                "ownerReferences": under(&deployment, "Deployment", "apps/v1"),
            },
            "spec": spec,
        });
        let set = create(link, &format!("{apps}/replicasets"), &set)?;
        let name = format!("{account}-7d9f-x2k4q");
        let mut pod = template;
        pod["metadata"]["name"] = json!(name);
        pod["metadata"]["ownerReferences"] = under(&set, "ReplicaSet", "apps/v1");
        let pod = create(link, &core("pods"), &pod)?;
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {
                "expirationSeconds": 4 * 3600,
                "boundObjectRef": {
                    "kind": "Pod", "apiVersion": "v1", "name": name, "uid": pod["metadata"]["uid"],
                },
            },
        });
        let token = create(link, &core(&format!("serviceaccounts/{account}/token")), &request)?;
        let token = token["status"]["token"].as_str().context("a token")?;
        Ok(Asking { namespace: namespace.into(), caller: Caller::new(self.cluster(), token)? })
    }
}

impl Asking {
    /// Where it creates pods; `query` is such as `?dryRun=All`.
    pub(super) fn pods(&self, query: &str) -> String {
        format!("/api/v1/namespaces/{}/pods{query}", self.namespace)
    }
}

impl Retinue {
    /// Kills it.
    pub(super) fn stop(&mut self) {
        self.server.kill();
    }

    /// The sum of all samples of `name` whose labels contain `label`.
    pub(super) fn metric(&self, name: &str, label: &str) -> Result<f64> {
        self.server.metric(name, label)
    }

    /// How many reviews of masters it has answered.
    pub(super) fn reviews(&self) -> Result<f64> {
        Ok(self.metric("retinue_reviews_total", "mutating")? + self.metric("retinue_reviews_total", "validating")?)
    }
}

fn made((code, body): (u16, String)) -> Result<()> {
    if (200..300).contains(&code) { Ok(()) } else { bail!("{code}: {body}") }
}

fn right(answer: Answer, what: &str) -> Result<String> {
    if (200..300).contains(&answer.code) {
        return Ok(answer.body);
    }
    bail!("{what}: {} {}", answer.code, answer.body)
}

/// Creates it; it must succeed.
pub(super) fn create(link: &mut Link, path: &str, object: &Value) -> Result<Value> {
    Ok(serde_json::from_str(&right(link.post(path, &object.to_string())?, path)?)?)
}

/// Creates it unless it is there.
pub(super) fn ensure(link: &mut Link, path: &str, object: &Value) -> Result<()> {
    let answer = link.post(path, &object.to_string())?;
    if answer.code == 409 { Ok(()) } else { right(answer, path).map(drop) }
}
