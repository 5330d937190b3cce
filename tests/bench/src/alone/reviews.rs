//! The reviews that are sent, and what must be answered.

use std::fmt;

use anyhow::{Context, bail, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use jiff::Timestamp;
use policies::caller::{Caller, Unidentified};
use policies::request::Phase;
use policies::verdict::{Situation, Verdict, decide};
use serde::Deserialize;
use serde_json::{Value, json};

use super::pods;
use super::templates::Variant;
use super::world::{World, uid};

/// How many different reviews are sent, one after the other, again and again: at least so many, and one of each master.
const BODIES: usize = 100;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// The final object with its stamp: admitted.
    Check,
    /// A new object: admitted with a patch.
    Stamp,
    /// A new object with one difference: refused.
    Refusal,
    /// The final object with one difference: refused.
    RefusalFinal,
}

impl Question {
    /// For people and for JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Stamp => "stamp",
            Self::Refusal => "refusal",
            Self::RefusalFinal => "refusal-final",
        }
    }

    /// Where it is asked.
    pub fn path(self) -> &'static str {
        match self {
            Self::Stamp | Self::Refusal => "/mutate?timeout=10s",
            Self::Check | Self::RefusalFinal => "/validate?timeout=10s",
        }
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A review and its uid.
#[derive(Clone, Debug)]
pub struct Body {
    /// As sent.
    pub text: Bytes,
    /// Answered with.
    pub uid: String,
}

/// Who asks, in one world: knows its templates, since the final objects carry a stamp.
pub struct Author {
    world: World,
    situation: Situation,
}

impl Author {
    /// Of this world.
    ///
    /// # Errors
    /// When its templates do not compile.
    pub fn new(world: World) -> anyhow::Result<Self> {
        let mut situation = Situation::unknown(Timestamp::now(), Unidentified::NoAccount(String::new()));
        situation.library = world.library()?.into();
        situation.facts = world.facts().into();
        Ok(Self { world, situation })
    }

    /// The review of this number.
    ///
    /// # Errors
    /// When the world's own templates do not admit its pods.
    pub fn body(&mut self, question: Question, number: usize) -> anyhow::Result<Body> {
        body(self.world, question, number, &mut self.situation)
    }

    /// The reviews of one question.
    ///
    /// # Errors
    /// When the world's own templates do not admit its pods.
    pub fn bodies(&mut self, question: Question) -> anyhow::Result<Vec<Body>> {
        (0..self.world.masters().max(BODIES))
            .map(|number| body(self.world, question, number, &mut self.situation))
            .collect()
    }
}

fn body(world: World, question: Question, number: usize, situation: &mut Situation) -> anyhow::Result<Body> {
    let master = number % world.masters();
    let caller = world.caller(master);
    let variant = world.variant(master);
    let namespace = caller.account.namespace.clone();
    let mut pod = pods::submitted(variant, &namespace, number);
    let final_one = matches!(question, Question::Check | Question::RefusalFinal);
    if final_one {
        let asked = review(&pod, &caller, number);
        situation.caller = Ok(caller.clone());
        let patch = stamp(asked.as_bytes(), situation, variant)?;
        json_patch::patch(&mut pod, &patch)?;
        pods::finish(&mut pod, number);
    }
    if matches!(question, Question::Refusal | Question::RefusalFinal) {
        pod["spec"]["containers"][0]["env"][1]["value"] = "debug".into();
    }
    Ok(Body { text: review(&pod, &caller, number).into(), uid: uid(number, 7) })
}

fn stamp(review: &[u8], situation: &Situation, variant: Variant) -> anyhow::Result<json_patch::Patch> {
    let request = webhooks::review::parse(Phase::Mutating, review).map_err(|rejected| rejected.why)?.request;
    match decide(&request, situation) {
        Verdict::Admit(admission) => admission.patch.context("admitted without a patch"),
        Verdict::Refuse(refusal) => bail!("the pod of variant {} is refused: {}", variant.number, refusal.message),
    }
}

/// As the API server writes it: `request.uid` before everything else of the request.
pub fn review(pod: &Value, caller: &Caller, number: usize) -> String {
    let (namespace, name) = (&caller.account.namespace, &caller.account.name);
    let kind = json!({"group": "", "version": "v1", "kind": "Pod"});
    let resource = json!({"group": "", "version": "v1", "resource": "pods"});
    let user = json!({
        "username": format!("system:serviceaccount:{namespace}:{name}"),
        "uid": uid(number, 8),
        "groups": ["system:serviceaccounts", format!("system:serviceaccounts:{namespace}"), "system:authenticated"],
        "extra": {
            "authentication.kubernetes.io/credential-id": [format!("JTI={}", uid(number, 6))],
            "authentication.kubernetes.io/node-name": ["node-0042.example.com"],
            "authentication.kubernetes.io/node-uid": [uid(42, 4)],
            "authentication.kubernetes.io/pod-name": [caller.pod.name],
            "authentication.kubernetes.io/pod-uid": [caller.pod.uid],
        },
    });
    let options =
        json!({"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", "fieldManager": "post-trade-launcher"});
    format!(
        "{{\"kind\":\"AdmissionReview\",\"apiVersion\":\"admission.k8s.io/v1\",\"request\":{{\"uid\":\"{}\",\
         \"kind\":{kind},\"resource\":{resource},\"requestKind\":{kind},\"requestResource\":{resource},\"name\":{},\
         \"namespace\":\"{namespace}\",\"operation\":\"CREATE\",\"userInfo\":{user},\"object\":{pod},\
         \"oldObject\":null,\"dryRun\":false,\"options\":{options}}}}}",
        uid(number, 7),
        pod["metadata"]["name"],
    )
}

/// What a server is expected to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Always the same.
    Constant,
    /// The right uid, and always the same patch.
    ConstantPatch,
    /// The right verdict.
    Verdict(Question),
}

#[derive(Deserialize)]
struct Answered<'a> {
    #[serde(borrow)]
    response: Response<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    patch: Option<&'a str>,
    #[serde(default)]
    status: Value,
}

impl Expected {
    /// Whether that was answered.
    ///
    /// # Errors
    /// With what was answered instead.
    pub fn verify(self, uid: &str, answer: &[u8]) -> anyhow::Result<()> {
        let shown = || String::from_utf8_lossy(answer).into_owned();
        let Answered { response } = serde_json::from_slice(answer).with_context(shown)?;
        ensure!(self == Self::Constant || response.uid == uid, "expected uid {uid}: {}", shown());
        let refused = matches!(self, Self::Verdict(Question::Refusal | Question::RefusalFinal));
        ensure!(response.allowed != refused, "the other verdict was expected: {}", shown());
        match self {
            Self::Constant => {}
            Self::ConstantPatch | Self::Verdict(Question::Stamp) => {
                let patch = BASE64_STANDARD.decode(response.patch.with_context(shown)?).with_context(shown)?;
                let patch: json_patch::Patch = serde_json::from_slice(&patch).with_context(shown)?;
                let stamps = |path: &str| path.contains("fledged.io~1admission");
                ensure!(patch.0.iter().any(|step| stamps(step.path().as_str())), "no stamp: {patch}");
            }
            Self::Verdict(Question::Check) => ensure!(response.patch.is_none(), "a patch: {}", shown()),
            Self::Verdict(Question::Refusal | Question::RefusalFinal) => {
                let message = response.status["message"].as_str().unwrap_or_default();
                ensure!(message.contains("LOG_LEVEL") || message.contains("env"), "another reason: {message}");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
    use super::*;

    #[test]
    fn every_world_answers_every_question_as_expected() {
        for world in ["templates=1", "templates=100", "variants=10"].map(|text| text.parse::<World>().unwrap()) {
            let mut situation = Author::new(world).unwrap().situation;
            for (question, phase) in [
                (Question::Stamp, Phase::Mutating),
                (Question::Refusal, Phase::Mutating),
                (Question::Check, Phase::Validating),
                (Question::RefusalFinal, Phase::Validating),
            ] {
                for number in [0, 11, 999] {
                    let body = body(world, question, number, &mut situation).unwrap();
                    let request = webhooks::review::parse(phase, &body.text).unwrap().request;
                    situation.caller = Ok(world.caller(number % world.masters()));
                    let verdict = decide(&request, &situation);
                    let answer = webhooks::review::Answer::of(verdict, phase).to_json(&body.uid).unwrap();
                    Expected::Verdict(question).verify(&body.uid, &answer).unwrap();
                }
            }
        }
    }

    #[test]
    fn a_wrong_answer_is_noticed() {
        let answer = |text: &str| Expected::Verdict(Question::Check).verify("u", text.as_bytes());
        assert!(answer(r#"{"response":{"uid":"u","allowed":true}}"#).is_ok());
        for wrong in [
            "",
            r#"{"response":{"uid":"v","allowed":true}}"#,
            r#"{"response":{"uid":"u","allowed":false}}"#,
            r#"{"response":{"uid":"u","allowed":true,"patch":"W10="}}"#,
        ] {
            assert!(answer(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_pod_is_as_large_as_real_ones() {
        let pod = pods::submitted(Variant::of(42), "desk-004", 420).to_string();
        assert!((4_000..6_000).contains(&pod.len()), "{} bytes", pod.len());
    }
}
