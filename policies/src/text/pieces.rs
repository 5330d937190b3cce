//! What the holes of one ConfigMap's texts are made of: the automaton of each parameter, made once however many texts it
//! stands in.

use std::sync::{Arc, OnceLock};

use super::automaton::{Automaton, Unfit};
use crate::budget::Budget;
use crate::parameter::{Parameter, Parameters};
use crate::shared::Pool;
use crate::template::{Given, Hole};

/// The most steps of one automaton. What people write takes a fraction: a DNS name of 253 characters about two million.
const MOST_STEPS: u64 = 20_000_000;

/// Automata that there are; `[0-9]{8}` is in many templates.
static AUTOMATA: Pool<Automaton> = Pool::new();

type Made = OnceLock<Result<Arc<Automaton>, Unfit>>;

/// What texts need to know of parameters, each asked for once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pieces {
    known: Arc<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// By position of the parameter.
    declared: Box<[Declared]>,
    given: [Made; Given::ALL.len()],
}

#[derive(Debug, Default)]
struct Declared {
    automaton: Made,
    /// Whether its values have a form inside text.
    textual: bool,
    free: OnceLock<bool>,
}

impl Pieces {
    /// Of these parameters, in their order.
    pub(crate) fn of(parameters: &[Parameter]) -> Self {
        let declared = parameters
            .iter()
            .map(|parameter| Declared { textual: parameter.schema.is_textual(), ..Declared::default() })
            .collect();
        Self { known: Arc::new(Known { declared, given: Default::default() }) }
    }

    /// Whether a parameter's values can stand inside text.
    pub(crate) fn is_textual(&self, position: usize) -> bool {
        self.known.declared.get(position).is_some_and(|known| known.textual)
    }

    /// Whether a parameter accepts any text at all.
    pub(crate) fn is_free_text(&self, position: usize, parameters: &Parameters) -> bool {
        let known = self.known.declared.get(position).zip(parameters.all.get(position));
        known.is_some_and(|(known, parameter)| *known.free.get_or_init(|| parameter.schema.is_free_text()))
    }

    /// The automata that were made: what tells each from the others, and its bytes.
    pub(crate) fn made(&self) -> impl Iterator<Item = (usize, u64)> {
        let declared = self.known.declared.iter().map(|known| &known.automaton);
        let made = declared.chain(&self.known.given).filter_map(|made| made.get()?.as_ref().ok());
        made.map(|automaton| (Arc::as_ptr(automaton).addr(), automaton.bytes()))
    }

    /// The automaton of a hole. Made at first use, by steps of `budget`; one that could not be made then is not tried
    /// again.
    pub(super) fn automaton(
        &self,
        hole: Hole,
        parameters: &Parameters,
        budget: &Budget,
    ) -> Result<Arc<Automaton>, Unfit> {
        let make = |language: &str| {
            budget.part(MOST_STEPS, |budget| Automaton::of_pattern(language, budget)).map(|made| AUTOMATA.share(made))
        };
        match hole {
            Hole::Given(given) => {
                let known = self.known.given.get(given as usize).ok_or(Unfit::Unsupported)?;
                known.get_or_init(|| make(language_of(given))).clone()
            }
            Hole::Declared(position) => {
                let known = self.known.declared.get(position).ok_or(Unfit::NoText)?;
                let of_parameter = || {
                    let language = parameters.all.get(position).and_then(|parameter| parameter.schema.language());
                    make(&language.ok_or(Unfit::NoText)?)
                };
                known.automaton.get_or_init(of_parameter).clone()
            }
        }
    }
}

/// What a value of the caller's identity may look like: names and uids as Kubernetes allows them.
fn language_of(given: Given) -> &'static str {
    match given {
        Given::MasterName | Given::PodName => r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?",
        Given::MasterNamespace => r"[a-z0-9]([-a-z0-9]*[a-z0-9])?",
        Given::MasterUid | Given::PodUid => r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        Given::PodIp => r"[0-9a-f.:]+",
    }
}
