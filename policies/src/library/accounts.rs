//! The accounts of a template's pods: none is a master's, unless the ConfigMap says that it may be.

use std::collections::HashSet;

use super::Masters;
use super::annotations::Settings;
use crate::keys;
use crate::object::NamespacedName;
use crate::template::{Element, Given, Hole, Pattern, Placement, Template};
use crate::text::Part;

/// The accounts that are masters, by name.
pub(super) struct Accounts<'s> {
    settings: &'s Settings,
    names: HashSet<&'s str>,
}

impl<'s> Accounts<'s> {
    pub(super) fn of(settings: &'s Settings) -> Self {
        let names = match &settings.masters {
            Masters::Named(names) => names.iter().map(|master| master.name.as_str()).collect(),
            Masters::OwnNamespace => HashSet::new(),
        };
        Self { settings, names }
    }

    /// Whether pods of this account are a master's; none for a namespace that is any master's own.
    fn is_master(&self, namespace: Option<&str>, account: &str) -> bool {
        match (&self.settings.masters, namespace) {
            (Masters::OwnNamespace, _) => false,
            (Masters::Named(_), None) => self.names.contains(account),
            (Masters::Named(names), Some(namespace)) => {
                self.names.contains(account) && names.contains(&NamespacedName::new(namespace, account))
            }
        }
    }

    /// Why a template would let a master start a pod under a master's account; none where it would not, or may.
    pub(super) fn runs_as_master(&self, template: &Template, namespace: &str) -> Option<String> {
        if self.settings.allow_masters {
            return None;
        }
        let lives_in = match &template.placement {
            Placement::MasterNamespace => None,
            Placement::Named(pattern) => Some(pattern.as_str().unwrap_or(namespace)),
        };
        let mut accounts = Vec::new();
        pod_accounts(&template.pattern, &mut accounts);
        accounts.into_iter().find_map(|account| {
            let name = match account {
                Some(Pattern::Literal(value)) => value.as_str().filter(|name| self.is_master(lives_in, name))?.to_owned(),
                Some(Pattern::Text(text)) if *text.parts == [Part::Hole(Hole::Given(Given::MasterName))] => {
                    "${master.name}".into()
                }
                None => Some("default").filter(|name| self.is_master(lives_in, name))?.to_owned(),
                Some(_) => return None,
            };
            Some(format!(
                "its pods run under the master's own account ({name}), so they would be masters themselves: name another \
                 serviceAccountName, or say {}: \"true\"",
                keys::ALLOW_MASTERS
            ))
        })
    }
}

/// What each pod spec in a manifest says of its account.
fn pod_accounts<'p>(pattern: &'p Pattern, found: &mut Vec<Option<&'p Pattern>>) {
    match pattern {
        Pattern::Map(entries) => {
            if pattern.get("containers").is_some() {
                found.push(pattern.get("serviceAccountName").or_else(|| pattern.get("serviceAccount")));
            }
            entries.iter().for_each(|(_, value)| pod_accounts(value, found));
        }
        Pattern::List(elements) => {
            for element in elements.iter() {
                if let Element::One(pattern) = element {
                    pod_accounts(pattern, found);
                }
            }
        }
        _ => {}
    }
}
