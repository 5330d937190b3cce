//! The walk of a plan beside an object: once to bind the holes, once to compare.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::additions::additions;
use super::plan::{Entries, List, Literal, Node, Place, Plan};
use super::{Marked, Miss};
use crate::budget::Budget;
use crate::keys;
use crate::parameter::{Bindings, Parameters};
use crate::quantity::Quantity;
use crate::recognise::{Context, Form, work};
use crate::render::Renderer;
use crate::tables::{self, Facts, ListKind, SERVER_OWNED, Scalar, Shape};
use crate::template::{Given, Hole, Pattern, Placement, Template};
use crate::text::{Part, TextMismatch, TextPattern};

/// Maps of metadata that may carry marks.
const MARKED_MAPS: [&str; 2] = ["annotations", "labels"];
/// Annotations by which injectors read more of an object than [`super::additions`] shows them.
const ANNOTATED: [&str; 2] = ["kubernetes.io/limit-ranger", "container.apparmor.security.beta.kubernetes.io/"];

pub(super) fn walk<'a>(
    plan: &'a Plan,
    template: &'a Template,
    object: &'a Value,
    context: &Context<'a>,
    marked: Marked,
) -> Result<Bindings, Miss> {
    let (Node::Map(entries), Value::Object(fields)) = (&plan.root, object) else { return Err(Miss::Unsure) };
    let Some(Node::Map(metadata)) = find(entries, "metadata") else { return Err(Miss::Unsure) };
    let shown = fields.get("metadata").and_then(Value::as_object).ok_or(Miss::Unsure)?;
    let mut walk = Walk::new(template, context);
    // Templates of one kind differ in their names most often: those first.
    let outcome = walk
        .metadata(metadata, shown, marked)
        .and_then(|()| walk.map(entries, fields, |name| name == "metadata" || plan.status && name == "status"));
    walk.settle_account()?;
    outcome?;
    if !is_in_place(template, shown, context) || needs_more(shown) {
        return Err(Miss::Unsure);
    }
    let extras = walk.extras;
    let bindings = walk.finish()?;
    if extras > 0 && !plan.memory.as_ref().is_some_and(|memory| memory.holds(object, extras, context)) {
        let ask = |facts: &Facts| {
            let mut renderer = Renderer::new(&template.parameters, &bindings);
            let context = Context { facts, ..*context };
            additions(&template.kind, plan.injected, &plan.root, &mut renderer, object, &context)
        };
        // What was added to the object and what injectors add are the same places, and say the same.
        if ask(context.facts).and_then(|part| added(&plan.root, object, &part)) != Some(extras) {
            return Err(Miss::Unsure);
        }
        if let Some(memory) = &plan.memory {
            memory.keep(&plan.root, object, extras, context, ask);
        }
    }
    Ok(bindings)
}

pub(super) fn find<'n>(entries: &'n Entries, name: &str) -> Option<&'n Node> {
    entries.binary_search_by(|(other, _)| (**other).cmp(name)).ok().map(|at| &entries[at].1)
}

/// The object is where its template puts it, and the request says the same.
pub(super) fn is_in_place(template: &Template, metadata: &Map<String, Value>, context: &Context<'_>) -> bool {
    let wanted = match &template.placement {
        Placement::MasterNamespace => context.given.get(&Given::MasterNamespace).map(String::as_str),
        Placement::Named(pattern) => pattern.as_str(),
    };
    wanted.is_none_or(|wanted| wanted == context.namespace)
        && metadata.get("namespace").is_none_or(|namespace| namespace == context.namespace)
}

pub(super) fn needs_more(metadata: &Map<String, Value>) -> bool {
    let annotations = metadata.get("annotations").and_then(Value::as_object);
    annotations.is_some_and(|annotations| {
        annotations.contains_key(keys::LAST_APPLIED)
            || ANNOTATED.iter().any(|prefix| annotations.keys().any(|key| key.starts_with(prefix)))
    })
}

/// Whether one of the two has a name, or a prefix for one, and the other has none and gets none.
fn names_differ(entries: &Entries, shown: &Map<String, Value>, form: Form) -> bool {
    let says = |node: &Node| match node {
        Node::Literal(literal) => literal.said,
        // Text with something literal in it is never empty.
        Node::Hole(place) => match &place.pattern {
            Pattern::Text(text) => text.parts.iter().any(|part| matches!(part, Part::Literal(_))),
            _ => false,
        },
        _ => false,
    };
    ["name", "generateName"].into_iter().any(|field| match (find(entries, field), shown.get(field)) {
        (Some(node), None) => says(node),
        (None, Some(Value::String(text))) => !text.is_empty() && (field == "generateName" || form != Form::Validating),
        _ => false,
    })
}

/// Whether an entry of a map of metadata is no part of the object for recognition.
pub(super) fn is_aside(map: &str, key: &str, marked: Marked) -> bool {
    marked == Marked::Maybe && keys::is_aside(map, key)
}

/// Whether a field of metadata is never compared here.
pub(super) fn is_passed_over(name: &str, marked: Marked) -> bool {
    SERVER_OWNED.contains(&name) || name == "namespace" || marked == Marked::Maybe && name == "ownerReferences"
}

pub(super) struct Walk<'a> {
    pub(super) parameters: &'a Parameters,
    pub(super) given: &'a BTreeMap<Given, String>,
    form: Form,
    bound: Vec<Option<Value>>,
    absent: Vec<usize>,
    /// How many fields and elements the object has that the plan has not.
    pub(super) extras: usize,
    /// What takes longer than all the rest, left until that is found to be the same.
    later: Vec<Later<'a>>,
    pub(super) budget: Option<&'a Budget>,
    /// Fields that were looked at.
    pub(super) visited: usize,
    /// Whether this is in a list, where what does not fit may fit elsewhere.
    in_lists: bool,
    /// Whether what is told of long texts is wanted at their place, so that none is left until later.
    pub(super) at_once: bool,
}

/// Long values that holes stand for.
enum Later<'a> {
    /// A list hole takes these.
    Taken(usize, &'a [Value], Shape<'static>),
    /// A hole is this, or the miss.
    Whole(usize, &'a Value, Miss),
    /// A text is this, or the miss.
    Text(&'a TextPattern, &'a str, Miss),
    /// Variables, whose names must differ.
    Variables(&'a [Value]),
}

/// From how many elements on a list is long, and from how many bytes on a text is.
const LONG_LIST: usize = 64;
const LONG_TEXT: usize = 4096;

impl<'a> Walk<'a> {
    pub(super) fn new(template: &'a Template, context: &Context<'a>) -> Self {
        Self {
            parameters: &template.parameters,
            given: context.given,
            form: context.form,
            bound: vec![None; template.parameters.all.len()],
            absent: Vec::new(),
            extras: 0,
            later: Vec::new(),
            budget: context.budget,
            visited: 0,
            in_lists: false,
            at_once: false,
        }
    }

    /// What was bound.
    ///
    /// # Errors
    /// Where what was left until now is no match, or a hole is absent in one place and not in another.
    pub(super) fn finish(mut self) -> Result<Bindings, Miss> {
        for later in std::mem::take(&mut self.later) {
            match later {
                Later::Taken(parameter, values, shape) => self.bind_taken(parameter, values, shape),
                Later::Whole(index, value, miss) => self.bind_whole(index, value, miss),
                Later::Text(text, shown, miss) => self.bind_text(text, shown, miss),
                Later::Variables(values) if differ(values, "name") => Ok(()),
                Later::Variables(_) => Err(Miss::Unsure),
            }?;
        }
        let absent = |index: &usize| self.bound.get(*index).is_some_and(Option::is_none);
        let agree = self.absent.iter().all(absent);
        agree.then(|| Bindings { declared: self.bound, given: self.given.clone() }).ok_or(Miss::Unsure)
    }

    /// Takes the steps of what was looked at.
    ///
    /// # Errors
    /// Where there were not so many left.
    pub(super) fn settle_account(&mut self) -> Result<(), Miss> {
        let steps = std::mem::take(&mut self.visited) * work::LOOK;
        self.spend(steps as u64)
    }

    pub(super) fn spend(&self, steps: u64) -> Result<(), Miss> {
        self.budget.map_or(Ok(()), |budget| budget.spend(steps)).map_err(|_| Miss::Unsure)
    }

    fn metadata(&mut self, entries: &'a Entries, shown: &'a Map<String, Value>, marked: Marked) -> Result<(), Miss> {
        if names_differ(entries, shown, self.form) {
            return Err(Miss::Sure);
        }
        self.map(entries, shown, |name| MARKED_MAPS.contains(&name) || is_passed_over(name, marked))?;
        for name in MARKED_MAPS {
            match (find(entries, name), shown.get(name)) {
                (None, None) => {}
                (Some(Node::Map(entries)), Some(Value::Object(shown))) => {
                    self.map(entries, shown, |key| is_aside(name, key, marked))?;
                }
                // Nothing is left of a map that had marks alone.
                (None, Some(Value::Object(shown)))
                    if !shown.is_empty() && shown.keys().all(|key| is_aside(name, key, marked)) => {}
                _ => return Err(Miss::Unsure),
            }
        }
        Ok(())
    }

    fn map(
        &mut self,
        entries: &'a Entries,
        object: &'a Map<String, Value>,
        aside: impl Fn(&str) -> bool,
    ) -> Result<(), Miss> {
        self.visited += entries.len().max(object.len());
        let mut fields = object.iter().filter(|(name, _)| !aside(name)).peekable();
        for (name, node) in entries.iter().filter(|(name, _)| !aside(name)) {
            // Nearly always the next one is the one.
            let mut shown = fields.next_if(|(other, _)| other.as_str() == &**name);
            while shown.is_none() && fields.next_if(|(other, _)| other.as_str() < &**name).is_some() {
                self.extras += 1;
                shown = fields.next_if(|(other, _)| other.as_str() == &**name);
            }
            match shown {
                Some((_, value)) => self.node(node, value)?,
                None => self.absent(node)?,
            }
        }
        self.extras += fields.count();
        Ok(())
    }

    fn node(&mut self, node: &'a Node, value: &'a Value) -> Result<(), Miss> {
        match (node, value) {
            (Node::Literal(literal), value) if literal.value == *value => Ok(()),
            (Node::Literal(literal), value) => Err(literal.miss(value)),
            (Node::Map(entries), Value::Object(object)) => self.map(entries, object, |_| false),
            (Node::List(list), Value::Array(values)) => self.list(list, values),
            (Node::Hole(place), value) => self.hole(place, value),
            (Node::Map(_) | Node::List(_), _) => Err(Miss::Unsure),
        }
    }

    pub(super) fn list(&mut self, list: &'a List, values: &'a [Value]) -> Result<(), Miss> {
        self.visited += list.elements.len();
        let spare = values.len().checked_sub(list.elements.len()).ok_or(Miss::Unsure)?;
        let (many, taken) = match list.many {
            Some((_, before, _)) => (before, spare),
            None => (list.elements.len(), 0),
        };
        let (before, rest) = values.split_at_checked(many).ok_or(Miss::Unsure)?;
        let (middle, after) = rest.split_at_checked(taken).ok_or(Miss::Unsure)?;
        for (at, (node, value)) in list.elements.iter().zip(before.iter().chain(after)).enumerate() {
            let around = std::mem::replace(&mut self.in_lists, true);
            let outcome = self.node(node, value);
            self.in_lists = around;
            match outcome {
                Err(Miss::Sure) if !list.in_place(values).has(at) => return Err(Miss::Unsure),
                outcome => outcome?,
            }
        }
        match list.many {
            Some((parameter, _, shape)) => self.take(parameter, middle, shape, list.elements.is_empty())?,
            None => self.extras += spare,
        }
        if list.variables && values.len() > LONG_LIST {
            self.later.push(Later::Variables(values));
            return Ok(());
        }
        if list.variables && !differ(values, "name") { Err(Miss::Unsure) } else { Ok(()) }
    }

    /// A list hole takes these elements.
    fn take(&mut self, parameter: usize, values: &'a [Value], shape: Shape<'static>, alone: bool) -> Result<(), Miss> {
        let declared = self.parameters.all.get(parameter).ok_or(Miss::Unsure)?;
        if values.is_empty() && (alone || declared.optional) {
            return Err(Miss::Unsure);
        }
        if values.len() > LONG_LIST {
            self.later.push(Later::Taken(parameter, values, shape));
            return Ok(());
        }
        self.bind_taken(parameter, values, shape)
    }

    fn bind_taken(&mut self, parameter: usize, values: &[Value], shape: Shape<'static>) -> Result<(), Miss> {
        let declared = self.parameters.all.get(parameter).ok_or(Miss::Unsure)?;
        let taken = Value::Array(values.to_vec());
        self.spend(
            work::of_accepting(&declared.schema, &taken, self.budget).saturating_add(TAKING * work::size(&taken)),
        )?;
        let fit = values.iter().all(|value| tables::stays(shape, value)) && declared.schema.admits(&taken);
        if fit { self.bind(parameter, taken) } else { Err(Miss::Unsure) }
    }

    pub(super) fn hole(&mut self, place: &'a Place, value: &'a Value) -> Result<(), Miss> {
        if !tables::stays(place.shape, value) || place.image && !value.as_str().is_some_and(tables::is_pulled_once) {
            return Err(Miss::Unsure);
        }
        // A text has one spelling: what does not fit in it fits nowhere. What completing fills in need not fit.
        let sure = place.shape.scalar() == Scalar::Text && !place.defaulted;
        let miss = if sure { Miss::Sure } else { Miss::Unsure };
        match &place.pattern {
            Pattern::Text(text) => {
                let shown = value.as_str().ok_or(Miss::Unsure)?;
                // How a long text begins is seen at once.
                let begins = text.may_begin(shown);
                if !begins {
                    return self.cut(text, shown, miss);
                }
                if shown.len() > LONG_TEXT && !self.at_once {
                    let miss = if self.in_lists { Miss::Unsure } else { miss };
                    self.later.push(Later::Text(text, shown, miss));
                    return Ok(());
                }
                self.bind_text(text, shown, miss)
            }
            Pattern::Hole(Hole::Given(given)) => match self.given.get(given) {
                Some(text) if value == text => Ok(()),
                _ => Err(Miss::Unsure),
            },
            Pattern::Hole(Hole::Declared(index)) if is_long(value) => {
                self.later.push(Later::Whole(*index, value, Miss::Unsure));
                Ok(())
            }
            Pattern::Hole(Hole::Declared(index)) => self.bind_whole(*index, value, miss),
            Pattern::Literal(_) | Pattern::Map(_) | Pattern::List(_) => Err(Miss::Unsure),
        }
    }

    fn bind_text(&mut self, text: &TextPattern, shown: &str, miss: Miss) -> Result<(), Miss> {
        self.spend(work::of_rendering(text, shown.len()))?;
        // Where all its holes are bound, a text is rendered sooner than cut.
        if text.renders(&self.bound, self.given, shown) {
            return Ok(());
        }
        self.spend(work::of_text(text, shown.len(), self.parameters, self.budget))?;
        self.cut(text, shown, miss)
    }

    fn cut(&mut self, text: &TextPattern, shown: &str, miss: Miss) -> Result<(), Miss> {
        let bound = text.bind(shown, self.given, self.parameters).map_err(|why| match why {
            TextMismatch::Unknown(_) => Miss::Unsure,
            TextMismatch::Form | TextMismatch::Parameter(_) => miss,
        })?;
        bound.into_iter().try_for_each(|(index, value)| self.bind(index, value))
    }

    fn bind_whole(&mut self, index: usize, value: &Value, miss: Miss) -> Result<(), Miss> {
        let declared = self.parameters.all.get(index).ok_or(miss)?;
        self.spend(work::of_accepting(&declared.schema, value, self.budget))?;
        if declared.schema.admits(value) { self.bind(index, value.clone()) } else { Err(miss) }
    }

    /// One name used twice stands for one value.
    fn bind(&mut self, index: usize, value: Value) -> Result<(), Miss> {
        match self.bound.get_mut(index) {
            Some(free @ None) => {
                *free = Some(value);
                Ok(())
            }
            Some(Some(bound)) if *bound == value => Ok(()),
            _ => Err(Miss::Unsure),
        }
    }

    pub(super) fn absent(&mut self, node: &Node) -> Result<(), Miss> {
        let hole = match node {
            Node::Hole(place) if place.optional => match &place.pattern {
                Pattern::Hole(hole) => Some(*hole),
                // Of several holes any may be the absent one.
                Pattern::Text(text) => text.sole_hole(),
                _ => None,
            },
            _ => None,
        };
        match hole {
            Some(Hole::Declared(index)) => {
                self.absent.push(index);
                Ok(())
            }
            _ => Err(Miss::Unsure),
        }
    }
}

/// For each of [`work::size`] of a list that is held against its schema: it is copied, and its names are compared.
const TAKING: u64 = 2;

fn is_long(value: &Value) -> bool {
    match value {
        Value::String(text) => text.len() > LONG_TEXT,
        Value::Array(values) => values.len() > LONG_LIST,
        Value::Object(fields) => fields.len() > LONG_LIST,
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

impl Literal {
    /// What another value in its place says.
    fn miss(&self, value: &Value) -> Miss {
        let amount = |value: &Value| Quantity::from_value(value).ok();
        let sure = self.said
            && match (self.scalar, &self.value, value) {
                (Scalar::Text, Value::String(_), Value::String(_))
                | (Scalar::Boolean, Value::Bool(_), Value::Bool(_)) => true,
                (Scalar::Integer, Value::Number(one), Value::Number(other)) => one.as_f64() != other.as_f64(),
                (Scalar::Quantity | Scalar::MilliQuantity, one, other) => {
                    amount(one).zip(amount(other)).is_some_and(|(one, other)| one != other)
                }
                _ => false,
            };
        if sure { Miss::Sure } else { Miss::Unsure }
    }
}

impl List {
    /// Which elements are compared with the value at their own position, and with no other.
    pub(super) fn in_place<'l>(&'l self, values: &'l [Value]) -> InPlace<'l> {
        if self.many.is_some() {
            return InPlace::None;
        }
        match self.shape.list() {
            ListKind::Positional => InPlace::All,
            ListKind::Keyed([key]) => {
                let names: Option<Vec<_>> = self.elements.iter().map(|node| says(node, key)).collect();
                match names.filter(|names| all_differ(names.clone())) {
                    Some(names) if differ(values, key) => InPlace::Named { key, names, values },
                    _ => InPlace::None,
                }
            }
            ListKind::Keyed(_) | ListKind::Set => InPlace::None,
        }
    }
}

/// Those elements of a list that are compared with the value at their own position, and with no other.
pub(super) enum InPlace<'l> {
    None,
    All,
    /// Those whose name is that of the value.
    Named {
        key: &'l str,
        names: Vec<&'l str>,
        values: &'l [Value],
    },
}

impl InPlace<'_> {
    /// Whether the element at this position is one of them.
    pub(super) fn has(&self, at: usize) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Named { key, names, values } => {
                values.get(at).and_then(|value| value.get(key)?.as_str()) == names.get(at).copied()
            }
        }
    }
}

fn all_differ(mut names: Vec<&str>) -> bool {
    names.sort_unstable();
    names.windows(2).all(|pair| pair[0] != pair[1])
}

/// The literal text of a field.
pub(super) fn says<'n>(node: &'n Node, name: &str) -> Option<&'n str> {
    match node {
        Node::Map(entries) => match find(entries, name)? {
            Node::Literal(literal) => literal.value.as_str(),
            _ => None,
        },
        _ => None,
    }
}

/// Whether all elements have another text under a key.
fn differ(values: &[Value], key: &str) -> bool {
    let names: Option<Vec<_>> = values.iter().map(|value| value.get(key)?.as_str()).collect();
    names.is_some_and(all_differ)
}

/// How many fields and elements injectors added, each of which the object has exactly so; none where it has not.
pub(super) fn added(node: &Node, object: &Value, part: &Value) -> Option<usize> {
    match (node, object, part) {
        (Node::Map(entries), Value::Object(object), Value::Object(part)) => {
            let mut count = 0;
            for (name, part) in part {
                let shown = object.get(name)?;
                match find(entries, name) {
                    Some(node) => count += added(node, shown, part)?,
                    // The namespace is judged apart.
                    None if name == "namespace" => {}
                    None if shown == part => count += 1,
                    None => return None,
                }
            }
            Some(count)
        }
        (Node::List(list), Value::Array(values), Value::Array(part)) => {
            let mut count = 0;
            for (index, part) in part.iter().enumerate() {
                let shown = values.get(index)?;
                match list.elements.get(index) {
                    Some(node) => count += added(node, shown, part)?,
                    None if shown == part => count += 1,
                    None => return None,
                }
            }
            Some(count)
        }
        _ => Some(0),
    }
}
