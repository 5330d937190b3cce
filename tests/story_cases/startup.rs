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
    let mut printed = Vec::new();
    let mut stage = Stage::new(&installation, "trading", &master, |line| printed.push(line.to_owned()));
    play::play(&mut stage).unwrap();
    assert!(stage.checks() > 35);
    assert_eq!(stage.wrong(), [] as [String; 0], "{}", installation.logs());
    drop(stage);
    let printed = comparable(&printed.join("\n"));
    for (command, answer) in quoted() {
        for line in answer.lines().map(comparable) {
            assert!(printed.contains(&line), "the README shows of {command:?} what the demo does not print: {line}");
        }
    }
}

/// The commands that the README shows from the demo, and their answers. Not of `retinue run`, whose reports are as many as
/// the machine is slow.
fn quoted() -> Vec<(String, String)> {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let is_command = |line: &str| line.starts_with("admin$ ") || line.starts_with("master$ ");
    let mut quoted: Vec<(String, String)> = Vec::new();
    for block in readme.split("```\n").filter(|block| is_command(block)) {
        for line in block.lines() {
            match quoted.last_mut() {
                _ if is_command(line) => quoted.push((line.to_owned(), String::new())),
                Some((_, answer)) => *answer += &format!("{line}\n"),
                None => {}
            }
        }
    }
    quoted.retain(|(command, _)| !command.contains("retinue run"));
    assert!(quoted.len() >= 5, "{quoted:?}");
    quoted
}

/// Words, without what differs from run to run: numbers and uids.
fn comparable(text: &str) -> String {
    let without_uids: Vec<&str> =
        text.split("\"uid\":\"").map(|piece| piece.split_once("\"}").map_or(piece, |(_, rest)| rest)).collect();
    let mut comparable = String::new();
    for word in without_uids.join("").split_whitespace() {
        comparable.push(' ');
        for character in word.chars().map(|character| if character.is_ascii_digit() { '#' } else { character }) {
            if character != '#' || !comparable.ends_with('#') {
                comparable.push(character);
            }
        }
    }
    comparable
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
