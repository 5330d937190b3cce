//! `retinue run`, what of it decides: which Job is sent and how its limit is held ([`plan`]), what a Job and its pods
//! say ([`job`], [`pod`]), how it has ended ([`ending`]).
//!
//! Objects are read as the API server shows them; a field that is missing or of another type counts as absent.

pub mod ending;
pub mod job;
pub mod plan;
pub mod pod;

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::Value;

use ending::Ending;
use job::Job;
use pod::Pod;

/// A Job and its pods at one moment, as `retinue run` reports them; with `-o json`, one line.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// When, by the clock of the machine that reports.
    #[serde(serialize_with = "written")]
    pub time: Timestamp,
    /// The Job, and what its status counts.
    #[serde(flatten)]
    pub job: Job,
    /// Its pods in the order in which they were made; none where they cannot be read. One that is gone is as last seen.
    pub pods: Option<Vec<Pod>>,
    /// How it ended; none before.
    pub ended: Option<Ending>,
}

impl Report {
    /// The report of a Job and its pods. A pod that ended may be known before the Job's own status counts it: the larger
    /// number is true.
    pub fn new(time: Timestamp, job: &Job, pods: Option<Vec<Pod>>, ended: Option<Ending>) -> Self {
        let mut job = job.clone();
        if let Some(pods) = &pods {
            let count = |phase: &str| pods.iter().filter(|pod| pod.phase == phase).count() as u64;
            job.succeeded = job.succeeded.max(count("Succeeded"));
            job.failed = job.failed.max(count("Failed"));
            job.active = pods.iter().filter(|pod| pod.is_active()).count() as u64;
        }
        Self { time, job, pods, ended }
    }
}

/// A timestamp as JSON has it: RFC 3339, UTC.
fn written<S: Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(time)
}

/// The same, or null.
fn maybe_written<S: Serializer>(time: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => written(time, to),
        None => to.serialize_none(),
    }
}

/// A text at `pointer`; none where there is none, or an empty one.
fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer)?.as_str().filter(|text| !text.is_empty())
}

/// A timestamp at `pointer`.
fn time(value: &Value, pointer: &str) -> Option<Timestamp> {
    text(value, pointer)?.parse().ok()
}

/// A number at `pointer`; none is zero.
fn number(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
}

/// The elements of a list at `pointer`.
fn list<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

#[cfg(test)]
mod tests;
