//! What is counted, in Prometheus' text format. Every label is a closed set of words: never a name, never a text.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use policies::library::Severity;
use policies::request::Operation;
use policies::verdict::Cause;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::fault::Fault;

/// Seconds. A verdict takes well under a millisecond, a first sight with live reads some twenty, and the webhook
/// configuration's timeout ends it all.
const BUCKETS: [f64; 12] = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];

/// Which endpoint answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Door {
    /// `/mutate`.
    Mutating,
    /// `/validate`.
    Validating,
    /// `/lint`.
    Lint,
}

impl Door {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Mutating, Self::Validating, Self::Lint];

    /// Where it is.
    pub fn path(self) -> &'static str {
        match self {
            Self::Mutating => "/mutate",
            Self::Validating => "/validate",
            Self::Lint => "/lint",
        }
    }

    /// For labels and the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mutating => "mutating",
            Self::Validating => "validating",
            Self::Lint => "lint",
        }
    }
}

/// Where reviews wait for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Queue {
    /// For room for their bodies.
    Bodies,
    /// For being parsed or judged away from the threads that serve.
    Judging,
    /// For being linted.
    Linting,
    /// For being looked up at the API server.
    Lookups,
}

impl Queue {
    fn as_str(self) -> &'static str {
        match self {
            Self::Bodies => "bodies",
            Self::Judging => "judging",
            Self::Linting => "linting",
            Self::Lookups => "lookups",
        }
    }
}

/// How far a connection came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    /// Its TLS handshake has not ended.
    Handshake,
    /// It has.
    Open,
    /// It had many requests under way at once.
    Busy,
}

impl Stage {
    fn as_str(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Open => "open",
            Self::Busy => "busy",
        }
    }
}

/// What is counted of one queue.
#[derive(Clone, Debug)]
pub(crate) struct QueueMetrics {
    waiting: Gauge,
    /// None where nothing is done but waiting.
    moved: Option<Counter>,
    crowded_out: Counter,
}

impl QueueMetrics {
    /// So many wait.
    pub(crate) fn set_waiting(&self, count: usize) {
        self.waiting.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// One piece of work was done away from the threads that serve.
    pub(crate) fn done(&self) {
        if let Some(moved) = &self.moved {
            moved.inc();
        }
    }

    /// One was refused because its sender has too much waiting.
    pub(crate) fn crowded_out(&self) {
        self.crowded_out.inc();
    }
}

/// Where clients are counted whose TLS handshake failed because of their certificate. Cloning shares it.
#[derive(Clone, Debug)]
pub(crate) struct ClientMetrics {
    without: Counter,
    refused: Counter,
}

impl ClientMetrics {
    /// A handshake failed for this. Says whether it was for want of a certificate.
    pub(crate) fn failed(&self, error: &rustls::Error) -> bool {
        let is_without = matches!(error, rustls::Error::NoCertificatesPresented);
        if is_without {
            self.without.inc();
        } else if matches!(error, rustls::Error::InvalidCertificate(_)) {
            self.refused.inc();
        }
        is_without
    }
}

/// What the answer was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Allowed.
    Admitted,
    /// Refused by a verdict.
    Refused,
    /// Refused because there was no verdict.
    Failed,
}

impl Outcome {
    /// For labels and the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// Why it was refused: a cause of the verdict, a problem of a template ConfigMap, or a fault. Made only from these,
/// so the set of words is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Why(&'static str);

impl Why {
    /// A template ConfigMap with errors.
    pub const LINT: Self = Self("lint");

    /// The word.
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

impl From<Cause> for Why {
    fn from(cause: Cause) -> Self {
        Self(cause.as_str())
    }
}

impl From<&Fault> for Why {
    fn from(fault: &Fault) -> Self {
        Self(fault.as_str())
    }
}

/// A word of a closed set, as a label's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Word(&'static str);

impl EncodeLabelValue for Word {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.0.encode(encoder)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReviewLabels {
    phase: Word,
    operation: Word,
    verdict: Word,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PhaseLabel {
    phase: Word,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CauseLabel {
    cause: Word,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SeverityLabel {
    severity: Word,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabel {
    queue: Word,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabel {
    stage: Word,
}

/// The webhook's metrics. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Metrics {
    reviews: Family<ReviewLabels, Counter>,
    refusals: Family<CauseLabel, Counter>,
    seconds: Family<PhaseLabel, Histogram>,
    shed: Counter,
    in_flight: Gauge,
    waiting: Family<QueueLabel, Gauge>,
    moved: Family<QueueLabel, Counter>,
    crowded_out: Family<QueueLabel, Counter>,
    connections_closed: Family<StageLabel, Counter>,
    clients_refused: Family<CauseLabel, Counter>,
    lines_left_out: Counter,
    certificate_expiry: Gauge<f64, AtomicU64>,
    template_problems: Family<SeverityLabel, Gauge>,
}

impl Metrics {
    /// Registers all of them. The binary may register its own beside them before it shares the registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            reviews: Family::default(),
            refusals: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            shed: Counter::default(),
            lines_left_out: Counter::default(),
            in_flight: Gauge::default(),
            waiting: Family::default(),
            moved: Family::default(),
            crowded_out: Family::default(),
            connections_closed: Family::default(),
            clients_refused: Family::default(),
            certificate_expiry: Gauge::default(),
            template_problems: Family::default(),
        };
        registry.register("retinue_reviews", "Admission reviews answered", metrics.reviews.clone());
        registry.register("retinue_refusals", "Admission reviews refused, by cause", metrics.refusals.clone());
        registry.register(
            "retinue_review_seconds",
            "Time from a review's first byte to its answer",
            metrics.seconds.clone(),
        );
        registry.register("retinue_reviews_shed", "Reviews refused because of their size", metrics.shed.clone());
        registry.register(
            "retinue_review_bytes_in_flight",
            "Bytes of reviews being read or judged",
            metrics.in_flight.clone(),
        );
        registry.register("retinue_reviews_waiting", "Reviews that wait for others", metrics.waiting.clone());
        registry.register(
            "retinue_work_moved",
            "Pieces of work done away from the threads that serve reviews",
            metrics.moved.clone(),
        );
        registry.register(
            "retinue_reviews_crowded_out",
            "Reviews refused because their sender has too many waiting",
            metrics.crowded_out.clone(),
        );
        registry.register(
            "retinue_connections_crowded_out",
            "Connections closed because their address has too many",
            metrics.connections_closed.clone(),
        );
        registry.register(
            "retinue_clients_refused",
            "Connections refused because of the client's certificate",
            metrics.clients_refused.clone(),
        );
        registry.register(
            "retinue_log_lines_left_out",
            "Lines about refused reviews that were not logged because their address has too many",
            metrics.lines_left_out.clone(),
        );
        registry.register(
            "retinue_serving_certificate_expiry_timestamp_seconds",
            "When the serving certificate expires, Unix time; 0: not known",
            metrics.certificate_expiry.clone(),
        );
        registry.register(
            "retinue_template_problems",
            "Problems of the template ConfigMaps that are loaded",
            metrics.template_problems.clone(),
        );
        metrics
    }

    /// When the serving certificate expires, seconds since 1970.
    pub fn set_certificate_expiry(&self, unix_seconds: f64) {
        self.certificate_expiry.set(unix_seconds);
    }

    /// How many problems of this severity the loaded template ConfigMaps have.
    pub fn set_template_problems(&self, severity: Severity, count: usize) {
        let severity = Word(match severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        });
        self.template_problems.get_or_create(&SeverityLabel { severity }).set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Where bytes in flight are counted.
    pub(crate) fn in_flight(&self) -> Gauge {
        self.in_flight.clone()
    }

    /// What is counted of this queue.
    pub(crate) fn queue(&self, queue: Queue) -> QueueMetrics {
        let label = QueueLabel { queue: Word(queue.as_str()) };
        QueueMetrics {
            waiting: self.waiting.get_or_create(&label).clone(),
            moved: matches!(queue, Queue::Judging | Queue::Linting).then(|| self.moved.get_or_create(&label).clone()),
            crowded_out: self.crowded_out.get_or_create(&label).clone(),
        }
    }

    /// Where lines are counted that were not logged.
    pub(crate) fn lines_left_out(&self) -> Counter {
        self.lines_left_out.clone()
    }

    /// Where connections are counted that were closed at this stage because there were too many.
    pub(crate) fn connections(&self, stage: Stage) -> Counter {
        self.connections_closed.get_or_create(&StageLabel { stage: Word(stage.as_str()) }).clone()
    }

    /// Where clients are counted that are refused because of their certificate.
    pub(crate) fn clients(&self) -> ClientMetrics {
        let of = |cause| self.clients_refused.get_or_create(&CauseLabel { cause: Word(cause) }).clone();
        ClientMetrics { without: of("none"), refused: of("certificate") }
    }

    /// One review was answered.
    pub(crate) fn answered(&self, door: Door, operation: Option<Operation>, outcome: Outcome, took: Duration) {
        let phase = Word(door.as_str());
        let operation = Word(operation_word(operation));
        self.reviews.get_or_create(&ReviewLabels { phase, operation, verdict: Word(outcome.as_str()) }).inc();
        self.seconds.get_or_create(&PhaseLabel { phase }).observe(took.as_secs_f64());
    }

    /// It was a refusal.
    pub(crate) fn refused(&self, why: Why) {
        self.refusals.get_or_create(&CauseLabel { cause: Word(why.0) }).inc();
    }

    /// It was turned away unread.
    pub(crate) fn shed(&self) {
        self.shed.inc();
    }
}

/// For labels and the log.
pub(crate) fn operation_word(operation: Option<Operation>) -> &'static str {
    match operation {
        Some(Operation::Create) => "create",
        Some(Operation::Update) => "update",
        Some(Operation::Delete) => "delete",
        Some(Operation::Connect) => "connect",
        None => "unknown",
    }
}

/// The registry as text, for `/metrics`.
pub fn text(registry: &Registry) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry)?;
    Ok(text)
}
