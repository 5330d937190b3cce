//! What the doctor finds: whether an installation is what this version installs, and who gets around it. Pure: whoever
//! looks at the cluster gives what was found and when, and is told what is wrong and what to do about it.
//!
//! The rooms: [`installed`] compares what is there with what is installed; [`certificates`] judges validities;
//! [`grants`] reads RBAC; [`guard`] says who is a master, who gets around the guard and who may switch it off;
//! [`templates`] says which templates nobody can use, [`collector`] which of their dependents nobody would delete;
//! [`callers`] says where API servers call from.

pub mod callers;
pub mod certificates;
pub mod collector;
pub mod grants;
pub mod guard;
pub mod installed;
pub mod templates;
#[cfg(test)]
mod testing;

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;

use crate::keys;
use crate::object::NamespacedName;

/// How bad a finding is. In this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something does not hold that retinue promises, or somebody will be refused who should not be.
    Problem,
    /// It could not be looked at.
    Unknown,
    /// It holds today.
    Warning,
    /// Good to know.
    Note,
}

/// What is looked at, in the order in which it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Area {
    /// The webhook configurations.
    Webhooks,
    /// Whether the webhook answers, and what runs.
    Answers,
    /// The authorities that the API server trusts, and the serving certificate.
    Certificates,
    /// The policies inside the API server.
    Floor,
    /// The rights of retinue's own accounts.
    Rights,
    /// Who is a master, and who gets around the guard.
    Guard,
    /// Who may send reviews to the webhook, and whether the API server's arrive.
    Callers,
    /// The templates, and who can use them.
    Templates,
    /// What the collector may delete.
    Collector,
}

impl Area {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Webhooks,
        Self::Answers,
        Self::Certificates,
        Self::Floor,
        Self::Rights,
        Self::Guard,
        Self::Callers,
        Self::Templates,
        Self::Collector,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Webhooks => "webhooks",
            Self::Answers => "answers",
            Self::Certificates => "certificates",
            Self::Floor => "floor",
            Self::Rights => "rights",
            Self::Guard => "guard",
            Self::Callers => "callers",
            Self::Templates => "templates",
            Self::Collector => "collector",
        }
    }
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// Where it belongs.
    pub area: Area,
    /// What it is about: `ValidatingAdmissionPolicy retinue-stamps`, `ServiceAccount trading/eod`.
    pub about: String,
    /// What is so.
    pub message: String,
    /// What to do; empty: nothing.
    pub fix: String,
}

impl Finding {
    /// A finding.
    pub fn new(
        severity: Severity,
        area: Area,
        about: impl Into<String>,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { severity, area, about: about.into(), message: message.into(), fix: fix.into() }
    }
}

/// A question to the API server's authorizers, about a ServiceAccount with the groups that every one has.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Question {
    /// Whose right.
    pub account: NamespacedName,
    /// The verb.
    pub verb: &'static str,
    /// The API group.
    pub group: String,
    /// The resource, plural.
    pub resource: String,
    /// In which namespace.
    pub namespace: String,
}

impl Question {
    /// About a verb on `dependents.fledged.io` in the account's own namespace.
    fn of_master(account: &NamespacedName, verb: &'static str) -> Self {
        Self {
            account: account.clone(),
            verb,
            group: keys::GROUP.into(),
            resource: "dependents".into(),
            namespace: account.namespace.clone(),
        }
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, verb, group, resource, namespace } = self;
        let dot = if group.is_empty() { "" } else { "." };
        write!(f, "whether ServiceAccount {account} may {verb} {resource}{dot}{group} in {namespace}")
    }
}

/// What was answered; an error is why nothing was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers(pub HashMap<Question, Result<bool, String>>);

impl Answers {
    /// Yes or no; none where it could not be found out.
    pub fn get(&self, question: &Question) -> Option<bool> {
        self.0.get(question)?.as_ref().ok().copied()
    }

    /// What kept questions from being answered, one finding for each reason.
    pub fn unanswered(&self, area: Area) -> Vec<Finding> {
        let mut by_reason: HashMap<&str, Vec<&Question>> = HashMap::new();
        for (question, answer) in &self.0 {
            if let Err(reason) = answer {
                by_reason.entry(reason).or_default().push(question);
            }
        }
        let told = by_reason.into_iter().filter_map(|(reason, mut questions)| {
            questions.sort();
            let first = questions.first()?;
            let more = match questions.len() {
                1 => String::new(),
                some => format!(", and {} more such questions", some - 1),
            };
            Some(Finding::new(
                Severity::Unknown,
                area,
                "SubjectAccessReview",
                format!("it could not be found out {first}{more}: {reason}"),
                "the doctor needs the right to create subjectaccessreviews.authorization.k8s.io",
            ))
        });
        let mut findings: Vec<Finding> = told.collect();
        findings.sort_by(|one, other| one.message.cmp(&other.message));
        findings
    }
}

/// What a ServiceAccount is to the guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A master: it is judged.
    Master,
    /// It holds a wildcard, which keeps it out of the guard.
    Wildcard,
    /// It may not `launch`.
    Ordinary,
    /// Not found out.
    Unknown,
}

impl Standing {
    /// The questions that tell it.
    pub fn questions(account: &NamespacedName) -> [Question; 2] {
        [Question::of_master(account, keys::LAUNCH), Question::of_master(account, keys::NO_VERB)]
    }

    /// As the match condition of the webhook configurations selects: by the verb, and not by a wildcard.
    pub fn of(account: &NamespacedName, answers: &Answers) -> Self {
        let [launch, none] = Self::questions(account).map(|question| answers.get(&question));
        match (launch, none) {
            (_, Some(true)) => Self::Wildcard,
            (Some(true), Some(false)) => Self::Master,
            (Some(false), Some(false)) => Self::Ordinary,
            (None, _) | (_, None) => Self::Unknown,
        }
    }
}
