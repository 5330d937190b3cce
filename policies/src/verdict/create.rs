//! CREATE. Mutating: recognise and stamp. Validating: recognise the final object again from scratch and check the
//! stamp; nothing is taken over from the first phase.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::accept::{self, Row};
use crate::caller::Caller;
use crate::difference::{Difference, Expected, Got, Path};
use crate::lifetime::Lifetime;
use crate::object::Gvk;
use crate::parameter::Bindings;
use crate::recognise::{self, Context, Marked, Miss, Prepared, Recognition};
use crate::request::{Phase, Request};
use crate::stamp::{self, Marking, Marks, Record, StampedObject, StampedPod, StampedTemplate};
use crate::template::{Owner, Placement, Template};
use crate::{collectable, keys, render};

use super::grant::{self, Candidate, Instructed};
use super::own::name_of;
use super::{Admission, Cause, Ground, Identity, Refusal, Situation, Subject, caller, form, generated, inspect, owner};

/// How far a deadline may lie beyond what this phase computes: the API server's clock is read from a header with whole
/// seconds, and each phase may have read another one.
const CLOCK_GRAIN_SECONDS: i64 = 2;

/// How long a row may be that a refusal spells out, in bytes.
const LONGEST_ROW: usize = 400;

pub(crate) fn judge(request: &Request, situation: &Situation) -> Result<Admission, Refusal> {
    let caller = caller(situation)?;
    let Some(object) = &request.object else {
        return Err(Refusal::new(Cause::Malformed, "the review carries no object"));
    };
    let namespace = request.namespace.as_deref().unwrap_or_default();
    if caller.pod.terminating {
        return Err(Refusal::new(
            Cause::Identity,
            format!(
                "pod {} is being deleted; it may still delete what it launched, but launch nothing",
                caller.pod.name
            ),
        ));
    }
    inspect::never(&request.kind, object)?;
    let candidates = grant::candidates(situation, caller, &request.kind)?;
    let accepted = owner::sent(object, namespace, caller, situation)?;
    let stamp = read_stamp(request, situation, object, namespace)?;
    let given = situation.given(caller);
    let context = Context { form: form(request, situation), namespace, given: &given, facts: &situation.facts };
    let attempted = Attempted { caller, object, prepared: OnceCell::new(), context };
    let named = |candidate: &Candidate<'_>| {
        stamp.as_ref().is_none_or(|stamp| {
            let named = &stamp.record.template;
            named.config_map == candidate.set.name && named.key == candidate.template.key
        })
    };
    let candidates = candidates.into_iter().filter(named);
    let admit = |candidate: Candidate<'_>, bindings, instructed, moved: Option<Value>| {
        let grant = Grant { candidate, bindings, instructed, owner: accepted, stamp: stamp.as_ref() };
        let mut admission = grant.admit(request, situation, caller, moved.as_ref().unwrap_or(object))?;
        if let (Some(sidecars), Some(moved), Some(patch)) = (&candidate.template.sidecars, &moved, &mut admission.patch)
        {
            patch.0.splice(0..0, sidecars.patch(moved));
        }
        Ok(admission)
    };
    let mut nearest = Nearest::default();
    let mut skipped = Vec::new();
    for (position, candidate) in candidates.enumerate() {
        let moved = moved(request, &candidate, object);
        let anew = moved.as_ref().map(|moved| attempted.of(moved));
        let attempted = anew.as_ref().unwrap_or(&attempted);
        match attempted.by_shortcut(&candidate) {
            // Among many variants nearly all differ at first sight. In what is told only where none admits it.
            Err(Miss::Sure) => skipped.push((position, candidate, moved)),
            bindings => match attempted.by(&candidate, bindings.ok())? {
                Attempt::Matches(bindings, instructed) => return admit(candidate, bindings, instructed, moved),
                Attempt::Differs(differences) => nearest.consider(position, candidate, differences, moved),
            },
        }
    }
    for (position, candidate, moved) in skipped {
        let anew = moved.as_ref().map(|moved| attempted.of(moved));
        match anew.as_ref().unwrap_or(&attempted).by(&candidate, None)? {
            Attempt::Matches(bindings, instructed) => return admit(candidate, bindings, instructed, moved),
            Attempt::Differs(differences) => nearest.consider(position, candidate, differences, moved),
        }
    }
    let refusal = match nearest.0 {
        Some(near) => refused_by(near),
        None => Refusal::new(
            Cause::Stamp,
            "its stamp names a template that this pod may not use; only the mutating webhook writes stamps",
        ),
    };
    Err(grant::while_compiling(refusal, situation, caller))
}

/// The object as it will be stored, where a template moves sidecars of it. What comes to the validating phase was moved.
fn moved(request: &Request, candidate: &Candidate<'_>, object: &Value) -> Option<Value> {
    let sidecars = candidate.template.sidecars.as_ref().filter(|_| request.phase == Phase::Mutating)?;
    sidecars.moved(object)
}

/// The template that differs least so far, the first of several.
#[derive(Default)]
struct Nearest<'a>(Option<Near<'a>>);

/// How an object differs from a template that does not admit it.
struct Near<'a> {
    /// How much, and the template's position.
    rank: (usize, usize),
    candidate: Candidate<'a>,
    differences: Vec<Difference>,
    /// The object as it was moved to be held against it.
    moved: Option<Value>,
}

impl<'a> Nearest<'a> {
    fn consider(
        &mut self,
        position: usize,
        candidate: Candidate<'a>,
        differences: Vec<Difference>,
        moved: Option<Value>,
    ) {
        let rank = (distance(&differences), position);
        if self.0.as_ref().is_none_or(|best| rank < best.rank) {
            self.0 = Some(Near { rank, candidate, differences, moved });
        }
    }
}

/// The refusal by the nearest template.
fn refused_by(Near { candidate, differences, moved, .. }: Near<'_>) -> Refusal {
    let (name, key) = (candidate.set.name.clone(), candidate.template.key.as_str());
    let reason = format!("no template admits it. The nearest is {key} of ConfigMap {name}:");
    let row = added(candidate.template, &differences);
    let differences = as_sent(candidate.template, moved.as_ref(), differences);
    let refusal = Refusal::new(Cause::Template, reason)
        .by_template(name.clone(), key, differences)
        .advise(&format!("Send what the template describes, or ask the admin of {name} to describe this."));
    match row {
        None => refusal,
        Some(row) => refusal.advise(&format!(
            "If the cluster adds {} and the sender does not, the admin can accept exactly that, as a row of the \
             annotation {}:\n  {}",
            row.path,
            keys::ACCEPT,
            row.line()
        )),
    }
}

/// The differences of an object that was perhaps moved, where its sender wrote what differs.
pub(crate) fn as_sent(template: &Template, moved: Option<&Value>, differences: Vec<Difference>) -> Vec<Difference> {
    match (&template.sidecars, moved) {
        (Some(sidecars), Some(moved)) => sidecars.as_sent(moved, differences),
        _ => differences,
    }
}

/// The first row that would be accepted, where there is nothing else: too much, and nothing that is wrong or missing.
fn added(template: &Template, differences: &[Difference]) -> Option<Row> {
    let mut rows = Vec::new();
    for difference in differences {
        if difference.expected != Expected::Nothing {
            return None;
        }
        for difference in accept::apart(difference.clone()) {
            rows.push(Row::of(template, &difference)?);
        }
    }
    rows.into_iter().next().filter(|row| row.line().len() <= LONGEST_ROW)
}

/// How telling a set of differences is: a template for another name is further away than one with another field.
fn distance(differences: &[Difference]) -> usize {
    let name = Path::root().key("metadata").key("name");
    differences.iter().map(|difference| if difference.path == name { 10 } else { 1 }).sum()
}

/// The stamp in the validating phase, which must be there; none in the mutating phase, which writes it.
fn read_stamp(
    request: &Request,
    situation: &Situation,
    object: &Value,
    namespace: &str,
) -> Result<Option<stamp::Stamp>, Refusal> {
    if request.phase == Phase::Mutating || situation.identity == Identity::Assumed {
        return Ok(None);
    }
    let name = request.name.as_deref().filter(|name| !name.is_empty()).unwrap_or(name_of(object));
    match stamp::read(Marks::of(object), &request.kind, namespace, name) {
        Ok(Some(stamp)) => Ok(Some(stamp)),
        Ok(None) => Err(Refusal::new(
            Cause::Stamp,
            "it carries no stamp; the mutating webhook writes it, is its configuration installed?",
        )),
        Err(error) => Err(Refusal::new(Cause::Stamp, error.to_string())),
    }
}

/// The object as recognition sees it: without stamp, instructions, and owners (judged by identity).
pub(crate) fn bare(object: &Value) -> Value {
    let Value::Object(fields) = object else { return object.clone() };
    let bare = fields.iter().map(|(name, value)| match (name.as_str(), value) {
        ("metadata", Value::Object(metadata)) => (name.clone(), bare_metadata(metadata)),
        _ => (name.clone(), value.clone()),
    });
    Value::Object(bare.collect())
}

/// Without the server's notes either, which nothing compares and which are as long as the rest.
fn bare_metadata(metadata: &Map<String, Value>) -> Value {
    let fields = metadata.iter().filter_map(|(name, value)| match (name.as_str(), value) {
        ("ownerReferences" | "managedFields", _) => None,
        ("labels" | "annotations", Value::Object(map)) => {
            let kept = map.iter().filter(|(key, _)| !keys::is_aside(name, key));
            let kept: Map<_, _> = kept.map(|(key, value)| (key.clone(), value.clone())).collect();
            (map.is_empty() || !kept.is_empty()).then(|| (name.clone(), Value::Object(kept)))
        }
        _ => Some((name.clone(), value.clone())),
    });
    Value::Object(fields.collect())
}

enum Attempt {
    Matches(Bindings, Instructed),
    Differs(Vec<Difference>),
}

/// One object, held against one candidate after the other.
struct Attempted<'a> {
    caller: &'a Caller,
    object: &'a Value,
    /// The object as it is seen the long way; the shortcut passes over what is not part of it.
    prepared: OnceCell<Prepared>,
    context: Context<'a>,
}

impl<'a> Attempted<'a> {
    /// The same for another form of the object.
    fn of<'b>(&self, object: &'b Value) -> Attempted<'b>
    where
        'a: 'b,
    {
        Attempted { caller: self.caller, object, prepared: OnceCell::new(), context: self.context }
    }

    fn by_shortcut(&self, candidate: &Candidate<'_>) -> Result<Bindings, Miss> {
        recognise::shortcut(candidate.template, self.object, &self.context, Marked::Maybe)
    }

    /// With the bindings that the shortcut found, or the long way; then without what the ConfigMap accepts.
    fn by(&self, candidate: &Candidate<'_>, bindings: Option<Bindings>) -> Result<Attempt, Refusal> {
        let attempt = self.as_it_is(candidate, bindings)?;
        let accepted = &candidate.set.accepted;
        if accepted.is_empty() || matches!(attempt, Attempt::Matches(..)) {
            return Ok(attempt);
        }
        let Some(less) = accepted.without(candidate.template, self.object, self.context.facts) else {
            return Ok(attempt);
        };
        let less = self.of(&less);
        less.as_it_is(candidate, less.by_shortcut(candidate).ok())
    }

    fn as_it_is(&self, candidate: &Candidate<'_>, bindings: Option<Bindings>) -> Result<Attempt, Refusal> {
        let template = candidate.template;
        let mut bindings = match bindings {
            Some(bindings) => bindings,
            None => {
                if let Some(differences) = recognise::contrast(template, self.object, &self.context, Marked::Maybe) {
                    return Ok(Attempt::Differs(differences));
                }
                let prepare = || Prepared::new(&template.kind, bare(self.object), self.context.facts);
                match self.prepared.get_or_init(prepare).prove(template, &self.context) {
                    Recognition::Match(bindings) => bindings,
                    Recognition::Differ(differences) => return Ok(Attempt::Differs(differences)),
                    Recognition::CouldNotTell(reason) => return Err(Refusal::new(Cause::CouldNotTell, reason)),
                }
            }
        };
        let mut differences = misplaced(template, &bindings, self.context.namespace, self.caller);
        let instructed = match grant::instructed(template, self.object, &mut bindings) {
            Ok(instructed) => instructed,
            Err(more) => {
                differences.extend(more);
                return Ok(Attempt::Differs(differences));
            }
        };
        if differences.is_empty() {
            Ok(Attempt::Matches(bindings, instructed))
        } else {
            Ok(Attempt::Differs(differences))
        }
    }
}

/// The difference of an object that is not where its template puts it.
fn misplaced(template: &Template, bindings: &Bindings, namespace: &str, caller: &Caller) -> Vec<Difference> {
    let expected = match &template.placement {
        Placement::MasterNamespace => Ok(Some(Value::from(caller.account.namespace.as_str()))),
        Placement::Named(pattern) => render::render_pattern(template, pattern, bindings),
    };
    let expected = match expected {
        Ok(Some(place)) if place == namespace => return Vec::new(),
        Ok(Some(place)) => Expected::Value(place),
        Ok(None) => Expected::Nothing,
        Err(error) => Expected::Described(error.to_string()),
    };
    let path = Path::root().key("metadata").key("namespace");
    vec![Difference { path, expected, got: Got::Value(namespace.into()) }]
}

struct Grant<'a> {
    candidate: Candidate<'a>,
    bindings: Bindings,
    instructed: Instructed,
    owner: owner::Sent,
    stamp: Option<&'a stamp::Stamp>,
}

impl Grant<'_> {
    fn admit(
        mut self,
        request: &Request,
        situation: &Situation,
        caller: &Caller,
        object: &Value,
    ) -> Result<Admission, Refusal> {
        let set = self.candidate.set;
        let template = self.candidate.template;
        inspect::bound(template, &self.bindings)?;
        let namespace = request.namespace.as_deref().unwrap_or_default();
        inspect::accounts(object, namespace, set, caller, &situation.masters)?;
        self.collectable(&request.kind, situation, namespace)?;
        if let Some(most) = set.max_dependents
            && situation.live_dependents.get(&set.name).copied().unwrap_or(0) >= most
        {
            return Err(Refusal::new(
                Cause::Quota,
                format!(
                    "{} {} already has {most} live dependents by ConfigMap {}, the most that its annotation {} allows; \
                     wait until some end, or delete some",
                    caller.workload().kind,
                    caller.workload().name,
                    set.name,
                    keys::MAX_DEPENDENTS
                ),
            ));
        }
        let filled = generated::fill(template, object, &mut self.bindings, situation, request.phase)?;
        let granted = grant::granted(set, caller, &self.instructed);
        let record = record(request, object, caller, &self.candidate, &self.bindings, granted, &self.instructed);
        let deadline = grant::latest(granted, situation.now, caller);
        let wanted = owner::wanted(template.owner, granted, namespace, caller, situation);
        let marking = Marking { record, deadline, owner: self.owner.to_add(wanted) };
        let subject = Subject {
            config_map: Some(set.name.clone()),
            key: Some(template.key.clone()),
            parameters: marking.record.parameters.clone(),
            deadline: self.stamp.map_or(deadline, |stamp| stamp.deadline),
        };
        let mut admission = Admission::on(Ground::Template).about(subject);
        match self.stamp {
            Some(stamp) => check(stamp, &marking, object)?,
            None if request.phase == Phase::Mutating => {
                admission.patch = Some(patch(object, filled, &marking));
            }
            None => {}
        }
        Ok(admission)
    }

    /// Refuses what the collector is known to have no right to delete, where that may be its part.
    fn collectable(&self, kind: &Gvk, situation: &Situation, namespace: &str) -> Result<(), Refusal> {
        let Candidate { set, template } = self.candidate;
        let Some(lack) = situation.collector.lack(kind, [namespace]) else { return Ok(()) };
        if !collectable::concerns(template) {
            return Ok(());
        }
        let reason = format!("template {} of ConfigMap {} cannot be used, since {lack}", template.key, set.name);
        Err(Refusal::new(Cause::Collector, reason).by_template(set.name.clone(), &template.key, Vec::new()))
    }
}

/// The JSON patch that stamps `object`, and puts generated values where they belong.
fn patch(object: &Value, filled: Option<Value>, marking: &Marking) -> json_patch::Patch {
    match filled {
        Some(mut filled) => {
            marking.put_on(&mut filled);
            json_patch::diff(object, &filled)
        }
        None => marking.patch(object),
    }
}

/// The parameters that may be shown and stored.
pub(crate) fn shown_parameters(template: &Template, bindings: &Bindings) -> BTreeMap<String, Value> {
    let parameters = template.parameters.all.iter().zip(&bindings.declared);
    parameters
        .filter(|(parameter, _)| !parameter.sensitive && parameter.generated.is_none())
        .filter_map(|(parameter, value)| Some((parameter.name.clone(), value.clone()?)))
        .collect()
}

fn record(
    request: &Request,
    object: &Value,
    caller: &Caller,
    candidate: &Candidate<'_>,
    bindings: &Bindings,
    granted: Option<Lifetime>,
    instructed: &Instructed,
) -> Record {
    let text = |key: &str| object["metadata"][key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    // With generateName the mutating phase knows no name yet, and both phases must record the same.
    let generate_name = text("generateName");
    let name = if generate_name.is_some() { None } else { text("name") };
    Record {
        object: StampedObject {
            api_version: request.kind.api_version(),
            kind: request.kind.kind.clone(),
            namespace: request.namespace.clone().unwrap_or_default(),
            name,
            generate_name,
        },
        account: caller.account.clone(),
        pod: StampedPod { name: caller.pod.name.clone(), uid: caller.pod.uid.clone() },
        workload: caller.workload(),
        template: StampedTemplate {
            config_map: candidate.set.name.clone(),
            key: candidate.template.key.clone(),
            uid: candidate.set.uid.clone(),
            version: candidate.set.version.clone(),
            hash: candidate.set.hash.clone(),
        },
        parameters: shown_parameters(candidate.template, bindings),
        parameters_omitted: false,
        duration: stamp::duration_text(granted),
        keep_finished: instructed.keep_finished.map(|lifetime| lifetime.to_string()),
        notify_before: instructed.notify_before.map(|lifetime| lifetime.to_string()),
        ends_with_master: !ownerless(candidate.template.owner, granted),
    }
    .bounded()
}

/// Checks the stamp of the final object against the one that this phase would write.
fn check(stamp: &stamp::Stamp, marking: &Marking, object: &Value) -> Result<(), Refusal> {
    let wrong = |what: &str| {
        Refusal::new(
            Cause::Stamp,
            format!("{what} of its stamp is not what retinue writes; something changed it after us"),
        )
    };
    let (found, expected) = (&stamp.record, &marking.record);
    if found.template != expected.template {
        return Err(Refusal::new(
            Cause::Changed,
            format!("ConfigMap {} changed while the object was being created; try again", expected.template.config_map),
        ));
    }
    if found != expected {
        return Err(wrong("the admission record"));
    }
    let labels = &object["metadata"]["labels"];
    for (key, value) in marking.lasting_labels() {
        if labels[key] != value.as_str() {
            return Err(wrong(&format!("the label {key}")));
        }
    }
    let in_time = match (stamp.deadline, marking.deadline) {
        (None, None) => true,
        (Some(found), Some(latest)) => found.as_second() <= latest.as_second() + CLOCK_GRAIN_SECONDS,
        _ => false,
    };
    if !in_time {
        return Err(wrong(&format!("the label {}", keys::EXPIRES_AT)));
    }
    if marking.owner.is_some() {
        return Err(wrong("the ownerReference"));
    }
    Ok(())
}

/// Whether `template` puts its objects under nobody.
pub(crate) fn ownerless(owner: Owner, granted: Option<Lifetime>) -> bool {
    owner == Owner::None || granted == Some(Lifetime::Unlimited)
}
