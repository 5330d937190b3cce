//! Holes that cannot be told apart: then an object would not say what its parameters were.

use std::collections::BTreeSet;

use super::costs::{Costs, Piece};
use super::errors::{Errors, Lines};
use super::way::Way;
use super::{Element, Hole, Pattern, coincide};
use crate::budget::{Budget, Exhausted};
use crate::object::Gvk;
use crate::parameter::Parameters;
use crate::tables::{self, Facts, Shape};

/// The most steps that one list may take here.
const MOST_STEPS: u64 = 20_000_000;

pub(super) fn check(
    kind: &Gvk,
    pattern: &Pattern,
    parameters: &Parameters,
    lines: &Lines<'_>,
    (budget, costs): (&Budget, &Costs),
    errors: &mut Errors,
) {
    let facts = Facts::default();
    let mut walk = Walk { parameters, lines, budget, costs, errors };
    walk.pattern(pattern, &Way::ROOT, tables::shape_of(kind, &facts));
}

struct Walk<'a> {
    parameters: &'a Parameters,
    lines: &'a Lines<'a>,
    budget: &'a Budget,
    costs: &'a Costs,
    errors: &'a mut Errors,
}

impl Walk<'_> {
    fn pattern(&mut self, pattern: &Pattern, way: &Way<'_>, shape: Shape<'_>) {
        match pattern {
            Pattern::Map(entries) => {
                for (key, value) in entries.iter() {
                    self.pattern(value, &way.key(key), shape.field(key));
                }
            }
            Pattern::List(elements) => {
                let Self { parameters, lines, budget, costs, .. } = *self;
                let look = || {
                    of_list(elements, parameters, budget)
                        .or_else(|| coincide::of_list(elements, shape, parameters, budget))
                };
                let found = costs.measure(budget, Piece::List, || lines.line(&way.path()), look);
                if let Some((index, message)) = found {
                    self.errors.tell(|| lines.line(&way.index(index).path()), message);
                }
                for (index, element) in elements.iter().enumerate() {
                    if let Element::One(pattern) = element {
                        self.pattern(pattern, &way.index(index), shape.element());
                    }
                }
            }
            _ => {}
        }
    }
}

/// Where a list holds elements that cannot be told apart, and why.
fn of_list(elements: &[Element], parameters: &Parameters, budget: &Budget) -> Option<(usize, String)> {
    let told = budget.part(MOST_STEPS, |budget| side_by_side(elements, parameters, budget));
    let told = told.unwrap_or_else(|Exhausted| {
        let message = "telling the list holes of this list apart takes more work than is allowed: use one list hole, put it \
                       last, or give its items a simpler schema";
        Some((0, message.to_owned()))
    });
    told.or_else(|| optional_beside_many(elements, parameters))
}

/// Where a list hole may begin before another one has ended.
fn side_by_side(
    elements: &[Element],
    parameters: &Parameters,
    budget: &Budget,
) -> Result<Option<(usize, String)>, Exhausted> {
    // The list holes that come after a position, each once, the last one first.
    let mut later: Vec<(usize, usize)> = Vec::new();
    for (index, element) in elements.iter().enumerate() {
        if let Element::Many(position) = element {
            later.push((index, *position));
        }
    }
    later.reverse();
    let mut known = BTreeSet::new();
    later.retain(|(_, position)| known.insert(*position));
    let mut open: Option<usize> = None;
    for (index, element) in elements.iter().enumerate() {
        let name = |position: usize| parameters.all[position].name.as_str();
        match element {
            Element::Many(position) => {
                if let Some(other) = open {
                    return Ok(Some((
                        index,
                        format!(
                            "the list holes {} and {} stand side by side, so nothing says which one an element belongs \
                             to: use one parameter for both, or put a literal element between them that neither admits",
                            name(other),
                            name(*position)
                        ),
                    )));
                }
                open = Some(*position);
            }
            Element::One(pattern) => {
                let Some(other) = open else { continue };
                // Nothing comes after it that it must be told from.
                if later.first().is_none_or(|(last, _)| *last < index) {
                    break;
                }
                budget.spend(pattern.size())?;
                let Some(literal) = pattern.literal() else { continue };
                let taken = |position: usize| match parameters.all[position].schema.items() {
                    Some(items) => items.accepts_within(&literal, budget),
                    None => Ok(true),
                };
                let mut apart = !taken(other)?;
                for (_, position) in later.iter().take_while(|(last, _)| *last > index) {
                    apart = apart && !taken(*position)?;
                }
                if apart {
                    open = None;
                }
            }
        }
    }
    Ok(None)
}

fn optional_beside_many(elements: &[Element], parameters: &Parameters) -> Option<(usize, String)> {
    let optional = |element: &Element| match element {
        Element::One(pattern @ (Pattern::Hole(_) | Pattern::Text(_))) => {
            pattern.holes().into_iter().find_map(|hole| match hole {
                Hole::Declared(position) if parameters.all[position].optional => Some(position),
                _ => None,
            })
        }
        _ => None,
    };
    let optionals: Vec<_> =
        elements.iter().enumerate().filter_map(|(index, element)| Some((index, optional(element)?))).collect();
    let (index, position) = *optionals.first()?;
    let name = &parameters.all[position].name;
    if elements.iter().any(|element| matches!(element, Element::Many(_))) {
        return Some((
            index,
            format!(
                "the optional element {name} stands in a list with a list hole, so nothing says which of the two an \
                 element belongs to: make it one of the list's elements"
            ),
        ));
    }
    let (other_index, other) = *optionals.get(1)?;
    (other != position).then(|| {
        (
            other_index,
            format!(
                "the optional elements {name} and {} stand in one list, so nothing says which one is absent: use one \
                 list parameter for both",
                parameters.all[other].name
            ),
        )
    })
}
