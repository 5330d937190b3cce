//! Compiled templates of every template ConfigMap, indexed by ConfigMap and kind: deciding never scans templates of
//! other kinds or of other masters.

mod accounts;
mod annotations;
mod load;
pub mod share;
pub(crate) mod templates;
mod weight;
mod work;

pub(crate) use annotations::namespaced_names;
pub(crate) use load::{MOST_STEPS, load, named};
pub use share::NotKept;
pub use templates::Templates;
pub use weight::Weight;
pub(crate) use work::gathered;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use crate::accept::Accepted;
use crate::budget::Budget;
use crate::collectable::Need;
use crate::lifetime::Lifetime;
use crate::object::NamespacedName;
use crate::shared::Pool;
use crate::template::Template;

/// The sets of namespaces that there are.
static NAMESPACES: Pool<BTreeSet<String>> = Pool::new();

/// These namespaces, kept once for all that have the same.
pub(crate) fn alike(namespaces: BTreeSet<String>) -> Arc<BTreeSet<String>> {
    NAMESPACES.share(namespaces)
}

/// Every template ConfigMap that is known, at one instant.
#[derive(Clone, Debug, Default)]
pub struct Library {
    /// By name.
    pub sets: HashMap<Arc<NamespacedName>, Arc<TemplateSet>>,
    /// Those that exist, and whose present content is not compiled yet. None of them is in `sets`.
    pub compiling: HashMap<Arc<NamespacedName>, Compiling>,
    /// Those that exist, and are not kept, since there are too many in their namespace. None of them is in the others.
    pub not_kept: HashMap<Arc<NamespacedName>, NotKept>,
}

impl FromIterator<Arc<TemplateSet>> for Library {
    fn from_iter<I: IntoIterator<Item = Arc<TemplateSet>>>(sets: I) -> Self {
        let sets = sets.into_iter().map(|set| (Arc::new(set.name.clone()), set)).collect();
        Self { sets, ..Self::default() }
    }
}

/// A template ConfigMap whose present content is not compiled yet. It can't be used until it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compiling {
    /// Since when it waits or is being compiled.
    pub since: Timestamp,
    /// Its compile has taken longer than a template ConfigMap should take.
    pub slow: bool,
}

impl Compiling {
    /// Why it can't be used, and what to do, for people.
    pub fn reason(&self, config_map: &NamespacedName) -> String {
        let what_to_do = if self.slow {
            "; that takes too long, and keeps no other ConfigMap waiting: its author should simplify it (patterns with \
             smaller counted repetitions, fewer holes in one text) or split it, and retinue lint warns where a large part \
             of the work is"
        } else {
            "; try again in a moment"
        };
        let since = self.since.strftime("%Y-%m-%dT%H:%M:%SZ");
        format!("ConfigMap {config_map} is still being compiled, since {since}{what_to_do}")
    }
}

/// One template ConfigMap, compiled.
#[derive(Clone, Debug)]
pub struct TemplateSet {
    /// The ConfigMap.
    pub name: NamespacedName,
    /// Its uid.
    pub uid: String,
    /// Its resourceVersion.
    pub version: String,
    /// SHA-256 of its data and of retinue's annotations on it, hex, first 16 characters.
    pub hash: String,
    /// Which accounts may use it.
    pub masters: Masters,
    /// Cap on lifetime.
    pub duration: Option<Lifetime>,
    /// Live dependents per master workload.
    pub max_dependents: Option<u32>,
    /// `fledged.io/allow`: `pods/exec`, `deployments/scale`; resource and subresource.
    pub allow: BTreeSet<(String, String)>,
    /// `fledged.io/allow-masters`.
    pub allow_masters: bool,
    /// `fledged.io/accept-defaults`: what the cluster adds by itself.
    pub accepted: Accepted,
    /// The templates that can be used.
    pub templates: Templates,
    /// The namespaces in which they may make something.
    pub namespaces: Arc<BTreeSet<String>>,
    /// What the collector must be able to delete of what they make.
    pub needs: Vec<Need>,
    /// What did not compile, and warnings.
    pub problems: Vec<Problem>,
    /// How much memory it takes, with its templates compiled.
    pub weight: Weight,
}

impl TemplateSet {
    /// Reads a ConfigMap. Never fails: what is wrong is among its problems. A bad template is unusable alone; what is
    /// wrong with the ConfigMap as a whole (an annotation, the parameters, a missing label) leaves it without any.
    ///
    /// Whatever the ConfigMap says, this takes about a second of one core at most: what takes more is an error that
    /// names what to simplify, and cannot be used.
    pub fn load(config_map: &Value) -> Self {
        Self::load_within(config_map, &Budget::of(load::MOST_STEPS))
    }

    /// As [`TemplateSet::load`], by steps of `budget`, some five nanoseconds each in a release build.
    pub fn load_within(config_map: &Value, budget: &Budget) -> Self {
        load::load(config_map, budget, &mut |_, _, _| {})
    }

    /// Whether any template of it can be used.
    pub fn usable(&self) -> bool {
        !self.templates.is_empty()
    }

    /// The namespaces in which one of its templates may make something.
    pub fn places(&self, template: &Template) -> BTreeSet<String> {
        match load::named(template) {
            Some(namespace) => [namespace.to_owned()].into(),
            None => self.master_namespaces(),
        }
    }

    /// The namespaces of its masters.
    pub(crate) fn master_namespaces(&self) -> BTreeSet<String> {
        match &self.masters {
            Masters::OwnNamespace => [self.name.namespace.clone()].into(),
            Masters::Named(names) => names.iter().map(|name| name.namespace.clone()).collect(),
        }
    }

    /// Its errors: what keeps templates of it from being used.
    pub fn errors(&self) -> impl Iterator<Item = &Problem> {
        self.problems.iter().filter(|problem| problem.severity == Severity::Error)
    }
}

/// Which accounts a ConfigMap admits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Masters {
    /// No annotation: the masters of its own namespace.
    OwnNamespace,
    /// The accounts named.
    Named(Arc<BTreeSet<NamespacedName>>),
}

impl Masters {
    /// Whether `account` may use a ConfigMap of `namespace`.
    pub fn admit(&self, namespace: &str, account: &NamespacedName) -> bool {
        match self {
            Self::OwnNamespace => account.namespace == namespace,
            Self::Named(names) => names.contains(account),
        }
    }
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The template (or, where no key is named, the whole ConfigMap) cannot be used.
    Error,
    /// It can be used; an admin will regret it.
    Warning,
}

/// A problem of a template ConfigMap, found when it is loaded or linted.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// How bad.
    pub severity: Severity,
    /// The `data` key or the annotation; none for the ConfigMap as a whole.
    pub key: Option<String>,
    /// Line within the key's text, from 1.
    pub line: Option<usize>,
    /// What is wrong and what to do.
    pub message: String,
}

impl Problem {
    pub(crate) fn error(key: Option<&str>, line: Option<usize>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, key: key.map(str::to_owned), line, message: message.into() }
    }

    pub(crate) fn warning(key: Option<&str>, line: Option<usize>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, key: key.map(str::to_owned), line, message: message.into() }
    }

    /// `job.yaml:3: what is wrong`, as much of it as is known.
    pub fn with_place(&self) -> String {
        match (&self.key, self.line) {
            (Some(key), Some(line)) => format!("{key}:{line}: {}", self.message),
            (Some(key), None) => format!("{key}: {}", self.message),
            (None, _) => self.message.clone(),
        }
    }
}
