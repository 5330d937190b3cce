//! Pods with essential containers: followed where the admin wants it, ended when one of those has completed
//! ([`policies::essential`] judges).
//!
//! Level-based: each list and each event of a pod is judged by itself, and what a completion comes to waits in a queue
//! until the pod is seen to be ended. Nothing is kept of any other pod. A pod of a Job is given the phase Succeeded through
//! its subresource `status`, and when its Job has counted it once more, in a way that makes its node look. Where a kubelet that
//! had not heard of it sets the phase back, the watch shows it, and it is given again.

mod areas;
mod pods;

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::core::metadata::ObjectMeta;
use policies::essential::Mistake;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

pub use self::areas::{Area, Missing, Wanted};
pub(super) use self::pods::Selection;
use self::pods::{News, SELECTORS};
use super::collect::CollectorError;
use super::discover::Kind;
use super::gather::Interruption;
use super::queue::{Due, Queue};
use super::report::{Metrics, Teller};

/// News that wait; the watches pause beyond it.
const NEWS_WAITING: usize = 256;

/// Pods, as discovery names them.
pub(super) fn kind() -> Arc<Kind> {
    Arc::new(pods::kind())
}

/// The watches, and what is due of what they showed.
pub(super) struct Essential {
    client: Client,
    metrics: Metrics,
    teller: Teller,
    watches: HashMap<Arc<Selection>, Watch>,
    /// What is said to lack a right already.
    lacks: BTreeSet<String>,
    running: JoinSet<Arc<Selection>>,
    sender: mpsc::Sender<(Arc<Selection>, News)>,
    news: mpsc::Receiver<(Arc<Selection>, News)>,
}

struct Watch {
    task: AbortHandle,
    /// How many lists have begun.
    epoch: u64,
    /// Pods that are done.
    done: Queue,
    /// By uid: the mistakes that were reported, as a hash, and the list that showed the pod.
    told: HashMap<String, (u64, u64)>,
}

impl Essential {
    pub(super) fn new(client: Client, metrics: Metrics, teller: Teller) -> Self {
        let (sender, news) = mpsc::channel(NEWS_WAITING);
        let (watches, lacks, running) = (HashMap::new(), BTreeSet::new(), JoinSet::new());
        Self { client, metrics, teller, watches, lacks, running, sender, news }
    }

    /// Starts and stops watches as rights come and go. Gives the rights that are missing since now.
    pub(super) fn follow(&mut self, rights: &Missing) -> Vec<String> {
        let lacks = rights.lacks();
        let new: Vec<String> = lacks.difference(&self.lacks).cloned().collect();
        for lack in &new {
            tracing::warn!(lack, "essential containers are not followed");
        }
        self.metrics.essential_lacking.set(i64::try_from(lacks.len()).unwrap_or(i64::MAX));
        self.lacks = lacks;
        let may = rights.may();
        self.watches.retain(|selection, watch| {
            let keep = may.contains(&selection.area);
            if !keep {
                watch.task.abort();
            }
            keep
        });
        let selections =
            may.into_iter().flat_map(|area| SELECTORS.map(|labels| Arc::new(Selection { area: area.clone(), labels })));
        for selection in selections {
            if self.watches.contains_key(&selection) {
                continue;
            }
            tracing::debug!(%selection, "following");
            let watch = pods::follow(self.client.clone(), Arc::clone(&selection), self.sender.clone());
            let followed = Arc::clone(&selection);
            let task = self.running.spawn(async move {
                watch.await;
                followed
            });
            self.watches.insert(selection, Watch { task, epoch: 0, done: Queue::default(), told: HashMap::new() });
        }
        new
    }

    /// Takes in what a watch says next; gives an interruption, which may say something of rights. Loses nothing where it
    /// is dropped.
    ///
    /// # Errors
    /// When a watch ends that was not stopped.
    pub(super) async fn next(
        &mut self,
        now: impl Fn() -> Option<Timestamp>,
    ) -> Result<Option<Interruption>, CollectorError> {
        loop {
            tokio::select! {
                Some((selection, news)) = self.news.recv() => {
                    // Otherwise said just before it was stopped.
                    let Some(watch) = self.watches.get_mut(&selection) else { continue };
                    match news {
                        News::Mistaken(metadata, mistakes) => {
                            let uid = metadata.uid.as_deref().unwrap_or_default();
                            watch.done.remove(&uid.into());
                            if watch.is_new(uid, &mistakes) {
                                self.tell(*metadata, &mistakes);
                            }
                        }
                        News::Interrupted(interruption) => {
                            self.metrics.interruptions.inc();
                            tracing::warn!(%selection, error = interruption.error, "a watch was interrupted");
                            return Ok(Some(interruption));
                        }
                        news => watch.learn(news, now),
                    }
                    return Ok(None);
                }
                Some(ended) = self.running.join_next() => match ended {
                    Err(error) if error.is_cancelled() => {}
                    Err(error) => return Err(CollectorError::Died(error)),
                    Ok(selection) => return Err(CollectorError::Ended(selection.to_string())),
                },
            }
        }
    }

    /// Says on a pod what is wrong with its labels.
    fn tell(&self, metadata: ObjectMeta, mistakes: &[Mistake]) {
        self.metrics.essential_mistaken.inc();
        let mistakes = mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let (namespace, name) = (metadata.namespace, metadata.name);
        tracing::info!(
            namespace,
            name,
            mistakes,
            "essential containers that cannot be followed; the pod is left alone"
        );
        let pod = ObjectReference {
            api_version: Some("v1".into()),
            kind: Some("Pod".into()),
            namespace,
            name,
            uid: metadata.uid,
            ..ObjectReference::default()
        };
        self.teller.tell_mistakes(pod, &mistakes);
    }

    /// Pods that are done and wait for their end.
    pub(super) fn len(&self) -> usize {
        self.watches.values().map(|watch| watch.done.len()).sum()
    }

    /// The next instant at which something is due.
    pub(super) fn next_due(&mut self) -> Option<Timestamp> {
        self.watches.values_mut().filter_map(|watch| watch.done.next_due()).min()
    }

    /// One pod that is due at `now`, and where it comes from.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Option<(Due, Arc<Selection>)> {
        self.watches
            .iter_mut()
            .find_map(|(selection, watch)| watch.done.take_due(now).map(|due| (due, Arc::clone(selection))))
    }

    /// Takes back what [`Essential::take_due`] gave, to be tried again not before `at`; not if it is followed no longer.
    pub(super) fn put_back(&mut self, due: Due, selection: &Selection, at: Timestamp) {
        if let Some(watch) = self.watches.get_mut(selection) {
            watch.done.put_back(due, at);
        }
    }
}

impl Watch {
    fn learn(&mut self, news: News, now: impl Fn() -> Option<Timestamp>) {
        match news {
            News::Listing => self.epoch += 1,
            News::Listed => {
                self.done.sweep(&pods::kind(), self.epoch);
                let epoch = self.epoch;
                self.told.retain(|_, (_, seen)| *seen >= epoch);
            }
            News::Left(uid) | News::Gone(uid) => {
                self.done.remove(&uid.as_str().into());
                self.told.remove(&uid);
            }
            News::Done(mut tracked) => {
                self.told.remove(&tracked.uid.to_string());
                // A node's clock may be ahead; there was an answer, so there is a time.
                tracked.deadline = tracked.deadline.min(now().unwrap_or(Timestamp::MIN));
                self.done.put(tracked, self.epoch);
            }
            News::Mistaken(..) | News::Interrupted(_) => {}
        }
    }

    /// Whether these mistakes of a pod have not been reported; from now on they have.
    fn is_new(&mut self, uid: &str, mistakes: &[Mistake]) -> bool {
        let mut hasher = DefaultHasher::new();
        mistakes.iter().for_each(|mistake| mistake.to_string().hash(&mut hasher));
        let hash = hasher.finish();
        self.told.insert(uid.to_owned(), (hash, self.epoch)).is_none_or(|(told, _)| told != hash)
    }
}
