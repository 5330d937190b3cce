//! Requests that no API server sends. Each is answered, and is the last of its connection: so a flood of them needs a TLS
//! handshake for each, and handshakes are bounded. Health is asked for once, too.

use std::rc::Rc;

use actix_http::ConnectionType;
use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{Method, Uri};
use actix_web::{Error, middleware};

use crate::handler::declared_length;
use crate::metrics::Door;
use crate::reading::Next;

/// Whether an API server sends no such request. Its body says nothing of that: it is as odd as a tenant likes.
pub(crate) fn is_stray(method: &Method, uri: &Uri) -> bool {
    method != Method::POST || Door::ALL.iter().all(|door| door.path() != uri.path())
}

/// Over HTTP/1.1: a stray is the last of its connection, and it is told what comes next ([`crate::reading`]). (Over HTTP/2:
/// [`crate::http2`].)
pub(crate) async fn last(request: ServiceRequest, app: middleware::Next<BoxBody>) -> Result<ServiceResponse, Error> {
    let next = request.conn_data::<Rc<Next>>().cloned();
    let stray = is_stray(request.method(), request.uri());
    if let Some(next) = &next {
        if stray {
            next.nothing();
        } else {
            let length = declared_length(request.request()).and_then(|length| usize::try_from(length).ok());
            next.body(length.unwrap_or_default());
        }
    }
    let mut answer = app.call(request).await?;
    if let Some(next) = next {
        next.head();
    }
    if stray {
        answer.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    Ok(answer)
}
