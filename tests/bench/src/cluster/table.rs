//! Tables of figures, for people and as JSON; and what many measurements say together.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Map, Value, json};

/// A table of figures.
#[derive(Clone, Debug)]
pub struct Table {
    /// What it shows.
    pub title: String,
    /// Column heads, with their units.
    pub columns: Vec<&'static str>,
    /// A name and its figures; none where there is nothing to tell.
    pub rows: Vec<(String, Vec<Option<f64>>)>,
    /// What to know of it.
    pub notes: Vec<String>,
}

impl Table {
    pub(super) fn new(title: &str, columns: &[&'static str]) -> Self {
        Self { title: title.into(), columns: columns.to_vec(), rows: Vec::new(), notes: Vec::new() }
    }

    pub(super) fn row(&mut self, name: &str, figures: &[Option<f64>]) {
        self.rows.push((name.into(), figures.to_vec()));
    }

    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let width = self.rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let mut out = format!("== {}\n{:width$}", self.title, "");
        for head in &self.columns {
            // Writing into a String cannot fail.
            let _ = write!(out, "  {head:>9}");
        }
        for (name, figures) in &self.rows {
            let _ = write!(out, "\n{name:width$}");
            for (head, figure) in self.columns.iter().zip(figures) {
                let width = head.len().max(9);
                let _ = write!(out, "  {:>width$}", figure.map_or_else(String::new, short));
            }
        }
        for note in &self.notes {
            let _ = write!(out, "\n  {note}");
        }
        out + "\n"
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|(name, figures)| {
                let pairs = self.columns.iter().zip(figures).filter_map(|(head, figure)| Some((head, (*figure)?)));
                let mut row: Map<String, Value> = pairs.map(|(head, it)| ((*head).to_owned(), json!(it))).collect();
                row.insert("name".into(), json!(name));
                Value::Object(row)
            })
            .collect();
        json!({"title": self.title, "rows": rows, "notes": self.notes})
    }
}

fn short(figure: f64) -> String {
    match figure.abs() {
        it if it >= 100.0 => format!("{figure:.0}"),
        it if it >= 10.0 => format!("{figure:.1}"),
        it if it >= 0.1 || it == 0.0 => format!("{figure:.2}"),
        _ => format!("{figure:.3}"),
    }
}

/// The middle of these; none of none.
pub(super) fn median(mut of: Vec<f64>) -> Option<f64> {
    of.sort_by(f64::total_cmp);
    let middle = of.len().checked_sub(1)? / 2;
    let upper = of.get(of.len() / 2)?;
    Some((of.get(middle)? + upper) / 2.0)
}

/// The value that this part of all (0.99) do not exceed, in milliseconds.
pub(super) fn percentile(times: &[Duration], part: f64) -> Option<f64> {
    let mut sorted = times.to_vec();
    sorted.sort();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place among some thousands"
    )]
    let place = ((sorted.len() as f64) * part).ceil() as usize;
    sorted.get(place.saturating_sub(1)).map(|it| milliseconds(*it))
}

pub(super) fn milliseconds(it: Duration) -> f64 {
    it.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
    use super::*;

    #[test]
    fn the_middle_and_the_slowest_hundredth() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(Vec::new()), None);
        let times: Vec<Duration> = (1..=200).rev().map(Duration::from_millis).collect();
        assert_eq!((percentile(&times, 0.5), percentile(&times, 0.99)), (Some(100.0), Some(198.0)));
    }

    #[test]
    fn a_figure_that_is_not_there_is_left_out() {
        let mut table = Table::new("t", &["p50 ms", "ratio"]);
        table.row("a", &[Some(1.0), None]);
        assert_eq!(table.json()["rows"][0], json!({"name": "a", "p50 ms": 1.0}));
        assert!(table.text().contains("1.00"));
    }
}
