//! Whether certificates are valid, and for how long. Pure; the instant is an argument.

use jiff::{SignedDuration, Timestamp};

use super::{Area, Finding, Severity};

/// From when until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// First valid instant.
    pub not_before: Timestamp,
    /// Last valid instant.
    pub not_after: Timestamp,
}

/// So long before the end it is time to say so: a month of working days.
const SOON: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Judges one certificate. `fix` says how to get another.
pub fn judge(about: &str, validity: Validity, now: Timestamp, fix: &str) -> Option<Finding> {
    let left = validity.not_after.duration_since(now);
    let life = validity.not_after.duration_since(validity.not_before);
    // Of one that lives a day, a month before its end is always.
    let soon = SOON.min(life / 3);
    let (severity, message) = if now < validity.not_before {
        (
            Severity::Problem,
            format!("is valid only from {} on: until then every master is refused", validity.not_before),
        )
    } else if now > validity.not_after {
        (Severity::Problem, format!("expired at {}: every master is refused", validity.not_after))
    } else if left < soon {
        (
            Severity::Warning,
            format!("expires in {}, at {}: then every master is refused", span(left), validity.not_after),
        )
    } else {
        return None;
    };
    Some(Finding::new(severity, Area::Certificates, about, message, fix))
}

/// The last authority of a bundle that ends: while one is valid, what it signed is trusted.
pub fn judge_bundle(about: &str, authorities: &[Validity], now: Timestamp, fix: &str) -> Option<Finding> {
    let valid_now = authorities.iter().filter(|validity| validity.not_before <= now);
    match valid_now.max_by_key(|validity| validity.not_after).or_else(|| authorities.first()) {
        Some(last) => judge(about, *last, now, fix),
        None => Some(Finding::new(
            Severity::Problem,
            Area::Certificates,
            about,
            "holds no certificate that can be read: every master is refused",
            fix,
        )),
    }
}

/// Judges webhook configurations without an authority. `by_service` says that the webhook is installed behind its Service,
/// and `answered` that it answered the API server all the same, which then trusts it by the authorities of its machine.
pub fn judge_no_bundle(about: &str, by_service: bool, answered: bool, fix: &str) -> Finding {
    let (severity, message) = if by_service && !answered {
        (
            Severity::Problem,
            "is empty, and no authority that machines trust signs for the name of a Service: the API server does not trust \
             the webhook, and every master is refused",
        )
    } else {
        (Severity::Warning, "is empty: the API server trusts the webhook by the authorities of its own machine")
    };
    Finding::new(severity, Area::Certificates, about, message, fix)
}

/// `12 days`, `5 hours`, `3 minutes`.
pub fn span(duration: SignedDuration) -> String {
    let minutes = duration.as_mins().max(0);
    let told = |number: i64, unit: &str| format!("{number} {unit}{}", if number == 1 { "" } else { "s" });
    match minutes {
        2_880.. => told(minutes / 1_440, "day"),
        120.. => told(minutes / 60, "hour"),
        _ => told(minutes, "minute"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
    use super::*;

    fn days(from: i64, until: i64) -> Validity {
        let at = |day: i64| Timestamp::from_second(day * 86_400).unwrap();
        Validity { not_before: at(from), not_after: at(until) }
    }

    fn told(authorities: &[Validity], day: i64) -> Option<(Severity, String)> {
        let now = Timestamp::from_second(day * 86_400).unwrap();
        judge_bundle("caBundle", authorities, now, "").map(|finding| (finding.severity, finding.message))
    }

    #[test]
    fn a_certificate_is_told_of_before_it_ends_and_after() {
        let year = days(100, 465);
        for (day, severity, word) in [
            (99, Some(Severity::Problem), "valid only from"),
            (100, None, ""),
            (434, None, ""),
            (436, Some(Severity::Warning), "expires in 29 days"),
            (464, Some(Severity::Warning), "expires in 24 hours"),
            (466, Some(Severity::Problem), "expired at"),
        ] {
            let finding = told(&[year], day);
            assert_eq!(finding.as_ref().map(|(severity, _)| *severity), severity, "day {day}");
            assert!(finding.is_none_or(|(_, message)| message.contains(word)), "day {day}");
        }
    }

    #[test]
    fn without_an_authority_a_webhook_behind_a_service_is_not_trusted() {
        let told = |by_service, answered| judge_no_bundle("caBundle", by_service, answered, "apply").severity;
        assert_eq!(told(true, false), Severity::Problem);
        assert_eq!([told(true, true), told(false, false), told(false, true)], [Severity::Warning; 3]);
    }

    #[test]
    fn of_a_short_life_a_third_is_soon() {
        assert_eq!(told(&[days(0, 9)], 5), None);
        assert!(told(&[days(0, 9)], 7).is_some());
    }

    #[test]
    fn while_one_authority_is_valid_the_bundle_is() {
        assert_eq!(told(&[days(0, 100), days(90, 1_000)], 200), None);
        // The next one does not count before its time.
        assert_eq!(told(&[days(0, 100), days(150, 1_000)], 120).unwrap().0, Severity::Problem);
        assert_eq!(told(&[], 0).unwrap().0, Severity::Problem);
    }
}
