//! The annotations of a template ConfigMap.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{Masters, Problem};
use crate::accept::Accepted;
use crate::budget::Budget;
use crate::keys;
use crate::lifetime::{self, Lifetime};
use crate::object::{NamespacedName, is_name};
use crate::shared::Pool;

/// Subresources that no ConfigMap can allow: they change what was admitted, or hand out identities.
const NEVER_ALLOWED: [&str; 4] = ["status", "binding", "ephemeralcontainers", "token"];

/// Steps for a byte of an annotation: most of it names, which are sorted.
const STEPS_PER_BYTE: u64 = 16;

/// What the annotations say.
pub(super) struct Settings {
    pub(super) masters: Masters,
    pub(super) duration: Option<Lifetime>,
    pub(super) max_dependents: Option<u32>,
    pub(super) allow: BTreeSet<(String, String)>,
    pub(super) allow_masters: bool,
    pub(super) accepted: Accepted,
}

/// Reads them; every problem is told.
pub(super) fn read(
    annotations: &Map<String, Value>,
    namespace: &str,
    budget: &Budget,
    problems: &mut Vec<Problem>,
) -> Settings {
    let mut settings = Settings {
        masters: Masters::OwnNamespace,
        duration: None,
        max_dependents: None,
        allow: BTreeSet::new(),
        allow_masters: false,
        accepted: Accepted::default(),
    };
    for (key, value) in annotations {
        if !key.starts_with(keys::PREFIX) && key != keys::ALL_IN_ONE {
            continue;
        }
        let Some(text) = value.as_str() else {
            problems.push(Problem::error(Some(key), None, "an annotation is text: quote the value"));
            continue;
        };
        if budget.spend(text.len() as u64 * STEPS_PER_BYTE).is_err() {
            let message =
                "the annotations are more than is read of one ConfigMap: shorten them, or split the ConfigMap";
            problems.push(Problem::error(Some(key), None, message));
            break;
        }
        let read = match key.as_str() {
            keys::MASTERS if namespace.is_empty() && text.split(',').any(is_bare) => {
                problems.push(Problem::error(None, None, no_namespace(text)));
                Ok(())
            }
            keys::MASTERS => masters(text, namespace).map(|masters| settings.masters = masters),
            keys::DURATION => lifetime::seconds(text)
                .map(|seconds| settings.duration = Some(Lifetime::Seconds(seconds)))
                .map_err(|error| error.to_string()),
            keys::MAX_DEPENDENTS => match text.trim().parse() {
                Ok(number @ 1..) => {
                    settings.max_dependents = Some(number);
                    Ok(())
                }
                _ => Err(format!("{text:?} is no number of dependents: write 1 or more, in digits")),
            },
            keys::ALLOW => allow(text).map(|allow| settings.allow = allow),
            keys::ALLOW_MASTERS => match text {
                "true" | "false" => {
                    settings.allow_masters = text == "true";
                    Ok(())
                }
                _ => Err(format!("{text:?}: write \"true\", or remove it")),
            },
            keys::ACCEPT => Accepted::read_within(text, budget).map(|reading| {
                problems.extend(reading.warnings.into_iter().map(|text| Problem::warning(Some(key), None, text)));
                settings.accepted = reading.accepted;
            }),
            _ => {
                let message = format!(
                    "{key} means nothing on a template ConfigMap: expected {}, {}, {}, {}, {} or {}",
                    keys::MASTERS,
                    keys::DURATION,
                    keys::MAX_DEPENDENTS,
                    keys::ALLOW,
                    keys::ALLOW_MASTERS,
                    keys::ACCEPT
                );
                problems.push(Problem::warning(Some(key), None, message));
                Ok(())
            }
        };
        if let Err(message) = read {
            problems.push(Problem::error(Some(key), None, message));
        }
    }
    settings
}

/// Whether an entry names an account of the ConfigMap's own namespace.
fn is_bare(entry: &str) -> bool {
    let entry = entry.trim();
    !entry.is_empty() && !entry.contains('/')
}

fn no_namespace(masters: &str) -> String {
    let bare = masters.split(',').find(|entry| is_bare(entry)).unwrap_or_default().trim();
    let bare: String = bare.chars().take(64).collect();
    format!(
        "metadata.namespace is missing, so nothing says of which namespace the master {bare} is: write it, lint with -n \
         NAMESPACE, or name the master as ns/{bare} in {}",
        keys::MASTERS
    )
}

/// The sets of masters that there are: the ConfigMaps of a namespace have the same, mostly.
static MASTERS: Pool<BTreeSet<NamespacedName>> = Pool::new();

fn masters(text: &str, namespace: &str) -> Result<Masters, String> {
    let names: BTreeSet<_> = namespaced_names(text, namespace, "a ServiceAccount")?.into_iter().collect();
    if names.is_empty() {
        return Err(
            "names no account: write ServiceAccounts (name or ns/name, comma-separated), or remove it for the \
                    masters of this namespace"
                .into(),
        );
    }
    Ok(Masters::Named(MASTERS.share(names)))
}

/// `name` or `ns/name`, comma-separated.
pub(crate) fn namespaced_names(text: &str, namespace: &str, what: &str) -> Result<Vec<NamespacedName>, String> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (namespace, name) = part.split_once('/').unwrap_or((namespace, part));
            if is_name(namespace) && is_name(name) {
                Ok(NamespacedName::new(namespace, name))
            } else {
                Err(format!("{part:?} does not name {what}: write name or ns/name, comma-separated"))
            }
        })
        .collect()
}

fn allow(text: &str) -> Result<BTreeSet<(String, String)>, String> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| {
            let word = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase());
            match part.split_once('/') {
                Some((_, subresource)) if NEVER_ALLOWED.contains(&subresource) => Err(format!(
                    "{part} can never be allowed: status, binding, ephemeralcontainers and token get around admission"
                )),
                Some((resource, subresource)) if word(resource) && word(subresource) => {
                    Ok((resource.to_owned(), subresource.to_owned()))
                }
                _ => Err(format!("{part:?} is no subresource: write pods/exec, deployments/scale, comma-separated")),
            }
        })
        .collect()
}
