//! The machine of a node: its namespaces, containerd, the kubelet, kube-proxy.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail};
use controlplane::{Component, ControlPlane, Error};
use serde_json::Value;

use crate::namespaces::Namespaces;
use crate::traces::Traces;
use crate::{NAME, configuration, image};

/// A machine with containerd, which may have joined a control plane. Dropping it ends whatever runs on it.
#[derive(Debug)]
pub struct Machine {
    /// In the order in which they are dropped: the process that holds the namespaces last.
    components: Mutex<Vec<Component>>,
    namespaces: Namespaces,
    traces: Traces,
}

impl Machine {
    /// Makes the namespaces, starts containerd and gives it the image.
    ///
    /// # Errors
    /// What this machine lacks, or the log of what ended.
    pub fn start() -> Result<Self> {
        if let Some(reason) = crate::unavailable() {
            bail!("{reason}");
        }
        let traces = Traces::new()?;
        let folder = &traces.folder;
        let program = controlplane::program("program")?;
        let (namespaces, holder) = Namespaces::new(folder, &program, &traces.supervision())?;
        let machine = Self { components: Mutex::new(vec![holder]), namespaces, traces };
        let folder = machine.folder();
        std::fs::create_dir(folder.join("networks"))?;
        machine.write("networks/pods.conflist", &configuration::network(folder))?;
        machine.write("containerd.toml", &configuration::containerd(folder))?;
        machine.write("resolv.conf", "")?;
        let flag = format!("--config={}", folder.join("containerd.toml").display());
        machine.run("containerd", OsStr::new("containerd"), vec![flag])?;
        machine.until("containerd", || machine.containerd(&["version"]).map_err(|error| error.to_string()))?;
        machine.load(image::IMAGE, &program, &["pause"])?;
        Ok(machine)
    }

    /// Gives containerd an image of this name that runs `program`, a file outside, with `arguments` unless a container has
    /// its own. The libraries that it is linked with are in the image too.
    ///
    /// # Errors
    /// A file cannot be read, or containerd does not take the image.
    pub fn load(&self, name: &str, program: &Path, arguments: &[&str]) -> Result<()> {
        let archive = tempfile::NamedTempFile::new_in(self.folder())?;
        image::write(name, program, arguments, archive.path())?;
        let archive = archive.path().display().to_string();
        self.containerd(&["--namespace", "k8s.io", "images", "import", "--snapshotter", "native", &archive])?;
        Ok(())
    }

    /// Makes it a node of `cluster`, which was started inside with [`Options::address`](controlplane::Options::address)
    /// set to [`ADDRESS`](crate::ADDRESS), and waits until that is ready.
    ///
    /// # Errors
    /// The log of what ended, or what the node waits for.
    pub fn join(&self, cluster: &ControlPlane) -> Result<()> {
        let folder = self.folder();
        self.write("ca.crt", &cluster.ca_pem())?;
        self.write("kubelet.json", &configuration::kubelet(folder, &self.traces.name))?;
        self.write("kube-proxy.json", &configuration::proxy(folder))?;
        let kubelet = cluster.kubeconfig_of_user(&format!("system:node:{NAME}"), Some("system:nodes"))?;
        let proxy = cluster.kubeconfig_of_user("system:kube-proxy", None)?;
        std::fs::copy(kubelet, folder.join("kubelet.kubeconfig"))?;
        std::fs::copy(proxy, folder.join("kube-proxy.kubeconfig"))?;
        self.run("kubelet", controlplane::program("kubelet")?.as_os_str(), configuration::kubelet_flags(folder))?;
        let flag = format!("--config={}", folder.join("kube-proxy.json").display());
        self.run("kube-proxy", controlplane::program("kube-proxy")?.as_os_str(), vec![flag])?;
        self.until(&format!("readiness of {NAME}"), || {
            let node = cluster.get(&format!("/api/v1/nodes/{NAME}")).map_err(|error| error.to_string())?;
            let ready = |it: &Value| it["type"] == "Ready" && it["status"] == "True";
            let is_ready = node["status"]["conditions"].as_array().is_some_and(|all| all.iter().any(ready));
            if is_ready && node["spec"].get("taints").is_none() { Ok(()) } else { Err(node["status"].to_string()) }
        })?;
        Ok(())
    }

    /// Brings the calling thread into the network namespace, for good; threads and processes that it starts after this
    /// are inside too.
    ///
    /// # Errors
    /// The kernel says no.
    pub fn enter(&self) -> Result<()> {
        self.namespaces.enter()
    }

    /// A command that runs on the machine, in all of its namespaces.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut line = self.namespaces.within();
        line.push(program.as_ref().to_owned());
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]);
        command
    }

    /// The containers of `namespace` that really run, as containerd has them, whatever the API server or a kubelet's cache
    /// believes: `POD/CONTAINER`, sorted.
    ///
    /// # Errors
    /// containerd does not answer.
    pub fn running(&self, namespace: &str) -> Result<Vec<String>> {
        let tasks = self.containerd(&["--namespace", "k8s.io", "tasks", "list"])?;
        let filter =
            format!(r#"labels."io.kubernetes.pod.namespace"=={namespace},labels."io.cri-containerd.kind"==container"#);
        let containers = self.containerd(&["--namespace", "k8s.io", "containers", "list", "--quiet", &filter])?;
        let runs = |id: &&str| {
            let task = tasks.lines().find(|task| task.starts_with(id));
            task.is_some_and(|task| task.ends_with("RUNNING"))
        };
        let mut running = Vec::new();
        for id in containers.lines().filter(runs) {
            // One that is gone by now has no name, and does not run.
            let Ok(told) = self.containerd(&["--namespace", "k8s.io", "containers", "info", id]) else { continue };
            let labels = &serde_json::from_str::<Value>(&told)?["Labels"];
            let label = |key: &str| labels[key].as_str().unwrap_or_default().to_owned();
            running.push(format!("{}/{}", label("io.kubernetes.pod.name"), label("io.kubernetes.container.name")));
        }
        running.sort();
        Ok(running)
    }

    /// The last lines of every log.
    #[must_use]
    pub fn logs(&self) -> String {
        let tail = |it: &Component| format!("--- {} ({})\n{}\n", it.name(), it.log().display(), it.tail());
        self.components().iter().map(tail).collect()
    }

    /// The folder with logs and configurations, for as long as this lives.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.traces.folder
    }

    /// Asks containerd, by its own client; what that wrote is the answer.
    fn containerd(&self, args: &[&str]) -> Result<String> {
        let socket = configuration::socket(self.folder());
        let output = self.command("ctr").args(["--address", &socket]).args(args).output().context("running ctr")?;
        if !output.status.success() {
            bail!("ctr {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Starts a program inside, beside those that run already.
    fn run(&self, name: &'static str, program: &OsStr, flags: Vec<String>) -> Result<()> {
        let mut line = self.namespaces.within();
        line.push(program.to_owned());
        line.extend(flags.into_iter().map(OsString::from));
        let component = Component::supervised(name, &[], &line, self.folder())?;
        self.components().insert(0, component);
        Ok(())
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.folder().join(name);
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    }

    fn until<T>(&self, awaited: &str, ask: impl FnMut() -> Result<T, String>) -> Result<T, Error> {
        let check = || self.components().iter_mut().try_for_each(Component::check);
        controlplane::until(awaited, ask, check, || self.logs())
    }

    fn components(&self) -> MutexGuard<'_, Vec<Component>> {
        // A panic elsewhere leaves processes in a state that is checked anyway.
        self.components.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
