//! Connections are read in turns: what many of them have sent before a review of another sender delays it by a few requests.
//! What is slow waits for the test's word, so that nothing here depends on how fast the machine is.
#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]

mod support;

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use policies::verdict::{Admission, Ground, Verdict};
use serde_json::json;
use support::{Decide, Setup, answers_ping, by, config_map, frame, labels, review, start, wire};
use tokio::io::AsyncWriteExt;

const CONNECTIONS: usize = 40;
const REQUESTS: u32 = 100;

/// A `POST` of this body over the stream with this number.
fn post(stream: u32, path: &str, body: &[u8]) -> Vec<u8> {
    let mut head = vec![0x83, 0x87, 4, u8::try_from(path.len()).unwrap()];
    head.extend(path.as_bytes());
    // `content-length`, a literal without indexing.
    let length = body.len().to_string();
    head.extend([0x0f, 0x0d, u8::try_from(length.len()).unwrap()]);
    head.extend(length.as_bytes());
    let mut bytes = frame(1, 4, stream, &head);
    bytes.extend(frame(0, 1, stream, body));
    bytes
}

/// How many requests were answered, or wait for that.
fn taken_in(metrics: &str) -> usize {
    let counted = |name: &str, count: &str| {
        if name.starts_with("retinue_reviews_total") { count.parse::<usize>().unwrap() } else { 0 }
    };
    let metrics = labels(metrics);
    let answered: usize = metrics.iter().map(|(name, count)| counted(name, count)).sum();
    // Four KiB are held for each.
    answered + metrics["retinue_review_bytes_in_flight"].parse::<usize>().unwrap() / (4 << 10)
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_59_requests_of_many_connections_that_came_before_delay_another_sender_by_a_few_of_them() {
    let (begun, mut begins) = tokio::sync::mpsc::unbounded_channel();
    let (go_on, leave) = mpsc::channel();
    let leave = Mutex::new(leave);
    let decide: Decide = Arc::new(move |request, _| {
        let _ = begun.send(request.user.username.clone());
        let _ = leave.lock().unwrap().recv_timeout(Duration::from_secs(60));
        Verdict::Admit(Admission::on(Ground::Template))
    });
    let change = |config: &mut webhooks::server::Config| {
        config.workers = 1;
        config.deadline = Duration::from_secs(60);
    };
    let server = start(Setup { decide: Some(decide), change, ..Setup::default() });
    let mut open = Vec::new();
    for host in [&[3, 1][..], &[2; CONNECTIONS]].concat() {
        open.push(server.begun(host, 0).await);
    }
    let whole = |account| post(1, "/mutate", wire(&by(account, review(config_map(json!({"a": "b"}))))).as_bytes());
    open[0].write_all(&whole("first")).await.unwrap();
    assert_eq!(begins.recv().await.unwrap(), "first");
    // The thread that serves is busy with it; the kernel holds all others, and last what the quiet one sends.
    let flood: Vec<u8> = (0..REQUESTS).flat_map(|number| post(2 * number + 1, "/mutate", b"{")).collect();
    for connection in &mut open[2..] {
        connection.write_all(&flood).await.unwrap();
        connection.flush().await.unwrap();
    }
    open[1].write_all(&whole("quiet")).await.unwrap();
    open[1].flush().await.unwrap();
    // The first takes longer than a thread serves in the order of arrival; no event tells of that.
    tokio::time::sleep(Duration::from_millis(20)).await;
    go_on.send(()).unwrap();
    assert_eq!(begins.recv().await.unwrap(), "quiet");
    let before = taken_in(&server.get("/metrics").await.1);
    eprintln!("{before} of {} before", CONNECTIONS * REQUESTS as usize);
    assert!(before < 200, "{before} requests were taken in before the review of the other sender was");
    go_on.send(()).unwrap();
    for connection in &mut open[2..] {
        assert!(answers_ping(connection).await, "all of it is read in the end");
    }
    server.stop().await;
}
