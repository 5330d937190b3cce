//! The node that all tests of this binary share, with retinue installed on it as its documentation says, and what they
//! ask it.

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};
use controlplane::ControlPlane;
use node::{Machine, Node};
use serde_json::Value;

/// How long something that a kubelet does may take on a busy machine, as kubectl wants it.
const PATIENCE: &str = "--timeout=90s";

/// The image that `retinue install` names.
pub(crate) const IMAGE: &str = concat!("retinue:", env!("CARGO_PKG_VERSION"));

/// retinue's own namespace.
const OWN: &str = "retinue";

/// The shared node, with retinue running in pods on it.
pub(crate) struct House {
    pub(crate) machine: Machine,
    pub(crate) cluster: ControlPlane,
}

/// A namespace of one test.
pub(crate) struct Room {
    pub(crate) house: &'static House,
    pub(crate) namespace: String,
}

/// A fresh namespace on the shared node, with the calling thread inside its network: what this thread starts is inside too
/// (but not the workers of a runtime that it finds running). None where there is no node to be had: then the test is over.
pub(crate) fn room() -> Option<Room> {
    static HOUSE: OnceLock<Result<House, String>> = OnceLock::new();
    static TOLD: OnceLock<()> = OnceLock::new();
    if let Err(reason) = node::wanted() {
        // Past what the test harness captures: whoever reads the end of a run should know.
        let line = format!("NODE TESTS DID NOT RUN: {reason}\n");
        TOLD.get_or_init(|| std::io::stderr().write_all(line.as_bytes()).unwrap());
        return None;
    }
    let house = HOUSE.get_or_init(|| start().map_err(|error| format!("{error:#}"))).as_ref();
    let house = house.unwrap_or_else(|error| panic!("{error}"));
    house.machine.enter().unwrap();
    Some(Room { house, namespace: house.cluster.namespace().unwrap() })
}

/// The command line of retinue as the admin has it; run by a thread that is inside.
pub(crate) fn retinue(house: &House, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_retinue"));
    command.args(args).env("KUBECONFIG", house.cluster.kubeconfig());
    command
}

/// The account `eod`, a master by its Role, with these rules beside; each a line.
pub(crate) fn account(rules: &str) -> String {
    format!(
        r#"apiVersion: v1
kind: ServiceAccount
metadata: {{name: eod}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: eod}}
rules:
- {{apiGroups: [fledged.io], resources: [dependents], verbs: [launch]}}
{rules}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: eod}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: eod}}
subjects: [{{kind: ServiceAccount, name: eod}}]
"#
    )
}

/// Starts a node and installs retinue on it, as `deploy/README.md` says.
fn start() -> Result<House> {
    let Node { machine, cluster } = Node::start()?;
    machine.load(IMAGE, Path::new(env!("CARGO_BIN_EXE_retinue")), &[])?;
    let house = House { machine, cluster };
    let certs = house.cluster.folder().join("certs").display().to_string();
    output(&house, &["certs", "--out", &certs])?;
    house.cluster.namespace_named(OWN)?;
    let files = ["tls.crt", "tls.key", "ca.crt"].map(|name| format!("--from-file={certs}/{name}"));
    let mut secret = vec!["create", "secret", "generic", "retinue-webhook-tls"];
    secret.extend(files.each_ref().map(String::as_str));
    house.own(&secret)?;
    let manifests = output(&house, &["install", "--ca-bundle", &format!("{certs}/ca.crt")])?;
    let apply = ["apply", "--server-side", "-f", "-"];
    house.cluster.kubectl_with(&house.cluster.kubeconfig(), &apply, &manifests)?.ok()?;
    for role in ["deployment/retinue-webhook", "deployment/retinue-controller"] {
        house.own(&["rollout", "status", role, PATIENCE]).with_context(|| house.told(OWN))?;
    }
    Ok(house)
}

fn output(house: &House, args: &[&str]) -> Result<String> {
    let output = retinue(house, args).output()?;
    ensure!(output.status.success(), "retinue {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

impl House {
    /// What `kubectl` answers in retinue's own namespace; it must succeed. (`scale deployment/retinue-controller --replicas 0`
    /// takes the collector away from all tests.)
    pub(crate) fn own(&self, args: &[&str]) -> Result<String> {
        let mut all = vec!["-n", OWN];
        all.extend(args);
        Ok(self.cluster.kubectl(&all)?.ok()?)
    }

    /// What somebody wants to read when a test fails.
    pub(crate) fn told(&self, namespace: &str) -> String {
        let ask = |args: &[&str]| self.cluster.kubectl(args).map(|output| output.stdout).unwrap_or_default();
        let seen = ask(&["-n", namespace, "get", "pods,jobs,events", "-o", "wide"]);
        let said =
            ask(&["-n", OWN, "logs", "--prefix", "--tail", "50", "--selector", "app.kubernetes.io/name=retinue"]);
        format!("{seen}\n{said}\n{}", self.machine.logs())
    }
}

impl Room {
    /// What `kubectl` answers an admin in this namespace; it must succeed.
    pub(crate) fn kubectl(&self, args: &[&str]) -> String {
        let mut all = vec!["-n", &self.namespace];
        all.extend(args);
        let answer = self.house.cluster.kubectl(&all).unwrap().ok();
        answer.unwrap_or_else(|error| panic!("{error}\n{}", self.house.told(&self.namespace)))
    }

    /// Applies manifests in this namespace.
    pub(crate) fn apply(&self, manifests: &str) {
        let kubeconfig = self.house.cluster.kubeconfig();
        let args = ["-n", &self.namespace, "apply", "-f", "-"];
        self.house.cluster.kubectl_with(&kubeconfig, &args, manifests).unwrap().ok().unwrap();
    }

    /// Waits for what `kubectl wait` can wait for: `condition=Complete`, `delete`, `jsonpath={.status.phase}=Running`.
    pub(crate) fn wait(&self, object: &str, what: &str) {
        self.kubectl(&["wait", object, &format!("--for={what}"), PATIENCE]);
    }

    /// The object of this resource and name (`pod/a`), as the API server has it.
    pub(crate) fn get(&self, object: &str) -> Value {
        serde_json::from_str(&self.kubectl(&["get", object, "-o", "json"])).unwrap()
    }

    /// The containers of this namespace that really run: `POD/CONTAINER`, sorted.
    pub(crate) fn running(&self) -> Vec<String> {
        self.house.machine.running(&self.namespace).unwrap()
    }

    /// Waits until the containers of this namespace that really run are these.
    pub(crate) fn until_running(&self, expected: &[&str]) {
        let seen = || match self.running() {
            running if running == expected => Ok(()),
            running => Err(format!("{running:?}")),
        };
        self.house.cluster.until(&format!("{expected:?} and no other container"), seen).unwrap();
    }
}
