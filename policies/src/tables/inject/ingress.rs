//! What the DefaultIngressClass plugin adds to an Ingress.

use serde_json::Value;

use super::{CouldNotTell, Situation, add, has, text};

/// The old way of naming an ingress class.
const OLD_CLASS: &str = "/metadata/annotations/kubernetes.io~1ingress.class";

pub(super) fn inject(expected: &mut Value, situation: &Situation<'_>) -> Result<(), CouldNotTell> {
    if has(expected, "/spec/ingressClassName") || has(expected, OLD_CLASS) {
        return Ok(());
    }
    let Some(class) = text(situation.object, "/spec/ingressClassName") else { return Ok(()) };
    match situation.facts.default_ingress_class() {
        Some(default) => add(expected, &["spec"], "ingressClassName", default.as_str().into()),
        None if situation.told() => {
            let what = format!("the IngressClass {class}");
            return Err(CouldNotTell::missing(&what, "whether it is the cluster's default"));
        }
        None => {}
    }
    Ok(())
}
