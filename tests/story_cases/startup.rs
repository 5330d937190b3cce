//! The demo's play from beginning to end; and a start under fire.

use std::time::{Duration, Instant};

use controlplane::{Options, Reply};
use serde_json::{Value, json};
use story::stage::Stage;
use story::{Installation, Master, manifests, play};

use crate::house::{Cases, binary, object, with};

/// How many template ConfigMaps there are at the start.
const TEMPLATES: usize = 100;
/// From the start of the process to the first right answer, at most: for a debug build on a busy machine.
const SLOWEST: Duration = Duration::from_secs(3);

#[test]
fn threat_37_the_story_of_the_demo_answers_as_it_should_through_an_outage_to_its_end() {
    let installation = Installation::start(binary()).unwrap();
    let master = installation.master("trading").unwrap();
    let mut stage = Stage::new(&installation, "trading", &master, |_| {});
    play::play(&mut stage).unwrap();
    assert!(stage.checks() > 35);
    assert_eq!(stage.wrong(), [] as [String; 0], "{}", installation.logs());
}

/// What one request found.
#[derive(Debug)]
struct Seen {
    after: Duration,
    good: bool,
    reply: Reply,
}

fn fire(master: &Master, since: Instant, good: &Value, bad: &Value) -> [Seen; 2] {
    [(true, good), (false, bad)].map(|(is_good, object)| {
        let reply = master.api.post(&master.core("configmaps?dryRun=All"), object).unwrap();
        Seen { after: since.elapsed(), good: is_good, reply }
    })
}

#[test]
fn from_its_start_with_100_templates_to_its_first_right_answer_it_gives_no_wrong_one() {
    let installation = Installation::installed(Options::api_only().start().unwrap(), binary(), &[]).unwrap();
    installation.cluster.namespace_named("trading").unwrap();
    for number in 1..TEMPLATES {
        let templates =
            manifests::post_trade("trading").replace("name: post-trade\n", &format!("name: post-trade-{number}\n"));
        let made =
            installation.cluster.asker().post("/api/v1/namespaces/trading/configmaps", &object(&templates)).unwrap();
        assert!(made.success(), "{}", made.message());
    }
    installation.cluster.apply(&manifests::post_trade("trading")).unwrap();
    let mut master = installation.bare("trading", "post-trade").unwrap();
    // Each answer counts here.
    master.api = master.api.patient(Duration::ZERO);
    let good = object(&manifests::report("start", "10m"));
    let bad = with(&good, "/data/level", json!("trace"));

    let since = Instant::now();
    let mut seen = Vec::new();
    std::thread::scope(|scope| {
        let starting = scope.spawn(|| installation.start_webhook());
        // Until it says that it is ready, and for a hundred more requests.
        let mut left = 100;
        while left > 0 {
            seen.extend(fire(&master, since, &good, &bad));
            left -= usize::from(starting.is_finished());
            assert!(since.elapsed() < Duration::from_secs(60), "it does not get ready");
        }
        starting.join().unwrap().unwrap();
    });
    let mut cases = Cases::default();
    let first = seen.iter().find(|seen| seen.good && seen.reply.success()).map(|seen| seen.after).unwrap();
    println!("first right answer after {first:?}, {} requests", seen.len());
    cases.holds("the first right answer", first < SLOWEST, format!("{first:?}"));
    for Seen { after, good, reply } in &seen {
        let case = format!("after {after:?}, good: {good}");
        let message = reply.message();
        if *good {
            let unready = message.contains("failed calling webhook") || reply.code == 503;
            let right = if *after < first { unready } else { reply.success() };
            cases.holds(&case, right, format!("{} {message}", reply.code));
        } else {
            cases.holds(&case, !reply.success(), "a bad object was admitted");
            if *after > first {
                cases.refused(&case, reply, &["data.level"]);
            }
        }
    }
    cases.finish();
}
