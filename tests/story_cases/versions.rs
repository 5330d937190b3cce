//! A kind served in several versions, whatever version a master speaks; maps that a hole stands for; objects that are
//! large, deep or of a shape that nobody told retinue of.

use controlplane::Reply;
use serde_json::json;
use story::Master;

use crate::house::{Cases, Way, master, may, object, record, retemplate, send, shared, stored, until, with};

/// A custom kind in two versions with the same fields, stored as the second.
fn two_versions(group: &str) -> String {
    let any = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let schema = json!({"openAPIV3Schema": {"type": "object", "properties": {"spec": any}}});
    let version =
        |name: &str, storage: bool| json!({"name": name, "served": true, "storage": storage, "schema": schema});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("gauges.{group}")},
        "spec": {"group": group, "scope": "Namespaced", "names": {"kind": "Gauge", "plural": "gauges"},
                 "versions": [version("v1beta1", false), version("v1", true)]},
    })
    .to_string()
}

/// What is stored, through every version, has a stamp; and it is there or not.
fn look(cases: &mut Cases, case: &str, paths: &[String], there: bool) {
    for path in paths {
        let found = stored(shared(), path);
        cases.holds(case, found.is_some() == there, format!("{path}: {found:?}"));
        if let Some(found) = found {
            cases.holds(case, record(&found)["template"].is_object(), format!("no stamp in etcd: {found}"));
        }
    }
}

#[test]
fn threat_17_no_version_of_a_kind_goes_round_its_template() {
    let master = master("versions");
    let mut cases = Cases::default();
    for kind in ["mutating", "validating"] {
        let path = format!("/apis/admissionregistration.k8s.io/v1/{kind}webhookconfigurations/retinue");
        let webhook = &stored(shared(), &path).unwrap()["webhooks"][0];
        cases.holds(kind, webhook["matchPolicy"] == "Equivalent", &webhook["matchPolicy"]);
        cases.holds(kind, webhook["rules"][0]["apiVersions"] == json!(["*"]), &webhook["rules"]);
    }
    let group = "versions.story.example";
    shared().cluster.apply(&two_versions(group)).unwrap();
    may(&master, "versions", &[group, "autoscaling"]);
    let gauge = |version: &str, name: &str, size: u32| json!({"apiVersion": format!("{group}/{version}"), "kind": "Gauge", "metadata": {"name": name}, "spec": {"size": size}});
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
    let cpu = json!([{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}}]);
    let v2 = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"},
        "spec": {"maxReplicas": 3, "scaleTargetRef": target, "metrics": cpu}});
    let v1 = json!({"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"},
        "spec": {"maxReplicas": 3, "scaleTargetRef": target, "targetCPUUtilizationPercentage": 70}});
    let data = json!({"gauge.yaml": gauge("v1", "g", 1).to_string(), "scaler.yaml": v2.to_string()});
    retemplate(&master, &json!({}), &data, &gauge("v1", "g", 1));

    let gauges: Vec<String> =
        ["v1", "v1beta1"].iter().map(|version| master.group(&format!("{group}/{version}"), "gauges/g")).collect();
    let scalers: Vec<String> = ["v1", "v2"]
        .iter()
        .map(|version| master.group(&format!("autoscaling/{version}"), "horizontalpodautoscalers/web"))
        .collect();
    // Sent in the version that no template speaks: whatever it says, it does not pass unseen.
    for way in [Way::Post, Way::Apply, Way::LastApplied] {
        for size in [1, 2] {
            let reply = send(&master, way, &gauge("v1beta1", "g", size), "");
            cases.refused(&format!("v1beta1, size {size}, {way:?}"), &reply, &["Gauge"]);
        }
        look(&mut cases, "refused in v1beta1", &gauges, false);
        cases.refused(&format!("HPA v1, {way:?}"), &send(&master, way, &v1, ""), &["HorizontalPodAutoscaler"]);
        cases.refused(
            &format!("HPA v1 beyond, {way:?}"),
            &send(&master, way, &with(&v1, "/spec/maxReplicas", json!(900)), ""),
            &["HorizontalPodAutoscaler"],
        );
        look(&mut cases, "refused in v1", &scalers, false);
    }
    cases.refused("v1 beyond", &send(&master, Way::Post, &gauge("v1", "g", 2), ""), &["spec.size"]);
    cases.admitted("v1", &send(&master, Way::Post, &gauge("v1", "g", 1), ""));
    cases.admitted("HPA v2", &send(&master, Way::Post, &v2, ""));
    look(&mut cases, "admitted", &gauges, true);
    look(&mut cases, "admitted", &scalers, true);
    // What is stored is changed through either version, and no further than the template goes.
    for path in &gauges {
        let reply = master.api.merge(path, &json!({"spec": {"size": 9}})).unwrap();
        cases.refused_by("retinue", path, &reply, &[]);
        let reply = master.api.merge(path, &json!({"metadata": {"labels": {"fledged.io/master": null}}})).unwrap();
        cases.refused_by("retinue", path, &reply, &[]);
    }
    for path in &scalers {
        let reply = master.api.merge(path, &json!({"spec": {"maxReplicas": 900}})).unwrap();
        cases.refused_by("retinue", path, &reply, &[]);
    }
    let size = stored(shared(), &gauges[0]).unwrap()["spec"]["size"].clone();
    cases.holds("unchanged", size == 1, size);
    let most = stored(shared(), &scalers[1]).unwrap()["spec"]["maxReplicas"].clone();
    cases.holds("unchanged", most == 3, most);
    // A stranger's is no easier to delete through another version.
    let made =
        shared().cluster.asker().post(&master.group(&format!("{group}/v1"), "gauges"), &gauge("v1", "theirs", 1));
    assert!(made.unwrap().success());
    for version in ["v1", "v1beta1"] {
        let path = master.group(&format!("{group}/{version}"), "gauges/theirs");
        cases.refused(&path, &master.api.delete(&path, None).unwrap(), &["no stamp"]);
    }
    cases.admitted("its own, through the other version", &master.api.delete(&gauges[1], None).unwrap());
    cases.finish();
}

#[test]
fn threats_30_and_49_a_hole_for_a_map_takes_odd_keys_and_none_of_retinues_own() {
    let master = master("maps");
    let data = json!({
        "parameters": "labels: {type: object, optional: true, additionalProperties: {type: string}}\n\
                       notes: {type: object, optional: true, additionalProperties: {type: string}}\n\
                       name: {type: string, pattern: '[a-z]{1,9}'}\n\
                       kind: {type: string, pattern: '[a-zA-Z/.-]{1,60}'}\n",
        "map.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: map-${name}\n  labels: ${labels}\n  annotations: ${notes}\n",
        "secret.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: 'secret-${name}'}\n",
    });
    let map =
        |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("map-{name}")}});
    retemplate(&master, &json!({}), &data, &map("probe"));
    let mut cases = Cases::default();
    // A JSON pointer escapes the slash; the API server takes no tilde in a key.
    let odd = json!({"a.b/c": "x", "d_e": "", "f.g.h/i-j": "y"});
    for (name, metadata) in [
        ("none", json!({})),
        ("null", json!({"labels": null, "annotations": null})),
        ("empty", json!({"labels": {}, "annotations": {}})),
        ("labels", json!({"labels": odd})),
        ("notes", json!({"annotations": odd})),
        ("both", json!({"labels": odd, "annotations": odd})),
    ] {
        let mut sent = map(name);
        for (key, value) in metadata.as_object().unwrap() {
            sent["metadata"][key] = value.clone();
        }
        cases.admitted(name, &send(&master, Way::Post, &sent, ""));
        let there = stored(shared(), &master.core(&format!("configmaps/map-{name}"))).unwrap();
        for field in ["labels", "annotations"] {
            let mut kept = there["metadata"][field].clone();
            kept.as_object_mut().unwrap().retain(|key, _| !key.starts_with("fledged.io/"));
            let expected = metadata.get(field).filter(|map| !map.is_null()).cloned().unwrap_or(json!({}));
            cases.holds(name, kept == expected, format!("{field}: {kept}"));
        }
        cases.holds(name, record(&there)["object"]["name"] == format!("map-{name}"), record(&there));
    }
    for (what, pointer, value) in [
        ("a template", "/metadata/labels/fledged.io~1templates", json!("true")),
        ("who may", "/metadata/annotations/fledged.io~1masters", json!("eod")),
        ("an unknown key of ours", "/metadata/labels/fledged.io~1x", json!("y")),
        ("a deadline", "/metadata/annotations/fledged.io~1duration", json!("9h")),
        ("another collector", "/metadata/annotations/janitor~1ttl", json!("1s")),
        ("a finalizer", "/metadata/finalizers", json!(["example.com/stay"])),
    ] {
        for way in [Way::Post, Way::Apply] {
            let reply = send(&master, way, &with(&map("bad"), pointer, value.clone()), "");
            cases.refused(&format!("threat 49: {what} by {way:?}"), &reply, &[]);
        }
        cases.holds(what, stored(shared(), &master.core("configmaps/map-bad")).is_none(), "it is there");
    }
    let typed = json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
        "metadata": {"name": "secret-a", "annotations": {"kubernetes.io/service-account.name": "default"}}});
    cases.refused("threat 49: a Secret's type", &send(&master, Way::Post, &typed, ""), &["type"]);
    cases.finish();
}

/// An object nested this deep.
fn deep(levels: usize) -> String {
    format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels))
}

#[test]
fn threats_28_and_29_what_is_large_or_deep_is_refused_and_the_next_is_answered() {
    let master = master("large");
    let group = "large.story.example";
    shared().cluster.apply(&two_versions(group)).unwrap();
    may(&master, "large", &[group]);
    let gauge =
        json!({"apiVersion": format!("{group}/v1"), "kind": "Gauge", "metadata": {"name": "g"}, "spec": {"size": 1}});
    retemplate(&master, &json!({}), &json!({"gauge.yaml": gauge.to_string()}), &gauge);
    let mut cases = Cases::default();
    let report = object(&story::manifests::report("large", "10m"));
    // Six times as long once the API server has escaped it.
    let large = with(&report, "/data/level", json!("<".repeat(900_000)));
    cases.refused("900 KB of <", &send(&master, Way::Post, &large, ""), &["data.level"]);
    for levels in [100, 200, 2_000, 9_000] {
        let reply = deep_create(&master, group, levels);
        // The API server gives up at some depth by itself.
        let refused = !reply.success() && (reply.code != 500 || reply.message().contains("retinue"));
        cases.holds(&format!("{levels} deep"), refused, format!("{} {}", reply.code, reply.message()));
    }
    look(&mut cases, "deep", &[master.group(&format!("{group}/v1"), "gauges/g")], false);
    cases.admitted("the next", &send(&master, Way::Post, &report, ""));
    cases.admitted("the next", &send(&master, Way::Post, &gauge, ""));
    cases.finish();
}

fn deep_create(master: &Master, group: &str, levels: usize) -> Reply {
    let text = format!(
        "{{\"apiVersion\":\"{group}/v1\",\"kind\":\"Gauge\",\"metadata\":{{\"name\":\"g\"}},\"spec\":{{\"size\":1,\"more\":{}}}}}",
        deep(levels)
    );
    let path = master.group(&format!("{group}/v1"), "gauges");
    until("an answer", || master.api.send_text("POST", &path, "application/json", &text).ok())
}
