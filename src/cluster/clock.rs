//! The API server's clock, from the `Date` header of every answer that comes with the watches and reads.
//!
//! Deadlines are computed from it, since a node's own clock may be an hour off while creation timestamps are the API
//! server's. `Date` has whole seconds and travels for a while, so each answer gives a lower bound of the server's
//! time; the highest bound of the last one to two minutes is at most a second behind, and never ahead. Between
//! answers this machine's monotonic clock counts on.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use jiff::Timestamp;
use tower::{Layer, Service};

/// How long a bound is kept alone: long enough that the ten or so watches, each reopened every 20 s, give several
/// answers in each window; short enough that a server whose clock was set back is followed within two minutes.
const WINDOW: Duration = Duration::from_secs(60);

/// The API server's clock.
#[derive(Debug)]
pub struct Clock {
    origin: Instant,
    bounds: Mutex<Bounds>,
}

/// Lower bounds of the server's time at `origin`, in nanoseconds since 1970.
#[derive(Debug, Default)]
struct Bounds {
    opened: Option<Instant>,
    current: Option<i128>,
    previous: Option<i128>,
}

impl Clock {
    /// A clock that has not heard of a server yet.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { origin: Instant::now(), bounds: Mutex::default() })
    }

    /// Takes in that an answer dated `date` arrived at `at`.
    pub fn observe(&self, date: Timestamp, at: Instant) {
        let at_origin = date.as_nanosecond() - self.since_origin(at);
        let mut bounds = self.bounds.lock().unwrap_or_else(PoisonError::into_inner);
        let expired = bounds.opened.is_none_or(|opened| at.saturating_duration_since(opened) > WINDOW);
        if expired {
            bounds.previous = bounds.current.take();
            bounds.opened = Some(at);
        }
        bounds.current = bounds.current.max(Some(at_origin));
    }

    /// The server's time now; none before its first answer.
    pub fn now(&self) -> Option<Timestamp> {
        self.at(Instant::now())
    }

    fn at(&self, at: Instant) -> Option<Timestamp> {
        let bounds = self.bounds.lock().unwrap_or_else(PoisonError::into_inner);
        let at_origin = bounds.current.max(bounds.previous)?;
        Timestamp::from_nanosecond(at_origin + self.since_origin(at)).ok()
    }

    fn since_origin(&self, at: Instant) -> i128 {
        let nanoseconds = |duration: Duration| i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX / 4);
        match at.checked_duration_since(self.origin) {
            Some(after) => nanoseconds(after),
            None => -nanoseconds(self.origin.saturating_duration_since(at)),
        }
    }
}

/// Lets a [`Clock`] see every answer of a client.
#[derive(Clone, Debug)]
pub struct DateLayer(pub Arc<Clock>);

impl<S> Layer<S> for DateLayer {
    type Service = DateService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        DateService { inner, clock: Arc::clone(&self.0) }
    }
}

/// The service of a [`DateLayer`].
#[derive(Clone, Debug)]
pub struct DateService<S> {
    inner: S,
    clock: Arc<Clock>,
}

impl<S, Asked, Body> Service<http::Request<Asked>> for DateService<S>
where
    S: Service<http::Request<Asked>, Response = http::Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Asked>) -> Self::Future {
        let clock = Arc::clone(&self.clock);
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            if let Some(date) = date(answer.headers()) {
                clock.observe(date, Instant::now());
            }
            Ok(answer)
        })
    }
}

/// The `Date` of an answer; none where there is none or it is not one.
fn date(headers: &http::HeaderMap) -> Option<Timestamp> {
    let text = headers.get(http::header::DATE)?.to_str().ok()?;
    jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
    use super::*;

    fn second(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn threat_33_the_servers_time_is_read_from_its_answers_not_from_this_machine() {
        let clock = Clock::new();
        assert_eq!(clock.now(), None, "nothing is known before the first answer");
        let start = clock.origin;
        clock.observe(second("2031-01-01T00:00:00Z"), start);
        assert_eq!(clock.at(start + Duration::from_secs(90)), Some(second("2031-01-01T00:01:30Z")));
    }

    #[test]
    fn a_late_answer_does_not_set_the_clock_back_and_a_prompt_one_sharpens_it() {
        let clock = Clock::new();
        let start = clock.origin;
        clock.observe(second("2031-01-01T00:00:00Z"), start + Duration::from_millis(900));
        clock.observe(second("2031-01-01T00:00:01Z"), start + Duration::from_millis(1_100));
        clock.observe(second("2031-01-01T00:00:01Z"), start + Duration::from_millis(4_000));
        assert_eq!(
            clock.at(start + Duration::from_millis(4_000)),
            Some("2031-01-01T00:00:03.9Z".parse().unwrap()),
            "0.1 s behind at most here: the second answer left the server at the start of its second",
        );
    }

    #[test]
    fn a_server_whose_clock_was_set_back_is_followed_after_two_windows() {
        let clock = Clock::new();
        let start = clock.origin;
        clock.observe(second("2031-01-01T01:00:00Z"), start);
        for minutes in 1..=3_u32 {
            let at = start + WINDOW * minutes + Duration::from_secs(u64::from(minutes));
            clock.observe(second("2031-01-01T00:00:00Z") + at.duration_since(start), at);
        }
        let at = start + WINDOW * 4;
        assert_eq!(clock.at(at), Some(second("2031-01-01T00:00:00Z") + at.duration_since(start)));
    }

    #[test]
    fn a_date_header_is_read_and_nonsense_is_not() {
        let mut headers = http::HeaderMap::new();
        assert_eq!(date(&headers), None);
        headers.insert(http::header::DATE, "Sat, 21 Nov 2026 03:49:50 GMT".parse().unwrap());
        assert_eq!(date(&headers), Some(second("2026-11-21T03:49:50Z")));
        headers.insert(http::header::DATE, "soon".parse().unwrap());
        assert_eq!(date(&headers), None);
    }
}
