//! What admission plugins and the strategy add to a PersistentVolumeClaim.

use crate::tables::At;
use serde_json::{Value, json};

use super::{CouldNotTell, Form, Situation, add, entry, has, list, text};

/// Keeps a claim until no pod uses it.
const PROTECTION: &str = "kubernetes.io/pvc-protection";
/// The old way of naming a storage class.
const OLD_CLASS: &str = "/metadata/annotations/volume.beta.kubernetes.io~1storage-class";

pub(super) fn inject(expected: &mut Value, situation: &Situation<'_>) -> Result<(), CouldNotTell> {
    let protection = Value::from(PROTECTION);
    let shown = list(situation.object, "/metadata/finalizers").contains(&protection);
    if shown
        && !list(expected, "/metadata/finalizers").contains(&protection)
        && let Some(metadata) = entry(expected, &["metadata"])
        && let Some(finalizers) = metadata.entry("finalizers").or_insert_with(|| json!([])).as_array_mut()
    {
        finalizers.push(protection);
    }
    let none = !has(expected, "/spec/storageClassName") && text(expected, OLD_CLASS).is_none();
    if let Some(class) = text(situation.object, "/spec/storageClassName").filter(|_| none) {
        match situation.facts.default_storage_class() {
            Some(default) => add(expected, &["spec"], "storageClassName", default.as_str().into()),
            None if situation.told() => {
                let what = format!("the StorageClass {class}");
                return Err(CouldNotTell::missing(&what, "whether it is the cluster's default"));
            }
            None => {}
        }
    }
    if situation.form == Form::Validating {
        sources(expected, situation);
    }
    Ok(())
}

/// `dataSource` and `dataSourceRef` are two ways of saying the same, and are shown both.
fn sources(expected: &mut Value, situation: &Situation<'_>) {
    for (from, to) in [("dataSource", "dataSourceRef"), ("dataSourceRef", "dataSource")] {
        let Some(source) = expected.at(&format!("/spec/{from}")).cloned() else { continue };
        // A reference into another namespace has no old form.
        let elsewhere = text(&source, "/namespace").is_some();
        if has(situation.object, &format!("/spec/{to}")) && !elsewhere {
            add(expected, &["spec"], to, source);
        }
    }
}
