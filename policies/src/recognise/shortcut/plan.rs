//! A template, rendered and completed once with marks in the place of its holes.

use std::cell::Cell;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde_json::Value;

use super::additions::{Keep, is_without_holes};
use super::remembered::Memory;
use crate::keys;
use crate::parameter::{Bindings, Parameters, Schema};
use crate::recognise::absent::filled;
use crate::recognise::bind::{is_hidden, is_secret};
use crate::recognise::known::Known;
use crate::render::{Instead, Renderer};
use crate::shared::Pool;
use crate::tables::{self, Facts, SERVER_OWNED, Scalar, Shape};
use crate::template::{Element, Field, Hole, Pattern, Placement, Template};

/// What marks begin and end with; no template with it in a text has a plan.
const MARK: char = '\u{1}';

/// Fields whose value completing looks at (`src/tables/rules.rs`, and the conditions in `tables/defaults.txt`): with a
/// hole there a template has no plan.
pub(crate) const INSPECTED: [&str; 8] = [
    "hostNetwork",
    "terminationGracePeriodSeconds",
    "reference",
    "type",
    "allocationMode",
    "externalIPs",
    "runtimeClassName",
    "phase",
];

/// Fields in which a whole list or map may be a hole: completing goes into it, but nothing else depends on it.
const STRUCTURES: [&str; 6] = ["nodeSelector", "env", "envFrom", "args", "command", "matchLabels"];

/// Fields that make injectors look at what [`super::additions`] does not show them.
const INJECTED: [&str; 3] = ["runtimeClassName", "matchLabelKeys", "mismatchLabelKeys"];

/// What injectors may add to the objects of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Injected {
    /// To metadata alone.
    Metadata,
    /// What a pod gets.
    Pod,
    /// What a Job gets.
    Job,
    /// What a StatefulSet gets.
    StatefulSet,
}

/// A completed template.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) root: Node,
    pub(super) injected: Injected,
    /// What they added before, where that says what they add.
    pub(super) memory: Option<Memory>,
    /// Whether `status` is the server's own.
    pub(super) status: bool,
    /// Whether any of its holes stands for what must not be shown.
    pub(super) hidden: bool,
    /// Whether a hole that may be absent, or empty, stands where completing may fill something in, or where something
    /// else depends on it.
    pub(super) defaulted: bool,
}

/// Part of it. What has no hole in it is kept once, whatever templates say it: a walk would otherwise read a cluster's
/// plans from memory that is cold.
#[derive(Debug)]
pub(super) enum Node {
    Literal(Arc<Literal>),
    /// In the order of the names.
    Map(Arc<Entries>),
    List(Arc<List>),
    Hole(Box<Place>),
}

/// The fields of a map, by name.
pub(super) type Entries = [(Field, Node)];

static LITERALS: Pool<Literal> = Pool::new();
static MAPS: Pool<Entries> = Pool::new();
static LISTS: Pool<List> = Pool::new();

/// By identity: what is equal is kept once, and a hole is its template's own.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Literal(one), Self::Literal(other)) => Arc::ptr_eq(one, other),
            (Self::Map(one), Self::Map(other)) => Arc::ptr_eq(one, other),
            (Self::List(one), Self::List(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Eq for Node {}

impl Hash for Node {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Literal(literal) => Arc::as_ptr(literal).hash(state),
            Self::Map(entries) => Arc::as_ptr(entries).cast::<()>().hash(state),
            Self::List(list) => Arc::as_ptr(list).hash(state),
            Self::Hole(_) => {}
        }
    }
}

impl Node {
    fn map(entries: Vec<(Field, Self)>) -> Self {
        let kept = entries.iter().all(|(_, node)| is_without_holes(node, &Keep::All));
        Self::Map(if kept { MAPS.share(entries) } else { entries.into() })
    }

    fn list(list: List) -> Self {
        let kept = list.many.is_none() && list.elements.iter().all(|node| is_without_holes(node, &Keep::All));
        Self::List(if kept { LISTS.share(list) } else { list.into() })
    }
}

/// A scalar.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Literal {
    pub(super) value: Value,
    pub(super) scalar: Scalar,
    /// Whether the template itself says it there, rather than completing: then every rendering has it.
    pub(super) said: bool,
}

/// A list, and where a hole takes elements of it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct List {
    pub(super) elements: Box<[Node]>,
    /// The hole, the number of elements before it, and the shape of what it takes.
    pub(super) many: Option<(usize, usize, Shape<'static>)>,
    /// Whether these are variables, whose names must differ, and not all of them are literal.
    pub(super) variables: bool,
    pub(super) shape: Shape<'static>,
}

/// A place of a hole.
#[derive(Debug)]
pub(super) struct Place {
    /// [`Pattern::Text`] or [`Pattern::Hole`].
    pub(super) pattern: Pattern,
    pub(super) shape: Shape<'static>,
    /// Whether the field may be absent without that changing anything else.
    pub(super) optional: bool,
    /// Whether it may be absent, or empty, and completing may then fill it in, or change something else.
    pub(super) defaulted: bool,
    /// Whether it is the image of a container: the pull policy depends on it.
    pub(super) image: bool,
}

impl Plan {
    /// None where a template has none.
    pub(super) fn of(template: &Template) -> Option<Self> {
        let shape = tables::built_in_shape(&template.kind)?;
        if is_secret(template) || matches!(&template.placement, Placement::Named(pattern) if pattern.as_str().is_none())
        {
            return None;
        }
        let injected = match (template.kind.group.as_str(), template.kind.kind.as_str()) {
            ("", "Pod") => Injected::Pod,
            ("batch", "Job") => Injected::Job,
            ("apps", "StatefulSet") => Injected::StatefulSet,
            ("", "Service" | "PersistentVolumeClaim") | ("apps", "DaemonSet") | (_, "Ingress") => return None,
            _ => Injected::Metadata,
        };
        let parameters = &*template.parameters;
        let mut marks = Marks {
            parameters,
            holes: Vec::new(),
            instead: Instead::new(),
            bindings: Bindings::default(),
            defaulted: Cell::new(false),
            asked: Known::default(),
        };
        marks.bindings.declared = vec![None; parameters.all.len()];
        marks.place(&template.pattern, shape, "")?;
        let mut tree = Renderer::new(parameters, &marks.bindings).with(&marks.instead).value(&template.pattern)?;
        tables::complete(&template.kind, &mut tree, &Facts::default());
        clean(&mut tree)?;
        let mut found = vec![false; marks.holes.len()];
        let root = marks.node(&tree, Some(&template.pattern), shape, false, &mut found)?;
        let status = tables::has_status(&template.kind, &Facts::default()) == Some(true);
        // One that completing dropped or overwrote would not be bound.
        let used = crate::recognise::uses(&template.pattern);
        let hidden = used.iter().any(|index| parameters.all.get(*index).is_some_and(is_hidden));
        let defaulted = marks.defaulted.get();
        let memory = if injected == Injected::Pod { Memory::of(&root) } else { None };
        found.into_iter().all(|found| found).then_some(Self { root, injected, memory, status, hidden, defaulted })
    }
}

/// Takes out what is never compared; none where something is there that recognition never sees on an object.
fn clean(tree: &mut Value) -> Option<()> {
    let metadata = tree.get_mut("metadata")?.as_object_mut()?;
    metadata.retain(|name, _| !SERVER_OWNED.contains(&name.as_str()) && name != "namespace");
    let has =
        |map: &str, keys: &[&str]| metadata.get(map).is_some_and(|map| keys.iter().any(|key| map.get(key).is_some()));
    let ours = has("labels", &keys::STAMP_LABELS)
        || has("annotations", &keys::INSTRUCTIONS)
        || has("annotations", &[keys::ADMISSION, keys::LAST_APPLIED]);
    (!ours && !metadata.contains_key("ownerReferences")).then_some(())
}

/// The holes of a pattern, each with the text that marks it.
struct Marks<'t> {
    parameters: &'t Parameters,
    holes: Vec<Marked<'t>>,
    instead: Instead,
    bindings: Bindings,
    /// See [`Plan::defaulted`].
    defaulted: Cell<bool>,
    asked: Known,
}

#[derive(Clone, Copy)]
enum Marked<'t> {
    One(&'t Pattern),
    Many(usize),
}

fn mark(index: usize) -> Value {
    Value::String(format!("{MARK}{index}{MARK}"))
}

impl<'t> Marks<'t> {
    /// Marks the holes of `pattern`, which is the value of `name`; none where one may not be a mark.
    fn place(&mut self, pattern: &'t Pattern, shape: Shape<'static>, name: &str) -> Option<()> {
        match pattern {
            Pattern::Literal(Value::String(text)) if text.contains(MARK) => None,
            Pattern::Literal(_) => Some(()),
            Pattern::Map(entries) => entries.iter().try_for_each(|(name, pattern)| {
                let pods = name == "resources" && shape.is_pod_spec();
                if pods || INJECTED.contains(&&**name) {
                    return None;
                }
                self.place(pattern, shape.field(name), name)
            }),
            Pattern::List(elements) => elements.iter().try_for_each(|element| match element {
                Element::One(pattern) => self.place(pattern, shape.element(), name),
                Element::Many(index) if STRUCTURES.contains(&name) => {
                    // Used twice, both take the same; the marks then say so twice.
                    let slot = self.bindings.declared.get_mut(*index)?;
                    slot.get_or_insert_with(|| Value::Array(vec![mark(self.holes.len())]));
                    self.holes.push(Marked::Many(*index));
                    Some(())
                }
                Element::Many(_) => None,
            }),
            Pattern::Text(text) => {
                let declared = text.declared();
                self.one(pattern, name, declared.into_iter())
            }
            Pattern::Hole(Hole::Given(_)) => self.one(pattern, name, std::iter::empty()),
            Pattern::Hole(Hole::Declared(index)) => self.one(pattern, name, std::iter::once(*index)),
        }
    }

    fn one(&mut self, pattern: &'t Pattern, name: &str, declared: impl Iterator<Item = usize>) -> Option<()> {
        for index in declared {
            let parameter = self.parameters.all.get(index)?;
            if parameter.generated.is_some() || is_structure(&parameter.schema) && !STRUCTURES.contains(&name) {
                return None;
            }
        }
        if INSPECTED.contains(&name) {
            return None;
        }
        self.instead.insert(std::ptr::from_ref(pattern), mark(self.holes.len()));
        self.holes.push(Marked::One(pattern));
        Some(())
    }

    /// The hole that a text marks; the inner none where it is part of a text, which is never rendered so.
    fn marked(&self, value: &Value) -> Option<Option<(usize, Marked<'t>)>> {
        let Value::String(text) = value else { return Some(None) };
        if !text.contains(MARK) {
            return Some(None);
        }
        let index: usize = text.strip_prefix(MARK)?.strip_suffix(MARK)?.parse().ok()?;
        Some(Some((index, *self.holes.get(index)?)))
    }

    /// What completing made of the marked tree; none where it is not to be read.
    fn node(
        &self,
        value: &Value,
        pattern: Option<&Pattern>,
        shape: Shape<'static>,
        may_be_absent: bool,
        found: &mut [bool],
    ) -> Option<Node> {
        if let Some((index, marked)) = self.marked(value)? {
            let Marked::One(pattern) = marked else { return None };
            *found.get_mut(index)? = true;
            let may = self.optional(pattern);
            let (optional, defaulted) = (may && may_be_absent, may && !may_be_absent);
            self.defaulted.set(self.defaulted.get() || defaulted);
            let place = Place { pattern: pattern.clone(), shape, optional, defaulted, image: false };
            return Some(Node::Hole(Box::new(place)));
        }
        match value {
            Value::Object(object) => {
                // What an absent field leaves behind must neither be empty nor get a default.
                let marked = |value: &Value| matches!(self.marked(value), Some(Some(_)));
                let others = object.values().any(|value| !marked(value));
                let plain = others && !shape.has_defaults();
                let said: HashMap<&str, &Pattern> = match pattern {
                    Some(Pattern::Map(entries)) => entries.iter().map(|(name, one)| (&**name, one)).collect(),
                    _ => HashMap::new(),
                };
                let accepts =
                    |index: usize, empty: &Value| self.asked.accepts_empty(self.parameters, index, empty, None);
                let entries = object.iter().map(|(name, value)| {
                    let pattern = said.get(name.as_str()).copied();
                    let mut node = self.node(value, pattern, shape.field(name), plain, found)?;
                    if let Node::Hole(place) = &mut node {
                        place.image = name == "image";
                        if !filled(&place.pattern, name, shape, accepts).is_empty() {
                            place.defaulted = true;
                            self.defaulted.set(true);
                        }
                    }
                    Some((Field::from(name.as_str()), node))
                });
                entries.collect::<Option<_>>().map(Node::map)
            }
            Value::Array(values) => self.list(values, pattern, shape, found).map(Node::list),
            value => {
                let said = matches!(pattern, Some(Pattern::Literal(literal)) if literal == value);
                Some(Node::Literal(LITERALS.share(Literal { value: value.clone(), scalar: shape.scalar(), said })))
            }
        }
    }

    fn list(
        &self,
        values: &[Value],
        pattern: Option<&Pattern>,
        shape: Shape<'static>,
        found: &mut [bool],
    ) -> Option<List> {
        let said = |position: usize| match pattern {
            Some(Pattern::List(said)) => match said.get(position) {
                Some(Element::One(pattern)) => Some(pattern),
                _ => None,
            },
            _ => None,
        };
        let mut elements = Vec::with_capacity(values.len());
        let mut many = None;
        for (position, value) in values.iter().enumerate() {
            match self.marked(value)? {
                Some((index, Marked::Many(parameter))) => {
                    *found.get_mut(index)? = true;
                    // Where two holes take elements, more than one way may have to be tried.
                    if many.replace((parameter, position, shape.element())).is_some() {
                        return None;
                    }
                }
                // An element that may be absent moves the others.
                Some((_, Marked::One(pattern))) if self.optional(pattern) => return None,
                _ => elements.push(self.node(value, said(position), shape.element(), false, found)?),
            }
        }
        let names: Vec<_> = values.iter().map(|value| value.get("name").and_then(Value::as_str)).collect();
        let literal = names.iter().all(|name| name.is_some_and(|name| !name.contains(MARK)));
        if shape.is_env() && literal && many.is_none() {
            let mut names: Vec<_> = names.into_iter().flatten().collect();
            names.sort_unstable();
            if names.windows(2).any(|pair| pair[0] == pair[1]) {
                return None;
            }
        }
        Some(List { elements: elements.into(), many, variables: shape.is_env() && (!literal || many.is_some()), shape })
    }

    fn optional(&self, pattern: &Pattern) -> bool {
        let may = |index: &usize| self.parameters.all.get(*index).is_some_and(|parameter| parameter.optional);
        match pattern {
            Pattern::Hole(Hole::Declared(index)) => may(index),
            Pattern::Text(text) => text.declared().iter().any(may),
            _ => false,
        }
    }
}

const _: () = assert!(size_of::<(Field, Node)>() <= 40);

fn is_structure(schema: &Schema) -> bool {
    schema.is_list() || schema.is_map()
}
