//! Reviews that no API server sent: whoever reaches the webhook's port, and knows a master's pod by name and uid, sends
//! what that master never asked for. They hold no place against the master, and nothing is told of what never was.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use story::{Installation, Master, manifests};

use crate::house::{Cases, Way, master, object, send, shared, until};

/// How long a create may take while reviews are forged.
const PROMPT: Duration = Duration::from_secs(2);
/// Forgers at work, and the pause between two forged creates of one: 200 reviews a second by all of them.
const FORGERS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(40);
/// The most dependents by the template ConfigMap of the story.
const MOST: usize = 20;

/// A connection to the webhook's port, without credentials.
struct Connection(BufReader<StreamOwned<ClientConnection, TcpStream>>);

impl Connection {
    fn open(installation: &Installation) -> Self {
        let authority = std::fs::read(installation.folder().join("certs/ca.crt")).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&authority).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let tls = tls.with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let socket = connect(installation.port());
        socket.set_nodelay(true).unwrap();
        Self(BufReader::new(StreamOwned::new(ClientConnection::new(Arc::new(tls), name).unwrap(), socket)))
    }

    /// The `response` of a review.
    fn review(&mut self, path: &str, review: &Value) -> Value {
        let body = review.to_string();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        self.0.get_mut().write_all(format!("{head}{body}").as_bytes()).unwrap();
        let mut length = 0;
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "the webhook closed the connection");
            match line.to_ascii_lowercase().trim_end().split_once(": ") {
                Some(("content-length", value)) => length = value.parse().unwrap(),
                None if line == "\r\n" => break,
                _ => {}
            }
        }
        let mut answer = vec![0; length];
        self.0.read_exact(&mut answer).unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        answer["response"].clone()
    }
}

/// A connection from an address that is no API server's: what another pod sends.
fn connect(port: u16) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let socket = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 2], 0).into()).unwrap();
        socket.connect(([127, 0, 0, 1], port).into()).await.unwrap().into_std().unwrap()
    });
    socket.set_nonblocking(false).unwrap();
    socket
}

/// What must be known of a master to forge its reviews.
#[derive(Clone, Debug)]
struct Known {
    namespace: String,
    account: String,
    pod: String,
    uid: String,
}

impl Known {
    fn of(master: &Master) -> Self {
        let pod = shared().cluster.get(&master.core(&format!("pods/{}", master.pod))).unwrap();
        let text = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str).unwrap().to_owned();
        let (namespace, account) = (master.namespace.clone(), text("/spec/serviceAccountName"));
        Self { namespace, account, pod: master.pod.clone(), uid: text("/metadata/uid") }
    }

    /// A review of the create of the story's Job for this trading day.
    fn review(&self, day: u32) -> Value {
        let mut job = object(&manifests::job(&day.to_string()));
        job["metadata"]["namespace"] = json!(self.namespace);
        let job_kind = json!({"group": "batch", "version": "v1", "kind": "Job"});
        let account = format!("system:serviceaccount:{}:{}", self.namespace, self.account);
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": day.to_string(), "kind": job_kind, "operation": "CREATE", "dryRun": false, "options": {},
            "resource": {"group": "batch", "version": "v1", "resource": "jobs"},
            "namespace": self.namespace, "name": job["metadata"]["name"], "object": job,
            "userInfo": {"username": account, "extra": {
                "authentication.kubernetes.io/pod-name": [self.pod],
                "authentication.kubernetes.io/pod-uid": [self.uid],
            }},
        }})
    }

    /// Has the create for this day stamped, and returns its review for the phase that decides; none if it is refused.
    fn stamped(&self, connection: &mut Connection, day: u32) -> Option<Value> {
        let mut review = self.review(day);
        let answer = connection.review("/mutate", &review);
        let patch = base64::engine::general_purpose::STANDARD.decode(answer["patch"].as_str()?).unwrap();
        let patch: json_patch::Patch = serde_json::from_slice(&patch).unwrap();
        json_patch::patch(&mut review["request"]["object"], &patch).unwrap();
        Some(review)
    }
}

/// Sends forged creates until told to stop, and counts those that are admitted in both phases.
fn forge(known: &Known, first: u32, stop: &AtomicBool, admitted: &AtomicU32) {
    let mut connection = Connection::open(shared());
    let mut due = Instant::now();
    for day in (first..).step_by(usize::try_from(FORGERS).unwrap()) {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        if let Some(review) = known.stamped(&mut connection, day)
            && connection.review("/validate", &review)["allowed"] == true
        {
            admitted.fetch_add(1, Ordering::Relaxed);
        }
        // A rate, kept by the clock: nothing is waited for here.
        due += PAUSE;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

/// Whatever fails, the forgers end.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn report(number: usize) -> Value {
    object(&manifests::report(&"abcdefghijklmnopqrstuvwxyz"[number..=number], "10m"))
}

/// The Events of this reason in the master's namespace.
fn events(master: &Master, reason: &str) -> Vec<Value> {
    let events = shared().cluster.asker().get(&master.group("events.k8s.io/v1", "events")).unwrap();
    let of_reason = |event: &&Value| event["reason"] == reason;
    events.body["items"].as_array().unwrap().iter().filter(of_reason).cloned().collect()
}

fn admitted_promptly(cases: &mut Cases, what: &str, master: &Master, number: usize) {
    let begun = Instant::now();
    cases.admitted(&format!("{what} {number}"), &send(master, Way::Post, &report(number), ""));
    let took = begun.elapsed();
    println!("{what} {number}: {took:?}");
    cases.holds(&format!("{what} {number}"), took < PROMPT, format!("it took {took:?}"));
}

#[test]
fn threat_58_forged_reviews_hold_no_place_and_nothing_is_told_of_what_never_was() {
    let (forged, beside) = (master("forged"), master("beside"));
    let known = Known::of(&forged);
    let (stop, admitted) = (AtomicBool::new(false), AtomicU32::new(0));
    let mut cases = Cases::default();
    std::thread::scope(|scope| {
        let _stop = Stop(&stop);
        for forger in 0..FORGERS {
            let (known, stop, admitted) = (&known, &stop, &admitted);
            scope.spawn(move || forge(known, 20_000_000 + forger, stop, admitted));
        }
        until("more forged creates than there are places", || {
            shared().cluster.asker().get("/readyz").unwrap();
            (admitted.load(Ordering::Relaxed) > 2 * 20).then_some(())
        });
        for number in 0..MOST {
            admitted_promptly(&mut cases, "its own", &forged, number);
            if number % 4 == 0 {
                admitted_promptly(&mut cases, "another master's", &beside, number / 4);
            }
        }
        // While a master is in doubt, what its own creates exceed the limit by is what the watch has not shown yet.
        let shown = || Some(send(&forged, Way::Post, &report(MOST), "?dryRun=All")).filter(|reply| !reply.success());
        until("the watch shows its last dependent", shown);
        for way in [Way::Post, Way::Apply] {
            let reply = send(&forged, way, &report(MOST), "");
            cases.refused("one more than may", &reply, &["20 live dependents", "max-dependents"]);
        }
        admitted_promptly(&mut cases, "another master's", &beside, 10);
    });

    let told = until("an Event of each of its own", || {
        let told = events(&forged, "DependentAdmitted");
        (told.len() >= MOST).then_some(told)
    });
    for event in &told {
        let note = event["note"].as_str().unwrap_or_default();
        cases.holds("an Event of what came to be", note.contains("/report-"), note);
    }
    let refusals = events(&forged, "DependentRefused");
    cases.holds("Events of refusals are few", refusals.len() <= 25, refusals.len());
    let forged_text = format!("{}/post-trade-20000", forged.namespace);
    for line in shared().logs().lines().filter(|line| line.contains("admitted")) {
        let about_forged =
            line.contains(&forged_text) || (line.contains(&forged.namespace) && line.contains("post-trade-20000"));
        cases.holds("a log line", !about_forged, line);
    }
    let jobs = shared().cluster.get(&forged.group("batch/v1", "jobs")).unwrap();
    cases.holds("no forged Job is there", jobs["items"] == json!([]), &jobs["items"]);
    cases.finish();
}

#[test]
fn threat_40_a_burst_beside_forged_reviews_does_not_exceed_the_limit() {
    let master = master("burst");
    let known = Known::of(&master);
    let (stop, admitted) = (AtomicBool::new(false), AtomicU32::new(0));
    let stored = AtomicU32::new(0);
    std::thread::scope(|scope| {
        let _stop = Stop(&stop);
        for forger in 0..FORGERS {
            let (known, stop, admitted) = (&known, &stop, &admitted);
            scope.spawn(move || forge(known, 20_000_000 + forger, stop, admitted));
        }
        until("more forged creates than there are places", || {
            shared().cluster.asker().get("/readyz").unwrap();
            (admitted.load(Ordering::Relaxed) > 2 * 20).then_some(())
        });
        let burst: Vec<_> = (0..26)
            .map(|number| {
                let (master, stored) = (&master, &stored);
                scope.spawn(move || {
                    let reply = send(master, Way::Post, &report(number), "");
                    stored.fetch_add(u32::from(reply.success()), Ordering::Relaxed);
                })
            })
            .collect();
        burst.into_iter().for_each(|create| create.join().unwrap());
    });
    assert_eq!(stored.load(Ordering::Relaxed), 20);
}

/// The API server refuses what one account asks beyond its share: who asks for nobody takes the webhook none of it.
#[test]
fn threat_58_reviews_in_the_names_of_nobody_keep_no_master_from_being_looked_up() {
    let (known, fresh) = (master("found"), master("afresh"));
    let nobody = Known::of(&known);
    let stop = AtomicBool::new(false);
    let asked = AtomicU32::new(0);
    let mut cases = Cases::default();
    admitted_promptly(&mut cases, "before it", &known, 0);
    std::thread::scope(|scope| {
        let _stop = Stop(&stop);
        for number in 0..400 {
            let (nobody, stop, asked) = (&nobody, &stop, &asked);
            scope.spawn(move || {
                let mut connection = Connection::open(shared());
                for at in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let review = Known { pod: format!("nobody-{number}-{at}"), ..nobody.clone() }.review(20_000_000);
                    let answer = connection.review("/mutate", &review);
                    assert_eq!(answer["allowed"], false);
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        until("all of them ask", || {
            shared().cluster.asker().get("/readyz").unwrap();
            (asked.load(Ordering::Relaxed) >= 400).then_some(())
        });
        let begun = Instant::now();
        for number in 1..8 {
            admitted_promptly(&mut cases, "who was known before", &known, number);
            admitted_promptly(&mut cases, "who comes new", &fresh, number);
        }
        // Beside lookups without a bound they take 8 s, and some are refused.
        let took = begun.elapsed();
        cases.holds("all fourteen", took < 2 * PROMPT, format!("they took {took:?}"));
    });
    cases.finish();
}

#[test]
fn threat_58_one_review_repeated_without_end_refuses_nobody() {
    let (forged, beside) = (master("repeated"), master("unmoved"));
    let known = Known::of(&forged);
    let mut connection = Connection::open(shared());
    let review = known.stamped(&mut connection, 20_000_000).unwrap();
    let mut cases = Cases::default();
    for _ in 0..2_000 {
        let answer = connection.review("/validate", &review);
        cases.holds("a repetition", answer["allowed"] == true, &answer);
    }
    for number in 0..5 {
        admitted_promptly(&mut cases, "its own", &forged, number);
        admitted_promptly(&mut cases, "another master's", &beside, number);
    }
    cases.finish();
}

#[test]
fn threat_58_who_knows_no_pod_learns_nothing_from_a_refusal() {
    let master = master("unasked");
    let known = Known::of(&master);
    let mut connection = Connection::open(shared());
    let mut cases = Cases::default();
    let other_uid = Known { uid: "0f7b1a3e-0000-4000-8000-000000000000".into(), ..known.clone() };
    let other_pod = Known { pod: "eod-0".into(), ..known.clone() };
    let other_account = Known { account: "default".into(), ..known.clone() };
    for (what, guessed) in [("a uid", &other_uid), ("a pod", &other_pod), ("an account", &other_account)] {
        let mut review = guessed.review(20_000_000);
        review["request"]["object"]["spec"]["template"]["spec"]["containers"] = json!([{"name": "main"}]);
        let answer = connection.review("/mutate", &review);
        let text = answer.to_string();
        cases.holds(what, answer["allowed"] == false && !text.contains("registry.example"), &text);
    }
    cases.finish();
}
