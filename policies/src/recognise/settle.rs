//! From what the walk found at each place to one value per parameter.

use std::collections::BTreeMap;

use serde_json::Value;

use super::bind::{Absence, Fit, Found, Misfit, Proposal, fit};
use super::report;
use super::spelling;
use super::update::Since;
use crate::difference::{Difference, Expected, Got, Path, Step};
use crate::parameter::{Bindings, Parameter, Parameters};
use crate::render::Instead;
use crate::tables::Form;
use crate::template::{Given, Hole, Pattern};

/// One value per parameter, and what did not fit.
pub(super) struct Settled {
    pub(super) bindings: Bindings,
    pub(super) failures: Vec<Difference>,
    /// What stands where nothing fitted, so that the rest can be compared.
    pub(super) instead: Instead,
}

pub(super) fn settle(
    found: &Found<'_>,
    parameters: &Parameters,
    given: &BTreeMap<Given, String>,
    form: Form,
    since: Option<&Since<'_>>,
) -> Settled {
    let mut settled = Settled {
        bindings: Bindings { declared: Vec::with_capacity(parameters.all.len()), given: given.clone() },
        failures: Vec::new(),
        instead: Instead::new(),
    };
    let shown = Shown::of(found, parameters, since);
    for (index, parameter) in parameters.all.iter().enumerate() {
        let value = choose(&shown, index, parameter, since);
        settled.bindings.declared.push(value);
    }
    let counts = |path: &Path| since.is_none_or(|since| since.touches(path));
    for misfit in found.misfits.iter().filter(|misfit| counts(&misfit.path)) {
        let told = settled.failures.len() < report::MOST || misfit.path.steps().len() == 2;
        settled.failures.push(of_misfit(misfit, parameters, told));
        if !(misfit.encoded && misfit.got.is_null()) {
            settled.instead.insert(std::ptr::from_ref(misfit.pattern), misfit.got.clone());
        }
    }
    for absence in found.absences.iter().filter(|absence| counts(&absence.path)) {
        settled.absent(absence, parameters, form);
    }
    settled
}

impl Settled {
    /// A place where the object has nothing: fine if the hole may be absent, or has a value elsewhere (the comparison
    /// then tells), or a value that the server does not tell from nothing.
    fn absent(&mut self, absence: &Absence<'_>, parameters: &Parameters, form: Form) {
        let holes = holes(absence.pattern);
        let unbound = |index: &usize| self.bindings.declared.get(*index).is_none_or(Option::is_none);
        if !holes.iter().any(unbound) {
            return;
        }
        let may_stay_away = |index: &usize| {
            let parameter = parameters.all.get(*index);
            parameter.is_some_and(|p| p.optional || (p.generated.is_some() && form != Form::Validating))
        };
        if holes.iter().any(may_stay_away) {
            return;
        }
        if let Some(bound) = zero(absence, parameters, &self.bindings.given) {
            for (index, value) in bound {
                if let Some(slot) = self.bindings.declared.get_mut(index) {
                    slot.get_or_insert(value);
                }
            }
            return;
        }
        let described = if self.failures.len() < report::MOST {
            report::describe(absence.pattern, None, &Value::Null, parameters)
        } else {
            "a value".into()
        };
        let expected = Expected::Described(described);
        self.failures.push(Difference { path: absence.path.clone(), expected, got: Got::Nothing });
    }
}

/// What the holes of a missing key stand for, where the server drops a zero value.
fn zero(
    absence: &Absence<'_>,
    parameters: &Parameters,
    given: &BTreeMap<Given, String>,
) -> Option<Vec<(usize, Value)>> {
    let zero = absence.shape.zero()?;
    match absence.pattern {
        Pattern::Hole(Hole::Declared(index)) => {
            let schema = &parameters.all.get(*index)?.schema;
            fit(schema, &zero, absence.shape, None).map(|(value, _)| vec![(*index, value)])
        }
        Pattern::Text(text) => text.bind(zero.as_str()?, given, parameters).ok(),
        _ => None,
    }
}

/// What the walk found, by parameter.
struct Shown<'p> {
    /// Each proposal, and whether an update changes its place.
    proposals: Vec<Vec<(&'p Proposal, bool)>>,
    /// Whether a place of it is absent that an update changes, and one that it does not change.
    absent: Vec<[bool; 2]>,
}

impl<'p> Shown<'p> {
    fn of(found: &'p Found<'_>, parameters: &Parameters, since: Option<&Since<'_>>) -> Self {
        let count = parameters.all.len();
        let mut shown = Self { proposals: vec![Vec::new(); count], absent: vec![[false; 2]; count] };
        for proposal in &found.proposals {
            let changed = since.is_some_and(|since| since.touches(&proposal.path));
            if let Some(all) = shown.proposals.get_mut(proposal.parameter) {
                all.push((proposal, changed));
            }
        }
        let Some(since) = since else { return shown };
        for absence in &found.absences {
            let changed = since.touches(&absence.path);
            for index in holes(absence.pattern) {
                if let Some(absent) = shown.absent.get_mut(index) {
                    absent[usize::from(changed)] = true;
                }
            }
        }
        shown
    }
}

/// The declared parameters of one hole or text.
fn holes(pattern: &Pattern) -> Vec<usize> {
    match pattern {
        Pattern::Hole(Hole::Declared(index)) => vec![*index],
        Pattern::Text(text) => text.declared().into_iter().collect(),
        _ => Vec::new(),
    }
}

/// The value of one parameter, of all that was proposed for it: what the object has exactly, before what is only
/// equivalent; then in the template's order. In an update a place that did not change holds a parameter to what it
/// was.
fn choose(shown: &Shown<'_>, index: usize, parameter: &Parameter, since: Option<&Since<'_>>) -> Option<Value> {
    let proposals = || shown.proposals.get(index).into_iter().flatten();
    let Some(since) = since else { return best(proposals().map(|(proposal, _)| *proposal)) };
    let recorded = since.recorded.declared.get(index).cloned().flatten();
    let absent = |changed: bool| {
        parameter.optional && shown.absent.get(index).is_some_and(|absent| absent[usize::from(changed)])
    };
    let unchanged = || proposals().filter(|(_, changed)| !changed).map(|(proposal, _)| *proposal);
    let changed = || proposals().filter(|(_, changed)| *changed).map(|(proposal, _)| *proposal);
    match recorded {
        Some(recorded) => {
            let held = unchanged().any(|proposal| same(proposal, &recorded));
            match best(changed()) {
                _ if held => Some(recorded),
                Some(new) => Some(new),
                None if absent(true) => None,
                None => Some(recorded),
            }
        }
        None if absent(false) => None,
        None => best(unchanged()).or_else(|| best(changed())),
    }
}

fn best<'p>(proposals: impl Iterator<Item = &'p Proposal>) -> Option<Value> {
    let mut fallback = None;
    for proposal in proposals {
        match proposal.fit {
            Fit::Exact => return Some(proposal.value.clone()),
            Fit::Equivalent => fallback = fallback.or(Some(&proposal.value)),
        }
    }
    fallback.cloned()
}

fn same(proposal: &Proposal, value: &Value) -> bool {
    proposal.value == *value || (proposal.fit == Fit::Equivalent && spelling::same_quantities(&proposal.value, value))
}

/// Of many it is not `told` what each should be: only the first are shown.
fn of_misfit(misfit: &Misfit<'_>, parameters: &Parameters, told: bool) -> Difference {
    let got = |value: &Value| {
        if misfit.encoded { Got::Hidden } else { Got::Value(value.clone()) }
    };
    if !told {
        let expected = Expected::Described("another value".into());
        return Difference { path: misfit.path.clone(), expected, got: got(&misfit.got) };
    }
    // Inside a list or a map the schema knows better where.
    if let (Pattern::Hole(Hole::Declared(index)), Value::Array(_) | Value::Object(_)) = (misfit.pattern, &misfit.got)
        && let nearest = misfit.nearest.as_ref().unwrap_or(&misfit.got)
        && let Some(mismatch) = parameters.all.get(*index).and_then(|p| p.schema.accepts(nearest).err())
    {
        let inner = inside(nearest, mismatch.path.steps());
        let steps = misfit.path.steps().iter().chain(mismatch.path.steps()).cloned().collect();
        return Difference {
            path: Path::from_steps(steps),
            expected: Expected::Described(mismatch.expected),
            got: inner.map_or(Got::Nothing, got),
        };
    }
    Difference {
        path: misfit.path.clone(),
        expected: Expected::Described(report::describe(misfit.pattern, misfit.parameter, &misfit.got, parameters)),
        got: got(&misfit.got),
    }
}

fn inside<'v>(value: &'v Value, steps: &[Step]) -> Option<&'v Value> {
    steps.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get(key),
        Step::Index(index) => value.get(index),
        Step::Element(_) => None,
    })
}
