//! Essential containers where containers really run: a sidecar lives on after the work has completed, and the pod ends.

use std::fmt::Write as _;
use std::path::PathBuf;

use node::IMAGE;

use crate::house::{Room, room};

/// The spec of a pod whose container `main` writes a line each time that it runs, and does `steps`; beside it a sidecar
/// that never ends by itself.
pub(crate) fn spec(runs: &Runs, restart: &str, name: &str, steps: &str, sidecar: &str) -> String {
    format!(
        r#"{{restartPolicy: {restart}, terminationGracePeriodSeconds: 10,
  containers: [
    {{name: main, image: {IMAGE}, args: [append, /runs/{name}, ran, then, {steps}],
      volumeMounts: [{{name: runs, mountPath: /runs}}]}},
    {{name: side, image: {IMAGE}, args: [{sidecar}]}}],
  volumes: [{{name: runs, hostPath: {{path: {}}}}}]}}"#,
        runs.0.display()
    )
}

fn pod(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{essential-containers: main}}}}\nspec: {spec}\n"
    )
}

/// A Job that would try again ten times.
fn job(name: &str, more: &str, spec: &str) -> String {
    format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: {name}}}\nspec: {{backoffLimit: 10, {more}template: \
         {{metadata: {{labels: {{essential-container: main}}}}, spec: {spec}}}}}\n"
    )
}

/// Where each run of a container leaves a line.
pub(crate) struct Runs(PathBuf);

impl Runs {
    pub(crate) fn of(room: &Room) -> Self {
        let folder = room.house.machine.folder().join(format!("runs-{}", room.namespace));
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    /// How often `name` ran.
    pub(crate) fn count(&self, name: &str) -> usize {
        std::fs::read_to_string(self.0.join(name)).unwrap().lines().count()
    }
}

impl Room {
    /// Waits until a pod is gone, and with it what really ran.
    fn until_gone(&self, pod: &str) {
        self.wait(&format!("pod/{pod}"), "delete");
        self.until_running(&[]);
    }
}

#[test]
fn a_bare_pod_whose_work_has_completed_goes_although_its_sidecar_lives() {
    let Some(room) = room() else { return };
    let runs = Runs::of(&room);
    room.apply(&pod("a", &spec(&runs, "Never", "a", "sleep, '2'", "pause")));
    room.wait("pod/a", "condition=Ready");
    room.until_gone("a");
    assert_eq!(runs.count("a"), 1);
    let events = room.kubectl(&["get", "events", "-o", "jsonpath={.items[*].reason}"]);
    assert!(events.contains("EssentialContainerCompleted"), "{events}");
}

#[test]
fn what_is_started_again_always_ends_with_its_first_completion_and_not_with_a_crash() {
    let Some(room) = room() else { return };
    let runs = Runs::of(&room);
    // Its first run crashes, the second completes.
    room.apply(&pod("a", &spec(&runs, "Always", "a", "until, '2', /runs/a, '1'", "pause")));
    room.until_gone("a");
    // It may have been started again, and was then ended.
    assert!((2..=3).contains(&runs.count("a")), "{}", runs.count("a"));
}

#[test]
fn a_completion_that_was_missed_and_is_started_again_already_counts() {
    let Some(room) = room() else { return };
    let runs = Runs::of(&room);
    // Nobody follows it before the label is there.
    let unlabelled = pod("a", &spec(&runs, "Always", "a", "until, '2', /runs/a, '0', then, pause", "pause"))
        .replace("labels: {essential-containers: main}", "labels: {app: a}");
    room.apply(&unlabelled);
    room.wait("pod/a", r"jsonpath={.status.containerStatuses[?(@.name=='main')].restartCount}=1");
    room.wait(
        "pod/a",
        r"jsonpath={.status.containerStatuses[?(@.name=='main')].lastState.terminated.reason}=Completed",
    );
    room.kubectl(&["label", "pod", "a", "essential-containers=main"]);
    room.until_gone("a");
    assert_eq!(runs.count("a"), 2);
}

#[test]
fn a_jobs_work_runs_exactly_once_and_the_job_completes_however_its_sidecar_ends() {
    let Some(room) = room() else { return };
    let runs = Runs::of(&room);
    // The sidecar ends with 143 when it is told to, which makes a failure of the pod: at once or later, around the
    // instants at which the Job's controller looks, about a second after news of a pod.
    let mut manifests = String::new();
    let names: Vec<String> = (0..12).map(|number| format!("job-{number}")).collect();
    for (number, name) in names.iter().enumerate() {
        let restart = ["Never", "OnFailure"][number % 2];
        let sidecar = format!("linger, {}ms, then, pause", number * 120);
        let spec = spec(&runs, restart, name, "sleep, '1'", &sidecar);
        writeln!(manifests, "---\n{}", job(name, "", &spec)).unwrap();
    }
    room.apply(&manifests);
    for name in &names {
        room.wait(&format!("job/{name}"), "condition=Complete");
    }
    room.until_running(&[]);
    for name in &names {
        let status = &room.get(&format!("job/{name}"))["status"];
        assert_eq!((status["succeeded"].as_u64(), status["failed"].as_u64()), (Some(1), None), "{name}: {status}");
        assert_eq!(runs.count(name), 1, "{name}");
    }
}

#[test]
fn a_job_of_several_pods_counts_each() {
    let Some(room) = room() else { return };
    let runs = Runs::of(&room);
    let spec = spec(&runs, "Never", "many", "sleep, '1'", "pause");
    room.apply(&job("many", "completions: 4, parallelism: 2, completionMode: Indexed, ", &spec));
    room.wait("job/many", "condition=Complete");
    room.until_running(&[]);
    let status = &room.get("job/many")["status"];
    assert_eq!((status["succeeded"].as_u64(), status["failed"].as_u64()), (Some(4), None), "{status}");
    assert_eq!(status["completedIndexes"], "0-3");
    assert_eq!(runs.count("many"), 4, "{}", room.house.told(&room.namespace));
}

#[test]
fn a_jobs_work_that_crashes_runs_again_and_a_sidecar_that_crashes_fails_no_work() {
    let Some(room) = room() else { return };
    let runs = Runs::of(&room);
    let crashing = spec(&runs, "OnFailure", "crashing", "until, '2', /runs/crashing, '1'", "pause");
    // The sidecar is gone for good before the work has completed: to its node the pod has failed.
    let broken = spec(&runs, "Never", "broken", "sleep, '3'", "exit, '7'");
    room.apply(&format!("{}---\n{}", job("crashing", "", &crashing), job("broken", "", &broken)));
    for (name, count) in [("broken", 1), ("crashing", 2)] {
        room.wait(&format!("job/{name}"), "condition=Complete");
        assert_eq!(room.get(&format!("job/{name}"))["status"]["failed"].as_u64(), None, "{name}");
        assert_eq!(runs.count(name), count, "{name}");
    }
    room.until_running(&[]);
}
