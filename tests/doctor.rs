//! `retinue doctor` against a real API server: a sound installation is sound, and each thing that is not is named with
//! what to do.
#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]

#[path = "doctor/callers.rs"]
mod callers;

use std::path::Path;
use std::process::Command;

use controlplane::ControlPlane;
use serde_json::{Value, json};
use story::Installation;

const RETINUE: &str = env!("CARGO_BIN_EXE_retinue");

/// What the doctor said.
struct Told {
    code: i32,
    out: String,
    said: Value,
}

impl Told {
    fn findings(&self, severity: &str) -> Vec<String> {
        let findings = self.said["findings"].as_array().unwrap().iter();
        let of = findings.filter(|finding| finding["severity"] == severity);
        of.map(|finding| {
            let text = |field: &str| finding[field].as_str().unwrap().to_owned();
            format!("[{}] {} {} (fix: {})", text("area"), text("about"), text("message"), text("fix"))
        })
        .collect()
    }

    /// There is a finding with all of these words.
    fn says(&self, severity: &str, words: &[&str]) {
        let findings = self.findings(severity);
        let found = findings.iter().any(|finding| words.iter().all(|word| finding.contains(word)));
        assert!(found, "{words:?} are not among {findings:#?}");
    }

    fn is_silent_of(&self, words: &[&str]) {
        for severity in ["problem", "unknown", "warning"] {
            let findings = self.findings(severity);
            let found = findings.iter().find(|finding| words.iter().all(|word| finding.contains(word)));
            assert!(found.is_none(), "{found:?}");
        }
    }

    fn result(&self, area: &str) -> &str {
        let mut areas = self.said["areas"].as_array().unwrap().iter();
        areas.find(|found| found["area"] == area).unwrap()["result"].as_str().unwrap()
    }
}

fn ran(kubeconfig: &Path, args: &[&str]) -> (i32, String, String) {
    let output = Command::new(RETINUE).arg("doctor").args(args).env("KUBECONFIG", kubeconfig).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn doctor_as(kubeconfig: &Path) -> Told {
    let (code, out, err) = ran(kubeconfig, &["-o", "json"]);
    let said = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"));
    Told { code, out, said }
}

fn doctor(cluster: &ControlPlane) -> Told {
    doctor_as(&cluster.kubeconfig())
}

fn bind(cluster: &ControlPlane, namespace: Option<&str>, name: &str, role: &str, subject: &str) {
    let role = format!("--clusterrole={role}");
    let args = match namespace {
        Some(namespace) => vec!["-n", namespace, "create", "rolebinding", name, &role, subject],
        None => vec!["create", "clusterrolebinding", name, &role, subject],
    };
    cluster.kubectl(&args).unwrap().ok().unwrap();
}

fn role(cluster: &ControlPlane, name: &str, rules: &Value) {
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules,
    });
    cluster.apply(&role.to_string()).unwrap();
}

#[test]
fn threat_38_a_sound_installation_is_sound_and_what_is_gone_or_bent_is_told() {
    let installed = Installation::start(Path::new(RETINUE)).unwrap();
    let cluster = &installed.cluster;
    installed.master("trading").unwrap();
    cluster.kubectl(&["-n", "trading", "wait", "--for=condition=Available", "deployment/eod"]).unwrap().ok().unwrap();

    let told = doctor(cluster);
    assert_eq!((told.code, told.said["sound"].as_bool()), (0, Some(true)), "{}", told.out);
    for area in ["webhooks", "answers", "certificates", "floor", "rights", "guard", "callers", "templates", "collector"]
    {
        assert_eq!(told.result(area), "ok", "{area}: {}", told.out);
    }
    told.says("note", &["whoever may switch retinue off", "Group system:masters"]);
    // Threat 58: that reviews are not authenticated is told, with what follows from it.
    told.says(
        "note",
        &["[callers]", "reviews are not authenticated", "whoever reaches its port", "retinue certs --client"],
    );
    let (code, out, _) = ran(&cluster.kubeconfig(), &[]);
    assert!(
        code == 0 && out.contains("webhooks      ok") && out.contains("1 master") && out.ends_with("0 warnings\n"),
        "{out}"
    );

    // Nothing of what the doctor creates is there, or was ever shown to anybody as made.
    let made = cluster.request("GET", "/api/v1/namespaces/retinue/configmaps/retinue-doctor-asks", None).unwrap();
    assert_eq!(made.0, 404, "{}", made.1);

    // What it may not read, it does not know.
    let nobody = cluster.kubeconfig_of_user("nobody", None).unwrap();
    let blind = doctor_as(&nobody);
    assert_eq!(blind.code, 2, "{}", blind.out);
    blind.says("unknown", &["floor", "ValidatingAdmissionPolicy", "forbidden"]);
    blind.says("unknown", &["pods", "forbidden"]);
    assert_eq!(blind.findings("problem"), Vec::<String>::new());

    // Bent: a webhook that fails open, a policy that only warns, another condition.
    let api = "/apis/admissionregistration.k8s.io/v1";
    let patch = |path: &str, patch: &Value| {
        let reply = cluster.asker().patch(&format!("{api}/{path}"), patch).unwrap();
        assert!(reply.success(), "{}", reply.message());
    };
    patch(
        "mutatingwebhookconfigurations/retinue",
        &json!([
            {"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}
        ]),
    );
    patch(
        "validatingadmissionpolicybindings/retinue-stamps",
        &json!([
            {"op": "replace", "path": "/spec/validationActions", "value": ["Warn"]}
        ]),
    );
    patch(
        "validatingadmissionpolicies/retinue-dependents",
        &json!([
            {"op": "add", "path": "/spec/matchConditions/-", "value": {"name": "never", "expression": "false"}}
        ]),
    );
    let told = doctor(cluster);
    assert_eq!(told.code, 1);
    told.says(
        "problem",
        &[
            "MutatingWebhookConfiguration retinue",
            "webhooks[0].failurePolicy",
            "expected Fail, got Ignore",
            "retinue install",
        ],
    );
    told.says(
        "problem",
        &["ValidatingAdmissionPolicyBinding retinue-stamps", "validationActions[0]", "expected Deny, got Warn"],
    );
    told.says("problem", &["ValidatingAdmissionPolicy retinue-dependents", "spec.matchConditions"]);
    assert_eq!(told.findings("problem").len(), 3, "{}", told.out);

    // Down: it does not answer.
    installed.stop_webhook();
    let told = doctor(cluster);
    told.says("problem", &["[answers]", "did not answer", "every master is refused"]);
    told.says("unknown", &["[certificates]", "serving certificate", "cannot connect"]);

    // Gone.
    for what in [
        "mutatingwebhookconfiguration/retinue",
        "validatingwebhookconfiguration/retinue-templates",
        "validatingadmissionpolicy/retinue-templates",
        "mutatingadmissionpolicybinding/retinue-strip",
        "clusterrole/retinue-collector-kinds",
    ] {
        cluster.kubectl(&["delete", what]).unwrap().ok().unwrap();
    }
    let told = doctor(cluster);
    told.says("problem", &["MutatingWebhookConfiguration retinue", "is missing", "masters are not judged"]);
    told.says("problem", &["ValidatingWebhookConfiguration retinue-templates", "is missing"]);
    told.says("problem", &["ValidatingAdmissionPolicy retinue-templates", "is missing", "retinue install"]);
    told.says("problem", &["MutatingAdmissionPolicyBinding retinue-strip", "is missing"]);
    told.says("problem", &["ClusterRole retinue-collector-kinds", "is missing"]);
}

#[test]
fn threats_14_and_48_who_gets_around_the_guard_is_told() {
    let installed =
        Installation::installed(controlplane::Options::api_only().start().unwrap(), Path::new(RETINUE), &[]).unwrap();
    let cluster = &installed.cluster;
    for (namespace, account) in [
        ("trading", "eod"),
        ("trading", "group"),
        ("trading", "around"),
        ("trading", "elsewhere"),
        ("risk", "lost"),
        ("risk", "hidden"),
        ("risk", "well"),
    ] {
        if cluster.request("GET", &format!("/api/v1/namespaces/{namespace}"), None).unwrap().0 == 404 {
            cluster.namespace_named(namespace).unwrap();
        }
        cluster.service_account(namespace, account).unwrap();
    }
    cluster
        .apply(
            r#"
apiVersion: v1
kind: ConfigMap
metadata:
  name: nightly
  namespace: risk
  labels: {fledged.io/templates: "true"}
  annotations: {fledged.io/masters: "lost, hidden, well"}
data:
  note.yaml: |
    apiVersion: v1
    kind: ConfigMap
    metadata: {name: note}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: orphaned
  namespace: default
  labels: {fledged.io/templates: "true"}
data:
  widget.yaml: |
    apiVersion: example.com/v1
    kind: Widget
    metadata: {name: w}
  note.yaml: |
    apiVersion: v1
    kind: ConfigMap
    metadata: {name: note}
---
apiVersion: v1
kind: Pod
metadata: {name: lost-1, namespace: risk, annotations: {fledged.io/manifests: "nightly, gone"}}
spec: {serviceAccountName: lost, containers: [{name: a, image: b}]}
"#,
        )
        .unwrap();
    let named = "--serviceaccount=";
    bind(cluster, Some("trading"), "eod", "retinue-launch", &format!("{named}trading:eod"));
    bind(cluster, Some("trading"), "around", "retinue-launch", &format!("{named}trading:around"));
    bind(cluster, Some("risk"), "well", "retinue-launch", &format!("{named}risk:well"));
    bind(cluster, Some("risk"), "hidden", "retinue-launch", &format!("{named}risk:hidden"));
    bind(cluster, Some("risk"), "hidden-all", "cluster-admin", &format!("{named}risk:hidden"));
    bind(cluster, Some("risk"), "elsewhere", "retinue-launch", &format!("{named}trading:elsewhere"));
    bind(cluster, Some("trading"), "group", "retinue-launch", "--group=system:serviceaccounts:trading");
    role(
        cluster,
        "pretender",
        &json!([
            {"apiGroups": [""], "resources": ["users"], "verbs": ["impersonate"]},
            {"apiGroups": ["admissionregistration.k8s.io"], "resources": ["validatingadmissionpolicybindings"], "verbs": ["delete"]},
        ]),
    );
    bind(cluster, None, "pretender", "pretender", &format!("{named}trading:around"));
    bind(cluster, None, "everyone", "pretender", "--group=system:serviceaccounts:default");

    let told = doctor(cluster);
    assert_eq!(told.code, 1);
    told.says(
        "problem",
        &[
            "RoleBinding trading/group",
            "system:serviceaccounts:trading",
            "every account of namespace trading is a master",
        ],
    );
    told.says("warning", &["RoleBinding risk/elsewhere", "trading/elsewhere", "counts for nothing"]);
    told.says(
        "problem",
        &["ServiceAccount risk/lost", "may not launch", "pod risk/lost-1 asks for templates", "retinue rbac"],
    );
    told.says("problem", &["ServiceAccount risk/hidden", "holds a wildcard", "cluster-admin"]);
    told.says("problem", &["master trading/around", "impersonate users", "ClusterRoleBinding pretender"]);
    // Threat 14: policies are shown to no webhook and no policy.
    told.says(
        "problem",
        &["ServiceAccount trading/around", "is a master and may write validatingadmissionpolicybindings"],
    );
    told.says("problem", &["Group system:serviceaccounts:default", "every account in it can switch retinue off"]);
    told.is_silent_of(&["[guard]", "ServiceAccount trading/eod"]);
    told.is_silent_of(&["[guard]", "ServiceAccount risk/well"]);
    // Retinue's own accounts are never captured, and never told of.
    told.is_silent_of(&["[guard]", "retinue/retinue-"]);

    told.says(
        "problem",
        &["ConfigMap default/orphaned", "nobody can use it", "no account of namespace default is a master"],
    );
    told.says("problem", &["ConfigMap default/orphaned", "widget.yaml makes example.com/v1 Widget", "does not serve"]);
    told.says(
        "problem",
        &["ConfigMap risk/nightly", "note.yaml cannot be used by risk/well", "create configmaps in risk"],
    );
    told.says("warning", &["ConfigMap risk/nightly", "no pod of a master"]);
    told.says("problem", &["pods of risk/lost (risk/lost-1)", "ConfigMap risk/gone", "not there"]);
}

#[test]
fn without_a_cluster_it_says_so_and_without_an_installation_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    let nowhere = "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n\
                   clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\nusers: [{name: u, user: {token: t}}]\n";
    std::fs::write(&file, nowhere).unwrap();
    let (code, out, err) = ran(&file, &[]);
    assert!(code == 2 && out.is_empty() && err.contains("the API server cannot be asked"), "{out}{err}");

    let cluster = controlplane::Options::api_only().start().unwrap();
    let told = doctor(&cluster);
    assert_eq!(told.code, 1);
    told.says("problem", &["Deployment retinue/retinue-webhook", "is missing"]);
    told.says("problem", &["[answers]", "there is no namespace retinue"]);
    let (code, out, _) = ran(&cluster.kubeconfig(), &["--no-floor"]);
    assert!(code == 1 && out.contains("warning: the floor: is left out"), "{out}");
}
