//! What a pod of a Job says: where it is, how its containers fare, why it waits, how it ended.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::{list, number, text, time};
use crate::sidecars::is_native;

/// The longest message that a report repeats, characters: a scheduler's about a large cluster can be pages long.
const MESSAGE: usize = 500;

/// A pod as the API server shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its node; none before it is scheduled.
    pub node: Option<String>,
    /// `status.phase`.
    pub phase: String,
    /// When its node took it on (`status.startTime`).
    #[serde(serialize_with = "super::maybe_written")]
    pub started: Option<Timestamp>,
    /// How many containers are ready, native sidecars among them, as kubectl counts.
    pub ready: usize,
    /// Of how many.
    pub containers: usize,
    /// How often containers were started again.
    pub restarts: u64,
    /// Why it waits or ended: `ImagePullBackOff`, `Unschedulable`, `CrashLoopBackOff`, `OOMKilled`, `Evicted`, `Error`.
    pub reason: Option<String>,
    /// More of that, in the words of whoever says it.
    pub message: Option<String>,
    /// The containers that ended otherwise than with exit code 0, but for native sidecars that were stopped at the end.
    pub exits: Vec<Exit>,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// Whether it is gone; the rest is as last seen.
    pub gone: bool,
    /// When it was made.
    #[serde(skip)]
    pub created: Option<Timestamp>,
    /// Each container, init containers first: what its logs are read by.
    #[serde(skip)]
    pub runs: Vec<Run>,
}

/// A container that ended badly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Exit {
    /// Which.
    pub container: String,
    /// Its exit code.
    pub code: i64,
    /// `Error`, `OOMKilled`, …
    pub reason: Option<String>,
    /// What it left as its termination message.
    pub message: Option<String>,
}

/// One container, as far as it ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Which.
    pub container: String,
    /// How often it was started again.
    pub restarts: u64,
    /// Whether it has ever run.
    pub began: bool,
    /// Whether it runs.
    pub running: bool,
    /// Whether it runs no more, and will not again.
    pub over: bool,
    /// Whether its pod is gone or going, and its log with it.
    pub gone: bool,
}

impl Pod {
    /// Reads one.
    pub fn read(pod: &Value) -> Self {
        let own = |pointer| text(pod, pointer).unwrap_or_default().to_owned();
        let phase = text(pod, "/status/phase").unwrap_or("Pending").to_owned();
        let (inits, regular) =
            (|| list(pod, "/status/initContainerStatuses"), || list(pod, "/status/containerStatuses"));
        let statuses: Vec<&Value> = inits().chain(regular()).collect();
        let natives: Vec<&Value> = list(pod, "/spec/initContainers")
            .filter(|container| is_native(container))
            .map(|container| &container["name"])
            .collect();
        let of_native = |status: &&Value| natives.contains(&&status["name"]);
        // When the others have ended, native sidecars are stopped: how says nothing.
        let ended = regular().count() > 0 && regular().all(|status| !status["state"]["terminated"].is_null());
        let telling: Vec<&Value> = statuses.iter().copied().filter(|status| !(ended && of_native(status))).collect();
        let (reason, message) = why(pod, &telling).unzip();
        let is_ready = |status: &&Value| status["ready"] == true;
        let terminating = !pod["metadata"]["deletionTimestamp"].is_null();
        let over = matches!(phase.as_str(), "Succeeded" | "Failed");
        Self {
            name: own("/metadata/name"),
            uid: own("/metadata/uid"),
            node: text(pod, "/spec/nodeName").map(Into::into),
            started: time(pod, "/status/startTime"),
            ready: regular().chain(inits().filter(of_native)).filter(is_ready).count(),
            containers: list(pod, "/spec/containers").count() + natives.len(),
            restarts: statuses.iter().map(|status| number(status, "/restartCount")).sum(),
            reason,
            message: message.flatten().map(|text: String| text.chars().take(MESSAGE).collect()),
            exits: telling.iter().copied().filter_map(exit).collect(),
            terminating,
            gone: false,
            created: time(pod, "/metadata/creationTimestamp"),
            runs: statuses.iter().map(|status| Run { gone: terminating, ..run(status, over) }).collect(),
            phase,
        }
    }

    /// The same, gone: what did not end before has ended somehow.
    #[must_use]
    pub fn gone(mut self) -> Self {
        self.gone = true;
        self.ready = 0;
        for run in &mut self.runs {
            run.running = false;
            run.over = true;
            run.gone = true;
        }
        self
    }

    /// Whether it is on its way or runs.
    pub fn is_active(&self) -> bool {
        !self.gone && !self.is_over()
    }

    /// Whether it has ended, whatever becomes of the object.
    pub fn is_over(&self) -> bool {
        self.gone || matches!(self.phase.as_str(), "Succeeded" | "Failed")
    }
}

/// Why a pod waits, or what ended it; the most telling first.
fn why(pod: &Value, statuses: &[&Value]) -> Option<(String, Option<String>)> {
    let told = |reason: &str, message: Option<&str>| Some((reason.to_owned(), message.map(str::to_owned)));
    // Evicted, DeadlineExceeded, NodeLost: what befell the pod as a whole.
    if let Some(reason) = text(pod, "/status/reason") {
        return told(reason, text(pod, "/status/message"));
    }
    for condition in list(pod, "/status/conditions") {
        if condition["type"] == "PodScheduled" && condition["status"] == "False" {
            return told(text(condition, "/reason").unwrap_or("Unscheduled"), text(condition, "/message"));
        }
    }
    // These two say only that the node has begun, or that an init container is not done: any other reason tells more.
    let begun = |reason: &str| matches!(reason, "ContainerCreating" | "PodInitializing");
    let waits = |status: &Value| text(status, "/state/waiting/reason").map(str::to_owned);
    if let Some(status) = statuses.iter().find(|status| waits(status).is_some_and(|reason| !begun(&reason))) {
        return told(&waits(status).unwrap_or_default(), text(status, "/state/waiting/message"));
    }
    if let Some(bad) = statuses.iter().copied().filter_map(exit).next_back() {
        return told(bad.reason.as_deref().unwrap_or("Error"), bad.message.as_deref());
    }
    let reason = statuses.iter().find_map(|status| waits(status));
    reason.and_then(|reason| told(&reason, None))
}

/// How a container ended badly, now or before it was started again.
fn exit(status: &Value) -> Option<Exit> {
    let ended = ["/state/terminated", "/lastState/terminated"].iter().find_map(|place| status.pointer(place))?;
    let code = ended["exitCode"].as_i64()?;
    (code != 0).then(|| Exit {
        container: text(status, "/name").unwrap_or_default().to_owned(),
        code,
        reason: text(ended, "/reason").map(Into::into),
        message: text(ended, "/message").map(|text| text.trim_end().chars().take(MESSAGE).collect()),
    })
}

fn run(status: &Value, pod_is_over: bool) -> Run {
    let ended = |place| !status.pointer(place).unwrap_or(&Value::Null).is_null();
    let (terminated, running) = (ended("/state/terminated"), ended("/state/running"));
    let restarts = number(status, "/restartCount");
    Run {
        container: text(status, "/name").unwrap_or_default().to_owned(),
        restarts,
        began: terminated || running || restarts > 0 || ended("/lastState/terminated"),
        running,
        over: pod_is_over && !running,
        gone: false,
    }
}
