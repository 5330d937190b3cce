//! Many dependents, and the collector that deletes them: what it holds, what it asks, how late it is; and how fast a bare
//! client deletes the same objects.
//!
//! What was asked, and when, the API server's audit log says: a deletion is late by the time from its deadline to the
//! end of the DELETE as the API server dates it. The bare client is one thread for each DELETE in flight, as many as the
//! collector has, under the same account with the same preconditions, on kept connections, and does nothing else.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures for people, of some hundred thousands"
)]

use std::collections::{HashMap, HashSet};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use jiff::{SignedDuration, Timestamp};
use retinue::collector::collect::AT_ONCE;
use serde_json::{Value, json};

use super::Effort;
use super::link::Link;
use super::process::Memory;
use super::starting::settled;
use super::table::{Table, median};
use super::world::{self, Retinue, World};

/// The audit log tells of the account that deletes, and of nobody else.
const AUDIT_POLICY: &str = r#"{
  "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
  "rules": [{"level": "Metadata", "users": ["system:serviceaccount:retinue:retinue-controller"]}, {"level": "None"}]
}"#;
/// Dependents of one namespace.
const EACH: usize = 1_000;
/// How long idleness is looked at.
const IDLE: Duration = Duration::from_secs(60);
/// For the start of the collector, beside what making the dependents takes.
const START: Duration = Duration::from_secs(30);
/// Made first, to know how long the others will take.
const TRIAL: usize = 500;

/// A world of which the audit log says what the collector asks.
pub(super) fn world(binary: &Path) -> Result<World> {
    // Without the floor, which takes off stamps that no webhook put on.
    World::with(binary, controlplane::Options::api_only().audit_policy(AUDIT_POLICY), &["--no-floor"])
}

/// Measures, and tells.
pub(super) fn run(world: &World, effort: Effort) -> Result<Vec<Table>> {
    let mut holds = Table::new("The collector's memory", &["MB", "of it own MB", "most ever MB", "bytes each"]);
    let mut asks = Table::new(
        "What it asks",
        &["a minute idle", "of it watches", "DELETEs each", "again since changed", "Events each"],
    );
    let mut late = Table::new(
        "From deadline to the end of the DELETE",
        &["p50 s", "p99 s", "most s", "a second", "bare a second", "ratio", "least", "most"],
    );
    let mut costs = Table::new(
        "Processor time of a deletion",
        &["API server ms", "collector ms", "beside the bare client: API server ms"],
    );
    let empty = {
        let controller = world.controller()?;
        settled(controller.process)?
    };
    holds.row("no dependents", &memory(empty, None));
    let mut made = Made::default();
    for count in effort.collected {
        eprintln!("{count} dependents: a bare client deletes them");
        let mut bare = vec![made.bare(world, *count)?];
        let spread = effort.spread * u32::try_from(*count / 1_000).unwrap_or(u32::MAX) / 10;
        for spread in [Duration::ZERO, spread].into_iter().take(if effort.at_once { 1 } else { 2 }) {
            let at_once = spread.is_zero();
            let name = if at_once { format!("{count} at once") } else { format!("{count} in {} s", spread.as_secs()) };
            let mut rounds = Vec::new();
            for turn in 0..if at_once { effort.turns } else { 1 } {
                eprintln!("{name}: the collector deletes them");
                // What is held and what is asked when idle does not change from turn to turn.
                let idle = if turn == 0 { IDLE } else { Duration::ZERO };
                let (round, controller) = made.collected(world, *count, spread, idle)?;
                if turn == 0 {
                    let each = (round.held.resident as f64 - empty.resident as f64) / *count as f64;
                    holds.row(&format!("{name}, waiting"), &memory(round.held, Some(each)));
                    holds.row(&format!("{name}, deleted"), &memory(settled(controller.process)?, None));
                }
                drop(controller);
                if at_once {
                    bare.push(made.bare(world, *count)?);
                    let last = &bare[turn..];
                    eprintln!("  {:.0} a second, bare {:.0} and {:.0}", round.rate, last[0].rate, last[1].rate);
                }
                rounds.push(round);
            }
            asks.row(&name, &asked(&rounds, *count));
            let beside = if at_once { &bare[..] } else { &[] };
            costs.row(&name, &cost(&rounds, beside, *count));
            let of = |part: f64| median(rounds.iter().map(|round| at(&round.late, part)).collect());
            let [least, middle, most] = ratios(&rounds, beside);
            late.row(
                &name,
                &[
                    of(0.5),
                    of(0.99),
                    of(1.0),
                    median(rounds.iter().map(|round| round.rate).collect()),
                    median(beside.iter().map(|bare| bare.rate).collect()),
                    middle,
                    least,
                    most,
                ],
            );
        }
    }
    holds.note(
        "target: under 100 MB with 100,000 dependents; bytes each: what one more dependent adds when it was listed",
    );
    asks.note("targets: one DELETE each, none idle but watches; a watch lasts a minute, and its next one is a request");
    late.note("targets: p99 under 1 s where deadlines are spread; ratio 0.8 at once, to the same number in flight by a bare client");
    late.note(
        "at once: the ratio of each turn is to the mean of the bare client's turns before and after it; medians of all",
    );
    costs.note("etcd's is not in it; the bare client's own is a thread for each connection");
    Ok(vec![holds, asks, late, costs])
}

/// What the collector asked, of `count` dependents in each round.
fn asked(rounds: &[Round], count: usize) -> [Option<f64>; 5] {
    let each = |many: fn(&Round) -> usize| median(rounds.iter().map(|round| many(round) as f64).collect());
    let minutes = IDLE.as_secs_f64() / 60.0;
    let idle = rounds.first().map(|round| round.idle);
    [
        idle.map(|(all, _)| all as f64 / minutes),
        idle.map(|(_, watches)| watches as f64 / minutes),
        each(|round| round.deletes - round.changed).map(|many| many / count as f64),
        each(|round| round.changed),
        each(|round| round.events).map(|many| many / count as f64),
    ]
}

/// Milliseconds of a deletion: the API server's, the collector's, and the API server's beside the bare client.
fn cost(rounds: &[Round], bare: &[Bare], count: usize) -> [Option<f64>; 3] {
    let each =
        |times: Vec<Duration>| median(times.iter().map(|time| time.as_secs_f64() * 1e3 / count as f64).collect());
    [
        each(rounds.iter().map(|round| round.cpu.apiserver).collect()),
        each(rounds.iter().map(|round| round.cpu.collector).collect()),
        each(bare.iter().map(|bare| bare.apiserver).collect()),
    ]
}

/// The collector's rate to that of the bare client just before and after it: the least, the median, the most.
fn ratios(rounds: &[Round], bare: &[Bare]) -> [Option<f64>; 3] {
    let beside = bare.windows(2).map(|two| f64::midpoint(two[0].rate, two[1].rate));
    let mut ratios: Vec<f64> = rounds.iter().zip(beside).map(|(round, beside)| round.rate / beside).collect();
    ratios.sort_by(f64::total_cmp);
    [ratios.first().copied(), median(ratios.clone()), ratios.last().copied()]
}

/// What the bare client came to.
struct Bare {
    rate: f64,
    /// Processor time of the API server.
    apiserver: Duration,
}

/// Processor time used so far.
#[derive(Clone, Copy)]
struct Cpu {
    apiserver: Duration,
    collector: Duration,
}

impl Cpu {
    fn now(world: &World, controller: &Retinue) -> Result<Self> {
        Ok(Self { apiserver: world.apiserver()?.cpu()?, collector: controller.process.cpu()? })
    }

    fn since(self, before: Self) -> Self {
        Self { apiserver: self.apiserver - before.apiserver, collector: self.collector - before.collector }
    }
}

/// What one round of the collector came to.
struct Round {
    held: Memory,
    /// Requests while nothing was due, and how many of them were watches.
    idle: (usize, usize),
    deletes: usize,
    /// DELETEs that were answered 409.
    changed: usize,
    events: usize,
    /// While they were deleted.
    cpu: Cpu,
    /// Seconds, in order.
    late: Vec<f64>,
    rate: f64,
}

/// Counts what was made, so that no name comes twice.
#[derive(Default)]
struct Made {
    rounds: usize,
}

impl Made {
    fn namespace(&self, number: usize) -> String {
        format!("round-{}-{}", self.rounds, number / EACH)
    }

    /// Makes `count` dependents, the first due at the instant that is returned, the others within `spread` of it.
    fn make(
        &mut self,
        world: &World,
        count: usize,
        spread: Duration,
        until: Duration,
    ) -> Result<(Vec<Timestamp>, Vec<[String; 3]>)> {
        self.rounds += 1;
        let this = &*self;
        let make = |link: &mut Link, number: usize, deadline: Timestamp| -> Result<[String; 3]> {
            let namespace = this.namespace(number);
            let path = format!("/api/v1/namespaces/{namespace}/configmaps");
            let name = format!("result-{number:06}");
            let made = world::create(link, &path, &dependent(&namespace, &name, deadline))?;
            let text = |key: &str| made["metadata"][key].as_str().unwrap_or_default().to_owned();
            Ok([format!("{path}/{name}"), text("uid"), text("resourceVersion")])
        };
        for number in (0..count).step_by(EACH) {
            world.create("/api/v1/namespaces", &json!({"metadata": {"name": this.namespace(number)}}))?;
        }
        let begun = Instant::now();
        if self.rounds == 1 {
            world.create("/api/v1/namespaces", &json!({"metadata": {"name": "trial"}}))?;
        }
        let rounds = self.rounds;
        world.each(TRIAL, |link, number| {
            let name = format!("trial-{rounds}-{number}");
            let object = json!({"metadata": {"name": name}, "data": {"a": "b"}});
            world::create(link, "/api/v1/namespaces/trial/configmaps", &object).map(drop)
        })?;
        let takes = begun.elapsed().mul_f64(count as f64 / TRIAL as f64 * 1.5);
        let first = Timestamp::from_second((Timestamp::now() + takes + until).as_second())?;
        let step = spread.as_secs_f64() / count as f64;
        // Labels have whole seconds.
        let deadline = |number: usize| first + SignedDuration::from_secs((number as f64 * step) as i64);
        let deadlines: Vec<Timestamp> = (0..count).map(deadline).collect();
        let objects = world.each(count, |link, number| make(link, number, deadlines[number]))?;
        Ok((deadlines, objects))
    }

    /// How many a bare client deletes in a second.
    fn bare(&mut self, world: &World, count: usize) -> Result<Bare> {
        let (_, objects) = self.make(world, count, Duration::ZERO, Duration::from_secs(3_600))?;
        let next = AtomicUsize::new(0);
        let caller = world.controllers()?;
        let apiserver = world.apiserver()?;
        let before = apiserver.cpu()?;
        let begun = Instant::now();
        std::thread::scope(|scope| -> Result<()> {
            let hand = || -> Result<()> {
                let mut link = caller.link()?;
                while let Some([path, uid, version]) = objects.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let body = json!({
                        "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background",
                        "preconditions": {"uid": uid, "resourceVersion": version},
                    });
                    let answer = link.ask("DELETE", path, &body.to_string())?;
                    ensure!(answer.code == 200, "{}: {}", answer.code, answer.body);
                }
                Ok(())
            };
            let hands: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(hand)).collect();
            hands.into_iter().try_for_each(|hand| hand.join().map_err(|_| anyhow::anyhow!("a hand panicked"))?)
        })?;
        let rate = count as f64 / begun.elapsed().as_secs_f64();
        Ok(Bare { rate, apiserver: apiserver.cpu()? - before })
    }

    /// Has the collector delete them, after it had nothing to do `idle_for` so long.
    fn collected(
        &mut self,
        world: &World,
        count: usize,
        spread: Duration,
        idle_for: Duration,
    ) -> Result<(Round, Retinue)> {
        let (deadlines, objects) = self.make(world, count, spread, START + idle_for)?;
        let controller = world.controller()?;
        let waiting = || controller.metric("retinue_collector_waiting", "");
        world.until("all are known", || Ok(waiting()? as usize == count))?;
        let held = settled(controller.process)?;
        let (first, last) = (deadlines[0], deadlines[count - 1]);
        let idle = Timestamp::now();
        ensure!(idle + idle_for <= first, "the dependents took too long to make: those due first are due already");
        std::thread::sleep(idle_for);
        let busy = Timestamp::now();
        // What both use until the first is due is not what a deletion costs.
        std::thread::sleep(Duration::try_from(first.duration_since(busy)).unwrap_or_default());
        let before = Cpu::now(world, &controller)?;
        let done = || -> Result<bool> {
            Ok(waiting()? == 0.0
                && controller.metric("retinue_collector_deletions_total", "deleted")? as usize >= count)
        };
        let limit = last + SignedDuration::from_secs(60 + i64::try_from(count / 100)?);
        while !done()? {
            if Timestamp::now() > limit {
                bail!("{} of {count} wait still at {limit}", waiting()?);
            }
            // Asking takes of the same processors; when each ended, the audit log says.
            std::thread::sleep(Duration::from_secs(1));
        }
        let cpu = Cpu::now(world, &controller)?.since(before);
        // An audit event is written after the answer, and a last Event of Kubernetes after the last deletion.
        std::thread::sleep(Duration::from_secs(2));
        let mut round =
            Round { held, idle: (0, 0), deletes: 0, changed: 0, events: 0, cpu, late: Vec::new(), rate: 0.0 };
        let names: HashMap<&str, Timestamp> =
            objects.iter().map(|[path, ..]| path.as_str()).zip(deadlines.iter().copied()).collect();
        let mut seen = HashSet::new();
        let mut ends = Vec::new();
        let log = BufReader::new(std::fs::File::open(world.cluster().audit_log())?);
        for line in log.lines() {
            // The last line may be half written.
            let Ok(event) = serde_json::from_str::<Value>(&line?) else { continue };
            let text = |key: &str| event[key].as_str().unwrap_or_default();
            let (asked, ended): (Timestamp, Timestamp) =
                (text("requestReceivedTimestamp").parse()?, text("stageTimestamp").parse()?);
            if text("verb") == "delete"
                && let Some(deadline) = names.get(text("requestURI").split('?').next().unwrap_or_default())
            {
                round.deletes += 1;
                match event["responseStatus"]["code"].as_u64() {
                    Some(200) => {
                        ensure!(asked >= *deadline, "deleted before its deadline: {event}");
                        round.late.push(ended.duration_since(*deadline).as_secs_f64());
                        ends.push(ended);
                    }
                    Some(409) => round.changed += 1,
                    _ => {}
                }
            } else if asked >= busy && text("verb") == "create" && event["objectRef"]["resource"] == "events" {
                round.events += 1;
            } else if asked >= idle && asked < busy && seen.insert(text("auditID").to_owned()) {
                round.idle.0 += 1;
                round.idle.1 += usize::from(text("verb") == "watch");
            }
        }
        ensure!(round.late.len() == count, "{} of {count} were deleted, by the audit log", round.late.len());
        round.late.sort_by(f64::total_cmp);
        ends.sort();
        let took = ends.last().context("an end")?.duration_since(first).as_secs_f64();
        round.rate = count as f64 / took;
        Ok((round, controller))
    }
}

/// A ConfigMap with a valid stamp, as the webhook writes it.
fn dependent(namespace: &str, name: &str, deadline: Timestamp) -> Value {
    let record = json!({
        "object": {"apiVersion": "v1", "kind": "ConfigMap", "namespace": namespace, "name": name},
        "account": {"namespace": namespace, "name": "eod"},
        "pod": {"name": "eod-7d9f-x2k4q", "uid": "0c8bc1c7-3f5a-4c56-9d0c-3a2c9f1f7c11"},
        "workload": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "eod", "uid": "6f0a8b1e-93d8-4b0e-8a4e-2b1a3c5d7e9f"},
        "template": {"configMap": {"namespace": namespace, "name": "post-trade"}, "key": "results.yaml",
                     "uid": "b1d7e9c3-5a2f-4e8d-9c6b-7f1e3a5d9b20", "version": "4711", "hash": "3f5a4c569d0c3a2c"},
        "parameters": {"run": "20261120", "workers": 4},
        "duration": "3600s",
    });
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": name, "namespace": namespace,
            "labels": {
                "app": "post-trade", "fledged.io/master": format!("{namespace}.eod"),
                "fledged.io/template": "post-trade.results.yaml",
                "fledged.io/expires-at": policies::lifetime::label(deadline),
            },
            "annotations": {"fledged.io/admission": record.to_string()},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "eod",
                                 "uid": "6f0a8b1e-93d8-4b0e-8a4e-2b1a3c5d7e9f"}],
        },
        "data": {"run": "20261120", "rows": "1000000"},
    })
}

fn at(sorted: &[f64], part: f64) -> f64 {
    let place = (sorted.len() as f64 * part).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

fn memory(memory: Memory, each: Option<f64>) -> [Option<f64>; 4] {
    let mb = |bytes: u64| Some(bytes as f64 / 1e6);
    [mb(memory.resident), mb(memory.own), mb(memory.peak), each]
}
