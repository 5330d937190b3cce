//! The stamp: ownerReference, labels and annotation on a dependent; written, read, verified.
//!
//! The annotation is the truth; the labels are for people and selectors. The stamp names the object it is on, since
//! controllers copy labels and annotations (a Deployment's to its ReplicaSets, a Service's to its EndpointSlices): on
//! such a copy it is no stamp.

mod patch;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::keys;
use crate::lifetime::{self, Lifetime};
use crate::object::{Gvk, NamespacedName, ObjectRef};

/// The largest JSON of parameters that the annotation records, in bytes; above it they are left out.
const PARAMETERS_LIMIT: usize = 16 * 1024;
/// The largest annotation that is read, in bytes: above what [`PARAMETERS_LIMIT`] and names allow.
const READ_LIMIT: usize = 64 * 1024;
/// What most annotations fit in, in bytes, so that they are written without being moved.
const USUAL_ANNOTATION: usize = 1024;
/// The longest label value that Kubernetes takes (apimachinery's `LabelValueMaxLength`).
const LABEL_LIMIT: usize = 63;

/// The object that a stamp is on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StampedObject {
    /// `apiVersion` as written.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Namespace.
    pub namespace: String,
    /// Name; none when the API server makes one from [`Self::generate_name`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// generateName.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generate_name: Option<String>,
}

/// The pod that asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StampedPod {
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
}

/// The template that admitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StampedTemplate {
    /// The ConfigMap.
    pub config_map: NamespacedName,
    /// The `data` key.
    pub key: String,
    /// The ConfigMap's uid.
    pub uid: String,
    /// Its resourceVersion.
    pub version: String,
    /// Hash of its content.
    pub hash: String,
}

/// The admission record: the JSON in `fledged.io/admission`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Record {
    /// The object's own kind, namespace and name.
    pub object: StampedObject,
    /// The master's account.
    pub account: NamespacedName,
    /// The pod.
    pub pod: StampedPod,
    /// The workload.
    pub workload: ObjectRef,
    /// The template.
    pub template: StampedTemplate,
    /// The recovered parameters; sensitive and generated ones never.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, Value>,
    /// Whether the parameters were too large to record.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub parameters_omitted: bool,
    /// The granted duration, `3600s` or `none`; absent: as long as its master lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// How long a finished Job is kept, `600s`; absent: as long as it lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_finished: Option<String>,
    /// How long before its deadline an Event on it says so, `600s`; absent: none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify_before: Option<String>,
    /// Whether its end is that of the workload, whoever its owner is. Absent where its template says `none` (owner or
    /// duration), and in stamps before there was this field: then nothing is concluded from the workload's end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ends_with_master: bool,
}

impl Record {
    /// Keeps the annotation bounded: parameters above the limit are left out, and said to be.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let size = serde_json::to_string(&self.parameters).map_or(usize::MAX, |text| text.len());
        if size > PARAMETERS_LIMIT {
            self.parameters.clear();
            self.parameters_omitted = true;
        }
        self
    }

    /// Whether this record is about the object with this kind, namespace and name.
    pub fn names(&self, kind: &Gvk, namespace: &str, name: &str) -> bool {
        let object = &self.object;
        let own_name = match (&object.name, &object.generate_name) {
            (Some(own), _) => own == name,
            (None, Some(prefix)) => generated_from(name, prefix),
            (None, None) => false,
        };
        let recorded = Gvk::from_api_version(&object.api_version, &object.kind);
        // The version is not compared: an object may be read and deleted through another one.
        own_name && object.namespace == namespace && recorded.group == kind.group && recorded.kind == kind.kind
    }

    /// Whether `account` and `workload` (kind and name, whatever its uid today) own this dependent.
    pub fn belongs_to(&self, account: &NamespacedName, workload: &ObjectRef) -> bool {
        let group = |api_version: &str| Gvk::from_api_version(api_version, "").group;
        self.account == *account
            && self.workload.kind == workload.kind
            && self.workload.name == workload.name
            && group(&self.workload.api_version) == group(&workload.api_version)
    }
}

/// Whether `name` is what the API server makes of the generateName `prefix`: the prefix, cut to 58 characters, and five
/// of its suffix letters (apiserver's `names.SimpleNameGenerator`, apimachinery's `rand.String`).
pub fn generated_from(name: &str, prefix: &str) -> bool {
    const SUFFIX: usize = 5;
    const PREFIX: usize = 63 - SUFFIX;
    let base = prefix.get(..PREFIX).unwrap_or(prefix);
    name.strip_prefix(base).is_some_and(|suffix| {
        suffix.len() == SUFFIX && suffix.bytes().all(|byte| b"bcdfghjklmnpqrstvwxz2456789".contains(&byte))
    })
}

/// A stamp as read from an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Stamp {
    /// The admission record.
    pub record: Record,
    /// The deadline; none: as long as its master lives.
    pub deadline: Option<Timestamp>,
}

/// Why what is on an object is no stamp.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StampError {
    /// The annotation is missing while labels of the stamp are there.
    #[error("it has labels of a stamp, but no annotation {}", keys::ADMISSION)]
    NoAnnotation,
    /// The annotation cannot be read.
    #[error("its annotation fledged.io/admission cannot be read: {0}")]
    Unreadable(String),
    /// The label by which the floor knows what to guard is missing.
    #[error("it has no label {}, without which nothing is a stamp", keys::MASTER)]
    NoMaster,
    /// The stamp is another object's.
    #[error("its stamp is that of {0}, copied")]
    OtherObject(String),
    /// The deadline label cannot be read.
    #[error("its label fledged.io/expires-at: {0}")]
    Deadline(lifetime::DeadlineError),
}

/// Labels and annotations of an object, as JSON or typed metadata give them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Marks<'a> {
    /// `fledged.io/admission`.
    pub admission: Option<&'a str>,
    /// `fledged.io/expires-at`.
    pub expires_at: Option<&'a str>,
    /// Whether `fledged.io/master` is there. The floor guards what carries it: without it nothing is a stamp.
    pub master: bool,
    /// Whether `fledged.io/template` is there.
    pub template: bool,
}

impl<'a> Marks<'a> {
    /// From an object's JSON.
    pub fn of(object: &'a Value) -> Self {
        let text = |map: &str, key: &str| object["metadata"][map].get(key).and_then(Value::as_str);
        Self {
            admission: text("annotations", keys::ADMISSION),
            expires_at: text("labels", keys::EXPIRES_AT),
            master: text("labels", keys::MASTER).is_some(),
            template: text("labels", keys::TEMPLATE).is_some(),
        }
    }

    /// From typed labels and annotations.
    pub fn from_maps(labels: &'a BTreeMap<String, String>, annotations: &'a BTreeMap<String, String>) -> Self {
        Self {
            admission: annotations.get(keys::ADMISSION).map(String::as_str),
            expires_at: labels.get(keys::EXPIRES_AT).map(String::as_str),
            master: labels.contains_key(keys::MASTER),
            template: labels.contains_key(keys::TEMPLATE),
        }
    }
}

/// Reads the stamp of the object `kind`, `namespace`, `name`. `Ok(None)`: it carries none.
///
/// # Errors
/// [`StampError`] where there is something like a stamp that is none.
pub fn read(marks: Marks<'_>, kind: &Gvk, namespace: &str, name: &str) -> Result<Option<Stamp>, StampError> {
    let Some(admission) = marks.admission else {
        let marked = marks.master || marks.template || marks.expires_at.is_some();
        return if marked { Err(StampError::NoAnnotation) } else { Ok(None) };
    };
    if admission.len() > READ_LIMIT {
        return Err(StampError::Unreadable(format!("it is longer than {READ_LIMIT} bytes")));
    }
    let record: Record =
        serde_json::from_str(admission).map_err(|error| StampError::Unreadable(position_only(&error)))?;
    if !record.names(kind, namespace, name) {
        let other = &record.object;
        let name = other.name.as_deref().or(other.generate_name.as_deref()).unwrap_or("(unnamed)");
        return Err(StampError::OtherObject(format!("{} {}/{name}", other.kind, other.namespace)));
    }
    if !marks.master {
        return Err(StampError::NoMaster);
    }
    let deadline = marks.expires_at.map(lifetime::read_label).transpose().map_err(StampError::Deadline)?;
    Ok(Some(Stamp { record, deadline }))
}

/// Says where JSON broke without echoing its content.
fn position_only(error: &serde_json::Error) -> String {
    format!("broken or of another version at column {}", error.column())
}

/// What the stamp puts on an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Marking {
    /// The admission record.
    pub record: Record,
    /// The deadline.
    pub deadline: Option<Timestamp>,
    /// The ownerReference to add; none where the caller sent an accepted one, or the template wants none.
    pub owner: Option<ObjectRef>,
}

impl Marking {
    /// The labels, in the order of their keys.
    pub fn labels(&self) -> Vec<(&'static str, String)> {
        let deadline = self.deadline.map(|deadline| (keys::EXPIRES_AT, lifetime::label(deadline)));
        deadline.into_iter().chain(self.lasting_labels()).collect()
    }

    /// The labels that say the same whenever they are written.
    pub(crate) fn lasting_labels(&self) -> [(&'static str, String); 2] {
        let (account, template) = (&self.record.account, &self.record.template);
        [
            (keys::MASTER, label_value(&format!("{}.{}", account.namespace, account.name))),
            (keys::TEMPLATE, label_value(&format!("{}.{}", template.config_map.name, template.key))),
        ]
    }

    /// The annotation's text.
    pub fn annotation(&self) -> String {
        let mut text = Vec::with_capacity(USUAL_ANNOTATION);
        serde_json::to_writer(&mut text, &self.record).expect("a record is plain data");
        String::from_utf8(text).expect("JSON is UTF-8")
    }

    /// Puts the stamp on `object`; what it carried of a stamp before is replaced.
    pub fn put_on(&self, object: &mut Value) {
        strip(object);
        let metadata = child(object, "metadata");
        let labels = child_map(metadata, "labels");
        for (key, value) in self.labels() {
            labels.insert(key.into(), value.into());
        }
        let annotations = child_map(metadata, "annotations");
        annotations.insert(keys::ADMISSION.into(), self.annotation().into());
        if let Some(owner) = &self.owner {
            let reference = reference(owner);
            let references = child(metadata, "ownerReferences");
            match references {
                Value::Array(list) if list.contains(&reference) => {}
                Value::Array(list) => list.push(reference),
                other => *other = Value::Array(vec![reference]),
            }
        }
    }
}

/// An owner as an ownerReference.
fn reference(owner: &ObjectRef) -> Value {
    json!({"apiVersion": owner.api_version, "kind": owner.kind, "name": owner.name, "uid": owner.uid})
}

fn child<'a>(parent: &'a mut Value, key: &str) -> &'a mut Value {
    if !parent.is_object() {
        *parent = Value::Object(Map::new());
    }
    &mut parent[key]
}

fn child_map<'a>(parent: &'a mut Value, key: &str) -> &'a mut Map<String, Value> {
    let value = child(parent, key);
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("it was made a map just above"),
    }
}

/// Takes the stamp's labels and annotation off `object`, and drops maps that it leaves empty.
pub fn strip(object: &mut Value) {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    remove_keys(metadata, "labels", &keys::STAMP_LABELS);
    remove_keys(metadata, "annotations", &[keys::ADMISSION]);
}

/// Takes `unwanted` keys out of the map `name` of `metadata`, and the map with them if it is empty then.
pub fn remove_keys(metadata: &mut Map<String, Value>, name: &str, unwanted: &[&str]) {
    if let Some(map) = metadata.get_mut(name).and_then(Value::as_object_mut) {
        let before = map.len();
        map.retain(|key, _| !unwanted.contains(&key.as_str()));
        if map.is_empty() && before > 0 {
            metadata.remove(name);
        }
    }
}

/// A readable, label-safe value: what labels refuse becomes `-`; too long is shortened with a hash of the whole.
pub fn label_value(text: &str) -> String {
    // What names and file names are made of is nearly always one as it is.
    let is_edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let bytes = text.as_bytes();
    if text.len() <= LABEL_LIMIT && is_edge(bytes.first()) && is_edge(bytes.last()) && text.bytes().all(is_safe) {
        return text.to_owned();
    }
    let safe: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect();
    let safe = safe.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    if safe.len() <= LABEL_LIMIT {
        return safe.to_owned();
    }
    let hash = hex(&Sha256::digest(text.as_bytes()), 8);
    let head = safe.get(..LABEL_LIMIT - 9).unwrap_or(safe).trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
    format!("{head}-{hash}")
}

/// The first `characters` of the hexadecimal form of `bytes`.
pub fn hex(bytes: &[u8], characters: usize) -> String {
    let mut out: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    out.truncate(characters);
    out
}

/// The granted lifetime as the record holds it.
pub fn duration_text(granted: Option<Lifetime>) -> Option<String> {
    granted.map(|lifetime| lifetime.to_string())
}

#[cfg(test)]
#[path = "stamp_tests.rs"]
pub(crate) mod tests;
