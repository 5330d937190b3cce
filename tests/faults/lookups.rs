//! The live reads behind a verdict: each kind of them meets each fault, all at once, under load.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use controlplane::{Fault, Reply};
use serde_json::json;
use story::Master;

use crate::world::{Ending, Load, NAMESPACE, Outcome, World, until};

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lookup {
    /// The pod of the token.
    Pod,
    /// The ReplicaSet above it.
    Set,
    /// The Deployment above that.
    Workload,
    /// The pod that exec is asked for.
    Asked,
    /// The Job whose pod is deleted.
    Lineage,
}

const LOOKUPS: [Lookup; 5] = [Lookup::Pod, Lookup::Set, Lookup::Workload, Lookup::Asked, Lookup::Lineage];

/// Faults under which nothing can be known.
const BLINDING: [Fault; 11] = [
    Fault::Answer(500),
    Fault::Answer(503),
    Fault::Answer(504),
    Fault::Answer(429),
    Fault::Answer(410),
    Fault::Answer(403),
    Fault::Answer(404),
    Fault::Hang,
    Fault::Cut,
    Fault::Garbled,
    Fault::Late(Duration::from_millis(3500)),
];

/// Faults under which enough is known: what is answered late is asked for once more.
const BEARABLE: [Fault; 3] =
    [Fault::Late(Duration::from_millis(200)), Fault::Late(Duration::from_millis(1500)), Fault::Stale];

/// How long a fault may take to be met: a second, and what a busy machine adds.
const PATIENCE: Duration = Duration::from_secs(30);

struct Case {
    lookup: Lookup,
    fault: Fault,
    master: Master,
    fragment: String,
}

impl Case {
    fn new(world: &World, load: &Load, number: usize, lookup: Lookup, fault: Fault) -> Self {
        let name = format!("eod-{number}");
        let master = world.master(&name);
        let fragment = match lookup {
            Lookup::Pod => format!("/pods/{name} "),
            Lookup::Set => format!("/replicasets/{name} "),
            Lookup::Workload => format!("/deployments/{name} "),
            Lookup::Asked => format!("/pods/worker-{name} "),
            Lookup::Lineage => format!("/jobs/job-{name} "),
        };
        let case = Self { lookup, fault, master, fragment };
        case.prepare(world, load);
        case
    }

    fn kept(&self) -> String {
        format!("report-{}-kept", self.master.pod)
    }

    /// What it launches while all is well; and a pod that its Job could have made.
    fn prepare(&self, world: &World, load: &Load) {
        let master = &self.master;
        let name = &master.pod;
        let container = json!([{"name": "main", "image": "registry.example/worker:2"}]);
        let worker = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("worker-{name}")},
                            "spec": {"containers": container}});
        let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": format!("job-{name}")},
                         "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": container}}}});
        let kept = crate::world::report(&format!("{name}-kept"), "info");
        let made = |path: &str, object: &serde_json::Value| {
            let reply = until("its first objects", || {
                Some(master.api.post(path, object).unwrap()).filter(|reply| reply.success() || reply.code == 409)
            });
            assert!(reply.success(), "{}", reply.message());
            load.note(object["metadata"]["name"].as_str().unwrap(), &Ok(reply.clone()));
            reply.body
        };
        made(&master.core("configmaps"), &kept);
        match self.lookup {
            Lookup::Asked => {
                made(&master.core("pods"), &worker);
            }
            Lookup::Lineage => {
                let job = made(&master.group("batch/v1", "jobs"), &job);
                let owner = json!([{"apiVersion": "batch/v1", "kind": "Job", "name": job["metadata"]["name"],
                                    "uid": job["metadata"]["uid"], "controller": true}]);
                let child = json!({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": container},
                                   "metadata": {"name": format!("child-{name}"), "ownerReferences": owner}});
                assert!(world.admin().post(&master.core("pods"), &child).unwrap().success());
            }
            _ => {}
        }
    }

    /// The request whose verdict needs this lookup.
    fn ask(&self, load: &Load) -> (Outcome, String) {
        let Master { api, pod, .. } = &self.master;
        match self.lookup {
            Lookup::Pod | Lookup::Set | Lookup::Workload => load.create(&self.master, "info"),
            Lookup::Asked => {
                let path = self.master.core(&format!("pods/worker-{pod}/exec?command=id"));
                told(&api.send("POST", &path, "", None).unwrap())
            }
            Lookup::Lineage => {
                let path = self.master.core(&format!("pods/child-{pod}?dryRun=All"));
                told(&api.delete(&path, None).unwrap())
            }
        }
    }

    fn run(&self, world: &World, load: &Load, blinding: bool) {
        world.relay.inject(&[&self.fragment], self.fault);
        let wanted = if blinding { Outcome::Refused } else { Outcome::Admitted };
        // Who asks is believed for a second after the last look, so the fault may take that long to be met.
        let what = format!("{:?} under {:?}", self.lookup, self.fault);
        let begun = Instant::now();
        let message = loop {
            let (outcome, message) = self.ask(load);
            let hits = world.relay.hits(&[&self.fragment]);
            if outcome == wanted && hits > 0 {
                break message;
            }
            if begun.elapsed() > PATIENCE {
                return load.wrong(format!("{what}: met {hits} times, and yet {outcome:?}: {message}"));
            }
        };
        if !blinding {
            return;
        }
        if !message.contains("retinue.fledged.io") {
            load.wrong(format!("{what}: refused by somebody else: {message}"));
        }
        // From here on nothing gets through, whatever is asked.
        let (again, _) = self.ask(load);
        let mut answers = vec![("again", again)];
        if !matches!(self.lookup, Lookup::Asked | Lookup::Lineage) {
            let api = &self.master.api;
            let path = self.master.core(&format!("configmaps/{}", self.kept()));
            answers.push(("change", told(&api.merge(&path, &json!({"data": {"level": "debug"}})).unwrap()).0));
            answers.push(("delete", told(&api.delete(&path, None).unwrap()).0));
            answers.push(("bad", load.create(&self.master, "trace").0));
        }
        for (asked, outcome) in answers {
            if outcome != Outcome::Refused {
                load.wrong(format!("{what}: {asked} was {outcome:?}"));
            }
        }
    }
}

/// What is no refusal of retinue's has passed it: exec ends at a node that there is not.
fn told(reply: &Reply) -> (Outcome, String) {
    let message = reply.message();
    let refused = !reply.success() && message.contains("retinue");
    (if refused { Outcome::Refused } else { Outcome::Admitted }, message)
}

#[test]
fn threat_18_no_fault_of_a_lookup_lets_anything_through_and_nobody_else_notices() {
    let world = World::new(&["--no-floor"]);
    let load = Load::default();
    let cases = |faults: &[Fault], first: usize| -> Vec<Case> {
        let pairs = LOOKUPS.iter().flat_map(|lookup| faults.iter().map(move |fault| (*lookup, *fault)));
        pairs.enumerate().map(|(at, (lookup, fault))| Case::new(&world, &load, first + at, lookup, fault)).collect()
    };
    let bearable = cases(&BEARABLE, 0);
    let blinding = cases(&BLINDING, bearable.len());
    let others = world.others();
    std::thread::scope(|scope| {
        let ending = Ending(&load);
        scope.spawn(|| load.drive_others(&others));
        for case in &bearable {
            case.run(&world, &load, false);
        }
        std::thread::scope(|scope| {
            for case in &blinding {
                let (world, load) = (&world, &load);
                scope.spawn(move || case.run(world, load, true));
            }
        });
        world.relay.heal();
        for case in bearable.iter().chain(&blinding) {
            until("all is well again", || {
                Some(load.create(&case.master, "info")).filter(|(outcome, _)| *outcome == Outcome::Admitted)
            });
        }
        own_dependents(&world, &load);
        drop(ending);
    });
    let stamped = world.judge(&load, &[]);
    let count = |of: &std::sync::atomic::AtomicUsize| of.load(Ordering::SeqCst);
    println!(
        "{} faults of lookups: {} creates admitted, {} refused, {stamped} objects stamped, {} requests of others",
        bearable.len() + blinding.len(),
        count(&load.admitted),
        count(&load.refused),
        count(&load.others)
    );
    assert!(count(&load.others) > 100);
    for case in &blinding {
        let kept = world.admin().get(&case.master.core(&format!("configmaps/{}", case.kept()))).unwrap();
        assert_eq!(kept.body["data"]["level"], "info", "{:?} under {:?}", case.lookup, case.fault);
    }
}

/// An owner that the caller sends, which the watch has not shown yet: it is read live.
fn own_dependents(world: &World, load: &Load) {
    for (number, fault) in BLINDING.iter().enumerate() {
        let master = world.master(&format!("owning-{number}"));
        world.relay.freeze_watches();
        let name = format!("job-owner-{number}");
        let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
            "spec": {"template": {"spec": {"restartPolicy": "Never",
                "containers": [{"name": "main", "image": "registry.example/worker:2"}]}}}});
        let job = until("the Job", || {
            Some(master.api.post(&master.group("batch/v1", "jobs"), &job).unwrap()).filter(Reply::success)
        });
        let owned = |part: &str| {
            let mut report = crate::world::report(part, "info");
            report["metadata"]["ownerReferences"] = json!([{"apiVersion": "batch/v1", "kind": "Job", "name": name,
                                                            "uid": job.body["metadata"]["uid"]}]);
            master.api.post(&format!("/api/v1/namespaces/{NAMESPACE}/configmaps"), &report)
        };
        let good = owned(&format!("owned-{number}"));
        assert_eq!(load.note(&format!("report-owned-{number}"), &good), Outcome::Admitted, "{good:?}");
        let fragment = format!("/jobs/{name} ");
        world.relay.inject(&[&fragment], *fault);
        let bad = owned(&format!("unowned-{number}"));
        assert_eq!(load.note(&format!("report-unowned-{number}"), &bad), Outcome::Refused, "{fault:?}: {bad:?}");
        assert!(world.relay.hits(&[&fragment]) > 0, "{fault:?}");
        world.relay.heal();
    }
}
