//! What injectors added to the last pods of a template, so that they are not asked again about the next.
//!
//! What they add depends on the part of the tree that they read, on what the object shows there, and on facts. Where no
//! hole is in that part, the pods of a template that show the same additions differ there in two names alone, which the
//! API server makes up: the token volume's, and the pod's own where it has a prefix. So a pod that shows what was added
//! to the one before, under facts that say the same, is what the injectors would say it is.
//!
//! Without these two names, the same is added to the pods of many templates: it is kept once.

use std::sync::{Arc, RwLock};

use serde_json::{Map, Value};

use super::additions::{POD_SPEC, is_without_holes};
use super::plan::Node;
use super::walk::{find, says};
use crate::recognise::{Context, Form};
use crate::shared::Pool;
use crate::tables::{self, DEFAULT_ACCOUNT, Facts, OfPod, VOLUME_PREFIX};

/// What is remembered of a template's pods.
#[derive(Debug)]
pub(super) struct Memory {
    account: String,
    class: Option<String>,
    /// Of the mutating phase, and of the validating one; the newest first.
    last: [RwLock<Vec<Arc<Remembered>>>; 2],
}

/// How many are remembered: namespaces that have a template together may differ in their accounts.
const REMEMBERED_AT_MOST: usize = 4;

static REMEMBERED: Pool<Remembered> = Pool::new();

/// What was added to one pod.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Remembered {
    form: Form,
    /// The facts that this depends on, and no other.
    facts: OfPod,
    added: Vec<Added>,
    /// Where the token volume that was added stands.
    volume: Option<Box<[Step]>>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Added {
    at: Box<[Step]>,
    /// With [`TOKEN_VOLUME`] for the token volume's name; null for the pod's own.
    value: Value,
}

/// Stands for the name of the token volume: no name has this character.
const TOKEN_VOLUME: &str = "kube-api-access-\u{1}";

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Step {
    Key(Box<str>),
    At(usize),
}

impl Memory {
    /// Of a pod's plan; none where a hole is in what injectors read.
    pub(super) fn of(root: &Node) -> Option<Self> {
        let Node::Map(entries) = root else { return None };
        let node = find(entries, "spec")?;
        let Node::Map(spec) = node else { return None };
        if !POD_SPEC.iter().all(|(name, keep)| find(spec, name).is_none_or(|node| is_without_holes(node, keep))) {
            return None;
        }
        let said = |name: &str| says(node, name).filter(|text| !text.is_empty());
        let account = said("serviceAccountName").unwrap_or(DEFAULT_ACCOUNT).to_owned();
        let class = said("priorityClassName").map(str::to_owned);
        Some(Self { account, class, last: <[RwLock<_>; 2]>::default() })
    }

    fn slot(&self, form: Form) -> &RwLock<Vec<Arc<Remembered>>> {
        let [first, second] = &self.last;
        if form == Form::Validating { second } else { first }
    }

    /// What was added last.
    #[cfg(test)]
    pub(super) fn last(&self, form: Form) -> Option<Arc<Remembered>> {
        self.slot(form).read().ok()?.first().cloned()
    }

    /// Whether the `extras` places where `object` has more than the plan are what injectors add to it. If not, they are
    /// to be asked.
    pub(super) fn holds(&self, object: &Value, extras: usize, context: &Context<'_>) -> bool {
        let Ok(last) = self.slot(context.form).read() else { return false };
        last.iter().any(|last| {
            last.form == context.form
                && last.added.len() == extras
                && context.facts.say(&last.facts, context.namespace, &self.account, self.class.as_deref())
                && last.is_shown_by(object)
        })
    }

    /// Keeps what injectors added to `object`, in `extras` places. `part` asks them, with the facts that it is given.
    pub(super) fn keep(
        &self,
        root: &Node,
        object: &Value,
        extras: usize,
        context: &Context<'_>,
        part: impl FnOnce(&Facts) -> Option<Value>,
    ) {
        let (account, class) = (self.account.as_str(), self.class.as_deref());
        let known = context.facts.of_pod(context.namespace, account, class);
        // Asked with these alone, they cannot depend on more.
        let Some(part) = part(&Facts::only(&known, context.namespace, account, class)) else { return };
        let mut added = Vec::new();
        collect(root, &part, &mut Vec::new(), &mut added);
        if added.len() != extras {
            return;
        }
        let volume = added.iter().find_map(token_volume);
        let name = volume.as_ref().map(|(_, name)| name.as_str());
        added.iter_mut().for_each(|added| {
            if is_name(&added.at) { added.value = Value::Null } else { mark(&mut added.value, name) }
        });
        let last = Remembered { form: context.form, facts: known, added, volume: volume.map(|(at, _)| at) };
        if last.is_shown_by(object)
            && let Ok(mut slot) = self.slot(context.form).write()
        {
            let last = REMEMBERED.share(last);
            // Two pods may have asked at once.
            slot.retain(|known| !Arc::ptr_eq(known, &last));
            slot.insert(0, last);
            slot.truncate(REMEMBERED_AT_MOST);
        }
    }
}

/// Puts [`TOKEN_VOLUME`] in the place of that volume's name.
fn mark(value: &mut Value, name: Option<&str>) {
    match value {
        Value::String(text) if Some(text.as_str()) == name => TOKEN_VOLUME.clone_into(text),
        Value::Array(values) => values.iter_mut().for_each(|value| mark(value, name)),
        Value::Object(map) => map.values_mut().for_each(|value| mark(value, name)),
        _ => {}
    }
}

impl Remembered {
    fn is_shown_by(&self, object: &Value) -> bool {
        let name = match &self.volume {
            None => None,
            Some(at) => {
                let now = go(object, at).and_then(|volume| volume.get("name")).and_then(Value::as_str);
                match now.filter(|now| tables::is_generated(VOLUME_PREFIX, now)) {
                    Some(now) => Some(now),
                    None => return false,
                }
            }
        };
        self.added.iter().all(|added| match go(object, &added.at) {
            Some(shown) if is_name(&added.at) => is_named_by_prefix(object, shown),
            Some(shown) => is_same(&added.value, shown, name),
            None => false,
        })
    }
}

/// Whether this is the name of the object itself.
fn is_name(at: &[Step]) -> bool {
    matches!(at, [Step::Key(map), Step::Key(field)] if &**map == "metadata" && &**field == "name")
}

fn is_named_by_prefix(object: &Value, name: &Value) -> bool {
    let prefix = object.get("metadata").and_then(|metadata| metadata.get("generateName")).and_then(Value::as_str);
    prefix.zip(name.as_str()).is_some_and(|(prefix, name)| tables::is_generated(prefix, name))
}

/// Whether both are the same, where the token volume is now called `name`.
fn is_same(before: &Value, now: &Value, name: Option<&str>) -> bool {
    match (before, now) {
        (Value::String(was), Value::String(is)) => match name {
            Some(name) if was == TOKEN_VOLUME => is == name,
            _ => was == is,
        },
        (Value::Array(was), Value::Array(is)) => {
            was.len() == is.len() && was.iter().zip(is).all(|(was, is)| is_same(was, is, name))
        }
        (Value::Object(was), Value::Object(is)) => same_entries(was, is, name),
        _ => before == now,
    }
}

fn same_entries(was: &Map<String, Value>, is: &Map<String, Value>, name: Option<&str>) -> bool {
    was.len() == is.len() && was.iter().zip(is).all(|((key, was), (other, is))| key == other && is_same(was, is, name))
}

fn go<'v>(value: &'v Value, way: &[Step]) -> Option<&'v Value> {
    way.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get(&**key),
        Step::At(index) => value.get(*index),
    })
}

/// Everything in `part` that the plan has not.
fn collect(node: &Node, part: &Value, way: &mut Vec<Step>, added: &mut Vec<Added>) {
    let mut step = |step: Step, node: Option<&Node>, part: &Value, added: &mut Vec<Added>| {
        way.push(step);
        match node {
            Some(node) => collect(node, part, way, added),
            None => added.push(Added { at: way.as_slice().into(), value: part.clone() }),
        }
        way.pop();
    };
    match (node, part) {
        (Node::Map(entries), Value::Object(part)) => part
            .iter()
            // The namespace is judged apart.
            .filter(|(name, _)| name.as_str() != "namespace")
            .for_each(|(name, part)| step(Step::Key(name.as_str().into()), find(entries, name), part, added)),
        (Node::List(list), Value::Array(part)) => part
            .iter()
            .enumerate()
            .for_each(|(index, part)| step(Step::At(index), list.elements.get(index), part, added)),
        _ => {}
    }
}

/// The token volume, where it is what was added, or in it: where it stands, and its name.
fn token_volume(added: &Added) -> Option<(Box<[Step]>, String)> {
    let named = |volume: &Value| {
        let name = volume.get("name").and_then(Value::as_str)?;
        name.starts_with(VOLUME_PREFIX).then(|| name.to_owned())
    };
    let [Step::Key(spec), Step::Key(volumes), rest @ ..] = &*added.at else { return None };
    if &**spec != "spec" || &**volumes != "volumes" {
        return None;
    }
    match (rest, &added.value) {
        ([Step::At(_)], volume) => Some((added.at.clone(), named(volume)?)),
        ([], Value::Array(volumes)) => volumes.iter().enumerate().find_map(|(index, volume)| {
            let at = added.at.iter().cloned().chain([Step::At(index)]).collect();
            Some((at, named(volume)?))
        }),
        _ => None,
    }
}
