//! The start: who asks, what is sent, the create, and the deadline of what came of it.

use std::time::Duration;

use policies::run::job::Job;
use policies::run::plan::{self, Renewal};
use serde_json::Value;

use super::api::{Api, ApiError};
use super::args::Args;
use super::manifest::{self, Asked};
use super::screen::Screen;
use super::who::Who;
use crate::cli::Failure;

/// How often a create is tried that the server could not judge: nothing has come of it.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);
/// How often the Job of a create without answer is looked for, and after how many looks that found none it is not there.
const LOOKS: u32 = 15;
const ENOUGH_LOOKS: u32 = 3;
/// How long setting the deadline may take.
const STAMPING: Duration = Duration::from_secs(30);

/// A Job that was created.
pub(super) struct Started {
    /// As the server answered.
    pub(super) created: Value,
    pub(super) job: Job,
    /// The limit, where it is the Job's own `activeDeadlineSeconds`.
    pub(super) limit: Option<u64>,
}

/// Why there is none.
#[derive(Debug)]
pub(super) enum NotStarted {
    /// The cluster says no.
    Refused(String),
    /// It could not be asked, or not like this.
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for NotStarted {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Starts the Job. `api` is in the namespace that was asked for, or in the context's.
pub(super) async fn start(
    asked: Asked,
    args: &Args,
    api: &mut Api,
    random: u64,
    screen: &mut Screen,
) -> Result<Started, NotStarted> {
    let who = Who::ask(api).await.map_err(|error| Failure::from(format!("the cluster cannot be asked: {error}")))?;
    let mut job = manifest::job(asked, args, &who, api).await?;
    place(&job, args, api)?;
    plan::named(&mut job, who.standing, random);
    let plan = plan::plan(job, who.standing, args.time_limit, args.keep);
    let manager = format!("retinue-run-{}", plan::suffix(random));
    let created = create(api, &plan.manifest, &manager).await.map_err(|error| refusal(&error, &who, api))?;
    let job = Job::read(&created);
    if job.uid.is_empty() {
        return Err(Failure::from("the API server answered the create with something that is no Job").into());
    }
    let until = job.deadline.map(|deadline| format!("; its deadline is {deadline}")).unwrap_or_default();
    screen.note(&format!("Job {}/{} is created{until}", job.namespace, job.name)).await;
    Ok(Started { created, job, limit: plan.limit })
}

/// Turns to the namespace that the manifest names.
fn place(job: &Value, args: &Args, api: &mut Api) -> Result<(), Failure> {
    let Some(named) = job["metadata"]["namespace"].as_str().filter(|name| !name.is_empty()) else { return Ok(()) };
    if let Some(wanted) = args.namespace.as_ref().filter(|wanted| *wanted != named) {
        return Err(format!("the Job names the namespace {named}, and --namespace says {wanted}").into());
    }
    api.namespace =
        crate::cli::input::namespace(named).map_err(|_| format!("the Job's namespace {named:?} is no name"))?;
    Ok(())
}

async fn create(api: &Api, manifest: &Value, manager: &str) -> Result<Value, ApiError> {
    let mut tries = 1;
    loop {
        let error = match api.create(manifest, manager).await {
            Ok(created) => return Ok(created),
            Err(error) => error,
        };
        match error.code() {
            // The server may have done it and its answer be lost; or it did so at an earlier try.
            None => return lost(api, manager, error).await,
            Some(409) if tries > 1 => return lost(api, manager, error).await,
            Some(429 | 503) if tries < TRIES => {
                tries += 1;
                tokio::time::sleep(PAUSE).await;
            }
            Some(_) => return Err(error),
        }
    }
}

/// Looks for the Job of a create without answer.
async fn lost(api: &Api, manager: &str, error: ApiError) -> Result<Value, ApiError> {
    let mut absent = 0;
    for _ in 0..LOOKS {
        match api.made_by(manager).await {
            Ok(Some(job)) => return Ok(job),
            Ok(None) => absent += 1,
            Err(look) if look.passes() => {}
            Err(_) => break,
        }
        if absent >= ENOUGH_LOOKS {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(error)
}

/// What a create that failed means, in the server's words.
fn refusal(error: &ApiError, who: &Who, api: &Api) -> NotStarted {
    match error.code() {
        Some(403) => NotStarted::Refused(error.to_string()),
        Some(409) => NotStarted::Refused(format!("{error}; it is left alone: choose another name, or delete it first")),
        Some(401) => Failure::from(format!("the API server does not know who asks: {error}")).into(),
        Some(404) => Failure::from(format!("{error}; the namespace is {}, and -n names another", api.namespace)).into(),
        Some(_) => Failure::from(format!("the Job cannot be created as {}: {error}", who.name())).into(),
        None => Failure::from(format!(
            "{error}; whether the Job was created is not known: kubectl get jobs -n {} tells",
            api.namespace
        ))
        .into(),
    }
}

/// Sets the deadline of a dependent to its limit, so that the collector ends it if nobody else does.
pub(super) async fn stamp(started: &Started, args: &Args, api: &Api, screen: &mut Screen) {
    let Some(limit) = args.time_limit else { return };
    match plan::renewal(&started.created, limit) {
        Renewal::NoDependent => {
            if started.limit.is_none() && started.created["spec"]["activeDeadlineSeconds"].is_null() {
                screen
                    .note("the Job carries no stamp of retinue: its limit holds only as long as this command runs")
                    .await;
            }
        }
        Renewal::Soon => {}
        Renewal::Capped(deadline) => {
            let granted = "the limit is longer than what its template, or this pod, grants";
            screen.note(&format!("{granted}: the Job ends at {deadline}")).await;
        }
        Renewal::Set(deadline) => {
            let patch = plan::renewed(deadline);
            let set = tokio::time::timeout(STAMPING, renew(api, &started.job.name, &patch));
            if let Err(error) = set.await.unwrap_or_else(|_| Err(ApiError::Silent("it took too long".into()))) {
                let holds = "the limit holds only as long as this command runs, since the deadline cannot be set to it";
                screen.note(&format!("{holds}: {error}")).await;
            }
        }
    }
}

/// Patches until it is done, or there is no use in trying again.
pub(super) async fn renew(api: &Api, name: &str, patch: &Value) -> Result<(), ApiError> {
    loop {
        match api.merge(name, patch).await {
            Ok(_) => return Ok(()),
            // It has ended already.
            Err(ApiError::Answered { code: 404, .. }) => return Ok(()),
            Err(error) if error.passes() => tokio::time::sleep(PAUSE).await,
            Err(error) => return Err(error),
        }
    }
}
