//! The kinds that this account may list, watch and delete: discovery first, then one SelfSubjectAccessReview per verb.
//!
//! Asked at the start, and again where something says that it may have changed ([`super::lookout`]).

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::core::discovery::{ApiResource, Scope};
use kube::discovery::Discovery;
use kube::{Api, Client};
use policies::collectable::VERBS;
use policies::object::Gvk;
use policies::tables::forbidden;

use super::essential::{self, Missing};

/// A kind as discovery names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kind {
    /// Group, version, kind.
    pub gvk: Gvk,
    /// Plural, lower case.
    pub resource: String,
    /// Which of its objects are meant: each is watched, listed and forgotten by itself.
    pub objects: Objects,
}

/// Which objects of a kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Objects {
    /// Those that carry a stamp.
    #[default]
    Dependents,
    /// Those that carry another collector's key, in one namespace or (none) wherever is collected: in a label alone, or
    /// in an annotation too, by which nothing can be selected.
    Foreign {
        /// The one namespace.
        namespace: Option<String>,
        /// Whether annotations are read.
        annotated: bool,
    },
}

impl Kind {
    fn new(resource: &ApiResource) -> Self {
        let gvk = Gvk::new(&resource.group, &resource.version, &resource.kind);
        Self { gvk, resource: resource.plural.clone(), objects: Objects::default() }
    }

    /// Other objects of the same kind.
    #[must_use]
    pub fn of(&self, objects: Objects) -> Self {
        Self { objects, ..self.clone() }
    }

    /// For kube.
    pub fn api_resource(&self) -> ApiResource {
        ApiResource {
            group: self.gvk.group.clone(),
            version: self.gvk.version.clone(),
            api_version: self.gvk.api_version(),
            kind: self.gvk.kind.clone(),
            plural: self.resource.clone(),
        }
    }

    /// `jobs.batch`, for people.
    pub fn name(&self) -> String {
        if self.gvk.group.is_empty() { self.resource.clone() } else { format!("{}.{}", self.resource, self.gvk.group) }
    }

    #[cfg(test)]
    pub(crate) fn for_tests(group: &str, version: &str, kind: &str) -> Self {
        Self {
            gvk: Gvk::new(group, version, kind),
            resource: format!("{}s", kind.to_lowercase()),
            objects: Objects::default(),
        }
    }
}

/// What the account may and may not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// Kinds to follow.
    pub may: Vec<Arc<Kind>>,
    /// Kinds that it may list but not watch or delete: `jobs.batch: no right to delete`.
    pub lacks: BTreeSet<String>,
    /// What it lacks for essential containers.
    pub essential: Missing,
}

/// Kinds that are made by the thousand and never launched: following them would only cost. Those that no template ever
/// admits ([`forbidden`]) are left out too: there are no dependents of them.
const NEVER: [(&str, &str); 3] = [("", "events"), ("events.k8s.io", "events"), ("metrics.k8s.io", "pods")];

/// Reviews in flight: enough to be done in a blink, few enough for nobody to notice.
const AT_ONCE: usize = 8;

/// Whose rights are reviewed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Review {
    /// Those on every kind.
    All,
    /// Those on these kinds, and on kinds that are new.
    Only(HashSet<Arc<Kind>>),
}

impl Review {
    /// Nobody's but those on kinds that are new.
    pub fn none() -> Self {
        Self::Only(HashSet::new())
    }

    fn covers(&self, kind: &Arc<Kind>) -> bool {
        match self {
            Self::All => true,
            Self::Only(kinds) => kinds.contains(kind),
        }
    }
}

/// What was found when it was last looked.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// What discovery shows: resources as `jobs.batch`, versions as `v1.batch`, the names that
    /// CustomResourceDefinitions and APIServices have for them.
    shown: HashSet<String>,
    /// Kinds that can be collected, each with the verbs that are missing for it.
    kinds: HashMap<Arc<Kind>, Vec<&'static str>>,
    /// What is missing for essential containers.
    essential: Missing,
}

impl Found {
    /// Before it was looked, which is done for this too.
    pub(super) fn nothing(essential: Missing) -> Self {
        Self { essential, ..Self::default() }
    }

    /// Whether discovery shows what a CustomResourceDefinition or an APIService of this name stands for.
    pub fn shows(&self, name: &str) -> bool {
        self.shown.contains(name)
    }

    /// The verbs that are missing for a kind by its name, `jobs.batch`; none: there is no such kind to collect.
    pub fn missing(&self, name: &str) -> Option<&[&'static str]> {
        let (_, missing) = self.kinds.iter().find(|(kind, _)| kind.name() == name)?;
        Some(missing)
    }

    /// What follows from it.
    pub fn rights(&self) -> Rights {
        let mut rights = Rights { essential: self.essential.clone(), ..Rights::default() };
        for (kind, missing) in &self.kinds {
            if missing.is_empty() {
                rights.may.push(Arc::clone(kind));
            } else if missing.len() < VERBS.len() {
                rights.lacks.insert(format!("{}: no right to {}", kind.name(), missing.join(", ")));
            }
        }
        rights.may.sort_by_key(|kind| (kind.name(), kind.gvk.version.clone()));
        rights
    }

    /// Discovery again: kinds that are new have no review yet.
    async fn served(client: &Client) -> Result<(HashSet<String>, Vec<Arc<Kind>>), kube::Error> {
        let discovery = match Discovery::new(client.clone()).run_aggregated().await {
            Ok(discovery) => discovery,
            // Servers before 1.30 may have aggregated discovery turned off.
            Err(_) => Discovery::new(client.clone()).run().await?,
        };
        let mut shown = HashSet::new();
        for group in discovery.groups() {
            for version in group.versions() {
                shown.insert(format!("{version}.{}", group.name()));
                let resources = group.versioned_resources(version);
                shown.extend(resources.into_iter().map(|(resource, _)| Kind::new(&resource).name()));
            }
        }
        let kinds = discovery.groups().flat_map(|group| group.recommended_resources());
        let kinds = kinds.filter(|(resource, capabilities)| {
            capabilities.scope == Scope::Namespaced
                && VERBS.iter().all(|verb| capabilities.supports_operation(verb))
                && !NEVER.contains(&(resource.group.as_str(), resource.plural.as_str()))
        });
        let kinds = kinds.map(|(resource, _)| Arc::new(Kind::new(&resource)));
        Ok((shown, kinds.filter(|kind| forbidden(&kind.gvk).is_none()).collect()))
    }
}

/// Looks again, in one namespace or (none) in all: at the kinds that are served where `kinds` says so, and at rights as
/// `review` says. The rest is as it was found before.
///
/// # Errors
/// When discovery or a review fails; nothing is assumed from a part.
pub async fn look(
    client: &Client,
    namespace: Option<&str>,
    before: &Found,
    kinds: bool,
    review: &Review,
) -> Result<Found, kube::Error> {
    let (shown, served) = if kinds {
        Found::served(client).await?
    } else {
        (before.shown.clone(), before.kinds.keys().cloned().collect())
    };
    let kinds = stream::iter(served)
        .map(|kind| async move {
            if let Some(missing) = before.kinds.get(&kind).filter(|_| !review.covers(&kind)) {
                return Ok((kind, missing.clone()));
            }
            let mut missing = Vec::new();
            for verb in VERBS {
                if !allowed(client, &kind, verb, namespace).await? {
                    missing.push(verb);
                }
            }
            Ok::<_, kube::Error>((kind, missing))
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    let essential = if review.covers(&essential::kind()) {
        before.essential.again(client).await?
    } else {
        before.essential.clone()
    };
    Ok(Found { shown, kinds, essential })
}

/// Finds the kinds to follow, in one namespace or (none) in all.
///
/// # Errors
/// As [`look`].
pub async fn rights(client: &Client, namespace: Option<&str>) -> Result<Rights, kube::Error> {
    Ok(look(client, namespace, &Found::default(), true, &Review::All).await?.rights())
}

async fn allowed(client: &Client, kind: &Kind, verb: &str, namespace: Option<&str>) -> Result<bool, kube::Error> {
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                group: Some(kind.gvk.group.clone()),
                resource: Some(kind.resource.clone()),
                verb: Some(verb.to_owned()),
                namespace: namespace.map(str::to_owned),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let answer = Api::all(client.clone()).create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}
