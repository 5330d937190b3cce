//! Reviews as the API server writes them, and as nobody should.

use policies::request::{Operation, Phase};
use serde_json::{Value, json};

use super::*;

const UID: &str = "705ab4f5-6393-11e8-b7cc-42010a800002";

fn review(operation: &str, object: &Value, old: &Value) -> Value {
    json!({
        "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": UID,
            "kind": {"group": "batch", "version": "v1", "kind": "Job"},
            "resource": {"group": "batch", "version": "v1", "resource": "jobs"},
            "requestKind": {"group": "batch", "version": "v1", "kind": "Job"},
            "name": "eod", "namespace": "trading", "operation": operation,
            "userInfo": {"username": "system:serviceaccount:trading:eod", "uid": "1", "groups": ["system:authenticated"],
                "extra": {"authentication.kubernetes.io/pod-name": ["eod-0"]}},
            "object": object, "oldObject": old, "dryRun": false,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        }
    })
}

fn create(object: &Value) -> String {
    review("CREATE", object, &Value::Null).to_string()
}

fn refused(body: &[u8]) -> (Option<String>, String) {
    let rejected = parse(Phase::Mutating, body).expect_err("it must not be read");
    (rejected.uid, rejected.why.to_string())
}

#[test]
fn a_review_is_read_whole_but_for_managed_fields() {
    let object = json!({
        "metadata": {"name": "eod", "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}],
            "annotations": {"managedFields": "kept"}},
        "spec": {"template": {"metadata": {"managedFields": []}}, "metadata": {"managedFields": 1}},
    });
    let read = parse(Phase::Validating, create(&object).as_bytes()).unwrap();
    let request = read.request;
    assert_eq!(request.uid, UID);
    assert_eq!(request.phase, Phase::Validating);
    assert_eq!(request.operation, Operation::Create);
    assert_eq!(request.kind.to_string(), "batch/v1 Job");
    assert_eq!(request.resource.to_string(), "jobs.batch");
    assert_eq!(request.user.extra["authentication.kubernetes.io/pod-name"], ["eod-0"]);
    assert_eq!((request.subresource, request.old_object, request.dry_run), (None, None, false));
    let mut expected = object;
    expected["metadata"].as_object_mut().unwrap().remove("managedFields");
    assert_eq!(request.object, Some(expected), "only the object's own managedFields are skipped");
}

#[test]
fn an_empty_name_or_subresource_is_none() {
    let mut body = review("CREATE", &json!({}), &Value::Null);
    body["request"]["name"] = json!("");
    body["request"]["subResource"] = json!("");
    let request = parse(Phase::Mutating, body.to_string().as_bytes()).unwrap().request;
    assert_eq!((request.name, request.subresource), (None, None));
}

#[test]
fn subresources_come_with_their_own_kind() {
    let mut body = review("CREATE", &json!({"kind": "Eviction"}), &Value::Null);
    body["request"]["kind"] = json!({"group": "policy", "version": "v1", "kind": "Eviction"});
    body["request"]["resource"] = json!({"group": "", "version": "v1", "resource": "pods"});
    body["request"]["subResource"] = json!("eviction");
    let request = parse(Phase::Mutating, body.to_string().as_bytes()).unwrap().request;
    assert_eq!(request.subresource.as_deref(), Some("eviction"));
    assert_eq!((request.kind.kind.as_str(), request.resource.resource.as_str()), ("Eviction", "pods"));
}

/// Threat 29, and the issue's list of bad input: each is refused with its uid and a message that names the trouble.
#[test]
fn threat_29_what_cannot_be_read_is_refused_with_its_uid() {
    let nested = |levels: usize| {
        let object = format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
        create(&json!({"spec": "HERE"})).replace("\"HERE\"", &object)
    };
    let with = |text: &str| create(&json!({"spec": "HERE"})).replace("\"HERE\"", text);
    let other = |find: &str, put: &str| create(&json!({})).replace(find, put);
    let whole = create(&json!({"spec": {"a": "b"}}));
    let cases: &[(&str, String, &str)] = &[
        ("129 deep", nested(129), "nested deeper than 120 levels"),
        ("9,000 deep", nested(9000), "nested deeper than 120 levels"),
        ("9,000 lists deep", with(&format!("{}{}", "[".repeat(9000), "]".repeat(9000))), "nested deeper"),
        ("a key twice", with(r#"{"a":1,"b":2,"a":1}"#), "duplicate key \"a\""),
        ("a key twice, once escaped", with(r#"{"a":1,"\u0061":1}"#), "duplicate key \"a\""),
        ("object twice", other(r#""object":{}"#, r#""object":{},"object":{}"#), "duplicate field `object`"),
        ("a lone surrogate", with(r#""\ud800""#), "hex escape"),
        ("a lone surrogate as key", with(r#"{"\udc00":1}"#), "surrogate"),
        ("NUL, escaped", with(r#""a\u0000b""#), "NUL"),
        ("NUL in a key", with(r#"{"a\u0000b":1}"#), "NUL"),
        ("NUL, raw", with("\"a\0b\""), "control character"),
        ("a huge number", with("1e400"), "number out of range"),
        ("a number of 100,000 digits", with(&"9".repeat(100_000)), "number out of range"),
        ("truncated", whole[..whole.len() - 20].to_owned(), "truncated on the way"),
        ("something after it", format!("{whole}{whole}"), "trailing characters"),
        ("another version", other("admission.k8s.io/v1", "admission.k8s.io/v1beta1"), "v1beta1 AdmissionReview"),
        ("another kind", other("AdmissionReview", "ConversionReview"), "ConversionReview"),
        ("no object", other(r#""object":{}"#, r#""object":null"#), "Create without object"),
        ("a list as object", other(r#""object":{}"#, r#""object":[]"#), "object is not a JSON object"),
        ("no operation", other(r#""operation":"CREATE","#, ""), "the request has no operation"),
        ("an unknown operation", other("CREATE", "PATCH"), "unknown operation \"PATCH\""),
        ("no kind", other(r#""kind":{"group":"batch","#, r#""kin":{"group":"batch","#), "the request has no kind"),
        ("no user", other("userInfo", "user"), "the request has no userInfo"),
        ("a line break in a name", other(r#""name":"eod""#, r#""name":"e\nd""#), "name contains a control character"),
        ("a number as name", other(r#""name":"eod""#, r#""name":7"#), "invalid type"),
        ("extra twice", other(r#""extra":{"#, r#""extra":{"authentication.kubernetes.io/pod-name":["x"],"#), "extra"),
        ("an update without the stored object", review("UPDATE", &json!({}), &Value::Null).to_string(), "oldObject"),
        ("a delete without the stored object", review("DELETE", &Value::Null, &Value::Null).to_string(), "oldObject"),
        (
            "bytes that are no UTF-8",
            other("trading", "tr\u{fffd}ding").replace('\u{fffd}', "\u{1}"),
            "control character",
        ),
    ];
    for (name, body, expected) in cases {
        let (uid, why) = refused(body.as_bytes());
        assert_eq!(uid.as_deref(), Some(UID), "{name}: {why}");
        assert!(why.contains(expected), "{name}: expected {expected:?}, got {why:?}");
    }
    let mut latin = create(&json!({"spec": "x"})).into_bytes();
    let place = latin.iter().rposition(|byte| *byte == b'x').unwrap();
    latin[place] = 0xff;
    assert!(parse(Phase::Mutating, &latin).is_err(), "bytes that are no UTF-8");
}

#[test]
fn what_names_no_uid_has_none_to_answer_with() {
    let no_uid = create(&json!({"metadata": {"uid": "the-objects"}})).replace(UID, "");
    let cases: &[(&str, &[u8])] = &[
        ("nothing", b""),
        ("spaces", b" \n "),
        ("HTML", b"<html>"),
        ("a list", b"[]"),
        ("an empty map", b"{}"),
        ("no request", br#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}"#),
        ("an empty uid", no_uid.as_bytes()),
        ("cut inside the uid", br#"{"request":{"uid":"705ab"#),
    ];
    for (name, body) in cases {
        assert_eq!(refused(body).0, None, "{name}");
    }
}

#[test]
fn trees_beyond_the_memory_bound_are_refused() {
    let dense = format!("[{}0]", "[],".repeat(1_100_000));
    let (uid, why) = refused(create(&json!({"spec": "HERE"})).replace("\"HERE\"", &dense).as_bytes());
    assert_eq!(uid.as_deref(), Some(UID));
    assert!(why.contains("more than 64 MiB in memory"), "{why}");
}

#[test]
fn the_deepest_level_that_is_read_is_told_from_the_next() {
    let nested = |levels: usize| {
        let object = format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
        create(&json!("HERE")).replace("\"HERE\"", &object)
    };
    assert!(parse(Phase::Mutating, nested(MAX_DEPTH).as_bytes()).is_ok());
    assert!(parse(Phase::Mutating, nested(MAX_DEPTH + 1).as_bytes()).is_err());
}

#[test]
fn who_asks_is_found_in_a_head() {
    let whole = r#"{"kind":"AdmissionReview","request":{"uid":"u","kind":{"group":"","kind":"Pod"},"name":"a","namespace":"trading","operation":"CREATE","userInfo":{"username":"system:serviceaccount:trading:eod","groups":["g"]},"object":{"namespace":"x"}}}"#;
    let cases = [
        ("whole", whole.to_owned(), ("trading", "system:serviceaccount:trading:eod")),
        ("cut before the user", whole.split("userInfo").next().unwrap().to_owned(), ("trading", "")),
        ("no namespace", whole.replace("\"namespace\":\"trading\",", ""), ("", "system:serviceaccount:trading:eod")),
        (
            "the object first",
            whole.replace("\"uid\"", "\"object\":{\"namespace\":\"x\"},\"uid\""),
            ("trading", "system:serviceaccount:trading:eod"),
        ),
        ("a user without a name", r#"{"request":{"userInfo":{"groups":[]},"namespace":"n"}}"#.to_owned(), ("", "")),
        ("noise", "[[[".to_owned(), ("", "")),
        ("far behind", whole.replace("\"uid\"", &format!("\"x\":\"{}\",\"uid\"", "x".repeat(5_000))), ("", "")),
    ];
    for (name, body, expected) in cases {
        let found = super::claims(body.as_bytes());
        assert_eq!((found.namespace, found.username), expected, "{name}");
    }
}

#[test]
fn the_uid_is_found_in_a_head() {
    let cases: &[(&str, &str, Option<&str>)] = &[
        ("first", r#"{"request":{"uid":"u-1","ki"#, Some("u-1")),
        ("with spaces", "{ \"kind\" : \"x\",\n \"request\" :\t{ \"uid\" : \"u-1\"", Some("u-1")),
        ("after other members", r#"{"a":{"uid":"no"},"request":{"x":[{"uid":"no"},"}"],"uid":"u-1""#, Some("u-1")),
        ("after escapes", r#"{"a\"b":"\\","request":{"n":"\"uid\":\"no\"","uid":"u-1""#, Some("u-1")),
        ("not the object's", r#"{"request":{"object":{"metadata":{"uid":"no"}}}}"#, None),
        ("not a top-level one", r#"{"uid":"no"}"#, None),
        ("a number", r#"{"request":{"uid":7}}"#, None),
        ("with a backslash", r#"{"request":{"uid":"a\u0041"}}"#, None),
        ("ends in an escape", r#"{"request":{"uid":"a\"#, None),
    ];
    for (name, head, expected) in cases {
        assert_eq!(uid_from_head(head.as_bytes()).as_deref(), *expected, "{name}");
    }
    let long = format!(r#"{{"request":{{"uid":"{}"}}}}"#, "u".repeat(129));
    assert_eq!(uid_from_head(long.as_bytes()), None, "longer than any uid");
}

fn answer(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.to_json(UID).unwrap()).unwrap()
}

#[test]
fn a_refusal_says_code_reason_and_message() {
    let refusal = Denial::new(403, "Forbidden", "no template describes it").into();
    assert_eq!(
        answer(&refusal),
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": {
            "uid": UID, "allowed": false,
            "status": {"status": "Failure", "code": 403, "reason": "Forbidden", "message": "no template describes it"},
        }})
    );
    let strange = Denial::new(200, "Forbidden", "x").into();
    assert_eq!(answer(&strange)["response"]["status"]["code"], 403, "a refusal is never a success");
    let later = Denial::for_now(429, "TooManyRequests", "x", 1).into();
    assert_eq!(answer(&later)["response"]["status"]["details"]["retryAfterSeconds"], 1);
}

#[test]
fn a_patch_travels_as_base64() {
    let patch: json_patch::Patch =
        serde_json::from_value(json!([{"op": "add", "path": "/metadata/labels/a~1b", "value": "c"}])).unwrap();
    let allow = Answer {
        decision: Decision::Allow { patch: Some(patch.clone()) },
        warnings: vec![],
        audit: BTreeMap::from([("fledged.io/template".into(), "trading/post-trade".into()), ("//".into(), "x".into())]),
    };
    let response = answer(&allow)["response"].clone();
    assert_eq!((&response["allowed"], &response["patchType"]), (&json!(true), &json!("JSONPatch")));
    let bytes = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, response["patch"].as_str().unwrap()).unwrap();
    assert_eq!(serde_json::from_slice::<json_patch::Patch>(&bytes).unwrap(), patch);
    assert_eq!(
        response["auditAnnotations"],
        json!({"template": "trading/post-trade"}),
        "keys that the API server takes"
    );
    assert_eq!(response.get("status"), None);
}

#[test]
fn warnings_stay_within_what_the_api_server_passes_on() {
    let warnings = |texts: Vec<String>| {
        let allow = Answer { decision: Decision::Allow { patch: None }, warnings: texts, audit: BTreeMap::new() };
        let response = answer(&allow)["response"].clone();
        serde_json::from_value::<Vec<String>>(response["warnings"].clone()).unwrap()
    };
    assert_eq!(warnings(vec!["a\nb".into()]), ["a b"]);
    let long = warnings(vec!["ä".repeat(300)]);
    assert_eq!(long[0].chars().count(), 256);
    assert!(long[0].ends_with('…'));
    let many = warnings(vec!["w".repeat(250); 40]);
    assert!(many.iter().map(|warning| warning.chars().count()).sum::<usize>() <= 4096);
    assert_eq!(many.last().unwrap(), &format!("and {} more", 40 - (many.len() - 1)));
}
