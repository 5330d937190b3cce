//! Whether an object has another name than a template could give: seen at once, and among many templates of a kind nearly all are
//! for another name.

use serde_json::Value;

use super::{Context, Form, work};
use crate::render::may_be_absent;
use crate::template::{Pattern, Template};
use crate::text::{Part, TextMismatch, TextPattern};

/// Whether `object` differs from `template` in its name for sure, whatever the holes stand for. `false` says nothing.
pub(crate) fn is_named_otherwise(template: &Template, object: &Value, context: &Context<'_>) -> bool {
    let Some(metadata @ Pattern::Map(_)) = template.pattern.get("metadata") else { return false };
    let Some(shown) = object.get("metadata").and_then(Value::as_object) else { return false };
    ["name", "generateName"].into_iter().any(|field| match (metadata.get(field), shown.get(field)) {
        (Some(Pattern::Literal(Value::String(said))), shown) => {
            !said.is_empty() && shown.is_none_or(|shown| shown.as_str().is_some_and(|shown| shown != said))
        }
        (Some(Pattern::Text(text)), Some(Value::String(shown))) => cannot_be(text, shown, template, context),
        // Text with something literal in it is never empty.
        (Some(Pattern::Text(text)), None) => {
            stays(text, template) && text.parts.iter().any(|part| matches!(part, Part::Literal(_)))
        }
        // The server makes a name of a prefix, and nothing else.
        (None, Some(Value::String(shown))) => {
            !shown.is_empty() && (field == "generateName" || context.form != Form::Validating)
        }
        _ => false,
    })
}

/// Whether no hole of a text may be absent, and the text with it.
fn stays(text: &TextPattern, template: &Template) -> bool {
    let absent = |index: &usize| template.parameters.all.get(*index).is_none_or(may_be_absent);
    !text.declared().iter().any(absent)
}

fn cannot_be(text: &TextPattern, shown: &str, template: &Template, context: &Context<'_>) -> bool {
    let mismatches = || {
        let bound = text.bind(shown, context.given, &template.parameters);
        matches!(bound, Err(TextMismatch::Form | TextMismatch::Parameter(_)))
    };
    context.spend(work::of_text(text, shown.len(), &template.parameters, context.budget))
        && mismatches()
        && stays(text, template)
}
