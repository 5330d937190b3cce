#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "tests")]
use super::*;

fn shape(api_version: &str, kind: &str, path: &str) -> Shape<'static> {
    static FACTS: LazyLock<Facts> = LazyLock::new(Facts::default);
    path.split('/').fold(shape_of(&Gvk::from_api_version(api_version, kind), &FACTS), |shape, step| match step {
        "*" => shape.element(),
        name => shape.field(name),
    })
}

#[test]
fn every_line_of_the_table_is_understood() {
    let built_in = built_in();
    let is_kind = |line: &&str| line.split(' ').count() == 7;
    let fields = SHAPES.lines().skip(1).filter(|line| header(line).is_none() && !is_kind(line));
    assert_eq!(fields.count(), built_in.types.iter().map(|found| found.fields.len()).sum::<usize>());
    let kinds: Vec<_> = built_in.kinds.values().flatten().collect();
    assert_eq!(SHAPES.lines().skip(1).filter(is_kind).count(), kinds.len());
    for (kind, found) in kinds {
        assert_eq!(found.root.is_some(), found.scope == Scope::Namespaced, "{kind}");
    }
}

#[test]
fn lists_have_the_keys_that_kubernetes_merges_by() {
    let pod = |path: &str| shape("v1", "Pod", path);
    let keys = |shape: Shape<'static>| match shape.list() {
        ListKind::Keyed(keys) => keys.join(","),
        ListKind::Set => "set".into(),
        ListKind::Positional => String::new(),
    };
    let cases = [
        ("spec/containers", "name"),
        ("spec/initContainers", ""),
        ("spec/ephemeralContainers", "name"),
        ("spec/containers/*/env", "name"),
        ("spec/containers/*/command", ""),
        ("spec/containers/*/args", ""),
        ("spec/containers/*/ports", "containerPort,protocol"),
        ("spec/containers/*/volumeMounts", "mountPath"),
        ("spec/containers/*/envFrom", ""),
        ("spec/volumes", "name"),
        ("spec/tolerations", ""),
        ("spec/imagePullSecrets", "name"),
        ("metadata/finalizers", "set"),
        ("metadata/ownerReferences", "uid"),
    ];
    for (path, expected) in cases {
        assert_eq!(keys(pod(path)), expected, "{path}");
    }
    assert_eq!(keys(shape("v1", "Service", "spec/ports")), "port,protocol");
}

#[test]
fn scalars_are_what_kubernetes_reads() {
    let cases = [
        ("v1", "Pod", "spec/containers/*/resources/limits/cpu", Scalar::MilliQuantity),
        ("v1", "Pod", "spec/volumes/*/emptyDir/sizeLimit", Scalar::Quantity),
        ("v1", "Pod", "spec/containers/*/livenessProbe/httpGet/port", Scalar::IntOrString),
        ("v1", "Pod", "spec/hostNetwork", Scalar::Boolean),
        ("v1", "Secret", "data/token", Scalar::Bytes),
        ("v1", "ConfigMap", "data/text", Scalar::Text),
        ("coordination.k8s.io/v1", "Lease", "spec/renewTime", Scalar::MicroTime),
        ("apps/v1", "Deployment", "spec/replicas", Scalar::Integer),
        ("example.com/v1", "Unknown", "spec/replicas", Scalar::Plain),
    ];
    for (api_version, kind, path, expected) in cases {
        assert_eq!(shape(api_version, kind, path).scalar(), expected, "{kind} {path}");
    }
}

#[test]
fn absent_and_empty_are_told_apart_where_the_server_does() {
    let cases = [
        ("v1", "Pod", "spec/volumes/*/emptyDir", None),
        ("v1", "Pod", "spec/securityContext", None),
        ("v1", "Pod", "spec/containers/*/resources", Some(serde_json::json!({}))),
        ("v1", "Pod", "spec/containers/*/stdin", Some(serde_json::json!(false))),
        ("v1", "Pod", "spec/enableServiceLinks", None),
        ("apps/v1", "Deployment", "spec/minReadySeconds", Some(serde_json::json!(0))),
        ("apps/v1", "Deployment", "spec/replicas", None),
        ("networking.k8s.io/v1", "NetworkPolicy", "spec/podSelector", Some(serde_json::json!({}))),
        ("networking.k8s.io/v1", "NetworkPolicy", "spec/ingress/*/from/*/podSelector", None),
    ];
    for (api_version, kind, path, expected) in cases {
        assert_eq!(shape(api_version, kind, path).zero(), expected, "{kind} {path}");
    }
}

#[test]
fn env_is_known_wherever_containers_are() {
    assert!(shape("v1", "Pod", "spec/containers/*/env").is_env());
    assert!(shape("batch/v1", "CronJob", "spec/jobTemplate/spec/template/spec/initContainers/*/env").is_env());
    assert!(!shape("v1", "Pod", "spec/containers").is_env());
}
