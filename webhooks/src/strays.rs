//! Requests that no API server sends. Each is answered, and is the last of its connection: so a flood of them needs a TLS
//! handshake for each, and handshakes are bounded. Health is asked for once, too.

use std::rc::Rc;

use actix_http::ConnectionType;
use actix_web::Error;
use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{Method, Uri};
use actix_web::middleware::Next;

use crate::metrics::Door;
use crate::reading::Head;

/// Whether an API server sends no such request. Its body says nothing of that: it is as odd as a tenant likes.
pub(crate) fn is_stray(method: &Method, uri: &Uri) -> bool {
    method != Method::POST || Door::ALL.iter().all(|door| door.path() != uri.path())
}

/// Over HTTP/1.1: a stray is the last of its connection, and the head of each request is bounded. (Over HTTP/2:
/// [`crate::http2`].)
pub(crate) async fn last(request: ServiceRequest, next: Next<BoxBody>) -> Result<ServiceResponse, Error> {
    let head = request.conn_data::<Rc<Head>>().cloned();
    let stray = is_stray(request.method(), request.uri());
    if let Some(head) = &head {
        head.ended();
    }
    let mut answer = next.call(request).await?;
    if let Some(head) = head {
        head.begins();
    }
    if stray {
        answer.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    Ok(answer)
}
