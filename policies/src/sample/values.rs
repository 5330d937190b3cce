//! Sample values of schemas.

use regex_syntax::hir::{Class, Hir, HirKind};
use serde_json::{Map, Number, Value};

use crate::budget::Budget;
use crate::parameter::{
    Bound, Format, ListSchema, MapSchema, NumberSchema, Parameter, Pattern, Schema, SchemaNode, TextSchema,
};

/// How much longer than the shortest a text may get, in repetitions, until one is accepted.
const LONGER: usize = 64;
/// The longest sample text, in bytes: who asks for more is told that there is no sample.
const LONGEST: usize = 4096;
/// Characters that are good everywhere, the best first.
const PLAIN: &str = "a0bcdefghijklmnopqrstuvwxyz123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// A value that the parameter accepts; none where none was found, or not by the steps of the budget.
pub(super) fn of_parameter(parameter: &Parameter, budget: &Budget) -> Option<Value> {
    match &parameter.generated {
        Some(generated) => {
            let letter = generated.alphabet.chars().next()?;
            Some(Value::String(std::iter::repeat_n(letter, generated.length).collect()))
        }
        None => of(&parameter.schema, budget),
    }
}

/// A value that the schema accepts; none where none was found.
fn of(schema: &Schema, budget: &Budget) -> Option<Value> {
    budget.spend(1).ok()?;
    let accepted = |value: &Value| schema.accepts_within(value, budget).unwrap_or(false);
    if !schema.allowed.is_empty() {
        return schema.allowed.iter().find(|value| accepted(value)).cloned();
    }
    match &schema.node {
        SchemaNode::Text(text) => texts(text, budget).map(Value::String).find(accepted),
        SchemaNode::Number(number) => numbers(number).into_iter().map(Value::Number).find(accepted),
        SchemaNode::Boolean => Some(Value::Bool(false)),
        SchemaNode::List(list) => of_list(list, budget).filter(accepted),
        SchemaNode::Map(map) => of_map(map, budget).filter(accepted),
        SchemaNode::OneOf(schemas) => schemas.iter().filter_map(|schema| of(schema, budget)).find(accepted),
    }
}

fn of_list(list: &ListSchema, budget: &Budget) -> Option<Value> {
    // One shows what elements are like; more only where there must be.
    let count = list.min_items.unwrap_or(0).max(1).min(list.max_items.unwrap_or(usize::MAX));
    if count == 0 {
        return Some(Value::Array(Vec::new()));
    }
    match of(&list.items, budget) {
        // Lists within lists multiply.
        Some(item) if count <= LONGER => {
            budget.spend(size(&item) * count as u64).ok()?;
            Some(Value::Array(vec![item; count]))
        }
        Some(_) => None,
        None => (list.min_items.unwrap_or(0) == 0).then(|| Value::Array(Vec::new())),
    }
}

fn of_map(map: &MapSchema, budget: &Budget) -> Option<Value> {
    let required = map.properties.iter().filter(|(_, property)| !property.optional);
    let entries = required.map(|(name, property)| Some((name.clone(), of(&property.schema, budget)?)));
    entries.collect::<Option<Map<_, _>>>().map(Value::Object)
}

/// Steps of copying a value.
fn size(value: &Value) -> u64 {
    match value {
        Value::Array(list) => 8 + list.iter().map(size).sum::<u64>(),
        Value::Object(map) => 8 + map.iter().map(|(key, value)| 8 + key.len() as u64 + size(value)).sum::<u64>(),
        Value::String(text) => 8 + text.len() as u64,
        _ => 8,
    }
}

fn numbers(schema: &NumberSchema) -> Vec<Number> {
    let inside = |bound: &Option<Bound>, step: i64| {
        let bound = bound.as_ref()?;
        if !bound.exclusive {
            return Some(bound.number.clone());
        }
        match bound.number.as_i64() {
            Some(whole) => whole.checked_add(step).map(Number::from),
            None => Number::from_f64(bound.number.as_f64()?.trunc() + f64::from(i32::try_from(step).ok()?)),
        }
    };
    let middle = || {
        let (low, high) = (schema.minimum.as_ref()?.number.as_f64()?, schema.maximum.as_ref()?.number.as_f64()?);
        Number::from_f64(f64::midpoint(low, high))
    };
    let known = [inside(&schema.minimum, 1), inside(&schema.maximum, -1), middle()];
    [Some(Number::from(1)), Some(Number::from(0))].into_iter().chain(known).flatten().collect()
}

fn texts<'s>(schema: &'s TextSchema, budget: &'s Budget) -> Box<dyn Iterator<Item = String> + 's> {
    let mut found = Vec::new();
    match &schema.format {
        Some(Format::Quantity { minimum, maximum }) => {
            found.extend(["1", "1Gi", "100m"].map(str::to_owned));
            found.extend(minimum.iter().chain(maximum).map(ToString::to_string));
        }
        Some(Format::Duration { minimum, maximum }) => {
            found.extend(["1h", "60s"].map(str::to_owned));
            found.extend(minimum.iter().chain(maximum).map(|seconds| format!("{seconds}s")));
        }
        Some(Format::Image(_)) | None => {}
    }
    let parsed = schema.pattern.as_ref().map(|pattern| {
        budget.spend(Pattern::steps_to_read(pattern.language())).ok()?;
        regex_syntax::parse(pattern.language()).ok()
    });
    match parsed {
        Some(Some(hir)) => {
            Box::new(found.into_iter().chain([1, 0].into_iter().chain(2..LONGER).filter_map(move |more| {
                let mut text = String::new();
                write(&hir, more, budget, &mut text)?;
                Some(text)
            })))
        }
        Some(None) => Box::new(found.into_iter()),
        None => {
            found.push("sample".into());
            let shortest = schema.min_length.unwrap_or(1).min(LONGEST);
            found.push("a".repeat(shortest));
            found.push("a".repeat(schema.max_length.unwrap_or(1).min(LONGEST)));
            Box::new(found.into_iter())
        }
    }
}

/// A text of a pattern, each repetition so many times more than it must; none where that gets too long.
fn write(hir: &Hir, more: usize, budget: &Budget, text: &mut String) -> Option<()> {
    // Repetitions of what may be empty multiply, and the text does not grow.
    budget.spend(1).ok()?;
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => text.push_str(std::str::from_utf8(&literal.0).ok()?),
        HirKind::Class(class) => text.push(letter(class)?),
        HirKind::Capture(capture) => write(&capture.sub, more, budget, text)?,
        HirKind::Concat(parts) => parts.iter().try_for_each(|part| write(part, more, budget, text))?,
        HirKind::Alternation(branches) => write(branches.first()?, more, budget, text)?,
        HirKind::Repetition(repetition) => {
            let least = usize::try_from(repetition.min).ok()?;
            let most = repetition.max.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
            for _ in 0..least.saturating_add(more).min(most) {
                write(&repetition.sub, more, budget, text)?;
            }
        }
    }
    (text.len() <= LONGEST).then_some(())
}

/// A character of a class, a plain one where there is one.
fn letter(class: &Class) -> Option<char> {
    match class {
        Class::Unicode(class) => {
            let holds = |letter: &char| class.iter().any(|range| (range.start()..=range.end()).contains(letter));
            PLAIN.chars().find(holds).or_else(|| class.iter().next().map(|range| range.start()))
        }
        Class::Bytes(class) => {
            let holds =
                |letter: &char| class.iter().any(|range| (range.start()..=range.end()).contains(&(*letter as u8)));
            PLAIN.chars().find(holds).or_else(|| class.iter().next().map(|range| char::from(range.start())))
        }
    }
}
