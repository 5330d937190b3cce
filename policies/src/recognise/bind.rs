//! The walk of a template's pattern along an object: what each hole stands for.
//!
//! The walk proposes, it does not judge: it is lenient about everything that has no hole, and what it found is proven
//! afterwards by rendering it and comparing ([`super::verify`]).

use std::collections::{BTreeMap, HashSet, VecDeque};

use crate::tables::At;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::absent;
use super::known::Known;
use super::lists;
use super::reshape::reshape;
use super::spelling;
use super::trail::{Spot, Trail};
use super::work;
use crate::budget::Budget;
use crate::difference::Path;
use crate::parameter::{Parameter, Parameters, Schema};
use crate::tables::Shape;
use crate::template::{Element, Field, Given, Hole, Pattern, Template};
use crate::text::{Part, TextMismatch, TextPattern};

/// How sure a proposal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// The object has exactly this.
    Exact,
    /// The object has what the server made of this, or of something that means the same.
    Equivalent,
}

/// What a hole stands for at one place.
#[derive(Clone, Debug)]
pub(super) struct Proposal {
    pub(super) parameter: usize,
    pub(super) value: Value,
    pub(super) fit: Fit,
    pub(super) path: Path,
}

/// A key, or an element, with holes that the object does not have.
#[derive(Clone, Debug)]
pub(super) struct Absence<'a> {
    pub(super) pattern: &'a Pattern,
    pub(super) shape: Shape<'a>,
    pub(super) path: Path,
    pub(super) spots: Vec<Spot>,
    /// Whether it is a value of a Secret's `stringData`, which lives in `data`.
    pub(super) encoded: bool,
}

/// A place whose value no hole's schema admits.
#[derive(Clone, Debug)]
pub(super) struct Misfit<'a> {
    pub(super) pattern: &'a Pattern,
    pub(super) got: Value,
    /// `got` as near to the schema as it could be brought, where that is something else.
    pub(super) nearest: Option<Value>,
    /// The parameter whose schema refuses it; none where the text has not the form.
    pub(super) parameter: Option<usize>,
    pub(super) path: Path,
    /// Whether `got` was decoded from a Secret's data.
    pub(super) encoded: bool,
}

/// A list that a list hole takes elements of.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    pub(super) path: Path,
    pub(super) parameter: usize,
}

/// Where a value that must not be shown stands, and the lists around it, the nearest last.
#[derive(Clone, Debug)]
pub(super) struct Sensitive {
    pub(super) path: Path,
    pub(super) lists: Vec<Path>,
}

/// All that one walk found.
#[derive(Debug, Default)]
pub(super) struct Found<'a> {
    pub(super) proposals: Vec<Proposal>,
    pub(super) absences: Vec<Absence<'a>>,
    pub(super) misfits: Vec<Misfit<'a>>,
    pub(super) taken: Vec<Taken>,
    pub(super) sensitive: Vec<Sensitive>,
    /// A value of the caller's identity that the template needs and nobody gave.
    pub(super) unknown: Option<Given>,
}

/// The walk.
pub(super) struct Binder<'a> {
    pub(super) parameters: &'a Parameters,
    pub(super) given: &'a BTreeMap<Given, String>,
    budget: Option<&'a Budget>,
    trail: Trail<'a>,
    encoded: bool,
    found: Found<'a>,
    /// What each parameter was first bound to exactly: an element that a hole names is found by it.
    known: Vec<Option<Value>>,
    /// What was found out about what the object shows, in this walk or in one before.
    asked: &'a Known,
    /// Lists with elements that holes name, left until all else is known.
    later: VecDeque<Later<'a>>,
}

/// A list that waits.
struct Later<'a> {
    trail: Trail<'a>,
    elements: &'a [Element],
    values: &'a [Value],
    shape: Shape<'a>,
}

impl<'a> Binder<'a> {
    pub(super) fn new(
        parameters: &'a Parameters,
        given: &'a BTreeMap<Given, String>,
        asked: &'a Known,
        budget: Option<&'a Budget>,
    ) -> Self {
        Self {
            parameters,
            given,
            budget,
            trail: Trail::default(),
            encoded: false,
            found: Found::default(),
            known: vec![None; parameters.all.len()],
            asked,
            later: VecDeque::new(),
        }
    }

    /// Walks the whole of `object`.
    pub(super) fn walk(mut self, template: &'a Template, object: &'a Value, shape: Shape<'a>) -> Found<'a> {
        match &template.pattern {
            Pattern::Map(entries) if is_secret(template) => self.secret(entries, object, shape),
            pattern => self.value(pattern, Some(object), shape),
        }
        while let Some(later) = self.later.pop_front() {
            self.trail = later.trail;
            self.paired_list(later.elements, later.values, later.shape);
        }
        self.found
    }

    /// Takes steps; false where there are not so many left.
    pub(super) fn spend(&self, steps: usize) -> bool {
        self.pay(steps as u64)
    }

    /// As [`Self::spend`], of what [`work`] says.
    pub(super) fn pay(&self, steps: u64) -> bool {
        self.budget.is_none_or(|budget| budget.spend(steps).is_ok())
    }

    /// Whether no step is left.
    pub(super) fn is_exhausted(&self) -> bool {
        self.budget.is_some_and(|budget| budget.left() == 0)
    }

    /// What a hole stands for where the object has `value`; nothing where there is no step left to tell.
    pub(super) fn fit(&self, parameter: usize, value: &Value, shape: Shape<'_>) -> Option<(Value, Fit)> {
        let schema = &self.parameters.all.get(parameter)?.schema;
        let accepted = self.asked.accepts(parameter, schema, value, self.budget)?;
        fitted(accepted, schema, value, shape, self.budget)
    }

    /// Whether a parameter accepts a value as it is; false where there is no step left to tell.
    pub(super) fn accepts(&self, parameter: usize, value: &Value) -> bool {
        let declared = self.parameters.all.get(parameter);
        declared.is_some_and(|it| self.asked.accepts(parameter, &it.schema, value, self.budget) == Some(true))
    }

    /// Whether a parameter accepts what the API server does not tell from nothing.
    pub(super) fn accepts_empty(&self, parameter: usize, empty: &Value) -> bool {
        self.asked.accepts_empty(self.parameters, parameter, empty, self.budget)
    }

    /// As [`Self::fit`], of an element of a list in the object, held against the items of a list hole.
    pub(super) fn fit_item(&self, parameter: usize, value: &Value, shape: Shape<'_>) -> Option<(Value, Fit)> {
        let items = self.parameters.all.get(parameter)?.schema.items()?;
        if !items.is_one_of() {
            return fit(items, value, shape, self.budget);
        }
        let accepted = self.asked.element(parameter, items, value, self.budget)?;
        fitted(accepted, items, value, shape, self.budget)
    }

    /// What the holes of a text stand for where the object has `shown`.
    fn cut(&self, text: &TextPattern, shown: &str) -> Result<Vec<(usize, Value)>, TextMismatch> {
        if self.is_exhausted() || !self.pay(work::of_unknown(text, shown.len(), self.parameters, self.budget)) {
            return Err(TextMismatch::Form);
        }
        text.bind_by(shown, self.given, self.parameters, |index, schema, piece| match schema.is_one_of() {
            true => self.asked.piece(index, schema, piece, self.budget),
            false => schema.value_of_text(piece),
        })
    }

    /// All that was found.
    pub(super) fn finish(self) -> Found<'a> {
        self.found
    }

    /// Walks one pattern that is no part of the object, such as its namespace.
    pub(super) fn aside(&mut self, key: &'a str, pattern: &'a Pattern, value: &'a Value, shape: Shape<'a>) {
        self.trail.key("metadata");
        self.trail.key(key);
        self.value(pattern, Some(value), shape);
        self.trail.back();
        self.trail.back();
    }

    /// `stringData` is what people write, `data` what the server keeps of it.
    fn secret(&mut self, entries: &'a [(Field, Pattern)], object: &'a Value, shape: Shape<'a>) {
        for (key, pattern) in entries.iter() {
            let texts = match pattern {
                Pattern::Map(texts) if key == "stringData" => texts,
                Pattern::Hole(hole) if key == "stringData" => {
                    self.all_texts(pattern, *hole, entries, object);
                    continue;
                }
                _ => {
                    self.entry(key, pattern, object.get(&**key), shape);
                    continue;
                }
            };
            self.trail.key("data");
            self.encoded = true;
            for (name, pattern) in texts.iter() {
                self.trail.key(name);
                let decoded = object.at("/data").and_then(|data| data.get(&**name)).map(decoded);
                self.decoded(pattern, decoded, shape);
                self.trail.back();
            }
            self.encoded = false;
            self.trail.back();
        }
    }

    /// A hole for all of `stringData` stands for what `data` has beside what the template writes there.
    fn all_texts(&mut self, pattern: &'a Pattern, hole: Hole, entries: &'a [(Field, Pattern)], object: &'a Value) {
        let written: HashSet<&str> = match entries.iter().find(|(key, _)| key == "data") {
            Some((_, Pattern::Map(data))) => data.iter().map(|(key, _)| &**key).collect(),
            _ => HashSet::new(),
        };
        let mut texts = Map::new();
        for (name, value) in object.get("data").and_then(Value::as_object).into_iter().flatten() {
            if !written.contains(name.as_str()) {
                texts.insert(name.clone(), decoded(value).map_or(Value::Null, Value::String));
            }
        }
        self.trail.key("data");
        self.encoded = true;
        self.hole(pattern, hole, &Value::Object(texts), Shape::UNKNOWN);
        self.encoded = false;
        self.trail.back();
    }

    fn decoded(&mut self, pattern: &'a Pattern, text: Option<Option<String>>, shape: Shape<'a>) {
        match (pattern, text) {
            (Pattern::Literal(_) | Pattern::Map(_) | Pattern::List(_), _) => {}
            (_, None) => self.value(pattern, None, shape.field("stringData").element()),
            // Bytes that are no text are no value of a text hole.
            (_, Some(None)) => self.misfit(pattern, &Value::Null, None),
            (Pattern::Text(holes), Some(Some(text))) => self.text(pattern, holes, &Value::String(text), Shape::UNKNOWN),
            (Pattern::Hole(hole), Some(Some(text))) => self.hole(pattern, *hole, &Value::String(text), Shape::UNKNOWN),
        }
    }

    fn entry(&mut self, key: &'a str, pattern: &'a Pattern, value: Option<&'a Value>, shape: Shape<'a>) {
        self.trail.key(key);
        self.value(pattern, value, shape.field(key));
        self.trail.back();
    }

    fn value(&mut self, pattern: &'a Pattern, value: Option<&'a Value>, shape: Shape<'a>) {
        match (pattern, value) {
            (Pattern::Literal(_), _) => {}
            (Pattern::Map(entries), value) => {
                // Pairing elements is dear, and where nothing is to be bound it is for nothing.
                for (key, pattern) in entries.iter().filter(|(_, pattern)| pattern.has_holes()) {
                    self.entry(key, pattern, value.and_then(|value| value.get(&**key)), shape);
                }
            }
            (Pattern::List(elements), Some(Value::Array(values))) => self.list(elements, values, shape),
            (Pattern::List(elements), _) => self.missing_list(elements, shape),
            (Pattern::Text(_) | Pattern::Hole(_), None) => self.absent(pattern, shape),
            (Pattern::Text(text), Some(value)) => self.text(pattern, text, value, shape),
            (Pattern::Hole(hole), Some(value)) => self.hole(pattern, *hole, value, shape),
        }
    }

    fn text(&mut self, pattern: &'a Pattern, text: &'a TextPattern, value: &Value, shape: Shape<'a>) {
        self.note_sensitive(text.declared());
        let mut mismatch = TextMismatch::Form;
        if let Some(shown) = value.as_str() {
            match self.cut(text, shown) {
                Ok(bound) => return self.propose(bound, Fit::Exact),
                Err(TextMismatch::Unknown(given)) => {
                    self.found.unknown.get_or_insert(given);
                    return;
                }
                Err(why) => mismatch = why,
            }
        }
        if spelling::is_quantity(shape.scalar()) {
            let mut spelled = spelling::texts(value).into_iter();
            if let Some(bound) = spelled.find_map(|spelling| self.cut(text, &spelling).ok()) {
                return self.propose(bound, Fit::Equivalent);
            }
        }
        let parameter = match mismatch {
            TextMismatch::Parameter(index) => Some(index),
            TextMismatch::Form | TextMismatch::Unknown(_) => None,
        };
        self.misfit(pattern, value, parameter);
    }

    fn hole(&mut self, pattern: &'a Pattern, hole: Hole, value: &Value, shape: Shape<'a>) {
        let index = match hole {
            Hole::Given(given) => {
                if !self.given.contains_key(&given) {
                    self.found.unknown.get_or_insert(given);
                }
                return;
            }
            Hole::Declared(index) => index,
        };
        self.note_sensitive([index]);
        let Some(parameter) = self.parameters.all.get(index) else { return };
        match self.fit(index, value, shape) {
            Some((value, fit)) => self.propose(vec![(index, value)], fit),
            None => {
                self.misfit(pattern, value, Some(index));
                let work = work::of_reshaping(&parameter.schema, value, self.budget);
                let affords = self.budget.is_none_or(|budget| budget.affords(work) && budget.spend(work).is_ok());
                if let Some(misfit) = self.found.misfits.last_mut().filter(|_| affords) {
                    misfit.nearest = reshape(&parameter.schema, value, shape);
                }
            }
        }
    }

    fn list(&mut self, elements: &'a [Element], values: &'a [Value], shape: Shape<'a>) {
        if lists::waits(elements, shape) {
            let trail = self.trail.clone();
            self.later.push_back(Later { trail, elements, values, shape });
        } else {
            self.paired_list(elements, values, shape);
        }
    }

    fn paired_list(&mut self, elements: &'a [Element], values: &'a [Value], shape: Shape<'a>) {
        let pairing = lists::pair(self, elements, values, shape);
        let keys = lists::keys(shape);
        for (element, partner) in elements.iter().zip(pairing.partners) {
            match (element, partner) {
                (Element::One(pattern), lists::Partner::One(index)) => {
                    let Some(value) = values.get(index) else { continue };
                    self.step_into(pattern, value, keys, index);
                    self.value(pattern, Some(value), shape.element());
                    self.trail.back();
                }
                (Element::One(pattern), _) => {
                    self.trail.index(values.len());
                    self.value(pattern, None, shape.element());
                    self.trail.back();
                }
                (Element::Many(index), lists::Partner::Many(taken)) => {
                    self.take(*index, taken.iter().filter_map(|at| values.get(*at)), shape);
                }
                (Element::Many(index), _) => self.take(*index, [].into_iter(), shape),
            }
        }
    }

    /// Into an element, by the name that differences use for it.
    fn step_into(&mut self, pattern: &'a Pattern, value: &'a Value, keys: lists::Keys<'a>, index: usize) {
        match keys {
            lists::Keys::Fields(keys) => self.trail.element(value, keys, index),
            lists::Keys::Whole => self.trail.whole(value, index),
            lists::Keys::None => {
                let named = matches!(pattern, Pattern::Map(entries) if entries.iter().any(|(key, _)| key == "name"))
                    && value.get("name").is_some_and(Value::is_string);
                if named { self.trail.named(value, index) } else { self.trail.index(index) }
            }
        }
    }

    /// A list hole takes these elements.
    fn take(&mut self, index: usize, values: impl Iterator<Item = &'a Value>, shape: Shape<'a>) {
        self.note_sensitive([index]);
        let Some(parameter) = self.parameters.all.get(index) else { return };
        let mut exact = Fit::Exact;
        let mut taken = Vec::new();
        for value in values {
            if let Some((value, fit)) = self.fit_item(index, value, shape.element()) {
                taken.push(value);
                if fit == Fit::Equivalent {
                    exact = fit;
                }
            }
        }
        self.found.taken.push(Taken { path: self.trail.path(), parameter: index });
        if !(taken.is_empty() && parameter.optional) {
            self.propose(vec![(index, Value::Array(taken))], exact);
        }
    }

    fn missing_list(&mut self, elements: &'a [Element], shape: Shape<'a>) {
        for (position, element) in elements.iter().enumerate() {
            match element {
                Element::One(pattern) => {
                    self.trail.index(position);
                    self.value(pattern, None, shape.element());
                    self.trail.back();
                }
                Element::Many(index) => self.take(*index, [].into_iter(), shape),
            }
        }
    }

    fn propose(&mut self, bound: Vec<(usize, Value)>, fit: Fit) {
        let path = self.trail.path();
        for (parameter, value) in &bound {
            if let (Fit::Exact, Some(known)) = (fit, self.known.get_mut(*parameter)) {
                known.get_or_insert_with(|| value.clone());
            }
        }
        let proposals =
            bound.into_iter().map(|(parameter, value)| Proposal { parameter, value, fit, path: path.clone() });
        self.found.proposals.extend(proposals);
    }

    fn absent(&mut self, pattern: &'a Pattern, shape: Shape<'a>) {
        match pattern {
            Pattern::Text(text) => self.note_sensitive(text.declared()),
            Pattern::Hole(Hole::Declared(index)) => self.note_sensitive([*index]),
            _ => {}
        }
        let (path, spots) = (self.trail.path(), self.trail.spots());
        self.found.absences.push(Absence { pattern, shape, path, spots, encoded: self.encoded });
    }

    fn misfit(&mut self, pattern: &'a Pattern, got: &Value, parameter: Option<usize>) {
        let path = self.trail.path();
        let misfit = Misfit { pattern, got: got.clone(), nearest: None, parameter, path, encoded: self.encoded };
        self.found.misfits.push(misfit);
    }

    fn note_sensitive(&mut self, parameters: impl IntoIterator<Item = usize>) {
        let hidden = parameters.into_iter().any(|index| self.parameters.all.get(index).is_some_and(is_hidden));
        // The ways to all lists around are written out.
        if hidden && self.spend(self.trail.depth().pow(2) * work::LOOK) {
            self.found.sensitive.push(Sensitive { path: self.trail.path(), lists: self.trail.lists() });
        }
    }
}

/// Whether a parameter's value must never be written.
pub(super) fn is_hidden(parameter: &Parameter) -> bool {
    parameter.sensitive || parameter.generated.is_some()
}

/// What a hole of `schema` stands for where the object has `value`.
pub(super) fn fit(schema: &Schema, value: &Value, shape: Shape<'_>, budget: Option<&Budget>) -> Option<(Value, Fit)> {
    let work = work::of_accepting(schema, value, budget);
    if budget.is_some_and(|budget| budget.spend(work).is_err()) {
        return None;
    }
    fitted(schema.admits(value), schema, value, shape, budget)
}

/// As [`fit`], where it is known whether the schema accepts the value as it is.
fn fitted(
    accepted: bool,
    schema: &Schema,
    value: &Value,
    shape: Shape<'_>,
    budget: Option<&Budget>,
) -> Option<(Value, Fit)> {
    if accepted {
        let fit = if spelling::is_quantity(shape.scalar()) { Fit::Equivalent } else { Fit::Exact };
        return Some((value.clone(), fit));
    }
    // With what the server added taken off, and what it dropped put back, it may fit; the comparison tells whether
    // that was the server's doing.
    if budget.is_some_and(|budget| budget.spend(work::of_reshaping(schema, value, Some(budget))).is_err()) {
        return None;
    }
    let reshaped = reshape(schema, value, shape)?;
    schema.admits(&reshaped).then_some((reshaped, Fit::Equivalent))
}

/// Whether a parameter may be this, after what it is known to be elsewhere.
fn agrees(binder: &Binder<'_>, index: usize, value: &Value, fit: Fit) -> bool {
    binder.known.get(index).and_then(Option::as_ref).is_none_or(|known| {
        known == value || (fit == Fit::Equivalent && (!known.is_string() || spelling::same_quantities(known, value)))
    })
}

/// Whether `value` could be what `pattern` renders, whatever the server added.
pub(super) fn plausible(binder: &Binder<'_>, pattern: &Pattern, value: &Value, shape: Shape<'_>) -> bool {
    if !binder.spend(work::LOOK) {
        return false;
    }
    match pattern {
        Pattern::Literal(literal) => spelling::same(shape.scalar(), literal, value),
        Pattern::Text(text) => {
            let binds = |shown: &str| {
                binder
                    .cut(text, shown)
                    .is_ok_and(|bound| bound.iter().all(|(index, value)| agrees(binder, *index, value, Fit::Exact)))
            };
            value.as_str().is_some_and(binds)
                || spelling::is_quantity(shape.scalar()) && spelling::texts(value).iter().any(|text| binds(text))
        }
        Pattern::Hole(Hole::Given(given)) => binder.given.get(given).is_some_and(|text| value == text),
        Pattern::Hole(Hole::Declared(index)) => {
            binder.fit(*index, value, shape).is_some_and(|(value, fit)| agrees(binder, *index, &value, fit))
        }
        Pattern::Map(entries) => value.as_object().is_some_and(|object| {
            entries.iter().all(|(key, pattern)| match object.get(&**key) {
                Some(value) => {
                    plausible(binder, pattern, value, shape.field(key)) || may_be_replaced(binder, pattern, key, shape)
                }
                None => may_be_missing(binder, pattern, shape.field(key)),
            })
        }),
        Pattern::List(_) => value.is_array(),
    }
}

/// What the holes of `pattern` stand for, as far as `value` says it letter for letter. Lists in it say nothing.
pub(super) fn exactly(
    binder: &Binder<'_>,
    pattern: &Pattern,
    value: &Value,
    shape: Shape<'_>,
    bound: &mut Vec<(usize, Value)>,
) {
    match pattern {
        Pattern::Literal(_) | Pattern::List(_) | Pattern::Hole(Hole::Given(_)) => {}
        Pattern::Hole(Hole::Declared(index)) => {
            if let Some((value, Fit::Exact)) = binder.fit(*index, value, shape) {
                bound.push((*index, value));
            }
        }
        Pattern::Text(text) => {
            let shown = value.as_str().map(|shown| binder.cut(text, shown));
            if let Some(Ok(found)) = shown {
                bound.extend(found);
            }
        }
        Pattern::Map(entries) => {
            for (key, pattern) in entries.iter() {
                let shape = shape.field(key);
                match value.get(&**key) {
                    Some(value) => exactly(binder, pattern, value, shape, bound),
                    // What the server drops.
                    None if droppable(binder.parameters, pattern) => {}
                    None => {
                        if let Some(zero) = shape.zero() {
                            exactly(binder, pattern, &zero, shape, bound);
                        }
                    }
                }
            }
        }
    }
}

/// Whether the pattern of a field may be empty, so that the API server fills in something else. `shape` is that of the
/// struct that the field is in.
pub(super) fn may_be_replaced(binder: &Binder<'_>, pattern: &Pattern, key: &str, shape: Shape<'_>) -> bool {
    match pattern {
        Pattern::Literal(literal) => shape.replaced(key).contains(literal),
        pattern => {
            let admits = |index: usize, empty: &Value| binder.accepts_empty(index, empty);
            !absent::filled(pattern, key, shape, admits).is_empty()
        }
    }
}

/// Whether a key with this pattern may be missing from the object.
pub(super) fn may_be_missing(binder: &Binder<'_>, pattern: &Pattern, shape: Shape<'_>) -> bool {
    let parameters = binder.parameters;
    match pattern {
        Pattern::Literal(literal) => literal.is_null() || shape.zero().is_some_and(|zero| zero == *literal),
        // A list or map of optional things may be empty, which the server may drop.
        Pattern::Map(entries) => {
            let mut entries = entries.iter();
            shape.zero().is_some() && entries.all(|(key, pattern)| may_be_missing(binder, pattern, shape.field(key)))
        }
        Pattern::List(elements) => {
            let mut elements = elements.iter();
            shape.zero().is_some()
                && elements.all(|element| match element {
                    Element::One(pattern) => droppable(parameters, pattern),
                    Element::Many(_) => true,
                })
        }
        // Text with something literal in it is never empty.
        Pattern::Text(text) => {
            let literal = text.parts.iter().any(|part| matches!(part, Part::Literal(_)));
            droppable(parameters, pattern) || !literal && shape.zero().is_some()
        }
        Pattern::Hole(hole) => {
            let accepts = |zero: Value| match hole {
                Hole::Declared(index) => binder.accepts_empty(*index, &zero),
                Hole::Given(_) => true,
            };
            droppable(parameters, pattern) || shape.zero().is_some_and(accepts)
        }
    }
}

/// Whether the key or element with this pattern may be left out: it has an optional hole, or one that is filled.
pub(super) fn droppable(parameters: &Parameters, pattern: &Pattern) -> bool {
    let may = |index: usize| parameters.all.get(index).is_some_and(crate::render::may_be_absent);
    match pattern {
        Pattern::Hole(Hole::Declared(index)) => may(*index),
        Pattern::Text(text) => text.declared().into_iter().any(may),
        _ => false,
    }
}

/// Whether a template is for Secrets.
pub(super) fn is_secret(template: &Template) -> bool {
    template.kind.group.is_empty() && template.kind.kind == "Secret"
}

fn decoded(data: &Value) -> Option<String> {
    let text: String = data.as_str()?.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    String::from_utf8(STANDARD.decode(text).ok()?).ok()
}
