//! What the server keeps of connections over HTTP/2 is bounded, though of each it grows with the requests that were under way
//! at once. Alone in its process, whose memory it measures; frames are written by hand, so that the client holds little.
#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]

mod support;

use serde_json::json;
use support::{Setup, config_map, frame, labels, review, start};
use tokio::io::AsyncWriteExt;

const CLOSED: &str = r#"retinue_connections_crowded_out_total{stage="busy"}"#;

/// MiB that this process holds now.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() >> 10
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_58_a_thousand_connections_that_had_many_requests_at_once_hold_little() {
    let server = start(Setup::default());
    let before = resident();
    let (mut open, mut most) = (Vec::new(), 0);
    for number in 0..1_000 {
        // Of ten addresses: fewer than are closed at any other bound.
        let mut connection = server.begun(u8::try_from(2 + number % 10).unwrap(), 120).await;
        // They end at once, and what was needed for them is kept.
        let resets: Vec<_> = (0..120).flat_map(|number| frame(3, 0, 2 * number + 1, &[0, 0, 0, 8])).collect();
        let _closed = connection.write_all(&resets).await.and(connection.flush().await);
        open.push(connection);
        most = most.max(resident());
    }
    let answer = server.client().await.ask("/mutate", &review(config_map(json!({"a": "b"})))).await;
    assert_eq!(answer["allowed"], true, "{answer}");
    let held = most.max(resident()) - before;
    eprintln!("{held} MiB for {} connections", open.len());
    assert!(held < 100, "{held} MiB");
    assert!(labels(&server.get("/metrics").await.1)[CLOSED].parse::<usize>().unwrap() >= 800);
    server.stop().await;
}
