//! What samples tell: metrics with closed labels, and Events on the template ConfigMap. A ConfigMap has no conditions.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use policies::keys;
use policies::library::TemplateSet;
use policies::sample::Unasked;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::cluster::events::note;
use crate::deploy::PROBE_KINDS;

/// What came of one sample.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    /// All that came back is known.
    Known,
    /// This is not.
    Unknown(Vec<Unasked>),
    /// No sample could be made up.
    NoSample(String),
    /// The account of samples lacks a right.
    NotAllowed(String),
    /// The API server refused it, or did not answer.
    NotMade(String),
}

impl Outcome {
    /// For metrics: a closed set.
    pub(super) fn as_str(&self) -> &'static str {
        match self {
            Self::Known => "known",
            Self::Unknown(_) => "unknown",
            Self::NoSample(_) => "no_sample",
            Self::NotAllowed(_) => "not_allowed",
            Self::NotMade(_) => "not_made",
        }
    }

    /// What was found.
    fn found(&self) -> &[Unasked] {
        match self {
            Self::Unknown(found) => found,
            _ => &[],
        }
    }

    /// With at most so many bytes of the reason, which may quote what was sent.
    pub(super) fn at_most(self, bytes: usize) -> Self {
        let cut = |why: String| {
            if why.len() > bytes { format!("{}...", &why[..why.floor_char_boundary(bytes)]) } else { why }
        };
        match self {
            Self::NoSample(why) => Self::NoSample(cut(why)),
            Self::NotAllowed(why) => Self::NotAllowed(cut(why)),
            Self::NotMade(why) => Self::NotMade(cut(why)),
            Self::Known | Self::Unknown(_) => self,
        }
    }

    /// Whether it may be another next time, with nothing here changed.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Self::NotAllowed(_) | Self::NotMade(_))
    }
}

const OUTCOMES: [&str; 5] = ["known", "unknown", "no_sample", "not_allowed", "not_made"];

/// The label of [`Metrics::templates`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OutcomeLabel {
    outcome: &'static str,
}

/// The sampler's numbers. Cheap to clone; all clones count together.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Templates, in each namespace, by what came of their last sample.
    pub templates: Family<OutcomeLabel, Gauge>,
    /// Rows that the cluster adds and nobody knows, and fields that it changes, all templates together.
    pub unknown_rows: Gauge,
    /// Samples, since the start.
    pub samples: Counter,
    /// Events that could not be written.
    pub events_lost: Counter,
}

impl Metrics {
    /// Makes them known.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("retinue_sampler");
        registry.register("templates", "Templates by what came of their last sample", self.templates.clone());
        let help = "What the cluster adds or changes and neither tables nor templates know";
        registry.register("unknown_rows", help, self.unknown_rows.clone());
        registry.register("samples", "Creates with dry run, to see what the cluster adds", self.samples.clone());
        registry.register("events_lost", "Events that could not be written", self.events_lost.clone());
    }
}

/// What there is to tell of one ConfigMap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// Lines of the annotation.
    rows: BTreeSet<String>,
    /// Differences, by template.
    changed: BTreeSet<String>,
    /// Templates without a sample, and why.
    unsampled: BTreeSet<String>,
}

impl Told {
    pub(super) fn add(&mut self, key: &str, outcome: &Outcome) {
        for found in outcome.found() {
            match found {
                Unasked::Row(row) => self.rows.insert(row.line()),
                Unasked::Changed(difference) => self.changed.insert(format!("{key}: {difference}")),
            };
        }
        match outcome {
            Outcome::NoSample(why) | Outcome::NotMade(why) => {
                self.unsampled.insert(format!("{key}: {why}"));
            }
            Outcome::NotAllowed(why) => {
                self.unsampled
                    .insert(format!("{key}: {why} (label a ClusterRole with the right to create {PROBE_KINDS}=true)"));
            }
            Outcome::Known | Outcome::Unknown(_) => {}
        }
    }

    pub(super) fn is_fine(&self) -> bool {
        *self == Self::default()
    }
}

/// Tells.
pub(super) struct Teller {
    recorder: Recorder,
    metrics: Metrics,
}

impl Teller {
    pub(super) fn new(client: Client, instance: &str, metrics: Metrics) -> Self {
        let reporter = Reporter { controller: "fledged.io/sampler".into(), instance: Some(instance.to_owned()) };
        Self { recorder: Recorder::new(client, reporter), metrics }
    }

    /// Counts one sample.
    pub(super) fn count(&self) {
        self.metrics.samples.inc();
    }

    /// Shows how all stand.
    pub(super) fn show<'a>(&self, outcomes: impl Iterator<Item = &'a Outcome> + Clone) {
        for outcome in OUTCOMES {
            let count = outcomes.clone().filter(|found| found.as_str() == outcome).count();
            let gauge = self.metrics.templates.get_or_create(&OutcomeLabel { outcome });
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        let rows = outcomes.map(|outcome| outcome.found().len()).sum::<usize>();
        self.metrics.unknown_rows.set(i64::try_from(rows).unwrap_or(i64::MAX));
    }

    /// Tells of one ConfigMap, in the log and by Events on it.
    pub(super) async fn tell(&self, set: &TemplateSet, told: &Told, version: &str) {
        let name = &set.name;
        if told.is_fine() {
            tracing::info!(config_map = %name, version, "all that the cluster adds to its samples is known");
            return;
        }
        for row in &told.rows {
            tracing::warn!(config_map = %name, version, row, "the cluster adds what neither tables nor template know");
        }
        for change in &told.changed {
            tracing::warn!(config_map = %name, version, change, "the cluster changes what a template says");
        }
        for reason in &told.unsampled {
            tracing::warn!(config_map = %name, version, reason, "a template has no sample");
        }
        if !told.rows.is_empty() {
            let head = format!(
                "Kubernetes {version}, or something in this cluster, adds what is in no table of retinue, so its masters \
                 are refused. To accept exactly this, put these rows into the annotation {}:",
                keys::ACCEPT
            );
            self.send(set, EventType::Warning, "UnknownRow", listed(&head, &told.rows)).await;
        }
        if !told.changed.is_empty() {
            let head = "The cluster changes what a template says, so its masters are refused; no row can accept that:";
            self.send(set, EventType::Warning, "ChangedByCluster", listed(head, &told.changed)).await;
        }
        if !told.unsampled.is_empty() {
            let head = "Whether the cluster adds something unknown could not be tried:";
            self.send(set, EventType::Normal, "NotSampled", listed(head, &told.unsampled)).await;
        }
    }

    async fn send(&self, set: &TemplateSet, type_: EventType, reason: &str, note: String) {
        let about = ObjectReference {
            api_version: Some("v1".into()),
            kind: Some("ConfigMap".into()),
            namespace: Some(set.name.namespace.clone()),
            name: Some(set.name.name.clone()),
            uid: Some(set.uid.clone()),
            resource_version: Some(set.version.clone()),
            ..ObjectReference::default()
        };
        let event = Event { type_, reason: reason.into(), note: Some(note), action: "Sample".into(), secondary: None };
        if let Err(error) = self.recorder.publish(&event, &about).await {
            self.metrics.events_lost.inc();
            tracing::debug!(%error, reason, "an Event could not be written");
        }
    }
}

/// The lines that fit into a note, whole, and how many do not.
fn listed(head: &str, lines: &BTreeSet<String>) -> String {
    let mut text = head.to_owned();
    for (position, line) in lines.iter().enumerate() {
        if text.len() + line.len() + 40 > note::LIMIT {
            text.push_str(&format!("\nand {} more, see the controller's log", lines.len() - position));
            break;
        }
        text.push('\n');
        text.push_str(line);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_has_whole_rows_and_says_how_many_are_left() {
        let rows: BTreeSet<String> =
            (0..40).map(|row| format!("- {{\"path\":\"spec.field{row:02}\",\"value\":1}}")).collect();
        let note = listed("head", &rows);
        assert!(note.len() <= note::LIMIT, "{}", note.len());
        let (listed, more) = note.rsplit_once('\n').unwrap_or_default();
        let shown = listed.lines().skip(1).filter(|line| rows.contains(*line)).count();
        assert_eq!(shown, listed.lines().count() - 1);
        assert_eq!(more, format!("and {} more, see the controller's log", 40 - shown));
    }
}
