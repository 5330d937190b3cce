//! The inputs that stopped the webhook once, without end, with the templates and verdicts of `policies`: the reviews of
//! another master beside them are all admitted, each within a second.
#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]

#[path = "support/inputs.rs"]
mod inputs;
mod support;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use policies::caller::{Caller, CallerPod, Unidentified, Wish};
use policies::library::{Library, TemplateSet};
use policies::object::{NamespacedName, ObjectRef};
use policies::verdict::Situation;
use serde_json::{Value, json};
use support::{Client, Harness, Setup, Situates, Table, by, config_map, review, start, wire};
use tokio::time::timeout;

fn template_config_map(name: &str, data: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": name, "namespace": "trading", "uid": "u", "resourceVersion": "1",
            "labels": {"fledged.io/templates": "true"}, "annotations": {"fledged.io/masters": "eod,noisy"},
        },
        "data": data,
    })
}

/// Masters of the namespace: each uses the template ConfigMap that is named like its account.
fn situates() -> Situates {
    situates_with(template_config_map("noisy", inputs::template_of_variables()))
}

/// With this ConfigMap beside that of `eod`.
fn situates_with(other: Value) -> Situates {
    let quiet = template_config_map(
        "eod",
        json!({"cm.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: results}\ndata: {a: b}\n"}),
    );
    let sets = [quiet, other].map(|config_map| {
        let set = TemplateSet::load(&config_map);
        assert_eq!(set.errors().count(), 0, "{:?}", set.errors().collect::<Vec<_>>());
        Arc::new(set)
    });
    let library: Arc<Library> = Arc::new(sets.into_iter().collect());
    Arc::new(move |request| {
        let now = "2026-11-30T12:00:00Z".parse().unwrap();
        let mut situation = Situation::unknown(now, Unidentified::NoAccount(String::new()));
        let name = request.user.username.rsplit(':').next().unwrap();
        let owner = |kind: &str| ObjectRef {
            api_version: "apps/v1".into(),
            kind: kind.into(),
            name: name.into(),
            uid: kind.into(),
        };
        situation.library = Arc::clone(&library);
        situation.caller = Ok(Caller {
            account: NamespacedName::new("trading", name),
            pod: CallerPod { name: format!("{name}-0"), uid: "p".into(), ip: None, terminating: false },
            chain: vec![owner("ReplicaSet"), owner("Deployment")],
            wish: Wish { manifests: vec![NamespacedName::new("trading", name)], ..Wish::default() },
            deadline: None,
        });
        situation
    })
}

fn twice() -> Bytes {
    let mut body = review(inputs::pod_of_variables());
    let request = &mut body["request"];
    request["kind"] = json!({"group": "", "version": "v1", "kind": "Pod"});
    request["resource"] = json!({"group": "", "version": "v1", "resource": "pods"});
    request["name"] = "p".into();
    wire(&by("system:serviceaccount:trading:noisy", body)).into()
}

fn ambiguous() -> Bytes {
    wire(&by("author", review(template_config_map("slow", inputs::ambiguous())))).into()
}

/// Sends this over and over, so many at once, until the test ends.
fn endless(client: &Client, path: &'static str, body: &Bytes, at_once: usize) {
    for _ in 0..at_once {
        let (client, body) = (client.clone(), body.clone());
        tokio::spawn(async move {
            loop {
                client.post(path, body.clone()).await;
            }
        });
    }
}

/// Beside this flood, from the connection that another master's reviews come by, from others of its address, and from
/// another address.
async fn another_master_is_served_beside(path: &'static str, body: Bytes) {
    let server: Harness = start(Setup {
        table: Table { situation: Some(situates()), ..Table::default() },
        decide: None,
        ..Setup::default()
    });
    let client = server.client().await;
    let small = review(config_map(json!({"a": "b"})));
    let first = client.ask("/mutate", &small).await;
    assert_eq!(first["allowed"], true, "{first}");

    endless(&client, path, &body, 2);
    for host in [1, 2] {
        endless(&server.client_at(host).await, path, &body, 2);
    }
    let queue = if path == "/lint" { "linting" } else { "judging" };
    server
        .until_shown("a flood", |text| {
            !text.contains(&format!("retinue_reviews_waiting{{queue=\"{queue}\"}} 0\n"))
                || !text.contains(&format!("retinue_work_moved_total{{queue=\"{queue}\"}} 0\n"))
        })
        .await;
    for _ in 0..100 {
        let answer = timeout(Duration::from_secs(1), client.ask("/mutate", &small)).await.unwrap();
        assert_eq!(answer["allowed"], true, "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_54_sixteen_kilobytes_of_holes_sent_to_lint_keep_no_review_waiting() {
    another_master_is_served_beside("/lint", ambiguous()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_59_pods_of_nine_thousand_variables_keep_no_other_master_waiting() {
    another_master_is_served_beside("/mutate?timeout=5s", twice()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_59_templates_that_take_long_to_compile_keep_no_thread_that_judges() {
    let rows: String = (0..13_000).map(|at| format!("    - name: ${{app}}_{at}\n      value: x\n")).collect();
    let pod = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec:\n  containers:\n  - name: main\n    image: \
         registry.example/a:1\n    env:\n{rows}"
    );
    let parameters = "app: {type: string, pattern: '[a-z0-9]+'}\n";
    // Two that are large, and another kind's, which nobody asks for.
    let other = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n";
    let data = json!({"parameters": parameters, "a.yaml": pod, "b.yaml": pod, "c.yaml": other});
    let server = start(Setup {
        table: Table { situation: Some(situates_with(template_config_map("noisy", data))), ..Table::default() },
        decide: None,
        ..Setup::default()
    });
    let client = server.client().await;
    for _ in 0..2 {
        let (status, text) = client.post("/mutate", twice()).await;
        assert_eq!(status, 200, "{text}");
        let metrics = server.get("/metrics").await.1;
        // Each once, the second review finds them.
        assert!(metrics.contains("retinue_work_moved_total{queue=\"linting\"} 2\n"), "{metrics}");
    }
    server.stop().await;
}
