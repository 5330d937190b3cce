//! What gives occasion to look at kinds and rights again: watches of the objects that make them, metadata alone.
//!
//! Nothing is concluded from these objects but that it is time to look: what is served, discovery says, and what we may,
//! a review says.

use std::time::Duration;

use futures::StreamExt;
use kube::Client;
use kube::core::GroupVersionKind;
use kube::core::discovery::ApiResource;
use kube::runtime::watcher::Event;
use tokio::sync::mpsc;

use super::bare::Bare;
use super::gather::{self, Cause, Interruption};

/// The first pause where the account may not watch, doubled up to [`SLOW`]: an API server that has just started
/// refuses for a moment.
pub(super) const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// How often it is looked where nothing may tell of changes.
pub(super) const SLOW: Duration = Duration::from_secs(600);

/// What such an object stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    Kinds,
    Rights,
}

/// Objects of one kind, whose changes are an occasion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Occasion {
    pub(super) about: About,
    /// Plural, lower case.
    pub(super) resource: &'static str,
    group: &'static str,
    kind: &'static str,
    /// None: cluster-scoped, or in all namespaces.
    namespace: Option<String>,
}

const APIS: &str = "apiregistration.k8s.io";
const EXTENSIONS: &str = "apiextensions.k8s.io";
const RBAC: &str = "rbac.authorization.k8s.io";

impl Occasion {
    /// What may change kinds, or rights everywhere and in these namespaces.
    pub(super) fn all<'a>(namespaces: impl IntoIterator<Item = &'a str>) -> Vec<Self> {
        let everywhere = |about, group, kind, resource| Self { about, resource, group, kind, namespace: None };
        let mut all = vec![
            everywhere(About::Kinds, EXTENSIONS, "CustomResourceDefinition", "customresourcedefinitions"),
            everywhere(About::Kinds, APIS, "APIService", "apiservices"),
            everywhere(About::Rights, RBAC, "ClusterRole", "clusterroles"),
            everywhere(About::Rights, RBAC, "ClusterRoleBinding", "clusterrolebindings"),
        ];
        for namespace in namespaces {
            for (kind, resource) in [("Role", "roles"), ("RoleBinding", "rolebindings")] {
                let namespace = Some(namespace.to_owned());
                all.push(Self { about: About::Rights, resource, group: RBAC, kind, namespace });
            }
        }
        all
    }

    fn api_resource(&self) -> ApiResource {
        let kind = GroupVersionKind::gvk(self.group, "v1", self.kind);
        ApiResource::from_gvk_with_plural(&kind, self.resource)
    }
}

/// What is heard of an occasion.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    /// An object is there, new or changed.
    There(String),
    /// An object is gone, or on its way.
    Gone(String),
    /// All of them have been listed: some may have gone meanwhile.
    Listed,
    /// The watch failed and is tried again.
    Interrupted(String),
    /// The account may not watch them.
    Forbidden(String),
    /// It may not, and it is time to look without being told.
    Time,
}

/// Watches for one occasion until nobody listens.
pub(super) async fn attend(client: Client, occasion: Occasion, out: mpsc::Sender<(Occasion, Said)>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let resource = occasion.api_resource();
        let namespace = occasion.namespace.as_deref();
        let events = match occasion.about {
            About::Kinds => gather::watch_large(client.clone(), namespace, &resource).boxed(),
            About::Rights => gather::watch(client.clone(), namespace, &resource, None).boxed(),
        };
        let mut events = std::pin::pin!(events);
        while let Some(event) = events.next().await {
            let said = match event {
                Ok(Event::Init) => continue,
                Ok(Event::InitApply(object) | Event::Apply(object)) => there(object),
                Ok(Event::Delete(object)) => Said::Gone(object.metadata.name.unwrap_or_default()),
                Ok(Event::InitDone) => {
                    pause = FIRST_PAUSE;
                    Said::Listed
                }
                Err(error) => match Interruption::from(&error) {
                    Interruption { cause: Cause::Forbidden, error } => Said::Forbidden(error),
                    Interruption { error, .. } => Said::Interrupted(error),
                },
            };
            let forbidden = matches!(said, Said::Forbidden(_));
            if out.send((occasion.clone(), said)).await.is_err() {
                return;
            }
            if forbidden {
                break; // To list anew once it may: what changed meanwhile was not told.
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(SLOW);
        if out.send((occasion.clone(), Said::Time)).await.is_err() {
            return;
        }
    }
}

fn there(object: Bare) -> Said {
    let name = object.metadata.name.unwrap_or_default();
    if object.metadata.deletion_timestamp.is_some() { Said::Gone(name) } else { Said::There(name) }
}
