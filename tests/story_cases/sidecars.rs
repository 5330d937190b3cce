//! Sidecars that become native at admission, against the API server: what is stored, and that whoever sends the same
//! manifest again, as kubectl does, changes nothing.

use serde_json::{Value, json};
use story::Master;

use crate::house::{Cases, Way, collection, master, object, retemplate, send, shared, stored, until, with};

const POD: &str = r#"
metadata: {labels: {essential-containers: main}}
spec:
  restartPolicy: Never
  initContainers:
  - {name: first, image: "registry.example/first:1"}
  containers:
  - name: log
    image: "registry.example/log:1"
    env: [{name: DAY, value: "${day}"}]
    lifecycle: {preStop: {exec: {command: ["/flush"]}}}
    volumeMounts: [{name: logs, mountPath: /logs}]
  - name: main
    image: "registry.example/main:1"
    args: ["--day=${day}"]
    volumeMounts: [{name: logs, mountPath: /logs}]
  - name: proxy
    image: "registry.example/proxy"
    ports: [{name: http, containerPort: 8080}]
    startupProbe: {httpGet: {path: /up, port: http}}
    livenessProbe: {tcpSocket: {port: 8080}}
    resources: {requests: {cpu: "0.5"}}
  volumes: [{name: logs, emptyDir: {}}]
"#;

/// The template of `kind`, in whose spec the pod template stands at the end of `way`.
fn template(kind: &str, name: &str, spec: &str, way: usize) -> String {
    let pod: String = POD.trim().lines().map(|line| format!("{}{line}\n", " ".repeat(way))).collect();
    format!(
        "apiVersion: batch/v1\nkind: {kind}\nmetadata:\n  name: {name}\n  annotations: {{fledged.io/native-sidecars: \"true\"}}\nspec:\n{spec}{pod}"
    )
}

fn job() -> String {
    template("Job", "\"run-${day}\"", "  parallelism: ${workers}\n  template:\n", 4)
}

fn cron_job() -> String {
    let spec = "  schedule: \"@daily\"\n  suspend: true\n  jobTemplate:\n    spec:\n      parallelism: ${workers}\n      template:\n";
    template("CronJob", "\"daily-${day}\"", spec, 8)
}

/// What a master writes.
fn written(template: &str, workers: u64) -> Value {
    object(&template.replace("${day}", "20261120").replace("${workers}", &workers.to_string()))
}

fn world() -> Master {
    let master = master("sidecars");
    let parameters = "day: {type: string, pattern: '[0-9]{8}'}\nworkers: {type: integer, minimum: 1, maximum: 8}\n";
    let data = json!({"job.yaml": job(), "cron.yaml": cron_job(), "parameters": parameters});
    let annotations = json!({"fledged.io/masters": "eod", "fledged.io/duration": "10m"});
    retemplate(&master, &annotations, &data, &written(&job(), 1));
    master
}

/// Name and restart policy of each container of a list.
fn names(pod_spec: &Value, list: &str) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let all = pod_spec[list].as_array().unwrap();
    all.iter().map(|it| text(&it["name"]) + ":" + &text(&it["restartPolicy"])).collect::<Vec<_>>().join(" ")
}

#[test]
fn sidecars_are_stored_as_native_ones_whichever_way_they_come() {
    let master = world();
    let mut cases = Cases::default();
    for (manifest, pod_spec) in [(job(), "/spec/template/spec"), (cron_job(), "/spec/jobTemplate/spec/template/spec")] {
        let manifest = written(&manifest, 2);
        for way in [Way::Post, Way::Put, Way::Apply, Way::LastApplied] {
            let case = format!("{} by {way:?}", manifest["kind"]);
            let reply = send(&master, way, &manifest, "?dryRun=All");
            if way == Way::Put && reply.code == 404 {
                continue;
            }
            cases.admitted(&case, &reply);
            let Some(spec) = reply.body.pointer(pod_spec) else { continue };
            let found = (names(spec, "initContainers"), names(spec, "containers"));
            let expected = ("first:- log:Always proxy:Always".to_owned(), "main:-".to_owned());
            cases.holds(&case, found == expected, format!("{found:?}"));
        }
        for (what, place, value, words) in [
            ("an image", "/containers/0/image", json!("evil:1"), "containers[name=log].image"),
            ("privileges", "/containers/2/securityContext", json!({"privileged": true}), "securityContext"),
            ("another", "/containers/-", json!({"name": "x", "image": "evil:1"}), "containers"),
            ("twice", "/containers/-", json!({"name": "log", "image": "registry.example/log:1"}), "ontainers"),
            ("no restart", "/containers/0/restartPolicy", json!("Never"), "restartPolicy"),
        ] {
            let evil = with(&manifest, &format!("{pod_spec}{place}"), value);
            let case = format!("{} with {what}", manifest["kind"]);
            cases.refused(&case, &send(&master, Way::Post, &evil, "?dryRun=All"), &[words]);
        }
    }
    cases.finish();
}

#[test]
fn what_is_applied_again_or_replaced_stays_as_it_is() {
    let master = world();
    let mut cases = Cases::default();
    let kubectl = |args: &[&str], input: &Value| {
        let all: Vec<&str> = ["-n", &master.namespace].iter().chain(args).copied().collect();
        shared().cluster.kubectl_with(&master.kubeconfig, &all, &input.to_string()).unwrap()
    };
    let does = |cases: &mut Cases, case: &str, args: &[&str], input: &Value| {
        let case = format!("{} {case} by {args:?}", input["kind"]);
        let output = kubectl(args, input);
        cases.holds(&case, output.success(), format!("{}{}", output.stdout, output.stderr));
        case
    };
    for (text, apply) in [
        (job(), &["apply", "-f", "-"][..]),
        (cron_job(), &["apply", "-f", "-"]),
        (job().replace("${day}", "20261121"), &["apply", "--server-side", "-f", "-"]),
        (cron_job().replace("${day}", "20261121"), &["apply", "--server-side", "-f", "-"]),
    ] {
        let (two, three) = (written(&text, 2), written(&text, 3));
        let path = format!("{}/{}", collection(&master.namespace, &two), two["metadata"]["name"].as_str().unwrap());
        let now = || stored(shared(), &path).unwrap();
        does(&mut cases, "created", apply, &two);
        let first = now();
        let case = does(&mut cases, "again", apply, &two);
        let second = now();
        cases.holds(&case, second["spec"] == first["spec"], &second["spec"]);
        cases.holds(&case, second["metadata"]["generation"] == 1, &second["metadata"]);
        let server_side = apply.contains(&"--server-side");
        let diff = if server_side { &["diff", "--server-side", "-f", "-"][..] } else { &["diff", "-f", "-"] };
        does(&mut cases, "compared", diff, &two);

        let case = does(&mut cases, "with another number", apply, &three);
        let third = now();
        cases.holds(&case, third["metadata"]["generation"] == 2, &third["metadata"]);
        let place = if two["kind"] == "Job" { "/spec/parallelism" } else { "/spec/jobTemplate/spec/parallelism" };
        cases.holds(&case, with(&third, place, json!(2))["spec"] == first["spec"], &third["spec"]);
        let evil = match two["kind"].as_str() {
            Some("Job") => with(&three, "/spec/template/spec/containers/0/image", json!("evil:1")),
            _ => with(&three, "/spec/jobTemplate/spec/template/spec/containers/0/image", json!("evil:1")),
        };
        let output = kubectl(apply, &evil);
        let told = output.stderr.contains("containers[name=log].image") && output.stderr.contains("retinue");
        cases.holds(&format!("{} with another image", two["kind"]), !output.success() && told, output.stderr);
        // As it was read, with a change; others write its status meanwhile.
        let put = until("an unconflicted PUT", || {
            Some(master.api.put(&path, &with(&now(), place, json!(4))).unwrap()).filter(|put| put.code != 409)
        });
        cases.admitted(&format!("{} written back", two["kind"]), &put);
        cases.holds("its number", put.body.pointer(place) == Some(&json!(4)), &put.body);
    }
    cases.finish();
}
