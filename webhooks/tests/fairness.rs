//! Nobody stands in another's path: floods of lints, of dear reviews, of bodies that do not come; beside each, the reviews
//! of another master. What is slow waits for the test's word, so that nothing here depends on how fast the machine is.
#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]

mod support;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use policies::lint::Linted;
use policies::request::Request;
use policies::verdict::{Admission, Ground, Verdict};
use serde_json::{Value, json};
use support::{
    Client, Decide, Harness, Reads, Setup, Table, by, config_map, labels, reason, response, review, start, wire,
};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use webhooks::server::Clock;

/// Work that waits for leave, and says when it begins.
#[derive(Clone)]
struct Slow {
    begun: tokio::sync::mpsc::UnboundedSender<String>,
    leave: Arc<(Mutex<usize>, Condvar)>,
}

/// The test's end of it.
struct Hand {
    begun: tokio::sync::mpsc::UnboundedReceiver<String>,
    leave: Arc<(Mutex<usize>, Condvar)>,
    let_go: Arc<AtomicU64>,
}

fn slow() -> (Slow, Hand) {
    let (begun, seen) = tokio::sync::mpsc::unbounded_channel();
    let leave = Arc::new((Mutex::new(0), Condvar::new()));
    (Slow { begun, leave: Arc::clone(&leave) }, Hand { begun: seen, leave, let_go: Arc::default() })
}

impl Slow {
    fn work(&self, what: &str) {
        let _ = self.begun.send(what.to_owned());
        let (leaves, given) = &*self.leave;
        let mut leaves = given.wait_while(leaves.lock().unwrap(), |leaves| *leaves == 0).unwrap();
        *leaves -= 1;
    }

    /// Lints so.
    fn reads(&self) -> Reads {
        let slow = self.clone();
        Arc::new(move |config_map| {
            slow.work(config_map["metadata"]["namespace"].as_str().unwrap_or_default());
            Linted::default()
        })
    }

    /// Judges so what is large; the rest is admitted at once.
    fn decides(&self) -> Decide {
        let slow = self.clone();
        Arc::new(move |request, _| {
            if is_large(request) {
                slow.work(
                    request.object.as_ref().and_then(|object| object["data"]["from"].as_str()).unwrap_or_default(),
                );
            }
            Verdict::Admit(Admission::on(Ground::Template))
        })
    }
}

impl Hand {
    async fn begun(&mut self) -> String {
        self.begun.recv().await.unwrap()
    }

    /// A clock that moves only when something is let go: what is slow takes as long as the test lets it wait, and what
    /// the server does beside takes no time, however busy the machine is.
    fn clock(&self) -> Clock {
        let let_go = Arc::clone(&self.let_go);
        Arc::new(move || Duration::from_secs(let_go.load(Ordering::SeqCst)))
    }

    fn let_go(&self, count: usize) {
        self.let_go.fetch_add(1, Ordering::SeqCst);
        *self.leave.0.lock().unwrap() += count;
        self.leave.1.notify_all();
    }

    /// Lets what runs go, and then one after the other until this begins: which place it had. Before each the server does all
    /// else that there is to do, so that what was parsed waits for its next turn.
    async fn place(&mut self, of: &str, settled: impl AsyncFn()) -> usize {
        let mut place = 0;
        loop {
            settled().await;
            self.let_go(1);
            place += 1;
            if self.begun().await == of {
                return place;
            }
        }
    }
}

fn is_large(request: &Request) -> bool {
    request
        .object
        .as_ref()
        .is_some_and(|object| object["data"]["text"].as_str().is_some_and(|text| text.len() > 64 << 10))
}

/// One large review is judged at a time, as slowly as this hand lets it, and few wait.
fn one_judge(work: &Slow, hand: &Hand) -> Setup {
    let change = |config: &mut webhooks::server::Config| {
        config.limits.judged_at_once = 1;
        config.limits.judged_waiting = 16;
    };
    Setup { decide: Some(work.decides()), clock: Some(hand.clock()), change, ..Setup::default() }
}

fn small() -> Value {
    review(config_map(json!({"a": "b"})))
}

/// A review so large that it is judged away from the threads that serve, and who really sends it.
fn large(account: &str, from: &str) -> Bytes {
    wire(&by(account, review(config_map(json!({"from": from, "text": "x".repeat(70 << 10)}))))).into()
}

/// A template ConfigMap of 16 KB in a namespace of its author's.
fn templates(namespace: &str) -> Bytes {
    let mut body = review(json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "slow", "namespace": namespace, "labels": {"fledged.io/templates": "true"}},
        "data": {"text": "x".repeat(16_000)},
    }));
    body["request"]["namespace"] = namespace.into();
    wire(&by("author", body)).into()
}

/// Waits until of so many reviews one runs, and the others wait or are answered.
async fn settled(server: &Harness, sent: usize) {
    let known = |text: &str| {
        let counted = |prefix: &str| {
            let counted = labels(text).into_iter().filter(|(name, _)| name.starts_with(prefix));
            counted.map(|(_, count)| count.parse::<usize>().unwrap()).sum::<usize>()
        };
        counted("retinue_reviews_total") + counted(r#"retinue_reviews_waiting{queue="judging"}"#) + 1
    };
    server.until_shown(&format!("{sent} reviews"), |text| known(text) == sent).await;
}

/// Twenty creates of another master, one after the other: each admitted in both phases, within a second.
async fn another_master_is_served(client: &Client) {
    for _ in 0..20 {
        for path in ["/mutate", "/validate"] {
            let answer = timeout(Duration::from_secs(1), client.ask(path, &small())).await.unwrap();
            assert_eq!(answer["allowed"], true, "{answer}");
        }
    }
}

async fn clients(server: &Harness, host: u8, count: usize) -> Vec<Client> {
    join_all((0..count).map(|_| server.client_at(host))).await
}

/// Sends this over each of the clients, so many times at once.
fn flood(
    clients: &[Client],
    path: &'static str,
    body: &Bytes,
    each: usize,
) -> Vec<tokio::task::JoinHandle<(u16, String)>> {
    let one = |client: &Client| {
        let (client, body) = (client.clone(), body.clone());
        tokio::spawn(async move { client.post(path, body).await })
    };
    clients.iter().flat_map(|client| (0..each).map(move |_| one(client))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_54_a_flood_of_lints_keeps_no_review_waiting() {
    let (work, mut hand) = slow();
    let server = start(Setup {
        lint_reads: Some(work.reads()),
        change: |config| {
            config.deadline = Duration::from_secs(2);
            config.limits.lints_waiting = 8;
        },
        ..Setup::default()
    });
    let mut floods = flood(&[server.client_at(2).await], "/lint", &templates("trading"), 1);
    hand.begun().await;
    // While that one runs, from the address of the API server and from another.
    for host in [1, 2] {
        floods.extend(flood(&clients(&server, host, 3).await, "/lint", &templates("trading"), 10));
    }
    another_master_is_served(&server.client().await).await;
    for answer in join_all(floods).await {
        let (status, text) = answer.unwrap();
        assert!([429, 504].contains(&status), "our own trouble is no answer of the review: {status} {text}");
    }
    let metrics = server.get("/metrics").await.1;
    assert!(metrics.contains(r#"retinue_reviews_crowded_out_total{queue="linting"} 52"#), "{metrics}");
    hand.let_go(1);
    server.until(r#"retinue_work_moved_total{queue="linting"} 1"#).await;
    let again = flood(&[server.client().await], "/lint", &templates("trading"), 1);
    hand.let_go(1);
    for answer in join_all(again).await {
        assert_eq!(answer.unwrap().0, 200, "once the slot is free");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_54_an_author_waits_for_no_lint_of_another_author_that_waits() {
    let (work, mut hand) = slow();
    let server = start(Setup { lint_reads: Some(work.reads()), ..Setup::default() });
    // All over one connection, as the API server sends them.
    let client = server.client().await;
    let mut all = flood(std::slice::from_ref(&client), "/lint", &templates("noisy"), 20);
    server.until(r#"retinue_reviews_waiting{queue="linting"} 19"#).await;
    all.extend(flood(std::slice::from_ref(&client), "/lint", &templates("quiet"), 2));
    server.until(r#"retinue_reviews_waiting{queue="linting"} 21"#).await;
    hand.begun().await;
    assert_eq!(hand.place("quiet", async || {}).await, 1, "next, of 21 that wait");
    hand.let_go(100);
    for answer in join_all(all).await {
        let (status, text) = answer.unwrap();
        assert_eq!((status, &response(&text)["allowed"]), (200, &json!(true)), "{text}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_59_a_verdict_that_comes_too_late_is_told_to_nobody() {
    let (work, mut hand) = slow();
    let table = Table::default();
    let change = |config: &mut webhooks::server::Config| config.deadline = Duration::from_millis(500);
    let server = start(Setup { table: table.clone(), decide: Some(work.decides()), change, ..Setup::default() });
    let client = server.client().await;
    // One runs and one waits when the deadline passes, with one thread to judge or with several.
    let all = flood(&[client], "/validate", &large("eod", "eod"), 20);
    hand.begun().await;
    for answer in join_all(all).await {
        let (status, text) = answer.unwrap();
        let answer = response(&text);
        assert_eq!((status, reason(&answer).0), (200, &json!(504)), "{text}");
    }
    hand.let_go(20);
    server.until("retinue_review_bytes_in_flight 0").await;
    let gathered = table.gathered.load(Ordering::SeqCst);
    while table.dropped.lock().unwrap().len() < gathered {
        tokio::task::yield_now().await;
    }
    assert_eq!(table.told.lock().unwrap().len(), 0, "no verdict was given");
    assert_eq!(table.dropped.lock().unwrap().len(), gathered, "what was gathered is given up, once");
    server.stop().await;
}

/// Over the one connection of the API server, and however many of them wait.
#[tokio::test(flavor = "multi_thread")]
async fn threat_59_a_masters_dear_reviews_keep_no_other_master_waiting() {
    let (work, mut hand) = slow();
    let server = start(one_judge(&work, &hand));
    let client = server.client().await;
    let noisy = "system:serviceaccount:noisy:eod";
    let dear = flood(std::slice::from_ref(&client), "/validate", &large(noisy, "noisy"), 40);
    hand.begun().await;
    settled(&server, 40).await;
    another_master_is_served(&client).await;

    let quiet = "system:serviceaccount:quiet:eod";
    let other = flood(std::slice::from_ref(&client), "/validate", &large(quiet, "quiet"), 1);
    settled(&server, 81).await;
    // It is parsed, and then judged: each time it is next after what runs.
    let place = hand.place("quiet", async || settled(&server, 81).await).await;
    assert!(place <= 2, "{place} of 17");
    hand.let_go(100);
    for answer in join_all(other).await {
        assert_eq!(response(&answer.unwrap().1)["allowed"], true);
    }
    for answer in join_all(dear).await {
        let answer = response(&answer.unwrap().1);
        let (code, message) = reason(&answer);
        assert!(answer["allowed"] == true || *code == 429 && message.contains("this sender"), "{answer}");
    }
    server.stop().await;
}

/// The account is what the sender says: from another connection it takes nothing of the master's own turns, whether that
/// comes from another address or not.
#[tokio::test(flavor = "multi_thread")]
async fn threat_58_forged_reviews_in_a_masters_name_take_none_of_its_turns() {
    for host in [1, 2] {
        let (work, mut hand) = slow();
        let server = start(one_judge(&work, &hand));
        let master = "system:serviceaccount:trading:eod";
        let forged = flood(&[server.client_at(host).await], "/validate", &large(master, "forged"), 40);
        hand.begun().await;
        settled(&server, 40).await;
        let real = server.client().await;
        another_master_is_served(&real).await;
        let own = flood(&[real], "/validate", &large(master, "real"), 2);
        settled(&server, 82).await;
        // It is parsed, and then judged: each time it is next after what runs.
        let place = hand.place("real", async || settled(&server, 82).await).await;
        assert!(place <= 2, "{place} of 17");
        hand.let_go(100);
        for answer in join_all(own).await {
            assert_eq!(response(&answer.unwrap().1)["allowed"], true);
        }
        join_all(forged).await;
        server.stop().await;
    }
}

/// Bodies that are announced and do not come hold the room of whoever announced them.
#[tokio::test(flavor = "multi_thread")]
async fn threat_59_bodies_that_do_not_come_take_no_room_of_others() {
    for (length, host) in [(60_000, 1), (60_000, 2), (1_000_000, 1), (1_000_000, 2)] {
        let server = start(Setup { change: |config| config.limits.in_flight = 16 << 20, ..Setup::default() });
        let mut held = Vec::new();
        for client in clients(&server, host, 2).await {
            for _ in 0..200 {
                held.push(client.begin("/validate", length).await);
            }
        }
        // What waited for room has given up.
        let given_up = r#"retinue_reviews_crowded_out_total{queue="bodies"}"#;
        server.until_shown(given_up, |text| labels(text)[given_up] != "0").await;
        for host in [1, 3] {
            let client = server.client_at(host).await;
            another_master_is_served(&client).await;
            let (status, text) = client.post("/validate", large("eod", "eod")).await;
            assert_eq!((status, &response(&text)["allowed"]), (200, &json!(true)), "{text}");
        }
        drop(held);
        server.stop().await;
    }
}

/// Some tens of addresses, one after the other, each with all that it gets: neither the places of requests nor the room of
/// bodies is theirs alone.
#[tokio::test(flavor = "multi_thread")]
async fn threat_59_addresses_that_hold_all_they_can_leave_one_that_holds_nothing_its_share() {
    let few = |config: &mut webhooks::server::Config| {
        config.limits.requests = 512;
        config.limits.in_flight = 16 << 20;
    };
    for length in [10, 60_000, 1_000_000] {
        let server = start(Setup { change: few, ..Setup::default() });
        let mut held = Vec::new();
        for host in 10..70 {
            let client = server.client_at(host).await;
            for _ in 0..80 {
                held.push(client.begin("/validate", length).await);
            }
        }
        for host in [1, 3, 250] {
            let client = server.client_at(host).await;
            another_master_is_served(&client).await;
            let (status, text) =
                timeout(Duration::from_secs(2), client.post("/validate", large("eod", "eod"))).await.unwrap();
            assert_eq!((status, &response(&text)["allowed"]), (200, &json!(true)), "{text}");
        }
        drop(held);
        server.stop().await;
    }
}

/// What is judged at once, on the thread that serves: in turns once there is more than the thread can do.
#[tokio::test(flavor = "multi_thread")]
async fn threat_59_a_flood_of_small_reviews_delays_another_master_by_a_few_of_them() {
    let (work, mut hand) = slow();
    let decide: Decide = Arc::new(move |request, _| {
        work.work(&request.user.username);
        Verdict::Admit(Admission::on(Ground::Template))
    });
    let change = |config: &mut webhooks::server::Config| {
        config.workers = 1;
        config.deadline = Duration::from_secs(60);
    };
    let server = start(Setup { decide: Some(decide), change, ..Setup::default() });
    let [noisy, quiet] = ["system:serviceaccount:noisy:eod", "quiet"]
        .map(|account| http1(&wire(&by(account, review(config_map(json!({"a": "b"})))))));
    // One thread serves all of them, so each has ended its handshake before the first review.
    let mut quiets = server.tls("http/1.1", None).await;
    let mut floods = Vec::new();
    for _ in 0..60 {
        floods.push(server.tls_from(2, "http/1.1", None).await);
    }
    for (at, flood) in floods.iter_mut().enumerate() {
        flood.write_all(&noisy).await.unwrap();
        flood.flush().await.unwrap();
        if at == 0 {
            hand.begun().await;
        }
    }
    // The thread is busy with the first; the kernel holds all others, and then this.
    quiets.write_all(&quiet).await.unwrap();
    quiets.flush().await.unwrap();
    // The first takes longer than a thread serves in the order of arrival; no event tells of that.
    tokio::time::sleep(Duration::from_millis(20)).await;
    let place = hand.place("quiet", async || {}).await;
    assert!(place <= 8, "it was served as number {place} of 60");
    hand.let_go(100);
    server.stop().await;
}

/// A review as HTTP/1.1 sends it.
fn http1(body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST /mutate HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}
