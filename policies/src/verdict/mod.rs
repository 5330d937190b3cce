//! The verdict: one request and what was gathered about it in, admitted or refused out.
//!
//! [`decide`] is total: every request gets an answer, and whatever could not be found out is a refusal. What it needs
//! to know is in [`Situation`]; it looks nothing up.
//!
//! The rooms: `create` for new objects, `update` for changed ones and renewals, `delete` for deletions and evictions,
//! `subresource` for the rest; `grant` says what both sides consent to, `own` what is a master's own, `owner` which
//! references may be sent, `attempt` holds a new object against one template, `nearest` refuses it by one, `inspect` what is never admitted, `generated` fills credentials; `compiles` tells what is to be compiled first;
//! [`refusal`] words answers.

mod attempt;
mod compiles;
mod create;
mod delete;
mod generated;
mod grant;
mod inspect;
mod nearest;
mod own;
mod owner;
pub mod refusal;
mod subresource;
mod update;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use crate::budget::Budget;
use crate::caller::{Caller, Unidentified};
use crate::collectable::Rights;
use crate::library::Library;
use crate::object::{NamespacedName, ObjectRef};
use crate::request::{Operation, Request};
use crate::tables::{Facts, Form};
use crate::template::Given;

pub use compiles::{Uncompiled, uncompiled};
pub use refusal::{Cause, Refusal};

/// The steps of one review, at most ([`crate::budget`]): an object of 1 MB is held the long way against two templates with
/// them. They take less than 0.2 s of one core in a release build, what is told of a refusal included.
pub const REVIEW: u64 = 120_000_000;

/// A stored object that a verdict needs besides the request's own: the dependent whose subresource is used, the pod
/// that is evicted. Read live.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Asked {
    /// The request needs none.
    #[default]
    NotNeeded,
    /// It does not exist.
    Absent,
    /// As stored.
    Found(Box<Value>),
    /// The lookup failed, with its reason.
    Failed(String),
}

/// How much of the caller is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Identity {
    /// Verified: pod, chain and uids are real.
    #[default]
    Verified,
    /// Assumed from a name (`check --as`): uids and pod are unknown, and so are the values they give.
    Assumed,
}

/// Everything that is known when a request is judged.
#[derive(Clone, Debug)]
pub struct Situation {
    /// The API server's clock.
    pub now: Timestamp,
    /// Who asks, or why that is not known.
    pub caller: Result<Caller, Unidentified>,
    /// How much of the caller is known.
    pub identity: Identity,
    /// The compiled templates.
    pub library: Arc<Library>,
    /// Live objects that the API server's plugins use.
    pub facts: Arc<Facts>,
    /// Accounts known to be masters; no dependent's pod may run under one unless the admin says so.
    pub masters: Arc<BTreeSet<NamespacedName>>,
    /// What the collector may delete, as far as that is known.
    pub collector: Arc<Rights>,
    /// The object whose subresource is used.
    pub asked: Asked,
    /// What owns the object concerned (`old_object`, or [`Self::asked`]), nearest first, each hop checked by uid.
    pub lineage: Vec<Value>,
    /// Those owners which the request's object names that are the caller's own dependents, in the same namespace.
    pub own_dependents: Vec<ObjectRef>,
    /// Live dependents (and reservations) of the caller's workload by template ConfigMap, without the object asked for.
    pub live_dependents: BTreeMap<NamespacedName, u32>,
    /// Fresh random bytes for generated parameters.
    pub seed: [u8; 32],
    /// How the object reached us, where that is not what the phase says (`check` of a file).
    pub form: Option<Form>,
}

impl Situation {
    /// A situation in which nothing is known: every request of it is refused.
    pub fn unknown(now: Timestamp, why: Unidentified) -> Self {
        Self {
            now,
            caller: Err(why),
            identity: Identity::Verified,
            library: Arc::default(),
            facts: Arc::default(),
            masters: Arc::default(),
            collector: Arc::default(),
            asked: Asked::NotNeeded,
            lineage: Vec::new(),
            own_dependents: Vec::new(),
            live_dependents: BTreeMap::new(),
            seed: [0; 32],
            form: None,
        }
    }

    /// The values that the caller's identity gives.
    pub fn given(&self, caller: &Caller) -> BTreeMap<Given, String> {
        let mut given = BTreeMap::from([
            (Given::MasterName, caller.account.name.clone()),
            (Given::MasterNamespace, caller.account.namespace.clone()),
        ]);
        if self.identity == Identity::Verified {
            given.insert(Given::MasterUid, caller.workload().uid);
            given.insert(Given::PodName, caller.pod.name.clone());
            given.insert(Given::PodUid, caller.pod.uid.clone());
            if let Some(ip) = &caller.pod.ip {
                given.insert(Given::PodIp, ip.clone());
            }
        }
        given
    }
}

/// What a verdict was about, for events, metrics and the log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subject {
    /// The template ConfigMap.
    pub config_map: Option<NamespacedName>,
    /// The `data` key.
    pub key: Option<String>,
    /// The recovered parameters that may be shown.
    pub parameters: BTreeMap<String, Value>,
    /// The deadline.
    pub deadline: Option<Timestamp>,
}

/// Why a request is admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ground {
    /// A template describes the new object.
    Template,
    /// The update keeps to the dependent's template.
    Update,
    /// The deadline alone was moved, within the cap.
    Renewal,
    /// Nothing changes.
    Unchanged,
    /// Its own dependent is deleted or evicted.
    Own,
    /// The ConfigMap allows the subresource.
    Subresource,
}

impl Ground {
    /// For metrics, audit annotations and the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Template => "template",
            Self::Update => "update",
            Self::Renewal => "renewal",
            Self::Unchanged => "unchanged",
            Self::Own => "own",
            Self::Subresource => "subresource",
        }
    }
}

/// An admission.
#[derive(Clone, Debug, PartialEq)]
pub struct Admission {
    /// Why.
    pub ground: Ground,
    /// What changes, in the mutating phase.
    pub patch: Option<json_patch::Patch>,
    /// Audit annotations, without prefix.
    pub audit: BTreeMap<String, String>,
    /// Warnings for the caller.
    pub warnings: Vec<String>,
    /// What it was about.
    pub subject: Subject,
}

impl Admission {
    /// Without patch or subject.
    pub fn on(ground: Ground) -> Self {
        let audit =
            BTreeMap::from([("verdict".to_owned(), "admitted".to_owned()), ("ground".into(), ground.as_str().into())]);
        Self { ground, patch: None, audit, warnings: Vec::new(), subject: Subject::default() }
    }

    /// Says what it was about, in the audit annotations too.
    #[must_use]
    pub fn about(mut self, subject: Subject) -> Self {
        if let Some(config_map) = &subject.config_map {
            self.audit.insert("template".into(), template_text(config_map, subject.key.as_deref()));
        }
        if !subject.parameters.is_empty()
            && let Ok(text) = serde_json::to_string(&subject.parameters)
        {
            self.audit.insert("parameters".into(), text);
        }
        if let Some(deadline) = subject.deadline {
            self.audit.insert("expires-at".into(), deadline.to_string());
        }
        self.subject = subject;
        self
    }
}

/// `trading/post-trade job.yaml`, as messages and audit annotations name a template.
pub fn template_text(config_map: &NamespacedName, key: Option<&str>) -> String {
    key.map_or_else(|| config_map.to_string(), |key| format!("{config_map} {key}"))
}

/// Admitted or refused.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It goes on.
    Admit(Admission),
    /// It does not.
    Refuse(Refusal),
}

impl Verdict {
    /// The admission as a result, for `?`.
    fn from_result(result: Result<Admission, Refusal>) -> Self {
        match result {
            Ok(admission) => Self::Admit(admission),
            Err(refusal) => Self::Refuse(refusal),
        }
    }
}

/// Judges one request. The request is known to come from a master: the match conditions sent nobody else.
///
/// What takes more than [`REVIEW`] steps is refused with [`Cause::TooLarge`].
pub fn decide(request: &Request, situation: &Situation) -> Verdict {
    decide_within(request, situation, &Budget::of(REVIEW))
}

/// As [`decide`], or none where some of its steps went into tables of patterns that are used for the first time, and the rest
/// were not enough: the tables are kept, so it gets further when it is asked again, and comes to an end.
pub fn decide_further(request: &Request, situation: &Situation) -> Option<Verdict> {
    let budget = Budget::of(REVIEW);
    let verdict = decide_within(request, situation, &budget);
    (!budget.gets_further()).then_some(verdict)
}

/// As [`decide_further`], asked until it comes to an end: for a process in which nobody else waits.
pub fn decide_fully(request: &Request, situation: &Situation) -> Verdict {
    loop {
        if let Some(verdict) = decide_further(request, situation) {
            return verdict;
        }
    }
}

/// As [`decide`], within a budget of the caller's, which has what was not needed left.
pub fn decide_within(request: &Request, situation: &Situation, budget: &Budget) -> Verdict {
    Verdict::from_result(judge(request, situation, budget).map_err(|refusal| refusal.about_request(request)))
}

/// As [`decide`], if that takes no more than about twice these steps, and nothing that it needs is to be compiled first.
/// None where it takes more: then [`decide`] is for a thread on which nobody waits.
pub fn decide_quickly(request: &Request, situation: &Situation, steps: u64) -> Option<Verdict> {
    if compiles::compiles(request, situation) {
        return None;
    }
    let budget = Budget::of(steps);
    let verdict = decide_within(request, situation, &budget);
    (!budget.fell_short()).then_some(verdict)
}

fn judge(request: &Request, situation: &Situation, budget: &Budget) -> Result<Admission, Refusal> {
    if request.operation == Operation::Connect || request.subresource.is_some() {
        return subresource::judge(request, situation, budget);
    }
    if request.namespace.is_none() {
        return Err(Refusal::new(
            Cause::Forbidden,
            format!(
                "{} is cluster-scoped, and a master writes nothing outside namespaces; no template can allow it",
                request.kind.kind
            ),
        ));
    }
    // Deletion is judged by ownership alone: what a master owns was admitted once.
    if request.operation != Operation::Delete
        && let Some(reason) = crate::tables::forbidden(&request.kind)
    {
        return Err(Refusal::new(Cause::Forbidden, format!("{reason}; no template can allow it")));
    }
    match request.operation {
        Operation::Create => create::judge(request, situation, budget),
        Operation::Update => update::judge(request, situation, budget),
        Operation::Delete => delete::judge(request, situation),
        Operation::Connect => subresource::judge(request, situation, budget),
    }
}

/// The form of the request's object.
pub(crate) fn form(request: &Request, situation: &Situation) -> Form {
    situation.form.unwrap_or(match request.phase {
        crate::request::Phase::Mutating => Form::Mutating,
        crate::request::Phase::Validating => Form::Validating,
    })
}

/// The caller, or the refusal that says why there is none.
pub(crate) fn caller(situation: &Situation) -> Result<&Caller, Refusal> {
    situation.caller.as_ref().map_err(|why| {
        let cause = match why {
            Unidentified::Lookup { .. } => Cause::Lookup,
            _ => Cause::Identity,
        };
        Refusal::new(cause, why.to_string())
    })
}

#[cfg(test)]
#[path = "tests/mod.rs"]
mod tests;
