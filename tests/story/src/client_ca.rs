//! Scenes: the API server shows the webhook a certificate, and nobody else is served.

use anyhow::{Context, Result};
use serde_json::json;

use crate::AdmissionFile;
use crate::manifests::job;
use crate::stage::{Stage, Who};
use crate::stranger::{Stranger, review};

/// Plays them; where nobody may change what the API server starts with, there is nothing to play.
///
/// # Errors
/// Something could not be run at all.
pub(crate) fn play(stage: &mut Stage<'_>) -> Result<()> {
    match stage.admission.clone() {
        Some(file) => client_ca(stage, &file),
        None => Ok(()),
    }
}

fn client_ca(stage: &mut Stage<'_>, file: &AdmissionFile) -> Result<()> {
    stage.scene("Where the control plane's files are yours: the webhook serves the API server, and nobody else");
    let installation = stage.installation;
    let folder = installation.folder().join("apiserver");
    let (files, url) = (folder.display().to_string(), format!("https://127.0.0.1:{}", installation.port()));
    let made = stage.retinue(Who::Admin, &["certs", "--client", "--out", &files, "--at", &files, "--url", &url])?;
    stage.check(made.success && made.text.contains("admission.yaml"), "they are made, and it is said what comes next");
    let fragment = folder.join("admission.yaml");
    stage.say("admin$ grep -v '^#' admission.yaml    # its comments say where each file goes");
    for line in std::fs::read_to_string(&fragment)?.lines().filter(|line| !line.starts_with('#')) {
        stage.say(&format!("    {line}"));
    }
    file.merge(&fragment, &["MutatingAdmissionWebhook", "ValidatingAdmissionWebhook"])?;
    installation.cluster.start_apiserver()?;
    stage.say("    (merged into the AdmissionConfiguration, beside PodSecurity; the API server is started again)");

    let authority = folder.join("client-ca.crt").display().to_string();
    let bundle = installation.folder().join("certs/ca.crt").display().to_string();
    let printed = stage.retinue_quietly(Who::Admin, &["install", "--ca-bundle", &bundle, "--client-ca", &authority])?;
    stage.say(&format!(
        "    ({} lines, to be applied; this webhook runs beside the cluster, and is told by its own flag)",
        printed.text.lines().count()
    ));
    let whole = printed.success && printed.text.contains("name: retinue-webhook-client-ca");
    stage.check(whole && !printed.text.contains("PRIVATE KEY"), "what is installed has the authority, and no key");
    installation.stop_webhook();
    installation.start_webhook_with(&["--client-ca", &authority, "--client-name", "kube-apiserver"])?;
    stage.say("    (the webhook is started again, with --client-ca)");

    let template = json!({"metadata": {"name": "t", "namespace": "default"}, "data": {"a.yaml": "kind: ["}});
    let stranger = Stranger::new(installation.port(), &installation.authority()?, "localhost", None)?;
    for path in ["/lint", "/mutate", "/validate"] {
        stage.say(&format!("stranger$ POST {url}{path}"));
        let answer = stranger.post(path, &review(&template).to_string())?;
        let ended = answer.as_ref().err().map(ToString::to_string);
        stage.say(&format!("    {}", ended.as_deref().or(answer.as_deref().ok()).context("an answer")?));
        let in_handshake = ended.is_some_and(|text| text.contains("CertificateRequired"));
        stage.check(in_handshake, "the handshake ends: it shows no certificate");
    }
    stage.admits(Who::Master, &["create", "-f", "-"], Some(&job("20261124")), &["created"])?;
    let told = stage.retinue(Who::Admin, &["doctor"])?;
    stage
        .check(told.text.contains("holders of a client certificate are served, and nobody else"), "the doctor says so");
    Ok(())
}
