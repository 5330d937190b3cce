//! Every field of every kind: nothing that a template does not say is admitted.
#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]

use proof::figures::{Figures, note};
use proof::offline::{Sample, run};

#[test]
fn no_single_change_of_any_kind_is_admitted() {
    let every = std::env::var("PROOF_EVERY").map_or(400, |text| text.parse().unwrap());
    let outcome = run(Sample { every }, 2).unwrap();
    println!(
        "{} kinds, {} admitted, {} refused, same {:?}, {:?}",
        outcome.kinds,
        outcome.admitted,
        outcome.refusals(),
        outcome.same,
        outcome.refused
    );
    let (good, wrong) = (outcome.refusals(), outcome.wrong.len());
    let same: usize = outcome.same.values().sum();
    note("variations-offline", Figures { tried: good + wrong + same, good, wrong }).unwrap();
    assert!(outcome.wrong.is_empty(), "{} wrong:\n{}", outcome.wrong.len(), outcome.wrong.join("\n"));
}
