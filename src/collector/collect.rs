//! The loop: news into the queue, what is due out of it, outcomes counted and told.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use policies::garbage::{Why, past};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::cluster::clock::Clock;

use super::conditions::{self, Conditions};
use super::discover::{Kind, Objects, Rights};
use super::essential::{self, Essential, Missing, Selection, Wanted};
use super::following::Following;
use super::foreign::{Foreign, Kept};
use super::gather::{self, Cause, News, Reading};
use super::guard::{Guard, Sentry};
use super::identity::Uid;
use super::leader::{Election, Leader};
use super::lookout::Lookout;
use super::masters::Masters;
use super::notices::Notices;
use super::queue::{Due, NEVER, Queue};
use super::reap::{self, Outcome};
use super::report::{self, Metrics, Teller};

/// What is left to the operator.
#[derive(Clone, Debug)]
pub struct Config {
    /// The one namespace to collect in; none: all.
    pub namespace: Option<String>,
    /// Where pods with essential containers are ended.
    pub essential: Wanted,
    /// DELETEs per second, at most; none: as many as the API server answers, [`AT_ONCE`] at a time.
    pub rate: Option<u32>,
    /// Under which name Events are written.
    pub instance: String,
    /// The collector's own pod, for Events about itself; none: it writes none.
    pub pod: Option<ObjectReference>,
    /// Which of several collectors deletes; none: every one.
    pub election: Option<Election>,
    /// Where other collectors' keys count; none: nowhere.
    pub foreign: Option<Foreign>,
    /// What judges masters, to say so when it is missing.
    pub guard: Guard,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            namespace: None,
            essential: Wanted::default(),
            rate: None,
            instance: "retinue".into(),
            pod: None,
            election: None,
            foreign: None,
            guard: Guard::default(),
        }
    }
}

/// DELETEs in flight. They are what bounds the rate: an API server that is slower is asked less often, and one that asks
/// to wait is waited for. A tenth of the seats that API priority and fairness gives the accounts of workloads by default.
pub const AT_ONCE: usize = 32;
/// The longest sleep: the server's clock may be corrected meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// How long the writer of Events is given when it has as many notices as it holds.
const NOTICE_PAUSE: Duration = Duration::from_millis(100);
/// The shortest sleep before a deadline that is not quite past.
const SHORTEST_SLEEP: Duration = Duration::from_millis(5);

/// Why the collector ended.
#[derive(Debug, thiserror::Error)]
pub enum CollectorError {
    /// What this account may collect could not be found out at the start.
    #[error("cannot find out what this account may list and delete: {0}")]
    Discovery(#[source] Box<kube::Error>),
    /// A task of ours died.
    #[error("a task of the collector died: {0}")]
    Died(#[source] JoinError),
    /// A watch ended that never ends.
    #[error("the watch of {0} ended, which it never should")]
    Ended(String),
    /// There is nothing to do.
    #[error(
        "this account may not list, watch and delete a single kind; apply retinue's RBAC for the controller (retinue install)"
    )]
    Nothing,
}

/// Collects until `shutdown`.
///
/// # Errors
/// When it cannot start, or one of its tasks dies: then the process must end and be started again.
pub async fn run(
    client: Client,
    clock: Arc<Clock>,
    config: Config,
    metrics: Metrics,
    shutdown: CancellationToken,
) -> Result<(), CollectorError> {
    let (teller, writer) = report::events(client.clone(), &config.instance, config.pod.clone(), &metrics);
    let writer = tokio::spawn(writer.run());
    let namespace = config.namespace.clone();
    let essential = Missing::everything(&config.essential, namespace.as_deref());
    let collector = Collector {
        lookout: Lookout::new(client.clone(), namespace.clone(), config.foreign.clone(), essential, metrics.clone()),
        following: Following::new(client.clone(), namespace, metrics.clone()),
        masters: Masters::new(client.clone(), metrics.clone()),
        essential: Essential::new(client.clone(), metrics.clone(), teller.clone()),
        sentry: Sentry::new(&client, config.guard.clone()),
        conditions: Conditions::new(client.clone(), Arc::clone(&clock), config.pod.as_ref()),
        leader: Leader::new(client.clone(), Arc::clone(&clock), config.election.clone(), metrics.clone()),
        notices: Notices::new(client.clone(), Arc::clone(&clock), &config.instance, metrics.clone()),
        reap: Reap::new(client, &config),
        clock,
        metrics,
        teller,
        queue: Queue::default(),
        kept: Kept::default(),
    };
    let ended = collector.run(&shutdown).await;
    // The collector, and with it the teller, is gone: the writer ends after the last Event. An API server that does
    // not answer must not hold up the exit.
    let _ = tokio::time::timeout(Duration::from_secs(2), writer).await;
    ended
}

struct Collector {
    clock: Arc<Clock>,
    metrics: Metrics,
    teller: Teller,
    queue: Queue,
    notices: Notices,
    kept: Kept,
    lookout: Lookout,
    following: Following,
    masters: Masters,
    essential: Essential,
    leader: Leader,
    sentry: Sentry,
    conditions: Conditions,
    reap: Reap,
}

/// What is due, and by whom it was followed: none for a dependent.
type Work = (Due, Option<Arc<Selection>>);

/// DELETEs in flight, and how fast more may follow.
struct Reap {
    client: Client,
    running: JoinSet<(Work, Outcome)>,
    /// The least time between two DELETEs.
    interval: Duration,
    /// No DELETE before this instant.
    not_before: Instant,
}

impl Reap {
    fn new(client: Client, config: &Config) -> Self {
        let interval = config.rate.map_or(Duration::ZERO, |rate| Duration::from_secs(1) / rate.max(1));
        Self { client, running: JoinSet::new(), interval, not_before: Instant::now() }
    }

    /// Whether another DELETE may be sent now; else not before the instant, or (none) before one in flight ends.
    fn ready(&self, now: Instant) -> Result<(), Option<Instant>> {
        if self.running.len() >= AT_ONCE {
            return Err(None);
        }
        if now < self.not_before { Err(Some(self.not_before)) } else { Ok(()) }
    }

    fn send(&mut self, work: Work, now: Instant) {
        self.not_before = now + self.interval;
        let client = self.client.clone();
        self.running.spawn(async move {
            let tracked = &work.0.tracked;
            let outcome = match tracked.why {
                Why::EssentialOfJob | Why::EssentialCounted => reap::succeed(&client, tracked).await,
                _ => reap::delete(&client, tracked).await,
            };
            (work, outcome)
        });
    }
}

impl Collector {
    async fn run(mut self, shutdown: &CancellationToken) -> Result<(), CollectorError> {
        let Some(rights) = shutdown.run_until_cancelled(self.lookout.first()).await else { return Ok(()) };
        let rights = rights?;
        if rights.may.is_empty() {
            return Err(CollectorError::Nothing);
        }
        self.follow(rights);
        loop {
            let told = self.tell_due();
            let wake = self.reap_due();
            let wake = told.map_or(wake, |told| wake.min(told));
            self.metrics.waiting.set(i64::try_from(self.waiting()).unwrap_or(i64::MAX));
            self.metrics.unreadable.set(i64::try_from(self.kept.len()).unwrap_or(i64::MAX));
            tokio::select! {
                () = shutdown.cancelled() => break,
                heard = self.following.next() => {
                    let (kind, epoch, news) = heard?;
                    self.learn(&kind, epoch, news);
                }
                interruption = self.essential.next(|| self.clock.now()) => {
                    if let Some(interruption) = interruption? {
                        self.lookout.doubt(&essential::kind(), interruption.cause);
                    }
                }
                rights = self.lookout.next() => self.follow(rights?),
                news = self.leader.next() => news?,
                missing = self.sentry.next() => {
                    self.metrics.guard_missing.set(i64::try_from(missing.len()).unwrap_or(i64::MAX));
                    self.conditions.set(conditions::GUARD, &missing);
                    self.teller.tell_guard(&missing);
                }
                orphans = self.masters.next(|| self.clock.now()) => {
                    for (tracked, epoch) in orphans? {
                        self.queue.put(tracked, epoch);
                    }
                }
                Some(ended) = self.reap.running.join_next() => {
                    let (work, outcome) = ended.map_err(CollectorError::Died)?;
                    self.conclude(work, &outcome);
                }
                () = tokio::time::sleep_until(wake) => {}
            }
        }
        // What is in flight is waited for; what is due stays due, and the next start finds it.
        while let Some(Ok((work, outcome))) = self.reap.running.join_next().await {
            self.conclude(work, &outcome);
        }
        self.leader.release().await;
        Ok(())
    }

    fn waiting(&self) -> usize {
        self.queue.len() + self.essential.len()
    }

    fn follow(&mut self, rights: Rights) {
        let mut missing = rights.lacks.clone();
        missing.extend(rights.essential.lacks().iter().map(|lack| format!("essential containers, {lack}")));
        self.conditions.set(conditions::RIGHTS, &missing);
        let lacks = self.essential.follow(&rights.essential);
        if !lacks.is_empty() {
            self.teller.tell_essential_lacks(&lacks);
        }
        let lacks = self.following.follow(rights, |kind| {
            self.queue.forget(kind);
            self.notices.sweep(kind, u64::MAX);
            self.kept.sweep(kind, u64::MAX);
            self.masters.sweep(kind, u64::MAX);
        });
        if !lacks.is_empty() {
            self.teller.tell_lacks(&lacks);
        }
    }

    /// Takes in what a watch says.
    fn learn(&mut self, kind: &Arc<Kind>, epoch: u64, news: News) {
        match news {
            News::Listing => {}
            News::Listed => {
                self.queue.sweep(kind, epoch);
                self.notices.sweep(kind, epoch);
                self.kept.sweep(kind, epoch);
                self.masters.sweep(kind, epoch);
            }
            News::Gone(uid) => self.forget(kind, &uid.as_str().into()),
            News::Interrupted(interruption) => {
                self.metrics.interruptions.inc();
                tracing::warn!(kind = kind.name(), error = interruption.error, "a watch was interrupted");
                self.lookout.doubt(kind, interruption.cause);
            }
            News::Seen(metadata, finished) => match gather::read(kind, &metadata, finished) {
                Reading::Track { tracked, notice, master } => {
                    self.kept.remove(&tracked.uid);
                    self.notices.put(&tracked, notice, epoch);
                    let tracked = self.masters.put(master, tracked, epoch);
                    if tracked.deadline < NEVER {
                        self.queue.put(tracked, epoch);
                    } else {
                        self.queue.remove(&tracked.uid);
                    }
                }
                Reading::Keep(unreadable) => {
                    let uid = Uid::from(metadata.uid.as_deref().unwrap_or_default());
                    self.queue.remove_of(kind, &uid);
                    if self.kept.put(kind, uid, &unreadable, epoch) {
                        self.teller.tell_kept(kind, &metadata, &unreadable);
                    }
                }
                reading => {
                    self.forget(kind, &metadata.uid.as_deref().unwrap_or_default().into());
                    if let Reading::Refuse(error) = reading {
                        self.metrics.ignored.inc();
                        tracing::info!(
                            kind = kind.name(),
                            namespace = metadata.namespace,
                            name = metadata.name,
                            %error,
                            "left alone: labels of a stamp, but no valid stamp"
                        );
                    }
                }
            },
        }
    }

    /// Forgets an object of one watch: another one may know it still.
    fn forget(&mut self, kind: &Kind, uid: &Uid) {
        self.queue.remove_of(kind, uid);
        match kind.objects {
            Objects::Dependents => {
                self.masters.remove(uid);
                self.notices.remove(uid);
            }
            Objects::Foreign { .. } => self.kept.remove(uid),
        }
    }

    /// Sends what is due, as fast as it may, and says when to look again.
    fn reap_due(&mut self) -> Instant {
        let at_most = Instant::now() + LONGEST_SLEEP;
        loop {
            let now = Instant::now();
            match self.reap.ready(now) {
                Ok(()) => {}
                Err(Some(later)) if self.waiting() > 0 => return later.min(at_most),
                Err(_) => return at_most,
            }
            // No answer of the server yet, no clock, no deletion: answers come with the lists.
            let Some(server) = self.clock.now() else { return now + SHORTEST_SLEEP * 20 };
            let Some(next) = self.queue.next_due().into_iter().chain(self.essential.next_due()).min() else {
                return at_most;
            };
            if !past(next, server) {
                return (now + until(server, next)).min(at_most);
            }
            if let Err(later) = self.leader.may(now, server) {
                return later.map_or(at_most, |later| later.min(at_most));
            }
            if let Some((due, selection)) = self.essential.take_due(server) {
                self.reap.send((due, Some(selection)), now);
            } else if let Some(due) = self.queue.take_due(server) {
                self.reap.send((due, None), now);
            }
        }
    }

    /// Tells of deadlines that are near, and says when to look again. Whoever deletes tells.
    fn tell_due(&mut self) -> Option<Instant> {
        let next = self.notices.next_due()?;
        let now = Instant::now();
        let Some(server) = self.clock.now() else { return Some(now + SHORTEST_SLEEP * 20) };
        if !past(next, server) {
            return Some(now + until(server, next));
        }
        if let Err(later) = self.leader.may(now, server) {
            return later;
        }
        if !self.notices.tell_due(server) {
            // Many at once: the writer takes one after the other.
            return Some(now + NOTICE_PAUSE);
        }
        self.notices.next_due().map(|next| now + until(server, next))
    }

    /// Counts and tells what came of a DELETE, and puts back what is not done with.
    fn conclude(&mut self, (due, selection): Work, outcome: &Outcome) {
        self.metrics.count(outcome);
        let tracked = &due.tracked;
        let server = self.clock.now().unwrap_or(tracked.deadline);
        let object = format!("{} {}/{}", tracked.kind.gvk.kind, tracked.namespace, tracked.name);
        let late = server.duration_since(tracked.deadline).as_secs_f64().max(0.0);
        match outcome {
            Outcome::Deleted | Outcome::Succeeded => {
                self.metrics.lateness.observe(late);
                let what = outcome.as_str();
                tracing::info!(object, since = %tracked.deadline, late, "{what}: {}", report::reason(tracked));
            }
            Outcome::AlreadyGone | Outcome::Changed => {
                tracing::debug!(object, outcome = outcome.as_str(), "not deleted")
            }
            Outcome::Throttled(after) => {
                // The server is busy for everyone, so nothing else is sent meanwhile either.
                self.reap.not_before = self.reap.not_before.max(Instant::now() + *after);
                tracing::debug!(object, ?after, "the API server asks to wait");
            }
            Outcome::Forbidden(error) | Outcome::Refused(error) | Outcome::Failed(error) => {
                if matches!(outcome, Outcome::Forbidden(_)) {
                    self.lookout.doubt(&tracked.kind, Cause::Forbidden);
                }
                tracing::warn!(object, attempts = due.attempts + 1, error, "could not be ended; trying again later");
            }
        }
        // An Event for the first failure only: the pauses that follow are many.
        if due.attempts == 0 || matches!(outcome, Outcome::Deleted | Outcome::Succeeded) {
            self.teller.tell(tracked, outcome);
        }
        let Some(pause) = outcome.pause(due.attempts, random()) else { return };
        let pause = SignedDuration::try_from(pause).unwrap_or(SignedDuration::from_secs(60));
        let again = server.saturating_add(pause).unwrap_or(server);
        match selection {
            Some(selection) => self.essential.put_back(due, &selection, again),
            // One of a kind that is followed no longer comes back with the right.
            None if self.following.follows(&tracked.kind) => self.queue.put_back(due, again),
            None => {}
        }
    }
}

/// How long to sleep until the server's clock shows `next`.
fn until(server: Timestamp, next: Timestamp) -> Duration {
    Duration::try_from(next.duration_since(server)).unwrap_or_default().clamp(SHORTEST_SLEEP, LONGEST_SLEEP)
}

/// Anything, for jitter.
fn random() -> u64 {
    RandomState::new().hash_one(0)
}
