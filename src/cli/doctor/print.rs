//! Tells area by area as it is looked at, or all of it as one JSON value at the end.

use std::io;

use policies::doctor::{Area, Finding, Severity};
use serde_json::{Value, json};

use super::cluster::counted;
use crate::cli::Exit;
use crate::cli::output::{self, Answers};

/// Where an area's name and result stand.
const NAME: usize = 14;
const RESULT: usize = 9;
/// Before what to do.
const FIX: &str = "    fix: ";
/// The width where there is no terminal to ask.
const WIDTH: usize = 110;

/// Prints.
pub(super) struct Printer {
    format: Answers,
    width: usize,
    areas: Vec<Value>,
    findings: Vec<Finding>,
}

impl Printer {
    /// In a format.
    pub(super) fn new(format: Answers) -> Self {
        Self { format, width: output::width().unwrap_or(WIDTH), areas: Vec::new(), findings: Vec::new() }
    }

    /// One area, as soon as it has been looked at.
    pub(super) fn area(&mut self, area: Area, seen: &str, mut findings: Vec<Finding>) -> io::Result<()> {
        findings.sort_by(|one, other| (one.severity, &one.about).cmp(&(other.severity, &other.about)));
        let worst = findings.iter().map(|finding| finding.severity).min();
        let result = match worst {
            None | Some(Severity::Note) => "ok",
            Some(severity) => word(severity),
        };
        if self.format == Answers::Text {
            output::print(&text(area, result, seen, &findings, self.width))?;
        }
        self.areas.push(json!({ "area": area, "result": result, "seen": seen }));
        self.findings.extend(findings);
        Ok(())
    }

    /// The end: the verdict.
    pub(super) fn end(self) -> io::Result<Exit> {
        let number = |severity| self.findings.iter().filter(|finding| finding.severity == severity).count();
        let (problems, unknown) = (number(Severity::Problem), number(Severity::Unknown));
        let exit = match (problems, unknown) {
            (0, 0) => Exit::Fine,
            (0, _) => Exit::Unknown,
            _ => Exit::No,
        };
        match self.format {
            Answers::Json => output::print_json(&json!({
                "sound": exit == Exit::Fine, "areas": self.areas, "findings": self.findings,
            }))?,
            Answers::Text => {
                let warnings = number(Severity::Warning);
                let told = match exit {
                    Exit::Fine => output::coloured("sound", true),
                    Exit::Unknown => "not known".to_owned(),
                    _ => output::coloured("not sound", false),
                };
                let (problems, warnings) = (counted(problems, "problem"), counted(warnings, "warning"));
                output::print(&format!("\n{told}: {problems}, {unknown} unknown, {warnings}\n"))?;
            }
        }
        Ok(exit)
    }
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Problem => "problem",
        Severity::Unknown => "unknown",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

fn text(area: Area, result: &str, seen: &str, findings: &[Finding], width: usize) -> String {
    // Padded first: a colour has no width.
    let padded = format!("{result:<RESULT$}");
    let padded = match result {
        "ok" => output::coloured(&padded, true),
        "problem" => output::coloured(&padded, false),
        _ => padded,
    };
    let seen = if result == "ok" { seen } else { "" };
    let mut lines = wrapped(seen, width.saturating_sub(NAME + RESULT));
    let first = if lines.is_empty() { String::new() } else { lines.remove(0) };
    let mut text = format!("{:<NAME$}{padded}{first}", area.name()).trim_end().to_owned() + "\n";
    for line in lines {
        text.push_str(&format!("{:1$}{line}\n", "", NAME + RESULT));
    }
    for finding in findings {
        let severity = word(finding.severity);
        let told = format!("{severity}: {}: {}", finding.about, finding.message);
        for (index, line) in wrapped(&told, width.saturating_sub(6)).into_iter().enumerate() {
            text.push_str(&format!("{:1$}{line}\n", "", if index == 0 { 2 } else { 4 }));
        }
        if finding.fix.contains('\n') {
            // A manifest.
            text.push_str(&format!("    fix: {}\n", finding.fix));
            continue;
        }
        let fix = in_lines(units(&finding.fix).into_iter(), width.saturating_sub(FIX.len()));
        for (index, line) in fix.into_iter().enumerate() {
            let before = if index == 0 { FIX } else { "" };
            text.push_str(&format!("{before:0$}{line}\n", FIX.len()));
        }
    }
    text
}

/// Words, but commands whole, since they are to be typed.
fn units(fix: &str) -> Vec<String> {
    let mut units: Vec<String> = Vec::new();
    let mut typed = false;
    for word in fix.split_whitespace() {
        match units.last_mut() {
            Some(command) if typed => {
                command.push(' ');
                command.push_str(word);
            }
            _ => units.push(word.to_owned()),
        }
        let begins = matches!(word.trim_start_matches('('), "retinue" | "kubectl");
        typed = (typed || begins) && !word.ends_with([',', ';', ':', ')']);
    }
    units
}

/// Words in lines of at most so many characters; a longer word has a line of its own.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    in_lines(text.split_whitespace().map(str::to_owned), width)
}

fn in_lines(words: impl Iterator<Item = String>, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_area_fits_the_terminal_and_what_is_to_be_typed_stays_whole() {
        let fix = "retinue install --a-long-flag with-a-long-value and-another-one | kubectl apply --server-side -f -";
        let finding = Finding::new(Severity::Problem, Area::Floor, "Policy p", "is missing: ".repeat(12), fix);
        let told = text(Area::Floor, "problem", "14 objects", &[finding], 60);
        assert!(told.starts_with("floor         problem\n  problem: Policy p: is missing:"), "{told}");
        assert!(told.lines().all(|line| line.len() <= 60 || line == format!("    fix: {fix}")), "{told}");
        assert!(!told.contains("14 objects"), "{told}");
        assert_eq!(text(Area::Floor, "ok", "14 objects", &[], 60), "floor         ok       14 objects\n");
    }

    #[test]
    fn what_to_do_is_broken_between_words_and_never_within_a_command() {
        let fix = "where the flags of the API server are yours: retinue certs --client, then retinue install --client-ca FILE; \
                   where they are not there is nothing to do";
        let finding = Finding::new(Severity::Note, Area::Callers, "reviews", "are not authenticated", fix);
        let told = text(Area::Callers, "ok", "", &[finding], 60);
        let lines: Vec<&str> = told.lines().skip(2).collect();
        let expected = [
            "    fix: where the flags of the API server are yours:",
            "         retinue certs --client, then",
            "         retinue install --client-ca FILE; where they are",
            "         not there is nothing to do",
        ];
        assert_eq!(lines, expected, "{told}");
        let manifest = "kubectl apply -f - of\nkind: ClusterRole\n  name: a";
        let finding = Finding::new(Severity::Note, Area::Collector, "a", "b", manifest);
        assert!(text(Area::Collector, "ok", "", &[finding], 20).ends_with(&format!("    fix: {manifest}\n")));
    }
}
