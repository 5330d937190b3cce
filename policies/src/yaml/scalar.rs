//! What kubectl makes of a scalar: the resolution table of YAML 1.1 as Go's yaml v2 has it
//! (`resolve.go`), and JSON as Go writes it (a float without a fraction is an integer).

use base64::Engine as _;
use serde_json::{Number, Value};

/// Whether a plain scalar is a boolean that people mean as text: `y`, `n`, `on`, `off`, `yes`, `no`.
pub fn is_short_boolean(text: &str) -> bool {
    boolean(text).is_some() && !text.eq_ignore_ascii_case("true") && !text.eq_ignore_ascii_case("false")
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Some(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

/// A scalar resolved, still knowing integers from floats (keys need it).
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Resolved {
    Null,
    Bool(bool),
    Int(i64),
    Unsigned(u64),
    Float(f64),
    Text,
}

/// What a plain scalar without a tag is.
pub(super) fn resolve(text: &str) -> Resolved {
    if let Some(known) = boolean(text) {
        return Resolved::Bool(known);
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Resolved::Null,
        ".nan" | ".NaN" | ".NAN" => return Resolved::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Resolved::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Resolved::Float(f64::NEG_INFINITY),
        _ => {}
    }
    match text.as_bytes()[0] {
        b'.' if is_float(text) => float(text),
        b'0'..=b'9' | b'+' | b'-' => {
            let plain = text.replace('_', "");
            integer(&plain).unwrap_or_else(|| if is_float(&plain) { float(&plain) } else { Resolved::Text })
        }
        _ => Resolved::Text,
    }
}

/// Go's `ParseInt(…, 0, 64)`, then `ParseUint`: `0644` is octal, as are `0o644` and `0O644`.
fn integer(text: &str) -> Option<Resolved> {
    let (negative, signed, digits) = match text.as_bytes().first()? {
        b'-' => (true, true, &text[1..]),
        b'+' => (false, true, &text[1..]),
        _ => (false, false, text),
    };
    let lower = digits.get(..2).unwrap_or("").to_ascii_lowercase();
    let (base, digits) = match lower.as_str() {
        "0x" => (16, &digits[2..]),
        "0o" => (8, &digits[2..]),
        "0b" => (2, &digits[2..]),
        _ if digits.len() > 1 && digits.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    };
    if !digits.chars().next()?.is_ascii_alphanumeric() {
        return None;
    }
    let size = u64::from_str_radix(digits, base).ok()?;
    match (negative, i64::try_from(size)) {
        (false, Ok(number)) => Some(Resolved::Int(number)),
        (false, Err(_)) if !signed => Some(Resolved::Unsigned(size)),
        (false, Err(_)) => None,
        (true, Ok(number)) => Some(Resolved::Int(-number)),
        (true, Err(_)) if size == 1 << 63 => Some(Resolved::Int(i64::MIN)),
        (true, Err(_)) => None,
    }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    let whole = digits(rest);
    rest = &rest[whole..];
    if let Some(after) = rest.strip_prefix('.') {
        let fraction = digits(after);
        if whole + fraction == 0 {
            return false;
        }
        rest = &after[fraction..];
    } else if whole == 0 {
        return false;
    }
    match rest.strip_prefix(['e', 'E']) {
        None => rest.is_empty(),
        Some(after) => {
            let after = after.strip_prefix(['-', '+']).unwrap_or(after);
            !after.is_empty() && digits(after) == after.len()
        }
    }
}

/// A number too large for a float is text, as in Go.
fn float(text: &str) -> Resolved {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Resolved::Float(number),
        _ => Resolved::Text,
    }
}

/// What a scalar is, given its tag; the error says what to do.
pub(super) fn tagged(tag: &str, text: &str) -> Result<(Resolved, Option<String>), String> {
    let found = resolve(text);
    let wrong = |wanted: &str| Err(format!("cannot read {text:?} as {wanted}: correct the value or remove its tag"));
    match tag {
        "bool" if matches!(found, Resolved::Bool(_)) => Ok((found, None)),
        "int" if matches!(found, Resolved::Int(_) | Resolved::Unsigned(_)) => Ok((found, None)),
        "float" if matches!(found, Resolved::Int(_) | Resolved::Float(_)) => Ok((found, None)),
        "null" if found == Resolved::Null => Ok((found, None)),
        "bool" => wrong("a boolean"),
        "int" => wrong("an integer"),
        "float" => wrong("a number"),
        "null" => wrong("null"),
        "binary" => match base64::engine::general_purpose::STANDARD.decode(text.replace(['\n', '\r'], "")) {
            Ok(bytes) => match String::from_utf8(bytes) {
                Ok(decoded) => Ok((Resolved::Text, Some(decoded))),
                Err(_) => Err("!!binary holds bytes that are no text: write base64 without the tag".into()),
            },
            Err(_) => Err("!!binary holds no base64".into()),
        },
        _ => Ok((Resolved::Text, None)),
    }
}

/// As JSON; `text` is the scalar's own.
pub(super) fn json(resolved: &Resolved, text: &str) -> Result<Value, String> {
    Ok(match *resolved {
        Resolved::Null => Value::Null,
        Resolved::Bool(known) => Value::Bool(known),
        Resolved::Int(number) => Value::from(number),
        Resolved::Unsigned(number) => Value::from(number),
        Resolved::Float(number) => {
            return float_json(number).ok_or_else(|| format!("{text} is no number of JSON: quote it"));
        }
        Resolved::Text => Value::from(text),
    })
}

/// Go writes a float without a fraction, below 1e21, as digits alone: it comes back as an integer.
fn float_json(number: f64) -> Option<Value> {
    if number.fract() == 0.0 && number.abs() < 1e21 {
        let digits = format!("{number}");
        if let Ok(integer) = digits.parse::<i64>() {
            return Some(Value::from(integer));
        }
        if let Ok(integer) = digits.parse::<u64>() {
            return Some(Value::from(integer));
        }
    }
    Number::from_f64(number).map(Value::Number)
}

/// As the key of a JSON map; the error says what to do.
pub(super) fn key(resolved: &Resolved, text: &str) -> Result<String, String> {
    Ok(match *resolved {
        Resolved::Null => return Err("a key is null: give it a name, or quote it".into()),
        Resolved::Bool(known) => known.to_string(),
        Resolved::Int(number) => number.to_string(),
        Resolved::Unsigned(_) => return Err(format!("the key {text} is too large a number: quote it")),
        Resolved::Float(number) => float_key(number),
        Resolved::Text => text.to_owned(),
    })
}

/// Go's `FormatFloat(number, 'g', -1, 32)`: shortest digits, an exponent below -4 and from 6 on, of two digits or more.
#[expect(clippy::cast_possible_truncation, reason = "kubectl narrows keys to 32 bits")]
fn float_key(number: f64) -> String {
    let narrow = number as f32;
    if narrow.is_nan() {
        return ".nan".into();
    }
    if narrow.is_infinite() {
        return if narrow > 0.0 { ".inf" } else { "-.inf" }.into();
    }
    let scientific = format!("{narrow:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    format!("{narrow}")
}
