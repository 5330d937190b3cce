//! Native sidecars at admission (`fledged.io/native-sidecars`): of a Job, the regular containers beside its essential one
//! become init containers with `restartPolicy: Always` (KEP-753). Its node then ends each pod by itself when the essential
//! container has completed, however the others end, and the Job counts it once.
//!
//! A template is compiled to what is stored ([`crate::template`]). What a master sends may be written as before: in the
//! mutating phase it is moved here, and recognised as moved. Sent once more (`kubectl apply` writes its containers beside
//! the init containers that are there) it is moved again, and nothing changes.

use std::collections::{HashMap, HashSet};

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, PatchOperation, ReplaceOperation};
use serde_json::{Map, Value};

use crate::difference::{Difference, Expected, Got, Path, Step};
use crate::object::Gvk;
use crate::tables::At;

/// The restart policy that makes a native sidecar of an init container.
pub(crate) const ALWAYS: &str = "Always";
/// The restart policy of one container.
pub(crate) const RESTART_POLICY: &str = "restartPolicy";
/// Regular containers.
pub(crate) const CONTAINERS: &str = "containers";
/// Init containers, native sidecars among them.
pub(crate) const INIT_CONTAINERS: &str = "initContainers";

/// The containers that a template makes native sidecars.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sidecars {
    /// Where the pod spec stands.
    place: &'static str,
    /// Their names, in the order in which they are started.
    names: Box<[Box<str>]>,
}

/// Where the pod spec of a kind stands, if a Job makes its pods.
pub(crate) fn place(kind: &Gvk) -> Option<&'static str> {
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("batch", "Job") => Some("/spec/template/spec"),
        ("batch", "CronJob") => Some("/spec/jobTemplate/spec/template/spec"),
        _ => None,
    }
}

impl Sidecars {
    pub(crate) fn new(place: &'static str, names: Box<[Box<str>]>) -> Self {
        Self { place, names }
    }

    /// Their names, in the order in which they are started.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// `object`, which is new, with its sidecars moved; none where nothing is to be moved, or cannot be.
    pub fn moved(&self, object: &Value) -> Option<Value> {
        let before: HashSet<&str> = self.inits(object).iter().filter_map(name_of).collect();
        self.moved_where(object, |name| !before.contains(name))
    }

    /// `new` with those sidecars moved that are native in `old`: an object that was made before its template asked for it
    /// stays as it is.
    pub fn moved_again(&self, old: &Value, new: &Value) -> Option<Value> {
        let native = self.inits(old).iter().filter(|container| is_native(container));
        let stored: HashSet<&str> = native.filter_map(name_of).collect();
        self.moved_where(new, |name| stored.contains(name))
    }

    fn moved_where(&self, object: &Value, is_meant: impl Fn(&str) -> bool) -> Option<Value> {
        let names: HashSet<&str> = self.names().collect();
        let moves = |container: &Value| name_of(container).is_some_and(|name| names.contains(name) && is_meant(name));
        if !object.at(self.place)?.get(CONTAINERS)?.as_array()?.iter().any(moves) {
            return None;
        }
        let mut object = object.clone();
        let spec = object.at_mut(self.place)?.as_object_mut()?;
        let (mut sent, regular): (Vec<_>, Vec<_>) = list(spec, CONTAINERS)?.into_iter().partition(moves);
        for container in sent.iter_mut().filter_map(Value::as_object_mut) {
            // What says otherwise stays, to be refused.
            container.entry(RESTART_POLICY).or_insert_with(|| ALWAYS.into());
        }
        let is_sidecar =
            |container: &Value| is_native(container) && name_of(container).is_some_and(|name| names.contains(name));
        let (native, mut inits): (Vec<_>, Vec<_>) = list(spec, INIT_CONTAINERS)?.into_iter().partition(is_sidecar);
        let (mut sent, mut native) = (by_name(sent), by_name(native));
        for name in self.names() {
            // The newest wish counts, all of it: what is there twice is refused, not chosen from.
            let of_name = sent.remove(name).or_else(|| native.remove(name));
            inits.extend(of_name.into_iter().flatten());
        }
        spec.insert(CONTAINERS.into(), Value::Array(regular));
        spec.insert(INIT_CONTAINERS.into(), Value::Array(inits));
        Some(object)
    }

    /// What makes `moved` of the object that it was moved from.
    pub(crate) fn patch(&self, moved: &Value) -> Vec<PatchOperation> {
        let path = |name: &str| PointerBuf::from_tokens(self.place.split('/').skip(1).chain([name]));
        let value = |name: &str| moved.at(self.place).and_then(|spec| spec.get(name)).cloned().unwrap_or_default();
        vec![
            PatchOperation::Replace(ReplaceOperation { path: path(CONTAINERS), value: value(CONTAINERS) }),
            PatchOperation::Add(AddOperation { path: path(INIT_CONTAINERS), value: value(INIT_CONTAINERS) }),
        ]
    }

    /// Differences of an object that was moved, told where its sender wrote what differs.
    pub(crate) fn as_sent(&self, moved: &Value, mut differences: Vec<Difference>) -> Vec<Difference> {
        let inits: HashSet<&str> = self.inits(moved).iter().filter_map(name_of).collect();
        let missing: Vec<&str> = self.names().filter(|name| !inits.contains(name)).collect();
        if !missing.is_empty() {
            // Init containers are compared by position: behind one that is missing everything differs.
            let list = self.list_at(INIT_CONTAINERS);
            differences.retain(|difference| !list.contains(&difference.path));
        }
        differences.iter_mut().for_each(|difference| difference.path = self.place_as_sent(&difference.path));
        differences.extend(missing.into_iter().map(|name| Difference {
            path: self.list_at(CONTAINERS).element(format!("name={name}")),
            expected: Expected::Described("the container that the template has there".into()),
            got: Got::Nothing,
        }));
        differences
    }

    fn list_at(&self, list: &str) -> Path {
        self.place.split('/').skip(1).chain([list]).fold(Path::root(), |path, name| path.key(name))
    }

    fn place_as_sent(&self, path: &Path) -> Path {
        let above = self.list_at(INIT_CONTAINERS);
        let Some([element, below @ ..]) = path.steps().strip_prefix(above.steps()) else { return path.clone() };
        let Step::Element(key) = element else { return path.clone() };
        if !self.names().any(|name| key.strip_prefix("name=") == Some(name)) {
            return path.clone();
        }
        below.iter().fold(self.list_at(CONTAINERS).element(key.as_str()), |path, step| path.then(step.clone()))
    }

    fn inits<'a>(&self, object: &'a Value) -> &'a [Value] {
        let inits = object.at(self.place).and_then(|spec| spec.get(INIT_CONTAINERS)?.as_array());
        inits.map_or(&[], Vec::as_slice)
    }
}

/// Containers by their names, which all of them have.
fn by_name(containers: Vec<Value>) -> HashMap<String, Vec<Value>> {
    let mut named: HashMap<String, Vec<Value>> = HashMap::new();
    for container in containers {
        let name = name_of(&container).unwrap_or_default().to_owned();
        named.entry(name).or_default().push(container);
    }
    named
}

fn name_of(container: &Value) -> Option<&str> {
    container.get("name")?.as_str()
}

/// Whether an init container is a native sidecar.
pub(crate) fn is_native(container: &Value) -> bool {
    container.get(RESTART_POLICY).is_some_and(|policy| policy == ALWAYS)
}

/// A list, taken out; empty where there is none.
fn list(spec: &mut Map<String, Value>, name: &str) -> Option<Vec<Value>> {
    match spec.remove(name) {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::Array(list)) => Some(list),
        Some(_) => None,
    }
}

#[cfg(test)]
#[path = "sidecars_tests.rs"]
mod tests;
