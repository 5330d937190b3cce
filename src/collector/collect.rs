//! The loop: news into the queue, what is due out of it, outcomes counted and told.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::Client;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinError, JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::cluster::clock::Clock;

use super::discover::{self, Kind, Rights};
use super::gather::{self, News, Reading};
use super::queue::{Due, Queue};
use super::reap::{self, Outcome};
use super::report::{self, Metrics, Teller};

/// What is left to the operator.
#[derive(Clone, Debug)]
pub struct Config {
    /// The one namespace to collect in; none: all.
    pub namespace: Option<String>,
    /// DELETEs per second, at most.
    pub rate: u32,
    /// How often kinds and rights are looked at again.
    pub refresh: Duration,
    /// Under which name Events are written.
    pub instance: String,
}

impl Default for Config {
    fn default() -> Self {
        // 50 a second: 20 MiB/s of etcd writes at worst, and a thousand dependents gone in 20 s.
        Self { namespace: None, rate: 50, refresh: Duration::from_secs(60), instance: "retinue".into() }
    }
}

/// DELETEs in flight: at 20 ms each enough for several times the default rate.
const AT_ONCE: usize = 16;
/// News that wait; the watches pause beyond it.
const NEWS_WAITING: usize = 1_024;
/// The longest sleep: the server's clock may be corrected meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
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
    let (teller, writer) = report::events(client.clone(), &config.instance, &metrics);
    let writer = tokio::spawn(writer.run());
    let (sender, news) = mpsc::channel(NEWS_WAITING);
    let collector = Collector {
        reap: Reap::new(client.clone(), &config),
        client,
        clock,
        config,
        metrics,
        teller,
        queue: Queue::default(),
        epochs: HashMap::new(),
        unread: HashSet::new(),
        watches: HashMap::new(),
        watching: JoinSet::new(),
        sender,
        news,
    };
    let ended = collector.run(&shutdown).await;
    // The collector, and with it the teller, is gone: the writer ends after the last Event. An API server that does
    // not answer must not hold up the exit.
    let _ = tokio::time::timeout(Duration::from_secs(2), writer).await;
    ended
}

struct Collector {
    client: Client,
    clock: Arc<Clock>,
    config: Config,
    metrics: Metrics,
    teller: Teller,
    queue: Queue,
    /// How many lists of each kind have begun.
    epochs: HashMap<Arc<Kind>, u64>,
    /// Kinds whose first list is still read.
    unread: HashSet<Arc<Kind>>,
    watches: HashMap<Arc<Kind>, AbortHandle>,
    watching: JoinSet<Arc<Kind>>,
    sender: mpsc::Sender<(Arc<Kind>, News)>,
    news: mpsc::Receiver<(Arc<Kind>, News)>,
    reap: Reap,
}

/// DELETEs in flight, and how fast more may follow.
struct Reap {
    client: Client,
    running: JoinSet<(Due, Outcome)>,
    /// The least time between two DELETEs.
    interval: Duration,
    /// No DELETE before this instant.
    not_before: Instant,
}

impl Reap {
    fn new(client: Client, config: &Config) -> Self {
        let interval = Duration::from_secs(1) / config.rate.max(1);
        Self { client, running: JoinSet::new(), interval, not_before: Instant::now() }
    }

    /// Whether another DELETE may be sent now; else not before the instant, or (none) before one in flight ends.
    fn ready(&self, now: Instant) -> Result<(), Option<Instant>> {
        if self.running.len() >= AT_ONCE {
            return Err(None);
        }
        if now < self.not_before { Err(Some(self.not_before)) } else { Ok(()) }
    }

    fn send(&mut self, due: Due, now: Instant) {
        self.not_before = now + self.interval;
        let client = self.client.clone();
        self.running.spawn(async move {
            let outcome = reap::delete(&client, &due.tracked).await;
            (due, outcome)
        });
    }
}

impl Collector {
    async fn run(mut self, shutdown: &CancellationToken) -> Result<(), CollectorError> {
        let rights = self.first_rights(shutdown).await?;
        let Some(rights) = rights else { return Ok(()) };
        if rights.may.is_empty() {
            return Err(CollectorError::Nothing);
        }
        self.follow(rights);
        let mut refreshing: Option<JoinHandle<Result<Rights, kube::Error>>> = None;
        let mut refresh_at = Instant::now() + self.config.refresh;
        loop {
            let wake = self.reap_due();
            self.metrics.waiting.set(i64::try_from(self.queue.len()).unwrap_or(i64::MAX));
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some((kind, news)) = self.news.recv() => self.learn(&kind, news),
                Some(ended) = self.watching.join_next() => self.unless_stopped(ended)?,
                Some(ended) = self.reap.running.join_next() => {
                    let (due, outcome) = ended.map_err(CollectorError::Died)?;
                    self.conclude(due, &outcome);
                }
                () = tokio::time::sleep_until(wake) => {}
                () = tokio::time::sleep_until(refresh_at), if refreshing.is_none() => {
                    let (client, namespace) = (self.client.clone(), self.config.namespace.clone());
                    refreshing = Some(tokio::spawn(async move {
                        discover::rights(&client, namespace.as_deref()).await
                    }));
                }
                rights = finished(refreshing.as_mut()) => {
                    refreshing = None;
                    refresh_at = Instant::now() + self.config.refresh;
                    match rights.map_err(CollectorError::Died)? {
                        Ok(rights) => self.follow(rights),
                        // What is followed stays followed; its own watches say what is wrong with them.
                        Err(error) => tracing::warn!(%error, "rights could not be looked at again"),
                    }
                }
            }
        }
        // What is in flight is waited for; what is due stays due, and the next start finds it.
        while let Some(Ok((due, outcome))) = self.reap.running.join_next().await {
            self.conclude(due, &outcome);
        }
        Ok(())
    }

    /// A watch ends because it was stopped, or never.
    fn unless_stopped(&self, ended: Result<Arc<Kind>, JoinError>) -> Result<(), CollectorError> {
        match ended {
            Err(error) if error.is_cancelled() => Ok(()),
            Err(error) => Err(CollectorError::Died(error)),
            Ok(kind) => Err(CollectorError::Ended(kind.name())),
        }
    }

    /// Asked until the API server answers; none at shutdown.
    async fn first_rights(&self, shutdown: &CancellationToken) -> Result<Option<Rights>, CollectorError> {
        let mut pause = Duration::from_millis(200);
        loop {
            let asked = discover::rights(&self.client, self.config.namespace.as_deref());
            let Some(answered) = shutdown.run_until_cancelled(asked).await else { return Ok(None) };
            match answered {
                Ok(rights) => return Ok(Some(rights)),
                Err(kube::Error::Api(status)) if matches!(status.code, 401 | 403) => {
                    return Err(CollectorError::Discovery(Box::new(kube::Error::Api(status))));
                }
                Err(error) => tracing::warn!(%error, "the API server does not say what may be collected; trying again"),
            }
            if shutdown.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return Ok(None);
            }
            pause = (pause * 2).min(Duration::from_secs(10));
        }
    }

    /// Starts and stops watches as rights came and went.
    fn follow(&mut self, rights: Rights) {
        for lack in &rights.lacks {
            tracing::warn!(kind = lack, "dependents of this kind cannot be collected");
        }
        self.metrics.kinds_lacking.set(i64::try_from(rights.lacks.len()).unwrap_or(i64::MAX));
        self.watches.retain(|kind, watch| {
            let keep = rights.may.contains(kind);
            if !keep {
                tracing::warn!(kind = kind.name(), "this kind is followed no longer");
                watch.abort();
                self.queue.forget(kind);
                self.epochs.remove(kind);
                self.unread.remove(kind);
            }
            keep
        });
        for kind in rights.may {
            if !self.watches.contains_key(&kind) {
                tracing::debug!(kind = kind.name(), "following");
                let watch = gather::follow(
                    self.client.clone(),
                    self.config.namespace.clone(),
                    Arc::clone(&kind),
                    self.sender.clone(),
                );
                let followed = Arc::clone(&kind);
                let watch = self.watching.spawn(async move {
                    watch.await;
                    followed
                });
                self.unread.insert(Arc::clone(&kind));
                self.watches.insert(kind, watch);
            }
        }
        self.metrics.kinds.set(i64::try_from(self.watches.len()).unwrap_or(i64::MAX));
    }

    /// Takes in what a watch says.
    fn learn(&mut self, kind: &Arc<Kind>, news: News) {
        if !self.watches.contains_key(kind) {
            return; // Said just before it was stopped.
        }
        let epoch = self.epochs.entry(Arc::clone(kind)).or_default();
        match news {
            News::Listing => *epoch += 1,
            News::Listed => {
                let epoch = *epoch;
                self.queue.sweep(kind, epoch);
                if self.unread.remove(kind) && self.unread.is_empty() {
                    self.metrics.following.notify_one();
                }
            }
            News::Gone(uid) => self.queue.remove(&uid),
            News::Interrupted(error) => {
                self.metrics.interruptions.inc();
                tracing::warn!(kind = kind.name(), error, "a watch was interrupted");
            }
            News::Seen(metadata) => match gather::read(kind, &metadata) {
                Reading::Track(tracked) => self.queue.put(tracked, *epoch),
                reading => {
                    self.queue.remove(metadata.uid.as_deref().unwrap_or_default());
                    if let Reading::Refuse(error) = reading {
                        self.metrics.ignored.inc();
                        tracing::info!(
                            kind = kind.name(),
                            namespace = metadata.namespace,
                            name = metadata.name,
                            %error,
                            "left alone: a deadline label, but no valid stamp"
                        );
                    }
                }
            },
        }
    }

    /// Sends what is due, as fast as it may, and says when to look again.
    fn reap_due(&mut self) -> Instant {
        let at_most = Instant::now() + LONGEST_SLEEP;
        loop {
            let now = Instant::now();
            match self.reap.ready(now) {
                Ok(()) => {}
                Err(Some(later)) if !self.queue.is_empty() => return later.min(at_most),
                Err(_) => return at_most,
            }
            // No answer of the server yet, no clock, no deletion: answers come with the lists.
            let Some(server) = self.clock.now() else { return now + SHORTEST_SLEEP * 20 };
            match self.queue.take_due(server) {
                Some(due) => self.reap.send(due, now),
                None => {
                    let Some(next) = self.queue.next_due() else { return at_most };
                    return (now + until(server, next)).min(at_most);
                }
            }
        }
    }

    /// Counts and tells what came of a DELETE, and puts back what is not done with.
    fn conclude(&mut self, due: Due, outcome: &Outcome) {
        self.metrics.count(outcome);
        let tracked = &due.tracked;
        let server = self.clock.now().unwrap_or(tracked.deadline);
        let object = format!("{} {}/{}", tracked.kind.gvk.kind, tracked.namespace, tracked.name);
        let late = server.duration_since(tracked.deadline).as_secs_f64().max(0.0);
        match outcome {
            Outcome::Deleted => {
                self.metrics.lateness.observe(late);
                tracing::info!(object, deadline = %tracked.deadline, late, "deleted: past its deadline");
            }
            Outcome::AlreadyGone | Outcome::Changed => {
                tracing::debug!(object, outcome = outcome.as_str(), "not deleted")
            }
            Outcome::Throttled(after) => {
                // The server is busy for everyone, so nothing else is sent meanwhile either.
                self.reap.not_before = self.reap.not_before.max(Instant::now() + *after);
                tracing::debug!(object, ?after, "the API server asks to wait");
            }
            Outcome::Refused(error) | Outcome::Failed(error) => {
                tracing::warn!(object, attempts = due.attempts + 1, error, "could not be deleted; trying again later");
            }
        }
        // An Event for the first failure only: the pauses that follow are many.
        if due.attempts == 0 || *outcome == Outcome::Deleted {
            self.teller.tell(tracked, outcome);
        }
        if let Some(pause) = outcome.pause(due.attempts, random()) {
            let pause = SignedDuration::try_from(pause).unwrap_or(SignedDuration::from_secs(60));
            self.queue.put_back(due, server.saturating_add(pause).unwrap_or(server));
        }
    }
}

/// How long to sleep until the server's clock shows `next`.
fn until(server: Timestamp, next: Timestamp) -> Duration {
    Duration::try_from(next.duration_since(server)).unwrap_or_default().clamp(SHORTEST_SLEEP, LONGEST_SLEEP)
}

/// Ends when the task does; never where there is none.
async fn finished<T>(task: Option<&mut JoinHandle<T>>) -> Result<T, JoinError> {
    match task {
        Some(task) => task.await,
        None => std::future::pending().await,
    }
}

/// Anything, for jitter.
fn random() -> u64 {
    RandomState::new().hash_one(0)
}
