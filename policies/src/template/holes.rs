//! `${name}` and `$${name}` within text: only declared and given names are holes; all else is plain text.

use crate::parameter::Parameters;
use crate::template::{Given, Hole};
use crate::text::Part;

/// The longest name that is looked for between braces.
const LONGEST_NAME: usize = 64;

/// The hole that a name stands for, where it is declared or given.
pub(super) fn named(name: &str, parameters: &Parameters) -> Option<Hole> {
    Given::ALL
        .into_iter()
        .find(|given| given.name() == name)
        .map(Hole::Given)
        .or_else(|| parameters.position(name).map(Hole::Declared))
}

/// Splits text into literals and holes; `$${name}` of a known name is the literal `${name}`.
pub(crate) fn split(text: &str, parameters: &Parameters) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let after = &rest[start + 2..];
        let known = name_of(after).and_then(|name| Some((name, named(name, parameters)?)));
        let Some((name, hole)) = known else {
            literal.push_str(&rest[..start + 2]);
            rest = after;
            continue;
        };
        let before = &rest[..start];
        rest = &after[name.len() + 1..];
        if let Some(before) = before.strip_suffix('$') {
            literal.push_str(before);
            literal.push_str("${");
            literal.push_str(name);
            literal.push('}');
            continue;
        }
        literal.push_str(before);
        if !literal.is_empty() {
            parts.push(Part::Literal(std::mem::take(&mut literal)));
        }
        parts.push(Part::Hole(hole));
    }
    literal.push_str(rest);
    if !literal.is_empty() || parts.is_empty() {
        parts.push(Part::Literal(literal));
    }
    parts
}

/// What stands before the closing brace, where there is one near.
fn name_of(after: &str) -> Option<&str> {
    let end = after.bytes().take(LONGEST_NAME + 1).position(|byte| byte == b'}')?;
    after.get(..end)
}

/// A `${…}` of a name that is neither declared nor given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    /// What stands between the braces.
    pub name: String,
}

/// Every `${…}` in text whose name is neither declared nor given.
pub fn mentions(text: &str, parameters: &Parameters) -> Vec<Mention> {
    text.match_indices("${")
        .filter_map(|(start, _)| name_of(&text[start + 2..]))
        .filter(|name| named(name, parameters).is_none())
        .map(|name| Mention { name: name.to_owned() })
        .collect()
}
