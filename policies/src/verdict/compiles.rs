//! Whether a verdict has to wait for a template to be compiled.

use crate::object::Gvk;
use crate::request::Request;

use super::{Asked, Situation, own};

/// Whether a template that the request may be held against is to be compiled first.
pub(super) fn compiles(request: &Request, situation: &Situation) -> bool {
    let kind = kind_of(request, situation);
    let wished = situation.caller.iter().flat_map(|caller| &caller.wish.manifests);
    let mut sets = wished.filter_map(|name| situation.library.sets.get(name));
    sets.any(|set| set.templates.compiles(&kind))
}

/// The kind of whose templates it is judged by: of a `scale`, that of what is scaled.
fn kind_of(request: &Request, situation: &Situation) -> Gvk {
    match &situation.asked {
        Asked::Found(stored) if request.subresource.as_deref() == Some("scale") => own::kind_of(stored),
        _ => request.kind.clone(),
    }
}
