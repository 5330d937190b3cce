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
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kube::Client;
use policies::caller::{Caller, Unidentified};
use policies::object::ObjectRef;
use policies::request::User;

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

/// A caller's place: whoever holds it looks, the others wait for what is found.
type Place = Arc<tokio::sync::Mutex<Option<Known>>>;

/// Finds out who asks.
#[derive(Debug)]
pub struct Callers<R> {
    reads: R,
    known: Mutex<HashMap<Token, Place>>,
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
        let places = callers.map(|(token, caller)| (token, Arc::new(tokio::sync::Mutex::new(Some(known(caller))))));
        Self { reads, known: Mutex::new(places.collect()) }
    }

    /// The verified caller, as of less than [`FRESH`] ago.
    ///
    /// # Errors
    /// When it cannot be told who asks.
    pub async fn identify(&self, user: &User) -> Result<Caller, Unidentified> {
        let token = Token::of(user)?;
        let place = self.place(&token);
        let mut known = place.lock().await;
        if let Some(known) = &*known
            && known.since.elapsed() < FRESH
        {
            return Ok(known.caller.clone());
        }
        let hints = known.as_ref().map(|known| known.chain.clone()).unwrap_or_default();
        let since = Instant::now();
        match chain::climb(&self.reads, &token, &hints).await {
            Ok(caller) => {
                *known = Some(Known { since, chain: caller.chain.clone(), caller: caller.clone() });
                Ok(caller)
            }
            Err(why) => {
                *known = None;
                Err(why)
            }
        }
    }

    fn place(&self, token: &Token) -> Place {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED && !known.contains_key(token) {
            // Whoever is being looked up now is kept, the others are found again by a look.
            known.retain(|_, place| Arc::strong_count(place) > 1);
        }
        Arc::clone(known.entry(token.clone()).or_default())
    }
}

#[cfg(test)]
mod tests;
