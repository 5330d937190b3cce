//! Whether the webhook answers, asked of the API server itself: a template ConfigMap with a mistake is created with dry
//! run, and must be refused by the webhook that lints. The whole way is gone: configuration, address, certificate, server.

use std::time::Instant;

use policies::doctor::{Area, Finding, Severity};
use policies::keys;
use serde_json::json;

use super::ask::{Asker, NoAnswer};
use crate::deploy::LINT_CONFIGURATION;

/// The ConfigMap that is never made.
const PROBE: &str = "retinue-doctor-asks";

/// Asks, in a namespace that exists. Gives what was seen, or what is wrong.
pub(super) async fn ask(asker: &Asker, namespace: &str) -> Result<String, Finding> {
    let probe = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": PROBE, "namespace": namespace, "labels": { keys::TEMPLATES: "true" } },
        "data": { "mistaken.yaml": "kind: [" },
    });
    let path = format!("/api/v1/namespaces/{namespace}/configmaps?dryRun=All&fieldManager=retinue-doctor");
    let begun = Instant::now();
    let answer = asker.create(&path, &probe).await;
    let took = begun.elapsed();
    let about = format!("ValidatingWebhookConfiguration {LINT_CONFIGURATION}");
    let told = |severity, message: String, fix: &str| Err(Finding::new(severity, Area::Answers, about, message, fix));
    match answer {
        Err(NoAnswer { message, .. }) if message.contains(&format!("template ConfigMap {PROBE} has")) => {
            Ok(format!("the webhook refused a mistaken template, asked with dry run, in {} ms", took.as_millis()))
        }
        Ok(_) => told(
            Severity::Problem,
            "the webhook was not asked or did not answer: a mistaken template ConfigMap, sent with dry run, was not refused. While \
             it does not answer, every master is refused"
                .into(),
            "look at the pods of retinue-webhook and their logs, and at the areas webhooks and certificates",
        ),
        Err(NoAnswer { message, .. }) if message.contains("failed calling webhook") => {
            told(Severity::Problem, message, "look at the pods of retinue-webhook and their logs")
        }
        Err(NoAnswer { code: Some(403), message }) => told(
            Severity::Unknown,
            format!("could not be asked, which takes the right to write template ConfigMaps in {namespace}: {message}"),
            "run the doctor as an admin (create configmaps, and author on templates.fledged.io)",
        ),
        Err(NoAnswer { code: Some(404), .. }) => {
            told(Severity::Problem, format!("there is no namespace {namespace}"), super::installation::APPLY)
        }
        Err(NoAnswer { message, .. }) => {
            told(Severity::Unknown, format!("could not be asked: {message}"), "run the doctor again")
        }
    }
}
