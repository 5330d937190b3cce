//! From YAML to templates: holes found, instructions taken out, what could not be told apart or admitted refused.

use std::rc::Rc;
use std::sync::Arc;

use super::costs::{Costs, Dear, Piece};
use super::errors::{Errors, Lines};
use super::way::Way;
use super::{Element, Field, Hole, Pattern, Template, TemplateError, ambiguity, holes, metadata, rules, sidecars};
use crate::budget::Budget;
use crate::object::Gvk;
use crate::parameter::Parameters;
use crate::recognise::Shortcut;
use crate::shared::Pool;
use crate::text::{Part, Searched, TextPattern};
use crate::yaml::{self, Content, Node, Style};

/// The kinds that there are templates of.
static KINDS: Pool<Gvk> = Pool::new();
/// The most steps of one key that is compiled alone.
const MOST_STEPS: u64 = 200_000_000;
/// Steps for a node, which is read, checked and kept.
const STEPS_PER_NODE: u64 = 64;
/// Steps for a byte of a text or a key.
const STEPS_PER_BYTE: u64 = 2;
/// What takes more than this part of a key's steps is told beside that at which they end.
const PART_OF_DEAREST: u64 = 10;
/// How high what is kept once may be; the highest that people write is half of it.
const MOST_HEIGHT_KEPT: usize = 32;
/// The most templates of one key.
const MOST_TEMPLATES: usize = 1000;

/// One `data` key, compiled: each template stands alone, so one that is wrong leaves the others usable.
#[derive(Debug, Default)]
pub struct Compiled {
    /// Those that compiled.
    pub templates: Vec<Template>,
    /// What is wrong with the others.
    pub errors: Vec<TemplateError>,
    /// What took most of the work, where one text or list took much of it.
    pub(crate) dearest: Option<Dear>,
}

impl From<TemplateError> for Compiled {
    fn from(error: TemplateError) -> Self {
        Self { errors: vec![error], ..Self::default() }
    }
}

/// Whether a text was compiled before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    /// Never: everything is checked.
    Never,
    /// This very text with these parameters: what was found then is not sought again.
    Checked,
}

/// What compiling the keys of one ConfigMap shares.
#[derive(Debug)]
pub(crate) struct Shared<'b> {
    /// The steps that are left.
    budget: &'b Budget,
    /// What was found of texts.
    searched: Rc<Searched>,
    /// What took how much of them.
    costs: Costs,
}

impl<'b> Shared<'b> {
    /// With so many steps.
    pub(crate) fn of(budget: &'b Budget) -> Self {
        Self { budget, searched: Rc::default(), costs: Costs::default() }
    }

    /// For one key, with steps of its own.
    pub(crate) fn part<'p>(&self, budget: &'p Budget) -> Shared<'p> {
        Shared { budget, searched: Rc::clone(&self.searched), costs: Costs::default() }
    }
}

/// Compiles the manifests of one `data` key: one or more documents, a `List` among them being its items.
pub fn compile(key: &str, text: &str, parameters: &Arc<Parameters>) -> Compiled {
    let budget = Budget::of(MOST_STEPS);
    match documents(text, &budget) {
        Ok(documents) => read(key, &documents, parameters, Before::Never, &Shared::of(&budget)),
        Err(error) => error.into(),
    }
}

/// The templates of a text that was compiled before and found right with these parameters. Nothing is checked again, so it
/// takes less than it did then.
pub(crate) fn again(key: &str, text: &str, parameters: &Arc<Parameters>) -> Vec<Template> {
    let budget = Budget::of(u64::MAX);
    let documents = documents(text, &budget).unwrap_or_default();
    read(key, &documents, parameters, Before::Checked, &Shared::of(&budget)).templates
}

/// The YAML documents of a key's text.
pub(crate) fn documents(text: &str, budget: &Budget) -> Result<Vec<Node>, TemplateError> {
    yaml::documents_within(text, budget)
        .map_err(|error| TemplateError::new(error.line, format!("column {}: {}", error.column, error.message)))
}

/// As [`compile`]; what is wrong is only told where the text was never compiled before.
pub(crate) fn read(
    key: &str,
    documents: &[Node],
    parameters: &Arc<Parameters>,
    before: Before,
    shared: &Shared<'_>,
) -> Compiled {
    let mut templates = Vec::new();
    let mut errors = Errors::default();
    let mut manifests = Vec::new();
    for document in documents {
        match list_items(document) {
            Some(items) => manifests.extend(items),
            None => manifests.push(document),
        }
    }
    if manifests.is_empty() {
        errors.tell(|| 1, "no manifest is here: write one, or remove the key");
    }
    if manifests.len() > MOST_TEMPLATES {
        errors.tell(|| 1, "more than 1000 manifests under one key: split it");
        manifests.clear();
    }
    for (position, manifest) in manifests.iter().enumerate() {
        let name = if position == 0 { key.to_owned() } else { format!("{key}#{}", position + 1) };
        match template(name, manifest, parameters, before, shared) {
            _ if shared.budget.is_used_up() => {
                let (line, message) = exhausted(shared, manifest.line, manifests.len(), position);
                errors.tell(|| line, message);
                break;
            }
            Ok(template) => templates.push(template),
            Err(others) => errors.append(others),
        }
    }
    Compiled { templates, errors: errors.told(), dearest: shared.costs.dearest() }
}

/// Where the steps of a key ended, and what to simplify: what took most, or else that at which they ended. `usable` of its
/// manifests were compiled before.
fn exhausted(shared: &Shared<'_>, manifest: usize, manifests: usize, usable: usize) -> (usize, String) {
    let end = shared.costs.end().unwrap_or(Dear { piece: Piece::Manifest, line: manifest, steps: 0 });
    let mut message =
        format!("compiling this key takes more work than is allowed, which ends at this {}", end.piece.name());
    let dearest = shared.costs.dearest().filter(|dear| dear.steps > shared.budget.given() / PART_OF_DEAREST);
    match dearest {
        Some(dear) if dear.line != end.line => {
            let (percent, name) = (dear.steps * 100 / shared.budget.given().max(1), dear.piece.name());
            message.push_str(&format!("; the {name} on line {} took {percent} % of it", dear.line));
        }
        Some(_) => {}
        None if end.piece == Piece::Manifest => {}
        None => message
            .push_str(&format!(", after many others of which each took little: write fewer {}s", end.piece.name())),
    }
    message.push_str(&format!(": {}", dearest.unwrap_or(end).piece.advice()));
    if manifests > 1 {
        message.push_str(&format!(". {} of the {manifests} manifests of this key cannot be used", manifests - usable));
    }
    (end.line, message)
}

/// The items of a `kind: List` of `v1`, as `kubectl get -o yaml` prints several objects.
fn list_items(document: &Node) -> Option<&[Node]> {
    let kind = document.get("kind")?.as_str()?;
    let api_version = document.get("apiVersion")?.as_str()?;
    (kind == "List" && api_version == "v1").then(|| document.get("items")?.items()).flatten()
}

fn template(
    key: String,
    manifest: &Node,
    parameters: &Arc<Parameters>,
    before: Before,
    shared: &Shared<'_>,
) -> Result<Template, Errors> {
    let kind = kind(manifest, parameters)?;
    let mut compiler = Compiler { parameters, before, shared, errors: Errors::default() };
    let compiled = compiler.pattern(manifest, &Way::ROOT);
    let mut errors = compiler.errors;
    let (Some(Made { pattern, .. }), true) = (compiled, errors.is_empty()) else { return Err(errors) };
    let lines = Lines::of(manifest);
    let budget = shared.budget;
    let parts = metadata::extract(pattern, &kind, parameters, &lines, &mut errors);
    // A template that fell short then is not among those that are taken now.
    if before == Before::Never {
        rules::check(&kind, &parts.pattern, parameters, &lines, budget, &mut errors);
        ambiguity::check(&kind, &parts.pattern, parameters, &lines, (budget, &shared.costs), &mut errors);
    }
    let moves = parts.native_sidecars && errors.is_empty();
    let moved = moves.then(|| sidecars::moved(&kind, &parts.pattern, &lines, &mut errors)).flatten();
    let (pattern, sidecars) = match moved {
        Some((pattern, sidecars)) => {
            if before == Before::Never {
                ambiguity::check(&kind, &pattern, parameters, &lines, (budget, &shared.costs), &mut errors);
            }
            (pattern, Some(Box::new(sidecars)))
        }
        None => (parts.pattern, None),
    };
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(Template {
        key,
        line: manifest.line,
        kind: KINDS.share(kind),
        pattern,
        placement: parts.placement,
        parameters: Arc::clone(parameters),
        owner: parts.owner,
        duration: parts.duration,
        keep_finished: parts.keep_finished,
        notify_before: parts.notify_before,
        sidecars,
        applied: parts.applied,
        shortcut: Shortcut::default(),
    })
}

fn kind(manifest: &Node, parameters: &Parameters) -> Result<Gvk, TemplateError> {
    if manifest.entries().is_none() {
        let message = format!("expected a manifest (a map with apiVersion and kind), got {}", manifest.describe());
        return Err(TemplateError::new(manifest.line, message));
    }
    let literal = |key: &str| {
        let node = manifest
            .get(key)
            .ok_or_else(|| TemplateError::new(manifest.line, format!("{key} is missing: not a manifest")))?;
        match node.as_str() {
            Some(text)
                if matches!(holes::split(text, parameters).as_slice(), [Part::Literal(_)]) && !text.is_empty() =>
            {
                Ok((node.line, text))
            }
            Some(_) => Err(TemplateError::new(
                node.line,
                format!("a hole in {key}: it must be literal, write one template for each kind"),
            )),
            None => Err(TemplateError::new(node.line, format!("{key} is text, got {}", node.describe()))),
        }
    };
    let ((line, api_version), (_, kind)) = (literal("apiVersion")?, literal("kind")?);
    Gvk::parse(api_version, kind).map_err(|message| TemplateError::new(line, message))
}

/// A pattern, and what was seen of it when it was made.
struct Made {
    pattern: Pattern,
    holes: bool,
    height: usize,
}

impl Made {
    fn flat(pattern: Pattern) -> Self {
        Self { holes: pattern.has_holes(), height: 0, pattern }
    }
}

struct Compiler<'p> {
    parameters: &'p Parameters,
    before: Before,
    shared: &'p Shared<'p>,
    errors: Errors,
}

impl Compiler<'_> {
    fn error<T>(&mut self, line: usize, message: impl Into<String>) -> Option<T> {
        self.errors.tell(|| line, message);
        None
    }

    /// The pattern of a node; none where something is wrong in it, or the steps are used up.
    fn pattern(&mut self, node: &Node, way: &Way<'_>) -> Option<Made> {
        self.shared.budget.spend(STEPS_PER_NODE).ok()?;
        match &node.content {
            Content::Scalar(scalar) => {
                let Some(text) = scalar.value.as_str() else {
                    return Some(Made::flat(Pattern::Literal(scalar.value.clone())));
                };
                self.shared.budget.spend(text.len() as u64 * STEPS_PER_BYTE).ok()?;
                self.text(text, scalar.style, node.line, way).map(Made::flat)
            }
            Content::List(items) => {
                let mut elements = Vec::with_capacity(items.len());
                let (mut holes, mut height) = (false, 0);
                for (index, item) in items.iter().enumerate() {
                    let Some(made) = self.pattern(item, &way.index(index)) else { continue };
                    (holes, height) = (holes || made.holes, height.max(made.height));
                    elements.extend(self.element(made.pattern, item.line));
                }
                let whole = elements.len() == items.len();
                whole.then(|| Made { pattern: self.list(elements, holes, height), holes, height: height + 1 })
            }
            Content::Map(entries) => {
                let mut patterns = Vec::with_capacity(entries.len());
                let (mut holes, mut height) = (false, 0);
                for entry in entries {
                    let Some(key) = self.key(&entry.key, entry.line) else { continue };
                    let Some(made) = self.pattern(&entry.value, &way.key(&entry.key)) else { continue };
                    (holes, height) = (holes || made.holes, height.max(made.height));
                    patterns.push((key, made.pattern));
                }
                let whole = patterns.len() == entries.len();
                whole.then(|| Made { pattern: self.map(patterns, holes, height), holes, height: height + 1 })
            }
        }
    }

    fn key(&mut self, key: &str, line: usize) -> Option<Field> {
        self.shared.budget.spend(key.len() as u64 * STEPS_PER_BYTE).ok()?;
        match holes::split(key, self.parameters).as_slice() {
            [Part::Literal(key)] => Some(Field::from(key.as_str())),
            _ => {
                let message = format!(
                    "a hole in a key ({key}): keys are literal; for free keys bind the whole map to one parameter \
                     (type: object with additionalProperties)"
                );
                self.error(line, message)
            }
        }
    }

    /// What is compiled to be checked alone is dropped soon, and nothing that people write is so high: neither is looked for
    /// among what is kept, where each map and list is compared as a whole.
    fn is_kept(&self, holes: bool, height: usize) -> bool {
        self.before == Before::Checked && !holes && height < MOST_HEIGHT_KEPT
    }

    fn map(&self, entries: Vec<(Field, Pattern)>, holes: bool, height: usize) -> Pattern {
        if self.is_kept(holes, height) { Pattern::map(entries) } else { Pattern::Map(entries.into()) }
    }

    fn list(&self, elements: Vec<Element>, holes: bool, height: usize) -> Pattern {
        if self.is_kept(holes, height) { Pattern::list(elements) } else { Pattern::List(elements.into()) }
    }

    fn element(&mut self, pattern: Pattern, line: usize) -> Option<Element> {
        let Pattern::Hole(Hole::Declared(position)) = pattern else { return Some(Element::One(pattern)) };
        let parameter = &self.parameters.all[position];
        match (parameter.schema.is_list(), parameter.schema.items()) {
            (false, _) => Some(Element::One(pattern)),
            (true, Some(_)) => Some(Element::Many(position)),
            (true, None) => self.error(
                line,
                format!(
                    "{} may be a list or something else (oneOf), so as an element of a list it cannot be told: declare \
                     it with type: array, and oneOf inside items",
                    parameter.name
                ),
            ),
        }
    }

    fn text(&mut self, text: &str, style: Style, line: usize, way: &Way<'_>) -> Option<Pattern> {
        let mut parts = holes::split(text, self.parameters);
        if let [Part::Literal(literal)] = parts.as_mut_slice() {
            return Some(Pattern::Literal(std::mem::take(literal).into()));
        }
        if let ([Part::Hole(hole @ Hole::Declared(_))], Style::Plain) = (parts.as_slice(), style) {
            return Some(Pattern::Hole(*hole));
        }
        let alone = parts.len() == 1;
        for part in &parts {
            let Part::Hole(Hole::Declared(position)) = part else { continue };
            if !self.parameters.pieces.is_textual(*position) {
                let parameter = &self.parameters.all[*position];
                let what = if parameter.schema.is_list() { "a list" } else { "a map" };
                let fix = if alone { "write it without quotes" } else { "give it a line of its own, or another type" };
                let (name, path) = (&parameter.name, way.path());
                let message = format!("{name} at {path} is {what}, which cannot stand inside text: {fix}");
                return self.error(line, message);
            }
        }
        let text = TextPattern::new(parts);
        if self.before == Before::Never {
            let Shared { budget, searched, costs } = self.shared;
            let ambiguity = || text.ambiguity_within(self.parameters, searched, budget);
            if let Some(message) = costs.measure(budget, Piece::Text, || line, ambiguity) {
                return self.error(line, message);
            }
        }
        Some(Pattern::Text(text))
    }
}
