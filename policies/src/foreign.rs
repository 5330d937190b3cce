//! Keys of other collectors, by which people already say how long an object may live, on objects that no master
//! started: kube-janitor's, Kyverno's, and that of k8s-ttl-controller.
//!
//! Each is read as its own collector reads it, and nothing more than that, so that retinue deletes nothing that would
//! have been left there. A value that cannot be read, of whichever key, keeps the object. A stamp goes before any of
//! them: what carries one is no concern of this module.

use std::collections::BTreeMap;
use std::fmt;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::keys;
use crate::object::Gvk;

/// A key by which an object ends. In this order where several end it at the same instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// Annotation `janitor/ttl`, since creation.
    JanitorTtl,
    /// Annotation `janitor/expires`.
    JanitorExpires,
    /// Label `cleanup.kyverno.io/ttl`, since creation or until a date.
    KyvernoTtl,
    /// Annotation `k8s-ttl-controller.twin.sh/ttl`, since creation, or since `…/refreshed-at`.
    TwinTtl,
}

impl Key {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::JanitorTtl => keys::JANITOR_TTL,
            Self::JanitorExpires => keys::JANITOR_EXPIRES,
            Self::KyvernoTtl => keys::KYVERNO_TTL,
            Self::TwinTtl => keys::TWIN_TTL,
        }
    }
}

/// What decides about one object.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Its kind.
    pub kind: &'a Gvk,
    /// Its labels.
    pub labels: &'a BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: &'a BTreeMap<String, String>,
    /// When it was created.
    pub created: Timestamp,
    /// Whether an ownerReference says `controller: true`.
    pub controlled: bool,
}

/// What is to be made of one object.
#[derive(Clone, Debug, PartialEq)]
pub enum Judgement {
    /// It may be deleted from then on, by this key.
    Due(Timestamp, Key),
    /// No key, or one that says `forever`.
    Endless,
    /// Its keys may be those of the object that it was made for ([`holds_copies`]): its end is that one's.
    Copied,
    /// These cannot be read: it is kept, and they are reported.
    Unreadable(Vec<Unreadable>),
}

/// A key whose value was not understood.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Unreadable {
    /// As it is written.
    pub key: &'static str,
    /// The value, shortened.
    pub value: String,
    /// What it should be.
    pub wanted: &'static str,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {:?}: expected {}", self.key, self.value, self.wanted)
    }
}

const TTL: &str = "a number and one unit (60s, 5m, 8h, 7d, 2w), or forever";
const EXPIRES: &str = "a time in UTC: 2026-11-20T15:30:00Z, 2026-11-20T15:30 or 2026-11-20";
const TTL_OR_DATE: &str = "a duration above zero (90s, 1h30m, 1d), or a time in UTC: 2026-11-20T153000Z or 2026-11-20";
const DURATION: &str = "a duration above zero (30m, 1h30m, 7d)";
const REFRESHED: &str = "an instant such as 2026-11-20T15:30:00Z";
const PROPAGATION: &str = "Background or Foreground: retinue deletes in the background, and never leaves behind what \
                           the object owns";

/// The longest value that is looked at, in bytes.
const VALUE_LIMIT: usize = 64;

/// Whether any of the keys is there: what carries none needs not be kept in mind.
pub fn carries(labels: &BTreeMap<String, String>, annotations: &BTreeMap<String, String>) -> bool {
    let annotated = [keys::JANITOR_TTL, keys::JANITOR_EXPIRES, keys::TWIN_TTL];
    labels.contains_key(keys::KYVERNO_TTL) || annotated.iter().any(|key| annotations.contains_key(*key))
}

/// Whether such an object is made by a controller, which copies labels and annotations from another object: a
/// Deployment's to its ReplicaSets, a Service's to its EndpointSlices. A copy may stay when the key is taken back, and
/// a controller makes anew what is deleted. What a person wrote into a template (of pods, Jobs, claims) is no copy.
pub fn holds_copies(kind: &Gvk, controlled: bool) -> bool {
    const WRITTEN: [(&str, &str); 3] = [("", "Pod"), ("", "PersistentVolumeClaim"), ("batch", "Job")];
    let is = |(group, name): (&str, &str)| kind.group == group && kind.kind == name;
    is(("", "Endpoints")) || (controlled && !WRITTEN.into_iter().any(is))
}

/// Judges an object that carries no key of the stamp. The first instant wins, as it would with each collector by itself.
pub fn judge(subject: Subject<'_>) -> Judgement {
    if !carries(subject.labels, subject.annotations) {
        return Judgement::Endless;
    }
    if holds_copies(subject.kind, subject.controlled) {
        return Judgement::Copied;
    }
    let mut due = Vec::new();
    let mut unreadable = Vec::new();
    for key in [Key::JanitorTtl, Key::JanitorExpires, Key::KyvernoTtl, Key::TwinTtl] {
        match read(key, subject) {
            Ok(end) => due.extend(end.map(|at| (at, key))),
            Err(error) => unreadable.push(error),
        }
    }
    if !unreadable.is_empty() {
        return Judgement::Unreadable(unreadable);
    }
    due.into_iter().min().map_or(Judgement::Endless, |(at, key)| Judgement::Due(at, key))
}

/// When `key` ends the object; none: it is not there, or says never.
fn read(key: Key, subject: Subject<'_>) -> Result<Option<Timestamp>, Unreadable> {
    let Subject { labels, annotations, created, .. } = subject;
    let map = if key == Key::KyvernoTtl { labels } else { annotations };
    let Some(value) = map.get(key.name()) else { return Ok(None) };
    let after = |start: Timestamp, ttl: Option<SignedDuration>| ttl.and_then(|ttl| start.checked_add(ttl).ok());
    let fits = value.len() <= VALUE_LIMIT;
    let value = if fits { value.as_str() } else { "" };
    let (end, wanted) = match key {
        Key::JanitorTtl if value.eq_ignore_ascii_case("forever") => return Ok(None),
        Key::JanitorTtl => (after(created, one_unit(value)), TTL),
        Key::JanitorExpires => (time(value, &["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M"]), EXPIRES),
        Key::KyvernoTtl => {
            propagated(annotations)?;
            (after(created, duration(value)).or_else(|| time(value, &["%Y-%m-%dT%H%M%SZ"])), TTL_OR_DATE)
        }
        Key::TwinTtl => (after(refreshed(annotations)?.unwrap_or(created), duration(value)), DURATION),
    };
    end.map(Some).ok_or_else(|| unreadable(key.name(), map, wanted))
}

fn unreadable(key: &'static str, map: &BTreeMap<String, String>, wanted: &'static str) -> Unreadable {
    let value = map.get(key).map(String::as_str).unwrap_or_default();
    Unreadable { key, value: value.chars().take(VALUE_LIMIT).collect(), wanted }
}

/// Kyverno deletes an object as this annotation says. What it owns is never orphaned here, so that is not promised.
fn propagated(annotations: &BTreeMap<String, String>) -> Result<(), Unreadable> {
    match annotations.get(keys::KYVERNO_PROPAGATION).map(String::as_str) {
        None | Some("Background" | "Foreground") => Ok(()),
        Some(_) => Err(unreadable(keys::KYVERNO_PROPAGATION, annotations, PROPAGATION)),
    }
}

/// From when on k8s-ttl-controller counts, where that is said. It counts from the creation where it cannot read it; then
/// an object may end that was to be refreshed, so here that keeps it.
fn refreshed(annotations: &BTreeMap<String, String>) -> Result<Option<Timestamp>, Unreadable> {
    let Some(text) = annotations.get(keys::TWIN_REFRESHED_AT) else { return Ok(None) };
    // RFC 3339 alone, as there: jiff reads more.
    let shaped = text.len() <= VALUE_LIMIT
        && [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')]
            .iter()
            .all(|(at, mark)| text.as_bytes().get(*at) == Some(mark));
    let read = shaped.then(|| text.parse().ok()).flatten();
    read.map(Some).ok_or_else(|| unreadable(keys::TWIN_REFRESHED_AT, annotations, REFRESHED))
}

/// kube-janitor's: digits and one unit.
fn one_unit(text: &str) -> Option<SignedDuration> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let single = whole && ["s", "m", "h", "d", "w"].contains(&text.get(digits.len()..)?);
    single.then(|| duration(text)).flatten()
}

/// Go's (`time.ParseDuration`) and days and weeks: decimal numbers with units, in any order; without a sign, and above
/// zero.
fn duration(text: &str) -> Option<SignedDuration> {
    const UNITS: [(&str, i128); 9] = [
        // Longer units before those that they begin with.
        ("ns", 1),
        ("us", 1_000),
        ("µs", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60 * 1_000_000_000),
        ("h", 3_600 * 1_000_000_000),
        ("d", 86_400 * 1_000_000_000),
        ("w", 7 * 86_400 * 1_000_000_000),
    ];
    let mut total: i128 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => digits(after),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let (unit, nanoseconds) = UNITS.into_iter().find(|(unit, _)| after.starts_with(unit))?;
        rest = after.get(unit.len()..)?;
        let number = |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse::<i128>().ok() };
        let part = number(whole)?.checked_mul(nanoseconds)?;
        let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        let small = number(fraction)?.checked_mul(nanoseconds)? / scale;
        total = total.checked_add(part)?.checked_add(small)?;
    }
    let seconds = i64::try_from(total / 1_000_000_000).ok()?;
    let nanoseconds = i32::try_from(total % 1_000_000_000).ok()?;
    Some(SignedDuration::new(seconds, nanoseconds)).filter(SignedDuration::is_positive)
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

/// A time of one of these forms, or midnight of a date, in UTC; written exactly so.
fn time(text: &str, forms: &[&str]) -> Option<Timestamp> {
    let exact = |form: &&str| DateTime::strptime(form, text).ok().filter(|at| at.strftime(form).to_string() == text);
    let date = || Date::strptime("%Y-%m-%d", text).ok().filter(|at| at.strftime("%Y-%m-%d").to_string() == text);
    let at =
        forms.iter().find_map(exact).or_else(|| date().map(|date| date.to_datetime(jiff::civil::Time::midnight())))?;
    TimeZone::UTC.to_timestamp(at).ok()
}

#[cfg(test)]
#[path = "foreign_tests.rs"]
mod tests;
