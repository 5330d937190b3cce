//! An AdmissionReview as it comes over the wire: read or refused, and its uid never lost.

#[path = "../../webhooks/src/review/mod.rs"]
pub mod wire;

use policies::request::{Operation, Phase, Request};
use serde_json::Value;
use wire::{Answer, Denial, HEAD, MAX_DEPTH, claims, parse, uid_from_head};

/// Reads the bytes as a review.
pub fn run(data: &[u8]) {
    for phase in [Phase::Mutating, Phase::Validating] {
        match parse(phase, data) {
            Ok(review) => {
                let request = &review.request;
                // What nobody looks at is skipped unread, and may be no UTF-8.
                let said: Option<Value> = serde_json::from_slice(data).ok();
                assert!(said.is_none_or(|said| said["request"]["uid"] == request.uid.as_str()));
                let depth = [&request.object, &request.old_object, &request.options].into_iter().flatten().map(deep);
                assert!(depth.max().unwrap_or_default() <= MAX_DEPTH + 1);
                match request.operation {
                    Operation::Create => assert!(request.object.is_some()),
                    Operation::Update => assert!(request.object.is_some() && request.old_object.is_some()),
                    Operation::Delete => assert!(request.old_object.is_some()),
                    Operation::Connect => {}
                }
                claimed(data, request);
                answered(&request.uid);
            }
            Err(rejected) => {
                if let Some(uid) = &rejected.uid {
                    answered(uid);
                }
                // It reaches logs and callers.
                assert!(rejected.why.to_string().len() < 2_000, "{}", rejected.why);
            }
        }
    }
    // What was not taken in is answered by its head, and by nothing that the whole contradicts.
    let head = data.get(..HEAD.min(data.len())).unwrap_or(data);
    if let (Some(early), Ok(said)) = (uid_from_head(head), serde_json::from_slice::<Value>(data))
        && let Ok(review) = parse(Phase::Validating, data)
    {
        assert_eq!(early, review.request.uid, "{said}");
    }
}

/// What the head claims is what the whole says, where it is found and has no escape: a sender has no more turns by it.
fn claimed(data: &[u8], request: &Request) {
    let claims = claims(data);
    let said = [
        (claims.namespace, request.namespace.as_deref().unwrap_or_default()),
        (claims.username, request.user.username.as_str()),
    ];
    for (claim, said) in said {
        assert!(claim.is_empty() || claim.contains('\\') || claim == said, "{claim:?} is claimed, and {said:?} said");
    }
}

fn answered(uid: &str) {
    let denial = Denial::new(403, "Forbidden", "no");
    let answer = Answer::from(denial).to_json(uid).expect("an answer is JSON");
    let answer: Value = serde_json::from_slice(&answer).expect("an answer is JSON");
    assert_eq!((&answer["response"]["uid"], &answer["response"]["allowed"]), (&Value::from(uid), &Value::from(false)));
}

fn deep(value: &Value) -> usize {
    1 + match value {
        Value::Array(elements) => elements.iter().map(deep).max().unwrap_or_default(),
        Value::Object(fields) => fields.values().map(deep).max().unwrap_or_default(),
        _ => 0,
    }
}
