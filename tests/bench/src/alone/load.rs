//! The load: reviews over one HTTP/2 connection, so many at once, each answer verified.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use h2::client::SendRequest;
use hdrhistogram::Histogram;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::reviews::{Body, Expected, Question};

/// A connection to a server.
#[derive(Clone)]
pub struct Client {
    send: SendRequest<Bytes>,
}

/// What a burst of reviews took.
pub struct Burst {
    /// From the first question to the last answer.
    pub took: Duration,
    /// From question to answer, microseconds.
    pub latencies: Histogram<u64>,
}

impl Client {
    /// Connects. `authority` is PEM.
    ///
    /// # Errors
    /// When there is no such connection.
    pub async fn connect(address: SocketAddr, authority: &str) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.as_bytes())?)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let tls = TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost")?, tcp).await?;
        let (send, connection) =
            h2::client::Builder::new().initial_connection_window_size(16 << 20).handshake(tls).await?;
        tokio::spawn(connection);
        Ok(Self { send })
    }

    async fn ask(&self, question: Question, body: &Body) -> anyhow::Result<Vec<u8>> {
        let (status, text) = self.post(question.path(), body.text.clone()).await?;
        ensure!(status == 200, "{status}: {}", String::from_utf8_lossy(&text));
        Ok(text)
    }

    /// Sends this; what is answered, whatever it is.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn post(&self, path: &str, body: Bytes) -> anyhow::Result<(u16, Vec<u8>)> {
        let mut send = self.send.clone().ready().await?;
        let request = http::Request::post(format!("https://localhost{path}"))
            .header("content-type", "application/json")
            .header("content-length", body.len())
            .body(())?;
        let (response, mut stream) = send.send_request(request, false)?;
        stream.send_data(body, true)?;
        let (head, mut answer) = response.await?.into_parts();
        let mut text = Vec::new();
        while let Some(chunk) = answer.data().await {
            let chunk = chunk?;
            answer.flow_control().release_capacity(chunk.len())?;
            text.extend_from_slice(&chunk);
        }
        Ok((head.status.as_u16(), text))
    }

    /// One create, as the API server asks about it: the new object, then the final one. What it took.
    ///
    /// # Errors
    /// When it is not admitted.
    pub async fn create(&self, submitted: &Body, completed: &Body) -> anyhow::Result<Duration> {
        let asked = Instant::now();
        for (question, body) in [(Question::Stamp, submitted), (Question::Check, completed)] {
            Expected::Verdict(question).verify(&body.uid, &self.ask(question, body).await?)?;
        }
        Ok(asked.elapsed())
    }

    /// Asks `count` times, `at_once` at once, beginning with the body of number `first`.
    ///
    /// # Errors
    /// At the first wrong answer.
    pub async fn burst(
        &self,
        question: Question,
        bodies: &[Body],
        expected: Expected,
        first: usize,
        count: usize,
        at_once: usize,
    ) -> anyhow::Result<Burst> {
        let started = Instant::now();
        let numbers = stream::iter(first..first + count);
        let answers = numbers.map(|number| async move {
            let body = bodies.get(number % bodies.len()).context("nothing to ask")?;
            let asked = Instant::now();
            let answer = self.ask(question, body).await?;
            let latency = asked.elapsed();
            expected.verify(&body.uid, &answer)?;
            anyhow::Ok(latency)
        });
        let latencies = Histogram::new_with_bounds(1, 60_000_000, 3)?;
        let latencies = answers
            .buffer_unordered(at_once)
            .try_fold(latencies, async |mut latencies, latency| {
                latencies.record(u64::try_from(latency.as_micros())?.max(1))?;
                Ok(latencies)
            })
            .await?;
        Ok(Burst { took: started.elapsed(), latencies })
    }
}
