//! One HTTP request: take in, read, judge, answer, count, say.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::{StatusCode, Version};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use policies::request::{Operation, Phase, Request};
use policies::verdict::Cause;
use tokio::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument, Span, debug, error, info, info_span, record_all, warn};

use crate::court::{Court, Deadline, Judged, Sent};
use crate::fault::Fault;
use crate::health::Readiness;
use crate::lines::Lines;
use crate::metrics::{Door, Metrics, Outcome, Why, operation_word};
use crate::review::{self, HEAD, Rejected, Review, uid_from_head};
use crate::rooms::Load;
use crate::sender::Sender;
use crate::shedding::{Incoming, Refusing, Shed, Taken, busy, turn_away};

/// Kept from the webhook configuration's timeout for the way back.
const WAY_BACK: Duration = Duration::from_millis(500);

/// What every handler needs.
pub(crate) struct Service {
    pub(crate) court: Arc<Court>,
    pub(crate) readiness: Readiness,
    pub(crate) metrics: Metrics,
    /// What is logged of refusals.
    pub(crate) lines: Lines,
    /// The longest a review may take.
    pub(crate) deadline: Duration,
    /// The most that is read of a body that is not taken in.
    pub(crate) drained: usize,
}

/// A review that came to no verdict, with as much of it as is known.
struct Failed {
    uid: Option<String>,
    operation: Option<Operation>,
    fault: Fault,
}

/// A review that did.
struct Done {
    uid: String,
    operation: Operation,
    judged: Judged,
    /// The namespace of the caller, as a number, where that was verified.
    tenant: Option<u64>,
}

/// Answers a review.
pub(crate) async fn review(
    door: Door,
    http: HttpRequest,
    payload: web::Payload,
    service: web::Data<Service>,
) -> HttpResponse {
    let started = Instant::now();
    // `name` would be the span's own in JSON: the object's is `object`.
    let span = info_span!(
        "review",
        phase = door.as_str(),
        uid = Empty,
        operation = Empty,
        kind = Empty,
        namespace = Empty,
        object = Empty,
        account = Empty,
        verdict = Empty,
        cause = Empty,
        template = Empty,
        ms = Empty
    );
    async {
        let time = time_for(http.query_string(), service.deadline);
        let deadline = Deadline { at: started + time, time };
        let refusing = match http.version() {
            Version::HTTP_2 => Refusing::AfterHead,
            _ => Refusing::AfterDraining(service.drained),
        };
        let sender = Sender::of(&http);
        let result = service.process(door, sender, declared_length(&http), payload, refusing, deadline).await;
        service.conclude(door, sender, result, started)
    }
    .instrument(span)
    .await
}

impl Service {
    async fn process(
        &self,
        door: Door,
        sender: Sender,
        declared: Option<u64>,
        payload: web::Payload,
        refusing: Refusing,
        deadline: Deadline,
    ) -> Result<Done, Failed> {
        // Lint needs nothing but the ConfigMap: it never waits for watches.
        if door != Door::Lint && !self.readiness.ready() {
            let uid = turn_away(payload, Bytes::new(), refusing).await;
            let fault = Fault::NotReady(self.readiness.missing().join(", "));
            return Err(Failed { uid, operation: None, fault });
        }
        let load = if door == Door::Lint { Load::Lint } else { Load::Review };
        let incoming = Incoming { payload, load, sender, declared, refusing };
        let taken = self.court.gate.take(incoming, deadline).await;
        let Taken { body, room } = taken.map_err(|Shed { uid, why: fault }| Failed { uid, operation: None, fault })?;
        let sent = Sent { size: body.len(), body, room, sender, deadline };
        match door {
            Door::Mutating => self.judge(Phase::Mutating, sent).await,
            Door::Validating => self.judge(Phase::Validating, sent).await,
            Door::Lint => self.lint(sent).await,
        }
    }

    async fn judge(&self, phase: Phase, mut sent: Sent) -> Result<Done, Failed> {
        let read = unless_crowded_out(&sent, self.court.parse(phase, &sent)).await;
        let Review { request, footprint } = legible(read, &std::mem::take(&mut sent.body))?;
        describe(&request);
        let (uid, operation) = (request.uid.clone(), request.operation);
        let [_, _, tenant, _] = sent.sender.review(&request.user.username);
        let judged = if sent.room.resize(footprint) {
            unless_crowded_out(&sent, self.court.judge(request, &sent)).await
        } else {
            Err(busy(footprint))
        };
        let mut done = done(uid, operation, judged)?;
        done.tenant = done.judged.why.is_some_and(|why| why != Why::from(Cause::Identity)).then_some(tenant);
        Ok(done)
    }

    async fn lint(&self, sent: Sent) -> Result<Done, Failed> {
        let read = unless_crowded_out(&sent, self.court.read(&sent)).await;
        let linted = legible(read, &sent.body)?;
        describe(&linted.request);
        let (uid, operation) = (linted.request.uid.clone(), linted.request.operation);
        done(uid, operation, self.court.lint(linted, &sent).await)
    }

    /// Counts, says and answers.
    fn conclude(&self, door: Door, sender: Sender, result: Result<Done, Failed>, started: Instant) -> HttpResponse {
        let took = started.elapsed();
        match result {
            Ok(Done { uid, operation, judged, tenant }) => {
                let outcome = if judged.answer.allowed() { Outcome::Admitted } else { Outcome::Refused };
                self.count(door, Some(operation), outcome, judged.why, took);
                record_all!(Span::current(), template = judged.template.as_deref());
                // Anybody may have sent it: a create is told of once its object is there, by what gathers, and of others the
                // API server's own audit log tells.
                if outcome == Outcome::Admitted && door != Door::Lint {
                    debug!("review answered");
                } else if self.has_line(sender, tenant) {
                    info!("review answered");
                }
                respond(&uid, &judged.answer)
            }
            Err(Failed { uid, operation, fault }) => {
                self.count(door, operation, Outcome::Failed, Some(Why::from(&fault)), took);
                if fault.is_shed() {
                    self.metrics.shed();
                }
                // What is known of the operation was described, with its uid.
                if operation.is_none() {
                    record_all!(Span::current(), uid = uid.as_deref());
                }
                match fault {
                    _ if !self.has_line(sender, None) => {}
                    Fault::Panicked => error!("a panic while judging; refused"),
                    _ => warn!("no verdict: {fault}"),
                }
                let denial = fault.denial();
                match uid {
                    // An admin is kept from editing by what is wrong with the ConfigMap, never by our own trouble:
                    // without an answer, the webhook configuration's `failurePolicy: Ignore` decides.
                    Some(uid) if door != Door::Lint || !fault.is_ours() => respond(&uid, &denial.into()),
                    _ => text(denial.code, denial.message),
                }
            }
        }
    }

    /// Whether there is a line in the log for what this sender is refused.
    fn has_line(&self, sender: Sender, tenant: Option<u64>) -> bool {
        let left_out = self.lines.take(sender, tenant, Instant::now().into_std());
        if let Some(left_out @ 1..) = left_out {
            warn!(address = %sender.network(), left_out, "lines about refused reviews of this address were left out: they were too many");
        }
        left_out.is_some()
    }

    fn count(&self, door: Door, operation: Option<Operation>, outcome: Outcome, why: Option<Why>, took: Duration) {
        let ms = took.as_secs_f64() * 1e3;
        record_all!(Span::current(), verdict = outcome.as_str(), cause = why.map(Why::as_str), ms = ms);
        self.metrics.answered(door, operation, outcome, took);
        if let Some(why) = why {
            self.metrics.refused(why);
        }
    }
}

/// Does this work, as long as nobody who holds less needs the room of this body.
async fn unless_crowded_out<T>(sent: &Sent, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    sent.room.keep(work).await.unwrap_or_else(|| Err(busy(sent.size)))
}

/// What was read, or why it could not be.
fn legible<T>(read: Result<Result<T, Rejected>, Fault>, body: &[u8]) -> Result<T, Failed> {
    match read {
        Ok(Ok(review)) => Ok(review),
        Ok(Err(rejected)) => Err(Failed { uid: rejected.uid, operation: None, fault: Fault::Unreadable(rejected.why) }),
        Err(fault) => Err(Failed { uid: uid_from_head(&body[..body.len().min(HEAD)]), operation: None, fault }),
    }
}

fn done(uid: String, operation: Operation, judged: Result<Judged, Fault>) -> Result<Done, Failed> {
    match judged {
        Ok(judged) => Ok(Done { uid, operation, judged, tenant: None }),
        Err(fault) => Err(Failed { uid: Some(uid), operation: Some(operation), fault }),
    }
}

/// Names only: objects are never logged.
fn describe(request: &Request) {
    let stored = || request.old_object.as_ref().and_then(|object| object["metadata"]["name"].as_str());
    record_all!(
        Span::current(),
        uid = request.uid.as_str(),
        operation = operation_word(Some(request.operation)),
        kind = %Kind(request),
        namespace = request.namespace.as_deref(),
        object = request.name.as_deref().or_else(stored),
        account = request.user.username.as_str(),
    );
}

/// The kind, or what is used of it.
struct Kind<'a>(&'a Request);

impl fmt::Display for Kind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.subresource {
            None => write!(f, "{}", self.0.kind),
            Some(subresource) => write!(f, "{}/{subresource}", self.0.resource),
        }
    }
}

fn respond(uid: &str, answer: &review::Answer) -> HttpResponse {
    match answer.to_json(uid) {
        Ok(json) => HttpResponse::Ok().content_type("application/json").body(json),
        Err(error) => text(500, format!("the answer cannot be written: {error}")),
    }
}

fn text(code: u16, message: String) -> HttpResponse {
    let code = StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_REQUEST);
    HttpResponse::build(code).content_type("text/plain; charset=utf-8").body(format!("{message}\n"))
}

pub(crate) fn declared_length(http: &HttpRequest) -> Option<u64> {
    http.headers().get("content-length")?.to_str().ok()?.parse().ok()
}

/// The API server writes its timeout into the query (`?timeout=10s`): an answer after it is heard by nobody.
fn time_for(query: &str, most: Duration) -> Duration {
    let seconds = query.split('&').find_map(|pair| pair.strip_prefix("timeout=")?.strip_suffix('s')?.parse().ok());
    match seconds.map(Duration::from_secs) {
        Some(theirs) => most.min(theirs.saturating_sub(WAY_BACK).max(WAY_BACK)),
        None => most,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_for_an_answer_ends_before_the_api_server_stops_listening() {
        let most = Duration::from_secs(8);
        let cases = [
            ("timeout=5s", 4500),
            ("timeout=30s", 8000),
            ("timeout=1s", 500),
            ("a=b&timeout=2s", 1500),
            ("", 8000),
            ("timeout=1m", 8000),
            ("timeout=-5s", 8000),
        ];
        for (query, millis) in cases {
            assert_eq!(time_for(query, most), Duration::from_millis(millis), "{query}");
        }
    }
}
