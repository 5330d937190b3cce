//! Prints the table of the proof: `retinue-proof FOLDER LOG THREATS`. Fails where anything is wrong, or missing.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use proof::figures::{table, threats};

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, log, rows] = arguments.as_slice() else {
        bail!("expected the folder of the figures, what cargo test printed, and the table of threats");
    };
    let text = |path: &str| std::fs::read_to_string(path).with_context(|| path.to_owned());
    let (table, sound) = table(Path::new(folder), threats(&text(rows)?, &text(log)?));
    print!("{table}");
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
