//! `retinue run` as a master, with the token of its pod: what it starts is a dependent, and its limit a deadline.

use jiff::{SignedDuration, Timestamp};
use policies::lifetime;
use serde_json::{Value, json};
use story::Master;

use crate::house::{master, record, retemplate, shared, stored, until};
use crate::runs::{Running, run};

/// Templates of a Job that ends as it is told: one whose lifetime is the admin's, one whose lifetime is the master's.
fn templates(what: &str) -> Master {
    let master = master(what);
    let job = |name: &str, annotations: &str| {
        format!(
            "apiVersion: batch/v1
kind: Job
metadata:
  name: {name}-${{how}}{annotations}
spec:
  backoffLimit: 0
  template:
    metadata: {{annotations: {{simulate: \"${{how}}\"}}}}
    spec:
      restartPolicy: Never
      containers: [{{name: main, image: registry.example/work:1}}]
"
        )
    };
    let asked = "\n  annotations: {fledged.io/duration: \"${lifetime}\"}";
    let data = json!({
        "parameters": "how: {type: string, pattern: \"[a-z]{1,20}\"}\nlifetime: {type: string, format: duration, default: 1h}\n",
        "fixed.yaml": job("fixed", ""),
        "asked.yaml": job("asked", asked),
        "probe.yaml": "{apiVersion: v1, kind: ConfigMap, metadata: {name: probe}}",
    });
    let probe = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "probe"}});
    retemplate(&master, &json!({"fledged.io/masters": "eod", "fledged.io/duration": "3600"}), &data, &probe);
    master
}

fn there(master: &Master, name: &str) -> Option<Value> {
    stored(shared(), &master.group("batch/v1", &format!("jobs/{name}")))
}

/// How long after its creation a Job's deadline is, in seconds.
fn granted(job: &Value) -> i64 {
    let created: Timestamp = job["metadata"]["creationTimestamp"].as_str().unwrap().parse().unwrap();
    let deadline = job["metadata"]["labels"]["fledged.io/expires-at"].as_str().unwrap();
    lifetime::read_label(deadline).unwrap().duration_since(created).as_secs()
}

#[test]
fn a_template_of_the_config_map_that_the_own_pod_names_is_run() {
    let master = templates("run-template");
    let args = ["--template", "fixed.yaml", "--set", "how=completes", "--time-limit", "1m"];
    let ran = run(&master.kubeconfig, &master.namespace, &args, "");
    assert_eq!((ran.code, &ran.last()["ended"]["how"]), (0, &json!("complete")), "{}", ran.err);
    assert!(ran.last()["deadline"].is_string(), "it is a dependent: {}", ran.last());
    assert!(there(&master, "fixed-completes").is_none_or(|job| !job["metadata"]["deletionTimestamp"].is_null()));

    let args = ["--template", "fixed.yaml", "--set", "how=completes", "--time-limit", "1m", "--keep"];
    let ran = run(&master.kubeconfig, &master.namespace, &args, "");
    assert_eq!(ran.code, 0, "{}", ran.err);
    let kept = there(&master, "fixed-completes").unwrap();
    // The deadline is counted from the instant of the verdict, just before that of the creation: a second may lie between.
    assert!(
        (3_599..=3_600).contains(&granted(&kept)),
        "kept as long as it was granted: {} s, {}",
        granted(&kept),
        ran.err
    );
}

#[test]
fn threat_51_the_limit_is_the_deadline_which_the_collector_keeps_when_the_command_is_killed() {
    let master = templates("run-killed");
    for (template, name, most) in [("fixed.yaml", "fixed-no", 4), ("asked.yaml", "asked-no", 6)] {
        let args = ["--template", template, "--set", "how=no", "--time-limit", "3s"];
        let mut run = Running::start(&master.kubeconfig, &master.namespace, &args, "");
        run.until_told("is created");
        let job = until("its deadline is set", || there(&master, name).filter(|job| granted(job) <= most));
        assert!(granted(&job) >= 3, "no sooner than the limit: {}", granted(&job));
        assert!(job["spec"]["activeDeadlineSeconds"].is_null(), "nothing is sent that the template does not say");
        run.signal("KILL");
        run.end();
        until("the collector ends it", || there(&master, name).is_none().then_some(()));
        let asked = record(&job)["parameters"]["lifetime"].clone();
        assert_eq!(asked, if template == "asked.yaml" { json!("5s") } else { Value::Null }, "{job}");
    }
}

#[test]
fn a_dependent_that_overruns_is_ended_at_its_limit_and_a_cap_that_is_less_is_told_at_once() {
    let master = templates("run-overruns");
    let begun = Timestamp::now();
    let args = ["--template", "fixed.yaml", "--set", "how=no", "--time-limit", "2s"];
    let ran = run(&master.kubeconfig, &master.namespace, &args, "");
    assert_eq!((ran.code, &ran.last()["ended"]["how"]), (124, &json!("time-limit")), "{}", ran.err);
    assert!(begun.duration_until(Timestamp::now()) >= SignedDuration::from_secs(2));
    assert!(there(&master, "fixed-no").is_none());

    let args = ["--template", "fixed.yaml", "--set", "how=no", "--time-limit", "2h"];
    let mut run = Running::start(&master.kubeconfig, &master.namespace, &args, "");
    run.until_told("the limit is longer than what its template, or this pod, grants: the Job ends at ");
    run.signal("INT");
    assert_eq!(run.end().code, 130);
    assert!(there(&master, "fixed-no").is_none());
}

#[test]
fn a_deadline_that_passes_without_a_limit_is_a_limit_too() {
    let master = templates("run-deadline");
    let args = ["--template", "asked.yaml", "--set", "how=no", "--set", "lifetime=2s"];
    let ran = run(&master.kubeconfig, &master.namespace, &args, "");
    let ended = &ran.last()["ended"];
    assert_eq!(
        (ran.code, &ended["how"], &ended["reason"]),
        (124, &json!("time-limit"), &json!("Deadline")),
        "{}",
        ran.err
    );
}

#[test]
fn a_refusal_is_printed_as_the_webhook_says_it() {
    let master = templates("run-refused");
    let ran = run(&master.kubeconfig, &master.namespace, &["--image", "registry.example/miner:1", "--name", "m"], "");
    assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{}", ran.err);
    for words in ["retinue refuses to create Job", "miner:1", "no template admits it"] {
        assert!(ran.err.contains(words), "{words}: {}", ran.err);
    }
    assert!(there(&master, "m").is_none());
    for (args, expected) in [
        (&["--template", "none.yaml"][..], "there are: "),
        (&["--template", "fixed.yaml"], "`how`"),
        (&["--template", "probe.yaml"], "it makes no Job"),
    ] {
        let ran = run(&master.kubeconfig, &master.namespace, args, "");
        assert_eq!(ran.code, 2, "{args:?}: {}", ran.err);
        assert!(ran.err.contains(expected), "{args:?}: {}", ran.err);
    }
}
