//! UPDATE, PATCH and apply: only a master's own dependent, by the current content of its stamped template. Only what
//! the update itself changes is held against it.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::budget::Budget;
use crate::caller::Caller;
use crate::difference::{Difference, Expected, Got, Path};
use crate::keys;
use crate::lifetime::{self, Lifetime};
use crate::object::Gvk;
use crate::parameter::Bindings;
use crate::recognise::{self, Context, Recognition, work};
use crate::request::{Phase, Request};
use crate::stamp::{Record, Stamp};
use crate::template::{Pattern, Template};

use super::attempt::{self, too_much};
use super::grant::{self, Candidate};
use super::{
    Admission, Cause, Ground, Refusal, Situation, Subject, caller, create, delete, form, inspect, nearest, own,
};

/// Metadata that the API server alone writes; it is no change.
const SERVER_OWNED: [&str; 3] = ["resourceVersion", "generation", "managedFields"];

pub(crate) fn judge(request: &Request, situation: &Situation, budget: &Budget) -> Result<Admission, Refusal> {
    let caller = caller(situation)?;
    let (Some(old), Some(new)) = (&request.old_object, &request.object) else {
        return Err(Refusal::new(Cause::Malformed, "the review lacks the stored or the new object"));
    };
    if unchanged(old, new) {
        // Not even a stranger's object is harmed by writing back what it is: apply does so all the time.
        return Ok(Admission::on(Ground::Unchanged));
    }
    let stamp = own::own(caller, &request.kind, old)?;
    inspect::never(&request.kind, new)?;
    let candidate = current(situation, caller, &request.kind, &stamp)?;
    let renewed = guard_stamp(request, &candidate, caller, old, new, &stamp)?;
    // Who applies the same manifest again writes sidecars beside what became of them.
    let sidecars = candidate.template.sidecars.as_ref().filter(|_| request.phase == Phase::Mutating);
    let moved = sidecars.and_then(|sidecars| Some((sidecars, sidecars.moved_again(old, new)?)));
    let new = moved.as_ref().map_or(new, |(_, moved)| moved);
    let change = Change { request, situation, caller, candidate, stamp: &stamp, is_moved: moved.is_some(), budget };
    let parameters = change.recognised(old, new)?;
    let ground = match parameters {
        _ if moved.is_some() && unchanged(old, new) => Ground::Unchanged,
        None => Ground::Renewal,
        Some(_) => Ground::Update,
    };
    let mut patch = change.record(parameters.as_ref(), old, new)?;
    if let Some((sidecars, moved)) = &moved {
        patch.get_or_insert_default().0.splice(0..0, sidecars.patch(moved));
    }
    let subject = Subject { deadline: renewed, ..delete::subject(stamp.clone()) };
    let mut admission = Admission::on(ground).about(subject);
    admission.patch = patch;
    Ok(admission)
}

/// Whether nothing changes but what the API server itself counts.
fn unchanged(old: &Value, new: &Value) -> bool {
    let (Some(before), Some(after)) = (old.as_object(), new.as_object()) else { return old == new };
    same_but(before, after, &["metadata"])
        && match (before.get("metadata"), after.get("metadata")) {
            (Some(Value::Object(before)), Some(Value::Object(after))) => same_but(before, after, &SERVER_OWNED),
            (before, after) => before == after,
        }
}

/// Whether two maps have the same entries, these keys aside.
fn same_but(one: &Map<String, Value>, other: &Map<String, Value>, aside: &[&str]) -> bool {
    let counted = |map: &Map<String, Value>| map.keys().filter(|key| !aside.contains(&key.as_str())).count();
    counted(one) == counted(other)
        && one
            .iter()
            .filter(|(key, _)| !aside.contains(&key.as_str()))
            .all(|(key, value)| other.get(key) == Some(value))
}

/// The dependent's template as it is today.
///
/// # Errors
/// A refusal where consent was withdrawn, or the ConfigMap has it no more.
pub(crate) fn current<'a>(
    situation: &'a Situation,
    caller: &Caller,
    kind: &Gvk,
    stamp: &Stamp,
) -> Result<Candidate<'a>, Refusal> {
    let (name, key) = (&stamp.record.template.config_map, &stamp.record.template.key);
    let withdrawn = |why: String| {
        Refusal::new(
            Cause::Consent,
            format!("the template that admitted it, {key} of ConfigMap {name}, is withdrawn: {why}"),
        )
    };
    let set = grant::consent(situation, caller, name).map_err(|why| why.refusal(withdrawn))?;
    let found = set.templates.of_kind(kind).find(|template| template.key == *key);
    let template = found.ok_or_else(|| {
        withdrawn(format!(
            "the ConfigMap has no usable template of that name for {kind} any more; its other rights remain"
        ))
    })?;
    Ok(Candidate { set, template })
}

/// Checks what an update may never touch: the stamp save its deadline, owners, finalizers, instructions. Returns the
/// deadline after the update.
fn guard_stamp(
    request: &Request,
    candidate: &Candidate<'_>,
    caller: &Caller,
    old: &Value,
    new: &Value,
    stamp: &Stamp,
) -> Result<Option<Timestamp>, Refusal> {
    let refuse = |cause: Cause, path: Path, before: &Value, after: &Value, reason: &str| {
        let shown = |value: &Value| if value.is_null() { Got::Nothing } else { Got::Value(value.clone()) };
        let expected = if before.is_null() { Expected::Nothing } else { Expected::Value(before.clone()) };
        let difference = Difference { path, expected, got: shown(after) };
        let template = &stamp.record.template;
        Err(Refusal::new(cause, reason).by_template(template.config_map.clone(), &template.key, vec![difference]))
    };
    let metadata = Path::root().key("metadata");
    for key in ["ownerReferences", "finalizers"] {
        let (before, after) = (&old["metadata"][key], &new["metadata"][key]);
        if before != after {
            let reason = "a master does not change what keeps or ends its dependents:";
            return refuse(Cause::Owner, metadata.key(key), before, after, reason);
        }
    }
    let labels = [keys::MASTER, keys::TEMPLATE].map(|key| ("labels", key));
    let annotations = keys::INSTRUCTIONS.map(|key| ("annotations", key));
    let admission = ("annotations", keys::ADMISSION);
    for (map, key) in labels.into_iter().chain(annotations).chain([admission]) {
        let (before, after) = (&old["metadata"][map][key], &new["metadata"][map][key]);
        // The webhook itself re-records parameters between the two phases; `Change::record` checks what it wrote.
        let rerecorded = key == keys::ADMISSION && request.phase == Phase::Validating && after.is_string();
        if before != after && !rerecorded {
            let reason =
                "only retinue writes the stamp, and it stays as it is (the deadline may be moved within the cap):";
            return refuse(Cause::Stamp, metadata.key(map).key(key), before, after, reason);
        }
    }
    let (before, after) = (&old["metadata"]["labels"][keys::EXPIRES_AT], &new["metadata"]["labels"][keys::EXPIRES_AT]);
    if before == after {
        return Ok(stamp.deadline);
    }
    renewed(candidate, caller, old, after).map(Some).map_err(|(expected, reason)| {
        let path = metadata.key("labels").key(keys::EXPIRES_AT);
        let got = if after.is_null() { Got::Nothing } else { Got::Value(after.clone()) };
        let template = &stamp.record.template;
        let differences = vec![Difference { path, expected, got }];
        Refusal::new(Cause::Deadline, reason).by_template(template.config_map.clone(), &template.key, differences)
    })
}

/// The new deadline: never past creation plus cap, nor past that of a caller which is itself a dependent.
fn renewed(
    candidate: &Candidate<'_>,
    caller: &Caller,
    old: &Value,
    after: &Value,
) -> Result<Timestamp, (Expected, String)> {
    let created = old["metadata"]["creationTimestamp"].as_str().and_then(|text| text.parse::<Timestamp>().ok());
    let Some(created) = created else {
        return Err((Expected::Nothing, "the stored object tells no creation time, so its cap is unknown:".into()));
    };
    let granted = granted_today(candidate, caller);
    let latest = grant::latest(granted, created, caller);
    let bound = || match latest {
        Some(latest) => Expected::Described(format!("a deadline up to {}", lifetime::label(latest))),
        None => Expected::Described("a deadline like 2026-11-20T153000Z".into()),
    };
    let Some(text) = after.as_str() else {
        return Err((bound(), "a deadline may be moved, not removed:".into()));
    };
    let wanted = lifetime::read_label(text).map_err(|error| (bound(), format!("{error}:")))?;
    match latest {
        Some(latest) if wanted > latest => {
            Err((bound(), "a deadline may be moved to the dependent's creation plus its cap, and no further:".into()))
        }
        _ => Ok(wanted),
    }
}

/// The cap of a dependent, as the template and the pod say today.
fn granted_today(candidate: &Candidate<'_>, caller: &Caller) -> Option<Lifetime> {
    // Through a hole the master asked for less than it might have: the cap is what it might have asked for.
    let written = candidate.template.duration.as_ref().and_then(Pattern::lifetime);
    match (written, grant::cap(candidate.set, caller)) {
        (Some(Lifetime::Unlimited), _) => Some(Lifetime::Unlimited),
        (written, cap) => Lifetime::shortest(written, cap),
    }
}

/// One update under judgement.
pub(crate) struct Change<'a> {
    pub(crate) request: &'a Request,
    pub(crate) situation: &'a Situation,
    pub(crate) caller: &'a Caller,
    pub(crate) candidate: Candidate<'a>,
    pub(crate) stamp: &'a Stamp,
    /// Whether sidecars of the new object were moved.
    pub(crate) is_moved: bool,
    /// What the work may come to.
    pub(crate) budget: &'a Budget,
}

impl Change<'_> {
    /// The bindings after the update, or none where only the deadline moves.
    pub(crate) fn recognised(&self, old: &Value, new: &Value) -> Result<Option<Bindings>, Refusal> {
        let (old_bare, new_bare) = (attempt::bare(old), attempt::bare(new));
        if unchanged(&old_bare, &new_bare) {
            return Ok(None);
        }
        let template = self.candidate.template;
        let given = self.situation.given(self.caller);
        let context = Context {
            form: form(self.request, self.situation),
            namespace: self.request.namespace.as_deref().unwrap_or_default(),
            given: &given,
            facts: &self.situation.facts,
            budget: Some(self.budget),
        };
        let recorded = recorded(template, &self.stamp.record);
        let mut recognition = recognise::update(template, &old_bare, &new_bare, &recorded, &context);
        if !matches!(recognition, Recognition::Match(_)) {
            // What the cluster adds may come with the update, or may have come with the create.
            let accepted = &self.candidate.set.accepted;
            let rows = accepted.applying_to(template);
            let less = |object: &Value| {
                let enough = rows > 0 && context.spend(accepted.work(rows, work::size(object)));
                enough.then(|| accepted.without_rows(rows, object, context.facts, context.budget)).flatten()
            };
            let (old_less, new_less) = (less(&old_bare), less(&new_bare));
            if old_less.is_some() || new_less.is_some() {
                let (old, new) = (old_less.as_ref().unwrap_or(&old_bare), new_less.as_ref().unwrap_or(&new_bare));
                recognition = recognise::update(template, old, new, &recorded, &context);
            }
        }
        let bindings = match recognition {
            Recognition::Match(bindings) => bindings,
            Recognition::CouldNotTell(_) if context.is_exhausted() => return Err(too_much(&self.candidate)),
            Recognition::CouldNotTell(reason) => return Err(Refusal::new(Cause::CouldNotTell, reason)),
            Recognition::Differ(differences) => {
                let name = &self.candidate.set.name;
                let key = &template.key;
                let differences = nearest::as_sent(template, self.is_moved.then_some(new), differences);
                let reason =
                    format!("{key} of ConfigMap {name}, which admitted the object, does not admit this change:");
                return Err(Refusal::new(Cause::Template, reason)
                    .by_template(name.clone(), key, differences)
                    .advise(&format!("Leave it as it is, or ask the admin of {name} to describe this.")));
            }
        };
        inspect::bound(&self.candidate, &bindings, self.budget)?;
        let namespace = self.request.namespace.as_deref().unwrap_or_default();
        inspect::accounts(new, namespace, self.candidate.set, self.caller, &self.situation.masters)?;
        Ok(Some(bindings))
    }

    /// Re-records parameters that the update changes: the patch in the mutating phase, a check in the validating one.
    fn record(
        &self,
        bindings: Option<&Bindings>,
        old: &Value,
        new: &Value,
    ) -> Result<Option<json_patch::Patch>, Refusal> {
        let mut record = self.stamp.record.clone();
        if let Some(bindings) = bindings {
            let parameters = create::shown_parameters(self.candidate.template, bindings);
            if parameters != record.parameters {
                record.parameters = parameters;
                record.parameters_omitted = false;
                record.template.version.clone_from(&self.candidate.set.version);
                record.template.hash.clone_from(&self.candidate.set.hash);
                record.template.uid.clone_from(&self.candidate.set.uid);
                record = record.bounded();
            }
        }
        if record == self.stamp.record {
            let same =
                old["metadata"]["annotations"][keys::ADMISSION] == new["metadata"]["annotations"][keys::ADMISSION];
            return if same { Ok(None) } else { Err(rewritten()) };
        }
        let text = serde_json::to_string(&record)
            .map_err(|error| Refusal::new(Cause::Internal, format!("the record cannot be written: {error}")))?;
        if self.request.phase == Phase::Mutating {
            let before = json!({ "metadata": new["metadata"] });
            let mut after = before.clone();
            after["metadata"]["annotations"][keys::ADMISSION] = text.into();
            return Ok(Some(json_patch::diff(&before, &after)));
        }
        let found: Option<Record> =
            new["metadata"]["annotations"][keys::ADMISSION].as_str().and_then(|text| serde_json::from_str(text).ok());
        if found.as_ref() == Some(&record) { Ok(None) } else { Err(rewritten()) }
    }
}

fn rewritten() -> Refusal {
    Refusal::new(Cause::Stamp, "the admission record is not what retinue writes; something changed it after us")
}

/// The bindings that the record holds, by position; sensitive and generated ones are not in it.
pub(crate) fn recorded(template: &Template, record: &Record) -> Bindings {
    let declared =
        template.parameters.all.iter().map(|parameter| record.parameters.get(&parameter.name).cloned()).collect();
    Bindings { declared, ..Bindings::default() }
}

/// Applies a Scale to the dependent that it scales, so that the template judges its replicas.
///
/// # Errors
/// A refusal where the Scale or the object is not of that shape.
pub(crate) fn judge_scale(
    request: &Request,
    situation: &Situation,
    caller: &Caller,
    stamp: &Stamp,
    budget: &Budget,
) -> Result<Admission, Refusal> {
    let stored = delete::asked(situation)?;
    let replicas = request.object.as_ref().map_or(&Value::Null, |scale| &scale["spec"]["replicas"]);
    // A Scale omits zero replicas (autoscaling/v1 ScaleSpec, omitempty).
    let replicas = if replicas.is_null() { json!(0) } else { replicas.clone() };
    if !stored["spec"].is_object() {
        return Err(Refusal::new(Cause::Malformed, "the object has no spec to scale"));
    }
    let mut scaled = stored.clone();
    scaled["spec"]["replicas"] = replicas;
    let kind = own::kind_of(stored);
    let candidate = current(situation, caller, &kind, stamp)?;
    let change = Change { request, situation, caller, candidate, stamp, is_moved: false, budget };
    change.recognised(stored, &scaled)?;
    Ok(Admission::on(Ground::Subresource).about(delete::subject(stamp.clone())))
}
