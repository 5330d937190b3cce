//! Creates of one pod through the API server, under one guard or another.
//!
//! One control plane; the configurations are taken away and put back between rounds, and a round begins once every
//! one of them is seen to work, or to be gone. The rounds are interleaved, each guard's figures are medians over the
//! rounds, and ratios are taken within a round before their median is.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::Effort;
use super::intree::{self, Adding};
use super::objects::{self, Pod};
use super::process::Process;
use super::table::{Table, median, milliseconds, percentile};
use super::world::{self, Asking, Retinue, Standing, World};

const NAMESPACE: &str = "bench";
const ROOT: &str = "/apis/admissionregistration.k8s.io/v1";
/// The kinds that guard, in the order in which they are put back.
const GUARDING: [(&str, &str); 6] = [
    ("MutatingWebhookConfiguration", "mutatingwebhookconfigurations"),
    ("ValidatingWebhookConfiguration", "validatingwebhookconfigurations"),
    ("MutatingAdmissionPolicy", "mutatingadmissionpolicies"),
    ("MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings"),
    ("ValidatingAdmissionPolicy", "validatingadmissionpolicies"),
    ("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings"),
];
/// Creates before those that count: connections, caches, the garbage collector's heap.
const WARM_UP: usize = 40;
/// In flight.
const FLIGHTS: [usize; 2] = [1, 8];

/// What guards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guard {
    Nothing,
    Retinue,
    /// Its webhook configurations without the floor.
    Webhooks,
    /// All of it, where the match conditions ask for one account by name: the least that a match condition can cost.
    Named,
    InTree(Adding),
}

/// One line of the table: who creates, under what.
struct Arm {
    name: &'static str,
    guard: Guard,
    standing: Standing,
    /// The arm whose figures its own are divided by.
    beside: usize,
    /// Per round and flight: the times.
    times: Vec<[Vec<Duration>; 2]>,
    /// In all: creates, and processor time of API server and retinue.
    creates: usize,
    cpu: [Duration; 2],
}

impl Arm {
    fn new(name: &'static str, guard: Guard, standing: Standing, beside: usize) -> Self {
        Self { name, guard, standing, beside, times: Vec::new(), creates: 0, cpu: [Duration::ZERO; 2] }
    }
}

struct Bench<'w> {
    world: &'w World,
    webhook: Retinue,
    apiserver: Process,
    master: Asking,
    ordinary: Asking,
    pods: Pods,
    installed: Vec<Value>,
    /// Numbers the pods.
    next: AtomicUsize,
}

struct Pods {
    good: Pod,
    bad: Pod,
    forged: Pod,
}

/// Measures, and tells.
pub(super) fn run(world: &World, effort: Effort) -> Result<Table> {
    let bench = Bench::new(world)?;
    let (master, ordinary) = (Standing::Master, Standing::Ordinary);
    let mut arms = [
        Arm::new("a  no policy", Guard::Nothing, master, 0),
        Arm::new("b  retinue as installed", Guard::Retinue, master, 0),
        Arm::new("c1 in-tree policies, JSON patch", Guard::InTree(Adding::Patch), master, 0),
        Arm::new("c2 in-tree policies, apply configuration", Guard::InTree(Adding::Apply), master, 0),
        Arm::new("d0 no master, retinue not installed", Guard::Nothing, ordinary, 4),
        Arm::new("d1 no master, retinue as installed", Guard::Retinue, ordinary, 4),
        Arm::new("d2 no master, retinue without the floor", Guard::Webhooks, ordinary, 4),
        Arm::new("d3 no master, conditions that name an account", Guard::Named, ordinary, 4),
    ];
    // What is held against each other comes one after the other: a small machine is not as fast a minute later.
    let mut guards = [
        Guard::Nothing,
        Guard::Webhooks,
        Guard::Named,
        Guard::Retinue,
        Guard::InTree(Adding::Patch),
        Guard::InTree(Adding::Apply),
    ];
    for round in 0..effort.rounds {
        for guard in guards {
            bench.put(guard)?;
            // In one round the master is first, in the next the other.
            let mut here: Vec<&mut Arm> = arms.iter_mut().filter(|arm| arm.guard == guard).collect();
            if round % 2 == 1 {
                here.reverse();
            }
            for arm in here {
                bench.round(arm, effort)?;
            }
            bench.clean()?;
        }
        guards.reverse();
    }
    bench.put(Guard::Retinue)?;
    Ok(table(&arms, &bench.pods.good, effort))
}

impl<'w> Bench<'w> {
    fn new(world: &'w World) -> Result<Self> {
        let (master, ordinary) = world
            .each(1, |link, _| {
                let master = world.asking(link, NAMESPACE, "eod", Standing::Master, "post-trade")?;
                let ordinary = world.asking(link, NAMESPACE, "plain", Standing::Ordinary, "post-trade")?;
                // The pod's own account, which admission looks for.
                world::create(
                    link,
                    &format!("/api/v1/namespaces/{NAMESPACE}/serviceaccounts"),
                    &json!({
                        "metadata": {"name": "post-trade"},
                    }),
                )?;
                let template = objects::template(NAMESPACE, "post-trade");
                world::create(link, &format!("/api/v1/namespaces/{NAMESPACE}/configmaps"), &template)?;
                Ok((master, ordinary))
            })?
            .pop()
            .context("two who ask")?;
        let forged = Pod::with(|pod| pod["metadata"]["labels"]["fledged.io/master"] = json!("forged"))?;
        let mut installed = Vec::new();
        for (kind, resource) in GUARDING {
            let list = world.admin("GET", &format!("{ROOT}/{resource}"))?;
            let mut items = list["items"].as_array().cloned().unwrap_or_default();
            // The last that is waited for is the last that is put back.
            items.sort_by_key(|item| item["metadata"]["name"] == "retinue-stamps");
            installed.extend(items.into_iter().map(|item| bare(kind, item)));
        }
        ensure!(installed.len() > 6, "retinue is not installed: {installed:?}");
        Ok(Self {
            webhook: world.webhook()?,
            apiserver: world.apiserver()?,
            pods: Pods { good: Pod::good()?, bad: Pod::bad()?, forged },
            next: AtomicUsize::new(1),
            world,
            master,
            ordinary,
            installed,
        })
    }

    /// Has `guard` in place, and nothing else.
    fn put(&self, guard: Guard) -> Result<()> {
        for (_, resource) in GUARDING {
            self.world.admin("DELETE", &format!("{ROOT}/{resource}"))?;
        }
        let user = format!("system:serviceaccount:{NAMESPACE}:eod");
        let objects = match guard {
            Guard::Nothing => Vec::new(),
            Guard::Retinue => self.installed.clone(),
            Guard::Webhooks => self.installed.iter().filter(|it| !it["webhooks"].is_null()).cloned().collect(),
            Guard::Named => self.installed.iter().cloned().map(|it| naming(it, &user)).collect(),
            Guard::InTree(adding) => intree::objects(&user, adding),
        };
        for object in objects {
            let kind = GUARDING.iter().find(|(kind, _)| object["kind"] == *kind).context("a kind that guards")?;
            self.world.create(&format!("{ROOT}/{}", kind.1), &object)?;
        }
        let mut last = String::new();
        let settled = self.world.until("the guard", || {
            let wrong = self.unsettled(guard)?;
            last = wrong.clone().unwrap_or_default();
            Ok(wrong.is_none())
        });
        settled.with_context(|| format!("{guard:?}: {last}"))
    }

    /// What shows that the guard is not in place yet, or that another still is.
    fn unsettled(&self, guard: Guard) -> Result<Option<String>> {
        let path = self.master.pods("?dryRun=All");
        let mut master = self.master.caller.link()?;
        let mut ordinary = self.ordinary.caller.link()?;
        let tried = [
            ("good", master.post(&path, &self.pods.good.number(0))?),
            ("bad", master.post(&path, &self.pods.bad.number(0))?),
            ("forged", master.post(&path, &self.pods.forged.number(0))?),
            ("forged by another", ordinary.post(&path, &self.pods.forged.number(0))?),
        ];
        for (what, answer) in tried {
            let (stamp, deadline) = labels(&answer.body)?;
            let stamp = stamp.as_deref();
            let deadline = deadline.as_deref();
            let refused = |by: &str| answer.code != 201 && answer.body.contains(by);
            let right = match (guard, what) {
                (Guard::Nothing, "good" | "bad") => answer.code == 201 && stamp.is_none(),
                (Guard::Nothing | Guard::Webhooks | Guard::Named | Guard::InTree(_), "forged by another")
                | (Guard::Nothing, "forged") => answer.code == 201 && stamp == Some("forged"),
                (Guard::InTree(adding), "good" | "forged") => answer.code == 201 && deadline == Some(adding.deadline()),
                // Without the floor nothing strips it, and the mutating webhook is not asked about it.
                (Guard::Webhooks, "forged") => refused("retinue refuses"),
                (Guard::Retinue | Guard::Webhooks | Guard::Named, "good")
                | (Guard::Retinue | Guard::Named, "forged") => {
                    answer.code == 201 && stamp.is_some_and(|stamp| stamp != "forged")
                }
                (Guard::Retinue | Guard::Webhooks | Guard::Named, "bad") => refused("no template admits it"),
                (Guard::InTree(_), "bad") => refused("the image of main"),
                (Guard::Retinue, _) => refused("retinue's floor"),
                (Guard::Nothing | Guard::Webhooks | Guard::Named | Guard::InTree(_), _) => false,
            };
            if !right {
                return Ok(Some(format!("{what}: {} {}", answer.code, answer.body)));
            }
        }
        Ok(None)
    }

    fn round(&self, arm: &mut Arm, effort: Effort) -> Result<()> {
        let asking = match arm.standing {
            Standing::Master => &self.master,
            Standing::Ordinary => &self.ordinary,
        };
        self.fly(asking, arm, 2, WARM_UP)?;
        let reviews = self.webhook.reviews()?;
        let cpu = || -> Result<[Duration; 2]> { Ok([self.apiserver.cpu()?, self.webhook.process.cpu()?]) };
        let before = cpu()?;
        let one = self.fly(asking, arm, FLIGHTS[0], effort.creates)?;
        let many = self.fly(asking, arm, FLIGHTS[1], effort.creates * 2)?;
        for ((sum, after), before) in arm.cpu.iter_mut().zip(cpu()?).zip(before) {
            *sum += after.saturating_sub(before);
        }
        let created = one.len() + many.len();
        let reviews = self.webhook.reviews()? - reviews;
        let judged = arm.guard == Guard::Retinue && arm.standing == Standing::Master;
        // Both phases of each create and of each connection's first request, and not one review else.
        let connections: usize = FLIGHTS.iter().sum();
        #[expect(clippy::cast_precision_loss, reason = "some thousands")]
        let expected = if judged { 2.0 * (created + connections) as f64 } else { 0.0 };
        ensure!((reviews - expected).abs() < 0.5, "{}: {reviews} reviews, expected {expected}", arm.name);
        arm.creates += created;
        arm.times.push([one, many]);
        Ok(())
    }

    /// `count` creates, `flight` at once, each answer checked.
    fn fly(&self, asking: &Asking, arm: &Arm, flight: usize, count: usize) -> Result<Vec<Duration>> {
        let left = AtomicUsize::new(count);
        let begin = Barrier::new(flight);
        let path = asking.pods("");
        std::thread::scope(|scope| {
            let one = || -> Result<Vec<Duration>> {
                let opened = asking.caller.link().and_then(|mut link| {
                    // The connection's first request is not of those that count.
                    link.post(&asking.pods("?dryRun=All"), &self.pods.good.number(0))?;
                    Ok(link)
                });
                begin.wait();
                let mut link = opened?;
                let mut times = Vec::new();
                while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                    let body = self.pods.good.number(self.next.fetch_add(1, Ordering::Relaxed));
                    let answer = link.post(&path, &body)?;
                    check(arm.guard, arm.standing, answer.code, &answer.body)
                        .with_context(|| format!("{}: {} {}", arm.name, answer.code, answer.body))?;
                    times.push(answer.took);
                }
                Ok(times)
            };
            let all: Vec<_> = (0..flight).map(|_| scope.spawn(one)).collect();
            let mut times = Vec::new();
            for one in all {
                times.extend(one.join().map_err(|_| anyhow::anyhow!("a client panicked"))??);
            }
            Ok(times)
        })
    }

    /// Deletes what was created.
    fn clean(&self) -> Result<()> {
        let path = format!("/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=app%3Dpost-trade&gracePeriodSeconds=0");
        self.world.admin("DELETE", &path).map(drop)
    }
}

/// An object as its author wrote it.
fn bare(kind: &str, item: Value) -> Value {
    let mut bare = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
        "metadata": {"name": item["metadata"]["name"], "labels": item["metadata"]["labels"]},
    });
    for field in ["spec", "webhooks"] {
        if !item[field].is_null() {
            bare[field] = item[field].clone();
        }
    }
    bare
}

/// The same, with match conditions that ask for `user` and nothing else.
fn naming(mut object: Value, user: &str) -> Value {
    let condition = json!([{"name": "named", "expression": format!("request.userInfo.username == '{user}'")}]);
    for webhook in object["webhooks"].as_array_mut().into_iter().flatten() {
        webhook["matchConditions"] = condition.clone();
    }
    if object["spec"].get("matchConditions").is_some() {
        object["spec"]["matchConditions"] = condition;
    }
    object
}

/// The stamp's master and deadline.
fn labels(body: &str) -> Result<(Option<String>, Option<String>)> {
    let body: Value = serde_json::from_str(body)?;
    let label = |key: &str| body["metadata"]["labels"][key].as_str().map(Into::into);
    Ok((label("fledged.io/master"), label("fledged.io/expires-at")))
}

/// Whether an answer is what this guard should give to a good pod.
fn check(guard: Guard, standing: Standing, code: u16, body: &str) -> Result<()> {
    ensure!(code == 201, "not created");
    let body: Value = serde_json::from_str(body)?;
    let metadata = &body["metadata"];
    let marks = [
        metadata["labels"]["fledged.io/master"].is_string(),
        metadata["labels"]["fledged.io/template"].is_string(),
        metadata["labels"]["fledged.io/expires-at"].is_string(),
        metadata["annotations"]["fledged.io/admission"].is_string(),
        metadata["ownerReferences"][0]["kind"] == "Deployment",
    ];
    let stamped = guard != Guard::Nothing && standing == Standing::Master;
    if marks != [stamped; 5] {
        bail!("expected a stamp: {stamped}");
    }
    Ok(())
}

fn table(arms: &[Arm], pod: &Pod, effort: Effort) -> Table {
    let mut table = Table::new(
        "Creates through the API server",
        &[
            "1: p50 ms",
            "p99 ms",
            "ratio",
            "8: p50 ms",
            "p99 ms at 8",
            "ratio at 8",
            "API server CPU ms",
            "retinue CPU ms",
        ],
    );
    let of = |arm: &Arm, flight: usize, part: f64| -> Vec<f64> {
        arm.times.iter().filter_map(|round| percentile(&round[flight], part)).collect()
    };
    let ratio = |arm: &Arm, other: &Arm, flight: usize| {
        let both = of(arm, flight, 0.5).into_iter().zip(of(other, flight, 0.5));
        median(both.map(|(one, other)| one / other).collect())
    };
    for arm in arms {
        let mut figures = Vec::new();
        for flight in 0..FLIGHTS.len() {
            figures.push(median(of(arm, flight, 0.5)));
            figures.push(median(of(arm, flight, 0.99)));
            figures.push(arms.get(arm.beside).and_then(|other| ratio(arm, other, flight)));
        }
        #[expect(clippy::cast_precision_loss, reason = "some thousands")]
        figures.extend(arm.cpu.map(|cpu| Some(milliseconds(cpu) / arm.creates.max(1) as f64)));
        table.row(arm.name, &figures);
    }
    if let [_, retinue, patch, apply, ..] = arms {
        for (name, other) in [("c1", patch), ("c2", apply)] {
            if let (Some(one), Some(many)) = (ratio(retinue, other, 0), ratio(retinue, other, 1)) {
                table.note(format!(
                    "b / {name}: {one:.2} with 1 in flight, {many:.2} with 8 (target: p50 at most 1.25)"
                ));
            }
        }
    }
    if let [.., retinue, _, named] = arms
        && let (Some(one), Some(many)) = (ratio(retinue, named, 0), ratio(retinue, named, 1))
    {
        table.note(format!(
            "d1 / d3: {one:.2} with 1 in flight, {many:.2} with 8: what asking who is a master costs beyond asking anything"
        ));
    }
    table.note("ratio: p50 over that of a, of d0 for the other d; medians of the rounds. Every answer was checked, and retinue's count of reviews.");
    table.note(format!(
        "{} rounds of {} and {} creates of a pod of {} bytes; CPU per create over all rounds.",
        effort.rounds,
        effort.creates,
        effort.creates * 2,
        pod.number(1).len()
    ));
    table
}
