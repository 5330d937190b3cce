//! `retinue run` where containers really run: as an admin, and in a master's own pod with the token that its kubelet
//! mounted.

use std::process::Output;

use node::IMAGE;

use crate::house::{Room, account, retinue, room};

/// What `retinue run` of an image that does these steps came to.
fn run(room: &Room, options: &[&str], steps: &str) -> Output {
    let mut args = vec!["run", "-n", &room.namespace, "--image", IMAGE];
    args.extend(options);
    args.push("--");
    args.extend(steps.split(' '));
    retinue(room.house, &args).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn out(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn err(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[test]
fn a_job_that_ends_has_its_whole_log_on_standard_output() {
    let Some(room) = room() else { return };
    let lines: String = (0..200).map(|line| format!("print line {line} then ")).collect();
    let ran = run(&room, &["--logs"], &format!("{lines}sleep 1 then print the last"));
    let expected: String = (0..200).map(|line| format!("line {line}\n")).collect();
    assert_eq!((code(&ran), out(&ran)), (0, format!("{expected}the last\n").as_str()), "{}", err(&ran));
    assert!(err(&ran).contains("complete: it is complete"), "{}", err(&ran));
    room.until_running(&[]);
}

#[test]
fn a_job_that_overruns_is_ended_and_its_container_with_it() {
    let Some(room) = room() else { return };
    let ran = run(&room, &["--logs", "--time-limit", "5s"], "print begun then sleep 600");
    assert_eq!((code(&ran), out(&ran)), (124, "begun\n"), "{}", err(&ran));
    assert!(err(&ran).contains("time limit: it ran longer than its limit of 5 s"), "{}", err(&ran));
    assert_eq!(room.kubectl(&["get", "jobs,pods", "-o", "name"]), "", "their end was waited for");
    room.until_running(&[]);
}

#[test]
fn a_job_that_crashes_says_how_and_each_try_has_its_log_once() {
    let Some(room) = room() else { return };
    let ran = run(&room, &["--logs"], "print last words then exit 3");
    assert_eq!((code(&ran), out(&ran)), (1, "last words\n"), "{}", err(&ran));
    assert!(err(&ran).contains("exited with code 3"), "{}", err(&ran));

    let options = ["--logs", "--restart", "OnFailure", "--backoff-limit", "1", "-o", "json"];
    let again = run(&room, &options, "print once then exit 4");
    assert_eq!(code(&again), 1, "{}", err(&again));
    let last: serde_json::Value = serde_json::from_str(err(&again).lines().last().unwrap()).unwrap();
    let restarts = last["pods"][0]["restarts"].as_u64().unwrap();
    let lines = out(&again).lines().filter(|line| *line == "once").count() as u64;
    // The Job controller deletes the pod at its last failure, with what a container may have written just then.
    assert!(restarts >= 1 && (restarts..=restarts + 1).contains(&lines), "{restarts} {:?}", out(&again));
}

#[test]
fn what_keeps_a_pod_from_starting_is_told() {
    let Some(room) = room() else { return };
    let args =
        ["run", "-n", &room.namespace, "--image", "registry.invalid/none:1", "--time-limit", "4s", "--interval", "1s"];
    let ran = retinue(room.house, &args).output().unwrap();
    assert_eq!(code(&ran), 124, "{}", err(&ran));
    let told = out(&ran);
    assert!(told.contains("ErrImagePull") || told.contains("ImagePullBackOff"), "{told}");
}

/// The admin's template, the account of the master and its rights, and the master: a pod that runs `retinue run`.
fn master(image: &str) -> String {
    let account = account(
        "- {apiGroups: [batch], resources: [jobs], verbs: [create, delete, get, list, patch, watch]}\n\
         - {apiGroups: [\"\"], resources: [configmaps, pods, pods/log], verbs: [get, list, watch]}",
    );
    format!(
        r#"apiVersion: v1
kind: ConfigMap
metadata:
  name: work
  labels: {{fledged.io/templates: "true"}}
  annotations: {{fledged.io/duration: "600"}}
data:
  parameters: |
    text: {{type: string, pattern: "[a-z ]{{1,20}}"}}
  job.yaml: |
    apiVersion: batch/v1
    kind: Job
    metadata: {{name: work}}
    spec:
      backoffLimit: 0
      template:
        spec:
          restartPolicy: Never
          containers:
          - name: main
            image: {IMAGE}
            args: [print, "${{text}}", then, sleep, "1"]
---
{account}---
apiVersion: v1
kind: Pod
metadata:
  name: eod
  annotations: {{fledged.io/manifests: work}}
spec:
  serviceAccountName: eod
  restartPolicy: OnFailure
  containers:
  - name: main
    image: {image}
    args: [run, --template, job.yaml, --set, text=done by a master, --time-limit, 1m, --logs]
"#
    )
}

#[test]
fn a_masters_own_pod_runs_what_its_template_says() {
    let Some(room) = room() else { return };
    room.apply(&master(crate::house::IMAGE));
    room.wait("pod/eod", "jsonpath={.status.phase}=Succeeded");
    let log = room.kubectl(&["logs", "eod"]);
    for words in ["done by a master", "is created; its deadline is", "complete: it is complete"] {
        assert!(log.contains(words), "{words}: {log}");
    }
    room.wait("job/work", "delete");
}
