//! What Events say of a refusal, and of a create that was admitted and came to be.

use policies::object::Gvr;
use policies::request::{Operation, Request};
use policies::stamp::Stamp;
use policies::verdict::{Situation, Verdict, refusal::deed, template_text};

use super::super::dependents::ledger::Key;
use super::note::{LIMIT, shortened};
use super::{Happened, Note};

/// What there is to tell of a verdict: a refusal, of a caller that has a workload. None for dry runs, and none for an
/// admission, which is told once its object is there ([`admitted`]).
pub fn refused(request: &Request, situation: &Situation, verdict: &Verdict) -> Option<Note> {
    let Verdict::Refuse(refusal) = verdict else { return None };
    if request.dry_run {
        return None;
    }
    let caller = situation.caller.as_ref().ok()?;
    let template = refusal.config_map.as_ref().map(|name| template_text(name, refusal.key.as_deref()));
    let by = template.map(|template| format!(" by template {template}")).unwrap_or_default();
    let operation = match request.operation {
        Operation::Create => "create",
        Operation::Update => "update",
        Operation::Delete => "delete",
        Operation::Connect => "connect",
    };
    let subresource = request.subresource.as_ref().map(|name| format!("/{name}")).unwrap_or_default();
    Some(Note {
        workload: caller.workload(),
        namespace: caller.account.namespace.clone(),
        happened: Happened::Refused,
        cause: Some(refusal.cause),
        about: format!("{operation} {}{subresource}{by}", request.resource),
        object: deed(request),
        text: shortened(&refusal.message, LIMIT),
    })
}

/// What there is to tell of a dependent that the watch shows, by its stamp.
pub(crate) fn admitted(resource: &Gvr, kind: &str, key: &Key, stamp: &Stamp) -> Note {
    let record = &stamp.record;
    let template = template_text(&record.template.config_map, Some(&record.template.key));
    let until = stamp.deadline.map(|deadline| format!(", until {deadline}")).unwrap_or_default();
    let object = format!("to create {kind} {}/{}", key.namespace, key.name);
    Note {
        workload: record.workload.clone(),
        namespace: record.account.namespace.clone(),
        happened: Happened::Admitted,
        cause: None,
        about: format!("create {resource} by template {template}"),
        text: shortened(&format!("admitted {object} by template {template}{until}"), LIMIT),
        object,
    }
}
