//! What gives occasion to sample again: watches of what may add to objects, metadata alone.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::cluster::revision::{FEW, Revision};
use crate::cluster::watch::{Change, News, Pulse, Watched, follow};

/// What is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occasion {
    /// Something that adds to objects is new, changed or gone.
    Changed,
    /// A watch began anew: the server may be another version.
    Began,
}

/// What may add to an object: group and version, kind, resource.
const KINDS: [(&str, &str, &str); 4] = [
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions"),
    ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations"),
    ("admissionregistration.k8s.io/v1", "MutatingAdmissionPolicy", "mutatingadmissionpolicies"),
    ("admissionregistration.k8s.io/v1", "MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings"),
];
/// How long until it is asked again which of them the server has, where it did not say.
const PAUSE: Duration = Duration::from_secs(5);
/// Changes of one kind that may wait.
const WAITING: usize = 64;

/// Watches, for ever. What the server does not have (a policy that mutates, before 1.36) is not watched; a server of
/// another version is another process, and with it our own watches begin anew, but what is watched stays the same until
/// the controller starts again.
pub(super) async fn attend(client: Client, out: mpsc::Sender<Occasion>) {
    let mut watches = JoinSet::new();
    for (api_version, kind, resource) in KINDS {
        let (client, out) = (client.clone(), out.clone());
        watches.spawn(async move {
            while !served(&client, api_version, resource).await {
                tokio::time::sleep(PAUSE).await;
            }
            let watched = Watched::new(api_version, kind, resource).metadata_only().in_pages_of(FEW);
            let (sender, news) = mpsc::channel(WAITING);
            tokio::join!(follow::<Revision>(client, watched, Arc::new(Pulse::unhurried()), sender), heed(news, out));
        });
    }
    while watches.join_next().await.is_some() {}
    std::future::pending().await
}

/// Whether the server has a resource. Where it has not, this never answers.
async fn served(client: &Client, api_version: &str, resource: &str) -> bool {
    let Ok(request) = http::Request::get(format!("/apis/{api_version}")).body(Vec::new()) else { return false };
    match client.request::<Value>(request).await {
        Ok(list) => {
            let mut names = list["resources"].as_array().into_iter().flatten().map(|resource| &resource["name"]);
            if !names.any(|name| name == resource) {
                tracing::info!(resource, "the server has no such resource: it is not watched");
                std::future::pending::<()>().await;
            }
            true
        }
        Err(error) => {
            tracing::debug!(%error, api_version, "what the server has is not known yet");
            false
        }
    }
}

/// Tells of what changes, by what its author wrote: a status says nothing here.
async fn heed(mut news: mpsc::Receiver<News<Revision>>, out: mpsc::Sender<Occasion>) {
    let mut known: HashMap<String, String> = HashMap::new();
    let mut listed = HashMap::new();
    while let Some(News { change, .. }) = news.recv().await {
        let mut said = Vec::new();
        match change {
            Change::Begin => listed = HashMap::new(),
            Change::Listed(object) => {
                listed.insert(object.name().to_owned(), object.state());
            }
            Change::Complete => {
                said.push(Occasion::Began);
                let list = std::mem::take(&mut listed);
                if known != list {
                    known = list;
                    said.push(Occasion::Changed);
                }
            }
            Change::Applied(object) => {
                let state = object.state();
                if known.insert(object.name().to_owned(), state.clone()) != Some(state) {
                    said.push(Occasion::Changed);
                }
            }
            Change::Removed(object) => {
                known.remove(object.name());
                said.push(Occasion::Changed);
            }
            Change::Alive => {}
        }
        for occasion in said {
            if out.send(occasion).await.is_err() {
                return;
            }
        }
    }
}
