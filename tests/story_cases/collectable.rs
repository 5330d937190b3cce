//! Templates whose dependents the collector could not delete: refused when they are applied, and when somebody uses one
//! that got in anyway, until the right that the message prints is given. Never because nobody could be asked.

use std::time::{Duration, Instant};

use controlplane::{Fault, Options, Relay, Reply};
use serde_json::{Value, json};
use story::Installation;

use crate::house::{binary, until};

const NAMESPACE: &str = "trading";
const CONFIG_MAPS: &str = "/api/v1/namespaces/trading/configmaps";
/// Known by a watch: far below the minute after which it is asked again without one.
const PROMPTLY: Duration = Duration::from_secs(30);
/// The reviews of the collector's rights, on their way to the API server.
const REVIEWS: [&str; 2] = ["/subjectaccessreviews ", "retinue-controller"];

const SECRET: &str = "{apiVersion: v1, kind: Secret, metadata: {name: db}}";
const LABEL: [&str; 4] = ["label", "clusterrole", "retinue-collector-secrets", "rbac.fledged.io/collector=true"];
const UNLABEL: [&str; 4] = ["label", "clusterrole", "retinue-collector-secrets", "rbac.fledged.io/collector-"];

/// An installation without webhook, but with the controller that gives labelled roles to the collector.
fn installation() -> (Installation, Relay) {
    let cluster = Options::api_only().controllers(true).start().unwrap();
    let installation = Installation::installed(cluster, binary(), &[]).unwrap();
    installation.cluster.namespace_named(NAMESPACE).unwrap();
    // The controller has heard of its roles.
    let rights = "/apis/rbac.authorization.k8s.io/v1/clusterroles/retinue-collector-more";
    until("the aggregated role", || {
        let role = installation.cluster.asker().get(rights).unwrap();
        role.success().then_some(())
    });
    let relay = installation.cluster.relay().unwrap();
    (installation, relay)
}

fn templates(name: &str, manifest: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": {"it.yaml": manifest},
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"fledged.io/templates": "true"},
                     "annotations": {"fledged.io/masters": "eod", "fledged.io/duration": "1h"}},
    })
}

fn offer(installation: &Installation, name: &str, manifest: &str) -> Reply {
    installation.cluster.asker().post(CONFIG_MAPS, &templates(name, manifest)).unwrap()
}

/// The message of a refusal with these words.
fn refused(reply: &Reply, words: &[&str]) -> String {
    let message = reply.message();
    assert!(!reply.success(), "{}", reply.body);
    for word in words {
        assert!(message.contains(word), "{word:?} is not in: {message}");
    }
    message
}

/// The manifest that stands in a message.
fn printed(message: &str) -> String {
    let lines: Vec<&str> = message.lines().skip_while(|line| !line.contains("apiVersion: rbac")).take(4).collect();
    assert_eq!(lines.len(), 4, "{message}");
    lines.join("\n")
}

#[test]
fn a_template_is_refused_until_the_printed_role_is_applied() {
    let (installation, _relay) = installation();
    installation.start_webhook().unwrap();
    let gadget = "{apiVersion: collected.example/v1, kind: Gadget, metadata: {name: g}, spec: {size: 1}}";
    // Its kind comes later.
    let early = templates("before-its-kind", gadget).to_string();
    let cluster = &installation.cluster;
    let early = cluster.kubectl_with(&cluster.kubeconfig(), &["create", "-f", "-"], &early).unwrap();
    assert!(early.success() && early.stderr.contains("serves no collected.example/v1 Gadget"), "{}", early.stderr);

    let any = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let schema = json!({"openAPIV3Schema": {"type": "object", "properties": {"spec": any}}});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "gadgets.collected.example"},
        "spec": {"group": "collected.example", "scope": "Namespaced", "names": {"kind": "Gadget", "plural": "gadgets"},
                 "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}]},
    });
    cluster.apply(&definition.to_string()).unwrap();
    // Admitted with a warning until discovery shows the kind.
    let mut sent = 0;
    let reply = until("the refusal", || {
        sent += 1;
        Some(offer(&installation, &format!("gadgets-{sent}"), gadget)).filter(|reply| !reply.success())
    });
    let message = refused(
        &reply,
        &[
            "lint.retinue.fledged.io",
            "it.yaml, line 1: ",
            "system:serviceaccount:retinue:retinue-controller",
            "no right to list, watch, delete gadgets.collected.example in namespace trading",
            "labels: {rbac.fledged.io/collector: \"true\"}",
            "rules: [{apiGroups: [\"collected.example\"], resources: [\"gadgets\"], verbs: [list, watch, delete]}]",
        ],
    );
    cluster.apply(&printed(&message)).unwrap();
    until("the right", || Some(offer(&installation, "gadgets", gadget)).filter(Reply::success));
}

#[test]
fn a_template_of_secrets_is_refused_until_the_role_for_them_is_labelled() {
    let (installation, relay) = installation();
    installation.start_webhook_through(&relay).unwrap();
    let label = format!("kubectl {}", LABEL.join(" "));
    refused(&offer(&installation, "secrets", SECRET), &[&label, "no right to list, watch, delete secrets"]);
    // Its own namespace is another's: where it would be made is what counts.
    let elsewhere = SECRET.replace("name: db", "name: db, namespace: default");
    refused(&offer(&installation, "elsewhere", &elsewhere), &["secrets in namespace default,"]);

    // Nobody ends it, or the collector may.
    let endless =
        SECRET.replace("name: db", "name: db, annotations: {fledged.io/duration: none, fledged.io/owner: workload}");
    let note = "{apiVersion: v1, kind: ConfigMap, metadata: {name: note}}";
    for (name, manifest) in [("endless", endless.as_str()), ("note", note)] {
        let reply = offer(&installation, name, manifest);
        assert!(reply.success(), "{name}: {}", reply.message());
    }

    // Nobody can be asked: admitted, with a warning.
    let cluster = &installation.cluster;
    for (number, fault) in [
        Fault::Answer(500),
        Fault::Answer(403),
        Fault::Answer(429),
        Fault::Hang,
        Fault::Cut,
        Fault::Garbled,
        Fault::Late(Duration::from_secs(4)),
    ]
    .into_iter()
    .enumerate()
    {
        relay.inject(&REVIEWS, fault);
        let text = templates(&format!("unasked-{number}"), SECRET).to_string();
        let applied = cluster.kubectl_with(&cluster.kubeconfig(), &["create", "-f", "-"], &text).unwrap();
        assert!(applied.success(), "{fault:?}: {}", applied.stderr);
        for words in ["Warning: it.yaml, line 1: ", "could not find out whether the collector may delete a v1 Secret"] {
            assert!(applied.stderr.contains(words), "{fault:?}: {words:?} is not in: {}", applied.stderr);
        }
        assert!(relay.hits(&REVIEWS) > 0, "{fault:?} was not met");
        relay.heal();
    }

    refused(&offer(&installation, "secrets", SECRET), &["no right to"]);
    cluster.kubectl(&LABEL).unwrap().ok().unwrap();
    until("the right", || Some(offer(&installation, "secrets", SECRET)).filter(Reply::success));
}

#[test]
fn a_template_that_got_in_anyway_is_refused_to_masters_while_the_right_is_missing() {
    let (installation, relay) = installation();
    let cluster = &installation.cluster;
    // No webhook is there to refuse it.
    let made = offer(&installation, "secrets", SECRET);
    assert!(made.success(), "{}", made.message());
    let master = installation.bare(NAMESPACE, "secrets").unwrap();
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}});
    let create = || master.api.post(&master.core("secrets?dryRun=All"), &secret).unwrap();

    // While nobody can be asked it works, and neither the start nor a create waits for an answer.
    relay.inject(&REVIEWS, Fault::Hang);
    installation.start_webhook_through(&relay).unwrap();
    until("a create while nobody knows", || Some(create()).filter(Reply::success));
    until("the reviews", || (relay.hits(&REVIEWS) > 0).then_some(()));
    assert!(create().success());
    relay.heal();

    let changes = |what: &str, admitted: bool| {
        let begun = Instant::now();
        let reply = until(what, || Some(create()).filter(|reply| reply.success() == admitted));
        assert!(begun.elapsed() < PROMPTLY, "{what} after {:?}", begun.elapsed());
        eprintln!("{what}: {:?}", begun.elapsed());
        reply
    };
    let reply = changes("the right is found to be missing", false);
    let message = refused(
        &reply,
        &[
            "retinue refuses to create Secret trading/db",
            "template it.yaml of ConfigMap trading/secrets cannot be used",
            "no right to list, watch, delete secrets in namespace trading",
            "kubectl label clusterrole retinue-collector-secrets rbac.fledged.io/collector=true",
        ],
    );
    cluster.apply(&printed(&message)).unwrap();
    changes("the right is given", true);
    cluster.kubectl(&UNLABEL).unwrap().ok().unwrap();
    changes("the right is withdrawn", false);

    cluster.kubectl(&LABEL).unwrap().ok().unwrap();
    changes("the right is given again", true);
}
