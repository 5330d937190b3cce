//! Who may send reviews to the webhook, and whether those of the API server arrive.
//!
//! Each phase has its own admission plugin, each with its own kubeconfig in the AdmissionConfiguration, so that each is
//! proven: `/lint` and `/validate` by the area `answers`, whose dry run goes through the validating one; `/mutate` by a
//! create with dry run in the name of a master, which the webhook refuses, since no pod stands behind it.

mod choice;

use std::collections::BTreeSet;

use certs::clients::Authorities;
use jiff::{SignedDuration, Timestamp};
use policies::doctor::callers::Range;
use policies::doctor::certificates::{Validity, judge};
use policies::doctor::{Area, Finding, Severity};
use policies::object::{Gvk, NamespacedName};
use serde_json::{Value, json};

use self::choice::{Choice, Serves, unauthenticated, unreached};
use super::ask::{Asker, NoAnswer};
use super::certificates::{metric, of_pod, running_pods};
use super::cluster::Cluster;
use super::container::option;
use super::installation::Installation;
use crate::cli::callers;
use crate::deploy::{CLIENT_CA, CONFIGURATION, Reach, WEBHOOK};

/// The object that is never made.
const PROBE: &str = "retinue-doctor-asks";
/// Requests in the name of masters until one reaches admission.
const TRIES: usize = 12;
/// The webhook's metric of the last instant of the API server's certificate.
const EXPIRY: &str = "retinue_client_certificate_expiry_timestamp_seconds ";
/// The alert that a server sends to who shows no certificate, as the API server tells it.
const REFUSAL: &str = "tls: certificate required";
/// What it may say instead, where the alert came while it set up HTTP/2 (golang.org/x/net/http2).
const NO_CONNECTION: [&str; 3] =
    ["http2: client conn could not be established", "connection reset by peer", "broken pipe"];
/// How often a pod is asked until the API server says why there is no answer.
const ASKED: u32 = 10;
/// The webhook that is asked first about a create.
const MUTATE: &str = "mutate.retinue.fledged.io";
const NEW_CERTIFICATE: &str = "retinue certs --client --out DIR, and put client.crt and client.key onto the machines of API servers (deploy/README.md)";
const AS_ADMIN: &str = "run the doctor as an admin";

/// What was seen and what is wrong.
pub(super) async fn look(
    asker: &Asker,
    installation: &Installation,
    cluster: &Cluster,
    masters: &BTreeSet<NamespacedName>,
    now: Timestamp,
) -> (String, Vec<Finding>) {
    let mut findings = Vec::new();
    let serves = match &installation.values.reach {
        Reach::Url(url) => at_url(url).await,
        Reach::Service => of_pods(asker, &installation.values.namespace, now, &mut findings).await,
    };
    let serves = serves.map_err(|why| findings.push(not_seen(&why))).ok();
    let policy = installation.found("NetworkPolicy", WEBHOOK);
    let deployment = installation.found("Deployment", WEBHOOK);
    let installed = deployment.is_some_and(says_client_ca);
    let choice = Choice { serves, installed, ranges: policy.map(ranges).unwrap_or_default() };
    let mut seen = vec![match choice.serves {
        Some(Serves::Holders) => "holders of a client certificate are served, and nobody else",
        Some(Serves::Anybody) => "whoever reaches the port is served",
        None => "",
    }];
    findings.extend(unauthenticated(&choice));
    if choice.serves == Some(Serves::Holders) && installation.values.reach == Reach::Service {
        findings.extend(authorities(asker, installation).await);
    }
    if let (Some(policy), false) = (policy, choice.ranges.is_empty()) {
        findings.extend(network(asker, installation, policy, &choice.ranges).await);
    }
    match proof(asker, cluster, masters).await {
        Proof::Reached => seen.push("the API server's reviews of creates arrive (asked as a master, with dry run)"),
        Proof::Failed(message) => findings.push(unreached(&message, &choice)),
        Proof::NotAsked(why) if choice.restricts() => findings.push(Finding::new(
            Severity::Unknown,
            Area::Callers,
            format!("MutatingWebhookConfiguration {CONFIGURATION}"),
            format!("whether the API server's reviews of creates arrive could not be asked: {why}"),
            AS_ADMIN,
        )),
        Proof::NobodyToAskAs if choice.restricts() => findings.push(Finding::new(
            Severity::Warning,
            Area::Callers,
            format!("MutatingWebhookConfiguration {CONFIGURATION}"),
            "whether the API server's reviews of creates arrive is not proven: that takes a master in whose name one can be \
             sent, and there is none that may create anything. Those of the validating phase are (area answers)",
            "run the doctor again once there is a master",
        )),
        Proof::NotAsked(_) | Proof::NobodyToAskAs => {}
    }
    seen.retain(|part| !part.is_empty());
    (seen.join("; "), findings)
}

fn not_seen(why: &str) -> Finding {
    Finding::new(
        Severity::Unknown,
        Area::Callers,
        "who is served",
        format!("could not be looked at: {why}"),
        "run the doctor where the webhook can be reached, as who may get pods/proxy in its namespace",
    )
}

/// A webhook outside the cluster is asked without a certificate.
async fn at_url(url: &str) -> Result<Serves, String> {
    let (host, port) = super::certificates::host_and_port(url)?;
    let asked = tokio::task::spawn_blocking(move || certs::presented::serves_strangers(&host, port, "/healthz")).await;
    let strangers = asked.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    Ok(if strangers { Serves::Anybody } else { Serves::Holders })
}

/// Each pod of a webhook inside is asked through the API server, which shows no certificate when it carries on what a user
/// asks of a pod.
async fn of_pods(
    asker: &Asker,
    namespace: &str,
    now: Timestamp,
    findings: &mut Vec<Finding>,
) -> Result<Serves, String> {
    let mut all = Serves::Holders;
    for pod in running_pods(asker, namespace).await? {
        match asked_as_a_stranger(asker, &pod).await {
            Ok(_) => all = Serves::Anybody,
            Err(NoAnswer { message, .. }) if message.contains(REFUSAL) => {}
            Err(NoAnswer { message, .. }) => return Err(message),
        }
        let Ok(Some(end)) = metric(asker, &pod, EXPIRY).await else { continue };
        // A certificate tells here when it ends, not since when it is valid: a year is what most have.
        let begun = end.saturating_sub(SignedDuration::from_hours(365 * 24)).unwrap_or(Timestamp::MIN).min(now);
        let validity = Validity { not_before: begun, not_after: end };
        let finding = judge("the API server's client certificate", validity, now, NEW_CERTIFICATE);
        findings.extend(finding.map(|finding| Finding { area: Area::Callers, ..finding }));
    }
    Ok(all)
}

/// Asks a pod without a certificate. Where the pod refuses the handshake, the API server's proxy mostly says so, and
/// sometimes only that its connection did not come about: then it is asked again.
async fn asked_as_a_stranger(asker: &Asker, pod: &Value) -> Result<String, NoAnswer> {
    let mut left = ASKED;
    loop {
        left -= 1;
        match asker.text(&of_pod(pod, "https", "https", "/healthz")).await {
            Err(NoAnswer { message, .. }) if left > 0 && NO_CONNECTION.iter().any(|said| message.contains(said)) => {}
            answer => return answer,
        }
    }
}

/// Authorities that sign for others too: the cluster's own, which every kubelet has a certificate of.
async fn authorities(asker: &Asker, installation: &Installation) -> Option<Finding> {
    let name = |namespace: &str, name: &str| format!("/api/v1/namespaces/{namespace}/configmaps/{name}");
    let of = |found: Option<Value>, key: &str| Authorities::from_pem(found?["data"][key].as_str()?.as_bytes()).ok();
    let ours = asker.get(&name(&installation.values.namespace, CLIENT_CA)).await.ok()?;
    let cluster = asker.get(&name("kube-system", "extension-apiserver-authentication")).await.ok()?;
    let shared = of(ours, "ca.crt")?.share(&of(cluster, "client-ca-file")?);
    shared.then(|| {
        Finding::new(
            Severity::Warning,
            Area::Callers,
            format!("ConfigMap {}/{CLIENT_CA}", installation.values.namespace),
            "names the authority of the cluster's own users: whoever gets a certificate of it with the name of --client-name \
             is served",
            "use an authority that signs for API servers alone: retinue certs --client",
        )
    })
}

/// Whether the NetworkPolicy lets every API server in, and whether it counts.
async fn network(asker: &Asker, installation: &Installation, policy: &Value, ranges: &[Range]) -> Vec<Finding> {
    let namespace = &installation.values.namespace;
    let about = format!("NetworkPolicy {namespace}/{WEBHOOK}");
    let told = |severity, message: String, fix: &str| Finding::new(severity, Area::Callers, &*about, message, fix);
    let mut findings = Vec::new();
    match callers::shut_out(asker, ranges).await {
        Ok(out) if out.is_empty() => {}
        Ok(out) => findings.push(told(
            Severity::Warning,
            format!(
                "shuts out {}, where an API server is by the endpoints of default/kubernetes: masters whose requests that one \
                 answers are refused",
                out.join(", ")
            ),
            "with every option of your first install: retinue install --callers auto ... | kubectl apply --server-side -f -",
        )),
        Err(error) => findings.push(told(
            Severity::Unknown,
            format!("the endpoints of default/kubernetes could not be read: {}", error.message),
            AS_ADMIN,
        )),
    }
    let deployment = installation.found("Deployment", WEBHOOK);
    if deployment.is_some_and(|found| found["spec"]["template"]["spec"]["hostNetwork"] == true) {
        findings.push(told(
            Severity::Warning,
            "counts for nothing: the webhook runs in the network of its hosts, where no NetworkPolicy holds".into(),
            "run it in the network of pods",
        ));
    }
    let changed = changed(policy);
    let older = |pod: &Value| pod["status"]["startTime"].as_str().and_then(|at| at.parse().ok()) < changed;
    if running_pods(asker, namespace).await.is_ok_and(|pods| pods.iter().any(older)) {
        findings.push(told(
            Severity::Warning,
            "was changed after a pod of the webhook started: what arrives may come by a connection that is older, so that \
             nothing is proven about the next one"
                .into(),
            &format!("kubectl -n {namespace} rollout restart deployment {WEBHOOK}, then run the doctor again"),
        ));
    }
    findings
}

/// When an object was changed last, by whoever.
fn changed(object: &Value) -> Option<Timestamp> {
    let fields = object["metadata"]["managedFields"].as_array()?;
    fields.iter().filter_map(|entry| entry["time"].as_str()?.parse().ok()).max()
}

/// Whether the Deployment of the webhook has a client CA.
fn says_client_ca(deployment: &Value) -> bool {
    let mut containers = deployment["spec"]["template"]["spec"]["containers"].as_array().into_iter().flatten();
    containers.any(|container| option(container, "--client-ca").is_some())
}

/// The ranges that a NetworkPolicy lets in to the port of reviews; none: anywhere.
fn ranges(policy: &Value) -> Vec<Range> {
    let rules = policy["spec"]["ingress"].as_array().into_iter().flatten();
    let from = rules.filter_map(|rule| rule["from"].as_array()).flatten();
    from.filter_map(|peer| Range::parse(peer["ipBlock"]["cidr"].as_str()?)).collect()
}

/// Whether `/mutate` is reached.
enum Proof {
    Reached,
    Failed(String),
    NotAsked(String),
    NobodyToAskAs,
}

/// Sends creates with dry run in the name of masters until one gets as far as the webhook, or fails there.
async fn proof(asker: &Asker, cluster: &Cluster, masters: &BTreeSet<NamespacedName>) -> Proof {
    let asked = masters.iter().flat_map(|master| cluster.creatable(master).into_iter().map(move |kind| (master, kind)));
    for (master, (kind, resource)) in asked.take(TRIES) {
        let NamespacedName { namespace, name } = master;
        let version = kind.api_version();
        let root = if kind.group.is_empty() { "api" } else { "apis" };
        let path =
            format!("/{root}/{version}/namespaces/{namespace}/{resource}?dryRun=All&fieldManager=retinue-doctor");
        let Gvk { kind, .. } = &kind;
        let object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": PROBE, "namespace": namespace}});
        let user = format!("system:serviceaccount:{namespace}:{name}");
        match asker.create_as(&user, &path, &object).await {
            Err(NoAnswer { message, .. }) if message.contains("failed calling webhook") => {
                return Proof::Failed(message);
            }
            Err(NoAnswer { message, .. }) if message.contains(MUTATE) => return Proof::Reached,
            Err(NoAnswer { code: Some(403), message }) if message.contains("impersonate") => {
                return Proof::NotAsked(message);
            }
            // RBAC does not let it create these, or the cluster does not know them.
            Err(NoAnswer { code: Some(403 | 404), .. }) => {}
            Err(NoAnswer { message, .. }) => return Proof::NotAsked(message),
            Ok(_) => return Proof::Failed("a create in the name of a master was not refused".into()),
        }
    }
    Proof::NobodyToAskAs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_network_policy_lets_in_is_read_from_it() {
        let rule = |from: Value| json!({"spec": {"ingress": [{"ports": [{"port": "health"}]}, from]}});
        assert_eq!(ranges(&rule(json!({"ports": [{"port": "https"}]}))), []);
        let policy = rule(json!({"from": [{"ipBlock": {"cidr": "10.0.0.4/32"}}, {"podSelector": {}}]}));
        assert_eq!(ranges(&policy), [Range::parse("10.0.0.4/32").expect("a range")]);
    }

    #[test]
    fn the_deployment_says_whether_there_is_a_client_ca() {
        let deployment = |args: Value| json!({"spec": {"template": {"spec": {"containers": [{"args": args}]}}}});
        assert!(says_client_ca(&deployment(json!(["webhook", "--client-ca", "/client-ca/ca.crt"]))));
        assert!(says_client_ca(&deployment(json!(["webhook", "--client-ca=/client-ca/ca.crt"]))));
        assert!(!says_client_ca(&deployment(json!(["webhook"]))) && !says_client_ca(&json!({})));
    }

    #[test]
    fn an_object_was_changed_when_the_last_manager_wrote() {
        let object = json!({"metadata": {"managedFields": [
            {"time": "2026-11-20T10:00:00Z"}, {"time": "2026-11-21T10:00:00Z"}, {"operation": "Apply"},
        ]}});
        assert_eq!(changed(&object), "2026-11-21T10:00:00Z".parse().ok());
        assert_eq!(changed(&json!({})), None);
    }
}
