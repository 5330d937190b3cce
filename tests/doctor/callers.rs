//! Who may call the webhook, against a real API server: with a client CA the API server and nobody else, `/lint` included;
//! which addresses are proposed; and what the doctor says of each.

use std::io;
use std::path::Path;
use std::process::Command;

use controlplane::ControlPlane;
use policies::yaml;
use serde_json::{Value, json};
use story::stranger::{self, Stranger};
use story::{AdmissionFile, Installation, manifests};

use super::{RETINUE, doctor};

/// The certificate and the key of `retinue certs --client --out FOLDER`.
type Pair<'a> = Option<&'a Path>;

/// Sends a review to the webhook on this port as a client of that pair, or as one of none. `authority` is the webhook's, and
/// `name` its own. Gives the first line of the answer.
fn ask(port: u16, (authority, name): (&str, &'static str), path: &str, pair: Pair<'_>) -> io::Result<String> {
    let template = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": {"a.yaml": "kind: ["},
        "metadata": {"name": "t", "namespace": "default", "labels": {"fledged.io/templates": "true"}},
    });
    let stranger = Stranger::new(port, authority, name, pair).unwrap();
    stranger.post(path, &stranger::review(&template).to_string()).unwrap()
}

#[test]
fn threats_27_and_58_with_a_client_ca_the_api_server_is_served_and_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (api, other) = (at("apiserver"), at("other"));
    let file = AdmissionFile::new(folder.path()).unwrap();
    let cluster = controlplane::Options::new().apiserver_flag(file.flag()).start().unwrap();
    let installed = Installation::installed(cluster, Path::new(RETINUE), &[]).unwrap();
    let cluster = &installed.cluster;
    installed.collects(&[("", &["secrets"])]).unwrap();
    let url = format!("https://127.0.0.1:{}", installed.port());
    for folder in [&api, &other] {
        let folder = folder.display().to_string();
        installed.retinue(&["certs", "--client", "--out", &folder, "--at", &folder, "--url", &url]).unwrap();
    }
    let authority = api.join("client-ca.crt").display().to_string();
    installed.start_webhook_with(&["--client-ca", &authority, "--client-name", "kube-apiserver"]).unwrap();

    // The wrong order: the webhook asks for a certificate, which the API server does not show yet.
    let told = doctor(cluster);
    told.says("problem", &["[answers]", "did not answer", "every master is refused"]);

    // With one plugin of two, the masters' creates still do not arrive, which a look at the other phase does not show.
    let fragment = api.join("admission.yaml");
    file.merge(&fragment, &["ValidatingAdmissionWebhook"]).unwrap();
    cluster.start_apiserver().unwrap();
    installed.master("trading").unwrap();
    let told = doctor(cluster);
    assert_eq!(told.result("answers"), "ok", "{}", told.out);
    told.says(
        "problem",
        &["[callers]", "reviews of creates do not arrive", "mutate.retinue.fledged.io", "both plugins"],
    );

    file.merge(&fragment, &["MutatingAdmissionWebhook", "ValidatingAdmissionWebhook"]).unwrap();
    cluster.start_apiserver().unwrap();
    let told = doctor(cluster);
    for area in ["answers", "certificates", "callers"] {
        assert_eq!(told.result(area), "ok", "{area}: {}", told.out);
    }
    let areas = told.said["areas"].as_array().unwrap();
    let seen = &areas.iter().find(|area| area["area"] == "callers").unwrap()["seen"];
    assert_eq!(
        seen,
        "holders of a client certificate are served, and nobody else; the API server's reviews of creates arrive (asked as a \
         master, with dry run)"
    );
    // A master's create is judged and admitted, in both phases.
    let pod = cluster.running_pod("trading", "app=eod").unwrap();
    let master = installed.of_pod("trading", &pod).unwrap();
    let job = yaml::value(&manifests::job("20261130")).unwrap();
    let made = master.api.post("/apis/batch/v1/namespaces/trading/jobs", &job).unwrap();
    assert!(made.success(), "{}", made.message());
    assert!(made.body["metadata"]["labels"]["fledged.io/master"].is_string(), "it is stamped: {}", made.body);
    // And what stood in the configuration before still counts.
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "host"},
        "spec": {"hostNetwork": true, "containers": [{"name": "a", "image": "b"}]},
    });
    let refused = cluster.asker().post("/api/v1/namespaces/default/pods", &pod).unwrap();
    assert!(refused.message().contains("violates PodSecurity"), "{}", refused.message());

    // The same review, from whoever is not the API server: the handshake ends, whatever is asked for.
    let authority = installed.authority().unwrap();
    let ask = |path: &str, pair: Pair<'_>| ask(installed.port(), (&authority, "localhost"), path, pair);
    assert_eq!(ask("/lint", Some(&api)).unwrap(), "HTTP/1.1 200 OK");
    for path in ["/lint", "/mutate", "/validate", "/metrics"] {
        for (who, pair) in [("no certificate", None), ("another authority's", Some(other.as_path()))] {
            let answer = ask(path, pair);
            assert!(answer.is_err(), "{path} with {who}: {answer:?}");
        }
    }
}

/// An address of this machine that a pod may have: the API server carries no request on to a loopback address.
fn own_address() -> String {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    // Nothing is sent: the system says from which address it would be.
    socket.connect("192.0.2.1:9").expect("this test needs an address of this machine beside 127.0.0.1");
    socket.local_addr().unwrap().ip().to_string()
}

/// The pod of the installed webhook, as its Deployment would make it; it "runs" on this machine, on these ports.
fn pod_of_the_webhook(installed: &str, ports: [u16; 2]) -> Value {
    let list: Value = serde_json::from_str(installed).unwrap();
    let mut items = list["items"].as_array().unwrap().iter();
    let deployment = items.find(|one| one["kind"] == "Deployment" && one["metadata"]["name"] == "retinue-webhook");
    let template = &deployment.unwrap()["spec"]["template"];
    let mut spec = template["spec"].clone();
    for port in spec["containers"][0]["ports"].as_array_mut().unwrap() {
        port["containerPort"] = json!(ports[usize::from(port["name"] == "https")]);
    }
    json!({
        "apiVersion": "v1", "kind": "Pod", "spec": spec,
        "metadata": {"name": "retinue-webhook-0", "namespace": "retinue", "labels": template["metadata"]["labels"]},
    })
}

#[test]
fn threat_58_pods_of_the_webhook_are_asked_whether_they_serve_strangers() {
    let cluster = controlplane::Options::api_only().start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (certs, api) = (at("certs"), at("apiserver"));
    for args in [&["--out", &certs][..], &["--client", "--days", "20", "--out", &api]] {
        assert!(Command::new(RETINUE).arg("certs").args(args).output().unwrap().status.success());
    }
    let (bundle, client_ca) = (format!("{certs}/ca.crt"), format!("{api}/client-ca.crt"));
    let (code, out, err) = install(&cluster, &["--ca-bundle", &bundle, "--client-ca", &client_ca, "-o", "json"]);
    assert_eq!(code, 0, "{err}");
    cluster.kubectl_with(&cluster.kubeconfig(), &["apply", "--server-side", "-f", "-"], &out).unwrap().ok().unwrap();

    let [health, https] = [(); 2].map(|()| controlplane::Port::reserve().unwrap());
    let pods = "/api/v1/namespaces/retinue/pods";
    let made = cluster.asker().post(pods, &pod_of_the_webhook(&out, [health.number(), https.number()])).unwrap();
    assert!(made.success(), "{}", made.message());
    let address = own_address();
    let mut running = made.body;
    running["status"] = json!({"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]});
    let put = cluster.asker().put(&format!("{pods}/retinue-webhook-0/status"), &running).unwrap();
    assert!(put.success(), "{}", put.message());

    let token = cluster.token("retinue", "retinue-webhook", None).unwrap();
    let kubeconfig = cluster.kubeconfig_with_token(&token).unwrap().display().to_string();
    let start = |flags: &[&str]| {
        let (listen, health) = (format!("0.0.0.0:{}", https.number()), format!("0.0.0.0:{}", health.number()));
        let own = ["webhook", "--certs", &certs, "--kubeconfig", &kubeconfig, "--listen", &listen, "--health", &health];
        let args: Vec<String> = own.iter().chain(flags).map(ToString::to_string).collect();
        story::Server::start(Path::new(RETINUE), &args, folder.path()).unwrap()
    };
    let unseen = ["could not be looked at"];
    let anybody = start(&[]);
    let told = doctor(&cluster);
    told.says("note", &["[callers]", "reviews are not authenticated"]);
    told.is_silent_of(&unseen);
    drop(anybody);

    let _holders = start(&["--client-ca", &client_ca]);
    let told = doctor(&cluster);
    assert!(!told.findings("note").iter().any(|note| note.contains("not authenticated")), "{}", told.out);
    // Nobody is a master yet, so that one phase is not proven: that is never "ok".
    told.says("warning", &["[callers]", "is not proven", "there is none"]);
    told.is_silent_of(&unseen);
    told.is_silent_of(&["client certificate", "expires in"]);

    // An API server shows its certificate, which ends soon.
    let name = "retinue-webhook.retinue.svc";
    let authority = std::fs::read_to_string(&bundle).unwrap();
    let answer = ask(https.number(), (&authority, name), "/lint", Some(Path::new(&api)));
    assert_eq!(answer.unwrap(), "HTTP/1.1 200 OK");
    let metrics = format!("{pods}/http:retinue-webhook-0:{}/proxy/metrics", health.number());
    let expiry = "retinue_client_certificate_expiry_timestamp_seconds ";
    let shown = || {
        let (_, text) = cluster.request("GET", &metrics, None).map_err(|error| error.to_string())?;
        let line = text.lines().find_map(|line| line.strip_prefix(expiry)).unwrap_or_default();
        if line.parse::<f64>().is_ok_and(|seconds| seconds > 0.0) { Ok(()) } else { Err(text) }
    };
    cluster.until("the end of the client certificate", shown).unwrap();
    let told = doctor(&cluster);
    told.says(
        "warning",
        &["[callers]", "the API server's client certificate", "expires in 19 days", "retinue certs --client"],
    );
}

/// A file with a node and the endpoint of an API server on it.
fn node_and_endpoints(addresses: &[&str]) -> String {
    let node = json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": "control"},
        "status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.4"}]},
    });
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "endpoints": addresses.iter().map(|address| json!({"addresses": [address]})).collect::<Vec<_>>(),
        "ports": [{"name": "https", "port": 6443}],
    });
    format!("{node}\n---\n{slice}")
}

fn install(cluster: &ControlPlane, flags: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(RETINUE);
    let output = command.arg("install").args(flags).env("KUBECONFIG", cluster.kubeconfig()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn threat_58_callers_are_proposed_where_the_cluster_shows_them_and_nowhere_else() {
    let cluster = controlplane::Options::api_only().start().unwrap();
    let auto = ["--callers", "auto"];
    let (code, out, err) = install(&cluster, &auto);
    assert!(code == 2 && out.is_empty() && err.contains("no endpoint that is ready"), "{code} {out} {err}");

    cluster.apply(&node_and_endpoints(&["10.0.0.4"])).unwrap();
    let (code, out, err) = install(&cluster, &auto);
    assert!(code == 0 && err.contains("--callers 10.0.0.4/32 (node control, InternalIP)"), "{code} {err}");
    assert!(out.contains("cidr: 10.0.0.4/32"), "{out}");
    let apply = ["apply", "--server-side", "-f", "-"];
    cluster.kubectl_with(&cluster.kubeconfig(), &apply, &out).unwrap().ok().unwrap();

    // A second API server, which the policy shuts out.
    cluster.apply(&node_and_endpoints(&["10.0.0.4", "10.0.0.5"])).unwrap();
    let told = doctor(&cluster);
    told.says(
        "warning",
        &["[callers]", "NetworkPolicy retinue/retinue-webhook", "shuts out 10.0.0.5", "--callers auto"],
    );
    // It was installed without an authority, behind its Service.
    let empty = ["[certificates]", "caBundle of MutatingWebhookConfiguration retinue", "every master is refused"];
    told.says("problem", &[&empty[..], &["retinue install --ca-bundle FILE ..."]].concat());
    // Nothing runs, so that nothing is proven: it is never "ok".
    assert_ne!(told.result("callers"), "ok", "{}", told.out);
    let (code, out, err) = install(&cluster, &auto);
    assert!(
        code == 2 && out.is_empty() && err.contains("10.0.0.5, an endpoint of default/kubernetes, is the"),
        "{err}"
    );

    cluster.apply(&node_and_endpoints(&["10.0.0.4"])).unwrap();
    let agent = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "konnectivity-agent", "namespace": "kube-system"},
        "spec": {
            "selector": {"matchLabels": {"app": "a"}},
            "template": {
                "metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "a", "image": "b"}]},
            },
        },
    });
    cluster.apply(&agent.to_string()).unwrap();
    let (code, out, err) = install(&cluster, &auto);
    assert!(code == 2 && out.is_empty(), "{code} {out}");
    for words in ["Deployment kube-system/konnectivity-agent", "cuts every master off", "retinue certs --client"] {
        assert!(err.contains(words), "{words}: {err}");
    }
}
