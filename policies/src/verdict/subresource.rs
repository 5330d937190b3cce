//! Subresources and CONNECT: refused, unless the ConfigMap's `fledged.io/allow` lists them, and then only for the
//! master's own dependents, read live.

use crate::budget::Budget;
use crate::keys;
use crate::object::Gvr;
use crate::request::{Operation, Request};

use super::own::{kind_of, own_or_owned};
use super::{Admission, Cause, Ground, Refusal, Situation, caller, delete, grant, update};

/// Subresources that no ConfigMap can allow: they write status, place pods, add containers, or mint tokens.
pub(crate) const NEVER: [&str; 4] = ["status", "binding", "ephemeralcontainers", "token"];

pub(crate) fn judge(request: &Request, situation: &Situation, budget: &Budget) -> Result<Admission, Refusal> {
    let subresource = request.subresource.as_deref().unwrap_or_default();
    let Gvr { group, resource, .. } = &request.resource;
    if (group.as_str(), resource.as_str(), subresource) == ("", "pods", "eviction") {
        return delete::judge_eviction(request, situation);
    }
    let what = format!("{resource}/{subresource}");
    if NEVER.contains(&subresource) {
        return Err(Refusal::new(Cause::Subresource, format!("a master never uses {what}; no template can allow it")));
    }
    if request.namespace.is_none() {
        return Err(Refusal::new(
            Cause::Subresource,
            format!("{what} is cluster-scoped here, and a master uses nothing outside namespaces"),
        ));
    }
    let caller = caller(situation)?;
    let stored = delete::asked(situation)?;
    let stamp = own_or_owned(caller, &kind_of(stored), stored, &situation.lineage)?;
    let name = &stamp.record.template.config_map;
    let set = grant::consent(situation, caller, name).map_err(|why| {
        why.refusal(|why| {
            Refusal::new(Cause::Consent, format!("the ConfigMap that admitted it, {name}, is withdrawn: {why}"))
        })
    })?;
    if !set.allow.contains(&(resource.clone(), subresource.to_owned())) {
        return Err(Refusal::new(
            Cause::Subresource,
            format!("ConfigMap {name} does not allow it; its admin can, with the annotation {}: {what}", keys::ALLOW),
        ));
    }
    if subresource == "scale" {
        if request.operation != Operation::Update {
            return Err(Refusal::new(Cause::Subresource, "a scale is changed, not created or deleted"));
        }
        return update::judge_scale(request, situation, caller, &stamp, budget);
    }
    Ok(Admission::on(Ground::Subresource).about(delete::subject(stamp)))
}
