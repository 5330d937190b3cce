//! Who is a master, who asks for templates, and which templates there are: read once, judged by `policies`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use policies::caller::Wish;
use policies::doctor::grants::Grants;
use policies::doctor::templates::{self, Asking};
use policies::doctor::{Area, Finding, Severity};
use policies::doctor::{collector, guard};
use policies::keys;
use policies::library::TemplateSet;
use policies::object::{Gvk, NamespacedName};
use serde_json::Value;

use super::ask::{Asker, NoAnswer};
use super::memory;
use crate::cluster::client::Served;
use crate::deploy::{CONTROLLER, PROBE, WEBHOOK};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

/// What most masters create.
const USUAL: [(&str, &str, &str); 3] = [("batch", "Job", "jobs"), ("", "Pod", "pods"), ("", "ConfigMap", "configmaps")];

/// What was read of a cluster. What could not be read is told, and what can be said without it is said.
pub(super) struct Cluster {
    grants: Grants,
    accounts: Option<BTreeSet<NamespacedName>>,
    sets: Vec<TemplateSet>,
    asking: Option<Vec<Asking>>,
    resources: HashMap<Gvk, Option<String>>,
    unread: Vec<Finding>,
    namespace: String,
}

/// What was seen of an area, and what is wrong.
pub(super) type Looked = (String, Vec<Finding>);

impl Cluster {
    /// Reads.
    pub(super) async fn look(asker: &Asker, namespace: &str) -> Self {
        let mut unread = Vec::new();
        let mut all = Vec::new();
        for resource in ["clusterroles", "clusterrolebindings", "roles", "rolebindings"] {
            let found = asker.list(&format!("{RBAC}/{resource}"), "").await;
            all.extend(kept(Area::Guard, resource, found, &mut unread).unwrap_or_default());
        }
        let accounts = asker.metadata("/api/v1/serviceaccounts").await;
        let accounts = kept(Area::Guard, "serviceaccounts", accounts, &mut unread);
        let query = format!("&labelSelector={}%3Dtrue", keys::TEMPLATES.replace('/', "%2F"));
        let config_maps = asker.list("/api/v1/configmaps", &query).await;
        let config_maps = kept(Area::Templates, "configmaps", config_maps, &mut unread).unwrap_or_default();
        // There may be very many, of which few ask.
        let asking = asker.picked("/api/v1/pods", |pod| asking(&pod)).await;
        let asking = kept(Area::Templates, "pods", asking, &mut unread);
        let sets: Vec<TemplateSet> = config_maps.iter().map(TemplateSet::load).collect();
        let webhook = asker.get(&format!("/apis/apps/v1/namespaces/{namespace}/deployments/{WEBHOOK}")).await;
        unread.extend(memory::examine(&config_maps, &sets, webhook.ok().flatten().as_ref().map(memory::bound)));
        let mut served = Versions::default();
        let mut resources = HashMap::new();
        for kind in sets.iter().flat_map(|set| set.templates.kinds()) {
            if resources.contains_key(kind) {
                continue;
            }
            match served.resource(asker, kind).await {
                Ok(resource) => drop(resources.insert(kind.clone(), resource)),
                Err(error) => drop(kept::<()>(Area::Templates, "the kinds that are served", Err(error), &mut unread)),
            }
        }
        Self {
            grants: Grants::read(&all),
            accounts: accounts.map(|accounts| accounts.iter().map(name_of).collect()),
            sets,
            asking,
            resources,
            unread,
            namespace: namespace.to_owned(),
        }
    }

    /// Who is a master, and who gets around the guard; and all masters.
    pub(super) async fn guard(&self, asker: &Asker) -> (Looked, BTreeSet<NamespacedName>) {
        let named = templates::named(&self.sets, self.asking.as_deref());
        let facts = guard::Facts {
            grants: &self.grants,
            named: &named,
            accounts: self.accounts.as_ref(),
            namespace: &self.namespace,
            own: &[WEBHOOK, CONTROLLER, PROBE],
        };
        let answers = asker.reviews(facts.questions()).await;
        let masters = facts.masters(&answers);
        let mut findings = facts.examine(&answers);
        findings.extend(self.unread_of(Area::Guard));
        ((counted(masters.len(), "master"), findings), masters)
    }

    /// Kinds with their resources that an account may be able to create: first those of templates in its namespace, then
    /// what most masters create.
    pub(super) fn creatable(&self, account: &NamespacedName) -> Vec<(Gvk, String)> {
        let near = self.sets.iter().filter(|set| set.name.namespace == account.namespace);
        let of_templates = near.flat_map(|set| set.templates.kinds());
        let mut kinds: Vec<(Gvk, String)> = of_templates
            .filter_map(|kind| Some((kind.clone(), self.resources.get(kind)?.clone()?)))
            .chain(USUAL.map(|(group, kind, resource)| (Gvk::new(group, "v1", kind), resource.to_owned())))
            .collect();
        let mut met = BTreeSet::new();
        kinds.retain(|(_, resource)| met.insert(resource.clone()));
        kinds
    }

    /// Which templates nobody can use.
    pub(super) async fn templates(&self, asker: &Asker, masters: &BTreeSet<NamespacedName>) -> Looked {
        let asking = self.asking.as_deref();
        let facts = templates::Facts { sets: &self.sets, masters, asking, resources: &self.resources };
        let answers = asker.reviews(facts.questions()).await;
        let mut findings = facts.examine(&answers);
        findings.extend(answers.unanswered(Area::Templates));
        findings.extend(self.unread_of(Area::Templates));
        let number = self.sets.iter().map(|set| set.templates.kinds().count()).sum();
        let (config_maps, asking) = (counted(self.sets.len(), "ConfigMap"), asking.map_or(0, <[_]>::len));
        (format!("{} in {config_maps}, asked for by {}", counted(number, "template"), counted(asking, "pod")), findings)
    }

    /// What the collector could not delete.
    pub(super) async fn collector(&self, asker: &Asker) -> Looked {
        let account = NamespacedName::new(self.namespace.clone(), CONTROLLER);
        let facts = collector::Facts { sets: &self.sets, resources: &self.resources, account: &account };
        let kinds: BTreeSet<&Gvk> = self.sets.iter().flat_map(|set| &set.needs).map(|need| &*need.kind).collect();
        let answers = asker.reviews(facts.questions()).await;
        let seen = format!("{} of templates may be deleted", counted(kinds.len(), "kind"));
        (seen, facts.examine(&answers))
    }

    fn unread_of(&self, area: Area) -> impl Iterator<Item = Finding> {
        self.unread.iter().filter(move |finding| finding.area == area).cloned()
    }
}

/// `1 master`, `2 masters`.
pub(super) fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// What was read; else it is told that it was not.
fn kept<T>(area: Area, what: &str, found: Result<T, NoAnswer>, unread: &mut Vec<Finding>) -> Option<T> {
    match found {
        Ok(found) => Some(found),
        Err(error) => {
            let message = format!("could not be read: {}", error.message);
            unread.push(Finding::new(Severity::Unknown, area, what, message, "run the doctor as an admin"));
            None
        }
    }
}

fn name_of(object: &Value) -> NamespacedName {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    NamespacedName::new(text(&object["metadata"]["namespace"]), text(&object["metadata"]["name"]))
}

/// A pod that carries one of the annotations, as the webhook reads it. One that has ended asks for nothing.
fn asking(pod: &Value) -> Option<Asking> {
    let annotations: BTreeMap<String, String> = pod["metadata"]["annotations"]
        .as_object()?
        .iter()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect();
    let asks = [keys::ALL_IN_ONE, keys::MANIFESTS].iter().any(|key| annotations.contains_key(*key));
    // A dependent's own instructions are not a wish.
    if !asks || matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed")) {
        return None;
    }
    let name = name_of(pod);
    let account = pod["spec"]["serviceAccountName"].as_str().unwrap_or("default");
    let account = NamespacedName::new(name.namespace.clone(), account);
    let wish = Wish::from_annotations(&annotations, &name.namespace).map_err(|error| error.to_string());
    Some(Asking { pod: name, account, wish })
}

/// What API groups serve, each asked once.
#[derive(Default)]
struct Versions {
    lists: HashMap<String, Option<Value>>,
}

impl Versions {
    /// The resource of a kind; none: it is not served.
    async fn resource(&mut self, asker: &Asker, kind: &Gvk) -> Result<Option<String>, NoAnswer> {
        let version = kind.api_version();
        if !self.lists.contains_key(&version) {
            let root = if kind.group.is_empty() { "api" } else { "apis" };
            let list = asker.get(&format!("/{root}/{version}")).await?;
            self.lists.insert(version.clone(), list);
        }
        let Some(Some(list)) = self.lists.get(&version) else { return Ok(None) };
        Ok(Served::of(list, &kind.kind).map(|served| served.resource))
    }
}
