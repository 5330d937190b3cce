//! What gives occasion to ask again: watches of the objects that make rights and kinds, metadata alone. Nothing is
//! concluded from them but that it is time to ask.

use std::sync::Arc;

use futures::future::join_all;
use kube::Client;
use tokio::sync::mpsc;

use crate::cluster::reviews::{self, Deed, User};
use crate::cluster::revision::Revision;
use crate::cluster::watch::{Change, News, Pulse, Watched, follow};

/// What is watched: group, kind, resource; each of version v1. Roles of namespaces are not: there may be very many, and
/// who collects everywhere has its rights by none of them.
const KINDS: [(&str, &str, &str); 3] = [
    ("rbac.authorization.k8s.io", "ClusterRole", "clusterroles"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding", "clusterrolebindings"),
    ("apiextensions.k8s.io", "CustomResourceDefinition", "customresourcedefinitions"),
];
/// Changes of one kind that may wait.
const WAITING: usize = 64;

/// Watches, for ever, and says so when something changed.
pub(super) async fn attend(client: Client, out: mpsc::Sender<()>) {
    join_all(KINDS.map(|(group, kind, resource)| {
        let (client, out) = (client.clone(), out.clone());
        async move {
            if !may_watch(&client, group, resource).await {
                return;
            }
            let watched = Watched::new(&format!("{group}/v1"), kind, resource).metadata_only().changes_only();
            let (sender, news) = mpsc::channel(WAITING);
            tokio::join!(follow::<Revision>(client, watched, Arc::new(Pulse::unhurried()), sender), heed(news, out));
        }
    }))
    .await;
    std::future::pending().await
}

/// Whether we may watch these: an account that was installed by an older version may not, and is told.
async fn may_watch(client: &Client, group: &str, resource: &str) -> bool {
    let Ok(ourselves) = User::ourselves(client).await else { return true };
    for verb in ["list", "watch"] {
        let deed = Deed { group, resource, verb, namespace: None };
        if reviews::review(client, &ourselves, &deed).await.is_ok_and(|status| status["allowed"] == false) {
            tracing::warn!(
                resource,
                "this account may not watch what tells of the collector's rights, so it may take a minute until they are \
                 noticed; apply retinue's RBAC for the webhook (retinue install)"
            );
            return false;
        }
    }
    true
}

async fn heed(mut news: mpsc::Receiver<News<Revision>>, out: mpsc::Sender<()>) {
    while let Some(News { change, .. }) = news.recv().await {
        // Something may have changed while nobody watched.
        if matches!(change, Change::Complete | Change::Applied(_) | Change::Removed(_)) {
            // Where one waits already, it will do for this too.
            let _waiting = out.try_send(());
        }
    }
}
