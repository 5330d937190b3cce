#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]

use policies::run::ending::Ending;
use policies::run::job::Job;
use serde_json::{Value, json};

use super::*;

fn pod(name: &str, status: &Value) -> Pod {
    Pod::read(&json!({
        "metadata": {"name": name, "uid": name},
        "spec": {"nodeName": "node-0", "containers": [{"name": "main"}]},
        "status": status,
    }))
}

fn running(name: &str) -> Pod {
    pod(
        name,
        &json!({"phase": "Running", "startTime": "2026-11-20T10:00:02Z",
                "containerStatuses": [{"name": "main", "ready": true, "restartCount": 1, "state": {"running": {}}}]}),
    )
}

fn report(pods: Vec<Pod>, ended: Option<Ending>) -> Report {
    let job = Job::read(&json!({"metadata": {"name": "run-a", "namespace": "trading", "uid": "u"}}));
    Report::new("2026-11-20T10:00:05Z".parse().unwrap(), &job, Some(pods), ended)
}

#[test]
fn a_table_says_where_pods_are_and_why_they_wait() {
    let waiting = pod(
        "run-a-2",
        &json!({"phase": "Pending", "containerStatuses": [{"name": "main", "ready": false, "restartCount": 0,
                "state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off\npulling \u{1b}[31mimage"}}}]}),
    );
    let text = table(&report(vec![running("run-a-1"), waiting], None), Paper::default());
    assert_eq!(
        text,
        "2026-11-20T10:00:05Z  Job trading/run-a running: 2 active, 0 succeeded, 0 failed\n  \
         POD      NODE    PHASE    STARTED    READY  RESTARTS  WHY\n  \
         run-a-1  node-0  Running  10:00:02Z  1/1    1\n  \
         run-a-2  node-0  Pending  -          0/1    0         ImagePullBackOff: Back-off pulling [31mimage\n"
    );
}

#[test]
fn the_end_is_told_before_the_table_and_without_pods_there_is_none() {
    let text = table(&report(Vec::new(), Some(Ending::time_limit(60))), Paper::default());
    assert_eq!(
        text,
        "2026-11-20T10:00:05Z  Job trading/run-a running: 0 active, 0 succeeded, 0 failed\n  \
         time limit: it ran longer than its limit of 60 s\n"
    );
}

#[test]
fn a_table_fits_its_terminal() {
    let long = "post-trade-of-a-very-long-name-".repeat(3);
    let pods: Vec<Pod> = (0..50).map(|index| running(&format!("{long}{index}"))).collect();
    let text = table(&report(pods, None), Paper { size: Some((60, 12)), colour: false });
    assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
    assert!(text.lines().count() < 12, "{text}");
    assert!(text.contains("name-0") && text.ends_with("… and 43 more\n"), "{text}");
    // What succeeded makes room for what goes on.
    let mut pods: Vec<Pod> =
        (0..9).map(|index| pod(&format!("done-{index}"), &json!({"phase": "Succeeded"}))).collect();
    pods.push(running("late"));
    let text = table(&report(pods, None), Paper { size: Some((60, 9)), colour: false });
    assert!(text.contains("late"), "{text}");
}

#[test]
fn colour_is_around_the_line_and_only_where_wanted() {
    let failed = pod("p", &json!({"phase": "Failed"}));
    let plain = table(&report(vec![running("r"), failed.clone()], None), Paper::default());
    assert!(!plain.contains('\u{1b}'));
    let coloured = table(&report(vec![running("r"), failed], None), Paper { size: None, colour: true });
    assert!(coloured.contains("\u{1b}[32m  r") && coloured.contains("\u{1b}[31m  p"), "{coloured}");
}
