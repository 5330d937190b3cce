//! The watches of the kinds that are followed, started and stopped as rights come and go.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use kube::Client;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinError, JoinSet};

use super::collect::CollectorError;
use super::discover::{Kind, Objects, Rights};
use super::gather::{self, News};
use super::report::Metrics;

/// News that wait; the watches pause beyond it.
const NEWS_WAITING: usize = 256;

pub(super) struct Following {
    client: Client,
    namespace: Option<String>,
    metrics: Metrics,
    watches: HashMap<Arc<Kind>, Watch>,
    /// Kinds whose first list is still read.
    unread: HashSet<Arc<Kind>>,
    /// What is said to lack a right already.
    lacks: BTreeSet<String>,
    running: JoinSet<Arc<Kind>>,
    sender: mpsc::Sender<(Arc<Kind>, News)>,
    news: mpsc::Receiver<(Arc<Kind>, News)>,
}

struct Watch {
    task: AbortHandle,
    /// How many lists have begun.
    epoch: u64,
}

impl Following {
    pub(super) fn new(client: Client, namespace: Option<String>, metrics: Metrics) -> Self {
        let (sender, news) = mpsc::channel(NEWS_WAITING);
        Self {
            client,
            namespace,
            metrics,
            watches: HashMap::new(),
            unread: HashSet::new(),
            lacks: BTreeSet::new(),
            running: JoinSet::new(),
            sender,
            news,
        }
    }

    /// Starts and stops watches; `forget` is told what is followed no longer. Gives the kinds that lack a right since now.
    pub(super) fn follow(&mut self, rights: Rights, mut forget: impl FnMut(&Kind)) -> Vec<String> {
        let lacks: Vec<String> = rights.lacks.difference(&self.lacks).cloned().collect();
        for lack in &lacks {
            tracing::warn!(kind = lack, "objects of this kind cannot be collected");
        }
        self.metrics.kinds_lacking.set(i64::try_from(rights.lacks.len()).unwrap_or(i64::MAX));
        self.lacks = rights.lacks;
        let unread = !self.unread.is_empty();
        self.watches.retain(|kind, watch| {
            let keep = rights.may.contains(kind);
            if !keep {
                tracing::warn!(kind = kind.name(), "this kind is followed no longer");
                watch.task.abort();
                forget(kind);
                self.unread.remove(kind);
            }
            keep
        });
        for kind in rights.may {
            if !self.watches.contains_key(&kind) {
                tracing::debug!(kind = kind.name(), "following");
                let (client, namespace) = (self.client.clone(), self.namespace.clone());
                let watch = gather::follow(client, namespace, Arc::clone(&kind), self.sender.clone());
                let followed = Arc::clone(&kind);
                let task = self.running.spawn(async move {
                    watch.await;
                    followed
                });
                self.unread.insert(Arc::clone(&kind));
                self.watches.insert(kind, Watch { task, epoch: 0 });
            }
        }
        let kinds = self.watches.keys().filter(|kind| kind.objects == Objects::Dependents).count();
        self.metrics.kinds.set(i64::try_from(kinds).unwrap_or(i64::MAX));
        if unread && self.unread.is_empty() {
            self.metrics.following.notify_one(); // What was still to be read needs not be.
        }
        lacks
    }

    /// Whether this kind is followed.
    pub(super) fn follows(&self, kind: &Kind) -> bool {
        self.watches.contains_key(kind)
    }

    /// The next news of a kind that is followed, with the number of the list that it belongs to. Loses nothing where it
    /// is dropped.
    ///
    /// # Errors
    /// When a watch ends that was not stopped.
    pub(super) async fn next(&mut self) -> Result<(Arc<Kind>, u64, News), CollectorError> {
        loop {
            tokio::select! {
                Some((kind, news)) = self.news.recv() => {
                    // Otherwise said just before it was stopped.
                    let Some(watch) = self.watches.get_mut(&kind) else { continue };
                    match news {
                        News::Listing => watch.epoch += 1,
                        News::Listed if self.unread.remove(&kind) && self.unread.is_empty() => {
                            self.metrics.following.notify_one();
                        }
                        _ => {}
                    }
                    let epoch = watch.epoch;
                    return Ok((kind, epoch, news));
                }
                Some(ended) = self.running.join_next() => unless_stopped(ended)?,
            }
        }
    }
}

/// A watch ends because it was stopped, or never.
fn unless_stopped(ended: Result<Arc<Kind>, JoinError>) -> Result<(), CollectorError> {
    match ended {
        Err(error) if error.is_cancelled() => Ok(()),
        Err(error) => Err(CollectorError::Died(error)),
        Ok(kind) => Err(CollectorError::Ended(kind.name())),
    }
}
