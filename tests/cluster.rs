//! What retinue knows of a cluster, against a real API server with its controllers and a kwok node.
#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]

#[path = "cluster/callers.rs"]
mod callers;
#[path = "cluster/definitions.rs"]
mod definitions;
#[path = "cluster/gathering.rs"]
mod gathering;
#[path = "cluster/snapshots.rs"]
mod snapshots;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use controlplane::ControlPlane;
use policies::request::User;
use retinue::cluster::client::{Connection, Source};
use retinue::cluster::{Cluster, Options, Tasks};
use serde_json::Value;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The control plane of these tests.
fn plane() -> &'static ControlPlane {
    ControlPlane::shared().unwrap()
}

/// A connection as the control plane's admin.
async fn connection() -> Connection {
    connection_to(plane()).await
}

async fn connection_to(plane: &ControlPlane) -> Connection {
    let source = Source::Kubeconfig { path: Some(plane.kubeconfig()), context: None };
    Connection::open(&source).await.unwrap()
}

/// What is known of the cluster, ready, until it is dropped.
async fn started() -> (std::sync::Arc<Cluster>, DropGuard) {
    let shutdown = CancellationToken::new();
    let (cluster, tasks) = Cluster::start(connection().await, Options::default(), shutdown.clone());
    watch_over(tasks);
    until("the cluster is known", || cluster.ready().map_err(|missing| missing.join("; "))).await;
    (cluster, shutdown.drop_guard())
}

fn watch_over(tasks: Tasks) {
    tokio::spawn(async move { tasks.join().await.unwrap() });
}

/// Waits until `condition` holds, and says how long that took. Looks every millisecond at what is in memory.
async fn until<T>(what: &str, mut condition: impl FnMut() -> Result<T, String>) -> (T, Duration) {
    let begun = Instant::now();
    loop {
        match condition() {
            Ok(value) => return (value, begun.elapsed()),
            Err(reason) if begun.elapsed() > Duration::from_secs(30) => panic!("{what}: {reason}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
}

/// The user that the API server makes of a token, extras included: as a webhook is told.
fn user_of(token: &str) -> User {
    user_of_at(plane(), token)
}

fn user_of_at(plane: &ControlPlane, token: &str) -> User {
    let review = serde_json::json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token},
    });
    let (code, body) = plane.request("POST", "/apis/authentication.k8s.io/v1/tokenreviews", Some(&review)).unwrap();
    assert_eq!(code, 201, "{body}");
    let review: Value = serde_json::from_str(&body).unwrap();
    let user = &review["status"]["user"];
    let extra: BTreeMap<String, Vec<String>> =
        user.get("extra").map(|extra| serde_json::from_value(extra.clone()).unwrap()).unwrap_or_default();
    User { username: user["username"].as_str().unwrap_or_default().into(), groups: Vec::new(), extra }
}
