//! Essential containers: a pod says by a label which of its containers are its work, and is done when one of them has
//! completed, whatever else still runs in it.
//!
//! Labels `essential-containers: a.b` and `essential-container: a` name regular containers, several joined by `.`, which
//! no container's name has; a pod with both labels names those of both. Completed is: terminated with the reason
//! `Completed` and exit code 0, now or before it was last started again. A crash is not. A label that names anything else
//! than regular containers of the pod is reported, and ends nothing.
//!
//! A pod that is done is deleted; not so one of a Job, which would run the work again. That one has succeeded: first for
//! its Job, which counts it, and only then for its node, which stops what still runs. The other way round a sidecar that does
//! not end well when it is stopped would make a failure of it that its Job may see. Where all its regular containers have
//! ended well it needs nothing of this: then its node ends it, native sidecars included.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;

use crate::keys;

/// By this finalizer a Job's controller marks pods that it has not counted yet (`batch.JobTrackingFinalizer`).
const UNCOUNTED: &str = "batch.kubernetes.io/job-tracking";

/// What of a pod's spec decides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    /// Regular containers.
    pub containers: Vec<Container>,
    /// Init containers, native sidecars among them.
    pub init_containers: Vec<Container>,
}

/// A container as the spec names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// `Always` makes a native sidecar of an init container.
    pub restart_policy: Option<String>,
}

/// What of a pod's status decides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// `Running`, `Succeeded`, …
    pub phase: Option<String>,
    /// Of regular containers.
    pub container_statuses: Vec<ContainerStatus>,
}

/// How a container fares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerStatus {
    /// Which.
    pub name: String,
    /// Now.
    pub state: State,
    /// Before it was last started again.
    pub last_state: State,
}

/// A state, as far as it is an end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct State {
    /// How it ended.
    pub terminated: Option<Terminated>,
}

/// How a container ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Terminated {
    /// 0 where all went well.
    pub exit_code: i64,
    /// `Completed`, `Error`, `OOMKilled`, …
    pub reason: String,
    /// When.
    pub finished_at: Option<String>,
}

/// A pod, as far as its labels and what it runs decide.
#[derive(Clone, Copy, Debug)]
pub struct Pod<'a> {
    /// Its labels.
    pub labels: &'a BTreeMap<String, String>,
    /// Whether its controller is a Job.
    pub of_job: bool,
    /// Its finalizers.
    pub finalizers: &'a [String],
    /// Whether its node was told already ([`keys::ESSENTIAL_COMPLETED`]).
    pub told: bool,
    /// Whether it is on its way out.
    pub terminating: bool,
    /// Its spec.
    pub spec: &'a Spec,
    /// Its status; none before its node has said a word.
    pub status: Option<&'a Status>,
}

impl<'a> Pod<'a> {
    /// Of its regular containers.
    fn statuses(&self) -> impl Iterator<Item = &'a ContainerStatus> {
        self.status.into_iter().flat_map(|status| &status.container_statuses)
    }
}

/// How a pod that is done ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is deleted.
    Delete,
    /// Its phase becomes Succeeded, which its Job counts.
    Succeed,
    /// Its phase is Succeeded, as its Job has counted, and its node is told, which stops what still runs.
    Stop,
}

/// What is to be done about a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Nothing, as far as is known now.
    Leave,
    /// It is done.
    Done {
        /// How it ends.
        end: End,
        /// Since when it is done; none where its node does not say.
        since: Option<Timestamp>,
    },
    /// Its labels cannot be followed. It is left alone, and the mistakes are reported.
    Mistaken(Vec<Mistake>),
}

/// What is wrong with a label.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// No name where one should be.
    #[error("the label {0} names nothing, or nothing between two dots")]
    Nothing(&'static str),
    /// No such container.
    #[error("{0} is no container of this pod")]
    Unknown(String),
    /// An init container has completed before any other starts.
    #[error("{0} is an init container, whose end is not that of the pod")]
    Init(String),
    /// A native sidecar ends when all others have.
    #[error("{0} is a native sidecar, which ends with the pod and never before")]
    Sidecar(String),
}

/// Judges a pod.
pub fn judge(pod: &Pod<'_>) -> Judgement {
    let phase = pod.status.and_then(|status| status.phase.as_deref()).unwrap_or("Pending");
    let end = match (pod.of_job, pod.finalizers.iter().any(|it| it == UNCOUNTED)) {
        (false, _) => End::Delete,
        (true, true) => End::Succeed,
        (true, false) => End::Stop,
    };
    let settled = match end {
        End::Delete => false,
        End::Succeed => phase == "Succeeded",
        // Whatever its phase becomes when all has ended, it has been counted.
        End::Stop => {
            let ended = pod.statuses().all(|status| status.state.terminated.is_some());
            phase == "Failed" || (phase == "Succeeded" && (pod.told || ended))
        }
    };
    if pod.terminating || settled {
        return Judgement::Leave;
    }
    let named = match named(pod) {
        Ok(named) => named,
        Err(mistakes) => return Judgement::Mistaken(mistakes),
    };
    let ended = pod.statuses().filter(|status| named.contains(status.name.as_str())).filter_map(completed);
    let Some(since) = ended.min_by_key(|at| at.unwrap_or(Timestamp::MAX)) else { return Judgement::Leave };
    // Its phase is then Succeeded as soon as its native sidecars are stopped; unless something else has called it Failed.
    if pod.of_job && phase != "Failed" && all_ended_well(pod) {
        return Judgement::Leave;
    }
    Judgement::Done { end, since }
}

/// Whether each regular container has ended well; whatever runs still is a native sidecar.
fn all_ended_well(pod: &Pod<'_>) -> bool {
    let ended = |name: &str| pod.statuses().find(|status| status.name == name)?.state.terminated.as_ref();
    let mut containers = pod.spec.containers.iter();
    !pod.spec.containers.is_empty() && containers.all(|it| ended(&it.name).is_some_and(|end| end.exit_code == 0))
}

/// The names in the value of a label; one that is missing is empty.
pub(crate) fn listed(value: &str) -> impl Iterator<Item = &str> {
    value.split('.').map(str::trim)
}

/// The containers that the labels name; none where there is no label.
fn named<'a>(pod: &Pod<'a>) -> Result<BTreeSet<&'a str>, Vec<Mistake>> {
    let mut names = BTreeSet::new();
    let mut mistakes = Vec::new();
    for label in keys::ESSENTIAL {
        let Some(value) = pod.labels.get(label) else { continue };
        let listed: Vec<&str> = listed(value).collect();
        if listed.contains(&"") {
            mistakes.push(Mistake::Nothing(label));
        }
        names.extend(listed.into_iter().filter(|name| !name.is_empty()));
    }
    for name in names.iter().filter(|name| !pod.spec.containers.iter().any(|it| it.name == **name)) {
        let name = (*name).to_owned();
        mistakes.push(match pod.spec.init_containers.iter().find(|it| it.name == name) {
            None => Mistake::Unknown(name),
            Some(init) if init.restart_policy.as_deref() == Some("Always") => Mistake::Sidecar(name),
            Some(_) => Mistake::Init(name),
        });
    }
    if mistakes.is_empty() { Ok(names) } else { Err(mistakes) }
}

/// When a container completed, as far as that is known; none where it has not.
fn completed(status: &ContainerStatus) -> Option<Option<Timestamp>> {
    let ends = [&status.last_state, &status.state].into_iter().filter_map(|state| state.terminated.as_ref());
    let end = ends.into_iter().find(|end| end.exit_code == 0 && end.reason == "Completed")?;
    Some(end.finished_at.as_deref().and_then(|at| at.parse().ok()))
}

#[cfg(test)]
#[path = "essential_tests.rs"]
mod tests;
