//! How much work a verdict will be, before it is begun.

use serde_json::Value;

use crate::request::Request;

use super::Situation;

/// An estimate of the steps that [`super::decide`] will take ([`crate::budget`]): from above, and quick to make. Where it
/// is decided whether a review may be judged on a thread that serves others, this says.
pub fn effort(request: &Request, situation: &Situation) -> u64 {
    let size = [&request.object, &request.old_object].into_iter().flatten().map(nodes).sum::<u64>();
    let held_against = situation.caller.as_ref().map_or(0, |caller| {
        let sets = caller.wish.manifests.iter().filter_map(|name| situation.library.sets.get(name));
        sets.filter(|set| set.templates.has(&request.kind)).count()
    });
    size.saturating_mul(1 + held_against as u64)
}

/// Bytes of texts, and one for each value.
fn nodes(value: &Value) -> u64 {
    1 + match value {
        Value::String(text) => text.len() as u64,
        Value::Array(elements) => elements.iter().map(nodes).sum(),
        Value::Object(fields) => fields.iter().map(|(name, value)| name.len() as u64 + nodes(value)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}
