//! ownerReferences: which one a caller may send, and which one the stamp adds.

use serde::Deserialize;
use serde_json::Value;

use crate::caller::Caller;
use crate::lifetime::Lifetime;
use crate::object::ObjectRef;
use crate::template::Owner;

use super::{Cause, Identity, Refusal, Situation, create};

/// What the caller sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// No reference.
    None,
    /// One that is accepted: it is the owner, and nothing is added, since Kubernetes waits for all owners.
    Accepted,
}

impl Sent {
    /// The reference that the stamp adds.
    pub(crate) fn to_add(self, wanted: Option<ObjectRef>) -> Option<ObjectRef> {
        match self {
            Self::None => wanted,
            Self::Accepted => None,
        }
    }
}

/// Judges the references on `object`.
///
/// # Errors
/// A refusal for more than one, and for any that is not in the caller's verified chain or a dependent of its own.
pub(crate) fn sent(object: &Value, namespace: &str, caller: &Caller, situation: &Situation) -> Result<Sent, Refusal> {
    let references = match &object["metadata"]["ownerReferences"] {
        Value::Null => return Ok(Sent::None),
        Value::Array(list) if list.is_empty() => return Ok(Sent::None),
        Value::Array(list) => list,
        _ => return Err(Refusal::new(Cause::Malformed, "metadata.ownerReferences is no list")),
    };
    let [reference] = references.as_slice() else {
        return Err(Refusal::new(
            Cause::Owner,
            format!(
                "it names {} owners; Kubernetes keeps an object until all its owners are gone, so name one at most",
                references.len()
            ),
        ));
    };
    let reference = ObjectRef::deserialize(reference)
        .map_err(|_| Refusal::new(Cause::Malformed, "its ownerReference lacks apiVersion, kind, name or uid"))?;
    if situation.identity == Identity::Assumed {
        return Err(Refusal::new(
            Cause::CouldNotTell,
            "it names an owner; say who asks with --caller FILE, so that the owner can be judged",
        ));
    }
    let here = namespace == caller.account.namespace && caller.includes(&reference);
    if here || situation.own_dependents.contains(&reference) {
        return Ok(Sent::Accepted);
    }
    Err(Refusal::new(
        Cause::Owner,
        format!(
            "its ownerReference names {reference} (uid {}), which is neither {} nor its pod nor a dependent of its own in \
             namespace {namespace}; leave ownerReferences out, retinue adds the right one",
            reference.uid,
            caller.workload()
        ),
    ))
}

/// The owner that the template wants. None across namespaces: Kubernetes would take the owner for gone and delete the
/// object (garbage collector, "owner references must be in the same namespace").
pub(crate) fn wanted(
    owner: Owner,
    granted: Option<Lifetime>,
    namespace: &str,
    caller: &Caller,
    situation: &Situation,
) -> Option<ObjectRef> {
    if create::ownerless(owner, granted)
        || namespace != caller.account.namespace
        || situation.identity == Identity::Assumed
    {
        return None;
    }
    match owner {
        Owner::Workload => Some(caller.workload()),
        Owner::Pod => Some(caller.pod_ref()),
        Owner::None => None,
    }
}
