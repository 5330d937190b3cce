//! Masters whose end is that of dependents which no ownerReference puts under them: one watch of each such workload's
//! metadata, kept while it has such dependents; and one live read before it is taken for gone.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use kube::core::discovery::ApiResource;
use kube::core::{DynamicObject, GroupVersionKind};
use kube::runtime::watcher::Event;
use kube::{Api, Client};
use policies::garbage::{self, Answer, Master, Why};
use policies::object::Gvk;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

use super::collect::CollectorError;
use super::discover::Kind;
use super::gather::{self, Cause, Interruption};
use super::identity::Uid;
use super::occasions::SLOW;
use super::queue::Tracked;
use super::report::Metrics;

/// How long a live read may take.
const READ_DEADLINE: Duration = Duration::from_secs(10);
/// The pause after a live read that failed, doubled with each up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The kinds that a workload can be: a chain of owners ends at the last of Kubernetes' own.
const WORKLOADS: [(&str, &str, &str); 8] = [
    ("", "Pod", "pods"),
    ("", "ReplicationController", "replicationcontrollers"),
    ("apps", "DaemonSet", "daemonsets"),
    ("apps", "Deployment", "deployments"),
    ("apps", "ReplicaSet", "replicasets"),
    ("apps", "StatefulSet", "statefulsets"),
    ("batch", "CronJob", "cronjobs"),
    ("batch", "Job", "jobs"),
];

/// The masters that are followed, and for whom.
pub(super) struct Masters {
    client: Client,
    metrics: Metrics,
    followed: HashMap<Arc<Master>, Followed>,
    /// By the uid of the dependent.
    masters: HashMap<Uid, Arc<Master>>,
    running: JoinSet<()>,
    sender: mpsc::Sender<Arc<Master>>,
    /// Those that are gone, by a live read.
    gone: mpsc::Receiver<Arc<Master>>,
}

struct Followed {
    task: AbortHandle,
    dependents: HashMap<Uid, (Tracked, u64)>,
    /// When it was found to be gone.
    gone: Option<Timestamp>,
}

impl Followed {
    /// What `tracked` comes to.
    fn fate(&self, tracked: Tracked) -> Tracked {
        match self.gone {
            Some(at) if at < tracked.deadline => Tracked { deadline: at, why: Why::MasterGone, ..tracked },
            _ => tracked,
        }
    }
}

impl Masters {
    pub(super) fn new(client: Client, metrics: Metrics) -> Self {
        let (sender, gone) = mpsc::channel(64);
        let (followed, masters) = (HashMap::new(), HashMap::new());
        Self { client, metrics, followed, masters, running: JoinSet::new(), sender, gone }
    }

    /// Takes in a dependent as just seen, and gives it back with what its master's end makes of it.
    pub(super) fn put(&mut self, master: Option<Master>, tracked: Tracked, epoch: u64) -> Tracked {
        if self.masters.get(&tracked.uid).map(|known| &**known) != master.as_ref() {
            self.remove(&tracked.uid);
        }
        let Some(master) = master else { return tracked };
        let master = Arc::new(master);
        let followed = self.followed.entry(Arc::clone(&master)).or_insert_with(|| {
            let following = follow(self.client.clone(), Arc::clone(&master), self.sender.clone(), self.metrics.clone());
            Followed { task: self.running.spawn(following), dependents: HashMap::new(), gone: None }
        });
        let uid = tracked.uid.clone();
        followed.dependents.insert(uid.clone(), (tracked.clone(), epoch));
        let tracked = followed.fate(tracked);
        self.masters.insert(uid, master);
        self.count();
        tracked
    }

    /// Forgets a dependent; with the last one its master.
    pub(super) fn remove(&mut self, uid: &Uid) {
        let Some(master) = self.masters.remove(uid) else { return };
        if let Some(followed) = self.followed.get_mut(&master) {
            followed.dependents.remove(uid);
            if followed.dependents.is_empty() {
                followed.task.abort();
                self.followed.remove(&master);
            }
        }
        self.count();
    }

    /// Forgets what a completed list of `kind` did not show: dependents seen before `epoch`.
    pub(super) fn sweep(&mut self, kind: &Kind, epoch: u64) {
        let dependents = self.followed.values().flat_map(|followed| followed.dependents.values());
        let unseen = dependents.filter(|(tracked, seen)| *tracked.kind == *kind && *seen < epoch);
        let unseen: Vec<Uid> = unseen.map(|(tracked, _)| tracked.uid.clone()).collect();
        for uid in unseen {
            self.remove(&uid);
        }
    }

    /// Waits for the end of a master, and gives its dependents, which are garbage from `now()` on, each with the number
    /// of the list that it belongs to. Loses nothing where it is dropped.
    ///
    /// # Errors
    /// When a task of ours died.
    pub(super) async fn next(
        &mut self,
        now: impl Fn() -> Option<Timestamp>,
    ) -> Result<Vec<(Tracked, u64)>, CollectorError> {
        loop {
            tokio::select! {
                Some(master) = self.gone.recv() => {
                    // Otherwise its last dependent has just gone.
                    let Some(followed) = self.followed.get_mut(&master) else { continue };
                    // There was an answer, so there is a time.
                    followed.gone = Some(now().unwrap_or(Timestamp::MIN));
                    let dependents = followed.dependents.values();
                    return Ok(dependents.map(|(tracked, epoch)| (followed.fate(tracked.clone()), *epoch)).collect());
                }
                Some(ended) = self.running.join_next() => match ended {
                    Err(error) if !error.is_cancelled() => return Err(CollectorError::Died(error)),
                    _ => {}
                },
            }
        }
    }

    fn count(&self) {
        self.metrics.masters.set(i64::try_from(self.followed.len()).unwrap_or(i64::MAX));
    }
}

/// Its kind as the API server's paths name it; none: no workload of Kubernetes' own.
fn resource(master: &Master) -> Option<ApiResource> {
    let Gvk { group, version, kind } = Gvk::from_api_version(&master.workload.api_version, &master.workload.kind);
    let found = WORKLOADS.iter().find(|(of_group, of_kind, _)| *of_group == group && *of_kind == kind);
    found.map(|(_, _, plural)| {
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(&group, &version, &kind), plural)
    })
}

/// Follows one master until it is gone.
async fn follow(client: Client, master: Arc<Master>, out: mpsc::Sender<Arc<Master>>, metrics: Metrics) {
    let workload = &master.workload;
    let Some(resource) = resource(&master) else {
        return unreadable(&master, "it is no workload of Kubernetes' own", &metrics);
    };
    loop {
        let events = gather::watch_one(client.clone(), &master.namespace, &resource, &workload.name);
        let mut events = std::pin::pin!(events);
        let mut there = false;
        while let Some(event) = events.next().await {
            let suspect = match event {
                Ok(Event::Init) => {
                    there = false;
                    false
                }
                Ok(Event::InitApply(object) | Event::Apply(object)) => {
                    there = object.metadata.uid.as_ref() == Some(&workload.uid);
                    !there
                }
                Ok(Event::InitDone) => !there,
                Ok(Event::Delete(_)) => true,
                Err(error) => {
                    let Interruption { cause, error } = (&error).into();
                    metrics.interruptions.inc();
                    if cause != Cause::Passing {
                        unreadable(&master, &error, &metrics);
                        break;
                    }
                    tracing::debug!(master = %workload, error, "the watch of a master was interrupted");
                    false
                }
            };
            if suspect && is_gone(&client, &master, &resource, &metrics).await {
                tracing::info!(master = %workload, namespace = master.namespace, uid = workload.uid, "a master is gone");
                let _ = out.send(Arc::clone(&master)).await; // Nobody listens at the end.
                return;
            }
        }
        tokio::time::sleep(SLOW).await;
    }
}

/// Asks the API server itself, until it answers.
async fn is_gone(client: &Client, master: &Master, resource: &ApiResource, metrics: &Metrics) -> bool {
    let workload = &master.workload;
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &master.namespace, resource);
    let mut pause = FIRST_PAUSE;
    loop {
        let read = tokio::time::timeout(READ_DEADLINE, api.get_metadata(&workload.name)).await;
        let (answer, error) = match &read {
            Ok(Ok(object)) => (Answer::There(object.metadata.uid.as_deref().unwrap_or_default()), String::new()),
            Ok(Err(kube::Error::Api(status))) => {
                let answer = match status.code {
                    404 => Answer::NotFound(status.details.as_ref().map(|details| details.name.as_str())),
                    403 => Answer::Forbidden,
                    _ => Answer::Failed,
                };
                (answer, status.message.clone())
            }
            Ok(Err(error)) => (Answer::Failed, error.to_string()),
            Err(_) => (Answer::Failed, format!("no answer within {} s", READ_DEADLINE.as_secs())),
        };
        if garbage::gone(workload, answer) {
            return true;
        }
        match answer {
            Answer::There(_) => return false,
            Answer::Failed => tracing::warn!(master = %workload, error, "a master could not be read; trying again"),
            Answer::Forbidden | Answer::NotFound(_) => {
                unreadable(master, &error, metrics);
                tokio::time::sleep(SLOW).await;
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn unreadable(master: &Master, error: &str, metrics: &Metrics) {
    metrics.masters_unreadable.inc();
    tracing::warn!(
        master = %master.workload,
        namespace = master.namespace,
        error,
        "cannot tell whether this master lives, so dependents that no ownerReference puts under it stay until their \
         deadline; give the collector get, list and watch of its kind (retinue install)"
    );
}
