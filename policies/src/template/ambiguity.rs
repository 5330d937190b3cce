//! Holes that cannot be told apart: then an object would not say what its parameters were.

use super::compile::{Lines, TemplateError};
use super::{Element, Hole, Pattern, coincide};
use crate::difference::Path;
use crate::object::Gvk;
use crate::parameter::Parameters;
use crate::tables::{self, Facts, Shape};

pub(super) fn check(
    kind: &Gvk,
    pattern: &Pattern,
    parameters: &Parameters,
    lines: &Lines<'_>,
    errors: &mut Vec<TemplateError>,
) {
    let facts = Facts::default();
    let mut walk = Walk { parameters, lines, errors };
    walk.pattern(pattern, &Path::root(), tables::shape_of(kind, &facts));
}

struct Walk<'a> {
    parameters: &'a Parameters,
    lines: &'a Lines<'a>,
    errors: &'a mut Vec<TemplateError>,
}

impl Walk<'_> {
    fn pattern(&mut self, pattern: &Pattern, path: &Path, shape: Shape<'_>) {
        match pattern {
            Pattern::Map(entries) => {
                for (key, value) in entries.iter() {
                    self.pattern(value, &path.key(key), shape.field(key));
                }
            }
            Pattern::List(elements) => {
                let found =
                    of_list(elements, self.parameters).or_else(|| coincide::of_list(elements, shape, self.parameters));
                if let Some((index, message)) = found {
                    self.errors.push(TemplateError::new(self.lines.of(&path.index(index)), message));
                }
                for (index, element) in elements.iter().enumerate() {
                    if let Element::One(pattern) = element {
                        self.pattern(pattern, &path.index(index), shape.element());
                    }
                }
            }
            _ => {}
        }
    }
}

/// Where a list holds elements that cannot be told apart, and why.
fn of_list(elements: &[Element], parameters: &Parameters) -> Option<(usize, String)> {
    let mut open: Option<usize> = None;
    for (index, element) in elements.iter().enumerate() {
        let name = |position: usize| parameters.all[position].name.as_str();
        match element {
            Element::Many(position) => {
                if let Some(other) = open {
                    return Some((
                        index,
                        format!(
                            "the list holes {} and {} stand side by side, so nothing says which one an element belongs \
                             to: use one parameter for both, or put a literal element between them that neither admits",
                            name(other),
                            name(*position)
                        ),
                    ));
                }
                open = Some(*position);
            }
            Element::One(pattern) => {
                if let (Some(other), Some(literal)) = (open, pattern.literal()) {
                    let taken = |position: usize| {
                        parameters.all[position].schema.items().is_none_or(|items| items.accepts(&literal).is_ok())
                    };
                    let rest_apart = elements[index + 1..].iter().all(|element| match element {
                        Element::Many(position) => !taken(*position),
                        Element::One(_) => true,
                    });
                    if !taken(other) && rest_apart {
                        open = None;
                    }
                }
            }
        }
    }
    optional_beside_many(elements, parameters)
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
