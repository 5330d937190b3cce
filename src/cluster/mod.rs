//! What retinue knows of a cluster, and how: watches that publish snapshots, and live reads with deadlines.
//!
//! The rooms: [`client`] connects and reads; [`watch`] lists and watches, with proof of life, by [`items`] one at a time; [`clock`] is the API
//! server's; [`templates`], [`facts`], [`masters`], [`collectable`] and [`dependents`] are snapshots; [`reviews`] asks who may
//! what; [`revision`] is all that is read of some objects; [`callers`] finds out who asks;
//! [`lineage`] what owns an object; [`gather`] puts a verdict's situation together; [`events`] tells what was decided;
//! [`readiness`] says whether all of that can be relied on; [`metrics`] counts. [`still`] is a cluster that is given
//! instead of watched, for benchmarks.

pub mod callers;
pub mod client;
pub mod clock;
pub mod collectable;
pub mod dependents;
pub mod events;
pub mod facts;
pub mod gather;
mod items;
mod lineage;
pub mod masters;
pub mod metrics;
pub mod readiness;
pub(crate) mod reviews;
pub(crate) mod revision;
pub mod still;
pub mod templates;
pub(crate) mod watch;

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use webhooks::health::Readiness;

use callers::{Callers, Live};
use client::Connection;
use clock::Clock;
use collectable::{Collectable, Collector};
use dependents::Dependents;
use events::Events;
use facts::LiveFacts;
use masters::MasterAccounts;
use readiness::{Trust, Trusted};
use templates::Templates;

pub use gather::GatherError;
pub use watch::{STALE_AFTER, Stale};

/// What is left to the operator.
#[derive(Clone, Default)]
pub struct Options {
    /// The name under which Events are reported: the pod's; empty: `retinue`.
    pub instance: String,
    /// Which webhook configurations must trust our certificate before we are ready; none in `dev` without them.
    pub trust: Option<Trust>,
    /// Where readiness is told; its other conditions are left alone.
    pub readiness: Option<Readiness>,
    /// Whose rights the collector has; none: nobody asks whether it could delete what templates make.
    pub collector: Option<Collector>,
    /// Bytes that are kept of template ConfigMaps; none: [`templates::KEPT`].
    pub template_memory: Option<u64>,
}

/// Everything that is known of a cluster.
pub struct Cluster {
    client: kube::Client,
    clock: Arc<Clock>,
    templates: Arc<Templates>,
    facts: Arc<LiveFacts>,
    masters: Arc<MasterAccounts>,
    collectable: Arc<Collectable>,
    dependents: Arc<Dependents>,
    callers: Callers<Live>,
    events: Arc<Events>,
    trusted: Option<Arc<Trusted>>,
}

/// The tasks behind a [`Cluster`].
pub struct Tasks {
    running: JoinSet<&'static str>,
    shutdown: CancellationToken,
}

/// A task that must run as long as the process did not.
#[derive(Debug, thiserror::Error)]
pub enum TaskDied {
    /// It panicked.
    #[error("a background task panicked: {0}")]
    Panicked(#[source] tokio::task::JoinError),
    /// It ended.
    #[error("the background task that keeps {0} ended, which it never should")]
    Ended(&'static str),
}

impl Cluster {
    /// Starts watching. The tasks run until `shutdown`; whoever starts a cluster joins them.
    pub fn start(connection: Connection, options: Options, shutdown: CancellationToken) -> (Arc<Self>, Tasks) {
        let Connection { client, clock } = connection;
        let kept = options.template_memory.unwrap_or(templates::KEPT);
        let templates = Arc::new(Templates::default().keeping(kept));
        let facts = Arc::new(LiveFacts::default());
        let masters = Arc::new(MasterAccounts::default());
        let collectable = Arc::new(Collectable::new(options.collector));
        let dependents = Arc::new(Dependents::default());
        let trusted = options.trust.map(|trust| Arc::new(Trusted::new(trust)));
        let (events, writer) = Events::new(client.clone(), Arc::clone(&clock), &options.instance);
        let events = Arc::new(events);

        let mut tasks = Tasks { running: JoinSet::new(), shutdown };
        tasks.keep("the templates", Arc::clone(&templates).run(client.clone()));
        tasks.keep("the facts", Arc::clone(&facts).run(client.clone(), Arc::clone(&templates)));
        tasks.keep(
            "the masters' accounts",
            Arc::clone(&masters).run(client.clone(), Arc::clone(&templates), Arc::clone(&facts)),
        );
        tasks.keep("the collector's rights", Arc::clone(&collectable).run(client.clone(), Arc::clone(&templates)));
        tasks.keep(
            "the dependents",
            Arc::clone(&dependents).run(client.clone(), Arc::clone(&templates), Arc::clone(&events)),
        );
        tasks.keep("the Events", writer.run());
        if let Some(trusted) = &trusted {
            tasks.keep("the webhook configurations", Arc::clone(trusted).run(client.clone()));
        }

        let callers = Callers::new(Live(client.clone()));
        let cluster =
            Self { client, clock, templates, facts, masters, collectable, dependents, callers, events, trusted };
        let cluster = Arc::new(cluster);
        if let Some(readiness) = options.readiness {
            tasks.keep("the readiness", Arc::clone(&cluster).report(readiness));
        }
        (cluster, tasks)
    }

    /// The API server's clock.
    pub fn clock(&self) -> &Arc<Clock> {
        &self.clock
    }

    /// The templates.
    pub fn templates(&self) -> &Arc<Templates> {
        &self.templates
    }

    /// The facts.
    pub fn facts(&self) -> &Arc<LiveFacts> {
        &self.facts
    }

    /// Which accounts are masters.
    pub fn masters(&self) -> &Arc<MasterAccounts> {
        &self.masters
    }

    /// What the collector may delete, as far as it is known.
    pub fn collectable(&self) -> &Arc<Collectable> {
        &self.collectable
    }

    /// The dependents.
    pub fn dependents(&self) -> &Arc<Dependents> {
        &self.dependents
    }

    /// How many Events were dropped, for the metric.
    pub fn events_dropped(&self) -> u64 {
        self.events.dropped()
    }
}

impl Tasks {
    fn keep(&mut self, what: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let shutdown = self.shutdown.clone();
        self.running.spawn(async move {
            let _ = shutdown.run_until_cancelled(task).await;
            what
        });
    }

    /// Waits until shutdown, or until a task dies: then the process cannot keep what it promises and must end.
    ///
    /// # Errors
    /// When a task ended before shutdown.
    pub async fn join(mut self) -> Result<(), TaskDied> {
        while let Some(ended) = self.running.join_next().await {
            match ended {
                Err(error) => return Err(TaskDied::Panicked(error)),
                Ok(what) if !self.shutdown.is_cancelled() => return Err(TaskDied::Ended(what)),
                Ok(_) => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]
    use super::*;

    fn tasks(shutdown: &CancellationToken) -> Tasks {
        Tasks { running: JoinSet::new(), shutdown: shutdown.clone() }
    }

    #[tokio::test]
    async fn a_task_that_dies_is_named_and_shutdown_is_no_death() {
        let shutdown = CancellationToken::new();
        let mut ends = tasks(&shutdown);
        ends.keep("peace", std::future::pending());
        ends.keep("order", std::future::ready(()));
        assert!(ends.join().await.unwrap_err().to_string().contains("keeps order ended"));

        let mut panics = tasks(&shutdown);
        panics.keep("calm", async { panic!("for a test") });
        assert!(matches!(panics.join().await, Err(TaskDied::Panicked(_))));

        let mut fine = tasks(&shutdown);
        fine.keep("peace", std::future::pending());
        shutdown.cancel();
        assert!(fine.join().await.is_ok());
    }
}
