//! Reports: a table for people, fitted to their terminal, or a line of JSON.

use std::borrow::Cow;

use jiff::Timestamp;
use policies::run::Report;
use policies::run::ending::How;
use policies::run::job::State;
use policies::run::pod::Pod;

use crate::cli::output::paint;

/// What a report is printed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Paper {
    /// Columns and lines of a terminal; none where it is none, and nothing is cut off.
    pub(super) size: Option<(usize, usize)>,
    /// Whether in colour.
    pub(super) colour: bool,
}

/// Lines that a table leaves free on a terminal: its heads, the line of what is left out, and the cursor's.
const FREE: usize = 4;
/// How many rows are shown at least, however low the terminal.
const LEAST: usize = 3;

/// A report for people: a line, and a table of the pods.
pub(super) fn table(report: &Report, paper: Paper) -> String {
    let mut lines = vec![head(report, paper)];
    if let Some(ended) = &report.ended {
        let word = match ended.how {
            How::Complete => paint("complete", true, paper.colour),
            how => paint(word(how), false, paper.colour),
        };
        lines.push(format!("  {word}: {}", one_line(&ended.message)));
    }
    if let Some(pods) = report.pods.as_ref().filter(|pods| !pods.is_empty()) {
        let mut shown: Vec<&Pod> = pods.iter().collect();
        let room = paper.size.map(|(_, height)| height.saturating_sub(FREE + lines.len()).max(LEAST));
        let left = room.map_or(0, |room| shown.len().saturating_sub(room));
        if left > 0 {
            // What goes on, and what went wrong, is what somebody who looks wants to see.
            shown.sort_by_key(|pod| (pod.phase == "Succeeded", !pod.is_active()));
            shown.truncate(pods.len() - left);
        }
        lines.extend(rows(&shown, report.time, paper));
        if left > 0 {
            lines.push(format!("  … and {left} more"));
        }
    }
    lines.join("\n") + "\n"
}

/// A report for programs: one line.
pub(super) fn json(report: &Report) -> String {
    // Strings, numbers and maps with text keys: this cannot fail.
    serde_json::to_string(report).unwrap_or_default() + "\n"
}

fn word(how: How) -> &'static str {
    match how {
        How::Complete => "complete",
        How::Failed => "failed",
        How::TimeLimit => "time limit",
        How::Deleted => "deleted",
        How::Replaced => "replaced",
        How::Interrupted => "interrupted",
    }
}

fn head(report: &Report, paper: Paper) -> String {
    let job = &report.job;
    let state = match job.state {
        State::Running => "running",
        State::Suspended => "suspended",
        State::Complete => "complete",
        State::Failed => "failed",
        State::Deleting => "being deleted",
        State::Gone => "gone",
    };
    let until = job.deadline.map(|deadline| format!(", until {deadline}")).unwrap_or_default();
    let text = format!(
        "{}  Job {}/{} {state}: {} active, {} succeeded, {} failed{until}",
        report.time, job.namespace, job.name, job.active, job.succeeded, job.failed
    );
    cut(&text, paper.size.map(|(width, _)| width)).into_owned()
}

const HEADS: [&str; 7] = ["POD", "NODE", "PHASE", "STARTED", "READY", "RESTARTS", "WHY"];

/// The table: two spaces before it and between its columns.
fn rows(pods: &[&Pod], now: Timestamp, paper: Paper) -> Vec<String> {
    let mut cells: Vec<[String; 7]> = vec![HEADS.map(str::to_owned)];
    cells.extend(pods.iter().map(|pod| row(pod, now)));
    if let Some((width, _)) = paper.size {
        // The end of a pod's name and the beginning of a node's are what tells it from others.
        for row in &mut cells {
            row[0] = tail(&row[0], (width * 2 / 5).max(12)).into_owned();
            row[1] = cut(&row[1], Some((width / 4).max(8))).into_owned();
        }
    }
    let widths: Vec<usize> =
        (0..HEADS.len()).map(|i| cells.iter().map(|row| row[i].chars().count()).max().unwrap_or(0)).collect();
    let line = |(index, row): (usize, &[String; 7])| {
        let mut text = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            text.push_str("  ");
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', width - cell.chars().count()));
        }
        let text = cut(text.trim_end(), paper.size.map(|(width, _)| width)).into_owned();
        match index.checked_sub(1).and_then(|index| pods.get(index)) {
            Some(pod) => coloured(text, pod, paper.colour),
            None => text,
        }
    };
    cells.iter().enumerate().map(line).collect()
}

fn row(pod: &Pod, now: Timestamp) -> [String; 7] {
    let started = pod.started.map_or("-".to_owned(), |started| {
        let near = started.strftime("%F").to_string() == now.strftime("%F").to_string();
        started.strftime(if near { "%TZ" } else { "%FT%TZ" }).to_string()
    });
    let phase = match (pod.gone, pod.terminating) {
        (true, _) => format!("{} (gone)", pod.phase),
        (false, true) => format!("{} (ending)", pod.phase),
        (false, false) => pod.phase.clone(),
    };
    let exit = pod.exits.last().map(|exit| format!("exit code {}", exit.code));
    let why: Vec<Cow<'_, str>> = [pod.reason.as_deref(), exit.as_deref(), pod.message.as_deref()]
        .into_iter()
        .flatten()
        .filter(|text| !text.is_empty())
        .map(one_line)
        .collect();
    [
        pod.name.clone(),
        pod.node.clone().unwrap_or_else(|| "-".to_owned()),
        phase,
        started,
        format!("{}/{}", pod.ready, pod.containers),
        pod.restarts.to_string(),
        why.join(": "),
    ]
}

/// Good and bad in colour: a pod that runs and is ready or succeeded, one that failed or waits for a reason.
fn coloured(line: String, pod: &Pod, colour: bool) -> String {
    let good = pod.phase == "Succeeded" || (pod.ready == pod.containers && pod.ready > 0);
    let bad = pod.phase == "Failed" || pod.message.is_some() || !pod.exits.is_empty();
    if bad || good { paint(&line, !bad, colour) } else { line }
}

/// Text of somebody else, on one line and without what steers a terminal.
fn one_line(text: &str) -> Cow<'_, str> {
    if text.chars().any(char::is_control) {
        let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        return Cow::Owned(clean.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    Cow::Borrowed(text)
}

/// The beginning of a text that is too long.
fn cut(text: &str, width: Option<usize>) -> Cow<'_, str> {
    match width {
        Some(width) if text.chars().count() > width => {
            Cow::Owned(text.chars().take(width.saturating_sub(1)).chain(['…']).collect())
        }
        _ => Cow::Borrowed(text),
    }
}

/// The end of a text that is too long.
fn tail(text: &str, width: usize) -> Cow<'_, str> {
    let length = text.chars().count();
    if length <= width {
        return Cow::Borrowed(text);
    }
    Cow::Owned(['…'].into_iter().chain(text.chars().skip(length + 1 - width)).collect())
}

#[cfg(test)]
#[path = "print_tests.rs"]
mod tests;
