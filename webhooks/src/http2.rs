//! HTTP/2 over one connection, with bounds where actix sets none: streams at once, the headers of each, and how many requests
//! a client has that are not answered, until it has read the answers.
//!
//! Without them a client that sends requests and reads no answers, or headers that unpack to thousands of times their size,
//! makes the server hold as much as it likes.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_http::error::PayloadError;
use actix_http::{BoxedPayloadStream, Payload, Request};
use actix_service::Service;
use actix_web::body::MessageBody;
use actix_web::dev::ServiceResponse;
use actix_web::http::Method;
use actix_web::rt::net::TcpStream;
use actix_web::{Error, HttpResponse};
use bytes::Bytes;
use futures::Stream;
use h2::server::{Connection, SendResponse};
use h2::{Ping, PingPong, Reason, RecvStream};
use tokio::sync::oneshot;
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_rustls::server::TlsStream;

use crate::connections::Connection as Open;
use crate::frames::Allowance;
use crate::reading::{Measured, Pace};
use crate::requests::{Bounds, Place};
use crate::sender::Sender;
use crate::strays::is_stray;

/// Window of one stream, bytes: what a body that waits for room may hold.
const STREAM_WINDOW: u32 = 256 << 10;
/// Window of one connection: as many as there are streams, so that those which wait for room never keep those which are read
/// from being read. What waits is bounded in all ([`crate::shedding::Limits::waiting`]), what does not is read or refused.
const CONNECTION_WINDOW: u32 = STREAMS * STREAM_WINDOW;
/// Streams of a connection at once. An API server that has more reviews under way opens another connection.
const STREAMS: u32 = 128;
/// From so many on a connection is a busy one, of which there are fewer: what was needed for its streams is kept as long as it
/// is open, a kilobyte for each.
const FEW: usize = 8;
/// Bytes of a request's headers. An API server's are some 300, and up to 9 KB where it passes on the baggage of a trace.
const HEADERS: u32 = 16 << 10;
/// What is given to a stream at a time, bytes.
const CHUNK: usize = 16 << 10;
/// How long a client may leave an answer unread.
const UNREAD: Duration = Duration::from_secs(10);
/// Longer than the 90 s after which the API server drops an idle connection: who closes first must not be us, in the
/// moment in which a review is sent.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(120);
/// How long a client may take until HTTP/2 is spoken.
const PREFACE: Duration = Duration::from_secs(5);
/// How long a client has to close a connection that was answered for the last time.
const FAREWELL: Duration = Duration::from_secs(1);

/// What answers requests: an `App`.
pub(crate) trait Answers: Service<Request, Response = ServiceResponse, Error = Error> {}

impl<S: Service<Request, Response = ServiceResponse, Error = Error>> Answers for S {}

/// Serves one connection until the client ends it, or is silent for [`KEEP_ALIVE`] twice, or the server stops and all is
/// answered, or it asked for something that an API server never asks for.
pub(crate) async fn serve<S>(
    io: TlsStream<TcpStream>,
    sender: Sender,
    app: Rc<S>,
    bounds: &Bounds,
    stopping: impl Future<Output = ()>,
) -> Result<(), h2::Error>
where
    S: Answers + 'static,
    S::Future: 'static,
{
    let mut builder = h2::server::Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADERS);
    let (pace, allowance) = (Pace::new(sender), Allowance::new());
    let mut handshake = builder.handshake(Measured::http2(io, Rc::clone(&pace), Rc::clone(&allowance)));
    let shaken = poll_fn(|cx| pace.poll(cx, |cx| Pin::new(&mut handshake).poll(cx)));
    let Ok(shaken) = timeout(PREFACE, shaken).await else { return Ok(()) };
    let mut connection: Connection<_, Bytes> = shaken?;
    let mut silent = pin!(silent(connection.ping_pong()));
    let (mut stopping, mut stops) = (pin!(stopping), false);
    let mut client = Client { sender, app, allowance, under_way: Rc::new(()), refused: 0, busy: None, ends: None };
    loop {
        let accepted = tokio::select! {
            accepted = poll_fn(|cx| pace.poll(cx, |cx| connection.poll_accept(cx))) => accepted,
            () = &mut silent => return Ok(()),
            () = client.ended() => return Ok(()),
            () = &mut stopping, if !stops => {
                stops = true;
                connection.graceful_shutdown();
                continue;
            }
        };
        let Some(accepted) = accepted else { return Ok(()) };
        let (request, respond) = accepted?;
        client.take(request, respond, bounds);
        if client.ends.is_some() {
            connection.graceful_shutdown();
        }
    }
}

/// What one connection asks.
struct Client<S> {
    sender: Sender,
    app: Rc<S>,
    allowance: Rc<Allowance>,
    /// Cloned for each request that is not answered yet.
    under_way: Rc<()>,
    /// Requests that were refused: each may be kept until its refusal has left, which no event tells.
    refused: usize,
    busy: Option<Open>,
    /// When it is closed, since it asked for something that an API server never asks for.
    ends: Option<Instant>,
}

impl<S: Answers + 'static> Client<S>
where
    S::Future: 'static,
{
    /// Answers a request, or refuses it: who sent it may send it again.
    fn take(&mut self, request: http::Request<RecvStream>, mut respond: SendResponse<Bytes>, bounds: &Bounds) {
        let at_once = self.at_once();
        if self.busy.is_none() && at_once + self.refused >= FEW {
            self.busy = Some(bounds.busy.open(self.sender.address));
        }
        let may = self.ends.is_none() && at_once < STREAMS as usize;
        let Some(place) = may.then(|| bounds.requests.take(self.sender, request.headers())).flatten() else {
            self.refused += 1;
            respond.send_reset(Reason::REFUSED_STREAM);
            return;
        };
        if is_stray(request.method(), request.uri()) {
            self.ends = Some(Instant::now() + FAREWELL);
        }
        let has_body = !request.body().is_end_stream();
        let (app, sender, allowance) = (Rc::clone(&self.app), self.sender, Rc::clone(&self.allowance));
        let under_way = Rc::clone(&self.under_way);
        drop(spawn_local(async move {
            let answered = answer(app, sender, request, respond, place).await;
            drop(under_way);
            if let Some(bytes) = answered.filter(|_| has_body) {
                allowance.answered(bytes);
            }
        }));
    }

    /// How many requests are under way.
    fn at_once(&self) -> usize {
        Rc::strong_count(&self.under_way) - 1
    }

    /// Waits until the connection is to be closed: there are too many that are as busy, or it was answered for the last time.
    async fn ended(&mut self) {
        let Self { under_way, busy, ends, .. } = self;
        let crowded_out = async {
            match busy {
                Some(busy) => busy.crowded_out().await,
                None => std::future::pending().await,
            }
        };
        let answered = async {
            let Some(mut at) = *ends else { return std::future::pending().await };
            loop {
                sleep_until(at).await;
                if Rc::strong_count(under_way) == 1 {
                    return;
                }
                at = Instant::now() + FAREWELL;
            }
        };
        tokio::select! {
            () = crowded_out => {}
            () = answered => {}
        }
    }
}

/// Ends when the client answers no more.
async fn silent(pings: Option<PingPong>) {
    let Some(mut pings) = pings else { return std::future::pending().await };
    loop {
        sleep(KEEP_ALIVE).await;
        if !matches!(timeout(KEEP_ALIVE, pings.ping(Ping::opaque())).await, Ok(Ok(_))) {
            return;
        }
    }
}

/// Answers one request, unless it has to give way before its answer has left: so many bytes.
async fn answer<S: Answers>(
    app: Rc<S>,
    sender: Sender,
    request: http::Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    place: Place,
) -> Option<usize> {
    let gives_way = place.gives_way();
    let mut begun = false;
    let answered = tokio::select! {
        biased;
        answered = answered(app, sender, request, &mut respond, place, &mut begun) => answered.ok_or(Reason::CANCEL),
        // Who sent it may send it again, if it saw nothing of the answer.
        () = gives_way.told() => Err(if begun { Reason::CANCEL } else { Reason::REFUSED_STREAM }),
    };
    // Without an answer the client sees a stream that was reset, as with one that it does not read.
    answered.map_err(|reason| respond.send_reset(reason)).ok()
}

/// How many bytes of the answer have left; none if it has not left in time.
async fn answered<S: Answers>(
    app: Rc<S>,
    sender: Sender,
    request: http::Request<RecvStream>,
    respond: &mut SendResponse<Bytes>,
    place: Place,
    begun: &mut bool,
) -> Option<usize> {
    let head_only = request.method() == Method::HEAD;
    let response = match app.call(taken(request, sender)).await {
        Ok(response) => response.into(),
        Err(error) => error.error_response(),
    };
    *begun = true;
    // One that was cancelled meanwhile counts as answered: API servers cancel a review when its own client goes away.
    timeout(UNREAD, send(response, head_only, respond, place)).await.ok().map(Result::unwrap_or_default)
}

/// As actix has it.
fn taken(request: http::Request<RecvStream>, sender: Sender) -> Request {
    let (parts, body) = request.into_parts();
    let payload: BoxedPayloadStream = Box::pin(Body(body));
    let mut request = Request::with_payload(Payload::Stream { payload });
    let head = request.head_mut();
    head.uri = parts.uri;
    head.method = parts.method;
    head.version = parts.version;
    head.headers = parts.headers.into();
    head.peer_addr = Some((sender.address, sender.port).into());
    request
}

/// Sends an answer: so many bytes. Its request counts until all of it has left.
async fn send(
    response: HttpResponse,
    head_only: bool,
    respond: &mut SendResponse<Bytes>,
    place: Place,
) -> Result<usize, h2::Error> {
    let (response, body) = response.into_parts();
    let mut head = http::Response::new(());
    *head.status_mut() = response.status();
    *head.version_mut() = http::Version::HTTP_2;
    for (name, value) in response.headers() {
        head.headers_mut().append(name, value.clone());
    }
    // All bodies here are whole.
    let body = body.try_into_bytes().unwrap_or_default();
    head.headers_mut().insert(http::header::CONTENT_LENGTH, body.len().into());
    let (ends, size) = (head_only || body.is_empty(), body.len());
    let mut stream = respond.send_response(head, ends)?;
    if ends {
        return Ok(0);
    }
    let (leaves, left) = oneshot::channel();
    let mut rest = Bytes::from_owner(Unsent { body, _place: place, _leaves: leaves });
    while !rest.is_empty() {
        stream.reserve_capacity(rest.len().min(CHUNK));
        let Some(room) = poll_fn(|cx| stream.poll_capacity(cx)).await else { return Ok(0) };
        let chunk = rest.split_to(room?.min(rest.len()));
        stream.send_data(chunk, rest.is_empty())?;
    }
    drop(rest);
    // What was given to the connection stays there as long as the client reads nothing.
    let _ = left.await;
    Ok(size)
}

/// A body of which a part has not left.
struct Unsent {
    body: Bytes,
    _place: Place,
    /// Dropped with it.
    _leaves: oneshot::Sender<()>,
}

impl AsRef<[u8]> for Unsent {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

/// A body that comes in.
struct Body(RecvStream);

impl Stream for Body {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(chunk) = ready!(self.0.poll_data(cx)) else { return Poll::Ready(None) };
        let read = chunk.and_then(|chunk| self.0.flow_control().release_capacity(chunk.len()).map(|()| chunk));
        Poll::Ready(Some(read.map_err(PayloadError::from)))
    }
}
