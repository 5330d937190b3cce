//! What is a master's own: a dependent whose stamp names the same account and workload (kind and name, whatever the
//! workload's uid today), or what such a dependent owns.

use serde_json::Value;

use crate::caller::Caller;
use crate::object::Gvk;
use crate::stamp::{self, Marks, Stamp};

use super::{Cause, Refusal};

/// Kind of an object by its own JSON.
pub(crate) fn kind_of(object: &Value) -> Gvk {
    Gvk::from_api_version(
        object["apiVersion"].as_str().unwrap_or_default(),
        object["kind"].as_str().unwrap_or_default(),
    )
}

/// The name in the metadata, empty where there is none.
pub(crate) fn name_of(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// The namespace in the metadata, empty where there is none.
pub(crate) fn namespace_of(object: &Value) -> &str {
    object["metadata"]["namespace"].as_str().unwrap_or_default()
}

/// The valid stamp of a stored object, if it is the caller's own.
///
/// # Errors
/// A refusal that says why it is not.
pub(crate) fn own(caller: &Caller, kind: &Gvk, object: &Value) -> Result<Stamp, Refusal> {
    let (namespace, name) = (namespace_of(object), name_of(object));
    let foreign = |why: String| {
        Refusal::new(
            Cause::Foreign,
            format!(
                "{} {namespace}/{name} is not a dependent of {} ({}): {why}",
                kind.kind,
                caller.account,
                caller.workload()
            ),
        )
    };
    match stamp::read(Marks::of(object), kind, namespace, name) {
        Ok(Some(stamp)) if stamp.record.belongs_to(&caller.account, &caller.workload()) => Ok(stamp),
        Ok(Some(stamp)) => Err(foreign(format!(
            "it was launched by {} ({}); a master may touch only what it launched itself",
            stamp.record.account, stamp.record.workload
        ))),
        Ok(None) => Err(foreign("it carries no stamp; a master may touch only what it launched itself".into())),
        Err(error) => Err(foreign(format!("{error}; only a valid stamp makes a dependent"))),
    }
}

/// The stamp of the object, or of the nearest owner in its lineage, that is the caller's own.
///
/// # Errors
/// The refusal of the object itself where nothing above it is the caller's own either.
pub(crate) fn own_or_owned(caller: &Caller, kind: &Gvk, object: &Value, lineage: &[Value]) -> Result<Stamp, Refusal> {
    own(caller, kind, object)
        .or_else(|refusal| lineage.iter().find_map(|owner| own(caller, &kind_of(owner), owner).ok()).ok_or(refusal))
}
