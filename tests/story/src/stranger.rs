//! Whoever reaches the webhook's port and is not the API server.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use serde_json::{Value, json};

/// How much is read of an answer: its head.
const HEAD: usize = 64;

/// A client of the webhook.
#[derive(Clone, Debug)]
pub struct Stranger {
    port: u16,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
}

impl Stranger {
    /// A client of the webhook on this port of the loopback interface, whose certificate is by `authority` (PEM) and for
    /// `name`. `pair`: the folder of `client.crt` and `client.key`, as `retinue certs --client` writes them; none: it shows
    /// no certificate.
    ///
    /// # Errors
    /// What cannot be read as certificate, key or name.
    pub fn new(port: u16, authority: &str, name: &'static str, pair: Option<&Path>) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.as_bytes())?)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let config = match pair {
            None => builder.with_no_client_auth(),
            Some(folder) => {
                let certificate = CertificateDer::from_pem_file(folder.join("client.crt"))?;
                let key = PrivateKeyDer::from_pem_file(folder.join("client.key"))?;
                builder.with_client_auth_cert(vec![certificate], key)?
            }
        };
        Ok(Self { port, name: ServerName::try_from(name)?, config: Arc::new(config) })
    }

    /// Sends `body` over a connection of its own. The first line of the answer, or how the connection ended.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn post(&self, path: &str, body: &str) -> Result<io::Result<String>> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        let connection = ClientConnection::new(Arc::clone(&self.config), self.name.clone())?;
        Ok(exchange(connection, stream, path, body))
    }
}

fn exchange(mut connection: ClientConnection, mut stream: TcpStream, path: &str, body: &str) -> io::Result<String> {
    let mut tls = rustls::Stream::new(&mut connection, &mut stream);
    let length = body.len();
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\n");
    tls.write_all(format!("{head}content-length: {length}\r\n\r\n{body}").as_bytes())?;
    let mut answer = [0; HEAD];
    let read = tls.read(&mut answer)?;
    let answer = String::from_utf8_lossy(answer.get(..read).unwrap_or_default()).into_owned();
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}

/// A review of the create of this template ConfigMap, such as a stranger would send.
pub fn review(config_map: &Value) -> Value {
    let metadata = &config_map["metadata"];
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "8c1b6a52-9a5e-4a83-8b9c-1f1c8ba3f0d1", "operation": "CREATE",
            "name": metadata["name"], "namespace": metadata["namespace"],
            "kind": {"group": "", "version": "v1", "kind": "ConfigMap"},
            "resource": {"group": "", "version": "v1", "resource": "configmaps"},
            "userInfo": {"username": "system:serviceaccount:trading:eod"}, "object": config_map,
        },
    })
}
