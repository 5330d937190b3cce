//! Requests that no API server sends: each is answered, and is the last of its connection. What an API server does send, and
//! a tenant can make as odd as it likes, closes nothing.
#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]

mod support;

use std::time::Duration;

use serde_json::json;
use support::{Client, Gathers, PREFACE, Setup, Table, config_map, frame, review, start};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
/// What the flags of a request without a body say: it ends, and so do its headers.
const ALL: u8 = 5;

/// `:method: GET` and `:method: POST`, as HPACK writes them; `https`, a path and an authority.
const GET: u8 = 0x82;
const POST: u8 = 0x83;

fn head(method: u8, path: &str) -> Vec<u8> {
    let mut head = vec![method, 0x87, 4, u8::try_from(path.len()).unwrap()];
    head.extend(path.as_bytes());
    head.extend(b"\x01\x01x");
    head
}

/// How many frames of this kind there are.
fn count(mut bytes: &[u8], kind: u8) -> usize {
    let mut counted = 0;
    while let [a, b, c, this, rest @ ..] = bytes {
        counted += usize::from(*this == kind);
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        bytes = rest.get(5 + length..).unwrap_or_default();
    }
    counted
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_59_a_request_that_no_api_server_sends_is_the_last_of_its_connection() {
    let server = start(Setup::default());
    let asked = [(GET, "/healthz"), (GET, "/readyz"), (GET, "/x"), (GET, "/mutate"), (POST, "/x"), (POST, "/")];
    for (method, path) in asked {
        let mut stream = server.tls_from(2, "h2", None).await;
        let mut bytes = PREFACE.to_vec();
        bytes.extend(frame(4, 0, 0, &[]));
        for number in 0..100 {
            bytes.extend(frame(HEADERS, ALL, 2 * number + 1, &head(method, path)));
        }
        stream.write_all(&bytes).await.unwrap();
        stream.flush().await.unwrap();
        let mut answer = Vec::new();
        let _ended = timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await.unwrap();
        assert_eq!(count(&answer, HEADERS), 1, "{path}: one is answered");
        assert!(count(&answer, GOAWAY) >= 1, "{path}: the client is told");
        assert_eq!(count(&answer, HEADERS) + count(&answer, RST_STREAM), 100, "{path}: the others may be sent again");
    }
    for path in ["/healthz", "/x", "/mutate"] {
        let mut stream = server.tls_from(2, "http/1.1", None).await;
        let asked = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").repeat(100);
        stream.write_all(asked.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        let mut answer = String::new();
        let _ended = timeout(Duration::from_secs(20), stream.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.contains("connection: close"), "{path}: {answer}");
        // What was read with its head is answered, and no more is read.
        let answers = answer.matches("HTTP/1.1 ").count();
        assert!(answers < 10, "{path}: {answers} of 100");
    }
    server.stop().await;
}

/// A proxy may send both over one connection.
#[tokio::test(flavor = "multi_thread")]
async fn reviews_that_are_under_way_are_answered_before_a_connection_is_closed() {
    let go = std::sync::Arc::new(tokio::sync::Notify::new());
    let table = Table { gathers: Gathers::Waits(std::sync::Arc::clone(&go)), ..Table::default() };
    let server = start(Setup { table, ..Setup::default() });
    let client = server.client().await;
    let asked = {
        let client = client.clone();
        tokio::spawn(async move { client.ask("/mutate", &review(config_map(json!({})))).await })
    };
    server.until_shown("the review", |text| !text.contains("retinue_review_bytes_in_flight 0\n")).await;
    assert_eq!(client.post("/nowhere", "x".into()).await.0, 404);
    // Longer than a client has to close it; no event tells of that.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    go.notify_one();
    assert_eq!(asked.await.unwrap()["allowed"], true);
    server.stop().await;
}

/// The API server sends reviews of many tenants over one connection: none of them may have it closed.
#[tokio::test(flavor = "multi_thread")]
async fn threat_58_no_review_of_a_tenant_closes_the_connection_of_the_api_server() {
    let server = start(Setup { change: |config| config.limits.body = 100_000, ..Setup::default() });
    let client: Client = server.client().await;
    let reviews = || review(config_map(json!({"a": "b"})));
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let mut odd = reviews();
    odd["request"]["object"] = json!("no object");
    for _ in 0..20 {
        for path in ["/mutate?timeout=5s", "/validate?timeout=5s", "/lint?timeout=5s"] {
            for body in [deep.clone(), "x".repeat(200_000), odd.to_string(), reviews().to_string()] {
                let _any = client.post(path, body.into()).await;
            }
        }
    }
    assert_eq!(client.ask("/mutate", &reviews()).await["allowed"], true, "over the same connection");
    server.stop().await;
}
