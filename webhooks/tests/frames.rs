//! Frames without end that are no requests, from a hundred connections: the reviews of another sender come between.
#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use support::{PREFACE, Setup, config_map, frame, review, start};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::{timeout, timeout_at};

/// What a connection begins with, and then repeats.
fn floods() -> [(Vec<u8>, Vec<u8>); 6] {
    let mut preface = PREFACE.to_vec();
    preface.extend(frame(4, 0, 0, &[]));
    // A request whose body does not end: `POST`, `https`, the path, the authority.
    let mut asked = preface.clone();
    asked.extend(frame(1, 4, 1, b"\x83\x87\x04\x07/mutate\x01\x01x"));
    [
        (preface.clone(), frame(8, 0, 0, &[0, 0, 0, 1])),
        (preface.clone(), frame(2, 0, 1, &[0, 0, 0, 0, 16])),
        (preface.clone(), frame(0x77, 0, 0, &[])),
        (preface.clone(), frame(6, 0, 0, b"12345678")),
        (preface, frame(4, 0, 0, &[0, 4, 0, 0, 255, 255])),
        (asked, frame(0, 0, 1, &[])),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_59_frames_that_are_no_requests_keep_no_other_sender_waiting() {
    let server = start(Setup::default());
    let client = server.client().await;
    let (sent, mut flood) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
    let opened = tokio::time::Instant::now() + Duration::from_secs(20);
    for (first, again) in floods() {
        for _ in 0..17 {
            // All of them within 20 s: who comes new is served beside those that flood already.
            let connection = timeout_at(opened, server.tls_from(2, "h2", None)).await.unwrap();
            let (mut read, mut write) = tokio::io::split(connection);
            let (first, block, sent) = (first.clone(), again.repeat((64 << 10) / again.len()), Arc::clone(&sent));
            flood.spawn(async move { while read.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {} });
            flood.spawn(async move {
                let mut written = write.write_all(&first).await;
                while written.is_ok() {
                    written = write.write_all(&block).await;
                    sent.fetch_add(block.len(), Ordering::Relaxed);
                }
            });
        }
    }
    let asks = review(config_map(json!({"a": "b"})));
    let (began, mut slowest) = (Instant::now(), Duration::ZERO);
    for _ in 0..200 {
        let asked = Instant::now();
        let answer = timeout(Duration::from_millis(500), client.ask("/mutate", &asks)).await.unwrap();
        assert_eq!(answer["allowed"], true, "{answer}");
        slowest = slowest.max(asked.elapsed());
    }
    let sent = sent.load(Ordering::Relaxed) >> 20;
    eprintln!("slowest {slowest:?} beside {sent} MiB in {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(10), "on average 50 ms each");
    drop(flood);
    server.stop().await;
}
