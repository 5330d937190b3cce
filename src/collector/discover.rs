//! The kinds that this account may list, watch and delete: discovery first, then one SelfSubjectAccessReview per verb.
//!
//! Asked at the start and again from time to time, since rights and custom resources come and go.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::core::discovery::{ApiResource, Scope};
use kube::discovery::Discovery;
use kube::{Api, Client};
use policies::object::Gvk;

/// A kind as discovery names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kind {
    /// Group, version, kind.
    pub gvk: Gvk,
    /// Plural, lower case.
    pub resource: String,
}

impl Kind {
    fn new(resource: &ApiResource) -> Self {
        Self { gvk: Gvk::new(&resource.group, &resource.version, &resource.kind), resource: resource.plural.clone() }
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
        Self { gvk: Gvk::new(group, version, kind), resource: format!("{}s", kind.to_lowercase()) }
    }
}

/// What the account may and may not.
#[derive(Clone, Debug, Default)]
pub struct Rights {
    /// Kinds to follow.
    pub may: Vec<Arc<Kind>>,
    /// Kinds that it may list but not watch or delete: `jobs.batch: no right to delete`.
    pub lacks: BTreeSet<String>,
}

/// Kinds that no template ever admits ([`policies::tables::forbidden`] has the reasons), or that are made by the thousand
/// and never launched: following them would only cost.
const NEVER: [(&str, &str); 3] = [("", "events"), ("events.k8s.io", "events"), ("metrics.k8s.io", "pods")];

/// The verbs that collecting needs.
const VERBS: [&str; 3] = ["list", "watch", "delete"];

/// Reviews in flight: enough to be done in a blink, few enough for nobody to notice.
const AT_ONCE: usize = 8;

/// Finds the kinds to follow, in one namespace or (none) in all.
///
/// # Errors
/// When discovery or a review fails; nothing is assumed from a part.
pub async fn rights(client: &Client, namespace: Option<&str>) -> Result<Rights, kube::Error> {
    let discovery = match Discovery::new(client.clone()).run_aggregated().await {
        Ok(discovery) => discovery,
        // Servers before 1.30 may have aggregated discovery turned off.
        Err(_) => Discovery::new(client.clone()).run().await?,
    };
    let kinds: Vec<Arc<Kind>> = discovery
        .groups()
        .flat_map(|group| group.recommended_resources())
        .filter(|(resource, capabilities)| {
            capabilities.scope == Scope::Namespaced
                && VERBS.iter().all(|verb| capabilities.supports_operation(verb))
                && !NEVER.contains(&(resource.group.as_str(), resource.plural.as_str()))
        })
        .map(|(resource, _)| Arc::new(Kind::new(&resource)))
        .collect();
    let reviewed: Vec<(Arc<Kind>, Vec<&str>)> = stream::iter(kinds)
        .map(|kind| async move {
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
    let mut rights = Rights::default();
    for (kind, missing) in reviewed {
        if missing.is_empty() {
            rights.may.push(kind);
        } else if missing.len() < VERBS.len() {
            rights.lacks.insert(format!("{}: no right to {}", kind.name(), missing.join(", ")));
        }
    }
    rights.may.sort_by_key(|kind| kind.name());
    Ok(rights)
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
