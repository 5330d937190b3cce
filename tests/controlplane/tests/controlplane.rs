//! The control plane that every other cluster test stands on.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use controlplane::{ControlPlane, Error, Options};

fn example() -> std::path::PathBuf {
    // target/debug/deps/this-test -> target/debug/examples/up, which `cargo test` builds with the tests.
    let test = std::env::current_exe().unwrap();
    let example = test.parent().unwrap().parent().unwrap().join("examples/up");
    assert!(example.is_file(), "build it first: cargo build -p retinue-controlplane --example up");
    example
}

/// Waits until nothing runs whose command line names `folder`, and the folder is gone.
fn gone(folder: &str) -> bool {
    let deadline = Instant::now() + Duration::from_secs(20);
    let trace = || Path::new(folder).exists() || !processes_naming(folder).is_empty();
    while trace() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    !trace()
}

fn pid_of(command: &str) -> String {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let mut found = processes.filter(|process| {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).replace('\0', " ").contains(command)
    });
    found.next().unwrap().file_name().into_string().unwrap()
}

fn processes_naming(folder: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " ")).filter(|line| line.contains(folder)).collect()
}

#[test]
fn a_deployment_runs_and_its_pod_is_someone() {
    let cluster = ControlPlane::shared().unwrap();
    let namespace = cluster.namespace().unwrap();
    cluster.service_account(&namespace, "eod").unwrap();
    let image = "example.com/eod@sha256:0000000000000000000000000000000000000000000000000000000000000000";
    cluster
        .apply(&format!(
            r#"{{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {{"name": "eod", "namespace": "{namespace}"}},
                "spec": {{"selector": {{"matchLabels": {{"app": "eod"}}}}, "template": {{
                "metadata": {{"labels": {{"app": "eod"}}}},
                "spec": {{"serviceAccountName": "eod", "containers": [{{"name": "main", "image": "{image}"}}]}}}}}}}}"#
        ))
        .unwrap();
    let pod = cluster.running_pod(&namespace, "app=eod").unwrap();
    let live = cluster.get(&format!("/api/v1/namespaces/{namespace}/pods/{pod}")).unwrap();
    assert!(live["status"]["podIP"].as_str().unwrap().starts_with("10.129."), "{}", live["status"]);

    let kubeconfig = cluster.kubeconfig_of_pod(&namespace, &pod).unwrap();
    let who = cluster.kubectl_as(&kubeconfig, &["auth", "whoami", "-o", "json"]).unwrap().ok().unwrap();
    let who: serde_json::Value = serde_json::from_str(&who).unwrap();
    let user = &who["status"]["userInfo"];
    assert_eq!(user["username"], format!("system:serviceaccount:{namespace}:eod"));
    assert_eq!(user["extra"]["authentication.kubernetes.io/pod-name"][0], pod.as_str());
    assert_eq!(user["extra"]["authentication.kubernetes.io/pod-uid"][0], live["metadata"]["uid"]);

    // RBAC is on: this account was granted nothing, and an ordinary user neither.
    let user = cluster.kubeconfig_of_user("jane", None).unwrap();
    for kubeconfig in [kubeconfig, user] {
        let refused = cluster.kubectl_as(&kubeconfig, &["-n", &namespace, "get", "pods"]).unwrap();
        assert!(!refused.success() && refused.stderr.contains("Forbidden"), "{}", refused.stderr);
    }
}

#[test]
fn a_pod_completes_where_it_says_so_and_a_job_with_it() {
    let cluster = ControlPlane::shared().unwrap();
    let namespace = cluster.namespace().unwrap();
    cluster
        .apply(&format!(
            r#"{{"apiVersion": "batch/v1", "kind": "Job", "metadata": {{"name": "short", "namespace": "{namespace}"}},
                "spec": {{"template": {{"metadata": {{"annotations": {{"simulate": "completes"}}}},
                "spec": {{"restartPolicy": "Never", "containers": [{{"name": "main", "image": "x"}}]}}}}}}}}"#
        ))
        .unwrap();
    let wait = ["-n", &namespace, "wait", "job/short", "--for=condition=Complete", "--timeout=60s"];
    cluster.kubectl(&wait).unwrap().ok().unwrap();
}

#[test]
fn requests_are_in_the_audit_log() {
    let cluster = ControlPlane::shared().unwrap();
    let namespace = cluster.namespace().unwrap();
    cluster.kubectl(&["-n", &namespace, "create", "configmap", "told"]).unwrap().ok().unwrap();
    let event = cluster
        .audit_event(|event| {
            event["verb"] == "create"
                && event["objectRef"]["namespace"] == namespace
                && event["objectRef"]["name"] == "told"
        })
        .unwrap();
    assert_eq!((&event["user"]["username"], &event["level"]), (&"admin".into(), &"Metadata".into()));
    assert!(event["annotations"]["authorization.k8s.io/decision"] == "allow", "{event}");
    assert!(event.get("requestObject").is_none(), "{event}");
}

#[test]
fn blocking_an_owners_deletion_takes_the_right_to_finalize_it() {
    // OwnerReferencesPermissionEnforcement is off by default in Kubernetes and on here.
    let cluster = ControlPlane::shared().unwrap();
    let namespace = cluster.namespace().unwrap();
    let in_it = |args: &[&str]| cluster.kubectl(&[&["-n", &namespace], args].concat()).unwrap().ok().unwrap();
    in_it(&["create", "role", "maker", "--verb=create", "--resource=configmaps"]);
    in_it(&["create", "rolebinding", "maker", "--role=maker", "--user=maker"]);
    let maker = cluster.kubeconfig_of_user("maker", None).unwrap();
    let owned = |name: &str, blocking: bool| {
        let object = format!(
            r#"{{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {{"name": "{name}", "namespace": "{namespace}", "ownerReferences":
                [{{"apiVersion": "apps/v1", "kind": "Deployment", "name": "a", "uid": "b", "blockOwnerDeletion": {blocking}}}]}}}}"#
        );
        cluster.kubectl_with(&maker, &["create", "--validate=false", "-f", "-"], &object).unwrap()
    };
    let refused = owned("blocking", true);
    assert!(refused.stderr.contains("cannot set blockOwnerDeletion"), "{}", refused.stderr);
    owned("plain", false).ok().unwrap();
}

#[test]
fn two_at_once_know_nothing_of_each_other() {
    let starting = std::thread::spawn(|| Options::api_only().start().unwrap());
    let (one, two) = (Options::api_only().start().unwrap(), starting.join().unwrap());
    assert_ne!(one.server_url(), two.server_url());
    let namespace = one.namespace().unwrap();
    assert!(one.kubectl(&["get", "namespace", &namespace]).unwrap().success());
    assert!(!two.kubectl(&["get", "namespace", &namespace]).unwrap().success());
    let folder = one.folder().to_owned();
    drop(one);
    assert!(gone(folder.to_str().unwrap()), "{:?}", processes_naming(folder.to_str().unwrap()));
    assert!(two.kubectl(&["get", "namespaces"]).unwrap().success());
}

#[test]
fn an_api_server_that_was_stopped_comes_back_as_it_was() {
    let cluster = Options::api_only().start().unwrap();
    let namespace = cluster.namespace().unwrap();
    cluster.stop_apiserver();
    assert!(cluster.get("/api").is_err());
    cluster.start_apiserver().unwrap();
    assert!(cluster.kubectl(&["get", "namespace", &namespace]).unwrap().success());
}

#[test]
fn it_dies_with_its_parent_even_by_sigkill() {
    let mut parent =
        Command::new(example()).arg("--api-only").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(parent.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let kubeconfig = Path::new(line.trim().strip_prefix("export KUBECONFIG=").unwrap());
    let folder = kubeconfig.parent().unwrap().to_str().unwrap();
    // etcd and the API server, each under its supervisor.
    assert_eq!(processes_naming(folder).len(), 4, "{:?}", processes_naming(folder));
    parent.kill().unwrap();
    parent.wait().unwrap();
    assert!(gone(folder), "{folder}: {:?}", processes_naming(folder));
}

#[test]
fn a_program_dies_with_its_supervisor_too() {
    let cluster = Options::api_only().start().unwrap();
    let folder = cluster.folder().to_str().unwrap();
    let supervisor = pid_of(&format!("supervise {folder}/kube-apiserver.log"));
    assert!(Command::new("kill").args(["-9", &supervisor]).status().unwrap().success());
    let deadline = Instant::now() + Duration::from_secs(10);
    let lives = || !processes_naming(&format!("{folder}/apiserver.crt")).is_empty();
    while lives() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(!lives());
    assert!(cluster.running_pod("default", "app=none").unwrap_err().to_string().contains("kube-apiserver ended"));
}

#[test]
fn a_broken_flag_shows_what_the_api_server_says() {
    let error = Options::api_only().apiserver_flag("--no-such-flag=1").start().unwrap_err();
    assert!(matches!(&error, Error::Ended { component, .. } if component == "kube-apiserver"), "{error}");
    assert!(error.to_string().contains("unknown flag: --no-such-flag"), "{error}");
}

#[test]
fn kubebuilder_assets_are_used_where_they_have_the_program() {
    // A folder with an API server that only says that it is another.
    let assets = tempfile::tempdir().unwrap();
    let program = assets.path().join("kube-apiserver");
    std::fs::write(&program, "#!/bin/sh\necho I am the other one; exit 7\n").unwrap();
    Command::new("chmod").arg("+x").arg(&program).status().unwrap();
    let run = Command::new(example()).arg("--api-only").env("KUBEBUILDER_ASSETS", assets.path()).output().unwrap();
    let told = String::from_utf8(run.stderr).unwrap();
    assert!(!run.status.success() && told.contains("I am the other one") && told.contains("exit code 7"), "{told}");
}
