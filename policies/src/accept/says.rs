//! Whether a template says something at a place: there it is the template that decides, and no row.

use std::collections::HashMap;

use crate::difference::Step;
use crate::template::{Element, Hole, Pattern, Template};

/// Whether `template` names the place of these steps, or has a hole at or above it.
pub(crate) fn says(template: &Template, steps: &[Step]) -> bool {
    said(&template.pattern, &[(1, steps)]) != 0
}

/// Of places, each with its bit, those that `pattern` says something at. All of them in one walk: a map may have many
/// keys.
pub(super) fn said(pattern: &Pattern, places: &[(u64, &[Step])]) -> u64 {
    let mut found = 0;
    let mut below: Vec<(u64, &Step, &[Step])> = Vec::new();
    for (bit, steps) in places {
        match steps.split_first() {
            None => found |= bit,
            Some((step, rest)) => below.push((*bit, step, rest)),
        }
    }
    if below.is_empty() {
        return found;
    }
    let at = |is_it: &dyn Fn(&Step) -> bool| -> Vec<(u64, &[Step])> {
        below.iter().filter(|(_, step, _)| is_it(step)).map(|(bit, _, rest)| (*bit, *rest)).collect()
    };
    match pattern {
        Pattern::Map(entries) => {
            let mut keys: HashMap<&str, Vec<(u64, &[Step])>> = HashMap::new();
            for (bit, step, rest) in &below {
                if let Step::Key(key) = step {
                    keys.entry(key).or_default().push((*bit, rest));
                }
            }
            for (name, pattern) in entries.iter() {
                found |= keys.get(&**name).map_or(0, |places| said(pattern, places));
            }
        }
        Pattern::List(elements) => {
            for (position, element) in elements.iter().enumerate() {
                // What a list hole takes is its own affair: a row is tried only where the hole does not.
                let Element::One(pattern) = element else { continue };
                let places = at(&|step| match step {
                    Step::Index(index) => *index == position,
                    Step::Element(label) => may_be(pattern, label),
                    Step::Key(_) => false,
                });
                if !places.is_empty() {
                    found |= said(pattern, &places);
                }
            }
        }
        Pattern::Hole(Hole::Declared(_) | Hole::Given(_)) | Pattern::Text(_) => {
            found |= below.iter().fold(0, |all, (bit, ..)| all | bit);
        }
        // Null, or an empty value: nothing is below it.
        Pattern::Literal(_) => {}
    }
    found
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
