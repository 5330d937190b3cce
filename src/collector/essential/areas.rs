//! Where pods with essential containers are followed, and whether this account may.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};

/// A namespace, or (none) all of them.
pub type Area = Option<String>;

/// What the admin wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// Wherever dependents are collected.
    #[default]
    Anywhere,
    /// In these namespaces.
    In(BTreeSet<String>),
    /// Nowhere.
    Nowhere,
}

impl Wanted {
    /// The areas to follow, where dependents are collected in `namespace` or (none) everywhere.
    fn areas(&self, namespace: Option<&str>) -> BTreeSet<Area> {
        match self {
            Self::Anywhere => BTreeSet::from([namespace.map(str::to_owned)]),
            Self::In(namespaces) => namespaces.iter().cloned().map(Some).collect(),
            Self::Nowhere => BTreeSet::new(),
        }
    }
}

/// What it takes: verb, resource, subresource.
const RIGHTS: [(&str, &str); 4] = [("list", ""), ("watch", ""), ("delete", ""), ("patch", "status")];

/// For people: `pods/status`.
fn resource(subresource: &str) -> String {
    if subresource.is_empty() { "pods".into() } else { format!("pods/{subresource}") }
}

/// The rights that are missing in each area.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    areas: BTreeMap<Area, Vec<String>>,
    /// Whether the admin named the areas: an account that has no right at all there is told of too.
    named: bool,
}

impl Missing {
    /// Before anything is known: nothing is allowed.
    pub(in crate::collector) fn everything(wanted: &Wanted, namespace: Option<&str>) -> Self {
        let all: Vec<String> = RIGHTS.iter().map(|(verb, of)| format!("{verb} {}", resource(of))).collect();
        let areas = wanted.areas(namespace).into_iter().map(|area| (area, all.clone())).collect();
        Self { areas, named: matches!(wanted, Wanted::In(_)) }
    }

    /// The namespaces that are named.
    pub(in crate::collector) fn namespaces(&self) -> impl Iterator<Item = &str> {
        self.areas.keys().filter_map(|area| area.as_deref())
    }

    /// Asks again, in the same areas.
    ///
    /// # Errors
    /// When a review fails; nothing is assumed from a part.
    pub(in crate::collector) async fn again(&self, client: &Client) -> Result<Self, kube::Error> {
        let areas = stream::iter(self.areas.keys().cloned());
        let areas = areas.then(|area| async move {
            let mut missing = Vec::new();
            for (verb, of) in RIGHTS {
                if !allowed(client, &area, verb, of).await? {
                    missing.push(format!("{verb} {}", resource(of)));
                }
            }
            Ok::<_, kube::Error>((area, missing))
        });
        Ok(Self { areas: areas.try_collect().await?, named: self.named })
    }

    /// Where nothing is missing.
    pub(in crate::collector) fn may(&self) -> BTreeSet<Area> {
        self.areas.iter().filter(|(_, missing)| missing.is_empty()).map(|(area, _)| area.clone()).collect()
    }

    /// For people, where something is.
    pub(in crate::collector) fn lacks(&self) -> BTreeSet<String> {
        // Who was granted nothing was not meant to do this, as with kinds that may not even be listed.
        let meant = |missing: &[String]| self.named || missing.len() < RIGHTS.len();
        let lacking = self.areas.iter().filter(|(_, missing)| !missing.is_empty() && meant(missing));
        lacking.map(|(area, missing)| format!("{}: no right to {}", place(area), missing.join(", "))).collect()
    }
}

/// For people: `namespace a`.
pub(super) fn place(area: &Area) -> String {
    area.as_ref().map_or_else(|| "all namespaces".into(), |namespace| format!("namespace {namespace}"))
}

async fn allowed(client: &Client, area: &Area, verb: &str, subresource: &str) -> Result<bool, kube::Error> {
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                resource: Some("pods".into()),
                subresource: (!subresource.is_empty()).then(|| subresource.to_owned()),
                verb: Some(verb.to_owned()),
                namespace: area.clone(),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let answer = Api::all(client.clone()).create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}
