//! Quantities as Kubernetes counts them: `500m`, `1.5Gi`, `1e3`. Exact, without floats.
//!
//! A quantity is a whole number of billionths. Kubernetes rounds anything finer up (away from zero) and caps
//! binary ones at 2^63-1; so does this. Beyond 10^28 a text is no quantity here.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde_json::Value;
use thiserror::Error;

/// Billionths in one.
const ONE: i128 = 1_000_000_000;
/// The largest magnitude of a binary quantity: 2^63-1.
const BINARY_CAP: i128 = (i64::MAX as i128) * ONE;
/// The largest magnitude of any quantity: 10^28, so that sums of a few still fit.
const CAP: i128 = 10_i128.pow(28) * ONE;
/// Longer texts are no quantity that anyone means; the bound keeps parsing cheap.
const LONGEST: usize = 256;

/// Why a text is no quantity.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("not a quantity: write a number with an optional suffix, as in 500m, 2, 1.5Gi or 1e3")]
pub struct QuantityError;

/// Which family of suffixes a quantity was written with; its canonical text stays in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// `n u m k M G T P E`.
    Decimal,
    /// `Ki Mi Gi Ti Pi Ei`.
    Binary,
    /// `e3`, `E3`.
    Exponent,
}

/// A parsed quantity. Equality and order are by amount: `1Gi` equals `1024Mi` and `1073741824`.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    /// The amount in billionths.
    amount: i128,
    format: Format,
}

impl Quantity {
    /// Nothing at all.
    pub const ZERO: Self = Self { amount: 0, format: Format::Decimal };

    /// From a JSON value: a text, or a number as YAML allows it.
    ///
    /// # Errors
    /// When it is neither, or the text is no quantity.
    pub fn from_value(value: &Value) -> Result<Self, QuantityError> {
        match value {
            Value::String(text) => text.parse(),
            Value::Number(number) => number.to_string().parse(),
            _ => Err(QuantityError),
        }
    }

    /// The amount in billionths.
    pub fn amount(self) -> i128 {
        self.amount
    }

    /// Whether it is nothing.
    pub fn is_zero(self) -> bool {
        self.amount == 0
    }

    /// Rounded up (away from zero) to thousandths, as the API server does in every resource list.
    #[must_use]
    pub fn round_up_to_milli(self) -> Self {
        let milli = ONE / 1000;
        Self { amount: divide_up(self.amount, milli) * milli, ..self }
    }

    /// The sum, in the format of the first that is not zero.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let format = if self.is_zero() { other.format } else { self.format };
        Self { amount: (self.amount + other.amount).clamp(-CAP, CAP), format }
    }
}

/// Division that rounds away from zero.
fn divide_up(amount: i128, by: i128) -> i128 {
    let rest = amount % by;
    amount / by + if rest == 0 { 0 } else { rest.signum() }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.amount == other.amount
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.amount.cmp(&other.amount)
    }
}

impl Hash for Quantity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.amount.hash(state);
    }
}

/// What a suffix multiplies by: 2^`binary` × 10^`decimal`.
struct Scale {
    binary: u32,
    decimal: i32,
    format: Format,
}

fn scale(suffix: &str) -> Option<Scale> {
    let decimal = |decimal| Some(Scale { binary: 0, decimal, format: Format::Decimal });
    let binary = |binary| Some(Scale { binary, decimal: 0, format: Format::Binary });
    match suffix {
        "" => decimal(0),
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(10),
        "Mi" => binary(20),
        "Gi" => binary(30),
        "Ti" => binary(40),
        "Pi" => binary(50),
        "Ei" => binary(60),
        _ => {
            let digits = suffix.strip_prefix(['e', 'E'])?;
            // Beyond a thousand every amount is zero's neighbour or the cap.
            let exponent: i64 = digits.parse().ok()?;
            let decimal = i32::try_from(exponent.clamp(-1000, 1000)).ok()?;
            Some(Scale { binary: 0, decimal, format: Format::Exponent })
        }
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        if text.len() > LONGEST {
            return Err(QuantityError);
        }
        let (negative, unsigned) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let whole_end = unsigned.find(|c: char| !c.is_ascii_digit()).unwrap_or(unsigned.len());
        let (whole, rest) = unsigned.split_at(whole_end);
        let (fraction, suffix) = match rest.strip_prefix('.') {
            Some(rest) => rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())),
            None => ("", rest),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(QuantityError);
        }
        let Scale { binary, decimal, format } = scale(suffix).ok_or(QuantityError)?;
        let places = i32::try_from(fraction.len()).map_err(|_| QuantityError)?;
        let mut magnitude = magnitude(whole, fraction, decimal - places, binary).ok_or(QuantityError)?;
        if format == Format::Binary {
            magnitude = magnitude.min(BINARY_CAP);
        }
        let amount = if negative { -magnitude } else { magnitude };
        Ok(Self { amount, format })
    }
}

/// `digits` × 10^`decimal` × 2^`binary` in billionths, rounded up; nothing beyond [`CAP`].
fn magnitude(whole: &str, fraction: &str, mut decimal: i32, binary: u32) -> Option<i128> {
    decimal += 9;
    let factor = 1_i128 << binary;
    let mut digits: i128 = 0;
    let mut lost = false;
    for digit in whole.bytes().chain(fraction.bytes()).map(|byte| i128::from(byte - b'0')) {
        // Once no more digits fit, each further one only shifts the point and may leave a rest behind.
        match digits.checked_mul(10).and_then(|more| more.checked_add(digit)) {
            Some(more) if !lost && more.checked_mul(factor).is_some() => digits = more,
            _ => {
                lost |= digit != 0;
                decimal += 1;
                if digits == 0 {
                    lost = false;
                }
            }
        }
    }
    if digits == 0 {
        return Some(0);
    }
    let mut amount = digits * factor;
    for _ in 0..decimal.max(0) {
        amount = amount.saturating_mul(10);
        if amount > CAP {
            return None;
        }
    }
    for _ in decimal.min(0)..0 {
        lost |= amount % 10 != 0;
        amount /= 10;
    }
    Some(amount + i128::from(lost)).filter(|amount| *amount <= CAP)
}

impl fmt::Display for Quantity {
    /// The canonical text, as the API server stores and shows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.amount == 0 {
            return f.write_str("0");
        }
        // What is no whole number is shown as a decimal one, so that nothing is lost.
        if self.format == Format::Binary && self.amount.abs() >= 1024 * ONE && self.amount % ONE == 0 {
            let mut number = self.amount / ONE;
            let suffixes = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
            let mut power = 0;
            while number % 1024 == 0 && power + 1 < suffixes.len() {
                number /= 1024;
                power += 1;
            }
            return write!(f, "{number}{}", suffixes[power]);
        }
        let mut number = self.amount;
        let mut exponent = -9;
        while number % 1000 == 0 && (exponent < 18 || self.format == Format::Exponent) {
            number /= 1000;
            exponent += 3;
        }
        if self.format == Format::Exponent {
            return if exponent == 0 { write!(f, "{number}") } else { write!(f, "{number}e{exponent}") };
        }
        let suffix = match exponent {
            -9 => "n",
            -6 => "u",
            -3 => "m",
            3 => "k",
            6 => "M",
            9 => "G",
            12 => "T",
            15 => "P",
            18 => "E",
            _ => "",
        };
        write!(f, "{number}{suffix}")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
    use super::*;

    #[test]
    fn canonical_text_is_what_the_api_server_stores() {
        let cases = [
            ("0", "0"),
            ("0m", "0"),
            ("0Ki", "0"),
            ("1", "1"),
            ("+1", "1"),
            ("-1", "-1"),
            ("0.5", "500m"),
            (".5", "500m"),
            ("1.", "1"),
            ("1.0", "1"),
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("0.0001", "100u"),
            ("0.0000000001", "1n"),
            ("1000", "1k"),
            ("1500", "1500"),
            ("1000000", "1M"),
            ("100k", "100k"),
            ("1024", "1024"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("1.1Ki", "1126400m"),
            ("0.1Gi", "107374182400m"),
            ("0.5Ki", "512"),
            ("1073741824", "1073741824"),
            ("1e3", "1e3"),
            ("1e4", "10e3"),
            ("1E2", "100"),
            ("12E", "12E"),
            ("1e20", "100e18"),
            ("100E", "100E"),
            ("100Ei", "9223372036854775807"),
            ("9223372036854775808", "9223372036854775808"),
            ("1e-12", "1e-9"),
            ("0.33333333333333333333333333333333333333333333", "333333334n"),
            ("00000000000000000000000000000000000000000000000007", "7"),
        ];
        for (text, canonical) in cases {
            assert_eq!(text.parse::<Quantity>().unwrap().to_string(), canonical, "{text}");
        }
    }

    #[test]
    fn canonical_text_means_the_same_amount_and_stays_as_it_is() {
        for text in ["500m", "3Gi", "1.1Ki", "1e3", "7", "123456789n", "1E", "0.1", "2500Mi", "999999999999"] {
            let once: Quantity = text.parse().unwrap();
            let twice: Quantity = once.to_string().parse().unwrap();
            assert_eq!(once.to_string(), twice.to_string(), "{text}");
        }
    }

    #[test]
    fn amounts_are_compared_whatever_their_suffix() {
        let same = [("1Gi", "1073741824"), ("1000m", "1"), ("1e3", "1k"), ("0.1", "100m"), ("1024Mi", "1Gi")];
        for (left, right) in same {
            assert_eq!(left.parse::<Quantity>().unwrap(), right.parse::<Quantity>().unwrap(), "{left} {right}");
        }
        let less = [("1G", "1Gi"), ("999m", "1"), ("-1", "0"), ("1n", "1u"), ("1Ki", "1025")];
        for (left, right) in less {
            assert!(left.parse::<Quantity>().unwrap() < right.parse::<Quantity>().unwrap(), "{left} {right}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for text in ["", ".", "-", "1 Gi", "1K", "1gi", "1mi", "Gi", "1e", "1.5.2", "e3", "0x10", "1ee3", "१", "1Gi "]
        {
            assert_eq!(text.parse::<Quantity>(), Err(QuantityError), "{text:?}");
        }
        assert_eq!("1e29".parse::<Quantity>(), Err(QuantityError));
        assert_eq!("9".repeat(300).parse::<Quantity>(), Err(QuantityError));
    }

    #[test]
    fn numbers_of_yaml_are_quantities_too() {
        assert_eq!(Quantity::from_value(&serde_json::json!(0.5)).unwrap().to_string(), "500m");
        assert_eq!(Quantity::from_value(&serde_json::json!(2)).unwrap().to_string(), "2");
        assert_eq!(Quantity::from_value(&serde_json::json!(2.0)).unwrap().to_string(), "2");
        assert!(Quantity::from_value(&serde_json::json!(true)).is_err());
        assert!(Quantity::from_value(&serde_json::json!(null)).is_err());
    }

    #[test]
    fn resource_lists_are_rounded_up_to_thousandths() {
        for (text, rounded) in [("0.0001", "1m"), ("1.0005", "1001m"), ("2", "2"), ("-0.0001", "-1m")] {
            assert_eq!(text.parse::<Quantity>().unwrap().round_up_to_milli().to_string(), rounded, "{text}");
        }
    }

    #[test]
    fn sums_are_exact() {
        let sum = "100m".parse::<Quantity>().unwrap().plus("1.9".parse().unwrap());
        assert_eq!(sum.to_string(), "2");
    }
}
