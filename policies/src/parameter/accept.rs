//! Whether a value is one of a schema, and what was expected, for people. Values are never repeated: they may be secret.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

use serde_json::{Number, Value};

use super::{Bound, Format, ListSchema, MapSchema, NumberSchema, Schema, SchemaNode, TextSchema, pattern};
use crate::budget::{Budget, Exhausted};
use crate::difference::Path;
use crate::lifetime;
use crate::quantity::Quantity;

/// Steps for a search in a map.
const STEPS_PER_SEARCH: u64 = 16;

/// What was expected instead of a value, and where inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Where inside the value; empty for the value itself.
    pub path: Path,
    /// What was expected there.
    pub expected: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.steps().is_empty() {
            write!(f, "expected {}", self.expected)
        } else {
            write!(f, "{}: expected {}", self.path, self.expected)
        }
    }
}

impl std::error::Error for Mismatch {}

impl Schema {
    /// Whether a value is one of this schema.
    ///
    /// # Errors
    /// What was expected instead; the value itself is never repeated.
    pub fn accepts(&self, value: &Value) -> Result<(), Mismatch> {
        self.check(value, &Path::root())
    }

    /// As [`Self::accepts`], where nobody asks what was expected: to say that of many alternatives takes longer than to find
    /// that none accepts the value.
    pub(crate) fn admits(&self, value: &Value) -> bool {
        self.accepts_within(value, &Budget::of(u64::MAX)) == Ok(true)
    }

    fn check(&self, value: &Value, path: &Path) -> Result<(), Mismatch> {
        let expected = || Mismatch { path: path.clone(), expected: self.describe_for(value) };
        if !self.allowed.is_empty() && !self.allowed.holds(value) {
            return Err(expected());
        }
        match &self.node {
            SchemaNode::Text(text) => {
                if text.accepts(value) {
                    Ok(())
                } else {
                    Err(expected())
                }
            }
            SchemaNode::Number(number) => {
                if number.accepts(value) {
                    Ok(())
                } else {
                    Err(expected())
                }
            }
            SchemaNode::Boolean => {
                if value.is_boolean() {
                    Ok(())
                } else {
                    Err(expected())
                }
            }
            SchemaNode::List(list) => list.check(value, path, expected),
            SchemaNode::Map(map) => map.check(value, path, expected),
            SchemaNode::OneOf(schemas) => {
                let unbounded = Budget::of(u64::MAX);
                match one_of(schemas, value, &unbounded) {
                    Ok(true) => Ok(()),
                    Ok(false) | Err(Exhausted) => Err(expected()),
                }
            }
        }
    }

    /// Whether a value is one of this schema, without what was expected instead.
    ///
    /// # Errors
    /// When finding out takes more steps than the budget has.
    pub(crate) fn accepts_within(&self, value: &Value, budget: &Budget) -> Result<bool, Exhausted> {
        budget.spend(4)?;
        if !self.allowed.is_empty() {
            budget.spend(STEPS_PER_SEARCH + size(value))?;
            if !self.allowed.holds(value) {
                return Ok(false);
            }
        }
        match &self.node {
            SchemaNode::Text(text) => {
                budget.spend(text.steps(value))?;
                Ok(text.accepts(value))
            }
            SchemaNode::Number(number) => Ok(number.accepts(value)),
            SchemaNode::Boolean => Ok(value.is_boolean()),
            SchemaNode::List(list) => list.accepts(value, budget),
            SchemaNode::Map(map) => map.accepts(value, budget),
            SchemaNode::OneOf(schemas) => one_of(schemas, value, budget),
        }
    }

    /// What is expected instead of a value that is not accepted: of text that is too long to be held against a pattern,
    /// that it is, since the pattern alone does not tell.
    pub(crate) fn describe_for(&self, value: &Value) -> String {
        let too_long = value.as_str().is_some_and(|text| text.len() > pattern::LONGEST_TEXT);
        match self.describe() {
            described if too_long && self.has_pattern() => {
                format!(
                    "{described}, of at most {} bytes: longer text is held against no pattern",
                    pattern::LONGEST_TEXT
                )
            }
            described => described,
        }
    }

    /// Whether text is held against a pattern.
    fn has_pattern(&self) -> bool {
        match &self.node {
            SchemaNode::Text(text) => text.pattern.is_some(),
            SchemaNode::OneOf(schemas) => schemas.iter().any(Self::has_pattern),
            _ => false,
        }
    }

    /// For people: "an integer from 1 to 8".
    pub fn describe(&self) -> String {
        if !self.allowed.is_empty() {
            let shown: Vec<_> = self.allowed.iter().take(20).map(Value::to_string).collect();
            let more = if self.allowed.len() > 20 { ", …" } else { "" };
            return if let [only] = shown.as_slice() {
                only.clone()
            } else {
                format!("one of {}{more}", shown.join(", "))
            };
        }
        match &self.node {
            SchemaNode::Text(text) => text.describe(),
            SchemaNode::Number(number) => number.describe(),
            SchemaNode::Boolean => "true or false".into(),
            SchemaNode::List(list) => {
                let count = range(list.min_items.as_ref(), list.max_items.as_ref());
                let count = if count.is_empty() { count } else { format!(" of{count} elements") };
                format!("a list{count}, each {}", list.items.describe())
            }
            SchemaNode::Map(map) => map.describe(),
            SchemaNode::OneOf(schemas) => {
                let shown: Vec<_> = schemas.iter().take(20).map(Schema::describe).collect();
                let more = if schemas.len() > 20 { "; or …" } else { "" };
                format!("exactly one of: {}{more}", shown.join("; or "))
            }
        }
    }
}

/// Whether exactly one of these accepts a value.
fn one_of(schemas: &[Schema], value: &Value, budget: &Budget) -> Result<bool, Exhausted> {
    let mut accepting = 0;
    for schema in schemas {
        accepting += usize::from(schema.accepts_within(value, budget)?);
        if accepting > 1 {
            return Ok(false);
        }
    }
    Ok(accepting == 1)
}

/// Steps of comparing a value with another one.
fn size(value: &Value) -> u64 {
    match value {
        Value::String(text) => 1 + text.len() as u64 / 8,
        Value::Array(list) => 1 + list.iter().map(size).sum::<u64>(),
        Value::Object(map) => 1 + map.iter().map(|(key, value)| 8 + key.len() as u64 / 8 + size(value)).sum::<u64>(),
        _ => 1,
    }
}

/// Equality of JSON in which `1` and `1.0` are the same number.
pub(super) fn equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => order(one, other) == Some(Ordering::Equal),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| equal(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, value)| other.get(key).is_some_and(|found| equal(value, found)))
        }
        _ => one == other,
    }
}

fn whole(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

/// The order of two numbers, exact among integers.
pub(super) fn order(one: &Number, other: &Number) -> Option<Ordering> {
    match (whole(one), whole(other)) {
        (Some(one), Some(other)) => Some(one.cmp(&other)),
        _ => one.as_f64()?.partial_cmp(&other.as_f64()?),
    }
}

/// " 1 to 8", " 1 or more", " at most 8", "".
fn range<T: fmt::Display>(minimum: Option<&T>, maximum: Option<&T>) -> String {
    match (minimum, maximum) {
        (Some(minimum), Some(maximum)) => format!(" {minimum} to {maximum}"),
        (Some(minimum), None) => format!(" {minimum} or more"),
        (None, Some(maximum)) => format!(" at most {maximum}"),
        (None, None) => String::new(),
    }
}

fn within<T: PartialOrd>(value: &T, minimum: Option<&T>, maximum: Option<&T>) -> bool {
    minimum.is_none_or(|minimum| value >= minimum) && maximum.is_none_or(|maximum| value <= maximum)
}

impl TextSchema {
    /// Steps of [`TextSchema::accepts`].
    fn steps(&self, value: &Value) -> u64 {
        let length = value.as_str().map_or(20, str::len);
        1 + length as u64 / 8 + self.pattern.as_ref().map_or(0, |pattern| pattern.steps(length))
    }

    fn accepts(&self, value: &Value) -> bool {
        let text = match value {
            Value::String(text) => Cow::Borrowed(text.as_str()),
            // The API server reads a number where the field is a quantity.
            Value::Number(number) if matches!(self.format, Some(Format::Quantity { .. })) => number.to_string().into(),
            _ => return false,
        };
        let long_enough = || {
            (self.min_length.is_none() && self.max_length.is_none())
                || within(&text.chars().count(), self.min_length.as_ref(), self.max_length.as_ref())
        };
        let of_format = || match &self.format {
            Some(Format::Quantity { minimum, maximum }) => {
                Quantity::from_value(value).is_ok_and(|quantity| within(&quantity, minimum.as_ref(), maximum.as_ref()))
            }
            Some(Format::Duration { minimum, maximum }) => lifetime::seconds(&text)
                .is_ok_and(|seconds| text.trim() == &*text && within(&seconds, minimum.as_ref(), maximum.as_ref())),
            Some(Format::Image(_)) | None => true,
        };
        long_enough() && self.pattern.as_ref().is_none_or(|pattern| pattern.matches(&text)) && of_format()
    }

    fn describe(&self) -> String {
        let mut text = match &self.format {
            None => String::from("text"),
            Some(Format::Quantity { minimum, maximum }) => {
                format!("a quantity{}", range(minimum.as_ref(), maximum.as_ref()))
            }
            Some(Format::Duration { minimum, maximum }) => {
                let seconds = |bound: &Option<u64>| bound.map(|seconds| format!("{seconds}s"));
                format!("a duration{}", range(seconds(minimum).as_ref(), seconds(maximum).as_ref()))
            }
            Some(Format::Image(image)) => image.clone(),
        };
        if let (Some(pattern), false) = (&self.pattern, matches!(self.format, Some(Format::Image(_)))) {
            text.push_str(&format!(" that matches {} as a whole", pattern.source()));
        }
        let length = range(self.min_length.as_ref(), self.max_length.as_ref());
        if length.is_empty() { text } else { format!("{text} of{length} characters") }
    }
}

impl NumberSchema {
    fn accepts(&self, value: &Value) -> bool {
        let Value::Number(number) = value else { return false };
        if self.integer && whole(number).is_none() && number.as_f64().is_none_or(|number| number.fract() != 0.0) {
            return false;
        }
        let beyond = |bound: &Bound, outside: Ordering| match order(number, &bound.number) {
            Some(Ordering::Equal) => bound.exclusive,
            Some(order) => order == outside,
            None => true,
        };
        !self.minimum.as_ref().is_some_and(|bound| beyond(bound, Ordering::Less))
            && !self.maximum.as_ref().is_some_and(|bound| beyond(bound, Ordering::Greater))
    }

    fn describe(&self) -> String {
        let kind = if self.integer { "an integer" } else { "a number" };
        match (&self.minimum, &self.maximum) {
            (Some(Bound { number: minimum, exclusive: false }), Some(Bound { number: maximum, exclusive: false })) => {
                format!("{kind} from {minimum} to {maximum}")
            }
            (minimum, maximum) => {
                let mut parts = Vec::new();
                if let Some(bound) = minimum {
                    parts.push(format!("{} {}", if bound.exclusive { "above" } else { "of at least" }, bound.number));
                }
                if let Some(bound) = maximum {
                    parts.push(format!("{} {}", if bound.exclusive { "below" } else { "of at most" }, bound.number));
                }
                if parts.is_empty() { kind.to_owned() } else { format!("{kind} {}", parts.join(" and ")) }
            }
        }
    }
}

impl ListSchema {
    fn accepts(&self, value: &Value, budget: &Budget) -> Result<bool, Exhausted> {
        let Value::Array(items) = value else { return Ok(false) };
        if !within(&items.len(), self.min_items.as_ref(), self.max_items.as_ref()) {
            return Ok(false);
        }
        for item in items {
            if !self.items.accepts_within(item, budget)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn check(&self, value: &Value, path: &Path, expected: impl Fn() -> Mismatch) -> Result<(), Mismatch> {
        let Value::Array(items) = value else { return Err(expected()) };
        if !within(&items.len(), self.min_items.as_ref(), self.max_items.as_ref()) {
            return Err(expected());
        }
        items.iter().enumerate().try_for_each(|(position, item)| self.items.check(item, &path.index(position)))
    }
}

impl MapSchema {
    fn accepts(&self, value: &Value, budget: &Budget) -> Result<bool, Exhausted> {
        let Value::Object(entries) = value else { return Ok(false) };
        budget.spend(STEPS_PER_SEARCH * (self.properties.len() + entries.len()) as u64)?;
        if self.properties.iter().any(|(key, property)| !property.optional && !entries.contains_key(key)) {
            return Ok(false);
        }
        for (key, value) in entries {
            let schema = self.properties.get(key).map(|property| &property.schema).or(self.additional.as_deref());
            let fits = match schema {
                Some(schema) => schema.accepts_within(value, budget)?,
                None => false,
            };
            if !fits {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn check(&self, value: &Value, path: &Path, expected: impl Fn() -> Mismatch) -> Result<(), Mismatch> {
        let Value::Object(entries) = value else { return Err(expected()) };
        for (key, property) in self.properties.iter() {
            if !property.optional && !entries.contains_key(key) {
                return Err(Mismatch { path: path.key(key), expected: property.schema.describe() });
            }
        }
        for (key, value) in entries {
            match (self.properties.get(key), &self.additional) {
                (Some(property), _) => property.schema.check(value, &path.key(key))?,
                (None, Some(additional)) => additional.check(value, &path.key(key))?,
                (None, None) => return Err(Mismatch { path: path.key(key), expected: "no such key".into() }),
            }
        }
        Ok(())
    }

    fn describe(&self) -> String {
        let mut parts: Vec<_> = self
            .properties
            .iter()
            .take(12)
            .map(|(key, property)| {
                format!("{key}{} ({})", if property.optional { "?" } else { "" }, property.schema.describe())
            })
            .collect();
        if let Some(additional) = &self.additional {
            parts.push(format!("any other key ({})", additional.describe()));
        }
        if parts.is_empty() { "an empty map".into() } else { format!("a map with {}", parts.join(", ")) }
    }
}
