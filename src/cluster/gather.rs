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
use webhooks::Lookups;

use super::Cluster;
use super::dependents::ledger::{Create, Key, Master};
use super::dependents::live_count::Counting;
use super::dependents::quota::{self, Ask, Reserved};
use super::dependents::watched;
use super::events::told;
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
    async fn gather(&self, request: &Request, lookups: &Lookups) -> Result<Situation, webhooks::GatherError> {
        Ok(Self::gather(self, request, lookups).await?)
    }

    fn tell(&self, request: &Request, situation: &Situation, verdict: &Verdict) {
        Self::tell(self, request, situation, verdict);
    }

    fn dropped(&self, request: &Request, situation: &Situation) {
        Self::dropped(self, request, situation);
    }
}

/// Template ConfigMaps are read as by themselves, and asked about.
impl webhooks::Linting for Cluster {
    fn read(&self, config_map: &Value) -> Linted {
        let mut linted = policies::lint::read(config_map);
        self.templates.warn_of_room(config_map, &mut linted);
        linted
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
    pub async fn gather(&self, request: &Request, lookups: &Lookups) -> Result<Situation, GatherError> {
        tokio::time::timeout(DEADLINE, self.situation(request, lookups)).await.unwrap_or(Err(GatherError::Slow))
    }

    /// Takes in a verdict that is given: what was admitted is expected to be shown by the watch, and told then; a refusal
    /// is told, later, and its reservation ends.
    pub fn tell(&self, request: &Request, situation: &Situation, verdict: &Verdict) {
        match verdict {
            Verdict::Admit(admission) => {
                let create = situation.caller.as_ref().ok().zip(admission.subject.config_map.as_ref());
                if let Some(create) = create.and_then(|(caller, config_map)| creates(request, caller, config_map)) {
                    self.dependents.ledger.admit(create, Instant::now());
                }
            }
            Verdict::Refuse(_) => self.dropped(request, situation),
        }
        if let Some(note) = told::refused(request, situation, verdict) {
            self.events.tell(note);
        }
    }

    /// No verdict is given on what [`Self::gather`] put together: its reservation ends.
    pub fn dropped(&self, request: &Request, situation: &Situation) {
        // As gathering has reserved, or not: what it has not reserved may be another review's.
        let limited = stamped_by(request).is_some_and(|set| situation.live_dependents.contains_key(&set));
        let caller = situation.caller.as_ref().ok().filter(|_| limited);
        if let Some((key, caller)) = reserves(request).zip(caller) {
            self.dependents.ledger.withdraw(&Master::new(&caller.account, &caller.workload()), &key);
        }
    }

    async fn situation(&self, request: &Request, lookups: &Lookups) -> Result<Situation, GatherError> {
        let now = self.clock.now().ok_or(GatherError::NoClock)?;
        let caller = match self.callers.identify(&request.user, lookups).await {
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

        let lookup = Lookup { client: &self.client, dependents: &self.dependents, lookups };
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
        let live_dependents = self.live_dependents(request, &caller, &templates, lookups.address()).await?;
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

    async fn live_dependents(
        &self,
        request: &Request,
        caller: &Caller,
        templates: &Snapshot,
        address: u64,
    ) -> Result<BTreeMap<NamespacedName, u32>, GatherError> {
        if request.operation != Operation::Create || request.subresource.is_some() {
            return Ok(BTreeMap::new());
        }
        let wished = caller.wish.manifests.iter().filter_map(|name| templates.library.sets.get(name));
        let limited: Vec<_> = wished.filter_map(|set| Some((set, (set.name.clone(), set.max_dependents?)))).collect();
        // A ConfigMap without a template of this kind cannot admit it, so whether its dependents can be counted is all one.
        let concerned = || limited.iter().filter(|(set, _)| set.templates.has(&request.kind));
        let limits: Vec<_> = concerned().map(|(_, limit)| limit.clone()).collect();
        if limits.is_empty() {
            return Ok(BTreeMap::new());
        }
        self.dependents.countable(concerned().flat_map(|(set, _)| set.templates.kinds()))?;

        let master = Master::new(&caller.account, &caller.workload());
        let object = key(request);
        let ledger = &self.dependents.ledger;
        let create = stamped_by(request)
            .filter(|config_map| limits.iter().any(|(limited, _)| limited == config_map))
            .and_then(|config_map| creates(request, caller, &config_map));
        // Afterwards [`Self::tell`] or [`Self::dropped`] ends it.
        let to = create.as_ref().map(|create| (address, create.config_map.clone()));
        let reserved = create.map(|create| Reserved::new(ledger, create));
        let before = reserved.as_ref().map_or_else(|| ledger.next(), |reserved| reserved.number);
        let ask = Ask { master: &master, object: object.as_ref(), before, limits: &limits, to: to.as_ref() };
        let counting = || Counting {
            master: master.clone(),
            // Of all its limits, so that one count answers every create of this master.
            kinds: limited.iter().flat_map(|(set, _)| set.templates.kinds().cloned()).collect(),
            namespaces: limited
                .iter()
                .flat_map(|(set, _)| set.namespaces.iter())
                .chain([&caller.account.namespace])
                .cloned()
                .collect(),
        };
        let count = async || self.dependents.count_live(&self.client, &counting()).await;
        let taken = quota::taken(ledger, &self.dependents.given, ask, count).await?;
        if let Some(reserved) = reserved {
            reserved.keep();
        }
        Ok(taken)
    }
}

/// The object that `request` creates, where it has its final name. The review itself names none for generateName,
/// not even once the object has one.
fn key(request: &Request) -> Option<Key> {
    let named = || request.object.as_ref()?.pointer("/metadata/name")?.as_str();
    let name = request.name.as_deref().or_else(named).filter(|name| !name.is_empty())?;
    Some(Key::new(&request.kind, request.namespace.as_deref()?, name))
}

/// The object for which `request` reserves a place: in the phase that decides, and only where it can be stored, and the
/// watch shows it.
fn reserves(request: &Request) -> Option<Key> {
    let decides = request.phase == Phase::Validating
        && request.operation == Operation::Create
        && request.subresource.is_none()
        && !request.dry_run
        && watched(&request.kind);
    if decides { key(request).filter(Key::can_be_stored) } else { None }
}

/// What `request` of `caller` creates by this template ConfigMap.
fn creates(request: &Request, caller: &Caller, config_map: &NamespacedName) -> Option<Create> {
    Some(Create {
        key: reserves(request)?,
        master: Master::new(&caller.account, &caller.workload()),
        pod: caller.pod.uid.as_str().into(),
        config_map: config_map.clone(),
    })
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
