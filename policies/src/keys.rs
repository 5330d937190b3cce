//! Every label, annotation and RBAC word that retinue reads or writes, in one place.

/// The prefix of every key of ours. Only the webhook writes keys under it, save for the instructions below.
pub const PREFIX: &str = "fledged.io/";
/// RBAC group of `launch` and `author`, and of the custom resources.
pub const GROUP: &str = "fledged.io";
/// The verb on `dependents.fledged.io` that makes an account a master.
pub const LAUNCH: &str = "launch";
/// A verb that nobody is granted by name: who may use it holds a wildcard, and a wildcard makes no master.
pub const NO_VERB: &str = "retinue-no-such-verb";

// On template ConfigMaps.
/// Label `"true"` that makes a ConfigMap a template ConfigMap.
pub const TEMPLATES: &str = "fledged.io/templates";
/// Annotation: which ServiceAccounts may use it, `name` or `ns/name`, comma-separated.
pub const MASTERS: &str = "fledged.io/masters";
/// Annotation: on ConfigMaps the cap, on pods and manifests the wish; a duration.
pub const DURATION: &str = "fledged.io/duration";
/// Annotation: live dependents per master workload.
pub const MAX_DEPENDENTS: &str = "fledged.io/max-dependents";
/// Annotation: subresources that a master may use on its dependents.
pub const ALLOW: &str = "fledged.io/allow";
/// Annotation `"true"`: pods of dependents may run under a master's account.
pub const ALLOW_MASTERS: &str = "fledged.io/allow-masters";
/// Annotation: rows that the cluster adds by itself and that are accepted; a YAML list.
pub const ACCEPT: &str = "fledged.io/accept-defaults";
/// The `data` key that declares parameters.
pub const PARAMETERS_KEY: &str = "parameters";

// On the master's pod.
/// Annotation: the template ConfigMaps that the pod asks for, comma-separated, `ns/name` for a shared one.
pub const MANIFESTS: &str = "fledged.io/manifests";
/// Annotation: the Helm chart that the pod asks for.
pub const HELM_CHART: &str = "fledged.io/helm-chart";
/// Annotation: `manifests`, `helm-chart` and `duration` as one YAML map.
pub const ALL_IN_ONE: &str = "fledged.io";

// In a manifest's own metadata, instructions to retinue.
/// Annotation: `workload`, `pod` or `none`.
pub const OWNER: &str = "fledged.io/owner";
/// Annotation: how long a finished Job is kept; a duration.
pub const KEEP_FINISHED: &str = "fledged.io/keep-finished";
/// Annotation: how long before its deadline an Event on the object says so; a duration.
pub const NOTIFY_BEFORE: &str = "fledged.io/notify-before";
/// Annotation `"true"` of a Job or CronJob: the containers beside the essential one become native sidecars.
pub const NATIVE_SIDECARS: &str = "fledged.io/native-sidecars";
/// The annotations of a manifest that are instructions to retinue, not part of the object.
pub const INSTRUCTIONS: [&str; 5] = [DURATION, OWNER, KEEP_FINISHED, NOTIFY_BEFORE, NATIVE_SIDECARS];

// The stamp.
/// Label: the master, readable and label-safe.
pub const MASTER: &str = "fledged.io/master";
/// Label: the template, readable and label-safe.
pub const TEMPLATE: &str = "fledged.io/template";
/// Label: the deadline, `2026-11-20T153000Z`; absent: lives as long as its master.
pub const EXPIRES_AT: &str = "fledged.io/expires-at";
/// Annotation: the admission record, JSON.
pub const ADMISSION: &str = "fledged.io/admission";
/// The label keys of the stamp.
pub const STAMP_LABELS: [&str; 3] = [MASTER, TEMPLATE, EXPIRES_AT];

// On any pod.
/// Labels: the containers whose completion ends the pod, joined by `.`.
pub const ESSENTIAL: [&str; 2] = ["essential-containers", "essential-container"];
/// Annotation of a Job's pod that has succeeded and is to be stopped: when its essential container completed, and the
/// version of the pod that was seen. Another value each time, which makes its kubelet look.
pub const ESSENTIAL_COMPLETED: &str = "fledged.io/essential-completed";

/// `kubectl apply`'s annotation.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

// Of other collectors, as their documentation has them.
/// Annotation of kube-janitor: how long an object lives from its creation.
pub const JANITOR_TTL: &str = "janitor/ttl";
/// Annotation of kube-janitor: until when.
pub const JANITOR_EXPIRES: &str = "janitor/expires";
/// Label of Kyverno's cleanup controller: how long, or until when.
pub const KYVERNO_TTL: &str = "cleanup.kyverno.io/ttl";
/// Annotation of Kyverno's cleanup controller: what becomes of what the object owns.
pub const KYVERNO_PROPAGATION: &str = "cleanup.kyverno.io/propagation-policy";
/// Annotation of k8s-ttl-controller: how long an object lives from its creation, or from [`TWIN_REFRESHED_AT`].
pub const TWIN_TTL: &str = "k8s-ttl-controller.twin.sh/ttl";
/// Annotation of k8s-ttl-controller: from when on it counts.
pub const TWIN_REFRESHED_AT: &str = "k8s-ttl-controller.twin.sh/refreshed-at";

/// Prefixes of annotations and labels by which other collectors delete.
const COLLECTORS: [&str; 3] = ["janitor/", "cleanup.kyverno.io/", "k8s-ttl-controller.twin.sh/"];

/// Whether a key of a map of metadata (`labels`, `annotations`) is retinue's on an object, and no part of what a template
/// describes: a key of the stamp, or an instruction.
pub fn is_aside(map: &str, key: &str) -> bool {
    match map {
        "labels" => STAMP_LABELS.contains(&key),
        "annotations" => key == ADMISSION || INSTRUCTIONS.contains(&key),
        _ => false,
    }
}

/// Whether a label or annotation key steers retinue or another collector: no hole may bind one, or a master could
/// lengthen its dependents' lives, have them taken for templates, or have their pods ended for success.
pub fn is_reserved(key: &str) -> bool {
    key == ALL_IN_ONE
        || key.starts_with(PREFIX)
        || ESSENTIAL.contains(&key)
        || COLLECTORS.iter().any(|collector| key.starts_with(collector))
}
