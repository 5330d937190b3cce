//! Watches that drop and are refused; an API server and an etcd that are killed and come back. All under load.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use controlplane::{Fault, Reply};
use serde_json::json;
use story::Master;

use crate::world::{Ending, Load, NAMESPACE, Outcome, World, report, until};

/// Consent is withdrawn and given again, and both are heeded: the watch of templates works.
fn until_followed(world: &World, load: &Load, master: &Master) {
    let path = format!("/api/v1/namespaces/{NAMESPACE}/configmaps/faults");
    for (label, wanted) in [(json!(null), Outcome::Refused), (json!("true"), Outcome::Admitted)] {
        until("an answer to the admin", || {
            let patch = json!({"metadata": {"labels": {"fledged.io/templates": label}}});
            world.admin().merge(&path, &patch).ok().filter(Reply::success)
        });
        until("what follows from it", || Some(load.create(master, "info")).filter(|(outcome, _)| *outcome == wanted));
    }
}

#[test]
fn threat_18_watches_that_break_and_servers_that_are_killed_let_nothing_through() {
    let world = World::new(&[]);
    let load = Load::default();
    let masters: Vec<Master> = ["eod-1", "eod-2"].iter().map(|name| world.master(name)).collect();
    let (asking, driven) = masters.split_first().unwrap();
    asking.until_known(&report("probe", "info")).unwrap();
    let others = world.others();
    let begun = Instant::now();
    let told = |what: &str| {
        let count = |of: &AtomicUsize| of.load(Ordering::SeqCst);
        let [admitted, refused, others] = [&load.admitted, &load.refused, &load.others].map(count);
        println!("{what}: {admitted} admitted, {refused} refused, {others} of others, after {:?}", begun.elapsed());
    };
    std::thread::scope(|scope| {
        let ending = Ending(&load);
        for master in driven {
            scope.spawn(|| load.drive(master));
        }
        scope.spawn(|| load.drive_others(&others));

        world.relay.cut_watches();
        until_followed(&world, &load, asking);
        for fault in
            [Fault::Answer(410), Fault::Answer(429), Fault::Answer(500), Fault::Answer(403), Fault::Garbled, Fault::Cut]
        {
            // Both the watch that is resumed and the list that follows.
            world.relay.inject(&["/configmaps?"], fault);
            world.relay.cut_watches();
            until("the fault is met twice", || {
                load.create(asking, "trace");
                (world.relay.hits(&["/configmaps?"]) > 1).then_some(())
            });
            world.relay.heal();
            until_followed(&world, &load, asking);
        }
        told("watches");

        load.outage.store(true, Ordering::SeqCst);
        let cluster = &world.installation.cluster;
        cluster.start_apiserver().unwrap();
        until_followed(&world, &load, asking);
        told("API server");
        cluster.stop_etcd().unwrap();
        cluster.start_etcd().unwrap();
        until_followed(&world, &load, asking);
        told("etcd");
        drop(ending);
    });
    let stamped = world.judge(&load, &[]);
    println!("{stamped} objects stamped, {} requests of others", load.others.load(Ordering::SeqCst));
    assert!(stamped > 20 && load.others.load(Ordering::SeqCst) > 50);
}
