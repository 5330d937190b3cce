//! Which of several collectors deletes: the one that holds a Lease. It is claimed when something is due and renewed
//! while something is; idle, nobody sends a request for it, and it lapses.
//!
//! It saves requests and keeps the pace of several collectors that of one. Safety does not rest on it: every DELETE names
//! uid and resourceVersion, so that a holder that slept, or two at once, harm nothing. Without the right to the Lease
//! every collector deletes.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::PostParams;
use kube::core::Status;
use kube::core::metadata::ObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::cluster::clock::Clock;
use crate::deploy::CONTROLLER;

use super::collect::CollectorError;
use super::gather::{Cause, Interruption, WATCH_SECONDS};
use super::occasions::{FIRST_PAUSE, SLOW};
use super::report::Metrics;

/// The Lease's name, in the collector's own namespace.
pub const NAME: &str = CONTROLLER;
/// How long one write of the Lease may take.
const WRITE_DEADLINE: Duration = Duration::from_secs(5);
/// The first pause after a write that failed, doubled with each,
const FIRST_WRITE_PAUSE: Duration = Duration::from_millis(500);
/// up to this.
const LONGEST_WRITE_PAUSE: Duration = Duration::from_secs(10);
/// The longest duration of another's Lease that is believed, so that no typing error stops all deletion.
const LONGEST_LEASE: Duration = Duration::from_secs(300);

/// Where the Lease is, and how long it lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Election {
    /// The collector's own namespace.
    pub namespace: String,
    /// Who we are: another for each collector.
    pub identity: String,
    /// How long after its last renewal the Lease is stale.
    pub duration: Duration,
}

/// What is known of the Lease. Instants are this process's own: when it saw the Lease change, so that no clock needs to
/// agree with another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// The watch has said nothing yet.
    Nothing,
    /// There is none, or nobody holds it.
    Free,
    /// We hold it, and began to write so at this instant.
    Ours(Instant),
    /// Another holds it; unless it changes meanwhile it is stale at this instant.
    Others(Instant),
}

/// What to do when something is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Delete.
    Lead,
    /// Delete, and renew the Lease meanwhile.
    Renew,
    /// Claim the Lease first.
    Claim,
    /// Wait until then, or for news.
    Hold(Instant),
    /// Wait for news.
    Listen,
}

/// What to do when something is due `now`, with a Lease that lasts `duration`.
pub(super) fn step(known: Known, duration: Duration, now: Instant) -> Step {
    match known {
        Known::Nothing => Step::Listen,
        Known::Free => Step::Claim,
        // Others count from when they see the write, which is later: the last third is a margin besides.
        Known::Ours(since) => match now.saturating_duration_since(since) {
            age if age < duration / 3 => Step::Lead,
            age if age < duration / 3 * 2 => Step::Renew,
            _ => Step::Claim,
        },
        Known::Others(stale) if now < stale => Step::Hold(stale),
        Known::Others(_) => Step::Claim,
    }
}

/// What the watch of the Lease says.
#[derive(Debug)]
enum Said {
    /// In a list, which may show an older version than was known (a store that was set back).
    Listed(Box<Lease>),
    /// New or changed.
    There(Box<Lease>),
    Gone,
    Interrupted(String),
    Forbidden(String),
}

/// Holds the Lease, waits for it, or does without.
pub(super) struct Leader {
    client: Client,
    clock: Arc<Clock>,
    metrics: Metrics,
    /// None: there is no election.
    election: Option<Election>,
    known: Known,
    /// The Lease as last seen or written.
    lease: Option<Lease>,
    /// No write of it before this instant,
    not_before: Instant,
    /// after so many in a row that failed.
    failed: u32,
    /// Until this instant we do without, since we may not write it or watch it.
    without: Option<Instant>,
    /// The write under way, begun at the instant: one at a time.
    writing: JoinSet<(Instant, Result<Lease, kube::Error>)>,
    watching: JoinSet<()>,
    news: mpsc::Receiver<Said>,
}

impl Leader {
    pub(super) fn new(client: Client, clock: Arc<Clock>, election: Option<Election>, metrics: Metrics) -> Self {
        let (out, news) = mpsc::channel(16);
        let mut watching = JoinSet::new();
        match &election {
            Some(election) => {
                watching.spawn(attend(api(&client, election), out));
            }
            None => {
                metrics.leader.set(1);
            }
        }
        Self {
            client,
            clock,
            metrics,
            election,
            known: Known::Nothing,
            lease: None,
            not_before: Instant::now(),
            failed: 0,
            without: None,
            writing: JoinSet::new(),
            watching,
            news,
        }
    }

    /// Whether what is due may be deleted now; else not before the instant, or (none) not before [`Leader::next`] says
    /// so. Claims and renews the Lease as needed. `server` is the API server's time.
    pub(super) fn may(&mut self, now: Instant, server: Timestamp) -> Result<(), Option<Instant>> {
        let Some(election) = &self.election else { return Ok(()) };
        if self.without.is_some_and(|until| now < until) {
            return Ok(());
        }
        match step(self.known, election.duration, now) {
            Step::Lead => Ok(()),
            Step::Renew => {
                self.write(now, server);
                Ok(())
            }
            Step::Claim => {
                self.write(now, server);
                Err(self.writing.is_empty().then_some(self.not_before))
            }
            Step::Hold(until) => Err(Some(until)),
            Step::Listen => Err(None),
        }
    }

    /// Waits until something of the Lease is heard that may change what [`Leader::may`] says. Loses nothing where it is
    /// dropped.
    ///
    /// # Errors
    /// When a task of ours died.
    pub(super) async fn next(&mut self) -> Result<(), CollectorError> {
        tokio::select! {
            Some(said) = self.news.recv() => self.hear(said, Instant::now()),
            Some(ended) = self.writing.join_next() => {
                let (begun, written) = ended.map_err(CollectorError::Died)?;
                self.conclude(begun, written, Instant::now());
            }
            Some(ended) = self.watching.join_next() => {
                ended.map_err(CollectorError::Died)?;
                return Err(CollectorError::Ended(format!("the Lease {NAME}")));
            }
            // Without an election there is nothing to wait for.
            else => std::future::pending().await,
        }
        self.metrics.leader.set(i64::from(self.without.is_some() || matches!(self.known, Known::Ours(_))));
        Ok(())
    }

    /// Gives the Lease back, so that the next collector need not wait until it is stale.
    pub(super) async fn release(mut self) {
        self.watching.abort_all();
        if let Some(Ok((begun, written))) = self.writing.join_next().await {
            self.conclude(begun, written, Instant::now());
        }
        let (Some(election), Known::Ours(since), Some(lease)) = (&self.election, self.known, &self.lease) else {
            return;
        };
        if since.elapsed() >= election.duration {
            return;
        }
        let mut free = lease.clone();
        free.spec = Some(LeaseSpec {
            holder_identity: None,
            renew_time: self.clock.now().map(MicroTime),
            ..free.spec.unwrap_or_default()
        });
        let written = write(api(&self.client, election), free).await;
        if let Err(error) = written {
            tracing::debug!(%error, "the Lease could not be given back; it lapses by itself");
        }
    }

    fn write(&mut self, now: Instant, server: Timestamp) {
        let Some(election) = self.election.as_ref().filter(|_| self.writing.is_empty() && now >= self.not_before)
        else {
            return;
        };
        let (lease, api) = (claimed(self.lease.clone(), election, server), api(&self.client, election));
        self.writing.spawn(async move { (now, write(api, lease).await) });
    }

    fn conclude(&mut self, begun: Instant, written: Result<Lease, kube::Error>, now: Instant) {
        let error = match written {
            Ok(lease) => {
                if !matches!(self.known, Known::Ours(_)) {
                    tracing::info!(lease = NAME, "this collector holds the Lease now, and deletes");
                }
                (self.known, self.failed, self.not_before, self.without) = (Known::Ours(begun), 0, now, None);
                self.lease = Some(lease);
                return;
            }
            Err(error) => error,
        };
        let pause = FIRST_WRITE_PAUSE.saturating_mul(1 << self.failed.min(8)).min(LONGEST_WRITE_PAUSE);
        self.not_before = now + pause;
        self.failed += 1;
        match &error {
            // Another was quicker, and the watch brings what it wrote.
            kube::Error::Api(status) if status.code == 409 => tracing::debug!("another collector claimed the Lease"),
            // Gone meanwhile.
            kube::Error::Api(status) if status.code == 404 && self.lease.is_some() => {
                (self.known, self.lease) = (Known::Free, None);
            }
            kube::Error::Api(status) if is_final(status) => self.do_without(&error.to_string(), now),
            error => tracing::warn!(%error, "the Lease could not be written, so nothing is deleted; trying again"),
        }
    }

    fn hear(&mut self, said: Said, now: Instant) {
        match said {
            Said::Listed(lease) => self.see(*lease, now),
            // The watch may be behind what we wrote.
            Said::There(lease) if version(Some(&lease)) <= version(self.lease.as_ref()) => {}
            Said::There(lease) => self.see(*lease, now),
            Said::Gone => (self.known, self.lease) = (Known::Free, None),
            Said::Interrupted(error) => {
                self.metrics.interruptions.inc();
                tracing::warn!(resource = "leases", error, "a watch was interrupted");
            }
            Said::Forbidden(error) => self.do_without(&error, now),
        }
    }

    fn see(&mut self, lease: Lease, now: Instant) {
        let Some(election) = &self.election else { return };
        let spec = lease.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.filter(|holder| !holder.is_empty());
        let known = match holder {
            None => Known::Free,
            // What another process of our name wrote, before this container was restarted, is for us to claim.
            Some(holder) if holder == election.identity => match self.known {
                Known::Ours(since) => Known::Ours(since),
                _ => Known::Free,
            },
            Some(_) => {
                let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
                let duration = seconds.map_or(election.duration, Duration::from_secs).min(LONGEST_LEASE);
                // How old it was when we first saw it, both ends by the API server's clock.
                let first = self.known == Known::Nothing && self.lease.is_none();
                let renewed = spec.renew_time.filter(|_| first).zip(self.clock.now());
                let age = renewed.and_then(|(renewed, server)| server.duration_since(renewed.0).try_into().ok());
                Known::Others(now + duration.saturating_sub(age.unwrap_or_default()))
            }
        };
        if matches!((self.known, known), (Known::Ours(_), Known::Others(_))) {
            tracing::info!(lease = NAME, "another collector holds the Lease now");
        }
        (self.known, self.lease, self.without) = (known, Some(lease), None);
    }

    fn do_without(&mut self, error: &str, now: Instant) {
        if self.without.is_none() {
            tracing::warn!(
                lease = NAME,
                error,
                "no leader election: every collector deletes, which harms nothing but sends more requests; apply \
                 retinue's RBAC for the controller (retinue install)"
            );
        }
        self.without = Some(now + SLOW);
    }
}

/// Whether trying again soon does not help.
fn is_final(status: &Status) -> bool {
    (400..500).contains(&status.code) && !matches!(status.code, 401 | 408 | 409 | 425 | 429)
}

/// Versions grow, as the API server promises; none is before all.
fn version(lease: Option<&Lease>) -> u64 {
    let version = lease.and_then(|lease| lease.metadata.resource_version.as_deref());
    version.and_then(|version| version.parse().ok()).unwrap_or(0)
}

fn api(client: &Client, election: &Election) -> Api<Lease> {
    Api::namespaced(client.clone(), &election.namespace)
}

/// The Lease with us as its holder.
fn claimed(lease: Option<Lease>, election: &Election, server: Timestamp) -> Lease {
    let mut lease = lease.unwrap_or_else(|| Lease {
        metadata: ObjectMeta { name: Some(NAME.into()), ..ObjectMeta::default() },
        ..Lease::default()
    });
    let before = lease.spec.take().unwrap_or_default();
    let ours = before.holder_identity.as_deref() == Some(&election.identity);
    let transitions = before.lease_transitions.unwrap_or(0);
    lease.spec = Some(LeaseSpec {
        holder_identity: Some(election.identity.clone()),
        lease_duration_seconds: i32::try_from(election.duration.as_secs()).ok(),
        acquire_time: before.acquire_time.filter(|_| ours).or(Some(MicroTime(server))),
        renew_time: Some(MicroTime(server)),
        lease_transitions: Some(if ours { transitions } else { transitions.saturating_add(1) }),
        ..before
    });
    lease
}

/// Creates the Lease, or replaces the very version that `lease` names.
async fn write(api: Api<Lease>, lease: Lease) -> Result<Lease, kube::Error> {
    let parameters = PostParams::default();
    let written = async {
        match lease.metadata.resource_version {
            Some(_) => api.replace(NAME, &parameters, &lease).await,
            None => api.create(&parameters, &lease).await,
        }
    };
    let late = || kube::Error::Service(format!("no answer within {} s", WRITE_DEADLINE.as_secs()).into());
    tokio::time::timeout(WRITE_DEADLINE, written).await.unwrap_or_else(|_| Err(late()))
}

/// Watches that one Lease until nobody listens.
async fn attend(api: Api<Lease>, out: mpsc::Sender<Said>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let config = watcher::Config::default().fields(&format!("metadata.name={NAME}")).timeout(WATCH_SECONDS);
        let mut events = std::pin::pin!(watcher(api.clone(), config).default_backoff());
        let mut listed = false;
        while let Some(event) = events.next().await {
            let said = match event {
                Ok(Event::Init) => {
                    listed = false;
                    continue;
                }
                Ok(Event::InitApply(lease)) => {
                    (listed, pause) = (true, FIRST_PAUSE);
                    Said::Listed(Box::new(lease))
                }
                Ok(Event::Apply(lease)) => Said::There(Box::new(lease)),
                Ok(Event::Delete(_)) => Said::Gone,
                Ok(Event::InitDone) if listed => continue,
                Ok(Event::InitDone) => Said::Gone,
                Err(error) => match Interruption::from(&error) {
                    Interruption { cause: Cause::Forbidden, error } => Said::Forbidden(error),
                    Interruption { error, .. } => Said::Interrupted(error),
                },
            };
            let forbidden = matches!(said, Said::Forbidden(_));
            if out.send(said).await.is_err() {
                return;
            }
            if forbidden {
                break;
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(SLOW / 2);
    }
}

#[cfg(test)]
#[path = "leader_tests.rs"]
mod tests;
