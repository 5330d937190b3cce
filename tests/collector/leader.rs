//! One of several collectors deletes: the one that holds the Lease, which is claimed when something is due.

use std::time::Duration;

use controlplane::Fault;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::PostParams;
use retinue::cluster::client::Connection;
use retinue::collector::reap::Outcome;
use retinue::collector::{self, Config, Election, Metrics, leader};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Room, becomes, connection_with, counted, plane};

/// Long enough for a renewal to come in time where compilers run beside the tests.
pub(super) const LASTS: Duration = Duration::from_secs(60);

impl Room {
    pub(super) fn election(&self, identity: &str, duration: Duration) -> Election {
        Election { namespace: self.namespace.clone(), identity: identity.into(), duration }
    }

    /// A collector in this room that takes part in the election, and follows every kind already.
    pub(super) async fn elect(&self, connection: Connection, election: Election) -> (Metrics, CancellationToken) {
        let (metrics, shutdown) = (Metrics::default(), self.shutdown.child_token());
        let config = Config { namespace: Some(self.namespace.clone()), election: Some(election), ..Config::default() };
        let Connection { client, clock } = connection;
        let collecting = collector::run(client, clock, config, metrics.clone(), shutdown.clone());
        tokio::spawn(async move { collecting.await.unwrap() });
        let following = tokio::time::timeout(Duration::from_secs(60), metrics.following.notified());
        following.await.expect("every kind is followed");
        (metrics, shutdown)
    }

    fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.connection.client.clone(), &self.namespace)
    }

    async fn holder(&self) -> Option<String> {
        self.leases().get_opt(leader::NAME).await.unwrap()?.spec?.holder_identity
    }

    /// The Lease as another collector would have written it just now.
    async fn held_by_another(&self, renewed: Timestamp, seconds: u32) -> Lease {
        let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": leader::NAME},
            "spec": {"holderIdentity": "another", "leaseDurationSeconds": seconds,
                     "renewTime": renewed.strftime("%Y-%m-%dT%H:%M:%S.000000Z").to_string()}});
        self.leases().create(&PostParams::default(), &serde_json::from_value(lease).unwrap()).await.unwrap()
    }
}

/// DELETEs sent, whatever came of them.
fn sent(metrics: &Metrics) -> u64 {
    let none = String::new;
    let outcomes = [
        Outcome::Deleted,
        Outcome::AlreadyGone,
        Outcome::Changed,
        Outcome::Throttled(Duration::ZERO),
        Outcome::Forbidden(none()),
        Outcome::Refused(none()),
        Outcome::Failed(none()),
    ];
    outcomes.iter().map(|outcome| counted(metrics, outcome)).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_three_collectors_one_deletes_and_when_it_ends_another_does_at_once() {
    const MANY: u64 = 20;
    let room = Room::new().await;
    let mut collectors = Vec::new();
    for name in ["one", "two", "three"] {
        let (metrics, shutdown) = room.elect(room.connection.clone(), room.election(name, LASTS)).await;
        collectors.push((name, metrics, shutdown));
    }
    assert_eq!(room.holder().await, None, "nothing was due, so nobody asked for the Lease");
    let deadline = room.deadline(2);
    let mut objects = Vec::new();
    for number in 0..MANY {
        objects.push(room.config_map(&format!("result-{number}"), deadline).await);
    }
    for object in &objects {
        room.gone(object).await;
    }
    let leading = room.holder().await.unwrap();
    let at = collectors.iter().position(|(name, ..)| *name == leading).unwrap();
    let (_, metrics, shutdown) = collectors.remove(at);
    becomes(MANY, || counted(&metrics, &Outcome::Deleted)).await;
    assert_eq!(metrics.leader.get(), 1);
    for (name, metrics, _) in &collectors {
        assert_eq!((sent(metrics), metrics.leader.get()), (0, 0), "{name} has waited");
    }
    shutdown.cancel();
    let begun = std::time::Instant::now();
    let next = room.config_map("next", room.now()).await;
    room.gone(&next).await;
    assert!(begun.elapsed() < LASTS / 2, "the Lease was given back");
    becomes(1, || collectors.iter().map(|(_, metrics, _)| sent(metrics)).sum::<u64>()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_waits_until_the_lease_of_one_that_is_gone_is_stale() {
    let room = Room::new().await;
    let (metrics, _) = room.elect(room.connection.clone(), room.election("one", LASTS)).await;
    let held = room.now();
    room.held_by_another(held, 4).await;
    // Heard of for sure, once the other has deleted what it could.
    let object = room.config_map("due", room.deadline(1)).await;
    let gone = room.gone(&object).await;
    assert!(gone.duration_since(held) >= SignedDuration::from_secs(3), "{:?}", gone.duration_since(held));
    becomes(1, || counted(&metrics, &Outcome::Deleted)).await;
    assert_eq!(room.holder().await.as_deref(), Some("one"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_was_stale_when_a_collector_started_holds_nothing_up() {
    let room = Room::new().await;
    room.held_by_another(room.now() - SignedDuration::from_secs(600), 300).await;
    let object = room.config_map("due", room.now()).await;
    room.elect(room.connection.clone(), room.election("one", LASTS)).await;
    room.gone(&object).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_cannot_be_written_for_a_while_loses_nothing() {
    let room = Room::new().await;
    let relay = plane().relay().unwrap();
    let token = room.admin_token();
    let connection = connection_with(plane().kubeconfig_through(&relay, &token).unwrap()).await;
    let (metrics, _) = room.elect(connection, room.election("one", LASTS)).await;
    let path = format!("POST /apis/coordination.k8s.io/v1/namespaces/{}/leases", room.namespace);
    relay.inject(&[&path], Fault::Answer(500));
    let object = room.config_map("due", room.now()).await;
    becomes(true, || relay.hits(&[&path]) > 1).await;
    assert_eq!(sent(&metrics), 0);
    relay.heal();
    room.gone(&object).await;
    becomes(1, || sent(&metrics)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_to_the_lease_every_collector_deletes() {
    let room = Room::new().await;
    // The Lease would be in a namespace where the account may nothing.
    let elsewhere = plane().namespace().unwrap();
    plane()
        .apply(&format!(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: some, namespace: {namespace}}}\nrules:\n\
             - {{apiGroups: [''], resources: [configmaps], verbs: [list, watch, delete]}}\n---\n\
             apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{name: some, namespace: {namespace}}}\n\
             roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: some}}\n\
             subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: User, name: leaseless}}]\n",
            namespace = room.namespace
        ))
        .unwrap();
    let connection = connection_with(plane().kubeconfig_of_user("leaseless", None).unwrap()).await;
    let election = Election { namespace: elsewhere, identity: "one".into(), duration: LASTS };
    let (metrics, _) = room.elect(connection, election).await;
    let object = room.config_map("due", room.now()).await;
    room.gone(&object).await;
    becomes((1, 1), || (counted(&metrics, &Outcome::Deleted), metrics.leader.get())).await;
}
