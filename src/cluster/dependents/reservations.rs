//! Creates that are under way: judged or admitted a moment ago, and not shown by the watch yet.
//!
//! Whoever reaches the webhook can make one, so a reservation is a note and never a fact: it ends after [`RESERVED`],
//! is one entry however often it is repeated, and gives way to newer ones of its pod beyond [`MOST_OF_POD`], and to
//! others of the pod that holds the most beyond [`MOST_BYTES`]. Nobody is refused because there are too many.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use policies::object::NamespacedName;
use tokio::sync::Notify;

use super::ledger::{Key, Master};

/// How long a reservation stands without its object: an API server stores what was admitted within milliseconds, and
/// the watch shows it as soon.
pub const RESERVED: Duration = Duration::from_secs(3);
/// How many reservations of one pod are held. With a watch that lags as long as [`RESERVED`] that is 680 creates a
/// second by one pod; beyond it the oldest gives way, and is neither counted nor told of.
const MOST_OF_POD: usize = 2_048;
/// What all reservations may take, in bytes as [`Entry::size`] estimates them: about 16,000 of usual names, three
/// seconds of 5,000 creates a second.
const MOST_BYTES: usize = 8 << 20;
/// What an entry takes beside its texts: seven places in maps and sets, and the counters of what is shared.
const ENTRY: usize = 400;
/// How long a master is in doubt after a reservation of it was found to have come to nothing.
const DOUBTED: Duration = Duration::from_secs(10);

/// What a reservation is for.
#[derive(Clone, Debug)]
pub struct Create {
    /// The object.
    pub key: Key,
    /// Whose dependent it becomes.
    pub master: Master,
    /// The uid of the pod that asks.
    pub pod: Arc<str>,
    /// By which templates.
    pub config_map: NamespacedName,
}

#[derive(Debug)]
struct Entry {
    key: Arc<Key>,
    master: Arc<Master>,
    pod: Arc<str>,
    config_map: NamespacedName,
    until: Instant,
    /// How many reviews of it have no verdict yet.
    reviews: u32,
    /// When its create was first admitted.
    admitted: Option<Instant>,
}

#[derive(Debug, Default)]
struct OfMaster {
    numbers: HashMap<Arc<Key>, u64>,
    by_config_map: BTreeMap<NamespacedName, BTreeSet<u64>>,
    doubted: Option<Instant>,
    changed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct OfPod {
    numbers: BTreeSet<u64>,
    bytes: usize,
}

/// All reservations. They are numbered in the order in which they were made.
#[derive(Debug, Default)]
pub(super) struct Reservations {
    entries: BTreeMap<u64, Entry>,
    ends: BTreeSet<(Instant, u64)>,
    of_masters: HashMap<Arc<Master>, OfMaster>,
    of_pods: HashMap<Arc<str>, OfPod>,
    /// Pods by what their reservations take.
    by_size: BTreeSet<(usize, Arc<str>)>,
    bytes: usize,
    next: u64,
}

impl Reservations {
    /// Makes a reservation for one review, or joins the one that there is, and returns its number.
    pub(super) fn reserve(&mut self, create: Create, now: Instant) -> u64 {
        self.expire(now);
        let number = self.number(&create.master, &create.key).unwrap_or_else(|| self.insert(create, now));
        self.renew(number, now);
        if let Some(entry) = self.entries.get_mut(&number) {
            entry.reviews = entry.reviews.saturating_add(1);
        }
        self.bound(number);
        number
    }

    /// A review of it ended with its admission. What gave way meanwhile is expected again.
    pub(super) fn admit(&mut self, create: Create, now: Instant) {
        self.expire(now);
        let number = self.number(&create.master, &create.key).unwrap_or_else(|| self.insert(create, now));
        self.renew(number, now);
        if let Some(entry) = self.entries.get_mut(&number) {
            entry.reviews = entry.reviews.saturating_sub(1);
            // The first admission counts: a repetition does not make a reservation young.
            entry.admitted.get_or_insert(now);
        }
        self.bound(number);
    }

    /// A review of it ended without admission. What another review admitted stays.
    pub(super) fn withdraw(&mut self, master: &Master, key: &Key) {
        let Some(number) = self.number(master, key) else { return };
        let Some(entry) = self.entries.get_mut(&number) else { return };
        entry.reviews = entry.reviews.saturating_sub(1);
        if entry.reviews == 0 && entry.admitted.is_none() {
            self.remove(number);
        }
    }

    /// Its object is there. Returns whether its create was admitted here.
    pub(super) fn confirm(&mut self, master: &Master, key: &Key) -> bool {
        let Some(number) = self.number(master, key) else { return false };
        let admitted = self.entries.get(&number).is_some_and(|entry| entry.admitted.is_some());
        self.remove(number);
        admitted
    }

    /// A count that began at `began` did not see these: what was admitted `settled` before it has come to nothing.
    /// Returns how many those were; if any, the master is in doubt for some time.
    pub(super) fn refute(
        &mut self,
        master: &Master,
        began: Instant,
        settled: Duration,
        unseen: impl Fn(&Key) -> bool,
    ) -> usize {
        let Some(of_master) = self.of_masters.get_mut(master) else { return 0 };
        let is_over = |number: &u64| {
            let entry = self.entries.get(number);
            entry.and_then(|entry| entry.admitted).is_some_and(|admitted| admitted + settled <= began)
        };
        let numbers = of_master.numbers.iter().filter(|(key, number)| is_over(number) && unseen(key));
        let over: Vec<u64> = numbers.map(|(_, number)| *number).collect();
        if !over.is_empty() {
            of_master.doubted = Some(began + DOUBTED);
        }
        for number in &over {
            self.remove(*number);
        }
        over.len()
    }

    /// Whether reservations of this master were found to have come to nothing not long ago.
    pub(super) fn doubts(&self, master: &Master, now: Instant) -> bool {
        self.of_masters.get(master).and_then(|of_master| of_master.doubted).is_some_and(|until| now < until)
    }

    /// Told whenever a reservation of this master ends; none while it has none.
    pub(super) fn changed(&self, master: &Master) -> Option<Arc<Notify>> {
        self.of_masters.get(master).map(|of_master| Arc::clone(&of_master.changed))
    }

    /// How many of this master were made before the number `before`, by template ConfigMap, without the object `except`.
    pub(super) fn count(
        &self,
        master: &Master,
        except: Option<&Key>,
        before: u64,
    ) -> impl Iterator<Item = (&NamespacedName, u32)> {
        let of_master = self.of_masters.get(master);
        let own = except.and_then(|key| of_master?.numbers.get(key).copied()).filter(|own| *own < before);
        of_master.into_iter().flat_map(|of_master| &of_master.by_config_map).map(move |(config_map, numbers)| {
            let earlier = if numbers.last().is_none_or(|last| *last < before) {
                numbers.len()
            } else {
                numbers.range(..before).count()
            };
            let others = earlier - usize::from(own.is_some_and(|own| numbers.contains(&own)));
            (config_map, u32::try_from(others).unwrap_or(u32::MAX))
        })
    }

    /// The number that the next reservation gets.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Ends what stood long enough.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some((_, number)) = self.ends.first().copied().filter(|(until, _)| *until <= now) {
            self.remove(number);
        }
    }

    fn number(&self, master: &Master, key: &Key) -> Option<u64> {
        self.of_masters.get(master)?.numbers.get(key).copied()
    }

    fn insert(&mut self, create: Create, now: Instant) -> u64 {
        let Create { key, master, pod, config_map } = create;
        let number = self.next;
        self.next += 1;
        let (key, until) = (Arc::new(key), now + RESERVED);
        let master =
            self.of_masters.get_key_value(&master).map_or_else(|| Arc::new(master), |(known, _)| known.clone());
        let of_master = self.of_masters.entry(Arc::clone(&master)).or_default();
        of_master.numbers.insert(Arc::clone(&key), number);
        of_master.by_config_map.entry(config_map.clone()).or_default().insert(number);
        let entry = Entry { key, master, pod, config_map, until, reviews: 0, admitted: None };
        self.ends.insert((until, number));
        self.resize(&entry.pod, entry.size(), |of_pod| of_pod.numbers.insert(number), usize::saturating_add);
        self.entries.insert(number, entry);
        number
    }

    fn renew(&mut self, number: u64, now: Instant) {
        let Some(entry) = self.entries.get_mut(&number) else { return };
        self.ends.remove(&(entry.until, number));
        entry.until = now + RESERVED;
        self.ends.insert((entry.until, number));
    }

    fn remove(&mut self, number: u64) {
        let Some(entry) = self.entries.remove(&number) else { return };
        self.ends.remove(&(entry.until, number));
        if let Some(of_master) = self.of_masters.get_mut(&entry.master) {
            of_master.numbers.remove(&entry.key);
            if let Some(numbers) = of_master.by_config_map.get_mut(&entry.config_map) {
                numbers.remove(&number);
                if numbers.is_empty() {
                    of_master.by_config_map.remove(&entry.config_map);
                }
            }
            of_master.changed.notify_waiters();
            if of_master.numbers.is_empty() {
                self.of_masters.remove(&entry.master);
            }
        }
        self.resize(&entry.pod, entry.size(), |of_pod| of_pod.numbers.remove(&number), usize::saturating_sub);
    }

    /// Changes what is held of a pod, and by how much that is more or less.
    fn resize(
        &mut self,
        pod: &Arc<str>,
        size: usize,
        change: impl FnOnce(&mut OfPod) -> bool,
        by: fn(usize, usize) -> usize,
    ) {
        let of_pod = self.of_pods.entry(Arc::clone(pod)).or_default();
        self.by_size.remove(&(of_pod.bytes, Arc::clone(pod)));
        change(of_pod);
        of_pod.bytes = by(of_pod.bytes, size);
        self.bytes = by(self.bytes, size);
        if of_pod.numbers.is_empty() {
            self.of_pods.remove(pod);
        } else {
            self.by_size.insert((of_pod.bytes, Arc::clone(pod)));
        }
    }

    /// Keeps what is held within its bounds, once the reservation `latest` was made.
    fn bound(&mut self, latest: u64) {
        let of_pod = self.entries.get(&latest).and_then(|entry| self.of_pods.get(&entry.pod));
        if let Some(of_pod) = of_pod.filter(|of_pod| of_pod.numbers.len() > MOST_OF_POD)
            && let Some(oldest) = of_pod.numbers.first().copied()
        {
            self.remove(oldest);
        }
        while self.bytes > MOST_BYTES {
            let largest = self.by_size.last().and_then(|(_, pod)| self.of_pods.get(pod));
            let Some(oldest) = largest.and_then(|of_pod| of_pod.numbers.first().copied()) else { return };
            self.remove(oldest);
        }
    }
}

/// What tests look at.
#[cfg(test)]
impl Reservations {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn ends(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        let Self { entries, ends, of_masters, of_pods, by_size, bytes, next: _ } = self;
        entries.is_empty()
            && ends.is_empty()
            && of_masters.is_empty()
            && of_pods.is_empty()
            && by_size.is_empty()
            && *bytes == 0
    }
}

impl Entry {
    /// About how many bytes it takes.
    fn size(&self) -> usize {
        let Key { group, kind, namespace, name } = &*self.key;
        let texts = [group, kind, namespace, name, &self.config_map.namespace, &self.config_map.name];
        ENTRY + texts.iter().map(|text| text.len()).sum::<usize>()
    }
}
