//! Who asks: bound token → live pod → owner chain, each hop verified.
//!
//! First sight is a live read. An answer whose reads began less than [`FRESH`] ago is used again, so that both phases
//! of one create, and a burst of them, cost one look; nothing older ever is. After the first look, pod and chain are
//! read all at once, since where the chain led last time says what to read.
//!
//! The rooms: [`token`] reads the user's extras; [`chain`] climbs from the pod to its workload.

pub mod chain;
pub mod token;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kube::Client;
use policies::caller::{Caller, Unidentified};
use policies::object::ObjectRef;
use policies::request::User;
use webhooks::{About, Lookups};

use super::client::{Detail, LookupError, read};
use chain::Reads;
use token::Token;

/// How old what is known of a caller may be (design, section 2).
pub const FRESH: Duration = Duration::from_secs(1);
/// How many callers are remembered; a remembered one is about 2 KB.
const REMEMBERED: usize = 2_048;

/// What is remembered of a caller.
#[derive(Debug)]
struct Known {
    /// When the reads began.
    since: Instant,
    caller: Caller,
    /// What was above the pod: where to look the next time, never what to believe.
    chain: Vec<ObjectRef>,
}

/// A caller's place.
#[derive(Debug, Default)]
struct Place {
    /// Whether it was verified once.
    verified: AtomicBool,
    /// Whoever holds it looks, the others wait for what is found.
    known: tokio::sync::Mutex<Option<Known>>,
}

/// Finds out who asks.
#[derive(Debug)]
pub struct Callers<R> {
    reads: R,
    known: Mutex<HashMap<Token, Arc<Place>>>,
}

/// Reads from the API server.
#[derive(Clone)]
pub struct Live(pub Client);

impl Reads for Live {
    async fn read(&self, what: &str, path: &str) -> Result<Option<serde_json::Value>, LookupError> {
        read(&self.0, what, path, Detail::Whole).await
    }
}

impl<R: Reads> Callers<R> {
    /// Remembers nobody yet.
    pub fn new(reads: R) -> Self {
        Self { reads, known: Mutex::default() }
    }

    /// Remembers these callers, as if the reads about them began at `fresh`.
    pub(crate) fn still(reads: R, callers: impl Iterator<Item = (Token, Caller)>, fresh: Instant) -> Self {
        let known = |caller: Caller| Known { since: fresh, chain: caller.chain.clone(), caller };
        let place = |caller: Caller| Place { verified: true.into(), known: Some(known(caller)).into() };
        let places = callers.map(|(token, caller)| (token, Arc::new(place(caller))));
        Self { reads, known: Mutex::new(places.collect()) }
    }

    /// The verified caller, as of less than [`FRESH`] ago.
    ///
    /// # Errors
    /// When it cannot be told who asks.
    pub async fn identify(&self, user: &User, lookups: &Lookups) -> Result<Caller, Unidentified> {
        let token = Token::of(user)?;
        let before = self.remembered(&token);
        if let Some(caller) = before.as_ref().and_then(|place| fresh(place.known.try_lock().ok()?.as_ref())) {
            return Ok(caller);
        }
        let verified = before.is_some_and(|place| place.verified.load(Ordering::Relaxed));
        let about = if verified { About::Verified } else { About::Unknown };
        // First a turn, then the place: nobody waits for a look that waits in another's queue.
        let turn = lookups.turn(about).await.map_err(|crowded| Unidentified::Lookup {
            what: format!("pod {}", token.pod_name()),
            reason: crowded.to_string(),
        })?;
        let found = self.look(&token).await;
        if !verified && found.as_ref().is_err_and(is_nobody) {
            turn.found_nobody();
        }
        found
    }

    async fn look(&self, token: &Token) -> Result<Caller, Unidentified> {
        let place = self.place(token);
        let mut known = place.known.lock().await;
        if let Some(caller) = fresh(known.as_ref()) {
            return Ok(caller);
        }
        let hints = known.as_ref().map(|known| known.chain.clone()).unwrap_or_default();
        let since = Instant::now();
        match chain::climb(&self.reads, token, &hints).await {
            Ok(caller) => {
                place.verified.store(true, Ordering::Relaxed);
                *known = Some(Known { since, chain: caller.chain.clone(), caller: caller.clone() });
                Ok(caller)
            }
            Err(why) => {
                *known = None;
                if is_nobody(&why) {
                    place.verified.store(false, Ordering::Relaxed);
                }
                if !place.verified.load(Ordering::Relaxed) {
                    self.forget(token, &place);
                }
                Err(why)
            }
        }
    }

    fn remembered(&self, token: &Token) -> Option<Arc<Place>> {
        self.lock().get(token).cloned()
    }

    /// Who is nobody takes no place from those who are somebody.
    fn forget(&self, token: &Token, place: &Arc<Place>) {
        let mut known = self.lock();
        if known.get(token).is_some_and(|kept| Arc::ptr_eq(kept, place)) {
            known.remove(token);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Token, Arc<Place>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self, token: &Token) -> Arc<Place> {
        let mut known = self.lock();
        if known.len() >= REMEMBERED && !known.contains_key(token) {
            // Whoever is being looked up now is kept, the others are found again by a look.
            known.retain(|_, place| Arc::strong_count(place) > 1);
        }
        Arc::clone(known.entry(token.clone()).or_default())
    }
}

/// Whether it is known that there is no such caller, and not only unknown who it is.
fn is_nobody(why: &Unidentified) -> bool {
    !matches!(why, Unidentified::Lookup { .. })
}

/// What is known, where that is fresh.
fn fresh(known: Option<&Known>) -> Option<Caller> {
    known.filter(|known| known.since.elapsed() < FRESH).map(|known| known.caller.clone())
}

#[cfg(test)]
mod tests;
