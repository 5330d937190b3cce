//! Rounds of samples: which are due, and what came of each.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use policies::library::{Library, TemplateSet};
use policies::object::NamespacedName;
use policies::sample::{places, sample, steady, unasked};
use policies::template::Template;
use tokio::time::Instant;

use crate::cluster::facts::LiveFacts;
use crate::cluster::templates::Templates;

use super::occasions::Occasion;
use super::probe::{Probe, Unsent};
use super::report::{Outcome, Teller, Told};

/// What is new is only believed when it is seen twice: a definition may have changed a moment before our watch of it
/// says so.
const CONFIRM: Duration = Duration::from_millis(750);
/// After something changed, it is looked again so much later: the API server takes a policy in by watches of its own
/// (about a second on 1.36), and others of several servers may be behind.
const LATER: [Duration; 2] = [Duration::from_millis(1_500), Duration::from_secs(6)];
/// How long until a sample is tried again that could not be made, doubled up to the longest.
const FIRST_AGAIN: Duration = Duration::from_secs(30);
const LONGEST_AGAIN: Duration = Duration::from_secs(600);

/// One template in one namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Subject {
    config_map: NamespacedName,
    key: String,
    namespace: String,
}

/// What came of a sample, and of what it was one.
#[derive(Clone, Debug)]
struct Done {
    uid: String,
    hash: String,
    round: u64,
    outcome: Outcome,
    /// When it is tried again, and after how long.
    again: Option<(Instant, Duration)>,
}

/// One sample to be made.
struct Due {
    subject: Subject,
    set: Arc<TemplateSet>,
    template: Arc<Template>,
}

pub(super) struct Rounds {
    probe: Probe,
    teller: Teller,
    done: HashMap<Subject, Done>,
    /// Counts what has a say in every sample.
    round: u64,
    /// When every sample is to be made again.
    later: Vec<Instant>,
    began: bool,
    version: String,
    told: BTreeMap<NamespacedName, Told>,
}

impl Rounds {
    pub(super) fn new(probe: Probe, teller: Teller) -> Self {
        Self {
            probe,
            teller,
            done: HashMap::new(),
            round: 0,
            later: Vec::new(),
            began: true,
            version: String::new(),
            told: BTreeMap::new(),
        }
    }

    /// Takes note of an occasion, for the next round.
    pub(super) fn heed(&mut self, occasion: Occasion) {
        match occasion {
            Occasion::Changed => {
                self.round += 1;
                self.later = LATER.iter().map(|later| Instant::now() + *later).collect();
            }
            Occasion::Began => self.began = true,
        }
    }

    /// Makes the samples that are due, and tells what came of them. Returns when to try again what could not be made.
    pub(super) async fn round(&mut self, templates: &Templates, facts: &LiveFacts) -> Option<Instant> {
        if std::mem::take(&mut self.began) {
            let version = self.probe.version().await;
            if version != self.version {
                self.version = version;
                self.round += 1;
            }
        }
        let waiting = self.later.len();
        self.later.retain(|later| *later > Instant::now());
        if self.later.len() < waiting {
            self.round += 1;
        }
        let Ok(snapshot) = templates.snapshot() else { return Some(Instant::now()) };
        let due = self.due(&snapshot.library);
        let mut suspects = Vec::new();
        for due in due {
            match self.look(&due, facts).await {
                Outcome::Unknown(found) => suspects.push((due, found)),
                outcome => self.keep(&due, outcome),
            }
        }
        if !suspects.is_empty() {
            tokio::time::sleep(CONFIRM).await;
        }
        for (due, first) in suspects {
            let outcome = match self.look(&due, facts).await {
                Outcome::Unknown(second) => match steady(&first, second) {
                    found if found.is_empty() => Outcome::Known,
                    found => Outcome::Unknown(found),
                },
                outcome => outcome,
            };
            self.keep(&due, outcome);
        }
        self.tell(&snapshot.library).await;
        let again = self.done.values().filter_map(|done| done.again.map(|(again, _)| again));
        again.chain(self.later.iter().copied()).min()
    }

    fn due(&mut self, library: &Library) -> Vec<Due> {
        let now = Instant::now();
        let mut due = Vec::new();
        let mut there = BTreeSet::new();
        for set in library.sets.values() {
            for template in set.templates.all() {
                for namespace in places(set, template) {
                    let subject = Subject { config_map: set.name.clone(), key: template.key.clone(), namespace };
                    there.insert(subject.clone());
                    let fresh = self.done.get(&subject).is_some_and(|done| {
                        (&done.uid, &done.hash, done.round) == (&set.uid, &set.hash, self.round)
                            && done.again.is_none_or(|(again, _)| again > now)
                    });
                    if !fresh {
                        due.push(Due { subject, set: Arc::clone(set), template: Arc::clone(template) });
                    }
                }
            }
        }
        self.done.retain(|subject, _| there.contains(subject));
        due.sort_by(|one, other| one.subject.cmp(&other.subject));
        due
    }

    async fn look(&self, due: &Due, facts: &LiveFacts) -> Outcome {
        let facts = match facts.of(&due.template.kind).await {
            Ok(facts) => facts,
            Err(stale) => return Outcome::NotMade(stale.to_string()),
        };
        let namespace = &due.subject.namespace;
        let made = match sample(&due.template, namespace) {
            Ok(made) => made,
            Err(error) => return Outcome::NoSample(error.to_string()),
        };
        // Where the manifest names its namespace, that is where it goes.
        let namespace = made["metadata"]["namespace"].as_str().unwrap_or(namespace).to_owned();
        match self.probe.send(&due.template.kind, &made, &namespace, &facts).await {
            Err(Unsent::NotAllowed(why)) => Outcome::NotAllowed(why),
            Err(Unsent::Refused(why)) => Outcome::NotMade(why),
            Ok((sent, back)) => match unasked(&due.set, &due.template, &sent, &back, &namespace, &facts) {
                Err(reason) => Outcome::NotMade(reason.to_string()),
                Ok(found) if found.is_empty() => Outcome::Known,
                Ok(found) => Outcome::Unknown(found),
            },
        }
    }

    fn keep(&mut self, due: &Due, outcome: Outcome) {
        self.teller.count();
        let before = self.done.get(&due.subject).and_then(|done| done.again).map(|(_, pause)| pause);
        let again = outcome.may_pass().then(|| {
            let pause = before.map_or(FIRST_AGAIN, |pause| (pause * 2).min(LONGEST_AGAIN));
            (Instant::now() + pause, pause)
        });
        tracing::debug!(
            config_map = %due.subject.config_map, template = due.subject.key, namespace = due.subject.namespace,
            outcome = outcome.as_str(), "a sample was made"
        );
        let done = Done { uid: due.set.uid.clone(), hash: due.set.hash.clone(), round: self.round, outcome, again };
        self.done.insert(due.subject.clone(), done);
    }

    /// Tells of each ConfigMap what is new.
    async fn tell(&mut self, library: &Library) {
        let mut all: BTreeMap<NamespacedName, Told> = BTreeMap::new();
        for (subject, done) in &self.done {
            all.entry(subject.config_map.clone()).or_default().add(&subject.key, &done.outcome);
        }
        self.teller.show(self.done.values().map(|done| &done.outcome));
        for (name, told) in &all {
            let Some(set) = library.sets.get(name) else { continue };
            if self.told.get(name).map_or(!told.is_fine(), |before| before != told) {
                self.teller.tell(set, told, &self.version).await;
            }
        }
        self.told = all;
    }
}
