//! The JSON patch that stamps an object: written out, since what it changes is known beforehand. Finding it by
//! comparing the metadata before and after took as long as all of recognition.

use std::sync::LazyLock;

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation, RemoveOperation, ReplaceOperation};
use serde_json::{Map, Value};

use super::Marking;
use crate::keys;

/// Where each label and annotation of the stamp stands.
static PLACES: LazyLock<Vec<(&str, PointerBuf)>> = LazyLock::new(|| {
    let labels = keys::STAMP_LABELS.map(|key| (key, path(&["metadata", "labels", key])));
    labels.into_iter().chain([(keys::ADMISSION, path(&["metadata", "annotations", keys::ADMISSION]))]).collect()
});

impl Marking {
    /// What [`Marking::put_on`] would change of `object`.
    pub fn patch(&self, object: &Value) -> Patch {
        let Some(metadata) = object.get("metadata").and_then(Value::as_object) else {
            let mut stamped = object.clone();
            self.put_on(&mut stamped);
            return json_patch::diff(object, &stamped);
        };
        let mut patch = Vec::new();
        entries("annotations", metadata, vec![(keys::ADMISSION, self.annotation())], &[keys::ADMISSION], &mut patch);
        entries("labels", metadata, self.labels(), &keys::STAMP_LABELS, &mut patch);
        if let Some(owner) = &self.owner {
            let reference = super::reference(owner);
            match metadata.get("ownerReferences") {
                Some(Value::Array(list)) if list.contains(&reference) => {}
                Some(Value::Array(_)) => patch.push(add(path(&["metadata", "ownerReferences", "-"]), reference)),
                _ => patch.push(add(path(&["metadata", "ownerReferences"]), Value::Array(vec![reference]))),
            }
        }
        Patch(patch)
    }
}

/// Brings those entries of one map that are `ours` to what is `wanted`.
fn entries(
    map: &str,
    metadata: &Map<String, Value>,
    wanted: Vec<(&'static str, String)>,
    ours: &[&'static str],
    patch: &mut Vec<PatchOperation>,
) {
    let Some(Value::Object(present)) = metadata.get(map) else {
        let wanted = wanted.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
        patch.push(add(path(&["metadata", map]), Value::Object(wanted)));
        return;
    };
    for key in ours {
        if present.contains_key(*key) && wanted.iter().all(|(other, _)| other != key) {
            patch.push(PatchOperation::Remove(RemoveOperation { path: place(map, key) }));
        }
    }
    for (key, value) in wanted {
        match present.get(key) {
            Some(same) if *same == value => {}
            Some(_) => {
                patch.push(PatchOperation::Replace(ReplaceOperation { path: place(map, key), value: value.into() }));
            }
            None => patch.push(add(place(map, key), value.into())),
        }
    }
}

fn add(path: PointerBuf, value: Value) -> PatchOperation {
    PatchOperation::Add(AddOperation { path, value })
}

fn place(map: &str, key: &str) -> PointerBuf {
    let known = PLACES.iter().find(|(other, _)| *other == key);
    known.map_or_else(|| path(&["metadata", map, key]), |(_, place)| place.clone())
}

fn path(names: &[&str]) -> PointerBuf {
    PointerBuf::from_tokens(names.iter().copied())
}
