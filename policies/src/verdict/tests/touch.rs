//! Changing, renewing, deleting, evicting, scaling, and the other subresources.

use super::*;

fn update(phase: Phase, old: &Value, new: &Value) -> Request {
    request(Operation::Update, phase, Some(new.clone()), Some(old.clone()))
}

fn with(object: &Value, pointer: &str, value: Value) -> Value {
    let mut object = object.clone();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    object.pointer_mut(parent).unwrap()[key.replace("~1", "/")] = value;
    object
}

fn both(old: &Value, new: &Value, check: impl Fn(&Request)) {
    for phase in [Phase::Mutating, Phase::Validating] {
        check(&update(phase, old, new));
    }
}

const EXPIRES: &str = "/metadata/labels/fledged.io~1expires-at";

#[test]
fn no_change_is_allowed_even_on_a_strangers_object() {
    let stored = stored(&situation());
    let newer = with(&stored, "/metadata/resourceVersion", "101".into());
    both(&stored, &newer, |request| assert_eq!(admitted(request, &situation()).ground, Ground::Unchanged));
    let stranger = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "trading"}});
    both(&stranger, &stranger, |request| assert_eq!(admitted(request, &situation()).ground, Ground::Unchanged));
}

#[test]
fn a_strangers_object_is_not_changed() {
    let stored = stored(&situation());
    let changed = with(&stored, "/spec/parallelism", 3.into());
    let mut other = situation();
    other.caller.as_mut().unwrap().chain[1].name = "another".into();
    both(&stored, &changed, |request| {
        refused(request, &other, Cause::Foreign, &["it was launched by trading/eod"]);
    });
    let plain = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "trading"}});
    let touched = with(&plain, "/data", json!({"a": "b"}));
    both(&plain, &touched, |request| {
        refused(request, &situation(), Cause::Foreign, &["carries no stamp"]);
    });
}

#[test]
fn a_workload_that_was_recreated_still_owns_its_dependents() {
    let stored = stored(&situation());
    let mut reborn = situation();
    reborn.caller.as_mut().unwrap().chain[1].uid = "d-2".into();
    admitted(
        &request(Operation::Delete, Phase::Validating, None, Some(stored.clone())).with_policy("Background"),
        &reborn,
    );
}

#[test]
fn a_change_within_the_template_is_recorded_again() {
    let stored = stored(&situation());
    let changed = with(&stored, "/spec/parallelism", 3.into());
    let admission = admitted(&update(Phase::Mutating, &stored, &changed), &situation());
    assert_eq!(admission.ground, Ground::Update);
    let recorded = patched(&changed, &admission);
    let text = recorded["metadata"]["annotations"]["fledged.io/admission"].as_str().unwrap();
    assert!(text.contains("\"workers\":3"), "{text}");
    admitted(&update(Phase::Validating, &stored, &recorded), &situation());
    refused(&update(Phase::Validating, &stored, &changed), &situation(), Cause::Stamp, &["admission record"]);
}

#[test]
fn a_change_beyond_the_template_is_refused() {
    let stored = stored(&situation());
    for (pointer, value) in [
        ("/spec/parallelism", json!(9)),
        ("/spec/template/spec/containers/0/image", json!("evil:1")),
        ("/metadata/labels/team", json!("x")),
    ] {
        both(&stored, &with(&stored, pointer, value.clone()), |request| {
            refused(request, &situation(), Cause::Template, &["does not admit this change"]);
        });
    }
}

#[test]
fn a_withdrawn_template_admits_no_change() {
    let stored = stored(&situation());
    let changed = with(&stored, "/spec/parallelism", 3.into());
    let mut withdrawn = situation();
    withdrawn.library = Arc::default();
    both(&stored, &changed, |request| {
        refused(request, &withdrawn, Cause::Consent, &["is withdrawn"]);
    });
    let mut library = Library::default();
    let since = "2026-11-20T10:00:00Z".parse().unwrap();
    let name = NamespacedName::new("trading", "post-trade");
    library.compiling.insert(name.into(), Compiling { since, slow: false });
    withdrawn.library = Arc::new(library);
    both(&stored, &changed, |request| {
        refused(request, &withdrawn, Cause::Compiling, &["is still being compiled"]);
    });
}

#[test]
fn the_stamp_owners_and_finalizers_stay() {
    let stored = stored(&situation());
    for (pointer, value, cause) in [
        ("/metadata/labels/fledged.io~1master", json!("trading.other"), Cause::Stamp),
        ("/metadata/labels/fledged.io~1template", Value::Null, Cause::Stamp),
        ("/metadata/annotations/fledged.io~1admission", Value::Null, Cause::Stamp),
        ("/metadata/annotations/fledged.io~1duration", json!("9d"), Cause::Stamp),
        ("/metadata/ownerReferences", json!([]), Cause::Owner),
        ("/metadata/finalizers", json!(["a.b/c"]), Cause::Owner),
    ] {
        both(&stored, &with(&stored, pointer, value.clone()), |request| {
            refused(request, &situation(), cause, &[]);
        });
    }
}

#[test]
fn a_deadline_moves_within_creation_plus_cap_and_no_further() {
    let stored = with(&stored(&situation()), EXPIRES, "2026-11-20T150000Z".into());
    both(&stored, &with(&stored, EXPIRES, "2026-11-20T153000Z".into()), |request| {
        let admission = admitted(request, &situation());
        assert_eq!(admission.ground, Ground::Renewal);
        assert_eq!(admission.subject.deadline, Some("2026-11-20T15:30:00Z".parse().unwrap()));
    });
    for value in [json!("2026-11-20T153001Z"), json!("2099-01-01T000000Z"), json!("soon"), Value::Null] {
        both(&stored, &with(&stored, EXPIRES, value.clone()), |request| {
            refused(request, &situation(), Cause::Deadline, &["expires-at"]);
        });
    }
    let mut short_lived = situation();
    short_lived.caller.as_mut().unwrap().deadline = Some("2026-11-20T15:10:00Z".parse().unwrap());
    both(&stored, &with(&stored, EXPIRES, "2026-11-20T152000Z".into()), |request| {
        refused(request, &short_lived, Cause::Deadline, &["2026-11-20T151000Z"]);
    });
}

#[test]
fn its_own_dependents_and_what_they_own_may_be_deleted() {
    let stored = stored(&situation());
    let delete = |object: &Value| {
        request(Operation::Delete, Phase::Mutating, None, Some(object.clone())).with_policy("Background")
    };
    admitted(&delete(&stored), &situation());
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "post-trade-x", "namespace": "trading"}});
    refused(&delete(&pod), &situation(), Cause::Foreign, &["carries no stamp"]);
    let mut owned = situation();
    owned.lineage = vec![stored];
    admitted(&delete(&pod), &owned);
}

#[test]
fn orphaning_is_refused() {
    let stored = stored(&situation());
    let delete = request(Operation::Delete, Phase::Mutating, None, Some(stored));
    refused(&delete, &situation(), Cause::Orphan, &["propagationPolicy=Background"]);
    refused(&delete.clone().with_policy("Orphan"), &situation(), Cause::Orphan, &["propagationPolicy=Background"]);
    let mut flagged = delete.clone();
    flagged.options = Some(json!({"orphanDependents": true}));
    refused(&flagged, &situation(), Cause::Orphan, &[]);
    admitted(&delete.with_policy("Foreground"), &situation());
}

#[test]
fn subresources_are_refused_unless_allowed() {
    let stored = stored(&situation());
    let mut asked = situation();
    asked.asked = Asked::Found(Box::new(stored.clone()));
    let using = |resource: &str, subresource: &str, operation: Operation| {
        let mut request = request(operation, Phase::Validating, Some(stored.clone()), None);
        request.resource = Gvr { group: String::new(), version: "v1".into(), resource: resource.into() };
        request.subresource = Some(subresource.into());
        request
    };
    admitted(&using("pods", "exec", Operation::Connect), &asked);
    refused(
        &using("pods", "attach", Operation::Connect),
        &asked,
        Cause::Subresource,
        &["fledged.io/allow: pods/attach"],
    );
    for never in NEVER_ALLOWED {
        let (resource, subresource) = never.split_once('/').unwrap();
        refused(
            &using(resource, subresource, Operation::Update),
            &asked,
            Cause::Subresource,
            &["no template can allow it"],
        );
    }
    let mut foreign = situation();
    foreign.asked = Asked::Found(Box::new(json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "namespace": "trading"},
    })));
    refused(&using("pods", "exec", Operation::Connect), &foreign, Cause::Foreign, &[]);
    let mut failed = situation();
    failed.asked = Asked::Failed("timed out".into());
    refused(&using("pods", "exec", Operation::Connect), &failed, Cause::Lookup, &["timed out"]);
}

const NEVER_ALLOWED: [&str; 4] = ["pods/status", "pods/binding", "pods/ephemeralcontainers", "serviceaccounts/token"];

#[test]
fn an_eviction_is_tied_to_the_living_pod() {
    let mut situation = situation();
    let mut pod =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "w", "namespace": "trading", "uid": "w-1"}});
    situation.asked = Asked::Found(Box::new(pod.clone()));
    let eviction = |options: Value| {
        let object = json!({
            "apiVersion": "policy/v1", "kind": "Eviction",
            "metadata": {"name": "w", "namespace": "trading"}, "deleteOptions": options,
        });
        let mut request = request(Operation::Create, Phase::Mutating, Some(object), None);
        request.resource = Gvr { group: String::new(), version: "v1".into(), resource: "pods".into() };
        request.subresource = Some("eviction".into());
        request
    };
    refused(&eviction(Value::Null), &situation, Cause::Foreign, &[]);
    let owner = stored(&self::situation());
    situation.lineage = vec![owner];
    let admission = admitted(&eviction(Value::Null), &situation);
    let tied = patched(eviction(Value::Null).object.as_ref().unwrap(), &admission);
    assert_eq!(tied["deleteOptions"]["preconditions"]["uid"], "w-1");
    let mut validating = eviction(tied["deleteOptions"].clone());
    validating.phase = Phase::Validating;
    admitted(&validating, &situation);
    validating.object.as_mut().unwrap()["deleteOptions"] = Value::Null;
    refused(&validating, &situation, Cause::Stamp, &[]);
    refused(&eviction(json!({"preconditions": {"uid": "w-2"}})), &situation, Cause::Foreign, &["another pod"]);
    pod["metadata"]["uid"] = "w-2".into();
}

#[test]
fn scale_is_judged_against_the_templates_replicas() {
    let mut web = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "trading"},
        "spec": {
            "replicas": 2, "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "main", "image": "registry.example/web:2"}]},
            },
        },
    });
    tables::complete(&kind(&web), &mut web, &Facts::default());
    let admission = admitted(&request(Operation::Create, Phase::Mutating, Some(web.clone()), None), &situation());
    let mut situation = situation();
    situation.asked = Asked::Found(Box::new(patched(&web, &admission)));
    let scale = |replicas: i64| {
        let object = json!({
            "apiVersion": "autoscaling/v1", "kind": "Scale",
            "metadata": {"name": "web", "namespace": "trading"}, "spec": {"replicas": replicas},
        });
        let mut request = request(Operation::Update, Phase::Validating, Some(object), None);
        request.resource = Gvr { group: "apps".into(), version: "v1".into(), resource: "deployments".into() };
        request.subresource = Some("scale".into());
        request
    };
    admitted(&scale(4), &situation);
    refused(&scale(5), &situation, Cause::Template, &["spec.replicas"]);
}

trait Policy {
    fn with_policy(self, policy: &str) -> Self;
}

impl Policy for Request {
    fn with_policy(mut self, policy: &str) -> Self {
        self.options =
            Some(json!({"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1", "propagationPolicy": policy}));
        self
    }
}
