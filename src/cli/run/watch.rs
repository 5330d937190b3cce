//! Watches of the Job and of its pods: whatever happens to the connection, what is missed meanwhile is made up for.

use std::collections::HashSet;
use std::time::Duration;

use futures::StreamExt;
use kube::api::DynamicObject;
use kube::core::GroupVersionKind;
use kube::core::discovery::ApiResource;
use kube::runtime::watcher::{self, Event};
use policies::run::job;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::api::{Api, ApiError};

/// The pause after a failure, doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// News that may wait to be taken in; the watch waits beyond that.
const WAITING: usize = 256;

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Job,
    Pods,
}

/// What a watch brings.
#[derive(Debug)]
pub(super) enum News {
    /// The Job by that name, whichever it is now.
    Job(Value),
    /// No Job by that name is there; the last that was said of the one that was.
    JobGone(Option<Value>),
    Pod(Value),
    /// The pod of this uid is gone, with the last that was said of it.
    PodGone(String, Option<Value>),
    /// All pods that there are have been told.
    PodsListed,
    /// The watch is interrupted, and goes on by itself.
    Trouble(What, ApiError),
    /// It does again.
    Well(What),
}

/// The watches of one Job. Dropping this ends them.
pub(super) struct Watches {
    pub(super) news: mpsc::Receiver<News>,
    _tasks: JoinSet<()>,
}

/// Follows this Job, and the pods that it controls.
pub(super) fn follow(api: &Api, created: &Value, name: &str, uid: &str) -> Watches {
    let (out, news) = mpsc::channel(WAITING);
    let mut tasks = JoinSet::new();
    let objects = |group: &str, kind: &str| {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind));
        kube::Api::<DynamicObject>::namespaced_with(api.client.clone(), &api.namespace, &resource)
    };
    let of_name = watcher::Config::default().fields(&format!("metadata.name={name}"));
    tasks.spawn(watch(objects("batch", "Job"), of_name, What::Job, None, out.clone()));
    if let Some(selector) = job::selector(created) {
        let config = watcher::Config::default().labels(&selector);
        tasks.spawn(watch(objects("", "Pod"), config, What::Pods, Some(uid.to_owned()), out));
    }
    Watches { news, _tasks: tasks }
}

/// One watch. `owner` is the uid of the controller that objects must have.
async fn watch(
    objects: kube::Api<DynamicObject>,
    config: watcher::Config,
    what: What,
    owner: Option<String>,
    out: mpsc::Sender<News>,
) {
    let mut events = watcher::watcher(objects, config).boxed();
    let mut known: HashSet<String> = HashSet::new();
    let mut listed: HashSet<String> = HashSet::new();
    let mut pause = None;
    while let Some(event) = events.next().await {
        let mut news = Vec::new();
        match event {
            Ok(event) => {
                if pause.take().is_some() {
                    news.push(News::Well(what));
                }
                match event {
                    Event::Init => listed.clear(),
                    Event::InitDone => {
                        let gone: Vec<String> = known.difference(&listed).cloned().collect();
                        known.clone_from(&listed);
                        match what {
                            What::Job if listed.is_empty() => news.push(News::JobGone(None)),
                            What::Job => {}
                            What::Pods => {
                                news.extend(gone.into_iter().map(|uid| News::PodGone(uid, None)));
                                news.push(News::PodsListed);
                            }
                        }
                    }
                    Event::InitApply(object) | Event::Apply(object) => {
                        if let Some((uid, value)) = taken(object, owner.as_deref()) {
                            listed.insert(uid.clone());
                            known.insert(uid);
                            news.push(if what == What::Job { News::Job(value) } else { News::Pod(value) });
                        }
                    }
                    Event::Delete(object) => {
                        if let Some((uid, value)) = taken(object, owner.as_deref()) {
                            known.remove(&uid);
                            news.push(match what {
                                What::Job => News::JobGone(Some(value)),
                                What::Pods => News::PodGone(uid, Some(value)),
                            });
                        }
                    }
                }
            }
            Err(error) => {
                if pause.is_none() {
                    news.push(News::Trouble(what, trouble(error)));
                }
                let next = pause.map_or(FIRST_PAUSE, |last: Duration| (last * 2).min(LONGEST_PAUSE));
                pause = Some(next);
            }
        }
        for news in news {
            if out.send(news).await.is_err() {
                return;
            }
        }
        if let Some(pause) = pause {
            tokio::time::sleep(pause).await;
        }
    }
}

/// The object with its uid, if it is one of those looked for.
fn taken(object: DynamicObject, owner: Option<&str>) -> Option<(String, Value)> {
    let uid = object.metadata.uid.clone()?;
    let value = serde_json::to_value(object).ok()?;
    owner.is_none_or(|owner| job::owns(owner, &value)).then_some((uid, value))
}

fn trouble(error: watcher::Error) -> ApiError {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => error.into(),
        watcher::Error::WatchError(status) => kube::Error::Api(status).into(),
        watcher::Error::NoResourceVersion => ApiError::Silent(error.to_string()),
    }
}
