//! Who is a master and who gets around the guard: `launch` granted to groups, lost, or hidden behind a wildcard; rights
//! of masters that admission never sees; and who may switch the guard off, which no policy can forbid (threats 14 and 48).

use std::collections::{BTreeMap, BTreeSet};

use crate::keys;
use crate::object::NamespacedName;

use super::grants::{Grant, Grants, Subject, Wanted};
use super::{Answers, Area, Finding, Question, Severity, Standing};

/// Writing an object in any way.
const WRITE: [&str; 5] = ["create", "update", "patch", "delete", "deletecollection"];
/// What the guard is made of, shown to no webhook and (policies) to no policy either: whoever writes one can switch it off.
pub const GUARDS: [&str; 6] = [
    "mutatingadmissionpolicies",
    "mutatingadmissionpolicybindings",
    "mutatingwebhookconfigurations",
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
    "validatingwebhookconfigurations",
];
/// Their API group.
pub const ADMISSION: &str = "admissionregistration.k8s.io";

/// A right that acts without admission: what it does is never judged.
struct Around {
    verbs: &'static [&'static str],
    group: &'static str,
    resource: &'static str,
    /// Whether a RoleBinding grants it; else it is of the cluster.
    namespaced: bool,
    harm: &'static str,
}

const AROUND: [Around; 5] = [
    Around {
        verbs: &["impersonate"],
        group: "",
        resource: "serviceaccounts",
        namespaced: true,
        harm: "acts as another account, which retinue does not judge",
    },
    Around {
        verbs: &["impersonate"],
        group: "",
        resource: "users",
        namespaced: false,
        harm: "acts as a user, whom retinue does not judge",
    },
    Around {
        verbs: &["impersonate"],
        group: "",
        resource: "groups",
        namespaced: false,
        harm: "acts as anybody, whom retinue does not judge",
    },
    Around {
        verbs: &["get", "create"],
        group: "",
        resource: "nodes/proxy",
        namespaced: false,
        harm: "runs commands in any pod through the kubelet, past admission",
    },
    Around {
        verbs: &["approve"],
        group: "certificates.k8s.io",
        resource: "signers",
        namespaced: false,
        harm: "makes certificates for other users",
    },
];

/// What is looked at.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// What RBAC grants.
    pub grants: &'a Grants,
    /// Accounts that templates name, or whose pods ask for templates: each with what names it.
    pub named: &'a BTreeMap<NamespacedName, String>,
    /// Accounts that exist; none: not known.
    pub accounts: Option<&'a BTreeSet<NamespacedName>>,
    /// retinue's own namespace.
    pub namespace: &'a str,
    /// retinue's own accounts.
    pub own: &'a [&'a str],
}

const LAUNCH: Wanted<'_> =
    Wanted { verbs: &[keys::LAUNCH], group: keys::GROUP, resource: "dependents", any_name: false };

impl Facts<'_> {
    /// The accounts that may be masters: those that `launch` is granted to by name, and those that are named.
    pub fn candidates(&self) -> BTreeSet<NamespacedName> {
        let granted = self.grants.of(&LAUNCH);
        let granted = granted.iter().filter(|grant| grant.by_name).filter_map(|grant| match grant.subject {
            Subject::Account(account) if grant.namespace.is_none_or(|namespace| namespace == account.namespace) => {
                Some(account.clone())
            }
            _ => None,
        });
        granted.chain(self.named.keys().cloned()).filter(|account| !self.is_own(account)).collect()
    }

    /// What to ask the API server.
    pub fn questions(&self) -> Vec<Question> {
        self.candidates().iter().flat_map(Standing::questions).collect()
    }

    fn is_own(&self, account: &NamespacedName) -> bool {
        account.namespace == self.namespace && self.own.contains(&account.name.as_str())
    }

    /// What is wrong.
    pub fn examine(&self, answers: &Answers) -> Vec<Finding> {
        let masters = self.masters(answers);
        let mut findings = self.launches();
        findings.extend(self.standings(answers));
        findings.extend(self.around(&masters));
        findings.extend(self.guards(&masters));
        findings.extend(self.writers(&masters));
        findings
    }

    /// Grants of `launch` that make more masters than was meant, or none.
    fn launches(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for grant in self.grants.of(&LAUNCH).iter().filter(|grant| grant.by_name) {
            let Grant { subject, binding, role, namespace, .. } = grant;
            let about = (*binding).to_owned();
            let told =
                |severity, message: String, fix: String| Finding::new(severity, Area::Guard, about, message, fix);
            match subject {
                Subject::Group(group) => {
                    let place = match (subject.holds_accounts(), namespace) {
                        (None, _) => None,
                        (Some(Some(of)), Some(namespace)) if of != *namespace => None,
                        (Some(Some(of)), _) => Some(format!("every account of namespace {of}")),
                        (Some(None), Some(namespace)) => Some(format!("every account of namespace {namespace}")),
                        (Some(None), None) => Some("every account of the cluster".into()),
                    };
                    findings.push(match place {
                        Some(place) => told(
                            Severity::Problem,
                            format!("{role} grants launch to Group {group}: {place} is a master, and can create nothing without a template"),
                            "bind ServiceAccounts by name".into(),
                        ),
                        None => told(
                            Severity::Warning,
                            format!("{role} grants launch to Group {group}, in which no ServiceAccount is: it makes no master"),
                            "bind the master's ServiceAccount".into(),
                        ),
                    });
                }
                Subject::User(user) => findings.push(told(
                    Severity::Warning,
                    format!("{role} grants launch to User {user}: only ServiceAccounts are masters"),
                    "bind the master's ServiceAccount".into(),
                )),
                Subject::Account(account) => findings.extend(self.launch_of(account, grant)),
            }
        }
        findings
    }

    fn launch_of(&self, account: &NamespacedName, grant: &Grant<'_>) -> Option<Finding> {
        let told = |severity, message: String, fix: String| {
            Some(Finding::new(severity, Area::Guard, grant.binding, message, fix))
        };
        let role = grant.role;
        if self.is_own(account) {
            return told(
                Severity::Warning,
                format!("{role} grants launch to {account}, which is retinue's own account: it is never judged"),
                "delete the binding".into(),
            );
        }
        if account.namespace == "kube-system" {
            return told(
                Severity::Problem,
                format!(
                    "{role} grants launch to {account}: accounts of kube-system are never judged, so it creates as RBAC says"
                ),
                "run the master in a namespace of its own".into(),
            );
        }
        if let Some(namespace) = grant.namespace.filter(|namespace| *namespace != account.namespace) {
            return told(
                Severity::Warning,
                format!(
                    "{role} grants launch to {account} in {namespace}, where it counts for nothing: what counts is the account's own namespace"
                ),
                format!("bind it in {}", account.namespace),
            );
        }
        let gone = self.accounts.is_some_and(|accounts| !accounts.contains(account));
        if gone {
            return told(
                Severity::Warning,
                format!(
                    "{role} grants launch to {account}, which does not exist: whoever makes an account of that name makes a master"
                ),
                "delete the binding, or create the account".into(),
            );
        }
        None
    }

    /// Accounts that templates count on and that are no masters.
    fn standings(&self, answers: &Answers) -> Vec<Finding> {
        let mut findings = answers.unanswered(Area::Guard);
        for account in self.candidates() {
            let by = self.named.get(&account);
            let about = format!("ServiceAccount {account}");
            let why = by.map_or_else(String::new, |by| format!(" ({by})"));
            match Standing::of(&account, answers) {
                Standing::Master | Standing::Unknown => {}
                Standing::Wildcard => findings.push(Finding::new(
                    Severity::Problem,
                    Area::Guard,
                    about,
                    format!("holds a wildcard over dependents.fledged.io, which keeps it out of the guard: it creates whatever RBAC allows, unjudged and unstamped{why}"),
                    format!("take the wildcard (often cluster-admin or verbs: [\"*\"]) from it, and apply: retinue rbac --manifests FILE --master {account}"),
                )),
                Standing::Ordinary if by.is_some() => {
                    let gone = self.accounts.is_some_and(|accounts| !accounts.contains(&account));
                    let message = if gone {
                        format!("does not exist{why}")
                    } else {
                        format!("may not launch, so it is no master: what RBAC lets it create is not judged{why}")
                    };
                    let severity = if gone { Severity::Warning } else { Severity::Problem };
                    findings.push(Finding::new(
                        severity,
                        Area::Guard,
                        about,
                        message,
                        format!("retinue rbac --manifests FILE --master {account} | kubectl apply -f -"),
                    ));
                }
                // Granted by RBAC, and yet not: the binding is being deleted, or another authorizer says no.
                Standing::Ordinary => {}
            }
        }
        findings
    }

    /// The accounts that are masters.
    pub fn masters(&self, answers: &Answers) -> BTreeSet<NamespacedName> {
        let mut candidates = self.candidates();
        candidates.retain(|account| Standing::of(account, answers) == Standing::Master);
        candidates
    }

    /// Masters whose other rights act without admission.
    fn around(&self, masters: &BTreeSet<NamespacedName>) -> Vec<Finding> {
        let mut findings = Vec::new();
        for Around { verbs, group, resource, namespaced, harm } in AROUND {
            let wanted = Wanted { verbs, group, resource, any_name: true };
            for grant in self.grants.of(&wanted).into_iter().filter(|grant| namespaced || grant.namespace.is_none()) {
                let told = |who: String| {
                    Finding::new(
                        Severity::Problem,
                        Area::Guard,
                        who,
                        format!("may {} {resource} by {}, and so {harm}", verbs.join(" or "), grant.binding),
                        format!("bind what retinue rbac prints instead of {}", grant.role),
                    )
                };
                match grant.subject {
                    Subject::Account(account) if masters.contains(account) => {
                        findings.push(told(format!("master {account}")));
                    }
                    subject => {
                        let holds = subject.holds_accounts();
                        let among =
                            |of: Option<&str>| masters.iter().any(|master| of.is_none_or(|of| master.namespace == of));
                        if holds.is_some_and(among) {
                            findings.push(told(format!("masters, as every account in {subject},")));
                        }
                    }
                }
            }
        }
        findings
    }

    /// Who may switch the guard off: nobody but RBAC keeps them from it.
    fn guards(&self, masters: &BTreeSet<NamespacedName>) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut others: BTreeMap<&Subject, (BTreeSet<&str>, &str)> = BTreeMap::new();
        for resource in GUARDS {
            let wanted = Wanted { verbs: &WRITE, group: ADMISSION, resource, any_name: true };
            for grant in self.grants.of(&wanted).into_iter().filter(|grant| grant.namespace.is_none()) {
                let entry = others.entry(grant.subject).or_insert((BTreeSet::new(), grant.binding));
                entry.0.insert(resource);
            }
        }
        let mut people = Vec::new();
        for (subject, (resources, binding)) in others {
            let what = if resources.len() == GUARDS.len() {
                "webhook configurations and admission policies".to_owned()
            } else {
                resources.into_iter().collect::<Vec<_>>().join(", ")
            };
            let told = |severity, message: String| {
                let fix = format!("take that from it: {binding}");
                Finding::new(severity, Area::Guard, subject.to_string(), message, fix)
            };
            match subject {
                Subject::Account(account) if masters.contains(account) => {
                    findings.push(told(
                        Severity::Problem,
                        format!("is a master and may write {what}: it can switch retinue off"),
                    ));
                }
                Subject::Group(_) if subject.holds_accounts().is_some() => {
                    findings.push(told(
                        Severity::Problem,
                        format!("may write {what}: every account in it can switch retinue off"),
                    ));
                }
                Subject::Account(account) if account.namespace == "kube-system" || self.is_own(account) => {}
                subject if subject.to_string().contains(" system:kube-") => {}
                subject => people.push(format!("{subject} ({what})")),
            }
        }
        if !people.is_empty() {
            findings.push(Finding::new(
                Severity::Note,
                Area::Guard,
                "whoever may switch retinue off",
                format!("{}; nothing but RBAC keeps them from it", people.join(", ")),
                "",
            ));
        }
        findings
    }

    /// Who writes templates and stamps beside admins.
    fn writers(&self, masters: &BTreeSet<NamespacedName>) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (verb, resource, can) in [
            ("author", "templates", "write templates"),
            ("stamp", "dependents", "write stamps, and so have objects deleted"),
        ] {
            let wanted = Wanted { verbs: &[verb], group: keys::GROUP, resource, any_name: false };
            for grant in self.grants.of(&wanted) {
                let told = |severity, who: &str| {
                    Finding::new(
                        severity,
                        Area::Guard,
                        grant.binding,
                        format!("{} lets {}{who} {can}", grant.role, grant.subject),
                        "bind only those who are meant to",
                    )
                };
                match grant.subject {
                    Subject::Group(_) if grant.subject.holds_accounts().is_some() => {
                        findings.push(told(Severity::Problem, ", in which every account is,"));
                    }
                    Subject::Account(account) if masters.contains(account) => {
                        findings.push(told(Severity::Warning, ", a master,"));
                    }
                    _ => {}
                }
            }
        }
        findings
    }
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
