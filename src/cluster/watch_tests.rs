#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
use std::collections::VecDeque;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use kube::client::Body;
use serde_json::json;

use super::*;

#[test]
fn selectors_and_tokens_survive_the_uri() {
    let watched = Watched::new("v1", "ConfigMap", "configmaps").labelled("fledged.io/templates=true");
    let uri = watched.request(&[("continue", "a+b=&c")]).unwrap().uri().to_string();
    assert_eq!(uri, "/api/v1/configmaps?continue=a%2Bb%3D%26c&labelSelector=fledged.io/templates%3Dtrue");
    let one = Watched::new("apps/v1", "Deployment", "deployments").named("eod");
    let uri = one.request(&[("limit", "1")]).unwrap().uri().to_string();
    assert_eq!(uri, "/apis/apps/v1/deployments?limit=1&fieldSelector=metadata.name%3Deod");
    let uri = Watched::new("apps/v1", "Deployment", "deployments").request(&[]).unwrap().uri().to_string();
    assert_eq!(uri, "/apis/apps/v1/deployments?");
}

#[test]
fn an_empty_list_of_metadata_has_null_for_items() {
    for text in [
        r#"{"metadata": {"resourceVersion": "7"}, "items": null}"#,
        r#"{"metadata": {"resourceVersion": "7"}, "items": []}"#,
        r#"{"metadata": {"resourceVersion": "7"}}"#,
    ] {
        let page: Page<Value> = serde_json::from_str(text).unwrap();
        assert_eq!((page.metadata.resource_version.as_str(), page.items.unwrap_or_default().len()), ("7", 0));
    }
}

#[test]
fn threat_32_a_snapshot_is_stale_before_its_first_list_and_a_minute_after_its_last_proof_of_life() {
    let pulse = Pulse::default();
    assert!(pulse.fresh("configmaps").is_err());
    pulse.beat(Instant::now());
    assert_eq!(pulse.fresh("configmaps"), Ok(()));
    let old = Pulse::default();
    old.beat(Instant::now() - STALE_AFTER - Duration::from_secs(1));
    old.ail("connection refused".into());
    let error = old.fresh("configmaps").unwrap_err().to_string();
    assert!(error.contains("61 s old") && error.contains("connection refused"), "{error}");
}

#[test]
fn pauses_are_never_zero_and_never_longer_than_asked() {
    for _ in 0..100 {
        let pause = jittered(FIRST_PAUSE);
        assert!(pause >= FIRST_PAUSE / 2 && pause <= FIRST_PAUSE, "{pause:?}");
    }
}

/// Answers each request with the next of these, and remembers what was asked.
#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<VecDeque<(u16, String)>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl tower::Service<http::Request<Body>> for Script {
    type Response = http::Response<Body>;
    type Error = std::io::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        self.asked.lock().unwrap().push(request.uri().to_string());
        let answer = self.answers.lock().unwrap().pop_front();
        Box::pin(async move {
            match answer {
                Some((code, body)) => {
                    Ok(http::Response::builder().status(code).body(Body::from(body.into_bytes())).unwrap())
                }
                // The script is over: a server that is silent.
                None => std::future::pending().await,
            }
        })
    }
}

/// What `follow` tells, and what it asks, under these answers. Ends when the server falls silent.
async fn played(answers: &[(u16, Value)]) -> (Vec<Change<String>>, Vec<String>, Arc<Pulse>) {
    played_at(Pulse::default(), answers).await
}

async fn played_at(pulse: Pulse, answers: &[(u16, Value)]) -> (Vec<Change<String>>, Vec<String>, Arc<Pulse>) {
    let script = Script::default();
    // A stream of events is a line each.
    let text = |body: &Value| match body.as_array() {
        Some(lines) => lines.iter().map(|line| format!("{line}\n")).collect(),
        None => body.to_string(),
    };
    script.answers.lock().unwrap().extend(answers.iter().map(|(code, body)| (*code, text(body))));
    let client = Client::new(script.clone(), "default");
    let (out, mut told) = mpsc::channel(64);
    let pulse = Arc::new(pulse);
    let following =
        tokio::spawn(follow::<Value>(client, Watched::new("v1", "ConfigMap", "configmaps"), Arc::clone(&pulse), out));
    let mut changes = Vec::new();
    let silent = Duration::from_secs(4);
    while let Ok(Some(news)) = tokio::time::timeout(silent, told.recv()).await {
        let name = |object: Value| object["metadata"]["name"].as_str().unwrap().to_owned();
        changes.push(match news.change {
            Change::Begin => Change::Begin,
            Change::Listed(object) => Change::Listed(name(object)),
            Change::Complete => Change::Complete,
            Change::Applied(object) => Change::Applied(name(object)),
            Change::Removed(object) => Change::Removed(name(object)),
            Change::Alive => Change::Alive,
        });
    }
    following.abort();
    let asked = script.asked.lock().unwrap().clone();
    (changes, asked, pulse)
}

fn object(name: &str, version: &str) -> Value {
    json!({"metadata": {"name": name, "resourceVersion": version}})
}

fn listing(version: &str, more: &str, names: &[&str]) -> (u16, Value) {
    let items: Vec<Value> = names.iter().map(|name| object(name, "1")).collect();
    (200, json!({"metadata": {"resourceVersion": version, "continue": more}, "items": items}))
}

fn from_version(asked: &str) -> Option<&str> {
    asked.split('&').find_map(|part| part.strip_prefix("resourceVersion="))
}

#[tokio::test(start_paused = true)]
async fn a_watch_is_resumed_where_it_ended() {
    let events = json!([
        {"type": "ADDED", "object": object("b", "8")},
        {"type": "DELETED", "object": object("a", "9")},
        {"type": "BOOKMARK", "object": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"resourceVersion": "11"}}},
    ]);
    let (changes, asked, _) = played(&[listing("7", "", &["a"]), (200, events), listing("12", "", &[])]).await;
    let told = |name: &str| name.to_owned();
    assert_eq!(
        changes,
        [
            Change::Begin,
            Change::Listed(told("a")),
            Change::Complete,
            Change::Applied(told("b")),
            Change::Removed(told("a")),
            Change::Alive,
        ],
    );
    let versions: Vec<_> = asked.iter().map(|asked| from_version(asked)).collect();
    assert_eq!(versions[..4], [None, Some("7"), None, Some("11")]);
    assert!(asked[2].contains("limit=1"), "{asked:?}");
}

/// A server sends no bookmarks while nothing of the kind changes: seen on 1.36, where a quiet cluster made every
/// snapshot stale after a minute.
#[tokio::test(start_paused = true)]
async fn a_quiet_kind_gives_proof_of_life_all_the_same() {
    let quiet = || (200, json!([]));
    let [begin, complete, alive] = [Change::Begin, Change::Complete, Change::Alive];
    // Nothing at all has changed since: that is proof.
    let (changes, ..) = played(&[listing("7", "", &[]), quiet(), listing("7", "", &[]), quiet()]).await;
    assert_eq!(changes, [begin.clone(), complete.clone(), alive.clone()]);
    // Something else has changed: a bookmark follows.
    let bookmark = json!([
        {"type": "BOOKMARK", "object": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"resourceVersion": "9"}}},
    ]);
    let (changes, asked, _) =
        played(&[listing("7", "", &[]), quiet(), listing("9", "", &[]), (200, bookmark), listing("9", "", &[])]).await;
    assert_eq!(changes, [begin.clone(), complete.clone(), alive.clone(), alive]);
    assert_eq!(from_version(&asked[5]), Some("9"), "{asked:?}");
    // None follows: the list is read again.
    let (changes, ..) =
        played(&[listing("7", "", &[]), quiet(), listing("9", "", &[]), quiet(), listing("9", "", &["a"])]).await;
    assert_eq!(changes, [begin.clone(), complete.clone(), begin, Change::Listed("a".to_owned()), complete]);
}

#[tokio::test(start_paused = true)]
async fn where_no_verdict_goes_by_it_a_quiet_watch_asks_for_nothing_but_itself() {
    let quiet = || (200, json!([]));
    let news = (200, json!([{"type": "ADDED", "object": object("b", "8")}]));
    let (changes, asked, pulse) =
        played_at(Pulse::unhurried(), &[listing("7", "", &[]), quiet(), news, quiet(), quiet()]).await;
    assert_eq!(changes, [Change::Begin, Change::Complete, Change::Applied("b".to_owned())]);
    assert!(asked[1..].iter().all(|asked| asked.contains("watch=true&")), "{asked:?}");
    let versions: Vec<_> = asked.iter().map(|asked| from_version(asked)).collect();
    assert_eq!(versions[..5], [None, Some("7"), Some("7"), Some("8"), Some("8")]);
    pulse.beat(Instant::now() - STALE_AFTER * 2);
    assert_eq!(pulse.fresh("configmaps"), Ok(()), "what was read once is fresh");
}

#[tokio::test(start_paused = true)]
async fn a_list_is_read_page_by_page_and_is_complete_only_at_its_end() {
    let pages = [listing("7", "more", &["a"]), (500, json!({"code": 500, "message": "no", "status": "Failure"}))];
    let (changes, asked, pulse) = played(&pages).await;
    assert!(!changes.contains(&Change::Complete), "{changes:?}");
    assert!(asked[1].contains("continue=more"));
    assert!(pulse.trouble().is_some() && pulse.age().is_none());
}

#[tokio::test(start_paused = true)]
async fn threat_18_after_any_trouble_the_list_is_read_again() {
    let gone = json!({"kind": "Status", "status": "Failure", "code": 410, "reason": "Expired", "message": "too old"});
    for trouble in [
        (200, json!([{"type": "ERROR", "object": gone}])),
        (410, gone.clone()),
        (200, json!(["no event"])),
        (200, json!([{"type": "ADDED", "object": {"metadata": {"name": "without version"}}}])),
        (403, json!({"kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden", "message": "no"})),
    ] {
        let (changes, asked, _) = played(&[listing("7", "", &["a"]), trouble.clone(), listing("9", "", &["b"])]).await;
        let completes = changes.iter().filter(|change| **change == Change::Complete).count();
        assert_eq!(completes, 2, "{trouble:?}: {changes:?}");
        assert_eq!(from_version(&asked[2]), None, "{trouble:?}: {asked:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_is_given_up() {
    let (_, asked, pulse) = played(&[]).await;
    assert_eq!(asked.len(), 1);
    assert!(pulse.age().is_none());
    // Four silent seconds are not enough to give up a list; its own deadline is.
    let script = Script::default();
    let client = Client::new(script.clone(), "default");
    let (out, mut told) = mpsc::channel::<News<Value>>(64);
    let pulse = Arc::new(Pulse::default());
    let following =
        tokio::spawn(follow(client, Watched::new("v1", "ConfigMap", "configmaps"), Arc::clone(&pulse), out));
    tokio::time::sleep(LIST_DEADLINE + Duration::from_secs(1)).await;
    assert_eq!(pulse.trouble().as_deref(), Some("no answer in time"));
    assert!(script.asked.lock().unwrap().len() > 1, "it tries again");
    told.close();
    tokio::time::timeout(Duration::from_secs(60), following).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn where_only_changes_count_nothing_is_listed() {
    let script = Script::default();
    let event = json!({"type": "ADDED", "object": object("b", "8")});
    script.answers.lock().unwrap().extend([(200, listing("7", "", &[]).1.to_string()), (200, format!("{event}\n"))]);
    let (out, mut told) = mpsc::channel::<News<Value>>(64);
    let watched = Watched::new("v1", "ConfigMap", "configmaps").changes_only();
    let following =
        tokio::spawn(follow(Client::new(script.clone(), "default"), watched, Arc::new(Pulse::unhurried()), out));
    assert_eq!(told.recv().await.unwrap().change, Change::Complete);
    assert!(matches!(told.recv().await.unwrap().change, Change::Applied(_)));
    following.abort();
    let asked = script.asked.lock().unwrap().clone();
    assert!(asked[0].contains("limit=1") && asked[0].contains("selects-nothing"), "{asked:?}");
    assert_eq!(from_version(&asked[1]), Some("7"));
    assert!(!asked[1].contains("selects-nothing"), "{asked:?}");
}
