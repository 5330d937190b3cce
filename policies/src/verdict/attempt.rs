//! One new object, held against one candidate after the other: first by a quick test that fails at the first sure
//! difference, then the long way.
//!
//! A template may move sidecars of the object, and a ConfigMap may accept what the cluster adds: then it is another form of the
//! object that is held against the template. Each form is made once, whatever templates share it.

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use serde_json::{Map, Value};

use crate::caller::Caller;
use crate::difference::{Difference, Expected, Got, Path};
use crate::parameter::Bindings;
use crate::recognise::{self, Context, Marked, Miss, Prepared, Recognition, work};
use crate::render;
use crate::request::{Phase, Request};
use crate::sidecars::Sidecars;
use crate::template::{Placement, Template};
use crate::{keys, recognise::TOO_MUCH};

use super::grant::{self, Candidate, Instructed};
use super::{Cause, Refusal};

/// What came of holding an object against a candidate.
pub(super) enum Attempt<'a> {
    /// It is what the template renders, in this form.
    Matches(Bindings, Instructed, Rc<Form<'a>>),
    /// It is not.
    Differs(Vec<Difference>, Rc<Form<'a>>),
}

/// What a quick look tells.
pub(super) enum Look {
    /// The template renders it.
    Same(Bindings),
    /// It differs, whatever the holes stand for.
    Other,
    /// The long way tells.
    Open,
}

/// The object in one form.
pub(super) struct Form<'a> {
    object: Cow<'a, Value>,
    /// Whether sidecars were moved in it.
    is_moved: bool,
    /// As it is seen the long way; the shortcut passes over what is not part of it.
    prepared: OnceCell<Prepared>,
    /// Its length in steps.
    size: OnceCell<u64>,
}

impl<'a> Form<'a> {
    fn of(object: Cow<'a, Value>, is_moved: bool) -> Rc<Self> {
        Rc::new(Self { object, is_moved, prepared: OnceCell::new(), size: OnceCell::new() })
    }

    fn size(&self) -> u64 {
        *self.size.get_or_init(|| size(&self.object))
    }

    /// The object, where sidecars were moved in it.
    pub(super) fn moved(&self) -> Option<&Value> {
        self.is_moved.then_some(&*self.object)
    }
}

/// What makes a form of another one.
#[derive(PartialEq)]
enum Change<'a> {
    Moved(&'a Sidecars),
    /// Without these rows of a ConfigMap, of the form at this address.
    Without(*const (), u64, *const ()),
}

/// The object of a request, held against candidates.
pub(super) struct Attempts<'a> {
    caller: &'a Caller,
    object: &'a Value,
    moves: bool,
    as_sent: Rc<Form<'a>>,
    /// Forms that were made; none where the change changes nothing.
    made: RefCell<Vec<(Change<'a>, Option<Rc<Form<'a>>>)>>,
}

impl<'a> Attempts<'a> {
    pub(super) fn new(caller: &'a Caller, request: &Request, object: &'a Value) -> Self {
        Self {
            caller,
            object,
            moves: request.phase == Phase::Mutating,
            as_sent: Form::of(Cow::Borrowed(object), false),
            made: RefCell::default(),
        }
    }

    /// A quick look at the object.
    pub(super) fn look(&self, candidate: &Candidate<'a>, context: &Context<'_>) -> Look {
        let template = candidate.template;
        // To move sidecars takes a copy of the object.
        if template.sidecars.is_some() && self.moves && self.is_named_otherwise(candidate, context) {
            return Look::Other;
        }
        match self.by_shortcut(template, &self.form(candidate, context), context) {
            Ok(Ok(bindings)) => Look::Same(bindings),
            // It may differ in what the cluster adds alone.
            Ok(Err(Miss::Sure)) if candidate.set.accepted.is_empty() => Look::Other,
            Ok(Err(_)) if self.is_named_otherwise(candidate, context) => Look::Other,
            _ => Look::Open,
        }
    }

    /// Whether the object has another name than the template could give.
    pub(super) fn is_named_otherwise(&self, candidate: &Candidate<'_>, context: &Context<'_>) -> bool {
        recognise::is_named_otherwise(candidate.template, self.object, context)
    }

    /// Whether the object differs for sure in what the template says without holes, and in more than the cluster may add.
    pub(super) fn differs_in_literals(&self, candidate: &Candidate<'a>, context: &Context<'_>) -> bool {
        let unaccepted = candidate.set.accepted.applying_to(candidate.template) == 0;
        let form = || self.form(candidate, context);
        unaccepted && recognise::differ_in_literals(candidate.template, &form().object, context)
    }

    /// With the bindings that a quick look found, or the long way; then without what the ConfigMap accepts.
    pub(super) fn by(
        &self,
        candidate: &Candidate<'a>,
        bindings: Option<Bindings>,
        context: &Context<'_>,
    ) -> Result<Attempt<'a>, Refusal> {
        let form = self.form(candidate, context);
        let attempt = self.as_it_is(candidate, &form, bindings, context)?;
        if candidate.set.accepted.is_empty() || matches!(attempt, Attempt::Matches(..)) {
            return Ok(attempt);
        }
        let Some(less) = self.without(candidate, &form, context) else { return Ok(attempt) };
        let bindings = self.by_shortcut(candidate.template, &less, context).ok().and_then(Result::ok);
        self.as_it_is(candidate, &less, bindings, context)
    }

    /// The object as it will be stored, where a template moves sidecars of it. What comes to the validating phase was moved.
    fn form(&self, candidate: &Candidate<'a>, context: &Context<'_>) -> Rc<Form<'a>> {
        let Some(sidecars) = candidate.template.sidecars.as_deref().filter(|_| self.moves) else {
            return Rc::clone(&self.as_sent);
        };
        let moved = self.made_once(Change::Moved(sidecars), || {
            if !context.spend(work::COPYING * self.as_sent.size()) {
                return None;
            }
            Some(Form::of(Cow::Owned(sidecars.moved(self.object)?), true))
        });
        moved.unwrap_or_else(|| Rc::clone(&self.as_sent))
    }

    /// A form without what the ConfigMap accepts; none where it has nothing of that.
    fn without(&self, candidate: &Candidate<'a>, form: &Rc<Form<'a>>, context: &Context<'_>) -> Option<Rc<Form<'a>>> {
        let accepted = &candidate.set.accepted;
        let rows = accepted.applying_to(candidate.template);
        if rows == 0 {
            return None;
        }
        let change = Change::Without(std::ptr::from_ref(accepted).cast(), rows, Rc::as_ptr(form).cast());
        self.made_once(change, || {
            let work = accepted.work(rows, form.size());
            if !context.spend(work) {
                return None;
            }
            let less = accepted.without_rows(rows, &form.object, context.facts, context.budget)?;
            Some(Form::of(Cow::Owned(less), form.is_moved))
        })
    }

    fn made_once(&self, change: Change<'a>, make: impl FnOnce() -> Option<Rc<Form<'a>>>) -> Option<Rc<Form<'a>>> {
        if let Some((_, known)) = self.made.borrow().iter().find(|(other, _)| *other == change) {
            return known.clone();
        }
        let made = make();
        self.made.borrow_mut().push((change, made.clone()));
        made
    }

    /// The outer error: no step is left to tell.
    fn by_shortcut(
        &self,
        template: &Template,
        form: &Form<'_>,
        context: &Context<'_>,
    ) -> Result<Result<Bindings, Miss>, Exhausted> {
        let found = recognise::shortcut(template, &form.object, context, Marked::Maybe);
        if context.is_exhausted() { Err(Exhausted) } else { Ok(found) }
    }

    fn as_it_is(
        &self,
        candidate: &Candidate<'a>,
        form: &Rc<Form<'a>>,
        bindings: Option<Bindings>,
        context: &Context<'_>,
    ) -> Result<Attempt<'a>, Refusal> {
        let template = candidate.template;
        let object = &*form.object;
        let differs = |differences| Ok(Attempt::Differs(differences, Rc::clone(form)));
        let mut bindings = match bindings {
            Some(bindings) => bindings,
            None => {
                if let Some(differences) = recognise::contrast(template, object, context, Marked::Maybe) {
                    return differs(differences);
                }
                if context.is_exhausted() {
                    return Err(too_much(candidate));
                }
                let prepare = || {
                    context.spend(work::COPYING * form.size());
                    Prepared::new(&template.kind, bare(object), context.facts)
                };
                match form.prepared.get_or_init(prepare).prove(template, context) {
                    Recognition::Match(bindings) => bindings,
                    Recognition::Differ(differences) => return differs(differences),
                    Recognition::CouldNotTell(_) if context.is_exhausted() => return Err(too_much(candidate)),
                    Recognition::CouldNotTell(reason) => return Err(Refusal::new(Cause::CouldNotTell, reason)),
                }
            }
        };
        let mut differences = misplaced(template, &bindings, context.namespace, self.caller);
        match grant::instructed(template, object, &mut bindings) {
            Ok(instructed) if differences.is_empty() => Ok(Attempt::Matches(bindings, instructed, Rc::clone(form))),
            Ok(_) => differs(differences),
            Err(more) => {
                differences.extend(more);
                differs(differences)
            }
        }
    }
}

/// As [`work::size`], without the server's notes, which nothing compares.
fn size(object: &Value) -> u64 {
    let Value::Object(fields) = object else { return work::size(object) };
    let of = |(name, value): (&String, &Value)| match (name.as_str(), value) {
        ("metadata", Value::Object(metadata)) => {
            metadata.iter().filter(|(name, _)| *name != "managedFields").map(|(_, value)| 32 + work::size(value)).sum()
        }
        _ => 32 + work::size(value),
    };
    fields.iter().map(of).sum()
}

/// No step is left.
struct Exhausted;

/// The refusal of an object that cannot be compared within the work of one review.
pub(super) fn too_much(candidate: &Candidate<'_>) -> Refusal {
    let (name, key) = (&candidate.set.name, &candidate.template.key);
    Refusal::new(Cause::TooLarge, format!("{TOO_MUCH}: with {key} of ConfigMap {name}")).advise(&format!(
        "Send a smaller object (above all: shorter lists), or ask the admin of {name} for a simpler template: fewer \
             optional parameters, fewer elements of lists that are named by holes, fewer branches of oneOf, shorter \
             patterns. A pod that names \
             fewer ConfigMaps in {} is answered with less work, too.",
        keys::MANIFESTS
    ))
}

/// The object as recognition sees it: without stamp, instructions, and owners (judged by identity).
pub(crate) fn bare(object: &Value) -> Value {
    let Value::Object(fields) = object else { return object.clone() };
    let bare = fields.iter().map(|(name, value)| match (name.as_str(), value) {
        ("metadata", Value::Object(metadata)) => (name.clone(), bare_metadata(metadata)),
        _ => (name.clone(), value.clone()),
    });
    Value::Object(bare.collect())
}

/// Without the server's notes either, which nothing compares and which are as long as the rest.
fn bare_metadata(metadata: &Map<String, Value>) -> Value {
    let fields = metadata.iter().filter_map(|(name, value)| match (name.as_str(), value) {
        ("ownerReferences" | "managedFields", _) => None,
        ("labels" | "annotations", Value::Object(map)) => {
            let kept = map.iter().filter(|(key, _)| !keys::is_aside(name, key));
            let kept: Map<_, _> = kept.map(|(key, value)| (key.clone(), value.clone())).collect();
            (map.is_empty() || !kept.is_empty()).then(|| (name.clone(), Value::Object(kept)))
        }
        _ => Some((name.clone(), value.clone())),
    });
    Value::Object(fields.collect())
}

/// The difference of an object that is not where its template puts it.
fn misplaced(template: &Template, bindings: &Bindings, namespace: &str, caller: &Caller) -> Vec<Difference> {
    let expected = match &template.placement {
        Placement::MasterNamespace => Ok(Some(Value::from(caller.account.namespace.as_str()))),
        Placement::Named(pattern) => render::render_pattern(template, pattern, bindings),
    };
    let expected = match expected {
        Ok(Some(place)) if place == namespace => return Vec::new(),
        Ok(Some(place)) => Expected::Value(place),
        Ok(None) => Expected::Nothing,
        Err(error) => Expected::Described(error.to_string()),
    };
    let path = Path::root().key("metadata").key("namespace");
    vec![Difference { path, expected, got: Got::Value(namespace.into()) }]
}
