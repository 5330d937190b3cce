//! What is known of the cluster, in numbers, read when Prometheus asks: no object's name is ever a label.

use std::fmt;
use std::sync::Arc;

use policies::collectable;
use policies::library::Severity;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::Cluster;

/// Shows what `cluster` knows in `registry`.
pub fn register(cluster: &Arc<Cluster>, registry: &mut Registry) {
    registry.register_collector(Box::new(Known(Arc::clone(cluster))));
}

struct Known(Arc<Cluster>);

impl fmt::Debug for Known {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Known")
    }
}

impl Collector for Known {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let cluster = &self.0;
        let snapshot = cluster.templates.last();
        let sets = snapshot.library.sets.values();
        let errors = sets.clone().flat_map(|set| &set.problems).filter(|problem| problem.severity == Severity::Error);
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let mut gauge = |name: &str, help: &str, value: i64| {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
        };
        gauge("retinue_template_configmaps", "Template ConfigMaps known, and compiled", count(sets.len()))?;
        let compiling = snapshot.library.compiling.values();
        let slow = compiling.clone().filter(|compiling| compiling.slow).count();
        let help = "Template ConfigMaps that are being compiled: their masters are refused until that is done";
        gauge("retinue_template_configmaps_compiling", help, count(compiling.len()))?;
        let help = "Of those, the ones whose compile takes longer than 2 s: their authors should simplify them";
        gauge("retinue_template_configmaps_slow", help, count(slow))?;
        let help = "Template ConfigMaps of which nothing is kept: those of their namespace take too much memory";
        gauge("retinue_template_configmaps_not_kept", help, count(snapshot.library.not_kept.len()))?;
        let bytes = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let help = "Bytes that the template ConfigMaps that are kept take in use, by the estimate";
        gauge("retinue_template_memory_bytes", help, bytes(snapshot.memory))?;
        let help = "Bytes that are kept of template ConfigMaps at most, by the same estimate";
        gauge("retinue_template_memory_limit_bytes", help, bytes(cluster.templates.bound()))?;
        gauge("retinue_template_errors", "Problems that keep templates from being used", count(errors.count()))?;
        let rights = cluster.collectable.known();
        let lacking = rights
            .kinds
            .values()
            .filter(|known| matches!(known, collectable::Known::Missing { verbs, .. } if !verbs.is_empty()));
        let unknown = rights.kinds.values().filter(|known| matches!(known, collectable::Known::Unknown(_)));
        let help = "Kinds of templates that the collector has no right to delete somewhere";
        gauge("retinue_template_kinds_not_collectable", help, count(lacking.count()))?;
        let help = "Kinds of templates of which it could not be found out whether the collector may delete them";
        gauge("retinue_template_kinds_not_reviewed", help, count(unknown.count()))?;
        gauge("retinue_dependents", "Dependents known", count(cluster.dependents.ledger.len()))?;
        // Absent before all was read: an age of nothing would look fresh.
        if let Some(age) = cluster.oldest_proof_of_life() {
            let seconds = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
            gauge("retinue_snapshot_age_seconds", "Since the last proof of life of the oldest snapshot", seconds)?;
        }
        let admitted = ConstCounter::new(cluster.dependents.admitted());
        let help = "Dependents that this replica admitted and the API server then showed";
        admitted.encode(encoder.encode_descriptor(
            "retinue_dependents_admitted",
            help,
            None,
            admitted.metric_type(),
        )?)?;
        let dropped = ConstCounter::new(cluster.events.dropped());
        let help = "Events that could not be told";
        dropped.encode(encoder.encode_descriptor("retinue_events_dropped", help, None, dropped.metric_type())?)
    }
}
