//! A master that is a real pod, with the token that its kubelet mounted, launches Jobs that really run and really end.

use jiff::{SignedDuration, Timestamp};
use node::IMAGE;
use policies::{keys, lifetime};

use crate::essential::{Runs, spec};
use crate::house::{account, room};

/// What a dependent's end may take after its deadline: one request of the collector, and a kubelet that has much to do.
const SOON: SignedDuration = SignedDuration::from_secs(10);

/// The admin's template and the master's account.
fn rights() -> String {
    let account = account("- {apiGroups: [batch], resources: [jobs], verbs: [create]}");
    format!(
        r#"apiVersion: v1
kind: ConfigMap
metadata:
  name: work
  labels: {{fledged.io/templates: "true"}}
  annotations: {{fledged.io/duration: "600"}}
data:
  parameters: |
    name: {{type: string, pattern: "[a-z]{{1,8}}"}}
    steps: {{type: array, items: {{type: string}}, maxItems: 10}}
    lifetime: {{type: string, format: duration, default: 10m}}
  job.yaml: |
    apiVersion: batch/v1
    kind: Job
    metadata:
      name: "${{name}}"
      annotations: {{fledged.io/duration: "${{lifetime}}"}}
    spec:
      backoffLimit: 0
      template:
        spec:
          restartPolicy: Never
          containers:
          - name: main
            image: {IMAGE}
            args: ${{steps}}
---
{account}"#
    )
}

/// A Job as the master sends it.
fn job(name: &str, lifetime: &str, steps: &str) -> String {
    format!(
        r#"apiVersion: batch/v1
kind: Job
metadata:
  name: {name}
  annotations: {{fledged.io/duration: "{lifetime}"}}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: main
        image: {IMAGE}
        args: {steps}
"#
    )
}

/// As a value of a ConfigMap's data, after `|`.
fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

/// The master: the manifests that it sends, one after the other, and its Deployment.
fn master(jobs: &[(&str, String)]) -> String {
    let files: String = jobs.iter().map(|(name, job)| format!("  {name}: |\n{}", indented(job))).collect();
    let steps: String = jobs.iter().map(|(name, _)| format!("launch, /jobs/{name}, then, ")).collect();
    format!(
        r#"apiVersion: v1
kind: ConfigMap
metadata: {{name: jobs}}
data:
{files}---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: eod}}
spec:
  selector: {{matchLabels: {{app: eod}}}}
  template:
    metadata:
      labels: {{app: eod}}
      annotations: {{fledged.io/manifests: work}}
    spec:
      serviceAccountName: eod
      containers:
      - name: main
        image: {IMAGE}
        args: [{steps}pause]
        volumeMounts: [{{name: jobs, mountPath: /jobs}}]
      volumes: [{{name: jobs, configMap: {{name: jobs}}}}]
"#
    )
}

#[test]
fn a_master_launches_with_its_mounted_token_a_job_that_completes_and_one_that_ends_at_its_deadline() {
    let Some(room) = room() else { return };
    room.apply(&rights());
    room.apply(&master(&[
        ("long", job("long", "20s", "[print, started, then, sleep, '600']")),
        ("short", job("short", "10m", "[print, worked]")),
    ]));

    room.wait("job/long", "create");
    let long = room.get("job/long");
    let label = long["metadata"]["labels"][keys::EXPIRES_AT].as_str().unwrap();
    let deadline = lifetime::read_label(label).unwrap();
    let owner = &long["metadata"]["ownerReferences"][0];
    assert_eq!((owner["kind"].as_str(), owner["name"].as_str()), (Some("Deployment"), Some("eod")), "{long}");

    room.wait("job/short", "create");
    room.wait("job/short", "condition=Complete");
    assert_eq!(room.kubectl(&["logs", "job/short"]), "worked\n");

    room.wait("job/long", "jsonpath={.status.ready}=1");
    let running = || room.running().into_iter().filter(|it| it.starts_with("long-")).count();
    assert_eq!(running(), 1, "{:?}", room.running());
    room.wait("job/long", "delete");
    let gone = Timestamp::now();
    assert!(deadline <= gone && gone < deadline + SOON, "gone at {gone}, its deadline was {deadline}");
    let master = room.kubectl(&["get", "pods", "--selector", "app=eod", "-o", "jsonpath={.items[0].metadata.name}"]);
    room.until_running(&[&format!("{master}/main")]);

    // The master and what is not over yet are left alone.
    assert_eq!(room.get("job/short")["status"]["succeeded"], 1);
    assert_eq!(room.get("deployment/eod")["status"]["readyReplicas"], 1);
}

/// A Job of several pods with an essential container, whose sidecar ends with another code than 0 when it is told to.
fn many(runs: &Runs) -> String {
    let spec = spec(runs, "Never", "many", "sleep, '1'", "linger, 1500ms, then, pause");
    format!(
        r#"apiVersion: batch/v1
kind: Job
metadata:
  name: many
  annotations: {{fledged.io/native-sidecars: "true"}}
spec:
  backoffLimit: 0
  completions: 6
  parallelism: 3
  template:
    metadata: {{labels: {{essential-container: main}}}}
    spec: {}
"#,
        spec.replace('\n', " ")
    )
}

#[test]
fn a_masters_job_whose_sidecars_became_native_runs_each_work_once_and_needs_no_collector() {
    let Some(room) = room() else { return };
    let runs = Runs::of(&room);
    let job = many(&runs);
    let data = format!("  many.yaml: |\n{}  job.yaml: |\n", indented(&job));
    room.apply(&rights().replace("  job.yaml: |\n", &data));
    room.apply(&master(&[("many", job)]));
    room.wait("job/many", "create");
    room.wait("job/many", "condition=Complete");
    let live = room.get("job/many");
    let status = &live["status"];
    assert_eq!((status["succeeded"].as_u64(), status["failed"].as_u64()), (Some(6), None), "{status}");
    let pod = &live["spec"]["template"]["spec"];
    let (inits, regular) = (&pod["initContainers"], &pod["containers"]);
    assert_eq!((inits[0]["name"].as_str(), inits[0]["restartPolicy"].as_str()), (Some("side"), Some("Always")));
    assert_eq!((regular[0]["name"].as_str(), regular.as_array().map(Vec::len)), (Some("main"), Some(1)));
    assert_eq!(runs.count("many"), 6, "{}", room.house.told(&room.namespace));
    // The nodes ended the pods: nobody else wrote on them.
    let pods = room.kubectl(&["get", "pods", "--selector", "job-name=many", "-o", "json"]);
    assert_eq!(pods.matches("\"phase\": \"Succeeded\"").count(), 6, "{pods}");
    assert!(!pods.contains(keys::ESSENTIAL_COMPLETED), "{pods}");
    let events = room.kubectl(&["get", "events", "-o", "jsonpath={.items[*].reason}"]);
    assert!(!events.contains("EssentialContainer"), "{events}");
}
