//! Forwards: parameters in, manifest out.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value};
use thiserror::Error;

use crate::difference::Got;
use crate::keys;
use crate::parameter::{Bindings, Parameter, Parameters, text_of_value};
use crate::template::{Element, Hole, Pattern, Placement, Template};
use crate::text::{Unrendered, hole_name};

/// Why a template cannot be rendered.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RenderError {
    /// Parameters that the template uses and that have no value, nor a default, nor may be absent.
    #[error("no value for {}; give one for each (`--set NAME=VALUE`)", names(.0))]
    Missing(Vec<String>),
    /// Values of the caller's identity that the template uses and that are not known here.
    #[error("{} cannot be known here: it comes from the identity of the master's pod (`--caller FILE`)", names(.0))]
    NotGiven(Vec<String>),
    /// A parameter that is not declared.
    #[error("there is no parameter `{name}`; declared are: {declared}")]
    Unknown {
        /// As given.
        name: String,
        /// The names that are declared, for people.
        declared: String,
    },
    /// A value that the parameter's schema refuses. Only a number is repeated.
    #[error("parameter `{name}`: expected {expected}, got {got}{within}")]
    Invalid {
        /// The parameter.
        name: String,
        /// What its schema describes.
        expected: String,
        /// What was given, as far as it may be shown.
        got: String,
        /// What is wrong inside of it; empty where that is the value itself.
        within: String,
    },
    /// A list or a map inside text.
    #[error("parameter `{0}` is a list or a map and cannot stand inside text")]
    NoText(String),
    /// The manifest is not a map.
    #[error("the template is not a manifest: it is no map")]
    NotAManifest,
}

fn names(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// A value for a parameter, as someone gives it.
#[derive(Clone, Debug, PartialEq)]
pub enum Argument {
    /// Text, as of `--set NAME=TEXT`: the value whose text this is, or JSON for lists and maps.
    Text(String),
    /// A value.
    Value(Value),
}

/// The bindings that render with `arguments`, every other parameter at its default. What has no default stays
/// unbound: [`render`] says whether the template at hand needs it.
///
/// # Errors
/// [`RenderError::Unknown`] and [`RenderError::Invalid`].
pub fn defaults(parameters: &Parameters, arguments: &BTreeMap<String, Argument>) -> Result<Bindings, RenderError> {
    let mut declared: Vec<Option<Value>> = parameters.all.iter().map(|parameter| parameter.default.clone()).collect();
    for (name, argument) in arguments {
        let found = parameters.all.iter().zip(&mut declared).find(|(parameter, _)| parameter.name == *name);
        let Some((parameter, slot)) = found else {
            let declared = parameters.all.iter().map(|parameter| parameter.name.as_str()).collect::<Vec<_>>();
            let declared = if declared.is_empty() { "none".to_owned() } else { declared.join(", ") };
            return Err(RenderError::Unknown { name: name.clone(), declared });
        };
        *slot = Some(argument_value(parameter, argument)?);
    }
    Ok(Bindings { declared, given: BTreeMap::new() })
}

fn argument_value(parameter: &Parameter, argument: &Argument) -> Result<Value, RenderError> {
    let invalid = |given: &Value, within: String| RenderError::Invalid {
        name: parameter.name.clone(),
        expected: parameter.schema.describe(),
        got: shown(parameter, given).to_string(),
        within,
    };
    let value = match argument {
        Argument::Value(value) => value.clone(),
        Argument::Text(text) => {
            if let Some(value) = parameter.schema.value_of_text(text) {
                return Ok(value);
            }
            match serde_json::from_str(text) {
                Ok(value) if parameter.schema.language().is_some() => return Err(invalid(&value, String::new())),
                Ok(value) => value,
                Err(error) => {
                    let is_text = parameter.schema.language().is_some();
                    let why = if is_text { String::new() } else { format!(", which is no JSON: {error}") };
                    return Err(invalid(&text.as_str().into(), why));
                }
            }
        }
    };
    parameter.schema.accepts(&value).map_err(|mismatch| {
        let inside = !mismatch.path.steps().is_empty();
        invalid(&value, if inside { format!("; {mismatch}") } else { String::new() })
    })?;
    Ok(value)
}

/// A number is shown; text may be a secret that was given for the wrong parameter.
fn shown(parameter: &Parameter, given: &Value) -> Got {
    let plain = given.is_number() || given.is_boolean();
    if plain && !parameter.sensitive { Got::Value(given.clone()) } else { Got::Hidden }
}

/// The manifest that `template` makes of `bindings`, with `metadata.namespace` where the template names one.
///
/// A key or element whose value is an optional parameter without value is left out; so is that of a generated one,
/// which the webhook fills.
///
/// # Errors
/// [`RenderError::Missing`] with all that is missing, [`RenderError::NotGiven`], [`RenderError::NoText`].
pub fn render(template: &Template, bindings: &Bindings) -> Result<Value, RenderError> {
    let mut renderer = Renderer::new(&template.parameters, bindings);
    let manifest = renderer.value(&template.pattern);
    let namespace = match &template.placement {
        Placement::MasterNamespace => None,
        Placement::Named(pattern) => renderer.value(pattern),
    };
    renderer.verdict()?;
    let Some(Value::Object(mut manifest)) = manifest else { return Err(RenderError::NotAManifest) };
    if let Some(namespace) = namespace {
        let metadata = manifest.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(metadata) = metadata {
            metadata.insert("namespace".into(), namespace);
        }
    }
    Ok(Value::Object(manifest))
}

/// What one pattern of `template` (an instruction such as its duration) makes of `bindings`; none where it is absent.
///
/// # Errors
/// As [`render`].
pub fn render_pattern(
    template: &Template,
    pattern: &Pattern,
    bindings: &Bindings,
) -> Result<Option<Value>, RenderError> {
    let mut renderer = Renderer::new(&template.parameters, bindings);
    let value = renderer.value(pattern);
    renderer.verdict()?;
    Ok(value)
}

/// The instructions of `template` that are left to the master, as it sends them: annotation and text. Those that the admin
/// wrote out are not sent.
///
/// # Errors
/// As [`render`].
pub fn instructions(template: &Template, bindings: &Bindings) -> Result<BTreeMap<&'static str, String>, RenderError> {
    let left = [
        (keys::DURATION, &template.duration),
        (keys::KEEP_FINISHED, &template.keep_finished),
        (keys::NOTIFY_BEFORE, &template.notify_before),
    ];
    let mut sent = BTreeMap::new();
    for (key, pattern) in left {
        let Some(pattern) = pattern.as_ref().filter(|pattern| pattern.has_holes()) else { continue };
        let value = render_pattern(template, pattern, bindings)?;
        sent.extend(value.and_then(|value| text_of_value(&value)).map(|text| (key, text)));
    }
    Ok(sent)
}

/// Values that stand in for parts of one template's pattern, found by identity.
pub(crate) type Instead = HashMap<*const Pattern, Value>;

/// Builds values from patterns, and collects what is missing on the way.
pub(crate) struct Renderer<'a> {
    parameters: &'a Parameters,
    bindings: &'a Bindings,
    instead: Option<&'a Instead>,
    missing: BTreeSet<Hole>,
    no_text: Option<usize>,
}

impl<'a> Renderer<'a> {
    pub(crate) fn new(parameters: &'a Parameters, bindings: &'a Bindings) -> Self {
        Self { parameters, bindings, instead: None, missing: BTreeSet::new(), no_text: None }
    }

    /// Puts these values in the place of these patterns.
    pub(crate) fn with(mut self, instead: &'a Instead) -> Self {
        self.instead = Some(instead);
        self
    }

    /// The value of a pattern; none where it is absent or cannot be known.
    pub(crate) fn value(&mut self, pattern: &Pattern) -> Option<Value> {
        if let Some(value) = self.instead.and_then(|instead| instead.get(&std::ptr::from_ref(pattern))) {
            return Some(value.clone());
        }
        match pattern {
            Pattern::Literal(value) => Some(value.clone()),
            Pattern::Text(text) => match text.render(self.bindings) {
                Ok(text) => Some(Value::String(text)),
                Err(Unrendered::Missing(hole)) => self.absent(hole),
                Err(Unrendered::NoText(index)) => {
                    self.no_text.get_or_insert(index);
                    None
                }
            },
            Pattern::Hole(hole) => match hole {
                Hole::Given(given) => match self.bindings.given.get(given) {
                    Some(text) => Some(Value::String(text.clone())),
                    None => self.absent(*hole),
                },
                Hole::Declared(index) => match self.bound(*index) {
                    Some(value) => Some(value.clone()),
                    None => self.absent(*hole),
                },
            },
            Pattern::Map(entries) => {
                let mut out = Map::new();
                for (key, pattern) in entries.iter() {
                    if let Some(value) = self.value(pattern) {
                        out.insert(key.to_string(), value);
                    }
                }
                Some(Value::Object(out))
            }
            Pattern::List(elements) => {
                let mut out = Vec::with_capacity(elements.len());
                for element in elements.iter() {
                    match element {
                        Element::One(pattern) => out.extend(self.value(pattern)),
                        Element::Many(index) => match self.bound(*index) {
                            Some(Value::Array(values)) => out.extend(values.iter().cloned()),
                            Some(other) => out.push(other.clone()),
                            None => {
                                self.absent(Hole::Declared(*index));
                            }
                        },
                    }
                }
                Some(Value::Array(out))
            }
        }
    }

    fn bound(&self, index: usize) -> Option<&'a Value> {
        self.bindings.declared.get(index).and_then(Option::as_ref)
    }

    fn absent(&mut self, hole: Hole) -> Option<Value> {
        let may_be_absent = match hole {
            Hole::Given(_) => false,
            Hole::Declared(index) => self.parameters.all.get(index).is_some_and(may_be_absent),
        };
        if !may_be_absent {
            self.missing.insert(hole);
        }
        None
    }

    fn verdict(&self) -> Result<(), RenderError> {
        if let Some(index) = self.no_text {
            return Err(RenderError::NoText(hole_name(Hole::Declared(index), self.parameters).to_owned()));
        }
        let named = |wanted: fn(&Hole) -> bool| {
            let holes = self.missing.iter().filter(|hole| wanted(hole));
            holes.map(|hole| hole_name(*hole, self.parameters).to_owned()).collect::<Vec<_>>()
        };
        let missing = named(|hole| matches!(hole, Hole::Declared(_)));
        if !missing.is_empty() {
            return Err(RenderError::Missing(missing));
        }
        let not_given = named(|hole| matches!(hole, Hole::Given(_)));
        if !not_given.is_empty() {
            return Err(RenderError::NotGiven(not_given));
        }
        Ok(())
    }
}

/// Whether the key or element whose value is this parameter may be left out of what is submitted.
pub(crate) fn may_be_absent(parameter: &Parameter) -> bool {
    parameter.optional || parameter.generated.is_some()
}

#[cfg(test)]
mod tests;
