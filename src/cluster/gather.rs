//! Puts together what one verdict is judged by, within a deadline, and tells afterwards what was decided.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use policies::caller::Caller;
use policies::collectable::{Need, Rights};
use policies::lint::Linted;
use policies::object::{Gvk, NamespacedName};
use policies::request::{Operation, Phase, Request};
use policies::stamp::{self, Marks};
use policies::verdict::{Asked, Identity, Situation, Verdict};
use serde_json::Value;

use super::Cluster;
use super::dependents::ledger::{Flooded, Key, Master};
use super::events;
use super::lineage::Lookup;
use super::masters::NotKnown;
use super::templates::Snapshot;
use super::watch::Stale;

/// How long gathering may take: three live reads one after the other at their own deadline of a second each, and less
/// than the API server waits for a webhook, so that the refusal with its reason still reaches the caller.
pub const DEADLINE: Duration = Duration::from_secs(3);

/// Why a request cannot be judged. Each is a refusal: nothing is skipped because it could not be looked up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GatherError {
    /// A snapshot is missing or too old.
    #[error("{0}")]
    Stale(#[from] Stale),
    /// The API server has not answered anything yet.
    #[error("the API server's clock is not known yet")]
    NoClock,
    /// Who is a master is not known.
    #[error("{0}")]
    Masters(#[from] NotKnown),
    /// A lookup failed.
    #[error("{0}")]
    Lookup(#[from] super::client::LookupError),
    /// Too much at once.
    #[error("{0}")]
    Flooded(#[from] Flooded),
    /// It took too long.
    #[error("the API server did not answer within {} s", DEADLINE.as_secs())]
    Slow,
    /// The operating system gave no random bytes.
    #[error("this machine gives no random bytes")]
    NoRandom,
}

impl From<GatherError> for webhooks::GatherError {
    fn from(error: GatherError) -> Self {
        Self::Lookup { what: "what this request is judged by".into(), reason: error.to_string() }
    }
}

impl webhooks::Asking for Cluster {
    async fn gather(&self, request: &Request) -> Result<Situation, webhooks::GatherError> {
        Ok(Self::gather(self, request).await?)
    }

    fn tell(&self, request: &Request, situation: &Situation, verdict: &Verdict) {
        Self::tell(self, request, situation, verdict);
    }
}

/// Template ConfigMaps are read as by themselves, and asked about.
impl webhooks::Linting for Cluster {
    fn read(&self, config_map: &Value) -> Linted {
        policies::lint::read(config_map)
    }

    fn ask<'a>(&'a self, needs: &'a [Need]) -> BoxFuture<'a, Rights> {
        Box::pin(self.collectable.ask(&self.client, needs))
    }
}

impl Cluster {
    /// Everything that the verdict on `request` needs.
    ///
    /// # Errors
    /// When something is not known, or not soon enough.
    pub async fn gather(&self, request: &Request) -> Result<Situation, GatherError> {
        tokio::time::timeout(DEADLINE, self.situation(request)).await.unwrap_or(Err(GatherError::Slow))
    }

    /// Tells of a verdict: Events, later; a reservation for what was refused is taken back.
    pub fn tell(&self, request: &Request, situation: &Situation, verdict: &Verdict) {
        if let (Verdict::Refuse(_), Some((key, caller))) =
            (verdict, reserves(request).zip(situation.caller.as_ref().ok()))
        {
            self.dependents.ledger.release(&key, &Master::new(&caller.account, &caller.workload()));
        }
        if let Some(note) = events::note(request, situation, verdict) {
            self.events.tell(note);
        }
    }

    async fn situation(&self, request: &Request) -> Result<Situation, GatherError> {
        let now = self.clock.now().ok_or(GatherError::NoClock)?;
        let caller = match self.callers.identify(&request.user).await {
            Ok(caller) => caller,
            // Nothing is looked up for somebody unknown.
            Err(why) => return Ok(Situation::unknown(now, why)),
        };
        let templates = self.templates.snapshot()?;
        let namespace = request.namespace.as_deref().unwrap_or_default();
        let makes = matches!(request.operation, Operation::Create | Operation::Update);
        let facts = match makes && templates.kinds.contains(&request.kind) {
            true => self.facts.of(&request.kind).await?,
            false => self.facts.snapshot()?,
        };
        let concerned = makes && templates.namespaces.contains(namespace);
        let masters = self.masters.covering(concerned.then_some(namespace)).await?;

        let lookup = Lookup { client: &self.client, dependents: &self.dependents };
        let asked = asked(&lookup, request, namespace).await;
        let lineage = match (&asked, &request.old_object) {
            (Asked::Found(object), _) if !stamped(object) => lookup.lineage(object, namespace).await?,
            (Asked::NotNeeded, Some(object)) if request.operation == Operation::Delete && !stamped(object) => {
                lookup.lineage(object, namespace).await?
            }
            _ => Vec::new(),
        };
        let own_dependents = match &request.object {
            Some(object) if makes && request.subresource.is_none() => {
                lookup.own_dependents(object, namespace, &caller).await?
            }
            _ => Vec::new(),
        };
        let mut seed = [0; 32];
        aws_lc_rs::rand::fill(&mut seed).map_err(|_| GatherError::NoRandom)?;
        // Last, since it may reserve: whatever fails before leaves no reservation behind.
        let live_dependents = self.live_dependents(request, &caller, &templates)?;
        Ok(Situation {
            now,
            caller: Ok(caller),
            identity: Identity::Verified,
            library: Arc::clone(&templates.library),
            facts,
            masters,
            collector: self.collectable.known(),
            asked,
            lineage,
            own_dependents,
            live_dependents,
            seed,
            form: None,
        })
    }

    fn live_dependents(
        &self,
        request: &Request,
        caller: &Caller,
        templates: &Snapshot,
    ) -> Result<BTreeMap<NamespacedName, u32>, GatherError> {
        if request.operation != Operation::Create || request.subresource.is_some() {
            return Ok(BTreeMap::new());
        }
        let wished = caller.wish.manifests.iter().filter_map(|name| templates.library.sets.get(name));
        // A ConfigMap without a template of this kind cannot admit it, so whether its dependents can be counted is all one.
        let limited: Vec<_> =
            wished.filter(|set| set.max_dependents.is_some() && set.templates.has(&request.kind)).collect();
        if limited.is_empty() {
            return Ok(BTreeMap::new());
        }
        self.dependents.countable(limited.iter().flat_map(|set| set.templates.kinds()))?;
        let master = Master::new(&caller.account, &caller.workload());
        let now = Instant::now();
        match (reserves(request), stamped_by(request)) {
            (Some(key), Some(config_map)) if limited.iter().any(|set| set.name == config_map) => {
                Ok(self.dependents.ledger.reserve(key, master, config_map, now)?)
            }
            _ => Ok(self.dependents.ledger.count(&master, key(request).as_ref(), now)),
        }
    }
}

/// The object that `request` creates, where it has its final name. The review itself names none for generateName,
/// not even once the object has one.
fn key(request: &Request) -> Option<Key> {
    let named = || request.object.as_ref()?.pointer("/metadata/name")?.as_str();
    let name = request.name.as_deref().or_else(named).filter(|name| !name.is_empty())?;
    Some(Key::new(&request.kind, request.namespace.as_deref()?, name))
}

/// The object for which `request` reserves a place: in the phase that decides, and only where it will be stored.
fn reserves(request: &Request) -> Option<Key> {
    let decides = request.phase == Phase::Validating
        && request.operation == Operation::Create
        && request.subresource.is_none()
        && !request.dry_run;
    if decides { key(request) } else { None }
}

/// The template that stamped the object in the first phase. What it says is verified by the verdict.
fn stamped_by(request: &Request) -> Option<NamespacedName> {
    let admission = Marks::of(request.object.as_ref()?).admission?;
    let record: stamp::Record = serde_json::from_str(admission).ok()?;
    Some(record.template.config_map)
}

/// Whether an object carries something like a stamp, so that nothing above it needs to be asked.
fn stamped(object: &Value) -> bool {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let kind = Gvk::from_api_version(text("/apiVersion"), text("/kind"));
    stamp::read(Marks::of(object), &kind, text("/metadata/namespace"), text("/metadata/name"))
        .is_ok_and(|stamp| stamp.is_some())
}

async fn asked(lookup: &Lookup<'_>, request: &Request, namespace: &str) -> Asked {
    if request.subresource.is_none() && request.operation != Operation::Connect {
        return Asked::NotNeeded;
    }
    let Some(name) = request.name.as_deref().filter(|name| !name.is_empty()) else {
        return Asked::Failed("the request names no object".into());
    };
    let subresource = request.subresource.as_deref().unwrap_or_default();
    match lookup.asked(&request.resource, subresource, namespace, name).await {
        Ok(Some(object)) => Asked::Found(Box::new(object)),
        Ok(None) => Asked::Absent,
        Err(error) => Asked::Failed(error.to_string()),
    }
}
