//! Rounds of samples: which are due, and what came of each.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use policies::library::{Library, TemplateSet};
use policies::object::NamespacedName;
use policies::sample::{Unasked, places, sample, steady, unasked};
use policies::template::{Pattern, Placement, Template};
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

/// In how many namespaces a ConfigMap's templates are sampled at most: ten each, and a hundred together if they are few. A
/// ConfigMap may name tens of thousands.
const PLACES_OF_TEMPLATE: usize = 10;
const PLACES: usize = 100;
/// How much is kept of why there is no sample, in bytes.
const WHY: usize = 300;

/// One template in one namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Subject {
    config_map: Arc<NamespacedName>,
    key: Arc<str>,
    namespace: Arc<str>,
}

type Namespaces = Arc<[Arc<str>]>;

/// What one sample showed that nobody knows; it is only believed when it is seen twice.
type Suspect = (Subject, Vec<Unasked>);

/// The samples of one ConfigMap.
#[derive(Debug)]
struct Plan {
    uid: String,
    hash: String,
    subjects: Vec<Subject>,
    /// Of so many more none is made.
    left: usize,
}

impl Plan {
    fn is_of(&self, set: &TemplateSet) -> bool {
        (&self.uid, &self.hash) == (&set.uid, &set.hash)
    }

    /// Each template in its first namespace, then each in its second one, and so on.
    fn of(set: &TemplateSet, templates: &[Template]) -> Self {
        let config_map = Arc::new(set.name.clone());
        let most = PLACES.max(PLACES_OF_TEMPLATE.saturating_mul(templates.len()));
        let mut shared = None;
        let all: Vec<(Arc<str>, Namespaces)> = templates
            .iter()
            .map(|template| {
                let find = || places(set, template).into_iter().map(Arc::from).collect();
                let namespaces: Namespaces = match &template.placement {
                    Placement::Named(Pattern::Literal(_)) => find(),
                    // Those of its masters, which may be many.
                    Placement::MasterNamespace | Placement::Named(_) => Arc::clone(shared.get_or_insert_with(find)),
                };
                (template.key.as_str().into(), namespaces)
            })
            .collect();
        let total: usize = all.iter().map(|(_, namespaces)| namespaces.len()).sum();
        let longest = all.iter().map(|(_, namespaces)| namespaces.len()).max().unwrap_or_default();
        let turns = (0..longest).flat_map(|turn| all.iter().filter_map(move |(key, all)| Some((key, all.get(turn)?))));
        let subjects: Vec<_> = turns
            .take(most)
            .map(|(key, namespace)| Subject {
                config_map: Arc::clone(&config_map),
                key: Arc::clone(key),
                namespace: Arc::clone(namespace),
            })
            .collect();
        let left = total - subjects.len();
        Self { uid: set.uid.clone(), hash: set.hash.clone(), subjects, left }
    }
}

/// What came of a sample.
#[derive(Clone, Debug)]
struct Done {
    round: u64,
    outcome: Outcome,
    /// When it is tried again, and after how long.
    again: Option<(Instant, Duration)>,
}

pub(super) struct Rounds {
    probe: Probe,
    teller: Teller,
    plans: HashMap<Arc<NamespacedName>, Plan>,
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
            plans: HashMap::new(),
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
        let mut sets: Vec<_> = snapshot.library.sets.values().collect();
        sets.sort_by_key(|set| &set.name);
        let mut suspects: Vec<(&Arc<TemplateSet>, Vec<Suspect>)> = Vec::new();
        for set in &sets {
            // The templates of one ConfigMap at a time are compiled: together they may take gigabytes.
            let Some((subjects, templates)) = self.due(set) else { continue };
            let (by_key, mut found) = (by_key(&templates), Vec::new());
            for subject in subjects {
                let Some(template) = by_key.get(&*subject.key) else { continue };
                match self.look(set, template, &subject, facts).await {
                    Outcome::Unknown(unknown) => found.push((subject, unknown)),
                    outcome => self.keep(&subject, outcome),
                }
            }
            if !found.is_empty() {
                suspects.push((set, found));
            }
        }
        if !suspects.is_empty() {
            tokio::time::sleep(CONFIRM).await;
        }
        for (set, found) in suspects {
            let templates = set.templates.apart();
            let by_key = by_key(&templates);
            for (subject, first) in found {
                let Some(template) = by_key.get(&*subject.key) else { continue };
                let outcome = match self.look(set, template, &subject, facts).await {
                    Outcome::Unknown(second) => match steady(&first, second) {
                        found if found.is_empty() => Outcome::Known,
                        found => Outcome::Unknown(found),
                    },
                    outcome => outcome,
                };
                self.keep(&subject, outcome);
            }
        }
        self.forget(&snapshot.library);
        self.tell(&snapshot.library).await;
        let again = self.done.values().filter_map(|done| done.again.map(|(again, _)| again));
        again.chain(self.later.iter().copied()).min()
    }

    /// What of a ConfigMap is to be sampled now, and its templates; none where nothing is.
    fn due(&mut self, set: &TemplateSet) -> Option<(Vec<Subject>, Vec<Template>)> {
        let now = Instant::now();
        let plan = self.plans.get(&set.name).filter(|plan| plan.is_of(set));
        let is_due = |subject: &&Subject| {
            !self
                .done
                .get(*subject)
                .is_some_and(|done| done.round == self.round && done.again.is_none_or(|(again, _)| again > now))
        };
        if let Some(plan) = plan {
            let due: Vec<_> = plan.subjects.iter().filter(is_due).cloned().collect();
            return if due.is_empty() { None } else { Some((due, set.templates.apart())) };
        }
        let templates = set.templates.apart();
        let plan = Plan::of(set, &templates);
        if let Some(before) = self.plans.remove(&set.name) {
            before.subjects.iter().for_each(|subject| drop(self.done.remove(subject)));
        }
        if plan.left > 0 {
            tracing::info!(
                config_map = %set.name, left = plan.left,
                "its masters are in so many namespaces that not all of its templates are sampled in all of them"
            );
        }
        let due = plan.subjects.clone();
        self.plans.insert(Arc::new(set.name.clone()), plan);
        Some((due, templates))
    }

    /// Forgets what is there no longer.
    fn forget(&mut self, library: &Library) {
        let Self { plans, done, .. } = self;
        plans.retain(|name, plan| {
            let stays = library.sets.contains_key(name);
            if !stays {
                plan.subjects.iter().for_each(|subject| drop(done.remove(subject)));
            }
            stays
        });
    }

    async fn look(&self, set: &TemplateSet, template: &Template, subject: &Subject, facts: &LiveFacts) -> Outcome {
        let facts = match facts.of(&template.kind).await {
            Ok(facts) => facts,
            Err(stale) => return Outcome::NotMade(stale.to_string()),
        };
        let namespace = &*subject.namespace;
        let made = match sample(template, namespace) {
            Ok(made) => made,
            Err(error) => return Outcome::NoSample(error.to_string()),
        };
        // Where the manifest names its namespace, that is where it goes.
        let namespace = made["metadata"]["namespace"].as_str().unwrap_or(namespace).to_owned();
        match self.probe.send(&template.kind, &made, &namespace, &facts).await {
            Err(Unsent::NotAllowed(why)) => Outcome::NotAllowed(why),
            Err(Unsent::Refused(why)) => Outcome::NotMade(why),
            Ok((sent, back)) => match unasked(set, template, &sent, &back, &namespace, &facts) {
                Err(reason) => Outcome::NotMade(reason.to_string()),
                Ok(found) if found.is_empty() => Outcome::Known,
                Ok(found) => Outcome::Unknown(found),
            },
        }
    }

    fn keep(&mut self, subject: &Subject, outcome: Outcome) {
        self.teller.count();
        let before = self.done.get(subject).and_then(|done| done.again).map(|(_, pause)| pause);
        let again = outcome.may_pass().then(|| {
            let pause = before.map_or(FIRST_AGAIN, |pause| (pause * 2).min(LONGEST_AGAIN));
            (Instant::now() + pause, pause)
        });
        tracing::debug!(
            config_map = %subject.config_map, template = %subject.key, namespace = %subject.namespace,
            outcome = outcome.as_str(), "a sample was made"
        );
        let done = Done { round: self.round, outcome: outcome.at_most(WHY), again };
        self.done.insert(subject.clone(), done);
    }

    /// Tells of each ConfigMap what is new.
    async fn tell(&mut self, library: &Library) {
        let mut all: BTreeMap<NamespacedName, Told> = BTreeMap::new();
        for (subject, done) in &self.done {
            all.entry(NamespacedName::clone(&subject.config_map)).or_default().add(&subject.key, &done.outcome);
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

fn by_key(templates: &[Template]) -> HashMap<&str, &Template> {
    templates.iter().map(|template| (template.key.as_str(), template)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    fn set(masters: usize, templates: usize) -> TemplateSet {
        let masters: Vec<String> = (0..masters).map(|number| format!("n{number:05}/master")).collect();
        let data: serde_json::Map<_, _> = (0..templates)
            .map(|number| {
                (format!("t{number:04}.yaml"), "{apiVersion: v1, kind: ConfigMap, metadata: {name: x}}".into())
            })
            .collect();
        TemplateSet::load(&json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": data,
            "metadata": {
                "name": "t", "namespace": "trading", "labels": {"fledged.io/templates": "true"},
                "annotations": {"fledged.io/masters": masters.join(",")},
            },
        }))
    }

    #[test]
    fn threat_54_samples_of_one_config_map_are_bounded_however_many_masters_it_names() {
        for (masters, templates, made) in
            [(1, 1, 1), (30, 3, 90), (5_000, 1, 100), (5_000, 3, 100), (5_000, 200, 2_000)]
        {
            let set = set(masters, templates);
            let templates = set.templates.apart();
            let plan = Plan::of(&set, &templates);
            assert_eq!(plan.subjects.len(), made, "{masters} masters");
            assert_eq!(plan.left, masters * templates.len() - made);
            // Each template, in as many namespaces as any other, or one fewer.
            let mut by_key: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
            for subject in &plan.subjects {
                by_key.entry(&subject.key).or_default().insert(&subject.namespace);
            }
            let counts: BTreeSet<_> = by_key.values().map(BTreeSet::len).collect();
            assert_eq!(by_key.len(), templates.len());
            assert!(
                counts.len() <= 2 && counts.last().zip(counts.first()).is_some_and(|(most, least)| most - least <= 1)
            );
            assert_eq!(set.templates.compiled(), 0, "nothing of it is kept");
        }
    }
}
