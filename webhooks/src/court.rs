//! One review of a master judged: gather, decide, tell; or a ConfigMap linted. Whatever fails on the way is a [`Fault`],
//! and so a refusal.
//!
//! What takes long runs away from the threads that serve ([`Workers`]): linting always, and compiling templates that are used
//! for the first time; judging where the body is large or a trial of it took too long. The rest is done at once, or in turns
//! ([`serving`]).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use policies::collectable::{self, Need, Rights};
use policies::request::{Phase, Request};
use policies::verdict::{Situation, Verdict, template_text, uncompiled};
use tokio::time::{Instant, timeout_at};

use crate::caller::DynAsking;
use crate::fault::Fault;
use crate::lint::{self, Linting};
use crate::lookups::{About, Crowded, Lookups};
use crate::metrics::Why;
use crate::review::{self, Answer, Rejected, Review};
use crate::rooms::{LARGE, Room};
use crate::sender::Sender;
use crate::serving;
use crate::shedding::Gate;
use crate::workers::{Claim, Workers};

/// How a verdict is reached: [`policies::verdict::decide_further`], or what a test puts in its place. None: not yet, ask again.
pub type Decide = Arc<dyn Fn(&Request, &Situation) -> Option<Verdict> + Send + Sync>;

/// How a verdict is reached within so many steps, or that they are not enough: [`policies::verdict::decide_quickly`].
pub type DecideQuickly = Arc<dyn Fn(&Request, &Situation, u64) -> Option<Verdict> + Send + Sync>;

/// Until when, and how long that was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    pub(crate) at: Instant,
    pub(crate) time: Duration,
}

/// The most steps that are tried on a thread that serves: about a millisecond. What takes more begins anew elsewhere.
const INLINE: u64 = 1_000_000;
/// What parsing and judging a byte is expected to take, nanoseconds. What it took is charged afterwards.
const BYTE: u64 = 20;
/// What parsing and judging a small review takes beside, nanoseconds.
const SMALL: u64 = 50_000;
/// What linting is expected to take, nanoseconds. Nothing is known of it before.
const LINT: u64 = 10_000_000;

/// An answer with what the log and the metrics say of it.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) answer: Answer,
    pub(crate) why: Option<Why>,
    pub(crate) template: Option<String>,
}

/// A body whose turn it is, from whom, with the room that it holds until all work on it is over.
#[derive(Clone)]
pub(crate) struct Sent {
    /// Empty once it is parsed.
    pub(crate) body: Bytes,
    /// Bytes of the body.
    pub(crate) size: usize,
    pub(crate) room: Arc<Room>,
    pub(crate) sender: Sender,
    pub(crate) deadline: Deadline,
}

/// Who judges.
pub(crate) struct Court {
    pub(crate) asking: Box<dyn DynAsking>,
    pub(crate) linting: Box<dyn Linting>,
    pub(crate) decide: Decide,
    pub(crate) quickly: DecideQuickly,
    pub(crate) gate: Gate,
    pub(crate) judges: Workers,
    pub(crate) lints: Workers,
    pub(crate) lookups: Lookups,
}

/// A ConfigMap that was read, without its objects.
pub(crate) struct Linted {
    pub(crate) request: Request,
    name: Option<String>,
    found: policies::lint::Linted,
}

impl Court {
    /// Parses a review of a master.
    pub(crate) async fn parse(&self, phase: Phase, sent: &Sent) -> Result<Result<Review, Rejected>, Fault> {
        let path = || sent.sender.review(review::claims(&sent.body).username);
        if sent.size < LARGE {
            serving::turn(path, sent.cost().saturating_add(SMALL), sent.deadline).await?;
            return guarded(|| review::parse(phase, &sent.body));
        }
        let path = path();
        let Sent { body, room, deadline, .. } = sent.clone();
        let work = move |_: &Claim| {
            let _room = room;
            review::parse(phase, &body)
        };
        self.judges.run(path, sent.cost(), deadline, work).await
    }

    /// Judges a master's request.
    pub(crate) async fn judge(self: &Arc<Self>, request: Request, sent: &Sent) -> Result<Judged, Fault> {
        let Deadline { at, time } = sent.deadline;
        let path = sent.sender.review(&request.user.username);
        let lookups = self.lookups.of(path);
        let gathering = AssertUnwindSafe(async { self.asking.gather(&request, &lookups).await }).catch_unwind();
        let situation = match timeout_at(at, gathering).await {
            Err(_) => return Err(Fault::Deadline(time)),
            Ok(Err(_)) => return Err(Fault::Panicked),
            Ok(Ok(gathered)) => gathered?,
        };
        let mut pending = Pending { court: Arc::clone(self), settled: request.dry_run, request, situation };
        // Templates that are used for the first time: no other judging waits while large ones are compiled.
        while let Some(uncompiled) = uncompiled(&pending.request, &pending.situation) {
            let room = Arc::clone(&sent.room);
            let work = move |_: &Claim| {
                let _room = room;
                uncompiled.compile();
            };
            self.lints.run(path, LINT, sent.deadline, work).await?;
        }
        let mut tried = Duration::ZERO;
        if sent.size < LARGE {
            let began = std::time::Instant::now();
            let quickly = guarded(|| (self.quickly)(&pending.request, &pending.situation, INLINE))?;
            if let Some(verdict) = quickly {
                return guarded(|| Ok(pending.give(verdict)))?;
            }
            // It takes at least as long again.
            tried = began.elapsed();
        }
        let cost = sent.cost().saturating_add(u64::try_from(tried.as_nanos()).unwrap_or(u64::MAX));
        loop {
            let room = Arc::clone(&sent.room);
            let work = move |claim: &Claim| {
                let _room = room;
                pending.judge(claim, time)
            };
            // Others have their turn in between.
            match self.judges.run(path, cost, sent.deadline, work).await?? {
                Ok(judged) => return Ok(judged),
                Err(unfinished) => pending = *unfinished,
            }
        }
    }

    /// Reads a ConfigMap.
    pub(crate) async fn read(self: &Arc<Self>, sent: &Sent) -> Result<Result<Linted, Rejected>, Fault> {
        let claims = review::claims(&sent.body);
        let path = sent.sender.path(claims.namespace, claims.username);
        let Sent { body, room, deadline, .. } = sent.clone();
        let court = Arc::clone(self);
        let work = move |_: &Claim| {
            let _room = room;
            let Review { mut request, .. } = review::parse(Phase::Validating, &body)?;
            let found = lint::template_config_map(&request).map(|config_map| court.linting.read(config_map));
            let name = lint::name(&request).map(str::to_owned);
            // Dropping them takes its time too.
            (request.object, request.old_object, request.options) = (None, None, None);
            Ok(Linted { request, name, found: found.unwrap_or_default() })
        };
        self.lints.run(path, LINT, deadline, work).await
    }

    /// Judges a ConfigMap that was read.
    pub(crate) async fn lint(&self, linted: Linted, sent: &Sent) -> Result<Judged, Fault> {
        let Linted { request, name, mut found } = linted;
        let namespace = request.namespace.as_deref().unwrap_or_default();
        let lookups = self.lookups.of(sent.sender.path(namespace, &request.user.username));
        let rights = self.rights(&found.needs, &lookups, sent.deadline).await?;
        found.problems.extend(collectable::problems(&found.needs, &rights));
        let answer = lint::answer(name.as_deref(), &found.problems);
        let why = (!answer.allowed()).then_some(Why::LINT);
        Ok(Judged { answer, why, template: None })
    }

    /// Asks what the collector may, as long as there is time: an admin is kept from nothing because it could not be asked.
    async fn rights(&self, needs: &[Need], lookups: &Lookups, deadline: Deadline) -> Result<Rights, Fault> {
        if needs.is_empty() {
            return Ok(Rights::default());
        }
        let asking = AssertUnwindSafe(async {
            let _turn = lookups.turn(About::Linted).await?;
            Ok(self.linting.ask(needs).await)
        });
        match timeout_at(deadline.at, asking.catch_unwind()).await {
            Err(_) => Ok(Rights::unknown(needs, "no answer in time")),
            Ok(Err(_)) => Err(Fault::Panicked),
            Ok(Ok(Err(Crowded))) => Ok(Rights::unknown(needs, "too much is asked at once")),
            Ok(Ok(Ok(rights))) => Ok(rights),
        }
    }
}

impl Sent {
    /// What work on this body is expected to take, nanoseconds.
    fn cost(&self) -> u64 {
        (self.size as u64).saturating_mul(BYTE)
    }
}

/// Does `work` here, so that a panic in it is a fault and the process lives.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, Fault> {
    // What `work` leaves half done is dropped with it: it owns what it changes.
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| Fault::Panicked)
}

/// A request with its situation, until its verdict is given. What gathering reserved is released if none is.
struct Pending {
    court: Arc<Court>,
    request: Request,
    situation: Situation,
    /// Nothing is to be told any more.
    settled: bool,
}

impl Pending {
    /// Decides, and tells if the answer is still wanted; gives itself back where that takes more than one turn.
    fn judge(self, claim: &Claim, time: Duration) -> Result<Result<Judged, Box<Self>>, Fault> {
        match (self.court.decide)(&self.request, &self.situation) {
            None => Ok(Err(Box::new(self))),
            Some(verdict) if claim.take() => Ok(Ok(self.give(verdict))),
            Some(_) => Err(Fault::Deadline(time)),
        }
    }

    /// Tells of a verdict that is given.
    fn give(mut self, verdict: Verdict) -> Judged {
        // A dry run changes nothing, not even what we count and remember.
        if !self.request.dry_run {
            self.court.asking.tell(&self.request, &self.situation, &verdict);
        }
        self.settled = true;
        let (why, config_map, key) = match &verdict {
            Verdict::Admit(admission) => (None, &admission.subject.config_map, &admission.subject.key),
            Verdict::Refuse(refusal) => (Some(refusal.cause.into()), &refusal.config_map, &refusal.key),
        };
        let template = config_map.as_ref().map(|config_map| template_text(config_map, key.as_deref()));
        Judged { answer: Answer::of(verdict, self.request.phase), why, template }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.settled {
            self.court.asking.dropped(&self.request, &self.situation);
        }
    }
}
