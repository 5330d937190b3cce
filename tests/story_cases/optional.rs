//! Optional holes that are absent where the API server fills something in: it is the template without them, whatever
//! their schema admits and whatever else the server then fills in.

use serde_json::{Value, json};

use crate::house::{Cases, Way, master, object, record, retemplate, send, with};

const PARAMETERS: &str = r#"
name:     {type: string, pattern: "[a-z]{1,20}"}
workers:  {type: integer, minimum: 2, maximum: 8, optional: true}
parts:    {type: integer, minimum: 2, maximum: 8, optional: true}
restart:  {type: string, enum: [OnFailure, Never], optional: true}
pull:     {type: string, enum: [Always], optional: true}
protocol: {type: string, enum: [UDP], optional: true}
target:   {type: integer, minimum: 8000, optional: true}
surge:    {type: integer, minimum: 1, maximum: 3, optional: true}
"#;
const JOB: &str = "apiVersion: batch/v1
kind: Job
metadata:
  name: ${name}
spec:
  parallelism: ${workers}
  completions: ${parts}
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: main
        image: registry.example/post-trade:1.4
        imagePullPolicy: ${pull}
";
const POD: &str = "apiVersion: v1
kind: Pod
metadata:
  name: ${name}
spec:
  restartPolicy: ${restart}
  containers:
  - name: main
    image: registry.example/worker:2
    ports:
    - containerPort: 8000
      protocol: ${protocol}
    - containerPort: 9000
";
const SERVICE: &str = "apiVersion: v1
kind: Service
metadata:
  name: ${name}
spec:
  selector: {app: a}
  ports:
  - name: web
    port: 80
    targetPort: ${target}
    protocol: ${protocol}
";
const DEPLOYMENT: &str = "apiVersion: apps/v1
kind: Deployment
metadata:
  name: ${name}
spec:
  replicas: 0
  selector:
    matchLabels: {app: a}
  strategy:
    rollingUpdate:
      maxSurge: ${surge}
  template:
    metadata:
      labels: {app: a}
    spec:
      containers:
      - name: main
        image: registry.example/worker:2
";

/// Values of holes, by name.
type Values = &'static [(&'static str, &'static str)];

/// What the template says, without the lines of these holes, with these values in the others.
fn manifest(template: &str, name: &str, values: &[(&str, &str)]) -> Value {
    let mut text = template.replace("${name}", name);
    for (hole, value) in values {
        assert!(text.contains(&format!("${{{hole}}}")), "{hole}");
        text = text.replace(&format!("${{{hole}}}"), value);
    }
    let lines: Vec<&str> = text.lines().filter(|line| !line.contains("${")).collect();
    object(&lines.join("\n"))
}

#[test]
fn an_optional_hole_may_be_absent_where_the_api_server_fills_something_in() {
    let master = master("optional");
    let templates = json!({"job.yaml": JOB, "pod.yaml": POD, "service.yaml": SERVICE, "deployment.yaml": DEPLOYMENT, "parameters": PARAMETERS});
    let annotations = json!({"fledged.io/masters": "eod", "fledged.io/duration": "10m"});
    retemplate(
        &master,
        &annotations,
        &templates,
        &manifest(POD, "probe", &[("restart", "Never"), ("protocol", "UDP")]),
    );
    let mut cases = Cases::default();
    let all: [(&str, &[Values]); 4] = [
        (JOB, &[&[], &[("workers", "3")], &[("parts", "4")], &[("workers", "3"), ("parts", "4"), ("pull", "Always")]]),
        (
            POD,
            &[&[], &[("restart", "Never")], &[("protocol", "UDP")], &[("restart", "OnFailure"), ("protocol", "UDP")]],
        ),
        (SERVICE, &[&[], &[("target", "8080")], &[("protocol", "UDP")], &[("target", "8080"), ("protocol", "UDP")]]),
        (DEPLOYMENT, &[&[], &[("surge", "2")]]),
    ];
    let mut number = 0u8;
    for (template, bindings) in all {
        for values in bindings {
            for way in [Way::Post, Way::Apply, Way::LastApplied] {
                number += 1;
                let name: String = ["a", "b", "c", "d"][usize::from(number % 4)].repeat(usize::from(number / 4) + 1);
                let whole = manifest(template, &name, values);
                let case = format!("{} {values:?} by {way:?}", whole["kind"]);
                let reply = send(&master, way, &whole, "?dryRun=All");
                cases.admitted(&case, &reply);
                let recorded = record(&reply.body)["parameters"].clone();
                for (hole, value) in *values {
                    let recorded = recorded[hole].to_string();
                    cases.holds(
                        &case,
                        recorded.trim_matches('"') == *value,
                        format!("{hole} is recorded as {recorded}"),
                    );
                }
                let names = recorded.as_object().map_or(0, serde_json::Map::len);
                cases.holds(&case, names == values.len() + 1, format!("recorded: {recorded}"));
            }
        }
    }
    // What the server would have filled in is what an absent hole is; anything else is not.
    for (template, pointer, value, words) in [
        (POD, "/spec/restartPolicy", json!("Sometimes"), "restartPolicy"),
        (POD, "/spec/hostNetwork", json!(true), "hostNetwork"),
        (POD, "/spec/containers/0/ports/0/hostPort", json!(8000), "hostPort"),
        (JOB, "/spec/completions", json!(9), "completions"),
        (JOB, "/spec/suspend", json!(true), "suspend"),
        (SERVICE, "/spec/ports/0/targetPort", json!(7000), "targetPort"),
        (DEPLOYMENT, "/spec/strategy/rollingUpdate/maxUnavailable", json!(0), "maxUnavailable"),
    ] {
        let whole = with(&manifest(template, "wrong", &[]), pointer, value);
        let reply = send(&master, Way::Post, &whole, "?dryRun=All");
        cases.refused(pointer, &reply, &[words]);
    }
    cases.finish();
}
