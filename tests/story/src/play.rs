//! The play: what retinue is for, scene by scene.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::manifests::{self, job, report, with};
use crate::stage::{Stage, Who};
use crate::{bounds, client_ca};

/// How the deadline label is written.
const DEADLINE: &str = "%Y-%m-%dT%H%M%SZ";

/// Plays every scene. A check that fails is noted on the stage, and the play goes on.
///
/// # Errors
/// Something could not be run at all.
pub fn play(stage: &mut Stage<'_>) -> Result<()> {
    consent(stage)?;
    soundness(stage)?;
    launch(stage)?;
    beyond_the_template(stage)?;
    beyond_its_own(stage)?;
    deadlines(stage)?;
    essential(stage)?;
    withdrawal(stage)?;
    outage(stage)?;
    run(stage)?;
    bounds::play(stage)?;
    client_ca::play(stage)?;
    the_end(stage)
}

fn consent(stage: &mut Stage<'_>) -> Result<()> {
    stage.scene("An admin says what may be launched; a bad template is refused where it is written");
    let namespace = stage.namespace.clone();
    let templates = manifests::templates(&namespace);
    stage.admits(Who::Admin, &["apply", "-f", "-"], Some(&templates), &["configmap/post-trade"])?;
    let bad = with(&manifests::post_trade(&namespace), "name: post-trade", "name: bad");
    let holes = with(&bad, "name: \"post-trade-${run}\"", "name: \"post-trade-${part}${level}\"");
    let holes = with(&holes, "enum: [info, debug]", "pattern: \"[a-z]+\"");
    stage.refuses_admin(&["apply", "-f", "-"], Some(&holes), &["job.yaml", "line"])?;
    let fortnight = with(&bad, "fledged.io/duration: \"3600\"", "fledged.io/duration: 1 fortnight");
    stage.refuses_admin(&["apply", "-f", "-"], Some(&fortnight), &["1 fortnight", "is no duration"])?;
    let never_deleted = manifests::quota(&namespace);
    let words = ["no right to list, watch, delete resourcequotas", "rbac.fledged.io/collector: \"true\""];
    stage.refuses_admin(&["apply", "-f", "-"], Some(&never_deleted), &words)?;
    Ok(())
}

fn soundness(stage: &mut Stage<'_>) -> Result<()> {
    stage.scene("Is the installation sound, and does anybody get around it?");
    let told = stage.retinue(Who::Admin, &["doctor"])?;
    stage.check(told.success && told.text.contains("sound: 0 problems"), "it is sound");
    Ok(())
}

fn launch(stage: &mut Stage<'_>) -> Result<()> {
    stage.scene("The master launches what the template describes, with its own parameters");
    stage.admits(Who::Master, &["create", "-f", "-"], Some(&job("20261120")), &["created"])?;
    let stamp = stage.admits(
        Who::Admin,
        &["get", "job", "post-trade-20261120", "-o", "jsonpath={.metadata.labels}{\"\\n\"}{.metadata.ownerReferences}{\"\\n\"}{.metadata.annotations.fledged\\.io/admission}"],
        None,
        &["fledged.io/master", "\"kind\":\"Deployment\"", "\"run\":\"20261120\"", "\"workers\":3"],
    )?;
    stage.check(stamp.text.contains("fledged.io/expires-at"), "it carries its deadline");
    stage.scene(
        "Names made by the API server, credentials made by retinue, server-side apply, dry run: all judged alike",
    );
    stage.admits(Who::Master, &["create", "-f", "-"], Some(manifests::WORKER), &["created"])?;
    stage.admits(Who::Master, &["create", "-f", "-"], Some(manifests::CREDENTIALS), &["created"])?;
    let length = stage.run(
        Who::Admin,
        &["get", "secret", "post-trade-db", "-o", "go-template={{len (base64decode .data.password)}}"],
        None,
    )?;
    stage.check(length.text == "24", "the password has 24 characters");
    stage.admits(
        Who::Master,
        &["apply", "--server-side", "-f", "-"],
        Some(&report("applied", "10m")),
        &["serverside-applied"],
    )?;
    stage.admits(
        Who::Master,
        &["apply", "--server-side", "-f", "-"],
        Some(&report("applied", "10m")),
        &["serverside-applied"],
    )?;
    stage.admits(
        Who::Master,
        &["create", "--dry-run=server", "-f", "-"],
        Some(&job("20261121")),
        &["server dry run"],
    )?;
    let absent = stage.run(Who::Admin, &["get", "job", "post-trade-20261121"], None)?;
    stage.check(!absent.success, "a dry run left nothing");
    Ok(())
}

fn beyond_the_template(stage: &mut Stage<'_>) -> Result<()> {
    stage.scene("Anything else is refused, with what differs");
    let good = job("20261122");
    let privileged = with(
        &good,
        "        image: registry.example/post-trade:1.4\n",
        "        image: registry.example/post-trade:1.4\n        securityContext: {privileged: true}\n",
    );
    let create = ["create", "-f", "-"];
    stage.refuses(&create, Some(&privileged), &["containers[name=main].securityContext", "expected nothing"])?;
    let image = with(&good, "registry.example/post-trade:1.4", "registry.example/miner:latest");
    stage.refuses(
        &create,
        Some(&image),
        &["image", "registry.example/post-trade:1.4", "registry.example/miner:latest"],
    )?;
    let volume = with(
        &good,
        "      restartPolicy: Never\n",
        "      restartPolicy: Never\n      volumes: [{name: host, hostPath: {path: /}}]\n",
    );
    stage.refuses(&create, Some(&volume), &["volumes"])?;
    let workers = with(&good, "parallelism: 3", "parallelism: 300");
    stage.refuses(&create, Some(&workers), &["spec.parallelism", "from 1 to 8", "got 300"])?;
    stage.refuses(&["apply", "--server-side", "-f", "-"], Some(&workers), &["spec.parallelism"])?;
    stage.refuses(&["create", "--dry-run=server", "-f", "-"], Some(&workers), &["spec.parallelism"])?;
    let worker = with(manifests::WORKER, "image: registry.example/worker:2", "image: registry.example/worker:3");
    stage.refuses(&create, Some(&worker), &["worker:2", "worker:3"])?;
    Ok(())
}

fn beyond_its_own(stage: &mut Stage<'_>) -> Result<()> {
    stage.scene("What the master launched is not its to free, nor is anybody else's to touch");
    let job = "post-trade-20261120";
    stage.refuses(
        &["label", "job", job, "--overwrite", "fledged.io/expires-at=2099-01-01T000000Z"],
        None,
        &["expires-at", "a deadline up to"],
    )?;
    let strip = r#"[{"op":"remove","path":"/metadata/ownerReferences"}]"#;
    stage.refuses(&["patch", "job", job, "--type=json", "-p", strip], None, &["ownerReferences"])?;
    stage.run(Who::Admin, &["create", "configmap", "strangers", "--from-literal=a=b"], None)?;
    stage.refuses(&["delete", "configmap", "strangers"], None, &["carries no stamp"])?;
    stage.refuses(&["delete", "job", job, "--cascade=orphan"], None, &["propagationPolicy=Background"])?;
    let pod = stage.installation.cluster.running_pod(&stage.namespace, "app=eod")?;
    stage.refuses(&["exec", &pod, "--", "id"], None, &["pods/exec"])?;
    stage.refuses(&["create", "token", "eod"], None, &["serviceaccounts/token"])?;
    let other = format!("{}-other", stage.namespace);
    stage.installation.cluster.namespace_named(&other)?;
    let account = format!("--serviceaccount={}:eod", stage.namespace);
    stage.run(Who::Admin, &["-n", &other, "create", "rolebinding", "eod", "--clusterrole=edit", &account], None)?;
    stage.refuses(&["-n", &other, "create", "-f", "-"], Some(&report("other", "10m")), &["metadata.namespace"])?;
    stage.refuses(&["create", "configmap", "anything"], None, &["no template admits it"])?;
    Ok(())
}

fn deadlines(stage: &mut Stage<'_>) -> Result<()> {
    stage.scene("A dependent goes when its deadline passes; one that was renewed stays");
    stage.admits(Who::Master, &["create", "-f", "-"], Some(&report("brief", "6s")), &["created"])?;
    stage.admits(Who::Master, &["create", "-f", "-"], Some(&report("renewed", "6s")), &["created"])?;
    let deadline = expires_at(stage, "report-brief")?;
    let later = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(10);
    let label = format!("fledged.io/expires-at={}", later.strftime(DEADLINE));
    stage.admits(Who::Master, &["label", "configmap", "report-renewed", "--overwrite", &label], None, &["labeled"])?;
    stage.run(Who::Admin, &["wait", "--for=delete", "configmap/report-brief", "--timeout=30s"], None)?;
    let deleted = stage.installation.cluster.audit_event(|event| {
        event["verb"] == "delete"
            && event["objectRef"]["name"] == "report-brief"
            && event["stage"] == "ResponseComplete"
    })?;
    let at = deleted["requestReceivedTimestamp"].as_str().context("a time in the audit log")?.to_owned();
    let at: jiff::Timestamp = at.parse()?;
    let lag = at.duration_since(deadline).as_secs_f64();
    stage.check((0.0..1.0).contains(&lag), &format!("deleted {lag:.3} s after its deadline"));
    stage.admits(Who::Admin, &["get", "configmap", "report-renewed"], None, &["report-renewed"])?;
    Ok(())
}

/// Nodes are played here, so that an admin says in a node's place what ended; on a real node: `tests/node.rs`.
fn essential(stage: &mut Stage<'_>) -> Result<()> {
    stage.scene(
        "When its essential container has completed a pod ends, although its sidecar runs; a Job's pod has succeeded",
    );
    stage.admits(
        Who::Admin,
        &["apply", "-f", "-"],
        Some(manifests::SETTLEMENT),
        &["pod/settlement", "job.batch/settle"],
    )?;
    let pods = [("settlement", "app=settlement"), ("settle", "job-name=settle")];
    for (_, selector) in pods {
        let pod = stage.installation.cluster.running_pod(&stage.namespace, selector)?;
        let args = ["patch", "pod", &pod, "--subresource=status", "--type=merge", "-p", manifests::MAIN_COMPLETED];
        stage.admits(Who::Admin, &args, None, &["patched"])?;
    }
    let gone = stage.run(Who::Admin, &["wait", "--for=delete", "pod/settlement", "--timeout=30s"], None)?;
    stage.check(gone.success, "the pod is gone");
    let args = ["wait", "--for=condition=Complete", "job/settle", "--timeout=60s"];
    let complete = stage.run(Who::Admin, &args, None)?;
    let path = "jsonpath={.items[*].status.phase}";
    let phases = stage.run(Who::Admin, &["get", "pods", "-l", "job-name=settle", "-o", path], None)?;
    stage.check(complete.success && phases.text == "Succeeded", "the Job is complete, and its work ran once");
    stage.run(Who::Admin, &["delete", "job", "settle", "--wait=false"], None)?;
    Ok(())
}

fn expires_at(stage: &Stage<'_>, name: &str) -> Result<jiff::Timestamp> {
    let path = format!("/api/v1/namespaces/{}/configmaps/{name}", stage.namespace);
    let object: Value = stage.installation.cluster.get(&path)?;
    let label = object["metadata"]["labels"]["fledged.io/expires-at"].as_str().context("a deadline")?;
    let civil = jiff::civil::DateTime::strptime(DEADLINE, label)?;
    Ok(civil.to_zoned(jiff::tz::TimeZone::UTC)?.timestamp())
}

fn withdrawal(stage: &mut Stage<'_>) -> Result<()> {
    stage.scene("A withdrawn template launches nothing more, within a second");
    stage.run(Who::Admin, &["label", "configmap", "post-trade", "fledged.io/templates-"], None)?;
    let start = Instant::now();
    // What counts is when the last one was asked for that was admitted: kubectl takes time of its own.
    let mut last = Duration::ZERO;
    let refused = loop {
        let asked = start.elapsed();
        let answer =
            stage.run(Who::Master, &["create", "--dry-run=server", "-f", "-"], Some(&report("late", "10m")))?;
        if !answer.success {
            break answer.text.contains("absent");
        }
        last = asked;
        if asked > Duration::from_secs(5) {
            break false;
        }
    };
    stage.check(
        refused && last < Duration::from_secs(1),
        &format!(
            "refused {:?} after the withdrawal; none was admitted that was asked for later than {last:?}",
            start.elapsed()
        ),
    );
    stage.run(Who::Admin, &["label", "configmap", "post-trade", "fledged.io/templates=true"], None)?;
    Ok(())
}

fn outage(stage: &mut Stage<'_>) -> Result<()> {
    stage.scene("With the webhook down the master is refused at once, and nobody else notices");
    stage.installation.stop_webhook();
    stage.say("    (the webhook is killed)");
    let answer = stage.refuses(&["create", "-f", "-"], Some(&report("down", "10m")), &["failed calling webhook"])?;
    stage.check(answer.took < Duration::from_secs(4), &format!("answered in {:?}", answer.took));
    stage.admits(Who::Admin, &["create", "configmap", "admins", "--from-literal=a=b"], None, &["created"])?;
    let told = stage.retinue(Who::Admin, &["doctor"])?;
    stage.check(!told.success && told.text.contains("did not answer"), "the doctor says that it does not answer");
    stage.installation.start_webhook()?;
    stage.say("    (the webhook is started again)");
    stage.admits(Who::Master, &["create", "-f", "-"], Some(&report("up", "10m")), &["created"])?;
    Ok(())
}

fn run(stage: &mut Stage<'_>) -> Result<()> {
    stage.scene("retinue run starts a Job, watches it, and ends it at its limit; the limit is the Job's deadline");
    let limited = ["run", "--template", "job.yaml", "--set", "run=20261123", "--time-limit", "2s", "--interval", "1s"];
    let answer = stage.retinue(Who::Master, &limited)?;
    let told = ["is created; its deadline is", "1 active", "time limit: it ran longer than its limit of 2 s"];
    let missing: Vec<&&str> = told.iter().filter(|words| !answer.text.contains(**words)).collect();
    stage.check(missing.is_empty() && !answer.success, &format!("ended after {:?}; missing: {missing:?}", answer.took));
    let gone = stage.run(Who::Admin, &["get", "job,pod", "-l", "job-name=post-trade-20261123"], None)?;
    stage.check(gone.text.contains("No resources found"), "the Job and its pods are gone");
    Ok(())
}

fn the_end(stage: &mut Stage<'_>) -> Result<()> {
    stage.scene("When the master is gone, Kubernetes collects what it launched");
    stage.run(Who::Admin, &["delete", "deployment", "eod", "--wait=false"], None)?;
    for dependent in ["job/post-trade-20261120", "secret/post-trade-db", "configmap/report-renewed"] {
        let gone = stage.run(Who::Admin, &["wait", "--for=delete", dependent, "--timeout=60s"], None)?;
        stage.check(gone.success, &format!("{dependent} is gone"));
    }
    Ok(())
}
