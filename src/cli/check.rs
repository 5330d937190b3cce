//! `retinue check`: the cluster's verdict, offline. It gathers from files what the webhook gathers from the cluster, and
//! asks the same function.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use policies::caller::{Caller, CallerPod, Unidentified, Wish};
use policies::library::{Masters, TemplateSet};
use policies::object::{Gvr, NamespacedName};
use policies::request::{self, Request, User};
use policies::tables::{self, Facts, Form};
use policies::verdict::{self, Cause, Identity, Situation, Verdict};
use serde_json::{Value, json};

use super::input::{self, Object};
use super::output::{self, Answers};
use super::templates::{self, Home};
use super::{Exit, Failure, caller};

const EXAMPLES: &str = "\
Examples:
  retinue check --manifests post-trade.yaml -f job.yaml
  retinue check --manifests post-trade.yaml -f job.yaml --as trading/eod -o json
  retinue check --manifests post-trade.yaml -f new.yaml --old stored.yaml --operation update --phase mutating
  kubectl get sa,limits -n trading -o yaml | retinue check --manifests post-trade.yaml -f pod.yaml --phase mutating --with -

Exit codes: 0 admitted, 1 refused, 2 could not tell (a fact is missing: --with) or bad input. With several objects,
one refusal makes it 1.";

/// In which phase of admission, and thus in which form the objects are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Phase {
    /// As people write them, before the API server completes anything.
    #[default]
    Submitted,
    /// As a mutating webhook sees them: defaulted.
    Mutating,
    /// As a validating webhook sees them: final, with the stamp.
    Validating,
}

/// What is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Operation {
    /// The objects are created.
    #[default]
    Create,
    /// The objects replace those of --old.
    Update,
    /// The objects, as they are stored, are deleted.
    Delete,
}

/// Say what the cluster would say to an object, without a cluster.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Files with template ConfigMaps
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    manifests: Vec<PathBuf>,
    /// The objects to judge; - is standard input
    #[arg(short = 'f', long = "filename", required = true, value_name = "FILE")]
    file: Vec<PathBuf>,
    /// The master's account; else the first that the ConfigMap admits
    #[arg(long = "as", value_name = "NS/NAME", value_parser = input::namespaced_name)]
    account: Option<NamespacedName>,
    /// The form that the objects are in
    #[arg(long, value_name = "PHASE", value_enum, default_value_t)]
    phase: Phase,
    /// What is done to them
    #[arg(long, value_name = "OPERATION", value_enum, default_value_t)]
    operation: Operation,
    /// The objects as stored, for an update
    #[arg(long, value_name = "FILE", required_if_eq("operation", "update"))]
    old: Vec<PathBuf>,
    /// Live objects that the API server's defaults depend on: CRDs, ServiceAccounts, LimitRanges, classes
    #[arg(long = "with", num_args = 1.., value_name = "FILE")]
    facts: Vec<PathBuf>,
    /// The master's pod and what owns it, for ${pod.uid} and sent ownerReferences
    #[arg(long, value_name = "FILE", conflicts_with = "account")]
    caller: Option<PathBuf>,
    #[command(flatten)]
    home: Home,
    /// Judge as of this instant, such as 2026-11-20T15:30:00Z; else now
    #[arg(long, value_name = "TIME")]
    now: Option<Timestamp>,
    /// How to print the answer
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    output: Answers,
}

/// Why there is nothing to judge.
#[derive(Debug, thiserror::Error)]
enum CheckError {
    #[error(
        "{place}: {what} is not in --old; an update needs the object as stored, by the same kind, namespace and name"
    )]
    NoOld { place: String, what: String },
    #[error("{place}: a {kind} is nothing that this build knows; give its CustomResourceDefinition: --with CRD.yaml")]
    UnknownKind { place: String, kind: String },
}

/// One object, judged.
struct Judged {
    object: String,
    verdict: Verdict,
}

impl Judged {
    fn exit(&self) -> Exit {
        match &self.verdict {
            Verdict::Admit(_) => Exit::Fine,
            Verdict::Refuse(refusal) if refusal.cause == Cause::CouldNotTell => Exit::Unknown,
            Verdict::Refuse(_) => Exit::No,
        }
    }
}

/// Runs it.
///
/// # Errors
/// For bad input, with its message.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    let verified = args.caller.as_deref().map(caller::from_file).transpose()?;
    let known = verified.as_ref().map(|caller| &caller.account).or(args.account.as_ref());
    let sets = templates::load(&args.manifests, args.home.of(known))?;
    let facts: Vec<Value> = match args.facts.as_slice() {
        [] => Vec::new(),
        files => input::objects(files)?.into_iter().map(|object| object.value).collect(),
    };
    let facts = Arc::new(Facts::from_objects(&facts));
    let old = if args.old.is_empty() { Vec::new() } else { input::objects(&args.old)? };
    let identity = if verified.is_some() { Identity::Verified } else { Identity::Assumed };
    let caller = verified.unwrap_or_else(|| assumed(args.account.as_ref(), &sets));
    let situation = Situation {
        identity,
        library: Arc::new(templates::library(&sets)),
        facts: Arc::clone(&facts),
        form: (args.phase == Phase::Submitted).then_some(Form::Submitted),
        caller: Ok(caller.clone()),
        ..Situation::unknown(args.now.unwrap_or_else(Timestamp::now), Unidentified::NoAccount(String::new()))
    };
    let mut judged = Vec::new();
    for object in input::objects(&args.file)? {
        let request = request(args, &object, &old, &caller, &facts)?;
        let verdict = verdict::decide_fully(&request, &situation);
        let namespace = request.namespace.map(|namespace| format!("{namespace}/")).unwrap_or_default();
        judged.push(Judged { object: format!("{} {namespace}{}", object.kind.kind, object.name()), verdict });
    }
    match args.output {
        Answers::Text => output::print(&judged.iter().map(text).collect::<String>())?,
        Answers::Json => match judged.as_slice() {
            [one] => output::print_json(&machine(one))?,
            several => output::print_json(&several.iter().map(machine).collect())?,
        },
    }
    let exits: Vec<Exit> = judged.iter().map(Judged::exit).collect();
    Ok(match () {
        () if exits.contains(&Exit::No) => Exit::No,
        () if exits.contains(&Exit::Unknown) => Exit::Unknown,
        () => Exit::Fine,
    })
}

/// A master that nobody verified: the account given, or else the first that the first ConfigMap admits; its pod names
/// every ConfigMap given.
fn assumed(account: Option<&NamespacedName>, sets: &[Arc<TemplateSet>]) -> Caller {
    let admitted = || {
        let set = sets.first()?;
        match &set.masters {
            Masters::Named(names) => names.first().cloned(),
            Masters::OwnNamespace => Some(NamespacedName::new(&set.name.namespace, "default")),
        }
    };
    let account = account.cloned().or_else(admitted).unwrap_or_else(|| NamespacedName::new("default", "default"));
    Caller {
        account,
        pod: CallerPod { name: String::new(), uid: String::new(), ip: None, terminating: false },
        chain: Vec::new(),
        wish: Wish { manifests: sets.iter().map(|set| set.name.clone()).collect(), ..Wish::default() },
        deadline: None,
    }
}

fn request(
    args: &Args,
    object: &Object,
    old: &[Object],
    caller: &Caller,
    facts: &Facts,
) -> Result<Request, CheckError> {
    let namespaced = match tables::scope_with(&object.kind, facts) {
        tables::Scope::Namespaced => true,
        tables::Scope::Cluster => false,
        tables::Scope::Unknown => {
            return Err(CheckError::UnknownKind { place: object.place.clone(), kind: object.kind.to_string() });
        }
    };
    let home = args.home.of(Some(&caller.account)).unwrap_or_default();
    let namespace = |object: &Object| namespaced.then(|| object.namespace().unwrap_or(home).to_owned());
    let placed = |object: &Object| {
        let mut value = object.value.clone();
        if let Some(namespace) = namespace(object) {
            value["metadata"]["namespace"] = namespace.into();
        }
        value
    };
    let same = |other: &&Object| {
        other.kind.group == object.kind.group
            && other.kind.kind == object.kind.kind
            && other.name() == object.name()
            && namespace(other) == namespace(object)
    };
    let (operation, new, stored) = match args.operation {
        Operation::Create => (request::Operation::Create, Some(placed(object)), None),
        Operation::Delete => (request::Operation::Delete, None, Some(placed(object))),
        Operation::Update => {
            let stored = old.iter().find(same).ok_or_else(|| CheckError::NoOld {
                place: object.place.clone(),
                what: format!("{} {}", object.kind.kind, object.name()),
            })?;
            (request::Operation::Update, Some(placed(object)), Some(placed(stored)))
        }
    };
    // As kubectl deletes.
    let options = (args.operation == Operation::Delete)
        .then(|| json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}));
    let plural =
        tables::plural(&object.kind).map_or_else(|| format!("{}s", object.kind.kind.to_lowercase()), str::to_owned);
    Ok(Request {
        uid: "check".into(),
        phase: if args.phase == Phase::Validating { request::Phase::Validating } else { request::Phase::Mutating },
        operation,
        kind: object.kind.clone(),
        resource: Gvr { group: object.kind.group.clone(), version: object.kind.version.clone(), resource: plural },
        subresource: None,
        namespace: namespace(object),
        name: object.value["metadata"]["name"].as_str().map(str::to_owned),
        user: User {
            username: format!("system:serviceaccount:{}:{}", caller.account.namespace, caller.account.name),
            ..User::default()
        },
        object: new,
        old_object: stored,
        options,
        dry_run: false,
    })
}

/// For people.
fn text(judged: &Judged) -> String {
    let object = &judged.object;
    match &judged.verdict {
        Verdict::Admit(admission) => {
            let mut out = format!("{}  {object}", output::coloured("admitted", true));
            let subject = &admission.subject;
            if let Some(config_map) = &subject.config_map {
                let template = verdict::template_text(config_map, subject.key.as_deref());
                out.push_str(&format!("\n  template    {template}"));
            }
            let parameters: Vec<String> =
                subject.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
            if !parameters.is_empty() {
                out.push_str(&format!("\n  parameters  {}", parameters.join("  ")));
            }
            if let Some(deadline) = subject.deadline {
                out.push_str(&format!("\n  until       {deadline}"));
            }
            for warning in &admission.warnings {
                out.push_str(&format!("\n  warning     {warning}"));
            }
            out.push('\n');
            out
        }
        Verdict::Refuse(refusal) => {
            let word = match refusal.cause {
                Cause::CouldNotTell => "could not tell",
                _ => "refused",
            };
            format!("{}  {object}\n  {}\n", output::coloured(word, false), refusal.message.replace('\n', "\n  "))
        }
    }
}

/// For programs.
fn machine(judged: &Judged) -> Value {
    match &judged.verdict {
        Verdict::Admit(admission) => json!({
            "object": judged.object,
            "allowed": true,
            "template": admission.subject.config_map.as_ref()
                .map(|config_map| verdict::template_text(config_map, admission.subject.key.as_deref())),
            "parameters": admission.subject.parameters,
            "expiresAt": admission.subject.deadline.map(|deadline| deadline.to_string()),
            "patch": admission.patch.as_ref().map_or_else(|| json!([]), |patch| json!(patch)),
            "differences": [],
            "warnings": admission.warnings,
        }),
        Verdict::Refuse(refusal) => json!({
            "object": judged.object,
            // Neither true nor false would be right where it could not be told.
            "allowed": if refusal.cause == Cause::CouldNotTell { Value::Null } else { false.into() },
            "template": refusal.config_map.as_ref()
                .map(|config_map| verdict::template_text(config_map, refusal.key.as_deref())),
            "parameters": {},
            "patch": [],
            "differences": refusal.differences,
            "cause": refusal.cause.as_str(),
            "message": refusal.message,
        }),
    }
}
