//! Every metric is documented, with its labels: `deploy/metrics.md` against what webhook and controller really export.

use std::collections::{BTreeMap, BTreeSet};

use policies::verdict::Cause;
use serde_json::json;
use story::{Server, manifests};

use crate::house::{Way, binary, master, object, send, shared, until, with};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/metrics.md");

/// The labels of a metric, each with its values.
type Labels = BTreeMap<String, BTreeSet<String>>;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Metric {
    kind: String,
    labels: Labels,
}

/// What stands between backquotes.
fn words(text: &str) -> impl Iterator<Item = String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned)
}

/// The rows of the tables under this heading, by their first cell, without the head of each table.
fn rows<'a>(document: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let (_, section) = document.split_once(&format!("{heading}\n")).unwrap();
    let section = section.split("\n#").next().unwrap();
    let cells = |line: &'a str| line.trim_matches('|').split('|').map(str::trim).collect();
    section.lines().filter(|line| line.starts_with("| `")).map(cells).collect()
}

/// The metrics that the document has under this heading, by the name of their samples.
fn documented(document: &str, heading: &str) -> BTreeMap<String, Metric> {
    let causes: BTreeSet<String> = rows(document, "### Causes").iter().flat_map(|row| words(row[0])).collect();
    let mut metrics = BTreeMap::new();
    for row in rows(document, heading) {
        let [name, kind, labels, meaning, _alert] = row[..] else { panic!("five cells: {row:?}") };
        let mut metric = Metric { kind: kind.to_owned(), ..Metric::default() };
        for label in labels.split(';').filter(|label| !label.is_empty()) {
            let mut said = words(label);
            let key = said.next().unwrap();
            let told: BTreeSet<String> = said.collect();
            let values = if key == "cause" && label.contains("](#causes)") { causes.clone() } else { told };
            metric.labels.insert(key, values);
        }
        assert!(!meaning.is_empty(), "{name} has no meaning");
        let again = metrics.insert(words(name).next().unwrap(), metric);
        assert!(again.is_none(), "{name} is there twice");
    }
    metrics
}

/// What is exported, by the name of the samples (of a histogram, without their endings), with the labels that were seen.
fn exported(text: &str) -> BTreeMap<String, Metric> {
    let mut metrics: BTreeMap<String, Metric> = BTreeMap::new();
    let mut last = String::new();
    for line in text.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, kind) = declared.split_once(' ').unwrap();
            last = if kind == "counter" { format!("{name}_total") } else { name.to_owned() };
            metrics.insert(last.clone(), Metric { kind: kind.to_owned(), ..Metric::default() });
        } else if !line.starts_with('#') {
            let labels =
                line.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or("", |(labels, _)| labels);
            let metric = metrics.get_mut(&last).unwrap();
            for (key, value) in labels.split(',').filter_map(|label| label.split_once('=')) {
                if key != "le" {
                    metric.labels.entry(key.to_owned()).or_default().insert(value.trim_matches('"').to_owned());
                }
            }
        }
    }
    metrics
}

fn compare(role: &str, documented: &BTreeMap<String, Metric>, exported: &BTreeMap<String, Metric>) {
    let names = |metrics: &BTreeMap<String, Metric>| metrics.keys().cloned().collect::<BTreeSet<_>>();
    let (there, shown) = (names(documented), names(exported));
    let unknown: Vec<_> = shown.difference(&there).collect();
    let gone: Vec<_> = there.difference(&shown).collect();
    assert!(unknown.is_empty() && gone.is_empty(), "the {role}: not documented {unknown:?}, not exported {gone:?}");
    for (name, metric) in exported {
        let told = &documented[name];
        assert_eq!(told.kind, metric.kind, "the type of {name}");
        assert_eq!(
            told.labels.keys().collect::<Vec<_>>(),
            metric.labels.keys().collect::<Vec<_>>(),
            "the labels of {name}"
        );
        for (key, values) in &metric.labels {
            let more: Vec<_> = values.difference(&told.labels[key]).collect();
            assert!(more.is_empty(), "{name} has more values of {key}: {more:?}");
        }
    }
}

/// What a webhook exports beside that which tells until when the API server's client certificate is valid.
fn of_a_webhook_with_clients() -> BTreeMap<String, Metric> {
    let folder = tempfile::tempdir().unwrap();
    let api = folder.path().join("apiserver").display().to_string();
    shared().retinue(&["certs", "--client", "--out", &api]).unwrap();
    let certs = shared().folder().join("certs").display().to_string();
    let kubeconfig = shared().cluster.kubeconfig().display().to_string();
    let (listen, authority) = ("127.0.0.1:0", format!("{api}/client-ca.crt"));
    let args =
        ["webhook", "--certs", &certs, "--kubeconfig", &kubeconfig, "--listen", listen, "--client-ca", &authority];
    let args: Vec<String> = args.iter().map(ToString::to_string).collect();
    let server = Server::start(binary(), &args, folder.path()).unwrap();
    exported(&server.metrics().unwrap())
}

#[test]
fn every_metric_is_documented_with_its_labels() {
    // Some are shown once there was something to count.
    let master = master("metrics");
    let report = object(&manifests::report("metrics", "2s"));
    assert!(send(&master, Way::Post, &report, "").success());
    let bad = with(&report, "/data/level", json!("trace"));
    assert!(!send(&master, Way::Post, &bad, "?dryRun=All").success());
    let holds = |metrics: BTreeMap<String, Metric>, names: &[&str]| {
        names.iter().all(|name| metrics.contains_key(*name)).then_some(metrics)
    };
    let mut webhook = until("what the webhook counts", || {
        let metrics = exported(&shared().webhook_metrics().unwrap());
        holds(metrics, &["retinue_refusals_total", "retinue_template_problems"])
    });
    let controller = until("what the controller counts", || {
        let metrics = exported(&shared().controller_metrics().unwrap());
        holds(metrics, &["retinue_collector_deletions_total", "retinue_sampler_templates"])
    });
    webhook.extend(
        of_a_webhook_with_clients().into_iter().filter(|(name, _)| name.starts_with("retinue_client_certificate")),
    );

    let document = std::fs::read_to_string(DOCUMENT).unwrap();
    compare("webhook", &documented(&document, "## The webhook"), &webhook);
    compare("controller", &documented(&document, "## The controller"), &controller);
    let rows = rows(&document, "### Causes");
    for cause in Cause::ALL {
        let row = rows.iter().find(|row| row[0] == format!("`{}`", cause.as_str()));
        let row = row.unwrap_or_else(|| panic!("cause {} is not documented", cause.as_str()));
        assert_eq!(row[2], cause.status().0.to_string(), "the code of {}", cause.as_str());
    }
}
