//! What injectors would add, by asking them: they are given the part of the expected tree that they read and write,
//! with the values of the holes in it, and what is in it afterwards and not in the tree is what they added.

use serde_json::{Map, Value};

use super::plan::{Injected, Node};
use super::walk::find;
use crate::difference::{Path, Step};
use crate::object::Gvk;
use crate::recognise::Context;
use crate::render::Renderer;
use crate::tables;

/// A part of a tree.
pub(super) enum Keep {
    All,
    Fields(&'static [(&'static str, Keep)]),
    /// Of every element.
    Elements(&'static Keep),
}

const METADATA: Keep = Keep::Fields(&[("annotations", Keep::All), ("generateName", Keep::All), ("name", Keep::All)]);
const MOUNTED: Keep = Keep::Elements(&Keep::Fields(&[
    ("name", Keep::All),
    ("volumeMounts", Keep::Elements(&Keep::Fields(&[("mountPath", Keep::All), ("name", Keep::All)]))),
]));
const NAMED: Keep = Keep::Elements(&Keep::Fields(&[("name", Keep::All)]));
/// Of a pod's spec.
pub(super) const POD_SPEC: &[(&str, Keep)] = &[
    ("automountServiceAccountToken", Keep::All),
    ("containers", MOUNTED),
    ("imagePullSecrets", Keep::All),
    ("initContainers", MOUNTED),
    ("preemptionPolicy", Keep::All),
    ("priority", Keep::All),
    ("priorityClassName", Keep::All),
    ("serviceAccount", Keep::All),
    ("serviceAccountName", Keep::All),
    ("tolerations", Keep::All),
    ("volumes", NAMED),
];
const POD: Keep = Keep::Fields(&[("metadata", METADATA), ("spec", Keep::Fields(POD_SPEC))]);
const JOB: Keep = Keep::Fields(&[
    ("metadata", METADATA),
    (
        "spec",
        Keep::Fields(&[
            ("manualSelector", Keep::All),
            ("selector", Keep::All),
            ("template", Keep::Fields(&[("metadata", Keep::Fields(&[("labels", Keep::All)]))])),
        ]),
    ),
]);
const STATEFUL_SET: Keep =
    Keep::Fields(&[("metadata", METADATA), ("spec", Keep::Fields(&[("updateStrategy", Keep::All)]))]);
const OTHER: Keep = Keep::Fields(&[("metadata", METADATA)]);

fn part_of(injected: Injected) -> &'static Keep {
    match injected {
        Injected::Metadata => &OTHER,
        Injected::Pod => &POD,
        Injected::Job => &JOB,
        Injected::StatefulSet => &STATEFUL_SET,
    }
}

/// The kept part of what is expected, with all that injectors add to it; none where they could not tell.
pub(super) fn additions(
    kind: &Gvk,
    injected: Injected,
    root: &Node,
    renderer: &mut Renderer<'_>,
    object: &Value,
    context: &Context<'_>,
) -> Option<Value> {
    let mut part = kept(root, part_of(injected), renderer)?;
    tables::inject_into(kind, &mut part, object, context.form, context.namespace, context.facts).ok()?;
    Some(part)
}

/// Whether no hole is in the kept part.
pub(super) fn is_without_holes(node: &Node, keep: &Keep) -> bool {
    match (node, keep) {
        (Node::Map(entries), Keep::Fields(fields)) => {
            fields.iter().all(|(name, keep)| find(entries, name).is_none_or(|node| is_without_holes(node, keep)))
        }
        (Node::Map(entries), _) => entries.iter().all(|(_, node)| is_without_holes(node, keep)),
        (Node::List(list), keep) => {
            let keep = if let Keep::Elements(keep) = keep { keep } else { keep };
            list.many.is_none() && list.elements.iter().all(|node| is_without_holes(node, keep))
        }
        (Node::Literal(_), _) => true,
        (Node::Hole(_), _) => false,
    }
}

/// Whether injectors read what stands at `path`, or in it, or around it, of an object of this kind.
pub(super) fn are_about(injected: Injected, path: &Path) -> bool {
    let mut keep = part_of(injected);
    for step in path.steps() {
        keep = match (keep, step) {
            (Keep::All, _) => return true,
            (Keep::Fields(fields), Step::Key(key)) => match fields.iter().find(|(name, _)| name == key) {
                Some((_, keep)) => keep,
                None => return false,
            },
            (Keep::Elements(keep), Step::Index(_) | Step::Element(_)) => keep,
            _ => return true,
        };
    }
    true
}

/// None where a hole that is kept takes elements, or is absent.
fn kept(node: &Node, keep: &Keep, renderer: &mut Renderer<'_>) -> Option<Value> {
    match (node, keep) {
        (Node::Map(entries), Keep::Fields(fields)) => {
            let mut out = Map::new();
            for (name, keep) in *fields {
                if let Some(node) = find(entries, name) {
                    out.insert((*name).to_owned(), kept(node, keep, renderer)?);
                }
            }
            Some(Value::Object(out))
        }
        (Node::Map(entries), _) => {
            let entries = entries.iter().map(|(name, node)| Some((String::from(&**name), kept(node, keep, renderer)?)));
            entries.collect::<Option<_>>().map(Value::Object)
        }
        (Node::List(list), keep) if list.many.is_none() => {
            let keep = if let Keep::Elements(keep) = keep { keep } else { keep };
            list.elements.iter().map(|node| kept(node, keep, renderer)).collect::<Option<_>>().map(Value::Array)
        }
        (Node::List(_), _) => None,
        (Node::Literal(literal), _) => Some(literal.value.clone()),
        (Node::Hole(place), _) => renderer.value(&place.pattern),
    }
}
