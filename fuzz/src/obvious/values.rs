//! Values: what is the same, what a hole may be, amounts.

use serde_json::{Value, json};

use crate::tree::{Schema, text_of};

/// A number as a whole one, where it is.
pub(super) fn whole(value: &Value) -> Option<Value> {
    let number = value.as_f64().filter(|_| value.is_f64())?;
    #[expect(clippy::cast_possible_truncation, reason = "it is whole and small")]
    (number.fract() == 0.0 && number.abs() < 1e15).then(|| json!(number as i64))
}

/// What a hole may have been for the server to show this.
pub(super) fn readings(key: &str, value: &Value) -> Vec<Value> {
    let mut all = vec![whole(value).unwrap_or_else(|| value.clone())];
    if value.is_null() {
        all = vec![json!(""), json!(0), json!(false)];
    }
    // In a list of amounts a number is shown as text.
    if matches!(key, "cpu" | "memory")
        && let Some(amount) = amount(value)
        && amount % 1_000_000_000 == 0
    {
        // As a number, or as digits, of which a hole takes four.
        let whole = i64::try_from(amount / 1_000_000_000).unwrap_or_default();
        all.push(json!(whole));
        all.extend((1..=4).map(|width| json!(format!("{whole:0width$}"))));
    }
    all
}

pub(super) fn same(key: &str, leaf: &Value, value: &Value) -> bool {
    let zeros = [json!(""), json!(0), json!(false), json!([]), json!({})];
    if leaf == value || value.is_null() && zeros.contains(leaf) {
        return true;
    }
    match (leaf, value) {
        (Value::Number(leaf), Value::Number(value)) => leaf.as_f64() == value.as_f64(),
        (Value::Array(leaf), Value::Array(value)) => leaf.is_empty() && value.is_empty(),
        (Value::Object(leaf), Value::Object(value)) => leaf.is_empty() && value.is_empty(),
        _ => {
            matches!(key, "cpu" | "memory" | "divisor" | "sizeLimit")
                && amount(leaf).is_some()
                && amount(leaf) == amount(value)
        }
    }
}

/// A quantity in thousand-millionths.
fn amount(value: &Value) -> Option<i128> {
    let text = text_of(value)?;
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && part.is_empty() || part.len() > 9 || whole.len() > 12 {
        return None;
    }
    let nano: i128 = format!("{whole}{part:0<9}").parse().ok()?;
    let scale: (i128, i128) = match unit {
        "" => (1, 1),
        "m" => (1, 1_000),
        "u" => (1, 1_000_000),
        "n" => (1, 1_000_000_000),
        "k" | "e3" | "E3" => (1_000, 1),
        "M" | "e6" | "E6" => (1_000_000, 1),
        "G" | "e9" | "E9" => (1_000_000_000, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        _ => return None,
    };
    // The server rounds up to thousandths.
    let exact = nano.checked_mul(scale.0)?;
    Some((exact + scale.1 * 1_000_000 - 1) / (scale.1 * 1_000_000) * 1_000_000)
}

fn letters(text: &str, least: usize, most: usize) -> bool {
    (least..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// The value that a piece of text is.
pub(super) fn read(schema: Schema, text: &str) -> Option<Value> {
    let value = match schema {
        Schema::Whole => json!(text.parse::<u8>().ok()?),
        Schema::Flag => json!(text.parse::<bool>().ok()?),
        _ => json!(text),
    };
    (accepts(schema, &value) && text_of(&value).as_deref() == Some(text)).then_some(value)
}

pub(super) fn accepts(schema: Schema, value: &Value) -> bool {
    match (schema, value) {
        (Schema::Digits, Value::String(text)) => {
            (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
        }
        (Schema::Word, Value::String(text)) => letters(text, 1, 5),
        (Schema::Choice, Value::String(text)) => ["a", "bb", "c-d"].contains(&text.as_str()),
        (Schema::Free, Value::String(_)) | (Schema::Flag, Value::Bool(_)) => true,
        (Schema::Whole, Value::Number(number)) => number.as_u64().is_some_and(|number| (1..=80).contains(&number)),
        (Schema::Words, Value::Array(all)) => all.iter().all(|one| accepts(Schema::Word, one)),
        (Schema::Pairs, Value::Array(all)) => all.iter().all(|one| {
            let Value::Object(fields) = one else { return false };
            let name = fields.get("name").and_then(Value::as_str).and_then(|name| name.strip_prefix("X_"));
            let named = name.is_some_and(|name| letters(&name.to_lowercase(), 1, 3) && name == name.to_uppercase());
            let value = fields.get("value").filter(|value| !value.is_null()).map_or(Some(""), Value::as_str);
            named
                && value.is_some_and(|value| letters(value, 0, 4))
                && fields.iter().all(|(key, value)| matches!(key.as_str(), "name" | "value") || value.is_null())
        }),
        _ => false,
    }
}
