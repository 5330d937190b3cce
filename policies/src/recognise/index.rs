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
use crate::text::{Part, TextPattern};

/// So few values are held against an element one by one.
const FEW: usize = 8;
/// So many fields of one element are looked up.
const CLUES: usize = 4;
/// So many fields of one list's values are prepared.
const COLUMNS: usize = 8;

/// The values of a list, by their fields.
pub(super) struct Index<'a> {
    binder: &'a Binder<'a>,
    values: &'a [Value],
    /// The shape of an element.
    shape: Shape<'a>,
    /// The first merge key; none where values are found by the whole of them.
    key: Option<&'a str>,
    columns: RefCell<Vec<(Option<&'a str>, Rc<Column<'a>>)>>,
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
    sorted: OnceCell<[Vec<(&'a str, usize)>; 2]>,
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
        for (field, pattern) in self.fields(pattern).into_iter().take(CLUES) {
            if narrowest.as_ref().is_some_and(|found| found.len() <= FEW) {
                break;
            }
            let Some(clue) = self.clue(field, pattern) else { continue };
            let Some(column) = self.column(field) else { continue };
            let Some(hits) = self.hits(&column, &clue) else { return Vec::new() };
            let shape = field.map_or(self.shape, |field| self.shape.field(field));
            let absent = field.is_some() && may_be_missing(self.binder.parameters, pattern, shape);
            let unnamed = if absent { column.unnamed.as_slice() } else { &[] };
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
        let Some((clue, column)) = clue.zip(self.column(self.key)) else { return self.all() };
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

    /// The fields that a pattern says, the first merge key first.
    fn fields(&self, pattern: &'a Pattern) -> Vec<(Option<&'a str>, &'a Pattern)> {
        match (pattern, self.key) {
            (Pattern::Map(entries), Some(key)) => {
                let is_key = |field: &&str| *field == key;
                let named = |first: bool| {
                    let all = entries.iter().map(|(name, pattern)| (&**name, pattern));
                    all.filter(move |(name, _)| is_key(name) == first).map(|(name, pattern)| (Some(name), pattern))
                };
                named(true).chain(named(false)).filter(|(_, pattern)| says_something(pattern)).take(CLUES).collect()
            }
            (Pattern::Literal(_) | Pattern::Text(_), None) => vec![(None, pattern)],
            _ => Vec::new(),
        }
    }

    /// What a field of a plausible value is like; none where it may be anything.
    fn clue(&self, field: Option<&str>, pattern: &Pattern) -> Option<Clue> {
        let (replaced, scalar) = match field {
            Some(field) => {
                (may_be_replaced(self.binder.parameters, pattern, field, self.shape), self.shape.field(field).scalar())
            }
            None => (false, self.shape.scalar()),
        };
        if replaced || spelling::is_quantity(scalar) { None } else { self.said(pattern) }
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
    fn column(&self, field: Option<&'a str>) -> Option<Rc<Column<'a>>> {
        if let Some((_, known)) = self.columns.borrow().iter().find(|(name, _)| *name == field) {
            return Some(Rc::clone(known));
        }
        if self.columns.borrow().len() >= COLUMNS || !self.binder.spend(self.values.len() * work::LOOK) {
            return None;
        }
        let column = Rc::new(Column::of(self.values, field));
        self.binder.spend(column.bytes);
        self.columns.borrow_mut().push((field, Rc::clone(&column)));
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
        let depth = usize::try_from(column.texts.len().max(2).ilog2()).unwrap_or_default();
        if column.sorted.get().is_none() && !self.binder.spend(depth * (column.bytes + 4 * column.texts.len())) {
            return None;
        }
        let [forwards, backwards] = column.sorted.get_or_init(|| column.sorted());
        if !self.binder.spend(4 * work::LOOK + 2 * depth * (begin.len() + end.len() + 2)) {
            return None;
        }
        let beginning = range(forwards, |text| by_begin(text, begin));
        let ending = range(backwards, |text| by_end(text, end));
        Some(Hits::Texts(if beginning.len() <= ending.len() { beginning } else { ending }))
    }
}

impl<'a> Column<'a> {
    fn of(values: &'a [Value], field: Option<&str>) -> Self {
        let mut column =
            Self { named: HashMap::new(), unnamed: Vec::new(), texts: Vec::new(), bytes: 0, sorted: OnceCell::new() };
        for (at, value) in values.iter().enumerate() {
            let shown = field.map_or(Some(value), |field| value.get(field));
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

    fn sorted(&self) -> [Vec<(&'a str, usize)>; 2] {
        let (mut forwards, mut backwards) = (self.texts.clone(), self.texts.clone());
        forwards.sort_unstable();
        backwards.sort_unstable_by(|(one, _), (other, _)| one.bytes().rev().cmp(other.bytes().rev()));
        [forwards, backwards]
    }
}

/// Whether a field's pattern can be looked up at all.
fn says_something(pattern: &Pattern) -> bool {
    match pattern {
        Pattern::Literal(literal) => literal.is_string() || literal.is_number(),
        Pattern::Text(text) => is_partly_known(text),
        Pattern::Hole(_) | Pattern::Map(_) | Pattern::List(_) => false,
    }
}

fn is_partly_known(text: &TextPattern) -> bool {
    let is_known = |part: &Part| !matches!(part, Part::Hole(Hole::Declared(_)));
    text.parts.first().is_some_and(is_known) || text.parts.last().is_some_and(is_known)
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
    let count = rest.partition_point(|(text, _)| stands(text).is_eq());
    rest.get(..count).unwrap_or_default()
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
        let column = Column::of(&values, None);
        let [forwards, backwards] = column.sorted();
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
