//! Template ConfigMaps of one author that take more memory than there is: the author's trouble, and nobody else's.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use controlplane::Options;
use serde_json::{Value, json};
use story::{Installation, manifests};

use crate::house::{Cases, Way, binary, object, send, until, with};
use crate::slow::author;

/// ConfigMaps of the author, and the alternatives of each: one takes some 13 MB in use, and 20 MB while it is compiled.
const CONFIG_MAPS: usize = 20;
const ALTERNATIVES: usize = 2_000;
/// What is kept of all, and the most that a server may have, debug build and all: 470 MB were seen without a bound.
const KEPT: &str = "32Mi";
const MOST: u64 = 160 << 20;
/// From the start of the process until it is ready.
const SLOWEST_START: Duration = Duration::from_secs(30);

/// For measurements by hand: other figures than these.
fn figure(name: &str, usual: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// A valid ConfigMap of a hole that may be one of very many things, none of which another ConfigMap has too.
fn large(namespace: &str, number: usize, alternatives: usize) -> Value {
    let mut schemas = String::new();
    for alternative in 0..alternatives {
        let name = format!("{{type: string, pattern: 'N{number}x{alternative}_[a-z]{{0,20}}'}}");
        write!(schemas, "{{type: object, properties: {{name: {name}, value: {{type: string}}}}}}, ").unwrap();
    }
    let manifest = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  restartPolicy: Never\n  containers:\n  - name: main\n    \
                    image: registry.example/a:1\n    env:\n    - ${v}\n";
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": format!("large-{number:03}"), "namespace": namespace, "labels": {"fledged.io/templates": "true"}},
        "data": {"parameters": format!("v: {{oneOf: [{schemas}]}}"), "pod.yaml": manifest},
    })
}

#[test]
fn threat_54_config_maps_of_one_author_beyond_all_memory_stop_nobody_not_even_a_restart() {
    let (count, alternatives) = (figure("CONFIG_MAPS", CONFIG_MAPS), figure("ALTERNATIVES", ALTERNATIVES));
    let kept = std::env::var("KEPT").unwrap_or_else(|_| KEPT.into());
    let flags = ["--template-memory", &kept];
    let flags = if kept.is_empty() { &[][..] } else { &flags[..] };
    let installation = Installation::installed(Options::api_only().start().unwrap(), binary(), &[]).unwrap();
    let admin = installation.cluster.asker();
    // Nobody lints what is applied, as when retinue is down.
    let lint = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/retinue-templates";
    assert!(admin.delete(lint, None).unwrap().success());
    installation.start_webhook_with(flags).unwrap();
    installation.start_controller().unwrap();
    installation.cluster.namespace_named("trading").unwrap();
    installation.cluster.apply(&manifests::post_trade("trading")).unwrap();
    let trading = installation.bare("trading", "post-trade").unwrap();
    trading.until_known(&object(&manifests::report("probe", "10m"))).unwrap();
    let names: Vec<String> = (0..count).map(|number| format!("large-{number:03}")).collect();
    let mut authors = installation.bare("authors", &names.join(",")).unwrap();
    authors.api = authors.api.patient(Duration::ZERO);
    let author = author(&installation, "authors");
    let mut cases = Cases::default();
    let measure = |when: &str| {
        let memory = installation.memory().unwrap();
        println!(
            "{when}: [webhook, controller], each (resident, most ever): {:?}",
            memory.map(|it| it.map(|(a, b)| (a >> 20, b >> 20)))
        );
        memory.map(Option::unwrap)
    };
    measure("at the start");

    let path = "/api/v1/namespaces/authors/configmaps";
    for number in 0..count {
        let config_map = large("authors", number, alternatives);
        // Until the rights are known to the API server.
        until("it is applied", || Some(author.post(path, &config_map).unwrap()).filter(controlplane::Reply::success));
    }
    measure("applied");
    let not_kept = || installation.metric("retinue_template_configmaps_not_kept", "").unwrap();
    // All that there are, the other master's one among them.
    let settled = |when: &str| {
        let begun = Instant::now();
        until(when, || {
            let compiled = installation.metric("retinue_template_configmaps ", "").unwrap();
            (compiled + not_kept() == (count + 1) as f64).then_some(())
        });
        println!("{when} after {:?}; {} are not kept", begun.elapsed(), not_kept());
    };
    let others_go_on = |cases: &mut Cases, when: &str| {
        let good = object(&manifests::report("others", "10m"));
        cases.admitted(&format!("another master, {when}"), &send(&trading, Way::Post, &good, "?dryRun=All"));
        let reply = send(&trading, Way::Post, &with(&good, "/data/level", json!("trace")), "?dryRun=All");
        cases.refused(&format!("another master's mistake, {when}"), &reply, &["data.level"]);
    };
    others_go_on(&mut cases, "while they are compiled");
    settled("all are compiled, or not kept");
    others_go_on(&mut cases, "once they are compiled");
    measure("compiled");
    let given_way = not_kept();
    cases.holds("what is not kept", given_way > 0.0 || count < 10, given_way);
    // Its own master has what is kept compiled, by one review after the other.
    let made = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"restartPolicy": "Never", "containers": [{
            "name": "main", "image": "registry.example/a:1", "env": [{"name": "none", "value": "x"}],
        }]},
    });
    for _ in 0..count.min(40) {
        let reply = send(&authors, Way::Post, &made, "?dryRun=All");
        cases.holds("its own master", !reply.success(), reply.code);
    }
    let [(_, webhook), (_, controller)] = measure("in use");
    cases.holds("the webhook's memory in use", webhook < MOST, webhook >> 20);
    cases.holds("the controller's memory", controller < MOST, controller >> 20);

    installation.stop_webhook();
    installation.stop_controller();
    let begun = Instant::now();
    installation.start_webhook_with(flags).unwrap();
    let took = begun.elapsed();
    println!("ready after {took:?}");
    cases.holds("the restart", took < SLOWEST_START, format!("{took:?}"));
    others_go_on(&mut cases, "after a restart");
    installation.start_controller().unwrap();
    settled("all are compiled, or not kept, after a restart");
    let [(_, webhook), (_, controller)] = measure("restarted");
    cases.holds("the webhook's memory after a restart", webhook < MOST, webhook >> 20);
    cases.holds("the controller's memory after a restart", controller < MOST, controller >> 20);
    cases.holds("the same are not kept", not_kept() == given_way, format!("{} and {given_way}", not_kept()));

    // Its youngest one is among these; with the older ones gone, there is room.
    let youngest = format!("large-{:03}", count - 1);
    let alone = installation.bare("authors-too", &format!("authors/{youngest}")).unwrap();
    let reply = send(&alone, Way::Post, &made, "?dryRun=All");
    let words = ["is not kept in memory", "namespace authors", "--template-memory"];
    cases.refused("a master of the youngest", &reply, &words);
    for name in &names[..count - 1] {
        assert!(author.delete(&format!("{path}/{name}"), None).unwrap().success());
    }
    until("there is room for it", || {
        let reply = send(&alone, Way::Post, &made, "?dryRun=All");
        reply.message().contains("does not admit the account").then_some(())
    });
    cases.holds("what is not kept at the end", not_kept() == 0.0, not_kept());
    cases.finish();
}
