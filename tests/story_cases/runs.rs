//! `retinue run` as an admin: what becomes of a Job, and of the command, whatever happens meanwhile.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use controlplane::Fault;
use serde_json::{Value, json};

use crate::house::{binary, namespace, shared, stored, until};

/// What a run came to.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Its reports, one each line.
    pub(crate) fn reports(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect()
    }

    /// The last report, which says how it ended.
    pub(crate) fn last(&self) -> Value {
        self.reports().pop().unwrap_or_else(|| panic!("no report; {}", self.err))
    }
}

/// A run under way.
pub(crate) struct Running {
    child: Child,
    errors: Receiver<String>,
    err: String,
}

impl Running {
    /// Starts `retinue run` in `namespace`, as whoever the kubeconfig is for, with `input` on its standard input.
    pub(crate) fn start(kubeconfig: &Path, namespace: &str, args: &[&str], input: &str) -> Self {
        let mut child = Command::new(binary())
            .args(["run", "-n", namespace, "-o", "json"])
            .args(args)
            .env("KUBECONFIG", kubeconfig)
            .env_remove("RUST_LOG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It may end without reading, where its arguments are wrong.
        let _unread = child.stdin.take().unwrap().write_all(input.as_bytes());
        let (told, errors) = channel();
        let stderr = child.stderr.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _unheard = told.send(line);
            }
        });
        Self { child, errors, err: String::new() }
    }

    /// Waits for a line on standard error with these words.
    pub(crate) fn until_told(&mut self, words: &str) -> String {
        loop {
            let line = self.errors.recv_timeout(std::time::Duration::from_secs(60));
            let line = line.unwrap_or_else(|_| panic!("{words:?} was not told: {}", self.err));
            self.err.push_str(&line);
            self.err.push('\n');
            if line.contains(words) {
                return line;
            }
        }
    }

    /// Whether a line with these words has come on standard error.
    fn has_told(&mut self, words: &str) -> bool {
        self.err.extend(self.errors.try_iter().map(|line| line + "\n"));
        self.err.contains(words)
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([&format!("-{signal}"), &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for its end. A run that does not end is a failure of the test, told by the harness's own patience.
    pub(crate) fn end(mut self) -> Ran {
        let mut out = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        self.err.extend(self.errors.iter().map(|line| line + "\n"));
        Ran { code, out, err: self.err }
    }
}

pub(crate) fn run(kubeconfig: &Path, namespace: &str, args: &[&str], input: &str) -> Ran {
    Running::start(kubeconfig, namespace, args, input).end()
}

fn admin() -> PathBuf {
    shared().cluster.kubeconfig()
}

fn room(what: &str) -> String {
    let name = namespace(what);
    shared().cluster.namespace_named(&name).unwrap();
    name
}

/// A Job whose pods end as `simulate` says: `completes`, `fails`, or neither.
fn job(name: &str, simulate: &str, spec: &Value) -> String {
    let mut job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
        "spec": {"template": {
            "metadata": {"annotations": {"simulate": simulate}},
            "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "registry.example/work:1"}]},
        }},
    });
    for (key, value) in spec.as_object().into_iter().flatten() {
        job["spec"][key] = value.clone();
    }
    job.to_string()
}

fn path(namespace: &str, name: &str) -> String {
    format!("/apis/batch/v1/namespaces/{namespace}/jobs/{name}")
}

fn there(namespace: &str, name: &str) -> Option<Value> {
    stored(shared(), &path(namespace, name))
}

fn pods(namespace: &str) -> Vec<Value> {
    let list = shared().cluster.get(&format!("/api/v1/namespaces/{namespace}/pods")).unwrap();
    list["items"].as_array().unwrap().clone()
}

/// Of this Job: its controller may make a pod yet of one that it does not know to be gone.
fn running_pod(namespace: &str, job: &str) -> String {
    shared().cluster.running_pod(namespace, &format!("batch.kubernetes.io/job-name={job}")).unwrap()
}

#[test]
fn a_job_that_completes_is_reported_and_taken_away() {
    let ns = room("run-completes");
    let spec = json!({"parallelism": 2, "completions": 2});
    let ran = run(&admin(), &ns, &["-f", "-", "--interval", "1s"], &job("done", "completes", &spec));
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains(&format!("Job {ns}/done is created")), "{}", ran.err);
    let last = ran.last();
    assert_eq!((&last["ended"]["how"], &last["ended"]["exitCode"]), (&json!("complete"), &json!(0)));
    assert_eq!((&last["active"], &last["succeeded"], &last["failed"]), (&json!(0), &json!(2), &json!(0)));
    for pod in last["pods"].as_array().unwrap() {
        assert_eq!((&pod["phase"], &pod["node"], &pod["restarts"]), (&json!("Succeeded"), &json!("node-0"), &json!(0)));
        assert!(pod["started"].is_string(), "{pod}");
    }
    assert_eq!(ran.reports().iter().filter(|report| !report["ended"].is_null()).count(), 1);
    assert!(there(&ns, "done").is_none_or(|job| !job["metadata"]["deletionTimestamp"].is_null()));
    until("its pods are gone", || pods(&ns).is_empty().then_some(()));
}

#[test]
fn a_job_that_fails_says_which_container_of_which_try_exited_how() {
    let ns = room("run-fails");
    let ran = run(&admin(), &ns, &["-f", "-"], &job("bad", "fails", &json!({"backoffLimit": 1})));
    assert_eq!(ran.code, 1, "{}", ran.err);
    let last = ran.last();
    assert_eq!((&last["ended"]["how"], &last["ended"]["reason"]), (&json!("failed"), &json!("BackoffLimitExceeded")));
    let tries = last["pods"].as_array().unwrap();
    assert_eq!((tries.len(), &last["failed"]), (2, &json!(2)), "{last}");
    let message = last["ended"]["message"].as_str().unwrap();
    for pod in tries {
        let told = format!("container main of pod {} exited with code 3", pod["name"].as_str().unwrap());
        assert!(message.contains(&told), "{message}");
        assert_eq!(pod["exits"], json!([{"container": "main", "code": 3, "reason": "Error", "message": null}]));
    }
}

#[test]
fn a_job_that_overruns_is_ended_at_its_limit_and_nothing_is_left() {
    let ns = room("run-overruns");
    let args = ["--image", "registry.example/Work_er:1", "--time-limit", "2s", "--", "--forever"];
    let ran = run(&admin(), &ns, &args, "");
    assert_eq!(ran.code, 124, "{}", ran.err);
    let last = ran.last();
    assert_eq!((&last["ended"]["how"], &last["state"]), (&json!("time-limit"), &json!("gone")));
    let name = last["job"].as_str().unwrap();
    assert!(name.starts_with("run-work-er-"), "{name}");
    assert!(there(&ns, name).is_none());
    assert!(pods(&ns).is_empty(), "their end was waited for: {:?}", pods(&ns));
}

#[test]
fn the_limit_is_the_jobs_own_so_that_it_holds_when_the_command_is_killed() {
    let ns = room("run-killed");
    let mut run = Running::start(&admin(), &ns, &["-f", "-", "--time-limit", "3s"], &job("orphan", "no", &json!({})));
    run.until_told("is created");
    run.signal("KILL");
    run.end();
    let job = there(&ns, "orphan").unwrap();
    assert_eq!(
        (&job["spec"]["activeDeadlineSeconds"], &job["spec"]["ttlSecondsAfterFinished"]),
        (&json!(3), &json!(300))
    );
    let failed = until("the Job controller ends it", || {
        let job = there(&ns, "orphan")?;
        job["status"]["conditions"].as_array()?.iter().find(|it| it["type"] == "Failed").cloned()
    });
    assert_eq!(failed["reason"], "DeadlineExceeded");
}

#[test]
fn a_job_is_kept_where_asked_for() {
    let ns = room("run-kept");
    let ran = run(&admin(), &ns, &["-f", "-", "--keep"], &job("kept", "completes", &json!({})));
    assert_eq!(ran.code, 0, "{}", ran.err);
    let job = there(&ns, "kept").unwrap();
    assert!(
        job["metadata"]["deletionTimestamp"].is_null() && job["spec"]["ttlSecondsAfterFinished"].is_null(),
        "{job}"
    );
    assert_eq!(pods(&ns).len(), 1);
}

#[test]
fn a_signal_ends_the_job() {
    for signal in ["INT", "TERM"] {
        let ns = room("run-signal");
        let run = Running::start(&admin(), &ns, &["-f", "-"], &job("long", "no", &json!({})));
        running_pod(&ns, "long");
        run.signal(signal);
        let ran = run.end();
        assert_eq!(ran.code, 130, "{}", ran.err);
        assert_eq!(ran.last()["ended"]["how"], "interrupted");
        assert!(there(&ns, "long").is_none() && pods(&ns).is_empty(), "{:?}", pods(&ns));
    }
}

#[test]
fn a_signal_while_the_create_is_under_way_ends_what_it_made() {
    let ns = room("run-early");
    let cluster = &shared().cluster;
    cluster
        .apply(&format!(
            "{{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {{name: runs, namespace: {ns}}},
          roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: admin}},
          subjects: [{{kind: ServiceAccount, name: default, namespace: {ns}}}]}}"
        ))
        .unwrap();
    let relay = cluster.relay().unwrap();
    let kubeconfig = cluster.kubeconfig_through(&relay, &cluster.token(&ns, "default", None).unwrap()).unwrap();
    // The answer is lost; the Job is known again by what the create was sent as.
    relay.inject(&["POST", "/jobs?"], Fault::Lost);
    let mut run = Running::start(&kubeconfig, &ns, &["-f", "-"], &job("early", "no", &json!({})));
    until("the create is sent", || (relay.hits(&["POST", "/jobs?"]) > 0).then_some(()));
    run.signal("INT");
    run.until_told("is created");
    assert_eq!(run.end().code, 130);
    assert!(there(&ns, "early").is_none());
    // The Job controller may make a pod yet, of a Job that it does not know to be gone.
    until("its pods are gone", || pods(&ns).is_empty().then_some(()));

    // Watches that are cut, and a server that cannot be reached for a while: it goes on.
    relay.heal();
    let mut run = Running::start(&kubeconfig, &ns, &["-f", "-"], &job("on", "no", &json!({})));
    let pod = running_pod(&ns, "on");
    relay.inject(&["GET", "/jobs?"], Fault::Cut);
    // A watch that is only being opened is not cut yet.
    until("the watch of the Job is cut", || {
        relay.cut_watches();
        run.has_told("interrupted, and goes on").then_some(())
    });
    cluster.kubectl(&["-n", &ns, "annotate", "--overwrite", "pod", &pod, "simulate=completes"]).unwrap().ok().unwrap();
    until("it completes meanwhile", || Some(()).filter(|()| there(&ns, "on").unwrap()["status"]["succeeded"] == 1));
    relay.heal();
    let ran = run.end();
    assert_eq!((ran.code, &ran.last()["ended"]["how"]), (0, &json!("complete")), "{}", ran.err);
}

#[test]
fn a_job_that_somebody_else_deletes_or_replaces_is_told() {
    let ns = room("run-deleted");
    let manifest = job("theirs", "no", &json!({}));
    let run = Running::start(&admin(), &ns, &["-f", "-"], &manifest);
    running_pod(&ns, "theirs");
    let cluster = &shared().cluster;
    cluster.kubectl(&["-n", &ns, "delete", "job", "theirs", "--wait=false"]).unwrap().ok().unwrap();
    let ran = run.end();
    assert_eq!((ran.code, &ran.last()["ended"]["how"]), (1, &json!("deleted")), "{}", ran.err);

    // One that is there already is not taken over, nor taken away.
    cluster.kubectl_with(&admin(), &["-n", &ns, "create", "-f", "-"], &manifest).unwrap().ok().unwrap();
    let ran = self::run(&admin(), &ns, &["-f", "-"], &manifest);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{}", ran.err);
    assert!(ran.err.contains("already exists; it is left alone"), "{}", ran.err);
    assert!(there(&ns, "theirs").is_some());
}

#[test]
fn what_cannot_be_started_is_one_clear_message() {
    let ns = room("run-bad");
    let cluster = &shared().cluster;
    let good = job("a", "completes", &json!({}));
    let named = |text: &str| good.replace("\"name\":\"a\"", text);
    let cron = good.replace("\"Job\"", "\"CronJob\"");
    let pod = "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {}}";
    let admin = admin();
    let nobody = cluster.kubeconfig_with_token("nonsense").unwrap();
    let stranger = cluster.kubeconfig_with_token(&cluster.token(&ns, "default", None).unwrap()).unwrap();
    let broken = good.replace("Never", "Always");
    for (case, kubeconfig, namespace, input, code, expected) in [
        ("no namespace", &admin, "absent", good.as_str(), 2, "namespaces \"absent\" not found"),
        ("CronJob", &admin, &ns, &cron, 2, "kubectl create job"),
        ("Pod", &admin, &ns, pod, 2, "Pod p is no Job: put it under spec.template of a Job"),
        ("several", &admin, &ns, &format!("{good}\n---\n{good}"), 2, "2 objects in it"),
        (
            "elsewhere",
            &admin,
            &ns,
            &named("\"name\":\"a\",\"namespace\":\"b\""),
            2,
            "names the namespace b, and --namespace",
        ),
        ("a path", &admin, &ns, &named("\"name\":\"a\",\"namespace\":\"../b\""), 2, "names the namespace ../b"),
        ("invalid", &admin, &ns, &broken, 2, "restartPolicy"),
        ("401", &nobody, &ns, &good, 2, "Unauthorized"),
        ("403", &stranger, &ns, &good, 1, "cannot create resource \"jobs\""),
        ("nothing", &admin, &ns, "", 2, "no object in it"),
    ] {
        let ran = run(kubeconfig, namespace, &["-f", "-"], input);
        assert_eq!((ran.code, ran.out.as_str()), (code, ""), "{case}: {}", ran.err);
        assert!(ran.err.contains(expected), "{case}: {}", ran.err);
        assert_eq!(ran.err.lines().count(), 1, "{case}: {}", ran.err);
    }
    for (args, expected) in [
        (&["--image", "i", "-f", "-"][..], "cannot be used with"),
        (&[], "required"),
        (&["-f", "-", "--time-limit", "1 fortnight"], "1 fortnight"),
        (&["-f", "-", "--name", "x"], "cannot be used with"),
        (&["-f", "-", "--set", "a=b"], "--template KEY"),
        (&["--template", "job.yaml"], "name files with --manifests FILE"),
        (&["--image", "i", "--kubeconfig", "/no/such/file"], "cannot read /no/such/file"),
    ] {
        let ran = run(&admin, &ns, args, &good);
        assert_eq!(ran.code, 2, "{args:?}: {}", ran.err);
        assert!(ran.err.contains(expected), "{args:?}: {}", ran.err);
    }
    assert!(pods(&ns).is_empty());
}
