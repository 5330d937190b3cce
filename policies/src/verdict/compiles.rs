//! What a verdict compiles first: templates that nobody asked for yet, which are kept as text.

use std::sync::Arc;

use crate::library::TemplateSet;
use crate::object::Gvk;
use crate::request::Request;

use super::{Asked, Situation, own};

/// The most steps of compiling that a verdict does itself, some five nanoseconds each: a quarter of the time that a review
/// may take.
const BESIDE: u64 = 10_000_000;

/// Templates of one `data` key that are not compiled yet.
#[derive(Clone, Debug)]
pub struct Uncompiled {
    set: Arc<TemplateSet>,
    kind: Gvk,
}

impl Uncompiled {
    /// Compiles them, for whoever asks for them from now on. It may take as long as loading a ConfigMap.
    pub fn compile(&self) {
        self.set.templates.compile_one(&self.kind);
    }
}

/// What is to be compiled before [`decide`](super::decide), so that a review takes no longer than its steps: a key of a
/// ConfigMap that the caller's pod asks for. None where the rest takes little.
pub fn uncompiled(request: &Request, situation: &Situation) -> Option<Uncompiled> {
    let kind = kind_of(request, situation);
    let effort = sets(situation).fold(0, |sum: u64, set| sum.saturating_add(set.templates.effort(&kind)));
    if effort <= BESIDE {
        return None;
    }
    let set = Arc::clone(sets(situation).find(|set| set.templates.compiles(&kind))?);
    Some(Uncompiled { set, kind })
}

/// Whether a template that the request may be held against is to be compiled first.
pub(super) fn compiles(request: &Request, situation: &Situation) -> bool {
    let kind = kind_of(request, situation);
    sets(situation).any(|set| set.templates.compiles(&kind))
}

/// The ConfigMaps that the caller's pod asks for and that are known.
fn sets(situation: &Situation) -> impl Iterator<Item = &Arc<TemplateSet>> {
    let wished = situation.caller.iter().flat_map(|caller| &caller.wish.manifests);
    wished.filter_map(|name| situation.library.sets.get(name))
}

/// The kind of whose templates it is judged by: of a `scale`, that of what is scaled.
fn kind_of(request: &Request, situation: &Situation) -> Gvk {
    match &situation.asked {
        Asked::Found(stored) if request.subresource.as_deref() == Some("scale") => own::kind_of(stored),
        _ => request.kind.clone(),
    }
}
