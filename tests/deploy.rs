//! The installation against a real API server, with the webhook unreachable: a master is refused at once, nobody else
//! notices; and the floor holds alone.

#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]

#[path = "deploy/bystanders.rs"]
mod bystanders;

use std::time::{Duration, Instant};

use controlplane::ControlPlane;
use retinue::deploy::{self, Floor, Reach, Values};
use retinue::emit;
use serde_json::{Value, json};

/// The committed manifest is what the code renders. `UPDATE_INSTALL=1` writes it.
#[test]
fn the_committed_manifest_is_what_is_rendered() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/install.yaml");
    let rendered = emit::documents(&deploy::render(&Values::default()));
    if std::env::var_os("UPDATE_INSTALL").is_some() {
        std::fs::write(path, &rendered).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap();
    assert!(committed == rendered, "deploy/install.yaml is stale: UPDATE_INSTALL=1 cargo test --test deploy committed");
}

#[test]
fn no_role_of_retinue_reads_secrets_unless_an_admin_adds_it() {
    for object in deploy::render(&Values::default()) {
        let text = object["rules"].to_string();
        let name = object["metadata"]["name"].as_str().unwrap();
        if name != "retinue-collector-secrets" {
            assert!(!text.contains("secrets") && !text.contains("\"*\""), "{name}: {text}");
        }
        assert!(object["metadata"]["labels"].get("rbac.authorization.k8s.io/aggregate-to-edit").is_none(), "{name}");
    }
}

/// Values whose webhook nobody answers.
fn unreachable(cluster: &ControlPlane, floor: Floor) -> Values {
    let values = Values {
        reach: Reach::Url("https://127.0.0.1:9".into()),
        ca_bundle: Some(cluster.ca_pem()),
        floor,
        ..Values::default()
    };
    values.checked().unwrap()
}

fn install(cluster: &ControlPlane, values: &Values) {
    let yaml = emit::documents(&deploy::render(values));
    cluster.kubectl_with(&cluster.kubeconfig(), &["apply", "--server-side", "-f", "-"], &yaml).unwrap().ok().unwrap();
    // What Kubernetes' own `edit` would do, which without controllers is empty.
    let hands = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": { "name": "hands" },
        "rules": [{
            "apiGroups": [""], "resources": ["configmaps", "serviceaccounts"],
            "verbs": ["get", "list", "create", "update", "patch", "delete"],
        }],
    });
    cluster.apply(&hands.to_string()).unwrap();
}

/// Who creates a thing, as `kubectl` shows it.
fn create(cluster: &ControlPlane, kubeconfig: &std::path::Path, namespace: &str, object: &Value) -> Result<(), String> {
    let output =
        cluster.kubectl_with(kubeconfig, &["-n", namespace, "create", "-f", "-"], &object.to_string()).unwrap();
    if output.status.success() { Ok(()) } else { Err(output.stderr) }
}

fn config_map(name: &str, labels: Value, annotations: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": name, "labels": labels, "annotations": annotations },
        "data": { "a": "b" },
    })
}

fn plain(name: &str) -> Value {
    config_map(name, json!({}), json!({}))
}

/// An account that may do everything with ConfigMaps in its namespace, and `roles` besides.
fn account(cluster: &ControlPlane, namespace: &str, name: &str, roles: &[&str]) -> std::path::PathBuf {
    cluster.service_account(namespace, name).unwrap();
    let subject = format!("--serviceaccount={namespace}:{name}");
    for role in ["hands"].iter().chain(roles) {
        let binding = format!("{name}-{role}");
        let role = format!("--clusterrole={role}");
        let args = ["-n", namespace, "create", "rolebinding", &binding, &role, &subject];
        cluster.kubectl(&args).unwrap().ok().unwrap();
    }
    cluster.kubeconfig_with_token(&cluster.token(namespace, name, None).unwrap()).unwrap()
}

/// Policies take a moment until the API server has compiled them: waits until one of them refuses.
fn until_refused(what: impl Fn() -> Result<(), String>, by: &str) {
    let start = Instant::now();
    loop {
        match what() {
            Err(error) if error.contains(by) => return,
            answer if start.elapsed() > Duration::from_secs(30) => panic!("not refused by {by}: {answer:?}"),
            _ => {}
        }
    }
}

#[test]
fn the_default_installation_is_accepted_whole_and_twice() {
    let cluster = controlplane::Options::api_only().start().unwrap();
    for _ in 0..2 {
        install(&cluster, &Values::default());
    }
    // What the server has checked of the policies' types.
    let policies = cluster.get("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies").unwrap();
    for policy in policies["items"].as_array().unwrap() {
        assert!(policy["status"]["typeChecking"]["expressionWarnings"].is_null(), "{policy:#}");
    }
}

#[test]
fn threats_37_41_and_48_with_the_webhook_down_only_masters_are_refused() {
    let cluster = controlplane::Options::api_only().start().unwrap();
    install(&cluster, &unreachable(&cluster, Floor::Off));
    let namespace = cluster.namespace().unwrap();
    let other = cluster.namespace().unwrap();
    let master = account(&cluster, &namespace, "master", &["retinue-launch"]);
    let ordinary = account(&cluster, &namespace, "ordinary", &[]);
    let wildcard = account(&cluster, &namespace, "wildcard", &["cluster-admin"]);
    // A master may create in another namespace too, as RBAC goes; retinue refuses it there as well.
    let subject = format!("--serviceaccount={namespace}:master");
    let args = ["-n", &other, "create", "rolebinding", "elsewhere", "--clusterrole=hands", &subject];
    cluster.kubectl(&args).unwrap().ok().unwrap();

    until_refused(|| create(&cluster, &master, &namespace, &plain("a")), "mutate.retinue.fledged.io");
    let start = Instant::now();
    for namespace in [&namespace, &other] {
        let refused = create(&cluster, &master, namespace, &plain("refused")).unwrap_err();
        assert!(refused.contains("failed calling webhook \"mutate.retinue.fledged.io\""), "{refused}");
    }
    assert!(start.elapsed() < Duration::from_secs(4), "refused at once: {:?}", start.elapsed());

    create(&cluster, &ordinary, &namespace, &plain("ordinary")).unwrap();
    create(&cluster, &wildcard, &namespace, &plain("wildcard")).unwrap();
    // A user without any group of its own, and the admin, neither with extra (threat 41).
    let jane = cluster.kubeconfig_of_user("jane", None).unwrap();
    let args = ["-n", &namespace, "create", "rolebinding", "jane", "--clusterrole=hands", "--user=jane"];
    cluster.kubectl(&args).unwrap().ok().unwrap();
    create(&cluster, &jane, &namespace, &plain("jane")).unwrap();
    create(&cluster, &cluster.kubeconfig(), &namespace, &plain("admin")).unwrap();
    // A user whose name looks like half an account's.
    for (index, name) in
        ["system:serviceaccount:", "system:serviceaccount:x", "system:serviceaccounts"].iter().enumerate()
    {
        let odd = cluster.kubeconfig_of_user(name, Some("system:masters")).unwrap();
        create(&cluster, &odd, &namespace, &plain(&format!("odd-{index}"))).unwrap();
    }
    // Retinue's own account is never captured, even where somebody granted it launch.
    let own = cluster.token("retinue", "retinue-controller", None).unwrap();
    let own = cluster.kubeconfig_with_token(&own).unwrap();
    for role in ["retinue-launch", "hands"] {
        let binding = format!("own-{role}");
        let role = format!("--clusterrole={role}");
        let args =
            ["-n", "retinue", "create", "rolebinding", &binding, &role, "--serviceaccount=retinue:retinue-controller"];
        cluster.kubectl(&args).unwrap().ok().unwrap();
    }
    create(&cluster, &own, "retinue", &plain("own")).unwrap();
    // The lint webhook is down too: an admin's templates go through.
    create(
        &cluster,
        &cluster.kubeconfig(),
        &namespace,
        &config_map("t", json!({"fledged.io/templates": "true"}), json!({})),
    )
    .unwrap();
    // And the configuration stays editable.
    cluster
        .kubectl(&["delete", "mutatingwebhookconfiguration,validatingwebhookconfiguration", "retinue"])
        .unwrap()
        .ok()
        .unwrap();
    let start = Instant::now();
    while let Err(error) = create(&cluster, &master, &namespace, &plain("after")) {
        assert!(start.elapsed() < Duration::from_secs(30), "{error}");
    }
}

/// The webhook configurations are gone; the floor stands alone.
fn floor_alone(cluster: &ControlPlane) {
    install(cluster, &unreachable(cluster, Floor::On));
    cluster
        .kubectl(&["delete", "mutatingwebhookconfiguration,validatingwebhookconfiguration", "retinue"])
        .unwrap()
        .ok()
        .unwrap();
}

const FORGED: &str = r#"{"anything": true}"#;

fn forged(name: &str) -> Value {
    config_map(
        name,
        json!({ "fledged.io/master": "m", "fledged.io/template": "t", "fledged.io/expires-at": "2026-11-20T153000Z" }),
        json!({ "fledged.io/admission": FORGED }),
    )
}

#[test]
fn threats_16_35_and_38_the_floor_holds_alone() {
    let cluster = controlplane::Options::api_only().start().unwrap();
    floor_alone(&cluster);
    let namespace = cluster.namespace().unwrap();
    let master = account(&cluster, &namespace, "master", &["retinue-launch"]);
    let ordinary = account(&cluster, &namespace, "ordinary", &[]);
    let author = account(&cluster, &namespace, "author", &["retinue-author"]);
    let admin = cluster.kubeconfig();
    until_refused(|| create(&cluster, &master, &namespace, &plain("unstamped")), "carries no stamp");
    until_refused(|| create(&cluster, &master, &namespace, &forged("stamped")), "carries no stamp");
    create(&cluster, &ordinary, &namespace, &plain("ordinary")).unwrap();

    // Stamps: not to forge, not to touch; everything else of the object stays editable.
    until_refused(|| create(&cluster, &ordinary, &namespace, &forged("forged")), "the stamp");
    create(&cluster, &admin, &namespace, &forged("real")).unwrap();
    let edit = |who: &std::path::Path, patch: &str| {
        let args = ["-n", namespace.as_str(), "patch", "configmap", "real", "--type=merge", "-p", patch];
        let output = cluster.kubectl_as(who, &args).unwrap();
        if output.status.success() { Ok(()) } else { Err(output.stderr) }
    };
    edit(&ordinary, r#"{"data": {"a": "c"}, "metadata": {"labels": {"mine": "yes"}}}"#).unwrap();
    for patch in [
        r#"{"metadata": {"labels": {"fledged.io/expires-at": null}}}"#,
        r#"{"metadata": {"labels": {"fledged.io/expires-at": "2036-11-20T153000Z"}}}"#,
        r#"{"metadata": {"annotations": {"fledged.io/admission": "{}"}}}"#,
    ] {
        let refused = edit(&ordinary, patch).unwrap_err();
        assert!(refused.contains("the stamp"), "{patch}: {refused}");
    }
    edit(&admin, r#"{"metadata": {"labels": {"fledged.io/expires-at": null}}}"#).unwrap();
    // A master does not stamp what is there unstamped.
    let args = ["-n", &namespace, "label", "configmap", "ordinary", "fledged.io/master=m"];
    let refused = cluster.kubectl_as(&master, &args).unwrap();
    assert!(refused.stderr.contains("the stamp"), "{}", refused.stderr);
    // Without that label nothing is a stamp, whatever else there is, and it cannot come later.
    let args = ["-n", &namespace, "annotate", "configmap", "ordinary", "fledged.io/admission={}"];
    cluster.kubectl_as(&ordinary, &args).unwrap().ok().unwrap();
    let args = ["-n", &namespace, "label", "configmap", "ordinary", "fledged.io/master=m"];
    let refused = cluster.kubectl_as(&ordinary, &args).unwrap();
    assert!(refused.stderr.contains("the stamp"), "{}", refused.stderr);

    // Templates: authors only, by label old or new.
    let template = |name: &str| config_map(name, json!({ "fledged.io/templates": "true" }), json!({}));
    until_refused(|| create(&cluster, &ordinary, &namespace, &template("t")), "verb author");
    create(&cluster, &author, &namespace, &template("t")).unwrap();
    for change in [
        ["label", "configmap", "t", "fledged.io/templates-"],
        ["label", "configmap", "ordinary", "fledged.io/templates=true"],
    ] {
        let args: Vec<&str> = ["-n", &namespace].into_iter().chain(change).collect();
        let refused = cluster.kubectl_as(&ordinary, &args).unwrap();
        assert!(refused.stderr.contains("verb author"), "{change:?}: {}", refused.stderr);
    }
    let refused =
        cluster.kubectl_as(&master, &["-n", &namespace, "annotate", "configmap", "t", "fledged.io/masters=me"]);
    assert!(refused.unwrap().stderr.contains("verb author"));

    // What no master ever makes.
    let role = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "made" } });
    let refused = create(&cluster, &master, &namespace, &role).unwrap_err();
    assert!(refused.contains("never creates objects of this kind"), "{refused}");
    cluster
        .kubectl(&[
            "create",
            "clusterrole",
            "hooks",
            "--verb=*",
            "--resource=validatingwebhookconfigurations.admissionregistration.k8s.io",
        ])
        .unwrap()
        .ok()
        .unwrap();
    let subject = format!("--serviceaccount={namespace}:master");
    cluster.kubectl(&["create", "clusterrolebinding", "hooks", "--clusterrole=hooks", &subject]).unwrap().ok().unwrap();
    let refused =
        cluster.kubectl_as(&master, &["delete", "validatingwebhookconfiguration", "retinue-templates"]).unwrap();
    assert!(refused.stderr.contains("never changes webhook configurations"), "{}", refused.stderr);
}

#[test]
fn threats_16_35_and_53_the_controllers_work_above_the_floor() {
    let cluster = ControlPlane::start().unwrap();
    floor_alone(&cluster);
    let namespace = cluster.namespace().unwrap();
    let ordinary = account(&cluster, &namespace, "ordinary", &[]);
    until_refused(|| create(&cluster, &ordinary, &namespace, &forged("forged")), "the stamp");
    let marks = forged("web")["metadata"].clone();
    let (labels, annotations) = (&marks["labels"], &marks["annotations"]);
    let mut selected = labels.clone();
    selected["app"] = json!("web");
    // Stamped by an admin, as the webhook would: its labels go to EndpointSlices, its annotations to ReplicaSets.
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "web", "labels": labels, "annotations": annotations },
        "spec": {
            "replicas": 1,
            "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": selected },
                "spec": { "containers": [{ "name": "web", "image": "web" }] },
            },
        },
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": "web", "labels": labels, "annotations": annotations },
        "spec": { "selector": { "app": "web" }, "ports": [{ "port": 80 }] },
    });
    let admin = cluster.kubeconfig();
    create(&cluster, &admin, &namespace, &deployment).unwrap();
    create(&cluster, &admin, &namespace, &service).unwrap();
    let template = config_map("t", json!({ "fledged.io/templates": "true" }), json!({}));
    create(&cluster, &admin, &namespace, &template).unwrap();
    cluster.running_pod(&namespace, "app=web").unwrap();
    let wait = [
        "-n",
        &namespace,
        "wait",
        "--for=create",
        "--timeout=60s",
        "endpointslice",
        "-l",
        "kubernetes.io/service-name=web",
    ];
    cluster.kubectl(&wait).unwrap().ok().unwrap();
    let sets = cluster.get(&format!("/apis/apps/v1/namespaces/{namespace}/replicasets")).unwrap();
    assert_eq!(sets["items"][0]["metadata"]["annotations"]["fledged.io/admission"], FORGED, "the controller copied it");
    let slices = cluster.get(&format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices")).unwrap();
    assert_eq!(slices["items"][0]["metadata"]["labels"]["fledged.io/master"], "m", "the controller copied it");
    // A namespace with templates and stamps goes away.
    cluster.kubectl(&["delete", "namespace", &namespace, "--timeout=90s"]).unwrap().ok().unwrap();
}
