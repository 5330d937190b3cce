//! What a server presents, looked at and not trusted: for telling when it ends, and whether a bundle would trust it.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::expiry::Validity;
use crate::{provider, source};

/// How long each step of a handshake may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Why nothing was presented.
#[derive(Debug, thiserror::Error)]
pub enum NotPresented {
    /// The name to ask for is none.
    #[error("{0:?} is neither a DNS name nor an IP address")]
    Name(String),
    /// No connection.
    #[error("cannot connect to {host}:{port}: {source}")]
    Connect {
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// Why.
        source: io::Error,
    },
    /// No TLS.
    #[error("{host}:{port} does not speak TLS as a webhook must: {source}")]
    Handshake {
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// Why.
        source: io::Error,
    },
    /// No provider.
    #[error("cannot speak TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// The chain that a server presents, leaf first. Sends nothing but a handshake, and believes nothing: hold it against a
/// bundle with [`crate::trust::verify`]. Blocks, for some seconds at most.
///
/// # Errors
/// [`NotPresented`].
pub fn by(host: &str, port: u16) -> Result<Vec<CertificateDer<'static>>, NotPresented> {
    let (mut connection, mut stream) = connected(host, port)?;
    let handshake = |source| NotPresented::Handshake { host: host.to_owned(), port, source };
    while connection.is_handshaking() {
        match connection.complete_io(&mut stream) {
            Ok(_) => {}
            // One that asks for a certificate of ours ends the handshake, after it has shown its own.
            Err(_) if connection.peer_certificates().is_some() => break,
            Err(error) => return Err(handshake(error)),
        }
    }
    Ok(connection.peer_certificates().unwrap_or_default().iter().map(|one| one.clone().into_owned()).collect())
}

/// Whether a server answers a client that shows no certificate: asked with one request for `path`, whose answer is not
/// read further than its first bytes. Blocks, for some seconds at most.
///
/// # Errors
/// [`NotPresented`] where it cannot be found out.
pub fn serves_strangers(host: &str, port: u16, path: &str) -> Result<bool, NotPresented> {
    let (mut connection, mut stream) = connected(host, port)?;
    let handshake = |source| NotPresented::Handshake { host: host.to_owned(), port, source };
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    let mut tls = rustls::Stream::new(&mut connection, &mut stream);
    // In TLS 1.3 a client learns that its certificate is missing when it reads.
    let answered = tls.write_all(request.as_bytes()).and_then(|()| tls.read(&mut [0; 16]));
    match answered {
        Ok(read) if read > 0 => Ok(true),
        Ok(_) => Err(handshake(io::Error::other("it closed the connection without an answer"))),
        Err(error) if is_refusal(&error) => Ok(false),
        Err(error) => Err(handshake(error)),
    }
}

/// The server's alert that says that a client shows no certificate, or none that it takes.
fn is_refusal(error: &io::Error) -> bool {
    use rustls::AlertDescription::{
        AccessDenied, BadCertificate, CertificateRequired, CertificateUnknown, HandshakeFailure,
    };
    let alert = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    let refusals = [CertificateRequired, BadCertificate, CertificateUnknown, HandshakeFailure, AccessDenied];
    matches!(alert, Some(rustls::Error::AlertReceived(alert)) if refusals.contains(alert))
}

fn connected(host: &str, port: u16) -> Result<(ClientConnection, TcpStream), NotPresented> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| NotPresented::Name(host.to_owned()))?;
    let connect = |source| NotPresented::Connect { host: host.to_owned(), port, source };
    let address = (host, port).to_socket_addrs().map_err(connect)?.next();
    let address = address.ok_or_else(|| connect(io::Error::other("it has no address")))?;
    let stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(connect)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(connect)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(connect)?;
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Looking))
        .with_no_client_auth();
    Ok((ClientConnection::new(Arc::new(config), name)?, stream))
}

/// When each certificate of a PEM bundle is valid; what cannot be read is left out, as clients do.
pub fn validities(pem: &[u8]) -> Vec<Validity> {
    CertificateDer::pem_slice_iter(pem).filter_map(|one| validity(&one.ok()?)).collect()
}

/// When a certificate is valid; none where it cannot be read.
pub fn validity(certificate: &CertificateDer<'_>) -> Option<Validity> {
    source::validity(certificate).ok()
}

/// Takes any certificate: nothing is sent to whoever presents it.
#[derive(Debug)]
struct Looking;

impl ServerCertVerifier for Looking {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
