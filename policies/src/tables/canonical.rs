//! Scalars as the API server stores them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Value;

use crate::quantity::Quantity;

use super::shape::Scalar;

/// Floats above this are no exact whole numbers any more.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Brings a scalar to the form in which the API server would show it. What it cannot read stays as it is: the API
/// server would refuse it, and a comparison will find it.
pub(super) fn canonicalise(scalar: Scalar, value: &mut Value) {
    let canonical = match scalar {
        Scalar::Integer | Scalar::IntOrString | Scalar::Number | Scalar::Plain => whole(value),
        Scalar::Quantity => Quantity::from_value(value).ok().map(|quantity| quantity.to_string().into()),
        Scalar::MilliQuantity => {
            Quantity::from_value(value).ok().map(|quantity| quantity.round_up_to_milli().to_string().into())
        }
        Scalar::Bytes => bytes(value),
        Scalar::Time => time(value, "%Y-%m-%dT%H:%M:%SZ"),
        Scalar::MicroTime => time(value, "%Y-%m-%dT%H:%M:%S.%6fZ"),
        Scalar::Text | Scalar::Boolean => None,
    };
    if let Some(canonical) = canonical {
        *value = canonical;
    }
}

/// Whether [`canonicalise`] would leave a scalar as it is.
pub(super) fn is_canonical(scalar: Scalar, value: &Value) -> bool {
    match scalar {
        Scalar::Text | Scalar::Boolean => true,
        Scalar::Integer | Scalar::IntOrString | Scalar::Number | Scalar::Plain => whole(value).is_none(),
        Scalar::Quantity | Scalar::MilliQuantity | Scalar::Bytes | Scalar::Time | Scalar::MicroTime => {
            let mut canonical = value.clone();
            canonicalise(scalar, &mut canonical);
            canonical == *value
        }
    }
}

/// A canonical quantity of a resource list.
pub(super) fn milli(mut value: Value) -> Value {
    canonicalise(Scalar::MilliQuantity, &mut value);
    value
}

/// `1.0` as `1`.
#[expect(clippy::cast_possible_truncation, reason = "the bound is checked")]
fn whole(value: &Value) -> Option<Value> {
    let number = value.as_f64().filter(|_| value.is_f64())?;
    (number.fract() == 0.0 && number.abs() <= EXACT).then(|| Value::from(number as i64))
}

fn bytes(value: &Value) -> Option<Value> {
    // Go's decoder skips line ends.
    let text: String = value.as_str()?.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    Some(STANDARD.encode(STANDARD.decode(text).ok()?).into())
}

fn time(value: &Value, format: &str) -> Option<Value> {
    let time: Timestamp = value.as_str()?.parse().ok()?;
    Some(time.strftime(format).to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn scalars_become_what_the_server_stores() {
        let cases = [
            (Scalar::Integer, json!(1.0), json!(1)),
            (Scalar::Integer, json!(1000.0), json!(1000)),
            (Scalar::Number, json!(1.5), json!(1.5)),
            (Scalar::Plain, json!(-3.0), json!(-3)),
            (Scalar::Plain, json!("1.0"), json!("1.0")),
            (Scalar::IntOrString, json!("80"), json!("80")),
            (Scalar::IntOrString, json!(80), json!(80)),
            (Scalar::Text, json!("1.0"), json!("1.0")),
            (Scalar::Quantity, json!(0.5), json!("500m")),
            (Scalar::Quantity, json!("0.00001"), json!("10u")),
            (Scalar::MilliQuantity, json!("0.00001"), json!("1m")),
            (Scalar::Quantity, json!("lots"), json!("lots")),
            (Scalar::Bytes, json!("aGk=\n"), json!("aGk=")),
            (Scalar::Bytes, json!("*"), json!("*")),
            (Scalar::Time, json!("2026-11-20T16:00:00.5+01:00"), json!("2026-11-20T15:00:00Z")),
            (Scalar::MicroTime, json!("2026-11-20T15:00:00Z"), json!("2026-11-20T15:00:00.000000Z")),
            (Scalar::Time, json!("tomorrow"), json!("tomorrow")),
        ];
        for (scalar, mut value, expected) in cases {
            let before = value.clone();
            canonicalise(scalar, &mut value);
            assert_eq!(value, expected, "{scalar:?} {before}");
        }
    }
}
