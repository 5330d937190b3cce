//! Which values of a list an element of a pattern may be, looked up by what both show in a field: a text or a number, or
//! how a text with holes begins and ends. Without it each element would be held against each value.

use std::cell::{OnceCell, RefCell};
use std::cmp::Ordering;
use std::collections::HashMap;
use std::rc::Rc;

use serde_json::Value;

use super::bind::{Binder, may_be_missing, may_be_replaced};
use super::{spelling, work};
use crate::tables::Shape;
use crate::template::{Element, Hole, Pattern};
use crate::text::Part;

/// So few values are held against an element one by one.
const FEW: usize = 8;
/// So many fields of one element are looked up.
const CLUES: usize = 4;
/// So deep in an element.
const DEEPEST: usize = 3;
/// So many fields of one list's values are prepared.
const COLUMNS: usize = 8;
/// Steps of reading one of many texts, beside those of comparing it: it is seldom at hand.
const REACHING: usize = work::LOOK;

/// The values of a list, by their fields.
pub(super) struct Index<'a> {
    binder: &'a Binder<'a>,
    values: &'a [Value],
    /// The shape of an element.
    shape: Shape<'a>,
    /// The first merge key; none where values are found by the whole of them.
    key: Option<&'a str>,
    /// By the way to the field.
    columns: RefCell<Vec<(Vec<&'a str>, Rc<Column<'a>>)>>,
}

/// One field of all values.
struct Column<'a> {
    /// The positions of the values by what they show there.
    named: HashMap<String, Vec<usize>>,
    /// Of those that show neither text nor number.
    unnamed: Vec<usize>,
    /// Texts, how many bytes they have, and where they are: by how they begin, and by how they end.
    texts: Vec<(&'a str, usize)>,
    bytes: usize,
    forwards: Sorted<'a>,
    backwards: Sorted<'a>,
}

/// Texts and where they are, sorted once somebody asks.
type Sorted<'a> = OnceCell<Vec<(&'a str, usize)>>;

/// A field that an element says.
struct Said<'a> {
    /// The way to it; empty for the whole.
    way: Vec<&'a str>,
    clue: Clue,
    /// Whether a value without it may be the element all the same.
    may_be_absent: bool,
}

/// What a field must be like.
enum Clue {
    Is(String),
    Around(String, String),
}

/// Positions that a lookup found.
enum Hits<'c> {
    At(&'c [usize]),
    Texts(&'c [(&'c str, usize)]),
}

impl Hits<'_> {
    fn len(&self) -> usize {
        match self {
            Self::At(positions) => positions.len(),
            Self::Texts(texts) => texts.len(),
        }
    }

    fn positions(&self) -> Vec<usize> {
        match self {
            Self::At(positions) => positions.to_vec(),
            Self::Texts(texts) => texts.iter().map(|(_, at)| *at).collect(),
        }
    }
}

impl<'a> Index<'a> {
    pub(super) fn of(binder: &'a Binder<'a>, values: &'a [Value], keys: &'a [String], shape: Shape<'a>) -> Self {
        Self { binder, values, shape, key: keys.first().map(String::as_str), columns: RefCell::default() }
    }

    /// The positions of all values that are plausible for `element`, and of some that are not, in order; none where no
    /// step is left.
    pub(super) fn plausible(&self, element: &'a Element) -> Vec<usize> {
        let Element::One(pattern) = element else { return self.all() };
        let mut narrowest: Option<Vec<usize>> = None;
        for said in self.clues(pattern) {
            if narrowest.as_ref().is_some_and(|found| found.len() <= FEW) {
                break;
            }
            let Some(column) = self.column(&said.way) else { continue };
            let Some(hits) = self.hits(&column, &said.clue) else { return Vec::new() };
            let unnamed = if said.may_be_absent { column.unnamed.as_slice() } else { &[] };
            let count = hits.len() + unnamed.len();
            if count < narrowest.as_ref().map_or(self.values.len(), Vec::len) {
                if !self.binder.spend(4 * count) {
                    return Vec::new();
                }
                let mut found = hits.positions();
                found.extend(unnamed);
                narrowest = Some(found);
            }
        }
        let Some(mut found) = narrowest else { return self.all() };
        found.sort_unstable();
        found
    }

    /// The positions of the values whose first merge key may be that of `element`, in order; none where no step is left.
    pub(super) fn of_key(&self, element: &Element) -> Vec<usize> {
        let said = match (element, self.key) {
            (Element::One(pattern @ Pattern::Literal(_)), None) => Some(pattern),
            (Element::One(pattern), Some(key)) => pattern.get(key),
            _ => None,
        };
        let literal = match (element, self.key) {
            (Element::One(Pattern::Literal(literal)), Some(key)) => literal.get(key).and_then(spelled).map(Clue::Is),
            _ => None,
        };
        let clue = literal.or_else(|| said.and_then(|pattern| self.said(pattern)));
        let way: Vec<&str> = self.key.into_iter().collect();
        let Some((clue, column)) = clue.zip(self.column(&way)) else { return self.all() };
        let Some(hits) = self.hits(&column, &clue) else { return Vec::new() };
        if !self.binder.spend(4 * (hits.len() + column.unnamed.len())) {
            return Vec::new();
        }
        let mut found = hits.positions();
        found.extend(&column.unnamed);
        found.sort_unstable();
        found
    }

    fn all(&self) -> Vec<usize> {
        if self.binder.spend(self.values.len()) { (0..self.values.len()).collect() } else { Vec::new() }
    }

    /// What a pattern says, the first merge key first.
    fn clues(&self, pattern: &'a Pattern) -> Vec<Said<'a>> {
        let mut clues = Vec::new();
        match (pattern, self.key) {
            (Pattern::Map(entries), Some(key)) => {
                let (first, rest): (Vec<_>, Vec<_>) = entries.iter().partition(|(name, _)| **name == *key);
                for (name, pattern) in first.into_iter().chain(rest) {
                    self.field(&mut vec![name], pattern, self.shape, false, &mut clues);
                }
            }
            (Pattern::Literal(_) | Pattern::Text(_), None) if !spelling::is_quantity(self.shape.scalar()) => {
                let clue = self.said(pattern);
                clues.extend(clue.map(|clue| Said { way: Vec::new(), clue, may_be_absent: false }));
            }
            _ => {}
        }
        clues
    }

    /// Adds what a field says, or those in it. `shape` is that of the struct that it is in.
    fn field(
        &self,
        way: &mut Vec<&'a str>,
        pattern: &'a Pattern,
        shape: Shape<'a>,
        may_be_absent: bool,
        clues: &mut Vec<Said<'a>>,
    ) {
        let Some(name) = way.last().copied().filter(|_| clues.len() < CLUES && way.len() <= DEEPEST) else { return };
        let field = shape.field(name);
        // What may be replaced, or be written otherwise, may be anything.
        if may_be_replaced(self.binder, pattern, name, shape) || spelling::is_quantity(field.scalar()) {
            return;
        }
        let may_be_absent = may_be_absent || may_be_missing(self.binder, pattern, field);
        match pattern {
            Pattern::Map(entries) => {
                for (name, pattern) in entries.iter() {
                    way.push(name);
                    self.field(way, pattern, field, may_be_absent, clues);
                    way.pop();
                }
            }
            pattern => {
                let clue = self.said(pattern);
                clues.extend(clue.map(|clue| Said { way: way.clone(), clue, may_be_absent }));
            }
        }
    }

    /// What `pattern` says for itself.
    fn said(&self, pattern: &Pattern) -> Option<Clue> {
        match pattern {
            Pattern::Literal(literal) => spelled(literal).map(Clue::Is),
            Pattern::Text(text) => {
                let known = |part: &Part| self.known(part);
                let begin: String = text.parts.iter().map_while(known).collect();
                let mut end: Vec<String> = text.parts.iter().rev().map_while(known).collect();
                end.reverse();
                let end: String = end.concat();
                (!begin.is_empty() || !end.is_empty()).then_some(Clue::Around(begin, end))
            }
            _ => None,
        }
    }

    fn known(&self, part: &Part) -> Option<String> {
        match part {
            Part::Literal(literal) => Some(literal.clone()),
            Part::Hole(Hole::Given(given)) => self.binder.given.get(given).cloned(),
            Part::Hole(Hole::Declared(_)) => None,
        }
    }

    /// None where this is one column too many, or no step is left.
    fn column(&self, way: &[&'a str]) -> Option<Rc<Column<'a>>> {
        if let Some((_, known)) = self.columns.borrow().iter().find(|(other, _)| *other == way) {
            return Some(Rc::clone(known));
        }
        if self.columns.borrow().len() >= COLUMNS || !self.binder.spend(self.values.len() * work::LOOK) {
            return None;
        }
        let column = Rc::new(Column::of(self.values, way));
        self.binder.spend(column.bytes);
        self.columns.borrow_mut().push((way.to_vec(), Rc::clone(&column)));
        Some(column)
    }

    /// None where no step is left.
    fn hits<'c>(&self, column: &'c Column<'a>, clue: &Clue) -> Option<Hits<'c>> {
        let (begin, end) = match clue {
            Clue::Is(name) => {
                let found = column.named.get(name).map_or(&[] as &[usize], Vec::as_slice);
                return self.binder.spend(4 * work::LOOK + name.len()).then_some(Hits::At(found));
            }
            Clue::Around(begin, end) => (begin, end),
        };
        // What all texts begin or end with tells nothing.
        let beginning = match begin.is_empty() {
            true => column.texts.as_slice(),
            false => {
                let sorted = self.sorted(column, &column.forwards, by_bytes)?;
                self.range(sorted, begin.len(), |text| by_begin(text, begin))?
            }
        };
        let ending = match end.is_empty() {
            true => column.texts.as_slice(),
            false => {
                let sorted = self.sorted(column, &column.backwards, by_bytes_backwards)?;
                self.range(sorted, end.len(), |text| by_end(text, end))?
            }
        };
        Some(Hits::Texts(if beginning.len() <= ending.len() { beginning } else { ending }))
    }

    /// None where no step is left.
    fn sorted<'c>(
        &self,
        column: &Column<'a>,
        sorted: &'c Sorted<'a>,
        by: impl Fn(&str, &str) -> Ordering,
    ) -> Option<&'c [(&'a str, usize)]> {
        if sorted.get().is_none() && !self.binder.spend(column.depth() * (column.bytes + REACHING * column.texts.len()))
        {
            return None;
        }
        Some(sorted.get_or_init(|| {
            let mut texts = column.texts.clone();
            texts.sort_unstable_by(|(one, at), (other, there)| by(one, other).then(at.cmp(there)));
            texts
        }))
    }

    /// Those of a sorted row that stand equal to a text of `length`; none where no step is left.
    fn range<'c>(
        &self,
        sorted: &'c [(&'a str, usize)],
        length: usize,
        stands: impl Fn(&str) -> Ordering,
    ) -> Option<&'c [(&'a str, usize)]> {
        let halvings = depth(sorted.len());
        if !self.binder.spend(2 * work::LOOK + halvings * (REACHING + length)) {
            return None;
        }
        let found = range(sorted, stands);
        self.binder.spend(2 * depth(found.len()) * (REACHING + length)).then_some(found)
    }
}

impl<'a> Column<'a> {
    fn of(values: &'a [Value], way: &[&str]) -> Self {
        let mut column = Self {
            named: HashMap::new(),
            unnamed: Vec::new(),
            texts: Vec::new(),
            bytes: 0,
            forwards: OnceCell::new(),
            backwards: OnceCell::new(),
        };
        for (at, value) in values.iter().enumerate() {
            let shown = way.iter().try_fold(value, |value, field| value.get(field));
            match shown.and_then(spelled) {
                Some(name) => column.named.entry(name).or_default().push(at),
                None => column.unnamed.push(at),
            }
            if let Some(text) = shown.and_then(Value::as_str) {
                column.bytes += text.len();
                column.texts.push((text, at));
            }
        }
        column
    }

    fn depth(&self) -> usize {
        depth(self.texts.len())
    }
}

/// How often so many can be halved.
fn depth(count: usize) -> usize {
    usize::try_from(count.max(2).ilog2()).unwrap_or_default()
}

fn by_bytes(one: &str, other: &str) -> Ordering {
    one.cmp(other)
}

fn by_bytes_backwards(one: &str, other: &str) -> Ordering {
    one.bytes().rev().cmp(other.bytes().rev())
}

/// Where a text stands to those that begin so.
fn by_begin(text: &str, begin: &str) -> Ordering {
    let shown = text.as_bytes();
    shown.get(..begin.len()).unwrap_or(shown).cmp(begin.as_bytes())
}

/// Where a text stands to those that end so, read backwards.
fn by_end(text: &str, end: &str) -> Ordering {
    text.bytes().rev().take(end.len()).cmp(end.bytes().rev())
}

/// Those of a sorted row that are equal to something.
fn range<'c, 'a>(sorted: &'c [(&'a str, usize)], stands: impl Fn(&str) -> Ordering) -> &'c [(&'a str, usize)] {
    let from = sorted.partition_point(|(text, _)| stands(text).is_lt());
    let rest = sorted.get(from..).unwrap_or_default();
    // Mostly they are few, so that their end is near.
    let is_one = |text: &&(&str, usize)| stands(text.0).is_eq();
    let mut bound = 1;
    while rest.get(bound - 1).filter(is_one).is_some() {
        bound *= 2;
    }
    let near = rest.get(..bound).unwrap_or(rest);
    let count = near.partition_point(|(text, _)| stands(text).is_eq());
    near.get(..count).unwrap_or_default()
}

/// One text for all spellings of a scalar; none for what is neither text nor number.
fn spelled(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(format!("\"{text}")),
        Value::Number(number) => number.as_f64().map(|number| (number + 0.0).to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_by_how_they_begin_and_by_how_they_end() {
        let values: Vec<Value> = ["a_1", "b_11", "a_21", "ab", "", "a_"].into_iter().map(Value::from).collect();
        let column = Column::of(&values, &[]);
        let sorted = |by: fn(&str, &str) -> Ordering| {
            let mut texts = column.texts.clone();
            texts.sort_unstable_by(|(one, _), (other, _)| by(one, other));
            texts
        };
        let (forwards, backwards) = (sorted(by_bytes), sorted(by_bytes_backwards));
        let found = |texts: &[(&str, usize)]| {
            let mut found: Vec<_> = texts.iter().map(|(_, at)| *at).collect();
            found.sort_unstable();
            found
        };
        for (begin, all) in
            [("a_", vec![0, 2, 5]), ("a", vec![0, 2, 3, 5]), ("", vec![0, 1, 2, 3, 4, 5]), ("c", vec![])]
        {
            assert_eq!(found(range(&forwards, |text| by_begin(text, begin))), all, "{begin}");
        }
        for (end, all) in [("1", vec![0, 1, 2]), ("_1", vec![0]), ("11", vec![1]), ("", vec![0, 1, 2, 3, 4, 5])] {
            assert_eq!(found(range(&backwards, |text| by_end(text, end))), all, "{end}");
        }
    }
}
