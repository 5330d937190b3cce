//! From YAML to templates: holes found, instructions taken out, what could not be told apart or admitted refused.

use std::sync::Arc;

use super::{Element, Field, Hole, Pattern, Template, ambiguity, holes, metadata, rules, sidecars};
use crate::difference::Path;
use crate::object::Gvk;
use crate::parameter::Parameters;
use crate::recognise::Shortcut;
use crate::shared::Pool;
use crate::text::{Part, TextPattern};
use crate::yaml::{self, Content, Node, Style};

/// The kinds that there are templates of.
static KINDS: Pool<Gvk> = Pool::new();
/// The most templates of one key.
const MOST_TEMPLATES: usize = 1000;

/// What is wrong with a template, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct TemplateError {
    /// Line within the key's text, from 1.
    pub line: usize,
    /// What is wrong and what to do.
    pub message: String,
}

impl TemplateError {
    pub(super) fn new(line: usize, message: impl Into<String>) -> Self {
        Self { line, message: message.into() }
    }
}

/// One `data` key, compiled: each template stands alone, so one that is wrong leaves the others usable.
#[derive(Debug, Default)]
pub struct Compiled {
    /// Those that compiled.
    pub templates: Vec<Template>,
    /// What is wrong with the others.
    pub errors: Vec<TemplateError>,
}

/// Whether a text was compiled before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    /// Never: everything is checked.
    Never,
    /// This very text with these parameters: what was found then is not sought again.
    Checked,
}

/// Compiles the manifests of one `data` key: one or more documents, a `List` among them being its items.
pub fn compile(key: &str, text: &str, parameters: &Arc<Parameters>) -> Compiled {
    read(key, text, parameters, Before::Never)
}

/// As [`compile`]; what is wrong is only told where the text was never compiled before.
pub(crate) fn read(key: &str, text: &str, parameters: &Arc<Parameters>, before: Before) -> Compiled {
    let mut compiled = Compiled::default();
    let documents = match yaml::documents(text) {
        Ok(documents) => documents,
        Err(error) => {
            let message = format!("column {}: {}", error.column, error.message);
            compiled.errors.push(TemplateError::new(error.line, message));
            return compiled;
        }
    };
    let mut manifests = Vec::new();
    for document in &documents {
        match list_items(document) {
            Some(items) => manifests.extend(items),
            None => manifests.push(document),
        }
    }
    if manifests.is_empty() {
        compiled.errors.push(TemplateError::new(1, "no manifest is here: write one, or remove the key"));
    }
    if manifests.len() > MOST_TEMPLATES {
        compiled.errors.push(TemplateError::new(1, "more than 1000 manifests under one key: split it"));
        return compiled;
    }
    for (position, manifest) in manifests.into_iter().enumerate() {
        let name = if position == 0 { key.to_owned() } else { format!("{key}#{}", position + 1) };
        match template(name, manifest, parameters, before) {
            Ok(template) => compiled.templates.push(template),
            Err(mut errors) => compiled.errors.append(&mut errors),
        }
    }
    compiled
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
) -> Result<Template, Vec<TemplateError>> {
    let kind = kind(manifest, parameters).map_err(|error| vec![error])?;
    let mut compiler = Compiler { parameters, before, errors: Vec::new() };
    let pattern = compiler.pattern(manifest, &Path::root());
    let mut errors = compiler.errors;
    let (Some(pattern), true) = (pattern, errors.is_empty()) else { return Err(errors) };
    let lines = Lines { manifest };
    let parts = metadata::extract(pattern, &kind, parameters, &lines, &mut errors);
    // A template that fell short then is not among those that are taken now.
    if before == Before::Never {
        rules::check(&kind, &parts.pattern, parameters, &lines, &mut errors);
        ambiguity::check(&kind, &parts.pattern, parameters, &lines, &mut errors);
    }
    let moves = parts.native_sidecars && errors.is_empty();
    let moved = moves.then(|| sidecars::moved(&kind, &parts.pattern, &lines, &mut errors)).flatten();
    let (pattern, sidecars) = match moved {
        Some((pattern, sidecars)) => {
            if before == Before::Never {
                ambiguity::check(&kind, &pattern, parameters, &lines, &mut errors);
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
                Ok(text)
            }
            Some(_) => Err(TemplateError::new(
                node.line,
                format!("a hole in {key}: it must be literal, write one template for each kind"),
            )),
            None => Err(TemplateError::new(node.line, format!("{key} is text, got {}", node.describe()))),
        }
    };
    Ok(Gvk::from_api_version(literal("apiVersion")?, literal("kind")?))
}

/// Finds the line of a path in the manifest as written.
pub(super) struct Lines<'n> {
    manifest: &'n Node,
}

impl Lines<'_> {
    /// The line of a path, or of what stands above it and is there.
    pub(super) fn of(&self, path: &Path) -> usize {
        let mut node = self.manifest;
        let mut line = node.line;
        for step in path.steps() {
            let next = match step {
                crate::difference::Step::Key(key) => {
                    node.entries().and_then(|entries| entries.iter().find(|entry| entry.key == *key)).map(|entry| {
                        line = entry.line;
                        &entry.value
                    })
                }
                crate::difference::Step::Index(index) => {
                    node.items().and_then(|items| items.get(*index)).inspect(|item| line = item.line)
                }
                crate::difference::Step::Element(_) => None,
            };
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        line
    }
}

struct Compiler<'p> {
    parameters: &'p Parameters,
    before: Before,
    errors: Vec<TemplateError>,
}

impl Compiler<'_> {
    fn error<T>(&mut self, line: usize, message: impl Into<String>) -> Option<T> {
        self.errors.push(TemplateError::new(line, message));
        None
    }

    fn pattern(&mut self, node: &Node, path: &Path) -> Option<Pattern> {
        match &node.content {
            Content::Scalar(scalar) => {
                let Some(text) = scalar.value.as_str() else { return Some(Pattern::Literal(scalar.value.clone())) };
                self.text(text, scalar.style, node.line, path)
            }
            Content::List(items) => {
                let elements: Vec<_> =
                    items.iter().enumerate().map(|(index, item)| self.element(item, &path.index(index))).collect();
                elements.into_iter().collect::<Option<_>>().map(|elements| self.list(elements))
            }
            Content::Map(entries) => {
                let mut patterns = Vec::with_capacity(entries.len());
                let mut whole = true;
                for entry in entries {
                    let key = match holes::split(&entry.key, self.parameters).as_slice() {
                        [Part::Literal(key)] => Field::from(key.as_str()),
                        _ => {
                            let message = format!(
                                "a hole in a key ({}): keys are literal; for free keys bind the whole map to one \
                                 parameter (type: object with additionalProperties)",
                                entry.key
                            );
                            self.error::<()>(entry.line, message);
                            whole = false;
                            continue;
                        }
                    };
                    match self.pattern(&entry.value, &path.key(&key)) {
                        Some(pattern) => patterns.push((key, pattern)),
                        None => whole = false,
                    }
                }
                whole.then(|| self.map(patterns))
            }
        }
    }

    /// What is compiled to be checked alone is dropped soon: it is not looked for among what is kept.
    fn map(&self, entries: Vec<(Field, Pattern)>) -> Pattern {
        if self.before == Before::Never { Pattern::Map(entries.into()) } else { Pattern::map(entries) }
    }

    fn list(&self, elements: Vec<Element>) -> Pattern {
        if self.before == Before::Never { Pattern::List(elements.into()) } else { Pattern::list(elements) }
    }

    fn element(&mut self, node: &Node, path: &Path) -> Option<Element> {
        let pattern = self.pattern(node, path)?;
        let Pattern::Hole(Hole::Declared(position)) = pattern else { return Some(Element::One(pattern)) };
        let parameter = &self.parameters.all[position];
        match (parameter.schema.is_list(), parameter.schema.items()) {
            (false, _) => Some(Element::One(pattern)),
            (true, Some(_)) => Some(Element::Many(position)),
            (true, None) => self.error(
                node.line,
                format!(
                    "{} may be a list or something else (oneOf), so as an element of a list it cannot be told: declare \
                     it with type: array, and oneOf inside items",
                    parameter.name
                ),
            ),
        }
    }

    fn text(&mut self, text: &str, style: Style, line: usize, path: &Path) -> Option<Pattern> {
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
            let parameter = &self.parameters.all[*position];
            if parameter.schema.language().is_none() {
                let what = if parameter.schema.is_list() { "a list" } else { "a map" };
                let fix = if alone { "write it without quotes" } else { "give it a line of its own, or another type" };
                let message = format!("{} at {path} is {what}, which cannot stand inside text: {fix}", parameter.name);
                return self.error(line, message);
            }
        }
        let text = TextPattern::new(parts);
        if self.before == Before::Never
            && let Some(message) = text.ambiguity(self.parameters)
        {
            return self.error(line, message);
        }
        Some(Pattern::Text(text))
    }
}
