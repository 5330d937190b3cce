//! Threat 28: many of the largest legal reviews at once. Alone in its process, whose memory it measures.
#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]

mod support;

use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use serde_json::json;
use support::{Setup, config_map, escaped, reason, response, review, start};

/// The most that this process ever held, MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() >> 10
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_28_a_flood_of_large_reviews_is_answered_or_shed_within_a_memory_bound() {
    let server = start(Setup { change: |config| config.deadline = Duration::from_secs(60), ..Setup::default() });
    let text = escaped(3);
    assert!(text.len() > 17_000_000);
    let body = Bytes::from(text);
    let clients = join_all((0..4).map(|_| server.client())).await;
    let small = server.client().await;

    let flood = join_all((0..64).map(|n| clients[n % clients.len()].post("/validate", body.clone())));
    // Small ones go their own way meanwhile.
    let others = async {
        for _ in 0..20 {
            let answer = small.ask("/mutate", &review(config_map(json!({})))).await;
            assert_eq!(answer["allowed"], true, "{answer}");
        }
    };
    let (answers, ()) = futures::join!(flood, others);

    let mut admitted = 0;
    for (status, text) in &answers {
        assert_eq!(*status, 200, "{text}");
        let answer = response(text);
        if answer["allowed"] == true {
            admitted += 1;
        } else {
            let (code, message) = reason(&answer);
            assert_eq!(code, 429, "{message}");
            assert!(message.contains("busy"), "{message}");
            assert_eq!(answer["status"]["details"]["retryAfterSeconds"], 1);
        }
    }
    let peak = peak();
    eprintln!("{admitted} of 64 admitted, peak {peak} MiB");
    assert!(admitted > 0, "some of them fit");
    assert!(peak < 512, "the process held {peak} MiB");
    assert!(server.get("/metrics").await.1.contains("retinue_review_bytes_in_flight 0"), "all room was given back");
    server.stop().await;
}
