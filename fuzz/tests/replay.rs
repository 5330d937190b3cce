//! What fuzzing starts from, and what it ever found: each input once, without a fuzzer.
#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]

use std::path::Path;

/// The most that all seeds may take, bytes.
const MOST: usize = 200_000;

#[test]
fn every_seed_and_every_input_that_ever_failed_holds() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut bytes = 0;
    let mut failed = Vec::new();
    for (name, run) in fuzz::TARGETS {
        let mut seeds = 0;
        for folder in ["seeds", "found"] {
            // Git keeps no empty folder: a target that never failed has none.
            for entry in std::fs::read_dir(root.join(folder).join(name)).into_iter().flatten() {
                let path = entry.unwrap().path();
                let data = std::fs::read(&path).unwrap();
                if folder == "seeds" {
                    seeds += 1;
                    bytes += data.len();
                }
                if std::panic::catch_unwind(|| run(&data)).is_err() {
                    failed.push(path.display().to_string());
                }
            }
        }
        assert!(seeds > 2, "{name} has {seeds} seeds");
    }
    assert!(bytes < MOST, "{bytes} bytes of seeds");
    assert!(failed.is_empty(), "{failed:#?}");
}
