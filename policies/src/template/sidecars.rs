//! `fledged.io/native-sidecars`: the containers beside the essential one, moved in a manifest.

use serde_json::Value;

use super::errors::{Errors, Lines};
use super::{Element, Field, Pattern};
use crate::difference::Path;
use crate::essential::listed;
use crate::keys;
use crate::object::Gvk;
use crate::sidecars::{ALWAYS, CONTAINERS, INIT_CONTAINERS, RESTART_POLICY, Sidecars, place};

/// What is wrong, and where below the manifest.
type Wrong = (Path, String);

/// Moves the sidecars of `pattern`, which asks for it; what is wrong is told where it is written.
pub(super) fn moved(
    kind: &Gvk,
    pattern: &Pattern,
    lines: &Lines<'_>,
    errors: &mut Errors,
) -> Option<(Pattern, Sidecars)> {
    match read(kind, pattern) {
        Ok(moved) => Some(moved),
        Err((path, message)) => {
            errors.tell(|| lines.line(&path), format!("{}: {message}", keys::NATIVE_SIDECARS));
            None
        }
    }
}

fn read(kind: &Gvk, pattern: &Pattern) -> Result<(Pattern, Sidecars), Wrong> {
    let instruction = || Path::root().key("metadata").key("annotations").key(keys::NATIVE_SIDECARS);
    let Some(place) = place(kind) else {
        let message =
            "this is for Jobs and CronJobs; another pod is deleted when its essential container has completed";
        return Err((instruction(), message.into()));
    };
    let names: Vec<&str> = place.split('/').skip(1).collect();
    let at = names.iter().fold(Path::root(), |path, name| path.key(name));
    let spec = names.iter().try_fold(pattern, |pattern, name| pattern.get(name));
    let Some(Pattern::List(containers)) = spec.and_then(|spec| spec.get(CONTAINERS)) else {
        return Err((at, "the list of its containers is written out".into()));
    };
    let template = names.split_last().and_then(|(_, above)| above.iter().try_fold(pattern, |it, name| it.get(name)));
    let essential = essential(template).map_err(|message| (at.clone(), message))?;
    let at = |list: &str, index: usize| at.key(list).index(index);
    let (mut regular, mut moved, mut moved_names) = (Vec::new(), Vec::new(), Vec::<Box<str>>::new());
    for (index, element) in containers.iter().enumerate() {
        let wrong = |message: &str| (at(CONTAINERS, index), message.to_owned());
        let Element::One(container @ Pattern::Map(fields)) = element else {
            return Err(wrong("each container is written out: what stands here is a hole, which may be any container"));
        };
        let name = container.get("name").and_then(Pattern::as_str);
        let name = name.ok_or_else(|| wrong("a container's name is literal, or nothing says which is a sidecar"))?;
        if name == essential {
            regular.push(element.clone());
            continue;
        }
        if container.get(RESTART_POLICY).is_some() {
            return Err(wrong("a sidecar's restartPolicy is Always: leave it out"));
        }
        let always = (Field::from(RESTART_POLICY), Pattern::Literal(Value::from(ALWAYS)));
        moved.push(Element::One(Pattern::map(fields.iter().cloned().chain([always]).collect())));
        moved_names.push(name.into());
    }
    if regular.len() != 1 {
        let message = format!("the label names {essential}, which is not the name of one of its containers");
        return Err((at(CONTAINERS, 0), message));
    }
    let inits: Vec<Element> = match spec.and_then(|spec| spec.get(INIT_CONTAINERS)) {
        None | Some(Pattern::Literal(Value::Null)) => Vec::new(),
        Some(Pattern::List(inits)) => inits.to_vec(),
        Some(_) => {
            let message = "initContainers is one hole: write the list, and the hole as one element of it";
            return Err((at(INIT_CONTAINERS, 0), message.into()));
        }
    };
    let pattern = with(pattern, &names, |spec| {
        let kept = spec.iter().filter(|(name, _)| name != CONTAINERS && name != INIT_CONTAINERS).cloned();
        let mut fields: Vec<_> = kept.collect();
        let inits: Vec<_> = inits.into_iter().chain(moved).collect();
        if !inits.is_empty() {
            fields.push((Field::from(INIT_CONTAINERS), Pattern::list(inits)));
        }
        fields.push((Field::from(CONTAINERS), Pattern::list(regular)));
        fields
    });
    Ok((pattern, Sidecars::new(place, moved_names.into())))
}

/// The one container that the labels of a pod template name.
fn essential(template: Option<&Pattern>) -> Result<String, String> {
    let labels = template.and_then(|template| template.get("metadata")?.get("labels"));
    let named: Vec<&str> =
        keys::ESSENTIAL.iter().filter_map(|key| labels?.get(key)?.as_str()).flat_map(listed).collect();
    match named.as_slice() {
        [one, others @ ..] if !one.is_empty() && others.iter().all(|other| other == one) => Ok((*one).to_owned()),
        [] => Err(format!("the label {} of the pod template says which container is the work", keys::ESSENTIAL[0])),
        _ => {
            Err("the label names one container: of several any one ends the pod, and native sidecars wait for all"
                .into())
        }
    }
}

/// The pattern with other fields in the map at the end of `way`.
fn with(pattern: &Pattern, way: &[&str], change: impl FnOnce(&[(Field, Pattern)]) -> Vec<(Field, Pattern)>) -> Pattern {
    let Pattern::Map(fields) = pattern else { return pattern.clone() };
    let Some((name, way)) = way.split_first() else { return Pattern::map(change(fields)) };
    let mut fields = fields.to_vec();
    if let Some((_, inner)) = fields.iter_mut().find(|(other, _)| other == *name) {
        *inner = with(inner, way, change);
    }
    Pattern::map(fields)
}
