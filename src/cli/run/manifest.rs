//! The Job that is asked for: of an image, of a file, or of a template with its parameters.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use policies::caller::Wish;
use policies::library::TemplateSet;
use policies::object::{Gvk, NamespacedName};
use policies::recognise;
use policies::render::Argument;
use policies::run::plan::{self, FromImage, Standing};
use policies::template::{Given, Hole, Pattern, Template};
use serde_json::Value;

use super::api::Api;
use super::args::Args;
use super::who::Who;
use crate::cli::Failure;
use crate::cli::input::{self, Object};
use crate::cli::templates::{self, RenderFailure};

/// Why there is no Job to send.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoJob {
    #[error("{place}: {kind} {name} is no Job: {advice}")]
    Kind { place: String, kind: String, name: String, advice: &'static str },
    #[error("{file}: {count} objects in it; expected one Job")]
    Several { file: String, count: usize },
    #[error("--template {0}: it makes no Job, or several, in one ConfigMap or in several: retinue run starts one Job")]
    Template(String),
    #[error("no templates: {0}; name files with --manifests FILE")]
    NoTemplates(String),
    #[error("--set and --set-json give parameters to a template: say which with --template KEY")]
    NoTemplate,
}

/// What to do with kinds that people take for a Job.
fn advice(kind: &Gvk) -> &'static str {
    match kind.kind.as_str() {
        "CronJob" => {
            "it makes Jobs by the clock; take one of them, kubectl create job NAME --from=cronjob/... --dry-run=client -o yaml"
        }
        "Pod" => "put it under spec.template of a Job (apiVersion batch/v1), with restartPolicy Never or OnFailure",
        _ => "expected apiVersion batch/v1, kind Job",
    }
}

/// A Job as it is before anybody is asked, with where a template comes from if it is one.
pub(super) enum Asked {
    Job(Value),
    Template(Vec<Arc<TemplateSet>>),
    /// The templates that the own pod names.
    PodsTemplate,
}

/// Reads what can be read without a cluster, so that bad input is told first.
pub(super) fn asked(args: &Args, random: u64) -> Result<Asked, Failure> {
    if args.chosen.template.is_none() && !(args.chosen.set.is_empty() && args.chosen.set_json.is_empty()) {
        return Err(NoJob::NoTemplate.into());
    }
    if let Some(image) = &args.image {
        let (command, words) =
            if args.command { (args.words.clone(), Vec::new()) } else { (Vec::new(), args.words.clone()) };
        return Ok(Asked::Job(
            FromImage {
                name: args.name.clone().unwrap_or_else(|| plan::name_of_image(image, random)),
                image: image.clone(),
                command,
                args: words,
                restart: args.restart.word().to_owned(),
                backoff_limit: args.backoff_limit,
            }
            .job(),
        ));
    }
    if let Some(file) = &args.file {
        return Ok(Asked::Job(of_file(file)?));
    }
    if args.manifests.is_empty() {
        return Ok(Asked::PodsTemplate);
    }
    let namespace = args.namespace.as_deref().unwrap_or("default");
    Ok(Asked::Template(templates::load(&args.manifests, Some(namespace))?))
}

fn of_file(file: &PathBuf) -> Result<Value, Failure> {
    let mut objects = input::objects(std::slice::from_ref(file))?;
    let place = || if file.as_os_str() == "-" { "(standard input)".to_owned() } else { file.display().to_string() };
    // Of several, one that is no Job says more than their number.
    if let Some(object) = objects.iter().find(|object| !is_job(&object.kind)) {
        return Err(no_job(object).into());
    }
    match (objects.len(), objects.pop()) {
        (1, Some(object)) => Ok(object.value),
        (count, _) => Err(NoJob::Several { file: place(), count }.into()),
    }
}

fn no_job(object: &Object) -> NoJob {
    let (place, name) = (object.place.clone(), object.name());
    NoJob::Kind { place, name, kind: object.kind.kind.clone(), advice: advice(&object.kind) }
}

fn is_job(kind: &Gvk) -> bool {
    kind.group == "batch" && kind.kind == "Job"
}

/// The Job, of templates where one is asked for.
pub(super) async fn job(asked: Asked, args: &Args, who: &Who, api: &Api) -> Result<Value, Failure> {
    let (sets, given) = match asked {
        Asked::Job(job) => return Ok(job),
        Asked::Template(sets) => (sets, who.given(api).await),
        Asked::PodsTemplate => {
            let wish = who.wish(api).await.map_err(NoJob::NoTemplates)?;
            (named(&wish, api).await.map_err(NoJob::NoTemplates)?, who.given(api).await)
        }
    };
    let templates = args.chosen.of(&sets)?;
    let jobs: Vec<_> = templates.into_iter().filter(|template| is_job(&template.kind)).collect();
    let [template] = jobs.as_slice() else {
        return Err(NoJob::Template(args.chosen.template.clone().unwrap_or_default()).into());
    };
    // With --keep the deadline is put back at the end, which a lifetime that was asked for would not allow.
    let limit = args.time_limit.filter(|_| !args.keep);
    Ok(of_template(template, &args.chosen.arguments()?, &given, who.standing, limit)?)
}

/// The ConfigMaps that a pod names.
async fn named(wish: &Wish, api: &Api) -> Result<Vec<Arc<TemplateSet>>, String> {
    let mut sets = Vec::new();
    for NamespacedName { namespace, name } in &wish.manifests {
        let read = api.core(namespace, "configmaps", name).await;
        let object = read.map_err(|error| format!("ConfigMap {namespace}/{name} cannot be read: {error}"))?;
        sets.push(Arc::new(TemplateSet::load(&object)));
    }
    Ok(sets)
}

/// How much more than the limit is asked for as a lifetime, in seconds: the webhook's clock may be one behind, and a
/// deadline has whole seconds.
const CLOCK_SECONDS: u64 = 2;

/// What a template makes. Where it leaves the lifetime to the master, the limit is asked for with the create itself.
fn of_template(
    template: &Template,
    arguments: &BTreeMap<String, Argument>,
    given: &BTreeMap<Given, String>,
    standing: Standing,
    limit: Option<u64>,
) -> Result<Value, RenderFailure> {
    let limited = limit.filter(|_| standing == Standing::Master).and_then(|limit| {
        let hole = lifetime_hole(template).filter(|name| !arguments.contains_key(*name))?;
        let mut more = arguments.clone();
        more.insert(hole.to_owned(), Argument::Text(format!("{}s", limit.saturating_add(CLOCK_SECONDS))));
        // A schema that does not take it (an enum of lifetimes): the deadline is set after the create instead.
        templates::render(template, &more, given).ok()
    });
    let (job, bindings) = match limited {
        Some(rendered) => rendered,
        None => templates::render(template, arguments, given)?,
    };
    if standing == Standing::Master { templates::instructed(template, job, &bindings) } else { Ok(job) }
}

/// The parameter that a template's lifetime is, and nothing else in it.
fn lifetime_hole(template: &Template) -> Option<&str> {
    match template.duration.as_ref().map(Pattern::holes)?.as_slice() {
        [Hole::Declared(position)] if !recognise::uses(&template.pattern).contains(position) => {
            Some(&template.parameters.all.get(*position)?.name)
        }
        _ => None,
    }
}
