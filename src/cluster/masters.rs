//! Which accounts are masters, by asking the API server who may `launch`.
//!
//! No pod of a dependent may run under a master's account unless its template's author says so, or a master could
//! make itself another one. What is asked about is every account of the namespaces in which templates make things,
//! when they are loaded, when an account appears, and again once a minute; never a name that a caller sent. An API server
//! that does not answer for a moment makes no master of an account that was none: the last answer stands a minute more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use kube::Client;
use policies::keys;
use policies::object::NamespacedName;
use tokio::sync::watch;

use super::client::READ_DEADLINE;
use super::facts::LiveFacts;
use super::reviews::{self, Deed, User};
use super::templates::Templates;
use super::watch::STALE_AFTER;

/// How old an answer may be before the account is asked about again: a new grant of `launch` is known within it.
const REFRESH: Duration = Duration::from_secs(60);
/// How old an answer may be that stands because the account could not be asked about again.
const OLDEST: Duration = REFRESH.saturating_add(STALE_AFTER);
/// How long until a question that failed is asked again.
const RETRY: Duration = Duration::from_secs(2);
/// How many questions are asked at once.
const AT_ONCE: usize = 8;

/// What is known at one instant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The accounts that are masters, or of which it could not be found out.
    pub masters: Arc<BTreeSet<NamespacedName>>,
    /// The namespaces whose accounts were asked about.
    pub namespaces: BTreeSet<String>,
}

/// Which accounts are masters.
#[derive(Debug)]
pub struct MasterAccounts {
    known: watch::Sender<Option<Known>>,
}

impl Default for MasterAccounts {
    fn default() -> Self {
        Self { known: watch::Sender::new(None) }
    }
}

/// One account's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Master,
    Ordinary,
    /// Counts as a master until it is known.
    Unknown,
}

impl MasterAccounts {
    /// What is known once it covers `namespace` (none: once anything is known).
    ///
    /// # Errors
    /// When that takes longer than a live read may.
    pub async fn covering(&self, namespace: Option<&str>) -> Result<Arc<BTreeSet<NamespacedName>>, NotKnown> {
        let covers = |known: &Option<Known>| {
            known.as_ref().is_some_and(|known| namespace.is_none_or(|namespace| known.namespaces.contains(namespace)))
        };
        let masters =
            |known: &Option<Known>| known.as_ref().map(|known| Arc::clone(&known.masters)).unwrap_or_default();
        // Nearly always known: then there is nothing to subscribe to.
        {
            let known = self.known.borrow();
            if covers(&known) {
                return Ok(masters(&known));
            }
        }
        let mut changes = self.known.subscribe();
        match tokio::time::timeout(READ_DEADLINE, changes.wait_for(covers)).await {
            Ok(Ok(known)) => Ok(masters(&known)),
            _ => Err(NotKnown),
        }
    }

    /// These are the masters of these namespaces.
    pub(crate) fn still(masters: BTreeSet<NamespacedName>, namespaces: BTreeSet<String>) -> Self {
        Self { known: watch::Sender::new(Some(Known { masters: Arc::new(masters), namespaces })) }
    }

    /// Whether anything is known yet.
    pub fn ready(&self) -> bool {
        self.known.borrow().is_some()
    }

    /// Asks, for ever.
    pub(crate) async fn run(self: Arc<Self>, client: Client, templates: Arc<Templates>, facts: Arc<LiveFacts>) {
        let mut library = templates.changes();
        let mut accounts = facts.accounts();
        let mut answers: BTreeMap<NamespacedName, (Answer, Instant)> = BTreeMap::new();
        loop {
            library.mark_unchanged();
            let there = accounts.borrow_and_update().clone();
            if templates.snapshot().is_ok() && facts.knows_accounts() {
                let namespaces = templates.last().namespaces.clone();
                let concerned: Vec<NamespacedName> =
                    there.iter().filter(|account| namespaces.contains(&account.namespace)).cloned().collect();
                let due: Vec<NamespacedName> =
                    concerned.iter().filter(|account| is_due(answers.get(account))).cloned().collect();
                let asked = futures::stream::iter(due)
                    .map(|account| async {
                        let answer = ask(&client, &account).await;
                        (account, answer)
                    })
                    .buffer_unordered(AT_ONCE)
                    .collect::<Vec<_>>()
                    .await;
                let now = Instant::now();
                for (account, answer) in asked {
                    let stands = standing(answers.get(&account).copied(), answer, now);
                    answers.insert(account, stands);
                }
                answers.retain(|account, _| concerned.contains(account));
                let masters = answers.iter().filter(|(_, (answer, _))| *answer != Answer::Ordinary);
                let masters = Arc::new(masters.map(|(account, _)| account.clone()).collect());
                self.known.send_replace(Some(Known { masters, namespaces }));
            }
            tokio::select! {
                changed = library.changed() => if changed.is_err() { return },
                changed = accounts.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(RETRY) => {}
            }
        }
    }
}

/// It is not known yet which accounts are masters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not known yet which accounts are masters")]
pub struct NotKnown;

fn is_due(answer: Option<&(Answer, Instant)>) -> bool {
    match answer {
        None | Some((Answer::Unknown, _)) => true,
        Some((_, at)) => at.elapsed() > REFRESH,
    }
}

/// What counts after an account was asked about: the answer, or the one `before` where there was none and that is not
/// too old.
fn standing(before: Option<(Answer, Instant)>, answer: Answer, now: Instant) -> (Answer, Instant) {
    match before {
        Some((known, at))
            if answer == Answer::Unknown && known != Answer::Unknown && now.duration_since(at) <= OLDEST =>
        {
            (known, at)
        }
        _ => (answer, now),
    }
}

async fn ask(client: &Client, account: &NamespacedName) -> Answer {
    match may(client, account, "launch").await {
        Ok(false) => Answer::Ordinary,
        Ok(true) => match may(client, account, keys::NO_VERB).await {
            Ok(false) => Answer::Master,
            Ok(true) => Answer::Ordinary,
            Err(reason) => unknown(account, &reason),
        },
        Err(reason) => unknown(account, &reason),
    }
}

fn unknown(account: &NamespacedName, reason: &str) -> Answer {
    tracing::warn!(%account, reason, "could not find out whether an account is a master; it counts as one, unless it was known to be none a minute ago");
    Answer::Unknown
}

/// Whether `account` may use `verb` on `dependents.fledged.io` in its own namespace.
async fn may(client: &Client, account: &NamespacedName, verb: &str) -> Result<bool, String> {
    let deed = Deed { group: keys::GROUP, resource: "dependents", verb, namespace: Some(&account.namespace) };
    reviews::allowed(&reviews::review(client, &User::of_account(account), &deed).await?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_not_covered_yet_is_waited_for_and_then_an_error() {
        let accounts = Arc::new(MasterAccounts::default());
        assert_eq!(accounts.covering(None).await, Err(NotKnown));
        accounts.known.send_replace(Some(Known::default()));
        assert!(accounts.covering(None).await.is_ok());
        assert_eq!(accounts.covering(Some("trading")).await, Err(NotKnown));
        let waiting = tokio::spawn({
            let accounts = Arc::clone(&accounts);
            async move { accounts.covering(Some("trading")).await }
        });
        tokio::task::yield_now().await;
        let eod = NamespacedName::new("trading", "eod");
        accounts.known.send_replace(Some(Known {
            masters: Arc::new([eod.clone()].into()),
            namespaces: ["trading".to_owned()].into(),
        }));
        assert_eq!(*waiting.await.unwrap().unwrap(), [eod].into());
    }

    #[test]
    fn a_question_that_fails_once_makes_no_master_of_an_account_that_was_none_a_minute_ago() {
        let at = Instant::now();
        let later = |seconds| at + Duration::from_secs(seconds);
        let ordinary = Some((Answer::Ordinary, at));
        // It keeps its age: it is asked about again, and does not stand for ever.
        assert_eq!(standing(ordinary, Answer::Unknown, later(61)), (Answer::Ordinary, at));
        assert_eq!(standing(ordinary, Answer::Unknown, later(120)), (Answer::Ordinary, at));
        assert_eq!(standing(ordinary, Answer::Unknown, later(121)), (Answer::Unknown, later(121)));
        assert_eq!(standing(ordinary, Answer::Master, later(61)), (Answer::Master, later(61)));
        assert_eq!(standing(Some((Answer::Master, at)), Answer::Unknown, later(61)), (Answer::Master, at));
        assert_eq!(standing(None, Answer::Unknown, at), (Answer::Unknown, at));
        assert_eq!(standing(Some((Answer::Unknown, at)), Answer::Unknown, later(2)), (Answer::Unknown, later(2)));
    }

    #[test]
    fn an_answer_is_asked_for_again_after_a_minute_and_one_that_failed_at_once() {
        let now = Instant::now();
        assert!(is_due(None));
        assert!(is_due(Some(&(Answer::Unknown, now))));
        assert!(!is_due(Some(&(Answer::Master, now))));
        assert!(is_due(Some(&(Answer::Ordinary, now - REFRESH - Duration::from_secs(1)))));
    }
}
