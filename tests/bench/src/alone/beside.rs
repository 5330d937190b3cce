//! Another master's reviews beside floods: the inputs that stopped the webhook once, in flight without end, and for
//! comparison the same floods to a server that answers them with a constant. And how many creates ten masters get through.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use serde_json::{Value, json};

use super::inputs;
use super::load::Client;
use super::process::Process;
use super::report::median;
use super::reviews::{Author, Body, Expected, Question, review};
use super::servers::Server;
use super::start;
use super::world::{MASTERS, World};

/// Of the flood, in flight.
const FLOOD: usize = 8;
/// Of the other master, in flight.
const AT_ONCE: usize = 4;
/// Masters that create.
const CREATING: usize = 10;
/// Creates in flight.
const CREATES_AT_ONCE: usize = 32;

/// What is sent without end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flood {
    /// The 16 KB of a template ConfigMap that takes long to lint, from anybody who reaches the port.
    Stranger,
    /// The same from an author, over the connection of the reviews.
    Author,
    /// A master's pods of 240 KB, over the connection of the reviews.
    Master,
}

impl Flood {
    const ALL: [Self; 3] = [Self::Stranger, Self::Author, Self::Master];

    fn as_str(self) -> &'static str {
        match self {
            Self::Stranger => "a stranger's lints",
            Self::Author => "an author's lints",
            Self::Master => "a master's large pods",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Stranger | Self::Author => "/lint?timeout=5s",
            Self::Master => "/mutate?timeout=5s",
        }
    }

    fn body(self) -> Bytes {
        match self {
            Self::Stranger | Self::Author => lint().to_string().into(),
            Self::Master => review(&inputs::pod_of_variables(), &World::Flooded.caller(MASTERS), 0).into(),
        }
    }
}

fn lint() -> Value {
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "1", "kind": {"group": "", "version": "v1", "kind": "ConfigMap"},
        "resource": {"group": "", "version": "v1", "resource": "configmaps"},
        "operation": "CREATE", "namespace": "trading", "name": "slow", "userInfo": {"username": "anybody"},
        "object": {
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {
                "name": "slow", "namespace": "trading", "labels": {"fledged.io/templates": "true"},
                "annotations": {"fledged.io/masters": "eod"},
            },
            "data": inputs::ambiguous(),
        },
    }})
}

/// The flood that is none.
pub const NOTHING: &str = "nothing";

/// A check of another master beside a flood, medians over rounds.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Beside {
    /// What is in flight without end; nothing, for comparison.
    pub flood: &'static str,
    /// Microseconds, where a server answers all of it with a constant.
    pub constant_p99_us: f64,
    /// Of the webhook.
    pub retinue_p99_us: f64,
}

/// All of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// By flood.
    pub beside: Vec<Beside>,
    /// Creates admitted per second from ten masters, nothing else in flight; each is asked about twice.
    pub creates_per_second: f64,
}

/// Measures it, `rounds` times.
///
/// # Errors
/// At the first review of the other master that is not answered rightly, and when a server cannot be started.
pub async fn measure(certificates: &Path, authority: &str, rounds: usize, count: usize) -> anyhow::Result<Figures> {
    let mut author = Author::new(World::Flooded)?;
    let checks = author.bodies(Question::Check)?;
    let servers = [
        (start(Server::Constant, certificates)?, Expected::Constant),
        (start(Server::Retinue(World::Flooded), certificates)?, Expected::Verdict(Question::Check)),
    ];
    let mut beside = Vec::new();
    for flood in [None].into_iter().chain(Flood::ALL.map(Some)) {
        let mut measured = [const { Vec::new() }; 2];
        for _ in 0..rounds {
            for ((server, expected), measured) in servers.iter().zip(&mut measured) {
                measured.push(one(server, authority, flood, &checks, *expected, count).await?);
            }
        }
        let [constant, retinue] = measured.map(median);
        beside.push(Beside {
            flood: flood.map_or(NOTHING, Flood::as_str),
            constant_p99_us: constant,
            retinue_p99_us: retinue,
        });
        eprintln!("beside {}", flood.map_or(NOTHING, Flood::as_str));
    }
    let [_, (retinue, _)] = servers;
    let creates_per_second = creates(&retinue, authority, &mut author, count * 2).await?;
    Ok(Figures { beside, creates_per_second })
}

/// The p99 of the other master's checks, microseconds.
async fn one(
    server: &Process,
    authority: &str,
    flood: Option<Flood>,
    checks: &[Body],
    expected: Expected,
    count: usize,
) -> anyhow::Result<f64> {
    let client = Client::connect(server.address, authority).await?;
    let mut flooding = tokio::task::JoinSet::new();
    if let Some(flood) = flood {
        let stranger = Client::connect(server.address, authority).await?;
        let from = if flood == Flood::Stranger { stranger } else { client.clone() };
        for _ in 0..FLOOD {
            let (from, body) = (from.clone(), flood.body());
            flooding.spawn(async move {
                loop {
                    let (status, text) = from.post(flood.path(), body.clone()).await?;
                    let known = [200, 422, 429, 504].contains(&status);
                    ensure!(known, "a flood was answered {status}: {}", String::from_utf8_lossy(&text));
                }
            });
        }
    }
    let burst = client.burst(Question::Check, checks, expected, 0, count, AT_ONCE);
    let burst = tokio::select! {
        burst = burst => burst?,
        Some(ended) = flooding.join_next() => return ended?,
    };
    #[expect(clippy::cast_precision_loss, reason = "microseconds of a benchmark are far below 2^52")]
    Ok(burst.latencies.value_at_quantile(0.99) as f64)
}

/// Creates per second, all admitted.
async fn creates(server: &Process, authority: &str, author: &mut Author, count: usize) -> anyhow::Result<f64> {
    let numbers = (0..count).map(|n| n / CREATING * MASTERS + n % CREATING);
    let bodies: Vec<_> = numbers
        .map(|number| anyhow::Ok((author.body(Question::Stamp, number)?, author.body(Question::Check, number)?)))
        .collect::<Result<_, _>>()?;
    let client = Client::connect(server.address, authority).await?;
    let started = Instant::now();
    let slowest = stream::iter(&bodies)
        .map(|(submitted, completed)| client.create(submitted, completed))
        .buffer_unordered(CREATES_AT_ONCE)
        .try_fold(Duration::ZERO, async |slowest, took| Ok(slowest.max(took)))
        .await
        .context("a create of one of ten masters")?;
    let took = started.elapsed();
    eprintln!("{count} creates of {CREATING} masters in {took:?}, the slowest {slowest:?}");
    #[expect(clippy::cast_precision_loss, reason = "a count of a benchmark is far below 2^52")]
    Ok(count as f64 / took.as_secs_f64())
}
