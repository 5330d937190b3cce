//! What a master does not see of others, what retinue does not see of anybody, and when things end.

use base64::Engine as _;
use controlplane::Reply;
use jiff::Timestamp;
use policies::lifetime;
use serde_json::{Value, json};
use story::manifests;

use crate::house::{Cases, Way, master, object, record, retemplate, send, shared, stored, until, with};

/// What the webhook's account does in a cluster, whatever masters send (see `src/deploy/rbac.rs`).
fn lawful(verb: &str, resource: &str) -> bool {
    match verb {
        "get" | "list" | "watch" => !["secrets", "serviceaccounts/token"].contains(&resource),
        "create" | "patch" => {
            ["events", "subjectaccessreviews", "selfsubjectreviews", "selfsubjectaccessreviews"].contains(&resource)
        }
        _ => false,
    }
}

#[test]
fn threats_15_and_42_the_webhook_reads_no_secret_and_writes_none_anywhere() {
    let master = master("secrets");
    let cluster = &shared().cluster;
    let mut cases = Cases::default();
    let made = send(&master, Way::Post, &object(manifests::CREDENTIALS), "");
    cases.admitted("credentials", &made);
    let encoded = made.body["data"]["password"].as_str().unwrap().to_owned();
    let decoded = base64::engine::general_purpose::STANDARD.decode(&encoded).unwrap();
    let password = String::from_utf8(decoded).unwrap();
    cases.holds("it is generated", password.len() == 24, &password);
    let path = master.core("secrets/post-trade-db");
    let there = stored(shared(), &path).unwrap();
    cases.holds("it is stored", there["data"]["password"] == encoded.as_str(), &there);
    cases.holds("it is in the Secret alone", !there["metadata"].to_string().contains(&password), &there["metadata"]);
    // Refusals that concern it, by the master that knows it, and references that would lead the webhook elsewhere.
    let mine = with(&there, "/data/more", json!(encoded));
    cases.refused("a change", &master.api.put(&path, &mine).unwrap(), &["data"]);
    for (kind, api_version) in
        [("Secret", "v1"), ("ServiceAccount", "v1"), ("Node", "v1"), ("ClusterRole", "rbac.authorization.k8s.io/v1")]
    {
        let owner = json!([{"apiVersion": api_version, "kind": kind, "name": "post-trade-db", "uid": there["metadata"]["uid"]}]);
        let report = with(&object(&manifests::report("led", "10m")), "/metadata/ownerReferences", owner);
        let reply = send(&master, Way::Post, &report, "");
        // A Secret that is its own dependent may own; everything else is a stranger.
        if kind != "Secret" {
            cases.refused(kind, &reply, &["owner"]);
        }
        cases.holds(kind, !reply.message().contains(&password), reply.message());
    }
    // The Event of the last thing admitted comes after those of all before it.
    cases.admitted("the last", &send(&master, Way::Post, &object(&manifests::report("last", "10m")), ""));
    let events = until("its Event", || {
        let events = cluster.asker().get(&master.group("events.k8s.io/v1", "events")).unwrap().body;
        let text = events.to_string();
        (text.contains("DependentAdmitted") && text.contains("post-trade-db")).then_some(text)
    });
    let audit = std::fs::read_to_string(cluster.audit_log()).unwrap();
    for (place, text) in [("Events", events), ("logs", shared().logs()), ("the audit log", audit)] {
        cases.holds(place, text.contains("post-trade-db"), "it does not speak of the Secret at all");
        cases.holds(place, !text.contains(&password) && !text.contains(&encoded), "the password is in it");
    }
    let mut count = 0;
    for event in cluster.audit_events().unwrap() {
        if event["user"]["username"] == "system:serviceaccount:retinue:retinue-webhook" {
            count += 1;
            let verb = event["verb"].as_str().unwrap_or_default();
            let resource = event["objectRef"]["resource"].as_str().unwrap_or_default();
            cases.holds("threat 15", lawful(verb, resource), format!("{verb} {resource}: {}", event["requestURI"]));
        }
    }
    cases.holds("requests of the webhook", count > 10, count);
    cases.finish();
}

#[test]
fn threat_45_what_looks_as_if_a_plugin_had_added_it_needs_the_plugins_own_object() {
    let master = master("plugins");
    let worker = object(manifests::WORKER);
    let mut cases = Cases::default();
    let resources = json!({"limits": {"cpu": "1"}, "requests": {"cpu": "1"}});
    let limited = with(&worker, "/spec/containers/0/resources", resources);
    let note = "LimitRanger plugin set: cpu request for container main; cpu limit for container main";
    let forged = with(&limited, "/metadata/annotations/kubernetes.io~1limit-ranger", json!(note));
    let mount = json!([{"name": "kube-api-access-abcde", "readOnly": true,
                        "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}]);
    let sources = json!([
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}}]);
    let volume = json!([{"name": "kube-api-access-abcde", "projected": {"defaultMode": 420, "sources": sources}}]);
    let token = with(&with(&worker, "/spec/volumes", volume), "/spec/containers/0/volumeMounts", mount);
    let pull = with(&worker, "/spec/imagePullSecrets", json!([{"name": "another-team"}]));
    let path = master.core("pods");
    let bad = [("limits", &limited), ("forged limits", &forged), ("pull secrets", &pull)];
    for (what, pod) in bad {
        for query in ["", "?dryRun=All"] {
            cases.refused(what, &master.api.post(&format!("{path}{query}"), pod).unwrap(), &[]);
        }
    }
    // Where the account says that it wants no token, the very volume that would else be injected is refused.
    let account = master.core("serviceaccounts/default");
    let quiet = shared().cluster.asker().merge(&account, &json!({"automountServiceAccountToken": false})).unwrap();
    assert!(quiet.success(), "{}", quiet.message());
    until("the account is known to want no token", || {
        let reply = master.api.post(&format!("{path}?dryRun=All"), &token).unwrap();
        (!reply.success() && reply.message().contains("retinue")).then_some(())
    });
    cases.refused("a token by hand", &master.api.post(&path, &token).unwrap(), &["kube-api-access-abcde"]);
    let made = shared().cluster.asker().get(&master.core("pods?labelSelector=fledged.io/master")).unwrap();
    cases.holds("nothing is there", made.body["items"] == json!([]), &made.body["items"]);
    cases.admitted("the good one", &master.api.post(&path, &worker).unwrap());
    cases.finish();
}

#[test]
fn threat_10_what_is_on_its_way_out_is_still_judged() {
    let master = master("ending");
    let path = master.core("configmaps/report-held");
    let mut cases = Cases::default();
    cases.admitted("create", &send(&master, Way::Post, &object(&manifests::report("held", "10m")), ""));
    let admin = shared().cluster.asker();
    assert!(admin.merge(&path, &json!({"metadata": {"finalizers": ["story.example/hold"]}})).unwrap().success());
    cases.admitted("delete", &master.api.delete(&path, None).unwrap());
    let held = stored(shared(), &path).unwrap();
    cases.holds("it waits", held["metadata"]["deletionTimestamp"].is_string(), &held["metadata"]);
    for (what, patch, words) in [
        ("beyond", json!({"data": {"level": "trace"}}), &["data.level"][..]),
        ("more", json!({"data": {"more": "x"}}), &["data"]),
        ("its finalizer", json!({"metadata": {"finalizers": null}}), &["finalizers"]),
        ("its stamp", json!({"metadata": {"annotations": {"fledged.io/admission": null}}}), &["fledged.io/admission"]),
    ] {
        for query in ["", "?dryRun=All"] {
            cases.refused(what, &master.api.merge(&format!("{path}{query}"), &patch).unwrap(), words);
        }
    }
    let kept = stored(shared(), &path).unwrap();
    cases.holds("unchanged", kept["metadata"]["resourceVersion"] == held["metadata"]["resourceVersion"], &kept);
    assert!(admin.merge(&path, &json!({"metadata": {"finalizers": null}})).unwrap().success());
    cases.finish();
}

#[test]
fn threats_16_and_39_templates_are_not_a_masters_to_write_and_their_namespace_goes_away() {
    let master = master("authors");
    let mut cases = Cases::default();
    // Even where a template describes a ConfigMap of any shape.
    let data = json!({
        "parameters": "any: {type: object, additionalProperties: {type: string}}\nname: {type: string, pattern: '[a-z-]{1,20}'}\n",
        "any.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: \"${name}\"}\ndata: ${any}\n",
    });
    let any = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mine"}, "data": {"a": "b"}});
    retemplate(&master, &json!({}), &data, &any);
    let own = with(&any, "/metadata/labels/fledged.io~1templates", json!("true"));
    for way in [Way::Post, Way::Apply, Way::LastApplied] {
        cases.refused(&format!("a template by {way:?}"), &send(&master, way, &own, ""), &["fledged.io/templates"]);
    }
    cases.holds("a template", stored(shared(), &master.core("configmaps/mine")).is_none(), "it is there");
    cases.admitted("no template", &send(&master, Way::Post, &any, ""));
    let mine = master.core("configmaps/mine");
    let label = json!({"metadata": {"labels": {"fledged.io/templates": "true"}}});
    cases.refused("made one later", &master.api.merge(&mine, &label).unwrap(), &["fledged.io/templates"]);
    for name in ["post-trade", "credentials"] {
        let path = master.core(&format!("configmaps/{name}"));
        let before = stored(shared(), &path).unwrap();
        for (what, patch) in [
            ("its content", json!({"data": {"more.yaml": "x"}})),
            ("who may", json!({"metadata": {"annotations": {"fledged.io/masters": "everybody"}}})),
            ("its label", json!({"metadata": {"labels": {"fledged.io/templates": null}}})),
        ] {
            let reply = master.api.merge(&path, &patch).unwrap();
            cases.refused_by("retinue", &format!("{name}: {what}"), &reply, &[]);
        }
        cases.refused(name, &master.api.delete(&path, None).unwrap(), &["no stamp"]);
        cases.holds(name, stored(shared(), &path).unwrap() == before, "it has changed");
    }
    cases.admitted("a dependent", &send(&master, Way::Post, &object(&manifests::job("20261121")), ""));
    shared().cluster.kubectl(&["delete", "namespace", &master.namespace, "--timeout=60s"]).unwrap().ok().unwrap();
    cases.finish();
}

fn deadline(object: &Value) -> Option<Timestamp> {
    lifetime::read_label(object["metadata"]["labels"]["fledged.io/expires-at"].as_str()?).ok()
}

#[test]
fn threat_51_a_master_that_relaunches_itself_gains_no_time() {
    let master = master("again");
    let pod = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: \"again-${turn}\"\n  annotations:\n    fledged.io/manifests: credentials\n    \
               fledged.io/duration: \"${life}\"\nspec:\n  serviceAccountName: eod\n  containers: [{name: main, image: 'registry.example/eod:9'}]\n";
    let data = json!({
        "parameters": "turn: {type: string, pattern: '[0-9]'}\nlife: {type: string, format: duration, default: 1h}\n",
        "pod.yaml": pod,
        "note.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: note-${turn}\n  annotations: {fledged.io/duration: \"${life}\"}\n",
    });
    let note = |n: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("note-{n}"), "annotations": {"fledged.io/duration": "1h"}}});
    let again = |n: &str, life: &str| {
        json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": format!("again-{n}"),
                         "annotations": {"fledged.io/duration": life, "fledged.io/manifests": "credentials"}},
            "spec": {"serviceAccountName": "eod", "containers": [{"name": "main", "image": "registry.example/eod:9"}]}})
    };
    let annotations = json!({"fledged.io/duration": "1h", "fledged.io/allow-masters": "true"});
    retemplate(&master, &annotations, &data, &note("0"));
    let mut cases = Cases::default();
    let made = send(&master, Way::Post, &again("1", "10m"), "");
    cases.admitted("itself, once more", &made);
    let first = deadline(&made.body).unwrap();
    let child = shared().of_pod(&master.namespace, "again-1").unwrap();
    let next = until("the child's own child", || {
        Some(child.api.post(&child.core("pods"), &again("2", "1h")).unwrap()).filter(Reply::success)
    });
    let made = child.api.post(&child.core("configmaps"), &note("1")).unwrap();
    cases.admitted("a note", &made);
    for (what, made) in [("itself again", &next.body), ("a note", &made.body)] {
        let stored_deadline = deadline(made);
        cases.holds(what, stored_deadline.is_some_and(|at| at <= first), format!("{stored_deadline:?} after {first}"));
    }
    let grand = shared().of_pod(&master.namespace, "again-2").unwrap();
    let later = json!(lifetime::label(first + jiff::SignedDuration::from_secs(60)));
    let renew = json!({"metadata": {"labels": {"fledged.io/expires-at": later}}});
    for path in ["pods/again-1", "pods/again-2", "configmaps/note-1"] {
        for asking in [&child, &grand] {
            let reply = asking.api.merge(&asking.core(path), &renew).unwrap();
            cases.refused(path, &reply, &[]);
        }
        let kept = deadline(&stored(shared(), &master.core(path)).unwrap());
        cases.holds(path, kept.is_some_and(|at| at <= first), format!("{kept:?}"));
    }
    cases.finish();
}

#[test]
fn threat_46_a_child_of_what_outlives_the_master_ends_at_its_own_deadline() {
    let master = master("outlived");
    let claim = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata:\n  name: home\n  annotations: {fledged.io/duration: none}\n\
                 spec: {accessModes: [ReadWriteOnce], storageClassName: none, resources: {requests: {storage: 1Gi}}}\n";
    let data = json!({
        "parameters": "life: {type: string, format: duration}\n",
        "claim.yaml": claim,
        "child.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: child, annotations: {fledged.io/duration: \"${life}\"}}\n",
    });
    let mut sent = object(claim);
    sent["metadata"]["annotations"] = json!({"fledged.io/duration": "none"});
    retemplate(&master, &json!({"fledged.io/duration": "1h"}), &data, &sent);
    let mut cases = Cases::default();
    let home = send(&master, Way::Post, &sent, "");
    cases.admitted("what outlives its master", &home);
    cases.holds("no deadline", deadline(&home.body).is_none(), &home.body["metadata"]["labels"]);
    let owner = json!([{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": "home", "uid": home.body["metadata"]["uid"]}]);
    let child = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
        "name": "child", "annotations": {"fledged.io/duration": "4s"}, "ownerReferences": owner}});
    let made = send(&master, Way::Post, &child, "");
    cases.admitted("a child of it", &made);
    let owners = &made.body["metadata"]["ownerReferences"];
    cases.holds("its only owner", *owners == owner, owners);
    cases.holds("whose it is", record(&made.body)["workload"]["kind"] == "Deployment", record(&made.body));
    shared().cluster.kubectl(&["-n", &master.namespace, "delete", "deployment", "eod"]).unwrap().ok().unwrap();
    until("the child's end", || stored(shared(), &master.core("configmaps/child")).is_none().then_some(()));
    let home = stored(shared(), &master.core("persistentvolumeclaims/home"));
    cases.holds("what outlives its master", home.is_some(), "it is gone");
    cases.finish();
}
