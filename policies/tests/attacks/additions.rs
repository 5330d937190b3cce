//! Something added that the template does not say.

use policies::recognise::Recognition;
use serde_json::{Value, json};

use crate::support::*;

const POD: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: run, labels: {app: run}, annotations: {note: hello}}
spec:
  serviceAccountName: plain
  nodeSelector: {zone: a}
  volumes: [{name: scratch, emptyDir: {}}]
  containers:
  - name: main
    image: registry.example/run:1
    args: [a, b]
    env: [{name: A, value: "1"}, {name: B, value: "$(A)"}]
    ports: [{containerPort: 80}]
    volumeMounts: [{name: scratch, mountPath: /scratch}]
    resources: {limits: {cpu: "1"}}
"#;

/// Whatever the form, each of these is another object than the template's.
fn refused_each(manifest: &str, rows: Vec<(&str, &str, Value)>) {
    let set = set("", manifest);
    let template = first(&set);
    let facts = facts();
    let mut admitted = Vec::new();
    for form in FORMS {
        let object = shown(&value(manifest), form, &facts);
        let found = recognised(template, &object, form, &facts);
        assert!(matches!(found, Recognition::Match(_)), "{form:?}: {found:?}");
        for (name, pointer, added) in &rows {
            let mut attack = object.clone();
            change(&mut attack, pointer, added.clone());
            if attack != object && !matches!(recognised(template, &attack, form, &facts), Recognition::Differ(_)) {
                admitted.push(format!("{form:?} {name}: {pointer} = {added}"));
            }
        }
    }
    assert!(admitted.is_empty(), "admitted:\n{}", admitted.join("\n"));
}

#[test]
fn threat_21_22_nothing_is_added_to_a_pod() {
    let container = json!({"name": "evil", "image": "registry.example/run:1"});
    let token = |name: &str, audience: Value, seconds: u32, path: &str| {
        let mut source = json!({"serviceAccountToken": {"expirationSeconds": seconds, "path": path}});
        if !audience.is_null() {
            source["serviceAccountToken"]["audience"] = audience;
        }
        json!({"name": name, "projected": {"defaultMode": 420, "sources": [
            source,
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
        ]}})
    };
    let toleration = |key: &str, seconds: i64| json!([{"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds}]);
    refused_each(
        POD,
        vec![
            ("empty label", "/metadata/labels/gpu", json!("")),
            ("label", "/metadata/labels/gpu", json!("x")),
            ("empty annotation", "/metadata/annotations/gpu", json!("")),
            ("annotation as a number", "/metadata/annotations/note2", json!(0)),
            ("empty node selector", "/spec/nodeSelector/gpu", json!("")),
            ("zero limit", "/spec/containers/0/resources/limits/nvidia.com~1gpu", json!("0")),
            ("zero limit as number", "/spec/containers/0/resources/limits/nvidia.com~1gpu", json!(0)),
            ("request", "/spec/containers/0/resources/requests", json!({"memory": "1Gi"})),
            ("label removed", "/metadata/labels/app", Value::Null),
            ("generateName", "/metadata/generateName", json!("run-")),
            ("finalizer", "/metadata/finalizers", json!(["a.example/b"])),
            ("the claims' finalizer", "/metadata/finalizers", json!(["kubernetes.io/pvc-protection"])),
            ("foreground", "/metadata/finalizers", json!(["foregroundDeletion"])),
            ("deletion grace", "/metadata/deletionGracePeriodSeconds", json!(1)),
            ("cluster name", "/metadata/clusterName", json!("other")),
            ("other namespace", "/metadata/namespace", json!("other")),
            ("unknown field", "/spec/futureField", json!("x")),
            ("unknown field, empty", "/spec/futureField", json!("")),
            ("unknown field, false", "/spec/futureField", json!(false)),
            ("unknown field, {}", "/spec/futureField", json!({})),
            ("unknown at the root", "/extra", json!({})),
            ("account", "/spec/serviceAccountName", json!("admin")),
            ("host network", "/spec/hostNetwork", json!(true)),
            ("host pid", "/spec/hostPID", json!(true)),
            ("host ipc", "/spec/hostIPC", json!(true)),
            ("host users", "/spec/hostUsers", json!(true)),
            ("shared processes", "/spec/shareProcessNamespace", json!(true)),
            ("no sharing said", "/spec/shareProcessNamespace", json!(false)),
            ("node", "/spec/nodeName", json!("master-0")),
            ("scheduler", "/spec/schedulerName", json!("mine")),
            ("priority class", "/spec/priorityClassName", json!("system-node-critical")),
            ("priority", "/spec/priority", json!(1000)),
            ("preemption", "/spec/preemptionPolicy", json!("Never")),
            ("runtime class", "/spec/runtimeClassName", json!("kata")),
            ("overhead", "/spec/overhead", json!({"cpu": "1"})),
            ("pull secrets", "/spec/imagePullSecrets", json!([{"name": "other-team"}])),
            ("deadline", "/spec/activeDeadlineSeconds", json!(10)),
            ("grace", "/spec/terminationGracePeriodSeconds", json!(31)),
            ("restart", "/spec/restartPolicy", json!("Never")),
            ("dns", "/spec/dnsPolicy", json!("Default")),
            ("dns config", "/spec/dnsConfig", json!({"nameservers": ["6.6.6.6"]})),
            ("host aliases", "/spec/hostAliases", json!([{"ip": "6.6.6.6", "hostnames": ["registry.example"]}])),
            ("host name", "/spec/hostname", json!("x")),
            ("subdomain", "/spec/subdomain", json!("x")),
            ("fqdn", "/spec/setHostnameAsFQDN", json!(true)),
            ("service links", "/spec/enableServiceLinks", json!(false)),
            ("automount said", "/spec/automountServiceAccountToken", json!(true)),
            ("readiness gate", "/spec/readinessGates", json!([{"conditionType": "x"}])),
            ("scheduling gate", "/spec/schedulingGates", json!([{"name": "x"}])),
            ("affinity", "/spec/affinity", json!({"nodeAffinity": {}})),
            (
                "spread",
                "/spec/topologySpreadConstraints",
                json!([{"maxSkew": 1, "topologyKey": "x", "whenUnsatisfiable": "DoNotSchedule"}]),
            ),
            ("resource claims", "/spec/resourceClaims", json!([{"name": "gpu", "resourceClaimName": "gpu"}])),
            ("os", "/spec/os", json!({"name": "windows"})),
            ("pod security", "/spec/securityContext", json!({"runAsUser": 0})),
            ("sysctls", "/spec/securityContext", json!({"sysctls": [{"name": "a", "value": "b"}]})),
            ("container", "/spec/containers/-", container.clone()),
            (
                "the same container twice",
                "/spec/containers/-",
                json!({"name": "main", "image": "registry.example/run:1"}),
            ),
            ("init container", "/spec/initContainers", json!([container.clone()])),
            ("ephemeral container", "/spec/ephemeralContainers", json!([container])),
            ("image", "/spec/containers/0/image", json!("registry.example/run:1 ")),
            ("pull policy", "/spec/containers/0/imagePullPolicy", json!("Always")),
            ("command", "/spec/containers/0/command", json!(["sh"])),
            ("argument", "/spec/containers/0/args/-", json!("c")),
            ("empty argument", "/spec/containers/0/args/-", json!("")),
            ("argument order", "/spec/containers/0/args", json!(["b", "a"])),
            ("working directory", "/spec/containers/0/workingDir", json!("/")),
            ("env", "/spec/containers/0/env/-", json!({"name": "C"})),
            ("env twice", "/spec/containers/0/env/-", json!({"name": "A", "value": "1"})),
            (
                "env order",
                "/spec/containers/0/env",
                json!([{"name": "B", "value": "$(A)"}, {"name": "A", "value": "1"}]),
            ),
            (
                "env from a secret",
                "/spec/containers/0/env/0",
                json!({"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}),
            ),
            ("env from", "/spec/containers/0/envFrom", json!([{"secretRef": {"name": "s"}}])),
            ("env as a number", "/spec/containers/0/env/0/value", json!(1)),
            ("host port", "/spec/containers/0/ports/0/hostPort", json!(80)),
            ("host ip", "/spec/containers/0/ports/0/hostIP", json!("0.0.0.0")),
            ("port name", "/spec/containers/0/ports/0/name", json!("http")),
            ("port as text", "/spec/containers/0/ports/0/containerPort", json!("80")),
            ("another protocol", "/spec/containers/0/ports/-", json!({"containerPort": 80, "protocol": "UDP"})),
            (
                "the same port again",
                "/spec/containers/0/ports/-",
                json!({"containerPort": 80, "protocol": "TCP", "hostPort": 80}),
            ),
            ("privileged", "/spec/containers/0/securityContext", json!({"privileged": true})),
            ("an empty context", "/spec/containers/0/securityContext", json!({})),
            ("capabilities", "/spec/containers/0/securityContext", json!({"capabilities": {"add": ["SYS_ADMIN"]}})),
            ("hook", "/spec/containers/0/lifecycle", json!({"postStart": {"exec": {"command": ["sh"]}}})),
            ("probe", "/spec/containers/0/livenessProbe", json!({"exec": {"command": ["sh"]}})),
            ("device", "/spec/containers/0/volumeDevices", json!([{"name": "scratch", "devicePath": "/dev/x"}])),
            ("restart policy of a container", "/spec/containers/0/restartPolicy", json!("Always")),
            ("stdin", "/spec/containers/0/stdin", json!(true)),
            ("sub path", "/spec/containers/0/volumeMounts/0/subPath", json!("..")),
            ("propagation", "/spec/containers/0/volumeMounts/0/mountPropagation", json!("Bidirectional")),
            ("mount again", "/spec/containers/0/volumeMounts/-", json!({"name": "scratch", "mountPath": "/scratch"})),
            ("host path", "/spec/volumes/0", json!({"name": "scratch", "hostPath": {"path": "/"}})),
            ("host path beside", "/spec/volumes/0/hostPath", json!({"path": "/"})),
            ("memory", "/spec/volumes/0/emptyDir/medium", json!("Memory")),
            ("csi", "/spec/volumes/-", json!({"name": "v", "csi": {"driver": "secrets-store.csi.k8s.io"}})),
            ("secret", "/spec/volumes/-", json!({"name": "v", "secret": {"secretName": "s", "defaultMode": 420}})),
            (
                "token of another audience",
                "/spec/volumes/-",
                token("kube-api-access-abcde", json!("vault"), 3607, "token"),
            ),
            ("longer token", "/spec/volumes/-", token("kube-api-access-bcdfg", Value::Null, 86400, "token")),
            ("token at another path", "/spec/volumes/-", token("kube-api-access-bcdfg", Value::Null, 3607, "../token")),
            ("token of another name", "/spec/volumes/-", token("kube-api-access-mine", Value::Null, 3607, "token")),
            ("toleration", "/spec/tolerations", json!([{"operator": "Exists"}])),
            ("toleration of masters", "/spec/tolerations", toleration("node-role.kubernetes.io/control-plane", 300)),
            ("longer toleration", "/spec/tolerations", toleration("node.kubernetes.io/not-ready", 301)),
            (
                "limit ranger's word",
                "/metadata/annotations/kubernetes.io~1limit-ranger",
                json!("LimitRanger plugin set: memory limit for container main"),
            ),
            ("text for a map", "/metadata/labels", json!("app=run")),
            ("a list for a map", "/spec/nodeSelector", json!([])),
            ("kind", "/kind", json!("pod")),
            ("no kind", "/kind", Value::Null),
            ("version", "/apiVersion", json!("v1beta1")),
            ("name", "/metadata/name", json!("run ")),
        ],
    );
}

#[test]
fn threat_23_nothing_is_added_to_other_kinds() {
    refused_each(
        "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}}",
        vec![
            ("selector", "/spec/selector/tier", json!("")),
            ("external address", "/spec/externalIPs", json!(["10.0.0.1"])),
            ("type", "/spec/type", json!("LoadBalancer")),
            ("node port", "/spec/ports/0/nodePort", json!(30080)),
            ("balancer address", "/spec/loadBalancerIP", json!("10.0.0.1")),
            ("balancer class", "/spec/loadBalancerClass", json!("x")),
            ("source ranges", "/spec/loadBalancerSourceRanges", json!(["0.0.0.0/0"])),
            ("external name", "/spec/externalName", json!("evil.example")),
            ("affinity", "/spec/sessionAffinity", json!("ClientIP")),
            ("unready", "/spec/publishNotReadyAddresses", json!(true)),
            ("target as text", "/spec/ports/0/targetPort", json!("8080")),
            ("port", "/spec/ports/-", json!({"port": 443, "protocol": "TCP", "targetPort": 443})),
            ("policy", "/spec/internalTrafficPolicy", json!("Local")),
            ("two families", "/spec/ipFamilyPolicy", json!("PreferDualStack")),
        ],
    );
    refused_each(
        "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: home}, spec: {accessModes: [ReadWriteOnce], storageClassName: fast, resources: {requests: {storage: 1Gi}}}}",
        vec![
            ("volume", "/spec/volumeName", json!("pv-of-another")),
            ("source", "/spec/dataSource", json!({"kind": "PersistentVolumeClaim", "name": "other"})),
            (
                "source by reference",
                "/spec/dataSourceRef",
                json!({"kind": "PersistentVolumeClaim", "name": "other", "namespace": "other"}),
            ),
            ("selector", "/spec/selector", json!({"matchLabels": {"a": "b"}})),
            ("mode", "/spec/volumeMode", json!("Block")),
            ("class", "/spec/storageClassName", json!("")),
            ("attributes", "/spec/volumeAttributesClassName", json!("gold")),
            ("more", "/spec/resources/requests/storage", json!("1073741825")),
            ("bound at birth", "/metadata/annotations", json!({"pv.kubernetes.io/bind-completed": "yes"})),
            ("finalizer", "/metadata/finalizers", json!(["kubernetes.io/pvc-protection", "x.example/y"])),
        ],
    );
    refused_each(
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {a: b}}",
        vec![
            ("empty key", "/data/x", json!("")),
            ("null key", "/data", json!({"a": "b", "x": null})),
            ("bytes", "/binaryData", json!({"x": ""})),
            ("status", "/status", json!({"x": 1})),
            ("immutable", "/immutable", json!(false)),
        ],
    );
    refused_each(
        "{apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: {a: b}}",
        vec![
            ("empty key", "/data/x", json!("")),
            ("type", "/type", json!("kubernetes.io/tls")),
            ("immutable", "/immutable", json!(true)),
        ],
    );
    refused_each(
        "{apiVersion: batch/v1, kind: Job, metadata: {name: j}, spec: {template: {spec: {restartPolicy: Never, containers: [{name: m, image: 'r/x:1'}]}}}}",
        vec![
            ("manual selector", "/spec/manualSelector", json!(true)),
            ("selector", "/spec/selector", json!({"matchLabels": {"app": "other"}})),
            (
                "controller label",
                "/spec/template/metadata/labels",
                json!({"batch.kubernetes.io/controller-uid": "u-2"}),
            ),
            ("name label", "/spec/template/metadata/labels", json!({"job-name": "other"})),
            ("empty label", "/spec/template/metadata/labels", json!({"x": ""})),
            ("suspended", "/spec/suspend", json!(true)),
            ("lifetime", "/spec/ttlSecondsAfterFinished", json!(0)),
            ("managed by", "/spec/managedBy", json!("x.example/y")),
            ("node", "/spec/template/spec/nodeName", json!("n")),
            ("priority of a pod template", "/spec/template/spec/priority", json!(0)),
            (
                "tolerations of a pod template",
                "/spec/template/spec/tolerations",
                json!([{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}]),
            ),
            ("account by its old name", "/spec/template/spec/serviceAccount", json!("admin")),
            ("account of a pod template", "/spec/template/spec/serviceAccountName", json!("default")),
            ("status of the pod template", "/spec/template/status", json!({})),
        ],
    );
    refused_each(
        "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: net}, spec: {podSelector: {matchLabels: {app: a}}, ingress: [{from: [{podSelector: {matchLabels: {app: b}}}]}]}}",
        vec![
            ("everything", "/spec/podSelector", json!({})),
            ("everyone", "/spec/ingress/0/from/0/podSelector", json!({})),
            ("all of them", "/spec/ingress/0/from", json!([])),
            ("another rule", "/spec/ingress/-", json!({})),
            ("every namespace", "/spec/ingress/0/from/0/namespaceSelector", json!({})),
            ("types", "/spec/policyTypes", json!(["Egress", "Ingress"])),
        ],
    );
}

#[test]
fn threat_23_nothing_is_added_to_a_custom_resource_that_keeps_what_it_does_not_know() {
    let manifest = "{apiVersion: example.com/v1, kind: Widget, metadata: {name: w}, spec: {size: 1}}";
    let crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "properties": {"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }}}]},
    });
    let set = set("", manifest);
    let mut admitted = Vec::new();
    for described in [false, true] {
        let mut facts = facts();
        if described {
            assert!(facts.apply(&crd));
        }
        for form in FORMS {
            let object = shown(&value(manifest), form, &facts);
            assert!(matches!(recognised(first(&set), &object, form, &facts), Recognition::Match(_)), "{form:?}");
            for added in [json!(""), json!(0), json!(false), json!({}), json!([]), json!("x"), json!({"a": null})] {
                for pointer in ["/spec/x", "/x", "/status", "/metadata/labels", "/metadata/x"] {
                    let mut attack = object.clone();
                    change(&mut attack, pointer, added.clone());
                    // The API server takes no labels that are no map.
                    if pointer == "/metadata/labels" && added != json!({"a": null}) {
                        continue;
                    }
                    if matches!(recognised(first(&set), &attack, form, &facts), Recognition::Match(_)) {
                        admitted.push(format!("{form:?} described {described}: {pointer} = {added}"));
                    }
                }
            }
            let mut attack = object.clone();
            attack["spec"]["x"] = Value::Null;
            if matches!(recognised(first(&set), &attack, form, &facts), Recognition::Match(_)) {
                admitted.push(format!("{form:?} described {described}: /spec/x = null"));
            }
        }
    }
    assert!(admitted.is_empty(), "admitted:\n{}", admitted.join("\n"));
}
