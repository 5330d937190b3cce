//! What the Job strategy adds: a selector of its own, and the labels that it selects.

use crate::tables::At;
use serde_json::Value;

use super::{Situation, add, text};

/// The label that the selector asks for.
const CONTROLLER: &str = "batch.kubernetes.io/controller-uid";

pub(super) fn inject(expected: &mut Value, situation: &Situation<'_>) {
    if expected.at("/spec/manualSelector") == Some(&Value::Bool(true)) {
        return;
    }
    // Before the strategy has run there is no uid. One that a caller sends is replaced before the validating phase,
    // where labels that name another are a difference.
    let (Some(name), Some(uid)) = (text(situation.object, "/metadata/name"), text(situation.object, "/metadata/uid"))
    else {
        return;
    };
    let template = situation.shown("/spec/template/metadata/labels");
    for (label, value) in
        [("job-name", name), ("batch.kubernetes.io/job-name", name), ("controller-uid", uid), (CONTROLLER, uid)]
    {
        if template.is_some_and(|labels| labels.get(label).is_some()) {
            add(expected, &["spec", "template", "metadata", "labels"], label, value.into());
        }
    }
    let selector = situation.shown("/spec/selector/matchLabels");
    if selector.is_some_and(|labels| labels.get(CONTROLLER).is_some()) {
        add(expected, &["spec", "selector", "matchLabels"], CONTROLLER, uid.into());
    }
}
