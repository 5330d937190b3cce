//! The authorities that the API server trusts the webhook by, and the certificate that the webhook serves with.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use certs::{presented, trust};
use jiff::{SignedDuration, Timestamp};
use policies::doctor::certificates::{Validity, judge, judge_bundle, judge_no_bundle, span};
use policies::doctor::{Area, Finding, Severity};
use serde_json::Value;

use super::ask::Asker;
use super::installation::{CONFIGURATIONS, Installation};
use crate::deploy::{Reach, WEBHOOK};

/// The webhook's metric of its certificate's last instant.
const EXPIRY: &str = "retinue_serving_certificate_expiry_timestamp_seconds ";
const NEW_BUNDLE: &str =
    "with every option of your first install: retinue install --ca-bundle FILE ... | kubectl apply --server-side -f -";
const NEW_PAIR: &str =
    "put a new pair into the Secret retinue-webhook-tls (or the folder of --certs): it is taken up by itself";

/// What was seen and what is wrong. `answered` says that the webhook answered the API server.
pub(super) async fn look(
    asker: &Asker,
    installation: &Installation,
    answered: bool,
    now: Timestamp,
) -> (String, Vec<Finding>) {
    let mut findings = Vec::new();
    let mut seen = Vec::new();
    let mut bundles = BTreeSet::new();
    let mut empty = Vec::new();
    for (kind, name) in CONFIGURATIONS {
        let Some(configuration) = installation.configuration(kind, name) else { continue };
        let about = format!("caBundle of {kind} {name}");
        match configuration["webhooks"][0]["clientConfig"]["caBundle"].as_str() {
            None => empty.push(format!("{kind} {name}")),
            Some(text) => {
                let pem = STANDARD.decode(text).unwrap_or_default();
                let authorities: Vec<Validity> = presented::validities(&pem).into_iter().map(validity).collect();
                let last = authorities.iter().map(|validity| validity.not_after).max();
                if let Some(last) = last.filter(|_| bundles.is_empty()) {
                    seen.push(format!("the authority ends in {}", span(last.duration_since(now))));
                }
                findings.extend(judge_bundle(&about, &authorities, now, NEW_BUNDLE));
                bundles.insert(pem);
            }
        }
    }
    if !empty.is_empty() {
        let about = format!("caBundle of {}", empty.join(", "));
        let by_service = installation.values.reach == Reach::Service;
        findings.push(judge_no_bundle(&about, by_service, answered, NEW_BUNDLE));
    }
    if let Reach::Url(url) = &installation.values.reach {
        match at_url(url, bundles, now).await {
            Ok((left, more)) => {
                seen.push(left);
                findings.extend(more);
            }
            Err(why) => findings.push(not_seen(why)),
        }
    } else {
        match of_pods(asker, &installation.values.namespace).await {
            Ok(ends) => {
                seen.extend(
                    ends.iter()
                        .min()
                        .map(|end| format!("the serving certificate ends in {}", span(end.duration_since(now)))),
                );
                for end in ends {
                    // The pods tell when it ends, not since when it is valid: a year is what most have.
                    let begun =
                        end.saturating_sub(SignedDuration::from_hours(365 * 24)).unwrap_or(Timestamp::MIN).min(now);
                    let validity = Validity { not_before: begun, not_after: end };
                    findings.extend(judge("serving certificate", validity, now, NEW_PAIR));
                }
            }
            Err(why) => findings.push(not_seen(why)),
        }
    }
    (seen.join(", "), findings)
}

fn not_seen(why: String) -> Finding {
    Finding::new(
        Severity::Unknown,
        Area::Certificates,
        "serving certificate",
        format!("could not be looked at: {why}"),
        "run the doctor where the webhook can be reached, as who may get pods/proxy in its namespace",
    )
}

/// A webhook outside the cluster: looked at where the API server would.
async fn at_url(url: &str, bundles: BTreeSet<Vec<u8>>, now: Timestamp) -> Result<(String, Vec<Finding>), String> {
    let (host, port) = host_and_port(url)?;
    let name = host.clone();
    let chain = tokio::task::spawn_blocking(move || presented::by(&host, port)).await;
    let chain = chain.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    let leaf = chain.first().and_then(presented::validity).ok_or("it cannot be read")?;
    let about = format!("serving certificate at {url}");
    let mut findings: Vec<Finding> = judge(&about, validity(leaf), now, NEW_PAIR).into_iter().collect();
    if findings.is_empty() {
        // An expired one is distrusted too, which has been said.
        findings.extend(bundles.iter().find_map(|bundle| trust::verify(bundle, &chain, &name, now).err()).map(
            |distrust| {
                let message = format!("{distrust}: every master is refused");
                Finding::new(Severity::Problem, Area::Certificates, about, message, NEW_PAIR)
            },
        ));
    }
    Ok((format!("the serving certificate ends in {}", span(leaf.not_after.duration_since(now))), findings))
}

/// A webhook inside: each of its pods tells when its certificate ends, in its metrics. No Secret is read.
async fn of_pods(asker: &Asker, namespace: &str) -> Result<BTreeSet<Timestamp>, String> {
    let mut ends = BTreeSet::new();
    for pod in running_pods(asker, namespace).await? {
        let end = metric(asker, &pod, EXPIRY).await?;
        ends.insert(end.ok_or_else(|| format!("pod {} does not tell {EXPIRY}", pod["metadata"]["name"]))?);
    }
    Ok(ends)
}

/// The pods of the webhook that run; that there is one is certain.
pub(super) async fn running_pods(asker: &Asker, namespace: &str) -> Result<Vec<Value>, String> {
    let query = format!("&labelSelector=app.kubernetes.io%2Fcomponent%3D{WEBHOOK}");
    let pods = asker.list(&format!("/api/v1/namespaces/{namespace}/pods"), &query).await;
    let mut pods = pods.map_err(|error| error.message)?;
    pods.retain(|pod| pod["status"]["phase"] == "Running" && pod["metadata"]["deletionTimestamp"].is_null());
    if pods.is_empty() { Err("no pod of the webhook runs".into()) } else { Ok(pods) }
}

/// The path of what a pod of the webhook answers, through the API server, which wants the number of a port and no name.
pub(super) fn of_pod(pod: &Value, scheme: &str, port: &str, path: &str) -> String {
    let text = |value: &'_ Value| value.as_str().unwrap_or_default().to_owned();
    let (namespace, name) = (text(&pod["metadata"]["namespace"]), text(&pod["metadata"]["name"]));
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let mut ports = containers.filter_map(|container| container["ports"].as_array()).flatten();
    let number = ports.find(|found| found["name"] == port).map(|found| found["containerPort"].to_string());
    format!("/api/v1/namespaces/{namespace}/pods/{scheme}:{name}:{}/proxy{path}", number.unwrap_or_default())
}

/// An instant that a pod tells in its metrics; none: it does not, or not yet (zero).
pub(super) async fn metric(asker: &Asker, pod: &Value, metric: &str) -> Result<Option<Timestamp>, String> {
    let path = of_pod(pod, "http", "health", "/metrics");
    let metrics = asker.text(&path).await.map_err(|error| error.message)?;
    let told = metrics.lines().find_map(|line| line.strip_prefix(metric)?.trim().parse::<f64>().ok());
    #[allow(clippy::cast_possible_truncation, clippy::allow_attributes, reason = "seconds since 1970")]
    let seconds = told.filter(|seconds| *seconds != 0.0).map(|seconds| seconds as i64);
    seconds.map(|seconds| Timestamp::from_second(seconds).map_err(|error| error.to_string())).transpose()
}

/// Where a webhook outside the cluster is.
pub(super) fn host_and_port(url: &str) -> Result<(String, u16), String> {
    let parsed: http::Uri = url.parse().map_err(|_| format!("{url:?} is no URL"))?;
    let host = parsed.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    Ok((host, parsed.port_u16().unwrap_or(443)))
}

fn validity(of: certs::expiry::Validity) -> Validity {
    Validity { not_before: of.not_before, not_after: of.not_after }
}
