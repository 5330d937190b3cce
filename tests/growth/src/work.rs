//! The pieces of work that are counted and timed: a lint with a compile, and a review.

use std::sync::Arc;

use policies::caller::{Caller, CallerPod, Unidentified, Wish};
use policies::library::{Library, TemplateSet};
use policies::lint;
use policies::object::{Gvk, Gvr, NamespacedName, ObjectRef};
use policies::request::{Operation, Phase, Request, User};
use policies::tables::{self, Completeness, Facts};
use policies::verdict::{Situation, Verdict, decide};
use serde_json::{Map, Value, json};

use crate::world::{Apart, Deed, World, yaml};

const NOW: &str = "2026-11-20T14:30:00Z";
const UID: &str = "b1f8a0c4-0c0a-4a3e-8d4f-0a6de6a5f8e1";

/// A ConfigMap holds no more.
pub const MOST_OF_A_CONFIG_MAP: usize = 1 << 20;

/// What came out, on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer(pub String);

impl Answer {
    /// Whether a budget ended the work with its error.
    pub fn is_budgets(&self) -> bool {
        BUDGETS.iter().any(|words| self.0.contains(words))
    }
}

/// Words of the errors that end work which would be too much.
const BUDGETS: [&str; 4] = ["more work", "all the work that is allowed", "hold too much", "expand to too much"];

/// What is held against it, how a review comes to its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The object as its template makes it, or as its dimension spoils it.
    AsMade,
    /// With one more label that nobody asked for, and with a hole that could be empty and must not be told, so that
    /// every search there is runs to its end.
    Searched,
}

/// The template ConfigMaps of a world: more than one where one would be too large, or where the caller asks for more.
pub fn config_maps(world: &World) -> Vec<Value> {
    let (count, apart) = world.templates;
    let parameters: String = world.parameters.iter().map(|(name, schema)| format!("{name}: {schema}\n")).collect();
    let text = |at: usize| {
        let mut manifest = world.manifest.clone();
        // The last one is the one that admits.
        if at + 1 < count {
            match apart {
                Apart::Start => manifest["metadata"]["name"] = format!("other{at}").into(),
                Apart::End => {
                    if let Some(annotations @ (Value::Null | Value::Object(_))) =
                        crate::world::at(&mut manifest, "/metadata/annotations")
                    {
                        annotations["zzz"] = at.to_string().into();
                    }
                }
            }
        }
        yaml(&manifest)
    };
    let mut maps = Vec::new();
    let mut data = Map::from_iter(world.keys.iter().map(|(key, text)| (key.clone(), Value::from(text.as_str()))));
    let mut size = parameters.len();
    for at in 0..count {
        let text = text(at);
        if size + text.len() > MOST_OF_A_CONFIG_MAP && at > 0 {
            maps.push(std::mem::take(&mut data));
            size = parameters.len();
        }
        size += text.len();
        data.insert(format!("t{at:04}.yaml"), text.into());
    }
    maps.push(data);
    let other = "apiVersion: v1\nkind: Service\nmetadata: {name: other}\nspec: {ports: [{port: 80}]}\n";
    maps.extend((1..world.config_maps).map(|_| Map::from_iter([("other.yaml".to_owned(), Value::from(other))])));
    let whole = maps.into_iter().enumerate().map(|(at, mut data)| {
        data.insert("parameters".into(), parameters.as_str().into());
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": data,
            "metadata": {"name": format!("templates-{at}"), "namespace": "trading", "uid": format!("u{at}"),
                "resourceVersion": "1", "labels": {"fledged.io/templates": "true"}, "annotations": world.annotations},
        })
    });
    whole.collect()
}

/// Bytes of a ConfigMap's keys and values.
pub fn size_of(config_map: &Value) -> usize {
    let texts = |map: &Value| match map.as_object() {
        Some(map) => map.iter().map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum(),
        None => 0,
    };
    texts(&config_map["data"]) + texts(&config_map["metadata"]["annotations"])
}

/// Lints a ConfigMap and compiles all that it holds.
pub fn lint_and_compile(config_map: &Value) -> Answer {
    let linted = lint::read(config_map);
    let set = TemplateSet::load(config_map);
    let compiled = set.templates.all().count();
    let errors: Vec<_> =
        linted.problems.iter().filter(|problem| problem.severity == policies::library::Severity::Error).collect();
    let warnings = linted.problems.len() - errors.len();
    Answer(
        match errors.iter().map(|error| one_line(&error.message)).max_by_key(|text| Answer(text.clone()).is_budgets()) {
            Some(first) => format!("{} errors: {first}", errors.len()),
            None => format!("compiles {compiled}, {warnings} warnings"),
        },
    )
}

/// A review, with all that is known when it comes.
#[derive(Clone, Debug)]
pub struct Review {
    /// What is asked.
    pub request: Request,
    /// What is known.
    pub situation: Situation,
}

impl Review {
    /// Judges it.
    pub fn judge(&self) -> Answer {
        Answer(match decide(&self.request, &self.situation) {
            Verdict::Admit(admission) => format!("admitted ({})", admission.ground.as_str()),
            Verdict::Refuse(refusal) => format!("refused: {}", one_line(&refusal.message)),
        })
    }

    /// Bytes of its objects.
    pub fn size(&self) -> usize {
        [&self.request.object, &self.request.old_object]
            .into_iter()
            .flatten()
            .map(|object| object.to_string().len())
            .max()
            .unwrap_or(0)
    }
}

fn one_line(text: &str) -> String {
    let text: String = text.chars().take(300).collect();
    text.replace('\n', " ")
}

/// The review of a world's object.
pub fn review(world: &World, way: Way) -> Review {
    let mut world = world.clone();
    if way == Way::Searched {
        world.declare("searched", "{type: string, pattern: \"[a-z]*\", sensitive: true, optional: true}");
        world.set("/metadata/annotations", "searched", json!("${searched}"), None);
        world.set("/metadata/labels", "zzz-nobody-asked", None, json!("x"));
    }
    let sets: Vec<_> = config_maps(&world).iter().map(|map| Arc::new(TemplateSet::load(map))).collect();
    let situation = situation(&world, &sets);
    // As compiled as it is after a first review of anything else.
    let _compiled: usize = sets.iter().map(|set| set.templates.all().count()).sum();
    let mut object = world.object.clone();
    let kind = kind_of(&object);
    tables::complete(&kind, &mut object, &Facts::default());
    let mut request = request(Operation::Create, Phase::Mutating, object.clone());
    if world.deed != Deed::Create
        && let Some(stored) = stored(&request, &situation)
    {
        change(&mut request, stored, world.deed);
    }
    Review { request, situation }
}

fn kind_of(object: &Value) -> Gvk {
    let text = |key: &str| object[key].as_str().unwrap_or_default();
    Gvk::from_api_version(text("apiVersion"), text("kind"))
}

/// The object as it is once it was admitted, if it is.
fn stored(request: &Request, situation: &Situation) -> Option<Value> {
    let Verdict::Admit(admission) = decide(request, situation) else { return None };
    let mut stored = request.object.clone()?;
    json_patch::patch(&mut stored, &admission.patch?).ok()?;
    stored["metadata"]["uid"] = UID.into();
    stored["metadata"]["creationTimestamp"] = NOW.into();
    Some(stored)
}

fn change(request: &mut Request, stored: Value, deed: Deed) {
    match deed {
        Deed::Create => {}
        Deed::Check => {
            request.phase = Phase::Validating;
            request.object = Some(stored);
        }
        Deed::Rewrite => {
            request.operation = Operation::Update;
            let mut new = stored.clone();
            rewrite(&mut new["metadata"]["labels"]);
            rewrite(&mut new["spec"]);
            request.object = Some(new);
            request.old_object = Some(stored);
        }
        Deed::Update | Deed::Renew => {
            request.operation = Operation::Update;
            let mut new = stored.clone();
            let (key, value) = match deed {
                Deed::Renew => ("fledged.io/expires-at", "2026-11-20T143100Z"),
                _ => ("zzz-changed", "x"),
            };
            new["metadata"]["labels"][key] = value.into();
            request.object = Some(new);
            request.old_object = Some(stored);
        }
        Deed::Delete => {
            request.operation = Operation::Delete;
            request.object = None;
            request.old_object = Some(stored);
        }
    }
}

fn rewrite(value: &mut Value) {
    match value {
        Value::String(text) if text == "x" => *text = "y".into(),
        Value::Array(values) => values.iter_mut().for_each(rewrite),
        Value::Object(fields) => fields.values_mut().for_each(rewrite),
        _ => {}
    }
}

fn situation(world: &World, sets: &[Arc<TemplateSet>]) -> Situation {
    let owner = |at: usize| ObjectRef {
        api_version: "apps/v1".into(),
        kind: if at == 0 { "ReplicaSet".into() } else { "Deployment".into() },
        name: format!("eod-{at}"),
        uid: format!("7c1f0f57-35c5-43bb-9f0b-{at:012}"),
    };
    let mut facts = Facts::new(Completeness::Cluster);
    for name in ["default", "runner", "eod"] {
        let metadata = json!({"name": name, "namespace": "trading"});
        facts.apply(&json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}));
    }
    for fact in &world.facts {
        facts.apply(fact);
    }
    let wishes = (0..world.wishes).map(|at| NamespacedName::new("trading", format!("a{at}")));
    let caller = Caller {
        account: NamespacedName::new("trading", "eod"),
        pod: CallerPod {
            name: "eod-7d9f6c5b8-x2x4q".into(),
            uid: "0b8c3e52-6c1c-4d0b-9a0e-0f0e3c1d9a55".into(),
            ip: Some("10.0.0.7".into()),
            terminating: false,
        },
        chain: (0..world.chain.max(1)).map(owner).collect(),
        wish: Wish {
            manifests: wishes.chain(sets.iter().map(|set| set.name.clone())).collect(),
            chart: None,
            duration: None,
        },
        deadline: None,
    };
    let masters = (1..world.masters).map(|at| NamespacedName::new("trading", format!("eod-{at}")));
    Situation {
        caller: Ok(caller),
        library: Arc::new(sets.iter().map(Arc::clone).collect::<Library>()),
        facts: Arc::new(facts),
        masters: Arc::new(masters.chain([NamespacedName::new("trading", "eod")]).collect()),
        own_dependents: (0..world.dependents).map(owner).collect(),
        seed: [7; 32],
        ..Situation::unknown(NOW.parse().expect("a time"), Unidentified::NoAccount(String::new()))
    }
}

fn request(operation: Operation, phase: Phase, object: Value) -> Request {
    let kind = kind_of(&object);
    let plural = tables::plural(&kind).unwrap_or("widgets");
    Request {
        uid: "705ab4f5-6393-11e8-b7cc-42010a800002".into(),
        phase,
        operation,
        name: object["metadata"]["name"].as_str().map(str::to_owned),
        resource: Gvr { group: kind.group.clone(), version: kind.version.clone(), resource: plural.into() },
        kind,
        subresource: None,
        namespace: Some("trading".into()),
        user: User { username: "system:serviceaccount:trading:eod".into(), ..User::default() },
        object: Some(object),
        old_object: None,
        options: None,
        dry_run: false,
    }
}
