//! What a client makes the server hold over HTTP/2 is bounded: bodies that nobody reads, answers that the client does not
//! read, headers that unpack to a thousand times their size. Alone in its process, whose memory it measures; frames are
//! written by hand, so that the client holds nothing.
#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]

mod support;

use std::time::Duration;

use serde_json::json;
use support::{Harness, PREFACE, Setup, config_map, frame, review, start};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

const HEADERS: u8 = 1;
const DATA: u8 = 0;
const SETTINGS: u8 = 4;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// The preface, and that no answer is wanted yet.
fn preface() -> Vec<u8> {
    let mut bytes = PREFACE.to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]));
    bytes
}

/// `method` and `path`, as HPACK writes them without a table.
fn head(method: &str, path: &str) -> Vec<u8> {
    let mut head = Vec::new();
    for (name, value) in [(2, method), (4, path), (1, "localhost"), (7, "https")] {
        // A literal without indexing, its name from the static table.
        head.extend([name, u8::try_from(value.len()).unwrap()]);
        head.extend(value.as_bytes());
    }
    head
}

/// MiB that this process holds now.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() >> 10
}

/// The stream's id of the request with this number.
fn id(number: u32) -> u32 {
    2 * number + 1
}

/// Sends what `requests` makes of each number, over so many connections, until the server takes no more. The most that was
/// held meanwhile, MiB above what was held before.
async fn held(server: &Harness, connections: usize, count: u32, request: impl Fn(u32) -> Vec<u8>) -> u64 {
    let before = resident();
    let mut most = before;
    let mut open = Vec::new();
    for _ in 0..connections {
        let stream = server.tls_from(2, "h2", None).await;
        let (mut read, mut write) = tokio::io::split(stream);
        let reading = tokio::spawn(async move { while read.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {} });
        write.write_all(&preface()).await.unwrap();
        for number in 0..count {
            // It takes no more, or has closed the connection.
            if !matches!(timeout(Duration::from_millis(500), write.write_all(&request(number))).await, Ok(Ok(()))) {
                break;
            }
            if number % 64 == 0 {
                most = most.max(resident());
            }
        }
        let _ = timeout(Duration::from_millis(500), write.flush()).await;
        most = most.max(resident());
        open.push((write, reading));
    }
    let answer = server.client().await.ask("/mutate", &review(config_map(json!({"a": "b"})))).await;
    assert_eq!(answer["allowed"], true, "{answer}");
    most.max(resident()) - before
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_58_what_a_client_makes_the_server_hold_is_bounded() {
    // Where there is no plain port, that of reviews answers with more than it is asked.
    let server = start(Setup { change: |config| config.plain = None, ..Setup::default() });
    let get = head("GET", "/metrics");
    let unread = held(&server, 4, 20_000, |number| frame(HEADERS, END_HEADERS | END_STREAM, id(number), &get)).await;
    assert!(unread < 100, "answers that nobody reads: {unread} MiB");

    let headers = held(&server, 4, 500, |number| {
        let mut block = head("POST", "/validate");
        if number == 0 {
            // Into the table, as its entry 62.
            block.extend(b"\x40\x01a\x01b");
        }
        block.extend([0x80 | 62; 16_000]);
        frame(HEADERS, END_HEADERS, id(number), &block)
    })
    .await;
    assert!(headers < 100, "headers that unpack: {headers} MiB");

    let post = head("POST", "/validate");
    let chunk = [b' '; 16_000];
    let bodies = held(&server, 16, 200, |number| {
        let mut bytes = frame(HEADERS, END_HEADERS, id(number), &post);
        for _ in 0..16 {
            bytes.extend(frame(DATA, 0, id(number), &chunk));
        }
        bytes
    })
    .await;
    // Three quarters of the bytes in flight are one address's at most; those which wait hold a window each.
    assert!(bodies < 300, "bodies that nobody reads: {bodies} MiB");
    eprintln!("held: {unread} MiB of answers, {headers} MiB of headers, {bodies} MiB of bodies");
    server.stop().await;
}
