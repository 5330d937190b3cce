#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
use kube::client::Body;
use policies::stamp::Record;
use serde_json::{Value, json};

use super::super::Kind;
use super::super::ledger::tests::{create, record};
use super::*;

/// What was asked of the API server: paths with their queries.
type Asked = Arc<Mutex<Vec<String>>>;

/// A client of an API server that gives these pages of Jobs, or refuses.
fn server(pages: Option<Vec<Value>>) -> (Client, Asked) {
    let asked = Asked::default();
    let heard = Arc::clone(&asked);
    let answer = move |request: http::Request<Body>| {
        let mut heard = heard.lock().unwrap();
        let (code, body) = match &pages {
            Some(pages) => (200, pages[heard.len()].clone()),
            None => (403, json!({"kind": "Status", "code": 403, "message": "may not", "status": "Failure"})),
        };
        heard.push(request.uri().to_string());
        let answer = http::Response::builder().status(code).body(Body::from(body.to_string().into_bytes()));
        std::future::ready(answer)
    };
    (Client::new(tower::service_fn(answer), "default"), asked)
}

fn stamped(name: &str, workload: &str) -> Value {
    let mut record: Record = record(workload, "d");
    record.object.name = Some(name.into());
    let annotations = json!({"fledged.io/admission": serde_json::to_string(&record).unwrap()});
    json!({"metadata": {"name": name, "namespace": "trading", "uid": name, "annotations": annotations}})
}

fn dependents() -> Arc<Dependents> {
    let dependents = Dependents::default();
    let gvk = Gvk::new("batch", "v1", "Job");
    let kind = Kind { gvk, resource: Some("jobs".into()), pulse: Arc::default() };
    dependents.kinds.lock().unwrap().insert(("batch".into(), "Job".into()), kind);
    Arc::new(dependents)
}

fn counting(namespaces: &[&str]) -> Counting {
    Counting {
        master: create("eod", "a").master,
        // Through another version than the one that is watched.
        kinds: [Gvk::new("batch", "v1beta1", "Job")].into(),
        namespaces: namespaces.iter().map(ToString::to_string).collect(),
    }
}

#[tokio::test]
async fn threat_58_a_masters_own_dependents_are_counted_and_what_came_to_nothing_ends() {
    let first = json!({"metadata": {"continue": "more"}, "items": [stamped("a", "eod"), stamped("x", "another")]});
    let copy = json!({"metadata": {"name": "copy", "namespace": "trading", "uid": "c",
        "annotations": stamped("a", "eod")["metadata"]["annotations"]}});
    let second = json!({"metadata": {}, "items": [stamped("b", "eod"), copy]});
    let (client, asked) = server(Some(vec![first, second]));
    let dependents = dependents();
    let (now, ledger) = (std::time::Instant::now(), &dependents.ledger);
    let before = now.checked_sub(SETTLE * 2).unwrap();
    for name in ["a", "gone"] {
        ledger.admit(create("eod", name), before);
    }
    ledger.admit(create("eod", "young"), now);
    let mut elsewhere = create("eod", "elsewhere");
    elsewhere.key.namespace = "another".into();
    ledger.admit(elsewhere, before);

    let counted = dependents.count_live(&client, &counting(&["trading", "../kube-system"])).await.unwrap();
    assert_eq!(counted.by_config_map, [(NamespacedName::new("trading", "post-trade"), 2)].into());
    let path = "/apis/batch/v1/namespaces/trading/jobs?limit=200";
    let label = "labelSelector=fledged.io/master%3Dtrading.eod";
    assert_eq!(*asked.lock().unwrap(), [format!("{path}&{label}"), format!("{path}&continue=more&{label}")]);
    let master = create("eod", "a").master;
    let reserved = ledger.places(&master, None, u64::MAX, now)[&NamespacedName::new("trading", "post-trade")].reserved;
    assert_eq!(reserved, 3, "what is there, what is young and what was not looked at stand");
    assert!(ledger.doubts(&master, now));
}

#[tokio::test]
async fn a_count_that_fails_says_why() {
    let (client, _) = server(None);
    let error = dependents().count_live(&client, &counting(&["trading"])).await.unwrap_err().to_string();
    assert!(error.contains("dependents of this master") && error.contains("may not"), "{error}");
}

#[tokio::test]
async fn many_namespaces_are_read_at_once_and_too_many_dependents_not_at_all() {
    let (client, asked) = server(Some(vec![json!({"items": null})]));
    let many = ["a", "b", "c", "d", "trading"];
    dependents().count_live(&client, &counting(&many)).await.unwrap();
    assert!(asked.lock().unwrap()[0].starts_with("/apis/batch/v1/jobs?limit"), "{asked:?}");

    let (client, asked) = server(Some(Vec::new()));
    let full = dependents();
    for number in 0..MOST_LISTED {
        full.ledger.show(create("eod", &number.to_string()).key, &number.to_string(), &record("eod", "d"));
    }
    full.count_live(&client, &counting(&["trading"])).await.unwrap();
    assert!(asked.lock().unwrap().is_empty());
}
