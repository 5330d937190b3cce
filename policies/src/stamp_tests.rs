use super::*;

/// A record for the Job trading/post-trade-1, as JSON, after `change`.
pub(crate) fn admission(change: impl FnOnce(&mut Record)) -> String {
    let mut record = record();
    change(&mut record);
    serde_json::to_string(&record).unwrap()
}

pub(crate) fn record() -> Record {
    Record {
        object: StampedObject {
            api_version: "batch/v1".into(),
            kind: "Job".into(),
            namespace: "trading".into(),
            name: Some("post-trade-1".into()),
            generate_name: None,
        },
        account: NamespacedName::new("trading", "eod"),
        pod: StampedPod { name: "eod-7d9f-x2x".into(), uid: "p-1".into() },
        workload: ObjectRef {
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            name: "eod".into(),
            uid: "d-1".into(),
        },
        template: StampedTemplate {
            config_map: NamespacedName::new("trading", "post-trade"),
            key: "job.yaml".into(),
            uid: "c-1".into(),
            version: "42".into(),
            hash: "abcd".into(),
        },
        parameters: BTreeMap::from([("run".to_owned(), Value::from("20261120"))]),
        parameters_omitted: false,
        duration: Some("3600s".into()),
        keep_finished: None,
        notify_before: None,
        ends_with_master: true,
    }
}

/// A stamped Job with a deadline.
pub(crate) fn stamped() -> Value {
    let mut object =
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "post-trade-1", "namespace": "trading"}});
    marking().put_on(&mut object);
    object
}

fn marking() -> Marking {
    let record = record();
    let owner = record.workload.clone();
    Marking { record, deadline: Some("2026-11-20T15:30:00Z".parse().unwrap()), owner: Some(owner) }
}

#[test]
fn a_stamp_is_read_back() {
    let object = stamped();
    let stamp = read(Marks::of(&object), &Gvk::new("batch", "v1", "Job"), "trading", "post-trade-1").unwrap().unwrap();
    assert_eq!(stamp.record, record());
    assert_eq!(stamp.deadline, Some("2026-11-20T15:30:00Z".parse().unwrap()));
    assert_eq!(object["metadata"]["labels"]["fledged.io/master"], "trading.eod");
    assert_eq!(object["metadata"]["labels"]["fledged.io/template"], "post-trade.job.yaml");
    assert_eq!(object["metadata"]["ownerReferences"].as_array().unwrap().len(), 1);
}

#[test]
fn stamping_twice_is_stamping_once() {
    let once = stamped();
    let mut twice = once.clone();
    marking().put_on(&mut twice);
    assert_eq!(once, twice);
}

#[test]
fn stripping_leaves_what_was_there_before() {
    for before in [
        json!({"metadata": {"name": "x"}}),
        json!({"metadata": {"name": "x", "labels": {"app": "y"}, "annotations": {"a/b": "c"}}}),
    ] {
        let mut object = before.clone();
        Marking { owner: None, ..marking() }.put_on(&mut object);
        assert_ne!(object, before);
        strip(&mut object);
        assert_eq!(object, before);
    }
}

#[test]
fn broken_annotations_are_no_stamps() {
    let kind = Gvk::new("batch", "v1", "Job");
    for text in ["", "{", "null", "[]", "{\"object\":{}}", &"x".repeat(100_000)] {
        let marks = Marks { admission: Some(text), master: true, ..Marks::default() };
        let error = read(marks, &kind, "trading", "post-trade-1").unwrap_err();
        assert!(matches!(error, StampError::Unreadable(_)), "{error}");
    }
    let extended = admission(|_| {}).replacen('{', "{\"more\":1,", 1);
    let marks = Marks { admission: Some(&extended), master: true, ..Marks::default() };
    assert!(matches!(read(marks, &kind, "trading", "post-trade-1"), Err(StampError::Unreadable(_))));
}

#[test]
fn threat_35_without_the_label_of_its_master_nothing_is_a_stamp() {
    let mut object = stamped();
    object["metadata"]["labels"].as_object_mut().unwrap().remove(keys::MASTER);
    let kind = Gvk::from_api_version(object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
    let (namespace, name) =
        (object["metadata"]["namespace"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap());
    assert_eq!(read(Marks::of(&object), &kind, namespace, name), Err(StampError::NoMaster));
}

#[test]
fn a_stamp_names_its_object() {
    let record = record();
    let job = Gvk::new("batch", "v1", "Job");
    assert!(record.names(&job, "trading", "post-trade-1"));
    assert!(record.names(&Gvk::new("batch", "v2", "Job"), "trading", "post-trade-1"), "the version does not matter");
    assert!(!record.names(&job, "trading", "post-trade-2"));
    assert!(!record.names(&job, "other", "post-trade-1"));
    assert!(!record.names(&Gvk::new("apps", "v1", "Job"), "trading", "post-trade-1"));
    assert!(!record.names(&Gvk::new("batch", "v1", "CronJob"), "trading", "post-trade-1"));
}

#[test]
fn generated_names_are_those_of_the_api_server() {
    for (name, prefix, expected) in [
        ("run-x7z2q", "run-", true),
        ("run-x7z2", "run-", false),
        ("run-aeiou", "run-", false),
        ("other-x7z2q", "run-", false),
        ("run-x7z2qq", "run-", false),
    ] {
        assert_eq!(generated_from(name, prefix), expected, "{name}");
    }
    let long = "a".repeat(80);
    assert!(generated_from(&format!("{}x7z2q", "a".repeat(58)), &long));
}

#[test]
fn label_values_are_safe_readable_and_distinct() {
    assert_eq!(label_value("trading.eod"), "trading.eod");
    assert_eq!(label_value("post-trade.job.yaml#2"), "post-trade.job.yaml-2");
    assert_eq!(label_value("-x-"), "x");
    let one = label_value(&format!("{}1", "a".repeat(200)));
    let two = label_value(&format!("{}2", "a".repeat(200)));
    assert!(one.len() <= 63 && two.len() <= 63 && one != two);
}

#[test]
fn large_parameters_are_left_out_and_said_to_be() {
    let mut large = record();
    large.parameters.insert("text".into(), "x".repeat(PARAMETERS_LIMIT).into());
    let bounded = large.bounded();
    assert!(bounded.parameters.is_empty() && bounded.parameters_omitted);
    assert!(!record().bounded().parameters_omitted);
}

#[test]
fn the_patch_does_what_stamping_does() {
    let owner = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "eod", "uid": "d-1"});
    let sent = json!({"apiVersion": "v1", "kind": "Pod", "name": "other", "uid": "p-9"});
    let cases = [
        json!({}),
        json!({"labels": {"app": "x"}, "annotations": {"a/b": "c"}}),
        json!({"labels": {}, "annotations": {}}),
        json!({"labels": null, "annotations": "text", "ownerReferences": null}),
        json!({"labels": {"fledged.io/master": "trading.other", "fledged.io/expires-at": "never"}}),
        json!({"annotations": {"fledged.io/admission": "{}", "fledged.io/owner": "pod"}}),
        json!({"ownerReferences": []}),
        json!({"ownerReferences": [sent]}),
        json!({"ownerReferences": [owner]}),
        stamped()["metadata"].clone(),
    ];
    for metadata in cases {
        for marking in [marking(), Marking { deadline: None, owner: None, ..marking() }] {
            let object = json!({"kind": "Job", "metadata": metadata});
            let (mut patched, mut stamped) = (object.clone(), object.clone());
            json_patch::patch(&mut patched, &marking.patch(&object)).unwrap();
            marking.put_on(&mut stamped);
            assert_eq!(patched, stamped, "{metadata}");
        }
    }
    assert_eq!(marking().patch(&stamped()), json_patch::Patch::default());
}
