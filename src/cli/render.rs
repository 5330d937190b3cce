//! `retinue render`: a template run forwards.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use policies::object::NamespacedName;
use policies::render::{self, Argument};
use policies::template::{Given, Template};
use serde_json::Value;

use super::output::{self, Manifests};
use super::{Exit, Failure, caller, input, templates};

const EXAMPLES: &str = "\
Examples:
  retinue render --manifests post-trade.yaml --template job.yaml --set run=20261120 --set workers=4
  retinue render --manifests post-trade.yaml --set run=20261120 | kubectl create -f -
  retinue render --manifests spark.yaml --template driver.yaml --set-json 'confs=[{\"name\":\"a\"}]' --as trading/eod

Parameters that are not set take their default. Exit codes: 0 rendered, 2 not.";

/// Print the manifest that a template makes of parameters.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Files with template ConfigMaps; - is standard input
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    manifests: Vec<PathBuf>,
    /// Which template: a key under data; may be left out where there is one only
    #[arg(long, value_name = "KEY")]
    template: Option<String>,
    /// A parameter's value as text; typed by its schema
    #[arg(long, value_name = "NAME=TEXT", value_parser = assignment)]
    set: Vec<(String, String)>,
    /// A parameter's value as JSON, for lists and maps
    #[arg(long, value_name = "NAME=JSON", value_parser = json_assignment)]
    set_json: Vec<(String, Value)>,
    /// The master's account, for ${master.name} and ${master.namespace}
    #[arg(long = "as", value_name = "NS/NAME", value_parser = input::namespaced_name)]
    account: Option<NamespacedName>,
    /// The master's pod and what owns it, for ${pod.name}, ${master.uid} and the like
    #[arg(long, value_name = "FILE", conflicts_with = "account")]
    caller: Option<PathBuf>,
    /// The namespace of ConfigMaps that name none
    #[arg(short, long, value_name = "NAMESPACE", default_value = "default")]
    namespace: String,
    /// How to print
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    output: Manifests,
}

/// Why nothing is rendered.
#[derive(Debug, thiserror::Error)]
enum RenderFailure {
    #[error("--template {key}: there is none; there are: {known}")]
    NoTemplate { key: String, known: String },
    #[error("there are several templates, say which with --template KEY: {0}")]
    Several(String),
    #[error("parameter {0} is set twice")]
    Twice(String),
    #[error("template {key}: {source}")]
    Render { key: String, source: render::RenderError },
}

/// Runs it.
///
/// # Errors
/// For bad input, with its message.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    let namespace = args.account.as_ref().map_or(args.namespace.as_str(), |account| &account.namespace);
    let sets = templates::load(&args.manifests, namespace)?;
    let mut all: Vec<&Arc<Template>> = sets.iter().flat_map(|set| set.templates.all()).collect();
    // In the order of their documents, of which "#10" is the tenth.
    all.sort_by_key(|template| (data_key(template), template.line));
    let chosen = choose(&all, args.template.as_deref())?;
    let arguments = arguments(args)?;
    let given = given(args)?;
    let mut manifests = Vec::new();
    for template in chosen {
        let failed = |source| RenderFailure::Render { key: template.key.clone(), source };
        let mut bindings = render::defaults(&template.parameters, &arguments).map_err(failed)?;
        bindings.given.clone_from(&given);
        manifests.push(render::render(template, &bindings).map_err(failed)?);
    }
    output::print_manifests(&manifests, args.output)?;
    Ok(Exit::Fine)
}

/// The `data` key, without the number of the document.
fn data_key(template: &Template) -> &str {
    template.key.split_once('#').map_or(template.key.as_str(), |(key, _)| key)
}

fn choose<'a>(all: &[&'a Arc<Template>], key: Option<&str>) -> Result<Vec<&'a Arc<Template>>, RenderFailure> {
    let mut keys: Vec<&str> = all.iter().map(|template| data_key(template)).collect();
    keys.dedup();
    match (key, keys.as_slice()) {
        (Some(key), _) => {
            let found: Vec<_> =
                all.iter().filter(|template| template.key == key || data_key(template) == key).copied().collect();
            if found.is_empty() {
                return Err(RenderFailure::NoTemplate { key: key.to_owned(), known: keys.join(", ") });
            }
            // `job.yaml` is the whole key; its first document alone has the same name, and goes with the others.
            Ok(found)
        }
        (None, [_]) => Ok(all.to_vec()),
        (None, several) => Err(RenderFailure::Several(several.join(", "))),
    }
}

fn arguments(args: &Args) -> Result<BTreeMap<String, Argument>, RenderFailure> {
    let texts = args.set.iter().map(|(name, text)| (name, Argument::Text(text.clone())));
    let values = args.set_json.iter().map(|(name, value)| (name, Argument::Value(value.clone())));
    let mut arguments = BTreeMap::new();
    for (name, argument) in texts.chain(values) {
        if arguments.insert(name.clone(), argument).is_some() {
            return Err(RenderFailure::Twice(name.clone()));
        }
    }
    Ok(arguments)
}

fn given(args: &Args) -> Result<BTreeMap<Given, String>, Failure> {
    if let Some(file) = &args.caller {
        let caller = caller::from_file(file)?;
        let situation = policies::verdict::Situation {
            caller: Ok(caller.clone()),
            ..policies::verdict::Situation::unknown(
                jiff::Timestamp::UNIX_EPOCH,
                policies::caller::Unidentified::NoAccount(String::new()),
            )
        };
        return Ok(situation.given(&caller));
    }
    Ok(args.account.as_ref().map_or_else(BTreeMap::new, |account| {
        BTreeMap::from([(Given::MasterName, account.name.clone()), (Given::MasterNamespace, account.namespace.clone())])
    }))
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
