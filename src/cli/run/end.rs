//! The end: what has to be waited for, what is deleted, what is kept.

use std::time::Duration;

use policies::run::job::Job;
use policies::run::plan;
use tokio::time::Instant;

use super::api::Api;
use super::screen::Screen;
use super::start::{Started, renew};

/// How long a DELETE is tried again while the server cannot be asked.
const DELETING: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_secs(1);
/// How long putting a deadline back may take.
const RENEWING: Duration = Duration::from_secs(10);

/// Deletes the Job of this uid, and its pods in the background. What does not work is told, with what then ends the Job.
pub(super) async fn delete(api: &Api, job: &Job, screen: &mut Screen) -> bool {
    let begun = Instant::now();
    let error = loop {
        match api.delete(&job.name, &job.uid).await {
            Ok(()) => return true,
            Err(error) => match error.code() {
                Some(404) => return true,
                Some(409) => {
                    screen.note(&format!("another Job is called {} now: it is left alone", job.name)).await;
                    return true;
                }
                _ if error.passes() && begun.elapsed() < DELETING => tokio::time::sleep(PAUSE).await,
                _ => break error,
            },
        }
    };
    let then = match job.deadline {
        Some(deadline) => format!("its deadline, {deadline}, ends it"),
        None => format!("kubectl delete job -n {} {} ends it", job.namespace, job.name),
    };
    screen.note(&format!("Job {} cannot be deleted: {error}; {then}", job.name)).await;
    false
}

/// Leaves an ended Job where it is, for as long as its template grants: a limit was for its run.
pub(super) async fn keep(api: &Api, started: &Started, job: &Job, screen: &mut Screen) {
    let mut until = job.deadline;
    if let (Some(granted), Some(now)) = (started.job.deadline, job.deadline)
        && granted > now
    {
        let put = tokio::time::timeout(RENEWING, renew(api, &job.name, &plan::renewed(granted))).await;
        if matches!(put, Ok(Ok(()))) {
            until = Some(granted);
        }
    }
    let until = until.map(|deadline| format!(" until its deadline, {deadline}")).unwrap_or_default();
    screen.note(&format!("Job {}/{} is kept{until}", job.namespace, job.name)).await;
}
