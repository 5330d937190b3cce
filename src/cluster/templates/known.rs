//! What is known of the template ConfigMaps: which exist, what of them is compiled, and what may be said of them now.
//! Pure: time is an argument; the watch, the threads and the snapshots are elsewhere.
//!
//! What is kept of them is bounded ([`share`]): of a ConfigMap that is not kept neither text nor templates are held, only
//! what it would take. Once there is room again it is read again, alone ([`Known::next_read`]).

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use policies::library::share::{self, Wanted};
use policies::library::{Compiling, Library, NotKept, TemplateSet, Weight};
use policies::object::NamespacedName;
use serde_json::Value;
use tokio::time::Instant;

use super::Snapshot;
use super::compile_queue::CompileQueue;
use super::compiler::{Content, Source, at_version, broken};

/// How long the old version of a ConfigMap stands while its new one waits or is compiled: a withdrawal takes effect
/// within a second, even if the compile takes long.
const STANDS: Duration = Duration::from_millis(400);
/// How long a new ConfigMap may be compiled until that is published: before, it is as if it were absent. Nearly all are
/// compiled by then, and need one snapshot and not two.
const SAID: Duration = Duration::from_millis(100);
/// How long a compile may take before it counts as slow. The first list waits for no slow one.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// How long the first list waits for its ConfigMaps in all, once it is read.
pub(super) const PATIENCE_IN_ALL: Duration = Duration::from_secs(20);
/// How long changes may come in one after the other before what is known so far is published: that takes some
/// milliseconds with ten thousand ConfigMaps, and a withdrawal must not wait for the end of a flood.
const FLOOD: Duration = Duration::from_millis(100);
/// As [`FLOOD`], while the first list waits: no verdict goes by it yet, but watches are begun for what it names.
const FIRST: Duration = Duration::from_secs(1);
/// How much text may wait to be compiled while the first list is read and compiles go on one after the other: what is read
/// faster than it is compiled takes memory, and no process starts so large as it does then.
const ROOM: usize = 1 << 20;
/// How long no compile may have ended, and how long the list may have been read, for that to count.
const PROGRESS: Duration = Duration::from_millis(100);
const HELD_UP: Duration = Duration::from_secs(5);

/// So many bytes of text come in at most before it is decided anew what is kept.
const UNDECIDED: usize = 4 << 20;
/// How long until a ConfigMap is read again that could not be read, or was read in another version than the watch told of.
const READ_AGAIN: Duration = Duration::from_secs(1);
/// How many are read at once.
const READS: usize = 2;

/// The template ConfigMaps.
#[derive(Debug)]
pub(super) struct Known {
    /// How many bytes are kept of all together.
    bound: u64,
    /// Bytes of text since it was decided what is kept.
    undecided: usize,
    /// Those that are kept and whose text is not here, and when they may be read.
    unread: HashMap<Arc<NamespacedName>, Instant>,
    /// Those that are being read.
    reading: HashSet<Arc<NamespacedName>>,
    entries: HashMap<Arc<NamespacedName>, Entry>,
    queue: CompileQueue<Source>,
    /// What the list that is being read has named so far.
    listing: Option<HashSet<Arc<NamespacedName>>>,
    first: FirstList,
    /// When the first list began.
    began: Option<Instant>,
    /// When a compile ended, last.
    progress: Option<Instant>,
    /// When an old version no longer stands, the next first.
    standing: VecDeque<(Instant, Arc<NamespacedName>)>,
    /// What has been compiled for longer than [`PATIENCE`].
    slow: HashSet<Arc<NamespacedName>>,
    /// When at the latest what is known is published; none if it is.
    publish_at: Option<Instant>,
    /// When a ConfigMap that is new is published as one that is being compiled; none if all are.
    say_new_at: Option<Instant>,
}

/// How far the first list is.
#[derive(Debug, Default)]
enum FirstList {
    #[default]
    Reading,
    /// Read; these of it are not compiled.
    Waiting { until: Instant, names: HashSet<Arc<NamespacedName>> },
    /// What it says can be judged by.
    Settled,
}

/// One ConfigMap.
#[derive(Debug)]
struct Entry {
    uid: String,
    version: String,
    /// Its creationTimestamp.
    created: Box<str>,
    /// Of its present data.
    data: Content,
    /// Of its present content; at least so much, before that was compiled.
    weight: Weight,
    /// It is not kept.
    not_kept: Option<NotKept>,
    /// Of its present content.
    content: Content,
    /// Its present content or, while that is not compiled, an older one.
    compiled: Option<(Content, Arc<TemplateSet>)>,
    /// Since when its present content is not compiled.
    waits_since: Option<Instant>,
    /// How long its last compile took.
    took: Option<Duration>,
}

impl Entry {
    fn current(&mut self) {
        self.waits_since = None;
        if let Some((_, set)) = &mut self.compiled {
            *set = at_version(set, &self.uid, &self.version);
        }
    }

    /// As one that wants to be kept.
    fn wanted<'e>(&'e self, name: &'e NamespacedName) -> Wanted<'e> {
        Wanted { name, created: &self.created, weight: self.weight, data: &self.data }
    }

    /// What an older version than its present one takes, which is kept until that is compiled.
    fn older(&self) -> u64 {
        let older = self.compiled.as_ref().filter(|(of, _)| *of != self.content);
        older.map_or(0, |(_, set)| set.weight.total())
    }

    /// What verdicts go by.
    fn stands(&self, now: Instant) -> Option<&Arc<TemplateSet>> {
        let stands = self.waits_since.is_none_or(|since| now < since + STANDS);
        self.compiled.as_ref().filter(|_| stands).map(|(_, set)| set)
    }
}

impl Known {
    /// None yet; of what comes so many bytes are kept.
    pub(super) fn bounded(bound: u64) -> Self {
        Self {
            bound,
            undecided: 0,
            unread: HashMap::new(),
            reading: HashSet::new(),
            entries: HashMap::new(),
            queue: CompileQueue::default(),
            listing: None,
            first: FirstList::default(),
            began: None,
            progress: None,
            standing: VecDeque::new(),
            slow: HashSet::new(),
            publish_at: None,
            say_new_at: None,
        }
    }

    /// A list begins.
    pub(super) fn begin(&mut self, now: Instant) {
        self.began.get_or_insert(now);
        self.listing = Some(HashSet::new());
    }

    /// A ConfigMap of a list, or one that is new or changed.
    pub(super) fn see(&mut self, config_map: Value, now: Instant) {
        let text = |key: &str| config_map["metadata"][key].as_str().unwrap_or_default().to_owned();
        let (name, uid, version) = (name_of(&config_map), text("uid"), text("resourceVersion"));
        let created = text("creationTimestamp").into();
        let source = Source::of(config_map);
        let name = self.entries.get_key_value(&name).map_or_else(|| Arc::new(name), |(name, _)| Arc::clone(name));
        if let Some(listing) = &mut self.listing {
            listing.insert(Arc::clone(&name));
        }
        let Source { content, data, .. } = source;
        let bytes = source.text.len();
        let new = || Entry {
            uid: String::new(),
            version: String::new(),
            created: Box::default(),
            content,
            data,
            weight: Weight::at_least(bytes),
            not_kept: None,
            compiled: None,
            waits_since: None,
            took: None,
        };
        let entry = self.entries.entry(Arc::clone(&name)).or_insert_with(new);
        (entry.uid, entry.version, entry.created, entry.data) = (uid, version, created, data);
        let is_changed = std::mem::replace(&mut entry.content, content) != content;
        if let Some((of, set)) = &entry.compiled
            && *of == content
        {
            entry.weight = set.weight;
            entry.current();
            self.queue.cancel(&name);
            self.unread.remove(&name);
            return self.publish_soon(now);
        }
        // Of what is not kept nothing is needed but that it is there, until it is another.
        if !is_changed && entry.not_kept.is_some() {
            return self.publish_soon(now);
        }
        let was_unread = self.unread.remove(&name).is_some();
        if entry.waits_since.is_some() && !is_changed && !was_unread {
            return;
        }
        let is_new = entry.compiled.is_none() && entry.waits_since.is_none();
        if is_changed {
            let least = Weight::at_least(bytes);
            // One that is kept is taken to be as it was until it is known: else each change of it would give room to a younger
            // one, for a moment.
            if entry.not_kept.take().is_some() || least.total() > entry.weight.total() {
                entry.weight = least;
            }
        }
        self.queue.put(&name, source, bytes, entry.took);
        if entry.waits_since.is_none() {
            entry.waits_since = Some(now);
            self.standing.push_back((now + STANDS, Arc::clone(&name)));
        } else if is_changed {
            // Nobody waits for a ConfigMap that changes while the first list waits.
            self.first.no_longer_waits_for(&name);
        }
        if is_new {
            self.say_new_at.get_or_insert(now + SAID);
        }
        self.undecided += bytes;
        if self.undecided > UNDECIDED {
            self.decide(now);
        }
    }

    /// Decides anew what is kept: what gives way is held no longer, and what has room again is to be read.
    fn decide(&mut self, now: Instant) {
        self.undecided = 0;
        let sum = |of: fn(&Entry) -> u64| self.entries.values().fold(0u64, |sum, entry| sum.saturating_add(of(entry)));
        let total = sum(|entry| entry.weight.total().saturating_add(entry.older()));
        if total <= self.bound && self.entries.values().all(|entry| entry.not_kept.is_none()) {
            return;
        }
        // Where there is little room, an older version is kept for as long as it stands.
        for entry in self.entries.values_mut().filter(|entry| entry.older() > 0 && entry.stands(now).is_none()) {
            entry.compiled = None;
        }
        let names: Vec<_> = self.entries.keys().map(Arc::clone).collect();
        let entries = names.iter().filter_map(|name| Some((name, self.entries.get(name)?)));
        let wanted: Vec<_> = entries.map(|(name, entry)| entry.wanted(name)).collect();
        let mut found = share::not_kept(&wanted, self.bound);
        let (mut gave_way, mut given_room) = (Vec::new(), Vec::new());
        for (position, name) in names.into_iter().enumerate() {
            let Some(entry) = self.entries.get_mut(&name) else { continue };
            let before = std::mem::replace(&mut entry.not_kept, found.remove(&position));
            match (before.is_some(), &entry.not_kept) {
                (false, Some(not_kept)) => {
                    (entry.compiled, entry.waits_since) = (None, None);
                    self.queue.cancel(&name);
                    self.unread.remove(&name);
                    self.first.no_longer_waits_for(&name);
                    gave_way.push(not_kept.reason(&name));
                }
                (true, None) => {
                    entry.waits_since = Some(now);
                    self.standing.push_back((now + STANDS, Arc::clone(&name)));
                    self.unread.insert(Arc::clone(&name), now);
                    given_room.push(name);
                }
                (false, None) | (true, Some(_)) => {}
            }
        }
        tell(&mut gave_way, &given_room);
        if !(gave_way.is_empty() && given_room.is_empty()) {
            self.publish_soon(now);
        }
    }

    /// A ConfigMap to read, since it is kept and its text is not here. It is read until
    /// [`Self::was_read`].
    pub(super) fn next_read(&mut self, now: Instant) -> Option<Arc<NamespacedName>> {
        if self.reading.len() >= READS || self.queue.bytes() > ROOM {
            return None;
        }
        let due = self.unread.iter().find(|(name, at)| **at <= now && !self.reading.contains(*name));
        let name = Arc::clone(due?.0);
        self.reading.insert(Arc::clone(&name));
        Some(name)
    }

    /// A ConfigMap was read; none: it could not be. Where it is another than the watch told of, the watch will tell.
    pub(super) fn was_read(&mut self, name: &Arc<NamespacedName>, config_map: Option<Value>, now: Instant) {
        self.reading.remove(name);
        let Some(at) = self.unread.get_mut(name) else { return };
        *at = now + READ_AGAIN;
        let version = self.entries.get(name).map(|entry| entry.version.as_str());
        if let Some(config_map) = config_map
            && config_map["metadata"]["resourceVersion"].as_str() == version
        {
            self.see(config_map, now);
        }
    }

    /// A ConfigMap is gone, or no template ConfigMap any more.
    pub(super) fn remove(&mut self, config_map: &Value, now: Instant) {
        let name = Arc::new(name_of(config_map));
        self.entries.remove(&name);
        self.queue.cancel(&name);
        self.unread.remove(&name);
        self.first.no_longer_waits_for(&name);
        self.publish_soon(now);
    }

    /// The list is complete: what it did not name is gone.
    pub(super) fn complete(&mut self, now: Instant) {
        let listed = self.listing.take().unwrap_or_default();
        let Self { entries, queue, unread, .. } = self;
        entries.retain(|name, _| {
            let stays = listed.contains(name);
            if !stays {
                queue.cancel(name);
                unread.remove(name);
            }
            stays
        });
        if let FirstList::Waiting { names, .. } = &mut self.first {
            names.retain(|name| listed.contains(name));
        }
        self.decide(now);
        if matches!(self.first, FirstList::Reading) {
            let waiting = self.entries.iter().filter(|(_, entry)| entry.waits_since.is_some());
            let names = waiting.map(|(name, _)| Arc::clone(name)).filter(|name| !self.slow.contains(name)).collect();
            self.first = FirstList::Waiting { until: now + PATIENCE_IN_ALL, names };
        }
        self.publish_soon(now);
    }

    /// Until when no more is to be taken in, since there is too much of the first list that will be compiled in a moment.
    pub(super) fn is_full_until(&self, now: Instant) -> Option<Instant> {
        let full = matches!(self.first, FirstList::Reading) && self.queue.bytes() > ROOM;
        let until = (self.progress? + PROGRESS).min(self.began? + HELD_UP);
        Some(until).filter(|until| full && now < *until)
    }

    /// The next ConfigMap to compile, if one may be begun.
    pub(super) fn next(&mut self, now: Instant) -> Option<(Arc<NamespacedName>, Source)> {
        self.queue.next(now)
    }

    /// A compile has ended; none: it panicked. Returns what it made, if that is still its ConfigMap's content, and how
    /// long it took if that was slow.
    pub(super) fn compiled(
        &mut self,
        name: &Arc<NamespacedName>,
        content: Content,
        made: Option<TemplateSet>,
        now: Instant,
    ) -> Option<(Arc<TemplateSet>, Option<Duration>)> {
        self.progress = Some(now);
        let took = self.queue.ended(name, now);
        let was_slow = self.slow.remove(name);
        let entry = self.entries.get_mut(name)?;
        entry.took = took;
        if entry.content != content {
            return None;
        }
        let set = Arc::new(made.unwrap_or_else(|| broken(name)));
        entry.weight = set.weight;
        entry.waits_since?;
        entry.compiled = Some((content, Arc::clone(&set)));
        entry.current();
        self.queue.cancel(name);
        self.first.no_longer_waits_for(name);
        self.publish_soon(now);
        Some((set, took.filter(|_| was_slow)))
    }

    /// Takes note of the time. Returns what has become slow.
    pub(super) fn tick(&mut self, now: Instant) -> Vec<Arc<NamespacedName>> {
        while let Some((_, name)) = self.standing.pop_front_if(|(until, _)| *until <= now) {
            if self.entries.get(&name).is_some_and(|entry| entry.waits_since.is_some()) {
                self.publish_soon(now);
            }
        }
        if matches!(self.first, FirstList::Settled) && self.say_new_at.is_some_and(|at| at <= now) {
            self.publish_at = Some(now);
        }
        let over = self.queue.running().filter(|(_, since)| *since + PATIENCE <= now).map(|(name, _)| Arc::clone(name));
        let over: Vec<_> = over.collect();
        let slow: Vec<_> = over.into_iter().filter(|name| self.slow.insert(Arc::clone(name))).collect();
        for name in &slow {
            self.first.no_longer_waits_for(name);
            self.publish_soon(now);
        }
        if let FirstList::Waiting { until, names } = &self.first
            && (names.is_empty() || *until <= now)
        {
            self.first = FirstList::Settled;
            self.publish_at = Some(now);
        }
        slow.into_iter().filter(|name| self.entries.contains_key(name)).collect()
    }

    /// Whether what is known is to be published now; `quiet`: no change waits to be taken in.
    pub(super) fn is_due(&self, now: Instant, quiet: bool) -> bool {
        let Some(at) = self.publish_at else { return false };
        match self.first {
            FirstList::Reading => false,
            FirstList::Waiting { .. } => at <= now,
            FirstList::Settled => at <= now || (quiet && self.queue.is_calm()),
        }
    }

    /// Whether nothing is known that is not published, all of what the API server has, and fit to be judged by.
    pub(super) fn is_fresh(&self) -> bool {
        self.publish_at.is_none() && self.listing.is_none() && matches!(self.first, FirstList::Settled)
    }

    /// How many ConfigMaps the first list waits for.
    pub(super) fn first_list_waits_for(&self) -> Option<usize> {
        match &self.first {
            FirstList::Waiting { names, .. } => Some(names.len()),
            FirstList::Reading | FirstList::Settled => None,
        }
    }

    /// When [`Self::tick`] is due.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        let running = self.queue.running().filter(|(name, _)| !self.slow.contains(*name));
        let slow = running.map(|(_, since)| since + PATIENCE).min();
        let (until, publish_at) = match self.first {
            FirstList::Reading => (None, None),
            FirstList::Waiting { until, .. } => (Some(until), self.publish_at),
            FirstList::Settled => (None, self.publish_at.into_iter().chain(self.say_new_at).min()),
        };
        let stands = self.standing.front().map(|(until, _)| *until);
        let unread = self.unread.iter().filter(|(name, _)| !self.reading.contains(*name)).map(|(_, at)| *at).min();
        // Else it wakes when one was read, or compiled.
        let unread = unread.filter(|_| self.reading.len() < READS && self.queue.bytes() <= ROOM);
        [slow, until, publish_at, stands, unread, self.queue.due()].into_iter().flatten().min()
    }

    /// What is published at `now`, which is `time` by the clock.
    pub(super) fn publish(&mut self, now: Instant, time: Timestamp) -> Snapshot {
        self.decide(now);
        (self.publish_at, self.say_new_at) = (None, None);
        let mut library = Library::default();
        let mut loaded = Vec::with_capacity(self.entries.len());
        for (name, entry) in &self.entries {
            loaded.extend(entry.compiled.as_ref().map(|(_, set)| set));
            if let Some(not_kept) = &entry.not_kept {
                library.not_kept.insert(Arc::clone(name), not_kept.clone());
            } else if let Some(set) = entry.stands(now) {
                library.sets.insert(Arc::clone(name), Arc::clone(set));
            } else if let Some(since) = entry.waits_since {
                let since = time.checked_sub(now.saturating_duration_since(since)).unwrap_or(time);
                library.compiling.insert(Arc::clone(name), Compiling { since, slow: self.slow.contains(name) });
            }
        }
        let kept = self.entries.iter().filter(|(_, entry)| entry.not_kept.is_none());
        let kept: Vec<_> = kept.map(|(name, entry)| entry.wanted(name)).collect();
        Snapshot { memory: share::held(&kept, &HashMap::new()), ..Snapshot::of(library, &loaded) }
    }

    fn publish_soon(&mut self, now: Instant) {
        let wait = if matches!(self.first, FirstList::Settled) { FLOOD } else { FIRST };
        self.publish_at.get_or_insert(now + wait);
    }
}

impl FirstList {
    fn no_longer_waits_for(&mut self, name: &Arc<NamespacedName>) {
        if let Self::Waiting { names, .. } = self {
            names.remove(name);
        }
    }
}

/// Writes to the log which ConfigMaps are kept no longer, and why, and which are again.
fn tell(gave_way: &mut [String], given_room: &[Arc<NamespacedName>]) {
    const TOLD: usize = 10;
    gave_way.sort();
    for reason in gave_way.iter().take(TOLD) {
        tracing::warn!(reason, "a template ConfigMap cannot be used");
    }
    if gave_way.len() > TOLD {
        tracing::warn!(more = gave_way.len() - TOLD, "more template ConfigMaps cannot be used for the same reason");
    }
    for config_map in given_room.iter().take(TOLD) {
        tracing::info!(%config_map, "there is room for a template ConfigMap again: it is read and compiled");
    }
}

fn name_of(config_map: &Value) -> NamespacedName {
    let text = |key: &str| config_map["metadata"][key].as_str().unwrap_or_default();
    NamespacedName::new(text("namespace"), text("name"))
}
