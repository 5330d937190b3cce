//! DELETE, each object of a deletecollection, and evictions: judged on the stored object, never on the request's name.

use serde_json::Value;

use crate::object::Gvk;
use crate::request::{Phase, Request};

use super::own::own_or_owned;
use super::{Admission, Asked, Cause, Ground, Refusal, Situation, Subject, caller};

pub(crate) fn judge(request: &Request, situation: &Situation) -> Result<Admission, Refusal> {
    let caller = caller(situation)?;
    let Some(stored) = &request.old_object else {
        return Err(Refusal::new(Cause::Malformed, "the review carries no stored object, so nothing is known of it"));
    };
    let stamp = own_or_owned(caller, &request.kind, stored, &situation.lineage)?;
    refuse_orphaning(&request.kind, request.options.as_ref())?;
    Ok(Admission::on(Ground::Own).about(subject(stamp)))
}

/// Eviction is a CREATE of `pods/eviction`: the pod is read live, and the eviction is tied to its uid.
pub(crate) fn judge_eviction(request: &Request, situation: &Situation) -> Result<Admission, Refusal> {
    let caller = caller(situation)?;
    let pod = asked(situation)?;
    let stamp = own_or_owned(caller, &Gvk::new("", "v1", "Pod"), pod, &situation.lineage)?;
    let Some(eviction) = &request.object else {
        return Err(Refusal::new(Cause::Malformed, "the review carries no Eviction"));
    };
    let options = &eviction["deleteOptions"];
    refuse_orphaning(&Gvk::new("", "v1", "Pod"), Some(options))?;
    let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
    let sent = options["preconditions"]["uid"].as_str();
    let mut admission = Admission::on(Ground::Own).about(subject(stamp));
    match (sent, request.phase) {
        (Some(sent), _) if sent == uid => {}
        (Some(_), _) => {
            return Err(Refusal::new(
                Cause::Foreign,
                "its precondition names the uid of another pod than the living one",
            ));
        }
        (None, Phase::Mutating) => {
            let mut tied = eviction.clone();
            put(&mut tied, &["deleteOptions", "preconditions", "uid"], uid.into());
            admission.patch = Some(json_patch::diff(eviction, &tied));
        }
        (None, Phase::Validating) => {
            return Err(Refusal::new(
                Cause::Stamp,
                "the eviction is not tied to the pod's uid; the mutating webhook adds that, is it configured?",
            ));
        }
    }
    Ok(admission)
}

fn put(value: &mut Value, path: &[&str], leaf: Value) {
    match path.split_first() {
        None => *value = leaf,
        Some((key, rest)) => {
            if !value.is_object() {
                *value = Value::Object(serde_json::Map::new());
            }
            put(&mut value[*key], rest, leaf);
        }
    }
}

/// The live object, or the refusal that says why there is none.
pub(crate) fn asked(situation: &Situation) -> Result<&Value, Refusal> {
    match &situation.asked {
        Asked::Found(object) => Ok(object),
        Asked::Absent => Err(Refusal::new(Cause::Foreign, "the object does not exist")),
        Asked::Failed(reason) => {
            Err(Refusal::new(Cause::Lookup, format!("could not read the object: {reason}; try again")))
        }
        Asked::NotNeeded => Err(Refusal::new(Cause::Internal, "the object was not read; this is a fault of retinue")),
    }
}

pub(crate) fn subject(stamp: crate::stamp::Stamp) -> Subject {
    Subject {
        config_map: Some(stamp.record.template.config_map),
        key: Some(stamp.record.template.key),
        parameters: stamp.record.parameters,
        deadline: stamp.deadline,
    }
}

/// Refuses a deletion that would leave children behind: asked for, or the kind's default, which is `Orphan` for
/// `batch/v1` Jobs (kubernetes `pkg/registry/batch/job/strategy.go`) and ReplicationControllers.
fn refuse_orphaning(kind: &Gvk, options: Option<&Value>) -> Result<(), Refusal> {
    let null = Value::Null;
    let options = options.unwrap_or(&null);
    let policy = options["propagationPolicy"].as_str();
    let orphan_flag = options["orphanDependents"].as_bool();
    let by_default =
        matches!((kind.group.as_str(), kind.kind.as_str()), ("batch", "Job") | ("", "ReplicationController"));
    let orphans = match (policy, orphan_flag) {
        (Some("Orphan"), _) | (None, Some(true)) => true,
        (Some(_), _) | (None, Some(false)) => false,
        (None, None) => by_default,
    };
    if !orphans {
        return Ok(());
    }
    let why = if policy.is_none() && orphan_flag.is_none() {
        format!("a {} deleted without propagationPolicy leaves its pods running, without owner", kind.kind)
    } else {
        "an orphaning deletion leaves its children running, without owner".to_owned()
    };
    Err(Refusal::new(
        Cause::Orphan,
        format!("{why}; send propagationPolicy=Background (kubectl: --cascade=background)"),
    ))
}
