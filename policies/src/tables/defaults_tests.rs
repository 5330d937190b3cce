#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
use serde_json::json;

use super::*;

fn completed(api_version: &str, kind: &str, mut value: Value) -> Value {
    let gvk = Gvk::from_api_version(api_version, kind);
    let facts = Facts::default();
    complete(&gvk, &mut value, &facts);
    let once = value.clone();
    complete(&gvk, &mut value, &facts);
    assert_eq!(value, once, "completing twice");
    value
}

#[test]
fn every_row_is_understood() {
    assert_eq!(parse(DEFAULTS_TEXT).1, Vec::<&str>::new());
}

#[test]
fn a_pod_gets_what_the_server_gives_it() {
    let pod = completed(
        "v1",
        "Pod",
        json!({"metadata": {"name": "a"}, "spec": {"containers": [{"name": "main", "image": "app"}]}}),
    );
    assert_eq!(
        pod,
        json!({
            "metadata": {"name": "a"},
            "spec": {
                "containers": [{
                    "name": "main", "image": "app", "imagePullPolicy": "Always",
                    "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"
                }],
                "dnsPolicy": "ClusterFirst", "enableServiceLinks": true, "restartPolicy": "Always",
                "schedulerName": "default-scheduler", "securityContext": {}, "terminationGracePeriodSeconds": 30
            }
        })
    );
}

#[test]
fn a_pod_without_a_spec_is_complete_after_once() {
    for pod in [json!({"metadata": {"name": "a"}}), json!({"spec": null}), json!({"spec": {}}), json!({"spec": "x"})] {
        let once = completed("v1", "Pod", pod);
        assert_eq!(completed("v1", "Pod", once.clone()), once);
    }
}

/// Pod spec in, one field of the completed pod out.
fn of_pod(spec: Value, pointer: &str) -> Value {
    let pod = completed("v1", "Pod", json!({"spec": spec}));
    pod.pointer(&format!("/spec{pointer}")).cloned().unwrap_or_default()
}

#[test]
fn fields_of_pods_depend_on_their_siblings() {
    let container = |more: Value| {
        let mut container = json!({"name": "main", "image": "app:1"});
        container.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"containers": [container]})
    };
    let volume = |source: Value| {
        let mut volume = json!({"name": "v"});
        volume.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
        json!({"volumes": [volume]})
    };
    let cases = [
        (container(json!({})), "/containers/0/imagePullPolicy", json!("IfNotPresent")),
        (container(json!({"image": "app:latest"})), "/containers/0/imagePullPolicy", json!("Always")),
        (container(json!({"imagePullPolicy": "Never"})), "/containers/0/imagePullPolicy", json!("Never")),
        (container(json!({"ports": [{"containerPort": 80}]})), "/containers/0/ports/0/protocol", json!("TCP")),
        (container(json!({"resources": {}})), "/containers/0/resources", json!(null)),
        (container(json!({"stdin": false})), "/containers/0/stdin", json!(null)),
        (container(json!({"env": [{"name": "A", "value": ""}]})), "/containers/0/env/0", json!({"name": "A"})),
        (
            container(json!({"resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}, "requests": {"cpu": "0.1"}}})),
            "/containers/0/resources/requests",
            json!({"cpu": "100m", "memory": "1Gi"}),
        ),
        (
            container(json!({"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]})),
            "/containers/0/env/0/valueFrom/fieldRef/apiVersion",
            json!("v1"),
        ),
        (
            container(
                json!({"env": [{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "0"}}}]}),
            ),
            "/containers/0/env/0/valueFrom/resourceFieldRef",
            json!({"resource": "limits.cpu"}),
        ),
        (
            container(json!({"livenessProbe": {"httpGet": {"port": 80}, "timeoutSeconds": 0}})),
            "/containers/0/livenessProbe",
            json!({
                "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
                "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3
            }),
        ),
        (
            container(json!({"startupProbe": {"grpc": {"port": 80}}})),
            "/containers/0/startupProbe/grpc/service",
            json!(""),
        ),
        (
            container(json!({"lifecycle": {"preStop": {"httpGet": {"port": "http"}}}})),
            "/containers/0/lifecycle/preStop/httpGet",
            json!({"port": "http", "path": "/", "scheme": "HTTP"}),
        ),
        (volume(json!({})), "/volumes/0/emptyDir", json!({})),
        (volume(json!({"emptyDir": {}})), "/volumes/0/emptyDir", json!({})),
        (volume(json!({"secret": {"secretName": "s"}})), "/volumes/0/secret/defaultMode", json!(420)),
        (volume(json!({"secret": {"secretName": "s", "defaultMode": 0}})), "/volumes/0/secret/defaultMode", json!(0)),
        (volume(json!({"hostPath": {"path": "/"}})), "/volumes/0/hostPath/type", json!("")),
        (
            volume(json!({"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}})),
            "/volumes/0/projected",
            json!({"defaultMode": 420, "sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 3600}}]}),
        ),
        (volume(json!({"image": {"reference": "app"}})), "/volumes/0/image/pullPolicy", json!("Always")),
        (
            volume(
                json!({"ephemeral": {"volumeClaimTemplate": {"spec": {"resources": {"requests": {"storage": 1024.0}}}}}}),
            ),
            "/volumes/0/ephemeral/volumeClaimTemplate/spec",
            json!({"resources": {"requests": {"storage": "1024"}}, "volumeMode": "Filesystem"}),
        ),
        (json!({"serviceAccount": "a"}), "/serviceAccountName", json!("a")),
        (json!({"serviceAccountName": "a"}), "/serviceAccount", json!("a")),
        (json!({"serviceAccountName": "a", "serviceAccount": "b"}), "/serviceAccount", json!("a")),
        (json!({"terminationGracePeriodSeconds": 0}), "/terminationGracePeriodSeconds", json!(0)),
        (json!({"terminationGracePeriodSeconds": -1}), "/terminationGracePeriodSeconds", json!(1)),
        (json!({"enableServiceLinks": false}), "/enableServiceLinks", json!(false)),
        (json!({"nodeSelector": {}, "tolerations": null}), "/nodeSelector", json!(null)),
        (
            json!({"hostNetwork": true, "containers": [{"name": "a", "ports": [{"containerPort": 80, "hostPort": 0}]}]}),
            "/containers/0/ports/0/hostPort",
            json!(80),
        ),
        (
            json!({"resources": {"limits": {"cpu": "2"}}, "containers": [{"name": "a", "resources": {"requests": {"cpu": "500m"}}}]}),
            "/resources/requests/cpu",
            json!("500m"),
        ),
        (json!({"resources": {"limits": {"memory": "2Gi"}}}), "/resources/requests/memory", json!("2Gi")),
    ];
    for (spec, pointer, expected) in cases {
        assert_eq!(of_pod(spec.clone(), pointer), expected, "{spec} {pointer}");
    }
}

#[test]
fn pod_templates_get_less_than_pods() {
    let job = completed(
        "batch/v1",
        "Job",
        json!({"spec": {"template": {"spec": {"hostNetwork": true, "containers": [
            {"name": "a", "ports": [{"containerPort": 80}], "resources": {"limits": {"cpu": "1"}}}
        ]}}}}),
    );
    let spec = job.pointer("/spec/template/spec").unwrap();
    assert_eq!(spec.get("enableServiceLinks"), None);
    assert_eq!(spec.pointer("/containers/0/ports/0/hostPort"), None);
    assert_eq!(spec.pointer("/containers/0/resources/requests"), None);
    assert_eq!(spec.get("dnsPolicy"), Some(&json!("ClusterFirst")));
}

#[test]
fn a_jobs_counts_depend_on_each_other() {
    let cases = [
        (json!({}), json!([1, 1, 6, "TerminatingOrFailed"])),
        (json!({"parallelism": 2}), json!([null, 2, 6, "TerminatingOrFailed"])),
        (json!({"completions": 2}), json!([2, 1, 6, "TerminatingOrFailed"])),
        (json!({"parallelism": 0}), json!([null, 0, 6, "TerminatingOrFailed"])),
        (json!({"backoffLimitPerIndex": 1}), json!([1, 1, 2_147_483_647, "TerminatingOrFailed"])),
        (json!({"podFailurePolicy": {"rules": []}}), json!([1, 1, 6, "Failed"])),
    ];
    for (spec, expected) in cases {
        let job = completed("batch/v1", "Job", json!({"spec": spec}));
        let got = ["completions", "parallelism", "backoffLimit", "podReplacementPolicy"]
            .map(|field| job["spec"][field].clone());
        assert_eq!(json!(got), expected, "{spec}");
    }
}

#[test]
fn a_job_without_labels_has_those_of_its_pods() {
    let job = |labels: Value| {
        completed(
            "batch/v1",
            "Job",
            json!({"metadata": {"labels": labels}, "spec": {"template": {"metadata": {"labels": {"app": "x"}}}}}),
        )["metadata"]["labels"]
            .clone()
    };
    assert_eq!(job(json!(null)), json!({"app": "x"}));
    assert_eq!(job(json!({})), json!({"app": "x"}));
    assert_eq!(job(json!({"own": "y"})), json!({"own": "y"}));
}

#[test]
fn other_kinds_get_what_the_server_gives_them() {
    let cases = [
        (
            "apps/v1",
            "Deployment",
            json!({}),
            "/spec/strategy",
            json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}),
        ),
        (
            "apps/v1",
            "Deployment",
            json!({"strategy": {"type": "Recreate"}}),
            "/spec/strategy",
            json!({"type": "Recreate"}),
        ),
        ("apps/v1", "Deployment", json!({"replicas": 0}), "/spec/replicas", json!(0)),
        ("apps/v1", "Deployment", json!({}), "/spec/progressDeadlineSeconds", json!(600)),
        ("apps/v1", "Deployment", json!({}), "/spec/template/spec/restartPolicy", json!("Always")),
        (
            "apps/v1",
            "DaemonSet",
            json!({}),
            "/spec/updateStrategy",
            json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}),
        ),
        (
            "apps/v1",
            "StatefulSet",
            json!({}),
            "/spec/updateStrategy",
            json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}),
        ),
        (
            "apps/v1",
            "StatefulSet",
            json!({"updateStrategy": {"type": "RollingUpdate"}}),
            "/spec/updateStrategy",
            json!({"type": "RollingUpdate"}),
        ),
        (
            "apps/v1",
            "StatefulSet",
            json!({}),
            "/spec/persistentVolumeClaimRetentionPolicy",
            json!({"whenDeleted": "Retain", "whenScaled": "Retain"}),
        ),
        (
            "apps/v1",
            "StatefulSet",
            json!({"volumeClaimTemplates": [{"metadata": {"name": "d"}}]}),
            "/spec/volumeClaimTemplates/0",
            json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "d"}, "spec": {"volumeMode": "Filesystem"}, "status": {"phase": "Pending"}}),
        ),
        (
            "batch/v1",
            "CronJob",
            json!({"schedule": "* * * * *"}),
            "/spec/jobTemplate/spec/template/spec/dnsPolicy",
            json!("ClusterFirst"),
        ),
        ("batch/v1", "CronJob", json!({}), "/spec/concurrencyPolicy", json!("Allow")),
        // Only a Job counts its runs; a CronJob's template does not say.
        ("batch/v1", "CronJob", json!({}), "/spec/jobTemplate/spec/completions", json!(null)),
        (
            "v1",
            "Service",
            json!({"ports": [{"port": 80}]}),
            "/spec/ports/0",
            json!({"port": 80, "protocol": "TCP", "targetPort": 80}),
        ),
        (
            "v1",
            "Service",
            json!({"ports": [{"port": 80, "targetPort": "http"}]}),
            "/spec/ports/0/targetPort",
            json!("http"),
        ),
        ("v1", "Service", json!({}), "/spec/internalTrafficPolicy", json!("Cluster")),
        ("v1", "Service", json!({"type": "ExternalName"}), "/spec/internalTrafficPolicy", json!(null)),
        ("v1", "Service", json!({"type": "NodePort"}), "/spec/externalTrafficPolicy", json!("Cluster")),
        ("v1", "Service", json!({"externalIPs": ["192.0.2.1"]}), "/spec/externalTrafficPolicy", json!("Cluster")),
        ("v1", "Service", json!({}), "/spec/externalTrafficPolicy", json!(null)),
        ("v1", "Service", json!({"type": "LoadBalancer"}), "/spec/allocateLoadBalancerNodePorts", json!(true)),
        (
            "v1",
            "Service",
            json!({"sessionAffinity": "ClientIP"}),
            "/spec/sessionAffinityConfig/clientIP/timeoutSeconds",
            json!(10800),
        ),
        ("v1", "PersistentVolumeClaim", json!({}), "/spec/volumeMode", json!("Filesystem")),
        ("networking.k8s.io/v1", "NetworkPolicy", json!({}), "/spec/policyTypes", json!(["Ingress"])),
        (
            "networking.k8s.io/v1",
            "NetworkPolicy",
            json!({"egress": [{}]}),
            "/spec/policyTypes",
            json!(["Ingress", "Egress"]),
        ),
        ("networking.k8s.io/v1", "NetworkPolicy", json!({"egress": [{}]}), "/spec/egress", json!([{}])),
        (
            "networking.k8s.io/v1",
            "NetworkPolicy",
            json!({"ingress": [{"ports": [{"port": 80}]}]}),
            "/spec/ingress/0/ports/0/protocol",
            json!("TCP"),
        ),
        ("autoscaling/v2", "HorizontalPodAutoscaler", json!({"maxReplicas": 3}), "/spec/minReplicas", json!(1)),
        (
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            json!({"maxReplicas": 3}),
            "/spec/metrics/0/resource/target/averageUtilization",
            json!(80),
        ),
        (
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            json!({"behavior": {}}),
            "/spec/behavior/scaleDown",
            json!({"selectPolicy": "Max", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]}),
        ),
    ];
    for (api_version, kind, spec, pointer, expected) in cases {
        let object = completed(api_version, kind, json!({"spec": spec}));
        assert_eq!(object.pointer(pointer).cloned().unwrap_or_default(), expected, "{kind} {spec} {pointer}");
    }
}

#[test]
fn string_data_becomes_data() {
    let secret = completed("v1", "Secret", json!({"stringData": {"a": "hi"}, "data": {"a": "b25l", "b": "dHdv\n"}}));
    assert_eq!(secret, json!({"type": "Opaque", "data": {"a": "aGk=", "b": "dHdv"}}));
}

#[test]
fn what_is_empty_and_dropped_is_gone_and_what_is_kept_stays() {
    let map = completed("v1", "ConfigMap", json!({"data": {}, "metadata": {"labels": {}, "creationTimestamp": null}}));
    assert_eq!(map, json!({}));
    let policy =
        json!({"spec": {"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}], "policyTypes": ["Ingress"]}});
    let policy = completed("networking.k8s.io/v1", "NetworkPolicy", policy);
    assert_eq!(policy, json!({"spec": {"ingress": [{"from": [{"podSelector": {}}]}], "policyTypes": ["Ingress"]}}));
}

#[test]
fn a_rule_writes_over_nothing_of_another_type_than_the_field() {
    for (api_version, kind, object, at) in [
        ("networking.k8s.io/v1", "NetworkPolicy", json!({"spec": {"policyTypes": false}}), "/spec/policyTypes"),
        ("networking.k8s.io/v1", "NetworkPolicy", json!({"spec": {"policyTypes": "1"}}), "/spec/policyTypes"),
        ("v1", "Secret", json!({"stringData": "a"}), "/stringData"),
        ("v1", "Secret", json!({"stringData": ["a"]}), "/stringData"),
        (
            "v1",
            "Service",
            json!({"spec": {"sessionAffinity": "ClientIP", "sessionAffinityConfig": "a"}}),
            "/spec/sessionAffinityConfig",
        ),
        (
            "v1",
            "Service",
            json!({"spec": {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": ["a"]}}}),
            "/spec/sessionAffinityConfig/clientIP",
        ),
        (
            "v1",
            "Service",
            json!({"spec": {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"other": 1}}}),
            "/spec/sessionAffinityConfig/other",
        ),
    ] {
        let given = object.pointer(at).unwrap().clone();
        let completed = completed(api_version, kind, object);
        assert_eq!(completed.pointer(at), Some(&given), "{kind} {completed}");
    }
}

#[test]
fn what_is_empty_but_of_another_type_than_the_field_stays() {
    let empties = [json!(""), json!(0), json!(0.0), json!(false), json!([]), json!({})];
    // Each field of a pod's spec with the empty values that the server reads there, and does not tell from absence.
    let fields = [
        ("nodeName", vec![json!("")]),
        ("hostNetwork", vec![json!(false)]),
        ("tolerations", vec![json!([])]),
        ("nodeSelector", vec![json!({})]),
        ("overhead", vec![json!({})]),
        ("priority", vec![]),
        ("affinity", vec![]),
    ];
    let gvk = Gvk::from_api_version("v1", "Pod");
    let without = completed("v1", "Pod", json!({"spec": {"restartPolicy": "Never"}}));
    for (field, dropped) in fields {
        for empty in &empties {
            let mut pod = json!({"spec": {"restartPolicy": "Never"}});
            pod["spec"][field] = empty.clone();
            complete(&gvk, &mut pod, &Facts::default());
            assert_eq!(pod == without, dropped.contains(empty), "{field}: {empty}");
        }
    }
    for (value, dropped) in
        [(json!(""), true), (json!(0), false), (json!(false), false), (json!([]), false), (json!({}), false)]
    {
        let with = completed("v1", "ConfigMap", json!({"metadata": {"name": "c", "namespace": value}}));
        assert_eq!(with["metadata"].get("namespace").is_none(), dropped, "{value}");
    }
}

#[test]
fn null_in_a_list_or_a_map_is_the_zero_of_its_type() {
    let map = completed("v1", "ConfigMap", json!({"data": {"a": null}}));
    assert_eq!(map, json!({"data": {"a": ""}}));
    let pod = json!({"spec": {"overhead": {"cpu": null}, "containers": [{"args": [null], "resources": null}]}});
    let pod = completed("v1", "Pod", pod);
    assert_eq!(pod.pointer("/spec/overhead/cpu"), Some(&json!("0")));
    assert_eq!(pod.pointer("/spec/containers/0/args"), Some(&json!([""])));
    assert_eq!(pod.pointer("/spec/containers/0/resources"), None);
    assert_eq!(completed("v1", "Secret", json!({"stringData": {"a": null}}))["data"], json!({"a": ""}));
}

#[test]
fn fields_that_nobody_knows_stay() {
    let pod = completed("v1", "Pod", json!({"spec": {"fromTheFuture": null}, "more": 1.0}));
    assert_eq!(pod.pointer("/spec/fromTheFuture"), Some(&json!(null)));
    assert_eq!(pod.get("more"), Some(&json!(1.0)));
    let unknown = json!({"spec": {"a": null, "b": {}, "c": 1.0}});
    assert_eq!(completed("example.com/v1", "Widget", unknown.clone()), unknown);
}

#[test]
fn custom_resources_get_the_defaults_of_their_schema() {
    let crd = json!({"kind": "CustomResourceDefinition", "metadata": {"name": "widgets.example.com"}, "spec": {
        "group": "example.com", "scope": "Namespaced", "names": {"kind": "Widget", "plural": "widgets"},
        "versions": [{"name": "v1", "subresources": {"status": {}}, "schema": {"openAPIV3Schema": {"type": "object", "properties": {
            "spec": {"type": "object", "default": {}, "properties": {
                "size": {"type": "integer", "default": 3},
                "port": {"x-kubernetes-int-or-string": true},
                "parts": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"],
                    "items": {"type": "object", "properties": {"id": {"type": "string"}, "kind": {"type": "string", "default": "round"}}}},
                "more": {"type": "object", "additionalProperties": {"type": "object", "properties": {"on": {"type": "boolean", "default": true}}}},
                "maybe": {"type": "string", "nullable": true, "default": "x"}
            }}
        }}}}]
    }});
    let facts = Facts::from_objects([&crd]);
    let gvk = Gvk::new("example.com", "v1", "Widget");
    let cases = [
        (json!({"metadata": {"labels": {}}}), json!({"metadata": {}, "spec": {"size": 3, "maybe": "x"}})),
        (
            json!({"spec": {"size": 4.0, "maybe": null, "parts": [{"id": "a"}], "more": {"k": {}}}, "status": {"a": 1}}),
            json!({"spec": {"size": 4, "maybe": null, "parts": [{"id": "a", "kind": "round"}], "more": {"k": {"on": true}}}}),
        ),
    ];
    for (mut value, expected) in cases {
        complete(&gvk, &mut value, &facts);
        let mut value_without_empty_metadata = value.clone();
        complete(&gvk, &mut value_without_empty_metadata, &facts);
        assert_eq!(value, value_without_empty_metadata);
        assert_eq!(value, expected);
    }
    assert_eq!(super::super::has_status(&gvk, &facts), Some(true));
    let keys = super::super::shape_of(&gvk, &facts).field("spec").field("parts").list();
    assert_eq!(keys, super::super::ListKind::Keyed(&["id".to_owned()]));
}
