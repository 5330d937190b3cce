//! One review of a master judged: gather, decide, tell. Whatever fails on the way is a [`Fault`], and so a refusal.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use policies::collectable::{self, Need, Rights};
use policies::request::Request;
use policies::verdict::{Situation, Verdict, template_text};
use tokio::time::{Instant, timeout_at};

use crate::caller::DynAsking;
use crate::fault::Fault;
use crate::lint::{self, Linting};
use crate::metrics::Why;
use crate::review::Answer;
use crate::shedding::Gate;

/// How a verdict is reached: [`policies::verdict::decide`], or what a test puts in its place.
pub type Decide = Arc<dyn Fn(&Request, &Situation) -> Verdict + Send + Sync>;

/// Until when, and how long that was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    pub(crate) at: Instant,
    pub(crate) time: Duration,
}

/// Where it runs: small reviews on the thread that serves them, large ones away from it, a bounded number at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    Small,
    Large,
}

/// An answer with what the log and the metrics say of it.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) answer: Answer,
    pub(crate) why: Option<Why>,
    pub(crate) template: Option<String>,
}

/// Who judges.
pub(crate) struct Court {
    pub(crate) asking: Box<dyn DynAsking>,
    pub(crate) linting: Box<dyn Linting>,
    pub(crate) decide: Decide,
    pub(crate) gate: Gate,
}

impl Court {
    /// Judges a master's request.
    pub(crate) async fn judge(
        self: &Arc<Self>,
        request: Request,
        size: Size,
        deadline: Deadline,
    ) -> Result<Judged, Fault> {
        let gathering = AssertUnwindSafe(async { self.asking.gather(&request).await }).catch_unwind();
        let situation = match timeout_at(deadline.at, gathering).await {
            Err(_) => return Err(Fault::Deadline(deadline.time)),
            Ok(Err(_)) => return Err(Fault::Panicked),
            Ok(Ok(gathered)) => gathered?,
        };
        self.guarded(size, deadline, move |court| {
            let verdict = (court.decide)(&request, &situation);
            // A dry run changes nothing, not even what we count and remember.
            if !request.dry_run {
                court.asking.tell(&request, &situation, &verdict);
            }
            let (why, config_map, key) = match &verdict {
                Verdict::Admit(admission) => (None, &admission.subject.config_map, &admission.subject.key),
                Verdict::Refuse(refusal) => (Some(refusal.cause.into()), &refusal.config_map, &refusal.key),
            };
            let template = config_map.as_ref().map(|config_map| template_text(config_map, key.as_deref()));
            Judged { answer: Answer::of(verdict, request.phase), why, template }
        })
        .await
    }

    /// Judges a ConfigMap.
    pub(crate) async fn lint(
        self: &Arc<Self>,
        request: Request,
        size: Size,
        deadline: Deadline,
    ) -> Result<Judged, Fault> {
        let read = self.guarded(size, deadline, move |court| {
            let linted = lint::template_config_map(&request).map(|config_map| court.linting.read(config_map));
            (request, linted.unwrap_or_default())
        });
        let (request, mut linted) = read.await?;
        let rights = self.rights(&linted.needs, deadline).await?;
        linted.problems.extend(collectable::problems(&linted.needs, &rights));
        let answer = lint::answer(&request, &linted.problems);
        let why = (!answer.allowed()).then_some(Why::LINT);
        Ok(Judged { answer, why, template: None })
    }

    /// Asks what the collector may, as long as there is time: an admin is kept from nothing because it could not be asked.
    async fn rights(&self, needs: &[Need], deadline: Deadline) -> Result<Rights, Fault> {
        if needs.is_empty() {
            return Ok(Rights::default());
        }
        let asking = AssertUnwindSafe(async { self.linting.ask(needs).await }).catch_unwind();
        match timeout_at(deadline.at, asking).await {
            Err(_) => Ok(Rights::unknown(needs, "no answer in time")),
            Ok(rights) => rights.map_err(|_| Fault::Panicked),
        }
    }

    /// Runs `work` so that a panic in it is a fault and the process lives.
    pub(crate) async fn guarded<T: Send + 'static>(
        self: &Arc<Self>,
        size: Size,
        deadline: Deadline,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, Fault> {
        let court = Arc::clone(self);
        // What `work` leaves half done is dropped with it: it owns what it changes.
        let work = move || catch_unwind(AssertUnwindSafe(|| work(&court))).map_err(|_| Fault::Panicked);
        if size == Size::Small {
            return work();
        }
        let turn = match timeout_at(deadline.at, Arc::clone(&self.gate.at_work).acquire_owned()).await {
            Ok(Ok(turn)) => turn,
            Ok(Err(_)) | Err(_) => return Err(Fault::Deadline(deadline.time)),
        };
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        done.await.unwrap_or(Err(Fault::Panicked))
    }
}
