//! How the tests of the doctor's rooms read findings.

use super::{Finding, Severity};

/// Each with what it is about and what is so.
pub(super) fn told(findings: Vec<Finding>) -> Vec<(Severity, String)> {
    findings.into_iter().map(|finding| (finding.severity, format!("{} {}", finding.about, finding.message))).collect()
}

/// There is one, so bad, with all of these words.
pub(super) fn one(told: &[(Severity, String)], severity: Severity, words: &[&str]) {
    assert!(told.len() == 1 && told[0].0 == severity, "{told:?}");
    assert!(words.iter().all(|word| told[0].1.contains(word)), "{words:?} are not in {told:?}");
}
