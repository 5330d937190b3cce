//! Reads one ConfigMap.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::accounts::Accounts;
use super::annotations::{self, Settings};
use super::work::Work;
use super::{Problem, Severity, TemplateSet, Templates, Weight, alike};
use crate::budget::{Budget, Exhausted};
use crate::collectable::{self, Need};
use crate::keys;
use crate::lifetime::Lifetime;
use crate::object::NamespacedName;
use crate::parameter::Parameters;
use crate::template::{self, Before, Hole, Pattern, Placement, Template};
use crate::yaml::Node;

/// The most steps of one ConfigMap: about a second of one core.
pub(crate) const MOST_STEPS: u64 = 200_000_000;
/// The most steps of one of its keys.
const MOST_STEPS_OF_KEY: u64 = 120_000_000;

/// Who is told of each key's documents as they are compiled: what is read once need not be read again.
pub(crate) type Seen<'s> = &'s mut dyn FnMut(&str, &[Node], &Parameters);

pub(crate) fn load(config_map: &Value, budget: &Budget, seen: Seen<'_>) -> TemplateSet {
    let metadata = &config_map["metadata"];
    let text = |key: &str| metadata[key].as_str().unwrap_or_default().to_owned();
    let name = NamespacedName::new(text("namespace"), text("name"));
    let nothing = Map::new();
    let annotations = metadata["annotations"].as_object().unwrap_or(&nothing);
    let mut problems = Vec::new();
    if metadata["labels"][keys::TEMPLATES] != "true" {
        problems.push(Problem::error(
            None,
            None,
            format!("not labelled {}=\"true\": without the label this is no template ConfigMap", keys::TEMPLATES),
        ));
    }
    let settings = annotations::read(annotations, &name.namespace, budget, &mut problems);
    let data = texts(config_map, &mut problems);
    let (before, mut work) = (budget.left(), Work::of(budget));
    let parameters = parameters(&data, budget, &mut problems);
    work.add(keys::PARAMETERS_KEY, before, None);
    let mut set = TemplateSet {
        name,
        uid: text("uid"),
        version: text("resourceVersion"),
        hash: hash(&data, annotations),
        masters: settings.masters.clone(),
        duration: settings.duration,
        max_dependents: settings.max_dependents,
        allow: settings.allow.clone(),
        allow_masters: settings.allow_masters,
        accepted: settings.accepted.clone(),
        templates: Templates::with(data.get(keys::PARAMETERS_KEY).copied()),
        namespaces: Arc::default(),
        needs: Vec::new(),
        problems,
        weight: Weight::default(),
    };
    let mut templates = Vec::new();
    if set.errors().next().is_none() {
        let compiled = compile(&mut set, &settings, &data, &parameters, &mut work, seen);
        match places(&set, &compiled, budget) {
            Ok((namespaces, needs)) => (set.namespaces, set.needs) = (namespaces, needs),
            Err(Exhausted) => {
                let message = "these masters are in more namespaces, for the kinds that the templates make, than are kept of \
                               one ConfigMap: name fewer masters, or split the ConfigMap by kind";
                set.problems.push(Problem::error(Some(keys::MASTERS), None, message));
                set.templates = Templates::default();
            }
        }
        uncounted(&mut set, &compiled);
        untimely(&mut set, &compiled);
        unmet(&mut set);
        templates = compiled;
    }
    if set.errors().next().is_none() {
        set.problems.extend(work.warnings());
    }
    // Stable: what is wrong first, then what will be regretted, each in order of key and line.
    set.problems
        .sort_by(|one, other| (one.severity, &one.key, one.line).cmp(&(other.severity, &other.key, other.line)));
    set.weight = Weight::of(&set, data.values().copied(), &parameters, &templates);
    set
}

/// Where the templates make something, and what the collector must be able to delete there.
fn places(
    set: &TemplateSet,
    templates: &[Template],
    budget: &Budget,
) -> Result<(Arc<BTreeSet<String>>, Vec<Need>), Exhausted> {
    let needs = collectable::needs(set, templates, budget)?;
    let mut all = BTreeSet::new();
    let mut of_masters = false;
    for template in templates {
        match named(template) {
            Some(namespace) => all.extend([namespace.to_owned()]),
            None => of_masters = true,
        }
    }
    if of_masters {
        all.extend(set.master_namespaces());
    }
    Ok((alike(all), needs))
}

/// The namespace that a template names.
pub(crate) fn named(template: &Template) -> Option<&str> {
    match &template.placement {
        Placement::Named(Pattern::Literal(Value::String(namespace))) => Some(namespace),
        // Text with holes: wherever it may lead, it is at least told where its masters are.
        Placement::MasterNamespace | Placement::Named(_) => None,
    }
}

/// The webhook may not list Secrets, so it cannot count them.
fn uncounted(set: &mut TemplateSet, compiled: &[Template]) {
    if set.max_dependents.is_none() {
        return;
    }
    let is_secret = |template: &&Template| template.kind.group.is_empty() && template.kind.kind == "Secret";
    for template in compiled.iter().filter(is_secret) {
        set.problems.push(Problem::warning(
            Some(&template.key),
            Some(template.line),
            format!(
                "{} does not count Secrets, since retinue may not read them: bound them with a ResourceQuota (count/secrets)",
                keys::MAX_DEPENDENTS
            ),
        ));
    }
}

/// Notices that come as soon as there is something to notice. What a hole, or the pod that uses the template, will say is
/// not known here.
fn untimely(set: &mut TemplateSet, compiled: &[Template]) {
    for template in compiled {
        let own = match &template.duration {
            Some(pattern) => match pattern.lifetime() {
                Some(Lifetime::Unlimited) | None => continue,
                own => own,
            },
            None => None,
        };
        let life = Lifetime::shortest(own, set.duration);
        let before = template.notify_before.as_ref().and_then(Pattern::lifetime);
        if let (Some(Lifetime::Seconds(before)), Some(Lifetime::Seconds(life))) = (before, life)
            && before >= life
        {
            let message = format!(
                "{} is {before} s and what is made lives {life} s, so the notice comes as soon as it is made: shorten the \
                 one or lengthen the other ({})",
                keys::NOTIFY_BEFORE,
                keys::DURATION
            );
            set.problems.push(Problem::warning(Some(&template.key), Some(template.line), message));
        }
    }
}

/// Accepted rows of kinds that no template here makes.
fn unmet(set: &mut TemplateSet) {
    let rows = set.accepted.rows().iter().filter(|row| !set.templates.has(&row.kind));
    let problems: Vec<_> = rows
        .map(|row| {
            let message = format!("accepts {} of a {}, but no template here makes one", row.path, row.kind);
            Problem::warning(Some(keys::ACCEPT), None, message)
        })
        .collect();
    set.problems.extend(problems);
}

fn texts<'a>(config_map: &'a Value, problems: &mut Vec<Problem>) -> BTreeMap<&'a str, &'a str> {
    let mut found = BTreeMap::new();
    match &config_map["data"] {
        Value::Object(data) => {
            for (key, value) in data {
                match value.as_str() {
                    Some(text) => {
                        found.insert(key.as_str(), text);
                    }
                    None => problems.push(Problem::error(
                        Some(key),
                        None,
                        "the value of a data key is text: write it as a block (key: |)",
                    )),
                }
            }
        }
        Value::Null => {}
        _ => problems.push(Problem::error(None, None, "data is a map of texts")),
    }
    if config_map["binaryData"].as_object().is_some_and(|binary| !binary.is_empty()) {
        problems.push(Problem::warning(None, None, "binaryData is not read: templates are text, under data"));
    }
    if found.keys().all(|key| *key == keys::PARAMETERS_KEY) {
        problems.push(Problem::warning(None, None, "no template is here: write manifests under data"));
    }
    found
}

fn parameters(data: &BTreeMap<&str, &str>, budget: &Budget, problems: &mut Vec<Problem>) -> Arc<Parameters> {
    let parsed = data.get(keys::PARAMETERS_KEY).map(|text| Parameters::parse_within(text, budget));
    match parsed {
        None => Arc::default(),
        Some(Ok(parameters)) => Arc::new(parameters),
        Some(Err(errors)) => {
            problems.extend(
                errors
                    .into_iter()
                    .map(|error| Problem::error(Some(keys::PARAMETERS_KEY), Some(error.line), error.message)),
            );
            Arc::default()
        }
    }
}

/// Hex of the first half of SHA-256 over the data and retinue's annotations: what decides what is admitted.
fn hash(data: &BTreeMap<&str, &str>, annotations: &Map<String, Value>) -> String {
    let mut hash = Sha256::new();
    let mut add = |text: &str| {
        hash.update(text.len().to_le_bytes());
        hash.update(text);
    };
    for (key, text) in data {
        add(key);
        add(text);
    }
    add("");
    let mut ours: Vec<_> = annotations.iter().filter(|(key, _)| key.starts_with(keys::PREFIX)).collect();
    ours.sort_by_key(|(key, _)| key.as_str());
    for (key, value) in ours {
        add(key);
        add(value.as_str().unwrap_or_default());
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Reads and checks every template. What can be used is put into the set, as text; what it is like is returned.
fn compile(
    set: &mut TemplateSet,
    settings: &Settings,
    data: &BTreeMap<&str, &str>,
    parameters: &Arc<Parameters>,
    work: &mut Work<'_>,
    seen: Seen<'_>,
) -> Vec<Template> {
    let budget = work.budget;
    let mut all = Vec::new();
    let accounts = Accounts::of(settings);
    let whole = template::Shared::of(budget);
    let mut uncompiled = None;
    for (key, text) in data.iter().filter(|(key, _)| **key != keys::PARAMETERS_KEY) {
        if budget.is_used_up() {
            set.problems.push(Problem::error(
                Some(key),
                None,
                uncompiled.get_or_insert_with(|| work.uncompiled()).clone(),
            ));
            continue;
        }
        let before = budget.left();
        let compiled = budget.part(MOST_STEPS_OF_KEY, |budget| match template::documents(text, budget) {
            Ok(documents) => {
                seen(key, &documents, parameters);
                template::read(key, &documents, parameters, Before::Never, &whole.part(budget))
            }
            Err(error) => error.into(),
        });
        work.add(key, before, compiled.dearest);
        set.problems.extend(
            compiled.errors.into_iter().map(|error| Problem::error(Some(key), Some(error.line), error.message)),
        );
        let mut usable = Vec::new();
        for template in compiled.templates {
            match accounts.runs_as_master(&template, &set.name.namespace) {
                Some(message) => set.problems.push(Problem::error(Some(key), Some(template.line), message)),
                None => {
                    usable.push((Arc::clone(&template.kind), template.key.as_str().into()));
                    all.push(template);
                }
            }
        }
        set.templates.put(key, text, usable, before - budget.left());
    }
    set.templates.complete();
    if set.problems.iter().all(|problem| problem.severity != Severity::Error) {
        unused(&all, parameters, &mut set.problems);
    }
    all
}

/// Parameters that no template uses: a typo in a hole, most often.
fn unused(templates: &[Template], parameters: &Parameters, problems: &mut Vec<Problem>) {
    let mut used = vec![false; parameters.all.len()];
    for template in templates {
        let placement = match &template.placement {
            Placement::Named(pattern) => Some(pattern),
            Placement::MasterNamespace => None,
        };
        let patterns = [&template.duration, &template.keep_finished, &template.notify_before].map(Option::as_ref);
        let patterns = [Some(&template.pattern), placement].into_iter().chain(patterns);
        for hole in patterns.flatten().flat_map(Pattern::holes) {
            if let Hole::Declared(position) = hole {
                used[position] = true;
            }
        }
    }
    for (parameter, _) in parameters.all.iter().zip(used).filter(|(_, used)| !used) {
        problems.push(Problem::warning(
            Some(keys::PARAMETERS_KEY),
            Some(parameter.line),
            format!(
                "parameter {} is not used: write ${{{}}} in a template, or remove it",
                parameter.name, parameter.name
            ),
        ));
    }
}
