//! Notices what the cluster adds that the tables do not know, before users do: a sample of each template is created
//! with dry run, and what comes back is compared.
//!
//! A sample is made once per template content, namespace and server version, and again when something changes that
//! may have a say: definitions, mutating policies, mutating webhooks. It is sent as an account of its own, which the
//! floor allows nothing but dry runs. What it decides is pure ([`policies::sample`]); nothing here changes a verdict:
//! a row that is unknown is reported, and accepted by nobody but an admin.
//!
//! The rooms: [`occasions`] watches for what may have a say, [`probe`] sends samples, [`rounds`] keeps what came of
//! them, [`report`] counts and tells.

mod occasions;
mod probe;
mod report;
mod rounds;

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::cluster::facts::LiveFacts;
use crate::cluster::templates::Templates;

use occasions::Occasion;
use probe::Probe;
pub use report::Metrics;
use report::Teller;
use rounds::Rounds;

/// How long what comes in one after the other is gathered before samples are made.
const GATHER: Duration = Duration::from_millis(250);
/// Until what is known of the cluster is fresh enough.
const LOOK: Duration = Duration::from_millis(100);
/// After a round nothing is sampled for so many times as long as it took: samples are a fraction of what the API
/// server does, however many templates there are.
const REST: u32 = 4;
/// The longest rest.
const LONGEST_REST: Duration = Duration::from_secs(60);
/// Occasions that may wait.
const WAITING: usize = 64;

/// Samples, for ever. `instance` is this pod's name; `template_memory` bytes are kept of template ConfigMaps.
pub async fn run(client: Client, instance: String, template_memory: u64, metrics: Metrics) {
    let templates = Arc::new(Templates::unhurried().keeping(template_memory));
    let facts = Arc::new(LiveFacts::unhurried());
    let (heard, occasions) = mpsc::channel(WAITING);
    let teller = Teller::new(client.clone(), &instance, metrics);
    tokio::join!(
        Arc::clone(&templates).run(client.clone()),
        Arc::clone(&facts).run(client.clone(), Arc::clone(&templates)),
        occasions::attend(client.clone(), heard),
        sample(client, templates, facts, occasions, teller),
    );
}

async fn sample(
    client: Client,
    templates: Arc<Templates>,
    facts: Arc<LiveFacts>,
    mut occasions: mpsc::Receiver<Occasion>,
    teller: Teller,
) {
    let mut changed = templates.changes();
    let probe = Probe::new(client).await;
    let mut rounds = Rounds::new(probe, teller);
    loop {
        // Neither is known before it was read.
        if templates.snapshot().is_err() || facts.snapshot().is_err() {
            tokio::time::sleep(LOOK).await;
            continue;
        }
        let begun = Instant::now();
        let next = rounds.round(&templates, &facts).await;
        let rest = (begun.elapsed() * REST).min(LONGEST_REST);
        tokio::time::sleep(rest).await;
        let look = async {
            match next {
                Some(next) => tokio::time::sleep_until(next).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            told = changed.changed() => if told.is_err() { return },
            told = occasions.recv() => match told {
                Some(occasion) => rounds.heed(occasion),
                None => return,
            },
            () = look => {}
        }
        tokio::time::sleep(GATHER).await;
        while let Ok(occasion) = occasions.try_recv() {
            rounds.heed(occasion);
        }
        changed.mark_unchanged();
    }
}
