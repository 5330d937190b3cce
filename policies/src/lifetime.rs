//! Durations and deadlines, as people write them and as labels hold them. Never a clock: time is an argument.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

/// How long something may live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lifetime {
    /// Seconds, at least 1.
    Seconds(u64),
    /// `none`: no deadline, and it outlives its master.
    Unlimited,
}

/// The longest duration that is read: ten years, far above any use and far below any overflow.
pub const LONGEST_SECONDS: u64 = 10 * 366 * 86_400;

/// Why a duration was not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not of the form.
    #[error("{0:?} is no duration: write seconds (3600), or numbers with units in falling order (90s, 1h30m, 7d)")]
    Unreadable(String),
    /// Zero.
    #[error("a duration of zero would delete the object at once: write at least 1s")]
    Zero,
    /// Too long.
    #[error("{0:?} is longer than ten years: write none on the manifest for what must outlive its master")]
    TooLong(String),
    /// `none` where only a number is possible.
    #[error("none is for manifests only; here write a number of seconds, or leave it out")]
    NoneHere,
}

/// Reads a duration: seconds (`3600`), or numbers with units in falling order (`90s`, `1h30m`, `7d`).
///
/// # Errors
/// [`DurationError`] for anything else; nothing is guessed.
pub fn seconds(text: &str) -> Result<u64, DurationError> {
    let unreadable = || DurationError::Unreadable(text.chars().take(64).collect());
    let trimmed = text.trim();
    if trimmed == "none" {
        return Err(DurationError::NoneHere);
    }
    if trimmed.is_empty() || !trimmed.is_ascii() {
        return Err(unreadable());
    }
    let too_long = || DurationError::TooLong(text.chars().take(64).collect());
    let mut total: u64 = 0;
    let mut rest = trimmed;
    let mut last_unit = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return Err(unreadable());
        }
        let number: u64 = rest[..digits].parse().map_err(|_| too_long())?;
        rest = &rest[digits..];
        let unit = match rest.bytes().next() {
            None if last_unit == u64::MAX => 1,
            Some(b'd') => 86_400,
            Some(b'h') => 3_600,
            Some(b'm') => 60,
            Some(b's') => 1,
            _ => return Err(unreadable()),
        };
        rest = rest.get(1..).unwrap_or("");
        if unit >= last_unit {
            return Err(unreadable());
        }
        last_unit = unit;
        total = number.checked_mul(unit).and_then(|part| total.checked_add(part)).ok_or_else(too_long)?;
    }
    match total {
        0 => Err(DurationError::Zero),
        total if total > LONGEST_SECONDS => Err(too_long()),
        total => Ok(total),
    }
}

impl Lifetime {
    /// Reads a duration or `none`.
    ///
    /// # Errors
    /// As [`seconds`].
    pub fn parse(text: &str) -> Result<Self, DurationError> {
        if text.trim() == "none" { Ok(Self::Unlimited) } else { seconds(text).map(Self::Seconds) }
    }

    /// The shorter of two.
    #[must_use]
    pub fn shorter(self, other: Self) -> Self {
        self.min(other)
    }

    /// The shorter of what is known.
    pub(crate) fn shortest(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        one.into_iter().chain(other).min()
    }

    /// The deadline of something that begins at `start`; none for [`Lifetime::Unlimited`].
    pub fn deadline(self, start: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Unlimited => None,
            Self::Seconds(seconds) => {
                let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
                Some(Timestamp::from_second(start.as_second().saturating_add(seconds)).unwrap_or(Timestamp::MAX))
            }
        }
    }
}

impl std::str::FromStr for Lifetime {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        Self::parse(text)
    }
}

impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlimited => f.write_str("none"),
            Self::Seconds(seconds) => write!(f, "{seconds}s"),
        }
    }
}

/// A deadline as a label holds it: `2026-11-20T153000Z`, ISO 8601 without the colons that labels refuse.
pub fn label(deadline: Timestamp) -> String {
    deadline.strftime("%Y-%m-%dT%H%M%SZ").to_string()
}

/// Why a deadline label was not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no deadline: it reads like 2026-11-20T153000Z (UTC)")]
pub struct DeadlineError(pub String);

/// Reads a deadline label, strictly.
///
/// # Errors
/// [`DeadlineError`] for anything that [`label`] would not write.
pub fn read_label(text: &str) -> Result<Timestamp, DeadlineError> {
    let error = || DeadlineError(text.chars().take(64).collect());
    instant(text.as_bytes()).ok_or_else(error)
}

/// By hand, since the way through a parser and back is longer than the rest of reading a stamp.
fn instant(label: &[u8]) -> Option<Timestamp> {
    let [y3, y2, y1, y0, b'-', o1, o0, b'-', d1, d0, b'T', h1, h0, m1, m0, s1, s0, b'Z'] = label else { return None };
    let digit = |byte: &u8| i8::try_from(byte.checked_sub(b'0')?).ok().filter(|digit| *digit < 10);
    let two = |tens: &u8, ones: &u8| Some(10 * digit(tens)? + digit(ones)?);
    let year = 100 * i16::from(two(y3, y2)?) + i16::from(two(y1, y0)?);
    let date = Date::new(year, two(o1, o0)?, two(d1, d0)?).ok()?;
    let time = Time::new(two(h1, h0)?, two(m1, m0)?, two(s1, s0)?, 0).ok()?;
    TimeZone::UTC.to_timestamp(date.to_datetime(time)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, expected) in
            [("3600", 3600), ("90s", 90), ("1h30m", 5400), ("7d", 604_800), (" 60 ", 60), ("1d1s", 86_401), ("01", 1)]
        {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            " ",
            "1 fortnight",
            "1.5h",
            "-1",
            "+1",
            "1e3",
            "30m1h",
            "1h1h",
            "1h30",
            "h",
            "1w",
            "1ms",
            "１",
            "1h 30m",
        ] {
            assert!(matches!(seconds(text), Err(DurationError::Unreadable(_))), "{text:?} gave {:?}", seconds(text));
        }
        assert_eq!(seconds("0"), Err(DurationError::Zero));
        assert_eq!(seconds("none"), Err(DurationError::NoneHere));
        assert_eq!(Lifetime::parse("none"), Ok(Lifetime::Unlimited));
        for text in ["99999999999999999999", "9999999999d", "3661d"] {
            assert!(matches!(seconds(text), Err(DurationError::TooLong(_))), "{text:?}");
        }
    }

    #[test]
    fn labels_are_read_back() {
        let deadline: Timestamp = "2026-11-20T15:30:00Z".parse().expect("a timestamp");
        assert_eq!(label(deadline), "2026-11-20T153000Z");
        assert_eq!(read_label("2026-11-20T153000Z"), Ok(deadline));
        for text in [
            "2026-11-20T15:30:00Z",
            "2026-11-20T153000",
            "2026-13-20T153000Z",
            "",
            "9999-99-99T999999Z",
            "２026-11-20T153000Z",
        ] {
            assert!(read_label(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_shorter_lifetime_wins() {
        assert_eq!(Lifetime::Unlimited.shorter(Lifetime::Seconds(5)), Lifetime::Seconds(5));
        assert_eq!(Lifetime::Seconds(7).shorter(Lifetime::Seconds(5)), Lifetime::Seconds(5));
    }
}
