//! From a TCP connection to HTTP: who is let in, the TLS handshake, and what is closed when there are too many.
//!
//! A connection that sends nothing costs a place among those which wait ([`Connections`]) and a few hundred bytes; TLS begins
//! with its first byte.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use actix_http::Request;
use actix_server::GracefulShutdownSignal;
use actix_service::{Service, ServiceFactory};
use actix_web::Error;
use actix_web::dev::ServiceResponse;
use actix_web::rt::net::TcpStream;
use futures::future::LocalBoxFuture;
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{debug, warn};

use crate::connections::Connections;
use crate::court::Deadline;
use crate::http2::{self, Answers};
use crate::metrics::ClientMetrics;
use crate::reading::Measured;
use crate::requests::Bounds;
use crate::sender::Sender;
use crate::serving;

/// What a handshake takes of a thread, nanoseconds.
const HANDSHAKE: u64 = 300_000;

/// How long nothing is logged of clients without certificate once one was.
const QUIET: Duration = Duration::from_secs(60);

/// How long, and how often, it is read what a client still sends whose handshake failed.
const FAREWELL: Duration = Duration::from_millis(200);
const FAREWELL_READS: usize = 16;

/// What HTTP/1.1 is served over, its version, and the other end.
pub(crate) type Accepted = (Measured<TlsStream<TcpStream>>, actix_http::Protocol, Option<SocketAddr>);

/// How connections are let in.
#[derive(Clone)]
pub(crate) struct Entrance {
    pub(crate) tls: TlsAcceptor,
    /// How long a client may send nothing, and then how long the handshake may take.
    pub(crate) patience: Duration,
    /// Those which have not ended their handshake.
    pub(crate) waiting: Connections,
    /// All others.
    pub(crate) open: Connections,
    /// Those which are refused because of their certificate.
    pub(crate) refused: Refused,
    /// What they ask over HTTP/2.
    pub(crate) bounds: Bounds,
    pub(crate) stopping: GracefulShutdownSignal,
}

/// TLS that lets the client choose a version of HTTP.
pub(crate) fn acceptor(mut tls: ServerConfig) -> TlsAcceptor {
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(tls).into()
}

impl Entrance {
    /// Serves one connection, until either side ends it.
    async fn serve<H, A>(self, tcp: TcpStream, http1: Rc<H>, app: Rc<A>) -> io::Result<()>
    where
        H: Service<Accepted>,
        H::Error: std::fmt::Debug,
        A: Answers + 'static,
        A::Future: 'static,
    {
        let peer = tcp.peer_addr()?;
        let sender = Sender::at(peer);
        let mut waiting = self.waiting.open(peer.ip());
        let greeted = tokio::select! {
            greeted = self.greet(tcp, sender) => greeted?,
            () = waiting.crowded_out() => return Err(crowded_out()),
        };
        let mut open = self.open.open(peer.ip());
        drop(waiting);
        // Large, and needed by those alone which come so far.
        let served: LocalBoxFuture<'_, io::Result<()>> = match greeted.get_ref().1.alpn_protocol() {
            Some(b"h2") => Box::pin(async {
                let stopping = async { self.stopping.notified().await };
                http2::serve(greeted, sender, app, &self.bounds, stopping).await.map_err(io::Error::other)
            }),
            _ => Box::pin(async {
                let served =
                    http1.call((Measured::http1(greeted, sender), actix_http::Protocol::Http1, Some(peer))).await;
                served.map(drop).map_err(|error| io::Error::other(format!("{error:?}")))
            }),
        };
        tokio::select! {
            ended = served => ended,
            () = open.crowded_out() => Err(crowded_out()),
        }
    }

    /// The TLS handshake, once the client has sent something.
    async fn greet(&self, tcp: TcpStream, sender: Sender) -> io::Result<TlsStream<TcpStream>> {
        // Nagle's algorithm holds the second segment of an answer with a patch back for 40 ms.
        tcp.set_nodelay(true)?;
        timeout(self.patience, tcp.readable()).await??;
        let (at, time) = (Instant::now() + self.patience, self.patience);
        let turn = serving::turn(|| sender.path("", ""), HANDSHAKE, Deadline { at, time });
        turn.await.map_err(|_| io::ErrorKind::TimedOut)?;
        match Box::pin(timeout_at(at, self.tls.accept(tcp).into_fallible())).await? {
            Ok(greeted) => Ok(greeted),
            Err((error, tcp)) => {
                self.refused.failed(&error, sender);
                farewell(tcp).await;
                Err(error)
            }
        }
    }
}

/// Tells of clients that are refused because of their certificate. Of one that was shown, whoever verifies it logs why.
#[derive(Clone)]
pub(crate) struct Refused {
    metrics: ClientMetrics,
    /// When a client without certificate was logged last.
    logged: Arc<Mutex<Option<Instant>>>,
}

impl Refused {
    pub(crate) fn new(metrics: ClientMetrics) -> Self {
        Self { metrics, logged: Arc::default() }
    }

    fn failed(&self, error: &io::Error, sender: Sender) {
        let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if !cause.is_some_and(|cause| self.metrics.failed(cause)) {
            return;
        }
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.is_none_or(|at| at.elapsed() >= QUIET) {
            *logged = Some(Instant::now());
            warn!(
                address = %sender.address,
                "a client that shows no certificate is refused; if it is the API server, give that the files that `retinue \
                 certs --client` writes; further ones are counted (retinue_clients_refused_total)"
            );
        }
    }
}

/// Ends a connection whose handshake failed so that the client reads why: a socket that is closed with something unread
/// in it is reset, and takes the alert with it. In TLS 1.3 a client may have sent its request by then.
async fn farewell(mut tcp: TcpStream) {
    let mut unread = [0; 4096];
    let read = async {
        tcp.shutdown().await?;
        for _ in 0..FAREWELL_READS {
            if tcp.read(&mut unread).await? == 0 {
                break;
            }
        }
        io::Result::Ok(())
    };
    // Whoever goes on sending is reset.
    let _ended = timeout(FAREWELL, read).await;
}

fn crowded_out() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "too many connections of this address")
}

/// Makes the service of each thread.
pub(crate) struct Accepting<H, A> {
    pub(crate) entrance: Entrance,
    pub(crate) http1: H,
    pub(crate) app: A,
}

impl<H, A> ServiceFactory<TcpStream> for Accepting<H, A>
where
    H: ServiceFactory<Accepted, Config = (), InitError = ()>,
    H::Future: 'static,
    H::Service: 'static,
    H::Error: std::fmt::Debug,
    A: ServiceFactory<Request, Config = (), Response = ServiceResponse, Error = Error, InitError = ()>,
    A::Future: 'static,
    A::Service: 'static,
    <A::Service as Service<Request>>::Future: 'static,
{
    type Response = ();
    type Error = Infallible;
    type Config = ();
    type Service = Acceptor<H::Service, A::Service>;
    type InitError = ();
    type Future = LocalBoxFuture<'static, Result<Self::Service, ()>>;

    fn new_service(&self, (): ()) -> Self::Future {
        let (entrance, http1, app) = (self.entrance.clone(), self.http1.new_service(()), self.app.new_service(()));
        Box::pin(async move { Ok(Acceptor { entrance, http1: Rc::new(http1.await?), app: Rc::new(app.await?) }) })
    }
}

/// Accepts the connections of one thread. It is always ready: whoever is one too many is closed, and nobody waits for that.
pub(crate) struct Acceptor<H, A> {
    entrance: Entrance,
    http1: Rc<H>,
    app: Rc<A>,
}

impl<H, A> Service<TcpStream> for Acceptor<H, A>
where
    H: Service<Accepted> + 'static,
    H::Error: std::fmt::Debug,
    A: Answers + 'static,
    A::Future: 'static,
{
    type Response = ();
    type Error = Infallible;
    type Future = LocalBoxFuture<'static, Result<(), Infallible>>;

    fn poll_ready(&self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&self, tcp: TcpStream) -> Self::Future {
        let (entrance, http1, app) = (self.entrance.clone(), Rc::clone(&self.http1), Rc::clone(&self.app));
        Box::pin(async move {
            if let Err(error) = entrance.serve(tcp, http1, app).await {
                debug!("a connection ended: {error}");
            }
            Ok(())
        })
    }
}
