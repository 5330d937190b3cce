use serde_json::json;

use super::*;

fn differences(api_version: &str, kind: &str, expected: Value, object: Value) -> Vec<String> {
    let gvk = Gvk::from_api_version(api_version, kind);
    compare(&gvk, &expected, &object, &Facts::default()).iter().map(ToString::to_string).collect()
}

fn pod(spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": spec})
}

fn container(container: Value) -> Value {
    pod(json!({"containers": [container]}))
}

#[test]
fn the_world_is_closed() {
    let expected = container(json!({"name": "main", "image": "app"}));
    let cases = [
        (container(json!({"name": "main", "image": "app"})), vec![]),
        (
            container(json!({"name": "main", "image": "other"})),
            vec![r#"spec.containers[name=main].image: expected "app", got "other""#],
        ),
        (
            container(json!({"name": "main", "image": "app", "tty": true})),
            vec!["spec.containers[name=main].tty: expected nothing, got true"],
        ),
        (container(json!({"name": "main"})), vec![r#"spec.containers[name=main].image: expected "app", got nothing"#]),
        (
            pod(json!({"containers": [{"name": "main", "image": "app"}, {"name": "more"}]})),
            vec![r#"spec.containers[name=more]: expected nothing, got {"name":"more"}"#],
        ),
        (
            container(json!({"name": "main", "image": "app", "unheardOf": 1})),
            vec!["spec.containers[name=main].unheardOf: expected nothing, got 1"],
        ),
    ];
    for (object, expected_differences) in cases {
        assert_eq!(differences("v1", "Pod", expected.clone(), object), expected_differences);
    }
}

#[test]
fn only_the_servers_own_fields_are_ignored() {
    let expected = json!({"metadata": {"name": "a"}, "spec": {}});
    let owned = json!({
        "metadata": {
            "name": "a", "uid": "u", "resourceVersion": "1", "generation": 1, "creationTimestamp": "2026-11-20T15:00:00Z",
            "managedFields": [{}], "selfLink": "/"
        },
        "spec": {},
        "status": {"phase": "Running"}
    });
    assert_eq!(differences("v1", "Pod", expected.clone(), owned), Vec::<String>::new());
    for field in ["labels", "annotations", "finalizers", "ownerReferences", "deletionTimestamp"] {
        let object = json!({"metadata": {"name": "a", field: {"a": "b"}}, "spec": {}});
        assert_eq!(differences("v1", "Pod", expected.clone(), object).len(), 1, "{field}");
    }
    let nested = json!({"metadata": {"name": "a"}, "spec": {}, "more": {"uid": "u"}});
    assert_eq!(differences("v1", "Pod", expected, nested).len(), 1);
}

#[test]
fn threat_47_status_of_a_kind_without_status_is_compared() {
    let object = json!({"metadata": {"name": "a"}, "status": {"phase": "x"}});
    assert_eq!(differences("v1", "ConfigMap", json!({"metadata": {"name": "a"}}), object).len(), 1);
}

#[test]
fn amounts_are_compared_as_amounts_only_where_they_are_some() {
    let limits = |cpu: Value| container(json!({"name": "main", "resources": {"limits": {"cpu": cpu}}}));
    assert!(differences("v1", "Pod", limits(json!("0.5")), limits(json!("500m"))).is_empty());
    assert!(differences("v1", "Pod", limits(json!(1)), limits(json!("1000m"))).is_empty());
    assert_eq!(differences("v1", "Pod", limits(json!("1")), limits(json!("2"))).len(), 1);
    let value = |text: &str| container(json!({"name": "main", "env": [{"name": "A", "value": text}]}));
    assert_eq!(differences("v1", "Pod", value("0.5"), value("500m")).len(), 1);
}

#[test]
fn numbers_written_in_two_ways_are_one() {
    let with = |value: Value| json!({"spec": {"n": value}});
    assert!(differences("example.com/v1", "W", with(json!(1)), with(json!(1.0))).is_empty());
    assert_eq!(differences("example.com/v1", "W", with(json!(1)), with(json!(1.5))).len(), 1);
    assert_eq!(differences("example.com/v1", "W", with(json!(1)), with(json!("1"))).len(), 1);
    let big = 9_007_199_254_740_993_i64;
    assert_eq!(differences("example.com/v1", "W", with(json!(big)), with(json!(big - 1))).len(), 1);
}

#[test]
fn ports_as_numbers_and_as_texts_differ() {
    let port = |port: Value| container(json!({"name": "main", "livenessProbe": {"httpGet": {"port": port}}}));
    assert_eq!(differences("v1", "Pod", port(json!(80)), port(json!("80"))).len(), 1);
}

#[test]
fn empty_is_nothing_only_where_the_server_drops_it() {
    let volume = |source: Value| pod(json!({"volumes": [source]}));
    let cases = [
        (pod(json!({"nodeSelector": {}})), pod(json!({})), 0),
        (pod(json!({"tolerations": []})), pod(json!({})), 0),
        (pod(json!({"hostNetwork": false})), pod(json!({})), 0),
        (pod(json!({"hostNetwork": null})), pod(json!({})), 0),
        (pod(json!({"securityContext": {}})), pod(json!({})), 1),
        (pod(json!({"enableServiceLinks": false})), pod(json!({})), 1),
        (volume(json!({"name": "v", "emptyDir": {}})), volume(json!({"name": "v"})), 1),
    ];
    for (left, right, count) in cases {
        assert_eq!(differences("v1", "Pod", left.clone(), right.clone()).len(), count, "{left}");
        assert_eq!(differences("v1", "Pod", right, left.clone()).len(), count, "{left} the other way");
    }
    let all = json!({"spec": {"ingress": [{"from": [{"podSelector": {}}]}]}});
    let none = json!({"spec": {"ingress": [{"from": [{}]}]}});
    assert_eq!(differences("networking.k8s.io/v1", "NetworkPolicy", all, none).len(), 1);
}

#[test]
fn keyed_lists_need_no_order_and_positional_ones_do() {
    let ab = json!([{"name": "a"}, {"name": "b"}]);
    let ba = json!([{"name": "b"}, {"name": "a"}]);
    let cases = [("containers", 0), ("volumes", 0), ("initContainers", 2)];
    for (field, count) in cases {
        let found = differences("v1", "Pod", pod(json!({field: ab})), pod(json!({field: ba})));
        assert_eq!(found.len(), count, "{field}: {found:?}");
    }
    let args = |args: Value| container(json!({"name": "main", "args": args}));
    let found = differences("v1", "Pod", args(json!(["a", "b"])), args(json!(["b", "a"])));
    assert_eq!(
        found,
        [
            r#"spec.containers[name=main].args[0]: expected "a", got "b""#,
            r#"spec.containers[name=main].args[1]: expected "b", got "a""#,
        ]
    );
}

#[test]
fn ports_are_found_by_number_and_protocol() {
    let ports = |ports: Value| container(json!({"name": "main", "ports": ports}));
    let expected = ports(json!([{"containerPort": 53, "protocol": "UDP"}, {"containerPort": 53, "protocol": "TCP"}]));
    let object = ports(json!([{"containerPort": 53, "protocol": "TCP"}, {"containerPort": 54, "protocol": "UDP"}]));
    assert_eq!(
        differences("v1", "Pod", expected, object),
        [
            r#"spec.containers[name=main].ports[containerPort=53,protocol=UDP]: expected {"containerPort":53,"protocol":"UDP"}, got nothing"#,
            r#"spec.containers[name=main].ports[containerPort=54,protocol=UDP]: expected nothing, got {"containerPort":54,"protocol":"UDP"}"#,
        ]
    );
}

#[test]
fn elements_with_the_same_key_are_compared_by_position() {
    let ports = |names: [&str; 2]| {
        let ports = names.map(|name| json!({"containerPort": 80, "protocol": "TCP", "name": name}));
        container(json!({"name": "main", "ports": ports}))
    };
    assert!(differences("v1", "Pod", ports(["a", "b"]), ports(["a", "b"])).is_empty());
    assert_eq!(differences("v1", "Pod", ports(["a", "b"]), ports(["a", "c"])).len(), 1);
}

#[test]
fn env_needs_no_order_until_a_value_refers_to_another() {
    let env = |env: Value| container(json!({"name": "main", "env": env}));
    let plain = |first: &str, second: &str| env(json!([{"name": first, "value": "1"}, {"name": second, "value": "1"}]));
    assert!(differences("v1", "Pod", plain("A", "B"), plain("B", "A")).is_empty());
    let left = env(json!([{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)"}]));
    let right = env(json!([{"name": "B", "value": "$(A)"}, {"name": "A", "value": "1"}]));
    assert_eq!(
        differences("v1", "Pod", left, right),
        [
            r#"spec.containers[name=main].env: expected the order A, B, since a value refers to another variable, got ["B","A"]"#
        ]
    );
}

#[test]
fn env_names_are_unique() {
    let env = |values: &[&str]| {
        let env: Vec<_> = values.iter().map(|value| json!({"name": "A", "value": value})).collect();
        container(json!({"name": "main", "env": env}))
    };
    for (expected, object) in [(env(&["1"]), env(&["1", "2"])), (env(&["1", "2"]), env(&["1", "2"]))] {
        assert_eq!(
            differences("v1", "Pod", expected, object),
            [r#"spec.containers[name=main].env[name=A]: expected each variable once, got "2 of that name""#]
        );
    }
}

#[test]
fn threat_42_values_of_secrets_are_in_no_difference() {
    let secret = |data: Value| json!({"metadata": {"name": "s"}, "data": data, "type": "Opaque"});
    let cases = [
        (secret(json!({"a": "aHVudGVyMg=="})), secret(json!({"a": "b3RoZXI="}))),
        (secret(json!({})), secret(json!({"a": "aHVudGVyMg=="}))),
        (secret(json!({"a": "aHVudGVyMg=="})), secret(json!({}))),
        (json!({"metadata": {"name": "s"}, "type": "Opaque"}), secret(json!({"a": "aHVudGVyMg=="}))),
    ];
    for (expected, object) in cases {
        let found = differences("v1", "Secret", expected, object);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(!found[0].contains("aHVudGVyMg") && !found[0].contains("b3RoZXI"), "{found:?}");
    }
    let found = differences("v1", "Secret", secret(json!({})), json!({"metadata": {"name": "s"}, "type": "x"}));
    assert_eq!(found, [r#"type: expected "Opaque", got "x""#]);
}
