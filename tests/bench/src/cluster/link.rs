//! One connection to the API server that is kept: what is measured is the request, never the handshake.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use controlplane::ControlPlane;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};

/// How long one answer may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Whoever holds a token; connections are made from it.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    token: Arc<str>,
}

/// An answer, and how long it took from the first byte sent to the last one read.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) code: u16,
    pub(super) body: String,
    pub(super) took: Duration,
}

impl Caller {
    pub(super) fn new(cluster: &ControlPlane, token: &str) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(cluster.ca_pem().as_bytes())?)?;
        let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let url = cluster.server_url();
        let port = url.rsplit(':').next().context("a port")?.parse()?;
        Ok(Self { address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)), tls: Arc::new(tls), token: token.into() })
    }

    /// A connection of its own.
    pub(super) fn link(&self) -> Result<Link> {
        let socket = TcpStream::connect_timeout(&self.address, LIMIT)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(LIMIT))?;
        let connection = ClientConnection::new(Arc::clone(&self.tls), ServerName::from(self.address.ip()))?;
        Ok(Link { stream: StreamOwned::new(connection, socket), token: Arc::clone(&self.token), read: Vec::new() })
    }
}

/// A connection.
#[derive(Debug)]
pub(super) struct Link {
    stream: StreamOwned<ClientConnection, TcpStream>,
    token: Arc<str>,
    /// Read and not yet used; empty between answers.
    read: Vec<u8>,
}

impl Link {
    pub(super) fn post(&mut self, path: &str, body: &str) -> Result<Answer> {
        self.ask("POST", path, body)
    }

    pub(super) fn get(&mut self, path: &str) -> Result<Answer> {
        self.ask("GET", path, "")
    }

    pub(super) fn ask(&mut self, method: &str, path: &str, body: &str) -> Result<Answer> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.token,
            body.len()
        );
        let begun = Instant::now();
        self.stream.write_all(request.as_bytes())?;
        self.stream.flush()?;
        let (code, body) = self.answer().with_context(|| format!("{method} {path}"))?;
        let took = begun.elapsed();
        Ok(Answer { code, body: String::from_utf8(body).context("an answer that is no text")?, took })
    }

    fn answer(&mut self) -> Result<(u16, Vec<u8>)> {
        let end = loop {
            if let Some(end) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            self.more()?;
        };
        let rest = self.read.split_off(end + 4);
        let head = String::from_utf8_lossy(&std::mem::replace(&mut self.read, rest)).to_ascii_lowercase();
        let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).context("no status line")?;
        let header = |name: &str| {
            head.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| *key == name).map(|(_, it)| it.trim())
        };
        if header("transfer-encoding") == Some("chunked") {
            return Ok((code, self.chunks()?));
        }
        let Some(length) = header("content-length") else { bail!("an answer of unknown length: {head}") };
        Ok((code, self.take(length.parse()?)?))
    }

    fn chunks(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = loop {
                if let Some(end) = self.read.windows(2).position(|two| two == b"\r\n") {
                    break self.take(end + 2)?;
                }
                self.more()?;
            };
            let length = usize::from_str_radix(std::str::from_utf8(&line)?.trim(), 16)?;
            body.extend(self.take(length)?);
            self.take(2)?;
            if length == 0 {
                return Ok(body);
            }
        }
    }

    /// The next `length` bytes.
    fn take(&mut self, length: usize) -> Result<Vec<u8>> {
        while self.read.len() < length {
            self.more()?;
        }
        let rest = self.read.split_off(length);
        Ok(std::mem::replace(&mut self.read, rest))
    }

    fn more(&mut self) -> Result<()> {
        let mut buffer = [0; 16 << 10];
        let count = self.stream.read(&mut buffer)?;
        if count == 0 {
            bail!("the API server closed the connection");
        }
        self.read.extend(&buffer[..count]);
        Ok(())
    }
}
