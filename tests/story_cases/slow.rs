//! A template ConfigMap that takes minutes to compile: its own trouble, and nobody else's.

use std::time::{Duration, Instant};

use controlplane::{Options, Reply};
use serde_json::json;
use story::heavy::EmptyHoles;
use story::{Installation, Master, manifests};

use crate::house::{Cases, Way, binary, object, send, until};

/// From the start of the process until it is ready with such a ConfigMap in the cluster: two seconds of patience, and a
/// debug build on a busy machine.
const SLOWEST_START: Duration = Duration::from_secs(15);
/// The longest that a create, or a change of another template, may take meanwhile.
const SLOWEST: Duration = Duration::from_secs(5);

/// A user who may write template ConfigMaps in `namespace`, and nothing else.
pub(crate) fn author(installation: &Installation, namespace: &str) -> controlplane::Asker {
    let rbac = "rbac.authorization.k8s.io";
    let role = json!({
        "apiVersion": format!("{rbac}/v1"), "kind": "Role", "metadata": {"name": "author", "namespace": namespace},
        "rules": [
            {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create", "update", "delete"]},
            {"apiGroups": ["fledged.io"], "resources": ["templates"], "verbs": ["author"]},
        ],
    });
    let binding = json!({
        "apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding", "metadata": {"name": "author", "namespace": namespace},
        "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "author"},
        "subjects": [{"apiGroup": rbac, "kind": "User", "name": "mallory"}],
    });
    installation.cluster.apply(&format!("{role}\n---\n{binding}")).unwrap();
    installation.cluster.asker().impersonating("mallory", &["system:authenticated"])
}

struct World {
    installation: Installation,
    trading: Master,
    slow: Master,
    author: controlplane::Asker,
    cases: Cases,
}

impl World {
    /// A master with good templates; another one whose only ConfigMap does not exist yet; and its author. Nobody lints what
    /// is applied, as when retinue is down.
    fn start() -> Self {
        let installation = Installation::installed(Options::api_only().start().unwrap(), binary(), &[]).unwrap();
        let admin = installation.cluster.asker();
        let lint = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/retinue-templates";
        assert!(admin.delete(lint, None).unwrap().success());
        installation.start_webhook().unwrap();
        installation.cluster.namespace_named("trading").unwrap();
        installation.cluster.apply(&manifests::post_trade("trading")).unwrap();
        let mut trading = installation.bare("trading", "post-trade").unwrap();
        trading.until_known(&object(&manifests::report("probe", "10m"))).unwrap();
        trading.api = trading.api.patient(SLOWEST);
        let mut slow = installation.bare("authors", "slow").unwrap();
        // It does not ask again when it is told to.
        slow.api = slow.api.patient(Duration::ZERO);
        let author = author(&installation, "authors");
        // The API server hears of webhook configurations, and of rights, by watches of its own.
        let mistake = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": {"t.yaml": "{{{"},
            "metadata": {"name": "mistake", "namespace": "authors", "labels": {"fledged.io/templates": "true"}},
        });
        let path = "/api/v1/namespaces/authors/configmaps?dryRun=All";
        until("the author may", || Some(author.post(path, &mistake).unwrap()).filter(Reply::success));
        Self { installation, trading, slow, author, cases: Cases::default() }
    }

    /// A good create of the other master is admitted, in time; a bad one is refused for what is wrong with it.
    fn others_go_on(&mut self, when: &str) {
        let good = object(&manifests::report("others", "10m"));
        let begun = Instant::now();
        let reply = send(&self.trading, Way::Post, &good, "?dryRun=All");
        let took = begun.elapsed();
        self.cases.admitted(&format!("a create of another master, {when}"), &reply);
        self.cases.holds(&format!("its time, {when}"), took < SLOWEST, format!("{took:?}"));
        let bad = crate::house::with(&good, "/data/level", json!("trace"));
        let reply = send(&self.trading, Way::Post, &bad, "?dryRun=All");
        self.cases.refused(&format!("a bad create of another master, {when}"), &reply, &["data.level"]);
    }

    /// A create by what cannot be used is refused, by name of the ConfigMap.
    fn its_own_master_is_refused(&mut self, when: &str, words: &[&str]) {
        let made = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a0": "0"}});
        let reply = send(&self.slow, Way::Post, &made, "?dryRun=All");
        self.cases.refused(&format!("its own master, {when}"), &reply, words);
    }

    /// A change of the other master's templates takes effect in time.
    fn a_change_takes_effect(&mut self, when: &str) {
        let path = self.trading.core("configmaps/post-trade");
        let good = object(&manifests::report("changed", "10m"));
        let mut templates = object(&manifests::post_trade("trading"));
        for admitted in [false, true] {
            templates["metadata"]["labels"]["fledged.io/templates"] = json!(admitted.to_string());
            assert!(self.installation.cluster.asker().put(&path, &templates).unwrap().success());
            let begun = Instant::now();
            until("the change of another template", || {
                (send(&self.trading, Way::Post, &good, "?dryRun=All").success() == admitted).then_some(())
            });
            let took = begun.elapsed();
            self.cases.holds(&format!("withdrawn, or given again, {when}"), took < SLOWEST, format!("{took:?}"));
        }
    }
}

#[test]
fn threat_54_a_template_that_takes_minutes_to_compile_stops_nobody_not_even_a_restart() {
    let mut world = World::start();
    let applied = Instant::now();
    let endless = EmptyHoles { holes: 150, length: 150 }.in_one_manifest("authors", "slow", 8);
    let stored = world.author.post("/api/v1/namespaces/authors/configmaps", &endless).unwrap();
    assert!(stored.success(), "{}", stored.message());
    // Known once its own master is told of it: until then the ConfigMap is absent.
    until("the ConfigMap is known", || {
        world.others_go_on("as it is applied");
        let made = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a0": "0"}});
        (!send(&world.slow, Way::Post, &made, "?dryRun=All").message().contains("absent")).then_some(())
    });
    world.a_change_takes_effect("while it is compiled");
    // Proof of life that is younger than the ConfigMap: what is known of templates does not grow old.
    until("proof of life", || {
        world.others_go_on("while it is compiled");
        // The API server ends this watch after a second.
        let watched = "/api/v1/namespaces/authors/configmaps?watch=true&timeoutSeconds=1&resourceVersion=0";
        assert!(world.installation.cluster.asker().get(watched).unwrap().success());
        let age = world.installation.metric("retinue_snapshot_age_seconds", "").unwrap();
        (age + 1.0 < applied.elapsed().as_secs_f64()).then_some(())
    });
    world.its_own_master_is_refused("while it is compiled", &["ConfigMap authors/slow"]);

    world.installation.stop_webhook();
    let begun = Instant::now();
    world.installation.start_webhook().unwrap();
    let took = begun.elapsed();
    println!("ready after {took:?}");
    world.cases.holds("the restart", took < SLOWEST_START, format!("{took:?}"));
    world.others_go_on("after a restart");
    world.its_own_master_is_refused("after a restart", &["ConfigMap authors/slow"]);
    world.a_change_takes_effect("after a restart");

    assert!(world.author.delete("/api/v1/namespaces/authors/configmaps/slow", None).unwrap().success());
    until("its deletion is known", || {
        let made = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a0": "0"}});
        send(&world.slow, Way::Post, &made, "?dryRun=All").message().contains("authors/slow is absent").then_some(())
    });
    world.others_go_on("after its deletion");
    let left = world.installation.metric("retinue_template_configmaps_compiling", "").unwrap();
    world.cases.holds("what is still compiled", left == 0.0, left);
    world.cases.finish();
}
