//! CustomResourceDefinitions, as far as templates name their kinds.
//!
//! A cluster may have hundreds, each of a hundred kilobytes or more, and templates name a few. So none is listed with
//! the others: discovery says under which resource the API server serves a kind that a template names, and the
//! definition is called by that resource and its group. That one object is watched by its name, whole, so that a change
//! of it comes with its schema; of the schema are kept the versions that templates name ([`Definition`]).
//!
//! The trouble of one definition, or with it, is that of its kind alone: [`Definitions::wait`].

mod one;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use kube::Client;
use policies::object::Gvk;
use policies::tables::{self, Definition};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::{AbortHandle, JoinError, JoinSet};

use crate::cluster::client::READ_DEADLINE;
use crate::cluster::templates::Templates;
use crate::cluster::watch::{Pulse, Stale};
use one::One;

/// How long readiness waits for definitions.
const PATIENCE: Duration = Duration::from_secs(2);
/// Lookups at once.
const AT_ONCE: usize = 8;
/// Group and kind.
type GroupKind = (String, String);
/// Names of versions.
type Versions = Arc<BTreeSet<String>>;

/// Whoever keeps the facts.
pub(super) type Heard = Arc<dyn Fn(Defined) + Send + Sync>;

/// What changed.
#[derive(Debug, PartialEq)]
pub(super) enum Defined {
    /// The definition of this name is there, or is another.
    As(String, Definition),
    /// None of this name is there.
    Gone(String),
}

/// What is known of the definitions of the kinds that templates name.
#[derive(Debug)]
pub(super) struct Definitions {
    kinds: watch::Sender<BTreeMap<GroupKind, Kind>>,
    lookups: Semaphore,
    /// Since when readiness waits for them.
    begun: OnceLock<Instant>,
    unhurried: bool,
    /// Whether nothing is watched: what is known was given.
    given: bool,
}

#[derive(Clone, Debug)]
struct Kind {
    found: Option<Found>,
    pulse: Arc<Pulse>,
    /// Wakes whoever looks the kind up.
    wake: Arc<Notify>,
}

/// What was found out about a kind.
#[derive(Clone, Debug)]
enum Found {
    /// It had no definition at the last beat of the pulse: it was not served, or is built into a newer API server, or
    /// served by another one.
    Undefined,
    /// These versions of its definition are known, but for those that cannot be kept.
    Defined { name: String, versions: Versions, unreadable: BTreeMap<String, String> },
}

impl Kind {
    /// The definition that was told of.
    fn defined(&self) -> Option<&str> {
        match &self.found {
            Some(Found::Defined { name, .. }) => Some(name),
            _ => None,
        }
    }
}

impl Definitions {
    pub(super) fn new(unhurried: bool) -> Self {
        let lookups = Semaphore::new(AT_ONCE);
        Self { kinds: watch::Sender::default(), lookups, begun: OnceLock::new(), unhurried, given: false }
    }

    /// Nothing is watched: every definition that there is was given.
    pub(super) fn given() -> Self {
        Self { given: true, ..Self::new(false) }
    }

    /// Whether a kind may have a definition.
    fn custom(kind: &Gvk) -> bool {
        tables::plural(kind).is_none()
    }

    /// Waits until it is known how `kind`, which a template names, is defined now.
    ///
    /// # Errors
    /// With the reason, where that cannot be found out, not soon enough, or where the definition is beyond what is kept.
    pub(super) async fn wait(&self, kind: &Gvk) -> Result<(), Stale> {
        if self.given || !Self::custom(kind) {
            return Ok(());
        }
        let asked = Instant::now();
        if let Some(answer) = self.state(kind, asked) {
            return answer;
        }
        let mut changes = self.kinds.subscribe();
        if let Some(kind) = self.kinds.borrow().get(&group_kind(kind)) {
            kind.wake.notify_one();
        }
        let known = changes.wait_for(|kinds| state(kinds, kind, asked).is_some());
        // Whether that was in time, the state says.
        let _in_time = tokio::time::timeout(READ_DEADLINE, known).await.is_ok();
        self.state(kind, asked).unwrap_or_else(|| Err(unread(kind, None)))
    }

    fn state(&self, kind: &Gvk, asked: Instant) -> Option<Result<(), Stale>> {
        state(&self.kinds.borrow(), kind, asked)
    }

    /// A kind of these whose definition is still being read, when all are read for the first time. One that failed is no
    /// reason to wait, nor is any after [`PATIENCE`]: requests of a kind wait for its definition by themselves.
    pub(super) fn settling<'a>(&self, kinds: impl IntoIterator<Item = &'a Gvk>) -> Option<Gvk> {
        if self.begun.get_or_init(Instant::now).elapsed() > PATIENCE {
            return None;
        }
        let known = self.kinds.borrow();
        let settled = |kind: &&Gvk| {
            let known = known.get(&group_kind(kind));
            known.is_some_and(|known| known.found.is_some() || known.pulse.trouble().is_some())
        };
        let mut custom = kinds.into_iter().filter(|kind| !self.given && Self::custom(kind));
        custom.find(|kind| !settled(kind)).cloned()
    }

    /// Watches the definitions of the kinds of the loaded templates, for ever, and tells `heard` of each change before
    /// anybody is told that it is known.
    pub(super) async fn run(self: Arc<Self>, client: Client, templates: Arc<Templates>, heard: Heard) {
        let mut library = templates.changes();
        let mut running: JoinSet<()> = JoinSet::new();
        let mut handles: BTreeMap<GroupKind, (AbortHandle, watch::Sender<Versions>)> = BTreeMap::new();
        loop {
            library.mark_unchanged();
            let wanted = wanted(&templates.last().kinds);
            for (kind, (handle, _)) in handles.extract_if(.., |kind, _| !wanted.contains_key(kind)) {
                handle.abort();
                while !handle.is_finished()
                    && let Some(ended) = running.join_next().await
                {
                    resume_panic(ended);
                }
                self.forget(&kind, &heard);
            }
            for (kind, versions) in wanted {
                match handles.get(&kind) {
                    Some((_, known)) => drop(known.send_if_modified(|known| {
                        let new = *known != versions;
                        *known = versions;
                        new
                    })),
                    None => {
                        let (told, versions) = watch::channel(versions);
                        let one = One::new(&self, client.clone(), kind.clone(), Arc::clone(&heard), versions);
                        handles.insert(kind, (running.spawn(one.attend()), told));
                    }
                }
            }
            tokio::select! {
                changed = library.changed() => if changed.is_err() { return },
                Some(ended) = running.join_next() => resume_panic(ended),
            }
        }
    }

    fn forget(&self, kind: &GroupKind, heard: &Heard) {
        self.kinds.send_modify(|kinds| {
            if let Some(name) = kinds.remove(kind).as_ref().and_then(Kind::defined) {
                heard(Defined::Gone(name.to_owned()));
            }
        });
    }
}

/// A task ends only when it is told to; one that panicked takes the process down with a reason.
fn resume_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

/// The kinds that may have a definition, and in which versions they are named.
fn wanted(kinds: &BTreeSet<Gvk>) -> BTreeMap<GroupKind, Versions> {
    let mut wanted: BTreeMap<GroupKind, BTreeSet<String>> = BTreeMap::new();
    for kind in kinds.iter().filter(|kind| Definitions::custom(kind)) {
        wanted.entry(group_kind(kind)).or_default().insert(kind.version.clone());
    }
    wanted.into_iter().map(|(kind, versions)| (kind, Arc::new(versions))).collect()
}

/// What is known of a kind for a request that came at `asked`; none while that is not known.
fn state(kinds: &BTreeMap<GroupKind, Kind>, gvk: &Gvk, asked: Instant) -> Option<Result<(), Stale>> {
    let kind = kinds.get(&group_kind(gvk))?;
    match &kind.found {
        None => kind.pulse.trouble().map(|trouble| Err(unread(gvk, Some(&trouble)))),
        // The API server serves what it asks us about: it must have been looked up since.
        Some(Found::Undefined) => kind.pulse.age().filter(|age| *age <= asked.elapsed()).map(|_| Ok(())),
        Some(Found::Defined { versions, .. }) if !versions.contains(&gvk.version) => None,
        Some(Found::Defined { unreadable, .. }) => Some(match unreadable.get(&gvk.version) {
            Some(why) => Err(Stale(why.clone())),
            None => kind.pulse.fresh(&format!("the CustomResourceDefinition of {}", gvk.kind)),
        }),
    }
}

fn unread(kind: &Gvk, trouble: Option<&str>) -> Stale {
    let because = trouble.map(|trouble| format!(" ({trouble})")).unwrap_or_default();
    Stale(format!("the CustomResourceDefinition of {kind} has not been read yet{because}; try again in a moment"))
}

fn group_kind(kind: &Gvk) -> GroupKind {
    (kind.group.clone(), kind.kind.clone())
}

#[cfg(test)]
mod tests;
