//! Where reports go: on a terminal each takes the place of the one before, elsewhere they follow one another.

use std::io::IsTerminal as _;

use policies::run::Report;

use super::out::{Sender, To};
use super::print::{self, Paper};
use crate::cli::output::{Answers, colour_wanted};

/// Prints reports, and notes between them.
pub(super) struct Screen {
    out: Sender,
    to: To,
    format: Answers,
    /// Whether reports go to a terminal.
    terminal: bool,
    /// Whether each takes the place of the one before: only where nothing else is written there.
    replaces: bool,
    /// How many lines of the last report stand above the cursor.
    drawn: usize,
}

impl Screen {
    /// Reports go to standard output, or with `logs` to standard error.
    pub(super) fn new(out: Sender, format: Answers, logs: bool) -> Self {
        let to = if logs { To::Err } else { To::Out };
        let terminal = match to {
            To::Out => std::io::stdout().is_terminal(),
            To::Err => std::io::stderr().is_terminal(),
        };
        let text = format == Answers::Text;
        Self { out, to, format, terminal: terminal && text, replaces: terminal && text && !logs, drawn: 0 }
    }

    /// Whether each change is worth a report.
    pub(super) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Prints a report.
    pub(super) async fn report(&mut self, report: &Report) {
        let text = match self.format {
            Answers::Json => print::json(report),
            Answers::Text => {
                let size = terminal_size::terminal_size().filter(|_| self.terminal);
                let size = size.map(|(width, height)| (usize::from(width.0), usize::from(height.0)));
                let table = print::table(report, Paper { size, colour: colour_wanted(self.terminal) });
                let erased = self.erase();
                self.drawn = table.lines().count();
                format!("{erased}{table}")
            }
        };
        // The last word is never dropped.
        if report.ended.is_some() {
            self.out.write(self.to, text.into_bytes()).await;
        } else {
            self.out.offer(self.to, text.into_bytes());
        }
    }

    /// Says something beside the reports, on standard error.
    pub(super) async fn note(&mut self, text: &str) {
        let erased = self.erase();
        if !erased.is_empty() {
            self.out.write(self.to, erased.into_bytes()).await;
        }
        self.out.write(To::Err, format!("retinue: {text}\n").into_bytes()).await;
    }

    /// What takes the last report away.
    fn erase(&mut self) -> String {
        match std::mem::take(&mut self.drawn) {
            lines if lines > 0 && self.replaces => format!("\u{1b}[{lines}A\u{1b}[J"),
            _ => String::new(),
        }
    }
}
