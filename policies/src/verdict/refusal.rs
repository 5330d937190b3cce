//! Refusals: what was refused, by which template, where, expected, got, and what to do.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::difference::Difference;
use crate::object::NamespacedName;
use crate::request::{Operation, Request};

use super::template_text;

/// How many differences a message lists; the rest is counted.
const LISTED: usize = 5;

/// Why a request is refused: a closed set, for metrics, exit codes and HTTP codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// No template describes the object.
    Template,
    /// Who asks could not be established.
    Identity,
    /// Pod and ConfigMap do not both consent, or the ConfigMap is absent or broken.
    Consent,
    /// A ConfigMap that might admit it is still being compiled.
    Compiling,
    /// Never admitted, whatever a template says.
    Forbidden,
    /// The stamp is missing, forged or changed.
    Stamp,
    /// The object is not the master's own.
    Foreign,
    /// The deletion would orphan.
    Orphan,
    /// The subresource is not allowed.
    Subresource,
    /// The collector could not delete it.
    Collector,
    /// Too many live dependents.
    Quota,
    /// An owner reference or a finalizer that the caller may not send.
    Owner,
    /// The deadline would lie beyond what was granted.
    Deadline,
    /// The template changed between the two phases.
    Changed,
    /// A lookup failed.
    Lookup,
    /// A fact is missing (offline), so neither answer is right.
    CouldNotTell,
    /// The request itself cannot be judged.
    Malformed,
    /// Judging it takes more work than one review may.
    TooLarge,
    /// Our own fault.
    Internal,
}

impl Cause {
    /// Every cause, for metrics.
    pub const ALL: [Cause; 19] = [
        Self::Template,
        Self::Identity,
        Self::Consent,
        Self::Compiling,
        Self::Forbidden,
        Self::Stamp,
        Self::Foreign,
        Self::Orphan,
        Self::Subresource,
        Self::Collector,
        Self::Quota,
        Self::Owner,
        Self::Deadline,
        Self::Changed,
        Self::Lookup,
        Self::CouldNotTell,
        Self::Malformed,
        Self::TooLarge,
        Self::Internal,
    ];

    /// For metrics, audit annotations and the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Template => "template",
            Self::Identity => "identity",
            Self::Consent => "consent",
            Self::Compiling => "compiling",
            Self::Forbidden => "forbidden",
            Self::Stamp => "stamp",
            Self::Foreign => "foreign",
            Self::Orphan => "orphan",
            Self::Subresource => "subresource",
            Self::Collector => "collector",
            Self::Quota => "quota",
            Self::Owner => "owner",
            Self::Deadline => "deadline",
            Self::Changed => "changed",
            Self::Lookup => "lookup",
            Self::CouldNotTell => "could-not-tell",
            Self::Malformed => "malformed",
            Self::TooLarge => "too-large",
            Self::Internal => "internal",
        }
    }

    /// HTTP code and Kubernetes reason of the answer. All are refusals; the code says whether trying again helps.
    pub fn status(self) -> (u16, &'static str) {
        match self {
            Self::Lookup | Self::Compiling => (503, "ServiceUnavailable"),
            Self::Internal | Self::CouldNotTell => (500, "InternalError"),
            Self::Malformed => (400, "BadRequest"),
            Self::TooLarge => (413, "RequestEntityTooLarge"),
            Self::Changed => (409, "Conflict"),
            _ => (403, "Forbidden"),
        }
    }
}

/// A refusal.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// Why.
    pub cause: Cause,
    /// For the caller: complete, several lines.
    pub message: String,
    /// The nearest template.
    pub config_map: Option<NamespacedName>,
    /// Its `data` key.
    pub key: Option<String>,
    /// Its differences.
    pub differences: Vec<Difference>,
    /// Audit annotations, without prefix.
    pub audit: BTreeMap<String, String>,
}

impl Refusal {
    /// A refusal with a reason; [`Refusal::about_request`] puts what was refused in front.
    pub fn new(cause: Cause, reason: impl Into<String>) -> Self {
        Self {
            cause,
            message: reason.into(),
            config_map: None,
            key: None,
            differences: Vec::new(),
            audit: BTreeMap::new(),
        }
    }

    /// By a template, with its differences.
    #[must_use]
    pub fn by_template(mut self, config_map: NamespacedName, key: &str, differences: Vec<Difference>) -> Self {
        for difference in differences.iter().take(LISTED) {
            let _ = write!(self.message, "\n  {difference}");
        }
        if differences.len() > LISTED {
            let _ = write!(self.message, "\n  and {} more", differences.len() - LISTED);
        }
        self.config_map = Some(config_map);
        self.key = Some(key.to_owned());
        self.differences = differences;
        self
    }

    /// It is not known yet, since others that are still being compiled may admit it: that comes first, and then what is
    /// known of those that are compiled.
    #[must_use]
    pub(super) fn undecided(mut self, undecided: &str) -> Self {
        self.cause = Cause::Compiling;
        self.message = format!("{undecided}\nOf what is compiled: {}", self.message);
        self
    }

    /// Of what else the pod asks for something can't be used: that comes first.
    #[must_use]
    pub(super) fn unusable(mut self, unusable: &str) -> Self {
        self.message = format!("{unusable}\nOf what can be used: {}", self.message);
        self
    }

    /// One more line: what to do.
    #[must_use]
    pub fn advise(mut self, line: &str) -> Self {
        let _ = write!(self.message, "\n{line}");
        self
    }

    /// Puts what was refused in front, and fills the audit annotations.
    #[must_use]
    pub fn about_request(mut self, request: &Request) -> Self {
        self.message = format!("retinue refuses {}: {}", deed(request), self.message);
        self.audit.insert("verdict".into(), "refused".into());
        self.audit.insert("cause".into(), self.cause.as_str().into());
        if let Some(config_map) = &self.config_map {
            self.audit.insert("template".into(), template_text(config_map, self.key.as_deref()));
        }
        if !self.differences.is_empty() {
            let paths: Vec<String> = self.differences.iter().take(LISTED).map(|d| d.path.to_string()).collect();
            self.audit.insert("differences".into(), paths.join(", "));
        }
        self
    }
}

/// `to create Job trading/post-trade-1`, as refusals and logs name a request.
pub fn deed(request: &Request) -> String {
    let verb = match (request.operation, request.subresource.as_deref()) {
        (Operation::Create, None) => "to create",
        (Operation::Update, None) => "to change",
        (Operation::Delete, _) => "to delete",
        (Operation::Create, Some("eviction")) => "to evict",
        (_, Some(_)) | (Operation::Connect, None) => "the use of",
    };
    let what = match request.subresource.as_deref() {
        None => request.kind.kind.clone(),
        Some("eviction") => "Pod".to_owned(),
        Some(subresource) => format!("{}/{subresource}", request.resource.resource),
    };
    let generated = || request.object.as_ref().and_then(|object| object["metadata"]["generateName"].as_str());
    let stored = || request.old_object.as_ref().and_then(|object| object["metadata"]["name"].as_str());
    let name = match (request.name.as_deref().filter(|name| !name.is_empty()).or_else(stored), generated()) {
        (Some(name), _) => name.to_owned(),
        (None, Some(prefix)) => format!("{prefix}*"),
        (None, None) => "(unnamed)".to_owned(),
    };
    match &request.namespace {
        Some(namespace) => format!("{verb} {what} {namespace}/{name}"),
        None => format!("{verb} {what} {name}"),
    }
}
