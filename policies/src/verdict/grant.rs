//! What a master was granted: which templates both sides consent to, and for how long.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use crate::caller::Caller;
use crate::difference::{Difference, Expected, Got, Path};
use crate::keys;
use crate::library::{Severity, TemplateSet};
use crate::lifetime::Lifetime;
use crate::object::{Gvk, NamespacedName};
use crate::parameter::{Bindings, text_of_value};
use crate::recognise;
use crate::render;
use crate::tables::Completeness;
use crate::template::{Pattern, Template};

use super::{Cause, Refusal, Situation};

/// How many reasons why something can't be used are listed beside the nearest template; the rest is counted.
const LISTED: usize = 5;

/// A template that both sides consent to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate<'a> {
    /// Its ConfigMap.
    pub(crate) set: &'a Arc<TemplateSet>,
    /// The template.
    pub(crate) template: &'a Arc<Template>,
}

/// Why a template ConfigMap can't be used for a caller.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum NoConsent {
    /// Pod or ConfigMap does not consent.
    Withheld(String),
    /// The ConfigMap is still being compiled, so what it says is not known.
    Compiling(String),
}

impl NoConsent {
    /// The refusal: `withdrawn` says it where consent is withheld.
    pub(crate) fn refusal(self, withdrawn: impl FnOnce(String) -> Refusal) -> Refusal {
        match self {
            Self::Withheld(reason) => withdrawn(reason),
            Self::Compiling(reason) => Refusal::new(Cause::Compiling, reason),
        }
    }
}

/// The template ConfigMap `name`, if the pod asks for it and it admits the account.
///
/// # Errors
/// What is missing, and on which side.
pub(crate) fn consent<'a>(
    situation: &'a Situation,
    caller: &Caller,
    name: &NamespacedName,
) -> Result<&'a Arc<TemplateSet>, NoConsent> {
    if !caller.wish.manifests.contains(name) {
        return Err(NoConsent::Withheld(format!(
            "{} does not ask for ConfigMap {name}; its deployer names it in the annotation {}",
            pod(caller),
            keys::MANIFESTS
        )));
    }
    admitting(situation, caller, name)
}

/// The template ConfigMap `name`, for which the pod asks, if it admits the account.
fn admitting<'a>(
    situation: &'a Situation,
    caller: &Caller,
    name: &NamespacedName,
) -> Result<&'a Arc<TemplateSet>, NoConsent> {
    let withheld = |reason: String| Err(NoConsent::Withheld(reason));
    let Some(set) = situation.library.sets.get(name) else {
        if let Some(compiling) = situation.library.compiling.get(name) {
            return Err(NoConsent::Compiling(compiling.reason(name)));
        }
        if let Some(not_kept) = situation.library.not_kept.get(name) {
            return withheld(not_kept.reason(name));
        }
        // Of no watch it can be known that it is fresher than a second.
        let news = match situation.facts.completeness() {
            Completeness::Cluster => "; one that was applied within the last second may not be known yet: try again",
            Completeness::Told => "",
        };
        return withheld(format!(
            "ConfigMap {name} is absent, or does not carry the label {}=\"true\"{news}",
            keys::TEMPLATES
        ));
    };
    if !set.masters.admit(&name.namespace, &caller.account) {
        return withheld(format!(
            "ConfigMap {name} does not admit the account {}; its annotation {} says whom it admits",
            caller.account,
            keys::MASTERS
        ));
    }
    Ok(set)
}

/// The caller's pod, for people. One that is assumed has no name.
fn pod(caller: &Caller) -> String {
    match caller.pod.name.as_str() {
        "" => "the master's pod".into(),
        name => format!("pod {name}"),
    }
}

/// Every template for `kind` that both sides consent to, in the order in which the pod names the ConfigMaps.
///
/// # Errors
/// A refusal where there is none, saying why.
pub(crate) fn candidates<'a>(
    situation: &'a Situation,
    caller: &Caller,
    kind: &Gvk,
) -> Result<Vec<Candidate<'a>>, Refusal> {
    if caller.wish.manifests.is_empty() && caller.wish.chart.is_none() {
        return Err(Refusal::new(
            Cause::Consent,
            format!(
                "{} asks for no templates: its deployer must name template ConfigMaps in the annotation {} of the pod \
                 template",
                pod(caller),
                keys::MANIFESTS
            ),
        ));
    }
    let consented: Vec<_> = caller.wish.manifests.iter().map(|name| admitting(situation, caller, name)).collect();
    let sets = || consented.iter().filter_map(|set| set.as_ref().ok().copied());
    let of_kind =
        |set: &'a Arc<TemplateSet>| set.templates.of_kind(kind).map(move |template| Candidate { set, template });
    let found: Vec<_> = sets().flat_map(of_kind).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let kinds: BTreeSet<_> = sets().flat_map(|set| set.templates.kinds()).map(ToString::to_string).collect();
    let named = sets().filter(|set| set.templates.kinds().next().is_some()).map(|set| set.name.to_string());
    let named: Vec<_> = named.collect();
    let mut obstacles = obstacles(consented);
    let cause = if kinds.is_empty() { Cause::Consent } else { Cause::Template };
    let nothing_compiled = kinds.is_empty() && obstacles.is_empty();
    let mut reason = if kinds.is_empty() {
        format!("none of the templates that {} asks for can be used", pod(caller))
    } else {
        let kinds: Vec<String> = kinds.into_iter().collect();
        format!("no template that {} asks for describes a {kind}, they describe: {}", pod(caller), kinds.join(", "))
    };
    if caller.wish.chart.is_some() {
        obstacles.push(format!("the Helm chart of annotation {} is not read yet; use ConfigMaps", keys::HELM_CHART));
    }
    for obstacle in obstacles {
        reason.push_str("\n  ");
        reason.push_str(&obstacle);
    }
    if !named.is_empty() {
        let more = if named.len() > LISTED { format!(" or {} more", named.len() - LISTED) } else { String::new() };
        let named = named.get(..LISTED).unwrap_or(&named).join(", ");
        let _ = write!(
            reason,
            "\nSend a kind that is described, or ask the admin of ConfigMap {named}{more} to describe this one."
        );
    }
    Err(match undecided(situation, caller) {
        Some(undecided) if nothing_compiled => Refusal::new(Cause::Compiling, undecided),
        Some(undecided) => Refusal::new(cause, reason).undecided(&undecided),
        None => Refusal::new(cause, reason),
    })
}

/// Why nothing can be decided yet of what no compiled template admits: the ConfigMaps that the pod asks for and that are
/// still being compiled may admit it. None where all are compiled.
pub(crate) fn undecided(situation: &Situation, caller: &Caller) -> Option<String> {
    let compiling = &situation.library.compiling;
    let reasons: Vec<_> = caller
        .wish
        .manifests
        .iter()
        .filter_map(|name| Some(format!("{}.", compiling.get(name)?.reason(name))))
        .collect();
    (!reasons.is_empty()).then(|| format!("it can't be decided yet: {}", reasons.join("\n")))
}

/// What nothing can be admitted by, of all that the pod asks for: ConfigMaps that are absent, not kept or admit others, and
/// templates that do not compile. None where all can be used, or will be once they are compiled.
pub(crate) fn unusable(situation: &Situation, caller: &Caller) -> Option<String> {
    let mut reasons = obstacles(caller.wish.manifests.iter().map(|name| admitting(situation, caller, name)));
    let more = reasons.len().saturating_sub(LISTED);
    reasons.truncate(LISTED);
    if more > 0 {
        reasons.push(format!("and {more} more"));
    }
    let pod = pod(caller);
    (!reasons.is_empty()).then(|| format!("{pod} also asks for what cannot be used:\n  {}", reasons.join("\n  ")))
}

/// Why nothing can be admitted by these, or by a part of them. Those that are still being compiled are told of by
/// [`undecided`].
fn obstacles<'a>(consented: impl IntoIterator<Item = Result<&'a Arc<TemplateSet>, NoConsent>>) -> Vec<String> {
    let mut reasons = Vec::new();
    for set in consented {
        match set {
            Ok(set) => reasons.extend(broken(set)),
            Err(NoConsent::Withheld(reason)) => reasons.push(reason),
            Err(NoConsent::Compiling(_)) => {}
        }
    }
    reasons
}

/// What of a ConfigMap is unusable.
fn broken(set: &TemplateSet) -> impl Iterator<Item = String> {
    set.problems.iter().filter(|problem| problem.severity == Severity::Error).map(|problem| {
        let place = match (&problem.key, problem.line) {
            (Some(key), Some(line)) => format!(" {key}:{line}"),
            (Some(key), None) => format!(" {key}"),
            _ => String::new(),
        };
        format!("ConfigMap {}{place}: {}", set.name, problem.message)
    })
}

/// What the instructions of a manifest come to for one object.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Instructed {
    /// The lifetime that the manifest (or, through a hole, the master) asks for.
    pub(crate) duration: Option<Asked>,
    /// The time to keep a finished Job.
    pub(crate) keep_finished: Option<Lifetime>,
    /// How long before its deadline it is told of.
    pub(crate) notify_before: Option<Lifetime>,
}

/// A lifetime asked for, and by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The admin wrote it into the template.
    Admin(Lifetime),
    /// The master sent it through a hole.
    Master(Lifetime),
}

impl Asked {
    fn lifetime(self) -> Lifetime {
        match self {
            Self::Admin(lifetime) | Self::Master(lifetime) => lifetime,
        }
    }
}

/// Reads the instructions for `object`, which may repeat them in its annotations; holes in them are bound.
///
/// # Errors
/// The differences, where an annotation is not what the template says.
pub(crate) fn instructed(
    template: &Template,
    object: &Value,
    bindings: &mut Bindings,
) -> Result<Instructed, Vec<Difference>> {
    let mut differences = Vec::new();
    let mut read = |key: &'static str, pattern: Option<&Pattern>| {
        let sent = sent_annotation(object, key);
        let outcome = instruction(template, pattern, sent, bindings).and_then(|text| {
            text.map(|text| Lifetime::parse(&text).map_err(|error| Expected::Described(error.to_string()))).transpose()
        });
        outcome.unwrap_or_else(|expected| {
            differences.push(annotation_difference(key, expected, sent));
            None
        })
    };
    let duration = read(keys::DURATION, template.duration.as_ref());
    let keep_finished = read(keys::KEEP_FINISHED, template.keep_finished.as_ref());
    let notify_before = read(keys::NOTIFY_BEFORE, template.notify_before.as_ref());
    let owner = match template.owner {
        crate::template::Owner::Workload => "workload",
        crate::template::Owner::Pod => "pod",
        crate::template::Owner::None => "none",
    };
    let native = if template.sidecars.is_some() { "true" } else { "false" };
    for (key, says) in [(keys::OWNER, owner), (keys::NATIVE_SIDECARS, native)] {
        if let Some(sent) = sent_annotation(object, key)
            && sent != says
        {
            differences.push(annotation_difference(key, Expected::Value(says.into()), Some(sent)));
        }
    }
    if !differences.is_empty() {
        return Err(differences);
    }
    let by_admin = matches!(template.duration, Some(Pattern::Literal(_)));
    let duration = duration.map(|lifetime| if by_admin { Asked::Admin(lifetime) } else { Asked::Master(lifetime) });
    Ok(Instructed { duration, keep_finished, notify_before })
}

fn sent_annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object["metadata"]["annotations"].get(key).and_then(Value::as_str)
}

fn annotation_difference(key: &str, expected: Expected, sent: Option<&str>) -> Difference {
    let got = sent.map_or(Got::Nothing, |sent| Got::Value(sent.into()));
    Difference { path: Path::root().key("metadata").key("annotations").key(key), expected, got }
}

/// One instruction's text: the literal, what the object sends for its hole, or the hole's default.
fn instruction(
    template: &Template,
    pattern: Option<&Pattern>,
    sent: Option<&str>,
    bindings: &mut Bindings,
) -> Result<Option<String>, Expected> {
    let Some(pattern) = pattern else {
        return if sent.is_none() { Ok(None) } else { Err(Expected::Nothing) };
    };
    if let Some(sent) = sent {
        recognise::bind_instruction(template, pattern, sent, bindings).map_err(Expected::Described)?;
        return Ok(Some(sent.to_owned()));
    }
    for position in recognise::uses(pattern) {
        let parameter = &template.parameters.all[position];
        bindings.declared.resize(template.parameters.all.len(), None);
        match (&bindings.declared[position], &parameter.default) {
            (None, None) => return Ok(None),
            (None, default) => bindings.declared[position].clone_from(default),
            (Some(_), _) => {}
        }
    }
    if recognise::work::rendered(pattern, bindings) > recognise::MOST_INSTRUCTED {
        return Err(Expected::Described("a duration, which is short".into()));
    }
    let rendered = render::render_pattern(template, pattern, bindings);
    Ok(rendered.map_err(|error| Expected::Described(error.to_string()))?.and_then(|value| text_of_value(&value)))
}

/// The cap on lifetime: the smaller of the ConfigMap's and the pod's.
pub(crate) fn cap(set: &TemplateSet, caller: &Caller) -> Option<Lifetime> {
    Lifetime::shortest(set.duration, caller.wish.duration)
}

/// The granted lifetime: what is asked for, within the cap. `none` written by the admin stands, whatever the cap, since
/// it is for what must outlive its master.
pub(crate) fn granted(set: &TemplateSet, caller: &Caller, instructed: &Instructed) -> Option<Lifetime> {
    match (instructed.duration, cap(set, caller)) {
        (Some(Asked::Admin(Lifetime::Unlimited)), _) => Some(Lifetime::Unlimited),
        // Through a hole a master may ask for less, and `none` is not less.
        (Some(Asked::Master(Lifetime::Unlimited)), cap) => cap,
        (Some(asked), Some(cap)) => Some(asked.lifetime().shorter(cap)),
        (Some(asked), None) => Some(asked.lifetime()),
        (None, cap) => cap,
    }
}

/// The latest deadline of something that begins at `start`: by what is granted, and never past that of a caller which
/// is itself a dependent.
pub(crate) fn latest(granted: Option<Lifetime>, start: Timestamp, caller: &Caller) -> Option<Timestamp> {
    let own = granted.and_then(|lifetime| lifetime.deadline(start));
    match (own, caller.deadline) {
        (Some(own), Some(callers)) => Some(own.min(callers)),
        (own, callers) => own.or(callers),
    }
}
