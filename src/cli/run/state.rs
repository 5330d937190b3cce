//! What is known of the Job and its pods while it is watched.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{Timestamp, Unit};
use policies::run::Report;
use policies::run::ending::Ending;
use policies::run::job::{self, Job};
use policies::run::pod::Pod;
use serde_json::Value;

use super::logs::Logs;
use super::screen::Screen;
use super::start::Started;
use super::watch::{News, What};
use crate::cli::Failure;
use crate::cluster::clock::Clock;

/// How many pods that are gone are still shown: those of a Job that tries without end would fill the memory.
const GONE: usize = 100;

/// The Job and its pods.
pub(super) struct State {
    pub(super) job: Job,
    /// By uid.
    pods: BTreeMap<String, Pod>,
    /// Whether pods can be read; not known before the first list.
    readable: Option<bool>,
    uid: String,
    limit: Option<u64>,
    logs: Option<Logs>,
    clock: Arc<Clock>,
}

impl State {
    pub(super) fn new(started: &Started, logs: Option<Logs>, clock: Arc<Clock>) -> Self {
        Self {
            job: started.job.clone(),
            pods: BTreeMap::new(),
            readable: None,
            uid: started.job.uid.clone(),
            limit: started.limit,
            logs,
            clock,
        }
    }

    /// Takes in what a watch brings, and says how the Job has ended, if it has.
    ///
    /// # Errors
    /// When it may not be watched.
    pub(super) async fn take(&mut self, news: News, screen: &mut Screen) -> Result<Option<Ending>, Failure> {
        match news {
            News::Job(value) => {
                let job = Job::read(&value);
                if job.uid != self.uid {
                    let replaced = Ending::replaced(&job);
                    self.job.state = job::State::Gone;
                    return Ok(Some(replaced));
                }
                self.job = job;
                return Ok(Ending::of(&self.job, &self.pods(), self.limit));
            }
            News::JobGone(last) => {
                if let Some(last) = last.map(|value| Job::read(&value)).filter(|last| last.uid == self.uid) {
                    self.job = last;
                }
                let ending = Ending::gone(&self.job, self.limit, self.now());
                self.job.state = job::State::Gone;
                return Ok(Some(ending));
            }
            News::Pod(value) => self.pod(Pod::read(&value)),
            News::PodGone(uid, last) => self.pod_gone(&uid, last.as_ref()),
            News::PodsListed => self.readable = Some(true),
            News::Trouble(What::Job, error) if error.code() == Some(403) => {
                return Err(format!("the Job may not be watched, which needs list and watch of jobs: {error}").into());
            }
            News::Trouble(What::Pods, error) if error.code() == Some(403) => {
                self.readable = Some(false);
                screen.note(&format!("pods cannot be seen, only what the Job's status counts: {error}")).await;
            }
            News::Trouble(_, error) => screen.note(&format!("the watch is interrupted, and goes on: {error}")).await,
            News::Well(What::Job) => screen.note("the Job is watched again").await,
            News::Well(What::Pods) => {}
        }
        Ok(None)
    }

    fn pod(&mut self, pod: Pod) {
        self.readable = Some(true);
        if let Some(logs) = &mut self.logs {
            logs.update(&pod);
        }
        self.pods.insert(pod.uid.clone(), pod);
    }

    fn pod_gone(&mut self, uid: &str, last: Option<&Value>) {
        let Some(known) = last.map(Pod::read).or_else(|| self.pods.get(uid).cloned()) else { return };
        self.pod(known.gone());
        let mut gone: Vec<_> = self.pods.values().filter(|pod| pod.gone).map(|pod| (pod.created, &pod.uid)).collect();
        if gone.len() > GONE {
            gone.sort();
            let oldest = gone[0].1.clone();
            self.pods.remove(&oldest);
        }
    }

    /// Its pods in the order in which they were made.
    pub(super) fn pods(&self) -> Vec<Pod> {
        let mut pods: Vec<Pod> = self.pods.values().cloned().collect();
        pods.sort_by(|one, other| (one.created, &one.name).cmp(&(other.created, &other.name)));
        pods
    }

    /// The report of this moment.
    pub(super) fn report(&self, ended: Option<Ending>) -> Report {
        let now = Timestamp::now();
        let now = now.round(Unit::Second).unwrap_or(now);
        let readable = self.readable != Some(false);
        Report::new(now, &self.job, readable.then(|| self.pods()), ended)
    }

    /// The API server's time.
    fn now(&self) -> Timestamp {
        self.clock.now().unwrap_or_else(Timestamp::now)
    }

    /// The logs, to be waited for.
    pub(super) fn logs(&mut self) -> Option<Logs> {
        self.logs.take()
    }

    /// Whether as many pods have said how they ended as the Job counts.
    pub(super) fn settled(&self) -> bool {
        let over = self.pods.values().filter(|pod| pod.is_over()).count() as u64;
        self.readable == Some(false) || (self.pods_ended() && over >= self.job.succeeded + self.job.failed)
    }

    /// Whether no pod runs any more, as far as can be seen.
    pub(super) fn pods_ended(&self) -> bool {
        self.readable != Some(true) || self.pods.values().all(Pod::is_over)
    }

    /// Whether the Job is gone and its pods are, as far as can be seen.
    pub(super) fn gone(&self) -> bool {
        // Before their first list, pods that nobody has seen yet may run.
        let pods = self.readable.is_some_and(|readable| !readable || self.pods.values().all(|pod| pod.gone));
        self.job.state == job::State::Gone && pods
    }

    /// What is still there.
    pub(super) fn left(&self) -> String {
        let pods: Vec<&str> = self.pods.values().filter(|pod| !pod.gone).map(|pod| pod.name.as_str()).collect();
        if pods.is_empty() {
            return format!("Job {} is being deleted; this is not waited for any longer", self.job.name);
        }
        format!("still ending, and not waited for any longer: pods {}", pods.join(", "))
    }
}
