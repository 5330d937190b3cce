//! How a run ends, and what that is worth as an exit code.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::job::{Job, State};
use super::pod::Pod;

/// How far what is known of the API server's time may be behind: its answers tell whole seconds.
const CLOCK: SignedDuration = SignedDuration::from_secs(2);

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ending {
    /// In which way.
    pub how: How,
    /// Why, in a word: the failed condition's reason, or ours.
    pub reason: String,
    /// Why, in a sentence.
    pub message: String,
    /// What the process exits with.
    pub exit_code: u8,
}

/// In which way a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// The Job is Complete.
    Complete,
    /// The Job is Failed.
    Failed,
    /// Its limit, or the deadline of its stamp, has passed.
    TimeLimit,
    /// Somebody else deleted it.
    Deleted,
    /// Another Job has its name.
    Replaced,
    /// Whoever started it ended it.
    Interrupted,
}

impl How {
    /// 0 complete, 124 as `timeout` says it, 130 as a shell says SIGINT, 1 otherwise.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Complete => 0,
            Self::Failed | Self::Deleted | Self::Replaced => 1,
            Self::TimeLimit => 124,
            Self::Interrupted => 130,
        }
    }

    /// Whether the Job has come to its own end, so that no pod of it runs any more.
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Complete | Self::Failed)
    }
}

impl Ending {
    fn new(how: How, reason: &str, message: String) -> Self {
        Self { how, reason: reason.to_owned(), message, exit_code: how.exit_code() }
    }

    /// The limit has passed.
    pub fn time_limit(seconds: u64) -> Self {
        Self::new(How::TimeLimit, "TimeLimit", format!("it ran longer than its limit of {seconds} s"))
    }

    /// A signal came.
    pub fn interrupted() -> Self {
        Self::new(How::Interrupted, "Interrupted", "ended by a signal".to_owned())
    }

    /// Another Job by the same name is there.
    pub fn replaced(job: &Job) -> Self {
        let name = &job.name;
        Self::new(
            How::Replaced,
            "Replaced",
            format!(
                "Job {name} was deleted, and another one by that name is there now (uid {}): it is left alone",
                job.uid
            ),
        )
    }

    /// The Job, last seen as `job`, is gone.
    pub fn gone(job: &Job, limit: Option<u64>, now: Timestamp) -> Self {
        if let Some(ending) = Self::of(job, &[], limit) {
            return ending;
        }
        match job.deadline {
            Some(deadline) if deadline <= now + CLOCK => Self::new(
                How::TimeLimit,
                "Deadline",
                format!("its deadline, {deadline}, has passed, and it was deleted"),
            ),
            _ => Self::new(How::Deleted, "Deleted", "somebody else deleted it".to_owned()),
        }
    }

    /// How `job` has ended by itself; none while it goes on. `limit` is the limit that we gave it, in seconds, where it
    /// is the Job's own `activeDeadlineSeconds`: then that one is the limit, and no failure.
    pub fn of(job: &Job, pods: &[Pod], limit: Option<u64>) -> Option<Self> {
        match (job.state, &job.failure, limit) {
            (State::Complete, ..) => Some(Self::new(How::Complete, "Complete", complete(job))),
            (State::Failed, Some(failure), Some(limit)) if failure.reason == "DeadlineExceeded" => {
                Some(Self::time_limit(limit))
            }
            (State::Failed, failure, _) => {
                let failure = failure.clone().unwrap_or_default();
                Some(Self::new(How::Failed, &failure.reason, failed(&failure.message, pods)))
            }
            _ => None,
        }
    }
}

fn complete(job: &Job) -> String {
    match job.succeeded {
        0 | 1 => "it is complete".to_owned(),
        several => format!("it is complete: {several} pods succeeded"),
    }
}

/// How many pods a failure names.
const NAMED: usize = 5;

/// The condition's message, and which container of which pod ended how.
fn failed(message: &str, pods: &[Pod]) -> String {
    let mut text = message.to_owned();
    let bad: Vec<String> = pods.iter().filter_map(verdict).collect();
    for line in bad.iter().take(NAMED) {
        text.push_str("; ");
        text.push_str(line);
    }
    if bad.len() > NAMED {
        text.push_str(&format!("; and {} more", bad.len() - NAMED));
    }
    text
}

/// How a pod failed; none where it did not.
fn verdict(pod: &Pod) -> Option<String> {
    let exits: Vec<String> = pod
        .exits
        .iter()
        .map(|exit| {
            let reason = exit.reason.as_ref().filter(|reason| *reason != "Error");
            let why = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
            let last = exit.message.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
            format!("container {} of pod {} exited with code {}{why}{last}", exit.container, pod.name, exit.code)
        })
        .collect();
    if !exits.is_empty() {
        return Some(exits.join("; "));
    }
    // Evicted, or ended before any container ran.
    let reason = pod.reason.as_ref().filter(|_| pod.phase == "Failed")?;
    let more = pod.message.as_ref().map(|message| format!(" ({message})")).unwrap_or_default();
    Some(format!("pod {}: {reason}{more}", pod.name))
}
