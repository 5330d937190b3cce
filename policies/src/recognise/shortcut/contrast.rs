//! The differences of an object that is nearly what a plan says, found by walking the two side by side: what a refusal
//! mostly is about is another value, or a field too many.
//!
//! It gives up wherever the long way might see it otherwise (a hole that does not fit, elements that may pair in
//! another way, an object that completing would change), so that both say the same; a property test holds them to it.

use std::cell::OnceCell;

use serde_json::{Map, Value};

use super::additions::{additions, are_about};
use super::plan::{Entries, INSPECTED, List, Literal, Node, Place, Plan};
use super::walk::{Walk, added, find, is_aside, is_in_place, is_passed_over, needs_more, says};
use super::{Marked, Miss};
use crate::difference::{Difference, Expected, Got, Path, Step};
use crate::recognise::bind::Found;
use crate::recognise::{Context, report, work};
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

struct Contrast<'v> {
    walk: Walk<'v>,
    /// The shape of the whole object.
    shape: Shape<'static>,
    trail: Vec<Turn<'v>>,
    found: Vec<Unlike<'v>>,
    /// Texts that do not have the form of a hole's text, which the long way tells first.
    misfits: Vec<Difference>,
    /// Whether completing the object does nothing at all places where it is another than the plan, nor elsewhere for
    /// their sake.
    settled: bool,
}

/// Where the object is another than the plan.
enum Unlike<'v> {
    Difference(Difference),
    /// What the plan does not have: injectors may have added it.
    Extra(Vec<Turn<'v>>, &'v Value),
}

/// None where it gives up, or where there is no difference.
pub(super) fn contrast<'v>(
    plan: &'v Plan,
    template: &'v Template,
    object: &'v Value,
    context: &Context<'v>,
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
        // The nearest may be the object without some of them.
        || plan.defaulted
        || !is_in_place(template, shown, context)
        || needs_more(shown)
    {
        return None;
    }
    let mut walk = Walk::new(template, context);
    walk.at_once = true;
    let mut contrast =
        Contrast { walk, shape, trail: Vec::new(), found: Vec::new(), misfits: Vec::new(), settled: true };
    let walked = contrast.root(entries, fields, plan, marked);
    let visited = contrast.walk.visited;
    contrast.walk.settle_account().ok()?;
    walked?;
    let Contrast { walk, found, misfits, settled, .. } = contrast;
    let bindings = walk.finish().ok()?;
    let extras = found.iter().filter(|unlike| matches!(unlike, Unlike::Extra(..))).count();
    let remembered = plan.memory.as_ref().is_some_and(|memory| {
        // With another value where injectors look they may say otherwise than before.
        let elsewhere = found.iter().all(|unlike| match unlike {
            Unlike::Difference(difference) => !are_about(plan.injected, &difference.path),
            Unlike::Extra(..) => true,
        });
        misfits.is_empty() && elsewhere && memory.holds(object, extras, context)
    });
    // What was remembered was so in an object that was complete.
    if !(settled && (extras == 0 || remembered))
        && !(context.spend((visited * work::LOOK) as u64) && tables::settled(shape, object))
    {
        return None;
    }
    let differences = without_additions(found, remembered, || {
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

/// Leaves out what injectors added; that is all extras if so `remembered`.
fn without_additions(
    found: Vec<Unlike<'_>>,
    remembered: bool,
    part: impl FnOnce() -> Option<Value>,
) -> Option<Vec<Difference>> {
    let ask = !remembered && found.iter().any(|unlike| matches!(unlike, Unlike::Extra(..)));
    let part = if ask { Some(part()?) } else { None };
    let is_added = |place: &[Turn<'_>]| {
        let found = |part: &Value| {
            let there = place.iter().try_fold(part, |value, turn| match turn {
                Turn::Key(key) => value.get(key),
                Turn::Element(index, _) => value.get(index),
            });
            there.is_some()
        };
        part.as_ref().is_none_or(found)
    };
    let differences = found.into_iter().filter_map(|unlike| match unlike {
        Unlike::Difference(difference) => Some(difference),
        Unlike::Extra(place, _) if is_added(&place) => None,
        Unlike::Extra(place, value) => {
            Some(Difference { path: path(&place), expected: Expected::Nothing, got: Got::Value(value.clone()) })
        }
    });
    Some(differences.collect())
}

fn path(trail: &[Turn<'_>]) -> Path {
    let steps = trail.iter().map(|turn| match turn {
        Turn::Key(key) => Step::key(key),
        Turn::Element(_, Some((key, text))) => Step::element(format!("{key}={text}")),
        Turn::Element(index, None) => Step::Index(*index),
    });
    Path::from_steps(steps.collect())
}

impl<'v> Contrast<'v> {
    fn root(
        &mut self,
        entries: &'v Entries,
        fields: &'v Map<String, Value>,
        plan: &Plan,
        marked: Marked,
    ) -> Option<()> {
        self.walk.visited += entries.len().max(fields.len());
        for (name, node, value) in both(entries, fields) {
            match (name, node, value) {
                ("status", ..) if plan.status => {}
                ("metadata", Some(Node::Map(entries)), Some(Value::Object(shown))) => {
                    self.trail.push(Turn::Key(name));
                    self.metadata(entries, shown, marked)?;
                    self.trail.pop();
                }
                _ => self.field(name, node, value)?,
            }
        }
        Some(())
    }

    fn metadata(&mut self, entries: &'v Entries, shown: &'v Map<String, Value>, marked: Marked) -> Option<()> {
        self.walk.visited += entries.len().max(shown.len());
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
                    self.walk.visited += entries.len().max(shown.len());
                    for (key, node, value) in both(entries, shown) {
                        if !is_aside(name, key, marked) {
                            self.field(key, node, value)?;
                        }
                    }
                    self.trail.pop();
                }
                _ => self.field(name, node, value)?,
            }
        }
        Some(())
    }

    fn field(&mut self, name: &'v str, node: Option<&'v Node>, value: Option<&'v Value>) -> Option<()> {
        if let (Some(node), Some(value)) = (node, value) {
            self.trail.push(Turn::Key(name));
            self.node(node, value)?;
            self.trail.pop();
            return Some(());
        }
        let absent = |contrast: &Self, value: &Value| tables::absent(contrast.shape_here(), name, value);
        match (node, value) {
            (Some(Node::Literal(literal)), None) if !absent(self, &literal.value) => {
                self.trail.push(Turn::Key(name));
                self.settled = false;
                self.differ(Expected::Value(literal.value.clone()), Got::Nothing);
                self.trail.pop();
            }
            (Some(node), None) => {
                self.settled = false;
                self.walk.absent(node).ok()?;
            }
            (None, Some(value)) if !absent(self, value) => {
                self.trail.push(Turn::Key(name));
                self.extra(value);
                self.trail.pop();
            }
            (None, _) | (Some(_), Some(_)) => return None,
        }
        Some(())
    }

    /// The shape of what is being looked at. Found anew, since hardly any place is asked for.
    fn shape_here(&self) -> Shape<'static> {
        self.trail.iter().fold(self.shape, |shape, turn| match turn {
            Turn::Key(key) => shape.field(key),
            Turn::Element(..) => shape.element(),
        })
    }

    fn node(&mut self, node: &'v Node, value: &'v Value) -> Option<()> {
        match (node, value) {
            (Node::Literal(literal), value) => {
                self.literal(literal, value);
                Some(())
            }
            (Node::Map(entries), Value::Object(object)) => {
                self.walk.visited += entries.len().max(object.len());
                both(entries, object).try_for_each(|(name, node, value)| self.field(name, node, value))
            }
            (Node::List(list), Value::Array(values)) => self.list(list, values),
            (Node::Hole(place), value) => self.hole(place, value),
            (Node::Map(_) | Node::List(_), _) => None,
        }
    }

    /// A text in the wrong form is told only outside lists, whose elements it might pair in another way.
    fn hole(&mut self, place: &'v Place, value: &'v Value) -> Option<()> {
        let Err(miss) = self.walk.hole(place, value) else { return Some(()) };
        let (Miss::Sure, Pattern::Text(text), Some(shown)) = (miss, &place.pattern, value.as_str()) else {
            return None;
        };
        if self.trail.iter().any(|turn| matches!(turn, Turn::Element(..))) {
            return None;
        }
        // What it costs was taken before, too: it is read once more.
        let (parameters, budget) = (self.walk.parameters, self.walk.budget);
        self.walk.spend(work::of_text(text, shown.len(), parameters, budget)).ok()?;
        let refused = match text.bind(shown, self.walk.given, self.walk.parameters) {
            Err(TextMismatch::Parameter(index)) => Some(index),
            Err(TextMismatch::Form) => None,
            Ok(_) | Err(TextMismatch::Unknown(_)) => return None,
        };
        let expected = Expected::Described(report::describe(&place.pattern, refused, value, self.walk.parameters));
        self.misfits.push(Difference { path: path(&self.trail), expected, got: Got::Value(value.clone()) });
        Some(())
    }

    fn literal(&mut self, literal: &Literal, value: &Value) {
        if literal.value == *value {
            return;
        }
        let looked_at = match self.trail.last() {
            Some(Turn::Key(name)) => INSPECTED.contains(name) || *name == "image",
            _ => false,
        };
        self.settled &= !looked_at && tables::stays(self.shape_here(), value);
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
        self.walk.visited += values.len();
        let in_place = OnceCell::new();
        let is_in_place = |at: usize| in_place.get_or_init(|| list.in_place(values)).has(at);
        for (at, (node, value)) in list.elements.iter().zip(values).enumerate() {
            // A list by position names its elements, too, where both have one name.
            let own = key.unwrap_or("name");
            let named = value.get(own).and_then(Value::as_str).map(|text| (own, text));
            let named = named.filter(|(_, text)| key.is_some() || says(node, own) == Some(*text));
            self.trail.push(Turn::Element(at, named));
            let count = self.found.len();
            self.node(node, value)?;
            if self.found.len() > count && !is_in_place(at) {
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
        let pair = || key.is_none() || (0..list.elements.len().min(1)).all(is_in_place);
        if spare.is_empty() || !list.variables && pair() { Some(()) } else { None }
    }

    /// What is told is copied, by the way there.
    fn extra(&mut self, value: &'v Value) {
        self.walk.visited += self.trail.len() + work::size(value) as usize / work::LOOK;
        self.found.push(Unlike::Extra(self.trail.clone(), value));
    }

    fn differ(&mut self, expected: Expected, got: Got) {
        self.found.push(Unlike::Difference(Difference { path: path(&self.trail), expected, got }));
    }
}

/// The entries of a plan's map and an object's, side by side, in the order of their names.
fn both<'v>(entries: &'v Entries, fields: &'v Map<String, Value>) -> impl Iterator<Item = Both<'v, Node, Value>> {
    let planned = entries.iter().map(|(name, node)| (&**name, node));
    side_by_side(planned, fields.iter().map(|(name, value)| (name.as_str(), value)))
}
