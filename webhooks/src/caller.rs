//! Who asks, behind a trait: the binary gathers from watches and live reads, tests from a table.

use std::future::Future;
use std::time::Duration;

use futures::future::BoxFuture;
use policies::request::Request;
use policies::verdict::{Situation, Verdict};

use crate::lookups::Lookups;

/// Gathers what a verdict needs to know, and tells what became of it.
pub trait Asking: Send + Sync + 'static {
    /// Everything about this request that is not in it. A caller that cannot be identified is no error: it is part of
    /// the situation, and refused by the verdict. An error here is a refusal too, never a skip.
    ///
    /// Each lookup waits for its turn and has its own deadline; the server puts one around the whole.
    fn gather(
        &self,
        request: &Request,
        lookups: &Lookups,
    ) -> impl Future<Output = Result<Situation, GatherError>> + Send;

    /// What was decided: events, accounting. Called once per verdict that is given, before the answer leaves, never for a
    /// dry run, and on a thread that need not know tokio; it must not block. If it panics, the request is refused.
    fn tell(&self, request: &Request, situation: &Situation, verdict: &Verdict);

    /// No verdict is given although [`Self::gather`] succeeded: the deadline passed, deciding or telling panicked, too much
    /// waits, or nobody listens any more. Whatever gathering reserved is to be released. Called instead of
    /// [`Self::tell`], or after it if that panicked; never for a dry run. It must neither block nor panic.
    fn dropped(&self, request: &Request, situation: &Situation) {
        let _ = (request, situation);
    }
}

/// What is shared with background tasks asks as well.
impl<A: Asking> Asking for std::sync::Arc<A> {
    fn gather(
        &self,
        request: &Request,
        lookups: &Lookups,
    ) -> impl Future<Output = Result<Situation, GatherError>> + Send {
        A::gather(self, request, lookups)
    }

    fn tell(&self, request: &Request, situation: &Situation, verdict: &Verdict) {
        A::tell(self, request, situation, verdict);
    }

    fn dropped(&self, request: &Request, situation: &Situation) {
        A::dropped(self, request, situation);
    }
}

/// Why the situation could not be gathered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GatherError {
    /// What is known is too old to judge by.
    #[error("{what} was last known to be true {age:?} ago, longer than the {bound:?} that retinue trusts")]
    Stale {
        /// Which snapshot.
        what: String,
        /// How old it is.
        age: Duration,
        /// How old it may be.
        bound: Duration,
    },
    /// A lookup took too long.
    #[error("looking up {what} took longer than {after:?}")]
    Slow {
        /// What was looked up.
        what: String,
        /// The lookup's deadline.
        after: Duration,
    },
    /// A lookup failed.
    #[error("could not look up {what}: {reason}")]
    Lookup {
        /// What was looked up.
        what: String,
        /// Why it failed.
        reason: String,
    },
}

/// [`Asking`] as an object, so that the server is one type.
pub(crate) trait DynAsking: Send + Sync {
    fn gather<'a>(
        &'a self,
        request: &'a Request,
        lookups: &'a Lookups,
    ) -> BoxFuture<'a, Result<Situation, GatherError>>;
    fn tell(&self, request: &Request, situation: &Situation, verdict: &Verdict);
    fn dropped(&self, request: &Request, situation: &Situation);
}

impl<A: Asking> DynAsking for A {
    fn gather<'a>(
        &'a self,
        request: &'a Request,
        lookups: &'a Lookups,
    ) -> BoxFuture<'a, Result<Situation, GatherError>> {
        Box::pin(Asking::gather(self, request, lookups))
    }

    fn tell(&self, request: &Request, situation: &Situation, verdict: &Verdict) {
        Asking::tell(self, request, situation, verdict);
    }

    fn dropped(&self, request: &Request, situation: &Situation) {
        Asking::dropped(self, request, situation);
    }
}
