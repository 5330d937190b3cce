//! Scenes: what one author or one caller sends to make work, and how the others fare meanwhile.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use crate::heavy::{EmptyHoles, lists_of_arguments, pod_of_arguments};
use crate::manifests::report;
use crate::stage::{Stage, Who};
use crate::stranger::{Stranger, review};

/// The neighbour's namespace, and the name of its template ConfigMap.
const NAMESPACE: &str = "treasury";
const FEES: &str = "fees";
/// How long a create of the master may take meanwhile, and how long anybody waits to be told that what he sends is too much
/// work, kubectl's own start included. They take some tenths of a second on a quiet machine.
const PROMPT: Duration = Duration::from_secs(4);
/// Template ConfigMaps that are slow to compile, each about a second of a debug build.
const SLOW: usize = 4;
/// Connections of the stranger at a time, and how many answers it has before the master begins.
const CONNECTIONS: usize = 4;
const ANSWERS: usize = 20;

/// Plays them.
///
/// # Errors
/// Something could not be run at all.
pub(crate) fn play(stage: &mut Stage<'_>) -> Result<()> {
    let cluster = &stage.installation.cluster;
    cluster.namespace_named(NAMESPACE)?;
    cluster.apply(&lists_of_arguments(NAMESPACE, FEES, 300))?;
    stage.neighbour = Some(stage.installation.bare(NAMESPACE, FEES)?);
    too_much_to_look_through(stage)?;
    slow_to_compile(stage)?;
    too_much_to_compare(stage)?;
    flood(stage)
}

fn too_much_to_look_through(stage: &mut Stage<'_>) -> Result<()> {
    stage.scene(
        "A template that takes too much work to look through is refused at once: where, and what to write instead",
    );
    stage.say("    (one text of 350 parameters, each of which may be empty: in how many ways can it be read?)");
    let tangled = EmptyHoles { holes: 350, length: 150 }.in_one_manifest(NAMESPACE, "tangled", 1);
    let input = serde_json::to_string_pretty(&tangled)?;
    let words = ["line", "takes more work than is allowed", "put a separator between them"];
    let answer = stage.refuses_admin(&["-n", NAMESPACE, "apply", "-f", "-"], Some(&input), &words)?;
    stage.check(answer.took < PROMPT, &format!("answered in {:?}", answer.took));
    Ok(())
}

fn slow_to_compile(stage: &mut Stage<'_>) -> Result<()> {
    stage.scene("Template ConfigMaps that are slow to compile keep no other master waiting");
    let name = |number: usize| format!("slow-{number}");
    let slow = EmptyHoles { holes: 300, length: 150 };
    let items: Vec<_> = (0..SLOW).map(|number| slow.in_manifests(NAMESPACE, &name(number), 40)).collect();
    let all = json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
    let cluster = &stage.installation.cluster;
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        stage.say("admin$ kubectl apply -f - &");
        stage.show(&all);
        let applied = scope.spawn(|| {
            let applied = cluster.kubectl_with(&cluster.kubeconfig(), &["apply", "-f", "-"], &all);
            done.store(true, Ordering::Relaxed);
            applied
        });
        let first = format!("/api/v1/namespaces/{NAMESPACE}/configmaps/{}", name(0));
        cluster.until("the first of them is stored", || cluster.get(&first).map_err(|error| error.to_string()))?;
        for part in ["slow", "slower"] {
            prompt(stage, part)?;
        }
        stage.check(!done.load(Ordering::Relaxed), "meanwhile they were still being looked through and compiled");
        let applied = applied.join().map_err(|_| anyhow::anyhow!("the author's thread panicked"))??;
        for line in applied.stdout.lines().chain(applied.stderr.lines()) {
            stage.say(&format!("    {line}"));
        }
        stage.check(applied.success(), "they are valid, and admitted");
        anyhow::Ok(())
    })?;
    let names: Vec<_> = (0..SLOW).map(name).collect();
    let delete = ["-n", NAMESPACE, "delete", "configmap"].into_iter().chain(names.iter().map(String::as_str));
    stage.run(Who::Admin, &delete.collect::<Vec<_>>(), None)?;
    Ok(())
}

/// The master creates something, in time.
fn prompt(stage: &mut Stage<'_>, part: &str) -> Result<()> {
    let answer = stage.admits(Who::Master, &["create", "-f", "-"], Some(&report(part, "10m")), &["created"])?;
    stage.check(answer.took < PROMPT, &format!("in {:?}", answer.took));
    Ok(())
}

fn too_much_to_compare(stage: &mut Stage<'_>) -> Result<()> {
    stage.scene("An object that takes too much work to compare is refused, and told what to make smaller");
    stage.say("    (its template takes 300 lists of arguments, one after the other: which argument is in which?)");
    let words = ["more work to compare than one review may", "Send a smaller object", "treasury/fees"];
    let large = pod_of_arguments(5_000);
    let answer = stage.refused(Who::Neighbour, &["create", "-f", "-"], Some(&large), &words)?;
    stage.check(answer.took < PROMPT, &format!("answered in {:?}", answer.took));
    Ok(())
}

fn flood(stage: &mut Stage<'_>) -> Result<()> {
    stage.scene("Whoever floods the webhook's port keeps nobody else waiting");
    let tangled = EmptyHoles { holes: 150, length: 150 }.in_one_manifest("default", "tangled", 8);
    let body = review(&tangled).to_string();
    let (port, authority) = (stage.installation.port(), stage.installation.authority()?);
    let stranger = Stranger::new(port, &authority, "localhost", None)?;
    stage.say(&format!(
        "stranger$ POST https://localhost:{port}/lint, over {CONNECTIONS} connections at a time, without end"
    ));
    let (stop, linted, refused) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        // Whatever fails here, the stranger ends.
        let _stop = OnDrop(&stop);
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let answer = stranger.post("/lint", &body);
                    let served = answer.is_ok_and(|answer| answer.is_ok_and(|line| line.ends_with("200 OK")));
                    if served { &linted } else { &refused }.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let answers = || linted.load(Ordering::Relaxed) + refused.load(Ordering::Relaxed);
        stage.installation.cluster.until("the stranger is answered", || {
            if answers() < ANSWERS { Err(format!("{} of {ANSWERS}", answers())) } else { Ok(()) }
        })?;
        for part in ["flood", "flooded"] {
            prompt(stage, part)?;
        }
        anyhow::Ok(())
    })?;
    let (linted, refused) = (linted.into_inner(), refused.into_inner());
    stage
        .check(linted > 0, &format!("meanwhile {linted} of the stranger's reviews were linted, {refused} turned away"));
    Ok(())
}

/// Says stop when it goes.
struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
