//! Objects that no master started, and on which another collector's key says how long they live: where the admin has
//! turned that on, and nowhere else. [`policies::foreign`] reads the keys.
//!
//! What can be selected is: a label. An annotation cannot, so of the kinds that the admin names for it all objects'
//! metadata pass by, and what carries no key is dropped where it arrives.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use kube::core::metadata::ObjectMeta;
use policies::foreign::{self, Judgement, Subject, Unreadable};
use policies::garbage::Why;
use policies::stamp::{self, Marks};

use super::discover::{Found, Kind, Objects, Rights};
use super::gather::{News, Reading};
use super::identity::Uid;
use super::queue::Tracked;

/// Where other collectors' keys count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Foreign {
    /// The kinds, as `deployments.apps`, whose annotations are read; labels are of every kind that is collected.
    pub annotated: BTreeSet<String>,
    /// In which namespaces; none named: wherever is collected.
    pub namespaces: BTreeSet<String>,
}

impl Foreign {
    /// Adds to `rights` what is followed for such keys, and which of the kinds named for it cannot be.
    pub(super) fn extend(&self, rights: &mut Rights, found: &Found) {
        let namespaces: Vec<Option<String>> = match self.namespaces.is_empty() {
            true => vec![None],
            false => self.namespaces.iter().cloned().map(Some).collect(),
        };
        let kinds = rights.may.iter().filter(|kind| !foreign::holds_copies(&kind.gvk, false));
        let followed = kinds.flat_map(|kind| {
            let annotated = self.annotated.contains(&kind.name());
            namespaces
                .iter()
                .map(move |namespace| Arc::new(kind.of(Objects::Foreign { namespace: namespace.clone(), annotated })))
        });
        let followed: Vec<Arc<Kind>> = followed.collect();
        rights.may.extend(followed);
        for name in &self.annotated {
            match found.missing(name) {
                Some([]) => {}
                Some(missing) => {
                    rights.lacks.insert(format!("{name}: no right to {}", missing.join(", ")));
                }
                None => {
                    let why = "not served, or none that is ever collected (kinds are named like deployments.apps)";
                    rights.lacks.insert(format!("{name}: {why}"));
                }
            }
        }
    }
}

/// What is told of an object as just seen.
pub(super) fn news(metadata: ObjectMeta) -> News {
    let none = BTreeMap::new();
    let carries =
        foreign::carries(metadata.labels.as_ref().unwrap_or(&none), metadata.annotations.as_ref().unwrap_or(&none));
    if carries { News::Seen(Box::new(metadata), None) } else { News::Gone(metadata.uid.unwrap_or_default()) }
}

/// Reads the keys of one object. What carries anything of a stamp is left to the watch of dependents.
pub(super) fn read(kind: &Arc<Kind>, metadata: &ObjectMeta) -> Reading {
    let (Some(_), Some(name), Some(namespace), Some(_), Some(created)) =
        (&metadata.uid, &metadata.name, &metadata.namespace, &metadata.resource_version, &metadata.creation_timestamp)
    else {
        return Reading::Leave;
    };
    let none = BTreeMap::new();
    let labels = metadata.labels.as_ref().unwrap_or(&none);
    let annotations = metadata.annotations.as_ref().unwrap_or(&none);
    let unstamped = stamp::read(Marks::from_maps(labels, annotations), &kind.gvk, namespace, name) == Ok(None);
    if metadata.deletion_timestamp.is_some() || !unstamped {
        return Reading::Leave;
    }
    let controlled = metadata.owner_references.iter().flatten().any(|owner| owner.controller == Some(true));
    let subject = Subject { kind: &kind.gvk, labels, annotations, created: created.0, controlled };
    match foreign::judge(subject) {
        Judgement::Endless | Judgement::Copied => Reading::Leave,
        Judgement::Unreadable(unreadable) => Reading::Keep(unreadable),
        Judgement::Due(deadline, key) => {
            Reading::Track { tracked: Tracked::of(kind, metadata, deadline, Why::Key(key)), notice: None, master: None }
        }
    }
}

/// Objects that are kept since a key of theirs cannot be read: each such value is told of once.
#[derive(Debug, Default)]
pub(super) struct Kept(HashMap<Uid, (Arc<Kind>, Vec<Unreadable>, u64)>);

impl Kept {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes in one as just seen, in the list or events that `epoch` counts; whether that is new.
    pub(super) fn put(&mut self, kind: &Arc<Kind>, uid: Uid, unreadable: &[Unreadable], epoch: u64) -> bool {
        let kept = (Arc::clone(kind), unreadable.to_vec(), epoch);
        let before = self.0.insert(uid, kept);
        before.is_none_or(|(_, told, _)| told != unreadable)
    }

    /// Forgets one: it is gone, or can be read.
    pub(super) fn remove(&mut self, uid: &Uid) {
        self.0.remove(uid);
    }

    /// Forgets what a completed list of `kind` did not show: objects seen before `epoch`.
    pub(super) fn sweep(&mut self, kind: &Kind, epoch: u64) {
        self.0.retain(|_, (of, _, seen)| **of != *kind || *seen >= epoch);
    }
}
