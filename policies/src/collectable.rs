//! Whether the collector could delete what templates make: which rights to ask for, and what follows from the answers.
//!
//! A dependent ends at its deadline, when it has finished, or with its master, and to see to that may be the collector's
//! part. A template whose dependents it could not delete is refused when it is applied, and so is a create by one that
//! got in anyway: that a right is missing is never found out when something is to be deleted.
//!
//! Only what is known to be missing refuses. What could not be found out is a warning.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::budget::{Budget, Exhausted};
use crate::library::{self, Problem, TemplateSet};
use crate::lifetime::Lifetime;
use crate::object::Gvk;
use crate::template::{Pattern, Template};

/// Label `"true"` of ClusterRoles whose rules the collector gets.
pub const LABEL: &str = "rbac.fledged.io/collector";
/// The ClusterRole with the rule for Secrets. It is installed without that label, since who lists Secrets reads them.
pub const SECRETS_ROLE: &str = "retinue-collector-secrets";
/// What the collector does with the objects of a kind that it follows.
pub const VERBS: [&str; 3] = ["list", "watch", "delete"];

/// How many other templates or namespaces a message names; the rest is counted.
const NAMED: usize = 5;

/// A kind that templates make and the collector may have to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// The kind.
    pub kind: Arc<Gvk>,
    /// Where they make it.
    pub namespaces: Arc<BTreeSet<String>>,
    /// The templates: key (`job.yaml#2`), and line of the manifest within the key's text. Never empty.
    pub templates: Vec<(String, usize)>,
}

/// What the collector must be able to delete, so that each of these templates of a ConfigMap can be used; in order of
/// kind.
///
/// # Errors
/// When kinds and namespaces are more together than the budget has steps.
pub(crate) fn needs(set: &TemplateSet, templates: &[Template], budget: &Budget) -> Result<Vec<Need>, Exhausted> {
    let mut found: BTreeMap<&Arc<Gvk>, OfKind> = BTreeMap::new();
    for template in templates.iter().filter(|template| concerns(template)) {
        let of_kind = found.entry(&template.kind).or_default();
        match library::named(template) {
            Some(namespace) => of_kind.named.extend([namespace.to_owned()]),
            None => of_kind.of_masters = true,
        }
        of_kind.templates.push((template.key.clone(), template.line));
    }
    let masters = set.master_namespaces();
    let shared = library::alike(masters.clone());
    let mut needs = Vec::with_capacity(found.len());
    for (kind, OfKind { mut named, of_masters, templates }) in found {
        let namespaces = if of_masters && named.is_subset(&masters) {
            Arc::clone(&shared)
        } else {
            if of_masters {
                budget.spend(masters.len() as u64 * STEPS_PER_NAMESPACE)?;
                named.extend(masters.iter().cloned());
            }
            library::alike(named)
        };
        needs.push(Need { kind: Arc::clone(kind), namespaces, templates: templates.into_boxed_slice().into() });
    }
    Ok(needs)
}

/// Steps for a namespace that is kept for a kind.
const STEPS_PER_NAMESPACE: u64 = 40;

/// What the templates of one kind say of it.
#[derive(Default)]
struct OfKind {
    /// The namespaces that they name.
    named: BTreeSet<String>,
    /// Whether one makes it where its master is.
    of_masters: bool,
    templates: Vec<(String, usize)>,
}

/// Whether what this template makes may be the collector's to delete.
///
/// Not where the admin wrote `fledged.io/duration: none`: nobody ends that, since it has neither deadline nor owner.
/// Everything else may get a deadline, of the ConfigMap or of the pod that uses it, whoever its owner is.
pub fn concerns(template: &Template) -> bool {
    let endless = template.duration.as_ref().and_then(Pattern::lifetime) == Some(Lifetime::Unlimited);
    followed(&template.kind) && !(endless && template.keep_finished.is_none())
}

/// Whether the collector follows a kind once it may. Events go by themselves, and are never followed.
pub fn followed(kind: &Gvk) -> bool {
    !(matches!(kind.group.as_str(), "" | "events.k8s.io") && kind.kind == "Event")
}

/// What is known of the collector's rights. Of what is not in it nothing was asked, and nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// The collector's account, as the API server calls it.
    pub account: String,
    /// By kind.
    pub kinds: BTreeMap<Gvk, Known>,
}

/// What is known of the rights to one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// What is missing.
    Missing {
        /// Plural, lower case.
        resource: String,
        /// Verbs by namespace, for each at least one; without any the collector may do all it needs.
        verbs: BTreeMap<String, Vec<&'static str>>,
    },
    /// The API server serves no such kind, or not so that it could be followed: the reason.
    Unserved(String),
    /// It could not be found out: the reason.
    Unknown(String),
}

impl Rights {
    /// Nothing could be found out about these.
    pub fn unknown(needs: &[Need], reason: &str) -> Self {
        let kinds = needs.iter().map(|need| (Gvk::clone(&need.kind), Known::Unknown(reason.to_owned())));
        Self { account: String::new(), kinds: kinds.collect() }
    }

    /// What the collector is known to lack for objects of `kind` in these namespaces; none where it lacks nothing, and
    /// where nobody knows.
    pub fn lack<'a>(&'a self, kind: &'a Gvk, namespaces: impl IntoIterator<Item = &'a str>) -> Option<Lack<'a>> {
        let Known::Missing { resource, verbs } = self.kinds.get(kind)? else { return None };
        let missing: BTreeMap<&str, &[&str]> =
            namespaces.into_iter().filter_map(|name| Some((name, verbs.get(name)?.as_slice()))).collect();
        let lack = Lack { account: &self.account, group: &kind.group, resource, missing };
        (!lack.missing.is_empty()).then_some(lack)
    }
}

/// Rights that the collector is known to lack. Shown, it says which, and what to apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack<'a> {
    account: &'a str,
    group: &'a str,
    resource: &'a str,
    /// Never empty.
    missing: BTreeMap<&'a str, &'a [&'static str]>,
}

impl Lack<'_> {
    /// `jobs.batch`.
    fn name(&self) -> String {
        if self.group.is_empty() { self.resource.into() } else { format!("{}.{}", self.resource, self.group) }
    }

    /// The ClusterRole that gives all of it, as YAML, indented to stand in a message.
    fn role(&self) -> String {
        let (name, group, resource) = (self.name(), self.group, self.resource);
        let verbs = VERBS.join(", ");
        format!(
            "    apiVersion: rbac.authorization.k8s.io/v1\n    kind: ClusterRole\n    metadata: {{name: retinue-collector-{name}, labels: {{{LABEL}: \"true\"}}}}\n    rules: [{{apiGroups: [\"{group}\"], resources: [\"{resource}\"], verbs: [{verbs}]}}]"
        )
    }
}

impl fmt::Display for Lack<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verbs: BTreeSet<&str> = self.missing.values().copied().flatten().copied().collect();
        let verbs: Vec<&str> = VERBS.into_iter().filter(|verb| verbs.contains(verb)).collect();
        let namespaces = named(self.missing.keys().map(ToString::to_string));
        let plural = if self.missing.len() == 1 { "" } else { "s" };
        write!(
            f,
            "the collector ({}) has no right to {} {} in namespace{plural} {namespaces}, so it could not delete what has \
             come to its end",
            self.account,
            verbs.join(", "),
            self.name(),
        )?;
        if self.group.is_empty() && self.resource == "secrets" {
            write!(
                f,
                ". If it may read every Secret, which is what listing them is: kubectl label clusterrole {SECRETS_ROLE} \
                 {LABEL}=true, which comes to"
            )?;
        } else {
            f.write_str("; give it that by")?;
        }
        write!(f, "\n{}", self.role())
    }
}

/// The first of several, and how many more there are.
fn named(all: impl Iterator<Item = String>) -> String {
    let all: Vec<String> = all.collect();
    let first = all.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if all.len() > NAMED { format!("{first} and {} more", all.len() - NAMED) } else { first }
}

/// What is wrong with a ConfigMap that needs this, going by what is known: an error for each kind of which the collector
/// is known to lack a right, a warning for each of which that could not be found out.
pub fn problems(needs: &[Need], rights: &Rights) -> Vec<Problem> {
    needs.iter().filter_map(|need| problem(need, rights)).collect()
}

fn problem(need: &Need, rights: &Rights) -> Option<Problem> {
    let ((key, line), others) = need.templates.split_first()?;
    // The data key: later documents of it have a number.
    let key = key.split_once('#').map_or(key.as_str(), |(key, _)| key);
    let kind = &need.kind;
    match rights.kinds.get(&**kind)? {
        Known::Missing { .. } => {
            let lack = rights.lack(kind, need.namespaces.iter().map(String::as_str))?;
            let others = others.iter().map(|(key, _)| key.clone());
            let also = if others.len() == 0 { String::new() } else { format!(" (and of {})", named(others)) };
            Some(Problem::error(Some(key), Some(*line), format!("what is made of this{also} is a {kind}, and {lack}")))
        }
        Known::Unserved(reason) => Some(Problem::warning(
            Some(key),
            Some(*line),
            format!("{reason}; whether the collector may delete a {kind} can be told only once it is served"),
        )),
        Known::Unknown(reason) => Some(Problem::warning(
            Some(key),
            Some(*line),
            format!("could not find out whether the collector may delete a {kind} ({reason})"),
        )),
    }
}

#[cfg(test)]
#[path = "collectable_tests.rs"]
mod tests;
