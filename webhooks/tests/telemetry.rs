//! One line per verdict, with names and never with contents. Alone in its process, whose log it reads.
#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]

mod support;

use std::io;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use support::{Setup, config_map, panics, refuses, review, start};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Our lines about reviews since the last time.
    fn take(&self) -> Vec<Value> {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap());
        let lines = String::from_utf8(bytes).unwrap();
        assert!(!lines.contains("hunter2"), "{lines}");
        let lines = lines.lines().map(|line| serde_json::from_str(line).unwrap());
        lines.filter(|line: &Value| line["target"] == "webhooks::handler").collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_42_each_verdict_is_one_line_with_names_and_no_contents() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt().json().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).init();
    let mut secret = review(config_map(json!({"password": "hunter2"})));
    secret["request"]["oldObject"] = secret["request"]["object"].clone();
    for (operation, decide, verdict, cause, level) in [
        // Anybody may have sent it: that something was admitted is told at INFO once its object is there.
        ("CREATE", support::stamps(), "admitted", Value::Null, "DEBUG"),
        ("UPDATE", support::stamps(), "admitted", Value::Null, "DEBUG"),
        ("DELETE", support::stamps(), "admitted", Value::Null, "DEBUG"),
        ("CREATE", refuses(), "refused", json!("identity"), "INFO"),
        ("CREATE", panics(), "failed", json!("panicked"), "ERROR"),
    ] {
        secret["request"]["operation"] = operation.into();
        let server = start(Setup { decide: Some(decide), ..Setup::default() });
        server.client().await.ask("/mutate", &secret).await;
        let lines = log.take();
        let [line] = &lines[..] else { panic!("expected one line, got {lines:?}") };
        assert_eq!(line["level"], level);
        let span = &line["span"];
        for (field, expected) in [
            ("uid", json!(support::UID)),
            ("phase", json!("mutating")),
            ("operation", json!(operation.to_lowercase())),
            ("kind", json!("v1 ConfigMap")),
            ("namespace", json!("trading")),
            ("object", json!("results")),
            ("account", json!("system:serviceaccount:trading:eod")),
            ("verdict", json!(verdict)),
            ("cause", cause),
        ] {
            assert_eq!(span[field], expected, "{field} of {span}");
        }
        assert!(span["ms"].as_f64().is_some(), "{span}");
        server.stop().await;
    }
}
