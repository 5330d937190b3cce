//! The differences of an object that is nearly what a plan says, found by walking the two side by side: what a refusal
//! mostly is about is another value, or a field too many.
//!
//! It gives up wherever the long way might see it otherwise (a hole that does not fit, elements that may pair in
//! another way, an object that completing would change), so that both say the same; a property test holds them to it.

use serde_json::{Map, Value};

use super::additions::additions;
use super::plan::{List, Literal, Node, Place, Plan};
use super::walk::{Entries, Walk, added, find, is_aside, is_in_place, is_passed_over, needs_more};
use super::{Marked, Miss};
use crate::difference::{Difference, Expected, Got, Path, Step};
use crate::recognise::bind::Found;
use crate::recognise::{Context, report};
use crate::render::Renderer;
use crate::tables::{self, Both, ListKind, Shape, side_by_side};
use crate::template::{Pattern, Template};
use crate::text::TextMismatch;

/// One step: as differences name it, and as one walks there.
#[derive(Clone)]
enum Turn<'v> {
    Key(&'v str),
    /// An element, by its position, and the merge key and its value by which it is named.
    Element(usize, Option<(&'v str, &'v str)>),
}

struct Contrast<'v, 'w> {
    walk: Walk<'w>,
    trail: Vec<Turn<'v>>,
    differences: Vec<Difference>,
    /// Texts that do not have the form of a hole's text, which the long way tells first.
    misfits: Vec<Difference>,
    /// Which differences are about what the plan does not have, and where: injectors may have added it.
    extras: Vec<(usize, Vec<Turn<'v>>)>,
}

/// None where it gives up, or where there is no difference.
pub(super) fn contrast(
    plan: &Plan,
    template: &Template,
    object: &Value,
    context: &Context<'_>,
    marked: Marked,
) -> Option<Vec<Difference>> {
    let (Node::Map(entries), Value::Object(fields)) = (&plan.root, object) else { return None };
    let shown = fields.get("metadata")?.as_object()?;
    let labels = shown.get("labels").and_then(Value::as_object);
    let only_marks = labels.is_some_and(|labels| labels.keys().all(|key| is_aside("labels", key, marked)));
    let of_kind = ["apiVersion", "kind"].iter().all(|key| match find(entries, key) {
        Some(Node::Literal(literal)) => fields.get(*key) == Some(&literal.value),
        _ => false,
    });
    let shape = tables::built_in_shape(&template.kind)?;
    if !of_kind
        || only_marks
        || plan.hidden
        || !is_in_place(template, shown, context)
        || needs_more(shown)
        || !tables::settled(shape, object)
    {
        return None;
    }
    let walk = Walk::new(template, context);
    let mut contrast =
        Contrast { walk, trail: Vec::new(), differences: Vec::new(), misfits: Vec::new(), extras: Vec::new() };
    contrast.root(entries, fields, plan, shape, marked)?;
    let Contrast { walk, differences, misfits, extras, .. } = contrast;
    let bindings = walk.finish()?;
    let differences = without_additions(differences, &extras, || {
        let mut renderer = Renderer::new(&template.parameters, &bindings);
        let part = additions(&template.kind, plan.injected, &plan.root, &mut renderer, object, context)?;
        added(&plan.root, object, &part)?;
        Some(part)
    })?;
    let differences: Vec<_> = misfits.into_iter().chain(differences).collect();
    if differences.is_empty() {
        return None;
    }
    Some(report::finish(differences, &Found::default(), template, &bindings))
}

/// Leaves out what injectors added.
fn without_additions(
    differences: Vec<Difference>,
    extras: &[(usize, Vec<Turn<'_>>)],
    part: impl FnOnce() -> Option<Value>,
) -> Option<Vec<Difference>> {
    if extras.is_empty() {
        return Some(differences);
    }
    let part = part()?;
    let is_added = |place: &[Turn<'_>]| {
        place.iter().try_fold(&part, |value, turn| match turn {
            Turn::Key(key) => value.get(key),
            Turn::Element(index, _) => value.get(index),
        })
    };
    let added: Vec<usize> =
        extras.iter().filter(|(_, place)| is_added(place).is_some()).map(|(index, _)| *index).collect();
    let kept = differences.into_iter().enumerate().filter(|(index, _)| added.binary_search(index).is_err());
    Some(kept.map(|(_, difference)| difference).collect())
}

impl<'v> Contrast<'v, '_> {
    fn root(
        &mut self,
        entries: &'v Entries,
        fields: &'v Map<String, Value>,
        plan: &Plan,
        shape: Shape<'static>,
        marked: Marked,
    ) -> Option<()> {
        for (name, node, value) in both(entries, fields) {
            match (name, node, value) {
                ("status", ..) if plan.status => {}
                ("metadata", Some(Node::Map(entries)), Some(Value::Object(shown))) => {
                    self.trail.push(Turn::Key(name));
                    self.metadata(entries, shown, shape.field(name), marked)?;
                    self.trail.pop();
                }
                _ => self.field(name, node, value, shape)?,
            }
        }
        Some(())
    }

    fn metadata(
        &mut self,
        entries: &'v Entries,
        shown: &'v Map<String, Value>,
        shape: Shape<'static>,
        marked: Marked,
    ) -> Option<()> {
        for (name, node, value) in both(entries, shown) {
            match (name, node, value) {
                _ if is_passed_over(name, marked) => {}
                ("labels" | "annotations", node, Some(Value::Object(shown))) => {
                    let entries = match node {
                        Some(Node::Map(entries)) => entries,
                        None if shown.keys().all(|key| is_aside(name, key, marked)) => continue,
                        _ => return None,
                    };
                    self.trail.push(Turn::Key(name));
                    for (key, node, value) in both(entries, shown) {
                        if !is_aside(name, key, marked) {
                            self.field(key, node, value, shape.field(name))?;
                        }
                    }
                    self.trail.pop();
                }
                _ => self.field(name, node, value, shape)?,
            }
        }
        Some(())
    }

    fn field(
        &mut self,
        name: &'v str,
        node: Option<&'v Node>,
        value: Option<&'v Value>,
        parent: Shape<'static>,
    ) -> Option<()> {
        self.trail.push(Turn::Key(name));
        match (node, value) {
            (Some(node), Some(value)) => self.node(node, value, parent.field(name))?,
            (Some(Node::Literal(literal)), None) if !tables::absent(parent, name, &literal.value) => {
                self.differ(Expected::Value(literal.value.clone()), Got::Nothing);
            }
            (Some(node), None) => self.walk.absent(node).ok()?,
            (None, Some(value)) if !tables::absent(parent, name, value) => self.extra(value),
            (None, _) => return None,
        }
        self.trail.pop();
        Some(())
    }

    fn node(&mut self, node: &'v Node, value: &'v Value, shape: Shape<'static>) -> Option<()> {
        match (node, value) {
            (Node::Literal(literal), value) => {
                self.literal(literal, value);
                Some(())
            }
            (Node::Map(entries), Value::Object(object)) => {
                both(entries, object).try_for_each(|(name, node, value)| self.field(name, node, value, shape))
            }
            (Node::List(list), Value::Array(values)) => self.list(list, values),
            (Node::Hole(place), value) => self.hole(place, value),
            (Node::Map(_) | Node::List(_), _) => None,
        }
    }

    /// A text in the wrong form is told only outside lists, whose elements it might pair in another way.
    fn hole(&mut self, place: &Place, value: &Value) -> Option<()> {
        let Err(miss) = self.walk.hole(place, value) else { return Some(()) };
        let (Miss::Sure, Pattern::Text(text), Some(shown)) = (miss, &place.pattern, value.as_str()) else {
            return None;
        };
        if self.trail.iter().any(|turn| matches!(turn, Turn::Element(..))) {
            return None;
        }
        let refused = match text.bind(shown, self.walk.given, self.walk.parameters) {
            Err(TextMismatch::Parameter(index)) => Some(index),
            Err(TextMismatch::Form) => None,
            Ok(_) | Err(TextMismatch::Unknown(_)) => return None,
        };
        let expected = Expected::Described(report::describe(&place.pattern, refused, self.walk.parameters));
        self.misfits.push(Difference { path: self.path(), expected, got: Got::Value(value.clone()) });
        Some(())
    }

    fn literal(&mut self, literal: &Literal, value: &Value) {
        if !tables::same(literal.scalar, &literal.value, value) {
            self.differ(Expected::Value(literal.value.clone()), Got::Value(value.clone()));
        }
    }

    fn list(&mut self, list: &'v List, values: &'v [Value]) -> Option<()> {
        let key = match list.shape.list() {
            ListKind::Keyed([key]) if list.many.is_none() => Some(key.as_str()),
            ListKind::Positional if list.many.is_none() => None,
            // Here only that both are the same is told.
            _ => {
                let before = self.walk.extras;
                self.walk.list(list, values).ok()?;
                return (self.walk.extras == before).then_some(());
            }
        };
        let spare = values.get(list.elements.len()..)?;
        for (at, (node, value)) in list.elements.iter().zip(values).enumerate() {
            // A list by position names its elements, too, where both have one name.
            let own = key.unwrap_or("name");
            let named = value.get(own).and_then(Value::as_str).map(|text| (own, text));
            let named = named.filter(|(_, text)| key.is_some() || says(node, own) == Some(*text));
            self.trail.push(Turn::Element(at, named));
            let count = self.differences.len();
            self.node(node, value, list.shape.element())?;
            if self.differences.len() > count && !list.pairs(at, values) {
                return None;
            }
            self.trail.pop();
        }
        for (at, value) in values.iter().enumerate().skip(list.elements.len()) {
            let named = key.map(|key| Some((key, value.get(key)?.as_str()?)));
            self.trail.push(Turn::Element(at, named.unwrap_or_default()));
            self.extra(value);
            self.trail.pop();
        }
        // With others in the list its elements pair by their keys alone.
        let pair = key.is_none() || (0..list.elements.len().min(1)).all(|at| list.pairs(at, values));
        if !spare.is_empty() && !pair || list.variables && !spare.is_empty() { None } else { Some(()) }
    }

    fn extra(&mut self, value: &Value) {
        self.extras.push((self.differences.len(), self.trail.clone()));
        self.differ(Expected::Nothing, Got::Value(value.clone()));
    }

    fn differ(&mut self, expected: Expected, got: Got) {
        self.differences.push(Difference { path: self.path(), expected, got });
    }

    fn path(&self) -> Path {
        let steps = self.trail.iter().map(|turn| match turn {
            Turn::Key(key) => Step::Key((*key).to_owned()),
            Turn::Element(_, Some((key, text))) => Step::Element(format!("{key}={text}")),
            Turn::Element(index, None) => Step::Index(*index),
        });
        Path::from_steps(steps.collect())
    }
}

/// The literal text of a field.
fn says<'n>(node: &'n Node, name: &str) -> Option<&'n str> {
    match node {
        Node::Map(entries) => match find(entries, name)? {
            Node::Literal(literal) => literal.value.as_str(),
            _ => None,
        },
        _ => None,
    }
}

/// The entries of a plan's map and an object's, side by side, in the order of their names.
fn both<'v>(entries: &'v Entries, fields: &'v Map<String, Value>) -> impl Iterator<Item = Both<'v, Node, Value>> {
    let planned = entries.iter().map(|(name, node)| (&**name, node));
    side_by_side(planned, fields.iter().map(|(name, value)| (name.as_str(), value)))
}
