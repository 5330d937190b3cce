//! The ways to write what the API server has made canonical.
//!
//! A template may write `${mem}Gi` or offer `0.5` where the server shows `1Ti` and `500m`. A hole is then held against
//! the other spellings of the same quantity; what is bound is proven by rendering it and comparing.

use serde_json::Value;

use crate::quantity::Quantity;
use crate::tables::Scalar;

/// Billionths in one, the unit of [`Quantity::amount`].
const ONE: i128 = 1_000_000_000;

/// Suffixes with what they multiply by, as a fraction of whole numbers.
const SUFFIXES: [(&str, i128, i128); 20] = [
    ("", 1, 1),
    ("m", 1, 1000),
    ("Ki", 1 << 10, 1),
    ("Mi", 1 << 20, 1),
    ("Gi", 1 << 30, 1),
    ("Ti", 1 << 40, 1),
    ("Pi", 1 << 50, 1),
    ("Ei", 1 << 60, 1),
    ("k", 1_000, 1),
    ("M", 1_000_000, 1),
    ("G", 1_000_000_000, 1),
    ("T", 1_000_000_000_000, 1),
    ("P", 1_000_000_000_000_000, 1),
    ("E", 1_000_000_000_000_000_000, 1),
    ("u", 1, 1_000_000),
    ("n", 1, 1_000_000_000),
    ("e3", 1_000, 1),
    ("e6", 1_000_000, 1),
    ("e9", 1_000_000_000, 1),
    ("e12", 1_000_000_000_000, 1),
];

/// Whether a field of this kind is rewritten by the server.
pub(super) fn is_quantity(scalar: Scalar) -> bool {
    matches!(scalar, Scalar::Quantity | Scalar::MilliQuantity)
}

/// Other texts for the quantity that `value` is: a whole number or a short decimal before every suffix.
pub(super) fn texts(value: &Value) -> Vec<String> {
    let Ok(quantity) = Quantity::from_value(value) else { return Vec::new() };
    SUFFIXES.iter().filter_map(|(suffix, up, down)| spelled(quantity.amount(), *up, *down, suffix)).collect()
}

/// Other values for the quantity that `value` is: texts, and numbers where they are.
pub(super) fn values(value: &Value) -> impl Iterator<Item = Value> {
    texts(value).into_iter().flat_map(|text| {
        let number = serde_json::from_str(&text).ok().filter(Value::is_number);
        [Some(Value::String(text)), number].into_iter().flatten()
    })
}

fn spelled(amount: i128, up: i128, down: i128, suffix: &str) -> Option<String> {
    let unit = up.checked_mul(ONE)? / down;
    if unit == 0 {
        return None;
    }
    let sign = if amount < 0 { "-" } else { "" };
    let amount = amount.abs();
    let (whole, rest) = (amount / unit, amount % unit);
    if rest == 0 {
        return Some(format!("{sign}{whole}{suffix}"));
    }
    let thousandths = rest.checked_mul(1000)?;
    if thousandths % unit != 0 {
        return None;
    }
    let decimals = format!("{:03}", thousandths / unit);
    Some(format!("{sign}{whole}.{}{suffix}", decimals.trim_end_matches('0')))
}

/// Whether two values are the same to the API server where a field has this kind.
pub(super) fn same(scalar: Scalar, left: &Value, right: &Value) -> bool {
    if left == right || same_numbers(left, right) {
        return true;
    }
    is_quantity(scalar) && same_quantities(left, right)
}

/// Whether both are one quantity.
pub(super) fn same_quantities(left: &Value, right: &Value) -> bool {
    matches!((Quantity::from_value(left), Quantity::from_value(right)), (Ok(left), Ok(right)) if left == right)
}

fn same_numbers(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => match (left.as_i128(), right.as_i128()) {
            (Some(left), Some(right)) => left == right,
            _ => left.as_f64() == right.as_f64(),
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
    use super::*;
    use serde_json::json;

    #[test]
    fn a_quantity_is_spelled_in_every_way_that_a_template_may_write() {
        for (shown, written) in
            [("500m", "0.5"), ("1Ti", "1024Gi"), ("1536Mi", "1.5Gi"), ("2", "2000m"), ("1k", "1e3"), ("-500m", "-0.5")]
        {
            assert!(texts(&json!(shown)).contains(&written.to_owned()), "{shown} as {written}");
            assert!(texts(&json!(shown)).iter().all(|text| same_quantities(&json!(text), &json!(shown))), "{shown}");
        }
        assert!(texts(&json!("many")).is_empty());
    }
}
