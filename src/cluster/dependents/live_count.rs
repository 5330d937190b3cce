//! A master's dependents counted live, by metadata alone: at most once a second for each master, whoever asks.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kube::Client;
use policies::keys;
use policies::object::{Gvk, NamespacedName};
use policies::stamp::label_value;
use tokio::sync::{OwnedMutexGuard, Semaphore};
use tokio::time::{Instant, timeout};

use super::super::client::{LookupError, READ_DEADLINE, is_name, message};
use super::super::watch::{Page, Watched};
use super::ledger::{Key, Master};
use super::quota::SETTLE;
use super::{Dependents, Partial};

/// How long a count stands.
pub(super) const EACH: Duration = Duration::from_secs(1);
/// How many counts are read at once, and objects per page of one, some KB each.
const AT_ONCE: usize = 4;
const PAGE: &str = "200";
/// How many objects are read for one count. A master with more is counted by the watch, which is right but for its lag:
/// reading them all once a second would cost the API server more than that is worth.
pub(super) const MOST_LISTED: usize = 2_000;
/// Above this many namespaces a kind is read in all of them at once.
const MOST_NAMESPACES: usize = 4;
/// How many masters' counts are remembered.
const REMEMBERED: usize = 1_024;

/// What is to be counted.
#[derive(Clone, Debug)]
pub(crate) struct Counting {
    /// Whose dependents.
    pub(crate) master: Master,
    /// Of these kinds.
    pub(crate) kinds: BTreeSet<Gvk>,
    /// In these namespaces.
    pub(crate) namespaces: BTreeSet<String>,
}

impl Counting {
    fn everywhere(&self) -> bool {
        self.namespaces.len() > MOST_NAMESPACES
    }

    /// Whether a kind is counted, through whatever version.
    fn has(&self, group: &str, kind: &str) -> bool {
        self.kinds.iter().any(|counted| counted.group == group && counted.kind == kind)
    }

    /// Whether the object `key` would be counted.
    fn covers(&self, key: &Key) -> bool {
        self.has(&key.group, &key.kind) && (self.everywhere() || self.namespaces.contains(&key.namespace))
    }
}

/// A count.
#[derive(Clone, Debug)]
pub(crate) struct Counted {
    /// When it began.
    pub(super) began: Instant,
    /// The master's dependents by template ConfigMap.
    pub(crate) by_config_map: BTreeMap<NamespacedName, u32>,
}

impl Counted {
    pub(super) fn of(&self, config_map: &NamespacedName) -> u32 {
        self.by_config_map.get(config_map).copied().unwrap_or(0)
    }
}

type Answer = Result<Arc<Counted>, LookupError>;
/// A master's last count; whoever holds it counts, the others wait for what is found.
type Last = Arc<tokio::sync::Mutex<Option<(Instant, Answer)>>>;

/// The last count of each master.
#[derive(Debug)]
pub(super) struct LiveCounts {
    last: Mutex<HashMap<Master, Last>>,
    at_once: Semaphore,
}

impl Default for LiveCounts {
    fn default() -> Self {
        Self { last: Mutex::default(), at_once: Semaphore::new(AT_ONCE) }
    }
}

impl LiveCounts {
    /// The last count of `master`, if it is younger than a second, or the one that `read` makes. Reading goes on where
    /// who asked is gone, so that nobody makes more counts by going away.
    pub(super) async fn get<R>(&self, master: &Master, read: impl FnOnce() -> R) -> Answer
    where
        R: Future<Output = Answer> + Send + 'static,
    {
        let mut last = self.of(master).lock_owned().await;
        if let Some((began, answer)) = &*last
            && began.elapsed() < EACH
        {
            return answer.clone();
        }
        let began = Instant::now();
        let reading = read();
        let read = tokio::spawn(async move {
            let answer = reading.await;
            remember(&mut last, began, &answer);
            answer
        });
        read.await.unwrap_or_else(|error| Err(failed(&error.to_string())))
    }

    fn of(&self, master: &Master) -> Last {
        let mut all = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = all.get(master) {
            return Arc::clone(last);
        }
        if all.len() >= REMEMBERED {
            all.retain(|_, last| match last.try_lock() {
                Ok(last) => last.as_ref().is_some_and(|(began, _)| began.elapsed() < EACH),
                // Somebody counts.
                Err(_) => true,
            });
        }
        Arc::clone(all.entry(master.clone()).or_default())
    }
}

fn remember(last: &mut OwnedMutexGuard<Option<(Instant, Answer)>>, began: Instant, answer: &Answer) {
    **last = Some((began, answer.clone()));
}

fn failed(message: &str) -> LookupError {
    LookupError::Failed { what: WHAT.into(), message: message.into() }
}

/// What is read, for people.
const WHAT: &str = "the dependents of this master";

impl Dependents {
    /// Counts live what `counting` says. Reservations that were admitted before and came to nothing end.
    ///
    /// # Errors
    /// When the API server does not say, or not soon enough.
    pub(crate) async fn count_live(self: &Arc<Self>, client: &Client, counting: &Counting) -> Answer {
        self.live_counts
            .get(&counting.master, || {
                let (dependents, client, counting) = (Arc::clone(self), client.clone(), counting.clone());
                async move { dependents.read_all(&client, &counting).await }
            })
            .await
    }

    async fn read_all(&self, client: &Client, counting: &Counting) -> Answer {
        let began = Instant::now();
        let master = &counting.master;
        let places = self.ledger.places(master, None, u64::MAX, began.into_std());
        let shown: usize = places.values().map(|places| usize::try_from(places.shown).unwrap_or(usize::MAX)).sum();
        let mut there: HashMap<Key, NamespacedName> = HashMap::new();
        if shown < MOST_LISTED {
            let reading = async {
                let _turn = self.live_counts.at_once.acquire().await;
                self.list(client, counting, &mut there).await
            };
            match timeout(READ_DEADLINE, reading).await {
                Ok(read) => read.map_err(|reason| failed(&reason))?,
                Err(_) => return Err(LookupError::Slow { what: WHAT.into(), after: READ_DEADLINE }),
            }
        }
        self.ledger.refute(master, began.into_std(), SETTLE, |key| counting.covers(key) && !there.contains_key(key));
        let mut by_config_map = BTreeMap::new();
        for config_map in there.into_values() {
            *by_config_map.entry(config_map).or_default() += 1;
        }
        Ok(Arc::new(Counted { began, by_config_map }))
    }

    /// Reads the dependents that there are, [`MOST_LISTED`] at most.
    async fn list(
        &self,
        client: &Client,
        counting: &Counting,
        there: &mut HashMap<Key, NamespacedName>,
    ) -> Result<(), String> {
        let account = counting.master.account();
        let label = label_value(&format!("{}.{}", account.namespace, account.name));
        // What cannot be a name comes from a template, and holds nothing.
        let namespaces = counting.namespaces.iter().filter(|name| is_name(name)).map(Some);
        let namespaces: Vec<Option<&String>> = if counting.everywhere() { vec![None] } else { namespaces.collect() };
        let kinds = self.kinds().into_iter().filter(|kind| counting.has(&kind.gvk.group, &kind.gvk.kind));
        for (gvk, resource) in kinds.filter_map(|kind| Some((kind.gvk, kind.resource?))) {
            for namespace in &namespaces {
                let mut watched = Watched::new(&gvk.api_version(), &gvk.kind, &resource)
                    .labelled(&format!("{}={label}", keys::MASTER))
                    .metadata_only();
                watched.namespace = namespace.cloned();
                let mut token = String::new();
                loop {
                    let page = page(client, &watched, &token).await?;
                    for Partial { metadata } in page.items.unwrap_or_default() {
                        let stamp = metadata.stamp(&gvk);
                        if let Some(stamp) = stamp.filter(|stamp| Master::of(&stamp.record) == counting.master) {
                            there.insert(metadata.key(&gvk), stamp.record.template.config_map);
                        }
                    }
                    token = page.metadata.r#continue;
                    if token.is_empty() || there.len() >= MOST_LISTED {
                        break;
                    }
                }
            }
        }
        Ok(())
    }
}

/// One page of a consistent list.
async fn page(client: &Client, watched: &Watched, token: &str) -> Result<Page<Partial>, String> {
    let mut query = vec![("limit", PAGE)];
    if !token.is_empty() {
        query.push(("continue", token));
    }
    let request = watched.request(&query).map_err(|error| error.to_string())?;
    client.request(request).await.map_err(|error| message(&error))
}

#[cfg(test)]
#[path = "live_count_tests.rs"]
mod tests;
