//! One master, one ConfigMap, and the words in which the attacks are written.

use std::collections::BTreeMap;
use std::sync::Arc;

use policies::caller::{Caller, CallerPod, Unidentified, Wish};
use policies::library::{Library, TemplateSet};
use policies::object::{Gvk, Gvr, NamespacedName, ObjectRef};
use policies::parameter::Bindings;
use policies::recognise::{Context, Form, Recognition, recognise};
use policies::request::{Operation, Phase, Request, User};
use policies::tables::{Completeness, Facts, complete};
use policies::template::{Given, Template};
use policies::verdict::{Admission, Refusal, Situation, Verdict, decide};
use policies::yaml;
use serde_json::{Value, json};

pub(crate) const NOW: &str = "2026-11-20T14:30:00Z";
pub(crate) const FORMS: [Form; 3] = [Form::Submitted, Form::Mutating, Form::Validating];

/// A ConfigMap with these parameters and one template.
pub(crate) fn set(parameters: &str, manifest: &str) -> Arc<TemplateSet> {
    annotated(&[("fledged.io/duration", "3600")], parameters, manifest)
}

/// As [`set`], with these annotations.
pub(crate) fn annotated(annotations: &[(&str, &str)], parameters: &str, manifest: &str) -> Arc<TemplateSet> {
    let annotations: BTreeMap<_, _> = annotations.iter().copied().collect();
    let mut map = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": "templates", "namespace": "trading", "uid": "c-1", "resourceVersion": "42",
            "labels": {"fledged.io/templates": "true"}, "annotations": annotations,
        },
        "data": {"t.yaml": manifest},
    });
    if !parameters.is_empty() {
        map["data"]["parameters"] = parameters.into();
    }
    let set = TemplateSet::load(&map);
    assert!(set.errors().next().is_none(), "{:?}", set.problems);
    Arc::new(set)
}

/// The first template of the set.
pub(crate) fn first(set: &TemplateSet) -> &Template {
    set.templates.all().next().unwrap()
}

pub(crate) fn facts() -> Facts {
    let mut facts = Facts::new(Completeness::Cluster);
    for name in ["default", "plain"] {
        facts.apply(
            &json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": "trading"}}),
        );
    }
    facts
}

pub(crate) fn given() -> BTreeMap<Given, String> {
    BTreeMap::from([(Given::MasterNamespace, "trading".to_owned())])
}

pub(crate) fn recognised(template: &Template, object: &Value, form: Form, facts: &Facts) -> Recognition {
    let given = given();
    recognise(template, object, &Context { form, namespace: "trading", given: &given, facts, budget: None })
}

pub(crate) fn kind_of(object: &Value) -> Gvk {
    Gvk::from_api_version(
        object["apiVersion"].as_str().unwrap_or_default(),
        object["kind"].as_str().unwrap_or_default(),
    )
}

/// The object as it reaches us in this form.
pub(crate) fn shown(object: &Value, form: Form, facts: &Facts) -> Value {
    let mut shown = object.clone();
    if form != Form::Submitted {
        shown["metadata"]["namespace"] = "trading".into();
        complete(&kind_of(object), &mut shown, facts);
    }
    shown
}

/// In every form in which it reaches us, `object` is what the template renders with these bindings and no others.
pub(crate) fn is_found_in_every_form(
    template: &Template,
    object: &Value,
    bindings: &Bindings,
    facts: &Facts,
    what: &str,
) {
    for form in FORMS {
        let object = shown(object, form, facts);
        let found = recognised(template, &object, form, facts);
        assert_eq!(found, Recognition::Match(bindings.clone()), "{form:?} {what} {object}");
    }
}

/// One change of an object: what is at the pointer becomes this; null removes; `-` appends.
pub(crate) fn change(object: &mut Value, pointer: &str, value: Value) {
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    let last = last.replace("~1", "/").replace("~0", "~");
    let mut at = object;
    for key in parent.split('/').skip(1) {
        let key = key.replace("~1", "/").replace("~0", "~");
        at = match at {
            Value::Array(list) => &mut list[key.parse::<usize>().unwrap()],
            other => &mut other[key.as_str()],
        };
        if at.is_null() {
            *at = json!({});
        }
    }
    match at {
        Value::Array(list) if last == "-" => list.push(value),
        Value::Array(list) if value.is_null() => {
            list.remove(last.parse().unwrap());
        }
        Value::Array(list) => list[last.parse::<usize>().unwrap()] = value,
        Value::Object(map) if value.is_null() => {
            map.remove(&last);
        }
        other => other[last.as_str()] = value,
    }
}

pub(crate) fn caller() -> Caller {
    let owner = |api_version: &str, kind: &str, name: &str, uid: &str| ObjectRef {
        api_version: api_version.into(),
        kind: kind.into(),
        name: name.into(),
        uid: uid.into(),
    };
    Caller {
        account: NamespacedName::new("trading", "eod"),
        pod: CallerPod { name: "eod-1".into(), uid: "p-1".into(), ip: None, terminating: false },
        chain: vec![owner("apps/v1", "ReplicaSet", "eod-7d9f", "r-1"), owner("apps/v1", "Deployment", "eod", "d-1")],
        wish: Wish { manifests: vec![NamespacedName::new("trading", "templates")], chart: None, duration: None },
        deadline: None,
    }
}

pub(crate) fn situation(set: &Arc<TemplateSet>) -> Situation {
    let mut situation = Situation::unknown(NOW.parse().unwrap(), Unidentified::NoAccount(String::new()));
    situation.caller = Ok(caller());
    situation.library = Arc::new(Library::from_iter([Arc::clone(set)]));
    situation.facts = Arc::new(facts());
    situation.seed = [7; 32];
    situation
}

pub(crate) fn request(operation: Operation, phase: Phase, object: Option<Value>, old: Option<Value>) -> Request {
    let body = object.as_ref().or(old.as_ref()).unwrap();
    let kind = kind_of(body);
    let resource = Gvr {
        group: kind.group.clone(),
        version: kind.version.clone(),
        resource: format!("{}s", kind.kind.to_lowercase()),
    };
    Request {
        uid: "review-1".into(),
        phase,
        operation,
        name: body["metadata"]["name"].as_str().map(str::to_owned),
        kind,
        resource,
        subresource: None,
        namespace: Some(body["metadata"]["namespace"].as_str().unwrap_or("trading").to_owned()),
        user: User { username: "system:serviceaccount:trading:eod".into(), ..User::default() },
        object,
        old_object: old,
        options: None,
        dry_run: false,
    }
}

/// The verdict on a create as the API server asks: first to change, then the result.
pub(crate) fn created(situation: &Situation, object: &Value) -> Result<(Value, Admission), Refusal> {
    let object = shown(object, Form::Mutating, &situation.facts);
    let admission = verdict(&request(Operation::Create, Phase::Mutating, Some(object.clone()), None), situation)?;
    let mut stamped = object;
    json_patch::patch(&mut stamped, admission.patch.as_ref().unwrap()).unwrap();
    let admission = verdict(&request(Operation::Create, Phase::Validating, Some(stamped.clone()), None), situation)?;
    stamped["metadata"]["uid"] = "o-1".into();
    stamped["metadata"]["creationTimestamp"] = NOW.into();
    Ok((stamped, admission))
}

/// The verdict on an update, in both phases.
pub(crate) fn updated(situation: &Situation, old: &Value, new: &Value) -> Result<Value, Refusal> {
    let ask = |phase, new: &Value| {
        verdict(&request(Operation::Update, phase, Some(new.clone()), Some(old.clone())), situation)
    };
    let mut new = new.clone();
    if let Some(patch) = ask(Phase::Mutating, &new)?.patch {
        json_patch::patch(&mut new, &patch).unwrap();
    }
    ask(Phase::Validating, &new)?;
    Ok(new)
}

pub(crate) fn verdict(request: &Request, situation: &Situation) -> Result<Admission, Refusal> {
    match decide(request, situation) {
        Verdict::Admit(admission) => Ok(admission),
        Verdict::Refuse(refusal) => Err(refusal),
    }
}

pub(crate) fn value(text: &str) -> Value {
    yaml::value(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}
