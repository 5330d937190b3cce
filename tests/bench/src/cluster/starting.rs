//! From the start of the webhook's process to its first right answer through the API server, and what it holds.
//!
//! A master asks all the while: a good pod and a bad one, in turn. Until the first right answer each must be refused
//! (the API server says that it cannot call the webhook, or retinue that it is not ready); after it the good one must
//! be admitted and the bad one refused by name of what is wrong. Anything else is a wrong answer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Effort;
use super::objects::{self, Pod};
use super::population::{EACH, fill, masters};
use super::process::{Memory, Process};
use super::table::{Table, median, milliseconds};
use super::world::{Asking, Retinue, World};

/// Requests after the first right answer.
const AFTER: usize = 50;
/// Requests in flight under load.
const FLIGHT: usize = 16;
/// Resident memory has settled when it has not changed by more than this for [`CALM`].
const CHANGE: u64 = 64 << 10;
const CALM: Duration = Duration::from_millis(500);

/// One start.
struct Start {
    ready: Duration,
    first: Duration,
    wrong: usize,
    webhook: Retinue,
}

/// Measures, and tells: the starts, and the memory.
pub(super) fn run(world: &World, effort: Effort) -> Result<Vec<Table>> {
    let mut starts = Table::new(
        "From the start of the process to the first right answer",
        &["first right answer ms", "slowest ms", "ready ms", "wrong answers", "starts"],
    );
    let mut memory =
        Table::new("Resident memory of the webhook", &["MB", "of it own MB", "most ever MB", "bytes each"]);
    let namespaces = effort.templates / EACH;
    let pods = [Pod::good()?, Pod::bad()?];
    let mut there = 0;
    let mut asking: Vec<Asking> = Vec::new();
    let mut sizes: Vec<(usize, Memory)> = Vec::new();
    for count in [1, 100, effort.templates] {
        fill(world, there, count, namespaces)?;
        there = count;
        if asking.is_empty() {
            asking = masters(world, 0, 1, 1)?;
        }
        let mut all = Vec::new();
        for _ in 0..effort.starts {
            all.push(start(world, asking.first().context("a master")?, &pods)?);
            // The last one stays, for its memory.
            if all.len() < effort.starts {
                all.iter_mut().for_each(|start: &mut Start| start.webhook.stop());
            }
        }
        let times = |of: fn(&Start) -> Duration| all.iter().map(|start| milliseconds(of(start))).collect::<Vec<_>>();
        #[expect(clippy::cast_precision_loss, reason = "some hundreds")]
        starts.row(
            &format!("{count} templates"),
            &[
                median(times(|start| start.first)),
                times(|start| start.first).into_iter().reduce(f64::max),
                median(times(|start| start.ready)),
                Some(all.iter().map(|start| start.wrong).sum::<usize>() as f64),
                Some(all.len() as f64),
            ],
        );
        let webhook = all.pop().context("a start")?.webhook;
        let settled = settled(webhook.process)?;
        let each = sizes.last().map(|(fewer, size)| per(settled, *size, count - fewer));
        memory.row(&format!("{count} templates, started"), &cells(settled, each.filter(|_| count > 100)));
        sizes.push((count, settled));
        let more = if count == 1 {
            1
        } else if count == 100 {
            10
        } else {
            namespaces
        };
        // Those of the first namespaces ask for one ConfigMap, the others for all ten of theirs.
        let each = if count > 100 { EACH } else { 1 };
        let new = masters(world, asking.len(), more, each)?;
        let before = self::settled(webhook.process)?;
        once(&new, &pods)?;
        if new.len() > 100 {
            let after = self::settled(webhook.process)?;
            memory
                .row(&format!("{} masters have asked", new.len()), &cells(after, Some(per(after, before, new.len()))));
        }
        asking.extend(new);
        let slow = load(&asking, &pods, effort.load)?;
        if slow > 0 {
            memory.note(format!(
                "of the requests with {count} templates {slow} were refused since the API server was slow"
            ));
        }
        memory.row(
            &format!("{count} templates, after {} requests", effort.load),
            &cells(self::settled(webhook.process)?, None),
        );
    }
    dependents(world, &asking, effort, &mut memory)?;
    starts.note("through the API server, with 0 wrong answers (target: at most 300 ms with 100 templates)");
    memory.note("targets: under 40 MB with 100 templates, under 80 MB with 10,000, after load");
    memory.note("bytes each: what one more template, master or dependent adds");
    Ok(vec![starts, memory])
}

/// Starts the webhook under fire.
fn start(world: &World, master: &Asking, [good, bad]: &[Pod; 2]) -> Result<Start> {
    let mut link = master.caller.link()?;
    let path = master.pods("?dryRun=All");
    let mut first = None;
    let mut wrong = 0;
    let begun = Instant::now();
    let (webhook, ready) = std::thread::scope(|scope| -> Result<_> {
        let starting = scope.spawn(|| world.webhook().map(|webhook| (webhook, begun.elapsed())));
        let mut left = AFTER;
        while left > 0 {
            let answer = link.post(&path, &good.number(0))?;
            let admitted = answer.code == 201 && answer.body.contains("fledged.io/admission");
            let told_unready = answer.body.contains("failed calling webhook") || answer.code == 503;
            if admitted {
                first.get_or_insert_with(|| begun.elapsed());
            } else if first.is_some() || !told_unready {
                wrong += 1;
            }
            let answer = link.post(&path, &bad.number(0))?;
            let refused = answer.code != 201;
            let why = answer.body.contains("no template admits it") || first.is_none();
            wrong += usize::from(!(refused && why));
            left -= usize::from(starting.is_finished());
        }
        starting.join().map_err(|_| anyhow::anyhow!("the start panicked"))?
    })?;
    Ok(Start { ready, first: first.context("it never gave a right answer")?, wrong, webhook })
}

/// Every master asks once.
fn once(masters: &[Asking], [good, _]: &[Pod; 2]) -> Result<()> {
    for master in masters {
        ask(master, good, "template")?;
    }
    Ok(())
}

fn ask(master: &Asking, pod: &Pod, stamp: &str) -> Result<()> {
    let answer = master.caller.link()?.post(&master.pods("?dryRun=All"), &pod.number(0))?;
    ensure!(answer.code == 201 && answer.body.contains(stamp), "{}: {}", answer.code, answer.body);
    Ok(())
}

/// `count` requests of all masters in turn, good ones and now and then a bad one. Returns how many were refused because
/// the API server did not answer retinue in time, as on a machine that does other things too.
fn load(masters: &[Asking], [good, bad]: &[Pod; 2], count: usize) -> Result<usize> {
    let next = AtomicUsize::new(0);
    let slow = AtomicUsize::new(0);
    // A new connection each time, which costs the load and not retinue.
    std::thread::scope(|scope| -> Result<()> {
        let one = || -> Result<()> {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return Ok(());
                }
                let master = &masters[number % masters.len()];
                let mut link = master.caller.link()?;
                let is_bad = number % 10 == 9;
                let pod = if is_bad { bad } else { good };
                let answer = link.post(&master.pods("?dryRun=All"), &pod.number(number))?;
                if answer.code == 503 && answer.body.contains("could not look up") {
                    slow.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                let right = if is_bad { answer.body.contains("no template admits it") } else { answer.code == 201 };
                ensure!(right, "{}: {}", answer.code, answer.body);
            }
        };
        let all: Vec<_> = (0..FLIGHT).map(|_| scope.spawn(one)).collect();
        all.into_iter().try_for_each(|one| one.join().map_err(|_| anyhow::anyhow!("a client panicked"))?)
    })?;
    Ok(slow.into_inner())
}

/// Both roles, started anew with more and more dependents there.
fn dependents(world: &World, masters: &[Asking], effort: Effort, memory: &mut Table) -> Result<()> {
    // The last master asks for all ConfigMaps of its namespace; there it makes what the template "settings" makes.
    let master = masters.last().context("a master")?;
    let mut there = 0;
    let mut before: Option<[Memory; 2]> = None;
    for count in [0, effort.dependents] {
        {
            let _webhook = world.webhook()?;
            let next = AtomicUsize::new(there);
            std::thread::scope(|scope| {
                let one = || -> Result<()> {
                    let mut link = master.caller.link()?;
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= count {
                            return Ok(());
                        }
                        let path = format!("/api/v1/namespaces/{}/configmaps", master.namespace);
                        let answer = link.post(&path, &objects::settings(&master.namespace, number).to_string())?;
                        let stamped = answer.code == 201 && answer.body.contains("fledged.io/admission");
                        ensure!(stamped, "{}: {}", answer.code, answer.body);
                    }
                };
                let all: Vec<_> = (0..FLIGHT / 2).map(|_| scope.spawn(one)).collect();
                all.into_iter().try_for_each(|one| one.join().map_err(|_| anyhow::anyhow!("a client panicked"))?)
            })?;
        }
        let (webhook, controller) = (world.webhook()?, world.controller()?);
        let now = [settled(webhook.process)?, settled(controller.process)?];
        for (role, (index, size)) in ["webhook", "collector"].iter().zip(now.iter().enumerate()) {
            let each = before.map(|before| per(*size, before[index], count - there));
            memory.row(&format!("{role} started with {count} dependents"), &cells(*size, each));
        }
        before = Some(now);
        there = count;
    }
    Ok(())
}

/// The memory once it has stopped changing.
pub(super) fn settled(process: Process) -> Result<Memory> {
    let mut last = process.memory()?;
    let mut since = Instant::now();
    while since.elapsed() < CALM {
        // Nothing tells of another process's memory; it is looked at.
        std::thread::sleep(Duration::from_millis(20));
        let now = process.memory()?;
        if now.resident.abs_diff(last.resident) > CHANGE {
            last = now;
            since = Instant::now();
        }
    }
    process.memory()
}

#[expect(clippy::cast_precision_loss, reason = "bytes of memory are exact in a double")]
fn per(after: Memory, before: Memory, count: usize) -> f64 {
    (after.resident as f64 - before.resident as f64) / count.max(1) as f64
}

#[expect(clippy::cast_precision_loss, reason = "bytes of memory are exact in a double")]
pub(super) fn cells(memory: Memory, each: Option<f64>) -> [Option<f64>; 4] {
    let mb = |bytes: u64| Some(bytes as f64 / 1e6);
    [mb(memory.resident), mb(memory.own), mb(memory.peak), each]
}
