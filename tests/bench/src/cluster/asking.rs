//! What finding out who asks costs a create.
//!
//! retinue reads the caller's pod and owners live, and uses what it read again for less than a second. So one master
//! creates every two seconds, of which each first review looks, and the same master creates twenty a second, of which
//! one in twenty does. Beside it, between its creates, another account creates at the same pace that is no master:
//! what an API server takes longer for when it is asked seldom is in both.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;

use super::Effort;
use super::objects::{self, Pod};
use super::table::{Table, percentile};
use super::world::{self, Standing, World};

const NAMESPACE: &str = "asking";

/// Measures, and tells.
pub(super) fn run(world: &World, effort: Effort) -> Result<Table> {
    let both = world.each(2, |link, number| {
        let (account, standing) = if number == 0 { ("eod", Standing::Master) } else { ("plain", Standing::Ordinary) };
        world.asking(link, NAMESPACE, account, standing, "post-trade")
    })?;
    world.each(1, |link, _| {
        let account = json!({"metadata": {"name": "post-trade"}});
        world::create(link, &format!("/api/v1/namespaces/{NAMESPACE}/serviceaccounts"), &account)?;
        let template = objects::template(NAMESPACE, "post-trade");
        world::create(link, &format!("/api/v1/namespaces/{NAMESPACE}/configmaps"), &template).map(drop)
    })?;
    let webhook = world.webhook()?;
    let pod = Pod::good()?;
    let mut links = both.iter().map(|asking| asking.caller.link()).collect::<Result<Vec<_>>>()?;
    let mut table = Table::new(
        "Who asks: creates of one master at two paces",
        &["master p50 ms", "master p90 ms", "other p50 ms", "difference ms", "first phase ms", "second phase ms"],
    );
    let mut number = 1;
    for (name, pause, count) in [
        ("20 a second", Duration::from_millis(50), effort.paced * 8),
        ("one every 2 s", Duration::from_secs(2), effort.paced),
    ] {
        let mut times = [Vec::new(), Vec::new()];
        let phase = |phase: &str| -> Result<[f64; 2]> {
            let label = format!("phase=\"{phase}\"");
            Ok([
                webhook.metric("retinue_review_seconds_sum", &label)?,
                webhook.metric("retinue_review_seconds_count", &label)?,
            ])
        };
        let phases = || -> Result<[[f64; 2]; 2]> { Ok([phase("mutating")?, phase("validating")?]) };
        // The first finds out everything for the first time.
        for (link, asking) in links.iter_mut().zip(&both) {
            link.post(&asking.pods("?dryRun=All"), &pod.number(0))?;
        }
        let before = phases()?;
        let begun = Instant::now();
        let mut due = Duration::ZERO;
        for _ in 0..count {
            for (position, (link, asking)) in links.iter_mut().zip(&both).enumerate() {
                due += pause / 2;
                // A pace is what is measured here, and nothing is awaited.
                std::thread::sleep(due.saturating_sub(begun.elapsed()));
                let answer = link.post(&asking.pods(""), &pod.number(number))?;
                number += 1;
                let stamped = answer.body.contains("fledged.io/admission");
                ensure!(answer.code == 201 && stamped == (position == 0), "{}: {}", answer.code, answer.body);
                times[position].push(answer.took);
            }
        }
        let of = |position: usize, part: f64| percentile(&times[position], part);
        let review: Vec<Option<f64>> = phases()?
            .iter()
            .zip(before)
            .map(|(after, before)| Some((after[0] - before[0]) / (after[1] - before[1]) * 1000.0))
            .collect();
        let difference = of(0, 0.5).zip(of(1, 0.5)).map(|(master, other)| master - other);
        table.row(name, &[of(0, 0.5), of(0, 0.9), of(1, 0.5), difference, review[0], review[1]]);
    }
    table.note(
        "first and second phase: mean time of a review inside retinue, by its own histogram; only the first looks",
    );
    table.note("what looking costs: the first phase of the seldom master less that of the frequent one");
    Ok(table)
}
