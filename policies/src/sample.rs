//! A sample of what a template makes: any parameters will do. What the API server makes of the sample says what it
//! adds that the tables do not know.

mod values;

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use crate::accept::{self, Row};
use crate::budget::Budget;
use crate::difference::{Difference, Expected, Got, Path};
use crate::library::TemplateSet;
use crate::parameter::Bindings;
use crate::recognise::uses;
use crate::render::{RenderError, render};
use crate::tables::{CouldNotTell, Facts, Form, compare, complete, inject, labels_of_template};
use crate::template::{Given, Placement, Template};

/// The most steps of making up the values of one sample.
const MOST_STEPS: u64 = 10_000_000;

/// Why there is no sample of a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSample {
    /// No value could be made up that a parameter's schema accepts.
    #[error("no sample value could be made up for the parameter {0}: give it a default, which is taken for the sample")]
    Value(String),
    /// The template cannot be rendered with sample values.
    #[error("it cannot be rendered with sample values: {0}")]
    Render(#[from] RenderError),
}

/// A sample of `template` for a master of `namespace`. Parameters are at their default, or at the first value that can
/// be made up of their schema. The same for the same template.
///
/// # Errors
/// [`NoSample`], for people.
pub fn sample(template: &Template, namespace: &str) -> Result<Value, NoSample> {
    let mut used = uses(&template.pattern);
    if let Placement::Named(pattern) = &template.placement {
        used.extend(uses(pattern));
    }
    let budget = Budget::of(MOST_STEPS);
    let mut declared = vec![None; template.parameters.all.len()];
    for position in used {
        let (Some(parameter), Some(slot)) = (template.parameters.all.get(position), declared.get_mut(position)) else {
            continue;
        };
        let value = parameter.default.clone().or_else(|| values::of_parameter(parameter, &budget));
        match value {
            Some(value) => *slot = Some(value),
            // Left out, as a master may.
            None if parameter.optional => {}
            None => return Err(NoSample::Value(parameter.name.clone())),
        }
    }
    let mut sample = render(template, &Bindings { declared, given: given(namespace) })?;
    // A Job without labels is given those of its pods (`SetDefaults_Job` in pkg/apis/batch/v1/defaults.go), and not a copy but
    // the same map. What is generated for the pods (`generateSelector` in pkg/registry/batch/job/strategy.go) then shows on the
    // Job too, unless something changes the object on its way, as the stamp does to what a master creates.
    if (template.kind.group.as_str(), template.kind.kind.as_str()) == ("batch", "Job")
        && let Some(job) = sample.as_object_mut()
    {
        labels_of_template(job);
    }
    Ok(sample)
}

/// A master that is none: nothing refers to it, since a sample is never stored.
fn given(namespace: &str) -> BTreeMap<Given, String> {
    let uid = "00000000-0000-4000-8000-000000000000";
    let value = |given| match given {
        Given::MasterName | Given::PodName => "sample",
        Given::MasterNamespace => namespace,
        Given::MasterUid | Given::PodUid => uid,
        // Of those that documents use (RFC 5737).
        Given::PodIp => "192.0.2.1",
    };
    Given::ALL.into_iter().map(|given| (given, value(given).to_owned())).collect()
}

/// Where the samples of a template go: the namespaces of its masters.
pub fn places(set: &TemplateSet, template: &Template) -> Vec<String> {
    set.places(template).into_iter().collect()
}

/// What came back unasked.
#[derive(Clone, Debug, PartialEq)]
pub enum Unasked {
    /// Something that neither the template nor the tables say: an admin can accept exactly this row.
    Row(Row),
    /// Something that no row can accept: the cluster changes or removes what the template says.
    Changed(Difference),
}

impl Unasked {
    /// Where.
    pub fn path(&self) -> &Path {
        match self {
            Self::Row(row) => &row.path,
            Self::Changed(difference) => &difference.path,
        }
    }
}

/// What the API server made of `sent`, a sample of `template`, that neither the tables nor the ConfigMap's accepted
/// rows know. `came_back` is what a create with dry run answered.
///
/// # Errors
/// When that depends on a live object that is not among facts that were told.
pub fn unasked(
    set: &TemplateSet,
    template: &Template,
    sent: &Value,
    came_back: &Value,
    namespace: &str,
    facts: &Facts,
) -> Result<Vec<Unasked>, CouldNotTell> {
    let accepted = set.accepted.without(template, came_back, facts);
    let mut found = differences(template, sent, came_back, namespace, facts)?;
    // As when it is recognised: the rows count only where it is not right without them.
    if !found.is_empty()
        && let Some(accepted) = accepted
    {
        found = differences(template, sent, &accepted, namespace, facts)?;
    }
    let found = found.into_iter().flat_map(accept::apart);
    let found = found.map(|difference| match Row::of(template, &difference) {
        Some(row) => Unasked::Row(row),
        None => Unasked::Changed(difference),
    });
    Ok(found.collect())
}

fn differences(
    template: &Template,
    sent: &Value,
    came_back: &Value,
    namespace: &str,
    facts: &Facts,
) -> Result<Vec<Difference>, CouldNotTell> {
    let kind = &template.kind;
    let mut expected = sent.clone();
    complete(kind, &mut expected, facts);
    inject(kind, &mut expected, came_back, Form::Validating, namespace, facts)?;
    let mut seen = came_back.clone();
    complete(kind, &mut seen, facts);
    Ok(compare(kind, &expected, &seen, facts))
}

/// What two samples, one after the other, both show: what differs from one to the next is of the moment, and a row of
/// it would never be met again.
pub fn steady(first: &[Unasked], second: Vec<Unasked>) -> Vec<Unasked> {
    let mut by_path = HashMap::with_capacity(first.len());
    for before in first {
        by_path.entry(before.path()).or_insert(before);
    }
    let again = |found: Unasked| match by_path.get(found.path()) {
        None => None,
        Some(before) if **before == found => Some(found),
        Some(_) => {
            let got = match &found {
                Unasked::Row(row) => Got::Value(row.value.clone()),
                Unasked::Changed(difference) => difference.got.clone(),
            };
            let expected = Expected::Described("the same value each time".into());
            Some(Unasked::Changed(Difference { path: found.path().clone(), expected, got }))
        }
    };
    second.into_iter().filter_map(again).collect()
}

#[cfg(test)]
mod tests;
