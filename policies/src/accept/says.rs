//! Whether a template says something at a place: there it is the template that decides, and no row.

use crate::difference::Step;
use crate::template::{Element, Hole, Pattern, Template};

/// Whether `template` names the place of these steps, or has a hole at or above it.
pub(crate) fn says(template: &Template, steps: &[Step]) -> bool {
    says_at(&template.pattern, steps)
}

fn says_at(pattern: &Pattern, steps: &[Step]) -> bool {
    let Some((step, rest)) = steps.split_first() else { return true };
    match (pattern, step) {
        (Pattern::Map(entries), Step::Key(key)) => {
            entries.iter().any(|(name, pattern)| **name == **key && says_at(pattern, rest))
        }
        (Pattern::List(elements), Step::Index(index)) => match elements.get(*index) {
            Some(Element::One(pattern)) => says_at(pattern, rest),
            Some(Element::Many(_)) | None => false,
        },
        (Pattern::List(elements), Step::Element(label)) => elements.iter().any(|element| match element {
            Element::One(pattern) => may_be(pattern, label) && says_at(pattern, rest),
            // What a list hole takes is its own affair: a row is tried only where the hole does not.
            Element::Many(_) => false,
        }),
        (Pattern::Hole(Hole::Declared(_) | Hole::Given(_)) | Pattern::Text(_), _) => true,
        // Null, or an empty value: nothing is below it.
        _ => false,
    }
}

/// Whether an element may be the one of a label, `name=main` or, in a set, its text.
fn may_be(pattern: &Pattern, label: &str) -> bool {
    match pattern {
        Pattern::Map(_) => label.split(',').all(|part| {
            let Some((key, value)) = part.split_once('=') else { return true };
            match pattern.get(key) {
                Some(Pattern::Literal(literal)) => {
                    literal.as_str().map_or_else(|| literal.to_string(), str::to_owned) == value
                }
                Some(_) => true,
                // Such as a port's protocol, which the server fills in.
                None => true,
            }
        }),
        Pattern::Literal(literal) => literal.as_str() == Some(label),
        _ => true,
    }
}
