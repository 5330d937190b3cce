//! Just enough HTTPS to ask an API server something: one request, one connection, a client certificate or a token.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use crate::Error;
use crate::credentials::Identity;
use crate::error::While;

/// How long one request may take. Namespaces and tokens are made in milliseconds, even on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

/// An answer of the API server.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) body: String,
}

/// Talks to the API server on one port of the loopback interface.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    port: u16,
    tls: Arc<ClientConfig>,
    /// Header lines that say who asks, where the certificate does not; each with its line end.
    who: String,
    /// How long to wait for each part of an answer.
    patience: Duration,
}

/// TLS that trusts this authority, and says nothing of who asks.
pub(crate) fn nobody(authority: &str) -> Result<Arc<ClientConfig>, Error> {
    let unreadable = |error: rustls_pki_types::pem::Error| rustls::Error::General(error.to_string());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).map_err(unreadable)?)?;
    let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(tls))
}

impl Client {
    pub(crate) fn new(port: u16, authority: &str, identity: &Identity) -> Result<Self, Error> {
        let unreadable = |error: rustls_pki_types::pem::Error| rustls::Error::General(error.to_string());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).map_err(unreadable)?)?;
        let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).map_err(unreadable)?;
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).map_err(unreadable)?;
        // The provider is named, not installed: that is for the process to do, once.
        let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate], key)?;
        Ok(Self { port, tls: Arc::new(tls), who: String::new(), patience: LIMIT })
    }

    /// A client of whoever holds `token`.
    pub(crate) fn bearer(port: u16, authority: &str, token: &str) -> Result<Self, Error> {
        let tls = nobody(authority)?;
        Ok(Self { port, tls, who: format!("Authorization: Bearer {token}\r\n"), patience: LIMIT })
    }

    /// The same client with a further header on each request.
    pub(crate) fn with_header(&self, name: &str, value: &str) -> Self {
        Self { who: format!("{}{name}: {value}\r\n", self.who), ..self.clone() }
    }

    /// The same client, waiting no longer than `patience` for each part of an answer.
    pub(crate) fn with_patience(&self, patience: Duration) -> Self {
        Self { patience, ..self.clone() }
    }

    /// One request; any status code is an answer. PATCH sends a merge patch.
    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<&serde_json::Value>) -> Result<Answer, Error> {
        let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        self.send(method, path, kind, &body.map(ToString::to_string).unwrap_or_default())
    }

    /// One request with a body of this media type; any status code is an answer.
    pub(crate) fn send(&self, method: &str, path: &str, kind: &str, body: &str) -> Result<Answer, Error> {
        let doing = || format!("{method} {path}");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let socket = TcpStream::connect_timeout(&address, self.patience).doing(doing)?;
        // Else the last bytes of a request wait 40 ms for a delayed acknowledgement.
        socket.set_nodelay(true).doing(doing)?;
        socket.set_read_timeout(Some(self.patience)).doing(doing)?;
        socket.set_write_timeout(Some(self.patience)).doing(doing)?;
        let name = ServerName::from(address.ip());
        let connection = ClientConnection::new(Arc::clone(&self.tls), name)?;
        let mut stream = StreamOwned::new(connection, socket);
        // HTTP/1.0: the answer comes whole, unchunked, and ends with the connection.
        let request = format!(
            "{method} {path} HTTP/1.0\r\nHost: localhost\r\nAccept: application/json\r\n{}\
             Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
            self.who,
            body.len()
        );
        stream.write_all(request.as_bytes()).doing(doing)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).doing(doing)?;
        parse(&String::from_utf8_lossy(&answer)).ok_or_else(|| Error::Io {
            what: format!("{method} {path}: the answer is not HTTP"),
            source: std::io::ErrorKind::InvalidData.into(),
        })
    }

    /// One request whose answer must be a success, or one of `tolerated`.
    pub(crate) fn must(
        &self,
        method: &str,
        path: &str,
        body: Option<&serde_json::Value>,
        tolerated: &[u16],
    ) -> Result<serde_json::Value, Error> {
        let Answer { code, body } = self.ask(method, path, body)?;
        if !(200..300).contains(&code) && !tolerated.contains(&code) {
            return Err(Error::Answer { request: format!("{method} {path}"), code, body });
        }
        serde_json::from_str(&body).map_err(|_| Error::Answer { request: format!("{method} {path}"), code, body })
    }
}

fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let code = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { code, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_its_code_and_its_body() {
        let answer = parse("HTTP/1.0 403 Forbidden\r\nDate: x\r\n\r\nno\r\n\r\nreally");
        assert_eq!(answer.map(|it| (it.code, it.body)), Some((403, "no\r\n\r\nreally".to_owned())));
        assert!(parse("").is_none() && parse("SSH-2.0\r\n\r\n").is_none());
    }
}
