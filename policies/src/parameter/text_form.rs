//! Values inside text: `${port}` within `tcp://host:${port}`.

use serde_json::Value;

use super::{Format, NumberSchema, Schema, SchemaNode, TextSchema, format};

/// The most integers of a range that are spelt out one by one.
const SPELT_OUT: i64 = 256;

/// The form of a scalar inside text: `3`, `true`, text itself; none for null, lists and maps.
pub fn text_of_value(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(known) => Some(known.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// What a text may be the form of.
struct Candidates {
    text: Value,
    boolean: Option<Value>,
    number: Option<Value>,
}

impl Candidates {
    fn of(text: &str) -> Self {
        // Only the one spelling that rendering writes: 3, not 03 or 3.0.
        let is_its_form = |value: &Value| text_of_value(value).as_deref() == Some(text);
        let number = text.parse().ok().map(Value::Number).filter(is_its_form);
        let boolean = match text {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            _ => None,
        };
        Self { text: text.into(), boolean, number }
    }
}

impl Schema {
    /// The value whose form inside text is this one: `3` is the integer 3 where this is an integer. None where this
    /// schema has no such value.
    pub fn value_of_text(&self, text: &str) -> Option<Value> {
        if let SchemaNode::Text(_) = self.node {
            return Some(Value::from(text)).filter(|value| self.admits(value));
        }
        self.among(&Candidates::of(text)).cloned()
    }

    fn among<'c>(&self, candidates: &'c Candidates) -> Option<&'c Value> {
        let candidate = match &self.node {
            SchemaNode::Text(_) => Some(&candidates.text),
            SchemaNode::Boolean => candidates.boolean.as_ref(),
            SchemaNode::Number(schema) => {
                candidates.number.as_ref().filter(|number| !(schema.integer && number.is_f64()))
            }
            SchemaNode::OneOf(schemas) => schemas.iter().find_map(|schema| schema.among(candidates)),
            SchemaNode::List(_) | SchemaNode::Map(_) => None,
        };
        candidate.filter(|candidate| self.admits(candidate))
    }

    /// Whether every value of this schema has a form inside text, so that there is a [`Schema::language`].
    pub fn is_textual(&self) -> bool {
        if !self.allowed.is_empty() {
            return !self.allowed.iter().any(|value| matches!(value, Value::Null | Value::Array(_) | Value::Object(_)));
        }
        match &self.node {
            SchemaNode::Text(_) | SchemaNode::Number(_) | SchemaNode::Boolean => true,
            SchemaNode::OneOf(schemas) => schemas.iter().all(Schema::is_textual),
            SchemaNode::List(_) | SchemaNode::Map(_) => false,
        }
    }

    /// A regular expression (in the syntax of `regex-syntax`, classes spelt out) of every text that a value of this
    /// schema is inside text, or of more than those. None where its values are no text.
    pub fn language(&self) -> Option<String> {
        if !self.allowed.is_empty() {
            let texts: Option<Vec<_>> =
                self.allowed.iter().map(|value| text_of_value(value).map(|text| regex_syntax::escape(&text))).collect();
            return texts.map(|texts| format!("(?:{})", texts.join("|")));
        }
        match &self.node {
            SchemaNode::Text(text) => Some(text.language()),
            SchemaNode::Number(number) => Some(number.language()),
            SchemaNode::Boolean => Some("(?:true|false)".into()),
            SchemaNode::OneOf(schemas) => {
                let languages: Option<Vec<_>> = schemas.iter().map(Schema::language).collect();
                languages.map(|languages| format!("(?:{})", languages.join("|")))
            }
            SchemaNode::List(_) | SchemaNode::Map(_) => None,
        }
    }
}

impl TextSchema {
    fn language(&self) -> String {
        if let Some(pattern) = &self.pattern {
            return format!("(?:{})", pattern.language());
        }
        match (&self.format, self.min_length, self.max_length) {
            (Some(Format::Quantity { .. }), ..) => format!("(?:{})", format::QUANTITY),
            (Some(Format::Duration { .. }), ..) => format!("(?:{})", format::DURATION),
            // A counted repetition is compiled as many times: beyond a kilobyte, length is left to `accepts`.
            (_, minimum, Some(maximum)) if maximum <= 1024 => format!("(?s:.{{{},{maximum}}})", minimum.unwrap_or(0)),
            (_, Some(minimum @ 1..=1024), _) => format!("(?s:.{{{minimum},}})"),
            _ => "(?s:.*)".into(),
        }
    }
}

impl NumberSchema {
    fn language(&self) -> String {
        let bound = |bound: &Option<super::Bound>| bound.as_ref().and_then(|bound| bound.number.as_i64());
        let (minimum, maximum) = (bound(&self.minimum), bound(&self.maximum));
        if !self.integer {
            return r"(?:-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)".into();
        }
        match (minimum, maximum) {
            (Some(minimum), Some(maximum)) if (0..SPELT_OUT).contains(&maximum.saturating_sub(minimum)) => {
                let all: Vec<_> = (minimum..=maximum).map(|number| number.to_string()).collect();
                format!("(?:{})", all.join("|"))
            }
            (Some(1..), _) => "(?:[1-9][0-9]*)".into(),
            (Some(0), _) => "(?:0|[1-9][0-9]*)".into(),
            _ => "(?:0|-?[1-9][0-9]*)".into(),
        }
    }
}
