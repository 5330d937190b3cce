//! The JSON patch that stamps an object: written out, since what it changes is known beforehand. Finding it by
//! comparing the metadata before and after took as long as all of recognition.

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation, RemoveOperation, ReplaceOperation};
use serde_json::{Map, Value};

use super::Marking;
use crate::keys;

impl Marking {
    /// What [`Marking::put_on`] would change of `object`.
    pub fn patch(&self, object: &Value) -> Patch {
        let Some(metadata) = object.get("metadata").and_then(Value::as_object) else {
            let mut stamped = object.clone();
            self.put_on(&mut stamped);
            return json_patch::diff(object, &stamped);
        };
        let mut patch = Vec::new();
        let annotations = Map::from_iter([(keys::ADMISSION.to_owned(), self.annotation().into())]);
        entries("annotations", metadata, annotations, &[keys::ADMISSION], &mut patch);
        let labels = self.labels().into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
        entries("labels", metadata, labels, &keys::STAMP_LABELS, &mut patch);
        if let Some(owner) = &self.owner {
            let reference = super::reference(owner);
            match metadata.get("ownerReferences") {
                Some(Value::Array(list)) if list.contains(&reference) => {}
                Some(Value::Array(_)) => patch.push(add(&["metadata", "ownerReferences", "-"], reference)),
                _ => patch.push(add(&["metadata", "ownerReferences"], Value::Array(vec![reference]))),
            }
        }
        Patch(patch)
    }
}

/// Brings those entries of one map that are `ours` to what is `wanted`.
fn entries(
    map: &str,
    metadata: &Map<String, Value>,
    wanted: Map<String, Value>,
    ours: &[&str],
    patch: &mut Vec<PatchOperation>,
) {
    let Some(Value::Object(present)) = metadata.get(map) else {
        patch.push(add(&["metadata", map], Value::Object(wanted)));
        return;
    };
    for key in ours.iter().filter(|key| present.contains_key(**key) && !wanted.contains_key(**key)) {
        patch.push(PatchOperation::Remove(RemoveOperation { path: path(&["metadata", map, key]) }));
    }
    for (key, value) in wanted {
        match present.get(&key) {
            Some(same) if *same == value => {}
            Some(_) => {
                let path = path(&["metadata", map, &key]);
                patch.push(PatchOperation::Replace(ReplaceOperation { path, value }));
            }
            None => patch.push(add(&["metadata", map, &key], value)),
        }
    }
}

fn add(names: &[&str], value: Value) -> PatchOperation {
    PatchOperation::Add(AddOperation { path: path(names), value })
}

fn path(names: &[&str]) -> PointerBuf {
    PointerBuf::from_tokens(names.iter().copied())
}
