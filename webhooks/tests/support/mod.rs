//! A server in this process, and a client that speaks HTTP/2 or HTTP/1.1 over TLS to it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::allow_attributes,
    dead_code,
    unreachable_pub,
    reason = "tests; not every file uses all of it"
)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use policies::caller::Unidentified;
use policies::collectable::{Need, Rights};
use policies::lint::Linted;
use policies::request::Request;
use policies::verdict::{Admission, Cause, Ground, Refusal, Situation, Verdict};
use prometheus_client::registry::Registry;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;
use webhooks::health::Readiness;
use webhooks::metrics::Metrics;
use webhooks::server::{self, Clock, Config, Parts, ServeError};
use webhooks::{Asking, GatherError, Linting, Lookups, TemplateLint};

pub const UID: &str = "705ab4f5-6393-11e8-b7cc-42010a800002";

/// What gathering does.
#[derive(Clone, Default)]
pub enum Gathers {
    #[default]
    Known,
    Waits(Arc<tokio::sync::Notify>),
    Never,
    Fails(GatherError),
    Panics,
}

/// [`Asking`] from a table.
#[derive(Clone, Default)]
pub struct Table {
    pub gathers: Gathers,
    pub telling_panics: bool,
    pub told: Arc<Mutex<Vec<String>>>,
    pub gathered: Arc<AtomicUsize>,
    pub dropped: Arc<Mutex<Vec<String>>>,
    /// What masters are judged by; else nobody is known.
    pub situation: Option<Situates>,
}

/// What a review is judged by.
pub type Situates = Arc<dyn Fn(&Request) -> Situation + Send + Sync>;

impl Asking for Table {
    async fn gather(&self, request: &Request, _: &Lookups) -> Result<Situation, GatherError> {
        match &self.gathers {
            Gathers::Known => {}
            Gathers::Waits(go) => go.notified().await,
            Gathers::Never => std::future::pending().await,
            Gathers::Fails(error) => return Err(error.clone()),
            Gathers::Panics => panic!("gathering"),
        }
        self.gathered.fetch_add(1, Ordering::SeqCst);
        if let Some(situation) = &self.situation {
            return Ok(situation(request));
        }
        let now = jiff::Timestamp::UNIX_EPOCH;
        Ok(Situation::unknown(now, Unidentified::NoAccount(request.user.username.clone())))
    }

    fn tell(&self, request: &Request, _: &Situation, _: &Verdict) {
        assert!(!self.telling_panics, "telling");
        self.told.lock().unwrap().push(request.uid.clone());
    }

    fn dropped(&self, request: &Request, _: &Situation) {
        self.dropped.lock().unwrap().push(request.uid.clone());
    }
}

/// How a verdict is reached, each in one turn.
pub type Decide = Arc<dyn Fn(&Request, &Situation) -> Verdict + Send + Sync>;

/// A verdict that admits with a patch in the mutating phase.
pub fn stamps() -> Decide {
    Arc::new(|request, _| {
        let mut admission = Admission::on(Ground::Template);
        if request.phase == policies::request::Phase::Mutating {
            let patch = json!([{"op": "add", "path": "/metadata/labels", "value": {"fledged.io/master": "eod"}}]);
            admission.patch = Some(serde_json::from_value(patch).unwrap());
        }
        Verdict::Admit(admission)
    })
}

/// A verdict that refuses.
pub fn refuses() -> Decide {
    Arc::new(|request, _| Verdict::Refuse(Refusal::new(Cause::Identity, "nobody knows you").about_request(request)))
}

/// A verdict that panics.
pub fn panics() -> Decide {
    Arc::new(|_, _| panic!("deciding"))
}

/// What the API server says of the collector's rights.
#[derive(Clone, Default)]
pub enum Asks {
    /// This.
    Says(Rights),
    /// Nothing.
    #[default]
    Nothing,
    /// It does not answer.
    Never,
    Panics,
}

/// How a ConfigMap is linted.
pub type Reads = Arc<dyn Fn(&Value) -> Linted + Send + Sync>;

/// [`TemplateLint`], or something else in its place.
struct Lint {
    panics: bool,
    reads: Option<Reads>,
    asks: Asks,
}

impl Linting for Lint {
    fn read(&self, config_map: &Value) -> Linted {
        assert!(!self.panics, "linting");
        match &self.reads {
            Some(reads) => reads(config_map),
            None => TemplateLint.read(config_map),
        }
    }

    fn ask<'a>(&'a self, _: &'a [Need]) -> BoxFuture<'a, Rights> {
        Box::pin(async move {
            match &self.asks {
                Asks::Says(rights) => rights.clone(),
                Asks::Nothing => Rights::default(),
                Asks::Never => std::future::pending().await,
                Asks::Panics => panic!("asking"),
            }
        })
    }
}

pub struct Harness {
    pub address: SocketAddr,
    pub plain: SocketAddr,
    pub readiness: Readiness,
    pub metrics: Metrics,
    pub stop: CancellationToken,
    pub running: tokio::task::JoinHandle<Result<(), ServeError>>,
    pub certificate: CertificateDer<'static>,
}

/// What differs from the usual.
pub struct Setup {
    pub table: Table,
    pub decide: Option<Decide>,
    /// In so many turns, where it is not reached quickly.
    pub turns: usize,
    pub conditions: Vec<&'static str>,
    pub change: fn(&mut Config),
    pub client_ca: Option<CertificateDer<'static>>,
    pub lint_panics: bool,
    pub lint_reads: Option<Reads>,
    pub lint_asks: Asks,
    /// By which turns are charged, in place of the time.
    pub clock: Option<Clock>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            table: Table::default(),
            decide: Some(stamps()),
            turns: 1,
            conditions: Vec::new(),
            change: |_| {},
            client_ca: None,
            lint_panics: false,
            lint_reads: None,
            lint_asks: Asks::default(),
            clock: None,
        }
    }
}

#[derive(Debug)]
struct One(Arc<CertifiedKey>);

impl rustls::server::ResolvesServerCert for One {
    fn resolve(&self, _: rustls::server::ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

pub fn self_signed(name: &str) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    (made.cert.der().clone(), PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der())))
}

pub fn start(setup: Setup) -> Harness {
    let (certificate, key) = self_signed("localhost");
    let key = aws_lc_rs::sign::any_supported_type(&key).unwrap();
    let resolver = One(Arc::new(CertifiedKey::new(vec![certificate.clone()], key)));
    let client_ca = setup.client_ca.map(|ca| {
        let mut roots = RootCertStore::empty();
        roots.add(ca).unwrap();
        roots
    });
    let tls = server::tls(Arc::new(resolver), client_ca).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let mut config = Config::new(any, Some(any), tls);
    config.workers = 2;
    // The clients of these tests leave their connections open; a server that stops waits for them that long.
    config.grace = Duration::from_secs(1);
    (setup.change)(&mut config);

    let readiness = Readiness::new(setup.conditions);
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let mut parts = Parts::new(
        setup.table,
        Lint { panics: setup.lint_panics, reads: setup.lint_reads, asks: setup.lint_asks },
        readiness.clone(),
        metrics.clone(),
        Arc::new(registry),
    );
    if let Some(decide) = setup.decide {
        let (decides, asked, turns) = (Arc::clone(&decide), AtomicUsize::new(1), setup.turns);
        parts.decide = Arc::new(move |request, situation| {
            let last = asked.fetch_add(1, Ordering::SeqCst) >= turns;
            last.then(|| decides(request, situation))
        });
        parts.quickly = Arc::new(move |request, situation, _| (turns == 1).then(|| decide(request, situation)));
    }
    if let Some(clock) = setup.clock {
        parts.clock = clock;
    }
    let stop = CancellationToken::new();
    let bound = server::bind(config, parts, stop.clone()).unwrap();
    let (address, plain) = (bound.address, bound.plain_address.unwrap_or(bound.address));
    let running = tokio::spawn(bound.run());
    Harness { address, plain, readiness, metrics, stop, running, certificate }
}

/// What a client of HTTP/2 sends first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame of HTTP/2, written by hand.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Whether the server answers a PING over this connection. It does so once it took in what came before.
pub async fn answers_ping(stream: &mut TlsStream<TcpStream>) -> bool {
    let (data, mut read) = (b"pingping", Vec::<u8>::new());
    if stream.write_all(&frame(6, 0, 0, data)).await.is_err() || stream.flush().await.is_err() {
        return false;
    }
    while !read.windows(data.len()).any(|part| part == data) {
        let mut part = [0; 4_096];
        match tokio::time::timeout(Duration::from_secs(20), stream.read(&mut part)).await.unwrap() {
            Ok(more) if more > 0 => read.extend(&part[..more]),
            _ => return false,
        }
    }
    true
}

impl Harness {
    /// A connection from 127.0.0.`host` with so many requests under way, of which only the heads have come.
    pub async fn begun(&self, host: u8, requests: u32) -> TlsStream<TcpStream> {
        let mut stream = self.tls_from(host, "h2", None).await;
        let mut bytes = PREFACE.to_vec();
        bytes.extend(frame(4, 0, 0, &[]));
        for number in 0..requests {
            // `POST`, `https`, the path, the authority.
            bytes.extend(frame(1, 4, 2 * number + 1, b"\x83\x87\x04\x07/mutate\x01\x01x"));
        }
        stream.write_all(&bytes).await.unwrap();
        assert!(answers_ping(&mut stream).await, "it is open");
        stream
    }

    pub async fn tls(
        &self,
        protocol: &str,
        identity: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
    ) -> TlsStream<TcpStream> {
        self.tls_from(1, protocol, identity).await
    }

    /// From the address 127.0.0.`host`.
    pub async fn tls_from(
        &self,
        host: u8,
        protocol: &str,
        identity: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
    ) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => builder.with_client_auth_cert(vec![certificate], key).unwrap(),
        };
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, host], 0))).unwrap();
        let tcp = socket.connect(self.address).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap()
    }

    pub async fn client(&self) -> Client {
        Client::over(self.tls("h2", None).await).await
    }

    /// A client at the address 127.0.0.`host`.
    pub async fn client_at(&self, host: u8) -> Client {
        Client::over(self.tls_from(host, "h2", None).await).await
    }

    /// Waits until the metrics show this line.
    pub async fn until(&self, line: &str) {
        self.until_shown(line, |text| text.lines().any(|shown| shown == line)).await;
    }

    /// Waits until the metrics show what is waited for.
    pub async fn until_shown(&self, what: &str, shown: impl Fn(&str) -> bool) {
        let started = std::time::Instant::now();
        loop {
            let text = self.get("/metrics").await.1;
            if shown(&text) {
                return;
            }
            assert!(started.elapsed() < Duration::from_secs(30), "{what} in\n{text}");
            tokio::task::yield_now().await;
        }
    }

    /// `GET` over plain HTTP: status and body.
    pub async fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.plain).await.unwrap();
        stream
            .write_all(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").as_bytes())
            .await
            .unwrap();
        split(&read_all(&mut stream).await)
    }

    /// `POST` over TLS and HTTP/1.1, in two writes: status and body.
    pub async fn post_http1(&self, path: &str, length: Option<usize>, body: &[u8]) -> (u16, String) {
        let mut stream = self.tls("http/1.1", None).await;
        let framing = match length {
            Some(length) => format!("content-length: {length}"),
            None => "transfer-encoding: chunked".into(),
        };
        let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{framing}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        if length.is_none() {
            stream.write_all(format!("{:x}\r\n", body.len()).as_bytes()).await.unwrap();
        }
        stream.write_all(body).await.unwrap();
        if length.is_none() {
            stream.write_all(b"\r\n0\r\n\r\n").await.unwrap();
        }
        stream.flush().await.unwrap();
        split(&read_all(&mut stream).await)
    }

    pub async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(20), self.running).await.unwrap().unwrap().unwrap();
    }
}

async fn read_all(stream: &mut (impl AsyncReadExt + Unpin)) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A peer that closes without a TLS goodbye has still said what it said.
    let _ = stream.read_to_end(&mut bytes).await;
    bytes
}

fn split(bytes: &[u8]) -> (u16, String) {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no HTTP answer: {text:?}"));
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[derive(Clone)]
pub struct Client {
    send: h2::client::SendRequest<Bytes>,
}

impl Client {
    pub async fn over(stream: TlsStream<TcpStream>) -> Self {
        let (send, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        Self { send }
    }

    /// Begins a `POST` of which nothing but the first byte comes; the server may refuse it before.
    pub async fn begin(&self, path: &str, length: usize) -> (h2::client::ResponseFuture, h2::SendStream<Bytes>) {
        let mut send = self.send.clone().ready().await.unwrap();
        let request =
            http::Request::post(format!("https://localhost{path}")).header("content-length", length).body(()).unwrap();
        let (response, mut stream) = send.send_request(request, false).unwrap();
        let _ = stream.send_data(Bytes::from_static(b"{"), false);
        (response, stream)
    }

    /// `POST`: status and body. Stops sending when the server does not want more.
    pub async fn post(&self, path: &str, mut body: Bytes) -> (u16, String) {
        let mut send = self.send.clone().ready().await.unwrap();
        let request = http::Request::post(format!("https://localhost{path}"))
            .header("content-length", body.len())
            .body(())
            .unwrap();
        let (response, mut stream) = send.send_request(request, body.is_empty()).unwrap();
        drop(send);
        while !body.is_empty() {
            stream.reserve_capacity(body.len().min(64 << 10));
            match std::future::poll_fn(|cx| stream.poll_capacity(cx)).await {
                Some(Ok(room)) => {
                    let chunk = body.split_to(room.min(body.len()));
                    let last = body.is_empty();
                    if stream.send_data(chunk, last).is_err() {
                        break;
                    }
                }
                _ => break,
            }
        }
        let (head, mut answer) = response.await.unwrap().into_parts();
        let mut text = Vec::new();
        while let Some(chunk) = answer.data().await {
            let chunk = match chunk {
                Ok(chunk) => chunk,
                // The answer is whole; the server does not want the rest of the question (RFC 9113, 8.1).
                Err(error) if error.reason() == Some(h2::Reason::NO_ERROR) => break,
                Err(error) => panic!("{error}"),
            };
            let _ = answer.flow_control().release_capacity(chunk.len());
            text.extend_from_slice(&chunk);
        }
        (head.status.as_u16(), String::from_utf8(text).unwrap())
    }

    /// A review's answer: its `response`. It must be a 200.
    pub async fn ask(&self, path: &str, review: &Value) -> Value {
        self.ask_text(path, review.to_string()).await
    }

    pub async fn ask_text(&self, path: &str, review: String) -> Value {
        let (status, text) = self.post(path, review.into()).await;
        assert_eq!(status, 200, "{text}");
        response(&text)
    }
}

/// The `response` of an AdmissionReview, with its uid checked.
pub fn response(text: &str) -> Value {
    let mut answer: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(answer["kind"], "AdmissionReview", "{text}");
    assert_eq!(answer["response"]["uid"], UID, "{text}");
    answer["response"].take()
}

/// The same review of another account.
pub fn by(account: &str, mut review: Value) -> Value {
    review["request"]["userInfo"]["username"] = account.into();
    review
}

/// A review of a create by a master.
pub fn review(object: Value) -> Value {
    json!({
        "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": UID,
            "kind": {"group": "", "version": "v1", "kind": "ConfigMap"},
            "resource": {"group": "", "version": "v1", "resource": "configmaps"},
            "name": "results", "namespace": "trading", "operation": "CREATE",
            "userInfo": {"username": "system:serviceaccount:trading:eod", "groups": [], "extra": {}},
            "object": object, "oldObject": null, "dryRun": false, "options": null,
        }
    })
}

pub fn config_map(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "results", "namespace": "trading"}, "data": data})
}

/// A review as the API server writes it: the uid before everything else of the request, who asks before the objects.
pub fn wire(review: &Value) -> String {
    let mut request = review["request"].as_object().unwrap().clone();
    request.remove("uid");
    let objects: Vec<_> = ["object", "oldObject", "dryRun", "options"].map(|key| (key, request.remove(key))).into();
    let rest = Value::from(request).to_string();
    let rest = rest.strip_suffix('}').unwrap().strip_prefix('{').unwrap();
    let objects: String =
        objects.into_iter().filter_map(|(key, value)| Some(format!(",\"{key}\":{}", value?))).collect();
    format!(
        r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{"uid":"{UID}",{rest}{objects}}}}}"#
    )
}

/// A legal review of so many megabytes of `<`, six bytes each once the API server has escaped them: 3 MB are 18.
pub fn escaped(megabytes: usize) -> String {
    wire(&review(config_map(json!({"text": "HERE"})))).replace("HERE", &"\\u003c".repeat(megabytes * 1_000_000))
}

pub fn reason(response: &Value) -> (&Value, &str) {
    (&response["status"]["code"], response["status"]["message"].as_str().unwrap_or_default())
}

pub fn labels(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' ')).collect()
}
