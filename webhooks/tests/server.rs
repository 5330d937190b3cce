//! The server as the API server meets it: TLS, HTTP/2, reviews good and bad.
#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use policies::collectable::{Known, Rights};
use policies::object::Gvk;
use serde_json::{Value, json};
use support::{
    Asks, Client, Gathers, Setup, Table, UID, config_map, escaped, labels, panics, reason, refuses, response, review,
    start, wire,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use webhooks::GatherError;

fn small() -> Value {
    review(config_map(json!({"a": "b"})))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_is_stamped_then_validated_over_both_versions_of_http() {
    let table = Table::default();
    let server = start(Setup { table: table.clone(), ..Setup::default() });
    let client = server.client().await;
    let mutated = client.ask("/mutate?timeout=10s", &small()).await;
    assert_eq!((&mutated["allowed"], &mutated["patchType"]), (&json!(true), &json!("JSONPatch")));
    assert_eq!(mutated["auditAnnotations"]["verdict"], "admitted");
    let validated = client.ask("/validate?timeout=10s", &small()).await;
    assert_eq!((&validated["allowed"], validated.get("patch")), (&json!(true), None));
    let body = small().to_string();
    for length in [Some(body.len()), None] {
        let (status, text) = server.post_http1("/mutate", length, body.as_bytes()).await;
        assert_eq!(status, 200, "{text}");
        assert!(text.contains(UID), "{text}");
    }
    assert_eq!(table.told.lock().unwrap().len(), 4, "every verdict is told once");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_verdict_is_the_one_of_policies_unless_a_test_says_otherwise() {
    let server = start(Setup { decide: None, ..Setup::default() });
    let answer = server.client().await.ask("/mutate", &small()).await;
    let (_, message) = reason(&answer);
    assert!(message.contains("retinue refuses to create ConfigMap trading/results"), "{message}");
    assert_eq!((&answer["allowed"], &answer["auditAnnotations"]["verdict"]), (&json!(false), &json!("refused")));
    server.stop().await;
}

/// The issue's list of bad input: each gets one clear message with its uid, and the process goes on.
#[tokio::test(flavor = "multi_thread")]
async fn threat_29_bad_reviews_are_refused_with_their_uid_and_the_process_goes_on() {
    let server = start(Setup::default());
    let client = server.client().await;
    let whole = small().to_string();
    let deep = whole.replace("\"b\"", &format!("{}1{}", "[".repeat(9000), "]".repeat(9000)));
    let cases = [
        ("truncated", whole[..whole.len() - 9].to_owned(), "truncated"),
        ("another version", whole.replace("k8s.io/v1", "k8s.io/v1beta1"), "admissionReviewVersions: [v1]"),
        ("without object", review(Value::Null).to_string(), "Create without object"),
        ("9,000 deep", deep, "nested deeper"),
        ("a key twice", whole.replace("\"a\":\"b\"", "\"a\":\"b\",\"a\":\"c\""), "duplicate key"),
    ];
    for (name, body, expected) in cases {
        for path in ["/mutate", "/validate", "/lint"] {
            let answer = client.ask_text(path, body.clone()).await;
            let (code, message) = reason(&answer);
            assert_eq!((code, &answer["allowed"]), (&json!(400), &json!(false)), "{name} to {path}: {message}");
            assert!(message.contains(expected), "{name} to {path}: {message}");
        }
    }
    for body in ["", "<html>", "{}", r#"{"kind":"AdmissionReview"}"#] {
        let (status, text) = client.post("/mutate", Bytes::from(body)).await;
        assert_eq!(status, 400, "{body}: {text}");
        assert!(text.contains("AdmissionReview"), "{body}: {text}");
        assert_eq!(text.contains("got nothing"), body == "{}", "{body}: {text}");
    }
    assert_eq!(client.ask("/mutate", &small()).await["allowed"], true, "the process goes on");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_megabytes_are_answered() {
    let server = start(Setup { change: |config| config.deadline = Duration::from_secs(60), ..Setup::default() });
    let body = escaped(3) + &" ".repeat(2_000_000);
    assert!(body.len() > 20_000_000);
    let answer = server.client().await.ask_text("/mutate", body).await;
    assert_eq!(answer["allowed"], true, "{answer}");
    server.stop().await;
}

/// Threat 18: a fault at each call is a refusal, with the uid, and with no word of what broke inside.
#[tokio::test(flavor = "multi_thread")]
async fn threat_18_and_19_every_fault_is_a_refusal_and_the_process_lives() {
    let failing = GatherError::Lookup { what: "pod trading/eod-0".into(), reason: "connection refused".into() };
    let stale =
        GatherError::Stale { what: "templates".into(), age: Duration::from_secs(75), bound: Duration::from_secs(60) };
    let table = |gathers| Table { gathers, ..Table::default() };
    let telling = Table { telling_panics: true, ..Table::default() };
    let cases: Vec<(&str, Table, support::Decide, u16, &str)> = vec![
        ("a panic in decide", Table::default(), panics(), 500, "a bug of retinue"),
        ("a panic in gather", table(Gathers::Panics), support::stamps(), 500, "a bug of retinue"),
        ("a panic in tell", telling, support::stamps(), 500, "a bug of retinue"),
        ("a lookup that fails", table(Gathers::Fails(failing)), support::stamps(), 503, "could not look up pod"),
        ("a stale snapshot", table(Gathers::Fails(stale)), support::stamps(), 503, "templates was last known"),
        ("a slow gather", table(Gathers::Never), support::stamps(), 504, "within 300ms"),
    ];
    for (name, table, decide, expected, words) in cases {
        let change = |config: &mut webhooks::server::Config| config.deadline = Duration::from_millis(300);
        let server = start(Setup { table, decide: Some(decide), change, ..Setup::default() });
        let client = server.client().await;
        for path in ["/mutate", "/validate", "/mutate"] {
            let answer = client.ask(path, &small()).await;
            let (code, message) = reason(&answer);
            assert_eq!((&answer["allowed"], code), (&json!(false), &json!(expected)), "{name}: {message}");
            assert!(message.contains(words), "{name}: {message}");
        }
        server.stop().await;
    }
}

/// What is made at the first use of a template may take several turns; who asks is answered once, by the last.
#[tokio::test(flavor = "multi_thread")]
async fn threat_59_a_verdict_that_takes_several_turns_is_given_once_and_one_that_takes_too_many_is_refused_for_now() {
    let table = Table::default();
    let server = start(Setup { table: table.clone(), turns: 5, ..Setup::default() });
    assert_eq!(server.client().await.ask("/mutate", &small()).await["allowed"], true);
    assert_eq!(table.told.lock().unwrap().len(), 1);
    assert_eq!(table.dropped.lock().unwrap().len(), 0);
    server.stop().await;
    let change = |config: &mut webhooks::server::Config| config.deadline = Duration::from_millis(300);
    let server = start(Setup { table: table.clone(), turns: usize::MAX, change, ..Setup::default() });
    let answer = server.client().await.ask("/mutate", &small()).await;
    assert_eq!(reason(&answer).0, 504);
    server.stop().await;
    assert_eq!(table.told.lock().unwrap().len(), 1);
    assert_eq!(table.dropped.lock().unwrap().len(), 1, "what was gathered for it is released");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_over_a_large_review_is_a_refusal_too() {
    let change = |config: &mut webhooks::server::Config| config.deadline = Duration::from_secs(60);
    let server = start(Setup { decide: Some(panics()), change, ..Setup::default() });
    let answer = server.client().await.ask_text("/mutate", escaped(1)).await;
    assert_eq!(reason(&answer).0, 500);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_servers_own_timeout_ends_a_review() {
    let table = Table { gathers: Gathers::Never, ..Table::default() };
    let server = start(Setup { table, ..Setup::default() });
    let answer = server.client().await.ask("/mutate?timeout=1s", &small()).await;
    assert_eq!(reason(&answer).0, 504);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_27_a_dry_run_is_told_to_nobody() {
    let table = Table::default();
    let server = start(Setup { table: table.clone(), ..Setup::default() });
    let mut dry = small();
    dry["request"]["dryRun"] = json!(true);
    let client = server.client().await;
    assert!(client.ask("/mutate", &dry).await["patch"].is_string(), "a dry run is stamped as any other");
    assert!(table.told.lock().unwrap().is_empty());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_27_with_a_client_ca_only_its_clients_are_served() {
    let (ca, key) = support::self_signed("api-server");
    let server = start(Setup { client_ca: Some(ca.clone()), ..Setup::default() });
    let known = Client::over(server.tls("h2", Some((ca, key))).await).await;
    assert_eq!(known.ask("/mutate", &small()).await["allowed"], true);
    // In TLS 1.3 a client learns of its refusal when it reads.
    let mut stranger = server.tls("http/1.1", None).await;
    let mut byte = [0];
    let read = tokio::io::AsyncReadExt::read(&mut stranger, &mut byte).await;
    assert!(read.is_err(), "{read:?}");
    // Of another authority.
    let mut stranger = server.tls("http/1.1", Some(support::self_signed("api-server"))).await;
    let read = tokio::io::AsyncReadExt::read(&mut stranger, &mut byte).await;
    assert!(read.is_err(), "{read:?}");
    let text = server.get("/metrics").await.1;
    for cause in ["none", "certificate"] {
        assert!(text.contains(&format!("retinue_clients_refused_total{{cause=\"{cause}\"}} 1")), "{text}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_answered_before_it_is_ready() {
    let server = start(Setup { conditions: vec!["templates synced", "certificate trusted"], ..Setup::default() });
    let client = server.client().await;
    let answer = client.ask("/mutate", &small()).await;
    let (code, message) = reason(&answer);
    assert_eq!((&answer["allowed"], code), (&json!(false), &json!(503)));
    assert!(message.contains("not ready: certificate trusted: not known yet, templates synced"), "{message}");
    let (status, report) = server.get("/readyz").await;
    assert_eq!((status, server.get("/healthz").await.0), (503, 200));
    assert!(report.contains("[-] templates synced: not known yet"), "{report}");

    server.readiness.set("templates synced", Ok(()));
    assert_eq!(reason(&client.ask("/mutate", &small()).await).0, 503);
    server.readiness.set("certificate trusted", Ok(()));
    assert_eq!(client.ask("/mutate", &small()).await["allowed"], true);
    assert_eq!(server.get("/readyz").await, (200, "[+] certificate trusted\n[+] templates synced\nready\n".into()));

    server.readiness.set("certificate trusted", Err("expired an hour ago".into()));
    let answer = client.ask("/validate", &small()).await;
    assert!(reason(&answer).1.contains("expired an hour ago"), "{answer}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plain_port_answers_no_reviews() {
    let server = start(Setup::default());
    assert_eq!(server.get("/mutate").await.0, 404);
    assert_eq!(server.get("/healthz").await, (200, "ok\n".into()));
    server.stop().await;
}

/// They take no turn there, and cost a stranger nothing. Health is little work, and the doctor asks for it there.
#[tokio::test(flavor = "multi_thread")]
async fn threat_59_the_port_of_reviews_shows_no_metrics_where_another_does() {
    let server = start(Setup::default());
    for (path, status) in [("/metrics", 404), ("/healthz", 200), ("/readyz", 200)] {
        let mut stream = server.tls_from(1, "http/1.1", None).await;
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {answer}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_is_answered_before_the_server_ends() {
    let go = Arc::new(tokio::sync::Notify::new());
    let table = Table { gathers: Gathers::Waits(Arc::clone(&go)), ..Table::default() };
    let server = start(Setup { table, ..Setup::default() });
    let client = server.client().await;
    let asked = tokio::spawn(async move { client.ask("/mutate", &small()).await });
    while server.get("/metrics").await.1.contains("retinue_review_bytes_in_flight 0") {
        tokio::task::yield_now().await;
    }
    server.stop.cancel();
    while server.get("/readyz").await.0 != 503 {
        tokio::task::yield_now().await;
    }
    go.notify_one();
    assert_eq!(asked.await.unwrap()["allowed"], true);
    server.stop().await;
}

/// The Service of a webhook whose pod is to end may name it for a moment longer.
#[tokio::test(flavor = "multi_thread")]
async fn threat_37_one_that_retires_says_so_and_answers_over_new_connections() {
    let server = start(Setup::default());
    assert_eq!(server.get("/readyz").await.0, 200);
    server.readiness.retire();
    assert_eq!((server.get("/readyz").await.0, server.get("/healthz").await.0), (503, 200));
    for _ in 0..3 {
        assert_eq!(server.client().await.ask("/mutate", &small()).await["allowed"], true);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_is_counted_under_closed_words() {
    let server = start(Setup { decide: Some(refuses()), ..Setup::default() });
    let client = server.client().await;
    client.ask("/mutate", &small()).await;
    client.ask("/validate", &review(Value::Null)).await;
    client.ask("/lint", &small()).await;
    server.metrics.set_certificate_expiry(1_800_000_000.0);
    let text = server.get("/metrics").await.1;
    let counted = labels(&text);
    for (line, count) in [
        (r#"retinue_reviews_total{phase="mutating",operation="create",verdict="refused"}"#, "1"),
        (r#"retinue_reviews_total{phase="validating",operation="unknown",verdict="failed"}"#, "1"),
        (r#"retinue_reviews_total{phase="lint",operation="create",verdict="admitted"}"#, "1"),
        (r#"retinue_refusals_total{cause="identity"}"#, "1"),
        (r#"retinue_refusals_total{cause="unreadable"}"#, "1"),
        (r#"retinue_review_seconds_count{phase="mutating"}"#, "1"),
        ("retinue_review_bytes_in_flight", "0"),
        ("retinue_reviews_shed_total", "0"),
        ("retinue_serving_certificate_expiry_timestamp_seconds", "1800000000.0"),
    ] {
        assert_eq!(counted.get(line), Some(&count), "{line} in\n{text}");
    }
    assert!(!text.contains("trading") && !text.contains("eod"), "no names in metrics:\n{text}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_beyond_the_limit_are_refused_with_the_uid_of_their_head() {
    let server = start(Setup { change: |config| config.limits.body = 64 << 10, ..Setup::default() });
    let body = wire(&review(config_map(json!({"text": "x".repeat(80 << 10)})))).into_bytes();
    let (status, text) = server.client().await.post("/mutate", Bytes::from(body.clone())).await;
    let answer = response(&text);
    assert_eq!((status, reason(&answer).0), (200, &json!(413)), "{text}");
    for length in [Some(body.len()), None] {
        let (status, text) = server.post_http1("/mutate", length, &body).await;
        assert_eq!(status, 200, "{text}");
        let said = ["at most 65536 bytes (0.1 MiB) are read", "make the object smaller"];
        assert!(text.contains(UID) && said.iter().all(|words| text.contains(words)), "{text}");
    }
    assert!(server.get("/metrics").await.1.contains("retinue_reviews_shed_total 3"));
    server.stop().await;
}

fn templates(job: &str) -> Value {
    let mut body = review(json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "post-trade", "namespace": "trading", "labels": {"fledged.io/templates": "true"}},
        "data": {"parameters": "run: {type: string, pattern: \"[0-9]{8}\"}\n", "lease.yaml": job},
    }));
    body["request"]["userInfo"]["username"] = json!("admin");
    body
}

const LEASE: &str = "apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: {name: \"post-trade-${run}\"}\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_template_config_map_with_an_error_is_refused_with_key_and_line() {
    // Lint needs no watch: it answers before anything is ready.
    let server = start(Setup { conditions: vec!["templates synced"], ..Setup::default() });
    let client = server.client().await;
    let good = client.ask("/lint", &templates(LEASE)).await;
    assert_eq!((&good["allowed"], good.get("status")), (&json!(true), None), "{good}");

    let answer = client.ask("/lint", &templates(&format!("{LEASE}spec: {{a: ${{run}}}}\n"))).await;
    let (code, message) = reason(&answer);
    assert_eq!((&answer["allowed"], code), (&json!(false), &json!(422)), "{message}");
    assert!(message.starts_with("template ConfigMap post-trade has an error:\n  lease.yaml, line 4: "), "{message}");

    let role = LEASE.replace("coordination.k8s.io/v1", "rbac.authorization.k8s.io/v1").replace("Lease", "ClusterRole");
    assert_eq!(client.ask("/lint", &templates(&role)).await["allowed"], false, "a kind that is never admitted");

    let mut unlabelled = templates("{");
    unlabelled["request"]["object"]["metadata"]["labels"] = json!({});
    assert_eq!(client.ask("/lint", &unlabelled).await["allowed"], true, "no template ConfigMap");
    let mut deleted = templates("{");
    deleted["request"]["operation"] = json!("DELETE");
    deleted["request"]["oldObject"] = deleted["request"]["object"].take();
    assert_eq!(client.ask("/lint", &deleted).await["allowed"], true, "deleting only revokes");
    server.stop().await;
}

/// The webhook on ConfigMaps ignores failures, so our own trouble must look like one and not like a refusal.
#[tokio::test(flavor = "multi_thread")]
async fn our_own_trouble_never_keeps_an_admin_from_editing() {
    let server = start(Setup { lint_panics: true, ..Setup::default() });
    let client = server.client().await;
    let (status, text) = client.post("/lint", wire(&templates(LEASE)).into()).await;
    assert_eq!(status, 500, "{text}");
    assert_eq!(client.post("/lint", wire(&templates(LEASE)).into()).await.0, 500, "and the process goes on");
    server.stop().await;

    let server = start(Setup { lint_asks: Asks::Panics, ..Setup::default() });
    let client = server.client().await;
    assert_eq!(client.post("/lint", wire(&templates(LEASE)).into()).await.0, 500);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_the_collector_lacks_refuses_a_template_and_no_answer_is_a_warning() {
    let lease = Gvk::new("coordination.k8s.io", "v1", "Lease");
    let verbs = [("trading".to_owned(), vec!["delete"])].into();
    let kinds = [(lease, Known::Missing { resource: "leases".into(), verbs })].into();
    let rights = Rights { account: "system:serviceaccount:retinue:retinue-controller".into(), kinds };
    let server = start(Setup { lint_asks: Asks::Says(rights), ..Setup::default() });
    let client = server.client().await;
    let answer = client.ask("/lint", &templates(LEASE)).await;
    let (code, message) = reason(&answer);
    assert_eq!((&answer["allowed"], code), (&json!(false), &json!(422)), "{message}");
    for words in ["lease.yaml, line 1: ", "no right to delete leases.coordination.k8s.io", "rbac.fledged.io/collector"]
    {
        assert!(message.contains(words), "{words:?} is not in {message}");
    }
    server.stop().await;

    let server = start(Setup {
        lint_asks: Asks::Never,
        change: |config| config.deadline = Duration::from_secs(1),
        ..Setup::default()
    });
    let client = server.client().await;
    let answer = client.ask("/lint", &templates(LEASE)).await;
    assert_eq!(answer["allowed"], true, "{answer}");
    let warnings = answer["warnings"].to_string();
    assert!(warnings.contains("lease.yaml, line 1: ") && warnings.contains("no answer in time"), "{warnings}");
    server.stop().await;
}

/// With Nagle's algorithm on, the answer's second segment waits for an acknowledgement that the other side holds back
/// for some 40 ms: ten answers, one after the other, would take at least 400. The fastest of several attempts counts,
/// so that a busy machine does not.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_with_a_patch_does_not_wait_for_nagle() {
    const ATTEMPTS: usize = 8;
    let server = start(Setup::default());
    let client = server.client().await;
    // The kernel acknowledges the first segments of a connection at once.
    for _ in 0..30 {
        client.ask("/mutate", &small()).await;
    }
    let mut fastest = Duration::MAX;
    for _ in 0..ATTEMPTS {
        let started = Instant::now();
        for _ in 0..10 {
            futures::future::join_all(
                (0..4).map(|_| async { assert!(client.ask("/mutate", &small()).await["patch"].is_string()) }),
            )
            .await;
        }
        fastest = fastest.min(started.elapsed());
    }
    assert!(fastest < Duration::from_millis(200), "{fastest:?} for ten rounds of four answers");
    server.stop().await;
}

/// As many as a thread had under way at once before it accepted nobody else for three seconds, and more.
#[tokio::test(flavor = "multi_thread")]
async fn threat_58_connections_that_send_nothing_keep_nobody_from_connecting() {
    let server = start(Setup { change: |config| config.workers = 1, ..Setup::default() });
    let mut idle = Vec::new();
    for _ in 0..400 {
        idle.push(tokio::net::TcpStream::connect(server.address).await.unwrap());
    }
    let started = Instant::now();
    let client = server.client().await;
    assert_eq!(client.ask("/mutate", &small()).await["allowed"], true);
    let took = started.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?} beside {} connections", idle.len());
    server.stop().await;
}
