//! Text with holes: how it is rendered, matched backwards, and found ambiguous.
//!
//! A text is read backwards by cutting it into the pieces that its holes stand for. That only means something if
//! there is one way to cut, so a text for which [`TextPattern::ambiguity`] finds two is refused when its template is
//! loaded, and matching may stop at the first cut that works.

mod ambiguous;
mod automaton;
mod could;
mod cut;
mod pieces;
mod search;

pub(crate) use ambiguous::Searched;
pub(crate) use pieces::Pieces;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use crate::budget::Budget;
use crate::parameter::{self, Bindings, Parameters, Schema};
use crate::shared::Pool;
use crate::template::{Given, Hole};

/// What machines take beside their automata: classes of bytes, and which parts begin with each.
const BYTES_OF_MACHINES: u64 = 2 << 10;
const BYTES_OF_PART: u64 = 128;

/// What texts are cut with: `${run}-${shard}` is alike in many.
static MACHINES: Pool<cut::Machines> = Pool::new();
/// And what they are made of, `--run=${run}`.
static PARTS: Pool<[Part]> = Pool::new();

/// Text with at least one hole.
#[derive(Clone, Debug)]
pub struct TextPattern {
    /// Literals and holes, in order; no two literals side by side, no empty literal.
    pub parts: Arc<[Part]>,
    /// Compiled at first use, and only where more than one parameter has to be told apart; none elsewhere. A pattern
    /// belongs to one template, thus to one set of parameters.
    machines: Option<Arc<Cutting>>,
}

type Cutting = OnceLock<Option<Arc<cut::Machines>>>;

/// A part of a text pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Literal text.
    Literal(String),
    /// A hole.
    Hole(Hole),
}

/// Why a text is not what a pattern renders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextMismatch {
    /// It has not the pattern's form: a literal part differs, or no cut fits.
    Form,
    /// It has the form, and the piece for this parameter is not a value of its schema.
    Parameter(usize),
    /// The pattern needs a value of the caller's identity that is not known.
    Unknown(Given),
}

/// Why a text cannot be rendered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unrendered {
    /// This hole has no value.
    Missing(Hole),
    /// This parameter's value has no text form: it is a list or a map.
    NoText(usize),
}

impl PartialEq for TextPattern {
    fn eq(&self, other: &Self) -> bool {
        self.parts == other.parts
    }
}

impl Eq for TextPattern {}

impl Hash for TextPattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts.hash(state);
    }
}

/// The known text of a part, or the parameter that it stands for.
enum Known<'a> {
    Text(&'a str),
    Parameter(usize),
}

impl TextPattern {
    /// Whether a text begins as what this renders does: with its first literal, where it begins with one.
    pub(crate) fn may_begin(&self, shown: &str) -> bool {
        match self.parts.first() {
            Some(Part::Literal(literal)) => shown.starts_with(literal.as_str()),
            _ => true,
        }
    }

    /// From its parts: no two literals side by side, no empty literal, at least one hole.
    pub fn new(parts: Vec<Part>) -> Self {
        let mut declared = parts.iter().filter_map(declared);
        let first = declared.next();
        let machines = declared.any(|other| Some(other) != first).then(Arc::default);
        Self { parts: PARTS.share(parts), machines }
    }

    /// The declared parameters in it, in order, each once.
    pub fn declared(&self) -> BTreeSet<usize> {
        self.parts.iter().filter_map(declared).collect()
    }

    /// The one hole that is the whole text, if it is one.
    pub fn sole_hole(&self) -> Option<Hole> {
        match &*self.parts {
            [Part::Hole(hole)] => Some(*hole),
            _ => None,
        }
    }

    /// The text as a template writes it: `post-trade-${run}`.
    pub fn source(&self, parameters: &Parameters) -> String {
        self.parts.iter().map(|part| part_source(part, parameters)).collect()
    }

    /// Forwards: the text, once every hole has a value.
    pub fn render(&self, bindings: &Bindings) -> Result<String, Unrendered> {
        let mut out = String::new();
        for part in self.parts.iter() {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Hole(hole @ Hole::Given(given)) => {
                    out.push_str(bindings.given.get(given).ok_or(Unrendered::Missing(*hole))?);
                }
                Part::Hole(hole @ Hole::Declared(index)) => {
                    let value = bindings.declared.get(*index).and_then(Option::as_ref);
                    let value = value.ok_or(Unrendered::Missing(*hole))?;
                    out.push_str(&parameter::text_of_value(value).ok_or(Unrendered::NoText(*index))?);
                }
            }
        }
        Ok(out)
    }

    /// Whether every hole has a value in `declared` and `given`, and `text` is what these render.
    pub(crate) fn renders(&self, declared: &[Option<Value>], given: &BTreeMap<Given, String>, text: &str) -> bool {
        let rest = self.parts.iter().try_fold(text, |text, part| match part {
            Part::Literal(literal) => text.strip_prefix(literal.as_str()),
            Part::Hole(Hole::Given(name)) => text.strip_prefix(given.get(name)?.as_str()),
            Part::Hole(Hole::Declared(index)) => match declared.get(*index)?.as_ref()? {
                Value::String(value) => text.strip_prefix(value.as_str()),
                value => text.strip_prefix(parameter::text_of_value(value)?.as_str()),
            },
        });
        rest.is_some_and(str::is_empty)
    }

    /// Backwards: the values that this pattern renders `text` with, a parameter each once.
    pub fn bind(
        &self,
        text: &str,
        given: &BTreeMap<Given, String>,
        parameters: &Parameters,
    ) -> Result<Vec<(usize, Value)>, TextMismatch> {
        self.bind_by(text, given, parameters, |_, schema, piece| schema.value_of_text(piece))
    }

    /// As [`Self::bind`], where `read` tells what a parameter of this schema is by its piece of the text.
    pub(crate) fn bind_by(
        &self,
        text: &str,
        given: &BTreeMap<Given, String>,
        parameters: &Parameters,
        read: impl Fn(usize, &Schema, &str) -> Option<Value>,
    ) -> Result<Vec<(usize, Value)>, TextMismatch> {
        let mut pieces: BTreeMap<usize, &str> = BTreeMap::new();
        for (index, piece) in self.cut(text, given, parameters)? {
            if *pieces.entry(index).or_insert(piece) != piece {
                return Err(TextMismatch::Form);
            }
        }
        pieces
            .into_iter()
            .map(|(index, piece)| {
                let schema = &parameters.all.get(index).ok_or(TextMismatch::Form)?.schema;
                read(index, schema, piece).map(|value| (index, value)).ok_or(TextMismatch::Parameter(index))
            })
            .collect()
    }

    /// The pieces of `text` that the declared holes stand for.
    fn cut<'t>(
        &self,
        text: &'t str,
        given: &BTreeMap<Given, String>,
        parameters: &Parameters,
    ) -> Result<Vec<(usize, &'t str)>, TextMismatch> {
        let mut known = Vec::with_capacity(self.parts.len());
        for part in self.parts.iter() {
            known.push(match part {
                Part::Literal(literal) => Known::Text(literal),
                Part::Hole(Hole::Given(name)) => Known::Text(given.get(name).ok_or(TextMismatch::Unknown(*name))?),
                Part::Hole(Hole::Declared(index)) => Known::Parameter(*index),
            });
        }
        let (mut core, mut text) = (known.as_slice(), text);
        while let [Known::Text(first), rest @ ..] = core {
            text = text.strip_prefix(first).ok_or(TextMismatch::Form)?;
            core = rest;
        }
        while let [rest @ .., Known::Text(last)] = core {
            text = text.strip_suffix(last).ok_or(TextMismatch::Form)?;
            core = rest;
        }
        let [Known::Parameter(only), ..] = core else {
            return if text.is_empty() { Ok(Vec::new()) } else { Err(TextMismatch::Form) };
        };
        if core.iter().all(|part| !matches!(part, Known::Parameter(index) if index != only)) {
            return cut_evenly(text, core, *only);
        }
        let machines = self.machines.as_ref().ok_or(TextMismatch::Form)?;
        let machines = machines.get_or_init(|| self.machines(parameters));
        let machines = machines.as_ref().ok_or(TextMismatch::Form)?;
        let pieces = machines.cut(text).ok_or(TextMismatch::Form)?;
        let mut out = Vec::new();
        for (part, piece) in core.iter().zip(pieces) {
            match part {
                Known::Text(expected) if *expected != piece => return Err(TextMismatch::Form),
                Known::Text(_) => {}
                Known::Parameter(index) => out.push((*index, piece)),
            }
        }
        Ok(out)
    }

    /// The parts from the first declared hole to the last: what lies outside is known text when a text is read.
    fn core(&self) -> &[Part] {
        let is_declared = |part: &Part| declared(part).is_some();
        let first = self.parts.iter().position(is_declared);
        let last = self.parts.iter().rposition(is_declared);
        match (first, last) {
            (Some(first), Some(last)) => self.parts.get(first..=last).unwrap_or_default(),
            _ => &[],
        }
    }

    /// What tells the machines of this text from others, and their bytes without the automata of its holes; none where it is
    /// cut without. Texts that differ in what lies around their holes have one.
    pub(crate) fn cut_with(&self) -> Option<(u64, u64)> {
        self.machines.as_ref()?;
        let core = self.core();
        let mut hasher = DefaultHasher::new();
        core.hash(&mut hasher);
        let part = |part: &Part| match part {
            Part::Literal(literal) => literal.len() as u64 + BYTES_OF_PART,
            Part::Hole(_) => BYTES_OF_PART,
        };
        Some((hasher.finish(), BYTES_OF_MACHINES + core.iter().map(part).sum::<u64>()))
    }

    /// What this text is cut with. Only asked for where it was found unambiguous, so it takes no more steps than then.
    fn machines(&self, parameters: &Parameters) -> Option<Arc<cut::Machines>> {
        let budget = Budget::of(u64::MAX);
        let machines = cut::Machines::compile(self.core(), parameters, &parameters.pieces, &budget);
        machines.ok().map(|machines| MACHINES.share(machines))
    }
}

/// `only` is the only parameter, perhaps used more than once: every piece has the same length.
fn cut_evenly<'t>(text: &'t str, core: &[Known<'_>], only: usize) -> Result<Vec<(usize, &'t str)>, TextMismatch> {
    let (mut fixed, mut uses) = (0_usize, 0_usize);
    for part in core {
        match part {
            Known::Text(text) => fixed += text.len(),
            Known::Parameter(_) => uses += 1,
        }
    }
    let spare = text.len().checked_sub(fixed).ok_or(TextMismatch::Form)?;
    if uses == 0 || spare % uses != 0 {
        return Err(TextMismatch::Form);
    }
    let (length, mut rest, mut out) = (spare / uses, text, Vec::with_capacity(uses));
    for part in core {
        match part {
            Known::Text(expected) => rest = rest.strip_prefix(expected).ok_or(TextMismatch::Form)?,
            Known::Parameter(_) => {
                let (piece, after) = rest.split_at_checked(length).ok_or(TextMismatch::Form)?;
                out.push((only, piece));
                rest = after;
            }
        }
    }
    Ok(out)
}

fn declared(part: &Part) -> Option<usize> {
    match part {
        Part::Hole(Hole::Declared(index)) => Some(*index),
        _ => None,
    }
}

fn part_source(part: &Part, parameters: &Parameters) -> String {
    match part {
        Part::Literal(text) => text.clone(),
        Part::Hole(hole) => format!("${{{}}}", hole_name(*hole, parameters)),
    }
}

/// The name of a hole, as a template writes it.
pub fn hole_name(hole: Hole, parameters: &Parameters) -> &str {
    match hole {
        Hole::Given(given) => given.name(),
        Hole::Declared(index) => parameters.all.get(index).map_or("?", |parameter| parameter.name.as_str()),
    }
}

#[cfg(test)]
mod tests;
