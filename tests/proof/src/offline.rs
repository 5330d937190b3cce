//! Every single change of every populated kind, held against the object used as its own template.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Result, bail};
use policies::difference::{Path, Step};
use policies::parameter::Parameters;
use policies::recognise::{Context, Form, Recognition, recognise};
use policies::tables::{Completeness, Facts, SERVER_OWNED, has_status};
use policies::template::{self, Given, Template};
use serde_json::Value;

use crate::populated::{self, Populated};
use crate::same;
use crate::vary::{self, Change};

/// What came out.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Kinds looked at.
    pub kinds: usize,
    /// Objects that admitted themselves, in each form.
    pub admitted: usize,
    /// Refused variations, by change.
    pub refused: BTreeMap<Change, usize>,
    /// Variations that are the same object to the API server, by reason.
    pub same: BTreeMap<&'static str, usize>,
    /// What should have been otherwise.
    pub wrong: Vec<String>,
}

impl Outcome {
    /// How many variations were refused.
    pub fn refusals(&self) -> usize {
        self.refused.values().sum()
    }

    /// Adds what another thread found.
    pub fn add(&mut self, other: Self) {
        self.kinds += other.kinds;
        self.admitted += other.admitted;
        for (change, count) in other.refused {
            *self.refused.entry(change).or_default() += count;
        }
        for (reason, count) in other.same {
            *self.same.entry(reason).or_default() += count;
        }
        self.wrong.extend(other.wrong);
    }
}

/// Which part of the variations is looked at: one of every `every`.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// 1 is all.
    pub every: usize,
}

/// Runs everything, on `threads` threads.
///
/// # Errors
/// When the module of the Kubernetes API cannot be had, or a kind is no template.
pub fn run(sample: Sample, threads: usize) -> Result<Outcome> {
    let all = populated::all()?;
    let next = std::sync::atomic::AtomicUsize::new(0);
    let mut total = Outcome::default();
    let found: Vec<Result<Outcome>> = std::thread::scope(|scope| {
        let work = || {
            let mut mine = Outcome::default();
            while let Some(one) = all.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                let begun = std::time::Instant::now();
                let found = kind(one, sample)?;
                println!("{}: {} in {:?}", one.kind, found.refusals(), begun.elapsed());
                mine.add(found);
            }
            Ok(mine)
        };
        let running: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        running
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| bail!("a thread of the proof died")))
            .collect()
    });
    for outcome in found {
        total.add(outcome?);
    }
    Ok(total)
}

fn kind(populated: &Populated, sample: Sample) -> Result<Outcome> {
    let mut outcome = Outcome { kinds: 1, ..Outcome::default() };
    for object in [populated.object.clone(), populated::doubled(&populated.object)] {
        match compiled(populated, &object) {
            Ok(template) => one(populated, &template, &object, sample, &mut outcome),
            Err(error) => outcome.wrong.push(error.to_string()),
        }
    }
    Ok(outcome)
}

fn compiled(populated: &Populated, object: &Value) -> Result<Template> {
    let parameters = Parameters::parse("").map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
    let compiled = template::compile("populated.yaml", &object.to_string(), &Arc::new(parameters));
    if !compiled.errors.is_empty() {
        bail!("{}: {:?}", populated.kind, compiled.errors);
    }
    compiled.templates.into_iter().next().ok_or_else(|| anyhow::anyhow!("{}: no template", populated.kind))
}

fn one(populated: &Populated, template: &Template, object: &Value, sample: Sample, outcome: &mut Outcome) {
    let facts = Facts::new(Completeness::Cluster);
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
    let given: BTreeMap<Given, String> = BTreeMap::new();
    let ignored = |path: &Path| owned_by_server(populated, path);
    for form in [Form::Submitted, Form::Mutating, Form::Validating] {
        let context = Context { form, namespace: &namespace, given: &given, facts: &facts, budget: None };
        match recognise(template, object, &context) {
            Recognition::Match(_) => outcome.admitted += 1,
            other => {
                outcome.wrong.push(format!("{} {form:?} does not admit itself: {other:?}", populated.kind));
                continue;
            }
        }
        vary::each(object, sample.every, &ignored, &mut |variation| {
            let admitted = matches!(recognise(template, &variation.object, &context), Recognition::Match(_));
            match (same::reason(&populated.kind, &variation), admitted) {
                // Refusing what need not be refused is no hole.
                (_, false) => *outcome.refused.entry(variation.change).or_default() += 1,
                (Some(reason), true) => *outcome.same.entry(reason).or_default() += 1,
                (None, true) => outcome.wrong.push(format!(
                    "{} {form:?} {}: {:?} from {} to {} is admitted",
                    populated.kind,
                    variation.path,
                    variation.change,
                    short(&variation.was),
                    short(&variation.now)
                )),
            }
        });
    }
}

fn owned_by_server(populated: &Populated, path: &Path) -> bool {
    match path.steps() {
        [Step::Key(first), Step::Key(second)] if first == "metadata" => SERVER_OWNED.contains(&second.as_str()),
        [Step::Key(first)] if first == "status" => has_status(&populated.kind, &Facts::default()) == Some(true),
        _ => false,
    }
}

fn short(value: &Value) -> String {
    value.to_string().chars().take(80).collect()
}
