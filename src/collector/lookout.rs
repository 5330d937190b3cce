//! Which kinds there are and what we may: looked at when something says that it may have changed, and never by the
//! clock alone.
//!
//! What says so: the objects that make kinds and rights ([`super::occasions`]), and what happens to us (a watch that is
//! answered 403 or 404, a DELETE that is answered 403). One look is often not enough, since discovery and the
//! authorizer learn of an object by watches of their own: see [`Again`]. Where the account may not watch those objects
//! it is looked every [`SLOW`] as well, the one exception.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use super::again::{Again, Doubts, Look};
use super::collect::CollectorError;
use super::discover::{self, Found, Kind, Objects, Review, Rights};
use super::essential::Missing;
use super::foreign::Foreign;
use super::gather::Cause;
use super::occasions::{About, Occasion, SLOW, Said, attend};
use super::report::Metrics;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Looks at kinds after a change, until discovery shows it: milliseconds as a rule, half a minute at the most.
static KINDS: [Duration; 8] = [ms(200), ms(300), ms(500), ms(1_000), ms(2_000), ms(4_000), ms(8_000), ms(16_000)];
/// Discovery is one document; of many custom resources it is a megabyte.
const KINDS_SPACING: Duration = ms(2_000);
const KINDS_BURST: u32 = 10;
/// Looks at rights after a change. Nothing says when every authorizer has heard of it.
static RIGHTS: [Duration; 3] = [ms(200), ms(1_000), ms(5_000)];
/// A look is about three reviews per kind, some 120 requests.
const RIGHTS_SPACING: Duration = ms(5_000);
const RIGHTS_BURST: u32 = 12;
/// What is said and waits; the watches pause beyond it.
const SIGNS_WAITING: usize = 256;

pub(super) struct Lookout {
    client: Client,
    namespace: Option<String>,
    foreign: Option<Foreign>,
    metrics: Metrics,
    found: Found,
    kinds: Again,
    rights: Again,
    /// By the names of CustomResourceDefinitions and APIServices: whether discovery should show it.
    wanted: HashMap<String, bool>,
    /// What the next look at rights covers.
    review: Review,
    doubts: Doubts<Arc<Kind>>,
    /// What the account may not watch, so that it is said once.
    unwatched: HashSet<&'static str>,
    /// The look that is under way: one at a time.
    looking: JoinSet<Result<Found, kube::Error>>,
    under_way: UnderWay,
    occasions: Vec<Occasion>,
    attending: JoinSet<Occasion>,
    signs: mpsc::Receiver<(Occasion, Said)>,
}

/// What the present look is at.
#[derive(Clone, Copy, Debug, Default)]
struct UnderWay {
    kinds: bool,
    rights: bool,
}

impl Lookout {
    pub(super) fn new(
        client: Client,
        namespace: Option<String>,
        foreign: Option<Foreign>,
        essential: Missing,
        metrics: Metrics,
    ) -> Self {
        let (out, signs) = mpsc::channel(SIGNS_WAITING);
        let mut attending = JoinSet::new();
        let namespaces: BTreeSet<&str> = namespace.as_deref().into_iter().chain(essential.namespaces()).collect();
        let occasions = Occasion::all(namespaces);
        for occasion in occasions.clone() {
            let (client, out) = (client.clone(), out.clone());
            attending.spawn(async move {
                attend(client, occasion.clone(), out).await;
                occasion
            });
        }
        Self {
            client,
            namespace,
            foreign,
            metrics,
            found: Found::nothing(essential),
            kinds: Again::new(&KINDS, KINDS_SPACING, KINDS_BURST),
            rights: Again::new(&RIGHTS, RIGHTS_SPACING, RIGHTS_BURST),
            wanted: HashMap::new(),
            review: Review::none(),
            doubts: Doubts::default(),
            unwatched: HashSet::new(),
            looking: JoinSet::new(),
            under_way: UnderWay::default(),
            occasions,
            attending,
            signs,
        }
    }

    /// The first look, tried until the API server answers. It begins when every watch has said a word, so that no
    /// change falls between the two.
    ///
    /// # Errors
    /// When the account may not even ask.
    pub(super) async fn first(&mut self) -> Result<Rights, CollectorError> {
        let mut silent = self.occasions.clone();
        while !silent.is_empty()
            && let Some((occasion, said)) = self.signs.recv().await
        {
            if !matches!(said, Said::There(_) | Said::Gone(_)) {
                silent.retain(|other| *other != occasion);
            }
            self.hear(&occasion, said, Instant::now());
        }
        let mut pause = ms(200);
        loop {
            self.kinds.begin(Instant::now());
            self.rights.begin(Instant::now());
            self.metrics.looks.inc();
            let namespace = self.namespace.as_deref();
            match discover::look(&self.client, namespace, &self.found, true, &Review::All).await {
                Ok(found) => {
                    self.found = found;
                    self.under_way = UnderWay { kinds: true, rights: false };
                    self.close(false, Instant::now());
                    self.rights.end(Instant::now(), Look::Settled);
                    self.review = Review::none();
                    return Ok(self.rights(&self.found));
                }
                Err(kube::Error::Api(status)) if matches!(status.code, 401 | 403) => {
                    return Err(CollectorError::Discovery(Box::new(kube::Error::Api(status))));
                }
                Err(error) => tracing::warn!(%error, "the API server does not say what may be collected; trying again"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(10));
        }
    }

    /// What follows from `found`, other collectors' keys included.
    fn rights(&self, found: &Found) -> Rights {
        let mut rights = found.rights();
        if let Some(foreign) = &self.foreign {
            foreign.extend(&mut rights, found);
        }
        rights
    }

    /// Waits until other kinds may be collected than before, or others lack a right. Loses nothing where it is dropped.
    ///
    /// # Errors
    /// When a task of ours died.
    pub(super) async fn next(&mut self) -> Result<Rights, CollectorError> {
        loop {
            let due = self.due();
            let unsettled = due.is_some() || !self.looking.is_empty();
            self.metrics.unsettled.set(unsettled.into());
            tokio::select! {
                Some((occasion, said)) = self.signs.recv() => self.hear(&occasion, said, Instant::now()),
                Some(ended) = self.attending.join_next() => return Err(match ended {
                    Ok(occasion) => CollectorError::Ended(occasion.resource.into()),
                    Err(error) => CollectorError::Died(error),
                }),
                Some(ended) = self.looking.join_next() => {
                    if let Some(rights) = self.conclude(ended)? {
                        return Ok(rights);
                    }
                }
                () = until(due), if self.looking.is_empty() => self.begin(Instant::now()),
            }
        }
    }

    /// A watch of this kind failed, or a DELETE of one such object: where that says something of rights or kinds, it is
    /// looked into; where looking did not help, ever more seldom.
    pub(super) fn doubt(&mut self, kind: &Arc<Kind>, cause: Cause) {
        let now = Instant::now();
        let kind = Arc::new(kind.of(Objects::Dependents)); // Whichever objects: rights are those on the kind.
        if cause == Cause::Passing || !self.doubts.counts(Arc::clone(&kind), now) {
            return;
        }
        if cause == Cause::Unserved {
            return self.kinds.changed(now);
        }
        if let Review::Only(kinds) = &mut self.review {
            kinds.insert(kind);
        }
        self.rights.changed(now);
    }

    fn hear(&mut self, occasion: &Occasion, said: Said, now: Instant) {
        let resource = occasion.resource;
        match said {
            Said::There(name) => self.changed(occasion.about, Some((name, true)), now),
            Said::Gone(name) => self.changed(occasion.about, Some((name, false)), now),
            Said::Listed => {
                self.changed(occasion.about, None, now);
                if self.unwatched.remove(resource) {
                    tracing::info!(resource, "these can be watched now");
                }
            }
            Said::Interrupted(error) => {
                self.metrics.interruptions.inc();
                tracing::warn!(resource, error, "a watch was interrupted");
            }
            Said::Forbidden(error) => {
                if self.unwatched.insert(resource) {
                    tracing::warn!(
                        resource,
                        error,
                        "this account may not watch what tells of new kinds and rights, so it may take {} min until \
                         they are noticed; apply retinue's RBAC for the controller (retinue install)",
                        SLOW.as_secs() / 60,
                    );
                }
            }
            Said::Time => match occasion.about {
                About::Kinds => self.kinds.once(now),
                About::Rights => {
                    self.review = Review::All;
                    self.rights.once(now);
                }
            },
        }
        self.metrics.unwatched.set(i64::try_from(self.unwatched.len()).unwrap_or(i64::MAX));
    }

    fn changed(&mut self, about: About, wanted: Option<(String, bool)>, now: Instant) {
        match about {
            About::Kinds => {
                self.wanted.extend(wanted);
                self.kinds.changed(now);
            }
            About::Rights => {
                self.review = Review::All;
                self.rights.changed(now);
            }
        }
    }

    fn due(&self) -> Option<Instant> {
        self.kinds.due().into_iter().chain(self.rights.due()).min()
    }

    /// Looks at what is due.
    fn begin(&mut self, now: Instant) {
        let is_due = |again: &Again| again.due().is_some_and(|due| due <= now);
        self.under_way = UnderWay { kinds: is_due(&self.kinds), rights: is_due(&self.rights) };
        let UnderWay { kinds, rights } = self.under_way;
        if kinds {
            self.kinds.begin(now);
        }
        if rights {
            self.rights.begin(now);
        }
        self.metrics.looks.inc();
        let review = if rights { self.review.clone() } else { Review::none() };
        let (client, namespace, before) = (self.client.clone(), self.namespace.clone(), self.found.clone());
        self.looking.spawn(async move { discover::look(&client, namespace.as_deref(), &before, kinds, &review).await });
    }

    /// What a look found, where that is anything new.
    fn conclude(
        &mut self,
        ended: Result<Result<Found, kube::Error>, JoinError>,
    ) -> Result<Option<Rights>, CollectorError> {
        let now = Instant::now();
        match ended.map_err(CollectorError::Died)? {
            Ok(found) => {
                let rights = self.rights(&found);
                let moved = rights != self.rights(&self.found);
                self.found = found;
                self.close(moved, now);
                Ok(moved.then_some(rights))
            }
            Err(error) => {
                // What is followed stays followed; its own watches say what is wrong with them.
                tracing::warn!(%error, "kinds and rights could not be looked at; trying again");
                for (again, under_way) in
                    [(&mut self.kinds, self.under_way.kinds), (&mut self.rights, self.under_way.rights)]
                {
                    if under_way {
                        again.end(now, Look::Failed);
                    }
                }
                Ok(None)
            }
        }
    }

    /// Ends the look, and with it perhaps the series.
    fn close(&mut self, moved: bool, now: Instant) {
        let open = if moved { Look::Moved } else { Look::Open };
        self.wanted.retain(|name, there| self.found.shows(name) != *there);
        if self.under_way.kinds {
            self.kinds.end(now, if self.wanted.is_empty() { Look::Settled } else { open });
        }
        if self.under_way.rights {
            self.rights.end(now, open);
        }
        if self.kinds.due().is_none() && !self.wanted.is_empty() {
            tracing::debug!(wanted = ?self.wanted, "discovery does not show these, or shows them still");
            self.wanted.clear();
        }
        if self.rights.due().is_none() {
            self.review = Review::none();
        }
    }
}

/// Sleeps until then; for ever without.
async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
