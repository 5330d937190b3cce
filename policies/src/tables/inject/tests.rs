#![allow(clippy::unwrap_used, clippy::panic, clippy::allow_attributes, reason = "tests")]
use super::*;

#[test]
fn generated_names_are_the_prefix_and_five_letters() {
    let long = "a".repeat(60);
    let cut = format!("{}bcdfg", "a".repeat(58));
    let cases = [
        ("run-", "run-x7k2p", true),
        ("run-", "run-x7k2", false),
        ("run-", "run-x7k2pp", false),
        ("run-", "run-aeiou", false),
        ("run-", "other-x7k2p", false),
        ("", "x7k2p", false),
        (long.as_str(), cut.as_str(), true),
    ];
    for (prefix, name, expected) in cases {
        assert_eq!(is_generated(prefix, name), expected, "{prefix} {name}");
    }
}

/// What is left between a template and an object that a webhook sees, with these facts.
fn left(expected: &Value, object: &Value, form: Form, facts: &Facts) -> Result<Vec<String>, String> {
    let kind = Gvk::from_api_version(expected["apiVersion"].as_str().unwrap(), expected["kind"].as_str().unwrap());
    let (mut expected, mut object) = (expected.clone(), object.clone());
    complete(&kind, &mut expected, facts);
    inject(&kind, &mut expected, &object, form, "trading", facts).map_err(|error| error.to_string())?;
    complete(&kind, &mut object, facts);
    Ok(compare(&kind, &expected, &object, facts).iter().map(|difference| difference.path.to_string()).collect())
}

fn cluster(objects: &[Value]) -> Facts {
    let mut facts = Facts::new(Completeness::Cluster);
    for object in objects {
        facts.apply(object);
    }
    facts
}

fn account(more: Value) -> Value {
    let mut account = json!({"kind": "ServiceAccount", "metadata": {"name": "runner", "namespace": "trading"}});
    account.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    account
}

fn pod(spec: Value) -> Value {
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {
        "serviceAccountName": "runner", "containers": [{"name": "main", "image": "app:1"}]
    }});
    pod["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    pod
}

fn token_volume() -> Value {
    json!({"name": "kube-api-access-x7k2p", "projected": {"defaultMode": 420, "sources": [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [
            {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
        ]}}
    ]}})
}

fn with_token() -> Value {
    pod(json!({
        "volumes": [token_volume()],
        "containers": [{"name": "main", "image": "app:1", "volumeMounts": [
            {"name": "kube-api-access-x7k2p", "readOnly": true, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
        ]}]
    }))
}

#[test]
fn threat_45_a_token_volume_is_the_accounts_to_have() {
    let mounts = account(json!({}));
    let quiet = account(json!({"automountServiceAccountToken": false}));
    let (plain, says_no) = (pod(json!({})), pod(json!({"automountServiceAccountToken": false})));
    let says_yes = pod(json!({"automountServiceAccountToken": true}));
    let with = |automount: &Value| {
        let mut object = with_token();
        if let Some(said) = automount["spec"].get("automountServiceAccountToken") {
            object["spec"]["automountServiceAccountToken"] = said.clone();
        }
        object
    };
    let cases = [
        (&plain, &mounts, true),
        (&plain, &quiet, false),
        (&says_no, &mounts, false),
        (&says_yes, &quiet, true),
        (&says_yes, &mounts, true),
    ];
    for (template, account, allowed) in cases {
        let found = left(template, &with(template), Form::Mutating, &cluster(std::slice::from_ref(account))).unwrap();
        assert_eq!(found.is_empty(), allowed, "{template} {account}: {found:?}");
    }
    // No account at all: nothing that it could give.
    assert!(!left(&plain, &with_token(), Form::Mutating, &cluster(&[])).unwrap().is_empty());
}

#[test]
fn threat_45_a_token_volume_is_exactly_the_servers() {
    let facts = cluster(&[account(json!({}))]);
    assert_eq!(left(&pod(json!({})), &with_token(), Form::Mutating, &facts), Ok(vec![]));
    let changes = [
        ("/spec/volumes/0/name", json!("kube-api-access-mine!")),
        ("/spec/volumes/0/projected/sources/0/serviceAccountToken/audience", json!("vault")),
        ("/spec/volumes/0/projected/sources/0/serviceAccountToken/expirationSeconds", json!(99999)),
        ("/spec/volumes/0/projected/sources/3", json!({"secret": {"name": "s"}})),
        ("/spec/volumes/0/projected/sources/1/configMap/name", json!("other")),
        ("/spec/containers/0/volumeMounts/0/readOnly", json!(false)),
        ("/spec/containers/0/volumeMounts/0/mountPath", json!("/elsewhere")),
        ("/spec/containers/0/volumeMounts/0/subPath", json!("token")),
    ];
    for (pointer, value) in changes {
        let mut object = with_token();
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        match object.pointer_mut(parent).unwrap() {
            Value::Array(list) => list.push(value),
            parent => parent[field] = value,
        }
        assert_ne!(left(&pod(json!({})), &object, Form::Mutating, &facts), Ok(vec![]), "{pointer}");
    }
}

#[test]
fn threat_45_pull_secrets_are_the_accounts_own() {
    let with = |names: &[&str]| {
        pod(json!({"imagePullSecrets": names.iter().map(|name| json!({"name": name})).collect::<Vec<_>>()}))
    };
    let facts = cluster(&[account(json!({"imagePullSecrets": [{"name": "one"}, {"name": "two"}]}))]);
    assert_eq!(left(&pod(json!({})), &with(&["one", "two"]), Form::Mutating, &facts), Ok(vec![]));
    for names in [&["one"][..], &["other"], &["one", "two", "three"]] {
        assert_ne!(left(&pod(json!({})), &with(names), Form::Mutating, &facts), Ok(vec![]), "{names:?}");
    }
    // What the template names stands alone.
    assert_ne!(left(&with(&["own"]), &with(&["own", "one"]), Form::Mutating, &facts), Ok(vec![]));
}

#[test]
fn threat_45_limits_need_the_range_that_sets_them() {
    let range = |cpu: &str| {
        json!({"kind": "LimitRange", "metadata": {"name": "r", "namespace": "trading"}, "spec": {"limits": [
            {"type": "Container", "default": {"cpu": cpu}}
        ]}})
    };
    let mut object = pod(json!({"containers": [
        {"name": "main", "image": "app:1", "resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "1"}}}
    ]}));
    object["metadata"]["annotations"] = json!({
        "kubernetes.io/limit-ranger": "LimitRanger plugin set: cpu request for container main; cpu limit for container main"
    });
    let template = pod(json!({}));
    assert_eq!(left(&template, &object, Form::Mutating, &cluster(&[range("1")])), Ok(vec![]));
    assert_ne!(left(&template, &object, Form::Mutating, &cluster(&[range("2")])), Ok(vec![]));
    assert_ne!(left(&template, &object, Form::Mutating, &cluster(&[])), Ok(vec![]));
    let mut elsewhere = range("1");
    elsewhere["metadata"]["namespace"] = "other".into();
    assert_ne!(left(&template, &object, Form::Mutating, &cluster(&[elsewhere])), Ok(vec![]));
}

#[test]
fn several_ranges_are_tried_in_every_order() {
    let range = |name: &str, resource: &str| {
        json!({"kind": "LimitRange", "metadata": {"name": name, "namespace": "trading"}, "spec": {"limits": [
            {"type": "Container", "defaultRequest": {resource: "1"}}
        ]}})
    };
    let facts = cluster(&[range("a", "cpu"), range("b", "memory")]);
    for last in ["cpu", "memory"] {
        let mut object = pod(json!({"containers": [
            {"name": "main", "image": "app:1", "resources": {"requests": {"cpu": "1", "memory": "1"}}}
        ]}));
        object["metadata"]["annotations"] = json!({
            "kubernetes.io/limit-ranger": format!("LimitRanger plugin set: {last} request for container main")
        });
        assert_eq!(left(&pod(json!({})), &object, Form::Mutating, &facts), Ok(vec![]), "{last}");
    }
}

#[test]
fn a_priority_is_its_class() {
    let class = |name: &str, value: i64, default: bool| json!({"kind": "PriorityClass", "metadata": {"name": name}, "value": value, "globalDefault": default});
    let with = |priority: i64, class: Option<&str>| {
        let mut pod = pod(json!({"priority": priority, "preemptionPolicy": "PreemptLowerPriority"}));
        if let Some(class) = class {
            pod["spec"]["priorityClassName"] = class.into();
        }
        pod
    };
    let none = cluster(&[class("high", 1000, false)]);
    let default = cluster(&[class("usual", 10, true), class("high", 1000, false)]);
    let (plain, high) = (pod(json!({})), pod(json!({"priorityClassName": "high"})));
    let cases = [
        (&plain, with(0, None), &none, true),
        (&plain, with(1000, None), &none, false),
        (&plain, with(1000, Some("high")), &none, false),
        (&plain, with(10, Some("usual")), &default, true),
        (&plain, with(0, None), &default, false),
        (&high, with(1000, Some("high")), &none, true),
        (&high, with(1001, Some("high")), &none, false),
    ];
    for (template, object, facts, allowed) in cases {
        let found = left(template, &object, Form::Mutating, facts).unwrap();
        assert_eq!(found.is_empty(), allowed, "{template} {object}: {found:?}");
    }
}

#[test]
fn what_depends_on_an_object_that_was_not_told_cannot_be_told() {
    let facts = Facts::default();
    let annotated = |pod: Value| {
        let mut pod = pod;
        pod["metadata"]["annotations"] = json!({"kubernetes.io/limit-ranger": "LimitRanger plugin set: x"});
        pod
    };
    let claim = |class: &[&str]| {
        let mut claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "spec": {}});
        for class in class {
            claim["spec"]["storageClassName"] = (*class).into();
        }
        claim
    };
    let custom = |spec: Value| json!({"apiVersion": "example.com/v1", "kind": "Widget", "spec": spec});
    let cases = [
        (pod(json!({})), with_token(), "the ServiceAccount trading/runner"),
        (pod(json!({})), pod(json!({"imagePullSecrets": [{"name": "x"}]})), "the ServiceAccount trading/runner"),
        (pod(json!({})), annotated(pod(json!({}))), "the LimitRanges of namespace trading"),
        (
            pod(json!({"priorityClassName": "x"})),
            pod(json!({"priorityClassName": "x", "priority": 1})),
            "PriorityClass x",
        ),
        (
            pod(json!({"runtimeClassName": "x"})),
            pod(json!({"runtimeClassName": "x", "overhead": {"cpu": "1"}})),
            "RuntimeClass x",
        ),
        (claim(&[]), claim(&["fast"]), "the StorageClass fast"),
        (custom(json!({})), custom(json!({"size": 3})), "the CustomResourceDefinition of example.com/v1 Widget"),
    ];
    for (template, object, missing) in cases {
        let error = left(&template, &object, Form::Mutating, &facts).unwrap_err();
        assert!(error.contains(missing), "{error}");
    }
    // Nothing depends on anything where nothing was added, or where the pod says so itself.
    assert_eq!(left(&pod(json!({})), &pod(json!({})), Form::Mutating, &facts), Ok(vec![]));
    let yes = json!({"automountServiceAccountToken": true});
    let mut object = with_token();
    object["spec"]["automountServiceAccountToken"] = true.into();
    assert_eq!(left(&pod(yes), &object, Form::Mutating, &facts), Ok(vec![]));
    let widget = (custom(json!({"size": 3})), custom(json!({"size": 4})));
    assert_eq!(left(&widget.0, &widget.1, Form::Mutating, &facts), Ok(vec!["spec.size".to_owned()]));
}

#[test]
fn pod_templates_get_nothing_that_is_a_pods() {
    let job = |spec: &Value| json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a"}, "spec": {"template": {"spec": spec}}});
    let facts = cluster(&[account(json!({}))]);
    let template = job(&pod(json!({}))["spec"]);
    for object in [
        with_token(),
        pod(json!({"priority": 0})),
        pod(json!({"tolerations": [
            {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
        ]})),
    ] {
        assert_ne!(left(&template, &job(&object["spec"]), Form::Mutating, &facts), Ok(vec![]), "{object}");
    }
}

#[test]
fn what_strategies_add_is_the_callers_before_they_run() {
    let service = |spec: Value| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": spec});
    let plain = service(json!({"ports": [{"port": 80}]}));
    let address = service(json!({"ports": [{"port": 80}], "clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"]}));
    let facts = cluster(&[]);
    assert_ne!(left(&plain, &address, Form::Mutating, &facts), Ok(vec![]));
    assert_ne!(left(&plain, &address, Form::Submitted, &facts), Ok(vec![]));
    assert_eq!(left(&plain, &address, Form::Validating, &facts), Ok(vec![]));
    let headless = service(json!({"ports": [{"port": 80}], "clusterIP": "None", "clusterIPs": ["None"]}));
    assert_ne!(left(&plain, &headless, Form::Validating, &facts), Ok(vec![]), "nobody allocates None");
    let node_port = service(json!({"ports": [{"port": 80, "nodePort": 30000}]}));
    assert_ne!(left(&plain, &node_port, Form::Validating, &facts), Ok(vec![]), "not of this type");
    let two =
        service(json!({"ports": [{"port": 80}], "clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9", "fd00::1"]}));
    assert_ne!(left(&plain, &two, Form::Validating, &facts), Ok(vec![]), "one family unless asked");
}

#[test]
fn a_jobs_labels_are_its_own_name_and_uid() {
    let job = |labels: Value, selector: Value| {
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a", "uid": "u-1"}, "spec": {
            "selector": {"matchLabels": selector}, "template": {"metadata": {"labels": labels}, "spec": {}}
        }})
    };
    let template = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a", "labels": {"x": "y"}},
        "spec": {"template": {"spec": {}}}});
    let own = |name: &str, uid: &str| {
        let mut job = job(
            json!({"job-name": name, "batch.kubernetes.io/job-name": name, "controller-uid": uid, "batch.kubernetes.io/controller-uid": uid}),
            json!({"batch.kubernetes.io/controller-uid": uid}),
        );
        job["metadata"]["labels"] = json!({"x": "y"});
        job
    };
    let facts = cluster(&[]);
    assert_eq!(left(&template, &own("a", "u-1"), Form::Validating, &facts), Ok(vec![]));
    assert_ne!(left(&template, &own("b", "u-1"), Form::Validating, &facts), Ok(vec![]));
    assert_ne!(left(&template, &own("a", "u-2"), Form::Validating, &facts), Ok(vec![]));
    let mut more = own("a", "u-1");
    more["spec"]["selector"]["matchLabels"]["app"] = "other".into();
    assert_ne!(left(&template, &more, Form::Validating, &facts), Ok(vec![]));
}

#[test]
fn facts_come_and_go() {
    let mut facts = Facts::new(Completeness::Cluster);
    assert!(facts.apply(&account(json!({}))));
    assert!(!facts.apply(&json!({"kind": "Pod", "metadata": {"name": "a"}})));
    assert_eq!(left(&pod(json!({})), &with_token(), Form::Mutating, &facts), Ok(vec![]));
    let mut stranger = account(json!({"automountServiceAccountToken": false}));
    stranger["apiVersion"] = "example.com/v1".into();
    assert!(!facts.apply(&stranger));
    assert_eq!(left(&pod(json!({})), &with_token(), Form::Mutating, &facts), Ok(vec![]));
    facts.remove("ServiceAccount", "trading", "runner");
    assert_ne!(left(&pod(json!({})), &with_token(), Form::Mutating, &facts), Ok(vec![]));
    let list = json!({"kind": "List", "items": [account(json!({}))]});
    assert!(facts.apply(&list));
    assert_eq!(left(&pod(json!({})), &with_token(), Form::Mutating, &facts), Ok(vec![]));
}

#[test]
fn the_newest_default_class_counts() {
    let class = |name: &str, created: &str, default: &str| {
        json!({"kind": "StorageClass", "metadata": {"name": name, "creationTimestamp": created,
            "annotations": {"storageclass.kubernetes.io/is-default-class": default}}})
    };
    let facts = cluster(&[
        class("old", "2025-01-01T00:00:00Z", "true"),
        class("new", "2026-01-01T00:00:00Z", "true"),
        class("other", "2026-11-01T00:00:00Z", "false"),
    ]);
    let claim = |spec: Value| json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "spec": spec});
    for (name, allowed) in [("new", true), ("old", false), ("other", false)] {
        let found = left(&claim(json!({})), &claim(json!({"storageClassName": name})), Form::Mutating, &facts).unwrap();
        assert_eq!(found.is_empty(), allowed, "{name}");
    }
}

#[test]
fn the_old_annotation_of_a_profile_is_an_older_servers_to_add_and_only_as_the_field_says() {
    let facts = cluster(&[account(json!({}))]);
    let expected = pod(json!({
        "securityContext": {"appArmorProfile": {"type": "RuntimeDefault"}}, "automountServiceAccountToken": false,
        "containers": [
            {"name": "main", "image": "app:1"},
            {"name": "own", "image": "app:1", "securityContext": {"appArmorProfile": {"type": "Localhost", "localhostProfile": "p"}}},
        ],
    }));
    let annotated = |container: &str, profile: &str| {
        let mut object = expected.clone();
        let key = format!("container.apparmor.security.beta.kubernetes.io/{container}");
        object["metadata"]["annotations"] = json!({key: profile});
        object
    };
    let fine = |object: &Value, form: Form| left(&expected, object, form, &facts).unwrap().is_empty();
    for (container, profile, right) in [
        ("main", "runtime/default", true),
        ("own", "localhost/p", true),
        ("main", "unconfined", false),
        ("own", "runtime/default", false),
        ("other", "runtime/default", false),
    ] {
        let object = annotated(container, profile);
        assert_eq!(fine(&object, Form::Validating), right, "{container} {profile}");
        assert!(!fine(&object, Form::Mutating), "before strategies have run it is the caller's: {container}");
    }
    assert!(fine(&expected, Form::Validating), "a newer server adds none");
}

fn stateful_set(strategy: Value) -> Value {
    let mut set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "a"}, "spec": {
        "serviceName": "a", "selector": {"matchLabels": {"app": "a"}},
        "template": {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "main", "image": "app:1"}]}},
    }});
    if !strategy.is_null() {
        set["spec"]["updateStrategy"] = strategy;
    }
    set
}

#[test]
fn an_update_of_a_stateful_set_may_say_how_many_pods_are_unavailable_as_it_does_from_1_37_on() {
    let differs = || Ok(vec!["spec.updateStrategy.rollingUpdate.maxUnavailable".to_owned()]);
    let rolling = |update: Value| json!({"type": "RollingUpdate", "rollingUpdate": update});
    let shown = |number: Value| stateful_set(rolling(json!({"partition": 0, "maxUnavailable": number})));
    for form in [Form::Mutating, Form::Validating] {
        let left = |template: &Value, object: &Value| left(template, object, form, &cluster(&[]));
        for template in
            [Value::Null, rolling(json!({})), rolling(json!({"partition": 0})), json!({"rollingUpdate": {}})]
        {
            let template = stateful_set(template);
            assert_eq!(left(&template, &template), Ok(vec![]), "1.36");
            assert_eq!(left(&template, &shown(1.into())), Ok(vec![]), "1.37");
            for other in [json!(2), json!(0), json!("1"), json!("100%"), json!(1.5)] {
                assert_eq!(left(&template, &shown(other.clone())), differs(), "{other}");
            }
        }
        // Said by the template, it is what the template says.
        let two = stateful_set(rolling(json!({"maxUnavailable": 2})));
        assert_eq!(left(&two, &shown(2.into())), Ok(vec![]));
        assert_eq!(left(&two, &shown(1.into())), differs());
        // Where nothing rolls, nothing is filled in.
        let on_delete = stateful_set(json!({"type": "OnDelete"}));
        let with_update = stateful_set(json!({"type": "OnDelete", "rollingUpdate": {"maxUnavailable": 1}}));
        assert_ne!(left(&on_delete, &with_update), Ok(vec![]));
        assert_ne!(left(&stateful_set(json!({"type": "RollingUpdate"})), &shown(1.into())), Ok(vec![]));
    }
}

#[test]
fn resources_of_a_pod_may_be_filled_in_as_they_are_from_1_37_on() {
    let facts = cluster(&[account(json!({"automountServiceAccountToken": false}))]);
    let with = |own: Value, containers: &[Value]| {
        let containers: Vec<Value> = containers
            .iter()
            .enumerate()
            .map(|(number, resources)| json!({"name": format!("c{number}"), "image": "app:1", "resources": resources}))
            .collect();
        pod(json!({"resources": own, "containers": containers}))
    };
    let limited = |cpu: &str| json!({"limits": {"cpu": cpu}});
    let left = |own: Value, shown: Value, containers: &[Value], form: Form| {
        left(&with(own, containers), &with(shown, containers), form, &facts)
    };
    let cases = [
        // Requests without limits: those of the containers too, and the limits that all of them have.
        (
            json!({"requests": {"memory": "1Gi"}}),
            json!({"requests": {"memory": "1Gi", "cpu": "3"}, "limits": {"cpu": "3"}}),
            vec![limited("1"), limited("2")],
        ),
        // Never less than the request.
        (
            json!({"requests": {"cpu": "4"}}),
            json!({"requests": {"cpu": "4"}, "limits": {"cpu": "4"}}),
            vec![limited("1"), limited("2")],
        ),
        // One container without a limit: none.
        (json!({"requests": {"cpu": "4"}}), json!({"requests": {"cpu": "4"}}), vec![limited("1"), json!({})]),
    ];
    for (own, shown, containers) in cases {
        assert_eq!(left(own.clone(), shown.clone(), &containers, Form::Validating), Ok(vec![]), "1.37: {shown}");
        assert_eq!(left(own.clone(), own, &containers, Form::Validating), Ok(vec![]), "1.36: {shown}");
    }
    let own = json!({"requests": {"cpu": "4"}});
    let of = |limit: &str| json!({"requests": {"cpu": "4"}, "limits": {"cpu": limit}});
    let both = [limited("1"), limited("2")];
    assert_ne!(left(own.clone(), of("5"), &both, Form::Validating), Ok(vec![]), "another amount");
    assert_ne!(left(own.clone(), of("4"), &both, Form::Mutating), Ok(vec![]), "sent by the caller");
    assert_ne!(left(own, of("4"), &[limited("1"), json!({})], Form::Validating), Ok(vec![]), "not filled in");
    let none = json!({});
    assert_ne!(left(none.clone(), of("4"), &both, Form::Validating), Ok(vec![]), "the pod itself asks for nothing");
}
