//! Connections without end from one address keep nobody at another from connecting, and close nothing but their own.
#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use serde_json::json;
use support::{Client, Harness, Setup, answers_ping, config_map, labels, review, start};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// What one address may have of either sort.
const LIMIT: usize = 200;

fn few(config: &mut webhooks::server::Config) {
    config.workers = 1;
    config.limits.handshakes = LIMIT;
    config.limits.connections = LIMIT;
}

async fn tcp(to: SocketAddr, host: u8) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 0, host], 0)))?;
    socket.connect(to).await
}

/// Keeps `count` connections from 127.0.0.2 open without end, each with nothing but these bytes sent: whatever is closed is
/// opened again. Counts those that were opened.
fn endless(server: &Harness, count: usize, bytes: &'static [u8]) -> (JoinSet<()>, Arc<AtomicUsize>) {
    let opened = Arc::new(AtomicUsize::new(0));
    let mut all = JoinSet::new();
    for _ in 0..count {
        let (to, opened) = (server.address, Arc::clone(&opened));
        all.spawn(async move {
            loop {
                let Ok(mut stream) = tcp(to, 2).await else { continue };
                opened.fetch_add(1, Ordering::SeqCst);
                if stream.write_all(bytes).await.is_ok() {
                    let _ = stream.read(&mut [0]).await;
                }
            }
        });
    }
    (all, opened)
}

async fn is_served(client: &Client) {
    let answer = client.ask("/mutate", &review(config_map(json!({"a": "b"})))).await;
    assert_eq!(answer["allowed"], true, "{answer}");
}

async fn crowded_out(server: &Harness, stage: &str) {
    let counted = format!(r#"retinue_connections_crowded_out_total{{stage="{stage}"}}"#);
    server.until_shown(&counted, |text| labels(text)[counted.as_str()] != "0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_58_idle_connections_without_end_keep_nobody_elsewhere_from_connecting() {
    // Nothing at all, and the beginning of a TLS record that does not go on.
    for bytes in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let server = start(Setup { change: few, ..Setup::default() });
        // Those of before live on, more of them than the flood leaves places.
        let before = join_all((0..LIMIT / 2).map(|_| server.client())).await;
        let (flood, opened) = endless(&server, 5 * LIMIT, bytes);
        crowded_out(&server, "handshake").await;
        for _ in 0..20 {
            let client = timeout(Duration::from_secs(1), server.client()).await.unwrap();
            is_served(&client).await;
        }
        assert!(opened.load(Ordering::SeqCst) > LIMIT);
        join_all(before.iter().map(is_served)).await;
        drop(flood);
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_58_whoever_has_most_connections_open_loses_its_own() {
    let server = start(Setup { change: few, ..Setup::default() });
    let before = join_all((0..LIMIT / 4).map(|_| server.client())).await;
    let mut flood = Vec::new();
    for _ in 0..LIMIT + 20 {
        flood.push(timeout(Duration::from_secs(5), server.tls_from(2, "h2", None)).await.unwrap());
    }
    crowded_out(&server, "open").await;
    join_all(before.iter().map(is_served)).await;
    let after = join_all((0..LIMIT / 4).map(|_| server.client())).await;
    join_all(after.iter().map(is_served)).await;
    // The oldest of them went first: the last is served.
    let mut first = flood.swap_remove(0);
    let ended = timeout(Duration::from_secs(5), first.read_to_end(&mut Vec::new())).await.unwrap();
    assert!(ended.is_err() || ended.is_ok_and(|read| read < 1_000), "it is closed");
    is_served(&Client::over(flood.pop().unwrap()).await).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_58_of_connections_with_many_requests_the_oldest_of_the_address_with_the_most_is_closed() {
    let change = |config: &mut webhooks::server::Config| config.limits.busy_connections = 4;
    let server = start(Setup { change, ..Setup::default() });
    // Two API servers at one address, as behind one that translates.
    let mut honest = Vec::new();
    for _ in 0..2 {
        honest.push(server.begun(1, 100).await);
    }
    let mut few = server.begun(2, 8).await;
    let mut flood = Vec::new();
    for _ in 0..10 {
        flood.push(server.begun(2, 40).await);
    }
    server.until(r#"retinue_connections_crowded_out_total{stage="busy"} 8"#).await;
    for (at, connection) in flood.iter_mut().enumerate() {
        assert_eq!(answers_ping(connection).await, at >= 8, "number {at} of ten: the oldest go");
    }
    assert!(answers_ping(&mut few).await, "with few requests it is none of them");
    for connection in &mut honest {
        assert!(answers_ping(connection).await, "whoever has fewer keeps them");
    }
    server.stop().await;
}

/// A kernel that allows few files must not be what everybody waits for.
#[tokio::test(flavor = "multi_thread")]
async fn threat_58_there_are_never_more_connections_than_the_process_may_open() {
    let server = start(Setup::default());
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let [soft, hard] = [3, 4].map(|at| files.split_whitespace().nth(at).unwrap());
    assert_eq!(soft, hard, "the process may open as many as it can get");
    is_served(&server.client().await).await;
    server.stop().await;
}
