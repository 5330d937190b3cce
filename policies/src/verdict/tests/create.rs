use super::*;
use crate::tables::Completeness;

fn create(phase: Phase, object: &Value) -> Request {
    request(Operation::Create, phase, Some(object.clone()), None)
}

#[test]
fn a_job_that_its_template_describes_is_stamped_and_then_admitted() {
    let situation = situation();
    let admission = admitted(&create(Phase::Mutating, &job()), &situation);
    let stamped = patched(&job(), &admission);
    let metadata = &stamped["metadata"];
    assert_eq!(metadata["labels"]["fledged.io/master"], "trading.eod");
    assert_eq!(metadata["labels"]["fledged.io/template"], "post-trade.job.yaml");
    assert_eq!(metadata["labels"]["fledged.io/expires-at"], "2026-11-20T153000Z");
    assert_eq!(
        metadata["ownerReferences"],
        json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": "eod", "uid": "d-1"}])
    );
    let record: Value =
        serde_json::from_str(metadata["annotations"]["fledged.io/admission"].as_str().unwrap()).unwrap();
    assert_eq!(record["parameters"], json!({"run": "20261120", "workers": 2}));
    assert_eq!(record["duration"], "3600s");
    assert_eq!(admission.audit["verdict"], "admitted");
    assert_eq!(admission.audit["template"], "trading/post-trade job.yaml");

    let last = admitted(&create(Phase::Validating, &stamped), &situation);
    assert_eq!(last.patch, None);
}

#[test]
fn stamping_is_idempotent() {
    let situation = situation();
    let once = patched(&job(), &admitted(&create(Phase::Mutating, &job()), &situation));
    let twice = patched(&once, &admitted(&create(Phase::Mutating, &once), &situation));
    assert_eq!(once, twice);
}

#[test]
fn what_the_template_does_not_say_is_refused_with_its_difference() {
    let cases: [(&str, &str, Value, &[&str]); 6] = [
        (
            "a second image",
            "/spec/template/spec/containers/0/image",
            "evil:1".into(),
            &["image", "registry.example/post-trade:1.4", "evil:1"],
        ),
        ("a wrong parameter", "/metadata/name", "post-trade-today".into(), &["metadata.name"]),
        ("too many workers", "/spec/parallelism", 9.into(), &["spec.parallelism", "got 9"]),
        (
            "privileged",
            "/spec/template/spec/containers/0/securityContext",
            json!({"privileged": true}),
            &["securityContext"],
        ),
        (
            "another volume",
            "/spec/template/spec/volumes",
            json!([{"name": "x", "hostPath": {"path": "/"}}]),
            &["volumes"],
        ),
        ("a finalizer", "/metadata/finalizers", json!(["a.b/c"]), &["finalizers"]),
    ];
    for (what, pointer, value, words) in cases {
        let mut object = job();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        object.pointer_mut(parent).unwrap()[key] = value;
        for phase in [Phase::Mutating, Phase::Validating] {
            let mut object = object.clone();
            if phase == Phase::Validating {
                let stamped = stored(&situation());
                object["metadata"]["labels"] = stamped["metadata"]["labels"].clone();
                object["metadata"]["annotations"] = stamped["metadata"]["annotations"].clone();
                object["metadata"]["ownerReferences"] = stamped["metadata"]["ownerReferences"].clone();
                if what == "a wrong parameter" {
                    continue; // there the stamp is another object's, see below
                }
            }
            let refusal = refused(&create(phase, &object), &situation(), Cause::Template, words);
            assert!(
                refusal.message.starts_with("retinue refuses to create Job trading/post-trade-"),
                "{what}: {}",
                refusal.message
            );
            assert!(refusal.message.contains("job.yaml of ConfigMap trading/post-trade"), "{what}");
        }
    }
}

#[test]
fn the_validating_phase_trusts_no_stamp() {
    let situation = situation();
    let stamped = patched(&job(), &admitted(&create(Phase::Mutating, &job()), &situation));
    refused(&create(Phase::Validating, &job()), &situation, Cause::Stamp, &["carries no stamp"]);
    let cases: [(&str, Value, Cause); 6] = [
        ("/metadata/labels/fledged.io~1master", "trading.other".into(), Cause::Stamp),
        ("/metadata/labels/fledged.io~1expires-at", "2026-11-20T163000Z".into(), Cause::Stamp),
        ("/metadata/labels/fledged.io~1expires-at", "later".into(), Cause::Stamp),
        ("/metadata/annotations/fledged.io~1admission", "{}".into(), Cause::Stamp),
        ("/metadata/ownerReferences", json!([]), Cause::Stamp),
        ("/metadata/ownerReferences/0/uid", "d-2".into(), Cause::Owner),
    ];
    for (pointer, value, cause) in cases {
        let mut object = stamped.clone();
        *object.pointer_mut(pointer).unwrap() = value;
        refused(&create(Phase::Validating, &object), &situation, cause, &[]);
    }
    let mut other = stamped.clone();
    other["metadata"]["name"] = "post-trade-20261121".into();
    refused(&create(Phase::Validating, &other), &situation, Cause::Stamp, &["copied"]);
    let mut endless = stamped;
    endless["metadata"]["labels"].as_object_mut().unwrap().remove("fledged.io/expires-at");
    refused(&create(Phase::Validating, &endless), &situation, Cause::Stamp, &["expires-at"]);
}

#[test]
fn a_template_that_changed_between_the_phases_is_a_conflict() {
    let mut situation = situation();
    let stamped = patched(&job(), &admitted(&create(Phase::Mutating, &job()), &situation));
    let changed = set(&TEMPLATES.replace("\"42\"", "\"43\""));
    situation.library = Arc::new(Library::from_iter([changed]));
    refused(&create(Phase::Validating, &stamped), &situation, Cause::Changed, &["changed while", "try again"]);
}

#[test]
fn generate_name_is_a_prefix_first_and_a_name_then() {
    let situation = situation();
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "notebook-", "namespace": "trading"},
        "spec": {
            "serviceAccountName": "plain", "automountServiceAccountToken": false,
            "containers": [{"name": "main", "image": "registry.example/notebook:7"}],
        },
    });
    tables::complete(&kind(&pod), &mut pod, &Facts::default());
    let mut stamped = patched(&pod, &admitted(&create(Phase::Mutating, &pod), &situation));
    stamped["metadata"]["name"] = "notebook-x7z2q".into();
    admitted(&create(Phase::Validating, &stamped), &situation);
    stamped["metadata"]["name"] = "notebook-mine".into();
    refused(&create(Phase::Validating, &stamped), &situation, Cause::Stamp, &[]);
}

#[test]
fn threat_54_a_config_map_that_is_being_compiled_refuses_with_that_reason_and_the_others_go_on() {
    let (post_trade, slow) = (NamespacedName::new("trading", "post-trade"), NamespacedName::new("trading", "slow"));
    let compiling = |slow| Compiling { since: "2026-11-20T10:00:00Z".parse().unwrap(), slow };
    let with_compiling = |name: &NamespacedName, slow: bool| {
        let mut situation = situation();
        let mut library = Library::clone(&situation.library);
        library.sets.remove(name);
        library.compiling.insert(Arc::new(name.clone()), compiling(slow));
        situation.library = Arc::new(library);
        situation
    };
    // The pod's only one.
    let reason = "ConfigMap trading/post-trade is still being compiled, since 2026-11-20T10:00:00Z";
    for (slow, what_to_do) in [(false, "try again in a moment"), (true, "its author should simplify it")] {
        let situation = with_compiling(&post_trade, slow);
        refused(&create(Phase::Mutating, &job()), &situation, Cause::Compiling, &[reason, what_to_do]);
    }
    // Another one of the same pod: what the first admits is admitted; of what it refuses the other may say something.
    let mut both = with_compiling(&slow, false);
    both.caller.as_mut().unwrap().wish.manifests.push(slow);
    admitted(&create(Phase::Mutating, &job()), &both);
    let mut wrong = job();
    wrong["spec"]["parallelism"] = 100.into();
    let words = ["spec.parallelism", "ConfigMap trading/slow is still being compiled"];
    refused(&create(Phase::Mutating, &wrong), &both, Cause::Compiling, &words);
    refused(&create(Phase::Mutating, &wrong), &situation(), Cause::Template, &words[..1]);
    // What is not known yet comes first, and nobody is advised to change what may be right.
    let Verdict::Refuse(refusal) = decide(&create(Phase::Mutating, &wrong), &both) else { panic!("admitted") };
    let begin = "retinue refuses to create Job trading/post-trade-20261120: it can't be decided yet: ConfigMap trading/slow is \
                 still being compiled, since 2026-11-20T10:00:00Z; try again in a moment.\n\
                 Of what is compiled, the nearest is job.yaml of ConfigMap trading/post-trade:\n  spec.parallelism";
    assert!(refusal.message.starts_with(begin), "{}", refusal.message);
    assert!(
        !refusal.message.contains("admin") && !refusal.message.contains("no template admits"),
        "{}",
        refusal.message
    );
    // So it is where no compiled template is of the kind.
    let mut service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x", "namespace": "trading"}});
    service["spec"] = json!({"ports": [{"port": 80}]});
    let Verdict::Refuse(refusal) = decide(&create(Phase::Mutating, &service), &both) else { panic!("admitted") };
    let begin = "retinue refuses to create Service trading/x: it can't be decided yet: ConfigMap trading/slow is still";
    assert!(refusal.cause == Cause::Compiling && refusal.message.starts_with(begin), "{}", refusal.message);
}

#[test]
fn threat_54_a_config_map_that_is_not_kept_refuses_with_that_reason() {
    let name = NamespacedName::new("trading", "post-trade");
    let mut situation = situation();
    let mut library = Library::clone(&situation.library);
    library.sets.remove(&name);
    let not_kept = NotKept { takes: 51 << 20, namespace: 1 << 30, share: 100 << 20, bound: 192 << 20 };
    library.not_kept.insert(Arc::new(name), not_kept);
    situation.library = Arc::new(library);
    let words = ["ConfigMap trading/post-trade is not kept in memory", "51Mi", "delete or shorten"];
    refused(&create(Phase::Mutating, &job()), &situation, Cause::Consent, &words);
}

#[test]
fn what_else_the_pod_asks_for_and_cannot_be_used_is_said_before_the_nearest() {
    let name = |name: &str| NamespacedName::new("trading", name);
    let mut beside = situation();
    let mut library = Library::clone(&beside.library);
    let not_kept = NotKept { takes: 51 << 20, namespace: 1 << 30, share: 100 << 20, bound: 192 << 20 };
    library.not_kept.insert(Arc::new(name("heavy")), not_kept);
    let mut broken = TemplateSet::clone(&library.sets[&name("post-trade")]);
    broken.name = name("broken");
    broken.templates = Templates::default();
    broken.problems = vec![Problem::error(Some("job.yaml"), Some(3), "expected a kind, got nothing")];
    library.sets.insert(Arc::new(name("broken")), Arc::new(broken));
    beside.library = Arc::new(library);
    let wish = |names: &[&str]| {
        let mut situation = beside.clone();
        situation.caller.as_mut().unwrap().wish.manifests = names.iter().copied().map(name).collect();
        situation
    };
    let mut wrong = job();
    wrong["spec"]["parallelism"] = 100.into();
    let nearest = "\nOf what can be used, the nearest is job.yaml of ConfigMap trading/post-trade:\n  spec.parallelism";
    for (other, reason) in [
        ("absent", "ConfigMap trading/absent is absent, or does not carry the label"),
        ("heavy", "ConfigMap trading/heavy is not kept in memory"),
        ("broken", "ConfigMap trading/broken job.yaml:3: expected a kind, got nothing"),
    ] {
        let situation = wish(&["post-trade", other]);
        admitted(&create(Phase::Mutating, &job()), &situation);
        let told = refused(&create(Phase::Mutating, &wrong), &situation, Cause::Template, &[nearest]).message;
        let begin = format!(
            "retinue refuses to create Job trading/post-trade-20261120: pod {} also asks for what cannot be used:\n  {reason}",
            situation.caller.as_ref().unwrap().pod.name
        );
        assert!(told.starts_with(&begin), "{told}");
        assert!(told.contains("have that mended first") && !told.contains("no template admits"), "{told}");
    }
    let all = wish(&["a", "b", "c", "post-trade", "d", "e", "f", "g"]);
    let told = refused(&create(Phase::Mutating, &wrong), &all, Cause::Template, &["  and 2 more\n", nearest]).message;
    assert!(told.contains("trading/e is absent") && !told.contains("trading/f"), "{told}");
    // By its stamp the object is held against one of them alone.
    let stamped = patched(&job(), &admitted(&create(Phase::Mutating, &job()), &all));
    let mut changed = stamped.clone();
    changed["spec"]["parallelism"] = 100.into();
    let told = refused(&create(Phase::Validating, &changed), &all, Cause::Template, &["spec.parallelism"]).message;
    assert!(!told.contains("cannot be used"), "{told}");
}

#[test]
fn consent_has_two_sides() {
    let mut silent = situation();
    silent.caller.as_mut().unwrap().wish.manifests.clear();
    refused(&create(Phase::Mutating, &job()), &silent, Cause::Consent, &["fledged.io/manifests"]);

    let mut absent = situation();
    absent.caller.as_mut().unwrap().wish.manifests = vec![NamespacedName::new("trading", "nothing")];
    let told = ["trading/nothing is absent", "fledged.io/templates"];
    let offline = refused(&create(Phase::Mutating, &job()), &absent, Cause::Consent, &told);
    assert!(!offline.message.contains("try again"), "there is no watch: {}", offline.message);
    absent.facts = Arc::new(Facts::new(Completeness::Cluster));
    let news = ["applied within the last second", "try again"];
    refused(&create(Phase::Mutating, &job()), &absent, Cause::Consent, &[told, news].concat());

    let mut stranger = situation();
    stranger.caller.as_mut().unwrap().account = NamespacedName::new("trading", "other");
    refused(&create(Phase::Mutating, &job()), &stranger, Cause::Consent, &["does not admit the account trading/other"]);

    let mut service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x", "namespace": "trading"}});
    service["spec"] = json!({"ports": [{"port": 80}]});
    refused(
        &create(Phase::Mutating, &service),
        &situation(),
        Cause::Template,
        &[
            "that pod eod-7d9f-x2x asks for describes a v1 Service",
            "batch/v1 Job",
            "ask the admin of ConfigMap trading/post-trade",
        ],
    );
}

#[test]
fn an_object_lives_only_where_its_template_says() {
    let mut elsewhere = create(Phase::Mutating, &job());
    elsewhere.namespace = Some("other".into());
    elsewhere.object.as_mut().unwrap()["metadata"]["namespace"] = "other".into();
    refused(&elsewhere, &situation(), Cause::Template, &["metadata.namespace", "\"trading\"", "\"other\""]);
}

#[test]
fn forbidden_kinds_are_refused_whatever_a_template_says() {
    for (api_version, name) in [
        ("rbac.authorization.k8s.io/v1", "RoleBinding"),
        ("v1", "ServiceAccount"),
        ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"),
    ] {
        let object =
            json!({"apiVersion": api_version, "kind": name, "metadata": {"name": "x", "namespace": "trading"}});
        refused(&create(Phase::Mutating, &object), &situation(), Cause::Forbidden, &["no template can allow it"]);
    }
    let mut cluster = create(Phase::Mutating, &json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "x"}}));
    cluster.namespace = None;
    refused(&cluster, &situation(), Cause::Forbidden, &["cluster-scoped"]);
    let templates = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "x", "namespace": "trading", "labels": {"fledged.io/templates": "true"}},
    });
    refused(&create(Phase::Mutating, &templates), &situation(), Cause::Forbidden, &["template ConfigMaps"]);
}

#[test]
fn dependents_do_not_run_under_a_masters_account() {
    let mut situation = situation();
    situation.masters = Arc::new([NamespacedName::new("trading", "default")].into());
    refused(&create(Phase::Mutating, &job()), &situation, Cause::Forbidden, &["trading/default, which is a master"]);
    // Without a list of masters the ConfigMap cannot know when it is loaded that eod is one.
    let open = TEMPLATES.replace("    fledged.io/masters: eod\n", "");
    let own = set(&open.replace("serviceAccountName: plain", "serviceAccountName: eod"));
    situation.library = Arc::new(Library::from_iter([own]));
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "notebook-", "namespace": "trading"},
        "spec": {
            "serviceAccountName": "eod", "automountServiceAccountToken": false,
            "containers": [{"name": "main", "image": "registry.example/notebook:7"}],
        },
    });
    tables::complete(&kind(&pod), &mut pod, &Facts::default());
    refused(&create(Phase::Mutating, &pod), &situation, Cause::Forbidden, &["trading/eod, which is a master"]);
}

#[test]
fn an_owner_that_the_caller_sends_must_be_its_own() {
    let with = |owners: Value| {
        let mut object = job();
        object["metadata"]["ownerReferences"] = owners;
        create(Phase::Mutating, &object)
    };
    let owner = |kind: &str, name: &str, uid: &str| json!({"apiVersion": "v1", "kind": kind, "name": name, "uid": uid});
    let pod = with(json!([owner("Pod", "eod-7d9f-x2x", "p-1")]));
    let stamped = patched(pod.object.as_ref().unwrap(), &admitted(&pod, &situation()));
    assert_eq!(
        stamped["metadata"]["ownerReferences"],
        json!([owner("Pod", "eod-7d9f-x2x", "p-1")]),
        "nothing is added"
    );
    admitted(&create(Phase::Validating, &stamped), &situation());

    let mut launched = situation();
    launched.own_dependents =
        vec![ObjectRef { api_version: "v1".into(), kind: "Pod".into(), name: "hub".into(), uid: "h".into() }];
    admitted(&with(json!([owner("Pod", "hub", "h")])), &launched);

    for foreign in [
        json!([owner("Pod", "eod-7d9f-x2x", "p-2")]),
        json!([owner("ConfigMap", "eod-7d9f-x2x", "p-1")]),
        json!([owner("Pod", "hub", "h")]),
        json!([owner("Pod", "eod-7d9f-x2x", "p-1"), owner("Pod", "eod-7d9f-x2x", "p-1")]),
    ] {
        refused(&with(foreign), &situation(), Cause::Owner, &[]);
    }
}

#[test]
fn generated_values_are_filled_once_and_never_recorded() {
    let mut secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "credentials", "namespace": "trading"}});
    tables::complete(&kind(&secret), &mut secret, &Facts::default());
    let admission = admitted(&create(Phase::Mutating, &secret), &situation());
    let filled = patched(&secret, &admission);
    let password = filled["data"]["password"].as_str().unwrap();
    assert!(!password.is_empty());
    assert!(!filled["metadata"].to_string().contains(password), "the stamp holds no credential");
    assert!(!format!("{:?}{:?}", admission.audit, admission.subject).contains(password));
    admitted(&create(Phase::Validating, &filled), &situation());
}

#[test]
fn sensitive_parameters_appear_nowhere() {
    let mut object = job();
    object["spec"]["template"]["spec"]["containers"][0]["env"] = json!([{"name": "TOKEN", "value": "s3cr3t"}]);
    let admission = admitted(&create(Phase::Mutating, &object), &situation());
    let told = format!("{:?}{:?}{:?}{:?}", admission.patch, admission.audit, admission.subject, admission.warnings);
    assert!(!told.contains("s3cr3t"), "{told}");
}

#[test]
fn what_must_outlive_its_master_has_no_owner_and_no_deadline() {
    let mut claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "home", "namespace": "trading"},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "fast", "resources": {"requests": {"storage": "1Gi"}}},
    });
    tables::complete(&kind(&claim), &mut claim, &Facts::default());
    let stamped = patched(&claim, &admitted(&create(Phase::Mutating, &claim), &situation()));
    assert_eq!(stamped["metadata"].get("ownerReferences"), None);
    assert_eq!(stamped["metadata"]["labels"].get("fledged.io/expires-at"), None);
}

#[test]
fn a_master_that_is_itself_a_dependent_grants_nothing_beyond_its_own_deadline() {
    let mut situation = situation();
    situation.caller.as_mut().unwrap().deadline = Some("2026-11-20T14:40:00Z".parse().unwrap());
    let stamped = patched(&job(), &admitted(&create(Phase::Mutating, &job()), &situation));
    assert_eq!(stamped["metadata"]["labels"]["fledged.io/expires-at"], "2026-11-20T144000Z");
}

#[test]
fn the_number_of_live_dependents_is_bounded() {
    let mut situation = situation();
    situation.live_dependents.insert(NamespacedName::new("trading", "post-trade"), 2);
    admitted(&create(Phase::Mutating, &job()), &situation);
    situation.live_dependents.insert(NamespacedName::new("trading", "post-trade"), 3);
    refused(
        &create(Phase::Mutating, &job()),
        &situation,
        Cause::Quota,
        &["3 live dependents", "fledged.io/max-dependents"],
    );
}

#[test]
fn what_the_collector_could_not_delete_is_refused_with_the_rule_that_lets_it() {
    let kind = Gvk::new("batch", "v1", "Job");
    let lacking = |known| Arc::new(Rights { account: "the-collector".into(), kinds: [(kind.clone(), known)].into() });
    let missing = |namespace: &str| {
        let verbs = [(namespace.to_owned(), vec!["delete"])].into();
        lacking(Known::Missing { resource: "jobs".into(), verbs })
    };
    let mut situation = situation();
    for collector in [
        Arc::default(),
        missing("elsewhere"),
        lacking(Known::Unknown("no answer".into())),
        lacking(Known::Unserved("no such kind".into())),
    ] {
        situation.collector = collector;
        admitted(&create(Phase::Mutating, &job()), &situation);
    }
    situation.collector = missing("trading");
    let words =
        ["job.yaml of ConfigMap trading/post-trade", "the-collector", "no right to delete jobs.batch", "rules: "];
    refused(&create(Phase::Mutating, &job()), &situation, Cause::Collector, &words);

    // Nobody ends it: it is nothing to the collector.
    let mut text = String::from(TEMPLATES);
    let name = "name: \"post-trade-${run}\"";
    assert!(text.contains(name));
    text = text.replacen(name, &format!("{name}, annotations: {{fledged.io/duration: none}}"), 1);
    let set = set(&text);
    situation.library = Arc::new(Library::from_iter([set]));
    admitted(&create(Phase::Mutating, &job()), &situation);
}

#[test]
fn an_unknown_caller_is_refused_with_the_fix() {
    let mut situation = situation();
    situation.caller = Err(Unidentified::NoPod { account: NamespacedName::new("trading", "eod") });
    refused(&create(Phase::Mutating, &job()), &situation, Cause::Identity, &["--bound-object-kind Pod"]);
    situation.caller = Err(Unidentified::Lookup { what: "pod".into(), reason: "timed out".into() });
    refused(&create(Phase::Mutating, &job()), &situation, Cause::Lookup, &["timed out"]);
    let mut leaving = self::situation();
    leaving.caller.as_mut().unwrap().pod.terminating = true;
    refused(&create(Phase::Mutating, &job()), &leaving, Cause::Identity, &["being deleted"]);
}

#[test]
fn threat_54_a_value_that_is_too_long_for_its_pattern_is_refused_with_that_limit() {
    let mut object = job();
    object["spec"]["template"]["spec"]["containers"][0]["args"][1] = "1".repeat(70_000).into();
    refused(
        &create(Phase::Mutating, &object),
        &situation(),
        Cause::Template,
        &["spec.template.spec.containers", "[0-9]{8} as a whole, of at most 65536 bytes"],
    );
}
