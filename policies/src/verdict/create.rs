//! CREATE. Mutating: recognise and stamp. Validating: recognise the final object again from scratch and check the
//! stamp; nothing is taken over from the first phase.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::Value;

use crate::budget::Budget;
use crate::caller::Caller;
use crate::lifetime::Lifetime;
use crate::object::Gvk;
use crate::parameter::Bindings;
use crate::recognise::Context;
use crate::request::{Phase, Request};
use crate::stamp::{self, Marking, Marks, Record, StampedObject, StampedPod, StampedTemplate};
use crate::template::{Owner, Template};
use crate::{collectable, keys};

use super::attempt::{Attempt, Attempts, Form, Look, too_much};
use super::grant::{self, Candidate, Instructed};
use super::nearest::{Nearest, Others};
use super::own::name_of;
use super::{Admission, Cause, Ground, Identity, Refusal, Situation, Subject, caller, form, generated, inspect, owner};

/// How far a deadline may lie beyond what this phase computes: the API server's clock is read from a header with whole
/// seconds, and each phase may have read another one.
const CLOCK_GRAIN_SECONDS: i64 = 2;

pub(crate) fn judge(request: &Request, situation: &Situation, budget: &Budget) -> Result<Admission, Refusal> {
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
    let context = Context {
        form: form(request, situation),
        namespace,
        given: &given,
        facts: &situation.facts,
        budget: Some(budget),
    };
    let attempts = Attempts::new(caller, request, object);
    let named = |candidate: &Candidate<'_>| {
        stamp.as_ref().is_none_or(|stamp| {
            let named = &stamp.record.template;
            named.config_map == candidate.set.name && named.key == candidate.template.key
        })
    };
    let admit = |candidate: Candidate<'_>, bindings, instructed, form: &Form<'_>| {
        let moved = form.moved();
        let grant = Grant { candidate, bindings, instructed, owner: accepted, stamp: stamp.as_ref() };
        let mut admission = grant.admit(request, situation, caller, moved.unwrap_or(object), budget)?;
        if let (Some(sidecars), Some(moved), Some(patch)) = (&candidate.template.sidecars, moved, &mut admission.patch)
        {
            patch.0.splice(0..0, sidecars.patch(moved));
        }
        Ok(admission)
    };
    let mut search =
        Search { attempts: &attempts, context: &context, open: Vec::new(), nearest: Nearest::default(), untold: None };
    for (position, candidate) in candidates.into_iter().filter(named).enumerate() {
        if let Some((candidate, bindings, instructed, form)) = search.next(position, candidate)? {
            return admit(candidate, bindings, instructed, &form);
        }
    }
    if let Some((candidate, bindings, instructed, form)) = search.the_long_way(false)? {
        return admit(candidate, bindings, instructed, &form);
    }
    // With a stamp there is one that it is held against, whatever else the pod asks for.
    let unusable = if stamp.is_none() { grant::unusable(situation, caller) } else { None };
    let others = Others { undecided: grant::undecided(situation, caller), unusable };
    Err(match search.untold {
        Some(untold) => others.before(untold),
        None => search.nearest.refuse(&attempts, &context, &others),
    })
}

/// The first candidate, in their order, that admits an object.
struct Search<'a, 's> {
    attempts: &'s Attempts<'a>,
    context: &'s Context<'s>,
    /// Those so far of which the long way tells.
    open: Vec<(usize, Candidate<'a>)>,
    nearest: Nearest<'a>,
    /// Why it was not found out of some of them.
    untold: Option<Refusal>,
}

/// A candidate that admits an object, in a form of it.
type Admitting<'a> = (Candidate<'a>, Bindings, Instructed, Rc<Form<'a>>);

impl<'a> Search<'a, '_> {
    fn next(&mut self, position: usize, candidate: Candidate<'a>) -> Result<Option<Admitting<'a>>, Refusal> {
        match self.attempts.look(&candidate, self.context) {
            // Among many variants nearly all differ at first sight. In what is told only where none admits it.
            Look::Other => self.nearest.set_aside(position, candidate),
            Look::Open => self.open.push((position, candidate)),
            Look::Same(bindings) => {
                match self.the_long_way(true) {
                    // What is proven needs no more work.
                    Err(refusal) if refusal.cause == Cause::TooLarge => self.untold = Some(refusal),
                    outcome => {
                        if let Some(admitting) = outcome? {
                            return Ok(Some(admitting));
                        }
                    }
                }
                return self.by(position, candidate, Some(bindings));
            }
        }
        Ok(None)
    }

    /// Those of which the long way tells, in their order; `among` others, of which one may admit the object.
    fn the_long_way(&mut self, among: bool) -> Result<Option<Admitting<'a>>, Refusal> {
        let open = std::mem::take(&mut self.open);
        // The only one is told of in any case.
        let several = open.len() > 1 || among;
        for (position, candidate) in open {
            if several && self.attempts.differs_in_literals(&candidate, self.context) {
                self.nearest.set_aside(position, candidate);
                continue;
            }
            if self.context.is_exhausted() {
                return Err(too_much(&candidate));
            }
            if let Some(admitting) = self.by(position, candidate, None)? {
                return Ok(Some(admitting));
            }
        }
        Ok(None)
    }

    fn by(
        &mut self,
        position: usize,
        candidate: Candidate<'a>,
        bindings: Option<Bindings>,
    ) -> Result<Option<Admitting<'a>>, Refusal> {
        match self.attempts.by(&candidate, bindings, self.context)? {
            Attempt::Matches(bindings, instructed, form) => return Ok(Some((candidate, bindings, instructed, form))),
            Attempt::Differs(differences, form) => self.nearest.consider(position, candidate, differences, form),
        }
        Ok(None)
    }
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
        budget: &Budget,
    ) -> Result<Admission, Refusal> {
        let set = self.candidate.set;
        let template = self.candidate.template;
        inspect::bound(&self.candidate, &self.bindings, budget)?;
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
