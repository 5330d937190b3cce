//! Formats of text: quantities, durations, images.

use std::fmt;

/// A quantity as Kubernetes compares them: in billionths, rounded up as the API server rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity(i128);

/// What a quantity looks like, without anchors.
pub(super) const QUANTITY: &str =
    r"[+-]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:[eE][+-]?[0-9]{1,2}|[numkMGTPE]|[KMGTPE]i)?";
/// What a duration looks like, without anchors.
pub(super) const DURATION: &str = r"[0-9]{1,12}|(?:[0-9]{1,9}d)?(?:[0-9]{1,9}h)?(?:[0-9]{1,9}m)?(?:[0-9]{1,9}s)?";
const DIGEST: &str = "@sha256:[0-9a-f]{64}";
const TAG: &str = ":[A-Za-z0-9_][A-Za-z0-9._-]{0,127}";
const COMPONENT: &str = "[a-z0-9]+(?:[._-]+[a-z0-9]+)*";
const HOST: &str = "[A-Za-z0-9.-]+(?::[0-9]{1,5})?";

impl Quantity {
    /// Reads a quantity; none where it is none, or beyond what can be compared.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let end = rest.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(rest.len());
        let (number, suffix) = rest.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.len() + fraction.len() == 0 || fraction.contains('.') || whole.len() + fraction.len() > 30 {
            return None;
        }
        let mantissa: i128 = format!("{whole}{fraction}").parse().ok()?;
        let (tens, factor) = suffix_factor(suffix)?;
        let mut scaled = mantissa.checked_mul(factor)?;
        let exponent = tens + 9 - i32::try_from(fraction.len()).ok()?;
        let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
        if exponent >= 0 {
            scaled = scaled.checked_mul(power)?;
        } else {
            scaled = scaled / power + i128::from(scaled % power != 0);
        }
        Some(Self(if negative { -scaled } else { scaled }))
    }
}

/// Power of ten and factor of a suffix.
fn suffix_factor(suffix: &str) -> Option<(i32, i128)> {
    Some(match suffix {
        "" => (0, 1),
        "n" => (-9, 1),
        "u" => (-6, 1),
        "m" => (-3, 1),
        "k" => (3, 1),
        "M" => (6, 1),
        "G" => (9, 1),
        "T" => (12, 1),
        "P" => (15, 1),
        "E" => (18, 1),
        "Ki" => (0, 1 << 10),
        "Mi" => (0, 1 << 20),
        "Gi" => (0, 1 << 30),
        "Ti" => (0, 1 << 40),
        "Pi" => (0, 1 << 50),
        "Ei" => (0, 1 << 60),
        _ => (suffix.strip_prefix(['e', 'E'])?.parse().ok()?, 1),
    })
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNIT: i128 = 1_000_000_000;
        if self.0 % UNIT != 0 && self.0 % 1_000_000 == 0 {
            return write!(f, "{}m", self.0 / 1_000_000);
        }
        if self.0 % UNIT != 0 {
            return write!(f, "{}n", self.0);
        }
        let whole = self.0 / UNIT;
        for (size, suffix) in [(1_i128 << 40, "Ti"), (1 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki")] {
            if whole != 0 && whole % size == 0 {
                return write!(f, "{}{suffix}", whole / size);
            }
        }
        write!(f, "{whole}")
    }
}

/// What an image may be.
#[derive(Clone, Debug, Default)]
pub(super) struct Image {
    /// Registries, host and port; empty: as the repositories say, or any.
    pub(super) registries: Vec<String>,
    /// Repositories; `team/*` for what lies below; without registries, with the registry in front where there is one.
    pub(super) repositories: Vec<String>,
    /// Whether a digest must be there.
    pub(super) digest: Digest,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Digest {
    #[default]
    Optional,
    Required,
}

impl Image {
    /// As a pattern, without anchors.
    pub(super) fn language(&self) -> String {
        let any_path = format!("{COMPONENT}(?:/{COMPONENT})*");
        let any_of = |texts: &[String]| {
            let escaped: Vec<_> = texts
                .iter()
                .map(|text| match text.strip_suffix("/*") {
                    Some(above) => format!("{}/{any_path}", regex_syntax::escape(above)),
                    None => regex_syntax::escape(text),
                })
                .collect();
            format!("(?:{})", escaped.join("|"))
        };
        let name = match (self.registries.is_empty(), self.repositories.is_empty()) {
            (true, true) => format!("(?:{HOST}/)?{any_path}"),
            (false, true) => format!("{}/{any_path}", any_of(&self.registries)),
            (true, false) => any_of(&self.repositories),
            (false, false) => format!("{}/{}", any_of(&self.registries), any_of(&self.repositories)),
        };
        match self.digest {
            Digest::Required => format!("{name}(?:{TAG})?{DIGEST}"),
            Digest::Optional => format!("{name}(?:{TAG})?(?:{DIGEST})?"),
        }
    }

    /// For people.
    pub(super) fn describe(&self) -> String {
        let mut text = String::from("an image");
        if !self.repositories.is_empty() {
            text.push_str(&format!(" {}", self.repositories.join(" or ")));
        }
        if !self.registries.is_empty() {
            text.push_str(&format!(" of {}", self.registries.join(" or ")));
        }
        if self.digest == Digest::Required {
            text.push_str(" with a digest (@sha256:…)");
        }
        text
    }
}
