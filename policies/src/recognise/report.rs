//! Differences as a person may see them: the most telling first, and nothing in them that must not be shown.

use std::collections::HashMap;

use serde_json::Value;

use super::bind::{Found, is_hidden, is_secret};
use crate::difference::{Difference, Expected, Got, Path, Step};
use crate::parameter::{Bindings, Parameter, Parameters, Schema, text_of_value};
use crate::template::{Hole, Pattern, Template};

/// A person reads a few; the first is what matters.
pub(super) const MOST: usize = 20;
/// What stands for an expected value that must not be shown.
const UNSHOWN: &str = "another value, which is not shown";

/// What a pattern with holes admits, for people; `refused` is the parameter that refused the value, which is `got`.
pub(super) fn describe(pattern: &Pattern, refused: Option<usize>, got: &Value, parameters: &Parameters) -> String {
    let schema_of = |index: usize| parameters.all.get(index).map_or_else(String::new, |known| described(known, got));
    match pattern {
        Pattern::Hole(Hole::Declared(index)) => schema_of(*index),
        Pattern::Hole(Hole::Given(given)) => format!("the value of ${{{}}}", given.name()),
        Pattern::Text(text) => {
            if let Some(Hole::Declared(index)) = text.sole_hole() {
                return schema_of(index);
            }
            let source = text.source(parameters);
            let holes: Vec<_> = match refused {
                Some(index) => vec![index],
                None => text.declared().into_iter().collect(),
            };
            let described = holes.into_iter().filter_map(|index| {
                let parameter = parameters.all.get(index)?;
                Some(format!("${{{}}} is {}", parameter.name, described(parameter, got)))
            });
            let described: Vec<_> = described.collect();
            if described.is_empty() { source } else { format!("{source}, where {}", described.join(" and ")) }
        }
        Pattern::Literal(value) => value.to_string(),
        Pattern::Map(_) => "a map".into(),
        Pattern::List(_) => "a list".into(),
    }
}

fn described(parameter: &Parameter, got: &Value) -> String {
    match &parameter.generated {
        Some(generated) => format!("a generated text of {} characters", generated.length),
        None => parameter.schema.describe_for(got),
    }
}

/// Ordered, shortened, and without what must not be shown.
pub(super) fn finish(
    mut differences: Vec<Difference>,
    found: &Found<'_>,
    template: &Template,
    bindings: &Bindings,
) -> Vec<Difference> {
    let takers: HashMap<&[Step], usize> =
        found.taken.iter().rev().map(|taken| (taken.path.steps(), taken.parameter)).collect();
    let items_of = |difference: &Difference| items_of(difference, &takers, template);
    drop_aliases(&mut differences);
    let rank = |difference: &Difference| rank(difference, items_of(difference).is_some());
    if differences.len() > MOST {
        differences.sort_by_cached_key(rank)
    } else {
        differences.sort_by_key(rank)
    }
    differences.dedup_by(|later, earlier| later.path == earlier.path && later.got == earlier.got);
    differences.truncate(MOST);
    for difference in &mut differences {
        if let Some((parameter, items)) = items_of(difference) {
            let got = match &difference.got {
                Got::Value(value) => value,
                _ => &Value::Null,
            };
            let described = format!("elements of ${{{}}}: {}", parameter.name, items.describe_for(got));
            difference.expected = Expected::Described(described);
        }
    }
    let (secrets, mut left) = (secrets(template, bindings), SOUGHT);
    for difference in &mut differences {
        if must_hide(difference, found, is_secret(template)) {
            hide(difference);
            continue;
        }
        // The same secret may stand where no hole is.
        if let Expected::Value(value) = &difference.expected
            && may_mention(value, &secrets, &mut left)
        {
            difference.expected = Expected::Described(UNSHOWN.into());
        }
        if let Got::Value(value) = &difference.got
            && may_mention(value, &secrets, &mut left)
        {
            difference.got = Got::Hidden;
        }
    }
    differences
}

/// `serviceAccount` is an old name of `serviceAccountName`, which the server keeps equal: once is enough.
fn drop_aliases(differences: &mut Vec<Difference>) {
    let ends = |difference: &Difference, key: &str| matches!(difference.path.steps().last(), Some(Step::Key(last)) if last == key);
    if differences.iter().any(|difference| ends(difference, "serviceAccountName")) {
        differences.retain(|difference| !ends(difference, "serviceAccount"));
    }
}

/// An element that a list hole did not take is not "nothing expected": the parameter, and what it takes.
fn items_of<'t>(
    difference: &Difference,
    takers: &HashMap<&[Step], usize>,
    template: &'t Template,
) -> Option<(&'t Parameter, &'t Schema)> {
    if takers.is_empty() || difference.expected != Expected::Nothing {
        return None;
    }
    let steps = difference.path.steps();
    let list = match steps.split_last() {
        Some((Step::Index(_) | Step::Element(_), list)) => list,
        _ => steps,
    };
    let parameter = template.parameters.all.get(*takers.get(list)?)?;
    Some((parameter, parameter.schema.items()?))
}

/// Which differences come first: another kind or name altogether, then values that a parameter refuses, values that
/// differ, fields that the template does not have, fields that the object does not have.
fn rank(difference: &Difference, of_list_hole: bool) -> u8 {
    let steps = difference.path.steps();
    let is_name = matches!(steps, [Step::Key(metadata), Step::Key(field), ..]
        if metadata == "metadata" && matches!(field.as_str(), "name" | "generateName" | "namespace"));
    match (&difference.expected, &difference.got) {
        _ if steps.len() == 1 && matches!(&steps[0], Step::Key(key) if key == "apiVersion" || key == "kind") => 0,
        _ if is_name => 1,
        (Expected::Described(_), Got::Value(_) | Got::Hidden) => 2,
        (Expected::Nothing, Got::Value(_) | Got::Hidden) if of_list_hole => 2,
        (Expected::Nothing, Got::Nothing) if of_list_hole => 5,
        (Expected::Value(_), Got::Value(_) | Got::Hidden) => 3,
        (Expected::Nothing, _) => 4,
        (_, Got::Nothing) => 5,
    }
}

/// Whether a difference is at, above or (in a list, where elements move) near a value that must not be shown.
fn must_hide(difference: &Difference, found: &Found<'_>, secret: bool) -> bool {
    let path = &difference.path;
    if secret && matches!(path.steps().first(), Some(Step::Key(key)) if key == "data" || key == "stringData") {
        return true;
    }
    let compound = matches!(&difference.got, Got::Value(Value::Array(_) | Value::Object(_)));
    found.sensitive.iter().any(|sensitive| {
        sensitive.path.contains(path)
            || path.contains(&sensitive.path)
            || sensitive.lists.iter().enumerate().any(|(depth, list)| {
                let nearest = depth + 1 == sensitive.lists.len();
                may_be_another(list, path, nearest || compound)
            })
    })
}

/// Whether a difference may show an element of `list` that the object has elsewhere than the template: any below a
/// position, since positions move; an element as a whole, if it could hold the value.
fn may_be_another(list: &Path, path: &Path, could_hold: bool) -> bool {
    match path.steps().strip_prefix(list.steps()) {
        Some([Step::Index(_), ..]) => true,
        Some([Step::Element(_)]) => could_hold,
        _ => false,
    }
}

fn hide(difference: &mut Difference) {
    if matches!(difference.expected, Expected::Value(_)) {
        difference.expected = Expected::Described(UNSHOWN.into());
    }
    if difference.got != Got::Nothing {
        difference.got = Got::Hidden;
    }
}

/// The texts of all values that must not be shown, each once.
fn secrets(template: &Template, bindings: &Bindings) -> Vec<String> {
    let mut out = Vec::new();
    for (parameter, value) in template.parameters.all.iter().zip(&bindings.declared) {
        if let (true, Some(value)) = (is_hidden(parameter), value) {
            gather(value, &mut out);
        }
    }
    out.sort_unstable();
    out.dedup();
    out
}

/// How much seeking of texts in others one refusal is worth, in bytes looked at.
const SOUGHT: usize = 4 << 20;

/// Whether one of the `secrets` is in a value, or they are too many, or it too long, to find out.
fn may_mention(value: &Value, secrets: &[String], left: &mut usize) -> bool {
    if secrets.is_empty() {
        return false;
    }
    match length(value).checked_mul(secrets.len()).and_then(|work| left.checked_sub(work)) {
        Some(rest) => {
            *left = rest;
            mentions(value, secrets)
        }
        None => true,
    }
}

/// Bytes of the texts in a value, and some for each.
fn length(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 32,
        Value::Array(values) => values.iter().map(length).sum(),
        Value::Object(entries) => entries.iter().map(|(key, value)| key.len() + 32 + length(value)).sum(),
        _ => 64,
    }
}

fn gather(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| gather(value, out)),
        Value::Object(entries) => entries.values().for_each(|value| gather(value, out)),
        scalar => out.extend(text_of_value(scalar).filter(|text| !text.is_empty())),
    }
}

fn mentions(value: &Value, secrets: &[String]) -> bool {
    match value {
        Value::Array(values) => values.iter().any(|value| mentions(value, secrets)),
        Value::Object(entries) => entries
            .iter()
            .any(|(key, value)| mentions(value, secrets) || secrets.iter().any(|secret| key.contains(secret.as_str()))),
        scalar => text_of_value(scalar).is_some_and(|text| secrets.iter().any(|secret| text.contains(secret.as_str()))),
    }
}
