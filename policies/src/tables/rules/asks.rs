//! Whether a rule would change nothing, without doing it. Each may say no where the rule would find nothing to do: then
//! the object is completed for nothing.

use serde_json::Value;

use super::{CONTAINERS, Object, object};

fn containers(pod: &Object) -> impl Iterator<Item = &Object> {
    let spec = object(pod, "spec");
    let lists = CONTAINERS.into_iter().filter_map(move |list| spec?.get(list)?.as_array());
    lists.flatten().filter_map(Value::as_object)
}

pub(super) fn pod_requests(pod: &Object) -> bool {
    let all_requested = |container: &Object| {
        let Some(resources) = object(container, "resources") else { return true };
        let Some(limits) = object(resources, "limits") else { return true };
        object(resources, "requests").is_some_and(|requests| limits.keys().all(|key| requests.contains_key(key)))
    };
    object(pod, "spec").is_none_or(|spec| !spec.contains_key("resources")) && containers(pod).all(all_requested)
}

pub(super) fn pod_host_ports(pod: &Object) -> bool {
    object(pod, "spec").is_none_or(|spec| spec.get("hostNetwork") != Some(&Value::Bool(true)))
}

pub(super) fn pod_grace(pod: &Object) -> bool {
    let seconds = object(pod, "spec").and_then(|spec| spec.get("terminationGracePeriodSeconds"));
    seconds.and_then(Value::as_f64).is_none_or(|seconds| seconds >= 0.0)
}

pub(super) fn service_links(pod: &Object) -> bool {
    let said = |spec: &Object| spec.get("enableServiceLinks").is_some_and(|said| !said.is_null());
    pod.contains_key("spec") && object(pod, "spec").is_none_or(said)
}

pub(super) fn account_alias(spec: &Object) -> bool {
    spec.get("serviceAccountName").is_none_or(|name| spec.get("serviceAccount") == Some(name))
}

pub(super) fn empty_dir(volume: &Object) -> bool {
    volume.iter().any(|(field, value)| field != "name" && !value.is_null())
}

pub(super) fn pull_policy(container: &Object) -> bool {
    container.contains_key("imagePullPolicy")
}

pub(super) fn string_data(secret: &Object) -> bool {
    !secret.contains_key("stringData")
}

pub(super) fn target_port(port: &Object) -> bool {
    port.get("targetPort").is_some_and(|target| target.as_str() != Some(""))
}

pub(super) fn job_counts(spec: &Object) -> bool {
    spec.contains_key("parallelism")
}

/// Whether there is something under a name: neither null nor an empty map.
fn says(parent: &Object, name: &str) -> bool {
    parent.get(name).is_some_and(|value| match value {
        Value::Null => false,
        Value::Object(entries) => !entries.is_empty(),
        _ => true,
    })
}

fn template_has_labels(of: &Object) -> bool {
    let template = object(of, "spec").and_then(|spec| object(spec, "template"));
    let labels = template.and_then(|template| object(template, "metadata")).and_then(|all| object(all, "labels"));
    labels.is_some_and(|labels| !labels.is_empty())
}

pub(super) fn labels_of_template(of: &Object) -> bool {
    !template_has_labels(of) || object(of, "metadata").is_some_and(|metadata| says(metadata, "labels"))
}

pub(super) fn controller_labels(controller: &Object) -> bool {
    labels_of_template(controller)
        && (!template_has_labels(controller) || object(controller, "spec").is_some_and(|spec| says(spec, "selector")))
}
