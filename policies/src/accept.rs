//! Rows that an admin accepts: what the cluster adds to an object that neither the template nor the tables know.
//!
//! A row is a kind, a path and a value, written in the annotation [`keys::ACCEPT`] of a template ConfigMap. An object
//! of that kind may have exactly this value at exactly this place, or nothing; there is no wildcard. Accepting never
//! takes away: what was admitted without the row still is. Who sends it makes no difference, so a row is as good as a
//! line of the template that may be absent.

mod place;
mod says;

use serde_json::{Map, Value, json};

use crate::budget::Budget;
use crate::difference::{Difference, Expected, Got, Path, Step};
use crate::keys;
use crate::object::Gvk;
use crate::recognise::work;
use crate::tables::{Facts, SERVER_OWNED, Scalar, compare, complete, forbidden, shape_of};
use crate::template::Template;
use crate::yaml;

pub use place::read_path;

/// The most rows of one ConfigMap: who needs more needs another template.
pub(crate) const MOST: usize = 64;

/// One row: this value, at this place, in objects of this kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Of which objects.
    pub kind: Gvk,
    /// Where.
    pub path: Path,
    /// What.
    pub value: Value,
}

/// The rows that one ConfigMap accepts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Accepted(Vec<Row>);

/// What the annotation says, and what its author will regret.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// The rows.
    pub accepted: Accepted,
    /// Of each row that gives a master more than it may seem to.
    pub warnings: Vec<String>,
}

/// Fields by which a pod gets power over its node, or runs something else.
const POWERFUL: [&str; 24] = [
    "allowPrivilegeEscalation",
    "args",
    "capabilities",
    "command",
    "containers",
    "env",
    "envFrom",
    "ephemeralContainers",
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "hostPath",
    "hostUsers",
    "image",
    "initContainers",
    "nodeName",
    "privileged",
    "projected",
    "runtimeClassName",
    "secret",
    "securityContext",
    "serviceAccount",
    "serviceAccountName",
    "volumes",
];

impl Row {
    /// The row that would accept a difference from `template`; none where no row can: the template itself says
    /// something at that place, or it is a place of which nothing is accepted.
    pub fn of(template: &Template, difference: &Difference) -> Option<Self> {
        let Got::Value(value) = &difference.got else { return None };
        if matches!(difference.expected, Expected::Described(_)) || says::says(template, difference.path.steps()) {
            return None;
        }
        let row = Self { kind: Gvk::clone(&template.kind), path: difference.path.clone(), value: value.clone() };
        row.refused().is_none().then_some(row)
    }

    /// The line of the annotation that accepts it.
    pub fn line(&self) -> String {
        let row = json!({
            "apiVersion": self.kind.api_version(), "kind": self.kind.kind, "path": self.path.to_string(),
            "value": self.value,
        });
        format!("- {row}")
    }

    /// Reads one entry of the annotation.
    fn read(entry: &Value) -> Result<Self, String> {
        const FIELDS: [&str; 4] = ["apiVersion", "kind", "path", "value"];
        let Some(entry) = entry.as_object() else { return Err(format!("expected a map, got {entry}")) };
        if let Some(other) = entry.keys().find(|key| !FIELDS.contains(&key.as_str())) {
            return Err(format!("{other:?} means nothing: expected {}", FIELDS.join(", ")));
        }
        let text = |field: &str| match entry.get(field).and_then(Value::as_str) {
            Some(text) if !text.is_empty() => Ok(text),
            _ => Err(format!("{field} is missing, or no text")),
        };
        let row = Self {
            kind: Gvk::parse(text("apiVersion")?, text("kind")?)?,
            path: read_path(text("path")?)?,
            value: entry.get("value").cloned().ok_or("value is missing")?,
        };
        row.refused().map_or(Ok(row), Err)
    }

    /// Why no row may say this.
    fn refused(&self) -> Option<String> {
        if let Some(reason) = forbidden(&self.kind) {
            return Some(format!("{} can never be admitted: {reason}", self.kind.kind));
        }
        if self.value.is_null() {
            return Some("the value null is the same as none".into());
        }
        let mut keys = self.path.steps().iter().filter_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Index(_) | Step::Element(_) => None,
        });
        if let Some(key) = keys.clone().find(|key| is_ours(key)).or_else(|| ours_in(&self.value)) {
            return Some(format!("{key:?} steers retinue or another collector: it cannot be accepted"));
        }
        if self
            .path
            .steps()
            .iter()
            .any(|step| matches!(step, Step::Key(text) | Step::Element(text) if text.contains('*')))
        {
            return Some("there are no wildcards: write the path of one place".into());
        }
        let secret = self.kind.group.is_empty() && self.kind.kind == "Secret";
        match (keys.next(), keys.next(), keys.next()) {
            (None | Some("apiVersion" | "kind" | "status"), ..) | (Some("metadata"), None, _) => {
                Some(format!("{} is not a field that a row can accept", self.path))
            }
            (Some("metadata"), Some("labels" | "annotations"), None) => {
                Some("write one row for each label and annotation".into())
            }
            (Some("metadata"), Some(field), _)
                if SERVER_OWNED.contains(&field)
                    || matches!(field, "name" | "generateName" | "namespace" | "ownerReferences") =>
            {
                Some(format!("metadata.{field} is judged by who asks: it cannot be accepted"))
            }
            (Some("data" | "stringData"), ..) if secret => Some("the data of a Secret is shown to nobody".into()),
            _ => None,
        }
    }

    /// What a master gains by it, where that is power.
    fn regret(&self) -> Option<String> {
        let key = self.path.steps().iter().find_map(|step| match step {
            Step::Key(key) if POWERFUL.contains(&key.as_str()) => Some(key.as_str()),
            _ => None,
        });
        let key = key.or_else(|| powerful_in(&self.value))?;
        Some(format!(
            "{}: {key} decides what a pod may do, and a master may send this row as well as the cluster may add it",
            self.path
        ))
    }
}

fn is_ours(key: &str) -> bool {
    keys::is_reserved(key) || key == keys::LAST_APPLIED
}

fn any_key(value: &Value, wanted: fn(&str) -> bool) -> Option<&str> {
    match value {
        Value::Object(map) => {
            map.iter().find_map(|(key, inner)| if wanted(key) { Some(key.as_str()) } else { any_key(inner, wanted) })
        }
        Value::Array(list) => list.iter().find_map(|inner| any_key(inner, wanted)),
        _ => None,
    }
}

fn ours_in(value: &Value) -> Option<&str> {
    any_key(value, is_ours)
}

fn powerful_in(value: &Value) -> Option<&str> {
    any_key(value, |key| POWERFUL.contains(&key))
}

impl Accepted {
    /// Reads the annotation: a YAML list of rows.
    ///
    /// # Errors
    /// The first thing that is wrong, with the number of its row.
    pub fn read(text: &str) -> Result<Reading, String> {
        Self::read_within(text, &Budget::of(u64::MAX))
    }

    /// As [`Accepted::read`], by steps of `budget`.
    pub(crate) fn read_within(text: &str, budget: &Budget) -> Result<Reading, String> {
        let example = "expected a list of rows such as `- {apiVersion: batch/v1, kind: Job, path: spec.x, value: 1}`";
        let list = yaml::value_within(text, budget).map_err(|error| format!("{error}; {example}"))?;
        let Value::Array(entries) = list else { return Err(example.into()) };
        if entries.len() > MOST {
            return Err(format!("{} rows, at most {MOST} are read", entries.len()));
        }
        let mut reading = Reading::default();
        for (position, entry) in entries.iter().enumerate() {
            let row = Row::read(entry).map_err(|reason| format!("row {}: {reason}", position + 1))?;
            reading.warnings.extend(row.regret().map(|regret| format!("row {}: {regret}", position + 1)));
            reading.accepted.0.push(row);
        }
        Ok(reading)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn rows(&self) -> &[Row] {
        &self.0
    }

    /// `object` without what is accepted of objects of `template`; none where it has nothing of that. What the
    /// template itself says stays.
    pub fn without(&self, template: &Template, object: &Value, facts: &Facts) -> Option<Value> {
        self.without_rows(self.applying_to(template), object, facts, None)
    }

    /// The rows, as bits, that are about objects of `template` and of which it says nothing itself.
    pub(crate) fn applying_to(&self, template: &Template) -> u64 {
        const { assert!(MOST <= 64) };
        let of_kind = self.0.iter().enumerate().filter(|(_, row)| row.kind == *template.kind);
        let places: Vec<_> = of_kind.map(|(at, row)| (1 << at, row.path.steps())).collect();
        let rows = places.iter().fold(0, |rows, (row, _)| rows | row);
        rows & !says::said(&template.pattern, &places)
    }

    /// Steps of [`Accepted::without_rows`] with an object of this [`work::size`].
    pub(crate) fn work(&self, rows: u64, size: u64) -> u64 {
        let searched =
            self.chosen(rows).filter(|row| row.path.steps().iter().any(|step| !matches!(step, Step::Key(_))));
        work::COPYING * size + searched.count() as u64 * size
    }

    fn chosen(&self, rows: u64) -> impl Iterator<Item = &Row> {
        self.0.iter().enumerate().filter(move |(at, _)| rows >> at & 1 == 1).map(|(_, row)| row)
    }

    /// `object` without those of these rows that it has; none where it has none of them.
    pub(crate) fn without_rows(
        &self,
        rows: u64,
        object: &Value,
        facts: &Facts,
        budget: Option<&Budget>,
    ) -> Option<Value> {
        let mut bare: Option<Value> = None;
        for row in self.chosen(rows) {
            if !has(row, bare.as_ref().unwrap_or(object), facts, budget) {
                continue;
            }
            let less = bare.get_or_insert_with(|| object.clone());
            place::remove(shape_of(&row.kind, facts), less, row.path.steps());
        }
        bare
    }
}

/// Whether the object has exactly that value there.
fn has(row: &Row, object: &Value, facts: &Facts, budget: Option<&Budget>) -> bool {
    let shape = shape_of(&row.kind, facts);
    let steps = row.path.steps();
    let Some(got) = place::find(shape, object, steps) else { return false };
    if *got == row.value {
        return true;
    }
    let at = steps.iter().fold(shape, |shape, step| match step {
        Step::Key(key) => shape.field(key),
        Step::Index(_) | Step::Element(_) => shape.element(),
    });
    // Another text is another text, and what is much longer than the row says more.
    let other = at.scalar() == Scalar::Text && got.is_string() && row.value.is_string();
    let enough = |budget: &Budget| budget.spend(3 * work::COPYING * work::size(object)).is_ok();
    !other && budget.is_none_or(enough) && same(row, object, facts)
}

/// Whether the object says at the place of the row what the API server would make of the row's value.
fn same(row: &Row, object: &Value, facts: &Facts) -> bool {
    let mut other = object.clone();
    let Some(got) = place::find_mut(shape_of(&row.kind, facts), &mut other, row.path.steps()) else { return false };
    *got = row.value.clone();
    let mut object = object.clone();
    complete(&row.kind, &mut other, facts);
    complete(&row.kind, &mut object, facts);
    compare(&row.kind, &other, &object, facts).is_empty()
}

/// A difference for each label and annotation of a map that nobody expected: a row is one of them.
pub(crate) fn apart(difference: Difference) -> Vec<Difference> {
    let named = |name: &str| matches!(difference.path.steps().last(), Some(Step::Key(last)) if last == name);
    match (&difference.expected, &difference.got) {
        (Expected::Nothing, Got::Value(Value::Object(map)))
            if (named("labels") || named("annotations")) && is_texts(map) =>
        {
            map.iter()
                .map(|(key, value)| Difference {
                    path: difference.path.key(key),
                    expected: Expected::Nothing,
                    got: Got::Value(value.clone()),
                })
                .collect()
        }
        _ => vec![difference],
    }
}

fn is_texts(map: &Map<String, Value>) -> bool {
    !map.is_empty() && map.values().all(Value::is_string)
}

#[cfg(test)]
mod tests;
