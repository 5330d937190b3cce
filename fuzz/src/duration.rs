//! Durations and deadline labels: read as written, or not at all.

use policies::lifetime::{LONGEST_SECONDS, Lifetime, label, read_label, seconds};

/// The seconds that a duration stands for, read in the dullest way: units in falling order, each at most once.
fn obvious(text: &str) -> Option<u128> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.trim_start_matches('0').parse().or(if text.contains(|c| c != '0') { Err(()) } else { Ok(0) }).ok();
    }
    let mut rest = text;
    let mut total: u128 = 0;
    for (unit, worth) in [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)] {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 && rest[digits..].starts_with(unit) {
            total = total.checked_add(rest[..digits].parse::<u128>().ok()?.checked_mul(worth)?)?;
            rest = &rest[digits + 1..];
        }
    }
    (rest.is_empty() && !text.is_empty()).then_some(total)
}

/// Reads the bytes as a duration and as a deadline.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let wanted = obvious(text).filter(|total| (1..=u128::from(LONGEST_SECONDS)).contains(total));
    let got = seconds(text).ok();
    assert_eq!(got.map(u128::from), wanted, "{text:?}");
    match Lifetime::parse(text) {
        Ok(Lifetime::Unlimited) => assert_eq!(text.trim(), "none"),
        Ok(Lifetime::Seconds(total)) => {
            assert_eq!(Some(total), got, "{text:?}");
            let written = Lifetime::Seconds(total).to_string();
            assert_eq!(seconds(&written), Ok(total), "{text:?} is written {written:?}");
        }
        Err(error) => assert!(got.is_none() && error.to_string().len() < 1_000, "{text:?}: {error}"),
    }
    if let Ok(deadline) = read_label(text) {
        assert_eq!(label(deadline), text, "a deadline has one spelling");
    }
}
