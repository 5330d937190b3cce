//! One list-and-watch, with what kube's own watcher keeps to itself: proof of life.
//!
//! A verdict must know how old its snapshot may be. An API server sends a bookmark about once a minute, and two
//! seconds before a watch's own deadline (seen on 1.36, in its watch cache since 1.16), but none while nothing of that
//! kind changes: its cache learns that time went on only when it is asked for a consistent list (seen on 1.36; a
//! quiet cluster gave no bookmark in minutes). So every watch here asks to be ended after [`LENGTH`], and before it is
//! resumed one object is listed: either nothing has changed at all since, or bookmarks come. Where neither is so, the
//! whole list is read again. That is proof of life about every 20 seconds, three times within the bound of
//! [`STALE_AFTER`]. A bookmark, an event and a completed list are proof; a connection that is merely open is not.
//!
//! Where no verdict goes by what is watched ([`Pulse::unhurried`]), nothing is listed again: a watch of
//! [`UNHURRIED_LENGTH`] follows the other.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use kube::Client;
use kube::core::WatchEvent;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::mpsc;

use super::client::{Detail, METADATA_ONLY, message};
use super::items::Items;

/// How long one watch lasts before it is resumed.
pub(crate) const LENGTH: Duration = Duration::from_secs(20);
/// As [`LENGTH`], where nobody needs proof of life: how long a connection that died in silence is believed in.
const UNHURRIED_LENGTH: Duration = Duration::from_secs(60);
/// A snapshot without proof of life for longer than this is not judged by (design, section 2).
pub const STALE_AFTER: Duration = Duration::from_secs(60);
/// How long beyond its own end a silent watch is believed in: the server ends it, so silence means the
/// connection is dead.
const GRACE: Duration = Duration::from_secs(3);
/// How long one object of a list may take, each of about 1.5 MB at most.
const LIST_DEADLINE: Duration = Duration::from_secs(15);
/// How long a watch may take to begin.
const BEGIN_DEADLINE: Duration = Duration::from_secs(5);
/// A label that no object has.
const NOTHING: &str = "fledged.io/selects-nothing=true";
/// Objects per page of a list, where they are small.
const PAGE: u32 = 500;
/// The pause after a failure, doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What to watch.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    /// `v1`, `apps/v1`.
    pub api_version: String,
    /// `ConfigMap`.
    pub kind: String,
    /// Plural, lower case.
    pub resource: String,
    /// Where; none: everywhere.
    pub namespace: Option<String>,
    /// A label selector.
    pub labels: Option<String>,
    /// The only object that is watched.
    pub only: Option<String>,
    /// Objects per page of a list; none: nothing is listed.
    pub page: Option<u32>,
    /// Whole objects or their metadata.
    pub detail: Detail,
}

impl Watched {
    pub(crate) fn new(api_version: &str, kind: &str, resource: &str) -> Self {
        Self {
            api_version: api_version.into(),
            kind: kind.into(),
            resource: resource.into(),
            namespace: None,
            labels: None,
            only: None,
            page: Some(PAGE),
            detail: Detail::Whole,
        }
    }

    #[must_use]
    pub(crate) fn labelled(mut self, selector: &str) -> Self {
        self.labels = Some(selector.into());
        self
    }

    /// Of all objects the one of this name.
    #[must_use]
    pub(crate) fn named(mut self, name: &str) -> Self {
        self.only = Some(name.into());
        self
    }

    /// Listed in pages of so many objects: where each may be large, that is how many are in memory at once.
    #[must_use]
    pub(crate) fn in_pages_of(mut self, objects: u32) -> Self {
        self.page = Some(objects);
        self
    }

    /// Nothing is listed: only what changes from now on is told, and [`Change::Complete`] where changes may have been
    /// missed.
    #[must_use]
    pub(crate) fn changes_only(mut self) -> Self {
        self.page = None;
        self
    }

    /// The same list without an object in it, for its version.
    fn empty(&self) -> Self {
        self.clone().labelled(NOTHING)
    }

    #[must_use]
    pub(crate) fn metadata_only(mut self) -> Self {
        self.detail = Detail::Metadata;
        self
    }

    /// For people.
    pub(crate) fn name(&self) -> String {
        match self.api_version.split_once('/') {
            Some((group, _)) => format!("{}.{group}", self.resource),
            None => self.resource.clone(),
        }
    }

    fn path(&self) -> String {
        let root = if self.api_version.contains('/') { "apis" } else { "api" };
        let namespace = self.namespace.as_ref().map(|namespace| format!("namespaces/{namespace}/")).unwrap_or_default();
        format!("/{root}/{}/{namespace}{}?", self.api_version, self.resource)
    }

    pub(crate) fn request(&self, query: &[(&str, &str)]) -> Result<http::Request<Vec<u8>>, http::Error> {
        let mut uri = self.path();
        let labels = self.labels.as_deref().map(|selector| ("labelSelector", selector));
        let only = self.only.as_ref().map(|name| format!("metadata.name={name}"));
        let only = only.as_deref().map(|selector| ("fieldSelector", selector));
        for (index, (key, value)) in query.iter().copied().chain(labels).chain(only).enumerate() {
            let value = value.replace('%', "%25").replace('=', "%3D").replace('&', "%26").replace(' ', "%20");
            let separator = if index == 0 { "" } else { "&" };
            uri.push_str(&format!("{separator}{key}={}", value.replace('+', "%2B")));
        }
        let mut request = http::Request::get(uri);
        if self.detail == Detail::Metadata {
            let list = METADATA_ONLY.replace("PartialObjectMetadata;", "PartialObjectMetadataList;");
            let listing = !query.iter().any(|(key, _)| *key == "watch");
            request = request.header(http::header::ACCEPT, if listing { list.as_str() } else { METADATA_ONLY });
        }
        request.body(Vec::new())
    }
}

/// What a watch can carry.
pub(crate) trait Watchable: DeserializeOwned + Clone + Send + 'static {
    /// `metadata.resourceVersion`.
    fn version(&self) -> Option<&str>;
    /// Lists leave `apiVersion` and `kind` out of their items.
    fn complete(&mut self, watched: &Watched);
}

impl Watchable for Value {
    fn version(&self) -> Option<&str> {
        self.pointer("/metadata/resourceVersion")?.as_str()
    }
    fn complete(&mut self, watched: &Watched) {
        if let Some(object) = self.as_object_mut() {
            object.entry("apiVersion").or_insert_with(|| watched.api_version.clone().into());
            object.entry("kind").or_insert_with(|| watched.kind.clone().into());
        }
    }
}

/// A change, and the instant at which the server is known to have said so.
#[derive(Clone, Debug)]
pub(crate) struct News<T> {
    pub at: Instant,
    pub change: Change<T>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change<T> {
    /// A list begins: what is not in it is gone once it is complete.
    Begin,
    /// An object of the list.
    Listed(T),
    /// The list is complete.
    Complete,
    /// An object is new or changed.
    Applied(T),
    /// An object is gone, or no longer selected.
    Removed(T),
    /// Nothing changed.
    Alive,
}

/// Whether a watch is synced, when it last gave proof of life, and what is wrong with it.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    state: Mutex<PulseState>,
    unhurried: bool,
}

#[derive(Clone, Debug, Default)]
struct PulseState {
    alive: Option<Instant>,
    trouble: Option<String>,
}

impl Pulse {
    /// Of a watch that no verdict goes by: what it has once read is fresh.
    pub(crate) fn unhurried() -> Self {
        Self { unhurried: true, ..Self::default() }
    }

    fn length(&self) -> Duration {
        if self.unhurried { UNHURRIED_LENGTH } else { LENGTH }
    }

    /// The snapshot holds everything that the server had at `at`.
    pub(crate) fn beat(&self, at: Instant) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.alive = state.alive.max(Some(at));
        state.trouble = None;
    }

    pub(crate) fn ail(&self, trouble: String) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).trouble = Some(trouble);
    }

    /// How old the snapshot may be; none before the first list was complete.
    pub(crate) fn age(&self) -> Option<Duration> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).alive.map(|alive| alive.elapsed())
    }

    /// What went wrong last, if nothing went right since.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).trouble.clone()
    }

    /// Whether the snapshot may be judged by.
    ///
    /// # Errors
    /// With the reason.
    pub(crate) fn fresh(&self, name: &str) -> Result<(), Stale> {
        let because = || self.trouble().map(|trouble| format!(" ({trouble})")).unwrap_or_default();
        match self.age() {
            None => Err(Stale(format!("the list of {name} has not been read yet{}", because()))),
            Some(age) if age > STALE_AFTER && !self.unhurried => {
                Err(Stale(format!("what is known of {name} is {} s old{}", age.as_secs(), because())))
            }
            Some(_) => Ok(()),
        }
    }
}

/// A snapshot that must not be judged by.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Stale(pub String);

/// Why a watch stopped for a moment.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("{0}")]
    Api(String),
    #[error("the resource version is too old")]
    Expired,
    #[error("no answer in time")]
    Silent,
    #[error("an object without resource version")]
    NoVersion,
    #[error("nobody listens")]
    Unheard,
}

impl From<kube::Error> for Trouble {
    fn from(error: kube::Error) -> Self {
        match &error {
            kube::Error::Api(status) if status.code == 410 => Self::Expired,
            other => Self::Api(message(other)),
        }
    }
}

/// A page of a list.
#[derive(Deserialize)]
pub(crate) struct Page<T> {
    #[serde(default)]
    pub(crate) metadata: PageMetadata,
    /// Null where a list of metadata is empty (seen on 1.36).
    #[serde(default = "Option::default")]
    pub(crate) items: Option<Vec<T>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PageMetadata {
    resource_version: String,
    /// What to ask for the next page with; empty: there is none.
    pub(crate) r#continue: String,
}

/// What [`follow`] does next.
#[derive(Debug, PartialEq)]
enum Next {
    List,
    /// Watch from the version of a list.
    Watch(String),
    /// Watch from where another watch ended.
    Resume(String),
}

/// How a watch ended that the server ended.
struct Ended {
    version: String,
    /// Whether it brought anything.
    heard: bool,
}

/// Lists and watches, for ever: ends when nobody listens any more.
pub(crate) async fn follow<T: Watchable>(
    client: Client,
    watched: Watched,
    pulse: Arc<Pulse>,
    out: mpsc::Sender<News<T>>,
) {
    let mut next = Next::List;
    let mut pause = FIRST_PAUSE;
    loop {
        let begun = Instant::now();
        let listing = next == Next::List;
        let progress = match std::mem::replace(&mut next, Next::List) {
            Next::List => list(&client, &watched, &out).await.map(Next::Watch),
            Next::Resume(from) if !pulse.unhurried => resume(&client, &watched, from, &out).await,
            Next::Watch(from) | Next::Resume(from) => {
                watch(&client, &watched, from, pulse.length(), &out).await.map(|ended| Next::Resume(ended.version))
            }
        };
        match progress {
            Ok(then) => {
                next = then;
                pause = FIRST_PAUSE;
                // A server on its way out ends watches as soon as they begin.
                if !listing && begun.elapsed() < pause {
                    tokio::time::sleep(pause).await;
                }
            }
            Err(Trouble::Unheard) => return,
            Err(trouble) => {
                // After any trouble the list is read again: dearer than resuming, and always right.
                tracing::warn!(watch = watched.name(), %trouble, "a watch was interrupted");
                pulse.ail(trouble.to_string());
                tokio::select! {
                    () = tokio::time::sleep(jittered(pause)) => {}
                    () = out.closed() => return,
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// Between half and the whole of `pause`, so that many watches do not come back in step.
fn jittered(pause: Duration) -> Duration {
    let random = u32::try_from(RandomState::new().hash_one(0) % 1_000).unwrap_or(0);
    pause / 2 + pause / 2 * random / 1_000
}

async fn tell<T>(out: &mpsc::Sender<News<T>>, at: Instant, change: Change<T>) -> Result<(), Trouble> {
    out.send(News { at, change }).await.map_err(|_| Trouble::Unheard)
}

async fn list<T: Watchable>(
    client: &Client,
    watched: &Watched,
    out: &mpsc::Sender<News<T>>,
) -> Result<String, Trouble> {
    let at = Instant::now();
    let Some(page) = watched.page else {
        let version = version(client, &watched.empty(), LIST_DEADLINE).await?;
        tell(out, at, Change::Complete).await?;
        return Ok(version);
    };
    tell(out, at, Change::Begin).await?;
    let limit = page.to_string();
    let mut token = String::new();
    loop {
        let mut query = vec![("limit", limit.as_str())];
        if !token.is_empty() {
            query.push(("continue", token.as_str()));
        }
        let request = watched.request(&query).map_err(|error| Trouble::Api(error.to_string()))?;
        let page = tokio::time::timeout(LIST_DEADLINE, client.request_stream(request));
        let page = std::pin::pin!(page.await.map_err(|_| Trouble::Silent)??);
        let mut items = Items::of(page);
        let unreadable = |error: serde_json::Error| Trouble::Api(format!("a list that cannot be read: {error}"));
        loop {
            let item = tokio::time::timeout(LIST_DEADLINE, items.next()).await.map_err(|_| Trouble::Silent)?;
            let Some(item) = item.map_err(|error| Trouble::Api(error.to_string()))? else { break };
            let mut item: T = serde_json::from_slice(&item).map_err(unreadable)?;
            item.complete(watched);
            tell(out, at, Change::Listed(item)).await?;
        }
        let page: Page<serde::de::IgnoredAny> = serde_json::from_slice(items.rest()).map_err(unreadable)?;
        token = page.metadata.r#continue;
        if token.is_empty() {
            tell(out, at, Change::Complete).await?;
            return Ok(page.metadata.resource_version);
        }
    }
}

/// The version of the whole store at this moment, by a consistent read: a list of at most one object, which is not read.
async fn version(client: &Client, watched: &Watched, deadline: Duration) -> Result<String, Trouble> {
    let request = watched.request(&[("limit", "1")]).map_err(|error| Trouble::Api(error.to_string()))?;
    let page: Page<serde::de::IgnoredAny> =
        tokio::time::timeout(deadline, client.request(request)).await.map_err(|_| Trouble::Silent)??;
    Ok(page.metadata.resource_version)
}

/// Watches on from `version`, having made sure that there will be proof of life.
async fn resume<T: Watchable>(
    client: &Client,
    watched: &Watched,
    version: String,
    out: &mpsc::Sender<News<T>>,
) -> Result<Next, Trouble> {
    let at = Instant::now();
    // The only object that is watched may be large.
    let asked = if watched.only.is_some() { watched.empty() } else { watched.clone() };
    let unchanged = self::version(client, &asked, BEGIN_DEADLINE).await? == version;
    if unchanged {
        tell(out, at, Change::Alive).await?;
    }
    let ended = watch(client, watched, version, LENGTH, out).await?;
    // Silent although the store went on: a server whose lists do not wake its watches.
    Ok(if ended.heard || unchanged { Next::Resume(ended.version) } else { Next::List })
}

/// Watches from `version` until the server ends it, and says how far it came.
async fn watch<T: Watchable>(
    client: &Client,
    watched: &Watched,
    mut version: String,
    length: Duration,
    out: &mpsc::Sender<News<T>>,
) -> Result<Ended, Trouble> {
    let begun = Instant::now();
    let mut heard = false;
    let seconds = length.as_secs().to_string();
    let query = [
        ("watch", "true"),
        ("allowWatchBookmarks", "true"),
        ("timeoutSeconds", seconds.as_str()),
        ("resourceVersion", version.as_str()),
    ];
    let request = watched.request(&query).map_err(|error| Trouble::Api(error.to_string()))?;
    let events = tokio::time::timeout(BEGIN_DEADLINE, client.request_events::<T>(request))
        .await
        .map_err(|_| Trouble::Silent)??;
    let mut events = std::pin::pin!(events);
    loop {
        let left = (length + GRACE).saturating_sub(begun.elapsed());
        let event = tokio::select! {
            event = tokio::time::timeout(left, events.try_next()) => event.map_err(|_| Trouble::Silent)??,
            () = out.closed() => return Err(Trouble::Unheard),
        };
        let at = Instant::now();
        let (reached, change) = match event {
            None => return Ok(Ended { version, heard }),
            Some(WatchEvent::Added(object) | WatchEvent::Modified(object)) => {
                (object.version().map(Into::into), Change::Applied(object))
            }
            Some(WatchEvent::Deleted(object)) => (object.version().map(Into::into), Change::Removed(object)),
            Some(WatchEvent::Bookmark(bookmark)) => (Some(bookmark.metadata.resource_version), Change::Alive),
            Some(WatchEvent::Error(status)) => return Err(kube::Error::Api(status).into()),
        };
        version = reached.ok_or(Trouble::NoVersion)?;
        heard = true;
        tell(out, at, change).await?;
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
