//! What the collector may delete, by asking the API server about its account: for a template ConfigMap that is applied,
//! and for the kinds of those that are loaded.
//!
//! About loaded ones it is asked when they are loaded, when a right or a custom kind changes ([`occasions`]), and once a
//! minute, as about masters: an authorizer may change its mind without a word. Verdicts go by what is known and wait for
//! nothing; only a right that is known to be missing refuses, and what was known stands until there is another answer.

mod occasions;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures::StreamExt;
use futures::future::try_join_all;
use kube::Client;
use policies::collectable::{Known, Need, Rights, VERBS};
use policies::library::Library;
use policies::object::{Gvk, NamespacedName};
use serde_json::Value;
use tokio::sync::{OnceCell, mpsc};
use tokio::time::{Instant, timeout_at};

use crate::collector::again::{Again, Look};
use crate::deploy::CONTROLLER;

use super::callers::token::account;
use super::client::{Served, served};
use super::reviews::{self, Deed, User};
use super::templates::Templates;

/// How long asking about one ConfigMap, or about the loaded templates once, may take: less than a review has.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many kinds are asked about at once.
const AT_ONCE: usize = 8;
/// Of how many namespaces it is asked where a right is not given for all: of the others nothing is known.
const NAMESPACES: usize = 100;
/// How old what is known may be.
const REFRESH: Duration = Duration::from_secs(60);
/// Looks after a change. Nothing says when every authorizer has heard of it.
static LOOKS: [Duration; 3] = [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(5)];
/// However much changes, this apart on average, so many in a row.
const SPACING: Duration = Duration::from_secs(5);
const BURST: u32 = 12;
/// Occasions that may wait; one is as good as many.
const WAITING: usize = 8;

/// Whose rights the collector has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collector {
    /// Those of the controller's account, in the namespace of our own account.
    Controller,
    /// Ours: it runs in this process.
    Ourselves,
}

/// What the collector may delete.
#[derive(Debug)]
pub struct Collectable {
    /// None: it is not asked, and nothing is said.
    collector: Option<Collector>,
    user: OnceCell<User>,
    known: ArcSwap<Rights>,
}

/// Kinds, and where they may be made.
type Wanted = BTreeMap<Gvk, BTreeSet<String>>;

impl Collectable {
    /// Nothing is known yet.
    pub fn new(collector: Option<Collector>) -> Self {
        Self { collector, user: OnceCell::new(), known: ArcSwap::default() }
    }

    /// What is known about the kinds of the loaded templates.
    pub fn known(&self) -> Arc<Rights> {
        self.known.load_full()
    }

    /// Asks now.
    pub async fn ask(&self, client: &Client, needs: &[Need]) -> Rights {
        if self.collector.is_none() {
            return Rights::default();
        }
        let wanted: Vec<_> = needs.iter().map(|need| (&*need.kind, &*need.namespaces)).collect();
        match self.look(client, &wanted).await {
            Ok(rights) => rights,
            Err(reason) => Rights::unknown(needs, &reason),
        }
    }

    /// Keeps what is known true, for ever.
    pub(crate) async fn run(self: Arc<Self>, client: Client, templates: Arc<Templates>) {
        if self.collector.is_none() {
            return std::future::pending().await;
        }
        let (out, mut occasions) = mpsc::channel(WAITING);
        tokio::join!(occasions::attend(client.clone(), out), async {
            let mut library = templates.changes();
            let mut looks = Again::new(&LOOKS, SPACING, BURST);
            let mut asked = Wanted::new();
            let mut refresh = Instant::now() + REFRESH;
            loop {
                library.mark_unchanged();
                let wanted = wanted(&templates.last().library);
                asked.retain(|kind, _| wanted.contains_key(kind));
                let now = Instant::now();
                let all = looks.due().is_some_and(|due| due <= now);
                if all {
                    looks.begin(now);
                    refresh = now + REFRESH;
                }
                let due: Vec<_> =
                    wanted.iter().filter(|(kind, places)| all || asked.get(*kind) != Some(*places)).collect();
                let answered = due.is_empty() || self.learn(&client, &due, &wanted).await;
                asked.extend(due.into_iter().map(|(kind, places)| (kind.clone(), places.clone())));
                let now = Instant::now();
                if all {
                    looks.end(now, if answered { Look::Open } else { Look::Failed });
                } else if !answered {
                    looks.changed(now);
                }
                tokio::select! {
                    changed = library.changed() => if changed.is_err() { return },
                    Some(()) = occasions.recv() => looks.changed(Instant::now()),
                    () = tokio::time::sleep_until(looks.due().unwrap_or(refresh)) => looks.once(Instant::now()),
                }
            }
        });
    }

    /// Asks about what is due, and publishes what is known now of all that is wanted. Says whether everything was
    /// answered.
    async fn learn(&self, client: &Client, due: &[(&Gvk, &BTreeSet<String>)], wanted: &Wanted) -> bool {
        let found = match self.look(client, due).await {
            Ok(found) => found,
            Err(reason) => {
                tracing::warn!(
                    reason,
                    "could not find out what the collector may delete; templates are used as before"
                );
                return false;
            }
        };
        let before = self.known();
        let mut kinds: BTreeMap<Gvk, Known> = before
            .kinds
            .iter()
            .filter(|(kind, _)| wanted.contains_key(*kind))
            .map(|(kind, known)| (kind.clone(), known.clone()))
            .collect();
        let mut answered = true;
        for (kind, known) in found.kinds {
            if let Known::Unknown(reason) = &known {
                answered = false;
                tracing::warn!(%kind, reason, "could not find out whether the collector may delete a kind; its templates are used as before");
                kinds.entry(kind).or_insert(known);
                continue;
            }
            kinds.insert(kind, known);
        }
        let now = Rights { account: found.account, kinds };
        tell(&before, &now, wanted);
        if now != *before {
            self.known.store(Arc::new(now));
        }
        answered
    }

    async fn look(&self, client: &Client, wanted: &[(&Gvk, &BTreeSet<String>)]) -> Result<Rights, String> {
        let until = Instant::now() + PATIENCE;
        let late = |_| "no answer in time".to_owned();
        let user = timeout_at(until, self.user(client)).await.map_err(late)??;
        let asking = wanted.iter().copied().map(|(kind, namespaces)| async move {
            let known = timeout_at(until, look_at(client, user, kind, namespaces)).await.map_err(late);
            (kind.clone(), known.flatten().unwrap_or_else(Known::Unknown))
        });
        let asking: Vec<_> = asking.collect();
        let kinds: Vec<_> = futures::stream::iter(asking).buffer_unordered(AT_ONCE).collect().await;
        Ok(Rights { account: user.username.clone(), kinds: kinds.into_iter().collect() })
    }

    /// Who collects.
    async fn user(&self, client: &Client) -> Result<&User, String> {
        self.user.get_or_try_init(|| self.find_user(client)).await
    }

    async fn find_user(&self, client: &Client) -> Result<User, String> {
        let ourselves = User::ourselves(client).await?;
        if self.collector == Some(Collector::Ourselves) {
            return Ok(ourselves);
        }
        let own = account(&ourselves.username).ok_or_else(|| {
            format!("{} is no ServiceAccount, beside which the collector's would be", ourselves.username)
        })?;
        Ok(User::of_account(&NamespacedName::new(own.namespace, CONTROLLER)))
    }
}

/// Asks about one kind: whoever may everywhere may in each namespace, so that three questions are all, as a rule.
async fn look_at(client: &Client, user: &User, kind: &Gvk, namespaces: &BTreeSet<String>) -> Result<Known, String> {
    let Some(Served { resource, verbs }) = served(client, kind).await? else {
        return Ok(Known::Unserved(format!("the API server serves no {kind}")));
    };
    if let Some(verb) = VERBS.into_iter().find(|verb| !verbs.iter().any(|offered| offered == verb)) {
        return Ok(Known::Unserved(format!("the API server offers no {verb} of {resource}")));
    }
    let lacking = |verbs: Vec<&'static str>, namespace: Option<&str>| {
        let (group, resource) = (&kind.group, &resource);
        let namespace = namespace.map(str::to_owned);
        async move {
            let asked = verbs.iter().map(|verb| {
                let deed = Deed { group, resource, verb, namespace: namespace.as_deref() };
                async move { may(client, user, &deed).await }
            });
            let answers = try_join_all(asked).await?;
            let lacking = verbs.iter().zip(answers).filter(|(_, may)| !may).map(|(verb, _)| *verb);
            Ok::<Vec<&'static str>, String>(lacking.collect())
        }
    };
    let everywhere = lacking(VERBS.to_vec(), None).await?;
    let mut missing = BTreeMap::new();
    if !everywhere.is_empty() {
        for namespace in namespaces.iter().take(NAMESPACES) {
            let here = lacking(everywhere.clone(), Some(namespace)).await?;
            if !here.is_empty() {
                missing.insert(namespace.clone(), here);
            }
        }
    }
    Ok(Known::Missing { resource, verbs: missing })
}

/// Whether somebody may.
async fn may(client: &Client, user: &User, deed: &Deed<'_>) -> Result<bool, String> {
    allowed(&reviews::review(client, user, deed).await?)
}

/// What a review's status says. An authorizer that failed may have been the one to allow it.
fn allowed(status: &Value) -> Result<bool, String> {
    match (status["allowed"].as_bool(), status["evaluationError"].as_str().filter(|error| !error.is_empty())) {
        (Some(true), _) => Ok(true),
        (Some(false), None) => Ok(false),
        (Some(false), Some(error)) => Err(error.to_owned()),
        (None, _) => Err("no answer in the answer".into()),
    }
}

/// What the collector must be able to delete for these templates, and where.
fn wanted(library: &Library) -> Wanted {
    let mut wanted = Wanted::new();
    for need in library.sets.values().flat_map(|set| &set.needs) {
        match wanted.get_mut(&*need.kind) {
            Some(places) => places.extend(need.namespaces.iter().cloned()),
            None => drop(wanted.insert(Gvk::clone(&need.kind), BTreeSet::clone(&need.namespaces))),
        }
    }
    wanted
}

/// Says what is new about rights.
fn tell(before: &Rights, now: &Rights, wanted: &Wanted) {
    for (kind, places) in wanted {
        let lack = |rights: &Rights| rights.lack(kind, places.iter().map(String::as_str)).map(|lack| lack.to_string());
        match (lack(before), lack(now)) {
            (old, Some(lack)) if old.as_ref() != Some(&lack) => {
                tracing::warn!(%kind, lack, "templates of a kind cannot be used");
            }
            (Some(_), None) => tracing::info!(%kind, "the collector may delete a kind now: its templates can be used"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
    use policies::library::TemplateSet;
    use serde_json::json;

    use super::*;

    #[test]
    fn only_an_answer_that_nothing_failed_behind_denies() {
        for (status, expected) in [
            (json!({"allowed": true}), Ok(true)),
            (json!({"allowed": true, "evaluationError": "x"}), Ok(true)),
            (json!({"allowed": false}), Ok(false)),
            (json!({"allowed": false, "reason": "no rule", "evaluationError": ""}), Ok(false)),
            (json!({"allowed": false, "evaluationError": "webhook down"}), Err("webhook down".to_owned())),
            (json!({}), Err("no answer in the answer".to_owned())),
            (Value::Null, Err("no answer in the answer".to_owned())),
        ] {
            assert_eq!(allowed(&status), expected, "{status}");
        }
    }

    #[test]
    fn one_kind_of_several_config_maps_is_wanted_wherever_they_make_it() {
        let set = |namespace: &str, manifest: &str| {
            Arc::new(TemplateSet::load(&json!({
                "apiVersion": "v1", "kind": "ConfigMap", "data": {"it.yaml": manifest},
                "metadata": {"name": "t", "namespace": namespace, "labels": {"fledged.io/templates": "true"}},
            })))
        };
        let secret = "{apiVersion: v1, kind: Secret, metadata: {name: a}}";
        let endless = "{apiVersion: v1, kind: Pod, metadata: {name: a, annotations: {fledged.io/duration: none}}, spec: {containers: [{name: a, image: b}]}}";
        let sets = [set("trading", secret), set("risk", secret), set("lab", endless)].into_iter().collect();
        let namespaces = ["risk", "trading"].map(str::to_owned).into();
        assert_eq!(wanted(&sets), [(Gvk::new("", "v1", "Secret"), namespaces)].into());
    }
}
