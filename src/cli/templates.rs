//! Template ConfigMaps from files, one template of them, and what it makes of parameters.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use policies::keys;
use policies::library::{Library, TemplateSet};
use policies::object::NamespacedName;
use policies::parameter::Bindings;
use policies::render::{self, Argument};
use policies::template::{Given, Template};
use serde_json::Value;

use super::input::{self, InputError};

/// Why files hold no templates.
#[derive(Debug, thiserror::Error)]
pub enum TemplatesError {
    /// A file.
    #[error("{0}")]
    Input(#[from] InputError),
    /// No ConfigMap is in them.
    #[error("{0}: no ConfigMap in it; templates stand under data of a ConfigMap with the label {label}=\"true\"", label = keys::TEMPLATES)]
    NoConfigMap(String),
    /// Two of one name.
    #[error("{place}: ConfigMap {name} is given twice")]
    Twice {
        /// The second.
        place: String,
        /// The name.
        name: NamespacedName,
    },
    /// One that cannot be used.
    #[error("{place}: ConfigMap {name} cannot be used:\n{problems}\nretinue lint shows the lines")]
    Unusable {
        /// Where.
        place: String,
        /// The name.
        name: NamespacedName,
        /// A line each.
        problems: String,
    },
}

/// The template ConfigMaps of files, in order. Other kinds beside them are passed over, since people keep a ConfigMap
/// and its Role in one file. One without namespace counts as of `namespace`; where nobody says one, as of `default`, and a
/// note on standard error says so.
///
/// # Errors
/// When a file cannot be read, holds none, or holds one that is unusable as a whole.
pub fn load(paths: &[PathBuf], namespace: Option<&str>) -> Result<Vec<Arc<TemplateSet>>, TemplatesError> {
    let mut sets: Vec<Arc<TemplateSet>> = Vec::new();
    for path in paths {
        let before = sets.len();
        for mut object in input::objects(std::slice::from_ref(path))? {
            if object.kind.kind != "ConfigMap" || !object.kind.group.is_empty() {
                continue;
            }
            if object.namespace().is_none() {
                if namespace.is_none() {
                    super::say(&format!(
                        "ConfigMap {} names no namespace and is taken as one of default: -n or --as says another",
                        object.name()
                    ));
                }
                object.value["metadata"]["namespace"] = namespace.unwrap_or("default").into();
            }
            let set = TemplateSet::load(&object.value);
            if sets.iter().any(|other| other.name == set.name) {
                return Err(TemplatesError::Twice { place: object.place, name: set.name });
            }
            if !set.usable() {
                let problems: Vec<String> = set.errors().map(|problem| format!("  {}", problem.with_place())).collect();
                return Err(TemplatesError::Unusable {
                    place: object.place,
                    name: set.name.clone(),
                    problems: problems.join("\n"),
                });
            }
            sets.push(Arc::new(set));
        }
        if sets.len() == before {
            return Err(TemplatesError::NoConfigMap(path.display().to_string()));
        }
    }
    Ok(sets)
}

/// As a library.
pub fn library(sets: &[Arc<TemplateSet>]) -> Library {
    sets.iter().map(Arc::clone).collect()
}

/// Where manifests in files belong that do not say it.
#[derive(Clone, Debug, clap::Args)]
pub struct Home {
    /// The namespace of manifests that name none; else the master's, else default
    #[arg(short, long, value_name = "NAMESPACE", value_parser = input::namespace)]
    pub namespace: Option<String>,
}

impl Home {
    /// That namespace, for a master of this account; none where nobody says one.
    pub fn of<'a>(&'a self, master: Option<&'a NamespacedName>) -> Option<&'a str> {
        self.namespace.as_deref().or(master.map(|account| account.namespace.as_str()))
    }
}

/// Which template, and its parameters.
#[derive(Clone, Debug, clap::Args)]
pub struct Chosen {
    /// Which template: a key under data; may be left out where there is one only
    #[arg(long, value_name = "KEY")]
    pub template: Option<String>,
    /// A parameter's value as text; typed by its schema
    #[arg(long, value_name = "NAME=TEXT", value_parser = assignment)]
    pub set: Vec<(String, String)>,
    /// A parameter's value as JSON, for lists and maps
    #[arg(long, value_name = "NAME=JSON", value_parser = json_assignment)]
    pub set_json: Vec<(String, Value)>,
}

/// Why nothing is rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderFailure {
    /// No template has this key.
    #[error("--template {key}: there is none; there are: {known}")]
    NoTemplate {
        /// As given.
        key: String,
        /// Those that there are.
        known: String,
    },
    /// Several, and none is named.
    #[error("there are several templates, say which with --template KEY: {0}")]
    Several(String),
    /// A parameter has two values.
    #[error("parameter {0} is set twice")]
    Twice(String),
    /// The parameters do not make a manifest.
    #[error("template {key}: {source}")]
    Render {
        /// The template.
        key: String,
        /// Why not.
        source: render::RenderError,
    },
}

impl Chosen {
    /// The templates of that key, which may hold several documents, in their order.
    ///
    /// # Errors
    /// When there is none, or it is not said which of several.
    pub fn of<'a>(&self, sets: &'a [Arc<TemplateSet>]) -> Result<Vec<&'a Arc<Template>>, RenderFailure> {
        let mut all: Vec<&Arc<Template>> = sets.iter().flat_map(|set| set.templates.all()).collect();
        // In the order of their documents, of which "#10" is the tenth.
        all.sort_by_key(|template| (data_key(template), template.line));
        let mut keys: Vec<&str> = all.iter().map(|template| data_key(template)).collect();
        keys.dedup();
        match (&self.template, keys.as_slice()) {
            (Some(key), _) => {
                // `job.yaml` is the whole key; its first document alone has the same name, and goes with the others.
                let of_key = |template: &&Arc<Template>| template.key == *key || data_key(template) == *key;
                let found: Vec<_> = all.iter().copied().filter(of_key).collect();
                if found.is_empty() {
                    return Err(RenderFailure::NoTemplate { key: key.clone(), known: keys.join(", ") });
                }
                Ok(found)
            }
            (None, [_]) => Ok(all),
            (None, several) => Err(RenderFailure::Several(several.join(", "))),
        }
    }

    /// The parameters' values.
    ///
    /// # Errors
    /// When one is set twice.
    pub fn arguments(&self) -> Result<BTreeMap<String, Argument>, RenderFailure> {
        let texts = self.set.iter().map(|(name, text)| (name, Argument::Text(text.clone())));
        let values = self.set_json.iter().map(|(name, value)| (name, Argument::Value(value.clone())));
        let mut arguments = BTreeMap::new();
        for (name, argument) in texts.chain(values) {
            if arguments.insert(name.clone(), argument).is_some() {
                return Err(RenderFailure::Twice(name.clone()));
            }
        }
        Ok(arguments)
    }
}

/// What a template makes of these values, and what its parameters are bound to then.
///
/// # Errors
/// When a value is missing, or none that the parameter takes.
pub fn render(
    template: &Template,
    arguments: &BTreeMap<String, Argument>,
    given: &BTreeMap<Given, String>,
) -> Result<(Value, Bindings), RenderFailure> {
    let failed = |source| RenderFailure::Render { key: template.key.clone(), source };
    let mut bindings = render::defaults(&template.parameters, arguments).map_err(failed)?;
    bindings.given.clone_from(given);
    let manifest = render::render(template, &bindings).map_err(failed)?;
    Ok((manifest, bindings))
}

/// As [`render`], as a master sends it: with the instructions that the template leaves to it (a lifetime that is a
/// parameter).
///
/// # Errors
/// As [`render`].
pub fn as_sent(
    template: &Template,
    arguments: &BTreeMap<String, Argument>,
    given: &BTreeMap<Given, String>,
) -> Result<Value, RenderFailure> {
    let (manifest, bindings) = render(template, arguments, given)?;
    instructed(template, manifest, &bindings)
}

/// `manifest`, rendered with these bindings, with the instructions that the template leaves to the master.
///
/// # Errors
/// As [`render`].
pub fn instructed(template: &Template, mut manifest: Value, bindings: &Bindings) -> Result<Value, RenderFailure> {
    let failed = |source| RenderFailure::Render { key: template.key.clone(), source };
    for (key, text) in render::instructions(template, bindings).map_err(failed)? {
        manifest["metadata"]["annotations"][key] = text.into();
    }
    Ok(manifest)
}

/// The `data` key, without the number of the document.
fn data_key(template: &Template) -> &str {
    template.key.split_once('#').map_or(template.key.as_str(), |(key, _)| key)
}

fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE, such as run=20261120".into()),
    }
}

fn json_assignment(text: &str) -> Result<(String, Value), String> {
    let (name, json) = assignment(text)?;
    let value = serde_json::from_str(&json).map_err(|error| format!("the value is no JSON: {error}"))?;
    Ok((name, value))
}
